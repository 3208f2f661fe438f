/* Requests in whole and in every two pieces, and the table of what must be refused. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/random.h"
#include "lib/test.h"
#include "server/http_parse.h"

struct outcome {
    enum http_progress progress;
    struct http_request request;
    struct http_fault fault;
    size_t used;
};

static struct http_parser parser;

static void start(void)
{
    http_parser_deinit(&parser);
    http_parser_init(&parser, &memory_heap);
}

static struct outcome parse(struct bytes input)
{
    struct outcome outcome = { 0 };
    outcome.progress = http_parse(&parser, input, &outcome.request, &outcome.used, &outcome.fault);
    return outcome;
}

static struct outcome parse_fresh(const char *text)
{
    start();
    return parse(bytes_from_text(text));
}

#define CHECK_TEXT_IS(bytes, text) CHECK_EQ_BYTES(bytes, bytes_from_text(text))

static const char *const good[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v1/locks/a%20b/c?x=1&y=2 HTTP/1.1\r\nHost: localhost:7420\r\nAccept: */*\r\n\r\n",
    "POST /v1/locks/a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    "Content-Length: 15\r\n\r\n{\"ttl_ms\":1000}",
    "POST /v1/locks/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\n{\"t\r\n0c;x=\"y\"\r\ntl_ms\":1000}\r\n0\r\nTrailer: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:  Chunked \r\n\r\n0\r\n\r\n",
    "DELETE /v1/locks/a?owner=o&token=1 HTTP/1.1\r\nHost:\ta \r\nOrigin: http://a\r\n"
    "Sec-Fetch-Site: same-origin\r\nLast-Event-ID: 7\r\nIf-Match: \"1\"\r\n\r\n",
    "HEAD /healthz HTTP/1.0\r\n\r\n",
    "GET http://A.example:1/x?y HTTP/1.1\r\nHost: A.example:1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
};

#define GOOD_COUNT (sizeof(good) / sizeof(good[0]))

static void check_same(const struct http_request *left, const struct http_request *right)
{
    CHECK_EQ_INT(left->method, right->method);
    CHECK_EQ_INT(left->is_head, right->is_head);
    CHECK_EQ_INT(left->is_old, right->is_old);
    CHECK_EQ_INT(left->is_keep_alive, right->is_keep_alive);
    CHECK_EQ_BYTES(left->path, right->path);
    CHECK_EQ_BYTES(left->query, right->query);
    CHECK_EQ_BYTES(left->host, right->host);
    CHECK_EQ_BYTES(left->origin, right->origin);
    CHECK_EQ_BYTES(left->fetch_site, right->fetch_site);
    CHECK_EQ_BYTES(left->content_type, right->content_type);
    CHECK_EQ_BYTES(left->last_event_id, right->last_event_id);
    CHECK_EQ_BYTES(left->if_match, right->if_match);
    CHECK_EQ_BYTES(left->body, right->body);
}

TEST(a_request_is_understood)
{
    struct outcome outcome = parse_fresh(good[2]);
    CHECK_EQ_INT(outcome.progress, HTTP_DONE);
    CHECK_EQ_UINT(outcome.used, strlen(good[2]));
    CHECK_EQ_INT(outcome.request.method, METHOD_POST);
    CHECK(outcome.request.is_keep_alive);
    CHECK_TEXT_IS(outcome.request.path, "/v1/locks/a");
    CHECK_TEXT_IS(outcome.request.content_type, "application/json");
    CHECK_TEXT_IS(outcome.request.body, "{\"ttl_ms\":1000}");

    outcome = parse_fresh(good[3]);
    CHECK_EQ_INT(outcome.progress, HTTP_DONE);
    CHECK_TEXT_IS(outcome.request.body, "{\"ttl_ms\":1000}");

    outcome = parse_fresh(good[5]);
    CHECK_TEXT_IS(outcome.request.query, "owner=o&token=1");
    CHECK_TEXT_IS(outcome.request.host, "a");
    CHECK_TEXT_IS(outcome.request.origin, "http://a");
    CHECK_TEXT_IS(outcome.request.fetch_site, "same-origin");
    CHECK_TEXT_IS(outcome.request.last_event_id, "7");
    CHECK_TEXT_IS(outcome.request.if_match, "\"1\"");

    outcome = parse_fresh(good[6]);
    CHECK_EQ_INT(outcome.request.method, METHOD_GET);
    CHECK(outcome.request.is_head);
    CHECK(outcome.request.is_old);
    CHECK(!outcome.request.is_keep_alive);

    outcome = parse_fresh(good[7]);
    CHECK_TEXT_IS(outcome.request.path, "/x");
    CHECK_TEXT_IS(outcome.request.query, "y");
}

