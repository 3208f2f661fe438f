/* http - HTTP/1.1 as a protocol of a session.  See http.h for the way of a request. */
#include "server/http.h"

#include "base/memory.h"

#define HEAD_MS_MAX 10000 /* from the first byte of a request to the end of its header */
/* … to the end of its body: flat, and not by a rate.  What a request about locks can mean fits into
 * 100 KiB even with every character escaped, which is 4 kB/s, and the largest body there is
 * needs 52 kB/s; a floor of the rate would let a body that means nothing hold its memory for a
 * quarter of an hour. */
#define BODY_MS_MAX      30000
#define IDLE_MS_MAX      60000 /* between requests */
#define SHARED_KEEP_SIZE ((size_t)1 << 20)

_Static_assert(CONNECTION_INPUT_SIZE_MAX >= HTTP_INPUT_SIZE_MAX, "a request has room");

static bool shared_take(struct server *server)
{
    if (server->http == NULL) {
        server->http = memory_take(&memory_heap, sizeof(*server->http));
        if (server->http == NULL) return false;
        *server->http = (struct http_shared){ .date_s = -1 };
        buffer_init(&server->http->body, &memory_heap);
        buffer_init(&server->http->scratch, &memory_heap);
        buffer_init(&server->http->decoded, &memory_heap);
    }
    server->http->user_count++;
    return true;
}

static void shared_give(struct server *server)
{
    if (--server->http->user_count > 0) return;
    buffer_deinit(&server->http->body);
    buffer_deinit(&server->http->scratch);
    buffer_deinit(&server->http->decoded);
    memory_give(&memory_heap, server->http, sizeof(*server->http));
    server->http = NULL;
}

static bool on_open(struct session *session)
{
    struct http *http = memory_take(&memory_heap, sizeof(*http));
    if (http == NULL) return false;
    if (!shared_take(session->server)) {
        memory_give(&memory_heap, http, sizeof(*http));
        return false;
    }
    *http = (struct http){ .session = session, .since = session->server->now };
    http_parser_init(&http->parser, &memory_heap);
    session->state = http;
    return true;
}

static void on_close(struct session *session)
{
    struct http *http = session->state;
    watch_end(http);
    api_channel_end(http);
    http_parser_deinit(&http->parser);
    memory_give(&memory_heap, http, sizeof(*http));
    shared_give(session->server);
}

static void on_reply(struct session *session, const struct engine_reply *reply)
{
    struct http *http = session->state;
    ASSERT(http->on_reply != NULL);
    http_reply_fn write_reply = http->on_reply;
    http->on_reply = NULL;
    write_reply(http, reply);
}

/* An answer after which nothing that the client sends can be trusted. */
static void refuse(struct http *http, const struct http_fault *fault)
{
    http->is_keep_alive = false;
    http->is_head = false;
    session_linger(http->session);
    http_problem(http, fault->err, fault->status, fault->text);
}

static void handle(struct http *http, const struct http_request *request)
{
    struct server *server = http_server(http);
    server->metrics.requests[METRICS_HTTP]++;
    http->is_head = request->is_head;
    http->is_old = request->is_old;
    http->is_keep_alive = request->is_keep_alive && !server->is_draining;
    const char *refusal = http_guard(http->session, request);
    if (refusal != NULL) {
        http_problem(http, TENURE_DENIED, 0, refusal);
        return;
    }
    routes_handle(http, request);
    /* One huge answer must not keep its memory for ever. */
    if (server->http->body.capacity > SHARED_KEEP_SIZE) buffer_deinit(&server->http->body);
    if (server->http->decoded.capacity > 0) buffer_deinit(&server->http->decoded);
}

/* A client that sends requests and does not read must not make the server keep all its answers. */
static bool is_backlogged(struct http *http)
{
    struct session *session = http->session;
    if (session->is_waiting || session_backlog(session) < CONNECTION_BACKLOG_SIZE_MAX) return false;
    http->is_backlogged = true;
    session->is_waiting = true;
    session_want_drain(session);
    return true;
}

/* The client has asked whether it may send its body. */
static void send_continue(struct http *http)
{
    struct buffer *out = session_out(http->session);
    buffer_append_bytes(out, BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
    session_reply_end(http->session, (struct seq){ 0 });
}

static size_t on_input(struct session *session, struct bytes input)
{
    struct http *http = session->state;
    size_t total = 0;
    while (total < input.size && !session->is_waiting && !session->is_closing && !session->is_gone)
    {
        struct http_request request;
        struct http_fault fault;
        size_t used = 0;
        struct bytes rest = { input.data + total, input.size - total };
        if (http->parser.phase == HTTP_PHASE_IDLE) http->since = session->server->now;
        switch (http_parse(&http->parser, rest, &request, &used, &fault)) {
        case HTTP_MORE:
            if (http_parser_take_continue(&http->parser)) send_continue(http);
            return total;
        case HTTP_BAD: refuse(http, &fault); return input.size;
        case HTTP_DONE: break;
        }
        total += used;
        handle(http, &request);
        if (is_backlogged(http)) break;
    }
    /* Behind the last answer nothing is read. */
    return session->is_closing ? input.size : total;
}

static void on_drain(struct session *session)
{
    struct http *http = session->state;
    if (http->is_backlogged) {
        http->is_backlogged = false;
        session->is_waiting = false;
        session_resume(session);
    }
    watch_resume(http);
}

static void on_tick(struct session *session)
{
    struct http *http = session->state;
    if (session->is_waiting || session->is_closing) return;
    int64_t silent_ms = (session->server->now.ns - http->since.ns) / NS_PER_MS;
    switch (http->parser.phase) {
    case HTTP_PHASE_IDLE:
        if (silent_ms > IDLE_MS_MAX) session_close(session);
        return;
    case HTTP_PHASE_HEAD:
        if (silent_ms <= HEAD_MS_MAX) return;
        refuse(http, &(struct http_fault){ 408, TENURE_INVALID, "the header took too long" });
        return;
    case HTTP_PHASE_BODY:
        if (silent_ms <= BODY_MS_MAX) return;
        refuse(http, &(struct http_fault){ 408, TENURE_INVALID, "the body took too long" });
        return;
    }
}

static void on_stop(struct session *session)
{
    watch_stop(session->state);
}

static bool is_midway(const struct session *session)
{
    const struct http *http = session->state;
    return !session->is_waiting && http->parser.phase != HTTP_PHASE_IDLE;
}

const struct session_protocol session_http = {
    .name = "http",
    .is_whole = true,
    .on_open = on_open,
    .on_input = on_input,
    .on_reply = on_reply,
    .on_drain = on_drain,
    .on_tick = on_tick,
    .on_stop = on_stop,
    .is_midway = is_midway,
    .on_close = on_close,
};
