/* Torn or damaged?  Each case by hand: what a crash can leave is dropped and said, what it cannot
 * leave stops the start. */
#include <stdlib.h>

#include "base/crc32c.h"
#include "fault_env.h"
#include "fixture.h"
#include "journal/format.h"
#include "lib/random.h"

static struct env_memory *memory;
static struct recovered recovered;
static struct journal_report report;
static struct tenure_error error;

static const char first_name[] = "segment-0000000000000001";
static const char second_name[] = "segment-0000000000000002";

static struct journal *reopen(void)
{
    return fixture_reopen(env_memory_env(memory), &recovered, &report);
}

static enum tenure_err try_open(void)
{
    struct journal_options options = fixture_options(".");
    struct journal *journal = NULL;
    recovered = (struct recovered){ .refuse = TENURE_OK };
    error.text[0] = '\0';
    enum tenure_err err =
        fixture_open(env_memory_env(memory), &options, &journal, &recovered, &report, &error);
    journal_destroy(&journal);
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
    return err;
}

static char *bytes_of(const char *name)
{
    struct bytes file = env_memory_file(memory, name);
    CHECK(file.data != NULL);
    return (char *)(uintptr_t)file.data;
}

/* Ten batches of two records of 100 bytes: each 56 + 200 bytes, from offset 96 on. */
#define BATCH_SIZE      256u
#define BATCH_AT(index) (96u + (index)*BATCH_SIZE)

static void make_ten(bool is_marked)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    for (uint64_t seq = 1; seq <= 20; seq += 2)
        fixture_must_commit(journal, seq, 2, 100);
    if (is_marked) CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    journal_destroy(&journal);
}

/* The last batch has reached the disk only in part, every part there is. */
TEST(recovery_drops_a_torn_tail)
{
    for (unsigned cut = 0; cut < BATCH_SIZE; cut++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            make_ten(false);
            char *batch = bytes_of(first_name) + BATCH_AT(9);
            unsigned size = BATCH_SIZE - cut;
            if (kind == 0) memset(batch + cut, 0, size);
            if (kind == 1) memset(batch + cut, 0xa5, size);
            if (kind == 2) memset(batch, 0, cut); /* the end came first */
            struct journal *journal = reopen();
            bool is_whole = kind == 2 && cut == 0;
            CHECK_EQ_UINT(report.seq.value, is_whole ? 20 : 18);
            bool is_all_gone = kind == 0 && cut == 0;
            CHECK_EQ_INT(report.text[0] != '\0', !is_whole && !is_all_gone);
            CHECK_EQ_INT(report.torn_bytes > 0, !is_whole && !is_all_gone);
            fixture_must_commit(journal, report.seq.value + 1, 1, 8);
            journal_destroy(&journal);
            CHECK_EQ_INT(try_open(), TENURE_OK);
            CHECK_EQ_TEXT(report.text, "");
            env_memory_destroy(&memory);
        }
    }
}

TEST(recovery_refuses_damage_before_a_mark)
{
    make_ten(true);
    bytes_of(first_name)[BATCH_AT(9) + 60] ^= 1;
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    CHECK_EQ_TEXT(
        error.text,
        "segment-0000000000000001: damaged at offset 2400: valid batches follow it; "
        "nothing was changed");
    env_memory_destroy(&memory);
}

/* The header of the last batch is gone with the end of the one before: what is left of the last one
 * proves that the one before was acknowledged. */
TEST(recovery_refuses_damage_before_the_rest_of_a_batch)
{
    make_ten(false);
    memset(bytes_of(first_name) + BATCH_AT(9) - 10, 0x11, 40);
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    env_memory_destroy(&memory);
}

