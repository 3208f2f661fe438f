/* The n-th call to the system fails, for n = 1, 2, 3 … until the workload passes untouched: no
 * acknowledged batch is lost, no batch appears that nobody tried to write, nothing leaks, and the
 * next start needs no help. */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "fault_env.h"
#include "fixture.h"
#include "lib/fault_memory.h"

static const char *path = ".";

/* What the workload has seen. */
struct progress {
    uint64_t acknowledged;
    uint64_t attempted;
    bool is_complete; /* nothing was refused */
};

static struct journal *
open_or_null(const struct env *env, struct recovered *recovered, struct tenure_error *error)
{
    struct journal_options options = fixture_options(path);
    struct journal *journal = NULL;
    struct journal_report report;
    *recovered = (struct recovered){ .refuse = TENURE_OK };
    return fixture_open(env, &options, &journal, recovered, &report, error) == TENURE_OK ? journal
                                                                                         : NULL;
}

/* As the server would: a full disk is tried again, any other failure ends the process. */
static bool commit(struct journal *journal, struct progress *progress, uint32_t count, size_t size)
{
    struct tenure_error error = { .text = "" };
    uint64_t first = progress->acknowledged + 1;
    progress->attempted = first + count - 1;
    for (int attempt = 0; attempt < 2; attempt++) {
        enum tenure_err err = fixture_commit(journal, first, count, size, &error);
        if (err == TENURE_OK) {
            progress->acknowledged = progress->attempted;
            return true;
        }
        progress->is_complete = false;
        if (err != TENURE_NO_SPACE) {
            CHECK_EQ_INT(err, TENURE_IO);
            CHECK(journal_status(journal).is_failed);
            CHECK_EQ_INT(fixture_commit(journal, first, count, size, &error), TENURE_IO);
            return false;
        }
    }
    return false;
}

static bool work(struct journal *journal, struct progress *progress)
{
    struct tenure_error error = { .text = "" };
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 6; i++) {
            if (!commit(journal, progress, i + 1, 200 + 30 * i)) return false;
        }
        if (journal_mark(journal, &error) != TENURE_OK) progress->is_complete = false;
        uint64_t seq = progress->acknowledged - 2;
        enum tenure_err err = fixture_snapshot(journal, seq, 4, 500, &error);
        if (err != TENURE_OK) progress->is_complete = false;
        if (err == TENURE_UNAVAILABLE) FAIL("the snapshot's seq was durable");
        bool is_done = false;
        while (!is_done) {
            if (journal_prepare(journal, &is_done, &error) == TENURE_OK) continue;
            progress->is_complete = false;
            break;
        }
    }
    return commit(journal, progress, 40, 300);
}

static void run_process(const struct env *env, struct progress *progress)
{
    struct recovered recovered;
    struct tenure_error error = { .text = "" };
    struct journal *journal = open_or_null(env, &recovered, &error);
    if (journal == NULL) {
        progress->is_complete = false;
        CHECK(error.text[0] != '\0');
        CHECK_NE_INT(error.code, TENURE_CORRUPT);
        return;
    }
    CHECK_LE_UINT(progress->acknowledged, recovered.seq_last);
    CHECK_LE_UINT(recovered.seq_last, progress->attempted);
    progress->acknowledged = recovered.seq_last;
    (void)work(journal, progress);
    journal_destroy(&journal);
}

/* Nothing fails now: everything acknowledged is there. */
static void check_recovery(const struct env *env, struct progress *progress)
{
    struct recovered recovered;
    struct tenure_error error = { .text = "" };
    struct journal *journal = open_or_null(env, &recovered, &error);
    if (journal == NULL) FAIL("the next start: %s", error.text);
    CHECK_LE_UINT(progress->acknowledged, recovered.seq_last);
    CHECK_LE_UINT(recovered.seq_last, progress->attempted);
    progress->acknowledged = recovered.seq_last;
    CHECK(commit(journal, progress, 1, 8));
    journal_destroy(&journal);
}

/* Returns false when the fault was never reached. */
static bool fail_one(enum fault_kind kind, uint64_t at, bool is_for_ever, bool is_second_start)
{
    test_note(
        "kind %d, call %llu, for ever %d, start %d",
        (int)kind,
        (unsigned long long)at,
        is_for_ever,
        is_second_start);
    struct env_memory *memory = env_memory_create();
    struct fault_env fault;
    fault_env_init(&fault, env_memory_env(memory));
    struct progress progress = { .is_complete = true };
    if (is_second_start) {
        run_process(&fault.env, &progress);
        CHECK(progress.is_complete);
    }
    fault_env_arm(&fault, kind, at, is_for_ever);
    run_process(&fault.env, &progress);
    CHECK_EQ_UINT(env_memory_handle_count(memory), 0);
    bool is_hit = fault.is_hit;
    bool is_reached = fault.call_count >= at;
    if (!is_hit) CHECK(progress.is_complete);
    /* A failed write or sync is never passed over. */
    if (kind == FAULT_KIND_IO && fault.is_hit_hard) CHECK(!progress.is_complete);
    /* Interruptions and short counts are nobody's business but the journal's. */
    bool is_harmless = kind == FAULT_KIND_SHORT || (kind == FAULT_KIND_INTERRUPT && !is_for_ever);
    if (is_harmless) CHECK(progress.is_complete);
    fault_env_arm(&fault, FAULT_KIND_IO, 0, false);
    check_recovery(&fault.env, &progress);
    check_recovery(&fault.env, &progress);
    env_memory_destroy(&memory);
    return is_reached;
}

