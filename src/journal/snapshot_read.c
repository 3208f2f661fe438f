/* snapshot_read - a snapshot is walked twice: once to check it, once to hand it over, so that no
 * chunk reaches the visitor of a snapshot that turns out to be damaged further on. */
#include "journal/snapshot_read.h"

#include <inttypes.h>

#include "base/crc32c.h"

#define WINDOW_SIZE (size_t)(1 << 20)

static enum tenure_err damaged(
    const struct journal_snapshot_reader *reader, const char *what, struct tenure_error *out_error)
{
    return journal_error_set(
        out_error,
        TENURE_CORRUPT,
        0,
        "%s: damaged at offset %" PRIu64 ": %s",
        reader->name.text,
        reader->offset,
        what);
}

/* Make `size` bytes readable at window.data + begin. */
static enum tenure_err
fill(struct journal_snapshot_reader *reader, size_t size, struct tenure_error *out_error)
{
    size_t held = reader->window.size - reader->begin;
    if (held >= size) return TENURE_OK;
    uint64_t unread = reader->file_size - reader->offset;
    if (size > unread) return damaged(reader, "the file ends too early", out_error);

    buffer_consume(&reader->window, reader->begin);
    reader->begin = 0;
    size_t wanted = size > WINDOW_SIZE ? size : WINDOW_SIZE;
    if (wanted > unread) wanted = (size_t)unread;
    if (!buffer_reserve(&reader->window, wanted - held)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory to read a snapshot");
    }
    int result = journal_file_read(
        &reader->journal->dir,
        reader->file,
        reader->window.data + held,
        wanted - held,
        reader->offset + held);
    if (result < 0) {
        uint64_t offset = reader->offset + held;
        return journal_error_read(out_error, result, reader->name.text, offset);
    }
    reader->window.size = wanted;
    return TENURE_OK;
}

/* `fill` must have made them readable.  Valid until the next fill. */
static const unsigned char *take(struct journal_snapshot_reader *reader, size_t size)
{
    const char *bytes = reader->window.data + reader->begin;
    reader->crc = crc32c(reader->crc, bytes, size);
    reader->begin += size;
    reader->offset += size;
    return (const unsigned char *)bytes;
}

static enum tenure_err
read_header(struct journal_snapshot_reader *reader, struct tenure_error *out_error)
{
    enum tenure_err err = fill(reader, JOURNAL_PREAMBLE_SIZE, out_error);
    if (err != TENURE_OK) return err;
    const unsigned char *bytes = (const unsigned char *)reader->window.data + reader->begin;
    struct journal_id id;
    switch (journal_preamble_decode(JOURNAL_FILE_SNAPSHOT, bytes, &reader->journal->id, &id)) {
    case JOURNAL_PREAMBLE_OK: break;
    case JOURNAL_PREAMBLE_DAMAGED: return damaged(reader, "no snapshot begins so", out_error);
    case JOURNAL_PREAMBLE_FOREIGN:
        return damaged(reader, "it belongs to another journal", out_error);
    case JOURNAL_PREAMBLE_NEWER:
        return journal_error_set(
            out_error,
            TENURE_UNSUPPORTED,
            0,
            "%s was written by a newer version of tenured; start that version",
            reader->name.text);
    }
    err = fill(reader, JOURNAL_SNAPSHOT_HEADER_SIZE, out_error);
    if (err != TENURE_OK) return err;
    bytes = (const unsigned char *)reader->window.data + reader->begin;
    struct seq seq;
    if (!journal_snapshot_header_decode(bytes, &seq) || seq.value != reader->seq.value) {
        return damaged(reader, "its header is broken", out_error);
    }
    (void)take(reader, JOURNAL_SNAPSHOT_HEADER_SIZE);
    return TENURE_OK;
}

static enum tenure_err
read_trailer(struct journal_snapshot_reader *reader, struct tenure_error *out_error)
{
    enum tenure_err err = fill(reader, JOURNAL_TRAILER_SIZE, out_error);
    if (err != TENURE_OK) return err;
    const unsigned char *bytes = (const unsigned char *)reader->window.data + reader->begin;
    struct journal_trailer trailer;
    if (!journal_trailer_decode(bytes, &trailer)) {
        return damaged(reader, "its trailer is broken", out_error);
    }
    if (trailer.chunk_count != reader->chunk_count || trailer.offset != reader->offset ||
        trailer.all_crc != reader->crc)
    {
        return damaged(reader, "its trailer does not fit the rest", out_error);
    }
    (void)take(reader, JOURNAL_TRAILER_SIZE);
    if (reader->offset != reader->file_size) {
        return damaged(reader, "something follows its trailer", out_error);
    }
    return TENURE_OK;
}

