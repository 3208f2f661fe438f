#include "client/acquire.h"

#include <stdio.h>
#include <string.h>

#define SWEEP_MS_MAX 60000u

/* ------------------------------------------------------------------ the end */

static void free_acquire(struct acquire *acquire)
{
    struct client *client = acquire->client;
    (void)pthread_mutex_lock(&client->mutex);
    list_remove(&acquire->link);
    if (acquire->task.is_queued) list_remove(&acquire->task.link);
    (void)pthread_mutex_unlock(&client->mutex);
    if (acquire->verdict != NULL) {
        memory_give(client->memory, acquire->verdict, sizeof(*acquire->verdict));
    }
    memory_give(client->memory, acquire, sizeof(*acquire));
}

/* The request led to nothing: both owners of the hold give it up. */
static void drop_hold(struct acquire *acquire)
{
    struct hold *hold = acquire->hold;
    acquire->hold = NULL;
    acquire->client->timer_count--;
    tni_hold_give(hold); /* the thread's part */
    tni_hold_give(hold); /* that of a handle which nobody got */
}

static void tell_verdict(struct client *client, struct notice *notice)
{
    struct verdict *verdict = CONTAINER_OF(notice, struct verdict, notice);
    (void)client;
    if (verdict->err == TENURE_OK && tni_registry_peek_hold(verdict->hold.id) == NULL) {
        verdict->err = tni_fail(
            &verdict->error, TENURE_CANCELED, "the client was closed before the grant was told");
        verdict->hold.id = 0;
    }
    verdict->fn(
        verdict->err,
        verdict->hold,
        verdict->has_obstacle ? &verdict->obstacle : NULL,
        &verdict->error,
        verdict->user);
    memory_give(verdict->memory, verdict, sizeof(*verdict));
}

/* Whom it hinders stands in the verdict already. */
static void tell(struct acquire *acquire, enum tenure_err err, const char *text)
{
    struct verdict *verdict = acquire->verdict;
    acquire->verdict = NULL;
    if (verdict == NULL) return;
    if (err == TENURE_OK) verdict->hold.id = tni_registry_hold_id(acquire->hold->slot);
    verdict->err = tni_fail(&verdict->error, err, text);
    verdict->notice.tell = tell_verdict;
    if (acquire->is_waited_for) {
        tell_verdict(acquire->client, &verdict->notice);
    } else {
        (void)tni_notice_post(acquire->client, &verdict->notice);
    }
}

/* ------------------------------------------------------------------ cleaning up */

/* A request whose outcome is not known may have been granted, or may still wait at the store.  Look
 * for the owner under each name: give a hold back; take the place of a waiter for a moment. */
static void sweep_next(struct acquire *acquire);

static void on_swept(struct store_op *op, const struct store_result *result)
{
    struct acquire *acquire = CONTAINER_OF(op, struct acquire, op);
    (void)result;
    acquire->sweep_index++;
    sweep_next(acquire);
}

static void sweep_release(struct acquire *acquire, uint64_t token)
{
    const struct hold *hold = acquire->hold;
    acquire->op = (struct store_op){
        .request = { .verb = STORE_RELEASE, .deadline = acquire->sweep_until },
        .done = on_swept,
    };
    acquire->op.request.as.release = hold->claims[acquire->sweep_index];
    acquire->op.request.as.release.token = token;
    tni_store_start(acquire->client->store, &acquire->op);
}

static void on_rejoined(struct store_op *op, const struct store_result *result)
{
    struct acquire *acquire = CONTAINER_OF(op, struct acquire, op);
    if (result->err == TENURE_OK) {
        sweep_next(acquire); /* it is found as a holder now */
    } else {
        on_swept(op, result);
    }
}

/* The same owner asking again takes the place of the one that waits, and soon leaves. */
static void sweep_waiter(struct acquire *acquire)
{
    struct store_acquire terms = acquire->terms;
    terms.wait_until = tni_deadline(2);
    acquire->op = (struct store_op){
        .request = { .verb = STORE_ACQUIRE, .deadline = acquire->sweep_until },
        .done = on_rejoined,
    };
    acquire->op.request.as.acquire = terms;
    tni_store_start(acquire->client->store, &acquire->op);
}

