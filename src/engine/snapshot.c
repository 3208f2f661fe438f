#include "engine/snapshot.h"

#include "base/utf8.h"
#include "engine/apply.h"
#include "engine/codec.h"
#include "engine/hold.h"
#include "engine/key_snapshot.h"
#include "engine/lock.h"
#include "engine/name_index.h"
#include "engine/output.h"
#include "engine/work_snapshot.h"

/* Of a lock; an item with a large body has a larger one. */
#define LOCK_ENTRY_SIZE_MAX ((size_t)64 << 10)
#define HOLDS_OF_LOCK_MAX   ((uint64_t)1 << 32)

/* What is in an entry of a lock beside its holds, what is in a hold beside its texts, and the
 * largest hold. */
#define LOCK_FIELDS_SIZE_MAX  (LIMIT_NAME_SIZE_MAX + 6 * CODEC_NUMBER_SIZE_MAX)
#define HOLD_NUMBERS_SIZE_MAX ((size_t)9 * CODEC_NUMBER_SIZE_MAX)
#define HOLD_SIZE_MAX                                                                              \
    (LIMIT_OWNER_SIZE_MAX + LIMIT_META_SIZE_MAX + LIMIT_REASON_SIZE_MAX + HOLD_NUMBERS_SIZE_MAX)

/* ----------------------------------------------------------------- writing */

/* An entry is a kind, a size of four bytes, and that many bytes. */
#define ENTRY_HEADER_SIZE 5u

void snapshot_finish_entry(struct buffer *out, size_t start, enum snapshot_entry kind)
{
    if (out->is_failed) return;
    size_t size = out->size - start - ENTRY_HEADER_SIZE;
    ASSERT(size <= UINT32_MAX);
    char *header = out->data + start;
    header[0] = (char)kind;
    for (unsigned index = 0; index < 4; index++) {
        header[1 + index] = (char)(uint8_t)(size >> (8 * index));
    }
}

size_t snapshot_begin_entry(struct buffer *out)
{
    static const char blank[ENTRY_HEADER_SIZE];
    size_t start = out->size;
    buffer_append(out, blank, sizeof blank);
    return start;
}

void snapshot_put_numbers(struct buffer *out, const uint64_t *values, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        char bytes[CODEC_NUMBER_SIZE_MAX];
        buffer_append(out, bytes, (size_t)(codec_put_number(bytes, values[index]) - bytes));
    }
}

void snapshot_put_text(struct buffer *out, struct bytes text)
{
    snapshot_put_numbers(out, &(uint64_t){ text.size }, 1);
    buffer_append_bytes(out, text);
}

static void put_hold(struct buffer *out, const struct hold *hold)
{
    const struct breaking *breaking = hold->breaking;
    uint64_t numbers[] = {
        hold->token.value,
        (uint64_t)hold->slot << 1 | hold->mode,
        hold->ttl_ms,
        hold->lock_delay_ms,
        (uint64_t)hold->acquired_at.us,
        breaking == NULL ? 0 : (uint64_t)breaking->grace_ms + 1,
    };
    snapshot_put_text(out, hold_owner(hold));
    snapshot_put_text(out, hold_meta(hold));
    snapshot_put_numbers(out, numbers, sizeof numbers / sizeof *numbers);
    if (breaking != NULL) {
        snapshot_put_text(out, (struct bytes){ breaking->reason, breaking->reason_size });
    }
}

/* Where the holds that one entry has room for end, from `begin` on, and how many they are. */
static const struct list *
find_part_end(const struct lock *lock, const struct list *begin, uint64_t *out_count)
{
    size_t size = ENTRY_HEADER_SIZE + LOCK_FIELDS_SIZE_MAX + HOLD_SIZE_MAX;
    uint64_t count = 0;
    const struct list *end = begin;
    for (; end != &lock->holds && size <= LOCK_ENTRY_SIZE_MAX; end = end->next) {
        const struct hold *hold = CONTAINER_OF_CONST(end, struct hold, link);
        size_t reason_size = hold->breaking == NULL ? 0 : hold->breaking->reason_size;
        size += hold->owner_size + hold->meta_size + reason_size + HOLD_NUMBERS_SIZE_MAX;
        count++;
    }
    *out_count = count;
    return end;
}

