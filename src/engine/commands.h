/* commands - what clients ask for, one function a command.  Each answers through output.h: at once,
 * or for an acquire that waits, later. */
#ifndef TENURE_ENGINE_COMMANDS_H
#define TENURE_ENGINE_COMMANDS_H

#include "engine/state.h"

/* acquire.c */
void command_acquire(struct engine *engine, const struct engine_command *command);
void command_cancel(struct engine *engine, const struct engine_command *command);
/* release.c */
void command_renew(struct engine *engine, const struct engine_command *command);
void command_release(struct engine *engine, const struct engine_command *command);
/* admin.c */
void command_break(struct engine *engine, const struct engine_command *command);
void command_proclaim(struct engine *engine, const struct engine_command *command);
void command_transfer(struct engine *engine, const struct engine_command *command);

/* A waiter gets its answer without a grant: why it was refused, and by whom.  The waiter is
 * removed. False when there is no memory (it stays then). */
MUST_USE bool acquire_give_up(struct engine *engine, struct waiter *waiter, enum tenure_err err);

/* How many events of one name are looked at for one claim to find an ending; and of all events, for
 * each further claim of one command: so many claims on one busy name cost little more than one. */
#define RELEASE_EVENTS_LOOKED_AT 1024u
#define RELEASE_EVENTS_MORE      16u

/* How a hold that is no more ended, as far as the window remembers.  False when it does not.
 * `*budget` is how many events may be looked at, and goes down with each. */
struct ending {
    enum engine_end end;
    struct token successor;
    struct bytes successor_owner; /* in the window */
    bool is_transferred;
};
bool release_find_ending(
    const struct engine *engine,
    struct bytes name,
    struct bytes owner,
    struct token token,
    uint32_t *budget,
    struct ending *out_ending);

/* End a held hold with a record of this kind, and what is bound to it.  Room must have been
 * reserved. */
void release_end(
    struct engine *engine, struct hold *hold, enum record_kind kind, struct bytes reason);
/* Room for release_end.  False when there is no memory. */
MUST_USE bool release_reserve(struct engine *engine, const struct hold *hold, struct bytes reason);
/* Refuse if the claim is not the current hold of its owner; NULL then, with the answer given. */
struct hold *release_claimed(
    struct engine *engine, const struct engine_command *command, const struct engine_claim *claim);

#endif
