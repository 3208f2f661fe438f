/* server - one process: the backend, the loop, the listeners and the sessions.
 *
 * One thread owns everything but the commits and the housekeeping of the journal.  turn.c has the
 * loop and its fixed order; start.c brings it up and down. */
#ifndef TENURE_SERVER_SERVER_H
#define TENURE_SERVER_SERVER_H

#include <uv.h>

#include "engine/engine.h"
#include "net/listener.h"
#include "net/net.h"
#include "server/backend.h"
#include "server/config.h"
#include "server/events.h"
#include "server/metrics.h"
#include "server/query.h"
#include "server/session.h"
#include "store/store.h"

#define SERVER_LISTENER_COUNT_MAX (CONFIG_LIST_COUNT_MAX + 1)

struct channels;
struct embedded;
struct http_shared;
struct relay;

struct server {
    uv_loop_t *loop;
    const struct config *config;
    const struct backend *backend;
    struct engine *engine;     /* NULL: a relay */
    struct embedded *embedded; /* private to embedded.c and its files; NULL: a relay */
    struct relay *relay;       /* private to relay.c and its files; NULL: the embedded engine */
    struct store *store;       /* of a relay; else NULL */
    const char *store_url;     /* of a relay, without its password */
    const char *store_text;    /* of a relay: why its store is down, for people; NULL: nothing */
    struct channels *channels; /* messages that are not kept */
    struct events *events;     /* followers of the event stream */
    struct metrics metrics;    /* counters and histograms */
    struct mono now;           /* of this turn */
    struct wall wall;
    struct seq durable; /* events up to here may be told: they are on the disk; of a relay, the last
                           one that its store told */
    struct mono started_at;
    bool is_ready;             /* /readyz */
    bool is_draining;          /* shutting down */
    bool is_full;              /* the disk has no room: no new grants */
    bool is_disk_slow;         /* no grants for want of answers of the disk */
    bool is_store_down;        /* of a relay: its store does not answer, or cannot grant */
    bool is_store_known;       /* of a relay: it has told, once, what it promises */
    enum tenure_err event_err; /* OK: changes are told as they happen; else why they are not */
    char node_id[33];          /* of the journal's identity; of a relay, of this process */
    struct net net;
    struct listener listeners[SERVER_LISTENER_COUNT_MAX]; /* `address` says where */
    uint32_t listener_count;
    uint32_t session_count;
    struct session_table *sessions; /* private to session.c */
    struct http_shared *http;       /* private to http.c */
    struct turn *turn;              /* private to turn.c */
};

/* Let the backend decide about one command of a session; the session's on_reply is called inside
 * when the answer is immediate.  Else the session waits, or the answer is owed to it (session.h).
 * `client` of the command is filled in here.  Never fails (no memory is an answer).  Not from
 * within on_reply.  What the command points at may go when the call is over. */
void server_submit(struct server *server, struct session *session, struct engine_command *command);

/* Ask what is: query->tell is called inside when the answer is immediate, else later, with the
 * session waiting meanwhile.  Also from within on_reply, and from within an answer.  What the query
 * points at may go when the call is over. */
void server_ask(struct server *server, struct session *session, const struct query *query);

/* A tag for a command that may wait. */
uint64_t server_tag(struct server *server);

/* A fresh owner identity for a request without one: 128 random bits as text. */
struct bytes server_owner(struct server *server, char out_text[static 40]);

/* The last event that there is, durable or not. */
static inline struct seq server_last_seq(const struct server *server)
{
    return server->engine == NULL ? server->durable : engine_seq(server->engine);
}

/* The first event that can still be told: behind the last one when there is none. */
static inline struct seq server_first_seq(const struct server *server)
{
    if (server->engine != NULL) return engine_window_first(server->engine);
    return (struct seq){ server->durable.value + 1 };
}

/* What the holds here are worth: "durable-single" and the like. */
static inline const char *server_safety_word(const struct server *server)
{
    bool is_relay = server->store != NULL;
    return tni_store_safety_word(is_relay ? server->store->safety : STORE_SAFETY_DURABLE_SINGLE);
}

/* No lease is longer. */
static inline uint32_t server_ttl_ms_max(const struct server *server)
{
    return server->store != NULL ? server->store->ttl_ms_max : LIMIT_TTL_MS_MAX;
}

#endif
