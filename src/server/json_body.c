/* json_body - see json_body.h. */
#include "server/json_body.h"

#include "base/decimal.h"
#include "base/utf8.h"

struct reader {
    const char *at;
    const char *end;
    const char *start;
    char *scratch;
    struct args *args;
    struct args_error *error;
};

static bool fail_syntax(const struct reader *reader, const char *what)
{
    return args_fail(
        reader->error,
        "",
        "the body is not valid JSON: %s at byte %td",
        what,
        reader->at - reader->start);
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
    {
        reader->at++;
    }
}

/* The next character that is no blank; '\0' at the end (and for a NUL, which fits nowhere). */
static char peek(struct reader *reader)
{
    skip_blanks(reader);
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char wanted, const char *what)
{
    if (peek(reader) != wanted) return fail_syntax(reader, what);
    reader->at++;
    return true;
}

/* ------------------------------------------------------------------ strings */

static bool read_hex4(struct reader *reader, uint32_t *out_unit)
{
    if (reader->end - reader->at < 4) return fail_syntax(reader, "an escape is cut off");
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        char digit = reader->at[i];
        uint32_t value = 0;
        if (digit >= '0' && digit <= '9') {
            value = (uint32_t)(digit - '0');
        } else if (digit >= 'a' && digit <= 'f') {
            value = (uint32_t)(digit - 'a') + 10;
        } else if (digit >= 'A' && digit <= 'F') {
            value = (uint32_t)(digit - 'A') + 10;
        } else {
            return fail_syntax(reader, "\\u needs four hexadecimal digits");
        }
        unit = unit << 4 | value;
    }
    reader->at += 4;
    *out_unit = unit;
    return true;
}

static void put_utf8(struct reader *reader, uint32_t point)
{
    if (point < 0x80) {
        *reader->scratch++ = (char)point;
        return;
    }
    if (point < 0x800) {
        *reader->scratch++ = (char)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *reader->scratch++ = (char)(0xe0 | point >> 12);
        } else {
            *reader->scratch++ = (char)(0xf0 | point >> 18);
            *reader->scratch++ = (char)(0x80 | (point >> 12 & 0x3f));
        }
        *reader->scratch++ = (char)(0x80 | (point >> 6 & 0x3f));
    }
    *reader->scratch++ = (char)(0x80 | (point & 0x3f));
}

