/* Shared state: registers, ranks, transactions, guards, what waits and what vanishes; and every
 * allocation that fails. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "engine/queues.h"
#include "engine/registers.h"
#include "lib/random.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })
#define OP(...)  ((struct engine_operation){ __VA_ARGS__ })
#define NAME     BYTES_LITERAL("a/b")

/* -------------------------------------------------------------------- in short */

static const struct engine_reply *change(struct harness *harness, const struct engine_change *wish)
{
    struct engine_command command = { .kind = ENGINE_CHANGE, .client = 1, .as.change = *wish };
    const struct engine_reply *reply = harness_command(harness, &command);
    CHECK(reply != NULL);
    return reply;
}

/* One operation, under no condition; its result. */
static const struct engine_change_result *
run(struct harness *harness, struct engine_operation operation)
{
    const struct engine_reply *reply =
        change(harness, &(struct engine_change){ .then_operations = &operation, .then_count = 1 });
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->change_count, 1);
    return &reply->changes[0];
}

static enum tenure_err try(struct harness *harness, struct engine_operation operation)
{
    return change(
               harness, &(struct engine_change){ .then_operations = &operation, .then_count = 1 })
        ->err;
}

static uint64_t set(struct harness *harness, const char *name, const char *value)
{
    return run(harness,
               OP(.kind = OPERATION_SET,
                  .name = bytes_from_text(name),
                  .value = bytes_from_text(value)))
        ->value.version;
}

static struct engine_register_view look(struct harness *harness, const char *name)
{
    struct engine_register_view view;
    struct seq seq;
    (void)engine_register(harness->engine, bytes_from_text(name), harness->now, &view, &seq);
    return view;
}

static void add(struct harness *harness, const char *name, const char *member, double score)
{
    (void)run(
        harness,
        OP(.kind = OPERATION_RANK_ADD,
           .name = bytes_from_text(name),
           .member = bytes_from_text(member),
           .score = score));
}

/* ------------------------------------------------------------------- registers */

TEST(state_set_gives_versions_that_rise)
{
    struct harness *harness = harness_open();
    uint64_t first = set(harness, "a/b", "one");
    uint64_t second = set(harness, "a/b", "two");
    CHECK_LT_UINT(first, second);
    struct engine_register_view view = look(harness, "a/b");
    CHECK_EQ_BYTES(view.value, BYTES_LITERAL("two"));
    CHECK_EQ_UINT(view.version, second);
    CHECK_EQ_INT(view.remaining_ms, -1);
    CHECK_EQ_INT(run(harness, OP(.kind = OPERATION_REMOVE, .name = NAME))->was_there, true);
    CHECK_EQ_UINT(look(harness, "a/b").version, 0);
    CHECK_EQ_INT(run(harness, OP(.kind = OPERATION_REMOVE, .name = NAME))->was_there, false);
    CHECK_LT_UINT(second, set(harness, "a/b", "three"));
    CHECK_EQ_UINT(engine_key_counters(harness->engine).register_count, 1);
    harness_close(&harness);
}

TEST(state_an_empty_value_is_a_value)
{
    struct harness *harness = harness_open();
    CHECK(set(harness, "a/b", "") > 0);
    CHECK(look(harness, "a/b").version > 0);
    CHECK_EQ_UINT(look(harness, "a/b").value.size, 0);
    harness_restart(harness);
    CHECK(look(harness, "a/b").version > 0);
    harness_close(&harness);
}

static const struct engine_reply *set_if(
    struct harness *harness, enum engine_condition_kind kind, uint64_t version, const char *value)
{
    struct engine_condition condition = {
        .kind = kind, .name = NAME, .version = version, .value = BYTES_LITERAL("old")
    };
    struct engine_operation operation =
        OP(.kind = OPERATION_SET, .name = NAME, .value = bytes_from_text(value));
    return change(
        harness,
        &(struct engine_change){ .conditions = &condition,
                                 .condition_count = 1,
                                 .then_operations = &operation,
                                 .then_count = 1 });
}

TEST(state_a_condition_that_does_not_hold_shows_what_is)
{
    struct harness *harness = harness_open();
    CHECK_EQ_INT(set_if(harness, CONDITION_PRESENT, 0, "x")->err, TENURE_MISMATCH);
    CHECK_EQ_INT(set_if(harness, CONDITION_VERSION, 7, "x")->err, TENURE_MISMATCH);
    CHECK_EQ_INT(set_if(harness, CONDITION_ABSENT, 0, "old")->err, TENURE_OK);
    uint64_t version = look(harness, "a/b").version;
    const struct engine_reply *reply = set_if(harness, CONDITION_ABSENT, 0, "x");
    CHECK_EQ_INT(reply->err, TENURE_MISMATCH);
    CHECK_EQ_UINT(reply->change_count, 1);
    CHECK_EQ_UINT(reply->changes[0].value.version, version);
    CHECK_EQ_BYTES(reply->changes[0].value.value, BYTES_LITERAL("old"));
    CHECK_EQ_INT(set_if(harness, CONDITION_VERSION, version + 1, "x")->err, TENURE_MISMATCH);
    CHECK_EQ_INT(set_if(harness, CONDITION_VERSION, version, "old")->err, TENURE_OK);
    CHECK_EQ_INT(set_if(harness, CONDITION_VERSION, version, "x")->err, TENURE_MISMATCH);
    CHECK_EQ_INT(set_if(harness, CONDITION_VALUE, 0, "new")->err, TENURE_OK);
    CHECK_EQ_INT(set_if(harness, CONDITION_VALUE, 0, "x")->err, TENURE_MISMATCH);
    CHECK_EQ_BYTES(look(harness, "a/b").value, BYTES_LITERAL("new"));
    harness_close(&harness);
}

TEST(state_counts_within_64_bits)
{
    struct harness *harness = harness_open();
    struct engine_operation one = OP(.kind = OPERATION_INCREMENT, .name = NAME, .by = 1);
    CHECK_EQ_INT(run(harness, one)->number, 1);
    one.by = -43;
    CHECK_EQ_INT(run(harness, one)->number, -42);
    CHECK_EQ_BYTES(look(harness, "a/b").value, BYTES_LITERAL("-42"));
    (void)set(harness, "a/b", "9223372036854775807");
    one.by = 1;
    CHECK_EQ_INT(try(harness, one), TENURE_INVALID);
    one.by = INT64_MIN;
    CHECK_EQ_INT(run(harness, one)->number, -1);
    (void)set(harness, "a/b", " 1");
    CHECK_EQ_INT(try(harness, one), TENURE_INVALID);
    CHECK_EQ_BYTES(look(harness, "a/b").value, BYTES_LITERAL(" 1"));
    harness_close(&harness);
}

