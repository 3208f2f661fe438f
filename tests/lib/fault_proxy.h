/* fault_proxy - a proxy for TCP that does to connections what networks do.
 *
 *     struct fault_proxy *proxy = fault_proxy_start(server_port);
 *     ... connect to fault_proxy_port(proxy) ...
 *     fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_STALL);
 *     fault_proxy_stop(&proxy);
 *
 * Each direction has a mode of its own, for all connections, from the next byte on.  It runs in a
 * thread; its functions may be called from any.  As a program (fault_proxy_main.c) it takes the
 * same orders as lines on standard input. */
#ifndef TENURE_TESTS_LIB_FAULT_PROXY_H
#define TENURE_TESTS_LIB_FAULT_PROXY_H

#include <stdbool.h>
#include <stdint.h>

enum fault_proxy_direction { FAULT_PROXY_UP, FAULT_PROXY_DOWN }; /* to the server, to the client */
enum fault_proxy_mode {
    FAULT_PROXY_PASS,
    FAULT_PROXY_STALL,   /* bytes are kept, and go on with the next PASS */
    FAULT_PROXY_DROP,    /* bytes are thrown away: the connection is of no use any more */
    FAULT_PROXY_DRIBBLE, /* one byte at a time */
};

struct fault_proxy;

/* Ends the program when it cannot.  `port` 0: a free one. */
struct fault_proxy *fault_proxy_start(uint16_t port, uint16_t server_port);
void fault_proxy_stop(struct fault_proxy **proxy);
uint16_t fault_proxy_port(const struct fault_proxy *proxy);

void fault_proxy_set(
    struct fault_proxy *proxy, enum fault_proxy_direction direction, enum fault_proxy_mode mode);
/* Bytes in this direction are late by so much. */
void fault_proxy_delay(
    struct fault_proxy *proxy, enum fault_proxy_direction direction, uint32_t delay_ms);
/* Reset all connections. */
void fault_proxy_cut(struct fault_proxy *proxy);
/* Reset each connection when so many bytes have passed it in this direction; 0: no more. */
void fault_proxy_cut_after(
    struct fault_proxy *proxy, enum fault_proxy_direction direction, uint64_t byte_count);
/* New connections are reset at once. */
void fault_proxy_refuse(struct fault_proxy *proxy, bool is_refusing);
/* Connections so far. */
uint64_t fault_proxy_connection_count(struct fault_proxy *proxy);

#endif
