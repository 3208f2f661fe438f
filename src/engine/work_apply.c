#include "engine/work_apply.h"

#include "engine/output.h"
#include "engine/snapshot.h"

/* ---------------------------------------------------------------------- room */

bool work_new_unique(struct engine *engine, struct bytes key, struct unique **out_unique)
{
    struct unique *unique = memory_take(engine->memory, sizeof *unique + key.size);
    if (unique == NULL) return false;
    *unique = (struct unique){ .key_size = (uint8_t)key.size };
    memcpy(unique->key, key.data, key.size);
    *out_unique = unique;
    return true;
}

bool work_make_unique(
    struct engine *engine, const struct work *work, struct bytes key, struct unique **out_unique)
{
    bool is_known = key.size == 0 || unique_find(engine, work, key) != NULL;
    if (is_known) *out_unique = NULL;
    return is_known ||
           (map_reserve(&engine->works.uniques) && work_new_unique(engine, key, out_unique));
}

void work_add_unique(struct engine *engine, struct work *work, struct unique *unique)
{
    struct bytes key = { unique->key, unique->key_size };
    unique->work = work;
    map_insert(&engine->works.uniques, &unique->keys, work_text_hash(engine, work, key));
}

void work_discard_unique(struct engine *engine, struct unique *unique)
{
    if (unique != NULL) memory_give(engine->memory, unique, sizeof *unique + unique->key_size);
}

bool work_is_key_over(const struct unique *unique, int64_t at_us)
{
    const struct item *item = unique->item;
    if (item->terms.unique_scope != UNIQUE_WINDOW || unique->next != NULL) return false;
    return item->put_at_us + (int64_t)item->terms.unique_ms * 1000 <= at_us;
}

bool work_reserve_pending(struct engine *engine)
{
    struct works *works = &engine->works;
    uint64_t used = works->pending.tail - works->pending.head;
    if (used < works->pending.capacity) return true;
    uint64_t capacity = works->pending.capacity == 0 ? 64 : works->pending.capacity * 2;
    struct work_pending_entry *entries = memory_take(engine->memory, capacity * sizeof *entries);
    if (entries == NULL) return false;
    for (uint64_t index = works->pending.head; index < works->pending.tail; index++) {
        entries[index & (capacity - 1)] =
            works->pending.entries[index & (works->pending.capacity - 1)];
    }
    memory_give(engine->memory, works->pending.entries, works->pending.capacity * sizeof *entries);
    works->pending.entries = entries;
    works->pending.capacity = capacity;
    return true;
}

static void push_pending(struct engine *engine, struct lease *lease, struct seq seq)
{
    struct works *works = &engine->works;
    ASSERT(works->pending.tail - works->pending.head < works->pending.capacity);
    lease->as.pending_index = works->pending.tail;
    works->pending.entries[works->pending.tail & (works->pending.capacity - 1)] =
        (struct work_pending_entry){ seq, lease };
    works->pending.tail++;
}

/* ---------------------------------------------------------------------- put */

/* From when on it stands in line. */
static void set_order(struct engine *engine, struct item *item, int64_t at_us, int64_t run_at_us)
{
    struct works *works = &engine->works;
    item->terms.run_at_us = run_at_us;
    if (run_at_us > 0) {
        item->order_us = run_at_us;
        return;
    }
    works->order_us = at_us > works->order_us ? at_us : works->order_us + 1;
    item->order_us = works->order_us;
}

/* The key is new, its time is over, or somebody has it: then the item is kept back. */
static void
join_unique(struct engine *engine, struct item *item, struct unique *unique, struct bytes key)
{
    struct work *work = item->group->work;
    if (key.size == 0) return;
    if (unique != NULL) {
        unique->item = item;
        work_add_unique(engine, work, unique);
    } else {
        unique = unique_find(engine, work, key);
        ASSERT(unique != NULL && unique->next == NULL);
        item->is_kept_back = !work_is_key_over(unique, item->put_at_us);
        if (item->is_kept_back) {
            unique->next = item;
            engine->works.kept_back_count++;
        } else {
            snapshot_touch_item(engine, unique->item);
            unique->item->unique = NULL;
            unique->item = item;
        }
    }
    item->unique = unique;
}

void work_apply_put(
    struct engine *engine, struct item *item, struct unique *unique, const struct record *record)
{
    item->number = record->seq.value;
    item->put_at_us = record->at.us;
    set_order(engine, item, record->at.us, record->terms.run_at_us);
    join_unique(engine, item, unique, record->unique);
    bool is_delayed = item->is_kept_back || item->terms.run_at_us > 0;
    item_enter(engine, item, is_delayed ? ITEM_DELAYED : ITEM_READY);
    item_arm(engine, item);
}

/* --------------------------------------------------------------------- take */

void work_apply_taken(
    struct engine *engine, struct item *item, struct lease *lease, const struct record *record)
{
    ASSERT(record->token.value > engine->token_high.value);
    snapshot_touch_item(engine, item);
    snapshot_touch_group(engine, item->group);
    engine->token_high = record->token;
    /* A replay does not know that its time had come. */
    if (item->state == ITEM_DELAYED) item_move(engine, item, ITEM_READY);
    group_give(engine, item->group);
    item_move(engine, item, ITEM_TAKEN);
    item->token = record->token;
    item->lease = lease;
    item->ending = ITEM_END_NONE;
    item_set_note(engine, item, NULL);
    lease->item = item;
    lease->taken_at = record->at;
    if (engine->is_restoring) {
        lease->is_live = true;
        lease->as.deadline_ns = INT64_MAX;
    } else {
        push_pending(engine, lease, record->seq);
    }
}