TEST(state_grows_at_its_end)
{
    struct harness *harness = harness_open();
    struct engine_operation more =
        OP(.kind = OPERATION_APPEND, .name = NAME, .value = BYTES_LITERAL("ab"));
    CHECK_EQ_BYTES(run(harness, more)->value.value, BYTES_LITERAL("ab"));
    CHECK_EQ_BYTES(run(harness, more)->value.value, BYTES_LITERAL("abab"));
    CHECK_EQ_UINT(harness_count(harness, RECORD_APPENDED, "a/b"), 1);
    harness_restart(harness);
    CHECK_EQ_BYTES(look(harness, "a/b").value, BYTES_LITERAL("abab"));
    harness_close(&harness);
}

TEST(state_too_large_is_refused)
{
    struct harness *harness = harness_open();
    static char large[LIMIT_VALUE_SIZE_MAX + 1];
    struct engine_operation wish =
        OP(.kind = OPERATION_SET, .name = NAME, .value = { large, sizeof large });
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_LARGE);
    wish.value.size--;
    CHECK_EQ_INT(try(harness, wish), TENURE_OK);
    wish = OP(.kind = OPERATION_APPEND, .name = NAME, .value = { large, 1 });
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_LARGE);
    harness_close(&harness);
}

TEST(state_all_values_of_a_transaction_have_one_limit)
{
    struct harness *harness = harness_open();
    static char large[LIMIT_CHANGE_SIZE_MAX];
    size_t size = LIMIT_CHANGE_SIZE_MAX / 4;
    struct engine_operation then[] = {
        OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("a"), .value = { large, size }),
        OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("b"), .value = { large, size }),
    };
    struct engine_operation other =
        OP(.kind = OPERATION_APPEND, .name = BYTES_LITERAL("c"), .value = { large, size });
    struct engine_condition condition = { .kind = CONDITION_VALUE,
                                          .name = NAME,
                                          .value = { large, size } };
    struct engine_change wish = { .conditions = &condition,
                                  .condition_count = 1,
                                  .then_operations = then,
                                  .then_count = 2,
                                  .else_operations = &other,
                                  .else_count = 1,
                                  .has_else = true };
    CHECK_EQ_INT(change(harness, &wish)->err, TENURE_OK);
    struct bytes *const values[] = {
        &then[0].value, &then[1].value, &other.value, &condition.value
    };
    for (unsigned index = 0; index < 4; index++) {
        values[index]->size++;
        const struct engine_reply *reply = change(harness, &wish);
        CHECK_EQ_INT(reply->err, TENURE_TOO_LARGE);
        CHECK_EQ_TEXT(reply->detail, "all values: up to 1048576 bytes");
        values[index]->size--;
    }
    harness_close(&harness);
}

TEST(state_lives_for_its_ttl)
{
    struct harness *harness = harness_open();
    struct engine_operation wish =
        OP(.kind = OPERATION_SET, .name = NAME, .value = BYTES_LITERAL("x"), .ttl_ms = 1000);
    CHECK_EQ_INT(run(harness, wish)->value.remaining_ms, 1000);
    harness_advance(harness, 999);
    CHECK_EQ_INT(look(harness, "a/b").remaining_ms, 1);
    CHECK_EQ_UINT(look(harness, "a/b").ttl_ms, 1000);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(look(harness, "a/b").version, 0);
    CHECK_EQ_UINT(harness_count(harness, RECORD_UNSET, "a/b"), 1);
    /* What is set again without a ttl stays; what keeps it ends when it would have ended. */
    (void)run(harness, wish);
    (void)set(harness, "a/b", "y");
    harness_advance(harness, 5000);
    CHECK(look(harness, "a/b").version > 0);
    (void)run(harness, wish);
    harness_advance(harness, 600);
    (void)run(
        harness,
        OP(.kind = OPERATION_SET, .name = NAME, .value = BYTES_LITERAL("z"), .is_keeping = true));
    (void)run(harness, OP(.kind = OPERATION_APPEND, .name = NAME, .value = BYTES_LITERAL("z")));
    harness_advance(harness, 399);
    CHECK_EQ_BYTES(look(harness, "a/b").value, BYTES_LITERAL("zz"));
    harness_advance(harness, 1);
    CHECK_EQ_UINT(look(harness, "a/b").version, 0);
    wish.ttl_ms = LIMIT_TTL_MS_MIN - 1;
    CHECK_EQ_INT(try(harness, wish), TENURE_INVALID);
    wish.ttl_ms = LIMIT_STATE_TTL_MS_MAX + 1;
    CHECK_EQ_INT(try(harness, wish), TENURE_INVALID);
    harness_close(&harness);
}

TEST(state_has_its_whole_ttl_after_a_restart)
{
    struct harness *harness = harness_open();
    (void)run(
        harness,
        OP(.kind = OPERATION_SET, .name = NAME, .value = BYTES_LITERAL("x"), .ttl_ms = 1000));
    harness_advance(harness, 900);
    harness_restart(harness);
    harness_advance(harness, 999);
    CHECK(look(harness, "a/b").version > 0);
    harness_advance(harness, 1);
    CHECK_EQ_UINT(look(harness, "a/b").version, 0);
    harness_close(&harness);
}

/* ------------------------------------------------------------- guards and bonds */

static const struct engine_reply *
set_guarded(struct harness *harness, const char *lock, uint64_t token)
{
    struct engine_guard guard = { bytes_from_text(lock), { token } };
    struct engine_operation operation =
        OP(.kind = OPERATION_SET, .name = NAME, .value = BYTES_LITERAL("x"));
    return change(
        harness,
        &(struct engine_change){
            .guards = &guard, .guard_count = 1, .then_operations = &operation, .then_count = 1 });
}

TEST(state_a_guard_lets_only_the_newest_token_through)
{
    struct harness *harness = harness_open();
    CHECK_EQ_INT(set_guarded(harness, "lock", 5)->err, TENURE_NOT_FOUND);
    uint64_t old = harness_hold(harness, ASK(.name = "lock", .owner = "A", .ttl_ms = 1000));
    CHECK_EQ_INT(set_guarded(harness, "lock", old)->err, TENURE_OK);
    CHECK_EQ_INT(set_guarded(harness, "lock", old + 1)->err, TENURE_STALE_TOKEN);
    CHECK_EQ_INT(set_guarded(harness, "other", old)->err, TENURE_NOT_FOUND);
    CHECK_EQ_INT(set_guarded(harness, "lock", 0)->err, TENURE_INVALID);
    harness_advance(harness, 1000);
    CHECK_EQ_INT(set_guarded(harness, "lock", old)->err, TENURE_STALE_TOKEN);
    uint64_t new = harness_hold(harness, ASK(.name = "lock", .owner = "B"));
    CHECK_EQ_INT(set_guarded(harness, "lock", old)->err, TENURE_STALE_TOKEN);
    CHECK_EQ_INT(set_guarded(harness, "lock", new)->err, TENURE_OK);
    /* Who only looks is guarded too. */
    struct engine_guard guard = { BYTES_LITERAL("lock"), { old } };
    struct seq seq;
    CHECK_EQ_INT(engine_guard(harness->engine, &guard, &seq), TENURE_STALE_TOKEN);
    guard.token.value = new;
    CHECK_EQ_INT(engine_guard(harness->engine, &guard, &seq), TENURE_OK);
    harness_close(&harness);
}

