#include "reply.h"

#include <limits.h>
#include <strings.h>

#define NUMBER_DIGITS_MAX 18u

/* The line that starts at `*position`, without its CRLF; steps over it. */
static enum reply_state take_line(struct bytes input, size_t *position, struct bytes *out_line)
{
    const char *start = input.data + *position;
    const char *end = memchr(start, '\n', input.size - *position);
    if (end == NULL) return REPLY_MORE;
    if (end == start || end[-1] != '\r') return REPLY_BAD;
    *out_line = (struct bytes){ start, (size_t)(end - start) - 1 };
    *position += out_line->size + 2;
    return REPLY_DONE;
}

static bool parse_number(struct bytes text, int64_t *out_number)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    size_t first = is_negative ? 1 : 0;
    if (text.size == first || text.size - first > NUMBER_DIGITS_MAX) return false;
    int64_t number = 0;
    for (size_t i = first; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *out_number = is_negative ? -number : number;
    return true;
}

/* Step over the bytes of a bulk string whose length line has been read. */
static enum reply_state take_bulk(struct bytes input, size_t *position, struct resp_token *token)
{
    if (token->number < 0) return token->number == -1 ? REPLY_DONE : REPLY_BAD;
    size_t size = (size_t)token->number;
    if (input.size - *position < size + 2) return REPLY_MORE;
    token->text = (struct bytes){ input.data + *position, size };
    *position += size + 2;
    return REPLY_DONE;
}

/* One element; `out_children` is how many more follow as its parts. */
static enum reply_state
take_token(struct bytes input, size_t *position, struct resp_token *token, int64_t *out_children)
{
    struct bytes line;
    enum reply_state state = take_line(input, position, &line);
    if (state != REPLY_DONE) return state;
    if (line.size == 0) return REPLY_BAD;
    struct bytes rest = { line.data + 1, line.size - 1 };
    *token = (struct resp_token){ .type = line.data[0], .text = rest };
    *out_children = 0;
    switch (line.data[0]) {
    case '+':
    case '-':
    case '_':
    case '#':
    case ',':
    case '(': return REPLY_DONE;
    case ':': return parse_number(rest, &token->number) ? REPLY_DONE : REPLY_BAD;
    case '$':
    case '=':
        if (!parse_number(rest, &token->number)) return REPLY_BAD;
        return take_bulk(input, position, token);
    case '*':
    case '~':
    case '>':
    case '%':
        if (!parse_number(rest, &token->number) || token->number > INT_MAX) return REPLY_BAD;
        if (token->number > 0) *out_children = token->number * (line.data[0] == '%' ? 2 : 1);
        return REPLY_DONE;
    default: return REPLY_BAD;
    }
}

enum reply_state resp_reply_read(struct bytes input, struct resp_reply *out_reply)
{
    size_t position = 0;
    int64_t wanted = 1;
    uint32_t count = 0;
    while (wanted > 0) {
        if (count == RESP_TOKEN_COUNT_MAX) return REPLY_BAD;
        int64_t children = 0;
        enum reply_state state = take_token(input, &position, &out_reply->tokens[count], &children);
        if (state != REPLY_DONE) return state;
        count++;
        wanted += children - 1;
    }
    out_reply->size = position;
    out_reply->token_count = count;
    return REPLY_DONE;
}

int64_t resp_reply_number(const struct resp_reply *reply, struct bytes key)
{
    for (uint32_t i = 0; i + 1 < reply->token_count; i++) {
        const struct resp_token *value = &reply->tokens[i + 1];
        if (value->type == ':' && bytes_equal(reply->tokens[i].text, key)) return value->number;
    }
    return -1;
}

/* The words of a line, each a token. */
static uint32_t take_words(struct bytes line, struct resp_token *tokens, uint32_t count_max)
{
    uint32_t count = 0;
    while (line.size > 0 && count < count_max) {
        const char *space = memchr(line.data, ' ', line.size);
        struct bytes word = { line.data, space != NULL ? (size_t)(space - line.data) : line.size };
        struct resp_token *token = &tokens[count++];
        *token = (struct resp_token){ .type = '+', .text = word };
        if (parse_number(word, &token->number)) token->type = ':';
        size_t used = word.size + (space != NULL ? 1 : 0);
        line = (struct bytes){ line.data + used, line.size - used };
    }
    return count;
}

