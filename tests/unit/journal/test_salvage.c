/* Salvage: whatever is damaged, the longest sound part is kept, everything that was there is still
 * there afterwards, and the next start goes on from exactly what the plan has promised. */
#include <stdio.h>

#include "base/crc32c.h"
#include "fault_env.h"
#include "fixture.h"
#include "journal/name.h"
#include "journal/salvage.h"
#include "journal/scan.h"
#include "lib/fault_memory.h"
#include "lib/random.h"

static struct env_memory *memory;
static struct recovered recovered;
static struct journal_report report;
static struct tenure_error error;

/* ------------------------------------------------------------------ the judge */

static struct {
    struct recovered recovered;
    uint64_t batch_refused; /* the batch that holds this seq makes no sense; 0: none */
    uint64_t snapshot_refused;
    enum tenure_err batch_err;
} court;

static enum tenure_err begin_case(void *user, struct tenure_error *out_error)
{
    (void)out_error;
    CHECK(user == &court.recovered);
    court.recovered = (struct recovered){ .refuse = TENURE_OK };
    return TENURE_OK;
}

static enum tenure_err end_snapshot(void *user, struct tenure_error *out_error)
{
    (void)user;
    (void)out_error;
    bool is_refused =
        court.snapshot_refused > 0 && court.recovered.snapshot_seq == court.snapshot_refused;
    return is_refused ? TENURE_CORRUPT : TENURE_OK;
}

static enum tenure_err judge_batch(
    void *user,
    struct seq first,
    uint32_t count,
    struct bytes records,
    struct tenure_error *out_error)
{
    CHECK(user == &court.recovered);
    if (first.value <= court.batch_refused && court.batch_refused < first.value + count) {
        out_error->code = court.batch_err;
        return court.batch_err;
    }
    struct journal_visitor visitor = fixture_visitor(&court.recovered);
    return visitor.batch(visitor.user, first, count, records, out_error);
}

static const struct journal_judge *judge(void)
{
    static struct journal_judge judge;
    judge = (struct journal_judge){
        .visitor = fixture_visitor(&court.recovered),
        .begin = begin_case,
        .snapshot_end = end_snapshot,
    };
    judge.visitor.batch = judge_batch;
    return &judge;
}

/* A start whose engine refuses what the judge refuses. */
static enum tenure_err try_open(const struct env *env)
{
    struct journal_options options = fixture_options(".");
    struct journal *journal = NULL;
    error.text[0] = '\0';
    (void)judge()->begin(&court.recovered, &error);
    enum tenure_err err = journal_open(&options, env, &judge()->visitor, &journal, &report, &error);
    if (err == TENURE_OK) err = end_snapshot(&court.recovered, &error);
    journal_destroy(&journal);
    recovered = court.recovered;
    if (recovered.fault != NULL) FAIL("recovered: %s", recovered.fault);
    return err;
}

/* ------------------------------------------------------------------ directories */

static enum tenure_err
plan(const struct env *env, const struct memory *heap, struct journal_salvage **out_salvage)
{
    struct journal_options options = fixture_options(".");
    options.memory = heap;
    error.text[0] = '\0';
    return journal_salvage_plan(&options, env, judge(), out_salvage, &error);
}

/* Plan, and carry it out when it is needed.  `*out_report` is written when there was a plan. */
static enum tenure_err
salvage_with(const struct env *env, struct journal_salvage_report *out_report)
{
    struct journal_salvage *salvage = NULL;
    enum tenure_err err = plan(env, NULL, &salvage);
    if (err != TENURE_OK) return err;
    *out_report = *journal_salvage_report(salvage);
    char name[JOURNAL_ASIDE_SIZE_MAX];
    if (out_report->is_needed) {
        err = journal_salvage_apply(salvage, "damaged-20000101T000000Z", name, &error);
    }
    journal_salvage_destroy(&salvage);
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
    return err;
}

static struct journal_salvage_report must_salvage(void)
{
    struct journal_salvage_report result = { 0 };
    enum tenure_err err = salvage_with(env_memory_env(memory), &result);
    if (err != TENURE_OK) FAIL("salvage: %s", error.text);
    return result;
}

static bool is_there(const struct env_memory *where, const char *name, struct bytes contents)
{
    struct bytes file = env_memory_file(where, name);
    return file.data != NULL && bytes_equal(file, contents);
}

