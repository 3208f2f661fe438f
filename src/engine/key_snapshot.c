/* key_snapshot - see key_snapshot.h.
 *
 * Restoring the events rebuilds the values that they keep, the last one of each key as if it were
 * its value; the entries of the keys come behind all events.  Where events were forgotten while the
 * snapshot was written there is a gap, and what was put together before it is dropped: so what was
 * there before an event says which one that is, and comes behind the gap. */
#include "engine/key_snapshot.h"

#include "base/utf8.h"
#include "engine/change_apply.h"
#include "engine/output.h"
#include "engine/snapshot.h"

/* Members of a rank in one entry, and keys without anything to write that one step passes over. */
#define RUN_MAX  64u
#define SKIP_MAX 256u

/* -------------------------------------------------------------------- writing */

void key_put_key(struct buffer *out, const struct key *key)
{
    const struct value *value = key->value;
    if (value == NULL && key_member_count(key) == 0) return;
    size_t start = snapshot_begin_entry(out);
    snapshot_put_text(out, key_name(key));
    snapshot_put_numbers(out, (uint64_t[]){ key->last_seq.value, value != NULL }, 2);
    if (value != NULL) {
        const struct key_terms *terms = key->terms;
        const struct bond *bond = terms == NULL ? NULL : terms->bond;
        snapshot_put_numbers(
            out, (uint64_t[]){ value->version.value, terms == NULL ? 0 : terms->ttl_ms }, 2);
        snapshot_put_text(out, bond == NULL ? (struct bytes){ 0 } : bond_lock(bond));
        if (bond != NULL) snapshot_put_numbers(out, &bond->token.value, 1);
        snapshot_put_text(out, value_bytes(value));
    }
    snapshot_finish_entry(out, start, ENTRY_KEY);
}

static void put_member_fields(struct buffer *out, const struct member *member)
{
    char score[8];
    (void)record_put_score(score, member->score);
    buffer_append(out, score, sizeof score);
    snapshot_put_text(out, member_name(member));
}

void key_put_member(struct buffer *out, const struct member *member)
{
    size_t start = snapshot_begin_entry(out);
    snapshot_put_text(out, key_name(member->key));
    snapshot_put_numbers(out, &(uint64_t){ 1 }, 1);
    put_member_fields(out, member);
    snapshot_finish_entry(out, start, ENTRY_MEMBERS);
}

/* `seq` is of the event that replaced it. */
static void put_before(struct buffer *out, struct seq seq, const struct value *value)
{
    size_t start = snapshot_begin_entry(out);
    snapshot_put_numbers(out, &seq.value, 1);
    snapshot_put_text(out, key_name(value->key));
    snapshot_put_numbers(out, &value->version.value, 1);
    snapshot_put_text(out, value_bytes(value));
    snapshot_finish_entry(out, start, ENTRY_BEFORE);
}

void key_put_event(
    struct engine *engine, struct buffer *out, struct seq seq, const struct window_entry *entry)
{
    struct record record = record_decode_known(window_record(entry));
    const struct value *before = NULL;
    if (record.kind == RECORD_SET || record.kind == RECORD_APPENDED) {
        const struct value *value = entry->subject;
        before = value->before;
        record.body = value_bytes(value);
        if (record.body.size == 0) record.body.data = NULL;
    } else if (record.kind == RECORD_UNSET) {
        before = entry->subject;
    }
    /* The event that brought it is not in the snapshot. */
    if (before != NULL && before->version.value < engine->snapshot.keys.event_first.value) {
        put_before(out, seq, before);
    }
    size_t start = snapshot_begin_entry(out);
    snapshot_put_numbers(out, (uint64_t[]){ seq.value, entry->previous.value }, 2);
    record_encode(out, &record);
    snapshot_finish_entry(out, start, ENTRY_EVENT);
}

/* ------------------------------------------------------------------- capturing */

void snapshot_touch_key(struct engine *engine, struct key *key)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (!snapshot->is_active || key->names.user == snapshot->number) return;
    key->names.user = snapshot->number;
    snapshot->keys.registers_captured += key->value != NULL;
    key_put_key(&snapshot->images, key);
}

void snapshot_touch_member(struct engine *engine, struct member *member)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (!snapshot->is_active || member->names.user == snapshot->number) return;
    member->names.user = snapshot->number;
    snapshot->keys.members_captured++;
    key_put_member(&snapshot->images, member);
}

void key_snapshot_begin(struct engine *engine)
{
    engine->snapshot.keys = (struct key_cursor){ .key = engine->keys.heads[0],
                                                 .event_first = engine->window.first,
                                                 .register_count = engine->keys.register_count,
                                                 .member_count = engine->keys.member_count };
}

