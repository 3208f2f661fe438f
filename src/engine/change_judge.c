/* change_judge - may a transaction be carried out, and what does each of its operations lead to?
 * Looks only. */
#include "base/decimal.h"
#include "base/utf8.h"
#include "engine/change.h"
#include "engine/hold.h"
#include "engine/lock.h"
#include "engine/work_commands.h"

#define NAME_FAULT "name: 1 to 255 bytes of UTF-8 without control characters"

static bool is_of_rank(enum engine_operation_kind kind)
{
    return kind >= OPERATION_RANK_GET;
}

static bool is_reading(enum engine_operation_kind kind)
{
    return kind == OPERATION_GET || kind == OPERATION_RANK_GET;
}

/* The plan knows which part is looked at. */
static enum tenure_err
refuse(struct change_plan *plan, uint32_t index, enum tenure_err err, const char *detail)
{
    plan->fault_index = index;
    plan->detail = detail;
    return err;
}

/* The same, and no part of it in particular is at fault. */
static enum tenure_err
refuse_whole(struct change_plan *plan, enum tenure_err err, const char *detail)
{
    plan->fault_part = CHANGE_PART_NONE;
    return refuse(plan, 0, err, detail);
}

/* ----------------------------------------------------------------- form alone */

static const char *find_value_fault(const struct engine_operation *operation)
{
    if (operation->ttl_ms > 0 &&
        (operation->ttl_ms < LIMIT_TTL_MS_MIN || operation->ttl_ms > LIMIT_STATE_TTL_MS_MAX))
    {
        return "ttl_ms: 100 to 2592000000, or 0 for until removed";
    }
    const struct engine_guard *bond = &operation->bond;
    if (bond->lock.size > 0 && (!work_is_name(bond->lock) || bond->token.value == 0)) {
        return "bind: the name of a lock and the token of a hold";
    }
    bool has_terms = operation->ttl_ms > 0 || bond->lock.size > 0;
    if (operation->is_keeping && has_terms) return "keep_ttl: either that or new ones";
    return NULL;
}

static const char *find_rank_fault(const struct engine_operation *operation)
{
    if (operation->kind == OPERATION_RANK_TRIM) return NULL;
    if (operation->member.size == 0 || operation->member.size > LIMIT_MEMBER_SIZE_MAX ||
        !utf8_is_plain(operation->member))
    {
        return "member: 1 to 255 bytes of UTF-8 without control characters";
    }
    bool has_score =
        operation->kind == OPERATION_RANK_ADD || operation->kind == OPERATION_RANK_INCREMENT;
    if (has_score && !__builtin_isfinite(operation->score)) {
        return "score: a finite number";
    }
    unsigned when = operation->when;
    bool is_odd = ((when & RANK_IF_ABSENT) && (when & ~(unsigned)RANK_IF_ABSENT) != 0) ||
                  ((when & RANK_IF_GREATER) && (when & RANK_IF_LESS));
    return is_odd ? "these conditions exclude each other" : NULL;
}

static enum tenure_err
judge_form(const struct engine_operation *operation, struct change_plan *plan, uint32_t index)
{
    const char *fault = operation->kind >= OPERATION_KIND_COUNT ? "no such operation" : NULL;
    if (fault == NULL && !work_is_name(operation->name)) fault = NAME_FAULT;
    if (fault == NULL && is_of_rank(operation->kind)) fault = find_rank_fault(operation);
    if (fault == NULL && !is_of_rank(operation->kind)) fault = find_value_fault(operation);
    if (fault != NULL) return refuse(plan, index, TENURE_INVALID, fault);
    if (operation->value.size > LIMIT_VALUE_SIZE_MAX) {
        return refuse(plan, index, TENURE_TOO_LARGE, "value: up to 1048576 bytes");
    }
    return TENURE_OK;
}

