/* What time does: expiry, stalls, batches, lock-delays, restarts. */
#include <stdio.h>

#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

static bool is_granted(const struct harness *harness, uint64_t tag)
{
    const struct engine_reply *reply = harness_answer(harness, tag);
    return reply != NULL && reply->err == TENURE_OK;
}

TEST(clock_expires_at_the_ttl_and_never_before)
{
    struct harness *harness = harness_open();
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, INT64_MAX);
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    int64_t end_ns = harness->now.ns + 1000 * NS_PER_MS;
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, end_ns);
    harness->now.ns = end_ns - 1;
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness->now.ns = end_ns;
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    struct record record = harness_record(harness, 2);
    CHECK_EQ_INT(record.kind, RECORD_EXPIRED);
    CHECK_EQ_BYTES(record.owner, BYTES_LITERAL("A"));
    CHECK_EQ_UINT(record.token.value, token);
    CHECK_EQ_UINT(engine_counters(harness->engine).expired, 1);
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, INT64_MAX);
    harness_close(&harness);
}

/* Before the grant is durable no answer can have left: nobody knows, so no time runs. */
TEST(clock_of_a_grant_begins_when_it_is_durable)
{
    struct harness *harness = harness_open();
    harness->is_auto_durable = false;
    uint64_t a = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    uint64_t b = harness_hold(harness, ASK(.name = "b", .owner = "B", .ttl_ms = 1000));
    uint64_t c = harness_hold(harness, ASK(.name = "c", .owner = "C", .ttl_ms = 1000));
    harness_advance(harness, 100000);
    CHECK_EQ_UINT(harness_holder(harness, "a"), a);
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, INT64_MAX);
    struct engine_hold_view view;
    CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("a"), harness->now, 0, &view));
    CHECK_EQ_INT(view.remaining_ms, 1000);

    (void)harness_release(harness, "b", "B", b); /* ends before it was ever alive */
    harness_durable(harness, (struct seq){ 2 });
    harness_advance(harness, 999);
    CHECK_EQ_UINT(harness_holder(harness, "a"), a);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    CHECK_EQ_UINT(harness_holder(harness, "c"), c);
    harness_durable(harness, (struct seq){ 2 }); /* again, and backwards */
    harness_durable(harness, (struct seq){ 1 });
    harness_durable(harness, (struct seq){ 4 });
    harness_advance(harness, 1000);
    CHECK_EQ_UINT(harness_holder(harness, "c"), 0);
    harness_close(&harness);
}

TEST(clock_of_many_grants_that_become_durable_out_of_step)
{
    struct harness *harness = harness_open();
    harness->is_auto_durable = false;
    harness->check_every = 7;
    char name[16];
    for (unsigned index = 0; index < 1000; index++) {
        (void)snprintf(name, sizeof name, "n%u", index % 300);
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.name = name, .owner = "A", .ttl_ms = 500));
        CHECK_EQ_INT(reply->err, TENURE_OK);
        if (index % 3 == 0) {
            (void)harness_release(harness, name, "A", reply->results[0].hold.token.value);
        }
        if (index % 70 == 69) {
            uint64_t seq = engine_seq(harness->engine).value;
            harness_durable(harness, (struct seq){ seq - seq / 5 });
        }
        harness_advance(harness, 10);
    }
    harness_durable(harness, engine_seq(harness->engine));
    harness_advance(harness, 500);
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, 0);
    harness_close(&harness);
}

/* In one turn: what arrived is applied before what is due. */
TEST(clock_lets_a_renewal_that_arrived_come_first)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    harness_pass(harness, 5000);
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP)->err, TENURE_OK);
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_close(&harness);
}

/* A turn takes time.  What is read late in it counts from then: who sent it believes so, too.  But
 * the timers of the turn end only what was due when it began: a renewal that came since may wait in
 * a socket that was looked at before. */
TEST(clock_of_a_long_turn)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    uint64_t late = harness_hold(harness, ASK(.name = "b", .owner = "B", .ttl_ms = 1000));
    harness_pass(harness, 980);
    struct mono begin = harness->now;
    harness_pass(harness, 40);
    CHECK_EQ_INT(harness_renew(harness, "b", "B", late, ENGINE_TTL_KEEP)->err, TENURE_OK);
    struct mono end = harness->now;
    harness->now = begin;
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness->now = end;
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP)->err, TENURE_OK);
    harness_advance(harness, 999);
    CHECK_EQ_UINT(harness_holder(harness, "b"), late);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "b"), 0);
    harness_close(&harness);
}

