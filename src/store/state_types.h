/* state_types - what is asked of a store's registers, ranks and channels, and what it answers.
 * Part of types.h: the same rules. */
#ifndef TENURE_STORE_STATE_TYPES_H
#define TENURE_STORE_STATE_TYPES_H

#include <tenure/error.h>

#include "base/types.h"

/* A lock and the token of a hold of it: a guard, or what a register is bound to. */
struct store_guard {
    const char *lock;
    uint64_t token;
};

enum store_condition_kind {
    STORE_IF_PRESENT,
    STORE_IF_ABSENT,
    STORE_IF_VERSION,
    STORE_IF_VALUE,
};
struct store_condition {
    enum store_condition_kind kind;
    const char *name;
    uint64_t version;
    struct bytes value;
};

enum store_change_kind {
    STORE_CHANGE_GET,
    STORE_CHANGE_SET,
    STORE_CHANGE_APPEND,
    STORE_CHANGE_INCR,
    STORE_CHANGE_REMOVE,
    STORE_CHANGE_RANK_GET,
    STORE_CHANGE_RANK_ADD,
    STORE_CHANGE_RANK_INCR,
    STORE_CHANGE_RANK_REMOVE,
};
/* One operation of a transaction. */
struct store_change {
    enum store_change_kind kind;
    const char *name; /* of a register, or a rank */
    struct bytes value;
    int64_t by;              /* INCR */
    const char *member;      /* of a rank */
    double score;            /* RANK_ADD, RANK_INCR */
    uint32_t ttl_ms;         /* 0: none, as in the next one */
    struct store_guard bond; /* lock NULL: none */
    bool is_ttl_kept;        /* SET: as it is */
};

struct store_transact {
    const struct store_guard *guards;
    uint32_t guard_count;
    const struct store_condition *conditions;
    uint32_t condition_count;
    const struct store_change *changes; /* when all conditions hold */
    uint32_t change_count;
    const struct store_change *otherwise; /* when one does not; none: TENURE_MISMATCH */
    uint32_t otherwise_count;
};

enum store_rank_kind {
    STORE_RANK_ADD,
    STORE_RANK_REMOVE,
    STORE_RANK_TRIM,
    STORE_RANK_SCORE,
    STORE_RANK_POSITION,
    STORE_RANK_RANGE,    /* by positions */
    STORE_RANK_BY_SCORE, /* by scores */
    STORE_RANK_COUNT,
    STORE_RANK_LIST, /* ranks, and not members */
};
struct store_bound {
    double score; /* infinite: none */
    bool is_open; /* without the score itself */
};
struct store_rank {
    enum store_rank_kind kind;
    const char *rank;           /* LIST: how their names begin; NULL: all */
    const char *after;          /* LIST: behind this name; "": from the first on */
    const char *const *members; /* ADD, REMOVE; one of SCORE, POSITION */
    const double *scores;       /* ADD: as many */
    uint32_t count;             /* of members; BY_SCORE: so many at most, 0: 1000 */
    uint32_t offset;            /* BY_SCORE: without the first ones */
    int64_t first;              /* RANGE, TRIM; negative: from the end */
    int64_t last;
    struct store_bound least; /* BY_SCORE, COUNT */
    struct store_bound most;
    bool is_reversed; /* POSITION, RANGE, BY_SCORE: the highest first */
    bool is_new_only; /* ADD: leave members alone that are there */
    bool is_old_only; /* ADD: no new ones */
    bool is_raise_only;
    bool is_lower_only;
};

/* ------------------------------------------------------------------ results */

struct store_register {
    const char *name;
    uint64_t version; /* 0: it is not set, and the rest is nothing */
    struct bytes value;
    uint32_t ttl_ms; /* 0: none */
    int64_t remaining_ms;
    const char *lock; /* "": not bound */
    uint64_t token;
};

/* What came of one operation. */
struct store_change_result {
    struct store_register value; /* of a rank only its name */
    bool is_rank;
    bool is_member; /* of a rank: `score` is that of the member */
    double score;
};

struct store_member {
    const char *member;
    double score;
};

#endif
