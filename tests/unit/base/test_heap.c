#include "base/heap.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"

#define NODE_COUNT 300

static void check_heap(const struct heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        CHECK_EQ_UINT(heap->entries[i].node->index, i);
        if (i > 0) CHECK_LE_INT(heap->entries[(i - 1) / 4].key, heap->entries[i].key);
    }
}

static const struct heap_entry *first_of(const struct heap *heap)
{
    const struct heap_entry *first = heap_first(heap);
    CHECK(first != NULL);
    return first;
}

TEST(heap_of_nothing_has_no_first)
{
    struct heap heap;
    heap_init(&heap, &memory_heap);
    CHECK(heap_first(&heap) == NULL);
    struct heap_node stranger = { HEAP_INDEX_NONE };
    heap_remove(&heap, &stranger);
    heap_deinit(&heap);
}

TEST(heap_gives_keys_in_order)
{
    static const int64_t keys[] = { 5, INT64_MAX, -3, 0, INT64_MIN, 5, 4, 1, 2, 3, 5, -3 };
    enum { COUNT = sizeof(keys) / sizeof(keys[0]) };
    struct heap_node nodes[COUNT];
    struct heap heap;
    heap_init(&heap, &memory_heap);
    for (int i = 0; i < COUNT; i++) {
        nodes[i].index = HEAP_INDEX_NONE;
        CHECK(heap_reserve(&heap, 1));
        heap_insert(&heap, &nodes[i], keys[i]);
        check_heap(&heap);
    }
    int64_t last = INT64_MIN;
    for (int i = 0; i < COUNT; i++) {
        const struct heap_entry *first = first_of(&heap);
        CHECK_LE_INT(last, first->key);
        CHECK_EQ_INT(first->key, keys[first->node - nodes]);
        last = first->key;
        heap_remove(&heap, first->node);
        check_heap(&heap);
    }
    CHECK(heap_first(&heap) == NULL);
    heap_deinit(&heap);
}

/* One random step on the heap and on a plain array of keys. */
static void step(
    struct heap *heap,
    struct heap_node *nodes,
    int64_t *keys,
    uint64_t node_count,
    struct test_random *random)
{
    uint64_t i = test_random_below(random, node_count);
    int64_t key = (int64_t)test_random_below(random, 100) - 50;
    if (nodes[i].index == HEAP_INDEX_NONE) {
        CHECK(heap_reserve(heap, 1));
        heap_insert(heap, &nodes[i], key);
        keys[i] = key;
    } else if (test_random_below(random, 2) == 0) {
        heap_move(heap, &nodes[i], key);
        keys[i] = key;
    } else {
        heap_remove(heap, &nodes[i]);
        CHECK_EQ_UINT(nodes[i].index, HEAP_INDEX_NONE);
    }
}

static void
check_against_model(const struct heap *heap, const struct heap_node *nodes, const int64_t *keys)
{
    uint32_t count = 0;
    int64_t smallest = INT64_MAX;
    for (int i = 0; i < NODE_COUNT; i++) {
        if (nodes[i].index == HEAP_INDEX_NONE) continue;
        count++;
        CHECK_EQ_INT(heap->entries[nodes[i].index].key, keys[i]);
        if (keys[i] < smallest) smallest = keys[i];
    }
    CHECK_EQ_UINT(heap->count, count);
    if (count > 0) CHECK_EQ_INT(first_of(heap)->key, smallest);
}

TEST(heap_is_like_an_array_that_is_searched)
{
    for (uint64_t seed = 1; seed <= 16; seed++) {
        struct test_random random = { seed };
        /* Small heaps too: there the root changes all the time. */
        uint64_t node_count = seed % 2 == 0 ? NODE_COUNT : 1 + seed / 2;
        struct heap_node nodes[NODE_COUNT];
        int64_t keys[NODE_COUNT];
        for (int i = 0; i < NODE_COUNT; i++)
            nodes[i].index = HEAP_INDEX_NONE;
        struct heap heap;
        heap_init(&heap, &memory_heap);
        for (int i = 0; i < 3000; i++) {
            test_note("seed %d, step %d", (int)seed, i);
            step(&heap, nodes, keys, node_count, &random);
            check_heap(&heap);
            check_against_model(&heap, nodes, keys);
        }
        heap_deinit(&heap);
    }
}

TEST(heap_orders_equal_keys_the_same_each_time)
{
    struct heap_node nodes[2][NODE_COUNT];
    struct heap heaps[2];
    for (int h = 0; h < 2; h++) {
        struct test_random random = { 11 };
        heap_init(&heaps[h], &memory_heap);
        CHECK(heap_reserve(&heaps[h], NODE_COUNT));
        for (int i = 0; i < NODE_COUNT; i++) {
            nodes[h][i].index = HEAP_INDEX_NONE;
            heap_insert(&heaps[h], &nodes[h][i], (int64_t)test_random_below(&random, 5));
        }
    }
    for (int i = 0; i < NODE_COUNT; i++) {
        struct heap_node *left = first_of(&heaps[0])->node;
        struct heap_node *right = first_of(&heaps[1])->node;
        CHECK_EQ_INT(left - nodes[0], right - nodes[1]);
        heap_remove(&heaps[0], left);
        heap_remove(&heaps[1], right);
    }
    heap_deinit(&heaps[0]);
    heap_deinit(&heaps[1]);
}

TEST(heap_reserve_fails_without_memory_and_keeps_all)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 2);
    struct heap heap;
    heap_init(&heap, &fault.memory);
    struct heap_node nodes[NODE_COUNT];
    uint32_t count = 0;
    for (; heap_reserve(&heap, 1); count++) {
        nodes[count].index = HEAP_INDEX_NONE;
        heap_insert(&heap, &nodes[count], -(int64_t)count);
    }
    CHECK(fault.has_failed);
    CHECK_EQ_UINT(heap.count, count);
    check_heap(&heap);
    CHECK(heap_reserve(&heap, 1));
    check_heap(&heap);
    heap_deinit(&heap);
    fault_memory_check_empty(&fault);
}

TEST(heap_reserve_of_too_many_is_refused)
{
    struct heap heap;
    heap_init(&heap, &memory_heap);
    CHECK(!heap_reserve(&heap, UINT32_MAX));
    CHECK(heap_reserve(&heap, 0));
    heap_deinit(&heap);
}

struct strangers {
    struct heap heap;
    struct heap_node node;
};

static void insert_twice(void *user)
{
    struct strangers *strangers = user;
    heap_insert(&strangers->heap, &strangers->node, 1);
}

static void remove_from_wrong_heap(void *user)
{
    struct strangers *strangers = user;
    struct heap_node node = { 0 };
    heap_remove(&strangers->heap, &node);
}

TEST(heap_misuse_aborts)
{
    struct strangers strangers = { .node = { HEAP_INDEX_NONE } };
    heap_init(&strangers.heap, &memory_heap);
    CHECK(heap_reserve(&strangers.heap, 2));
    heap_insert(&strangers.heap, &strangers.node, 1);
    CHECK_ABORTS(insert_twice, &strangers);
    CHECK_ABORTS(remove_from_wrong_heap, &strangers);
    heap_deinit(&strangers.heap);
}
