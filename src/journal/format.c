/* format - see format.h.  Encoders and decoders stand in pairs, field by field in file order. */
#include "journal/format.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"

#define BATCH_MAGIC UINT32_C(0x54414254) /* "TBAT" */

static const char file_magics[JOURNAL_FILE_COUNT][9] = {
    [JOURNAL_FILE_IDENTITY] = "TENUREID",
    [JOURNAL_FILE_SEGMENT] = "TENURESG",
    [JOURNAL_FILE_SPARE] = "",
    [JOURNAL_FILE_SNAPSHOT] = "TENURESN",
};

static void put_u32(unsigned char *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (unsigned char)(value >> (8 * i));
    }
}

static void put_u64(unsigned char *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint32_t get_u32(const unsigned char *at)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value |= (uint32_t)at[i] << (8 * i);
    }
    return value;
}

static uint64_t get_u64(const unsigned char *at)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

void journal_preamble_encode(
    enum journal_file_kind kind,
    const struct journal_id *id,
    unsigned char out_bytes[static JOURNAL_PREAMBLE_SIZE])
{
    ASSERT(kind < JOURNAL_FILE_COUNT && kind != JOURNAL_FILE_SPARE);
    memcpy(out_bytes, file_magics[kind], 8);
    put_u32(out_bytes + 8, JOURNAL_FORMAT_VERSION);
    memcpy(out_bytes + 12, id->bytes, JOURNAL_ID_SIZE);
    put_u32(out_bytes + 28, crc32c(0, out_bytes, 28));
}

enum journal_preamble_state journal_preamble_decode(
    enum journal_file_kind kind,
    const unsigned char bytes[static JOURNAL_PREAMBLE_SIZE],
    const struct journal_id *id,
    struct journal_id *out_id)
{
    if (memcmp(bytes, file_magics[kind], 8) != 0) return JOURNAL_PREAMBLE_DAMAGED;
    if (get_u32(bytes + 28) != crc32c(0, bytes, 28)) return JOURNAL_PREAMBLE_DAMAGED;
    uint32_t version = get_u32(bytes + 8);
    if (version > JOURNAL_FORMAT_VERSION) return JOURNAL_PREAMBLE_NEWER;
    if (version == 0) return JOURNAL_PREAMBLE_DAMAGED;
    if (id != NULL && memcmp(bytes + 12, id->bytes, JOURNAL_ID_SIZE) != 0) {
        return JOURNAL_PREAMBLE_FOREIGN;
    }
    memcpy(out_id->bytes, bytes + 12, JOURNAL_ID_SIZE);
    return JOURNAL_PREAMBLE_OK;
}

uint32_t journal_segment_header_encode(
    const struct journal_segment_header *header,
    const struct journal_id *id,
    unsigned char out_bytes[static JOURNAL_SEGMENT_HEADER_SIZE])
{
    journal_preamble_encode(JOURNAL_FILE_SEGMENT, id, out_bytes);
    put_u64(out_bytes + 32, header->salt);
    put_u64(out_bytes + 40, header->number);
    put_u64(out_bytes + 48, header->first_batch_number);
    put_u64(out_bytes + 56, header->first_seq.value);
    put_u64(out_bytes + 64, header->previous_number);
    put_u64(out_bytes + 72, header->previous_end);
    put_u64(out_bytes + 80, header->file_size);
    put_u32(out_bytes + 88, header->previous_chain);
    uint32_t crc = crc32c(0, out_bytes, 92);
    put_u32(out_bytes + 92, crc);
    return crc;
}

bool journal_segment_header_decode(
    const unsigned char bytes[static JOURNAL_SEGMENT_HEADER_SIZE],
    struct journal_segment_header *out_header,
    uint32_t *out_chain)
{
    uint32_t crc = crc32c(0, bytes, 92);
    if (get_u32(bytes + 92) != crc) return false;
    *out_header = (struct journal_segment_header){
        .salt = get_u64(bytes + 32),
        .number = get_u64(bytes + 40),
        .first_batch_number = get_u64(bytes + 48),
        .first_seq = { get_u64(bytes + 56) },
        .previous_number = get_u64(bytes + 64),
        .previous_end = get_u64(bytes + 72),
        .file_size = get_u64(bytes + 80),
        .previous_chain = get_u32(bytes + 88),
    };
    *out_chain = crc;
    return true;
}

