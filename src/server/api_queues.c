/* api_queues - what is done with queues over HTTP. */
#include "proto/base64.h"
#include "server/http.h"
#include "server/json_body.h"
#include "server/queue_request.h"
#include "server/queue_shapes.h"
#include "server/schedules.h"

/* ----------------------------------------------------------------- refusals */

static void refuse_lost(struct http *http, const struct engine_reply *reply)
{
    const struct engine_item_view *item = &reply->items[0].item;
    char text[400];
    text[queue_describe_loss(item, text, sizeof(text))] = '\0';
    struct json_writer json;
    http_problem_begin(http, &json, reply->err, 0, text);
    json_key(&json, "queue");
    json_text(&json, item->queue);
    json_key(&json, "id");
    json_text(&json, item->id);
    json_key(&json, "state");
    if (item->id.size == 0) {
        json_null_value(&json);
    } else {
        json_text(&json, bytes_from_text(item_state_word(item->state)));
    }
    json_key(&json, "token");
    if (item->token.value == 0) {
        json_null_value(&json);
    } else {
        json_unsigned(&json, item->token.value);
    }
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 410 }, reply->seq);
}

/* False: the answer was no. */
static bool is_granted(struct http *http, const struct engine_reply *reply)
{
    if (reply->err == TENURE_OK) return true;
    const struct engine_item_result *result = reply->item_count > 0 ? &reply->items[0] : NULL;
    if (reply->err == TENURE_LOST && result != NULL) {
        refuse_lost(http, reply);
        return false;
    }
    const char *detail = reply->detail;
    if (detail == NULL && result != NULL) detail = result->detail;
    struct json_writer json;
    http_problem_begin(http, &json, reply->err, 0, detail);
    json_end_object(&json);
    struct http_answer answer = {
        .status = tenure_err_http_status(reply->err),
        .retry_after_ms = tenure_err_retry(reply->err) == TENURE_RETRY_NEVER ? 0 : 1000,
    };
    http_end(http, &answer, reply->seq);
    return false;
}

static void end(struct http *http, int status, struct seq seq)
{
    http_end(http, &(struct http_answer){ .status = status }, seq);
}

/* -------------------------------------------------------------------- bytes */

/* Bytes that came as base64 take their place among the arguments. */
static bool decode(
    struct http *http,
    struct args *args,
    enum arg plain,
    enum arg encoded,
    struct args_error *out_error)
{
    struct buffer *room = &http_server(http)->http->decoded;
    if (!args_has(args, encoded)) return true;
    if (args_has(args, plain)) {
        return args_fail(
            out_error,
            arg_name(encoded),
            "%s and %s exclude each other",
            arg_name(plain),
            arg_name(encoded));
    }
    struct bytes text = args->texts[encoded];
    size_t size = 0;
    char *at = room->data + room->size; /* there is room for all that the request has */
    if (!base64_decode(text, at, &size)) {
        return args_fail(
            out_error, arg_name(encoded), "%s must be base64, with its padding", arg_name(encoded));
    }
    room->size += size;
    args->texts[plain] = (struct bytes){ at, size };
    args->is_present[plain] = true;
    return true;
}

/* Room for whatever the request may have in base64.  False: no memory, and that was answered. */
static bool reserve_bytes(struct http *http, const struct http_call *call)
{
    struct buffer *room = &http_server(http)->http->decoded;
    buffer_reset(room);
    if (buffer_reserve(room, call->request->body.size + 1)) return true;
    http_problem(http, TENURE_NO_MEMORY, 0, NULL);
    return false;
}

/* ------------------------------------------------------------------ requests */

static void refuse_text(struct http *http, const char *text)
{
    http_problem(http, TENURE_INVALID, 0, text);
}

static void
ask(struct http *http,
    const struct http_call *call,
    enum engine_command_kind kind,
    http_reply_fn on_reply)
{
    struct server *server = http_server(http);
    UNINITIALIZED struct queue_request request;
    const char *fault = queue_request_make(&request, kind, call->name, &call->args, server->wall);
    if (fault != NULL) {
        refuse_text(http, fault);
        return;
    }
    request.command.tag = server_tag(server);
    http->on_reply = on_reply;
    server_submit(server, http->session, &request.command);
}

/* ---------------------------------------------------------------------- put */

