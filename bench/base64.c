#include "base64.h"

void base64_write(struct bytes data, char *out_text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t word = (uint32_t)(unsigned char)data.data[i] << 16;
        if (left > 1) word |= (uint32_t)(unsigned char)data.data[i + 1] << 8;
        if (left > 2) word |= (uint32_t)(unsigned char)data.data[i + 2];
        *out_text++ = alphabet[word >> 18];
        *out_text++ = alphabet[word >> 12 & 63];
        *out_text++ = '=';
        *out_text++ = '=';
        if (left > 1) out_text[-2] = alphabet[word >> 6 & 63];
        if (left > 2) out_text[-1] = alphabet[word & 63];
    }
    *out_text = '\0';
}
