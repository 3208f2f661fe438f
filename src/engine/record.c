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
    FIELD_ID = 1 << 9,
    FIELD_RUN_AT = 1 << 10,
    FIELD_OUTCOME = 1 << 11, /* whether it counts, and of FAILED who says so */
    FIELD_SCOPE = 1 << 12,   /* the whole queue, or a group */
    FIELD_LIMITS = 1 << 13,
    FIELD_PUT = 1 << 14, /* group, unique key, terms */
    FIELD_BODY = 1 << 15,
    FIELD_MORE = 1 << 16,
    FIELD_BOND = 1 << 17, /* ttl, whether that and the bond are kept, the bond */
    FIELD_SCORE = 1 << 18,
    FIELD_BEFORE = 1 << 19, /* the score before, or that there was none */
    FIELD_CAUSE = 1 << 20,
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
    [RECORD_PUT] = FIELD_ID | FIELD_PUT | FIELD_META | FIELD_BODY,
    [RECORD_TAKEN] = FIELD_ID | FIELD_OWNER | FIELD_TOKEN | FIELD_TTL,
    [RECORD_EXTENDED] = FIELD_ID | FIELD_TOKEN | FIELD_TTL,
    [RECORD_PROGRESSED] = FIELD_ID | FIELD_TOKEN | FIELD_REASON,
    [RECORD_DONE] = FIELD_ID | FIELD_TOKEN | FIELD_BODY,
    [RECORD_FAILED] = FIELD_ID | FIELD_TOKEN | FIELD_REASON | FIELD_RUN_AT | FIELD_OUTCOME,
    [RECORD_LAPSED] = FIELD_ID | FIELD_TOKEN | FIELD_REASON | FIELD_OUTCOME,
    [RECORD_BURIED] = FIELD_ID | FIELD_TOKEN | FIELD_REASON,
    [RECORD_CANCELLING] = FIELD_ID | FIELD_REASON,
    [RECORD_CANCELLED] = FIELD_ID | FIELD_REASON,
    [RECORD_KICKED] = FIELD_ID | FIELD_REASON | FIELD_RUN_AT | FIELD_OUTCOME,
    [RECORD_REMOVED] = FIELD_ID | FIELD_REASON,
    [RECORD_PAUSED] = FIELD_SCOPE,
    [RECORD_RESUMED] = FIELD_SCOPE,
    [RECORD_LIMITED] = FIELD_SCOPE | FIELD_LIMITS,
    [RECORD_SET] = FIELD_MORE | FIELD_BOND | FIELD_BODY,
    [RECORD_APPENDED] = FIELD_MORE | FIELD_BODY,
    [RECORD_UNSET] = FIELD_MORE | FIELD_CAUSE,
    [RECORD_RANKED] = FIELD_ID | FIELD_MORE | FIELD_SCORE | FIELD_BEFORE,
    [RECORD_UNRANKED] = FIELD_ID | FIELD_MORE | FIELD_SCORE,
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

unsigned record_kind_of(struct bytes word)
{
    for (unsigned kind = 1; kind < RECORD_KIND_COUNT; kind++) {
        const char *known = record_kind_word(kind);
        if (known != NULL && bytes_equal(word, bytes_from_text(known))) return kind;
    }
    return 0;
}

const char *record_cause_word(enum record_cause cause)
{
    switch (cause) {
    case CAUSE_REMOVED: return "removed";
    case CAUSE_EXPIRED: return "expired";
    case CAUSE_HOLD_ENDED: return "hold_ended";
    case CAUSE_COUNT: break;
    }
    UNREACHABLE("all causes have a word");
}

/* ---------------------------------------------------------------- writing */

char *record_put_score(char *out, double score)
{
    uint64_t bits;
    _Static_assert(sizeof bits == sizeof score, "a score is a binary64");
    memcpy(&bits, &score, sizeof bits);
    for (unsigned index = 0; index < 8; index++) {
        *out++ = (char)(uint8_t)(bits >> (56 - 8 * index));
    }
    return out;
}

