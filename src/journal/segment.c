/* segment - spares, and the segment that is being written.
 *
 * A spare is written full of zeros before it is used, so that a commit changes neither the size of
 * a file nor its extents: then fdatasync costs one flush and no journal commit of the file system.
 * The header of a segment is on the disk before the file gets its name, so that a damaged header is
 * damage and never a crash. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/crc32c.h"
#include "journal/state.h"

enum tenure_err journal_fail(
    struct journal *journal,
    int64_t result,
    const char *what,
    const char *name,
    struct tenure_error *out_error)
{
    journal_lock(journal);
    journal->shared.is_failed = true;
    journal_unlock(journal);
    (void)journal_error_system(out_error, result, what, name);
    if (out_error != NULL) out_error->code = TENURE_IO;
    return TENURE_IO;
}

static struct journal_name spare_name(uint64_t number, bool is_temporary)
{
    return (struct journal_name){ JOURNAL_FILE_SPARE, is_temporary, number };
}

/* Nobody knows the file yet: whatever fails, it is thrown away. */
static enum tenure_err discard_spare(
    struct journal *journal,
    int file,
    struct journal_name name,
    int result,
    const char *what,
    struct tenure_error *out_error)
{
    journal_file_close(&journal->dir, file);
    (void)journal_file_unlink(&journal->dir, name);
    enum tenure_err code =
        journal_error_system(out_error, result, what, journal_name_format(name).text);
    if (code == TENURE_NO_SPACE) {
        journal_lock(journal);
        journal->shared.is_full = true;
        journal_unlock(journal);
    }
    return code;
}

enum tenure_err journal_spare_make(
    struct journal *journal, uint64_t size, uint64_t *out_number, struct tenure_error *out_error)
{
    journal_lock(journal);
    uint64_t number = journal->shared.spare_number_next++;
    journal_unlock(journal);

    struct journal_name name = spare_name(number, true);
    int file = journal_file_open(&journal->dir, name, ENV_OPEN_CREATE);
    if (file < 0) return discard_spare(journal, -1, name, file, "create", out_error);
    int result = journal_file_write_zeros(&journal->dir, file, size, 0);
    if (result < 0) return discard_spare(journal, file, name, result, "fill", out_error);
    result = journal_file_rename(&journal->dir, name, spare_name(number, false));
    if (result < 0) return discard_spare(journal, file, name, result, "rename", out_error);
    journal_file_close(&journal->dir, file);

    journal_lock(journal);
    journal->shared.is_full = false;
    journal->shared.written_bytes += size;
    journal_unlock(journal);
    *out_number = number;
    return TENURE_OK;
}

static void register_spare(struct journal *journal, uint64_t number)
{
    journal_lock(journal);
    struct journal_shared *shared = &journal->shared;
    ASSERT(shared->spare_count < JOURNAL_SPARE_COUNT_MAX);
    shared->spares[shared->spare_count++] = number;
    journal_unlock(journal);
}

bool journal_wants_spare(struct journal *journal)
{
    journal_lock(journal);
    bool is_wanted = journal->shared.spare_count < journal->spare_count_wanted;
    journal_unlock(journal);
    return is_wanted;
}

enum tenure_err
journal_prepare(struct journal *journal, bool *out_is_done, struct tenure_error *out_error)
{
    ASSERT(!journal->is_read_only);
    journal_lock(journal);
    bool is_done = journal->shared.spare_count >= journal->spare_count_wanted;
    bool is_failed = journal->shared.is_failed;
    journal_unlock(journal);
    if (!is_done && !is_failed) {
        uint64_t number = 0;
        enum tenure_err result =
            journal_spare_make(journal, journal->segment_size, &number, out_error);
        if (result != TENURE_OK) return result;
        register_spare(journal, number);
        journal_lock(journal);
        is_done = journal->shared.spare_count >= journal->spare_count_wanted;
        journal_unlock(journal);
    }
    *out_is_done = is_done || is_failed;
    return TENURE_OK;
}

/* The spare to use next: a registered one stays registered until it is in use. */
static enum tenure_err
choose_spare(struct journal *journal, uint64_t *out_number, struct tenure_error *out_error)
{
    journal_lock(journal);
    uint32_t count = journal->shared.spare_count;
    uint64_t number = journal->shared.spares[0];
    journal_unlock(journal);
    if (count == 0) {
        enum tenure_err result =
            journal_spare_make(journal, journal->segment_size, &number, out_error);
        if (result != TENURE_OK) return result;
        register_spare(journal, number);
        /* The housekeeper may have registered one meanwhile; then that one is the first. */
        journal_lock(journal);
        number = journal->shared.spares[0];
        journal_unlock(journal);
    }
    *out_number = number;
    return TENURE_OK;
}

static void forget_spare(struct journal *journal, uint64_t number)
{
    journal_lock(journal);
    struct journal_shared *shared = &journal->shared;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < shared->spare_count; i++) {
        if (shared->spares[i] != number) shared->spares[kept++] = shared->spares[i];
    }
    shared->spare_count = kept;
    journal_unlock(journal);
}

