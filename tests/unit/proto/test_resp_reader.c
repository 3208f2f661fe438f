#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "proto/resp_reader.h"

/* What came of reading one command: comparable, and independent of buffers. */
struct outcome {
    enum proto_parse result;
    struct buffer text; /* "[4]ECHO[2]hi" when DONE, what is wrong when BAD */
    size_t used;
};

static void append_number(struct buffer *out, uint64_t value)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append(out, digits, decimal_format(value, digits));
}

static void append_argument(struct buffer *out, struct bytes argument)
{
    buffer_append_byte(out, '[');
    append_number(out, argument.size);
    buffer_append_byte(out, ']');
    buffer_append_bytes(out, argument);
}

/* One call, on a block that ends where the input ends: a sanitizer sees each byte read beyond. */
static enum proto_parse
read_once(struct resp_reader *reader, struct bytes input, struct outcome *outcome)
{
    char *block = malloc(input.size + 1);
    CHECK(block != NULL);
    /* At the end of the block, and never at the same place twice. */
    char *at = block + 1;
    if (input.size > 0) memcpy(at, input.data, input.size);
    struct resp_command command;
    const char *bad_text = NULL;
    buffer_reset(&outcome->text);
    outcome->result = resp_read_command(
        reader, (struct bytes){ at, input.size }, &command, &outcome->used, &bad_text);
    if (outcome->result == PARSE_DONE) {
        for (uint32_t i = 0; i < command.argument_count; i++) {
            append_argument(&outcome->text, resp_argument(&command, i));
        }
    } else if (outcome->result == PARSE_BAD) {
        buffer_append_bytes(&outcome->text, bytes_from_text(bad_text));
    }
    free(block);
    return outcome->result;
}

static void outcome_init(struct outcome *outcome)
{
    *outcome = (struct outcome){ .result = PARSE_MORE };
    buffer_init(&outcome->text, &memory_heap);
}

/* Read with more and more of the input: `first` bytes, then `step` more each time. */
static void read_in_steps(struct bytes input, size_t first, size_t step, struct outcome *outcome)
{
    struct resp_reader reader;
    resp_reader_init(&reader, &memory_heap);
    size_t size = first < input.size ? first : input.size;
    while (read_once(&reader, (struct bytes){ input.data, size }, outcome) == PARSE_MORE) {
        if (size == input.size) break;
        size = size + step < input.size ? size + step : input.size;
    }
    resp_reader_deinit(&reader);
}

static void check_same(const struct outcome *left, const struct outcome *right)
{
    CHECK_EQ_INT(left->result, right->result);
    CHECK_EQ_BYTES(buffer_bytes(&left->text), buffer_bytes(&right->text));
    if (left->result == PARSE_DONE) CHECK_EQ_UINT(left->used, right->used);
}

/* Whole, byte by byte, and cut once at each place must all come to the same. */
static void read_every_way(struct bytes input, struct outcome *outcome)
{
    struct outcome other;
    outcome_init(&other);
    read_in_steps(input, input.size, 1, outcome);
    read_in_steps(input, 0, 1, &other);
    check_same(outcome, &other);
    for (size_t cut = 0; cut < input.size; cut++) {
        read_in_steps(input, cut, input.size, &other);
        check_same(outcome, &other);
    }
    buffer_deinit(&other.text);
}

static void check_done(const char *input, const char *expected, const char *rest)
{
    struct outcome outcome;
    outcome_init(&outcome);
    struct bytes bytes = bytes_from_text(input);
    test_note("input: %s", input);
    read_every_way(bytes, &outcome);
    CHECK_EQ_INT(outcome.result, PARSE_DONE);
    CHECK_EQ_BYTES(buffer_bytes(&outcome.text), bytes_from_text(expected));
    CHECK_EQ_TEXT(input + outcome.used, rest);
    buffer_deinit(&outcome.text);
}

