/* Who waits, in which order, and who is next. */
#include <stdio.h>

#include "lib/random.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

static uint64_t token_of(const struct harness *harness, uint64_t tag)
{
    const struct engine_reply *reply = harness_answer(harness, tag);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    return reply->results[0].hold.token.value;
}

static bool is_granted(const struct harness *harness, uint64_t tag)
{
    const struct engine_reply *reply = harness_answer(harness, tag);
    return reply != NULL && reply->err == TENURE_OK;
}

TEST(queue_serves_in_order_of_arrival)
{
    struct harness *harness = harness_open();
    static const char *const owners[] = { "o0", "o1", "o2", "o3", "o4" };
    uint64_t tags[5];
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "first"));
    for (unsigned index = 0; index < 5; index++) {
        harness_pass(harness, index % 2); /* some in the same moment */
        tags[index] =
            harness_wait(harness, ASK(.name = "a", .owner = owners[index], .wait_ms = 60000));
    }
    harness_pass(harness, 700);
    (void)harness_release(harness, "a", "first", token);
    for (unsigned index = 0; index < 5; index++) {
        const struct engine_reply *reply = harness_answer(harness, tags[index]);
        CHECK(reply != NULL);
        CHECK_EQ_INT(reply->err, TENURE_OK);
        CHECK_EQ_INT(reply->kind, ENGINE_ACQUIRE);
        CHECK_LE_INT(700, reply->results[0].waited_ms);
        CHECK_EQ_UINT(reply->seq.value, engine_seq(harness->engine).value);
        for (unsigned later = index + 1; later < 5; later++) {
            CHECK(harness_answer(harness, tags[later]) == NULL);
        }
        token = reply->results[0].hold.token.value;
        CHECK_EQ_UINT(harness_holder(harness, "a"), token);
        (void)harness_release(harness, "a", owners[index], token);
    }
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

/* Each level is worth ageing_ms of waiting, so a higher one passes only those that have not waited
 * so long. */
TEST(queue_priorities_age)
{
    struct harness *harness = harness_open_with(&(struct engine_options){ .ageing_ms = 1000 });
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "H", .ttl_ms = 90000));
    uint64_t old = harness_wait(harness, ASK(.name = "a", .owner = "old", .wait_ms = 80000));
    harness_pass(harness, 8000);
    uint64_t low = harness_wait(harness, ASK(.name = "a", .owner = "low", .wait_ms = 80000));
    uint64_t high =
        harness_wait(harness, ASK(.name = "a", .owner = "high", .wait_ms = 80000, .priority = 5));
    uint64_t top =
        harness_wait(harness, ASK(.name = "a", .owner = "top", .wait_ms = 80000, .priority = 9));

    struct engine_waiter_view views[8];
    uint32_t count =
        engine_inspect_waiters(harness->engine, BYTES_LITERAL("a"), harness->now, views, 8);
    CHECK_EQ_UINT(count, 4);
    static const char *const order[] = { "top", "old", "high", "low" };
    static const uint32_t priorities[] = { 9, 0, 5, 0 };
    for (uint32_t index = 0; index < 4; index++) {
        CHECK_EQ_BYTES(views[index].owner, bytes_from_text(order[index]));
        CHECK_EQ_UINT(views[index].position, index + 1);
        CHECK_EQ_UINT(views[index].priority, priorities[index]);
    }
    CHECK_EQ_INT(views[1].waited_ms, 8000);
    CHECK_EQ_INT(views[1].remaining_ms, 72000);
    uint64_t tags[] = { top, old, high, low };
    const char *owner = "H";
    for (uint32_t index = 0; index < 4; index++) {
        (void)harness_release(harness, "a", owner, token);
        CHECK(is_granted(harness, tags[index]));
        token = token_of(harness, tags[index]);
        owner = order[index];
    }
    harness_close(&harness);
}

