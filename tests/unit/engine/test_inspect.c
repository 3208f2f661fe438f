/* What anybody may know: one lock, lists, history, the window. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/random.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

TEST(inspect_of_what_is_not_there)
{
    struct harness *harness = harness_open();
    struct engine_lock_view view;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    CHECK(!engine_inspect(harness->engine, BYTES_LITERAL("b"), harness->now, &view));
    CHECK_EQ_BYTES(view.name, BYTES_LITERAL("b"));
    CHECK_EQ_UINT(view.seq.value, 1); /* of the engine: it is the last that could have made it */
    CHECK_EQ_UINT(view.hold_count, 0);
    (void)harness_release(harness, "a", "A", token);
    (void)harness_hold(harness, ASK(.name = "c", .owner = "A"));
    CHECK(!engine_inspect(harness->engine, BYTES_LITERAL("a"), harness->now, &view));
    CHECK_EQ_UINT(view.seq.value, 2); /* its own last change */
    struct engine_hold_view hold;
    CHECK(!engine_inspect_hold(harness->engine, BYTES_LITERAL("a"), harness->now, 0, &hold));
    CHECK(!engine_inspect_hold(harness->engine, BYTES_LITERAL("zzz"), harness->now, 0, &hold));
    struct engine_waiter_view waiter;
    CHECK_EQ_UINT(
        engine_inspect_waiters(harness->engine, BYTES_LITERAL("zzz"), harness->now, &waiter, 1), 0);
    harness_close(&harness);
}

TEST(inspect_tells_the_time_of_asking)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 700, .meta = "b"));
    harness_pass(harness, 500);
    struct engine_hold_view hold;
    CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("a"), harness->now, 0, &hold));
    CHECK_EQ_INT(hold.remaining_ms, HARNESS_TTL_MS - 500);
    struct engine_waiter_view waiters[2];
    CHECK_EQ_UINT(
        engine_inspect_waiters(harness->engine, BYTES_LITERAL("a"), harness->now, waiters, 2), 1);
    CHECK_EQ_INT(waiters[0].waited_ms, 500);
    CHECK_EQ_INT(waiters[0].remaining_ms, 200);
    CHECK_EQ_BYTES(waiters[0].meta, BYTES_LITERAL("b"));
    CHECK_EQ_UINT(waiters[0].name_count, 1);
    harness_pass(harness, 100000);
    CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("a"), harness->now, 0, &hold));
    CHECK_EQ_INT(hold.remaining_ms, 0);
    (void)engine_inspect_waiters(harness->engine, BYTES_LITERAL("a"), harness->now, waiters, 2);
    CHECK_EQ_INT(waiters[0].remaining_ms, 0);
    harness_close(&harness);
}

TEST(inspect_waiters_shows_the_first)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "a", .owner = "A"));
    char owner[16];
    for (unsigned index = 0; index < 50; index++) {
        (void)snprintf(owner, sizeof owner, "w%02u", index);
        (void)harness_wait(
            harness,
            ASK(.name = "a", .owner = owner, .wait_ms = 60000, .priority = (index * 7) % 10));
    }
    struct engine_waiter_view views[60];
    CHECK_EQ_UINT(
        engine_inspect_waiters(harness->engine, BYTES_LITERAL("a"), harness->now, views, 60), 50);
    for (uint32_t index = 1; index < 50; index++) {
        CHECK_LE_UINT(views[index].priority, views[index - 1].priority);
        if (views[index].priority != views[index - 1].priority) continue;
        CHECK(bytes_compare(views[index - 1].owner, views[index].owner) < 0);
    }
    struct engine_waiter_view few[3];
    CHECK_EQ_UINT(
        engine_inspect_waiters(harness->engine, BYTES_LITERAL("a"), harness->now, few, 3), 3);
    CHECK_EQ_BYTES(few[2].owner, views[2].owner);
    CHECK_EQ_UINT(
        engine_inspect_waiters(harness->engine, BYTES_LITERAL("a"), harness->now, few, 0), 0);
    harness_close(&harness);
}

/* -------------------------------------------------------------------- lists */

#define LOCK_COUNT 3000

/* What the list must show, by number: a model of who holds and waits where. */
struct model {
    bool is_held[LOCK_COUNT];
    bool is_waited[LOCK_COUNT];
    uint8_t owner[LOCK_COUNT];
};

static const char *const owners[] = { "ann", "bob", "cy" };
static const char *const areas[] = { "db", "db/x", "deploy", "d" };

static const char *name_of(unsigned number, char room[32])
{
    (void)snprintf(room, 32, "%s/%04u", areas[number % 4], number);
    return room;
}

