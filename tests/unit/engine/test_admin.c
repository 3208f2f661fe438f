/* Break a hold, proclaim a new value, hand over to a candidate. */
#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

static bool is_granted(const struct harness *harness, uint64_t tag)
{
    const struct engine_reply *reply = harness_answer(harness, tag);
    return reply != NULL && reply->err == TENURE_OK;
}

static void check_broken(struct harness *harness, uint64_t token)
{
    const struct engine_reply *reply = harness_release(harness, "a", "A", token);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_BROKEN);
    reply = harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP);
    CHECK_EQ_INT(reply->err, TENURE_LOST);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_BROKEN);
}

TEST(break_ends_a_hold_at_once)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 9000));
    const struct engine_reply *reply = harness_break(harness, "a", token, "gone home", 0);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_BROKEN);
    CHECK_EQ_BYTES(reply->results[0].hold.owner, BYTES_LITERAL("A"));
    CHECK_EQ_UINT(reply->results[0].hold.token.value, token);
    CHECK_EQ_UINT(reply->seq.value, 2);
    struct record record = harness_record(harness, 2);
    CHECK_EQ_INT(record.kind, RECORD_BROKEN);
    CHECK_EQ_BYTES(record.reason, BYTES_LITERAL("gone home"));
    CHECK(is_granted(harness, tag));
    check_broken(harness, token);
    CHECK_EQ_UINT(engine_counters(harness->engine).broken, 1);
    harness_close(&harness);
}

TEST(break_needs_the_current_token_and_a_reason)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t hash = harness_hash(harness);
    const struct engine_reply *reply = harness_break(harness, "a", token - 1, "why", 0);
    CHECK_EQ_INT(reply->err, TENURE_STALE_TOKEN);
    CHECK_EQ_UINT(reply->seq.value, 1);
    CHECK_EQ_INT(harness_break(harness, "none", token, "why", 0)->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_break(harness, "a", token, "", 0)->err, TENURE_INVALID);
    CHECK_EQ_INT(harness_break(harness, "a", token, "a\nb", 0)->err, TENURE_INVALID);
    char reason[LIMIT_REASON_SIZE_MAX + 2] = { 0 };
    memset(reason, 'r', LIMIT_REASON_SIZE_MAX + 1);
    CHECK_EQ_INT(harness_break(harness, "a", token, reason, 0)->err, TENURE_INVALID);
    reply = harness_break(harness, "a", token, "why", LIMIT_GRACE_MS_MAX + 1);
    CHECK_EQ_INT(reply->err, TENURE_INVALID);
    CHECK(reply->detail != NULL);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    reason[LIMIT_REASON_SIZE_MAX] = '\0';
    CHECK_EQ_INT(harness_break(harness, "a", token, reason, LIMIT_GRACE_MS_MAX)->err, TENURE_OK);
    CHECK_EQ_INT(harness_break(harness, "a", token, reason, 0)->err, TENURE_OK);
    CHECK_EQ_INT(harness_break(harness, "a", token, reason, 0)->err, TENURE_NOT_FOUND);
    harness_close(&harness);
}

/* One of many is broken by its token, the others stay. */
TEST(break_one_reader_of_many)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "a", .owner = "r1", .mode = ENGINE_SHARED));
    uint64_t two = harness_hold(harness, ASK(.name = "a", .owner = "r2", .mode = ENGINE_SHARED));
    (void)harness_hold(harness, ASK(.name = "a", .owner = "r3", .mode = ENGINE_SHARED));
    CHECK_EQ_INT(harness_break(harness, "a", two, "why", 0)->err, TENURE_OK);
    CHECK_EQ_UINT(harness_look(harness, "a").hold_count, 2);
    CHECK_EQ_INT(harness_break(harness, "a", two, "why", 0)->err, TENURE_STALE_TOKEN);
    harness_close(&harness);
}

