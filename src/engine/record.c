#include "engine/record.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "engine/codec.h"

/* Which fields a kind has, in the order of their encoding. */
enum field {
    FIELD_OWNER = 1 << 0,
    FIELD_TOKEN = 1 << 1,
    FIELD_PLACE = 1 << 2, /* mode and slot */
    FIELD_SLOTS = 1 << 3,
    FIELD_TTL = 1 << 4,
    FIELD_LOCK_DELAY = 1 << 5,
    FIELD_GRACE = 1 << 6,
    FIELD_META = 1 << 7,
    FIELD_REASON = 1 << 8,
};

static const unsigned fields_of_kind[RECORD_KIND_COUNT] = {
    [RECORD_GRANTED] = FIELD_OWNER | FIELD_TOKEN | FIELD_PLACE | FIELD_SLOTS | FIELD_TTL |
                       FIELD_LOCK_DELAY | FIELD_META,
    [RECORD_RENEWED] = FIELD_OWNER | FIELD_TOKEN | FIELD_TTL,
    [RECORD_RELEASED] = FIELD_OWNER | FIELD_TOKEN | FIELD_PLACE | FIELD_REASON,
    [RECORD_EXPIRED] = FIELD_OWNER | FIELD_TOKEN | FIELD_PLACE | FIELD_LOCK_DELAY,
    [RECORD_BREAKING] = FIELD_OWNER | FIELD_TOKEN | FIELD_GRACE | FIELD_REASON,
    [RECORD_BROKEN] = FIELD_OWNER | FIELD_TOKEN | FIELD_PLACE | FIELD_LOCK_DELAY | FIELD_REASON,
    [RECORD_PROCLAIMED] = FIELD_OWNER | FIELD_TOKEN | FIELD_META,
    [RECORD_AVAILABLE] = 0,
};

const char *record_kind_word(unsigned kind)
{
    static const char *const words[RECORD_KIND_COUNT] = {
#define X(name, code, word) [code] = word,
        RECORD_KIND_MAP(X)
#undef X
    };
    return kind < RECORD_KIND_COUNT ? words[kind] : NULL;
}

/* ---------------------------------------------------------------- writing */

void record_encode(struct buffer *out, const struct record *record)
{
    ASSERT(record->kind > 0 && record->kind < RECORD_KIND_COUNT);
    ASSERT(record->at.us >= 0);
    unsigned fields = fields_of_kind[record->kind];
    size_t size_max = RECORD_NUMBERS_SIZE + record->name.size + record->owner.size +
                      record->meta.size + record->reason.size;
    char *end = buffer_extend(out, size_max);
    if (end == NULL) return;

    *end++ = (char)record->kind;
    end = codec_put_number(end, (uint64_t)record->at.us);
    end = codec_put_text(end, record->name);
    if (fields & FIELD_OWNER) end = codec_put_text(end, record->owner);
    if (fields & FIELD_TOKEN) end = codec_put_number(end, record->token.value);
    if (fields & FIELD_PLACE) {
        end = codec_put_number(end, (uint64_t)record->slot << 1 | record->mode);
    }
    if (fields & FIELD_SLOTS) end = codec_put_number(end, record->slots);
    if (fields & FIELD_TTL) end = codec_put_number(end, record->ttl_ms);
    if (fields & FIELD_LOCK_DELAY) end = codec_put_number(end, record->lock_delay_ms);
    if (fields & FIELD_GRACE) end = codec_put_number(end, record->grace_ms);
    if (fields & FIELD_META) end = codec_put_text(end, record->meta);
    if (fields & FIELD_REASON) end = codec_put_text(end, record->reason);
    size_t size = (size_t)(end - out->data);
    ASSERT(size <= out->size);
    out->size = size; /* the numbers were shorter */
}

/* ---------------------------------------------------------------- reading */

static void take_fields(struct codec_reader *reader, unsigned fields, struct record *record)
{
    if (fields & FIELD_OWNER) record->owner = codec_take_text(reader, LIMIT_OWNER_SIZE_MAX);
    if (fields & FIELD_TOKEN) record->token.value = codec_take_number(reader, TOKEN_MAX);
    if (fields & FIELD_PLACE) {
        uint64_t place = codec_take_number(reader, LIMIT_SLOTS_MAX << 1);
        record->mode = (place & 1) ? ENGINE_SHARED : ENGINE_EXCLUSIVE;
        record->slot = (uint32_t)(place >> 1);
    }
    if (fields & FIELD_SLOTS) record->slots = (uint32_t)codec_take_number(reader, LIMIT_SLOTS_MAX);
    if (fields & FIELD_TTL) record->ttl_ms = (uint32_t)codec_take_number(reader, LIMIT_TTL_MS_MAX);
    if (fields & FIELD_LOCK_DELAY) {
        record->lock_delay_ms = (uint32_t)codec_take_number(reader, LIMIT_LOCK_DELAY_MS_MAX);
    }
    if (fields & FIELD_GRACE) {
        record->grace_ms = (uint32_t)codec_take_number(reader, LIMIT_GRACE_MS_MAX);
    }
    if (fields & FIELD_META) record->meta = codec_take_text(reader, LIMIT_META_SIZE_MAX);
    if (fields & FIELD_REASON) record->reason = codec_take_text(reader, LIMIT_REASON_SIZE_MAX);
}

/* What the fields must be by themselves; what they must be in the state is for apply.c. */
static bool is_sound(const struct record *record, unsigned fields)
{
    if (record->name.size == 0 || !utf8_is_plain(record->name)) return false;
    if ((fields & FIELD_OWNER) && (record->owner.size == 0 || !utf8_is_plain(record->owner))) {
        return false;
    }
    if ((fields & FIELD_TOKEN) && record->token.value == 0) return false;
    if ((fields & FIELD_SLOTS) && record->slot >= record->slots) return false;
    return !(fields & FIELD_SLOTS) || record->mode == ENGINE_EXCLUSIVE || record->slots == 1;
}

/* The fields of the record at the front of the reader; bad when there is none. */
static struct record take_record(struct codec_reader *reader)
{
    struct record record = { .kind = RECORD_GRANTED }; /* whatever it is: the kind comes next */
    uint64_t kind = codec_take_number(reader, RECORD_KIND_COUNT - 1);
    if (reader->is_bad || kind == 0) {
        reader->is_bad = true;
        return record;
    }
    record.kind = (enum record_kind)kind;
    record.at.us = (int64_t)codec_take_number(reader, INT64_MAX);
    record.name = codec_take_text(reader, LIMIT_NAME_SIZE_MAX);
    take_fields(reader, fields_of_kind[kind], &record);
    return record;
}

enum tenure_err record_decode(struct bytes *input, struct record *out_record)
{
    struct codec_reader reader = { *input, false };
    struct record record = take_record(&reader);
    if (reader.is_bad || !is_sound(&record, fields_of_kind[record.kind])) return TENURE_CORRUPT;
    *input = reader.input;
    *out_record = record;
    return TENURE_OK;
}

struct record record_decode_known(struct bytes encoded)
{
    struct codec_reader reader = { encoded, false };
    struct record record = take_record(&reader);
    ASSERT(!reader.is_bad && reader.input.size == 0);
    return record;
}
