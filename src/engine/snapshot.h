/* snapshot - the durable state at one moment, written piece by piece while the engine goes on.
 *
 * A chunk is a row of entries; each is a kind byte, a size, and its fields
 * (docs/journal-format.md):
 *
 *   head   format version, seq, highest token, number of holds; of items; the order last given out;
 *          number of registers and members
 *   event  seq, seq of the event before it of the same name, the record
 *   lock   name, seq of its last change, lock-delay, and its holds
 *   queue  name, seq of its last change, whether it is paused, limits of its groups
 *   group  queue, name, rate, whether it is paused, limits
 *   item   everything
 *   key    name, seq of its last change, and its register if it is set
 *   members  of a rank: name, and a run of scores and members
 *   before   what a register was before the first event of it that is here
 *   end    number of holds again; of items; of registers and members
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

/* 1 knew no queues, 2 no shared state; both are read too.  From 3 on all events come first. */
#define SNAPSHOT_FORMAT_VERSION 3

/* The durable state of this lock is about to change. */
void snapshot_touch(struct engine *engine, struct lock *lock);
/* The same of a queue, a group, an item. */
void snapshot_touch_work(struct engine *engine, struct work *work);
void snapshot_touch_group(struct engine *engine, struct group *group);
void snapshot_touch_item(struct engine *engine, struct item *item);
/* The same of a key, of a member of a rank. */
void snapshot_touch_key(struct engine *engine, struct key *key);
void snapshot_touch_member(struct engine *engine, struct member *member);

enum snapshot_entry {
    ENTRY_HEAD = 1,
    ENTRY_EVENT = 2,
    ENTRY_LOCK = 3,
    ENTRY_END = 4,
    ENTRY_QUEUE = 5,
    ENTRY_GROUP = 6,
    ENTRY_ITEM = 7,
    ENTRY_KEY = 8,
    ENTRY_MEMBERS = 9,
    ENTRY_BEFORE = 10,
};
/* Between these the fields of an entry are appended. */
size_t snapshot_begin_entry(struct buffer *out);
void snapshot_finish_entry(struct buffer *out, size_t start, enum snapshot_entry kind);
void snapshot_put_numbers(struct buffer *out, const uint64_t *values, size_t count);
void snapshot_put_text(struct buffer *out, struct bytes text);

/* The entries of one lock, also what engine_hash is taken of.  Nothing for a lock without any. */
void snapshot_put_lock(struct buffer *out, const struct lock *lock);

#endif
