/* compare_server - a real redis-server of our own, and two connections to it: one that asks, one
 * that hears everything that is published.  It goes with this process.  What goes wrong here is no
 * finding about the model: it is said, and the program ends. */
#ifndef TESTS_SIM_QUORUM_COMPARE_SERVER_H
#define TESTS_SIM_QUORUM_COMPARE_SERVER_H

#include "base/types.h"
#include "proto/resp_reply.h"

struct server;

/* NULL: there is no redis-server here. */
struct server *server_start(void);
void server_stop(struct server **server);

/* One more command to be sent with the next exchange; its arguments, the name first. */
void server_ask(struct server *server, const struct bytes *arguments, uint32_t count);
/* Send what was asked, and wait for all replies. */
void server_exchange(struct server *server);
/* The next token of these replies; its text is valid until the next exchange. */
struct resp_token server_token(struct server *server);

/* The next message that was published since the last call; false: no more.  Its texts are valid
 * until the next call. */
bool server_hear(struct server *server, struct bytes *out_channel, struct bytes *out_message);

#endif
