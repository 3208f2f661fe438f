/* clock - what time does: holds expire, waits end, lock-delays pass, and holds that have become
 * durable begin to live. */
#ifndef TENURE_ENGINE_CLOCK_H
#define TENURE_ENGINE_CLOCK_H

#include "engine/state.h"

/* Engine time for this `now`; never backwards. */
void clock_advance(struct engine *engine, struct mono now);
/* All deadlines move by a stall. */
void clock_stall(struct engine *engine, int64_t stall_ns);
/* End what was due at `now`, at most ENGINE_TIMER_BATCH of it.  False: no memory, and nothing was
 * done. */
MUST_USE bool clock_fire(struct engine *engine, struct mono now);
/* Grants up to `durable` can be known now: their ttl begins. */
void clock_durable(struct engine *engine, struct seq durable);
/* The start is over: every hold and every lock-delay gets its full time from now.  False: no
 * memory. */
MUST_USE bool clock_ready(struct engine *engine);
/* Engine time of the next thing that is due; INT64_MAX for never. */
int64_t clock_next(const struct engine *engine);

#endif