/* Do both change the same thing? */
static bool do_collide(const struct engine_operation *left, const struct engine_operation *right)
{
    if (is_reading(left->kind) || is_reading(right->kind)) return false;
    if (is_of_rank(left->kind) != is_of_rank(right->kind)) return false;
    if (!bytes_equal(left->name, right->name)) return false;
    if (!is_of_rank(left->kind)) return true;
    if (left->kind == OPERATION_RANK_TRIM || right->kind == OPERATION_RANK_TRIM) return true;
    return bytes_equal(left->member, right->member);
}

static enum tenure_err judge_branch(struct change_plan *plan, enum engine_change_part branch)
{
    const struct engine_change *change = plan->change;
    bool is_else = branch == CHANGE_PART_ELSE;
    const struct engine_operation *operations =
        is_else ? change->else_operations : change->then_operations;
    uint32_t count = is_else ? change->else_count : change->then_count;
    plan->fault_part = branch;
    if (count > LIMIT_OPERATION_COUNT_MAX) {
        return refuse_whole(plan, TENURE_INVALID, "up to 128 operations in one transaction");
    }
    for (uint32_t index = 0; index < count; index++) {
        enum tenure_err err = judge_form(&operations[index], plan, index);
        if (err != TENURE_OK) return err;
        for (uint32_t other = 0; other < index; other++) {
            if (!do_collide(&operations[index], &operations[other])) continue;
            return refuse(
                plan, index, TENURE_INVALID, "a transaction changes a register or member once");
        }
    }
    return TENURE_OK;
}

static enum tenure_err judge_size(const struct engine_change *change, struct change_plan *plan)
{
    size_t size = 0;
    for (uint32_t index = 0; index < change->condition_count; index++) {
        size += change->conditions[index].value.size;
    }
    for (uint32_t index = 0; index < change->then_count; index++) {
        size += change->then_operations[index].value.size;
    }
    for (uint32_t index = 0; index < change->else_count; index++) {
        size += change->else_operations[index].value.size;
    }
    if (size <= LIMIT_CHANGE_SIZE_MAX) return TENURE_OK;
    return refuse_whole(plan, TENURE_TOO_LARGE, "all values: up to 1048576 bytes");
}

static enum tenure_err
judge_conditions_form(const struct engine_change *change, struct change_plan *plan)
{
    plan->fault_part = CHANGE_PART_CONDITION;
    if (change->condition_count > LIMIT_OPERATION_COUNT_MAX) {
        return refuse_whole(plan, TENURE_INVALID, "up to 128 conditions in one transaction");
    }
    for (uint32_t index = 0; index < change->condition_count; index++) {
        const struct engine_condition *condition = &change->conditions[index];
        bool is_sound = condition->kind < CONDITION_COUNT && work_is_name(condition->name);
        if (!is_sound) return refuse(plan, index, TENURE_INVALID, NAME_FAULT);
    }
    return TENURE_OK;
}

/* --------------------------------------------------------- guards, conditions */

/* A guard, or what a register is bound to. */
static enum tenure_err judge_hold(
    struct engine *engine, const struct engine_guard *guard, struct change_plan *plan, uint32_t at)
{
    struct seq seq;
    enum tenure_err err = engine_guard(engine, guard, &seq);
    if (plan->seq.value < seq.value) plan->seq = seq;
    if (err == TENURE_OK) return TENURE_OK;
    bool is_guard = plan->fault_part == CHANGE_PART_GUARD;
    const char *unknown = is_guard ? "guard: nobody holds this lock, and nothing is known of it"
                                   : "bind: nobody holds this lock, and nothing is known of it";
    const char *stale = is_guard ? "guard: this token is not that of a hold of the lock any more"
                                 : "bind: this token is not that of a hold of the lock any more";
    return refuse(plan, at, err, err == TENURE_NOT_FOUND ? unknown : stale);
}

static enum tenure_err
judge_guards(struct engine *engine, const struct engine_change *change, struct change_plan *plan)
{
    plan->fault_part = CHANGE_PART_GUARD;
    for (uint32_t index = 0; index < change->guard_count; index++) {
        const struct engine_guard *guard = &change->guards[index];
        if (!work_is_name(guard->lock) || guard->token.value == 0) {
            const char *detail = "guard: the name of a lock and the token of a hold";
            return refuse(plan, index, TENURE_INVALID, detail);
        }
        enum tenure_err err = judge_hold(engine, guard, plan, index);
        if (err != TENURE_OK) return err;
    }
    return TENURE_OK;
}

