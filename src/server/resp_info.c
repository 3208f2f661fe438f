#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "server/resp.h"

/* INFO, in the form that clients of Redis read. */

#define INFO_SIZE_MAX 4096

static size_t add_server_section(const struct server *server, char *text, size_t room)
{
    int64_t uptime_us = (server->now.ns - server->started_at.ns) / 1000;
    /* Clients look at redis_version and redis_mode to learn which commands they may use, and at
     * loading to learn that the server is ready. */
    return (size_t)snprintf(
        text,
        room,
        "# Server\r\n"
        "tenured_version:" TENURE_VERSION "\r\n"
        "redis_version:7.0.0\r\n"
        "redis_mode:standalone\r\n"
        "run_id:%s\r\n"
        "process_id:%ld\r\n"
        "uptime_in_seconds:%" PRId64 "\r\n"
        "uptime_us:%" PRId64 "\r\n"
        "store:%s\r\n"
        "safety:%s\r\n"
        "\r\n"
        "# Replication\r\n"
        "role:master\r\n"
        "connected_slaves:0\r\n"
        "\r\n",
        server->node_id,
        (long)getpid(),
        uptime_us / 1000000,
        uptime_us,
        server->store == NULL ? "embedded" : server->store_url,
        server_safety_word(server));
}

/* Of a disk that does not answer nothing is asked: this is the thread of the loop. */
static uint64_t free_bytes(const struct server *server)
{
    struct statvfs disk;
    if (server->is_disk_slow || statvfs(server->config->data, &disk) != 0) return 0;
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

static size_t add_state_sections(const struct server *server, char *text, size_t room)
{
    struct engine_counters counters = engine_counters(server->engine);
    return (size_t)snprintf(
        text,
        room,
        "# Clients\r\n"
        "connected_clients:%u\r\n"
        "maxclients:%u\r\n"
        "blocked_clients:%" PRIu64 "\r\n"
        "\r\n"
        "# Persistence\r\n"
        "loading:0\r\n"
        "journal_seq:%" PRIu64 "\r\n"
        "journal_durable_seq:%" PRIu64 "\r\n"
        "journal_bytes:%" PRIu64 "\r\n"
        "disk_free_bytes:%" PRIu64 "\r\n"
        "disk_full:%d\r\n"
        "disk_slow:%d\r\n"
        "stalls:%" PRIu64 "\r\n"
        "stalled_ms:%" PRIu64 "\r\n"
        "damaged_files:%" PRIu64 "\r\n"
        "\r\n",
        server->session_count,
        server->config->connection_count_max,
        counters.waiter_count,
        engine_seq(server->engine).value,
        server->durable.value,
        server->metrics.journal_size,
        free_bytes(server),
        (int)server->is_full,
        (int)server->is_disk_slow,
        server->metrics.stall_count,
        server->metrics.stall_us / 1000,
        server->metrics.scrub_damage_count);
}

static size_t add_stats_section(const struct server *server, char *text, size_t room)
{
    struct engine_counters counters = engine_counters(server->engine);
    return (size_t)snprintf(
        text,
        room,
        "# Stats\r\n"
        "total_connections_received:%" PRIu64 "\r\n"
        "total_commands_processed:%" PRIu64 "\r\n"
        "locks:%" PRIu64 "\r\n"
        "holds:%" PRIu64 "\r\n"
        "waiters:%" PRIu64 "\r\n"
        "granted:%" PRIu64 "\r\n"
        "renewed:%" PRIu64 "\r\n"
        "released:%" PRIu64 "\r\n"
        "expired:%" PRIu64 "\r\n"
        "broken:%" PRIu64 "\r\n",
        server->metrics.connections_accepted,
        server->metrics.requests[METRICS_RESP] + server->metrics.requests[METRICS_HTTP],
        counters.lock_count,
        counters.hold_count,
        counters.waiter_count,
        counters.granted,
        counters.renewed,
        counters.released,
        counters.expired,
        counters.broken);
}

/* What the store behind a relay says of itself, in the words that are the engine's here. */
static size_t add_store_sections(
    const struct server *server, const struct store_info *info, char *text, size_t room)
{
    return (size_t)snprintf(
        text,
        room,
        "# Clients\r\n"
        "connected_clients:%u\r\n"
        "maxclients:%u\r\n"
        "blocked_clients:%" PRIu64 "\r\n"
        "\r\n"
        "# Persistence\r\n"
        "loading:0\r\n"
        "store_up:%d\r\n"
        "store_nodes:%u\r\n"
        "journal_bytes:%" PRIu64 "\r\n"
        "disk_free_bytes:%" PRIu64 "\r\n"
        "disk_full:%d\r\n"
        "disk_slow:%d\r\n"
        "stalls:%" PRIu64 "\r\n"
        "stalled_ms:%" PRIu64 "\r\n"
        "damaged_files:%" PRIu64 "\r\n"
        "\r\n"
        "# Stats\r\n"
        "total_connections_received:%" PRIu64 "\r\n"
        "total_commands_processed:%" PRIu64 "\r\n"
        "holds:%" PRIu64 "\r\n"
        "waiters:%" PRIu64 "\r\n",
        server->session_count,
        server->config->connection_count_max,
        server->metrics.relay_waiting,
        (int)!server->is_store_down,
        info->node_count,
        info->journal_bytes,
        info->disk_free_bytes,
        (int)info->is_disk_full,
        (int)info->is_disk_slow,
        info->stall_count,
        info->stalled_ms,
        info->damaged_file_count,
        server->metrics.connections_accepted,
        server->metrics.requests[METRICS_RESP] + server->metrics.requests[METRICS_HTTP],
        info->hold_count,
        info->waiter_count);
}

/* Lines end where they must, whatever somebody else says. */
static void put_line(struct buffer *out, uint32_t index, const char *key, const char *text)
{
    char name[32];
    int size = snprintf(name, sizeof(name), "node%u_%s:", index, key);
    buffer_append(out, name, (size_t)size);
    for (const char *at = text == NULL ? "" : text; *at != '\0'; at++) {
        buffer_append_byte(out, *at == '\r' || *at == '\n' ? ' ' : *at);
    }
    buffer_append_bytes(out, BYTES_LITERAL("\r\n"));
}

static void put_number_line(struct buffer *out, uint32_t index, const char *key, int64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%" PRId64, number);
    put_line(out, index, key, digits);
}

/* The servers that a store consists of. */
static void put_nodes(struct buffer *out, const struct store_info *info)
{
    if (info->node_count == 0) return;
    buffer_append_bytes(out, BYTES_LITERAL("\r\n# Nodes\r\n"));
    for (uint32_t index = 0; index < info->node_count; index++) {
        const struct store_node *node = &info->nodes[index];
        put_line(out, index, "address", node->address);
        put_line(out, index, "standing", node->standing);
        put_line(out, index, "role", node->role);
        put_line(out, index, "version", node->version);
        put_line(out, index, "persistence", node->persistence);
        put_line(out, index, "eviction_policy", node->eviction_policy);
        put_line(out, index, "trouble", node->trouble);
        put_line(out, index, "advice", node->advice);
        put_number_line(out, index, "quarantine_ms", node->quarantine_ms);
        put_number_line(out, index, "clock_offset_ms", node->clock_offset_ms);
        put_number_line(out, index, "reachable", node->is_reachable ? 1 : 0);
        put_number_line(out, index, "voting", node->is_voting ? 1 : 0);
    }
}

static void tell_info(struct session *session, const struct query_answer *answer)
{
    static const struct store_info nothing;
    struct resp *resp = resp_speak(session);
    const struct server *server = resp->server;
    char text[INFO_SIZE_MAX];
    struct buffer whole;
    buffer_init(&whole, &memory_heap);
    size_t size = add_server_section(server, text, sizeof(text));
    if (server->engine != NULL) {
        size += add_state_sections(server, text + size, sizeof(text) - size);
        size += add_stats_section(server, text + size, sizeof(text) - size);
    } else {
        /* A store that does not answer is no reason to be silent. */
        const struct store_info *info = answer->info != NULL ? answer->info : &nothing;
        size += add_store_sections(server, info, text + size, sizeof(text) - size);
    }
    ASSERT(size < sizeof(text));
    buffer_append(&whole, text, size);
    if (answer->info != NULL) put_nodes(&whole, answer->info);
    if (whole.is_failed) {
        resp_refuse(resp, TENURE_NO_MEMORY, tenure_err_text(TENURE_NO_MEMORY));
    } else {
        resp_write_bulk(&resp->out, buffer_bytes(&whole));
        resp_end_now(resp);
    }
    buffer_deinit(&whole);
}

void resp_run_info(struct resp *resp, const struct resp_command *command)
{
    (void)command; /* sections are few: all of them, whichever was asked for */
    struct query query = { .kind = QUERY_INFO, .tell = tell_info };
    server_ask(resp->server, resp->session, &query);
}
