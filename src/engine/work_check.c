#include "engine/work_check.h"

#include "engine/item.h"
#include "engine/taker.h"
#include "engine/work_snapshot.h"

struct totals {
    uint64_t works, groups, items, taken, bytes, events, kept_back, awaits;
};

/* ---------------------------------------------------------------------- items */

static void check_lease(const struct engine *engine, const struct item *item)
{
    const struct works *works = &engine->works;
    const struct lease *lease = item->lease;
    ASSERT((lease != NULL) == (item->state == ITEM_TAKEN));
    if (lease == NULL) return;
    ASSERT(lease->item == item && item->token.value > 0);
    ASSERT(!(lease->is_bound && lease->is_orphan));
    if (!lease->is_live) {
        uint64_t index = lease->as.pending_index;
        ASSERT(index >= works->pending.head && index < works->pending.tail);
        ASSERT(works->pending.entries[index & (works->pending.capacity - 1)].lease == lease);
    } else if (!engine->is_restoring) {
        uint32_t index = lease->timer.index;
        ASSERT(index < works->lease_timers.count);
        ASSERT(works->lease_timers.entries[index].key <= lease_deadline(lease));
    }
}

static void check_key(const struct item *item)
{
    const struct unique *unique = item->unique;
    if (item->is_kept_back) ASSERT(unique != NULL && item->state == ITEM_DELAYED);
    if (unique == NULL) return;
    ASSERT(unique->work == item->group->work);
    ASSERT(item->is_kept_back ? unique->next == item : unique->item == item);
    ASSERT(unique->item != NULL);
    ASSERT(item->state != ITEM_CANCELLED);
    unsigned scope = item->terms.unique_scope;
    if (scope == UNIQUE_UNTIL_STARTED) ASSERT(item->state != ITEM_TAKEN);
    if (scope != UNIQUE_WINDOW) ASSERT(item->state != ITEM_DONE && item->state != ITEM_DEAD);
}

static void check_timers(const struct engine *engine, const struct item *item)
{
    const struct group *group = item->group;
    bool is_ready = item->state == ITEM_READY;
    ASSERT(is_ready == (item->place.index != ORDERED_INDEX_NONE));
    if (is_ready) {
        ASSERT(group->ready.entries[item->place.index].node == &item->place);
        int64_t worth_us = (int64_t)item->terms.priority * engine->options.ageing_ms * 1000;
        ASSERT(group->ready.entries[item->place.index].key == item->order_us - worth_us);
    }
    if (engine->is_restoring) return;
    bool has_expiry = item_expires_at_us(item) != INT64_MAX;
    bool has_timer = false;
    if (is_ready) has_timer = has_expiry;
    if (item->state == ITEM_DELAYED) has_timer = has_expiry || !item->is_kept_back;
    if (item->state == ITEM_DONE || item->state == ITEM_CANCELLED) has_timer = true;
    ASSERT(has_timer == (item->timer.index != ORDERED_INDEX_NONE));
}

static void check_item(const struct engine *engine, const struct item *item, struct totals *totals)
{
    const struct group *group = item->group;
    ASSERT(item_find(engine, group->work, item_id(item)) == item);
    ASSERT(item->token.value <= engine->token_high.value);
    ASSERT(item->number > 0 && item->number <= engine->seq.value);
    bool is_gone = item->state == ITEM_DONE || item->state == ITEM_CANCELLED;
    if (is_gone) ASSERT(!item->has_payload);
    if (item->is_cancelling) ASSERT(item->state == ITEM_TAKEN);
    ASSERT(item->is_awaited == (taker_of_item(engine, item) != NULL));
    check_lease(engine, item);
    check_key(item);
    check_timers(engine, item);
    totals->items++;
    totals->taken += item->state == ITEM_TAKEN;
    totals->kept_back += item->is_kept_back;
    totals->awaits += taker_count_of_item(engine, item);
    totals->bytes += item_body(item).size + item_headers(item).size + item_note(item).size;
}

/* --------------------------------------------------------------------- groups */

/* What has been judged by the limits that hold now.  Others are judged before they give. */
static void check_judged(const struct group *group, bool is_in)
{
    const struct group_limits *limits = group_limits(group);
    bool has_room = limits->running_max == 0 || group->running_count < limits->running_max;
    bool is_wanted = group->ready.count > 0 && !group->is_paused && has_room;
    if (!is_wanted) ASSERT(!is_in);
    bool is_timed = group->rate_timer.index != ORDERED_INDEX_NONE;
    if (is_wanted) ASSERT(is_in != is_timed);
    if (limits->rate_count == 0) ASSERT(!is_timed);
}

static void check_ring(const struct engine *engine, const struct group *group)
{
    bool is_in = !list_is_empty(&group->ring);
    if (group_is_stale(group)) {
        ASSERT(group->work->unjudged_count > 0);
        if (is_in) ASSERT(group->ready.count > 0 && !group->is_paused);
    } else {
        check_judged(group, is_in);
    }
    if (!is_in) ASSERT(group->deficit == 0);
    ASSERT(group->deficit <= LIMIT_WEIGHT_MAX);
    ASSERT(group->ready.capacity >= group->open_count);
    ASSERT(engine->works.rate_timers.capacity >= engine->works.group_count);
}

