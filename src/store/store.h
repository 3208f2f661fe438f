/* store - the one interface to whatever keeps the locks.
 *
 * Every backend implements `struct store_ops`; one suite tests them all.  It is asynchronous: an
 * operation is started and is done exactly once, by its deadline, with an exact outcome.
 *
 *   done       is called from the loop, never inside tni_store_start or tni_store_cancel; it may
 *              start and cancel others, and free the operation
 *   deadline   at it the outcome is TENURE_UNKNOWN when the request was sent and no answer came,
 *              TENURE_UNAVAILABLE when it was not sent.  Until then what may be repeated is sent
 *              again over new connections
 *   refusal    what a backend cannot do it answers with TENURE_UNSUPPORTED, never approximates
 *
 * Memory: the operation and all that its request points at belong to the caller until it is done.
 * Threads: one, that of the loop. */
#ifndef TENURE_STORE_STORE_H
#define TENURE_STORE_STORE_H

#include <tenure/error.h>

#include <uv.h>

#include "base/heap.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/memory.h"
#include "store/types.h"

struct store_op;
/* STORE_REGISTERS: one register; they come in the order of their names. */
typedef void (*store_register_fn)(struct store_op *op, const struct store_register *value);
typedef void (*store_done_fn)(struct store_op *op, const struct store_result *result);
/* STORE_LIST: one lock; they come in the order of their names. */
typedef void (*store_item_fn)(struct store_op *op, const struct store_lock_view *view);
/* STORE_ITEMS: one item, STORE_QUEUES: one queue; in their order.  The other one is NULL. */
typedef void (*store_work_fn)(
    struct store_op *op, const struct store_item *item, const struct store_queue_stat *stat);

/* Zeroed but for the first fields, which the caller sets. */
struct store_op {
    struct store_request request;
    store_done_fn done;
    store_item_fn item;
    store_work_fn work;
    store_register_fn told;

    /* The backend's. */
    struct list link;
    struct heap_node timer;
    void *where;
    unsigned phase;
    uint32_t pending_count;
    struct mono started_at;
    struct mono sent_at; /* of the last sending */
    struct mono suspect_at;
    struct mono deadline;
    enum tenure_err err_kept;
    uint32_t position;
    bool is_started;
    bool is_sent; /* once, at least */
    bool is_sent_again;
    bool is_finished;
    bool has_text;
    char text[200];
    char name_kept[LIMIT_NAME_SIZE_MAX + 1];
    char cursor[LIMIT_CURSOR_SIZE_MAX + 1];
};

/* ------------------------------------------------------------------ watches */

struct store_watch;
/* False: no more. */
/* A message is an event of the kind "message": its name is the channel, its value the message. */
typedef bool (*store_event_fn)(struct store_watch *watch, const struct store_event *event);
typedef void (*store_watch_fn)(struct store_watch *watch);
/* It ended by itself: TENURE_COMPACTED and the like. */
typedef void (*store_watch_end_fn)(struct store_watch *watch, enum tenure_err err);

struct store_watch {
    const char *prefix;   /* NULL: all */
    const char *kinds;    /* "broken,breaking"; NULL: all */
    const char *channel;  /* NULL; or messages are told, and no events */
    uint64_t since;       /* 0: from now, unless has_since; the backend keeps it up to date */
    bool has_since;       /* likewise */
    bool is_exact;        /* `prefix` is a whole name */
    bool is_pattern;      /* `channel` is one */
    bool has_previous;    /* tell what was before, too */
    store_watch_fn begun; /* NULL, or: everything behind `since` is told from now on; again after
                             each lost connection */
    store_event_fn event;
    store_watch_end_fn end;
    void *where; /* the backend's */
};

/* ------------------------------------------------------------------ a store */

struct store;

struct store_options {
    uv_loop_t *loop;
    const struct memory *memory;
    const char *url;
    uint64_t seed; /* of the randomness in reconnecting */
};

struct store_ops {
    void (*start)(struct store *store, struct store_op *op);
    void (*cancel)(struct store *store, struct store_op *op);
    enum tenure_err (*watch)(struct store *store, struct store_watch *watch);
    void (*unwatch)(struct store *store, struct store_watch *watch);
    void (*close)(struct store *store);
};

/* What may be asked for beside the verbs. */
enum store_feature {
    STORE_FEATURE_NAMES, /* several names at once */
    STORE_FEATURE_SHARED,
    STORE_FEATURE_SLOTS,
    STORE_FEATURE_PRIORITY,
    STORE_FEATURE_LOCK_DELAY,
    STORE_FEATURE_NO_TTL, /* until released */
    STORE_FEATURE_RESUME, /* watches from the past */
};
#define STORE_FEATURE_COUNT 7

/* The head of each backend's own struct. */
struct store {
    const struct store_ops *ops;
    enum store_safety safety;
    unsigned verbs;      /* bit n: the verb n is supported */
    unsigned features;   /* bit n: the feature n is supported */
    uint32_t ttl_ms_max; /* no lease is longer, as far as is known */
};

/* Open by URL; connects in the background.
 * TENURE_INVALID: the URL.  TENURE_UNSUPPORTED: its scheme.  TENURE_NO_MEMORY. */
MUST_USE enum tenure_err tni_store_open(
    const struct store_options *options, struct store **out_store, struct tenure_error *out_error);
/* Is this a URL that tni_store_open would take?  Without a loop; the same errors. */
MUST_USE enum tenure_err tni_store_check_url(const char *url, struct tenure_error *out_error);

/* A URL for people: without passwords, cut to `text_size`. */
void tni_store_show_url(const char *url, char *out_text, size_t text_size);

/* Every operation is done with TENURE_CANCELED, before this returns; watches end without a word.
 * The store is gone when the loop has run until none of its handles is open. */
static inline void tni_store_close(struct store *store)
{
    store->ops->close(store);
}

static inline void tni_store_start(struct store *store, struct store_op *op)
{
    store->ops->start(store, op);
}

/* It is done with TENURE_CANCELED soon, or with its result when that was first.  Nothing happens
 * when it is done already. */
static inline void tni_store_cancel(struct store *store, struct store_op *op)
{
    store->ops->cancel(store, op);
}

MUST_USE static inline enum tenure_err
tni_store_watch(struct store *store, struct store_watch *watch)
{
    return store->ops->watch(store, watch);
}

/* No event comes any more.  Accepts a watch that has ended. */
static inline void tni_store_unwatch(struct store *store, struct store_watch *watch)
{
    store->ops->unwatch(store, watch);
}

/* "durable-single" and the like. */
const char *tni_store_safety_word(enum store_safety safety);
/* False: there is no such word. */
MUST_USE bool tni_store_safety_from_word(const char *word, enum store_safety *out_safety);
/* What this store does not support, in the words of the API: "history", "slots" ...; NULL behind
 * the last one. */
const char *tni_store_unsupported_word(const struct store *store, uint32_t index);

/* CLOCK_BOOTTIME. */
struct mono tni_store_now(void);

#endif
