#include "client/hold.h"

#include <string.h>
#include <time.h>

#define ATTEMPT_MS_MAX   60000u
#define PATIENCE_MS_MIN  20u
#define PATIENCE_DIVISOR 4 /* of the ttl: so long without an answer, and another way is tried */

/* ------------------------------------------------------------------ blocks */

static char *copy_text(char *at, const char *text, const char **out_copy)
{
    size_t size = strlen(text) + 1;
    memcpy(at, text, size);
    *out_copy = at;
    return at + size;
}

static size_t size_of_texts(const struct tenure_lock_options *options)
{
    size_t size = strlen(options->owner) + 1;
    if (options->meta != NULL) size += strlen(options->meta) + 1;
    for (uint32_t index = 0; index < options->name_count; index++) {
        size += strlen(options->names[index]) + 1;
    }
    return size;
}

enum tenure_err tni_hold_create(
    struct client *client, const struct tenure_lock_options *options, struct hold **out_hold)
{
    size_t size = sizeof(struct hold) + size_of_texts(options);
    struct hold *hold = memory_take(client->memory, size);
    if (hold == NULL) return TENURE_NO_MEMORY;
    *hold = (struct hold){ .client = client,
                           .memory = client->memory,
                           .reference_count = 2,
                           .size = size,
                           .name_count = options->name_count,
                           .on_state = options->on_state,
                           .user = options->user,
                           .is_passive = options->is_kept_by_caller,
                           .is_sole = options->mode == TENURE_EXCLUSIVE && options->slots <= 1,
                           .timer = { HEAP_INDEX_NONE },
                           .wake_at = { INT64_MAX },
                           .confirm_by = { INT64_MAX } };
    list_init(&hold->link);
    list_init(&hold->asks);
    char *at = (char *)(hold + 1);
    at = copy_text(at, options->owner, &hold->owner);
    if (options->meta != NULL) at = copy_text(at, options->meta, &hold->meta);
    for (uint32_t index = 0; index < options->name_count; index++) {
        at = copy_text(at, options->names[index], &hold->names[index]);
        hold->claims[index].name = hold->names[index];
        hold->claims[index].owner = hold->owner;
    }

    tni_registry_lock();
    hold->slot = tni_registry_add_hold(hold);
    bool has_slot = hold->slot != NULL;
    tni_registry_unlock();
    if (!has_slot) {
        memory_give(client->memory, hold, size);
        return TENURE_TOO_MANY;
    }
    *out_hold = hold;
    return TENURE_OK;
}

void tni_hold_give(struct hold *hold)
{
    tni_registry_lock();
    ASSERT(hold->reference_count > 0);
    bool is_last = --hold->reference_count == 0;
    if (is_last && hold->slot != NULL) tni_registry_remove_hold(hold->slot);
    tni_registry_unlock();
    if (is_last) memory_give(hold->memory, hold, hold->size);
}

bool tni_hold_close_handle(struct hold *hold)
{
    if (hold->slot == NULL) return false;
    tni_registry_remove_hold(hold->slot);
    hold->slot = NULL;
    return true;
}

static void take(struct hold *hold)
{
    tni_registry_lock();
    hold->reference_count++;
    tni_registry_unlock();
}

/* ------------------------------------------------------------------ what others see */

static enum tenure_hold_state public_state(enum keeper_state state)
{
    if (state == KEEPER_HELD) return TENURE_HOLD_HELD;
    return state == KEEPER_AT_RISK ? TENURE_HOLD_AT_RISK : TENURE_HOLD_LOST;
}

static enum tenure_loss public_loss(enum keeper_loss loss)
{
    switch (loss) {
    case KEEPER_LOSS_NONE: return TENURE_LOSS_NONE;
    case KEEPER_LOSS_EXPIRED: return TENURE_LOSS_EXPIRED;
    case KEEPER_LOSS_ENDED: return TENURE_LOSS_ENDED;
    case KEEPER_LOSS_BROKEN: return TENURE_LOSS_BROKEN;
    case KEEPER_LOSS_CLOSED: return TENURE_LOSS_CLOSED;
    }
    UNREACHABLE("all losses have a name");
}

/* Returns the handle, 0 when it is closed. */
static uint64_t publish(struct hold *hold, const struct keeper_update *update)
{
    uint64_t id = 0;
    tni_registry_lock();
    hold->picture = (struct hold_picture){
        .state = public_state(update->state),
        .loss = public_loss(update->loss),
        .ttl_ms = hold->keeper.ttl_ms,
        .is_breaking = tni_keeper_is_breaking(&hold->keeper),
    };
    if (hold->slot != NULL) {
        atomic_store(&hold->slot->valid_until_ns, update->valid_until.ns);
        atomic_store(&hold->slot->token, hold->claims[0].token);
        id = atomic_load(&hold->slot->id);
    }
    tni_registry_unlock();
    return id;
}

