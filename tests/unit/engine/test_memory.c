/* Every allocation fails once: nothing changes then, nothing is lost, and it works the next time.
 * The harness looks: a command that found no memory has left the hash as it was and is said again;
 * so is any other event. */
#include <stdio.h>

#include "base/map.h"
#include "lib/test.h"
#include "unit/engine/script.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

static struct harness *open_failing_at(uint64_t fail_at)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    harness->fault.call_count = 0;
    harness->fault.fail_at = fail_at;
    return harness;
}

/* Some steps of a random life, with a snapshot under way all the time.  True when the allocation
 * that was to fail was reached. */
static bool live_through(uint64_t fail_at, uint64_t seed, unsigned step_count)
{
    struct test_random random = { seed };
    struct harness *harness = open_failing_at(fail_at);
    struct buffer chunk;
    buffer_init(&chunk, &memory_heap);
    struct seq seq;
    bool is_writing = false;
    for (unsigned step = 0; step < step_count; step++) {
        test_note(
            "seed %llu, allocation %llu, step %u",
            (unsigned long long)seed,
            (unsigned long long)fail_at,
            step);
        script_step(harness, &random);
        if (step % 8 != 0) continue;
        if (!is_writing) engine_snapshot_begin(harness->engine, &seq);
        buffer_reset(&chunk);
        bool is_last = engine_snapshot_write(harness->engine, &chunk, 300);
        is_writing = !is_last && !chunk.is_failed;
        if (chunk.is_failed) CHECK(harness->fault.has_failed);
    }
    bool has_failed = harness->fault.has_failed;
    harness->fault.fail_at = 0;
    buffer_deinit(&chunk);
    harness_close(&harness);
    return has_failed;
}

TEST_WITHIN(120, memory_fails_at_every_allocation_of_a_long_life)
{
    uint64_t fail_at = 1;
    while (live_through(fail_at, 42, 400)) {
        fail_at++;
    }
    CHECK_LT_UINT(300, fail_at);
}

TEST_WITHIN(120, memory_fails_somewhere_in_many_lives)
{
    for (uint64_t seed = 1000; seed < 1600; seed++) {
        (void)live_through(1 + seed * 7 % 200, seed, 250);
    }
}

TEST(memory_fails_while_an_engine_is_made)
{
    struct fault_memory fault;
    for (uint64_t fail_at = 1;; fail_at++) {
        fault_memory_init(&fault, fail_at);
        struct engine_options options = { .memory = &fault.memory,
                                          .hold_count_max = 10,
                                          .waiter_count_max = 10,
                                          .window_size = ENGINE_WINDOW_SIZE_MIN,
                                          .ageing_ms = 1 };
        struct engine *engine = engine_create(&options);
        CHECK((engine == NULL) == fault.has_failed);
        engine_destroy(&engine);
        fault_memory_check_empty(&fault);
        if (!fault.has_failed) break;
    }
}

/* The locks become crowded, with holders and with waiters of all priorities. */
static bool crowd(uint64_t fail_at)
{
    static const char *const owners[] = { "o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7",
                                          "o8", "o9", "oa", "ob", "oc", "od", "oe", "of" };
    struct harness *harness = open_failing_at(fail_at);
    uint64_t tokens[16];
    for (unsigned index = 0; index < 16; index++) {
        tokens[index] =
            harness_hold(harness, ASK(.name = "held", .owner = owners[index], .slots = 20));
        const struct engine_reply *reply = harness_acquire(
            harness,
            ASK(.name = "wanted",
                .owner = owners[index],
                .wait_ms = 60000,
                .priority = index % 10));
        CHECK((reply == NULL) == (index > 0));
    }
    for (unsigned index = 0; index < 16; index++) {
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.name = "held", .owner = owners[index], .slots = 20));
        CHECK(reply->results[0].is_repeat);
        CHECK_EQ_UINT(reply->results[0].hold.token.value, tokens[index]);
    }
    harness_advance(harness, 100000);
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, 0);
    bool has_failed = harness->fault.has_failed;
    harness->fault.fail_at = 0;
    harness_close(&harness);
    return has_failed;
}

TEST(memory_fails_while_a_lock_becomes_crowded)
{
    uint64_t fail_at = 1;
    while (crowd(fail_at)) {
        fail_at++;
    }
    CHECK_LT_UINT(40, fail_at);
}