static void on_looked(struct store_op *op, const struct store_result *result)
{
    struct acquire *acquire = CONTAINER_OF(op, struct acquire, op);
    const struct store_lock_view *view = result->err == TENURE_OK ? result->as.inspect : NULL;
    for (uint32_t index = 0; view != NULL && index < view->holder_count; index++) {
        if (strcmp(view->holders[index].owner, acquire->hold->owner) != 0) continue;
        sweep_release(acquire, view->holders[index].token);
        return;
    }
    for (uint32_t index = 0; view != NULL && index < view->waiters_here; index++) {
        if (strcmp(view->waiters[index].owner, acquire->hold->owner) != 0) continue;
        sweep_waiter(acquire);
        return;
    }
    on_swept(op, result);
}

static void sweep_next(struct acquire *acquire)
{
    struct client *client = acquire->client;
    bool is_over = acquire->sweep_index >= acquire->hold->name_count || client->is_closed ||
                   tni_store_now().ns >= acquire->sweep_until.ns;
    if (is_over) {
        drop_hold(acquire);
        free_acquire(acquire);
        return;
    }
    acquire->op = (struct store_op){
        .request = { .verb = STORE_INSPECT,
                     .deadline = acquire->sweep_until,
                     .patience_ns = (int64_t)client->timeout_ms * NS_PER_MS / 2 },
        .done = on_looked,
    };
    acquire->op.request.as.inspect.name = acquire->hold->names[acquire->sweep_index];
    tni_store_start(client->store, &acquire->op);
}

static void sweep(struct acquire *acquire)
{
    uint32_t ttl_ms = acquire->terms.ttl_ms;
    acquire->state = ACQUIRE_SWEEPING;
    acquire->sweep_index = 0;
    /* After its ttl nothing is left of it; without one, a minute must do. */
    acquire->sweep_until =
        tni_deadline(ttl_ms == 0 || ttl_ms > SWEEP_MS_MAX ? SWEEP_MS_MAX : ttl_ms);
    sweep_next(acquire);
}

/* ------------------------------------------------------------------ outcomes */

static void copy_cut(char *out_text, size_t text_size, const char *text)
{
    (void)snprintf(out_text, text_size, "%s", text);
}

static void describe(
    const struct acquire *acquire,
    const struct store_result *result,
    struct tenure_obstacle *out_obstacle)
{
    const struct store_lock_view *view = result->as.acquire.obstacle;
    struct timespec wall;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    int64_t wall_us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
    *out_obstacle = (struct tenure_obstacle){
        .remaining_ms = -1,
        .retry_after_ms = -1,
        .position = result->as.acquire.position,
        .waited_ms = (tni_store_now().ns - acquire->op.started_at.ns) / NS_PER_MS,
    };
    copy_cut(out_obstacle->name, sizeof(out_obstacle->name), acquire->terms.names[0]);
    if (view == NULL) return;
    copy_cut(out_obstacle->name, sizeof(out_obstacle->name), view->name);
    out_obstacle->retry_after_ms = view->lock_delay_ms;
    if (view->holder_count == 0) return;
    const struct store_holder *holder = &view->holders[0];
    copy_cut(out_obstacle->owner, sizeof(out_obstacle->owner), holder->owner);
    copy_cut(out_obstacle->meta, sizeof(out_obstacle->meta), holder->meta);
    out_obstacle->token = holder->token;
    bool is_known = holder->acquired_at_us != 0;
    out_obstacle->held_for_ms = is_known ? (wall_us - holder->acquired_at_us) / 1000 : -1;
    out_obstacle->remaining_ms = holder->remaining_ms;
    /* Of slots the first to end is enough; of readers all must go. */
    out_obstacle->retry_after_ms = holder->remaining_ms;
    for (uint32_t index = 1; index < view->holder_count; index++) {
        int64_t other_ms = view->holders[index].remaining_ms;
        bool is_any_enough = view->slots > 1;
        bool is_better = is_any_enough ? other_ms < out_obstacle->retry_after_ms
                                       : other_ms > out_obstacle->retry_after_ms;
        if (other_ms >= 0 && is_better) out_obstacle->retry_after_ms = other_ms;
    }
}

