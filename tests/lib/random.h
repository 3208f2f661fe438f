/* random - numbers that look random and are the same for the same seed (SplitMix64). */
#ifndef TENURE_TESTS_LIB_RANDOM_H
#define TENURE_TESTS_LIB_RANDOM_H

#include <stdint.h>

struct test_random {
    uint64_t state; /* the seed at first: any value */
};

static inline uint64_t test_random_next(struct test_random *random)
{
    uint64_t word = random->state += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* From 0 to `limit` - 1; `limit` is not 0. */
static inline uint64_t test_random_below(struct test_random *random, uint64_t limit)
{
    return test_random_next(random) % limit;
}

#endif
