#include <stdlib.h>

#include "sim/state_parts.h"

/* In the order of their bytes.  The first is also a lock. */
struct bytes state_name(uint32_t name)
{
    static const char *const names[STATE_NAME_COUNT] = { "a", "conf/x", "conf/y", "score" };
    return bytes_from_text(names[name]);
}

struct bytes state_member(uint32_t member)
{
    static const char *const members[STATE_MEMBER_COUNT] = { "ann", "bob", "b", "\xc3\xa4" };
    return bytes_from_text(members[member]);
}

uint32_t state_name_number(struct world *world, struct bytes name)
{
    for (uint32_t number = 0; number < STATE_NAME_COUNT; number++) {
        if (bytes_equal(name, state_name(number))) return number;
    }
    world_fail(world, "a register that nobody named: '%.*s'", (int)name.size, name.data);
}

uint32_t state_member_number(struct world *world, struct bytes member)
{
    for (uint32_t number = 0; number < STATE_MEMBER_COUNT; number++) {
        if (bytes_equal(member, state_member(number))) return number;
    }
    world_fail(world, "a member that nobody named: '%.*s'", (int)member.size, member.data);
}

struct bytes state_value_bytes(struct state_value value)
{
    static const char *const texts[STATE_LETTER_COUNT] = { "", "x", "17", "-3", "0", "value" };
    static char fill[STATE_LETTER_COUNT][STATE_FILL_SIZE_MAX];
    if (value.fill_size == 0) return bytes_from_text(texts[value.letter]);
    memset(fill[value.letter], 'a' + (int)value.letter, value.fill_size);
    return (struct bytes){ fill[value.letter], value.fill_size };
}

/* -------------------------------------------------------------------- drawing */

static struct state_value draw_value(struct world *world)
{
    struct rng *rng = &world->rng;
    struct state_value value = { .letter = rng_below(rng, STATE_LETTER_COUNT) };
    bool is_big = world->swarm.has_big_values && rng_percent(rng, 85);
    if (is_big) value.fill_size = 1 + rng_below(rng, STATE_FILL_SIZE_MAX);
    return value;
}

/* A hold of this client, as it believes or did once; now and then one that never was.  False:
 * there is none. */
static bool draw_guard(struct world *world, uint32_t client, struct state_guard *out_guard)
{
    struct rng *rng = &world->rng;
    struct claim claim;
    bool is_its = client_some_claim(world, client, rng_percent(rng, 75), &claim);
    if (!is_its) {
        *out_guard = (struct state_guard){ rng_below(rng, world->swarm.name_count),
                                           { 1 + rng_below(rng, 1000) } };
        return rng_percent(rng, 10);
    }
    if (rng_percent(rng, 5)) claim.token.value++;
    if (rng_percent(rng, 5)) claim.token.value--;
    if (rng_percent(rng, 3)) claim.name = rng_below(rng, world->swarm.name_count);
    *out_guard = (struct state_guard){ claim.name, claim.token };
    return true;
}

static enum engine_operation_kind draw_kind(struct rng *rng)
{
    static const enum engine_operation_kind kinds[] = {
        OPERATION_SET,         OPERATION_SET,       OPERATION_SET,
        OPERATION_SET,         OPERATION_REMOVE,    OPERATION_REMOVE,
        OPERATION_INCREMENT,   OPERATION_INCREMENT, OPERATION_APPEND,
        OPERATION_APPEND,      OPERATION_GET,       OPERATION_RANK_GET,
        OPERATION_RANK_ADD,    OPERATION_RANK_ADD,  OPERATION_RANK_ADD,
        OPERATION_RANK_REMOVE, OPERATION_RANK_TRIM, OPERATION_RANK_INCREMENT,
    };
    return kinds[rng_below(rng, sizeof kinds / sizeof *kinds)];
}

