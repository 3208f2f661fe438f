/* Queues: each verb, each move of an item, each limit; and every allocation that fails. */
#include <stdio.h>

#include "engine/queues.h"
#include "lib/fault_memory.h"
#include "lib/random.h"
#include "lib/test.h"
#include "lib/touch_answers.h"

struct shop {
    struct fault_memory fault;
    struct engine *engine;
    int64_t now_ms;
    uint64_t tag, token;
    uint32_t seen; /* of answers; means nothing */
    struct engine_update update;
    bool is_durable; /* at once */
};

#define QUEUE BYTES_LITERAL("jobs")

static struct engine_options options(struct shop *shop)
{
    return (struct engine_options){ .memory = &shop->fault.memory,
                                    .hold_count_max = 10,
                                    .waiter_count_max = 10,
                                    .window_size = ENGINE_WINDOW_SIZE_MIN,
                                    .ageing_ms = 1000 };
}

static enum tenure_err step(struct shop *shop, struct engine_event event)
{
    event.now.ns = shop->now_ms * NS_PER_MS;
    event.wall.us = INT64_C(1700000000000000) + shop->now_ms * 1000;
    enum tenure_err err = engine_step(shop->engine, &event, &shop->update);
    engine_check(shop->engine);
    if (err == TENURE_OK) shop->seen += touch_answers(&shop->update);
    return err;
}

static const struct engine_reply *ask(struct shop *shop, struct engine_command command)
{
    if (command.client == 0) command.client = 1;
    command.tag = ++shop->tag;
    CHECK(
        step(shop, (struct engine_event){ .kind = ENGINE_COMMAND, .command = &command }) ==
        TENURE_OK);
    return shop->update.reply_count > 0 ? &shop->update.replies[0] : NULL;
}

static void make_durable(struct shop *shop)
{
    struct seq durable = engine_seq(shop->engine);
    CHECK(
        step(shop, (struct engine_event){ .kind = ENGINE_DURABLE, .durable = durable }) ==
        TENURE_OK);
}

static void open_shop(struct shop *shop)
{
    *shop = (struct shop){ .now_ms = 1000 };
    fault_memory_init(&shop->fault, 0);
    struct engine_options wanted = options(shop);
    shop->engine = engine_create(&wanted);
    CHECK(shop->engine != NULL);
    CHECK(step(shop, (struct engine_event){ .kind = ENGINE_READY }) == TENURE_OK);
}

static void close_shop(struct shop *shop)
{
    engine_destroy(&shop->engine);
    fault_memory_check_empty(&shop->fault);
}

static void pass(struct shop *shop, int64_t ms)
{
    shop->now_ms += ms;
    CHECK(step(shop, (struct engine_event){ .kind = ENGINE_TIMER }) == TENURE_OK);
}

static struct engine_put item(const char *id)
{
    return (struct engine_put){ .queue = QUEUE,
                                .id = bytes_from_text(id),
                                .body = BYTES_LITERAL("body"),
                                .terms = { .lease_ms = 1000, .retention_ms = 5000 } };
}

static enum tenure_err put(struct shop *shop, struct engine_put wish)
{
    return ask(shop, (struct engine_command){ .kind = ENGINE_PUT, .as.put = { &wish, 1 } })->err;
}

/* The id of what was taken; "" for nothing. */
static const char *take(struct shop *shop)
{
    static char id[64];
    struct bytes queues[1] = { QUEUE };
    struct engine_take wish = {
        .queues = queues, .queue_count = 1, .worker = BYTES_LITERAL("ann"), .count_max = 1
    };
    const struct engine_reply *reply =
        ask(shop, (struct engine_command){ .kind = ENGINE_TAKE, .as.take = wish });
    id[0] = 0;
    if (reply->item_count == 0) {
        CHECK_EQ_INT(reply->err, TENURE_TIMEOUT);
        return id;
    }
    const struct engine_item_view *view = &reply->items[0].item;
    CHECK(view->token.value > shop->token);
    CHECK_EQ_BYTES(view->body, BYTES_LITERAL("body"));
    shop->token = view->token.value;
    snprintf(id, sizeof id, "%.*s", (int)view->id.size, view->id.data);
    make_durable(shop);
    return id;
}

