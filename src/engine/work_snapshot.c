#include "engine/work_snapshot.h"

#include "base/utf8.h"
#include "engine/item.h"
#include "engine/record.h"
#include "engine/snapshot.h"
#include "engine/work_apply.h"

/* Whether a waiting item is delayed or ready is a matter of the clock. */
enum stored_state { STORED_WAITING, STORED_TAKEN, STORED_DONE, STORED_DEAD, STORED_CANCELLED };
#define STORED_STATE_MAX 4u

enum item_flag { FLAG_CANCELLING = 1, FLAG_KEPT_BACK = 2, FLAG_HAS_KEY = 4, FLAG_HAS_PAYLOAD = 8 };
#define ITEM_FLAGS_MAX 15u

/* ------------------------------------------------------------------- writing */

void work_put_queue(struct buffer *out, const struct work *work)
{
    uint32_t count = 0;
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        count += work->counts[state];
    }
    if (count == 0 && !work->is_paused && !work->has_limits) return;
    size_t start = snapshot_begin_entry(out);
    char numbers[RECORD_NUMBERS_SIZE];
    snapshot_put_text(out, work_name(work));
    snapshot_put_numbers(out, (uint64_t[]){ work->last_seq.value, work->is_paused }, 2);
    buffer_append(out, numbers, (size_t)(record_put_limits(numbers, &work->limits) - numbers));
    snapshot_finish_entry(out, start, ENTRY_QUEUE);
}

void work_put_group(struct buffer *out, const struct group *group, bool has_rate)
{
    uint64_t rate_us = has_rate ? (uint64_t)group->rate_us : 0;
    if (!group->is_paused && !group->has_limits && rate_us == 0) return;
    size_t start = snapshot_begin_entry(out);
    char numbers[RECORD_NUMBERS_SIZE];
    snapshot_put_text(out, work_name(group->work));
    snapshot_put_text(out, group_name(group));
    snapshot_put_numbers(out, (uint64_t[]){ rate_us, group->is_paused, group->has_limits }, 3);
    buffer_append(out, numbers, (size_t)(record_put_limits(numbers, &group->limits) - numbers));
    snapshot_finish_entry(out, start, ENTRY_GROUP);
}

static enum stored_state stored_state(const struct item *item)
{
    switch ((enum item_state)item->state) {
    case ITEM_DELAYED:
    case ITEM_READY: return STORED_WAITING;
    case ITEM_TAKEN: return STORED_TAKEN;
    case ITEM_DONE: return STORED_DONE;
    case ITEM_DEAD: return STORED_DEAD;
    case ITEM_CANCELLED: return STORED_CANCELLED;
    case ITEM_STATE_COUNT: break;
    }
    UNREACHABLE("an item that is linked has a state");
}

static unsigned item_flags(const struct item *item)
{
    unsigned flags = 0;
    if (item->is_cancelling) flags |= FLAG_CANCELLING;
    if (item->is_kept_back) flags |= FLAG_KEPT_BACK;
    if (item->unique != NULL) flags |= FLAG_HAS_KEY;
    if (item->has_payload) flags |= FLAG_HAS_PAYLOAD;
    return flags;
}

void work_put_item(struct buffer *out, const struct item *item)
{
    const struct lease *lease = item->lease;
    uint64_t values[] = {
        item->number,
        (uint64_t)item->order_us,
        (uint64_t)item->put_at_us,
        item->token.value,
        item->attempts,
        item->lapses,
        stored_state(item),
        item->ending,
        item_flags(item),
    };
    char numbers[RECORD_NUMBERS_SIZE];
    size_t start = snapshot_begin_entry(out);
    snapshot_put_text(out, work_name(item->group->work));
    snapshot_put_text(out, group_name(item->group));
    snapshot_put_text(out, item_id(item));
    snapshot_put_numbers(out, values, sizeof values / sizeof *values);
    buffer_append(out, numbers, (size_t)(record_put_terms(numbers, &item->terms) - numbers));
    snapshot_put_text(out, item_unique(item));
    snapshot_put_text(out, item_note(item));
    if (lease != NULL) {
        uint64_t terms[] = { lease->lease_ms, (uint64_t)lease->taken_at.us };
        snapshot_put_text(out, (struct bytes){ lease->worker, lease->worker_size });
        snapshot_put_numbers(out, terms, 2);
    }
    if (item->has_payload) {
        snapshot_put_text(out, item_headers(item));
        snapshot_put_text(out, item_body(item));
    }
    snapshot_finish_entry(out, start, ENTRY_ITEM);
}

