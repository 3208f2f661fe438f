/* The HTTP side as a client sees it: routes, refusals, order, waiting, streams. */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "lib/test.h"

#define HOST         "Host: localhost:7420\r\n"
#define GET(path)    "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define DELETE(path) "DELETE " path " HTTP/1.1\r\n" HOST "\r\n"

static const char *with_body(const char *method, const char *path, const char *body)
{
    static char text[8192];
    (void)snprintf(
        text,
        sizeof(text),
        "%s %s HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        method,
        path,
        strlen(body),
        body);
    return text;
}

static void check_has(struct bytes answer, const char *part)
{
    if (strstr(answer.data, part) == NULL) {
        FAIL("\"%s\" is not in:\n%.*s", part, (int)answer.size, answer.data);
    }
}

static void check_status(struct bytes answer, int status)
{
    char line[32];
    int size = snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (strncmp(answer.data, line, (size_t)size) != 0) {
        FAIL("the status is not %d:\n%.*s", status, (int)answer.size, answer.data);
    }
}

static unsigned long long token_in(struct bytes answer)
{
    const char *place = strstr(answer.data, "\"token\":");
    CHECK(place != NULL);
    return strtoull(place + 8, NULL, 10);
}

TEST(a_lock_is_taken_renewed_seen_and_given_back)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct bytes answer = harness_ask(
        a, with_body("POST", "/v1/locks/deploy/prod", "{\"owner\":\"a\",\"meta\":\"x\"}"));
    check_status(answer, 201);
    check_has(answer, "\"name\":\"deploy/prod\",\"owner\":\"a\",\"token\":1700000000000000,");
    check_has(answer, "\"mode\":\"exclusive\",\"slot\":0,\"ttl_ms\":15000,\"remaining_ms\":15000,");
    check_has(answer, "\"meta\":\"x\",\"acquired_at\":\"2023-11-14T22:13:20.000Z\"}");
    check_has(answer, "\r\nLocation: /v1/locks/deploy/prod\r\n");
    check_has(answer, "\r\nETag: \"1700000000000000\"\r\n");

    harness_pass(1000);
    answer = harness_ask(
        a, with_body("POST", "/v1/locks/deploy/prod", "{\"owner\":\"a\",\"meta\":\"x\"}"));
    check_status(answer, 200);
    check_has(answer, "\"remaining_ms\":14000");
    answer = harness_ask(
        a,
        with_body("PUT", "/v1/locks/deploy/prod", "{\"owner\":\"a\",\"token\":1700000000000000}"));
    check_status(answer, 200);
    check_has(answer, "\"remaining_ms\":15000");
    answer = harness_ask(a, GET("/v1/locks/deploy/prod"));
    check_status(answer, 200);
    check_has(answer, "\"state\":\"held\"");

    answer = harness_ask(a, DELETE("/v1/locks/deploy/prod?owner=a&token=1700000000000000"));
    check_status(answer, 200);
    check_has(
        answer, "{\"outcome\":\"released\",\"name\":\"deploy/prod\",\"successor_token\":null}");
    answer = harness_ask(a, DELETE("/v1/locks/deploy/prod?owner=a&token=1700000000000000"));
    check_has(answer, "\"outcome\":\"released\"");
    check_status(harness_ask(a, GET("/v1/locks/deploy/prod")), 404);
    check_status(harness_ask(a, GET("/v1/history/deploy/prod")), 200);
    harness_stop();
}

static struct bytes
ask_if_match(struct client *client, const char *request, const char *value, const char *body)
{
    static char text[1024];
    (void)snprintf(
        text,
        sizeof(text),
        "%s HTTP/1.1\r\n" HOST "If-Match: %s\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        request,
        value,
        strlen(body),
        body);
    return harness_ask(client, text);
}

#define ETAG     "\"1700000000000000\""
#define NOT_ETAG "\"1700000000000001\""

