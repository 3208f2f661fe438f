/* acquire - may this owner have these names?
 *
 * In this order: is the request sound; does the owner have them already (the same hold again) or
 * wait for them already (it takes its old place); may grants be made at all; do the slots agree;
 * and then: is there room and nobody before it?  Nothing is made before the decision, and when
 * memory runs out half way everything made is taken back. */
#include "base/utf8.h"
#include "engine/commands.h"
#include "engine/grant.h"
#include "engine/hold.h"
#include "engine/key_commands.h"
#include "engine/lock.h"
#include "engine/output.h"
#include "engine/queue.h"
#include "engine/taker.h"

/* Holders looked at to say when a lock can be free. */
#define HOLDERS_LOOKED_AT 64u

/* A request with its locks looked up once; NULL for a name that is not known. */
struct request {
    const struct engine_command *command;
    const struct engine_acquire *acquire;
    struct lock *locks[LIMIT_NAME_COUNT_MAX];
};

static bool are_names_distinct(const struct engine_acquire *acquire)
{
    for (uint32_t left = 0; left < acquire->name_count; left++) {
        for (uint32_t right = left + 1; right < acquire->name_count; right++) {
            if (bytes_equal(acquire->names[left], acquire->names[right])) return false;
        }
    }
    return true;
}

/* What is wrong with the request; NULL when nothing is. */
static const char *find_fault(const struct engine_acquire *acquire)
{
    if (acquire->name_count == 0 || acquire->name_count > LIMIT_NAME_COUNT_MAX) {
        return "names: 1 to 32 are allowed";
    }
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        struct bytes name = acquire->names[index];
        if (name.size == 0 || name.size > LIMIT_NAME_SIZE_MAX || !utf8_is_plain(name)) {
            return "name: 1 to 255 bytes of UTF-8 without control characters";
        }
    }
    if (acquire->owner.size == 0 || acquire->owner.size > LIMIT_OWNER_SIZE_MAX ||
        !utf8_is_plain(acquire->owner))
    {
        return "owner: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (acquire->meta.size > LIMIT_META_SIZE_MAX || !utf8_is_valid(acquire->meta)) {
        return "meta: up to 4096 bytes of UTF-8";
    }
    if (acquire->ttl_ms != 0 &&
        (acquire->ttl_ms < LIMIT_TTL_MS_MIN || acquire->ttl_ms > LIMIT_TTL_MS_MAX))
    {
        return "ttl_ms: 100 to 86400000, or 0 for until released";
    }
    if (acquire->wait_ms > LIMIT_WAIT_MS_MAX) return "wait_ms: up to 86400000";
    if (acquire->priority > LIMIT_PRIORITY_MAX) return "priority: 0 to 9";
    if (acquire->lock_delay_ms > LIMIT_LOCK_DELAY_MS_MAX) return "lock_delay_ms: up to 3600000";
    if (acquire->slots == 0 || acquire->slots > LIMIT_SLOTS_MAX) return "slots: 1 to 4096";
    if (acquire->mode == ENGINE_SHARED && acquire->slots != 1) {
        return "slots: a shared lock has no slots";
    }
    return are_names_distinct(acquire) ? NULL : "names: one of them is there twice";
}

/* --------------------------------------------------------------- refusals */

/* When the lock can be free at the earliest; -1 when nobody knows: a holder without a ttl, or
 * nobody holds it and others wait.  Of slots the first to end is enough, else all holders must go.
 */
