/* The holder speaks: renew, release, and what became of a hold that is no more. */
#include <stdio.h>

#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

static struct engine_claim claim(const char *name, const char *owner, uint64_t token, uint32_t ttl)
{
    return (struct engine_claim){ bytes_from_text(name), bytes_from_text(owner), { token }, ttl };
}

static const struct engine_reply *
renew_many(struct harness *harness, const struct engine_claim *claims, uint32_t count)
{
    struct engine_command command = { .kind = ENGINE_RENEW, .as.renew = { claims, count } };
    return harness_command(harness, &command);
}

static void check_end(
    const struct engine_reply *reply, enum tenure_err err, enum engine_end end, uint64_t successor)
{
    CHECK_EQ_INT(reply->err, err);
    CHECK_EQ_UINT(reply->result_count, 1);
    CHECK_EQ_INT(reply->results[0].err, err);
    CHECK_EQ_TEXT(engine_end_word(reply->results[0].end), engine_end_word(end));
    CHECK_EQ_UINT(reply->results[0].successor.value, successor);
}

TEST(renew_gives_the_full_ttl_and_is_not_logged)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .meta = "m"));
    for (unsigned round = 0; round < 20; round++) {
        harness_advance(harness, HARNESS_TTL_MS - 1);
        const struct engine_reply *reply = harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP);
        CHECK_EQ_INT(reply->err, TENURE_OK);
        CHECK_EQ_INT(reply->results[0].hold.remaining_ms, HARNESS_TTL_MS);
        CHECK_EQ_UINT(reply->results[0].hold.token.value, token);
        CHECK_EQ_BYTES(reply->results[0].hold.meta, BYTES_LITERAL("m"));
        CHECK_EQ_UINT(reply->seq.value, 0); /* a stalled disk does not hold it back */
        reply = harness_renew(harness, "a", "A", token, HARNESS_TTL_MS);
        CHECK_EQ_INT(reply->err, TENURE_OK);
    }
    CHECK_EQ_UINT(engine_seq(harness->engine).value, 1);
    harness_advance(harness, HARNESS_TTL_MS);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

TEST(renew_with_another_ttl_is_logged)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    const struct engine_reply *reply = harness_renew(harness, "a", "A", token, 500);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, 500);
    CHECK_EQ_UINT(reply->results[0].hold.ttl_ms, 500);
    CHECK_EQ_UINT(reply->seq.value, 2);
    struct record record = harness_record(harness, 2);
    CHECK_EQ_INT(record.kind, RECORD_RENEWED);
    CHECK_EQ_UINT(record.ttl_ms, 500);
    CHECK_EQ_UINT(record.token.value, token);
    harness_verify(harness);
    harness_advance(harness, 499);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    /* Until released, and back. */
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, 0)->results[0].hold.remaining_ms, -1);
    harness_verify(harness);
    harness_advance(harness, 1000000);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    harness_restart(harness);
    harness_advance(harness, 1000000);
    CHECK_EQ_UINT(harness_holder(harness, "a"), token);
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, 100)->err, TENURE_OK);
    harness_advance(harness, 100);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    harness_close(&harness);
}

TEST(renew_with_a_ttl_over_the_limits_is_invalid)
{
    static const uint32_t bad[] = { 1, 99, LIMIT_TTL_MS_MAX + 1, UINT32_MAX - 1 };
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    for (unsigned index = 0; index < 4; index++) {
        const struct engine_reply *reply = harness_renew(harness, "a", "A", token, bad[index]);
        CHECK_EQ_INT(reply->err, TENURE_INVALID);
        CHECK(reply->detail != NULL);
    }
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, 100)->err, TENURE_OK);
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, LIMIT_TTL_MS_MAX)->err, TENURE_OK);
    harness_close(&harness);
}

TEST(renew_many_answers_each)
{
    struct harness *harness = harness_open();
    uint64_t a = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t b = harness_hold(harness, ASK(.name = "b", .owner = "A"));
    uint64_t c = harness_hold(harness, ASK(.name = "c", .owner = "A"));
    (void)harness_release(harness, "c", "A", c);
    harness_advance(harness, 5000);
    struct engine_claim claims[] = {
        claim("a", "A", a, ENGINE_TTL_KEEP),
        claim("b", "A", a, ENGINE_TTL_KEEP),
        claim("b", "B", b, ENGINE_TTL_KEEP),
        claim("c", "A", c, ENGINE_TTL_KEEP),
        claim("none", "A", a, 1000),
        claim("b", "A", b, 7000),
        claim("b", "A", b, 50),
        claim("a", "A", a, 2000),
    };
    const struct engine_reply *reply = renew_many(harness, claims, 8);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->result_count, 8);
    static const enum tenure_err errs[] = { TENURE_OK,      TENURE_STALE_TOKEN, TENURE_NOT_OWNER,
                                            TENURE_LOST,    TENURE_NOT_OWNER,   TENURE_OK,
                                            TENURE_INVALID, TENURE_OK };
    for (unsigned index = 0; index < 8; index++) {
        test_note("claim %u", index);
        CHECK_EQ_INT(reply->results[index].err, errs[index]);
        CHECK_EQ_BYTES(reply->results[index].name, claims[index].name);
    }
    CHECK_EQ_INT(reply->results[3].end, ENGINE_END_RELEASED);
    CHECK_EQ_INT(reply->results[5].hold.remaining_ms, 7000);
    CHECK_EQ_INT(reply->results[7].hold.remaining_ms, 2000);
    CHECK_EQ_UINT(harness_count(harness, RECORD_RENEWED, NULL), 2);
    harness_advance(harness, 2000);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    CHECK_EQ_UINT(harness_holder(harness, "b"), b);
    harness_close(&harness);
}