void snapshot_put_lock(struct buffer *out, const struct lock *lock)
{
    uint32_t delay_ms = lock->queue == NULL ? 0 : lock->queue->delay_ms;
    if (lock->hold_count == 0 && delay_ms == 0) return;

    uint64_t slots = lock->hold_count > 0 ? lock->slots : 1;
    const struct list *link = lock->holds.next;
    do {
        uint64_t count;
        const struct list *end = find_part_end(lock, link, &count);
        uint64_t numbers[] = { lock->last_seq.value, delay_ms, slots, count };
        size_t start = snapshot_begin_entry(out);
        snapshot_put_text(out, lock_name(lock));
        snapshot_put_numbers(out, numbers, sizeof numbers / sizeof *numbers);
        for (; link != end; link = link->next) {
            put_hold(out, CONTAINER_OF_CONST(link, struct hold, link));
        }
        snapshot_finish_entry(out, start, ENTRY_LOCK);
    } while (link != &lock->holds);
}

static void capture(struct engine *engine, struct lock *lock)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (lock->names.user == snapshot->number) return;
    lock->names.user = snapshot->number;
    snapshot->captured += lock->hold_count;
    snapshot_put_lock(&snapshot->images, lock);
}

void snapshot_touch(struct engine *engine, struct lock *lock)
{
    if (engine->snapshot.is_active) capture(engine, lock);
}

void engine_snapshot_begin(struct engine *engine, struct seq *out_seq)
{
    struct snapshot *snapshot = &engine->snapshot;
    ASSERT(!snapshot->is_active && !engine->is_restoring);
    snapshot->is_active = true;
    snapshot->is_head_written = false;
    snapshot->number++;
    snapshot->seq = engine->seq;
    snapshot->event_next = engine->window.first;
    snapshot->cursor = name_index_first(engine);
    snapshot->token_high = engine->token_high;
    snapshot->hold_count = engine->held_count;
    snapshot->captured = 0;
    snapshot->images_read = 0;
    work_snapshot_begin(engine);
    key_snapshot_begin(engine);
    buffer_reset(&snapshot->images);
    *out_seq = snapshot->seq;
}

void engine_snapshot_abandon(struct engine *engine)
{
    engine->snapshot.is_active = false;
    engine->snapshot.cursor = NULL;
    buffer_deinit(&engine->snapshot.images);
    buffer_init(&engine->snapshot.images, engine->memory);
}

static void put_head(struct engine *engine, struct buffer *out)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (snapshot->is_head_written) return;
    uint64_t numbers[] = { SNAPSHOT_FORMAT_VERSION,       snapshot->seq.value,
                           snapshot->token_high.value,    snapshot->hold_count,
                           snapshot->works.item_count,    (uint64_t)snapshot->works.order_us,
                           snapshot->keys.register_count, snapshot->keys.member_count };
    size_t start = snapshot_begin_entry(out);
    snapshot_put_numbers(out, numbers, sizeof numbers / sizeof *numbers);
    snapshot_finish_entry(out, start, ENTRY_HEAD);
    snapshot->is_head_written = true;
}

/* Events that left the window meanwhile were pushed out by newer ones, and those will be in the
 * journal behind the snapshot: a replay pushes them out again. */
static void put_events(struct engine *engine, struct buffer *out, size_t size_wanted)
{
    struct snapshot *snapshot = &engine->snapshot;
    if (snapshot->event_next.value < engine->window.first.value) {
        snapshot->event_next = engine->window.first;
        snapshot->keys.event_first = engine->window.first;
    }
    while (snapshot->event_next.value <= snapshot->seq.value && out->size < size_wanted) {
        const struct window_entry *entry = window_find(&engine->window, snapshot->event_next);
        ASSERT(entry != NULL);
        if (RECORD_KIND_IS_KEY((uint8_t)window_record(entry).data[0])) {
            key_put_event(engine, out, snapshot->event_next, entry);
            snapshot->event_next.value++;
            continue;
        }
        size_t start = snapshot_begin_entry(out);
        snapshot_put_numbers(
            out, (uint64_t[]){ snapshot->event_next.value, entry->previous.value }, 2);
        buffer_append_bytes(out, window_record(entry));
        snapshot_finish_entry(out, start, ENTRY_EVENT);
        snapshot->event_next.value++;
    }
}

