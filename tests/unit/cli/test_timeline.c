#include "cli/timeline.h"
#include "lib/test.h"

/* A lease that is good until 1000, a grace of 100, a margin of 10: TERM at 890, KILL at 990. */
static const struct timeline_policy kill_policy = {
    .grace_ns = 100, .margin_ns = 10, .is_telling = true, .is_killing = true
};
static const struct timeline_policy term_policy = { .grace_ns = 100,
                                                    .margin_ns = 10,
                                                    .is_telling = true };
static const struct timeline_policy warn_policy = { .grace_ns = 100, .margin_ns = 10 };

static struct timeline_update
step(struct timeline *timeline, int64_t now_ns, int64_t valid_until_ns, int64_t max_hold_at_ns)
{
    struct timeline_input input = {
        .now_ns = now_ns,
        .valid_until_ns = valid_until_ns,
        .max_hold_at_ns = max_hold_at_ns,
    };
    struct timeline_update update;
    timeline_step(timeline, &input, &update);
    return update;
}

static void check(struct timeline_update update, const char *what, int64_t deadline_ns)
{
    char text[4] = "---";
    if (update.is_telling) text[0] = 'T';
    if (update.is_killing) text[1] = 'K';
    if (update.is_over) text[2] = 'O';
    CHECK_EQ_TEXT(text, what);
    CHECK_EQ_INT(update.deadline_ns, deadline_ns);
}

#define REPEAT_NS 10000000

TEST(timeline_tells_then_kills_before_the_end)
{
    struct timeline timeline;
    timeline_init(&timeline, &kill_policy);
    check(step(&timeline, 0, 1000, TIME_NEVER), "---", 890);
    check(step(&timeline, 889, 1000, TIME_NEVER), "---", 890);
    check(step(&timeline, 890, 1000, TIME_NEVER), "T-O", 990);
    check(step(&timeline, 900, 1000, TIME_NEVER), "---", 990);
    check(step(&timeline, 990, 1000, TIME_NEVER), "-K-", 990 + REPEAT_NS);
    check(step(&timeline, 995, 1000, TIME_NEVER), "-K-", 995 + REPEAT_NS);
    CHECK_EQ_INT(timeline.cause, STOP_LEASE);
}

TEST(timeline_waits_for_as_long_as_the_lease_is_renewed)
{
    struct timeline timeline;
    timeline_init(&timeline, &kill_policy);
    for (int64_t now = 0; now < 10000; now += 500) {
        check(step(&timeline, now, now + 1000, TIME_NEVER), "---", now + 890);
    }
    check(step(&timeline, 10000, TIME_NEVER, TIME_NEVER), "---", TIME_NEVER);
}

TEST(timeline_kills_at_once_when_it_comes_too_late)
{
    struct timeline timeline;
    timeline_init(&timeline, &kill_policy);
    check(step(&timeline, 5000, 1000, TIME_NEVER), "-KO", 5000 + REPEAT_NS);
    timeline_init(&timeline, &kill_policy);
    check(step(&timeline, 5000, 0, TIME_NEVER), "-KO", 5000 + REPEAT_NS);
    timeline_init(&timeline, &kill_policy);
    check(step(&timeline, 5000, INT64_MIN, TIME_NEVER), "-KO", 5000 + REPEAT_NS);
}

TEST(timeline_hurries_when_the_lease_ends_sooner)
{
    struct timeline timeline;
    timeline_init(&timeline, &kill_policy);
    check(step(&timeline, 0, 10000, 5000), "---", 5000);
    check(step(&timeline, 5000, 10000, 5000), "T--", 5100);
    CHECK_EQ_INT(timeline.cause, STOP_MAX_HOLD);
    check(step(&timeline, 5010, 5050, 5000), "--O", 5040);
    CHECK_EQ_INT(timeline.cause, STOP_LEASE);
    check(step(&timeline, 5040, 5050, 5000), "-K-", 5040 + REPEAT_NS);
}

TEST(timeline_calls_nothing_back)
{
    struct timeline timeline;
    timeline_init(&timeline, &kill_policy);
    check(step(&timeline, 890, 1000, TIME_NEVER), "T-O", 990);
    check(step(&timeline, 900, 9000, TIME_NEVER), "---", 990);
    check(step(&timeline, 990, 9000, TIME_NEVER), "-K-", 990 + REPEAT_NS);
}

TEST(timeline_of_term_never_kills_for_the_lease)
{
    struct timeline timeline;
    timeline_init(&timeline, &term_policy);
    check(step(&timeline, 0, 1000, TIME_NEVER), "---", 890);
    check(step(&timeline, 890, 1000, TIME_NEVER), "T-O", TIME_NEVER);
    check(step(&timeline, 5000, 1000, TIME_NEVER), "---", TIME_NEVER);
}

TEST(timeline_of_warn_only_says_that_it_is_over)
{
    struct timeline timeline;
    timeline_init(&timeline, &warn_policy);
    check(step(&timeline, 0, 1000, TIME_NEVER), "---", 990);
    check(step(&timeline, 990, 1000, TIME_NEVER), "--O", TIME_NEVER);
    CHECK_EQ_INT(timeline.cause, STOP_NONE);
}

TEST(timeline_of_max_hold_stops_whatever_the_policy_is)
{
    struct timeline timeline;
    timeline_init(&timeline, &warn_policy);
    check(step(&timeline, 0, TIME_NEVER, 500), "---", 500);
    check(step(&timeline, 500, TIME_NEVER, 500), "T--", 600);
    check(step(&timeline, 600, TIME_NEVER, 500), "-K-", 600 + REPEAT_NS);
}

TEST(timeline_without_a_runner_tells_at_once)
{
    struct timeline timeline;
    struct timeline_update update;
    struct timeline_input input = {
        .now_ns = 100, .valid_until_ns = 1000, .max_hold_at_ns = TIME_NEVER, .is_runner_gone = true
    };
    timeline_init(&timeline, &kill_policy);
    timeline_step(&timeline, &input, &update);
    check(update, "T-O", 200);
    CHECK_EQ_INT(timeline.cause, STOP_RUNNER);
    /* The grace does not reach beyond the lease. */
    timeline_init(&timeline, &kill_policy);
    input.now_ns = 880;
    timeline_step(&timeline, &input, &update);
    check(update, "T-O", 980);
    timeline_init(&timeline, &warn_policy);
    timeline_step(&timeline, &input, &update);
    check(update, "--O", TIME_NEVER);
}

TEST(timeline_of_an_order_kills_at_once)
{
    struct timeline timeline;
    struct timeline_update update;
    struct timeline_input input = {
        .now_ns = 100, .valid_until_ns = 1000, .max_hold_at_ns = TIME_NEVER, .is_ordered = true
    };
    timeline_init(&timeline, &kill_policy);
    timeline_step(&timeline, &input, &update);
    CHECK(update.is_killing && !update.is_telling && !update.is_over);
    CHECK_EQ_INT(timeline.cause, STOP_ORDER);
}
