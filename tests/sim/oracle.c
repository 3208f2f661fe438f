#include <inttypes.h>
#include <stdlib.h>

#include "sim/world.h"

#define N(name) (world_name(name).data)

/* ------------------------------------------------------------------ history */

static void *grow(void *block, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) return block;
    *capacity = *capacity == 0 ? 256 : *capacity * 2;
    void *grown = realloc(block, *capacity * size);
    if (grown == NULL) abort();
    return grown;
}

static size_t offset_of(const struct oracle *oracle, uint64_t seq)
{
    return seq > oracle->last ? oracle->history.size : oracle->offsets[seq - 1];
}

static void history_append(struct world *world, struct bytes record)
{
    struct oracle *oracle = &world->oracle;
    if (oracle->last == oracle->offset_capacity) {
        oracle->offset_capacity = oracle->offset_capacity == 0 ? 1024 : oracle->offset_capacity * 2;
        size_t *offsets = realloc(oracle->offsets, oracle->offset_capacity * sizeof(size_t));
        if (offsets == NULL) abort();
        oracle->offsets = offsets;
    }
    oracle->offsets[oracle->last++] = oracle->history.size;
    buffer_append_bytes(&oracle->history, record);
}

static struct bytes history_record(const struct oracle *oracle, uint64_t seq)
{
    size_t from = offset_of(oracle, seq);
    return (struct bytes){ oracle->history.data + from, offset_of(oracle, seq + 1) - from };
}

/* ------------------------------------------------------------------- grants */

struct grant *oracle_grant(struct world *world, uint32_t name, uint32_t owner)
{
    struct oracle *oracle = &world->oracle;
    for (uint32_t index = oracle->live_from; index < oracle->grant_count; index++) {
        struct grant *grant = &oracle->grants[index];
        if (grant->ended_seq.value == 0 && grant->name == name && grant->owner == owner)
            return grant;
    }
    return NULL;
}

struct grant *oracle_grant_by_token(struct world *world, uint32_t name, struct token token)
{
    struct oracle *oracle = &world->oracle;
    for (uint32_t index = oracle->grant_count; index-- > 0;) {
        struct grant *grant = &oracle->grants[index];
        if (grant->token.value == token.value && grant->name == name) return grant;
    }
    return NULL;
}

static struct grant *live_grant(struct world *world, const struct record *record, uint32_t name)
{
    struct grant *grant = oracle_grant_by_token(world, name, record->token);
    if (grant == NULL || grant->ended_seq.value != 0 ||
        grant->owner != world_owner_number(world, record->owner))
    {
        world_fail(
            world,
            "%s of %s, token %" PRIu64 ": there is no such hold",
            record_kind_word(record->kind),
            N(name),
            record->token.value);
    }
    return grant;
}

/* No two that exclude each other may be there at once: the state itself, before any clock. */
static void check_room(struct world *world, const struct grant *grant)
{
    const struct oracle *oracle = &world->oracle;
    uint32_t beside = 0;
    for (uint32_t index = oracle->live_from; index < oracle->grant_count; index++) {
        const struct grant *other = &oracle->grants[index];
        if (other->ended_seq.value != 0 || other->name != grant->name) continue;
        bool is_good = other->mode == grant->mode && other->slots == grant->slots &&
                       other->owner != grant->owner &&
                       (grant->mode == ENGINE_SHARED || other->slot != grant->slot);
        if (!is_good || (grant->mode == ENGINE_EXCLUSIVE && ++beside >= grant->slots)) {
            world_fail(
                world,
                "%s: token %" PRIu64 " granted beside %" PRIu64,
                N(grant->name),
                grant->token.value,
                other->token.value);
        }
        if (grant->mode == ENGINE_SHARED) world_probe(world, PROBE_GRANT_SHARED);
    }
    if (grant->slot > 0) world_probe(world, PROBE_GRANT_SLOT);
    if (grant->slot >= grant->slots) world_fail(world, "a slot outside of the slots");
}

/* What the records say, without asking whether they may. */
static struct grant *apply(struct world *world, const struct record *record)
{
    struct oracle *oracle = &world->oracle;
    uint32_t name = world_name_number(world, record->name);
    oracle->name_last[name] = record->seq.value;
    if (record->kind == RECORD_AVAILABLE) {
        oracle->has_delay[name] = false;
        return NULL;
    }
    if (record->kind == RECORD_GRANTED) {
        if (record->token.value <= oracle->token_high.value || record->token.value > TOKEN_MAX) {
            world_fail(
                world,
                "I1: token %" PRIu64 " granted after %" PRIu64,
                record->token.value,
                oracle->token_high.value);
        }
        oracle->token_high = record->token;
        struct grant grant = {
            .name = name,
            .owner = world_owner_number(world, record->owner),
            .token = record->token,
            .mode = record->mode,
            .slot = record->slot,
            .slots = record->slots,
            .ttl_ms = record->ttl_ms,
            .lock_delay_ms = record->lock_delay_ms,
            .seq = record->seq,
            .terms_seq = record->seq,
            .base_ns = world->receivable_ns,
        };
        check_room(world, &grant);
        oracle->grants = grow(
            oracle->grants, oracle->grant_count, &oracle->grant_capacity, sizeof(struct grant));
        oracle->grants[oracle->grant_count] = grant;
        return &oracle->grants[oracle->grant_count++];
    }
    struct grant *grant = live_grant(world, record, name);
    if (record->kind == RECORD_RENEWED) {
        grant->ttl_ms = record->ttl_ms;
        grant->terms_seq = record->seq;
    } else if (record->kind == RECORD_BREAKING) {
        grant->terms_seq = record->seq;
        grant->is_breaking = true;
        grant->grace_ms = record->grace_ms;
        grant->break_base_ns = world->receivable_ns;
    } else if (record->kind != RECORD_PROCLAIMED) {
        grant->ended_seq = record->seq;
        grant->ended = record->kind;
        if (record->lock_delay_ms > 0) {
            int64_t until_ns = world->receivable_ns + record->lock_delay_ms * NS_PER_MS;
            oracle->has_delay[name] = true;
            oracle->delay_until_ns[name] = until_ns;
        }
    }
    while (oracle->live_from < oracle->grant_count &&
           oracle->grants[oracle->live_from].ended_seq.value != 0)
        oracle->live_from++;
    return grant;
}

