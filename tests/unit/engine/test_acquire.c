/* May this owner have these names?  Modes, slots, idempotence, refusals. */
#include <stdio.h>

#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

static const struct engine_reply *
refused(struct harness *harness, struct ask ask, enum tenure_err err)
{
    uint64_t hash = harness_hash(harness);
    const struct engine_reply *reply = harness_acquire(harness, ask);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->err, err);
    CHECK_EQ_UINT(reply->result_count, 1);
    CHECK_EQ_INT(reply->results[0].err, err);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    return reply;
}

TEST(acquire_grants_what_is_free)
{
    struct harness *harness = harness_open();
    const struct engine_reply *reply = harness_acquire(
        harness, ASK(.name = "deploy/prod", .owner = "ann", .meta = "why", .ttl_ms = 30000));
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_INT(reply->kind, ENGINE_ACQUIRE);
    CHECK_EQ_UINT(reply->seq.value, 1);
    CHECK_EQ_UINT(reply->result_count, 1);
    const struct engine_hold_view *hold = &reply->results[0].hold;
    CHECK_EQ_BYTES(reply->results[0].name, BYTES_LITERAL("deploy/prod"));
    CHECK(!reply->results[0].is_repeat);
    CHECK_EQ_BYTES(hold->name, BYTES_LITERAL("deploy/prod"));
    CHECK_EQ_BYTES(hold->owner, BYTES_LITERAL("ann"));
    CHECK_EQ_BYTES(hold->meta, BYTES_LITERAL("why"));
    CHECK_EQ_UINT(hold->token.value, (uint64_t)harness->wall.us);
    CHECK_EQ_INT(hold->mode, ENGINE_EXCLUSIVE);
    CHECK_EQ_UINT(hold->slot, 0);
    CHECK_EQ_UINT(hold->slots, 1);
    CHECK_EQ_UINT(hold->ttl_ms, 30000);
    CHECK_EQ_INT(hold->remaining_ms, 30000);
    CHECK_EQ_INT(hold->acquired_at.us, harness->wall.us);
    CHECK(!hold->is_breaking);
    struct record record = harness_record(harness, 1);
    CHECK_EQ_INT(record.kind, RECORD_GRANTED);
    CHECK_EQ_UINT(record.token.value, hold->token.value);
    harness_close(&harness);
}

TEST(acquire_again_gives_the_same_hold)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .meta = "first"));
    uint64_t hash = harness_hash(harness);
    harness_pass(harness, 4000);
    const struct engine_reply *reply =
        harness_acquire(harness, ASK(.name = "a", .owner = "A", .meta = "x", .ttl_ms = 99000));
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK(reply->results[0].is_repeat);
    CHECK_EQ_UINT(reply->results[0].hold.token.value, token);
    CHECK_EQ_INT(reply->results[0].hold.remaining_ms, HARNESS_TTL_MS - 4000);
    CHECK_EQ_UINT(reply->results[0].hold.ttl_ms, HARNESS_TTL_MS);
    CHECK_EQ_BYTES(reply->results[0].hold.meta, BYTES_LITERAL("first"));
    /* It tells of a grant, so it waits for that. */
    CHECK_EQ_UINT(reply->seq.value, 1);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    harness_close(&harness);
}

TEST(acquire_of_a_held_name_tells_by_whom_and_how_long)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A", .meta = "job"));
    harness_pass(harness, 2500);
    const struct engine_reply *reply =
        refused(harness, ASK(.name = "a", .owner = "B"), TENURE_HELD);
    const struct engine_result *result = &reply->results[0];
    CHECK_EQ_BYTES(result->name, BYTES_LITERAL("a"));
    CHECK_EQ_BYTES(result->holder.owner, BYTES_LITERAL("A"));
    CHECK_EQ_BYTES(result->holder.meta, BYTES_LITERAL("job"));
    CHECK_EQ_UINT(result->holder.token.value, token);
    CHECK_EQ_INT(result->holder.remaining_ms, HARNESS_TTL_MS - 2500);
    CHECK_EQ_INT(result->retry_after_ms, HARNESS_TTL_MS - 2500);
    CHECK_EQ_UINT(result->position, 1);
    CHECK_EQ_UINT(reply->seq.value, 1);
    CHECK_EQ_UINT(engine_counters(harness->engine).refused_held, 1);

    (void)harness_wait(harness, ASK(.name = "a", .owner = "C", .wait_ms = 60000));
    (void)harness_wait(harness, ASK(.name = "a", .owner = "D", .wait_ms = 60000));
    reply = refused(harness, ASK(.name = "a", .owner = "B"), TENURE_HELD);
    CHECK_EQ_UINT(reply->results[0].position, 3);
    harness_close(&harness);
}

