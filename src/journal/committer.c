#include "journal/committer.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "journal/thread.h"

#define RETRY_MS_MIN 50u
#define RETRY_MS_MAX 1000u

struct batch_buffer {
    struct buffer records;
    uint32_t count;
    struct seq first;
};

struct committer {
    struct journal *journal;
    struct committer_options options;
    pthread_t thread;
    sem_t wake;

    /* Between the two threads. */
    pthread_mutex_t lock; /* of `waiting` and `error` */
    struct batch_buffer waiting;
    struct tenure_error error;
    atomic_bool has_waiting; /* `waiting` is not empty; read without the lock */
    atomic_bool is_asleep;   /* the thread wants a post of `wake` for new work */
    atomic_bool is_stopping;
    atomic_bool is_armed;
    _Atomic uint64_t durable;
    _Atomic int state;

    /* The thread's own. */
    struct batch_buffer writing;
    bool is_mark_due;
};

static void lock(struct committer *committer)
{
    journal_thread_lock(&committer->lock);
}

static void unlock(struct committer *committer)
{
    journal_thread_unlock(&committer->lock);
}

/* Tell the loop, if it wants to know.  What it looks at was stored before. */
static void tell(struct committer *committer)
{
    if (atomic_exchange(&committer->is_armed, false)) {
        committer->options.notify(committer->options.user);
    }
}

static void
set_state(struct committer *committer, enum committer_state state, const struct tenure_error *error)
{
    if (error != NULL) {
        lock(committer);
        committer->error = *error;
        unlock(committer);
    }
    if (atomic_exchange(&committer->state, (int)state) != (int)state) tell(committer);
}

/* Sleep until posted, or until the deadline; 0 is never. */
static void sleep_until(struct committer *committer, int64_t deadline_ns)
{
    if (deadline_ns == 0) {
        (void)sem_wait(&committer->wake); /* a signal wakes it early: the caller looks again */
        return;
    }
    struct timespec deadline = { deadline_ns / NS_PER_S, deadline_ns % NS_PER_S };
    (void)sem_clockwait(&committer->wake, CLOCK_MONOTONIC, &deadline);
}

static bool has_news(struct committer *committer)
{
    return atomic_load(&committer->has_waiting) || atomic_load(&committer->is_stopping);
}

static void spin(struct committer *committer)
{
    if (committer->options.spin_us == 0) return;
    int64_t end_ns = journal_thread_now_ns() + (int64_t)committer->options.spin_us * 1000;
    do {
        for (int i = 0; i < 64; i++) {
            if (has_news(committer)) return;
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#endif
        }
        /* Where the loop has to share a processor with this thread, it must get it. */
        (void)sched_yield();
    } while (journal_thread_now_ns() < end_ns);
}

/* False when the time for the mark came first. */
static bool wait_for_news(struct committer *committer)
{
    spin(committer);
    int64_t mark_ns = 0;
    if (committer->is_mark_due) {
        mark_ns = journal_thread_now_ns() + (int64_t)committer->options.mark_idle_ms * NS_PER_MS;
    }
    while (!has_news(committer)) {
        if (mark_ns != 0 && journal_thread_now_ns() >= mark_ns) return false;
        /* The loop looks at is_asleep after it has stored has_waiting, and we the other way round:
         * one of the two sees the other. */
        atomic_store(&committer->is_asleep, true);
        if (!has_news(committer)) sleep_until(committer, mark_ns);
        atomic_store(&committer->is_asleep, false);
    }
    return true;
}

static bool take_waiting(struct committer *committer)
{
    lock(committer);
    struct batch_buffer taken = committer->waiting;
    committer->waiting = committer->writing;
    committer->writing = taken;
    buffer_reset(&committer->waiting.records);
    committer->waiting.count = 0;
    atomic_store(&committer->has_waiting, false);
    unlock(committer);
    return taken.count > 0;
}

static void poke_housekeeper(struct committer *committer)
{
    if (committer->options.housekeeper != NULL && journal_wants_spare(committer->journal)) {
        housekeeper_poke(committer->options.housekeeper);
    }
}

/* Nothing can be done but to wait for room: a batch that was taken is never given back. */
static void wait_for_room(struct committer *committer, unsigned attempt)
{
    unsigned doublings = attempt < 5 ? attempt : 5;
    uint32_t delay_ms = RETRY_MS_MIN << doublings;
    if (delay_ms > RETRY_MS_MAX) delay_ms = RETRY_MS_MAX;
    int64_t end_ns = journal_thread_now_ns() + (int64_t)delay_ms * NS_PER_MS;
    while (!atomic_load(&committer->is_stopping) && journal_thread_now_ns() < end_ns) {
        sleep_until(committer, end_ns);
    }
}

/* Commit until it succeeds, fails for ever, or the disk is full when the server stops. */
static enum tenure_err commit_writing(struct committer *committer)
{
    const struct journal_batch batch = {
        .first = committer->writing.first,
        .count = committer->writing.count,
        .records = buffer_bytes(&committer->writing.records),
    };
    for (unsigned attempt = 0;; attempt++) {
        struct tenure_error error = { .code = TENURE_OK };
        int64_t begin_ns = journal_thread_now_ns();
        bool is_last_attempt = atomic_load(&committer->is_stopping);
        enum tenure_err err = journal_commit(committer->journal, &batch, &error);
        if (err == TENURE_OK) {
            committer->is_mark_due = true;
            if (committer->options.measure != NULL) {
                uint64_t commit_ns = (uint64_t)(journal_thread_now_ns() - begin_ns);
                committer->options.measure(
                    committer->options.user, commit_ns, batch.count, batch.records.size);
            }
            atomic_store(&committer->durable, batch.first.value + batch.count - 1);
            set_state(committer, COMMITTER_RUNNING, NULL);
            tell(committer);
            poke_housekeeper(committer);
            return TENURE_OK;
        }
        bool is_passing = err == TENURE_NO_SPACE || err == TENURE_NO_MEMORY;
        if (!is_passing || is_last_attempt) {
            set_state(committer, COMMITTER_FAILED, &error);
            return err;
        }
        set_state(committer, COMMITTER_NO_SPACE, &error);
        poke_housekeeper(committer);
        wait_for_room(committer, attempt);
    }
}