/* A stream of the highest priority, for ever: the lowest gets its turn after nine levels' worth. */
TEST(queue_starves_nobody)
{
    struct harness *harness = harness_open_with(&(struct engine_options){ .ageing_ms = 1000 });
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "x0"));
    uint64_t low = harness_wait(harness, ASK(.name = "a", .owner = "low", .wait_ms = 60000));
    char owner[16] = "x0";
    int64_t waited_ms = 0;
    for (unsigned round = 1; !is_granted(harness, low); round++) {
        char next[16];
        (void)snprintf(next, sizeof next, "x%u", round);
        uint64_t tag =
            harness_wait(harness, ASK(.name = "a", .owner = next, .wait_ms = 60000, .priority = 9));
        harness_advance(harness, 500);
        waited_ms += 500;
        CHECK_LE_INT(waited_ms, 10000);
        (void)harness_release(harness, "a", owner, token);
        if (is_granted(harness, low)) break;
        token = token_of(harness, tag);
        memcpy(owner, next, sizeof owner);
    }
    CHECK_LE_INT(9000, waited_ms);
    harness_close(&harness);
}

TEST(queue_lets_no_reader_pass_a_waiting_writer)
{
    struct harness *harness = harness_open();
    uint64_t reader = harness_hold(harness, ASK(.name = "a", .owner = "r1", .mode = ENGINE_SHARED));
    uint64_t writer = harness_wait(harness, ASK(.name = "a", .owner = "w", .wait_ms = 5000));
    const struct engine_reply *reply =
        harness_acquire(harness, ASK(.name = "a", .owner = "r2", .mode = ENGINE_SHARED));
    CHECK_EQ_INT(reply->err, TENURE_HELD);
    CHECK_EQ_UINT(reply->results[0].position, 2);
    uint64_t r3 = harness_wait(
        harness, ASK(.name = "a", .owner = "r3", .mode = ENGINE_SHARED, .wait_ms = 5000));
    uint64_t r4 = harness_wait(
        harness, ASK(.name = "a", .owner = "r4", .mode = ENGINE_SHARED, .wait_ms = 5000));
    (void)harness_release(harness, "a", "r1", reader);
    CHECK(is_granted(harness, writer));
    CHECK(harness_answer(harness, r3) == NULL);
    /* All readers behind it come in together. */
    (void)harness_release(harness, "a", "w", token_of(harness, writer));
    CHECK(is_granted(harness, r3));
    CHECK(is_granted(harness, r4));
    CHECK_EQ_UINT(harness_look(harness, "a").hold_count, 2);
    harness_close(&harness);
}

/* When the writer gives up, the readers behind it have nobody to wait for. */
TEST(queue_readers_follow_when_the_writer_leaves)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "a", .owner = "r1", .mode = ENGINE_SHARED));
    uint64_t writer =
        harness_wait(harness, ASK(.name = "a", .owner = "w", .wait_ms = 5000, .client = 7));
    uint64_t reader = harness_wait(
        harness, ASK(.name = "a", .owner = "r2", .mode = ENGINE_SHARED, .wait_ms = 9000));
    harness_gone(harness, 7);
    CHECK(harness_answer(harness, writer) == NULL);
    CHECK(is_granted(harness, reader));
    harness_close(&harness);
}

/* Two streams of readers that overlap, so that the lock is never free of them by itself. */
TEST(queue_two_streams_of_readers_do_not_starve_a_writer)
{
    struct harness *harness = harness_open();
    uint64_t tokens[2] = { 0 };
    char owners[2][16];
    uint64_t writer = 0;
    bool is_writing = false;
    for (unsigned round = 0; round < 40 && !is_writing; round++) {
        unsigned stream = round % 2;
        if (tokens[stream] != 0) {
            (void)harness_release(harness, "a", owners[stream], tokens[stream]);
        }
        if (writer != 0 && is_granted(harness, writer)) {
            is_writing = true;
            continue;
        }
        (void)snprintf(owners[stream], sizeof owners[stream], "s%u-%u", stream, round);
        const struct engine_reply *reply = harness_acquire(
            harness,
            ASK(.name = "a", .owner = owners[stream], .mode = ENGINE_SHARED, .wait_ms = 60000));
        tokens[stream] = reply == NULL ? 0 : reply->results[0].hold.token.value;
        if (round == 9) {
            writer = harness_wait(harness, ASK(.name = "a", .owner = "w", .wait_ms = 60000));
        }
        CHECK_LE_UINT(round, 12);
        harness_advance(harness, 100);
    }
    CHECK(is_writing);
    harness_close(&harness);
}

