/* Two threads count without a lock; ThreadSanitizer must fail the test. */
#include <pthread.h>

#include "lib/test.h"

static int counter;

static void *count(void *unused)
{
    for (int i = 0; i < 1000; i++)
        counter++;
    return unused;
}

TEST(data_race)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQ_INT(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
}
