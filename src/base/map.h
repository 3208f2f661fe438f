/* map - an intrusive hash table with chaining that grows by one bucket at a time.
 *
 * The caller embeds a `struct map_node`, computes the hash (SipHash under a secret key where names
 * come from outside) and compares.  Iteration order means nothing and must reach no output.
 *
 * Growth is linear hashing (Litwin, 1980): once there are more nodes than buckets, each insertion
 * adds the bucket that is next in line and moves into it those nodes of one older bucket that now
 * belong there.  The buckets lie in segments of a fixed size, so that nothing big is ever copied or
 * cleared: no single call is slow at ten million nodes.  A map never shrinks. */
#ifndef TENURE_BASE_MAP_H
#define TENURE_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

struct map_node {
    struct map_node *next;
    uint32_t hash;
    uint32_t user; /* free for the owner of the node: fills what padding would waste */
};

struct map {
    struct map_node ***segments; /* each of MAP_SEGMENT_SIZE buckets; of the last some are unused */
    uint32_t segment_count;
    uint32_t segment_capacity;
    uint32_t bucket_count; /* in use */
    uint32_t mask;         /* smallest 2^n - 1 that is not below bucket_count - 1 */
    uint32_t count;
    const struct memory *memory;
};

#define MAP_SEGMENT_SIZE 4096u

/* Does `node` carry the key? */
typedef bool (*map_equal_fn)(const struct map_node *node, const void *key);

void map_init(struct map *map, const struct memory *memory);
/* Gives back the segments, not the nodes.  Accepts a zeroed map. */
void map_deinit(struct map *map);
/* Make sure that the next insertion cannot fail.  False when there is no memory. */
MUST_USE bool map_reserve(struct map *map);
/* A map_reserve must have succeeded since the last insertion.  Does not look for duplicates. */
void map_insert(struct map *map, struct map_node *node, uint32_t hash);
/* Something of this hash will soon be inserted or found: have its bucket on its way from memory. */
void map_fetch(const struct map *map, uint32_t hash);
/* The node must be in the map. */
void map_remove(struct map *map, struct map_node *node);
/* `next`, which is in no map, takes the place of `node`, which leaves: they have the same key. */
void map_replace(struct map *map, struct map_node *node, struct map_node *next);
/* NULL when there is none. */
struct map_node *
map_find(const struct map *map, uint32_t hash, map_equal_fn equal, const void *key);
/* The nodes in no meaningful order: pass NULL first.  The map must not change meanwhile. */
struct map_node *map_next(const struct map *map, const struct map_node *node);

#endif
