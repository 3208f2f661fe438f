/* histogram - latencies in buckets whose width is under 1.6 % of their value.
 *
 * Each power of two of nanoseconds is cut into 64 equal buckets, so that a percentile is exact
 * enough to compare with and recording costs one increment.  The largest value is kept exactly. */
#ifndef TENURE_BENCH_HISTOGRAM_H
#define TENURE_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SPLIT_BITS 6u
#define HISTOGRAM_SPLIT      (UINT64_C(1) << HISTOGRAM_SPLIT_BITS)
#define HISTOGRAM_BUCKETS    (HISTOGRAM_SPLIT * (64 - HISTOGRAM_SPLIT_BITS + 1))

struct histogram {
    uint64_t count;
    uint64_t value_max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t value_ns);
/* The middle of the bucket in which `fraction` (0 … 1) of all values have been seen; 0 when empty.
 */
uint64_t histogram_quantile_ns(const struct histogram *histogram, double fraction);

#endif
