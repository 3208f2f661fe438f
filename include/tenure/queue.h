/* queue - work: items are put into queues, and workers take them under leases.
 *
 * A taken item is a hold, and all of lock.h about holds is true of it: the client's thread extends
 * its lease until the end, tenure_hold_valid() compares clocks and asks nobody, on_lost tells the
 * loss, and tenure_hold_token() is a token that is greater than that of every earlier take of the
 * same item.  Who has lost an item changes nothing any more: every later word about it is
 * TENURE_LOST.  It ends by tenure_item_done() or tenure_item_fail(); tenure_hold_release() gives it
 * back as if it had not been taken.
 *
 * What the store cannot do is TENURE_UNSUPPORTED: queues are a tenured's with a journal of its own.
 *
 * put.h         put; included here
 * queue_look.h  look and administer; likewise */
#ifndef TENURE_QUEUE_H
#define TENURE_QUEUE_H

#include <tenure/put.h>

#ifdef __cplusplus
extern "C" {
#endif

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
    uint64_t seq;      /* of its put: a watch since then misses nothing of it; 0: not told */
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
struct tenure_extension {
    int64_t remaining_ms;
    bool is_cancelling; /* somebody has cancelled it: stop */
};
/* `progress` NULL: nothing new.  `out_extension` may be NULL. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_claim_extend(
    struct tenure_client client,
    const struct tenure_item_claim *claim,
    uint32_t lease_ms, /* 0: as it is */
    const char *progress,
    struct tenure_extension *out_extension,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#include <tenure/queue_look.h>

#endif
