#include "histogram.h"

#include <stddef.h>

/* Values below HISTOGRAM_SPLIT have a bucket each; above, the exponent picks a run of buckets and
 * the bits after the leading one pick the bucket in it. */
static size_t bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_SPLIT) return (size_t)value;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    unsigned shift = exponent - HISTOGRAM_SPLIT_BITS;
    return (size_t)(shift + 1) * HISTOGRAM_SPLIT + (size_t)((value >> shift) - HISTOGRAM_SPLIT);
}

static uint64_t bucket_middle(size_t bucket)
{
    if (bucket < HISTOGRAM_SPLIT) return bucket;
    unsigned shift = (unsigned)(bucket / HISTOGRAM_SPLIT) - 1;
    uint64_t low = (bucket % HISTOGRAM_SPLIT + HISTOGRAM_SPLIT) << shift;
    return low + ((UINT64_C(1) << shift) >> 1);
}

void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
    histogram->count++;
    if (value_ns > histogram->value_max_ns) histogram->value_max_ns = value_ns;
    histogram->buckets[bucket_of(value_ns)]++;
}

uint64_t histogram_quantile_ns(const struct histogram *histogram, double fraction)
{
    uint64_t wanted = (uint64_t)(fraction * (double)histogram->count + 0.5);
    if (wanted == 0) wanted = 1;
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted) return bucket_middle(bucket);
    }
    return 0;
}