/* Each piece lies somewhere else in memory, as in a connection. */
static struct outcome parse_pieces(const char *text, size_t split, char **out_copy)
{
    size_t size = strlen(text);
    start();
    char *first = malloc(size + 1);
    memcpy(first, text, split);
    struct outcome outcome = parse((struct bytes){ first, split });
    CHECK_EQ_INT(outcome.progress, HTTP_MORE);
    *out_copy = malloc(size + 1);
    memcpy(*out_copy, text, size);
    memset(first, 'x', size);
    free(first);
    return parse((struct bytes){ *out_copy, size });
}

TEST(split_at_every_byte_is_the_same)
{
    for (size_t i = 0; i < GOOD_COUNT; i++) {
        size_t size = strlen(good[i]);
        struct http_parser whole_parser;
        http_parser_init(&whole_parser, &memory_heap);
        struct http_request whole;
        struct http_fault fault;
        size_t used = 0;
        test_note("request %zu", i);
        CHECK_EQ_INT(
            http_parse(&whole_parser, bytes_from_text(good[i]), &whole, &used, &fault), HTTP_DONE);
        for (size_t split = 0; split < size; split++) {
            char *copy = NULL;
            test_note("request %zu split at %zu", i, split);
            struct outcome outcome = parse_pieces(good[i], split, &copy);
            CHECK_EQ_INT(outcome.progress, HTTP_DONE);
            CHECK_EQ_UINT(outcome.used, size);
            check_same(&outcome.request, &whole);
            free(copy);
        }
        http_parser_deinit(&whole_parser);
    }
}

TEST(byte_by_byte_is_the_same)
{
    for (size_t i = 0; i < GOOD_COUNT; i++) {
        size_t size = strlen(good[i]);
        start();
        for (size_t end = 0; end < size; end++) {
            CHECK_EQ_INT(parse((struct bytes){ good[i], end }).progress, HTTP_MORE);
        }
        CHECK_EQ_INT(parse((struct bytes){ good[i], size }).progress, HTTP_DONE);
    }
}

TEST(requests_in_a_row_are_told_apart)
{
    char row[4096] = "";
    for (size_t i = 0; i < GOOD_COUNT; i++) {
        strcat(row, good[i]);
    }
    struct bytes rest = bytes_from_text(row);
    start();
    for (size_t i = 0; i < GOOD_COUNT; i++) {
        struct outcome outcome = parse(rest);
        CHECK_EQ_INT(outcome.progress, HTTP_DONE);
        CHECK_EQ_UINT(outcome.used, strlen(good[i]));
        rest.data += outcome.used;
        rest.size -= outcome.used;
    }
    CHECK_EQ_UINT(rest.size, 0);
}

struct refused {
    int status;
    const char *text;
};

#define H "Host: a\r\n"