static enum tenure_err
bind(struct harness *harness, const char *name, const char *lock, uint64_t token)
{
    return try(
        harness,
        OP(.kind = OPERATION_SET,
           .name = bytes_from_text(name),
           .value = BYTES_LITERAL("here"),
           .bond = { bytes_from_text(lock), { token } }));
}

TEST(state_vanishes_with_the_hold_it_is_bound_to)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "lock", .owner = "A"));
    CHECK_EQ_INT(bind(harness, "here/1", "lock", token), TENURE_OK);
    CHECK_EQ_INT(bind(harness, "here/2", "lock", token), TENURE_OK);
    CHECK_EQ_INT(bind(harness, "here/3", "lock", token), TENURE_OK);
    CHECK_EQ_INT(bind(harness, "here/4", "lock", token - 1), TENURE_STALE_TOKEN);
    CHECK_EQ_BYTES(look(harness, "here/1").lock, BYTES_LITERAL("lock"));
    CHECK_EQ_UINT(look(harness, "here/1").token.value, token);
    (void)set(harness, "here/2", "stays");
    harness_restart(harness);
    (void)harness_release(harness, "lock", "A", token);
    CHECK_EQ_UINT(look(harness, "here/1").version, 0);
    CHECK_EQ_UINT(look(harness, "here/3").version, 0);
    CHECK_EQ_BYTES(look(harness, "here/2").value, BYTES_LITERAL("stays"));
    /* All in one step, and told so. */
    uint64_t seq = engine_seq(harness->engine).value;
    CHECK_EQ_INT(harness_record(harness, seq - 2).kind, RECORD_RELEASED);
    CHECK_EQ_UINT(harness_record(harness, seq - 1).more, 1);
    CHECK_EQ_UINT(harness_record(harness, seq).more, 0);
    CHECK_EQ_INT(harness_record(harness, seq).cause, CAUSE_HOLD_ENDED);
    harness_close(&harness);
}

TEST(state_vanishes_however_the_hold_ends)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "lock", .owner = "A", .ttl_ms = 500));
    CHECK_EQ_INT(bind(harness, "here", "lock", token), TENURE_OK);
    harness_advance(harness, 500);
    CHECK_EQ_UINT(look(harness, "here").version, 0);
    token = harness_hold(harness, ASK(.name = "lock", .owner = "A"));
    CHECK_EQ_INT(bind(harness, "here", "lock", token), TENURE_OK);
    (void)harness_break(harness, "lock", token, "why", 0);
    CHECK_EQ_UINT(look(harness, "here").version, 0);
    token = harness_hold(harness, ASK(.name = "lock", .owner = "A"));
    CHECK_EQ_INT(bind(harness, "here", "lock", token), TENURE_OK);
    (void)harness_wait(harness, ASK(.name = "lock", .owner = "B", .wait_ms = 1000));
    (void)harness_transfer(harness, "lock", "A", token, "B");
    CHECK_EQ_UINT(look(harness, "here").version, 0);
    CHECK(harness_holder(harness, "lock") > token);
    harness_close(&harness);
}

TEST(state_a_hold_with_much_bound_to_it_ends_without_memory)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "lock", .owner = "A"));
    char name[32];
    harness->check_every = 100;
    for (unsigned count = 0; count < LIMIT_BOUND_COUNT_MAX; count++) {
        (void)snprintf(name, sizeof name, "here/%u", count);
        CHECK_EQ_INT(bind(harness, name, "lock", token), TENURE_OK);
    }
    CHECK_EQ_INT(bind(harness, "one more", "lock", token), TENURE_TOO_MANY);
    harness->fault.fail_at = harness->fault.call_count + 1;
    harness->fault.is_failing_on = true;
    CHECK_EQ_INT(harness_release(harness, "lock", "A", token)->err, TENURE_OK);
    harness->fault.fail_at = 0;
    harness->fault.is_failing_on = false;
    CHECK_EQ_UINT(engine_key_counters(harness->engine).register_count, 0);
    CHECK_EQ_UINT(harness_count(harness, RECORD_UNSET, NULL), LIMIT_BOUND_COUNT_MAX);
    harness_close(&harness);
}

/* ---------------------------------------------------------------- transactions */

TEST(state_a_transaction_is_all_or_nothing)
{
    struct harness *harness = harness_open();
    (void)set(harness, "from", "100");
    struct engine_operation move[] = {
        OP(.kind = OPERATION_INCREMENT, .name = BYTES_LITERAL("from"), .by = -30),
        OP(.kind = OPERATION_INCREMENT, .name = BYTES_LITERAL("to"), .by = 30),
        OP(.kind = OPERATION_GET, .name = BYTES_LITERAL("from")),
        OP(.kind = OPERATION_RANK_ADD,
           .name = BYTES_LITERAL("from"),
           .member = BYTES_LITERAL("m"),
           .score = 1),
    };
    struct engine_change wish = { .then_operations = move, .then_count = 4 };
    const struct engine_reply *reply = change(harness, &wish);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->change_count, 4);
    CHECK_EQ_BYTES(reply->changes[2].value.value, BYTES_LITERAL("70"));
    uint64_t seq = engine_seq(harness->engine).value;
    CHECK_EQ_UINT(harness_record(harness, seq).more, 0);
    CHECK_EQ_UINT(harness_record(harness, seq - 2).more, 2);
    /* The last one cannot be: none is. */
    (void)set(harness, "to", "words");
    seq = engine_seq(harness->engine).value;
    reply = change(harness, &wish);
    CHECK_EQ_INT(reply->err, TENURE_INVALID);
    CHECK_EQ_INT(reply->fault_part, CHANGE_PART_THEN);
    CHECK_EQ_UINT(reply->fault_index, 1);
    CHECK_EQ_BYTES(reply->fault_name, BYTES_LITERAL("to"));
    CHECK_EQ_UINT(engine_seq(harness->engine).value, seq);
    CHECK_EQ_BYTES(look(harness, "from").value, BYTES_LITERAL("70"));
    move[1].name = move[0].name;
    CHECK_EQ_INT(change(harness, &wish)->err, TENURE_INVALID);
    harness_close(&harness);
}

