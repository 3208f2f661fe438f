/* change - a transaction on shared state, in three phases: judged (nothing changes), made (what it
 * needs is there, and could be given back), carried out (nothing can fail). */
#ifndef TENURE_ENGINE_CHANGE_H
#define TENURE_ENGINE_CHANGE_H

#include "engine/key.h"
#include "engine/rank.h"
#include "engine/state.h"

/* What one operation leads to. */
struct change_step {
    const struct engine_operation *operation;
    struct key *key;       /* pinned */
    struct value *value;   /* the new one */
    struct member *member; /* that is there, or was made */
    struct bond *bond;
    double score;          /* of a rank: the new one */
    int64_t number;        /* INCREMENT: the new one */
    uint32_t first, count; /* RANK_TRIM: so many from this position */
    bool is_changing;      /* it makes a record, or TRIM several */
};

struct change_plan {
    const struct engine_change *change;
    bool is_else;
    uint32_t step_count;
    uint32_t made_count;   /* steps that have something to give back */
    uint32_t record_count; /* of what is still to be recorded */
    size_t record_size;
    const struct engine_condition *failed; /* with MISMATCH: the condition */
    enum engine_change_part fault_part;    /* what refused … */
    uint32_t fault_index;                  /* … and which of them */
    const char *detail;
    struct seq seq; /* what a refusal depends on */
    struct change_step steps[LIMIT_OPERATION_COUNT_MAX];
};

/* TENURE_OK, or why not; the plan says more then. */
MUST_USE enum tenure_err
change_judge(struct engine *engine, const struct engine_change *change, struct change_plan *out);
/* Room for everything, results included.  False when there is no memory: nothing is left of it. */
MUST_USE bool change_make(struct engine *engine, struct change_plan *plan);
void change_discard(struct engine *engine, struct change_plan *plan);
/* Its results go to the last reply. */
void change_carry_out(struct engine *engine, struct change_plan *plan);
/* Fill the last reply with a refusal. */
void change_refuse(struct engine *engine, const struct change_plan *plan, enum tenure_err err);

#endif
