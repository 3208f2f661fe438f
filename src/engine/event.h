/* event - what can happen to an engine: commands of clients, time, the disk, the end of
 * connections.
 *
 * The caller owns everything that an event points at; it is borrowed during the step. */
#ifndef TENURE_ENGINE_EVENT_H
#define TENURE_ENGINE_EVENT_H

#include "base/limits.h"
#include "base/types.h"
#include "engine/record.h"
#include "engine/state_event.h"
#include "engine/work_event.h"

enum engine_event_kind {
    ENGINE_COMMAND,     /* a client asks */
    ENGINE_TIMER,       /* end what was due at `now`, at most ENGINE_TIMER_BATCH of it; `now` may be
                           before that of commands that came late in the same turn */
    ENGINE_CLIENT_GONE, /* a connection ended: its waiters vanish at once; holds stay, and leases
                           that are bound to it end after their grace */
    ENGINE_DURABLE,     /* everything up to `durable` is on the disk */
    ENGINE_STALLED,     /* for `stall_ns` nothing could be received: all deadlines move by it; it
                           must be the first event of its turn, before time advances */
    ENGINE_GATE,        /* may grants be made? see enum engine_gate */
    ENGINE_READY,       /* the start is over: every restored hold gets its full ttl from now */
};

#define ENGINE_TIMER_BATCH 256u

enum engine_gate {
    ENGINE_GATE_OPEN,
    ENGINE_GATE_NO_SPACE, /* the disk is full: no grants; waiters stay; releases go on */
    ENGINE_GATE_SLOW, /* the disk does not answer: likewise, so that nobody piles up behind it */
    ENGINE_GATE_DRAINING, /* shutting down: no grants, and every waiter is answered now */
};

enum engine_command_kind {
    ENGINE_ACQUIRE,
    ENGINE_CANCEL, /* give up a wait: by client and tag of the acquire */
    ENGINE_RENEW,  /* many holds in one command */
    ENGINE_RELEASE,
    ENGINE_BREAK,
    ENGINE_PROCLAIM, /* the holder gives its hold a new value */
    ENGINE_TRANSFER, /* the holder hands over to a named waiting owner */
    ENGINE_PUT,      /* one item or many */
    ENGINE_TAKE,
    ENGINE_EXTEND, /* many leases in one command; and how far their workers are */
    ENGINE_DONE,
    ENGINE_FAIL,
    ENGINE_BURY,
    ENGINE_CANCEL_ITEM, /* nobody shall do it; a worker that has it is told when it extends */
    ENGINE_KICK,        /* one delayed or dead item becomes ready */
    ENGINE_REDRIVE,     /* dead items become ready */
    ENGINE_PURGE,       /* items that nobody has are forgotten */
    ENGINE_AWAIT,       /* answer when the item is done, dead or cancelled */
    ENGINE_PAUSE,
    ENGINE_RESUME,
    ENGINE_LIMIT,
    ENGINE_CHANGE,     /* of shared state: a transaction */
    ENGINE_STATE_WAIT, /* answer when a register has changed */
};
#define ENGINE_COMMAND_IS_WORK(kind)  ((kind) >= ENGINE_PUT && (kind) <= ENGINE_LIMIT)
#define ENGINE_COMMAND_IS_STATE(kind) ((kind) >= ENGINE_CHANGE)
/* `case ENGINE_WORK_COMMANDS:` is all of those, for a switch that tells none of them apart. */
#define ENGINE_WORK_COMMANDS                                                                       \
ENGINE_PUT:                                                                                        \
case ENGINE_TAKE:                                                                                  \
case ENGINE_EXTEND:                                                                                \
case ENGINE_DONE:                                                                                  \
case ENGINE_FAIL:                                                                                  \
case ENGINE_BURY:                                                                                  \
case ENGINE_CANCEL_ITEM:                                                                           \
case ENGINE_KICK:                                                                                  \
case ENGINE_REDRIVE:                                                                               \
case ENGINE_PURGE:                                                                                 \
case ENGINE_AWAIT:                                                                                 \
case ENGINE_PAUSE:                                                                                 \
case ENGINE_RESUME:                                                                                \
case ENGINE_LIMIT
#define ENGINE_STATE_COMMANDS                                                                      \
ENGINE_CHANGE:                                                                                     \
case ENGINE_STATE_WAIT

struct engine_acquire {
    const struct bytes *names; /* 1 … LIMIT_NAME_COUNT_MAX, all different */
    uint32_t name_count;
    struct bytes owner;
    struct bytes meta;
    uint32_t ttl_ms;  /* 0 = until released; the default is the edge's business */
    uint32_t wait_ms; /* 0 = answer at once */
    enum engine_mode mode;
    uint32_t slots;    /* 1 = a plain lock; more than 1 only with ENGINE_EXCLUSIVE */
    uint32_t priority; /* 0 … 9, 9 first */
    uint32_t lock_delay_ms;
};

/* One hold, named by its holder. */
struct engine_claim {
    struct bytes name;
    struct bytes owner;
    struct token token;
    uint32_t ttl_ms; /* ENGINE_RENEW: the new ttl; ENGINE_TTL_KEEP: as it was */
};
#define ENGINE_TTL_KEEP UINT32_MAX

struct engine_command {
    enum engine_command_kind kind;
    uint64_t client; /* the connection: waiters die with it; 0 is not used */
    uint64_t tag;    /* comes back with the reply; unique per client among waits */
    union {
        struct engine_acquire acquire;
        struct {
            const struct engine_claim *claims; /* 1 … LIMIT_ITEM_COUNT_MAX */
            uint32_t count;
        } renew;
        struct engine_claim release;
        struct {
            struct bytes name;
            struct token token;
            struct bytes reason;
            uint32_t grace_ms;
        } break_hold;
        struct {
            struct engine_claim claim;
            struct bytes value;
        } proclaim;
        struct {
            struct engine_claim claim;
            struct bytes to; /* the owner that must be waiting */
        } transfer;
        struct {
            const struct engine_put *items; /* 1 … LIMIT_ITEM_COUNT_MAX, put one after the other */
            uint32_t count;
        } put;
        struct engine_take take;
        struct {
            const struct engine_work_claim *claims; /* 1 … LIMIT_ITEM_COUNT_MAX */
            uint32_t count;
            bool is_binding; /* leases that are bound to a connection are now to this client's */
        } extend;
        struct engine_end_work end_work; /* DONE, FAIL, BURY */
        struct engine_item_name item;    /* CANCEL_ITEM, KICK */
        struct engine_sweep sweep;       /* REDRIVE, PURGE */
        struct engine_await await_end;   /* AWAIT */
        struct engine_scope scope;       /* PAUSE, RESUME, LIMIT */
        struct engine_change change;
        struct engine_state_wait state_wait;
    } as;
};

struct engine_event {
    enum engine_event_kind kind;
    struct mono now;
    struct wall wall;
    uint64_t random;                      /* for the jitter of backoffs; anything */
    const struct engine_command *command; /* ENGINE_COMMAND; borrowed during the call */
    uint64_t client;                      /* ENGINE_CLIENT_GONE */
    struct seq durable;                   /* ENGINE_DURABLE */
    int64_t stall_ns;                     /* ENGINE_STALLED */
    enum engine_gate gate;                /* ENGINE_GATE */
};

#endif
