#include "engine/lock.h"

#include "engine/name_index.h"

static bool has_name(const struct map_node *node, const void *key)
{
    return bytes_equal(
        lock_name(CONTAINER_OF_CONST(node, struct lock, names)), *(const struct bytes *)key);
}

struct lock *lock_find(const struct engine *engine, struct bytes name)
{
    uint32_t hash = (uint32_t)siphash(&engine->options.hash_key, name);
    struct map_node *node = map_find(&engine->locks, hash, has_name, &name);
    return node == NULL ? NULL : CONTAINER_OF(node, struct lock, names);
}

struct seq lock_last_change(const struct engine *engine, const struct lock *lock)
{
    return lock == NULL || lock->last_seq.value == 0 ? engine->seq : lock->last_seq;
}

size_t lock_size(const struct lock *lock)
{
    return sizeof(struct lock) + lock->level * sizeof(struct lock *) + lock->name_size;
}

static struct lock *make(struct engine *engine, struct bytes name, uint64_t hash)
{
    ASSERT(name.size > 0 && name.size <= LIMIT_NAME_SIZE_MAX);
    uint8_t level = name_index_level(hash);
    size_t size = sizeof(struct lock) + level * sizeof(struct lock *) + name.size;
    if (!map_reserve(&engine->locks)) return NULL;
    struct lock *lock = memory_take(engine->memory, size);
    if (lock == NULL) return NULL;

    *lock = (struct lock){ .level = level, .name_size = (uint8_t)name.size, .slots = 1 };
    memcpy(lock->forward + level, name.data, name.size);
    list_init(&lock->holds);
    map_insert(&engine->locks, &lock->names, (uint32_t)hash);
    /* A snapshot under way does not know this lock: there was none when it began. */
    lock->names.user = engine->snapshot.number;
    name_index_insert(engine, lock);
    return lock;
}

struct lock *lock_obtain(struct engine *engine, struct bytes name)
{
    uint64_t hash = siphash(&engine->options.hash_key, name);
    struct map_node *node = map_find(&engine->locks, (uint32_t)hash, has_name, &name);
    return node == NULL ? make(engine, name, hash) : CONTAINER_OF(node, struct lock, names);
}

bool lock_is_active(const struct lock *lock)
{
    return lock->hold_count > 0 ||
           (lock->queue != NULL && (lock->queue->count > 0 || lock->queue->delay_ms > 0));
}

static void give_queue(struct engine *engine, struct lock *lock)
{
    struct queue *queue = lock->queue;
    ASSERT(queue->count == 0 && queue->delay_ms == 0);
    ASSERT(queue->delay_timer.index == HEAP_INDEX_NONE);
    list_remove(&queue->all);
    list_remove(&queue->unserved);
    engine->queue_count--;
    memory_give(engine->memory, queue, sizeof *queue);
    lock->queue = NULL;
}

void lock_settle(struct engine *engine, struct lock *lock)
{
    if (lock_is_active(lock) || lock->is_pinned) return;
    lock->is_crowded = false;
    if (lock->queue != NULL) give_queue(engine, lock);
    if (lock->event_count > 0) return;

    if (engine->snapshot.cursor == lock) engine->snapshot.cursor = name_index_next(lock);
    name_index_remove(engine, lock);
    map_remove(&engine->locks, &lock->names);
    lock->forward[0] = engine->dead_locks;
    engine->dead_locks = lock;
}

void lock_free(struct engine *engine, struct lock *lock)
{
    memory_give(engine->memory, lock, lock_size(lock));
}

struct queue *lock_queue(struct engine *engine, struct lock *lock)
{
    if (lock->queue != NULL) return lock->queue;
    /* A lock-delay begins when a hold is lost, and nothing may fail then: have its timer ready. */
    uint32_t timers_wanted = engine->queue_count + 1 - engine->delay_timers.count;
    if (!heap_reserve(&engine->delay_timers, timers_wanted)) return NULL;
    struct queue *queue = memory_take(engine->memory, sizeof *queue);
    if (queue == NULL) return NULL;

    *queue = (struct queue){ .lock = lock, .delay_timer = { HEAP_INDEX_NONE } };
    for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
        list_init(&queue->lanes[lane]);
    }
    list_init(&queue->all);
    list_init(&queue->unserved);
    list_append(&engine->queues, &queue->all);
    engine->queue_count++;
    lock->queue = queue;
    return queue;
}

enum engine_mode lock_mode(const struct lock *lock)
{
    ASSERT(lock->hold_count > 0);
    return (enum engine_mode)hold_from_link(lock->holds.next)->mode;
}

bool lock_has_room(const struct lock *lock, enum engine_mode mode)
{
    if (lock->queue != NULL && lock->queue->delay_ms > 0) return false;
    if (lock->hold_count == 0) return true;
    if (lock_mode(lock) != mode) return false;
    return mode == ENGINE_SHARED || lock->hold_count < lock->slots;
}

uint32_t lock_free_slot(const struct lock *lock)
{
    uint32_t slot = 0;
    if (lock->hold_count == 0 || lock_mode(lock) == ENGINE_SHARED) return 0;
    list_foreach(link, &lock->holds) {
        if (hold_from_link(link)->slot != slot) break;
        slot++;
    }
    return slot;
}