TEST(state_a_transaction_takes_the_branch_of_its_conditions)
{
    struct harness *harness = harness_open();
    struct engine_condition conditions[] = {
        { .kind = CONDITION_ABSENT, .name = BYTES_LITERAL("x") },
        { .kind = CONDITION_ABSENT, .name = BYTES_LITERAL("y") },
    };
    struct engine_operation then_set =
        OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("y"), .value = BYTES_LITERAL("then"));
    struct engine_operation else_get = OP(.kind = OPERATION_GET, .name = BYTES_LITERAL("y"));
    struct engine_change wish = { .conditions = conditions,
                                  .condition_count = 2,
                                  .then_operations = &then_set,
                                  .then_count = 1,
                                  .else_operations = &else_get,
                                  .else_count = 1,
                                  .has_else = true };
    CHECK(!change(harness, &wish)->is_else);
    const struct engine_reply *reply = change(harness, &wish);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK(reply->is_else);
    CHECK_EQ_BYTES(reply->changes[0].value.value, BYTES_LITERAL("then"));
    static struct engine_operation many[LIMIT_OPERATION_COUNT_MAX + 1];
    static char names[LIMIT_OPERATION_COUNT_MAX + 1][8];
    for (unsigned index = 0; index <= LIMIT_OPERATION_COUNT_MAX; index++) {
        (void)snprintf(names[index], sizeof names[index], "n%u", index);
        many[index] = OP(.kind = OPERATION_SET, .name = bytes_from_text(names[index]));
    }
    wish = (struct engine_change){ .then_operations = many,
                                   .then_count = LIMIT_OPERATION_COUNT_MAX + 1 };
    CHECK_EQ_INT(change(harness, &wish)->err, TENURE_INVALID);
    wish.then_count--;
    CHECK_EQ_INT(change(harness, &wish)->err, TENURE_OK);
    harness_close(&harness);
}

static void
check_fault(const struct engine_reply *reply, enum engine_change_part part, const char *name)
{
    CHECK(reply->err != TENURE_OK);
    CHECK_EQ_INT(reply->fault_part, part);
    CHECK_EQ_BYTES(reply->fault_name, bytes_from_text(name));
}

TEST(state_says_what_of_a_transaction_refused_it)
{
    struct harness *harness = harness_open();
    (void)set(harness, "words", "no number");
    struct engine_guard guard = { BYTES_LITERAL("lock"), { 7 } };
    struct engine_condition condition = { .kind = CONDITION_ABSENT, .name = NAME };
    struct engine_operation operation =
        OP(.kind = OPERATION_INCREMENT, .name = BYTES_LITERAL("words"), .by = 1);
    struct engine_change wish = { .guards = &guard,
                                  .guard_count = 1,
                                  .conditions = &condition,
                                  .condition_count = 1,
                                  .then_operations = &operation,
                                  .then_count = 1 };
    check_fault(change(harness, &wish), CHANGE_PART_GUARD, "lock");
    wish.guard_count = 0;
    check_fault(change(harness, &wish), CHANGE_PART_THEN, "words");
    (void)set(harness, "a/b", "x");
    check_fault(change(harness, &wish), CHANGE_PART_CONDITION, "a/b");
    wish.else_operations = &operation;
    wish.else_count = 1;
    wish.has_else = true;
    check_fault(change(harness, &wish), CHANGE_PART_ELSE, "words");
    /* What is no name is not shown as one. */
    condition.name = BYTES_LITERAL("\xff");
    check_fault(change(harness, &wish), CHANGE_PART_CONDITION, "");
    wish.condition_count = LIMIT_OPERATION_COUNT_MAX + 1;
    check_fault(change(harness, &wish), CHANGE_PART_NONE, "");
    harness_close(&harness);
}

TEST(state_at_the_limit_of_the_server_refuses_what_grows)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .key_count_max = 2, .key_bytes_max = 60 });
    (void)set(harness, "a", "1");
    (void)set(harness, "b", "1");
    struct engine_operation wish = OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("c"));
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_MANY);
    wish = OP(.kind = OPERATION_RANK_ADD, .name = BYTES_LITERAL("a"), .member = BYTES_LITERAL("m"));
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_MANY);
    (void)set(harness, "b", "2");
    (void)run(harness, OP(.kind = OPERATION_REMOVE, .name = BYTES_LITERAL("b")));
    CHECK_EQ_INT(try(harness, wish), TENURE_OK);
    char value[61] = { 0 };
    wish = OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("a"), .value = { value, 61 });
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_MANY);
    harness_close(&harness);
}

TEST(state_at_the_limit_of_bytes_may_be_overwritten)
{
    struct harness *harness = harness_open_with(&(struct engine_options){ .key_bytes_max = 20 });
    (void)set(harness, "a", "0123456789");
    (void)set(harness, "n", "41");
    (void)set(harness, "b", "01234567");
    /* As large as before, or smaller. */
    (void)set(harness, "a", "9876543210");
    (void)run(harness, OP(.kind = OPERATION_INCREMENT, .name = BYTES_LITERAL("n"), .by = 1));
    struct engine_operation wish =
        OP(.kind = OPERATION_INCREMENT, .name = BYTES_LITERAL("n"), .by = 58);
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_MANY); /* 100 */
    wish = OP(.kind = OPERATION_APPEND, .name = BYTES_LITERAL("a"), .value = BYTES_LITERAL("x"));
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_MANY);
    /* What one operation frees another one of the same transaction may take. */
    struct engine_operation both[] = {
        OP(.kind = OPERATION_REMOVE, .name = BYTES_LITERAL("b")),
        OP(.kind = OPERATION_RANK_ADD,
           .name = BYTES_LITERAL("r"),
           .member = BYTES_LITERAL("member")),
        OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("c"), .value = BYTES_LITERAL("01")),
    };
    struct engine_change changes = { .then_operations = both, .then_count = 3 };
    CHECK_EQ_INT(change(harness, &changes)->err, TENURE_OK);
    CHECK_EQ_INT(try(harness, wish), TENURE_TOO_MANY);
    wish =
        OP(.kind = OPERATION_RANK_INCREMENT,
           .name = BYTES_LITERAL("r"),
           .member = BYTES_LITERAL("member"),
           .score = 1);
    CHECK_EQ_INT(try(harness, wish), TENURE_OK);
    harness_close(&harness);
}

TEST(state_waits_for_the_disk_to_have_room)
{
    struct harness *harness = harness_open();
    (void)set(harness, "a", "1");
    harness_gate(harness, ENGINE_GATE_NO_SPACE);
    struct engine_operation wish = OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("c"));
    CHECK_EQ_INT(try(harness, wish), TENURE_NO_SPACE);
    CHECK_EQ_INT(try(harness, OP(.kind = OPERATION_GET, .name = NAME)), TENURE_OK);
    harness_gate(harness, ENGINE_GATE_OPEN);
    CHECK_EQ_INT(try(harness, wish), TENURE_OK);
    harness_close(&harness);
}

/* ------------------------------------------------------------------------ ranks */

static void check_order(struct harness *harness, const char *name, const char *const *members)
{
    struct engine_member_view views[16];
    uint32_t count = engine_members(harness->engine, bytes_from_text(name), 0, false, views, 16);
    for (uint32_t index = 0; index < count; index++) {
        CHECK_EQ_BYTES(views[index].member, bytes_from_text(members[index]));
        CHECK_EQ_UINT(views[index].position, index);
    }
    CHECK(members[count] == NULL);
}

