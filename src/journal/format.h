/* format - the bytes of the journal's files, version 1; docs/journal-format.md draws them.
 *
 * All numbers are little endian.  Every file begins with the same preamble, which never changes
 * between versions, so that "written by a newer version" and "damaged" are told apart for certain.
 *
 * Checklist for changing a layout: 1. raise JOURNAL_FORMAT_VERSION; 2. keep reading the old one;
 * 3. the tables in docs/journal-format.md; 4. a new golden directory beside
 * tests/golden/journal-v1, which stays; 5. the exhaustive flip test over the new form. */
#ifndef TENURE_JOURNAL_FORMAT_H
#define TENURE_JOURNAL_FORMAT_H

#include <stdint.h>

#include "journal/journal.h"

#define JOURNAL_FORMAT_VERSION 1u
#define JOURNAL_ID_SIZE        16u

#define JOURNAL_PREAMBLE_SIZE        32u
#define JOURNAL_SEGMENT_HEADER_SIZE  96u
#define JOURNAL_BATCH_HEADER_SIZE    56u
#define JOURNAL_SNAPSHOT_HEADER_SIZE 48u
#define JOURNAL_CHUNK_HEADER_SIZE    8u
#define JOURNAL_TRAILER_SIZE         32u

/* The records of one batch; that of one chunk is in journal.h. */
#define JOURNAL_BATCH_SIZE_MAX (UINT32_C(1) << 30)

enum journal_file_kind {
    JOURNAL_FILE_IDENTITY,
    JOURNAL_FILE_SEGMENT,
    JOURNAL_FILE_SPARE, /* has no preamble: zeros only */
    JOURNAL_FILE_SNAPSHOT,
    JOURNAL_FILE_COUNT,
};

struct journal_id {
    unsigned char bytes[JOURNAL_ID_SIZE];
};

enum journal_preamble_state {
    JOURNAL_PREAMBLE_OK,
    JOURNAL_PREAMBLE_DAMAGED,
    JOURNAL_PREAMBLE_NEWER,   /* sound, but of a version that is unknown here */
    JOURNAL_PREAMBLE_FOREIGN, /* sound, but of another journal */
};

void journal_preamble_encode(
    enum journal_file_kind kind,
    const struct journal_id *id,
    unsigned char out_bytes[static JOURNAL_PREAMBLE_SIZE]);
/* With `id` NULL any id is right. */
enum journal_preamble_state journal_preamble_decode(
    enum journal_file_kind kind,
    const unsigned char bytes[static JOURNAL_PREAMBLE_SIZE],
    const struct journal_id *id,
    struct journal_id *out_id);

/* Where the log stands between two batches: what the next one must carry. */
struct journal_position {
    uint64_t offset;       /* in the segment */
    uint64_t batch_number; /* dense over all segments, from 1; marks count */
    struct seq seq;        /* of the next record */
    uint32_t chain;        /* the checksum of the header before: a batch's, or the segment's */
};

struct journal_segment_header {
    uint64_t salt; /* random: bytes of an older use of this place on the disk never carry it */
    uint64_t number;
    uint64_t first_batch_number;
    struct seq first_seq;
    uint64_t previous_number; /* 0: none */
    uint64_t previous_end;    /* where the batches of the previous segment validly end */
    uint64_t file_size;
    uint32_t previous_chain;
};

/* The preamble is written too.  Returns the chain value that the first batch must carry. */
uint32_t journal_segment_header_encode(
    const struct journal_segment_header *header,
    const struct journal_id *id,
    unsigned char out_bytes[static JOURNAL_SEGMENT_HEADER_SIZE]);
/* Looks behind the preamble only.  False when the header is damaged. */
bool journal_segment_header_decode(
    const unsigned char bytes[static JOURNAL_SEGMENT_HEADER_SIZE],
    struct journal_segment_header *out_header,
    uint32_t *out_chain);

enum journal_batch_flag {
    JOURNAL_BATCH_MARK = 1, /* no records: everything before was acknowledged */
    JOURNAL_BATCH_END = 2,  /* a mark behind which the file ends */
};

struct journal_batch_header {
    uint64_t salt;
    uint64_t number;
    struct seq first;
    uint32_t size; /* of the records, without the padding */
    uint32_t count;
    uint32_t flags;
    uint32_t payload_crc; /* over the records and the padding */
    uint32_t chain;
};

/* Returns the checksum of the header, which is the chain value of the next batch: it covers the
 * chain value of this one and the checksum of its records, hence everything before. */
uint32_t journal_batch_header_encode(
    const struct journal_batch_header *header,
    unsigned char out_bytes[static JOURNAL_BATCH_HEADER_SIZE]);
/* False when these bytes are not a sound header.  Says nothing about the records. */
bool journal_batch_header_decode(
    const unsigned char bytes[static JOURNAL_BATCH_HEADER_SIZE],
    struct journal_batch_header *out_header,
    uint32_t *out_chain);

/* With the zeros that bring the next header to a multiple of 8. */
static inline uint64_t journal_batch_padded_size(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

/* The preamble is written too. */
void journal_snapshot_header_encode(
    struct seq seq,
    const struct journal_id *id,
    unsigned char out_bytes[static JOURNAL_SNAPSHOT_HEADER_SIZE]);
bool journal_snapshot_header_decode(
    const unsigned char bytes[static JOURNAL_SNAPSHOT_HEADER_SIZE], struct seq *out_seq);

/* `crc` covers the size and the bytes of the chunk. */
uint32_t journal_chunk_header_encode(
    struct bytes chunk, unsigned char out_bytes[static JOURNAL_CHUNK_HEADER_SIZE]);
void journal_chunk_header_decode(
    const unsigned char bytes[static JOURNAL_CHUNK_HEADER_SIZE],
    uint32_t *out_size,
    uint32_t *out_crc);
uint32_t journal_chunk_crc(struct bytes chunk);

/* In the place of a chunk's size. */
#define JOURNAL_TRAILER_SIGN UINT32_MAX

struct journal_trailer {
    uint64_t chunk_count;
    uint64_t offset;  /* of the trailer itself */
    uint32_t all_crc; /* over everything before the trailer */
};

void journal_trailer_encode(
    const struct journal_trailer *trailer, unsigned char out_bytes[static JOURNAL_TRAILER_SIZE]);
bool journal_trailer_decode(
    const unsigned char bytes[static JOURNAL_TRAILER_SIZE], struct journal_trailer *out_trailer);

#endif