TEST(acquire_of_a_name_held_until_released_has_no_time_to_retry)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "a", .owner = "A", .is_endless = true));
    const struct engine_reply *reply =
        refused(harness, ASK(.name = "a", .owner = "B"), TENURE_HELD);
    CHECK_EQ_INT(reply->results[0].retry_after_ms, -1);
    CHECK_EQ_INT(reply->results[0].holder.remaining_ms, -1);
    harness_advance(harness, 365 * INT64_C(86400000));
    CHECK(harness_holder(harness, "a") != 0);
    harness_close(&harness);
}

/* With slots the first to end makes room, however long the others stay. */
TEST(acquire_refused_for_slots_tells_when_the_first_can_be_free)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "s", .owner = "A", .slots = 3, .is_endless = true));
    (void)harness_hold(harness, ASK(.name = "s", .owner = "B", .slots = 3, .is_endless = true));
    (void)harness_hold(harness, ASK(.name = "s", .owner = "C", .slots = 3, .is_endless = true));
    const struct engine_reply *reply =
        refused(harness, ASK(.name = "s", .owner = "D", .slots = 3), TENURE_HELD);
    CHECK_EQ_INT(reply->results[0].retry_after_ms, -1);

    (void)harness_hold(harness, ASK(.name = "t", .owner = "A", .slots = 3, .is_endless = true));
    (void)harness_hold(harness, ASK(.name = "t", .owner = "B", .slots = 3, .ttl_ms = 9000));
    (void)harness_hold(harness, ASK(.name = "t", .owner = "C", .slots = 3, .ttl_ms = 5000));
    reply = refused(harness, ASK(.name = "t", .owner = "D", .slots = 3), TENURE_HELD);
    CHECK_EQ_INT(reply->results[0].retry_after_ms, 5000);
    harness_close(&harness);
}

TEST(acquire_shared_beside_shared_only)
{
    struct harness *harness = harness_open();
    for (unsigned reader = 0; reader < 20; reader++) {
        char owner[16];
        (void)snprintf(owner, sizeof owner, "r%u", reader);
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.name = "a", .owner = owner, .mode = ENGINE_SHARED));
        CHECK_EQ_INT(reply->err, TENURE_OK);
        CHECK_EQ_UINT(reply->results[0].hold.slot, 0);
        CHECK_EQ_INT(reply->results[0].hold.mode, ENGINE_SHARED);
    }
    CHECK_EQ_UINT(harness_look(harness, "a").hold_count, 20);
    CHECK_EQ_INT(harness_look(harness, "a").mode, ENGINE_SHARED);
    (void)refused(harness, ASK(.name = "a", .owner = "W"), TENURE_HELD);
    harness_restart(harness);
    CHECK_EQ_UINT(harness_look(harness, "a").hold_count, 20);

    (void)harness_hold(harness, ASK(.name = "b", .owner = "W"));
    (void)refused(harness, ASK(.name = "b", .owner = "R", .mode = ENGINE_SHARED), TENURE_HELD);
    harness_close(&harness);
}

TEST(acquire_slots_are_numbered_from_the_lowest_free)
{
    struct harness *harness = harness_open();
    uint64_t tokens[4];
    static const char *const owners[] = { "A", "B", "C", "D" };
    for (uint32_t slot = 0; slot < 4; slot++) {
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.name = "s", .owner = owners[slot], .slots = 4));
        CHECK_EQ_INT(reply->err, TENURE_OK);
        CHECK_EQ_UINT(reply->results[0].hold.slot, slot);
        CHECK_EQ_UINT(reply->results[0].hold.slots, 4);
        tokens[slot] = reply->results[0].hold.token.value;
    }
    (void)refused(harness, ASK(.name = "s", .owner = "E", .slots = 4), TENURE_HELD);
    (void)harness_release(harness, "s", "C", tokens[2]);
    (void)harness_release(harness, "s", "B", tokens[1]);
    const struct engine_reply *reply =
        harness_acquire(harness, ASK(.name = "s", .owner = "E", .slots = 4));
    CHECK_EQ_UINT(reply->results[0].hold.slot, 1);
    reply = harness_acquire(harness, ASK(.name = "s", .owner = "F", .slots = 4));
    CHECK_EQ_UINT(reply->results[0].hold.slot, 2);
    harness_restart(harness);
    struct engine_hold_view hold;
    for (uint32_t slot = 0; slot < 4; slot++) {
        CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("s"), harness->now, slot, &hold));
        CHECK_EQ_UINT(hold.slot, slot);
    }
    CHECK(!engine_inspect_hold(harness->engine, BYTES_LITERAL("s"), harness->now, 4, &hold));
    harness_close(&harness);
}