/* Every segment and snapshot of `before` is still somewhere, byte for byte. */
static void check_nothing_gone(const struct env_memory *before)
{
    static const char *const places[] = {
        "",
        "damaged-20000101T000000Z/",
        "damaged-20000101T000000Z-2/",
        "damaged-20000101T000000Z-3/",
        "damaged-20000101T000000Z-4/",
        "damaged-20000101T000000Z-5/",
    };
    const char *name;
    for (size_t i = 0; (name = env_memory_name(before, i)) != NULL; i++) {
        if (strncmp(name, "segment-", 8) != 0 && strncmp(name, "snapshot-", 9) != 0) continue;
        if (strstr(name, ".tmp") != NULL) continue;
        bool is_found = false;
        for (size_t k = 0; k < sizeof(places) / sizeof(places[0]) && !is_found; k++) {
            char path[96];
            (void)snprintf(path, sizeof(path), "%s%s", places[k], name);
            is_found = is_there(memory, path, env_memory_file(before, name));
        }
        if (!is_found) FAIL("%s is nowhere any more", name);
    }
}

/* The journal goes on behind `seq`, start after start. */
static void check_goes_on(uint64_t seq)
{
    enum tenure_err err = try_open(env_memory_env(memory));
    if (err != TENURE_OK) FAIL("start: %s", error.text);
    CHECK_EQ_UINT(recovered.seq_last, seq);
    CHECK_EQ_UINT(report.seq.value, seq);
    struct journal *journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
    fixture_must_commit(journal, seq + 1, 3, 100);
    CHECK_EQ_INT(fixture_snapshot(journal, seq + 2, 2, 100, &error), TENURE_OK);
    journal_destroy(&journal);
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_OK);
    CHECK_EQ_UINT(recovered.seq_last, seq + 3);
}

static char *bytes_of(const char *name)
{
    struct bytes file = env_memory_file(memory, name);
    CHECK(file.data != NULL);
    return (char *)(uintptr_t)file.data;
}

/* 300 records in batches of three, over several segments and two lives; at most two snapshots. */
static void make_journal(bool has_snapshots)
{
    memory = env_memory_create();
    struct journal *journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
    for (uint64_t seq = 1; seq <= 300; seq += 3) {
        fixture_must_commit(journal, seq, 3, 150);
        if (seq != 100) continue;
        journal_destroy(&journal);
        journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
    }
    if (has_snapshots) {
        CHECK_EQ_INT(fixture_snapshot(journal, 140, 3, 500, &error), TENURE_OK);
        CHECK_EQ_INT(fixture_snapshot(journal, 251, 4, 700, &error), TENURE_OK);
    }
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    journal_destroy(&journal);
}

/* ------------------------------------------------------------------ where the batches are */

#define BATCH_COUNT_MAX   128u
#define SEGMENT_COUNT_MAX 16u

struct place {
    unsigned segment; /* index below */
    uint64_t offset;
    uint64_t first; /* seq */
    uint32_t count;
};

static struct {
    struct place batches[BATCH_COUNT_MAX];
    unsigned batch_count;
    char names[SEGMENT_COUNT_MAX][JOURNAL_NAME_SIZE_MAX];
    uint64_t first_seqs[SEGMENT_COUNT_MAX];
    unsigned segment_count;
} map;

static void map_segment(uint64_t number, struct bytes file)
{
    struct journal_segment_header header;
    struct journal_position position;
    struct journal_fault fault;
    CHECK(map.segment_count < SEGMENT_COUNT_MAX);
    CHECK(journal_scan_header(file, NULL, number, &header, &position, &fault));
    unsigned segment = map.segment_count++;
    struct journal_name_text text = journal_segment_name(number);
    memcpy(map.names[segment], text.text, sizeof(text.text));
    map.first_seqs[segment] = header.first_seq.value;
    struct journal_batch_view batch;
    for (uint64_t offset = position.offset; journal_scan_batch(&header, file, &position, &batch);
         offset = position.offset)
    {
        if (batch.count == 0) continue;
        CHECK(map.batch_count < BATCH_COUNT_MAX);
        map.batches[map.batch_count++] =
            (struct place){ segment, offset, batch.first.value, batch.count };
    }
}