TEST(rank_is_in_order_of_scores)
{
    struct harness *harness = harness_open();
    add(harness, "r", "b", 2);
    add(harness, "r", "a", 2);
    add(harness, "r", "c", -1.5);
    add(harness, "r", "d", 1e300);
    check_order(harness, "r", (const char *const[]){ "c", "a", "b", "d", NULL });
    add(harness, "r", "c", 2);
    check_order(harness, "r", (const char *const[]){ "a", "b", "c", "d", NULL });
    uint64_t seq = engine_seq(harness->engine).value;
    add(harness, "r", "c", 2);
    CHECK_EQ_UINT(engine_seq(harness->engine).value, seq);
    struct engine_operation remove =
        OP(.kind = OPERATION_RANK_REMOVE, .name = BYTES_LITERAL("r"), .member = BYTES_LITERAL("a"));
    CHECK(run(harness, remove)->was_there);
    CHECK(!run(harness, remove)->was_there);
    harness_restart(harness);
    check_order(harness, "r", (const char *const[]){ "b", "c", "d", NULL });
    struct engine_operation trim =
        OP(.kind = OPERATION_RANK_TRIM, .name = BYTES_LITERAL("r"), .first = 0, .last = -2);
    CHECK_EQ_INT(run(harness, trim)->number, 2);
    check_order(harness, "r", (const char *const[]){ "d", NULL });
    CHECK_EQ_UINT(engine_key_counters(harness->engine).member_count, 1);
    harness_close(&harness);
}

TEST(rank_scores_are_finite)
{
    struct harness *harness = harness_open();
    struct engine_operation more =
        OP(.kind = OPERATION_RANK_INCREMENT,
           .name = BYTES_LITERAL("r"),
           .member = BYTES_LITERAL("m"),
           .score = DBL_MAX);
    CHECK(run(harness, more)->is_changed);
    CHECK_EQ_INT(try(harness, more), TENURE_INVALID);
    more.score = -HUGE_VAL;
    CHECK_EQ_INT(try(harness, more), TENURE_INVALID);
    more.score = (double)NAN;
    CHECK_EQ_INT(try(harness, more), TENURE_INVALID);
    more.score = -DBL_MAX;
    CHECK(!signbit(run(harness, more)->score));
    struct engine_operation zero =
        OP(.kind = OPERATION_RANK_ADD,
           .name = BYTES_LITERAL("r"),
           .member = BYTES_LITERAL("z"),
           .score = -0.0);
    CHECK(!signbit(run(harness, zero)->score));
    harness_close(&harness);
}

TEST(rank_adds_when_it_is_asked_to)
{
    struct harness *harness = harness_open();
    struct engine_operation wish =
        OP(.kind = OPERATION_RANK_ADD,
           .name = BYTES_LITERAL("r"),
           .member = BYTES_LITERAL("m"),
           .score = 5,
           .when = RANK_IF_PRESENT);
    CHECK(!run(harness, wish)->is_changed);
    wish.when = RANK_IF_GREATER;
    CHECK(run(harness, wish)->is_changed);
    wish.score = 4;
    CHECK(!run(harness, wish)->is_changed);
    wish.when = RANK_IF_LESS | RANK_IF_PRESENT;
    CHECK(run(harness, wish)->is_changed);
    wish.when = RANK_IF_ABSENT;
    wish.score = 9;
    CHECK(!run(harness, wish)->is_changed);
    wish.when = RANK_IF_ABSENT | RANK_IF_GREATER;
    CHECK_EQ_INT(try(harness, wish), TENURE_INVALID);
    wish.when = RANK_IF_LESS | RANK_IF_GREATER;
    CHECK_EQ_INT(try(harness, wish), TENURE_INVALID);
    harness_close(&harness);
}

TEST(rank_finds_places_and_spans)
{
    struct harness *harness = harness_open();
    char name[16];
    harness->check_every = 50;
    for (int number = 0; number < 200; number++) {
        (void)snprintf(name, sizeof name, "m%03d", number * 7 % 200);
        add(harness, "r", name, number * 7 % 200 / 2);
    }
    struct engine_member_view view;
    CHECK(engine_member(harness->engine, BYTES_LITERAL("r"), BYTES_LITERAL("m123"), &view));
    CHECK_EQ_UINT(view.position, 123);
    uint32_t first, end;
    struct engine_score_span span = { .score_min = 10, .score_max = 20 };
    engine_rank_span(harness->engine, BYTES_LITERAL("r"), &span, &first, &end);
    CHECK_EQ_UINT(first, 20);
    CHECK_EQ_UINT(end, 42);
    span.is_min_open = span.is_max_open = true;
    engine_rank_span(harness->engine, BYTES_LITERAL("r"), &span, &first, &end);
    CHECK_EQ_UINT(first, 22);
    CHECK_EQ_UINT(end, 40);
    span = (struct engine_score_span){ .score_min = -HUGE_VAL, .score_max = HUGE_VAL };
    engine_rank_span(harness->engine, BYTES_LITERAL("r"), &span, &first, &end);
    CHECK_EQ_UINT(end - first, 200);
    CHECK_EQ_UINT(engine_members(harness->engine, BYTES_LITERAL("r"), 199, true, &view, 1), 1);
    CHECK_EQ_BYTES(view.member, BYTES_LITERAL("m199"));
    CHECK_EQ_UINT(engine_members(harness->engine, BYTES_LITERAL("r"), 200, false, &view, 1), 0);
    harness_close(&harness);
}

/* ---------------------------------------------------------------- watch and wait */

TEST(state_events_have_their_value_and_the_one_before)
{
    struct harness *harness = harness_open();
    uint64_t first = set(harness, "a/b", "one");
    (void)run(harness, OP(.kind = OPERATION_APPEND, .name = NAME, .value = BYTES_LITERAL("+")));
    (void)run(harness, OP(.kind = OPERATION_REMOVE, .name = NAME));
    (void)set(harness, "a/b", "two");
    static const char *const values[] = { "one", "one+", "", "two" };
    static const char *const previous[] = { NULL, "one", "one+", NULL };
    for (unsigned index = 0; index < 4; index++) {
        struct record record;
        CHECK(engine_window_read(harness->engine, (struct seq){ first + index }, &record));
        CHECK_EQ_BYTES(record.body, bytes_from_text(values[index]));
        CHECK_EQ_INT(record.has_previous, previous[index] != NULL);
        if (previous[index] != NULL) {
            CHECK_EQ_BYTES(record.previous, bytes_from_text(previous[index]));
        }
    }
    harness_close(&harness);
}

TEST(state_history_is_bounded)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    static char value[10000];
    for (unsigned count = 0; count < 50; count++) {
        (void)run(
            harness, OP(.kind = OPERATION_SET, .name = NAME, .value = { value, sizeof value }));
        uint64_t size = engine_key_counters(harness->engine).history_bytes;
        CHECK_LE_UINT(size, ENGINE_WINDOW_SIZE_MIN + sizeof value + 64);
    }
    CHECK_LT_UINT(40, engine_window_first(harness->engine).value);
    harness_close(&harness);
}

/* Values of which the window keeps six. */
static void push_out(struct harness *harness)
{
    static char value[10000];
    (void)run(
        harness,
        OP(.kind = OPERATION_SET, .name = BYTES_LITERAL("big"), .value = { value, sizeof value }));
}

