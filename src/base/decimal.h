/* decimal - numbers to digits and back, strictly: no sign for zero, no blanks, no overflow. */
#ifndef TENURE_BASE_DECIMAL_H
#define TENURE_BASE_DECIMAL_H

#include "base/assert.h"
#include "base/types.h"

#define DECIMAL_SIZE_MAX             20u
#define DECIMAL_THOUSANDTHS_SIZE_MAX (DECIMAL_SIZE_MAX + 2)

/* All of `text` must be 1–20 digits without a leading zero (but "0"), at most UINT64_MAX. */
MUST_USE bool decimal_parse(struct bytes text, uint64_t *out_value);
/* The same with an optional leading '-'. */
MUST_USE bool decimal_parse_signed(struct bytes text, int64_t *out_value);
/* For numbers of more than one digit; decimal_format is what to call. */
size_t decimal_format_long(uint64_t value, char out_text[static DECIMAL_SIZE_MAX]);
/* Write the digits, not terminated; returns how many.  Most numbers that are told are small. */
static inline size_t decimal_format(uint64_t value, char out_text[static DECIMAL_SIZE_MAX])
{
    if (value >= 10) return decimal_format_long(value, out_text);
    out_text[0] = (char)('0' + value);
    return 1;
}
size_t decimal_format_signed(int64_t value, char out_text[static DECIMAL_SIZE_MAX]);
/* With three decimals: 1234 becomes "1.234". */
size_t
decimal_format_thousandths(int64_t value, char out_text[static DECIMAL_THOUSANDTHS_SIZE_MAX]);

#endif