enum reply_state bean_reply_read(struct bytes input, struct resp_reply *out_reply)
{
    size_t position = 0;
    struct bytes line;
    enum reply_state state = take_line(input, &position, &line);
    if (state != REPLY_DONE) return state;
    uint32_t count = take_words(line, out_reply->tokens, 3);
    if (count == 0) return REPLY_BAD;
    if (bytes_equal(out_reply->tokens[0].text, BYTES_LITERAL("RESERVED"))) {
        struct resp_token *size = &out_reply->tokens[2];
        if (count != 3 || size->type != ':' || size->number < 0) return REPLY_BAD;
        struct resp_token body = { .type = '$', .number = size->number };
        state = take_bulk(input, &position, &body);
        if (state != REPLY_DONE) return state;
        out_reply->tokens[count++] = body;
    }
    out_reply->size = position;
    out_reply->token_count = count;
    return REPLY_DONE;
}

/* The value of the header field in `line` when it is the one called `name`. */
static bool header_value(struct bytes line, struct bytes name, struct bytes *out_value)
{
    if (line.size <= name.size || line.data[name.size] != ':') return false;
    if (strncasecmp(line.data, name.data, name.size) != 0) return false;
    size_t start = name.size + 1;
    while (start < line.size && line.data[start] == ' ') {
        start++;
    }
    *out_value = (struct bytes){ line.data + start, line.size - start };
    return true;
}

enum reply_state http_reply_read(struct bytes input, struct http_reply *out_reply)
{
    size_t position = 0;
    struct bytes line;
    enum reply_state state = take_line(input, &position, &line);
    if (state != REPLY_DONE) return state;
    int64_t status = 0;
    if (line.size < 12 || !bytes_start_with(line, BYTES_LITERAL("HTTP/1.1 "))) return REPLY_BAD;
    if (!parse_number((struct bytes){ line.data + 9, 3 }, &status)) return REPLY_BAD;
    int64_t body_size = -1;
    bool is_endless = false;
    for (;;) {
        struct bytes value;
        state = take_line(input, &position, &line);
        if (state != REPLY_DONE) return state;
        if (line.size == 0) break;
        if (header_value(line, BYTES_LITERAL("content-length"), &value)) {
            if (!parse_number(value, &body_size) || body_size < 0) return REPLY_BAD;
        } else if (header_value(line, BYTES_LITERAL("content-type"), &value)) {
            is_endless = bytes_start_with(value, BYTES_LITERAL("text/event-stream"));
        }
    }
    size_t left = input.size - position;
    if (is_endless) body_size = (int64_t)left;
    if (body_size < 0) return REPLY_BAD;
    if (left < (size_t)body_size) return REPLY_MORE;
    *out_reply = (struct http_reply){
        .size = position + (size_t)body_size,
        .status = (int)status,
        .body = { input.data + position, (size_t)body_size },
        .is_endless = is_endless,
    };
    return REPLY_DONE;
}

bool bytes_contain(struct bytes text, struct bytes part)
{
    return memmem(text.data, text.size, part.data, part.size) != NULL;
}

int64_t json_number(struct bytes body, struct bytes pattern)
{
    const char *found = memmem(body.data, body.size, pattern.data, pattern.size);
    if (found == NULL) return -1;
    const char *end = body.data + body.size;
    struct bytes digits = { found + pattern.size, 0 };
    while (digits.data < end && *digits.data == ' ') {
        digits.data++;
    }
    while (digits.data + digits.size < end && digits.data[digits.size] >= '0' &&
           digits.data[digits.size] <= '9')
    {
        digits.size++;
    }
    int64_t number = 0;
    return parse_number(digits, &number) ? number : -1;
}
