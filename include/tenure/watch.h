/* watch - look at locks, follow what happens to them and to all else, listen to channels, and break
 * a hold.
 *
 * Everything handed to a callback is valid during the call. */
#ifndef TENURE_WATCH_H
#define TENURE_WATCH_H

#include <tenure/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tenure_holder {
    const char *owner;
    const char *meta;
    uint64_t token;
    enum tenure_mode mode;
    uint32_t slot;
    uint32_t ttl_ms;
    int64_t remaining_ms;   /* -1: until released */
    int64_t acquired_at_us; /* wall clock */
    uint32_t votes;         /* so many nodes of `node_count` keep the hold: below it, something was
                               lost and a renewal will mend it; both 0: it is not kept by votes */
    uint32_t node_count;
    bool is_breaking;
    bool is_foreign; /* taken by a program that is not Tenure (a Redlock client): no token */
};

struct tenure_waiter {
    const char *owner;
    const char *meta;
    enum tenure_mode mode;
    uint32_t priority;
    uint32_t position;
    int64_t waited_ms;
    int64_t remaining_ms;
};

struct tenure_lock_view {
    const char *name;
    enum tenure_mode mode;
    uint32_t slots;
    uint64_t seq; /* of its last change */
    int64_t lock_delay_ms;
    const struct tenure_holder *holders;
    uint32_t holder_count; /* here */
    uint32_t hold_count;   /* in all */
    const struct tenure_waiter *waiters;
    uint32_t waiters_here;
    uint32_t waiter_count; /* in all */
};

typedef void (*tenure_lock_view_fn)(const struct tenure_lock_view *view, void *user);

/* One lock.  TENURE_NOT_FOUND: nobody holds it and nobody waits for it. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_inspect(
    struct tenure_client client,
    const char *name,
    tenure_lock_view_fn fn,
    void *user,
    struct tenure_error *out_error);

struct tenure_list_options {
    size_t size;
    const char *prefix; /* NULL: all */
    const char *owner;  /* only what he holds or waits for; NULL: of anybody */
    bool is_waited;     /* only those that somebody waits for */
};
/* All locks, in order of names; `fn` is called for each, as by tenure_inspect(). */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_list(
    struct tenure_client client,
    const struct tenure_list_options *options,
    tenure_lock_view_fn fn,
    void *user,
    struct tenure_error *out_error);

struct tenure_event {
    uint64_t seq;
    int64_t at_us;     /* wall clock */
    const char *kind;  /* "granted", "renewed", "released", "expired", "breaking", …; of queues
                          "put",  "taken", "progressed", "done", "failed", "lapsed", … */
    const char *name;  /* of a lock, or a queue */
    const char *owner; /* or the worker */
    uint64_t token;
    enum tenure_mode mode;
    uint32_t slot;
    uint32_t ttl_ms;
    const char *meta;
    const char *reason; /* or how far it is */
    const char *id;     /* of the item; "": none */
    const char *group;  /* "put": of the item */
    /* Of registers and ranks: "set", "appended", "unset" (its `reason`: "removed", "expired",
     * "hold_ended"), "ranked", "unranked". */
    const char *lock;   /* what the register is bound to; `token` is the hold's; "": nothing */
    const char *member; /* of a rank; "": it is no rank's */
    double score;
    double score_before; /* "ranked", with has_before */
    const void *value;   /* "set"; "appended": what was; "message": the message.  A zero is behind
                            it */
    size_t value_size;
    const void *previous; /* the value before, with has_before; a zero is behind it */
    size_t previous_size;
    uint32_t more;   /* so many events of the same transaction follow */
    bool has_before; /* there was one, and it was asked for */
};
/* Return false to stop. */
typedef bool (*tenure_event_fn)(const struct tenure_event *event, void *user);

/* The recent events of one lock, newest first; `count_max` 0: all that are remembered, up to 64. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_history(
    struct tenure_client client,
    const char *name,
    uint32_t count_max,
    tenure_event_fn fn,
    void *user,
    struct tenure_error *out_error);

struct tenure_watch {
    uint64_t id;
};
/* How a watch ended: TENURE_CANCELED (closed, or on_event returned false), TENURE_COMPACTED (it
 * asked for events that are no longer remembered, or fell behind: some are missing). */
typedef void (*tenure_watch_end_fn)(enum tenure_err err, void *user);
/* All that happens behind this event is told from now on.  Called again after each lost connection,
 * with the event behind which it goes on.  Who lists registers behind the first such call, and then
 * leaves out events whose seq is not above the version that he has listed, misses nothing. */
typedef void (*tenure_watch_begun_fn)(uint64_t seq, void *user);
struct tenure_watch_options {
    size_t size;
    const char *prefix; /* NULL: of all names */
    uint64_t since;     /* from behind this event on; 0: from now */
    tenure_event_fn on_event;
    tenure_watch_end_fn on_end; /* NULL: nobody wants to know */
    void *user;
    const char *kinds;              /* "set,unset": only events of these kinds; NULL: all */
    bool is_exact;                  /* `prefix` is the whole name */
    bool is_from_start;             /* with since 0: from the very first event on */
    bool has_previous;              /* of registers the value before, too */
    tenure_watch_begun_fn on_begun; /* NULL: nobody wants to know */
};
/* Follow events, gap-free, over lost connections too, until on_event returns false or the watch is
 * closed.  In a client that is dispatched too rarely for what happens, the rest is asked for again
 * when the first part has been told. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_watch_open(
    struct tenure_client client,
    const struct tenure_watch_options *options,
    struct tenure_watch *out_watch,
    struct tenure_error *out_error);
/* Listen to a channel: its messages are events of the kind "message", with the channel as `name`.
 * What is published while the connection is lost is missed.  Closed as watches are. */
struct tenure_subscribe_options {
    size_t size;
    const char *channel; /* 1 to 255 bytes */
    bool is_pattern;     /* `channel` has *, ?, [a-z], [^a], and \ before what is meant as it is */
    tenure_event_fn on_message;
    tenure_watch_begun_fn on_begun; /* from now on messages are told; the number means nothing */
    tenure_watch_end_fn on_end;     /* NULL: nobody wants to know, as of the one before */
    void *user;
};
TENURE_API TENURE_MUST_USE enum tenure_err tenure_subscribe(
    struct tenure_client client,
    const struct tenure_subscribe_options *options,
    struct tenure_watch *out_watch,
    struct tenure_error *out_error);

/* No new call of on_event begins; one that is under way on another thread may still be running.
 * on_end is called with TENURE_CANCELED. */
TENURE_API void tenure_watch_close(struct tenure_client client, struct tenure_watch watch);

/* End somebody's hold.  `token` must be the current one: nobody is hit by mistake.  With a grace
 * the holder is told and may finish; without one (0) the lock is granted again at once, while the
 * holder still believes that it has it.  TENURE_NOT_FOUND: nobody holds it.  TENURE_STALE_TOKEN. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_break(
    struct tenure_client client,
    const char *name,
    uint64_t token,
    const char *reason,
    uint32_t grace_ms,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#endif
