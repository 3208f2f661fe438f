/* fuzz_resp_codec - RESP without a server: commands, replies, and the writer.
 *
 * The first byte chooses what the rest is: commands or replies as they come over the wire, read at
 * once and in pieces, which must make no difference; or a script of values that are written, and
 * must be read again as they were meant. */
#include <stdlib.h>

#include "base/memory.h"
#include "lib/random.h"
#include "proto/resp_reader.h"
#include "proto/resp_reply.h"
#include "proto/resp_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUE_COUNT_MAX 64u
#define VALUE_SIZE_MAX  600u

/* How pieces are cut: a byte at a time, or by chance. */
struct cut {
    struct test_random random;
    bool is_single;
};

static size_t cut_next(struct cut *cut, size_t done, size_t size)
{
    size_t more = cut->is_single ? 1 : 1 + (size_t)test_random_below(&cut->random, 40);
    return size - done < more ? size : done + more;
}

/* A copy that ends where it ends: to read behind it is found. */
static struct bytes copy_exactly(struct bytes bytes)
{
    char *copy = malloc(bytes.size == 0 ? 1 : bytes.size);
    if (copy == NULL) abort();
    if (bytes.size > 0) memcpy(copy, bytes.data, bytes.size);
    return (struct bytes){ copy, bytes.size };
}

static void drop_copy(struct bytes copy)
{
    free((void *)(uintptr_t)copy.data);
}

/* ---------------------------------------------------------------- commands */

static void check_written_again(const struct resp_command *command)
{
    struct buffer again;
    buffer_init(&again, &memory_heap);
    struct resp_writer writer = { &again, false };
    resp_write_array(&writer, command->argument_count);
    for (uint32_t i = 0; i < command->argument_count; i++) {
        resp_write_bulk(&writer, resp_argument(command, i));
    }
    ASSERT(!again.is_failed);
    struct resp_reader reader;
    resp_reader_init(&reader, &memory_heap);
    struct resp_command same;
    size_t used;
    const char *text;
    ASSERT(resp_read_command(&reader, buffer_bytes(&again), &same, &used, &text) == PARSE_DONE);
    ASSERT(used == again.size && same.argument_count == command->argument_count);
    for (uint32_t i = 0; i < same.argument_count; i++) {
        ASSERT(bytes_equal(resp_argument(&same, i), resp_argument(command, i)));
    }
    resp_reader_deinit(&reader);
    buffer_deinit(&again);
}

static void note_command(struct buffer *story, const struct resp_command *command, size_t used)
{
    buffer_append(story, &used, sizeof(used));
    for (uint32_t i = 0; i < command->argument_count; i++) {
        struct bytes argument = resp_argument(command, i);
        buffer_append(story, &argument.size, sizeof(argument.size));
        buffer_append_bytes(story, argument);
    }
}

/* Read all of `input`, of which more and more is there; what came of it goes into `story`. */
static void read_commands(struct bytes input, struct cut *cut, struct buffer *story)
{
    struct resp_reader reader;
    resp_reader_init(&reader, &memory_heap);
    enum proto_parse result = PARSE_MORE;
    size_t start = 0;
    size_t there = cut == NULL ? input.size : 0;
    const char *text = "";
    for (;;) {
        struct bytes visible = { input.data + start, there - start };
        struct bytes copy = copy_exactly(visible);
        struct resp_command command;
        size_t used = 0;
        result = resp_read_command(&reader, copy, &command, &used, &text);
        if (result == PARSE_DONE) {
            ASSERT(used > 0 && used <= copy.size);
            note_command(story, &command, used);
            check_written_again(&command);
            start += used;
        }
        drop_copy(copy);
        if (result == PARSE_BAD) break;
        if (result == PARSE_DONE) continue;
        if (there == input.size) break;
        there = cut_next(cut, there, input.size);
    }
    buffer_append_byte(story, (char)result);
    if (result == PARSE_BAD) buffer_append_bytes(story, bytes_from_text(text));
    resp_reader_deinit(&reader);
}

/* ----------------------------------------------------------------- replies */

/* What resp_skip_reply took for one reply is just the tokens of one value. */
static void check_tokens(struct bytes reply)
{
    size_t position = 0;
    int64_t pending = 1;
    while (pending > 0) {
        struct resp_token token;
        const char *text;
        ASSERT(resp_read_token(reply, &position, &token, &text) == PARSE_DONE);
        ASSERT(token.text.size <= reply.size);
        pending += (int64_t)token.count - (token.kind == RESP_ATTRIBUTE ? 0 : 1);
    }
    ASSERT(position == reply.size);
}

