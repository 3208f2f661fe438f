/* registry - handles: numbers that name clients and holds, in all threads of the process.
 *
 * The low bits of a number are a place, the rest a generation: a handle that was closed names
 * nothing, for ever.  The places of holds lie in a table that never moves and is never freed, so
 * that tenure_hold_valid reads it without a lock.
 *
 * fork(): each place remembers the epoch of the process that filled it; a child has another one, so
 * that nothing of its parent is visible to it.  The mutex of the registry is held across fork, and
 * a child may open clients of its own. */
#ifndef TENURE_CLIENT_REGISTRY_H
#define TENURE_CLIENT_REGISTRY_H

#include <stdatomic.h>

#include "base/assert.h"
#include "base/types.h"

struct client;
struct hold;

#define HOLD_COUNT_MAX   65536u
#define CLIENT_COUNT_MAX 1024u

/* What is read without the mutex.  `valid_until_ns` is set before `id`, and cleared after it. */
struct hold_slot {
    _Atomic uint64_t id; /* 0: not handed out */
    _Atomic int64_t valid_until_ns;
    _Atomic uint64_t token;
    _Atomic uint32_t epoch;
    uint32_t next_free; /* from here on under the mutex */
    uint64_t generation;
    struct hold *hold;
};

/* Of this process: behind fork() it is another one. */
uint32_t tni_registry_epoch(void);

void tni_registry_lock(void);
void tni_registry_unlock(void);

/* ---- clients; all under the mutex */

/* 0: there are too many. */
uint64_t tni_registry_add_client(struct client *client);
void tni_registry_remove_client(uint64_t id);
/* NULL: closed, or of another process. */
struct client *tni_registry_find_client(uint64_t id);

/* ---- holds; under the mutex where nothing else is said */

/* A place, which is not handed out yet.  NULL: there are too many. */
struct hold_slot *tni_registry_add_hold(struct hold *hold);
/* From now on the handle is good.  Without the mutex. */
void tni_registry_hand_out(struct hold_slot *slot);
/* The handle of a place, good or not yet. */
uint64_t tni_registry_hold_id(const struct hold_slot *slot);
/* From now on the handle is not good any more; the place can be taken again. */
void tni_registry_remove_hold(struct hold_slot *slot);
/* NULL: closed, or of another process. */
struct hold *tni_registry_find_hold(uint64_t id);
/* The place of a good handle, else NULL.  Without the mutex; what is read there must be followed by
 * tni_registry_is_good. */
struct hold_slot *tni_registry_peek_hold(uint64_t id);
static inline bool tni_registry_is_good(const struct hold_slot *slot, uint64_t id)
{
    return atomic_load(&slot->id) == id;
}

#endif
