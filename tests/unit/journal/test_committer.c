/* The two threads on a real disk. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "journal/committer.h"
#include "lib/random.h"

static char path[] = "/tmp/tenure-test-journal-XXXXXX";
static struct recovered recovered;
static struct journal_report report;
static struct tenure_error error;

/* A condition that the threads' notify raises. */
static pthread_mutex_t bell_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell_rung = PTHREAD_COND_INITIALIZER;
static unsigned bell_count;

static void ring(void *user)
{
    (void)user;
    (void)pthread_mutex_lock(&bell_lock);
    bell_count++;
    (void)pthread_cond_broadcast(&bell_rung);
    (void)pthread_mutex_unlock(&bell_lock);
}

static void wait_for_bell(unsigned seen)
{
    (void)pthread_mutex_lock(&bell_lock);
    while (bell_count == seen) {
        (void)pthread_cond_wait(&bell_rung, &bell_lock);
    }
    (void)pthread_mutex_unlock(&bell_lock);
}

static unsigned bell_seen(void)
{
    (void)pthread_mutex_lock(&bell_lock);
    unsigned count = bell_count;
    (void)pthread_mutex_unlock(&bell_lock);
    return count;
}

static void make_directory(void)
{
    CHECK(mkdtemp(path) != NULL);
}

static void remove_directory(void)
{
    DIR *stream = opendir(path);
    CHECK(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        (void)unlinkat(dirfd(stream), entry->d_name, 0);
    }
    (void)closedir(stream);
    CHECK_EQ_INT(rmdir(path), 0);
}

static struct journal *open_journal(const struct env *env)
{
    struct journal_options options = fixture_options(path);
    options.segment_size = 65536;
    struct journal *journal = NULL;
    recovered = (struct recovered){ .refuse = TENURE_OK };
    enum tenure_err err = fixture_open(env, &options, &journal, &recovered, &report, &error);
    if (err != TENURE_OK) FAIL("open: %s", error.text);
    return journal;
}

static void add_records(struct buffer *buffer, uint64_t first, uint32_t count)
{
    for (uint64_t seq = first; seq < first + count; seq++) {
        char record[48] = { 0 };
        memcpy(record, &seq, sizeof(seq));
        buffer_append(buffer, record, sizeof(record));
    }
    CHECK(!buffer->is_failed);
}

static void wait_durable(struct committer *committer, uint64_t seq)
{
    for (;;) {
        unsigned seen = bell_seen();
        struct seq durable = committer_durable(committer);
        if (durable.value >= seq) return;
        if (committer_arm(committer, durable, committer_state(committer))) wait_for_bell(seen);
    }
}

TEST(committer_makes_what_is_offered_durable)
{
    make_directory();
    struct journal *journal = open_journal(&env_posix);
    struct housekeeper_options keeping = { .queue_size_max = 65536, .notify = ring };
    struct housekeeper *housekeeper = NULL;
    CHECK_EQ_INT(housekeeper_start(journal, &keeping, &housekeeper, &error), TENURE_OK);
    struct committer_options options = {
        .mark_idle_ms = 20,
        .backlog_size_max = COMMITTER_BACKLOG_SIZE_DEFAULT,
        .housekeeper = housekeeper,
        .notify = ring,
    };
    struct committer *committer = NULL;
    CHECK_EQ_INT(committer_start(journal, &options, &committer, &error), TENURE_OK);

    struct test_random random = { 7 };
    struct buffer records;
    buffer_init(&records, &memory_heap);
    uint64_t next = 1;
    for (int turn = 0; turn < 2000; turn++) {
        uint32_t count = (uint32_t)test_random_below(&random, 20) + 1;
        add_records(&records, next, count);
        CHECK(committer_offer(committer, &records, count, (struct seq){ next }));
        CHECK_EQ_UINT(records.size, 0);
        next += count;
        if (turn % 10 == 0) wait_durable(committer, next - 1);
    }
    wait_durable(committer, next - 1);
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_OK);
    CHECK(committer == NULL);
    housekeeper_stop(&housekeeper);
    journal_destroy(&journal);

    journal = open_journal(&env_posix);
    CHECK_EQ_UINT(report.seq.value, next - 1);
    CHECK_LT_UINT(10, report.segment_count);
    CHECK_LT_UINT(report.batch_count, 2001);
    CHECK_EQ_TEXT(report.text, "");
    journal_destroy(&journal);
    buffer_deinit(&records);
    remove_directory();
}

