/* api_locks - acquire, renew, release and break over HTTP. */
#include "server/http.h"

/* ----------------------------------------------------------------- refusals */

static void refuse_held(struct http *http, const struct engine_reply *reply)
{
    const struct engine_result *result = &reply->results[0];
    struct json_writer json;
    http_problem_begin(http, &json, reply->err, 0, reply->detail);
    shape_refusal(&json, result);
    json_end_object(&json);
    struct http_answer answer = {
        .status = tenure_err_http_status(reply->err),
        .retry_after_ms = result->retry_after_ms,
    };
    http_end(http, &answer, reply->seq);
}

static void put_successor(struct json_writer *json, struct token successor)
{
    json_key(json, "successor_token");
    if (successor.value == 0) {
        json_null_value(json);
    } else {
        json_unsigned(json, successor.value);
    }
}

static void refuse_lost(struct http *http, const struct engine_reply *reply)
{
    const struct engine_result *result = &reply->results[0];
    struct json_writer json;
    http_problem_begin(http, &json, reply->err, 0, reply->detail);
    json_key(&json, "name");
    json_text(&json, result->name);
    json_key(&json, "reason");
    json_text(&json, bytes_from_text(engine_end_word(result->end)));
    put_successor(&json, result->successor);
    json_end_object(&json);
    http_end(
        http, &(struct http_answer){ .status = tenure_err_http_status(reply->err) }, reply->seq);
}

void api_refuse(struct http *http, const struct engine_reply *reply)
{
    bool has_result = reply->result_count > 0;
    if (has_result && (reply->err == TENURE_HELD || reply->err == TENURE_TIMEOUT)) {
        refuse_held(http, reply);
        return;
    }
    if (has_result && reply->err == TENURE_LOST) {
        refuse_lost(http, reply);
        return;
    }
    struct json_writer json;
    http_problem_begin(http, &json, reply->err, 0, reply->detail);
    json_end_object(&json);
    struct http_answer answer = {
        .status = tenure_err_http_status(reply->err),
        .retry_after_ms = tenure_err_retry(reply->err) == TENURE_RETRY_NEVER ? 0 : 1000,
    };
    http_end(http, &answer, reply->seq);
}

/* ------------------------------------------------------------------ acquire */

/* What is usual; where leases must end, and sooner, the longest that there is. */
static uint32_t default_ttl_ms(const struct server *server, const struct api_wish *wish)
{
    uint32_t ttl_ms_max = server_ttl_ms_max(server);
    bool has_no_ttl =
        server->store == NULL || (server->store->features & 1u << STORE_FEATURE_NO_TTL);
    if (wish->ttl_ms == 0 && has_no_ttl) return 0;
    return wish->ttl_ms == 0 || wish->ttl_ms > ttl_ms_max ? ttl_ms_max : wish->ttl_ms;
}

void api_submit_acquire(
    struct http *http,
    const struct http_call *call,
    const struct api_wish *wish,
    http_reply_fn reply)
{
    struct server *server = http_server(http);
    const struct args *args = &call->args;
    char made_up[40];
    bool has_owner = args_has(args, ARG_OWNER);
    struct engine_command command = {
        .kind = ENGINE_ACQUIRE,
        .tag = server_tag(server),
        .as.acquire = {
            .names = wish->names,
            .name_count = wish->name_count,
            .owner = has_owner ? args->texts[ARG_OWNER] : server_owner(server, made_up),
            .meta = wish->meta,
            .ttl_ms = (uint32_t)args_number(args, ARG_TTL_MS, default_ttl_ms(server, wish)),
            .wait_ms = (uint32_t)args_number(args, ARG_WAIT_MS, 0),
            .mode = args_number(args, ARG_MODE, ARG_MODE_EXCLUSIVE) == ARG_MODE_SHARED
                ? ENGINE_SHARED
                : ENGINE_EXCLUSIVE,
            .slots = (uint32_t)args_number(args, ARG_SLOTS, 1),
            .priority = (uint32_t)args_number(args, ARG_PRIORITY, 0),
            .lock_delay_ms = (uint32_t)args_number(args, ARG_LOCK_DELAY_MS, 0),
        },
    };
    http->on_reply = reply;
    server_submit(server, http->session, &command);
}

static void on_acquired(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    const struct engine_result *result = &reply->results[0];
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_hold(&json, &result->hold);
    struct http_answer answer = {
        .status = result->is_repeat ? 200 : 201,
        .etag = result->hold.token,
        .location = result->is_repeat ? NULL : "/v1/locks/",
        .location_name = result->hold.name,
    };
    http_end(http, &answer, reply->seq);
}