static void read_replies(struct bytes input, struct cut *cut, struct buffer *story)
{
    struct resp_skip skip = { 0 };
    enum proto_parse result = PARSE_MORE;
    size_t start = 0;
    size_t there = cut == NULL ? input.size : 0;
    const char *text = "";
    for (;;) {
        struct bytes copy = copy_exactly((struct bytes){ input.data + start, there - start });
        size_t size = 0;
        result = resp_skip_reply(&skip, copy, &size, &text);
        if (result == PARSE_DONE) {
            ASSERT(size > 0 && size <= copy.size);
            buffer_append(story, &size, sizeof(size));
            check_tokens((struct bytes){ copy.data, size });
            start += size;
        }
        drop_copy(copy);
        if (result == PARSE_BAD) break;
        if (result == PARSE_DONE) continue;
        if (there == input.size) break;
        there = cut_next(cut, there, input.size);
    }
    buffer_append_byte(story, (char)result);
    if (result == PARSE_BAD) buffer_append_bytes(story, bytes_from_text(text));
}

typedef void (*read_fn)(struct bytes input, struct cut *cut, struct buffer *story);

static void check_pieces(read_fn read, struct bytes input, uint64_t seed)
{
    struct buffer whole, pieces;
    buffer_init(&whole, &memory_heap);
    buffer_init(&pieces, &memory_heap);
    read(input, NULL, &whole);
    struct cut cut = { { seed }, seed == 0 && input.size < 2000 };
    read(input, &cut, &pieces);
    ASSERT(!whole.is_failed && !pieces.is_failed);
    ASSERT(bytes_equal(buffer_bytes(&whole), buffer_bytes(&pieces)));
    buffer_deinit(&pieces);
    buffer_deinit(&whole);
}

/* ------------------------------------------------------------------ writer */

enum value_kind {
    VALUE_SIMPLE,
    VALUE_ERROR,
    VALUE_BULK,
    VALUE_SIGNED,
    VALUE_UNSIGNED,
    VALUE_BOOL,
    VALUE_NULL,
    VALUE_THOUSANDTHS,
    VALUE_ARRAY,
    VALUE_MAP,
    VALUE_PUSH,
    VALUE_COUNT,
};

struct value {
    enum value_kind kind;
    struct bytes text;
    uint64_t number;
};

static struct value take_value(struct bytes *script)
{
    unsigned char choice = (unsigned char)script->data[0];
    struct value value = { .kind = (enum value_kind)(choice % VALUE_COUNT) };
    script->data++;
    script->size--;
    for (unsigned i = 0; i < 8 && script->size > 0; i++) {
        value.number = value.number << 8 | (unsigned char)script->data[0];
        script->data++;
        script->size--;
        if (choice < 128) break;
    }
    size_t size = (size_t)(value.number % VALUE_SIZE_MAX);
    value.text = (struct bytes){ script->data, size < script->size ? size : script->size };
    if (value.kind <= VALUE_BULK) {
        script->data += value.text.size;
        script->size -= value.text.size;
    }
    return value;
}

static void write_value(const struct resp_writer *writer, const struct value *value)
{
    switch (value->kind) {
    case VALUE_SIMPLE: resp_write_simple(writer, value->text); break;
    case VALUE_ERROR: resp_write_error(writer, "WORD", value->text); break;
    case VALUE_BULK: resp_write_bulk(writer, value->text); break;
    case VALUE_SIGNED: resp_write_signed(writer, (int64_t)value->number); break;
    case VALUE_UNSIGNED: resp_write_unsigned(writer, value->number >> 1); break;
    case VALUE_BOOL: resp_write_bool(writer, (value->number & 1) != 0); break;
    case VALUE_NULL: resp_write_null(writer); break;
    case VALUE_THOUSANDTHS: resp_write_thousandths(writer, (int64_t)value->number); break;
    case VALUE_ARRAY: resp_write_array(writer, (uint32_t)(value->number & 0xffff)); break;
    case VALUE_MAP: resp_write_map(writer, (uint32_t)(value->number & 0xffff)); break;
    case VALUE_PUSH: resp_write_push(writer, (uint32_t)(value->number & 0xffff)); break;
    case VALUE_COUNT: abort();
    }
}