/* What makes two parsers disagree about where a request ends, and other bad manners. */
static const struct refused refused[] = {
    { 400,
      "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { 400,
      "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\nabc" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\nabc" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\nabc" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n" },
    { 400,
      "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n" },
    { 400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\na\r\n" },
    { 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;a\rb\r\na\r\n" },
    { 400, "GET / HTTP/1.1\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\nHost:\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H H "\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "Host: b\r\n\r\n" },
    { 400, "GET http://b/ HTTP/1.1\r\n" H "\r\n" },
    { 400, "GET https://a/ HTTP/1.1\r\n" H "\r\n" },
    { 400, "GET a HTTP/1.1\r\n" H "\r\n" },
    { 400, "GET /a#b HTTP/1.1\r\n" H "\r\n" },
    { 400, "GET /a?x=1# HTTP/1.1\r\n" H "\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n" },
    { 400, "GET / HTTP/1.1\n" H "\r\n" },
    { 400, "GET / HTTP/1.1\r\nHost: a\n\r\n" },
    { 400, "GET / HTTP/1.1\r\nHost: a\r\n\n" },
    { 400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "X\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H ": x\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "X y: x\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "X\001: x\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "X: \001\r\n\r\n" },
    { 400, "GET /\001 HTTP/1.1\r\n" H "\r\n" },
    { 400, "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n" },
    { 400, "\r\nGET / HTTP/1.1\r\n" H "\r\n" },
    { 400, "GET  / HTTP/1.1\r\n" H "\r\n" },
    { 505, "GET /\r\n" H "\r\n" },
    { 400, "GET / HTTP/1.1 \r\n" H "\r\n" },
    { 400, "GET / HTTP/1.1\r\n" H "Origin: http://a\r\nOrigin: http://b\r\n\r\n" },
    { 413, "POST / HTTP/1.1\r\n" H "Content-Length: 1572865\r\n\r\n" },
    { 417, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nExpect: tea\r\n\r\na" },
    { 501, "BREW / HTTP/1.1\r\n" H "\r\n" },
    { 505, "GET / HTTP/2.0\r\n" H "\r\n" },
    { 505, "GET / HTTP/0.9\r\n" H "\r\n" },
    { 505, "GET / HTTP/1.2\r\n" H "\r\n" },
};

TEST(what_is_ambiguous_is_refused)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        test_note("%s", refused[i].text);
        struct outcome outcome = parse_fresh(refused[i].text);
        CHECK_EQ_INT(outcome.progress, HTTP_BAD);
        CHECK_EQ_INT(outcome.fault.status, refused[i].status);
        CHECK(outcome.fault.text != NULL);
    }
}

TEST(what_is_ambiguous_is_refused_in_pieces_too)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        size_t size = strlen(refused[i].text);
        test_note("%s", refused[i].text);
        start();
        struct outcome outcome = { 0 };
        for (size_t end = 1; end <= size && outcome.progress == HTTP_MORE; end++) {
            outcome = parse((struct bytes){ refused[i].text, end });
        }
        CHECK_EQ_INT(outcome.progress, HTTP_BAD);
        CHECK_EQ_INT(outcome.fault.status, refused[i].status);
    }
}

TEST(a_nul_is_refused)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n";
    start();
    CHECK_EQ_INT(parse((struct bytes){ text, sizeof(text) - 1 }).progress, HTTP_BAD);
}

/* "GET /aaa… HTTP/1.1" of `size` bytes, without its end. */
static struct outcome parse_line_of(size_t size)
{
    char *text = malloc(size + 64);
    memset(text, 'a', size);
    memcpy(text, "GET /", 5);
    memcpy(text + size - 9, " HTTP/1.1", 9);
    memcpy(text + size, "\r\nHost: a\r\n\r\n", 14);
    start();
    struct outcome outcome = parse((struct bytes){ text, size + 13 });
    free(text);
    return outcome;
}

TEST(the_request_line_has_a_limit)
{
    CHECK_EQ_INT(parse_line_of(HTTP_LINE_SIZE_MAX - 1).progress, HTTP_DONE);
    CHECK_EQ_INT(parse_line_of(HTTP_LINE_SIZE_MAX).progress, HTTP_BAD);
    CHECK_EQ_INT(parse_line_of(HTTP_LINE_SIZE_MAX).fault.status, 414);
}

