#include "engine/work.h"

#include "engine/item.h"
#include "engine/state.h"
#include "engine/taker.h"

/* ------------------------------------------------------------------- queues */

static bool has_work_name(const struct map_node *node, const void *key)
{
    return bytes_equal(
        work_name(CONTAINER_OF_CONST(node, struct work, names)), *(const struct bytes *)key);
}

static uint32_t name_hash(const struct engine *engine, struct bytes name)
{
    return (uint32_t)siphash(&engine->options.hash_key, name);
}

uint32_t work_text_hash(const struct engine *engine, const struct work *work, struct bytes text)
{
    return name_hash(engine, text) ^ (work->names.hash * UINT32_C(0x9e3779b1));
}

struct work *work_find(const struct engine *engine, struct bytes name)
{
    struct work *recent = engine->works.recent;
    if (recent != NULL && bytes_equal(work_name(recent), name)) return recent;
    struct map_node *node =
        map_find(&engine->works.names, name_hash(engine, name), has_work_name, &name);
    return node == NULL ? NULL : CONTAINER_OF(node, struct work, names);
}

struct work *work_obtain(struct engine *engine, struct bytes name)
{
    ASSERT(name.size > 0 && name.size <= LIMIT_NAME_SIZE_MAX);
    struct works *works = &engine->works;
    struct work *work = work_find(engine, name);
    if (work != NULL) {
        works->recent = work;
        return work;
    }
    uint32_t room = works->work_count + 1 - works->unserved.count;
    if (!map_reserve(&works->names) || !ordered_reserve(&works->unserved, room)) return NULL;
    work = memory_take(engine->memory, sizeof *work + name.size);
    if (work == NULL) return NULL;

    *work = (struct work){ .name_size = (uint8_t)name.size,
                           .limits = GROUP_LIMITS_NONE,
                           .unserved = { ORDERED_INDEX_NONE },
                           .unjudged = &work->groups };
    memcpy(work->name, name.data, name.size);
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        list_init(&work->states[state]);
    }
    list_init(&work->groups);
    list_init(&work->ring);
    list_init(&work->takers);
    list_init(&work->changing);
    list_init(&work->all);
    list_append(&works->all, &work->all);
    map_insert(&works->names, &work->names, name_hash(engine, name));
    work->names.user = engine->snapshot.number; /* a snapshot under way does not know it */
    works->work_count++;
    works->recent = work;
    return work;
}

void work_settle(struct engine *engine, struct work *work)
{
    struct works *works = &engine->works;
    bool is_used = work->group_count > 0 || work->event_count > 0 || work->pin_count > 0 ||
                   !list_is_empty(&work->takers) || work->is_paused || work->has_limits ||
                   (work->has_entry && engine->is_restoring);
    if (is_used) return;
    ordered_remove(&works->unserved, &work->unserved);
    if (engine->snapshot.works.work == &work->all) {
        engine->snapshot.works.work = work->all.next;
        engine->snapshot.works.is_in_work = false;
    }
    if (works->recent == work) works->recent = NULL;
    list_remove(&work->changing);
    list_remove(&work->all);
    map_remove(&works->names, &work->names);
    work->names.next = works->dead_works == NULL ? NULL : &works->dead_works->names;
    works->dead_works = work;
    works->work_count--;
}

/* ------------------------------------------------------------------- groups */

struct group_key {
    const struct work *work;
    struct bytes name;
};

static bool has_group_name(const struct map_node *node, const void *key)
{
    const struct group_key *wanted = key;
    const struct group *group = CONTAINER_OF_CONST(node, struct group, names);
    return group->work == wanted->work && bytes_equal(group_name(group), wanted->name);
}

struct group *group_find(const struct engine *engine, const struct work *work, struct bytes name)
{
    struct group *recent = work->recent;
    if (recent != NULL && bytes_equal(group_name(recent), name)) return recent;
    struct group_key key = { work, name };
    struct map_node *node =
        map_find(&engine->works.groups, work_text_hash(engine, work, name), has_group_name, &key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct group, names);
}

struct group *group_obtain(struct engine *engine, struct work *work, struct bytes name)
{
    ASSERT(name.size <= LIMIT_GROUP_SIZE_MAX);
    struct works *works = &engine->works;
    struct group *group = group_find(engine, work, name);
    if (group != NULL) return group;
    uint32_t room = works->group_count + 1 - works->rate_timers.count;
    if (!map_reserve(&works->groups) || !ordered_reserve(&works->rate_timers, room)) return NULL;
    group = memory_take(engine->memory, sizeof *group + name.size);
    if (group == NULL) return NULL;