char *record_put_terms(char *out, const struct item_terms *terms)
{
    uint64_t numbers[] = {
        (uint64_t)terms->run_at_us,
        (uint64_t)terms->expires_at_us,
        terms->lease_ms,
        terms->timeout_ms,
        terms->retention_ms,
        terms->backoff_ms,
        terms->backoff_ms_max,
        terms->unique_ms,
        terms->attempts_max,
        terms->lapses_max,
        terms->priority,
        terms->backoff,
        terms->jitter,
        terms->unique_scope,
        terms->conflict,
    };
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        out = codec_put_number(out, numbers[index]);
    }
    return out;
}

char *record_put_limits(char *out, const struct group_limits *limits)
{
    uint64_t numbers[] = { limits->running_max, limits->size_max, limits->rate_count,
                           limits->rate_ms,     limits->burst,    limits->weight };
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        out = codec_put_number(out, numbers[index]);
    }
    return out;
}

static char *put_body(char *out, struct bytes body)
{
    bool is_here = body.size > 0 && body.data != NULL;
    out = codec_put_number(out, (uint64_t)body.size << 1 | is_here);
    if (is_here) memcpy(out, body.data, body.size);
    return is_here ? out + body.size : out;
}

/* Outcome, whether it counts, and above these whether it was the time that was over. */
#define OUTCOME_TIMEOUT ((uint64_t)OUTCOME_COUNT << 1)

static uint64_t outcome_code(const struct record *record)
{
    uint64_t code = (uint64_t)record->outcome << 1 | record->is_counted;
    return record->is_timeout ? code + OUTCOME_TIMEOUT : code;
}

static char *put_work(char *end, const struct record *record, unsigned fields)
{
    if (fields & FIELD_RUN_AT) end = codec_put_number(end, (uint64_t)record->run_at_us);
    if (fields & FIELD_OUTCOME) end = codec_put_number(end, outcome_code(record));
    if (fields & FIELD_SCOPE) {
        end = codec_put_number(end, record->is_whole);
        end = codec_put_text(end, record->group);
    }
    if (fields & FIELD_LIMITS) end = record_put_limits(end, &record->limits);
    if (fields & FIELD_PUT) {
        end = codec_put_text(end, record->group);
        end = codec_put_text(end, record->unique);
        end = record_put_terms(end, &record->terms);
    }
    return end;
}

static char *put_key(char *end, const struct record *record, unsigned fields)
{
    if (fields & FIELD_MORE) end = codec_put_number(end, record->more);
    if (fields & FIELD_BOND) {
        end = codec_put_number(end, (uint64_t)record->ttl_ms << 1 | record->is_kept);
        end = codec_put_text(end, record->bond);
        if (record->bond.size > 0) end = codec_put_number(end, record->token.value);
    }
    if (fields & FIELD_SCORE) end = record_put_score(end, record->score);
    if (fields & FIELD_BEFORE) {
        *end++ = record->is_new;
        if (!record->is_new) end = record_put_score(end, record->score_before);
    }
    if (fields & FIELD_CAUSE) end = codec_put_number(end, record->cause);
    return end;
}

void record_encode(struct buffer *out, const struct record *record)
{
    ASSERT(record_kind_word(record->kind) != NULL);
    ASSERT(record->at.us >= 0);
    unsigned fields = fields_of_kind[record->kind];
    size_t size_max = RECORD_NUMBERS_SIZE + record->name.size + record->owner.size +
                      record->meta.size + record->reason.size + record->id.size +
                      record->group.size + record->unique.size + record->bond.size;
    if (record->body.data != NULL) size_max += record->body.size;
    char *end = buffer_extend(out, size_max);
    if (end == NULL) return;

    *end++ = (char)record->kind;
    end = codec_put_number(end, (uint64_t)record->at.us);
    end = codec_put_text(end, record->name);
    if (fields & FIELD_ID) end = codec_put_text(end, record->id);
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
    if (RECORD_KIND_IS_WORK(record->kind)) end = put_work(end, record, fields);
    if (RECORD_KIND_IS_KEY(record->kind)) end = put_key(end, record, fields);
    if (fields & FIELD_BODY) end = put_body(end, record->body);
    size_t size = (size_t)(end - out->data);
    ASSERT(size <= out->size);
    out->size = size; /* the numbers were shorter */
}