/* ---------------------------------------------------------------- who waits */

static struct wait *wait_by_owner(struct world *world, uint32_t owner, uint32_t name)
{
    for (uint32_t index = 0; index < world->oracle.wait_count; index++) {
        struct wait *wait = &world->oracle.waits[index];
        if (wait->owner != owner) continue;
        for (uint32_t at = 0; at < wait->name_count; at++) {
            if (wait->names[at] == name) return wait;
        }
    }
    return NULL;
}

static bool wait_has_name(const struct wait *wait, uint32_t name)
{
    for (uint32_t at = 0; at < wait->name_count; at++) {
        if (wait->names[at] == name) return true;
    }
    return false;
}

static void wait_remove(struct world *world, uint64_t connection, uint64_t tag)
{
    struct oracle *oracle = &world->oracle;
    for (uint32_t index = 0; index < oracle->wait_count;) {
        const struct wait *wait = &oracle->waits[index];
        bool is_it = wait->connection == connection && (tag == 0 || wait->tag == tag);
        if (is_it && tag == 0) world_probe(world, PROBE_DEAD_WAITER);
        if (is_it) {
            oracle->waits[index] = oracle->waits[--oracle->wait_count];
        } else {
            index++;
        }
    }
}

static struct wait wait_from(struct world *world, const struct request *request)
{
    struct wait wait = {
        .connection = request->connection,
        .tag = request->tag,
        .owner = request->owner,
        .name_count = request->name_count,
        .number = world->next_wait++,
        .since_ns = world->receivable_ns,
        .arrived_ns = world->receivable_ns,
        .wait_ms = request->wait_ms,
        .priority = request->priority,
        .ttl_ms = request->ttl_ms,
        .mode = request->mode,
    };
    wait.order_ns = wait.since_ns - (int64_t)request->priority * WORLD_AGEING_MS * NS_PER_MS;
    memcpy(wait.names, request->names, sizeof wait.names);
    return wait;
}

static void wait_add(struct world *world, struct request *request)
{
    struct oracle *oracle = &world->oracle;
    struct wait wait = wait_from(world, request);
    struct wait *old = wait_by_owner(world, request->owner, request->names[0]);
    if (old != NULL) {
        /* It takes the place of the old request, not its time. */
        wait.number = old->number;
        wait.order_ns = old->order_ns;
        wait.arrived_ns = old->arrived_ns;
        wait.priority = old->priority;
        wait.ttl_ms = old->ttl_ms;
        *old = wait;
    } else {
        bool is_full = oracle->wait_count == 2 * WORLD_REQUEST_COUNT_MAX ||
                       oracle->wait_count >= world->host.waiter_count_max;
        if (is_full) world_fail(world, "I13: too many wait");
        oracle->waits[oracle->wait_count++] = wait;
    }
    request->is_waiting = true;
}

/* I8: nobody who was there before, and may be granted, is passed. */
static void check_order(struct world *world, const struct wait *granted)
{
    for (uint32_t index = 0; index < world->oracle.wait_count; index++) {
        const struct wait *other = &world->oracle.waits[index];
        if (other->owner == granted->owner || other->is_answered) continue;
        bool is_before = other->order_ns < granted->order_ns ||
                         (other->order_ns == granted->order_ns && other->number < granted->number);
        if (!is_before) continue;
        if (world->receivable_ns - other->since_ns >= other->wait_ms * NS_PER_MS) continue;
        for (uint32_t at = 0; at < granted->name_count; at++) {
            if (!wait_has_name(other, granted->names[at])) continue;
            world_fail(
                world,
                "I8: o%u got %s before o%u, who was first",
                granted->owner,
                N(granted->names[at]),
                other->owner);
        }
    }
}

/* ------------------------------------------------- may this record be there? */

static bool
has_claim(const struct request *request, const struct grant *grant, enum engine_command_kind kind)
{
    if (request == NULL || request->kind != kind) return false;
    for (uint32_t index = 0; index < request->claim_count; index++) {
        const struct claim *claim = &request->claims[index];
        bool is_it = claim->name == grant->name &&
                     (claim->token.value == grant->token.value ||
                      (claim->token.value == 0 && kind == ENGINE_RELEASE)) &&
                     (claim->owner == grant->owner || kind == ENGINE_BREAK);
        if (is_it) return true;
    }
    return false;
}