TEST(queue_wait_ends_at_its_deadline)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 60000));
    uint64_t one = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 1000));
    uint64_t two = harness_wait(harness, ASK(.name = "a", .owner = "C", .wait_ms = 2000));
    harness_advance(harness, 999);
    CHECK(harness_answer(harness, one) == NULL);
    harness_advance(harness, 1);
    const struct engine_reply *reply = harness_answer(harness, one);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->err, TENURE_TIMEOUT);
    CHECK_EQ_INT(reply->results[0].err, TENURE_TIMEOUT);
    CHECK_EQ_BYTES(reply->results[0].name, BYTES_LITERAL("a"));
    CHECK_EQ_BYTES(reply->results[0].holder.owner, BYTES_LITERAL("A"));
    CHECK_EQ_INT(reply->results[0].waited_ms, 1000);
    CHECK_EQ_INT(reply->results[0].retry_after_ms, 59000);
    CHECK_EQ_UINT(reply->results[0].position, 1);
    CHECK(harness_answer(harness, two) == NULL);
    harness_advance(harness, 5000);
    CHECK_EQ_INT(harness_answer(harness, two)->err, TENURE_TIMEOUT);
    CHECK_EQ_UINT(engine_counters(harness->engine).refused_timeout, 2);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_close(&harness);
}

/* The release comes after the wait is over and before its timer has fired: nobody there believes
 * in the wait any more. */
TEST(queue_grants_nothing_to_a_wait_that_is_over)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 60000));
    uint64_t late = harness_wait(harness, ASK(.name = "a", .owner = "late", .wait_ms = 1000));
    uint64_t next = harness_wait(harness, ASK(.name = "a", .owner = "next", .wait_ms = 9000));
    harness_pass(harness, 1500);
    (void)harness_release(harness, "a", "A", token);
    CHECK_EQ_INT(harness_answer(harness, late)->err, TENURE_TIMEOUT);
    CHECK(is_granted(harness, next));

    /* Nobody is left. */
    token = harness_hold(harness, ASK(.name = "b", .owner = "A", .ttl_ms = 60000));
    late = harness_wait(harness, ASK(.name = "b", .owner = "late", .wait_ms = 1000));
    harness_pass(harness, 1000);
    (void)harness_release(harness, "b", "A", token);
    CHECK_EQ_INT(harness_answer(harness, late)->err, TENURE_TIMEOUT);
    CHECK_EQ_UINT(harness_look(harness, "b").waiter_count, 0);
    harness_close(&harness);
}

/* The same for the heir of a transfer. */
TEST(queue_transfers_nothing_to_a_wait_that_is_over)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 60000));
    uint64_t late = harness_wait(harness, ASK(.name = "a", .owner = "late", .wait_ms = 1000));
    harness_pass(harness, 1000);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "late")->err, TENURE_NOT_FOUND);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_timer(harness);
    CHECK_EQ_INT(harness_answer(harness, late)->err, TENURE_TIMEOUT);
    harness_close(&harness);
}

/* What ends at the same moment: the wait first. */
TEST(queue_wait_and_ttl_that_end_together)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 1000));
    harness_advance(harness, 1000);
    CHECK_EQ_INT(harness_answer(harness, tag)->err, TENURE_TIMEOUT);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

TEST(queue_cancel)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t tag = harness_wait(
        harness, ASK(.name = "a", .owner = "B", .wait_ms = 9000, .client = 5, .tag = 900));
    uint64_t next = harness_wait(harness, ASK(.name = "a", .owner = "C", .wait_ms = 9000));
    CHECK_EQ_INT(harness_cancel(harness, 6, tag)->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_cancel(harness, 5, 901)->err, TENURE_NOT_FOUND);
    harness_pass(harness, 300);
    const struct engine_reply *reply = harness_cancel(harness, 5, tag);
    CHECK_EQ_INT(reply->err, TENURE_CANCELED);
    CHECK_EQ_INT(reply->kind, ENGINE_ACQUIRE);
    CHECK_EQ_INT(reply->results[0].waited_ms, 300);
    CHECK_EQ_INT(harness_cancel(harness, 5, tag)->err, TENURE_NOT_FOUND);
    (void)harness_release(harness, "a", "A", token);
    CHECK(is_granted(harness, next));
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 0);
    harness_close(&harness);
}

