#include "unit/engine/harness.h"

#include <stdlib.h>

#include "lib/test.h"

#define WALL_START_US INT64_C(1700000000000000)

static void *allocate(size_t size)
{
    void *block = malloc(size == 0 ? 1 : size);
    CHECK(block != NULL);
    return block;
}

static void grow(void **array, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity) return;
    *capacity = *capacity == 0 ? 64 : *capacity * 2;
    *array = realloc(*array, *capacity * size);
    CHECK(*array != NULL);
}

/* ---------------------------------------------------------- open and close */

struct harness *harness_open_with(const struct engine_options *options)
{
    struct harness *harness = calloc(1, sizeof *harness);
    CHECK(harness != NULL);
    fault_memory_init(&harness->fault, 0);
    harness->options = *options;
    harness->options.memory = &harness->fault.memory;
    struct engine_options *own = &harness->options;
    if (own->hold_count_max == 0) own->hold_count_max = ENGINE_HOLD_COUNT_MAX_DEFAULT;
    if (own->waiter_count_max == 0) own->waiter_count_max = ENGINE_WAITER_COUNT_MAX_DEFAULT;
    if (own->window_size == 0) own->window_size = (size_t)1 << 20;
    if (own->ageing_ms == 0) own->ageing_ms = ENGINE_AGEING_MS_DEFAULT;
    harness->now.ns = 1000 * NS_PER_S;
    harness->wall.us = WALL_START_US;
    harness->is_auto_durable = true;
    harness->check_every = 1;
    buffer_init(&harness->journal, &memory_heap);
    struct engine *engine = engine_create(&harness->options);
    CHECK(engine != NULL);
    harness_adopt(harness, engine);
    return harness;
}

struct harness *harness_open(void)
{
    return harness_open_with(&(struct engine_options){ 0 });
}

void harness_close(struct harness **pointer)
{
    struct harness *harness = *pointer;
    *pointer = NULL;
    harness_verify(harness);
    engine_destroy(&harness->engine);
    CHECK(harness->engine == NULL);
    fault_memory_check_empty(&harness->fault);
    buffer_deinit(&harness->journal);
    for (size_t index = 0; index < harness->block_count; index++) {
        free(harness->blocks[index]);
    }
    free(harness->blocks);
    free(harness->replies);
    free(harness->batches);
    free(harness);
}

/* ------------------------------------------------------------------- steps */

/* A copy of a text in a block that `cursor` walks through. */
static void copy_text(char **cursor, struct bytes *text)
{
    if (text->size > 0) memcpy(*cursor, text->data, text->size);
    text->data = *cursor;
    *cursor += text->size;
}

static void copy_view(char **cursor, struct engine_hold_view *view)
{
    copy_text(cursor, &view->name);
    copy_text(cursor, &view->owner);
    copy_text(cursor, &view->meta);
}

static size_t view_size(const struct engine_hold_view *view)
{
    return view->name.size + view->owner.size + view->meta.size;
}

static size_t changes_size(const struct engine_reply *reply)
{
    size_t size = reply->change_count * sizeof(struct engine_change_result);
    for (uint32_t index = 0; index < reply->change_count; index++) {
        const struct engine_register_view *view = &reply->changes[index].value;
        size += view->name.size + view->value.size + view->lock.size;
    }
    return size;
}

static void copy_changes(struct harness *harness, struct engine_reply *copy)
{
    size_t size = changes_size(copy);
    if (size == 0) return;
    char *block = allocate(size);
    grow(
        (void **)&harness->blocks,
        &harness->block_capacity,
        harness->block_count,
        sizeof *harness->blocks);
    harness->blocks[harness->block_count++] = block;
    struct engine_change_result *changes = (struct engine_change_result *)(void *)block;
    char *cursor = block + copy->change_count * sizeof *changes;
    for (uint32_t index = 0; index < copy->change_count; index++) {
        changes[index] = copy->changes[index];
        copy_text(&cursor, &changes[index].value.name);
        copy_text(&cursor, &changes[index].value.value);
        copy_text(&cursor, &changes[index].value.lock);
    }
    copy->changes = changes;
}

