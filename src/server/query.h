/* query - a session asks what is, and is told: at once by the embedded engine, or when another
 * store has answered.
 *
 * Who renders an answer need not know where it comes from: a lock is shown through
 * query_next_hold() and query_waiters(), which read it from the engine, or from what the store has
 * told. */
#ifndef TENURE_SERVER_QUERY_H
#define TENURE_SERVER_QUERY_H

#include <tenure/error.h>

#include "engine/engine.h"

struct server;
struct session;
struct store_info;

enum query_kind {
    QUERY_LOCK,    /* one lock: its holders and waiters */
    QUERY_LIST,    /* a page of locks */
    QUERY_HISTORY, /* the latest events of one lock */
    QUERY_INFO,    /* what the store says of itself */
};

struct query_answer;

/* Writes the answer to the session, or asks further.  It may also submit a command, but not before
 * it has copied what it still needs of the answer. */
typedef void (*query_tell_fn)(struct session *session, const struct query_answer *answer);

struct query {
    enum query_kind kind;
    query_tell_fn tell;
    struct bytes name;             /* of LOCK and HISTORY */
    struct engine_list_query list; /* of LIST */
    uint32_t count_max;            /* of HISTORY */
};

/* How well a hold is kept, where that is a matter of votes. */
struct query_votes {
    uint32_t votes; /* this many nodes … */
    uint32_t node_count;
    bool is_foreign; /* the holder is no Tenure */
};

/* A lock as it is.  All of it is valid until the answer has been told. */
struct query_lock {
    struct engine_lock_view view; /* with the name and `seq` even when nobody knows the lock */
    bool is_known;                /* held, waited for, or delayed */
    struct seq changed;           /* the last event of it that is remembered; 0: none is */
    const struct engine *engine;  /* the rest is read from it; NULL: the rest is here */
    struct mono now;
    const struct engine_hold_view *holds;
    const struct query_votes *votes; /* of each hold; NULL: they are not kept by votes */
    uint32_t holds_here;
    const struct engine_waiter_view *waiters;
    uint32_t waiters_here;
};

struct query_cursor {
    const struct hold *hold; /* of the engine */
    uint32_t index;
};

struct query_answer {
    enum tenure_err err;
    const char *detail;             /* with an error: for people; NULL: its own text */
    struct bytes name;              /* that was asked for */
    struct seq seq;                 /* the answer may leave when this is durable */
    const struct query_lock *locks; /* LOCK: one */
    uint32_t lock_count;
    struct bytes next; /* LIST: where to go on; empty: at the end */
    const struct record *records;
    uint32_t record_count;
    const struct store_info *info; /* INFO; NULL: there is only this process */
};

/* The holds of a lock, in order of slot, then of token.  The cursor begins as zero. */
bool query_next_hold(
    const struct query_lock *lock, struct query_cursor *cursor, struct engine_hold_view *out_hold);
/* Of the hold that was given last; NULL: it is not kept by votes. */
const struct query_votes *
query_hold_votes(const struct query_lock *lock, const struct query_cursor *cursor);
/* The first one; false when nobody holds it. */
bool query_first_hold(const struct query_lock *lock, struct engine_hold_view *out_hold);
/* The first waiters, up to `count_max`, in the order in which they will be served. */
uint32_t query_waiters(
    const struct query_lock *lock, struct engine_waiter_view *out_waiters, uint32_t count_max);

/* Have the embedded engine answer, inside this call. */
void query_answer_from_engine(
    const struct server *server, struct session *session, const struct query *query);

#endif
