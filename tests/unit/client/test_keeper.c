/* The keeper, event by event.  Each trace is the whole life of a hold: what happened, at which
 * millisecond, and what the keeper made of it.  ttl 10000 ms, clock error 1 %, slack 100 ms: valid
 * until 9800 ms behind the request. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/keeper.h"
#include "lib/random.h"
#include "lib/test.h"

#define LOG_SIZE 8192

static const int64_t wall_start_us = INT64_C(1700000000000000);

struct trace {
    struct keeper keeper;
    struct keeper_update update;
    int64_t wall_jump_us;
    int64_t boot_start_ms;
    size_t size;
    char log[LOG_SIZE];
};

__attribute__((format(printf, 2, 3))) static void add(struct trace *trace, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size =
        vsnprintf(trace->log + trace->size, sizeof(trace->log) - trace->size, format, arguments);
    va_end(arguments);
    CHECK(size >= 0 && trace->size + (size_t)size < sizeof(trace->log));
    trace->size += (size_t)size;
}

static void begin(struct trace *trace, uint32_t ttl_ms, bool is_passive)
{
    struct keeper_options options = { .ttl_ms = ttl_ms,
                                      .clock_error_ppm = 10000,
                                      .is_passive = is_passive };
    *trace = (struct trace){ .boot_start_ms = 1000000 };
    tni_keeper_init(&trace->keeper, &options);
}

static struct mono boot(const struct trace *trace, int64_t ms)
{
    return (struct mono){ (trace->boot_start_ms + ms) * NS_PER_MS };
}

static const char *const state_words[KEEPER_STATE_COUNT] = {
    "confirming", "held", "at risk", "lost", "ended",
};
static const char *const loss_words[] = { "none", "expired", "ended", "broken", "closed" };

static void happen(struct trace *trace, int64_t now_ms, const char *what, struct keeper_event event)
{
    event.now = boot(trace, now_ms);
    event.wall.us = wall_start_us + now_ms * 1000 + trace->wall_jump_us;
    tni_keeper_step(&trace->keeper, &event, &trace->update);
    const struct keeper_update *update = &trace->update;
    add(trace, "%5d %-18s", (int)now_ms, what);
    add(trace, " %s", state_words[update->state]);
    if (update->loss != KEEPER_LOSS_NONE) add(trace, " (%s)", loss_words[update->loss]);
    if (update->has_changed) add(trace, " !");
    bool has_until = update->valid_until.ns != INT64_MAX && update->valid_until.ns != INT64_MIN;
    if (has_until) {
        int64_t until_ms = update->valid_until.ns / NS_PER_MS - trace->boot_start_ms;
        add(trace, ", until %d", (int)until_ms);
    }
    if (update->is_renewing) add(trace, ", renew %u", update->ttl_ms);
    if (update->deadline.ns != INT64_MAX) {
        int64_t deadline_ms = update->deadline.ns / NS_PER_MS - trace->boot_start_ms;
        add(trace, ", look at %d", (int)deadline_ms);
    }
    add(trace, "\n");
}

static void granted(struct trace *trace, int64_t now_ms, int64_t sent_ms, int64_t remaining_ms)
{
    happen(
        trace,
        now_ms,
        "granted",
        (struct keeper_event){ .kind = KEEPER_GRANTED,
                               .sent_at = boot(trace, sent_ms),
                               .remaining_ms = remaining_ms,
                               .ttl_ms = trace->keeper.options.ttl_ms });
}

static void time_passes(struct trace *trace, int64_t now_ms)
{
    happen(trace, now_ms, "", (struct keeper_event){ .kind = KEEPER_TIME });
}

static void
renewed_as(struct trace *trace, int64_t now_ms, int64_t sent_ms, struct keeper_event event)
{
    char what[32];
    (void)snprintf(what, sizeof(what), "ok, sent %d", (int)sent_ms);
    event.kind = KEEPER_RENEWED;
    event.sent_at = boot(trace, sent_ms);
    happen(trace, now_ms, what, event);
}

static void renewed_for(
    struct trace *trace, int64_t now_ms, int64_t sent_ms, uint32_t ttl_ms, int64_t remaining_ms)
{
    const struct keeper_event event = { .remaining_ms = remaining_ms, .ttl_ms = ttl_ms };
    renewed_as(trace, now_ms, sent_ms, event);
}

/* An administrator has set an end to it. */
static void
renewed_breaking(struct trace *trace, int64_t now_ms, int64_t sent_ms, int64_t remaining_ms)
{
    const struct keeper_event event = { .remaining_ms = remaining_ms,
                                        .ttl_ms = trace->keeper.options.ttl_ms,
                                        .is_breaking = true };
    renewed_as(trace, now_ms, sent_ms, event);
}