static int64_t retry_after_ms(const struct engine *engine, const struct lock *lock)
{
    bool is_any_enough = lock->slots > 1;
    int64_t after_ms = -1;
    uint32_t count = 0;

    if (lock->queue != NULL && lock->queue->delay_ms > 0) {
        int64_t left_ns = lock->queue->delay_until_ns - engine->time_ns;
        return left_ns > 0 ? (left_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
    }
    list_foreach(link, &lock->holds) {
        struct engine_hold_view view;
        hold_view(hold_from_link(link), engine->time_ns, &view);
        if (view.remaining_ms < 0 && !is_any_enough) return -1;
        bool is_better =
            is_any_enough ? view.remaining_ms < after_ms : view.remaining_ms > after_ms;
        if (view.remaining_ms >= 0 && (after_ms < 0 || is_better)) after_ms = view.remaining_ms;
        if (++count == HOLDERS_LOOKED_AT) break;
    }
    return after_ms;
}

/* The last reply says that this lock is in the way. */
static void add_obstacle(
    struct engine *engine, const struct lock *lock, struct queue_order order, enum tenure_err err)
{
    struct engine_result *result = output_result(engine);
    result->err = err;
    result->name = lock_name(lock);
    result->position = queue_position(lock, order);
    result->retry_after_ms = retry_after_ms(engine, lock);
    if (lock->hold_count > 0) {
        hold_view(hold_from_link(lock->holds.next), engine->time_ns, &result->holder);
    }
    output_depend(engine, lock_last_change(engine, lock));
}

static void refuse_held(
    struct engine *engine,
    const struct engine_command *command,
    const struct lock *lock,
    struct queue_order order)
{
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    reply->err = TENURE_HELD;
    add_obstacle(engine, lock, order, TENURE_HELD);
    engine->counters.refused_held++;
}

/* The name that keeps a waiter waiting. */
static const struct lock *find_obstacle(const struct waiter *waiter)
{
    for (uint32_t index = 0; index < waiter->hold_count; index++) {
        struct hold *hold = waiter->holds[index];
        if (queue_first(hold->lock) != hold ||
            !lock_has_room(hold->lock, (enum engine_mode)hold->mode)) {
            return hold->lock;
        }
    }
    return waiter->holds[0]->lock; /* only the gate was in the way */
}

bool acquire_give_up(struct engine *engine, struct waiter *waiter, enum tenure_err err)
{
    if (!output_reserve(engine, 0, 1, 1)) return false;
    struct engine_reply *reply = output_reply(engine, waiter->client, waiter->tag);
    reply->kind = ENGINE_ACQUIRE;
    reply->err = err;
    add_obstacle(engine, find_obstacle(waiter), waiter_order(waiter), err);
    engine->output.results[engine->output.result_count - 1].waited_ms =
        (engine->time_ns - waiter->arrived_ns) / NS_PER_MS;
    if (err == TENURE_TIMEOUT) engine->counters.refused_timeout++;
    if (err == TENURE_CANCELED) engine->counters.canceled++;
    waiter_remove(engine, waiter);
    return true;
}

/* ------------------------------------------------------------ known owners */

/* The owner holds every name already: the same holds again, with the time that is left. */
static void
repeat(struct engine *engine, const struct engine_command *command, struct hold *const *parties)
{
    const struct engine_acquire *acquire = &command->as.acquire;
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        const struct hold *hold = parties[index];
        struct bytes name = acquire->names[index];
        if (hold->mode == ENGINE_SHARED && acquire->mode == ENGINE_EXCLUSIVE) {
            output_refuse(
                engine,
                command,
                TENURE_DEADLOCK,
                name,
                "mode: this owner holds the name as shared");
            output_depend(engine, hold->lock->last_seq);
            return;
        }
        if (hold->mode != acquire->mode) {
            output_refuse(
                engine,
                command,
                TENURE_INVALID,
                name,
                "mode: this owner holds the name in another mode");
            output_depend(engine, hold->lock->last_seq);
            return;
        }
        if (hold->lock->slots != acquire->slots) {
            output_refuse(engine, command, TENURE_LIMIT_MISMATCH, name, NULL);
            output_depend(engine, hold->lock->last_seq);
            return;
        }
    }
    if (!output_reserve(engine, 0, 1, acquire->name_count)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, acquire->names[0], NULL);
        return;
    }
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        struct engine_result *result = output_result(engine);
        result->name = lock_name(parties[index]->lock);
        result->is_repeat = true;
        hold_view(parties[index], engine->time_ns, &result->hold);
        output_depend(engine, parties[index]->lock->last_seq);
    }
}

static bool is_same_wait(
    const struct waiter *waiter, const struct engine_acquire *acquire, struct hold *const *parties)
{
    if (waiter->hold_count != acquire->name_count) return false;
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        const struct hold *hold = parties[index];
        if (hold == NULL || hold->state != HOLD_WAITING || hold->as.waiter != waiter) return false;
        if (hold->mode != acquire->mode || hold->lock->slots != acquire->slots) return false;
    }
    return true;
}

/* The owner waits already, perhaps on a connection that is dead: the new request takes the place
 * of the old one, which is told so. */
