/* Snapshots: written, verified, fallen back from, and what they allow to be removed. */
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

static enum tenure_err try_open(void)
{
    struct journal_options options = fixture_options(".");
    struct journal *journal = NULL;
    recovered = (struct recovered){ .refuse = TENURE_OK };
    enum tenure_err err =
        fixture_open(env_memory_env(memory), &options, &journal, &recovered, &report, &error);
    journal_destroy(&journal);
    return err;
}

static void damage(const char *name)
{
    struct bytes file = env_memory_file(memory, name);
    CHECK(file.data != NULL);
    ((char *)(uintptr_t)file.data)[file.size / 2] ^= 4;
}

/* 300 records in batches of three; snapshots at 100, 200 and, inside a batch, 251. */
static void make_three(void)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    for (uint64_t seq = 1; seq <= 300; seq += 3) {
        fixture_must_commit(journal, seq, 3, 150);
    }
    CHECK_EQ_INT(fixture_snapshot(journal, 100, 2, 100, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 200, 3, 5000, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 251, 4, 70000, &error), TENURE_OK);
    journal_destroy(&journal);
}

TEST(snapshot_is_used_and_older_files_go)
{
    make_three();
    CHECK(env_memory_file(memory, "snapshot-0000000000000064").data == NULL);
    CHECK(env_memory_file(memory, "segment-0000000000000001").data == NULL);
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_UINT(recovered.snapshot_seq, 251);
    CHECK_EQ_UINT(recovered.chunk_count, 4);
    CHECK_EQ_UINT(recovered.chunk_bytes, 280000);
    CHECK_EQ_UINT(report.seq.value, 300);
    CHECK_EQ_UINT(recovered.batch_count, 17); /* the first one holds 250 … 252 */
    CHECK_EQ_TEXT(report.text, "");
    env_memory_destroy(&memory);
}

TEST(snapshot_falls_back_to_the_older_one)
{
    make_three();
    damage("snapshot-00000000000000fb");
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK(report.is_snapshot_skipped);
    CHECK(strstr(report.text, "snapshot-00000000000000fb: damaged at offset") != NULL);
    CHECK_EQ_UINT(recovered.snapshot_seq, 200);
    CHECK_EQ_UINT(report.seq.value, 300);

    /* The next one makes the directory whole again. */
    struct journal *journal = reopen();
    CHECK_EQ_INT(fixture_snapshot(journal, 300, 1, 10, &error), TENURE_OK);
    journal_destroy(&journal);
    CHECK(env_memory_file(memory, "snapshot-00000000000000fb").data == NULL);
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_TEXT(report.text, "");
    CHECK_EQ_UINT(recovered.snapshot_seq, 300);
    env_memory_destroy(&memory);
}

TEST(snapshot_refuses_when_none_is_sound)
{
    make_three();
    damage("snapshot-00000000000000fb");
    damage("snapshot-00000000000000c8");
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    CHECK(strstr(error.text, "are missing") != NULL);
    env_memory_destroy(&memory);
}

/* A snapshot that cannot be read just now is not a damaged one: another start may succeed. */
TEST(snapshot_that_cannot_be_read_is_no_damage)
{
    make_three();
    env_memory_remove(memory, "snapshot-00000000000000c8");
    struct fault_env fault;
    fault_env_init(&fault, env_memory_env(memory));
    struct journal_options options = fixture_options(".");
    options.is_read_only = true;
    uint64_t refused_count = 0;
    uint64_t at = 0;
    do {
        fault_env_arm(&fault, FAULT_KIND_IO, ++at, false);
        struct journal *journal = NULL;
        recovered = (struct recovered){ .refuse = TENURE_OK };
        enum tenure_err err =
            fixture_open(&fault.env, &options, &journal, &recovered, &report, &error);
        journal_destroy(&journal);
        CHECK(err == TENURE_OK || err == TENURE_IO);
        CHECK(err == TENURE_OK || strstr(error.text, "error") != NULL);
        refused_count += err == TENURE_IO;
    } while (fault.is_hit);
    CHECK_LT_UINT(5, refused_count);
    env_memory_destroy(&memory);
}

TEST(snapshot_is_not_needed_while_all_segments_are_there)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    for (uint64_t seq = 1; seq <= 30; seq += 3) {
        fixture_must_commit(journal, seq, 3, 150);
    }
    CHECK_EQ_INT(fixture_snapshot(journal, 10, 2, 100, &error), TENURE_OK);
    journal_destroy(&journal);
    damage("snapshot-000000000000000a");
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK(report.is_snapshot_skipped);
    CHECK_EQ_UINT(recovered.snapshot_seq, 0);
    CHECK_EQ_UINT(report.seq.value, 30);
    env_memory_destroy(&memory);
}

/* Every length but the right one. */
TEST(snapshot_notices_a_cut)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    for (uint64_t seq = 1; seq <= 30; seq += 3) {
        fixture_must_commit(journal, seq, 3, 150);
    }
    CHECK_EQ_INT(fixture_snapshot(journal, 10, 5, 20, &error), TENURE_OK);
    journal_destroy(&journal);
    static const char name[] = "snapshot-000000000000000a";
    char copy[1000];
    struct bytes file = env_memory_file(memory, name);
    CHECK_LT_UINT(file.size, sizeof(copy));
    size_t full_size = file.size;
    memcpy(copy, file.data, full_size);
    copy[full_size] = 'x';
    for (size_t size = 0; size <= full_size + 1; size++) {
        env_memory_put(memory, name, (struct bytes){ copy, size });
        CHECK_EQ_INT(try_open(), TENURE_OK);
        CHECK_EQ_INT(report.is_snapshot_skipped, size != full_size);
    }
    env_memory_destroy(&memory);
}

