#include "base/limits.h"
#include "engine/codec.h"
#include "engine/record.h"
#include "lib/random.h"
#include "lib/test.h"

static char long_text[LIMIT_META_SIZE_MAX + 2];

static struct bytes text(size_t size)
{
    memset(long_text, 'x', sizeof long_text);
    return (struct bytes){ long_text, size };
}

/* One of each kind, with every field at its limit. */
static struct record largest(enum record_kind kind)
{
    struct record record = { .kind = kind, .at = { INT64_MAX }, .name = text(LIMIT_NAME_SIZE_MAX) };
    if (kind == RECORD_AVAILABLE) return record;
    record.owner = text(LIMIT_OWNER_SIZE_MAX);
    record.token.value = TOKEN_MAX;
    bool is_end = kind == RECORD_RELEASED || kind == RECORD_EXPIRED || kind == RECORD_BROKEN;
    if (is_end || kind == RECORD_GRANTED) {
        record.mode = ENGINE_EXCLUSIVE;
        record.slot = LIMIT_SLOTS_MAX - 1;
    }
    if (kind == RECORD_GRANTED) record.slots = LIMIT_SLOTS_MAX;
    if (kind == RECORD_GRANTED || kind == RECORD_RENEWED) record.ttl_ms = LIMIT_TTL_MS_MAX;
    if (kind == RECORD_GRANTED || kind == RECORD_EXPIRED || kind == RECORD_BROKEN) {
        record.lock_delay_ms = LIMIT_LOCK_DELAY_MS_MAX;
    }
    if (kind == RECORD_BREAKING) record.grace_ms = LIMIT_GRACE_MS_MAX;
    if (kind == RECORD_GRANTED || kind == RECORD_PROCLAIMED) {
        record.meta = text(LIMIT_META_SIZE_MAX);
    }
    if (kind == RECORD_BREAKING || kind == RECORD_BROKEN || kind == RECORD_RELEASED) {
        record.reason = text(LIMIT_REASON_SIZE_MAX);
    }
    return record;
}

static struct record smallest(enum record_kind kind)
{
    struct record record = { .kind = kind, .name = text(1) };
    if (kind == RECORD_AVAILABLE) return record;
    record.owner = text(1);
    record.token.value = 1;
    if (kind == RECORD_GRANTED) record.slots = 1;
    return record;
}

static void check_equal(const struct record *left, const struct record *right)
{
    CHECK_EQ_INT(left->kind, right->kind);
    CHECK_EQ_INT(left->at.us, right->at.us);
    CHECK_EQ_BYTES(left->name, right->name);
    CHECK_EQ_BYTES(left->owner, right->owner);
    CHECK_EQ_UINT(left->token.value, right->token.value);
    CHECK_EQ_INT(left->mode, right->mode);
    CHECK_EQ_UINT(left->slot, right->slot);
    CHECK_EQ_UINT(left->slots, right->slots);
    CHECK_EQ_UINT(left->ttl_ms, right->ttl_ms);
    CHECK_EQ_UINT(left->lock_delay_ms, right->lock_delay_ms);
    CHECK_EQ_UINT(left->grace_ms, right->grace_ms);
    CHECK_EQ_BYTES(left->meta, right->meta);
    CHECK_EQ_BYTES(left->reason, right->reason);
}

static struct bytes encode(struct buffer *out, const struct record *record)
{
    buffer_reset(out);
    record_encode(out, record);
    CHECK(!out->is_failed);
    CHECK_LE_UINT(out->size, RECORD_SIZE_MAX);
    return buffer_bytes(out);
}

static void check_refused(struct bytes input)
{
    struct bytes rest = input;
    struct record record = { .kind = RECORD_AVAILABLE, .ttl_ms = 4711 };
    CHECK_EQ_INT(record_decode(&rest, &record), TENURE_CORRUPT);
    CHECK(rest.data == input.data);
    CHECK_EQ_UINT(rest.size, input.size);
    CHECK_EQ_UINT(record.ttl_ms, 4711);
}

static void check_fault(struct record record)
{
    struct buffer out;
    buffer_init(&out, &memory_heap);
    check_refused(encode(&out, &record));
    buffer_deinit(&out);
}