TEST(break_with_grace_lets_the_holder_finish)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    const struct engine_reply *reply = harness_break(harness, "a", token, "move", 2000);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_NONE);
    CHECK(reply->results[0].hold.is_breaking);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, 2000);
    CHECK_EQ_INT(harness_record(harness, 2).kind, RECORD_BREAKING);
    harness_advance(harness, 1000);
    /* The holder is told, and a renewal extends nothing. */
    reply = harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK(reply->results[0].hold.is_breaking);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, 1000);
    reply = harness_renew(harness, "a", "A", token, 60000);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, 1000);
    reply = harness_renew(harness, "a", "A", token, 0);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, 1000);
    harness_advance(harness, 999);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    CHECK_EQ_UINT(harness_count(harness, RECORD_BROKEN, "a"), 1);
    struct record record = harness_record(harness, engine_seq(harness->engine).value);
    CHECK_EQ_BYTES(record.reason, BYTES_LITERAL("move"));
    check_broken(harness, token);

    token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_break(harness, "a", token, "move", 2000);
    reply = harness_release(harness, "a", "A", token);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_RELEASED);
    harness_advance(harness, 5000);
    CHECK_EQ_UINT(harness_count(harness, RECORD_BROKEN, "a"), 1);
    harness_close(&harness);
}

/* The ttl goes on during the grace: a holder that has died expires as always. */
TEST(break_with_a_grace_longer_than_the_ttl)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_break(harness, "a", token, "move", HARNESS_TTL_MS + 1);
    harness_advance(harness, HARNESS_TTL_MS);
    CHECK_EQ_UINT(harness_count(harness, RECORD_EXPIRED, "a"), 1);
    token = harness_hold(harness, ASK(.name = "b", .owner = "A", .is_endless = true));
    (void)harness_break(harness, "b", token, "move", 3000);
    harness_advance(harness, 3000);
    CHECK_EQ_UINT(harness_count(harness, RECORD_BROKEN, "b"), 1);
    harness_close(&harness);
}

TEST(break_again_replaces_the_grace)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 60000));
    (void)harness_break(harness, "a", token, "one", 5000);
    const struct engine_reply *reply = harness_break(harness, "a", token, "two", 1000);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, 1000);
    reply = harness_break(harness, "a", token, "three", 20000);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, 20000);
    harness_verify(harness);
    harness_advance(harness, 19999);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_advance(harness, 1);
    struct record record = harness_record(harness, engine_seq(harness->engine).value);
    CHECK_EQ_INT(record.kind, RECORD_BROKEN);
    CHECK_EQ_BYTES(record.reason, BYTES_LITERAL("three"));

    token = harness_hold(harness, ASK(.name = "a", .owner = "A", .ttl_ms = 60000));
    (void)harness_break(harness, "a", token, "one", 5000);
    CHECK_EQ_INT(harness_break(harness, "a", token, "now", 0)->results[0].end, ENGINE_END_BROKEN);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

/* A restart gives the grace again, whole. */
TEST(break_with_grace_survives_a_restart)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .is_endless = true));
    (void)harness_break(harness, "a", token, "move", 5000);
    harness_advance(harness, 4000);
    harness_restart(harness);
    harness_advance(harness, 4999);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

/* Broken before it was durable: with grace, the grace runs from the break. */
TEST(break_of_a_hold_that_is_not_durable)
{
    struct harness *harness = harness_open();
    harness->is_auto_durable = false;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    CHECK_EQ_INT(harness_break(harness, "a", token, "why", 0)->err, TENURE_OK);
    token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    CHECK_EQ_INT(harness_break(harness, "a", token, "why", 1000)->err, TENURE_OK);
    harness_durable(harness, engine_seq(harness->engine));
    harness_advance(harness, 1000);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

TEST(proclaim_gives_the_hold_a_new_value)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .meta = "old"));
    const struct engine_reply *reply = harness_proclaim(harness, "a", "A", token, "new value");
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_BYTES(reply->results[0].hold.meta, BYTES_LITERAL("new value"));
    CHECK_EQ_UINT(reply->seq.value, 2);
    struct record record = harness_record(harness, 2);
    CHECK_EQ_INT(record.kind, RECORD_PROCLAIMED);
    CHECK_EQ_BYTES(record.meta, BYTES_LITERAL("new value"));
    reply = harness_acquire(harness, ASK(.name = "a", .owner = "B"));
    CHECK_EQ_BYTES(reply->results[0].holder.meta, BYTES_LITERAL("new value"));
    harness_verify(harness);
    reply = harness_proclaim(harness, "a", "A", token, "");
    CHECK_EQ_UINT(reply->results[0].hold.meta.size, 0);
    uint64_t hash = harness_hash(harness);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "B", token, "x")->err, TENURE_NOT_OWNER);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token + 1, "x")->err, TENURE_STALE_TOKEN);
    CHECK_EQ_INT(harness_proclaim(harness, "b", "A", token, "x")->err, TENURE_NOT_OWNER);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token, "\xff")->err, TENURE_INVALID);
    static char value[LIMIT_META_SIZE_MAX + 2];
    memset(value, 'v', LIMIT_META_SIZE_MAX + 1);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token, value)->err, TENURE_INVALID);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    value[LIMIT_META_SIZE_MAX] = '\0';
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token, value)->err, TENURE_OK);
    harness_advance(harness, HARNESS_TTL_MS); /* it renews nothing */
    reply = harness_proclaim(harness, "a", "A", token, "late");
    CHECK_EQ_INT(reply->err, TENURE_LOST);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_EXPIRED_UNCLAIMED);
    harness_close(&harness);
}