static void hand_out(struct acquire *acquire)
{
    struct hold *hold = acquire->hold;
    tni_hold_hand_out(hold);
    tell(acquire, TENURE_OK, NULL);
    free_acquire(acquire);
}

static void on_asked(struct store_op *op, const struct store_result *result);

static void ask(struct acquire *acquire)
{
    struct client *client = acquire->client;
    acquire->state = ACQUIRE_ASKING;
    acquire->op = (struct store_op){
        .request = { .verb = STORE_ACQUIRE,
                     .deadline = tni_deadline(client->timeout_ms),
                     .patience_ns = (int64_t)client->timeout_ms * NS_PER_MS / 2 },
        .done = on_asked,
    };
    acquire->op.request.as.acquire = acquire->terms;
    tni_store_start(client->store, &acquire->op);
}

static void on_confirmed(void *whom, struct hold *hold, bool is_held);

static void on_granted(struct acquire *acquire, const struct store_result *result)
{
    acquire->state = ACQUIRE_CONFIRMING;
    struct mono confirm_by = tni_deadline(acquire->client->timeout_ms);
    if (tni_hold_begin(acquire->hold, result, confirm_by, on_confirmed, acquire)) {
        hand_out(acquire);
    }
}

static void on_asked(struct store_op *op, const struct store_result *result)
{
    struct acquire *acquire = CONTAINER_OF(op, struct acquire, op);
    (void)pthread_mutex_lock(&acquire->client->mutex);
    bool is_canceled = acquire->is_canceled;
    (void)pthread_mutex_unlock(&acquire->client->mutex);
    if (result->err == TENURE_OK && is_canceled) {
        tell(acquire, TENURE_CANCELED, NULL);
        sweep(acquire);
    } else if (result->err == TENURE_OK) {
        on_granted(acquire, result);
    } else {
        struct verdict *verdict = acquire->verdict;
        verdict->has_obstacle = result->err == TENURE_HELD || result->err == TENURE_TIMEOUT;
        if (verdict->has_obstacle) describe(acquire, result, &verdict->obstacle);
        bool is_unsure = result->is_unsure;
        tell(acquire, result->err, result->text);
        if (is_unsure) {
            sweep(acquire);
        } else {
            drop_hold(acquire);
            free_acquire(acquire);
        }
    }
}

/* A grant that could not be confirmed: the hold is taken from its keeper, and swept. */
static void give_up_grant(struct acquire *acquire, enum tenure_err err, const char *text)
{
    struct hold *hold = acquire->hold;
    tni_registry_lock();
    hold->reference_count++; /* tni_hold_end gives the thread's part; the sweep needs one more */
    tni_registry_unlock();
    tni_hold_end(hold);
    hold->client->timer_count++;
    tell(acquire, err, text);
    sweep(acquire);
}

static void on_confirmed(void *whom, struct hold *hold, bool is_held)
{
    struct acquire *acquire = whom;
    (void)hold;
    bool is_waiting = acquire->terms.wait_until.ns > tni_store_now().ns;
    if (is_held) {
        hand_out(acquire);
    } else if (is_waiting && tni_hold_rewind(acquire->hold)) {
        ask(acquire); /* it ended before anybody knew of it: there is time to wait for another */
    } else {
        give_up_grant(
            acquire,
            TENURE_UNKNOWN,
            "the lock was granted, but no answer confirmed it in time; it is given back");
    }
}

/* ------------------------------------------------------------------ the beginning */

/* Cancellation, too, is a task: the same one, queued a second time. */
static void run(struct client *client, struct task *task)
{
    struct acquire *acquire = CONTAINER_OF(task, struct acquire, task);
    (void)pthread_mutex_lock(&client->mutex);
    bool is_canceled = acquire->is_canceled;
    (void)pthread_mutex_unlock(&client->mutex);
    bool is_new = acquire->op.done == NULL;
    if (is_new) {
        client->timer_count++;
        bool has_room = heap_reserve(&client->timers, client->timer_count);
        if (has_room && !is_canceled) {
            ask(acquire);
            return;
        }
        tell(acquire, is_canceled ? TENURE_CANCELED : TENURE_NO_MEMORY, NULL);
        drop_hold(acquire);
        free_acquire(acquire);
    } else if (is_canceled && acquire->state == ACQUIRE_ASKING) {
        tni_store_cancel(client->store, &acquire->op);
    } else if (is_canceled && acquire->state == ACQUIRE_CONFIRMING) {
        give_up_grant(acquire, TENURE_CANCELED, NULL);
    }
}

