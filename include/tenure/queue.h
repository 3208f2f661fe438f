/* queue - work: items are put into queues, and workers take them under leases.
 *
 * A taken item is a hold, and all of lock.h about holds is true of it: the client's thread extends
 * its lease until the end, tenure_hold_valid() compares clocks and asks nobody, on_lost tells the
 * loss, and tenure_hold_token() is a token that is greater than that of every earlier take of the
 * same item.  Who has lost an item changes nothing any more: every later word about it is
 * TENURE_LOST.  It ends by tenure_item_done() or tenure_item_fail(); tenure_hold_release() gives it
 * back as if it had not been taken.
 *
 *     delayed -> ready -> taken -> done        (dead: it has failed, or its workers were lost, too
 *         ^        ^        |      dead         often; cancelled: nobody shall do it)
 *         +--------+--------+      cancelled
 *
 * Inside a group the order is first come, first served, where priority is worth a fixed time of
 * waiting; the groups of a queue take turns.
 *
 * What the store cannot do is TENURE_UNSUPPORTED.  Queues are there with a tenured of its own
 * journal. */
#ifndef TENURE_QUEUE_H
#define TENURE_QUEUE_H

#include <tenure/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tenure_item_state {
    TENURE_ITEM_DELAYED,
    TENURE_ITEM_READY,
    TENURE_ITEM_TAKEN,
    TENURE_ITEM_DONE,
    TENURE_ITEM_DEAD,
    TENURE_ITEM_CANCELLED,
};
#define TENURE_ITEM_STATE_COUNT 6
TENURE_API const char *tenure_item_state_name(enum tenure_item_state state);

/* In the place of a number whose 0 means the default: none, no limit. */
#define TENURE_NONE UINT32_MAX

/* ------------------------------------------------------------------ put */

/* How long a unique key keeps others out. */
enum tenure_unique {
    TENURE_UNIQUE_NONE,
    TENURE_UNIQUE_UNTIL_DONE,    /* until its item is done, dead or cancelled */
    TENURE_UNIQUE_UNTIL_STARTED, /* until its item is taken for the first time */
    TENURE_UNIQUE_WINDOW,        /* for unique_ms from the put, whatever becomes of the item */
};
/* What becomes of an item whose unique key another one has. */
enum tenure_conflict {
    TENURE_CONFLICT_IGNORE,    /* the other one stands for it */
    TENURE_CONFLICT_REPLACE,   /* it takes the place of the other, if that one still waits */
    TENURE_CONFLICT_KEEP_LAST, /* the same; while the other is taken, the last one that was put
                                  waits for its end */
};
/* Zero every field you do not set: 0 is what the server takes by default; set `size`. */
struct tenure_put_options {
    size_t size;
    const char *queue;
    const char *id;      /* NULL: one is made.  The same id again is the same put */
    const char *group;   /* NULL: the group of those without one */
    const char *headers; /* NULL: none; up to 4096 bytes, for the programs that use them */
    const void *body;    /* any bytes, up to 1 MiB */
    size_t body_size;
    uint32_t priority;       /* 0 … 9, 9 first */
    uint32_t delay_ms;       /* not before so much has passed */
    int64_t run_at_us;       /* not before, by the wall clock; 0: at once */
    uint32_t expire_ms;      /* if it was not taken within so long it is cancelled; 0: never */
    uint32_t lease_ms;       /* 0: 30000 */
    uint32_t timeout_ms;     /* longest run; 0: any */
    uint32_t attempts_max;   /* failures after which it is dead; 0: 25; TENURE_NONE */
    uint32_t lapses_max;     /* lost leases after which it is dead; 0: 3; TENURE_NONE */
    uint32_t backoff_ms;     /* before the second attempt; 0: 1000 */
    uint32_t backoff_ms_max; /* it doubles up to this; 0: 3600000 */
    uint32_t jitter_percent; /* by so much it may be shorter; 0: 20; TENURE_NONE */
    bool is_backoff_fixed;   /* it does not double */
    uint32_t retention_ms;   /* how long it is remembered when it is done or cancelled; 0: 60000
                                with an id, else not at all */
    const char *unique_key;  /* NULL: none */
    enum tenure_unique unique;
    enum tenure_conflict conflict;
    uint32_t unique_ms; /* TENURE_UNIQUE_WINDOW */
};

