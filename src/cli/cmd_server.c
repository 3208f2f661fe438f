#include <inttypes.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/out.h"
#include "cli/text.h"

static const struct option_spec specs[] = {
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--json]",
    NULL,
};

static const char *const examples[] = {
    "tenure server",
    "what the store is, what it promises, how much it holds, how far it is",
    NULL,
};

/* What is known of each server; more is in `tenure doctor`. */
struct listing {
    struct json json;
    bool is_json;
};

static void on_node(const struct tenure_node *node, void *user)
{
    struct listing *listing = user;
    struct json *json = &listing->json;
    if (!listing->is_json) {
        const char *standing = node->is_reachable ? node->standing : "unreachable";
        char buffer[256];
        struct text text;
        text_init(&text, buffer, sizeof(buffer));
        text_add_visible(&text, node->address);
        (void)printf("%-12s%s, %s\n", "node", buffer, standing);
        return;
    }
    json_key(json, NULL);
    json_open(json, '{');
    json_string(json, "address", node->address);
    json_bool(json, "reachable", node->is_reachable);
    json_bool(json, "voting", node->is_voting);
    json_string(json, "standing", node->standing);
    json_close(json, '}');
}

static enum tenure_err print_nodes(struct tenure_client client, struct listing *listing)
{
    struct tenure_error error;
    return tenure_nodes(client, on_node, listing, &error);
}

static enum tenure_err
print_json(struct tenure_client client, const struct tenure_server_info *info)
{
    struct listing listing = { .is_json = true };
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "url", info->url);
    json_string(&json, "version", info->version);
    json_string(&json, "node_id", info->node_id);
    json_string(&json, "safety", tenure_safety_name(info->safety));
    json_number(&json, "uptime_us", info->uptime_us);
    json_number(&json, "hold_count", info->hold_count);
    json_number(&json, "waiter_count", info->waiter_count);
    json_number(&json, "connection_count", info->connection_count);
    json_number(&json, "connection_count_max", info->connection_count_max);
    json_number(&json, "journal_bytes", info->journal_bytes);
    json_number(&json, "disk_free_bytes", info->disk_free_bytes);
    json_bool(&json, "disk_full", info->is_disk_full);
    json_bool(&json, "disk_slow", info->is_disk_slow);
    json_number(&json, "stall_count", info->stall_count);
    json_number(&json, "stalled_ms", info->stalled_ms);
    json_number(&json, "damaged_file_count", info->damaged_file_count);
    json_number(&json, "round_trip_us", info->round_trip_us);
    json_key(&json, "nodes");
    json_open(&json, '[');
    enum tenure_err err = print_nodes(client, &listing);
    json_close(&json, ']');
    json_close(&json, '}');
    json_end();
    return err;
}

static enum tenure_err
print_words(struct tenure_client client, const struct tenure_server_info *info)
{
    struct listing listing = { .is_json = false };
    char span[OUT_SPAN_SIZE];
    (void)printf("%-12s%s\n", "url", info->url);
    (void)printf("%-12s%s\n", "version", info->version);
    if (info->node_count == 0) (void)printf("%-12s%s\n", "node", info->node_id);
    enum tenure_err err = print_nodes(client, &listing);
    const char *class = tenure_safety_name(info->safety);
    (void)printf("%-12s%s: %s\n", "safety", class, tenure_safety_text(info->safety));
    (void)printf("%-12s%s\n", "up for", out_span((int64_t)(info->uptime_us / 1000), span));
    (void)printf("%-12s%" PRIu64 "\n", "holds", info->hold_count);
    (void)printf("%-12s%" PRIu64 "\n", "waiters", info->waiter_count);
    (void)printf("%-12s%" PRIu64 " us\n", "round trip", info->round_trip_us);
    return err;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    arguments_init(&arguments, command, argc, argv);
    int id = arguments_next(&arguments);
    int code;
    if (!arguments_end(&arguments, id, 0, 0, "", &code)) return code;
    struct tenure_client client;
    if (!connect_open(command, &arguments.store, &client, &code)) return code;
    struct tenure_server_info info = { .version = "" };
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_server_info(client, &info, &error);
    if (err == TENURE_OK) {
        err = arguments.is_json ? print_json(client, &info) : print_words(client, &info);
        (void)snprintf(error.text, sizeof(error.text), "%s", tenure_err_text(err));
    }
    tenure_client_close(client);
    return err == TENURE_OK ? EX_OK : connect_complain(command, err, &error);
}

const struct command command_server = {
    .name = "server",
    .summary = "show the store: version, safety, counters",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .run = run,
};