static const struct engine_item_result *
end(struct shop *shop, enum engine_command_kind kind, const char *id, uint64_t token)
{
    struct engine_command command = { .kind = kind };
    command.as.end_work.claim =
        (struct engine_work_claim){ .queue = QUEUE, .id = bytes_from_text(id), .token = { token } };
    if (kind == ENGINE_DONE) command.as.end_work.result = BYTES_LITERAL("result");
    if (kind != ENGINE_DONE) command.as.end_work.reason = BYTES_LITERAL("reason");
    const struct engine_reply *reply = ask(shop, command);
    CHECK_EQ_INT(reply->item_count, 1);
    return &reply->items[0];
}

static enum item_state state_of(struct shop *shop, const char *id)
{
    struct engine_item_view view;
    if (!engine_item(shop->engine, QUEUE, bytes_from_text(id), &view)) return ITEM_STATE_COUNT;
    return view.state;
}

static enum tenure_err name_item(struct shop *shop, enum engine_command_kind kind, const char *id)
{
    struct engine_command command = { .kind = kind };
    command.as.item = (struct engine_item_name){ QUEUE, bytes_from_text(id), { 0 } };
    return ask(shop, command)->err;
}

/* ----------------------------------------------------------------------- tests */

TEST(work_goes_from_put_to_done)
{
    struct shop shop;
    open_shop(&shop);
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_READY);
    CHECK_EQ_TEXT(take(&shop), "a");
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_TAKEN);
    CHECK_EQ_TEXT(take(&shop), "");
    const struct engine_item_result *result = end(&shop, ENGINE_DONE, "a", shop.token);
    CHECK_EQ_INT(result->err, TENURE_OK);
    CHECK_EQ_BYTES(result->item.note, BYTES_LITERAL("result"));
    CHECK(!result->is_repeat);
    CHECK(end(&shop, ENGINE_DONE, "a", shop.token)->is_repeat);
    pass(&shop, 5000);
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_STATE_COUNT);
    /* It is forgotten; the window of events still knows. */
    result = end(&shop, ENGINE_DONE, "a", shop.token);
    CHECK(result->is_repeat);
    CHECK_EQ_BYTES(result->item.id, BYTES_LITERAL("a"));
    CHECK_EQ_INT(result->item.state, ITEM_DONE);
    close_shop(&shop);
}

TEST(work_put_twice_is_there_once)
{
    struct shop shop;
    open_shop(&shop);
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    CHECK(shop.update.replies[0].items[0].is_repeat);
    CHECK_EQ_UINT(shop.update.record_count, 0);
    CHECK_EQ_UINT(engine_work_counters(shop.engine).item_count, 1);
    close_shop(&shop);
}

TEST(work_without_an_id_gets_one)
{
    struct shop shop;
    open_shop(&shop);
    CHECK_EQ_INT(put(&shop, item("")), TENURE_OK);
    CHECK_EQ_BYTES(shop.update.replies[0].items[0].item.id, BYTES_LITERAL("_1"));
    CHECK_EQ_INT(put(&shop, item("_7")), TENURE_INVALID);
    close_shop(&shop);
}

TEST(work_of_a_lost_worker_is_fenced)
{
    struct shop shop;
    open_shop(&shop);
    struct engine_put wish = item("a");
    wish.terms.lapses_max = 2;
    CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    CHECK_EQ_TEXT(take(&shop), "a");
    uint64_t lost = shop.token;
    pass(&shop, 1000);
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_READY);
    CHECK_EQ_TEXT(take(&shop), "a");
    CHECK_EQ_INT(end(&shop, ENGINE_DONE, "a", lost)->err, TENURE_LOST);
    CHECK_EQ_INT(end(&shop, ENGINE_FAIL, "a", lost)->err, TENURE_LOST);
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_TAKEN);
    pass(&shop, 1000);
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_DEAD);
    CHECK_EQ_INT(name_item(&shop, ENGINE_KICK, "a"), TENURE_OK);
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_READY);
    close_shop(&shop);
}

