/* http - the HTTP side of the server, for its own files.
 *
 * One request at a time: it is read (http_parse), checked (http_guard), routed (routes), and its
 * handler answers: at once, or from on_reply when the engine has decided, or as a stream (watch).
 * Answers are built in one buffer for all connections and copied behind their header: nothing is
 * allocated for a request in the steady state. */
#ifndef TENURE_SERVER_HTTP_H
#define TENURE_SERVER_HTTP_H

#include "proto/json_writer.h"
#include "server/args.h"
#include "server/http_parse.h"
#include "server/json_shapes.h"
#include "server/server.h"

struct http;
struct subscription;
struct watch; /* api_events.c: an event stream or a long-poll */

/* What all HTTP connections of a server use in turn; made with the first of them. */
struct http_shared {
    struct buffer body;    /* of the answer being built */
    struct buffer scratch; /* decoded texts of the request being handled */
    struct buffer decoded; /* … and bytes that came as base64 */
    int64_t date_s;        /* the second that `date` shows */
    char date[32];         /* of the Date header */
    uint32_t user_count;
};

/* Writes the answer of the engine to the request under way. */
typedef void (*http_reply_fn)(struct http *http, const struct engine_reply *reply);

struct http {
    struct session *session;
    struct http_parser parser;
    struct watch *watch;               /* under way, or NULL */
    struct subscription *subscription; /* to a channel, or NULL */
    struct mono since;  /* of the first byte of the request, or of the end of the last one */
    bool is_backlogged; /* takes no request until its answers have left */
    /* of the request under way */
    http_reply_fn on_reply;
    struct {
        char error[160];
        struct seq seq;
        uint32_t ttl_ms;
        size_t owner_size;
        char owner[LIMIT_OWNER_SIZE_MAX];
    } candado; /* candado.c: what is kept while the lock is looked at */
    struct {
        uint32_t wait_ms;
        struct seq since;
    } observed; /* api_elections.c */
    bool is_head;
    bool is_old; /* HTTP/1.0 */
    bool is_keep_alive;
};

/* A request that has passed all checks; valid inside its handler. */
struct http_call {
    const struct http_request *request;
    struct bytes name; /* decoded; "" when the route has none */
    struct args args;
    struct bytes lines;       /* an object each; data NULL: it came otherwise */
    const uint8_t *line_args; /* that a line may have */
    char *scratch;            /* has room for the texts of these lines */
};

struct http_answer {
    int status;
    const char *type;     /* NULL: JSON, and a problem from 400 on */
    struct token etag;    /* 0: none */
    const char *location; /* path before location_name; NULL: none */
    struct bytes location_name;
    int64_t retry_after_ms; /* 0 or less: no such header */
    uint32_t allow;         /* bit (1 << http_method); 0: no such header */
};

/* Begin the body of an answer.  The JSON writer is for http_end's JSON; text goes to the buffer. */
struct buffer *http_begin(struct http *http, struct json_writer *out_json);
/* The body is complete: send it behind its header, when `seq` is durable. */
void http_end(struct http *http, const struct http_answer *answer, struct seq seq);

/* A whole problem (RFC 9457).  `detail` may be NULL: the outcome's own text. */
void http_problem(struct http *http, enum tenure_err err, int status, const char *detail);
void http_problem_of_args(struct http *http, const struct args_error *error);
/* The problem with the members that every one has, left open for more. */
void http_problem_begin(
    struct http *http,
    struct json_writer *json,
    enum tenure_err err,
    int status,
    const char *detail);

/* The head of an answer without an end (server-sent events): only the close ends it. */
void http_stream_begin(struct http *http, const char *type);

/* May this request be served, as to where it comes from?  If not, the text of the refusal. */
const char *http_guard(const struct session *session, const struct http_request *request);

/* Find the route and call its handler, or answer what is wrong. */
void routes_handle(struct http *http, const struct http_request *request);

static inline struct server *http_server(const struct http *http)
{
    return http->session->server;
}

/* ---- handlers, by file */

