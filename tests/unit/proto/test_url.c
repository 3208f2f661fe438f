#include <stdio.h>
#include <stdlib.h>

#include "lib/random.h"
#include "lib/test.h"
#include "proto/url.h"

/* The smallest room that the contract asks for, so that a sanitizer sees a byte too many. */
static char *room_for(struct bytes text)
{
    char *scratch = malloc(text.size == 0 ? 1 : text.size);
    CHECK(scratch != NULL);
    return scratch;
}

static void check_path(const char *text, const char *expected)
{
    char *scratch = room_for(bytes_from_text(text));
    struct bytes decoded;
    test_note("path %s", text);
    CHECK(url_decode_path(bytes_from_text(text), scratch, &decoded));
    CHECK_EQ_BYTES(decoded, bytes_from_text(expected));
    free(scratch);
}

static void check_bad_path(struct bytes text)
{
    char *scratch = room_for(text);
    char *copy = room_for(text);
    memcpy(copy, text.data, text.size);
    struct bytes decoded = BYTES_LITERAL("untouched");
    test_note("path %.*s", (int)text.size, text.data);
    CHECK(!url_decode_path((struct bytes){ copy, text.size }, scratch, &decoded));
    CHECK_EQ_BYTES(decoded, BYTES_LITERAL("untouched"));
    free(scratch);
    free(copy);
}

TEST(url_path_is_decoded_once)
{
    check_path("", "");
    check_path("deploy/prod", "deploy/prod");
    check_path("deploy%2Fprod", "deploy/prod");
    check_path("deploy%2fprod/%41%7e", "deploy/prod/A~");
    check_path("a+b", "a+b");
    check_path("a+b%20c", "a+b c");
    check_path("100%25", "100%");
    check_path("%2541", "%41");
    check_path("gr%C3%BC%c3%9f", "gr\xc3\xbc\xc3\x9f");
    check_path("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    check_path("../%2e%2e", "../..");
}

TEST(url_path_without_escapes_is_not_copied)
{
    struct bytes text = BYTES_LITERAL("deploy/prod+1");
    struct bytes decoded;
    CHECK(url_decode_path(text, NULL, &decoded));
    CHECK(decoded.data == text.data);
}

TEST(url_bad_paths)
{
    check_bad_path(BYTES_LITERAL("%"));
    check_bad_path(BYTES_LITERAL("a%"));
    check_bad_path(BYTES_LITERAL("a%4"));
    check_bad_path(BYTES_LITERAL("a%4x"));
    check_bad_path(BYTES_LITERAL("a%x4"));
    check_bad_path(BYTES_LITERAL("a%%41"));
    check_bad_path(BYTES_LITERAL("a%+1"));
    check_bad_path(BYTES_LITERAL("a% 1"));
    check_bad_path(BYTES_LITERAL("a%-1"));
    check_bad_path(BYTES_LITERAL("a b"));
    check_bad_path(BYTES_LITERAL("a\tb"));
    check_bad_path(BYTES_LITERAL("a\0b"));
    check_bad_path(BYTES_LITERAL("a\x7f"));
    check_bad_path(BYTES_LITERAL("%41\n"));
}

/* Everything encoded comes back, each byte value included. */
TEST(url_path_round_trip)
{
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct test_random random = { seed };
        char plain[64];
        char encoded[3 * sizeof(plain) + 1];
        size_t size = test_random_below(&random, sizeof(plain));
        size_t encoded_size = 0;
        for (size_t i = 0; i < size; i++) {
            plain[i] = (char)test_random_next(&random);
            unsigned char byte = (unsigned char)plain[i];
            bool must_encode = byte <= 0x20 || byte == 0x7f || byte == '%';
            if (must_encode || test_random_below(&random, 2) == 0) {
                (void)snprintf(
                    encoded + encoded_size, 4, seed % 2 == 0 ? "%%%02x" : "%%%02X", byte);
                encoded_size += 3;
            } else {
                encoded[encoded_size++] = plain[i];
            }
        }
        struct bytes text = { encoded, encoded_size };
        struct bytes decoded;
        char *scratch = room_for(text);
        test_note("seed %d", (int)seed);
        CHECK(url_decode_path(text, scratch, &decoded));
        CHECK_EQ_BYTES(decoded, ((struct bytes){ plain, size }));
        free(scratch);
    }
}