    *group = (struct group){ .work = work,
                             .number = ++works->group_number,
                             .rate_timer = { ORDERED_INDEX_NONE },
                             .rate_ns = INT64_MIN,
                             .limits = GROUP_LIMITS_NONE,
                             .limits_round = work->limits_round,
                             .name_size = (uint8_t)name.size };
    if (name.size > 0) memcpy(group->name, name.data, name.size);
    ordered_init(&group->ready, engine->memory);
    list_init(&group->all);
    list_init(&group->ring);
    list_append(&work->groups, &group->all);
    map_insert(&works->groups, &group->names, work_text_hash(engine, work, name));
    group->names.user = engine->snapshot.number;
    work->unjudged_count += work->unjudged_count > 0; /* it stands in the way around */
    work->group_count++;
    works->group_count++;
    return group;
}

/* It has given more than its rate lets it by now, and must not be forgotten for it.  The wall clock
 * counts only while nothing else is known. */
static bool is_late(const struct engine *engine, const struct group *group)
{
    if (group_limits(group)->rate_count == 0) return false;
    return engine->is_restoring ? group->rate_us > engine->wall.us
                                : group->rate_ns > engine->time_ns;
}

static void leave_ring(struct group *group)
{
    list_remove(&group->ring);
    group->deficit = 0;
}

void group_settle(struct engine *engine, struct group *group)
{
    struct works *works = &engine->works;
    struct work *work = group->work;
    bool is_used = group->item_count > 0 || group->open_count > 0 || group->is_paused ||
                   group->has_limits || is_late(engine, group);
    if (!is_used) {
        ASSERT(group->ready.count == 0);
        leave_ring(group);
        ordered_remove(&works->rate_timers, &group->rate_timer);
        if (engine->snapshot.works.group == &group->all) {
            engine->snapshot.works.group = group->all.next;
        }
        if (work->recent == group) work->recent = NULL;
        if (work->unjudged == &group->all) work->unjudged = group->all.next;
        list_remove(&group->all);
        map_remove(&works->groups, &group->names);
        group->names.next = works->dead_groups == NULL ? NULL : &works->dead_groups->names;
        works->dead_groups = group;
        work->group_count--;
        works->group_count--;
    }
    work_settle(engine, work);
}

/* ---------------------------------------------------------------- whose turn */

const struct group_limits *group_limits(const struct group *group)
{
    return group->has_limits ? &group->limits : &group->work->limits;
}

/* When its rate lets it give the next item, in engine time. */
static int64_t rate_due_ns(const struct group *group)
{
    const struct group_limits *limits = group_limits(group);
    if (limits->rate_count == 0 || group->rate_us == 0) return INT64_MIN;
    int64_t interval_ns = limits->rate_ms * NS_PER_MS / limits->rate_count;
    int64_t ahead_ns;
    if (__builtin_mul_overflow(interval_ns, (int64_t)limits->burst - 1, &ahead_ns)) {
        return INT64_MIN;
    }
    int64_t due_ns;
    return __builtin_sub_overflow(group->rate_ns, ahead_ns, &due_ns) ? INT64_MIN : due_ns;
}

bool group_is_stale(const struct group *group)
{
    return !group->has_limits && group->limits_round != group->work->limits_round;
}

/* True when it has entered the ring or left it. */
static bool judge(struct engine *engine, struct group *group)
{
    struct works *works = &engine->works;
    const struct group_limits *limits = group_limits(group);
    group->limits_round = group->work->limits_round;
    if (limits->rate_count == 0) {
        group->rate_us = 0;
        group->rate_ns = INT64_MIN;
    }
    if (group->deficit > limits->weight) group->deficit = limits->weight; /* it has become less */
    bool is_wanted = group->ready.count > 0 && !group->is_paused &&
                     (limits->running_max == 0 || group->running_count < limits->running_max);
    int64_t due_ns = is_wanted && !engine->is_restoring ? rate_due_ns(group) : INT64_MIN;
    bool is_early = due_ns > engine->time_ns;

    ordered_remove(&works->rate_timers, &group->rate_timer);
    if (group->open_count == 0 && !engine->is_restoring && is_late(engine, group)) {
        is_early = true; /* it is forgotten then */
        due_ns = group->rate_ns;
    }
    if (is_early) ordered_insert(&works->rate_timers, &group->rate_timer, due_ns, group->number);
    bool is_in = !list_is_empty(&group->ring);
    bool is_able = is_wanted && !is_early;
    if (is_able && !is_in) list_append(&group->work->ring, &group->ring);
    if (!is_able && is_in) leave_ring(group);
    return is_able != is_in;
}

void group_judge(struct engine *engine, struct group *group)
{
    if (judge(engine, group)) work_changed(engine, group->work);
}

