#include <inttypes.h>

#include "sim/oracle_parts.h"

#define N(name) (world_name(name).data)

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

void oracle_wait_remove(struct world *world, uint64_t connection, uint64_t tag)
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
        /* It takes the place of the old request, not its time, and not its ttl. */
        wait.number = old->number;
        wait.order_ns = old->order_ns;
        wait.arrived_ns = old->arrived_ns;
        wait.priority = old->priority;
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

/* ------------------------------------------------- may this record be there?
 */

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
        /* The request of this very step may have taken the place of the one that waited. */
        bool is_as_asked_now = is_now && request->ttl_ms == grant->ttl_ms;
        if (wait->ttl_ms != grant->ttl_ms && !is_as_asked_now) {
            world_fail(world, "granted with another ttl");
        }
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

/* Each change needs a cause: I6 for strangers, I7 for the clock, I8 for the
 * queue. */
static void check_cause(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    const struct record *record,
    const struct grant *grant)
{
    bool is_caused = true;
    switch ((unsigned)record->kind) {
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
    default: is_caused = false; break; /* those of queues are judged by job_oracle.c */
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
    if (before.size > RECORD_SIZE_MAX + record.body.size) {
        world_fail(world, "I13: a record of %zu bytes", before.size);
    }
    ledger_append(world, before);
    world_mix(world, rng_mix(record.kind) ^ record.token.value);
    if (world->options.out != NULL) {
        world_say(
            world,
            "    %" PRIu64 " %s %.*s%.*s %.*s %.*s token %" PRIu64 " slot %u",
            record.seq.value,
            record_kind_word(record.kind),
            (int)record.id.size,
            record.id.data,
            (int)record.group.size,
            record.group.data,
            (int)record.name.size,
            record.name.data,
            (int)record.owner.size,
            record.owner.data,
            record.token.value,
            record.slot);
    }
    if (RECORD_KIND_IS_WORK(record.kind)) {
        job_record(world, event, request, &record);
        return;
    }
    if (RECORD_KIND_IS_KEY(record.kind)) {
        state_record(world, event, &record);
        return;
    }
    if (record.kind == RECORD_AVAILABLE) check_cause(world, event, request, &record, NULL);
    struct grant *grant = ledger_apply(world, &record);
    if (grant == NULL) return;
    check_cause(world, event, request, &record, grant);
    if (record.kind == RECORD_BREAKING || record.kind == RECORD_BROKEN) force_beliefs(world, grant);
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

/* Everybody who waits is answered, or gone, or there; in the order of the
 * queue. */
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

static void check_replies(
    struct world *world,
    const struct request *request,
    const struct engine_update *update,
    const uint64_t *name_last,
    const struct before *before,
    const struct job_before *job_before)
{
    for (uint32_t index = 0; index < update->reply_count; index++) {
        const struct engine_reply *reply = &update->replies[index];
        if (reply->kind == ENGINE_CANCEL) continue;
        bool is_own =
            request != NULL && reply->tag == request->tag && reply->client == request->connection;
        world_mix(world, reply->tag ^ (uint64_t)reply->err << 32);
        answers_count(world, reply->err);
        if (reply->seq.value > world->oracle.last) {
            world_fail(world, "I10: an answer from the future");
        }
        if (ENGINE_COMMAND_IS_WORK(reply->kind)) {
            if (is_own) job_check_own(world, request, reply, job_before);
            if (!is_own) job_check_wait(world, reply);
            continue;
        }
        if (ENGINE_COMMAND_IS_STATE(reply->kind)) {
            if (is_own) state_check_own(world, request, reply);
            if (!is_own) state_check_wait(world, reply);
            continue;
        }
        answers_check_dependence(world, name_last, reply);
        if (is_own) {
            answers_check_own(world, request, reply, before);
        } else if (!(update->is_waiting && reply->err == TENURE_CANCELED)) {
            answers_check_wait(world, reply);
        }
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
    struct before before = answers_look_before(world, request);
    struct job_before job_before = job_look_before(world, request);
    state_begin_step(world, request, job_before.is_held);
    if (event->kind == ENGINE_TIMER && !world->swarm.has_memory_faults) job_pass(world);
    struct bytes records = update->records;
    if (update->record_count > 0 && update->first.value != oracle->last + 1) {
        world_fail(
            world, "I10: record %" PRIu64 " follows %" PRIu64, update->first.value, oracle->last);
    }
    oracle->last_before = oracle->last;
    uint32_t grants_before = oracle->grant_count;
    uint64_t name_last[WORLD_NAME_COUNT_MAX];
    memcpy(name_last, oracle->name_last, sizeof name_last);
    for (uint32_t index = 0; index < update->record_count; index++) {
        take_record(world, event, request, &records);
    }
    if (records.size != 0 || engine_seq(world->host.engine).value != oracle->last) {
        world_fail(world, "I10: the count of records is wrong");
    }
    if (update->record_count == 0 && hash_before != 0 && host_hash(world) != hash_before) {
        world_fail(world, "I6: the state changed without a record");
    }
    if (event->kind == ENGINE_CLIENT_GONE) oracle_wait_remove(world, event->client, 0);
    if (event->kind == ENGINE_CLIENT_GONE) job_gone(world, event->client);
    if (event->kind == ENGINE_CLIENT_GONE) state_wait_remove(world, event->client, 0);
    mark_answered(world, update);
    job_mark_answered(world, update);
    state_mark_answered(world, update);
    check_waits(world, request);
    bool is_granted_now = false;
    for (uint32_t index = grants_before; index < oracle->grant_count && request != NULL; index++) {
        is_granted_now = is_granted_now || oracle->grants[index].owner == request->owner;
    }
    if (is_granted_now && request->kind == ENGINE_ACQUIRE &&
        wait_by_owner(world, request->owner, request->names[0]) == NULL)
    {
        struct wait now = wait_from(world, request);
        check_order(world, &now);
    }
    check_replies(world, request, update, name_last, &before, &job_before);
    bool is_work = request != NULL && ENGINE_COMMAND_IS_WORK(request->kind);
    if (update->is_waiting && is_work) job_wait_add(world, request);
    bool is_state = request != NULL && ENGINE_COMMAND_IS_STATE(request->kind);
    if (update->is_waiting && is_state) state_wait_add(world, request);
    if (update->is_waiting && !is_work && !is_state) wait_add(world, request);
    state_end_step(world, update);
    job_check_idle(world);
}

/* ------------------------------------------------------- time and durability
 */

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
        if (!oracle->has_delay[name] || world->receivable_ns < oracle->delay_until_ns[name]) {
            continue;
        }
        world_fail(world, "I9: the lock-delay of %s should have ended", N(name));
    }
}
