/* rng - the only source of chance in the simulator: SplitMix64 (Steele, Lea,
 * Flood, 2014).
 *
 * Every step of a world draws from a generator of its own, made from the seed
 * and the number of the step, so that leaving one step out does not change what
 * the others do: that is what makes shrinking work. */
#ifndef TESTS_SIM_RNG_H
#define TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_mix(uint64_t word)
{
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

static inline struct rng rng_from(uint64_t seed, uint64_t stream)
{
    return (struct rng){ rng_mix(seed + UINT64_C(0x9e3779b97f4a7c15) * (stream + 1)) };
}

static inline uint64_t rng_next(struct rng *rng)
{
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    return rng_mix(rng->state);
}

/* 0 … bound - 1; 0 when the bound is 0. */
static inline uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    return bound == 0 ? 0 : (uint32_t)((rng_next(rng) >> 32) * bound >> 32);
}

static inline int64_t rng_between(struct rng *rng, int64_t low, int64_t high)
{
    return low + (int64_t)(rng_next(rng) % (uint64_t)(high - low + 1));
}

/* True `ppm` times in a million. */
static inline bool rng_chance(struct rng *rng, uint32_t ppm)
{
    return ppm != 0 && rng_below(rng, 1000000) < ppm;
}

static inline bool rng_percent(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}

/* Small numbers as likely as large ones: each doubling between `low` (at least
 * 1) and `high`. */
static inline int64_t rng_scale(struct rng *rng, int64_t low, int64_t high)
{
    int64_t top = low;
    uint32_t doublings = 0;
    while (top <= high / 2) {
        top *= 2;
        doublings++;
    }
    int64_t from = low << rng_below(rng, doublings + 1);
    int64_t to = from > high / 2 ? high : from * 2 - 1;
    return rng_between(rng, from, to < from ? from : to);
}

#endif
