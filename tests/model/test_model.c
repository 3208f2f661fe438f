/* The engine beside its naive model, on random commands: the same records, the same answers. */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/fault_memory.h"
#include "lib/test.h"
#include "model/model.h"
#include "sim/rng.h"

#define CLIENT_COUNT    5u
#define OWNER_COUNT     9u
#define TOKEN_COUNT_MAX 4096u

struct pair {
    struct rng rng;
    struct engine *engine;
    struct model model;
    const struct memory *memory;
    int64_t now_ns, stalled_ns;
    uint64_t tag;
    struct seq durable;
    uint64_t token_high;
    struct { /* every grant there was */
        uint32_t name, owner;
        uint64_t token;
    } grants[TOKEN_COUNT_MAX];
    uint32_t grant_count;
    struct { /* waits that were begun, for cancel */
        uint64_t client, tag;
    } waits[64];
    uint32_t wait_count;
};

static const char *const names[MODEL_NAME_COUNT] = { "a", "b", "c/d", "e" };

static uint32_t name_number(struct bytes name)
{
    for (uint32_t index = 0; index < MODEL_NAME_COUNT; index++) {
        if (bytes_equal(name, bytes_from_text(names[index]))) return index;
    }
    FAIL("a name that nobody used");
}

static struct bytes owner_text(uint32_t owner)
{
    static const char digits[] = "0123456789abcdef";
    return (struct bytes){ digits + owner, 1 };
}

static uint32_t owner_number(struct bytes owner)
{
    char digit = owner.data[0];
    return (uint32_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static struct engine *make_engine(const struct pair *pair)
{
    struct engine_options options = {
        .memory = pair->memory,
        .hash_key = { { 3, 4 } },
        .hold_count_max = pair->model.hold_count_max,
        .waiter_count_max = pair->model.waiter_count_max,
        .window_size = (size_t)4 << 20, /* the model forgets nothing */
        .ageing_ms = pair->model.ageing_ms,
    };
    return engine_create(&options);
}

/* --------------------------------------------------------------- comparing */

/* Which of the model's records is this?  Grants of one name come in order; what ends at the same
 * moment may end in any order, and so may what happens to different names. */
static uint32_t find_expected(
    const struct model *model, const bool *seen, const struct record *record, uint32_t name)
{
    for (uint32_t at = 0; at < model->record_count; at++) {
        const struct model_record *other = &model->records[at];
        if (seen[at] || other->name != name || other->kind != record->kind) continue;
        bool is_free = record->kind == RECORD_GRANTED || record->kind == RECORD_AVAILABLE;
        if (is_free || other->token == record->token.value) return at;
    }
    FAIL("the model has no such record: %s", record_kind_word(record->kind));
}

/* Which of two lock-delays that begin at the same moment is told depends on which end comes first.
 */
static bool is_tie(const struct model *model, uint32_t name)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < model->record_count; at++) {
        enum record_kind kind = model->records[at].kind;
        bool is_end = kind == RECORD_EXPIRED || kind == RECORD_BROKEN;
        count += model->records[at].name == name && is_end;
    }
    return count > 1;
}