/* A batch found no room halfway; a smaller one takes its place and is torn. */
TEST(recovery_is_not_misled_by_a_batch_without_room)
{
    make_ten(false);
    struct fault_env fault;
    fault_env_init(&fault, env_memory_env(memory));
    struct journal *journal = fixture_reopen(&fault.env, &recovered, &report);
    fault_env_arm(&fault, FAULT_KIND_NO_SPACE, 1, false);
    CHECK_EQ_INT(fixture_commit(journal, 21, 10, 100, &error), TENURE_NO_SPACE);
    fixture_must_commit(journal, 21, 2, 100);
    journal_destroy(&journal);
    bytes_of(second_name)[96 + 60] ^= 1;
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_UINT(report.seq.value, 20);
    CHECK_EQ_UINT(report.torn_bytes, 256);
    env_memory_destroy(&memory);
}

/* The same, but the next batch goes into another segment: nothing of the first stays behind. */
TEST(recovery_finds_no_trace_of_a_batch_without_room)
{
    make_ten(false);
    struct fault_env fault;
    fault_env_init(&fault, env_memory_env(memory));
    struct journal *journal = fixture_reopen(&fault.env, &recovered, &report);
    fault_env_arm(&fault, FAULT_KIND_NO_SPACE, 1, false);
    CHECK_EQ_INT(fixture_commit(journal, 21, 10, 100, &error), TENURE_NO_SPACE);
    fixture_must_commit(journal, 21, 1, 20000);
    journal_destroy(&journal);
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_UINT(report.seq.value, 21);
    CHECK_EQ_TEXT(report.text, "");
    env_memory_destroy(&memory);
}

TEST(recovery_refuses_a_hole)
{
    make_ten(false);
    memset(bytes_of(first_name) + BATCH_AT(4), 0, 2 * BATCH_SIZE);
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    env_memory_destroy(&memory);
}

/* A block of the disk was written to the place of another one. */
TEST(recovery_refuses_misdirected_writes)
{
    for (unsigned from = 0; from < 10; from++) {
        for (unsigned to = 0; to < 11; to++) {
            if (from == to) continue;
            make_ten(false);
            char *file = bytes_of(first_name);
            memcpy(file + BATCH_AT(to), file + BATCH_AT(from), BATCH_SIZE);
            CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
            env_memory_destroy(&memory);
        }
    }
}

/* A whole segment of another journal, or of another time. */
TEST(recovery_refuses_strange_segments)
{
    make_ten(false);
    struct env_memory *kept = memory;
    make_ten(false);
    /* The same id, salt and batches, as the random numbers are the same: tell them apart. */
    env_memory_put(memory, "identity", env_memory_file(kept, "identity"));
    CHECK_EQ_INT(try_open(), TENURE_OK);
    unsigned char other[JOURNAL_PREAMBLE_SIZE];
    journal_preamble_encode(JOURNAL_FILE_IDENTITY, &(struct journal_id){ { 1, 2, 3 } }, other);
    env_memory_put(memory, "identity", (struct bytes){ (char *)other, sizeof(other) });
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    CHECK(strstr(error.text, "belongs to another journal") != NULL);
    env_memory_destroy(&memory);
    env_memory_destroy(&kept);
}

/* The tail of a torn batch holds what looks like the batch after it.  When recovery goes on in the
 * same place with a shorter batch and crashes, that must not be taken for its successor. */
TEST(recovery_lets_no_ghost_return)
{
    make_ten(false);
    struct env_memory *before = env_memory_copy(memory);
    /* Batch 9 of the old life is torn: dropped. */
    bytes_of(first_name)[BATCH_AT(8) + 70] ^= 1;
    memset(bytes_of(first_name) + BATCH_AT(9), 0, BATCH_SIZE);
    struct journal *journal = reopen();
    CHECK_EQ_UINT(report.seq.value, 16);
    fixture_must_commit(journal, 17, 2, 100);
    journal_destroy(&journal);
    /* Wherever the new batch 9 is now, the old batch 10 behind it is not valid. */
    char *old = (char *)(uintptr_t)env_memory_file(before, first_name).data;
    char *file = bytes_of(second_name);
    memcpy(file + 96 + BATCH_SIZE, old + BATCH_AT(9), BATCH_SIZE);
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_UINT(report.seq.value, 18);
    CHECK_EQ_UINT(report.torn_bytes, BATCH_SIZE);
    env_memory_destroy(&before);
    env_memory_destroy(&memory);
}