static void
rejoin(struct engine *engine, const struct engine_command *command, struct waiter *waiter)
{
    const struct engine_acquire *acquire = &command->as.acquire;
    if (acquire->wait_ms == 0) {
        refuse_held(engine, command, find_obstacle(waiter), waiter_order(waiter));
        return;
    }
    uint64_t client = waiter->client;
    uint64_t tag = waiter->tag;
    if (!output_reserve(engine, 0, 1, 1) || !waiter_rejoin(engine, waiter, command)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, acquire->names[0], NULL);
        return;
    }
    struct engine_reply *reply = output_reply(engine, client, tag);
    reply->kind = ENGINE_ACQUIRE;
    reply->err = TENURE_CANCELED;
    reply->detail = "a newer request of the same owner has taken this place";
    add_obstacle(engine, find_obstacle(waiter), waiter_order(waiter), TENURE_CANCELED);
    engine->counters.canceled++;
    engine->output.is_waiting = true;
}

/* True when the owner is known to these names, and has been answered. */
static bool answer_known(struct engine *engine, const struct request *request)
{
    const struct engine_command *command = request->command;
    const struct engine_acquire *acquire = request->acquire;
    UNINITIALIZED struct hold *parties[LIMIT_NAME_COUNT_MAX];
    uint32_t held_count = 0;
    uint32_t known_count = 0;
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        const struct lock *lock = request->locks[index];
        parties[index] = NULL;
        if (lock != NULL && lock_is_active(lock)) {
            parties[index] = hold_find(engine, lock, acquire->owner);
        }
        if (parties[index] == NULL) continue;
        known_count++;
        if (hold_is_held(parties[index])) held_count++;
    }

    if (known_count == 0) return false;
    if (held_count == acquire->name_count) {
        repeat(engine, command, parties);
    } else if (
        held_count == 0 && parties[0] != NULL &&
        is_same_wait(parties[0]->as.waiter, acquire, parties))
    {
        rejoin(engine, command, parties[0]->as.waiter);
    } else {
        output_refuse(
            engine,
            command,
            TENURE_INVALID,
            acquire->names[0],
            "owner: it holds or waits for some of these names in another way; use a fresh owner");
        output_depend(engine, engine->seq);
    }
    return true;
}

/* --------------------------------------------------------------- deciding */

static enum tenure_err gate_refusal(const struct engine *engine, uint32_t name_count)
{
    switch (engine->gate) {
    case ENGINE_GATE_OPEN: break;
    case ENGINE_GATE_NO_SPACE: return TENURE_NO_SPACE;
    case ENGINE_GATE_SLOW: return TENURE_UNAVAILABLE;
    case ENGINE_GATE_DRAINING: return TENURE_DRAINING;
    }
    if (!grant_has_tokens(engine, name_count)) return TENURE_UNAVAILABLE;
    if (engine->held_count + name_count > engine->options.hold_count_max) return TENURE_TOO_MANY;
    return TENURE_OK;
}

/* Make the holds that the request is about.  False when there is no memory: what was made is to be
 * taken back then. */
static bool prepare(struct engine *engine, struct request *request, struct hold **holds)
{
    const struct engine_acquire *acquire = request->acquire;
    struct hold_terms terms = { .owner = acquire->owner,
                                .meta = acquire->meta,
                                .mode = acquire->mode,
                                .ttl_ms = acquire->ttl_ms,
                                .lock_delay_ms = acquire->lock_delay_ms };
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        struct lock *lock = request->locks[index];
        if (lock == NULL) lock = lock_obtain(engine, acquire->names[index]);
        holds[index] = lock == NULL ? NULL : hold_create(engine, lock, &terms);
        if (holds[index] != NULL) continue;
        if (lock != NULL) lock_settle(engine, lock);
        return false;
    }
    return true;
}

static void take_back(struct engine *engine, struct hold **holds, uint32_t count)
{
    for (uint32_t index = 0; index < count && holds[index] != NULL; index++) {
        struct lock *lock = holds[index]->lock;
        hold_end(engine, holds[index]);
        lock_settle(engine, lock);
    }
}

/* The first lock that this request would have to wait for; NULL when it can be granted now. */
static const struct lock *find_blocking(const struct request *request, struct queue_order order)
{
    for (uint32_t index = 0; index < request->acquire->name_count; index++) {
        const struct lock *lock = request->locks[index];
        if (lock == NULL) continue;
        if (!lock_has_room(lock, request->acquire->mode) || queue_has_before(lock, order)) {
            return lock;
        }
    }
    return NULL;
}

