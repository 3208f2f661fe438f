/* work_check - every invariant of queues; as check.c for locks. */
#ifndef TENURE_ENGINE_WORK_CHECK_H
#define TENURE_ENGINE_WORK_CHECK_H

#include "engine/state.h"

/* Returns the number of their events in the window. */
uint64_t work_check(const struct engine *engine);
/* Of all that is durable of queues; a sum, because their order means nothing. */
uint64_t work_hash(const struct engine *engine, const struct siphash_key *key);

#endif