static bool are_events_written(const struct engine *engine)
{
    return engine->snapshot.event_next.value > engine->snapshot.seq.value;
}

static size_t entry_size(const char *entry)
{
    uint32_t size = 0;
    for (unsigned index = 0; index < 4; index++) {
        size |= (uint32_t)(uint8_t)entry[1 + index] << (8 * index);
    }
    return (size_t)ENTRY_HEADER_SIZE + size;
}

/* Images leave an entry at a time: one lock may be larger than a piece, and while nobody took a
 * piece many have gathered. */
static void put_images(struct engine *engine, struct buffer *out, size_t size_wanted)
{
    struct snapshot *snapshot = &engine->snapshot;
    struct buffer *images = &snapshot->images;
    if (images->is_failed) {
        out->is_failed = true;
        return;
    }
    while (snapshot->images_read < images->size && out->size < size_wanted) {
        const char *entry = images->data + snapshot->images_read;
        size_t size = entry_size(entry);
        buffer_append(out, entry, size);
        if (out->is_failed) return;
        snapshot->images_read += size;
    }
    if (snapshot->images_read < images->size) return;
    snapshot->images_read = 0;
    buffer_reset(images);
}

static void put_locks(struct engine *engine, struct buffer *out, size_t size_wanted)
{
    struct snapshot *snapshot = &engine->snapshot;
    while (snapshot->cursor != NULL && out->size < size_wanted && !out->is_failed) {
        capture(engine, snapshot->cursor);
        put_images(engine, out, size_wanted);
        snapshot->cursor = name_index_next(snapshot->cursor);
    }
}

/* False: there are no more. */
static bool put_works_and_keys(struct engine *engine, struct buffer *out, size_t size_wanted)
{
    while (out->size < size_wanted && !out->is_failed) {
        if (!work_snapshot_step(engine) && !key_snapshot_step(engine)) return false;
        put_images(engine, out, size_wanted);
    }
    return true;
}

bool engine_snapshot_write(struct engine *engine, struct buffer *out, size_t size)
{
    struct snapshot *snapshot = &engine->snapshot;
    ASSERT(snapshot->is_active && size > 0);
    size_t size_wanted = out->size + size;
    put_head(engine, out);
    put_events(engine, out, size_wanted);
    if (are_events_written(engine)) {
        put_images(engine, out, size_wanted);
        put_locks(engine, out, size_wanted);
    }
    bool are_locks_written = are_events_written(engine) && snapshot->cursor == NULL;
    bool has_more = !are_locks_written || put_works_and_keys(engine, out, size_wanted);
    bool is_last = !has_more && snapshot->images.size == 0;

    if (is_last && !out->is_failed) {
        ASSERT(snapshot->captured == snapshot->hold_count);
        ASSERT(snapshot->works.captured == snapshot->works.item_count);
        ASSERT(snapshot->keys.registers_captured == snapshot->keys.register_count);
        ASSERT(snapshot->keys.members_captured == snapshot->keys.member_count);
        size_t start = snapshot_begin_entry(out);
        uint64_t counts[] = { snapshot->hold_count,
                              snapshot->works.item_count,
                              snapshot->keys.register_count,
                              snapshot->keys.member_count };
        snapshot_put_numbers(out, counts, 4);
        snapshot_finish_entry(out, start, ENTRY_END);
    }
    if (is_last || out->is_failed) engine_snapshot_abandon(engine);
    return is_last;
}

/* ----------------------------------------------------------------- reading */

/* Nobody counts that far; what follows it must still be a number. */
#define SEQ_MAX ((uint64_t)INT64_MAX)

static enum tenure_err restore_head(struct engine *engine, struct codec_reader *reader)
{
    uint64_t version = codec_take_number(reader, UINT64_MAX);
    if (!reader->is_bad && version > SNAPSHOT_FORMAT_VERSION) return TENURE_UNSUPPORTED;
    uint64_t seq = codec_take_number(reader, SEQ_MAX);
    uint64_t token_high = codec_take_number(reader, TOKEN_MAX);
    uint64_t hold_count = codec_take_number(reader, UINT32_MAX);
    bool has_works = version >= 2;
    uint64_t item_count = has_works ? codec_take_number(reader, UINT32_MAX) : 0;
    uint64_t order_us = has_works ? codec_take_number(reader, INT64_MAX) : 0;
    bool has_keys = version >= 3;
    uint64_t register_count = has_keys ? codec_take_number(reader, UINT32_MAX) : 0;
    uint64_t member_count = has_keys ? codec_take_number(reader, UINT32_MAX) : 0;
    if (reader->is_bad || version == 0 || engine->restore.is_head_read || engine->seq.value > 0) {
        return TENURE_CORRUPT;
    }

