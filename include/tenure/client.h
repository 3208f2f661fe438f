/* client - the connection to a store: where locks are.
 *
 * A client is opened by URL and owns one thread, which does all input and output and renews holds.
 * Every operation ends exactly once, by its deadline.  Functions wait for that end; what programs
 * with an event loop need also has the form `tenure_x_start`, which returns at once and calls back.
 *
 * URLs:  tenure://HOST:PORT                 a tenured server (port 7420 when it is left out)
 *        tenure+unix:///PATH                the same over a Unix socket
 *        redis://HOST:PORT[,HOST:PORT...]   Redis: one server, or a majority of 3, 5 or 7 that know
 *                                           nothing of each other; rediss:// with TLS
 *        redis+unix:///PATH[,/PATH...]      the same over Unix sockets
 *        redis+sentinel://HOST,.../MASTER   the one that the Sentinels call so; rediss+sentinel://
 *
 * Handles are numbers with a generation: a handle that was closed is an error (TENURE_INVALID), not
 * a crash, and is never used again.
 *
 * Threads: every function may be called from every thread, also from inside a callback.  Callbacks
 * of one client run one after the other, never inside the call that started the operation, and not
 * under any lock of the library.  Which thread they run on is decided when the client is opened:
 *
 *   by themselves   on the client's own thread, as soon as there is something to say.  A callback
 *                   that takes long holds up renewals; a function that waits is refused in it
 *                   (TENURE_DEADLOCK): it would wait for itself
 *   is_dispatched   only inside tenure_client_dispatch(), on the thread that calls it: that of the
 *                   program's event loop, which is told by tenure_client_fd() when there is
 *                   something to say (adapter/).  Renewals go on however long callbacks take or
 *                   the loop sleeps, and a function that waits may be called
 *
 * Only what a waiting function calls (the `fn` of tenure_inspect and its like) always runs on the
 * client's own thread, while its caller waits; functions that wait are refused in it.
 *
 * fork(): a client belongs to the process that opened it.  In a child every call answers
 * TENURE_INVALID, renews nothing and releases nothing, from atexit() too; it may open clients of
 * its own.  A callback that runs on the client's own thread must not return in a child.
 *
 * Memory: tenure_set_allocator(). */
#ifndef TENURE_CLIENT_H
#define TENURE_CLIENT_H

#include <tenure/error.h>
#include <tenure/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tenure_client {
    uint64_t id; /* 0 is no client */
};

/* Zero every field you do not set; set `size` to sizeof the struct. */
struct tenure_client_options {
    size_t size;
    const char *url;     /* NULL: TENURE_URL of the environment, else tenure://127.0.0.1:7420 */
    uint32_t timeout_ms; /* of one operation beside its waiting time; 0: 5000 */
    uint32_t clock_error_ppm; /* how wrong clock rates may be; 0: 10000 (1 %) */
    bool is_dispatched;       /* callbacks run inside tenure_client_dispatch() only */
};

/* Check the URL and start the client's thread.  The connection is made in the background and made
 * again whenever it is lost; operations wait for it until their deadline.
 * TENURE_INVALID: the URL.  TENURE_UNSUPPORTED: its scheme.  TENURE_NO_MEMORY. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_client_open(
    const struct tenure_client_options *options,
    struct tenure_client *out_client,
    struct tenure_error *out_error);

/* End everything: operations complete with TENURE_CANCELED, holds are NOT released (call
 * tenure_hold_release before; what is not released runs into its ttl), the thread ends.  Returns
 * when no callback runs any more; from inside a callback it returns at once and ends behind it.
 * What was not dispatched yet is called back before it returns, on the thread that closes.  A
 * client that is closed already, or 0, does nothing. */
TENURE_API void tenure_client_close(struct tenure_client client);

/* A descriptor that is readable while there is something to dispatch, for poll(2) and its like.  It
 * is the client's: do not read, write or close it, and take it out of your loop before you close
 * the client.  -1: the client is not one that is dispatched, or is closed. */