static void check_granted(
    struct world *world,
    const struct request *request,
    const struct record *record,
    const struct grant *grant)
{
    struct wait *wait = wait_by_owner(world, grant->owner, grant->name);
    bool is_now =
        request != NULL && request->kind == ENGINE_ACQUIRE && request->owner == grant->owner;
    if (wait == NULL && !is_now) {
        world_fail(
            world, "I8: %s granted to o%u, who does not wait for it", N(grant->name), grant->owner);
    }
    if (world->host.gate != ENGINE_GATE_OPEN && request != NULL) {
        bool is_transfer = request->kind == ENGINE_TRANSFER;
        if (!is_transfer) world_fail(world, "granted although the gate is shut");
    }
    if (world->oracle.has_delay[grant->name]) {
        world_fail(world, "%s granted during its lock-delay", N(grant->name));
    }
    if (wait != NULL) {
        wait->granted_count++;
        if (world->receivable_ns - wait->since_ns > wait->wait_ms * NS_PER_MS) {
            world_fail(world, "I8: o%u granted after its wait was over", grant->owner);
        }
        if (wait->ttl_ms != grant->ttl_ms) world_fail(world, "granted with another ttl");
        if (wait->mode != grant->mode) world_fail(world, "granted in another mode");
        world_probe(world, PROBE_GRANT_AFTER_WAIT);
    } else {
        if (request->ttl_ms != grant->ttl_ms || request->lock_delay_ms != grant->lock_delay_ms ||
            request->mode != grant->mode || request->slots != grant->slots ||
            record->meta.size != request->meta_size)
        {
            world_fail(world, "granted with other terms than asked for");
        }
        world_probe(world, PROBE_GRANT_AT_ONCE);
    }
}

/* I7: never before its ttl of time in which the host could receive. */
static void
check_expired(struct world *world, const struct engine_event *event, const struct grant *grant)
{
    int64_t age_ns = world->receivable_ns - grant->base_ns;
    if (event->kind != ENGINE_TIMER) world_fail(world, "expired outside of a timer");
    if (!grant->is_durable) world_fail(world, "I7: expired before its grant was durable");
    if (grant->ttl_ms == 0 || age_ns < grant->ttl_ms * NS_PER_MS) {
        world_fail(
            world,
            "I7: token %" PRIu64 " of %s expired after %" PRId64 " us, ttl %u ms",
            grant->token.value,
            N(grant->name),
            age_ns / 1000,
            grant->ttl_ms);
    }
    world_probe(world, PROBE_EXPIRED);
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        const struct request *request = &world->requests[index];
        if (request->state != REQUEST_SENT || !has_claim(request, grant, ENGINE_RENEW)) continue;
        if (request->arrive_ns <= world->now_ns) {
            world_fail(world, "I7: expired although its renewal had arrived");
        }
        world_probe(world, PROBE_EXPIRED_BESIDE_RENEWAL);
    }
}

/* Each change needs a cause: I6 for strangers, I7 for the clock, I8 for the queue. */
static void check_cause(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    const struct record *record,
    const struct grant *grant)
{
    bool is_caused = true;
    switch (record->kind) {
    case RECORD_GRANTED: check_granted(world, request, record, grant); break;
    case RECORD_RENEWED:
        is_caused = has_claim(request, grant, ENGINE_RENEW);
        world_probe(world, PROBE_RENEW_CHANGED_TTL);
        break;
    case RECORD_RELEASED:
        is_caused = has_claim(request, grant, ENGINE_RELEASE) ||
                    (has_claim(request, grant, ENGINE_TRANSFER) && record->reason.size > 0);
        if (record->reason.size > 0) world_probe(world, PROBE_TRANSFERRED);
        break;
    case RECORD_EXPIRED: check_expired(world, event, grant); break;
    case RECORD_BREAKING:
        is_caused = has_claim(request, grant, ENGINE_BREAK);
        world_probe(world, PROBE_BREAKING);
        break;
    case RECORD_BROKEN:
        is_caused = has_claim(request, grant, ENGINE_BREAK) ||
                    (event->kind == ENGINE_TIMER && grant->is_breaking &&
                     world->receivable_ns - grant->break_base_ns >= grant->grace_ms * NS_PER_MS);
        world_probe(
            world, event->kind == ENGINE_TIMER ? PROBE_BROKEN_BY_TIMER : PROBE_BROKEN_AT_ONCE);
        break;
    case RECORD_PROCLAIMED:
        is_caused = has_claim(request, grant, ENGINE_PROCLAIM);
        world_probe(world, PROBE_PROCLAIMED);
        break;
    case RECORD_AVAILABLE: {
        uint32_t name = world_name_number(world, record->name);
        is_caused = event->kind == ENGINE_TIMER &&
                    world->receivable_ns >= world->oracle.delay_until_ns[name];
        world_probe(world, PROBE_DELAY_ENDED);
        break;
    }
    }
    if (!is_caused) {
        world_fail(
            world,
            "I6: %s %.*s without a cause",
            record_kind_word(record->kind),
            (int)record->name.size,
            record->name.data);
    }
}

/* After a break the client cannot know: its belief is no mistake. */
static void force_beliefs(struct world *world, const struct grant *grant)
{
    for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
        struct belief *belief = &world->beliefs[index];
        bool is_it = belief->is_used && belief->name == grant->name &&
                     belief->token.value == grant->token.value;
        if (is_it) belief->is_forced = true;
    }
}