static struct state_operation draw_operation(struct world *world, uint32_t client)
{
    static const unsigned whens[] = { 0, 0, 0, 1, 2, 4, 8, 6, 10 };
    struct rng *rng = &world->rng;
    struct state_operation operation = {
        .kind = draw_kind(rng),
        .name = rng_below(rng, STATE_NAME_COUNT),
        .member = rng_below(rng, STATE_MEMBER_COUNT),
        .value = draw_value(world),
        .by = (int64_t)rng_below(rng, 9) - 4,
        .score = (double)rng_below(rng, 4) - 1,
        .first = (int64_t)rng_below(rng, 5) - 2,
        .last = (int64_t)rng_below(rng, 5) - 2,
    };
    bool is_rank = operation.kind >= OPERATION_RANK_GET;
    /* One name changes all the time, and pushes the past of the others out of the window. */
    bool is_busy = world->swarm.has_big_values && !is_rank && rng_percent(rng, 70);
    if (is_busy) {
        operation.name = 1;
        operation.kind = OPERATION_SET;
        operation.value.fill_size = STATE_FILL_SIZE_MAX;
    }
    if (is_rank && rng_percent(rng, 60)) operation.name = STATE_NAME_COUNT - 1;
    if (is_rank) operation.when = whens[rng_below(rng, 9)];
    if (!is_rank || operation.kind == OPERATION_RANK_TRIM) operation.member = 0;
    if (operation.kind == OPERATION_APPEND) operation.value.fill_size %= 100;
    bool has_terms = operation.kind == OPERATION_SET || operation.kind == OPERATION_APPEND ||
                     operation.kind == OPERATION_INCREMENT;
    if (!has_terms) return operation;
    if (rng_percent(rng, 30)) {
        operation.ttl_ms = (uint32_t)rng_scale(rng, LIMIT_TTL_MS_MIN, 6000);
    }
    operation.is_bound = rng_percent(rng, 35) && draw_guard(world, client, &operation.bond);
    bool is_bare = operation.ttl_ms == 0 && !operation.is_bound;
    operation.is_keeping = operation.kind == OPERATION_SET && is_bare && rng_percent(rng, 30);
    return operation;
}

static uint64_t draw_version(struct world *world, uint32_t name)
{
    const struct state_key *key = &world->states.keys[name];
    uint32_t dice = rng_below(&world->rng, 100);
    if (dice < 60) return key->version;
    if (dice < 75) return key->changed_seq;
    if (dice < 85) return key->version > 0 ? key->version - 1 : 1;
    return rng_below(&world->rng, (uint32_t)world->oracle.last + 2);
}

static struct state_condition draw_condition(struct world *world)
{
    struct state_condition condition = {
        .kind = (enum engine_condition_kind)rng_below(&world->rng, CONDITION_COUNT),
        .name = rng_below(&world->rng, STATE_NAME_COUNT),
        .value = draw_value(world),
    };
    condition.version = draw_version(world, condition.name);
    return condition;
}

void state_draw_change(struct world *world, uint32_t client, struct state_ask *ask)
{
    struct rng *rng = &world->rng;
    ask->has_change = true;
    uint32_t guard_count = rng_percent(rng, 35) ? 1 + rng_below(rng, STATE_GUARD_MAX) : 0;
    if (rng_percent(rng, 35)) ask->condition_count = 1 + rng_below(rng, STATE_CONDITION_MAX);
    ask->then_count = rng_percent(rng, 55) ? 1 : 1 + rng_below(rng, STATE_OPERATION_MAX);
    ask->has_else = ask->condition_count > 0 && rng_percent(rng, 40);
    if (ask->has_else) ask->else_count = rng_below(rng, STATE_OPERATION_MAX);
    for (uint32_t index = 0; index < guard_count; index++) {
        ask->guard_count += draw_guard(world, client, &ask->guards[ask->guard_count]);
    }
    for (uint32_t index = 0; index < ask->condition_count; index++) {
        ask->conditions[index] = draw_condition(world);
    }
    for (uint32_t index = 0; index < ask->then_count; index++) {
        ask->thens[index] = draw_operation(world, client);
    }
    for (uint32_t index = 0; index < ask->else_count; index++) {
        ask->elses[index] = draw_operation(world, client);
    }
}