/* The body is the last field, and the lowest bit of the number before it says that it is here. */
void record_encode_brief(struct buffer *out, struct bytes encoded, size_t body_size)
{
    ASSERT(body_size > 0 && body_size < encoded.size);
    size_t size = encoded.size - body_size;
    char *brief = buffer_extend(out, size);
    if (brief == NULL) return;
    memcpy(brief, encoded.data, size);
    char number[CODEC_NUMBER_SIZE_MAX];
    char *end = codec_put_number(number, (uint64_t)body_size << 1);
    memcpy(brief + size - (end - number), number, (size_t)(end - number));
}

/* ---------------------------------------------------------------- reading */

static uint32_t take_ms(struct codec_reader *reader, uint32_t ms_max)
{
    return (uint32_t)codec_take_number(reader, ms_max);
}

struct item_terms record_take_terms(struct codec_reader *reader)
{
    struct item_terms terms;
    terms.run_at_us = (int64_t)codec_take_number(reader, LIMIT_RUN_AT_US_MAX);
    terms.expires_at_us = (int64_t)codec_take_number(reader, LIMIT_RUN_AT_US_MAX);
    terms.lease_ms = take_ms(reader, LIMIT_TTL_MS_MAX);
    terms.timeout_ms = take_ms(reader, LIMIT_TIMEOUT_MS_MAX);
    terms.retention_ms = take_ms(reader, LIMIT_RETENTION_MS_MAX);
    terms.backoff_ms = take_ms(reader, LIMIT_BACKOFF_MS_MAX);
    terms.backoff_ms_max = take_ms(reader, LIMIT_BACKOFF_MS_MAX);
    terms.unique_ms = take_ms(reader, LIMIT_RETENTION_MS_MAX);
    terms.attempts_max = (uint16_t)codec_take_number(reader, LIMIT_ATTEMPTS_MAX);
    terms.lapses_max = (uint8_t)codec_take_number(reader, LIMIT_LAPSES_MAX);
    terms.priority = (uint8_t)codec_take_number(reader, LIMIT_PRIORITY_MAX);
    terms.backoff = (uint8_t)codec_take_number(reader, ITEM_BACKOFF_COUNT - 1);
    terms.jitter = (uint8_t)codec_take_number(reader, 100);
    terms.unique_scope = (uint8_t)codec_take_number(reader, UNIQUE_SCOPE_COUNT - 1);
    terms.conflict = (uint8_t)codec_take_number(reader, UNIQUE_CONFLICT_COUNT - 1);
    if (!reader->is_bad && !record_are_terms_sound(&terms)) reader->is_bad = true;
    return terms;
}

struct group_limits record_take_limits(struct codec_reader *reader)
{
    struct group_limits limits;
    limits.running_max = (uint32_t)codec_take_number(reader, UINT32_MAX);
    limits.size_max = (uint32_t)codec_take_number(reader, UINT32_MAX);
    limits.rate_count = (uint32_t)codec_take_number(reader, UINT32_MAX);
    limits.rate_ms = take_ms(reader, LIMIT_TTL_MS_MAX);
    limits.burst = (uint32_t)codec_take_number(reader, UINT32_MAX);
    limits.weight = (uint32_t)codec_take_number(reader, LIMIT_WEIGHT_MAX);
    if (!reader->is_bad && !record_are_limits_sound(&limits)) reader->is_bad = true;
    return limits;
}

