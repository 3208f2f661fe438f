/* api_events - the stream of events (server-sent events), and waiting for a change of one name.
 *
 * Each event carries its seq as `id:`, so that a browser that lost the connection resumes by itself
 * with Last-Event-ID.  A sign of life carries it too: a stream that nothing matches still moves its
 * resume point on, and is not out of the window when it comes back.
 *
 * A slow reader is not written to while BACKLOG_SIZE_MAX bytes are under way; it reads on from the
 * window when it has caught up.  When the window moves past it, the stream ends with `overflow`. */
#include "base/decimal.h"
#include "base/memory.h"
#include "server/http.h"

#define BACKLOG_SIZE_MAX ((size_t)256 << 10)

/* What a stream in front of another store begins with: a comment. */
#define BEST_EFFORT ": best effort: what happens while a connection is down is not told\n"

struct watch {
    struct follower follower;
    struct http *http;
    void (*done)(struct http *http, struct bytes name); /* a long-poll; NULL: a stream */
    bool is_slow;                                       /* its reader had to be waited for */
    bool has_previous;                                  /* tell what registers were before */
    bool is_over;                                       /* a long-poll: done was called */
    uint16_t size;
    char text[]; /* prefix or name */
};

static struct events *events_of(const struct watch *watch)
{
    return http_server(watch->http)->events;
}

void watch_end(struct http *http)
{
    struct watch *watch = http->watch;
    if (watch == NULL) return;
    http->watch = NULL;
    follower_stop(events_of(watch), &watch->follower);
    memory_give(&memory_heap, watch, sizeof(*watch) + watch->size);
}

static struct watch *watch_create(struct http *http, const struct follower *follower)
{
    ASSERT(http->watch == NULL);
    struct watch *watch = memory_take(&memory_heap, sizeof(*watch) + follower->prefix.size);
    if (watch == NULL) return NULL;
    *watch = (struct watch){ .http = http, .size = (uint16_t)follower->prefix.size };
    watch->follower = *follower;
    if (watch->size > 0) memcpy(watch->text, follower->prefix.data, watch->size);
    watch->follower.prefix = (struct bytes){ watch->text, watch->size };
    watch->follower.user = watch;
    if (!follower_start(http_server(http)->events, &watch->follower)) {
        memory_give(&memory_heap, watch, sizeof(*watch) + watch->size);
        return NULL;
    }
    http->watch = watch;
    return watch;
}

/* --------------------------------------------------------------- long-polls */

static void poll_done(struct follower *follower)
{
    struct watch *watch = follower->user;
    struct http *http = watch->http;
    watch->is_over = true;
    follower_stop(events_of(watch), follower);
    http->session->is_waiting = false;
    watch->done(http, follower->prefix); /* and with that it may wait for a store */
    session_resume(http->session);
    /* The memory is still in use further up; it goes with the next watch, or with the session. */
}

void watch_stop(struct http *http)
{
    struct watch *watch = http->watch;
    if (watch == NULL || watch->done == NULL || watch->is_over) return;
    poll_done(&watch->follower);
}

static bool poll_deliver(struct follower *follower, const struct record *record)
{
    (void)record;
    poll_done(follower);
    return true;
}

static void poll_compacted(struct follower *follower, struct seq first)
{
    const struct watch *watch = follower->user;
    (void)first;
    metrics_count_overtaken(&http_server(watch->http)->metrics, false);
    poll_done(follower);
}

static const struct follower_ops poll_ops = {
    .deliver = poll_deliver,
    .compacted = poll_compacted,
    .timeout = poll_done,
};

bool watch_name(
    struct http *http,
    struct bytes name,
    struct seq since,
    uint32_t wait_ms,
    void (*done)(struct http *http, struct bytes name))
{
    watch_end(http);
    struct follower follower = {
        .ops = &poll_ops,
        .prefix = name,
        .is_exact = true,
        .kinds = EVENTS_OF_LOCKS,
        .seq = since,
        .until = { http_server(http)->now.ns + wait_ms * NS_PER_MS },
    };
    struct watch *watch = watch_create(http, &follower);
    if (watch == NULL) return false;
    watch->done = done;
    session_wait(http->session);
    return true;
}

/* ------------------------------------------------------------------ streams */

