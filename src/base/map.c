#include "base/map.h"

#include "base/assert.h"

#define BUCKET_COUNT_FIRST     16u
#define BUCKET_COUNT_MAX       (UINT32_C(1) << 30)
#define SEGMENT_BYTES          (MAP_SEGMENT_SIZE * sizeof(struct map_node *))
#define SEGMENT_CAPACITY_FIRST 8u

/* So many splits take longer than a fetch from memory. */
#define FETCH_AHEAD 4u

_Static_assert(BUCKET_COUNT_FIRST <= MAP_SEGMENT_SIZE, "the first buckets lie in one segment");
_Static_assert(4 * FETCH_AHEAD <= BUCKET_COUNT_FIRST, "what is looked at ahead is a bucket");

void map_init(struct map *map, const struct memory *memory)
{
    *map = (struct map){ .memory = memory };
}

void map_deinit(struct map *map)
{
    for (uint32_t i = 0; i < map->segment_count; i++) {
        memory_give(map->memory, map->segments[i], SEGMENT_BYTES);
    }
    memory_give(map->memory, map->segments, map->segment_capacity * sizeof(*map->segments));
    map_init(map, map->memory);
}

static struct map_node **bucket_at(const struct map *map, uint32_t index)
{
    return &map->segments[index / MAP_SEGMENT_SIZE][index % MAP_SEGMENT_SIZE];
}

/* A bucket that is not yet there is still part of the one that it will be split from. */
static uint32_t index_of(const struct map *map, uint32_t hash)
{
    uint32_t index = hash & map->mask;
    return index < map->bucket_count ? index : index & (map->mask >> 1);
}

static bool reserve_directory(struct map *map)
{
    if (map->segment_count < map->segment_capacity) return true;
    uint32_t capacity =
        map->segment_capacity == 0 ? SEGMENT_CAPACITY_FIRST : 2 * map->segment_capacity;
    struct map_node ***segments = memory_resize(
        map->memory,
        map->segments,
        map->segment_capacity * sizeof(*segments),
        capacity * sizeof(*segments));
    if (segments == NULL) return false;
    map->segments = segments;
    map->segment_capacity = capacity;
    return true;
}

/* The buckets of a segment are cleared when they come into use, not here. */
static bool add_segment(struct map *map)
{
    if (!reserve_directory(map)) return false;
    struct map_node **segment = memory_take(map->memory, SEGMENT_BYTES);
    if (segment == NULL) return false;
    map->segments[map->segment_count++] = segment;
    return true;
}

static bool wants_bucket(const struct map *map)
{
    return map->count >= map->bucket_count && map->bucket_count < BUCKET_COUNT_MAX;
}

static bool has_room(const struct map *map)
{
    return map->bucket_count < map->segment_count * MAP_SEGMENT_SIZE;
}

bool map_reserve(struct map *map)
{
    return !wants_bucket(map) || has_room(map) || add_segment(map);
}

static void add_first_buckets(struct map *map)
{
    for (uint32_t i = 0; i < BUCKET_COUNT_FIRST; i++) {
        *bucket_at(map, i) = NULL;
    }
    map->bucket_count = BUCKET_COUNT_FIRST;
    map->mask = BUCKET_COUNT_FIRST - 1;
}

/* Add the next bucket and give it its part of the one that has stood in for it. */
static void add_bucket(struct map *map)
{
    uint32_t added = map->bucket_count++;
    if (added > map->mask) map->mask = map->mask * 2 + 1;
    struct map_node **from = bucket_at(map, added & (map->mask >> 1));
    struct map_node **to = bucket_at(map, added);
    while (*from != NULL) {
        if (((*from)->hash & map->mask) == added) {
            *to = *from;
            *from = (*from)->next;
            to = &(*to)->next;
        } else {
            from = &(*from)->next;
        }
    }
    *to = NULL;
}

/* The bucket that `added` will be split from. */
static struct map_node **bucket_to_split(const struct map *map, uint32_t added)
{
    uint32_t mask = added > map->mask ? map->mask * 2 + 1 : map->mask;
    return bucket_at(map, added & (mask >> 1));
}

void map_insert(struct map *map, struct map_node *node, uint32_t hash)
{
    if (wants_bucket(map)) {
        ASSERT(has_room(map));
        if (map->bucket_count == 0) {
            add_first_buckets(map);
        } else {
            /* In a large map each look would wait for memory: have what is looked at on its way,
             * here and, because it is known, for the next splits.  (Not in a function of its own,
             * which a compiler takes for one that does nothing.) */
            uint32_t ahead = map->bucket_count + FETCH_AHEAD;
            const struct map_node *near = *bucket_to_split(map, ahead);
            const struct map_node *far = *bucket_to_split(map, ahead + FETCH_AHEAD);
            /* To fetch what NULL points at is no crash, and slow. */
            if (near != NULL && near->next != NULL) __builtin_prefetch(near->next);
            if (far != NULL) __builtin_prefetch(far);
            __builtin_prefetch(bucket_to_split(map, ahead + 3 * FETCH_AHEAD));
            add_bucket(map);
        }
    }
    struct map_node **bucket = bucket_at(map, index_of(map, hash));
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    map->count++;
}

void map_fetch(const struct map *map, uint32_t hash)
{
    if (map->bucket_count > 0) __builtin_prefetch(bucket_at(map, index_of(map, hash)), 1);
}

/* What points at it. */
static struct map_node **link_to(const struct map *map, const struct map_node *node)
{
    ASSERT(map->count > 0);
    struct map_node **link = bucket_at(map, index_of(map, node->hash));
    while (*link != node) {
        ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    return link;
}

void map_remove(struct map *map, struct map_node *node)
{
    *link_to(map, node) = node->next;
    node->next = NULL;
    map->count--;
}

void map_replace(struct map *map, struct map_node *node, struct map_node *next)
{
    *link_to(map, node) = next;
    next->next = node->next;
    next->hash = node->hash;
    node->next = NULL;
}

struct map_node *map_find(const struct map *map, uint32_t hash, map_equal_fn equal, const void *key)
{
    if (map->count == 0) return NULL;
    struct map_node *node = *bucket_at(map, index_of(map, hash));
    while (node != NULL && (node->hash != hash || !equal(node, key))) {
        node = node->next;
    }
    return node;
}

struct map_node *map_next(const struct map *map, const struct map_node *node)
{
    if (node != NULL && node->next != NULL) return node->next;
    uint32_t index = node == NULL ? 0 : index_of(map, node->hash) + 1;
    for (; index < map->bucket_count; index++) {
        struct map_node *first = *bucket_at(map, index);
        if (first != NULL) return first;
    }
    return NULL;
}
