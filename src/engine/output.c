#include "engine/output.h"

#include "engine/key.h"
#include "engine/lock.h"
#include "engine/snapshot.h"

/* A step that says no needs this much; kept in reserve so that it can always be said. */
#define REFUSAL_COUNT 1u

void output_init(struct engine *engine)
{
    buffer_init(&engine->output.records, engine->memory);
    buffer_init(&engine->output.brief, engine->memory);
}

void output_deinit(struct engine *engine)
{
    struct output *output = &engine->output;
    buffer_deinit(&output->records);
    buffer_deinit(&output->brief);
    memory_give(engine->memory, output->items, output->item_capacity * sizeof *output->items);
    memory_give(engine->memory, output->changes, output->change_capacity * sizeof *output->changes);
    memory_give(engine->memory, output->replies, output->reply_capacity * sizeof *output->replies);
    memory_give(engine->memory, output->results, output->result_capacity * sizeof *output->results);
}

void output_reset(struct engine *engine)
{
    struct output *output = &engine->output;
    buffer_reset(&output->records);
    output->record_count = 0;
    output->first.value = engine->seq.value + 1;
    output->reply_count = 0;
    output->result_count = 0;
    output->item_count = 0;
    output->change_count = 0;
    output->item_promised = 0;
    output->is_waiting = false;
}

