#include "proto/resp_reply.h"

#include "base/decimal.h"

/* Digits of a number that fits, whatever they are. */
#define SHORT_DIGITS_MAX 18u

/* What belongs to a type byte. */
enum form {
    FORM_NONE,      /* no such type */
    FORM_LINE,      /* the text is the line */
    FORM_NUMBER,    /* the line is an integer */
    FORM_BOOL,      /* the line is t or f */
    FORM_EMPTY,     /* the line is empty */
    FORM_BLOB,      /* the line is a size, and that many bytes follow */
    FORM_AGGREGATE, /* the line is a count */
    FORM_PAIRS,     /* the line is a count of pairs */
};

struct type {
    enum form form;
    enum resp_kind kind;
};

static const struct type types[128] = {
    ['+'] = { FORM_LINE, RESP_SIMPLE },     ['-'] = { FORM_LINE, RESP_ERROR },
    [','] = { FORM_LINE, RESP_DOUBLE },     ['('] = { FORM_LINE, RESP_BIG_NUMBER },
    [':'] = { FORM_NUMBER, RESP_INTEGER },  ['#'] = { FORM_BOOL, RESP_BOOL },
    ['_'] = { FORM_EMPTY, RESP_NULL },      ['$'] = { FORM_BLOB, RESP_BULK },
    ['!'] = { FORM_BLOB, RESP_ERROR },      ['='] = { FORM_BLOB, RESP_BULK },
    ['*'] = { FORM_AGGREGATE, RESP_ARRAY }, ['~'] = { FORM_AGGREGATE, RESP_SET },
    ['>'] = { FORM_AGGREGATE, RESP_PUSH },  ['%'] = { FORM_PAIRS, RESP_MAP },
    ['|'] = { FORM_PAIRS, RESP_ATTRIBUTE },
};

static enum proto_parse bad(const char *text, const char **out_text)
{
    *out_text = text;
    return PARSE_BAD;
}

/* The line that begins at `start`, without its end; `out_end` is behind that. */
static enum proto_parse find_line(
    struct bytes input,
    size_t start,
    struct bytes *out_line,
    size_t *out_end,
    const char **out_text)
{
    const char *from = input.data + start;
    size_t left = input.size - start;
    size_t limit = left < RESP_REPLY_LINE_SIZE_MAX ? left : RESP_REPLY_LINE_SIZE_MAX;
    const char *end = limit == 0 ? NULL : memchr(from, '\r', limit);
    size_t size = end == NULL ? limit : (size_t)(end - from);
    if (size == RESP_REPLY_LINE_SIZE_MAX) return bad("a line is too long", out_text);
    if (size + 2 > left) return PARSE_MORE;
    if (from[size + 1] != '\n') return bad("a line does not end in CR LF", out_text);
    *out_line = (struct bytes){ from, size };
    *out_end = start + size + 2;
    return PARSE_DONE;
}

/* -1, the null of RESP2, only for the two types that had it. */
static bool is_null(struct bytes line, enum resp_kind kind, char type)
{
    return (kind == RESP_ARRAY || type == '$') && bytes_equal(line, BYTES_LITERAL("-1"));
}

static enum proto_parse read_blob(
    struct bytes input,
    char type,
    struct bytes line,
    size_t *end,
    struct resp_token *token,
    const char **out_text)
{
    uint64_t size;
    if (!decimal_parse(line, &size)) return bad("a size is not a plain number", out_text);
    if (size > RESP_REPLY_STRING_SIZE_MAX) return bad("a string is too large", out_text);
    size_t left = input.size - *end;
    if (left < 2 || left - 2 < size) return PARSE_MORE;
    token->text = (struct bytes){ input.data + *end, size };
    if (memcmp(input.data + *end + size, "\r\n", 2) != 0) {
        return bad("a string is not followed by CR LF", out_text);
    }
    *end += size + 2;
    if (type != '=') return PARSE_DONE;
    if (size < 4 || token->text.data[3] != ':') {
        return bad("a verbatim string does not say its format", out_text);
    }
    token->text = (struct bytes){ token->text.data + 4, size - 4 };
    return PARSE_DONE;
}

static enum proto_parse
read_count(struct bytes line, uint32_t factor, struct resp_token *token, const char **out_text)
{
    uint64_t count;
    if (!decimal_parse(line, &count)) return bad("a count is not a plain number", out_text);
    if (count > (uint64_t)RESP_REPLY_COUNT_MAX / factor) return bad("too many values", out_text);
    token->count = (uint32_t)count * factor;
    return PARSE_DONE;
}

