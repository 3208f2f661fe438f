/* Shared state beside its naive model, on random commands: the same records in the same order, the
 * same answers, the same state, the same events with what was there before; and the same again from
 * the journal and from snapshots. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/registers.h"
#include "lib/fault_memory.h"
#include "lib/test.h"
#include "model/state_model.h"
#include "sim/rng.h"

#define CLIENT_COUNT 4u
#define STEP_COUNT   1500u

struct life {
    struct rng rng;
    struct fault_memory fault;
    struct engine_options options;
    struct engine *engine;
    struct sm model;
    struct buffer journal;
    struct {
        uint64_t seq;
        size_t offset;
    } batches[STEP_COUNT + 8];
    uint32_t batch_count;
    int64_t now_ns;
    uint64_t tag;
    bool is_snapshot_open;
    struct buffer snapshot; /* being written */
    struct seq snapshot_seq;
    uint64_t snapshot_hash;
    struct buffer kept; /* the last whole one */
    struct seq kept_seq;
    uint64_t kept_hash;
};

static struct bytes name_text(uint32_t name)
{
    return bytes_from_text(sm_names[name]);
}

/* ------------------------------------------------------------------- comparing */

static struct bytes text_bytes(const struct sm_text *text)
{
    return (struct bytes){ text->bytes, text->size };
}

static void compare_event(const struct record *record, const struct sm_event *event)
{
    if (!RECORD_KIND_IS_KEY(record->kind)) {
        CHECK_EQ_INT(event->kind, record->kind);
        return;
    }
    CHECK_EQ_TEXT(record_kind_word(record->kind), record_kind_word(event->kind));
    CHECK_EQ_BYTES(record->name, name_text(event->name));
    CHECK_EQ_UINT(record->more, event->more);
    if (record->kind == RECORD_UNSET) CHECK_EQ_INT(record->cause, event->cause);
    if (record->kind != RECORD_RANKED && record->kind != RECORD_UNRANKED) return;
    CHECK_EQ_BYTES(record->id, bytes_from_text(sm_members[event->member]));
    CHECK(!(record->score < event->score) && !(record->score > event->score));
}

static void compare_records(struct life *life, const struct engine_update *update)
{
    const struct sm *model = &life->model;
    struct bytes rest = update->records;
    uint32_t at = model->event_begin;
    for (uint32_t index = 0; index < update->record_count; index++, at++) {
        struct record record;
        CHECK(record_decode(&rest, &record) == TENURE_OK);
        CHECK_LT_UINT(at, model->event_count);
        compare_event(&record, &model->events[at]);
    }
    CHECK_EQ_UINT(at, model->event_count);
    CHECK_EQ_UINT(engine_seq(life->engine).value, model->seq);
    if (update->record_count == 0) return;
    life->batches[life->batch_count].seq = update->first.value;
    life->batches[life->batch_count++].offset = life->journal.size;
    buffer_append_bytes(&life->journal, update->records);
}

/* All that are remembered, with what came and what was before. */
static void compare_window(const struct life *life)
{
    uint64_t last = engine_window_last(life->engine).value;
    CHECK_EQ_UINT(last, life->model.event_count);
    for (uint64_t seq = engine_window_first(life->engine).value; seq <= last; seq++) {
        struct record record;
        const struct sm_event *event = &life->model.events[seq - 1];
        CHECK(engine_window_read(life->engine, (struct seq){ seq }, &record));
        compare_event(&record, event);
        if (event->kind != RECORD_SET && event->kind != RECORD_APPENDED &&
            event->kind != RECORD_UNSET) {
            continue;
        }
        test_note("event %" PRIu64, seq);
        CHECK_EQ_BYTES(record.body, text_bytes(&event->value));
        CHECK_EQ_INT(record.has_previous, event->previous.is_set);
        if (record.has_previous) CHECK_EQ_BYTES(record.previous, text_bytes(&event->previous));
    }
}

static enum tenure_err known(enum tenure_err err)
{
    return err == TENURE_NOT_FOUND ? TENURE_STALE_TOKEN : err; /* a lock may be forgotten */
}