bool record_are_terms_sound(const struct item_terms *terms)
{
    if (terms->run_at_us < 0 || terms->run_at_us > LIMIT_RUN_AT_US_MAX) return false;
    if (terms->expires_at_us < 0 || terms->expires_at_us > LIMIT_RUN_AT_US_MAX) return false;
    if (terms->lease_ms < LIMIT_TTL_MS_MIN || terms->lease_ms > LIMIT_TTL_MS_MAX) return false;
    if (terms->timeout_ms > LIMIT_TIMEOUT_MS_MAX) return false;
    if (terms->retention_ms > LIMIT_RETENTION_MS_MAX) return false;
    if (terms->backoff_ms > LIMIT_BACKOFF_MS_MAX) return false;
    if (terms->backoff_ms_max > LIMIT_BACKOFF_MS_MAX) return false;
    if (terms->unique_ms > LIMIT_RETENTION_MS_MAX) return false;
    if (terms->attempts_max > LIMIT_ATTEMPTS_MAX) return false;
    if (terms->priority > LIMIT_PRIORITY_MAX || terms->jitter > 100) return false;
    return terms->backoff < ITEM_BACKOFF_COUNT && terms->unique_scope < UNIQUE_SCOPE_COUNT &&
           terms->conflict < UNIQUE_CONFLICT_COUNT;
}

/* The schedule of a rate is ahead of the clock by a whole burst: that must fit into a time. */
static bool is_burst_sound(const struct group_limits *limits)
{
    if (limits->rate_count == 0) return true;
    int64_t interval_ns = limits->rate_ms * NS_PER_MS / limits->rate_count;
    int64_t ahead_ns;
    return !__builtin_mul_overflow(interval_ns, (int64_t)limits->burst, &ahead_ns) &&
           ahead_ns <= INT64_MAX / 4;
}

bool record_are_limits_sound(const struct group_limits *limits)
{
    if (limits->rate_count > 0 && limits->rate_ms == 0) return false;
    if (limits->rate_ms > LIMIT_TTL_MS_MAX || !is_burst_sound(limits)) return false;
    return limits->burst > 0 && limits->weight > 0 && limits->weight <= LIMIT_WEIGHT_MAX;
}

bool record_is_score(double score)
{
    bool is_zero = score >= 0 && score <= 0;
    return __builtin_isfinite(score) && !(is_zero && __builtin_signbit(score));
}

static struct bytes take_body(struct codec_reader *reader, size_t size_max)
{
    uint64_t code = codec_take_number(reader, (uint64_t)size_max << 1 | 1);
    struct bytes body = { NULL, (size_t)(code >> 1) };
    if (!(code & 1)) return body;
    if (reader->is_bad || body.size == 0 || body.size > reader->input.size) {
        reader->is_bad = true;
        return (struct bytes){ 0 };
    }
    body.data = reader->input.data;
    reader->input.data += body.size;
    reader->input.size -= body.size;
    return body;
}

static void take_work(struct codec_reader *reader, unsigned fields, struct record *record)
{
    if (fields & FIELD_RUN_AT) {
        record->run_at_us = (int64_t)codec_take_number(reader, LIMIT_RUN_AT_US_MAX);
    }
    if (fields & FIELD_OUTCOME) {
        bool has_timeout = record->kind == RECORD_FAILED;
        uint64_t code =
            codec_take_number(reader, has_timeout ? 2 * OUTCOME_TIMEOUT - 1 : OUTCOME_TIMEOUT - 1);
        record->is_timeout = code >= OUTCOME_TIMEOUT;
        code %= OUTCOME_TIMEOUT;
        record->outcome = (enum record_outcome)(code >> 1);
        record->is_counted = code & 1;
    }
    if (fields & FIELD_SCOPE) {
        record->is_whole = codec_take_number(reader, 1) == 1;
        record->group = codec_take_text(reader, LIMIT_GROUP_SIZE_MAX);
    }
    if (fields & FIELD_LIMITS) record->limits = record_take_limits(reader);
    if (fields & FIELD_PUT) {
        record->group = codec_take_text(reader, LIMIT_GROUP_SIZE_MAX);
        record->unique = codec_take_text(reader, LIMIT_UNIQUE_SIZE_MAX);
        record->terms = record_take_terms(reader);
    }
}

