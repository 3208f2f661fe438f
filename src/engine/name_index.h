/* name_index - all locks in byte order of their names: a skip list (Pugh, 1990).
 *
 * The level of a lock comes from its keyed hash, not from a random number: the same locks always
 * make the same list, and nobody outside can choose names that make a bad one. */
#ifndef TENURE_ENGINE_NAME_INDEX_H
#define TENURE_ENGINE_NAME_INDEX_H

#include "engine/state.h"

/* How many forward pointers a lock with this hash has: 1 … INDEX_LEVEL_MAX, each further one with
 * probability 1/4. */
uint8_t name_index_level(uint64_t hash);
void name_index_insert(struct engine *engine, struct lock *lock);
void name_index_remove(struct engine *engine, struct lock *lock);
/* The first lock whose name is not less than `name`; NULL when there is none. */
struct lock *name_index_seek(const struct engine *engine, struct bytes name);
/* NULL at the end. */
struct lock *name_index_next(const struct lock *lock);
struct lock *name_index_first(const struct engine *engine);

#endif