/* Members from the cursor on that have not been captured, as one entry. */
static void capture_run(struct engine *engine)
{
    struct snapshot *snapshot = &engine->snapshot;
    struct key_cursor *cursor = &snapshot->keys;
    uint64_t count = 0;
    for (const struct member *member = cursor->member;
         member != NULL && count < RUN_MAX && member->names.user != snapshot->number;
         member = rank_next(member))
    {
        count++;
    }
    if (count == 0) {
        cursor->member = rank_next(cursor->member);
        return;
    }
    size_t start = snapshot_begin_entry(&snapshot->images);
    snapshot_put_text(&snapshot->images, key_name(cursor->key));
    snapshot_put_numbers(&snapshot->images, &count, 1);
    snapshot->keys.members_captured += count;
    for (; count > 0; count--) {
        cursor->member->names.user = snapshot->number;
        put_member_fields(&snapshot->images, cursor->member);
        cursor->member = rank_next(cursor->member);
    }
    snapshot_finish_entry(&snapshot->images, start, ENTRY_MEMBERS);
}

bool key_snapshot_step(struct engine *engine)
{
    struct key_cursor *cursor = &engine->snapshot.keys;
    if (cursor->key == NULL) return false;
    if (!cursor->is_in_key) {
        snapshot_touch_key(engine, cursor->key);
        cursor->is_in_key = true;
        cursor->member = cursor->key->rank == NULL ? NULL : cursor->key->rank->heads[0].next;
    } else if (cursor->member != NULL) {
        capture_run(engine);
    } else {
        cursor->is_in_key = false;
        cursor->key = key_next(cursor->key);
    }
    return true;
}

/* -------------------------------------------------------------------- reading */

static struct bytes take_plain(struct codec_reader *reader, size_t size_max)
{
    struct bytes name = codec_take_text(reader, size_max);
    if (name.size == 0 || !utf8_is_plain(name)) reader->is_bad = true;
    return name;
}

/* The value of a key while its history is restored: in the place of any other. */
static enum tenure_err
put_value(struct engine *engine, struct key *key, struct seq version, struct bytes bytes)
{
    if (key->value != NULL && key->value->version.value == version.value) return TENURE_OK;
    if (key->value != NULL && key->event_count > 0) return TENURE_CORRUPT;
    struct value *value = value_create(engine, key, bytes.size);
    if (value == NULL) return TENURE_NO_MEMORY;
    if (key->value != NULL) key_drop_value(engine, key);
    if (bytes.size > 0) memcpy(value->bytes, bytes.data, bytes.size);
    value->version = version;
    key_set_value(engine, key, value);
    return TENURE_OK;
}

static enum tenure_err
restore_bond(struct engine *engine, struct key *key, struct bytes lock, struct token token)
{
    struct bond *bond = bond_obtain(engine, lock, token);
    if (bond == NULL) return TENURE_NO_MEMORY;
    if (!bytes_equal(bond_lock(bond), lock) || bond->count >= LIMIT_BOUND_COUNT_MAX) {
        return TENURE_CORRUPT;
    }
    key_bind(key, bond);
    return TENURE_OK;
}

static enum tenure_err
restore_register(struct engine *engine, struct key *key, struct codec_reader *reader)
{
    struct seq version = { codec_take_number(reader, key->last_seq.value) };
    uint32_t ttl_ms = (uint32_t)codec_take_number(reader, LIMIT_STATE_TTL_MS_MAX);
    struct bytes lock = codec_take_text(reader, LIMIT_NAME_SIZE_MAX);
    struct token token = { 0 };
    if (lock.size > 0) token.value = codec_take_number(reader, engine->token_high.value);
    struct bytes value = codec_take_text(reader, LIMIT_VALUE_SIZE_MAX);
    if (reader->is_bad || version.value == 0 || !utf8_is_plain(lock)) return TENURE_CORRUPT;
    if (lock.size > 0 && token.value == 0) return TENURE_CORRUPT;
    enum tenure_err err = put_value(engine, key, version, value);
    if (err != TENURE_OK || (ttl_ms == 0 && lock.size == 0)) return err;
    if (key_obtain_terms(engine, key) == NULL) return TENURE_NO_MEMORY;
    if (ttl_ms > 0) key_set_ttl(engine, key, ttl_ms);
    return lock.size == 0 ? TENURE_OK : restore_bond(engine, key, lock, token);
}

enum tenure_err key_restore_key(struct engine *engine, struct codec_reader *reader)
{
    struct bytes name = take_plain(reader, LIMIT_NAME_SIZE_MAX);
    struct seq last_seq = { codec_take_number(reader, engine->restore.seq.value) };
    bool has_value = codec_take_number(reader, 1) == 1;
    if (reader->is_bad) return TENURE_CORRUPT;
    struct key *key = key_obtain(engine, name);
    if (key == NULL) return TENURE_NO_MEMORY;
    if (key->is_stored || last_seq.value < key->last_seq.value) return TENURE_CORRUPT;
    key->is_stored = true;
    key->last_seq = last_seq;
    if (!has_value) {
        bool is_sound = reader->input.size == 0 && key->value == NULL;
        return is_sound ? TENURE_OK : TENURE_CORRUPT;
    }
    enum tenure_err err = restore_register(engine, key, reader);
    if (err == TENURE_OK && reader->input.size > 0) err = TENURE_CORRUPT;
    return err;
}

