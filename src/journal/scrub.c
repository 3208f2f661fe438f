/* scrub - bits rot where nobody looks: read again what is not written any more.
 *
 * The two snapshots, then the finished segments in their order, each in pieces.  What must be in
 * them is known in memory: where a segment ends is remembered since the next one was begun, so the
 * one that is being written is not touched.  Between two pieces a snapshot may come and files may
 * go; damage in a file that is gone is no news. */
#include <errno.h>

#include "journal/scan.h"
#include "journal/segment_read.h"
#include "journal/snapshot_read.h"

struct journal_scrub {
    struct seq snapshot_end;     /* snapshots before this one are still to be read */
    uint64_t segment_next;       /* the same for segments from this one on … */
    uint64_t segment_end;        /* … to the one before this, which was written when it began */
    struct journal_name name;    /* of the file under way */
    bool is_open;                /* the reader that fits the name */
    struct journal_position end; /* where the segment under way must end */
    union {
        struct journal_snapshot_reader snapshot;
        struct journal_segment_reader segment;
    } reader;
};

static bool begin_scrub(struct journal *journal)
{
    struct journal_scrub *scrub = memory_take(journal->memory, sizeof(*scrub));
    if (scrub == NULL) return false;
    journal_lock(journal);
    const struct journal_segment_list *list = &journal->shared.segments;
    ASSERT(list->count > 0);
    *scrub = (struct journal_scrub){
        .snapshot_end = { UINT64_MAX },
        .segment_next = list->items[0].number,
        .segment_end = list->items[list->count - 1].number,
    };
    journal_unlock(journal);
    journal->scrub = scrub;
    return true;
}

static void drop_cache(const struct journal *journal, const struct journal_snapshot_reader *reader)
{
    journal->dir.env->drop_cache(journal->dir.env->context, reader->file);
}

static void close_file(struct journal *journal)
{
    struct journal_scrub *scrub = journal->scrub;
    if (!scrub->is_open) return;
    scrub->is_open = false;
    if (scrub->name.kind == JOURNAL_FILE_SEGMENT) {
        journal_segment_reader_close(&scrub->reader.segment);
    } else {
        drop_cache(journal, &scrub->reader.snapshot);
        journal_snapshot_reader_close(&scrub->reader.snapshot);
    }
}

void journal_scrub_abandon(struct journal *journal)
{
    if (journal->scrub == NULL) return;
    close_file(journal);
    memory_give(journal->memory, journal->scrub, sizeof(*journal->scrub));
    journal->scrub = NULL;
}

static void note_read(struct journal *journal, uint64_t size)
{
    journal_lock(journal);
    journal->shared.scrubbed_bytes += size;
    journal_unlock(journal);
}

/* The newest snapshot before those that were read; false: there is none. */
static bool choose_snapshot(struct journal *journal)
{
    struct journal_scrub *scrub = journal->scrub;
    bool is_found = false;
    journal_lock(journal);
    for (unsigned i = 0; i < 2 && !is_found; i++) {
        const struct journal_snapshot *snapshot = &journal->shared.snapshots[i];
        is_found = snapshot->size > 0 && snapshot->seq.value < scrub->snapshot_end.value;
        if (is_found) scrub->snapshot_end = snapshot->seq;
    }
    journal_unlock(journal);
    scrub->name = (struct journal_name){ JOURNAL_FILE_SNAPSHOT, false, scrub->snapshot_end.value };
    return is_found;
}

static enum tenure_err open_snapshot(struct journal *journal, struct tenure_error *error)
{
    struct journal_scrub *scrub = journal->scrub;
    enum tenure_err err =
        journal_snapshot_reader_open(&scrub->reader.snapshot, journal, scrub->name, error);
    if (err != TENURE_OK) return err;
    scrub->is_open = true;
    drop_cache(journal, &scrub->reader.snapshot);
    return TENURE_OK;
}

static enum tenure_err
read_snapshot(struct journal *journal, size_t size, struct tenure_error *error)
{
    struct journal_snapshot_reader *reader = &journal->scrub->reader.snapshot;
    uint64_t begin = reader->offset;
    bool is_done = false;
    enum tenure_err err = TENURE_OK;
    while (err == TENURE_OK && !is_done && reader->offset - begin < size) {
        err = journal_snapshot_reader_step(reader, NULL, &is_done, error);
    }
    note_read(journal, reader->offset - begin);
    if (is_done) close_file(journal);
    return err;
}

