#include <stdlib.h>

#include "base/map.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"

#define KEY_COUNT 2000

struct entry {
    struct map_node node;
    uint32_t key;
    bool is_in;
    bool is_seen;
};

static bool has_key(const struct map_node *node, const void *key)
{
    return ((const struct entry *)(const void *)node)->key == *(const uint32_t *)key;
}

/* Spreads well, or hardly at all: `bits` of hash for any number of keys. */
static uint32_t hash_of(uint32_t key, int bits)
{
    uint32_t hash = key * UINT32_C(2654435761);
    hash ^= hash >> 15;
    return bits == 32 ? hash : hash & ((UINT32_C(1) << bits) - 1);
}

static struct entry *find(const struct map *map, uint32_t key, int bits)
{
    return (struct entry *)(void *)map_find(map, hash_of(key, bits), has_key, &key);
}

static void insert(struct map *map, struct entry *entry, int bits)
{
    CHECK(map_reserve(map));
    map_insert(map, &entry->node, hash_of(entry->key, bits));
    entry->is_in = true;
}

/* Iteration must meet each entry that is in the map once and no other. */
static void check_iteration(const struct map *map, struct entry *entries, uint32_t entry_count)
{
    uint32_t seen_count = 0;
    for (uint32_t i = 0; i < entry_count; i++)
        entries[i].is_seen = false;
    for (struct map_node *node = map_next(map, NULL); node != NULL; node = map_next(map, node)) {
        struct entry *entry = (struct entry *)(void *)node;
        CHECK(entry->is_in && !entry->is_seen);
        entry->is_seen = true;
        seen_count++;
    }
    CHECK_EQ_UINT(seen_count, map->count);
}

TEST(map_of_nothing)
{
    struct map map;
    map_init(&map, &memory_heap);
    CHECK(find(&map, 1, 32) == NULL);
    CHECK(map_next(&map, NULL) == NULL);
    map_deinit(&map);
    struct map zeroed = { 0 };
    map_deinit(&zeroed);
}

static void run_against_flags(uint64_t seed, int bits)
{
    static struct entry entries[KEY_COUNT];
    struct test_random random = { seed };
    struct map map;
    map_init(&map, &memory_heap);
    for (uint32_t i = 0; i < KEY_COUNT; i++)
        entries[i] = (struct entry){ .key = i };
    uint32_t count = 0;
    for (int step = 0; step < 30000; step++) {
        test_note("seed %d, %d bits, step %d", (int)seed, bits, step);
        struct entry *entry = &entries[test_random_below(&random, KEY_COUNT)];
        CHECK(find(&map, entry->key, bits) == (entry->is_in ? entry : NULL));
        if (!entry->is_in) {
            insert(&map, entry, bits);
            count++;
        } else if (test_random_below(&random, 3) == 0) {
            map_remove(&map, &entry->node);
            entry->is_in = false;
            count--;
        }
        CHECK_EQ_UINT(map.count, count);
        if (step % 1000 == 0) check_iteration(&map, entries, KEY_COUNT);
    }
    for (uint32_t i = 0; i < KEY_COUNT; i++)
        CHECK(find(&map, i, bits) == (entries[i].is_in ? &entries[i] : NULL));
    map_deinit(&map);
}

TEST(map_is_like_an_array_of_flags)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        run_against_flags(seed, 32);
}

TEST(map_survives_bad_hashes)
{
    run_against_flags(6, 0);
    run_against_flags(7, 3);
}

/* At every size, all that went in is found: each state of a growth is passed. */
TEST(map_loses_nothing_while_it_grows)
{
    enum { COUNT = 3 * MAP_SEGMENT_SIZE };
    struct entry *entries = calloc(COUNT, sizeof(*entries));
    CHECK(entries != NULL);
    struct test_random random = { 8 };
    struct map map;
    map_init(&map, &memory_heap);
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i].key = i;
        insert(&map, &entries[i], 32);
        for (int probe = 0; probe < 20; probe++) {
            uint32_t key = (uint32_t)test_random_below(&random, i + 1);
            CHECK(find(&map, key, 32) == &entries[key]);
        }
        CHECK(find(&map, i + 1, 32) == NULL);
        if (i < 100 || i % 1000 == 0) check_iteration(&map, entries, i + 1);
    }
    check_iteration(&map, entries, COUNT);
    CHECK_EQ_UINT(map.segment_count, 3);
    map_deinit(&map);
    free(entries);
}

TEST(map_takes_memory_in_small_pieces)
{
    enum { COUNT = 1000000 };
    struct entry *entries = calloc(COUNT, sizeof(*entries));
    CHECK(entries != NULL);
    struct fault_memory fault;
    fault_memory_init(&fault, 0);
    fault.size_max = 64 << 10;
    struct map map;
    map_init(&map, &fault.memory);
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i].key = i;
        insert(&map, &entries[i], 32);
    }
    CHECK_LE_UINT(fault.bytes_used, (uint64_t)COUNT * sizeof(void *) + (128 << 10));
    for (uint32_t i = 0; i < COUNT; i++)
        CHECK(find(&map, i, 32) == &entries[i]);
    map_deinit(&map);
    fault_memory_check_empty(&fault);
    free(entries);
}

TEST(map_reserve_fails_without_memory_and_keeps_all)
{
    enum { COUNT = 2 * MAP_SEGMENT_SIZE };
    struct entry *entries = calloc(COUNT, sizeof(*entries));
    CHECK(entries != NULL);
    uint64_t n = 1;
    for (bool has_failed = true; has_failed; n++) {
        struct fault_memory fault;
        fault_memory_init(&fault, n);
        struct map map;
        map_init(&map, &fault.memory);
        for (uint32_t i = 0; i < COUNT; i++) {
            entries[i] = (struct entry){ .key = i };
            if (!map_reserve(&map)) {
                for (uint32_t j = 0; j < i; j++)
                    CHECK(find(&map, j, 32) == &entries[j]);
                CHECK(find(&map, i, 32) == NULL);
            }
            insert(&map, &entries[i], 32);
        }
        check_iteration(&map, entries, COUNT);
        has_failed = fault.has_failed;
        map_deinit(&map);
        fault_memory_check_empty(&fault);
    }
    CHECK_LE_UINT(4, n);
    free(entries);
}

TEST(map_remove_of_all_leaves_a_usable_map)
{
    static struct entry entries[KEY_COUNT];
    struct map map;
    map_init(&map, &memory_heap);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < KEY_COUNT; i++) {
            entries[i] = (struct entry){ .key = i };
            insert(&map, &entries[i], 32);
        }
        for (uint32_t i = 0; i < KEY_COUNT; i++)
            map_remove(&map, &entries[(i * 7) % KEY_COUNT].node);
        CHECK_EQ_UINT(map.count, 0);
        CHECK(map_next(&map, NULL) == NULL);
    }
    map_deinit(&map);
}

struct misuse {
    struct map map;
    struct entry entry;
};

static void insert_without_reserve(void *user)
{
    struct misuse *misuse = user;
    map_insert(&misuse->map, &misuse->entry.node, 1);
}

static void remove_stranger(void *user)
{
    struct misuse *misuse = user;
    struct entry stranger = { .node = { .hash = 1 } };
    insert(&misuse->map, &misuse->entry, 32);
    map_remove(&misuse->map, &stranger.node);
}

TEST(map_misuse_aborts)
{
    struct misuse misuse = { 0 };
    map_init(&misuse.map, &memory_heap);
    CHECK_ABORTS(insert_without_reserve, &misuse);
    CHECK_ABORTS(remove_stranger, &misuse);
    map_deinit(&misuse.map);
}
