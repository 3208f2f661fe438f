#include "base/multimap.h"

struct multimap_node *
multimap_find(const struct map *map, uint32_t hash, map_equal_fn equal, const void *key)
{
    struct map_node *place = map_find(map, hash, equal, key);
    return place == NULL ? NULL : multimap_from_place(place);
}

void multimap_insert(
    struct map *map, struct multimap_node *node, uint32_t hash, map_equal_fn equal, const void *key)
{
    struct multimap_node *first = multimap_find(map, hash, equal, key);
    list_init(&node->peers);
    node->place.hash = hash;
    node->place.user = first == NULL;
    if (first == NULL) {
        map_insert(map, &node->place, hash);
    } else {
        list_append(&first->peers, &node->peers);
        first->place.user++;
    }
}

void multimap_remove(
    struct map *map, struct multimap_node *node, map_equal_fn equal, const void *key)
{
    struct multimap_node *first = multimap_find(map, node->place.hash, equal, key);
    struct multimap_node *next = CONTAINER_OF(node->peers.next, struct multimap_node, peers);
    uint32_t left = --first->place.user;
    list_remove(&node->peers);
    if (node != first) return;
    if (left == 0) {
        map_remove(map, &node->place);
    } else {
        next->place.user = left;
        map_replace(map, &node->place, &next->place);
    }
}
