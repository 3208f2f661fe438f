/* routes - which request is answered by whom, and with which arguments; one table.
 *
 * Names are the rest of the path, slashes and all, decoded once.  openapi.json describes the same
 * table for clients, and a test holds the two together. */
#include "base/decimal.h"
#include "proto/url.h"
#include "server/api_bytes.h"
#include "server/json_body.h"

typedef void (*handler_fn)(struct http *http, struct http_call *call);

struct route {
    const char *path;
    const char *tail; /* what is behind the name with which the path goes on; NULL: no name */
    enum http_method method;
    handler_fn handler;
    const uint8_t *query;    /* arguments that it takes there */
    const uint8_t *body;     /* … and there */
    const uint8_t *required; /* of both */
    const uint8_t *raw;      /* the argument that a body of bytes is; NULL: it takes none */
    const uint8_t *lines;    /* arguments of each line of a body of them; NULL: it takes none */
    bool is_first_line_body; /* what such a body has in its first line is as `body` says */
};

#define ACQUIRE_ARGS                                                                               \
    ARG_OWNER, ARG_TTL_MS, ARG_WAIT_MS, ARG_MODE, ARG_SLOTS, ARG_PRIORITY, ARG_META,               \
        ARG_LOCK_DELAY_MS
#define CAMPAIGN_ARGS ARG_OWNER, ARG_TTL_MS, ARG_WAIT_MS, ARG_PRIORITY, ARG_VALUE, ARG_LOCK_DELAY_MS
#define END_ARGS      ARG_OWNER, ARG_TOKEN, ARG_BREAK, ARG_REASON, ARG_GRACE_MS
#define CLAIM_ARGS    ARG_OWNER, ARG_TOKEN
#define ITEM_ARGS     ARG_ID, ARG_TOKEN
#define LIST_ARGS     ARG_PREFIX, ARG_OWNER, ARG_STATE, ARG_LIMIT, ARG_CURSOR

#define PUT_ARGS                                                                                   \
    ARG_ID, ARG_GROUP, ARG_PRIORITY, ARG_HEADERS, ARG_DELAY_MS, ARG_RUN_AT_MS, ARG_EXPIRE_MS,      \
        ARG_LEASE_MS, ARG_TIMEOUT_MS, ARG_ATTEMPTS_MAX, ARG_LAPSES_MAX, ARG_BACKOFF,               \
        ARG_BACKOFF_MS, ARG_BACKOFF_MAX, ARG_JITTER, ARG_RETENTION_MS, ARG_UNIQUE, ARG_UNTIL,      \
        ARG_WINDOW_MS, ARG_CONFLICT
#define LIMIT_ARGS                                                                                 \
    ARG_GROUP, ARG_RUNNING_MAX, ARG_SIZE_LIMIT, ARG_RATE_COUNT, ARG_RATE_MS, ARG_BURST, ARG_WEIGHT

#define GUARD_ARGS ARG_GUARD_LOCK, ARG_GUARD_TOKEN
#define TERM_ARGS  ARG_STATE_TTL, ARG_BIND_LOCK, ARG_BIND_TOKEN
#define SET_ARGS   TERM_ARGS, GUARD_ARGS, ARG_KEEP_TTL, ARG_VERSION, ARG_ABSENT, ARG_PRESENT
#define PART_ARGS                                                                                  \
    ARG_IF, ARG_THEN, ARG_ELSE, GUARD_ARGS, TERM_ARGS, ARG_KEEP_TTL, ARG_NAME, ARG_VERSION,        \
        ARG_REGISTER, ARG_VALUE_BASE64, ARG_BY, ARG_MEMBER, ARG_SCORE

