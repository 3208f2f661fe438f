/* bench-load - one load generator for every lock server, so that what differs is the server.
 *
 * Prints one line of JSON.  Exits 0 only when every answer was the right one. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "drive.h"
#include "mode_item.h"
#include "process.h"

struct load_options {
    struct drive_options drive;
    struct link_address address;
    const char *path;
    uint64_t name_count;
    uint64_t ttl_ms;
    uint64_t group_count;
    uint64_t delay_ms;
    uint64_t cpu;
    bool is_pinned;
};

static const char usage[] =
    "usage: bench-load --mode MODE (--tcp HOST:PORT | --unix PATH) [option ...]\n"
    "  --connections N   connections (1)\n"
    "  --outstanding W   requests under way on each of them (1)\n"
    "  --lockstep        send a connection's whole window when all of it was answered\n"
    "  --seconds S       how long to measure (3)\n"
    "  --warmup-ms MS    how long to run before that (300)\n"
    "  --names N         lock names (one for each request under way; for renew, a hundred)\n"
    "  --ttl-ms MS       (15000)\n"
    "  --groups N        queue-fill: groups of the items (none)\n"
    "  --delay-ms MS     queue-fill: delay of the items (0)\n"
    "  --path PATH       what get-http fetches (/)\n"
    "  --server-pid PID  also measure that process' processor time\n"
    "  --cpu N           run on this processor only\n"
    "modes:\n";

__attribute__((noreturn)) static void fail_usage(const char *what)
{
    (void)fprintf(stderr, "bench-load: %s\n%s", what, usage);
    for (size_t i = 0; mode_at(i) != NULL; i++) {
        (void)fprintf(stderr, "  %-16s  %s\n", mode_at(i)->name, mode_at(i)->summary);
    }
    exit(EX_USAGE); // NOLINT(concurrency-mt-unsafe): one thread
}

static uint64_t parse_count(const char *text, uint64_t low, uint64_t high)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < low || value > high) {
        fail_usage("a number is malformed or out of range");
    }
    return value;
}

static uint32_t parse_ms(const char *seconds)
{
    char *end = NULL;
    double value = strtod(seconds, &end);
    if (end == seconds || *end != '\0' || !(value > 0 && value <= 86400)) {
        fail_usage("--seconds is malformed or out of range");
    }
    return (uint32_t)(value * 1000);
}

static void take_option(struct load_options *options, int option)
{
    struct drive_options *drive = &options->drive;
    switch (option) {
    case 'm':
        drive->mode = mode_find(optarg);
        if (drive->mode == NULL) fail_usage("no such mode");
        break;
    case 't':
        if (!link_address_from_tcp(optarg, &options->address)) fail_usage("--tcp is malformed");
        break;
    case 'u':
        if (!link_address_from_unix(optarg, &options->address)) fail_usage("--unix is too long");
        break;
    case 'c': drive->connection_count = (uint32_t)parse_count(optarg, 1, 50000); break;
    case 'o': drive->outstanding = (uint32_t)parse_count(optarg, 1, 10000); break;
    case 'l': drive->is_lockstep = true; break;
    case 's': drive->run_ms = parse_ms(optarg); break;
    case 'w': drive->warmup_ms = (uint32_t)parse_count(optarg, 0, 600000); break;
    case 'n': options->name_count = parse_count(optarg, 1, MODE_NAME_COUNT_MAX); break;
    case 'T': options->ttl_ms = parse_count(optarg, 100, 86400000); break;
    case 'g': options->group_count = parse_count(optarg, 1, MODE_NAME_COUNT_MAX); break;
    case 'd': options->delay_ms = parse_count(optarg, 0, 86400000); break;
    case 'p': options->path = optarg; break;
    case 'P': drive->server_pid = (int)parse_count(optarg, 1, INT32_MAX); break;
    case 'C':
        options->cpu = parse_count(optarg, 0, 1023);
        options->is_pinned = true;
        break;
    default: fail_usage("see above");
    }
}

static void parse_options(int argc, char **argv, struct load_options *options)
{
    static const struct option known[] = {
        { "mode", required_argument, NULL, 'm' },
        { "tcp", required_argument, NULL, 't' },
        { "unix", required_argument, NULL, 'u' },
        { "connections", required_argument, NULL, 'c' },
        { "outstanding", required_argument, NULL, 'o' },
        { "lockstep", no_argument, NULL, 'l' },
        { "seconds", required_argument, NULL, 's' },
        { "warmup-ms", required_argument, NULL, 'w' },
        { "names", required_argument, NULL, 'n' },
        { "ttl-ms", required_argument, NULL, 'T' },
        { "groups", required_argument, NULL, 'g' },
        { "delay-ms", required_argument, NULL, 'd' },
        { "path", required_argument, NULL, 'p' },
        { "server-pid", required_argument, NULL, 'P' },
        { "cpu", required_argument, NULL, 'C' },
        { NULL, 0, NULL, 0 },
    };
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        take_option(options, option);
    }
    if (optind != argc) fail_usage("an argument is not an option");
    if (options->drive.mode == NULL) fail_usage("--mode is missing");
    if (options->address.size == 0) fail_usage("--tcp or --unix is missing");
}

static double per_second(uint64_t count, int64_t elapsed_ns)
{
    return elapsed_ns > 0 ? (double)count * 1e9 / (double)elapsed_ns : 0;
}

static double per_cycle_us(int64_t cost_ns, uint64_t count)
{
    return count > 0 && cost_ns >= 0 ? (double)cost_ns / 1e3 / (double)count : -1;
}

static void print_text(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') (void)putchar('\\');
        (void)putchar(*text);
    }
    (void)putchar('"');
}

static void print_result(const struct load_options *options, const struct drive_result *result)
{
    const struct drive_options *drive = &options->drive;
    const struct histogram *latency = &result->latency;
    printf(
        "{\"mode\":\"%s\",\"connections\":%u,\"outstanding\":%u,\"seconds\":%.3f,"
        "\"cycles\":%" PRIu64 ",\"cycles_per_s\":%.1f,\"units_per_s\":%.1f,",
        drive->mode->name,
        drive->connection_count,
        drive->outstanding,
        (double)result->elapsed_ns / 1e9,
        result->cycle_count,
        per_second(result->cycle_count, result->elapsed_ns),
        per_second(result->cycle_count * drive->mode->units, result->elapsed_ns));
    printf(
        "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,",
        (double)histogram_quantile_ns(latency, 0.50) / 1e3,
        (double)histogram_quantile_ns(latency, 0.90) / 1e3,
        (double)histogram_quantile_ns(latency, 0.99) / 1e3,
        (double)latency->value_max_ns / 1e3);
    printf(
        "\"client_cpu_us\":%.3f,\"server_cpu_us\":%.3f,\"errors\":%" PRIu64 ",\"first_error\":",
        per_cycle_us(result->client_cpu_ns, result->cycle_count),
        per_cycle_us(result->server_cpu_ns, result->cycle_count),
        result->error_count);
    print_text(result->first_error);
    printf("}\n");
}

int main(int argc, char **argv)
{
    struct load_options options = {
        .drive = { .connection_count = 1, .outstanding = 1, .warmup_ms = 300, .run_ms = 3000 },
        .path = "/",
        .ttl_ms = 15000,
    };
    parse_options(argc, argv, &options);
    uint64_t slot_count = (uint64_t)options.drive.connection_count * options.drive.outstanding;
    if (slot_count > MODE_SLOT_COUNT_MAX) fail_usage("more than 99999 requests under way");
    if (options.name_count == 0) options.name_count = slot_count * options.drive.mode->units;
    if (options.name_count < slot_count) fail_usage("fewer names than requests under way");
    if (options.is_pinned && !process_pin((int)options.cpu)) fail_usage("no such processor");

    struct mode_run run = {
        .address = &options.address,
        .path = options.path,
        .name_count = options.name_count,
        .ttl_ms = options.ttl_ms,
        .group_count = options.group_count,
        .delay_ms = options.delay_ms,
        .slot_count = (uint32_t)slot_count,
        .run_id = (uint32_t)getpid(),
    };
    if (options.drive.mode->needs_preparing) {
        run.tokens = calloc(options.name_count, sizeof(uint64_t));
        ASSERT(run.tokens != NULL);
    }
    mode_items_init(&run, options.drive.mode->is_put_else);
    if (options.drive.mode->prepare != NULL && !options.drive.mode->prepare(&run)) {
        (void)fprintf(stderr, "bench-load: the server refused to be prepared for the load\n");
        return EX_UNAVAILABLE;
    }
    static struct drive_result result;
    drive_run(&options.drive, &run, &result);
    free(run.tokens);
    mode_items_deinit(&run);
    print_result(&options, &result);
    return result.error_count == 0 && result.cycle_count > 0 ? EX_OK : EX_SOFTWARE;
}
