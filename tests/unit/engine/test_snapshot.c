/* The state at one moment, written while the engine goes on. */
#include <stdio.h>

#include "lib/test.h"
#include "unit/engine/script.h"

#define ASK(...) ((struct ask){ __VA_ARGS__ })

#define CHUNK_COUNT_MAX 4000u

/* A snapshot as the journal would keep it. */
struct snapshot_file {
    struct buffer bytes;
    size_t ends[CHUNK_COUNT_MAX];
    size_t chunk_count;
    struct seq seq;
    uint64_t hash; /* of the engine when it began */
};

static void file_init(struct snapshot_file *file)
{
    *file = (struct snapshot_file){ 0 };
    buffer_init(&file->bytes, &memory_heap);
}

static void begin(struct snapshot_file *file, struct harness *harness)
{
    file->bytes.size = 0;
    file->chunk_count = 0;
    engine_snapshot_begin(harness->engine, &file->seq);
    CHECK_EQ_UINT(file->seq.value, engine_seq(harness->engine).value);
    file->hash = harness_hash(harness);
}

/* True when that was the last chunk. */
static bool write_chunk(struct snapshot_file *file, struct harness *harness, size_t size)
{
    CHECK_LT_UINT(file->chunk_count, CHUNK_COUNT_MAX);
    bool is_last = engine_snapshot_write(harness->engine, &file->bytes, size);
    CHECK(!file->bytes.is_failed);
    file->ends[file->chunk_count++] = file->bytes.size;
    return is_last;
}

static void write_rest(struct snapshot_file *file, struct harness *harness, size_t size)
{
    while (!write_chunk(file, harness, size)) {
        continue;
    }
}

static enum tenure_err read_into(const struct snapshot_file *file, struct engine *engine)
{
    size_t start = 0;
    for (size_t index = 0; index < file->chunk_count; index++) {
        struct bytes chunk = { file->bytes.data + start, file->ends[index] - start };
        enum tenure_err err = engine_restore_chunk(engine, chunk);
        if (err != TENURE_OK) return err;
        start = file->ends[index];
    }
    return engine_restore_snapshot_end(engine, file->seq);
}

static void make_ready(struct engine *engine, const struct harness *harness)
{
    struct engine_event event = { .kind = ENGINE_READY,
                                  .now = harness->now,
                                  .wall = harness->wall };
    struct engine_update update;
    CHECK_EQ_INT(engine_step(engine, &event, &update), TENURE_OK);
    engine_check(engine);
}

static struct engine *restored(const struct snapshot_file *file, const struct harness *harness)
{
    struct engine *engine = engine_create(&harness->options);
    CHECK(engine != NULL);
    CHECK_EQ_INT(read_into(file, engine), TENURE_OK);
    CHECK_EQ_UINT(engine_hash(engine), file->hash);
    CHECK_EQ_UINT(engine_seq(engine).value, file->seq.value);
    return engine;
}

/* All batches are offered: those that the snapshot has are passed over. */
static void add_records(struct engine *engine, const struct harness *harness)
{
    for (size_t index = 0; index < harness->batch_count; index++) {
        const struct harness_batch *batch = &harness->batches[index];
        struct bytes records = { harness->journal.data + batch->offset, batch->size };
        CHECK_EQ_INT(engine_restore_batch(engine, batch->first, batch->count, records), TENURE_OK);
    }
}

/* What the restored window has is what was written. */
static void check_window(const struct engine *engine, const struct harness *harness)
{
    uint64_t last = engine_window_last(engine).value;
    CHECK_EQ_UINT(last, engine_seq(engine).value);
    for (uint64_t seq = engine_window_first(engine).value; seq <= last; seq += 7) {
        struct record record;
        CHECK(engine_window_read(engine, (struct seq){ seq }, &record));
        struct record kept = harness_record(harness, seq);
        CHECK_EQ_INT(record.kind, kept.kind);
        CHECK_EQ_BYTES(record.name, kept.name);
        CHECK_EQ_INT(record.at.us, kept.at.us);
        struct record chain[3];
        CHECK_LT_UINT(0, engine_history(engine, record.name, chain, 3));
    }
}

