/* release - the holder speaks: renew and release, and what became of a hold that is no more. */
#include "engine/apply.h"
#include "engine/commands.h"
#include "engine/hold.h"
#include "engine/key_commands.h"
#include "engine/lock.h"
#include "engine/output.h"
#include "engine/queue.h"

/* ---------------------------------------------------------------- endings */

static bool is_end_of(const struct record *record, struct bytes owner, struct token token)
{
    bool is_end = record->kind == RECORD_RELEASED || record->kind == RECORD_EXPIRED ||
                  record->kind == RECORD_BROKEN;
    return is_end && record->token.value == token.value && bytes_equal(record->owner, owner);
}

/* Did this grant come in where that hold had been?  Readers beside readers, and other slots, are
 * no successors. */
static bool is_successor(const struct record *granted, const struct record *ended)
{
    if (granted->mode == ENGINE_SHARED && ended->mode == ENGINE_SHARED) return false;
    return granted->slot == ended->slot;
}

/* `successor` has token 0 when there is none. */
static void
describe_end(const struct record *ended, const struct record *successor, struct ending *out_ending)
{
    *out_ending = (struct ending){ .end = ENGINE_END_RELEASED };
    if (ended->kind == RECORD_BROKEN) out_ending->end = ENGINE_END_BROKEN;
    if (ended->kind == RECORD_EXPIRED) {
        out_ending->end = ENGINE_END_EXPIRED_UNCLAIMED;
        if (successor->token.value > 0) out_ending->end = ENGINE_END_EXPIRED_TAKEN;
        out_ending->successor = successor->token;
    }
    if (ended->reason.size > 0 && ended->kind == RECORD_RELEASED) {
        out_ending->is_transferred = true;
        out_ending->successor = successor->token;
        out_ending->successor_owner = successor->owner;
    }
}

/* The first grant behind `ended` that came in where that had been; token 0 when there is none.  The
 * way back to `ended` is walked a second time rather than remembered. */
static struct record
find_successor(const struct engine *engine, const struct lock *lock, const struct record *ended)
{
    struct record successor = { .kind = RECORD_GRANTED };
    struct seq seq = lock->last_seq;
    const struct window_entry *entry;
    while (seq.value > ended->seq.value && (entry = window_find(&engine->window, seq)) != NULL) {
        struct record record = record_decode_known(window_record(entry));
        if (record.kind == RECORD_GRANTED && is_successor(&record, ended)) successor = record;
        seq = entry->previous;
    }
    return successor;
}

bool release_find_ending(
    const struct engine *engine,
    struct bytes name,
    struct bytes owner,
    struct token token,
    uint32_t *budget,
    struct ending *out_ending)
{
    const struct lock *lock = lock_find(engine, name);
    if (lock == NULL) return false;

    struct seq seq = lock->last_seq;
    for (uint32_t count = 0; count<RELEASE_EVENTS_LOOKED_AT && * budget> 0; count++) {
        (*budget)--;
        const struct window_entry *entry = window_find(&engine->window, seq);
        if (entry == NULL) return false;
        struct record record = record_decode_known(window_record(entry));
        if (is_end_of(&record, owner, token)) {
            record.seq = seq;
            struct record successor = find_successor(engine, lock, &record);
            describe_end(&record, &successor, out_ending);
            return true;
        }
        /* Tokens only rise: before the grant itself there is nothing about it. */
        if (record.kind == RECORD_GRANTED && record.token.value <= token.value) return false;
        seq = entry->previous;
    }
    return false;
}

const char *engine_end_word(enum engine_end end)
{
    switch (end) {
    case ENGINE_END_NONE: return "not_owner";
    case ENGINE_END_RELEASED: return "released";
    case ENGINE_END_EXPIRED_UNCLAIMED: return "expired_unclaimed";
    case ENGINE_END_EXPIRED_TAKEN: return "expired_taken";
    case ENGINE_END_BROKEN: return "broken";
    }
    UNREACHABLE("all ends have a word");
}

