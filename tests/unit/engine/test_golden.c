/* What the engine writes: records and snapshots under tests/golden/engine-vN.  They were written
 * once and stay: every later version must read them.  What is written now is the last of them, byte
 * for byte.
 *
 * A new version gets a new directory:
 *     TENURE_GOLDEN_WRITE=DIR build/…/unit-engine --filter golden_is_written */
#include <stdio.h>
#include <stdlib.h>

#include "engine/queues.h"
#include "engine/registers.h"
#include "lib/test.h"
#include "unit/engine/harness.h"

#define ASK(...)      ((struct ask){ __VA_ARGS__ })
#define FILE_SIZE_MAX 65536u

static struct bytes read_golden(const char *version, const char *name, char *room)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s/%s", GOLDEN_PATH, version, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) FAIL("%s is missing", path);
    size_t size = fread(room, 1, FILE_SIZE_MAX, file);
    CHECK_EQ_INT(fclose(file), 0);
    return (struct bytes){ room, size };
}

static void write_golden(const char *directory, const char *name, struct bytes contents)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK_EQ_UINT(fwrite(contents.data, 1, contents.size, file), contents.size);
    CHECK_EQ_INT(fclose(file), 0);
}

/* -------------------------------------------------------------------- stories */

/* Every kind of record about locks. */
static void tell_locks(struct harness *harness)
{
    uint64_t a = harness_hold(
        harness,
        ASK(.name = "a", .owner = "A", .meta = "first", .ttl_ms = 7000, .lock_delay_ms = 900));
    (void)harness_proclaim(harness, "a", "A", a, "second");
    (void)harness_renew(harness, "a", "A", a, 60000);
    uint64_t b = harness_hold(harness, ASK(.name = "b", .owner = "B", .is_endless = true));
    (void)harness_break(harness, "b", b, "moving", 5000);
    uint64_t c = harness_hold(harness, ASK(.name = "c", .owner = "C"));
    (void)harness_break(harness, "c", c, "stuck", 0);
    (void)harness_hold(harness, ASK(.name = "r/1", .owner = "r1", .mode = ENGINE_SHARED));
    (void)harness_hold(harness, ASK(.name = "r/1", .owner = "r2", .mode = ENGINE_SHARED));
    (void)harness_hold(harness, ASK(.name = "s", .owner = "s1", .slots = 3));
    (void)harness_hold(harness, ASK(.name = "s", .owner = "s2", .slots = 3));
    (void)harness_hold(harness, ASK(.name = "d", .owner = "D", .ttl_ms = 100, .lock_delay_ms = 50));
    harness_advance(harness, 100);
    harness_advance(harness, 50);
    (void)harness_hold(
        harness, ASK(.name = "e", .owner = "E", .ttl_ms = 100, .lock_delay_ms = 4000));
    harness_advance(harness, 100);
    uint64_t gone = harness_hold(harness, ASK(.name = "gone", .owner = "G"));
    (void)harness_release(harness, "gone", "G", gone);
    uint64_t t = harness_hold(harness, ASK(.name = "t", .owner = "T"));
    (void)harness_wait(harness, ASK(.name = "t", .owner = "U", .wait_ms = 60000));
    (void)harness_transfer(harness, "t", "T", t, "U");
}

