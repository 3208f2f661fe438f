/* fault_memory - an allocator that refuses on demand and keeps accounts.
 *
 *     for (uint64_t n = 1;; n++) {
 *         struct fault_memory fault;
 *         fault_memory_init(&fault, n);
 *         ... run with &fault.memory ...
 *         fault_memory_check_empty(&fault);
 *         if (!fault.has_failed) break;
 *     }
 *
 * It fails the test when a block comes back with another size than it was given with.  New bytes
 * are never zero, so that code which needs cleared memory is found out.  For one thread. */
#ifndef TENURE_TESTS_LIB_FAULT_MEMORY_H
#define TENURE_TESTS_LIB_FAULT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

struct fault_memory {
    struct memory memory;
    uint64_t call_count; /* allocations and growths asked for so far */
    uint64_t fail_at;    /* the call that fails, from 1; 0 for none */
    bool is_failing_on;  /* all later ones fail too; false after init */
    bool has_failed;
    uint64_t block_count; /* given out and not yet back */
    uint64_t bytes_used;
    uint64_t bytes_used_max;
    uint64_t size_max; /* of one block; a larger one fails the test; UINT64_MAX after init */
};

void fault_memory_init(struct fault_memory *fault, uint64_t fail_at);
/* Fail the test if a block has not come back. */
void fault_memory_check_empty(const struct fault_memory *fault);

#endif