/* The pairs as "key=value;", and "!" where the walk stops at something bad. */
static void check_query(const char *text, const char *expected)
{
    struct bytes bytes = bytes_from_text(text);
    char *scratch = room_for(bytes);
    char *copy = room_for(bytes);
    memcpy(copy, text, bytes.size);
    char seen[200] = "";
    struct url_query query;
    struct bytes key;
    struct bytes value;
    enum url_step step;
    test_note("query %s", text);
    url_query_init(&query, (struct bytes){ copy, bytes.size }, scratch);
    while ((step = url_query_next(&query, &key, &value)) == URL_PAIR) {
        size_t size = strlen(seen);
        (void)snprintf(
            seen + size,
            sizeof(seen) - size,
            "%.*s=%.*s;",
            (int)key.size,
            key.data,
            (int)value.size,
            value.data);
    }
    if (step == URL_BAD) strcat(seen, "!");
    CHECK_EQ_TEXT(seen, expected);
    free(scratch);
    free(copy);
}

TEST(url_query_pairs)
{
    check_query("", "");
    check_query("a=1", "a=1;");
    check_query("a=1&b=two", "a=1;b=two;");
    check_query("break&token=7", "break=;token=7;");
    check_query("a=", "a=;");
    check_query("=a", "=a;");
    check_query("=", "=;");
    check_query("&&a=1&&&b=2&", "a=1;b=2;");
    check_query("a=b=c", "a=b=c;");
    check_query("a=1;b=2", "a=1;b=2;");
    check_query("a=1&a=2", "a=1;a=2;");
    check_query("reason=too+slow%2B%26%3d", "reason=too slow+&=;");
    check_query("o%77ner=%c3%bc", "owner=\xc3\xbc;");
    check_query("prefix=a/b?c", "prefix=a/b?c;");
}

TEST(url_query_bad_pairs)
{
    check_query("a=1&b=%", "a=1;!");
    check_query("a=%4&b=1", "!");
    check_query("%zz=1", "!");
    check_query("a=1 2", "!");
    check_query("a=1\n", "!");
}

TEST(url_query_values_outlive_the_walk)
{
    char scratch[32];
    struct url_query query;
    struct bytes keys[2];
    struct bytes values[2];
    url_query_init(&query, BYTES_LITERAL("a%31=b%32&c%33=d%34"), scratch);
    CHECK_EQ_INT(url_query_next(&query, &keys[0], &values[0]), URL_PAIR);
    CHECK_EQ_INT(url_query_next(&query, &keys[1], &values[1]), URL_PAIR);
    CHECK_EQ_INT(url_query_next(&query, &keys[1], &values[1]), URL_END);
    CHECK_EQ_BYTES(keys[0], BYTES_LITERAL("a1"));
    CHECK_EQ_BYTES(values[0], BYTES_LITERAL("b2"));
    CHECK_EQ_BYTES(keys[1], BYTES_LITERAL("c3"));
    CHECK_EQ_BYTES(values[1], BYTES_LITERAL("d4"));
}

static void check_address(const char *text, const char *host, bool is_ipv6, uint16_t port)
{
    struct url_address address;
    test_note("address %s", text);
    CHECK(url_parse_address(bytes_from_text(text), &address));
    CHECK_EQ_BYTES(address.host, bytes_from_text(host));
    CHECK_EQ_INT(address.is_ipv6, is_ipv6);
    CHECK_EQ_UINT(address.port, port);
}

TEST(url_addresses)
{
    check_address("127.0.0.1:7420", "127.0.0.1", false, 7420);
    check_address("localhost:0", "localhost", false, 0);
    check_address("my-host_1.example:65535", "my-host_1.example", false, 65535);
    check_address(":0", "", false, 0);
    check_address(":7420", "", false, 7420);
    check_address("[::1]:7420", "::1", true, 7420);
    check_address("[::]:0", "::", true, 0);
    check_address("[fe80::1%eth0]:80", "fe80::1%eth0", true, 80);
}

TEST(url_bad_addresses)
{
    static const char *const texts[] = {
        "",
        "7420",
        "localhost",
        "localhost:",
        "localhost:x",
        ":65536",
        ":-1",
        ":+1",
        ":01",
        ": 1",
        "a b:1",
        "a/b:1",
        "::1:7420",
        "[::1]",
        "[::1]7420",
        "[::1]:",
        "[]:1",
        "[::1:7420",
        "::1]:7420",
        "[[::1]]:1",
        "http://a:1",
        "a@b:1",
        "127.0.0.1:7420x",
        "127.0.0.1:7420:1",
        "[a_b]:1",
        "[::1]x:1",
        "\x01:1",
        "gr\xc3\xbc:1",
        ":99999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct url_address address = { .port = 4711 };
        test_note("address %s", texts[i]);
        CHECK(!url_parse_address(bytes_from_text(texts[i]), &address));
        CHECK_EQ_UINT(address.port, 4711);
    }
}
