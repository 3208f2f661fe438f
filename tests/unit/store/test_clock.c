/* Which clock decides: the one that goes on while the machine sleeps. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/test.h"
#include "store/store.h"

#define SLEPT_S 3600

static bool has_slept;

/* Instead of the C library's: a machine that has slept for an hour.  All clocks but
 * CLOCK_MONOTONIC know of it. */
int clock_gettime(clockid_t clock, struct timespec *out_now)
{
    long failure = syscall(SYS_clock_gettime, clock, out_now);
    if (has_slept && clock != CLOCK_MONOTONIC) out_now->tv_sec += SLEPT_S;
    return (int)failure;
}

TEST(time_goes_on_while_the_machine_sleeps)
{
    struct mono before = tni_store_now();
    has_slept = true;
    struct mono after = tni_store_now();
    has_slept = false;
    CHECK(after.ns - before.ns >= SLEPT_S * NS_PER_S);
    CHECK(after.ns - before.ns < (SLEPT_S + 10) * NS_PER_S);
}
