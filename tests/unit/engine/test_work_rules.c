/* Queues: rules that only show over time, with many, or between connections.  Every test is
 * replayed from its records (harness_close). */
#include "engine/queues.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

#define QUEUE BYTES_LITERAL("jobs")

static struct engine_put item(const char *id)
{
    return (struct engine_put){ .queue = QUEUE,
                                .id = bytes_from_text(id),
                                .body = BYTES_LITERAL("body"),
                                .terms = { .lease_ms = 1000, .retention_ms = 60000 } };
}

static void put(struct harness *harness, struct engine_put wish)
{
    struct engine_command command = { .kind = ENGINE_PUT, .as.put = { &wish, 1 } };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
}

/* The token; `client` 0: not bound to it. */
static uint64_t take(struct harness *harness, uint64_t client)
{
    struct bytes queues[1] = { QUEUE };
    struct engine_command command = { .kind = ENGINE_TAKE, .client = client };
    command.as.take = (struct engine_take){ .queues = queues,
                                            .queue_count = 1,
                                            .worker = BYTES_LITERAL("ann"),
                                            .count_max = 1,
                                            .is_bound = client > 0,
                                            .grace_ms = 100 };
    const struct engine_reply *reply = harness_command(harness, &command);
    CHECK_EQ_INT(reply->item_count, 1);
    return reply->items[0].item.token.value;
}

static struct engine_work_claim claim_of(const char *id, uint64_t token)
{
    return (struct engine_work_claim){
        .queue = QUEUE, .id = bytes_from_text(id), .token = { token }, .lease_ms = ENGINE_TTL_KEEP
    };
}

static const struct engine_item_result *
end(struct harness *harness, enum engine_command_kind kind, const char *id, uint64_t token)
{
    struct engine_command command = { .kind = kind };
    command.as.end_work.claim = claim_of(id, token);
    const struct engine_reply *reply = harness_command(harness, &command);
    CHECK_EQ_INT(reply->item_count, 1);
    return &reply->items[0];
}

static void check_state(struct harness *harness, const char *id, enum item_state state)
{
    struct engine_item_view view = { .state = ITEM_STATE_COUNT };
    (void)engine_item(harness->engine, QUEUE, bytes_from_text(id), &view);
    const char *is = view.id.size == 0 ? "forgotten" : item_state_word(view.state);
    CHECK_EQ_TEXT(is, state == ITEM_STATE_COUNT ? "forgotten" : item_state_word(state));
}

/* --------------------------------------------------------------------- expiry */

TEST(work_that_was_taken_in_time_does_not_expire)
{
    struct harness *harness = harness_open();
    int64_t expires_at_us = harness->wall.us + 2000000;
    const char *const ids[] = { "failed", "lapsed", "dead" };
    uint64_t tokens[3];
    for (size_t at = 0; at < 3; at++) {
        struct engine_put wish = item(ids[at]);
        wish.terms.expires_at_us = expires_at_us;
        wish.terms.attempts_max = at == 2 ? 1 : 0;
        put(harness, wish);
        tokens[at] = take(harness, 0);
    }
    struct engine_put late = item("late");
    late.terms.expires_at_us = expires_at_us;
    put(harness, late);
    CHECK_EQ_INT(end(harness, ENGINE_FAIL, "dead", tokens[2])->err, TENURE_OK);
    CHECK_EQ_INT(end(harness, ENGINE_FAIL, "failed", tokens[0])->err, TENURE_OK);
    harness_restart(harness);
    harness_advance(harness, 3000);
    check_state(harness, "late", ITEM_CANCELLED);
    check_state(harness, "failed", ITEM_READY);
    check_state(harness, "lapsed", ITEM_READY);
    struct engine_command command = { .kind = ENGINE_KICK };
    command.as.item = (struct engine_item_name){ QUEUE, BYTES_LITERAL("dead"), { 0 } };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
    harness_advance(harness, 10000);
    check_state(harness, "dead", ITEM_READY);
    harness_close(&harness);
}

/* ----------------------------------------------------------------------- late */

