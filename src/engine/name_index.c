#include "engine/name_index.h"

uint8_t name_index_level(uint64_t hash)
{
    uint8_t level = 1;
    /* The low half of the hash chooses the bucket of the table; the high half is free. */
    for (hash >>= 32; level < INDEX_LEVEL_MAX && (hash & 3) == 0; hash >>= 2)
        level++;
    return level;
}

/* The pointers that pass over the place of `name`, one a level: to them an insertion or a removal
 * is done.  Returns what stands at the place. */
static struct lock *
find_passing(const struct engine *engine, struct bytes name, struct lock **passing[INDEX_LEVEL_MAX])
{
    /* The heads are the engine's own array, which only the caller may know to be writable. */
    struct lock **pointers = ((struct engine *)(uintptr_t)engine)->index;
    struct lock *next = NULL;

    for (unsigned level = INDEX_LEVEL_MAX; level-- > 0;) {
        for (next = pointers[level]; next != NULL && bytes_compare(lock_name(next), name) < 0;
             next = pointers[level])
        {
            pointers = next->forward;
        }
        if (passing != NULL) passing[level] = &pointers[level];
    }
    return next;
}

void name_index_insert(struct engine *engine, struct lock *lock)
{
    struct lock **passing[INDEX_LEVEL_MAX];
    struct lock *at = find_passing(engine, lock_name(lock), passing);
    ASSERT(at == NULL || !bytes_equal(lock_name(at), lock_name(lock)));

    for (unsigned level = 0; level < lock->level; level++) {
        lock->forward[level] = *passing[level];
        *passing[level] = lock;
    }
}

void name_index_remove(struct engine *engine, struct lock *lock)
{
    struct lock **passing[INDEX_LEVEL_MAX];
    struct lock *at = find_passing(engine, lock_name(lock), passing);
    ASSERT(at == lock);

    for (unsigned level = 0; level < lock->level; level++) {
        ASSERT(*passing[level] == lock);
        *passing[level] = lock->forward[level];
    }
}

struct lock *name_index_seek(const struct engine *engine, struct bytes name)
{
    return find_passing(engine, name, NULL);
}

struct lock *name_index_next(const struct lock *lock)
{
    return lock->forward[0];
}

struct lock *name_index_first(const struct engine *engine)
{
    return engine->index[0];
}