TEST(work_that_fails_waits_longer_each_time)
{
    struct shop shop;
    open_shop(&shop);
    struct engine_put wish = item("a");
    wish.terms.attempts_max = 3;
    wish.terms.backoff = ITEM_BACKOFF_EXPONENTIAL;
    wish.terms.backoff_ms = 100;
    CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    for (int64_t delay_ms = 100; delay_ms <= 200; delay_ms *= 2) {
        CHECK_EQ_TEXT(take(&shop), "a");
        struct engine_command command = { .kind = ENGINE_FAIL };
        command.as.end_work = (struct engine_end_work){
            .claim = { .queue = QUEUE, .id = BYTES_LITERAL("a"), .token = { shop.token } },
            .delay_ms = ENGINE_DELAY_BACKOFF,
        };
        CHECK_EQ_INT(ask(&shop, command)->err, TENURE_OK);
        CHECK_EQ_INT(state_of(&shop, "a"), ITEM_DELAYED);
        pass(&shop, delay_ms - 1);
        CHECK_EQ_INT(state_of(&shop, "a"), ITEM_DELAYED);
        pass(&shop, 1);
        CHECK_EQ_INT(state_of(&shop, "a"), ITEM_READY);
    }
    CHECK_EQ_TEXT(take(&shop), "a");
    CHECK_EQ_INT(end(&shop, ENGINE_FAIL, "a", shop.token)->item.state, ITEM_DEAD);
    close_shop(&shop);
}

TEST(work_of_many_groups_takes_turns)
{
    struct shop shop;
    open_shop(&shop);
    static const char *const puts[] = { "a1", "a2", "a3", "b1", "c1", "c2" };
    for (size_t at = 0; at < 6; at++) {
        struct engine_put wish = item(puts[at]);
        wish.group = (struct bytes){ puts[at], 1 };
        CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    }
    static const char *const takes[] = { "a1", "b1", "c1", "a2", "c2", "a3", "" };
    for (size_t at = 0; at < 7; at++) {
        CHECK_EQ_TEXT(take(&shop), takes[at]);
    }
    close_shop(&shop);
}

TEST(work_that_is_cancelled_is_told_to_its_worker)
{
    struct shop shop;
    open_shop(&shop);
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    CHECK_EQ_TEXT(take(&shop), "a");
    CHECK_EQ_INT(name_item(&shop, ENGINE_CANCEL_ITEM, "a"), TENURE_OK);
    struct engine_work_claim claim = { .queue = QUEUE,
                                       .id = BYTES_LITERAL("a"),
                                       .token = { shop.token },
                                       .lease_ms = ENGINE_TTL_KEEP };
    struct engine_command command = { .kind = ENGINE_EXTEND, .as.extend = { &claim, 1, false } };
    CHECK(ask(&shop, command)->items[0].item.is_cancelling);
    CHECK_EQ_INT(end(&shop, ENGINE_FAIL, "a", shop.token)->item.state, ITEM_CANCELLED);
    CHECK_EQ_INT(put(&shop, item("b")), TENURE_OK);
    CHECK_EQ_INT(name_item(&shop, ENGINE_CANCEL_ITEM, "b"), TENURE_OK);
    CHECK_EQ_INT(state_of(&shop, "b"), ITEM_CANCELLED);
    close_shop(&shop);
}

