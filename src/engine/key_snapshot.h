/* key_snapshot - registers and ranks as entries of a snapshot; snapshot.h has the rest. */
#ifndef TENURE_ENGINE_KEY_SNAPSHOT_H
#define TENURE_ENGINE_KEY_SNAPSHOT_H

#include "engine/codec.h"
#include "engine/key.h"
#include "engine/state.h"

/* The entry of a name: its register, or that it has a rank; nothing where it has neither.  Also
 * what engine_hash is taken of, and so is the entry of one member. */
void key_put_key(struct buffer *out, const struct key *key);
void key_put_member(struct buffer *out, const struct member *member);
/* An event with the value that it brought; before it, if the snapshot's events do not tell, what
 * was there before. */
void key_put_event(
    struct engine *engine, struct buffer *out, struct seq seq, const struct window_entry *entry);

/* The cursor stands before the first key. */
void key_snapshot_begin(struct engine *engine);
/* Go some way further.  False at the end. */
bool key_snapshot_step(struct engine *engine);

MUST_USE enum tenure_err key_restore_key(struct engine *engine, struct codec_reader *reader);
MUST_USE enum tenure_err key_restore_members(struct engine *engine, struct codec_reader *reader);
MUST_USE enum tenure_err key_restore_before(struct engine *engine, struct codec_reader *reader);
/* `seqs` are that of the event before it and its own; `encoded` is the record. */
MUST_USE enum tenure_err key_restore_event(
    struct engine *engine,
    const struct record *record,
    const struct seq seqs[2],
    struct bytes encoded);
/* No event is remembered: neither is what they had put together. */
void key_restore_gap(struct engine *engine);
/* Is all there that was counted?  What the snapshot has no entry of is gone. */
MUST_USE enum tenure_err key_restore_end(struct engine *engine);

#endif
