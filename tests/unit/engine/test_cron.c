/* Lines of cron: what they mean, when they come true, and what becomes of runs that were missed. */
#include "engine/cron.h"
#include "lib/random.h"
#include "lib/test.h"

static const struct zone utc = { .first_s = 0 };

static int64_t at(int64_t year, int32_t month, int32_t day, int32_t hour, int32_t minute)
{
    return (zone_day_number(year, month, day) * 86400 + hour * 3600 + minute * 60) * 1000000;
}

static struct cron line(const char *text)
{
    struct cron cron;
    const char *fault = cron_parse(bytes_from_text(text), &cron);
    if (fault != NULL) FAIL("%s: %s", text, fault);
    return cron;
}

static struct zone berlin(void)
{
    struct zone zone = ZONE_UTC;
    CHECK(zone_parse_rule(BYTES_LITERAL("CET-1CEST,M3.5.0,M10.5.0/3"), &zone.rule));
    return zone;
}

static int64_t next(const char *text, const struct zone *zone, int64_t after_us)
{
    struct cron cron = line(text);
    return cron_next_us(&cron, zone, after_us);
}

TEST(cron_lines_come_true)
{
    int64_t now = at(2026, 11, 21, 17, 30); /* a Saturday */
    CHECK_EQ_INT(next("* * * * *", &utc, now), at(2026, 11, 21, 17, 31));
    CHECK_EQ_INT(next("*/15 * * * *", &utc, now), at(2026, 11, 21, 17, 45));
    CHECK_EQ_INT(next("0 3 * * *", &utc, now), at(2026, 11, 22, 3, 0));
    CHECK_EQ_INT(next("30 17 * * *", &utc, now), at(2026, 11, 22, 17, 30));
    CHECK_EQ_INT(next("0 9-17/2 * * mon-fri", &utc, now), at(2026, 11, 23, 9, 0));
    CHECK_EQ_INT(next("0 0 1 jan *", &utc, now), at(2027, 1, 1, 0, 0));
    CHECK_EQ_INT(next("0 0 29 2 *", &utc, now), at(2028, 2, 29, 0, 0));
    CHECK_EQ_INT(next("0 0 29 2 *", &utc, at(2096, 3, 1, 0, 0)), at(2104, 2, 29, 0, 0));
    CHECK_EQ_INT(next("0 0 * * 7", &utc, now), at(2026, 11, 22, 0, 0));
    CHECK_EQ_INT(next("0 0 * * SUN", &utc, now), at(2026, 11, 22, 0, 0));
    CHECK_EQ_INT(next("5,10 4 * * *", &utc, at(2026, 1, 1, 4, 5)), at(2026, 1, 1, 4, 10));
    CHECK_EQ_INT(next("50/5 4 * * *", &utc, at(2026, 1, 1, 4, 50)), at(2026, 1, 1, 4, 55));
    CHECK_EQ_INT(next("@weekly", &utc, now), at(2026, 11, 22, 0, 0));
    /* Either day is enough when both are named. */
    CHECK_EQ_INT(next("0 0 13 * fri", &utc, now), at(2026, 11, 27, 0, 0));
    CHECK_EQ_INT(next("0 0 13 * fri", &utc, at(2026, 12, 11, 0, 0)), at(2026, 12, 13, 0, 0));
    CHECK_EQ_INT(next(" 0\t0  1 1 * ", &utc, now), at(2027, 1, 1, 0, 0));
}

TEST(cron_lines_that_are_wrong_or_never_come_true_are_refused)
{
    static const char *const texts[] = { "",
                                         "* * * *",
                                         "* * * * * *",
                                         "60 * * * *",
                                         "* 24 * * *",
                                         "* * 0 * *",
                                         "* * 32 * *",
                                         "* * * 13 *",
                                         "* * * * 8",
                                         "5-1 * * * *",
                                         "*/0 * * * *",
                                         "a * * * *",
                                         "0 0 30 2 *",
                                         "0 0 31 4,6 *",
                                         "1,, * * * *",
                                         "-1 * * * *",
                                         "* * * foo *",
                                         "@never",
                                         "1000 * * * *",
                                         "*-5 * * * *",
                                         "1-2-3 * * * *",
                                         "0 0 31 feb,apr *" };
    for (size_t index = 0; index < sizeof texts / sizeof *texts; index++) {
        struct cron cron;
        test_note("%s", texts[index]);
        CHECK(cron_parse(bytes_from_text(texts[index]), &cron) != NULL);
    }
    struct cron cron;
    CHECK_EQ_TEXT(cron_parse(BYTES_LITERAL("0 0 30 2 *"), &cron), "it never comes true");
}

