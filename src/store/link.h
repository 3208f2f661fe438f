/* link - one connection to a server that speaks the Redis protocol, from the search for its address
 * to its end.
 *
 *   resolving -> connecting -> securing (with TLS) -> greeting -> up -> closed
 *
 * What is said while greeting is for the owner to decide (`open`, `greet`): a link is up when the
 * owner says so.
 *
 * A link is made once and never again: whoever wants another connection makes another link.
 * Output gathers in `output` and is sent by tni_link_flush, once a turn of the loop.  A write that
 * fails because the server is gone does not end the link: what the server said last is read first,
 * and says more.  Closing shuts the socket down first, so that the server sees it even when a child
 * of this process has inherited the descriptor.
 *
 * Whoever runs the loop ignores or blocks SIGPIPE. */
#ifndef TENURE_STORE_LINK_H
#define TENURE_STORE_LINK_H

#include <uv.h>

#include "base/buffer.h"
#include "net/tls.h"
#include "store/reply.h"
#include "store/store.h"

#define LINK_UP_MS_MAX 3000u /* to connect and be greeted */

struct link;

struct link_address {
    char host[256]; /* a name or a number; empty: `path` */
    char path[108];
    char port[6];
};

struct link_ops {
    /* Connected, and TLS stands: append the greeting to `output`, which is sent then. */
    void (*open)(struct link *link);
    /* An answer while greeting.  One of them, or something that happens later, leads to
     * tni_link_accept or tni_link_refuse. */
    void (*greet)(struct link *link, struct reply *reply);
    /* It was accepted: ready for requests. */
    void (*up)(struct link *link);
    /* A whole answer, or a push.  The link may be closed inside. */
    void (*reply)(struct link *link, struct reply *reply);
    /* It broke; `text` says how.  The link is closed.  Not called by tni_link_close. */
    void (*down)(struct link *link, const char *text);
    /* The memory of a link that was closed is given back: `context` knows it no longer. */
    void (*gone)(void *context);
};

enum link_state {
    LINK_RESOLVING,
    LINK_CONNECTING,
    LINK_SECURING,
    LINK_GREETING,
    LINK_UP,
    LINK_CLOSED,
};

struct link {
    const struct link_ops *ops;
    void *owner;
    void *context;
    uv_loop_t *loop;
    const struct memory *memory;
    const struct link_address *address;
    uint32_t address_index; /* which of several addresses of the host */
    struct tls_stream *tls; /* NULL: plain */
    enum link_state state;
    bool is_resolving;
    bool is_writing;
    bool has_socket;
    bool has_timer;
    bool was_up;         /* also when it is not any more */
    unsigned open_count; /* handles and requests of the loop that still know this link */
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    uv_timer_t timer;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    struct buffer input; /* plaintext, as all that owners see */
    struct buffer output;
    struct buffer sending; /* has left `output`, or `cipher_out`, for the loop */
    struct buffer cipher_in;
    struct buffer cipher_out;
    struct resp_skip skip;
    struct mono created_at;
    struct mono received_at; /* when the server last said something */
    char text[240];
};

struct link_options {
    uv_loop_t *loop;
    const struct memory *memory;
    const struct link_address *address; /* outlives the link */
    uint32_t address_index;
    const struct tls *tls;   /* NULL: plain; need not outlive the call */
    const char *server_name; /* for TLS; NULL: the host of the address */
    const struct link_ops *ops;
    void *owner;   /* for all but gone: may go when the link is closed */
    void *context; /* for gone */
};

/* Begin to connect.  NULL when there is no memory.  A failure comes to `down`, later. */
MUST_USE struct link *tni_link_create(const struct link_options *options);
/* No callback comes any more; the memory goes when the loop has let go of it. */
void tni_link_close(struct link *link);
/* The greeting was to the owner's liking: `up` is called. */
void tni_link_accept(struct link *link);
/* It was not: the link is closed, `down` is called with this text. */
void tni_link_refuse(struct link *link, const char *text);
/* Send what has gathered, while greeting and while up. */
void tni_link_flush(struct link *link);
static inline bool tni_link_is_up(const struct link *link)
{
    return link != NULL && link->state == LINK_UP;
}

#endif
