#include <float.h>
#include <math.h>

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

static const struct item_terms terms_largest = {
    .run_at_us = LIMIT_RUN_AT_US_MAX,
    .expires_at_us = LIMIT_RUN_AT_US_MAX,
    .lease_ms = LIMIT_TTL_MS_MAX,
    .timeout_ms = LIMIT_TIMEOUT_MS_MAX,
    .retention_ms = LIMIT_RETENTION_MS_MAX,
    .backoff_ms = LIMIT_BACKOFF_MS_MAX,
    .backoff_ms_max = LIMIT_BACKOFF_MS_MAX,
    .unique_ms = LIMIT_RETENTION_MS_MAX,
    .attempts_max = LIMIT_ATTEMPTS_MAX,
    .lapses_max = LIMIT_LAPSES_MAX,
    .priority = LIMIT_PRIORITY_MAX,
    .backoff = ITEM_BACKOFF_COUNT - 1,
    .jitter = 100,
    .unique_scope = UNIQUE_SCOPE_COUNT - 1,
    .conflict = UNIQUE_CONFLICT_COUNT - 1,
};

static bool is_one_of(enum record_kind kind, const enum record_kind *kinds, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        if (kinds[index] == kind) return true;
    }
    return false;
}

#define IS_ONE_OF(kind, ...)                                                                       \
    is_one_of(                                                                                     \
        (kind),                                                                                    \
        (const enum record_kind[]){ __VA_ARGS__ },                                                 \
        sizeof((enum record_kind[]){ __VA_ARGS__ }) / sizeof(enum record_kind))

static struct record largest_put(struct record record)
{
    record.group = text(LIMIT_GROUP_SIZE_MAX);
    record.unique = text(LIMIT_UNIQUE_SIZE_MAX);
    record.meta = text(LIMIT_META_SIZE_MAX);
    record.terms = terms_largest;
    record.body = (struct bytes){ NULL, LIMIT_BODY_SIZE_MAX };
    return record;
}

/* The same of queues. */
static struct record largest_work(struct record record)
{
    enum record_kind kind = record.kind;
    if (IS_ONE_OF(kind, RECORD_PAUSED, RECORD_RESUMED, RECORD_LIMITED)) {
        record.group = text(LIMIT_GROUP_SIZE_MAX);
        if (kind != RECORD_LIMITED) return record;
        record.limits = (struct group_limits){
            UINT32_MAX, UINT32_MAX, UINT32_MAX, LIMIT_TTL_MS_MAX, UINT32_MAX, LIMIT_WEIGHT_MAX,
        };
        return record;
    }
    record.id = text(LIMIT_ID_SIZE_MAX);
    if (kind == RECORD_PUT) return largest_put(record);
    if (kind == RECORD_TAKEN) record.owner = text(LIMIT_OWNER_SIZE_MAX);
    if (kind <= RECORD_BURIED) record.token.value = TOKEN_MAX;
    if (kind == RECORD_TAKEN || kind == RECORD_EXTENDED) record.ttl_ms = LIMIT_TTL_MS_MAX;
    if (kind == RECORD_DONE) record.body = (struct bytes){ NULL, LIMIT_RESULT_SIZE_MAX };
    if (!IS_ONE_OF(kind, RECORD_TAKEN, RECORD_EXTENDED, RECORD_DONE)) {
        record.reason = text(LIMIT_REASON_SIZE_MAX);
    }
    if (kind == RECORD_FAILED || kind == RECORD_KICKED) record.run_at_us = LIMIT_RUN_AT_US_MAX;
    if (IS_ONE_OF(kind, RECORD_FAILED, RECORD_LAPSED, RECORD_KICKED)) {
        record.outcome = OUTCOME_CANCELLED;
        record.is_counted = true;
        record.is_timeout = kind == RECORD_FAILED;
    }
    return record;
}

