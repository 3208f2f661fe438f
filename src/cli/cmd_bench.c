/* bench - how fast is one's own store, through the library, as programs use it?
 *
 * Each client has a connection and a lock of its own, and takes and releases it again and again.
 * What is measured is the time of one acquire, and of one release.  They are counted in buckets of
 * which 32 make up a power of two: a percentile is exact to 3 %. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/meta.h"
#include "cli/out.h"

#define CLIENTS_MAX     256u
#define CLIENTS_DEFAULT 4u
#define TIME_MS_MAX     3600000u
#define TIME_MS_DEFAULT 3000u
#define BUCKET_BITS     5u
#define BUCKETS_OF_TWO  (1u << BUCKET_BITS)
#define BUCKET_COUNT    (64u * BUCKETS_OF_TWO)
#define NS_PER_S        UINT64_C(1000000000)
#define NS_PER_MS       UINT64_C(1000000)

enum { OPTION_TIME = 't', OPTION_CLIENTS = 'n' };

static const struct option_spec specs[] = {
    { OPTION_CLIENTS, "clients", "N", "at the same time, each with a lock of its own (4)" },
    { OPTION_TIME, "time", "TIME", "how long (3 s)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[-n N] [-t TIME] [--json]",
    NULL,
};

static const char *const examples[] = {
    "tenure bench -n 16 -t 10",
    "16 clients acquire and release for ten seconds; rate and latencies",
    NULL,
};

static const char notes[] =
    "It loads the store as much as it can: for one's own, at a quiet hour.  The\n"
    "locks are below tenure-bench/.\n";

struct histogram {
    uint64_t buckets[BUCKET_COUNT];
    uint64_t count;
    uint64_t most_ns;
};

/* One client; its thread's alone until that has ended. */
struct runner {
    pthread_t thread;
    struct tenure_client client;
    unsigned number;
    uint64_t until_ns;
    enum tenure_err err;
    struct tenure_error error;
    struct histogram acquires;
    struct histogram releases;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static unsigned bucket_of(uint64_t ns)
{
    if (ns < BUCKETS_OF_TWO) return (unsigned)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    unsigned shift = power - BUCKET_BITS;
    unsigned fraction = (unsigned)(ns >> shift) & (BUCKETS_OF_TWO - 1);
    return (shift + 1) * BUCKETS_OF_TWO + fraction;
}

/* The lower end of a bucket. */
static uint64_t bucket_ns(unsigned bucket)
{
    if (bucket < BUCKETS_OF_TWO) return bucket;
    unsigned shift = bucket / BUCKETS_OF_TWO - 1;
    return (uint64_t)(BUCKETS_OF_TWO + bucket % BUCKETS_OF_TWO) << shift;
}

static void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->buckets[bucket_of(ns)]++;
    histogram->count++;
    if (ns > histogram->most_ns) histogram->most_ns = ns;
}

static void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        histogram->buckets[i] += other->buckets[i];
    }
    histogram->count += other->count;
    if (other->most_ns > histogram->most_ns) histogram->most_ns = other->most_ns;
}

/* In microseconds. */
static uint64_t histogram_percentile(const struct histogram *histogram, unsigned per_mille)
{
    uint64_t rank = histogram->count * per_mille / 1000;
    uint64_t passed = 0;
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        passed += histogram->buckets[i];
        if (passed > rank) return bucket_ns(i) / 1000;
    }
    return histogram->most_ns / 1000;
}

static void *run_client(void *user)
{
    struct runner *runner = user;
    char owner[OWNER_SIZE];
    char name_text[OWNER_SIZE + 32];
    owner_compose(owner);
    (void)snprintf(name_text, sizeof(name_text), "tenure-bench/%.200s/%u", owner, runner->number);
    const char *name = name_text;
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
    };
    uint64_t begun_ns = now_ns();
    while (begun_ns < runner->until_ns && runner->err == TENURE_OK) {
        struct tenure_hold hold;
        runner->err = tenure_lock(runner->client, &options, &hold, NULL, &runner->error);
        if (runner->err != TENURE_OK) break;
        uint64_t granted_ns = now_ns();
        histogram_add(&runner->acquires, granted_ns - begun_ns);
        runner->err = tenure_hold_release(hold, NULL);
        begun_ns = now_ns();
        histogram_add(&runner->releases, begun_ns - granted_ns);
    }
    return NULL;
}

/* ------------------------------------------------------------------ the result */

struct result {
    unsigned client_count;
    uint64_t took_ns;
    struct histogram acquires;
    struct histogram releases;
};

static uint64_t cycles_per_s(const struct result *result)
{
    uint64_t took_ms = result->took_ns / NS_PER_MS;
    return took_ms == 0 ? 0 : result->releases.count * 1000 / took_ms;
}