static struct harness *fill(struct model *model)
{
    struct harness *harness = harness_open();
    struct test_random random = { 4 };
    harness->check_every = 500;
    for (unsigned number = 0; number < LOCK_COUNT; number++) {
        char room[32];
        const char *name = name_of(number, room);
        uint64_t what = test_random_below(&random, 4);
        model->owner[number] = (uint8_t)test_random_below(&random, 3);
        model->is_held[number] = what > 0;
        model->is_waited[number] = what == 3;
        const char *owner = owners[model->owner[number]];
        uint64_t token =
            harness_hold(harness, ASK(.name = name, .owner = owner, .ttl_ms = 86400000));
        if (what == 0) (void)harness_release(harness, name, owner, token);
        if (what == 3) {
            (void)harness_wait(harness, ASK(.name = name, .owner = "waiting", .wait_ms = 3600000));
        }
    }
    return harness;
}

static bool
is_wanted(const struct model *model, unsigned number, const struct engine_list_query *query)
{
    char room[32];
    struct bytes name = bytes_from_text(name_of(number, room));
    if (!model->is_held[number] || !bytes_start_with(name, query->prefix)) return false;
    if (query->state == ENGINE_STATE_WAITED && !model->is_waited[number]) return false;
    if (query->owner.size == 0) return true;
    if (bytes_equal(query->owner, BYTES_LITERAL("waiting"))) return model->is_waited[number];
    return bytes_equal(query->owner, bytes_from_text(owners[model->owner[number]]));
}

static void
check_list(const struct harness *harness, const struct model *model, struct engine_list_query query)
{
    static struct engine_lock_view views[LIMIT_LIST_COUNT_MAX];
    char cursor[256];
    uint32_t shown_count = 0;
    char last[256] = "";
    for (;;) {
        struct bytes next;
        uint32_t count = engine_list(harness->engine, &query, harness->now, views, &next);
        CHECK_LE_UINT(count, query.count_max);
        for (uint32_t index = 0; index < count; index++) {
            struct bytes name = views[index].name;
            CHECK(bytes_compare(bytes_from_text(last), name) < 0);
            memcpy(last, name.data, name.size);
            last[name.size] = '\0';
            unsigned number = (unsigned)atoi(strrchr(last, '/') + 1);
            CHECK(is_wanted(model, number, &query));
            CHECK_EQ_UINT(views[index].hold_count, 1);
            CHECK_EQ_UINT(views[index].waiter_count, model->is_waited[number]);
        }
        shown_count += count;
        if (next.size == 0) break;
        memcpy(cursor, next.data, next.size);
        query.after = (struct bytes){ cursor, next.size };
    }
    uint32_t wanted_count = 0;
    for (unsigned number = 0; number < LOCK_COUNT; number++) {
        wanted_count += is_wanted(model, number, &query);
    }
    CHECK_EQ_UINT(shown_count, wanted_count);
}

TEST(list_pages_through_thousands_of_names)
{
    static struct model model;
    static const char *const prefixes[] = { "", "d", "db", "db/", "db/x/0", "deploy/2", "zzz" };
    static const char *const whose[] = { "", "ann", "waiting", "nobody" };
    struct harness *harness = fill(&model);
    for (size_t prefix = 0; prefix < 7; prefix++) {
        for (size_t owner = 0; owner < 4; owner++) {
            for (unsigned state = ENGINE_STATE_ANY; state <= ENGINE_STATE_WAITED; state++) {
                uint32_t count_max = prefix == 0 ? 37 : owner == 0 ? 1000 : 1;
                test_note("%s %s %u", prefixes[prefix], whose[owner], state);
                check_list(
                    harness,
                    &model,
                    (struct engine_list_query){
                        .prefix = bytes_from_text(prefixes[prefix]),
                        .owner = bytes_from_text(whose[owner]),
                        .state = (enum engine_state_filter)state,
                        .count_max = count_max,
                    });
            }
        }
    }
    harness_close(&harness);
}