TEST(if_match_stands_for_the_token)
{
    harness_start(0);
    struct client *a = harness_open(0);
    (void)harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}"));
    check_status(ask_if_match(a, "PUT /v1/locks/x", ETAG, "{\"owner\":\"a\"}"), 200);
    struct bytes answer = ask_if_match(a, "PUT /v1/locks/x", NOT_ETAG, "{\"owner\":\"a\"}");
    check_status(answer, 412);
    check_has(answer, "\"code\":\"stale_token\"");
    answer = ask_if_match(a, "DELETE /v1/locks/x?owner=a", NOT_ETAG, "");
    check_has(answer, "\"outcome\":\"not_owner\"");
    answer = ask_if_match(a, "DELETE /v1/locks/x?break=1&reason=r", NOT_ETAG, "");
    check_status(answer, 412);
    answer = ask_if_match(a, "DELETE /v1/locks/x?owner=a", ETAG, "");
    check_has(answer, "\"outcome\":\"released\"");

    /* Where no token is asked for it means nothing. */
    check_status(ask_if_match(a, "GET /v1/locks/z", "*", ""), 404);
    check_status(ask_if_match(a, "POST /v1/locks/z", "\"x\"", "{\"owner\":\"a\"}"), 201);
    harness_stop();
}

TEST(if_match_and_the_token_must_agree)
{
    static const char *const requests[][2] = {
        { "PUT /v1/locks/x", "{\"owner\":\"a\",\"token\":1700000000000000}" },
        { "PUT /v1/elections/x", "{\"owner\":\"a\",\"token\":1700000000000000}" },
        { "DELETE /v1/locks/x?break=1&reason=r&token=1700000000000000", "" },
        { "DELETE /v1/locks/x?owner=a&token=1700000000000000", "" },
        { "DELETE /v1/elections/x?owner=a&token=1700000000000000", "" },
    };
    harness_start(0);
    struct client *a = harness_open(0);
    (void)harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}"));
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct bytes answer = ask_if_match(a, requests[i][0], NOT_ETAG, requests[i][1]);
        check_status(answer, 412);
        check_has(answer, "\"code\":\"stale_token\"");
        check_has(answer, "If-Match");
    }
    check_has(harness_ask(a, GET("/v1/locks/x")), "\"state\":\"held\"");
    check_status(ask_if_match(a, requests[0][0], ETAG, requests[0][1]), 200);
    check_status(ask_if_match(a, requests[1][0], ETAG, requests[1][1]), 200);
    check_has(ask_if_match(a, requests[4][0], ETAG, ""), "\"outcome\":\"released\"");
    harness_stop();
}

TEST(if_match_that_is_no_token_is_refused)
{
    static const char *const values[] = {
        "",
        "*",
        "1700000000000000",
        "\"\"",
        "\"0\"",
        "\"01\"",
        "\"x\"",
        "\"1700000000000000",
        "1700000000000000\"",
        "W/" ETAG,
        ETAG ", " NOT_ETAG,
        "\" 1700000000000000\"",
        "\"-1\"",
        "\"9007199254740992\"",
        "\"99999999999999999999\"",
        "\"",
    };
    harness_start(0);
    struct client *a = harness_open(0);
    (void)harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}"));
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        test_note("%s", values[i]);
        struct bytes answer =
            ask_if_match(a, "PUT /v1/locks/x", values[i], "{\"owner\":\"a\",\"ttl_ms\":0}");
        check_status(answer, 400);
        check_has(answer, "\"field\":\"If-Match\"");
        answer =
            ask_if_match(a, "DELETE /v1/locks/x?owner=a&token=1700000000000000", values[i], "");
        check_status(answer, 400);
    }
    check_has(harness_ask(a, GET("/v1/locks/x")), "\"ttl_ms\":15000");
    struct bytes answer = ask_if_match(a, "PUT /v1/locks/x", ETAG "\r\nIf-Match: " ETAG, "{}");
    check_status(answer, 400);
    harness_stop();
}

TEST(who_comes_second_learns_who_is_first)
{
    harness_start(0);
    struct client *a = harness_open(0);
    (void)harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}"));
    struct bytes answer = harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"b\"}"));
    check_status(answer, 423);
    check_has(answer, "\r\nRetry-After: 15\r\n");
    check_has(answer, "\r\nContent-Type: application/problem+json\r\n");
    check_has(answer, "\"type\":\"urn:tenure:error:held\"");
    check_has(answer, "\"code\":\"held\"");
    check_has(answer, "\"holder\":{\"owner\":\"a\",");
    check_has(answer, "\"retry_after_ms\":15000,\"position\":1,");
    harness_stop();
}