TEST(acquire_with_other_slots_is_a_mismatch_while_the_lock_is_in_use)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "s", .owner = "A", .slots = 3));
    const struct engine_reply *reply = refused(
        harness,
        ASK(.name = "s", .owner = "B", .slots = 2, .wait_ms = 1000),
        TENURE_LIMIT_MISMATCH);
    CHECK_EQ_BYTES(reply->results[0].name, BYTES_LITERAL("s"));
    CHECK_EQ_UINT(reply->seq.value, 1);
    (void)refused(harness, ASK(.name = "s", .owner = "B"), TENURE_LIMIT_MISMATCH);
    (void)refused(
        harness, ASK(.name = "s", .owner = "B", .mode = ENGINE_SHARED), TENURE_LIMIT_MISMATCH);
    (void)refused(harness, ASK(.name = "s", .owner = "A", .slots = 4), TENURE_LIMIT_MISMATCH);
    static const char *const names[] = { "free", "s", NULL };
    reply = refused(harness, ASK(.names = names, .owner = "B", .slots = 2), TENURE_LIMIT_MISMATCH);
    CHECK_EQ_BYTES(reply->results[0].name, BYTES_LITERAL("s"));
    (void)harness_release(harness, "s", "A", token);
    (void)harness_hold(harness, ASK(.name = "s", .owner = "B", .slots = 2));
    CHECK_EQ_UINT(harness_look(harness, "s").slots, 2);
    harness_close(&harness);
}

/* A lock that nobody has but somebody waits for (its other name is taken) has its slots too. */
TEST(acquire_with_other_slots_than_the_waiters_is_a_mismatch)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "b", .owner = "A", .slots = 2));
    (void)harness_hold(harness, ASK(.name = "b", .owner = "B", .slots = 2));
    static const char *const names[] = { "a", "b", NULL };
    (void)harness_wait(harness, ASK(.names = names, .owner = "C", .slots = 2, .wait_ms = 9000));
    CHECK_EQ_UINT(harness_look(harness, "a").hold_count, 0);
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 1);
    CHECK_EQ_UINT(harness_look(harness, "a").slots, 2);
    (void)refused(harness, ASK(.name = "a", .owner = "D"), TENURE_LIMIT_MISMATCH);
    (void)refused(harness, ASK(.name = "a", .owner = "D", .slots = 2), TENURE_HELD);
    harness_close(&harness);
}

TEST(acquire_in_another_mode_by_the_same_owner)
{
    struct harness *harness = harness_open();
    (void)harness_hold(harness, ASK(.name = "s", .owner = "A", .mode = ENGINE_SHARED));
    (void)refused(harness, ASK(.name = "s", .owner = "A", .wait_ms = 1000), TENURE_DEADLOCK);
    (void)harness_hold(harness, ASK(.name = "x", .owner = "A"));
    (void)refused(harness, ASK(.name = "x", .owner = "A", .mode = ENGINE_SHARED), TENURE_INVALID);
    harness_close(&harness);
}

TEST(acquire_many_is_all_or_nothing)
{
    struct harness *harness = harness_open();
    static const char *const names[] = { "c", "a", "b", NULL };
    const struct engine_reply *reply =
        harness_acquire(harness, ASK(.names = names, .owner = "A", .meta = "m"));
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->result_count, 3);
    for (uint32_t index = 0; index < 3; index++) {
        const struct engine_result *result = &reply->results[index];
        CHECK_EQ_INT(result->err, TENURE_OK);
        CHECK_EQ_BYTES(result->name, bytes_from_text(names[index]));
        CHECK_EQ_BYTES(result->hold.name, bytes_from_text(names[index]));
        CHECK_EQ_BYTES(result->hold.meta, BYTES_LITERAL("m"));
        if (index == 0) continue;
        CHECK_LT_UINT(result[-1].hold.token.value, result->hold.token.value);
    }
    CHECK_EQ_UINT(reply->seq.value, 3);
    CHECK_EQ_UINT(harness->batch_count, 1); /* one unit for the journal */

    static const char *const others[] = { "d", "b", "e", NULL };
    reply = refused(harness, ASK(.names = others, .owner = "B"), TENURE_HELD);
    CHECK_EQ_BYTES(reply->results[0].name, BYTES_LITERAL("b"));
    CHECK_EQ_UINT(harness_holder(harness, "d"), 0);
    CHECK_EQ_UINT(harness_holder(harness, "e"), 0);

    reply = harness_acquire(harness, ASK(.names = names, .owner = "A"));
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->result_count, 3);
    for (uint32_t index = 0; index < 3; index++) {
        CHECK(reply->results[index].is_repeat);
    }
    harness_close(&harness);
}