static void check_locks(const struct engine *engine)
{
    struct mono now = { INT64_MAX / 2 };
    struct engine_lock_view lock;
    struct engine_hold_view hold;
    CHECK(engine_inspect_hold(engine, BYTES_LITERAL("a"), now, 0, &hold));
    CHECK_EQ_BYTES(hold.owner, BYTES_LITERAL("A"));
    CHECK_EQ_BYTES(hold.meta, BYTES_LITERAL("second"));
    CHECK_EQ_UINT(hold.ttl_ms, 60000);
    CHECK_EQ_UINT(hold.lock_delay_ms, 900);
    CHECK(engine_inspect_hold(engine, BYTES_LITERAL("b"), now, 0, &hold));
    CHECK(hold.is_breaking);
    CHECK(!engine_inspect_hold(engine, BYTES_LITERAL("c"), now, 0, &hold));
    CHECK(engine_inspect(engine, BYTES_LITERAL("r/1"), now, &lock));
    CHECK_EQ_UINT(lock.hold_count, 2);
    CHECK_EQ_INT(lock.mode, ENGINE_SHARED);
    CHECK(engine_inspect(engine, BYTES_LITERAL("s"), now, &lock));
    CHECK_EQ_UINT(lock.hold_count, 2);
    CHECK_EQ_UINT(lock.slots, 3);
    CHECK(engine_inspect(engine, BYTES_LITERAL("e"), now, &lock)); /* its delay runs */
    CHECK_EQ_UINT(lock.hold_count, 0);
    CHECK(engine_inspect_hold(engine, BYTES_LITERAL("t"), now, 0, &hold));
    CHECK_EQ_BYTES(hold.owner, BYTES_LITERAL("U"));
}

static struct engine_put item(const char *id)
{
    return (struct engine_put){
        .queue = BYTES_LITERAL("mail"),
        .id = bytes_from_text(id),
        .group = BYTES_LITERAL("ann"),
        .headers = BYTES_LITERAL("{\"a\":1}"),
        .body = BYTES_LITERAL("a body"),
        .terms = { .lease_ms = 30000,
                   .timeout_ms = 3600000,
                   .retention_ms = 86400000,
                   .backoff_ms = 5000,
                   .backoff_ms_max = 60000,
                   .attempts_max = 25,
                   .lapses_max = 3,
                   .priority = 4,
                   .backoff = ITEM_BACKOFF_EXPONENTIAL,
                   .jitter = 10 },
    };
}

static void put(struct harness *harness, struct engine_put wish)
{
    struct engine_command command = { .kind = ENGINE_PUT, .as.put = { &wish, 1 } };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
}

/* Of one that has just been put; its token. */
static uint64_t take(struct harness *harness, const char *id)
{
    struct bytes queue = BYTES_LITERAL("mail");
    struct engine_command command = { .kind = ENGINE_TAKE };
    command.as.take = (struct engine_take){
        .queues = &queue, .queue_count = 1, .worker = BYTES_LITERAL("w1"), .count_max = 1
    };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
    struct engine_item_view view;
    CHECK(engine_item(harness->engine, queue, bytes_from_text(id), &view));
    CHECK_EQ_INT(view.state, ITEM_TAKEN);
    return view.token.value;
}

static void say(struct harness *harness, enum engine_command_kind kind, const char *id)
{
    struct engine_command command = { .kind = kind };
    struct engine_work_claim claim = { .queue = BYTES_LITERAL("mail"),
                                       .id = bytes_from_text(id),
                                       .lease_ms = 45000,
                                       .progress = BYTES_LITERAL("half") };
    struct engine_item_view view;
    if (engine_item(harness->engine, claim.queue, claim.id, &view)) claim.token = view.token;
    if (kind == ENGINE_EXTEND) {
        command.as.extend.claims = &claim;
        command.as.extend.count = 1;
    } else if (kind == ENGINE_CANCEL_ITEM || kind == ENGINE_KICK) {
        command.as.item = (struct engine_item_name){ claim.queue, claim.id, BYTES_LITERAL("why") };
    } else {
        command.as.end_work = (struct engine_end_work){ .claim = claim, .delay_ms = 7000 };
        if (kind == ENGINE_DONE) command.as.end_work.result = BYTES_LITERAL("a result");
        if (kind != ENGINE_DONE) command.as.end_work.reason = BYTES_LITERAL("no luck");
    }
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
}

static void set_scope(struct harness *harness, enum engine_command_kind kind, struct bytes group)
{
    struct engine_command command = { .kind = kind };
    command.as.scope = (struct engine_scope){ .queue = BYTES_LITERAL("mail"),
                                              .is_whole = group.size == 0,
                                              .group = group,
                                              .limits = { 20, 1000, 10, 1000, 5, 2 } };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
}

