#include <inttypes.h>

#include "sim/state_parts.h"

#define N(name) (state_name(name).data)

/* ------------------------------------------------- may this record be there? */

void state_begin_step(struct world *world, const struct request *request, bool is_taken)
{
    struct state_expectation *expectation = &world->states.expectation;
    expectation->is_judged = false;
    if (request == NULL || !request->change.has_change) return;
    bool is_end = request->kind == ENGINE_DONE;
    /* Who lost the item changes nothing at all (K9); the end of an item is recorded first. */
    if (is_end && !is_taken) return;
    state_expect(world, &request->change, is_end ? 1 : 0, expectation);
}

static bool is_as_expected(const struct state_event *is, const struct state_event *should)
{
    bool is_score = !(is->score < should->score) && !(is->score > should->score) &&
                    !(is->score_before < should->score_before) &&
                    !(is->score_before > should->score_before);
    bool is_bond = is->is_bound == should->is_bound &&
                   (!is->is_bound || (is->bond.lock == should->bond.lock &&
                                      is->bond.token.value == should->bond.token.value));
    return is->kind == should->kind && is->name == should->name && is->member == should->member &&
           is->more == should->more && is->cause == should->cause && is->is_new == should->is_new &&
           is->is_kept == should->is_kept && is->ttl_ms == should->ttl_ms && is_score && is_bond &&
           state_text_equals(&is->piece, &should->piece);
}

/* K1, K9: a transaction makes the records that it has to, in their order. */
static bool is_asked_for(struct world *world, const struct state_event *event)
{
    struct state_expectation *expectation = &world->states.expectation;
    bool is_due = expectation->is_judged && expectation->err == TENURE_OK &&
                  expectation->made_at < expectation->made_count;
    if (!is_due) return false;
    const struct state_event *should = &expectation->made[expectation->made_at++];
    if (!is_as_expected(event, should)) {
        world_fail(
            world,
            "K1: %s %s, %u more: not what was asked for (%s %s, %u more)",
            record_kind_word(event->kind),
            N(event->name),
            event->more,
            record_kind_word(should->kind),
            N(should->name),
            should->more);
    }
    if (event->more > 0) world_probe(world, PROBE_STATE_MANY);
    if (event->is_bound) world_probe(world, PROBE_STATE_BOUND);
    return true;
}

/* K5: not before its time. */
static void check_expired(
    struct world *world, const struct engine_event *event, const struct state_event *record)
{
    const struct state_key *key = &world->states.keys[record->name];
    bool is_over = event->kind == ENGINE_TIMER && key->value.is_set && key->ttl_ms > 0 &&
                   world->receivable_ns >= key->deadline_ns;
    if (!is_over || record->more > 0) {
        world_fail(world, "K5: %s vanished before its time", N(record->name));
    }
    world_probe(world, PROBE_STATE_EXPIRED);
}

/* K5: with its hold, which ended in this very step, and all others that are bound to it. */
static void check_hold_ended(struct world *world, const struct state_event *record)
{
    const struct state_key *key = &world->states.keys[record->name];
    const struct grant *grant =
        key->is_bound ? oracle_grant_by_token(world, key->bond.lock, key->bond.token) : NULL;
    if (grant == NULL || grant->ended_seq.value <= world->oracle.last_before) {
        world_fail(world, "K5: %s vanished with a hold that did not end", N(record->name));
    }
    uint32_t more = 0;
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        const struct state_key *other = &world->states.keys[name];
        more += name != record->name && other->is_bound &&
                other->bond.token.value == key->bond.token.value;
    }
    if (record->more != more) world_fail(world, "K5: %u more should vanish", more);
    world_probe(world, more > 0 ? PROBE_STATE_ENDED_MANY : PROBE_STATE_ENDED);
}