static void take_record(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    struct bytes *records)
{
    struct oracle *oracle = &world->oracle;
    struct bytes before = *records;
    struct record record;
    if (record_decode(records, &record) != TENURE_OK) world_fail(world, "a record does not decode");
    record.seq.value = oracle->last + 1;
    before.size -= records->size;
    if (before.size > RECORD_SIZE_MAX) world_fail(world, "I13: a record of %zu bytes", before.size);
    history_append(world, before);
    world_mix(world, rng_mix(record.kind) ^ record.token.value);
    if (world->options.out != NULL) {
        world_say(
            world,
            "    %" PRIu64 " %s %.*s %.*s token %" PRIu64 " slot %u",
            record.seq.value,
            record_kind_word(record.kind),
            (int)record.name.size,
            record.name.data,
            (int)record.owner.size,
            record.owner.data,
            record.token.value,
            record.slot);
    }
    if (record.kind == RECORD_AVAILABLE) check_cause(world, event, request, &record, NULL);
    struct grant *grant = apply(world, &record);
    if (grant == NULL) return;
    check_cause(world, event, request, &record, grant);
    if (record.kind == RECORD_BREAKING || record.kind == RECORD_BROKEN) force_beliefs(world, grant);
}

/* ------------------------------------------------------------------ replies */

static bool is_successor(const struct grant *later, const struct grant *ended)
{
    if (later->name != ended->name || later->seq.value <= ended->ended_seq.value) return false;
    if (later->mode == ENGINE_SHARED && ended->mode == ENGINE_SHARED) return false;
    return later->slot == ended->slot;
}

/* How the hold of this claim ended, from the records alone. */
static enum engine_end
expected_end(struct world *world, const struct claim *claim, struct token *out_successor)
{
    const struct oracle *oracle = &world->oracle;
    const struct grant *grant = oracle_grant_by_token(world, claim->name, claim->token);
    out_successor->value = 0;
    if (grant == NULL || grant->owner != claim->owner) return ENGINE_END_NONE;
    if (grant->ended_seq.value == 0) return ENGINE_END_NONE;
    if (grant->ended == RECORD_RELEASED) return ENGINE_END_RELEASED;
    if (grant->ended == RECORD_BROKEN) return ENGINE_END_BROKEN;
    for (uint32_t index = 0; index < oracle->grant_count; index++) {
        if (!is_successor(&oracle->grants[index], grant)) continue;
        *out_successor = oracle->grants[index].token;
        return ENGINE_END_EXPIRED_TAKEN;
    }
    return ENGINE_END_EXPIRED_UNCLAIMED;
}

static bool is_remembered(struct world *world, const struct claim *claim)
{
    const struct grant *grant = oracle_grant_by_token(world, claim->name, claim->token);
    return grant != NULL && grant->ended_seq.value >= engine_window_first(world->host.engine).value;
}

/* I11: the answer about an ended hold is the same however often it is asked for. */
static void check_end(
    struct world *world,
    const struct claim *claim,
    const struct engine_result *result,
    bool is_first)
{
    struct token successor;
    enum engine_end end = expected_end(world, claim, &successor);
    if (end != ENGINE_END_NONE && !is_remembered(world, claim) && result->end == ENGINE_END_NONE) {
        return; /* the window has forgotten */
    }
    if (result->end != end ||
        (end == ENGINE_END_EXPIRED_TAKEN && result->successor.value != successor.value))
    {
        world_fail(
            world,
            "I11: %s o%u token %" PRIu64 " ended as %s (%" PRIu64 "), told %s (%" PRIu64 ")",
            N(claim->name),
            claim->owner,
            claim->token.value,
            engine_end_word(end),
            successor.value,
            engine_end_word(result->end),
            result->successor.value);
    }
    if (is_first) return;
    if (end == ENGINE_END_RELEASED) world_probe(world, PROBE_REPEATED_RELEASE);
    if (end == ENGINE_END_EXPIRED_UNCLAIMED) world_probe(world, PROBE_RELEASE_EXPIRED);
    if (end == ENGINE_END_EXPIRED_TAKEN) world_probe(world, PROBE_RELEASE_TAKEN);
    if (end == ENGINE_END_BROKEN) world_probe(world, PROBE_RELEASE_BROKEN);
}

static void
check_renew(struct world *world, const struct request *request, const struct engine_reply *reply)
{
    if (reply->err == TENURE_NO_MEMORY) return;
    if (reply->result_count != request->claim_count)
        world_fail(world, "renew: results are missing");
    for (uint32_t index = 0; index < request->claim_count; index++) {
        const struct claim *claim = &request->claims[index];
        const struct engine_result *result = &reply->results[index];
        struct grant *grant = oracle_grant(world, claim->name, claim->owner);
        bool is_current = grant != NULL && grant->token.value == claim->token.value;
        if (is_current != (result->err == TENURE_OK)) {
            world_fail(
                world,
                "I6: renewal of %s o%u token %" PRIu64 ": %s",
                N(claim->name),
                claim->owner,
                claim->token.value,
                tenure_err_name(result->err));
        }
        uint64_t terms_seq = is_current ? grant->terms_seq.value : 0;
        if (terms_seq > reply->seq.value && terms_seq > world->host.durable.value) {
            world_fail(world, "I10: a renewal tells of a ttl that a crash can take back");
        }
        if (is_current) {
            world_probe(world, PROBE_RENEWED);
            grant->base_ns = world->receivable_ns;
        } else if (result->err == TENURE_LOST) {
            world_probe(world, PROBE_RENEW_LOST);
            check_end(world, claim, result, false);
        } else {
            world_probe(world, PROBE_STALE_REFUSED);
        }
    }
}

