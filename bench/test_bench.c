/* What every figure stands on: the buckets of latencies, and the readers of answers. */
#include <stdlib.h>

#include "base64.h"
#include "histogram.h"
#include "lib/test.h"
#include "reply.h"

static struct histogram histogram;
static struct resp_reply resp;

TEST(histogram_is_exact_within_a_sixtieth)
{
    for (uint64_t value = 1; value < UINT64_C(1) << 62; value = value * 3 / 2 + 1) {
        histogram = (struct histogram){ .count = 0 };
        histogram_record(&histogram, value);
        uint64_t told = histogram_quantile_ns(&histogram, 0.5);
        uint64_t error = told > value ? told - value : value - told;
        CHECK(error <= value / 60);
        CHECK_EQ_UINT(histogram.value_max_ns, value);
    }
}

TEST(histogram_takes_every_value)
{
    histogram = (struct histogram){ .count = 0 };
    histogram_record(&histogram, 0);
    histogram_record(&histogram, UINT64_MAX);
    CHECK_EQ_UINT(histogram_quantile_ns(&histogram, 0.5), 0);
    CHECK(histogram_quantile_ns(&histogram, 1.0) > UINT64_MAX / 64 * 63);
}

TEST(histogram_quantiles_divide_the_values)
{
    histogram = (struct histogram){ .count = 0 };
    CHECK_EQ_UINT(histogram_quantile_ns(&histogram, 0.5), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        histogram_record(&histogram, i * 1000);
    }
    const uint64_t tenths[] = { 1, 5, 9 };
    for (size_t i = 0; i < sizeof(tenths) / sizeof(tenths[0]); i++) {
        uint64_t told = histogram_quantile_ns(&histogram, (double)tenths[i] / 10);
        uint64_t right = tenths[i] * 100000;
        CHECK(told > right - right / 50 && told < right + right / 50);
    }
}

TEST(answers_of_beanstalkd_are_read_whole)
{
    struct bytes answer = BYTES_LITERAL("RESERVED 7 5\r\nhe\r\no\r\n");
    for (size_t size = 0; size < answer.size; size++) {
        CHECK_EQ_INT(bean_reply_read((struct bytes){ answer.data, size }, &resp), REPLY_MORE);
    }
    CHECK_EQ_INT(bean_reply_read(answer, &resp), REPLY_DONE);
    CHECK_EQ_UINT(resp.size, answer.size);
    CHECK_EQ_UINT(resp.token_count, 4);
    CHECK_EQ_INT(resp.tokens[1].number, 7);
    CHECK(bytes_equal(resp.tokens[3].text, BYTES_LITERAL("he\r\no")));

    CHECK_EQ_INT(bean_reply_read(BYTES_LITERAL("INSERTED 42\r\nDELETED\r\n"), &resp), REPLY_DONE);
    CHECK_EQ_UINT(resp.size, 13);
    CHECK_EQ_UINT(resp.token_count, 2);
    CHECK_EQ_INT(resp.tokens[1].number, 42);
    CHECK_EQ_INT(bean_reply_read(BYTES_LITERAL("RESERVED 7\r\n"), &resp), REPLY_BAD);
    CHECK_EQ_INT(bean_reply_read(BYTES_LITERAL("RESERVED 7 x\r\n"), &resp), REPLY_BAD);
    CHECK_EQ_INT(bean_reply_read(BYTES_LITERAL("\r\n"), &resp), REPLY_BAD);
}

/* All prefixes want more; the whole is taken, and nothing behind it. */
static void check_resp_is_whole(const char *text, uint32_t token_count)
{
    struct bytes all = bytes_from_text(text);
    for (size_t size = 0; size < all.size; size++) {
        CHECK_EQ_INT(resp_reply_read((struct bytes){ all.data, size }, &resp), REPLY_MORE);
    }
    CHECK_EQ_INT(resp_reply_read(all, &resp), REPLY_DONE);
    CHECK_EQ_UINT(resp.size, all.size);
    CHECK_EQ_UINT(resp.token_count, token_count);

    char followed[256] = { 0 };
    memcpy(followed, all.data, all.size);
    memcpy(followed + all.size, "+NEXT\r\n", 7);
    CHECK_EQ_INT(resp_reply_read((struct bytes){ followed, all.size + 7 }, &resp), REPLY_DONE);
    CHECK_EQ_UINT(resp.size, all.size);
}

