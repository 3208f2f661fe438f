/* work_commands - what clients ask of queues, one function a command.  As commands.h. */
#ifndef TENURE_ENGINE_WORK_COMMANDS_H
#define TENURE_ENGINE_WORK_COMMANDS_H

#include "engine/item.h"
#include "engine/state.h"

void work_command(struct engine *engine, const struct engine_command *command);

/* work_put.c */
void command_put(struct engine *engine, const struct engine_command *command);
/* work_take.c */
void command_take(struct engine *engine, const struct engine_command *command);
void command_await(struct engine *engine, const struct engine_command *command);
/* Give items to those who wait, while there are some.  What is left for lack of memory is tried
 * again by the next step. */
void works_serve(struct engine *engine);
/* work_end.c */
void command_extend(struct engine *engine, const struct engine_command *command);
void command_end_work(struct engine *engine, const struct engine_command *command);
/* work_admin.c */
void command_cancel_item(struct engine *engine, const struct engine_command *command);
void command_kick(struct engine *engine, const struct engine_command *command);
void command_sweep(struct engine *engine, const struct engine_command *command);
void command_scope(struct engine *engine, const struct engine_command *command);

/* An answer about one item, the way it is now. */
struct engine_item_result *
work_answer(struct engine *engine, const struct engine_command *command, const struct item *item);
/* Why new things are not let in now; TENURE_OK when they are. */
enum tenure_err work_gate(const struct engine *engine);
const char *work_gate_detail(const struct engine *engine);
bool work_is_name(struct bytes name);

/* Make the record of an end that time or a worker brought, and apply it: the lease of a taken item
 * ends.  False when there is no memory; nothing has changed then. */
struct work_failure {
    enum record_kind kind; /* FAILED, LAPSED, BURIED */
    struct bytes reason;
    uint32_t delay_ms; /* or ENGINE_DELAY_BACKOFF */
    bool is_counted;
    bool is_timeout; /* FAILED: the longest run was over; who runs it has lost it */
};
MUST_USE bool
work_fail(struct engine *engine, struct item *item, const struct work_failure *failure);
/* A waiting item will be done by nobody.  False when there is no memory. */
MUST_USE bool work_cancel(struct engine *engine, struct item *item, struct bytes reason);
/* Forget an item that nobody has.  False when there is no memory. */
MUST_USE bool work_remove(struct engine *engine, struct item *item, struct bytes reason);

#endif
