#include "journal/scan.h"

#include "base/assert.h"
#include "base/crc32c.h"

static bool fail(struct journal_fault *out_fault, uint64_t offset, const char *what)
{
    *out_fault = (struct journal_fault){ .offset = offset, .what = what };
    return false;
}

bool journal_scan_header(
    struct bytes file,
    const struct journal_id *id,
    uint64_t number,
    struct journal_segment_header *out_header,
    struct journal_position *out_position,
    struct journal_fault *out_fault)
{
    if (file.size < JOURNAL_SEGMENT_HEADER_SIZE) {
        return fail(out_fault, file.size, "the file is too short");
    }
    const unsigned char *bytes = (const unsigned char *)file.data;
    struct journal_id found;
    switch (journal_preamble_decode(JOURNAL_FILE_SEGMENT, bytes, id, &found)) {
    case JOURNAL_PREAMBLE_OK: break;
    case JOURNAL_PREAMBLE_DAMAGED: return fail(out_fault, 0, "no segment begins so");
    case JOURNAL_PREAMBLE_FOREIGN: return fail(out_fault, 0, "it belongs to another journal");
    case JOURNAL_PREAMBLE_NEWER:
        (void)fail(out_fault, 0, "it was written by a newer version of tenured");
        out_fault->is_newer = true;
        return false;
    }
    struct journal_segment_header header;
    uint32_t chain;
    if (!journal_segment_header_decode(bytes, &header, &chain) || header.number != number) {
        return fail(out_fault, JOURNAL_PREAMBLE_SIZE, "its header is broken");
    }
    *out_header = header;
    *out_position = (struct journal_position){
        .offset = JOURNAL_SEGMENT_HEADER_SIZE,
        .batch_number = header.first_batch_number,
        .seq = header.first_seq,
        .chain = chain,
    };
    return true;
}

bool journal_scan_continues(
    const struct journal_segment_header *header, const struct journal_position *before)
{
    return header->previous_number == header->number - 1 &&
           header->previous_end == before->offset && header->previous_chain == before->chain &&
           header->first_batch_number == before->batch_number &&
           header->first_seq.value == before->seq.value;
}

const char *journal_scan_size_fault(
    const struct journal_segment_header *header,
    const struct journal_position *position,
    bool is_ended,
    uint64_t file_size)
{
    uint64_t size_expected = is_ended ? position->offset : header->file_size;
    if (file_size == size_expected) return NULL;
    return file_size < size_expected ? "the file was cut short or its end is damaged"
                                     : "the file is longer than it was made";
}

static bool is_consistent(const struct journal_batch_header *batch)
{
    switch (batch->flags) {
    case 0: return batch->count > 0 && batch->size > 0 && batch->size <= JOURNAL_BATCH_SIZE_MAX;
    case JOURNAL_BATCH_MARK:
    case JOURNAL_BATCH_MARK | JOURNAL_BATCH_END: return batch->count == 0 && batch->size == 0;
    default: return false;
    }
}

bool journal_scan_batch(
    const struct journal_segment_header *header,
    struct bytes file,
    struct journal_position *position,
    struct journal_batch_view *out_batch)
{
    ASSERT(position->offset <= file.size);
    uint64_t room = file.size - position->offset;
    if (room < JOURNAL_BATCH_HEADER_SIZE) return false;

    const unsigned char *at = (const unsigned char *)file.data + position->offset;
    struct journal_batch_header batch;
    uint32_t chain;
    if (!journal_batch_header_decode(at, &batch, &chain)) return false;
    if (batch.salt != header->salt || batch.number != position->batch_number) return false;
    if (batch.chain != position->chain || batch.first.value != position->seq.value) return false;
    if (!is_consistent(&batch)) return false;

    uint64_t padded_size = journal_batch_padded_size(batch.size);
    if (padded_size > room - JOURNAL_BATCH_HEADER_SIZE) return false;
    const unsigned char *payload = at + JOURNAL_BATCH_HEADER_SIZE;
    if (crc32c(0, payload, (size_t)padded_size) != batch.payload_crc) return false;

    *out_batch = (struct journal_batch_view){
        .first = batch.first,
        .count = batch.count,
        .flags = batch.flags,
        .records = { (const char *)payload, batch.size },
    };
    position->offset += JOURNAL_BATCH_HEADER_SIZE + padded_size;
    position->batch_number++;
    position->seq.value += batch.count;
    position->chain = chain;
    return true;
}

/* A torn batch may have its own header whole, in its place. */
static bool
is_own_header(const struct journal_batch_header *batch, const struct journal_position *position)
{
    return batch->number == position->batch_number && batch->chain == position->chain;
}

bool journal_scan_finds_another(
    const struct journal_segment_header *header,
    struct bytes file,
    const struct journal_position *position)
{
    const unsigned char *bytes = (const unsigned char *)file.data;
    for (uint64_t at = position->offset; at + JOURNAL_BATCH_HEADER_SIZE <= file.size; at += 8) {
        struct journal_batch_header batch;
        uint32_t chain;
        if (!journal_batch_header_decode(bytes + at, &batch, &chain)) continue;
        if (batch.salt != header->salt) continue;
        if (at != position->offset || !is_own_header(&batch, position)) return true;
        /* Then its end is known, and whatever is not zero behind it belongs to another one. */
        uint64_t end = at + JOURNAL_BATCH_HEADER_SIZE + journal_batch_padded_size(batch.size);
        if (end < file.size && journal_scan_garbage_size(file, end) > 0) return true;
    }
    return false;
}

uint64_t journal_scan_garbage_size(struct bytes file, uint64_t offset)
{
    uint64_t end = file.size;
    uint64_t word;
    while (end >= offset + sizeof(word)) {
        memcpy(&word, file.data + end - sizeof(word), sizeof(word));
        if (word != 0) break;
        end -= sizeof(word);
    }
    while (end > offset && file.data[end - 1] == 0) {
        end--;
    }
    return end - offset;
}