static const unsigned per_milles[] = { 500, 900, 990, 999 };
#define PERCENTILE_COUNT (sizeof(per_milles) / sizeof(per_milles[0]))

static void
print_json_histogram(struct json *json, const char *name, const struct histogram *histogram)
{
    static const char *const names[] = { "p50", "p90", "p99", "p999" };
    json_key(json, name);
    json_open(json, '{');
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        json_number(json, names[i], histogram_percentile(histogram, per_milles[i]));
    }
    json_number(json, "max", histogram->most_ns / 1000);
    json_close(json, '}');
}

static void print_json(const struct result *result)
{
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_number(&json, "clients", result->client_count);
    json_number(&json, "took_ms", result->took_ns / NS_PER_MS);
    json_number(&json, "cycles", result->releases.count);
    json_number(&json, "cycles_per_s", cycles_per_s(result));
    print_json_histogram(&json, "acquire_us", &result->acquires);
    print_json_histogram(&json, "release_us", &result->releases);
    json_close(&json, '}');
    json_end();
}

static void add_row(struct table *table, const char *what, const struct histogram *histogram)
{
    table_add(table, what);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        table_addf(table, "%" PRIu64, histogram_percentile(histogram, per_milles[i]));
    }
    table_addf(table, "%" PRIu64, histogram->most_ns / 1000);
}

static void print_words(const struct result *result)
{
    static const struct table_column columns[] = {
        { .title = "microseconds" },           { .title = "p50", .is_right = true },
        { .title = "p90", .is_right = true },  { .title = "p99", .is_right = true },
        { .title = "p999", .is_right = true }, { .title = "max", .is_right = true },
    };
    (void)printf(
        "%u clients, %" PRIu64 " times acquire and release: %" PRIu64 " a second\n\n",
        result->client_count,
        result->releases.count,
        cycles_per_s(result));
    struct table table;
    table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
    add_row(&table, "acquire", &result->acquires);
    add_row(&table, "release", &result->releases);
    table_print(&table);
    table_deinit(&table);
}

/* ------------------------------------------------------------------ all together */

/* Start them and wait for their ends; the first one's error, if any has one. */
static int load(
    const struct arguments *arguments,
    struct runner *runners,
    uint32_t time_ms,
    struct result *result)
{
    int code = EX_OK;
    unsigned started = 0;
    for (unsigned i = 0; i < result->client_count && code == EX_OK; i++) {
        runners[i].number = i;
        (void)connect_open(arguments->command, &arguments->store, &runners[i].client, &code);
    }
    uint64_t begun_ns = now_ns();
    for (; started < result->client_count && code == EX_OK; started++) {
        struct runner *runner = &runners[started];
        runner->until_ns = begun_ns + time_ms * NS_PER_MS;
        if (pthread_create(&runner->thread, NULL, run_client, runner) == 0) continue;
        complain(arguments->command, "cannot start a thread");
        code = EX_OSERR;
        break;
    }
    for (unsigned i = 0; i < started; i++) {
        struct runner *runner = &runners[i];
        (void)pthread_join(runner->thread, NULL);
        histogram_merge(&result->acquires, &runner->acquires);
        histogram_merge(&result->releases, &runner->releases);
        if (runner->err != TENURE_OK && code == EX_OK) {
            code = connect_complain(arguments->command, runner->err, &runner->error);
        }
    }
    result->took_ns = now_ns() - begun_ns;
    for (unsigned i = 0; i < result->client_count; i++) {
        tenure_client_close(runners[i].client);
    }
    return code;
}

static int bench(const struct arguments *arguments, unsigned client_count, uint32_t time_ms)
{
    struct runner *runners = calloc(client_count, sizeof(*runners));
    struct result *result = calloc(1, sizeof(*result));
    int code = EX_SOFTWARE;
    if (runners == NULL || result == NULL) {
        complain(arguments->command, "not enough memory");
    } else {
        result->client_count = client_count;
        code = load(arguments, runners, time_ms, result);
    }
    if (code == EX_OK && arguments->is_json) print_json(result);
    if (code == EX_OK && !arguments->is_json) print_words(result);
    free(runners);
    free(result);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    uint64_t client_count = CLIENTS_DEFAULT;
    uint32_t time_ms = TIME_MS_DEFAULT;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        bool is_good = id == OPTION_TIME
                           ? options_duration(&arguments.options, 1, TIME_MS_MAX, &time_ms)
                           : options_number(&arguments.options, 1, CLIENTS_MAX, &client_count);
        if (!is_good) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 0, 0, "", &code)) return code;
    return bench(&arguments, (unsigned)client_count, time_ms);
}

const struct command command_bench = {
    .name = "bench",
    .summary = "load the store, and tell its speed",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
