#include "base/decimal.h"

bool decimal_parse(struct bytes text, uint64_t *out_value)
{
    if (text.size == 0 || text.size > DECIMAL_SIZE_MAX) return false;
    if (text.data[0] == '0' && text.size > 1) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out_value = value;
    return true;
}

bool decimal_parse_signed(struct bytes text, int64_t *out_value)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    if (is_negative) text = (struct bytes){ text.data + 1, text.size - 1 };
    uint64_t magnitude;
    if (!decimal_parse(text, &magnitude)) return false;
    if (!is_negative) {
        if (magnitude > INT64_MAX) return false;
        *out_value = (int64_t)magnitude;
        return true;
    }
    if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1) return false;
    /* -(m - 1) - 1 reaches INT64_MIN without overflow on the way. */
    *out_value = -(int64_t)(magnitude - 1) - 1;
    return true;
}

size_t decimal_format(uint64_t value, char out_text[static DECIMAL_SIZE_MAX])
{
    char reversed[DECIMAL_SIZE_MAX];
    size_t size = 0;
    do {
        reversed[size++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < size; i++) {
        out_text[i] = reversed[size - 1 - i];
    }
    return size;
}

static uint64_t magnitude_of(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

size_t decimal_format_signed(int64_t value, char out_text[static DECIMAL_SIZE_MAX])
{
    char digits[DECIMAL_SIZE_MAX];
    size_t digit_count = decimal_format(magnitude_of(value), digits);
    size_t sign_size = value < 0 ? 1 : 0;
    if (value < 0) out_text[0] = '-';
    /* A signed number has at most 19 digits, so that the sign has room. */
    memcpy(out_text + sign_size, digits, digit_count);
    return sign_size + digit_count;
}

size_t decimal_format_thousandths(int64_t value, char out_text[static DECIMAL_THOUSANDTHS_SIZE_MAX])
{
    uint64_t magnitude = magnitude_of(value);
    uint64_t fraction = magnitude % 1000;
    size_t sign_size = value < 0 ? 1 : 0;
    if (value < 0) out_text[0] = '-';
    char *at = out_text + sign_size;
    at += decimal_format(magnitude / 1000, at);
    *at++ = '.';
    *at++ = (char)('0' + fraction / 100);
    *at++ = (char)('0' + fraction / 10 % 10);
    *at++ = (char)('0' + fraction % 10);
    return (size_t)(at - out_text);
}
