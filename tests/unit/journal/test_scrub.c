/* Files that are not written any more are read again: damage is found wherever it is, is named, and
 * is nobody's loss once new snapshots are written. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "lib/fault_memory.h"

#define PIECE_SIZE 1000u
#define FIND_MAX   8u

static struct env_memory *memory;
static struct recovered recovered;
static struct journal_report report;
static struct tenure_error error;

/* What one scrub has found. */
static struct tenure_error finds[FIND_MAX];
static unsigned find_count;

static struct journal *reopen(void)
{
    return fixture_reopen(env_memory_env(memory), &recovered, &report);
}

/* One scrub from its beginning to its end. */
static void scrub(struct journal *journal, size_t piece_size)
{
    bool is_done = false;
    find_count = 0;
    for (unsigned steps = 0; !is_done; steps++) {
        CHECK_LT_UINT(steps, 1000000);
        enum tenure_err err = journal_scrub_step(journal, piece_size, &is_done, &error);
        if (err == TENURE_OK) continue;
        CHECK_EQ_INT(err, TENURE_CORRUPT);
        CHECK_EQ_INT(error.code, TENURE_CORRUPT);
        CHECK_LT_UINT(find_count, FIND_MAX);
        finds[find_count++] = error;
    }
}

static void check_find(unsigned index, const char *part)
{
    CHECK_LT_UINT(index, find_count);
    if (strstr(finds[index].text, part) == NULL) CHECK_EQ_TEXT(finds[index].text, part);
}

static char *byte_of(const char *name, size_t offset)
{
    struct bytes file = env_memory_file(memory, name);
    CHECK_LT_UINT(offset, file.size);
    return (char *)(uintptr_t)file.data + offset;
}

static void flip(const char *name, uint64_t bit)
{
    char *byte = byte_of(name, bit / 8);
    *byte = (char)(*byte ^ (1 << bit % 8));
}

/* 300 records in batches of 512 bytes, 15 of them in each of seven segments; snapshots at 100 and
 * 200, so that the segments begin with the third. */
static struct journal *make(void)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    for (uint64_t seq = 1; seq <= 300; seq += 3) {
        fixture_must_commit(journal, seq, 3, 150);
    }
    CHECK_EQ_INT(fixture_snapshot(journal, 100, 2, 100, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 200, 3, 5000, &error), TENURE_OK);
    return journal;
}

#define FIRST_SEGMENT  "segment-0000000000000003"
#define MIDDLE_SEGMENT "segment-0000000000000004"
#define LAST_SEALED    "segment-0000000000000006"
#define TAIL           "segment-0000000000000007"
#define OLD_SNAPSHOT   "snapshot-0000000000000064"
#define NEW_SNAPSHOT   "snapshot-00000000000000c8"

static void finish(struct journal **journal)
{
    journal_destroy(journal);
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
    env_memory_destroy(&memory);
}

TEST(scrub_finds_nothing_in_a_sound_journal)
{
    struct journal *journal = make();
    uint64_t size = 0;
    for (size_t i = 0; env_memory_name(memory, i) != NULL; i++) {
        const char *name = env_memory_name(memory, i);
        bool is_read = strncmp(name, "segment-", 8) == 0 || strncmp(name, "snapshot-", 9) == 0;
        if (is_read && strcmp(name, TAIL) != 0) size += env_memory_file(memory, name).size;
    }
    static const size_t piece_sizes[] = { 1, 7, 56, 96, 511, PIECE_SIZE, 8192, 1 << 20 };
    for (size_t i = 0; i < sizeof(piece_sizes) / sizeof(piece_sizes[0]); i++) {
        test_note("pieces of %zu", piece_sizes[i]);
        uint64_t before = journal_status(journal).scrubbed_bytes;
        scrub(journal, piece_sizes[i]);
        CHECK_EQ_UINT(find_count, 0);
        CHECK_EQ_UINT(journal_status(journal).scrubbed_bytes - before, size);
    }
    finish(&journal);
}

TEST(scrub_finds_nothing_to_read_in_a_new_journal)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    bool is_done = false;
    CHECK_EQ_INT(journal_scrub_step(journal, PIECE_SIZE, &is_done, &error), TENURE_OK);
    CHECK(is_done);
    CHECK_EQ_UINT(journal_status(journal).scrubbed_bytes, 0);
    finish(&journal);
}

/* Segments that a restart has closed, and one that a batch has for itself. */
TEST(scrub_knows_segments_of_every_size)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    fixture_must_commit(journal, 1, 3, 150);
    journal_destroy(&journal);
    journal = reopen();
    fixture_must_commit(journal, 4, 2, 20000);
    fixture_must_commit(journal, 6, 1, 8);
    scrub(journal, PIECE_SIZE);
    CHECK_EQ_UINT(find_count, 0);
    CHECK_LT_UINT(40000, journal_status(journal).scrubbed_bytes);
    flip("segment-0000000000000003", 30000 * 8);
    scrub(journal, PIECE_SIZE);
    CHECK_EQ_UINT(find_count, 1);
    check_find(0, "segment-0000000000000003: damaged at offset 96: no valid batch is there");
    finish(&journal);
}

