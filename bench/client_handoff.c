/* Two clients: while one holds the lock for a random while, the other one waits for it. */
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/types.h"
#include "client.h"

#define NAME_SIZE 48u
#define WAIT_MS   60000u
#define SETTLE_US 2000u /* until a waiter is known to the store */

struct waiter {
    sem_t granted;
    struct tenure_hold hold;
    int64_t granted_ns;
};

struct handoff {
    const struct client_options *options;
    struct tenure_client from;
    struct tenure_client to;
    struct waiter waiter;
    char name[NAME_SIZE];
    uint64_t token;
};

static void on_granted(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    (void)obstacle;
    struct waiter *waiter = user;
    if (err != TENURE_OK) client_fail("not granted:", error);
    waiter->granted_ns = process_now_ns();
    waiter->hold = hold;
    (void)sem_post(&waiter->granted);
}

static struct tenure_lock_options wish(const char *const *name)
{
    return (struct tenure_lock_options){
        .size = sizeof(struct tenure_lock_options),
        .names = name,
        .name_count = 1,
        .ttl_ms = CLIENT_TTL_MS,
        .wait_ms = WAIT_MS,
    };
}

static void must_rise(struct handoff *handoff, struct tenure_hold hold)
{
    uint64_t token = tenure_hold_token(hold);
    if (token <= handoff->token) client_fail("the token did not rise", NULL);
    handoff->token = token;
}

static void pause_holding(const struct client_options *options)
{
    uint32_t span_us = (options->hold_ms_max - options->hold_ms_min) * 1000;
    // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-msc30-c): a random pause, one thread
    uint32_t more_us = span_us == 0 ? 0 : (uint32_t)(random() % span_us);
    (void)usleep(options->hold_ms_min * 1000 + more_us);
}

/* One hand-off; microseconds. */
static double hand_over(struct handoff *handoff)
{
    const char *name = handoff->name;
    struct tenure_lock_options options = wish(&name);
    struct tenure_error error = { .code = TENURE_OK };
    struct tenure_hold hold;
    struct waiter *waiter = &handoff->waiter;
    if (tenure_lock(handoff->from, &options, &hold, NULL, &error) != TENURE_OK) {
        client_fail("the holder was not granted:", &error);
    }
    must_rise(handoff, hold);
    if (tenure_lock_start(handoff->to, &options, on_granted, waiter, NULL, &error) != TENURE_OK) {
        client_fail("the waiter did not start:", &error);
    }
    (void)usleep(SETTLE_US);
    pause_holding(handoff->options);
    if (sem_trywait(&waiter->granted) == 0) client_fail("granted while held", NULL);
    int64_t begun_ns = process_now_ns();
    if (tenure_hold_release_start(hold, NULL, NULL) != TENURE_OK) {
        client_fail("the release did not start", NULL);
    }
    (void)sem_wait(&waiter->granted);
    must_rise(handoff, waiter->hold);
    if (tenure_hold_release(waiter->hold, NULL) != TENURE_OK) client_fail("not released", NULL);
    return (double)(waiter->granted_ns - begun_ns) / 1e3;
}

void client_play_handoff(const struct client_options *options)
{
    struct handoff handoff = { .options = options };
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    double *samples_us = calloc(options->round_count, sizeof(*samples_us));
    if (histogram == NULL || samples_us == NULL || sem_init(&handoff.waiter.granted, 0, 0) != 0) {
        client_fail("no memory", NULL);
    }
    (void)snprintf(handoff.name, NAME_SIZE, "bench/handoff/%d", (int)getpid());
    handoff.from = client_open(options);
    handoff.to = client_open(options);
    for (uint32_t i = 0; i < options->round_count; i++) {
        samples_us[i] = hand_over(&handoff);
        histogram_record(histogram, (uint64_t)(samples_us[i] * 1e3));
    }
    printf("{\"mode\":\"client\",\"rounds\":%" PRIu32 ",", options->round_count);
    client_print_quantiles("", histogram);
    printf(",\"samples_us\":[");
    for (uint32_t i = 0; i < options->round_count; i++) {
        printf("%s%.1f", i == 0 ? "" : ",", samples_us[i]);
    }
    printf("]}\n");
    tenure_client_close(handoff.from);
    tenure_client_close(handoff.to);
    (void)sem_destroy(&handoff.waiter.granted);
    free(samples_us);
    free(histogram);
}
