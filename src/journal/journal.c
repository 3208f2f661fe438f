/* journal - opening, closing, and the two calls of the committer; see journal.h. */
#include "journal/journal.h"

#include <errno.h>

#include "journal/recovery.h"

/* NULL when there is no memory. */
static struct journal *make_journal(const struct journal_options *options, const struct env *env)
{
    const struct memory *memory = options->memory == NULL ? &memory_heap : options->memory;
    struct journal *journal = memory_take(memory, sizeof(*journal));
    if (journal == NULL) return NULL;
    *journal = (struct journal){
        .dir = { env, -1 },
        .memory = memory,
        .identity_file = -1,
        .is_read_only = options->is_read_only,
        .segment_size = options->segment_size,
        .spare_count_wanted = options->spare_count,
        .tail = { .file = -1 },
        .writer = { .file = -1 },
    };
    buffer_init(&journal->block, memory);
    buffer_init(&journal->writer.pending, memory);
    int result = pthread_mutex_init(&journal->shared.lock, NULL);
    ASSERT(result == 0);
    return journal;
}

enum tenure_err journal_create(
    const struct journal_options *options,
    const struct env *env,
    struct journal **out_journal,
    struct tenure_error *out_error)
{
    struct journal *journal = make_journal(options, env);
    if (journal == NULL) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for the journal");
    }
    int dir = env->open_dir(env->context, options->path);
    if (dir < 0) {
        journal_destroy(&journal);
        return journal_error_system(out_error, dir, "open the directory", options->path);
    }
    journal->dir.handle = dir;
    *out_journal = journal;
    return TENURE_OK;
}

enum tenure_err journal_open(
    const struct journal_options *options,
    const struct env *env,
    const struct journal_visitor *visitor,
    struct journal **out_journal,
    struct journal_report *out_report,
    struct tenure_error *out_error)
{
    ASSERT(options->segment_size >= JOURNAL_SEGMENT_SIZE_MIN);
    ASSERT(options->segment_size <= JOURNAL_SEGMENT_SIZE_MAX && options->segment_size % 8 == 0);
    ASSERT(options->spare_count >= 2 && options->spare_count < JOURNAL_SPARE_COUNT_MAX);
    *out_report = (struct journal_report){ .text = "" };
    struct journal *journal = NULL;
    enum tenure_err err = journal_create(options, env, &journal, out_error);
    if (err != TENURE_OK) return err;
    err = journal_recover(journal, visitor, out_report, out_error);
    if (err != TENURE_OK) {
        journal_destroy(&journal);
        return err;
    }
    *out_journal = journal;
    return TENURE_OK;
}

void journal_destroy(struct journal **journal_pointer)
{
    struct journal *journal = *journal_pointer;
    if (journal == NULL) return;
    *journal_pointer = NULL;
    journal_snapshot_abandon(journal);
    journal_scrub_abandon(journal);
    journal_file_close(&journal->dir, journal->tail.file);
    journal_file_close(&journal->dir, journal->identity_file);
    journal_file_close(&journal->dir, journal->dir.handle);
    buffer_deinit(&journal->block);
    buffer_deinit(&journal->writer.pending);
    struct journal_segment_list *list = &journal->shared.segments;
    memory_give(journal->memory, list->items, list->capacity * sizeof(*list->items));
    (void)pthread_mutex_destroy(&journal->shared.lock);
    memory_give(journal->memory, journal, sizeof(*journal));
}

static enum tenure_err check_usable(struct journal *journal, struct tenure_error *out_error)
{
    ASSERT(!journal->is_read_only);
    journal_lock(journal);
    bool is_failed = journal->shared.is_failed;
    journal_unlock(journal);
    if (!is_failed) return TENURE_OK;
    return journal_error_set(
        out_error, TENURE_IO, EIO, "the journal has failed before; restart the server to recover");
}

/* What is neither done nor worth repeating is final, whichever call it came from. */
static enum tenure_err
conclude(struct journal *journal, enum tenure_err err, struct tenure_error *out_error)
{
    if (err == TENURE_OK || err == TENURE_NO_SPACE || err == TENURE_NO_MEMORY) return err;
    journal_lock(journal);
    journal->shared.is_failed = true;
    journal_unlock(journal);
    if (out_error != NULL) out_error->code = TENURE_IO;
    return TENURE_IO;
}

/* Go on in a new segment. */
static enum tenure_err
advance(struct journal *journal, uint64_t batch_size, struct tenure_error *out_error)
{
    enum tenure_err err = journal_tail_wipe(journal, out_error);
    if (err != TENURE_OK) return err;
    const struct journal_tail *tail = &journal->tail;
    struct journal_segment_header header =
        journal_segment_successor(tail->header.number, &tail->position);
    return journal_segment_begin(journal, &header, batch_size, out_error);
}

enum tenure_err journal_commit(
    struct journal *journal, const struct journal_batch *batch, struct tenure_error *out_error)
{
    enum tenure_err err = check_usable(journal, out_error);
    if (err != TENURE_OK) return err;
    ASSERT(batch->count > 0 && batch->records.size > 0);
    ASSERT(batch->first.value == journal->tail.position.seq.value);
    if (batch->records.size > JOURNAL_BATCH_SIZE_MAX) {
        return journal_error_set(
            out_error, TENURE_TOO_LARGE, 0, "a batch of %zu bytes", batch->records.size);
    }
    if (!journal_tail_fits(journal, batch->records.size)) {
        err = advance(journal, batch->records.size, out_error);
    }
    if (err == TENURE_OK) err = journal_tail_append(journal, batch, 0, out_error);
    return conclude(journal, err, out_error);
}

enum tenure_err journal_mark(struct journal *journal, struct tenure_error *out_error)
{
    enum tenure_err err = check_usable(journal, out_error);
    if (err != TENURE_OK || journal->tail.is_marked) return err;
    /* Every batch left room for one mark behind it. */
    struct journal_batch mark = { .first = journal->tail.position.seq };
    return journal_tail_append(journal, &mark, JOURNAL_BATCH_MARK, out_error);
}

struct journal_status journal_status(struct journal *journal)
{
    journal_lock(journal);
    const struct journal_shared *shared = &journal->shared;
    struct journal_status status = {
        .spare_count = shared->spare_count,
        .is_space_low = shared->is_full && shared->spare_count < 2,
        .is_failed = shared->is_failed,
        .seq_durable = shared->seq_durable,
        .bytes_since_snapshot = shared->batch_bytes - shared->bytes_snapshot,
        .snapshot_size = shared->snapshots[0].size,
        .disk_bytes = shared->spare_count * journal->segment_size + shared->segment_bytes +
                      shared->snapshots[0].size + shared->snapshots[1].size,
        .commit_count = shared->commit_count,
        .written_bytes = shared->written_bytes,
        .scrubbed_bytes = shared->scrubbed_bytes,
    };
    journal_unlock(journal);
    return status;
}