void api_lock_acquire(struct http *http, struct http_call *call)
{
    struct api_wish wish = {
        &call->name, 1, args_text(&call->args, ARG_META), LIMIT_TTL_MS_DEFAULT
    };
    api_submit_acquire(http, call, &wish, on_acquired);
}

static void on_all_acquired(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "holds");
    json_begin_array(&json);
    bool is_repeat = true;
    for (uint32_t i = 0; i < reply->result_count; i++) {
        shape_hold(&json, &reply->results[i].hold);
        is_repeat = is_repeat && reply->results[i].is_repeat;
    }
    json_end_array(&json);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = is_repeat ? 200 : 201 }, reply->seq);
}

void api_locks_acquire(struct http *http, struct http_call *call)
{
    struct api_wish wish = {
        call->args.names,
        call->args.name_count,
        args_text(&call->args, ARG_META),
        LIMIT_TTL_MS_DEFAULT,
    };
    api_submit_acquire(http, call, &wish, on_all_acquired);
}

/* ---------------------------------------------------------- renew and release */

struct engine_claim api_claim(const struct http_call *call)
{
    return (struct engine_claim){
        .name = call->name,
        .owner = args_text(&call->args, ARG_OWNER),
        .token = { args_number(&call->args, ARG_TOKEN, 0) },
        .ttl_ms = (uint32_t)args_number(&call->args, ARG_TTL_MS, ENGINE_TTL_KEEP),
    };
}

static void on_renewed(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_hold(&json, &reply->results[0].hold);
    http_end(
        http,
        &(struct http_answer){ .status = 200, .etag = reply->results[0].hold.token },
        reply->seq);
}

void api_lock_renew(struct http *http, struct http_call *call)
{
    struct engine_claim claim = api_claim(call);
    struct engine_command command = { .kind = ENGINE_RENEW, .as.renew = { &claim, 1 } };
    http->on_reply = on_renewed;
    server_submit(http_server(http), http->session, &command);
}

void api_released(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    const struct engine_result *result = &reply->results[0];
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "outcome");
    json_text(&json, bytes_from_text(engine_end_word(result->end)));
    json_key(&json, "name");
    json_text(&json, result->name);
    put_successor(&json, result->successor);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, reply->seq);
}

static void on_broken(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    const struct engine_result *result = &reply->results[0];
    bool is_over = result->end == ENGINE_END_BROKEN;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "outcome");
    json_text(&json, is_over ? BYTES_LITERAL("broken") : BYTES_LITERAL("breaking"));
    json_key(&json, "hold");
    shape_hold(&json, &result->hold);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, reply->seq);
}

static void break_hold(struct http *http, const struct http_call *call)
{
    struct engine_command command = {
        .kind = ENGINE_BREAK,
        .as.break_hold = {
            .name = call->name,
            .token = { args_number(&call->args, ARG_TOKEN, 0) },
            .reason = args_text(&call->args, ARG_REASON),
            .grace_ms = (uint32_t)args_number(&call->args, ARG_GRACE_MS, 0),
        },
    };
    http->on_reply = on_broken;
    server_submit(http_server(http), http->session, &command);
}

/* One method ends a hold in two ways, and each takes its own arguments. */
void api_lock_end(struct http *http, struct http_call *call)
{
    bool is_break = args_number(&call->args, ARG_BREAK, 0) != 0;
    const uint8_t *required = is_break ? ARG_LIST(ARG_REASON) : ARG_LIST(ARG_OWNER);
    const uint8_t *foreign = is_break ? ARG_LIST(ARG_OWNER) : ARG_LIST(ARG_REASON, ARG_GRACE_MS);
    enum arg excess = args_any(&call->args, foreign);
    struct args_error error;
    if (excess != ARG_COUNT) {
        const char *name = arg_name(excess);
        (void)args_fail(&error, name, "%s goes %s break=1", name, is_break ? "without" : "with");
        http_problem_of_args(http, &error);
        return;
    }
    if (!args_require(&call->args, required, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    if (is_break) {
        break_hold(http, call);
        return;
    }
    struct engine_command command = { .kind = ENGINE_RELEASE, .as.release = api_claim(call) };
    http->on_reply = api_released;
    server_submit(http_server(http), http->session, &command);
}
