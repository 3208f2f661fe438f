/* lock - holds: acquire, keep, use, release.
 *
 * A hold is kept alive by the client's thread until it is released or lost.  It is always in one of
 * three states:
 *
 *   held     renewed in time
 *   at risk  a renewal is overdue; there is still time left on the local clock
 *   lost     the time is over, or the server says so; final
 *
 * Loss needs no network to be noticed.  The deadline is counted from *before* the request that the
 * server answered was sent, on CLOCK_BOOTTIME, less the clock error: it is over before the server
 * can grant the lock to anybody else.  tenure_hold_valid() compares clocks and asks nobody; call it
 * right before the work that needs the lock, and hand the token to what you write to. */
#ifndef TENURE_LOCK_H
#define TENURE_LOCK_H

#include <tenure/client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tenure_hold {
    uint64_t id; /* 0 is no hold */
};

enum tenure_mode { TENURE_EXCLUSIVE, TENURE_SHARED };
enum tenure_hold_state { TENURE_HOLD_HELD, TENURE_HOLD_AT_RISK, TENURE_HOLD_LOST };

/* Why a hold is lost. */
enum tenure_loss {
    TENURE_LOSS_NONE,
    TENURE_LOSS_EXPIRED, /* the local deadline has passed */
    TENURE_LOSS_ENDED,   /* the server says that it has expired or was released */
    TENURE_LOSS_BROKEN,  /* an administrator ended it */
    TENURE_LOSS_CLOSED,  /* the client was closed */
};
TENURE_API const char *tenure_loss_name(enum tenure_loss loss);

/* A hold is at risk, or no longer; so much time is left on the local clock. */
typedef void (*tenure_risk_fn)(struct tenure_hold hold, int64_t remaining_ms, void *user);
/* It is lost: stop what needs it.  The handle stays open until it is released. */
typedef void (*tenure_loss_fn)(struct tenure_hold hold, enum tenure_loss loss, void *user);

#define TENURE_WAIT_FOREVER   UINT32_MAX
#define TENURE_TTL_MS_DEFAULT 15000u

/* Zero every field you do not set; set `size`. */
struct tenure_lock_options {
    size_t size;
    const char *const *names; /* all or nothing; up to 32 */
    uint32_t name_count;
    const char *owner; /* NULL: a fresh one, "user@host:pid#random" */
    const char *meta;  /* NULL: none; up to 4096 bytes, for people who ask who holds it */
    uint32_t ttl_ms; /* 100 ms … 24 h; 0: TENURE_TTL_MS_DEFAULT, or less where a store gives less */
    bool is_unlimited; /* no ttl: until released, whatever happens to this process */
    uint32_t wait_ms;  /* 0: do not wait; TENURE_WAIT_FOREVER */
    enum tenure_mode mode;
    uint32_t slots;    /* 0 or 1: a plain lock */
    uint32_t priority; /* 0 … 9, 9 first */
    uint32_t lock_delay_ms;
    enum tenure_safety min_safety; /* what the store must promise; 0: anything */
    bool is_kept_by_caller;        /* do not renew: the caller does, with tenure_hold_renew */
    /* Each change of state, once.  In a client that is dispatched only what is new at the time of
     * the dispatch is told: a risk that has passed by then is not.  NULL: nobody wants to know. */
    tenure_risk_fn on_at_risk; /* a renewal is overdue */
    tenure_risk_fn on_held;    /* it was at risk, and has been renewed after all */
    tenure_loss_fn on_lost;    /* the end */
    void *user;
};

/* Who is in the way. */
struct tenure_obstacle {
    char name[256];
    char owner[256]; /* empty: nobody holds it; others wait, or a lock-delay runs */
    char meta[1024]; /* cut off when it is longer */
    uint64_t token;
    int64_t held_for_ms;    /* -1: nobody knows */
    int64_t remaining_ms;   /* -1: until released */
    int64_t retry_after_ms; /* -1: nobody knows */
    uint32_t position;      /* in the queue, 1 = next; 0 = unknown */
    int64_t waited_ms;
};

typedef void (*tenure_acquire_fn)(
    enum tenure_err err,
    struct tenure_hold hold,                /* with TENURE_OK */
    const struct tenure_obstacle *obstacle, /* with HELD and TIMEOUT; valid during the call */
    const struct tenure_error *error,
    void *user);