    engine->restore.is_head_read = true;
    engine->restore.has_works = has_works;
    engine->restore.item_count = item_count;
    engine->restore.has_keys = has_keys;
    engine->restore.register_count = register_count;
    engine->restore.member_count = member_count;
    engine->works.order_us = (int64_t)order_us;
    engine->restore.seq.value = seq;
    engine->restore.hold_count = hold_count;
    engine->seq.value = seq;
    engine->token_high.value = token_high;
    return TENURE_OK;
}

/* Events are remembered without gaps: the next one will be numbered last + 1. */
static void restart_window(struct engine *engine, struct seq last)
{
    while (engine->window.first.value <= engine->window.last.value) {
        output_forget(engine);
    }
    key_restore_gap(engine);
    window_restart(&engine->window, last);
}

/* The window comes to the place of this event; false when it is past it. */
static bool begin_event(struct engine *engine, struct seq seq)
{
    if (seq.value <= engine->window.last.value) return false;
    if (seq.value == engine->window.last.value + 1) return true;
    restart_window(engine, (struct seq){ seq.value - 1 });
    return true;
}

static enum tenure_err restore_before(struct engine *engine, struct codec_reader *reader)
{
    struct seq seq = { codec_take_number(reader, engine->restore.seq.value) };
    if (reader->is_bad || !begin_event(engine, seq)) return TENURE_CORRUPT;
    return key_restore_before(engine, reader);
}

static enum tenure_err restore_event(struct engine *engine, struct codec_reader *reader)
{
    struct seq seq = { codec_take_number(reader, engine->restore.seq.value) };
    struct seq previous = { codec_take_number(reader, seq.value) };
    struct bytes rest = reader->input;
    struct record record;
    if (reader->is_bad || record_decode(&rest, &record) != TENURE_OK || rest.size > 0) {
        return TENURE_CORRUPT;
    }
    if (previous.value >= seq.value || !begin_event(engine, seq)) return TENURE_CORRUPT;
    if (RECORD_KIND_IS_KEY(record.kind)) {
        if (!engine->restore.has_keys) return TENURE_CORRUPT;
        return key_restore_event(engine, &record, (struct seq[]){ previous, seq }, reader->input);
    }
    if (RECORD_KIND_IS_WORK(record.kind)) {
        struct work *work = work_obtain(engine, record.name);
        if (work == NULL) return TENURE_NO_MEMORY;
        output_restore_event(engine, work, (struct seq[]){ previous, seq }, reader->input);
        return TENURE_OK;
    }
    struct lock *lock = lock_obtain(engine, record.name);
    if (lock == NULL) return TENURE_NO_MEMORY;
    output_remember(engine, lock, previous, reader->input);
    if (lock->last_seq.value < seq.value) lock->last_seq = seq;
    return TENURE_OK;
}

static void take_hold(struct codec_reader *reader, struct record *record, struct record *breaking)
{
    record->owner = codec_take_text(reader, LIMIT_OWNER_SIZE_MAX);
    record->meta = codec_take_text(reader, LIMIT_META_SIZE_MAX);
    record->token.value = codec_take_number(reader, TOKEN_MAX);
    uint64_t place = codec_take_number(reader, LIMIT_SLOTS_MAX << 1);
    record->mode = (place & 1) ? ENGINE_SHARED : ENGINE_EXCLUSIVE;
    record->slot = (uint32_t)(place >> 1);
    record->ttl_ms = (uint32_t)codec_take_number(reader, LIMIT_TTL_MS_MAX);
    record->lock_delay_ms = (uint32_t)codec_take_number(reader, LIMIT_LOCK_DELAY_MS_MAX);
    record->at.us = (int64_t)codec_take_number(reader, INT64_MAX);
    breaking->grace_ms = (uint32_t)codec_take_number(reader, LIMIT_GRACE_MS_MAX + 1);
    if (breaking->grace_ms > 0) breaking->reason = codec_take_text(reader, LIMIT_REASON_SIZE_MAX);
}