#define FOREACH_KIND(kind)                                                                         \
    for (enum record_kind kind = RECORD_GRANTED; kind < RECORD_PUT;                                \
         kind = (enum record_kind)(kind + 1))

TEST(record_comes_back_as_it_was)
{
    struct buffer out;
    buffer_init(&out, &memory_heap);
    FOREACH_KIND(kind)
    {
        struct record records[] = { largest(kind), smallest(kind) };
        for (unsigned index = 0; index < 2; index++) {
            struct bytes rest = encode(&out, &records[index]);
            struct record decoded;
            CHECK_EQ_INT(record_decode(&rest, &decoded), TENURE_OK);
            CHECK_EQ_UINT(rest.size, 0);
            check_equal(&decoded, &records[index]);
        }
    }
    struct record shared = smallest(RECORD_GRANTED);
    shared.mode = ENGINE_SHARED;
    struct bytes rest = encode(&out, &shared);
    struct record decoded;
    CHECK_EQ_INT(record_decode(&rest, &decoded), TENURE_OK);
    check_equal(&decoded, &shared);
    buffer_deinit(&out);
}

TEST(record_reads_one_and_leaves_the_rest)
{
    struct buffer out;
    buffer_init(&out, &memory_heap);
    FOREACH_KIND(kind)
    {
        struct record record = smallest(kind);
        record_encode(&out, &record);
    }
    struct bytes rest = buffer_bytes(&out);
    FOREACH_KIND(kind)
    {
        struct record decoded;
        CHECK_EQ_INT(record_decode(&rest, &decoded), TENURE_OK);
        CHECK_EQ_INT(decoded.kind, kind);
    }
    CHECK_EQ_UINT(rest.size, 0);
    check_refused(rest);
    buffer_deinit(&out);
}

TEST(record_over_a_limit_is_refused)
{
    struct record record = largest(RECORD_GRANTED);
    record.name.size = LIMIT_NAME_SIZE_MAX + 1;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.name.size = 0;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.owner.size = LIMIT_OWNER_SIZE_MAX + 1;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.owner.size = 0;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.token.value = TOKEN_MAX + 1;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.token.value = 0;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.slots = LIMIT_SLOTS_MAX + 1;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.slot = record.slots;
    check_fault(record);
    record = largest(RECORD_EXPIRED);
    record.slot = LIMIT_SLOTS_MAX + 1;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.ttl_ms = LIMIT_TTL_MS_MAX + 1;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.lock_delay_ms = LIMIT_LOCK_DELAY_MS_MAX + 1;
    check_fault(record);
    record = largest(RECORD_BREAKING);
    record.grace_ms = LIMIT_GRACE_MS_MAX + 1;
    check_fault(record);
    record = largest(RECORD_GRANTED);
    record.meta.size = LIMIT_META_SIZE_MAX + 1;
    check_fault(record);
    record = largest(RECORD_BROKEN);
    record.reason.size = LIMIT_REASON_SIZE_MAX + 1;
    check_fault(record);
}

TEST(record_with_a_name_that_is_no_text_is_refused)
{
    static const char *const texts[] = {
        "\n", "\x7f", "\xc2\x80", "\xff", "\xc0\x80", "a\xe2\x82"
    };
    for (size_t index = 0; index < sizeof texts / sizeof *texts; index++) {
        struct record record = smallest(RECORD_RENEWED);
        record.name = bytes_from_text(texts[index]);
        check_fault(record);
        record = smallest(RECORD_RENEWED);
        record.owner = bytes_from_text(texts[index]);
        check_fault(record);
    }
}

TEST(record_of_no_kind_is_refused)
{
    check_refused(BYTES_LITERAL("\x00\x01\x01x"));
    check_refused(BYTES_LITERAL("\x09\x01\x01x"));
    check_refused(BYTES_LITERAL("\xff\x01\x01x"));
    check_refused((struct bytes){ 0 });
    CHECK(record_kind_word(0) == NULL);
    CHECK(record_kind_word(RECORD_KIND_COUNT) == NULL);
    CHECK_EQ_TEXT(record_kind_word(RECORD_GRANTED), "granted");
    CHECK_EQ_TEXT(record_kind_word(RECORD_AVAILABLE), "available");
}

