/* api_change - transactions on shared state over HTTP: an object a line. */
#include "server/api_state.h"
#include "server/json_body.h"
#include "server/state_shapes.h"

/* ------------------------------------------------------------------ answers */

void api_put_change(struct json_writer *json, const struct engine_reply *reply)
{
    json_key(json, "held");
    json_bool(json, !reply->is_else);
    json_key(json, "results");
    json_begin_array(json);
    for (uint32_t index = 0; index < reply->change_count; index++) {
        shape_change(json, &reply->changes[index]);
    }
    json_end_array(json);
}

/* Which of its parts refused it: the first guard, the third line with `then` … */
static void put_fault(struct json_writer *json, const struct engine_reply *reply)
{
    const char *word = engine_change_part_word(reply->fault_part);
    if (word == NULL) return;
    json_key(json, "part");
    json_text(json, bytes_from_text(word));
    json_key(json, "number");
    json_unsigned(json, reply->fault_index + 1);
    if (reply->fault_name.size == 0) return;
    json_key(json, "name");
    json_text(json, reply->fault_name);
}

void api_refuse_change(struct http *http, const struct engine_reply *reply)
{
    struct json_writer json;
    bool is_mismatch = reply->err == TENURE_MISMATCH && reply->change_count > 0;
    http_problem_begin(http, &json, reply->err, 0, reply->detail);
    put_fault(&json, reply);
    if (is_mismatch) {
        /* What stands in the way: so that the next try needs no look. */
        json_key(&json, "register");
        shape_register(&json, &reply->changes[0].value);
    }
    json_end_object(&json);
    struct http_answer answer = {
        .status = tenure_err_http_status(reply->err),
        .retry_after_ms = tenure_err_retry(reply->err) == TENURE_RETRY_NEVER ? 0 : 1000,
    };
    http_end(http, &answer, reply->seq);
}

/* ------------------------------------------------------------------ the lines */

static bool read_operation(
    const struct args *args,
    enum arg branch,
    struct change_request *request,
    struct args_error *out_error)
{
    enum engine_operation_kind kind = (enum engine_operation_kind)args->numbers[branch];
    bool is_else = branch == ARG_ELSE;
    if (is_else) request->change.has_else = true;
    struct engine_operation *operation = change_request_operation(request, is_else, kind);
    operation->name = args_text(args, ARG_NAME);
    operation->member = args_text(args, ARG_MEMBER);
    if (kind < OPERATION_RANK_GET) return api_read_value(args, operation, out_error);
    enum arg score = kind == OPERATION_RANK_INCREMENT ? ARG_BY : ARG_SCORE;
    bool has_score = kind == OPERATION_RANK_INCREMENT || kind == OPERATION_RANK_ADD;
    return !has_score || api_read_real(args, score, &operation->score, out_error);
}

static bool read_condition(
    const struct args *args, struct change_request *request, struct args_error *out_error)
{
    struct engine_condition *condition = change_request_condition(request);
    condition->kind = (enum engine_condition_kind)args->numbers[ARG_IF];
    condition->name = args_text(args, ARG_NAME);
    condition->value = args_text(args, ARG_REGISTER);
    condition->version = args_number(args, ARG_VERSION, 0);
    bool is_version = condition->kind == CONDITION_VERSION;
    return is_version == args_has(args, ARG_VERSION) ||
           args_fail(out_error, "version", "version is for a condition on the version");
}

/* Each line is one guard, condition or operation. */
static bool read_part(
    struct http *http,
    struct args *args,
    struct change_request *request,
    struct args_error *out_error)
{
    static const uint8_t kinds[] = { ARG_IF, ARG_THEN, ARG_ELSE, ARG_GUARD_LOCK, ARG_COUNT };
    uint32_t count = 0;
    for (const uint8_t *kind = kinds; *kind != ARG_COUNT; kind++) {
        count += args_has(args, (enum arg) * kind);
    }
    if (count != 1) {
        return args_fail(out_error, "", "a line has one of if, then, else and guard_lock");
    }
    if (!api_decode_base64(http, args, ARG_REGISTER, ARG_VALUE_BASE64, out_error)) return false;
    if (args_has(args, ARG_GUARD_LOCK)) return api_read_guard(args, request, out_error);
    if (!args_require(args, ARG_LIST(ARG_NAME), out_error)) return false;
    if (args_has(args, ARG_IF)) return read_condition(args, request, out_error);
    enum arg branch = args_has(args, ARG_THEN) ? ARG_THEN : ARG_ELSE;
    return read_operation(args, branch, request, out_error);
}

static bool read_line(
    struct http *http,
    struct http_call *call,
    struct bytes line,
    struct change_request *request,
    struct args_error *out_error)
{
    args_init(&call->args);
    return json_body_read(&call->args, line, call->line_args, &call->scratch, out_error) &&
           read_part(http, &call->args, request, out_error);
}

bool api_read_change(
    struct http *http,
    struct http_call *call,
    struct change_request *request,
    uint32_t line_count_before)
{
    struct args_error error;
    uint32_t number = line_count_before;
    for (struct bytes rest = call->lines; rest.size > 0;) {
        struct bytes line = api_take_line(&rest);
        number++;
        if (line.size == 0 || read_line(http, call, line, request, &error)) continue;
        api_refuse_line(http, &error, number);
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ a request of its own */

static void on_transaction(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse_change(http, reply);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    api_put_change(&json, reply);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, reply->seq);
}

void api_state_transaction(struct http *http, struct http_call *call)
{
    struct args_error error;
    if (!api_reserve_bytes(http, call)) return;
    struct change_request *request = change_request_begin();
    if (call->lines.data != NULL) {
        if (!api_read_change(http, call, request, 0)) return;
    } else if (!read_part(http, &call->args, request, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    api_submit_change(http, request, on_transaction);
}