static void compare_answer(const struct engine_reply *reply, const struct sm_answer *answer)
{
    CHECK_EQ_INT(known(reply->err), known(answer->err));
    CHECK_EQ_INT(reply->is_else, answer->is_else);
    CHECK_EQ_UINT(reply->change_count, answer->count);
    for (uint32_t index = 0; index < reply->change_count; index++) {
        const struct engine_change_result *result = &reply->changes[index];
        CHECK_EQ_INT(result->number, answer->results[index].number);
        CHECK_EQ_UINT(result->value.version, answer->results[index].version);
        if (!answer->results[index].is_rank) continue;
        CHECK_EQ_INT(result->is_member, answer->results[index].is_member);
        if (!result->is_member) continue;
        CHECK(!(result->score < answer->results[index].score));
        CHECK(!(result->score > answer->results[index].score));
    }
}

static void compare_answers(const struct life *life, const struct engine_update *update)
{
    const struct sm *model = &life->model;
    uint32_t count = 0;
    for (uint32_t index = 0; index < update->reply_count; index++) {
        const struct engine_reply *reply = &update->replies[index];
        if (!ENGINE_COMMAND_IS_STATE(reply->kind)) continue;
        CHECK_LE_UINT(reply->seq.value, engine_seq(life->engine).value);
        uint32_t at = 0;
        while (at < model->answer_count &&
               (model->answers[at].tag != reply->tag || model->answers[at].client != reply->client))
        {
            at++;
        }
        if (at == model->answer_count) FAIL("the model does not answer tag %" PRIu64, reply->tag);
        compare_answer(reply, &model->answers[at]);
        count++;
    }
    CHECK_EQ_UINT(count, model->answer_count);
    CHECK_EQ_INT(update->is_waiting, model->is_waiting);
}

static void compare_ranks(const struct life *life, uint32_t name)
{
    const struct sm_key *key = &life->model.keys[name];
    struct engine_member_view views[SM_MEMBER_COUNT];
    uint32_t count =
        engine_members(life->engine, name_text(name), 0, false, views, SM_MEMBER_COUNT);
    for (uint32_t member = 0; member < SM_MEMBER_COUNT; member++) {
        struct engine_member_view view;
        bool is_there = engine_member(
            life->engine, name_text(name), bytes_from_text(sm_members[member]), &view);
        CHECK_EQ_INT(is_there, key->is_member[member]);
        if (!is_there) continue;
        CHECK(!(view.score < key->scores[member]) && !(view.score > key->scores[member]));
        CHECK_LT_UINT(view.position, count);
        CHECK_EQ_BYTES(views[view.position].member, view.member);
    }
}

static void compare_state(struct life *life)
{
    uint32_t count = 0;
    for (uint32_t name = 0; name < SM_NAME_COUNT; name++) {
        const struct sm_key *key = &life->model.keys[name];
        struct engine_register_view view;
        struct seq seq;
        struct mono now = { life->now_ns };
        bool is_set = engine_register(life->engine, name_text(name), now, &view, &seq);
        CHECK_EQ_INT(is_set, key->value.is_set);
        count += is_set;
        compare_ranks(life, name);
        if (!is_set) continue;
        CHECK_EQ_UINT(view.version, key->version);
        CHECK_EQ_BYTES(view.value, text_bytes(&key->value));
        CHECK_EQ_UINT(view.token.value, key->token);
        CHECK_EQ_UINT(view.ttl_ms, key->ttl_ms);
        int64_t left_ms = (key->deadline_ns - life->model.time_ns) / NS_PER_MS;
        CHECK_EQ_INT(view.remaining_ms, key->ttl_ms == 0 ? -1 : left_ms < 0 ? 0 : left_ms);
    }
    CHECK_EQ_UINT(engine_key_counters(life->engine).register_count, count);
    CHECK_EQ_UINT(engine_key_counters(life->engine).wait_count, life->model.wait_count);
    engine_check(life->engine);
}

/* ----------------------------------------------------------------- random acts */

static struct engine_event begin(struct life *life, enum engine_event_kind kind)
{
    sm_begin(&life->model, life->now_ns, engine_window_first(life->engine).value);
    return (struct engine_event){ .kind = kind,
                                  .now = { life->now_ns },
                                  .wall = { INT64_C(1700000000000000) + life->now_ns / 1000 } };
}

