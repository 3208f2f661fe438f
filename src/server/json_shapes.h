/* json_shapes - how things look in JSON, the same wherever they appear.
 *
 * Changing a shape: openapi.json and docs/protocol.md say it too, and their tests compare. */
#ifndef TENURE_SERVER_JSON_SHAPES_H
#define TENURE_SERVER_JSON_SHAPES_H

#include "engine/engine.h"
#include "proto/json_writer.h"
#include "server/query.h"

/* "2026-01-31T12:00:00.123Z" */
void shape_time(struct json_writer *json, struct wall at);
/* A number, or null when negative. */
void shape_ms(struct json_writer *json, int64_t ms);

/* {name, owner, token, mode, slot, ttl_ms, remaining_ms, meta, acquired_at}; remaining_ms is null
 * for a hold that lives until it is released. */
void shape_hold(struct json_writer *json, const struct engine_hold_view *hold);
/* The same of an election's leader: `value` instead of meta, mode and slot. */
void shape_leader(struct json_writer *json, const struct engine_hold_view *hold);
/* Members that say who is in the way and for how long: holder, retry_after_ms, position, waited_ms.
 */
void shape_refusal(struct json_writer *json, const struct engine_result *result);
/* {name, state, mode, slots, seq, hold_count, waiter_count, lock_delay_ms, holder} */
void shape_lock_summary(struct json_writer *json, const struct query_lock *lock);
/* {name, state, mode, slots, seq, holders, hold_count, waiters, waiter_count, lock_delay_ms} */
void shape_lock(struct json_writer *json, const struct query_lock *lock);
/* {name, seq, leader, candidates, candidate_count} */
void shape_election(struct json_writer *json, const struct query_lock *lock);
/* {seq, kind, at, name, …}: the members that its kind has. */
void shape_event(struct json_writer *json, const struct record *record);

#endif
