#include <stdlib.h>

#include "base/buffer.h"
#include "base/decimal.h"
#include "lib/random.h"
#include "lib/test.h"
#include "proto/resp_reply.h"
#include "proto/resp_writer.h"

/* A copy that ends where the input ends, so that a sanitizer sees each byte read beyond. */
static char *exact_copy(struct bytes input)
{
    char *copy = malloc(input.size == 0 ? 1 : input.size);
    CHECK(copy != NULL);
    if (input.size > 0) memcpy(copy, input.data, input.size);
    return copy;
}

static enum proto_parse
skip_once(struct resp_skip *skip, struct bytes input, size_t *out_size, const char **out_text)
{
    char *copy = exact_copy(input);
    enum proto_parse result =
        resp_skip_reply(skip, (struct bytes){ copy, input.size }, out_size, out_text);
    free(copy);
    return result;
}

/* Skip with all of it, then with one more byte each time: both must come to the same. */
static enum proto_parse skip_every_way(struct bytes input, size_t *out_size, const char **out_text)
{
    struct resp_skip skip = { 0 };
    enum proto_parse whole = skip_once(&skip, input, out_size, out_text);
    struct resp_skip slow = { 0 };
    enum proto_parse result = PARSE_MORE;
    size_t size = 0;
    const char *text = NULL;
    for (size_t i = 0; i <= input.size && result == PARSE_MORE; i++)
        result = skip_once(&slow, (struct bytes){ input.data, i }, &size, &text);
    CHECK_EQ_INT(result, whole);
    if (whole == PARSE_DONE) CHECK_EQ_UINT(size, *out_size);
    if (whole == PARSE_BAD) CHECK_EQ_TEXT(text, *out_text);
    return whole;
}

static void check_token(
    const char *input, enum resp_kind kind, int64_t integer, const char *text, uint32_t count)
{
    struct resp_token token;
    const char *bad_text = "";
    size_t position = 0;
    struct bytes bytes = bytes_from_text(input);
    test_note("input: %s", input);
    for (size_t size = 0; size < bytes.size; size++) {
        char *copy = exact_copy((struct bytes){ input, size });
        struct bytes part = { copy, size };
        CHECK_EQ_INT(resp_read_token(part, &position, &token, &bad_text), PARSE_MORE);
        CHECK_EQ_UINT(position, 0);
        free(copy);
    }
    CHECK_EQ_INT(resp_read_token(bytes, &position, &token, &bad_text), PARSE_DONE);
    CHECK_EQ_UINT(position, bytes.size);
    CHECK_EQ_INT(token.kind, kind);
    CHECK_EQ_INT(token.integer, integer);
    CHECK_EQ_BYTES(token.text, bytes_from_text(text));
    CHECK_EQ_UINT(token.count, count);
}

TEST(resp_reply_tokens)
{
    check_token("+OK\r\n", RESP_SIMPLE, 0, "OK", 0);
    check_token("+\r\n", RESP_SIMPLE, 0, "", 0);
    check_token("-HELD by alice\r\n", RESP_ERROR, 0, "HELD by alice", 0);
    check_token("!7\r\nERR\r\nno\r\n", RESP_ERROR, 0, "ERR\r\nno", 0);
    check_token(":0\r\n", RESP_INTEGER, 0, "", 0);
    check_token(":9223372036854775807\r\n", RESP_INTEGER, INT64_MAX, "", 0);
    check_token(":-9223372036854775808\r\n", RESP_INTEGER, INT64_MIN, "", 0);
    check_token("$5\r\na\r\nbc\r\n", RESP_BULK, 0, "a\r\nbc", 0);
    check_token("$0\r\n\r\n", RESP_BULK, 0, "", 0);
    check_token("=8\r\ntxt:some\r\n", RESP_BULK, 0, "some", 0);
    check_token("=4\r\ntxt:\r\n", RESP_BULK, 0, "", 0);
    check_token("$-1\r\n", RESP_NULL, 0, "", 0);
    check_token("*-1\r\n", RESP_NULL, 0, "", 0);
    check_token("_\r\n", RESP_NULL, 0, "", 0);
    check_token("#t\r\n", RESP_BOOL, 1, "", 0);
    check_token("#f\r\n", RESP_BOOL, 0, "", 0);
    check_token(",-1.5e3\r\n", RESP_DOUBLE, 0, "-1.5e3", 0);
    check_token(",inf\r\n", RESP_DOUBLE, 0, "inf", 0);
    check_token(
        "(123456789012345678901234567890\r\n",
        RESP_BIG_NUMBER,
        0,
        "123456789012345678901234567890",
        0);
    check_token("*3\r\n", RESP_ARRAY, 0, "", 3);
    check_token("~3\r\n", RESP_SET, 0, "", 3);
    check_token(">3\r\n", RESP_PUSH, 0, "", 3);
    check_token("%3\r\n", RESP_MAP, 0, "", 6);
    check_token("|1\r\n", RESP_ATTRIBUTE, 0, "", 2);
}

