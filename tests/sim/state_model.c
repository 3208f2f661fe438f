#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/state_parts.h"

/* ----------------------------------------------------------------------- texts */

#define FACTOR UINT64_C(0x9e3779b97f4a7c15)

/* A polynomial, so that a text can grow; eight bytes at a time, whose products do not wait for each
 * other. */
static uint64_t hash_more(uint64_t hash, struct bytes more)
{
    uint64_t powers[9] = { 1 };
    for (unsigned index = 1; index < 9; index++) {
        powers[index] = powers[index - 1] * FACTOR;
    }
    size_t at = 0;
    for (; at + 8 <= more.size; at += 8) {
        uint64_t sum = 0;
        for (unsigned index = 0; index < 8; index++) {
            sum += ((uint64_t)(uint8_t)more.data[at + index] + 1) * powers[7 - index];
        }
        hash = hash * powers[8] + sum;
    }
    for (; at < more.size; at++) {
        hash = hash * FACTOR + (uint8_t)more.data[at] + 1;
    }
    return hash;
}

struct state_text state_text_append(struct state_text text, struct bytes more)
{
    if (!text.is_set) text = (struct state_text){ .is_set = true };
    for (size_t index = 0; text.size + index < STATE_HEAD_SIZE && index < more.size; index++) {
        text.head[text.size + index] = more.data[index];
    }
    text.hash = hash_more(text.hash, more);
    text.size += (uint32_t)more.size;
    return text;
}

struct state_text state_text_of(struct bytes bytes)
{
    return state_text_append((struct state_text){ 0 }, bytes);
}

bool state_text_equals(const struct state_text *text, const struct state_text *other)
{
    if (text->is_set != other->is_set) return false;
    return !text->is_set || (text->size == other->size && text->hash == other->hash);
}

/* Digits as they are written, nothing else; what is not set is 0. */
static bool parse_number(const struct state_text *text, int64_t *out_number)
{
    char copy[STATE_HEAD_SIZE + 1] = "";
    char again[STATE_HEAD_SIZE + 1];
    *out_number = 0;
    if (!text->is_set) return true;
    if (text->size > 20) return false;
    memcpy(copy, text->head, text->size);
    *out_number = strtoll(copy, NULL, 10);
    (void)snprintf(again, sizeof again, "%" PRId64, *out_number);
    return strcmp(copy, again) == 0;
}

/* ------------------------------------------------------------- may it be done? */

static bool is_of_rank(const struct state_operation *operation)
{
    return operation->kind >= OPERATION_RANK_GET;
}

static bool is_read(const struct state_operation *operation)
{
    return operation->kind == OPERATION_GET || operation->kind == OPERATION_RANK_GET;
}

static bool do_collide(const struct state_operation *one, const struct state_operation *two)
{
    if (is_read(one) || is_read(two) || is_of_rank(one) != is_of_rank(two)) return false;
    if (one->name != two->name) return false;
    bool has_trim = one->kind == OPERATION_RANK_TRIM || two->kind == OPERATION_RANK_TRIM;
    return !is_of_rank(one) || has_trim || one->member == two->member;
}

static bool has_twice(const struct state_operation *operations, uint32_t count)
{
    for (uint32_t left = 0; left < count; left++) {
        for (uint32_t right = left + 1; right < count; right++) {
            if (do_collide(&operations[left], &operations[right])) return true;
        }
    }
    return false;
}

static void depend(struct state_expectation *out, uint64_t seq)
{
    if (out->depends < seq) out->depends = seq;
}

/* K4: while the hold with this token lives, and no longer. */
static bool
is_guarded(struct world *world, const struct state_guard *guard, struct state_expectation *out)
{
    const struct grant *grant = oracle_grant_by_token(world, guard->lock, guard->token);
    bool is_passed = grant != NULL && grant->ended_seq.value == 0;
    if (grant != NULL) depend(out, is_passed ? grant->seq.value : grant->ended_seq.value);
    if (!is_passed) out->err = TENURE_STALE_TOKEN;
    return is_passed;
}

/* K3. */
static bool does_hold(const struct state_key *key, const struct state_condition *condition)
{
    struct state_text value = state_text_of(state_value_bytes(condition->value));
    switch (condition->kind) {
    case CONDITION_PRESENT: return key->value.is_set;
    case CONDITION_ABSENT: return !key->value.is_set;
    case CONDITION_VERSION: return key->version == condition->version;
    case CONDITION_VALUE: return state_text_equals(&key->value, &value);
    case CONDITION_COUNT: break;
    }
    abort();
}

static enum tenure_err judge(
    struct world *world,
    const struct state_key *keys,
    const struct state_operation *operation,
    struct state_expectation *out)
{
    int64_t number;
    int64_t sum;
    if (operation->kind == OPERATION_INCREMENT) {
        if (!parse_number(&keys[operation->name].value, &number)) return TENURE_INVALID;
        if (__builtin_add_overflow(number, operation->by, &sum)) return TENURE_INVALID;
    }
    bool is_bindable = operation->kind == OPERATION_SET || operation->kind == OPERATION_INCREMENT ||
                       operation->kind == OPERATION_APPEND;
    bool is_good = !is_bindable || !operation->is_bound || is_guarded(world, &operation->bond, out);
    return is_good ? TENURE_OK : out->err;
}