/* Behind "\u".  Six or twelve bytes of input become at most three or four. */
static bool read_unicode_escape(struct reader *reader)
{
    uint32_t point = 0;
    if (!read_hex4(reader, &point)) return false;
    if (point == 0) return fail_syntax(reader, "U+0000 is not accepted");
    if (point >= 0xdc00 && point <= 0xdfff) return fail_syntax(reader, "a lone surrogate");
    if (point >= 0xd800 && point <= 0xdbff) {
        uint32_t low = 0;
        if (reader->end - reader->at < 2 || reader->at[0] != '\\' || reader->at[1] != 'u') {
            return fail_syntax(reader, "a lone surrogate");
        }
        reader->at += 2;
        if (!read_hex4(reader, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return fail_syntax(reader, "a lone surrogate");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(reader, point);
    return true;
}

/* Behind the backslash. */
static bool read_escape(struct reader *reader)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end) return fail_syntax(reader, "an escape is cut off");
    char letter = *reader->at++;
    if (letter == 'u') return read_unicode_escape(reader);
    const char *place = letter == '\0' ? NULL : strchr(from, letter);
    if (place == NULL) return fail_syntax(reader, "an unknown escape");
    *reader->scratch++ = to[place - from];
    return true;
}

/* Behind the first quote.  Without escapes the text points into the body, else into the scratch. */
static bool read_string(struct reader *reader, struct bytes *out_text)
{
    const char *start = reader->at;
    char *copy = reader->scratch;
    bool is_copied = false;
    while (reader->at < reader->end) {
        char letter = *reader->at;
        if (letter == '"') {
            if (is_copied) {
                *out_text = (struct bytes){ copy, (size_t)(reader->scratch - copy) };
            } else {
                *out_text = (struct bytes){ start, (size_t)(reader->at - start) };
            }
            reader->at++;
            return true;
        }
        if ((unsigned char)letter < 0x20) return fail_syntax(reader, "a control character");
        if (letter == '\\') {
            if (!is_copied) {
                memcpy(copy, start, (size_t)(reader->at - start));
                reader->scratch += reader->at - start;
                is_copied = true;
            }
            reader->at++;
            if (!read_escape(reader)) return false;
            continue;
        }
        if (is_copied) *reader->scratch++ = letter;
        reader->at++;
    }
    return fail_syntax(reader, "a string without an end");
}

/* ------------------------------------------------------------------- values */

static size_t count_digits(struct bytes text, size_t at)
{
    size_t count = 0;
    while (at + count < text.size && text.data[at + count] >= '0' && text.data[at + count] <= '9') {
        count++;
    }
    return count;
}

static bool is_one_of(struct bytes text, size_t at, const char *letters)
{
    return at < text.size && text.data[at] != '\0' && strchr(letters, text.data[at]) != NULL;
}

/* As RFC 8259 writes numbers. */
static bool is_number(struct bytes text)
{
    size_t at = is_one_of(text, 0, "-");
    size_t whole = count_digits(text, at);
    if (whole == 0 || (whole > 1 && text.data[at] == '0')) return false;
    at += whole;
    if (is_one_of(text, at, ".")) {
        size_t decimals = count_digits(text, at + 1);
        if (decimals == 0) return false;
        at += 1 + decimals;
    }
    if (is_one_of(text, at, "eE")) {
        at++;
        at += is_one_of(text, at, "+-");
        size_t exponent = count_digits(text, at);
        if (exponent == 0) return false;
        at += exponent;
    }
    return at == text.size;
}

/* A number as JSON writes it, of which mostly only the whole ones are wanted. */
static bool read_number(struct reader *reader, enum arg arg)
{
    const char *start = reader->at;
    while (reader->at < reader->end && *reader->at != '\0' &&
           strchr("+-.0123456789eE", *reader->at) != NULL)
    {
        reader->at++;
    }
    struct bytes digits = { start, (size_t)(reader->at - start) };
    uint64_t value = 0;
    if (arg_type(arg) == ARG_TYPE_DECIMAL) {
        if (!is_number(digits)) return fail_syntax(reader, "a number is not written as one");
        return args_set_text(reader->args, arg, digits, reader->error);
    }
    if (decimal_parse(digits, &value)) {
        return args_set_number(reader->args, arg, value, reader->error);
    }
    if (arg_type(arg) != ARG_TYPE_NUMBER && arg_type(arg) != ARG_TYPE_TTL) {
        return args_set_number(reader->args, arg, 0, reader->error);
    }
    return args_fail(
        reader->error,
        arg_name(arg),
        "%s must be a whole number, written with at most 20 digits and without a sign",
        arg_name(arg));
}

static bool read_names(struct reader *reader, enum arg arg)
{
    if (arg_type(arg) != ARG_TYPE_NAMES) {
        return args_fail(reader->error, arg_name(arg), "%s must not be a list", arg_name(arg));
    }
    reader->at++;
    if (peek(reader) == ']') {
        reader->at++;
        return args_end_names(reader->args, reader->error);
    }
    for (;;) {
        struct bytes name = { "", 0 };
        if (peek(reader) != '"') {
            return args_fail(reader->error, "names", "names must be a list of strings");
        }
        reader->at++;
        if (!read_string(reader, &name)) return false;
        if (!args_add_name(reader->args, name, reader->error)) return false;
        if (peek(reader) != ',') break;
        reader->at++;
    }
    return take(reader, ']', "a list goes on with ',' or ends with ']'") &&
           args_end_names(reader->args, reader->error);
}

static bool read_word(struct reader *reader, enum arg arg)
{
    size_t left = (size_t)(reader->end - reader->at);
    struct bytes rest = { reader->at, left };
    if (bytes_start_with(rest, BYTES_LITERAL("true"))) {
        reader->at += 4;
        return args_set_flag(reader->args, arg, true, reader->error);
    }
    if (bytes_start_with(rest, BYTES_LITERAL("false"))) {
        reader->at += 5;
        return args_set_flag(reader->args, arg, false, reader->error);
    }
    if (bytes_start_with(rest, BYTES_LITERAL("null"))) {
        return args_fail(
            reader->error, arg_name(arg), "%s must not be null; leave it out", arg_name(arg));
    }
    return fail_syntax(reader, "a value is missing");
}

static bool read_value(struct reader *reader, enum arg arg)
{
    char letter = peek(reader);
    if (letter == '"') {
        struct bytes text = { "", 0 };
        reader->at++;
        return read_string(reader, &text) && args_set_text(reader->args, arg, text, reader->error);
    }
    if (letter == '-' || (letter >= '0' && letter <= '9')) return read_number(reader, arg);
    if (letter == '[') return read_names(reader, arg);
    if (letter == '{') {
        return args_fail(reader->error, arg_name(arg), "%s must not be an object", arg_name(arg));
    }
    return read_word(reader, arg);
}

static bool read_member(struct reader *reader, const uint8_t *allowed)
{
    struct bytes name = { "", 0 };
    if (!take(reader, '"', "a member's name in quotes is missing")) return false;
    if (!read_string(reader, &name)) return false;
    enum arg arg = args_find(reader->args, allowed, name, reader->error);
    if (arg == ARG_COUNT) return false;
    return take(reader, ':', "behind a member's name ':' is missing") && read_value(reader, arg);
}

static bool read_object(struct reader *reader, const uint8_t *allowed)
{
    if (!take(reader, '{', "an object is expected")) return false;
    if (peek(reader) == '}') {
        reader->at++;
    } else {
        for (;;) {
            if (!read_member(reader, allowed)) return false;
            if (peek(reader) != ',') break;
            reader->at++;
        }
        if (!take(reader, '}', "an object goes on with ',' or ends with '}'")) return false;
    }
    skip_blanks(reader);
    return reader->at == reader->end || fail_syntax(reader, "there is more behind the object");
}

bool json_body_read(
    struct args *args,
    struct bytes body,
    const uint8_t *allowed,
    char **scratch,
    struct args_error *out_error)
{
    if (body.size == 0) return true;
    if (!utf8_is_valid(body)) return args_fail(out_error, "", "the body is not UTF-8");
    struct reader reader = {
        .at = body.data,
        .end = body.data + body.size,
        .start = body.data,
        .scratch = *scratch,
        .args = args,
        .error = out_error,
    };
    if (!read_object(&reader, allowed)) return false;
    *scratch = reader.scratch;
    return true;
}
