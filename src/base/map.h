/* map - an intrusive hash table with chaining that grows a little at every call.
 *
 * The caller embeds a `struct map_node`, computes the hash (SipHash under a secret key where names
 * come from outside) and compares.  Growth moves a few buckets per insertion, so that no single
 * call is slow at ten million entries.  Iteration order means nothing and must reach no output. */
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

struct map_table {
    struct map_node **buckets;
    uint32_t mask; /* bucket count - 1; count is a power of two; unused while buckets is NULL */
};

struct map {
    struct map_table tables[2]; /* [1] is the older one while a growth is under way */
    uint32_t moved;             /* buckets of [1] already emptied */
    uint32_t count;
    const struct memory *memory;
};

/* Does `node` carry the key? */
typedef bool (*map_equal_fn)(const struct map_node *node, const void *key);

void map_init(struct map *map, const struct memory *memory);
/* Gives back the tables, not the nodes. */
void map_deinit(struct map *map);
/* Make sure that the next insertion cannot fail.  False when there is no memory. */
MUST_USE bool map_reserve(struct map *map);
/* A map_reserve must have succeeded since the last insertion.  Does not look for duplicates. */
void map_insert(struct map *map, struct map_node *node, uint32_t hash);
/* The node must be in the map. */
void map_remove(struct map *map, struct map_node *node);
/* NULL when there is none. */
struct map_node *map_find(const struct map *map, uint32_t hash, map_equal_fn equal, const void *key);
/* The nodes in no meaningful order: pass NULL first.  The map must not change meanwhile. */
struct map_node *map_next(const struct map *map, const struct map_node *node);

#endif
