/* work_end - what workers say about the items they have: more time, how far, done, failed.
 *
 * Whoever lost its lease changes nothing and is told LOST, with what became of the item.  What was
 * said before is answered as it was the first time, because the answer may have been lost.
 *
 * DONE may bring a transaction on shared state: all records of a step reach the journal as one
 * unit, so both happen or neither. */
#include "base/utf8.h"
#include "engine/change.h"
#include "engine/output.h"
#include "engine/taker.h"
#include "engine/work_apply.h"
#include "engine/work_commands.h"

/* How many events of a queue are looked at to find what became of an item that is forgotten. */
#define EVENTS_LOOKED_AT 1024u

struct claimed {
    struct work *work;
    struct item *item; /* of this id, whoever has it */
    bool is_held;      /* and the claim is its lease */
};

static struct claimed
find_claimed(const struct engine *engine, const struct engine_work_claim *claim)
{
    struct claimed claimed = { .work = work_find(engine, claim->queue) };
    if (claimed.work == NULL) return claimed;
    claimed.item = item_find(engine, claimed.work, claim->id);
    claimed.is_held = claimed.item != NULL && claimed.item->state == ITEM_TAKEN &&
                      claimed.item->token.value == claim->token.value;
    return claimed;
}

static void tell_lost(
    struct engine *engine,
    const struct engine_work_claim *claim,
    const struct claimed *claimed,
    struct engine_item_result *result)
{
    result->err = TENURE_LOST;
    result->item.queue = claim->queue;
    if (claimed->item != NULL) item_view(engine, claimed->item, &result->item);
    output_depend(engine, claimed->work == NULL ? engine->seq : claimed->work->last_seq);
}

/* ------------------------------------------------------------------- extend */

static bool is_lease_allowed(uint32_t lease_ms)
{
    return lease_ms == ENGINE_TTL_KEEP ||
           (lease_ms >= LIMIT_TTL_MS_MIN && lease_ms <= LIMIT_TTL_MS_MAX);
}

static bool is_progress_allowed(struct bytes progress)
{
    return progress.data == NULL ||
           (progress.size <= LIMIT_REASON_SIZE_MAX && utf8_is_plain(progress));
}

/* False when there is no memory; nothing has changed then. */
static bool note_progress(struct engine *engine, struct item *item, struct bytes progress)
{
    struct note *note;
    if (progress.data == NULL || bytes_equal(item_note(item), progress)) return true;
    if (!note_create(engine, progress, &note)) return false;
    struct record record = {
        .kind = RECORD_PROGRESSED, .id = item_id(item), .token = item->token, .reason = progress
    };
    output_work_record(engine, item->group->work, &record);
    work_apply_progressed(engine, item, note);
    output_depend(engine, engine->seq);
    return true;
}

static void change_lease(struct engine *engine, struct item *item, uint32_t lease_ms)
{
    if (lease_ms == ENGINE_TTL_KEEP || lease_ms == item->lease->lease_ms) return;
    struct record record = {
        .kind = RECORD_EXTENDED, .id = item_id(item), .token = item->token, .ttl_ms = lease_ms
    };
    output_work_record(engine, item->group->work, &record);
    work_apply_extended(engine, item, &record);
    output_depend(engine, engine->seq);
}

/* A lease that is bound goes over to the connection that speaks for it now.  One whose connection
 * has ended, and that is extended by somebody who does not bind, is not bound any more. */
static void rebind(struct engine *engine, struct lease *lease, const struct engine_command *command)
{
    bool is_elsewhere = lease->is_bound && lease->client != command->client;
    bool is_moving = command->as.extend.is_binding && (is_elsewhere || lease->is_orphan);
    lease->is_orphan = false;
    if (!is_moving) return;
    lease_unbind(engine, lease);
    if (map_reserve(&engine->works.bound)) lease_bind(engine, lease, command->client);
}

static void
extend_lease(struct engine *engine, struct item *item, const struct engine_command *command)
{
    struct lease *lease = item->lease;
    rebind(engine, lease, command);
    if (lease->is_live) lease_arm(engine, lease);
    /* A plain extension of a live lease depends on no disk, as the renewal of a hold. */
    if (!lease->is_live || lease->is_lease_changed || item->is_cancelling) {
        output_depend(engine, item->group->work->last_seq);
    }
}

