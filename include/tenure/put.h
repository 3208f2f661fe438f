/* put - give work to a queue.  Part of queue.h.
 *
 *     delayed -> ready -> taken -> done        (dead: it has failed, or its workers were lost, too
 *         ^        ^        |      dead         often; cancelled: nobody shall do it)
 *         +--------+--------+      cancelled
 *
 * Inside a group the order is first come, first served, where priority is worth a fixed time of
 * waiting; the groups of a queue take turns. */
#ifndef TENURE_PUT_H
#define TENURE_PUT_H

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
    uint32_t expire_ms;      /* if it was not taken within so long it is cancelled; 0: never.  One
                                that was taken in time and comes back later stays */
    uint32_t lease_ms;       /* 0: 30000 */
    uint32_t timeout_ms;     /* longest run; 0: any */
    uint32_t attempts_max;   /* failures after which it is dead; 0: 25; TENURE_NONE */
    uint32_t lapses_max;     /* lost leases after which it is dead; 0: 3; TENURE_NONE */
    uint32_t backoff_ms;     /* before the second attempt; 0: 1000 */
    uint32_t backoff_ms_max; /* it doubles up to this; 0: 3600000 */
    uint32_t jitter_percent; /* by so much it may be shorter; 0: 20; TENURE_NONE */
    bool is_backoff_fixed;   /* it does not double */
    uint32_t retention_ms;   /* how long it is remembered when it is done or cancelled; 0: 60000
                                with an id, else not at all.  With an id, longer than puts are
                                repeated: once it is forgotten, the same id puts it again */
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
 * TENURE_UNKNOWN: items with an id may be put again while they are remembered (`retention_ms`), and
 * are by themselves as long as the call lasts; those without one might be there twice then. */
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

/* ------------------------------------------------------------------ schedules */

/* What becomes of runs whose time passed while no server was there. */
enum tenure_missed {
    TENURE_MISSED_ONCE, /* the last one happens, for all of them */
    TENURE_MISSED_SKIP, /* they never happen */
    TENURE_MISSED_ALL,  /* each happens */
};

struct tenure_schedule_options {
    size_t size;
    const char *name; /* of the schedule: another one of this name takes its place */
    const char
        *line; /* minute, hour, day of the month, month, day of the week: "30 4 * * mon-fri" */
    const char *zone; /* of the clock that it follows, "Europe/Berlin"; NULL: UTC */
    enum tenure_missed missed;
    uint32_t run_count_max; /* TENURE_MISSED_ALL: the last ones, at most so many; 0: 1000 */
    const struct tenure_put_options *item; /* put at each run, with an id of the schedule's */
};
/* Put an item whenever the line says so, by the server, until the schedule is cancelled: it is an
 * item itself, of the queue TENURE_SCHEDULES, delayed until its next run; `out_result` has its id.
 * TENURE_INVALID, with a text that says why: the line, also one that never comes true; the zone. */
#define TENURE_SCHEDULES "@schedules"
TENURE_API TENURE_MUST_USE enum tenure_err tenure_schedule(
    struct tenure_client client,
    const struct tenure_schedule_options *options,
    struct tenure_put_result *out_result,
    struct tenure_error *out_error);

#ifdef __cplusplus
}
#endif

#endif