TEST(scrub_reads_no_more_than_a_piece_at_a_time)
{
    struct journal *journal = make();
    uint64_t before = 0;
    for (bool is_done = false; !is_done;) {
        CHECK_EQ_INT(journal_scrub_step(journal, PIECE_SIZE, &is_done, &error), TENURE_OK);
        uint64_t after = journal_status(journal).scrubbed_bytes;
        /* A chunk of a snapshot is read as a whole: 5000 bytes here. */
        CHECK_LE_UINT(after - before, PIECE_SIZE + 5000 + 8);
        before = after;
    }
    finish(&journal);
}

TEST(scrub_names_file_and_offset_and_goes_on)
{
    struct journal *journal = make();
    flip(FIRST_SEGMENT, (96 + 512 * 4 + 100) * 8);
    flip(LAST_SEALED, 40 * 8);
    flip(OLD_SNAPSHOT, 60 * 8);
    scrub(journal, PIECE_SIZE);
    CHECK_EQ_UINT(find_count, 3);
    check_find(0, OLD_SNAPSHOT ": damaged at offset 48: a chunk does not match its checksum");
    check_find(1, FIRST_SEGMENT ": damaged at offset 2144: no valid batch is there");
    check_find(2, LAST_SEALED ": damaged at offset 32: its header is broken");
    finish(&journal);
}

/* Where the batches of the file end; behind that nothing means anything. */
static uint64_t end_of(const char *name)
{
    struct bytes file = env_memory_file(memory, name);
    uint64_t end = file.size;
    while (end > 0 && file.data[end - 1] == 0) {
        end--;
    }
    return (end + 7) / 8 * 8;
}

/* A damaged snapshot is given up, so each bit is tried on a journal of its own. */
TEST_WITHIN(120, scrub_finds_every_flipped_bit)
{
    struct journal *journal = make();
    uint64_t end = end_of(MIDDLE_SEGMENT);
    for (uint64_t bit = 0; bit < end * 8; bit += 7) {
        flip(MIDDLE_SEGMENT, bit);
        test_note("bit %d", (int)bit);
        scrub(journal, 8192);
        CHECK_EQ_UINT(find_count, 1);
        check_find(0, MIDDLE_SEGMENT);
        flip(MIDDLE_SEGMENT, bit);
    }
    flip(MIDDLE_SEGMENT, end * 8);
    scrub(journal, 8192);
    CHECK_EQ_UINT(find_count, 0);
    finish(&journal);
    for (uint64_t bit = 0;; bit += 37) {
        journal = make();
        if (bit >= env_memory_file(memory, OLD_SNAPSHOT).size * 8) break;
        flip(OLD_SNAPSHOT, bit);
        test_note("bit %d of a snapshot", (int)bit);
        scrub(journal, 8192);
        CHECK_EQ_UINT(find_count, 1);
        check_find(0, OLD_SNAPSHOT);
        finish(&journal);
    }
    finish(&journal);
}

TEST(scrub_notices_files_that_are_cut_grown_gone_or_others)
{
    struct journal *journal = make();
    struct bytes file = env_memory_file(memory, MIDDLE_SEGMENT);
    char *copy = malloc(file.size + 1);
    CHECK(copy != NULL);
    size_t size = file.size;
    memcpy(copy, file.data, size);
    copy[size] = 0;

    env_memory_put(memory, MIDDLE_SEGMENT, (struct bytes){ copy, size - 8 });
    scrub(journal, PIECE_SIZE);
    check_find(0, MIDDLE_SEGMENT ": damaged at offset");
    check_find(0, "cut short");
    env_memory_put(memory, MIDDLE_SEGMENT, (struct bytes){ copy, 20 });
    scrub(journal, PIECE_SIZE);
    check_find(0, "too short");
    env_memory_put(memory, MIDDLE_SEGMENT, (struct bytes){ copy, size + 1 });
    scrub(journal, PIECE_SIZE);
    check_find(0, "longer than it was made");
    env_memory_put(memory, MIDDLE_SEGMENT, env_memory_file(memory, FIRST_SEGMENT));
    scrub(journal, PIECE_SIZE);
    check_find(0, MIDDLE_SEGMENT ": damaged at offset 32: its header is broken");
    env_memory_remove(memory, MIDDLE_SEGMENT);
    scrub(journal, PIECE_SIZE);
    check_find(0, "cannot open " MIDDLE_SEGMENT);
    CHECK_EQ_UINT(find_count, 1);

    /* Zeros over the last batch: sound as far as it goes, but not what was written. */
    uint64_t end = 96 + 512 * 14;
    memset(copy + end, 0, size - end);
    env_memory_put(memory, MIDDLE_SEGMENT, (struct bytes){ copy, size });
    char text[100];
    (void)snprintf(text, sizeof(text), MIDDLE_SEGMENT ": damaged at offset %d", (int)end);
    scrub(journal, PIECE_SIZE);
    check_find(0, text);
    free(copy);
    finish(&journal);
}