TEST(renew_of_as_many_as_allowed)
{
    enum { COUNT = LIMIT_ITEM_COUNT_MAX };
    static struct engine_claim claims[COUNT + 1];
    static char names[COUNT + 1][8];
    struct harness *harness = harness_open();
    harness->check_every = 97;
    for (unsigned index = 0; index < COUNT; index++) {
        (void)snprintf(names[index], sizeof names[index], "n%u", index);
        uint64_t token = harness_hold(harness, ASK(.name = names[index], .owner = "A"));
        claims[index] = claim(names[index], "A", token, 20000 + index);
    }
    claims[COUNT] = claims[0];
    harness_advance(harness, 9000);
    CHECK_EQ_INT(renew_many(harness, claims, 0)->err, TENURE_INVALID);
    CHECK_EQ_INT(renew_many(harness, claims, COUNT + 1)->err, TENURE_INVALID);
    const struct engine_reply *reply = renew_many(harness, claims, COUNT);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->result_count, COUNT);
    CHECK_EQ_UINT(reply->seq.value, 2 * COUNT);
    harness_advance(harness, 19999);
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, COUNT);
    harness_advance(harness, COUNT);
    CHECK_EQ_UINT(engine_counters(harness->engine).hold_count, 0);
    harness_close(&harness);
}

/* The reply to a renewal before its grant is durable waits for the grant. */
TEST(renew_of_what_is_not_durable_waits_for_the_disk)
{
    struct harness *harness = harness_open();
    harness->is_auto_durable = false;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    const struct engine_reply *reply = harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->seq.value, 1);
    /* So does what is told about a changed ttl, also when it is told a second time. */
    CHECK_EQ_UINT(harness_renew(harness, "a", "A", token, 5000)->seq.value, 2);
    harness_durable(harness, (struct seq){ 1 });
    CHECK_EQ_UINT(harness_renew(harness, "a", "A", token, 5000)->seq.value, 2);
    harness_close(&harness);
}

TEST(release_frees_and_says_so_again)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    const struct engine_reply *reply = harness_release(harness, "a", "A", token);
    check_end(reply, TENURE_OK, ENGINE_END_RELEASED, 0);
    CHECK_EQ_UINT(reply->seq.value, 2);
    CHECK_EQ_UINT(harness_holder(harness, "a"), 0);
    uint64_t hash = harness_hash(harness);
    for (unsigned round = 0; round < 3; round++) {
        reply = harness_release(harness, "a", "A", token);
        check_end(reply, TENURE_OK, ENGINE_END_RELEASED, 0);
        CHECK_LE_UINT(2, reply->seq.value);
    }
    CHECK_EQ_UINT(harness_hash(harness), hash);

    uint64_t second = harness_hold(harness, ASK(.name = "a", .owner = "B"));
    check_end(harness_release(harness, "a", "A", token), TENURE_OK, ENGINE_END_RELEASED, 0);
    CHECK_EQ_UINT(harness_holder(harness, "a"), second);
    harness_restart(harness);
    check_end(harness_release(harness, "a", "A", token), TENURE_OK, ENGINE_END_RELEASED, 0);
    CHECK_EQ_UINT(engine_counters(harness->engine).released, 0); /* counted since the start */
    harness_close(&harness);
}

TEST(release_by_another_changes_nothing)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t hash = harness_hash(harness);
    check_end(harness_release(harness, "a", "B", token), TENURE_OK, ENGINE_END_NONE, 0);
    check_end(harness_release(harness, "a", "A", token + 1), TENURE_OK, ENGINE_END_NONE, 0);
    check_end(harness_release(harness, "a", "A", token - 1), TENURE_OK, ENGINE_END_NONE, 0);
    check_end(harness_release(harness, "a", "A", 0), TENURE_OK, ENGINE_END_NONE, 0);
    check_end(harness_release(harness, "b", "A", token), TENURE_OK, ENGINE_END_NONE, 0);
    check_end(harness_release(harness, "", "", token), TENURE_OK, ENGINE_END_NONE, 0);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    /* A waiter holds nothing that it could give back. */
    (void)harness_wait(harness, ASK(.name = "a", .owner = "W", .wait_ms = 1000));
    check_end(harness_release(harness, "a", "W", 0), TENURE_OK, ENGINE_END_NONE, 0);
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 1);
    harness_close(&harness);
}