static void make_map(void)
{
    map.batch_count = 0;
    map.segment_count = 0;
    for (uint64_t number = 1; number < 2 * SEGMENT_COUNT_MAX; number++) {
        struct bytes file = env_memory_file(memory, journal_segment_name(number).text);
        if (file.data != NULL) map_segment(number, file);
    }
    CHECK_LT_UINT(4, map.segment_count);
    CHECK_LT_UINT(40, map.batch_count);
}

/* What can be kept of the journal of `make_journal` when segment `segment` is sound up to the
 * record before `first`. */
static uint64_t kept_of(bool has_snapshots, unsigned segment, uint64_t first)
{
    if (!has_snapshots) return first - 1;
    bool is_covered = segment + 1 < map.segment_count && map.first_seqs[segment + 1] <= 251 + 1;
    if (is_covered) return 300;
    return first - 1 < 251 ? 251 : first - 1;
}

static void salvage_and_check(uint64_t seq_kept)
{
    struct env_memory *before = env_memory_copy(memory);
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_CORRUPT);
    struct journal_salvage_report result = must_salvage();
    CHECK(result.is_needed);
    CHECK(strstr(result.damage, "nothing was changed") != NULL);
    CHECK_EQ_UINT(result.seq_kept.value, seq_kept);
    CHECK_EQ_UINT(result.seq_known.value, 300);
    /* Of one batch that is lost the header may be what is damaged. */
    if (seq_kept < 297) CHECK_LT_UINT(0, result.batch_count);
    if (seq_kept == 300) CHECK_EQ_UINT(result.batch_count, 0);
    CHECK_LT_UINT(0, result.aside_count);
    check_nothing_gone(before);
    struct journal_salvage_report again = must_salvage();
    CHECK(!again.is_needed);
    check_goes_on(seq_kept);
    env_memory_destroy(&before);
}

static void damage_each_batch(bool has_snapshots)
{
    make_journal(has_snapshots);
    make_map();
    struct env_memory *whole = memory;
    for (unsigned i = 0; i < map.batch_count; i++) {
        const struct place *place = &map.batches[i];
        for (unsigned at = 0; at < 3; at++) {
            static const unsigned offsets[] = { 20,
                                                44,
                                                70 }; /* its header twice, and its records */
            test_note("batch %u, byte %u", i, offsets[at]);
            memory = env_memory_copy(whole);
            bytes_of(map.names[place->segment])[place->offset + offsets[at]] ^= 0x40;
            salvage_and_check(kept_of(has_snapshots, place->segment, place->first));
            env_memory_destroy(&memory);
        }
    }
    env_memory_destroy(&whole);
}

TEST(salvage_of_every_batch_damaged_in_turn)
{
    damage_each_batch(false);
}

TEST(salvage_of_every_batch_damaged_beside_snapshots)
{
    damage_each_batch(true);
}

static void damage_each_header(bool has_snapshots)
{
    make_journal(has_snapshots);
    make_map();
    struct env_memory *whole = memory;
    for (unsigned i = 0; i < map.segment_count; i++) {
        for (unsigned at = 3; at < 96; at += 23) {
            test_note("segment %u, byte %u", i, at);
            memory = env_memory_copy(whole);
            bytes_of(map.names[i])[at] ^= 1;
            salvage_and_check(kept_of(has_snapshots, i, map.first_seqs[i]));
            env_memory_destroy(&memory);
        }
    }
    env_memory_destroy(&whole);
}

TEST(salvage_of_every_damaged_segment_header)
{
    damage_each_header(false);
    damage_each_header(true);
}

static void remove_each_segment(bool has_snapshots)
{
    make_journal(has_snapshots);
    make_map();
    struct env_memory *whole = memory;
    for (unsigned i = 0; i + 1 < map.segment_count; i++) {
        test_note("segment %u", i);
        uint64_t seq_kept = kept_of(has_snapshots, i, map.first_seqs[i]);
        memory = env_memory_copy(whole);
        env_memory_remove(memory, map.names[i]);
        /* What is before a gap and not needed is no damage. */
        if (seq_kept == 300) {
            CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_OK);
        } else {
            salvage_and_check(seq_kept);
        }
        env_memory_destroy(&memory);
    }
    env_memory_destroy(&whole);
}

TEST(salvage_of_a_missing_segment)
{
    remove_each_segment(false);
    remove_each_segment(true);
}

