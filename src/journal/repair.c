/* repair - what recovery changes, once everything has been read and found sound.
 *
 * Two reasons make it write anew what it has just read.
 *   1. After a failed fsync the page cache may show bytes that are not on the disk, and no later
 *      fsync would write them (Rebello et al., USENIX ATC 2020).  So the valid part of the last
 *      segment goes into a fresh file, which takes the place of the old one.  All earlier segments
 *      were synced before the one behind them was begun.
 *   2. Bytes of a torn batch must never again stand behind a valid one, where they could be taken
 *      for its successor.  So nothing is ever appended behind a recovered tail: the fresh file ends
 *      with an end mark, exactly where its batches end, and a new segment with a new salt follows.
 *
 * Each step leaves a directory from which recovery finds the same records. */
#include <errno.h>

#include "journal/recovery.h"
#include "journal/scan.h"

/* How much of a spare is looked at: a header that was written before the file got its new name. */
#define SPARE_LOOK_SIZE 4096u

static enum tenure_err
remove_file(struct journal *journal, struct journal_name name, struct tenure_error *out_error)
{
    int result = journal_file_unlink(&journal->dir, name);
    if (result >= 0) return TENURE_OK;
    return journal_error_system(out_error, result, "remove", journal_name_format(name).text);
}

/* Of the right size, and nothing was written to it? */
static bool is_usable_spare(struct journal *journal, struct journal_name name)
{
    int file = journal_file_open(&journal->dir, name, ENV_OPEN_READ);
    if (file < 0) return false;
    char bytes[SPARE_LOOK_SIZE];
    int64_t size = journal_file_size(&journal->dir, file);
    bool is_usable = size >= 0 && (uint64_t)size == journal->segment_size &&
                     journal_file_read(&journal->dir, file, bytes, sizeof(bytes), 0) == 0 &&
                     journal_scan_garbage_size((struct bytes){ bytes, sizeof(bytes) }, 0) == 0;
    journal_file_close(&journal->dir, file);
    return is_usable;
}

static enum tenure_err
sort_spare(struct journal *journal, struct journal_name name, struct tenure_error *out_error)
{
    struct journal_shared *shared = &journal->shared;
    if (shared->spare_number_next <= name.number) shared->spare_number_next = name.number + 1;
    bool is_wanted = shared->spare_count < journal->spare_count_wanted;
    if (!is_wanted || !is_usable_spare(journal, name)) return remove_file(journal, name, out_error);
    shared->spares[shared->spare_count++] = name.number;
    return TENURE_OK;
}

/* Unfinished files, segments that were on their way out, and spares that are none. */
static enum tenure_err clean_up(
    struct journal *journal,
    const struct journal_findings *findings,
    struct tenure_error *out_error)
{
    uint64_t first_number = findings->segment_count > 0 ? findings->segments[0].number : 0;
    enum tenure_err err = TENURE_OK;
    for (uint32_t i = 0; i < findings->listing.count && err == TENURE_OK; i++) {
        struct journal_name name = findings->listing.names[i];
        /* The temporary identity of a journal that is just being begun is in use. */
        bool is_identity = name.kind == JOURNAL_FILE_IDENTITY;
        if (is_identity && (!name.is_temporary || findings->segment_count == 0)) continue;
        bool is_behind_gap = name.kind == JOURNAL_FILE_SEGMENT && name.number < first_number;
        if (name.is_temporary || is_behind_gap) {
            err = remove_file(journal, name, out_error);
        } else if (name.kind == JOURNAL_FILE_SPARE) {
            err = sort_spare(journal, name, out_error);
        }
    }
    return err;
}

/* A last segment without a batch tells nothing but where the one before ends.  Remove it, so that
 * the one before can be made durable anew and be closed by an end mark. */
static enum tenure_err drop_empty(
    struct journal *journal, struct journal_findings *findings, struct tenure_error *out_error)
{
    struct journal_segment_list *list = &journal->shared.segments;
    ASSERT(list->count >= 2);
    struct journal_name name = { JOURNAL_FILE_SEGMENT, false, findings->header.number };
    enum tenure_err err = remove_file(journal, name, out_error);
    if (err != TENURE_OK) return err;
    int result = journal_dir_sync(&journal->dir);
    if (result < 0) return journal_error_system(out_error, result, "sync", "the directory");
    list->count--;
    journal->shared.segment_bytes -= list->items[list->count].file_size;

    uint64_t number = list->items[list->count - 1].number;
    err = journal_segment_read(journal, number, findings, out_error);
    if (err != TENURE_OK) return err;
    struct journal_batch_view batch = { .flags = 0 };
    struct bytes file = buffer_bytes(&findings->file);
    while ((batch.flags & JOURNAL_BATCH_END) == 0 &&
           journal_scan_batch(&findings->header, file, &findings->position, &batch))
    {}
    findings->is_ended = (batch.flags & JOURNAL_BATCH_END) != 0;
    return TENURE_OK;
}

/* The valid bytes with an end mark behind them, in `findings->file`. */
static enum tenure_err add_end(struct journal_findings *findings, struct tenure_error *out_error)
{
    struct journal_position *position = &findings->position;
    findings->file.size = (size_t)position->offset;
    if (findings->is_ended) return TENURE_OK;
    if (!buffer_reserve(&findings->file, JOURNAL_BATCH_HEADER_SIZE)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for an end mark");
    }
    uint32_t chain = journal_batch_header_encode(
        &(struct journal_batch_header){
            .salt = findings->header.salt,
            .number = position->batch_number,
            .first = position->seq,
            .flags = JOURNAL_BATCH_MARK | JOURNAL_BATCH_END,
            .chain = position->chain,
        },
        (unsigned char *)findings->file.data + findings->file.size);
    findings->file.size += JOURNAL_BATCH_HEADER_SIZE;
    position->offset += JOURNAL_BATCH_HEADER_SIZE;
    position->batch_number++;
    position->chain = chain;
    return TENURE_OK;
}

