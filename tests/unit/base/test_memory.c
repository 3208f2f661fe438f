#include <string.h>

#include "base/memory.h"
#include "lib/fault_memory.h"
#include "lib/test.h"

TEST(memory_heap_keeps_contents_over_a_resize)
{
    char *block = memory_take(&memory_heap, 10);
    CHECK(block != NULL);
    memcpy(block, "0123456789", 10);
    block = memory_resize(&memory_heap, block, 10, 100000);
    CHECK(block != NULL);
    CHECK(memcmp(block, "0123456789", 10) == 0);
    block = memory_resize(&memory_heap, block, 100000, 5);
    CHECK(block != NULL);
    CHECK(memcmp(block, "01234", 5) == 0);
    memory_give(&memory_heap, block, 5);
    memory_give(&memory_heap, NULL, 0);
}

TEST(fault_memory_fails_the_call_it_was_told_to)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 2);
    void *first = memory_take(&fault.memory, 8);
    CHECK(first != NULL);
    CHECK(memory_take(&fault.memory, 8) == NULL);
    CHECK(fault.has_failed);
    void *third = memory_take(&fault.memory, 8);
    CHECK(third != NULL);
    CHECK_EQ_UINT(fault.block_count, 2);
    CHECK_EQ_UINT(fault.bytes_used, 16);
    memory_give(&fault.memory, first, 8);
    memory_give(&fault.memory, third, 8);
    fault_memory_check_empty(&fault);
}