/* A name may be changed and forgotten while the disk is slow. */
TEST(state_what_is_forgotten_before_it_is_durable_is_not_told)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    uint64_t token = harness_hold(harness, ASK(.name = "lock", .owner = "A"));
    (void)harness_hold(harness, ASK(.name = "other", .owner = "B"));
    (void)set(harness, "a/b", "one");
    harness->is_auto_durable = false;
    (void)harness_release(harness, "lock", "A", token);
    (void)run(harness, OP(.kind = OPERATION_REMOVE, .name = NAME));
    uint64_t seq = engine_seq(harness->engine).value;
    while (engine_window_first(harness->engine).value <= seq) {
        push_out(harness);
    }
    /* Somebody waits for each: so they are names again, of which nothing is remembered. */
    struct engine_command wait = { .kind = ENGINE_STATE_WAIT,
                                   .client = 2,
                                   .as.state_wait = { .name = NAME, .wait_ms = 100 } };
    CHECK(harness_command(harness, &wait) == NULL);
    const char *const names[] = { "lock", "other", NULL };
    (void)harness_wait(harness, ASK(.names = names, .owner = "C", .wait_ms = 100));
    struct engine_operation get = OP(.kind = OPERATION_GET, .name = NAME);
    const struct engine_reply *reply =
        change(harness, &(struct engine_change){ .then_operations = &get, .then_count = 1 });
    CHECK_LE_UINT(seq, reply->seq.value);
    struct engine_guard guard = { BYTES_LITERAL("lock"), { token } };
    struct seq told;
    CHECK_EQ_INT(engine_guard(harness->engine, &guard, &told), TENURE_STALE_TOKEN);
    CHECK_LE_UINT(seq, told.value);
    CHECK_LE_UINT(seq, harness_look(harness, "lock").seq.value);
    harness_advance(harness, 200);
    harness_close(&harness);
}

static const struct engine_reply *wait_for(
    struct harness *harness, const char *name, uint64_t version, uint32_t wait_ms, uint64_t tag)
{
    struct engine_command command = { .kind = ENGINE_STATE_WAIT, .client = 7, .tag = tag };
    command.as.state_wait = (struct engine_state_wait){ bytes_from_text(name), version, wait_ms };
    return harness_command(harness, &command);
}

TEST(state_tells_who_waits_for_a_change)
{
    struct harness *harness = harness_open();
    CHECK(wait_for(harness, "a/b", 0, 1000, 501) == NULL);
    CHECK(wait_for(harness, "a/b", 100, 1000, 502) == NULL);
    uint64_t version = set(harness, "a/b", "one");
    const struct engine_reply *reply = harness_answer(harness, 501);
    CHECK(reply != NULL);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_BYTES(reply->changes[0].value.value, BYTES_LITERAL("one"));
    CHECK(harness_answer(harness, 502) == NULL);
    CHECK_EQ_INT(wait_for(harness, "a/b", 0, 0, 503)->err, TENURE_OK);
    CHECK_EQ_INT(wait_for(harness, "a/b", version, 0, 504)->err, TENURE_TIMEOUT);
    CHECK(wait_for(harness, "a/b", version, 300, 505) == NULL);
    CHECK(wait_for(harness, "a/b", version, 900, 506) == NULL);
    harness_advance(harness, 300);
    CHECK_EQ_INT(harness_answer(harness, 505)->err, TENURE_TIMEOUT);
    (void)run(harness, OP(.kind = OPERATION_REMOVE, .name = NAME));
    reply = harness_answer(harness, 506);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->changes[0].value.version, 0);
    CHECK(wait_for(harness, "none", 0, 900, 507) == NULL);
    harness_gone(harness, 7);
    CHECK_EQ_UINT(engine_key_counters(harness->engine).wait_count, 0);
    CHECK(wait_for(harness, "none", 0, 900, 508) == NULL);
    CHECK_EQ_INT(harness_cancel(harness, 7, 508)->err, TENURE_CANCELED);
    CHECK(wait_for(harness, "none", 0, 900, 509) == NULL);
    harness_gate(harness, ENGINE_GATE_DRAINING);
    CHECK_EQ_INT(harness_answer(harness, 509)->err, TENURE_DRAINING);
    harness_close(&harness);
}

TEST(state_is_listed_in_order)
{
    struct harness *harness = harness_open();
    static const char *const names[] = { "b/2", "a", "b/1", "c", "b/3", "b" };
    for (unsigned index = 0; index < 6; index++) {
        (void)set(harness, names[index], "v");
    }
    add(harness, "b/0", "m", 1);
    (void)run(harness, OP(.kind = OPERATION_REMOVE, .name = BYTES_LITERAL("b/2")));
    struct engine_register_query query = { .prefix = BYTES_LITERAL("b/"),
                                           .count_max = 1,
                                           .value_size_max = 1000 };
    struct engine_register_view views[2];
    struct bytes next;
    CHECK_EQ_UINT(engine_registers(harness->engine, &query, harness->now, views, &next), 1);
    CHECK_EQ_BYTES(views[0].name, BYTES_LITERAL("b/1"));
    query.after = next;
    query.count_max = 2;
    CHECK_EQ_UINT(engine_registers(harness->engine, &query, harness->now, views, &next), 1);
    CHECK_EQ_BYTES(views[0].name, BYTES_LITERAL("b/3"));
    CHECK_EQ_UINT(next.size, 0);
    struct engine_rank_view ranks[4];
    CHECK_EQ_UINT(
        engine_ranks(harness->engine, (struct bytes){ 0 }, (struct bytes){ 0 }, 4, ranks, &next),
        1);
    CHECK_EQ_BYTES(ranks[0].name, BYTES_LITERAL("b/0"));
    harness_close(&harness);
}

/* ------------------------------------------------------------------ with queues */

static void put_item(struct harness *harness, uint64_t *out_token)
{
    struct engine_put item = { .queue = BYTES_LITERAL("q"),
                               .id = BYTES_LITERAL("i"),
                               .terms = { .lease_ms = 1000, .retention_ms = 5000 } };
    struct engine_command put = { .kind = ENGINE_PUT, .client = 1, .as.put = { &item, 1 } };
    CHECK_EQ_INT(harness_command(harness, &put)->err, TENURE_OK);
    struct bytes queue = BYTES_LITERAL("q");
    struct engine_command take = { .kind = ENGINE_TAKE, .client = 1 };
    take.as.take = (struct engine_take){
        .queues = &queue, .queue_count = 1, .worker = BYTES_LITERAL("w"), .count_max = 1
    };
    CHECK_EQ_INT(harness_command(harness, &take)->err, TENURE_OK);
    struct engine_item_view view;
    CHECK(engine_item(harness->engine, queue, BYTES_LITERAL("i"), &view));
    *out_token = view.token.value;
}

