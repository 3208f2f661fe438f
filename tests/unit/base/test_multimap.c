#include "base/multimap.h"
#include "lib/test.h"

struct thing {
    struct multimap_node node;
    uint32_t key;
};

static bool has_key(const struct map_node *place, const void *key)
{
    return CONTAINER_OF_CONST(place, struct thing, node.place)->key == *(const uint32_t *)key;
}

static void insert(struct map *map, struct thing *thing, uint32_t key)
{
    thing->key = key;
    CHECK(map_reserve(map));
    /* Two keys share a hash. */
    multimap_insert(map, &thing->node, key / 2, has_key, &key);
}

static void leave(struct map *map, struct thing *thing)
{
    multimap_remove(map, &thing->node, has_key, &thing->key);
}

static struct thing *find(const struct map *map, uint32_t key)
{
    struct multimap_node *node = multimap_find(map, key / 2, has_key, &key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct thing, node);
}

TEST(multimap_finds_those_of_a_key_in_the_order_in_which_they_came)
{
    struct map map;
    struct thing things[40];
    map_init(&map, &memory_heap);
    for (uint32_t at = 0; at < 40; at++) {
        insert(&map, &things[at], at % 4);
    }
    CHECK_EQ_UINT(map.count, 4);
    CHECK_EQ_UINT(multimap_count(&find(&map, 3)->node), 10);
    for (uint32_t at = 0; at < 40; at++) {
        CHECK(find(&map, at % 4) == &things[at]);
        leave(&map, &things[at]);
    }
    CHECK_EQ_UINT(map.count, 0);
    CHECK(find(&map, 0) == NULL);
    map_deinit(&map);
}

TEST(multimap_lets_any_of_them_go)
{
    struct map map;
    struct thing things[5];
    map_init(&map, &memory_heap);
    for (uint32_t at = 0; at < 5; at++) {
        insert(&map, &things[at], 6);
    }
    leave(&map, &things[2]); /* in the middle */
    CHECK_EQ_UINT(multimap_count(&find(&map, 6)->node), 4);
    leave(&map, &things[0]); /* the first: the next one stands for the rest */
    CHECK(find(&map, 6) == &things[1]);
    leave(&map, &things[4]); /* the last */
    leave(&map, &things[1]);
    CHECK(find(&map, 6) == &things[3]);
    CHECK(find(&map, 7) == NULL);
    insert(&map, &things[0], 7);
    CHECK(find(&map, 7) == &things[0]);
    CHECK_EQ_UINT(map.count, 2);
    leave(&map, &things[3]);
    leave(&map, &things[0]);
    CHECK_EQ_UINT(map.count, 0);
    map_deinit(&map);
}
