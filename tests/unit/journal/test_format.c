/* Names, headers, and the search for batches, each for itself. */
#include "journal/format.h"
#include "journal/name.h"
#include "journal/scan.h"
#include "lib/random.h"
#include "lib/test.h"

TEST(name_round_trips)
{
    static const char *const names[] = {
        "identity",
        "identity.tmp",
        "segment-0000000000000000",
        "segment-fedcba9876543210.tmp",
        "spare-00000000000000ff",
        "snapshot-ffffffffffffffff",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct journal_name name;
        CHECK(journal_name_parse(names[i], &name));
        CHECK_EQ_TEXT(journal_name_format(name).text, names[i]);
    }
}

TEST(name_leaves_strangers_alone)
{
    static const char *const names[] = {
        "",
        "identity2",
        "identity.tmp.tmp",
        "segment-",
        "segment-1",
        "segment-000000000000000",
        "segment-00000000000000000",
        "segment-000000000000000A",
        "segment-0000000000000000.tm",
        "segment-0000000000000000.tmp ",
        "Segment-0000000000000000",
        "spare0000000000000000",
        "snapshot-000000000000000g",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct journal_name name;
        CHECK(!journal_name_parse(names[i], &name));
    }
}

static const struct journal_id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

TEST(format_preamble_tells_kinds_and_journals_apart)
{
    unsigned char bytes[JOURNAL_PREAMBLE_SIZE];
    struct journal_id read;
    journal_preamble_encode(JOURNAL_FILE_SEGMENT, &id, bytes);
    CHECK_EQ_INT(
        journal_preamble_decode(JOURNAL_FILE_SEGMENT, bytes, &id, &read), JOURNAL_PREAMBLE_OK);
    CHECK(memcmp(&read, &id, sizeof(id)) == 0);
    CHECK_EQ_INT(
        journal_preamble_decode(JOURNAL_FILE_SNAPSHOT, bytes, &id, &read),
        JOURNAL_PREAMBLE_DAMAGED);
    struct journal_id other = { { 9 } };
    CHECK_EQ_INT(
        journal_preamble_decode(JOURNAL_FILE_SEGMENT, bytes, &other, &read),
        JOURNAL_PREAMBLE_FOREIGN);
}

TEST(format_segment_header_round_trips)
{
    struct journal_segment_header header = {
        .salt = 0x1122334455667788,
        .number = 7,
        .first_batch_number = 70,
        .first_seq = { 700 },
        .previous_number = 6,
        .previous_end = 6000,
        .file_size = 8192,
        .previous_chain = 0xcafe,
    };
    unsigned char bytes[JOURNAL_SEGMENT_HEADER_SIZE];
    uint32_t chain = journal_segment_header_encode(&header, &id, bytes);
    struct journal_segment_header read;
    uint32_t chain_read;
    CHECK(journal_segment_header_decode(bytes, &read, &chain_read));
    CHECK_EQ_UINT(chain_read, chain);
    CHECK_EQ_UINT(read.salt, header.salt);
    CHECK_EQ_UINT(read.number, header.number);
    CHECK_EQ_UINT(read.first_batch_number, header.first_batch_number);
    CHECK_EQ_UINT(read.first_seq.value, header.first_seq.value);
    CHECK_EQ_UINT(read.previous_number, header.previous_number);
    CHECK_EQ_UINT(read.previous_end, header.previous_end);
    CHECK_EQ_UINT(read.file_size, header.file_size);
    CHECK_EQ_UINT(read.previous_chain, header.previous_chain);
    bytes[91] ^= 1;
    CHECK(!journal_segment_header_decode(bytes, &read, &chain_read));
}

TEST(format_chunk_and_trailer_round_trip)
{
    struct bytes chunk = BYTES_LITERAL("some state");
    unsigned char bytes[JOURNAL_TRAILER_SIZE];
    uint32_t crc = journal_chunk_header_encode(chunk, bytes);
    uint32_t size;
    uint32_t crc_read;
    journal_chunk_header_decode(bytes, &size, &crc_read);
    CHECK_EQ_UINT(size, chunk.size);
    CHECK_EQ_UINT(crc_read, crc);
    CHECK_EQ_UINT(journal_chunk_crc(chunk), crc);

    struct journal_trailer trailer = { .chunk_count = 3, .offset = 1000, .all_crc = 77 };
    journal_trailer_encode(&trailer, bytes);
    struct journal_trailer read;
    CHECK(journal_trailer_decode(bytes, &read));
    CHECK_EQ_UINT(read.chunk_count, 3);
    CHECK_EQ_UINT(read.offset, 1000);
    CHECK_EQ_UINT(read.all_crc, 77);
    bytes[30] ^= 1;
    CHECK(!journal_trailer_decode(bytes, &read));
}

/* A sound header whose fields contradict each other is no batch. */
TEST(scan_wants_every_field_right)
{
    struct journal_segment_header segment = { .salt = 5, .file_size = 4096 };
    const struct journal_position start = {
        .offset = 0,
        .batch_number = 3,
        .seq = { 9 },
        .chain = 0xabc,
    };
    const struct journal_batch_header good = {
        .salt = 5,
        .number = 3,
        .first = { 9 },
        .flags = JOURNAL_BATCH_MARK,
        .chain = 0xabc,
    };
    struct journal_batch_header bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].salt = 6;
    bad[1].number = 4;
    bad[2].first.value = 10;
    bad[3].chain = 0xabd;
    bad[4].flags = 0;                 /* a batch without records */
    bad[5].flags = 4;                 /* unknown */
    bad[6].flags = JOURNAL_BATCH_END; /* an end without a mark */
    bad[7].count = 1;                 /* a mark with records */
    unsigned char bytes[JOURNAL_BATCH_HEADER_SIZE];
    struct bytes file = { (const char *)bytes, sizeof(bytes) };
    struct journal_batch_view view;
    (void)journal_batch_header_encode(&good, bytes);
    struct journal_position position = start;
    CHECK(journal_scan_batch(&segment, file, &position, &view));
    CHECK_EQ_UINT(position.offset, JOURNAL_BATCH_HEADER_SIZE);
    CHECK_EQ_UINT(position.batch_number, 4);
    for (size_t i = 0; i < 8; i++) {
        test_note("case %zu", i);
        (void)journal_batch_header_encode(&bad[i], bytes);
        position = start;
        CHECK(!journal_scan_batch(&segment, file, &position, &view));
        CHECK_EQ_UINT(position.offset, 0);
    }
    /* Records that would reach beyond the file. */
    struct journal_batch_header long_one = good;
    long_one.flags = 0;
    long_one.count = 1;
    long_one.size = JOURNAL_BATCH_SIZE_MAX;
    (void)journal_batch_header_encode(&long_one, bytes);
    CHECK(!journal_scan_batch(&segment, file, &position, &view));
}

TEST(scan_measures_garbage)
{
    char bytes[64] = { 0 };
    struct bytes file = { bytes, sizeof(bytes) };
    CHECK_EQ_UINT(journal_scan_garbage_size(file, 0), 0);
    CHECK_EQ_UINT(journal_scan_garbage_size(file, 64), 0);
    for (size_t at = 0; at < 64; at++) {
        bytes[at] = 1;
        for (size_t from = 0; from <= 64; from++) {
            CHECK_EQ_UINT(journal_scan_garbage_size(file, from), from > at ? 0 : at + 1 - from);
        }
        bytes[at] = 0;
    }
}