static void finish(struct life *life, const struct engine_event *event)
{
    struct engine_update update;
    CHECK(engine_step(life->engine, event, &update) == TENURE_OK);
    compare_records(life, &update);
    compare_answers(life, &update);
    compare_state(life);
}

static struct engine_guard some_guard(struct life *life)
{
    uint32_t lock = rng_below(&life->rng, SM_LOCK_COUNT);
    uint64_t token = life->model.holders[lock];
    if (token == 0 || rng_percent(&life->rng, 15)) token += 1 + rng_below(&life->rng, 3);
    return (struct engine_guard){ bytes_from_text(sm_locks[lock]), { token } };
}

static struct bytes some_value(struct life *life)
{
    static const char *const values[] = { "", "x", "17", "-3", "a longer text", "007" };
    return bytes_from_text(values[rng_below(&life->rng, 6)]);
}

static struct engine_operation some_operation(struct life *life)
{
    struct rng *rng = &life->rng;
    uint32_t name = rng_below(rng, SM_NAME_COUNT);
    struct engine_operation operation = {
        .kind = (enum engine_operation_kind)rng_below(rng, OPERATION_KIND_COUNT),
        .name = name_text(name),
        .by = (int64_t)rng_below(rng, 9) - 4,
        .score = (double)rng_below(rng, 4),
        .first = (int64_t)rng_below(rng, 5) - 2,
        .last = (int64_t)rng_below(rng, 5) - 2,
    };
    if (rng_percent(rng, 20)) operation.kind = OPERATION_SET;
    if (operation.kind == OPERATION_APPEND && life->model.keys[name].value.size > 45) {
        operation.kind = OPERATION_SET;
    }
    bool is_write = operation.kind == OPERATION_SET || operation.kind == OPERATION_APPEND;
    if (is_write) operation.value = some_value(life);
    if (is_write || operation.kind == OPERATION_INCREMENT) {
        if (rng_percent(rng, 25)) operation.ttl_ms = 100 + 100 * rng_below(rng, 8);
        if (rng_percent(rng, 25)) operation.bond = some_guard(life);
    }
    if (operation.kind == OPERATION_SET && rng_percent(rng, 15)) {
        operation.is_keeping = true;
        operation.ttl_ms = 0;
        operation.bond = (struct engine_guard){ 0 };
    }
    if (operation.kind >= OPERATION_RANK_GET && operation.kind != OPERATION_RANK_TRIM) {
        operation.member = bytes_from_text(sm_members[rng_below(rng, SM_MEMBER_COUNT)]);
    }
    static const unsigned whens[] = { 0, 0, 1, 2, 4, 8, 6, 10 };
    if (operation.kind == OPERATION_RANK_ADD) operation.when = whens[rng_below(rng, 8)];
    return operation;
}

/* `room` keeps the value: the model's own changes before the engine has seen it. */
static struct engine_condition some_condition(struct life *life, struct sm_text *room)
{
    uint32_t name = rng_below(&life->rng, SM_NAME_COUNT);
    const struct sm_key *key = &life->model.keys[name];
    *room = key->value;
    struct engine_condition condition = {
        .kind = (enum engine_condition_kind)rng_below(&life->rng, CONDITION_COUNT),
        .name = name_text(name),
        .version = rng_percent(&life->rng, 70) ? key->version : rng_below(&life->rng, 50),
        .value = rng_percent(&life->rng, 70) ? text_bytes(room) : some_value(life),
    };
    return condition;
}

