/* queue_shapes - how items, queues and groups look in JSON; as json_shapes.h.
 *
 * Bytes from outside are a member of two names: `body` when they are text, else `body_base64`. */
#ifndef TENURE_SERVER_QUEUE_SHAPES_H
#define TENURE_SERVER_QUEUE_SHAPES_H

#include "engine/engine.h"
#include "engine/queues.h"
#include "proto/json_writer.h"

/* How much of an item is shown: in a list; by itself; with its body. */
enum shape_item_detail { SHAPE_ITEM_BRIEF, SHAPE_ITEM_WHOLE, SHAPE_ITEM_BODY };

void shape_item(
    struct json_writer *json, const struct engine_item_view *item, enum shape_item_detail detail);
/* What a worker needs of the item that it has taken. */
void shape_taken(struct json_writer *json, const struct engine_item_view *item);
/* {id, state, repeat} of one that was put; {outcome, …} when it is one of many. */
void shape_put(struct json_writer *json, const struct engine_item_result *result, bool is_many);
/* {id, token, lease_ms, remaining_ms, cancelling} */
void shape_extended(struct json_writer *json, const struct engine_item_view *item);
/* The members id, state, attempts, lapses, cancelling, repeat. */
void shape_ended_members(struct json_writer *json, const struct engine_item_result *result);
void shape_queue(struct json_writer *json, const struct engine_queue_view *queue);
void shape_group(struct json_writer *json, const struct engine_group_view *group);

#endif