/* clang-format off */
static const struct route routes[] = {
    { "/v1/locks/", "", METHOD_POST, api_lock_acquire, .body = ARG_LIST(ACQUIRE_ARGS) },
    { "/v1/locks/", "", METHOD_DELETE, api_lock_end, .query = ARG_LIST(END_ARGS),
      .required = ARG_LIST(ARG_TOKEN) },
    { "/v1/locks/", "", METHOD_PUT, api_lock_renew, .body = ARG_LIST(CLAIM_ARGS, ARG_TTL_MS),
      .required = ARG_LIST(CLAIM_ARGS) },
    { "/v1/locks/", "", METHOD_GET, api_lock_get, .query = NULL },
    { "/v1/locks", NULL, METHOD_POST, api_locks_acquire,
      .body = ARG_LIST(ACQUIRE_ARGS, ARG_NAMES), .required = ARG_LIST(ARG_NAMES) },
    { "/v1/locks", NULL, METHOD_GET, api_locks_list, .query = ARG_LIST(LIST_ARGS) },
    { "/v1/history/", "", METHOD_GET, api_history, .query = ARG_LIST(ARG_LIMIT) },
    { "/v1/elections/", "", METHOD_POST, api_election_campaign, .body = ARG_LIST(CAMPAIGN_ARGS) },
    { "/v1/elections/", "", METHOD_PUT, api_election_change,
      .body = ARG_LIST(CLAIM_ARGS, ARG_TTL_MS, ARG_VALUE, ARG_TO),
      .required = ARG_LIST(CLAIM_ARGS) },
    { "/v1/elections/", "", METHOD_DELETE, api_election_resign, .query = ARG_LIST(CLAIM_ARGS),
      .required = ARG_LIST(CLAIM_ARGS) },
    { "/v1/elections/", "", METHOD_GET, api_election_observe,
      .query = ARG_LIST(ARG_WAIT_MS, ARG_SINCE) },
    { "/v1/queues/", "/put", METHOD_POST, api_queue_put, .query = ARG_LIST(PUT_ARGS),
      .body = ARG_LIST(PUT_ARGS, ARG_BODY, ARG_BODY_BASE64), .raw = ARG_LIST(ARG_BODY),
      .lines = ARG_LIST(PUT_ARGS, ARG_BODY, ARG_BODY_BASE64) },
    { "/v1/queues/", "/schedule", METHOD_POST, api_queue_schedule,
      .body = ARG_LIST(PUT_ARGS, ARG_BODY, ARG_BODY_BASE64, ARG_SCHEDULE, ARG_CRON, ARG_ZONE,
                       ARG_MISSED),
      .required = ARG_LIST(ARG_SCHEDULE, ARG_CRON) },
    { "/v1/queues/", "/take", METHOD_POST, api_queue_take,
      .body = ARG_LIST(ARG_WORKER, ARG_TAKE_COUNT, ARG_WAIT_MS, ARG_LEASE_MS, ARG_NAMES),
      .required = ARG_LIST(ARG_WORKER) },
    { "/v1/queues/", "/extend", METHOD_POST, api_queue_extend,
      .body = ARG_LIST(ITEM_ARGS, ARG_LEASE_MS, ARG_PROGRESS), .required = ARG_LIST(ITEM_ARGS) },
    { "/v1/queues/", "/done", METHOD_POST, api_queue_done, .query = ARG_LIST(ITEM_ARGS),
      .body = ARG_LIST(ITEM_ARGS, ARG_RESULT, ARG_RESULT_BASE64),
      .required = ARG_LIST(ITEM_ARGS), .raw = ARG_LIST(ARG_RESULT),
      .lines = ARG_LIST(PART_ARGS), .is_first_line_body = true },
    { "/v1/queues/", "/fail", METHOD_POST, api_queue_fail,
      .body = ARG_LIST(ITEM_ARGS, ARG_REASON, ARG_DELAY_MS, ARG_COUNTED),
      .required = ARG_LIST(ITEM_ARGS) },
    { "/v1/queues/", "/bury", METHOD_POST, api_queue_bury,
      .body = ARG_LIST(ITEM_ARGS, ARG_REASON), .required = ARG_LIST(ITEM_ARGS) },
    { "/v1/queues/", "/cancel", METHOD_POST, api_queue_cancel,
      .body = ARG_LIST(ARG_ID, ARG_REASON), .required = ARG_LIST(ARG_ID) },
    { "/v1/queues/", "/kick", METHOD_POST, api_queue_kick, .body = ARG_LIST(ARG_ID, ARG_REASON),
      .required = ARG_LIST(ARG_ID) },
    { "/v1/queues/", "/redrive", METHOD_POST, api_queue_redrive,
      .body = ARG_LIST(ARG_GROUP, ARG_REASON, ARG_LIMIT, ARG_INTERVAL_MS, ARG_CURSOR) },
    { "/v1/queues/", "/purge", METHOD_POST, api_queue_purge,
      .body = ARG_LIST(ARG_ITEM_STATE, ARG_GROUP, ARG_REASON, ARG_LIMIT, ARG_CURSOR),
      .required = ARG_LIST(ARG_ITEM_STATE) },
    { "/v1/queues/", "/pause", METHOD_POST, api_queue_pause, .body = ARG_LIST(ARG_GROUP) },
    { "/v1/queues/", "/resume", METHOD_POST, api_queue_resume, .body = ARG_LIST(ARG_GROUP) },
    { "/v1/queues/", "/limit", METHOD_POST, api_queue_limit, .body = ARG_LIST(LIMIT_ARGS) },
    { "/v1/queues/", "/stat", METHOD_GET, api_queue_stat, .query = ARG_LIST(ARG_GROUP, ARG_ID) },
    { "/v1/queues/", "/peek", METHOD_GET, api_queue_peek,
      .query = ARG_LIST(ARG_ID, ARG_ITEM_STATE) },
    { "/v1/queues/", "/list", METHOD_GET, api_queue_list,
      .query = ARG_LIST(ARG_ITEM_STATE, ARG_LIMIT, ARG_CURSOR),
      .required = ARG_LIST(ARG_ITEM_STATE) },
    { "/v1/queues/", "/await", METHOD_GET, api_queue_await,
      .query = ARG_LIST(ARG_ID, ARG_WAIT_MS), .required = ARG_LIST(ARG_ID) },
    { "/v1/queues", NULL, METHOD_GET, api_queues,
      .query = ARG_LIST(ARG_PREFIX, ARG_LIMIT, ARG_CURSOR) },
    { "/v1/state/", "", METHOD_GET, api_state_get,
      .query = ARG_LIST(GUARD_ARGS, ARG_VERSION, ARG_WAIT_MS) },
    { "/v1/state/", "", METHOD_PUT, api_state_set, .query = ARG_LIST(SET_ARGS),
      .body = ARG_LIST(SET_ARGS, ARG_REGISTER, ARG_VALUE_BASE64), .raw = ARG_LIST(ARG_REGISTER) },
    { "/v1/state/", "", METHOD_POST, api_state_grow,
      .body = ARG_LIST(TERM_ARGS, GUARD_ARGS, ARG_BY, ARG_REGISTER, ARG_VALUE_BASE64) },
    { "/v1/state/", "", METHOD_DELETE, api_state_remove,
      .query = ARG_LIST(GUARD_ARGS, ARG_VERSION) },
    { "/v1/state", NULL, METHOD_GET, api_state_list,
      .query = ARG_LIST(ARG_PREFIX, ARG_LIMIT, ARG_CURSOR) },
    { "/v1/state", NULL, METHOD_POST, api_state_transaction, .body = ARG_LIST(PART_ARGS),
      .lines = ARG_LIST(PART_ARGS) },
    { "/v1/ranks/", "", METHOD_GET, api_rank_get,
      .query = ARG_LIST(ARG_MEMBER, ARG_FIRST, ARG_LIMIT, ARG_MIN, ARG_MAX, ARG_REVERSE) },
    { "/v1/ranks/", "", METHOD_PUT, api_rank_add,
      .body = ARG_LIST(GUARD_ARGS, ARG_MEMBER, ARG_SCORE, ARG_WHEN),
      .required = ARG_LIST(ARG_MEMBER, ARG_SCORE) },
    { "/v1/ranks/", "", METHOD_POST, api_rank_increment,
      .body = ARG_LIST(GUARD_ARGS, ARG_MEMBER, ARG_BY), .required = ARG_LIST(ARG_MEMBER, ARG_BY) },
    { "/v1/ranks/", "", METHOD_DELETE, api_rank_remove, .query = ARG_LIST(GUARD_ARGS, ARG_MEMBER),
      .required = ARG_LIST(ARG_MEMBER) },
    { "/v1/ranks", NULL, METHOD_GET, api_ranks_list,
      .query = ARG_LIST(ARG_PREFIX, ARG_LIMIT, ARG_CURSOR) },
    { "/v1/channels/", "", METHOD_POST, api_channel_publish,
      .body = ARG_LIST(ARG_MESSAGE, ARG_MESSAGE_BASE64), .raw = ARG_LIST(ARG_MESSAGE) },
    { "/v1/channels/", "", METHOD_GET, api_channel_listen, .query = ARG_LIST(ARG_PATTERN) },
    { "/v1/events", NULL, METHOD_GET, api_events,
      .query = ARG_LIST(ARG_PREFIX, ARG_TYPES, ARG_SINCE, ARG_PREVIOUS) },
    { "/v1/server", NULL, METHOD_GET, api_server, .query = NULL },
    { "/v1/openapi.json", NULL, METHOD_GET, api_openapi, .query = NULL },
    { "/healthz", NULL, METHOD_GET, api_healthz, .query = NULL },
    { "/readyz", NULL, METHOD_GET, api_readyz, .query = NULL },
    { "/metrics", NULL, METHOD_GET, api_metrics, .query = NULL },
    { "/acquire/", "", METHOD_GET, candado_acquire, .query = ARG_LIST(ARG_OWNER, ARG_TTL_MS) },
    { "/release/", "", METHOD_GET, candado_release, .query = ARG_LIST(ARG_OWNER) },
    { "/heartbeat/", "", METHOD_GET, candado_heartbeat, .query = ARG_LIST(ARG_OWNER, ARG_TTL_MS) },
    { "/", NULL, METHOD_GET, api_root, .query = NULL },
};
/* clang-format on */

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static bool ends_with(struct bytes text, struct bytes end)
{
    if (text.size < end.size) return false;
    return bytes_equal((struct bytes){ text.data + text.size - end.size, end.size }, end);
}