static enum proto_parse
read_bool(struct bytes line, struct resp_token *token, const char **out_text)
{
    bool is_true = bytes_equal(line, BYTES_LITERAL("t"));
    if (!is_true && !bytes_equal(line, BYTES_LITERAL("f"))) {
        return bad("a boolean is neither t nor f", out_text);
    }
    token->integer = is_true;
    return PARSE_DONE;
}

/* Integers and arrays whose line is a short plain number: nearly all that is ever read.  False: it
 * is something else, or not all there. */
static bool read_short(struct bytes input, size_t *position, struct resp_token *out_token)
{
    const char *end = input.data + input.size;
    const char *at = input.data + *position;
    char type = *at++;
    if (type != ':' && type != '*') return false;
    const char *line = at;
    uint64_t value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    size_t size = (size_t)(at - line);
    bool is_plain = size > 0 && size <= SHORT_DIGITS_MAX && (*line != '0' || size == 1);
    if (!is_plain || end - at < 2 || at[0] != '\r' || at[1] != '\n') return false;
    bool is_count = type == '*';
    if (is_count && value > (uint64_t)RESP_REPLY_COUNT_MAX) return false;
    *out_token = (struct resp_token){ .kind = is_count ? RESP_ARRAY : RESP_INTEGER,
                                      .integer = is_count ? 0 : (int64_t)value,
                                      .text = { line, 0 },
                                      .count = is_count ? (uint32_t)value : 0 };
    *position += size + 3;
    return true;
}

__attribute__((noinline)) static enum proto_parse
read_any(struct bytes input, size_t *position, struct resp_token *out_token, const char **out_text)
{
    char byte = input.data[*position];
    struct type type = types[byte & 0x7f];
    if ((byte & 0x80) != 0 || type.form == FORM_NONE) {
        return bad("a reply begins with no known type", out_text);
    }
    struct bytes line;
    size_t end;
    enum proto_parse result = find_line(input, *position + 1, &line, &end, out_text);
    if (result != PARSE_DONE) return result;

    struct resp_token token = { .kind = type.kind, .text = { line.data, 0 } };
    if (is_null(line, type.kind, byte)) {
        token.kind = RESP_NULL;
        type.form = FORM_LINE;
        line.size = 0;
    }
    switch (type.form) {
    case FORM_NONE: UNREACHABLE("refused above");
    case FORM_LINE: token.text = line; break;
    case FORM_NUMBER:
        if (!decimal_parse_signed(line, &token.integer)) {
            return bad("an integer is not a plain number", out_text);
        }
        break;
    case FORM_BOOL: result = read_bool(line, &token, out_text); break;
    case FORM_EMPTY:
        if (line.size != 0) return bad("a null has something in it", out_text);
        break;
    case FORM_BLOB: result = read_blob(input, byte, line, &end, &token, out_text); break;
    case FORM_AGGREGATE: result = read_count(line, 1, &token, out_text); break;
    case FORM_PAIRS: result = read_count(line, 2, &token, out_text); break;
    }
    if (result != PARSE_DONE) return result;
    *position = end;
    *out_token = token;
    return PARSE_DONE;
}

enum proto_parse resp_read_token(
    struct bytes input, size_t *position, struct resp_token *out_token, const char **out_text)
{
    ASSERT(*position <= input.size);
    if (*position == input.size) return PARSE_MORE;
    if (read_short(input, position, out_token)) return PARSE_DONE;
    return read_any(input, position, out_token, out_text);
}

enum proto_parse
resp_skip_reply(struct resp_skip *skip, struct bytes input, size_t *out_size, const char **out_text)
{
    for (;;) {
        struct resp_token token;
        enum proto_parse result = resp_read_token(input, &skip->position, &token, out_text);
        if (result != PARSE_DONE) return result;
        /* An attribute is no value: its own follows the pairs. */
        skip->pending += (int64_t)token.count - (token.kind == RESP_ATTRIBUTE ? 0 : 1);
        if (skip->pending < 0) break;
        if (skip->pending > RESP_REPLY_COUNT_MAX) return bad("too many values", out_text);
    }
    *out_size = skip->position;
    *skip = (struct resp_skip){ 0 };
    return PARSE_DONE;
}
