/* siphash - SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for tables whose keys come
 * from outside, so that nobody can choose names that collide. */
#ifndef TENURE_BASE_SIPHASH_H
#define TENURE_BASE_SIPHASH_H

#include <stdint.h>

#include "base/types.h"

struct siphash_key {
    uint64_t words[2];
};

uint64_t siphash(const struct siphash_key *key, struct bytes bytes);

#endif