static void tell(struct hold *hold, uint64_t id, const struct keeper_update *update)
{
    if (!hold->is_handed_out || hold->on_state == NULL || id == 0) return;
    hold->on_state(
        (struct tenure_hold){ id },
        public_state(update->state),
        public_loss(update->loss),
        hold->user);
}

/* ------------------------------------------------------------------ asks */

/* Answer those who wait for the request of `sent_at`, or for an earlier one. */
static void
answer_asks(struct hold *hold, struct mono sent_at, enum tenure_err err, const char *text)
{
    list_foreach_safe(each, following, &hold->asks) {
        struct ask *ask = CONTAINER_OF(each, struct ask, link);
        if (ask->sent_at.ns > sent_at.ns) continue;
        list_remove(&ask->link);
        ask->done(ask, err, text);
    }
}

static void refuse_asks(struct hold *hold, enum tenure_err err)
{
    answer_asks(hold, (struct mono){ INT64_MAX }, err, NULL);
}

/* ------------------------------------------------------------------ stepping */

static void set_timer(struct hold *hold)
{
    struct client *client = hold->client;
    int64_t at_ns = hold->wake_at.ns;
    if (hold->acquire != NULL && hold->confirm_by.ns < at_ns) at_ns = hold->confirm_by.ns;
    if (at_ns == INT64_MAX || hold->is_ended) {
        heap_remove(&client->timers, &hold->timer);
    } else if (hold->timer.index == HEAP_INDEX_NONE) {
        /* Room was reserved when it began. */
        heap_insert(&client->timers, &hold->timer, at_ns);
    } else {
        heap_move(&client->timers, &hold->timer, at_ns);
    }
    tni_client_arm(client);
}

static void start_attempt(struct hold *hold, const struct keeper_update *update);

static void step(struct hold *hold, struct keeper_event *event)
{
    struct keeper_update update;
    struct timespec wall;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    event->now = tni_store_now();
    event->wall.us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
    tni_keeper_step(&hold->keeper, event, &update);

    hold->wake_at = update.deadline;
    uint64_t id = publish(hold, &update);
    if (update.is_renewing) start_attempt(hold, &update);
    set_timer(hold);
    if (update.state == KEEPER_LOST) refuse_asks(hold, TENURE_LOST);
    if (!update.has_changed) return;
    if (hold->acquire == NULL) {
        tell(hold, id, &update);
    } else if (update.state == KEEPER_HELD || update.state == KEEPER_LOST) {
        struct acquire *acquire = hold->acquire;
        hold->acquire = NULL;
        set_timer(hold);
        tni_acquire_confirmed(acquire, update.state == KEEPER_HELD);
    }
}

/* ------------------------------------------------------------------ renewals */

/* All names of a hold live and die together: the shortest time counts, and any loss. */
static void judge(const struct store_result *result, struct keeper_event *event)
{
    *event = (struct keeper_event){ .kind = KEEPER_FAILED };
    if (result->err != TENURE_OK) return;
    bool is_sure = true;
    event->remaining_ms = -1;
    for (uint32_t index = 0; index < result->as.renew.count; index++) {
        const struct store_renewal *renewal = &result->as.renew.renewals[index];
        bool is_lost = renewal->err == TENURE_LOST || renewal->err == TENURE_NOT_OWNER ||
                       renewal->err == TENURE_STALE_TOKEN || renewal->err == TENURE_NOT_FOUND;
        if (is_lost) {
            event->kind = KEEPER_REFUSED;
            event->loss = renewal->end == STORE_END_BROKEN ? KEEPER_LOSS_BROKEN : KEEPER_LOSS_ENDED;
            return;
        }
        if (renewal->err != TENURE_OK) is_sure = false;
        bool is_shorter = event->remaining_ms < 0 || renewal->remaining_ms < event->remaining_ms;
        if (renewal->remaining_ms >= 0 && is_shorter) event->remaining_ms = renewal->remaining_ms;
        event->ttl_ms = renewal->ttl_ms;
    }
    if (is_sure) event->kind = KEEPER_RENEWED;
}

static enum tenure_err err_of(const struct store_result *result)
{
    if (result->err != TENURE_OK) return result->err;
    for (uint32_t index = 0; index < result->as.renew.count; index++) {
        enum tenure_err err = result->as.renew.renewals[index].err;
        if (err == TENURE_NOT_OWNER || err == TENURE_STALE_TOKEN) return TENURE_LOST;
        if (err != TENURE_OK) return err;
    }
    return TENURE_OK;
}

