#include "proto/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct bytes bytes, char *out_text)
{
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t left = bytes.size - at;
        uint32_t group = (uint32_t)(unsigned char)bytes.data[at] << 16;
        if (left > 1) group |= (uint32_t)(unsigned char)bytes.data[at + 1] << 8;
        if (left > 2) group |= (uint32_t)(unsigned char)bytes.data[at + 2];
        *out_text++ = letters[group >> 18];
        *out_text++ = letters[group >> 12 & 63];
        *out_text++ = left > 1 ? letters[group >> 6 & 63] : '=';
        *out_text++ = left > 2 ? letters[group & 63] : '=';
    }
}

/* 64 for what is no letter of it. */
static uint32_t value_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z') return (uint32_t)(letter - 'A');
    if (letter >= 'a' && letter <= 'z') return (uint32_t)(letter - 'a') + 26;
    if (letter >= '0' && letter <= '9') return (uint32_t)(letter - '0') + 52;
    if (letter == '+') return 62;
    return letter == '/' ? 63 : 64;
}

bool base64_decode(struct bytes text, char *out_bytes, size_t *out_size)
{
    if (text.size % 4 != 0) return false;
    size_t size = 0;
    for (size_t at = 0; at < text.size; at += 4) {
        const char *quad = text.data + at;
        bool is_last = at + 4 == text.size;
        size_t padding = is_last && quad[3] == '=' ? 1 + (quad[2] == '=') : 0;
        uint32_t group = 0;
        for (size_t index = 0; index < 4; index++) {
            uint32_t value = index < 4 - padding ? value_of(quad[index]) : 0;
            if (value == 64) return false;
            group = group << 6 | value;
        }
        /* Bits that mean nothing must be nothing: else two texts would be the same bytes. */
        if ((padding == 2 && (group & 0xffff) != 0) || (padding == 1 && (group & 0xff) != 0)) {
            return false;
        }
        out_bytes[size++] = (char)(group >> 16);
        if (padding < 2) out_bytes[size++] = (char)(group >> 8 & 255);
        if (padding < 1) out_bytes[size++] = (char)(group & 255);
    }
    *out_size = size;
    return true;
}