static enum tenure_err mark(struct committer *committer)
{
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = journal_mark(committer->journal, &error);
    if (err == TENURE_IO) set_state(committer, COMMITTER_FAILED, &error);
    /* Without room for the mark there is none: it only sharpens what recovery can tell. */
    if (err != TENURE_IO) committer->is_mark_due = false;
    return err == TENURE_IO ? err : TENURE_OK;
}

static void *run(void *user)
{
    struct committer *committer = user;
    enum tenure_err err = TENURE_OK;
    while (err == TENURE_OK) {
        if (!wait_for_news(committer)) {
            err = mark(committer);
        } else if (take_waiting(committer)) {
            err = commit_writing(committer);
        } else if (atomic_load(&committer->is_stopping)) {
            if (committer->is_mark_due) (void)mark(committer);
            break;
        }
    }
    return NULL;
}

static void free_committer(struct committer *committer)
{
    buffer_deinit(&committer->waiting.records);
    buffer_deinit(&committer->writing.records);
    (void)sem_destroy(&committer->wake);
    (void)pthread_mutex_destroy(&committer->lock);
    memory_give(&memory_heap, committer, sizeof(*committer));
}

enum tenure_err committer_start(
    struct journal *journal,
    const struct committer_options *options,
    struct committer **out_committer,
    struct tenure_error *out_error)
{
    ASSERT(options->notify != NULL);
    struct committer *committer = memory_take(&memory_heap, sizeof(*committer));
    if (committer == NULL) {
        if (out_error != NULL) *out_error = (struct tenure_error){ .code = TENURE_NO_MEMORY };
        return TENURE_NO_MEMORY;
    }
    *committer = (struct committer){ .journal = journal, .options = *options };
    atomic_store(&committer->durable, journal_status(journal).seq_durable.value);
    buffer_init(&committer->waiting.records, &memory_heap);
    buffer_init(&committer->writing.records, &memory_heap);
    int result = sem_init(&committer->wake, 0, 0);
    ASSERT(result == 0);
    result = pthread_mutex_init(&committer->lock, NULL);
    ASSERT(result == 0);
    result = journal_thread_start(&committer->thread, run, committer);
    if (result != 0) {
        free_committer(committer);
        if (out_error != NULL) {
            *out_error = (struct tenure_error){ TENURE_NO_MEMORY,
                                                result,
                                                "cannot start the committer's thread" };
        }
        return TENURE_NO_MEMORY;
    }
    *out_committer = committer;
    return TENURE_OK;
}

/* Under the lock. */
static bool
add_waiting(struct committer *committer, struct buffer *records, uint32_t count, struct seq first)
{
    struct batch_buffer *waiting = &committer->waiting;
    if (waiting->count == 0) {
        buffer_swap(&waiting->records, records);
        waiting->first = first;
        waiting->count = count;
        return true;
    }
    ASSERT(waiting->first.value + waiting->count == first.value);
    size_t size_max = committer->options.backlog_size_max;
    size_t size = waiting->records.size;
    if (size > size_max || records->size > size_max - size) return false;
    if (waiting->count > UINT32_MAX - count) return false;
    if (!buffer_reserve(&waiting->records, records->size)) return false;
    buffer_append(&waiting->records, records->data, records->size);
    waiting->count += count;
    return true;
}

bool committer_offer(
    struct committer *committer, struct buffer *records, uint32_t count, struct seq first)
{
    ASSERT(count > 0 && records->size > 0 && !records->is_failed);
    if (committer_state(committer) == COMMITTER_FAILED) return false;
    lock(committer);
    bool is_taken = add_waiting(committer, records, count, first);
    if (is_taken) {
        buffer_reset(records);
        atomic_store(&committer->has_waiting, true);
    }
    unlock(committer);
    if (is_taken && atomic_exchange(&committer->is_asleep, false)) {
        (void)sem_post(&committer->wake);
    }
    return is_taken;
}

struct seq committer_durable(const struct committer *committer)
{
    return (struct seq){ atomic_load(&committer->durable) };
}

enum committer_state committer_state(const struct committer *committer)
{
    return (enum committer_state)atomic_load(&committer->state);
}

void committer_error(struct committer *committer, struct tenure_error *out_error)
{
    lock(committer);
    *out_error = committer->error;
    unlock(committer);
}

bool committer_arm(struct committer *committer, struct seq durable, enum committer_state state)
{
    atomic_store(&committer->is_armed, true);
    return committer_durable(committer).value == durable.value &&
           committer_state(committer) == state;
}

enum tenure_err committer_stop(struct committer **committer_pointer, struct tenure_error *out_error)
{
    struct committer *committer = *committer_pointer;
    if (committer == NULL) return TENURE_OK;
    *committer_pointer = NULL;
    atomic_store(&committer->is_stopping, true);
    (void)sem_post(&committer->wake);
    int result = pthread_join(committer->thread, NULL);
    ASSERT(result == 0);
    enum tenure_err err = TENURE_OK;
    if (committer_state(committer) != COMMITTER_RUNNING) {
        err = committer->error.code;
        if (out_error != NULL) *out_error = committer->error;
    }
    free_committer(committer);
    return err;
}