/* One at a time, every notify answers an arm, with and without spinning. */
static void run_serially(uint32_t spin_us)
{
    make_directory();
    struct journal *journal = open_journal(&env_posix);
    struct committer_options options = {
        .spin_us = spin_us,
        .mark_idle_ms = 1000,
        .backlog_size_max = 1 << 20,
        .notify = ring,
    };
    struct committer *committer = NULL;
    CHECK_EQ_INT(committer_start(journal, &options, &committer, &error), TENURE_OK);
    struct buffer records;
    buffer_init(&records, &memory_heap);
    for (uint64_t seq = 1; seq <= 300; seq++) {
        add_records(&records, seq, 1);
        CHECK(committer_offer(committer, &records, 1, (struct seq){ seq }));
        wait_durable(committer, seq);
    }
    CHECK_EQ_UINT(journal_status(journal).commit_count, 300);
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_OK);
    journal_destroy(&journal);
    buffer_deinit(&records);
    remove_directory();
}

TEST(committer_serves_one_at_a_time)
{
    run_serially(0);
}

TEST(committer_serves_one_at_a_time_spinning)
{
    run_serially(50);
}

TEST(committer_stops_without_work)
{
    make_directory();
    struct journal *journal = open_journal(&env_posix);
    struct committer_options options = { .mark_idle_ms = 1, .notify = ring };
    struct committer *committer = NULL;
    CHECK_EQ_INT(committer_start(journal, &options, &committer, &error), TENURE_OK);
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_OK);
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_OK);
    journal_destroy(&journal);
    remove_directory();
}

/* A disk that can be switched to full or broken while it is used. */
enum fault { FAULT_NONE, FAULT_FULL, FAULT_BROKEN };
static _Atomic int fault;

static int64_t
faulty_pwrite(void *context, int file, const void *data, size_t size, uint64_t offset)
{
    if (atomic_load(&fault) == FAULT_FULL) return -28; /* ENOSPC */
    return env_posix.pwrite(context, file, data, size, offset);
}

static int faulty_fdatasync(void *context, int file)
{
    if (atomic_load(&fault) == FAULT_BROKEN) return -5; /* EIO */
    return env_posix.fdatasync(context, file);
}

static struct env faulty_env(void)
{
    struct env env = env_posix;
    env.pwrite = faulty_pwrite;
    env.fdatasync = faulty_fdatasync;
    return env;
}

static void wait_state(struct committer *committer, enum committer_state state)
{
    for (;;) {
        unsigned seen = bell_seen();
        struct seq durable = committer_durable(committer);
        enum committer_state now = committer_state(committer);
        if (now == state) return;
        if (committer_arm(committer, durable, now)) wait_for_bell(seen);
    }
}

TEST(committer_waits_for_room_and_goes_on_by_itself)
{
    make_directory();
    struct env env = faulty_env();
    struct journal *journal = open_journal(&env);
    struct committer_options options = {
        .mark_idle_ms = 1000,
        .backlog_size_max = 4096,
        .notify = ring,
    };
    struct committer *committer = NULL;
    CHECK_EQ_INT(committer_start(journal, &options, &committer, &error), TENURE_OK);
    struct buffer records;
    buffer_init(&records, &memory_heap);

    atomic_store(&fault, FAULT_FULL);
    add_records(&records, 1, 5);
    CHECK(committer_offer(committer, &records, 5, (struct seq){ 1 }));
    wait_state(committer, COMMITTER_NO_SPACE);
    committer_error(committer, &error);
    CHECK_EQ_INT(error.code, TENURE_NO_SPACE);
    CHECK_EQ_UINT(committer_durable(committer).value, 0);

    /* What comes meanwhile waits, up to the limit. */
    uint64_t next = 6;
    add_records(&records, next, 1);
    while (committer_offer(committer, &records, 1, (struct seq){ next })) {
        add_records(&records, ++next, 1);
    }
    CHECK_EQ_UINT(records.size, 48);
    CHECK_LE_UINT((next - 6) * 48, 4096);

    atomic_store(&fault, FAULT_NONE);
    wait_durable(committer, next - 1);
    wait_state(committer, COMMITTER_RUNNING);
    CHECK(committer_offer(committer, &records, 1, (struct seq){ next }));
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_OK);
    journal_destroy(&journal);
    journal = open_journal(&env);
    CHECK_EQ_UINT(report.seq.value, next);
    journal_destroy(&journal);
    buffer_deinit(&records);
    remove_directory();
}

static atomic_bool is_memory_short;

static void *short_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void)context;
    if (new_size > old_size && atomic_load(&is_memory_short)) return NULL;
    return memory_heap.resize(memory_heap.context, old, old_size, new_size);
}

