/* heap - the earliest of many deadlines: a 4-ary min-heap of (key, node).
 *
 * Each node knows its place, so that a node in the middle is removed in O(log n).  The key lies in
 * the array beside the pointer: comparisons touch no node.  Equal keys leave in no promised order,
 * but always in the same order for the same calls. */
#ifndef TENURE_BASE_HEAP_H
#define TENURE_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

#define HEAP_INDEX_NONE UINT32_MAX

struct heap_node {
    uint32_t index; /* HEAP_INDEX_NONE while in no heap */
};

struct heap_entry {
    int64_t key;
    struct heap_node *node;
};

struct heap {
    struct heap_entry *entries;
    uint32_t count;
    uint32_t capacity;
    const struct memory *memory;
};

void heap_init(struct heap *heap, const struct memory *memory);
void heap_deinit(struct heap *heap);
/* Make room for `more` further nodes.  False when there is no memory. */
MUST_USE bool heap_reserve(struct heap *heap, uint32_t more);
/* Room must have been reserved; the node must be in no heap. */
void heap_insert(struct heap *heap, struct heap_node *node, int64_t key);
/* Accepts a node that is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* Give a node another key. */
void heap_move(struct heap *heap, struct heap_node *node, int64_t key);

static inline const struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : &heap->entries[0];
}

#endif