static void check_acquired(
    struct world *world, uint32_t owner, uint32_t name_count, const struct engine_reply *reply)
{
    if (reply->result_count != name_count) world_fail(world, "I15: granted in part");
    for (uint32_t index = 0; index < reply->result_count; index++) {
        const struct engine_result *result = &reply->results[index];
        uint32_t name = world_name_number(world, result->name);
        const struct grant *grant = oracle_grant(world, name, owner);
        bool is_true = grant != NULL && grant->token.value == result->hold.token.value &&
                       grant->slot == result->hold.slot && grant->mode == result->hold.mode &&
                       grant->ttl_ms == result->hold.ttl_ms;
        if (!is_true)
            world_fail(world, "I5: o%u is told of a grant of %s that is not", owner, N(name));
        bool is_too_long = grant->ttl_ms > 0 && result->hold.remaining_ms > grant->ttl_ms;
        if (is_too_long) world_fail(world, "more left than the ttl");
    }
    if (name_count > 1) world_probe(world, PROBE_GRANT_MANY_NAMES);
}

/* S44: an answer may not show what a crash could take back: `name_last` was the last record about
 * each name before this step. */
static void
check_dependence(struct world *world, const uint64_t *name_last, const struct engine_reply *reply)
{
    bool is_about_state = reply->err == TENURE_OK || reply->err == TENURE_HELD ||
                          reply->err == TENURE_TIMEOUT || reply->err == TENURE_STALE_TOKEN ||
                          reply->err == TENURE_NOT_OWNER || reply->err == TENURE_LOST ||
                          reply->err == TENURE_LIMIT_MISMATCH || reply->err == TENURE_DEADLOCK;
    if (getenv("SIM_LAX") && (reply->err == TENURE_LIMIT_MISMATCH || reply->err == TENURE_DEADLOCK))
        return;
    if (!is_about_state || reply->kind == ENGINE_RENEW) return;
    for (uint32_t index = 0; index < reply->result_count; index++) {
        struct bytes name = reply->results[index].name;
        if (name.size == 0) continue;
        uint32_t number = world_name_number(world, name);
        uint64_t last = name_last[number];
        struct token token = reply->results[index].hold.token;
        const struct grant *grant = oracle_grant_by_token(world, number, token);
        if (grant != NULL && grant->seq.value > last) last = grant->seq.value;
        if (grant != NULL && grant->ended_seq.value > last) last = grant->ended_seq.value;
        if (last <= reply->seq.value || last <= world->host.durable.value) continue;
        world_fail(
            world,
            "I10: an answer (%s, %s) about %.*s depends on record %" PRIu64 ", it says %" PRIu64,
            tenure_err_name(reply->err),
            reply->detail == NULL ? "" : reply->detail,
            (int)name.size,
            name.data,
            last,
            reply->seq.value);
    }
}

static void count_refusal(struct world *world, enum tenure_err err)
{
    static const struct {
        enum tenure_err err;
        enum probe probe;
    } table[] = {
        { TENURE_HELD, PROBE_HELD },
        { TENURE_TIMEOUT, PROBE_TIMEOUT },
        { TENURE_CANCELED, PROBE_CANCELED },
        { TENURE_LIMIT_MISMATCH, PROBE_LIMIT_MISMATCH },
        { TENURE_DEADLOCK, PROBE_DEADLOCK },
        { TENURE_TOO_MANY, PROBE_TOO_MANY },
        { TENURE_NO_MEMORY, PROBE_NO_MEMORY },
        { TENURE_INVALID, PROBE_INVALID },
        { TENURE_NO_SPACE, PROBE_GATE_NO_SPACE },
        { TENURE_DRAINING, PROBE_GATE_DRAINING },
        { TENURE_STALE_TOKEN, PROBE_STALE_REFUSED },
        { TENURE_NOT_OWNER, PROBE_STALE_REFUSED },
    };
    for (size_t index = 0; index < sizeof table / sizeof table[0]; index++) {
        if (table[index].err == err) world_probe(world, table[index].probe);
    }
}

/* A reply to somebody who waited. */
static void check_wait_reply(struct world *world, const struct engine_reply *reply)
{
    struct oracle *oracle = &world->oracle;
    for (uint32_t index = 0; index < oracle->wait_count; index++) {
        struct wait *wait = &oracle->waits[index];
        if (wait->connection != reply->client || wait->tag != reply->tag) continue;
        int64_t waited_ns = world->receivable_ns - wait->since_ns;
        if (reply->err == TENURE_TIMEOUT && waited_ns < wait->wait_ms * NS_PER_MS) {
            world_fail(world, "o%u timed out too early", wait->owner);
        }
        if (reply->err == TENURE_OK) {
            if (wait->granted_count != wait->name_count) world_fail(world, "I15: granted in part");
            check_acquired(world, wait->owner, wait->name_count, reply);
            if (wait->name_count > 1) world_probe(world, PROBE_GRANT_MANY_AFTER_WAIT);
        }
        wait_remove(world, reply->client, reply->tag);
        return;
    }
    world_fail(world, "I11: an answer to nobody (tag %" PRIu64 ")", reply->tag);
}

struct before {
    bool has_grant; /* acquire of one name: the owner has it already */
    struct token token;
    enum engine_mode mode;
    uint32_t slots;
    bool is_current; /* release: the claim is the current hold */
};

static struct before look_before(struct world *world, const struct request *request)
{
    struct before before = { 0 };
    if (request == NULL) return before;
    if (request->kind == ENGINE_ACQUIRE && request->name_count == 1) {
        const struct grant *grant = oracle_grant(world, request->names[0], request->owner);
        before.has_grant = grant != NULL;
        if (grant != NULL) {
            before.token = grant->token;
            before.mode = grant->mode;
            before.slots = grant->slots;
        }
    }
    if (request->kind == ENGINE_RELEASE) {
        const struct claim *claim = &request->claims[0];
        const struct grant *grant = oracle_grant(world, claim->name, claim->owner);
        before.is_current = grant != NULL && grant->token.value == claim->token.value;
    }
    return before;
}