static void compare_records(struct pair *pair, const struct engine_update *update)
{
    struct model *model = &pair->model;
    CHECK_EQ_INT(update->record_count, model->record_count);
    bool seen[MODEL_OUT_COUNT_MAX] = { false };
    struct bytes rest = update->records;
    for (uint32_t index = 0; index < update->record_count; index++) {
        struct record record;
        CHECK(record_decode(&rest, &record) == TENURE_OK);
        uint32_t name = name_number(record.name);
        uint32_t at = find_expected(model, seen, &record, name);
        seen[at] = true;
        if (record.kind == RECORD_GRANTED) {
            CHECK(record.token.value > pair->token_high);
            pair->token_high = record.token.value;
            model_set_token(model, at, record.token.value);
            for (uint32_t hold = 0; hold < model->hold_count; hold++) {
                struct model_hold *made = &model->holds[hold];
                if (made->token == record.token.value) made->number = update->first.value + index;
            }
            CHECK(pair->grant_count < TOKEN_COUNT_MAX);
            pair->grants[pair->grant_count].name = name;
            pair->grants[pair->grant_count].owner = owner_number(record.owner);
            pair->grants[pair->grant_count++].token = record.token.value;
        }
        const struct model_record *expected = &model->records[at];
        CHECK_EQ_INT(record.kind, expected->kind);
        if (record.kind == RECORD_AVAILABLE) continue;
        CHECK_EQ_INT(owner_number(record.owner), expected->owner);
        CHECK_EQ_UINT(record.token.value, expected->token);
        if (!is_tie(model, name)) CHECK_EQ_INT(record.lock_delay_ms, expected->lock_delay_ms);
        bool is_end = record.kind == RECORD_EXPIRED || record.kind == RECORD_BROKEN;
        if (is_end && record.lock_delay_ms > 0) model->delay_ms[name] = record.lock_delay_ms;
        if (record.kind == RECORD_GRANTED) CHECK_EQ_INT(record.slot, expected->slot);
        bool has_ttl = record.kind == RECORD_GRANTED || record.kind == RECORD_RENEWED;
        if (has_ttl) CHECK_EQ_INT(record.ttl_ms, expected->ttl_ms);
    }
}

static void compare_result(
    enum engine_command_kind kind,
    const struct engine_result *got,
    const struct model_result *expected)
{
    CHECK_EQ_INT(got->err, expected->err);
    bool is_hold = got->err == TENURE_OK && kind != ENGINE_RELEASE && kind != ENGINE_TRANSFER;
    if (is_hold) CHECK_EQ_UINT(got->hold.token.value, expected->token);
    bool is_end = got->err == TENURE_LOST || (got->err == TENURE_OK && kind != ENGINE_ACQUIRE);
    if (is_end) {
        CHECK_EQ_INT(got->end, expected->end);
        CHECK_EQ_UINT(got->successor.value, expected->successor);
    }
    CHECK_EQ_INT(got->is_repeat, expected->is_repeat);
}

static void compare_replies(struct pair *pair, const struct engine_update *update)
{
    struct model *model = &pair->model;
    CHECK_EQ_INT(update->reply_count, model->reply_count);
    for (uint32_t index = 0; index < update->reply_count; index++) {
        const struct engine_reply *reply = &update->replies[index];
        const struct model_reply *expected = NULL;
        for (uint32_t at = 0; at < model->reply_count; at++) {
            const struct model_reply *other = &model->replies[at];
            if (other->client == reply->client && other->tag == reply->tag) expected = other;
        }
        CHECK(expected != NULL);
        CHECK_EQ_INT(reply->err, expected->err);
        CHECK_EQ_INT(reply->result_count, expected->result_count);
        for (uint32_t at = 0; at < reply->result_count; at++) {
            compare_result(reply->kind, &reply->results[at], &expected->results[at]);
        }
    }
    CHECK_EQ_INT(update->is_waiting, model->is_waiting);
}

static void compare_state(struct pair *pair)
{
    const struct model *model = &pair->model;
    struct mono now = { pair->now_ns };
    struct engine_counters counters = engine_counters(pair->engine);
    CHECK_EQ_INT(counters.hold_count, model->hold_count);
    CHECK_EQ_INT(counters.waiter_count, model->wait_count);
    for (uint32_t index = 0; index < model->hold_count; index++) {
        const struct model_hold *hold = &model->holds[index];
        struct engine_hold_view view = { 0 };
        bool is_found = false;
        struct bytes name = bytes_from_text(names[hold->name]);
        for (uint32_t at = 0; engine_inspect_hold(pair->engine, name, now, at, &view); at++) {
            if (view.token.value != hold->token) continue;
            is_found = true;
            int64_t left_ns = hold->deadline_ns;
            if (hold->is_breaking && hold->break_ns < left_ns) left_ns = hold->break_ns;
            if (hold->is_live && left_ns != MODEL_FOREVER) {
                int64_t left_ms = (left_ns - model->time_ns) / NS_PER_MS;
                CHECK_EQ_INT(view.remaining_ms, left_ms < 0 ? 0 : left_ms);
            }
            CHECK_EQ_INT(view.slot, hold->slot);
        }
        CHECK(is_found);
    }
    engine_check(pair->engine);
}