static uint32_t check_group(const struct engine *engine, const struct group *group)
{
    uint32_t items = 0;
    uint32_t waiting = 0;
    uint32_t running = 0;
    uint32_t ready = 0;
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        list_foreach(link, &group->work->states[state]) {
            if (item_from_link(link)->group != group) continue;
            items++;
            waiting += state == ITEM_DELAYED || state == ITEM_READY;
            ready += state == ITEM_READY;
            running += state == ITEM_TAKEN;
        }
    }
    ASSERT(items == group->item_count && waiting == group->waiting_count);
    ASSERT(running == group->running_count && ready == group->ready.count);
    ASSERT(waiting + running == group->open_count);
    ASSERT(group_find(engine, group->work, group_name(group)) == group);
    check_ring(engine, group);
    return items;
}

/* --------------------------------------------------------------------- queues */

static void check_takers(const struct engine *engine, const struct work *work)
{
    uint64_t arrival = 0;
    uint32_t count = 0;
    list_foreach(link, &work->takers) {
        count++;
        const struct taker_place *place = CONTAINER_OF(link, struct taker_place, link);
        ASSERT(place->work == work && place->taker->item == NULL);
        ASSERT(place->taker->arrival > arrival);
        arrival = place->taker->arrival;
    }
    ASSERT(count == work->taker_count);
    if (engine->is_restoring) return;
    ASSERT((work->unjudged_count > 0) == !list_is_empty(&work->changing));
    bool is_unserved = !list_is_empty(&work->takers) && work_can_give(work);
    ASSERT(is_unserved == (work->unserved.index != ORDERED_INDEX_NONE));
}

static void check_work(const struct engine *engine, const struct work *work, struct totals *totals)
{
    uint32_t item_count = 0;
    uint32_t group_count = 0;
    uint32_t ring_count = 0;
    ASSERT(work_find(engine, work_name(work)) == work && work->pin_count == 0);
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        uint32_t count = 0;
        uint64_t entered = 0;
        list_foreach(link, &work->states[state]) {
            const struct item *item = item_from_link(link);
            ASSERT(item->state == state && item->group->work == work);
            ASSERT(item->entered > entered);
            entered = item->entered;
            check_item(engine, item, totals);
            count++;
        }
        ASSERT(count == work->counts[state]);
        item_count += count;
    }
    list_foreach(link, &work->groups) {
        item_count -= check_group(engine, CONTAINER_OF(link, struct group, all));
        group_count++;
        ring_count += !list_is_empty(&CONTAINER_OF(link, struct group, all)->ring);
    }
    list_foreach(link, &work->ring) {
        ring_count--;
    }
    ASSERT(item_count == 0 && ring_count == 0 && group_count == work->group_count);
    check_takers(engine, work);
    totals->works++;
    totals->groups += group_count;
    totals->events += work->event_count;
}

uint64_t work_check(const struct engine *engine)
{
    const struct works *works = &engine->works;
    struct totals totals = { 0 };
    list_foreach(link, &works->all) {
        check_work(engine, CONTAINER_OF(link, struct work, all), &totals);
    }
    ASSERT(totals.works == works->work_count && totals.works == works->names.count);
    ASSERT(totals.groups == works->group_count && totals.groups == works->groups.count);
    ASSERT(totals.items == works->item_count && totals.items == works->items.count);
    ASSERT(totals.taken == works->taken_count);
    ASSERT(totals.bytes == works->item_bytes);
    ASSERT(totals.kept_back == works->kept_back_count);
    ASSERT(totals.awaits <= waits_count(&works->takers));
    ASSERT(waits_count(&works->takers) == works->taker_timers.count);
    ASSERT(works->told == NULL && works->told_count == 0);
    ASSERT(works->item_count <= engine->options.item_count_max);
    return totals.events;
}

uint64_t work_hash(const struct engine *engine, const struct siphash_key *key)
{
    uint64_t hash = 0;
    struct buffer entry;
    buffer_init(&entry, engine->memory);
    list_foreach(link, &engine->works.all) {
        const struct work *work = CONTAINER_OF(link, struct work, all);
        buffer_reset(&entry);
        work_put_queue(&entry, work);
        if (entry.size > 0) hash += siphash(key, buffer_bytes(&entry));
        list_foreach(group, &work->groups) {
            buffer_reset(&entry);
            work_put_group(&entry, CONTAINER_OF(group, struct group, all), false);
            if (entry.size > 0) hash += siphash(key, buffer_bytes(&entry));
        }
        for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
            list_foreach(item, &work->states[state]) {
                buffer_reset(&entry);
                work_put_item(&entry, item_from_link(item));
                ASSERT(!entry.is_failed);
                hash += siphash(key, buffer_bytes(&entry));
            }
        }
    }
    buffer_deinit(&entry);
    return hash;
}
