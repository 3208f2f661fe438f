/* memory - the one allocator hook.
 *
 * Everything that allocates through it can be made to fail on the n-th call, which is how the
 * failure paths are tested.  Sizes are passed back on release so that a hook may account. */
#ifndef TENURE_BASE_MEMORY_H
#define TENURE_BASE_MEMORY_H

#include <stddef.h>

#include "base/assert.h"

/* `resize` allocates (old NULL, old_size 0), grows, shrinks, or frees (new_size 0, returns NULL).
 * On failure it returns NULL and leaves the old block as it is. */
struct memory {
    void *(*resize)(void *context, void *old, size_t old_size, size_t new_size);
    void *context;
};

/* The process heap. */
extern const struct memory memory_heap;

/* New bytes, not cleared.  NULL when there are none. */
MUST_USE static inline void *memory_take(const struct memory *memory, size_t size)
{
    return memory->resize(memory->context, NULL, 0, size);
}

MUST_USE static inline void *
memory_resize(const struct memory *memory, void *old, size_t old_size, size_t new_size)
{
    return memory->resize(memory->context, old, old_size, new_size);
}

/* Accepts NULL. */
static inline void memory_give(const struct memory *memory, void *block, size_t size)
{
    if (block != NULL) (void)memory->resize(memory->context, block, size, 0);
}

#endif
