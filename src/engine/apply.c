#include "engine/apply.h"

#include "engine/change_apply.h"
#include "engine/hold.h"
#include "engine/lock.h"
#include "engine/output.h"
#include "engine/queue.h"
#include "engine/work_apply.h"

static bool reserve_pending(struct engine *engine, uint32_t count)
{
    struct pending *pending = &engine->pending;
    uint64_t used = pending->tail - pending->head;
    if (pending->capacity - used >= count) return true;

    uint64_t capacity = pending->capacity == 0 ? 64 : pending->capacity;
    while (capacity - used < count) {
        capacity *= 2;
    }
    struct pending_entry *entries = memory_take(engine->memory, capacity * sizeof *entries);
    if (entries == NULL) return false;
    for (uint64_t index = pending->head; index < pending->tail; index++) {
        entries[index & (capacity - 1)] = pending->entries[index & (pending->capacity - 1)];
    }
    memory_give(engine->memory, pending->entries, pending->capacity * sizeof *entries);
    pending->entries = entries;
    pending->capacity = capacity;
    return true;
}

bool apply_reserve_grants(struct engine *engine, uint32_t count)
{
    uint32_t timers_wanted = engine->held_count + count - engine->hold_timers.count;
    return heap_reserve(&engine->hold_timers, timers_wanted) && reserve_pending(engine, count);
}

static void push_pending(struct engine *engine, struct hold *hold, struct seq seq)
{
    struct pending *pending = &engine->pending;
    ASSERT(pending->tail - pending->head < pending->capacity);
    hold->as.pending_index = pending->tail;
    pending->entries[pending->tail & (pending->capacity - 1)] = (struct pending_entry){ seq, hold };
    pending->tail++;
}

/* By slot, then by token; nearly always at the end. */
static void link_held(struct lock *lock, struct hold *hold)
{
    struct list *before = &lock->holds;
    while (before->previous != &lock->holds) {
        const struct hold *other = hold_from_link(before->previous);
        if (other->slot < hold->slot ||
            (other->slot == hold->slot && other->token.value < hold->token.value))
        {
            break;
        }
        before = before->previous;
    }
    list_insert_before(before, &hold->link);
}

void apply_held(struct engine *engine, struct hold *hold, const struct record *record)
{
    struct lock *lock = hold->lock;
    lock->slots = (uint16_t)record->slots;
    lock->hold_count++;
    engine->held_count++;
    hold->token = record->token;
    hold->slot = (uint16_t)record->slot;
    hold->acquired_at = record->at;
    list_remove(&hold->link);
    link_held(lock, hold);
    if (engine->is_restoring) {
        hold_move(hold, HOLD_LIVE);
        hold->as.deadline_ns = INT64_MAX;
    } else {
        hold_move(hold, HOLD_PENDING);
        push_pending(engine, hold, record->seq);
    }
}

void apply_granted(struct engine *engine, struct hold *hold, const struct record *record)
{
    ASSERT(lock_has_room(hold->lock, record->mode));
    ASSERT(record->token.value > engine->token_high.value);
    engine->token_high = record->token;
    apply_held(engine, hold, record);
}

static void begin_delay(struct engine *engine, struct lock *lock, uint32_t delay_ms)
{
    struct queue *queue = lock->queue;
    ASSERT(queue != NULL); /* made when a hold with a delay was granted */
    int64_t until_ns = engine->time_ns + (int64_t)delay_ms * NS_PER_MS;
    queue->delay_ms = delay_ms;
    queue->delay_until_ns = until_ns;
    if (engine->is_restoring) return; /* the timer starts when the restored holds' do */
    heap_remove(&engine->delay_timers, &queue->delay_timer);
    heap_insert(&engine->delay_timers, &queue->delay_timer, until_ns);
}

void apply_ended(struct engine *engine, struct hold *hold, const struct record *record)
{
    struct lock *lock = hold->lock;
    ASSERT(hold_is_held(hold) && lock->hold_count > 0 && engine->held_count > 0);

    lock->hold_count--;
    engine->held_count--;
    hold_end(engine, hold);
    if (record->lock_delay_ms > 0) begin_delay(engine, lock, record->lock_delay_ms);
    queue_changed(engine, lock);
    lock_settle(engine, lock);
}

void apply_renewed(struct engine *engine, struct hold *hold, const struct record *record)
{
    hold->ttl_ms = record->ttl_ms;
    hold->is_ttl_changed = !engine->is_restoring;
}

struct breaking *apply_make_breaking(struct engine *engine, uint32_t grace_ms, struct bytes reason)
{
    ASSERT(reason.size <= LIMIT_REASON_SIZE_MAX);
    struct breaking *breaking = memory_take(engine->memory, sizeof *breaking + reason.size);
    if (breaking == NULL) return NULL;
    *breaking = (struct breaking){ .deadline_ns = engine->time_ns + (int64_t)grace_ms * NS_PER_MS,
                                   .grace_ms = grace_ms,
                                   .reason_size = (uint32_t)reason.size };
    if (reason.size > 0) memcpy(breaking->reason, reason.data, reason.size);
    return breaking;
}

void apply_breaking(struct engine *engine, struct hold *hold, struct breaking *breaking)
{
    if (hold->breaking != NULL) {
        memory_give(
            engine->memory, hold->breaking, sizeof *hold->breaking + hold->breaking->reason_size);
    }
    hold->breaking = breaking;
}

