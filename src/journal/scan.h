/* scan - is there a valid header, or a valid batch, here?  Reads bytes in memory, touches no file.
 */
#ifndef TENURE_JOURNAL_SCAN_H
#define TENURE_JOURNAL_SCAN_H

#include "journal/format.h"

struct journal_batch_view {
    struct seq first;
    uint32_t count;
    uint32_t flags;
    struct bytes records; /* inside the scanned bytes */
};

struct journal_fault {
    uint64_t offset;
    const char *what; /* static */
    bool is_newer;    /* nothing is wrong, but the version is not known here */
};

/* Read the header of the segment `number` from the first bytes of its file.  The position is then
 * behind the header. */
bool journal_scan_header(
    struct bytes file,
    const struct journal_id *id,
    uint64_t number,
    struct journal_segment_header *out_header,
    struct journal_position *out_position,
    struct journal_fault *out_fault);

/* Does the segment begin where the one before has ended? */
bool journal_scan_continues(
    const struct journal_segment_header *header, const struct journal_position *before);

/* All batches were read: what is wrong with the size of the file; NULL when nothing is. */
const char *journal_scan_size_fault(
    const struct journal_segment_header *header,
    const struct journal_position *position,
    bool is_ended,
    uint64_t file_size);

/* Read the batch that must stand at `*position`, and move the position behind it.  False, and
 * nothing moved, when any rule of docs/journal-format.md is broken there. */
bool journal_scan_batch(
    const struct journal_segment_header *header,
    struct bytes file,
    struct journal_position *position,
    struct journal_batch_view *out_batch);

/* No valid batch stands at `*position`: do the bytes from there on hold anything of another batch
 * of this segment?  A batch is written only when the one before is durable, so this proves that
 * what is broken was once whole, or that something was written over it. */
bool journal_scan_finds_another(
    const struct journal_segment_header *header,
    struct bytes file,
    const struct journal_position *position);

/* How many bytes there are from `offset` to the last one that is not zero. */
uint64_t journal_scan_garbage_size(struct bytes file, uint64_t offset);

#endif