uint32_t journal_batch_header_encode(
    const struct journal_batch_header *header,
    unsigned char out_bytes[static JOURNAL_BATCH_HEADER_SIZE])
{
    put_u32(out_bytes, BATCH_MAGIC);
    put_u64(out_bytes + 8, header->salt);
    put_u64(out_bytes + 16, header->number);
    put_u64(out_bytes + 24, header->first.value);
    put_u32(out_bytes + 32, header->size);
    put_u32(out_bytes + 36, header->count);
    put_u32(out_bytes + 40, header->flags);
    put_u32(out_bytes + 44, header->payload_crc);
    put_u32(out_bytes + 48, header->chain);
    put_u32(out_bytes + 52, 0);
    uint32_t crc = crc32c(0, out_bytes + 8, JOURNAL_BATCH_HEADER_SIZE - 8);
    put_u32(out_bytes + 4, crc);
    return crc;
}

bool journal_batch_header_decode(
    const unsigned char bytes[static JOURNAL_BATCH_HEADER_SIZE],
    struct journal_batch_header *out_header,
    uint32_t *out_chain)
{
    if (get_u32(bytes) != BATCH_MAGIC) return false;
    uint32_t crc = crc32c(0, bytes + 8, JOURNAL_BATCH_HEADER_SIZE - 8);
    if (get_u32(bytes + 4) != crc) return false;
    *out_header = (struct journal_batch_header){
        .salt = get_u64(bytes + 8),
        .number = get_u64(bytes + 16),
        .first = { get_u64(bytes + 24) },
        .size = get_u32(bytes + 32),
        .count = get_u32(bytes + 36),
        .flags = get_u32(bytes + 40),
        .payload_crc = get_u32(bytes + 44),
        .chain = get_u32(bytes + 48),
    };
    *out_chain = crc;
    return true;
}

void journal_snapshot_header_encode(
    struct seq seq,
    const struct journal_id *id,
    unsigned char out_bytes[static JOURNAL_SNAPSHOT_HEADER_SIZE])
{
    journal_preamble_encode(JOURNAL_FILE_SNAPSHOT, id, out_bytes);
    put_u64(out_bytes + 32, seq.value);
    put_u32(out_bytes + 40, 0);
    put_u32(out_bytes + 44, crc32c(0, out_bytes, 44));
}

bool journal_snapshot_header_decode(
    const unsigned char bytes[static JOURNAL_SNAPSHOT_HEADER_SIZE], struct seq *out_seq)
{
    if (get_u32(bytes + 44) != crc32c(0, bytes, 44)) return false;
    *out_seq = (struct seq){ get_u64(bytes + 32) };
    return true;
}

uint32_t journal_chunk_crc(struct bytes chunk)
{
    unsigned char size[4];
    put_u32(size, (uint32_t)chunk.size);
    return crc32c(crc32c(0, size, sizeof(size)), chunk.data, chunk.size);
}

uint32_t journal_chunk_header_encode(
    struct bytes chunk, unsigned char out_bytes[static JOURNAL_CHUNK_HEADER_SIZE])
{
    ASSERT(chunk.size > 0 && chunk.size <= JOURNAL_CHUNK_SIZE_MAX);
    uint32_t crc = journal_chunk_crc(chunk);
    put_u32(out_bytes, (uint32_t)chunk.size);
    put_u32(out_bytes + 4, crc);
    return crc;
}

void journal_chunk_header_decode(
    const unsigned char bytes[static JOURNAL_CHUNK_HEADER_SIZE],
    uint32_t *out_size,
    uint32_t *out_crc)
{
    *out_size = get_u32(bytes);
    *out_crc = get_u32(bytes + 4);
}

void journal_trailer_encode(
    const struct journal_trailer *trailer, unsigned char out_bytes[static JOURNAL_TRAILER_SIZE])
{
    put_u32(out_bytes, JOURNAL_TRAILER_SIGN);
    put_u64(out_bytes + 8, trailer->chunk_count);
    put_u64(out_bytes + 16, trailer->offset);
    put_u32(out_bytes + 24, trailer->all_crc);
    put_u32(out_bytes + 28, 0);
    put_u32(out_bytes + 4, crc32c(0, out_bytes + 8, JOURNAL_TRAILER_SIZE - 8));
}

bool journal_trailer_decode(
    const unsigned char bytes[static JOURNAL_TRAILER_SIZE], struct journal_trailer *out_trailer)
{
    if (get_u32(bytes) != JOURNAL_TRAILER_SIGN) return false;
    if (get_u32(bytes + 4) != crc32c(0, bytes + 8, JOURNAL_TRAILER_SIZE - 8)) return false;
    *out_trailer = (struct journal_trailer){
        .chunk_count = get_u64(bytes + 8),
        .offset = get_u64(bytes + 16),
        .all_crc = get_u32(bytes + 24),
    };
    return true;
}
