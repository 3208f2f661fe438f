#include "engine/work_clock.h"

#include "engine/taker.h"
#include "engine/work_apply.h"
#include "engine/work_commands.h"

static bool is_due(const struct ordered *timers, int64_t due_ns)
{
    const struct ordered_entry *first = ordered_first(timers);
    return first != NULL && first->key <= due_ns;
}

enum work_fired work_fire_taker(struct engine *engine, int64_t due_ns)
{
    struct ordered *timers = &engine->works.taker_timers;
    if (!is_due(timers, due_ns)) return WORK_NOTHING_DUE;
    struct taker *taker = CONTAINER_OF(ordered_first(timers)->node, struct taker, timer);
    return taker_give_up(engine, taker, TENURE_TIMEOUT) ? WORK_FIRED : WORK_NO_MEMORY;
}

/* Does its timer stand for its expiry, and not for its time to become ready? */
static bool is_expiry(const struct item *item)
{
    int64_t expires_at_us = item_expires_at_us(item);
    if (expires_at_us == INT64_MAX) return false;
    return item->state == ITEM_READY || item->is_kept_back || expires_at_us < item->terms.run_at_us;
}

static bool fire_item(struct engine *engine)
{
    struct ordered *timers = &engine->works.timers;
    struct item *item = CONTAINER_OF(ordered_first(timers)->node, struct item, timer);
    if (item->state != ITEM_DELAYED && item->state != ITEM_READY) {
        return work_remove(engine, item, (struct bytes){ 0 });
    }
    if (is_expiry(item)) return work_cancel(engine, item, BYTES_LITERAL("expired"));
    /* The timer that it needs next has the room of the one that fired. */
    item_move(engine, item, ITEM_READY);
    item_arm(engine, item);
    return true;
}

/* The timer of a lease that was extended fires early: it is put where it belongs, so that leases
 * end in the order of their deadlines. */
static bool fire_lease(struct engine *engine)
{
    struct ordered *timers = &engine->works.lease_timers;
    const struct ordered_entry *first = ordered_first(timers);
    struct lease *lease = CONTAINER_OF(first->node, struct lease, timer);
    int64_t deadline_ns = lease_deadline(lease);
    if (deadline_ns > first->key) {
        ordered_move(timers, &lease->timer, deadline_ns);
        return true;
    }
    bool is_timeout = lease->timeout_ns <= lease->as.deadline_ns;
    struct work_failure failure = { .kind = RECORD_LAPSED };
    if (lease->is_orphan) failure.reason = BYTES_LITERAL("disconnected");
    if (is_timeout) {
        failure = (struct work_failure){ .kind = RECORD_FAILED,
                                         .reason = BYTES_LITERAL("timeout"),
                                         .delay_ms = ENGINE_DELAY_BACKOFF,
                                         .is_counted = true,
                                         .is_timeout = true };
    }
    return work_fail(engine, lease->item, &failure);
}

/* Some of the groups of the queue whose limits changed longest ago. */
static void fire_limits(struct engine *engine)
{
    struct work *work = CONTAINER_OF(engine->works.changing.next, struct work, changing);
    work_judge_some(engine, work);
    work_settle(engine, work);
}

static void fire_rate(struct engine *engine)
{
    struct ordered *timers = &engine->works.rate_timers;
    struct group *group = CONTAINER_OF(ordered_first(timers)->node, struct group, rate_timer);
    group_judge(engine, group);
    group_settle(engine, group);
}

enum work_fired work_fire(struct engine *engine, int64_t due_ns)
{
    struct works *works = &engine->works;
    bool is_done = true;
    if (is_due(&works->timers, due_ns + engine->stalled_ns)) {
        is_done = fire_item(engine);
    } else if (is_due(&works->lease_timers, due_ns)) {
        is_done = fire_lease(engine);
    } else if (is_due(&works->rate_timers, due_ns)) {
        fire_rate(engine);
    } else if (works->looks_left > 0 && !list_is_empty(&works->changing)) {
        fire_limits(engine);
    } else {
        return WORK_NOTHING_DUE;
    }
    return is_done ? WORK_FIRED : WORK_NO_MEMORY;
}

