#include <tenure/lock.h>

#include "client/acquire.h"
#include "client/call.h"
#include "client/later.h"
#include "client/take.h"

/* ------------------------------------------------------------------ options */

static const char *find_fault(const struct tenure_lock_options *options)
{
    if (options == NULL || options->size < sizeof(*options)) {
        return "size: it must be sizeof(*options)";
    }
    if (options->names == NULL || options->name_count == 0 ||
        options->name_count > LIMIT_NAME_COUNT_MAX)
    {
        return "names: 1 to 32 are allowed";
    }
    for (uint32_t index = 0; index < options->name_count; index++) {
        if (!tni_is_plain(options->names[index])) {
            return "name: 1 to 255 bytes of UTF-8 without control characters";
        }
    }
    if (options->owner != NULL && !tni_is_plain(options->owner)) {
        return "owner: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (options->meta != NULL && !tni_is_text(options->meta, LIMIT_META_SIZE_MAX)) {
        return "meta: up to 4096 bytes of UTF-8";
    }
    if (options->ttl_ms != 0 &&
        (options->ttl_ms < LIMIT_TTL_MS_MIN || options->ttl_ms > LIMIT_TTL_MS_MAX))
    {
        return "ttl_ms: 100 to 86400000";
    }
    if (options->mode != TENURE_EXCLUSIVE && options->mode != TENURE_SHARED) {
        return "mode: TENURE_EXCLUSIVE or TENURE_SHARED";
    }
    if (options->slots > LIMIT_SLOTS_MAX) return "slots: 4096 at most";
    if (options->slots > 1 && options->mode == TENURE_SHARED) {
        return "slots: a shared lock has no slots";
    }
    if (options->priority > LIMIT_PRIORITY_MAX) return "priority: 9 at most";
    if (options->lock_delay_ms > LIMIT_LOCK_DELAY_MS_MAX) return "lock_delay_ms: 3600000 at most";
    if ((unsigned)options->min_safety > TENURE_SAFETY_CONSENSUS) return "min_safety: no such class";
    return NULL;
}

/* ------------------------------------------------------------------ acquire */

static const char *why_not_created(enum tenure_err err)
{
    return err == TENURE_IO ? "the system gives no random numbers" : NULL;
}

enum tenure_err tenure_lock_start(
    struct tenure_client handle,
    const struct tenure_lock_options *options,
    tenure_acquire_fn fn,
    void *user,
    struct tenure_op *out_op,
    struct tenure_error *out_error)
{
    const char *fault = fn == NULL ? "fn: it is missing" : find_fault(options);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");

    struct acquire *acquire;
    enum tenure_err err = tni_acquire_create(client, options, &acquire);
    if (err == TENURE_OK) {
        acquire->verdict->fn = fn;
        acquire->verdict->user = user;
        struct tenure_op op = { acquire->id };
        /* Behind this it may be over at any moment. */
        if (out_op != NULL) *out_op = op;
        if (!tni_acquire_submit(acquire)) err = TENURE_CANCELED;
    }
    tni_client_give(client);
    return err == TENURE_OK ? err : tni_fail(out_error, err, why_not_created(err));
}

void tenure_op_cancel(struct tenure_client handle, struct tenure_op op)
{
    struct client *client = tni_client_take(handle);
    if (client == NULL) return;
    tni_acquire_cancel(client, op.id);
    tni_election_cancel(client, op.id);
    tni_take_cancel(client, op.id);
    tni_await_cancel(client, op.id);
    tni_client_give(client);
}

struct lock_call {
    struct call call;
    struct tenure_hold hold;
    struct tenure_obstacle *obstacle; /* NULL: nobody wants to know */
};

static void on_lock_done(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct lock_call *lock = user;
    lock->hold = hold;
    if (lock->obstacle != NULL && obstacle != NULL) *lock->obstacle = *obstacle;
    tni_call_end(&lock->call, err, error->text);
}

enum tenure_err tenure_lock(
    struct tenure_client handle,
    const struct tenure_lock_options *options,
    struct tenure_hold *out_hold,
    struct tenure_obstacle *out_obstacle,
    struct tenure_error *out_error)
{
    const char *fault = find_fault(options);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct lock_call lock = { .obstacle = out_obstacle };
    if (!tni_call_begin(&lock.call, handle, out_error)) return lock.call.err;
    struct acquire *acquire;
    enum tenure_err err = tni_acquire_create(lock.call.client, options, &acquire);
    if (err == TENURE_OK) {
        acquire->is_waited_for = true;
        acquire->verdict->fn = on_lock_done;
        acquire->verdict->user = &lock;
        err = tni_call_wait(&lock.call, tni_acquire_submit(acquire), out_error);
    } else {
        tni_call_end(&lock.call, err, why_not_created(err));
        err = tni_call_wait(&lock.call, true, out_error);
    }
    if (err == TENURE_OK) *out_hold = lock.hold;
    return err;
}

