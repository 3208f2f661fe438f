/* Each caller acquires and releases its lock, over and over: a closed loop with COUNT operations
 * under way on one client. */
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/types.h"
#include "client.h"

#define NAME_SIZE 32u

enum phase { PHASE_WARMING, PHASE_MEASURING, PHASE_STOPPING };

struct caller {
    struct cycles *cycles;
    char name[NAME_SIZE];
    uint64_t token; /* of the last hold: the next one must be above it */
    int64_t begun_ns;
    int64_t granted_ns;
};

struct cycles {
    struct tenure_client client;
    _Atomic int phase;
    sem_t stopped; /* once for each caller */
    /* The client's thread's, until all have stopped. */
    struct histogram acquires;
    struct histogram whole;
};

static void begin(struct caller *caller);

static void on_released(enum tenure_err err, const struct tenure_release *release, void *user)
{
    struct caller *caller = user;
    struct cycles *cycles = caller->cycles;
    if (err != TENURE_OK || release->end != TENURE_END_RELEASED) {
        client_fail("not released:", NULL);
    }
    int64_t now_ns = process_now_ns();
    int phase = atomic_load_explicit(&cycles->phase, memory_order_relaxed);
    if (phase == PHASE_MEASURING) {
        histogram_record(&cycles->acquires, (uint64_t)(caller->granted_ns - caller->begun_ns));
        histogram_record(&cycles->whole, (uint64_t)(now_ns - caller->begun_ns));
    }
    if (phase == PHASE_STOPPING) {
        (void)sem_post(&cycles->stopped);
    } else {
        begin(caller);
    }
}

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    (void)obstacle;
    struct caller *caller = user;
    if (err != TENURE_OK) client_fail("not granted:", error);
    caller->granted_ns = process_now_ns();
    uint64_t token = tenure_hold_token(hold);
    if (token <= caller->token) client_fail("the token did not rise", NULL);
    caller->token = token;
    if (tenure_hold_release_start(hold, on_released, caller) != TENURE_OK) {
        client_fail("the release did not start", NULL);
    }
}

static void begin(struct caller *caller)
{
    const char *name = caller->name;
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
        .ttl_ms = CLIENT_TTL_MS,
    };
    struct tenure_error error = { .code = TENURE_OK };
    caller->begun_ns = process_now_ns();
    if (tenure_lock_start(caller->cycles->client, &options, on_acquired, caller, NULL, &error) !=
        TENURE_OK)
    {
        client_fail("the acquire did not start:", &error);
    }
}

static void begin_all(struct cycles *cycles, struct caller *callers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        callers[i] = (struct caller){ .cycles = cycles };
        (void)snprintf(callers[i].name, NAME_SIZE, "bench/lock/%09" PRIu32, i);
        begin(&callers[i]);
    }
}

static void print(
    const struct client_options *options,
    const struct cycles *cycles,
    int64_t elapsed_ns,
    int64_t client_ns,
    int64_t servers_ns)
{
    double count = (double)cycles->whole.count;
    printf(
        "{\"mode\":\"client\",\"concurrency\":%" PRIu32 ",\"cycles\":%" PRIu64
        ",\"cycles_per_s\":%.1f,",
        options->count,
        cycles->whole.count,
        count * 1e9 / (double)elapsed_ns);
    client_print_quantiles("", &cycles->whole);
    printf(",");
    client_print_quantiles("acquire_", &cycles->acquires);
    printf(
        ",\"client_cpu_us\":%.3f,\"server_cpu_us\":%.3f}\n",
        (double)client_ns / 1e3 / count,
        servers_ns < 0 ? -1 : (double)servers_ns / 1e3 / count);
}

void client_play_cycles(const struct client_options *options)
{
    struct cycles *cycles = calloc(1, sizeof(*cycles));
    struct caller *callers = calloc(options->count, sizeof(*callers));
    if (cycles == NULL || callers == NULL || sem_init(&cycles->stopped, 0, 0) != 0) {
        client_fail("no memory", NULL);
    }
    cycles->client = client_open(options);
    begin_all(cycles, callers, options->count);
    (void)usleep(options->warmup_ms * 1000);

    int64_t servers_ns = client_servers_cpu_ns(options);
    int64_t client_ns = process_cpu_ns(0);
    int64_t begun_ns = process_now_ns();
    atomic_store(&cycles->phase, PHASE_MEASURING);
    (void)usleep(options->run_ms * 1000);
    atomic_store(&cycles->phase, PHASE_STOPPING);
    int64_t elapsed_ns = process_now_ns() - begun_ns;
    client_ns = process_cpu_ns(0) - client_ns;
    if (servers_ns >= 0) servers_ns = client_servers_cpu_ns(options) - servers_ns;

    for (uint32_t i = 0; i < options->count; i++) {
        (void)sem_wait(&cycles->stopped);
    }
    if (cycles->whole.count == 0) client_fail("no cycle was completed", NULL);
    print(options, cycles, elapsed_ns, client_ns, servers_ns);
    tenure_client_close(cycles->client);
    (void)sem_destroy(&cycles->stopped);
    free(callers);
    free(cycles);
}
