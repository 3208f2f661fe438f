/* snapshot_write - a snapshot is written beside the log, read back from the disk, and only then
 * given its name; only when the name is durable does anything older go. */
#include <errno.h>
#include <inttypes.h>

#include "base/crc32c.h"
#include "journal/listing.h"
#include "journal/snapshot_read.h"

#define PENDING_SIZE_MAX (size_t)(1 << 20)
/* Synced in pieces, so that the commits of the other thread never wait for one large flush. */
#define UNSYNCED_SIZE_MAX (UINT64_C(4) << 20)

static struct journal_name writer_name(const struct journal *journal, bool is_temporary)
{
    return (struct journal_name){ JOURNAL_FILE_SNAPSHOT, is_temporary, journal->writer.seq.value };
}

void journal_snapshot_abandon(struct journal *journal)
{
    struct journal_writer *writer = &journal->writer;
    if (writer->file < 0) return;
    journal_file_close(&journal->dir, writer->file);
    writer->file = -1;
    (void)journal_file_unlink(&journal->dir, writer_name(journal, true));
}

static enum tenure_err
abandon(struct journal *journal, int result, const char *what, struct tenure_error *out_error)
{
    struct journal_name_text text = journal_name_format(writer_name(journal, true));
    journal_snapshot_abandon(journal);
    return journal_error_system(out_error, result, what, text.text);
}

static int flush_pending(struct journal *journal)
{
    struct journal_writer *writer = &journal->writer;
    int result = journal_file_write(
        &journal->dir, writer->file, writer->pending.data, writer->pending.size, writer->offset);
    if (result < 0) return result;
    writer->offset += writer->pending.size;
    writer->unsynced += writer->pending.size;
    buffer_reset(&writer->pending);
    if (writer->unsynced < UNSYNCED_SIZE_MAX) return 0;
    writer->unsynced = 0;
    return journal_file_sync(&journal->dir, writer->file);
}

/* Room must have been reserved. */
static void append_pending(struct journal_writer *writer, const void *data, size_t size)
{
    writer->all_crc = crc32c(writer->all_crc, data, size);
    buffer_append(&writer->pending, data, size);
    ASSERT(!writer->pending.is_failed);
}

enum tenure_err
journal_snapshot_begin(struct journal *journal, struct seq seq, struct tenure_error *out_error)
{
    struct journal_writer *writer = &journal->writer;
    ASSERT(!journal->is_read_only && writer->file < 0);
    buffer_reset(&writer->pending);
    if (!buffer_reserve(&writer->pending, PENDING_SIZE_MAX)) {
        return journal_error_set(out_error, TENURE_NO_MEMORY, 0, "no memory for a snapshot");
    }
    struct journal_name name = { JOURNAL_FILE_SNAPSHOT, true, seq.value };
    int file = journal_file_open(&journal->dir, name, ENV_OPEN_CREATE);
    if (file < 0) {
        return journal_error_system(out_error, file, "create", journal_name_format(name).text);
    }
    journal_lock(journal);
    uint64_t bytes_at_begin = journal->shared.batch_bytes;
    journal_unlock(journal);
    struct buffer pending = writer->pending;
    *writer = (struct journal_writer){
        .file = file,
        .seq = seq,
        .bytes_at_begin = bytes_at_begin,
        .pending = pending,
    };
    unsigned char header[JOURNAL_SNAPSHOT_HEADER_SIZE];
    journal_snapshot_header_encode(seq, &journal->id, header);
    append_pending(writer, header, sizeof(header));
    return TENURE_OK;
}

enum tenure_err
journal_snapshot_append(struct journal *journal, struct bytes chunk, struct tenure_error *out_error)
{
    struct journal_writer *writer = &journal->writer;
    ASSERT(writer->file >= 0 && !writer->is_synced);
    unsigned char header[JOURNAL_CHUNK_HEADER_SIZE];
    (void)journal_chunk_header_encode(chunk, header);
    size_t size = sizeof(header) + chunk.size;
    if (writer->pending.size + size > PENDING_SIZE_MAX) {
        int result = flush_pending(journal);
        if (result < 0) return abandon(journal, result, "write", out_error);
    }
    if (!buffer_reserve(&writer->pending, size)) {
        return abandon(journal, -ENOMEM, "write", out_error);
    }
    append_pending(writer, header, sizeof(header));
    append_pending(writer, chunk.data, chunk.size);
    writer->chunk_count++;
    return TENURE_OK;
}

static int write_trailer(struct journal *journal)
{
    struct journal_writer *writer = &journal->writer;
    unsigned char bytes[JOURNAL_TRAILER_SIZE];
    journal_trailer_encode(
        &(struct journal_trailer){
            .chunk_count = writer->chunk_count,
            .offset = writer->offset + writer->pending.size,
            .all_crc = writer->all_crc,
        },
        bytes);
    if (!buffer_reserve(&writer->pending, sizeof(bytes))) return -ENOMEM;
    buffer_append(&writer->pending, bytes, sizeof(bytes));
    int result = flush_pending(journal);
    if (result < 0) return result;
    return journal_file_sync(&journal->dir, writer->file);
}