TEST(a_waiter_is_answered_when_its_turn_comes_and_later_requests_after_it)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct client *b = harness_open(1);
    unsigned long long token =
        token_in(harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}")));
    struct bytes answer =
        harness_ask(b, with_body("POST", "/v1/locks/x", "{\"owner\":\"b\",\"wait_ms\":60000}"));
    CHECK_EQ_UINT(answer.size, 0);
    CHECK_EQ_UINT(harness_ask(b, GET("/healthz")).size, 0);
    harness_pass(5000);

    char path[128];
    (void)snprintf(
        path,
        sizeof(path),
        "DELETE /v1/locks/x?owner=a&token=%llu HTTP/1.1\r\n" HOST "\r\n",
        token);
    check_has(harness_ask(a, path), "\"outcome\":\"released\"");
    answer = harness_take(b);
    check_status(answer, 201);
    check_has(answer, "\"owner\":\"b\"");
    check_has(answer, "{\"status\":\"ok\"}");
    CHECK(strstr(answer.data, "\"owner\":\"b\"") < strstr(answer.data, "\"status\":\"ok\""));
    harness_stop();
}

TEST(a_wait_that_ends_says_so)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct client *b = harness_open(1);
    (void)harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}"));
    (void)harness_ask(b, with_body("POST", "/v1/locks/x", "{\"owner\":\"b\",\"wait_ms\":2000}"));
    harness_pass(2000);
    struct bytes answer = harness_take(b);
    check_status(answer, 423);
    check_has(answer, "\"code\":\"timeout\"");
    check_has(answer, "\"waited_ms\":2000");
    harness_stop();
}

TEST(a_lost_hold_says_to_whom)
{
    harness_start(0);
    struct client *a = harness_open(0);
    unsigned long long token =
        token_in(harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}")));
    harness_pass(15001);
    unsigned long long next =
        token_in(harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"b\"}")));
    char body[128];
    char expected[128];
    (void)snprintf(body, sizeof(body), "{\"owner\":\"a\",\"token\":%llu}", token);
    (void)snprintf(
        expected, sizeof(expected), "\"reason\":\"expired_taken\",\"successor_token\":%llu", next);
    struct bytes answer = harness_ask(a, with_body("PUT", "/v1/locks/x", body));
    check_status(answer, 410);
    check_has(answer, expected);
    (void)snprintf(body, sizeof(body), "{\"owner\":\"b\",\"token\":%llu}", next - 1);
    check_status(harness_ask(a, with_body("PUT", "/v1/locks/x", body)), 412);
    harness_stop();
}

TEST(many_names_are_all_or_nothing)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct bytes answer =
        harness_ask(a, with_body("POST", "/v1/locks", "{\"names\":[\"x\",\"y\"],\"owner\":\"a\"}"));
    check_status(answer, 201);
    check_has(answer, "{\"holds\":[{\"name\":\"x\"");
    check_has(answer, "{\"name\":\"y\"");
    answer =
        harness_ask(a, with_body("POST", "/v1/locks", "{\"names\":[\"z\",\"y\"],\"owner\":\"b\"}"));
    check_status(answer, 423);
    check_has(answer, "\"name\":\"y\"");
    check_status(harness_ask(a, GET("/v1/locks/z")), 404);
    answer = harness_ask(a, GET("/v1/locks?prefix=&limit=1"));
    check_has(answer, "\"cursor\":\"x\"");
    harness_stop();
}

TEST(a_break_needs_the_token_and_a_reason)
{
    harness_start(0);
    struct client *a = harness_open(0);
    unsigned long long token =
        token_in(harness_ask(a, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\"}")));
    char text[256];
    (void)snprintf(
        text,
        sizeof(text),
        "DELETE /v1/locks/x?break=1&token=%llu HTTP/1.1\r\n" HOST "\r\n",
        token);
    check_has(harness_ask(a, text), "\"field\":\"reason\"");
    check_status(harness_ask(a, DELETE("/v1/locks/x?break=1&token=1&reason=why")), 412);
    (void)snprintf(
        text,
        sizeof(text),
        "DELETE /v1/locks/x?break=true&token=%llu&reason=stuck%%20job HTTP/1.1\r\n" HOST "\r\n",
        token);
    struct bytes answer = harness_ask(a, text);
    check_status(answer, 200);
    check_has(answer, "{\"outcome\":\"broken\",\"hold\":{\"name\":\"x\"");
    check_has(harness_ask(a, GET("/v1/history/x")), "\"reason\":\"stuck job\"");
    check_has(
        harness_ask(a, DELETE("/v1/locks/x?break=1&token=1&reason=w&owner=a")), "without break=1");
    check_has(harness_ask(a, DELETE("/v1/locks/x?token=1&owner=a&grace_ms=1")), "with break=1");
    harness_stop();
}

struct bad_input {
    int status;
    const char *text; /* a whole request, or the body of an acquire */
    const char *part;
};

