/* Many clients that all want the same lock, each with a thread and connections of its own, as if
 * they were processes.  Each gives it back at once and asks again. */
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/types.h"
#include "client.h"
#include "rounds.h"

#define NAME_SIZE 48u

enum phase { PHASE_WARMING, PHASE_MEASURING, PHASE_STOPPING };

struct contender {
    struct crowd *crowd;
    struct tenure_client client;
    int64_t begun_ns;
    uint64_t grant_count; /* its thread's, until it has stopped; so are the waits */
    struct histogram waits;
};

struct crowd {
    char name[NAME_SIZE];
    _Atomic int phase;
    _Atomic int holder_count;
    _Atomic uint64_t token; /* of the last grant */
    sem_t stopped;          /* once for each contender */
};

static void begin(struct contender *contender);

static void on_released(enum tenure_err err, const struct tenure_release *release, void *user)
{
    struct contender *contender = user;
    if (err != TENURE_OK || release->end != TENURE_END_RELEASED) {
        client_fail("not released:", NULL);
    }
    if (atomic_load(&contender->crowd->phase) == PHASE_STOPPING) {
        (void)sem_post(&contender->crowd->stopped);
    } else {
        begin(contender);
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
    struct contender *contender = user;
    struct crowd *crowd = contender->crowd;
    if (err != TENURE_OK) client_fail("not granted:", error);
    int64_t now_ns = process_now_ns();
    /* Two holders at once would be the end of the lock, not of the measurement. */
    if (atomic_fetch_add(&crowd->holder_count, 1) != 0) client_fail("granted while held", NULL);
    uint64_t token = tenure_hold_token(hold);
    if (atomic_exchange(&crowd->token, token) >= token) client_fail("the token did not rise", NULL);
    if (atomic_load(&crowd->phase) == PHASE_MEASURING) {
        contender->grant_count++;
        histogram_record(&contender->waits, (uint64_t)(now_ns - contender->begun_ns));
    }
    (void)atomic_fetch_sub(&crowd->holder_count, 1);
    if (tenure_hold_release_start(hold, on_released, contender) != TENURE_OK) {
        client_fail("the release did not start", NULL);
    }
}

static void begin(struct contender *contender)
{
    const char *name = contender->crowd->name;
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
        .ttl_ms = CLIENT_TTL_MS,
        .wait_ms = TENURE_WAIT_FOREVER,
    };
    struct tenure_error error = { .code = TENURE_OK };
    contender->begun_ns = process_now_ns();
    if (tenure_lock_start(contender->client, &options, on_acquired, contender, NULL, &error) !=
        TENURE_OK)
    {
        client_fail("the acquire did not start:", &error);
    }
}

static void add_histogram(struct histogram *sum, const struct histogram *part)
{
    sum->count += part->count;
    if (part->value_max_ns > sum->value_max_ns) sum->value_max_ns = part->value_max_ns;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum->buckets[i] += part->buckets[i];
    }
}

static void print(
    const struct client_options *options,
    const struct contender *contenders,
    int64_t elapsed_ns,
    const struct rounds *rounds)
{
    static struct histogram waits;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < options->count; i++) {
        add_histogram(&waits, &contenders[i].waits);
        if (contenders[i].grant_count < least) least = contenders[i].grant_count;
    }
    if (waits.count == 0) client_fail("nobody was granted", NULL);
    printf(
        "{\"mode\":\"client\",\"contenders\":%" PRIu32 ",\"grants\":%" PRIu64
        ",\"grants_per_s\":%.1f,\"least_share\":%.3f,",
        options->count,
        waits.count,
        (double)waits.count * 1e9 / (double)elapsed_ns,
        (double)least * options->count / (double)waits.count);
    client_print_quantiles("", &waits);
    if (rounds != NULL) {
        printf(
            ",\"rounds_seen\":%" PRIu64 ",\"rounds_p50\":%u,\"rounds_p99\":%u,\"rounds_max\":%u",
            rounds_count(rounds),
            rounds_quantile(rounds, 0.5),
            rounds_quantile(rounds, 0.99),
            rounds_quantile(rounds, 1));
    }
    printf("}\n");
}

/* The time that was measured. */
static int64_t measure(const struct client_options *options, struct crowd *crowd)
{
    (void)usleep(options->warmup_ms * 1000);
    int64_t begun_ns = process_now_ns();
    atomic_store(&crowd->phase, PHASE_MEASURING);
    for (uint32_t slept_ms = 0; slept_ms < options->run_ms; slept_ms += 100) {
        uint32_t left_ms = options->run_ms - slept_ms;
        (void)usleep((left_ms < 100 ? left_ms : 100) * 1000);
    }
    atomic_store(&crowd->phase, PHASE_STOPPING);
    int64_t elapsed_ns = process_now_ns() - begun_ns;
    for (uint32_t i = 0; i < options->count; i++) {
        (void)sem_wait(&crowd->stopped);
    }
    return elapsed_ns;
}

void client_play_crowd(const struct client_options *options)
{
    struct crowd crowd = { .phase = PHASE_WARMING };
    struct contender *contenders = calloc(options->count, sizeof(*contenders));
    struct rounds *rounds = NULL;
    if (contenders == NULL || sem_init(&crowd.stopped, 0, 0) != 0) client_fail("no memory", NULL);
    (void)snprintf(crowd.name, NAME_SIZE, "bench/crowd/%d", (int)getpid());
    for (uint32_t i = 0; i < options->count; i++) {
        contenders[i].crowd = &crowd;
        contenders[i].client = client_open(options);
    }
    if (options->monitor != NULL) {
        rounds = rounds_listen(options->monitor, crowd.name);
        if (rounds == NULL) client_fail("cannot listen to", NULL);
    }
    for (uint32_t i = 0; i < options->count; i++) {
        begin(&contenders[i]);
    }
    int64_t elapsed_ns = measure(options, &crowd);
    if (rounds != NULL && !rounds_end(rounds)) client_fail("the node stopped telling", NULL);
    print(options, contenders, elapsed_ns, rounds);
    for (uint32_t i = 0; i < options->count; i++) {
        tenure_client_close(contenders[i].client);
    }
    rounds_destroy(&rounds);
    (void)sem_destroy(&crowd.stopped);
    free(contenders);
}
