/* Followers against the naive way: look at every record and at every follower. */
#include <stdio.h>

#include "harness.h"
#include "lib/random.h"
#include "lib/test.h"

#define FOLLOWER_COUNT 24u
#define SEEN_COUNT_MAX 4096u

struct watcher {
    struct follower follower;
    struct seq first; /* it follows from behind this */
    char text[8];
    uint64_t seen[SEEN_COUNT_MAX];
    uint32_t seen_count;
    uint32_t refusals; /* so many deliveries are not taken */
    uint32_t heartbeat_count;
    bool is_started;
    bool stops_itself;
    bool is_timed_out;
    bool is_compacted;
};

static struct watcher watchers[FOLLOWER_COUNT];

static bool deliver(struct follower *follower, const struct record *record)
{
    struct watcher *watcher = follower->user;
    if (watcher->refusals > 0) {
        watcher->refusals--;
        return false;
    }
    CHECK_LT_UINT(watcher->seen_count, SEEN_COUNT_MAX);
    watcher->seen[watcher->seen_count++] = record->seq.value;
    if (watcher->stops_itself) {
        watcher->is_started = false;
        follower_stop(harness.server.events, follower);
    }
    return true;
}

static void compacted(struct follower *follower, struct seq first)
{
    struct watcher *watcher = follower->user;
    CHECK_LT_UINT(follower->seq.value + 1, first.value);
    watcher->is_compacted = true;
    watcher->is_started = false;
}

static void heartbeat(struct follower *follower)
{
    struct watcher *watcher = follower->user;
    watcher->heartbeat_count++;
}

static void timed_out(struct follower *follower)
{
    struct watcher *watcher = follower->user;
    watcher->is_timed_out = true;
    watcher->is_started = false;
}

static const struct follower_ops ops = { deliver, compacted, heartbeat, timed_out };

static void start(struct watcher *watcher, const char *prefix, bool is_exact, struct seq since)
{
    *watcher = (struct watcher){ .first = since, .is_started = true };
    (void)snprintf(watcher->text, sizeof(watcher->text), "%s", prefix);
    watcher->follower.ops = &ops;
    watcher->follower.user = watcher;
    watcher->follower.prefix = bytes_from_text(watcher->text);
    watcher->follower.is_exact = is_exact;
    watcher->follower.seq = since;
    CHECK(follower_start(harness.server.events, &watcher->follower));
}

static void stop_all(void)
{
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        follower_stop(harness.server.events, &watchers[i].follower);
    }
    CHECK_EQ_UINT(events_follower_count(harness.server.events), 0);
}

/* A grant and its release: two events. */
static void churn(struct client *client, const char *name)
{
    char text[256];
    (void)snprintf(
        text,
        sizeof(text),
        "GET /acquire/%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
        "GET /release/%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
        name,
        name);
    (void)harness_ask(client, text);
}

static bool is_wanted(const struct watcher *watcher, const struct record *record)
{
    const struct follower *follower = &watcher->follower;
    if (follower->kinds != 0 && (follower->kinds >> record->kind & 1) == 0) return false;
    return follower->is_exact ? bytes_equal(record->name, follower->prefix)
                              : bytes_start_with(record->name, follower->prefix);
}

/* It has seen exactly what it should have seen. */
static void check_watcher(const struct watcher *watcher)
{
    uint32_t index = 0;
    struct seq last = engine_seq(harness.server.engine);
    for (uint64_t seq = watcher->first.value + 1; seq <= last.value; seq++) {
        struct record record;
        CHECK(engine_window_read(harness.server.engine, (struct seq){ seq }, &record));
        if (!is_wanted(watcher, &record)) continue;
        CHECK_LT_UINT(index, watcher->seen_count);
        CHECK_EQ_UINT(watcher->seen[index], seq);
        index++;
    }
    CHECK_EQ_UINT(index, watcher->seen_count);
}

static void one_random_step(struct test_random *random, struct client *client)
{
    static const char *const names[] = { "a", "a/b", "a/b/c", "b", "b/x", "ab", "c" };
    static const char *const prefixes[] = { "", "a", "a/", "a/b", "b", "c", "zz" };
    struct watcher *watcher = &watchers[test_random_below(random, FOLLOWER_COUNT)];
    switch (test_random_below(random, 6)) {
    case 0:
        if (watcher->is_started) {
            follower_stop(harness.server.events, &watcher->follower);
            watcher->is_started = false;
        } else {
            uint64_t last = engine_seq(harness.server.engine).value;
            uint64_t back = test_random_below(random, 2) == 0 ? 0 : test_random_below(random, 700);
            const char *prefix = prefixes[test_random_below(random, 7)];
            bool is_exact = prefix[0] != '\0' && test_random_below(random, 3) == 0;
            start(watcher, prefix, is_exact, (struct seq){ last - (back < last ? back : last) });
            if (test_random_below(random, 3) == 0) {
                watcher->follower.kinds = 1u << RECORD_RELEASED;
            }
        }
        return;
    case 1: watcher->refusals = (uint32_t)test_random_below(random, 3); return;
    case 2: follower_resume(harness.server.events, &watcher->follower); return;
    default: churn(client, names[test_random_below(random, 7)]); return;
    }
}