/* ------------------------------------------------------------------ claims */

/* The current hold of the claim; NULL when it is not what the claim says. */
static struct hold *find_claimed(
    const struct engine *engine, const struct engine_claim *claim, const struct lock **out_lock)
{
    struct lock *lock = lock_find(engine, claim->name);
    *out_lock = lock;
    struct hold *hold = lock == NULL ? NULL : hold_find(engine, lock, claim->owner);
    if (hold == NULL || !hold_is_held(hold)) return NULL;
    return hold->token.value == claim->token.value ? hold : NULL;
}

/* Say in the last result of the last reply what became of a claim that is not current. */
static void tell_lost(
    struct engine *engine,
    const struct engine_claim *claim,
    const struct lock *lock,
    uint32_t *budget)
{
    struct engine_result *result = &engine->output.results[engine->output.result_count - 1];
    struct ending ending;
    result->name = claim->name;
    /* Nothing newer is known than the last change of this name; of an unknown name, the last of
     * all. */
    output_depend(engine, lock_last_change(engine, lock));
    if (release_find_ending(engine, claim->name, claim->owner, claim->token, budget, &ending)) {
        result->err = TENURE_LOST;
        result->end = ending.end;
        result->successor = ending.successor;
        return;
    }
    const struct hold *other = lock == NULL ? NULL : hold_find(engine, lock, claim->owner);
    bool has_other = other != NULL && hold_is_held(other);
    result->err = has_other ? TENURE_STALE_TOKEN : TENURE_NOT_OWNER;
}

struct hold *release_claimed(
    struct engine *engine, const struct engine_command *command, const struct engine_claim *claim)
{
    const struct lock *lock;
    struct hold *hold = find_claimed(engine, claim, &lock);
    if (hold != NULL) return hold;

    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    struct engine_result *result = output_result(engine);
    uint32_t budget = RELEASE_EVENTS_LOOKED_AT;
    tell_lost(engine, claim, lock, &budget);
    reply->err = result->err;
    return NULL;
}

/* ------------------------------------------------------------------- renew */

static bool is_ttl_allowed(uint32_t ttl_ms)
{
    if (ttl_ms == ENGINE_TTL_KEEP || ttl_ms == 0) return true;
    return ttl_ms >= LIMIT_TTL_MS_MIN && ttl_ms <= LIMIT_TTL_MS_MAX;
}

static void renew_hold(struct engine *engine, struct hold *hold, uint32_t ttl_ms)
{
    if (ttl_ms != ENGINE_TTL_KEEP && ttl_ms != hold->ttl_ms) {
        struct record record = { .kind = RECORD_RENEWED,
                                 .owner = hold_owner(hold),
                                 .token = hold->token,
                                 .ttl_ms = ttl_ms };
        output_record(engine, hold->lock, &record);
        apply_renewed(engine, hold, &record);
        output_depend(engine, engine->seq);
    }
    if (hold->state == HOLD_LIVE) hold_arm(engine, hold, engine->time_ns);
    /* A plain renewal of a live hold depends on no disk: it must get through when the disk stalls.
     * Unless it tells of a ttl that a crash could take back. */
    if (hold->state == HOLD_PENDING || hold->breaking != NULL || hold->is_ttl_changed) {
        output_depend(engine, hold->lock->last_seq);
    }
    engine->counters.renewed++;
}

static void renew_claim(struct engine *engine, const struct engine_claim *claim, uint32_t *budget)
{
    struct engine_result *result = output_result(engine);
    const struct lock *lock;
    struct hold *hold = find_claimed(engine, claim, &lock);
    result->name = claim->name;
    if (!is_ttl_allowed(claim->ttl_ms)) {
        result->err = TENURE_INVALID;
    } else if (hold == NULL) {
        tell_lost(engine, claim, lock, budget);
    } else {
        renew_hold(engine, hold, claim->ttl_ms);
        hold_view(hold, engine->time_ns, &result->hold);
    }
}

