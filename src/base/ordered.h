/* ordered - the first of many by two keys: a 4-ary min-heap of (key, tie, node).
 *
 * As a heap (base/heap.h), but what has the same key leaves by the smaller tie.  With ties that are
 * unique the order is total: it does not depend on how the nodes came in. */
#ifndef TENURE_BASE_ORDERED_H
#define TENURE_BASE_ORDERED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

#define ORDERED_INDEX_NONE UINT32_MAX

struct ordered_node {
    uint32_t index; /* ORDERED_INDEX_NONE while in no ordered */
};

struct ordered_entry {
    int64_t key;
    uint64_t tie;
    struct ordered_node *node;
};

struct ordered {
    struct ordered_entry *entries;
    uint32_t count;
    uint32_t capacity;
    const struct memory *memory;
};

void ordered_init(struct ordered *ordered, const struct memory *memory);
void ordered_deinit(struct ordered *ordered);
/* Make room for `more` further nodes.  False when there is no memory. */
MUST_USE bool ordered_reserve(struct ordered *ordered, uint32_t more);
/* Room must have been reserved; the node must be in no ordered. */
void ordered_insert(struct ordered *ordered, struct ordered_node *node, int64_t key, uint64_t tie);
/* Accepts a node that is in no ordered. */
void ordered_remove(struct ordered *ordered, struct ordered_node *node);
/* Give a node another key; its tie stays. */
void ordered_move(struct ordered *ordered, struct ordered_node *node, int64_t key);

static inline const struct ordered_entry *ordered_first(const struct ordered *ordered)
{
    return ordered->count == 0 ? NULL : &ordered->entries[0];
}

#endif
