#include "process.h"

#include <sched.h>
#include <time.h>

#include "base/types.h"

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) return -1;
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t process_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

bool process_pin(int cpu)
{
    if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0;
}

int64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0) return -1;
    return read_clock(clock);
}