static void act_change(struct life *life)
{
    struct rng *rng = &life->rng;
    struct engine_event event = begin(life, ENGINE_COMMAND);
    struct engine_operation then_operations[6], else_operations[3];
    struct engine_condition conditions[3];
    struct sm_text rooms[3];
    struct engine_guard guards[2];
    struct engine_change change = {
        .guards = guards,
        .guard_count = rng_percent(rng, 20) ? 1 + rng_below(rng, 2) : 0,
        .conditions = conditions,
        .condition_count = rng_percent(rng, 40) ? 1 + rng_below(rng, 3) : 0,
        .then_operations = then_operations,
        .then_count = rng_percent(rng, 40) ? 1 + rng_below(rng, 6) : 1,
        .else_operations = else_operations,
        .has_else = rng_percent(rng, 30),
    };
    if (change.has_else) change.else_count = rng_below(rng, 4);
    for (uint32_t index = 0; index < change.guard_count; index++) {
        guards[index] = some_guard(life);
    }
    for (uint32_t index = 0; index < change.condition_count; index++) {
        conditions[index] = some_condition(life, &rooms[index]);
    }
    for (uint32_t index = 0; index < change.then_count; index++) {
        then_operations[index] = some_operation(life);
    }
    for (uint32_t index = 0; index < change.else_count; index++) {
        else_operations[index] = some_operation(life);
    }
    struct engine_command command = { .kind = ENGINE_CHANGE,
                                      .client = 1 + rng_below(rng, CLIENT_COUNT),
                                      .tag = ++life->tag,
                                      .as.change = change };
    event.command = &command;
    sm_change(&life->model, command.client, command.tag, &change);
    finish(life, &event);
}

static void act_wait(struct life *life)
{
    struct rng *rng = &life->rng;
    struct engine_event event = begin(life, ENGINE_COMMAND);
    uint32_t name = rng_below(rng, SM_NAME_COUNT);
    struct engine_command command = { .kind = ENGINE_STATE_WAIT,
                                      .client = 1 + rng_below(rng, CLIENT_COUNT),
                                      .tag = ++life->tag };
    command.as.state_wait = (struct engine_state_wait){
        .name = name_text(name),
        .version = rng_percent(rng, 70) ? life->model.keys[name].last_seq : rng_below(rng, 9),
        .wait_ms = rng_percent(rng, 80) ? rng_below(rng, 900) : 0,
    };
    if (life->model.wait_count == SM_WAIT_MAX) command.as.state_wait.wait_ms = 0;
    event.command = &command;
    sm_wait(&life->model, &command);
    finish(life, &event);
}

static void act_lock(struct life *life)
{
    struct engine_event event = begin(life, ENGINE_COMMAND);
    uint32_t lock = rng_below(&life->rng, SM_LOCK_COUNT);
    struct bytes name = bytes_from_text(sm_locks[lock]);
    struct engine_command command = { .client = 1, .tag = ++life->tag };
    uint64_t token = life->model.holders[lock];
    if (token == 0) {
        command.kind = ENGINE_ACQUIRE;
        command.as.acquire = (struct engine_acquire){
            .names = &name, .name_count = 1, .owner = BYTES_LITERAL("A"), .slots = 1
        };
        uint64_t wall = (uint64_t)event.wall.us;
        uint64_t next = engine_token_high(life->engine).value + 1;
        sm_acquired(&life->model, lock, wall > next ? wall : next);
    } else {
        command.kind = ENGINE_RELEASE;
        command.as.release =
            (struct engine_claim){ .name = name, .owner = BYTES_LITERAL("A"), .token = { token } };
        sm_release(&life->model, lock);
    }
    event.command = &command;
    finish(life, &event);
}

static void act_timer(struct life *life)
{
    life->now_ns += (int64_t)rng_below(&life->rng, 400) * NS_PER_MS;
    struct engine_event event = begin(life, ENGINE_TIMER);
    sm_timer(&life->model);
    finish(life, &event);
}

static void act_gone(struct life *life)
{
    struct engine_event event = begin(life, ENGINE_CLIENT_GONE);
    event.client = 1 + rng_below(&life->rng, CLIENT_COUNT);
    sm_gone(&life->model, event.client);
    finish(life, &event);
}

static void act_durable(struct life *life)
{
    struct engine_event event = begin(life, ENGINE_DURABLE);
    event.durable = engine_seq(life->engine);
    finish(life, &event);
}

/* --------------------------------------------------------- snapshots, restarts */

static void act_snapshot(struct life *life)
{
    if (!life->is_snapshot_open) {
        buffer_reset(&life->snapshot);
        engine_snapshot_begin(life->engine, &life->snapshot_seq);
        life->snapshot_hash = engine_hash(life->engine);
        life->is_snapshot_open = true;
        return;
    }
    size_t size = 1 + rng_below(&life->rng, 3000);
    if (!engine_snapshot_write(life->engine, &life->snapshot, size)) return;
    life->is_snapshot_open = false;
    buffer_swap(&life->kept, &life->snapshot);
    life->kept_seq = life->snapshot_seq;
    life->kept_hash = life->snapshot_hash;
}