static void check_cleaned(struct bytes read, struct bytes written)
{
    ASSERT(read.size == written.size);
    for (size_t i = 0; i < read.size; i++) {
        unsigned char byte = (unsigned char)written.data[i];
        char expected = byte < 0x20 || byte == 0x7f ? ' ' : written.data[i];
        ASSERT(read.data[i] == expected);
    }
}

/* "-1.234" back to -1234. */
static void check_thousandths(struct bytes text, int64_t expected)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    uint64_t value = 0;
    size_t digit_count = 0;
    for (size_t i = is_negative; i < text.size; i++) {
        if (i == text.size - 4) {
            ASSERT(text.data[i] == '.');
            continue;
        }
        ASSERT(text.data[i] >= '0' && text.data[i] <= '9');
        value = value * 10 + (uint64_t)(text.data[i] - '0');
        digit_count++;
    }
    ASSERT(digit_count >= 4);
    ASSERT(is_negative == (expected < 0));
    ASSERT(value == (expected < 0 ? 0 - (uint64_t)expected : (uint64_t)expected));
}

static void check_aggregate(
    const struct resp_token *token, const struct value *value, enum resp_kind kind_in_3, bool is_3)
{
    uint32_t count = (uint32_t)(value->number & 0xffff);
    ASSERT(token->kind == (is_3 ? kind_in_3 : RESP_ARRAY));
    ASSERT(token->count == (value->kind == VALUE_MAP ? count * 2 : count));
}

static void check_value(const struct resp_token *token, const struct value *value, bool is_3)
{
    switch (value->kind) {
    case VALUE_SIMPLE:
        ASSERT(token->kind == RESP_SIMPLE);
        check_cleaned(token->text, value->text);
        break;
    case VALUE_ERROR:
        ASSERT(token->kind == RESP_ERROR);
        ASSERT(bytes_start_with(token->text, BYTES_LITERAL("WORD ")));
        check_cleaned((struct bytes){ token->text.data + 5, token->text.size - 5 }, value->text);
        break;
    case VALUE_BULK:
        ASSERT(token->kind == RESP_BULK);
        ASSERT(bytes_equal(token->text, value->text));
        break;
    case VALUE_SIGNED:
        ASSERT(token->kind == RESP_INTEGER && token->integer == (int64_t)value->number);
        break;
    case VALUE_UNSIGNED:
        ASSERT(token->kind == RESP_INTEGER && token->integer == (int64_t)(value->number >> 1));
        break;
    case VALUE_BOOL:
        ASSERT(token->kind == (is_3 ? RESP_BOOL : RESP_INTEGER));
        ASSERT(token->integer == (int64_t)(value->number & 1));
        break;
    case VALUE_NULL: ASSERT(token->kind == RESP_NULL); break;
    case VALUE_THOUSANDTHS:
        ASSERT(token->kind == (is_3 ? RESP_DOUBLE : RESP_BULK));
        check_thousandths(token->text, (int64_t)value->number);
        break;
    case VALUE_ARRAY: check_aggregate(token, value, RESP_ARRAY, is_3); break;
    case VALUE_MAP: check_aggregate(token, value, RESP_MAP, is_3); break;
    case VALUE_PUSH: check_aggregate(token, value, RESP_PUSH, is_3); break;
    case VALUE_COUNT: abort();
    }
}

static void check_writer(struct bytes script, bool is_3)
{
    struct value values[VALUE_COUNT_MAX];
    uint32_t count = 0;
    struct buffer out;
    buffer_init(&out, &memory_heap);
    struct resp_writer writer = { &out, is_3 };
    while (script.size > 0 && count < VALUE_COUNT_MAX) {
        values[count] = take_value(&script);
        write_value(&writer, &values[count]);
        count++;
    }
    ASSERT(!out.is_failed);
    struct bytes written = copy_exactly(buffer_bytes(&out));
    size_t position = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct resp_token token;
        const char *text;
        ASSERT(resp_read_token(written, &position, &token, &text) == PARSE_DONE);
        check_value(&token, &values[i], is_3);
    }
    ASSERT(position == written.size);
    drop_copy(written);
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct bytes input = { (const char *)data + 1, size - 1 };
    switch (data[0] & 3) {
    case 0: check_pieces(read_commands, input, data[0] >> 2); break;
    case 1: check_pieces(read_replies, input, data[0] >> 2); break;
    case 2: check_writer(input, false); break;
    default: check_writer(input, true); break;
    }
    return 0;
}
