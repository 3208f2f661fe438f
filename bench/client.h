/* client - what libtenure does for many callers at once, measured from inside one process.
 *
 * Three plays on any store, each in a file of its own; bench-client (client.c) chooses one, and
 * prints what came of it as one line of JSON.  All of them go through the public functions, in
 * their asynchronous form: every callback runs on the thread of its client. */
#ifndef TENURE_BENCH_CLIENT_H
#define TENURE_BENCH_CLIENT_H

#include <tenure/lock.h>

#include "histogram.h"
#include "process.h"

#define CLIENT_PID_COUNT_MAX 16u
#define CLIENT_TTL_MS        15000u

struct client_options {
    const char *url;
    uint32_t count; /* callers, or contenders */
    uint32_t run_ms;
    uint32_t warmup_ms;
    uint32_t round_count; /* of hand-offs */
    uint32_t hold_ms_min;
    uint32_t hold_ms_max;
    const char *monitor; /* HOST:PORT of a Redis node that is listened to; NULL for none */
    pid_t pids[CLIENT_PID_COUNT_MAX]; /* servers whose processor time is counted */
    uint32_t pid_count;
};

/* Whatever goes wrong ends the program: a wrong answer must not become a figure. */
__attribute__((noreturn)) void client_fail(const char *what, const struct tenure_error *error);
/* A client whose store has answered once. */
struct tenure_client client_open(const struct client_options *options);
/* Of all servers; -1 when one of them is gone or there are none. */
int64_t client_servers_cpu_ns(const struct client_options *options);
/* "p50_us":…, of a histogram; with `prefix` before each name. */
void client_print_quantiles(const char *prefix, const struct histogram *histogram);

/* COUNT callers on one client, each with a lock that nobody else wants. */
void client_play_cycles(const struct client_options *options);
/* One caller holds, another one waits: from the release to the next grant. */
void client_play_handoff(const struct client_options *options);
/* COUNT clients that all want the same lock. */
void client_play_crowd(const struct client_options *options);

#endif
