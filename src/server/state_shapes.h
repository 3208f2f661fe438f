/* state_shapes - how shared state looks in JSON.
 *
 * Changing a shape: openapi.json and docs/protocol.md say it too, and their tests compare. */
#ifndef TENURE_SERVER_STATE_SHAPES_H
#define TENURE_SERVER_STATE_SHAPES_H

#include "engine/registers.h"
#include "proto/json_writer.h"

/* A member with this key and the text, if it is one; else one with "_base64" behind the key. */
void shape_bytes(struct json_writer *json, const char *key, struct bytes bytes);
/* {name, version, value, ttl_ms, remaining_ms, lock, token}: of what is not set the name and
 * version 0. */
void shape_register(struct json_writer *json, const struct engine_register_view *view);
/* {member, score, position} */
void shape_member(struct json_writer *json, const struct engine_member_view *view);
/* What came of one operation: of registers as shape_register; of ranks {name, changed, score}. */
void shape_change(struct json_writer *json, const struct engine_change_result *result);
/* The members name, count and seq. */
void shape_rank_members(struct json_writer *json, const struct engine_rank_view *rank);
/* The members that an event of shared state has; the value before if the record has it. */
void shape_key_members(struct json_writer *json, const struct record *record);

#endif
