/* queues - what can be read of queues.  Part of engine.h: the same rules. */
#ifndef TENURE_ENGINE_QUEUES_H
#define TENURE_ENGINE_QUEUES_H

#include "engine/engine.h"

/* False when there is no such item. */
bool engine_item(
    const struct engine *engine,
    struct bytes queue,
    struct bytes id,
    struct engine_item_view *out_view);

/* The item of this state that would be next: of the ready ones the next to be taken (of a queue or
 * group that is paused too, as if it were not), of the others the one that is longest in the state.
 * False when there is none. */
bool engine_peek(
    const struct engine *engine,
    struct bytes queue,
    enum item_state state,
    struct engine_item_view *out_view);

/* Items in one state, in the order in which they entered it.  While nothing moves each is seen
 * once; what enters or leaves the state meanwhile may be seen or not.  Returns the number of views
 * written.  `*cursor` is moved on, and all zero at the end; a page may be short or empty and still
 * not be the last, because a bounded number of items is looked at. */
uint32_t engine_items(
    const struct engine *engine,
    struct bytes queue,
    enum item_state state,
    struct engine_item_cursor *cursor,
    struct engine_item_view *out_views,
    uint32_t count_max);

struct engine_queue_view {
    struct bytes name;
    struct seq seq; /* of its last change: what reads of it depend on */
    uint32_t counts[ITEM_STATE_COUNT];
    uint32_t group_count;
    uint32_t taker_count; /* takes that wait */
    int64_t oldest_ms;    /* since the item that is longest ready became so; -1 = none is */
    bool is_paused;
    struct group_limits limits;
};

/* False when nothing is known of it; `out_view` has the name and a `seq` then. */
bool engine_queue(
    const struct engine *engine, struct bytes name, struct engine_queue_view *out_view);
/* Queues in order of their making; `after` empty: from the start.  False at the end. */
bool engine_next_queue(
    const struct engine *engine, struct bytes after, struct engine_queue_view *out_view);

struct engine_group_view {
    struct bytes name;
    uint32_t waiting_count; /* delayed and ready */
    uint32_t running_count;
    bool is_paused;
    bool has_limits; /* of its own */
    struct group_limits limits;
};

bool engine_group(
    const struct engine *engine,
    struct bytes queue,
    struct bytes group,
    struct engine_group_view *out_view);

struct engine_work_counters {
    uint64_t queue_count, group_count, item_count, taker_count; /* now */
    uint64_t item_bytes;                                        /* now: bodies, headers, results */
};

struct engine_work_counters engine_work_counters(const struct engine *engine);

#endif