static void keep_reply(struct harness *harness, const struct engine_reply *reply)
{
    size_t results_size = reply->result_count * sizeof(struct engine_result);
    size_t size = sizeof *reply + results_size;
    for (uint32_t index = 0; index < reply->result_count; index++) {
        const struct engine_result *result = &reply->results[index];
        size += result->name.size + view_size(&result->hold) + view_size(&result->holder);
    }
    grow(
        (void **)&harness->blocks,
        &harness->block_capacity,
        harness->block_count,
        sizeof *harness->blocks);
    char *block = allocate(size);
    harness->blocks[harness->block_count++] = block;

    struct engine_reply *copy = (struct engine_reply *)(void *)block;
    struct engine_result *results = (struct engine_result *)(void *)(block + sizeof *reply);
    char *cursor = block + sizeof *reply + results_size;
    *copy = *reply;
    copy->results = results;
    copy_changes(harness, copy);
    for (uint32_t index = 0; index < reply->result_count; index++) {
        results[index] = reply->results[index];
        copy_text(&cursor, &results[index].name);
        copy_view(&cursor, &results[index].hold);
        copy_view(&cursor, &results[index].holder);
    }
    grow(
        (void **)&harness->replies,
        &harness->reply_capacity,
        harness->reply_count,
        sizeof(struct engine_reply *));
    harness->replies[harness->reply_count++] = copy;
}

/* Tokens rise over all names, which is more than was promised. */
static void check_records(struct harness *harness, const struct engine_update *update)
{
    struct bytes rest = update->records;
    for (uint32_t index = 0; index < update->record_count; index++) {
        struct record record;
        CHECK_EQ_INT(record_decode(&rest, &record), TENURE_OK);
        if (record.kind != RECORD_GRANTED) continue;
        CHECK_LT_UINT(harness->token_last, record.token.value);
        harness->token_last = record.token.value;
    }
    CHECK_EQ_UINT(rest.size, 0);
}

static void keep_update(struct harness *harness, const struct engine_update *update)
{
    if (update->record_count > 0) {
        check_records(harness, update);
        grow(
            (void **)&harness->batches,
            &harness->batch_capacity,
            harness->batch_count,
            sizeof *harness->batches);
        const struct harness_batch *last =
            harness->batch_count == 0 ? NULL : &harness->batches[harness->batch_count - 1];
        CHECK_EQ_UINT(update->first.value, last == NULL ? 1 : last->first.value + last->count);
        harness->batches[harness->batch_count++] =
            (struct harness_batch){ .first = update->first,
                                    .count = update->record_count,
                                    .offset = harness->journal.size,
                                    .size = update->records.size };
        buffer_append_bytes(&harness->journal, update->records);
        CHECK(!harness->journal.is_failed);
    } else {
        CHECK_EQ_UINT(update->records.size, 0);
    }
    for (uint32_t index = 0; index < update->reply_count; index++) {
        CHECK_LE_UINT(update->replies[index].seq.value, engine_seq(harness->engine).value);
        keep_reply(harness, &update->replies[index]);
    }
}

/* A step that finds no memory has changed nothing, and is done again. */
static void step(struct harness *harness, struct engine_event *event)
{
    event->now = harness->now;
    event->wall = harness->wall;
    struct engine_update update;
    bool is_faulty = harness->fault.fail_at > 0 && !harness->fault.has_failed;
    uint64_t hash = is_faulty ? harness_hash(harness) : 0;
    enum tenure_err err = engine_step(harness->engine, event, &update);
    if (err == TENURE_NO_MEMORY) {
        CHECK(harness->fault.has_failed);
        CHECK(event->kind != ENGINE_COMMAND);
        CHECK_EQ_UINT(harness_hash(harness), hash);
        engine_check(harness->engine);
        err = engine_step(harness->engine, event, &update);
    }
    CHECK_EQ_INT(err, TENURE_OK);
    keep_update(harness, &update);
    harness->is_waiting = update.is_waiting;
    if (++harness->step_count % harness->check_every == 0) engine_check(harness->engine);
}

static void settle(struct harness *harness)
{
    if (harness->is_auto_durable) harness_durable(harness, engine_seq(harness->engine));
}

