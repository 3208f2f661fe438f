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
 *   items     of queues: see item.h
 *   keys      of shared state: registers and ranks, see keys.h
 *   waiters   first come, first served inside one priority; each level of priority is worth
 *             `ageing_ms` of waiting, so that the order is one fixed total order over all locks:
 *             that is why nothing starves and why requests for many names cannot deadlock.
 *
 * Ownership: the engine copies what it keeps.  Everything it hands out is valid until the next call
 * that takes a non-const engine.  Threads: none. */
#ifndef TENURE_ENGINE_ENGINE_H
#define TENURE_ENGINE_ENGINE_H

#include <tenure/error.h>

#include "base/buffer.h"
#include "base/histogram.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/siphash.h"
#include "base/types.h"
#include "engine/event.h"
#include "engine/record.h"
#include "engine/update.h"

struct engine;
struct hold;

struct engine_options {
    const struct memory *memory; /* outlives the engine */
    struct siphash_key hash_key; /* random in production; shows in no output */
    uint32_t hold_count_max;
    uint32_t waiter_count_max;
    size_t window_size;      /* bytes for recent events, all names together */
    uint32_t ageing_ms;      /* what one level of priority is worth */
    uint32_t item_count_max; /* of all queues; 0 = the default */
    uint64_t item_bytes_max; /* their bodies, headers and results; 0 = the default */
    uint32_t key_count_max;  /* registers, and members of ranks; 0 = the default */
    uint64_t key_bytes_max;  /* their values, and names of members; 0 = the default */
    uint32_t look_count_max; /* items or groups that one step looks at to find some; 0 = the
                                default */
};

#define ENGINE_HOLD_COUNT_MAX_DEFAULT   16000000u
#define ENGINE_WAITER_COUNT_MAX_DEFAULT 100000u
#define ENGINE_WINDOW_SIZE_DEFAULT      ((size_t)64 << 20)
#define ENGINE_WINDOW_SIZE_MIN          ((size_t)64 << 10)
#define ENGINE_AGEING_MS_DEFAULT        10000u
#define ENGINE_ITEM_COUNT_MAX_DEFAULT   16000000u
#define ENGINE_ITEM_BYTES_MAX_DEFAULT   ((uint64_t)4 << 30)
#define ENGINE_KEY_COUNT_MAX_DEFAULT    32000000u
#define ENGINE_KEY_BYTES_MAX_DEFAULT    ((uint64_t)4 << 30)
#define ENGINE_LOOK_COUNT_MAX_DEFAULT   20000u

/* NULL when there is no memory. */
MUST_USE struct engine *engine_create(const struct engine_options *options);
/* Accepts NULL inside; nulls the caller's pointer. */
void engine_destroy(struct engine **engine_pointer);

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

/* All of them in that order: `*cursor` begins as NULL and belongs to the engine.  False behind the
 * last.  The engine must not change meanwhile. */
bool engine_next_hold(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    const struct hold **cursor,
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
    uint64_t records[RECORD_KIND_COUNT]; /* made, by kind */
    struct histogram hold_times;         /* from grant to end */
    struct histogram item_waits;         /* from when it can be taken until it is */
    struct histogram item_runs;          /* from take to end */
    uint64_t lock_count;                 /* now: names in use, or of an event of the window */
    uint64_t hold_count, waiter_count;   /* now */
    uint64_t window_size, window_count;  /* now */
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

/* No entry of a snapshot is larger: an item or a register with the largest body.  A lock of many
 * holds has several, and so has a rank of many members. */
#define ENGINE_SNAPSHOT_ENTRY_SIZE_MAX ((size_t)LIMIT_BODY_SIZE_MAX + ((size_t)64 << 10))

/* A snapshot of the state at the moment of `begin`, written in pieces while the engine goes on: a
 * lock that changes before its turn is written first, as it was.  The order of entries means
 * nothing.  Only one at a time. */
void engine_snapshot_begin(struct engine *engine, struct seq *out_seq);
/* Append whole entries to `out` as one chunk, until it has at least `size` bytes more: that makes
 * fewer than `size` + ENGINE_SNAPSHOT_ENTRY_SIZE_MAX, whatever there is to write.  True when that
 * was the last.  An `out` that failed abandons the snapshot. */
bool engine_snapshot_write(struct engine *engine, struct buffer *out, size_t size);
void engine_snapshot_abandon(struct engine *engine);

/* ------------------------------------------------------------- for testing */

/* Asserts every invariant; slow. */
void engine_check(const struct engine *engine);
/* Of all durable state, independent of the hash key, of history and of the order of events that
 * led to it; equal after a replay. */
uint64_t engine_hash(const struct engine *engine);

#endif
