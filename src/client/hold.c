#include "client/hold.h"

#include <fcntl.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "client/taken.h"

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
                           .on_at_risk = options->on_at_risk,
                           .on_held = options->on_held,
                           .on_lost = options->on_lost,
                           .user = options->user,
                           .is_passive = options->is_kept_by_caller,
                           .is_sole = options->mode == TENURE_EXCLUSIVE && options->slots <= 1,
                           .timer = { HEAP_INDEX_NONE },
                           .loss_fd = -1,
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

struct hold *tni_hold_take(struct tenure_hold handle, struct client **out_client)
{
    tni_registry_lock();
    struct hold *hold = tni_registry_find_hold(handle.id);
    if (hold != NULL) {
        hold->reference_count++;
        if (out_client != NULL) *out_client = tni_client_take_of(hold->client);
    }
    tni_registry_unlock();
    return hold;
}

void tni_hold_give(struct hold *hold)
{
    tni_registry_lock();
    ASSERT(hold->reference_count > 0);
    bool is_last = --hold->reference_count == 0;
    if (is_last && hold->slot != NULL) tni_registry_remove_hold(hold->slot);
    tni_registry_unlock();
    if (!is_last) return;
    tni_taken_destroy(hold->taken);
    memory_give(hold->memory, hold, hold->size);
}

static void close_loss_fd(struct hold *hold);

bool tni_hold_close_handle(struct hold *hold)
{
    if (hold->slot == NULL) return false;
    tni_registry_remove_hold(hold->slot);
    hold->slot = NULL;
    close_loss_fd(hold);
    return true;
}

struct hold *tni_hold_close(struct tenure_hold handle)
{
    struct mono now = tni_store_now();
    tni_registry_lock();
    struct hold *hold = tni_registry_find_hold(handle.id);
    if (hold != NULL && !tni_hold_close_handle(hold)) hold = NULL;
    if (hold != NULL) {
        hold->released_at = now;
        (void)tni_client_take_of(hold->client);
    }
    tni_registry_unlock();
    return hold;
}

static void take(struct hold *hold)
{
    tni_registry_lock();
    hold->reference_count++;
    tni_registry_unlock();
}

/* ------------------------------------------------------------------ the descriptor of the loss */

/* A timer of the system: it is on time whatever this process does.  It is set to the deadline, and
 * to a time long past when the loss is known before. */

static bool has_passed(int64_t at_ns)
{
    return at_ns <= tni_store_now().ns;
}

/* False: it had become readable before the new deadline was known, and stays so. */
static bool set_loss_fd(struct hold *hold, int64_t at_ns)
{
    struct itimerspec before = { { 0, 0 }, { 0, 0 } };
    struct itimerspec timer = { { 0, 0 }, { 0, 1 } };
    if (hold->loss_fd < 0 || at_ns == hold->loss_at_ns) return true;
    bool was_set = hold->loss_at_ns != INT64_MAX;
    if (at_ns > 1) timer.it_value = (struct timespec){ at_ns / NS_PER_S, at_ns % NS_PER_S };
    if (at_ns == INT64_MAX) timer.it_value = (struct timespec){ 0, 0 };
    int failure = timerfd_settime(hold->loss_fd, TFD_TIMER_ABSTIME, &timer, &before);
    ASSERT(failure == 0);
    hold->loss_at_ns = at_ns;
    bool was_over = was_set && before.it_value.tv_sec == 0 && before.it_value.tv_nsec == 0;
    if (!was_over || has_passed(at_ns)) return true;
    timer.it_value = (struct timespec){ 0, 1 };
    failure = timerfd_settime(hold->loss_fd, TFD_TIMER_ABSTIME, &timer, NULL);
    ASSERT(failure == 0);
    hold->loss_at_ns = INT64_MIN;
    return false;
}

static void close_loss_fd(struct hold *hold)
{
    if (hold->loss_fd < 0) return;
    (void)set_loss_fd(hold, INT64_MIN);
    (void)close(hold->loss_fd);
    hold->loss_fd = -1;
}

