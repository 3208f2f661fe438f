/* check - every invariant of the engine, and the hash of its durable state.  For tests and for the
 * simulation; too slow for every step of a server. */
#include "engine/hold.h"
#include "engine/key_check.h"
#include "engine/lock.h"
#include "engine/name_index.h"
#include "engine/queue.h"
#include "engine/snapshot.h"
#include "engine/state.h"
#include "engine/work_check.h"

struct totals {
    uint64_t locks;
    uint64_t held;
    uint64_t events;
    uint64_t queues;
    uint64_t crowded; /* parties of crowded locks */
};

static void check_hold(const struct engine *engine, const struct lock *lock, struct hold *hold)
{
    ASSERT(hold->lock == lock && hold_is_held(hold));
    ASSERT(hold->token.value > 0 && hold->token.value <= engine->token_high.value);
    ASSERT(hold->slot < lock->slots && hold->mode == lock_mode(lock));
    ASSERT(hold_find(engine, lock, hold_owner(hold)) == hold);
    ASSERT(hold->lock_delay_ms == 0 || lock->queue != NULL);
    if (hold->state == HOLD_PENDING) {
        uint64_t index = hold->as.pending_index;
        ASSERT(index >= engine->pending.head && index < engine->pending.tail);
        ASSERT(engine->pending.entries[index & (engine->pending.capacity - 1)].hold == hold);
    } else if (!engine->is_restoring) {
        int64_t deadline_ns = hold_deadline(hold);
        uint32_t index = hold->timer.index;
        ASSERT((deadline_ns == INT64_MAX) == (index == HEAP_INDEX_NONE));
        ASSERT(index == HEAP_INDEX_NONE || engine->hold_timers.entries[index].key <= deadline_ns);
    }
}

static uint32_t check_holds(const struct engine *engine, const struct lock *lock)
{
    uint32_t count = 0;
    const struct hold *previous = NULL;
    list_foreach(link, &lock->holds) {
        struct hold *hold = hold_from_link(link);
        check_hold(engine, lock, hold);
        if (previous != NULL && hold->mode == ENGINE_EXCLUSIVE) ASSERT(previous->slot < hold->slot);
        if (previous != NULL && hold->mode == ENGINE_SHARED) {
            ASSERT(previous->token.value < hold->token.value);
        }
        previous = hold;
        count++;
    }
    ASSERT(count == lock->hold_count);
    if (count > 1 && lock_mode(lock) == ENGINE_EXCLUSIVE) ASSERT(count <= lock->slots);
    return count;
}

static uint32_t check_queue(const struct engine *engine, const struct lock *lock)
{
    const struct queue *queue = lock->queue;
    uint32_t count = 0;
    if (queue == NULL) return 0;
    ASSERT(queue->lock == lock);
    ASSERT(!list_is_empty(&queue->all));
    for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
        const struct waiter *previous = NULL;
        list_foreach(link, &queue->lanes[lane]) {
            struct hold *hold = hold_from_link(link);
            const struct waiter *waiter = hold->as.waiter;
            ASSERT(hold->lock == lock && hold->state == HOLD_WAITING);
            ASSERT(waiter->priority == lane);
            ASSERT(hold_find(engine, lock, hold_owner(hold)) == hold);
            ASSERT(previous == NULL || previous->order_ns <= waiter->order_ns);
            ASSERT(previous == NULL || previous->arrival < waiter->arrival);
            previous = waiter;
            count++;
        }
    }
    ASSERT(count == queue->count);
    return count;
}

/* Nobody is kept waiting for what is free. */
static void check_served(const struct engine *engine, const struct lock *lock)
{
    if (engine->gate != ENGINE_GATE_OPEN || !list_is_empty(&engine->unserved)) return;
    const struct hold *first = queue_first(lock);
    if (first == NULL) return;
    const struct waiter *waiter = first->as.waiter;
    bool is_ready = true;
    for (uint32_t index = 0; index < waiter->hold_count; index++) {
        const struct hold *hold = waiter->holds[index];
        is_ready = is_ready && queue_first(hold->lock) == hold &&
                   lock_has_room(hold->lock, (enum engine_mode)hold->mode);
    }
    ASSERT(!is_ready);
}

static void check_lock(const struct engine *engine, struct lock *lock, struct totals *totals)
{
    ASSERT(lock_find(engine, lock_name(lock)) == lock);
    ASSERT(lock_is_active(lock) || lock->event_count > 0);
    ASSERT(!lock->is_pinned); /* only inside a step */
    ASSERT(lock->last_seq.value <= engine->seq.value);
    totals->locks++;
    uint32_t held_count = check_holds(engine, lock);
    uint32_t waiting_count = check_queue(engine, lock);
    totals->held += held_count;
    if (lock->is_crowded) totals->crowded += held_count + waiting_count;
    totals->events += lock->event_count;
    totals->queues += lock->queue != NULL;
    check_served(engine, lock);
}

static void check_totals(const struct engine *engine, const struct totals *totals)
{
    const struct window *window = &engine->window;
    ASSERT(totals->locks == engine->locks.count);
    ASSERT(totals->held == engine->held_count);
    ASSERT(totals->crowded == engine->parties.count);
    ASSERT(totals->events == window->last.value + 1 - window->first.value);
    ASSERT(totals->queues == engine->queue_count);
    ASSERT(engine->wait_timers.count == engine->waiters.count);
    ASSERT(engine->held_count <= engine->options.hold_count_max);
    ASSERT(window->last.value == engine->seq.value);
}

void engine_check(const struct engine *engine)
{
    struct totals totals = { 0 };
    const struct lock *previous = NULL;
    for (struct lock *lock = name_index_first(engine); lock != NULL; lock = name_index_next(lock)) {
        ASSERT(previous == NULL || bytes_compare(lock_name(previous), lock_name(lock)) < 0);
        check_lock(engine, lock, &totals);
        previous = lock;
    }
    totals.events += work_check(engine) + key_check(engine);
    check_totals(engine, &totals);
}

uint64_t engine_hash(const struct engine *engine)
{
    static const struct siphash_key fixed = { { UINT64_C(0x74656e757265), 1 } };
    uint64_t head[] = { engine->seq.value,
                        engine->token_high.value,
                        engine->held_count,
                        engine->works.item_count,
                        (uint64_t)engine->works.order_us };
    uint64_t hash = siphash(&fixed, (struct bytes){ (const char *)head, sizeof head });
    struct buffer entry;
    buffer_init(&entry, engine->memory);
    for (struct lock *lock = name_index_first(engine); lock != NULL; lock = name_index_next(lock)) {
        buffer_reset(&entry);
        snapshot_put_lock(&entry, lock);
        ASSERT(!entry.is_failed);
        /* A sum: the order of locks means nothing. */
        if (entry.size > 0) hash += siphash(&fixed, buffer_bytes(&entry));
    }
    buffer_deinit(&entry);
    return hash + work_hash(engine, &fixed) + key_hash(engine, &fixed);
}