/* Every kind of record about queues, and an item in every state. */
static void tell_queues(struct harness *harness)
{
    set_scope(harness, ENGINE_LIMIT, (struct bytes){ 0 });
    set_scope(harness, ENGINE_LIMIT, BYTES_LITERAL("bob"));
    put(harness, item("done"));
    (void)take(harness, "done");
    say(harness, ENGINE_EXTEND, "done");
    say(harness, ENGINE_DONE, "done");
    put(harness, item("failed"));
    (void)take(harness, "failed");
    say(harness, ENGINE_FAIL, "failed");
    struct engine_put wish = item("lapsed");
    wish.terms.lease_ms = 100;
    put(harness, wish);
    (void)take(harness, "lapsed");
    harness_advance(harness, 100);
    (void)take(harness, "lapsed");
    say(harness, ENGINE_BURY, "lapsed");
    say(harness, ENGINE_KICK, "lapsed");
    (void)take(harness, "lapsed");
    say(harness, ENGINE_EXTEND, "lapsed");
    say(harness, ENGINE_CANCEL_ITEM, "lapsed");
    put(harness, item("buried"));
    (void)take(harness, "buried");
    say(harness, ENGINE_BURY, "buried");
    put(harness, item("cancelled"));
    say(harness, ENGINE_CANCEL_ITEM, "cancelled");
    wish = item("forgotten");
    wish.terms.retention_ms = 100;
    put(harness, wish);
    say(harness, ENGINE_CANCEL_ITEM, "forgotten");
    harness_advance(harness, 100);
    wish = item("");
    wish.unique = BYTES_LITERAL("key");
    wish.terms.unique_scope = UNIQUE_UNTIL_DONE;
    wish.terms.conflict = UNIQUE_KEEP_LAST;
    put(harness, wish);
    wish = item("delayed");
    wish.terms.run_at_us = harness->wall.us + 3600000000;
    wish.terms.expires_at_us = harness->wall.us + 7200000000;
    put(harness, wish);
    set_scope(harness, ENGINE_PAUSE, (struct bytes){ 0 });
    set_scope(harness, ENGINE_RESUME, (struct bytes){ 0 });
    set_scope(harness, ENGINE_PAUSE, BYTES_LITERAL("ann"));
}

static void check_item(const struct engine *engine, const char *id, enum item_state state)
{
    struct engine_item_view view;
    CHECK(engine_item(engine, BYTES_LITERAL("mail"), bytes_from_text(id), &view));
    CHECK_EQ_TEXT(item_state_word(view.state), item_state_word(state));
    CHECK_EQ_BYTES(view.group, BYTES_LITERAL("ann"));
    CHECK_EQ_UINT(view.terms.timeout_ms, 3600000);
}

static void check_queues(const struct engine *engine)
{
    struct bytes mail = BYTES_LITERAL("mail");
    struct engine_item_view view;
    check_item(engine, "done", ITEM_DONE);
    check_item(engine, "failed", ITEM_DELAYED);
    check_item(engine, "lapsed", ITEM_TAKEN);
    check_item(engine, "buried", ITEM_DEAD);
    check_item(engine, "cancelled", ITEM_CANCELLED);
    check_item(engine, "delayed", ITEM_DELAYED);
    CHECK(!engine_item(engine, mail, BYTES_LITERAL("forgotten"), &view));
    CHECK(engine_item(engine, mail, BYTES_LITERAL("lapsed"), &view));
    CHECK(view.is_cancelling);
    CHECK_EQ_UINT(view.lapses, 0); /* it was kicked since */
    CHECK_EQ_BYTES(view.worker, BYTES_LITERAL("w1"));
    CHECK_EQ_BYTES(view.body, BYTES_LITERAL("a body"));
    CHECK_EQ_BYTES(view.headers, BYTES_LITERAL("{\"a\":1}"));
    CHECK(engine_item(engine, mail, BYTES_LITERAL("done"), &view));
    CHECK_EQ_BYTES(view.note, BYTES_LITERAL("a result"));
    CHECK(engine_peek(engine, mail, ITEM_READY, &view));
    CHECK_EQ_BYTES(view.unique, BYTES_LITERAL("key"));
    struct engine_group_view group;
    CHECK(engine_group(engine, mail, BYTES_LITERAL("ann"), &group));
    CHECK(group.is_paused && !group.has_limits);
    CHECK_EQ_UINT(group.limits.running_max, 20);
    CHECK(engine_group(engine, mail, BYTES_LITERAL("bob"), &group));
    CHECK(group.has_limits);
}