static void check_whole(const char *reply)
{
    struct buffer input;
    buffer_init(&input, &memory_heap);
    buffer_append_bytes(&input, bytes_from_text(reply));
    struct bytes bytes = buffer_bytes(&input);
    size_t size = 0;
    const char *text = NULL;
    test_note("reply: %s", reply);
    CHECK_EQ_INT(skip_every_way(bytes, &size, &text), PARSE_DONE);
    CHECK_EQ_UINT(size, bytes.size);
    buffer_append(&input, "+next\r\n", 7);
    CHECK_EQ_INT(skip_every_way(buffer_bytes(&input), &size, &text), PARSE_DONE);
    CHECK_EQ_UINT(size, bytes.size);
    buffer_deinit(&input);
}

TEST(resp_reply_whole_replies)
{
    check_whole("+OK\r\n");
    check_whole("*0\r\n");
    check_whole("%0\r\n");
    check_whole("*2\r\n:1\r\n:2\r\n");
    check_whole("*2\r\n*1\r\n*0\r\n$3\r\na\r\n\r\n");
    check_whole("%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n_\r\n");
    check_whole("|1\r\n+ttl\r\n:5\r\n*2\r\n:1\r\n|1\r\n+k\r\n+v\r\n:2\r\n");
    check_whole(">2\r\n+event\r\n~2\r\n#t\r\n,1.5\r\n");
    check_whole("*3\r\n$-1\r\n*-1\r\n:7\r\n");
    check_whole("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n");
}

static void check_bad(const char *input, const char *expected)
{
    size_t size = 0;
    const char *text = "";
    test_note("input: %s", input);
    CHECK_EQ_INT(skip_every_way(bytes_from_text(input), &size, &text), PARSE_BAD);
    CHECK_EQ_TEXT(text, expected);
}

TEST(resp_reply_bad_replies)
{
    check_bad("PING\r\n", "a reply begins with no known type");
    check_bad("\r\n", "a reply begins with no known type");
    check_bad("\xab\r\n", "a reply begins with no known type");
    check_bad("*1\r\nx", "a reply begins with no known type");
    check_bad(":\r\n", "an integer is not a plain number");
    check_bad(":1.0\r\n", "an integer is not a plain number");
    check_bad(":9223372036854775808\r\n", "an integer is not a plain number");
    check_bad("#x\r\n", "a boolean is neither t nor f");
    check_bad("#tf\r\n", "a boolean is neither t nor f");
    check_bad("_x\r\n", "a null has something in it");
    check_bad("+O\rK\r\n", "a line does not end in CR LF");
    check_bad("$x\r\n", "a size is not a plain number");
    check_bad("$-2\r\n", "a size is not a plain number");
    check_bad("=-1\r\n", "a size is not a plain number");
    check_bad("!-1\r\n", "a size is not a plain number");
    check_bad("$?\r\n", "a size is not a plain number");
    check_bad("$18446744073709551615\r\n", "a string is too large");
    check_bad("$536870913\r\n", "a string is too large");
    check_bad("$2\r\nabc\r\n", "a string is not followed by CR LF");
    check_bad("=3\r\ntxt\r\n", "a verbatim string does not say its format");
    check_bad("=5\r\ntext:\r\n", "a verbatim string does not say its format");
    check_bad("*-2\r\n", "a count is not a plain number");
    check_bad("%-1\r\n", "a count is not a plain number");
    check_bad(">-1\r\n", "a count is not a plain number");
    check_bad("*16777217\r\n", "too many values");
    check_bad("%8388609\r\n", "too many values");
    check_bad("*18446744073709551615\r\n", "too many values");
    check_bad("*16777216\r\n*16777216\r\n", "too many values");
    check_bad("|8388608\r\n|8388608\r\n", "too many values");
}

