/* harness - the HTTP or RESP side on a real engine, without sockets, disk or clock.
 *
 * What turn.c and session.c do for a server is done here in the simplest way: every command is
 * durable at once, time stands still unless the test moves it, and answers gather in a buffer. */
#ifndef TENURE_TESTS_UNIT_SERVER_HARNESS_H
#define TENURE_TESTS_UNIT_SERVER_HARNESS_H

#include "server/server.h"

#define HARNESS_CLIENT_COUNT 8u

struct client {
    struct session session;
    struct buffer input;
    struct buffer output; /* all answers since the last harness_take */
    size_t backlog;       /* what session_backlog() says */
    bool is_open;
    bool wants_drain;
};

struct harness {
    struct server server;
    struct config config;
    struct client clients[HARNESS_CLIENT_COUNT];
    uint64_t tag;
    uint64_t client_id;
    bool is_holding; /* nothing becomes durable */
};

extern struct harness harness;
/* What the clients speak; HTTP unless it is changed before they connect. */
extern const struct session_protocol *harness_protocol;

/* `window_size` 0: the smallest. */
void harness_start(size_t window_size);
void harness_stop(void);
/* Connect client `index`. */
struct client *harness_open(uint32_t index);
void harness_close(struct client *client);
/* Bytes from the client; they are looked at, and the turn is ended. */
void harness_send(struct client *client, struct bytes bytes);
/* Send, and give what was answered.  Valid until the next call for this client. */
struct bytes harness_ask(struct client *client, const char *text);
/* What was answered since the last time. */
struct bytes harness_take(struct client *client);
/* Time goes by: what is due happens. */
void harness_pass(int64_t ms);
/* The reader has taken everything. */
void harness_drain(struct client *client);
/* The end of a turn: events, resumed sessions, closed ones. */
void harness_turn(void);

#endif
