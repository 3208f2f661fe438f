/* Four children a node make the tree half as deep as two would, and the four keys lie side by side:
 * fewer cache misses on the way down, which is where a deadline heap spends its time. */
#include "base/heap.h"

#include "base/assert.h"

#define ARITY        4u
#define CAPACITY_MIN 16u
#define CAPACITY_MAX (HEAP_INDEX_NONE - 1)

void heap_init(struct heap *heap, const struct memory *memory)
{
    *heap = (struct heap){ .memory = memory };
}

void heap_deinit(struct heap *heap)
{
    memory_give(heap->memory, heap->entries, heap->capacity * sizeof(*heap->entries));
    *heap = (struct heap){ .memory = heap->memory };
}

bool heap_reserve(struct heap *heap, uint32_t more)
{
    if (more <= heap->capacity - heap->count) return true;
    if (more > CAPACITY_MAX - heap->count) return false;

    uint64_t capacity = (uint64_t)heap->capacity + heap->capacity / 2;
    if (capacity < heap->count + more) capacity = heap->count + more;
    if (capacity < CAPACITY_MIN) capacity = CAPACITY_MIN;
    if (capacity > CAPACITY_MAX) capacity = CAPACITY_MAX;
    size_t entry_size = sizeof(*heap->entries);
    struct heap_entry *entries = memory_resize(
        heap->memory, heap->entries, heap->capacity * entry_size, capacity * entry_size);
    if (entries == NULL) return false;
    heap->entries = entries;
    heap->capacity = (uint32_t)capacity;
    return true;
}

static void place(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    heap->entries[index] = entry;
    entry.node->index = index;
}

/* Find the place of `entry` on the way from the free place `index` to the root. */
static void sift_up(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / ARITY;
        if (heap->entries[parent].key <= entry.key) break;
        place(heap, index, heap->entries[parent]);
        index = parent;
    }
    place(heap, index, entry);
}

static uint32_t smallest_child(const struct heap *heap, uint64_t first)
{
    uint64_t end = first + ARITY < heap->count ? first + ARITY : heap->count;
    uint64_t smallest = first;
    for (uint64_t child = first + 1; child < end; child++) {
        if (heap->entries[child].key < heap->entries[smallest].key) smallest = child;
    }
    return (uint32_t)smallest;
}

/* Find the place of `entry` on the way from the free place `index` to the leaves. */
static void sift_down(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    for (;;) {
        uint64_t first = (uint64_t)index * ARITY + 1;
        if (first >= heap->count) break;
        uint32_t child = smallest_child(heap, first);
        if (entry.key <= heap->entries[child].key) break;
        place(heap, index, heap->entries[child]);
        index = child;
    }
    place(heap, index, entry);
}

static void settle(struct heap *heap, uint32_t index, struct heap_entry entry)
{
    if (index > 0 && entry.key < heap->entries[(index - 1) / ARITY].key) {
        sift_up(heap, index, entry);
    } else {
        sift_down(heap, index, entry);
    }
}

static bool holds(const struct heap *heap, const struct heap_node *node)
{
    return node->index < heap->count && heap->entries[node->index].node == node;
}

void heap_insert(struct heap *heap, struct heap_node *node, int64_t key)
{
    ASSERT(node->index == HEAP_INDEX_NONE);
    ASSERT(heap->count < heap->capacity);
    heap->count++;
    sift_up(heap, heap->count - 1, (struct heap_entry){ key, node });
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->index == HEAP_INDEX_NONE) return;
    ASSERT(holds(heap, node));
    uint32_t index = node->index;
    node->index = HEAP_INDEX_NONE;
    heap->count--;
    if (index < heap->count) settle(heap, index, heap->entries[heap->count]);
}

void heap_move(struct heap *heap, struct heap_node *node, int64_t key)
{
    ASSERT(holds(heap, node));
    settle(heap, node->index, (struct heap_entry){ key, node });
}