enum tenure_err tni_hold_loss_fd(struct hold *hold, int *out_fd)
{
    if (hold->loss_fd < 0) {
        hold->loss_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (hold->loss_fd < 0) return TENURE_NO_MEMORY;
        hold->loss_at_ns = INT64_MAX;
        (void)set_loss_fd(hold, atomic_load(&hold->slot->valid_until_ns));
    }
    int fd = fcntl(hold->loss_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return TENURE_NO_MEMORY;
    *out_fd = fd;
    return TENURE_OK;
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

/* Returns the handle, 0 when it is closed.  `*out_is_late`: who waits for the loss has been told
 * already that it is over. */
static uint64_t publish(struct hold *hold, const struct keeper_update *update, bool *out_is_late)
{
    uint64_t id = 0;
    bool is_good = update->state == KEEPER_HELD || update->state == KEEPER_AT_RISK;
    tni_registry_lock();
    hold->picture = (struct hold_picture){
        .state = public_state(update->state),
        .loss = public_loss(update->loss),
        .ttl_ms = hold->keeper.ttl_ms,
        .is_breaking = tni_keeper_is_breaking(&hold->keeper),
    };
    /* Who sees the descriptor readable must not find the hold valid. */
    bool is_sooner =
        hold->slot != NULL && update->valid_until.ns < atomic_load(&hold->slot->valid_until_ns);
    if (is_sooner) atomic_store(&hold->slot->valid_until_ns, update->valid_until.ns);
    *out_is_late = !set_loss_fd(hold, update->valid_until.ns) && is_good;
    if (hold->slot != NULL) {
        atomic_store(&hold->slot->valid_until_ns, update->valid_until.ns);
        atomic_store(&hold->slot->token, hold->claims[0].token);
        id = atomic_load(&hold->slot->id);
    }
    tni_registry_unlock();
    if (is_good) {
        hold->good_until = update->valid_until;
        hold->confirmed_at = hold->keeper.confirmed_at;
    }
    return id;
}

/* ------------------------------------------------------------------ news */

static void tell_news(struct client *client, struct notice *notice)
{
    struct hold *hold = CONTAINER_OF(notice, struct hold, news.notice);
    (void)pthread_mutex_lock(&client->mutex);
    struct hold_news news = hold->news;
    hold->news.told = news.state;
    hold->news.was_told_cancel = news.is_cancelling;
    (void)pthread_mutex_unlock(&client->mutex);
    struct tenure_hold handle = { news.id };
    bool is_cancel = !news.is_hushed && news.is_cancelling && !news.was_told_cancel;
    if (is_cancel && hold->on_cancel != NULL) hold->on_cancel(handle, hold->user);
    bool is_news = !news.is_hushed && news.state != news.told;
    if (is_news && news.state == TENURE_HOLD_LOST) {
        if (hold->on_lost != NULL) hold->on_lost(handle, news.loss, hold->user);
    } else if (is_news) {
        bool is_risk = news.state == TENURE_HOLD_AT_RISK;
        tenure_risk_fn fn = is_risk ? hold->on_at_risk : hold->on_held;
        if (fn != NULL) fn(handle, tenure_hold_remaining_ms(handle), hold->user);
    }
    tni_hold_give(hold);
}

static void announce(struct hold *hold, uint64_t id, const struct keeper_update *update)
{
    struct client *client = hold->client;
    bool is_heard = hold->on_at_risk != NULL || hold->on_held != NULL || hold->on_lost != NULL;
    if (!hold->is_handed_out || !is_heard || id == 0) return;
    take(hold);
    (void)pthread_mutex_lock(&client->mutex);
    hold->news.id = id;
    hold->news.state = public_state(update->state);
    hold->news.loss = public_loss(update->loss);
    hold->news.notice.tell = tell_news;
    (void)pthread_mutex_unlock(&client->mutex);
    if (!tni_notice_post(client, &hold->news.notice)) tni_hold_give(hold);
}

/* Somebody has cancelled the item. */
static void announce_cancel(struct hold *hold)
{
    struct client *client = hold->client;
    tni_registry_lock();
    bool is_open = hold->slot != NULL;
    uint64_t id = is_open ? tni_registry_hold_id(hold->slot) : 0;
    hold->taken->is_cancelling = true;
    tni_registry_unlock();
    if (!is_open || hold->on_cancel == NULL) return;
    take(hold);
    (void)pthread_mutex_lock(&client->mutex);
    hold->news.id = id;
    hold->news.is_cancelling = true;
    hold->news.notice.tell = tell_news;
    bool is_told = hold->news.was_told_cancel;
    (void)pthread_mutex_unlock(&client->mutex);
    if (is_told || !tni_notice_post(client, &hold->news.notice)) tni_hold_give(hold);
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
    if (hold->whom != NULL && hold->confirm_by.ns < at_ns) at_ns = hold->confirm_by.ns;
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

static void tell_confirmed(struct hold *hold, bool is_held)
{
    void *whom = hold->whom;
    hold->whom = NULL;
    set_timer(hold);
    hold->confirmed(whom, hold, is_held);
}

static void step(struct hold *hold, struct keeper_event *event)
{
    struct keeper_update update;
    struct timespec wall;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    event->now = tni_store_now();
    event->wall.us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
    bool is_late;
    tni_keeper_step(&hold->keeper, event, &update);
    uint64_t id = publish(hold, &update, &is_late);
    if (is_late) {
        /* What one has been told, all are told. */
        event->kind = KEEPER_REFUSED;
        event->loss = KEEPER_LOSS_EXPIRED;
        tni_keeper_step(&hold->keeper, event, &update);
        id = publish(hold, &update, &is_late);
    }
    hold->wake_at = update.deadline;
    if (update.is_renewing) start_attempt(hold, &update);
    set_timer(hold);
    if (update.state == KEEPER_LOST) refuse_asks(hold, TENURE_LOST);
    if (!update.has_changed) return;
    if (hold->whom == NULL) {
        announce(hold, id, &update);
    } else if (update.state == KEEPER_HELD || update.state == KEEPER_LOST) {
        tell_confirmed(hold, update.state == KEEPER_HELD);
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
        event->is_breaking = event->is_breaking || renewal->is_breaking;
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

static bool is_told_to_cancel(const struct store_result *result)
{
    return result->as.renew.count == 1 && result->as.renew.renewals[0].is_cancelling;
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
        bool is_cancelling =
            hold->taken != NULL && event.kind == KEEPER_RENEWED && is_told_to_cancel(result);
        step(hold, &event);
        if (is_cancelling && !hold->is_ended) announce_cancel(hold);
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
    if (hold->taken != NULL) {
        attempt->op.request.verb = STORE_EXTEND;
        attempt->op.request.as.extend.claims = &hold->taken->claim;
        attempt->op.request.as.extend.count = 1;
        attempt->op.request.as.extend.lease_ms = update->ttl_ms;
    } else {
        attempt->op.request.as.renew.claims = hold->claims;
        attempt->op.request.as.renew.count = hold->name_count;
        attempt->op.request.as.renew.ttl_ms = update->ttl_ms;
    }
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
    if (hold->whom != NULL && tni_store_now().ns >= hold->confirm_by.ns) {
        tell_confirmed(hold, false);
        return;
    }
    struct keeper_event event = { .kind = KEEPER_TIME };
    step(hold, &event);
}

/* ------------------------------------------------------------------ begin and end */

bool tni_hold_begin(
    struct hold *hold,
    const struct store_result *result,
    struct mono confirm_by,
    confirmed_fn confirmed,
    void *whom)
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
    step(hold, &event);
    if (hold->keeper.state == KEEPER_HELD) return true; /* and needs no confirmation */
    hold->whom = whom;
    hold->confirmed = confirmed;
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
    hold->whom = NULL;
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

/* For how long may somebody else have been in, before the release was called?  The server lets
 * nobody in before the deadline that was believed; who ended the hold in another way did so behind
 * the last request that was confirmed. */
static int64_t overlap_ms(const struct hold *hold, enum tenure_end end)
{
    int64_t since_ns = hold->confirmed_at.ns;
    switch (end) {
    case TENURE_END_RELEASED:
        /* By somebody else, perhaps, who had our words. */
        if (hold->keeper.loss != KEEPER_LOSS_ENDED) return 0;
        break;
    case TENURE_END_EXPIRED_UNCLAIMED: return 0;
    case TENURE_END_EXPIRED_TAKEN:
        if (hold->good_until.ns < hold->released_at.ns) since_ns = hold->good_until.ns;
        break;
    case TENURE_END_BROKEN: break;
    case TENURE_END_NOT_OWNER:
    case TENURE_END_UNKNOWN: return -1;
    }
    int64_t span_ns = hold->released_at.ns - since_ns;
    return span_ns <= 0 ? 0 : (span_ns + NS_PER_MS - 1) / NS_PER_MS;
}

static void tell_release(struct client *client, struct notice *notice)
{
    struct hold *hold = CONTAINER_OF(notice, struct hold, release_notice);
    (void)client;
    if (hold->release_fn != NULL) {
        hold->release_fn(hold->release_err, &hold->release_told, hold->release_user);
    }
    tni_hold_give(hold);
}

static void release_next(struct hold *hold);

static void on_released(struct store_op *op, const struct store_result *result)
{
    struct hold *hold = CONTAINER_OF(op, struct hold, release);
    struct tenure_release *told = &hold->release_told;
    enum tenure_end end = TENURE_END_UNKNOWN;
    if (hold->taken != NULL) {
        if (result->err == TENURE_OK) end = TENURE_END_RELEASED;
        if (result->err == TENURE_LOST) end = TENURE_END_NOT_OWNER;
        if (end == TENURE_END_UNKNOWN) hold->release_err = result->err;
    } else if (result->err == TENURE_OK) {
        end = tni_hold_end_of(result->as.release.end);
        if (told->successor == 0) told->successor = result->as.release.successor;
    } else if (hold->release_err == TENURE_OK) {
        hold->release_err = result->err;
    }
    /* The order of the names is the order of what they mean. */
    if (end > told->end) told->end = end;
    hold->release_index++;
    release_next(hold);
}

static void release_next(struct hold *hold)
{
    struct client *client = hold->client;
    if (hold->release_index == hold->name_count) {
        hold->release_told.overlap_ms = overlap_ms(hold, hold->release_told.end);
        hold->release_notice.tell = tell_release;
        if (hold->is_waited_for || hold->release_fn == NULL) {
            tell_release(client, &hold->release_notice);
        } else {
            tni_notice_post(client, &hold->release_notice);
        }
        return;
    }
    hold->release = (struct store_op){
        .request = { .verb = STORE_RELEASE,
                     .deadline = hold->release_deadline,
                     .patience_ns = (int64_t)client->timeout_ms * NS_PER_MS / 2 },
        .done = on_released,
    };
    hold->release.request.as.release = hold->claims[hold->release_index];
    if (hold->taken != NULL) { /* given back as if it had not been taken */
        hold->release.request.verb = STORE_FINISH;
        hold->release.request.as.finish = (struct store_finish){ .kind = STORE_FINISH_FAIL,
                                                                 .claim = hold->taken->claim,
                                                                 .is_free = true };
    }
    tni_store_start(client->store, &hold->release);
}

void tni_hold_release(struct hold *hold)
{
    quiet(hold);
    hold->release_deadline = tni_deadline(hold->client->timeout_ms);
    hold->release_index = 0;
    hold->release_err = TENURE_OK;
    hold->release_told = (struct tenure_release){ .end = TENURE_END_RELEASED };
    release_next(hold);
}

void tni_hold_hush(struct hold *hold)
{
    (void)pthread_mutex_lock(&hold->client->mutex);
    hold->news.is_hushed = true;
    (void)pthread_mutex_unlock(&hold->client->mutex);
    if (tni_notice_withdraw(hold->client, &hold->news.notice)) tni_hold_give(hold);
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