/* The owner is known to some of the names only, or in another way. */
TEST(acquire_many_with_names_known_in_part_is_invalid)
{
    struct harness *harness = harness_open();
    static const char *const ab[] = { "a", "b", NULL };
    static const char *const ac[] = { "a", "c", NULL };
    static const char *const ca[] = { "c", "a", NULL };
    static const char *const abc[] = { "a", "b", "c", NULL };
    (void)harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)refused(harness, ASK(.names = ab, .owner = "A"), TENURE_INVALID);
    (void)refused(harness, ASK(.names = ca, .owner = "A"), TENURE_INVALID);

    (void)harness_wait(harness, ASK(.names = ab, .owner = "B", .wait_ms = 60000));
    (void)refused(harness, ASK(.names = ac, .owner = "B", .wait_ms = 1000), TENURE_INVALID);
    (void)refused(harness, ASK(.names = ca, .owner = "B", .wait_ms = 1000), TENURE_INVALID);
    (void)refused(harness, ASK(.names = abc, .owner = "B", .wait_ms = 1000), TENURE_INVALID);
    (void)refused(harness, ASK(.name = "a", .owner = "B", .wait_ms = 1000), TENURE_INVALID);
    (void)refused(harness, ASK(.name = "b", .owner = "B", .wait_ms = 1000), TENURE_INVALID);
    CHECK_EQ_UINT(engine_counters(harness->engine).waiter_count, 1);
    harness_close(&harness);
}

static void check_invalid(struct harness *harness, struct engine_acquire acquire, const char *word)
{
    uint64_t hash = harness_hash(harness);
    struct engine_command command = { .kind = ENGINE_ACQUIRE, .as.acquire = acquire };
    const struct engine_reply *reply = harness_command(harness, &command);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->err, TENURE_INVALID);
    CHECK(reply->detail != NULL);
    /* It names the field. */
    CHECK(strncmp(reply->detail, word, strlen(word)) == 0);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    CHECK_EQ_UINT(engine_counters(harness->engine).lock_count, 0);
}

static void check_granted(struct harness *harness, struct engine_acquire acquire)
{
    struct engine_command command = { .kind = ENGINE_ACQUIRE, .as.acquire = acquire };
    const struct engine_reply *reply = harness_command(harness, &command);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->err, TENURE_OK);
}

static char long_text[LIMIT_META_SIZE_MAX + 1];

static struct bytes text(size_t size)
{
    memset(long_text, 'x', sizeof long_text);
    return (struct bytes){ long_text, size };
}