/* Holds outlive the connection, waits do not, and nobody else is touched. */
TEST(queue_of_a_client_that_is_gone)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .client = 3));
    static const char *const both[] = { "a", "b", NULL };
    uint64_t one =
        harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 9000, .client = 3));
    uint64_t two =
        harness_wait(harness, ASK(.names = both, .owner = "C", .wait_ms = 9000, .client = 3));
    uint64_t three =
        harness_wait(harness, ASK(.name = "a", .owner = "D", .wait_ms = 9000, .client = 4));
    size_t reply_count = harness->reply_count;
    harness_gone(harness, 3);
    CHECK_EQ_UINT(harness->reply_count, reply_count);
    CHECK(harness_answer(harness, one) == NULL);
    CHECK(harness_answer(harness, two) == NULL);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 1);
    CHECK_EQ_UINT(harness_look(harness, "b").waiter_count, 0);
    harness_gone(harness, 99);
    (void)harness_release(harness, "a", "A", token);
    CHECK(is_granted(harness, three));
    harness_close(&harness);
}

/* The same owner asks again, on another connection: it keeps its place, and the old request is
 * told. */
TEST(queue_rejoin_takes_the_old_place)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 60000));
    uint64_t old =
        harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 2000, .client = 5));
    uint64_t behind = harness_wait(harness, ASK(.name = "a", .owner = "C", .wait_ms = 60000));
    harness_pass(harness, 1500);
    uint64_t fresh =
        harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 5000, .client = 6));
    const struct engine_reply *reply = harness_answer(harness, old);
    CHECK_EQ_INT(reply->err, TENURE_CANCELED);
    CHECK_EQ_UINT(reply->client, 5);
    CHECK(reply->detail != NULL);
    CHECK_EQ_UINT(engine_counters(harness->engine).waiter_count, 2);
    harness_gone(harness, 5); /* the old connection means nothing any more */
    harness_advance(harness, 1000);
    CHECK(harness_answer(harness, fresh) == NULL); /* the new deadline counts */
    (void)harness_release(harness, "a", "A", token);
    CHECK(is_granted(harness, fresh));
    CHECK_EQ_INT(harness_answer(harness, fresh)->results[0].waited_ms, 1000);
    CHECK(harness_answer(harness, behind) == NULL);

    /* Asking without waiting tells the place and keeps it. */
    reply = harness_acquire(harness, ASK(.name = "a", .owner = "C"));
    CHECK_EQ_INT(reply->err, TENURE_HELD);
    CHECK_EQ_UINT(reply->results[0].position, 1);
    (void)harness_release(harness, "a", "B", token_of(harness, fresh));
    CHECK(is_granted(harness, behind));
    harness_close(&harness);
}

TEST(queue_rejoin_for_many_names)
{
    struct harness *harness = harness_open();
    static const char *const names[] = { "a", "b", "c", NULL };
    uint64_t token = harness_hold(harness, ASK(.name = "b", .owner = "A"));
    uint64_t old =
        harness_wait(harness, ASK(.names = names, .owner = "B", .wait_ms = 9000, .client = 5));
    uint64_t fresh =
        harness_wait(harness, ASK(.names = names, .owner = "B", .wait_ms = 9000, .client = 5));
    CHECK_EQ_INT(harness_answer(harness, old)->err, TENURE_CANCELED);
    (void)harness_release(harness, "b", "A", token);
    CHECK(is_granted(harness, fresh));
    CHECK_EQ_UINT(harness_answer(harness, fresh)->result_count, 3);
    harness_close(&harness);
}

/* What is granted is what was asked for last. */
TEST(queue_rejoin_on_other_terms)
{
    struct harness *harness = harness_open();
    static const char *const names[] = { "a", "b", NULL };
    uint64_t token = harness_hold(harness, ASK(.name = "b", .owner = "A"));
    (void)harness_wait(
        harness,
        ASK(.names = names, .owner = "B", .wait_ms = 9000, .ttl_ms = 500, .meta = "first"));
    uint64_t fresh = harness_wait(
        harness,
        ASK(.names = names,
            .owner = "B",
            .wait_ms = 9000,
            .ttl_ms = 7000,
            .meta = "second",
            .lock_delay_ms = 300));
    (void)harness_release(harness, "b", "A", token);
    CHECK(is_granted(harness, fresh));
    for (unsigned index = 0; index < 2; index++) {
        const struct engine_hold_view *hold = &harness_answer(harness, fresh)->results[index].hold;
        CHECK_EQ_UINT(hold->ttl_ms, 7000);
        CHECK_EQ_INT(hold->remaining_ms, 7000);
        CHECK_EQ_UINT(hold->lock_delay_ms, 300);
        CHECK_EQ_BYTES(hold->meta, BYTES_LITERAL("second"));
    }
    harness_close(&harness);
}

