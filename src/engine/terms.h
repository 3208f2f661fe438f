/* terms - what is agreed about an item when it is put, and what limits its group.
 *
 * Both are part of records and of snapshots (record.c encodes them). */
#ifndef TENURE_ENGINE_TERMS_H
#define TENURE_ENGINE_TERMS_H

#include "base/types.h"

/* States of an item; item.h has the moves. */
enum item_state {
    ITEM_DELAYED,
    ITEM_READY,
    ITEM_TAKEN,
    ITEM_DONE,
    ITEM_DEAD,
    ITEM_CANCELLED,
    ITEM_STATE_COUNT
};

enum item_backoff { ITEM_BACKOFF_FIXED, ITEM_BACKOFF_EXPONENTIAL, ITEM_BACKOFF_COUNT };

/* How long a unique key keeps others out. */
enum unique_scope {
    UNIQUE_NONE,
    UNIQUE_UNTIL_DONE,    /* until its item is done, dead or cancelled */
    UNIQUE_UNTIL_STARTED, /* until its item is taken for the first time */
    UNIQUE_WINDOW,        /* for unique_ms from the put, whatever becomes of the item */
    UNIQUE_SCOPE_COUNT
};

/* What becomes of an item whose unique key is taken by another. */
enum unique_conflict {
    UNIQUE_IGNORE,    /* the other one stands for it */
    UNIQUE_REPLACE,   /* it takes the place of the other, if that one still waits; else as IGNORE */
    UNIQUE_KEEP_LAST, /* the same, but while the other is taken the last one put is kept back until
                         that one ends */
    UNIQUE_CONFLICT_COUNT
};

struct item_terms {
    int64_t run_at_us;     /* not before; 0 = at once */
    int64_t expires_at_us; /* if it has not been taken by then it is cancelled; 0 = never.  One
                              that was taken once does not expire */
    uint32_t lease_ms;
    uint32_t timeout_ms;   /* longest run; 0 = any */
    uint32_t retention_ms; /* how long it is remembered when it is done or cancelled */
    uint32_t backoff_ms;   /* before it is tried again after a failure */
    uint32_t backoff_ms_max;
    uint32_t unique_ms;    /* UNIQUE_WINDOW */
    uint16_t attempts_max; /* failures after which it is dead; 0 = any number */
    uint8_t lapses_max;    /* lost leases after which it is dead; 0 = any number */
    uint8_t priority;      /* 0 … 9, 9 first */
    uint8_t backoff;       /* enum item_backoff */
    uint8_t jitter;        /* the backoff is made shorter by up to so many percent */
    uint8_t unique_scope;  /* enum unique_scope */
    uint8_t conflict;      /* enum unique_conflict */
};

struct group_limits {
    uint32_t running_max; /* taken at once; 0 = any number */
    uint32_t size_max;    /* delayed and ready; 0 = any number */
    uint32_t rate_count;  /* takes in rate_ms; 0 = any number */
    uint32_t rate_ms;
    uint32_t burst;  /* takes that may follow each other without a pause; at least 1 */
    uint32_t weight; /* items a turn; at least 1 */
};

#define GROUP_LIMITS_NONE ((struct group_limits){ .burst = 1, .weight = 1 })

#endif