/* While the loop could hear nothing, no deadline passes: of holds, of waits, of lock-delays. */
TEST(clock_moves_all_deadlines_by_a_stall)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    (void)harness_hold(
        harness, ASK(.name = "d", .owner = "D", .ttl_ms = 100, .lock_delay_ms = 1300));
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 800));
    harness_advance(harness, 300);
    CHECK_EQ_INT(harness_look(harness, "d").delay_ms, 1100);
    struct mono deadline = engine_deadline(harness->engine);
    harness_stall(harness, 60000);
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, deadline.ns + 60000 * NS_PER_MS);
    CHECK_EQ_INT(harness_look(harness, "d").delay_ms, 1100);
    struct engine_hold_view view;
    CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("a"), harness->now, 0, &view));
    CHECK_EQ_INT(view.remaining_ms, 700);
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    CHECK(harness_answer(harness, tag) == NULL);
    harness_advance(harness, 499);
    CHECK(harness_answer(harness, tag) == NULL);
    harness_advance(harness, 1);
    CHECK_EQ_INT(harness_answer(harness, tag)->err, TENURE_TIMEOUT);
    CHECK_EQ_INT(harness_answer(harness, tag)->results[0].waited_ms, 800);
    harness_advance(harness, 199);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_advance(harness, 399);
    CHECK_EQ_INT(harness_look(harness, "d").delay_ms, 1);
    harness_advance(harness, 1);
    CHECK_EQ_INT(harness_look(harness, "d").delay_ms, 0);
    harness_stall(harness, 0);
    harness_close(&harness);
}

TEST(clock_that_runs_backwards_stands_still)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    harness_advance(harness, 900);
    harness_pass(harness, -100000);
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    struct engine_hold_view view;
    CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("a"), harness->now, 0, &view));
    CHECK_EQ_INT(view.remaining_ms, 100);
    harness_close(&harness);
}

/* The wall clock decides nothing. */
TEST(clock_on_the_wall_may_jump)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    harness->wall.us += INT64_C(10) * 365 * 86400 * 1000000;
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness->wall.us = -5;
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    (void)harness_hold(harness, ASK(.name = "b", .owner = "B", .ttl_ms = 1000));
    CHECK_EQ_INT(harness_record(harness, 2).at.us, 0);
    harness_advance(harness, 1000);
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, 0);
    harness_close(&harness);
}

/* A renewal leaves the timer where it is; when it fires it is put right, and nothing expires. */
TEST(clock_fires_early_for_what_was_renewed)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000));
    harness_advance(harness, 600);
    (void)harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP);
    harness_advance(harness, 400);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, harness->now.ns + 600 * NS_PER_MS);
    /* One nanosecond counts. */
    uint64_t other = harness_hold(harness, ASK(.name = "b", .owner = "B", .ttl_ms = 100));
    harness->now.ns++;
    (void)harness_renew(harness, "b", "B", other, ENGINE_TTL_KEEP);
    harness->now.ns += 100 * NS_PER_MS - 1;
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "b"), other);
    harness->now.ns++;
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "b"), 0);
    /* And a shorter ttl fires in time. */
    (void)harness_renew(harness, "a", "A", token, 200);
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, harness->now.ns + 200 * NS_PER_MS);
    harness_advance(harness, 200);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

/* One timer event ends a bounded number of things; the rest is due at once. */
TEST(clock_ends_what_is_due_in_batches)
{
    struct harness *harness = harness_open();
    harness->check_every = 50;
    char name[16];
    for (unsigned index = 0; index < 1000; index++) {
        (void)snprintf(name, sizeof name, "n%u", index);
        (void)harness_hold(harness, ASK(.name = name, .owner = "A", .ttl_ms = 1000));
    }
    harness_pass(harness, 1000);
    uint64_t seq = engine_seq(harness->engine).value;
    for (unsigned batch = 0; batch < 4; batch++) {
        CHECK_LE_INT(engine_deadline(harness->engine).ns, harness->now.ns);
        harness_timer(harness);
        uint64_t made = engine_seq(harness->engine).value - seq;
        CHECK_LE_UINT(made, ENGINE_TIMER_BATCH);
        CHECK_LT_UINT(0, made);
        seq += made;
    }
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, 0);
    CHECK_EQ_INT(engine_deadline(harness->engine).ns, INT64_MAX);
    harness_close(&harness);
}

