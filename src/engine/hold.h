/* hold - one owner and one lock: wanted, held, or ended (state.h has the states). */
#ifndef TENURE_ENGINE_HOLD_H
#define TENURE_ENGINE_HOLD_H

#include "engine/state.h"

struct hold_terms {
    struct bytes owner;
    struct bytes meta;
    enum engine_mode mode;
    uint32_t ttl_ms;
    uint32_t lock_delay_ms;
};

/* What this owner has or wants of this lock; NULL when nothing. */
struct hold *hold_find(const struct engine *engine, const struct lock *lock, struct bytes owner);
/* A prepared hold.  NULL when there is no memory. */
MUST_USE struct hold *
hold_create(struct engine *engine, struct lock *lock, const struct hold_terms *terms);
/* Move to another state; asserts that the move is allowed. */
void hold_move(struct hold *hold, enum hold_state state);
/* Unlink from everything and end it.  Its memory lasts until the next step. */
void hold_end(struct engine *engine, struct hold *hold);
void hold_free(struct engine *engine, struct hold *hold);
/* When it ends unless renewed, in engine time: the ttl or an administrator's break, whichever is
 * first; INT64_MAX for never.  Live holds only. */
int64_t hold_deadline(const struct hold *hold);
/* Let the ttl run from `time_ns`.  The heap must have room. */
void hold_arm(struct engine *engine, struct hold *hold, int64_t time_ns);
/* What a client may know of it. */
void hold_view(const struct hold *hold, int64_t time_ns, struct engine_hold_view *out_view);
/* A copy of a text for hold->meta; `*out_meta` is NULL for an empty one.  False: no memory. */
MUST_USE bool hold_copy_meta(struct engine *engine, struct bytes meta, char **out_meta);
/* Exchange the meta for a copy made before. */
void hold_set_meta(struct engine *engine, struct hold *hold, char *meta, size_t size);

#endif
