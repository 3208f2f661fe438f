#include "client/take.h"

#include <tenure/queue.h>

#include <string.h>

#include "client/call.h"
#include "client/hold.h"
#include "client/taken.h"

/* A take that is under way.
 *
 *   asking -> confirming -> over
 *
 * Each item of the answer becomes a hold.  One whose lease has been running for too long to be
 * believed is extended first; the take is over when all of them are settled.  Without memory for an
 * item nothing can be done: its lease runs out by itself. */
struct take {
    struct task task;
    struct client *client;
    uint64_t id;
    tenure_take_fn fn;
    void *user;
    bool is_waited_for; /* by somebody who wants to know at once, on the client's thread */
    struct tenure_lock_options
        hold_options; /* what the holds have of it; names and owner are ours */
    tenure_cancel_fn on_cancel;
    struct store_take terms;

    /* Under the client's mutex. */
    struct list link; /* in client->takes */
    bool is_canceled;

    /* The thread's. */
    struct store_op op;
    uint32_t hold_count;
    uint32_t pending_count; /* of them, being confirmed */
    uint32_t timer_count;   /* reserved, and not used by a hold */
    bool is_settling;       /* the answer is being looked at */

    struct notice notice;
    enum tenure_err err;
    struct tenure_error error;
    struct tenure_hold *told; /* as many as count_max, as the next one */
    struct hold **holds;
    size_t size; /* of this block */
    const char *queues[LIMIT_NAME_COUNT_MAX];
};

/* ------------------------------------------------------------------ the end */

static void free_take(struct take *take)
{
    struct client *client = take->client;
    (void)pthread_mutex_lock(&client->mutex);
    list_remove(&take->link);
    if (take->task.is_queued) list_remove(&take->task.link);
    (void)pthread_mutex_unlock(&client->mutex);
    memory_give(client->memory, take, take->size);
}

static void tell_take(struct client *client, struct notice *notice)
{
    struct take *take = CONTAINER_OF(notice, struct take, notice);
    uint32_t count = 0;
    (void)client;
    for (uint32_t index = 0; take->err == TENURE_OK && index < take->hold_count; index++) {
        if (tni_registry_peek_hold(take->told[index].id) == NULL) continue;
        take->told[count++] = take->told[index];
    }
    if (take->err == TENURE_OK && count == 0) {
        take->err = tni_fail(
            &take->error, TENURE_CANCELED, "the client was closed before the take was told");
    }
    take->fn(take->err, take->told, count, &take->error, take->user);
    memory_give(take->client->memory, take, take->size);
}

/* Whatever comes, the user is told once, and nobody else knows the take any more. */
static void finish(struct take *take, enum tenure_err err, const char *text)
{
    struct client *client = take->client;
    client->timer_count -= take->timer_count;
    take->timer_count = 0;
    for (uint32_t index = 0; index < take->hold_count; index++) {
        take->told[index].id = tni_registry_hold_id(take->holds[index]->slot);
        tni_hold_hand_out(take->holds[index]);
    }
    take->err = tni_fail(&take->error, err, text);
    take->notice.tell = tell_take;
    (void)pthread_mutex_lock(&client->mutex);
    list_remove(&take->link);
    if (take->task.is_queued) list_remove(&take->task.link);
    (void)pthread_mutex_unlock(&client->mutex);
    if (take->is_waited_for) {
        tell_take(client, &take->notice);
    } else {
        (void)tni_notice_post(client, &take->notice);
    }
}

/* ------------------------------------------------------------------ items */

static void ask(struct take *take);

/* Nobody gets this one: it is given back. */
static void drop_hold(struct hold *hold)
{
    tni_hold_release(hold);
    tni_hold_give(hold); /* the part of a handle which nobody got */
}

/* All are settled: what could be confirmed is the user's. */
static void settle(struct take *take)
{
    bool is_waiting = take->terms.wait_until.ns > tni_store_now().ns;
    if (take->is_settling || take->pending_count > 0) return;
    if (take->hold_count > 0) {
        finish(take, TENURE_OK, NULL);
    } else if (is_waiting && take->timer_count == take->terms.count_max) {
        ask(take); /* they ended before anybody knew of them: there is time to wait for others */
    } else {
        finish(
            take,
            TENURE_UNKNOWN,
            "items were taken, but no answer confirmed it in time; they come back by themselves");
    }
}

