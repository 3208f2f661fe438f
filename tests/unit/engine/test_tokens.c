/* Tokens only rise. */
#include <stdio.h>

#include "lib/random.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

TEST(token_is_the_time_on_the_wall)
{
    struct harness *harness = harness_open();
    harness->wall.us = 1234567890123456;
    CHECK_EQ_UINT(harness_hold(harness, ASK(.name = "a", .owner = "A")), 1234567890123456u);
    /* In the same microsecond: one more. */
    CHECK_EQ_UINT(harness_hold(harness, ASK(.name = "b", .owner = "A")), 1234567890123457u);
    harness_pass(harness, 1);
    CHECK_EQ_UINT(harness_hold(harness, ASK(.name = "c", .owner = "A")), 1234567890124456u);
    CHECK_EQ_UINT(engine_token_high(harness->engine).value, 1234567890124456u);
    harness_close(&harness);
}

TEST(token_rises_when_the_wall_clock_goes_back)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    harness->wall.us -= INT64_C(86400) * 1000000;
    uint64_t second = harness_hold(harness, ASK(.name = "b", .owner = "A"));
    CHECK_EQ_UINT(second, token + 1);
    harness->wall.us = -77;
    CHECK_EQ_UINT(harness_hold(harness, ASK(.name = "c", .owner = "A")), token + 2);
    harness_restart(harness);
    CHECK_EQ_UINT(harness_hold(harness, ASK(.name = "d", .owner = "A")), token + 3);
    harness_close(&harness);
}

/* Nothing is left of the name, not even in the window: the token still rises. */
TEST(token_rises_for_a_name_that_was_forgotten)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    harness->check_every = 100;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_release(harness, "a", "A", token);
    harness->wall.us = 0;
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t other = harness_hold(harness, ASK(.name = "b", .owner = "B"));
        CHECK_LT_UINT(token, other);
        (void)harness_release(harness, "b", "B", other);
    }
    struct engine_lock_view view;
    CHECK(!engine_inspect(harness->engine, BYTES_LITERAL("a"), harness->now, &view));
    CHECK_EQ_UINT(engine_counters(harness->engine).lock_count, 1);
    CHECK_LT_UINT(token, harness_hold(harness, ASK(.name = "a", .owner = "A")));
    harness_close(&harness);
}

TEST(token_of_each_of_many_names)
{
    struct harness *harness = harness_open();
    static const char *const names[] = { "a", "b", "c", "d", NULL };
    const struct engine_reply *reply = harness_acquire(harness, ASK(.names = names, .owner = "A"));
    for (uint32_t index = 1; index < 4; index++) {
        CHECK_EQ_UINT(
            reply->results[index].hold.token.value, reply->results[index - 1].hold.token.value + 1);
    }
    harness_close(&harness);
}

/* The clock jumps about, and so does the server: harness.c checks every token. */
TEST(token_rises_whatever_the_clock_does)
{
    struct harness *harness = harness_open();
    struct test_random random = { 99 };
    for (unsigned round = 0; round < 2000; round++) {
        harness->wall.us =
            (int64_t)test_random_below(&random, UINT64_C(1) << (20 + round % 30)) - 1000;
        uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
        CHECK_LE_UINT(token, TOKEN_MAX);
        (void)harness_release(harness, "a", "A", token);
        if (round % 100 == 0) harness_restart(harness);
    }
    harness_close(&harness);
}

/* At the end of the numbers there are no more grants, and everything else goes on. */
TEST(token_limit_refuses)
{
    struct harness *harness = harness_open();
    static const char *const both[] = { "c", "d", NULL };
    harness->wall.us = (int64_t)TOKEN_MAX - 2;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 5000));
    CHECK_EQ_INT(
        harness_acquire(harness, ASK(.names = both, .owner = "A"))->err, TENURE_UNAVAILABLE);
    uint64_t last = harness_hold(harness, ASK(.name = "b", .owner = "A"));
    CHECK_LE_UINT(last, TOKEN_MAX);
    CHECK_EQ_INT(harness_acquire(harness, ASK(.name = "c", .owner = "A"))->err, TENURE_UNAVAILABLE);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "B")->err, TENURE_UNAVAILABLE);
    harness->wall.us = INT64_MAX;
    CHECK_EQ_INT(harness_acquire(harness, ASK(.name = "c", .owner = "A"))->err, TENURE_UNAVAILABLE);
    harness->wall.us = 0;
    CHECK_EQ_INT(harness_acquire(harness, ASK(.name = "c", .owner = "A"))->err, TENURE_UNAVAILABLE);
    CHECK_EQ_INT(harness_renew(harness, "b", "A", last, ENGINE_TTL_KEEP)->err, TENURE_OK);
    CHECK_EQ_INT(harness_release(harness, "a", "A", token)->err, TENURE_OK);
    CHECK(harness_answer(harness, tag) == NULL);
    harness_advance(harness, 5000);
    CHECK_EQ_INT(harness_answer(harness, tag)->err, TENURE_TIMEOUT);
    harness_close(&harness);
}

/* A clock that is far in the future for a moment: those who wait are served when it comes back. */
TEST(token_limit_of_a_bad_moment_passes)
{
    struct harness *harness = harness_open();
    struct wall good = harness->wall;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 5000));
    harness->wall.us = INT64_MAX - 1000000;
    (void)harness_release(harness, "a", "A", token);
    CHECK(harness_answer(harness, tag) == NULL);
    harness->wall = good;
    harness_advance(harness, 100);
    CHECK(harness_answer(harness, tag) != NULL);
    CHECK_EQ_INT(harness_answer(harness, tag)->err, TENURE_OK);
    harness_close(&harness);
}
