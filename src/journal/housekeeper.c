#include "journal/housekeeper.h"

#include <sys/resource.h>
#include <time.h>

#include "base/buffer.h"
#include "journal/thread.h"

#define NICENESS        15
#define SPARE_RETRY_MS  1000
#define FINISH_RETRY_MS 20

/* 10 MiB a second: a disk is not kept busy by it, and a commit waits for one piece at most. */
#define SCRUB_PIECE_SIZE ((size_t)256 << 10)
#define SCRUB_PAUSE_MS   25
#define SCRUB_RETRY_MS   (INT64_C(10) * 60 * 1000) /* when memory or descriptors were short */

struct housekeeper {
    struct journal *journal;
    struct housekeeper_options options;
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows, up to `writing` */
    pthread_cond_t wake;
    bool is_stopping;
    bool is_poked;
    int64_t spare_retry_ns;  /* 0: none */
    int64_t finish_retry_ns; /* 0: none */
    enum housekeeper_snapshot snapshot;
    struct tenure_error snapshot_error;
    struct seq seq;
    bool is_begin_due;
    bool is_abandoned;   /* by the loop */
    bool is_complete;    /* the last chunk is in the queue */
    struct buffer queue; /* chunks, each behind its size */
    uint64_t scrub_count;
    bool is_damaged; /* and nobody has asked yet */
    struct tenure_error damage;

    /* The thread's own. */
    struct buffer writing;
    bool is_open;           /* the journal has a snapshot under way */
    bool is_scrubbing;      /* … and a scrub */
    int64_t scrub_at_ns;    /* its next piece, or the next scrub; 0: never */
    int64_t scrub_begin_ns; /* of the last one */
};

static void lock(struct housekeeper *housekeeper)
{
    journal_thread_lock(&housekeeper->lock);
}

static void unlock(struct housekeeper *housekeeper)
{
    journal_thread_unlock(&housekeeper->lock);
}

static void wake(struct housekeeper *housekeeper)
{
    (void)pthread_cond_signal(&housekeeper->wake);
}

static void tell(struct housekeeper *housekeeper)
{
    if (housekeeper->options.notify != NULL) housekeeper->options.notify(housekeeper->options.user);
}

/* What the thread does next; decided under the lock, done without it. */
enum chore {
    CHORE_STOP,
    CHORE_SPARE,
    CHORE_ABANDON,
    CHORE_BEGIN,
    CHORE_WRITE,
    CHORE_FINISH,
    CHORE_SCRUB,
};

static bool is_past(int64_t time_ns, int64_t now)
{
    return time_ns != 0 && time_ns <= now;
}

/* When to read the next piece, if nothing else happens; 0: something must happen before. */
static int64_t scrub_time_ns(const struct housekeeper *housekeeper)
{
    bool is_running = housekeeper->snapshot == HOUSEKEEPER_SNAPSHOT_RUNNING;
    return is_running || housekeeper->is_damaged ? 0 : housekeeper->scrub_at_ns;
}

/* Under the lock.  False: nothing to do. */
static bool choose_chore(struct housekeeper *housekeeper, enum chore *out_chore)
{
    int64_t now = journal_thread_now_ns();
    bool is_running = housekeeper->snapshot == HOUSEKEEPER_SNAPSHOT_RUNNING;
    if (housekeeper->is_stopping) {
        *out_chore = CHORE_STOP;
    } else if (housekeeper->is_poked || is_past(housekeeper->spare_retry_ns, now)) {
        housekeeper->is_poked = false;
        housekeeper->spare_retry_ns = 0;
        *out_chore = CHORE_SPARE;
    } else if (is_running && housekeeper->is_abandoned) {
        *out_chore = CHORE_ABANDON;
    } else if (is_running && housekeeper->is_begin_due) {
        housekeeper->is_begin_due = false;
        *out_chore = CHORE_BEGIN;
    } else if (is_running && housekeeper->queue.size > 0) {
        buffer_swap(&housekeeper->queue, &housekeeper->writing);
        *out_chore = CHORE_WRITE;
    } else if (
        is_running && housekeeper->is_complete &&
        (housekeeper->finish_retry_ns == 0 || housekeeper->finish_retry_ns <= now))
    {
        *out_chore = CHORE_FINISH;
    } else if (is_past(scrub_time_ns(housekeeper), now)) {
        *out_chore = CHORE_SCRUB;
    } else {
        return false;
    }
    return true;
}

