#include "engine/clock.h"

#include "engine/apply.h"
#include "engine/commands.h"
#include "engine/hold.h"
#include "engine/key_commands.h"
#include "engine/lock.h"
#include "engine/name_index.h"
#include "engine/output.h"
#include "engine/queue.h"
#include "engine/work_clock.h"

void clock_advance(struct engine *engine, struct mono now)
{
    int64_t time_ns = now.ns - engine->stalled_ns;
    if (time_ns > engine->time_ns) engine->time_ns = time_ns;
}

void clock_stall(struct engine *engine, int64_t stall_ns)
{
    ASSERT(stall_ns >= 0);
    engine->stalled_ns += stall_ns;
}

/* -------------------------------------------------------------------- due */

static bool is_due(const struct heap *heap, int64_t time_ns)
{
    const struct heap_entry *first = heap_first(heap);
    return first != NULL && first->key <= time_ns;
}

static bool expire(struct engine *engine, struct hold *hold)
{
    const struct breaking *breaking = hold->breaking;
    bool is_broken = breaking != NULL && breaking->deadline_ns <= hold->as.deadline_ns;
    struct bytes reason = { 0 };
    if (is_broken) reason = (struct bytes){ breaking->reason, breaking->reason_size };
    if (!release_reserve(engine, hold, reason)) return false;

    release_end(engine, hold, is_broken ? RECORD_BROKEN : RECORD_EXPIRED, reason);
    if (is_broken) engine->counters.broken++;
    if (!is_broken) engine->counters.expired++;
    return true;
}

/* The timer of a hold that was renewed fires early: it is put where it belongs. */
static bool fire_hold(struct engine *engine, int64_t due_ns)
{
    struct heap_node *node = heap_first(&engine->hold_timers)->node;
    struct hold *hold = CONTAINER_OF(node, struct hold, timer);
    int64_t deadline_ns = hold_deadline(hold);
    if (deadline_ns <= due_ns) return expire(engine, hold);
    heap_move(&engine->hold_timers, &hold->timer, deadline_ns);
    return true;
}

static bool fire_wait(struct engine *engine)
{
    const struct heap_entry *first = heap_first(&engine->wait_timers);
    ASSERT(first != NULL);
    return acquire_give_up(engine, CONTAINER_OF(first->node, struct waiter, timer), TENURE_TIMEOUT);
}

static bool fire_delay(struct engine *engine)
{
    const struct heap_entry *first = heap_first(&engine->delay_timers);
    ASSERT(first != NULL);
    struct lock *lock = CONTAINER_OF(first->node, struct queue, delay_timer)->lock;
    if (!output_reserve(
            engine,
            output_record_size(lock_name(lock), (struct bytes){ 0 }, (struct bytes){ 0 }),
            0,
            0))
    {
        return false;
    }
    struct record record = { .kind = RECORD_AVAILABLE };
    output_record(engine, lock, &record);
    apply_available(engine, lock);
    return true;
}

/* Waits end before holds: a waiter whose time is over must not be granted what ends at the same
 * moment. */
bool clock_fire(struct engine *engine, struct mono now)
{
    int64_t due_ns = now.ns - engine->stalled_ns;
    for (uint32_t count = 0; count < ENGINE_TIMER_BATCH; count++) {
        bool is_done = true;
        enum work_fired fired = WORK_NOTHING_DUE;
        if (is_due(&engine->wait_timers, due_ns)) {
            is_done = fire_wait(engine);
        } else if ((fired = work_fire_taker(engine, due_ns)) != WORK_NOTHING_DUE) {
            is_done = fired == WORK_FIRED;
        } else if ((fired = key_fire_wait(engine, due_ns)) != WORK_NOTHING_DUE) {
            is_done = fired == WORK_FIRED;
        } else if (is_due(&engine->hold_timers, due_ns)) {
            is_done = fire_hold(engine, due_ns);
        } else if (is_due(&engine->delay_timers, due_ns)) {
            is_done = fire_delay(engine);
        } else if ((fired = key_fire(engine, due_ns)) != WORK_NOTHING_DUE) {
            is_done = fired == WORK_FIRED;
        } else {
            fired = work_fire(engine, due_ns);
            if (fired == WORK_NOTHING_DUE) return true;
            is_done = fired == WORK_FIRED;
        }
        if (!is_done) return count > 0; /* what is done is told; the rest is still due */
    }
    return true;
}

int64_t clock_next(const struct engine *engine)
{
    const struct heap *heaps[] = { &engine->wait_timers,
                                   &engine->hold_timers,
                                   &engine->delay_timers };
    int64_t next_ns = work_next_ns(engine);
    int64_t keys_next_ns = key_next_ns(engine);
    if (keys_next_ns < next_ns) next_ns = keys_next_ns;
    for (size_t index = 0; index < sizeof heaps / sizeof *heaps; index++) {
        const struct heap_entry *first = heap_first(heaps[index]);
        if (first != NULL && first->key < next_ns) next_ns = first->key;
    }
    /* Memory, tokens or holds ran out while waiters were being served: try again soon. */
    if (!list_is_empty(&engine->unserved) && engine->gate == ENGINE_GATE_OPEN) {
        int64_t soon_ns = engine->time_ns + 10 * NS_PER_MS;
        if (soon_ns < next_ns) next_ns = soon_ns;
    }
    return next_ns;
}

/* ----------------------------------------------------------------- durable */

void clock_durable(struct engine *engine, struct seq durable)
{
    work_durable(engine, durable);
    struct pending *pending = &engine->pending;
    while (pending->head < pending->tail) {
        struct pending_entry entry = pending->entries[pending->head & (pending->capacity - 1)];
        if (entry.seq.value > durable.value) return;
        pending->head++;
        if (entry.hold == NULL) continue; /* it ended meanwhile */
        hold_move(entry.hold, HOLD_LIVE);
        entry.hold->timer.index = HEAP_INDEX_NONE;
        hold_arm(engine, entry.hold, engine->time_ns);
    }
}

/* ------------------------------------------------------------------- ready */

static void restart_break(struct engine *engine, struct hold *hold)
{
    if (hold->breaking == NULL) return;
    hold->breaking->deadline_ns = engine->time_ns + (int64_t)hold->breaking->grace_ms * NS_PER_MS;
}

static void restart_delay(struct engine *engine, struct queue *queue)
{
    if (queue == NULL || queue->delay_ms == 0) return;
    queue->delay_until_ns = engine->time_ns + (int64_t)queue->delay_ms * NS_PER_MS;
    heap_remove(&engine->delay_timers, &queue->delay_timer);
    heap_insert(&engine->delay_timers, &queue->delay_timer, queue->delay_until_ns);
}

bool clock_ready(struct engine *engine)
{
    ASSERT(engine->is_restoring);
    if (!heap_reserve(&engine->hold_timers, engine->held_count) || !key_reserve_ready(engine)) {
        return false;
    }

    for (struct lock *lock = name_index_first(engine); lock != NULL; lock = name_index_next(lock)) {
        list_foreach(link, &lock->holds) {
            struct hold *hold = hold_from_link(link);
            restart_break(engine, hold);
            hold_arm(engine, hold, engine->time_ns);
        }
        restart_delay(engine, lock->queue);
    }
    engine->is_restoring = false;
    if (!work_ready(engine)) {
        engine->is_restoring = true;
        return false;
    }
    key_ready(engine);
    return true;
}
