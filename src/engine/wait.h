/* wait - a request that waits, found by its client and tag, and those of a client one by one. */
#ifndef TENURE_ENGINE_WAIT_H
#define TENURE_ENGINE_WAIT_H

#include "base/multimap.h"

struct wait {
    struct map_node tags;         /* by client and tag */
    struct multimap_node clients; /* by client alone */
    uint64_t client;
    uint64_t tag;
};

struct waits {
    struct map tags;
    struct map clients;
};

void waits_init(struct waits *waits, const struct memory *memory);
/* All must have been removed.  Accepts a zeroed one. */
void waits_deinit(struct waits *waits);
/* So that the next one cannot fail.  False when there is no memory. */
MUST_USE bool waits_reserve(struct waits *waits);
/* Room must have been reserved. */
void waits_add(struct waits *waits, struct wait *wait, uint64_t client, uint64_t tag);
void waits_remove(struct waits *waits, struct wait *wait);
/* NULL when there is none. */
struct wait *waits_find(const struct waits *waits, uint64_t client, uint64_t tag);
/* The one that came first. */
struct wait *waits_of_client(const struct waits *waits, uint64_t client);
/* Any; NULL when there is none. */
struct wait *waits_any(const struct waits *waits);

static inline uint32_t waits_count(const struct waits *waits)
{
    return waits->tags.count;
}

/* Of a client, or of any other number that is no text. */
static inline uint32_t wait_hash(uint64_t number)
{
    return (uint32_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

#endif