/* Say again a command that found no memory: it must have changed nothing. */
static bool is_refused_for_memory(struct harness *harness, size_t reply_index, uint64_t hash)
{
    if (harness->reply_count == reply_index) return false;
    const struct engine_reply *reply = harness->replies[reply_index];
    if (reply->err != TENURE_NO_MEMORY) return false;
    CHECK(harness->fault.has_failed);
    CHECK_EQ_UINT(harness_hash(harness), hash);
    CHECK_EQ_UINT(harness->reply_count, reply_index + 1);
    harness->reply_count--;
    return true;
}

const struct engine_reply *harness_command(struct harness *harness, struct engine_command *command)
{
    if (command->client == 0) command->client = 1;
    if (command->tag == 0) command->tag = ++harness->tag_last;
    struct engine_event event = { .kind = ENGINE_COMMAND, .command = command };
    size_t before = harness->reply_count;
    bool is_faulty = harness->fault.fail_at > 0 && !harness->fault.has_failed;
    uint64_t hash = is_faulty ? harness_hash(harness) : 0;
    step(harness, &event);
    if (is_faulty && is_refused_for_memory(harness, before, hash)) step(harness, &event);
    bool is_waiting = harness->is_waiting;
    const struct engine_reply *answer = NULL;
    for (size_t index = before; index < harness->reply_count; index++) {
        const struct engine_reply *reply = harness->replies[index];
        if (reply->client != command->client || reply->tag != command->tag) continue;
        CHECK(answer == NULL);
        answer = reply;
    }
    CHECK(is_waiting == (answer == NULL));
    settle(harness);
    harness->is_waiting = is_waiting;
    return answer;
}

void harness_gone(struct harness *harness, uint64_t client)
{
    step(harness, &(struct engine_event){ .kind = ENGINE_CLIENT_GONE, .client = client });
    settle(harness);
}

void harness_gate(struct harness *harness, enum engine_gate gate)
{
    step(harness, &(struct engine_event){ .kind = ENGINE_GATE, .gate = gate });
    settle(harness);
}

void harness_durable(struct harness *harness, struct seq seq)
{
    step(harness, &(struct engine_event){ .kind = ENGINE_DURABLE, .durable = seq });
}

/* ---------------------------------------------------------------- commands */

const struct engine_reply *harness_acquire(struct harness *harness, struct ask ask)
{
    struct bytes names[LIMIT_NAME_COUNT_MAX];
    uint32_t count = 0;
    if (ask.names == NULL) names[count++] = bytes_from_text(ask.name);
    for (; ask.names != NULL && ask.names[count] != NULL; count++) {
        names[count] = bytes_from_text(ask.names[count]);
    }
    struct engine_command command = {
        .kind = ENGINE_ACQUIRE,
        .client = ask.client,
        .tag = ask.tag,
        .as.acquire = {
            .names = names,
            .name_count = count,
            .owner = bytes_from_text(ask.owner),
            .meta = ask.meta == NULL ? (struct bytes){ 0 } : bytes_from_text(ask.meta),
            .ttl_ms = ask.ttl_ms == 0 && !ask.is_endless ? HARNESS_TTL_MS : ask.ttl_ms,
            .wait_ms = ask.wait_ms,
            .mode = ask.mode,
            .slots = ask.slots == 0 ? 1 : ask.slots,
            .priority = ask.priority,
            .lock_delay_ms = ask.lock_delay_ms,
        },
    };
    return harness_command(harness, &command);
}

uint64_t harness_hold(struct harness *harness, struct ask ask)
{
    const struct engine_reply *reply = harness_acquire(harness, ask);
    if (reply == NULL) FAIL("%s waits", ask.owner);
    if (reply->err != TENURE_OK) FAIL("%s: %s", ask.owner, tenure_err_name(reply->err));
    CHECK(!reply->results[0].is_repeat);
    return reply->results[0].hold.token.value;
}

uint64_t harness_wait(struct harness *harness, struct ask ask)
{
    if (ask.tag == 0) ask.tag = ++harness->tag_last;
    const struct engine_reply *reply = harness_acquire(harness, ask);
    if (reply != NULL) FAIL("%s: %s", ask.owner, tenure_err_name(reply->err));
    return ask.tag;
}

