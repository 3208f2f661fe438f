/* work_restore - records of queues from the journal: each is compared with the state before it is
 * applied. */
#include "engine/output.h"
#include "engine/work_apply.h"

static enum tenure_err
restore_put(struct engine *engine, struct work *work, const struct record *record)
{
    if (item_find(engine, work, record->id) != NULL) return TENURE_CORRUPT;
    if (record->body.size > 0 && record->body.data == NULL) return TENURE_CORRUPT;
    const struct unique *known =
        record->unique.size == 0 ? NULL : unique_find(engine, work, record->unique);
    if (known != NULL && known->next != NULL) return TENURE_CORRUPT;

    struct unique *unique;
    struct group *group = group_obtain(engine, work, record->group);
    if (group == NULL) return TENURE_NO_MEMORY;
    if (!work_make_unique(engine, work, record->unique, &unique)) {
        group_settle(engine, group);
        return TENURE_NO_MEMORY;
    }
    struct item_wish wish = { .id = record->id,
                              .headers = record->meta,
                              .body = record->body,
                              .unique = record->unique,
                              .terms = record->terms };
    struct item *item = item_create(engine, group, &wish);
    if (item == NULL) {
        work_discard_unique(engine, unique);
        group_settle(engine, group);
        return TENURE_NO_MEMORY;
    }
    work_apply_put(engine, item, unique, record);
    return TENURE_OK;
}

static enum tenure_err
restore_taken(struct engine *engine, struct item *item, const struct record *record)
{
    bool is_waiting = item->state == ITEM_READY || item->state == ITEM_DELAYED;
    if (!is_waiting || item->is_kept_back || record->token.value <= engine->token_high.value) {
        return TENURE_CORRUPT;
    }
    if (record->ttl_ms == 0) return TENURE_CORRUPT;
    struct lease *lease = lease_create(engine, record->owner, record->ttl_ms);
    if (lease == NULL) return TENURE_NO_MEMORY;
    work_apply_taken(engine, item, lease, record);
    return TENURE_OK;
}

/* What the worker, or its silence, made of it. */
static enum tenure_err
restore_lease(struct engine *engine, struct item *item, const struct record *record)
{
    if (item->state != ITEM_TAKEN || item->token.value != record->token.value) {
        return TENURE_CORRUPT;
    }
    if (record->kind == RECORD_EXTENDED) {
        if (record->ttl_ms == 0) return TENURE_CORRUPT;
        work_apply_extended(engine, item, record);
        return TENURE_OK;
    }
    bool is_done = record->kind == RECORD_DONE;
    if (is_done && record->body.size > 0 && record->body.data == NULL) return TENURE_CORRUPT;
    struct note *note;
    if (!note_create(engine, is_done ? record->body : record->reason, &note)) {
        return TENURE_NO_MEMORY;
    }
    if (is_done) {
        work_apply_done(engine, item, note, record);
    } else if (record->kind == RECORD_PROGRESSED) {
        work_apply_progressed(engine, item, note);
    } else {
        work_apply_failed(engine, item, note, record);
    }
    return TENURE_OK;
}

/* What an administrator or time made of it. */
static enum tenure_err
restore_order(struct engine *engine, struct item *item, const struct record *record)
{
    bool is_waiting = item->state == ITEM_DELAYED || item->state == ITEM_READY;
    switch (record->kind) {
    case RECORD_CANCELLING:
        if (item->state != ITEM_TAKEN) return TENURE_CORRUPT;
        work_apply_cancelling(engine, item);
        return TENURE_OK;
    case RECORD_CANCELLED: {
        struct note *note;
        if (!is_waiting) return TENURE_CORRUPT;
        if (!note_create(engine, record->reason, &note)) return TENURE_NO_MEMORY;
        work_apply_cancelled(engine, item, note, record);
        return TENURE_OK;
    }
    case RECORD_KICKED:
        if (item->state != ITEM_DELAYED && item->state != ITEM_DEAD) return TENURE_CORRUPT;
        if (item->is_kept_back) return TENURE_CORRUPT;
        if (!item_reserve_ready(engine, item->group)) return TENURE_NO_MEMORY;
        work_apply_kicked(engine, item, record);
        return TENURE_OK;
    case RECORD_REMOVED:
        if (item->state == ITEM_TAKEN) return TENURE_CORRUPT;
        work_apply_removed(engine, item);
        return TENURE_OK;
    case RECORD_GRANTED:
    case RECORD_RENEWED:
    case RECORD_RELEASED:
    case RECORD_EXPIRED:
    case RECORD_BREAKING:
    case RECORD_BROKEN:
    case RECORD_PROCLAIMED:
    case RECORD_AVAILABLE:
    case RECORD_PUT:
    case RECORD_TAKEN:
    case RECORD_EXTENDED:
    case RECORD_PROGRESSED:
    case RECORD_DONE:
    case RECORD_FAILED:
    case RECORD_LAPSED:
    case RECORD_BURIED:
    case RECORD_PAUSED:
    case RECORD_RESUMED:
    case RECORD_LIMITED:
    case RECORD_SET:
    case RECORD_APPENDED:
    case RECORD_UNSET:
    case RECORD_RANKED:
    case RECORD_UNRANKED: break;
    }
    UNREACHABLE("the other kinds are handled by the caller");
}

static enum tenure_err
restore_scope(struct engine *engine, struct work *work, const struct record *record)
{
    struct group *group = NULL;
    if (!record->is_whole) {
        group = group_obtain(engine, work, record->group);
        if (group == NULL) return TENURE_NO_MEMORY;
    }
    work_apply_scope(engine, work, group, record);
    return TENURE_OK;
}

static enum tenure_err
restore_change(struct engine *engine, struct work *work, const struct record *record)
{
    if (record->kind == RECORD_PUT) return restore_put(engine, work, record);
    if (record->kind >= RECORD_PAUSED) return restore_scope(engine, work, record);
    struct item *item = item_find(engine, work, record->id);
    if (item == NULL) return TENURE_CORRUPT;
    if (record->kind == RECORD_TAKEN) return restore_taken(engine, item, record);
    bool is_of_lease = record->kind >= RECORD_EXTENDED && record->kind <= RECORD_BURIED;
    return is_of_lease ? restore_lease(engine, item, record) : restore_order(engine, item, record);
}

enum tenure_err
work_restored(struct engine *engine, const struct record *record, struct bytes encoded)
{
    ASSERT(engine->is_restoring);
    struct work *work = work_obtain(engine, record->name);
    if (work == NULL) return TENURE_NO_MEMORY;
    work->pin_count++;         /* keeps it through what follows */
    engine->wall = record->at; /* rates are counted from the records */
    enum tenure_err err = restore_change(engine, work, record);
    if (err == TENURE_OK) {
        engine->seq.value++;
        output_remember_work(engine, work, record, encoded);
    }
    work->pin_count--;
    work_settle(engine, work);
    return err;
}