static const struct bad_input bad_inputs[] = {
    { 404, GET("/nowhere"), "\"code\":\"not_found\"" },
    { 405, DELETE("/v1/locks"), "\r\nAllow: GET, HEAD, POST\r\n" },
    { 405, DELETE("/healthz"), "\r\nAllow: GET, HEAD\r\n" },
    { 405,
      "PATCH /v1/locks/x HTTP/1.1\r\n" HOST "\r\n",
      "\r\nAllow: GET, HEAD, POST, PUT, DELETE\r\n" },
    { 400, GET("/v1/locks/%zz"), "\"field\":\"name\"" },
    { 400, GET("/v1/locks/a%00b"), "\"field\":\"name\"" },
    { 400, GET("/v1/locks/%ff"), "\"field\":\"name\"" },
    { 400, GET("/v1/locks/x?no=1"), "\"field\":\"no\"" },
    { 400, GET("/v1/locks?limit=0"), "\"field\":\"limit\",\"limit\":1}" },
    { 400, GET("/v1/locks?limit=1001"), "\"field\":\"limit\",\"limit\":1000}" },
    { 400, GET("/v1/locks?limit=1&limit=2"), "comes twice" },
    { 400, GET("/v1/locks?state=free"), "\\\"held\\\" or \\\"waited\\\"" },
    { 400, GET("/v1/events?types=granted,nonsense"), "\"field\":\"types\"" },
    { 400, DELETE("/v1/locks/x?owner=a"), "\"field\":\"token\"" },
    { 400, DELETE("/v1/locks/x?token=1"), "\"field\":\"owner\"" },
    { 400, DELETE("/v1/locks/x?owner=a&token=-1"), "\"field\":\"token\"" },
    { 400, DELETE("/v1/locks/x?owner=a&token=9007199254740992"), "\"limit\":9007199254740991" },
    { 400, "{\"ttl_ms\":99}", "\"field\":\"ttl_ms\",\"limit\":100}" },
    { 400, "{\"ttl_ms\":86400001}", "\"limit\":86400000" },
    { 400, "{\"ttl_ms\":1.5}", "\"field\":\"ttl_ms\"" },
    { 400, "{\"ttl_ms\":-1}", "\"field\":\"ttl_ms\"" },
    { 400, "{\"ttl_ms\":1e3}", "\"field\":\"ttl_ms\"" },
    { 400, "{\"ttl_ms\":\"1000\"}", "\"field\":\"ttl_ms\"" },
    { 400, "{\"a\":1}", "\"field\":\"a\"" },
    { 400, "{\"owner\":1}", "\"field\":\"owner\"" },
    { 400, "{\"owner\":null}", "\"field\":\"owner\"" },
    { 400, "{\"owner\":\"\"}", "\"field\":\"owner\",\"limit\":1}" },
    { 400, "{\"mode\":\"both\"}", "\"field\":\"mode\"" },
    { 400, "{\"priority\":10}", "\"limit\":9}" },
    { 400, "{\"names\":[\"a\"]}", "\"field\":\"names\"" },
    { 400, "{\"a\"}", "\"field\":\"a\"" },
    { 400, "[]", "not valid JSON" },
    { 400, "{} x", "not valid JSON" },
    { 400, "{\"mode\":\"shared\",\"slots\":2}", "\"code\":\"invalid\"" },
    { 415,
      "POST /v1/locks/x HTTP/1.1\r\n" HOST
      "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
      "application/json" },
    { 415, "POST /v1/locks/x HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", "application/json" },
    { 403, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "\"code\":\"denied\"" },
    { 403, "GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "--host" },
    { 403, "GET / HTTP/1.1\r\n" HOST "Sec-Fetch-Site: cross-site\r\n\r\n", "another site" },
    { 403, "GET /acquire/x HTTP/1.1\r\n" HOST "Sec-Fetch-Site: same-site\r\n\r\n", "another site" },
    { 403, "POST /v1/locks/x HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n", "Origin" },
    { 403, "POST /v1/locks/x HTTP/1.1\r\n" HOST "Origin: null\r\n\r\n", "Origin" },
    { 403, "POST /v1/locks/x HTTP/1.1\r\n" HOST "Origin: http://localhost\r\n\r\n", "Origin" },
};

TEST(bad_input_is_named_changes_nothing_and_keeps_the_connection)
{
    harness_start(0);
    struct client *a = harness_open(0);
    for (size_t i = 0; i < sizeof(bad_inputs) / sizeof(bad_inputs[0]); i++) {
        test_note("%s", bad_inputs[i].text);
        const char *text = bad_inputs[i].text;
        if (strstr(text, " HTTP/1.1\r\n") == NULL) text = with_body("POST", "/v1/locks/x", text);
        struct bytes answer = harness_ask(a, text);
        check_status(answer, bad_inputs[i].status);
        check_has(answer, bad_inputs[i].part);
        check_has(answer, "\r\nContent-Type: application/problem+json\r\n");
        CHECK(strstr(answer.data + 1, "HTTP/1.1 ") == NULL);
        CHECK(a->is_open);
        CHECK_EQ_UINT(engine_seq(harness.server.engine).value, 0);
    }
    check_status(harness_ask(a, GET("/healthz")), 200);
    harness_stop();
}

TEST(own_pages_and_other_programs_are_served)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: LOCALHOST:1\r\nOrigin: http://localhost:1\r\n"
        "Sec-Fetch-Site: same-origin\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "Sec-Fetch-Site: none\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: locks.example\r\n\r\n",
    };
    harness_start(0);
    harness.config.host.items[0] = "locks.example";
    harness.config.host.count = 1;
    struct client *a = harness_open(0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        test_note("%s", texts[i]);
        check_status(harness_ask(a, texts[i]), 200);
    }
    harness_stop();
}

