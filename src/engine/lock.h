/* lock - one name: found, made, and forgotten when nothing speaks for it any more. */
#ifndef TENURE_ENGINE_LOCK_H
#define TENURE_ENGINE_LOCK_H

#include "engine/state.h"

/* NULL when the name is unknown. */
struct lock *lock_find(const struct engine *engine, struct bytes name);
/* What an answer about it depends on: its last change.  Of a lock that is unknown, or of which
 * nothing is remembered, that of all: it may have been changed, forgotten, and not yet be durable.
 */
struct seq lock_last_change(const struct engine *engine, const struct lock *lock);
/* The lock of this name, made if need be; NULL when there is no memory.  A lock that was made and
 * not used must be handed to lock_settle. */
MUST_USE struct lock *lock_obtain(struct engine *engine, struct bytes name);
/* Forget the lock if nobody holds it, waits for it or remembers it.  Call it after anything that
 * may have been the last reason; the memory lasts until the next step. */
void lock_settle(struct engine *engine, struct lock *lock);
/* Held, waited for, or in a lock-delay: its slots are fixed. */
bool lock_is_active(const struct lock *lock);
/* The room for waiting and for a lock-delay; NULL when there is no memory. */
MUST_USE struct queue *lock_queue(struct engine *engine, struct lock *lock);
/* Could one more hold of this mode be granted, waiters left aside? */
bool lock_has_room(const struct lock *lock, enum engine_mode mode);
/* The lowest slot that is free. */
uint32_t lock_free_slot(const struct lock *lock);
/* Of the first holder; only while it is held. */
enum engine_mode lock_mode(const struct lock *lock);
/* Free at once what was forgotten. */
void lock_free(struct engine *engine, struct lock *lock);
size_t lock_size(const struct lock *lock);

#endif