static void extend_claim(
    struct engine *engine,
    const struct engine_work_claim *claim,
    const struct engine_command *command)
{
    struct engine_item_result *result = output_item(engine);
    struct claimed claimed = find_claimed(engine, claim);
    result->item.queue = claim->queue;
    if (!is_lease_allowed(claim->lease_ms) || !is_progress_allowed(claim->progress)) {
        result->err = TENURE_INVALID;
        result->detail = "lease_ms: 100 to 86400000; progress: up to 255 bytes of UTF-8";
    } else if (!claimed.is_held) {
        tell_lost(engine, claim, &claimed, result);
    } else if (!note_progress(engine, claimed.item, claim->progress)) {
        result->err = TENURE_NO_MEMORY;
    } else {
        change_lease(engine, claimed.item, claim->lease_ms);
        extend_lease(engine, claimed.item, command);
        item_view(engine, claimed.item, &result->item);
    }
}

void command_extend(struct engine *engine, const struct engine_command *command)
{
    const struct engine_work_claim *claims = command->as.extend.claims;
    uint32_t count = command->as.extend.count;
    if (count == 0 || count > LIMIT_ITEM_COUNT_MAX) {
        output_refuse(
            engine,
            command,
            TENURE_INVALID,
            (struct bytes){ 0 },
            "1 to 1024 leases in one command");
        return;
    }
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++) {
        const struct engine_work_claim *claim = &claims[index];
        if (claim->lease_ms == ENGINE_TTL_KEEP && claim->progress.data == NULL) continue;
        struct bytes progress = claim->progress;
        if (!is_progress_allowed(progress)) progress.size = 0;
        size += 2 * output_record_size(claim->queue, claim->id, progress);
    }
    if (!output_reserve(engine, size, 1, 0) || !output_reserve_items(engine, count)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, claims[0].queue, NULL);
        return;
    }
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    for (uint32_t index = 0; index < count; index++) {
        extend_claim(engine, &claims[index], command);
    }
    if (count == 1) reply->err = engine->output.items[engine->output.item_count - 1].err;
}

/* ------------------------------------------------------------------- failing */

/* SplitMix64 (Steele et al., 2014): one random number of the event is enough for all its items. */
static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t backoff_ms(const struct engine *engine, const struct item *item)
{
    const struct item_terms *terms = &item->terms;
    uint64_t max_ms = terms->backoff_ms_max > 0 ? terms->backoff_ms_max : LIMIT_BACKOFF_MS_MAX;
    uint64_t delay_ms = terms->backoff_ms;
    if (terms->backoff == ITEM_BACKOFF_EXPONENTIAL) {
        for (uint32_t count = 0; count < item->attempts && delay_ms < max_ms; count++) {
            delay_ms *= 2;
        }
    }
    if (delay_ms > max_ms) delay_ms = max_ms;
    uint64_t span_ms = delay_ms * terms->jitter / 100;
    return delay_ms - mix(engine->random ^ item->number) % (span_ms + 1);
}

static enum record_outcome find_outcome(const struct item *item, const struct work_failure *failure)
{
    if (item->is_cancelling) return OUTCOME_CANCELLED;
    if (failure->kind == RECORD_BURIED) return OUTCOME_DEAD;
    bool is_lapse = failure->kind == RECORD_LAPSED;
    if (!is_lapse && !failure->is_counted) return OUTCOME_AGAIN;
    uint32_t count = 1u + (is_lapse ? item->lapses : item->attempts);
    uint32_t count_max = is_lapse ? item->terms.lapses_max : item->terms.attempts_max;
    return count_max > 0 && count >= count_max ? OUTCOME_DEAD : OUTCOME_AGAIN;
}