TEST(after_a_framing_fault_the_connection_ends)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct bytes answer = harness_ask(
        a,
        "POST /v1/locks/x HTTP/1.1\r\n" HOST
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n" GET("/healthz"));
    check_status(answer, 400);
    check_has(answer, "\r\nConnection: close\r\n");
    CHECK(strstr(answer.data, "\"ok\"") == NULL);
    CHECK(!a->is_open);
    harness_stop();
}

TEST(head_has_the_header_of_get_without_its_body)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct bytes answer = harness_ask(a, "HEAD /healthz HTTP/1.1\r\n" HOST "\r\n");
    check_status(answer, 200);
    check_has(answer, "\r\nContent-Length: 15\r\n");
    CHECK_EQ_BYTES(((struct bytes){ answer.data + answer.size - 4, 4 }), BYTES_LITERAL("\r\n\r\n"));
    harness_stop();
}

TEST(old_clients_are_closed_unless_they_ask_to_stay)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct bytes answer = harness_ask(a, "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    check_has(answer, "\r\nConnection: keep-alive\r\n");
    CHECK(a->is_open);
    answer = harness_ask(a, "GET /healthz HTTP/1.0\r\n\r\n");
    check_has(answer, "\r\nConnection: close\r\n");
    CHECK(!a->is_open);
    a = harness_open(0);
    answer = harness_ask(a, "GET /healthz HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    check_has(answer, "\r\nConnection: close\r\n");
    CHECK(!a->is_open);
    harness_stop();
}

TEST(who_dawdles_is_sent_away)
{
    harness_start(0);
    struct client *idle = harness_open(0);
    struct client *slow = harness_open(1);
    struct client *body = harness_open(2);
    struct client *stream = harness_open(3);
    struct client *waiter = harness_open(4);
    (void)harness_ask(idle, GET("/healthz"));
    (void)harness_ask(slow, "GET /healthz HTTP/1.1\r\nHos");
    (void)harness_ask(
        body,
        "POST /v1/locks/y HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n"
        "Content-Length: 99\r\n\r\n{");
    (void)harness_ask(stream, GET("/v1/events"));
    (void)harness_ask(waiter, with_body("POST", "/v1/locks/x", "{\"owner\":\"a\",\"ttl_ms\":0}"));
    (void)harness_ask(
        waiter, with_body("POST", "/v1/locks/x", "{\"owner\":\"b\",\"wait_ms\":999999}"));
    harness_pass(9000);
    CHECK(slow->is_open);
    harness_pass(2000);
    check_status(harness_take(slow), 408);
    CHECK(!slow->is_open);
    CHECK(body->is_open);
    harness_pass(20000);
    check_status(harness_take(body), 408);
    CHECK(!body->is_open);
    CHECK(idle->is_open);
    harness_pass(30000);
    CHECK(!idle->is_open);
    harness_pass(100000);
    CHECK(stream->is_open);
    CHECK(waiter->is_open);
    harness_stop();
}

TEST(elections)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct client *b = harness_open(1);
    struct client *watcher = harness_open(2);
    struct bytes answer = harness_ask(
        a, with_body("POST", "/v1/elections/boss", "{\"owner\":\"a\",\"value\":\"http://a\"}"));
    check_status(answer, 201);
    check_has(answer, "\"value\":\"http://a\"");
    unsigned long long token = token_in(answer);
    answer = harness_ask(watcher, GET("/v1/elections/boss"));
    check_has(answer, "\"seq\":1,\"leader\":{\"name\":\"boss\",\"owner\":\"a\"");

    answer = harness_ask(watcher, GET("/v1/elections/boss?wait_ms=60000&since=1"));
    CHECK_EQ_UINT(answer.size, 0);
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"owner\":\"a\",\"token\":%llu,\"value\":\"n\"}", token);
    check_status(harness_ask(a, with_body("PUT", "/v1/elections/boss", body)), 200);
    check_has(harness_take(watcher), "\"value\":\"n\"");

    answer = harness_ask(watcher, GET("/v1/elections/boss?wait_ms=1000"));
    CHECK_EQ_UINT(answer.size, 0);
    harness_pass(1000);
    check_status(harness_take(watcher), 200);
    answer = harness_ask(watcher, GET("/v1/elections/boss?wait_ms=1000&since=1"));
    check_status(answer, 200);

    (void)harness_ask(
        b, with_body("POST", "/v1/elections/boss", "{\"owner\":\"b\",\"wait_ms\":10000}"));
    (void)snprintf(body, sizeof(body), "{\"owner\":\"a\",\"token\":%llu,\"to\":\"c\"}", token);
    check_status(harness_ask(a, with_body("PUT", "/v1/elections/boss", body)), 404);
    (void)snprintf(body, sizeof(body), "{\"owner\":\"a\",\"token\":%llu,\"to\":\"b\"}", token);
    answer = harness_ask(a, with_body("PUT", "/v1/elections/boss", body));
    check_has(answer, "\"outcome\":\"transferred\"");
    answer = harness_take(b);
    check_status(answer, 201);
    token = token_in(answer);
    (void)snprintf(
        body,
        sizeof(body),
        "DELETE /v1/elections/boss?owner=b&token=%llu HTTP/1.1\r\n" HOST "\r\n",
        token);
    check_has(harness_ask(a, body), "\"outcome\":\"released\"");
    check_has(harness_ask(watcher, GET("/v1/elections/boss")), "\"leader\":null");
    harness_stop();
}