double record_take_score(struct codec_reader *reader)
{
    uint64_t bits = 0;
    double score;
    if (reader->is_bad || reader->input.size < sizeof bits) {
        reader->is_bad = true;
        return 0;
    }
    for (unsigned index = 0; index < sizeof bits; index++) {
        bits = bits << 8 | (uint8_t)reader->input.data[index];
    }
    reader->input.data += sizeof bits;
    reader->input.size -= sizeof bits;
    memcpy(&score, &bits, sizeof score);
    if (!record_is_score(score)) reader->is_bad = true;
    return score;
}

static void take_key(struct codec_reader *reader, unsigned fields, struct record *record)
{
    if (fields & FIELD_MORE) record->more = (uint32_t)codec_take_number(reader, UINT32_MAX);
    if (fields & FIELD_BOND) {
        uint64_t code = codec_take_number(reader, (uint64_t)LIMIT_STATE_TTL_MS_MAX << 1 | 1);
        record->ttl_ms = (uint32_t)(code >> 1);
        record->is_kept = code & 1;
        record->bond = codec_take_text(reader, LIMIT_NAME_SIZE_MAX);
        if (record->bond.size > 0) record->token.value = codec_take_number(reader, TOKEN_MAX);
    }
    if (fields & FIELD_SCORE) record->score = record_take_score(reader);
    if (fields & FIELD_BEFORE) {
        record->is_new = codec_take_number(reader, 1) == 1;
        if (!record->is_new) record->score_before = record_take_score(reader);
    }
    if (fields & FIELD_CAUSE) {
        record->cause = (enum record_cause)codec_take_number(reader, CAUSE_COUNT - 1);
    }
}

static size_t body_size_max(enum record_kind kind)
{
    if (RECORD_KIND_IS_KEY(kind)) return LIMIT_VALUE_SIZE_MAX;
    return kind == RECORD_PUT ? LIMIT_BODY_SIZE_MAX : LIMIT_RESULT_SIZE_MAX;
}

static void take_fields(struct codec_reader *reader, unsigned fields, struct record *record)
{
    if (fields & FIELD_ID) record->id = codec_take_text(reader, LIMIT_ID_SIZE_MAX);
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
    if (RECORD_KIND_IS_WORK(record->kind)) take_work(reader, fields, record);
    if (RECORD_KIND_IS_KEY(record->kind)) take_key(reader, fields, record);
    if (fields & FIELD_BODY) record->body = take_body(reader, body_size_max(record->kind));
}

static bool is_work_sound(const struct record *record)
{
    if (!utf8_is_plain(record->group) || !utf8_is_plain(record->unique)) return false;
    if (record->is_whole && record->group.size > 0) return false;
    bool has_key = record->unique.size > 0;
    return has_key == (record->terms.unique_scope != UNIQUE_NONE);
}

/* What the fields must be by themselves; what they must be in the state is for apply.c. */
static bool is_sound(const struct record *record, unsigned fields)
{
    if (record->name.size == 0 || !utf8_is_plain(record->name)) return false;
    if ((fields & FIELD_OWNER) && (record->owner.size == 0 || !utf8_is_plain(record->owner))) {
        return false;
    }
    if ((fields & FIELD_TOKEN) && record->token.value == 0) return false;
    if ((fields & FIELD_ID) && (record->id.size == 0 || !utf8_is_plain(record->id))) return false;
    if (RECORD_KIND_IS_WORK(record->kind) && !is_work_sound(record)) return false;
    if (record->bond.size > 0 && (record->token.value == 0 || !utf8_is_plain(record->bond))) {
        return false;
    }
    if (record->is_kept && (record->bond.size > 0 || record->ttl_ms > 0)) return false;
    if ((fields & FIELD_SLOTS) && record->slot >= record->slots) return false;
    return !(fields & FIELD_SLOTS) || record->mode == ENGINE_EXCLUSIVE || record->slots == 1;
}

/* The fields of the record at the front of the reader; bad when there is none. */
static struct record take_record(struct codec_reader *reader)
{
    struct record record = { .kind = RECORD_GRANTED }; /* whatever it is: the kind comes next */
    uint64_t kind = codec_take_number(reader, RECORD_KIND_COUNT - 1);
    if (reader->is_bad || record_kind_word((unsigned)kind) == NULL) {
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
