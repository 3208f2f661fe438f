#include "base/decimal.h"

bool decimal_parse(struct bytes text, uint64_t *out_value)
{
    if (text.size == 0 || text.size > DECIMAL_SIZE_MAX) return false;
    if (text.data[0] == '0' && text.size > 1) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        /* Only the last possible digit can be one too many. */
        if (i == DECIMAL_SIZE_MAX - 1 && value > (UINT64_MAX - digit) / 10) return false;
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

static size_t digit_count(uint64_t value)
{
    size_t count = 1;
    while (value >= 10000) {
        value /= 10000;
        count += 4;
    }
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Two digits at a time, from the last. */
size_t decimal_format_long(uint64_t value, char out_text[static DECIMAL_SIZE_MAX])
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    size_t size = digit_count(value);
    size_t left = size;
    while (left >= 2) {
        left -= 2;
        memcpy(out_text + left, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (left == 1) out_text[0] = (char)('0' + value);
    return size;
}

static uint64_t magnitude_of(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

size_t decimal_format_signed(int64_t value, char out_text[static DECIMAL_SIZE_MAX])
{
    char digits[DECIMAL_SIZE_MAX];
    size_t digits_size = decimal_format(magnitude_of(value), digits);
    size_t sign_size = value < 0 ? 1 : 0;
    if (value < 0) out_text[0] = '-';
    /* A signed number has at most 19 digits, so that the sign has room. */
    memcpy(out_text + sign_size, digits, digits_size);
    return sign_size + digits_size;
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