/* -------------------------------------------------------------- random acts */

static struct engine_event begin(struct pair *pair, enum engine_event_kind kind)
{
    model_begin(&pair->model, pair->now_ns - pair->stalled_ns);
    return (struct engine_event){
        .kind = kind,
        .now = { pair->now_ns },
        .wall = { INT64_C(1000000) + pair->now_ns / 1000 },
    };
}

static void finish(struct pair *pair, const struct engine_event *event)
{
    struct engine_update update;
    model_finish(&pair->model);
    CHECK(engine_step(pair->engine, event, &update) == TENURE_OK);
    compare_records(pair, &update);
    compare_replies(pair, &update);
}

static void act_acquire(struct pair *pair)
{
    struct rng *rng = &pair->rng;
    struct bytes texts[MODEL_NAME_COUNT];
    struct model_acquire acquire = {
        .client = 1 + rng_below(rng, CLIENT_COUNT),
        .tag = ++pair->tag,
        .name_count = rng_percent(rng, 25) ? 1 + rng_below(rng, 3) : 1,
        .wait_ms = rng_percent(rng, 65) ? (uint32_t)rng_scale(rng, 1, 3000) : 0,
        .priority = rng_percent(rng, 30) ? rng_below(rng, 10) : 0,
        .terms = {
            .owner = rng_below(rng, OWNER_COUNT),
            .mode = rng_percent(rng, 35) ? ENGINE_SHARED : ENGINE_EXCLUSIVE,
            .slots = 1,
            .ttl_ms = rng_percent(rng, 10) ? 0 : (uint32_t)rng_scale(rng, 60, 4000),
            .lock_delay_ms = rng_percent(rng, 20) ? (uint32_t)rng_scale(rng, 1, 800) : 0,
        },
    };
    uint32_t start = rng_below(rng, MODEL_NAME_COUNT);
    for (uint32_t at = 0; at < acquire.name_count; at++) {
        acquire.names[at] = (start + at) % MODEL_NAME_COUNT;
        texts[at] = bytes_from_text(names[acquire.names[at]]);
    }
    /* The last name is one with slots. */
    bool is_slotted = acquire.name_count == 1 && acquire.names[0] == MODEL_NAME_COUNT - 1;
    if (is_slotted) acquire.terms.slots = 3;
    if (acquire.terms.slots > 1) acquire.terms.mode = ENGINE_EXCLUSIVE;
    struct engine_command command = {
        .kind = ENGINE_ACQUIRE,
        .client = acquire.client,
        .tag = acquire.tag,
        .as.acquire = {
            .names = texts,
            .name_count = acquire.name_count,
            .owner = owner_text(acquire.terms.owner),
            .ttl_ms = acquire.terms.ttl_ms,
            .wait_ms = acquire.wait_ms,
            .mode = acquire.terms.mode,
            .slots = acquire.terms.slots,
            .priority = acquire.priority,
            .lock_delay_ms = acquire.terms.lock_delay_ms,
        },
    };
    struct engine_event event = begin(pair, ENGINE_COMMAND);
    event.command = &command;
    model_acquire(&pair->model, &acquire);
    if (pair->model.is_waiting) {
        uint32_t slot = pair->wait_count++ % 64;
        pair->waits[slot].client = acquire.client;
        pair->waits[slot].tag = acquire.tag;
    }
    finish(pair, &event);
}

static struct model_claim draw_claim(struct pair *pair)
{
    struct rng *rng = &pair->rng;
    struct model_claim claim = { .name = rng_below(rng, MODEL_NAME_COUNT), .token = 7 };
    claim.ttl_ms = ENGINE_TTL_KEEP;
    const struct model *model = &pair->model;
    if (model->hold_count > 0 && rng_percent(rng, 70)) {
        const struct model_hold *hold = &model->holds[rng_below(rng, model->hold_count)];
        claim.name = hold->name;
        claim.owner = hold->terms.owner;
        claim.token = hold->token;
    } else if (pair->grant_count > 0) {
        uint32_t at = rng_below(rng, pair->grant_count);
        claim.name = pair->grants[at].name;
        claim.owner = pair->grants[at].owner;
        claim.token = pair->grants[at].token;
    }
    if (rng_percent(rng, 6)) claim.owner = rng_below(rng, OWNER_COUNT);
    if (rng_percent(rng, 6)) claim.token--;
    return claim;
}

