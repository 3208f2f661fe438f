/* histogram - how often something took how long: buckets a factor of two apart from 16 µs on, so
 * that observing is a count of leading zeros and two additions. */
#ifndef TENURE_BASE_HISTOGRAM_H
#define TENURE_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKET_US_MIN 16u
#define HISTOGRAM_BUCKET_COUNT  32u /* 16 µs … 16 µs * 2^31 = 9.5 h; what is longer comes behind */

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKET_COUNT + 1]; /* not cumulative */
    uint64_t sum_us;
};

/* A negative time counts as 0: clocks have been set back. */
static inline void histogram_observe(struct histogram *histogram, int64_t us)
{
    uint64_t value = us > 0 ? (uint64_t)us : 0;
    uint32_t index = 0; /* of the first bucket whose bound is not below the value */
    if (value > HISTOGRAM_BUCKET_US_MIN) {
        uint64_t units = (value - 1) / HISTOGRAM_BUCKET_US_MIN; /* at least 1 */
        index = 64 - (uint32_t)__builtin_clzll(units | 1);
        if (index > HISTOGRAM_BUCKET_COUNT) index = HISTOGRAM_BUCKET_COUNT;
    }
    histogram->counts[index]++;
    histogram->sum_us += value;
}

#endif