/* The cursor is a name, not a place: it may be gone, or before or behind the prefix. */
TEST(list_goes_on_where_the_cursor_was)
{
    struct harness *harness = harness_open();
    static const char *const names[] = { "a", "b/1", "b/2", "b/3", "c" };
    uint64_t tokens[5];
    for (unsigned index = 0; index < 5; index++) {
        tokens[index] = harness_hold(harness, ASK(.name = names[index], .owner = "A"));
    }
    struct engine_list_query query = { .prefix = BYTES_LITERAL("b/"), .count_max = 1 };
    struct engine_lock_view views[5];
    struct bytes next;
    CHECK_EQ_UINT(engine_list(harness->engine, &query, harness->now, views, &next), 1);
    CHECK_EQ_BYTES(next, BYTES_LITERAL("b/1"));
    (void)harness_release(harness, "b/1", "A", tokens[1]);
    (void)harness_release(harness, "b/2", "A", tokens[2]);
    query.after = BYTES_LITERAL("b/1");
    query.count_max = 5;
    CHECK_EQ_UINT(engine_list(harness->engine, &query, harness->now, views, &next), 1);
    CHECK_EQ_BYTES(views[0].name, BYTES_LITERAL("b/3"));
    CHECK_EQ_UINT(next.size, 0);
    query.after = BYTES_LITERAL("a");
    CHECK_EQ_UINT(engine_list(harness->engine, &query, harness->now, views, &next), 1);
    query.after = BYTES_LITERAL("c");
    CHECK_EQ_UINT(engine_list(harness->engine, &query, harness->now, views, &next), 0);
    CHECK_EQ_UINT(next.size, 0);
    query = (struct engine_list_query){ .after = BYTES_LITERAL("b/3"), .count_max = 5 };
    CHECK_EQ_UINT(engine_list(harness->engine, &query, harness->now, views, &next), 1);
    CHECK_EQ_BYTES(views[0].name, BYTES_LITERAL("c"));
    harness_close(&harness);
}

TEST(list_shows_what_is_delayed_too)
{
    struct harness *harness = harness_open();
    (void)harness_hold(
        harness, ASK(.name = "a", .owner = "A", .ttl_ms = 100, .lock_delay_ms = 5000));
    harness_advance(harness, 100);
    struct engine_list_query query = { .count_max = 5 };
    struct engine_lock_view views[5];
    struct bytes next;
    CHECK_EQ_UINT(engine_list(harness->engine, &query, harness->now, views, &next), 1);
    CHECK_EQ_INT(views[0].delay_ms, 5000);
    query.state = ENGINE_STATE_HELD;
    CHECK_EQ_UINT(engine_list(harness->engine, &query, harness->now, views, &next), 0);
    harness_close(&harness);
}

/* ------------------------------------------------------------------ history */

TEST(history_of_a_name_newest_first)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .meta = "m"));
    (void)harness_hold(harness, ASK(.name = "b", .owner = "A"));
    (void)harness_proclaim(harness, "a", "A", token, "n");
    (void)harness_renew(harness, "a", "A", token, 3000);
    (void)harness_break(harness, "a", token, "why", 1000);
    harness_advance(harness, 1000);
    struct record records[10];
    uint32_t count = engine_history(harness->engine, BYTES_LITERAL("a"), records, 10);
    CHECK_EQ_UINT(count, 5);
    static const enum record_kind kinds[] = {
        RECORD_BROKEN, RECORD_BREAKING, RECORD_RENEWED, RECORD_PROCLAIMED, RECORD_GRANTED
    };
    static const uint64_t seqs[] = { 6, 5, 4, 3, 1 };
    for (unsigned index = 0; index < 5; index++) {
        CHECK_EQ_INT(records[index].kind, kinds[index]);
        CHECK_EQ_UINT(records[index].seq.value, seqs[index]);
        CHECK_EQ_BYTES(records[index].name, BYTES_LITERAL("a"));
    }
    CHECK_EQ_BYTES(records[4].meta, BYTES_LITERAL("m"));
    CHECK_EQ_UINT(engine_history(harness->engine, BYTES_LITERAL("a"), records, 2), 2);
    CHECK_EQ_UINT(records[1].seq.value, 5);
    CHECK_EQ_UINT(engine_history(harness->engine, BYTES_LITERAL("zzz"), records, 2), 0);
    harness_restart(harness);
    CHECK_EQ_UINT(engine_history(harness->engine, BYTES_LITERAL("a"), records, 10), 5);
    CHECK_EQ_UINT(records[4].seq.value, 1);
    harness_close(&harness);
}

/* The window forgets events, and then names; what it still has is all there, in one chain a name.
 */
