/* link - where a server is, connections to it, and asking it one thing at a time for set-up. */
#ifndef TENURE_BENCH_LINK_H
#define TENURE_BENCH_LINK_H

#include <sys/socket.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "reply.h"

struct link_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* "127.0.0.1:7420", "[::1]:7420".  False when it is not of that form. */
MUST_USE bool link_address_from_tcp(const char *text, struct link_address *out_address);
/* False when the path is too long for a socket address. */
MUST_USE bool link_address_from_unix(const char *path, struct link_address *out_address);

/* A connected socket without Nagle's delay, or -1 with errno set. */
MUST_USE int link_connect(const struct link_address *address, bool is_blocking);

/* Send `request` on a connection of its own and wait for the one reply, whose bytes stay in
 * `storage`.  False when the connection or the reply failed. */
MUST_USE bool link_ask_resp(
    const struct link_address *address,
    struct bytes request,
    struct buffer *storage,
    struct resp_reply *out_reply);
MUST_USE bool link_ask_http(
    const struct link_address *address,
    struct bytes request,
    struct buffer *storage,
    struct http_reply *out_reply);

#endif