static void replay(const struct life *life, struct engine *engine)
{
    for (uint32_t index = 0; index < life->batch_count; index++) {
        bool is_last = index + 1 == life->batch_count;
        uint64_t first = life->batches[index].seq;
        uint64_t next = is_last ? life->model.seq + 1 : life->batches[index + 1].seq;
        size_t end = is_last ? life->journal.size : life->batches[index + 1].offset;
        if (next <= engine_seq(engine).value + 1) continue;
        struct bytes records = { life->journal.data + life->batches[index].offset,
                                 end - life->batches[index].offset };
        CHECK_EQ_INT(
            engine_restore_batch(engine, (struct seq){ first }, (uint32_t)(next - first), records),
            TENURE_OK);
    }
}

static void act_restart(struct life *life)
{
    uint64_t hash = engine_hash(life->engine);
    bool has_snapshot = life->kept.size > 0 && rng_percent(&life->rng, 60);
    engine_destroy(&life->engine);
    life->is_snapshot_open = false;
    life->options.hash_key.words[0] = rng_next(&life->rng);
    life->engine = engine_create(&life->options);
    CHECK(life->engine != NULL);
    if (has_snapshot) {
        CHECK_EQ_INT(engine_restore_chunk(life->engine, buffer_bytes(&life->kept)), TENURE_OK);
        CHECK_EQ_INT(engine_restore_snapshot_end(life->engine, life->kept_seq), TENURE_OK);
        CHECK_EQ_UINT(engine_hash(life->engine), life->kept_hash);
        engine_check(life->engine);
    }
    replay(life, life->engine);
    CHECK_EQ_UINT(engine_hash(life->engine), hash);
    struct engine_event event = begin(life, ENGINE_READY);
    sm_restart(&life->model);
    finish(life, &event);
    compare_window(life);
}

/* ------------------------------------------------------------------------ test */

static void act(struct life *life)
{
    switch (rng_below(&life->rng, 40)) {
    case 0:
    case 1:
    case 2:
    case 3: act_timer(life); return;
    case 4:
    case 5:
    case 6: act_wait(life); return;
    case 7:
    case 8:
    case 9: act_lock(life); return;
    case 10: act_gone(life); return;
    case 11:
    case 12: act_durable(life); return;
    case 13:
    case 14:
    case 15:
    case 16:
    case 17: act_snapshot(life); return;
    case 18: compare_window(life); return;
    case 19:
        if (rng_percent(&life->rng, 30)) act_restart(life);
        return;
    default: act_change(life); return;
    }
}

static void live(uint64_t seed)
{
    static struct life life;
    memset(&life, 0, sizeof life);
    life.rng = rng_from(seed, 0);
    fault_memory_init(&life.fault, 0);
    sm_init(&life.model);
    buffer_init(&life.journal, &memory_heap);
    buffer_init(&life.snapshot, &memory_heap);
    buffer_init(&life.kept, &memory_heap);
    life.options = (struct engine_options){ .memory = &life.fault.memory,
                                            .hold_count_max = 10,
                                            .waiter_count_max = 100,
                                            .window_size = ENGINE_WINDOW_SIZE_MIN,
                                            .ageing_ms = 1000 };
    life.engine = engine_create(&life.options);
    CHECK(life.engine != NULL);
    struct engine_event event = begin(&life, ENGINE_READY);
    finish(&life, &event);
    for (uint32_t count = 0; count < STEP_COUNT; count++) {
        test_note("seed %" PRIu64 ", step %u", seed, count);
        act(&life);
    }
    act_restart(&life);
    engine_destroy(&life.engine);
    fault_memory_check_empty(&life.fault);
    buffer_deinit(&life.journal);
    buffer_deinit(&life.snapshot);
    buffer_deinit(&life.kept);
}

TEST_WITHIN(120, state_behaves_as_its_model)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        live(seed);
    }
}