TENURE_API int tenure_client_fd(struct tenure_client client);
/* Run the callbacks that are due now, on this thread, and return; those that come up meanwhile wait
 * for the next call.  One thread at a time: while another one is in it, it does nothing.
 * TENURE_DEADLOCK: called from inside a callback.  TENURE_INVALID: not a client that is dispatched,
 * or closed. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_client_dispatch(struct tenure_client client);

/* The URL that is in use, for people; it never holds a secret. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_client_url(struct tenure_client client, char *out_text, size_t text_size);

/* What a store promises (docs/guarantees.md). */
enum tenure_safety {
    TENURE_SAFETY_VOLATILE,
    TENURE_SAFETY_REPLICATED_ASYNC,
    TENURE_SAFETY_DURABLE_SINGLE,
    TENURE_SAFETY_QUORUM,
    TENURE_SAFETY_CONSENSUS,
};
TENURE_API const char *tenure_safety_name(enum tenure_safety safety);
/* The promise in one sentence. */
TENURE_API const char *tenure_safety_text(enum tenure_safety safety);

struct tenure_server_info {
    char url[256];
    char version[32];
    char node_id[40];
    enum tenure_safety safety;
    uint64_t uptime_us; /* by the clock on which it counts leases */
    uint64_t hold_count;
    uint64_t waiter_count;
    uint64_t connection_count;
    uint64_t connection_count_max; /* no further one is taken; 0: it does not say */
    uint64_t journal_bytes;
    uint64_t disk_free_bytes; /* 0: it does not say */
    uint64_t stall_count; /* how often it stood still: a stopped process, a machine under load */
    uint64_t stalled_ms;  /* for how long, in all; leases were made longer by it */
    uint64_t damaged_file_count; /* of the journal, found when it was verified */
    bool is_disk_full;           /* no grants until there is room */
    bool is_disk_slow;           /* no grants until the disk answers */
    uint32_t node_count; /* servers that the store consists of, see tenure_nodes(); 0: it is one */
    uint64_t round_trip_us; /* of this very question */
};
TENURE_API TENURE_MUST_USE enum tenure_err tenure_server_info(
    struct tenure_client client,
    struct tenure_server_info *out_info,
    struct tenure_error *out_error);

/* One of the servers that a store consists of, as this client sees it.  Texts are valid during the
 * call, and "" where nothing is known. */
struct tenure_node {
    const char *address;
    const char *standing; /* "admitted", "quarantined", ...: may it vote, and why not */
    const char *role;     /* "master", "replica" */
    const char *version;
    const char *persistence;     /* "appendfsync always", "none", ... */
    const char *eviction_policy; /* "noeviction", ... */
    const char *trouble;         /* what is wrong with it, one sentence */
    const char *advice;          /* what to do about it */
    int64_t quarantine_ms;       /* so long until it votes; 0: now; -1: nobody knows */
    int64_t clock_offset_ms;     /* its wall clock less ours; only for people */
    bool is_reachable;
    bool is_voting;
};
typedef void (*tenure_node_fn)(const struct tenure_node *node, void *user);
/* `fn` is called for each node, in the order of the URL; never when the store is one server. */
TENURE_API TENURE_MUST_USE enum tenure_err tenure_nodes(
    struct tenure_client client, tenure_node_fn fn, void *user, struct tenure_error *out_error);

/* Where the library gets its memory.  Allocates (`old` NULL, `old_size` 0), grows, shrinks, or
 * frees
 * (`new_size` 0; the result is not looked at) a block that is aligned for everything; NULL: there
 * is none, and the old block stays as it is.  Called by several threads at the same time; must not
 * call the library. */
typedef void *(*tenure_resize_fn)(void *user, void *old, size_t old_size, size_t new_size);
/* Everything that the library itself allocates comes from `resize` from now on.  NULL: from the
 * process heap, as without this call.  When there is no memory, calls answer TENURE_NO_MEMORY, and
 * holds are kept, lost and released without more of it.  Libraries underneath have hooks of their
 * own, which belong to the program: uv_replace_allocator() of libuv.
 * TENURE_INVALID: a client was opened in this process already. */
TENURE_API TENURE_MUST_USE enum tenure_err
tenure_set_allocator(tenure_resize_fn resize, void *user);

/* An operation under way. */
struct tenure_op {
    uint64_t id;
};
/* How an operation ended that has nothing else to tell. */
typedef void (*tenure_done_fn)(enum tenure_err err, const struct tenure_error *error, void *user);
/* Give it up: it completes with TENURE_CANCELED, or with its result when that was first.  What it
 * may have obtained is released.  Does nothing for an operation that is complete. */
TENURE_API void tenure_op_cancel(struct tenure_client client, struct tenure_op op);

#ifdef __cplusplus
}
#endif

#endif