/* The two newest snapshots stay, and the segments that the older of them needs. */
static void note_snapshot(struct journal *journal)
{
    struct journal_writer *writer = &journal->writer;
    struct journal_snapshot snapshot = { writer->seq, writer->offset };
    journal_lock(journal);
    struct journal_shared *shared = &journal->shared;
    bool is_same =
        shared->snapshots[0].size > 0 && shared->snapshots[0].seq.value == snapshot.seq.value;
    if (!is_same) shared->snapshots[1] = shared->snapshots[0];
    shared->snapshots[0] = snapshot;
    shared->bytes_snapshot = writer->bytes_at_begin;
    journal_unlock(journal);
}

/* The oldest segment, if the older snapshot does not need it.  False when it must stay. */
static bool pick_superfluous(struct journal *journal, uint64_t *out_number)
{
    bool is_superfluous = false;
    journal_lock(journal);
    const struct journal_shared *shared = &journal->shared;
    const struct journal_segment_list *list = &shared->segments;
    if (shared->snapshots[1].size > 0 && list->count >= 2) {
        is_superfluous = list->items[1].first_seq.value <= shared->snapshots[1].seq.value + 1;
        *out_number = list->items[0].number;
    }
    journal_unlock(journal);
    return is_superfluous;
}

static void forget_oldest(struct journal *journal)
{
    journal_lock(journal);
    struct journal_segment_list *list = &journal->shared.segments;
    journal->shared.segment_bytes -= list->items[0].file_size;
    list->count--;
    memmove(list->items, list->items + 1, list->count * sizeof(*list->items));
    journal_unlock(journal);
}

static int remove_superfluous(struct journal *journal)
{
    struct journal_listing listing;
    if (journal_listing_read(&journal->dir, journal->memory, &listing, NULL) != TENURE_OK) {
        return -EIO;
    }
    int result = 0;
    uint32_t count;
    const struct journal_name *names =
        journal_listing_find(&listing, JOURNAL_FILE_SNAPSHOT, &count);
    const struct journal_snapshot *kept =
        journal->shared.snapshots; /* changed by this thread only */
    for (uint32_t i = 0; i < count && result >= 0; i++) {
        bool is_kept = names[i].number == kept[0].seq.value ||
                       (kept[1].size > 0 && names[i].number == kept[1].seq.value);
        if (!is_kept) result = journal_file_unlink(&journal->dir, names[i]);
    }
    journal_listing_deinit(&listing);
    uint64_t number;
    while (result >= 0 && pick_superfluous(journal, &number)) {
        result = journal_file_unlink(
            &journal->dir, (struct journal_name){ JOURNAL_FILE_SEGMENT, false, number });
        if (result >= 0) forget_oldest(journal);
    }
    return result;
}

/* Finish the file under its temporary name. */
static enum tenure_err seal(struct journal *journal, struct tenure_error *out_error)
{
    struct journal_writer *writer = &journal->writer;
    int result = write_trailer(journal);
    if (result < 0) return abandon(journal, result, "write", out_error);
    journal->dir.env->drop_cache(journal->dir.env->context, writer->file);
    uint64_t size;
    enum tenure_err err =
        journal_snapshot_verify(journal, writer_name(journal, true), &size, out_error);
    if (err != TENURE_OK) {
        journal_snapshot_abandon(journal);
        return err;
    }
    writer->is_synced = true;
    return TENURE_OK;
}

enum tenure_err journal_snapshot_finish(struct journal *journal, struct tenure_error *out_error)
{
    struct journal_writer *writer = &journal->writer;
    ASSERT(writer->file >= 0);
    if (!writer->is_synced) {
        enum tenure_err err = seal(journal, out_error);
        if (err != TENURE_OK) return err;
    }
    journal_lock(journal);
    bool is_durable = journal->shared.seq_durable.value >= writer->seq.value;
    journal_unlock(journal);
    if (!is_durable) {
        return journal_error_set(
            out_error, TENURE_UNAVAILABLE, 0, "the journal is not durable up to the snapshot");
    }
    int result =
        journal_file_rename(&journal->dir, writer_name(journal, true), writer_name(journal, false));
    if (result < 0) return abandon(journal, result, "rename", out_error);
    result = journal_dir_sync(&journal->dir);
    journal_file_close(&journal->dir, writer->file);
    writer->file = -1;
    struct journal_name_text text = journal_name_format(writer_name(journal, false));
    if (result < 0) return journal_fail(journal, result, "sync the name of", text.text, out_error);

    note_snapshot(journal);
    result = remove_superfluous(journal);
    if (result < 0) return journal_error_system(out_error, result, "clean up behind", text.text);
    return TENURE_OK;
}