/* ------------------------------------------------------------ what becomes of it */

/* The state while a transaction goes on, and the number of the record made last. */
struct going {
    struct state_key keys[STATE_NAME_COUNT];
    uint64_t seq;
};

static struct state_event *make(
    struct going *going,
    const struct state_operation *operation,
    enum record_kind kind,
    struct state_expectation *out)
{
    struct state_event *event = &out->made[out->made_count++];
    *event = (struct state_event){
        .seq = ++going->seq, .kind = kind, .name = operation->name, .member = operation->member
    };
    return event;
}

static void put_text(
    struct going *going,
    const struct state_operation *operation,
    struct state_text value,
    struct state_text piece,
    struct state_expectation *out)
{
    struct state_key *key = &going->keys[operation->name];
    bool was_set = key->value.is_set;
    bool is_appended = operation->kind == OPERATION_APPEND && was_set;
    struct state_event *event =
        make(going, operation, is_appended ? RECORD_APPENDED : RECORD_SET, out);
    event->piece = is_appended ? piece : value;
    event->is_kept = was_set && (operation->kind != OPERATION_SET || operation->is_keeping);
    if (is_appended) event->is_kept = false; /* goes without saying */
    bool is_fresh = !was_set || (operation->kind == OPERATION_SET && !operation->is_keeping);
    if (is_fresh) {
        event->ttl_ms = operation->ttl_ms;
        event->is_bound = operation->is_bound;
        event->bond = operation->bond;
    }
    key->value = value;
    key->version = going->seq;
}

static void change_register(
    struct going *going,
    const struct state_operation *operation,
    struct state_told *told,
    struct state_expectation *out)
{
    struct state_key *key = &going->keys[operation->name];
    struct bytes bytes = state_value_bytes(operation->value);
    struct state_text piece = state_text_of(bytes);
    told->was_there = key->value.is_set;
    told->is_changed = operation->kind != OPERATION_GET;
    if (operation->kind == OPERATION_REMOVE) {
        told->is_changed = key->value.is_set;
        if (key->value.is_set) make(going, operation, RECORD_UNSET, out);
        key->value.is_set = false;
        key->version = 0;
    } else if (operation->kind == OPERATION_INCREMENT) {
        char digits[STATE_HEAD_SIZE];
        (void)parse_number(&key->value, &told->number);
        told->number += operation->by;
        int size = snprintf(digits, sizeof digits, "%" PRId64, told->number);
        struct state_text value = state_text_of((struct bytes){ digits, (size_t)size });
        put_text(going, operation, value, value, out);
    } else if (operation->kind == OPERATION_APPEND) {
        put_text(going, operation, state_text_append(key->value, bytes), piece, out);
    } else if (operation->kind == OPERATION_SET) {
        put_text(going, operation, piece, piece, out);
    }
    told->version = key->version;
    told->value = key->value;
}

static void rank(
    struct going *going,
    const struct state_operation *operation,
    uint32_t member,
    double score,
    struct state_expectation *out)
{
    struct state_key *key = &going->keys[operation->name];
    struct state_event *event = make(going, operation, RECORD_RANKED, out);
    event->member = member;
    event->score = score;
    event->is_new = !key->is_member[member];
    event->score_before = event->is_new ? 0 : key->scores[member];
    key->is_member[member] = true;
    key->scores[member] = score;
}

static void unrank(
    struct going *going,
    const struct state_operation *operation,
    uint32_t member,
    struct state_expectation *out)
{
    struct state_key *key = &going->keys[operation->name];
    struct state_event *event = make(going, operation, RECORD_UNRANKED, out);
    event->member = member;
    event->score = key->scores[member];
    key->is_member[member] = false;
}

static int64_t
trim(struct going *going, const struct state_operation *operation, struct state_expectation *out)
{
    uint32_t order[STATE_MEMBER_COUNT];
    int64_t count = state_rank_order(&going->keys[operation->name], order);
    int64_t first = operation->first < 0 ? operation->first + count : operation->first;
    int64_t last = operation->last < 0 ? operation->last + count : operation->last;
    int64_t removed = 0;
    for (int64_t position = first < 0 ? 0 : first; position <= last && position < count; position++)
    {
        unrank(going, operation, order[position], out);
        removed++;
    }
    return removed;
}

static bool is_wanted(const struct state_key *key, uint32_t member, double score, unsigned when)
{
    if (!key->is_member[member]) return !(when & RANK_IF_PRESENT);
    double now = key->scores[member];
    if ((when & RANK_IF_ABSENT) || !(score > now || score < now)) return false;
    return !((when & RANK_IF_GREATER) && score < now) && !((when & RANK_IF_LESS) && score > now);
}

