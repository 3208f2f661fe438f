/* What the Redis protocol side does in states that only a unit test can bring about exactly. */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "lib/test.h"

#define FIRST_TOKEN "1700000000000000" /* of the harness' clock */

static void start(void)
{
    harness_protocol = &session_resp;
    harness_start(0);
}

static void stop(void)
{
    harness_stop();
    harness_protocol = &session_http;
}

static const char *ask(struct client *client, const char *text)
{
    return harness_ask(client, text).data;
}

TEST(a_slow_reader_that_waits_gets_its_answers_in_order)
{
    start();
    struct client *holder = harness_open(0);
    struct client *waiter = harness_open(1);
    CHECK(strstr(ask(holder, "LOCK.ACQUIRE a one 0\r\n"), FIRST_TOKEN) != NULL);
    /* As after an answer that came later than its command: nobody has looked at it since. */
    waiter->backlog = (size_t)2 << 20;
    CHECK_EQ_TEXT(ask(waiter, "LOCK.ACQUIRE a two 0 WAIT 60000\r\nECHO behind\r\n"), "");
    harness_drain(waiter);
    CHECK_EQ_TEXT(harness_take(waiter).data, "");
    CHECK_EQ_TEXT(
        ask(holder, "LOCK.RELEASE a one " FIRST_TOKEN "\r\n"), "*1\r\n$8\r\nreleased\r\n");
    const char *answers = harness_take(waiter).data;
    const char *grant = strstr(answers, "$3\r\ntwo\r\n");
    const char *echo = strstr(answers, "$6\r\nbehind\r\n");
    CHECK(grant != NULL && echo != NULL && grant < echo);
    stop();
}

/* Take and give back until `count` events have passed. */
static void churn(struct client *client, unsigned count)
{
    char text[700];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(text, sizeof(text), "LOCK.ACQUIRE n%u o 0 META %0512d\r\n", i, 1);
        CHECK(strstr(ask(client, text), "token") != NULL);
    }
}

TEST(a_follower_that_the_window_overtakes_is_told_whose_fault_it_was)
{
    start();
    struct client *client = harness_open(0);
    struct client *slow = harness_open(1);
    struct client *late = harness_open(2);
    CHECK(strstr(ask(slow, "EVENTS.FOLLOW\r\n"), "follow") != NULL);
    slow->backlog = (size_t)300 << 10;
    churn(client, 600);
    CHECK_EQ_TEXT(harness_take(slow).data, "");
    harness_drain(slow);
    const char *end = strstr(harness_take(slow).data, "$8\r\noverflow\r\n:");
    CHECK(end != NULL && strstr(end, "event") == NULL);
    CHECK(!slow->is_open);
    CHECK_EQ_UINT(harness.server.metrics.overflow_count, 1);
    CHECK_EQ_UINT(harness.server.metrics.compacted_count, 0);

    CHECK(strstr(ask(late, "EVENTS.FOLLOW SINCE 0\r\n"), "compacted") != NULL);
    CHECK(!late->is_open);
    CHECK_EQ_UINT(harness.server.metrics.overflow_count, 1);
    CHECK_EQ_UINT(harness.server.metrics.compacted_count, 1);
    stop();
}

/* An event is put into words once for all that follow in the same; who asks for others gets others.
 */
TEST(followers_are_told_in_the_words_that_they_asked_for)
{
    static const char *const hellos[] = { "HELLO 2\r\n", "HELLO 3\r\n" };
    static const char *const follows[] = { "EVENTS.FOLLOW\r\n", "EVENTS.FOLLOW PREVIOUS\r\n" };
    start();
    struct client *setter = harness_open(0);
    struct client *followers[6];
    for (unsigned index = 0; index < 6; index++) {
        followers[index] = harness_open(index + 1);
        (void)ask(followers[index], hellos[index / 2 % 2]);
        CHECK(strstr(ask(followers[index], follows[index % 2]), "follow") != NULL);
    }
    for (unsigned round = 0; round < 2; round++) {
        const char *value = round == 0 ? "STATE.SET key one\r\n" : "STATE.SET key three\r\n";
        CHECK(strncmp(ask(setter, value), ":", 1) == 0);
        char told[4][400];
        for (unsigned index = 0; index < 6; index++) {
            const char *text = harness_take(followers[index]).data;
            bool is_resp3 = index / 2 % 2 == 1, has_previous = index % 2 == 1 && round == 1;
            CHECK(strncmp(text, is_resp3 ? ">2\r\n$5\r\nevent\r\n%" : "*2\r\n", 4) == 0);
            CHECK(strstr(text, round == 0 ? "$3\r\none\r\n" : "$5\r\nthree\r\n") != NULL);
            CHECK((strstr(text, "$8\r\nprevious\r\n$3\r\none\r\n") != NULL) == has_previous);
            if (index < 4) (void)snprintf(told[index], sizeof(told[index]), "%s", text);
            CHECK_EQ_TEXT(text, told[index % 4]); /* nothing else, and the last two as the first */
        }
    }
    stop();
}

TEST(an_observer_of_another_history_is_answered_at_once)
{
    start();
    struct client *client = harness_open(0);
    CHECK(strstr(ask(client, "ELECT.OBSERVE e SINCE 0 WAIT 60000\r\n"), "leader") == NULL);
    struct client *other = harness_open(1);
    CHECK(strstr(ask(other, "ELECT.OBSERVE e SINCE 77 WAIT 60000\r\n"), "leader") != NULL);
    stop();
}

TEST(half_a_command_is_not_waited_for_for_ever)
{
    start();
    struct client *idle = harness_open(0);
    struct client *slow = harness_open(1);
    struct client *quick = harness_open(2);
    CHECK_EQ_TEXT(ask(idle, "PING\r\n"), "+PONG\r\n");
    CHECK_EQ_TEXT(ask(slow, "*2\r\n$4\r\nEC"), "");
    CHECK_EQ_TEXT(ask(quick, "*2\r\n$4\r\nEC"), "");
    harness_pass(20000);
    CHECK_EQ_TEXT(ask(slow, "HO\r\n$1\r\n"), "");
    CHECK_EQ_TEXT(ask(quick, "HO\r\n$1\r\nx\r\nPI"), "$1\r\nx\r\n");
    harness_pass(10001);
    CHECK_EQ_TEXT(
        harness_take(slow).data, "-ERR Protocol error: a command took over 30 s to arrive\r\n");
    CHECK(!slow->is_open);
    CHECK_EQ_TEXT(ask(quick, "NG\r\n"), "+PONG\r\n");
    harness_pass(INT64_C(86400000));
    CHECK_EQ_TEXT(ask(idle, "PING\r\n"), "+PONG\r\n");
    CHECK(quick->is_open);
    stop();
}

/* What makes an HTTP client send a request with a method that nobody knows must not make it speak
 * RESP: the body would be commands. */
TEST(a_header_of_http_is_no_command_and_nothing_follows_it)
{
    static const char *const requests[] = {
        "PROPFIND / HTTP/1.1\r\nHost: localhost\r\n\r\nLOCK.ACQUIRE a o 0\r\n",
        "post /x HTTP/1.1\r\nhost:localhost\r\n\r\nLOCK.ACQUIRE a o 0\r\n",
    };
    start();
    for (uint32_t i = 0; i < 2; i++) {
        struct client *client = harness_open(i);
        const char *answers = ask(client, requests[i]);
        CHECK(strstr(answers, "-ERR ") != NULL);
        CHECK(strstr(answers, "token") == NULL);
        CHECK(!client->is_open);
    }
    CHECK_EQ_UINT(engine_counters(harness.server.engine).hold_count, 0);
    stop();
}
