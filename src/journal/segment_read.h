/* segment_read - verify a finished segment a piece at a time.  Recovery reads segments as a whole;
 * this is for when there is no hurry and memory is for others. */
#ifndef TENURE_JOURNAL_SEGMENT_READ_H
#define TENURE_JOURNAL_SEGMENT_READ_H

#include "journal/state.h"

struct journal_segment_reader {
    const struct journal *journal;
    uint64_t number;
    struct journal_name_text name;
    int file;
    uint64_t file_size;
    struct journal_segment_header header;
    struct journal_position position; /* behind the last valid batch */
    bool is_ended;                    /* that was an end mark */
    bool is_over;                     /* there is no batch at the position */
    uint64_t read_offset;             /* of the first byte that was not read yet */
    struct buffer window;             /* what was read from the position on, as far as needed */
};

/* Open the file, from the medium where possible, and read its header.  Nothing has to be closed
 * when it fails. */
MUST_USE enum tenure_err journal_segment_reader_open(
    struct journal_segment_reader *reader,
    const struct journal *journal,
    uint64_t number,
    struct tenure_error *out_error);
/* Read up to `size` further bytes and check the batches that are complete with them.  Done at the
 * end of the file: then the position is where the batches validly end, which proves nothing until
 * it is compared with what follows.  After an error only the close may follow. */
MUST_USE enum tenure_err journal_segment_reader_step(
    struct journal_segment_reader *reader,
    size_t size,
    bool *out_is_done,
    struct tenure_error *out_error);
/* What was read leaves the cache as well. */
void journal_segment_reader_close(struct journal_segment_reader *reader);

/* The text of damage in the file. */
enum tenure_err journal_segment_reader_damaged(
    const struct journal_segment_reader *reader,
    uint64_t offset,
    const char *what,
    struct tenure_error *out_error);

#endif