TEST(queue_is_bounded)
{
    struct harness *harness = harness_open_with(&(struct engine_options){ .waiter_count_max = 2 });
    (void)harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 1000, .client = 2));
    (void)harness_wait(harness, ASK(.name = "a", .owner = "C", .wait_ms = 1000));
    const struct engine_reply *reply =
        harness_acquire(harness, ASK(.name = "a", .owner = "D", .wait_ms = 1000));
    CHECK_EQ_INT(reply->err, TENURE_TOO_MANY);
    CHECK_EQ_INT(harness_acquire(harness, ASK(.name = "a", .owner = "D"))->err, TENURE_HELD);
    harness_gone(harness, 2);
    (void)harness_wait(harness, ASK(.name = "a", .owner = "D", .wait_ms = 1000));
    harness_close(&harness);
}

/* Readers that come in together count against the limit too. */
TEST(queue_serves_within_the_limit_of_holds)
{
    struct harness *harness = harness_open_with(&(struct engine_options){ .hold_count_max = 3 });
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "w"));
    uint64_t other = harness_hold(harness, ASK(.name = "b", .owner = "w"));
    uint64_t tags[4];
    static const char *const owners[] = { "r0", "r1", "r2", "r3" };
    for (unsigned index = 0; index < 4; index++) {
        tags[index] = harness_wait(
            harness,
            ASK(.name = "a", .owner = owners[index], .mode = ENGINE_SHARED, .wait_ms = 9000));
    }
    (void)harness_release(harness, "a", "w", token);
    CHECK(is_granted(harness, tags[0]));
    CHECK(is_granted(harness, tags[1]));
    CHECK(harness_answer(harness, tags[2]) == NULL);
    (void)harness_release(harness, "b", "w", other);
    CHECK(is_granted(harness, tags[2]));
    CHECK(harness_answer(harness, tags[3]) == NULL);
    harness_advance(harness, 9000);
    CHECK_EQ_INT(harness_answer(harness, tags[3])->err, TENURE_TIMEOUT);
    harness_close(&harness);
}

/* A request for two names stands in both queues: nobody behind it passes, and nothing is held in
 * part. */
TEST(queue_of_many_names_holds_nothing_in_part)
{
    struct harness *harness = harness_open();
    static const char *const both[] = { "a", "b", NULL };
    uint64_t a = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t b = harness_hold(harness, ASK(.name = "b", .owner = "B"));
    uint64_t two = harness_wait(harness, ASK(.names = both, .owner = "C", .wait_ms = 9000));
    uint64_t one = harness_wait(harness, ASK(.name = "a", .owner = "D", .wait_ms = 9000));
    (void)harness_release(harness, "a", "A", a);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    CHECK(harness_answer(harness, one) == NULL);
    const struct engine_reply *reply = harness_acquire(harness, ASK(.name = "a", .owner = "E"));
    CHECK_EQ_INT(reply->err, TENURE_HELD);
    CHECK_EQ_UINT(reply->results[0].holder.name.size, 0);
    CHECK_EQ_UINT(reply->results[0].position, 3);
    (void)harness_release(harness, "b", "B", b);
    CHECK(is_granted(harness, two));
    CHECK_EQ_UINT(harness_answer(harness, two)->result_count, 2);
    CHECK(harness_answer(harness, one) == NULL);
    (void)harness_release(harness, "a", "C", token_of(harness, two));
    CHECK(is_granted(harness, one));
    harness_close(&harness);
}

/* Nor is a request for several names passed by another one at the name that they share, though that
 * name is free. */