enum tenure_err key_restore_members(struct engine *engine, struct codec_reader *reader)
{
    struct bytes name = take_plain(reader, LIMIT_NAME_SIZE_MAX);
    uint64_t count = codec_take_number(reader, RUN_MAX);
    if (reader->is_bad || count == 0) return TENURE_CORRUPT;
    struct key *key = key_obtain(engine, name);
    if (key == NULL) return TENURE_NO_MEMORY;
    key->pin_count++;
    enum tenure_err err = TENURE_OK;
    for (; err == TENURE_OK && count > 0; count--) {
        double score = record_take_score(reader);
        struct bytes text = take_plain(reader, LIMIT_MEMBER_SIZE_MAX);
        if (reader->is_bad || rank_find(engine, key, text) != NULL) {
            err = TENURE_CORRUPT;
            break;
        }
        struct member *member = rank_create(engine, key, text);
        if (member == NULL) err = TENURE_NO_MEMORY;
        if (member != NULL) rank_place(engine, member, score);
    }
    if (err == TENURE_OK && reader->input.size > 0) err = TENURE_CORRUPT;
    key->pin_count--;
    key_settle(engine, key);
    return err;
}

enum tenure_err key_restore_before(struct engine *engine, struct codec_reader *reader)
{
    struct bytes name = take_plain(reader, LIMIT_NAME_SIZE_MAX);
    struct seq version = { codec_take_number(reader, engine->restore.seq.value) };
    struct bytes bytes = codec_take_text(reader, LIMIT_VALUE_SIZE_MAX);
    if (reader->is_bad || reader->input.size > 0 || version.value == 0) return TENURE_CORRUPT;
    struct key *key = key_obtain(engine, name);
    if (key == NULL) return TENURE_NO_MEMORY;
    if (key->value != NULL && key->event_count == 0) key_drop_value(engine, key);
    if (key->value != NULL) return TENURE_CORRUPT;
    return put_value(engine, key, version, bytes);
}

static enum tenure_err restore_set_event(
    struct engine *engine,
    struct key *key,
    const struct record *record,
    const struct seq seqs[2],
    struct bytes encoded)
{
    if (record->body.size > 0 && record->body.data == NULL) return TENURE_CORRUPT;
    struct value *value = value_create(engine, key, record->body.size);
    if (value == NULL) return TENURE_NO_MEMORY;
    if (record->body.size > 0) memcpy(value->bytes, record->body.data, record->body.size);
    value->version = seqs[1];
    output_restore_key_event(engine, key, value, record, seqs, encoded);
    key_set_value(engine, key, value);
    return TENURE_OK;
}

enum tenure_err key_restore_event(
    struct engine *engine,
    const struct record *record,
    const struct seq seqs[2],
    struct bytes encoded)
{
    struct key *key = key_obtain(engine, record->name);
    if (key == NULL) return TENURE_NO_MEMORY;
    enum tenure_err err = TENURE_OK;
    key->pin_count++;
    if (key->value != NULL && key->value->version.value >= seqs[1].value) {
        err = TENURE_CORRUPT;
    } else if (record->kind == RECORD_SET || record->kind == RECORD_APPENDED) {
        err = restore_set_event(engine, key, record, seqs, encoded);
    } else if (record->kind != RECORD_UNSET) {
        output_restore_key_event(engine, key, key, record, seqs, encoded);
    } else if (key->value == NULL) {
        err = TENURE_CORRUPT;
    } else {
        output_restore_key_event(engine, key, key->value, record, seqs, encoded);
        key_end_value(engine, key);
    }
    key->pin_count--;
    key_settle(engine, key);
    return err;
}

void key_restore_gap(struct engine *engine)
{
    for (struct key *key = engine->keys.heads[0]; key != NULL;) {
        struct key *next = key_next(key);
        if (key->value != NULL) key_drop_value(engine, key);
        key_settle(engine, key);
        key = next;
    }
}

enum tenure_err key_restore_end(struct engine *engine)
{
    struct keys *keys = &engine->keys;
    for (struct key *key = keys->heads[0]; key != NULL;) {
        struct key *next = key_next(key);
        if (key->value != NULL && !key->is_stored) {
            if (key->event_count > 0) return TENURE_CORRUPT;
            key_drop_value(engine, key);
        }
        if (key_member_count(key) > 0 && !key->is_stored) return TENURE_CORRUPT;
        key->is_stored = false;
        key_settle(engine, key);
        key = next;
    }
    bool is_same = keys->register_count == engine->restore.register_count &&
                   keys->member_count == engine->restore.member_count;
    return is_same ? TENURE_OK : TENURE_CORRUPT;
}