static void on_confirmed(void *whom, struct hold *hold, bool is_held)
{
    struct take *take = whom;
    take->pending_count--;
    if (is_held) {
        take->holds[take->hold_count++] = hold;
    } else {
        /* It is lost, or nobody knows; said all the same, so that it may come back sooner. */
        drop_hold(hold);
        take->client->timer_count++;
        take->timer_count++;
    }
    settle(take);
}

/* False: there is no memory. */
static bool begin_hold(struct take *take, const struct store_item *item)
{
    struct client *client = take->client;
    struct taken *taken = tni_taken_create(client->memory, item);
    if (taken == NULL) return false;
    struct tenure_lock_options options = take->hold_options;
    struct hold *hold;
    options.names = &taken->claim.queue;
    options.name_count = 1;
    options.owner = take->terms.worker;
    if (tni_hold_create(client, &options, &hold) != TENURE_OK) {
        tni_taken_destroy(taken);
        return false;
    }
    hold->taken = taken;
    taken->item.worker = hold->owner;
    hold->on_cancel = take->on_cancel;
    take->timer_count--; /* it is the hold's now */
    struct store_grant grant = { .name = hold->names[0],
                                 .token = item->token,
                                 .ttl_ms = item->lease_ms,
                                 .remaining_ms = item->remaining_ms };
    struct store_result result = { .err = TENURE_OK, .sent_at = take->op.sent_at };
    result.as.acquire.grants = &grant;
    result.as.acquire.grant_count = 1;
    take->pending_count++;
    if (tni_hold_begin(hold, &result, tni_deadline(client->timeout_ms), on_confirmed, take)) {
        take->pending_count--;
        take->holds[take->hold_count++] = hold;
    }
    return true;
}

/* Nobody wants them any more. */
static void give_back_all(struct take *take)
{
    while (take->hold_count > 0) {
        drop_hold(take->holds[--take->hold_count]);
        take->client->timer_count++;
        take->timer_count++;
    }
}

static bool is_canceled(struct take *take)
{
    (void)pthread_mutex_lock(&take->client->mutex);
    bool is_it = take->is_canceled;
    (void)pthread_mutex_unlock(&take->client->mutex);
    return is_it;
}

static void on_taken(struct store_op *op, const struct store_result *result)
{
    struct take *take = CONTAINER_OF(op, struct take, op);
    if (result->err != TENURE_OK) {
        finish(take, result->err, result->text);
        return;
    }
    bool is_short = false;
    take->is_settling = true;
    for (uint32_t index = 0; index < result->as.items.count; index++) {
        if (!begin_hold(take, &result->as.items.items[index])) is_short = true;
    }
    take->is_settling = false;
    if (is_canceled(take) && take->pending_count == 0) {
        give_back_all(take);
        finish(take, TENURE_CANCELED, NULL);
    } else if (is_short && take->hold_count == 0 && take->pending_count == 0) {
        finish(take, TENURE_NO_MEMORY, NULL);
    } else {
        settle(take);
    }
}

static void ask(struct take *take)
{
    struct client *client = take->client;
    take->op = (struct store_op){
        .request = { .verb = STORE_TAKE,
                     .deadline = tni_deadline(client->timeout_ms),
                     .patience_ns = (int64_t)client->timeout_ms * NS_PER_MS / 2 },
        .done = on_taken,
    };
    take->op.request.as.take = take->terms;
    tni_store_start(client->store, &take->op);
}

/* ------------------------------------------------------------------ the beginning */

/* Those that are being confirmed are given up. */
static void give_up(struct take *take)
{
    struct client *client = take->client;
    list_foreach_safe(each, following, &client->holds) {
        struct hold *hold = CONTAINER_OF(each, struct hold, link);
        if (hold->whom != take) continue;
        hold->whom = NULL;
        take->pending_count--;
        drop_hold(hold);
        client->timer_count++;
        take->timer_count++;
    }
    give_back_all(take);
    finish(take, TENURE_CANCELED, NULL);
}