/* ------------------------------------------------------------------ looking at a hold */

bool tenure_hold_valid(struct tenure_hold handle)
{
    const struct hold_slot *slot = tni_registry_peek_hold(handle.id);
    if (slot == NULL) return false;
    int64_t until_ns = atomic_load(&slot->valid_until_ns);
    return tni_store_now().ns < until_ns && tni_registry_is_good(slot, handle.id);
}

static int64_t remaining_ms(int64_t until_ns)
{
    if (until_ns == INT64_MAX) return INT64_MAX;
    int64_t now_ns = tni_store_now().ns;
    return until_ns <= now_ns ? 0 : (until_ns - now_ns) / NS_PER_MS;
}

int64_t tenure_hold_remaining_ms(struct tenure_hold handle)
{
    const struct hold_slot *slot = tni_registry_peek_hold(handle.id);
    if (slot == NULL) return 0;
    int64_t left_ms = remaining_ms(atomic_load(&slot->valid_until_ns));
    return tni_registry_is_good(slot, handle.id) ? left_ms : 0;
}

uint64_t tenure_hold_token(struct tenure_hold handle)
{
    const struct hold_slot *slot = tni_registry_peek_hold(handle.id);
    if (slot == NULL) return 0;
    uint64_t token = atomic_load(&slot->token);
    return tni_registry_is_good(slot, handle.id) ? token : 0;
}

enum tenure_err tenure_hold_fd(struct tenure_hold handle, int *out_fd)
{
    tni_registry_lock();
    struct hold *hold = tni_registry_find_hold(handle.id);
    enum tenure_err err = hold == NULL ? TENURE_INVALID : tni_hold_loss_fd(hold, out_fd);
    tni_registry_unlock();
    return err;
}

enum tenure_err tenure_hold_info(struct tenure_hold handle, struct tenure_hold_info *out_info)
{
    tni_registry_lock();
    const struct hold *hold = tni_registry_find_hold(handle.id);
    if (hold != NULL) {
        int64_t until_ns = atomic_load(&hold->slot->valid_until_ns);
        bool is_lost = hold->picture.state == TENURE_HOLD_LOST;
        *out_info = (struct tenure_hold_info){
            .owner = hold->owner,
            .name_count = hold->name_count,
            .state = hold->picture.state,
            .loss = hold->picture.loss,
            .ttl_ms = hold->picture.ttl_ms,
            .remaining_ms = is_lost ? 0 : remaining_ms(until_ns),
            .valid_until_ns = until_ns,
            .is_breaking = hold->picture.is_breaking,
        };
    }
    tni_registry_unlock();
    return hold == NULL ? TENURE_INVALID : TENURE_OK;
}

enum tenure_err
tenure_hold_name(struct tenure_hold handle, uint32_t index, struct tenure_hold_name *out_name)
{
    tni_registry_lock();
    const struct hold *hold = tni_registry_find_hold(handle.id);
    bool is_there = hold != NULL && index < hold->name_count;
    if (is_there) {
        *out_name = (struct tenure_hold_name){ .name = hold->names[index],
                                               .token = hold->claims[index].token,
                                               .slot = hold->slots[index] };
    }
    tni_registry_unlock();
    return is_there ? TENURE_OK : TENURE_INVALID;
}

/* ------------------------------------------------------------------ the end */

static void run_release(struct client *client, struct task *task)
{
    struct hold *hold = CONTAINER_OF(task, struct hold, end_task);
    (void)client;
    tni_hold_release(hold);
    tni_hold_give(hold); /* the part that was the handle's */
}

static void run_forget(struct client *client, struct task *task)
{
    struct hold *hold = CONTAINER_OF(task, struct hold, end_task);
    (void)client;
    tni_hold_end(hold);
    tni_hold_give(hold);
}

/* Leave the rest to the client's thread. */
static enum tenure_err leave_hold(struct hold *hold, task_fn run)
{
    struct client *client = hold->client;
    tni_hold_hush(hold);
    hold->end_task.run = run;
    bool is_taken = tni_client_submit(client, &hold->end_task);
    if (!is_taken) tni_hold_give(hold);
    tni_client_give(client);
    return is_taken ? TENURE_OK : TENURE_CANCELED;
}

enum tenure_err
tenure_hold_release_start(struct tenure_hold handle, tenure_release_fn fn, void *user)
{
    struct hold *hold = tni_hold_close(handle);
    if (hold == NULL) return TENURE_INVALID;
    hold->release_fn = fn;
    hold->release_user = user;
    return leave_hold(hold, run_release);
}