static void check_snapshot(const struct snapshot_file *file, struct harness *harness)
{
    struct engine *engine = restored(file, harness);
    check_window(engine, harness);
    make_ready(engine, harness);
    CHECK_EQ_UINT(engine_hash(engine), file->hash);
    engine_destroy(&engine);

    engine = restored(file, harness);
    add_records(engine, harness);
    CHECK_EQ_UINT(engine_hash(engine), harness_hash(harness));
    check_window(engine, harness);
    make_ready(engine, harness);
    CHECK_EQ_UINT(engine_hash(engine), harness_hash(harness));
    engine_destroy(&engine);
}

/* -------------------------------------------------------------------- whole */

TEST(snapshot_of_nothing)
{
    struct snapshot_file file;
    file_init(&file);
    struct harness *harness = harness_open();
    begin(&file, harness);
    write_rest(&file, harness, 1);
    check_snapshot(&file, harness);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

TEST(snapshot_keeps_everything_that_lasts)
{
    struct snapshot_file file;
    file_init(&file);
    struct harness *harness = harness_open();
    struct engine_hold_view view;
    uint64_t a = harness_hold(
        harness,
        ASK(.name = "a", .owner = "A", .meta = "first", .ttl_ms = 7000, .lock_delay_ms = 900));
    (void)harness_proclaim(harness, "a", "A", a, "second");
    (void)harness_renew(harness, "a", "A", a, 8000);
    uint64_t b = harness_hold(harness, ASK(.name = "b", .owner = "B", .is_endless = true));
    (void)harness_break(harness, "b", b, "moving", 5000);
    for (unsigned index = 0; index < 20; index++) {
        char owner[8];
        (void)snprintf(owner, sizeof owner, "r%u", index);
        (void)harness_hold(harness, ASK(.name = "r", .owner = owner, .mode = ENGINE_SHARED));
        (void)harness_hold(harness, ASK(.name = "s", .owner = owner, .slots = 25));
    }
    (void)harness_hold(
        harness, ASK(.name = "d", .owner = "D", .ttl_ms = 100, .lock_delay_ms = 4000));
    harness_advance(harness, 100);
    uint64_t gone = harness_hold(harness, ASK(.name = "gone", .owner = "G"));
    (void)harness_release(harness, "gone", "G", gone);
    (void)harness_wait(harness, ASK(.name = "a", .owner = "W", .wait_ms = 60000));
    begin(&file, harness);
    write_rest(&file, harness, 100);
    check_snapshot(&file, harness);

    harness_adopt(harness, restored(&file, harness));
    CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("a"), harness->now, 0, &view));
    CHECK_EQ_UINT(view.token.value, a);
    CHECK_EQ_BYTES(view.meta, BYTES_LITERAL("second"));
    CHECK_EQ_INT(view.remaining_ms, 8000);
    CHECK_EQ_UINT(view.lock_delay_ms, 900);
    CHECK_EQ_UINT(harness_look(harness, "a").waiter_count, 0);
    CHECK(engine_inspect_hold(harness->engine, BYTES_LITERAL("b"), harness->now, 0, &view));
    CHECK(view.is_breaking);
    CHECK_EQ_INT(view.remaining_ms, 5000);
    CHECK_EQ_UINT(harness_look(harness, "r").hold_count, 20);
    CHECK_EQ_UINT(harness_look(harness, "s").hold_count, 20);
    CHECK_EQ_UINT(harness_look(harness, "s").slots, 25);
    CHECK_EQ_INT(harness_look(harness, "d").delay_ms, 4000);
    /* History and repeated answers survive too. */
    CHECK_EQ_INT(harness_release(harness, "gone", "G", gone)->results[0].end, ENGINE_END_RELEASED);
    harness_advance(harness, 5000);
    struct record record = harness_record(harness, engine_seq(harness->engine).value);
    CHECK_EQ_INT(record.kind, RECORD_BROKEN);
    CHECK_EQ_BYTES(record.reason, BYTES_LITERAL("moving"));
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

/* -------------------------------------------------------------- piece by piece */