void state_record(
    struct world *world, const struct engine_event *event, const struct record *record)
{
    struct states *states = &world->states;
    struct state_event made = state_event_of(world, record);
    if (!is_asked_for(world, &made)) {
        bool is_unset = record->kind == RECORD_UNSET && record->cause != CAUSE_REMOVED;
        if (!is_unset) {
            world_fail(
                world, "K1: %s %s without a cause", record_kind_word(record->kind), N(made.name));
        }
        if (record->cause == CAUSE_EXPIRED) check_expired(world, event, &made);
        if (record->cause == CAUSE_HOLD_ENDED) check_hold_ended(world, &made);
    }
    state_ledger_apply(world, record);
    if (record->kind == RECORD_RANKED || record->kind == RECORD_UNRANKED) return;
    for (uint32_t index = 0; index < states->wait_count; index++) {
        struct state_wait *wait = &states->waits[index];
        bool is_ripe = wait->name == made.name && wait->version < record->seq.value;
        wait->is_ripe = wait->is_ripe || is_ripe;
    }
}

/* --------------------------------------------------------------------- answers */

static bool is_told_right(
    struct world *world, const struct engine_change_result *is, const struct state_told *should)
{
    if (!bytes_equal(is->value.name, state_name(should->name))) return false;
    bool is_same = is->is_of_rank == should->is_of_rank && is->was_there == should->was_there &&
                   is->is_changed == should->is_changed && is->is_member == should->is_member &&
                   is->number == should->number;
    if (should->is_of_rank) {
        return is_same && !(is->score < should->score) && !(is->score > should->score);
    }
    struct state_text value = { 0 };
    if (is->value.version > 0) value = state_text_of(is->value.value);
    (void)world;
    return is_same && is->value.version == should->version &&
           state_text_equals(&value, &should->value);
}

static void count_outcome(struct world *world, const struct state_expectation *expectation)
{
    switch ((unsigned)expectation->err) {
    case TENURE_MISMATCH: world_probe(world, PROBE_STATE_MISMATCH); return;
    case TENURE_STALE_TOKEN: world_probe(world, PROBE_STATE_STALE); return;
    case TENURE_TOO_MANY: world_probe(world, PROBE_STATE_TOO_MANY); return;
    case TENURE_INVALID: world_probe(world, PROBE_STATE_INVALID); return;
    case TENURE_OK: break;
    default: return;
    }
    world_probe(world, expectation->is_else ? PROBE_STATE_ELSE : PROBE_STATE_CHANGED);
}

void state_check_change(struct world *world, const struct engine_reply *reply)
{
    const struct state_expectation *expectation = &world->states.expectation;
    if (!expectation->is_judged) world_fail(world, "K1: an answer that nobody expects");
    if (reply->err == TENURE_NO_MEMORY && world->swarm.has_memory_faults) return;
    /* Of a lock that is forgotten nothing is known. */
    bool is_stale = expectation->err == TENURE_STALE_TOKEN && reply->err == TENURE_NOT_FOUND;
    if (reply->err != expectation->err && !is_stale) {
        world_fail(
            world,
            "%s: a transaction is answered %s (%s), not %s",
            expectation->err == TENURE_STALE_TOKEN || reply->err == TENURE_STALE_TOKEN ? "K4"
                                                                                       : "K3",
            tenure_err_name(reply->err),
            reply->detail == NULL ? "" : reply->detail,
            tenure_err_name(expectation->err));
    }
    count_outcome(world, expectation);
    if (expectation->depends > reply->seq.value && expectation->depends > world->host.durable.value)
    {
        world_fail(
            world,
            "I10: an answer about shared state depends on record %" PRIu64 ", it says %" PRIu64,
            expectation->depends,
            reply->seq.value);
    }
    if (reply->err != TENURE_OK && reply->err != TENURE_MISMATCH) return;
    bool is_good = reply->change_count == expectation->told_count &&
                   (reply->err != TENURE_OK || reply->is_else == expectation->is_else);
    for (uint32_t index = 0; index < reply->change_count && is_good; index++) {
        is_good = is_told_right(world, &reply->changes[index], &expectation->told[index]);
    }
    if (!is_good) world_fail(world, "K2: a transaction is told something else than it did");
}

/* ------------------------------------------------------------------- who waits */

