/* api_queues - what is done with queues over HTTP. */
#include "server/api_state.h"
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

/* ------------------------------------------------------------------ requests */

static void refuse_text(struct http *http, const char *text)
{
    http_problem(http, TENURE_INVALID, 0, text);
}

/* False: it was refused. */
static bool make(
    struct http *http,
    const struct http_call *call,
    enum engine_command_kind kind,
    struct queue_request *out_request)
{
    const struct wall wall = http_server(http)->wall;
    const char *fault = queue_request_make(out_request, kind, call->name, &call->args, wall);
    if (fault != NULL) refuse_text(http, fault);
    return fault == NULL;
}

static void submit(struct http *http, struct queue_request *request, http_reply_fn on_reply)
{
    struct server *server = http_server(http);
    request->command.tag = server_tag(server);
    http->on_reply = on_reply;
    server_submit(server, http->session, &request->command);
}

static void
ask(struct http *http,
    const struct http_call *call,
    enum engine_command_kind kind,
    http_reply_fn on_reply)
{
    UNINITIALIZED struct queue_request request;
    if (make(http, call, kind, &request)) submit(http, &request, on_reply);
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

static bool read_line(
    struct http *http,
    struct http_call *call,
    struct bytes line,
    struct engine_put *out_put,
    struct args_error *out_error)
{
    args_init(&call->args);
    if (!json_body_read(&call->args, line, call->line_args, &call->scratch, out_error) ||
        !api_decode_base64(http, &call->args, ARG_BODY, ARG_BODY_BASE64, out_error))
    {
        return false;
    }
    const char *fault =
        queue_request_put(out_put, call->name, &call->args, http_server(http)->wall);
    return fault == NULL || args_fail(out_error, "", "%s", fault);
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
        struct bytes line = api_take_line(&rest);
        number++;
        if (line.size == 0) continue;
        if (count == LIMIT_ITEM_COUNT_MAX) {
            refuse_text(http, "at most 1024 items in one put");
            return;
        }
        if (!read_line(http, call, line, &puts[count++], &error)) {
            api_refuse_line(http, &error, number);
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
    if (!api_reserve_bytes(http, call)) return;
    if (call->lines.data != NULL) {
        bool has_query = call->request->query.size > 0;
        if (has_query) refuse_text(http, "a put of many takes no query: each line has its own");
        if (!has_query) put_lines(http, call);
    } else if (!api_decode_base64(http, &call->args, ARG_BODY, ARG_BODY_BASE64, &error)) {
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
    if (!api_reserve_bytes(http, call)) return;
    if (!api_decode_base64(http, &call->args, ARG_BODY, ARG_BODY_BASE64, &error)) {
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
    json_begin_object(&json);
    shape_ended_members(&json, &reply->items[0]);
    json_end_object(&json);
    end(http, 200, reply->seq);
}

/* Done, and what came of the transaction; what is said again was told the first time. */
static void on_done_with_change(struct http *http, const struct engine_reply *reply)
{
    if (reply->fault_part != CHANGE_PART_NONE) {
        api_refuse_change(http, reply);
        return;
    }
    if (!is_granted(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    shape_ended_members(&json, &reply->items[0]);
    if (!reply->items[0].is_repeat) api_put_change(&json, reply);
    json_end_object(&json);
    end(http, 200, reply->seq);
}

/* The first line is the request as it is without a transaction, the others are that. */
static void
done_with_change(struct http *http, struct http_call *call, struct queue_request *request)
{
    struct change_request *change = change_request_begin();
    if (!api_read_change(http, call, change, 1)) return;
    request->command.as.end_work.change = change_request_end(change);
    if (request->command.as.end_work.change == NULL) {
        refuse_text(http, API_CHANGE_TOO_LONG);
        return;
    }
    submit(http, request, on_done_with_change);
}

void api_queue_done(struct http *http, struct http_call *call)
{
    UNINITIALIZED struct queue_request request;
    struct args_error error;
    if (!api_reserve_bytes(http, call)) return;
    if (!api_decode_base64(http, &call->args, ARG_RESULT, ARG_RESULT_BASE64, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    if (!make(http, call, ENGINE_DONE, &request)) return;
    if (call->lines.data != NULL) {
        done_with_change(http, call, &request);
    } else {
        submit(http, &request, on_ended);
    }
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