/* ---------------------------------------------------------------- capturing */

void snapshot_touch_work(struct engine *engine, struct work *work)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (!snapshot->is_active || work->names.user == snapshot->number) return;
    work->names.user = snapshot->number;
    work_put_queue(&snapshot->images, work);
}

void snapshot_touch_group(struct engine *engine, struct group *group)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (!snapshot->is_active || group->names.user == snapshot->number) return;
    group->names.user = snapshot->number;
    work_put_group(&snapshot->images, group, true);
}

void snapshot_touch_item(struct engine *engine, struct item *item)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (!snapshot->is_active || item->ids.user == snapshot->number) return;
    item->ids.user = snapshot->number;
    snapshot->works.captured++;
    work_put_item(&snapshot->images, item);
}

void work_snapshot_begin(struct engine *engine)
{
    struct snapshot *snapshot = &engine->snapshot;
    snapshot->works.work = engine->works.all.next;
    snapshot->works.is_in_work = false;
    snapshot->works.item_count = engine->works.item_count;
    snapshot->works.captured = 0;
    snapshot->works.order_us = engine->works.order_us;
}

static void enter_work(struct engine *engine, struct work *work)
{
    struct snapshot *snapshot = &engine->snapshot;
    snapshot_touch_work(engine, work);
    snapshot->works.is_in_work = true;
    snapshot->works.group = work->groups.next;
    snapshot->works.state = 0;
    snapshot->works.item = work->states[0].next;
}

bool work_snapshot_step(struct engine *engine)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (snapshot->works.work == &engine->works.all) return false;
    struct work *work = CONTAINER_OF(snapshot->works.work, struct work, all);
    if (!snapshot->works.is_in_work) {
        enter_work(engine, work);
    } else if (snapshot->works.group != &work->groups) {
        snapshot_touch_group(engine, CONTAINER_OF(snapshot->works.group, struct group, all));
        snapshot->works.group = snapshot->works.group->next;
    } else if (snapshot->works.item != &work->states[snapshot->works.state]) {
        snapshot_touch_item(engine, item_from_link(snapshot->works.item));
        snapshot->works.item = snapshot->works.item->next;
    } else if (++snapshot->works.state < ITEM_STATE_COUNT) {
        snapshot->works.item = work->states[snapshot->works.state].next;
    } else {
        snapshot->works.is_in_work = false;
        snapshot->works.work = work->all.next;
    }
    return true;
}

/* ------------------------------------------------------------------- reading */

static struct bytes take_name(struct codec_reader *reader)
{
    struct bytes name = codec_take_text(reader, LIMIT_NAME_SIZE_MAX);
    if (name.size == 0 || !utf8_is_plain(name)) reader->is_bad = true;
    return name;
}

static struct bytes take_plain(struct codec_reader *reader, size_t size_max)
{
    struct bytes text = codec_take_text(reader, size_max);
    if (!utf8_is_plain(text)) reader->is_bad = true;
    return text;
}

enum tenure_err work_restore_queue(struct engine *engine, struct codec_reader *reader)
{
    struct bytes name = take_name(reader);
    struct seq last_seq = { codec_take_number(reader, engine->restore.seq.value) };
    bool is_paused = codec_take_number(reader, 1) == 1;
    struct group_limits limits = record_take_limits(reader);
    if (reader->is_bad || reader->input.size > 0) return TENURE_CORRUPT;
    struct work *work = work_obtain(engine, name);
    if (work == NULL) return TENURE_NO_MEMORY;
    struct group_limits none = GROUP_LIMITS_NONE;
    if (work->last_seq.value < last_seq.value) work->last_seq = last_seq;
    work->is_paused = is_paused;
    work->limits = limits;
    work->has_limits = memcmp(&limits, &none, sizeof none) != 0;
    work->has_entry = true; /* its items may come later */
    return TENURE_OK;
}

