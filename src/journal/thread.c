#include "journal/thread.h"

#include <signal.h>
#include <time.h>

#include "base/types.h"

int journal_thread_start(pthread_t *thread, void *(*run)(void *), void *user)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    int result = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (result != 0) return result;
    result = pthread_create(thread, NULL, run, user);
    int restored = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(restored == 0);
    return result;
}

int64_t journal_thread_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}