static void check_own_reply(
    struct world *world,
    const struct request *request,
    const struct engine_reply *reply,
    const struct before *before)
{
    const struct engine_result *result = reply->result_count > 0 ? &reply->results[0] : NULL;
    if (request->kind == ENGINE_ACQUIRE && reply->err == TENURE_OK) {
        check_acquired(world, request->owner, request->name_count, reply);
        if (result->hold.mode != request->mode || result->hold.slots != request->slots) {
            world_fail(world, "I15: granted something else than was asked for");
        }
        if (before->has_grant) {
            if (!result->is_repeat || result->hold.token.value != before->token.value) {
                world_fail(world, "I11: the same request got another grant");
            }
            world_probe(world, PROBE_REPEATED_ACQUIRE);
        }
    }
    bool is_same = before->has_grant && before->mode == request->mode &&
                   before->slots == request->slots && reply->err != TENURE_OK &&
                   reply->err != TENURE_NO_MEMORY && reply->err != TENURE_INVALID;
    if (request->kind == ENGINE_ACQUIRE && is_same) {
        world_fail(world, "I11: the same request is refused: %s", tenure_err_name(reply->err));
    }
    if (request->kind == ENGINE_RELEASE && reply->err == TENURE_OK) {
        check_end(world, &request->claims[0], result, before->is_current);
        if (before->is_current && result->end != ENGINE_END_RELEASED) {
            world_fail(world, "the holder could not release");
        }
    }
    if (request->kind == ENGINE_RELEASE && before->is_current && reply->err != TENURE_OK &&
        reply->err != TENURE_NO_MEMORY)
    {
        world_fail(world, "the holder could not release: %s", tenure_err_name(reply->err));
    }
    if (request->kind == ENGINE_RENEW) check_renew(world, request, reply);
}

static void mark_answered(struct world *world, const struct engine_update *update)
{
    struct oracle *oracle = &world->oracle;
    for (uint32_t index = 0; index < oracle->wait_count; index++) {
        struct wait *wait = &oracle->waits[index];
        for (uint32_t at = 0; at < update->reply_count && !wait->is_answered; at++) {
            const struct engine_reply *reply = &update->replies[at];
            wait->is_answered = reply->client == wait->connection && reply->tag == wait->tag;
        }
    }
}

/* Everybody who waits is answered, or gone, or there; in the order of the queue. */
static void check_waits(struct world *world, const struct request *request)
{
    struct oracle *oracle = &world->oracle;
    bool is_transfer = request != NULL && request->kind == ENGINE_TRANSFER;
    for (uint32_t index = 0; index < oracle->wait_count; index++) {
        const struct wait *wait = &oracle->waits[index];
        if (wait->granted_count == 0) continue;
        if (wait->granted_count != wait->name_count) world_fail(world, "I15: granted in part");
        if (!is_transfer) check_order(world, wait);
    }
}

void oracle_update(
    struct world *world,
    const struct engine_event *event,
    struct request *request,
    const struct engine_update *update,
    uint64_t hash_before)
{
    struct oracle *oracle = &world->oracle;
    struct before before = look_before(world, request);
    struct bytes records = update->records;
    if (update->record_count > 0 && update->first.value != oracle->last + 1) {
        world_fail(
            world, "I10: record %" PRIu64 " follows %" PRIu64, update->first.value, oracle->last);
    }
    uint32_t grants_before = oracle->grant_count;
    uint64_t name_last[WORLD_NAME_COUNT_MAX];
    memcpy(name_last, oracle->name_last, sizeof name_last);
    for (uint32_t index = 0; index < update->record_count; index++)
        take_record(world, event, request, &records);
    if (records.size != 0 || engine_seq(world->host.engine).value != oracle->last) {
        world_fail(world, "I10: the count of records is wrong");
    }
    if (update->record_count == 0 && hash_before != 0 && host_hash(world) != hash_before) {
        world_fail(world, "I6: the state changed without a record");
    }
    if (event->kind == ENGINE_CLIENT_GONE) wait_remove(world, event->client, 0);
    mark_answered(world, update);
    check_waits(world, request);
    bool is_granted_now = false;
    for (uint32_t index = grants_before; index < oracle->grant_count && request != NULL; index++)
        is_granted_now = is_granted_now || oracle->grants[index].owner == request->owner;
    if (is_granted_now && request->kind == ENGINE_ACQUIRE &&
        wait_by_owner(world, request->owner, request->names[0]) == NULL)
    {
        struct wait now = wait_from(world, request);
        check_order(world, &now);
    }
    for (uint32_t index = 0; index < update->reply_count; index++) {
        const struct engine_reply *reply = &update->replies[index];
        if (reply->kind == ENGINE_CANCEL) continue;
        bool is_own =
            request != NULL && reply->tag == request->tag && reply->client == request->connection;
        world_mix(world, reply->tag ^ (uint64_t)reply->err << 32);
        count_refusal(world, reply->err);
        if (reply->seq.value > oracle->last) world_fail(world, "I10: an answer from the future");
        check_dependence(world, name_last, reply);
        if (is_own) {
            check_own_reply(world, request, reply, &before);
        } else if (!(update->is_waiting && reply->err == TENURE_CANCELED)) {
            check_wait_reply(world, reply);
        }
    }
    if (update->is_waiting) wait_add(world, request);
}