static bool is_path_of(const struct route *route, struct bytes path)
{
    struct bytes own = bytes_from_text(route->path);
    if (route->tail == NULL) return bytes_equal(path, own);
    return bytes_start_with(path, own) && ends_with(path, bytes_from_text(route->tail));
}

/* NULL: none; then `*out_allow` are the methods that the path has. */
static const struct route *find(const struct http_request *request, uint32_t *out_allow)
{
    uint32_t allow = 0;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!is_path_of(&routes[i], request->path)) continue;
        if (routes[i].method == request->method) return &routes[i];
        allow |= 1u << routes[i].method;
    }
    *out_allow = allow;
    return NULL;
}

static void answer_missing(struct http *http, uint32_t allow)
{
    if (allow == 0) {
        http_problem(http, TENURE_NOT_FOUND, 0, "no such path; see /v1/openapi.json");
        return;
    }
    struct json_writer json;
    http_problem_begin(http, &json, TENURE_UNSUPPORTED, 405, "the path has no such method");
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 405, .allow = allow }, (struct seq){ 0 });
}

/* Is it this one, parameters ignored? */
static bool is_type(struct bytes type, const char *wanted)
{
    if (type.size == 0) return false;
    const char *end = memchr(type.data, ';', type.size);
    if (end != NULL) type.size = (size_t)(end - type.data);
    while (type.size > 0 && (type.data[type.size - 1] == ' ' || type.data[type.size - 1] == '\t')) {
        type.size--;
    }
    return http_text_is(type, wanted);
}

