#include "proto/resp_reader.h"

/* A reader that once had a large command does not keep more than this. */
#define SPAN_COUNT_KEPT 512u

static const char text_argument_count[] = "a command has more than 4097 arguments";
static const char text_argument_size[] = "an argument is larger than 1048576 bytes";
static const char text_command_size[] = "a command is larger than 1572864 bytes";
static const char text_line_size[] = "a line is longer than 8192 bytes";
_Static_assert(RESP_ARGUMENT_COUNT_MAX == 4097, "as in the text");
_Static_assert(RESP_ARGUMENT_SIZE_MAX == 1048576, "as in the text");
_Static_assert(RESP_COMMAND_SIZE_MAX == 1572864, "as in the text");
_Static_assert(RESP_LINE_SIZE_MAX == 8192, "as in the text");

void resp_reader_init(struct resp_reader *reader, const struct memory *memory)
{
    *reader = (struct resp_reader){ .memory = memory };
    buffer_init(&reader->line, memory);
}

static void give_spans(struct resp_reader *reader)
{
    memory_give(
        reader->memory, reader->spans_many, reader->span_capacity * sizeof(struct resp_span));
    reader->spans_many = NULL;
    reader->span_capacity = 0;
}

void resp_reader_deinit(struct resp_reader *reader)
{
    give_spans(reader);
    buffer_deinit(&reader->line);
}

static enum proto_parse bad(const char *text, const char **out_text)
{
    *out_text = text;
    return PARSE_BAD;
}

static struct resp_span *spans_of(struct resp_reader *reader)
{
    return reader->spans_many != NULL ? reader->spans_many : reader->spans_few;
}

/* Room for one more span.  It is made as arguments arrive, not when they are announced. */
static bool reserve_span(struct resp_reader *reader)
{
    uint32_t capacity = reader->spans_many != NULL ? reader->span_capacity : RESP_SPAN_COUNT_SMALL;
    if (reader->argument_count < capacity) return true;
    struct resp_span *spans = memory_resize(
        reader->memory,
        reader->spans_many,
        reader->span_capacity * sizeof(*spans),
        (size_t)capacity * 2 * sizeof(*spans));
    if (spans == NULL) return false;
    if (reader->spans_many == NULL) memcpy(spans, reader->spans_few, sizeof(reader->spans_few));
    reader->spans_many = spans;
    reader->span_capacity = capacity * 2;
    return true;
}

static void add_span(struct resp_reader *reader, size_t start, size_t size)
{
    spans_of(reader)[reader->argument_count++] =
        (struct resp_span){ (uint32_t)start, (uint32_t)size };
}

