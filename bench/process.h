/* process - where programs run and what they have cost. */
#ifndef TENURE_BENCH_PROCESS_H
#define TENURE_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/assert.h"

/* Nanoseconds on CLOCK_MONOTONIC. */
int64_t process_now_ns(void);
/* Let this process run on one processor only. */
MUST_USE bool process_pin(int cpu);
/* Nanoseconds of processor time that all threads of `pid` have used (0 is this process), or -1. */
int64_t process_cpu_ns(pid_t pid);

#endif
