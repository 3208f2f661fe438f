/* api_read - what is held, waited for and remembered. */
#include "server/http.h"

void api_lock_get(struct http *http, struct http_call *call)
{
    const struct server *server = http_server(http);
    struct engine_lock_view lock;
    struct json_writer json;
    if (!engine_inspect(server->engine, call->name, server->now, &lock)) {
        http_problem_begin(
            http, &json, TENURE_NOT_FOUND, 0, "nobody holds this name or waits for it");
        json_key(&json, "name");
        json_text(&json, call->name);
        json_key(&json, "seq");
        json_unsigned(&json, lock.seq.value);
        json_end_object(&json);
        http_end(http, &(struct http_answer){ .status = 404 }, lock.seq);
        return;
    }
    (void)http_begin(http, &json);
    shape_lock(&json, server->engine, server->now, &lock);
    http_end(http, &(struct http_answer){ .status = 200 }, lock.seq);
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

void api_locks_list(struct http *http, struct http_call *call)
{
    const struct server *server = http_server(http);
    struct engine_lock_view locks[LIMIT_LIST_COUNT_MAX];
    struct engine_list_query query = {
        .prefix = args_text(&call->args, ARG_PREFIX),
        .owner = args_text(&call->args, ARG_OWNER),
        .state = state_of(&call->args),
        .after = args_text(&call->args, ARG_CURSOR),
        .count_max = (uint32_t)args_number(&call->args, ARG_LIMIT, LIST_COUNT_DEFAULT),
    };
    struct bytes next = { "", 0 };
    uint32_t count = engine_list(server->engine, &query, server->now, locks, &next);

    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "locks");
    json_begin_array(&json);
    for (uint32_t i = 0; i < count; i++) {
        shape_lock_summary(&json, server->engine, server->now, &locks[i]);
    }
    json_end_array(&json);
    json_key(&json, "cursor");
    if (next.size == 0) {
        json_null_value(&json);
    } else {
        json_text(&json, next);
    }
    json_key(&json, "seq");
    json_unsigned(&json, engine_seq(server->engine).value);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, engine_seq(server->engine));
}

void api_history(struct http *http, struct http_call *call)
{
    const struct server *server = http_server(http);
    struct record records[LIMIT_HISTORY_COUNT_MAX];
    uint64_t limit = args_number(&call->args, ARG_LIMIT, LIMIT_HISTORY_COUNT_MAX);
    if (limit > LIMIT_HISTORY_COUNT_MAX) limit = LIMIT_HISTORY_COUNT_MAX;
    uint32_t count = engine_history(server->engine, call->name, records, (uint32_t)limit);
    if (count == 0) {
        http_problem(http, TENURE_NOT_FOUND, 0, "no event of this name is remembered");
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "name");
    json_text(&json, call->name);
    json_key(&json, "events");
    json_begin_array(&json);
    for (uint32_t i = 0; i < count; i++) {
        shape_event(&json, &records[i]);
    }
    json_end_array(&json);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, records[0].seq);
}