/* The same of shared state. */
static struct record largest_key(struct record record)
{
    enum record_kind kind = record.kind;
    bool is_of_rank = kind == RECORD_RANKED || kind == RECORD_UNRANKED;
    record.more = UINT32_MAX;
    if (is_of_rank) record.id = text(LIMIT_MEMBER_SIZE_MAX);
    if (is_of_rank) record.score = -DBL_MAX;
    if (kind == RECORD_RANKED) record.score_before = DBL_MIN;
    if (kind == RECORD_UNSET) record.cause = CAUSE_COUNT - 1;
    if (kind == RECORD_SET) {
        record.ttl_ms = LIMIT_STATE_TTL_MS_MAX;
        record.bond = text(LIMIT_NAME_SIZE_MAX);
        record.token.value = TOKEN_MAX;
    }
    if (kind == RECORD_SET || kind == RECORD_APPENDED) {
        record.body = (struct bytes){ NULL, LIMIT_VALUE_SIZE_MAX };
    }
    return record;
}

/* One of each kind, with every field at its limit. */
static struct record largest(enum record_kind kind)
{
    struct record record = { .kind = kind, .at = { INT64_MAX }, .name = text(LIMIT_NAME_SIZE_MAX) };
    if (kind == RECORD_AVAILABLE) return record;
    if (RECORD_KIND_IS_WORK(kind)) return largest_work(record);
    if (RECORD_KIND_IS_KEY(kind)) return largest_key(record);
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
    if (kind == RECORD_SET) record.is_kept = true;
    if (kind == RECORD_RANKED) record.is_new = true;
    if (kind == RECORD_RANKED || kind == RECORD_UNRANKED) record.id = text(1);
    if (RECORD_KIND_IS_KEY(kind)) return record;
    if (kind == RECORD_LIMITED) record.limits = GROUP_LIMITS_NONE;
    if (IS_ONE_OF(kind, RECORD_PAUSED, RECORD_RESUMED, RECORD_LIMITED)) return record;
    if (RECORD_KIND_IS_WORK(kind)) record.id = text(1);
    if (kind == RECORD_PUT) record.terms.lease_ms = LIMIT_TTL_MS_MIN;
    if (!RECORD_KIND_IS_WORK(kind) || kind == RECORD_TAKEN) record.owner = text(1);
    if (kind > RECORD_BURIED || kind == RECORD_PUT) return record;
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
    CHECK_EQ_BYTES(left->id, right->id);
    CHECK_EQ_BYTES(left->group, right->group);
    CHECK_EQ_BYTES(left->unique, right->unique);
    CHECK_EQ_UINT(left->body.size, right->body.size);
    CHECK((left->body.data == NULL) == (right->body.data == NULL));
    if (left->body.data != NULL) CHECK_EQ_BYTES(left->body, right->body);
    CHECK(memcmp(&left->terms, &right->terms, sizeof left->terms) == 0);
    CHECK(memcmp(&left->limits, &right->limits, sizeof left->limits) == 0);
    CHECK_EQ_INT(left->run_at_us, right->run_at_us);
    CHECK_EQ_INT(left->outcome, right->outcome);
    CHECK_EQ_INT(left->is_counted, right->is_counted);
    CHECK_EQ_INT(left->is_timeout, right->is_timeout);
    CHECK_EQ_INT(left->is_whole, right->is_whole);
    CHECK_EQ_BYTES(left->bond, right->bond);
    CHECK(memcmp(&left->score, &right->score, sizeof left->score) == 0);
    CHECK(memcmp(&left->score_before, &right->score_before, sizeof left->score) == 0);
    CHECK_EQ_INT(left->cause, right->cause);
    CHECK_EQ_UINT(left->more, right->more);
    CHECK_EQ_INT(left->is_kept, right->is_kept);
    CHECK_EQ_INT(left->is_new, right->is_new);
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

/* Not all numbers are kinds. */
static enum record_kind next_kind(enum record_kind kind)
{
    do {
        kind = (enum record_kind)(kind + 1);
    } while (kind < RECORD_KIND_COUNT && record_kind_word(kind) == NULL);
    return kind;
}

#define FOREACH_KIND(kind)                                                                         \
    for (enum record_kind kind = RECORD_GRANTED; kind < RECORD_KIND_COUNT; kind = next_kind(kind))

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

TEST(record_of_queues_over_a_limit_is_refused)
{
    struct record record = largest(RECORD_PUT);
    record.id.size = 0;
    check_fault(record);
    record = largest(RECORD_TAKEN);
    record.owner.size = 0;
    check_fault(record);
    record = largest(RECORD_TAKEN);
    record.token.value = 0;
    check_fault(record);
    record = largest(RECORD_EXTENDED);
    record.ttl_ms = LIMIT_TTL_MS_MAX + 1;
    check_fault(record);
    record = largest(RECORD_FAILED);
    record.run_at_us = LIMIT_RUN_AT_US_MAX + 1;
    check_fault(record);
    record = largest(RECORD_LAPSED);
    record.outcome = OUTCOME_COUNT;
    check_fault(record);
    record = largest(RECORD_KICKED);
    record.is_timeout = true;
    check_fault(record);
    record = largest(RECORD_PAUSED);
    record.is_whole = true; /* and a group */
    check_fault(record);
    record = largest(RECORD_PUT);
    record.unique.size = 0; /* but a scope */
    check_fault(record);
    record = smallest(RECORD_PUT);
    record.unique = text(1); /* but no scope */
    check_fault(record);
    record = largest(RECORD_PUT);
    record.body.size = LIMIT_BODY_SIZE_MAX + 1;
    check_fault(record);
    record = largest(RECORD_DONE);
    record.body.size = LIMIT_RESULT_SIZE_MAX + 1;
    check_fault(record);
}

TEST(record_of_shared_state_over_a_limit_is_refused)
{
    struct record record = largest(RECORD_SET);
    record.ttl_ms++;
    check_fault(record);
    record = largest(RECORD_SET);
    record.token.value = 0; /* but a bond */
    check_fault(record);
    record = largest(RECORD_SET);
    record.is_kept = true; /* and a ttl */
    check_fault(record);
    record = largest(RECORD_APPENDED);
    record.body.size++;
    check_fault(record);
    record = largest(RECORD_UNSET);
    record.cause = CAUSE_COUNT;
    check_fault(record);
    record = largest(RECORD_RANKED);
    record.id.size = 0;
    check_fault(record);
    record = largest(RECORD_RANKED);
    record.score = HUGE_VAL;
    check_fault(record);
    record = largest(RECORD_RANKED);
    record.score_before = (double)NAN;
    check_fault(record);
    record = largest(RECORD_UNRANKED);
    record.score = -0.0;
    check_fault(record);
    /* The numbers between the kinds are none. */
    check_refused(BYTES_LITERAL("\x18\x01\x01x"));
}

static void check_terms_fault(struct item_terms terms)
{
    struct record record = largest(RECORD_PUT);
    record.terms = terms;
    check_fault(record);
    CHECK(!record_are_terms_sound(&terms));
}

TEST(record_with_terms_over_a_limit_is_refused)
{
    CHECK(record_are_terms_sound(&terms_largest));
#define CHECK_TERM(member, value)                                                                  \
    do {                                                                                           \
        struct item_terms terms = terms_largest;                                                   \
        test_note(#member);                                                                        \
        terms.member = (value);                                                                    \
        check_terms_fault(terms);                                                                  \
    } while (0)
    CHECK_TERM(run_at_us, LIMIT_RUN_AT_US_MAX + 1);
    CHECK_TERM(expires_at_us, LIMIT_RUN_AT_US_MAX + 1);
    CHECK_TERM(lease_ms, LIMIT_TTL_MS_MAX + 1);
    CHECK_TERM(lease_ms, LIMIT_TTL_MS_MIN - 1);
    CHECK_TERM(timeout_ms, LIMIT_TIMEOUT_MS_MAX + 1);
    CHECK_TERM(retention_ms, LIMIT_RETENTION_MS_MAX + 1);
    CHECK_TERM(backoff_ms, LIMIT_BACKOFF_MS_MAX + 1);
    CHECK_TERM(backoff_ms_max, LIMIT_BACKOFF_MS_MAX + 1);
    CHECK_TERM(unique_ms, LIMIT_RETENTION_MS_MAX + 1);
    CHECK_TERM(attempts_max, LIMIT_ATTEMPTS_MAX + 1);
    CHECK_TERM(priority, LIMIT_PRIORITY_MAX + 1);
    CHECK_TERM(backoff, ITEM_BACKOFF_COUNT);
    CHECK_TERM(jitter, 101);
    CHECK_TERM(unique_scope, UNIQUE_SCOPE_COUNT);
    CHECK_TERM(conflict, UNIQUE_CONFLICT_COUNT);
#undef CHECK_TERM
}

static void check_limits_fault(struct group_limits limits)
{
    struct record record = largest(RECORD_LIMITED);
    record.limits = limits;
    check_fault(record);
    CHECK(!record_are_limits_sound(&limits));
}

TEST(record_with_limits_that_are_none_is_refused)
{
    struct group_limits limits = GROUP_LIMITS_NONE;
    CHECK(record_are_limits_sound(&limits));
    limits.burst = 0;
    check_limits_fault(limits);
    limits = GROUP_LIMITS_NONE;
    limits.weight = 0;
    check_limits_fault(limits);
    limits.weight = LIMIT_WEIGHT_MAX + 1;
    check_limits_fault(limits);
    limits = GROUP_LIMITS_NONE;
    limits.rate_count = 1; /* in no time */
    check_limits_fault(limits);
    limits.rate_ms = LIMIT_TTL_MS_MAX + 1;
    check_limits_fault(limits);
}

/* With and without its bytes. */
TEST(record_keeps_a_body)
{
    struct buffer out;
    buffer_init(&out, &memory_heap);
    static const char bytes[] = "\0any\xff bytes";
    struct bytes bodies[] = {
        { 0 }, { bytes, 1 }, { bytes, sizeof bytes }, { NULL, 1 }, { NULL, LIMIT_RESULT_SIZE_MAX }
    };
    for (size_t index = 0; index < sizeof bodies / sizeof *bodies; index++) {
        struct record record = smallest(RECORD_DONE);
        record.body = bodies[index];
        struct bytes rest = encode(&out, &record);
        struct record decoded;
        CHECK_EQ_INT(record_decode(&rest, &decoded), TENURE_OK);
        CHECK_EQ_UINT(rest.size, 0);
        check_equal(&decoded, &record);
    }
    buffer_deinit(&out);
    check_refused(BYTES_LITERAL("\x0d\x00\x01x\x01x\x01\x01"));  /* zero bytes that follow */
    check_refused(BYTES_LITERAL("\x0d\x00\x01x\x01x\x01\x05z")); /* two, and one is there */
}

/* The short way gives what the long way gives. */
TEST(record_without_its_body_tells_its_size)
{
    static const size_t sizes[] = { 1, 2, 63, 64, 127, 128, 8191, 8192, LIMIT_RESULT_SIZE_MAX };
    static char body[LIMIT_RESULT_SIZE_MAX];
    struct buffer whole, brief, expected;
    buffer_init(&whole, &memory_heap);
    buffer_init(&brief, &memory_heap);
    buffer_init(&expected, &memory_heap);
    memset(body, 0xff, sizeof body);
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        struct record record = smallest(RECORD_DONE);
        record.body = (struct bytes){ body, sizes[index] };
        buffer_reset(&whole);
        record_encode(&whole, &record);
        buffer_reset(&brief);
        record_encode_brief(&brief, buffer_bytes(&whole), sizes[index]);
        record.body.data = NULL;
        CHECK_EQ_BYTES(buffer_bytes(&brief), encode(&expected, &record));
    }
    buffer_deinit(&whole);
    buffer_deinit(&brief);
    buffer_deinit(&expected);
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
        record = smallest(RECORD_REMOVED);
        record.id = bytes_from_text(texts[index]);
        check_fault(record);
        record = smallest(RECORD_PAUSED);
        record.group = bytes_from_text(texts[index]);
        check_fault(record);
        record = largest(RECORD_PUT);
        record.unique = bytes_from_text(texts[index]);
        check_fault(record);
    }
}

TEST(record_of_no_kind_is_refused)
{
    check_refused(BYTES_LITERAL("\x00\x01\x01x"));
    check_refused((struct bytes){ (char[]){ RECORD_KIND_COUNT, 1, 1, 'x' }, 4 });
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