TEST(work_that_ran_too_long_is_lost_to_who_fails_late)
{
    struct harness *harness = harness_open();
    struct engine_put wish = item("a");
    wish.terms.lease_ms = 10000;
    wish.terms.timeout_ms = 500;
    wish.terms.backoff_ms = 1000;
    put(harness, wish);
    uint64_t token = take(harness, 0);
    harness_advance(harness, 500);
    check_state(harness, "a", ITEM_DELAYED);
    static const enum engine_command_kind kinds[] = { ENGINE_FAIL, ENGINE_BURY, ENGINE_DONE };
    for (size_t at = 0; at < 3; at++) {
        const struct engine_item_result *result = end(harness, kinds[at], "a", token);
        CHECK_EQ_INT(result->err, TENURE_LOST);
        CHECK(!result->is_repeat);
    }
    harness_restart(harness);
    CHECK_EQ_INT(end(harness, ENGINE_FAIL, "a", token)->err, TENURE_LOST);

    /* What the worker itself has said it may say again. */
    harness_advance(harness, 1000);
    token = take(harness, 0);
    CHECK(!end(harness, ENGINE_FAIL, "a", token)->is_repeat);
    harness_restart(harness);
    CHECK(end(harness, ENGINE_FAIL, "a", token)->is_repeat);
    harness_close(&harness);
}

/* --------------------------------------------------------------------- awaits */

static void await(struct harness *harness, const char *id, uint64_t client, uint64_t tag)
{
    struct engine_command command = { .kind = ENGINE_AWAIT, .client = client, .tag = tag };
    command.as.await_end = (struct engine_await){ QUEUE, bytes_from_text(id), 60000 };
    CHECK(harness_command(harness, &command) == NULL);
}

TEST(work_that_is_purged_is_not_there_for_who_awaits_it)
{
    struct harness *harness = harness_open();
    put(harness, item("a"));
    put(harness, item("b"));
    for (uint64_t tag = 101; tag <= 103; tag++) {
        await(harness, "a", 7, tag);
    }
    await(harness, "b", 7, 104);
    struct engine_command command = { .kind = ENGINE_CANCEL_ITEM };
    command.as.item = (struct engine_item_name){ QUEUE, BYTES_LITERAL("b"), { 0 } };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
    command = (struct engine_command){ .kind = ENGINE_PURGE };
    command.as.sweep =
        (struct engine_sweep){ .queue = QUEUE, .state = ITEM_READY, .count_max = 10 };
    CHECK_EQ_UINT(harness_command(harness, &command)->swept_count, 1);
    for (uint64_t tag = 101; tag <= 103; tag++) {
        const struct engine_reply *reply = harness_answer(harness, tag);
        CHECK(reply != NULL);
        CHECK_EQ_INT(reply->err, TENURE_NOT_FOUND);
        CHECK_EQ_UINT(reply->item_count, 0);
    }
    CHECK_EQ_INT(harness_answer(harness, 104)->err, TENURE_OK);
    harness_close(&harness);
}

/* ---------------------------------------------------------------- connections */

static void extend(struct harness *harness, uint64_t token, uint64_t client, bool is_binding)
{
    struct engine_work_claim claim = claim_of("a", token);
    struct engine_command command = { .kind = ENGINE_EXTEND,
                                      .client = client,
                                      .as.extend = { &claim, 1, is_binding } };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
}

TEST(work_stays_bound_to_its_connection_unless_another_binds_it)
{
    struct harness *harness = harness_open();
    put(harness, item("a"));
    /* Who does not bind comes and goes. */
    uint64_t token = take(harness, 5);
    extend(harness, token, 6, false);
    harness_gone(harness, 6);
    harness_advance(harness, 500);
    check_state(harness, "a", ITEM_TAKEN);
    harness_gone(harness, 5);
    harness_advance(harness, 100);
    check_state(harness, "a", ITEM_READY);
    /* Who binds has it from then on. */
    token = take(harness, 5);
    extend(harness, token, 6, true);
    harness_gone(harness, 5);
    harness_advance(harness, 500);
    check_state(harness, "a", ITEM_TAKEN);
    harness_gone(harness, 6);
    harness_advance(harness, 100);
    check_state(harness, "a", ITEM_READY);
    /* Extended in its grace by one who does not bind, it is a lease like others. */
    token = take(harness, 5);
    harness_gone(harness, 5);
    extend(harness, token, 6, false);
    harness_gone(harness, 6);
    harness_advance(harness, 999);
    check_state(harness, "a", ITEM_TAKEN);
    harness_advance(harness, 1);
    check_state(harness, "a", ITEM_READY);
    harness_close(&harness);
}