static void run_with_snapshots(uint64_t seed, size_t window_size, size_t chunk_size)
{
    static struct snapshot_file file;
    file_init(&file);
    struct test_random random = { seed };
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = window_size });
    for (unsigned round = 0; round < 6; round++) {
        script_run(harness, &random, (unsigned)test_random_below(&random, 300));
        begin(&file, harness);
        bool is_last = false;
        while (!is_last) {
            script_run(harness, &random, (unsigned)test_random_below(&random, 12));
            is_last = write_chunk(&file, harness, 1 + test_random_below(&random, chunk_size));
        }
        check_snapshot(&file, harness);
        script_run(harness, &random, 50);
        check_snapshot(&file, harness);
        if (round % 3 == 2) {
            struct engine *engine = restored(&file, harness);
            add_records(engine, harness);
            harness_adopt(harness, engine);
        }
    }
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

TEST_WITHIN(60, snapshot_while_everything_changes_is_the_state_at_its_beginning)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        test_note("seed %llu", (unsigned long long)seed);
        run_with_snapshots(seed, (size_t)1 << 20, 2000);
    }
}

/* So slow that the window has forgotten what was to be written. */
TEST_WITHIN(60, snapshot_that_the_window_overtakes)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        test_note("seed %llu", (unsigned long long)seed);
        run_with_snapshots(seed, ENGINE_WINDOW_SIZE_MIN, 60);
    }
}