static bool read_name(
    const struct route *route,
    const struct http_request *request,
    char **scratch,
    struct http_call *call,
    struct args_error *out_error)
{
    if (route->tail == NULL) return true;
    /* The one slash of "/v1/queues/put" is not both before and behind a name. */
    size_t skip = strlen(route->path);
    size_t tail_size = strlen(route->tail);
    size_t size = request->path.size;
    struct bytes encoded = { request->path.data + skip,
                             size < skip + tail_size ? 0 : size - skip - tail_size };
    if (!url_decode_path(encoded, *scratch, &call->name)) {
        return args_fail(out_error, "name", "the name is not encoded as a URL must be");
    }
    *scratch += encoded.size;
    return args_check_name(call->name, out_error);
}

static bool takes_token(const uint8_t *list)
{
    while (list != NULL && *list != ARG_COUNT && *list != ARG_TOKEN) {
        list++;
    }
    return list != NULL && *list == ARG_TOKEN;
}

/* A hold's ETag is its token in quotes, and may stand for it.  `*out_is_other`: there is another
 * token as well. */
static bool read_if_match(
    const struct route *route,
    const struct http_request *request,
    struct args *args,
    bool *out_is_other,
    struct args_error *out_error)
{
    static const char field[] = "If-Match";
    *out_is_other = false;
    if (!takes_token(route->query) && !takes_token(route->body)) return true;
    struct bytes text = request->if_match;
    if (text.data == NULL) return true;
    uint64_t token = 0;
    if (text.size < 2 || text.data[0] != '"' || text.data[text.size - 1] != '"' ||
        !decimal_parse((struct bytes){ text.data + 1, text.size - 2 }, &token) || token == 0 ||
        token > TOKEN_MAX)
    {
        return args_fail(out_error, field, "If-Match must be one token in quotes, as an ETag is");
    }
    *out_is_other = args_has(args, ARG_TOKEN) && args->numbers[ARG_TOKEN] != token;
    return args_has(args, ARG_TOKEN) || args_set_number(args, ARG_TOKEN, token, out_error);
}

