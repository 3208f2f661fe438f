/* Snapshots from the loop's side: without memory for one, locks go on without it. */
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fault_memory.h"
#include "lib/test.h"
#include "server/embedded.h"
#include "server/restore.h"
#include "server/server.h"

#define SNAPSHOT_BYTES 100u
#define GRANT_COUNT    40u

static char path[] = "/tmp/tenure-test-snapshot-XXXXXX";
static struct config config;
static struct server server;
static struct embedded embedded;
static uint64_t next_seq = 1;

/* A bell that the housekeeper rings. */
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

/* One grant in the journal; the engine hears of it only while it is restored. */
static void grant(bool is_restoring)
{
    struct buffer records;
    buffer_init(&records, &memory_heap);
    struct record record = {
        .kind = RECORD_GRANTED,
        .at = { 1000 },
        .name = BYTES_LITERAL("name"),
        .owner = BYTES_LITERAL("owner"),
        .token = { next_seq },
        .slots = 1,
        .ttl_ms = 1000,
    };
    char name[16];
    record.name.size = (size_t)snprintf(name, sizeof(name), "n%u", (unsigned)next_seq);
    record.name.data = name;
    record_encode(&records, &record);
    struct tenure_error error = { .text = "" };
    struct journal_batch batch = { { next_seq }, 1, buffer_bytes(&records) };
    if (is_restoring) {
        CHECK_EQ_INT(engine_restore_batch(server.engine, batch.first, 1, batch.records), TENURE_OK);
    }
    CHECK_EQ_INT(journal_commit(embedded.journal, &batch, &error), TENURE_OK);
    buffer_deinit(&records);
    next_seq++;
}

static void start(void)
{
    static char *const argv[] = { (char *)(uintptr_t) "tenured", NULL };
    char *no_environment[] = { NULL };
    struct tenure_error error = { .text = "" };
    bool is_usage;
    CHECK(mkdtemp(path) != NULL);
    CHECK_EQ_INT(config_read(1, argv, no_environment, &config, &is_usage, &error), TENURE_OK);
    config.snapshot_bytes = SNAPSHOT_BYTES;
    server = (struct server){ .config = &config, .embedded = &embedded, .now = { NS_PER_S } };
    server.engine = restore_engine(&config);
    CHECK(server.engine != NULL);
    struct journal_options options = { path, JOURNAL_SEGMENT_SIZE_MIN, 2, false, NULL };
    struct journal_report report;
    CHECK_EQ_INT(
        journal_open(&options, &env_posix, NULL, &embedded.journal, &report, &error), TENURE_OK);
    struct housekeeper_options keeping = {
        .queue_size_max = HOUSEKEEPER_QUEUE_SIZE_DEFAULT,
        .notify = ring,
    };
    CHECK_EQ_INT(
        housekeeper_start(embedded.journal, &keeping, &embedded.housekeeper, &error), TENURE_OK);
    snapshot_init(&server);
    for (unsigned i = 0; i < GRANT_COUNT; i++) {
        grant(true);
    }
    struct engine_event ready = { .kind = ENGINE_READY, .now = server.now, .wall = { 2000 } };
    struct engine_update update;
    CHECK_EQ_INT(engine_step(server.engine, &ready, &update), TENURE_OK);
}

static void stop(void)
{
    snapshot_deinit(&server);
    housekeeper_stop(&embedded.housekeeper);
    journal_destroy(&embedded.journal);
    engine_destroy(&server.engine);
    config_deinit(&config);
    DIR *stream = opendir(path);
    CHECK(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        (void)unlinkat(dirfd(stream), entry->d_name, 0);
    }
    (void)closedir(stream);
    CHECK_EQ_INT(rmdir(path), 0);
}

/* Turns, until nothing is under way. */
static void advance(void)
{
    for (;;) {
        (void)pthread_mutex_lock(&bell_lock);
        unsigned seen = bell_count;
        (void)pthread_mutex_unlock(&bell_lock);
        while (snapshot_advance(&server)) {
        }
        if (embedded.snapshot.phase == SNAPSHOT_IDLE) return;
        bool is_over =
            embedded.snapshot.phase == SNAPSHOT_FINISHING &&
            housekeeper_snapshot_state(embedded.housekeeper, NULL) != HOUSEKEEPER_SNAPSHOT_RUNNING;
        if (is_over) continue;
        (void)pthread_mutex_lock(&bell_lock);
        while (bell_count == seen) {
            (void)pthread_cond_wait(&bell_rung, &bell_lock);
        }
        (void)pthread_mutex_unlock(&bell_lock);
    }
}

TEST(a_snapshot_without_memory_is_given_up_and_tried_again_later)
{
    start();
    snapshot_consider(&server);
    CHECK_EQ_INT(embedded.snapshot.phase, SNAPSHOT_WRITING);
    struct fault_memory fault;
    fault_memory_init(&fault, 1);
    embedded.snapshot.chunk.memory = &fault.memory;
    CHECK(!snapshot_advance(&server));
    CHECK(fault.has_failed);
    CHECK_EQ_INT(embedded.snapshot.phase, SNAPSHOT_FINISHING);
    advance();
    CHECK_EQ_UINT(server.metrics.snapshot_count, 0);
    CHECK_EQ_INT(
        housekeeper_snapshot_state(embedded.housekeeper, NULL), HOUSEKEEPER_SNAPSHOT_FAILED);

    /* Not at once, but when the journal has grown by half as much again. */
    snapshot_consider(&server);
    CHECK_EQ_INT(embedded.snapshot.phase, SNAPSHOT_IDLE);
    grant(false);
    snapshot_consider(&server);
    CHECK_EQ_INT(embedded.snapshot.phase, SNAPSHOT_WRITING);
    advance();
    CHECK_EQ_UINT(server.metrics.snapshot_count, 1);
    CHECK_LT_UINT(0, journal_status(embedded.journal).snapshot_size);
    fault_memory_check_empty(&fault);
    stop();
}

/* The same for one that damage asks for: a minute later. */
TEST(a_snapshot_that_is_due_by_damage_is_tried_again_after_a_while)
{
    start();
    config.snapshot_bytes = 1u << 30;
    snapshot_force(&server);
    snapshot_consider(&server);
    CHECK_EQ_INT(embedded.snapshot.phase, SNAPSHOT_WRITING);
    struct fault_memory fault;
    fault_memory_init(&fault, 1);
    embedded.snapshot.chunk.memory = &fault.memory;
    advance();
    CHECK_EQ_UINT(server.metrics.snapshot_count, 0);
    snapshot_consider(&server);
    CHECK_EQ_INT(embedded.snapshot.phase, SNAPSHOT_IDLE);
    server.now.ns += 61 * NS_PER_S;
    snapshot_consider(&server);
    CHECK_EQ_INT(embedded.snapshot.phase, SNAPSHOT_WRITING);
    advance();
    CHECK_EQ_UINT(server.metrics.snapshot_count, 1);
    fault_memory_check_empty(&fault);
    stop();
}