/* The holds of a lock come by slot, then by token, all in one mode: that no place is taken twice is
 * seen by looking at the last. */
static bool is_next_hold(const struct lock *lock, const struct record *record)
{
    if (record->mode == ENGINE_SHARED && record->slots != 1) return false;
    if (lock->hold_count == 0) return true;
    const struct hold *last = hold_from_link(lock->holds.previous);
    if ((enum engine_mode)last->mode != record->mode) return false;
    if (record->mode == ENGINE_EXCLUSIVE) return record->slot > last->slot;
    return record->token.value > last->token.value;
}

static enum tenure_err
restore_hold(struct engine *engine, struct lock *lock, struct codec_reader *reader, uint64_t slots)
{
    struct record record = { .kind = RECORD_GRANTED, .slots = (uint32_t)slots };
    struct record breaking = { .kind = RECORD_BREAKING };
    take_hold(reader, &record, &breaking);
    if (reader->is_bad || record.owner.size == 0 || !utf8_is_plain(record.owner) ||
        record.slot >= slots || record.token.value == 0 ||
        record.token.value > engine->token_high.value || !is_next_hold(lock, &record) ||
        hold_find(engine, lock, record.owner) != NULL)
    {
        return TENURE_CORRUPT;
    }
    if (record.lock_delay_ms > 0 && lock_queue(engine, lock) == NULL) return TENURE_NO_MEMORY;
    struct hold_terms terms = { .owner = record.owner,
                                .meta = record.meta,
                                .mode = record.mode,
                                .ttl_ms = record.ttl_ms,
                                .lock_delay_ms = record.lock_delay_ms };
    struct hold *hold = hold_create(engine, lock, &terms);
    if (hold == NULL) return TENURE_NO_MEMORY;
    apply_held(engine, hold, &record);
    if (breaking.grace_ms == 0) return TENURE_OK;

    hold->breaking = apply_make_breaking(engine, breaking.grace_ms - 1, breaking.reason);
    return hold->breaking == NULL ? TENURE_NO_MEMORY : TENURE_OK;
}

/* Is this more of a lock that was too large for one entry? */
static bool
is_next_part(const struct lock *lock, uint32_t delay_ms, uint64_t slots, uint64_t hold_count)
{
    uint32_t delay_before_ms = lock->queue == NULL ? 0 : lock->queue->delay_ms;
    return lock->hold_count > 0 && hold_count > 0 && lock->slots == slots &&
           delay_before_ms == delay_ms;
}

static enum tenure_err
restore_lock_fields(struct engine *engine, struct lock *lock, struct codec_reader *reader)
{
    struct seq last_seq = { codec_take_number(reader, engine->restore.seq.value) };
    uint32_t delay_ms = (uint32_t)codec_take_number(reader, LIMIT_LOCK_DELAY_MS_MAX);
    uint64_t slots = codec_take_number(reader, LIMIT_SLOTS_MAX);
    uint64_t hold_count = codec_take_number(reader, HOLDS_OF_LOCK_MAX);
    if (reader->is_bad || slots == 0) return TENURE_CORRUPT;
    if (lock_is_active(lock) && !is_next_part(lock, delay_ms, slots, hold_count)) {
        return TENURE_CORRUPT;
    }
    if (lock->last_seq.value < last_seq.value) lock->last_seq = last_seq;
    if (delay_ms > 0) {
        struct queue *queue = lock_queue(engine, lock);
        if (queue == NULL) return TENURE_NO_MEMORY;
        queue->delay_ms = delay_ms; /* its time is set when the start is over */
    }
    for (uint64_t index = 0; index < hold_count; index++) {
        enum tenure_err err = restore_hold(engine, lock, reader, slots);
        if (err != TENURE_OK) return err;
    }
    return reader->input.size == 0 ? TENURE_OK : TENURE_CORRUPT;
}

static enum tenure_err restore_lock(struct engine *engine, struct codec_reader *reader)
{
    struct bytes name = codec_take_text(reader, LIMIT_NAME_SIZE_MAX);
    if (reader->is_bad || name.size == 0 || !utf8_is_plain(name)) return TENURE_CORRUPT;
    struct lock *lock = lock_obtain(engine, name);
    if (lock == NULL) return TENURE_NO_MEMORY;
    enum tenure_err err = restore_lock_fields(engine, lock, reader);
    lock_settle(engine, lock);
    return err;
}