TEST(queue_of_many_names_is_passed_by_nobody)
{
    struct harness *harness = harness_open();
    static const char *const bc[] = { "b", "c", NULL };
    static const char *const ab[] = { "a", "b", NULL };
    uint64_t a = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t c = harness_hold(harness, ASK(.name = "c", .owner = "C"));
    uint64_t first = harness_wait(harness, ASK(.names = bc, .owner = "X", .wait_ms = 9000));
    uint64_t second = harness_wait(harness, ASK(.names = ab, .owner = "W", .wait_ms = 9000));
    (void)harness_release(harness, "a", "A", a);
    CHECK(harness_answer(harness, second) == NULL);
    (void)harness_release(harness, "c", "C", c);
    CHECK(is_granted(harness, first));
    CHECK(harness_answer(harness, second) == NULL);
    (void)harness_release(harness, "b", "X", token_of(harness, first));
    CHECK(is_granted(harness, second));
    harness_close(&harness);
}

/* Where a wait for many names hangs is told by the name that is in the way. */
TEST(queue_timeout_for_many_names_tells_the_obstacle)
{
    struct harness *harness = harness_open();
    static const char *const names[] = { "a", "b", "c", NULL };
    (void)harness_hold(harness, ASK(.name = "b", .owner = "B"));
    uint64_t tag = harness_wait(harness, ASK(.names = names, .owner = "C", .wait_ms = 1000));
    harness_advance(harness, 1000);
    const struct engine_reply *reply = harness_answer(harness, tag);
    CHECK_EQ_INT(reply->err, TENURE_TIMEOUT);
    CHECK_EQ_UINT(reply->result_count, 1);
    CHECK_EQ_BYTES(reply->results[0].name, BYTES_LITERAL("b"));
    CHECK_EQ_BYTES(reply->results[0].holder.owner, BYTES_LITERAL("B"));
    harness_close(&harness);
}

/* A thousand waiters, every second one dies: order kept, nothing granted to the dead, and each
 * release wakes one. */
TEST_WITHIN(60, queue_of_a_thousand_waiters_of_which_half_vanish)
{
    enum { COUNT = 1000 };
    static uint64_t tags[COUNT];
    struct harness *harness = harness_open();
    harness->check_every = 50;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "first"));
    char owner[16] = "first";
    for (unsigned index = 0; index < COUNT; index++) {
        char name[16];
        (void)snprintf(name, sizeof name, "w%u", index);
        tags[index] = harness_wait(
            harness, ASK(.name = "a", .owner = name, .wait_ms = 3600000, .client = 100 + index));
    }
    for (unsigned index = 0; index < COUNT; index += 2) {
        harness_gone(harness, 100 + index);
    }
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, COUNT / 2);
    for (unsigned index = 1; index < COUNT; index += 2) {
        size_t reply_count = harness->reply_count;
        (void)harness_release(harness, "a", owner, token);
        CHECK_EQ_UINT(harness->reply_count, reply_count + 2);
        token = token_of(harness, tags[index]);
        (void)snprintf(owner, sizeof owner, "w%u", index);
        CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    }
    for (unsigned index = 0; index < COUNT; index += 2) {
        CHECK(harness_answer(harness, tags[index]) == NULL);
    }
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 0);
    CHECK_EQ_UINT(harness_count(harness, RECORD_GRANTED, "a"), COUNT / 2 + 1);
    harness_close(&harness);
}

/* ----------------------------------------------------- overlapping requests */

#define CLIENT_COUNT 20u
#define NAME_COUNT   12u

struct party {
    char owner[16];
    const char *names[5];
    uint32_t name_count;
    enum engine_mode mode;
    uint64_t tag;
    uint64_t tokens[4]; /* while it holds */
    bool is_waiting;
    uint32_t served_count;
};

static const char *const pool[NAME_COUNT] = { "n0", "n1", "n2", "n3", "n4",  "n5",
                                              "n6", "n7", "n8", "n9", "n10", "n11" };

static void note_grant(struct party *party, const struct engine_reply *reply)
{
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->result_count, party->name_count);
    for (uint32_t index = 0; index < reply->result_count; index++) {
        party->tokens[index] = reply->results[index].hold.token.value;
    }
    party->is_waiting = false;
    party->served_count++;
}