/* The room that is left on a full disk is for letting go of locks. */
TEST(proclaim_on_a_full_disk_is_refused)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .meta = "old"));
    harness_gate(harness, ENGINE_GATE_NO_SPACE);
    uint64_t hash = harness_hash(harness);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token, "new")->err, TENURE_NO_SPACE);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token + 1, "new")->err, TENURE_STALE_TOKEN);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    harness_gate(harness, ENGINE_GATE_SLOW);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token, "new")->err, TENURE_OK);
    harness_gate(harness, ENGINE_GATE_OPEN);
    CHECK_EQ_INT(harness_proclaim(harness, "a", "A", token, "newer")->err, TENURE_OK);
    harness_close(&harness);
}

TEST(transfer_hands_over_to_the_named_candidate)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .lock_delay_ms = 5000));
    uint64_t first = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 9000));
    uint64_t chosen = harness_wait(
        harness, ASK(.name = "a", .owner = "C", .meta = "c", .wait_ms = 9000, .ttl_ms = 3000));
    harness_pass(harness, 100);
    const struct engine_reply *reply = harness_transfer(harness, "a", "A", token, "C");
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_INT(reply->kind, ENGINE_TRANSFER);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_RELEASED);
    uint64_t successor = reply->results[0].successor.value;
    CHECK_LT_UINT(token, successor);
    CHECK_EQ_BYTES(reply->results[0].hold.owner, BYTES_LITERAL("C"));
    CHECK_EQ_UINT(reply->seq.value, 3);
    CHECK_EQ_UINT(harness->batches[harness->batch_count - 1].count, 2);
    CHECK(is_granted(harness, chosen));
    const struct engine_result *granted = &harness_answer(harness, chosen)->results[0];
    CHECK_EQ_UINT(granted->hold.token.value, successor);
    CHECK_EQ_INT(granted->waited_ms, 100);
    CHECK_EQ_UINT(granted->hold.ttl_ms, 3000);
    CHECK(harness_answer(harness, first) == NULL);
    CHECK_EQ_UINT(harness_holder(harness, "a"), successor);
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 1);
    struct record record = harness_record(harness, 2);
    CHECK_EQ_INT(record.kind, RECORD_RELEASED);
    CHECK_EQ_BYTES(record.reason, BYTES_LITERAL("transferred"));

    /* The answer was lost: asked again, and after a restart, it is the same. */
    for (unsigned round = 0; round < 2; round++) {
        reply = harness_transfer(harness, "a", "A", token, "C");
        CHECK_EQ_INT(reply->err, TENURE_OK);
        CHECK(reply->results[0].is_repeat);
        CHECK_EQ_INT(reply->results[0].end, ENGINE_END_RELEASED);
        CHECK_EQ_UINT(reply->results[0].successor.value, successor);
        harness_restart(harness);
    }
    CHECK_EQ_UINT(harness_holder(harness, "a"), successor);

    /* To somebody else it is another request, and it did not happen. */
    reply = harness_transfer(harness, "a", "A", token, "B");
    CHECK_EQ_INT(reply->err, TENURE_LOST);
    CHECK_EQ_INT(reply->results[0].end, ENGINE_END_RELEASED);
    CHECK_EQ_UINT(harness_holder(harness, "a"), successor);
    harness_close(&harness);
}

