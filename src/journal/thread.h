/* thread - the few things that the journal's two threads have in common. */
#ifndef TENURE_JOURNAL_THREAD_H
#define TENURE_JOURNAL_THREAD_H

#include <pthread.h>
#include <stdint.h>

#include "base/assert.h"

/* Start a thread that receives no signals: they are the loop's business.  0 or an errno. */
MUST_USE int journal_thread_start(pthread_t *thread, void *(*run)(void *), void *user);

/* CLOCK_MONOTONIC: for waits inside this process only. */
int64_t journal_thread_now_ns(void);

static inline void journal_thread_lock(pthread_mutex_t *mutex)
{
    int result = pthread_mutex_lock(mutex);
    ASSERT(result == 0);
}

static inline void journal_thread_unlock(pthread_mutex_t *mutex)
{
    int result = pthread_mutex_unlock(mutex);
    ASSERT(result == 0);
}

#endif
