#include "base/real.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Longer texts are of no use: 17 digits say all there is. */
#define TEXT_SIZE_MAX 128u

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static size_t count_digits(struct bytes text, size_t at)
{
    size_t count = 0;
    while (at + count < text.size && is_digit(text.data[at + count])) {
        count++;
    }
    return count;
}

static bool is_sign(struct bytes text, size_t at)
{
    return at < text.size && (text.data[at] == '-' || text.data[at] == '+');
}

static bool is_decimal(struct bytes text)
{
    size_t at = is_sign(text, 0);
    size_t digits = count_digits(text, at);
    at += digits;
    if (at < text.size && text.data[at] == '.') {
        size_t decimals = count_digits(text, at + 1);
        digits += decimals;
        at += 1 + decimals;
    }
    if (digits == 0) return false;
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        at += is_sign(text, at);
        size_t exponent = count_digits(text, at);
        if (exponent == 0) return false;
        at += exponent;
    }
    return at == text.size;
}

bool real_parse(struct bytes text, double *out_value)
{
    char copy[TEXT_SIZE_MAX];
    if (text.size >= sizeof copy || !is_decimal(text)) return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    double value = strtod(copy, NULL);
    if (!(value >= -DBL_MAX && value <= DBL_MAX)) return false;
    *out_value = value;
    return true;
}

bool real_parse_extended(struct bytes text, double *out_value)
{
    bool is_negative = text.size == 4 && text.data[0] == '-';
    struct bytes word = text;
    if (text.size == 4 && (is_negative || text.data[0] == '+')) {
        word = (struct bytes){ text.data + 1, 3 };
    }
    if (!bytes_equal(word, BYTES_LITERAL("inf"))) return real_parse(text, out_value);
    *out_value = is_negative ? -INFINITY : INFINITY;
    return true;
}

size_t real_format(double value, char out_text[static REAL_SIZE_MAX])
{
    ASSERT(value >= -DBL_MAX && value <= DBL_MAX);
    int size = 0;
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(out_text, REAL_SIZE_MAX, "%.*g", digits, value);
        double again = strtod(out_text, NULL);
        if (again >= value && again <= value) break;
    }
    return (size_t)size;
}
