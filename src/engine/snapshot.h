/* snapshot - the durable state at one moment, written piece by piece while the engine goes on.
 *
 * A chunk is a row of entries; each is a kind byte, a size, and its fields
 * (docs/journal-format.md):
 *
 *   head   format version, seq, highest token, number of holds
 *   event  seq, seq of the event before it of the same name, the record
 *   lock   name, seq of its last change, lock-delay, and its holds
 *   end    number of holds again
 *
 * Only locks that are held or delayed have an entry; one whose holds are more than fit into
 * ENGINE_SNAPSHOT_ENTRY_SIZE_MAX has several, each with the next of its holds.  The order of the
 * entries of different locks means nothing.
 *
 * Consistency: copy on change.  `snapshot_touch` is called before the durable state of a lock
 * changes; a lock that the snapshot has not reached yet is written first, as it was. */
#ifndef TENURE_ENGINE_SNAPSHOT_H
#define TENURE_ENGINE_SNAPSHOT_H

#include "engine/state.h"

#define SNAPSHOT_FORMAT_VERSION 1

/* The durable state of this lock is about to change. */
void snapshot_touch(struct engine *engine, struct lock *lock);
/* The entries of one lock, also what engine_hash is taken of.  Nothing for a lock without any. */
void snapshot_put_lock(struct buffer *out, const struct lock *lock);

#endif
