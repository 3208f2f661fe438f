/* drive - the closed loop: every slot sends its next request when the answer to the last one came.
 *
 * One thread, epoll, non-blocking sockets.  A connection carries `outstanding` slots whose requests
 * are pipelined and answered in order.  Cycles are counted between the end of the warm-up and the
 * deadline; after it no new cycle begins, and those under way are completed, so that nothing is
 * left locked. */
#ifndef TENURE_BENCH_DRIVE_H
#define TENURE_BENCH_DRIVE_H

#include "histogram.h"
#include "mode.h"

struct drive_options {
    const struct mode *mode;
    uint32_t connection_count;
    uint32_t outstanding;
    uint32_t warmup_ms;
    uint32_t run_ms;
    int server_pid;   /* 0: do not measure the server's processor time */
    bool is_lockstep; /* a connection sends its whole window when all of it has been answered */
};

struct drive_result {
    struct histogram latency; /* of whole cycles */
    uint64_t cycle_count;
    int64_t elapsed_ns;
    int64_t client_cpu_ns;
    int64_t server_cpu_ns; /* -1 when not measured */
    uint64_t error_count;
    char first_error[256];
};

/* Run the load.  The run must be prepared.  Failures of the server end it early and are counted in
 * the result. */
void drive_run(
    const struct drive_options *options, struct mode_run *run, struct drive_result *out_result);

#endif