/* 0 is never. */
static int64_t earlier(int64_t left_ns, int64_t right_ns)
{
    if (left_ns == 0 || right_ns == 0) return left_ns + right_ns;
    return left_ns < right_ns ? left_ns : right_ns;
}

/* Under the lock. */
static void sleep_a_while(struct housekeeper *housekeeper)
{
    int64_t deadline_ns = earlier(housekeeper->spare_retry_ns, housekeeper->finish_retry_ns);
    deadline_ns = earlier(deadline_ns, scrub_time_ns(housekeeper));
    if (deadline_ns == 0) {
        (void)pthread_cond_wait(&housekeeper->wake, &housekeeper->lock);
        return;
    }
    struct timespec deadline = { deadline_ns / NS_PER_S, deadline_ns % NS_PER_S };
    (void)pthread_cond_timedwait(&housekeeper->wake, &housekeeper->lock, &deadline);
}

static enum chore wait_for_chore(struct housekeeper *housekeeper)
{
    enum chore chore;
    lock(housekeeper);
    while (!choose_chore(housekeeper, &chore)) {
        sleep_a_while(housekeeper);
    }
    unlock(housekeeper);
    return chore;
}

/* One spare at a time, so that a snapshot goes on in between. */
static void make_spare(struct housekeeper *housekeeper)
{
    bool is_done = false;
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = journal_prepare(housekeeper->journal, &is_done, &error);
    lock(housekeeper);
    if (err != TENURE_OK) {
        housekeeper->spare_retry_ns = journal_thread_now_ns() + SPARE_RETRY_MS * NS_PER_MS;
    } else if (!is_done) {
        housekeeper->is_poked = true;
    }
    unlock(housekeeper);
    tell(housekeeper);
}

static void
end_snapshot(struct housekeeper *housekeeper, enum tenure_err err, const struct tenure_error *error)
{
    housekeeper->is_open = false;
    lock(housekeeper);
    housekeeper->snapshot =
        err == TENURE_OK ? HOUSEKEEPER_SNAPSHOT_DONE : HOUSEKEEPER_SNAPSHOT_FAILED;
    if (err != TENURE_OK) housekeeper->snapshot_error = *error;
    buffer_reset(&housekeeper->queue);
    unlock(housekeeper);
    tell(housekeeper);
}

static void begin_snapshot(struct housekeeper *housekeeper)
{
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = journal_snapshot_begin(housekeeper->journal, housekeeper->seq, &error);
    housekeeper->is_open = err == TENURE_OK;
    if (err != TENURE_OK) end_snapshot(housekeeper, err, &error);
}

static void abandon_snapshot(struct housekeeper *housekeeper)
{
    static const struct tenure_error error = { .code = TENURE_NO_MEMORY,
                                               .text = "not enough memory" };
    if (housekeeper->is_open) journal_snapshot_abandon(housekeeper->journal);
    end_snapshot(housekeeper, error.code, &error);
}

static void write_chunks(struct housekeeper *housekeeper)
{
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = TENURE_OK;
    const char *at = housekeeper->writing.data;
    const char *end = at + housekeeper->writing.size;
    while (at < end && err == TENURE_OK) {
        uint32_t size;
        memcpy(&size, at, sizeof(size));
        at += sizeof(size);
        err = journal_snapshot_append(housekeeper->journal, (struct bytes){ at, size }, &error);
        at += size;
    }
    buffer_reset(&housekeeper->writing);
    if (err != TENURE_OK) {
        end_snapshot(housekeeper, err, &error);
        return;
    }
    tell(housekeeper);
}

static void finish_snapshot(struct housekeeper *housekeeper)
{
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = journal_snapshot_finish(housekeeper->journal, &error);
    lock(housekeeper);
    bool is_early = err == TENURE_UNAVAILABLE && !journal_status(housekeeper->journal).is_failed;
    housekeeper->finish_retry_ns =
        is_early ? journal_thread_now_ns() + FINISH_RETRY_MS * NS_PER_MS : 0;
    unlock(housekeeper);
    if (is_early) return;
    if (err == TENURE_UNAVAILABLE) journal_snapshot_abandon(housekeeper->journal);
    end_snapshot(housekeeper, err, &error);
}