const struct engine_reply *harness_answer(const struct harness *harness, uint64_t tag)
{
    for (size_t index = harness->reply_count; index-- > 0;) {
        if (harness->replies[index]->tag == tag) return harness->replies[index];
    }
    return NULL;
}

static struct engine_claim claim_of(const char *name, const char *owner, uint64_t token)
{
    return (struct engine_claim){ .name = bytes_from_text(name),
                                  .owner = bytes_from_text(owner),
                                  .token = { token } };
}

const struct engine_reply *harness_renew(
    struct harness *harness, const char *name, const char *owner, uint64_t token, uint32_t ttl_ms)
{
    struct engine_claim claim = claim_of(name, owner, token);
    claim.ttl_ms = ttl_ms;
    return harness_command(
        harness, &(struct engine_command){ .kind = ENGINE_RENEW, .as.renew = { &claim, 1 } });
}

const struct engine_reply *
harness_release(struct harness *harness, const char *name, const char *owner, uint64_t token)
{
    return harness_command(
        harness,
        &(struct engine_command){ .kind = ENGINE_RELEASE,
                                  .as.release = claim_of(name, owner, token) });
}

const struct engine_reply *harness_break(
    struct harness *harness,
    const char *name,
    uint64_t token,
    const char *reason,
    uint32_t grace_ms)
{
    return harness_command(
        harness,
        &(struct engine_command){ .kind = ENGINE_BREAK,
                                  .as.break_hold = { .name = bytes_from_text(name),
                                                     .token = { token },
                                                     .reason = bytes_from_text(reason),
                                                     .grace_ms = grace_ms } });
}

const struct engine_reply *harness_proclaim(
    struct harness *harness, const char *name, const char *owner, uint64_t token, const char *value)
{
    return harness_command(
        harness,
        &(struct engine_command){
            .kind = ENGINE_PROCLAIM,
            .as.proclaim = { claim_of(name, owner, token), bytes_from_text(value) } });
}

const struct engine_reply *harness_transfer(
    struct harness *harness, const char *name, const char *owner, uint64_t token, const char *to)
{
    return harness_command(
        harness,
        &(struct engine_command){
            .kind = ENGINE_TRANSFER,
            .as.transfer = { claim_of(name, owner, token), bytes_from_text(to) } });
}

const struct engine_reply *harness_cancel(struct harness *harness, uint64_t client, uint64_t tag)
{
    return harness_command(
        harness, &(struct engine_command){ .kind = ENGINE_CANCEL, .client = client, .tag = tag });
}

/* -------------------------------------------------------------------- time */

void harness_pass(struct harness *harness, int64_t ms)
{
    harness->now.ns += ms * NS_PER_MS;
    harness->wall.us += ms * 1000;
}

void harness_timer(struct harness *harness)
{
    step(harness, &(struct engine_event){ .kind = ENGINE_TIMER });
    settle(harness);
}

void harness_advance(struct harness *harness, int64_t ms)
{
    int64_t end_ns = harness->now.ns + ms * NS_PER_MS;
    int64_t due_ns;
    while ((due_ns = engine_deadline(harness->engine).ns) <= end_ns) {
        if (due_ns > harness->now.ns) {
            harness->wall.us += (due_ns - harness->now.ns) / 1000;
            harness->now.ns = due_ns;
        }
        harness_timer(harness);
    }
    harness->wall.us += (end_ns - harness->now.ns) / 1000;
    harness->now.ns = end_ns;
    harness_timer(harness);
}

void harness_stall(struct harness *harness, int64_t ms)
{
    harness_pass(harness, ms);
    step(harness, &(struct engine_event){ .kind = ENGINE_STALLED, .stall_ns = ms * NS_PER_MS });
}

/* ----------------------------------------------------------------- looking */

struct engine_lock_view harness_look(const struct harness *harness, const char *name)
{
    struct engine_lock_view view;
    bool is_there = engine_inspect(harness->engine, bytes_from_text(name), harness->now, &view);
    CHECK_EQ_BYTES(view.name, bytes_from_text(name));
    CHECK(is_there == (view.hold_count > 0 || view.waiter_count > 0 || view.delay_ms > 0));
    return view;
}