TEST(acquire_over_a_limit_is_invalid_and_names_the_field)
{
    struct harness *harness = harness_open();
    struct bytes name = BYTES_LITERAL("a");
    struct bytes bad;
    const struct engine_acquire good = {
        .names = &name, .name_count = 1, .owner = BYTES_LITERAL("A"), .ttl_ms = 1000, .slots = 1
    };
    struct engine_acquire acquire;
#define CHECK_FAULT(word, ...)                                                                     \
    do {                                                                                           \
        acquire = good;                                                                            \
        __VA_ARGS__;                                                                               \
        check_invalid(harness, acquire, word);                                                     \
    } while (0)
    CHECK_FAULT("names", acquire.name_count = 0);
    CHECK_FAULT("name", acquire.names = &bad; bad = text(0));
    CHECK_FAULT("name", acquire.names = &bad; bad = text(LIMIT_NAME_SIZE_MAX + 1));
    CHECK_FAULT("name", acquire.names = &bad; bad = BYTES_LITERAL("a\tb"));
    CHECK_FAULT("name", acquire.names = &bad; bad = BYTES_LITERAL("a\xff"));
    CHECK_FAULT("owner", acquire.owner.size = 0);
    CHECK_FAULT("owner", acquire.owner = text(LIMIT_OWNER_SIZE_MAX + 1));
    CHECK_FAULT("owner", acquire.owner = BYTES_LITERAL("\x01"));
    CHECK_FAULT("meta", acquire.meta = text(LIMIT_META_SIZE_MAX + 1));
    CHECK_FAULT("meta", acquire.meta = BYTES_LITERAL("\xc3"));
    CHECK_FAULT("ttl_ms", acquire.ttl_ms = LIMIT_TTL_MS_MIN - 1);
    CHECK_FAULT("ttl_ms", acquire.ttl_ms = 1);
    CHECK_FAULT("ttl_ms", acquire.ttl_ms = LIMIT_TTL_MS_MAX + 1);
    CHECK_FAULT("ttl_ms", acquire.ttl_ms = UINT32_MAX);
    CHECK_FAULT("wait_ms", acquire.wait_ms = LIMIT_WAIT_MS_MAX + 1);
    CHECK_FAULT("priority", acquire.priority = LIMIT_PRIORITY_MAX + 1);
    CHECK_FAULT("lock_delay_ms", acquire.lock_delay_ms = LIMIT_LOCK_DELAY_MS_MAX + 1);
    CHECK_FAULT("slots", acquire.slots = 0);
    CHECK_FAULT("slots", acquire.slots = LIMIT_SLOTS_MAX + 1);
    CHECK_FAULT("slots", acquire.mode = ENGINE_SHARED; acquire.slots = 2);
    struct bytes twice[] = { BYTES_LITERAL("a"), BYTES_LITERAL("b"), BYTES_LITERAL("a") };
    CHECK_FAULT("names", acquire.names = twice; acquire.name_count = 3);
    struct bytes many[LIMIT_NAME_COUNT_MAX + 1];
    char rooms[LIMIT_NAME_COUNT_MAX + 1][4];
    for (unsigned index = 0; index <= LIMIT_NAME_COUNT_MAX; index++) {
        (void)snprintf(rooms[index], sizeof rooms[index], "n%u", index);
        many[index] = bytes_from_text(rooms[index]);
    }
    CHECK_FAULT("names", acquire.names = many; acquire.name_count = LIMIT_NAME_COUNT_MAX + 1);
#undef CHECK_FAULT

    /* And all of them at their limits are allowed. */
    acquire = good;
    acquire.names = many;
    acquire.name_count = LIMIT_NAME_COUNT_MAX;
    acquire.owner = text(LIMIT_OWNER_SIZE_MAX);
    acquire.meta = text(LIMIT_META_SIZE_MAX);
    acquire.ttl_ms = LIMIT_TTL_MS_MAX;
    acquire.wait_ms = LIMIT_WAIT_MS_MAX;
    acquire.priority = LIMIT_PRIORITY_MAX;
    acquire.lock_delay_ms = LIMIT_LOCK_DELAY_MS_MAX;
    acquire.slots = LIMIT_SLOTS_MAX;
    check_granted(harness, acquire);
    struct bytes longest = text(LIMIT_NAME_SIZE_MAX);
    acquire = good;
    acquire.names = &longest;
    acquire.ttl_ms = LIMIT_TTL_MS_MIN;
    check_granted(harness, acquire);
    harness_close(&harness);
}

TEST(acquire_past_the_limit_of_holds_is_refused)
{
    struct harness *harness = harness_open_with(&(struct engine_options){ .hold_count_max = 3 });
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_hold(harness, ASK(.name = "b", .owner = "A"));
    static const char *const names[] = { "c", "d", NULL };
    (void)refused(harness, ASK(.names = names, .owner = "A"), TENURE_TOO_MANY);
    (void)harness_hold(harness, ASK(.name = "c", .owner = "A"));
    (void)refused(harness, ASK(.name = "d", .owner = "A"), TENURE_TOO_MANY);
    CHECK(harness_acquire(harness, ASK(.name = "c", .owner = "A"))->results[0].is_repeat);
    (void)harness_release(harness, "a", "A", token);
    (void)harness_hold(harness, ASK(.name = "d", .owner = "A"));
    harness_close(&harness);
}

/* A disk that does not answer: nobody piles up behind it, and who waits already keeps its place. */
TEST(a_slow_disk_gets_no_grants_and_keeps_its_waiters)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t waiting = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 60000));
    harness_gate(harness, ENGINE_GATE_SLOW);
    (void)refused(harness, ASK(.name = "free", .owner = "C"), TENURE_UNAVAILABLE);
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP)->err, TENURE_OK);
    CHECK_EQ_INT(harness_release(harness, "a", "A", token)->results[0].end, ENGINE_END_RELEASED);
    CHECK(harness_answer(harness, waiting) == NULL);
    harness_gate(harness, ENGINE_GATE_OPEN);
    CHECK_EQ_INT(harness_answer(harness, waiting)->err, TENURE_OK);
    harness_close(&harness);
}

