/* decimal_id - ids that the engine makes for items without one: an underscore and a number. */
#ifndef TENURE_ENGINE_DECIMAL_ID_H
#define TENURE_ENGINE_DECIMAL_ID_H

#include "base/types.h"

#define DECIMAL_ID_SIZE_MAX 21u

static inline struct bytes decimal_id_make(uint64_t number, char out_text[DECIMAL_ID_SIZE_MAX])
{
    size_t start = DECIMAL_ID_SIZE_MAX;
    do {
        out_text[--start] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    out_text[--start] = '_';
    return (struct bytes){ out_text + start, DECIMAL_ID_SIZE_MAX - start };
}

/* False when it is none.  The number is that of the digits, modulo 2^64. */
static inline bool decimal_id_read(struct bytes id, uint64_t *out_number)
{
    uint64_t number = 0;
    if (id.size < 2 || id.data[0] != '_') return false;
    for (size_t index = 1; index < id.size; index++) {
        if (id.data[index] < '0' || id.data[index] > '9') return false;
        number = number * 10 + (uint64_t)(id.data[index] - '0');
    }
    *out_number = number;
    return true;
}

static inline bool decimal_id_is_made(struct bytes id)
{
    uint64_t number;
    return decimal_id_read(id, &number);
}

#endif
