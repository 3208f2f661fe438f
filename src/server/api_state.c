/* api_state - registers over HTTP. */
#include "server/api_state.h"

#include "base/decimal.h"
#include "base/real.h"
#include "server/state_shapes.h"

/* ------------------------------------------------------------------ answers */

/* What stands in the way of a condition. */
static void refuse_mismatch(struct http *http, const struct engine_reply *reply)
{
    struct json_writer json;
    http_problem_begin(http, &json, reply->err, 0, NULL);
    json_key(&json, "register");
    shape_register(&json, &reply->changes[0].value);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 412 }, reply->seq);
}

bool api_state_is_done(struct http *http, const struct engine_reply *reply)
{
    if (reply->err == TENURE_OK) return true;
    if (reply->err == TENURE_MISMATCH && reply->change_count > 0) {
        refuse_mismatch(http, reply);
        return false;
    }
    struct json_writer json;
    http_problem_begin(http, &json, reply->err, 0, reply->detail);
    json_end_object(&json);
    struct http_answer answer = {
        .status = tenure_err_http_status(reply->err),
        .retry_after_ms = tenure_err_retry(reply->err) == TENURE_RETRY_NEVER ? 0 : 1000,
    };
    http_end(http, &answer, reply->seq);
    return false;
}

static void end(struct http *http, struct seq seq)
{
    http_end(http, &(struct http_answer){ .status = 200 }, seq);
}

/* ------------------------------------------------------------------ arguments */

/* A lock and a token, both or neither. */
static bool read_pair(
    const struct args *args,
    enum arg lock,
    enum arg token,
    struct engine_guard *out_guard,
    struct args_error *out_error)
{
    if (args_has(args, lock) != args_has(args, token)) {
        return args_fail(
            out_error, "", "%s and %s belong together", arg_name(lock), arg_name(token));
    }
    out_guard->lock = args_text(args, lock);
    out_guard->token.value = args_number(args, token, 0);
    return true;
}

bool api_read_guard(
    const struct args *args, struct change_request *request, struct args_error *out_error)
{
    struct engine_guard guard = { 0 };
    if (!read_pair(args, ARG_GUARD_LOCK, ARG_GUARD_TOKEN, &guard, out_error)) return false;
    if (guard.lock.size > 0) *change_request_guard(request) = guard;
    return true;
}

/* The conditions of a request on one register. */
static void
read_conditions(const struct args *args, struct bytes name, struct change_request *request)
{
    if (args_has(args, ARG_VERSION)) {
        struct engine_condition *condition = change_request_condition(request);
        condition->kind = CONDITION_VERSION;
        condition->name = name;
        condition->version = args->numbers[ARG_VERSION];
    }
    if (args_number(args, ARG_ABSENT, 0) == 1) {
        struct engine_condition *condition = change_request_condition(request);
        condition->kind = CONDITION_ABSENT;
        condition->name = name;
    }
    if (args_number(args, ARG_PRESENT, 0) == 1) {
        struct engine_condition *condition = change_request_condition(request);
        condition->name = name;
    }
}

bool api_read_value(
    const struct args *args, struct engine_operation *operation, struct args_error *out_error)
{
    operation->value = args_text(args, ARG_REGISTER);
    operation->ttl_ms = (uint32_t)args_number(args, ARG_STATE_TTL, 0);
    operation->is_keeping = args_number(args, ARG_KEEP_TTL, 0) == 1;
    if (operation->kind == OPERATION_INCREMENT &&
        !decimal_parse_signed(args_text(args, ARG_BY), &operation->by))
    {
        return args_fail(out_error, "by", "by must be a whole number of 64 bits");
    }
    return read_pair(args, ARG_BIND_LOCK, ARG_BIND_TOKEN, &operation->bond, out_error);
}

void api_submit_change(struct http *http, struct change_request *request, http_reply_fn on_reply)
{
    struct server *server = http_server(http);
    const struct engine_change *change = change_request_end(request);
    if (change == NULL) {
        http_problem(http, TENURE_INVALID, 0, API_CHANGE_TOO_LONG);
        return;
    }
    struct engine_command command = { .kind = ENGINE_CHANGE,
                                      .tag = server_tag(server),
                                      .as.change = *change };
    http->on_reply = on_reply;
    server_submit(server, http->session, &command);
}

/* ------------------------------------------------------------------ one register */