/* One piece.  What is new in it is for the loop to tell. */
static void scrub(struct housekeeper *housekeeper)
{
    int64_t now = journal_thread_now_ns();
    if (!housekeeper->is_scrubbing) housekeeper->scrub_begin_ns = now;
    struct tenure_error error = { .code = TENURE_OK };
    bool is_done = false;
    enum tenure_err err =
        journal_scrub_step(housekeeper->journal, SCRUB_PIECE_SIZE, &is_done, &error);
    bool is_damaged = err == TENURE_CORRUPT;
    housekeeper->is_scrubbing = is_damaged || (err == TENURE_OK && !is_done);
    if (housekeeper->is_scrubbing) {
        housekeeper->scrub_at_ns = now + SCRUB_PAUSE_MS * NS_PER_MS;
    } else if (is_done) {
        int64_t period_ns = housekeeper->options.scrub_period_ms * NS_PER_MS;
        housekeeper->scrub_at_ns = housekeeper->scrub_begin_ns + period_ns;
    } else {
        housekeeper->scrub_at_ns = now + SCRUB_RETRY_MS * NS_PER_MS;
    }
    if (!is_damaged && !is_done) return;
    lock(housekeeper);
    housekeeper->is_damaged = is_damaged;
    if (is_damaged) housekeeper->damage = error;
    if (is_done) housekeeper->scrub_count++;
    unlock(housekeeper);
    tell(housekeeper);
}

/* Where processors are short, commits and the loop come first: they are waited for. */
static void give_way(void)
{
    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* 0: this thread alone, on Linux */
}

static void *run(void *user)
{
    struct housekeeper *housekeeper = user;
    give_way();
    for (;;) {
        switch (wait_for_chore(housekeeper)) {
        case CHORE_STOP:
            if (housekeeper->is_open) journal_snapshot_abandon(housekeeper->journal);
            journal_scrub_abandon(housekeeper->journal);
            return NULL;
        case CHORE_SPARE: make_spare(housekeeper); break;
        case CHORE_ABANDON: abandon_snapshot(housekeeper); break;
        case CHORE_BEGIN: begin_snapshot(housekeeper); break;
        case CHORE_WRITE: write_chunks(housekeeper); break;
        case CHORE_FINISH: finish_snapshot(housekeeper); break;
        case CHORE_SCRUB: scrub(housekeeper); break;
        }
    }
}

static void free_housekeeper(struct housekeeper *housekeeper)
{
    buffer_deinit(&housekeeper->queue);
    buffer_deinit(&housekeeper->writing);
    (void)pthread_cond_destroy(&housekeeper->wake);
    (void)pthread_mutex_destroy(&housekeeper->lock);
    memory_give(&memory_heap, housekeeper, sizeof(*housekeeper));
}

static void init_wake(struct housekeeper *housekeeper)
{
    pthread_condattr_t attributes;
    int result = pthread_condattr_init(&attributes);
    ASSERT(result == 0);
    result = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    ASSERT(result == 0);
    result = pthread_cond_init(&housekeeper->wake, &attributes);
    ASSERT(result == 0);
    (void)pthread_condattr_destroy(&attributes);
}

enum tenure_err housekeeper_start(
    struct journal *journal,
    const struct housekeeper_options *options,
    struct housekeeper **out_housekeeper,
    struct tenure_error *out_error)
{
    struct housekeeper *housekeeper = memory_take(&memory_heap, sizeof(*housekeeper));
    if (housekeeper == NULL) {
        if (out_error != NULL) *out_error = (struct tenure_error){ .code = TENURE_NO_MEMORY };
        return TENURE_NO_MEMORY;
    }
    *housekeeper = (struct housekeeper){ .journal = journal, .options = *options };
    if (options->scrub_period_ms > 0) {
        housekeeper->scrub_at_ns = journal_thread_now_ns() + options->scrub_first_ms * NS_PER_MS;
    }
    buffer_init(&housekeeper->queue, &memory_heap);
    buffer_init(&housekeeper->writing, &memory_heap);
    int result = pthread_mutex_init(&housekeeper->lock, NULL);
    ASSERT(result == 0);
    init_wake(housekeeper);
    result = journal_thread_start(&housekeeper->thread, run, housekeeper);
    if (result != 0) {
        free_housekeeper(housekeeper);
        if (out_error != NULL) {
            *out_error = (struct tenure_error){ TENURE_NO_MEMORY,
                                                result,
                                                "cannot start the housekeeper's thread" };
        }
        return TENURE_NO_MEMORY;
    }
    *out_housekeeper = housekeeper;
    return TENURE_OK;
}