/* What recovery leaves of a segment is in a new file that ends with its batches. */
TEST(recovery_rewrites_the_last_segment)
{
    make_ten(false);
    memset(bytes_of(first_name) + BATCH_AT(9) + 80, 0x77, BATCH_SIZE - 80);
    struct journal *journal = reopen();
    CHECK_EQ_UINT(env_memory_file(memory, first_name).size, BATCH_AT(9) + 56);
    CHECK_EQ_UINT(env_memory_file(memory, second_name).size, FIXTURE_SEGMENT_SIZE);
    journal_destroy(&journal);
    env_memory_destroy(&memory);
}

TEST(recovery_refuses_cut_files)
{
    make_ten(true);
    struct bytes file = env_memory_file(memory, first_name);
    char *copy = malloc(file.size);
    CHECK(copy != NULL);
    memcpy(copy, file.data, file.size);
    for (size_t size = 0; size < FIXTURE_SEGMENT_SIZE; size += 64) {
        env_memory_put(memory, first_name, (struct bytes){ copy, size });
        CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    }
    free(copy);
    env_memory_destroy(&memory);
}

/* After a restart: the finished segment, cut anywhere, and the new one, gone or damaged. */
TEST(recovery_refuses_a_cut_finished_segment)
{
    make_ten(false);
    struct journal *journal = reopen();
    fixture_must_commit(journal, 21, 1, 8);
    journal_destroy(&journal);
    struct bytes file = env_memory_file(memory, first_name);
    char copy[FIXTURE_SEGMENT_SIZE];
    size_t full_size = file.size;
    memcpy(copy, file.data, full_size);
    for (size_t size = 0; size < full_size; size += 8) {
        env_memory_put(memory, first_name, (struct bytes){ copy, size });
        CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    }
    env_memory_put(memory, first_name, (struct bytes){ copy, full_size });
    CHECK_EQ_INT(try_open(), TENURE_OK);
    env_memory_destroy(&memory);
}

TEST(recovery_refuses_missing_files)
{
    make_ten(false);
    struct journal *journal = reopen();
    fixture_must_commit(journal, 21, 1, 8);
    journal_destroy(&journal);
    struct env_memory *whole = memory;

    memory = env_memory_copy(whole);
    env_memory_remove(memory, "identity");
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    env_memory_destroy(&memory);

    memory = env_memory_copy(whole);
    env_memory_remove(memory, first_name);
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    CHECK(strstr(error.text, "records 1 to 20 are missing") != NULL);
    env_memory_destroy(&memory);

    memory = env_memory_copy(whole);
    env_memory_remove(memory, first_name);
    env_memory_remove(memory, second_name);
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    env_memory_destroy(&memory);
    env_memory_destroy(&whole);
}

TEST(recovery_names_a_newer_version)
{
    static const char *const names[] = { "identity", first_name };
    for (unsigned i = 0; i < 2; i++) {
        make_ten(false);
        unsigned char *bytes = (unsigned char *)bytes_of(names[i]);
        bytes[8] = JOURNAL_FORMAT_VERSION + 1;
        CHECK_EQ_INT(try_open(), TENURE_CORRUPT); /* the version alone is damage */
        unsigned crc_of_newer = crc32c(0, bytes, 28);
        for (unsigned k = 0; k < 4; k++)
            bytes[28 + k] = (unsigned char)(crc_of_newer >> (8 * k));
        CHECK_EQ_INT(try_open(), TENURE_UNSUPPORTED);
        CHECK(strstr(error.text, "newer version") != NULL);
        env_memory_destroy(&memory);
    }
}

