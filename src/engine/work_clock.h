/* work_clock - what time does to items, leases, rates and those who wait; as clock.h for locks. */
#ifndef TENURE_ENGINE_WORK_CLOCK_H
#define TENURE_ENGINE_WORK_CLOCK_H

#include "engine/state.h"

enum work_fired { WORK_FIRED, WORK_NOTHING_DUE, WORK_NO_MEMORY };

/* Those who have waited as long as they wanted: before anything else. */
enum work_fired work_fire_taker(struct engine *engine, int64_t due_ns);
/* One thing that is due, `due_ns` in engine time. */
enum work_fired work_fire(struct engine *engine, int64_t due_ns);
/* Engine time of the next thing that is due; INT64_MAX for never. */
int64_t work_next_ns(const struct engine *engine);
/* Takes up to `durable` can be known now: their leases begin. */
void work_durable(struct engine *engine, struct seq durable);
/* The start is over.  False: no memory. */
MUST_USE bool work_ready(struct engine *engine);
/* Leases that are bound to this client end after their grace. */
void work_client_gone(struct engine *engine, uint64_t client);

#endif