TEST(resp_answers_are_read_whole)
{
    check_resp_is_whole("+OK\r\n", 1);
    check_resp_is_whole("-HELD somebody\r\n", 1);
    check_resp_is_whole(":-42\r\n", 1);
    check_resp_is_whole("$5\r\nhe\r\no\r\n", 1);
    check_resp_is_whole("$0\r\n\r\n", 1);
    check_resp_is_whole("$-1\r\n", 1);
    check_resp_is_whole("*-1\r\n", 1);
    check_resp_is_whole("*0\r\n", 1);
    check_resp_is_whole("*3\r\n:1\r\n*2\r\n:2\r\n:3\r\n:4\r\n", 6);
    check_resp_is_whole("%2\r\n+token\r\n:7\r\n+slot\r\n:0\r\n", 5);
    check_resp_is_whole("_\r\n", 1);
    check_resp_is_whole("#t\r\n", 1);
}

TEST(resp_nonsense_is_refused)
{
    const char *const bad[] = { "hello\r\n", ":\r\n", ":1x\r\n", "$x\r\n",         "$-2\r\n",
                                "*1x\r\n",   "\r\n",  "+OK\n",   "*9999999999\r\n" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ_INT(resp_reply_read(bytes_from_text(bad[i]), &resp), REPLY_BAD);
    }
}

TEST(resp_number_is_found_by_its_key)
{
    struct bytes pairs = BYTES_LITERAL("*4\r\n$4\r\nslot\r\n:0\r\n$5\r\ntoken\r\n:99\r\n");
    CHECK_EQ_INT(resp_reply_read(pairs, &resp), REPLY_DONE);
    CHECK_EQ_INT(resp_reply_number(&resp, BYTES_LITERAL("token")), 99);
    CHECK_EQ_INT(resp_reply_number(&resp, BYTES_LITERAL("slot")), 0);
    CHECK_EQ_INT(resp_reply_number(&resp, BYTES_LITERAL("mode")), -1);
}

TEST(http_answers_are_read_whole)
{
    struct bytes all = BYTES_LITERAL(
        "HTTP/1.1 201 Created\r\nContent-length: 13\r\nX-Y: z\r\n\r\n{\"token\": 42}");
    struct http_reply reply;
    for (size_t size = 0; size < all.size; size++) {
        CHECK_EQ_INT(http_reply_read((struct bytes){ all.data, size }, &reply), REPLY_MORE);
    }
    CHECK_EQ_INT(http_reply_read(all, &reply), REPLY_DONE);
    CHECK_EQ_INT(reply.status, 201);
    CHECK_EQ_UINT(reply.size, all.size);
    CHECK_EQ_INT(json_number(reply.body, BYTES_LITERAL("\"token\":")), 42);
    CHECK_EQ_INT(json_number(reply.body, BYTES_LITERAL("\"slot\":")), -1);
}

TEST(http_nonsense_is_refused)
{
    struct http_reply reply;
    const char *const bad[] = {
        "HTTP/1.0 200 OK\r\n",
        "+OK\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n", /* a body of unknown size */
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ_INT(http_reply_read(bytes_from_text(bad[i]), &reply), REPLY_BAD);
    }
}

TEST(http_streams_have_no_end)
{
    struct http_reply reply;
    struct bytes head =
        BYTES_LITERAL("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n");
    CHECK_EQ_INT(http_reply_read(head, &reply), REPLY_DONE);
    CHECK(reply.is_endless);
    CHECK_EQ_UINT(reply.body.size, 8);
}

/* RFC 4648, section 10. */
TEST(base64_is_that_of_the_standard)
{
    const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char text[BASE64_SIZE(6)];
        base64_write(bytes_from_text(vectors[i][0]), text);
        CHECK_EQ_TEXT(text, vectors[i][1]);
    }
}
