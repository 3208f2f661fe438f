/* Random lives: every step keeps all invariants, and a replay gives the same state. */
#include "lib/test.h"
#include "unit/engine/script.h"

TEST_WITHIN(60, script_of_random_lives_replays_to_the_same_state)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct test_random random = { seed };
        struct harness *harness =
            harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
        for (unsigned part = 0; part < 10; part++) {
            script_run(harness, &random, 150);
            harness_verify(harness);
            if (part % 3 == 2) harness_restart(harness);
        }
        harness_close(&harness);
    }
}

/* The same with a disk that is slow: what is pending is not yet alive. */
TEST_WITHIN(60, script_of_random_lives_with_a_slow_disk)
{
    for (uint64_t seed = 100; seed < 200; seed++) {
        struct test_random random = { seed };
        struct harness *harness =
            harness_open_with(&(struct engine_options){ .hold_count_max = 30 });
        harness->is_auto_durable = false;
        for (unsigned part = 0; part < 100; part++) {
            script_run(harness, &random, 15);
            uint64_t seq = engine_seq(harness->engine).value;
            harness_durable(harness, (struct seq){ seq - test_random_below(&random, seq + 1) });
        }
        harness_close(&harness);
    }
}

/* The script must reach what it is meant to reach. */
TEST(script_reaches_every_kind_of_record_and_most_answers)
{
    bool is_seen[TENURE_ERR_COUNT] = { false };
    struct test_random random = { 77 };
    struct harness *harness = harness_open();
    script_run(harness, &random, 10000);
    for (unsigned kind = RECORD_GRANTED; kind < RECORD_PUT; kind++) {
        test_note("%s", record_kind_word(kind));
        CHECK_LT_UINT(5, harness_count(harness, (enum record_kind)kind, NULL));
    }
    for (size_t index = 0; index < harness->reply_count; index++) {
        is_seen[harness->replies[index]->err] = true;
    }
    static const enum tenure_err wanted[] = {
        TENURE_OK,       TENURE_HELD,     TENURE_TIMEOUT,        TENURE_STALE_TOKEN,
        TENURE_INVALID,  TENURE_DEADLOCK, TENURE_LIMIT_MISMATCH, TENURE_NOT_FOUND,
        TENURE_NO_SPACE, TENURE_DRAINING, TENURE_CANCELED,       TENURE_UNAVAILABLE,
    };
    for (size_t index = 0; index < sizeof wanted / sizeof *wanted; index++) {
        test_note("%s", tenure_err_name(wanted[index]));
        CHECK(is_seen[wanted[index]]);
    }
    harness_close(&harness);
}
