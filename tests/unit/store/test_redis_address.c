/* The URL of a store on Redis. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/random.h"
#include "lib/test.h"
#include "store/redis/address.h"

static struct redis_address parse(const char *url)
{
    struct redis_address address;
    struct tenure_error error = { .text = "" };
    test_note("%s", url);
    CHECK(tni_redis_knows(url));
    enum tenure_err err = tni_redis_parse_url(url, &address, &error);
    CHECK_EQ_TEXT(error.text, "");
    CHECK_EQ_INT(err, TENURE_OK);
    return address;
}

/* It must be refused with a text that has `part` in it. */
static void refuse(const char *url, const char *part)
{
    struct redis_address address = { .count = 99 };
    struct tenure_error error = { 0 };
    test_note("%s", url);
    CHECK(tni_redis_knows(url));
    CHECK_EQ_INT(tni_redis_parse_url(url, &address, &error), TENURE_INVALID);
    CHECK_EQ_INT(error.code, TENURE_INVALID);
    CHECK_EQ_UINT(address.count, 99);
    test_note("%s: %s", url, error.text);
    CHECK(strstr(error.text, part) != NULL);
    CHECK(strlen(error.text) < sizeof(error.text) - 1);
    /* None of the secrets of these tests. */
    CHECK(strstr(error.text, "hush") == NULL);
    CHECK_EQ_INT(tni_redis_parse_url(url, &address, NULL), TENURE_INVALID);
}

static void check_shown(const char *url, const char *expected)
{
    char text[128];
    tni_redis_show_url(url, text, sizeof(text));
    CHECK_EQ_TEXT(text, expected);
}

/* ------------------------------------------------------------------ what is right */

TEST(redis_url_schemes)
{
    CHECK(tni_redis_knows("redis://"));
    CHECK(tni_redis_knows("rediss://"));
    CHECK(tni_redis_knows("redis+unix://"));
    CHECK(tni_redis_knows("redis+sentinel://"));
    CHECK(tni_redis_knows("rediss+sentinel://"));
    CHECK(!tni_redis_knows("rediss+unix://"));
    CHECK(!tni_redis_knows("tenure://a"));
    CHECK(!tni_redis_knows("redis:"));
    CHECK(!tni_redis_knows(""));
}

TEST(redis_url_one_node_and_what_goes_without_saying)
{
    struct redis_address address = parse("redis://localhost");
    CHECK_EQ_UINT(address.count, 1);
    CHECK_EQ_TEXT(address.nodes[0].host, "localhost");
    CHECK_EQ_TEXT(address.nodes[0].port, "6379");
    CHECK_EQ_TEXT(address.nodes[0].path, "");
    CHECK(!address.is_tls && !address.is_sentinel && !address.is_new);
    CHECK_EQ_TEXT(address.user, "");
    CHECK_EQ_TEXT(address.password, "");
    CHECK_EQ_TEXT(address.ca_file, "");
    CHECK_EQ_UINT(address.database, 0);
    CHECK_EQ_UINT(address.ttl_ms_max, 60000);
    CHECK(parse("rediss://localhost/").is_tls);
    CHECK_EQ_UINT(parse("redis://localhost/15").database, 15);
    CHECK_EQ_UINT(parse("redis://localhost/15?").database, 15);
}

TEST(redis_url_many_nodes)
{
    struct redis_address address = parse("redis://a,b:7000,[::1],[fe80::1%eth0]:7001,10.0.0.9/3");
    CHECK_EQ_UINT(address.count, 5);
    CHECK_EQ_TEXT(address.nodes[0].host, "a");
    CHECK_EQ_TEXT(address.nodes[1].port, "7000");
    CHECK_EQ_TEXT(address.nodes[2].host, "::1");
    CHECK_EQ_TEXT(address.nodes[2].port, "6379");
    CHECK_EQ_TEXT(address.nodes[3].host, "fe80::1%eth0");
    CHECK_EQ_TEXT(address.nodes[3].port, "7001");
    CHECK_EQ_TEXT(address.nodes[4].host, "10.0.0.9");
    CHECK_EQ_UINT(address.database, 3);
    CHECK_EQ_UINT(parse("redis://a,b,c,d,e,f,g").count, 7);
    CHECK_EQ_UINT(parse("redis://a,a:1,a:2").count, 3);
}

TEST(redis_url_sockets)
{
    struct redis_address address = parse("redis+unix:///run/a%20b,/c%2Cd,/e%40f?user=u&new=yes");
    CHECK_EQ_UINT(address.count, 3);
    CHECK_EQ_TEXT(address.nodes[0].path, "/run/a b");
    CHECK_EQ_TEXT(address.nodes[0].host, "");
    CHECK_EQ_TEXT(address.nodes[1].path, "/c,d");
    CHECK_EQ_TEXT(address.nodes[2].path, "/e@f");
    CHECK_EQ_TEXT(address.user, "u");
    CHECK(address.is_new);
}