/* ---------------------------------------------------------------- lock-delay */

TEST(clock_lock_delay_follows_an_unclean_end_only)
{
    struct harness *harness = harness_open();
    struct ask ask = ASK(.name = "a", .owner = "A", .ttl_ms = 1000, .lock_delay_ms = 3000);
    uint64_t token = harness_hold(harness, ask);
    (void)harness_release(harness, "a", "A", token);
    CHECK_EQ_INT(harness_look(harness, "a").delay_ms, 0);

    (void)harness_hold(harness, ask);
    harness_advance(harness, 1000);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    CHECK_EQ_INT(harness_look(harness, "a").delay_ms, 3000);
    struct record record = harness_record(harness, engine_seq(harness->engine).value);
    CHECK_EQ_INT(record.kind, RECORD_EXPIRED);
    CHECK_EQ_UINT(record.lock_delay_ms, 3000);
    harness_verify(harness);
    harness_advance(harness, 1200);
    const struct engine_reply *reply = harness_acquire(harness, ASK(.name = "a", .owner = "B"));
    CHECK_EQ_INT(reply->err, TENURE_HELD);
    CHECK_EQ_UINT(reply->results[0].holder.name.size, 0);
    CHECK_EQ_INT(reply->results[0].retry_after_ms, 1800);
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 5000));
    harness_advance(harness, 1799);
    CHECK(harness_answer(harness, tag) == NULL);
    harness_advance(harness, 1);
    CHECK(is_granted(harness, tag));
    CHECK_EQ_UINT(harness_count(harness, RECORD_AVAILABLE, "a"), 1);
    token = harness_answer(harness, tag)->results[0].hold.token.value;
    (void)harness_release(harness, "a", "B", token);

    token = harness_hold(harness, ask);
    (void)harness_break(harness, "a", token, "why", 0);
    CHECK_EQ_INT(harness_look(harness, "a").delay_ms, 3000);
    harness_advance(harness, 3000);
    CHECK_EQ_UINT(harness_count(harness, RECORD_AVAILABLE, "a"), 2);
    harness_close(&harness);
}

/* The timer of a delay is due, but a request comes first: it is refused, with no time below 0. */
TEST(clock_lock_delay_that_is_due)
{
    struct harness *harness = harness_open();
    (void)harness_hold(
        harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000, .lock_delay_ms = 500));
    harness_advance(harness, 1000);
    harness_pass(harness, 9000);
    const struct engine_reply *reply = harness_acquire(harness, ASK(.name = "a", .owner = "B"));
    CHECK_EQ_INT(reply->err, TENURE_HELD);
    CHECK_EQ_INT(reply->results[0].retry_after_ms, 0);
    harness_timer(harness);
    (void)harness_hold(harness, ASK(.name = "a", .owner = "B"));
    harness_close(&harness);
}

TEST(clock_lock_delay_runs_again_after_a_restart)
{
    struct harness *harness = harness_open();
    (void)harness_hold(
        harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000, .lock_delay_ms = 3000));
    harness_advance(harness, 3000);
    CHECK_EQ_INT(harness_look(harness, "a").delay_ms, 1000);
    harness_restart(harness);
    CHECK_EQ_INT(harness_look(harness, "a").delay_ms, 3000);
    harness_advance(harness, 3000);
    CHECK_EQ_UINT(harness_count(harness, RECORD_AVAILABLE, "a"), 1);
    (void)harness_hold(harness, ASK(.name = "a", .owner = "B"));
    harness_close(&harness);
}