/* The file ends in the middle of every batch. */
TEST(salvage_of_cut_segments)
{
    make_journal(true);
    make_map();
    struct env_memory *whole = memory;
    for (unsigned i = 0; i < map.batch_count; i++) {
        const struct place *place = &map.batches[i];
        test_note("batch %u", i);
        memory = env_memory_copy(whole);
        struct bytes file = env_memory_file(whole, map.names[place->segment]);
        file.size = (size_t)place->offset + 30;
        env_memory_put(memory, map.names[place->segment], file);
        uint64_t seq_kept = kept_of(true, place->segment, place->first);
        struct journal_salvage_report result = must_salvage();
        CHECK(result.is_needed);
        CHECK_EQ_UINT(result.seq_kept.value, seq_kept);
        check_goes_on(seq_kept);
        env_memory_destroy(&memory);
    }
    env_memory_destroy(&whole);
}

static void damage_snapshot(uint64_t seq)
{
    struct journal_name name = { JOURNAL_FILE_SNAPSHOT, false, seq };
    bytes_of(journal_name_format(name).text)[300] ^= 4;
}

/* Both snapshots are damaged and the first segments are gone: there is nothing to build on. */
TEST(salvage_without_a_sound_snapshot)
{
    make_journal(true);
    make_map();
    CHECK_LT_UINT(1, map.first_seqs[0]);
    damage_snapshot(251);
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_OK); /* the older one will do */
    CHECK(!must_salvage().is_needed);
    damage_snapshot(140);
    salvage_and_check(0);
    env_memory_destroy(&memory);
}

/* The newest snapshot is damaged, and a batch behind the older one too. */
TEST(salvage_from_the_older_snapshot)
{
    make_journal(true);
    make_map();
    struct env_memory *whole = memory;
    for (unsigned i = 0; i < map.batch_count; i++) {
        const struct place *place = &map.batches[i];
        bool is_covered =
            place->segment + 1 < map.segment_count && map.first_seqs[place->segment + 1] <= 140 + 1;
        test_note("batch %u", i);
        memory = env_memory_copy(whole);
        damage_snapshot(251);
        bytes_of(map.names[place->segment])[place->offset + 60] ^= 0x40;
        uint64_t seq_kept = place->first - 1 < 140 ? 140 : place->first - 1;
        salvage_and_check(is_covered ? 300 : seq_kept);
        env_memory_destroy(&memory);
    }
    env_memory_destroy(&whole);
}

TEST(salvage_without_any_segment)
{
    make_journal(true);
    make_map();
    for (unsigned i = 0; i < map.segment_count; i++) {
        env_memory_remove(memory, map.names[i]);
    }
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_CORRUPT);
    struct journal_salvage_report result = must_salvage();
    CHECK(result.is_needed);
    CHECK_EQ_UINT(result.seq_kept.value, 251);
    check_goes_on(251);
    env_memory_destroy(&memory);
}

/* A file of another journal is nobody's record. */
TEST(salvage_sets_strangers_aside)
{
    make_journal(false);
    make_map();
    unsigned last = map.segment_count - 1;
    unsigned char *bytes = (unsigned char *)bytes_of(map.names[last]);
    bytes[20] ^= 1;
    unsigned crc = crc32c(0, bytes, 28);
    for (unsigned k = 0; k < 4; k++) {
        bytes[28 + k] = (unsigned char)(crc >> (8 * k));
    }
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_CORRUPT);
    CHECK(strstr(error.text, "another journal") != NULL);
    salvage_and_check(map.first_seqs[last] - 1);
    env_memory_destroy(&memory);
}

/* A segment or snapshot, drawn at random. */
static const char *draw_file(struct test_random *random)
{
    for (;;) {
        const char *name = NULL;
        for (size_t left = test_random_below(random, 64) + 1; left > 0; left--) {
            static size_t next;
            name = env_memory_name(memory, next++);
            if (name == NULL) next = 0;
        }
        if (name == NULL || strchr(name, '/') != NULL) continue;
        if (strncmp(name, "segment-", 8) == 0 || strncmp(name, "snapshot-", 9) == 0) return name;
    }
}