/* Grow an array of `size` byte elements to hold `more` beyond `count`. */
static bool
grow(struct engine *engine, void **array, size_t size, size_t count, size_t more, size_t *capacity)
{
    if (*capacity - count >= more) return true;
    size_t wanted = *capacity * 2 > count + more ? *capacity * 2 : count + more;
    void *grown = memory_resize(engine->memory, *array, *capacity * size, wanted * size);
    if (grown == NULL) return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

bool output_reserve(
    struct engine *engine, size_t record_bytes, size_t reply_count, size_t result_count)
{
    struct output *output = &engine->output;
    void *replies = output->replies;
    void *results = output->results;
    bool is_done = grow(
        engine,
        &replies,
        sizeof *output->replies,
        output->reply_count,
        reply_count + REFUSAL_COUNT + engine->works.told_count,
        &output->reply_capacity);
    output->replies = replies;
    is_done = is_done && grow(
                             engine,
                             &results,
                             sizeof *output->results,
                             output->result_count,
                             result_count + REFUSAL_COUNT,
                             &output->result_capacity);
    output->results = results;
    return is_done && buffer_reserve(&output->records, record_bytes);
}

bool output_reserve_items(struct engine *engine, size_t count)
{
    struct output *output = &engine->output;
    void *items = output->items;
    bool is_done = grow(
        engine,
        &items,
        sizeof *output->items,
        output->item_count,
        count + engine->works.told_count + output->item_promised,
        &output->item_capacity);
    output->items = items;
    return is_done;
}

bool output_reserve_changes(struct engine *engine, size_t count)
{
    struct output *output = &engine->output;
    void *changes = output->changes;
    bool is_done = grow(
        engine,
        &changes,
        sizeof *output->changes,
        output->change_count,
        count,
        &output->change_capacity);
    output->changes = changes;
    return is_done;
}

struct engine_reply *output_last_reply(struct engine *engine)
{
    struct output *output = &engine->output;
    ASSERT(output->reply_count > 0);
    return &output->replies[output->reply_count - 1];
}

struct engine_change_result *output_change(struct engine *engine)
{
    struct output *output = &engine->output;
    ASSERT(output->change_count < output->change_capacity);
    struct engine_change_result *change = &output->changes[output->change_count++];
    *change = (struct engine_change_result){ .value = { .remaining_ms = -1 } };
    output_last_reply(engine)->change_count++;
    return change;
}

bool output_promise_items(struct engine *engine, size_t count)
{
    if (!output_reserve_items(engine, count)) return false;
    engine->output.item_promised = count;
    return true;
}

struct engine_item_result *output_item(struct engine *engine)
{
    struct output *output = &engine->output;
    ASSERT(output->item_count < output->item_capacity && output->reply_count > 0);
    struct engine_item_result *item = &output->items[output->item_count++];
    *item = (struct engine_item_result){ .err = TENURE_OK };
    if (output->item_promised > 0) output->item_promised--;
    output->replies[output->reply_count - 1].item_count++;
    return item;
}

struct engine_reply *output_reply(struct engine *engine, uint64_t client, uint64_t tag)
{
    struct output *output = &engine->output;
    ASSERT(output->reply_count < output->reply_capacity);
    struct engine_reply *reply = &output->replies[output->reply_count++];
    *reply = (struct engine_reply){ .client = client, .tag = tag };
    return reply;
}

struct engine_result *output_result(struct engine *engine)
{
    struct output *output = &engine->output;
    ASSERT(output->result_count < output->result_capacity && output->reply_count > 0);
    struct engine_result *result = &output->results[output->result_count++];
    *result = (struct engine_result){ .retry_after_ms = -1 };
    output->replies[output->reply_count - 1].result_count++;
    return result;
}

void output_depend(struct engine *engine, struct seq seq)
{
    struct output *output = &engine->output;
    ASSERT(output->reply_count > 0);
    struct engine_reply *reply = &output->replies[output->reply_count - 1];
    if (reply->seq.value < seq.value) reply->seq = seq;
}

size_t output_record_size(struct bytes name, struct bytes owner, struct bytes text)
{
    return RECORD_NUMBERS_SIZE + name.size + owner.size + text.size;
}

void output_forget(struct engine *engine)
{
    struct window *window = &engine->window;
    const struct window_entry *first = window_find(window, window->first);
    /* The first byte of a record is its kind. */
    enum record_kind kind = (enum record_kind)(uint8_t)window_record(first).data[0];
    void *subject = window_evict(window);
    if (RECORD_KIND_IS_KEY(kind)) {
        key_forget_event(engine, kind, subject);
    } else if (RECORD_KIND_IS_WORK(kind)) {
        struct work *work = subject;
        ASSERT(work->event_count > 0);
        work->event_count--;
        work_settle(engine, work);
    } else {
        struct lock *lock = subject;
        ASSERT(lock->event_count > 0);
        lock->event_count--;
        lock_settle(engine, lock);
    }
}

/* What only events keep counts too. */
static bool is_full(const struct engine *engine, size_t size)
{
    const struct window *window = &engine->window;
    bool is_empty = window->first.value > window->last.value;
    return window_is_full(window, size) ||
           (!is_empty && engine->keys.history_bytes > engine->options.window_size);
}

static void make_room(struct engine *engine, size_t size)
{
    while (is_full(engine, size)) {
        output_forget(engine);
    }
}

void output_remember(
    struct engine *engine, struct lock *lock, struct seq previous, struct bytes record)
{
    lock->event_count++; /* first, so that making room cannot forget this very lock */
    make_room(engine, record.size);
    window_append(&engine->window, lock, previous, record);
}

/* The same record as the window has it. */
static struct bytes without_body(struct engine *engine, struct bytes encoded, size_t body_size)
{
    struct buffer *brief = &engine->output.brief;
    buffer_reset(brief);
    record_encode_brief(brief, encoded, body_size);
    ASSERT(!brief->is_failed); /* it has room for any record */
    return buffer_bytes(brief);
}

void output_remember_work(
    struct engine *engine, struct work *work, const struct record *record, struct bytes encoded)
{
    if (record->body.data != NULL && record->body.size > 0) {
        encoded = without_body(engine, encoded, record->body.size);
    }
    work->event_count++;
    make_room(engine, encoded.size);
    window_append(&engine->window, work, work->last_seq, encoded);
    work->last_seq = engine->seq;
}

/* Of a value that has become longer the record has only what was added, and the window the size. */
static struct bytes
with_whole_size(struct engine *engine, const struct record *record, const struct value *value)
{
    struct buffer *brief = &engine->output.brief;
    struct record without = *record;
    without.body = (struct bytes){ NULL, value->size };
    buffer_reset(brief);
    record_encode(brief, &without);
    ASSERT(!brief->is_failed); /* it has room for any record */
    return buffer_bytes(brief);
}

/* An event of a key as the window has it: of a value the size. */
static void remember_key(
    struct engine *engine,
    struct key *key,
    void *subject,
    const struct record *record,
    struct seq previous,
    struct bytes encoded)
{
    bool is_of_value = record->kind == RECORD_SET || record->kind == RECORD_APPENDED;
    if (is_of_value && record->body.size != ((const struct value *)subject)->size) {
        encoded = with_whole_size(engine, record, subject);
    } else if (is_of_value && record->body.size > 0) {
        encoded = without_body(engine, encoded, record->body.size);
    }
    key->event_count++;
    make_room(engine, encoded.size);
    window_append(&engine->window, subject, previous, encoded);
}

void output_remember_key(
    struct engine *engine,
    struct key *key,
    void *subject,
    const struct record *record,
    struct bytes encoded)
{
    remember_key(engine, key, subject, record, key->last_seq, encoded);
    key->last_seq = engine->seq;
}

void output_restore_key_event(
    struct engine *engine,
    struct key *key,
    void *subject,
    const struct record *record,
    const struct seq seqs[2],
    struct bytes encoded)
{
    remember_key(engine, key, subject, record, seqs[0], encoded);
    if (key->last_seq.value < seqs[1].value) key->last_seq = seqs[1];
}

void output_restore_event(
    struct engine *engine, struct work *work, const struct seq seqs[2], struct bytes encoded)
{
    work->event_count++;
    make_room(engine, encoded.size);
    window_append(&engine->window, work, seqs[0], encoded);
    if (work->last_seq.value < seqs[1].value) work->last_seq = seqs[1];
}

static void count_record(struct engine *engine, const struct record *record)
{
    struct engine_counters *counters = &engine->counters;
    counters->records[record->kind]++;
    switch (record->kind) {
    case RECORD_RELEASED:
    case RECORD_EXPIRED:
    case RECORD_BROKEN:
        /* A token is the wall clock of its grant in microseconds, unless clocks ran backwards. */
        histogram_observe(&counters->hold_times, record->at.us - (int64_t)record->token.value);
        return;
    case RECORD_DONE:
    case RECORD_FAILED:
    case RECORD_LAPSED:
    case RECORD_BURIED:
        histogram_observe(&counters->item_runs, record->at.us - (int64_t)record->token.value);
        return;
    case RECORD_GRANTED:
    case RECORD_RENEWED:
    case RECORD_BREAKING:
    case RECORD_PROCLAIMED:
    case RECORD_AVAILABLE:
    case RECORD_PUT:
    case RECORD_TAKEN:
    case RECORD_EXTENDED:
    case RECORD_PROGRESSED:
    case RECORD_CANCELLING:
    case RECORD_CANCELLED:
    case RECORD_KICKED:
    case RECORD_REMOVED:
    case RECORD_PAUSED:
    case RECORD_RESUMED:
    case RECORD_LIMITED:
    case RECORD_SET:
    case RECORD_APPENDED:
    case RECORD_UNSET:
    case RECORD_RANKED:
    case RECORD_UNRANKED: return;
    }
}

void output_work_record(struct engine *engine, struct work *work, struct record *record)
{
    struct output *output = &engine->output;
    size_t start = output->records.size;
    snapshot_touch_work(engine, work);
    engine->seq.value++;
    record->seq = engine->seq;
    record->at = engine->wall;
    record->name = work_name(work);
    record_encode(&output->records, record);
    count_record(engine, record);
    ASSERT(!output->records.is_failed); /* room was reserved */
    output->record_count++;
    struct bytes encoded = { output->records.data + start, output->records.size - start };
    output_remember_work(engine, work, record, encoded);
}

void output_key_record(struct engine *engine, struct key *key, void *subject, struct record *record)
{
    struct output *output = &engine->output;
    size_t start = output->records.size;
    snapshot_touch_key(engine, key);
    engine->seq.value++;
    record->seq = engine->seq;
    record->at = engine->wall;
    record->name = key_name(key);
    record_encode(&output->records, record);
    count_record(engine, record);
    ASSERT(!output->records.is_failed); /* room was reserved */
    output->record_count++;
    struct bytes encoded = { output->records.data + start, output->records.size - start };
    output_remember_key(engine, key, subject, record, encoded);
}

void output_record(struct engine *engine, struct lock *lock, struct record *record)
{
    struct output *output = &engine->output;
    size_t start = output->records.size;
    snapshot_touch(engine, lock); /* before anything of it changes, last_seq included */
    engine->seq.value++;
    record->seq = engine->seq;
    record->at = engine->wall;
    record->name = lock_name(lock);
    record_encode(&output->records, record);
    count_record(engine, record);
    ASSERT(!output->records.is_failed); /* room was reserved */
    output->record_count++;

    struct bytes encoded = { output->records.data + start, output->records.size - start };
    output_remember(engine, lock, lock->last_seq, encoded);
    lock->last_seq = record->seq;
}

void output_finish(struct engine *engine, struct engine_update *out_update)
{
    struct output *output = &engine->output;
    const struct engine_result *results = output->results;
    const struct engine_item_result *items = output->items;
    const struct engine_change_result *changes = output->changes;
    for (size_t index = 0; index < output->reply_count; index++) {
        output->replies[index].results = results;
        results += output->replies[index].result_count;
        output->replies[index].items = items;
        if (items != NULL) items += output->replies[index].item_count;
        output->replies[index].changes = changes;
        if (changes != NULL) changes += output->replies[index].change_count;
    }
    *out_update = (struct engine_update){
        .records = buffer_bytes(&output->records),
        .record_count = output->record_count,
        .first = output->first,
        .replies = output->replies,
        .reply_count = (uint32_t)output->reply_count,
        .is_waiting = output->is_waiting,
    };
}

void output_refuse(
    struct engine *engine,
    const struct engine_command *command,
    enum tenure_err err,
    struct bytes name,
    const char *detail)
{
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    reply->err = err;
    reply->detail = detail;
    struct engine_result *result = output_result(engine);
    result->err = err;
    result->name = name;
    engine->counters.refused_other++;
}
