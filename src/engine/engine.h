/* engine - everything a lock is: a deterministic state machine without I/O, clock or randomness.
 *
 * Event in, update out.  A decision is made from the state and the event; what was decided becomes
 * a record; and only applying the record changes what is durable.  Recovery applies the same
 * records with the same code (apply.c), so that a replayed engine equals the live one.
 *
 *   names     a lock exists while somebody holds it or waits for it, and as long as the window of
 *             recent events remembers something about it
 *   holds     waiting -> pending -> live -> (breaking) -> ended, see hold.h
 *   time      the engine's own time is `now` minus all stalls reported by ENGINE_STALLED; deadlines
 *             are in engine time.  A hold is given its full ttl from the moment its grant is
 *             durable (ENGINE_DURABLE): before that no answer can have left.
 *   tokens    max(highest known + 1, wall clock in microseconds); the highest known is durable.
 *   queue     first come, first served inside one priority; each level of priority is worth
 *             `ageing_ms` of waiting, so that the order is one fixed total order over all locks:
 *             that is why nothing starves and why requests for many names cannot deadlock.
 *
 * Ownership: the engine copies what it keeps.  Everything it hands out is valid until the next call
 * that takes a non-const engine.  Threads: none. */
#ifndef TENURE_ENGINE_ENGINE_H
#define TENURE_ENGINE_ENGINE_H

#include <tenure/error.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/siphash.h"
#include "base/types.h"
#include "engine/record.h"

struct engine;

struct engine_options {
    const struct memory *memory; /* outlives the engine */
    struct siphash_key hash_key; /* random in production; shows in no output */
    uint32_t hold_count_max;
    uint32_t waiter_count_max;
    size_t window_size; /* bytes for recent events, all names together */
    uint32_t ageing_ms; /* what one level of priority is worth */
};

#define ENGINE_HOLD_COUNT_MAX_DEFAULT   16000000u
#define ENGINE_WAITER_COUNT_MAX_DEFAULT 100000u
#define ENGINE_WINDOW_SIZE_DEFAULT      ((size_t)64 << 20)
#define ENGINE_WINDOW_SIZE_MIN          ((size_t)64 << 10)
#define ENGINE_AGEING_MS_DEFAULT        10000u

/* NULL when there is no memory. */
MUST_USE struct engine *engine_create(const struct engine_options *options);
/* Accepts NULL inside; nulls the caller's pointer. */
void engine_destroy(struct engine **engine);

/* ------------------------------------------------------------------ events */

enum engine_event_kind {
    ENGINE_COMMAND,     /* a client asks */
    ENGINE_TIMER,       /* time has passed: end what is due, at most ENGINE_TIMER_BATCH of it */
    ENGINE_CLIENT_GONE, /* a connection ended: its waiters vanish at once; holds stay */
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
};

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
    } as;
};

struct engine_event {
    enum engine_event_kind kind;
    struct mono now;
    struct wall wall;
    const struct engine_command *command; /* ENGINE_COMMAND; borrowed during the call */
    uint64_t client;                      /* ENGINE_CLIENT_GONE */
    struct seq durable;                   /* ENGINE_DURABLE */
    int64_t stall_ns;                     /* ENGINE_STALLED */
    enum engine_gate gate;                /* ENGINE_GATE */
};

/* ----------------------------------------------------------------- updates */

/* How a hold ended. */
enum engine_end {
    ENGINE_END_NONE, /* it did not, or nothing is remembered of it */
    ENGINE_END_RELEASED,
    ENGINE_END_EXPIRED_UNCLAIMED,
    ENGINE_END_EXPIRED_TAKEN, /* and somebody else got in: `successor` */
    ENGINE_END_BROKEN,
};

/* "released", "expired_unclaimed", …; "not_owner" for ENGINE_END_NONE. */
const char *engine_end_word(enum engine_end end);

struct engine_hold_view {
    struct bytes name;
    struct bytes owner;
    struct bytes meta;
    struct token token;
    enum engine_mode mode;
    uint32_t slot;
    uint32_t slots;
    uint32_t ttl_ms;
    uint32_t lock_delay_ms;
    int64_t remaining_ms; /* -1 = until released */
    struct wall acquired_at;
    bool is_breaking; /* an administrator ends it when remaining_ms is over */
};

/* The answer about one name. */
struct engine_result {
    enum tenure_err err;
    struct bytes name;
    struct engine_hold_view hold; /* with TENURE_OK of acquire, renew, break, proclaim, transfer */
    bool is_repeat;               /* acquire: the owner had it already */
    enum engine_end end;          /* release: how it ended; LOST: what became of it */
    struct token successor;       /* with ENGINE_END_EXPIRED_TAKEN; transfer: the new token */
    /* refusals */
    struct engine_hold_view holder; /* HELD, TIMEOUT: one of those in the way; name.size 0 = nobody
                                       (others wait before, or a lock-delay runs) */
    uint32_t position;              /* HELD, TIMEOUT: place in the queue, 1 = next */
    int64_t retry_after_ms; /* HELD, TIMEOUT: when it can be free at the earliest; -1 unknown */
    int64_t waited_ms;      /* TIMEOUT, and grants after a wait */
};

/* The answer to one command.  It may leave only when `seq` is durable. */
struct engine_reply {
    uint64_t client;
    uint64_t tag;
    enum engine_command_kind kind; /* of the command that it answers */
    enum tenure_err err;           /* of the command as a whole */
    struct seq seq;
    const struct engine_result *results; /* acquire: one per name when granted, else one (the name
                                            that refused); renew: one per claim; else one */
    uint32_t result_count;
    const char *detail; /* INVALID and the like: what is wrong; static text or NULL */
};