static void on_register(struct http *http, const struct engine_reply *reply)
{
    if (!api_state_is_done(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_register(&json, &reply->changes[0].value);
    end(http, reply->seq);
}

static void on_removed(struct http *http, const struct engine_reply *reply)
{
    if (!api_state_is_done(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "name");
    json_text(&json, reply->changes[0].value.name);
    json_key(&json, "removed");
    json_bool(&json, reply->changes[0].was_there);
    json_end_object(&json);
    end(http, reply->seq);
}

static void change_one(
    struct http *http,
    struct http_call *call,
    enum engine_operation_kind kind,
    http_reply_fn on_reply)
{
    struct args_error error;
    if (!api_reserve_bytes(http, call)) return;
    struct change_request *request = change_request_begin();
    struct engine_operation *operation = change_request_operation(request, false, kind);
    operation->name = call->name;
    bool is_sound = api_decode_base64(http, &call->args, ARG_REGISTER, ARG_VALUE_BASE64, &error) &&
                    api_read_value(&call->args, operation, &error) &&
                    api_read_guard(&call->args, request, &error);
    if (!is_sound) {
        http_problem_of_args(http, &error);
        return;
    }
    read_conditions(&call->args, call->name, request);
    api_submit_change(http, request, on_reply);
}

void api_state_set(struct http *http, struct http_call *call)
{
    change_one(http, call, OPERATION_SET, on_register);
}

void api_state_grow(struct http *http, struct http_call *call)
{
    bool is_number = args_has(&call->args, ARG_BY);
    bool has_value = args_any(&call->args, ARG_LIST(ARG_REGISTER, ARG_VALUE_BASE64)) != ARG_COUNT;
    if (is_number == has_value) {
        http_problem(
            http, TENURE_INVALID, 0, "either by, to add to a number, or value, to append it");
        return;
    }
    change_one(http, call, is_number ? OPERATION_INCREMENT : OPERATION_APPEND, on_register);
}

void api_state_remove(struct http *http, struct http_call *call)
{
    change_one(http, call, OPERATION_REMOVE, on_removed);
}

/* ------------------------------------------------------------------ looking */

static void refuse_unset(struct http *http, struct seq seq)
{
    struct json_writer json;
    http_problem_begin(http, &json, TENURE_NOT_FOUND, 0, "this register is not set");
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 404 }, seq);
}

static void on_read(struct http *http, const struct engine_reply *reply)
{
    if (!api_state_is_done(http, reply)) return;
    if (reply->changes[0].value.version == 0) {
        refuse_unset(http, reply->seq);
    } else {
        on_register(http, reply);
    }
}

/* {changed, next, register} */
static void on_waited(struct http *http, const struct engine_reply *reply)
{
    bool is_told = reply->err == TENURE_OK || reply->err == TENURE_TIMEOUT;
    if (!is_told && !api_state_is_done(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "changed");
    json_bool(&json, reply->err == TENURE_OK);
    json_key(&json, "next");
    json_unsigned(&json, reply->changes[0].version);
    json_key(&json, "register");
    shape_register(&json, &reply->changes[0].value);
    json_end_object(&json);
    end(http, reply->seq);
}

static void wait_for_change(struct http *http, const struct http_call *call)
{
    struct server *server = http_server(http);
    struct engine_command command = { .kind = ENGINE_STATE_WAIT, .tag = server_tag(server) };
    command.as.state_wait = (struct engine_state_wait){
        .name = call->name,
        .version = args_number(&call->args, ARG_VERSION, 0),
        .wait_ms = (uint32_t)args_number(&call->args, ARG_WAIT_MS, 0),
    };
    http->on_reply = on_waited;
    server_submit(server, http->session, &command);
}

void api_state_get(struct http *http, struct http_call *call)
{
    const struct server *server = http_server(http);
    bool has_guard = args_any(&call->args, ARG_LIST(ARG_GUARD_LOCK, ARG_GUARD_TOKEN)) != ARG_COUNT;
    if (has_guard && args_has(&call->args, ARG_WAIT_MS)) {
        http_problem(http, TENURE_INVALID, 0, "a guard and wait_ms exclude each other");
        return;
    }
    if (args_has(&call->args, ARG_WAIT_MS)) {
        wait_for_change(http, call);
        return;
    }
    if (has_guard) {
        change_one(http, call, OPERATION_GET, on_read);
        return;
    }
    struct engine_register_view view;
    struct seq seq;
    if (!engine_register(server->engine, call->name, server->now, &view, &seq)) {
        refuse_unset(http, seq);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_register(&json, &view);
    end(http, seq);
}

#define LIST_VALUE_SIZE_MAX ((size_t)1 << 20)

void api_state_put_next(struct json_writer *json, struct bytes next)
{
    json_key(json, "next");
    if (next.size == 0) json_null_value(json);
    if (next.size > 0) json_text(json, next);
}

void api_state_list(struct http *http, struct http_call *call)
{
    static struct engine_register_view views[LIMIT_LIST_COUNT_MAX];
    const struct server *server = http_server(http);
    struct engine_register_query query = {
        .prefix = args_text(&call->args, ARG_PREFIX),
        .after = args_text(&call->args, ARG_CURSOR),
        .count_max = (uint32_t)args_number(&call->args, ARG_LIMIT, 100),
        .value_size_max = LIST_VALUE_SIZE_MAX,
    };
    struct bytes next;
    uint32_t count = engine_registers(server->engine, &query, server->now, views, &next);
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "registers");
    json_begin_array(&json);
    for (uint32_t index = 0; index < count; index++) {
        shape_register(&json, &views[index]);
    }
    json_end_array(&json);
    json_key(&json, "seq");
    json_unsigned(&json, engine_seq(server->engine).value);
    api_state_put_next(&json, next);
    json_end_object(&json);
    end(http, engine_seq(server->engine)); /* it also tells what is not there */
}