TEST(work_reaches_who_waits_for_it)
{
    struct shop shop;
    open_shop(&shop);
    struct bytes queues[2] = { BYTES_LITERAL("other"), QUEUE };
    struct engine_take wish = { .queues = queues,
                                .queue_count = 2,
                                .worker = BYTES_LITERAL("bob"),
                                .count_max = 5,
                                .wait_ms = 1000 };
    struct engine_command command = { .kind = ENGINE_TAKE, .client = 9, .as.take = wish };
    CHECK(ask(&shop, command) == NULL);
    CHECK(shop.update.is_waiting);
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    CHECK_EQ_INT(shop.update.reply_count, 2);
    CHECK_EQ_UINT(shop.update.replies[1].client, 9);
    CHECK_EQ_BYTES(shop.update.replies[1].items[0].item.id, BYTES_LITERAL("a"));
    CHECK(ask(&shop, command) == NULL);
    pass(&shop, 1000);
    CHECK_EQ_INT(shop.update.replies[0].err, TENURE_TIMEOUT);
    CHECK(ask(&shop, command) == NULL);
    CHECK(
        step(&shop, (struct engine_event){ .kind = ENGINE_CLIENT_GONE, .client = 9 }) == TENURE_OK);
    CHECK_EQ_UINT(engine_work_counters(shop.engine).taker_count, 0);
    close_shop(&shop);
}

TEST(work_too_large_is_refused)
{
    struct shop shop;
    open_shop(&shop);
    static char large[LIMIT_BODY_SIZE_MAX + 1];
    struct engine_put wish = item("a");
    wish.body = (struct bytes){ large, sizeof large };
    CHECK_EQ_INT(put(&shop, wish), TENURE_TOO_LARGE);
    wish.body.size--;
    CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    /* The event tells the size only. */
    struct record record;
    CHECK(engine_window_read(shop.engine, (struct seq){ 1 }, &record));
    CHECK_EQ_UINT(record.body.size, LIMIT_BODY_SIZE_MAX);
    CHECK(record.body.data == NULL);
    close_shop(&shop);
}

/* How many items one take gives that wants many. */
static uint32_t take_many(struct shop *shop)
{
    struct bytes queues[1] = { QUEUE };
    struct engine_take wish = {
        .queues = queues, .queue_count = 1, .worker = BYTES_LITERAL("ann"), .count_max = 10
    };
    return ask(shop, (struct engine_command){ .kind = ENGINE_TAKE, .as.take = wish })->item_count;
}

TEST(work_taken_at_once_is_not_more_than_an_answer_holds)
{
    struct shop shop;
    open_shop(&shop);
    static char large[LIMIT_BODY_SIZE_MAX];
    const char *const ids[] = { "a", "b", "c", "d" };
    const size_t sizes[] = { LIMIT_TAKE_SIZE_MAX / 2, LIMIT_TAKE_SIZE_MAX / 2, 1, sizeof large };
    for (size_t index = 0; index < 4; index++) {
        struct engine_put wish = item(ids[index]);
        wish.body = (struct bytes){ large, sizes[index] };
        wish.headers = index == 3 ? BYTES_LITERAL("more") : BYTES_LITERAL("");
        CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    }
    CHECK_EQ_UINT(take_many(&shop), 2);
    CHECK_EQ_UINT(take_many(&shop), 1);
    CHECK_EQ_UINT(take_many(&shop), 1); /* too large for any answer but its own */
    close_shop(&shop);
}

TEST(work_is_listed_state_by_state)
{
    struct shop shop;
    open_shop(&shop);
    static const char *const ids[] = { "a", "b", "c", "d", "e" };
    for (size_t at = 0; at < 5; at++) {
        CHECK_EQ_INT(put(&shop, item(ids[at])), TENURE_OK);
    }
    struct engine_item_cursor cursor = { 0 };
    struct engine_item_view views[2];
    CHECK_EQ_INT(engine_items(shop.engine, QUEUE, ITEM_READY, &cursor, views, 2), 2);
    CHECK_EQ_TEXT(take(&shop), "a");
    /* What the cursor stands on goes away. */
    CHECK_EQ_INT(name_item(&shop, ENGINE_CANCEL_ITEM, "b"), TENURE_OK);
    cursor.id = BYTES_LITERAL("b");
    CHECK_EQ_INT(engine_items(shop.engine, QUEUE, ITEM_READY, &cursor, views, 2), 2);
    CHECK_EQ_BYTES(views[0].id, BYTES_LITERAL("c"));
    CHECK_EQ_INT(engine_items(shop.engine, QUEUE, ITEM_READY, &cursor, views, 2), 1);
    CHECK_EQ_BYTES(views[0].id, BYTES_LITERAL("e"));
    CHECK_EQ_UINT(cursor.entered, 0); /* that is the end */
    close_shop(&shop);
}