/* ------------------------------------------------------- time and durability */

void oracle_after_timers(struct world *world)
{
    const struct oracle *oracle = &world->oracle;
    for (uint32_t index = oracle->live_from; index < oracle->grant_count; index++) {
        const struct grant *grant = &oracle->grants[index];
        if (grant->ended_seq.value != 0 || !grant->is_durable) continue;
        bool is_due =
            grant->ttl_ms > 0 && world->receivable_ns - grant->base_ns >= grant->ttl_ms * NS_PER_MS;
        bool is_break_due = grant->is_breaking && world->receivable_ns - grant->break_base_ns >=
                                                      grant->grace_ms * NS_PER_MS;
        if (!is_due && !is_break_due) continue;
        world_fail(
            world,
            "I7: token %" PRIu64 " of %s should have ended",
            grant->token.value,
            N(grant->name));
    }
    for (uint32_t index = 0; index < oracle->wait_count; index++) {
        const struct wait *wait = &oracle->waits[index];
        if (world->receivable_ns - wait->since_ns < wait->wait_ms * NS_PER_MS) continue;
        world_fail(world, "I9: o%u should have timed out", wait->owner);
    }
    for (uint32_t name = 0; name < WORLD_NAME_COUNT_MAX; name++) {
        if (!oracle->has_delay[name] || world->receivable_ns < oracle->delay_until_ns[name])
            continue;
        world_fail(world, "I9: the lock-delay of %s should have ended", N(name));
    }
}

void oracle_cut(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    oracle->cuts = grow(oracle->cuts, oracle->cut_count, &oracle->cut_capacity, sizeof(struct cut));
    oracle->cuts[oracle->cut_count++] = (struct cut){
        .last = engine_seq(world->host.engine),
        .hash = host_hash(world),
    };
}

void oracle_durable(struct world *world, struct seq durable)
{
    struct oracle *oracle = &world->oracle;
    oracle->durable = durable;
    for (uint32_t index = oracle->live_from; index < oracle->grant_count; index++) {
        struct grant *grant = &oracle->grants[index];
        if (grant->is_durable || grant->seq.value > durable.value) continue;
        grant->is_durable = true;
        grant->base_ns = world->receivable_ns;
    }
}

void oracle_released(struct world *world, struct seq seq)
{
    struct oracle *oracle = &world->oracle;
    if (seq.value > oracle->acked.value) oracle->acked = seq;
}

/* ----------------------------------------------------------------- recovery */

void oracle_crashed(struct world *world)
{
    world->oracle.wait_count = 0;
}

enum tenure_err oracle_batch(struct world *world, struct seq first, struct bytes records)
{
    const struct oracle *oracle = &world->oracle;
    bool is_known = first.value >= 1 && first.value <= oracle->last;
    size_t from = is_known ? offset_of(oracle, first.value) : 0;
    if (!is_known || records.size > oracle->history.size - from ||
        memcmp(oracle->history.data + from, records.data, records.size) != 0)
    {
        world_fail(
            world,
            "I5: recovery hands over records at %" PRIu64 " that were never written",
            first.value);
    }
    return TENURE_OK;
}

/* What clients have given up stays given up, whatever the crash made of it. */
static void keep_given_up(struct world *world, const struct grant *before, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        if (!before[index].is_given_up) continue;
        struct grant *grant = oracle_grant_by_token(world, before[index].name, before[index].token);
        if (grant != NULL && grant->owner == before[index].owner) grant->is_given_up = true;
    }
}

/* Forget what did not survive. */
static void truncate_history(struct world *world, uint64_t last)
{
    struct oracle *oracle = &world->oracle;
    struct grant *before = oracle->grants;
    uint32_t before_count = oracle->grant_count;
    oracle->grants = NULL;
    oracle->grant_capacity = 0;
    oracle->history.size = offset_of(oracle, last + 1);
    oracle->last = last;
    oracle->grant_count = 0;
    oracle->live_from = 0;
    oracle->token_high.value = 0;
    memset(oracle->has_delay, 0, sizeof oracle->has_delay);
    memset(oracle->name_last, 0, sizeof oracle->name_last);
    struct bytes rest = buffer_bytes(&oracle->history);
    for (uint64_t seq = 1; seq <= last; seq++) {
        struct record record;
        if (record_decode(&rest, &record) != TENURE_OK) world_fail(world, "history is broken");
        record.seq.value = seq;
        (void)apply(world, &record);
    }
    /* Every restored hold gets its full ttl from now, every lock-delay and grace its length. */
    for (uint32_t index = 0; index < oracle->grant_count; index++) {
        struct grant *grant = &oracle->grants[index];
        grant->is_durable = true;
        grant->base_ns = world->receivable_ns;
        grant->break_base_ns = world->receivable_ns;
        if (grant->ended_seq.value == 0) world_probe(world, PROBE_HOLD_SURVIVED);
    }
    keep_given_up(world, before, before_count);
    free(before);
    while (oracle->cut_count > 0 && oracle->cuts[oracle->cut_count - 1].last.value > last)
        oracle->cut_count--;
}

/* Damage to the last batch, without a mark behind it, looks like a torn one.  Nothing else does. */
static bool is_loss_excused(const struct world *world, uint64_t seq)
{
    const struct oracle *oracle = &world->oracle;
    if (world->media_faults == 0 || world->host.report.torn_bytes == 0) return false;
    if (oracle->is_marked) return false;
    uint64_t last_but_one = 0;
    for (uint32_t index = 0; index < oracle->cut_count; index++) {
        uint64_t last = oracle->cuts[index].last.value;
        if (last < oracle->durable.value) last_but_one = last;
    }
    return seq >= last_but_one;
}

