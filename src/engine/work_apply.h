/* work_apply - the only code that changes what is durable of queues; as apply.h for locks. */
#ifndef TENURE_ENGINE_WORK_APPLY_H
#define TENURE_ENGINE_WORK_APPLY_H

#include "engine/item.h"
#include "engine/state.h"

/* Room for a key, if it is not known yet; `*out_unique` is NULL if it is.  False: no memory. */
MUST_USE bool work_make_unique(
    struct engine *engine, const struct work *work, struct bytes key, struct unique **out_unique);
/* A key that nobody has.  False: no memory. */
MUST_USE bool work_new_unique(struct engine *engine, struct bytes key, struct unique **out_unique);
/* Into the table; room must have been reserved. */
void work_add_unique(struct engine *engine, struct work *work, struct unique *unique);
void work_discard_unique(struct engine *engine, struct unique *unique);
/* Has the time of a key ended at this wall time? */
bool work_is_key_over(const struct unique *unique, int64_t at_us);
/* Room for one more lease that is not durable yet. */
MUST_USE bool work_reserve_pending(struct engine *engine);

/* The item was created for this.  Takes `unique`. */
void work_apply_put(
    struct engine *engine, struct item *item, struct unique *unique, const struct record *record);
/* Takes the lease. */
void work_apply_taken(
    struct engine *engine, struct item *item, struct lease *lease, const struct record *record);
void work_apply_extended(struct engine *engine, struct item *item, const struct record *record);
/* These take the note, which may be NULL. */
void work_apply_progressed(struct engine *engine, struct item *item, struct note *note);
void work_apply_done(
    struct engine *engine, struct item *item, struct note *note, const struct record *record);
/* FAILED, LAPSED, BURIED. */
void work_apply_failed(
    struct engine *engine, struct item *item, struct note *note, const struct record *record);
void work_apply_cancelling(struct engine *engine, struct item *item);
void work_apply_cancelled(
    struct engine *engine, struct item *item, struct note *note, const struct record *record);
void work_apply_kicked(struct engine *engine, struct item *item, const struct record *record);
void work_apply_removed(struct engine *engine, struct item *item);
/* PAUSED, RESUMED, LIMITED; the group is NULL for the whole queue. */
void work_apply_scope(
    struct engine *engine, struct work *work, struct group *group, const struct record *record);

/* As apply_restored, for the kinds of queues. */
MUST_USE enum tenure_err
work_restored(struct engine *engine, const struct record *record, struct bytes encoded);

#endif
