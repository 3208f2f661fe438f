/* scripts - the Lua scripts that a node runs, embedded at build time.
 *
 * Each is a file beside this one; its head says what it takes and what it gives.  They are sent by
 * EVALSHA with `sha`, and once by SCRIPT LOAD (or EVAL) where the node does not know them yet. */
#ifndef TENURE_STORE_REDIS_SCRIPTS_H
#define TENURE_STORE_REDIS_SCRIPTS_H

#include "base/types.h"
#include "quorum/wire.h"

struct redis_script {
    const char *name;
    struct bytes text;
    const char *sha; /* SHA-1 of the text, 40 lower-case hexadecimal digits */
};

extern const struct redis_script redis_scripts[QUORUM_SCRIPT_COUNT];

#endif