static void change(struct harness *harness, struct engine_operation operation)
{
    struct engine_command command = { .kind = ENGINE_CHANGE, .client = 1 };
    command.as.change = (struct engine_change){ .then_operations = &operation, .then_count = 1 };
    CHECK_EQ_INT(harness_command(harness, &command)->err, TENURE_OK);
}

/* Every kind of record about shared state. */
static void tell_keys(struct harness *harness)
{
    struct engine_operation set = { .kind = OPERATION_SET,
                                    .name = BYTES_LITERAL("key"),
                                    .value = BYTES_LITERAL("one"),
                                    .ttl_ms = 90000 };
    change(harness, set);
    set.name = BYTES_LITERAL("bound");
    set.ttl_ms = 0;
    set.bond = (struct engine_guard){ BYTES_LITERAL("k"),
                                      { harness_hold(harness, ASK(.name = "k", .owner = "K")) } };
    change(harness, set);
    struct engine_operation append = { .kind = OPERATION_APPEND,
                                       .name = BYTES_LITERAL("key"),
                                       .value = BYTES_LITERAL(" two") };
    change(harness, append);
    set = (struct engine_operation){ .kind = OPERATION_SET, .name = BYTES_LITERAL("gone") };
    change(harness, set);
    set.kind = OPERATION_REMOVE;
    change(harness, set);
    struct engine_operation add = { .kind = OPERATION_RANK_ADD,
                                    .name = BYTES_LITERAL("key"),
                                    .member = BYTES_LITERAL("ann"),
                                    .score = 1.5 };
    change(harness, add);
    add.score = -3;
    change(harness, add);
    add.member = BYTES_LITERAL("bob");
    change(harness, add);
    add.kind = OPERATION_RANK_REMOVE;
    change(harness, add);
}

static void check_keys(const struct engine *engine)
{
    struct engine_register_view view;
    struct engine_member_view member;
    struct seq seq;
    struct mono now = { 0 };
    CHECK(engine_register(engine, BYTES_LITERAL("key"), now, &view, &seq));
    CHECK_EQ_BYTES(view.value, BYTES_LITERAL("one two"));
    CHECK_EQ_UINT(view.ttl_ms, 90000);
    CHECK(engine_register(engine, BYTES_LITERAL("bound"), now, &view, &seq));
    CHECK_EQ_BYTES(view.lock, BYTES_LITERAL("k"));
    CHECK(!engine_register(engine, BYTES_LITERAL("gone"), now, &view, &seq));
    CHECK(engine_member(engine, BYTES_LITERAL("key"), BYTES_LITERAL("ann"), &member));
    CHECK(member.score < -2.9 && member.score > -3.1);
    CHECK(!engine_member(engine, BYTES_LITERAL("key"), BYTES_LITERAL("bob"), &member));
    /* What was before an event comes with it. */
    struct seq last = engine_window_last(engine);
    bool has_seen = false;
    for (uint64_t at = engine_window_first(engine).value; at <= last.value; at++) {
        struct record record;
        CHECK(engine_window_read(engine, (struct seq){ at }, &record));
        if (record.kind != RECORD_APPENDED) continue;
        CHECK_EQ_BYTES(record.body, BYTES_LITERAL("one two"));
        CHECK_EQ_BYTES(record.previous, BYTES_LITERAL("one"));
        has_seen = true;
    }
    CHECK(has_seen);
}

/* -------------------------------------------------------------------- reading */