static void renewed(struct trace *trace, int64_t now_ms, int64_t sent_ms)
{
    renewed_for(trace, now_ms, sent_ms, trace->keeper.options.ttl_ms, trace->keeper.options.ttl_ms);
}

static void failed(struct trace *trace, int64_t now_ms, int64_t sent_ms)
{
    char what[32];
    (void)snprintf(what, sizeof(what), "failed, sent %d", (int)sent_ms);
    happen(
        trace,
        now_ms,
        what,
        (struct keeper_event){ .kind = KEEPER_FAILED, .sent_at = boot(trace, sent_ms) });
}

static void check_log(const struct trace *trace, const char *expected)
{
    CHECK_EQ_TEXT(trace->log, expected);
}

/* ------------------------------------------------------------------ traces */

TEST(keeper_renews_every_third_and_counts_from_before_the_request)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    time_passes(&trace, 3333);
    renewed(&trace, 3400, 3333);
    time_passes(&trace, 6666);
    renewed(&trace, 8000, 6666);
    happen(&trace, 8100, "released", (struct keeper_event){ .kind = KEEPER_RELEASED });
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        " 3333                    held, until 9800, renew 10000, look at 4333\n"
        " 3400 ok, sent 3333      held, until 13133, look at 6666\n"
        " 6666                    held, until 13133, renew 10000, look at 7666\n"
        " 8000 ok, sent 6666      held, until 16466, look at 9999\n"
        " 8100 released           ended !\n");
}

TEST(keeper_without_answers_is_at_risk_and_then_lost)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    time_passes(&trace, 3333);
    failed(&trace, 3400, 3333);
    time_passes(&trace, 4333);
    time_passes(&trace, 5333);
    time_passes(&trace, 6333);
    time_passes(&trace, 6666);
    time_passes(&trace, 9799);
    time_passes(&trace, 9800);
    renewed(&trace, 9900, 6333);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        " 3333                    held, until 9800, renew 10000, look at 4333\n"
        " 3400 failed, sent 3333  held, until 9800, look at 4333\n"
        " 4333                    held, until 9800, renew 10000, look at 5333\n"
        " 5333                    held, until 9800, renew 10000, look at 6333\n"
        " 6333                    held, until 9800, renew 10000, look at 6666\n"
        " 6666                    at risk !, until 9800, look at 7333\n"
        " 9799                    at risk, until 9800, renew 10000, look at 9800\n"
        " 9800                    lost (expired) !\n"
        " 9900 ok, sent 6333      lost (expired)\n");
}

TEST(keeper_recovers_when_an_answer_comes_late_but_in_time)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    time_passes(&trace, 3333);
    time_passes(&trace, 4333);
    time_passes(&trace, 6666);
    renewed(&trace, 7000, 3333);
    renewed(&trace, 7010, 4333);
    renewed(&trace, 7020, 3333);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        " 3333                    held, until 9800, renew 10000, look at 4333\n"
        " 4333                    held, until 9800, renew 10000, look at 5333\n"
        " 6666                    at risk !, until 9800, renew 10000, look at 7666\n"
        " 7000 ok, sent 3333      held !, until 13133, renew 10000, look at 8000\n"
        " 7010 ok, sent 4333      held, until 14133, look at 7666\n"
        " 7020 ok, sent 3333      held, until 14133, look at 7666\n");
}