TEST(resp_reply_limit_of_lines)
{
    for (size_t size = RESP_REPLY_LINE_SIZE_MAX - 1; size <= RESP_REPLY_LINE_SIZE_MAX; size++) {
        struct buffer input;
        buffer_init(&input, &memory_heap);
        buffer_append_byte(&input, '+');
        for (size_t i = 0; i < size; i++)
            buffer_append_byte(&input, 'x');
        buffer_append(&input, "\r\n", 2);
        struct resp_skip skip = { 0 };
        size_t used = 0;
        const char *text = NULL;
        enum proto_parse expected = size < RESP_REPLY_LINE_SIZE_MAX ? PARSE_DONE : PARSE_BAD;
        CHECK_EQ_INT(skip_once(&skip, buffer_bytes(&input), &used, &text), expected);
        buffer_deinit(&input);
    }
}

/* A thousand opened arrays end the program as little as one does. */
TEST(resp_reply_depth_costs_nothing)
{
    struct buffer input;
    buffer_init(&input, &memory_heap);
    for (int i = 0; i < 100000; i++)
        buffer_append(&input, "*1\r\n", 4);
    struct resp_skip skip = { 0 };
    size_t used = 0;
    const char *text = NULL;
    CHECK_EQ_INT(skip_once(&skip, buffer_bytes(&input), &used, &text), PARSE_MORE);
    buffer_append(&input, "_\r\n", 3);
    CHECK_EQ_INT(skip_once(&skip, buffer_bytes(&input), &used, &text), PARSE_DONE);
    CHECK_EQ_UINT(used, input.size);
    buffer_deinit(&input);
}

static void write_random_scalar(struct test_random *random, const struct resp_writer *writer)
{
    char text[20];
    size_t size = test_random_below(random, sizeof(text));
    for (size_t i = 0; i < size; i++)
        text[i] = (char)test_random_next(random);
    struct bytes bytes = { text, size };
    switch (test_random_below(random, 7)) {
    case 0: resp_write_simple(writer, bytes); break;
    case 1: resp_write_error(writer, "ERR", bytes); break;
    case 2: resp_write_bulk(writer, bytes); break;
    case 3: resp_write_signed(writer, (int64_t)test_random_next(random)); break;
    case 4: resp_write_bool(writer, size % 2 == 0); break;
    case 5: resp_write_null(writer); break;
    default: resp_write_thousandths(writer, (int64_t)test_random_next(random)); break;
    }
}

static void write_random_reply(struct test_random *random, const struct resp_writer *writer)
{
    uint64_t pending = 1;
    while (pending > 0) {
        uint32_t count = (uint32_t)test_random_below(random, 4);
        pending--;
        switch (test_random_below(random, pending > 20 ? 1 : 6)) {
        case 4:
            resp_write_map(writer, count);
            pending += 2 * (uint64_t)count;
            break;
        case 5:
            resp_write_array(writer, count);
            pending += count;
            break;
        default: write_random_scalar(random, writer); break;
        }
    }
}

/* What the writer writes, the reader takes for one reply, in whatever pieces. */
TEST(resp_reply_reads_what_the_writer_writes)
{
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct test_random random = { seed };
        struct buffer input;
        buffer_init(&input, &memory_heap);
        struct resp_writer writer = { &input, seed % 2 == 0 };
        write_random_reply(&random, &writer);
        size_t size = 0;
        const char *text = "";
        test_note("seed %d", (int)seed);
        CHECK_EQ_INT(skip_every_way(buffer_bytes(&input), &size, &text), PARSE_DONE);
        CHECK_EQ_UINT(size, input.size);
        buffer_deinit(&input);
    }
}

TEST(resp_reply_reads_damaged_replies_the_same_in_any_pieces)
{
    static const char likely[] = "+-:$*%~>#_=!|,(0123456789\r\n";
    int bad_count = 0;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct test_random random = { seed };
        struct buffer input;
        buffer_init(&input, &memory_heap);
        struct resp_writer writer = { &input, true };
        write_random_reply(&random, &writer);
        for (uint64_t i = 1 + test_random_below(&random, 3); i > 0; i--) {
            input.data[test_random_below(&random, input.size)] =
                likely[test_random_below(&random, sizeof(likely) - 1)];
        }
        size_t size = 0;
        const char *text = "";
        test_note("seed %d", (int)seed);
        bad_count += skip_every_way(buffer_bytes(&input), &size, &text) == PARSE_BAD;
        buffer_deinit(&input);
    }
    CHECK_LT_INT(500, bad_count);
}