TEST(snapshot_is_refused_when_the_journal_is_behind_it)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    fixture_must_commit(journal, 1, 3, 8);
    CHECK_EQ_INT(fixture_snapshot(journal, 4, 1, 8, &error), TENURE_UNAVAILABLE);
    CHECK(env_memory_file(memory, "snapshot-0000000000000004").data == NULL);
    CHECK_EQ_INT(journal_snapshot_finish(journal, &error), TENURE_UNAVAILABLE);
    fixture_must_commit(journal, 4, 1, 8);
    CHECK_EQ_INT(journal_snapshot_finish(journal, &error), TENURE_OK);
    journal_destroy(&journal);

    env_memory_destroy(&memory);
}

/* The other way round: a sound snapshot, but the last records up to it are gone. */
TEST(snapshot_newer_than_the_journal_refuses_the_start)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    fixture_must_commit(journal, 1, 3, 8);
    journal_destroy(&journal);
    journal = reopen();
    fixture_must_commit(journal, 4, 2, 8);
    CHECK_EQ_INT(fixture_snapshot(journal, 5, 1, 8, &error), TENURE_OK);
    journal_destroy(&journal);
    env_memory_remove(memory, "segment-0000000000000002");
    CHECK_EQ_INT(try_open(), TENURE_CORRUPT);
    CHECK(strstr(error.text, "newest snapshot knows") != NULL);
    env_memory_destroy(&memory);
}

/* Whatever record the older snapshot ends with, the segment of the next one is kept. */
TEST(snapshot_keeps_every_segment_that_the_older_one_needs)
{
    for (uint64_t older = 1; older <= 90; older++) {
        memory = env_memory_create();
        struct journal *journal = reopen();
        for (uint64_t seq = 1; seq <= 100; seq++) {
            fixture_must_commit(journal, seq, 1, 400);
        }
        CHECK_EQ_INT(fixture_snapshot(journal, older, 1, 8, &error), TENURE_OK);
        CHECK_EQ_INT(fixture_snapshot(journal, 95, 1, 8, &error), TENURE_OK);
        journal_destroy(&journal);
        damage("snapshot-000000000000005f");
        test_note("older snapshot at %d", (int)older);
        CHECK_EQ_INT(try_open(), TENURE_OK);
        CHECK_EQ_UINT(recovered.snapshot_seq, older);
        CHECK_EQ_UINT(report.seq.value, 100);
        env_memory_destroy(&memory);
    }
}

/* A crash kept the removal of a segment and lost that of an older one. */
TEST(snapshot_lets_a_gap_before_what_is_needed_be)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    for (uint64_t seq = 1; seq <= 100; seq++) {
        fixture_must_commit(journal, seq, 1, 400);
    }
    journal_destroy(&journal);
    struct env_memory *before = env_memory_copy(memory);
    journal = reopen();
    CHECK_EQ_INT(fixture_snapshot(journal, 80, 1, 8, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 90, 1, 8, &error), TENURE_OK);
    journal_destroy(&journal);
    static const char name[] = "segment-0000000000000001";
    CHECK(env_memory_file(memory, name).data == NULL);
    env_memory_put(memory, name, env_memory_file(before, name));
    CHECK_EQ_INT(try_open(), TENURE_OK);
    CHECK_EQ_UINT(report.seq.value, 100);
    CHECK(env_memory_file(memory, name).data == NULL);
    env_memory_destroy(&before);
    env_memory_destroy(&memory);
}

TEST(snapshot_abandoned_leaves_nothing)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    fixture_must_commit(journal, 1, 3, 8);
    CHECK_EQ_INT(journal_snapshot_begin(journal, (struct seq){ 2 }, &error), TENURE_OK);
    CHECK_EQ_INT(journal_snapshot_append(journal, BYTES_LITERAL("\0"), &error), TENURE_OK);
    journal_snapshot_abandon(journal);
    CHECK_EQ_UINT(fixture_count_files(memory, "snapshot-"), 0);
    CHECK_EQ_INT(fixture_snapshot(journal, 3, 1, 8, &error), TENURE_OK);
    journal_destroy(&journal);
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
    env_memory_destroy(&memory);
}

TEST(snapshot_tells_how_much_a_restart_replays)
{
    memory = env_memory_create();
    struct journal *journal = reopen();
    CHECK_EQ_UINT(journal_status(journal).bytes_since_snapshot, 0);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        fixture_must_commit(journal, seq, 1, 200);
    }
    CHECK_EQ_UINT(journal_status(journal).bytes_since_snapshot, 2560);
    CHECK_EQ_INT(fixture_snapshot(journal, 10, 1, 8, &error), TENURE_OK);
    CHECK_EQ_UINT(journal_status(journal).bytes_since_snapshot, 0);
    CHECK_LT_UINT(0, journal_status(journal).snapshot_size);
    fixture_must_commit(journal, 11, 1, 200);
    journal_destroy(&journal);
    journal = reopen();
    CHECK_EQ_UINT(journal_status(journal).bytes_since_snapshot, 256);
    journal_destroy(&journal);
    env_memory_destroy(&memory);
}