static void check_bad(struct bytes input, const char *expected)
{
    struct outcome outcome;
    outcome_init(&outcome);
    test_note("input: %.*s", (int)input.size, input.data);
    read_every_way(input, &outcome);
    CHECK_EQ_INT(outcome.result, PARSE_BAD);
    CHECK_EQ_BYTES(buffer_bytes(&outcome.text), bytes_from_text(expected));
    buffer_deinit(&outcome.text);
}

static void check_more(const char *input)
{
    struct outcome outcome;
    outcome_init(&outcome);
    test_note("input: %s", input);
    read_every_way(bytes_from_text(input), &outcome);
    CHECK_EQ_INT(outcome.result, PARSE_MORE);
    buffer_deinit(&outcome.text);
}

TEST(resp_reader_reads_arrays)
{
    check_done("*1\r\n$4\r\nPING\r\n", "[4]PING", "");
    check_done("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n*1\r\n", "[4]ECHO[2]hi", "*1\r\n");
    check_done("*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n", "[0][2]\r\n", "");
    check_done("*1\r\n$11\r\n*1\r\n$1\r\nx\r\n\r\nrest", "[11]*1\r\n$1\r\nx\r\n", "rest");
    check_done("*0\r\n*", "", "*");
}

TEST(resp_reader_waits_for_more)
{
    check_more("");
    check_more("*");
    check_more("*3\r");
    check_more("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r");
    check_more("*1\r\n$65536\r\nabc");
    check_more("PING\r");
    check_more("PING \"a\\\"");
}

TEST(resp_reader_reads_lines)
{
    check_done("PING\r\n", "[4]PING", "");
    check_done("PING\nPONG\n", "[4]PING", "PONG\n");
    check_done("  set \t key  value \r\n", "[3]set[3]key[5]value", "");
    check_done("\r\nPING\r\n", "", "PING\r\n");
    check_done("\n", "", "");
    check_done("   \n", "", "");
    check_done("echo \"a b\"\r\n", "[4]echo[3]a b", "");
    check_done("echo \"\" ''\r\n", "[4]echo[0][0]", "");
    check_done("echo \"\\x41\\n\\\"\\\\\\q\\xZZ\"\r\n", "[4]echo[8]A\n\"\\qxZZ", "");
    check_done("echo \"\\r\\t\\b\\a\"\r\n", "[4]echo[4]\r\t\b\a", "");
    check_done("echo 'it\\'s \\n \"so\"'\r\n", "[4]echo[12]it's \\n \"so\"", "");
    check_done("echo a\"b c\"\r\n", "[4]echo[4]ab c", "");
    check_done("gr\xc3\xbc\xc3\x9f\r\n", "[6]gr\xc3\xbc\xc3\x9f", "");
    check_done("$4\r\nPING\r\n", "[2]$4", "PING\r\n");
}

TEST(resp_reader_refuses_bad_lines)
{
    const char *quote = "a quote is not closed, or is not followed by a blank";
    const char *control = "a line has a control character in it";
    check_bad(BYTES_LITERAL("echo \"a\r\n"), quote);
    check_bad(BYTES_LITERAL("echo 'a\r\n"), quote);
    check_bad(BYTES_LITERAL("echo \"a\"b\r\n"), quote);
    check_bad(BYTES_LITERAL("echo 'a''b'\r\n"), quote);
    check_bad(BYTES_LITERAL("echo \"a\\\"\r\n"), quote);
    check_bad(BYTES_LITERAL("echo \"a\\\n"), quote);
    check_bad(BYTES_LITERAL("\0"), control);
    check_bad(BYTES_LITERAL("\x16\x03\x01"), control);
    check_bad(BYTES_LITERAL("PING\rPONG\r\n"), control);
    check_bad(BYTES_LITERAL("PING\r\r\n"), control);
    check_bad(BYTES_LITERAL("a\x1b[A\r\n"), control);
    check_bad(BYTES_LITERAL("a\x7f\r\n"), control);
}

