/* admin - break a hold, proclaim a new value, hand over to a candidate. */
#include "base/utf8.h"
#include "engine/apply.h"
#include "engine/commands.h"
#include "engine/grant.h"
#include "engine/hold.h"
#include "engine/key.h"
#include "engine/lock.h"
#include "engine/output.h"
#include "engine/queue.h"

static struct engine_result *
answer(struct engine *engine, const struct engine_command *command, const struct hold *hold)
{
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    struct engine_result *result = output_result(engine);
    result->name = lock_name(hold->lock);
    hold_view(hold, engine->time_ns, &result->hold);
    return result;
}

/* ------------------------------------------------------------------- break */

static struct hold *find_by_token(const struct lock *lock, struct token token)
{
    list_foreach(link, &lock->holds) {
        struct hold *hold = hold_from_link(link);
        if (hold->token.value == token.value) return hold;
    }
    return NULL;
}

static void break_now(
    struct engine *engine,
    const struct engine_command *command,
    struct hold *hold,
    struct bytes reason)
{
    struct engine_result *result = answer(engine, command, hold);
    result->end = ENGINE_END_BROKEN;
    release_end(engine, hold, RECORD_BROKEN, reason);
    engine->counters.broken++;
    output_depend(engine, engine->seq);
}

static void break_later(
    struct engine *engine,
    const struct engine_command *command,
    struct hold *hold,
    struct breaking *breaking)
{
    struct record record = {
        .kind = RECORD_BREAKING,
        .owner = hold_owner(hold),
        .token = hold->token,
        .grace_ms = breaking->grace_ms,
        .reason = { breaking->reason, breaking->reason_size },
    };
    output_record(engine, hold->lock, &record);
    apply_breaking(engine, hold, breaking);
    if (hold->state == HOLD_LIVE) {
        int64_t deadline_ns = hold_deadline(hold);
        heap_remove(&engine->hold_timers, &hold->timer);
        heap_insert(&engine->hold_timers, &hold->timer, deadline_ns);
    }
    (void)answer(engine, command, hold);
    output_depend(engine, engine->seq);
}

void command_break(struct engine *engine, const struct engine_command *command)
{
    struct bytes name = command->as.break_hold.name;
    struct bytes reason = command->as.break_hold.reason;
    uint32_t grace_ms = command->as.break_hold.grace_ms;
    if (reason.size == 0 || reason.size > LIMIT_REASON_SIZE_MAX || !utf8_is_plain(reason)) {
        output_refuse(
            engine,
            command,
            TENURE_INVALID,
            name,
            "reason: 1 to 255 bytes of UTF-8 without control characters");
        return;
    }
    if (grace_ms > LIMIT_GRACE_MS_MAX) {
        output_refuse(engine, command, TENURE_INVALID, name, "grace_ms: up to 3600000");
        return;
    }

    const struct lock *lock = lock_find(engine, name);
    struct hold *hold = lock == NULL ? NULL : find_by_token(lock, command->as.break_hold.token);
    if (hold == NULL) {
        bool is_held = lock != NULL && lock->hold_count > 0;
        output_refuse(engine, command, is_held ? TENURE_STALE_TOKEN : TENURE_NOT_FOUND, name, NULL);
        output_depend(engine, lock_last_change(engine, lock));
        return;
    }
    struct breaking *breaking = NULL;
    bool has_room = release_reserve(engine, hold, reason);
    if (has_room && grace_ms > 0) {
        breaking = apply_make_breaking(engine, grace_ms, reason);
        has_room = breaking != NULL;
    }
    if (!has_room) {
        output_refuse(engine, command, TENURE_NO_MEMORY, name, NULL);
    } else if (breaking == NULL) {
        break_now(engine, command, hold, reason);
    } else {
        break_later(engine, command, hold, breaking);
    }
}

/* --------------------------------------------------------------- proclaim */

void command_proclaim(struct engine *engine, const struct engine_command *command)
{
    const struct engine_claim *claim = &command->as.proclaim.claim;
    struct bytes value = command->as.proclaim.value;
    if (value.size > LIMIT_META_SIZE_MAX || !utf8_is_valid(value)) {
        output_refuse(
            engine, command, TENURE_INVALID, claim->name, "value: up to 4096 bytes of UTF-8");
        return;
    }
    struct hold *hold = release_claimed(engine, command, claim);
    if (hold == NULL) return;
    /* The room that is left is for letting go of locks. */
    if (engine->gate == ENGINE_GATE_NO_SPACE) {
        output_refuse(engine, command, TENURE_NO_SPACE, claim->name, NULL);
        return;
    }
    size_t size = output_record_size(lock_name(hold->lock), hold_owner(hold), value);
    char *meta;
    if (!output_reserve(engine, size, 1, 1) || !hold_copy_meta(engine, value, &meta)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, claim->name, NULL);
        return;
    }

    struct record record = {
        .kind = RECORD_PROCLAIMED, .owner = hold_owner(hold), .token = hold->token, .meta = value
    };
    output_record(engine, hold->lock, &record);
    apply_proclaimed(engine, hold, meta, value.size);
    (void)answer(engine, command, hold);
    output_depend(engine, engine->seq);
}