static void make_ready(struct engine *engine, const struct harness *harness)
{
    struct engine_event event = { .kind = ENGINE_READY,
                                  .now = harness->now,
                                  .wall = harness->wall };
    struct engine_update update;
    CHECK_EQ_INT(engine_step(engine, &event, &update), TENURE_OK);
    engine_check(engine);
}

static uint32_t count_records(struct bytes records)
{
    uint32_t count = 0;
    struct record record;
    for (; record_decode(&records, &record) == TENURE_OK; count++) {
    }
    CHECK_EQ_UINT(records.size, 0);
    return count;
}

/* Both lead to the same state. */
static void read_version(const char *version, void (*check)(const struct engine *))
{
    static char records_room[FILE_SIZE_MAX];
    static char snapshot_room[FILE_SIZE_MAX];
    struct bytes records = read_golden(version, "records", records_room);
    struct bytes snapshot = read_golden(version, "snapshot", snapshot_room);
    struct harness *harness = harness_open();
    uint32_t count = count_records(records);
    struct engine *replayed = engine_create(&harness->options);
    struct engine *restored = engine_create(&harness->options);
    CHECK(replayed != NULL && restored != NULL);
    CHECK_EQ_INT(engine_restore_batch(replayed, (struct seq){ 1 }, count, records), TENURE_OK);
    CHECK_EQ_INT(engine_restore_chunk(restored, snapshot), TENURE_OK);
    CHECK_EQ_INT(engine_restore_snapshot_end(restored, (struct seq){ count }), TENURE_OK);
    CHECK_EQ_UINT(engine_hash(restored), engine_hash(replayed));
    make_ready(replayed, harness);
    make_ready(restored, harness);
    check(replayed);
    check(restored);
    engine_destroy(&replayed);
    engine_destroy(&restored);
    harness_close(&harness);
}

static void check_both(const struct engine *engine)
{
    check_locks(engine);
    check_queues(engine);
}

TEST(golden_of_version_1_is_read)
{
    read_version("engine-v1", check_locks);
}

static void check_all(const struct engine *engine)
{
    check_both(engine);
    check_keys(engine);
}

TEST(golden_of_version_2_is_read)
{
    read_version("engine-v2", check_both);
}

TEST(golden_of_version_3_is_read)
{
    read_version("engine-v3", check_all);
}

/* -------------------------------------------------------------------- writing */

static void check_written(const char *name, struct bytes written)
{
    static char room[FILE_SIZE_MAX];
    const char *directory = getenv("TENURE_GOLDEN_WRITE");
    test_note("%s", name);
    if (directory != NULL) {
        write_golden(directory, name, written);
    } else {
        CHECK_EQ_BYTES(written, read_golden("engine-v3", name, room));
    }
}

/* Every kind there is has its record in it. */
static void check_kinds(struct bytes records)
{
    bool is_there[RECORD_KIND_COUNT] = { false };
    struct record record;
    while (record_decode(&records, &record) == TENURE_OK) {
        is_there[record.kind] = true;
    }
    for (unsigned kind = 1; kind < RECORD_KIND_COUNT; kind++) {
        if (record_kind_word(kind) == NULL) continue;
        test_note("%s", record_kind_word(kind));
        CHECK(is_there[kind]);
    }
}

TEST(golden_is_written_today_as_it_was)
{
    struct harness *harness = harness_open();
    tell_locks(harness);
    tell_queues(harness);
    tell_keys(harness);
    struct buffer snapshot;
    struct seq seq;
    buffer_init(&snapshot, &memory_heap);
    engine_snapshot_begin(harness->engine, &seq);
    CHECK(engine_snapshot_write(harness->engine, &snapshot, SIZE_MAX / 2));
    check_all(harness->engine);
    check_kinds(buffer_bytes(&harness->journal));
    check_written("records", buffer_bytes(&harness->journal));
    check_written("snapshot", buffer_bytes(&snapshot));
    buffer_deinit(&snapshot);
    harness_close(&harness);
}