static struct outcome parse_headers_of(size_t count, size_t value_size)
{
    struct buffer text;
    buffer_init(&text, &memory_heap);
    buffer_append_bytes(&text, BYTES_LITERAL("GET / HTTP/1.1\r\nHost: a\r\n"));
    for (size_t i = 1; i < count; i++) {
        buffer_append_bytes(&text, BYTES_LITERAL("X: "));
        for (size_t at = 0; at < value_size; at++) {
            buffer_append_byte(&text, 'y');
        }
        buffer_append_bytes(&text, BYTES_LITERAL("\r\n"));
    }
    buffer_append_bytes(&text, BYTES_LITERAL("\r\n"));
    start();
    struct outcome outcome = parse(buffer_bytes(&text));
    buffer_deinit(&text);
    return outcome;
}

TEST(the_header_has_limits)
{
    CHECK_EQ_INT(parse_headers_of(HTTP_HEADER_COUNT_MAX, 1).progress, HTTP_DONE);
    CHECK_EQ_INT(parse_headers_of(HTTP_HEADER_COUNT_MAX + 1, 1).progress, HTTP_BAD);
    CHECK_EQ_INT(parse_headers_of(HTTP_HEADER_COUNT_MAX + 1, 1).fault.status, 431);
    CHECK_EQ_INT(parse_headers_of(2, 16000).progress, HTTP_DONE);
    CHECK_EQ_INT(parse_headers_of(2, 30000).fault.status, 431);
}

/* A body of `size` bytes in chunks of `chunk_size`. */
static struct outcome parse_chunks_of(size_t size, size_t chunk_size)
{
    struct buffer text;
    buffer_init(&text, &memory_heap);
    buffer_append_bytes(
        &text, BYTES_LITERAL("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    char line[32];
    for (size_t sent = 0; sent < size;) {
        size_t part = size - sent < chunk_size ? size - sent : chunk_size;
        buffer_append(&text, line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", part));
        for (size_t i = 0; i < part; i++) {
            buffer_append_byte(&text, (char)('a' + (sent + i) % 26));
        }
        buffer_append_bytes(&text, BYTES_LITERAL("\r\n"));
        sent += part;
    }
    buffer_append_bytes(&text, BYTES_LITERAL("0\r\n\r\n"));
    start();
    struct outcome outcome = parse(buffer_bytes(&text));
    buffer_deinit(&text);
    return outcome;
}

TEST(a_chunked_body_has_a_limit)
{
    CHECK_EQ_INT(parse_chunks_of(1500000, 65536).progress, HTTP_DONE);
    CHECK_EQ_UINT(parse_chunks_of(1500000, 65536).request.body.size, 1500000);
    CHECK_EQ_INT(parse_chunks_of(1600000, 65536).fault.status, 413);
    /* Its framing counts: many tiny chunks are not worth their bytes. */
    CHECK_EQ_INT(parse_chunks_of(400000, 1).fault.status, 413);
}

TEST(a_client_that_asks_first_is_told_to_go_on)
{
    const char *text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                       "Expect: 100-continue\r\n\r\n{}";
    start();
    CHECK_EQ_INT(parse((struct bytes){ text, strlen(text) - 2 }).progress, HTTP_MORE);
    CHECK(http_parser_take_continue(&parser));
    CHECK(!http_parser_take_continue(&parser));
    CHECK_EQ_INT(parse(bytes_from_text(text)).progress, HTTP_DONE);
    CHECK(!http_parser_take_continue(&parser));
}

TEST(random_damage_ends_well)
{
    struct test_random random = { 7 };
    for (int round = 0; round < 20000; round++) {
        char text[512];
        const char *from = good[test_random_below(&random, GOOD_COUNT)];
        size_t size = strlen(from);
        memcpy(text, from, size);
        for (uint64_t i = test_random_below(&random, 4); i > 0; i--) {
            text[test_random_below(&random, size)] = (char)test_random_below(&random, 256);
        }
        start();
        for (size_t end = 0; end <= size; end += 1 + test_random_below(&random, 64)) {
            if (parse((struct bytes){ text, end }).progress != HTTP_MORE) break;
        }
    }
}