TEST(acquire_behind_a_closed_gate_is_refused)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    uint64_t tag = harness_wait(harness, ASK(.name = "a", .owner = "B", .wait_ms = 60000));
    harness_gate(harness, ENGINE_GATE_NO_SPACE);
    (void)refused(harness, ASK(.name = "free", .owner = "C"), TENURE_NO_SPACE);
    (void)refused(harness, ASK(.name = "a", .owner = "C", .wait_ms = 10), TENURE_NO_SPACE);
    CHECK(harness_acquire(harness, ASK(.name = "a", .owner = "A"))->results[0].is_repeat);
    CHECK_EQ_INT(harness_renew(harness, "a", "A", token, ENGINE_TTL_KEEP)->err, TENURE_OK);
    /* Releases go on; the waiter stays, and is served when there is room on the disk. */
    CHECK_EQ_INT(harness_release(harness, "a", "A", token)->err, TENURE_OK);
    CHECK(harness_answer(harness, tag) == NULL);
    harness_gate(harness, ENGINE_GATE_SLOW);
    (void)refused(harness, ASK(.name = "free", .owner = "C", .wait_ms = 10), TENURE_UNAVAILABLE);
    CHECK(harness_answer(harness, tag) == NULL);
    harness_gate(harness, ENGINE_GATE_OPEN);
    CHECK_EQ_INT(harness_answer(harness, tag)->err, TENURE_OK);

    uint64_t other = harness_wait(harness, ASK(.name = "a", .owner = "C", .wait_ms = 60000));
    harness_gate(harness, ENGINE_GATE_DRAINING);
    CHECK_EQ_INT(harness_answer(harness, other)->err, TENURE_DRAINING);
    CHECK_EQ_UINT(engine_counters(harness->engine).waiter_count, 0);
    (void)refused(harness, ASK(.name = "free", .owner = "C"), TENURE_DRAINING);
    uint64_t held = harness_holder(harness, "a");
    CHECK_EQ_INT(harness_release(harness, "a", "B", held)->err, TENURE_OK);
    harness_close(&harness);
}

/* The window remembers little: a name of a request for several may be the next to be forgotten
 * while the names before it are granted. */
TEST(acquire_many_while_the_window_forgets_their_past)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    static const char *const names[] = { "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", NULL };
    char meta[LIMIT_META_SIZE_MAX + 1] = { 0 };
    memset(meta, 'm', LIMIT_META_SIZE_MAX);
    for (unsigned round = 0; round < 60; round++) {
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.names = names, .owner = "A", .meta = meta));
        CHECK_EQ_INT(reply->err, TENURE_OK);
        for (unsigned index = 8; index-- > 0;) {
            const struct engine_hold_view *hold = &reply->results[index].hold;
            (void)harness_release(harness, names[index], "A", hold->token.value);
        }
        /* Moves the edge of the window a little each round. */
        uint64_t token = harness_hold(harness, ASK(.name = "other", .owner = "B"));
        (void)harness_release(harness, "other", "B", token);
    }
    harness_close(&harness);
}

TEST(acquire_with_an_owner_that_is_one_of_many)
{
    struct harness *harness = harness_open();
    uint64_t tokens[30];
    char owner[16];
    for (unsigned index = 0; index < 30; index++) {
        (void)snprintf(owner, sizeof owner, "o%u", index);
        tokens[index] = harness_hold(harness, ASK(.name = "s", .owner = owner, .slots = 30));
    }
    for (unsigned index = 0; index < 30; index += 2) {
        (void)snprintf(owner, sizeof owner, "o%u", index);
        (void)harness_release(harness, "s", owner, tokens[index]);
    }
    for (unsigned index = 0; index < 30; index++) {
        (void)snprintf(owner, sizeof owner, "o%u", index);
        const struct engine_reply *reply =
            harness_acquire(harness, ASK(.name = "s", .owner = owner, .slots = 30));
        CHECK_EQ_INT(reply->err, TENURE_OK);
        CHECK(reply->results[0].is_repeat == (index % 2 == 1));
        CHECK_EQ_UINT(reply->results[0].hold.slot, index);
    }
    harness_restart(harness);
    CHECK_EQ_UINT(harness_look(harness, "s").hold_count, 30);
    harness_close(&harness);
}