TEST(keeper_confirms_a_grant_that_was_waited_for)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 60000, 0, 10000);
    failed(&trace, 60100, 60000);
    time_passes(&trace, 61000);
    renewed(&trace, 61010, 61000);
    check_log(
        &trace,
        "60000 granted            confirming, renew 10000, look at 61000\n"
        "60100 failed, sent 60000 confirming, look at 61000\n"
        "61000                    confirming, renew 10000, look at 62000\n"
        "61010 ok, sent 61000     held !, until 70800, look at 64333\n");
}

TEST(keeper_believes_no_grant_that_is_over_when_it_arrives)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 9900, 0, 10000);
    renewed(&trace, 25000, 9900);
    happen(
        &trace,
        25010,
        "refused",
        (struct keeper_event){ .kind = KEEPER_REFUSED, .loss = KEEPER_LOSS_ENDED });
    check_log(
        &trace,
        " 9900 granted            confirming, renew 10000, look at 10900\n"
        "25000 ok, sent 9900      confirming, renew 10000, look at 26000\n"
        "25010 refused            lost (ended) !\n");
}

TEST(keeper_counts_only_what_is_left_of_a_repeated_grant)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 3000);
    CHECK(!tni_keeper_is_breaking(&trace.keeper));
    time_passes(&trace, 1000);
    renewed(&trace, 1010, 1000);
    check_log(
        &trace,
        "   20 granted            held !, until 2940, look at 1000\n"
        " 1000                    held, until 2940, renew 10000, look at 2000\n"
        " 1010 ok, sent 1000      held, until 10800, look at 4333\n");
}

TEST(keeper_sends_nothing_after_the_end)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    time_passes(&trace, 3333);
    happen(&trace, 3340, "released", (struct keeper_event){ .kind = KEEPER_RELEASED });
    renewed(&trace, 3400, 3333);
    failed(&trace, 3410, 3333);
    happen(&trace, 4000, "hint", (struct keeper_event){ .kind = KEEPER_HINT });
    happen(&trace, 4001, "asked", (struct keeper_event){ .kind = KEEPER_ASKED, .ttl_ms = 500 });
    time_passes(&trace, 100000);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        " 3333                    held, until 9800, renew 10000, look at 4333\n"
        " 3340 released           ended !\n"
        " 3400 ok, sent 3333      ended\n"
        " 3410 failed, sent 3333  ended\n"
        " 4000 hint               ended\n"
        " 4001 asked              ended\n"
        "100000                    ended\n");
}

TEST(keeper_asks_at_once_when_the_wall_clock_has_jumped)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    trace.wall_jump_us = 1000000; /* a second is no jump yet */
    time_passes(&trace, 500);
    trace.wall_jump_us = 120000000;
    time_passes(&trace, 1000);
    renewed(&trace, 1010, 1000);
    trace.wall_jump_us = 0;
    time_passes(&trace, 1500);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        "  500                    held, until 9800, look at 3333\n"
        " 1000                    at risk !, until 9800, renew 10000, look at 2000\n"
        " 1010 ok, sent 1000      held !, until 10800, look at 4333\n"
        " 1500                    at risk !, until 10800, renew 10000, look at 2500\n");
}

TEST(keeper_asks_at_once_when_nobody_looked_for_long)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    time_passes(&trace, 6665); /* nearly two thirds late */
    time_passes(&trace, 6666);
    begin(&trace, 10000, true);
    granted(&trace, 20, 0, 10000);
    check_log(&trace, "   20 granted            held !, until 9800, look at 6666\n");
    begin(&trace, 0, false);
    granted(&trace, 20, 0, -1);
    time_passes(&trace, 10019);
    renewed_for(&trace, 10020, 10019, 0, -1);
    time_passes(&trace, 30000);
    check_log(
        &trace,
        "   20 granted            held !, look at 5000\n"
        "10019                    at risk !, renew 0, look at 11519\n"
        "10020 ok, sent 10019     held !, look at 15019\n"
        "30000                    at risk !, renew 0, look at 31500\n");
}