static void put(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static void put_id(struct buffer *out, struct seq seq)
{
    char digits[DECIMAL_SIZE_MAX];
    put(out, "id: ");
    buffer_append(out, digits, decimal_format(seq.value, digits));
    put(out, "\n");
}

static void write_event(struct buffer *out, const struct record *record, bool has_previous)
{
    put_id(out, record->seq);
    put(out, "event: ");
    put(out, record_kind_word(record->kind));
    put(out, "\ndata: ");
    struct json_writer json;
    json_writer_init(&json, out);
    struct record told = *record;
    if (!has_previous) told.has_previous = false;
    shape_event(&json, &told);
    put(out, "\n\n");
}

static bool stream_deliver(struct follower *follower, const struct record *record)
{
    struct watch *watch = follower->user;
    struct session *session = watch->http->session;
    if (session_backlog(session) > BACKLOG_SIZE_MAX) {
        watch->is_slow = true;
        session_want_drain(session);
        return false;
    }
    watch->is_slow = false;
    enum events_form form = watch->has_previous ? EVENTS_SSE_PREVIOUS : EVENTS_SSE;
    struct buffer *text = events_text(events_of(watch), form, record->seq);
    if (text->size == 0) write_event(text, record, watch->has_previous);
    events_copy_text(session_out(session), text);
    session_reply_end(session, (struct seq){ 0 }); /* it is durable already */
    return true;
}

/* The stream ends, and says why.  No id: the client's resume point stays where it was. */
static void stream_compacted(struct follower *follower, struct seq first)
{
    struct watch *watch = follower->user;
    struct server *server = http_server(watch->http);
    struct session *session = watch->http->session;
    struct buffer *out = session_out(session);
    put(out, watch->is_slow ? "event: overflow\ndata: " : "event: compacted\ndata: ");
    metrics_count_overtaken(&server->metrics, watch->is_slow);
    struct json_writer json;
    json_writer_init(&json, out);
    json_begin_object(&json);
    json_key(&json, "seq");
    json_unsigned(&json, follower->seq.value);
    json_key(&json, "first");
    json_unsigned(&json, first.value);
    json_end_object(&json);
    put(out, "\n\n");
    session_reply_end(session, (struct seq){ 0 });
    session_close(session);
}

static void stream_heartbeat(struct follower *follower)
{
    struct watch *watch = follower->user;
    struct session *session = watch->http->session;
    if (session_backlog(session) > 0) return; /* there is life enough to read */
    struct buffer *out = session_out(session);
    put(out, ":\n");
    put_id(out, follower->seq);
    put(out, "\n");
    session_reply_end(session, (struct seq){ 0 });
}

static const struct follower_ops stream_ops = {
    .deliver = stream_deliver,
    .compacted = stream_compacted,
    .heartbeat = stream_heartbeat,
};

void watch_resume(struct http *http)
{
    if (http->watch == NULL) return;
    follower_resume(events_of(http->watch), &http->watch->follower);
}

static bool read_kinds(struct bytes words, uint64_t *out_kinds, struct args_error *out_error)
{
    return words.size == 0 || events_parse_kinds(words, out_kinds) ||
           args_fail(out_error, "types", "types must be kinds of events with commas between them");
}

/* Last-Event-ID wins: a browser that comes back sends it beside the address of its first request.
 */
static bool read_since(
    const struct http *http,
    const struct http_call *call,
    struct seq *out_since,
    struct args_error *out_error)
{
    struct bytes header = call->request->last_event_id;
    uint64_t since = args_number(&call->args, ARG_SINCE, http_server(http)->durable.value);
    if (header.size > 0 && !decimal_parse(header, &since)) {
        return args_fail(out_error, "Last-Event-ID", "Last-Event-ID must be a number of an event");
    }
    out_since->value = since;
    return true;
}

static void refuse_compacted(struct http *http, struct seq since)
{
    const struct server *server = http_server(http);
    bool is_future = since.value > server_last_seq(server).value;
    const char *detail = NULL;
    if (is_future) detail = "there is no such event yet: the number is of another history";
    if (server->store != NULL) {
        detail = "this server keeps no events: look at the locks, and follow from now on";
    }
    struct json_writer json;
    http_problem_begin(http, &json, TENURE_COMPACTED, 0, detail);
    json_key(&json, "first");
    json_unsigned(&json, server_first_seq(server).value);
    json_key(&json, "last");
    json_unsigned(&json, server->durable.value);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 410 }, (struct seq){ 0 });
}

void api_events(struct http *http, struct http_call *call)
{
    struct server *server = http_server(http);
    struct args_error error;
    struct follower follower = { .ops = &stream_ops, .prefix = args_text(&call->args, ARG_PREFIX) };
    if (!read_kinds(args_text(&call->args, ARG_TYPES), &follower.kinds, &error) ||
        !read_since(http, call, &follower.seq, &error))
    {
        http_problem_of_args(http, &error);
        return;
    }
    if (server->is_draining) {
        http_problem(http, TENURE_DRAINING, 0, NULL);
        return;
    }
    if (server->event_err != TENURE_OK) {
        http_problem(http, server->event_err, 0, "the store does not tell what changes");
        return;
    }
    struct seq last = server_last_seq(server);
    bool is_missed =
        follower.seq.value < last.value && follower.seq.value + 1 < server_first_seq(server).value;
    if (is_missed || follower.seq.value > last.value) {
        refuse_compacted(http, follower.seq);
        return;
    }
    http->is_keep_alive = false;
    if (http->is_head) {
        http_stream_begin(http, "text/event-stream");
        session_close(http->session);
        return;
    }
    watch_end(http);
    if (watch_create(http, &follower) == NULL) {
        http_problem(http, TENURE_NO_MEMORY, 0, NULL);
        return;
    }
    http->watch->has_previous = args_number(&call->args, ARG_PREVIOUS, 0) == 1;
    http->session->is_waiting = true; /* nothing that comes behind is a request */
    http_stream_begin(http, "text/event-stream");
    struct buffer *out = session_out(http->session);
    if (server->store != NULL) put(out, BEST_EFFORT);
    put(out, "retry: 1000\n");
    put_id(out, follower.seq);
    put(out, "\n");
    session_reply_end(http->session, (struct seq){ 0 });
}
