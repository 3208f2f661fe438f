/* output - what one step produces: records, replies, results.
 *
 * Room is reserved before a decision is carried out, so that nothing can fail half way. */
#ifndef TENURE_ENGINE_OUTPUT_H
#define TENURE_ENGINE_OUTPUT_H

#include "engine/state.h"

void output_init(struct engine *engine);
void output_deinit(struct engine *engine);
void output_reset(struct engine *engine);
/* Make room.  False when there is no memory; nothing is lost. */
MUST_USE bool
output_reserve(struct engine *engine, size_t record_bytes, size_t reply_count, size_t result_count);
/* Room for so many results about items. */
MUST_USE bool output_reserve_items(struct engine *engine, size_t count);
/* The same for an answer of many, while others are reserved in between. */
MUST_USE bool output_promise_items(struct engine *engine, size_t count);
/* A new, cleared one of the last reply. */
struct engine_item_result *output_item(struct engine *engine);
/* The same for results about shared state. */
MUST_USE bool output_reserve_changes(struct engine *engine, size_t count);
struct engine_change_result *output_change(struct engine *engine);
/* There must be one. */
struct engine_reply *output_last_reply(struct engine *engine);
/* A new reply; results added next belong to it.  Room must have been reserved. */
struct engine_reply *output_reply(struct engine *engine, uint64_t client, uint64_t tag);
/* A new, cleared result of the last reply. */
struct engine_result *output_result(struct engine *engine);
/* The last reply depends on everything up to `seq`. */
void output_depend(struct engine *engine, struct seq seq);
/* Number a record, encode it, and remember it in the window as an event of `lock`. */
void output_record(struct engine *engine, struct lock *lock, struct record *record);
/* The same as an event of a queue.  What it is about has been touched for the snapshot. */
void output_work_record(struct engine *engine, struct work *work, struct record *record);
/* The same as an event of a key, whose subject keys.h tells of. */
void output_key_record(
    struct engine *engine, struct key *key, void *subject, struct record *record);
/* The finished update; pointers become valid now. */
void output_finish(struct engine *engine, struct engine_update *out_update);
/* Answer a command with one result that says no. */
void output_refuse(
    struct engine *engine,
    const struct engine_command *command,
    enum tenure_err err,
    struct bytes name,
    const char *detail);
/* Room for the encoding of a record with these texts. */
size_t output_record_size(struct bytes name, struct bytes owner, struct bytes text);
/* Make room in the window for a record and append it there; forgets locks that nothing else keeps.
 */
void output_remember(
    struct engine *engine, struct lock *lock, struct seq previous, struct bytes record);
/* The same for an event of a queue; a body is left out. */
void output_remember_work(
    struct engine *engine, struct work *work, const struct record *record, struct bytes encoded);
/* An event of a snapshot: `seqs` are that of the event before it and its own. */
void output_restore_event(
    struct engine *engine, struct work *work, const struct seq seqs[2], struct bytes encoded);
/* The same two for an event of a key. */
void output_remember_key(
    struct engine *engine,
    struct key *key,
    void *subject,
    const struct record *record,
    struct bytes encoded);
void output_restore_key_event(
    struct engine *engine,
    struct key *key,
    void *subject,
    const struct record *record,
    const struct seq seqs[2],
    struct bytes encoded);
/* Forget the oldest event of the window. */
void output_forget(struct engine *engine);

#endif
