/* snapshot_read - verify a snapshot, and hand it over. */
#ifndef TENURE_JOURNAL_SNAPSHOT_READ_H
#define TENURE_JOURNAL_SNAPSHOT_READ_H

#include "journal/state.h"

/* A snapshot that is read a piece at a time, through a window on the file that moves forward. */
struct journal_snapshot_reader {
    const struct journal *journal;
    struct journal_name_text name;
    struct seq seq;
    int file;
    uint64_t file_size;
    uint64_t offset; /* in the file, of the first unread byte in the window */
    size_t begin;    /* of the unread bytes in the window */
    struct buffer window;
    uint64_t chunk_count;
    uint32_t crc; /* over everything taken so far */
};

/* `name` may be temporary.  Nothing has to be closed when it fails. */
MUST_USE enum tenure_err journal_snapshot_reader_open(
    struct journal_snapshot_reader *reader,
    const struct journal *journal,
    struct journal_name name,
    struct tenure_error *out_error);
/* Check the next chunk and hand it to the visitor, which may be NULL; the first step begins with
 * the header, the last one is the trailer.  After an error only the close may follow. */
MUST_USE enum tenure_err journal_snapshot_reader_step(
    struct journal_snapshot_reader *reader,
    const struct journal_visitor *visitor,
    bool *out_is_done,
    struct tenure_error *out_error);
void journal_snapshot_reader_close(struct journal_snapshot_reader *reader);

/* Read the whole file from the disk and check every byte of it.  `name` may be temporary.
 * TENURE_CORRUPT, TENURE_UNSUPPORTED, or what the system refused. */
MUST_USE enum tenure_err journal_snapshot_verify(
    const struct journal *journal,
    struct journal_name name,
    uint64_t *out_size,
    struct tenure_error *out_error);

/* Give the snapshot of `seq`, which has just been verified, to the visitor. */
MUST_USE enum tenure_err journal_snapshot_visit(
    const struct journal *journal,
    struct seq seq,
    const struct journal_visitor *visitor,
    struct tenure_error *out_error);

#endif
