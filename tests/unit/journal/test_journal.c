/* The journal as its users see it: what was committed comes back, in order and in whole batches. */
#include <stdio.h>

#include "fault_env.h"
#include "fixture.h"

static struct env_memory *memory;
static struct recovered recovered;
static struct journal_report report;
static struct tenure_error error;

static struct journal *reopen(void)
{
    return fixture_reopen(env_memory_env(memory), &recovered, &report);
}

TEST(journal_begins_empty)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    CHECK(report.is_new);
    CHECK_EQ_UINT(report.seq.value, 0);
    CHECK_EQ_TEXT(report.text, "");
    CHECK_EQ_UINT(journal_status(journal).spare_count, 2);
    journal_destroy(&journal);
    CHECK(journal == NULL);
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);

    journal = reopen();
    CHECK(!report.is_new);
    CHECK_EQ_UINT(report.segment_count, 1);
    CHECK_EQ_UINT(recovered.batch_count, 0);
    journal_destroy(&journal);
    env_memory_destroy(&memory);
}

TEST(journal_gives_back_what_was_committed)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    fixture_must_commit(journal, 1, 1, 8);
    fixture_must_commit(journal, 2, 3, 13);
    fixture_must_commit(journal, 5, 64, 100);
    CHECK_EQ_UINT(journal_status(journal).seq_durable.value, 68);
    CHECK_EQ_UINT(journal_status(journal).commit_count, 3);
    journal_destroy(&journal);
    for (int i = 0; i < 3; i++) {
        journal = reopen();
        CHECK_EQ_UINT(report.seq.value, 68);
        CHECK_EQ_UINT(recovered.batch_count, 3);
        CHECK_EQ_TEXT(report.text, "");
        CHECK_EQ_UINT(report.torn_bytes, 0);
        journal_destroy(&journal);
    }
    CHECK_EQ_UINT(fixture_count_files(memory, "segment-"), 2);
    env_memory_destroy(&memory);
}

TEST(journal_goes_on_in_new_segments)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    uint64_t seq = 1;
    for (int round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 40; i++) {
            uint32_t count = i % 7 + 1;
            fixture_must_commit(journal, seq, count, 8 + i * 10);
            seq += count;
        }
        journal_destroy(&journal);
        journal = reopen();
        CHECK_EQ_UINT(report.seq.value, seq - 1);
    }
    CHECK_EQ_UINT(recovered.batch_count, 200);
    CHECK_LT_UINT(10, report.segment_count);
    journal_destroy(&journal);
    env_memory_destroy(&memory);
}

TEST(journal_takes_batches_larger_than_a_segment)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    fixture_must_commit(journal, 1, 1, 8);
    fixture_must_commit(journal, 2, 3000, 100);
    fixture_must_commit(journal, 3002, 1, 8);
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    fixture_must_commit(journal, 3003, 1, 100000);
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    journal_destroy(&journal);
    journal = reopen();
    CHECK_EQ_UINT(report.seq.value, 3003);
    CHECK_EQ_UINT(recovered.batch_count, 4);
    CHECK_EQ_UINT(journal_status(journal).spare_count, 2);
    journal_destroy(&journal);
    env_memory_destroy(&memory);
}

/* Every size around the end of a segment, with and without a mark. */
TEST(journal_fills_segments_to_the_last_byte)
{
    for (size_t size = FIXTURE_SEGMENT_SIZE - 400; size < FIXTURE_SEGMENT_SIZE + 16; size++) {
        memory = env_memory_create();
        struct journal *journal = reopen();
        fixture_must_commit(journal, 1, 1, size);
        if (size % 2 == 0) CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
        fixture_must_commit(journal, 2, 1, 8);
        if (size % 3 == 0) CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
        journal_destroy(&journal);
        journal = reopen();
        CHECK_EQ_UINT(report.seq.value, 2);
        CHECK_EQ_TEXT(report.text, "");
        journal_destroy(&journal);
        env_memory_destroy(&memory);
    }
}

TEST(journal_marks_once)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    uint64_t bytes = journal_status(journal).written_bytes;
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    CHECK_EQ_UINT(journal_status(journal).written_bytes, bytes);
    fixture_must_commit(journal, 1, 1, 8);
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    bytes = journal_status(journal).written_bytes;
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    CHECK_EQ_UINT(journal_status(journal).written_bytes, bytes);
    journal_destroy(&journal);
    env_memory_destroy(&memory);
}