void state_wait_add(struct world *world, struct request *request)
{
    struct states *states = &world->states;
    if (states->wait_count == STATE_WAIT_MAX || states->wait_count >= world->host.waiter_count_max)
    {
        world_fail(world, "I13: too many wait for registers");
    }
    const struct state_key *key = &states->keys[request->change.name];
    uint64_t version = request->change.version;
    bool is_over =
        key->value.is_set ? key->version > version : version > 0 && key->changed_seq > version;
    if (is_over) world_fail(world, "K8: somebody waits for what has happened");
    states->waits[states->wait_count++] = (struct state_wait){
        .connection = request->connection,
        .tag = request->tag,
        .version = version,
        .name = request->change.name,
        .wait_ms = request->wait_ms,
        .since_ns = world->receivable_ns,
    };
    request->is_waiting = true;
}

void state_wait_remove(struct world *world, uint64_t connection, uint64_t tag)
{
    struct states *states = &world->states;
    for (uint32_t index = 0; index < states->wait_count;) {
        const struct state_wait *wait = &states->waits[index];
        if (wait->connection == connection && (tag == 0 || wait->tag == tag)) {
            states->waits[index] = states->waits[--states->wait_count];
        } else {
            index++;
        }
    }
}

void state_mark_answered(struct world *world, const struct engine_update *update)
{
    for (uint32_t index = 0; index < world->states.wait_count; index++) {
        struct state_wait *wait = &world->states.waits[index];
        for (uint32_t at = 0; at < update->reply_count && !wait->is_answered; at++) {
            const struct engine_reply *reply = &update->replies[at];
            wait->is_answered = reply->client == wait->connection && reply->tag == wait->tag;
        }
    }
}

/* Whose wait is over is told what there was before anything else happens in that step. */
static struct state_text value_before(const struct world *world, uint32_t name)
{
    const struct states *states = &world->states;
    struct state_text value = states->keys[name].value;
    for (uint32_t at = states->event_count; at > 0; at--) {
        const struct state_event *event = &states->events[at - 1];
        if (event->seq <= world->oracle.last_before) break;
        bool is_register = event->kind != RECORD_RANKED && event->kind != RECORD_UNRANKED;
        if (event->name == name && is_register) value = event->previous;
    }
    return value;
}

/* What is told about the register is so, and stays so. */
static void
check_told(struct world *world, uint32_t name, uint64_t version, const struct engine_reply *reply)
{
    const struct state_key *key = &world->states.keys[name];
    if (reply->change_count != 1) world_fail(world, "K8: a wait is answered with nothing");
    const struct engine_change_result *result = &reply->changes[0];
    struct state_text value = { 0 };
    if (result->value.version > 0) value = state_text_of(result->value.value);
    bool is_over = reply->err != TENURE_OK && key->changed_seq > world->oracle.last_before;
    struct state_text known = is_over ? value_before(world, name) : key->value;
    bool is_version = is_over || result->value.version == key->version;
    if (!is_version || !state_text_equals(&value, &known)) {
        world_fail(world, "K2: who waited for %s is told something else", N(name));
    }
    uint64_t depends = is_over ? 0 : key->last_seq;
    if (depends > reply->seq.value && depends > world->host.durable.value) {
        world_fail(world, "I10: who waited for %s is told too early", N(name));
    }
    if (reply->err == TENURE_OK && result->version <= version) {
        world_fail(world, "K8: who waited for %s is to wait on from where he was", N(name));
    }
}

/* An answer without a wait. */
static void
check_look(struct world *world, const struct request *request, const struct engine_reply *reply)
{
    uint32_t name = request->change.name;
    uint64_t version = request->change.version;
    const struct state_key *key = &world->states.keys[name];
    if (reply->err != TENURE_OK && reply->err != TENURE_TIMEOUT) return;
    check_told(world, name, version, reply);
    bool is_over =
        key->value.is_set ? key->version > version : version > 0 && key->changed_seq > version;
    /* What is not set may have been removed before the window began; a rank changes its key too. */
    uint64_t forgotten = engine_window_first(world->host.engine).value - 1;
    bool is_perhaps =
        !key->value.is_set && (key->last_seq > version || (version > 0 && forgotten > version));
    bool is_ok = reply->err == TENURE_OK;
    if (is_ok ? !is_over && !is_perhaps : is_over) {
        world_fail(
            world,
            "K8: %s changed at %" PRIu64 " or not, who has seen %" PRIu64 " is told %s",
            N(name),
            key->changed_seq,
            version,
            tenure_err_name(reply->err));
    }
    if (is_ok && !is_over) world_probe(world, PROBE_STATE_WAIT_FORGOTTEN);
}

