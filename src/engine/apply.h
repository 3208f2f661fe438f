/* apply - the only code that changes durable state.
 *
 * Each function makes true what a record says.  The live engine calls them right after it has made
 * the record; recovery calls them, through apply_restored, with the records of the journal.  What
 * they need to allocate has been allocated before. */
#ifndef TENURE_ENGINE_APPLY_H
#define TENURE_ENGINE_APPLY_H

#include "engine/state.h"

/* Room for one more held hold: heap, pending ring, and the queue that a lock-delay needs. */
MUST_USE bool apply_reserve_grants(struct engine *engine, uint32_t count);
/* The hold is prepared or waiting; it becomes pending (restoring: live, with no time running). */
void apply_granted(struct engine *engine, struct hold *hold, const struct record *record);
/* The part of it that a snapshot restores too: the hold takes its place in the lock. */
void apply_held(struct engine *engine, struct hold *hold, const struct record *record);
/* RELEASED, EXPIRED, BROKEN. */
void apply_ended(struct engine *engine, struct hold *hold, const struct record *record);
void apply_renewed(struct engine *engine, struct hold *hold, const struct record *record);
/* Takes `breaking`. */
void apply_breaking(struct engine *engine, struct hold *hold, struct breaking *breaking);
/* Takes `meta`. */
void apply_proclaimed(struct engine *engine, struct hold *hold, char *meta, size_t meta_size);
void apply_available(struct engine *engine, struct lock *lock);

/* A break that begins; NULL when there is no memory. */
MUST_USE struct breaking *
apply_make_breaking(struct engine *engine, uint32_t grace_ms, struct bytes reason);

/* Apply a record of the journal.  `encoded` is its encoding.  TENURE_CORRUPT: it contradicts the
 * state.  TENURE_NO_MEMORY. */
MUST_USE enum tenure_err
apply_restored(struct engine *engine, const struct record *record, struct bytes encoded);

#endif