bool journal_segments_reserve(struct journal *journal)
{
    bool is_reserved = true;
    journal_lock(journal);
    struct journal_segment_list *list = &journal->shared.segments;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct journal_segment *items = memory_resize(
            journal->memory,
            list->items,
            list->capacity * sizeof(*items),
            capacity * sizeof(*items));
        is_reserved = items != NULL;
        if (is_reserved) {
            list->items = items;
            list->capacity = capacity;
        }
    }
    journal_unlock(journal);
    return is_reserved;
}

/* A segment of the same number was empty and has just been replaced. */
static void note_segment(struct journal *journal, const struct journal_segment_header *header)
{
    journal_lock(journal);
    struct journal_segment_list *list = &journal->shared.segments;
    bool is_replaced = list->count > 0 && list->items[list->count - 1].number == header->number;
    if (is_replaced) {
        journal->shared.segment_bytes -= list->items[list->count - 1].file_size;
    } else {
        list->count++;
    }
    ASSERT(list->count <= list->capacity);
    journal->shared.segment_bytes += header->file_size;
    list->items[list->count - 1] = (struct journal_segment){
        .number = header->number,
        .first_seq = header->first_seq,
        .file_size = header->file_size,
        .before = journal_segment_before(header),
    };
    journal_unlock(journal);
}

struct journal_segment_header
journal_segment_successor(uint64_t number, const struct journal_position *position)
{
    return (struct journal_segment_header){
        .number = number + 1,
        .first_batch_number = position->batch_number,
        .first_seq = position->seq,
        .previous_number = number,
        .previous_end = position->offset,
        .previous_chain = position->chain,
    };
}

static int write_header(
    const struct journal_dir *dir,
    int file,
    const unsigned char bytes[static JOURNAL_SEGMENT_HEADER_SIZE],
    bool *out_is_final)
{
    *out_is_final = false;
    int result = journal_file_write(dir, file, bytes, JOURNAL_SEGMENT_HEADER_SIZE, 0);
    if (result < 0) return result;
    *out_is_final = true;
    return journal_file_sync(dir, file);
}

/* Header to the disk, then the name, then the name to the disk. */
static enum tenure_err name_segment(
    struct journal *journal,
    uint64_t spare,
    const struct journal_segment_header *header,
    struct journal_tail *out_tail,
    struct tenure_error *out_error)
{
    const struct journal_dir *dir = &journal->dir;
    struct journal_name name = { JOURNAL_FILE_SEGMENT, false, header->number };
    struct journal_name_text text = journal_name_format(name);
    unsigned char bytes[JOURNAL_SEGMENT_HEADER_SIZE];
    uint32_t chain = journal_segment_header_encode(header, &journal->id, bytes);

    int file = journal_file_open(dir, spare_name(spare, false), ENV_OPEN_WRITE);
    if (file < 0) return journal_fail(journal, file, "open the spare for", text.text, out_error);
    bool is_final;
    int result = write_header(dir, file, bytes, &is_final);
    if (result >= 0) {
        result = journal_file_rename(dir, spare_name(spare, false), name);
        is_final = false;
    }
    if (result >= 0) {
        result = journal_dir_sync(dir);
        is_final = true;
    }
    if (result < 0) {
        journal_file_close(dir, file);
        /* Without room the spare stays, with a header that the next attempt overwrites; after a
         * crash it is no spare. */
        if (!is_final && journal_error_code(result) == TENURE_NO_SPACE) {
            return journal_error_system(out_error, result, "begin", text.text);
        }
        return journal_fail(journal, result, "begin", text.text, out_error);
    }
    *out_tail = (struct journal_tail){
        .file = file,
        .header = *header,
        .position = {
            .offset = JOURNAL_SEGMENT_HEADER_SIZE,
            .batch_number = header->first_batch_number,
            .seq = header->first_seq,
            .chain = chain,
        },
    };
    return TENURE_OK;
}

/* With its header and a mark. */
static uint64_t batch_room(uint64_t batch_size)
{
    return UINT64_C(2) * JOURNAL_BATCH_HEADER_SIZE + journal_batch_padded_size(batch_size);
}

bool journal_tail_fits(const struct journal *journal, uint64_t batch_size)
{
    const struct journal_tail *tail = &journal->tail;
    return batch_room(batch_size) <= tail->header.file_size - tail->position.offset;
}

enum tenure_err journal_segment_begin(
    struct journal *journal,
    const struct journal_segment_header *header,
    uint64_t batch_size,
    struct tenure_error *out_error)
{
    if (!journal_segments_reserve(journal)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for a segment");
    }
    struct journal_segment_header next = *header;
    int result = journal->dir.env->random(journal->dir.env->context, &next.salt, sizeof(next.salt));
    if (result < 0) return journal_error_system(out_error, result, "draw", "a random number");