/* What became of one item. */
struct tenure_put_result {
    enum tenure_err err; /* this item's own */
    char id[256];
    enum tenure_item_state state;
    bool is_repeat; /* it, or one with its unique key, was there already: `id` is that one */
};
typedef void (*tenure_put_fn)(
    enum tenure_err err,
    const struct tenure_put_result *results, /* one for each item; valid during the call */
    uint32_t count,
    const struct tenure_error *error,
    void *user);

/* Put 1 to 1024 items, all of the same `size`, in their order.  TENURE_OK: each has a result of its
 * own; of one item its refusal is that of the call.  Otherwise the results tell which are in; the
 * rest have the `err` of the call.  Everything is copied.
 * TENURE_UNKNOWN: items with an id may be put again; those without one might be there twice then.
 */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_put_start(
    struct tenure_client client,
    const struct tenure_put_options *items,
    uint32_t count,
    tenure_put_fn fn,
    void *user,
    struct tenure_error *out_error);
/* The same and wait.  `out_results` has room for `count`; NULL: nobody wants to know.  It is
 * written unless the answer is TENURE_INVALID, TENURE_DEADLOCK or TENURE_NO_MEMORY. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_put(
    struct tenure_client client,
    const struct tenure_put_options *items,
    uint32_t count,
    struct tenure_put_result *out_results,
    struct tenure_error *out_error);

/* ------------------------------------------------------------------ take */

/* Somebody has cancelled the item: stop, and say tenure_item_fail() or tenure_item_done(). */
typedef void (*tenure_cancel_fn)(struct tenure_hold hold, void *user);

#define TENURE_TAKE_COUNT_MAX 64u

struct tenure_take_options {
    size_t size;
    const char *const *queues; /* an earlier one is served before a later one; up to 32 */
    uint32_t queue_count;
    const char *worker;     /* who takes, for people; NULL: "user@host:pid#random" */
    uint32_t count_max;     /* so many at once; 0: 1; up to TENURE_TAKE_COUNT_MAX */
    uint32_t wait_ms;       /* 0: do not wait; TENURE_WAIT_FOREVER */
    uint32_t lease_ms;      /* 0: as each item says */
    bool is_kept_by_caller; /* do not extend: the caller does, with tenure_hold_renew */
    tenure_risk_fn on_at_risk;
    tenure_risk_fn on_held;
    tenure_loss_fn on_lost;
    tenure_cancel_fn on_cancel; /* at the extension behind it */
    void *user;
};
typedef void (*tenure_take_fn)(
    enum tenure_err err,
    const struct tenure_hold *holds, /* with TENURE_OK: 1 to count_max; valid during the call */
    uint32_t count,
    const struct tenure_error *error,
    void *user);

/* Take what is ready, or wait for it without polling; the answer comes as soon as there is one.
 * TENURE_TIMEOUT: nothing came.  As with locks, an item whose lease is nearly over when the answer
 * arrives is extended first, and only then handed out; and what may have been taken by a request
 * that was given up is given back as far as it is known. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_take_start(
    struct tenure_client client,
    const struct tenure_take_options *options,
    tenure_take_fn fn,
    void *user,
    struct tenure_op *out_op,
    struct tenure_error *out_error);
/* The same and wait.  `out_holds` has room for count_max. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_take(
    struct tenure_client client,
    const struct tenure_take_options *options,
    struct tenure_hold *out_holds,
    uint32_t *out_count,
    struct tenure_error *out_error);

/* An item.  Texts are "" where there is nothing. */
struct tenure_item {
    const char *queue;
    const char *id;
    const char *group;
    const char *headers;
    const char *unique_key;
    const char *note;   /* taken: how far it is; dead, and ready or delayed again: why; done: the
                           result as far as it is text */
    const char *worker; /* taken */
    const void *body;   /* a zero is behind it; gone when it is done or cancelled */
    size_t body_size;
    const void *result; /* done; a zero is behind it */
    size_t result_size;
    enum tenure_item_state state;
    uint32_t priority;
    uint64_t token;    /* of the last take; 0: never taken */
    uint32_t attempts; /* that failed */
    uint32_t attempts_max;
    uint32_t lapses; /* leases that were lost */
    uint32_t lapses_max;
    int64_t put_at_us; /* wall clock, as all of these */
    int64_t run_at_us; /* delayed: when it becomes ready; else 0 */
    int64_t taken_at_us;
    uint32_t lease_ms;
    uint32_t timeout_ms;  /* 0: any */
    int64_t remaining_ms; /* taken: of the lease */
    bool is_cancelling;   /* taken: its worker should stop */
};
typedef void (*tenure_item_fn)(const struct tenure_item *item, void *user);