static enum tenure_err restore_end(struct engine *engine, struct codec_reader *reader)
{
    engine->restore.is_end_read = true;
    uint64_t hold_count = codec_take_number(reader, UINT32_MAX);
    uint64_t item_count = engine->restore.has_works ? codec_take_number(reader, UINT32_MAX) : 0;
    bool has_keys = engine->restore.has_keys;
    uint64_t register_count = has_keys ? codec_take_number(reader, UINT32_MAX) : 0;
    uint64_t member_count = has_keys ? codec_take_number(reader, UINT32_MAX) : 0;
    bool is_same = !reader->is_bad && hold_count == engine->restore.hold_count &&
                   item_count == engine->restore.item_count &&
                   register_count == engine->restore.register_count &&
                   member_count == engine->restore.member_count;
    return is_same ? TENURE_OK : TENURE_CORRUPT;
}

/* All events come first; those at the end may be missing. */
static bool is_in_order(struct engine *engine, enum snapshot_entry kind)
{
    struct restore *restore = &engine->restore;
    if (!restore->has_keys || kind == ENTRY_HEAD) return true;
    if (kind == ENTRY_EVENT || kind == ENTRY_BEFORE) return !restore->are_events_read;
    if (restore->are_events_read) return true;
    restore->are_events_read = true;
    if (engine->window.last.value != restore->seq.value) restart_window(engine, restore->seq);
    return true;
}

static enum tenure_err
restore_entry(struct engine *engine, enum snapshot_entry kind, struct bytes fields)
{
    struct codec_reader reader = { fields, false };
    if (kind != ENTRY_HEAD && !engine->restore.is_head_read) return TENURE_CORRUPT;
    if (engine->restore.is_end_read || !is_in_order(engine, kind)) return TENURE_CORRUPT;
    enum tenure_err err = TENURE_CORRUPT;
    switch (kind) {
    case ENTRY_HEAD: err = restore_head(engine, &reader); break;
    case ENTRY_EVENT: return restore_event(engine, &reader);
    case ENTRY_LOCK: return restore_lock(engine, &reader);
    case ENTRY_QUEUE: return work_restore_queue(engine, &reader);
    case ENTRY_GROUP: return work_restore_group(engine, &reader);
    case ENTRY_ITEM: return work_restore_item(engine, &reader);
    case ENTRY_KEY: return key_restore_key(engine, &reader);
    case ENTRY_MEMBERS: return key_restore_members(engine, &reader);
    case ENTRY_BEFORE: return restore_before(engine, &reader);
    case ENTRY_END: err = restore_end(engine, &reader); break;
    }
    if (err == TENURE_OK && reader.input.size > 0) return TENURE_CORRUPT;
    return err;
}

enum tenure_err engine_restore_chunk(struct engine *engine, struct bytes chunk)
{
    ASSERT(engine->is_restoring);
    while (chunk.size > 0) {
        if (chunk.size < ENTRY_HEADER_SIZE) return TENURE_CORRUPT;
        size_t size = entry_size(chunk.data);
        if (size > chunk.size) return TENURE_CORRUPT;
        struct bytes fields = { chunk.data + ENTRY_HEADER_SIZE, size - ENTRY_HEADER_SIZE };
        enum tenure_err err =
            restore_entry(engine, (enum snapshot_entry)(uint8_t)chunk.data[0], fields);
        if (err != TENURE_OK) return err;
        chunk.data += size;
        chunk.size -= size;
    }
    return TENURE_OK;
}

enum tenure_err engine_restore_snapshot_end(struct engine *engine, struct seq seq)
{
    const struct restore *restore = &engine->restore;
    if (!restore->is_head_read || !restore->is_end_read) return TENURE_CORRUPT;
    if (restore->seq.value != seq.value) return TENURE_CORRUPT;
    if (restore->hold_count != engine->held_count) return TENURE_CORRUPT;
    if (work_restore_end(engine) != TENURE_OK) return TENURE_CORRUPT;
    if (key_restore_end(engine) != TENURE_OK) return TENURE_CORRUPT;
    /* None of its last events came with it: they had left the window while it was written. */
    if (engine->window.last.value != seq.value) restart_window(engine, seq);
    return TENURE_OK;
}