void state_check_wait(struct world *world, const struct engine_reply *reply)
{
    struct states *states = &world->states;
    for (uint32_t index = 0; index < states->wait_count; index++) {
        const struct state_wait *wait = &states->waits[index];
        if (wait->connection != reply->client || wait->tag != reply->tag) continue;
        int64_t waited_ns = world->receivable_ns - wait->since_ns;
        if (reply->err == TENURE_TIMEOUT && waited_ns < wait->wait_ms * NS_PER_MS) {
            world_fail(world, "K8: a wait for %s timed out too early", N(wait->name));
        }
        check_told(world, wait->name, wait->version, reply);
        bool is_changed = states->keys[wait->name].changed_seq > wait->version;
        if (reply->err == TENURE_OK && !is_changed) {
            world_fail(world, "K8: %s has not changed, its waiter is woken", N(wait->name));
        }
        if (reply->err == TENURE_OK) world_probe(world, PROBE_STATE_WOKEN);
        if (reply->err == TENURE_TIMEOUT) world_probe(world, PROBE_STATE_WAIT_OVER);
        state_wait_remove(world, reply->client, reply->tag);
        return;
    }
    world_fail(world, "I11: an answer to nobody about a register (tag %" PRIu64 ")", reply->tag);
}

void state_check_own(
    struct world *world, const struct request *request, const struct engine_reply *reply)
{
    if (request->kind == ENGINE_CHANGE) state_check_change(world, reply);
    if (request->kind == ENGINE_STATE_WAIT) check_look(world, request, reply);
}

/* ----------------------------------------------------------------- step and time */

void state_end_step(struct world *world, const struct engine_update *update)
{
    struct states *states = &world->states;
    const struct state_expectation *expectation = &states->expectation;
    bool is_whole = !expectation->is_judged || expectation->made_at == 0 ||
                    expectation->made_at == expectation->made_count;
    if (!is_whole) world_fail(world, "K1: a transaction was carried out in part");
    bool is_told = false;
    for (uint32_t index = 0; index < update->reply_count; index++) {
        const struct engine_reply *reply = &update->replies[index];
        bool is_change = reply->kind == ENGINE_CHANGE || reply->kind == ENGINE_DONE;
        is_told = is_told || (is_change && reply->err == TENURE_OK);
    }
    bool is_missing = expectation->is_judged && is_told && expectation->err == TENURE_OK &&
                      expectation->made_at != expectation->made_count;
    if (is_missing) world_fail(world, "K9: what was told was not done");
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        const struct state_key *key = &states->keys[name];
        if (!key->is_bound) continue;
        const struct grant *grant = oracle_grant_by_token(world, key->bond.lock, key->bond.token);
        if (grant == NULL || grant->ended_seq.value != 0) {
            world_fail(world, "K5: %s outlives the hold that it is bound to", N(name));
        }
    }
    for (uint32_t index = 0; index < states->wait_count; index++) {
        const struct state_wait *wait = &states->waits[index];
        if (!wait->is_ripe || world->swarm.has_memory_faults) continue;
        world_fail(world, "K8: %s has changed, and who waits for that is not told", N(wait->name));
    }
}

void state_after_timers(struct world *world)
{
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        const struct state_key *key = &world->states.keys[name];
        if (key->ttl_ms == 0 || key->deadline_ns > world->receivable_ns) continue;
        world_fail(world, "K5: the time of %s is over, and it is there", N(name));
    }
    for (uint32_t index = 0; index < world->states.wait_count; index++) {
        const struct state_wait *wait = &world->states.waits[index];
        if (world->receivable_ns - wait->since_ns < wait->wait_ms * NS_PER_MS) continue;
        world_fail(world, "K8: a wait for %s should be over", N(wait->name));
    }
}

void state_check_rest(struct world *world)
{
    state_compare(world, true);
    if (world->states.wait_count > 0) world_fail(world, "I9: somebody waits for a register");
    state_watch_check_rest(world);
}
