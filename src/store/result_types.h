/* result_types - what a store answers.  Part of types.h: the same rules. */
#ifndef TENURE_STORE_RESULT_TYPES_H
#define TENURE_STORE_RESULT_TYPES_H

#include "store/queue_types.h"
#include "store/state_types.h"

struct store_grant {
    const char *name; /* NULL: that of the request, of which there is only one */
    uint64_t token;
    uint32_t slot;
    uint32_t ttl_ms;
    int64_t remaining_ms; /* -1: until released */
};

enum store_end {
    STORE_END_RELEASED,
    STORE_END_EXPIRED_UNCLAIMED,
    STORE_END_EXPIRED_TAKEN,
    STORE_END_BROKEN,
    STORE_END_NOT_OWNER,
};

struct store_renewal {
    enum tenure_err err; /* OK; or how it was refused */
    enum store_end end;  /* with LOST */
    uint32_t ttl_ms;
    int64_t remaining_ms;
    bool is_breaking;   /* an administrator has set an end to it */
    bool is_cancelling; /* EXTEND: somebody has cancelled the item */
};

struct store_holder {
    const char *owner;
    const char *meta;
    uint64_t token;
    bool is_shared;
    uint32_t slot;
    uint32_t ttl_ms;
    int64_t remaining_ms;
    int64_t acquired_at_us;
    uint32_t votes; /* this many nodes of `node_count` keep the hold; both 0: not kept by votes */
    uint32_t node_count;
    bool is_breaking;
    bool is_foreign; /* kept by a program that is not Tenure; its token is 0 */
};

struct store_waiter {
    const char *owner;
    const char *meta;
    bool is_shared;
    uint32_t priority;
    uint32_t position;
    int64_t waited_ms;
    int64_t remaining_ms;
};

struct store_lock_view {
    const char *name;
    bool is_shared;
    uint32_t slots;
    uint64_t seq;
    int64_t lock_delay_ms;
    const struct store_holder *holders;
    uint32_t holder_count;
    const struct store_waiter *waiters;
    uint32_t waiters_here;
    uint32_t waiter_count; /* in all */
};

/* Fields that a kind does not have are zero, or "". */
struct store_event {
    uint64_t seq;
    int64_t at_us;
    const char *kind;
    const char *name;
    const char *owner;
    uint64_t token;
    bool is_shared;
    uint32_t slot;
    uint32_t ttl_ms;
    const char *meta;
    const char *reason;
    const char *id;    /* of an item */
    const char *group; /* likewise */
    /* Of registers and ranks. */
    const char *lock;   /* what the register is bound to; `token` is the hold's */
    const char *member; /* of a rank */
    double score;
    double score_before; /* with has_before */
    struct bytes value;
    struct bytes previous; /* with has_before */
    uint32_t more;         /* so many events of the same transaction follow */
    bool has_before;
};
/* What such fields are, where a kind has none of them. */
#define STORE_EVENT_EMPTY                                                                          \
    .kind = "", .name = "", .owner = "", .meta = "", .reason = "", .id = "", .group = "",          \
    .lock = "", .member = "", .value = { "", 0 }, .previous = { "", 0 }

/* One of the servers that a store consists of, as this process sees it.  Texts are "" where nothing
 * is known. */
struct store_node {
    const char *address;     /* without passwords */
    const char *standing;    /* "admitted", "quarantined", ...: a word for people and machines */
    const char *role;        /* "master", "replica" */
    const char *version;     /* of the server */
    const char *persistence; /* "appendfsync always", "none", ... */
    const char *eviction_policy; /* "noeviction", ... */
    const char *trouble;         /* what is wrong with it, one sentence */
    const char *advice;          /* what to do about it */
    int64_t quarantine_ms;       /* so long until it votes; 0: now; -1: unknown */
    int64_t clock_offset_ms;     /* its wall clock less ours; only for people */
    bool is_reachable;
    bool is_voting;
};

struct store_info {
    const struct store_node *nodes; /* in the order of the URL; none: the store is one server */
    uint32_t node_count;
    const char *version;
    const char *node_id;
    uint64_t uptime_us;
    uint64_t hold_count;
    uint64_t waiter_count;
    uint64_t connection_count;
    uint64_t connection_count_max;
    uint64_t journal_bytes;
    uint64_t disk_free_bytes;
    uint64_t stall_count;
    uint64_t stalled_ms;
    uint64_t damaged_file_count;
    bool is_disk_full;
    bool is_disk_slow;
};

struct store_result {
    enum tenure_err err;
    const char *text;    /* for people; NULL: nothing to add */
    bool is_unsure;      /* acquire: not granted as far as is known, but it may have been */
    struct mono sent_at; /* when the request that was answered had not been written yet */
    union {
        struct {
            const struct store_grant *grants; /* with OK: one for each name */
            uint32_t grant_count;
            const struct store_lock_view *obstacle; /* with HELD and TIMEOUT; NULL: unknown */
            uint32_t position;                      /* 0: unknown */
        } acquire;
        struct {
            const struct store_renewal *renewals;
            uint32_t count;
        } renew; /* EXTEND, too */
        struct {
            enum store_end end;
            uint64_t successor;
        } release;
        const struct store_lock_view *inspect;
        struct {
            const struct store_event *events;
            uint32_t count;
        } history;
        uint64_t transfer_token;
        struct store_info info;
        struct {
            const struct store_put_result *results; /* one for each item */
            uint32_t count;
        } put;
        struct {
            const struct store_item *items; /* TAKE: 1 … count_max; ITEM and AWAIT: one */
            uint32_t count;
        } items;
        const struct store_queue_stat *stat; /* QUEUE */
        struct {
            uint32_t count;
            bool is_all;        /* there are no more */
            const char *cursor; /* else where to go on; NULL: from the front */
        } sweep;
        struct {
            const struct store_change_result *results; /* one for each operation */
            uint32_t count;
            bool is_otherwise;
        } transact;
        struct {
            struct store_register value;
            uint64_t version; /* to wait on from */
        } register_wait;      /* with OK and TIMEOUT */
        struct {
            const struct store_member *members; /* RANGE, BY_SCORE; LIST: ranks, and their sizes */
            uint32_t count;                     /* of them; ADD, REMOVE, TRIM, COUNT: how many */
            int64_t position;                   /* -1: no such member */
            double score;                       /* SCORE */
            const char *next;                   /* LIST: go on behind it; "": there are no more */
        } rank;
        uint32_t listener_count; /* PUBLISH */
    } as;
};

#endif