/* No memory is no full disk, and passes as well. */
TEST(committer_tells_a_lack_of_memory_from_a_lack_of_room)
{
    make_directory();
    struct env env = faulty_env();
    const struct memory memory = { short_resize, NULL };
    struct journal_options journal_options = fixture_options(path);
    journal_options.segment_size = 65536;
    journal_options.memory = &memory;
    struct journal *journal = NULL;
    CHECK_EQ_INT(journal_open(&journal_options, &env, NULL, &journal, &report, &error), TENURE_OK);
    struct committer_options options = { .backlog_size_max = 65536, .notify = ring };
    struct committer *committer = NULL;
    CHECK_EQ_INT(committer_start(journal, &options, &committer, &error), TENURE_OK);
    struct buffer records;
    buffer_init(&records, &memory_heap);
    atomic_store(&is_memory_short, true);
    add_records(&records, 1, 500);
    CHECK(committer_offer(committer, &records, 500, (struct seq){ 1 }));
    wait_state(committer, COMMITTER_NO_SPACE);
    committer_error(committer, &error);
    CHECK_EQ_INT(error.code, TENURE_NO_MEMORY);
    atomic_store(&is_memory_short, false);
    wait_durable(committer, 500);
    wait_state(committer, COMMITTER_RUNNING);
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_OK);
    journal_destroy(&journal);
    buffer_deinit(&records);
    remove_directory();
}

TEST(committer_does_not_hang_on_a_full_disk_when_stopped)
{
    make_directory();
    struct env env = faulty_env();
    struct journal *journal = open_journal(&env);
    struct committer_options options = { .backlog_size_max = 4096, .notify = ring };
    struct committer *committer = NULL;
    CHECK_EQ_INT(committer_start(journal, &options, &committer, &error), TENURE_OK);
    struct buffer records;
    buffer_init(&records, &memory_heap);
    atomic_store(&fault, FAULT_FULL);
    add_records(&records, 1, 5);
    CHECK(committer_offer(committer, &records, 5, (struct seq){ 1 }));
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_NO_SPACE);
    journal_destroy(&journal);
    buffer_deinit(&records);
    remove_directory();
}

TEST(committer_never_goes_on_after_a_failed_sync)
{
    make_directory();
    struct env env = faulty_env();
    struct journal *journal = open_journal(&env);
    struct committer_options options = { .backlog_size_max = 4096, .notify = ring };
    struct committer *committer = NULL;
    CHECK_EQ_INT(committer_start(journal, &options, &committer, &error), TENURE_OK);
    struct buffer records;
    buffer_init(&records, &memory_heap);
    add_records(&records, 1, 5);
    CHECK(committer_offer(committer, &records, 5, (struct seq){ 1 }));
    wait_durable(committer, 5);
    atomic_store(&fault, FAULT_BROKEN);
    add_records(&records, 6, 1);
    CHECK(committer_offer(committer, &records, 1, (struct seq){ 6 }));
    wait_state(committer, COMMITTER_FAILED);
    atomic_store(&fault, FAULT_NONE);
    add_records(&records, 7, 1);
    CHECK(!committer_offer(committer, &records, 1, (struct seq){ 7 }));
    CHECK_EQ_UINT(committer_durable(committer).value, 5);
    CHECK_EQ_INT(committer_stop(&committer, &error), TENURE_IO);
    CHECK(journal_status(journal).is_failed);
    CHECK_EQ_INT(fixture_commit(journal, 6, 1, 8, &error), TENURE_IO);
    journal_destroy(&journal);
    buffer_deinit(&records);
    remove_directory();
}

static enum housekeeper_snapshot
write_snapshot(struct housekeeper *housekeeper, uint64_t seq, unsigned chunk_count)
{
    char chunk[1000];
    housekeeper_snapshot_begin(housekeeper, (struct seq){ seq });
    for (unsigned k = 0; k < chunk_count; k++) {
        for (size_t i = 0; i < sizeof(chunk); i++) {
            chunk[i] = (char)(k + i);
        }
        for (;;) {
            unsigned seen = bell_seen();
            struct bytes bytes = { chunk, sizeof(chunk) };
            if (housekeeper_snapshot_append(housekeeper, bytes)) break;
            wait_for_bell(seen);
        }
    }
    housekeeper_snapshot_finish(housekeeper);
    for (;;) {
        unsigned seen = bell_seen();
        enum housekeeper_snapshot state = housekeeper_snapshot_state(housekeeper, &error);
        if (state != HOUSEKEEPER_SNAPSHOT_RUNNING) return state;
        wait_for_bell(seen);
    }
}

