#include "engine/change_apply.h"

#include "engine/key_commands.h"
#include "engine/output.h"
#include "engine/snapshot.h"

void change_apply_set(
    struct engine *engine,
    struct key *key,
    struct value *value,
    struct bond *bond,
    const struct record *record)
{
    value->version = record->seq;
    key_set_value(engine, key, value);
    if (record->kind == RECORD_APPENDED || record->is_kept) return;
    if (bond != NULL) bond->pin_count++; /* the key may be the last that is bound to it */
    key_clear_terms(engine, key);
    if (bond != NULL) bond->pin_count--;
    if (record->ttl_ms > 0) key_set_ttl(engine, key, record->ttl_ms);
    if (bond != NULL) key_bind(key, bond);
}

void change_apply_unset(struct engine *engine, struct key *key)
{
    key_end_value(engine, key);
}

void change_apply_ranked(struct engine *engine, struct member *member, const struct record *record)
{
    snapshot_touch_member(engine, member);
    rank_place(engine, member, record->score);
}

void change_apply_unranked(struct engine *engine, struct member *member)
{
    snapshot_touch_member(engine, member);
    rank_remove(engine, member);
}

/* ------------------------------------------------------------------ restoring */

/* Terms and bond as the record says.  `*out_bond` is NULL when it says none. */
static enum tenure_err restore_terms(
    struct engine *engine, struct key *key, const struct record *record, struct bond **out_bond)
{
    bool is_bound = record->bond.size > 0;
    *out_bond = NULL;
    if (record->ttl_ms == 0 && !is_bound) return TENURE_OK;
    if (key_obtain_terms(engine, key) == NULL) return TENURE_NO_MEMORY;
    if (!is_bound) return TENURE_OK;
    struct bond *bond = bond_obtain(engine, record->bond, record->token);
    if (bond == NULL) return TENURE_NO_MEMORY;
    if (!bytes_equal(bond_lock(bond), record->bond)) return TENURE_CORRUPT;
    *out_bond = bond;
    return TENURE_OK;
}

static enum tenure_err restore_set(
    struct engine *engine, struct key *key, const struct record *record, struct value **out_value)
{
    bool is_appended = record->kind == RECORD_APPENDED;
    size_t size_before = is_appended && key->value != NULL ? key->value->size : 0;
    if (record->body.size > 0 && record->body.data == NULL) return TENURE_CORRUPT;
    if (record->body.size > LIMIT_VALUE_SIZE_MAX - size_before) return TENURE_CORRUPT;
    if ((is_appended || record->is_kept) && key->value == NULL) return TENURE_CORRUPT;

    struct value *value = value_create(engine, key, size_before + record->body.size);
    if (value == NULL) return TENURE_NO_MEMORY;
    struct bond *bond;
    enum tenure_err err = restore_terms(engine, key, record, &bond);
    if (err != TENURE_OK) {
        value_discard(engine, value);
        return err;
    }
    if (size_before > 0) memcpy(value->bytes, key->value->bytes, size_before);
    if (record->body.size > 0) {
        memcpy(value->bytes + size_before, record->body.data, record->body.size);
    }
    change_apply_set(engine, key, value, bond, record);
    *out_value = value;
    return TENURE_OK;
}

static enum tenure_err
restore_ranked(struct engine *engine, struct key *key, const struct record *record)
{
    struct member *member = rank_find(engine, key, record->id);
    bool is_same = member != NULL && score_compare(member->score, record->score_before) == 0;
    if (record->is_new ? member != NULL : !is_same) return TENURE_CORRUPT;
    if (member == NULL) member = rank_create(engine, key, record->id);
    if (member == NULL) return TENURE_NO_MEMORY;
    change_apply_ranked(engine, member, record);
    return TENURE_OK;
}

/* `*out_subject` is that of the event. */
static enum tenure_err restore_change(
    struct engine *engine, struct key *key, const struct record *record, void **out_subject)
{
    *out_subject = key;
    if (record->kind == RECORD_SET || record->kind == RECORD_APPENDED) {
        struct value *value;
        enum tenure_err err = restore_set(engine, key, record, &value);
        if (err == TENURE_OK) *out_subject = value;
        return err;
    }
    if (record->kind == RECORD_UNSET) {
        if (key->value == NULL) return TENURE_CORRUPT;
        *out_subject = key->value;
        change_apply_unset(engine, key);
        return TENURE_OK;
    }
    if (record->kind == RECORD_RANKED) return restore_ranked(engine, key, record);
    struct member *member = rank_find(engine, key, record->id);
    if (member == NULL || score_compare(member->score, record->score) != 0) return TENURE_CORRUPT;
    change_apply_unranked(engine, member);
    return TENURE_OK;
}

enum tenure_err
change_restored(struct engine *engine, const struct record *record, struct bytes encoded)
{
    ASSERT(engine->is_restoring);
    struct key *key = key_obtain(engine, record->name);
    if (key == NULL) return TENURE_NO_MEMORY;
    key->pin_count++; /* keeps it through what follows */
    void *subject;
    enum tenure_err err = restore_change(engine, key, record, &subject);
    if (err == TENURE_OK) {
        engine->seq.value++;
        output_remember_key(engine, key, subject, record, encoded);
    }
    key->pin_count--;
    key_settle(engine, key);
    return err;
}