/* One chunk to the visitor, if there is one. */
static enum tenure_err read_chunk(
    struct journal_snapshot_reader *reader,
    const struct journal_visitor *visitor,
    bool *out_is_trailer,
    struct tenure_error *out_error)
{
    enum tenure_err err = fill(reader, JOURNAL_CHUNK_HEADER_SIZE, out_error);
    if (err != TENURE_OK) return err;
    uint32_t size;
    uint32_t crc;
    const char *bytes = reader->window.data + reader->begin;
    journal_chunk_header_decode((const unsigned char *)bytes, &size, &crc);
    *out_is_trailer = size == JOURNAL_TRAILER_SIGN;
    if (*out_is_trailer) return TENURE_OK;
    if (size == 0 || size > JOURNAL_CHUNK_SIZE_MAX) {
        return damaged(reader, "no chunk has that size", out_error);
    }
    err = fill(reader, JOURNAL_CHUNK_HEADER_SIZE + size, out_error);
    if (err != TENURE_OK) return err;
    bytes = reader->window.data + reader->begin;
    struct bytes chunk = { bytes + JOURNAL_CHUNK_HEADER_SIZE, size };
    if (journal_chunk_crc(chunk) != crc) {
        return damaged(reader, "a chunk does not match its checksum", out_error);
    }
    (void)take(reader, JOURNAL_CHUNK_HEADER_SIZE + size);
    reader->chunk_count++;
    return visitor == NULL ? TENURE_OK : visitor->chunk(visitor->user, chunk, out_error);
}

enum tenure_err journal_snapshot_reader_open(
    struct journal_snapshot_reader *reader,
    const struct journal *journal,
    struct journal_name name,
    struct tenure_error *out_error)
{
    *reader = (struct journal_snapshot_reader){
        .journal = journal,
        .name = journal_name_format(name),
        .seq = { name.number },
    };
    reader->file = journal_file_open(&journal->dir, name, ENV_OPEN_READ);
    if (reader->file < 0) {
        return journal_error_system(out_error, reader->file, "open", reader->name.text);
    }
    int64_t size = journal_file_size(&journal->dir, reader->file);
    if (size < 0) {
        journal_file_close(&journal->dir, reader->file);
        return journal_error_system(out_error, size, "measure", reader->name.text);
    }
    reader->file_size = (uint64_t)size;
    buffer_init(&reader->window, journal->memory);
    return TENURE_OK;
}

enum tenure_err journal_snapshot_reader_step(
    struct journal_snapshot_reader *reader,
    const struct journal_visitor *visitor,
    bool *out_is_done,
    struct tenure_error *out_error)
{
    enum tenure_err err;
    if (reader->offset == 0) {
        err = read_header(reader, out_error);
        if (err == TENURE_OK && visitor != NULL) {
            err = visitor->snapshot(visitor->user, reader->seq, out_error);
        }
        if (err != TENURE_OK) return err;
    }
    bool is_trailer;
    err = read_chunk(reader, visitor, &is_trailer, out_error);
    if (err == TENURE_OK && is_trailer) err = read_trailer(reader, out_error);
    if (err == TENURE_OK) *out_is_done = is_trailer;
    return err;
}

void journal_snapshot_reader_close(struct journal_snapshot_reader *reader)
{
    buffer_deinit(&reader->window);
    journal_file_close(&reader->journal->dir, reader->file);
}

static enum tenure_err walk_file(
    const struct journal *journal,
    struct journal_name name,
    const struct journal_visitor *visitor,
    uint64_t *out_size,
    struct tenure_error *out_error)
{
    struct journal_snapshot_reader reader;
    enum tenure_err err = journal_snapshot_reader_open(&reader, journal, name, out_error);
    if (err != TENURE_OK) return err;
    bool is_done = false;
    while (err == TENURE_OK && !is_done) {
        err = journal_snapshot_reader_step(&reader, visitor, &is_done, out_error);
    }
    if (err == TENURE_OK) *out_size = reader.file_size;
    journal_snapshot_reader_close(&reader);
    return err;
}

enum tenure_err journal_snapshot_verify(
    const struct journal *journal,
    struct journal_name name,
    uint64_t *out_size,
    struct tenure_error *out_error)
{
    return walk_file(journal, name, NULL, out_size, out_error);
}

enum tenure_err journal_snapshot_visit(
    const struct journal *journal,
    struct seq seq,
    const struct journal_visitor *visitor,
    struct tenure_error *out_error)
{
    struct journal_name name = { JOURNAL_FILE_SNAPSHOT, false, seq.value };
    uint64_t size;
    return walk_file(journal, name, visitor, &size, out_error);
}
