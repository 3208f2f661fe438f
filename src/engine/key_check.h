/* key_check - invariants and hash of shared state, for check.c. */
#ifndef TENURE_ENGINE_KEY_CHECK_H
#define TENURE_ENGINE_KEY_CHECK_H

#include "engine/state.h"

/* Asserts; returns how many events of the window are of keys. */
uint64_t key_check(const struct engine *engine);
uint64_t key_hash(const struct engine *engine, const struct siphash_key *hash_key);

#endif
