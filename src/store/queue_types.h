/* queue_types - what is asked of a store's queues, and what it answers.  Part of types.h: the same
 * rules. */
#ifndef TENURE_STORE_QUEUE_TYPES_H
#define TENURE_STORE_QUEUE_TYPES_H

#include <tenure/error.h>

#include "base/types.h"

enum store_item_state {
    STORE_ITEM_DELAYED,
    STORE_ITEM_READY,
    STORE_ITEM_TAKEN,
    STORE_ITEM_DONE,
    STORE_ITEM_DEAD,
    STORE_ITEM_CANCELLED,
};
#define STORE_ITEM_STATE_COUNT 6
/* "delayed", …; NULL: there is no such state. */
const char *tni_store_item_state_word(unsigned state);

enum store_unique {
    STORE_UNIQUE_NONE,
    STORE_UNIQUE_UNTIL_DONE,
    STORE_UNIQUE_UNTIL_STARTED,
    STORE_UNIQUE_WINDOW,
};
enum store_conflict { STORE_CONFLICT_IGNORE, STORE_CONFLICT_REPLACE, STORE_CONFLICT_KEEP_LAST };

#define STORE_NONE UINT32_MAX /* in the place of a number whose 0 means the server's default */

/* One item to put; 0 and NULL are what the server takes by default. */
struct store_put {
    const char *id;
    const char *group;
    const char *headers;
    struct bytes body;
    uint32_t priority;
    uint32_t delay_ms;
    int64_t run_at_us;
    uint32_t expire_ms;
    uint32_t lease_ms;
    uint32_t timeout_ms;
    uint32_t attempts_max; /* STORE_NONE, as of the next one and of the jitter */
    uint32_t lapses_max;
    uint32_t backoff_ms;
    uint32_t backoff_ms_max;
    uint32_t jitter_percent;
    uint32_t retention_ms;
    bool is_backoff_fixed;
    const char *unique_key;
    enum store_unique unique;
    enum store_conflict conflict;
    uint32_t unique_ms;
};

/* Put it again and again. */
struct store_schedule {
    const char *name;
    const char *line;   /* of cron */
    const char *zone;   /* "Europe/Berlin" */
    const char *missed; /* "skip", "once", "all", "all:20" */
};

struct store_puts {
    const char *queue;
    const struct store_schedule *schedule; /* of one item; NULL: put now */
    const struct store_put *items;         /* 1 … LIMIT_ITEM_COUNT_MAX */
    uint32_t count;
};

struct store_take {
    const char *const *queues; /* 1 … LIMIT_NAME_COUNT_MAX */
    uint32_t queue_count;
    const char *worker;
    uint32_t count_max;
    uint32_t lease_ms;      /* 0: as each item says */
    struct mono wait_until; /* as of an acquire */
    int64_t answer_ns;
};

/* A taken item. */
struct store_item_claim {
    const char *queue;
    const char *id;
    uint64_t token;
};

enum store_finish_kind { STORE_FINISH_DONE, STORE_FINISH_FAIL, STORE_FINISH_BURY };
struct store_finish {
    enum store_finish_kind kind;
    struct store_item_claim claim;
    struct bytes result; /* DONE */
    const char *reason;  /* FAIL, BURY; NULL: none */
    uint32_t delay_ms;   /* FAIL; STORE_NONE: as its backoff says */
    bool is_free;        /* FAIL: it does not count */
};

enum store_sweep_kind { STORE_SWEEP_REDRIVE, STORE_SWEEP_PURGE };
struct store_sweep {
    enum store_sweep_kind kind;
    const char *queue;
    enum store_item_state state; /* PURGE */
    const char *group;           /* NULL: of all */
    const char *reason;          /* NULL, or how the last failure begins */
    uint32_t count_max;          /* 1 … LIMIT_ITEM_COUNT_MAX */
    uint32_t interval_ms;        /* REDRIVE */
    const char *cursor;          /* where to go on, as it was answered; NULL: it begins */
};

struct store_group_limits {
    uint32_t running_max; /* 0: any number, as of the next two */
    uint32_t waiting_max;
    uint32_t rate_count;
    uint32_t rate_ms;
    uint32_t burst;
    uint32_t weight;
};

enum store_scope_kind { STORE_SCOPE_PAUSE, STORE_SCOPE_RESUME, STORE_SCOPE_LIMIT };
struct store_scope {
    enum store_scope_kind kind;
    const char *queue;
    const char *group;                       /* NULL: the whole queue */
    const struct store_group_limits *limits; /* LIMIT; NULL: none of its own */
};

/* ------------------------------------------------------------------ results */

struct store_put_result {
    enum tenure_err err;
    const char *text; /* NULL: nothing to add */
    const char *id;
    enum store_item_state state;
    bool is_repeat;
};

/* Texts are "" where there is nothing. */
struct store_item {
    const char *queue;
    const char *id;
    const char *group;
    const char *headers;
    const char *unique_key;
    const char *note;
    const char *worker;
    struct bytes body;   /* a zero is behind it */
    struct bytes result; /* and behind it */
    enum store_item_state state;
    uint32_t priority;
    uint64_t seq;
    uint64_t token;
    uint32_t attempts;
    uint32_t attempts_max;
    uint32_t lapses;
    uint32_t lapses_max;
    int64_t put_at_us;
    int64_t run_at_us;
    int64_t taken_at_us;
    uint32_t lease_ms;
    uint32_t timeout_ms;
    int64_t remaining_ms;
    bool is_cancelling;
};

struct store_queue_stat {
    const char *queue;
    const char *group; /* NULL: the queue */
    uint32_t counts[STORE_ITEM_STATE_COUNT];
    uint32_t group_count;
    uint32_t taker_count;
    int64_t oldest_ms;
    bool is_paused;
    struct store_group_limits limits;
};

#endif
