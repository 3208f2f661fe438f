/* Two ways to the same sum: the processor's own instruction, eight bytes a step, and "slicing by
 * eight": table k holds the effect of a byte that has k further bytes behind it, so that eight
 * look-ups, none of which waits for another, replace eight that do.
 *
 * The tables are filled before main: 16 KiB of constants in the source would say less than the
 * eight lines that make them, and filling them on first use would need a lock. */
#include "base/crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#    include <nmmintrin.h>
#    define HAS_INSTRUCTION 1
#else
#    define HAS_INSTRUCTION 0
#endif

#define POLYNOMIAL_REVERSED UINT32_C(0x82f63b78)

static uint32_t tables[8][256];

__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL_REVERSED : 0);
        }
        tables[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        for (int k = 1; k < 8; k++) {
            uint32_t crc = tables[k - 1][byte];
            tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
        }
    }
}

static uint32_t load_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t size)
{
    const unsigned char *at = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ load_u32(at);
        uint32_t high = load_u32(at + 4);
        crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
              tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][(high >> 8) & 0xff] ^
              tables[1][(high >> 16) & 0xff] ^ tables[0][high >> 24];
    }
    for (; size > 0; size--, at++) {
        crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xff];
    }
    return ~crc;
}

#if HAS_INSTRUCTION
__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t crc, const unsigned char *at, size_t size)
{
    uint64_t sum = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        sum = _mm_crc32_u64(sum, word);
    }
    uint32_t rest = (uint32_t)sum;
    for (; size > 0; size--, at++) {
        rest = _mm_crc32_u8(rest, *at);
    }
    return ~rest;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
#if HAS_INSTRUCTION
    if (__builtin_cpu_supports("sse4.2")) return by_instruction(crc, data, size);
#endif
    return crc32c_by_table(crc, data, size);
}