/* Start to acquire.  The strings are copied.  The outcome comes to `fn`: TENURE_OK, TENURE_HELD,
 * TENURE_TIMEOUT, TENURE_LIMIT_MISMATCH, TENURE_DEADLOCK, TENURE_INVALID, TENURE_CANCELED,
 * TENURE_UNSUPPORTED (the store cannot do that, or promises less than `min_safety`),
 * TENURE_UNAVAILABLE, TENURE_UNKNOWN (may have been granted: it is released in the background or
 * runs into its ttl) and those of the server.  A grant whose time is nearly over when it arrives is
 * not handed out: it is renewed first, and only then given to `fn`. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_lock_start(
    struct tenure_client client,
    const struct tenure_lock_options *options,
    tenure_acquire_fn fn,
    void *user,
    struct tenure_op *out_op,
    struct tenure_error *out_error);
/* The same and wait.  `out_obstacle` may be NULL. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_lock(
    struct tenure_client client,
    const struct tenure_lock_options *options,
    struct tenure_hold *out_hold,
    struct tenure_obstacle *out_obstacle,
    struct tenure_error *out_error);

/* What is known of a hold, from memory. */
struct tenure_hold_info {
    const char *owner; /* valid until the hold is released */
    uint32_t name_count;
    enum tenure_hold_state state;
    enum tenure_loss loss;
    uint32_t ttl_ms;
    int64_t remaining_ms;   /* on the local clock; INT64_MAX without a ttl; 0 when lost */
    int64_t valid_until_ns; /* CLOCK_BOOTTIME; INT64_MAX without a ttl */
    bool is_breaking;       /* an administrator ends it when remaining_ms is over */
};
struct tenure_hold_name {
    const char *name; /* valid until the hold is released */
    uint64_t token;
    uint32_t slot;
};
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_hold_info(struct tenure_hold hold, struct tenure_hold_info *out_info);
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_hold_name(struct tenure_hold hold, uint32_t index, struct tenure_hold_name *out_name);

/* Is there time left?  Compares two clocks; no lock, no network.  False for a hold that is gone. */
TENURE_API bool tenure_hold_valid(struct tenure_hold hold);
/* How much; 0 when lost or gone, INT64_MAX without a ttl. */
TENURE_API int64_t tenure_hold_remaining_ms(struct tenure_hold hold);
/* The token of the first name; 0 for a hold that is gone. */
TENURE_API uint64_t tenure_hold_token(struct tenure_hold hold);
/* A new descriptor that becomes readable when this process does not hold the lock any more: at the
 * local deadline to the millisecond, whatever the library's thread does then, or as soon as a loss
 * is known, or when the handle is closed.  Readable it stays.  While the hold is at risk it is not:
 * there is time left.  Do not read it; wait for it with poll(2) and its like, in this process or in
 * one that it was handed to (there it becomes readable when this process has died, too, at the
 * deadline).  It is yours: close it.
 * TENURE_INVALID: the handle is closed.  TENURE_NO_MEMORY: the system has no descriptors left. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_hold_fd(struct tenure_hold hold, int *out_fd);

/* How a hold ended.  Only EXPIRED_TAKEN and BROKEN mean that somebody else may have been in. */
enum tenure_end {
    TENURE_END_RELEASED,
    TENURE_END_EXPIRED_UNCLAIMED,
    TENURE_END_EXPIRED_TAKEN,
    TENURE_END_BROKEN,
    TENURE_END_NOT_OWNER,
    TENURE_END_UNKNOWN, /* no answer by the deadline: it may be released, and expires at the latest
                         */
};
TENURE_API const char *tenure_end_name(enum tenure_end end);

/* What is known when a hold has been released. */
struct tenure_release {
    enum tenure_end end;
    uint64_t successor; /* token of who came next; 0: nobody, or nobody knows */
    /* So long, at most, somebody else may have been in before the release was called: from the
     * local deadline on, or, when an administrator ended the hold, from the last moment at which it
     * is known to have been good.  0: nobody was; -1: nobody knows. */
    int64_t overlap_ms;
};
typedef void (*tenure_release_fn)(
    enum tenure_err err,
    const struct tenure_release *release, /* valid during the call */
    void *user);
/* Release: renewals stop at once, the handle is closed at once, and no new call of on_at_risk,
 * on_held or on_lost begins; one that is under way on another thread may still be running.  Of
 * several names all are released; `end` is the worst of their ends.  `fn` may be NULL. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_hold_release_start(struct tenure_hold hold, tenure_release_fn fn, void *user);
/* The same and wait.  Without an answer `end` is TENURE_END_UNKNOWN.  `out_release` may be NULL; it
 * is written unless the answer is TENURE_INVALID or TENURE_DEADLOCK. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_hold_release(struct tenure_hold hold, struct tenure_release *out_release);
/* Renew now (0: the ttl as it is) and wait for the answer.  TENURE_INVALID: the ttl, or the handle
 * is closed.  TENURE_LOST: it was too late. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_hold_renew(struct tenure_hold hold, uint32_t ttl_ms, struct tenure_error *out_error);
/* The same without waiting: the answer comes to `fn`. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_hold_renew_start(struct tenure_hold hold, uint32_t ttl_ms, tenure_done_fn fn, void *user);
/* Forget the handle without releasing: another process has taken over the (owner, token). */
TENURE_API void tenure_hold_forget(struct tenure_hold hold);

/* One claim by its words, for scripts that kept (name, owner, token) themselves. */
struct tenure_claim {
    const char *name;
    const char *owner;
    uint64_t token;
};
TENURE_API TENURE_MUST_USE enum tenure_err tenure_claim_renew(
    struct tenure_client client,
    const struct tenure_claim *claim,
    uint32_t ttl_ms,           /* 0: as it is */
    int64_t *out_remaining_ms, /* -1: until released */
    struct tenure_error *out_error);
/* How it ended is in `out_release`, also when that was before; without an answer `end` is
 * TENURE_END_UNKNOWN.  It may be NULL; it is written unless the answer is TENURE_INVALID or
 * TENURE_DEADLOCK. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_claim_release(
    struct tenure_client client,
    const struct tenure_claim *claim,
    struct tenure_release *out_release,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#endif
