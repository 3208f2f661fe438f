#include <inttypes.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/out.h"

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

static void print_json(const struct tenure_server_info *info)
{
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
    json_close(&json, '}');
    json_end();
}

static void print_words(const struct tenure_server_info *info)
{
    char span[OUT_SPAN_SIZE];
    (void)printf("%-12s%s\n", "url", info->url);
    (void)printf("%-12s%s\n", "version", info->version);
    (void)printf("%-12s%s\n", "node", info->node_id);
    (void)printf("%-12s%s\n", "safety", tenure_safety_name(info->safety));
    (void)printf("%-12s%s\n", "up for", out_span((int64_t)(info->uptime_us / 1000), span));
    (void)printf("%-12s%" PRIu64 "\n", "holds", info->hold_count);
    (void)printf("%-12s%" PRIu64 "\n", "waiters", info->waiter_count);
    (void)printf("%-12s%" PRIu64 " us\n", "round trip", info->round_trip_us);
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
    tenure_client_close(client);
    if (err != TENURE_OK) return connect_complain(command, err, &error);
    if (arguments.is_json) {
        print_json(&info);
    } else {
        print_words(&info);
    }
    return EX_OK;
}

const struct command command_server = {
    .name = "server",
    .summary = "show the store: version, safety, counters",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .run = run,
};