TEST(waiting_for_a_name_is_not_woken_by_others)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct client *watcher = harness_open(1);
    (void)harness_ask(a, with_body("POST", "/v1/locks/other", "{\"owner\":\"a\"}"));
    CHECK_EQ_UINT(harness_ask(watcher, GET("/v1/elections/e?wait_ms=9000&since=0")).size, 0);
    (void)harness_ask(a, with_body("POST", "/v1/locks/e2", "{\"owner\":\"a\"}"));
    CHECK_EQ_UINT(harness_take(watcher).size, 0);
    (void)harness_ask(a, with_body("POST", "/v1/locks/e", "{\"owner\":\"a\"}"));
    check_has(harness_take(watcher), "\"owner\":\"a\"");
    harness_stop();
}

TEST(a_stream_shows_what_happens_and_resumes)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct client *stream = harness_open(1);
    struct bytes answer = harness_ask(stream, GET("/v1/events?prefix=a/&types=granted"));
    check_status(answer, 200);
    check_has(answer, "\r\nContent-Type: text/event-stream\r\n");
    check_has(answer, "\r\n\r\nretry: 1000\nid: 0\n\n");
    (void)harness_ask(a, with_body("POST", "/v1/locks/a/1", "{\"owner\":\"o\"}"));
    (void)harness_ask(a, with_body("POST", "/v1/locks/b/1", "{\"owner\":\"o\"}"));
    answer = harness_take(stream);
    check_has(answer, "id: 1\nevent: granted\ndata: {\"seq\":1,\"kind\":\"granted\",\"at\":\"");
    CHECK(strstr(answer.data, "id: 2\n") == NULL);
    harness_pass(15000);
    check_has(harness_take(stream), ":\nid: 4\n\n");
    harness_close(stream);

    stream = harness_open(1);
    answer = harness_ask(
        stream,
        "GET /v1/events?since=1&types=expired HTTP/1.1\r\n" HOST "Last-Event-ID: 2\r\n\r\n");
    check_has(answer, "id: 2\n\n");
    check_has(answer, "id: 3\nevent: expired\n");
    check_has(answer, "id: 4\nevent: expired\n");
    harness_close(stream);

    stream = harness_open(1);
    check_status(harness_ask(stream, GET("/v1/events?since=99")), 410);
    harness_stop();
}

