/* server - one process: the engine, its journal, the loop, the listeners and the sessions.
 *
 * One thread owns everything but the commits and the housekeeping of the journal.  turn.c has the
 * loop and its fixed order; start.c brings it up and down. */
#ifndef TENURE_SERVER_SERVER_H
#define TENURE_SERVER_SERVER_H

#include <uv.h>

#include "engine/engine.h"
#include "journal/journal.h"
#include "net/listener.h"
#include "net/net.h"
#include "server/config.h"
#include "server/events.h"
#include "server/metrics.h"
#include "server/session.h"

#define SERVER_LISTENER_COUNT_MAX (CONFIG_LIST_COUNT_MAX + 1)

struct http_shared;

struct server {
    uv_loop_t *loop;
    const struct config *config;
    struct engine *engine;
    struct events *events;  /* followers of the event stream */
    struct metrics metrics; /* counters and histograms */
    struct mono now;        /* of this turn */
    struct wall wall;
    struct seq durable; /* the journal is on the disk up to here */
    struct mono started_at;
    bool is_ready;     /* /readyz */
    bool is_draining;  /* shutting down */
    bool is_full;      /* the disk has no room: no new grants */
    bool is_disk_slow; /* no grants for want of answers of the disk */
    char node_id[33];  /* of the journal's identity */
    struct net net;
    struct listener listeners[SERVER_LISTENER_COUNT_MAX]; /* `address` says where */
    uint32_t listener_count;
    uint32_t session_count;
    struct session_table *sessions; /* private to session.c */
    struct http_shared *http;       /* private to http.c */
    struct turn *turn;              /* private to turn.c */
};

/* Let the engine decide about one command of a session; the session's on_reply is called inside
 * when the answer is immediate.  Sets session->is_waiting when the acquire was queued.  `client` of
 * the command is filled in here.  Never fails (no memory is an answer).  Not from within on_reply.
 */
void server_submit(struct server *server, struct session *session, struct engine_command *command);

/* A tag for a command that may wait. */
uint64_t server_tag(struct server *server);

/* A fresh owner identity for a request without one: 128 random bits as text. */
struct bytes server_owner(struct server *server, char out_text[static 40]);

/* What the journal says of itself. */
struct journal_status server_journal_status(const struct server *server);

#endif