/* A first start that was cut short is begun anew. */
TEST(recovery_begins_again_what_was_never_begun)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    journal_destroy(&journal);
    struct bytes identity = env_memory_file(memory, "identity");
    env_memory_put(memory, "identity.tmp", identity);
    env_memory_remove(memory, "identity");
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK(report.is_new);
    CHECK(env_memory_file(memory, "identity.tmp").data == NULL);
    env_memory_destroy(&memory);
}

/* A later segment is none of a first start, however empty: beside it a new journal would be begun
 * that the next start refuses. */
TEST(recovery_begins_no_journal_beside_another_one)
{
    memory = env_memory_create();
    env_memory_put(memory, second_name, BYTES_LITERAL("short"));
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    CHECK(strstr(error.text, "identity: missing") != NULL);
    CHECK(env_memory_file(memory, "identity").data == NULL);
    env_memory_destroy(&memory);
}

TEST(recovery_removes_what_is_left_over)
{
    make_ten(false);
    env_memory_put(memory, "segment-0000000000000009.tmp", BYTES_LITERAL("x"));
    env_memory_put(memory, "snapshot-0000000000000001.tmp", BYTES_LITERAL("x"));
    env_memory_put(memory, "spare-00000000000000aa.tmp", BYTES_LITERAL("x"));
    env_memory_put(memory, "spare-00000000000000ab", BYTES_LITERAL("too short"));
    char written[FIXTURE_SEGMENT_SIZE];
    memset(written, 1, sizeof(written));
    struct bytes used = { written, sizeof(written) };
    env_memory_put(memory, "spare-0000000000000000", used);
    env_memory_put(memory, "lost+found", BYTES_LITERAL("not ours"));
    env_memory_put(memory, "segment-1", BYTES_LITERAL("not ours either"));
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_UINT(fixture_count_files(memory, "spare-"), 2);
    CHECK(env_memory_file(memory, "spare-0000000000000000").data == NULL);
    CHECK(env_memory_file(memory, "segment-0000000000000009.tmp").data == NULL);
    CHECK(env_memory_file(memory, "snapshot-0000000000000001.tmp").data == NULL);
    CHECK(env_memory_file(memory, "lost+found").data != NULL);
    CHECK(env_memory_file(memory, "segment-1").data != NULL);
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_TEXT(report.text, "");
    env_memory_destroy(&memory);
}

/* Idle restarts do not make the directory grow. */
TEST(recovery_of_an_idle_journal_adds_no_segment)
{
    make_ten(true);
    for (int i = 0; i < 10; i++)
        CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_UINT(fixture_count_files(memory, "segment-"), 2);
    CHECK_EQ_UINT(report.seq.value, 20);
    env_memory_destroy(&memory);
}

/* Random damage of any size: either refused, or a prefix that holds everything marked. */
TEST(recovery_survives_random_damage)
{
    struct test_random random = { 42 };
    for (int i = 0; i < 3000; i++) {
        make_ten(i % 2 == 0);
        size_t from = test_random_below(&random, FIXTURE_SEGMENT_SIZE);
        size_t size = test_random_below(&random, 600) + 1;
        if (from + size > FIXTURE_SEGMENT_SIZE) size = FIXTURE_SEGMENT_SIZE - from;
        char *file = bytes_of(first_name);
        for (size_t k = from; k < from + size; k++) {
            file[k] = i % 3 == 0 ? 0 : (char)test_random_next(&random);
        }
        test_note("seed step %d: %zu bytes at %zu", i, size, from);
        if (try_open() == TENURE_OK && recovered.seq_last < 20) {
            /* Lost: then the header of the last thing written is hit, mark or batch. */
            CHECK_LT_UINT(i % 2 == 0 ? BATCH_AT(10) : BATCH_AT(9), from + size);
        }
        env_memory_destroy(&memory);
    }
}