static void fail_all(enum fault_kind kind, bool is_for_ever)
{
    uint64_t at = 1;
    while (fail_one(kind, at, is_for_ever, false))
        at++;
    CHECK_LT_UINT(100, at);
    at = 1;
    while (fail_one(kind, at, is_for_ever, true))
        at++;
    CHECK_LT_UINT(100, at);
}

TEST(fault_io_once)
{
    fail_all(FAULT_KIND_IO, false);
}

/* The process is gone from this call on. */
TEST(fault_io_for_ever)
{
    fail_all(FAULT_KIND_IO, true);
}

TEST(fault_no_space_once)
{
    fail_all(FAULT_KIND_NO_SPACE, false);
}

TEST(fault_no_space_for_ever)
{
    fail_all(FAULT_KIND_NO_SPACE, true);
}

TEST(fault_interrupted_once)
{
    fail_all(FAULT_KIND_INTERRUPT, false);
}

/* Each call is repeated a thousand times before it counts as failed. */
TEST_WITHIN(120, fault_interrupted_for_ever)
{
    fail_all(FAULT_KIND_INTERRUPT, true);
}

TEST(fault_short_once)
{
    fail_all(FAULT_KIND_SHORT, false);
}

TEST(fault_short_for_ever)
{
    fail_all(FAULT_KIND_SHORT, true);
}

/* Recovery is cut short, and so is the recovery after it, and the one after that. */
TEST_WITHIN(60, fault_recovery_of_recovery)
{
    struct env_memory *used = env_memory_create();
    struct progress used_progress = { .is_complete = true };
    run_process(env_memory_env(used), &used_progress);
    for (uint64_t first = 1;; first++) {
        bool is_passed = false;
        for (uint64_t second = 1;; second++) {
            test_note("calls %d and %d", (int)first, (int)second);
            struct env_memory *memory = env_memory_copy(used);
            struct fault_env fault;
            fault_env_init(&fault, env_memory_env(memory));
            struct recovered recovered;
            struct tenure_error error;
            fault_env_arm(&fault, FAULT_KIND_IO, first, true);
            struct journal *journal = open_or_null(&fault.env, &recovered, &error);
            is_passed = journal != NULL;
            journal_destroy(&journal);
            fault_env_arm(&fault, FAULT_KIND_IO, second, true);
            journal = open_or_null(&fault.env, &recovered, &error);
            bool is_second_passed = journal != NULL;
            journal_destroy(&journal);
            fault_env_arm(&fault, FAULT_KIND_IO, second / 2 + 1, true);
            journal = open_or_null(&fault.env, &recovered, &error);
            journal_destroy(&journal);
            fault_env_arm(&fault, FAULT_KIND_IO, 0, false);
            struct progress progress = used_progress;
            check_recovery(&fault.env, &progress);
            CHECK_EQ_UINT(progress.acknowledged, used_progress.acknowledged + 1);
            env_memory_destroy(&memory);
            if (is_second_passed) break;
        }
        if (is_passed) break;
    }
    env_memory_destroy(&used);
}

/* The n-th allocation fails: refused with that reason, nothing lost, nothing leaked, not final. */
TEST(fault_without_memory)
{
    struct env_memory *used = env_memory_create();
    struct progress used_progress = { .is_complete = true };
    run_process(env_memory_env(used), &used_progress);
    for (uint64_t at = 1;; at++) {
        test_note("allocation %d", (int)at);
        struct env_memory *disk = env_memory_copy(used);
        struct fault_memory fault;
        fault_memory_init(&fault, at);
        struct journal_options options = fixture_options(path);
        options.memory = &fault.memory;
        struct journal *journal = NULL;
        struct journal_report report;
        struct tenure_error error = { .text = "" };
        struct recovered recovered = { .refuse = TENURE_OK };
        enum tenure_err err =
            fixture_open(env_memory_env(disk), &options, &journal, &recovered, &report, &error);
        if (err == TENURE_OK) {
            uint64_t seq = recovered.seq_last + 1;
            err = fixture_commit(journal, seq, 100, 300, &error);
            if (err == TENURE_NO_MEMORY) err = fixture_commit(journal, seq, 100, 300, &error);
            CHECK_EQ_INT(err, TENURE_OK);
            (void)fixture_snapshot(journal, seq, 2, 2000000, &error);
            CHECK(!journal_status(journal).is_failed);
            fixture_must_commit(journal, seq + 100, 1, 8);
        } else {
            CHECK_EQ_INT(err, TENURE_NO_MEMORY);
        }
        journal_destroy(&journal);
        fault_memory_check_empty(&fault);
        struct progress progress = used_progress;
        progress.attempted += 101;
        check_recovery(env_memory_env(disk), &progress);
        env_memory_destroy(&disk);
        if (!fault.has_failed) break;
    }
    env_memory_destroy(&used);
}

/* The same on a real directory, fewer times. */
TEST_WITHIN(120, fault_on_a_real_disk)
{
    for (uint64_t at = 1;; at += 17) {
        test_note("call %d", (int)at);
        char directory[] = "/tmp/tenure-test-fault-XXXXXX";
        CHECK(mkdtemp(directory) != NULL);
        path = directory;
        struct fault_env fault;
        fault_env_init(&fault, &env_posix);
        struct progress progress = { .is_complete = true };
        fault_env_arm(&fault, FAULT_KIND_IO, at, true);
        run_process(&fault.env, &progress);
        bool is_hit = fault.is_hit;
        fault_env_arm(&fault, FAULT_KIND_IO, 0, false);
        check_recovery(&fault.env, &progress);
        DIR *stream = opendir(directory);
        CHECK(stream != NULL);
        for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
        }
        (void)closedir(stream);
        CHECK_EQ_INT(rmdir(directory), 0);
        if (!is_hit) break;
    }
}
