#include "quorum/pace.h"

#define TIMEOUT_NS_FIRST (100 * NS_PER_MS) /* as long as nothing was measured */
#define TIMEOUT_NS_MIN   (5 * NS_PER_MS)
#define TIMEOUT_NS_MAX   (1000 * NS_PER_MS)
#define LEASE_SHARE      8
#define MISSED_MAX       4u

void pace_measure(struct pace *pace, int64_t round_trip_ns)
{
    if (round_trip_ns < 1) round_trip_ns = 1;
    pace->missed = 0;
    if (pace->smooth_ns == 0) {
        pace->smooth_ns = round_trip_ns;
        pace->deviation_ns = round_trip_ns / 2;
        return;
    }
    int64_t error_ns = round_trip_ns - pace->smooth_ns;
    int64_t size_ns = error_ns < 0 ? -error_ns : error_ns;
    pace->deviation_ns += (size_ns - pace->deviation_ns) / 4;
    pace->smooth_ns += error_ns / 8;
    if (pace->smooth_ns < 1) pace->smooth_ns = 1;
}

void pace_miss(struct pace *pace)
{
    if (pace->missed < MISSED_MAX) pace->missed++;
}

int64_t pace_timeout_ns(const struct pace *pace, uint32_t ttl_ms)
{
    int64_t timeout_ns = TIMEOUT_NS_FIRST;
    if (pace->smooth_ns > 0) timeout_ns = pace->smooth_ns + 4 * pace->deviation_ns;
    if (timeout_ns < TIMEOUT_NS_MIN) timeout_ns = TIMEOUT_NS_MIN;
    if (timeout_ns > TIMEOUT_NS_MAX) timeout_ns = TIMEOUT_NS_MAX;
    timeout_ns <<= pace->missed; /* perhaps it has become slower: give it a chance to show that */
    int64_t share_ns = (int64_t)ttl_ms * NS_PER_MS / LEASE_SHARE;
    if (timeout_ns > TIMEOUT_NS_MAX) timeout_ns = TIMEOUT_NS_MAX;
    return timeout_ns < share_ns ? timeout_ns : share_ns;
}
