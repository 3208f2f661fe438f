/* oracle_parts - what the three files of the oracle share. */
#ifndef TESTS_SIM_ORACLE_PARTS_H
#define TESTS_SIM_ORACLE_PARTS_H

#include "sim/world.h"

/* ledger.c: keep a record's bytes; make true what it says.  NULL when it is
 * about no hold. */
void ledger_append(struct world *world, struct bytes record);
struct grant *ledger_apply(struct world *world, const struct record *record);

/* oracle.c: whoever waited with this connection and tag (0: any) does so no
 * more. */
void oracle_wait_remove(struct world *world, uint64_t connection, uint64_t tag);

/* answers.c: what was so before a command, to judge its answer by. */
struct before {
    bool has_grant; /* acquire of one name: the owner has it already */
    struct token token;
    enum engine_mode mode;
    uint32_t slots;
    bool is_current; /* release: the claim is the current hold */
};

struct before answers_look_before(struct world *world, const struct request *request);
/* The answer to the command of this step. */
void answers_check_own(
    struct world *world,
    const struct request *request,
    const struct engine_reply *reply,
    const struct before *before);
/* An answer to somebody who waited. */
void answers_check_wait(struct world *world, const struct engine_reply *reply);
/* S44: `name_last` was the last record about each name before this step. */
void answers_check_dependence(
    struct world *world, const uint64_t *name_last, const struct engine_reply *reply);
/* For the probes. */
void answers_count(struct world *world, enum tenure_err err);

#endif