TEST(resp_reader_refuses_bad_lengths)
{
    const char *plain = "a length is not a plain number";
    const char *zero = "a length has a leading zero";
    const char *end = "a length is not followed by CR LF";
    const char *count = "a command has more than 4097 arguments";
    const char *size = "an argument is larger than 1048576 bytes";
    check_bad(BYTES_LITERAL("*\r\n"), plain);
    check_bad(BYTES_LITERAL("*-1\r\n"), plain);
    check_bad(BYTES_LITERAL("*+1\r\n"), plain);
    check_bad(BYTES_LITERAL("* 1\r\n"), plain);
    check_bad(BYTES_LITERAL("*x\r\n"), plain);
    check_bad(BYTES_LITERAL("*01\r\n"), zero);
    check_bad(BYTES_LITERAL("*00\r\n"), zero);
    check_bad(BYTES_LITERAL("*1 \r\n"), end);
    check_bad(BYTES_LITERAL("*1\n"), end);
    check_bad(BYTES_LITERAL("*1\r\r\n"), end);
    check_bad(BYTES_LITERAL("*1.0\r\n"), end);
    check_bad(BYTES_LITERAL("*4098"), count);
    check_bad(BYTES_LITERAL("*4294967297\r\n"), count);
    check_bad(BYTES_LITERAL("*18446744073709551617\r\n"), count);
    check_bad(BYTES_LITERAL("*1\r\n$-1\r\n"), plain);
    check_bad(BYTES_LITERAL("*1\r\n$\r\n"), plain);
    check_bad(BYTES_LITERAL("*1\r\n$04\r\n"), zero);
    check_bad(BYTES_LITERAL("*1\r\n$4\n"), end);
    check_bad(BYTES_LITERAL("*1\r\n$1048577"), size);
    check_bad(BYTES_LITERAL("*1\r\n$4294967296\r\n"), size);
    check_bad(BYTES_LITERAL("*1\r\n$4294967300\r\nPING\r\n"), size);
    check_bad(BYTES_LITERAL("*1\r\n$99999999999999999999\r\n"), size);
}

TEST(resp_reader_refuses_broken_arrays)
{
    const char *dollar = "an argument does not begin with '$'";
    const char *end = "an argument is not followed by CR LF";
    check_bad(BYTES_LITERAL("*1\r\n:1\r\n"), dollar);
    check_bad(BYTES_LITERAL("*2\r\n*1\r\n"), dollar);
    check_bad(BYTES_LITERAL("*2\r\n$1\r\na\r\nb\r\n"), dollar);
    check_bad(BYTES_LITERAL("*1\r\n\r\n"), dollar);
    check_bad(BYTES_LITERAL("*1\r\n$4\r\nPINGS\r\n"), end);
    check_bad(BYTES_LITERAL("*1\r\n$4\r\nPING\n\n"), end);
    check_bad(BYTES_LITERAL("*1\r\n$4\r\nPIN\r\n\r\n"), end);
    check_bad(BYTES_LITERAL("*1\r\n$0\r\nxx"), end);
}

/* An array of `count` arguments of `size` bytes each, but the last of `last_size`. */
static void append_array(struct buffer *out, uint64_t count, uint64_t size, uint64_t last_size)
{
    buffer_append_byte(out, '*');
    append_number(out, count);
    buffer_append(out, "\r\n", 2);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t this_size = i + 1 == count ? last_size : size;
        buffer_append_byte(out, '$');
        append_number(out, this_size);
        buffer_append(out, "\r\n", 2);
        for (uint64_t j = 0; j < this_size; j++) {
            buffer_append_byte(out, (char)('a' + (i + j) % 26));
        }
        buffer_append(out, "\r\n", 2);
    }
}

