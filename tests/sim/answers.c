#include <inttypes.h>

#include "sim/oracle_parts.h"

#define N(name) (world_name(name).data)

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
        /* Who is served at the end of this very step came after the answer. */
        if (oracle->grants[index].seq.value > oracle->last_before) continue;
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

/* I11: the answer about an ended hold is the same however often it is asked
 * for. */
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
    if (reply->result_count != request->claim_count) {
        world_fail(world, "renew: results are missing");
    }
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
        if (!is_true) {
            world_fail(world, "I5: o%u is told of a grant of %s that is not", owner, N(name));
        }
        bool is_too_long = grant->ttl_ms > 0 && result->hold.remaining_ms > grant->ttl_ms;
        if (is_too_long) world_fail(world, "more left than the ttl");
    }
    if (name_count > 1) world_probe(world, PROBE_GRANT_MANY_NAMES);
}

/* S44: an answer may not show what a crash could take back: `name_last` was the
 * last record about each name before this step. */
void answers_check_dependence(
    struct world *world, const uint64_t *name_last, const struct engine_reply *reply)
{
    bool is_about_state = reply->err == TENURE_OK || reply->err == TENURE_HELD ||
                          reply->err == TENURE_TIMEOUT || reply->err == TENURE_STALE_TOKEN ||
                          reply->err == TENURE_NOT_OWNER || reply->err == TENURE_LOST ||
                          reply->err == TENURE_LIMIT_MISMATCH || reply->err == TENURE_DEADLOCK;
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

void answers_count(struct world *world, enum tenure_err err)
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
void answers_check_wait(struct world *world, const struct engine_reply *reply)
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
        oracle_wait_remove(world, reply->client, reply->tag);
        return;
    }
    world_fail(world, "I11: an answer to nobody (tag %" PRIu64 ")", reply->tag);
}

struct before answers_look_before(struct world *world, const struct request *request)
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

void answers_check_own(
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