TEST(work_is_listed_in_steps_however_far_the_cursor_is)
{
    struct shop shop;
    open_shop(&shop);
    static struct engine_put many[LIMIT_ITEM_COUNT_MAX];
    for (size_t at = 0; at < LIMIT_ITEM_COUNT_MAX; at++) {
        many[at] = item("");
    }
    struct engine_command command = { .kind = ENGINE_PUT };
    command.as.put.items = many;
    command.as.put.count = LIMIT_ITEM_COUNT_MAX;
    for (unsigned count = 0; count < 21; count++) {
        CHECK_EQ_INT(ask(&shop, command)->err, TENURE_OK);
    }
    /* The item of the cursor is no more: others are looked at, but not all of them at once. */
    struct engine_item_cursor cursor = { .entered = 21000, .id = BYTES_LITERAL("gone") };
    struct engine_item_view view;
    CHECK_EQ_INT(engine_items(shop.engine, QUEUE, ITEM_READY, &cursor, &view, 1), 0);
    CHECK_EQ_UINT(cursor.entered, 21000);
    CHECK_EQ_INT(engine_items(shop.engine, QUEUE, ITEM_READY, &cursor, &view, 1), 1);
    CHECK_EQ_UINT(cursor.entered, 21001);
    CHECK_EQ_UINT(view.number, 21001);
    close_shop(&shop);
}

TEST(work_that_is_purged_frees_what_was_kept_back_for_its_key)
{
    struct shop shop;
    open_shop(&shop);
    struct engine_put wish = item("first");
    wish.unique = BYTES_LITERAL("key");
    wish.terms.unique_scope = UNIQUE_UNTIL_DONE;
    wish.terms.conflict = UNIQUE_KEEP_LAST;
    CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    CHECK_EQ_TEXT(take(&shop), "first");
    CHECK_EQ_INT(put(&shop, item("other")), TENURE_OK);
    wish.id = BYTES_LITERAL("second");
    CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    struct engine_command command = { .kind = ENGINE_FAIL };
    command.as.end_work = (struct engine_end_work){
        .claim = { .queue = QUEUE, .id = BYTES_LITERAL("first"), .token = { shop.token } },
        .delay_ms = 60000,
    };
    CHECK_EQ_INT(ask(&shop, command)->err, TENURE_OK);
    /* Takes the place of the second, and stands right behind the first. */
    wish.id = BYTES_LITERAL("third");
    CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    CHECK_EQ_INT(state_of(&shop, "second"), ITEM_CANCELLED);
    CHECK_EQ_INT(state_of(&shop, "third"), ITEM_DELAYED);

    command = (struct engine_command){ .kind = ENGINE_PURGE };
    command.as.sweep =
        (struct engine_sweep){ .queue = QUEUE, .state = ITEM_DELAYED, .count_max = 10 };
    CHECK_EQ_UINT(ask(&shop, command)->swept_count, 1);
    CHECK_EQ_INT(state_of(&shop, "first"), ITEM_STATE_COUNT);
    CHECK_EQ_INT(state_of(&shop, "third"), ITEM_READY);
    CHECK_EQ_INT(state_of(&shop, "other"), ITEM_READY);
    close_shop(&shop);
}

TEST(work_put_in_a_batch_answers_those_who_wait_for_what_it_replaces)
{
    struct shop shop;
    open_shop(&shop);
    struct engine_put wishes[3];
    for (size_t at = 0; at < 3; at++) {
        wishes[at] = item("");
        wishes[at].unique = BYTES_LITERAL("key");
        wishes[at].terms.unique_scope = UNIQUE_UNTIL_DONE;
        wishes[at].terms.conflict = UNIQUE_REPLACE;
    }
    struct engine_put first = wishes[0];
    first.id = BYTES_LITERAL("first");
    CHECK_EQ_INT(put(&shop, first), TENURE_OK);
    struct engine_command command = { .kind = ENGINE_AWAIT };
    command.as.await_end = (struct engine_await){ QUEUE, first.id, 1000 };
    for (uint64_t client = 2; client < 7; client++) {
        command.client = client;
        CHECK(ask(&shop, command) == NULL);
    }
    command = (struct engine_command){ .kind = ENGINE_PUT, .as.put = { wishes, 3 } };
    CHECK_EQ_UINT(ask(&shop, command)->item_count, 3);
    CHECK_EQ_UINT(shop.update.reply_count, 6);
    close_shop(&shop);
}