/* The start finds no memory: it says so, and leaves nothing behind. */
TEST(memory_fails_while_an_engine_is_restored)
{
    struct test_random random = { 5 };
    struct harness *harness = harness_open();
    script_run(harness, &random, 600);
    struct buffer chunk;
    buffer_init(&chunk, &memory_heap);
    struct seq seq;
    engine_snapshot_begin(harness->engine, &seq);
    CHECK(engine_snapshot_write(harness->engine, &chunk, 1 << 20));

    for (unsigned way = 0; way < 2; way++) {
        for (uint64_t fail_at = 1;; fail_at++) {
            struct fault_memory fault;
            fault_memory_init(&fault, 0);
            struct engine_options options = harness->options;
            options.memory = &fault.memory;
            struct engine *engine = engine_create(&options);
            CHECK(engine != NULL);
            fault.call_count = 0;
            fault.fail_at = fail_at;
            enum tenure_err err = TENURE_OK;
            if (way == 0) err = engine_restore_chunk(engine, buffer_bytes(&chunk));
            for (size_t index = 0; way == 1 && err == TENURE_OK && index < harness->batch_count;
                 index++) {
                const struct harness_batch *batch = &harness->batches[index];
                struct bytes records = { harness->journal.data + batch->offset, batch->size };
                err = engine_restore_batch(engine, batch->first, batch->count, records);
            }
            if (err == TENURE_OK) {
                struct engine_event event = { .kind = ENGINE_READY, .now = harness->now };
                struct engine_update update;
                err = engine_step(engine, &event, &update);
            }
            CHECK_EQ_INT(err, fault.has_failed ? TENURE_NO_MEMORY : TENURE_OK);
            fault.fail_at = 0;
            if (err == TENURE_OK) CHECK_EQ_UINT(engine_hash(engine), harness_hash(harness));
            engine_destroy(&engine);
            fault_memory_check_empty(&fault);
            if (!fault.has_failed) break;
        }
    }
    buffer_deinit(&chunk);
    harness_close(&harness);
}

/* One lock has so many parties that the next few make the table grow, while another lock becomes
 * crowded: of its parties all or none are in the table. */
static void crowd_while_the_table_grows(uint32_t party_count, uint64_t fail_at)
{
    char owner[16];
    struct harness *harness = open_failing_at(0);
    harness->check_every = 1000000;
    for (uint32_t index = 0; index < party_count; index++) {
        (void)snprintf(owner, sizeof owner, "r%u", index);
        (void)harness_hold(harness, ASK(.name = "many", .owner = owner, .mode = ENGINE_SHARED));
    }
    for (unsigned index = 0; index < 8; index++) {
        (void)snprintf(owner, sizeof owner, "o%u", index);
        const struct engine_reply *reply = harness_acquire(
            harness,
            ASK(.name = "few", .owner = owner, .slots = 3, .wait_ms = 60000, .priority = index));
        CHECK((reply != NULL) == (index < 3));
    }
    harness->fault.call_count = 0;
    harness->fault.fail_at = fail_at;
    (void)harness_wait(harness, ASK(.name = "few", .owner = "last", .slots = 3, .wait_ms = 1000));
    engine_check(harness->engine);
    harness->fault.fail_at = 0;
    for (unsigned index = 0; index < 8; index++) {
        (void)snprintf(owner, sizeof owner, "o%u", index);
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.name = "few", .owner = owner, .slots = 3));
        CHECK_EQ_INT(reply->err, index < 3 ? TENURE_OK : TENURE_HELD);
    }
    harness_advance(harness, 200000);
    engine_check(harness->engine);
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, 0);
    harness_close(&harness);
}

TEST_WITHIN(60, memory_fails_while_the_table_of_parties_grows)
{
    for (uint32_t party_count = MAP_SEGMENT_SIZE - 10; party_count < MAP_SEGMENT_SIZE;
         party_count++) {
        for (uint64_t fail_at = 1; fail_at <= 2; fail_at++) {
            crowd_while_the_table_grows(party_count, fail_at);
        }
    }
}

/* A server that has just started has room for nothing yet: what asks for many is refused, and said
 * again. */