/* The item behind a hold, as it was when it was taken, from memory; is_cancelling as it is known
 * now.  Valid until the hold is ended.  TENURE_INVALID: the handle is closed, or is a lock's. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_item_of(struct tenure_hold hold, struct tenure_item *out_item);

/* ------------------------------------------------------------------ end */

/* The work is done.  The handle is closed and extensions stop at once.  `result` (up to 64 KiB) is
 * kept as long as the item is remembered.  It is said until the store answers, or until both the
 * time of the call and that of the lease are over.
 * TENURE_OK: it counts, and nobody else had the item meanwhile.  TENURE_LOST: it changed nothing.
 * TENURE_UNKNOWN: no answer.  TENURE_INVALID, TENURE_TOO_LARGE, TENURE_NO_MEMORY: nothing has
 * happened, and the handle stays open. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_done(
    struct tenure_hold hold,
    const void *result,
    size_t result_size,
    struct tenure_error *out_error);
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_done_start(
    struct tenure_hold hold, const void *result, size_t result_size, tenure_done_fn fn, void *user);

struct tenure_fail_options {
    size_t size;
    const char *reason; /* NULL: none; up to 255 bytes */
    uint32_t delay_ms;  /* before it is ready again; TENURE_NONE: as its backoff says */
    bool is_free;       /* the attempt does not count */
    bool is_dead;       /* nobody shall try again: at once dead */
};
/* It did not work.  `options` NULL: as its backoff says.  Outcomes as of tenure_item_done(). */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_fail(
    struct tenure_hold hold,
    const struct tenure_fail_options *options,
    struct tenure_error *out_error);
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_fail_start(
    struct tenure_hold hold,
    const struct tenure_fail_options *options,
    tenure_done_fn fn,
    void *user);

/* How far it is, for those who look: a line of up to 255 bytes. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_item_progress(struct tenure_hold hold, const char *text, struct tenure_error *out_error);
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_progress_start(
    struct tenure_hold hold, const char *text, tenure_done_fn fn, void *user);

/* One taken item by its words, for scripts that kept (queue, id, token) themselves. */
struct tenure_item_claim {
    const char *queue;
    const char *id;
    uint64_t token;
};
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_claim_done(
    struct tenure_client client,
    const struct tenure_item_claim *claim,
    const void *result,
    size_t result_size,
    struct tenure_error *out_error);
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_claim_fail(
    struct tenure_client client,
    const struct tenure_item_claim *claim,
    const struct tenure_fail_options *options,
    struct tenure_error *out_error);
/* `progress` NULL: nothing new.  `out_is_cancelling` may be NULL. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_claim_extend(
    struct tenure_client client,
    const struct tenure_item_claim *claim,
    uint32_t lease_ms, /* 0: as it is */
    const char *progress,
    int64_t *out_remaining_ms,
    bool *out_is_cancelling,
    struct tenure_error *out_error);

/* ------------------------------------------------------------------ look */

/* One item.  TENURE_NOT_FOUND. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_look(
    struct tenure_client client,
    const char *queue,
    const char *id,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error);
/* The next one of this state: of the ready ones the next to be taken, of the others the one that is
 * longest in it.  TENURE_NOT_FOUND: there is none. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_peek(
    struct tenure_client client,
    const char *queue,
    enum tenure_item_state state,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error);
/* The items of one state in the order in which they entered it; 0: all of them.  While nothing
 * moves each is told once. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_list(
    struct tenure_client client,
    const char *queue,
    enum tenure_item_state state,
    uint32_t count_max,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error);
/* Wait for the end of an item: `fn` gets it, done, dead or cancelled, with its result.
 * TENURE_TIMEOUT: not yet.  TENURE_NOT_FOUND: there is none, or it is forgotten already. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_await(
    struct tenure_client client,
    const char *queue,
    const char *id,
    uint32_t wait_ms,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error);
typedef void (*tenure_await_fn)(
    enum tenure_err err,
    const struct tenure_item *item, /* with TENURE_OK; valid during the call */
    const struct tenure_error *error,
    void *user);