/* api_locks.c */
void api_lock_acquire(struct http *http, struct http_call *call);
void api_locks_acquire(struct http *http, struct http_call *call);
void api_lock_renew(struct http *http, struct http_call *call);
void api_lock_end(struct http *http, struct http_call *call);
/* api_read.c */
void api_lock_get(struct http *http, struct http_call *call);
void api_locks_list(struct http *http, struct http_call *call);
void api_history(struct http *http, struct http_call *call);
/* api_elections.c */
void api_election_campaign(struct http *http, struct http_call *call);
void api_election_change(struct http *http, struct http_call *call);
void api_election_resign(struct http *http, struct http_call *call);
void api_election_observe(struct http *http, struct http_call *call);
/* api_events.c */
void api_events(struct http *http, struct http_call *call);
/* Wait for a change of `name` behind `since`; then, or at the latest in wait_ms, `done` is called
 * to answer.  False: no memory. */
bool watch_name(
    struct http *http,
    struct bytes name,
    struct seq since,
    uint32_t wait_ms,
    void (*done)(struct http *http, struct bytes name));
/* Accepts that there is none. */
void watch_end(struct http *http);
void watch_resume(struct http *http);
/* The server stops: a wait for a change is over. */
void watch_stop(struct http *http);
/* api_queues.c */
void api_queue_put(struct http *http, struct http_call *call);
void api_queue_schedule(struct http *http, struct http_call *call);
void api_queue_take(struct http *http, struct http_call *call);
void api_queue_extend(struct http *http, struct http_call *call);
void api_queue_done(struct http *http, struct http_call *call);
void api_queue_fail(struct http *http, struct http_call *call);
void api_queue_bury(struct http *http, struct http_call *call);
void api_queue_cancel(struct http *http, struct http_call *call);
void api_queue_kick(struct http *http, struct http_call *call);
void api_queue_redrive(struct http *http, struct http_call *call);
void api_queue_purge(struct http *http, struct http_call *call);
void api_queue_pause(struct http *http, struct http_call *call);
void api_queue_resume(struct http *http, struct http_call *call);
void api_queue_limit(struct http *http, struct http_call *call);
void api_queue_await(struct http *http, struct http_call *call);
/* api_queues_read.c */
void api_queue_stat(struct http *http, struct http_call *call);
void api_queue_peek(struct http *http, struct http_call *call);
void api_queue_list(struct http *http, struct http_call *call);
void api_queues(struct http *http, struct http_call *call);
/* api_state.c */
void api_state_get(struct http *http, struct http_call *call);
void api_state_set(struct http *http, struct http_call *call);
void api_state_grow(struct http *http, struct http_call *call);
void api_state_remove(struct http *http, struct http_call *call);
void api_state_list(struct http *http, struct http_call *call);
void api_state_transaction(struct http *http, struct http_call *call);
/* api_ranks.c */
void api_rank_get(struct http *http, struct http_call *call);
void api_rank_add(struct http *http, struct http_call *call);
void api_rank_increment(struct http *http, struct http_call *call);
void api_rank_remove(struct http *http, struct http_call *call);
void api_ranks_list(struct http *http, struct http_call *call);
/* api_channels.c */
void api_channel_publish(struct http *http, struct http_call *call);
void api_channel_listen(struct http *http, struct http_call *call);
/* Accepts that nobody listens. */
void api_channel_end(struct http *http);
/* api_server.c */
void api_server(struct http *http, struct http_call *call);
void api_healthz(struct http *http, struct http_call *call);
void api_readyz(struct http *http, struct http_call *call);
void api_metrics(struct http *http, struct http_call *call);
void api_openapi(struct http *http, struct http_call *call);
void api_root(struct http *http, struct http_call *call);
/* candado.c */
void candado_acquire(struct http *http, struct http_call *call);
void candado_release(struct http *http, struct http_call *call);
void candado_heartbeat(struct http *http, struct http_call *call);
/* Answers what is wrong with the arguments.  `id` is valid UTF-8. */
void candado_refuse(struct http *http, struct bytes id, const char *error);

/* ---- shared by the handlers (api_locks.c) */

/* What an acquire or a campaign asks for. */
struct api_wish {
    const struct bytes *names;
    uint32_t name_count;
    struct bytes meta; /* of a lock; of an election its value */
    uint32_t ttl_ms;   /* when the arguments do not say */
};

/* Submit the acquire that the arguments ask for, with an owner made up when they have none. */
void api_submit_acquire(
    struct http *http,
    const struct http_call *call,
    const struct api_wish *wish,
    http_reply_fn reply);
struct engine_claim api_claim(const struct http_call *call);
/* Answers what the engine refused. */
void api_refuse(struct http *http, const struct engine_reply *reply);
/* {outcome, name, successor_token} of a release. */
void api_released(struct http *http, const struct engine_reply *reply);

#endif