TEST(keeper_of_a_hold_without_ttl_never_expires)
{
    struct trace trace;
    begin(&trace, 0, false);
    granted(&trace, 90000, 0, -1);
    time_passes(&trace, 95000);
    failed(&trace, 96000, 95000);
    happen(
        &trace,
        97000,
        "refused",
        (struct keeper_event){ .kind = KEEPER_REFUSED, .loss = KEEPER_LOSS_BROKEN });
    check_log(
        &trace,
        "90000 granted            held !, renew 0, look at 91500\n"
        "95000                    held, renew 0, look at 96500\n"
        "96000 failed, sent 95000 held, look at 96500\n"
        "97000 refused            lost (broken) !\n");
}

TEST(keeper_that_is_passive_renews_only_when_asked)
{
    struct trace trace;
    begin(&trace, 10000, true);
    granted(&trace, 20, 0, 10000);
    happen(&trace, 2000, "asked", (struct keeper_event){ .kind = KEEPER_ASKED, .ttl_ms = 10000 });
    failed(&trace, 3000, 2000);
    time_passes(&trace, 6666);
    happen(&trace, 7000, "asked", (struct keeper_event){ .kind = KEEPER_ASKED, .ttl_ms = 10000 });
    renewed(&trace, 7010, 7000);
    time_passes(&trace, 13666);
    time_passes(&trace, 16800);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 6666\n"
        " 2000 asked              held, until 9800, renew 10000, look at 6666\n"
        " 3000 failed, sent 2000  held, until 9800, look at 6666\n"
        " 6666                    at risk !, until 9800, look at 9800\n"
        " 7000 asked              at risk, until 9800, renew 10000, look at 9800\n"
        " 7010 ok, sent 7000      held !, until 16800, look at 13666\n"
        "13666                    at risk !, until 16800, look at 16800\n"
        "16800                    lost (expired) !\n");
}

TEST(keeper_is_told_of_a_break)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    happen(&trace, 1000, "hint", (struct keeper_event){ .kind = KEEPER_HINT });
    renewed_breaking(&trace, 1010, 1000, 2000);
    CHECK(tni_keeper_is_breaking(&trace.keeper));
    time_passes(&trace, 1666);
    renewed_breaking(&trace, 1670, 1666, 1334);
    time_passes(&trace, 2980);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        " 1000 hint               held, until 9800, renew 10000, look at 2000\n"
        " 1010 ok, sent 1000      held, until 2960, look at 1666\n"
        " 1666                    held, until 2960, renew 10000, look at 2332\n"
        " 1670 ok, sent 1666      held, until 2973, look at 2110\n"
        " 2980                    lost (broken) !\n");
}

/* A server in front of another store tells what is left when it answers, which is less. */
TEST(keeper_takes_a_short_renewal_for_no_break)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    time_passes(&trace, 3333);
    renewed_for(&trace, 3400, 3333, 10000, 9990);
    CHECK(!tni_keeper_is_breaking(&trace.keeper));
    time_passes(&trace, 20000);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        " 3333                    held, until 9800, renew 10000, look at 4333\n"
        " 3400 ok, sent 3333      held, until 13124, look at 6663\n"
        "20000                    lost (expired) !\n");
}

TEST(keeper_counts_on_the_shortest_ttl_that_is_under_way)
{
    struct trace trace;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    time_passes(&trace, 3333);
    happen(&trace, 3400, "asked", (struct keeper_event){ .kind = KEEPER_ASKED, .ttl_ms = 60000 });
    renewed_for(&trace, 3500, 3400, 60000, 60000); /* the other one may still come behind it */
    failed(&trace, 3600, 3333);
    happen(&trace, 4000, "hint", (struct keeper_event){ .kind = KEEPER_HINT });
    renewed_for(&trace, 4010, 4000, 60000, 60000);
    check_log(
        &trace,
        "   20 granted            held !, until 9800, look at 3333\n"
        " 3333                    held, until 9800, renew 10000, look at 4333\n"
        " 3400 asked              held, until 9800, renew 60000, look at 6666\n"
        " 3500 ok, sent 3400      held, until 13200, look at 6733\n"
        " 3600 failed, sent 3333  held, until 13200, look at 6733\n"
        " 4000 hint               held, until 13200, renew 60000, look at 10000\n"
        " 4010 ok, sent 4000      held, until 63300, look at 24000\n");
}