static int write_copy(struct journal *journal, int file, const struct buffer *bytes)
{
    int result = journal_file_write(&journal->dir, file, bytes->data, bytes->size, 0);
    if (result >= 0) result = journal_file_truncate(&journal->dir, file, bytes->size);
    if (result >= 0) result = journal_file_sync(&journal->dir, file);
    return result;
}

/* Write the copy under `name`, with `mode`; whatever fails, the file goes. */
static int make_copy(
    struct journal *journal,
    struct journal_name name,
    enum env_open_mode mode,
    const struct buffer *bytes)
{
    int file = journal_file_open(&journal->dir, name, mode);
    if (file < 0) return file;
    int result = write_copy(journal, file, bytes);
    journal_file_close(&journal->dir, file);
    if (result < 0) (void)journal_file_unlink(&journal->dir, name);
    return result;
}

enum tenure_err journal_copy_write(
    struct journal *journal,
    struct journal_findings *findings,
    struct journal_name name,
    struct tenure_error *out_error)
{
    enum tenure_err err = add_end(findings, out_error);
    if (err != TENURE_OK) return err;
    int result = make_copy(journal, name, ENV_OPEN_CREATE, &findings->file);
    if (result >= 0) return TENURE_OK;
    return journal_error_system(out_error, result, "write", journal_name_format(name).text);
}

/* Put a fresh copy in the place of the last segment.  On a full disk a spare is used up for it, the
 * last one too: its room is there already, and the old file gives back as much. */
static enum tenure_err replace_last(
    struct journal *journal, struct journal_findings *findings, struct tenure_error *out_error)
{
    struct journal_shared *shared = &journal->shared;
    uint64_t number = findings->header.number;
    struct journal_name_text text = journal_segment_name(number);
    struct journal_name source = { JOURNAL_FILE_SEGMENT, true, number };
    int result = make_copy(journal, source, ENV_OPEN_CREATE, &findings->file);
    bool is_full = result < 0 && journal_error_code(result) == TENURE_NO_SPACE;
    if (is_full && shared->spare_count > 0) {
        source = (struct journal_name){ JOURNAL_FILE_SPARE,
                                        false,
                                        shared->spares[--shared->spare_count] };
        result = make_copy(journal, source, ENV_OPEN_WRITE, &findings->file);
    }
    if (result < 0) return journal_error_system(out_error, result, "copy", text.text);
    struct journal_name name = { JOURNAL_FILE_SEGMENT, false, number };
    result = journal_file_rename(&journal->dir, source, name);
    if (result >= 0) result = journal_dir_sync(&journal->dir);
    if (result < 0) return journal_error_system(out_error, result, "replace", text.text);
    struct journal_segment *segment = &shared->segments.items[shared->segments.count - 1];
    shared->segment_bytes += findings->file.size - segment->file_size;
    segment->file_size = findings->file.size;
    return TENURE_OK;
}

/* As many spares as wanted, but one is enough to start with on a full disk. */
static enum tenure_err prepare_spares(struct journal *journal, struct tenure_error *out_error)
{
    bool is_done = false;
    while (!is_done) {
        enum tenure_err err = journal_prepare(journal, &is_done, out_error);
        if (err == TENURE_NO_SPACE && journal->shared.spare_count > 0) break;
        if (err != TENURE_OK) return err;
    }
    return TENURE_OK;
}

/* The header of the segment to go on in. */
static enum tenure_err prepare_successor(
    struct journal *journal,
    struct journal_findings *findings,
    struct journal_segment_header *out_header,
    struct tenure_error *out_error)
{
    if (findings->segment_count == 0) {
        struct journal_position start = { .batch_number = 1, .seq = { 1 } };
        *out_header = journal_segment_successor(0, &start);
        return TENURE_OK;
    }
    bool is_empty = findings->position.batch_number == findings->header.first_batch_number;
    if (is_empty && journal->shared.segments.count == 1) {
        /* Nothing before it: the same once more, with a new salt. */
        *out_header = findings->header;
        return TENURE_OK;
    }
    enum tenure_err err = TENURE_OK;
    if (is_empty) err = drop_empty(journal, findings, out_error);
    if (err == TENURE_OK) err = add_end(findings, out_error);
    if (err == TENURE_OK) err = replace_last(journal, findings, out_error);
    if (err != TENURE_OK) return err;
    *out_header = journal_segment_successor(findings->header.number, &findings->position);
    return TENURE_OK;
}

enum tenure_err journal_repair(
    struct journal *journal, struct journal_findings *findings, struct tenure_error *out_error)
{
    enum tenure_err err = clean_up(journal, findings, out_error);
    if (err != TENURE_OK) return err;
    struct journal_segment_header header;
    err = prepare_successor(journal, findings, &header, out_error);
    if (err != TENURE_OK) return err;
    err = prepare_spares(journal, out_error);
    if (err != TENURE_OK) return err;
    err = journal_segment_begin(journal, &header, 0, out_error);
    if (err != TENURE_OK) return err;
    /* The spare that the new segment took. */
    err = prepare_spares(journal, out_error);
    if (err == TENURE_NO_SPACE) err = TENURE_OK;
    journal->tail.is_marked = true;
    return err;
}