TEST(housekeeper_writes_snapshots_and_makes_spares)
{
    make_directory();
    struct env env = faulty_env();
    struct journal *journal = open_journal(&env);
    struct housekeeper_options keeping = { .queue_size_max = 10000, .notify = ring };
    struct housekeeper *housekeeper = NULL;
    CHECK_EQ_INT(housekeeper_start(journal, &keeping, &housekeeper, &error), TENURE_OK);
    for (uint64_t seq = 1; seq <= 3000; seq++) {
        fixture_must_commit(journal, seq, 1, 100);
    }
    CHECK_EQ_INT(write_snapshot(housekeeper, 1000, 300), HOUSEKEEPER_SNAPSHOT_DONE);
    CHECK_EQ_INT(write_snapshot(housekeeper, 2000, 300), HOUSEKEEPER_SNAPSHOT_DONE);

    atomic_store(&fault, FAULT_FULL);
    CHECK_EQ_INT(write_snapshot(housekeeper, 2500, 300), HOUSEKEEPER_SNAPSHOT_FAILED);
    CHECK_EQ_INT(error.code, TENURE_NO_SPACE);
    atomic_store(&fault, FAULT_NONE);
    housekeeper_poke(housekeeper);
    for (unsigned seen = bell_seen(); journal_wants_spare(journal); seen = bell_seen()) {
        wait_for_bell(seen);
    }
    /* One that is left unfinished. */
    housekeeper_snapshot_begin(housekeeper, (struct seq){ 2600 });
    housekeeper_stop(&housekeeper);
    journal_destroy(&journal);

    journal = open_journal(&env);
    CHECK_EQ_UINT(recovered.snapshot_seq, 2000);
    CHECK_EQ_UINT(recovered.chunk_count, 300);
    CHECK_EQ_UINT(report.seq.value, 3000);
    CHECK(!report.is_snapshot_skipped);
    CHECK_EQ_TEXT(report.text, "");
    journal_destroy(&journal);
    remove_directory();
}

/* The snapshot's seq is not durable yet when the last chunk arrives. */
TEST(housekeeper_waits_for_the_journal)
{
    make_directory();
    struct journal *journal = open_journal(&env_posix);
    struct housekeeper_options keeping = { .queue_size_max = 10000, .notify = ring };
    struct housekeeper *housekeeper = NULL;
    CHECK_EQ_INT(housekeeper_start(journal, &keeping, &housekeeper, &error), TENURE_OK);
    housekeeper_snapshot_begin(housekeeper, (struct seq){ 1 });
    CHECK(housekeeper_snapshot_append(housekeeper, BYTES_LITERAL("\0\1")));
    housekeeper_snapshot_finish(housekeeper);
    struct timespec pause = { 0, 50000000 };
    (void)nanosleep(&pause, NULL);
    CHECK_EQ_INT(housekeeper_snapshot_state(housekeeper, &error), HOUSEKEEPER_SNAPSHOT_RUNNING);
    fixture_must_commit(journal, 1, 1, 8);
    unsigned seen = bell_seen();
    while (housekeeper_snapshot_state(housekeeper, &error) == HOUSEKEEPER_SNAPSHOT_RUNNING) {
        wait_for_bell(seen);
        seen = bell_seen();
    }
    CHECK_EQ_INT(housekeeper_snapshot_state(housekeeper, &error), HOUSEKEEPER_SNAPSHOT_DONE);
    housekeeper_stop(&housekeeper);
    journal_destroy(&journal);
    remove_directory();
}

/* The first one soon; a period of 0 is never. */
static struct housekeeper *start_scrubbing(struct journal *journal, int64_t period_ms)
{
    struct housekeeper_options keeping = {
        .queue_size_max = 10000,
        .scrub_first_ms = 1,
        .scrub_period_ms = period_ms,
        .notify = ring,
    };
    struct housekeeper *housekeeper = NULL;
    CHECK_EQ_INT(housekeeper_start(journal, &keeping, &housekeeper, &error), TENURE_OK);
    return housekeeper;
}

/* Four segments of a few large batches: a sync of the disk can take long. */
#define FILLED_SEQ 24

static void fill_segments(struct journal *journal)
{
    for (uint64_t seq = 1; seq <= FILLED_SEQ; seq++) {
        fixture_must_commit(journal, seq, 1, 10000);
    }
}

