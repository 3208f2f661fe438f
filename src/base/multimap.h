/* multimap - a map in which many nodes may have the same key.
 *
 * The first of them stands in the map, the others in a ring with it.  So however many there are,
 * any one of them is taken out at once; in the chain of a map that would be a walk past the others.
 * Those of one key keep the order in which they came.  The map itself is an ordinary one:
 * map_init, map_reserve, map_deinit; its count is that of the keys. */
#ifndef TENURE_BASE_MULTIMAP_H
#define TENURE_BASE_MULTIMAP_H

#include "base/list.h"
#include "base/map.h"

struct multimap_node {
    struct map_node place; /* of the first of its key: in the map; `user`: of how many */
    struct list peers;     /* a ring without a head */
};

static inline struct multimap_node *multimap_from_place(struct map_node *place)
{
    return CONTAINER_OF(place, struct multimap_node, place);
}

/* A map_reserve must have succeeded since the last insertion.  `equal` is asked about the `place`
 * of nodes. */
void multimap_insert(
    struct map *map,
    struct multimap_node *node,
    uint32_t hash,
    map_equal_fn equal,
    const void *key);
/* The node must be in the map, under this key. */
void multimap_remove(
    struct map *map, struct multimap_node *node, map_equal_fn equal, const void *key);
/* The one that came first; NULL when there is none. */
struct multimap_node *
multimap_find(const struct map *map, uint32_t hash, map_equal_fn equal, const void *key);

/* How many there are with the key of this one, which was found. */
static inline uint32_t multimap_count(const struct multimap_node *first)
{
    return first->place.user;
}

#endif
