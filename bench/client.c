/* bench-client - libtenure under load, against any store that it knows.
 *
 * Prints one line of JSON.  Exits 0 only when every answer was the right one. */
#include "client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/types.h"

typedef void (*play_fn)(const struct client_options *options);

static const struct {
    const char *name;
    play_fn play;
} plays[] = {
    { "cycles", client_play_cycles },
    { "handoff", client_play_handoff },
    { "crowd", client_play_crowd },
};

static const char usage[] =
    "usage: bench-client --play cycles|handoff|crowd --url URL [option ...]\n"
    "  --count N          callers of cycles, contenders of crowd (1)\n"
    "  --seconds S        how long to measure (3)\n"
    "  --warmup-ms MS     how long to run before that (300)\n"
    "  --rounds N         hand-offs (200)\n"
    "  --hold-ms-min MS   how long the lock is held in a hand-off (150)\n"
    "  --hold-ms-max MS   (650)\n"
    "  --monitor HOST:PORT  crowd: listen to this Redis node, and count the rounds to each grant\n"
    "  --server-pid PID,...  also measure the processor time of these processes\n";

void client_fail(const char *what, const struct tenure_error *error)
{
    const char *text = error == NULL ? "" : error->text;
    (void)fprintf(stderr, "bench-client: %s %s\n", what, text);
    _Exit(EX_SOFTWARE);
}

struct tenure_client client_open(const struct client_options *options)
{
    struct tenure_client_options settings = { .size = sizeof(settings), .url = options->url };
    struct tenure_client client;
    struct tenure_error error = { .code = TENURE_OK };
    if (tenure_client_open(&settings, &client, &error) != TENURE_OK) {
        client_fail("cannot open the store:", &error);
    }
    const char *name = "bench/open";
    struct tenure_lock_options wanted = {
        .size = sizeof(wanted),
        .names = &name,
        .name_count = 1,
        .wait_ms = 10000,
    };
    struct tenure_hold hold;
    if (tenure_lock(client, &wanted, &hold, NULL, &error) != TENURE_OK ||
        tenure_hold_release(hold, NULL) != TENURE_OK)
    {
        client_fail("the store does not answer:", &error);
    }
    return client;
}

int64_t client_servers_cpu_ns(const struct client_options *options)
{
    int64_t sum_ns = 0;
    for (uint32_t i = 0; i < options->pid_count; i++) {
        int64_t one_ns = process_cpu_ns(options->pids[i]);
        if (one_ns < 0) return -1;
        sum_ns += one_ns;
    }
    return options->pid_count == 0 ? -1 : sum_ns;
}

void client_print_quantiles(const char *prefix, const struct histogram *histogram)
{
    printf(
        "\"%sp50_us\":%.1f,\"%sp90_us\":%.1f,\"%sp99_us\":%.1f,\"%smax_us\":%.1f",
        prefix,
        (double)histogram_quantile_ns(histogram, 0.50) / 1e3,
        prefix,
        (double)histogram_quantile_ns(histogram, 0.90) / 1e3,
        prefix,
        (double)histogram_quantile_ns(histogram, 0.99) / 1e3,
        prefix,
        (double)histogram->value_max_ns / 1e3);
}

__attribute__((noreturn)) static void fail_usage(void)
{
    (void)fputs(usage, stderr);
    exit(EX_USAGE); // NOLINT(concurrency-mt-unsafe): one thread
}

/* The number at the front of `text`; what follows it is left in `out_rest`. */
static uint32_t parse_front(const char *text, uint32_t low, uint32_t high, const char **out_rest)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *text == '-' || value < low || value > high) fail_usage();
    *out_rest = end;
    return (uint32_t)value;
}

static uint32_t parse_count(const char *text, uint32_t low, uint32_t high)
{
    const char *rest = NULL;
    uint32_t value = parse_front(text, low, high, &rest);
    if (*rest != '\0') fail_usage();
    return value;
}

static uint32_t parse_seconds(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0 && value <= 86400)) fail_usage();
    return (uint32_t)(value * 1000);
}

static void parse_pids(const char *text, struct client_options *options)
{
    for (;;) {
        if (options->pid_count == CLIENT_PID_COUNT_MAX) fail_usage();
        const char *rest = NULL;
        options->pids[options->pid_count++] = (pid_t)parse_front(text, 1, INT32_MAX, &rest);
        if (*rest == '\0') return;
        if (*rest != ',') fail_usage();
        text = rest + 1;
    }
}

static play_fn find_play(const char *name)
{
    for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
        if (strcmp(plays[i].name, name) == 0) return plays[i].play;
    }
    fail_usage();
}

static void take_option(int option, struct client_options *options, play_fn *play)
{
    switch (option) {
    case 'p': *play = find_play(optarg); break;
    case 'u': options->url = optarg; break;
    case 'c': options->count = parse_count(optarg, 1, 10000); break;
    case 's': options->run_ms = parse_seconds(optarg); break;
    case 'w': options->warmup_ms = parse_count(optarg, 0, 600000); break;
    case 'r': options->round_count = parse_count(optarg, 1, 1000000); break;
    case 'l': options->hold_ms_min = parse_count(optarg, 0, 60000); break;
    case 'h': options->hold_ms_max = parse_count(optarg, 0, 60000); break;
    case 'm': options->monitor = optarg; break;
    case 'P': parse_pids(optarg, options); break;
    default: fail_usage();
    }
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "play", required_argument, NULL, 'p' },
        { "url", required_argument, NULL, 'u' },
        { "count", required_argument, NULL, 'c' },
        { "seconds", required_argument, NULL, 's' },
        { "warmup-ms", required_argument, NULL, 'w' },
        { "rounds", required_argument, NULL, 'r' },
        { "hold-ms-min", required_argument, NULL, 'l' },
        { "hold-ms-max", required_argument, NULL, 'h' },
        { "monitor", required_argument, NULL, 'm' },
        { "server-pid", required_argument, NULL, 'P' },
        { NULL, 0, NULL, 0 },
    };
    struct client_options options = {
        .count = 1,
        .run_ms = 3000,
        .warmup_ms = 300,
        .round_count = 200,
        .hold_ms_min = 150,
        .hold_ms_max = 650,
    };
    play_fn play = NULL;
    int option;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        take_option(option, &options, &play);
    }
    if (optind != argc || play == NULL || options.url == NULL ||
        options.hold_ms_max < options.hold_ms_min)
    {
        fail_usage();
    }
    play(&options);
    return EX_OK;
}