static void churn(struct client *client, int count)
{
    for (int i = 0; i < count; i++) {
        char text[512];
        unsigned long long token =
            token_in(harness_ask(client, with_body("POST", "/v1/locks/c", "{\"owner\":\"o\"}")));
        (void)snprintf(
            text,
            sizeof(text),
            "DELETE /v1/locks/c?owner=o&token=%llu HTTP/1.1\r\n" HOST "\r\n",
            token);
        (void)harness_ask(client, text);
    }
}

TEST(a_stream_that_is_too_slow_ends_with_overflow)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct client *stream = harness_open(1);
    (void)harness_ask(stream, GET("/v1/events"));
    stream->backlog = (size_t)300 << 10;
    churn(a, 1);
    CHECK_EQ_UINT(harness_take(stream).size, 0);
    harness_drain(stream);
    check_has(harness_take(stream), "id: 2\nevent: released\n");
    stream->backlog = (size_t)300 << 10;
    churn(a, 2000);
    CHECK_EQ_UINT(harness_take(stream).size, 0);
    harness_drain(stream);
    struct bytes answer = harness_take(stream);
    check_has(answer, "event: overflow\ndata: {\"seq\":2,\"first\":");
    CHECK(!stream->is_open);
    CHECK_EQ_UINT(harness.server.metrics.overflow_count, 1);
    CHECK_EQ_UINT(harness.server.metrics.compacted_count, 0);
    harness_stop();
}

TEST(a_resume_point_that_is_gone_is_said_before_the_stream)
{
    harness_start(0);
    struct client *a = harness_open(0);
    churn(a, 2000);
    struct client *stream = harness_open(1);
    struct bytes answer = harness_ask(stream, GET("/v1/events?since=1"));
    check_status(answer, 410);
    check_has(answer, "\"code\":\"compacted\"");
    check_has(answer, "\"first\":");
    harness_stop();
}

TEST(a_page_of_the_past_is_read_at_the_readers_pace)
{
    harness_start((size_t)4 << 20);
    struct client *a = harness_open(0);
    churn(a, 1500);
    struct client *stream = harness_open(1);
    struct bytes answer = harness_ask(stream, GET("/v1/events?since=0"));
    uint64_t expected = 1;
    for (int turn = 0; turn < 100 && expected <= 3000; turn++) {
        for (const char *at = answer.data; (at = strstr(at, "\nevent: ")) != NULL; at++) {
            const char *id = at;
            while (id > answer.data && id[-1] != '\n') {
                id--;
            }
            CHECK_EQ_UINT(strtoull(id + 4, NULL, 10), expected);
            expected++;
        }
        harness_turn();
        answer = harness_take(stream);
    }
    CHECK_EQ_UINT(expected, 3001);
    harness_stop();
}

TEST(candado)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct bytes answer = harness_ask(a, GET("/heartbeat/x"));
    check_has(
        answer,
        "{\"error\":\"\",\"state\":0,\"success\":true,\"data\":{\"id\":\"x\",\"state\":0}}");
    answer = harness_ask(a, GET("/acquire/x"));
    check_status(answer, 200);
    check_has(
        answer,
        "{\"error\":\"\",\"state\":1,\"success\":true,\"data\":{\"id\":\"x\",\"state\":1}}");
    answer = harness_ask(a, GET("/acquire/x"));
    check_status(answer, 200);
    check_has(answer, "\"state\":1,\"success\":false");
    harness_pass(100000000);
    a = harness_open(0);
    check_has(harness_ask(a, GET("/heartbeat/x")), "\"state\":1,\"success\":true");
    check_has(harness_ask(a, GET("/release/x")), "\"state\":0,\"success\":true");
    check_has(harness_ask(a, GET("/release/x")), "\"state\":0,\"success\":true");

    check_has(harness_ask(a, GET("/acquire/y?owner=o&ttl_ms=1000")), "\"success\":true");
    check_has(harness_ask(a, GET("/acquire/y?owner=o&ttl_ms=1000")), "\"success\":true");
    check_has(harness_ask(a, GET("/release/y?owner=p")), "\"state\":1,\"success\":false");
    harness_pass(900);
    check_has(harness_ask(a, GET("/heartbeat/y?owner=o")), "\"success\":true");
    harness_pass(900);
    check_has(harness_ask(a, GET("/heartbeat/y")), "\"state\":1");
    harness_pass(1000);
    check_has(harness_ask(a, GET("/heartbeat/y")), "\"state\":0");
    harness_stop();
}