static bool does_hold(const struct key *key, const struct engine_condition *condition)
{
    const struct value *value = key == NULL ? NULL : key->value;
    switch (condition->kind) {
    case CONDITION_PRESENT: return value != NULL;
    case CONDITION_ABSENT: return value == NULL;
    case CONDITION_VERSION: return (key == NULL ? 0 : key_version(key)) == condition->version;
    case CONDITION_VALUE: return value != NULL && bytes_equal(value_bytes(value), condition->value);
    case CONDITION_COUNT: break;
    }
    UNREACHABLE("the kind was looked at");
}

static void depend(const struct engine *engine, const struct key *key, struct change_plan *plan)
{
    struct seq seq = key_last_change(engine, key);
    if (plan->seq.value < seq.value) plan->seq = seq;
}

static bool judge_conditions(
    struct engine *engine, const struct engine_change *change, struct change_plan *plan)
{
    plan->fault_part = CHANGE_PART_CONDITION;
    for (uint32_t index = 0; index < change->condition_count; index++) {
        const struct engine_condition *condition = &change->conditions[index];
        const struct key *key = key_find(engine, condition->name);
        depend(engine, key, plan);
        if (does_hold(key, condition)) continue;
        plan->failed = condition;
        plan->fault_index = index;
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ operations */

static enum tenure_err
judge_increment(struct change_step *step, struct change_plan *plan, uint32_t at)
{
    int64_t before = 0;
    const struct value *value = step->key == NULL ? NULL : step->key->value;
    if (value != NULL && !decimal_parse_signed(value_bytes(value), &before)) {
        return refuse(plan, at, TENURE_INVALID, "the value is no whole number of 64 bits");
    }
    if (__builtin_add_overflow(before, step->operation->by, &step->number)) {
        return refuse(plan, at, TENURE_INVALID, "the number would leave 64 bits");
    }
    return TENURE_OK;
}

/* What it is bound to must live, and must not have too many yet. */
static enum tenure_err judge_bond(
    struct engine *engine, const struct change_step *step, struct change_plan *plan, uint32_t at)
{
    const struct engine_guard *bond = &step->operation->bond;
    if (bond->lock.size == 0) return TENURE_OK;
    enum tenure_err err = judge_hold(engine, bond, plan, at);
    if (err != TENURE_OK) return err;
    const struct bond *known = bond_find(engine, bond->token);
    uint32_t count = known == NULL ? 0 : known->count;
    if (count + plan->step_count <= LIMIT_BOUND_COUNT_MAX) return TENURE_OK;
    return refuse(plan, at, TENURE_TOO_MANY, "1024 registers are bound to one hold at most");
}

static enum tenure_err judge_register(
    struct engine *engine, struct change_step *step, struct change_plan *plan, uint32_t at)
{
    const struct engine_operation *operation = step->operation;
    const struct value *value = step->key == NULL ? NULL : step->key->value;
    enum tenure_err err = TENURE_OK;
    step->is_changing =
        operation->kind != OPERATION_GET && (operation->kind != OPERATION_REMOVE || value != NULL);
    if (operation->kind == OPERATION_INCREMENT) err = judge_increment(step, plan, at);
    if (operation->kind == OPERATION_APPEND && value != NULL &&
        operation->value.size > LIMIT_VALUE_SIZE_MAX - value->size)
    {
        return refuse(plan, at, TENURE_TOO_LARGE, "value: up to 1048576 bytes");
    }
    if (err != TENURE_OK || operation->kind == OPERATION_REMOVE) return err;
    return step->is_changing ? judge_bond(engine, step, plan, at) : TENURE_OK;
}

static bool is_wanted(const struct member *member, double score, unsigned when)
{
    if (member == NULL) return !(when & RANK_IF_PRESENT);
    if (when & RANK_IF_ABSENT) return false;
    if ((when & RANK_IF_GREATER) && score <= member->score) return false;
    return !((when & RANK_IF_LESS) && score >= member->score);
}

/* Positions below 0 count from the end; what is outside is cut off. */
static void judge_trim(struct change_step *step)
{
    int64_t count = step->key == NULL ? 0 : key_member_count(step->key);
    int64_t first = step->operation->first;
    int64_t last = step->operation->last;
    if (first < 0) first = first < -count ? 0 : first + count;
    if (last < 0) last = last < -count ? -1 : last + count;
    if (last >= count) last = count - 1;
    if (first > last) return;
    int64_t wanted = last - first + 1;
    step->first = (uint32_t)first;
    step->count = wanted > LIMIT_ITEM_COUNT_MAX ? LIMIT_ITEM_COUNT_MAX : (uint32_t)wanted;
    step->is_changing = true;
}

static enum tenure_err
judge_rank(struct engine *engine, struct change_step *step, struct change_plan *plan, uint32_t at)
{
    const struct engine_operation *operation = step->operation;
    struct member *member =
        step->key == NULL ? NULL : rank_find(engine, step->key, operation->member);
    step->member = member;
    step->score = operation->score + 0.0; /* a zero below zero becomes zero */
    if (operation->kind == OPERATION_RANK_TRIM) judge_trim(step);
    if (operation->kind == OPERATION_RANK_REMOVE) step->is_changing = member != NULL;
    if (operation->kind == OPERATION_RANK_INCREMENT) {
        if (member != NULL) step->score = member->score + operation->score;
        if (!__builtin_isfinite(step->score)) {
            return refuse(plan, at, TENURE_INVALID, "the score would not be finite");
        }
        step->is_changing = true;
    }
    if (operation->kind == OPERATION_RANK_ADD) {
        bool is_same = member != NULL && score_compare(member->score, step->score) == 0;
        step->is_changing = !is_same && is_wanted(member, step->score, operation->when);
    }
    return TENURE_OK;
}

/* What it has stored, or will have: registers and members, and their bytes. */
struct footprint {
    uint64_t count, bytes;
};

static struct footprint of_value(const struct value *value)
{
    return (struct footprint){ value != NULL, value == NULL ? 0 : value->size };
}

static struct footprint footprint_before(const struct change_step *step)
{
    const struct value *value = step->key == NULL ? NULL : step->key->value;
    switch (step->operation->kind) {
    case OPERATION_SET:
    case OPERATION_APPEND:
    case OPERATION_INCREMENT:
    case OPERATION_REMOVE: return of_value(value);
    case OPERATION_RANK_ADD:
    case OPERATION_RANK_INCREMENT:
    case OPERATION_RANK_REMOVE:
        return (struct footprint){ step->member != NULL,
                                   step->member == NULL ? 0 : step->member->size };
    case OPERATION_RANK_TRIM: return (struct footprint){ step->count, 0 }; /* at least */
    case OPERATION_GET:
    case OPERATION_RANK_GET:
    case OPERATION_KIND_COUNT: break;
    }
    return (struct footprint){ 0 };
}

static struct footprint footprint_after(const struct change_step *step)
{
    const struct value *value = step->key == NULL ? NULL : step->key->value;
    char digits[DECIMAL_SIZE_MAX];
    switch (step->operation->kind) {
    case OPERATION_SET: return (struct footprint){ 1, step->operation->value.size };
    case OPERATION_APPEND:
        return (struct footprint){ 1, step->operation->value.size + of_value(value).bytes };
    case OPERATION_INCREMENT:
        return (struct footprint){ 1, decimal_format_signed(step->number, digits) };
    case OPERATION_RANK_ADD:
    case OPERATION_RANK_INCREMENT: return (struct footprint){ 1, step->operation->member.size };
    case OPERATION_GET:
    case OPERATION_REMOVE:
    case OPERATION_RANK_GET:
    case OPERATION_RANK_REMOVE:
    case OPERATION_RANK_TRIM:
    case OPERATION_KIND_COUNT: break;
    }
    return (struct footprint){ 0 };
}

/* Limits of the server, before anything is allocated: what grows past one is refused. */
static enum tenure_err judge_limits(const struct engine *engine, struct change_plan *plan)
{
    const struct keys *keys = &engine->keys;
    struct footprint now = { (uint64_t)keys->register_count + keys->member_count, keys->bytes };
    struct footprint then = now;
    for (uint32_t index = 0; index < plan->step_count; index++) {
        const struct change_step *step = &plan->steps[index];
        if (!step->is_changing) continue;
        struct footprint before = footprint_before(step);
        struct footprint after = footprint_after(step);
        then.count += after.count - before.count;
        then.bytes += after.bytes - before.bytes;
    }
    bool is_over = then.count > now.count && then.count > engine->options.key_count_max;
    is_over = is_over || (then.bytes > now.bytes && then.bytes > engine->options.key_bytes_max);
    if (!is_over) return TENURE_OK;
    return refuse_whole(
        plan, TENURE_TOO_MANY, "the limit of the server for shared state is reached");
}

static void count_records(struct change_plan *plan, const struct change_step *step)
{
    const struct engine_operation *operation = step->operation;
    if (!step->is_changing) return;
    uint32_t count = operation->kind == OPERATION_RANK_TRIM ? step->count : 1;
    size_t member_size =
        operation->kind == OPERATION_RANK_TRIM ? LIMIT_MEMBER_SIZE_MAX : operation->member.size;
    plan->record_count += count;
    plan->record_size += count * (RECORD_NUMBERS_SIZE + operation->name.size + member_size) +
                         operation->value.size + operation->bond.lock.size;
}

static enum tenure_err judge_steps(struct engine *engine, struct change_plan *plan)
{
    const struct engine_change *change = plan->change;
    const struct engine_operation *operations =
        plan->is_else ? change->else_operations : change->then_operations;
    plan->step_count = plan->is_else ? change->else_count : change->then_count;
    plan->fault_part = plan->is_else ? CHANGE_PART_ELSE : CHANGE_PART_THEN;
    for (uint32_t index = 0; index < plan->step_count; index++) {
        struct change_step *step = &plan->steps[index];
        *step = (struct change_step){ .operation = &operations[index],
                                      .key = key_find(engine, operations[index].name) };
        depend(engine, step->key, plan);
        enum tenure_err err = is_of_rank(operations[index].kind)
                                  ? judge_rank(engine, step, plan, index)
                                  : judge_register(engine, step, plan, index);
        if (err != TENURE_OK) return err;
        count_records(plan, step);
    }
    enum tenure_err err = judge_limits(engine, plan);
    if (err != TENURE_OK || plan->record_count == 0) return err;
    err = work_gate(engine);
    return err == TENURE_OK ? err : refuse_whole(plan, err, work_gate_detail(engine));
}

enum tenure_err
change_judge(struct engine *engine, const struct engine_change *change, struct change_plan *out)
{
    struct change_plan *plan = out;
    plan->change = change;
    plan->is_else = false;
    plan->step_count = 0;
    plan->made_count = 0;
    plan->record_count = 0;
    plan->record_size = 0;
    plan->failed = NULL;
    plan->fault_part = CHANGE_PART_NONE;
    plan->fault_index = 0;
    plan->detail = NULL;
    plan->seq.value = 0;
    if (change->guard_count > LIMIT_GUARD_COUNT_MAX) {
        return refuse_whole(plan, TENURE_INVALID, "up to 16 guards in one transaction");
    }
    enum tenure_err err = judge_conditions_form(change, plan);
    if (err == TENURE_OK) err = judge_branch(plan, CHANGE_PART_THEN);
    if (err == TENURE_OK) err = judge_branch(plan, CHANGE_PART_ELSE);
    if (err == TENURE_OK) err = judge_size(change, plan);
    if (err == TENURE_OK) err = judge_guards(engine, change, plan);
    if (err != TENURE_OK) return err;
    plan->is_else = !judge_conditions(engine, change, plan);
    if (plan->is_else && !change->has_else) return TENURE_MISMATCH;
    return judge_steps(engine, plan);
}
