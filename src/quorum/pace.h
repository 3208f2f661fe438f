/* pace - how long to wait for the answer of one node: smoothed round trip and its deviation, as TCP
 * does it (Jacobson, 1988; RFC 6298).
 *
 * Whoever carries the calls measures and tells; the decision is here.  A slow node is waited for
 * only where its vote could still matter, so the limits are generous downwards and hard upwards: a
 * node never eats more than an eighth of a lease. */
#ifndef TENURE_QUORUM_PACE_H
#define TENURE_QUORUM_PACE_H

#include "base/types.h"

struct pace {
    int64_t smooth_ns; /* 0: never measured */
    int64_t deviation_ns;
    uint32_t missed; /* calls in a row that got no answer */
};

static inline void pace_init(struct pace *pace)
{
    *pace = (struct pace){ 0 };
}

/* A call was answered, so long after it was sent. */
void pace_measure(struct pace *pace, int64_t round_trip_ns);
/* A call got no answer, or not in time. */
void pace_miss(struct pace *pace);
/* How long to wait, when what is asked for lives for `ttl_ms`. */
int64_t pace_timeout_ns(const struct pace *pace, uint32_t ttl_ms);

#endif