static void damage_at_random(struct test_random *random)
{
    const char *name = draw_file(random);
    char copied[64];
    (void)snprintf(copied, sizeof(copied), "%s", name);
    struct bytes file = env_memory_file(memory, copied);
    if (file.size < 2) return;
    size_t at = test_random_below(random, file.size);
    size_t size = test_random_below(random, file.size - at) % 600;
    char *bytes = bytes_of(copied);
    switch (test_random_below(random, 6)) {
    case 0: bytes[at] ^= (char)(1u << test_random_below(random, 8)); break;
    case 1: memset(bytes + at, 0, size); break;
    case 2: memmove(bytes + at, bytes + test_random_below(random, at + 1), size); break;
    case 3: env_memory_put(memory, copied, (struct bytes){ bytes, at }); break;
    case 4: env_memory_remove(memory, copied); break;
    default: {
        const char *other = draw_file(random);
        struct bytes contents = env_memory_file(memory, other);
        if (strcmp(other, copied) == 0 || contents.size > 60000) break;
        static char space[60000];
        if (contents.size > 0) memcpy(space, contents.data, contents.size);
        env_memory_put(memory, copied, (struct bytes){ space, contents.size });
        break;
    }
    }
}

/* Whatever is found, it ends well, and the start finds what the plan has promised. */
TEST_WITHIN(120, salvage_of_random_damage)
{
    make_journal(true);
    struct env_memory *whole = memory;
    unsigned kept_counts[3] = { 0, 0, 0 }; /* nothing, a part, all */
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        test_note("seed %d", (int)seed);
        struct test_random random = { seed };
        memory = env_memory_copy(whole);
        for (uint64_t left = test_random_below(&random, 4) + 1; left > 0; left--) {
            damage_at_random(&random);
        }
        struct env_memory *before = env_memory_copy(memory);
        enum tenure_err err = try_open(env_memory_env(memory));
        uint64_t seq_found = recovered.seq_last;
        CHECK(err == TENURE_OK || err == TENURE_CORRUPT);
        struct journal_salvage_report result = { 0 };
        if (err == TENURE_CORRUPT) result = must_salvage();
        CHECK_EQ_INT(result.is_needed, err == TENURE_CORRUPT);
        if (result.is_needed) check_nothing_gone(before);
        uint64_t seq_kept = result.is_needed ? result.seq_kept.value : seq_found;
        CHECK(!must_salvage().is_needed);
        check_goes_on(seq_kept);
        kept_counts[seq_kept == 0 ? 0 : seq_kept < 300 ? 1 : 2]++;
        env_memory_destroy(&before);
        env_memory_destroy(&memory);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_LT_UINT(20, kept_counts[i]);
    }
    env_memory_destroy(&whole);
}

/* ------------------------------------------------------------------ what makes no sense */

TEST(salvage_stops_before_records_that_make_no_sense)
{
    for (unsigned has_snapshots = 0; has_snapshots < 2; has_snapshots++) {
        for (uint64_t seq = 1; seq <= 300; seq += 7) {
            test_note("record %d, snapshots %d", (int)seq, (int)has_snapshots);
            make_journal(has_snapshots);
            court.batch_refused = seq;
            court.batch_err = TENURE_CORRUPT;
            uint64_t first = (seq - 1) / 3 * 3 + 1;
            if (has_snapshots && first + 2 <= 251) {
                CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_OK); /* nobody sees it */
            } else {
                struct journal_salvage_report result = must_salvage();
                CHECK(result.is_needed);
                uint64_t seq_kept = has_snapshots && first <= 251 ? 251 : first - 1;
                CHECK_EQ_UINT(result.seq_kept.value, seq_kept);
                CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_OK);
                CHECK_EQ_UINT(recovered.seq_last, seq_kept);
                court.batch_refused = 0;
                check_goes_on(seq_kept);
            }
            court.batch_refused = 0;
            env_memory_destroy(&memory);
        }
    }
}

TEST(salvage_passes_over_a_snapshot_that_makes_no_sense)
{
    make_journal(true);
    court.snapshot_refused = 251;
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_CORRUPT);
    struct journal_salvage_report result = must_salvage();
    CHECK_EQ_UINT(result.snapshot_seq.value, 140);
    CHECK_EQ_UINT(result.seq_kept.value, 300);
    CHECK_EQ_UINT(result.aside_count, 1);
    check_goes_on(300);
    env_memory_destroy(&memory);
}

/* No memory is no damage. */
TEST(salvage_gives_up_when_the_judge_does)
{
    make_journal(false);
    make_map();
    bytes_of(map.names[2])[40] ^= 1;
    court.batch_refused = 5;
    court.batch_err = TENURE_NO_MEMORY;
    struct env_memory *before = env_memory_copy(memory);
    struct journal_salvage_report result;
    CHECK_EQ_INT(salvage_with(env_memory_env(memory), &result), TENURE_NO_MEMORY);
    for (size_t i = 0; env_memory_name(before, i) != NULL; i++) {
        const char *name = env_memory_name(before, i);
        CHECK(is_there(memory, name, env_memory_file(before, name)));
    }
    env_memory_destroy(&before);
    env_memory_destroy(&memory);
}

