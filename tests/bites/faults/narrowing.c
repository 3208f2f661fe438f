/* A conversion that loses bits: the build itself must refuse it. */
#include <stdint.h>

uint8_t narrowing(uint64_t wide);

uint8_t narrowing(uint64_t wide)
{
    return wide;
}
