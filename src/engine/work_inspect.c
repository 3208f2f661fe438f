/* work_inspect - reads of queues. */
#include "engine/item.h"
#include "engine/state.h"

bool engine_item(
    const struct engine *engine,
    struct bytes queue,
    struct bytes id,
    struct engine_item_view *out_view)
{
    const struct work *work = work_find(engine, queue);
    const struct item *item = work == NULL ? NULL : item_find(engine, work, id);
    if (item == NULL) return false;
    item_view(engine, item, out_view);
    return true;
}

bool engine_peek(
    const struct engine *engine,
    struct bytes queue,
    enum item_state state,
    struct engine_item_view *out_view)
{
    const struct work *work = work_find(engine, queue);
    if (work == NULL || state >= ITEM_STATE_COUNT) return false;
    const struct item *item = state == ITEM_READY ? work_next(work) : NULL;
    struct list *first = list_first(&work->states[state]);
    if (item == NULL && first != NULL) item = item_from_link(first);
    if (item == NULL) return false;
    item_view(engine, item, out_view);
    return true;
}

struct list *work_list_from(
    const struct engine *engine,
    struct work *work,
    enum item_state state,
    struct engine_item_cursor *cursor)
{
    struct list *head = &work->states[state];
    struct list *link = head->next;
    if (cursor->entered == 0) return link;
    struct item *last = cursor->id.size == 0 ? NULL : item_find(engine, work, cursor->id);
    bool is_before = last != NULL && last->state == state && last->entered <= cursor->entered;
    if (is_before) link = last->link.next;
    for (uint32_t looked_at = 0; link != head; looked_at++) {
        const struct item *item = item_from_link(link);
        if (item->entered > cursor->entered) break;
        if (looked_at == engine->options.look_count_max) {
            cursor->id = item_id(item);
            return NULL;
        }
        link = link->next;
    }
    return link;
}

uint32_t engine_items(
    const struct engine *engine,
    struct bytes queue,
    enum item_state state,
    struct engine_item_cursor *cursor,
    struct engine_item_view *out_views,
    uint32_t count_max)
{
    struct work *work = work_find(engine, queue);
    uint32_t count = 0;
    bool is_known = work != NULL && state < ITEM_STATE_COUNT;
    struct list *link = is_known ? work_list_from(engine, work, state, cursor) : NULL;
    if (is_known && link == NULL) return 0;
    for (; is_known && link != &work->states[state] && count < count_max; link = link->next) {
        const struct item *item = item_from_link(link);
        item_view(engine, item, &out_views[count++]);
        *cursor = (struct engine_item_cursor){ item->entered, item_id(item) };
    }
    bool is_end = !is_known || link == &work->states[state];
    if (is_end) *cursor = (struct engine_item_cursor){ 0 };
    return count;
}

static void
view_queue(const struct engine *engine, const struct work *work, struct engine_queue_view *out_view)
{
    *out_view = (struct engine_queue_view){ .name = work_name(work),
                                            .seq = work->last_seq,
                                            .group_count = work->group_count,
                                            .oldest_ms = -1,
                                            .taker_count = work->taker_count,
                                            .is_paused = work->is_paused,
                                            .limits = work->limits };
    memcpy(out_view->counts, work->counts, sizeof out_view->counts);
    if (list_is_empty(&work->states[ITEM_READY])) return;
    const struct item *oldest = item_from_link(work->states[ITEM_READY].next);
    int64_t age_us = engine->wall.us - oldest->order_us;
    out_view->oldest_ms = age_us < 0 ? 0 : age_us / 1000;
}

bool engine_queue(
    const struct engine *engine, struct bytes name, struct engine_queue_view *out_view)
{
    const struct work *work = work_find(engine, name);
    *out_view = (struct engine_queue_view){ .name = name, .seq = engine->seq, .oldest_ms = -1 };
    if (work == NULL) return false;
    view_queue(engine, work, out_view);
    return true;
}

bool engine_next_queue(
    const struct engine *engine, struct bytes after, struct engine_queue_view *out_view)
{
    const struct list *link = &engine->works.all;
    if (after.size > 0) {
        const struct work *work = work_find(engine, after);
        if (work == NULL) return false;
        link = &work->all;
    }
    if (link->next == &engine->works.all) return false;
    view_queue(engine, CONTAINER_OF_CONST(link->next, struct work, all), out_view);
    return true;
}

bool engine_group(
    const struct engine *engine,
    struct bytes queue,
    struct bytes group,
    struct engine_group_view *out_view)
{
    const struct work *work = work_find(engine, queue);
    const struct group *found = work == NULL ? NULL : group_find(engine, work, group);
    if (found == NULL) return false;
    *out_view = (struct engine_group_view){ .name = group_name(found),
                                            .waiting_count = found->waiting_count,
                                            .running_count = found->running_count,
                                            .is_paused = found->is_paused,
                                            .has_limits = found->has_limits,
                                            .limits = *group_limits(found) };
    return true;
}

struct engine_work_counters engine_work_counters(const struct engine *engine)
{
    const struct works *works = &engine->works;
    return (struct engine_work_counters){ .queue_count = works->work_count,
                                          .group_count = works->group_count,
                                          .item_count = works->item_count,
                                          .taker_count = waits_count(&works->takers),
                                          .item_bytes = works->item_bytes };
}