/* Commits, new segments and new snapshots between the pieces, which remove what is being read. */
TEST(scrub_lets_the_journal_go_on)
{
    struct journal *journal = make();
    uint64_t seq = 301;
    bool is_done = false;
    for (unsigned step = 0; !is_done; step++) {
        CHECK_LT_UINT(step, 1000);
        fixture_must_commit(journal, seq, 3, 150);
        seq += 3;
        if (step % 10 == 5) {
            CHECK_EQ_INT(fixture_snapshot(journal, seq - 1, 2, 100, &error), TENURE_OK);
        }
        CHECK_EQ_INT(journal_scrub_step(journal, PIECE_SIZE, &is_done, &error), TENURE_OK);
    }
    finish(&journal);
}

/* The file that is being read is damaged, but nobody needs it any more. */
TEST(scrub_says_nothing_of_files_that_are_gone)
{
    struct journal *journal = make();
    uint64_t size =
        env_memory_file(memory, OLD_SNAPSHOT).size + env_memory_file(memory, NEW_SNAPSHOT).size;
    flip(FIRST_SEGMENT, 7000 * 8);
    bool is_done = false;
    while (journal_status(journal).scrubbed_bytes < size + 2000) {
        CHECK_EQ_INT(journal_scrub_step(journal, PIECE_SIZE, &is_done, &error), TENURE_OK);
    }
    CHECK_EQ_INT(fixture_snapshot(journal, 299, 1, 100, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 300, 1, 100, &error), TENURE_OK);
    CHECK(env_memory_file(memory, FIRST_SEGMENT).data == NULL);
    while (!is_done) {
        CHECK_EQ_INT(journal_scrub_step(journal, PIECE_SIZE, &is_done, &error), TENURE_OK);
    }
    finish(&journal);
}

/* ------------------------------------------------------------------ what heals it */

/* Restart; what was committed must be there, and nothing to complain about. */
static void check_restart(struct journal *journal, uint64_t seq)
{
    journal_destroy(&journal);
    journal = reopen();
    CHECK_EQ_UINT(report.seq.value, seq);
    CHECK_EQ_TEXT(report.text, "");
    scrub(journal, PIECE_SIZE);
    CHECK_EQ_UINT(find_count, 0);
    finish(&journal);
}

TEST(scrub_damaged_segments_go_with_the_second_snapshot)
{
    struct journal *journal = make();
    flip(FIRST_SEGMENT, 1000 * 8);
    flip(LAST_SEALED, 1000 * 8);
    scrub(journal, PIECE_SIZE);
    CHECK_EQ_UINT(find_count, 2);
    CHECK_EQ_INT(fixture_snapshot(journal, 300, 1, 100, &error), TENURE_OK);
    scrub(journal, PIECE_SIZE);
    CHECK_LT_UINT(0, find_count);
    fixture_must_commit(journal, 301, 1, 8);
    CHECK_EQ_INT(fixture_snapshot(journal, 301, 1, 100, &error), TENURE_OK);
    scrub(journal, PIECE_SIZE);
    CHECK_EQ_UINT(find_count, 0);
    check_restart(journal, 301);
}

TEST(scrub_a_damaged_snapshot_goes_with_the_next_one)
{
    static const char *const names[] = { OLD_SNAPSHOT, NEW_SNAPSHOT };
    for (unsigned damaged = 1; damaged <= 3; damaged++) {
        struct journal *journal = make();
        for (unsigned i = 0; i < 2; i++) {
            if ((damaged >> i & 1) != 0) flip(names[i], 70 * 8);
        }
        scrub(journal, PIECE_SIZE);
        CHECK_EQ_UINT(find_count, damaged == 3 ? 2 : 1);
        /* Even one of the same seq. */
        uint64_t seq = damaged == 1 ? 300 : 200;
        CHECK_EQ_INT(fixture_snapshot(journal, seq, 1, 100, &error), TENURE_OK);
        CHECK_EQ_UINT(fixture_count_files(memory, "snapshot-"), damaged == 3 ? 1 : 2);
        check_restart(journal, 300);
    }
}