enum tenure_err work_restore_group(struct engine *engine, struct codec_reader *reader)
{
    struct bytes queue = take_name(reader);
    struct bytes name = take_plain(reader, LIMIT_GROUP_SIZE_MAX);
    int64_t rate_us = (int64_t)codec_take_number(reader, INT64_MAX);
    bool is_paused = codec_take_number(reader, 1) == 1;
    bool has_limits = codec_take_number(reader, 1) == 1;
    struct group_limits limits = record_take_limits(reader);
    if (reader->is_bad || reader->input.size > 0) return TENURE_CORRUPT;
    struct work *work = work_obtain(engine, queue);
    if (work == NULL) return TENURE_NO_MEMORY;
    struct group *group = group_obtain(engine, work, name);
    if (group == NULL) return TENURE_NO_MEMORY;
    group->rate_us = rate_us;
    group->is_paused = is_paused;
    group->has_limits = has_limits;
    group->limits = limits;
    group_judge(engine, group);
    return TENURE_OK;
}

/* An item as it is stored. */
struct stored {
    struct bytes queue, group;
    struct item_wish wish;
    uint64_t number, token;
    int64_t order_us, put_at_us, taken_at_us;
    uint16_t attempts, lapses;
    enum stored_state state;
    enum item_ending ending;
    unsigned flags;
    struct bytes note, worker;
    uint32_t lease_ms;
};

static int64_t take_time(struct codec_reader *reader)
{
    return (int64_t)codec_take_number(reader, INT64_MAX);
}

static void
take_numbers(const struct engine *engine, struct codec_reader *reader, struct stored *out)
{
    out->number = codec_take_number(reader, engine->restore.seq.value);
    out->order_us = take_time(reader);
    out->put_at_us = take_time(reader);
    out->token = codec_take_number(reader, engine->token_high.value);
    out->attempts = (uint16_t)codec_take_number(reader, UINT16_MAX);
    out->lapses = (uint16_t)codec_take_number(reader, UINT16_MAX);
    out->state = (enum stored_state)codec_take_number(reader, STORED_STATE_MAX);
    out->ending = (enum item_ending)codec_take_number(reader, ITEM_END_LOST);
    out->flags = (unsigned)codec_take_number(reader, ITEM_FLAGS_MAX);
}

static bool take_item(const struct engine *engine, struct codec_reader *reader, struct stored *out)
{
    *out = (struct stored){ .queue = take_name(reader) };
    out->group = take_plain(reader, LIMIT_GROUP_SIZE_MAX);
    out->wish.id = take_plain(reader, LIMIT_ID_SIZE_MAX);
    take_numbers(engine, reader, out);
    out->wish.terms = record_take_terms(reader);
    out->wish.unique = take_plain(reader, LIMIT_UNIQUE_SIZE_MAX);
    out->note = codec_take_text(reader, LIMIT_RESULT_SIZE_MAX);
    if (out->state == STORED_TAKEN) {
        out->worker = take_plain(reader, LIMIT_OWNER_SIZE_MAX);
        out->lease_ms = (uint32_t)codec_take_number(reader, LIMIT_TTL_MS_MAX);
        out->taken_at_us = take_time(reader);
        if (out->lease_ms == 0 || out->token == 0) reader->is_bad = true;
    }
    if (out->flags & FLAG_HAS_PAYLOAD) {
        out->wish.headers = codec_take_text(reader, LIMIT_META_SIZE_MAX);
        out->wish.body = codec_take_text(reader, LIMIT_BODY_SIZE_MAX);
    }
    bool has_key = out->flags & FLAG_HAS_KEY;
    bool is_kept_back = out->flags & FLAG_KEPT_BACK;
    if (has_key != (out->wish.unique.size > 0) || (is_kept_back && !has_key)) return false;
    if (is_kept_back && out->state != STORED_WAITING) return false;
    return !reader->is_bad && reader->input.size == 0 && out->wish.id.size > 0 && out->number > 0;
}