int64_t work_next_ns(const struct engine *engine)
{
    const struct works *works = &engine->works;
    const struct ordered *heaps[] = { &works->lease_timers,
                                      &works->rate_timers,
                                      &works->taker_timers };
    int64_t next_ns = INT64_MAX;
    for (size_t index = 0; index < sizeof heaps / sizeof *heaps; index++) {
        const struct ordered_entry *first = ordered_first(heaps[index]);
        if (first != NULL && first->key < next_ns) next_ns = first->key;
    }
    const struct ordered_entry *first = ordered_first(&works->timers);
    if (first != NULL && first->key - engine->stalled_ns < next_ns) {
        next_ns = first->key - engine->stalled_ns;
    }
    /* Groups are to be judged still. */
    if (!list_is_empty(&works->changing) && engine->time_ns < next_ns) next_ns = engine->time_ns;
    /* Memory or tokens ran out while somebody was being served: try again soon. */
    if (works->unserved.count > 0 && engine->gate == ENGINE_GATE_OPEN) {
        int64_t soon_ns = engine->time_ns + 10 * NS_PER_MS;
        if (soon_ns < next_ns) next_ns = soon_ns;
    }
    return next_ns;
}

static void begin_lease(struct engine *engine, struct lease *lease)
{
    uint32_t timeout_ms = lease->item->terms.timeout_ms;
    lease->is_live = true;
    if (timeout_ms > 0) lease->timeout_ns = engine->time_ns + (int64_t)timeout_ms * NS_PER_MS;
    lease_arm(engine, lease);
}

void work_durable(struct engine *engine, struct seq durable)
{
    struct works *works = &engine->works;
    while (works->pending.head < works->pending.tail) {
        struct work_pending_entry entry =
            works->pending.entries[works->pending.head & (works->pending.capacity - 1)];
        if (entry.seq.value > durable.value) return;
        works->pending.head++;
        if (entry.lease != NULL) begin_lease(engine, entry.lease);
    }
}

/* A schedule is never further ahead than one burst. */
static int64_t rate_ahead_us_max(const struct group_limits *limits)
{
    int64_t ahead_us;
    if (limits->rate_count == 0) return 0;
    int64_t interval_us = limits->rate_ms * INT64_C(1000) / limits->rate_count;
    if (__builtin_mul_overflow(interval_us, (int64_t)limits->burst, &ahead_us)) return INT64_MAX;
    return ahead_us;
}

/* The rate is kept in wall time over a restart; the clock may have been set meanwhile. */
static void restart_rates(struct engine *engine, struct work *work)
{
    list_foreach(link, &work->groups) {
        struct group *group = CONTAINER_OF(link, struct group, all);
        int64_t ahead_us = group->rate_us - engine->wall.us;
        int64_t ahead_us_max = rate_ahead_us_max(group_limits(group));
        if (ahead_us > ahead_us_max) ahead_us = ahead_us_max;
        group->rate_ns = ahead_us <= 0 ? engine->time_ns : engine->time_ns + ahead_us * 1000;
    }
    work_judge_all(engine, work);
}

static void restart_items(struct engine *engine, struct work *work)
{
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        list_foreach(link, &work->states[state]) {
            struct item *item = item_from_link(link);
            if (item->lease != NULL) {
                begin_lease(engine, item->lease);
            } else {
                item_arm(engine, item);
            }
        }
    }
}

bool work_ready(struct engine *engine)
{
    struct works *works = &engine->works;
    struct ordered order;
    if (!works_reserve_rings(engine, &order) || !item_reserve_timers(engine, works->item_count) ||
        !ordered_reserve(&works->lease_timers, works->taken_count))
    {
        ordered_deinit(&order);
        return false;
    }
    list_foreach_safe(link, following, &works->all) {
        struct work *work = CONTAINER_OF(link, struct work, all);
        restart_items(engine, work);
        work->pin_count++;
        restart_rates(engine, work);
        work_rebuild_ring(work, &order);
        work->has_entry = false;
        work->pin_count--;
        work_settle(engine, work);
    }
    ordered_deinit(&order);
    return true;
}

void work_client_gone(struct engine *engine, uint64_t client)
{
    struct lease *lease;
    while ((lease = lease_of_client(engine, client)) != NULL) {
        lease_unbind(engine, lease);
        lease->is_orphan = true;
        if (!lease->is_live) continue; /* the grace begins when it is durable */
        int64_t deadline_ns = engine->time_ns + (int64_t)lease->grace_ms * NS_PER_MS;
        if (deadline_ns < lease->as.deadline_ns) lease_arm(engine, lease);
    }
}