/* The same without waiting. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_await_start(
    struct tenure_client client,
    const char *queue,
    const char *id,
    uint32_t wait_ms,
    tenure_await_fn fn,
    void *user,
    struct tenure_op *out_op,
    struct tenure_error *out_error);

/* What limits a group: 0 is no limit. */
struct tenure_group_limits {
    size_t size;
    uint32_t running_max; /* taken at once */
    uint32_t waiting_max; /* delayed and ready: a put beyond is refused */
    uint32_t rate_count;  /* takes in rate_ms */
    uint32_t rate_ms;
    uint32_t burst;  /* takes that may follow each other without a pause; 0: 1 */
    uint32_t weight; /* items a turn; 0: 1 */
};
/* A queue, or one group of it. */
struct tenure_queue_stat {
    const char *queue;
    const char *group;                        /* NULL: the queue */
    uint32_t counts[TENURE_ITEM_STATE_COUNT]; /* of a group: all that waits counts as ready */
    uint32_t group_count;
    uint32_t taker_count; /* takes that wait */
    int64_t oldest_ms;    /* since the item that is longest ready became so; -1: none is */
    bool is_paused;
    struct tenure_group_limits limits; /* of a queue: those of groups without their own */
};
typedef void (*tenure_queue_stat_fn)(const struct tenure_queue_stat *stat, void *user);
/* `group` NULL: the queue.  TENURE_NOT_FOUND: nothing is known of it. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_queue_stat(
    struct tenure_client client,
    const char *queue,
    const char *group,
    tenure_queue_stat_fn fn,
    void *user,
    struct tenure_error *out_error);
/* All queues whose names begin so; NULL: all. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_queue_list(
    struct tenure_client client,
    const char *prefix,
    tenure_queue_stat_fn fn,
    void *user,
    struct tenure_error *out_error);

/* ------------------------------------------------------------------ administer */

/* Nobody shall do it: what waits is cancelled; a worker is told at its next extension. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_cancel(
    struct tenure_client client,
    const char *queue,
    const char *id,
    const char *reason, /* NULL: none */
    struct tenure_error *out_error);
/* A delayed or dead item becomes ready now. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_kick(
    struct tenure_client client, const char *queue, const char *id, struct tenure_error *out_error);

/* Which items. */
struct tenure_sweep_options {
    size_t size;
    const char *queue;
    const char *group;    /* NULL: of all groups */
    const char *reason;   /* NULL, or: whose last failure begins so */
    uint32_t count_max;   /* 0: all; with an interval 1000, which is the most then */
    uint32_t interval_ms; /* tenure_queue_redrive: one by one at this distance; 0: all at once */
};
/* Dead items become ready, with no failures and no lapses. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_queue_redrive(
    struct tenure_client client,
    const struct tenure_sweep_options *options,
    uint64_t *out_count,
    struct tenure_error *out_error);
/* Items of one state, any but taken, are forgotten. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_queue_purge(
    struct tenure_client client,
    enum tenure_item_state state,
    const struct tenure_sweep_options *options,
    uint64_t *out_count,
    struct tenure_error *out_error);

/* Nothing is taken from the queue, or group, until it is resumed; what is taken goes on.
 * `group` NULL: the whole queue. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_queue_pause(
    struct tenure_client client,
    const char *queue,
    const char *group,
    struct tenure_error *out_error);
TENURE_API TENURE_MUST_USE enum tenure_err tenure_queue_resume(
    struct tenure_client client,
    const char *queue,
    const char *group,
    struct tenure_error *out_error);
/* `group` NULL: of all groups that have no limits of their own.  `limits` NULL: none, or those of
 * the queue again. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_queue_limit(
    struct tenure_client client,
    const char *queue,
    const char *group,
    const struct tenure_group_limits *limits,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#endif