static void change_rank(
    struct going *going,
    const struct state_operation *operation,
    struct state_told *told,
    struct state_expectation *out)
{
    struct state_key *key = &going->keys[operation->name];
    uint32_t member = operation->member;
    uint32_t made_count = out->made_count;
    told->is_of_rank = true;
    if (operation->kind == OPERATION_RANK_TRIM) {
        told->number = trim(going, operation, out);
        told->is_changed = told->number > 0;
        return;
    }
    told->was_there = key->is_member[member];
    double before = key->scores[member];
    if (operation->kind == OPERATION_RANK_INCREMENT) {
        double sum = operation->score + (key->is_member[member] ? before : 0);
        rank(going, operation, member, sum, out);
    } else if (operation->kind == OPERATION_RANK_ADD) {
        if (is_wanted(key, member, operation->score, operation->when)) {
            rank(going, operation, member, operation->score, out);
        }
    } else if (operation->kind == OPERATION_RANK_REMOVE && key->is_member[member]) {
        unrank(going, operation, member, out);
    }
    told->is_changed = out->made_count > made_count;
    told->is_member = key->is_member[member];
    if (told->was_there || told->is_member) told->score = key->scores[member];
}

static enum tenure_err shut_gate(const struct world *world)
{
    if (world->host.gate == ENGINE_GATE_NO_SPACE) return TENURE_NO_SPACE;
    return world->host.gate == ENGINE_GATE_DRAINING ? TENURE_DRAINING : TENURE_OK;
}

static uint32_t count_things(const struct state_key *keys)
{
    uint32_t count = 0;
    for (uint32_t name = 0; name < STATE_NAME_COUNT; name++) {
        uint32_t order[STATE_MEMBER_COUNT];
        count += keys[name].value.is_set + state_rank_order(&keys[name], order);
    }
    return count;
}

static void carry_out(
    struct world *world,
    const struct state_operation *operations,
    uint32_t count,
    uint64_t seq,
    struct state_expectation *out)
{
    struct going going = { .seq = seq };
    const struct state_key *keys = world->states.keys;
    memcpy(going.keys, keys, sizeof going.keys);
    for (uint32_t index = 0; index < count && out->err == TENURE_OK; index++) {
        depend(out, keys[operations[index].name].last_seq);
        out->err = judge(world, keys, &operations[index], out);
    }
    if (out->err != TENURE_OK) return;
    for (uint32_t index = 0; index < count; index++) {
        struct state_told *told = &out->told[out->told_count++];
        *told = (struct state_told){ .name = operations[index].name };
        if (is_of_rank(&operations[index])) {
            change_rank(&going, &operations[index], told, out);
        } else {
            change_register(&going, &operations[index], told, out);
        }
    }
    for (uint32_t index = 0; index < out->made_count; index++) {
        out->made[index].more = out->made_count - 1 - index;
    }
    uint32_t count_after = count_things(going.keys);
    bool is_over = world->swarm.has_small_limits && count_after > count_things(keys) &&
                   count_after > STATE_COUNT_MAX_SMALL;
    if (is_over) out->err = TENURE_TOO_MANY;
    if (!is_over && out->made_count > 0) out->err = shut_gate(world);
    if (out->err == TENURE_OK && out->made_count > 0) depend(out, going.seq);
}

static void refuse_mismatch(
    const struct state_key *keys,
    const struct state_condition *condition,
    struct state_expectation *out)
{
    const struct state_key *key = &keys[condition->name];
    out->err = TENURE_MISMATCH;
    out->told_count = 1;
    out->told[0] = (struct state_told){ .name = condition->name,
                                        .was_there = key->value.is_set,
                                        .version = key->version,
                                        .value = key->value };
}

void state_expect(
    struct world *world,
    const struct state_ask *ask,
    uint32_t before_count,
    struct state_expectation *out)
{
    const struct state_key *keys = world->states.keys;
    *out = (struct state_expectation){ .is_judged = true };
    if (has_twice(ask->thens, ask->then_count) || has_twice(ask->elses, ask->else_count)) {
        out->err = TENURE_INVALID;
        return;
    }
    for (uint32_t index = 0; index < ask->guard_count; index++) {
        if (!is_guarded(world, &ask->guards[index], out)) return;
    }
    for (uint32_t index = 0; index < ask->condition_count && !out->is_else; index++) {
        const struct state_condition *condition = &ask->conditions[index];
        depend(out, keys[condition->name].last_seq);
        out->is_else = !does_hold(&keys[condition->name], condition);
        if (out->is_else && !ask->has_else) {
            refuse_mismatch(keys, condition, out);
            return;
        }
    }
    const struct state_operation *operations = out->is_else ? ask->elses : ask->thens;
    uint32_t count = out->is_else ? ask->else_count : ask->then_count;
    carry_out(world, operations, count, world->oracle.last + before_count, out);
}