/* ------------------------------------------------------------------ what it refuses */

TEST(salvage_leaves_a_sound_journal_alone)
{
    make_journal(true);
    struct env_memory *before = env_memory_copy(memory);
    CHECK(!must_salvage().is_needed);
    for (size_t i = 0; env_memory_name(memory, i) != NULL; i++) {
        const char *name = env_memory_name(memory, i);
        CHECK(is_there(before, name, env_memory_file(memory, name)));
    }
    env_memory_destroy(&before);
    env_memory_destroy(&memory);
}

TEST(salvage_of_a_torn_tail_is_the_next_starts_business)
{
    memory = env_memory_create();
    struct journal *journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
    fixture_must_commit(journal, 1, 2, 100);
    journal_destroy(&journal);
    bytes_of("segment-0000000000000001")[96 + 80] ^= 1;
    CHECK(!must_salvage().is_needed);
    env_memory_destroy(&memory);
}

TEST(salvage_keeps_out_of_a_journal_in_use)
{
    make_journal(false);
    struct journal *journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
    struct journal_salvage *salvage = NULL;
    CHECK_EQ_INT(plan(env_memory_env(memory), NULL, &salvage), TENURE_UNAVAILABLE);
    CHECK(strstr(error.text, "another server") != NULL);
    journal_destroy(&journal);
    /* And nobody else gets in while there is a plan. */
    CHECK_EQ_INT(plan(env_memory_env(memory), NULL, &salvage), TENURE_OK);
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_UNAVAILABLE);
    journal_salvage_destroy(&salvage);
    CHECK_EQ_INT(try_open(env_memory_env(memory)), TENURE_OK);
    env_memory_destroy(&memory);
}

TEST(salvage_needs_the_identity)
{
    make_journal(false);
    struct journal_salvage *salvage = NULL;
    bytes_of("identity")[14] ^= 1;
    CHECK_EQ_INT(plan(env_memory_env(memory), NULL, &salvage), TENURE_CORRUPT);
    CHECK(strstr(error.text, "from any backup") != NULL);
    env_memory_remove(memory, "identity");
    CHECK_EQ_INT(plan(env_memory_env(memory), NULL, &salvage), TENURE_CORRUPT);
    CHECK(strstr(error.text, "from any backup") != NULL);
    env_memory_destroy(&memory);

    memory = env_memory_create();
    CHECK_EQ_INT(plan(env_memory_env(memory), NULL, &salvage), TENURE_NOT_FOUND);
    CHECK(env_memory_name(memory, 0) == NULL);
    env_memory_destroy(&memory);
}

/* ------------------------------------------------------------------ cut short */

/* The kinds of damage that lead to different plans. */
#define KIND_COUNT 5u

static uint64_t make_damage(unsigned kind)
{
    make_journal(kind != 0);
    make_map();
    unsigned middle = map.batch_count - 6;
    const struct place *place = &map.batches[middle];
    switch (kind) {
    case 0: /* cut in the middle of the second segment, several behind it */
        place = &map.batches[15];
        break;
    case 1: /* cut behind the snapshot */ break;
    case 2: /* the snapshot alone: a fresh segment */
        for (unsigned i = 0; i < map.batch_count; i++) {
            if (map.batches[i].first > 200) break;
            place = &map.batches[i];
        }
        for (unsigned i = place->segment + 1; i < map.segment_count; i++) {
            bytes_of(map.names[i])[40] ^= 1;
        }
        break;
    case 3: /* segments before the newest snapshot go, and the older snapshot with them */
        place = &map.batches[0];
        break;
    default: /* nothing is kept */
        damage_snapshot(140);
        damage_snapshot(251);
        bytes_of(map.names[map.segment_count - 1])[40] ^= 1;
        return 0;
    }
    bytes_of(map.names[place->segment])[place->offset + 60] ^= 1;
    static const uint64_t kept[] = { 45, 0, 251, 300 };
    return kind == 1 ? place->first - 1 : kept[kind];
}

