/* key_commands - what clients ask of shared state, and what time and the end of holds do to it. */
#ifndef TENURE_ENGINE_KEY_COMMANDS_H
#define TENURE_ENGINE_KEY_COMMANDS_H

#include "engine/change.h"
#include "engine/key.h"
#include "engine/state.h"
#include "engine/work_clock.h"

/* change.c */
void command_change(struct engine *engine, const struct engine_command *command);

/* key_wait.c */
void command_state_wait(struct engine *engine, const struct engine_command *command);
/* NULL when there is none. */
struct key_wait *key_wait_find(const struct engine *engine, uint64_t client, uint64_t tag);
struct key_wait *key_wait_of_client(const struct engine *engine, uint64_t client);
/* Its memory lasts until the next step. */
void key_wait_remove(struct engine *engine, struct key_wait *wait);
/* Answer with what the register is; the wait is removed.  False when there is no memory (it stays).
 */
MUST_USE bool key_wait_give_up(struct engine *engine, struct key_wait *wait, enum tenure_err err);
/* The register has changed: who waits for that is answered when the step ends. */
void key_wake(struct engine *engine, struct key *key);
/* Answer them.  Those for whom there is no memory are answered by the next step. */
void keys_tell(struct engine *engine);

/* key_clock.c */
/* One wait that is over, and one register whose time is over, `due_ns` in engine time. */
enum work_fired key_fire_wait(struct engine *engine, int64_t due_ns);
enum work_fired key_fire(struct engine *engine, int64_t due_ns);
/* Engine time of the next thing that is due; INT64_MAX for never. */
int64_t key_next_ns(const struct engine *engine);
/* The start is over: every ttl begins.  Room for that; false: no memory. */
MUST_USE bool key_reserve_ready(struct engine *engine);
void key_ready(struct engine *engine);
/* The hold with this token has ended: what is bound to it vanishes.  Room for bond_record_size was
 * reserved. */
void key_hold_ended(struct engine *engine, struct token token);

#endif