TEST(memory_fails_right_after_a_start)
{
    static const char *const names[] = { "a", "b", "c", "d", NULL };
    for (unsigned what = 0; what < 7; what++) {
        for (uint64_t fail_at = 1; fail_at < 12; fail_at++) {
            test_note("what %u, allocation %llu", what, (unsigned long long)fail_at);
            struct harness *harness = harness_open();
            const struct engine_reply *reply =
                harness_acquire(harness, ASK(.names = names, .owner = "A"));
            uint64_t token = reply->results[0].hold.token.value;
            struct engine_claim claims[8];
            for (unsigned index = 0; index < 8; index++) {
                claims[index] = (struct engine_claim){
                    BYTES_LITERAL("a"), BYTES_LITERAL("A"), { token }, 1000 + index
                };
            }
            harness_restart(harness);
            harness->fault.call_count = 0;
            uint64_t tag = 0;
            if (what >= 4) {
                tag = harness_wait(
                    harness, ASK(.name = "a", .owner = "B", .wait_ms = 9000, .client = 2));
            }
            harness->fault.call_count = 0;
            harness->fault.fail_at = fail_at;
            enum tenure_err err = TENURE_OK;
            switch (what) {
            case 0: err = harness_acquire(harness, ASK(.names = names, .owner = "A"))->err; break;
            case 1:
                err =
                    harness_command(
                        harness,
                        &(struct engine_command){ .kind = ENGINE_RENEW, .as.renew = { claims, 8 } })
                        ->err;
                break;
            case 2: err = harness_release(harness, "a", "A", token)->err; break;
            case 3: err = harness_break(harness, "a", token, "why", 500)->err; break;
            case 4: err = harness_transfer(harness, "a", "A", token, "B")->err; break;
            case 5:
                tag = harness_wait(
                    harness, ASK(.name = "a", .owner = "B", .wait_ms = 9000, .client = 3));
                break;
            default: CHECK_EQ_INT(harness_cancel(harness, 2, tag)->err, TENURE_CANCELED); break;
            }
            CHECK_EQ_INT(err, TENURE_OK);
            if (what == 2) CHECK(!harness->fault.has_failed);
            engine_check(harness->engine);
            harness->fault.fail_at = 0;
            harness_close(&harness);
        }
    }
}

/* All memory is gone: who holds can still renew and give back, and what is due still ends. */
TEST(memory_that_is_gone_stops_no_holder)
{
    struct harness *harness = harness_open();
    uint64_t a = harness_hold(harness, ASK(.name = "a", .owner = "A", .lock_delay_ms = 1000));
    uint64_t b = harness_hold(harness, ASK(.name = "b", .owner = "B", .lock_delay_ms = 1000));
    harness_restart(harness);
    harness->fault.call_count = 0;
    harness->fault.fail_at = 1;
    harness->fault.is_failing_on = true;
    harness->fault.has_failed = true; /* so that the harness does not say it again */
    CHECK_EQ_INT(harness_renew(harness, "a", "A", a, ENGINE_TTL_KEEP)->err, TENURE_OK);
    CHECK_EQ_INT(harness_renew(harness, "a", "A", a, 5000)->err, TENURE_OK);
    CHECK_EQ_INT(harness_acquire(harness, ASK(.name = "c", .owner = "C"))->err, TENURE_NO_MEMORY);
    CHECK_EQ_INT(harness_acquire(harness, ASK(.name = "a", .owner = "C"))->err, TENURE_HELD);
    CHECK(harness_acquire(harness, ASK(.name = "a", .owner = "A"))->results[0].is_repeat);
    CHECK_EQ_INT(harness_break(harness, "b", b, "why", 0)->err, TENURE_OK);
    CHECK_EQ_INT(harness_look(harness, "b").delay_ms, 1000);
    harness_advance(harness, 5000);
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, 0);
    CHECK_EQ_INT(harness_look(harness, "a").delay_ms, 1000);
    harness_advance(harness, 1000);
    CHECK_EQ_UINT(harness_count(harness, RECORD_AVAILABLE, NULL), 2);
    harness->fault.is_failing_on = false;
    harness->fault.fail_at = 0;
    (void)harness_hold(harness, ASK(.name = "c", .owner = "C"));
    harness_close(&harness);
}

/* Waiters that could not be served for lack of memory are served soon after. */
TEST(memory_that_comes_back_serves_those_who_wait)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    char meta[LIMIT_META_SIZE_MAX + 1] = { 0 };
    memset(meta, 'm', LIMIT_META_SIZE_MAX);
    static const char *const names[] = { "a", "b", "c", "d", "e", NULL };
    uint64_t tag =
        harness_wait(harness, ASK(.names = names, .owner = "B", .meta = meta, .wait_ms = 60000));
    harness->fault.call_count = 0;
    harness->fault.fail_at = 1;
    harness->fault.is_failing_on = true;
    harness->fault.has_failed = true;
    CHECK_EQ_INT(harness_release(harness, "a", "A", token)->err, TENURE_OK);
    CHECK(harness_answer(harness, tag) == NULL);
    harness->fault.is_failing_on = false;
    harness->fault.fail_at = 0;
    CHECK_LE_INT(engine_deadline(harness->engine).ns, harness->now.ns + 10 * NS_PER_MS);
    harness_advance(harness, 10);
    CHECK_EQ_INT(harness_answer(harness, tag)->err, TENURE_OK);
    harness_close(&harness);
}