/* Names that come and go while the cursor walks over them. */
TEST(snapshot_while_names_come_and_go)
{
    static struct snapshot_file file;
    file_init(&file);
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    harness->check_every = 20;
    uint64_t tokens[400];
    char name[16];
    for (unsigned index = 0; index < 400; index++) {
        (void)snprintf(name, sizeof name, "n%03u", index);
        tokens[index] = harness_hold(
            harness, ASK(.name = name, .owner = "A", .lock_delay_ms = index % 5 == 0 ? 1 : 0));
    }
    begin(&file, harness);
    for (unsigned index = 400; index-- > 0;) {
        (void)write_chunk(&file, harness, 1);
        (void)snprintf(name, sizeof name, "n%03u", index);
        if (index % 2 == 0) {
            (void)harness_break(harness, name, tokens[index], "why", 0);
        } else {
            (void)harness_release(harness, name, "A", tokens[index]);
        }
        (void)snprintf(name, sizeof name, "n%03u-new", index);
        (void)harness_hold(harness, ASK(.name = name, .owner = "B", .ttl_ms = 100));
        harness_advance(harness, 25);
    }
    write_rest(&file, harness, 100);
    check_snapshot(&file, harness);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

TEST(snapshot_abandoned_and_begun_again)
{
    static struct snapshot_file file;
    file_init(&file);
    struct test_random random = { 8 };
    struct harness *harness = harness_open();
    script_run(harness, &random, 300);
    for (unsigned round = 0; round < 20; round++) {
        begin(&file, harness);
        for (unsigned chunk = 0; chunk < round; chunk++) {
            script_run(harness, &random, 3);
            if (write_chunk(&file, harness, 50)) begin(&file, harness);
        }
        engine_snapshot_abandon(harness->engine);
        engine_snapshot_abandon(harness->engine);
    }
    begin(&file, harness);
    write_rest(&file, harness, 1000);
    check_snapshot(&file, harness);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

/* The engine ends in the middle of one: nothing is left. */
TEST(snapshot_unfinished_leaks_nothing)
{
    static struct snapshot_file file;
    file_init(&file);
    struct test_random random = { 9 };
    struct harness *harness = harness_open();
    script_run(harness, &random, 300);
    begin(&file, harness);
    (void)write_chunk(&file, harness, 10);
    script_run(harness, &random, 30);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

/* Another window size at the next start. */
TEST(snapshot_restored_into_another_window)
{
    static struct snapshot_file file;
    file_init(&file);
    struct test_random random = { 10 };
    struct harness *harness = harness_open();
    script_run(harness, &random, 3000);
    begin(&file, harness);
    write_rest(&file, harness, 1000);
    harness->options.window_size = ENGINE_WINDOW_SIZE_MIN;
    struct engine *engine = restored(&file, harness);
    check_window(engine, harness);
    add_records(engine, harness);
    make_ready(engine, harness);
    CHECK_EQ_UINT(engine_hash(engine), harness_hash(harness));
    engine_destroy(&engine);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

/* ------------------------------------------------------------------- damage */

/* A state with something of everything, small enough to damage all of it. */
static struct harness *open_sample(struct snapshot_file *file)
{
    file_init(file);
    struct harness *harness =
        harness_open_with(&(struct engine_options){ .window_size = ENGINE_WINDOW_SIZE_MIN });
    uint64_t a = harness_hold(harness, ASK(.name = "a", .owner = "A", .meta = "me"));
    (void)harness_break(harness, "a", a, "moving", 5000);
    (void)harness_hold(harness, ASK(.name = "r", .owner = "p", .mode = ENGINE_SHARED));
    (void)harness_hold(harness, ASK(.name = "r", .owner = "q", .mode = ENGINE_SHARED));
    (void)harness_hold(harness, ASK(.name = "s", .owner = "p", .slots = 3, .lock_delay_ms = 100));
    (void)harness_hold(harness, ASK(.name = "s", .owner = "q", .slots = 3));
    (void)harness_hold(
        harness, ASK(.name = "d", .owner = "D", .ttl_ms = 100, .lock_delay_ms = 4000));
    harness_advance(harness, 100);
    begin(file, harness);
    write_rest(file, harness, 64);
    return harness;
}

/* Whatever is accepted is a state that can be lived with. */
static bool try_damaged(const struct snapshot_file *file, struct harness *harness)
{
    struct fault_memory memory;
    fault_memory_init(&memory, 0);
    memory.size_max = 1 << 20; /* no size out of the file is believed */
    struct engine_options options = harness->options;
    options.memory = &memory.memory;
    struct engine *engine = engine_create(&options);
    CHECK(engine != NULL);
    enum tenure_err err = read_into(file, engine);
    if (err == TENURE_OK) {
        make_ready(engine, harness);
        struct engine_event event = { .kind = ENGINE_TIMER,
                                      .now = { harness->now.ns + 86400 * NS_PER_S },
                                      .wall = harness->wall };
        struct engine_update update;
        CHECK_EQ_INT(engine_step(engine, &event, &update), TENURE_OK);
        engine_check(engine);
    } else {
        CHECK(err == TENURE_CORRUPT || err == TENURE_UNSUPPORTED);
    }
    engine_destroy(&engine);
    fault_memory_check_empty(&memory);
    return err == TENURE_OK;
}

TEST_WITHIN(60, snapshot_with_a_flipped_bit_never_crashes)
{
    static struct snapshot_file file;
    struct harness *harness = open_sample(&file);
    CHECK(try_damaged(&file, harness));
    unsigned accepted_count = 0;
    for (size_t bit = 0; bit < file.bytes.size * 8; bit++) {
        test_note("bit %zu of byte %zu", bit % 8, bit / 8);
        char *byte = &file.bytes.data[bit / 8];
        *byte = (char)(*byte ^ (1 << bit % 8));
        accepted_count += try_damaged(&file, harness);
        *byte = (char)(*byte ^ (1 << bit % 8));
    }
    /* It has no checksum, the journal has: a letter may become another. */
    CHECK_LT_UINT(accepted_count, file.bytes.size * 8);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

TEST(snapshot_with_any_other_byte_never_crashes)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    static struct snapshot_file file;
    struct harness *harness = open_sample(&file);
    for (size_t at = 0; at < file.bytes.size; at++) {
        char kept = file.bytes.data[at];
        for (size_t index = 0; index < sizeof values; index++) {
            test_note("byte %zu is %u", at, values[index]);
            file.bytes.data[at] = (char)values[index];
            (void)try_damaged(&file, harness);
        }
        file.bytes.data[at] = kept;
    }
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

TEST(snapshot_cut_short_is_refused)
{
    static struct snapshot_file file;
    struct harness *harness = open_sample(&file);
    size_t whole = file.bytes.size;
    file.chunk_count = 1;
    for (size_t size = 0; size < whole; size++) {
        test_note("%zu bytes", size);
        file.ends[0] = size;
        CHECK(!try_damaged(&file, harness));
    }
    file.ends[0] = whole; /* in one chunk it is the same snapshot */
    CHECK(try_damaged(&file, harness));
    file.seq.value++;
    CHECK(!try_damaged(&file, harness));
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

TEST(snapshot_with_a_chunk_twice_or_missing_is_refused)
{
    static struct snapshot_file file;
    static struct snapshot_file other;
    struct harness *harness = open_sample(&file);
    for (size_t twice = 0; twice < file.chunk_count; twice++) {
        for (unsigned times = 0; times <= 2; times += 2) {
            file_init(&other);
            other.seq = file.seq;
            size_t start = 0;
            for (size_t index = 0; index < file.chunk_count; index++) {
                for (unsigned time = 0; time < (index == twice ? times : 1); time++) {
                    buffer_append(&other.bytes, file.bytes.data + start, file.ends[index] - start);
                    other.ends[other.chunk_count++] = other.bytes.size;
                }
                start = file.ends[index];
            }
            test_note("chunk %zu of %zu, %u times", twice, file.chunk_count, times);
            bool is_accepted = try_damaged(&other, harness);
            /* Of events only the newest row counts: the first ones may be missing. */
            if (times == 2) CHECK(!is_accepted);
            buffer_deinit(&other.bytes);
        }
    }
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

static const struct bytes head = { "\x01\x04\x00\x00\x00\x01\x02\x05\x01", 9 };

static enum tenure_err restore_one(struct bytes chunk)
{
    struct harness *harness = harness_open();
    struct engine *engine = engine_create(&harness->options);
    CHECK(engine != NULL);
    enum tenure_err err = engine_restore_chunk(engine, head);
    CHECK_EQ_INT(err, TENURE_OK);
    err = engine_restore_chunk(engine, chunk);
    engine_destroy(&engine);
    harness_close(&harness);
    return err;
}

/* Entries that no engine writes; each is one change away from one that is accepted. */
TEST(snapshot_with_a_state_that_cannot_be_is_refused)
{
    /* name s, last seq 2, no delay, 3 slots, and holds: owner, no meta, token, place, ttl, delay,
     * at, no break */
    const struct bytes good = BYTES_LITERAL("\x03\x18\x00\x00\x00\x01s\x02\x00\x03\x02"
                                            "\x01p\x00\x04\x00\x64\x00\x00\x00"
                                            "\x01q\x00\x05\x02\x64\x00\x00\x00");
    CHECK_EQ_INT(restore_one(good), TENURE_OK);
    static const struct {
        size_t at;
        char byte;
    } faults[] = {
        { 7, '\x03' },  /* changed after the snapshot */
        { 9, '\x00' },  /* no slots */
        { 9, '\x01' },  /* fewer than the second hold needs */
        { 10, '\x01' }, /* one hold, and bytes left */
        { 10, '\x03' }, /* one more */
        { 21, 'p' },    /* the same owner twice */
        { 23, '\x06' }, /* a token above the highest */
        { 23, '\x00' }, /* no token */
        { 24, '\x00' }, /* the same slot twice */
        { 24, '\x03' }, /* shared beside exclusive */
        { 24, '\x06' }, /* a slot beyond the last */
        { 15, '\x01' }, /* shared, of a lock with slots */
    };
    for (size_t index = 0; index < sizeof faults / sizeof *faults; index++) {
        char bytes[64];
        memcpy(bytes, good.data, good.size);
        bytes[faults[index].at] = faults[index].byte;
        test_note("fault %zu", index);
        CHECK_EQ_INT(restore_one((struct bytes){ bytes, good.size }), TENURE_CORRUPT);
    }
    CHECK_EQ_INT(restore_one(head), TENURE_CORRUPT);
    CHECK_EQ_INT(restore_one(BYTES_LITERAL("\x00\x00\x00\x00\x00")), TENURE_CORRUPT);
    CHECK_EQ_INT(restore_one(BYTES_LITERAL("\x05\x00\x00\x00\x00")), TENURE_CORRUPT);
    CHECK_EQ_INT(restore_one(BYTES_LITERAL("\x04\x01\x00\x00\x00\x02")), TENURE_CORRUPT);
    CHECK_EQ_INT(restore_one(BYTES_LITERAL("\x04\x02\x00\x00\x00\x01\x01")), TENURE_CORRUPT);
    CHECK_EQ_INT(restore_one(BYTES_LITERAL("\x04\x01\x00\x00\x00\x01")), TENURE_OK);
}

TEST(snapshot_of_a_newer_format_is_unsupported)
{
    struct harness *harness = harness_open();
    struct engine *engine = engine_create(&harness->options);
    CHECK(engine != NULL);
    CHECK_EQ_INT(
        engine_restore_chunk(engine, BYTES_LITERAL("\x01\x04\x00\x00\x00\x04\x02\x05\x01")),
        TENURE_UNSUPPORTED);
    engine_destroy(&engine);
    engine = engine_create(&harness->options);
    CHECK_EQ_INT(engine_restore_snapshot_end(engine, (struct seq){ 0 }), TENURE_CORRUPT);
    engine_destroy(&engine);
    harness_close(&harness);
}

/* No number of an event may be so large that the next one is not larger. */
TEST(snapshot_at_the_end_of_all_numbers_is_refused)
{
    struct harness *harness = harness_open();
    struct engine *engine = engine_create(&harness->options);
    CHECK(engine != NULL);
    CHECK_EQ_INT(
        engine_restore_chunk(
            engine,
            BYTES_LITERAL(
                "\x01\x0d\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05\x00")),
        TENURE_CORRUPT);
    engine_destroy(&engine);
    harness_close(&harness);
}

/* ------------------------------------------------------------------ records */

/* The journal is checked by its checksums, and by whether it makes sense. */
TEST(restore_of_records_that_contradict_the_state_is_refused)
{
    struct harness *harness = harness_open();
    uint64_t token = harness_hold(harness, ASK(.name = "a", .owner = "A"));
    (void)harness_release(harness, "a", "A", token);
    const struct harness_batch *grant = &harness->batches[0];
    const struct harness_batch *release = &harness->batches[1];
    struct bytes granted = { harness->journal.data + grant->offset, grant->size };
    struct bytes released = { harness->journal.data + release->offset, release->size };
    struct seq one = { 1 };
    struct seq two = { 2 };
    struct seq three = { 3 };
    struct {
        struct bytes first;
        struct seq seq;
        uint32_t count;
        struct bytes second;
        struct seq second_seq;
    } const cases[] = {
        { granted, one, 1, granted, two },    /* held already */
        { granted, one, 1, released, three }, /* a gap */
        { released, one, 1, { 0 }, { 0 } },   /* not held */
        { granted, two, 1, { 0 }, { 0 } },    /* not the first */
        { granted, one, 2, { 0 }, { 0 } },    /* fewer than said */
        { granted, one, 0, { 0 }, { 0 } },    /* more than said */
        { { granted.data, granted.size - 1 }, one, 1, { 0 }, { 0 } },
        { { granted.data + 1, granted.size - 1 }, one, 1, { 0 }, { 0 } },
    };
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        test_note("case %zu", index);
        struct engine *engine = engine_create(&harness->options);
        CHECK(engine != NULL);
        enum tenure_err err =
            engine_restore_batch(engine, cases[index].seq, cases[index].count, cases[index].first);
        if (err == TENURE_OK && cases[index].second.size > 0) {
            err = engine_restore_batch(engine, cases[index].second_seq, 1, cases[index].second);
        }
        CHECK_EQ_INT(err, TENURE_CORRUPT);
        engine_destroy(&engine);
    }
    harness_close(&harness);
}

/* Every single bit of a journal of records: refused, or a state that can be lived with. */
TEST_WITHIN(60, restore_of_records_with_a_flipped_bit_never_crashes)
{
    static struct snapshot_file file;
    struct harness *harness = open_sample(&file);
    buffer_deinit(&file.bytes);
    for (size_t bit = 0; bit < harness->journal.size * 8; bit++) {
        test_note("bit %zu of byte %zu", bit % 8, bit / 8);
        char *byte = &harness->journal.data[bit / 8];
        *byte = (char)(*byte ^ (1 << bit % 8));
        struct engine *engine = engine_create(&harness->options);
        CHECK(engine != NULL);
        enum tenure_err err = TENURE_OK;
        for (size_t index = 0; err == TENURE_OK && index < harness->batch_count; index++) {
            const struct harness_batch *batch = &harness->batches[index];
            struct bytes records = { harness->journal.data + batch->offset, batch->size };
            err = engine_restore_batch(engine, batch->first, batch->count, records);
        }
        if (err == TENURE_OK) make_ready(engine, harness);
        if (err != TENURE_OK) CHECK_EQ_INT(err, TENURE_CORRUPT);
        engine_destroy(&engine);
        *byte = (char)(*byte ^ (1 << bit % 8));
    }
    harness_close(&harness);
}

/* ------------------------------------------------------------- large locks */

/* As much meta as a hold may have. */
static const char *large_meta(void)
{
    static char meta[LIMIT_META_SIZE_MAX + 1];
    memset(meta, 'm', LIMIT_META_SIZE_MAX);
    return meta;
}

static void check_chunk_sizes(const struct snapshot_file *file, size_t size)
{
    size_t start = 0;
    for (size_t index = 0; index < file->chunk_count; index++) {
        CHECK_LE_UINT(file->ends[index] - start, size + ENGINE_SNAPSHOT_ENTRY_SIZE_MAX);
        start = file->ends[index];
    }
}

static struct harness *open_large(void)
{
    struct engine_options options = { .window_size = ENGINE_WINDOW_SIZE_MIN };
    struct harness *harness = harness_open_with(&options);
    harness->check_every = 1 << 20;
    return harness;
}

/* The slots of one lock, with all the meta they may have, are more than a chunk of the journal. */
TEST_WITHIN(60, a_lock_of_many_holds_is_written_in_pieces)
{
    static struct snapshot_file file;
    struct harness *harness = open_large();
    file_init(&file);
    uint64_t first_token = 0;
    for (uint32_t index = 0; index < LIMIT_SLOTS_MAX; index++) {
        char owner[16];
        (void)snprintf(owner, sizeof owner, "%u", index);
        uint64_t token = harness_hold(
            harness,
            ASK(.name = "a", .owner = owner, .slots = LIMIT_SLOTS_MAX, .meta = large_meta()));
        if (index == 0) first_token = token;
    }
    begin(&file, harness);
    write_rest(&file, harness, 256 << 10);
    check_chunk_sizes(&file, 256 << 10);
    check_snapshot(&file, harness);

    /* It changes before its turn comes: then it waits as a whole, and leaves in pieces too. */
    begin(&file, harness);
    (void)harness_release(harness, "a", "0", first_token);
    write_rest(&file, harness, 256 << 10);
    check_chunk_sizes(&file, 256 << 10);
    check_snapshot(&file, harness);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

TEST_WITHIN(60, a_lock_of_many_readers_under_a_delay_is_written_in_pieces)
{
    static struct snapshot_file file;
    struct harness *harness = open_large();
    file_init(&file);
    (void)harness_hold(
        harness,
        ASK(.name = "a",
            .owner = "lost",
            .mode = ENGINE_SHARED,
            .ttl_ms = 100,
            .lock_delay_ms = 9000));
    for (uint32_t index = 0; index < 100; index++) {
        char owner[16];
        (void)snprintf(owner, sizeof owner, "%u", index);
        (void)harness_hold(
            harness, ASK(.name = "a", .owner = owner, .mode = ENGINE_SHARED, .meta = large_meta()));
    }
    harness_advance(harness, 200);
    begin(&file, harness);
    write_rest(&file, harness, 1000);
    check_chunk_sizes(&file, 1000);
    check_snapshot(&file, harness);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}

/* While nobody takes pieces, changed locks gather; they leave a piece at a time. */
TEST_WITHIN(60, many_locks_that_change_at_once_do_not_make_a_large_piece)
{
    static struct snapshot_file file;
    struct harness *harness = open_large();
    file_init(&file);
    for (uint32_t index = 0; index < 2000; index++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u", index);
        (void)harness_hold(harness, ASK(.name = name, .owner = "A", .meta = large_meta()));
    }
    begin(&file, harness);
    CHECK(!write_chunk(&file, harness, 1000));
    for (uint32_t index = 0; index < 2000; index++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u", index);
        (void)harness_release(harness, name, "A", harness_holder(harness, name));
    }
    write_rest(&file, harness, 10000);
    check_chunk_sizes(&file, 10000);
    check_snapshot(&file, harness);
    buffer_deinit(&file.bytes);
    harness_close(&harness);
}
