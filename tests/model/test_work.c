/* The engine's queues beside their naive model, on random commands: the same records in the same
 * order, the same answers, the same state; and the same again from the journal and from snapshots.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/queues.h"
#include "lib/fault_memory.h"
#include "lib/test.h"
#include "lib/touch_answers.h"
#include "model/work_model.h"
#include "sim/rng.h"

#define CLIENT_COUNT 4u
#define ID_COUNT     12u
#define STEP_COUNT   1500u

struct life {
    struct rng rng;
    struct fault_memory fault;
    struct engine_options options;
    struct engine *engine;
    struct wm model;
    struct buffer journal;
    uint64_t record_count;
    int64_t now_ns;
    uint64_t tag;
    uint32_t seen; /* of answers; means nothing */
    struct {       /* leases there were */
        uint32_t queue;
        char id[24];
        uint64_t token;
    } claims[64];
    uint32_t claim_count;
    struct {
        uint64_t client, tag;
    } waits[16];
    uint32_t wait_count;
    uint32_t seen_records; /* of this event, which may take several steps */
    bool seen_answers[WM_OUT_MAX];
    bool is_snapshot_open;
    struct buffer snapshot;
    struct seq snapshot_seq;
    uint64_t snapshot_hash;
};

static const char *const queue_names[WM_QUEUE_COUNT] = { "mail", "video/encode" };
static const char *const group_names[WM_GROUP_COUNT] = { "", "ann", "bob" };
static const char *const key_names[WM_KEY_COUNT] = { "k", "key two" };

static struct bytes queue_text(uint32_t queue)
{
    return bytes_from_text(queue_names[queue]);
}

/* ------------------------------------------------------------------- comparing */

static void compare_records(struct life *life, const struct engine_update *update)
{
    const struct wm *model = &life->model;
    struct bytes rest = update->records;
    for (uint32_t index = 0; index < update->record_count; index++) {
        struct record record;
        CHECK(record_decode(&rest, &record) == TENURE_OK);
        CHECK(life->seen_records < model->record_count);
        const struct wm_record *expected = &model->records[life->seen_records++];
        CHECK_EQ_TEXT(record_kind_word(record.kind), record_kind_word(expected->kind));
        CHECK_EQ_BYTES(record.id, bytes_from_text(expected->id));
        if (record.kind != RECORD_TAKEN) continue;
        uint32_t at = life->claim_count++ % 64;
        life->claims[at].queue = bytes_equal(record.name, queue_text(0)) ? 0 : 1;
        life->claims[at].token = record.token.value;
        snprintf(life->claims[at].id, 24, "%.*s", (int)record.id.size, record.id.data);
    }
    buffer_append_bytes(&life->journal, update->records);
    life->record_count += update->record_count;
}

static void compare_one(
    struct wm *model,
    const struct engine_reply *reply,
    const struct engine_item_result *item,
    bool *seen)
{
    for (uint32_t at = 0; at < model->answer_count; at++) {
        const struct wm_answer *expected = &model->answers[at];
        if (seen[at] || expected->client != reply->client || expected->tag != reply->tag) continue;
        seen[at] = true;
        CHECK_EQ_INT(item == NULL ? reply->err : item->err, expected->err);
        if (item == NULL) return;
        CHECK_EQ_INT(item->is_repeat, expected->is_repeat);
        if (expected->id[0] != 0) CHECK_EQ_BYTES(item->item.id, bytes_from_text(expected->id));
        return;
    }
    FAIL("an answer that the model does not give: tag %" PRIu64, reply->tag);
}

static void compare_answers(struct life *life, const struct engine_update *update)
{
    struct wm *model = &life->model;
    for (uint32_t index = 0; index < update->reply_count; index++) {
        const struct engine_reply *reply = &update->replies[index];
        CHECK_LE_UINT(reply->seq.value, engine_seq(life->engine).value);
        bool is_sweep = reply->kind == ENGINE_REDRIVE || reply->kind == ENGINE_PURGE;
        if (is_sweep && !reply->is_swept) continue; /* it goes on */
        if (reply->item_count == 0) compare_one(model, reply, NULL, life->seen_answers);
        for (uint32_t at = 0; at < reply->item_count; at++) {
            compare_one(model, reply, &reply->items[at], life->seen_answers);
        }
    }
    CHECK_EQ_INT(update->is_waiting, model->is_waiting);
}