TEST(window_eviction_forgets_locks)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    harness->check_every = 20;
    struct test_random random = { 12 };
    for (unsigned round = 0; round < 3000; round++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", (unsigned)test_random_below(&random, 40));
        if (round % 4 == 0) (void)snprintf(name, sizeof name, "once%u", round);
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.name = name, .owner = "A"));
        uint64_t token = reply->results[0].hold.token.value;
        if (test_random_below(&random, 3) > 0) (void)harness_release(harness, name, "A", token);
        harness_advance(harness, 200);
    }
    harness_advance(harness, HARNESS_TTL_MS);
    struct engine_counters counters = engine_counters(harness->engine);
    CHECK_EQ_UINT(counters.hold_count, 0);
    CHECK_LE_UINT(counters.window_size, ENGINE_WINDOW_SIZE_MIN);
    CHECK_LE_UINT(counters.lock_count, counters.window_count);
    CHECK_LT_UINT(100, counters.window_count);

    uint64_t first = engine_window_first(harness->engine).value;
    uint64_t last = engine_window_last(harness->engine).value;
    CHECK_EQ_UINT(last, engine_seq(harness->engine).value);
    CHECK_EQ_UINT(last + 1 - first, counters.window_count);
    struct record record;
    CHECK(!engine_window_read(harness->engine, (struct seq){ first - 1 }, &record));
    CHECK(!engine_window_read(harness->engine, (struct seq){ last + 1 }, &record));
    uint32_t chained_count = 0;
    for (uint64_t seq = first; seq <= last; seq++) {
        CHECK(engine_window_read(harness->engine, (struct seq){ seq }, &record));
        CHECK_EQ_UINT(record.seq.value, seq);
        struct record kept = harness_record(harness, seq);
        CHECK_EQ_INT(record.kind, kept.kind);
        CHECK_EQ_UINT(record.token.value, kept.token.value);
        static struct record chain[5000];
        uint32_t count = engine_history(harness->engine, record.name, chain, 5000);
        CHECK_LT_UINT(0, count);
        chained_count += chain[0].seq.value == seq ? count : 0;
    }
    CHECK_EQ_UINT(chained_count, counters.window_count);
    harness_close(&harness);
}

TEST(counters_tell_what_happened)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_acquire(harness, ASK(.name = "a", .owner = "B"));
    (void)harness_wait(harness, ASK(.name = "a", .owner = "C", .wait_ms = 10));
    (void)harness_wait(harness, ASK(.name = "a", .owner = "D", .wait_ms = 50, .client = 9));
    (void)harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP);
    harness_advance(harness, 10);
    harness_gone(harness, 9);
    (void)harness_acquire(harness, ASK(.name = "\n", .owner = "B"));
    struct engine_counters counters = engine_counters(harness->engine);
    CHECK_EQ_UINT(counters.granted, 1);
    CHECK_EQ_UINT(counters.refused_held, 1);
    CHECK_EQ_UINT(counters.refused_timeout, 1);
    CHECK_EQ_UINT(counters.refused_other, 1);
    CHECK_EQ_UINT(counters.canceled, 1);
    CHECK_EQ_UINT(counters.renewed, 1);
    CHECK_EQ_UINT(counters.lock_count, 1);
    CHECK_EQ_UINT(counters.hold_count, 1);
    CHECK_EQ_UINT(counters.waiter_count, 0);
    CHECK_EQ_UINT(counters.window_count, 1);
    CHECK_EQ_UINT(counters.records[RECORD_GRANTED], 1);
    CHECK_EQ_UINT(counters.hold_times.sum_us, 0);

    (void)harness_release(harness, "a", "A", token);
    counters = engine_counters(harness->engine);
    CHECK_EQ_UINT(counters.records[RECORD_RELEASED], 1);
    CHECK_EQ_UINT(counters.hold_times.sum_us, 10000);
    harness_close(&harness);
}

/* One lock may have a great many holders: to see them all must not take the square of that. */
TEST_WITHIN(20, walk_over_the_holds_of_a_crowd)
{
    struct harness *harness = harness_open();
    harness->check_every = 1 << 20;
    struct engine_hold_view view;
    const struct hold *cursor = NULL;
    struct bytes name = BYTES_LITERAL("a");
    CHECK(!engine_next_hold(harness->engine, name, harness->now, &cursor, &view));
    enum { READER_COUNT = 40000 };
    for (uint32_t index = 0; index < READER_COUNT; index++) {
        char owner[16];
        (void)snprintf(owner, sizeof owner, "%u", index);
        (void)harness_hold(harness, ASK(.name = "a", .owner = owner, .mode = ENGINE_SHARED));
    }
    struct engine_hold_view indexed;
    uint32_t count = 0;
    while (engine_next_hold(harness->engine, name, harness->now, &cursor, &view)) {
        if (count < 10) {
            CHECK(engine_inspect_hold(harness->engine, name, harness->now, count, &indexed));
            CHECK_EQ_UINT(indexed.token.value, view.token.value);
        }
        count++;
    }
    CHECK_EQ_UINT(count, READER_COUNT);
    harness_close(&harness);
}
