/* backend - what stands behind the sessions and decides: the embedded engine with its journal
 * (embedded.h), or another store, to which this server only relays (relay.h).
 *
 * One is chosen at the start.  The loop (turn.c) calls it at fixed places of each turn. */
#ifndef TENURE_SERVER_BACKEND_H
#define TENURE_SERVER_BACKEND_H

#include "engine/engine.h"
#include "server/query.h"

struct server;
struct session;

struct backend {
    /* See server_submit and server_ask. */
    void (*submit)(struct server *server, struct session *session, struct engine_command *command);
    void (*ask)(struct server *server, struct session *session, const struct query *query);
    /* The client of this session has hung up: its waiters vanish. */
    void (*gone)(struct server *server, struct session *session);

    /* The clock was read, for the first time in this turn and before any input of it is looked at;
     * the last time is `away_ns` ago. */
    void (*wake)(struct server *server, int64_t away_ns);
    /* Input was read: what is due happens.  True when there is more than one turn takes. */
    bool (*run_timers)(struct server *server);
    /* All input was looked at, and no answer of this turn has left.  True when there is more. */
    bool (*work)(struct server *server);
    /* The turn is over: see to it that the loop wakes when something is due. */
    void (*rest)(struct server *server);
    /* Is there something to do that no handle of the loop tells of? */
    bool (*has_news)(const struct server *server);
    /* The loop wants to sleep: false when it must not. */
    bool (*may_sleep)(struct server *server);
    void (*second)(struct server *server);

    /* The server stops: no more grants, and whoever waits is answered. */
    void (*drain)(struct server *server);
    /* Is all done that was begun?  `is_late`: it need not be. */
    bool (*is_settled)(const struct server *server, bool is_late);
};

#endif
