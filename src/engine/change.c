/* change - see change.h; change_judge.c has the first phase. */
#include "engine/change.h"

#include "base/decimal.h"
#include "engine/change_apply.h"
#include "engine/key_commands.h"
#include "engine/output.h"
#include "engine/snapshot.h"
#include "engine/work_commands.h"

/* -------------------------------------------------------------------- making */

static void discard_step(struct engine *engine, struct change_step *step)
{
    value_discard(engine, step->value);
    step->value = NULL;
    if (step->bond != NULL) {
        step->bond->pin_count--;
        bond_settle(engine, step->bond);
    }
    if (step->member != NULL && !step->member->is_in) {
        rank_discard(engine, step->member);
        step->member = NULL;
    }
    if (step->key == NULL) return;
    step->key->pin_count--;
    key_settle(engine, step->key);
}

void change_discard(struct engine *engine, struct change_plan *plan)
{
    while (plan->made_count > 0) {
        discard_step(engine, &plan->steps[--plan->made_count]);
    }
}

static bool make_bond(struct engine *engine, struct change_step *step)
{
    const struct engine_guard *guard = &step->operation->bond;
    if (guard->lock.size == 0) return true;
    step->bond = bond_obtain(engine, guard->lock, guard->token);
    if (step->bond == NULL) return false;
    step->bond->pin_count++;
    /* When the hold ends nothing may fail: so much room is always there from now on. */
    size_t size = step->bond->record_size + RECORD_NUMBERS_SIZE + step->operation->name.size;
    return output_reserve(engine, size + RECORD_SIZE_MAX, 0, 0);
}

/* A set, an increment or an append. */
static bool make_value(struct engine *engine, struct change_step *step)
{
    const struct engine_operation *operation = step->operation;
    const struct value *before = step->key->value;
    char digits[DECIMAL_SIZE_MAX];
    struct bytes added = operation->value;
    size_t size_kept = operation->kind == OPERATION_APPEND && before != NULL ? before->size : 0;
    if (operation->kind == OPERATION_INCREMENT) {
        added = (struct bytes){ digits, decimal_format_signed(step->number, digits) };
    }
    step->value = value_create(engine, step->key, size_kept + added.size);
    if (step->value == NULL) return false;
    if (size_kept > 0) memcpy(step->value->bytes, before->bytes, size_kept);
    if (added.size > 0) memcpy(step->value->bytes + size_kept, added.data, added.size);
    bool has_terms = operation->ttl_ms > 0 || operation->bond.lock.size > 0;
    if (!has_terms) return true;
    return key_obtain_terms(engine, step->key) != NULL && make_bond(engine, step);
}

/* What it has made is given back with change_discard, also if this failed. */
static bool make_step(struct engine *engine, struct change_step *step)
{
    enum engine_operation_kind kind = step->operation->kind;
    bool is_of_rank = kind >= OPERATION_RANK_GET;
    step->key = key_obtain(engine, step->operation->name);
    if (step->key == NULL) return false;
    step->key->pin_count++;
    if (!step->is_changing || kind == OPERATION_REMOVE || kind == OPERATION_RANK_TRIM) return true;
    if (!is_of_rank) return make_value(engine, step);
    if (step->member == NULL) {
        step->member = rank_create(engine, step->key, step->operation->member);
    }
    return step->member != NULL;
}

bool change_make(struct engine *engine, struct change_plan *plan)
{
    /* One more, for the register that a refusal shows. */
    if (!output_reserve(engine, plan->record_size, 0, 0) ||
        !output_reserve_changes(engine, plan->step_count + 1) ||
        !ordered_reserve(&engine->keys.timers, plan->step_count))
    {
        return false;
    }
    while (plan->made_count < plan->step_count) {
        if (make_step(engine, &plan->steps[plan->made_count++])) continue;
        change_discard(engine, plan);
        return false;
    }
    /* Room for bonds may have been taken from that for the records. */
    if (output_reserve(engine, plan->record_size, 0, 0)) return true;
    change_discard(engine, plan);
    return false;
}

