/* api_channels - messages that nobody keeps, over HTTP: a post, and a stream for who listens. */
#include "server/api_state.h"
#include "server/channels.h"
#include "server/state_shapes.h"

/* Who reads so slowly is cut off. */
#define BACKLOG_SIZE_MAX ((size_t)8 << 20)

void api_channel_publish(struct http *http, struct http_call *call)
{
    struct args_error error;
    if (!api_reserve_bytes(http, call)) return;
    if (!api_decode_base64(http, &call->args, ARG_MESSAGE, ARG_MESSAGE_BASE64, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    struct bytes message = args_text(&call->args, ARG_MESSAGE);
    if (message.size > CHANNEL_MESSAGE_SIZE_MAX) {
        /* It came as bytes or in base64, which have no limit of their own. */
        http_problem(http, TENURE_TOO_LARGE, 0, "message: up to 1048576 bytes");
        return;
    }
    uint32_t count = channel_publish(http_server(http)->channels, call->name, message);
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "receivers");
    json_unsigned(&json, count);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, (struct seq){ 0 });
}

static void put(struct buffer *out, const char *text)
{
    buffer_append_bytes(out, bytes_from_text(text));
}

static void tell(struct subscription *subscription, struct bytes channel, struct bytes message)
{
    struct session *session = subscription->user;
    if (session->is_closing || session->is_gone) return;
    if (session_backlog(session) > BACKLOG_SIZE_MAX) {
        session->server->metrics.listener_cut_count++;
        session_close(session);
        return;
    }
    struct buffer *out = session_out(session);
    struct json_writer json;
    put(out, "event: message\ndata: ");
    json_writer_init(&json, out);
    json_begin_object(&json);
    shape_bytes(&json, "channel", channel);
    shape_bytes(&json, "message", message);
    json_end_object(&json);
    put(out, "\n\n");
    session_reply_end(session, (struct seq){ 0 });
}

void api_channel_end(struct http *http)
{
    if (http->subscription == NULL) return;
    channel_unsubscribe(http_server(http)->channels, http->subscription);
    http->subscription = NULL;
}

void api_channel_listen(struct http *http, struct http_call *call)
{
    struct server *server = http_server(http);
    bool is_pattern = args_number(&call->args, ARG_PATTERN, 0) == 1;
    if (server->is_draining) {
        http_problem(http, TENURE_DRAINING, 0, NULL);
        return;
    }
    if (!channel_has_room(server->channels, call->name, is_pattern)) {
        http_problem(http, TENURE_TOO_MANY, 0, "at most 4096 patterns on one server");
        return;
    }
    http->is_keep_alive = false;
    if (http->is_head) {
        http_stream_begin(http, "text/event-stream");
        session_close(http->session);
        return;
    }
    http->subscription = channel_subscribe(server->channels, call->name, is_pattern);
    if (http->subscription == NULL) {
        http_problem(http, TENURE_NO_MEMORY, 0, NULL);
        return;
    }
    http->subscription->tell = tell;
    http->subscription->user = http->session;
    http->session->is_waiting = true; /* nothing that comes behind is a request */
    http_stream_begin(http, "text/event-stream");
    put(session_out(http->session), "retry: 1000\n\n");
    session_reply_end(http->session, (struct seq){ 0 });
}