TEST(state_is_written_with_the_end_of_an_item_or_not_at_all)
{
    struct harness *harness = harness_open();
    uint64_t token;
    put_item(harness, &token);
    struct engine_condition condition = { .kind = CONDITION_PRESENT, .name = NAME };
    struct engine_operation operation =
        OP(.kind = OPERATION_INCREMENT, .name = BYTES_LITERAL("count"), .by = 1);
    struct engine_change effect = { .conditions = &condition,
                                    .condition_count = 1,
                                    .then_operations = &operation,
                                    .then_count = 1 };
    struct engine_command done = { .kind = ENGINE_DONE, .client = 1 };
    done.as.end_work = (struct engine_end_work){
        .claim = { .queue = BYTES_LITERAL("q"), .id = BYTES_LITERAL("i"), .token = { token } },
        .change = &effect,
    };
    CHECK_EQ_INT(harness_command(harness, &done)->err, TENURE_MISMATCH);
    struct engine_item_view view;
    CHECK(engine_item(harness->engine, BYTES_LITERAL("q"), BYTES_LITERAL("i"), &view));
    CHECK_EQ_INT(view.state, ITEM_TAKEN);
    (void)set(harness, "a/b", "x");
    const struct engine_reply *reply = harness_command(harness, &done);
    CHECK_EQ_INT(reply->err, TENURE_OK);
    CHECK_EQ_UINT(reply->change_count, 1);
    CHECK_EQ_INT(reply->changes[0].number, 1);
    CHECK_EQ_BYTES(look(harness, "count").value, BYTES_LITERAL("1"));
    /* Said again it is not done again; a worker that was lost does nothing. */
    CHECK_EQ_INT(harness_command(harness, &done)->err, TENURE_OK);
    CHECK_EQ_BYTES(look(harness, "count").value, BYTES_LITERAL("1"));
    done.as.end_work.claim.token.value--;
    CHECK_EQ_INT(harness_command(harness, &done)->err, TENURE_LOST);
    CHECK_EQ_BYTES(look(harness, "count").value, BYTES_LITERAL("1"));
    harness_close(&harness);
}

/* -------------------------------------------------------------------- no memory */

/* An engine whose allocations fail; what was refused for it is asked again. */
struct shop {
    struct fault_memory fault;
    struct engine *engine;
    int64_t now_ms;
    uint64_t tag, token;
    struct engine_update update;
};

static enum tenure_err step(struct shop *shop, struct engine_event event)
{
    event.now.ns = shop->now_ms * NS_PER_MS;
    event.wall.us = INT64_C(1700000000000000) + shop->now_ms * 1000;
    enum tenure_err err = engine_step(shop->engine, &event, &shop->update);
    engine_check(shop->engine);
    return err;
}

static void open_shop(struct shop *shop)
{
    *shop = (struct shop){ .now_ms = 1000 };
    fault_memory_init(&shop->fault, 0);
    struct engine_options options = { .memory = &shop->fault.memory,
                                      .hold_count_max = 10,
                                      .waiter_count_max = 10,
                                      .window_size = ENGINE_WINDOW_SIZE_MIN,
                                      .ageing_ms = 1000 };
    shop->engine = engine_create(&options);
    CHECK(shop->engine != NULL);
    CHECK(step(shop, (struct engine_event){ .kind = ENGINE_READY }) == TENURE_OK);
}

static void insist(struct shop *shop, struct engine_command command)
{
    enum tenure_err err = TENURE_NO_MEMORY;
    for (unsigned count = 0; err == TENURE_NO_MEMORY && count < 3; count++) {
        uint64_t seq = engine_seq(shop->engine).value;
        command.client = 1;
        command.tag = ++shop->tag;
        CHECK(
            step(shop, (struct engine_event){ .kind = ENGINE_COMMAND, .command = &command }) ==
            TENURE_OK);
        err = shop->update.is_waiting ? TENURE_OK : shop->update.replies[0].err;
        if (err == TENURE_NO_MEMORY) CHECK_EQ_UINT(engine_seq(shop->engine).value, seq);
    }
    CHECK(err != TENURE_NO_MEMORY);
}

static void take_or_give_lock(struct shop *shop)
{
    struct bytes name = BYTES_LITERAL("lock");
    struct engine_command command = { .kind = ENGINE_ACQUIRE };
    command.as.acquire = (struct engine_acquire){
        .names = &name, .name_count = 1, .owner = BYTES_LITERAL("A"), .slots = 1
    };
    if (shop->token > 0) {
        command.kind = ENGINE_RELEASE;
        command.as.release = (struct engine_claim){ .name = name,
                                                    .owner = BYTES_LITERAL("A"),
                                                    .token = { shop->token } };
    }
    insist(shop, command);
    bool is_held = command.kind == ENGINE_ACQUIRE;
    shop->token = is_held ? shop->update.replies[0].results[0].hold.token.value : 0;
}

static void change_something(struct shop *shop, struct test_random *random)
{
    static const char names[] = "abcdefgh";
    static const char value[200] = { 0 };
    struct engine_operation operations[4];
    struct engine_change wish = { .then_operations = operations,
                                  .then_count = 1 + (uint32_t)test_random_below(random, 4) };
    for (uint32_t index = 0; index < wish.then_count; index++) {
        operations[index] = (struct engine_operation){
            .kind = (enum engine_operation_kind)test_random_below(random, OPERATION_KIND_COUNT),
            .name = { names + 2 * index + test_random_below(random, 2), 1 },
            .member = { names + test_random_below(random, 8), 1 },
            .value = { value, test_random_below(random, sizeof value) },
            .score = (double)test_random_below(random, 3),
        };
        struct engine_operation *operation = &operations[index];
        if (operation->kind == OPERATION_INCREMENT) operation->kind = OPERATION_SET;
        if (operation->kind >= OPERATION_RANK_GET) continue;
        if (test_random_below(random, 3) == 0) operation->ttl_ms = 500;
        if (shop->token > 0 && test_random_below(random, 3) == 0) {
            operation->bond = (struct engine_guard){ BYTES_LITERAL("lock"), { shop->token } };
        }
    }
    insist(shop, (struct engine_command){ .kind = ENGINE_CHANGE, .as.change = wish });
}

static void live_step(struct shop *shop, struct test_random *random)
{
    static const char names[] = "abcdefgh";
    switch (test_random_below(random, 6)) {
    case 0: take_or_give_lock(shop); return;
    case 1: {
        struct engine_command command = { .kind = ENGINE_STATE_WAIT };
        command.as.state_wait = (struct engine_state_wait){
            { names + test_random_below(random, 8), 1 }, engine_seq(shop->engine).value, 300
        };
        if (engine_key_counters(shop->engine).wait_count < 9) insist(shop, command);
        return;
    }
    case 2:
        shop->now_ms += 200;
        if (step(shop, (struct engine_event){ .kind = ENGINE_TIMER }) == TENURE_OK) return;
        CHECK(shop->fault.has_failed);
        CHECK(step(shop, (struct engine_event){ .kind = ENGINE_TIMER }) == TENURE_OK);
        return;
    default: change_something(shop, random); return;
    }
}