TEST(keeper_has_only_so_many_requests_under_way)
{
    struct trace trace;
    unsigned count = 0;
    begin(&trace, 10000, false);
    granted(&trace, 20, 0, 10000);
    for (int64_t now_ms = 21; now_ms < 9800; now_ms += 10) {
        trace.size = 0;
        happen(&trace, now_ms, "hint", (struct keeper_event){ .kind = KEEPER_HINT });
        if (trace.update.is_renewing) count++;
    }
    CHECK_EQ_UINT(count, KEEPER_FLIGHT_COUNT_MAX);
}

/* ------------------------------------------------------------------ rules */

TEST(valid_until_is_always_before_the_end_of_the_lease)
{
    static const int64_t remaining_ms[] = { 0, 1, 2, 99, 100, 101, 999, 15000, 86400000 };
    static const uint32_t ppm[] = { 0, 1, 10000, 500000 };
    struct mono sent_at = { 5 * NS_PER_S };
    for (size_t left = 0; left < sizeof(remaining_ms) / sizeof(remaining_ms[0]); left++) {
        for (size_t error = 0; error < sizeof(ppm) / sizeof(ppm[0]); error++) {
            struct mono until = tni_keeper_valid_until(sent_at, remaining_ms[left], ppm[error]);
            int64_t whole_ns = remaining_ms[left] * NS_PER_MS;
            int64_t believed_ns = until.ns - sent_at.ns;
            test_note("remaining %d ms, %u ppm", (int)remaining_ms[left], ppm[error]);
            CHECK_LT_INT(believed_ns, whole_ns == 0 ? 1 : whole_ns);
            CHECK_LE_INT(believed_ns, whole_ns - whole_ns / 1000000 * ppm[error]);
        }
    }
    CHECK_EQ_INT(tni_keeper_valid_until(sent_at, 15000, 10000).ns - sent_at.ns, 14750 * NS_PER_MS);
}

/* Whatever comes, in whatever order: lost once, and nothing afterwards. */
TEST(keeper_of_random_events_keeps_its_invariants)
{
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct test_random random = { seed };
        struct trace trace;
        int64_t now_ms = 0;
        unsigned lost_count = 0;
        bool is_over = false;
        test_note("seed %u", (unsigned)seed);
        begin(&trace, test_random_below(&random, 5) == 0 ? 0 : 10000, false);
        trace.log[0] = '\0';
        granted(&trace, (int64_t)test_random_below(&random, 12000), 0, 10000);
        now_ms = 12000;
        for (unsigned step = 0; step < 60; step++) {
            static const enum keeper_event_kind kinds[] = {
                KEEPER_TIME,    KEEPER_TIME, KEEPER_RENEWED, KEEPER_RENEWED,  KEEPER_FAILED,
                KEEPER_REFUSED, KEEPER_HINT, KEEPER_ASKED,   KEEPER_RELEASED,
            };
            uint64_t kind = test_random_below(&random, step < 40 ? 5 : 9);
            int64_t sent_ms = now_ms - (int64_t)test_random_below(&random, 9000);
            now_ms += (int64_t)test_random_below(&random, 3000);
            trace.size = 0;
            happen(
                &trace,
                now_ms,
                "",
                (struct keeper_event){ .kind = kinds[kind],
                                       .sent_at = boot(&trace, sent_ms),
                                       .remaining_ms = 10000,
                                       .ttl_ms = 10000,
                                       .loss = KEEPER_LOSS_ENDED });
            CHECK(!is_over || !trace.update.is_renewing);
            CHECK(!is_over || trace.update.valid_until.ns == INT64_MIN);
            if (trace.update.has_changed && trace.update.state == KEEPER_LOST) lost_count++;
            is_over = trace.update.state == KEEPER_LOST || trace.update.state == KEEPER_ENDED;
            bool is_held =
                trace.update.state == KEEPER_HELD || trace.update.state == KEEPER_AT_RISK;
            if (is_held) CHECK_LT_INT(boot(&trace, now_ms).ns, trace.update.valid_until.ns);
            if (!is_over) CHECK_NE_INT(trace.update.deadline.ns, INT64_MAX);
        }
        CHECK(lost_count <= 1);
    }
}