TEST(redis_url_sentinels)
{
    struct redis_address address =
        parse("rediss+sentinel://u:p@s1,s2:5000/my%2Fmaster/4?sentinel-user=w&server-name=n");
    CHECK(address.is_sentinel && address.is_tls);
    CHECK_EQ_UINT(address.count, 2); /* any number of them: they vote among themselves */
    CHECK_EQ_TEXT(address.nodes[0].port, "26379");
    CHECK_EQ_TEXT(address.nodes[1].port, "5000");
    CHECK_EQ_TEXT(address.master, "my/master");
    CHECK_EQ_UINT(address.database, 4);
    CHECK_EQ_TEXT(address.user, "u");
    CHECK_EQ_TEXT(address.password, "p");
    CHECK_EQ_TEXT(address.sentinel_user, "w");
    CHECK_EQ_TEXT(address.server_name, "n");
    CHECK_EQ_UINT(parse("redis+sentinel://s/m/").database, 0);
}

TEST(redis_url_user_and_password)
{
    struct redis_address address = parse("redis://u%3Av:h%2Fu%3As%40h:+@h");
    CHECK_EQ_TEXT(address.user, "u:v");
    CHECK_EQ_TEXT(address.password, "h/u:s@h:+");
    address = parse("redis://:a@b#c@h:1"); /* harmless where it stands */
    CHECK_EQ_TEXT(address.user, "");
    CHECK_EQ_TEXT(address.password, "a@b#c");
    CHECK_EQ_TEXT(address.nodes[0].host, "h");
    address = parse("redis://u@h");
    CHECK_EQ_TEXT(address.user, "u");
    CHECK_EQ_TEXT(address.password, "");
    CHECK_EQ_TEXT(parse("redis://:p@h?user=w").user, "w");
}

TEST(redis_url_options)
{
    struct redis_address address =
        parse("rediss://h?ca-file=/a&cert-file=/b&key-file=/c&server-name=d&ttl-max=2m&new=no&&");
    CHECK_EQ_TEXT(address.ca_file, "/a");
    CHECK_EQ_TEXT(address.cert_file, "/b");
    CHECK_EQ_TEXT(address.key_file, "/c");
    CHECK_EQ_TEXT(address.server_name, "d");
    CHECK_EQ_UINT(address.ttl_ms_max, 120000);
    CHECK(!address.is_new);
    CHECK_EQ_UINT(parse("redis://h?ttl-max=100ms").ttl_ms_max, 100);
    CHECK_EQ_UINT(parse("redis://h?ttl-max=7s").ttl_ms_max, 7000);
    CHECK_EQ_UINT(parse("redis://h?ttl-max=24h").ttl_ms_max, 86400000);
}

/* ------------------------------------------------------------------ passwords from files */

static void write_file(char *path, const char *content, size_t size)
{
    (void)snprintf(path, 32, "/tmp/tenure-test-XXXXXX");
    int file = mkstemp(path);
    CHECK(file >= 0);
    CHECK_EQ_INT(write(file, content, size), (ssize_t)size);
    CHECK_EQ_INT(close(file), 0);
}

static const char *url_with(const char *before, const char *path)
{
    static char url[256];
    (void)snprintf(url, sizeof(url), "%s%s", before, path);
    return url;
}

static void check_password_file(const char *content, const char *expected)
{
    char path[32];
    write_file(path, content, strlen(content));
    struct redis_address address = parse(url_with("redis://h?password-file=", path));
    CHECK_EQ_TEXT(address.password, expected);
    address = parse(url_with("redis+sentinel://h/m?sentinel-password-file=", path));
    CHECK_EQ_TEXT(address.sentinel_password, expected);
    CHECK_EQ_TEXT(address.password, "");
    CHECK_EQ_INT(unlink(path), 0);
}

static void check_bad_password_file(const char *content, size_t size, const char *part)
{
    char path[32];
    write_file(path, content, size);
    refuse(url_with("redis://h?password-file=", path), part);
    CHECK_EQ_INT(unlink(path), 0);
}

TEST(redis_password_is_the_first_line_of_a_file)
{
    char longest[256 + 1] = "";
    check_password_file("hush", "hush");
    check_password_file("hush\n", "hush");
    check_password_file("hu sh \r\nmore\n", "hu sh ");
    memset(longest, 'h', 255);
    check_password_file(longest, longest);
    longest[255] = 'h';
    check_bad_password_file(longest, 256, "too long: 255");
    check_bad_password_file("", 0, "no password");
    check_bad_password_file("\nhush\n", 6, "no password");
    check_bad_password_file("hu\0sh\n", 6, "zero byte");
}