TEST_WITHIN(120, state_survives_every_failing_allocation)
{
    bool has_failed = true;
    for (uint64_t fail_at = 1; has_failed; fail_at++) {
        struct shop shop;
        struct test_random random = { 5 };
        open_shop(&shop);
        shop.fault.call_count = 0;
        shop.fault.fail_at = fail_at;
        for (unsigned count = 0; count < 120; count++) {
            test_note("allocation %llu, step %u", (unsigned long long)fail_at, count);
            live_step(&shop, &random);
        }
        has_failed = shop.fault.has_failed;
        shop.fault.fail_at = 0;
        engine_destroy(&shop.engine);
        fault_memory_check_empty(&shop.fault);
    }
}

/* What a snapshot and a journal are made of again. */
static enum tenure_err
restore(struct harness *harness, struct fault_memory *fault, struct bytes snapshot, struct seq seq)
{
    struct engine_options options = harness->options;
    options.memory = &fault->memory;
    struct engine *engine = engine_create(&options);
    if (engine == NULL) return TENURE_NO_MEMORY;
    struct engine_event event = { .kind = ENGINE_READY,
                                  .now = harness->now,
                                  .wall = harness->wall };
    struct engine_update update;
    enum tenure_err err = TENURE_OK;
    if (snapshot.size > 0) {
        err = engine_restore_chunk(engine, snapshot);
        if (err == TENURE_OK) err = engine_restore_snapshot_end(engine, seq);
    } else {
        err = engine_restore_batch(
            engine,
            (struct seq){ 1 },
            (uint32_t)engine_seq(harness->engine).value,
            buffer_bytes(&harness->journal));
    }
    if (err == TENURE_OK) err = engine_step(engine, &event, &update);
    fault->fail_at = 0;
    if (err == TENURE_OK) CHECK_EQ_UINT(engine_hash(engine), harness_hash(harness));
    engine_destroy(&engine);
    return err;
}

static void check_previous(const struct engine *engine, uint64_t seq, const char *previous)
{
    struct record record;
    CHECK(engine_window_read(engine, (struct seq){ seq }, &record));
    CHECK(record.has_previous);
    CHECK_EQ_BYTES(record.previous, bytes_from_text(previous));
}

/* The snapshot, and what the journal has behind it, lead to the same state; and that event of the
 * snapshot tells what was before. */
static void check_restored(
    struct harness *harness,
    struct bytes snapshot,
    struct seq seq,
    uint64_t event_seq,
    const char *previous)
{
    struct engine_options options = harness->options;
    options.memory = &memory_heap;
    struct engine *engine = engine_create(&options);
    CHECK(engine != NULL);
    CHECK_EQ_INT(engine_restore_chunk(engine, snapshot), TENURE_OK);
    CHECK_EQ_INT(engine_restore_snapshot_end(engine, seq), TENURE_OK);
    check_previous(engine, event_seq, previous);
    for (size_t index = 0; index < harness->batch_count; index++) {
        const struct harness_batch *batch = &harness->batches[index];
        struct bytes records = { harness->journal.data + batch->offset, batch->size };
        if (batch->first.value <= seq.value) continue;
        CHECK_EQ_INT(engine_restore_batch(engine, batch->first, batch->count, records), TENURE_OK);
    }
    CHECK_EQ_UINT(engine_hash(engine), harness_hash(harness));
    engine_destroy(&engine);
}

/* The first event of the window tells of a value that came before the window. */
static void check_first_event(enum engine_operation_kind kind)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    (void)set(harness, "a/b", "old");
    for (unsigned count = 0; count < 10; count++) {
        push_out(harness);
    }
    (void)run(harness, OP(.kind = kind, .name = NAME));
    uint64_t first = engine_seq(harness->engine).value;
    while (engine_window_first(harness->engine).value < first) {
        push_out(harness);
    }
    CHECK_EQ_UINT(engine_window_first(harness->engine).value, first);
    check_previous(harness->engine, first, "old");
    struct buffer snapshot;
    struct seq seq;
    buffer_init(&snapshot, &memory_heap);
    engine_snapshot_begin(harness->engine, &seq);
    CHECK(engine_snapshot_write(harness->engine, &snapshot, SIZE_MAX / 2));
    check_restored(harness, buffer_bytes(&snapshot), seq, first, "old");
    buffer_deinit(&snapshot);
    harness_close(&harness);
}

TEST(state_a_snapshot_knows_what_was_before_its_first_event)
{
    check_first_event(OPERATION_REMOVE);
    check_first_event(OPERATION_SET);
    check_first_event(OPERATION_APPEND);
}

/* While a snapshot is written events are pushed out that it wanted: it has what was before those
 * behind the gap. */
TEST(state_a_snapshot_with_a_gap_knows_what_was_before_it)
{
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    (void)set(harness, "a/b", "one");
    push_out(harness);
    push_out(harness);
    (void)set(harness, "a/b", "two");
    push_out(harness);
    push_out(harness);
    uint64_t third = set(harness, "a/b", "three");
    struct buffer snapshot;
    struct seq seq;
    buffer_init(&snapshot, &memory_heap);
    engine_snapshot_begin(harness->engine, &seq);
    for (unsigned entry = 0; entry < 2; entry++) { /* the head, and the first event */
        CHECK(!engine_snapshot_write(harness->engine, &snapshot, 1));
    }
    while (engine_window_first(harness->engine).value < third) {
        push_out(harness);
    }
    CHECK_EQ_UINT(engine_window_first(harness->engine).value, third);
    while (!engine_snapshot_write(harness->engine, &snapshot, 1)) {
    }
    check_restored(harness, buffer_bytes(&snapshot), seq, third, "two");
    buffer_deinit(&snapshot);
    harness_close(&harness);
}

TEST_WITHIN(120, state_is_restored_or_there_is_no_memory)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "lock", .owner = "A"));
    CHECK_EQ_INT(bind(harness, "bound", "lock", token), TENURE_OK);
    (void)set(harness, "a", "one");
    (void)set(harness, "a", "two");
    (void)run(harness, OP(.kind = OPERATION_REMOVE, .name = BYTES_LITERAL("a")));
    (void)run(
        harness,
        OP(.kind = OPERATION_SET, .name = NAME, .value = BYTES_LITERAL("x"), .ttl_ms = 900));
    for (int number = 0; number < 100; number++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", number);
        add(harness, "r", name, number % 7);
    }
    struct buffer snapshot;
    struct seq seq;
    buffer_init(&snapshot, &memory_heap);
    engine_snapshot_begin(harness->engine, &seq);
    CHECK(engine_snapshot_write(harness->engine, &snapshot, SIZE_MAX / 2));
    for (unsigned is_snapshot = 0; is_snapshot < 2; is_snapshot++) {
        struct bytes bytes = is_snapshot ? buffer_bytes(&snapshot) : (struct bytes){ 0 };
        bool has_failed = true;
        for (uint64_t fail_at = 1; has_failed; fail_at++) {
            struct fault_memory fault;
            fault_memory_init(&fault, fail_at);
            enum tenure_err err = restore(harness, &fault, bytes, seq);
            has_failed = fault.has_failed;
            CHECK_EQ_INT(err, has_failed ? TENURE_NO_MEMORY : TENURE_OK);
            fault_memory_check_empty(&fault);
        }
    }
    buffer_deinit(&snapshot);
    harness_close(&harness);
}
