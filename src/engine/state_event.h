/* state_event - what clients ask of shared state.
 *
 * Part of event.h: the same rules of borrowing.
 *
 * There is one command that changes: a transaction.  Its guards and conditions are looked at first,
 * then the operations of one of its branches are carried out, all of them or none.  A single verb
 * is a transaction of one operation. */
#ifndef TENURE_ENGINE_STATE_EVENT_H
#define TENURE_ENGINE_STATE_EVENT_H

#include "base/limits.h"
#include "base/types.h"

/* Passes while `token` is that of a hold of the lock: nobody newer has got in, and it has not
 * ended. */
struct engine_guard {
    struct bytes lock;
    struct token token;
};

enum engine_condition_kind {
    CONDITION_PRESENT, /* the register is set */
    CONDITION_ABSENT,
    CONDITION_VERSION, /* it has this version; 0 = it is not set */
    CONDITION_VALUE,   /* it is set, to this value */
    CONDITION_COUNT
};

struct engine_condition {
    enum engine_condition_kind kind;
    struct bytes name;
    uint64_t version;
    struct bytes value;
};

enum engine_operation_kind {
    OPERATION_GET,
    OPERATION_SET,
    OPERATION_REMOVE,
    OPERATION_INCREMENT, /* a value that is a decimal number; what is not set counts as 0 */
    OPERATION_APPEND,    /* what is not set counts as empty */
    OPERATION_RANK_GET,
    OPERATION_RANK_ADD, /* or another score for who is a member */
    OPERATION_RANK_INCREMENT,
    OPERATION_RANK_REMOVE,
    OPERATION_RANK_TRIM, /* remove those at positions `first` to `last`, LIMIT_ITEM_COUNT_MAX of
                            them at most */
    OPERATION_KIND_COUNT
};

/* When a RANK_ADD does nothing; any of these together. */
enum engine_rank_when {
    RANK_IF_ABSENT = 1,
    RANK_IF_PRESENT = 2,
    RANK_IF_GREATER = 4, /* than the score it has; who is no member is added */
    RANK_IF_LESS = 8,
};

/* Operations are carried out in their order.  A register, or a member of a rank, is changed by one
 * of them at most. */
struct engine_operation {
    enum engine_operation_kind kind;
    struct bytes name;   /* of the register or the rank */
    struct bytes value;  /* SET: the value; APPEND: what is added */
    struct bytes member; /* of ranks but TRIM: UTF-8 without control characters */
    uint32_t ttl_ms;     /* SET, and INCREMENT or APPEND of what is not set: how long it lives; 0 =
                            until removed */
    struct engine_guard bond; /* the same: it vanishes with this hold; lock empty: with none */
    bool is_keeping;          /* SET: ttl and bond stay as they are */
    int64_t by;               /* INCREMENT */
    double score;             /* RANK_ADD, RANK_INCREMENT */
    unsigned when;            /* RANK_ADD: of enum engine_rank_when */
    int64_t first, last;      /* RANK_TRIM: from the lowest score, 0; below 0 from the end */
};

struct engine_change {
    const struct engine_guard *guards; /* up to LIMIT_GUARD_COUNT_MAX: all must pass */
    uint32_t guard_count;
    const struct engine_condition *conditions; /* up to LIMIT_OPERATION_COUNT_MAX: all must hold */
    uint32_t condition_count;
    const struct engine_operation *then_operations; /* the same limit each */
    uint32_t then_count;
    const struct engine_operation *else_operations;
    uint32_t else_count;
    bool has_else; /* without: MISMATCH when a condition does not hold */
};

/* Answer when the last change of the register is past this version. */
struct engine_state_wait {
    struct bytes name;
    uint64_t version;
    uint32_t wait_ms;
};

#endif
