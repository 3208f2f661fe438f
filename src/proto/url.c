#include "proto/url.h"

#include "base/decimal.h"

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

static bool is_forbidden(char byte)
{
    return (unsigned char)byte <= 0x20 || byte == 0x7f;
}

/* `plus` is what "+" means.  `out` may be where `text` is. */
static bool decode(struct bytes text, char plus, char *out, size_t *out_size)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (is_forbidden(byte)) return false;
        if (byte == '+') byte = plus;
        if (byte == '%') {
            if (text.size - i < 3) return false;
            int high = hex_digit(text.data[i + 1]);
            int low = hex_digit(text.data[i + 2]);
            if (high < 0 || low < 0) return false;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        out[size++] = byte;
    }
    *out_size = size;
    return true;
}

bool url_decode_path(struct bytes text, char *scratch, struct bytes *out_decoded)
{
    size_t plain = 0;
    while (plain < text.size && text.data[plain] != '%' && !is_forbidden(text.data[plain])) {
        plain++;
    }
    if (plain == text.size) {
        *out_decoded = text;
        return true;
    }
    size_t size;
    if (!decode(text, '+', scratch, &size)) return false;
    *out_decoded = (struct bytes){ scratch, size };
    return true;
}

void url_query_init(struct url_query *query, struct bytes text, char *scratch)
{
    query->rest = text;
    query->scratch = scratch;
}

/* The bytes of `text` before the first `separator`, or all. */
static struct bytes until(struct bytes text, char separator)
{
    const char *at = text.size == 0 ? NULL : memchr(text.data, separator, text.size);
    return (struct bytes){ text.data, at == NULL ? text.size : (size_t)(at - text.data) };
}

/* What is left of `text` behind its first `size` bytes and the separator that follows them. */
static struct bytes behind(struct bytes text, size_t size)
{
    if (size == text.size) return (struct bytes){ text.data + size, 0 };
    return (struct bytes){ text.data + size + 1, text.size - size - 1 };
}

static bool decode_part(struct url_query *query, struct bytes part, struct bytes *out_decoded)
{
    size_t size;
    if (!decode(part, ' ', query->scratch, &size)) return false;
    *out_decoded = (struct bytes){ query->scratch, size };
    query->scratch += size;
    return true;
}

enum url_step
url_query_next(struct url_query *query, struct bytes *out_key, struct bytes *out_value)
{
    while (query->rest.size > 0) {
        struct bytes pair = until(query->rest, '&');
        query->rest = behind(query->rest, pair.size);
        if (pair.size == 0) continue;
        struct bytes key = until(pair, '=');
        struct bytes value = behind(pair, key.size);
        struct bytes decoded_key;
        struct bytes decoded_value;
        if (!decode_part(query, key, &decoded_key)) return URL_BAD;
        if (!decode_part(query, value, &decoded_value)) return URL_BAD;
        *out_key = decoded_key;
        *out_value = decoded_value;
        return URL_PAIR;
    }
    return URL_END;
}

static bool is_host_byte(char byte, bool is_ipv6)
{
    bool is_alphanumeric = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                           (byte >= '0' && byte <= '9');
    if (is_alphanumeric || byte == '.') return true;
    return is_ipv6 ? byte == ':' || byte == '%' : byte == '-' || byte == '_';
}

bool url_parse_address(struct bytes text, struct url_address *out_address)
{
    bool is_ipv6 = text.size > 0 && text.data[0] == '[';
    if (is_ipv6) text = (struct bytes){ text.data + 1, text.size - 1 };
    struct bytes host = until(text, is_ipv6 ? ']' : ':');
    if (host.size == text.size || (is_ipv6 && host.size == 0)) return false;
    for (size_t i = 0; i < host.size; i++) {
        if (!is_host_byte(host.data[i], is_ipv6)) return false;
    }
    struct bytes rest = behind(text, host.size);
    if (is_ipv6) {
        if (rest.size == 0 || rest.data[0] != ':') return false;
        rest = (struct bytes){ rest.data + 1, rest.size - 1 };
    }
    uint64_t port;
    if (!decimal_parse(rest, &port) || port > UINT16_MAX) return false;
    *out_address = (struct url_address){ host, is_ipv6, (uint16_t)port };
    return true;
}
