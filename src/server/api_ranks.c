/* api_ranks - sets sorted by score, over HTTP. */
#include <math.h>

#include "base/real.h"
#include "server/api_state.h"
#include "server/state_shapes.h"

static void end(struct http *http, struct seq seq)
{
    http_end(http, &(struct http_answer){ .status = 200 }, seq);
}

bool api_read_real(
    const struct args *args, enum arg arg, double *out_value, struct args_error *out_error)
{
    if (real_parse(args_text(args, arg), out_value)) return true;
    return args_fail(out_error, arg_name(arg), "%s must be a finite number", arg_name(arg));
}

/* ------------------------------------------------------------------ changing */

static void on_changed(struct http *http, const struct engine_reply *reply)
{
    if (!api_state_is_done(http, reply)) return;
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_change(&json, &reply->changes[0]);
    end(http, reply->seq);
}

static void change(
    struct http *http,
    const struct http_call *call,
    enum engine_operation_kind kind,
    enum arg score)
{
    struct args_error error;
    struct change_request *request = change_request_begin();
    struct engine_operation *operation = change_request_operation(request, false, kind);
    operation->name = call->name;
    operation->member = args_text(&call->args, ARG_MEMBER);
    operation->when = (unsigned)args_number(&call->args, ARG_WHEN, 0);
    bool is_sound =
        score == ARG_COUNT || api_read_real(&call->args, score, &operation->score, &error);
    if (!is_sound || !api_read_guard(&call->args, request, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    api_submit_change(http, request, on_changed);
}

void api_rank_add(struct http *http, struct http_call *call)
{
    change(http, call, OPERATION_RANK_ADD, ARG_SCORE);
}

void api_rank_increment(struct http *http, struct http_call *call)
{
    change(http, call, OPERATION_RANK_INCREMENT, ARG_BY);
}

void api_rank_remove(struct http *http, struct http_call *call)
{
    change(http, call, OPERATION_RANK_REMOVE, ARG_COUNT);
}

/* ------------------------------------------------------------------ looking */

static void
tell_member(struct http *http, const struct http_call *call, const struct engine_rank_view *rank)
{
    struct engine_member_view member;
    struct bytes name = args_text(&call->args, ARG_MEMBER);
    struct json_writer json;
    if (!engine_member(http_server(http)->engine, call->name, name, &member)) {
        http_problem_begin(http, &json, TENURE_NOT_FOUND, 0, "it is no member");
        json_end_object(&json);
        http_end(http, &(struct http_answer){ .status = 404 }, rank->seq);
        return;
    }
    (void)http_begin(http, &json);
    shape_member(&json, &member);
    end(http, rank->seq);
}

/* Which positions are asked for: between two scores, or all; then those from `first` on. */
static bool read_span(
    const struct http *http,
    const struct http_call *call,
    uint32_t *out_first,
    uint32_t *out_end,
    struct args_error *out_error)
{
    struct engine_score_span span = { .score_min = -HUGE_VAL, .score_max = HUGE_VAL };
    const struct args *args = &call->args;
    if (args_has(args, ARG_MIN) && !api_read_real(args, ARG_MIN, &span.score_min, out_error)) {
        return false;
    }
    if (args_has(args, ARG_MAX) && !api_read_real(args, ARG_MAX, &span.score_max, out_error)) {
        return false;
    }
    engine_rank_span(http_server(http)->engine, call->name, &span, out_first, out_end);
    return true;
}

void api_rank_get(struct http *http, struct http_call *call)
{
    static struct engine_member_view views[LIMIT_LIST_COUNT_MAX];
    const struct engine *engine = http_server(http)->engine;
    struct engine_rank_view rank;
    struct args_error error;
    uint32_t begin;
    uint32_t last;
    (void)engine_rank(engine, call->name, &rank);
    if (args_has(&call->args, ARG_MEMBER)) {
        tell_member(http, call, &rank);
        return;
    }
    if (!read_span(http, call, &begin, &last, &error)) {
        http_problem_of_args(http, &error);
        return;
    }
    bool is_reversed = args_number(&call->args, ARG_REVERSE, 0) == 1;
    uint64_t first = args_number(&call->args, ARG_FIRST, 0);
    uint64_t count = last - begin > first ? last - begin - first : 0;
    uint64_t limit = args_number(&call->args, ARG_LIMIT, 100);
    if (count > limit) count = limit;
    uint64_t at = is_reversed ? last - 1 - first : begin + first;
    uint32_t found = 0;
    if (count > 0) {
        found =
            engine_members(engine, call->name, (uint32_t)at, is_reversed, views, (uint32_t)count);
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    shape_rank_members(&json, &rank);
    json_key(&json, "members");
    json_begin_array(&json);
    for (uint32_t index = 0; index < found; index++) {
        shape_member(&json, &views[index]);
    }
    json_end_array(&json);
    json_end_object(&json);
    end(http, rank.seq);
}

void api_ranks_list(struct http *http, struct http_call *call)
{
    static struct engine_rank_view views[LIMIT_LIST_COUNT_MAX];
    const struct engine *engine = http_server(http)->engine;
    struct bytes next;
    uint32_t count = engine_ranks(
        engine,
        args_text(&call->args, ARG_PREFIX),
        args_text(&call->args, ARG_CURSOR),
        (uint32_t)args_number(&call->args, ARG_LIMIT, 100),
        views,
        &next);
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "ranks");
    json_begin_array(&json);
    for (uint32_t index = 0; index < count; index++) {
        json_begin_object(&json);
        shape_rank_members(&json, &views[index]);
        json_end_object(&json);
    }
    json_end_array(&json);
    api_state_put_next(&json, next);
    json_end_object(&json);
    end(http, engine_seq(engine));
}