void group_give(struct engine *engine, struct group *group)
{
    const struct group_limits *limits = group_limits(group);
    /* A replay judges by new limits of the queue only where it must. */
    if (group_is_stale(group)) (void)judge(engine, group);
    if (group->deficit == 0) group->deficit = limits->weight;
    group->deficit--;
    if (group->deficit == 0 && !list_is_empty(&group->ring)) {
        list_remove(&group->ring);
        list_append(&group->work->ring, &group->ring);
        if (group->work->unjudged_count > 0) work_changed(engine, group->work);
    }
    if (limits->rate_count == 0) return;
    int64_t interval_ns = limits->rate_ms * NS_PER_MS / limits->rate_count;
    int64_t interval_us = limits->rate_ms * INT64_C(1000) / limits->rate_count;
    if (group->rate_us < engine->wall.us) group->rate_us = engine->wall.us;
    if (group->rate_ns < engine->time_ns) group->rate_ns = engine->time_ns;
    group->rate_us += interval_us;
    group->rate_ns += interval_ns;
}

/* One group after the other, all around, so that none is passed over however often the limits
 * change. */
static void judge_around(struct engine *engine, struct work *work, uint32_t count_max)
{
    work->pin_count++;
    for (uint32_t count = 0; work->unjudged_count > 0 && count < count_max; count++) {
        if (work->unjudged == &work->groups) work->unjudged = work->groups.next;
        if (work->unjudged == &work->groups) break; /* there are none any more */
        struct group *group = CONTAINER_OF(work->unjudged, struct group, all);
        work->unjudged = work->unjudged->next;
        work->unjudged_count--;
        (void)judge(engine, group);
        group_settle(engine, group);
    }
    if (work->group_count == 0) work->unjudged_count = 0;
    if (work->unjudged_count == 0) list_remove(&work->changing);
    work->pin_count--;
    work_changed(engine, work);
}

void work_judge_some(struct engine *engine, struct work *work)
{
    struct works *works = &engine->works;
    uint32_t count = works->looks_left;
    if (count > work->unjudged_count) count = work->unjudged_count;
    works->looks_left -= count;
    judge_around(engine, work, count);
}

void work_judge_all(struct engine *engine, struct work *work)
{
    work->unjudged_count = work->group_count;
    judge_around(engine, work, UINT32_MAX);
}

void work_limits_changed(struct engine *engine, struct work *work)
{
    work->limits_round++;
    work->unjudged_count = work->group_count;
    if (engine->is_restoring) return; /* all of them are, when that is over */
    if (list_is_empty(&work->changing)) list_append(&engine->works.changing, &work->changing);
    work_judge_some(engine, work);
}

/* The group in front is judged by the limits that hold now, before it gives anything. */
static void judge_front(struct engine *engine, struct work *work)
{
    while (engine->works.looks_left > 0 && !list_is_empty(&work->ring)) {
        struct group *group = CONTAINER_OF(work->ring.next, struct group, ring);
        if (!group_is_stale(group)) return;
        engine->works.looks_left--;
        (void)judge(engine, group);
    }
}

bool works_reserve_rings(struct engine *engine, struct ordered *order)
{
    ordered_init(order, engine->memory);
    return ordered_reserve(order, engine->works.group_count);
}

/* The rate timer of a group that is in the ring is free. */
void work_rebuild_ring(struct work *work, struct ordered *order)
{
    struct list *link;
    while ((link = list_first(&work->ring)) != NULL) {
        struct group *group = CONTAINER_OF(link, struct group, ring);
        const struct ordered_entry *first = ordered_first(&group->ready);
        ASSERT(first != NULL);
        leave_ring(group);
        ordered_insert(order, &group->rate_timer, first->key, first->tie);
    }
    const struct ordered_entry *next;
    while ((next = ordered_first(order)) != NULL) {
        struct group *group = CONTAINER_OF(next->node, struct group, rate_timer);
        ordered_remove(order, &group->rate_timer);
        list_append(&work->ring, &group->ring);
    }
}

bool work_can_give(const struct work *work)
{
    if (work->is_paused || list_is_empty(&work->ring)) return false;
    return !group_is_stale(CONTAINER_OF_CONST(work->ring.next, struct group, ring));
}

struct item *work_next(const struct work *work)
{
    struct list *first = list_first(&work->ring);
    if (first == NULL) return NULL;
    const struct group *group = CONTAINER_OF(first, struct group, ring);
    const struct ordered_entry *entry = ordered_first(&group->ready);
    ASSERT(entry != NULL);
    return CONTAINER_OF(entry->node, struct item, place);
}

void work_changed(struct engine *engine, struct work *work)
{
    struct ordered *unserved = &engine->works.unserved;
    const struct list *first = list_first(&work->takers);
    if (work->unjudged_count > 0) judge_front(engine, work);
    ordered_remove(unserved, &work->unserved);
    if (first == NULL || !work_can_give(work)) return;
    const struct taker *taker = CONTAINER_OF_CONST(first, struct taker_place, link)->taker;
    ordered_insert(unserved, &work->unserved, (int64_t)taker->arrival, work->names.hash);
}

