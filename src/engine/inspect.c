/* inspect - what anybody may know, without changing anything. */
#include "engine/clock.h"
#include "engine/hold.h"
#include "engine/key.h"
#include "engine/lock.h"
#include "engine/name_index.h"
#include "engine/queue.h"
#include "engine/state.h"

/* Locks that one page of a list looks at, however few of them match. */
#define LIST_LOOK_MAX 20000u

struct seq engine_seq(const struct engine *engine)
{
    return engine->seq;
}

struct token engine_token_high(const struct engine *engine)
{
    return engine->token_high;
}

static int64_t time_at(const struct engine *engine, struct mono now)
{
    int64_t time_ns = now.ns - engine->stalled_ns;
    return time_ns > engine->time_ns ? time_ns : engine->time_ns;
}

static void view_lock(
    const struct engine *engine,
    const struct lock *lock,
    int64_t time_ns,
    struct engine_lock_view *out_view)
{
    const struct queue *queue = lock->queue;
    *out_view = (struct engine_lock_view){
        .name = lock_name(lock),
        .seq = lock_last_change(engine, lock),
        .mode = lock->hold_count > 0 ? lock_mode(lock) : ENGINE_EXCLUSIVE,
        .slots = lock->slots,
        .hold_count = lock->hold_count,
        .waiter_count = queue == NULL ? 0 : queue->count,
    };
    if (queue == NULL || queue->delay_ms == 0) return;
    int64_t left_ns = queue->delay_until_ns - time_ns;
    out_view->delay_ms = left_ns > 0 ? (left_ns + NS_PER_MS - 1) / NS_PER_MS : 1;
}

bool engine_inspect(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    struct engine_lock_view *out_view)
{
    const struct lock *lock = lock_find(engine, name);
    if (lock != NULL && lock_is_active(lock)) {
        view_lock(engine, lock, time_at(engine, now), out_view);
        return true;
    }
    *out_view = (struct engine_lock_view){ .name = name, .seq = lock_last_change(engine, lock) };
    return false;
}

bool engine_inspect_hold(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    uint32_t index,
    struct engine_hold_view *out_view)
{
    const struct lock *lock = lock_find(engine, name);
    if (lock == NULL || index >= lock->hold_count) return false;
    list_foreach(link, &lock->holds) {
        if (index-- > 0) continue;
        hold_view(hold_from_link(link), time_at(engine, now), out_view);
        return true;
    }
    UNREACHABLE("the count of holds is right");
}

bool engine_next_hold(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    const struct hold **cursor,
    struct engine_hold_view *out_view)
{
    const struct lock *lock = *cursor == NULL ? lock_find(engine, name) : (*cursor)->lock;
    if (lock == NULL) return false;
    struct list *link = *cursor == NULL ? lock->holds.next : (*cursor)->link.next;
    if (link == &lock->holds) return false;
    *cursor = hold_from_link(link);
    hold_view(*cursor, time_at(engine, now), out_view);
    return true;
}

uint32_t engine_inspect_waiters(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    struct engine_waiter_view *out_views,
    uint32_t count_max)
{
    const struct lock *lock = lock_find(engine, name);
    if (lock == NULL) return 0;
    int64_t time_ns = time_at(engine, now);
    struct list *cursors[LANE_COUNT] = { NULL };
    uint32_t count = 0;
    struct hold *hold;
    while (count < count_max && (hold = queue_next(lock, cursors)) != NULL) {
        const struct waiter *waiter = hold->as.waiter;
        int64_t left_ns = waiter->deadline_ns - time_ns;
        out_views[count] = (struct engine_waiter_view){
            .owner = hold_owner(hold),
            .meta = hold_meta(hold),
            .mode = (enum engine_mode)hold->mode,
            .priority = waiter->priority,
            .position = count + 1,
            .waited_ms = (time_ns - waiter->arrived_ns) / NS_PER_MS,
            .remaining_ms = left_ns > 0 ? left_ns / NS_PER_MS : 0,
            .name_count = waiter->hold_count,
        };
        count++;
    }
    return count;
}

static bool is_listed(
    const struct engine *engine, const struct lock *lock, const struct engine_list_query *query)
{
    if (!lock_is_active(lock)) return false;
    if (query->state == ENGINE_STATE_HELD && lock->hold_count == 0) return false;
    bool is_waited = lock->queue != NULL && lock->queue->count > 0;
    if (query->state == ENGINE_STATE_WAITED && !is_waited) return false;
    return query->owner.size == 0 || hold_find(engine, lock, query->owner) != NULL;
}

uint32_t engine_list(
    const struct engine *engine,
    const struct engine_list_query *query,
    struct mono now,
    struct engine_lock_view *out_views,
    struct bytes *out_next)
{
    ASSERT(query->count_max > 0 && query->count_max <= LIMIT_LIST_COUNT_MAX);
    bool is_resumed = bytes_compare(query->after, query->prefix) >= 0 && query->after.size > 0;
    const struct lock *lock = name_index_seek(engine, is_resumed ? query->after : query->prefix);
    if (is_resumed && lock != NULL && bytes_equal(lock_name(lock), query->after)) {
        lock = name_index_next(lock);
    }

    int64_t time_ns = time_at(engine, now);
    struct bytes last = { 0 };
    uint32_t count = 0;
    for (uint32_t looked_at = 0; lock != NULL; looked_at++, lock = name_index_next(lock)) {
        if (!bytes_start_with(lock_name(lock), query->prefix)) break;
        if (count == query->count_max || looked_at == LIST_LOOK_MAX) {
            *out_next = last;
            return count;
        }
        last = lock_name(lock);
        if (is_listed(engine, lock, query)) view_lock(engine, lock, time_ns, &out_views[count++]);
    }
    *out_next = (struct bytes){ 0 };
    return count;
}

static void read_entry(const struct window_entry *entry, struct seq seq, struct record *out_record)
{
    *out_record = record_decode_known(window_record(entry));
    out_record->seq = seq;
    if (RECORD_KIND_IS_KEY(out_record->kind)) key_complete_event(entry->subject, out_record);
}

uint32_t engine_history(
    const struct engine *engine, struct bytes name, struct record *out_records, uint32_t count_max)
{
    const struct lock *lock = lock_find(engine, name);
    if (lock == NULL) return 0;
    struct seq seq = lock->last_seq;
    const struct window_entry *entry;
    uint32_t count = 0;
    while (count < count_max && (entry = window_find(&engine->window, seq)) != NULL) {
        read_entry(entry, seq, &out_records[count++]);
        seq = entry->previous;
    }
    return count;
}

struct seq engine_window_first(const struct engine *engine)
{
    return engine->window.first;
}

struct seq engine_window_last(const struct engine *engine)
{
    return engine->window.last;
}

bool engine_window_read(const struct engine *engine, struct seq seq, struct record *out_record)
{
    const struct window_entry *entry = window_find(&engine->window, seq);
    if (entry == NULL) return false;
    read_entry(entry, seq, out_record);
    return true;
}

struct engine_counters engine_counters(const struct engine *engine)
{
    struct engine_counters counters = engine->counters;
    const struct window *window = &engine->window;
    counters.lock_count = engine->locks.count;
    counters.hold_count = engine->held_count;
    counters.waiter_count = engine->waiters.count;
    counters.window_count = window->last.value + 1 - window->first.value;
    counters.window_size = window->tail - window->head;
    return counters;
}