static void refuse_args(
    struct http *http,
    const struct route *route,
    const struct http_call *call,
    const struct args_error *error)
{
    bool is_candado = route->handler == candado_acquire || route->handler == candado_release ||
                      route->handler == candado_heartbeat;
    if (is_candado) {
        struct args_error ignored;
        bool is_name = args_check_name(call->name, &ignored);
        candado_refuse(http, is_name ? call->name : BYTES_LITERAL(""), error->text);
    } else {
        http_problem_of_args(http, error);
    }
}

enum body_kind { BODY_NONE, BODY_JSON, BODY_RAW, BODY_LINES, BODY_OTHER };

static enum body_kind kind_of_body(const struct route *route, const struct http_request *request)
{
    if (request->body.size == 0) return BODY_NONE;
    if (is_type(request->content_type, "application/json")) return BODY_JSON;
    bool is_bytes = is_type(request->content_type, "application/octet-stream");
    if (is_bytes) return route->raw == NULL ? BODY_OTHER : BODY_RAW;
    bool is_lines = is_type(request->content_type, "application/x-ndjson");
    return is_lines && route->lines != NULL ? BODY_LINES : BODY_OTHER;
}

/* Lines are for the handler, but for a first one that is the request itself. */
static bool read_lines(
    const struct route *route, struct http_call *call, char **scratch, struct args_error *out_error)
{
    call->lines = call->request->body;
    call->line_args = route->lines;
    if (!route->is_first_line_body) return true;
    struct bytes first = api_take_line(&call->lines);
    return json_body_read(&call->args, first, route->body, scratch, out_error);
}

static bool read_body(
    const struct route *route, struct http_call *call, char **scratch, struct args_error *out_error)
{
    struct bytes body = call->request->body;
    switch (kind_of_body(route, call->request)) {
    case BODY_JSON: return json_body_read(&call->args, body, route->body, scratch, out_error);
    case BODY_RAW:
        call->args.texts[*route->raw] = body;
        call->args.is_present[*route->raw] = true;
        return true;
    case BODY_LINES: return read_lines(route, call, scratch, out_error);
    case BODY_NONE:
    case BODY_OTHER: break;
    }
    return true;
}

/* What the backend cannot do is refused before it is looked at. */
static bool is_unsupported(const struct http *http, const struct route *route)
{
    static const char *const paths[] = { "/v1/queues", "/v1/state", "/v1/ranks" };
    bool is_embedded_only = false;
    for (size_t index = 0; index < sizeof paths / sizeof *paths; index++) {
        struct bytes path = bytes_from_text(paths[index]);
        is_embedded_only = is_embedded_only || bytes_start_with(bytes_from_text(route->path), path);
    }
    return is_embedded_only && http_server(http)->engine == NULL;
}

/* False: it was refused. */
static bool judge(struct http *http, const struct route *route, const struct http_request *request)
{
    if (is_unsupported(http, route)) {
        http_problem(
            http,
            TENURE_UNSUPPORTED,
            0,
            "the store behind this server has no queues and no shared state");
    } else if (kind_of_body(route, request) == BODY_OTHER) {
        http_problem(http, TENURE_INVALID, 415, "a body needs Content-Type: application/json");
    } else {
        return true;
    }
    return false;
}

void routes_handle(struct http *http, const struct http_request *request)
{
    uint32_t allow = 0;
    const struct route *route = find(request, &allow);
    if (route == NULL) {
        answer_missing(http, allow);
        return;
    }
    if (!judge(http, route, request)) return;
    struct buffer *room = &http_server(http)->http->scratch;
    buffer_reset(room);
    if (!buffer_reserve(room, request->path.size + request->query.size + request->body.size + 1)) {
        http_problem(http, TENURE_NO_MEMORY, 0, NULL);
        return;
    }
    char *scratch = room->data;
    struct args_error error;
    struct http_call call;
    call.request = request;
    call.name = BYTES_LITERAL("");
    call.lines = (struct bytes){ NULL, 0 };
    args_init(&call.args);
    bool is_other = false;
    if (!read_name(route, request, &scratch, &call, &error) ||
        !args_read_query(&call.args, request->query, route->query, &scratch, &error) ||
        !read_body(route, &call, &scratch, &error) ||
        !read_if_match(route, request, &call.args, &is_other, &error) ||
        !args_require(&call.args, route->required, &error))
    {
        refuse_args(http, route, &call, &error);
        return;
    }
    if (is_other) {
        http_problem(http, TENURE_STALE_TOKEN, 0, "If-Match has another token than the request");
        return;
    }
    call.scratch = scratch;
    route->handler(http, &call);
}