/* All that the model says has come. */
static void compare_end(struct life *life)
{
    const struct wm *model = &life->model;
    CHECK_EQ_UINT(life->seen_records, model->record_count);
    CHECK_EQ_UINT(engine_seq(life->engine).value, model->seq);
    for (uint32_t at = 0; at < model->answer_count; at++) {
        if (!life->seen_answers[at]) FAIL("no answer to tag %" PRIu64, model->answers[at].tag);
    }
}

static void compare_item(struct life *life, const struct wm_item *item)
{
    struct engine_item_view view;
    CHECK(engine_item(life->engine, queue_text(item->queue), bytes_from_text(item->id), &view));
    CHECK_EQ_TEXT(item_state_word(view.state), item_state_word(item->state));
    CHECK_EQ_UINT(view.number, item->number);
    CHECK_EQ_UINT(view.attempts, item->attempts);
    CHECK_EQ_UINT(view.lapses, item->lapses);
    CHECK_EQ_UINT(view.token.value, item->token);
    CHECK_EQ_INT(view.run_at.us, item->run_at_us);
    CHECK_EQ_INT(view.is_cancelling, item->is_cancelling);
    CHECK_EQ_INT(view.unique.size > 0, item->key != WM_NO_KEY);
    CHECK_EQ_BYTES(view.group, bytes_from_text(group_names[item->group]));
    if (item->state != ITEM_TAKEN || !item->is_durable) return;
    int64_t end_ns = item->deadline_ns < item->timeout_ns ? item->deadline_ns : item->timeout_ns;
    int64_t left_ms = (end_ns - life->model.time_ns) / NS_PER_MS;
    CHECK_EQ_INT(view.remaining_ms, left_ms < 0 ? 0 : left_ms);
}

static void compare_state(struct life *life)
{
    const struct wm *model = &life->model;
    struct engine_work_counters counters = engine_work_counters(life->engine);
    CHECK_EQ_UINT(counters.item_count, model->item_count);
    CHECK_EQ_UINT(counters.taker_count, model->taker_count);
    for (uint32_t at = 0; at < model->item_count; at++) {
        compare_item(life, &model->items[at]);
    }
    engine_check(life->engine);
}

/* ----------------------------------------------------------------- random acts */

static struct engine_event begin(struct life *life, enum engine_event_kind kind)
{
    struct engine_event event = {
        .kind = kind,
        .now = { life->now_ns },
        .wall = { INT64_C(1700000000000000) + life->now_ns / 1000 },
        .random = rng_next(&life->rng),
    };
    wm_begin(&life->model, life->now_ns, event.wall.us, event.random);
    life->seen_records = 0;
    memset(life->seen_answers, 0, sizeof life->seen_answers);
    return event;
}

static struct engine_update step(struct life *life, const struct engine_event *event)
{
    struct engine_update update;
    CHECK(engine_step(life->engine, event, &update) == TENURE_OK);
    life->seen += touch_answers(&update);
    compare_records(life, &update);
    compare_answers(life, &update);
    return update;
}

static void finish(struct life *life, const struct engine_event *event)
{
    wm_finish(&life->model);
    (void)step(life, event);
    compare_end(life);
    compare_state(life);
}

static void command(struct life *life, struct engine_event *event, struct engine_command *command)
{
    event->command = command;
    finish(life, event);
}

static struct engine_command ask(struct life *life, enum engine_command_kind kind)
{
    return (struct engine_command){ .kind = kind,
                                    .client = 1 + rng_below(&life->rng, CLIENT_COUNT),
                                    .tag = ++life->tag };
}

static const char *some_id(struct life *life)
{
    static const char *const ids[ID_COUNT] = { "a", "b", "c", "d", "e", "f",
                                               "g", "h", "i", "j", "k", "l" };
    if (life->claim_count > 0 && rng_percent(&life->rng, 30)) {
        uint32_t count = life->claim_count < 64 ? life->claim_count : 64;
        return life->claims[rng_below(&life->rng, count)].id;
    }
    return ids[rng_below(&life->rng, ID_COUNT)];
}