void oracle_recovered(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    const struct journal_report *report = &world->host.report;
    uint64_t seq = report->seq.value;
    if (engine_seq(world->host.engine).value != seq)
        world_fail(world, "I12: the engine is elsewhere");
    if (report->torn_bytes > 0) world_probe(world, PROBE_TORN_TAIL);
    if (report->is_snapshot_skipped) {
        if (world->media_faults == 0 && !world->swarm.has_io_errors) {
            world_fail(world, "I12: a snapshot is damaged without a cause: %s", report->text);
        }
        world_probe(world, PROBE_SNAPSHOT_SKIPPED);
    }
    if (report->segment_count > 1) world_probe(world, PROBE_SEGMENT_SWITCH);
    if (seq > oracle->submitted.value) world_fail(world, "I5: what was never written is there");
    if (seq < oracle->acked.value) {
        if (!is_loss_excused(world, seq)) {
            world_fail(
                world,
                "I5: %" PRIu64 " was acknowledged, only %" PRIu64 " survived",
                oracle->acked.value,
                seq);
        }
        world_probe(world, PROBE_DAMAGE_LOST_BATCH);
        oracle->acked.value = seq;
    } else if (world->media_faults > 0) {
        world_probe(world, PROBE_DAMAGE_SURVIVED);
    }
    if (seq > oracle->acked.value) world_probe(world, PROBE_UNACKED_KEPT);
    if (seq < oracle->last) world_probe(world, PROBE_UNACKED_LOST);
    truncate_history(world, seq);
    oracle->submitted.value = seq;
    oracle->durable.value = seq;
    oracle->is_marked = true; /* recovery closes what it found */
    if (oracle->cut_count == 0) {
        if (seq != 0) world_fail(world, "I5: a part of a batch survived");
        oracle_cut(world);
    }
    const struct cut *cut = &oracle->cuts[oracle->cut_count - 1];
    if (cut->last.value != seq) world_fail(world, "I5: a part of a batch survived");
    if (cut->hash != host_hash(world)) {
        world_fail(world, "I12: the recovered state differs from the live one at %" PRIu64, seq);
    }
    engine_check(world->host.engine);
    oracle_check_replay(world);
    oracle_check_window(world);
}

/* I12: the journal from its first record leads to the same state. */
void oracle_check_replay(struct world *world)
{
    const struct oracle *oracle = &world->oracle;
    if (oracle->last > UINT32_MAX) return;
    struct engine_options options = {
        .memory = &memory_heap,
        .hash_key = { { 1, 2 } },
        .hold_count_max = 100000,
        .waiter_count_max = 10,
        .window_size = ENGINE_WINDOW_SIZE_MIN,
        .ageing_ms = WORLD_AGEING_MS,
    };
    struct engine *engine = engine_create(&options);
    if (engine == NULL) abort();
    enum tenure_err err = TENURE_OK;
    if (oracle->last > 0) {
        err = engine_restore_batch(
            engine, (struct seq){ 1 }, (uint32_t)oracle->last, buffer_bytes(&oracle->history));
    }
    if (err != TENURE_OK) world_fail(world, "I12: replay: %s", tenure_err_name(err));
    uint64_t hash = engine_hash(engine);
    engine_destroy(&engine);
    if (hash != host_hash(world)) world_fail(world, "I12: replay leads elsewhere");
}

/* I10: the window of events is dense and tells what the records told. */
void oracle_check_window(struct world *world)
{
    const struct oracle *oracle = &world->oracle;
    const struct engine *engine = world->host.engine;
    uint64_t first = engine_window_first(engine).value;
    uint64_t last = engine_window_last(engine).value;
    if (first > last) return;
    if (last != oracle->last || first == 0) world_fail(world, "I10: the window ends elsewhere");
    if (first > 1) world_probe(world, PROBE_WINDOW_WRAPPED);
    struct buffer encoded;
    buffer_init(&encoded, &memory_heap);
    bool is_good = true;
    for (uint64_t seq = first; seq <= last && is_good; seq++) {
        struct record record;
        buffer_reset(&encoded);
        is_good = engine_window_read(engine, (struct seq){ seq }, &record);
        if (!is_good) break;
        record_encode(&encoded, &record);
        is_good = bytes_equal(buffer_bytes(&encoded), history_record(oracle, seq)) &&
                  record.seq.value == seq;
    }
    buffer_deinit(&encoded);
    if (!is_good) world_fail(world, "I10: an event of the window is not what happened");
}

void oracle_init(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    if (oracle->history.memory == NULL) buffer_init(&oracle->history, &memory_heap);
    buffer_reset(&oracle->history);
    oracle->last = 0;
    oracle->cut_count = 0;
    oracle->grant_count = 0;
    oracle->live_from = 0;
    oracle->wait_count = 0;
    oracle->token_high.value = 0;
    oracle->acked.value = 0;
    oracle->durable.value = 0;
    oracle->is_marked = false;
    oracle->submitted.value = 0;
    memset(oracle->has_delay, 0, sizeof oracle->has_delay);
    memset(oracle->delay_until_ns, 0, sizeof oracle->delay_until_ns);
    memset(oracle->name_last, 0, sizeof oracle->name_last);
}

void oracle_deinit(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    buffer_deinit(&oracle->history);
    free(oracle->offsets);
    free(oracle->cuts);
    free(oracle->grants);
    memset(oracle, 0, sizeof *oracle);
}
