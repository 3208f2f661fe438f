#include "proto/json_writer.h"

#include "base/decimal.h"
#include "base/real.h"
#include "proto/base64.h"

_Static_assert(JSON_DEPTH_MAX < 64, "a bit for each depth");

void json_writer_init(struct json_writer *json, struct buffer *out)
{
    *json = (struct json_writer){ .out = out };
}

static uint64_t bit_of(const struct json_writer *json)
{
    return UINT64_C(1) << json->depth;
}

/* Before a value or a key: the comma, where one belongs. */
static void separate(struct json_writer *json)
{
    if ((json->has_values & bit_of(json)) != 0) {
        ASSERT(json->depth > 0);
        buffer_append_byte(json->out, ',');
    }
    json->has_values |= bit_of(json);
}

static void begin_value(struct json_writer *json)
{
    if (json->has_key) {
        json->has_key = false;
    } else {
        ASSERT((json->is_object & bit_of(json)) == 0);
        separate(json);
    }
}

static void begin_container(struct json_writer *json, char bracket, bool is_object)
{
    begin_value(json);
    ASSERT(json->depth < JSON_DEPTH_MAX);
    buffer_append_byte(json->out, bracket);
    json->depth++;
    json->has_values &= ~bit_of(json);
    json->is_object &= ~bit_of(json);
    if (is_object) json->is_object |= bit_of(json);
}

static void end_container(struct json_writer *json, char bracket, bool is_object)
{
    ASSERT(json->depth > 0 && !json->has_key);
    ASSERT(((json->is_object & bit_of(json)) != 0) == is_object);
    json->is_object &= ~bit_of(json);
    json->depth--;
    buffer_append_byte(json->out, bracket);
}

void json_begin_object(struct json_writer *json)
{
    begin_container(json, '{', true);
}

void json_end_object(struct json_writer *json)
{
    end_container(json, '}', true);
}

void json_begin_array(struct json_writer *json)
{
    begin_container(json, '[', false);
}

void json_end_array(struct json_writer *json)
{
    end_container(json, ']', false);
}

static bool is_safe(unsigned char byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

static void append_escape(struct buffer *out, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    char letter = byte < 0x20 ? letters[byte] : (char)byte;
    if (letter != 0) {
        char escape[2] = { '\\', letter };
        buffer_append(out, escape, sizeof(escape));
    } else {
        char escape[6] = { '\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 0xf] };
        buffer_append(out, escape, sizeof(escape));
    }
}

static void append_string(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (is_safe(byte)) continue;
        buffer_append(out, text.data + start, i - start);
        append_escape(out, byte);
        start = i + 1;
    }
    if (start < text.size) buffer_append(out, text.data + start, text.size - start);
    buffer_append_byte(out, '"');
}

static void begin_key(struct json_writer *json)
{
    ASSERT((json->is_object & bit_of(json)) != 0 && !json->has_key);
    separate(json);
    json->has_key = true;
}

void json_key(struct json_writer *json, const char *key)
{
    begin_key(json);
    struct bytes word = bytes_from_text(key);
    char *at = buffer_extend(json->out, word.size + 3);
    if (at == NULL) return;
    at[0] = '"';
    memcpy(at + 1, word.data, word.size);
    at[word.size + 1] = '"';
    at[word.size + 2] = ':';
}

void json_key_bytes(struct json_writer *json, struct bytes key)
{
    begin_key(json);
    append_string(json->out, key);
    buffer_append_byte(json->out, ':');
}

void json_text(struct json_writer *json, struct bytes text)
{
    begin_value(json);
    append_string(json->out, text);
}

void json_base64(struct json_writer *json, struct bytes bytes)
{
    begin_value(json);
    char *at = buffer_extend(json->out, BASE64_SIZE(bytes.size) + 2);
    if (at == NULL) return;
    *at++ = '"';
    base64_encode(bytes, at);
    at[BASE64_SIZE(bytes.size)] = '"';
}

void json_unsigned(struct json_writer *json, uint64_t value)
{
    char digits[DECIMAL_SIZE_MAX];
    begin_value(json);
    buffer_append(json->out, digits, decimal_format(value, digits));
}

void json_signed(struct json_writer *json, int64_t value)
{
    char digits[DECIMAL_SIZE_MAX];
    begin_value(json);
    buffer_append(json->out, digits, decimal_format_signed(value, digits));
}

void json_thousandths(struct json_writer *json, int64_t value)
{
    char digits[DECIMAL_THOUSANDTHS_SIZE_MAX];
    begin_value(json);
    buffer_append(json->out, digits, decimal_format_thousandths(value, digits));
}

void json_double(struct json_writer *json, double value)
{
    char digits[REAL_SIZE_MAX];
    begin_value(json);
    buffer_append(json->out, digits, real_format(value, digits));
}

void json_bool(struct json_writer *json, bool value)
{
    begin_value(json);
    buffer_append_bytes(json->out, value ? BYTES_LITERAL("true") : BYTES_LITERAL("false"));
}

void json_null_value(struct json_writer *json)
{
    begin_value(json);
    buffer_append(json->out, "null", 4);
}