/* What must now be done.  Storage is the engine's. */
struct engine_update {
    struct bytes records; /* encoded, `record_count` of them: append to the journal as one unit */
    uint32_t record_count;
    struct seq first; /* number of the first of them */
    const struct engine_reply *replies;
    uint32_t reply_count;
    bool is_waiting; /* the acquire of this event was queued: its reply comes with a later update */
};

/* Let something happen.  The only failure is TENURE_NO_MEMORY for events other than commands (a
 * command that finds no memory is answered so); the state is unchanged then and the call may be
 * repeated. */
MUST_USE enum tenure_err engine_step(
    struct engine *engine, const struct engine_event *event, struct engine_update *out_update);

/* When ENGINE_TIMER is due if nothing else happens; INT64_MAX for never. */
struct mono engine_deadline(const struct engine *engine);

/* ------------------------------------------------------------------- reads */

/* The last record made; a read that found nothing waits for it. */
struct seq engine_seq(const struct engine *engine);
struct token engine_token_high(const struct engine *engine);

struct engine_lock_view {
    struct bytes name;
    struct seq seq; /* of the last change of this lock: what a read of it depends on */
    enum engine_mode mode;
    uint32_t slots;
    uint32_t hold_count;
    uint32_t waiter_count;
    int64_t delay_ms; /* what is left of a lock-delay, else 0 */
};

/* False when the name is neither held nor waited for nor delayed; `out_view` then has only the
 * name and `seq` (of its last remembered change, else of the engine). */
bool engine_inspect(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    struct engine_lock_view *out_view);

/* The holds of a lock in order of slot, then of token: the one at `index`.  False past the end. */
bool engine_inspect_hold(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    uint32_t index,
    struct engine_hold_view *out_view);

struct engine_waiter_view {
    struct bytes owner;
    struct bytes meta;
    enum engine_mode mode;
    uint32_t priority;
    uint32_t position; /* 1 = next */
    int64_t waited_ms;
    int64_t remaining_ms; /* of the time it is willing to wait */
    uint32_t name_count;  /* more than 1: it waits for several at once */
};

/* The first waiters of a lock in the order in which they will be served, up to `count_max`. */
uint32_t engine_inspect_waiters(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    struct engine_waiter_view *out_views,
    uint32_t count_max);

enum engine_state_filter { ENGINE_STATE_ANY, ENGINE_STATE_HELD, ENGINE_STATE_WAITED };

struct engine_list_query {
    struct bytes prefix;
    struct bytes owner; /* empty = any: only locks that this owner holds or waits for */
    enum engine_state_filter state;
    struct bytes after; /* the cursor: names greater than this; empty = from the start */
    uint32_t count_max; /* 1 … LIMIT_LIST_COUNT_MAX */
};

/* Names in byte order that are held, waited for or delayed.  Looks at a bounded number of locks:
 * `*out_next` is where to go on (it points into the engine), empty at the end; a page may be short
 * or empty and still have a next.  Returns the number of views written. */
uint32_t engine_list(
    const struct engine *engine,
    const struct engine_list_query *query,
    struct mono now,
    struct engine_lock_view *out_views,
    struct bytes *out_next);

/* The remembered events of one name, newest first, up to `count_max`. */
uint32_t engine_history(
    const struct engine *engine, struct bytes name, struct record *out_records, uint32_t count_max);

/* The window of recent events: those with first <= seq <= last are remembered.  Empty: first >
 * last. */
struct seq engine_window_first(const struct engine *engine);
struct seq engine_window_last(const struct engine *engine);
/* One event of the window.  False when it is not in it. */
bool engine_window_read(const struct engine *engine, struct seq seq, struct record *out_record);

struct engine_counters {
    uint64_t granted, renewed, released, expired, broken;
    uint64_t refused_held, refused_timeout, refused_other, canceled;
    uint64_t lock_count, hold_count, waiter_count; /* now */
    uint64_t window_size, window_count;            /* now */
};

struct engine_counters engine_counters(const struct engine *engine);

/* ------------------------------------------------- restoring and snapshots */

/* Restoring happens before ENGINE_READY: first the chunks of one snapshot (if any), then records.
 * TENURE_CORRUPT when they contradict the state: the journal is not to be trusted then. */
MUST_USE enum tenure_err engine_restore_chunk(struct engine *engine, struct bytes chunk);
/* Call once behind the last chunk; checks that the snapshot was complete. */
MUST_USE enum tenure_err engine_restore_snapshot_end(struct engine *engine, struct seq seq);
MUST_USE enum tenure_err
engine_restore_batch(struct engine *engine, struct seq first, uint32_t count, struct bytes records);

/* A snapshot of the state at the moment of `begin`, written in pieces while the engine goes on: a
 * lock that changes before its turn is written first, as it was.  The order of entries means
 * nothing.  Only one at a time. */
void engine_snapshot_begin(struct engine *engine, struct seq *out_seq);
/* Append about `size` bytes of whole entries to `out` as one chunk.  True when that was the last.
 * An `out` that failed abandons the snapshot. */
bool engine_snapshot_write(struct engine *engine, struct buffer *out, size_t size);
void engine_snapshot_abandon(struct engine *engine);

/* ------------------------------------------------------------- for testing */

/* Asserts every invariant; slow. */
void engine_check(const struct engine *engine);
/* Of all durable state, independent of the hash key, of history and of the order of events that
 * led to it; equal after a replay. */
uint64_t engine_hash(const struct engine *engine);

#endif
