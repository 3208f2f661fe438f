#include "engine/name_index.h"

uint8_t name_index_level(uint64_t hash)
{
    uint8_t level = 1;
    /* The low half of the hash chooses the bucket of the table; the high half is free. */
    for (hash >>= 32; level < INDEX_LEVEL_MAX && (hash & 3) == 0; hash >>= 2) {
        level++;
    }
    return level;
}

/* The pointers that pass over the place of `name`, one a level: to them an insertion or a removal
 * is done.  Returns what stands at the place. */
static struct lock *
find_passing(struct lock **heads, struct bytes name, struct lock **passing[INDEX_LEVEL_MAX])
{
    struct lock **pointers = heads;
    struct lock *next = NULL;
    for (unsigned level = INDEX_LEVEL_MAX; level-- > 0;) {
        for (next = pointers[level]; next != NULL && bytes_compare(lock_name(next), name) < 0;
             next = pointers[level])
        {
            pointers = next->forward;
        }
        passing[level] = &pointers[level];
    }
    return next;
}

struct lock *name_index_seek(const struct engine *engine, struct bytes name)
{
    struct lock *const *pointers = engine->index.heads;
    struct lock *next = NULL;
    for (unsigned level = INDEX_LEVEL_MAX; level-- > 0;) {
        for (next = pointers[level]; next != NULL && bytes_compare(lock_name(next), name) < 0;
             next = pointers[level])
        {
            pointers = next->forward;
        }
    }
    return next;
}

/* Names often come in order: from a snapshot, or numbered.  Then the place is right behind the last
 * insertion, and nothing needs to be searched. */
static bool is_behind_last(const struct name_index *index, struct bytes name)
{
    if (index->last == NULL || bytes_compare(lock_name(index->last), name) >= 0) return false;
    const struct lock *next = index->last->forward[0];
    return next == NULL || bytes_compare(name, lock_name(next)) < 0;
}

void name_index_insert(struct engine *engine, struct lock *lock)
{
    struct name_index *index = &engine->index;
    if (!is_behind_last(index, lock_name(lock))) {
        struct lock *at = find_passing(index->heads, lock_name(lock), index->passing);
        ASSERT(at == NULL || !bytes_equal(lock_name(at), lock_name(lock)));
    }
    for (unsigned level = 0; level < lock->level; level++) {
        lock->forward[level] = *index->passing[level];
        *index->passing[level] = lock;
        index->passing[level] = &lock->forward[level];
    }
    index->last = lock;
}

void name_index_remove(struct engine *engine, struct lock *lock)
{
    struct lock **passing[INDEX_LEVEL_MAX];
    struct lock *at = find_passing(engine->index.heads, lock_name(lock), passing);
    ASSERT(at == lock);
    engine->index.last = NULL;

    for (unsigned level = 0; level < lock->level; level++) {
        ASSERT(*passing[level] == lock);
        *passing[level] = lock->forward[level];
    }
}

struct lock *name_index_next(const struct lock *lock)
{
    return lock->forward[0];
}

struct lock *name_index_first(const struct engine *engine)
{
    return engine->index.heads[0];
}