/* A start after a repair that was cut short: refused, or all that was to be kept. */
static bool check_start(uint64_t seq_kept)
{
    struct env_memory *kept = memory;
    memory = env_memory_copy(kept);
    enum tenure_err err = try_open(env_memory_env(memory));
    if (err == TENURE_OK) {
        CHECK_EQ_UINT(recovered.seq_last, seq_kept);
    } else {
        CHECK_EQ_INT(err, TENURE_CORRUPT);
    }
    env_memory_destroy(&memory);
    memory = kept;
    return err == TENURE_OK;
}

/* Returns false when the fault was never reached. */
static bool fail_one(unsigned damage, enum fault_kind kind, uint64_t at, bool is_for_ever)
{
    test_note("damage %u, kind %d, call %d, for ever %d", damage, (int)kind, (int)at, is_for_ever);
    uint64_t seq_kept = make_damage(damage);
    struct env_memory *before = env_memory_copy(memory);
    struct fault_env fault;
    fault_env_init(&fault, env_memory_env(memory));
    struct journal_salvage_report result;
    bool is_reached = false;
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        fault_env_arm(&fault, kind, attempt == 0 ? at : at / (2 * attempt), is_for_ever);
        enum tenure_err err = salvage_with(&fault.env, &result);
        CHECK_NE_INT(err, TENURE_CORRUPT);
        if (attempt == 0) is_reached = fault.call_count >= at;
        bool is_harmless =
            kind == FAULT_KIND_SHORT || (kind == FAULT_KIND_INTERRUPT && !is_for_ever);
        if (is_harmless || !fault.is_hit) CHECK_EQ_INT(err, TENURE_OK);
        if (kind == FAULT_KIND_IO && fault.is_hit_hard) CHECK_NE_INT(err, TENURE_OK);
        check_nothing_gone(before);
        bool is_accepted = check_start(seq_kept);
        if (err == TENURE_OK) CHECK(is_accepted);
    }
    fault_env_arm(&fault, FAULT_KIND_IO, 0, false);
    result = must_salvage();
    if (result.is_needed) CHECK_EQ_UINT(result.seq_kept.value, seq_kept);
    check_nothing_gone(before);
    check_goes_on(seq_kept);
    env_memory_destroy(&before);
    env_memory_destroy(&memory);
    return is_reached;
}

static void fail_all(enum fault_kind kind, bool is_for_ever)
{
    for (unsigned damage = 0; damage < KIND_COUNT; damage++) {
        uint64_t at = 1;
        while (fail_one(damage, kind, at, is_for_ever)) {
            at++;
        }
        CHECK_LT_UINT(20, at);
    }
}

TEST_WITHIN(120, salvage_cut_short_at_every_call)
{
    fail_all(FAULT_KIND_IO, true);
}

TEST_WITHIN(120, salvage_with_every_call_failing_once)
{
    fail_all(FAULT_KIND_IO, false);
    fail_all(FAULT_KIND_NO_SPACE, false);
    fail_all(FAULT_KIND_INTERRUPT, false);
    fail_all(FAULT_KIND_SHORT, true);
}

TEST_WITHIN(120, salvage_on_a_full_disk)
{
    fail_all(FAULT_KIND_NO_SPACE, true);
}

/* A crash while names are being removed may keep any of the removals and lose any. */
TEST_WITHIN(60, salvage_survives_the_loss_of_any_removals)
{
    struct test_random random = { 7 };
    for (unsigned damage = 0; damage < KIND_COUNT; damage++) {
        uint64_t seq_kept = make_damage(damage);
        struct env_memory *before = env_memory_copy(memory);
        (void)must_salvage();
        struct env_memory *after = memory;
        for (unsigned round = 0; round < 100; round++) {
            test_note("damage %u, round %u", damage, round);
            memory = env_memory_copy(after);
            for (size_t i = 0; env_memory_name(before, i) != NULL; i++) {
                const char *name = env_memory_name(before, i);
                bool is_gone = env_memory_file(memory, name).data == NULL;
                if (!is_gone || test_random_below(&random, 2) == 0) continue;
                env_memory_put(memory, name, env_memory_file(before, name));
            }
            (void)check_start(seq_kept);
            struct journal_salvage_report result = must_salvage();
            if (result.is_needed) CHECK_EQ_UINT(result.seq_kept.value, seq_kept);
            check_nothing_gone(before);
            check_goes_on(seq_kept);
            env_memory_destroy(&memory);
        }
        env_memory_destroy(&before);
        env_memory_destroy(&after);
    }
}