TEST(work_is_not_awaited_while_the_server_drains)
{
    struct shop shop;
    open_shop(&shop);
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    struct engine_event event = { .kind = ENGINE_GATE, .gate = ENGINE_GATE_DRAINING };
    CHECK(step(&shop, event) == TENURE_OK);
    struct engine_command command = { .kind = ENGINE_AWAIT };
    command.as.await_end = (struct engine_await){ QUEUE, BYTES_LITERAL("a"), 1000 };
    const struct engine_reply *reply = ask(&shop, command);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->err, TENURE_DRAINING);
    close_shop(&shop);
}

/* What an answer says stays readable, whatever happens to the item in the same step. */
TEST(work_answers_outlast_what_the_step_does_next)
{
    struct shop shop;
    open_shop(&shop);
    static char large[1000];
    memset(large, 'b', sizeof large);
    struct engine_put wishes[20];
    for (size_t at = 0; at < 20; at++) {
        wishes[at] = item("");
        wishes[at].body = (struct bytes){ large, at % 2 == 0 ? 4 : sizeof large };
        wishes[at].unique = BYTES_LITERAL("key");
        wishes[at].terms.unique_scope = UNIQUE_UNTIL_STARTED;
        wishes[at].terms.conflict = UNIQUE_REPLACE;
        wishes[at].terms.retention_ms = 0;
    }
    struct bytes queues[1] = { QUEUE };
    struct engine_command command = { .kind = ENGINE_TAKE, .client = 9 };
    command.as.take = (struct engine_take){ .queues = queues,
                                            .queue_count = 1,
                                            .worker = BYTES_LITERAL("bob"),
                                            .count_max = 1,
                                            .wait_ms = 1000 };
    CHECK(ask(&shop, command) == NULL);
    command = (struct engine_command){ .kind = ENGINE_PUT, .as.put = { wishes, 20 } };
    const struct engine_reply *reply = ask(&shop, command);
    CHECK_EQ_UINT(shop.update.reply_count, 2); /* the last one is taken at once */
    CHECK_EQ_UINT(reply->item_count, 20);
    for (size_t at = 0; at < 20; at++) {
        CHECK_EQ_BYTES(reply->items[at].item.body, wishes[at].body);
        CHECK_EQ_BYTES(reply->items[at].item.unique, BYTES_LITERAL("key"));
    }
    close_shop(&shop);
}

/* What an administrator asks of a group of the queue. */
static enum tenure_err scope(
    struct shop *shop, enum engine_command_kind kind, const char *group, struct group_limits limits)
{
    struct engine_command command = { .kind = kind };
    command.as.scope =
        (struct engine_scope){ .queue = QUEUE, .group = bytes_from_text(group), .limits = limits };
    return ask(shop, command)->err;
}

TEST(work_of_a_rate_whose_burst_outlasts_the_clock_is_refused)
{
    struct shop shop;
    open_shop(&shop);
    struct group_limits limits = { .rate_count = 1, .rate_ms = LIMIT_TTL_MS_MAX, .weight = 1 };
    limits.burst = UINT32_MAX;
    CHECK_EQ_INT(scope(&shop, ENGINE_LIMIT, "g", limits), TENURE_INVALID);
    limits.burst = 25000; /* 68 years */
    CHECK_EQ_INT(scope(&shop, ENGINE_LIMIT, "g", limits), TENURE_OK);
    close_shop(&shop);
}