static struct item_terms some_terms(struct life *life)
{
    struct rng *rng = &life->rng;
    int64_t wall_us = life->model.wall_us;
    struct item_terms terms = {
        .lease_ms = (uint32_t)rng_between(rng, 100, 900),
        .attempts_max = (uint16_t)rng_below(rng, 4),
        .lapses_max = (uint8_t)rng_below(rng, 4),
        .priority = rng_percent(rng, 40) ? (uint8_t)rng_below(rng, 10) : 0,
        .backoff = (uint8_t)rng_below(rng, 2),
        .backoff_ms = rng_percent(rng, 60) ? rng_below(rng, 300) : 0,
        .backoff_ms_max = rng_percent(rng, 50) ? 400 : 0,
        .jitter = rng_percent(rng, 50) ? 50 : 0,
        .retention_ms = rng_percent(rng, 60) ? rng_below(rng, 2000) : 0,
        .timeout_ms = rng_percent(rng, 20) ? 100 + rng_below(rng, 1000) : 0,
    };
    if (rng_percent(rng, 30)) terms.run_at_us = wall_us + rng_between(rng, -100, 1500) * 1000;
    if (rng_percent(rng, 10)) terms.expires_at_us = wall_us + rng_between(rng, -10, 1500) * 1000;
    return terms;
}

static void act_put(struct life *life)
{
    struct rng *rng = &life->rng;
    struct engine_event event = begin(life, ENGINE_COMMAND);
    struct engine_command asked = ask(life, ENGINE_PUT);
    struct wm_put puts[4];
    struct engine_put items[4];
    uint32_t count = rng_percent(rng, 30) ? 1 + rng_below(rng, 4) : 1;
    for (uint32_t at = 0; at < count; at++) {
        puts[at] = (struct wm_put){ .queue = rng_below(rng, WM_QUEUE_COUNT),
                                    .group = rng_below(rng, WM_GROUP_COUNT),
                                    .key = WM_NO_KEY,
                                    .id = rng_percent(rng, 50) ? some_id(life) : "",
                                    .terms = some_terms(life) };
        if (puts[at].id[0] == '_') puts[at].id = "";
        if (rng_percent(rng, 35)) {
            puts[at].key = rng_below(rng, WM_KEY_COUNT);
            puts[at].terms.unique_scope = (uint8_t)(1 + rng_below(rng, 3));
            puts[at].terms.conflict = (uint8_t)rng_below(rng, 3);
            puts[at].terms.unique_ms = rng_below(rng, 1500);
        }
        items[at] = (struct engine_put){ .queue = queue_text(puts[at].queue),
                                         .id = bytes_from_text(puts[at].id),
                                         .group = bytes_from_text(group_names[puts[at].group]),
                                         .body = bytes_from_text("the body of an item"),
                                         .terms = puts[at].terms };
        if (puts[at].key != WM_NO_KEY) items[at].unique = bytes_from_text(key_names[puts[at].key]);
    }
    asked.as.put.items = items;
    asked.as.put.count = count;
    wm_put(&life->model, asked.client, asked.tag, puts, count);
    command(life, &event, &asked);
}

static void act_take(struct life *life)
{
    struct rng *rng = &life->rng;
    struct engine_event event = begin(life, ENGINE_COMMAND);
    struct engine_command asked = ask(life, ENGINE_TAKE);
    uint32_t first = rng_below(rng, WM_QUEUE_COUNT);
    struct bytes queues[2] = { queue_text(first), queue_text(1 - first) };
    uint32_t wait_ms =
        rng_percent(rng, 40) && life->model.taker_count < 8 ? (uint32_t)rng_scale(rng, 1, 1000) : 0;
    asked.as.take = (struct engine_take){
        .queues = queues,
        .queue_count = 1 + rng_below(rng, 2),
        .worker = BYTES_LITERAL("w"),
        .count_max = rng_percent(rng, 30) ? 1 + rng_below(rng, 5) : 1,
        .wait_ms = wait_ms,
        .lease_ms = rng_percent(rng, 20) ? 500 : 0,
        .is_bound = rng_percent(rng, 30),
        .grace_ms = rng_below(rng, 200),
    };
    struct wm_taker take = { .client = asked.client,
                             .tag = asked.tag,
                             .queues = { first, 1 - first },
                             .queue_count = asked.as.take.queue_count,
                             .count_max = asked.as.take.count_max,
                             .lease_ms = asked.as.take.lease_ms,
                             .grace_ms = asked.as.take.grace_ms,
                             .is_bound = asked.as.take.is_bound };
    wm_take(&life->model, &take, wait_ms);
    if (life->model.is_waiting) {
        uint32_t at = life->wait_count++ % 16;
        life->waits[at].client = asked.client;
        life->waits[at].tag = asked.tag;
    }
    command(life, &event, &asked);
}