static void wait_scrubs(struct housekeeper *housekeeper, uint64_t count)
{
    for (;;) {
        unsigned seen = bell_seen();
        if (housekeeper_scrub_count(housekeeper) >= count) return;
        wait_for_bell(seen);
    }
}

static void damage_file(const char *name, off_t offset)
{
    char full[200];
    (void)snprintf(full, sizeof(full), "%s/%s", path, name);
    int file = open(full, O_RDWR | O_CLOEXEC);
    CHECK(file >= 0);
    char byte;
    CHECK_EQ_INT(pread(file, &byte, 1, offset), 1);
    byte = (char)(byte ^ 16);
    CHECK_EQ_INT(pwrite(file, &byte, 1, offset), 1);
    (void)close(file);
}

TEST(housekeeper_scrubs_again_and_again)
{
    make_directory();
    struct journal *journal = open_journal(&env_posix);
    struct housekeeper *housekeeper = start_scrubbing(journal, 1);
    fill_segments(journal);
    wait_scrubs(housekeeper, housekeeper_scrub_count(housekeeper) + 3);
    CHECK_LT_UINT(65536, journal_status(journal).scrubbed_bytes);
    CHECK(!housekeeper_take_damage(housekeeper, &error));

    damage_file("segment-0000000000000001", 5000);
    uint64_t count;
    for (;;) {
        unsigned seen = bell_seen();
        count = housekeeper_scrub_count(housekeeper);
        if (housekeeper_take_damage(housekeeper, &error)) break;
        wait_for_bell(seen);
    }
    CHECK_EQ_INT(error.code, TENURE_CORRUPT);
    CHECK(strstr(error.text, "segment-0000000000000001: damaged at offset") != NULL);
    wait_scrubs(housekeeper, count + 1);
    housekeeper_stop(&housekeeper);
    journal_destroy(&journal);
    remove_directory();
}

/* The answer to damage is for the loop to give; nothing is read before it was asked for. */
TEST(housekeeper_waits_until_damage_was_told)
{
    make_directory();
    struct journal *journal = open_journal(&env_posix);
    fill_segments(journal);
    damage_file("segment-0000000000000001", 5000);
    damage_file("segment-0000000000000002", 5000);
    struct housekeeper *housekeeper = start_scrubbing(journal, 3600000);
    for (unsigned number = 1; number <= 2; number++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "segment-%016x", number);
        for (;;) {
            unsigned seen = bell_seen();
            CHECK_EQ_UINT(housekeeper_scrub_count(housekeeper), 0);
            if (housekeeper_take_damage(housekeeper, &error)) break;
            wait_for_bell(seen);
        }
        CHECK(strncmp(error.text, name, strlen(name)) == 0);
    }
    wait_scrubs(housekeeper, 1);
    CHECK(!housekeeper_take_damage(housekeeper, &error));
    housekeeper_stop(&housekeeper);
    journal_destroy(&journal);
    remove_directory();
}

/* Snapshots come first, and a stop does not wait for a scrub. */
TEST(housekeeper_scrubs_only_when_nothing_else_is_to_do)
{
    make_directory();
    struct journal *journal = open_journal(&env_posix);
    fill_segments(journal);
    struct housekeeper *housekeeper = start_scrubbing(journal, 1);
    wait_scrubs(housekeeper, 1);
    housekeeper_snapshot_begin(housekeeper, (struct seq){ FILLED_SEQ });
    struct timespec pause = { 0, 150000000 };
    (void)nanosleep(&pause, NULL); /* a piece may have been under way */
    uint64_t before = journal_status(journal).scrubbed_bytes;
    (void)nanosleep(&pause, NULL);
    CHECK_EQ_UINT(journal_status(journal).scrubbed_bytes, before);
    uint64_t count = housekeeper_scrub_count(housekeeper);
    CHECK(housekeeper_snapshot_append(housekeeper, BYTES_LITERAL("\0\1")));
    housekeeper_snapshot_finish(housekeeper);
    wait_scrubs(housekeeper, count + 2);
    CHECK_EQ_INT(housekeeper_snapshot_state(housekeeper, &error), HOUSEKEEPER_SNAPSHOT_DONE);
    housekeeper_stop(&housekeeper);

    before = journal_status(journal).scrubbed_bytes;
    housekeeper = start_scrubbing(journal, 0);
    (void)nanosleep(&pause, NULL);
    CHECK_EQ_UINT(journal_status(journal).scrubbed_bytes, before);
    housekeeper_stop(&housekeeper);
    journal_destroy(&journal);
    remove_directory();
}