/* Two slots are lost one after the other: the later end of the two counts, live and replayed. */
TEST(clock_lock_delays_that_overlap)
{
    struct harness *harness = harness_open();
    struct ask ask = ASK(.name = "s", .owner = "A", .slots = 3, .ttl_ms = 1000);
    ask.lock_delay_ms = 10000;
    (void)harness_hold(harness, ask);
    ask.owner = "B";
    ask.ttl_ms = 2000;
    ask.lock_delay_ms = 4000; /* covered by the first */
    (void)harness_hold(harness, ask);
    ask.owner = "C";
    ask.ttl_ms = 8000;
    ask.lock_delay_ms = 5000; /* ends after the first */
    (void)harness_hold(harness, ask);
    harness_advance(harness, 1000);
    CHECK_EQ_INT(harness_look(harness, "s").delay_ms, 10000);
    harness_advance(harness, 1000);
    CHECK_EQ_INT(harness_look(harness, "s").delay_ms, 9000);
    harness_verify(harness);
    harness_advance(harness, 6000);
    CHECK_EQ_INT(harness_look(harness, "s").delay_ms, 5000);
    harness_verify(harness);
    harness_advance(harness, 4999);
    CHECK_EQ_INT(harness_look(harness, "s").delay_ms, 1);
    harness_advance(harness, 1);
    CHECK_EQ_INT(harness_look(harness, "s").delay_ms, 0);
    CHECK_EQ_UINT(harness_count(harness, RECORD_AVAILABLE, "s"), 1);
    harness_close(&harness);
}

/* The next ones say how many slots there are; what the lost holder had fixed is over. */
TEST(clock_lock_delay_alone_fixes_no_slots)
{
    struct harness *harness = harness_open();
    (void)harness_hold(
        harness, ASK(.name = "a", .owner = "A", .ttl_ms = 1000, .lock_delay_ms = 3000));
    harness_advance(harness, 1000);
    uint64_t tags[3];
    static const char *const owners[] = { "B", "C", "D" };
    for (unsigned index = 0; index < 3; index++) {
        tags[index] = harness_wait(
            harness, ASK(.name = "a", .owner = owners[index], .slots = 3, .wait_ms = 60000));
    }
    CHECK_EQ_UINT(harness_look(harness, "a").slots, 3);
    const struct engine_reply *reply =
        harness_acquire(harness, ASK(.name = "a", .owner = "E", .wait_ms = 60000));
    CHECK_EQ_INT(reply->err, TENURE_LIMIT_MISMATCH);
    harness_advance(harness, 3000);
    for (uint32_t index = 0; index < 3; index++) {
        CHECK(is_granted(harness, tags[index]));
        const struct engine_hold_view *hold =
            &harness_answer(harness, tags[index])->results[0].hold;
        CHECK_EQ_UINT(hold->slots, 3);
        CHECK_EQ_UINT(hold->slot, index);
    }
    harness_close(&harness);
}

/* ------------------------------------------------------------------ restart */

TEST(clock_restart_gives_every_hold_its_full_ttl)
{
    struct harness *harness = harness_open();
    uint64_t a = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 5000));
    uint64_t b = harness_hold(harness, ASK(.name = "b", .owner = "B", .ttl_ms = 100));
    uint64_t c = harness_hold(harness, ASK(.name = "c", .owner = "C", .is_endless = true));
    uint64_t d = harness_hold(harness, ASK(.name = "d", .owner = "D", .ttl_ms = 5000));
    (void)harness_renew(harness, "d", "D", d, 9000);
    harness_pass(harness, 4999); /* b is overdue, but nobody has ended it */
    harness_restart(harness);
    harness_timer(harness);
    CHECK_EQ_UINT(harness_holder(harness, "b"), b);
    harness_advance(harness, 99);
    CHECK_EQ_UINT(harness_holder(harness, "b"), b);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "b"), 0);
    harness_advance(harness, 4899);
    CHECK_EQ_UINT(harness_holder(harness, "a"), a);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_advance(harness, 3999);
    CHECK_EQ_UINT(harness_holder(harness, "d"), d);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "d"), 0);
    CHECK_EQ_UINT(harness_holder(harness, "c"), c);
    harness_close(&harness);
}

/* The machine has been off: the new clock may begin anywhere. */
TEST(clock_restart_on_another_clock)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 5000));
    harness->now.ns = 3;
    harness_restart(harness);
    harness_advance(harness, 4999);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

/* Waiters die with their connections, and those with the server. */
TEST(clock_restart_forgets_waiters)
{
    struct harness *harness = harness_open();
    static const char *const both[] = { "a", "b", NULL };
    (void)harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_wait(harness, ASK(.names = both, .owner = "B", .wait_ms = 60000));
    harness_restart(harness);
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 0);
    CHECK_EQ_UINT(harness_look(harness, "b").waiter_count, 0);
    CHECK_EQ_UINT(engine_counters(harness->engine).waiter_count, 0);
    harness_advance(harness, HARNESS_TTL_MS);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}