void command_renew(struct engine *engine, const struct engine_command *command)
{
    const struct engine_claim *claims = command->as.renew.claims;
    uint32_t count = command->as.renew.count;
    if (count == 0 || count > LIMIT_ITEM_COUNT_MAX) {
        output_refuse(
            engine, command, TENURE_INVALID, (struct bytes){ 0 }, "1 to 1024 holds in one renewal");
        return;
    }
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++) {
        if (claims[index].ttl_ms == ENGINE_TTL_KEEP) continue;
        size += output_record_size(claims[index].name, claims[index].owner, (struct bytes){ 0 });
    }
    /* Renewals that change no ttl need a timer only; it was reserved with the grant. */
    if (!output_reserve(engine, size, 1, count)) {
        output_refuse(engine, command, TENURE_NO_MEMORY, claims[0].name, NULL);
        return;
    }

    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    uint32_t budget = RELEASE_EVENTS_LOOKED_AT + (count - 1) * RELEASE_EVENTS_MORE;
    for (uint32_t index = 0; index < count; index++) {
        renew_claim(engine, &claims[index], &budget);
    }
    const struct engine_result *first =
        &engine->output.results[engine->output.result_count - count];
    if (count == 1) reply->err = first->err;
    if (count == 1 && reply->err == TENURE_INVALID) {
        reply->detail = "ttl_ms: 100 to 86400000, or 0 for until released";
    }
}

/* ----------------------------------------------------------------- release */

bool release_reserve(struct engine *engine, const struct hold *hold, struct bytes reason)
{
    size_t size = output_record_size(lock_name(hold->lock), hold_owner(hold), reason);
    return output_reserve(engine, size + bond_record_size(engine, hold->token), 1, 1);
}

/* The lock-delay that begins with an unclean end; 0 when the one that runs already ends later.
 * Decided here and told by the record, because a replay knows no time to compare with. */
static uint32_t delay_from_now(const struct engine *engine, const struct hold *hold)
{
    const struct queue *queue = hold->lock->queue;
    int64_t until_ns = engine->time_ns + (int64_t)hold->lock_delay_ms * NS_PER_MS;
    bool is_covered = queue != NULL && queue->delay_ms > 0 && queue->delay_until_ns >= until_ns;
    return is_covered ? 0 : hold->lock_delay_ms;
}

void release_end(
    struct engine *engine, struct hold *hold, enum record_kind kind, struct bytes reason)
{
    bool is_unclean = kind != RECORD_RELEASED;
    struct record record = { .kind = kind,
                             .owner = hold_owner(hold),
                             .token = hold->token,
                             .mode = (enum engine_mode)hold->mode,
                             .slot = hold->slot,
                             .lock_delay_ms = is_unclean ? delay_from_now(engine, hold) : 0,
                             .reason = reason };
    output_record(engine, hold->lock, &record);
    apply_ended(engine, hold, &record);
    key_hold_ended(engine, record.token);
}

void command_release(struct engine *engine, const struct engine_command *command)
{
    const struct engine_claim *claim = &command->as.release;
    const struct lock *lock;
    struct hold *hold = find_claimed(engine, claim, &lock);
    if (hold != NULL && !release_reserve(engine, hold, (struct bytes){ 0 })) {
        output_refuse(engine, command, TENURE_NO_MEMORY, claim->name, NULL);
        return;
    }

    struct engine_reply *reply = output_reply(engine, command->client, command->tag);
    reply->kind = command->kind;
    struct engine_result *result = output_result(engine);
    if (hold != NULL) {
        result->name = lock_name(hold->lock);
        result->end = ENGINE_END_RELEASED;
        release_end(engine, hold, RECORD_RELEASED, (struct bytes){ 0 });
        engine->counters.released++;
        output_depend(engine, engine->seq);
        return;
    }
    /* A release never fails: it tells how the hold ended, `not_owner` when nobody remembers. */
    uint32_t budget = RELEASE_EVENTS_LOOKED_AT;
    tell_lost(engine, claim, lock, &budget);
    result->err = TENURE_OK;
}