uint64_t harness_holder(const struct harness *harness, const char *name)
{
    struct engine_lock_view view = harness_look(harness, name);
    if (view.hold_count == 0) return 0;
    CHECK_EQ_UINT(view.hold_count, 1);
    struct engine_hold_view hold;
    CHECK(engine_inspect_hold(harness->engine, bytes_from_text(name), harness->now, 0, &hold));
    return hold.token.value;
}

/* The hash needs memory too; it is not what is tested. */
uint64_t harness_hash(struct harness *harness)
{
    struct fault_memory *fault = &harness->fault;
    uint64_t fail_at = fault->fail_at;
    uint64_t call_count = fault->call_count;
    fault->fail_at = 0;
    uint64_t hash = engine_hash(harness->engine);
    fault->fail_at = fail_at;
    fault->call_count = call_count;
    return hash;
}

struct record harness_record(const struct harness *harness, uint64_t seq)
{
    for (size_t index = 0; index < harness->batch_count; index++) {
        const struct harness_batch *batch = &harness->batches[index];
        if (seq < batch->first.value || seq >= batch->first.value + batch->count) continue;
        struct bytes rest = { harness->journal.data + batch->offset, batch->size };
        struct record record;
        for (uint64_t at = batch->first.value; at <= seq; at++) {
            CHECK_EQ_INT(record_decode(&rest, &record), TENURE_OK);
        }
        record.seq.value = seq;
        return record;
    }
    FAIL("there is no record %llu", (unsigned long long)seq);
}

uint32_t harness_count(const struct harness *harness, enum record_kind kind, const char *name)
{
    struct bytes rest = buffer_bytes(&harness->journal);
    uint32_t count = 0;
    while (rest.size > 0) {
        struct record record;
        CHECK_EQ_INT(record_decode(&rest, &record), TENURE_OK);
        bool is_it = name == NULL || bytes_equal(record.name, bytes_from_text(name));
        if (record.kind == kind && is_it) count++;
    }
    return count;
}

/* ----------------------------------------------------------------- restart */

struct engine *harness_replay(const struct harness *harness, const struct engine_options *options)
{
    struct engine *engine = engine_create(options);
    CHECK(engine != NULL);
    for (size_t index = 0; index < harness->batch_count; index++) {
        const struct harness_batch *batch = &harness->batches[index];
        struct bytes records = { harness->journal.data + batch->offset, batch->size };
        CHECK_EQ_INT(engine_restore_batch(engine, batch->first, batch->count, records), TENURE_OK);
    }
    return engine;
}

void harness_verify(struct harness *harness)
{
    struct fault_memory memory;
    fault_memory_init(&memory, 0);
    struct engine_options options = harness->options;
    options.memory = &memory.memory;
    /* Nothing of the state may depend on the secret key. */
    options.hash_key.words[0] ^= 0x5bd1e995;
    struct engine *engine = harness_replay(harness, &options);
    uint64_t before = engine_hash(engine);
    struct engine_event event = { .kind = ENGINE_READY,
                                  .now = harness->now,
                                  .wall = harness->wall };
    struct engine_update update;
    CHECK_EQ_INT(engine_step(engine, &event, &update), TENURE_OK);
    CHECK_EQ_UINT(update.record_count, 0);
    engine_check(engine);
    CHECK_EQ_UINT(engine_hash(engine), before);
    CHECK_EQ_UINT(engine_hash(engine), harness_hash(harness));
    CHECK_EQ_UINT(engine_seq(engine).value, engine_seq(harness->engine).value);
    CHECK_EQ_UINT(engine_token_high(engine).value, engine_token_high(harness->engine).value);
    engine_destroy(&engine);
    fault_memory_check_empty(&memory);
}

void harness_adopt(struct harness *harness, struct engine *engine)
{
    engine_destroy(&harness->engine);
    harness->engine = engine;
    step(harness, &(struct engine_event){ .kind = ENGINE_READY });
}

void harness_restart(struct harness *harness)
{
    harness_adopt(harness, harness_replay(harness, &harness->options));
}
