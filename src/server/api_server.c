/* api_server - what the server says of itself. */
#include "engine/queues.h"
#include "engine/registers.h"
#include "server/http.h"
#include "server/openapi.h"

static void put_number(struct json_writer *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_unsigned(json, value);
}

static void put_text(struct json_writer *json, const char *key, const char *text)
{
    json_key(json, key);
    json_text(json, bytes_from_text(text));
}

static void answer(struct http *http, int status)
{
    http_end(http, &(struct http_answer){ .status = status }, (struct seq){ 0 });
}

static void put_limits(struct json_writer *json, const struct server *server)
{
    const struct config *config = server->config;
    json_key(json, "limits");
    json_begin_object(json);
    put_number(json, "name_bytes", LIMIT_NAME_SIZE_MAX);
    put_number(json, "owner_bytes", LIMIT_OWNER_SIZE_MAX);
    put_number(json, "meta_bytes", LIMIT_META_SIZE_MAX);
    put_number(json, "names", LIMIT_NAME_COUNT_MAX);
    put_number(json, "slots", LIMIT_SLOTS_MAX);
    put_number(json, "ttl_ms_min", LIMIT_TTL_MS_MIN);
    put_number(json, "ttl_ms_max", server_ttl_ms_max(server));
    put_number(json, "wait_ms", LIMIT_WAIT_MS_MAX);
    put_number(json, "body_bytes", HTTP_BODY_SIZE_MAX);
    put_number(json, "result_bytes", LIMIT_RESULT_SIZE_MAX);
    put_number(json, "batch", LIMIT_ITEM_COUNT_MAX);
    put_number(json, "holds", config->hold_count_max);
    put_number(json, "waiters", config->waiter_count_max);
    put_number(json, "items", config->item_count_max);
    put_number(json, "item_bytes", config->item_bytes_max);
    put_number(json, "value_bytes", LIMIT_VALUE_SIZE_MAX);
    put_number(json, "operations", LIMIT_OPERATION_COUNT_MAX);
    put_number(json, "keys", config->key_count_max);
    put_number(json, "key_bytes", config->key_bytes_max);
    put_number(json, "connections", config->connection_count_max);
    json_end_object(json);
}

/* Whatever a store can do of these: they are not relayed. */
static const char *const own_words[] = { "queues", "state" };
#define OWN_WORD_COUNT (sizeof(own_words) / sizeof(own_words[0]))

static bool is_relayed(const char *word)
{
    for (size_t index = 0; index < OWN_WORD_COUNT; index++) {
        if (strcmp(own_words[index], word) == 0) return false;
    }
    return true;
}

/* What a client may not ask for here, in the words of the API. */
static void put_unsupported(struct json_writer *json, const struct server *server)
{
    json_key(json, "unsupported");
    json_begin_array(json);
    for (uint32_t index = 0; server->store != NULL; index++) {
        const char *word = tni_store_unsupported_word(server->store, index);
        if (word == NULL) break;
        if (is_relayed(word)) json_text(json, bytes_from_text(word));
    }
    /* Whatever the store remembers: of events, this process keeps none. */
    bool is_resumable =
        server->store == NULL || (server->store->features >> STORE_FEATURE_RESUME & 1) == 0;
    if (!is_resumable) json_text(json, BYTES_LITERAL("resume"));
    for (size_t index = 0; index < OWN_WORD_COUNT && server->engine == NULL; index++) {
        json_text(json, bytes_from_text(own_words[index]));
    }
    json_end_array(json);
}

/* Of the engine there are more numbers than any other store tells. */
static void put_engine(struct json_writer *json, const struct server *server)
{
    struct engine_counters counters = engine_counters(server->engine);
    put_number(json, "locks", counters.lock_count);
    put_number(json, "holds", counters.hold_count);
    put_number(json, "waiters", counters.waiter_count);
    struct engine_work_counters works = engine_work_counters(server->engine);
    put_number(json, "queues", works.queue_count);
    put_number(json, "groups", works.group_count);
    put_number(json, "items", works.item_count);
    put_number(json, "item_bytes", works.item_bytes);
    put_number(json, "takers", works.taker_count);
    struct engine_key_counters keys = engine_key_counters(server->engine);
    put_number(json, "registers", keys.register_count);
    put_number(json, "ranks", keys.rank_count);
    put_number(json, "members", keys.member_count);
    put_number(json, "key_bytes", keys.bytes);
}

static void put_store(struct json_writer *json, const struct server *server)
{
    put_text(json, "store", server->store == NULL ? "embedded" : server->store_url);
    put_text(json, "safety", server_safety_word(server));
    put_unsupported(json, server);
    put_text(json, "events", server->store == NULL ? "durable" : "best-effort");
}