static struct wm_claim some_claim(struct life *life)
{
    struct wm_claim claim = { .lease_ms = ENGINE_TTL_KEEP, .id = "none", .token = 1 };
    if (life->claim_count == 0) return claim;
    uint32_t count = life->claim_count < 64 ? life->claim_count : 64;
    /* Mostly one of the last few. */
    uint32_t recent = count < 8 ? count : 8;
    uint32_t back =
        rng_percent(&life->rng, 80) ? rng_below(&life->rng, recent) : rng_below(&life->rng, count);
    uint32_t at = (life->claim_count - 1 - back) % 64;
    claim.queue = life->claims[at].queue;
    claim.id = life->claims[at].id;
    claim.token = life->claims[at].token;
    return claim;
}

static void act_extend(struct life *life)
{
    struct engine_event event = begin(life, ENGINE_COMMAND);
    struct engine_command asked = ask(life, ENGINE_EXTEND);
    struct wm_claim claim = some_claim(life);
    if (rng_percent(&life->rng, 20)) claim.lease_ms = 100 + rng_below(&life->rng, 900);
    struct engine_work_claim claims[1] = { { .queue = queue_text(claim.queue),
                                             .id = bytes_from_text(claim.id),
                                             .token = { claim.token },
                                             .lease_ms = claim.lease_ms } };
    asked.as.extend.claims = claims;
    asked.as.extend.count = 1;
    claim.is_binding = rng_percent(&life->rng, 70);
    asked.as.extend.is_binding = claim.is_binding;
    wm_extend(&life->model, asked.client, asked.tag, &claim);
    command(life, &event, &asked);
}

static void act_end(struct life *life)
{
    static const enum engine_command_kind kinds[] = {
        ENGINE_DONE, ENGINE_DONE, ENGINE_FAIL, ENGINE_FAIL, ENGINE_BURY
    };
    struct engine_event event = begin(life, ENGINE_COMMAND);
    struct engine_command asked = ask(life, kinds[rng_below(&life->rng, 5)]);
    struct wm_claim claim = some_claim(life);
    struct engine_end_work *end_work = &asked.as.end_work;
    *end_work = (struct engine_end_work){
        .claim = { .queue = queue_text(claim.queue),
                   .id = bytes_from_text(claim.id),
                   .token = { claim.token } },
        .delay_ms = rng_percent(&life->rng, 50) ? ENGINE_DELAY_BACKOFF : rng_below(&life->rng, 300),
        .is_free = rng_percent(&life->rng, 20),
    };
    if (asked.kind == ENGINE_DONE) end_work->result = BYTES_LITERAL("42");
    if (asked.kind != ENGINE_DONE) end_work->reason = BYTES_LITERAL("could not");
    bool is_known = engine_item(
        life->engine, end_work->claim.queue, end_work->claim.id, &(struct engine_item_view){ 0 });
    /* What is forgotten is answered from the window of events, which the model has not. */
    if (!is_known) return;
    wm_end(&life->model, &asked, &claim);
    command(life, &event, &asked);
}

static struct group_limits some_limits(struct rng *rng)
{
    struct group_limits limits = GROUP_LIMITS_NONE;
    if (rng_percent(rng, 60)) limits.running_max = 1 + rng_below(rng, 3);
    if (rng_percent(rng, 30)) limits.size_max = 3 + rng_below(rng, 10);
    if (rng_percent(rng, 50)) limits.weight = 1 + rng_below(rng, 3);
    return limits;
}