TEST(record_cut_short_is_refused)
{
    struct buffer out;
    buffer_init(&out, &memory_heap);
    FOREACH_KIND(kind)
    {
        struct record record = largest(kind);
        struct bytes whole = encode(&out, &record);
        /* In memory of its own, so that a sanitizer sees a read behind the end. */
        for (size_t size = 0; size < whole.size; size += size < 600 ? 1 : 97) {
            struct buffer cut;
            buffer_init(&cut, &memory_heap);
            buffer_append(&cut, whole.data, size);
            check_refused(buffer_bytes(&cut));
            buffer_deinit(&cut);
        }
    }
    buffer_deinit(&out);
}

/* Whatever is read is what would have been written: no two encodings of one record. */
static void check_canonical(struct bytes input)
{
    struct bytes rest = input;
    struct record record;
    if (record_decode(&rest, &record) != TENURE_OK) return;
    struct buffer out;
    buffer_init(&out, &memory_heap);
    struct bytes again = encode(&out, &record);
    CHECK_EQ_BYTES(again, ((struct bytes){ input.data, input.size - rest.size }));
    buffer_deinit(&out);
}

TEST(record_with_a_flipped_bit_is_refused_or_another_record)
{
    struct buffer out;
    buffer_init(&out, &memory_heap);
    FOREACH_KIND(kind)
    {
        struct record records[] = { largest(kind), smallest(kind) };
        records[0].meta.size = records[0].meta.size > 40 ? 40 : records[0].meta.size;
        for (unsigned index = 0; index < 2; index++) {
            struct bytes whole = encode(&out, &records[index]);
            for (size_t bit = 0; bit < whole.size * 8; bit++) {
                out.data[bit / 8] = (char)(out.data[bit / 8] ^ (1 << bit % 8));
                check_canonical(whole);
                out.data[bit / 8] = (char)(out.data[bit / 8] ^ (1 << bit % 8));
            }
        }
    }
    buffer_deinit(&out);
}

TEST(record_of_random_bytes_never_crashes)
{
    struct test_random random = { 5 };
    for (unsigned round = 0; round < 100000; round++) {
        char bytes[40];
        for (size_t index = 0; index < sizeof bytes; index++) {
            bytes[index] = (char)test_random_below(&random, index == 0 ? RECORD_KIND_COUNT : 256);
        }
        /* Mostly short texts, so that more than the first field is reached. */
        bytes[1] = (char)(bytes[1] & 0x7f);
        bytes[2] = (char)(bytes[2] & 3);
        check_canonical((struct bytes){ bytes, test_random_below(&random, sizeof bytes + 1) });
    }
}

TEST(codec_numbers_come_back)
{
    static const uint64_t values[] = { 0,     1,          127,       128,       16383,
                                       16384, UINT32_MAX, INT64_MAX, UINT64_MAX };
    for (size_t index = 0; index < sizeof values / sizeof *values; index++) {
        char room[CODEC_NUMBER_SIZE_MAX];
        size_t size = (size_t)(codec_put_number(room, values[index]) - room);
        CHECK_LE_UINT(size, sizeof room);
        struct codec_reader reader = { { room, size }, false };
        CHECK_EQ_UINT(codec_take_number(&reader, UINT64_MAX), values[index]);
        CHECK(!reader.is_bad);
        CHECK_EQ_UINT(reader.input.size, 0);
        if (values[index] == 0) continue;
        struct codec_reader strict = { { room, size }, false };
        CHECK_EQ_UINT(codec_take_number(&strict, values[index] - 1), 0);
        CHECK(strict.is_bad);
    }
}

TEST(codec_numbers_have_one_encoding)
{
    static const struct bytes bad[] = {
        { "\x80\x00", 2 },                                      /* zero, too long */
        { "\xff\x80\x00", 3 },                                  /* 127, too long */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },     /* 65 bits */
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 }, /* more */
        { "\x80", 1 },                                          /* no end */
        { "", 0 },
    };
    for (size_t index = 0; index < sizeof bad / sizeof *bad; index++) {
        test_note("case %zu", index);
        struct codec_reader reader = { bad[index], false };
        CHECK_EQ_UINT(codec_take_number(&reader, UINT64_MAX), 0);
        CHECK(reader.is_bad);
        CHECK_EQ_UINT(codec_take_text(&reader, 100).size, 0);
        CHECK(reader.is_bad);
    }
}