/* --------------------------------------------------------------------- sweeps */

static struct harness *open_with_dead(uint32_t look_count_max, const char *const *groups)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .look_count_max = look_count_max });
    for (size_t at = 0; groups[at] != NULL; at++) {
        char id[3] = { 'i', (char)('0' + at), '\0' };
        struct engine_put wish = item(id);
        wish.group = bytes_from_text(groups[at]);
        put(harness, wish);
        CHECK_EQ_INT(end(harness, ENGINE_BURY, id, take(harness, 0))->err, TENURE_OK);
    }
    return harness;
}

static const struct engine_reply *
redrive(struct harness *harness, const char *group, struct engine_sweep_cursor cursor)
{
    struct engine_command command = { .kind = ENGINE_REDRIVE };
    command.as.sweep = (struct engine_sweep){ .queue = QUEUE,
                                              .has_group = true,
                                              .group = bytes_from_text(group),
                                              .count_max = 2,
                                              .interval_ms = 1000,
                                              .cursor = cursor };
    const struct engine_reply *reply = harness_command(harness, &command);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    return reply;
}

TEST(work_is_swept_in_steps_however_little_matches)
{
    static const char *const groups[] = { "a", "a", "a", "b", "a", "a", "b", "b", NULL };
    struct harness *harness = open_with_dead(3, groups);
    const struct engine_reply *reply =
        redrive(harness, "b", (struct engine_sweep_cursor){ .until = 0 });
    CHECK_EQ_UINT(reply->swept_count, 0);
    CHECK(!reply->is_swept);
    /* What dies while it goes on is not its business. */
    struct engine_put wish = item("new");
    wish.group = BYTES_LITERAL("b");
    put(harness, wish);
    CHECK_EQ_INT(end(harness, ENGINE_BURY, "new", take(harness, 0))->err, TENURE_OK);
    uint32_t count = 0;
    uint32_t steps = 1;
    for (; !reply->is_swept; steps++) {
        CHECK(steps < 9);
        CHECK(reply->swept_to.after.entered > 0);
        reply = redrive(harness, "b", reply->swept_to);
        count += reply->swept_count;
    }
    CHECK_EQ_UINT(count, 3);
    CHECK_EQ_UINT(steps, 3);
    check_state(harness, "new", ITEM_DEAD);
    check_state(harness, "i0", ITEM_DEAD);
    /* One by one, over all steps. */
    struct engine_item_view view;
    check_state(harness, "i3", ITEM_READY);
    CHECK(engine_item(harness->engine, QUEUE, BYTES_LITERAL("i6"), &view));
    CHECK_EQ_INT(view.run_at.us, harness->wall.us + 1000000);
    CHECK(engine_item(harness->engine, QUEUE, BYTES_LITERAL("i7"), &view));
    CHECK_EQ_INT(view.run_at.us, harness->wall.us + 2000000);
    harness_close(&harness);
}

TEST(work_is_swept_on_when_the_cursor_is_gone_or_forged)
{
    static const char *const groups[] = { "a", "b", "a", "b", NULL };
    struct harness *harness = open_with_dead(2, groups);
    struct engine_sweep_cursor cursor = { .after = { 1, BYTES_LITERAL("nobody") },
                                          .until = UINT64_MAX,
                                          .count = UINT64_MAX };
    const struct engine_reply *reply = redrive(harness, "b", cursor);
    CHECK_EQ_UINT(reply->swept_count, 1);
    struct engine_item_view view;
    CHECK(engine_item(harness->engine, QUEUE, BYTES_LITERAL("i1"), &view));
    CHECK_EQ_INT(view.run_at.us, LIMIT_RUN_AT_US_MAX);
    harness_close(&harness);
}

/* --------------------------------------------------------------------- limits */

static void limit(struct harness *harness, uint32_t running_max)
{
    struct engine_command command = { .kind = ENGINE_LIMIT };
    command.as.scope =
        (struct engine_scope){ .queue = QUEUE, .is_whole = true, .limits = GROUP_LIMITS_NONE };
    command.as.scope.limits.running_max = running_max;
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
}

static bool can_take(struct harness *harness)
{
    struct bytes queues[1] = { QUEUE };
    struct engine_command command = { .kind = ENGINE_TAKE };
    command.as.take = (struct engine_take){
        .queues = queues, .queue_count = 1, .worker = BYTES_LITERAL("ann"), .count_max = 1
    };
    const struct engine_reply *reply = harness_command(harness, &command);
    CHECK(reply->err == TENURE_OK || reply->err == TENURE_TIMEOUT);
    return reply->err == TENURE_OK;
}