static void ask_for_some(
    struct harness *harness, struct party *party, unsigned number, struct test_random *random)
{
    (void)snprintf(
        party->owner, sizeof party->owner, "c%u-%u", number, (unsigned)party->served_count);
    party->name_count = 1 + (uint32_t)test_random_below(random, 4);
    party->mode = test_random_below(random, 3) == 0 ? ENGINE_SHARED : ENGINE_EXCLUSIVE;
    unsigned at = (unsigned)test_random_below(random, NAME_COUNT);
    for (uint32_t index = 0; index < party->name_count; index++) {
        party->names[index] = pool[at];
        at = (at + 1 + (unsigned)test_random_below(random, 2)) % NAME_COUNT;
    }
    party->names[party->name_count] = NULL;
    party->tag = ++harness->tag_last;
    const struct engine_reply *reply = harness_acquire(
        harness,
        ASK(.names = party->names,
            .owner = party->owner,
            .mode = party->mode,
            .priority = (uint32_t)test_random_below(random, 10),
            .wait_ms = 86400000,
            .is_endless = true,
            .client = number + 1,
            .tag = party->tag));
    party->is_waiting = reply == NULL;
    if (reply != NULL) note_grant(party, reply);
}

static void let_go(struct harness *harness, struct party *party)
{
    for (uint32_t index = 0; index < party->name_count; index++) {
        const struct engine_reply *reply =
            harness_release(harness, party->names[index], party->owner, party->tokens[index]);
        CHECK_EQ_INT(reply->results[0].end, ENGINE_END_RELEASED);
    }
    party->name_count = 0;
}

static void take_notice(const struct harness *harness, struct party *parties)
{
    for (unsigned number = 0; number < CLIENT_COUNT; number++) {
        if (!parties[number].is_waiting) continue;
        const struct engine_reply *reply = harness_answer(harness, parties[number].tag);
        if (reply != NULL) note_grant(&parties[number], reply);
    }
}

/* Every holder holds all of its names: the sum over the parties is the sum over the locks. */
static void check_no_part(const struct harness *harness, const struct party *parties)
{
    uint64_t held_count = 0;
    unsigned waiting_count = 0;
    unsigned holding_count = 0;
    for (unsigned number = 0; number < CLIENT_COUNT; number++) {
        const struct party *party = &parties[number];
        if (party->name_count == 0) continue;
        waiting_count += party->is_waiting;
        holding_count += !party->is_waiting;
        if (!party->is_waiting) held_count += party->name_count;
    }
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, held_count);
    CHECK_EQ_UINT(engine_counters(harness->engine).waiter_count, waiting_count);
    CHECK(waiting_count == 0 || holding_count > 0); /* no deadlock */
}

TEST_WITHIN(60, queue_twenty_clients_with_overlapping_names)
{
    static struct party parties[CLIENT_COUNT];
    struct harness *harness = harness_open();
    struct test_random random = { 2024 };
    for (unsigned round = 0; round < 6000; round++) {
        unsigned number = (unsigned)test_random_below(&random, CLIENT_COUNT);
        struct party *party = &parties[number];
        test_note("round %u, client %u", round, number);
        if (party->name_count == 0) {
            ask_for_some(harness, party, number, &random);
        } else if (!party->is_waiting) {
            let_go(harness, party);
        } else if (test_random_below(&random, 50) == 0) {
            harness_gone(harness, number + 1);
            party->name_count = 0;
            party->is_waiting = false;
        }
        harness_pass(harness, (int64_t)test_random_below(&random, 200));
        take_notice(harness, parties);
        check_no_part(harness, parties);
    }
    for (unsigned number = 0; number < CLIENT_COUNT; number++) {
        CHECK_LT_UINT(10, parties[number].served_count);
    }
    /* And all of them come to an end. */
    for (unsigned round = 0; round < CLIENT_COUNT; round++) {
        for (unsigned number = 0; number < CLIENT_COUNT; number++) {
            if (parties[number].name_count > 0 && !parties[number].is_waiting) {
                let_go(harness, &parties[number]);
            }
        }
        take_notice(harness, parties);
    }
    check_no_part(harness, parties);
    CHECK_EQ_UINT(engine_counters(harness->engine).waiter_count, 0);
    harness_close(&harness);
}