/* As open_shop, with room for three items of 20 bytes. */
static void open_small_shop(struct shop *shop)
{
    *shop = (struct shop){ .now_ms = 1000 };
    fault_memory_init(&shop->fault, 0);
    struct engine_options wanted = options(shop);
    wanted.item_count_max = 3;
    wanted.item_bytes_max = 20;
    shop->engine = engine_create(&wanted);
    CHECK(shop->engine != NULL);
    CHECK(step(shop, (struct engine_event){ .kind = ENGINE_READY }) == TENURE_OK);
}

TEST(work_groups_without_items_are_limited)
{
    struct shop shop;
    open_small_shop(&shop);
    CHECK_EQ_INT(scope(&shop, ENGINE_PAUSE, "a", GROUP_LIMITS_NONE), TENURE_OK);
    CHECK_EQ_INT(scope(&shop, ENGINE_PAUSE, "b", GROUP_LIMITS_NONE), TENURE_OK);
    CHECK_EQ_INT(scope(&shop, ENGINE_PAUSE, "c", GROUP_LIMITS_NONE), TENURE_TOO_MANY);
    CHECK_EQ_UINT(engine_work_counters(shop.engine).group_count, 2);
    /* What is known is changed all the same. */
    CHECK_EQ_INT(scope(&shop, ENGINE_RESUME, "a", GROUP_LIMITS_NONE), TENURE_OK);
    CHECK_EQ_INT(scope(&shop, ENGINE_PAUSE, "c", GROUP_LIMITS_NONE), TENURE_OK);
    close_shop(&shop);
}

TEST(work_results_count_against_the_limit)
{
    struct shop shop;
    open_small_shop(&shop);
    static char large[24];
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    CHECK_EQ_TEXT(take(&shop), "a");
    struct engine_command command = { .kind = ENGINE_DONE };
    command.as.end_work = (struct engine_end_work){
        .claim = { .queue = QUEUE, .id = BYTES_LITERAL("a"), .token = { shop.token } },
        .result = { large, sizeof large }
    };
    CHECK_EQ_INT(ask(&shop, command)->err, TENURE_TOO_MANY);
    CHECK_EQ_INT(state_of(&shop, "a"), ITEM_TAKEN);
    command.as.end_work.result.size = 20;
    CHECK_EQ_INT(ask(&shop, command)->err, TENURE_OK);
    CHECK_EQ_UINT(engine_work_counters(shop.engine).item_bytes, 20);
    close_shop(&shop);

    /* One that is not kept is only handed on. */
    open_small_shop(&shop);
    struct engine_put wish = item("a");
    wish.terms.retention_ms = 0;
    CHECK_EQ_INT(put(&shop, wish), TENURE_OK);
    CHECK_EQ_TEXT(take(&shop), "a");
    command.as.end_work.claim.token.value = shop.token;
    command.as.end_work.result.size = sizeof large;
    CHECK_EQ_INT(ask(&shop, command)->err, TENURE_OK);
    CHECK_EQ_UINT(engine_work_counters(shop.engine).item_bytes, 0);
    close_shop(&shop);
}

TEST(work_kicked_and_taken_in_one_step_says_why_it_had_died)
{
    struct shop shop;
    open_shop(&shop);
    CHECK_EQ_INT(put(&shop, item("a")), TENURE_OK);
    CHECK_EQ_TEXT(take(&shop), "a");
    CHECK_EQ_INT(end(&shop, ENGINE_BURY, "a", shop.token)->item.state, ITEM_DEAD);
    struct bytes queues[1] = { QUEUE };
    struct engine_command command = { .kind = ENGINE_TAKE, .client = 9 };
    command.as.take = (struct engine_take){ .queues = queues,
                                            .queue_count = 1,
                                            .worker = BYTES_LITERAL("bob"),
                                            .count_max = 1,
                                            .wait_ms = 1000 };
    CHECK(ask(&shop, command) == NULL);
    CHECK_EQ_INT(name_item(&shop, ENGINE_KICK, "a"), TENURE_OK);
    CHECK_EQ_UINT(shop.update.reply_count, 2);
    CHECK_EQ_BYTES(shop.update.replies[0].items[0].item.note, BYTES_LITERAL("reason"));
    CHECK_EQ_UINT(shop.update.replies[1].client, 9);
    close_shop(&shop);
}