/* A snapshot that was given up is not what the next one falls back to. */
TEST(scrub_keeps_what_the_sound_snapshot_needs)
{
    struct journal *journal = make();
    flip(NEW_SNAPSHOT, 70 * 8);
    scrub(journal, PIECE_SIZE);
    CHECK_EQ_INT(fixture_snapshot(journal, 290, 1, 100, &error), TENURE_OK);
    journal_destroy(&journal);
    flip("snapshot-0000000000000122", 70 * 8);
    journal = reopen();
    CHECK(report.is_snapshot_skipped);
    CHECK_EQ_UINT(recovered.snapshot_seq, 100);
    CHECK_EQ_UINT(report.seq.value, 300);
    finish(&journal);
}

/* ------------------------------------------------------------------ a system that refuses */

static int fault_errno;
static uint64_t fault_countdown; /* 0: no fault */

static bool is_fault(void)
{
    return fault_countdown > 0 && --fault_countdown == 0;
}

static int fault_open(void *context, int dir, const char *name, enum env_open_mode mode)
{
    if (is_fault()) return -fault_errno;
    return env_memory_env(context)->open(context, dir, name, mode);
}

static int64_t fault_pread(void *context, int file, void *data, size_t size, uint64_t offset)
{
    if (is_fault()) return -fault_errno;
    return env_memory_env(context)->pread(context, file, data, size, offset);
}

static struct env fault_env(void)
{
    struct env env = *env_memory_env(memory);
    env.open = fault_open;
    env.pread = fault_pread;
    return env;
}

/* Each call to the system fails once: bad sectors are damage, want of descriptors is not. */
static void fail_each_call(int number, enum tenure_err expected)
{
    for (uint64_t n = 1;; n++) {
        struct journal *journal = make();
        journal_destroy(&journal);
        struct env env = fault_env();
        journal = fixture_reopen(&env, &recovered, &report);
        fault_errno = number;
        fault_countdown = n;
        enum tenure_err worst = TENURE_OK;
        for (bool is_done = false; !is_done && worst == TENURE_OK;) {
            worst = journal_scrub_step(journal, PIECE_SIZE, &is_done, &error);
        }
        bool is_over = fault_countdown > 0;
        fault_countdown = 0;
        if (!is_over) {
            test_note("call %d: %s", (int)n, error.text);
            CHECK_EQ_INT(worst, expected);
            if (expected == TENURE_CORRUPT && strstr(error.text, "cannot open s") == NULL) {
                CHECK(strstr(error.text, "cannot read s") != NULL);
                CHECK(strstr(error.text, " at offset ") != NULL);
            }
        }
        scrub(journal, PIECE_SIZE);
        CHECK_EQ_UINT(find_count, 0);
        finish(&journal);
        if (is_over) return;
    }
}

TEST(scrub_takes_a_bad_sector_for_damage)
{
    fail_each_call(EIO, TENURE_CORRUPT);
}

TEST(scrub_gives_up_without_descriptors)
{
    fail_each_call(EMFILE, TENURE_IO);
}

TEST(scrub_is_not_disturbed_by_interruptions)
{
    fail_each_call(EINTR, TENURE_OK);
}

TEST(scrub_gives_up_without_memory)
{
    for (uint64_t n = 1;; n++) {
        struct journal *journal = make();
        journal_destroy(&journal);
        struct fault_memory fault;
        fault_memory_init(&fault, 0);
        struct journal_options options = fixture_options(".");
        options.memory = &fault.memory;
        CHECK_EQ_INT(
            fixture_open(env_memory_env(memory), &options, &journal, &recovered, &report, &error),
            TENURE_OK);
        fault.fail_at = fault.call_count + n;
        enum tenure_err err = TENURE_OK;
        for (bool is_done = false; !is_done && err == TENURE_OK;) {
            err = journal_scrub_step(journal, PIECE_SIZE, &is_done, &error);
        }
        bool is_over = !fault.has_failed;
        CHECK_EQ_INT(err, is_over ? TENURE_OK : TENURE_NO_MEMORY);
        fault.fail_at = 0;
        scrub(journal, PIECE_SIZE);
        CHECK_EQ_UINT(find_count, 0);
        journal_destroy(&journal);
        fault_memory_check_empty(&fault);
        finish(&journal);
        if (is_over) return;
    }
}

/* A server that stops in the middle. */
TEST(scrub_abandoned_leaves_nothing)
{
    for (unsigned count = 1; count < 40; count++) {
        struct journal *journal = make();
        bool is_done = false;
        for (unsigned i = 0; i < count; i++) {
            CHECK_EQ_INT(journal_scrub_step(journal, PIECE_SIZE, &is_done, &error), TENURE_OK);
        }
        if (count % 2 == 0) journal_scrub_abandon(journal);
        finish(&journal);
    }
}
