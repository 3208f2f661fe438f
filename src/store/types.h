/* types - what is asked of a store; what it answers is in result_types.h (store.h).
 *
 * Texts are terminated.  Those of a request belong to the caller until the operation is done; those
 * of a result are valid during the call of done. */
#ifndef TENURE_STORE_TYPES_H
#define TENURE_STORE_TYPES_H

#include <tenure/error.h>

#include "base/types.h"
#include "store/queue_types.h"
#include "store/state_types.h"

/* ------------------------------------------------------------------ requests */

/* What a store promises, the weakest first. */
enum store_safety {
    STORE_SAFETY_VOLATILE,
    STORE_SAFETY_REPLICATED_ASYNC,
    STORE_SAFETY_DURABLE_SINGLE,
    STORE_SAFETY_QUORUM,
    STORE_SAFETY_CONSENSUS,
};

enum store_verb {
    STORE_ACQUIRE,
    STORE_RENEW, /* one or many holds */
    STORE_RELEASE,
    STORE_BREAK,
    STORE_INSPECT,
    STORE_LIST,
    STORE_HISTORY,
    STORE_PROCLAIM,
    STORE_TRANSFER,
    STORE_INFO,
    /* queues */
    STORE_PUT,
    STORE_TAKE,
    STORE_EXTEND, /* one or many leases */
    STORE_FINISH, /* done, failed, dead */
    STORE_ITEM,   /* one, by its id, or the next one of a state */
    STORE_ITEMS,  /* of one state */
    STORE_QUEUE,  /* what is known of one, or of a group */
    STORE_QUEUES,
    STORE_AWAIT, /* the end of an item */
    STORE_ITEM_CANCEL,
    STORE_ITEM_KICK,
    STORE_SWEEP, /* redrive, purge */
    STORE_SCOPE, /* pause, resume, limit */
    /* shared state */
    STORE_TRANSACT,      /* registers, and members of ranks: one change, or many at once */
    STORE_REGISTERS,     /* all, or below a prefix */
    STORE_REGISTER_WAIT, /* until its version is another one */
    STORE_RANK,
    STORE_PUBLISH,
};
#define STORE_VERB_COUNT 28

struct store_claim {
    const char *name;
    const char *owner;
    uint64_t token;
};

struct store_acquire {
    const char *const *names; /* 1 … LIMIT_NAME_COUNT_MAX */
    uint32_t name_count;
    const char *owner;
    const char *meta;       /* NULL: none */
    uint32_t ttl_ms;        /* 0: until released */
    struct mono wait_until; /* no waiting when it is past; INT64_MAX: for ever */
    int64_t answer_ns;      /* the deadline of what was sent: so long behind `wait_until` */
    uint32_t slots;
    uint32_t priority;
    uint32_t lock_delay_ms;
    enum store_safety min_safety; /* a store that promises less refuses: TENURE_UNSUPPORTED */
    bool is_shared;
};

struct store_request {
    enum store_verb verb;
    struct mono deadline; /* an acquire must have been sent by then */
    int64_t patience_ns;  /* so long without an answer: try another connection; 0: never */
    union {
        struct store_acquire acquire;
        struct {
            const struct store_claim *claims; /* 1 … LIMIT_ITEM_COUNT_MAX */
            uint32_t count;
            uint32_t ttl_ms;
        } renew;
        struct store_claim release;
        struct {
            const char *name;
            uint64_t token;
            const char *reason;
            uint32_t grace_ms;
        } break_hold;
        struct {
            const char *name;
        } inspect;
        struct {
            const char *prefix; /* NULL: all */
            const char *owner;  /* NULL: of anybody */
            const char *after;  /* NULL; or only names behind this one, where that saves work */
            bool is_waited;
        } list;
        struct {
            const char *name;
            uint32_t count_max;
        } history;
        struct {
            struct store_claim claim;
            const char *value;
        } proclaim;
        struct {
            struct store_claim claim;
            const char *to;
        } transfer;
        struct store_puts put;
        struct store_take take;
        struct {
            const struct store_item_claim *claims; /* 1 … LIMIT_ITEM_COUNT_MAX */
            uint32_t count;
            uint32_t lease_ms;    /* 0: as it is */
            const char *progress; /* of the only one; NULL: nothing new */
        } extend;
        struct store_finish finish;
        struct {
            const char *queue;
            const char *id; /* NULL: the next one of `state` */
            enum store_item_state state;
        } item;
        struct {
            const char *queue;
            enum store_item_state state;
            uint32_t count_max; /* 0: all */
        } items;
        struct {
            const char *queue;
            const char *group; /* NULL: the queue */
        } queue;
        struct {
            const char *prefix; /* NULL: all */
        } queues;
        struct {
            const char *queue;
            const char *id;
            struct mono wait_until; /* as of an acquire */
            int64_t answer_ns;
        } await_end;
        struct {
            const char *queue;
            const char *id;
            const char *reason; /* ITEM_CANCEL; NULL: none */
        } item_name;            /* ITEM_CANCEL, ITEM_KICK */
        struct store_sweep sweep;
        struct store_scope scope;
        struct store_transact transact;
        struct {
            const char *prefix; /* NULL: all */
        } registers;
        struct {
            const char *name;
            uint64_t version;
            struct mono wait_until; /* as of an acquire */
            int64_t answer_ns;
        } register_wait;
        struct store_rank rank;
        struct {
            const char *channel;
            struct bytes message;
        } publish;
    } as;
};

#include "store/result_types.h"

#endif