static const struct lock *find_slots_mismatch(const struct request *request)
{
    for (uint32_t index = 0; index < request->acquire->name_count; index++) {
        const struct lock *lock = request->locks[index];
        if (lock == NULL || lock->slots == request->acquire->slots) continue;
        /* A lock-delay alone fixes nothing: the next holder says how many slots there are. */
        bool is_used = lock->hold_count > 0 || (lock->queue != NULL && lock->queue->count > 0);
        if (is_used) return lock;
    }
    return NULL;
}

/* Grant at once or queue; false when there is no memory. */
static bool carry_out(struct engine *engine, struct request *request, bool is_blocked)
{
    const struct engine_command *command = request->command;
    const struct engine_acquire *acquire = request->acquire;
    UNINITIALIZED struct hold *holds[LIMIT_NAME_COUNT_MAX];
    bool is_done = prepare(engine, request, holds);

    if (is_done && is_blocked) {
        engine->output.is_waiting =
            waiter_create(engine, command, holds, acquire->name_count) != NULL;
        is_done = engine->output.is_waiting;
    } else if (is_done) {
        struct grant grant = { .holds = holds,
                               .hold_count = acquire->name_count,
                               .slots = acquire->slots,
                               .slot = GRANT_SLOT_LOWEST,
                               .client = command->client,
                               .tag = command->tag };
        is_done = grant_holds(engine, &grant);
    }
    if (!is_done) take_back(engine, holds, acquire->name_count);
    return is_done;
}

static void decide(struct engine *engine, struct request *request)
{
    const struct engine_command *command = request->command;
    const struct engine_acquire *acquire = request->acquire;
    enum tenure_err err = gate_refusal(engine, acquire->name_count);
    if (err != TENURE_OK) {
        bool is_slow = engine->gate == ENGINE_GATE_SLOW;
        const char *detail =
            is_slow ? "the disk is not answering: no new grants until it does" : NULL;
        output_refuse(engine, command, err, acquire->names[0], detail);
        return;
    }
    const struct lock *mismatch = find_slots_mismatch(request);
    if (mismatch != NULL) {
        output_refuse(engine, command, TENURE_LIMIT_MISMATCH, lock_name(mismatch), NULL);
        output_depend(engine, mismatch->last_seq);
        return;
    }

    struct queue_order order = queue_order_now(engine, acquire->priority);
    const struct lock *blocking = find_blocking(request, order);
    if (blocking != NULL && acquire->wait_ms == 0) {
        refuse_held(engine, command, blocking, order);
    } else if (blocking != NULL && engine->waiters.count >= engine->options.waiter_count_max) {
        output_refuse(
            engine, command, TENURE_TOO_MANY, lock_name(blocking), "too many requests are waiting");
    } else if (!carry_out(engine, request, blocking != NULL)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, acquire->names[0], NULL);
    }
}

void command_acquire(struct engine *engine, const struct engine_command *command)
{
    const struct engine_acquire *acquire = &command->as.acquire;
    const char *fault = find_fault(acquire);
    if (fault != NULL) {
        struct bytes name = acquire->name_count > 0 ? acquire->names[0] : (struct bytes){ 0 };
        output_refuse(engine, command, TENURE_INVALID, name, fault);
        return;
    }
    UNINITIALIZED struct request request;
    request.command = command;
    request.acquire = acquire;
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        request.locks[index] = lock_find(engine, acquire->names[index]);
    }
    if (!answer_known(engine, &request)) decide(engine, &request);
}

void command_cancel(struct engine *engine, const struct engine_command *command)
{
    struct waiter *waiter = waiter_find(engine, command->client, command->tag);
    struct taker *taker = taker_find(engine, command->client, command->tag);
    struct key_wait *wait = key_wait_find(engine, command->client, command->tag);
    if (wait != NULL) {
        if (key_wait_give_up(engine, wait, TENURE_CANCELED)) return;
        output_refuse(engine, command, TENURE_NO_MEMORY, (struct bytes){ 0 }, NULL);
    } else if (taker != NULL) {
        if (taker_give_up(engine, taker, TENURE_CANCELED)) return;
        output_refuse(engine, command, TENURE_NO_MEMORY, (struct bytes){ 0 }, NULL);
    } else if (waiter == NULL) {
        output_refuse(engine, command, TENURE_NOT_FOUND, (struct bytes){ 0 }, NULL);
    } else if (!acquire_give_up(engine, waiter, TENURE_CANCELED)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, (struct bytes){ 0 }, NULL);
    }
}
