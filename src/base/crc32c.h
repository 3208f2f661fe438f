/* crc32c - CRC-32C (Castagnoli), by the SSE 4.2 instruction where the processor has it. */
#ifndef TENURE_BASE_CRC32C_H
#define TENURE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 at first) over `size` bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The same by tables alone: what crc32c does where the processor cannot help. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t size);

#endif