/* ---------------------------------------------------------------- carrying out */

static void carry_out_set(
    struct engine *engine,
    struct change_plan *plan,
    struct change_step *step,
    struct engine_change_result *result)
{
    const struct engine_operation *operation = step->operation;
    struct key *key = step->key;
    bool is_kept = operation->kind == OPERATION_SET ? operation->is_keeping : true;
    bool is_appended = operation->kind == OPERATION_APPEND && key->value != NULL;
    if (key->value == NULL) is_kept = false;
    struct record record = { .kind = is_appended ? RECORD_APPENDED : RECORD_SET,
                             .body = is_appended ? operation->value : value_bytes(step->value),
                             .is_kept = is_kept,
                             .more = --plan->record_count };
    if (!is_kept) {
        record.ttl_ms = operation->ttl_ms;
        record.bond = operation->bond.lock;
        record.token = operation->bond.token;
    }
    output_key_record(engine, key, step->value, &record);
    change_apply_set(engine, key, step->value, is_kept ? NULL : step->bond, &record);
    step->value = NULL;
    result->number = step->number;
}

static void
carry_out_remove(struct engine *engine, struct change_plan *plan, struct change_step *step)
{
    struct record record = { .kind = RECORD_UNSET, .more = --plan->record_count };
    output_key_record(engine, step->key, step->key->value, &record);
    change_apply_unset(engine, step->key);
}

static void carry_out_register(
    struct engine *engine,
    struct change_plan *plan,
    struct change_step *step,
    struct engine_change_result *result)
{
    struct key *key = step->key;
    result->was_there = key->value != NULL;
    result->is_changed = step->is_changing;
    if (step->is_changing && step->operation->kind == OPERATION_REMOVE) {
        carry_out_remove(engine, plan, step);
    } else if (step->is_changing) {
        carry_out_set(engine, plan, step, result);
    }
    if (step->is_changing) key_wake(engine, key);
    key_view(key, engine->time_ns, &result->value);
    result->value.name = step->operation->name;
}

static void unrank(struct engine *engine, struct change_plan *plan, struct member *member)
{
    struct key *key = member->key;
    struct record record = { .kind = RECORD_UNRANKED,
                             .id = member_name(member),
                             .score = member->score,
                             .more = --plan->record_count };
    output_key_record(engine, key, key, &record);
    change_apply_unranked(engine, member);
}

static void carry_out_add(struct engine *engine, struct change_plan *plan, struct change_step *step)
{
    struct member *member = step->member;
    ASSERT(member != NULL);
    struct record record = { .kind = RECORD_RANKED,
                             .id = member_name(member),
                             .score = step->score,
                             .score_before = member->score,
                             .is_new = !member->is_in,
                             .more = --plan->record_count };
    output_key_record(engine, step->key, step->key, &record);
    change_apply_ranked(engine, member, &record);
}

static void
carry_out_trim(struct engine *engine, struct change_plan *plan, const struct change_step *step)
{
    for (uint32_t count = 0; count < step->count; count++) {
        unrank(engine, plan, rank_at(step->key->rank, step->first));
    }
}

static void carry_out_rank(
    struct engine *engine,
    struct change_plan *plan,
    struct change_step *step,
    struct engine_change_result *result)
{
    enum engine_operation_kind kind = step->operation->kind;
    struct member *member = step->member;
    if (!step->is_changing) {
        /* Operations before may have added or removed it; one behind may be about to add it. */
        member = rank_find(engine, step->key, step->operation->member);
        if (member != NULL && !member->is_in) member = NULL;
    }
    result->is_of_rank = true;
    result->was_there = member != NULL && member->is_in;
    result->is_changed = step->is_changing;
    result->number = step->count;
    if (step->is_changing && kind == OPERATION_RANK_TRIM) {
        carry_out_trim(engine, plan, step);
    } else if (step->is_changing && kind == OPERATION_RANK_REMOVE) {
        ASSERT(member != NULL);
        result->score = member->score;
        unrank(engine, plan, member);
        member = NULL;
    } else if (step->is_changing) {
        carry_out_add(engine, plan, step);
    }
    step->member = NULL;
    result->version = step->key->last_seq.value;
    result->value.name = step->operation->name;
    if (kind == OPERATION_RANK_TRIM || member == NULL) return;
    result->is_member = true;
    result->score = member->score;
}

