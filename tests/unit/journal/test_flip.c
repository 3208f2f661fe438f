/* Every single bit of a journal that was closed in order is flipped: the start is refused, or the
 * damage is reported and nothing is lost.  Never a silent start. */
#include "fixture.h"

/* Sanitized programs are slow: they try every so many bits, a prime. */
#if defined(STRIDE)
/* as asked for */
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define STRIDE 61u
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
        __has_feature(memory_sanitizer)
#        define STRIDE 61u
#    endif
#endif
#ifndef STRIDE
#    define STRIDE 1u
#endif

struct tally {
    uint64_t refused;
    uint64_t reported;
};

static struct journal_options options;

/* What a sound journal says in its report. */
static char sound_text[240];

static void check_flip(
    struct env_memory *memory, const char *name, uint64_t bit, uint64_t seq, struct tally *tally)
{
    struct recovered recovered = { .refuse = TENURE_OK };
    struct journal_report report;
    struct tenure_error error = { .text = "" };
    struct journal *journal = NULL;
    enum tenure_err err =
        fixture_open(env_memory_env(memory), &options, &journal, &recovered, &report, &error);
    if (err == TENURE_OK) {
        journal_destroy(&journal);
        if (strcmp(report.text, sound_text) == 0) {
            FAIL("%s: bit %llu: a silent start", name, (unsigned long long)bit);
        }
        if (recovered.seq_last != seq) {
            FAIL("%s: bit %llu: records are lost", name, (unsigned long long)bit);
        }
        tally->reported++;
        return;
    }
    if (err != TENURE_CORRUPT || strncmp(error.text, name, strlen(name)) != 0) {
        FAIL("%s: bit %llu: %s", name, (unsigned long long)bit, error.text);
    }
    tally->refused++;
}

static struct tally flip_file(struct env_memory *memory, const char *name, uint64_t seq)
{
    struct tally tally = { 0, 0 };
    uint64_t bit_count = env_memory_file(memory, name).size * 8;
    for (uint64_t bit = 0; bit < bit_count; bit += STRIDE) {
        /* A writable open replaces files: look them up anew. */
        char *byte = (char *)(uintptr_t)env_memory_file(memory, name).data + bit / 8;
        *byte = (char)(*byte ^ (1 << bit % 8));
        check_flip(memory, name, bit, seq, &tally);
        *byte = (char)(*byte ^ (1 << bit % 8));
    }
    CHECK_EQ_UINT(tally.refused + tally.reported, (bit_count + STRIDE - 1) / STRIDE);
    return tally;
}

static struct journal *open_sized(struct env_memory *memory, uint64_t segment_size)
{
    struct recovered recovered = { .refuse = TENURE_OK };
    struct journal_report report;
    struct tenure_error error = { .text = "" };
    struct journal *journal = NULL;
    options = fixture_options(".");
    options.segment_size = segment_size;
    enum tenure_err err =
        fixture_open(env_memory_env(memory), &options, &journal, &recovered, &report, &error);
    if (err != TENURE_OK) FAIL("open: %s", error.text);
    return journal;
}

TEST_WITHIN(120, flip_every_bit_of_a_marked_journal_of_64_kib)
{
    struct env_memory *memory = env_memory_create();
    struct journal *journal = open_sized(memory, 65536);
    struct tenure_error error;
    uint64_t seq = 1;
    for (; seq <= 500; seq += 10)
        fixture_must_commit(journal, seq, 10, 101);
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    journal_destroy(&journal);
    options.is_read_only = true;
    struct tally tally = flip_file(memory, "segment-0000000000000001", seq - 1);
    /* The batches and the header refuse; the mark and the zeros behind it report. */
    CHECK_LT_UINT(50000 * 8 / STRIDE, tally.refused);
    CHECK_LT_UINT(56 * 8 / STRIDE, tally.reported);
    tally = flip_file(memory, "identity", seq - 1);
    CHECK_EQ_UINT(tally.reported, 0);
    env_memory_destroy(&memory);
}

TEST_WITHIN(120, flip_every_bit_after_a_restart)
{
    struct env_memory *memory = env_memory_create();
    struct journal *journal = open_sized(memory, 8192);
    uint64_t seq = 1;
    for (; seq <= 200; seq += 5)
        fixture_must_commit(journal, seq, 5, 101);
    journal_destroy(&journal);
    journal = open_sized(memory, 8192);
    journal_destroy(&journal);
    options.is_read_only = true;
    CHECK_LE_UINT(3, fixture_count_files(memory, "segment-"));
    struct tally all = { 0, 0 };
    for (size_t i = 0; env_memory_name(memory, i) != NULL; i++) {
        const char *name = env_memory_name(memory, i);
        if (strncmp(name, "segment-", 8) != 0) continue;
        struct tally tally = flip_file(memory, name, seq - 1);
        all.refused += tally.refused;
        all.reported += tally.reported;
    }
    CHECK_LT_UINT(20000 * 8 / STRIDE, all.refused);
    env_memory_destroy(&memory);
}

TEST_WITHIN(120, flip_every_bit_of_two_snapshots)
{
    struct env_memory *memory = env_memory_create();
    struct journal *journal = open_sized(memory, 8192);
    struct tenure_error error;
    uint64_t seq = 1;
    for (; seq <= 100; seq += 5)
        fixture_must_commit(journal, seq, 5, 101);
    CHECK_EQ_INT(fixture_snapshot(journal, 60, 4, 300, &error), TENURE_OK);
    CHECK_EQ_INT(fixture_snapshot(journal, 90, 4, 300, &error), TENURE_OK);
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    journal_destroy(&journal);
    options.is_read_only = true;
    struct tally tally = flip_file(memory, "snapshot-000000000000005a", seq - 1);
    CHECK_EQ_UINT(tally.refused, 0);
    tally = flip_file(memory, "snapshot-000000000000003c", seq - 1);
    CHECK_EQ_UINT(tally.refused, 0);
    env_memory_destroy(&memory);
}

/* The same judgement when the journal is opened for writing, and what is left behind is sound. */
TEST_WITHIN(120, flip_and_open_for_writing)
{
    struct env_memory *sound = env_memory_create();
    struct journal *journal = open_sized(sound, 8192);
    struct tenure_error error;
    uint64_t seq = 1;
    for (; seq <= 60; seq += 5)
        fixture_must_commit(journal, seq, 5, 101);
    CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
    journal_destroy(&journal);
    static const char name[] = "segment-0000000000000001";
    for (uint64_t bit = 0; bit < 65536; bit += 7 * STRIDE) {
        struct env_memory *memory = env_memory_copy(sound);
        char *byte = (char *)(uintptr_t)env_memory_file(memory, name).data + bit / 8;
        *byte = (char)(*byte ^ (1 << bit % 8));
        struct tally tally = { 0, 0 };
        check_flip(memory, name, bit, seq - 1, &tally);
        if (tally.reported == 1) {
            journal = open_sized(memory, 8192);
            fixture_must_commit(journal, seq, 1, 8);
            journal_destroy(&journal);
        } else {
            /* Nothing was changed: without the flip all is as before. */
            byte = (char *)(uintptr_t)env_memory_file(memory, name).data + bit / 8;
            *byte = (char)(*byte ^ (1 << bit % 8));
            CHECK_EQ_BYTES(env_memory_file(memory, name), env_memory_file(sound, name));
            journal = open_sized(memory, 8192);
            journal_destroy(&journal);
        }
        env_memory_destroy(&memory);
    }
    env_memory_destroy(&sound);
}