/* Cancellation, too, is a task: the same one, queued a second time. */
static void run(struct client *client, struct task *task)
{
    struct take *take = CONTAINER_OF(task, struct take, task);
    bool is_over = is_canceled(take);
    bool is_new = take->op.done == NULL;
    if (is_new) {
        client->timer_count += take->terms.count_max;
        take->timer_count = take->terms.count_max;
        bool has_room = heap_reserve(&client->timers, client->timer_count);
        if (has_room && !is_over) {
            ask(take);
        } else {
            finish(take, is_over ? TENURE_CANCELED : TENURE_NO_MEMORY, NULL);
        }
    } else if (is_over && take->pending_count > 0) {
        give_up(take);
    } else if (is_over) {
        tni_store_cancel(client->store, &take->op);
    }
}

void tni_take_cancel(struct client *client, uint64_t id)
{
    (void)pthread_mutex_lock(&client->mutex);
    struct task *task = NULL;
    list_foreach(each, &client->takes) {
        struct take *take = CONTAINER_OF(each, struct take, link);
        if (take->id != id || take->is_canceled) continue;
        take->is_canceled = true;
        task = &take->task;
    }
    /* Queued under the same mutex: the thread cannot free it meanwhile. */
    if (task != NULL) tni_client_queue(client, task);
    (void)pthread_mutex_unlock(&client->mutex);
}

void tni_take_close_all(struct client *client)
{
    list_foreach_safe(each, following, &client->takes) {
        struct take *take = CONTAINER_OF(each, struct take, link);
        /* Those that ask are told by the store. */
        if (take->pending_count > 0) give_up(take);
    }
}

/* ------------------------------------------------------------------ the public side */