TEST(redis_password_file_that_cannot_be_read)
{
    struct redis_address address;
    struct tenure_error error;
    refuse("redis://h?password-file=/nowhere/hush", "no such file");
    CHECK_EQ_INT(
        tni_redis_parse_url("redis://h?password-file=/nowhere/x", &address, &error),
        TENURE_INVALID);
    CHECK_EQ_INT(error.os_errno, 2);
    refuse("redis://h?password-file=/", "directory");
}

TEST(redis_address_is_wiped)
{
    static const struct redis_address empty;
    struct redis_address address = parse("redis://u:p@h");
    tni_redis_address_wipe(&address);
    CHECK(memcmp(&address, &empty, sizeof(empty)) == 0);
}

/* ------------------------------------------------------------------ what is wrong */

TEST(redis_url_even_counts_are_refused_with_the_reason)
{
    refuse("redis://a,b", "2 nodes survive no more failures than 1, since a majority of them is 2");
    refuse("redis://a,b,c,d", "4 nodes survive no more failures than 3");
    refuse("redis+unix:///a,/b", "1, 3, 5 or 7");
    refuse("redis://a,b,c,d,e,f,g,h", "too many servers: 7");
}

TEST(redis_url_same_server_twice_is_refused)
{
    refuse("redis://a,b,a", "servers 1 and 3 are the same");
    refuse("redis://a,b,A:6379", "servers 1 and 3 are the same");
    refuse("redis://a,[::1],[0:0::1]", "servers 2 and 3 are the same");
    refuse("redis+unix:///a,/b,/%61", "servers 1 and 3 are the same");
    refuse("redis+sentinel://a,a:26379/m", "servers 1 and 2 are the same");
}

TEST(redis_url_bad_servers_are_refused)
{
    refuse("redis://", "server 1 is not HOST");
    refuse("redis://?new=yes", "server 1 is not HOST");
    refuse("redis://a,,b", "server 2 is not HOST");
    refuse("redis://a,b,", "server 3 is not HOST");
    refuse("redis://:hush", "server 1 is not HOST");
    refuse("redis://a:0", "server 1 is not HOST");
    refuse("redis://a:65536", "server 1 is not HOST");
    refuse("redis://a:", "server 1 is not HOST");
    refuse("redis://[::1", "server 1 is not HOST");
    refuse("redis://a b", "server 1 is not HOST");
    refuse("redis://a/x", "the database is not a number");
    refuse("redis://a/-1", "the database is not a number");
    refuse("redis://a/2147483648", "the database is not a number");
    refuse("redis://a/1/2", "the database is not a number");
    refuse("redis+unix://a", "must be absolute");
    refuse("redis+unix://", "must be absolute");
    refuse("redis+unix:///a,b,/c", "must be absolute");
    refuse("redis+unix:///a%00", "zero byte");
    refuse("redis+unix:///a%0", "hexadecimal");
    refuse("redis+sentinel://a", "no master is named");
    refuse("redis+sentinel://a/", "no master is named");
    refuse("redis+sentinel://a//1", "no master is named");
    refuse("redis+sentinel://a/m/x", "the database is not a number");
}

TEST(redis_url_no_error_gives_a_secret_away)
{
    refuse("redis://u:hush/hush@host", "%2F");
    refuse("redis://u:hush?hush@host", "%2F");
    refuse("redis://u:hush%zz@host", "the password is not encoded");
    refuse("redis://u:hu%00hush@host", "zero byte");
    refuse("redis://hush,hush:hush", "server 2");
    refuse("redis://h?password=hush", "something else than");
    refuse("redis://h?hush=hush", "something else than");
    refuse("redis://h?password-file=hush-is-no-file", "cannot be read");
    refuse("redis+unix://u:hush@/run/x", "password-file");
    refuse("redis://:hush@h?password-file=/etc/hush", "says again");
    refuse("redis://h?ttl-max=hush", "ttl-max");
    refuse("redis://h?new=hush", "new must be");
}

TEST(redis_url_bad_options_are_refused)
{
    refuse("redis://h?ca-file=/x", "ca-file needs TLS");
    refuse("redis://h?sentinel-user=x", "sentinel-user is for");
    refuse("rediss://h?cert-file=/x", "together");
    refuse("rediss://h?key-file=/x", "together");
    refuse("redis://u@h?user=v", "says again");
    refuse("redis://h?user=u&user=v", "user is given twice");
    refuse("redis://h?ttl-max=1s&ttl-max=2s", "ttl-max is given twice");
    refuse("redis://h?user=", "user has no value");
    refuse("redis://h?user", "user has no value");
    refuse("redis://h?user=%2", "not encoded");
    refuse("redis://h?ttl-max=60", "number with ms");
    refuse("redis://h?ttl-max=s", "number with ms");
    refuse("redis://h?ttl-max=1d", "number with ms");
    refuse("redis://h?ttl-max=-1s", "number with ms");
    refuse("redis://h?ttl-max=99ms", "from 100ms to 24h");
    refuse("redis://h?ttl-max=25h", "from 100ms to 24h");
    refuse("redis://h?ttl-max=18446744073709551615h", "from 100ms to 24h");
    refuse("redis://h?ttl-max=18446744073709551616ms", "number with ms");
}

