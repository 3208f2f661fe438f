/* connection - one client's socket: input up to a bound, output behind gates.
 *
 * Reading: bytes land in the loop's scratch buffer and are shown to the owner, who says how many he
 * used; only a rest is copied to a buffer of the connection.  While the owner takes nothing
 * (connection_hold), input is kept up to CONNECTION_INPUT_SIZE_MAX; then reading stops, and only a
 * hang-up is still noticed.
 *
 * Writing: the owner appends to connection_out() and ends each answer with connection_end(seq).
 * net_flush() sends what the gates let through, once a turn.  When more than
 * CONNECTION_BACKLOG_SIZE_MAX is pending, no more input is read until the client has taken it.
 *
 * connection_receive and connection_send in connection.c are the only places that touch the socket:
 * that is where encryption goes. */
#ifndef TENURE_NET_CONNECTION_H
#define TENURE_NET_CONNECTION_H

#include <uv.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/types.h"
#include "net/net.h"

#define CONNECTION_INPUT_SIZE_MAX   ((size_t)LIMIT_REQUEST_SIZE_MAX + ((size_t)128 << 10))
#define CONNECTION_BACKLOG_SIZE_MAX ((size_t)1 << 20)
#define CONNECTION_STALL_MS_MAX     60000
#define CONNECTION_GATE_COUNT_MAX   8u /* turns that are told apart; later ones leave together */

struct connection;

struct connection_ops {
    /* Something happened on the socket and is about to be handled: look at the clock. */
    void (*on_wake)(struct connection *connection);
    /* Use whole requests from the front of `input`; return how many bytes were used.  Called again
     * with the rest and more. */
    size_t (*on_input)(struct connection *connection, struct bytes input);
    /* The client will send nothing more, or the connection is being closed from this side.  Called
     * once.  What was written still leaves if the client takes it. */
    void (*on_hangup)(struct connection *connection);
    /* Everything written has left; only after connection_want_drain. */
    void (*on_drain)(struct connection *connection);
    /* The end: the memory may be freed. */
    void (*on_closed)(struct connection *connection);
};

struct connection_gate {
    size_t end;     /* bytes of the output before this may leave … */
    struct seq seq; /* … when this is durable */
};

struct connection {
    const struct connection_ops *ops;
    struct net *net;
    uv_poll_t poll;
    int socket; /* -1 after the end */
    int events; /* what the loop is asked to watch for */
    struct buffer input;
    size_t input_start; /* used up to here */
    struct buffer output;
    size_t output_sent;     /* the client's kernel has it up to here */
    size_t output_released; /* may leave up to here */
    size_t output_ended;    /* whole answers up to here */
    struct connection_gate gates[CONNECTION_GATE_COUNT_MAX];
    uint32_t gate_count;
    struct list gated;       /* in net->gated */
    struct list ready;       /* in net->ready */
    int64_t stalled_at_ms;   /* uv_now when the socket last refused bytes; 0 = it does not */
    int64_t linger_until_ms; /* all is sent, and what still comes is thrown away; 0 = it is not */
    bool is_held;            /* the owner takes no input for now */
    bool is_blocked;         /* the socket takes no more bytes for now */
    bool is_hung_up;         /* on_hangup was called */
    bool is_closing;         /* close when everything written has left */
    bool is_closed;
    bool wants_drain;
    bool lingers;  /* connection_linger was called */
    bool is_owing; /* connection_owe was called */
};

/* Take over an open, non-blocking socket.  False, and the socket closed, when the loop cannot watch
 * it; no callback is called then. */
MUST_USE bool connection_init(
    struct connection *connection, struct net *net, const struct connection_ops *ops, int socket);

/* Where the bytes of answers go. */
static inline struct buffer *connection_out(struct connection *connection)
{
    return &connection->output;
}

/* Everything appended since the last call is one answer; it leaves when `seq` is durable, behind
 * what was ended before.  When the buffer has failed (no memory), the connection is closed: an
 * answer cannot be left out. */
void connection_end(struct connection *connection, struct seq seq);

/* Bytes of whole answers that the client's kernel has not yet taken. */
static inline size_t connection_backlog(const struct connection *connection)
{
    return connection->output_ended - connection->output_sent;
}

/* Stop showing input to the owner, or go on; going on shows what has gathered only with
 * connection_resume. */
void connection_hold(struct connection *connection, bool is_held);
/* Show the input that has gathered. */
void connection_resume(struct connection *connection);
/* Ask for on_drain, once. */
void connection_want_drain(struct connection *connection);
/* The client may be in the middle of sending: when the connection is closed, take and throw away
 * what still comes for a moment, so that the client gets to read the last answer. */
void connection_linger(struct connection *connection);
/* Answers are to come: even when it is being closed, and all has left, do not close yet. */
void connection_owe(struct connection *connection, bool is_owing);
/* Close when everything written has left; no further input is read. */
void connection_close(struct connection *connection);
/* Close at once; what was written is lost.  Safe inside every callback but on_closed. */
void connection_abort(struct connection *connection);
/* Once a second or so: ends a connection whose client takes nothing. */
void connection_check(struct connection *connection);

#endif