/* ------------------------------------------------------------------ the order of calls */

static struct {
    const struct env *base;
    struct env env;
    int dir;
    bool is_removing; /* removals may follow each other, but no new name may */
    bool is_aside_dirty;
    bool is_dir_dirty;
    bool is_file_dirty;
    unsigned name_count; /* taken away or given */
} order;

static int order_open_dir(void *context, const char *path)
{
    order.dir = order.base->open_dir(context, path);
    return order.dir;
}

static int order_make_dir(void *context, int dir, const char *name)
{
    order.is_dir_dirty = true;
    return order.base->make_dir(context, dir, name);
}

static int order_link(void *context, int dir, const char *name, int to_dir)
{
    order.is_aside_dirty = true;
    return order.base->link(context, dir, name, to_dir);
}

static int64_t
order_pwrite(void *context, int handle, const void *data, size_t size, uint64_t offset)
{
    order.is_file_dirty = true;
    return order.base->pwrite(context, handle, data, size, offset);
}

static int order_fdatasync(void *context, int handle)
{
    order.is_file_dirty = false;
    return order.base->fdatasync(context, handle);
}

static int order_fsync_dir(void *context, int dir)
{
    if (dir == order.dir) {
        order.is_dir_dirty = false;
    } else {
        order.is_aside_dirty = false;
    }
    return order.base->fsync_dir(context, dir);
}

static int order_rename(void *context, int dir, const char *from, const char *to)
{
    CHECK(!order.is_aside_dirty && !order.is_dir_dirty && !order.is_file_dirty);
    order.is_dir_dirty = true;
    order.name_count++;
    return order.base->rename(context, dir, from, to);
}

static int order_unlink(void *context, int dir, const char *name)
{
    bool is_temporary = strstr(name, ".tmp") != NULL;
    if (!is_temporary) {
        CHECK(!order.is_aside_dirty && !order.is_file_dirty);
        CHECK(!order.is_dir_dirty || order.is_removing);
        order.is_removing = true;
        order.is_dir_dirty = true;
        order.name_count++;
    }
    return order.base->unlink(context, dir, name);
}

TEST(salvage_syncs_each_step_before_the_next)
{
    for (unsigned damage = 0; damage < KIND_COUNT; damage++) {
        (void)make_damage(damage);
        memset(&order, 0, sizeof(order));
        order.base = env_memory_env(memory);
        order.env = *order.base;
        order.env.open_dir = order_open_dir;
        order.env.make_dir = order_make_dir;
        order.env.link = order_link;
        order.env.pwrite = order_pwrite;
        order.env.fdatasync = order_fdatasync;
        order.env.fsync_dir = order_fsync_dir;
        order.env.rename = order_rename;
        order.env.unlink = order_unlink;
        struct journal_salvage *salvage = NULL;
        CHECK_EQ_INT(plan(&order.env, NULL, &salvage), TENURE_OK);
        char name[JOURNAL_ASIDE_SIZE_MAX];
        CHECK_EQ_INT(journal_salvage_apply(salvage, "damaged-x", name, &error), TENURE_OK);
        CHECK_EQ_TEXT(name, "damaged-x");
        CHECK(!order.is_aside_dirty && !order.is_dir_dirty && !order.is_file_dirty);
        CHECK_LT_UINT(0, order.name_count);
        journal_salvage_destroy(&salvage);
        env_memory_destroy(&memory);
    }
}

TEST(salvage_without_memory)
{
    for (uint64_t at = 1;; at++) {
        test_note("allocation %d", (int)at);
        uint64_t seq_kept = make_damage(1);
        struct fault_memory fault;
        fault_memory_init(&fault, at);
        struct journal_salvage *salvage = NULL;
        enum tenure_err err = plan(env_memory_env(memory), &fault.memory, &salvage);
        char name[JOURNAL_ASIDE_SIZE_MAX];
        if (err == TENURE_OK) err = journal_salvage_apply(salvage, "damaged-x", name, &error);
        CHECK_EQ_INT(err, fault.has_failed ? TENURE_NO_MEMORY : TENURE_OK);
        journal_salvage_destroy(&salvage);
        fault_memory_check_empty(&fault);
        CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
        (void)must_salvage();
        check_goes_on(seq_kept);
        env_memory_destroy(&memory);
        if (!fault.has_failed) break;
    }
}