static char *repeated(char *url, size_t size, const char *before, size_t count, const char *behind)
{
    size_t at = strlen(before);
    CHECK(at + count + strlen(behind) < size);
    memcpy(url, before, at);
    memset(url + at, 'x', count);
    memcpy(url + at + count, behind, strlen(behind) + 1);
    return url;
}

TEST(redis_url_sizes_are_checked_before_anything_is_copied)
{
    static const struct {
        const char *before;
        const char *behind;
        size_t most;
    } cases[] = {
        { "redis://", "", 255 },
        { "redis://", ":1", 255 },
        { "redis://", "@h", 127 },
        { "redis://:", "@h", 255 },
        { "redis://h?user=", "", 127 },
        { "rediss://h?ca-file=", "", 255 },
        { "rediss://h?server-name=", "", 255 },
        { "redis+unix:///", "", 106 },
        { "redis+sentinel://h/", "", 127 },
        { "redis+sentinel://h/m?sentinel-user=", "", 127 },
    };
    static char url[20000];
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        const char *before = cases[index].before;
        const char *behind = cases[index].behind;
        (void)parse(repeated(url, sizeof(url), before, cases[index].most, behind));
        refuse(repeated(url, sizeof(url), before, cases[index].most + 1, behind), "bytes at most");
        refuse(repeated(url, sizeof(url), before, 7000, behind), "bytes at most");
        refuse(repeated(url, sizeof(url), before, 9000, behind), "too long");
    }
    refuse(repeated(url, sizeof(url), "redis://h?password-file=", 256, ""), "too long: 255");
}

/* Whatever comes: no crash, and what is accepted is within its bounds. */
TEST(redis_url_random_texts)
{
    static const char *const pieces[] = {
        "redis",
        "://",
        "redis://",
        "redis+unix:///",
        "redis+sentinel://",
        "a",
        "b:1",
        ",",
        "/",
        "?",
        "@",
        ":",
        "%41",
        "%",
        "[::1]",
        "ttl-max=1s",
        "user=u",
        "&",
        "new=yes",
        "rediss://",
        "m",
        "0",
        " ",
    };
    struct test_random random = { 4711 };
    unsigned accepted_count = 0;
    for (unsigned round = 0; round < 200000; round++) {
        char url[256] = "redis://";
        uint64_t count = test_random_next(&random) % 12;
        for (uint64_t index = 0; index < count; index++) {
            size_t size = strlen(url);
            const char *piece =
                pieces[test_random_next(&random) % (sizeof(pieces) / sizeof(pieces[0]))];
            (void)snprintf(url + size, sizeof(url) - size, "%s", piece);
        }
        struct redis_address address;
        struct tenure_error error;
        test_note("%s", url);
        if (tni_redis_parse_url(url, &address, &error) != TENURE_OK) {
            CHECK(error.text[0] != '\0');
            continue;
        }
        accepted_count++;
        CHECK(address.count >= 1 && address.count <= QUORUM_NODE_COUNT_MAX);
        CHECK(address.count % 2 == 1);
        for (uint32_t index = 0; index < address.count; index++) {
            CHECK(address.nodes[index].host[0] != '\0' && address.nodes[index].port[0] != '\0');
        }
    }
    CHECK(accepted_count > 1000);
}

/* ------------------------------------------------------------------ shown */

TEST(redis_url_is_shown_without_its_password)
{
    char text[12];
    check_shown("redis://h:1/2?new=yes", "redis://h:1/2?new=yes");
    check_shown("redis://u:hush@h:1", "redis://u@h:1");
    check_shown("redis://:hush@h:1", "redis://h:1");
    check_shown("redis://u@h:1", "redis://u@h:1");
    check_shown("redis://u:hu/sh@h", "redis://u@h");
    check_shown("redis://u:hu?s@h@h", "redis://u@h");
    check_shown("redis://hu/sh@h", "redis://h");
    check_shown("redis+unix:///a?password-file=/b", "redis+unix:///a?password-file=/b");
    check_shown("what:ever", "what:ever");
    check_shown("u:hush@h", "u@h");
    tni_redis_show_url("redis://host.of.a.long.name", text, sizeof(text));
    CHECK_EQ_TEXT(text, "redis://hos");
}