TEST(cron_follows_the_clock_on_the_wall)
{
    struct zone zone = berlin();
    CHECK_EQ_INT(next("0 3 * * *", &zone, at(2026, 7, 1, 12, 0)), at(2026, 7, 2, 1, 0));
    CHECK_EQ_INT(next("0 3 * * *", &zone, at(2026, 12, 1, 12, 0)), at(2026, 12, 2, 2, 0));
    /* Skipped in spring: when the clock jumps, and once. */
    int64_t jump = at(2026, 3, 29, 1, 0);
    CHECK_EQ_INT(next("30 2 * * *", &zone, at(2026, 3, 28, 12, 0)), jump);
    CHECK_EQ_INT(next("30 2 * * *", &zone, jump), at(2026, 3, 30, 0, 30));
    CHECK_EQ_INT(next("0,30 2 * * *", &zone, at(2026, 3, 28, 12, 0)), jump);
    CHECK_EQ_INT(next("0,30 2 * * *", &zone, jump), at(2026, 3, 30, 0, 0));
    /* Twice in autumn: the first time, and once. */
    int64_t first = at(2026, 10, 25, 0, 30);
    CHECK_EQ_INT(next("30 2 * * *", &zone, at(2026, 10, 24, 12, 0)), first);
    CHECK_EQ_INT(next("30 2 * * *", &zone, first), at(2026, 10, 26, 1, 30));
    /* Every hour: no hour of time is left out, none has two. */
    int64_t before = at(2026, 10, 24, 22, 0);
    for (int64_t hour = 1; hour <= 6; hour++) {
        CHECK_EQ_INT(next("0 * * * *", &zone, before), before + 3600000000);
        before += 3600000000;
    }
    CHECK_EQ_INT(next("0 * * * *", &zone, at(2026, 3, 29, 0, 0)), at(2026, 3, 29, 1, 0));
}

/* What comes next is behind, matches, and nothing between does: minute by minute. */
TEST(cron_leaves_nothing_out)
{
    static const char *const texts[] = { "*/7 * * * *",  "0 */5 * * *",     "13 1-4 * * *",
                                         "0 0 */3 * *",  "59 23 28-31 * *", "0 12 * * 1,3",
                                         "*/20 2 * 3 *", "15 2 * 10 sun" };
    struct zone zone = berlin();
    struct test_random random = { 9 };
    for (unsigned round = 0; round < 200; round++) {
        struct cron cron = line(texts[round % 8]);
        int64_t after =
            at(2026, 1, 1, 0, 0) + (int64_t)test_random_below(&random, 31536000) * 1000000;
        int64_t found = cron_next_us(&cron, &zone, after);
        CHECK_LT_INT(after, found);
        CHECK_EQ_INT(found % 60000000, 0);
        for (unsigned count = 0; count < 20; count++) {
            int64_t between =
                after + (found - after) / 1000 * (int64_t)test_random_below(&random, 1000);
            CHECK_EQ_INT(cron_next_us(&cron, &zone, between), found);
        }
    }
}

static struct cron_plan
plan(const char *text, enum cron_missed missed, uint32_t count_max, int64_t due, int64_t now)
{
    struct cron cron = line(text);
    struct cron_policy policy = { missed, count_max };
    struct cron_plan result;
    cron_plan(&cron, &utc, &policy, due, now, &result);
    return result;
}

TEST(cron_runs_that_were_missed)
{
    int64_t due = at(2026, 11, 20, 3, 0);
    int64_t now = at(2026, 11, 23, 3, 30);
    int64_t last = at(2026, 11, 23, 3, 0);
    struct cron_plan result = plan("0 3 * * *", CRON_SKIP, 1, due, now);
    CHECK_EQ_UINT(result.run_count, 0);
    CHECK_EQ_INT(result.next_us, at(2026, 11, 24, 3, 0));
    result = plan("0 3 * * *", CRON_ONCE, 1, due, now);
    CHECK_EQ_UINT(result.run_count, 1);
    CHECK_EQ_INT(result.runs_us[0], last);
    result = plan("0 3 * * *", CRON_ALL, 10, due, now);
    CHECK_EQ_UINT(result.run_count, 4);
    CHECK_EQ_INT(result.runs_us[0], due);
    CHECK_EQ_INT(result.runs_us[3], last);
    result = plan("0 3 * * *", CRON_ALL, 2, due, now);
    CHECK_EQ_UINT(result.run_count, 2);
    CHECK_EQ_INT(result.runs_us[0], at(2026, 11, 22, 3, 0));
    CHECK_EQ_INT(result.runs_us[1], last);
    CHECK_EQ_INT(result.next_us, at(2026, 11, 24, 3, 0));
}

TEST(cron_runs_in_time_are_not_missed)
{
    int64_t due = at(2026, 11, 20, 3, 0);
    for (unsigned missed = CRON_SKIP; missed <= CRON_ALL; missed++) {
        struct cron_plan early = plan("0 3 * * *", (enum cron_missed)missed, 5, due, due - 1);
        CHECK_EQ_UINT(early.run_count, 0);
        CHECK_EQ_INT(early.next_us, due);
        struct cron_plan result =
            plan("0 3 * * *", (enum cron_missed)missed, 5, due, due + 50000000);
        CHECK_EQ_UINT(result.run_count, 1);
        CHECK_EQ_INT(result.runs_us[0], due);
        CHECK_EQ_INT(result.next_us, at(2026, 11, 21, 3, 0));
    }
}

/* A clock that jumps by ten years: the last hundred, at once. */
TEST(cron_plan_does_not_walk_through_years)
{
    int64_t now = at(2036, 11, 20, 3, 0);
    struct cron_plan result =
        plan("* * * * *", CRON_ALL, CRON_RUN_COUNT_MAX, at(2026, 1, 1, 0, 0), now);
    CHECK_EQ_UINT(result.run_count, CRON_RUN_COUNT_MAX);
    CHECK_EQ_INT(result.runs_us[CRON_RUN_COUNT_MAX - 1], now);
    CHECK_EQ_INT(result.runs_us[0], now - 99 * INT64_C(60000000));
    CHECK_EQ_INT(result.next_us, now + 60000000);
}