static enum proto_parse
read_array(uint64_t count, uint64_t size, uint64_t last_size, size_t *out_size)
{
    struct buffer input;
    struct outcome outcome;
    outcome_init(&outcome);
    buffer_init(&input, &memory_heap);
    append_array(&input, count, size, last_size);
    read_in_steps(buffer_bytes(&input), 0, 4093, &outcome);
    if (outcome.result == PARSE_DONE) CHECK_EQ_UINT(outcome.used, input.size);
    *out_size = input.size;
    buffer_deinit(&input);
    buffer_deinit(&outcome.text);
    return outcome.result;
}

TEST(resp_reader_limit_of_arguments)
{
    size_t size;
    CHECK_EQ_INT(read_array(RESP_ARGUMENT_COUNT_MAX - 1, 3, 3, &size), PARSE_DONE);
    CHECK_EQ_INT(read_array(RESP_ARGUMENT_COUNT_MAX, 3, 3, &size), PARSE_DONE);
    CHECK_EQ_INT(read_array(RESP_ARGUMENT_COUNT_MAX + 1, 3, 3, &size), PARSE_BAD);
}

TEST(resp_reader_limit_of_argument_size)
{
    size_t size;
    CHECK_EQ_INT(read_array(1, 0, RESP_ARGUMENT_SIZE_MAX - 1, &size), PARSE_DONE);
    CHECK_EQ_INT(read_array(2, 1, RESP_ARGUMENT_SIZE_MAX, &size), PARSE_DONE);
    CHECK_EQ_INT(read_array(1, 0, RESP_ARGUMENT_SIZE_MAX + 1, &size), PARSE_BAD);
}

TEST(resp_reader_limit_of_command_size)
{
    size_t size;
    uint64_t last_size = 500000; /* with as many digits as in the end */
    uint64_t first_size = RESP_ARGUMENT_SIZE_MAX - 1000;
    CHECK_EQ_INT(read_array(2, first_size, last_size, &size), PARSE_DONE);
    last_size += RESP_COMMAND_SIZE_MAX - size;
    CHECK_EQ_INT(read_array(2, first_size, last_size - 1, &size), PARSE_DONE);
    CHECK_EQ_INT(read_array(2, first_size, last_size, &size), PARSE_DONE);
    CHECK_EQ_UINT(size, RESP_COMMAND_SIZE_MAX);
    CHECK_EQ_INT(read_array(2, first_size, last_size + 1, &size), PARSE_BAD);
}

static enum proto_parse read_line_of(size_t size, const char *end, size_t step)
{
    struct buffer input;
    struct outcome outcome;
    outcome_init(&outcome);
    buffer_init(&input, &memory_heap);
    while (input.size < size - strlen(end)) {
        buffer_append_byte(&input, input.size % 100 == 99 ? ' ' : 'x');
    }
    buffer_append_bytes(&input, bytes_from_text(end));
    read_in_steps(buffer_bytes(&input), 0, step, &outcome);
    buffer_deinit(&input);
    buffer_deinit(&outcome.text);
    return outcome.result;
}

TEST(resp_reader_limit_of_lines)
{
    for (size_t step = 1; step <= 8192; step *= 8) {
        CHECK_EQ_INT(read_line_of(RESP_LINE_SIZE_MAX - 1, "\r\n", step), PARSE_DONE);
        CHECK_EQ_INT(read_line_of(RESP_LINE_SIZE_MAX, "\r\n", step), PARSE_DONE);
        CHECK_EQ_INT(read_line_of(RESP_LINE_SIZE_MAX, "\n", step), PARSE_DONE);
        CHECK_EQ_INT(read_line_of(RESP_LINE_SIZE_MAX - 1, "", step), PARSE_MORE);
        CHECK_EQ_INT(read_line_of(RESP_LINE_SIZE_MAX, "", step), PARSE_BAD);
        CHECK_EQ_INT(read_line_of(RESP_LINE_SIZE_MAX + 1, "\r\n", step), PARSE_BAD);
        CHECK_EQ_INT(read_line_of(RESP_LINE_SIZE_MAX + 1, "\n", step), PARSE_BAD);
    }
}