static void act_claim(struct pair *pair, enum engine_command_kind kind)
{
    struct rng *rng = &pair->rng;
    struct model_claim claim = draw_claim(pair);
    uint64_t client = 1 + rng_below(rng, CLIENT_COUNT);
    uint64_t tag = ++pair->tag;
    uint32_t to = rng_below(rng, OWNER_COUNT);
    uint32_t grace_ms = rng_percent(rng, 50) ? (uint32_t)rng_scale(rng, 1, 1000) : 0;
    bool is_changed = kind == ENGINE_RENEW && rng_percent(rng, 30);
    if (is_changed) claim.ttl_ms = (uint32_t)rng_scale(rng, 100, 3000);
    struct engine_claim asked = {
        .name = bytes_from_text(names[claim.name]),
        .owner = owner_text(claim.owner),
        .token = { claim.token },
        .ttl_ms = claim.ttl_ms,
    };
    struct engine_command command = { .kind = kind, .client = client, .tag = tag };
    struct engine_event event = begin(pair, ENGINE_COMMAND);
    struct model *model = &pair->model;
    event.command = &command;
    if (kind == ENGINE_RENEW) {
        command.as.renew.claims = &asked;
        command.as.renew.count = 1;
        model_renew(model, client, tag, &claim);
    } else if (kind == ENGINE_RELEASE) {
        command.as.release = asked;
        model_release(model, client, tag, &claim);
    } else if (kind == ENGINE_BREAK) {
        command.as.break_hold.name = asked.name;
        command.as.break_hold.token = asked.token;
        command.as.break_hold.reason = BYTES_LITERAL("why");
        command.as.break_hold.grace_ms = grace_ms;
        model_break(model, client, tag, &claim, grace_ms);
    } else if (kind == ENGINE_PROCLAIM) {
        command.as.proclaim.claim = asked;
        command.as.proclaim.value = BYTES_LITERAL("v");
        model_proclaim(model, client, tag, &claim);
    } else {
        command.as.transfer.claim = asked;
        command.as.transfer.to = owner_text(to);
        model_transfer(model, client, tag, &claim, to);
    }
    finish(pair, &event);
}

static void act_cancel(struct pair *pair)
{
    if (pair->wait_count == 0) return;
    uint32_t count = pair->wait_count < 64 ? pair->wait_count : 64;
    uint32_t at = rng_below(&pair->rng, count);
    struct engine_command command = {
        .kind = ENGINE_CANCEL,
        .client = pair->waits[at].client,
        .tag = pair->waits[at].tag,
    };
    struct engine_event event = begin(pair, ENGINE_COMMAND);
    event.command = &command;
    model_cancel(&pair->model, command.client, command.tag);
    finish(pair, &event);
}

static void act_time(struct pair *pair)
{
    struct rng *rng = &pair->rng;
    pair->now_ns += rng_percent(rng, 50) ? rng_scale(rng, 1, 900 * NS_PER_MS) : 0;
    struct mono deadline = engine_deadline(pair->engine);
    if (rng_percent(rng, 40) && deadline.ns != INT64_MAX && deadline.ns > pair->now_ns) {
        pair->now_ns = deadline.ns - rng_below(rng, 2);
    }
    struct engine_event event = begin(pair, ENGINE_TIMER);
    model_timer(&pair->model);
    finish(pair, &event);
}

static void act_durable(struct pair *pair)
{
    uint64_t last = engine_seq(pair->engine).value;
    pair->durable.value =
        (uint64_t)rng_between(&pair->rng, (int64_t)pair->durable.value, (int64_t)last);
    struct engine_event event = begin(pair, ENGINE_DURABLE);
    event.durable = pair->durable;
    model_durable(&pair->model, pair->durable.value);
    finish(pair, &event);
}