TEST(release_after_the_ttl_tells_whether_somebody_got_in)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    harness_advance(harness, HARNESS_TTL_MS);
    check_end(
        harness_release(harness, "a", "A", token), TENURE_OK, ENGINE_END_EXPIRED_UNCLAIMED, 0);
    check_end(
        harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP),
        TENURE_LOST,
        ENGINE_END_EXPIRED_UNCLAIMED,
        0);
    uint64_t second = harness_hold(harness, ASK(.name = "a", .owner = "B"));
    (void)harness_release(harness, "a", "B", second);
    uint64_t third = harness_hold(harness, ASK(.name = "a", .owner = "C"));
    CHECK_LT_UINT(second, third);
    /* The first who got in, whoever came later. */
    check_end(
        harness_release(harness, "a", "A", token), TENURE_OK, ENGINE_END_EXPIRED_TAKEN, second);
    check_end(
        harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP),
        TENURE_LOST,
        ENGINE_END_EXPIRED_TAKEN,
        second);
    harness_restart(harness);
    check_end(
        harness_release(harness, "a", "A", token), TENURE_OK, ENGINE_END_EXPIRED_TAKEN, second);
    harness_close(&harness);
}

/* The owner got in again after its first hold had expired: the old token is lost, not stale. */
TEST(renew_with_an_old_token_of_the_same_owner)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    harness_advance(harness, HARNESS_TTL_MS);
    uint64_t second = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    check_end(
        harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP),
        TENURE_LOST,
        ENGINE_END_EXPIRED_TAKEN,
        second);
    check_end(
        harness_renew(harness, "a", "A", second + 5, ENGINE_TTL_KEEP),
        TENURE_STALE_TOKEN,
        ENGINE_END_NONE,
        0);
    CHECK_EQ_INT(harness_renew(harness, "a", "A", second, ENGINE_TTL_KEEP)->err, TENURE_OK);
    harness_close(&harness);
}

TEST(release_a_reader_beside_is_no_successor)
{
    struct harness *harness = harness_open();
    uint64_t one = harness_hold(harness, ASK(.name = "a", .owner = "r1", .mode = ENGINE_SHARED));
    uint64_t two = harness_hold(
        harness, ASK(.name = "a", .owner = "r2", .mode = ENGINE_SHARED, .ttl_ms = 60000));
    harness_advance(harness, HARNESS_TTL_MS);
    uint64_t three = harness_hold(harness, ASK(.name = "a", .owner = "r3", .mode = ENGINE_SHARED));
    check_end(harness_release(harness, "a", "r1", one), TENURE_OK, ENGINE_END_EXPIRED_UNCLAIMED, 0);
    (void)harness_release(harness, "a", "r2", two);
    (void)harness_release(harness, "a", "r3", three);
    uint64_t writer = harness_hold(harness, ASK(.name = "a", .owner = "w"));
    check_end(
        harness_release(harness, "a", "r1", one), TENURE_OK, ENGINE_END_EXPIRED_TAKEN, writer);
    /* And a reader after a writer is one. */
    harness_advance(harness, HARNESS_TTL_MS);
    uint64_t four = harness_hold(harness, ASK(.name = "a", .owner = "r4", .mode = ENGINE_SHARED));
    check_end(
        harness_release(harness, "a", "w", writer), TENURE_OK, ENGINE_END_EXPIRED_TAKEN, four);
    harness_close(&harness);
}

TEST(release_another_slot_is_no_successor)
{
    struct harness *harness = harness_open();
    uint64_t zero =
        harness_hold(harness, ASK(.name = "s", .owner = "A", .slots = 2, .ttl_ms = 50000));
    uint64_t one = harness_hold(harness, ASK(.name = "s", .owner = "B", .slots = 2));
    harness_advance(harness, HARNESS_TTL_MS);
    (void)harness_release(harness, "s", "A", zero);
    uint64_t third = harness_hold(harness, ASK(.name = "s", .owner = "C", .slots = 2));
    /* C has slot 0, which was A's; B's is free. */
    check_end(harness_release(harness, "s", "B", one), TENURE_OK, ENGINE_END_EXPIRED_UNCLAIMED, 0);
    uint64_t fourth = harness_hold(harness, ASK(.name = "s", .owner = "D", .slots = 2));
    check_end(harness_release(harness, "s", "B", one), TENURE_OK, ENGINE_END_EXPIRED_TAKEN, fourth);
    harness_advance(harness, HARNESS_TTL_MS);
    check_end(
        harness_release(harness, "s", "C", third), TENURE_OK, ENGINE_END_EXPIRED_UNCLAIMED, 0);
    harness_close(&harness);
}