TEST(work_limits_of_a_queue_hold_at_once_and_reach_all_groups_in_steps)
{
    struct harness *harness = harness_open_with(&(struct engine_options){ .look_count_max = 2 });
    for (uint32_t group = 0; group < 9; group++) {
        char name[2] = { (char)('a' + group), '\0' };
        for (uint32_t count = 0; count < 3; count++) {
            struct engine_put wish = item("");
            wish.group = bytes_from_text(name);
            put(harness, wish);
        }
    }
    for (uint32_t group = 0; group < 9; group++) {
        CHECK(can_take(harness));
    }
    /* Nothing more runs: groups that were not looked at yet are, before they give. */
    limit(harness, 1);
    for (uint32_t count = 0; count < 9; count++) {
        CHECK(!can_take(harness));
    }
    /* One step does not look at all of them; what is left is due at once. */
    limit(harness, 2);
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, harness->now.ns);
    limit(harness, 1);
    limit(harness, 2);
    harness_advance(harness, 0);
    CHECK(engine_deadline(harness->engine).ns > harness->now.ns);
    for (uint32_t count = 0; count < 9; count++) {
        CHECK(can_take(harness));
    }
    CHECK(!can_take(harness));
    harness_close(&harness);
}

/* ------------------------------------------------------------- one, and many */

#define CROWD 60000u

static void step(struct engine *engine, const struct engine_event *event)
{
    struct engine_update update;
    CHECK_EQ_INT(engine_step(engine, event, &update), TENURE_OK);
}

/* Invariants are not looked at after each step: that would be what takes the time. */
static struct engine *open_crowd(void)
{
    struct engine_options options = { .memory = &memory_heap,
                                      .hold_count_max = 10,
                                      .waiter_count_max = 2 * CROWD,
                                      .window_size = ENGINE_WINDOW_SIZE_MIN,
                                      .ageing_ms = 1000 };
    struct engine *engine = engine_create(&options);
    CHECK(engine != NULL);
    step(engine, &(struct engine_event){ .kind = ENGINE_READY });
    struct engine_put wish = item("a");
    struct engine_command command = { .kind = ENGINE_PUT, .client = 1, .as.put = { &wish, 1 } };
    step(engine, &(struct engine_event){ .kind = ENGINE_COMMAND, .command = &command });
    return engine;
}

static void ask_await(struct engine *engine, uint64_t client, uint64_t tag)
{
    struct engine_command command = { .kind = ENGINE_AWAIT, .client = client, .tag = tag };
    command.as.await_end = (struct engine_await){ QUEUE, BYTES_LITERAL("a"), 60000 };
    step(engine, &(struct engine_event){ .kind = ENGINE_COMMAND, .command = &command });
}

/* A walk past the others for each would be 1.8 thousand million steps. */
TEST_WITHIN(20, work_awaited_by_many_clients_is_left_one_by_one)
{
    struct engine *engine = open_crowd();
    for (uint64_t client = 1; client <= CROWD; client++) {
        ask_await(engine, client, 5);
    }
    CHECK_EQ_UINT(engine_work_counters(engine).taker_count, CROWD);
    for (uint64_t client = 1; client <= CROWD; client++) {
        step(engine, &(struct engine_event){ .kind = ENGINE_CLIENT_GONE, .client = client });
    }
    CHECK_EQ_UINT(engine_work_counters(engine).taker_count, 0);
    engine_check(engine);
    engine_destroy(&engine);
}

TEST_WITHIN(20, work_awaited_by_one_client_many_times_is_given_up_one_by_one)
{
    struct engine *engine = open_crowd();
    for (uint64_t tag = 1; tag <= CROWD; tag++) {
        ask_await(engine, 9, tag);
    }
    for (uint64_t tag = 1; tag <= CROWD; tag++) {
        struct engine_command command = { .kind = ENGINE_CANCEL, .client = 9, .tag = tag };
        step(engine, &(struct engine_event){ .kind = ENGINE_COMMAND, .command = &command });
    }
    CHECK_EQ_UINT(engine_work_counters(engine).taker_count, 0);
    engine_check(engine);
    engine_destroy(&engine);
}
