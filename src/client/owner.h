/* owner - a fresh identity of a hold or a worker: "user@host:pid#random", for people, and unlike
 * any other. */
#ifndef TENURE_CLIENT_OWNER_H
#define TENURE_CLIENT_OWNER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

/* False: the system gives no random numbers, or the room is too small; 256 bytes are enough. */
MUST_USE bool tni_owner_make(char *out_owner, size_t size);

#endif