/* The first finished segment that was not read; false: there is none. */
static bool choose_segment(struct journal *journal)
{
    struct journal_scrub *scrub = journal->scrub;
    bool is_found = false;
    journal_lock(journal);
    const struct journal_segment_list *list = &journal->shared.segments;
    for (uint32_t i = 0; i + 1 < list->count && !is_found; i++) {
        uint64_t number = list->items[i].number;
        is_found = number >= scrub->segment_next && number < scrub->segment_end;
        if (!is_found) continue;
        scrub->name = (struct journal_name){ JOURNAL_FILE_SEGMENT, false, number };
        scrub->segment_next = number + 1;
        scrub->end = list->items[i + 1].before;
    }
    journal_unlock(journal);
    return is_found;
}

static enum tenure_err open_segment(struct journal *journal, struct tenure_error *error)
{
    struct journal_scrub *scrub = journal->scrub;
    enum tenure_err err =
        journal_segment_reader_open(&scrub->reader.segment, journal, scrub->name.number, error);
    scrub->is_open = err == TENURE_OK;
    if (scrub->is_open) note_read(journal, scrub->reader.segment.read_offset);
    return err;
}

static enum tenure_err check_end(const struct journal_scrub *scrub, struct tenure_error *error)
{
    const struct journal_position *end = &scrub->end;
    const struct journal_position *found = &scrub->reader.segment.position;
    if (found->offset == end->offset && found->batch_number == end->batch_number &&
        found->seq.value == end->seq.value && found->chain == end->chain)
    {
        return TENURE_OK;
    }
    const char *what =
        found->offset < end->offset ? "no valid batch is there" : "it is not what was written";
    return journal_segment_reader_damaged(&scrub->reader.segment, found->offset, what, error);
}

static enum tenure_err
read_segment(struct journal *journal, size_t size, struct tenure_error *error)
{
    struct journal_scrub *scrub = journal->scrub;
    struct journal_segment_reader *reader = &scrub->reader.segment;
    uint64_t begin = reader->read_offset;
    bool is_done = false;
    enum tenure_err err = journal_segment_reader_step(reader, size, &is_done, error);
    note_read(journal, reader->read_offset - begin);
    if (err != TENURE_OK || !is_done) return err;
    err = check_end(scrub, error);
    if (err == TENURE_OK) close_file(journal);
    return err;
}

static enum tenure_err
advance(struct journal *journal, size_t size, bool *out_is_done, struct tenure_error *error)
{
    struct journal_scrub *scrub = journal->scrub;
    *out_is_done = false;
    if (scrub->is_open && scrub->name.kind == JOURNAL_FILE_SEGMENT) {
        return read_segment(journal, size, error);
    }
    if (scrub->is_open) return read_snapshot(journal, size, error);
    if (choose_snapshot(journal)) return open_snapshot(journal, error);
    if (choose_segment(journal)) return open_segment(journal, error);
    *out_is_done = true;
    return TENURE_OK;
}

/* What the system cannot do just now says nothing about the file. */
static bool is_passing(const struct tenure_error *error)
{
    return error->code == TENURE_NO_MEMORY || error->os_errno == EMFILE ||
           error->os_errno == ENFILE;
}

/* Did the journal count on the damaged file?  It does no longer on a snapshot: then the next one
 * that is written puts it away, and keeps what the other one needs. */
static bool give_up(struct journal *journal, struct journal_name name)
{
    journal_lock(journal);
    struct journal_shared *shared = &journal->shared;
    struct journal_snapshot *snapshots = shared->snapshots;
    bool is_counted = false;
    if (name.kind == JOURNAL_FILE_SEGMENT) {
        is_counted = shared->segments.items[0].number <= name.number;
    } else if (snapshots[0].size > 0 && snapshots[0].seq.value == name.number) {
        is_counted = true;
        snapshots[0] = snapshots[1];
        snapshots[1] = (struct journal_snapshot){ .size = 0 };
    } else if (snapshots[1].size > 0 && snapshots[1].seq.value == name.number) {
        is_counted = true;
        snapshots[1] = (struct journal_snapshot){ .size = 0 };
    }
    journal_unlock(journal);
    return is_counted;
}

enum tenure_err journal_scrub_step(
    struct journal *journal, size_t size, bool *out_is_done, struct tenure_error *out_error)
{
    ASSERT(!journal->is_read_only && size > 0);
    struct tenure_error error = { .code = TENURE_OK };
    if (journal->scrub == NULL && !begin_scrub(journal)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for a scrub");
    }
    bool is_done = false;
    enum tenure_err err = advance(journal, size, &is_done, &error);
    if (err != TENURE_OK && is_passing(&error)) {
        journal_scrub_abandon(journal);
        if (out_error != NULL) *out_error = error;
        return err;
    }
    if (err != TENURE_OK) {
        close_file(journal);
        if (give_up(journal, journal->scrub->name)) {
            error.code = TENURE_CORRUPT;
            if (out_error != NULL) *out_error = error;
            return TENURE_CORRUPT;
        }
    }
    if (is_done) journal_scrub_abandon(journal);
    *out_is_done = is_done;
    return TENURE_OK;
}