/* --------------------------------------------------------------- transfer */

/* This very handing over was asked for before and has happened: the same answer again. */
static bool repeat_transfer(struct engine *engine, const struct engine_command *command)
{
    const struct engine_claim *claim = &command->as.transfer.claim;
    struct ending ending;
    uint32_t budget = RELEASE_EVENTS_LOOKED_AT;
    if (!release_find_ending(engine, claim->name, claim->owner, claim->token, &budget, &ending) ||
        !ending.is_transferred || !bytes_equal(ending.successor_owner, command->as.transfer.to))
    {
        return false;
    }
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    struct engine_result *result = output_result(engine);
    result->name = claim->name;
    result->end = ENGINE_END_RELEASED;
    result->is_repeat = true;
    result->successor = ending.successor;
    const struct lock *lock = lock_find(engine, claim->name);
    ASSERT(lock != NULL); /* the window remembers it */
    output_depend(engine, lock->last_seq);
    return true;
}

/* The waiting hold of the candidate; NULL when it cannot be handed over to. */
static struct hold *
find_candidate(const struct engine *engine, const struct hold *hold, struct bytes to)
{
    struct hold *candidate = hold_find(engine, hold->lock, to);
    if (candidate == NULL || candidate->state != HOLD_WAITING) return NULL;
    if (candidate->as.waiter->hold_count != 1 || candidate->mode != hold->mode) return NULL;
    if (waiter_is_over(engine, candidate->as.waiter)) return NULL;
    return candidate;
}

void command_transfer(struct engine *engine, const struct engine_command *command)
{
    const struct engine_claim *claim = &command->as.transfer.claim;
    if (repeat_transfer(engine, command)) return;
    struct hold *hold = release_claimed(engine, command, claim);
    if (hold == NULL) return;
    const struct queue *queue = hold->lock->queue;
    bool is_delayed = queue != NULL && queue->delay_ms > 0;
    if (engine->gate != ENGINE_GATE_OPEN || is_delayed || !grant_has_tokens(engine, 1)) {
        output_refuse(engine, command, TENURE_UNAVAILABLE, claim->name, "no grants are made now");
        return;
    }
    struct hold *candidate = find_candidate(engine, hold, command->as.transfer.to);
    if (candidate == NULL || hold->mode != ENGINE_EXCLUSIVE) {
        output_refuse(
            engine,
            command,
            TENURE_NOT_FOUND,
            claim->name,
            "to: no such owner waits for this name alone, in the same mode");
        output_depend(engine, hold->lock->last_seq);
        return;
    }
    struct waiter *waiter = candidate->as.waiter;
    size_t release_size =
        output_record_size(lock_name(hold->lock), hold_owner(hold), BYTES_LITERAL("transferred"));
    size_t grant_size =
        output_record_size(lock_name(hold->lock), hold_owner(candidate), hold_meta(candidate));
    if (!grant_reserve(engine, waiter->holds, 1) ||
        !output_reserve(
            engine, release_size + grant_size + bond_record_size(engine, hold->token), 2, 2))
    {
        output_refuse(engine, command, TENURE_NO_MEMORY, claim->name, NULL);
        return;
    }

    uint32_t slots = hold->lock->slots;
    uint32_t slot = hold->slot; /* what is handed over is this very slot */
    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    struct engine_result *result = output_result(engine);
    result->name = lock_name(hold->lock);
    result->end = ENGINE_END_RELEASED;
    release_end(engine, hold, RECORD_RELEASED, BYTES_LITERAL("transferred"));
    engine->counters.released++;

    struct grant grant = { .holds = waiter->holds,
                           .hold_count = 1,
                           .slots = slots,
                           .slot = slot,
                           .client = waiter->client,
                           .tag = waiter->tag,
                           .waited_ms = (engine->time_ns - waiter->arrived_ns) / NS_PER_MS };
    if (!grant_holds(engine, &grant)) UNREACHABLE("room was reserved");
    result->successor = candidate->token;
    hold_view(candidate, engine->time_ns, &result->hold);
    reply->seq = engine->seq;
    waiter_remove(engine, waiter);
}