static enum tenure_err
restore_key(struct engine *engine, struct item *item, const struct stored *stored)
{
    struct work *work = item->group->work;
    struct bytes key = stored->wish.unique;
    struct unique *unique = unique_find(engine, work, key);
    if (unique == NULL) {
        if (!map_reserve(&engine->works.uniques) || !work_new_unique(engine, key, &unique)) {
            return TENURE_NO_MEMORY;
        }
        work_add_unique(engine, work, unique);
    }
    bool is_kept_back = stored->flags & FLAG_KEPT_BACK;
    struct item **place = is_kept_back ? &unique->next : &unique->item;
    if (*place != NULL) return TENURE_CORRUPT;
    *place = item;
    item->unique = unique;
    item->is_kept_back = is_kept_back;
    engine->works.kept_back_count += is_kept_back;
    return TENURE_OK;
}

static enum item_state live_state(const struct stored *stored)
{
    switch (stored->state) {
    case STORED_WAITING: break;
    case STORED_TAKEN: return ITEM_TAKEN;
    case STORED_DONE: return ITEM_DONE;
    case STORED_DEAD: return ITEM_DEAD;
    case STORED_CANCELLED: return ITEM_CANCELLED;
    }
    bool is_delayed = stored->wish.terms.run_at_us > 0 || (stored->flags & FLAG_KEPT_BACK);
    return is_delayed ? ITEM_DELAYED : ITEM_READY;
}

/* Everything is made; nothing can fail any more. */
static void fill_item(
    struct engine *engine, struct item *item, const struct stored *stored, struct lease *lease)
{
    if (lease != NULL) {
        item->lease = lease;
        lease->item = item;
        lease->is_live = true;
        lease->as.deadline_ns = INT64_MAX;
        lease->taken_at.us = stored->taken_at_us;
    }
    item->number = stored->number;
    item->order_us = stored->order_us; /* or the time of its end */
    item->put_at_us = stored->put_at_us;
    item->token.value = stored->token;
    item->attempts = stored->attempts;
    item->lapses = stored->lapses;
    item->ending = stored->ending & ITEM_STATE_BITS;
    item->is_cancelling = stored->flags & FLAG_CANCELLING;
    item_enter(engine, item, live_state(stored));
}

static enum tenure_err
make_item(struct engine *engine, struct group *group, const struct stored *stored)
{
    struct note *note = NULL;
    struct lease *lease = NULL;
    struct item *item = item_create(engine, group, &stored->wish);
    if (item == NULL) return TENURE_NO_MEMORY;
    enum tenure_err err = TENURE_NO_MEMORY;
    if (!note_create(engine, stored->note, &note)) goto cleanup;
    if (stored->state == STORED_TAKEN) {
        lease = lease_create(engine, stored->worker, stored->lease_ms);
        if (lease == NULL) goto cleanup;
    }
    err = stored->flags & FLAG_HAS_KEY ? restore_key(engine, item, stored) : TENURE_OK;
    if (err != TENURE_OK) goto cleanup;
    item_set_note(engine, item, note);
    fill_item(engine, item, stored, lease);
    return TENURE_OK;

cleanup:
    if (lease != NULL) lease_free(engine, lease);
    note_free(engine, note);
    item_discard(engine, item);
    return err;
}

enum tenure_err work_restore_item(struct engine *engine, struct codec_reader *reader)
{
    struct stored stored;
    if (!take_item(engine, reader, &stored)) return TENURE_CORRUPT;
    struct work *work = work_obtain(engine, stored.queue);
    if (work == NULL) return TENURE_NO_MEMORY;
    enum tenure_err err = TENURE_CORRUPT;
    work->pin_count++;
    if (item_find(engine, work, stored.wish.id) == NULL) {
        struct group *group = group_obtain(engine, work, stored.group);
        err = group == NULL ? TENURE_NO_MEMORY : make_item(engine, group, &stored);
    }
    work->pin_count--;
    work_settle(engine, work);
    return err;
}

enum tenure_err work_restore_end(const struct engine *engine)
{
    const struct works *works = &engine->works;
    if (works->item_count != engine->restore.item_count) return TENURE_CORRUPT;
    struct map_node *node = NULL;
    while ((node = map_next(&works->uniques, node)) != NULL) {
        if (CONTAINER_OF(node, struct unique, keys)->item == NULL) return TENURE_CORRUPT;
    }
    return TENURE_OK;
}