static void ask_wait(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    struct request *request = client_request_new(world, ENGINE_STATE_WAIT, client);
    if (request == NULL) return;
    request->change.name = rng_below(rng, STATE_NAME_COUNT);
    request->change.version = draw_version(world, request->change.name);
    request->wait_ms = rng_percent(rng, 80) ? (uint32_t)rng_scale(rng, 1, 15000) : 0;
    client_submit(world, request);
}

void state_act(struct world *world, uint32_t client)
{
    uint32_t dice = rng_below(&world->rng, 100);
    if (dice < 3) {
        state_watch_cut(world, &world->states.watches[rng_below(&world->rng, STATE_WATCH_COUNT)]);
    } else if (dice < 18) {
        ask_wait(world, client);
    } else {
        struct request *request = client_request_new(world, ENGINE_CHANGE, client);
        if (request == NULL) return;
        state_draw_change(world, client, &request->change);
        client_submit(world, request);
    }
}

/* ------------------------------------------------------------------- commands */

static struct engine_guard build_guard(struct state_guard guard)
{
    return (struct engine_guard){ world_name(guard.lock), guard.token };
}

static struct engine_operation build_operation(const struct state_operation *from)
{
    struct engine_operation operation = {
        .kind = from->kind,
        .name = state_name(from->name),
        .value = state_value_bytes(from->value),
        .ttl_ms = from->ttl_ms,
        .is_keeping = from->is_keeping,
        .by = from->by,
        .score = from->score,
        .when = from->when,
        .first = from->first,
        .last = from->last,
    };
    if (from->is_bound) operation.bond = build_guard(from->bond);
    bool has_value = from->kind == OPERATION_SET || from->kind == OPERATION_APPEND;
    if (!has_value) operation.value = (struct bytes){ 0 };
    if (from->kind >= OPERATION_RANK_GET && from->kind != OPERATION_RANK_TRIM) {
        operation.member = state_member(from->member);
    }
    return operation;
}

const struct engine_change *state_change(const struct state_ask *ask)
{
    static struct engine_change change;
    static struct engine_guard guards[STATE_GUARD_MAX];
    static struct engine_condition conditions[STATE_CONDITION_MAX];
    static struct engine_operation thens[STATE_OPERATION_MAX];
    static struct engine_operation elses[STATE_OPERATION_MAX];
    for (uint32_t index = 0; index < ask->guard_count; index++) {
        guards[index] = build_guard(ask->guards[index]);
    }
    for (uint32_t index = 0; index < ask->condition_count; index++) {
        const struct state_condition *condition = &ask->conditions[index];
        conditions[index] = (struct engine_condition){
            .kind = condition->kind,
            .name = state_name(condition->name),
            .version = condition->version,
            .value = state_value_bytes(condition->value),
        };
    }
    for (uint32_t index = 0; index < ask->then_count; index++) {
        thens[index] = build_operation(&ask->thens[index]);
    }
    for (uint32_t index = 0; index < ask->else_count; index++) {
        elses[index] = build_operation(&ask->elses[index]);
    }
    change = (struct engine_change){
        .guards = guards,
        .guard_count = ask->guard_count,
        .conditions = conditions,
        .condition_count = ask->condition_count,
        .then_operations = thens,
        .then_count = ask->then_count,
        .else_operations = elses,
        .else_count = ask->else_count,
        .has_else = ask->has_else,
    };
    return &change;
}

void state_command(const struct request *request, struct engine_command *command)
{
    if (request->kind == ENGINE_CHANGE) {
        command->as.change = *state_change(&request->change);
        return;
    }
    command->as.state_wait = (struct engine_state_wait){
        .name = state_name(request->change.name),
        .version = request->change.version,
        .wait_ms = request->wait_ms,
    };
}

void state_init(struct world *world)
{
    state_ledger_reset(world);
    world->states.is_replaying = false;
    state_watch_init(world);
}

void state_deinit(struct world *world)
{
    free(world->states.events);
    memset(&world->states, 0, sizeof world->states);
}