static void limit(struct life *life, struct engine_command *asked, uint32_t queue, uint32_t group)
{
    struct rng *rng = &life->rng;
    struct group_limits limits = some_limits(rng);
    if (group == 1 && rng_percent(rng, 50)) {
        limits.rate_count = 1 + rng_below(rng, 2);
        limits.rate_ms = 2 * (1 + rng_below(rng, 300));
        limits.burst = 1 + rng_below(rng, 3);
    }
    asked->kind = ENGINE_LIMIT;
    asked->as.scope = (struct engine_scope){ .queue = queue_text(queue),
                                             .group = bytes_from_text(group_names[group]),
                                             .limits = limits };
    wm_scope(&life->model, asked, queue, group);
}

static bool has_takers(const struct life *life)
{
    for (uint32_t at = 0; at < life->model.taker_count; at++) {
        if (life->model.takers[at].queue_count > 0) return true;
    }
    return false;
}

/* However few items a step looks at, in the end it comes to the same. */
static void
finish_sweep(struct life *life, struct engine_event *event, struct engine_command *asked)
{
    char id[24];
    bool is_swept = false;
    event->command = asked;
    wm_finish(&life->model);
    for (uint32_t count = 0; !is_swept; count++) {
        CHECK(count < 1000);
        struct engine_update update = step(life, event);
        const struct engine_reply *reply = &update.replies[0];
        CHECK_EQ_UINT(reply->tag, asked->tag);
        is_swept = reply->is_swept;
        asked->as.sweep.cursor = reply->swept_to;
        struct engine_item_cursor *after = &asked->as.sweep.cursor.after;
        CHECK(is_swept || after->entered > 0);
        if (after->id.size > 0) memcpy(id, after->id.data, after->id.size);
        after->id.data = id;
    }
    compare_end(life);
    compare_state(life);
}

static void act_sweep(struct life *life)
{
    static const enum item_state purged[] = {
        ITEM_DEAD, ITEM_DEAD, ITEM_DONE, ITEM_READY, ITEM_DELAYED
    };
    struct rng *rng = &life->rng;
    struct engine_event event = begin(life, ENGINE_COMMAND);
    struct engine_command asked = ask(life, ENGINE_REDRIVE);
    uint32_t queue = rng_below(rng, WM_QUEUE_COUNT);
    uint32_t group = rng_below(rng, WM_GROUP_COUNT);
    if (rng_percent(rng, 30)) asked.kind = ENGINE_PURGE;
    asked.as.sweep = (struct engine_sweep){ .queue = queue_text(queue),
                                            .state = purged[rng_below(rng, 5)],
                                            .has_group = rng_percent(rng, 50),
                                            .group = bytes_from_text(group_names[group]),
                                            .count_max = LIMIT_ITEM_COUNT_MAX };
    struct engine_queue_view view;
    if (!engine_queue(life->engine, queue_text(queue), &view)) return;
    bool has_steps = life->options.look_count_max > 0;
    if (has_steps && has_takers(life)) return; /* they would come in between */
    if (has_steps) asked.as.sweep.count_max = 1 + rng_below(rng, 4);
    wm_sweep(&life->model, &asked, queue, group);
    finish_sweep(life, &event, &asked);
}

static uint32_t count_entering(const struct wm_queue *before, const struct wm_queue *after)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < after->ring_count; at++) {
        bool is_new = true;
        for (uint32_t other = 0; other < before->ring_count; other++) {
            is_new = is_new && before->ring[other] != after->ring[at];
        }
        count += is_new;
    }
    return count;
}

/* Limits of a whole queue.  However few groups a step looks at, when all timers have fired they
 * hold for each.  Which of several enters the ring first is not said: one at a time. */
static void act_limit_whole(struct life *life)
{
    static struct wm after;
    struct engine_event event = begin(life, ENGINE_COMMAND);
    struct engine_command asked = ask(life, ENGINE_LIMIT);
    uint32_t queue = rng_below(&life->rng, WM_QUEUE_COUNT);
    asked.as.scope = (struct engine_scope){ .queue = queue_text(queue),
                                            .is_whole = true,
                                            .limits = some_limits(&life->rng) };
    after = life->model;
    wm_scope(&after, &asked, queue, 0);
    if (count_entering(&life->model.queues[queue], &after.queues[queue]) > 1) return;
    if (life->options.look_count_max > 0 && has_takers(life)) return; /* who is served later */
    wm_scope(&life->model, &asked, queue, 0);
    command(life, &event, &asked);
    while (engine_deadline(life->engine).ns <= life->now_ns) {
        event = begin(life, ENGINE_TIMER);
        wm_timer(&life->model);
        finish(life, &event);
    }
}

