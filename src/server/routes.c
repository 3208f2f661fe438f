/* routes - which request is answered by whom, and with which arguments; one table.
 *
 * Names are the rest of the path, slashes and all, decoded once.  openapi.json describes the same
 * table for clients, and a test holds the two together. */
#include "base/decimal.h"
#include "proto/url.h"
#include "server/http.h"
#include "server/json_body.h"

typedef void (*handler_fn)(struct http *http, struct http_call *call);

struct route {
    const char *path;
    bool has_name; /* the path goes on with a name */
    enum http_method method;
    handler_fn handler;
    const uint8_t *query;    /* arguments that it takes there */
    const uint8_t *body;     /* … and there */
    const uint8_t *required; /* of both */
};

#define ACQUIRE_ARGS                                                                               \
    ARG_OWNER, ARG_TTL_MS, ARG_WAIT_MS, ARG_MODE, ARG_SLOTS, ARG_PRIORITY, ARG_META,               \
        ARG_LOCK_DELAY_MS
#define CAMPAIGN_ARGS ARG_OWNER, ARG_TTL_MS, ARG_WAIT_MS, ARG_PRIORITY, ARG_VALUE, ARG_LOCK_DELAY_MS
#define END_ARGS      ARG_OWNER, ARG_TOKEN, ARG_BREAK, ARG_REASON, ARG_GRACE_MS
#define CLAIM_ARGS    ARG_OWNER, ARG_TOKEN
#define LIST_ARGS     ARG_PREFIX, ARG_OWNER, ARG_STATE, ARG_LIMIT, ARG_CURSOR

/* clang-format off */
static const struct route routes[] = {
    { "/v1/locks/", true, METHOD_POST, api_lock_acquire, NULL, ARG_LIST(ACQUIRE_ARGS), NULL },
    { "/v1/locks/", true, METHOD_DELETE, api_lock_end, ARG_LIST(END_ARGS), NULL,
      ARG_LIST(ARG_TOKEN) },
    { "/v1/locks/", true, METHOD_PUT, api_lock_renew, NULL, ARG_LIST(CLAIM_ARGS, ARG_TTL_MS),
      ARG_LIST(CLAIM_ARGS) },
    { "/v1/locks/", true, METHOD_GET, api_lock_get, NULL, NULL, NULL },
    { "/v1/locks", false, METHOD_POST, api_locks_acquire, NULL, ARG_LIST(ACQUIRE_ARGS, ARG_NAMES),
      ARG_LIST(ARG_NAMES) },
    { "/v1/locks", false, METHOD_GET, api_locks_list, ARG_LIST(LIST_ARGS), NULL, NULL },
    { "/v1/history/", true, METHOD_GET, api_history, ARG_LIST(ARG_LIMIT), NULL, NULL },
    { "/v1/elections/", true, METHOD_POST, api_election_campaign, NULL, ARG_LIST(CAMPAIGN_ARGS),
      NULL },
    { "/v1/elections/", true, METHOD_PUT, api_election_change, NULL,
      ARG_LIST(CLAIM_ARGS, ARG_TTL_MS, ARG_VALUE, ARG_TO), ARG_LIST(CLAIM_ARGS) },
    { "/v1/elections/", true, METHOD_DELETE, api_election_resign, ARG_LIST(CLAIM_ARGS), NULL,
      ARG_LIST(CLAIM_ARGS) },
    { "/v1/elections/", true, METHOD_GET, api_election_observe, ARG_LIST(ARG_WAIT_MS, ARG_SINCE),
      NULL, NULL },
    { "/v1/events", false, METHOD_GET, api_events, ARG_LIST(ARG_PREFIX, ARG_TYPES, ARG_SINCE), NULL,
      NULL },
    { "/v1/server", false, METHOD_GET, api_server, NULL, NULL, NULL },
    { "/v1/openapi.json", false, METHOD_GET, api_openapi, NULL, NULL, NULL },
    { "/healthz", false, METHOD_GET, api_healthz, NULL, NULL, NULL },
    { "/readyz", false, METHOD_GET, api_readyz, NULL, NULL, NULL },
    { "/metrics", false, METHOD_GET, api_metrics, NULL, NULL, NULL },
    { "/acquire/", true, METHOD_GET, candado_acquire, ARG_LIST(ARG_OWNER, ARG_TTL_MS), NULL, NULL },
    { "/release/", true, METHOD_GET, candado_release, ARG_LIST(ARG_OWNER), NULL, NULL },
    { "/heartbeat/", true, METHOD_GET, candado_heartbeat, ARG_LIST(ARG_OWNER, ARG_TTL_MS), NULL,
      NULL },
    { "/", false, METHOD_GET, api_root, NULL, NULL, NULL },
};
/* clang-format on */

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static bool is_path_of(const struct route *route, struct bytes path)
{
    struct bytes own = bytes_from_text(route->path);
    return route->has_name ? bytes_start_with(path, own) : bytes_equal(path, own);
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

/* "application/json", parameters ignored. */
static bool is_json(struct bytes type)
{
    if (type.size == 0) return false;
    const char *end = memchr(type.data, ';', type.size);
    if (end != NULL) type.size = (size_t)(end - type.data);
    while (type.size > 0 && (type.data[type.size - 1] == ' ' || type.data[type.size - 1] == '\t')) {
        type.size--;
    }
    return http_text_is(type, "application/json");
}

static bool read_name(
    const struct route *route,
    const struct http_request *request,
    char **scratch,
    struct http_call *call,
    struct args_error *out_error)
{
    if (!route->has_name) return true;
    size_t skip = strlen(route->path);
    struct bytes encoded = { request->path.data + skip, request->path.size - skip };
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

void routes_handle(struct http *http, const struct http_request *request)
{
    uint32_t allow = 0;
    const struct route *route = find(request, &allow);
    if (route == NULL) {
        answer_missing(http, allow);
        return;
    }
    if (request->body.size > 0 && !is_json(request->content_type)) {
        http_problem(http, TENURE_INVALID, 415, "a body needs Content-Type: application/json");
        return;
    }
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
    args_init(&call.args);
    bool is_other = false;
    if (!read_name(route, request, &scratch, &call, &error) ||
        !args_read_query(&call.args, request->query, route->query, &scratch, &error) ||
        !json_body_read(&call.args, request->body, route->body, &scratch, &error) ||
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
    route->handler(http, &call);
}
