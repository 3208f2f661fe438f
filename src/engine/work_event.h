/* work_event - what clients ask of queues.
 *
 * Part of event.h: the same rules of borrowing. */
#ifndef TENURE_ENGINE_WORK_EVENT_H
#define TENURE_ENGINE_WORK_EVENT_H

#include "base/limits.h"
#include "engine/record.h"
#include "engine/state_event.h"
#include "engine/terms.h"

/* One item to put. */
struct engine_put {
    struct bytes queue;
    struct bytes id;      /* empty: one is made of the number of its record: "_17" */
    struct bytes group;   /* empty: the group of those without one */
    struct bytes headers; /* UTF-8, for the program that uses them */
    struct bytes unique;  /* the key; empty with UNIQUE_NONE */
    struct bytes body;    /* any bytes */
    struct item_terms terms;
};

struct engine_take {
    const struct bytes *queues; /* 1 … LIMIT_NAME_COUNT_MAX, all different; an earlier one is served
                                   before a later one */
    uint32_t queue_count;
    struct bytes worker; /* who takes, for people */
    uint32_t count_max;  /* 1 … LIMIT_ITEM_COUNT_MAX; the answer comes as soon as there is one */
    uint32_t wait_ms;    /* 0 = answer at once */
    uint32_t lease_ms;   /* 0 = as each item says */
    bool is_bound;       /* the leases end `grace_ms` after this client's connection does */
    uint32_t grace_ms;
};

/* A lease, named by its worker. */
struct engine_work_claim {
    struct bytes queue;
    struct bytes id;
    struct token token;
    uint32_t lease_ms;     /* ENGINE_EXTEND: the new one; ENGINE_TTL_KEEP: as it was */
    struct bytes progress; /* ENGINE_EXTEND: how far it is; data NULL: nothing new */
};

struct engine_end_work {
    struct engine_work_claim claim;
    struct bytes reason; /* ENGINE_FAIL, ENGINE_BURY */
    struct bytes result; /* ENGINE_DONE */
    uint32_t delay_ms; /* ENGINE_FAIL: before it is ready again; ENGINE_DELAY_BACKOFF: as its terms
                          say */
    bool is_free;      /* ENGINE_FAIL: this attempt does not count */
    const struct engine_change *change; /* ENGINE_DONE: in the same step, or neither; NULL: none */
};
#define ENGINE_DELAY_BACKOFF UINT32_MAX

/* One item, named by an administrator. */
struct engine_item_name {
    struct bytes queue;
    struct bytes id;
    struct bytes reason;
};

/* Where a list goes on: behind this item.  All zero: from the start. */
struct engine_item_cursor {
    uint64_t entered;
    struct bytes id; /* in the engine, or the caller's */
};

/* Where a sweep goes on, and what has entered the state since it began is none of its business. */
struct engine_sweep_cursor {
    struct engine_item_cursor after;
    uint64_t until; /* 0: it begins */
    uint64_t count; /* swept so far */
};

/* Many items of one queue: the first `count_max` of this state that match.  A bounded number of
 * items is looked at; the answer says where to go on. */
struct engine_sweep {
    struct bytes queue;
    enum item_state state; /* ENGINE_PURGE, any but taken; ENGINE_REDRIVE takes the dead */
    bool has_group;
    struct bytes group;
    struct bytes reason;  /* the last failure begins so */
    uint32_t count_max;   /* 1 … LIMIT_ITEM_COUNT_MAX */
    uint32_t interval_ms; /* ENGINE_REDRIVE: one by one at this distance; 0 = all at once */
    struct engine_sweep_cursor cursor;
};

struct engine_await {
    struct bytes queue;
    struct bytes id;
    uint32_t wait_ms;
};

struct engine_scope {
    struct bytes queue;
    bool is_whole; /* the queue; else the group */
    struct bytes group;
    struct group_limits
        limits; /* ENGINE_LIMIT; of a whole queue: of its groups without their own */
};

#endif