/* All that are paused go on, and all that lag catch up. */
static void settle(void)
{
    for (int turn = 0; turn < 100; turn++) {
        for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
            watchers[i].refusals = 0;
            if (watchers[i].is_started) {
                follower_resume(harness.server.events, &watchers[i].follower);
            }
        }
        harness_turn();
    }
}

TEST(every_follower_sees_what_it_asked_for_once_and_in_order)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_random random = { seed };
        memset(watchers, 0, sizeof(watchers));
        harness_start((size_t)4 << 20);
        struct client *client = harness_open(0);
        for (int i = 0; i < 1500; i++) {
            test_note("seed %d step %d", (int)seed, i);
            one_random_step(&random, client);
        }
        settle();
        for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
            test_note("seed %d watcher %u", (int)seed, i);
            if (watchers[i].is_started) check_watcher(&watchers[i]);
        }
        stop_all();
        harness_stop();
    }
}

TEST(followers_may_stop_while_they_are_called)
{
    memset(watchers, 0, sizeof(watchers));
    harness_start(0);
    struct client *client = harness_open(0);
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        start(&watchers[i], "a", false, (struct seq){ 0 });
        watchers[i].stops_itself = i % 2 == 0;
    }
    churn(client, "a");
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        CHECK_EQ_UINT(watchers[i].seen_count, i % 2 == 0 ? 1 : 2);
    }
    CHECK_EQ_UINT(events_follower_count(harness.server.events), FOLLOWER_COUNT / 2);
    stop_all();
    harness_stop();
}

TEST(who_is_paused_too_long_is_told)
{
    memset(watchers, 0, sizeof(watchers));
    harness_start(0);
    struct client *client = harness_open(0);
    start(&watchers[0], "", false, (struct seq){ 0 });
    watchers[0].refusals = 1;
    for (int i = 0; i < 2000; i++) {
        churn(client, "a");
    }
    CHECK_EQ_UINT(watchers[0].seen_count, 0);
    CHECK(!watchers[0].is_compacted);
    follower_resume(harness.server.events, &watchers[0].follower);
    harness_turn();
    CHECK(watchers[0].is_compacted);
    CHECK_EQ_UINT(events_follower_count(harness.server.events), 0);
    harness_stop();
}

TEST(heartbeats_come_after_silence_only)
{
    memset(watchers, 0, sizeof(watchers));
    harness_start(0);
    struct client *client = harness_open(0);
    start(&watchers[0], "a", false, (struct seq){ 0 });
    start(&watchers[1], "b", false, (struct seq){ 0 });
    for (int i = 0; i < 4; i++) {
        harness_pass(10000);
        churn(client, "a");
    }
    CHECK_EQ_UINT(watchers[0].heartbeat_count, 0);
    CHECK_EQ_UINT(watchers[1].heartbeat_count, 2);
    CHECK_EQ_UINT(watchers[1].follower.seq.value, 6);
    stop_all();
    harness_stop();
}

TEST(a_deadline_ends_a_follower_in_time)
{
    memset(watchers, 0, sizeof(watchers));
    harness_start(0);
    (void)harness_open(0);
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        watchers[i] = (struct watcher){ .is_started = true };
        watchers[i].follower.ops = &ops;
        watchers[i].follower.user = &watchers[i];
        watchers[i].follower.until.ns = harness.server.now.ns + (i + 1) * 100 * NS_PER_MS;
        CHECK(follower_start(harness.server.events, &watchers[i].follower));
    }
    follower_stop(harness.server.events, &watchers[3].follower);
    harness_pass(1000);
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        CHECK_EQ_INT(watchers[i].is_timed_out, i < 10 && i != 3);
    }
    stop_all();
    harness_stop();
}

/* ---------------------------------------------------------------- histograms */

TEST(buckets_have_the_bounds_that_they_say)
{
    static const int64_t us[] = { 0, 1, 16, 17, 32, 33, 64, 65, 1000000, INT64_C(1) << 60, -5 };
    static const uint32_t buckets[] = { 0, 0, 0, 1, 1, 2, 2, 3, 16, HISTOGRAM_BUCKET_COUNT, 0 };
    for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
        struct metrics metrics;
        metrics_init(&metrics);
        metrics_observe_commit(&metrics, us[i] > INT64_MAX / 1000 ? INT64_MAX : us[i] * 1000, 7);
        uint32_t expected = us[i] > INT64_MAX / 1000 ? HISTOGRAM_BUCKET_COUNT : buckets[i];
        test_note("%lld us", (long long)us[i]);
        CHECK_EQ_UINT(metrics.commit.counts[expected], 1);
        CHECK_EQ_UINT(metrics.commit_bytes, 7);
    }
}