/* -------------------------------------------------------------- without memory */

static uint64_t hash(struct shop *shop)
{
    uint64_t fail_at = shop->fault.fail_at;
    uint64_t call_count = shop->fault.call_count;
    shop->fault.fail_at = 0;
    uint64_t value = engine_hash(shop->engine);
    shop->fault.fail_at = fail_at;
    shop->fault.call_count = call_count;
    return value;
}

/* Say it, and once more if there was no memory: then nothing may have changed. */
static void insist(struct shop *shop, struct engine_command command)
{
    uint64_t before = hash(shop);
    const struct engine_reply *reply = ask(shop, command);
    if (reply == NULL || reply->err != TENURE_NO_MEMORY) return;
    CHECK(shop->fault.has_failed);
    CHECK_EQ_UINT(hash(shop), before);
    (void)ask(shop, command);
}

static void live_step(struct shop *shop, struct test_random *random)
{
    static const char *const ids[] = { "a", "b", "c", "d", "" };
    struct engine_put wish = item(ids[test_random_below(random, 5)]);
    struct bytes queues[1] = { QUEUE };
    if (test_random_below(random, 2) == 0) {
        wish.unique = BYTES_LITERAL("key");
        wish.terms.unique_scope = UNIQUE_UNTIL_DONE;
        wish.terms.conflict = (uint8_t)test_random_below(random, UNIQUE_CONFLICT_COUNT);
    }
    if (test_random_below(random, 3) == 0) wish.terms.expires_at_us = INT64_C(1700000002000000);
    wish.group = (struct bytes){ "gh", test_random_below(random, 3) };
    struct engine_command command = { .kind = ENGINE_PUT, .as.put = { &wish, 1 } };
    switch (test_random_below(random, 7)) {
    case 0:
        command.kind = ENGINE_TAKE;
        command.as.take = (struct engine_take){ .queues = queues,
                                                .queue_count = 1,
                                                .worker = BYTES_LITERAL("w"),
                                                .count_max = 1,
                                                .wait_ms = test_random_below(random, 2) ? 200 : 0 };
        break;
    case 1:
        command.kind = ENGINE_CANCEL_ITEM;
        command.as.item = (struct engine_item_name){ QUEUE, wish.id, BYTES_LITERAL("why") };
        break;
    case 2:
        command.kind = ENGINE_AWAIT;
        command.as.await_end = (struct engine_await){ QUEUE, wish.id, 100 };
        break;
    case 3: {
        struct engine_item_view view;
        if (!engine_peek(shop->engine, QUEUE, ITEM_TAKEN, &view)) return;
        command.kind = test_random_below(random, 2) ? ENGINE_DONE : ENGINE_FAIL;
        command.as.end_work = (struct engine_end_work){
            .claim = { .queue = QUEUE, .id = view.id, .token = view.token }
        };
        break;
    }
    case 4:
        shop->now_ms += 300;
        if (step(shop, (struct engine_event){ .kind = ENGINE_TIMER }) == TENURE_OK) return;
        CHECK(shop->fault.has_failed);
        pass(shop, 0);
        return;
    default: break;
    }
    insist(shop, command);
}

TEST_WITHIN(120, work_survives_every_failing_allocation)
{
    bool has_failed = true;
    for (uint64_t fail_at = 1; has_failed; fail_at++) {
        struct shop shop;
        struct test_random random = { 11 };
        open_shop(&shop);
        shop.fault.call_count = 0;
        shop.fault.fail_at = fail_at;
        for (unsigned count = 0; count < 150; count++) {
            test_note("allocation %llu, step %u", (unsigned long long)fail_at, count);
            live_step(&shop, &random);
        }
        has_failed = shop.fault.has_failed;
        shop.fault.fail_at = 0;
        close_shop(&shop);
    }
}
