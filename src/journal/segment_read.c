/* segment_read - batches are checked as they come by; a batch that is larger than a piece is
 * gathered until it is complete.  The window never holds more than one piece and one batch. */
#include "journal/segment_read.h"

#include <inttypes.h>

#include "journal/scan.h"

enum tenure_err journal_segment_reader_damaged(
    const struct journal_segment_reader *reader,
    uint64_t offset,
    const char *what,
    struct tenure_error *out_error)
{
    return journal_error_set(
        out_error,
        TENURE_CORRUPT,
        0,
        "%s: damaged at offset %" PRIu64 ": %s",
        reader->name.text,
        offset,
        what);
}

static void drop_cache(const struct journal_segment_reader *reader)
{
    const struct env *env = reader->journal->dir.env;
    env->drop_cache(env->context, reader->file);
}

static enum tenure_err
read_header(struct journal_segment_reader *reader, struct tenure_error *out_error)
{
    const struct journal_dir *dir = &reader->journal->dir;
    int64_t size = journal_file_size(dir, reader->file);
    if (size < 0) return journal_error_system(out_error, size, "measure", reader->name.text);
    reader->file_size = (uint64_t)size;
    char bytes[JOURNAL_SEGMENT_HEADER_SIZE];
    size_t head_size = sizeof(bytes);
    if (head_size > reader->file_size) head_size = (size_t)reader->file_size;
    int result = journal_file_read(dir, reader->file, bytes, head_size, 0);
    if (result < 0) return journal_error_read(out_error, result, reader->name.text, 0);
    reader->read_offset = head_size;
    struct journal_fault fault;
    if (journal_scan_header(
            (struct bytes){ bytes, head_size },
            &reader->journal->id,
            reader->number,
            &reader->header,
            &reader->position,
            &fault))
    {
        return TENURE_OK;
    }
    return journal_segment_reader_damaged(reader, fault.offset, fault.what, out_error);
}

enum tenure_err journal_segment_reader_open(
    struct journal_segment_reader *reader,
    const struct journal *journal,
    uint64_t number,
    struct tenure_error *out_error)
{
    *reader = (struct journal_segment_reader){
        .journal = journal,
        .number = number,
        .name = journal_segment_name(number),
    };
    struct journal_name name = { JOURNAL_FILE_SEGMENT, false, number };
    reader->file = journal_file_open(&journal->dir, name, ENV_OPEN_READ);
    if (reader->file < 0) {
        return journal_error_system(out_error, reader->file, "open", reader->name.text);
    }
    drop_cache(reader);
    buffer_init(&reader->window, journal->memory);
    enum tenure_err err = read_header(reader, out_error);
    if (err != TENURE_OK) journal_segment_reader_close(reader);
    return err;
}

void journal_segment_reader_close(struct journal_segment_reader *reader)
{
    drop_cache(reader);
    buffer_deinit(&reader->window);
    journal_file_close(&reader->journal->dir, reader->file);
}

/* Is what begins at the position the sound header of a batch, or the beginning of one, whose rest
 * was not read yet?  `held` is what was read. */
static bool is_cut(const struct journal_segment_reader *reader, struct bytes held)
{
    uint64_t left = reader->file_size - reader->position.offset;
    if (held.size == left) return false;
    if (held.size < JOURNAL_BATCH_HEADER_SIZE) return true;
    struct journal_batch_header batch;
    uint32_t chain;
    if (!journal_batch_header_decode((const unsigned char *)held.data, &batch, &chain)) {
        return false;
    }
    uint64_t size = JOURNAL_BATCH_HEADER_SIZE + journal_batch_padded_size(batch.size);
    return batch.salt == reader->header.salt && held.size < size && size <= left;
}

/* The window begins at the position, before and after. */
static void take_batches(struct journal_segment_reader *reader)
{
    struct bytes held = buffer_bytes(&reader->window);
    while (!reader->is_over && !is_cut(reader, held)) {
        struct journal_position at = reader->position;
        struct journal_batch_view batch;
        at.offset = 0;
        reader->is_over = !journal_scan_batch(&reader->header, held, &at, &batch);
        if (reader->is_over) break;
        size_t size = (size_t)at.offset;
        held.data += size;
        held.size -= size;
        at.offset += reader->position.offset;
        reader->position = at;
        reader->is_ended = (batch.flags & JOURNAL_BATCH_END) != 0;
        reader->is_over = reader->is_ended;
    }
    if (reader->is_over) {
        buffer_reset(&reader->window);
    } else {
        buffer_consume(&reader->window, reader->window.size - held.size);
    }
}

enum tenure_err journal_segment_reader_step(
    struct journal_segment_reader *reader,
    size_t size,
    bool *out_is_done,
    struct tenure_error *out_error)
{
    uint64_t left = reader->file_size - reader->read_offset;
    if (size > left) size = (size_t)left;
    struct buffer *window = &reader->window;
    if (!buffer_reserve(window, size)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory to read a segment");
    }
    int result = journal_file_read(
        &reader->journal->dir,
        reader->file,
        window->data + window->size,
        size,
        reader->read_offset);
    if (result < 0) {
        return journal_error_read(out_error, result, reader->name.text, reader->read_offset);
    }
    window->size += size;
    reader->read_offset += size;
    take_batches(reader);
    if (reader->read_offset < reader->file_size) {
        *out_is_done = false;
        return TENURE_OK;
    }
    const struct journal_position *position = &reader->position;
    const char *what =
        journal_scan_size_fault(&reader->header, position, reader->is_ended, reader->file_size);
    if (what != NULL) {
        return journal_segment_reader_damaged(reader, position->offset, what, out_error);
    }
    *out_is_done = true;
    return TENURE_OK;
}
