#include "lib/fault_memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"

#define FILLING 0xa5

/* Stands before each block; keeps the alignment that malloc gives. */
struct header {
    _Alignas(max_align_t) size_t size;
};

static struct header *header_of(void *block)
{
    return (struct header *)block - 1;
}

static void forget(struct fault_memory *fault, void *block, size_t size)
{
    if (block == NULL) {
        CHECK_EQ_UINT(size, 0);
        return;
    }
    CHECK_EQ_UINT(header_of(block)->size, size);
    memset(block, FILLING, size); /* whoever still looks at it shall see that */
    fault->block_count--;
    fault->bytes_used -= size;
}

static bool must_fail(struct fault_memory *fault)
{
    fault->call_count++;
    bool is_due = fault->is_failing_on ? fault->call_count >= fault->fail_at
                                       : fault->call_count == fault->fail_at;
    if (fault->fail_at == 0 || !is_due) return false;
    fault->has_failed = true;
    return true;
}

/* Always another block: nobody may rely on growth in place. */
static void *fault_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct fault_memory *fault = context;
    if (new_size == 0) {
        forget(fault, old, old_size);
        if (old != NULL) free(header_of(old));
        return NULL;
    }
    CHECK_LE_UINT(new_size, fault->size_max);
    if (must_fail(fault)) return NULL;
    struct header *header = malloc(sizeof(*header) + new_size);
    if (header == NULL) FAIL("the test itself has no memory for %zu bytes", new_size);
    header->size = new_size;
    memset(header + 1, FILLING, new_size);
    if (old != NULL) {
        memcpy(header + 1, old, old_size < new_size ? old_size : new_size);
    }
    forget(fault, old, old_size);
    if (old != NULL) free(header_of(old));
    fault->block_count++;
    fault->bytes_used += new_size;
    if (fault->bytes_used > fault->bytes_used_max) fault->bytes_used_max = fault->bytes_used;
    return header + 1;
}

void fault_memory_init(struct fault_memory *fault, uint64_t fail_at)
{
    *fault = (struct fault_memory){
        .memory = { fault_resize, fault },
        .fail_at = fail_at,
        .size_max = UINT64_MAX,
    };
}

void fault_memory_check_empty(const struct fault_memory *fault)
{
    CHECK_EQ_UINT(fault->block_count, 0);
    CHECK_EQ_UINT(fault->bytes_used, 0);
}