bool work_fail(struct engine *engine, struct item *item, const struct work_failure *failure)
{
    struct work *work = item->group->work;
    size_t size = output_record_size(work_name(work), item_id(item), failure->reason);
    struct note *note;
    if (!output_reserve(engine, size, 0, 0) || !item_reserve_timers(engine, 1) ||
        !taker_reserve_ends(engine, item) || !note_create(engine, failure->reason, &note))
    {
        return false;
    }
    struct record record = { .kind = failure->kind,
                             .id = item_id(item),
                             .token = item->token,
                             .reason = failure->reason,
                             .outcome = find_outcome(item, failure),
                             .is_counted = failure->is_counted,
                             .is_timeout = failure->is_timeout };
    if (failure->kind == RECORD_FAILED && record.outcome == OUTCOME_AGAIN) {
        uint64_t delay_ms = failure->delay_ms == ENGINE_DELAY_BACKOFF ? backoff_ms(engine, item)
                                                                      : failure->delay_ms;
        if (delay_ms > 0) record.run_at_us = engine->wall.us + (int64_t)delay_ms * 1000;
    }
    output_work_record(engine, work, &record);
    bool is_over = record.outcome != OUTCOME_AGAIN || failure->kind == RECORD_BURIED;
    work_apply_failed(engine, item, note, &record);
    if (is_over) taker_note_end(engine, item, TENURE_OK);
    return true;
}

/* --------------------------------------------------------------------- ending */

/* `more_size` is what other records of this step need. */
static bool finish(
    struct engine *engine,
    struct item *item,
    const struct engine_end_work *end_work,
    size_t more_size)
{
    struct work *work = item->group->work;
    size_t size = output_record_size(work_name(work), item_id(item), end_work->result);
    struct note *note;
    if (!output_reserve(engine, size + more_size, 0, 0) || !item_reserve_timers(engine, 1) ||
        !taker_reserve_ends(engine, item) || !note_create(engine, end_work->result, &note))
    {
        return false;
    }
    struct record record = {
        .kind = RECORD_DONE, .id = item_id(item), .token = item->token, .body = end_work->result
    };
    output_work_record(engine, work, &record);
    work_apply_done(engine, item, note, &record);
    taker_note_end(engine, item, TENURE_OK);
    return true;
}

/* Was this very thing done, and the item forgotten since? */
static bool remembers_done(
    const struct engine *engine, const struct work *work, const struct engine_work_claim *claim)
{
    struct seq seq = work->last_seq;
    for (uint32_t count = 0; count < EVENTS_LOOKED_AT; count++) {
        const struct window_entry *entry = window_find(&engine->window, seq);
        if (entry == NULL) return false;
        struct record record = record_decode_known(window_record(entry));
        if (record.kind == RECORD_DONE && bytes_equal(record.id, claim->id) &&
            record.token.value == claim->token.value)
        {
            return true;
        }
        seq = entry->previous;
    }
    return false;
}

/* Has this been said before, by this very lease? */
static bool is_repeat(
    const struct engine *engine,
    enum engine_command_kind kind,
    const struct claimed *claimed,
    const struct engine_work_claim *claim)
{
    const struct item *item = claimed->item;
    if (item == NULL) {
        return kind == ENGINE_DONE && claimed->work != NULL &&
               remembers_done(engine, claimed->work, claim);
    }
    if (item->token.value != claim->token.value || item->state == ITEM_TAKEN) return false;
    if (kind == ENGINE_DONE) return item->ending == ITEM_END_DONE;
    if (kind == ENGINE_FAIL) return item->ending == ITEM_END_FAILED;
    return item->ending == ITEM_END_BURIED;
}

static const char *find_fault(const struct engine_command *command)
{
    const struct engine_end_work *end_work = &command->as.end_work;
    if (end_work->reason.size > LIMIT_REASON_SIZE_MAX || !utf8_is_plain(end_work->reason)) {
        return "reason: up to 255 bytes of UTF-8 without control characters";
    }
    if (command->kind != ENGINE_FAIL || end_work->delay_ms == ENGINE_DELAY_BACKOFF) return NULL;
    return end_work->delay_ms > LIMIT_DELAY_MS_MAX ? "delay_ms: up to 2592000000" : NULL;
}

/* Is there room for the result?  It is kept as long as the item is remembered, and the body goes.
 */
static bool has_room_for(
    const struct engine *engine, const struct item *item, const struct engine_end_work *end_work)
{
    uint64_t size = end_work->result.size;
    uint64_t freed = item_body(item).size + item_headers(item).size + item_note(item).size;
    bool is_kept = item->terms.retention_ms > 0 || item->terms.unique_scope == UNIQUE_WINDOW;
    return !is_kept || size <= freed ||
           engine->works.item_bytes - freed + size <= engine->options.item_bytes_max;
}

