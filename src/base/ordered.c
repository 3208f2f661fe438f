/* As heap.c, with a second key. */
#include "base/ordered.h"

#include "base/assert.h"

#define ARITY        4u
#define CAPACITY_MIN 4u
#define CAPACITY_MAX (ORDERED_INDEX_NONE - 1)

void ordered_init(struct ordered *ordered, const struct memory *memory)
{
    *ordered = (struct ordered){ .memory = memory };
}

void ordered_deinit(struct ordered *ordered)
{
    memory_give(ordered->memory, ordered->entries, ordered->capacity * sizeof(*ordered->entries));
    *ordered = (struct ordered){ .memory = ordered->memory };
}

bool ordered_reserve(struct ordered *ordered, uint32_t more)
{
    if (more <= ordered->capacity - ordered->count) return true;
    if (more > CAPACITY_MAX - ordered->count) return false;

    uint64_t capacity = (uint64_t)ordered->capacity + ordered->capacity / 2;
    if (capacity < ordered->count + more) capacity = ordered->count + more;
    if (capacity < CAPACITY_MIN) capacity = CAPACITY_MIN;
    if (capacity > CAPACITY_MAX) capacity = CAPACITY_MAX;
    size_t entry_size = sizeof(*ordered->entries);
    struct ordered_entry *entries = memory_resize(
        ordered->memory, ordered->entries, ordered->capacity * entry_size, capacity * entry_size);
    if (entries == NULL) return false;
    ordered->entries = entries;
    ordered->capacity = (uint32_t)capacity;
    return true;
}

static bool is_less(struct ordered_entry left, struct ordered_entry right)
{
    if (left.key != right.key) return left.key < right.key;
    return left.tie < right.tie;
}

static void place(struct ordered *ordered, uint32_t index, struct ordered_entry entry)
{
    ordered->entries[index] = entry;
    entry.node->index = index;
}

/* Find the place of `entry` on the way from the free place `index` to the root. */
static void sift_up(struct ordered *ordered, uint32_t index, struct ordered_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / ARITY;
        if (!is_less(entry, ordered->entries[parent])) break;
        place(ordered, index, ordered->entries[parent]);
        index = parent;
    }
    place(ordered, index, entry);
}

static uint32_t smallest_child(const struct ordered *ordered, uint64_t first)
{
    uint64_t end = first + ARITY < ordered->count ? first + ARITY : ordered->count;
    uint64_t smallest = first;
    for (uint64_t child = first + 1; child < end; child++) {
        if (is_less(ordered->entries[child], ordered->entries[smallest])) smallest = child;
    }
    return (uint32_t)smallest;
}

/* Find the place of `entry` on the way from the free place `index` to the leaves. */
static void sift_down(struct ordered *ordered, uint32_t index, struct ordered_entry entry)
{
    for (;;) {
        uint64_t first = (uint64_t)index * ARITY + 1;
        if (first >= ordered->count) break;
        uint32_t child = smallest_child(ordered, first);
        if (!is_less(ordered->entries[child], entry)) break;
        place(ordered, index, ordered->entries[child]);
        index = child;
    }
    place(ordered, index, entry);
}

static void settle(struct ordered *ordered, uint32_t index, struct ordered_entry entry)
{
    if (index > 0 && is_less(entry, ordered->entries[(index - 1) / ARITY])) {
        sift_up(ordered, index, entry);
    } else {
        sift_down(ordered, index, entry);
    }
}

static bool holds(const struct ordered *ordered, const struct ordered_node *node)
{
    return node->index < ordered->count && ordered->entries[node->index].node == node;
}

void ordered_insert(struct ordered *ordered, struct ordered_node *node, int64_t key, uint64_t tie)
{
    ASSERT(node->index == ORDERED_INDEX_NONE);
    ASSERT(ordered->count < ordered->capacity);
    ordered->count++;
    sift_up(ordered, ordered->count - 1, (struct ordered_entry){ key, tie, node });
}

void ordered_remove(struct ordered *ordered, struct ordered_node *node)
{
    if (node->index == ORDERED_INDEX_NONE) return;
    ASSERT(holds(ordered, node));
    uint32_t index = node->index;
    node->index = ORDERED_INDEX_NONE;
    ordered->count--;
    if (index < ordered->count) settle(ordered, index, ordered->entries[ordered->count]);
}

void ordered_move(struct ordered *ordered, struct ordered_node *node, int64_t key)
{
    ASSERT(holds(ordered, node));
    settle(
        ordered,
        node->index,
        (struct ordered_entry){ key, ordered->entries[node->index].tie, node });
}