TEST(candado_always_answers_200_and_the_state_is_the_locks)
{
    harness_start(0);
    struct client *a = harness_open(0);
    struct bytes answer = harness_ask(a, GET("/acquire/x?ttl_ms=50"));
    check_status(answer, 200);
    check_has(answer, "{\"error\":\"ttl_ms must be 0 (until released) or 100 to 86400000\",");
    check_has(answer, "\"state\":0,\"success\":false,\"data\":{\"id\":\"x\",\"state\":0}}");
    answer = harness_ask(a, GET("/release/x?no=1"));
    check_status(answer, 200);
    check_has(answer, "\"success\":false");
    answer = harness_ask(a, GET("/heartbeat/%ff"));
    check_status(answer, 200);
    check_has(answer, "\"success\":false,\"data\":{\"id\":\"\",\"state\":0}}");

    for (int i = 0; i < 2; i++) {
        const char *owner = i == 0 ? "{\"slots\":2,\"owner\":\"a\"}" : "{\"slots\":2}";
        check_status(harness_ask(a, with_body("POST", "/v1/locks/s", owner)), 201);
    }
    answer = harness_ask(a, GET("/acquire/s"));
    check_status(answer, 200);
    check_has(answer, "\"state\":1,\"success\":false,\"data\":{\"id\":\"s\",\"state\":1}}");
    check_has(harness_ask(a, GET("/release/s?owner=a")), "\"state\":1,\"success\":true");
    check_has(harness_ask(a, GET("/release/s")), "\"state\":0,\"success\":true");
    harness_stop();
}

TEST(who_is_in_the_middle_of_a_request_when_the_server_stops)
{
    harness_start(0);
    struct client *a = harness_open(0);
    const struct session_protocol *http = a->session.protocol;
    CHECK(!http->is_midway(&a->session));
    (void)harness_ask(a, "GET /v1/events HTTP/1.1\r\nHo");
    CHECK(http->is_midway(&a->session));
    harness.server.is_draining = true;
    struct bytes answer = harness_ask(a, "st: localhost\r\n\r\n");
    check_status(answer, 503);
    check_has(answer, "\"code\":\"draining\"");
    check_has(answer, "\r\nRetry-After: 1\r\n");
    CHECK(!a->is_open);
    harness.server.is_draining = false;

    a = harness_open(0);
    (void)harness_ask(
        a,
        "POST /v1/locks/y HTTP/1.1\r\n" HOST
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{");
    CHECK(http->is_midway(&a->session));
    check_status(harness_ask(a, "}"), 201);
    CHECK(!http->is_midway(&a->session));

    /* Who waits has been told, whatever it has sent behind. */
    struct client *b = harness_open(1);
    (void)harness_ask(b, with_body("POST", "/v1/locks/x", "{\"owner\":\"b\"}"));
    struct client *c = harness_open(2);
    (void)harness_ask(c, with_body("POST", "/v1/locks/x", "{\"owner\":\"c\",\"wait_ms\":999}"));
    CHECK(c->session.is_waiting);
    harness_send(c, BYTES_LITERAL("GET /hea"));
    CHECK(!http->is_midway(&c->session));
    CHECK(!http->is_midway(&b->session));
    harness_stop();
}

TEST(the_server_tells_of_itself)
{
    harness_start(0);
    struct client *a = harness_open(0);
    churn(a, 1);
    check_has(harness_ask(a, GET("/v1/server")), "\"safety\":\"durable-single\"");
    check_status(harness_ask(a, GET("/v1/openapi.json")), 200);
    check_status(harness_ask(a, GET("/readyz")), 200);
    struct bytes answer = harness_ask(a, GET("/metrics"));
    check_has(answer, "\ntenure_events_total{kind=\"granted\"} 1\n");
    check_has(answer, "\ntenure_hold_seconds_count 1\n");
    /* Nobody has it any more, but its events are remembered: what the help says is counted. */
    check_has(
        answer,
        "\n# HELP tenure_locks Names in memory: held, waited for, delayed, or of an event ");
    check_has(answer, "\ntenure_locks 1\n");
    check_has(answer, "\ntenure_holds 0\n");
    harness.server.is_draining = true;
    answer = harness_ask(a, GET("/readyz"));
    check_status(answer, 503);
    check_has(answer, "\"reason\":\"draining\"");
    CHECK(!a->is_open);
    harness_stop();
}
