#include "base/real.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"

/* The C library does the arithmetic, and its locale must not show: that is the program's, of which
 * this may be but a library.  So strtod is given no decimal point, and the one that snprintf writes
 * is replaced. */

/* Longer texts are of no use: 17 digits say all there is. */
#define TEXT_SIZE_MAX 128u
/* Far beyond a binary64, with as many digits as there can be. */
#define EXPONENT_MAX 100000

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_exponent_mark(char byte)
{
    return byte == 'e' || byte == 'E';
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
    if (at < text.size && is_exponent_mark(text.data[at])) {
        at++;
        at += is_sign(text, at);
        size_t exponent = count_digits(text, at);
        if (exponent == 0) return false;
        at += exponent;
    }
    return at == text.size;
}

/* `text` ends with this exponent, perhaps empty. */
static int64_t read_exponent(struct bytes text, size_t at)
{
    int64_t value = 0;
    bool is_negative = at < text.size && text.data[at] == '-';
    for (at += is_sign(text, at); at < text.size; at++) {
        if (value < EXPONENT_MAX) value = value * 10 + (text.data[at] - '0');
    }
    return is_negative ? -value : value;
}

/* A decimal without its point: 1.25e3 is 125e1. */
static double convert(struct bytes text)
{
    char plain[TEXT_SIZE_MAX + 1 + DECIMAL_SIZE_MAX + 1];
    size_t size = 0;
    size_t at = 0;
    int64_t decimals = 0;
    bool is_behind_point = false;
    for (; at < text.size && !is_exponent_mark(text.data[at]); at++) {
        if (text.data[at] == '.') {
            is_behind_point = true;
        } else {
            plain[size++] = text.data[at];
            decimals += is_behind_point;
        }
    }
    plain[size++] = 'e';
    size += decimal_format_signed(read_exponent(text, at + 1) - decimals, plain + size);
    plain[size] = '\0';
    return strtod(plain, NULL);
}

bool real_parse(struct bytes text, double *out_value)
{
    if (text.size >= TEXT_SIZE_MAX || !is_decimal(text)) return false;
    double value = convert(text);
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
    *out_value = is_negative ? -HUGE_VAL : HUGE_VAL;
    return true;
}

/* The locale's decimal point may be several bytes.  Returns the size. */
static size_t restore_point(char *text, size_t size)
{
    struct bytes written = { text, size };
    size_t at = is_sign(written, 0);
    at += count_digits(written, at);
    if (at == size || is_exponent_mark(text[at])) return size;
    size_t end = at;
    while (end < size && !is_digit(text[end])) {
        end++;
    }
    text[at] = '.';
    memmove(text + at + 1, text + end, size - end);
    return at + 1 + size - end;
}

size_t real_format(double value, char out_text[static REAL_SIZE_MAX])
{
    ASSERT(value >= -DBL_MAX && value <= DBL_MAX);
    size_t size = 0;
    for (int digits = 15; digits <= 17; digits++) {
        int written = snprintf(out_text, REAL_SIZE_MAX, "%.*g", digits, value);
        size = restore_point(out_text, (size_t)written);
        double again = convert((struct bytes){ out_text, size });
        if (again >= value && again <= value) break;
    }
    return size;
}
