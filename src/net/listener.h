/* listener - where clients come in: a TCP address or a path of a Unix socket.
 *
 * When there are no descriptors left, a spare one is given up to take and close the waiting
 * connection, so that the loop does not spin on a readiness that it cannot serve; accepting pauses
 * for a moment then. */
#ifndef TENURE_NET_LISTENER_H
#define TENURE_NET_LISTENER_H

#include <tenure/error.h>

#include <uv.h>

#include "base/assert.h"
#include "base/types.h"

#define LISTENER_ADDRESS_SIZE 128

struct listener;

/* A client came in; the callee owns the socket (non-blocking, close-on-exec). */
typedef void (*listener_accept_fn)(struct listener *listener, int socket);

struct listener {
    listener_accept_fn on_accept;
    void *user;
    uv_poll_t poll;
    uv_timer_t pause;
    int socket;
    int spare; /* given up when descriptors run out */
    uint32_t open_handles;
    bool is_local; /* a Unix socket */
    bool is_closed;
    uint64_t refused_count;              /* for want of descriptors */
    char address[LISTENER_ADDRESS_SIZE]; /* "127.0.0.1:7420", "[::1]:7420", "/run/tenured.sock" */
};

/* Is every address that `text` (HOST:PORT) can mean a loopback address?  TENURE_INVALID when it is
 * no address. */
MUST_USE enum tenure_err
listener_is_loopback(const char *text, bool *out_is_loopback, struct tenure_error *out_error);

/* Listen on HOST:PORT; HOST is a number or "localhost", port 0 takes a free one, and `address` says
 * which.  TENURE_UNAVAILABLE: taken; TENURE_DENIED; TENURE_INVALID. */
MUST_USE enum tenure_err listener_open_tcp(
    struct listener *listener, uv_loop_t *loop, const char *text, struct tenure_error *out_error);

/* Listen on a path.  A socket file that nobody listens on is replaced; any other file is not.
 * `mode` are its permissions. */
MUST_USE enum tenure_err listener_open_unix(
    struct listener *listener,
    uv_loop_t *loop,
    const char *path,
    unsigned mode,
    struct tenure_error *out_error);

/* Begin to accept: until then clients wait in the kernel's queue. */
void listener_start(struct listener *listener, listener_accept_fn on_accept, void *user);

/* Accept no more; removes the path.  The memory must stay until the loop has run once more.
 * Accepts one that is closed. */
void listener_close(struct listener *listener);

#endif
