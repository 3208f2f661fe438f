/* queue_look - look at queues and items, and administer them.  Part of queue.h.
 *
 * Everything handed to a callback is valid during the call. */
#ifndef TENURE_QUEUE_LOOK_H
#define TENURE_QUEUE_LOOK_H

#include <tenure/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

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
struct tenure_item_list_options {
    size_t size;
    const char *queue;
    enum tenure_item_state state;
    uint32_t count_max; /* 0: all */
};
/* The items of one state in the order in which they entered it; 0: all of them.  While nothing
 * moves each is told once. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_list(
    struct tenure_client client,
    const struct tenure_item_list_options *options,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error);
struct tenure_await_options {
    size_t size;
    const char *queue;
    const char *id;
    uint32_t wait_ms; /* 0: look; TENURE_WAIT_FOREVER */
};
/* Wait for the end of an item: `fn` gets it, done, dead or cancelled, with its result.
 * TENURE_TIMEOUT: not yet.  TENURE_NOT_FOUND: there is none, or it is forgotten already. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_item_await(
    struct tenure_client client,
    const struct tenure_await_options *options,
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
    const struct tenure_await_options *options,
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
    uint32_t count_max;   /* 0: all that are there when it begins */
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