TEST(transfer_refusals)
{
    struct harness *harness = harness_open();
    static const char *const both[] = { "a", "b", NULL };
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 9000));
    (void)harness_wait(harness, ASK(.names = both, .owner = "C", .wait_ms = 9000));
    (void)harness_wait(
        harness, ASK(.name = "a", .owner = "R", .mode = ENGINE_SHARED, .wait_ms = 9000));
    uint64_t hash = harness_hash(harness);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "nobody")->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "A")->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "C")->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "R")->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "")->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token + 1, "B")->err, TENURE_STALE_TOKEN);
    CHECK_EQ_INT(harness_transfer(harness, "a", "B", token, "B")->err, TENURE_NOT_OWNER);
    harness_gate(harness, ENGINE_GATE_NO_SPACE);
    CHECK_EQ_INT(harness_transfer(harness, "a", "A", token, "B")->err, TENURE_UNAVAILABLE);
    harness_gate(harness, ENGINE_GATE_OPEN);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);

    /* Of readers nobody can hand over. */
    uint64_t reader = harness_hold(harness, ASK(.name = "s", .owner = "r", .mode = ENGINE_SHARED));
    (void)harness_wait(harness, ASK(.name = "s", .owner = "w", .wait_ms = 9000));
    (void)harness_wait(
        harness, ASK(.name = "s", .owner = "q", .mode = ENGINE_SHARED, .wait_ms = 9000));
    CHECK_EQ_INT(harness_transfer(harness, "s", "r", reader, "w")->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(harness_transfer(harness, "s", "r", reader, "q")->err, TENURE_NOT_FOUND);
    harness_close(&harness);
}

/* A slot was lost uncleanly: nobody gets in, also not by a transfer of another slot. */
TEST(transfer_during_a_lock_delay_is_refused)
{
    struct harness *harness = harness_open();
    uint64_t token =
        harness_hold(harness, ASK(.name = "s", .owner = "A", .slots = 2, .ttl_ms = 60000));
    (void)harness_hold(
        harness, ASK(.name = "s", .owner = "B", .slots = 2, .ttl_ms = 1000, .lock_delay_ms = 3000));
    uint64_t tag =
        harness_wait(harness, ASK(.name = "s", .owner = "C", .slots = 2, .wait_ms = 60000));
    harness_advance(harness, 1000);
    CHECK_EQ_INT(harness_look(harness, "s").delay_ms, 3000);
    CHECK(harness_answer(harness, tag) == NULL);
    CHECK_EQ_INT(harness_transfer(harness, "s", "A", token, "C")->err, TENURE_UNAVAILABLE);
    harness_advance(harness, 3000);
    CHECK(is_granted(harness, tag));
    harness_close(&harness);
}

/* The candidate gets the very slot of the holder, though a lower one is free for those whose turn
 * it is. */
TEST(transfer_of_a_slot_keeps_the_slot)
{
    struct harness *harness = harness_open();
    static const char *const both[] = { "s", "t", NULL };
    uint64_t zero = harness_hold(harness, ASK(.name = "s", .owner = "A", .slots = 2));
    uint64_t one = harness_hold(harness, ASK(.name = "s", .owner = "B", .slots = 2));
    (void)harness_hold(harness, ASK(.name = "t", .owner = "T", .slots = 2));
    (void)harness_hold(harness, ASK(.name = "t", .owner = "U", .slots = 2));
    (void)harness_wait(harness, ASK(.names = both, .owner = "M", .slots = 2, .wait_ms = 60000));
    uint64_t tag =
        harness_wait(harness, ASK(.name = "s", .owner = "C", .slots = 2, .wait_ms = 60000));
    (void)harness_release(harness, "s", "A", zero);
    const struct engine_reply *reply = harness_transfer(harness, "s", "B", one, "C");
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK(is_granted(harness, tag));
    CHECK_EQ_UINT(harness_answer(harness, tag)->results[0].hold.slot, 1);
    uint64_t successor = reply->results[0].successor.value;
    reply = harness_transfer(harness, "s", "B", one, "C");
    CHECK_EQ_UINT(reply->results[0].successor.value, successor);
    harness_close(&harness);
}