static void on_attempt_done(struct store_op *op, const struct store_result *result)
{
    struct attempt *attempt = CONTAINER_OF(op, struct attempt, op);
    struct hold *hold = attempt->hold;
    attempt->is_used = false;
    if (!hold->is_ended) {
        struct keeper_event event;
        judge(result, &event);
        event.sent_at = attempt->sent_at;
        step(hold, &event);
        answer_asks(hold, attempt->sent_at, err_of(result), result->text);
    }
    tni_hold_give(hold);
}

static void start_attempt(struct hold *hold, const struct keeper_update *update)
{
    struct attempt *attempt = NULL;
    for (uint32_t index = 0; index < KEEPER_FLIGHT_COUNT_MAX; index++) {
        if (!hold->attempts[index].is_used) attempt = &hold->attempts[index];
    }
    ASSERT(attempt != NULL);
    uint32_t timeout_ms = hold->client->timeout_ms;
    uint32_t limit_ms = update->ttl_ms == 0 ? timeout_ms : update->ttl_ms;
    uint32_t patience_ms = limit_ms / PATIENCE_DIVISOR;
    if (limit_ms > ATTEMPT_MS_MAX) limit_ms = ATTEMPT_MS_MAX;
    if (!list_is_empty(&hold->asks) && limit_ms > timeout_ms) limit_ms = timeout_ms;
    if (patience_ms > timeout_ms / 2) patience_ms = timeout_ms / 2;
    if (patience_ms < PATIENCE_MS_MIN) patience_ms = PATIENCE_MS_MIN;
    attempt->hold = hold;
    attempt->sent_at = update->sent_at;
    attempt->is_used = true;
    attempt->op = (struct store_op){
        .request = { .verb = STORE_RENEW,
                     .deadline = { update->sent_at.ns + (int64_t)limit_ms * NS_PER_MS },
                     .patience_ns = (int64_t)patience_ms * NS_PER_MS },
        .done = on_attempt_done,
    };
    attempt->op.request.as.renew.claims = hold->claims;
    attempt->op.request.as.renew.count = hold->name_count;
    attempt->op.request.as.renew.ttl_ms = update->ttl_ms;
    take(hold);
    tni_store_start(hold->client->store, &attempt->op);
}

void tni_hold_ask(struct hold *hold, uint32_t ttl_ms, struct ask *ask)
{
    bool is_full = true;
    for (uint32_t index = 0; index < KEEPER_FLIGHT_COUNT_MAX; index++) {
        if (!hold->attempts[index].is_used) is_full = false;
    }
    list_init(&ask->link);
    if (hold->is_ended || hold->keeper.state == KEEPER_LOST) {
        ask->done(ask, TENURE_LOST, NULL);
    } else if (is_full) {
        ask->done(ask, TENURE_UNAVAILABLE, "earlier renewals have not been answered yet");
    } else {
        struct keeper_event event = { .kind = KEEPER_ASKED,
                                      .ttl_ms = ttl_ms == 0 ? hold->keeper.ttl_ms : ttl_ms };
        ask->sent_at = tni_store_now();
        list_append(&hold->asks, &ask->link);
        step(hold, &event);
    }
}

void tni_hold_hint(struct hold *hold)
{
    struct keeper_event event = { .kind = KEEPER_HINT };
    step(hold, &event);
}

void tni_hold_on_time(struct hold *hold)
{
    if (hold->acquire != NULL && tni_store_now().ns >= hold->confirm_by.ns) {
        struct acquire *acquire = hold->acquire;
        hold->acquire = NULL;
        set_timer(hold);
        tni_acquire_confirmed(acquire, false);
        return;
    }
    struct keeper_event event = { .kind = KEEPER_TIME };
    step(hold, &event);
}

/* ------------------------------------------------------------------ begin and end */

bool tni_hold_begin(struct hold *hold, const struct store_result *result, struct mono confirm_by)
{
    struct client *client = hold->client;
    struct keeper_event event = { .kind = KEEPER_GRANTED,
                                  .sent_at = result->sent_at,
                                  .remaining_ms = -1 };
    for (uint32_t index = 0; index < result->as.acquire.grant_count; index++) {
        const struct store_grant *grant = &result->as.acquire.grants[index];
        hold->claims[index].token = grant->token;
        hold->slots[index] = grant->slot;
        bool is_shorter = event.remaining_ms < 0 || grant->remaining_ms < event.remaining_ms;
        if (grant->remaining_ms >= 0 && is_shorter) event.remaining_ms = grant->remaining_ms;
        event.ttl_ms = grant->ttl_ms;
    }
    struct keeper_options options = { .ttl_ms = event.ttl_ms,
                                      .clock_error_ppm = client->clock_error_ppm,
                                      .is_passive = hold->is_passive };
    tni_keeper_init(&hold->keeper, &options);
    hold->wake_at = (struct mono){ INT64_MAX };
    list_append(&client->holds, &hold->link);
    struct acquire *acquire = hold->acquire;
    hold->acquire = NULL; /* what is held at once needs no confirmation */
    step(hold, &event);
    if (hold->keeper.state == KEEPER_HELD) return true;
    hold->acquire = acquire;
    hold->confirm_by = confirm_by;
    set_timer(hold);
    return false;
}