    uint64_t size_needed = JOURNAL_SEGMENT_HEADER_SIZE + batch_room(batch_size);
    bool is_oversized = size_needed > journal->segment_size;
    next.file_size = is_oversized ? size_needed : journal->segment_size;
    uint64_t spare = 0;
    enum tenure_err err = is_oversized
                              ? journal_spare_make(journal, next.file_size, &spare, out_error)
                              : choose_spare(journal, &spare, out_error);
    if (err != TENURE_OK) return err;

    struct journal_tail tail = { .file = -1 };
    err = name_segment(journal, spare, &next, &tail, out_error);
    if (err != TENURE_OK) {
        if (is_oversized) (void)journal_file_unlink(&journal->dir, spare_name(spare, false));
        return err;
    }
    forget_spare(journal, spare);
    journal_file_close(&journal->dir, journal->tail.file);
    tail.is_marked = journal->tail.is_marked;
    journal->tail = tail;
    note_segment(journal, &next);
    return TENURE_OK;
}

/* Header, records and padding in `journal->block`.  False when there is no memory. */
static bool encode_batch(
    struct journal *journal, const struct journal_batch *batch, uint32_t flags, uint32_t *out_chain)
{
    const struct journal_tail *tail = &journal->tail;
    size_t padded_size = (size_t)journal_batch_padded_size(batch->records.size);
    size_t size = JOURNAL_BATCH_HEADER_SIZE + padded_size;
    struct buffer *block = &journal->block;
    buffer_reset(block);
    if (!buffer_reserve(block, size)) return false;

    unsigned char *header = (unsigned char *)block->data;
    unsigned char *payload = header + JOURNAL_BATCH_HEADER_SIZE;
    if (batch->records.size > 0) memcpy(payload, batch->records.data, batch->records.size);
    memset(payload + batch->records.size, 0, padded_size - batch->records.size);
    block->size = size;
    *out_chain = journal_batch_header_encode(
        &(struct journal_batch_header){
            .salt = tail->header.salt,
            .number = tail->position.batch_number,
            .first = batch->first,
            .size = (uint32_t)batch->records.size,
            .count = batch->count,
            .flags = flags,
            .payload_crc = crc32c(0, payload, padded_size),
            .chain = tail->position.chain,
        },
        header);
    return true;
}

enum tenure_err journal_tail_wipe(struct journal *journal, struct tenure_error *out_error)
{
    struct journal_tail *tail = &journal->tail;
    if (tail->dirty_size == 0) return TENURE_OK;
    struct journal_name_text name = journal_segment_name(tail->header.number);
    int result = journal_file_write_zeros(
        &journal->dir, tail->file, tail->dirty_size, tail->position.offset);
    if (result < 0 && journal_error_code(result) == TENURE_NO_SPACE) {
        return journal_error_system(out_error, result, "write", name.text);
    }
    if (result < 0) return journal_fail(journal, result, "write", name.text, out_error);
    tail->dirty_size = 0;
    return TENURE_OK;
}

/* Write and sync `journal->block`. */
static enum tenure_err write_block(struct journal *journal, struct tenure_error *out_error)
{
    struct journal_tail *tail = &journal->tail;
    const struct buffer *block = &journal->block;
    ASSERT(block->size <= tail->header.file_size - tail->position.offset);
    if (tail->dirty_size > block->size) {
        enum tenure_err err = journal_tail_wipe(journal, out_error);
        if (err != TENURE_OK) return err;
    }
    struct journal_name_text name = journal_segment_name(tail->header.number);
    int result = journal_file_write(
        &journal->dir, tail->file, block->data, block->size, tail->position.offset);
    if (result < 0 && journal_error_code(result) == TENURE_NO_SPACE) {
        /* Part of it may be there, even all but zeros at the end; the next batch overwrites it. */
        tail->dirty_size = block->size;
        return journal_error_system(out_error, result, "write", name.text);
    }
    if (result < 0) return journal_fail(journal, result, "write", name.text, out_error);
    result = journal_file_sync(&journal->dir, tail->file);
    if (result < 0) return journal_fail(journal, result, "sync", name.text, out_error);
    tail->dirty_size = 0;
    return TENURE_OK;
}

enum tenure_err journal_tail_append(
    struct journal *journal,
    const struct journal_batch *batch,
    uint32_t flags,
    struct tenure_error *out_error)
{
    uint32_t chain;
    if (!encode_batch(journal, batch, flags, &chain)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for a batch");
    }
    enum tenure_err err = write_block(journal, out_error);
    if (err != TENURE_OK) return err;

    struct journal_tail *tail = &journal->tail;
    size_t size = journal->block.size;
    tail->position.offset += size;
    tail->position.batch_number++;
    tail->position.seq.value += batch->count;
    tail->position.chain = chain;
    tail->is_marked = (flags & JOURNAL_BATCH_MARK) != 0;

    journal_lock(journal);
    journal->shared.seq_durable.value = tail->position.seq.value - 1;
    journal->shared.batch_bytes += size;
    journal->shared.written_bytes += size;
    journal->shared.commit_count++;
    journal_unlock(journal);
    return TENURE_OK;
}
