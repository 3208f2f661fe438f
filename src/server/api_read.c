/* api_read - what is held, waited for and remembered. */
#include "server/http.h"

static void tell_lock(struct session *session, const struct query_answer *answer)
{
    struct http *http = session->state;
    if (answer->err != TENURE_OK) {
        http_problem(http, answer->err, 0, answer->detail);
        return;
    }
    const struct query_lock *lock = answer->locks;
    struct json_writer json;
    if (!lock->is_known) {
        http_problem_begin(
            http, &json, TENURE_NOT_FOUND, 0, "nobody holds this name or waits for it");
        json_key(&json, "name");
        json_text(&json, answer->name);
        json_key(&json, "seq");
        json_unsigned(&json, lock->view.seq.value);
        json_end_object(&json);
        http_end(http, &(struct http_answer){ .status = 404 }, answer->seq);
        return;
    }
    (void)http_begin(http, &json);
    shape_lock(&json, lock);
    http_end(http, &(struct http_answer){ .status = 200 }, answer->seq);
}

void api_lock_get(struct http *http, struct http_call *call)
{
    struct query query = { .kind = QUERY_LOCK, .tell = tell_lock, .name = call->name };
    server_ask(http_server(http), http->session, &query);
}

static enum engine_state_filter state_of(const struct args *args)
{
    switch (args_number(args, ARG_STATE, 0)) {
    case ARG_STATE_HELD: return ENGINE_STATE_HELD;
    case ARG_STATE_WAITED: return ENGINE_STATE_WAITED;
    default: return ENGINE_STATE_ANY;
    }
}

#define LIST_COUNT_DEFAULT 100u

static void tell_list(struct session *session, const struct query_answer *answer)
{
    struct http *http = session->state;
    if (answer->err != TENURE_OK) {
        http_problem(http, answer->err, 0, answer->detail);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "locks");
    json_begin_array(&json);
    for (uint32_t i = 0; i < answer->lock_count; i++) {
        shape_lock_summary(&json, &answer->locks[i]);
    }
    json_end_array(&json);
    json_key(&json, "cursor");
    if (answer->next.size == 0) {
        json_null_value(&json);
    } else {
        json_text(&json, answer->next);
    }
    json_key(&json, "seq");
    json_unsigned(&json, answer->seq.value);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, answer->seq);
}

void api_locks_list(struct http *http, struct http_call *call)
{
    struct query query = {
        .kind = QUERY_LIST,
        .tell = tell_list,
        .list = {
            .prefix = args_text(&call->args, ARG_PREFIX),
            .owner = args_text(&call->args, ARG_OWNER),
            .state = state_of(&call->args),
            .after = args_text(&call->args, ARG_CURSOR),
            .count_max = (uint32_t)args_number(&call->args, ARG_LIMIT, LIST_COUNT_DEFAULT),
        },
    };
    server_ask(http_server(http), http->session, &query);
}

static void tell_history(struct session *session, const struct query_answer *answer)
{
    struct http *http = session->state;
    if (answer->err != TENURE_OK) {
        http_problem(http, answer->err, 0, answer->detail);
        return;
    }
    if (answer->record_count == 0) {
        http_problem(http, TENURE_NOT_FOUND, 0, "no event of this name is remembered");
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "name");
    json_text(&json, answer->name);
    json_key(&json, "events");
    json_begin_array(&json);
    for (uint32_t i = 0; i < answer->record_count; i++) {
        shape_event(&json, &answer->records[i]);
    }
    json_end_array(&json);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, answer->seq);
}

void api_history(struct http *http, struct http_call *call)
{
    uint64_t limit = args_number(&call->args, ARG_LIMIT, LIMIT_HISTORY_COUNT_MAX);
    if (limit > LIMIT_HISTORY_COUNT_MAX) limit = LIMIT_HISTORY_COUNT_MAX;
    struct query query = {
        .kind = QUERY_HISTORY,
        .tell = tell_history,
        .name = call->name,
        .count_max = (uint32_t)limit,
    };
    server_ask(http_server(http), http->session, &query);
}
