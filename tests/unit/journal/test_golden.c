/* The journal under tests/golden/journal-v1 was written once and stays.  Every later version must
 * read it; as long as version 1 is written, it must also be written byte for byte the same.
 *
 * A new format gets a new directory:
 *     TENURE_GOLDEN_WRITE=DIR build/…/unit-journal --filter golden_is_written */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"

static struct recovered recovered;
static struct journal_report report;
static struct tenure_error error;

static void write_file(const char *directory, const char *name, struct bytes contents)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK_EQ_UINT(fwrite(contents.data, 1, contents.size, file), contents.size);
    CHECK_EQ_INT(fclose(file), 0);
}

/* The contents of a golden file, in a static buffer. */
static struct bytes read_file(const char *name)
{
    static char contents[65536];
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", GOLDEN_PATH, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) FAIL("%s is missing", path);
    size_t size = fread(contents, 1, sizeof(contents), file);
    CHECK_EQ_INT(fclose(file), 0);
    return (struct bytes){ contents, size };
}

/* Restarts, a mark, segments of every kind, and two snapshots; the random numbers are the same in
 * every run. */
static struct env_memory *write_journal(void)
{
    struct env_memory *memory = env_memory_create();
    struct journal *journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
    uint64_t seq = 1;
    for (uint32_t i = 1; i <= 12; i++, seq += i - 1)
        fixture_must_commit(journal, seq, i, 8 + i);
    journal_destroy(&journal);
    journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
    fixture_must_commit(journal, seq, 1, 9000);
    fixture_must_commit(journal, seq + 1, 3, 33);
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 40, 2, 100, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 80, 3, 50, &error), TENURE_OK);
    fixture_must_commit(journal, seq + 4, 2, 21);
    journal_destroy(&journal);
    return memory;
}

static bool is_spare(const char *name)
{
    return strncmp(name, "spare-", 6) == 0; /* nothing but zeros */
}

TEST(golden_is_written_today_as_it_was)
{
    struct env_memory *memory = write_journal();
    const char *directory = getenv("TENURE_GOLDEN_WRITE");
    unsigned count = 0;
    for (size_t i = 0; env_memory_name(memory, i) != NULL; i++) {
        const char *name = env_memory_name(memory, i);
        if (is_spare(name)) continue;
        struct bytes written = env_memory_file(memory, name);
        if (directory != NULL) write_file(directory, name, written);
        test_note("%s", name);
        struct bytes golden = read_file(name);
        CHECK_EQ_UINT(written.size, golden.size);
        CHECK(bytes_equal(written, golden));
        count++;
    }
    CHECK_EQ_UINT(count, 7);
    env_memory_destroy(&memory);
}

static void check_contents(void)
{
    CHECK_EQ_UINT(report.seq.value, 84);
    CHECK_EQ_UINT(report.segment_count, 4);
    CHECK_EQ_TEXT(report.text, "");
    CHECK_EQ_UINT(recovered.snapshot_seq, 80);
    CHECK_EQ_UINT(recovered.chunk_count, 3);
    CHECK_EQ_UINT(recovered.chunk_bytes, 150);
    CHECK_EQ_UINT(recovered.batch_count, 2);
    CHECK_EQ_UINT(recovered.seq_last, 84);
}

TEST(golden_is_read)
{
    struct journal_options options = fixture_options(GOLDEN_PATH);
    options.is_read_only = true;
    struct journal *journal = NULL;
    enum tenure_err err = fixture_open(&env_posix, &options, &journal, &recovered, &report, &error);
    if (err != TENURE_OK) FAIL("%s", error.text);
    check_contents();
    journal_destroy(&journal);
}

/* A copy goes on, and without its snapshots every batch is there. */
TEST(golden_goes_on)
{
    struct env_memory *written = write_journal();
    for (int with_snapshots = 0; with_snapshots < 2; with_snapshots++) {
        struct env_memory *memory = env_memory_create();
        for (size_t i = 0; env_memory_name(written, i) != NULL; i++) {
            const char *name = env_memory_name(written, i);
            if (is_spare(name)) continue;
            if (with_snapshots == 0 && strncmp(name, "snapshot-", 9) == 0) continue;
            env_memory_put(memory, name, read_file(name));
        }
        struct journal *journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
        if (with_snapshots == 1) {
            check_contents();
        } else {
            CHECK_EQ_UINT(recovered.batch_count, 15);
            CHECK_EQ_UINT(recovered.seq_last, 84);
        }
        fixture_must_commit(journal, 85, 1, 8);
        journal_destroy(&journal);
        journal = fixture_reopen(env_memory_env(memory), &recovered, &report);
        CHECK_EQ_UINT(recovered.seq_last, 85);
        journal_destroy(&journal);
        env_memory_destroy(&memory);
    }
    env_memory_destroy(&written);
}
