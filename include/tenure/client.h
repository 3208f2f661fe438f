/* client - the connection to a store: where locks are.
 *
 * A client is opened by URL and owns one thread, which does all input and output, renews holds and
 * runs callbacks.  Every operation ends exactly once, by its deadline.  Functions wait for that
 * end; what may take long or is done often also has the form `tenure_x_start`, which returns at
 * once and calls back.
 *
 * URLs:  tenure://HOST:PORT   a tenured server (port 7420 when it is left out)
 *        tenure+unix:///PATH  the same over a Unix socket
 *
 * Handles are numbers with a generation: a handle that was closed is an error (TENURE_INVALID), not
 * a crash, and is never used again.
 *
 * Threads: every function may be called from every thread, also from inside a callback, except that
 * a function that waits is refused inside a callback of the same client (TENURE_DEADLOCK): it would
 * wait for itself.  Callbacks of one client run one after the other, on its thread, never inside
 * the call that started the operation.
 *
 * fork(): a client belongs to the process that opened it.  In a child every call answers
 * TENURE_INVALID, renews nothing and releases nothing. */
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
 * when no callback runs any more; from inside a callback it returns at once and ends behind it.  A
 * client that is closed already, or 0, does nothing. */
TENURE_API void tenure_client_close(struct tenure_client client);

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
    uint64_t round_trip_us;      /* of this very question */
};
TENURE_API TENURE_MUST_USE enum tenure_err tenure_server_info(
    struct tenure_client client,
    struct tenure_server_info *out_info,
    struct tenure_error *out_error);

/* An operation under way. */
struct tenure_op {
    uint64_t id;
};
/* Give it up: it completes with TENURE_CANCELED, or with its result when that was first.  What it
 * may have obtained is released.  Does nothing for an operation that is complete. */
TENURE_API void tenure_op_cancel(struct tenure_client client, struct tenure_op op);

#ifdef __cplusplus
}
#endif

#endif