void tenure_hold_forget(struct tenure_hold handle)
{
    struct hold *hold = tni_hold_close(handle);
    if (hold != NULL) (void)leave_hold(hold, run_forget);
}

/* A reference to the client of a hold; NULL when the handle is not good. */
static struct client *take_client_of(struct tenure_hold handle)
{
    tni_registry_lock();
    const struct hold *hold = tni_registry_find_hold(handle.id);
    struct client *client = hold == NULL ? NULL : tni_client_take_of(hold->client);
    tni_registry_unlock();
    return client;
}

struct release_call {
    struct call call;
    struct tenure_release release;
};

static void on_release_done(enum tenure_err err, const struct tenure_release *release, void *user)
{
    struct release_call *waiting = user;
    waiting->release = *release;
    tni_call_end(&waiting->call, err, NULL);
}

enum tenure_err tenure_hold_release(struct tenure_hold handle, struct tenure_release *out_release)
{
    struct release_call waiting = { .release = { .end = TENURE_END_UNKNOWN, .overlap_ms = -1 } };
    struct client *client = take_client_of(handle);
    if (client == NULL) return TENURE_INVALID;
    if (!tni_call_begin_with(&waiting.call, client, NULL)) return waiting.call.err;
    struct hold *hold = tni_hold_close(handle);
    enum tenure_err err = TENURE_INVALID;
    if (hold != NULL) {
        hold->is_waited_for = true;
        hold->release_fn = on_release_done;
        hold->release_user = &waiting;
        err = leave_hold(hold, run_release);
    }
    if (err != TENURE_OK) tni_call_end(&waiting.call, err, NULL);
    err = tni_call_wait(&waiting.call, true, NULL);
    if (out_release != NULL && err != TENURE_INVALID) *out_release = waiting.release;
    return err;
}

/* ------------------------------------------------------------------ renewing by hand */

struct renew_call {
    struct call call;
    struct ask ask;
    struct tenure_hold hold;
    uint32_t ttl_ms;
};

static void on_asked(struct ask *ask, enum tenure_err err, const char *text)
{
    struct renew_call *renew = CONTAINER_OF(ask, struct renew_call, ask);
    tni_call_end(&renew->call, err, text);
}

static void start_renew(struct client *client, struct task *task)
{
    struct renew_call *renew = CONTAINER_OF(task, struct renew_call, call.task);
    (void)client;
    struct hold *hold = tni_hold_take(renew->hold, NULL);
    if (hold == NULL) {
        tni_call_end(&renew->call, TENURE_INVALID, "the handle is closed");
        return;
    }
    renew->ask.done = on_asked;
    tni_hold_ask(hold, renew->ttl_ms, &renew->ask);
    tni_hold_give(hold);
}

enum tenure_err
tenure_hold_renew(struct tenure_hold handle, uint32_t ttl_ms, struct tenure_error *out_error)
{
    struct renew_call renew = { .hold = handle, .ttl_ms = ttl_ms };
    if (ttl_ms != 0 && (ttl_ms < LIMIT_TTL_MS_MIN || ttl_ms > LIMIT_TTL_MS_MAX)) {
        return tni_fail(out_error, TENURE_INVALID, "ttl_ms: 100 to 86400000");
    }
    struct client *client = take_client_of(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the handle is closed");
    if (!tni_call_begin_with(&renew.call, client, out_error)) return renew.call.err;
    return tni_call_run(&renew.call, start_renew, out_error);
}

static void on_asked_later(struct ask *ask, enum tenure_err err, const char *text)
{
    struct later *later = CONTAINER_OF(ask, struct later, ask);
    tni_call_end(&later->call, err, text);
}

static void start_renew_later(struct client *client, struct task *task)
{
    struct later *later = CONTAINER_OF(task, struct later, call.task);
    (void)client;
    later->ask.done = on_asked_later;
    tni_hold_ask(later->hold, later->ttl_ms, &later->ask);
}

enum tenure_err
tenure_hold_renew_start(struct tenure_hold handle, uint32_t ttl_ms, tenure_done_fn fn, void *user)
{
    if (ttl_ms != 0 && (ttl_ms < LIMIT_TTL_MS_MIN || ttl_ms > LIMIT_TTL_MS_MAX)) {
        return TENURE_INVALID;
    }
    struct client *client;
    struct hold *hold = tni_hold_take(handle, &client);
    if (hold == NULL) return TENURE_INVALID;
    struct later *later = tni_later_create(client, hold, fn, user, "");
    if (later == NULL) return TENURE_NO_MEMORY;
    later->ttl_ms = ttl_ms;
    later->call.task.run = start_renew_later;
    return tni_later_start(later);
}