static uint32_t default_ttl_ms(const struct store *store)
{
    return store->ttl_ms_max < TENURE_TTL_MS_DEFAULT ? store->ttl_ms_max : TENURE_TTL_MS_DEFAULT;
}

static enum tenure_err create_hold(
    struct client *client, const struct tenure_lock_options *options, struct hold **out_hold)
{
    char owner[LIMIT_OWNER_SIZE_MAX + 1];
    struct tenure_lock_options terms = *options;
    if (terms.owner == NULL) {
        if (!tni_owner_make(client, owner)) return TENURE_IO;
        terms.owner = owner;
    }
    return tni_hold_create(client, &terms, out_hold);
}

enum tenure_err tni_acquire_create(
    struct client *client, const struct tenure_lock_options *options, struct acquire **out_acquire)
{
    struct acquire *acquire = memory_take(client->memory, sizeof(*acquire));
    struct verdict *verdict = memory_take(client->memory, sizeof(*verdict));
    struct hold *hold = NULL;
    enum tenure_err err = TENURE_NO_MEMORY;
    if (acquire != NULL && verdict != NULL) err = create_hold(client, options, &hold);
    if (err != TENURE_OK) {
        memory_give(client->memory, verdict, sizeof(*verdict));
        memory_give(client->memory, acquire, sizeof(*acquire));
        return err;
    }
    *verdict = (struct verdict){ .memory = client->memory };
    *acquire = (struct acquire){
        .task = { .run = run }, .client = client, .hold = hold, .verdict = verdict
    };
    list_init(&acquire->link);
    uint32_t ttl_ms = options->ttl_ms == 0 ? default_ttl_ms(client->store) : options->ttl_ms;
    acquire->terms = (struct store_acquire){
        .names = acquire->hold->names,
        .name_count = options->name_count,
        .owner = acquire->hold->owner,
        .meta = acquire->hold->meta,
        .ttl_ms = options->is_unlimited ? 0 : ttl_ms,
        .answer_ns = (int64_t)client->timeout_ms * NS_PER_MS,
        .slots = options->slots,
        .priority = options->priority,
        .lock_delay_ms = options->lock_delay_ms,
        .min_safety = (enum store_safety)options->min_safety,
        .is_shared = options->mode == TENURE_SHARED,
    };
    acquire->id = tni_registry_hold_id(acquire->hold->slot);
    if (options->wait_ms == TENURE_WAIT_FOREVER) {
        acquire->terms.wait_until.ns = INT64_MAX;
    } else if (options->wait_ms > 0) {
        acquire->terms.wait_until = tni_deadline(options->wait_ms);
    }
    *out_acquire = acquire;
    return TENURE_OK;
}

bool tni_acquire_submit(struct acquire *acquire)
{
    struct client *client = acquire->client;
    if (tni_client_enlist(client, &client->acquires, &acquire->link, &acquire->task)) return true;
    struct hold *hold = acquire->hold;
    free_acquire(acquire);
    tni_hold_give(hold);
    tni_hold_give(hold);
    return false;
}

void tni_acquire_cancel(struct client *client, uint64_t id)
{
    (void)pthread_mutex_lock(&client->mutex);
    struct task *task = NULL;
    list_foreach(each, &client->acquires) {
        struct acquire *acquire = CONTAINER_OF(each, struct acquire, link);
        if (acquire->id != id || acquire->is_canceled) continue;
        acquire->is_canceled = true;
        task = &acquire->task;
    }
    /* Queued under the same mutex: the thread cannot free it meanwhile. */
    if (task != NULL) tni_client_queue(client, task);
    (void)pthread_mutex_unlock(&client->mutex);
}

void tni_acquire_close_all(struct client *client)
{
    list_foreach_safe(each, following, &client->acquires) {
        struct acquire *acquire = CONTAINER_OF(each, struct acquire, link);
        /* Those that ask are told by the store. */
        if (acquire->state == ACQUIRE_CONFIRMING) give_up_grant(acquire, TENURE_CANCELED, NULL);
    }
}