static bool end_held(struct engine *engine, const struct engine_command *command, struct item *item)
{
    const struct engine_end_work *end_work = &command->as.end_work;
    if (command->kind == ENGINE_DONE) return finish(engine, item, end_work, 0);
    bool is_fail = command->kind == ENGINE_FAIL;
    struct work_failure failure = { .kind = is_fail ? RECORD_FAILED : RECORD_BURIED,
                                    .reason = end_work->reason,
                                    .delay_ms = end_work->delay_ms,
                                    .is_counted = is_fail && !end_work->is_free };
    return work_fail(engine, item, &failure);
}

/* Both, or neither: what could refuse the transaction is asked first. */
static void
done_and_change(struct engine *engine, const struct engine_command *command, struct item *item)
{
    const struct engine_end_work *end_work = &command->as.end_work;
    UNINITIALIZED struct change_plan plan;
    enum tenure_err err = change_judge(engine, end_work->change, &plan);
    uint32_t count = 1 + taker_count_of_item(engine, item);
    bool has_room = output_reserve(engine, 0, count, 0) && output_reserve_items(engine, count) &&
                    output_reserve_changes(engine, 1);
    if (has_room && err == TENURE_OK) has_room = change_make(engine, &plan);
    if (has_room && err == TENURE_OK && !finish(engine, item, end_work, plan.record_size)) {
        change_discard(engine, &plan);
        has_room = false;
    }
    if (!has_room) {
        output_refuse(engine, command, TENURE_NO_MEMORY, end_work->claim.queue, NULL);
        return;
    }
    output_reply(engine, command->client, command->tag)->kind = command->kind;
    struct engine_item_result *result = output_item(engine);
    item_view(engine, item, &result->item);
    result->err = err;
    if (err == TENURE_OK) {
        output_depend(engine, engine->seq);
        change_carry_out(engine, &plan);
    } else {
        change_refuse(engine, &plan, err);
    }
}

void command_end_work(struct engine *engine, const struct engine_command *command)
{
    const struct engine_end_work *end_work = &command->as.end_work;
    const struct engine_work_claim *claim = &end_work->claim;
    const char *fault = find_fault(command);
    if (fault != NULL || end_work->result.size > LIMIT_RESULT_SIZE_MAX) {
        enum tenure_err err = fault != NULL ? TENURE_INVALID : TENURE_TOO_LARGE;
        fault = fault != NULL ? fault : "result: up to 65536 bytes";
        output_refuse(engine, command, err, claim->queue, fault);
        return;
    }
    struct claimed claimed = find_claimed(engine, claim);
    bool is_done = claimed.is_held && command->kind == ENGINE_DONE;
    if (is_done && !has_room_for(engine, claimed.item, end_work)) {
        fault = "the limit of the server is reached: there is no room for the result";
        output_refuse(engine, command, TENURE_TOO_MANY, claim->queue, fault);
        return;
    }
    if (is_done && end_work->change != NULL) {
        done_and_change(engine, command, claimed.item);
        return;
    }
    /* What the item is now stays readable until the next step, even if it is forgotten. */
    bool has_room = output_reserve(engine, 0, 1, 0) && output_reserve_items(engine, 1);
    bool is_same = !claimed.is_held && is_repeat(engine, command->kind, &claimed, claim);
    if (has_room && claimed.is_held) {
        uint32_t await_count = taker_count_of_item(engine, claimed.item);
        has_room = output_reserve(engine, 0, 1 + await_count, 0) &&
                   output_reserve_items(engine, 1 + await_count) &&
                   end_held(engine, command, claimed.item);
    }
    if (!has_room) {
        output_refuse(engine, command, TENURE_NO_MEMORY, claim->queue, NULL);
        return;
    }
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    struct engine_item_result *result = output_item(engine);
    if (claimed.is_held || is_same) {
        result->is_repeat = is_same;
        result->item.queue = claim->queue;
        result->item.id = claim->id;
        result->item.state = ITEM_DONE; /* of one that is forgotten */
        if (claimed.item != NULL) item_view(engine, claimed.item, &result->item);
        output_depend(engine, is_same ? claimed.work->last_seq : engine->seq);
    } else {
        tell_lost(engine, claim, &claimed, result);
    }
    reply->err = result->err;
}