static void act_admin(struct life *life)
{
    struct rng *rng = &life->rng;
    struct engine_event event = begin(life, ENGINE_COMMAND);
    uint32_t queue = rng_below(rng, WM_QUEUE_COUNT);
    uint32_t group = rng_below(rng, WM_GROUP_COUNT);
    const char *id = some_id(life);
    struct engine_command asked = ask(life, ENGINE_CANCEL_ITEM);
    switch (rng_below(rng, 8)) {
    case 0:
    case 1:
        asked.as.item = (struct engine_item_name){ queue_text(queue), bytes_from_text(id), { 0 } };
        wm_cancel(&life->model, asked.client, asked.tag, queue, id);
        break;
    case 2:
    case 3:
        asked.kind = ENGINE_KICK;
        asked.as.item = (struct engine_item_name){ queue_text(queue), bytes_from_text(id), { 0 } };
        wm_kick(&life->model, asked.client, asked.tag, queue, id);
        break;
    case 4:
        asked.kind = ENGINE_AWAIT;
        asked.as.await_end = (struct engine_await){ queue_text(queue),
                                                    bytes_from_text(id),
                                                    life->model.taker_count < 8 ? 500 : 0 };
        wm_await(&life->model, &asked, queue, id);
        break;
    case 5:
        asked.kind = rng_percent(rng, 20) ? ENGINE_PAUSE : ENGINE_RESUME;
        asked.as.scope = (struct engine_scope){ .queue = queue_text(queue) };
        asked.as.scope.is_whole = rng_percent(rng, 50);
        if (!asked.as.scope.is_whole) asked.as.scope.group = bytes_from_text(group_names[group]);
        wm_scope(&life->model, &asked, queue, group);
        break;
    case 6: limit(life, &asked, queue, group); break;
    default: {
        asked.kind = ENGINE_CANCEL;
        uint32_t count = life->wait_count < 16 ? life->wait_count : 16;
        if (count == 0) return;
        uint32_t at = rng_below(rng, count);
        asked.client = life->waits[at].client;
        asked.tag = life->waits[at].tag;
        wm_give_up(&life->model, asked.client, asked.tag);
    }
    }
    command(life, &event, &asked);
}

static void act_time(struct life *life)
{
    life->now_ns += rng_scale(&life->rng, 1, 800) * NS_PER_MS;
    struct engine_event event = begin(life, ENGINE_TIMER);
    wm_timer(&life->model);
    finish(life, &event);
}

static void act_durable(struct life *life)
{
    uint64_t seq = life->model.seq;
    if (rng_percent(&life->rng, 20) && seq > 3) seq -= 3;
    struct engine_event event = begin(life, ENGINE_DURABLE);
    event.durable.value = seq;
    wm_durable(&life->model, seq);
    finish(life, &event);
}

static void act_gone(struct life *life)
{
    struct engine_event event = begin(life, ENGINE_CLIENT_GONE);
    event.client = 1 + rng_below(&life->rng, CLIENT_COUNT);
    wm_gone(&life->model, event.client);
    finish(life, &event);
}

static void act_gate(struct life *life)
{
    bool is_open = !life->model.is_gate_open || rng_percent(&life->rng, 70);
    struct engine_event event = begin(life, ENGINE_GATE);
    event.gate = is_open ? ENGINE_GATE_OPEN : ENGINE_GATE_SLOW;
    wm_gate(&life->model, is_open);
    finish(life, &event);
}

/* ------------------------------------------------------------------- restarts */

static struct engine *replay(struct life *life)
{
    struct engine *engine = engine_create(&life->options);
    CHECK(engine != NULL);
    CHECK(
        engine_restore_batch(
            engine,
            (struct seq){ 1 },
            (uint32_t)life->record_count,
            buffer_bytes(&life->journal)) == TENURE_OK);
    engine_check(engine);
    CHECK_EQ_UINT(engine_hash(engine), engine_hash(life->engine));
    return engine;
}