void apply_proclaimed(struct engine *engine, struct hold *hold, char *meta, size_t meta_size)
{
    hold_set_meta(engine, hold, meta, meta_size);
}

void apply_available(struct engine *engine, struct lock *lock)
{
    struct queue *queue = lock->queue;
    ASSERT(queue != NULL && queue->delay_ms > 0);
    heap_remove(&engine->delay_timers, &queue->delay_timer);
    queue->delay_ms = 0;
    queue_changed(engine, lock);
    lock_settle(engine, lock);
}

/* -------------------------------------------------------------- restoring */

static bool is_slot_taken(const struct lock *lock, uint32_t slot)
{
    list_foreach(link, &lock->holds) {
        if (hold_from_link(link)->slot == slot) return true;
    }
    return false;
}

static enum tenure_err
restore_granted(struct engine *engine, struct lock *lock, const struct record *record)
{
    bool has_conflict =
        lock->hold_count > 0 && (lock_mode(lock) != record->mode || lock->slots != record->slots);
    if (has_conflict || !lock_has_room(lock, record->mode) ||
        record->token.value <= engine->token_high.value ||
        hold_find(engine, lock, record->owner) != NULL)
    {
        return TENURE_CORRUPT;
    }
    if (record->mode == ENGINE_EXCLUSIVE && is_slot_taken(lock, record->slot)) {
        return TENURE_CORRUPT;
    }

    if (record->lock_delay_ms > 0 && lock_queue(engine, lock) == NULL) return TENURE_NO_MEMORY;
    struct hold_terms terms = { .owner = record->owner,
                                .meta = record->meta,
                                .mode = record->mode,
                                .ttl_ms = record->ttl_ms,
                                .lock_delay_ms = record->lock_delay_ms };
    struct hold *hold = hold_create(engine, lock, &terms);
    if (hold == NULL) return TENURE_NO_MEMORY;
    apply_granted(engine, hold, record);
    return TENURE_OK;
}

/* Everything else happens to a hold that exists. */
static enum tenure_err
restore_change(struct engine *engine, struct hold *hold, const struct record *record)
{
    switch (record->kind) {
    case RECORD_RENEWED: apply_renewed(engine, hold, record); return TENURE_OK;
    case RECORD_RELEASED:
    case RECORD_EXPIRED:
    case RECORD_BROKEN:
        if (record->lock_delay_ms > 0 && lock_queue(engine, hold->lock) == NULL) {
            return TENURE_NO_MEMORY;
        }
        apply_ended(engine, hold, record);
        return TENURE_OK;
    case RECORD_BREAKING: {
        struct breaking *breaking = apply_make_breaking(engine, record->grace_ms, record->reason);
        if (breaking == NULL) return TENURE_NO_MEMORY;
        apply_breaking(engine, hold, breaking);
        return TENURE_OK;
    }
    case RECORD_PROCLAIMED: {
        char *meta;
        if (!hold_copy_meta(engine, record->meta, &meta)) return TENURE_NO_MEMORY;
        apply_proclaimed(engine, hold, meta, record->meta.size);
        return TENURE_OK;
    }
    case RECORD_GRANTED:
    case RECORD_AVAILABLE:
    case RECORD_PUT:
    case RECORD_TAKEN:
    case RECORD_EXTENDED:
    case RECORD_PROGRESSED:
    case RECORD_DONE:
    case RECORD_FAILED:
    case RECORD_LAPSED:
    case RECORD_BURIED:
    case RECORD_CANCELLING:
    case RECORD_CANCELLED:
    case RECORD_KICKED:
    case RECORD_REMOVED:
    case RECORD_PAUSED:
    case RECORD_RESUMED:
    case RECORD_LIMITED:
    case RECORD_SET:
    case RECORD_APPENDED:
    case RECORD_UNSET:
    case RECORD_RANKED:
    case RECORD_UNRANKED: break;
    }
    UNREACHABLE("kinds that are not about a hold are handled by the caller");
}

enum tenure_err
apply_restored(struct engine *engine, const struct record *record, struct bytes encoded)
{
    ASSERT(engine->is_restoring);
    if (RECORD_KIND_IS_WORK(record->kind)) return work_restored(engine, record, encoded);
    if (RECORD_KIND_IS_KEY(record->kind)) return change_restored(engine, record, encoded);
    struct lock *lock = lock_obtain(engine, record->name);
    if (lock == NULL) return TENURE_NO_MEMORY;
    enum tenure_err err = TENURE_OK;
    lock->event_count++; /* keeps the lock through what follows */

    if (record->kind == RECORD_GRANTED) {
        err = restore_granted(engine, lock, record);
    } else if (record->kind == RECORD_AVAILABLE) {
        bool has_delay = lock->queue != NULL && lock->queue->delay_ms > 0;
        if (has_delay) apply_available(engine, lock);
        if (!has_delay) err = TENURE_CORRUPT;
    } else {
        struct hold *hold = hold_find(engine, lock, record->owner);
        bool is_it = hold != NULL && hold->token.value == record->token.value;
        err = is_it ? restore_change(engine, hold, record) : TENURE_CORRUPT;
    }

    if (err == TENURE_OK) {
        engine->seq.value++;
        output_remember(engine, lock, lock->last_seq, encoded);
        lock->last_seq = engine->seq;
    }
    lock->event_count--;
    lock_settle(engine, lock);
    return err;
}
