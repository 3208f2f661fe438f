/* Faults that only a sanitizer or valgrind sees; each must fail its test. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"

static volatile int sink;

TEST(heap_overflow)
{
    volatile size_t size = 17;
    char *block = malloc(16);
    if (block == NULL) FAIL("malloc");
    memset(block, 1, size);
    sink = block[15];
    free(block);
}

TEST(use_after_free)
{
    char *volatile block = malloc(16);
    if (block == NULL) FAIL("malloc");
    block[3] = 1;
    free(block);
    sink = block[3];
}

TEST(signed_overflow)
{
    volatile int big = INT_MAX;
    sink = big + 1;
}

TEST(misaligned_load)
{
    _Alignas(8) char bytes[16] = { 0 };
    const void *volatile odd = bytes + 1;
    sink = *(const int *)odd;
}

TEST(leak)
{
    /* Many, because a register or an old stack frame may still know one. */
    static char *volatile last;
    for (int i = 0; i < 64; i++) {
        last = malloc(100);
        if (last == NULL) FAIL("malloc");
        last[0] = 1;
    }
}

TEST(uninitialised_branch)
{
    int *volatile number = malloc(sizeof(*number));
    if (number == NULL) FAIL("malloc");
    if (*number == 42) sink = 1;
    free(number);
}