/* A whole command has been read: the reader begins anew, and its spans stay as they are. */
static void finish(struct resp_reader *reader, const char *base, struct resp_command *out_command)
{
    *out_command = (struct resp_command){ base, spans_of(reader), reader->argument_count };
    reader->position = 0;
    reader->scanned = 0;
    reader->argument_count = 0;
    reader->argument_count_expected = 0;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Find the end of the line; what was looked at in earlier calls is passed over. */
static enum proto_parse find_line_end(
    struct resp_reader *reader, struct bytes input, size_t *out_end, const char **out_text)
{
    size_t limit = input.size < RESP_LINE_SIZE_MAX ? input.size : RESP_LINE_SIZE_MAX;
    for (size_t at = reader->scanned; at < limit; at++) {
        unsigned char byte = (unsigned char)input.data[at];
        bool is_after_return = at > 0 && input.data[at - 1] == '\r';
        if (byte == '\n') {
            *out_end = at;
            return PARSE_DONE;
        }
        if (is_after_return || byte == 0x7f || (byte < 0x20 && byte != '\t' && byte != '\r')) {
            return bad("a line has a control character in it", out_text);
        }
    }
    reader->scanned = limit;
    return limit == RESP_LINE_SIZE_MAX ? bad(text_line_size, out_text) : PARSE_MORE;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

/* The byte meant by an escape, of which `at` is the character behind the backslash; moves `at` to
 * the last one. */
static char take_escape(struct bytes line, size_t *at)
{
    static const char letters[] = "nrtba";
    static const char meanings[] = "\n\r\t\b\a";
    char byte = line.data[*at];
    if (byte == 'x' && *at + 2 < line.size) {
        int high = hex_digit(line.data[*at + 1]);
        int low = hex_digit(line.data[*at + 2]);
        if (high >= 0 && low >= 0) {
            *at += 2;
            return (char)(high << 4 | low);
        }
    }
    for (size_t i = 0; i < sizeof(letters) - 1; i++) {
        if (byte == letters[i]) return meanings[i];
    }
    return byte;
}

/* Copy what is in quotes; `at` is at the first and moves behind the last.  False when the last is
 * missing, or anything but a blank follows it. */
static bool take_quoted(struct bytes line, size_t *at, struct buffer *out)
{
    char quote = line.data[*at];
    for (size_t i = *at + 1; i < line.size; i++) {
        char byte = line.data[i];
        if (byte == quote) {
            *at = i + 1;
            return i + 1 == line.size || is_blank(line.data[i + 1]);
        }
        bool is_escape = byte == '\\' && i + 1 < line.size;
        if (is_escape && quote == '"') {
            i++;
            byte = take_escape(line, &i);
        } else if (is_escape && line.data[i + 1] == '\'') {
            i++;
            byte = '\'';
        }
        buffer_append_byte(out, byte);
    }
    return false;
}

static bool take_word(struct bytes line, size_t *at, struct buffer *out)
{
    while (*at < line.size && !is_blank(line.data[*at])) {
        char byte = line.data[*at];
        if (byte == '"' || byte == '\'') {
            if (!take_quoted(line, at, out)) return false;
        } else {
            buffer_append_byte(out, byte);
            ++*at;
        }
    }
    return true;
}

static enum proto_parse
read_words(struct resp_reader *reader, struct bytes line, const char **out_text)
{
    size_t at = 0;
    for (;;) {
        while (at < line.size && is_blank(line.data[at])) {
            at++;
        }
        if (at == line.size) return PARSE_DONE;
        size_t start = reader->line.size;
        if (!take_word(line, &at, &reader->line)) {
            return bad("a quote is not closed, or is not followed by a blank", out_text);
        }
        if (reader->line.is_failed || !reserve_span(reader)) return bad("no memory", out_text);
        add_span(reader, start, reader->line.size - start);
    }
}

static enum proto_parse read_line(
    struct resp_reader *reader,
    struct bytes input,
    struct resp_command *out_command,
    size_t *out_used,
    const char **out_text)
{
    size_t end = 0;
    enum proto_parse result = find_line_end(reader, input, &end, out_text);
    if (result != PARSE_DONE) return result;
    struct bytes line = { input.data, end };
    if (end > 0 && input.data[end - 1] == '\r') line.size--;
    result = read_words(reader, line, out_text);
    if (result != PARSE_DONE) return result;
    *out_used = end + 1;
    /* No buffer where all words are empty. */
    finish(reader, reader->line.size > 0 ? reader->line.data : "", out_command);
    return PARSE_DONE;
}

struct length_rule {
    uint32_t limit;
    const char *text; /* when it is more */
};

/* The digits of a length and the end of their line; `position` moves behind it when DONE. */
static enum proto_parse read_length(
    struct bytes input,
    size_t *position,
    struct length_rule rule,
    uint32_t *out_length,
    const char **out_text)
{
    size_t start = *position;
    size_t at = start;
    uint32_t length = 0;
    for (; at < input.size && input.data[at] >= '0' && input.data[at] <= '9'; at++) {
        if (at > start && length == 0) return bad("a length has a leading zero", out_text);
        length = length * 10 + (uint32_t)(input.data[at] - '0');
        /* At once, so that the next digit cannot overflow. */
        if (length > rule.limit) return bad(rule.text, out_text);
    }
    if (at == input.size) return PARSE_MORE;
    if (at == start) return bad("a length is not a plain number", out_text);
    if (input.data[at] != '\r') return bad("a length is not followed by CR LF", out_text);
    if (at + 1 == input.size) return PARSE_MORE;
    if (input.data[at + 1] != '\n') return bad("a length is not followed by CR LF", out_text);
    *out_length = length;
    *position = at + 2;
    return PARSE_DONE;
}

/* Nearly all lengths have one digit or two, and all of their line is there.  False: look closer. */
static bool read_short_length(struct bytes input, size_t *position, uint32_t *out_length)
{
    if (input.size < *position + 4) return false;
    const char *at = input.data + *position;
    unsigned first = (unsigned char)at[0] - (unsigned)'0';
    unsigned second = (unsigned char)at[1] - (unsigned)'0';
    if (first > 9) return false;
    if (at[1] == '\r' && at[2] == '\n') {
        *out_length = first;
        *position += 3;
        return true;
    }
    if (first == 0 || second > 9 || at[2] != '\r' || at[3] != '\n') return false;
    *out_length = first * 10 + second;
    *position += 4;
    return true;
}

static enum proto_parse
read_argument_size(struct resp_reader *reader, struct bytes input, const char **out_text)
{
    static const struct length_rule rule = { RESP_ARGUMENT_SIZE_MAX, text_argument_size };
    if (reader->position == input.size) return PARSE_MORE;
    if (input.data[reader->position] != '$') {
        return bad("an argument does not begin with '$'", out_text);
    }
    size_t position = reader->position + 1;
    uint32_t size = 0;
    if (!read_short_length(input, &position, &size)) {
        enum proto_parse result = read_length(input, &position, rule, &size, out_text);
        if (result != PARSE_DONE) return result;
    }
    if (position + size + 2 > RESP_COMMAND_SIZE_MAX) return bad(text_command_size, out_text);
    if (!reserve_span(reader)) return bad("no memory", out_text);
    reader->position = position;
    reader->argument_size = size;
    reader->has_argument_size = true;
    return PARSE_DONE;
}

static enum proto_parse
read_argument(struct resp_reader *reader, struct bytes input, const char **out_text)
{
    if (!reader->has_argument_size) {
        enum proto_parse result = read_argument_size(reader, input, out_text);
        if (result != PARSE_DONE) return result;
    }
    size_t end = reader->position + reader->argument_size;
    if (input.size < end + 2) return PARSE_MORE;
    if (input.data[end] != '\r' || input.data[end + 1] != '\n') {
        return bad("an argument is not followed by CR LF", out_text);
    }
    add_span(reader, reader->position, reader->argument_size);
    reader->position = end + 2;
    reader->has_argument_size = false;
    return PARSE_DONE;
}

enum proto_parse resp_read_command(
    struct resp_reader *reader,
    struct bytes input,
    struct resp_command *out_command,
    size_t *out_used,
    const char **out_text)
{
    static const struct length_rule rule = { RESP_ARGUMENT_COUNT_MAX, text_argument_count };
    ASSERT(input.size >= reader->position);
    if (reader->position == 0) {
        if (reader->span_capacity > SPAN_COUNT_KEPT) give_spans(reader);
        if (reader->line.capacity > 0) buffer_deinit(&reader->line);
        if (input.size == 0) return PARSE_MORE;
        if (input.data[0] != '*') {
            return read_line(reader, input, out_command, out_used, out_text);
        }
        size_t position = 1;
        enum proto_parse result =
            read_length(input, &position, rule, &reader->argument_count_expected, out_text);
        if (result != PARSE_DONE) return result;
        reader->position = position;
    }
    while (reader->argument_count < reader->argument_count_expected) {
        enum proto_parse result = read_argument(reader, input, out_text);
        if (result != PARSE_DONE) return result;
    }
    *out_used = reader->position;
    finish(reader, input.data, out_command);
    return PARSE_DONE;
}