static const char *find_fault(const struct tenure_take_options *options)
{
    if (options == NULL || options->size < sizeof(*options)) {
        return "size: it must be sizeof(*options)";
    }
    if (options->queues == NULL || options->queue_count == 0 ||
        options->queue_count > LIMIT_NAME_COUNT_MAX)
    {
        return "queues: 1 to 32 are allowed";
    }
    for (uint32_t index = 0; index < options->queue_count; index++) {
        if (!tni_is_plain(options->queues[index])) {
            return "queue: 1 to 255 bytes of UTF-8 without control characters";
        }
    }
    if (options->worker != NULL && !tni_is_plain(options->worker)) {
        return "worker: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (options->count_max > TENURE_TAKE_COUNT_MAX) return "count_max: 64 at most";
    if (options->lease_ms != 0 &&
        (options->lease_ms < LIMIT_TTL_MS_MIN || options->lease_ms > LIMIT_TTL_MS_MAX))
    {
        return "lease_ms: 100 to 86400000";
    }
    return NULL;
}

/* A copy of `text` at `*at`, which is moved behind it. */
static const char *keep(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = *at;
    memcpy(copy, text, size);
    *at = copy + size;
    return copy;
}

static struct take *
create(struct client *client, const struct tenure_take_options *options, const char *worker)
{
    static _Atomic uint64_t id_last = UINT64_C(3) << 62;
    uint32_t count_max = options->count_max == 0 ? 1 : options->count_max;
    size_t size =
        sizeof(struct take) + count_max * (sizeof(struct hold *) + sizeof(struct tenure_hold));
    size += strlen(worker) + 1;
    for (uint32_t index = 0; index < options->queue_count; index++) {
        size += strlen(options->queues[index]) + 1;
    }
    struct take *take = memory_take(client->memory, size);
    if (take == NULL) return NULL;
    *take = (struct take){
        .task = { .run = run },
        .client = client,
        .id = atomic_fetch_add(&id_last, 1) + 1,
        .hold_options = { .size = sizeof(struct tenure_lock_options),
                          .is_kept_by_caller = options->is_kept_by_caller,
                          .on_at_risk = options->on_at_risk,
                          .on_held = options->on_held,
                          .on_lost = options->on_lost,
                          .user = options->user },
        .on_cancel = options->on_cancel,
        .size = size,
    };
    take->told = (struct tenure_hold *)(void *)(take + 1);
    take->holds = (struct hold **)(void *)(take->told + count_max);
    char *at = (char *)(take->holds + count_max);
    for (uint32_t index = 0; index < options->queue_count; index++) {
        take->queues[index] = keep(&at, options->queues[index]);
    }
    take->terms = (struct store_take){ .queues = take->queues,
                                       .queue_count = options->queue_count,
                                       .worker = keep(&at, worker),
                                       .count_max = count_max,
                                       .lease_ms = options->lease_ms,
                                       .answer_ns = (int64_t)client->timeout_ms * NS_PER_MS };
    if (options->wait_ms == TENURE_WAIT_FOREVER) {
        take->terms.wait_until.ns = INT64_MAX;
    } else if (options->wait_ms > 0) {
        take->terms.wait_until = tni_deadline(options->wait_ms);
    }
    list_init(&take->link);
    return take;
}

/* Whoever has no name gets one. */
static enum tenure_err create_for_worker(
    struct client *client, const struct tenure_take_options *options, struct take **out_take)
{
    char made[LIMIT_OWNER_SIZE_MAX + 1];
    const char *worker = options->worker;
    if (worker == NULL) {
        if (!tni_owner_make(client, made)) return TENURE_IO;
        worker = made;
    }
    *out_take = create(client, options, worker);
    return *out_take == NULL ? TENURE_NO_MEMORY : TENURE_OK;
}

static bool submit(struct take *take)
{
    if (tni_client_enlist(take->client, &take->client->takes, &take->link, &take->task)) {
        return true;
    }
    free_take(take);
    return false;
}

enum tenure_err tenure_take_start(
    struct tenure_client handle,
    const struct tenure_take_options *options,
    tenure_take_fn fn,
    void *user,
    struct tenure_op *out_op,
    struct tenure_error *out_error)
{
    const char *fault = fn == NULL ? "fn: it is missing" : find_fault(options);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");
    struct take *take;
    enum tenure_err err = create_for_worker(client, options, &take);
    if (err == TENURE_OK) {
        take->fn = fn;
        take->user = user;
        /* Behind this it may be over at any moment. */
        if (out_op != NULL) *out_op = (struct tenure_op){ take->id };
        if (!submit(take)) err = TENURE_CANCELED;
    }
    tni_client_give(client);
    return err == TENURE_OK ? err : tni_fail(out_error, err, NULL);
}

struct take_call {
    struct call call;
    struct tenure_hold *holds;
    uint32_t count;
};

static void on_take_done(
    enum tenure_err err,
    const struct tenure_hold *holds,
    uint32_t count,
    const struct tenure_error *error,
    void *user)
{
    struct take_call *waiting = user;
    for (uint32_t index = 0; index < count; index++) {
        waiting->holds[index] = holds[index];
    }
    waiting->count = count;
    tni_call_end(&waiting->call, err, error->text);
}

enum tenure_err tenure_take(
    struct tenure_client handle,
    const struct tenure_take_options *options,
    struct tenure_hold *out_holds,
    uint32_t *out_count,
    struct tenure_error *out_error)
{
    const char *fault = find_fault(options);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct take_call waiting = { .holds = out_holds };
    if (!tni_call_begin(&waiting.call, handle, out_error)) return waiting.call.err;
    struct take *take;
    enum tenure_err err = create_for_worker(waiting.call.client, options, &take);
    if (err == TENURE_OK) {
        take->is_waited_for = true;
        take->fn = on_take_done;
        take->user = &waiting;
        err = tni_call_wait(&waiting.call, submit(take), out_error);
    } else {
        tni_call_end(&waiting.call, err, NULL);
        err = tni_call_wait(&waiting.call, true, out_error);
    }
    if (err == TENURE_OK && out_count != NULL) *out_count = waiting.count;
    return err;
}