static void act_restart(struct life *life)
{
    struct engine *engine = replay(life);
    engine_destroy(&life->engine);
    life->engine = engine;
    life->is_snapshot_open = false;
    struct engine_event event = begin(life, ENGINE_READY);
    wm_restart(&life->model);
    finish(life, &event);
}

/* A snapshot is written in pieces between other events; what comes back is the state it began in.
 */
static void act_snapshot(struct life *life)
{
    if (!life->is_snapshot_open) {
        life->is_snapshot_open = true;
        buffer_reset(&life->snapshot);
        life->snapshot_hash = engine_hash(life->engine);
        engine_snapshot_begin(life->engine, &life->snapshot_seq);
        return;
    }
    if (!engine_snapshot_write(life->engine, &life->snapshot, 500)) return;
    life->is_snapshot_open = false;
    CHECK(!life->snapshot.is_failed);
    struct engine *engine = engine_create(&life->options);
    CHECK(engine_restore_chunk(engine, buffer_bytes(&life->snapshot)) == TENURE_OK);
    CHECK(engine_restore_snapshot_end(engine, life->snapshot_seq) == TENURE_OK);
    engine_check(engine);
    CHECK_EQ_UINT(engine_hash(engine), life->snapshot_hash);
    CHECK(
        engine_restore_batch(
            engine,
            (struct seq){ 1 },
            (uint32_t)life->record_count,
            buffer_bytes(&life->journal)) == TENURE_OK);
    CHECK_EQ_UINT(engine_hash(engine), engine_hash(life->engine));
    engine_destroy(&engine);
}

static void act(struct life *life)
{
    uint32_t dice = rng_below(&life->rng, 100);
    if (dice < 28) {
        act_put(life);
    } else if (dice < 48) {
        act_take(life);
    } else if (dice < 60) {
        act_end(life);
    } else if (dice < 65) {
        act_extend(life);
    } else if (dice < 66) {
        act_sweep(life);
    } else if (dice < 67) {
        act_limit_whole(life);
    } else if (dice < 75) {
        act_admin(life);
    } else if (dice < 85) {
        act_time(life);
    } else if (dice < 91) {
        act_durable(life);
    } else if (dice < 92) {
        act_gone(life);
    } else if (dice < 94 && (!life->model.is_gate_open || rng_percent(&life->rng, 30))) {
        act_gate(life);
    } else if (dice < 95) {
        act_restart(life);
    } else {
        act_snapshot(life);
    }
}

static void run(uint64_t seed)
{
    static struct life life;
    life = (struct life){ .rng = rng_from(seed, 7) };
    fault_memory_init(&life.fault, 0);
    life.model.ageing_ms = 200;
    life.model.item_count_max = seed % 3 == 0 ? 20 : 200;
    life.options = (struct engine_options){ .memory = &life.fault.memory,
                                            .hash_key = { { seed, 5 } },
                                            .hold_count_max = 10,
                                            .waiter_count_max = 100,
                                            .window_size = ENGINE_WINDOW_SIZE_MIN,
                                            .ageing_ms = life.model.ageing_ms,
                                            .look_count_max = seed % 2 == 0 ? 2 : 0,
                                            .item_count_max = life.model.item_count_max };
    buffer_init(&life.journal, &memory_heap);
    buffer_init(&life.snapshot, &memory_heap);
    wm_init(&life.model);
    life.engine = engine_create(&life.options);
    life.now_ns = NS_PER_S;
    struct engine_event event = begin(&life, ENGINE_READY);
    finish(&life, &event);
    for (uint32_t step = 0; step < STEP_COUNT && life.model.item_count < 190; step++) {
        test_note("seed %" PRIu64 ", step %u", seed, step);
        act(&life);
    }
    struct engine *engine = replay(&life);
    engine_destroy(&engine);
    engine_destroy(&life.engine);
    fault_memory_check_empty(&life.fault);
    buffer_deinit(&life.journal);
    buffer_deinit(&life.snapshot);
}

TEST_WITHIN(240, queues_do_what_the_model_does)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        run(seed);
    }
}
