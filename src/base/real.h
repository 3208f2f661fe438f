/* real - finite numbers to the shortest decimal text that means the same, and back, strictly. */
#ifndef TENURE_BASE_REAL_H
#define TENURE_BASE_REAL_H

#include "base/assert.h"
#include "base/types.h"

#define REAL_SIZE_MAX 32u

/* All of `text` must be a decimal number as JSON has them, a leading '+' or '.' too; it must not be
 * too large for a binary64.  No blanks, no words. */
MUST_USE bool real_parse(struct bytes text, double *out_value);
/* The same, or "inf", "+inf", "-inf". */
MUST_USE bool real_parse_extended(struct bytes text, double *out_value);
/* Write the digits, not terminated; returns how many.  The value must be finite. */
size_t real_format(double value, char out_text[static REAL_SIZE_MAX]);

#endif