void work_apply_extended(struct engine *engine, struct item *item, const struct record *record)
{
    snapshot_touch_item(engine, item);
    item->lease->lease_ms = record->ttl_ms;
    item->lease->is_lease_changed = !engine->is_restoring;
}

void work_apply_progressed(struct engine *engine, struct item *item, struct note *note)
{
    snapshot_touch_item(engine, item);
    item_set_note(engine, item, note);
}

/* ---------------------------------------------------------------------- ends */

/* Done or cancelled: it is remembered for a while, or not at all. */
static void end_or_keep(struct engine *engine, struct item *item, const struct record *record)
{
    item->ended_at_us = record->at.us;
    item_drop_payload(engine, item);
    item->is_cancelling = false;
    if (item_forget_at_us(item) <= record->at.us) {
        item_end(engine, item);
    } else {
        item_arm(engine, item);
    }
}

void work_apply_done(
    struct engine *engine, struct item *item, struct note *note, const struct record *record)
{
    snapshot_touch_item(engine, item);
    item_set_note(engine, item, note);
    item->ending = ITEM_END_DONE;
    item_move(engine, item, ITEM_DONE);
    end_or_keep(engine, item, record);
}

void work_apply_cancelled(
    struct engine *engine, struct item *item, struct note *note, const struct record *record)
{
    snapshot_touch_item(engine, item);
    item_set_note(engine, item, note);
    item_move(engine, item, ITEM_CANCELLED);
    end_or_keep(engine, item, record);
}

static void die(struct engine *engine, struct item *item, const struct record *record)
{
    item->ended_at_us = record->at.us;
    item->is_cancelling = false;
    item_move(engine, item, ITEM_DEAD);
}

/* Ready again, or delayed; its order has been set. */
static void stand_in_line(struct engine *engine, struct item *item)
{
    enum item_state state = item->terms.run_at_us > 0 ? ITEM_DELAYED : ITEM_READY;
    if (item->state != (unsigned)state) item_move(engine, item, state);
    item_arm(engine, item);
}

static enum record_outcome count_end(struct item *item, const struct record *record)
{
    if (record->kind == RECORD_BURIED) {
        item->ending = ITEM_END_BURIED;
        return OUTCOME_DEAD;
    }
    if (record->kind == RECORD_LAPSED) {
        item->ending = ITEM_END_LOST;
        if (item->lapses < UINT16_MAX) item->lapses++;
    } else {
        /* Only its worker may say again what it has said itself. */
        item->ending = record->is_timeout ? ITEM_END_LOST : ITEM_END_FAILED;
        if (record->is_counted && item->attempts < UINT16_MAX) item->attempts++;
    }
    return record->outcome;
}

void work_apply_failed(
    struct engine *engine, struct item *item, struct note *note, const struct record *record)
{
    snapshot_touch_item(engine, item);
    item_set_note(engine, item, note);
    switch (count_end(item, record)) {
    case OUTCOME_AGAIN:
        item->terms.run_at_us = record->run_at_us;
        /* One whose worker was lost keeps its place. */
        if (record->kind == RECORD_FAILED) {
            set_order(engine, item, record->at.us, record->run_at_us);
        }
        stand_in_line(engine, item);
        return;
    case OUTCOME_DEAD: die(engine, item, record); return;
    case OUTCOME_CANCELLED:
        item_move(engine, item, ITEM_CANCELLED);
        end_or_keep(engine, item, record);
        return;
    case OUTCOME_COUNT: break;
    }
    UNREACHABLE("all outcomes are handled");
}

void work_apply_cancelling(struct engine *engine, struct item *item)
{
    snapshot_touch_item(engine, item);
    item->is_cancelling = true;
}

void work_apply_kicked(struct engine *engine, struct item *item, const struct record *record)
{
    snapshot_touch_item(engine, item);
    if (record->is_counted) {
        item->attempts = 0;
        item->lapses = 0;
    }
    set_order(engine, item, record->at.us, record->run_at_us);
    stand_in_line(engine, item);
}

void work_apply_removed(struct engine *engine, struct item *item)
{
    snapshot_touch_item(engine, item);
    item_end(engine, item);
}

/* --------------------------------------------------------------------- scope */

static void change_queue(struct engine *engine, struct work *work, const struct record *record)
{
    if (record->kind == RECORD_LIMITED) {
        work->limits = record->limits;
        struct group_limits none = GROUP_LIMITS_NONE;
        work->has_limits = memcmp(&none, &record->limits, sizeof none) != 0;
        work_limits_changed(engine, work);
    } else {
        work->is_paused = record->kind == RECORD_PAUSED; /* the ring stays as it is */
    }
    work_changed(engine, work);
    work_settle(engine, work);
}

static void change_group(struct engine *engine, struct group *group, const struct record *record)
{
    snapshot_touch_group(engine, group);
    if (record->kind == RECORD_LIMITED) {
        /* No limits at all: those of the queue hold again. */
        struct group_limits none = GROUP_LIMITS_NONE;
        group->has_limits = memcmp(&none, &record->limits, sizeof none) != 0;
        group->limits = record->limits;
    } else {
        group->is_paused = record->kind == RECORD_PAUSED;
    }
    group_judge(engine, group);
    group_settle(engine, group);
}

void work_apply_scope(
    struct engine *engine, struct work *work, struct group *group, const struct record *record)
{
    if (group == NULL) {
        change_queue(engine, work, record);
    } else {
        change_group(engine, group, record);
    }
}