/* A random command in a random form; what it means goes to `meaning`. */
static void append_command(struct test_random *random, struct buffer *out, struct buffer *meaning)
{
    bool is_line = test_random_below(random, 4) == 0;
    uint64_t count = 1 + test_random_below(random, test_random_below(random, 10) == 0 ? 60 : 6);
    if (!is_line) {
        buffer_append_byte(out, '*');
        append_number(out, count);
        buffer_append(out, "\r\n", 2);
    }
    for (uint64_t i = 0; i < count; i++) {
        char text[40];
        size_t size = test_random_below(random, sizeof(text));
        for (size_t j = 0; j < size; j++) {
            text[j] = (char)test_random_next(random);
        }
        append_argument(meaning, (struct bytes){ text, size });
        if (is_line) {
            buffer_append(out, " \"", 2);
            for (size_t j = 0; j < size; j++) {
                char escape[5];
                (void)snprintf(escape, sizeof(escape), "\\x%02x", (unsigned)(unsigned char)text[j]);
                buffer_append(out, escape, 4);
            }
            buffer_append_byte(out, '"');
        } else {
            buffer_append_byte(out, '$');
            append_number(out, size);
            buffer_append(out, "\r\n", 2);
            buffer_append(out, text, size);
            buffer_append(out, "\r\n", 2);
        }
    }
    if (is_line) buffer_append(out, "\r\n", 2);
}

/* A stream of commands arrives in random pieces, and one reader sees them all in order. */
TEST(resp_reader_reads_a_stream_in_random_pieces)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct test_random random = { seed };
        struct buffer stream;
        struct buffer meaning;
        struct buffer seen;
        buffer_init(&stream, &memory_heap);
        buffer_init(&meaning, &memory_heap);
        buffer_init(&seen, &memory_heap);
        for (int i = 0; i < 40; i++) {
            append_command(&random, &stream, &meaning);
        }

        struct resp_reader reader;
        struct outcome outcome;
        outcome_init(&outcome);
        resp_reader_init(&reader, &memory_heap);
        size_t start = 0;
        size_t end = 0;
        while (start < stream.size) {
            test_note("seed %d, bytes %zu to %zu", (int)seed, start, end);
            struct bytes input = { stream.data + start, end - start };
            enum proto_parse result = read_once(&reader, input, &outcome);
            CHECK_NE_INT(result, PARSE_BAD);
            if (result == PARSE_DONE) {
                buffer_append_bytes(&seen, buffer_bytes(&outcome.text));
                start += outcome.used;
            } else {
                CHECK_LT_UINT(end, stream.size);
                end += 1 + test_random_below(&random, stream.size - end);
            }
        }
        CHECK_EQ_BYTES(buffer_bytes(&seen), buffer_bytes(&meaning));
        resp_reader_deinit(&reader);
        buffer_deinit(&outcome.text);
        buffer_deinit(&stream);
        buffer_deinit(&meaning);
        buffer_deinit(&seen);
    }
}

/* Commands with random damage: any outcome is right, if it is the same in whatever pieces. */
TEST(resp_reader_reads_damaged_commands_the_same_in_any_pieces)
{
    static const char likely[] = "*$\r\n0123456789-\"'\\ x";
    int done_count = 0;
    int bad_count = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct test_random random = { seed };
        struct buffer input;
        struct buffer meaning;
        struct outcome outcome;
        buffer_init(&input, &memory_heap);
        buffer_init(&meaning, &memory_heap);
        outcome_init(&outcome);
        append_command(&random, &input, &meaning);
        if (input.size > 200) input.size = 200;
        for (uint64_t i = test_random_below(&random, 4); i > 0; i--) {
            uint64_t at = test_random_below(&random, test_random_below(&random, input.size) + 1);
            input.data[at] = likely[test_random_below(&random, sizeof(likely) - 1)];
        }
        test_note("seed %d", (int)seed);
        read_every_way(buffer_bytes(&input), &outcome);
        done_count += outcome.result == PARSE_DONE;
        bad_count += outcome.result == PARSE_BAD;
        buffer_deinit(&input);
        buffer_deinit(&meaning);
        buffer_deinit(&outcome.text);
    }
    CHECK_LT_INT(50, done_count);
    CHECK_LT_INT(50, bad_count);
}

