/* decimal_id - ids that the engine makes for items without one: an underscore and a number. */
#ifndef TENURE_ENGINE_DECIMAL_ID_H
#define TENURE_ENGINE_DECIMAL_ID_H

#include "base/decimal.h"

#define DECIMAL_ID_SIZE_MAX 21u

static inline struct bytes decimal_id_make(uint64_t number, char out_text[DECIMAL_ID_SIZE_MAX])
{
    _Static_assert(DECIMAL_ID_SIZE_MAX == 1 + DECIMAL_SIZE_MAX, "an underscore and all digits");
    out_text[0] = '_';
    return (struct bytes){ out_text, 1 + decimal_format(number, out_text + 1) };
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