void housekeeper_poke(struct housekeeper *housekeeper)
{
    lock(housekeeper);
    /* On a full disk the next look has its time; a committer that pokes for every batch must not
     * turn it into a busy loop. */
    if (housekeeper->spare_retry_ns == 0) housekeeper->is_poked = true;
    wake(housekeeper);
    unlock(housekeeper);
}

void housekeeper_snapshot_begin(struct housekeeper *housekeeper, struct seq seq)
{
    lock(housekeeper);
    ASSERT(housekeeper->snapshot != HOUSEKEEPER_SNAPSHOT_RUNNING);
    housekeeper->snapshot = HOUSEKEEPER_SNAPSHOT_RUNNING;
    housekeeper->seq = seq;
    housekeeper->is_begin_due = true;
    housekeeper->is_abandoned = false;
    housekeeper->is_complete = false;
    housekeeper->finish_retry_ns = 0;
    buffer_reset(&housekeeper->queue);
    wake(housekeeper);
    unlock(housekeeper);
}

/* Under the lock. */
static bool add_chunk(struct housekeeper *housekeeper, struct bytes chunk)
{
    struct buffer *queue = &housekeeper->queue;
    uint32_t size = (uint32_t)chunk.size;
    /* One chunk is taken even if it is larger than the queue. */
    if (queue->size > 0 && queue->size + chunk.size > housekeeper->options.queue_size_max) {
        return false;
    }
    if (!buffer_reserve(queue, sizeof(size) + chunk.size)) return false;
    buffer_append(queue, &size, sizeof(size));
    buffer_append_bytes(queue, chunk);
    return true;
}

bool housekeeper_snapshot_append(struct housekeeper *housekeeper, struct bytes chunk)
{
    ASSERT(chunk.size > 0 && chunk.size <= JOURNAL_CHUNK_SIZE_MAX);
    lock(housekeeper);
    ASSERT(!housekeeper->is_complete && housekeeper->snapshot != HOUSEKEEPER_SNAPSHOT_NONE);
    bool is_taken = true;
    if (housekeeper->snapshot == HOUSEKEEPER_SNAPSHOT_RUNNING) {
        is_taken = add_chunk(housekeeper, chunk);
    }
    wake(housekeeper);
    unlock(housekeeper);
    return is_taken;
}

void housekeeper_snapshot_finish(struct housekeeper *housekeeper)
{
    lock(housekeeper);
    housekeeper->is_complete = true;
    wake(housekeeper);
    unlock(housekeeper);
}

void housekeeper_snapshot_abandon(struct housekeeper *housekeeper)
{
    lock(housekeeper);
    ASSERT(housekeeper->snapshot != HOUSEKEEPER_SNAPSHOT_NONE);
    housekeeper->is_abandoned = true;
    wake(housekeeper);
    unlock(housekeeper);
}

enum housekeeper_snapshot
housekeeper_snapshot_state(struct housekeeper *housekeeper, struct tenure_error *out_error)
{
    lock(housekeeper);
    enum housekeeper_snapshot state = housekeeper->snapshot;
    if (out_error != NULL && state == HOUSEKEEPER_SNAPSHOT_FAILED) {
        *out_error = housekeeper->snapshot_error;
    }
    unlock(housekeeper);
    return state;
}

uint64_t housekeeper_scrub_count(struct housekeeper *housekeeper)
{
    lock(housekeeper);
    uint64_t count = housekeeper->scrub_count;
    unlock(housekeeper);
    return count;
}

bool housekeeper_take_damage(struct housekeeper *housekeeper, struct tenure_error *out_damage)
{
    lock(housekeeper);
    bool is_damaged = housekeeper->is_damaged;
    if (is_damaged) *out_damage = housekeeper->damage;
    housekeeper->is_damaged = false;
    if (is_damaged) wake(housekeeper);
    unlock(housekeeper);
    return is_damaged;
}

void housekeeper_stop(struct housekeeper **housekeeper_pointer)
{
    struct housekeeper *housekeeper = *housekeeper_pointer;
    if (housekeeper == NULL) return;
    *housekeeper_pointer = NULL;
    lock(housekeeper);
    housekeeper->is_stopping = true;
    wake(housekeeper);
    unlock(housekeeper);
    int result = pthread_join(housekeeper->thread, NULL);
    ASSERT(result == 0);
    free_housekeeper(housekeeper);
}