TEST(resp_reader_without_memory_says_so)
{
    struct buffer array;
    buffer_init(&array, &memory_heap);
    append_array(&array, 300, 2, 2);
    struct bytes inputs[] = { buffer_bytes(&array), BYTES_LITERAL("echo \"a b\"\r\n") };
    for (size_t i = 0; i < 2; i++) {
        uint64_t n = 1;
        for (bool has_failed = true; has_failed; n++) {
            struct fault_memory fault;
            fault_memory_init(&fault, n);
            struct resp_reader reader;
            struct outcome outcome;
            outcome_init(&outcome);
            resp_reader_init(&reader, &fault.memory);
            enum proto_parse result = read_once(&reader, inputs[i], &outcome);
            has_failed = fault.has_failed;
            CHECK_EQ_INT(result, has_failed ? PARSE_BAD : PARSE_DONE);
            if (has_failed) {
                CHECK_EQ_BYTES(buffer_bytes(&outcome.text), BYTES_LITERAL("no memory"));
            }
            resp_reader_deinit(&reader);
            fault_memory_check_empty(&fault);
            buffer_deinit(&outcome.text);
        }
        CHECK_LE_UINT(3, n);
    }
    buffer_deinit(&array);
}

TEST(resp_reader_does_not_allocate_for_small_commands)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 0);
    struct buffer array;
    struct outcome outcome;
    outcome_init(&outcome);
    buffer_init(&array, &memory_heap);
    append_array(&array, RESP_SPAN_COUNT_SMALL, 100, 100);
    struct resp_reader reader;
    resp_reader_init(&reader, &fault.memory);
    CHECK_EQ_INT(read_once(&reader, buffer_bytes(&array), &outcome), PARSE_DONE);
    CHECK_EQ_UINT(fault.call_count, 0);
    resp_reader_deinit(&reader);
    buffer_deinit(&array);
    buffer_deinit(&outcome.text);
}

/* A count alone must not make the reader allocate for it. */
TEST(resp_reader_does_not_allocate_for_promises)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 0);
    struct outcome outcome;
    outcome_init(&outcome);
    struct resp_reader reader;
    resp_reader_init(&reader, &fault.memory);
    CHECK_EQ_INT(read_once(&reader, BYTES_LITERAL("*4097\r\n$65536\r\nabc"), &outcome), PARSE_MORE);
    CHECK_EQ_UINT(fault.call_count, 0);
    resp_reader_deinit(&reader);
    buffer_deinit(&outcome.text);
}

TEST(resp_reader_gives_back_what_a_large_command_took)
{
    struct fault_memory fault;
    fault_memory_init(&fault, 0);
    struct buffer array;
    struct outcome outcome;
    outcome_init(&outcome);
    buffer_init(&array, &memory_heap);
    append_array(&array, RESP_ARGUMENT_COUNT_MAX, 1, 1);
    struct resp_reader reader;
    resp_reader_init(&reader, &fault.memory);
    CHECK_EQ_INT(read_once(&reader, buffer_bytes(&array), &outcome), PARSE_DONE);
    CHECK_LE_UINT(RESP_ARGUMENT_COUNT_MAX * sizeof(struct resp_span), fault.bytes_used);
    CHECK_EQ_INT(read_once(&reader, BYTES_LITERAL("*1\r\n$1\r\na\r\n"), &outcome), PARSE_DONE);
    CHECK_EQ_BYTES(buffer_bytes(&outcome.text), BYTES_LITERAL("[1]a"));
    CHECK_EQ_UINT(fault.bytes_used, 0);
    resp_reader_deinit(&reader);
    buffer_deinit(&array);
    buffer_deinit(&outcome.text);
}