static void on_put(struct http *http, const struct engine_reply *reply)
{
    if (!is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_put(&json, &reply->items[0], false);
    end(http, reply->items[0].is_repeat ? 200 : 201, reply->seq);
}

static void on_all_put(struct http *http, const struct engine_reply *reply)
{
    /* One item alone is answered as the whole; here it is one of a list all the same. */
    if (reply->item_count == 0 && !is_granted(http, reply)) return;
    struct json_writer json;
    bool is_new = false;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "items");
    json_begin_array(&json);
    for (uint32_t index = 0; index < reply->item_count; index++) {
        const struct engine_item_result *result = &reply->items[index];
        shape_put(&json, result, true);
        is_new = is_new || (result->err == TENURE_OK && !result->is_repeat);
    }
    json_end_array(&json);
    json_end_object(&json);
    end(http, is_new ? 201 : 200, reply->seq);
}

/* The next line of what is left, without its end. */
static struct bytes take_line(struct bytes *rest)
{
    const char *feed = memchr(rest->data, '\n', rest->size);
    struct bytes line = { rest->data, feed == NULL ? rest->size : (size_t)(feed - rest->data) };
    size_t used = line.size + (feed != NULL);
    *rest = (struct bytes){ rest->data + used, rest->size - used };
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    return line;
}

static bool read_line(
    struct http *http,
    struct http_call *call,
    struct bytes line,
    struct engine_put *out_put,
    struct args_error *out_error)
{
    args_init(&call->args);
    if (!json_body_read(&call->args, line, call->line_args, &call->scratch, out_error) ||
        !decode(http, &call->args, ARG_BODY, ARG_BODY_BASE64, out_error))
    {
        return false;
    }
    const char *fault =
        queue_request_put(out_put, call->name, &call->args, http_server(http)->wall);
    return fault == NULL || args_fail(out_error, "", "%s", fault);
}

static void refuse_line(struct http *http, const struct args_error *error, uint32_t number)
{
    struct json_writer json;
    http_problem_begin(http, &json, TENURE_INVALID, 0, error->text);
    json_key(&json, "line");
    json_unsigned(&json, number);
    if (error->field[0] != '\0') {
        json_key(&json, "field");
        json_text(&json, bytes_from_text(error->field));
    }
    if (error->has_limit) {
        json_key(&json, "limit");
        json_unsigned(&json, error->limit);
    }
    json_end_object(&json);
    end(http, 400, (struct seq){ 0 });
}

static void put_lines(struct http *http, struct http_call *call)
{
    /* Too large for the stack; there is only one thread. */
    static struct engine_put puts[LIMIT_ITEM_COUNT_MAX];
    struct server *server = http_server(http);
    struct args_error error;
    uint32_t count = 0;
    uint32_t number = 0;
    for (struct bytes rest = call->lines; rest.size > 0;) {
        struct bytes line = take_line(&rest);
        number++;
        if (line.size == 0) continue;
        if (count == LIMIT_ITEM_COUNT_MAX) {
            refuse_text(http, "at most 1024 items in one put");
            return;
        }
        if (!read_line(http, call, line, &puts[count++], &error)) {
            refuse_line(http, &error, number);
            return;
        }
    }
    if (count == 0) {
        refuse_text(http, "there is no item in the body");
        return;
    }
    struct engine_command command = { .kind = ENGINE_PUT,
                                      .tag = server_tag(server),
                                      .as.put = { puts, count } };
    http->on_reply = on_all_put;
    server_submit(server, http->session, &command);
}

void api_queue_put(struct http *http, struct http_call *call)
{
    struct args_error error;
    if (!reserve_bytes(http, call)) return;
    if (call->lines.data != NULL) {
        bool has_query = call->request->query.size > 0;
        if (has_query) refuse_text(http, "a put of many takes no query: each line has its own");
        if (!has_query) put_lines(http, call);
    } else if (!decode(http, &call->args, ARG_BODY, ARG_BODY_BASE64, &error)) {
        http_problem_of_args(http, &error);
    } else {
        ask(http, call, ENGINE_PUT, on_put);
    }
}

/* ---------------------------------------------------------------- schedule */

