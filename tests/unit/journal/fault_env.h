/* fault_env - another env with one fault in it, at a chosen call, once or from then on. */
#ifndef TENURE_TESTS_UNIT_JOURNAL_FAULT_ENV_H
#define TENURE_TESTS_UNIT_JOURNAL_FAULT_ENV_H

#include "base/env.h"

enum fault_kind {
    FAULT_KIND_IO,        /* -EIO, from any call */
    FAULT_KIND_NO_SPACE,  /* -ENOSPC, from calls that take room; a write does half of it first */
    FAULT_KIND_INTERRUPT, /* -EINTR, from any call */
    FAULT_KIND_SHORT,     /* reads and writes do a part */
    FAULT_KIND_COUNT,
};

struct fault_env {
    const struct env *base;
    struct env env; /* hand out this one */
    enum fault_kind kind;
    uint64_t at;      /* the call that fails, from 1; 0: none */
    bool is_for_ever; /* and every one after it */
    uint64_t call_count;
    bool is_hit;      /* the fault has happened */
    bool is_hit_hard; /* to a call that changes the disk, the removal of names aside */
};

/* The struct must stay where it is. */
void fault_env_init(struct fault_env *fault, const struct env *base);
void fault_env_arm(struct fault_env *fault, enum fault_kind kind, uint64_t at, bool is_for_ever);

#endif