/* ------------------------------------------------------------ life and death */

void works_init(struct engine *engine)
{
    struct works *works = &engine->works;
    struct map *maps[] = { &works->names,   &works->groups, &works->items,
                           &works->uniques, &works->awaits, &works->bound };
    struct ordered *heaps[] = { &works->timers,
                                &works->lease_timers,
                                &works->rate_timers,
                                &works->taker_timers,
                                &works->unserved };
    for (size_t index = 0; index < sizeof maps / sizeof *maps; index++) {
        map_init(maps[index], engine->memory);
    }
    for (size_t index = 0; index < sizeof heaps / sizeof *heaps; index++) {
        ordered_init(heaps[index], engine->memory);
    }
    waits_init(&works->takers, engine->memory);
    list_init(&works->all);
    list_init(&works->changing);
}

static void bury_items(struct engine *engine)
{
    struct works *works = &engine->works;
    while (works->dead_items != NULL) {
        struct item *item = works->dead_items;
        struct map_node *next = item->ids.next;
        works->dead_items = next == NULL ? NULL : CONTAINER_OF(next, struct item, ids);
        item_free(engine, item);
    }
    while (works->dead_leases != NULL) {
        struct lease *lease = works->dead_leases;
        works->dead_leases = lease->next_dead;
        lease_free(engine, lease);
    }
    while (works->dead_notes != NULL) {
        struct note *note = works->dead_notes;
        works->dead_notes = note->next_dead;
        note_free(engine, note);
    }
    while (works->dead_uniques != NULL) {
        struct unique *unique = works->dead_uniques;
        struct map_node *next = unique->keys.next;
        works->dead_uniques = next == NULL ? NULL : CONTAINER_OF(next, struct unique, keys);
        memory_give(engine->memory, unique, sizeof *unique + unique->key_size);
    }
}

void works_bury(struct engine *engine)
{
    struct works *works = &engine->works;
    bury_items(engine);
    while (works->dead_groups != NULL) {
        struct group *group = works->dead_groups;
        struct map_node *next = group->names.next;
        works->dead_groups = next == NULL ? NULL : CONTAINER_OF(next, struct group, names);
        ordered_deinit(&group->ready);
        memory_give(engine->memory, group, sizeof *group + group->name_size);
    }
    while (works->dead_works != NULL) {
        struct work *work = works->dead_works;
        struct map_node *next = work->names.next;
        works->dead_works = next == NULL ? NULL : CONTAINER_OF(next, struct work, names);
        memory_give(engine->memory, work, sizeof *work + work->name_size);
    }
    while (works->dead_takers != NULL) {
        struct taker *taker = works->dead_takers;
        works->dead_takers = taker->next_dead;
        taker_free(engine, taker);
    }
}

static void destroy_work(struct engine *engine, struct work *work)
{
    work->pin_count++;
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        /* The end of one may move another: into another list, or another to the end of this one. */
        struct list *first;
        while ((first = list_first(&work->states[state])) != NULL) {
            item_end(engine, item_from_link(first));
        }
    }
    list_foreach_safe(link, following, &work->groups) {
        struct group *group = CONTAINER_OF(link, struct group, all);
        group->is_paused = false;
        group->has_limits = false;
        group->rate_us = 0;
        group->rate_ns = INT64_MIN;
        group_settle(engine, group);
    }
    work->is_paused = false;
    work->has_limits = false;
    work->has_entry = false;
    work->event_count = 0;
    work->pin_count--;
    work_settle(engine, work);
}

void works_deinit(struct engine *engine)
{
    struct works *works = &engine->works;
    struct wait *wait;
    while ((wait = waits_any(&works->takers)) != NULL) {
        taker_remove(engine, CONTAINER_OF(wait, struct taker, wait));
    }
    list_foreach_safe(link, following, &works->all) {
        destroy_work(engine, CONTAINER_OF(link, struct work, all));
    }
    works_bury(engine);
    struct map *maps[] = { &works->names,   &works->groups, &works->items,
                           &works->uniques, &works->awaits, &works->bound };
    struct ordered *heaps[] = { &works->timers,
                                &works->lease_timers,
                                &works->rate_timers,
                                &works->taker_timers,
                                &works->unserved };
    for (size_t index = 0; index < sizeof maps / sizeof *maps; index++) {
        map_deinit(maps[index]);
    }
    waits_deinit(&works->takers);
    for (size_t index = 0; index < sizeof heaps / sizeof *heaps; index++) {
        ordered_deinit(heaps[index]);
    }
    memory_give(
        engine->memory,
        works->pending.entries,
        works->pending.capacity * sizeof *works->pending.entries);
}