/* NULL, or what is wrong. */
static const char *
make_schedule(const struct http *http, const struct http_call *call, struct engine_put *out_put)
{
    const struct args *args = &call->args;
    const struct wall wall = http_server(http)->wall;
    struct bytes missed =
        args_has(args, ARG_MISSED) ? args->texts[ARG_MISSED] : BYTES_LITERAL("once");
    struct schedule schedule = {
        .name = args_text(args, ARG_SCHEDULE),
        .line = args_text(args, ARG_CRON),
        .zone = args_text(args, ARG_ZONE),
        .made_us = wall.us,
    };
    if (!schedules_parse_missed(missed, &schedule.policy)) {
        return "missed: skip, once, all or all:20";
    }
    const char *fault = queue_request_put(&schedule.item, call->name, args, wall);
    return fault != NULL ? fault : schedules_begin(&schedule, wall, out_put);
}

void api_queue_schedule(struct http *http, struct http_call *call)
{
    struct server *server = http_server(http);
    struct args_error error;
    struct engine_put put;
    if (!reserve_bytes(http, call)) return;
    if (!decode(http, &call->args, ARG_BODY, ARG_BODY_BASE64, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    const char *fault = make_schedule(http, call, &put);
    if (fault != NULL) {
        refuse_text(http, fault);
        return;
    }
    struct engine_command command = { .kind = ENGINE_PUT,
                                      .tag = server_tag(server),
                                      .as.put = { &put, 1 } };
    http->on_reply = on_put;
    server_submit(server, http->session, &command);
}

/* --------------------------------------------------------------------- take */

static void on_taken(struct http *http, const struct engine_reply *reply)
{
    /* There was none in time: that is an answer. */
    if (reply->err != TENURE_TIMEOUT && !is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "items");
    json_begin_array(&json);
    for (uint32_t index = 0; index < reply->item_count; index++) {
        shape_taken(&json, &reply->items[index].item);
    }
    json_end_array(&json);
    json_end_object(&json);
    end(http, 200, reply->seq);
}

void api_queue_take(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_TAKE, on_taken);
}

static void on_extended(struct http *http, const struct engine_reply *reply)
{
    if (!is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_extended(&json, &reply->items[0].item);
    end(http, 200, reply->seq);
}

void api_queue_extend(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_EXTEND, on_extended);
}

/* --------------------------------------------------------------------- ends */

static void on_ended(struct http *http, const struct engine_reply *reply)
{
    if (!is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_ended(&json, &reply->items[0]);
    end(http, 200, reply->seq);
}

void api_queue_done(struct http *http, struct http_call *call)
{
    struct args_error error;
    if (!reserve_bytes(http, call)) return;
    if (!decode(http, &call->args, ARG_RESULT, ARG_RESULT_BASE64, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    ask(http, call, ENGINE_DONE, on_ended);
}

void api_queue_fail(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_FAIL, on_ended);
}

void api_queue_bury(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_BURY, on_ended);
}

void api_queue_cancel(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_CANCEL_ITEM, on_ended);
}

void api_queue_kick(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_KICK, on_ended);
}

static void on_awaited(struct http *http, const struct engine_reply *reply)
{
    bool is_told = reply->err == TENURE_TIMEOUT && reply->item_count > 0;
    if (!is_told && !is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_item(&json, &reply->items[0].item, SHAPE_ITEM_WHOLE);
    end(http, 200, reply->seq);
}

void api_queue_await(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_AWAIT, on_awaited);
}

/* ---------------------------------------------------------- administration */

static void on_swept(struct http *http, const struct engine_reply *reply)
{
    if (!is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "count");
    json_unsigned(&json, reply->swept_count);
    json_key(&json, "more");
    json_bool(&json, !reply->is_swept);
    char text[LIMIT_CURSOR_SIZE_MAX];
    json_key(&json, "cursor");
    if (reply->is_swept) {
        json_null_value(&json);
    } else {
        json_text(&json, (struct bytes){ text, queue_sweep_cursor_format(reply, text) });
    }
    json_end_object(&json);
    end(http, 200, reply->seq);
}

void api_queue_redrive(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_REDRIVE, on_swept);
}

void api_queue_purge(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_PURGE, on_swept);
}

static void on_scope(struct http *http, const struct engine_reply *reply)
{
    if (!is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "outcome");
    json_text(&json, BYTES_LITERAL("ok"));
    json_end_object(&json);
    end(http, 200, reply->seq);
}

void api_queue_pause(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_PAUSE, on_scope);
}

void api_queue_resume(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_RESUME, on_scope);
}

void api_queue_limit(struct http *http, struct http_call *call)
{
    ask(http, call, ENGINE_LIMIT, on_scope);
}