static void act_stall(struct pair *pair)
{
    int64_t stall_ns = rng_scale(&pair->rng, 1, 5 * NS_PER_S);
    pair->now_ns += stall_ns;
    pair->stalled_ns += stall_ns;
    struct engine_event event = begin(pair, ENGINE_STALLED);
    event.stall_ns = stall_ns;
    finish(pair, &event);
}

static void act_gate(struct pair *pair)
{
    static const enum engine_gate gates[] = {
        ENGINE_GATE_OPEN,
        ENGINE_GATE_NO_SPACE,
        ENGINE_GATE_SLOW,
        ENGINE_GATE_DRAINING,
    };
    enum engine_gate gate = gates[rng_below(&pair->rng, 4)];
    if (rng_percent(&pair->rng, 60)) gate = ENGINE_GATE_OPEN;
    struct engine_event event = begin(pair, ENGINE_GATE);
    event.gate = gate;
    model_gate(&pair->model, gate);
    finish(pair, &event);
}

/* A snapshot of all, and a new engine from it. */
static void act_restart(struct pair *pair)
{
    struct buffer chunk;
    struct seq seq;
    bool is_last = false;
    buffer_init(&chunk, &memory_heap);
    uint64_t hash = engine_hash(pair->engine);
    struct engine *next = make_engine(pair);
    engine_snapshot_begin(pair->engine, &seq);
    while (!is_last) {
        buffer_reset(&chunk);
        is_last = engine_snapshot_write(pair->engine, &chunk, 200);
        CHECK(engine_restore_chunk(next, buffer_bytes(&chunk)) == TENURE_OK);
    }
    CHECK(engine_restore_snapshot_end(next, seq) == TENURE_OK);
    buffer_deinit(&chunk);
    engine_destroy(&pair->engine);
    pair->engine = next;
    CHECK_EQ_UINT(engine_hash(next), hash);
    pair->durable = seq;
    pair->stalled_ns = 0;
    struct engine_event event = begin(pair, ENGINE_READY);
    model_restart(&pair->model);
    finish(pair, &event);
}

static void act(struct pair *pair)
{
    uint32_t dice = rng_below(&pair->rng, 1000);
    if (dice < 350)
        act_acquire(pair);
    else if (dice < 480)
        act_claim(pair, ENGINE_RELEASE);
    else if (dice < 560)
        act_claim(pair, ENGINE_RENEW);
    else if (dice < 600)
        act_claim(pair, ENGINE_BREAK);
    else if (dice < 630)
        act_claim(pair, ENGINE_PROCLAIM);
    else if (dice < 690)
        act_claim(pair, ENGINE_TRANSFER);
    else if (dice < 720)
        act_cancel(pair);
    else if (dice < 850)
        act_time(pair);
    else if (dice < 950)
        act_durable(pair);
    else if (dice < 965)
        act_stall(pair);
    else if (dice < 980)
        act_gate(pair);
    else if (dice < 995) {
        struct engine_event event = begin(pair, ENGINE_CLIENT_GONE);
        event.client = 1 + rng_below(&pair->rng, CLIENT_COUNT);
        model_gone(&pair->model, event.client);
        finish(pair, &event);
    } else {
        act_restart(pair);
    }
}

static void run_pair(uint64_t seed, uint32_t act_count)
{
    struct pair *pair = calloc(1, sizeof *pair);
    CHECK(pair != NULL);
    pair->rng = rng_from(seed, 0);
    pair->memory = &memory_heap;
    pair->now_ns = NS_PER_S;
    model_init(&pair->model);
    pair->engine = make_engine(pair);
    struct engine_event event = begin(pair, ENGINE_READY);
    model_restart(&pair->model);
    finish(pair, &event);
    for (uint32_t index = 0; index < act_count; index++) {
        test_note("seed %" PRIu64 ", act %u", seed, index);
        act(pair);
        if (index % 4 == 0) compare_state(pair);
    }
    engine_destroy(&pair->engine);
    free(pair);
}

TEST_WITHIN(120, engine_does_what_the_model_does)
{
    for (uint64_t seed = 1; seed <= 400; seed++)
        run_pair(seed, 500);
}

TEST_WITHIN(120, engine_does_what_the_model_does_for_long)
{
    for (uint64_t seed = 1001; seed <= 1010; seed++)
        run_pair(seed, 5000);
}