TEST(journal_keeps_a_second_server_out)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    struct journal_options options = fixture_options(".");
    struct journal *second = NULL;
    struct recovered none = { .refuse = TENURE_OK };
    CHECK_EQ_INT(
        fixture_open(env_memory_env(memory), &options, &second, &none, &report, &error),
        TENURE_UNAVAILABLE);
    CHECK(second == NULL);
    options.is_read_only = true;
    fixture_must_commit(journal, 1, 2, 8);
    CHECK_EQ_INT(
        fixture_open(env_memory_env(memory), &options, &second, &none, &report, &error), TENURE_OK);
    CHECK_EQ_UINT(none.seq_last, 2);
    journal_destroy(&second);
    journal_destroy(&journal);
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
    env_memory_destroy(&memory);
}

/* --- two first starts at the same time --- */

static const struct env *race_env; /* without the hook */
static struct fault_env race_fault;
static struct journal *race_other;
static uint64_t race_at;
static bool is_race_run;

/* The second one begins between the creation of the identity by the first one and its lock, and
 * comes to grief at the n-th call, or goes through. */
static int lock_behind_another(void *context, int file)
{
    if (!is_race_run) {
        is_race_run = true;
        struct journal_options options = fixture_options("/");
        struct journal_report other_report;
        fault_env_init(&race_fault, race_env);
        fault_env_arm(&race_fault, FAULT_KIND_IO, race_at, true);
        enum tenure_err err =
            journal_open(&options, &race_fault.env, NULL, &race_other, &other_report, NULL);
        CHECK_EQ_INT(err == TENURE_OK, race_other != NULL);
    }
    return race_env->lock(context, file);
}

TEST(journal_begun_by_two_servers_at_once)
{
    bool is_through = false;
    for (race_at = 1; !is_through; race_at++) {
        memory = env_memory_create();
        race_env = env_memory_env(memory);
        race_other = NULL;
        is_race_run = false;
        struct env env = *race_env;
        env.lock = lock_behind_another;
        struct journal_options options = fixture_options("/");
        struct journal *journal = NULL;
        enum tenure_err err = journal_open(&options, &env, NULL, &journal, &report, NULL);
        test_note("the other one at call %u: %d", (unsigned)race_at, (int)err);
        is_through = race_other != NULL;
        CHECK(!is_through || err == TENURE_UNAVAILABLE);
        if (err == TENURE_OK) fixture_must_commit(journal, 1, 1, 64);
        journal_destroy(&journal);
        journal_destroy(&race_other);

        journal = reopen();
        CHECK_EQ_UINT(recovered.seq_last, err == TENURE_OK ? 1 : 0);
        journal_destroy(&journal);
        CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
        env_memory_destroy(&memory);
    }
}

TEST(journal_read_only_changes_nothing)
{
    memory = env_memory_create();
    struct journal_options options = fixture_options(".");
    options.is_read_only = true;
    struct journal *journal = NULL;
    struct recovered seen = { .refuse = TENURE_OK };
    CHECK_EQ_INT(
        fixture_open(env_memory_env(memory), &options, &journal, &seen, &report, &error),
        TENURE_NOT_FOUND);
    CHECK(env_memory_name(memory, 0) == NULL);
    env_memory_destroy(&memory);
}

TEST(journal_passes_the_visitors_objection_on)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    fixture_must_commit(journal, 1, 1, 8);
    journal_destroy(&journal);
    struct journal_options options = fixture_options(".");
    struct recovered objecting = { .refuse = TENURE_CORRUPT };
    CHECK_EQ_INT(
        fixture_open(env_memory_env(memory), &options, &journal, &objecting, &report, &error),
        TENURE_CORRUPT);
    CHECK_EQ_TEXT(error.text, "segment-0000000000000001: offset 96: the visitor objects");
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
    env_memory_destroy(&memory);
}

static void check_disk(struct journal *journal)
{
    uint64_t bytes = 0;
    for (size_t i = 0; env_memory_name(memory, i) != NULL; i++) {
        if (strcmp(env_memory_name(memory, i), "identity") == 0) continue;
        bytes += env_memory_file(memory, env_memory_name(memory, i)).size;
    }
    CHECK_EQ_UINT(journal_status(journal).disk_bytes, bytes);
}

TEST(journal_counts_its_disk)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    for (uint64_t seq = 1; seq < 300; seq++) {
        fixture_must_commit(journal, seq, 1, 200);
    }
    CHECK_EQ_INT(fixture_snapshot(journal, 100, 3, 100, &error), TENURE_OK);
    bool is_done = false;
    while (!is_done) {
        CHECK_EQ_INT(journal_prepare(journal, &is_done, &error), TENURE_OK);
    }
    check_disk(journal);
    for (int i = 0; i < 3; i++) {
        journal_destroy(&journal);
        journal = reopen();
        check_disk(journal);
    }
    journal_destroy(&journal);
    env_memory_destroy(&memory);
}