static void put_node(struct json_writer *json, const struct store_node *node)
{
    json_begin_object(json);
    put_text(json, "address", node->address);
    put_text(json, "standing", node->standing);
    json_key(json, "reachable");
    json_bool(json, node->is_reachable);
    json_key(json, "voting");
    json_bool(json, node->is_voting);
    put_text(json, "role", node->role);
    put_text(json, "version", node->version);
    put_text(json, "persistence", node->persistence);
    put_text(json, "eviction_policy", node->eviction_policy);
    put_text(json, "trouble", node->trouble);
    put_text(json, "advice", node->advice);
    json_key(json, "quarantine_ms");
    shape_ms(json, node->quarantine_ms);
    json_key(json, "clock_offset_ms");
    json_signed(json, node->clock_offset_ms);
    json_end_object(json);
}

/* What another store says of itself; when it does not answer, nothing. */
static void
put_store_info(struct json_writer *json, const struct server *server, const struct store_info *info)
{
    put_number(json, "waiters", server->metrics.relay_waiting);
    json_key(json, "up");
    json_bool(json, !server->is_store_down);
    json_key(json, "nodes");
    json_begin_array(json);
    for (uint32_t index = 0; info != NULL && index < info->node_count; index++) {
        put_node(json, &info->nodes[index]);
    }
    json_end_array(json);
}

static void tell_server(struct session *session, const struct query_answer *found)
{
    struct http *http = session->state;
    const struct server *server = session->server;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    put_text(&json, "server", "tenured");
    put_text(&json, "version", TENURE_VERSION);
    put_store(&json, server);
    put_text(&json, "node_id", server->node_id);
    put_number(&json, "seq", server->durable.value);
    put_number(&json, "first_seq", server_first_seq(server).value);
    put_number(
        &json, "uptime_ms", (uint64_t)((server->now.ns - server->started_at.ns) / NS_PER_MS));
    if (server->engine != NULL) {
        put_engine(&json, server);
    } else {
        put_store_info(&json, server, found->info);
    }
    put_number(&json, "connections", server->metrics.connections_open);
    put_number(&json, "followers", events_follower_count(server->events));
    put_limits(&json, server);
    json_end_object(&json);
    answer(http, 200);
}

void api_server(struct http *http, struct http_call *call)
{
    (void)call;
    struct query query = { .kind = QUERY_INFO, .tell = tell_server };
    server_ask(http_server(http), http->session, &query);
}

/* The process lives and its loop turns. */
void api_healthz(struct http *http, struct http_call *call)
{
    (void)call;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    put_text(&json, "status", "ok");
    json_end_object(&json);
    answer(http, 200);
}

/* It can grant. */
void api_readyz(struct http *http, struct http_call *call)
{
    (void)call;
    const struct server *server = http_server(http);
    const char *status = "ok";
    if (server->is_full) status = "no_space";
    if (server->is_disk_slow) status = "slow_disk";
    if (server->is_store_down) status = "store";
    if (server->is_draining) status = "draining";
    if (!server->is_ready) status = "starting";
    bool is_ok = strcmp(status, "ok") == 0;
    struct json_writer json;
    if (is_ok) {
        (void)http_begin(http, &json);
        json_begin_object(&json);
        put_text(&json, "status", status);
    } else {
        const char *detail = server->is_store_down ? server->store_text : NULL;
        http_problem_begin(http, &json, TENURE_UNAVAILABLE, 0, detail);
        put_text(&json, "reason", status);
    }
    json_end_object(&json);
    answer(http, is_ok ? 200 : 503);
}

void api_metrics(struct http *http, struct http_call *call)
{
    (void)call;
    struct json_writer json;
    metrics_write(http_server(http), http_begin(http, &json));
    struct http_answer answer = { .status = 200, .type = "text/plain; version=0.0.4" };
    http_end(http, &answer, (struct seq){ 0 });
}

void api_openapi(struct http *http, struct http_call *call)
{
    (void)call;
    struct json_writer json;
    struct bytes document = { openapi_json, openapi_json_size };
    buffer_append_bytes(http_begin(http, &json), document);
    answer(http, 200);
}

void api_root(struct http *http, struct http_call *call)
{
    (void)call;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    put_text(&json, "server", "tenured");
    put_text(&json, "version", TENURE_VERSION);
    put_text(&json, "openapi", "/v1/openapi.json");
    put_text(&json, "locks", "/v1/locks");
    put_text(&json, "queues", "/v1/queues");
    put_text(&json, "events", "/v1/events");
    json_end_object(&json);
    answer(http, 200);
}