bool tni_hold_rewind(struct hold *hold)
{
    for (uint32_t index = 0; index < KEEPER_FLIGHT_COUNT_MAX; index++) {
        if (hold->attempts[index].is_used) return false;
    }
    if (hold->keeper.state != KEEPER_LOST) return false;
    list_remove(&hold->link);
    return true;
}

void tni_hold_hand_out(struct hold *hold)
{
    hold->is_handed_out = true;
    tni_registry_lock();
    if (hold->slot != NULL) tni_registry_hand_out(hold->slot);
    tni_registry_unlock();
    tni_client_mind_alarm(hold->client);
}

/* No timer, no renewal, no word to anybody any more. */
static void quiet(struct hold *hold)
{
    struct keeper_event event = { .kind = KEEPER_RELEASED, .now = tni_store_now() };
    struct keeper_update update;
    if (hold->keeper.state != KEEPER_ENDED) tni_keeper_step(&hold->keeper, &event, &update);
    hold->is_ended = true;
    hold->acquire = NULL;
    hold->client->timer_count--;
    set_timer(hold);
    list_remove(&hold->link);
    refuse_asks(hold, TENURE_LOST);
    for (uint32_t index = 0; index < KEEPER_FLIGHT_COUNT_MAX; index++) {
        struct attempt *attempt = &hold->attempts[index];
        if (attempt->is_used) tni_store_cancel(hold->client->store, &attempt->op);
    }
    tni_client_mind_alarm(hold->client);
}

void tni_hold_end(struct hold *hold)
{
    quiet(hold);
    tni_hold_give(hold);
}

enum tenure_end tni_hold_end_of(enum store_end end)
{
    switch (end) {
    case STORE_END_RELEASED: return TENURE_END_RELEASED;
    case STORE_END_EXPIRED_UNCLAIMED: return TENURE_END_EXPIRED_UNCLAIMED;
    case STORE_END_EXPIRED_TAKEN: return TENURE_END_EXPIRED_TAKEN;
    case STORE_END_BROKEN: return TENURE_END_BROKEN;
    case STORE_END_NOT_OWNER: return TENURE_END_NOT_OWNER;
    }
    UNREACHABLE("all ends have a name");
}

static void release_next(struct hold *hold);

static void on_released(struct store_op *op, const struct store_result *result)
{
    struct hold *hold = CONTAINER_OF(op, struct hold, release);
    enum tenure_end end = TENURE_END_UNKNOWN;
    if (result->err == TENURE_OK) {
        end = tni_hold_end_of(result->as.release.end);
        if (hold->release_successor == 0) hold->release_successor = result->as.release.successor;
    } else if (hold->release_err == TENURE_OK) {
        hold->release_err = result->err;
    }
    /* The order of the names is the order of what they mean. */
    if (end > hold->release_end) hold->release_end = end;
    hold->release_index++;
    release_next(hold);
}

static void release_next(struct hold *hold)
{
    struct client *client = hold->client;
    if (hold->release_index == hold->name_count) {
        if (hold->release_fn != NULL) {
            hold->release_fn(
                hold->release_err, hold->release_end, hold->release_successor, hold->release_user);
        }
        tni_hold_give(hold);
        return;
    }
    hold->release = (struct store_op){
        .request = { .verb = STORE_RELEASE,
                     .deadline = hold->release_deadline,
                     .patience_ns = (int64_t)client->timeout_ms * NS_PER_MS / 2 },
        .done = on_released,
    };
    hold->release.request.as.release = hold->claims[hold->release_index];
    tni_store_start(client->store, &hold->release);
}

void tni_hold_release(struct hold *hold, tenure_release_fn fn, void *user)
{
    quiet(hold);
    hold->release_fn = fn;
    hold->release_user = user;
    hold->release_deadline = tni_deadline(hold->client->timeout_ms);
    hold->release_index = 0;
    hold->release_err = TENURE_OK;
    hold->release_end = TENURE_END_RELEASED;
    hold->release_successor = 0;
    release_next(hold);
}

void tni_hold_close_all(struct client *client)
{
    struct list *first;
    while ((first = list_first(&client->holds)) != NULL) {
        struct hold *hold = CONTAINER_OF(first, struct hold, link);
        struct keeper_event event = { .kind = KEEPER_CLOSED };
        step(hold, &event);
        tni_registry_lock();
        bool was_open = tni_hold_close_handle(hold);
        tni_registry_unlock();
        if (was_open) tni_hold_give(hold);
        tni_hold_end(hold);
    }
}