void change_carry_out(struct engine *engine, struct change_plan *plan)
{
    output_depend(engine, plan->seq);
    for (uint32_t index = 0; index < plan->step_count; index++) {
        struct change_step *step = &plan->steps[index];
        struct engine_change_result *result = output_change(engine);
        if (step->operation->kind >= OPERATION_RANK_GET) {
            carry_out_rank(engine, plan, step, result);
        } else {
            carry_out_register(engine, plan, step, result);
        }
        if (step->is_changing) output_depend(engine, engine->seq);
    }
    ASSERT(plan->record_count == 0);
    /* Members that a trim has freed are in no step: a rank is changed by it alone. */
    change_discard(engine, plan);
    output_last_reply(engine)->is_else = plan->is_else;
}

/* ------------------------------------------------------------------- refusing */

const char *engine_change_part_word(enum engine_change_part part)
{
    switch (part) {
    case CHANGE_PART_NONE: return NULL;
    case CHANGE_PART_GUARD: return "guard";
    case CHANGE_PART_CONDITION: return "if";
    case CHANGE_PART_THEN: return "then";
    case CHANGE_PART_ELSE: return "else";
    case CHANGE_PART_COUNT: break;
    }
    UNREACHABLE("all parts are handled");
}

static struct bytes find_fault_name(const struct change_plan *plan)
{
    const struct engine_change *change = plan->change;
    uint32_t index = plan->fault_index;
    switch (plan->fault_part) {
    case CHANGE_PART_NONE: return (struct bytes){ 0 };
    case CHANGE_PART_GUARD: return change->guards[index].lock;
    case CHANGE_PART_CONDITION: return change->conditions[index].name;
    case CHANGE_PART_THEN: return change->then_operations[index].name;
    case CHANGE_PART_ELSE: return change->else_operations[index].name;
    case CHANGE_PART_COUNT: break;
    }
    UNREACHABLE("all parts are handled");
}

void change_refuse(struct engine *engine, const struct change_plan *plan, enum tenure_err err)
{
    struct engine_reply *reply = output_last_reply(engine);
    reply->err = err;
    reply->detail = plan->detail;
    reply->fault_part = plan->fault_part;
    reply->fault_index = plan->fault_index;
    struct bytes name = find_fault_name(plan);
    if (work_is_name(name)) reply->fault_name = name;
    output_depend(engine, plan->seq);
    if (err != TENURE_MISMATCH) return;
    /* What stands there instead: so that the next try needs no look. */
    struct engine_change_result *result = output_change(engine);
    const struct key *key = key_find(engine, plan->failed->name);
    if (key != NULL) key_view(key, engine->time_ns, &result->value);
    result->value.name = plan->failed->name;
    result->was_there = result->value.version > 0;
}

void command_change(struct engine *engine, const struct engine_command *command)
{
    const struct engine_change *change = &command->as.change;
    UNINITIALIZED struct change_plan plan;
    enum tenure_err err = change_judge(engine, change, &plan);
    bool has_room = output_reserve(engine, 0, 1, 0) && output_reserve_changes(engine, 1);
    if (has_room && err == TENURE_OK) has_room = change_make(engine, &plan);
    if (!has_room) {
        output_refuse(engine, command, TENURE_NO_MEMORY, (struct bytes){ 0 }, NULL);
        return;
    }
    output_reply(engine, command->client, command->tag)->kind = command->kind;
    if (err != TENURE_OK) {
        change_refuse(engine, &plan, err);
        engine->counters.refused_other++;
    } else {
        change_carry_out(engine, &plan);
    }
}
