#include "base/memory.h"

#include <stdlib.h>

static void *heap_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void)context;
    (void)old_size;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_size);
}

const struct memory memory_heap = { heap_resize, NULL };