/* A waiter at the moment of the expiry is the successor. */
TEST(release_after_a_waiter_got_in)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 60000));
    harness_advance(harness, HARNESS_TTL_MS);
    const struct engine_reply *reply = harness_answer(harness, tag);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->results[0].waited_ms, HARNESS_TTL_MS);
    check_end(
        harness_release(harness, "a", "A", token),
        TENURE_OK,
        ENGINE_END_EXPIRED_TAKEN,
        reply->results[0].hold.token.value);
    harness_close(&harness);
}

/* The n-th name of a batch; valid until the test ends. */
static const char *name_of(unsigned index)
{
    static char names[1024][8];
    (void)snprintf(names[index], sizeof(names[index]), "n%u", index);
    return names[index];
}

/* One claim finds an ending that lies far back; a thousand of them on one busy name share what may
 * be looked at. */
TEST(renew_of_many_lost_holds_of_one_name_is_bounded)
{
    struct harness *harness = harness_open();
    harness->check_every = 100;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_release(harness, "a", "A", token);
    for (unsigned round = 0; round < 250; round++) {
        uint64_t other = harness_hold(harness, ASK(.name = "a", .owner = "B"));
        (void)harness_release(harness, "a", "B", other);
    }
    static struct engine_claim claims[1024];
    for (unsigned index = 0; index < 1024; index++) {
        claims[index] = claim("a", "A", token, ENGINE_TTL_KEEP);
    }
    check_end(renew_many(harness, claims, 1), TENURE_LOST, ENGINE_END_RELEASED, 0);
    const struct engine_reply *reply = renew_many(harness, claims, 1024);
    unsigned found_count = 0;
    for (unsigned index = 0; index < 1024; index++) {
        bool is_found = reply->results[index].err == TENURE_LOST;
        CHECK(is_found || reply->results[index].err == TENURE_NOT_OWNER);
        CHECK(!is_found || found_count == index);
        found_count += is_found;
    }
    CHECK_LE_UINT(1, found_count);
    CHECK_LE_UINT(found_count * 501, 1024 + 1023 * 16);
    harness_close(&harness);
}

/* A holder of a thousand locks that was cut off learns of each what became of it. */
TEST(renew_of_many_lost_holds_tells_of_each)
{
    struct harness *harness = harness_open();
    harness->check_every = 100;
    static struct engine_claim claims[1024];
    for (unsigned index = 0; index < 1024; index++) {
        uint64_t token = harness_hold(harness, ASK(.name = name_of(index), .owner = "A"));
        claims[index] = claim(name_of(index), "A", token, ENGINE_TTL_KEEP);
    }
    harness_advance(harness, HARNESS_TTL_MS);
    for (unsigned index = 0; index < 1024; index++) {
        for (unsigned round = 0; round < 3; round++) {
            uint64_t other = harness_hold(harness, ASK(.name = name_of(index), .owner = "B"));
            (void)harness_release(harness, name_of(index), "B", other);
        }
    }
    const struct engine_reply *reply = renew_many(harness, claims, 1024);
    for (unsigned index = 0; index < 1024; index++) {
        CHECK_EQ_INT(reply->results[index].err, TENURE_LOST);
        CHECK_EQ_INT(reply->results[index].end, ENGINE_END_EXPIRED_TAKEN);
    }
    harness_close(&harness);
}

/* What the window has forgotten nobody remembers. */
TEST(release_of_what_is_forgotten_is_not_owner)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    harness->check_every = 50;
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_release(harness, "a", "A", token);
    for (unsigned round = 0; round < 2000; round++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", round);
        uint64_t other = harness_hold(harness, ASK(.name = name, .owner = "B"));
        (void)harness_release(harness, name, "B", other);
    }
    check_end(harness_release(harness, "a", "A", token), TENURE_OK, ENGINE_END_NONE, 0);
    check_end(
        harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP),
        TENURE_NOT_OWNER,
        ENGINE_END_NONE,
        0);
    harness_close(&harness);
}

TEST(release_words)
{
    CHECK_EQ_TEXT(engine_end_word(ENGINE_END_NONE), "not_owner");
    CHECK_EQ_TEXT(engine_end_word(ENGINE_END_RELEASED), "released");
    CHECK_EQ_TEXT(engine_end_word(ENGINE_END_EXPIRED_UNCLAIMED), "expired_unclaimed");
    CHECK_EQ_TEXT(engine_end_word(ENGINE_END_EXPIRED_TAKEN), "expired_taken");
    CHECK_EQ_TEXT(engine_end_word(ENGINE_END_BROKEN), "broken");
}
