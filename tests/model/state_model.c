#include "model/state_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/test.h"

const char *const sm_names[SM_NAME_COUNT] = { "a", "a/b", "a/c", "b", "\xc3\xa4" };
const char *const sm_members[SM_MEMBER_COUNT] = { "ann", "bob", "cat", "dan", "eve" };
const char *const sm_locks[SM_LOCK_COUNT] = { "lock", "a" };

/* --------------------------------------------------------------------- common */

static uint32_t index_of(const char *const *words, uint32_t count, struct bytes text)
{
    for (uint32_t index = 0; index < count; index++) {
        if (bytes_equal(bytes_from_text(words[index]), text)) return index;
    }
    FAIL("the model does not know a name");
}

static uint32_t name_of(struct bytes text)
{
    return index_of(sm_names, SM_NAME_COUNT, text);
}

static uint32_t member_of(struct bytes text)
{
    return index_of(sm_members, SM_MEMBER_COUNT, text);
}

void sm_init(struct sm *model)
{
    memset(model, 0, sizeof *model);
}

void sm_begin(struct sm *model, int64_t time_ns, uint64_t window_first)
{
    if (time_ns > model->time_ns) model->time_ns = time_ns;
    model->window_first = window_first;
    model->event_begin = model->event_count;
    model->answer_count = 0;
    model->is_waiting = false;
}

static struct sm_event *make_event(struct sm *model, enum record_kind kind, uint32_t name)
{
    CHECK_LT_UINT(model->event_count, SM_EVENT_MAX);
    struct sm_event *event = &model->events[model->event_count++];
    *event = (struct sm_event){ .kind = kind, .name = name };
    model->seq++;
    return event;
}

static struct sm_answer *make_answer(struct sm *model, uint64_t client, uint64_t tag)
{
    CHECK_LT_UINT(model->answer_count, SM_ANSWER_MAX);
    struct sm_answer *answer = &model->answers[model->answer_count++];
    *answer = (struct sm_answer){ .client = client, .tag = tag };
    return answer;
}

static void forget_wait(struct sm *model, uint32_t index)
{
    model->wait_count--;
    for (; index < model->wait_count; index++) {
        model->waits[index] = model->waits[index + 1];
    }
}

static uint64_t changed_at(const struct sm *model, const struct sm_key *key, uint64_t version)
{
    uint64_t forgotten = version > 0 ? model->window_first - 1 : 0;
    if (key->value.is_set) return key->version;
    return key->last_seq > forgotten ? key->last_seq : forgotten;
}

static void answer_wait(struct sm *model, uint32_t index, enum tenure_err err)
{
    const struct sm_wait *wait = &model->waits[index];
    struct sm_answer *answer = make_answer(model, wait->client, wait->tag);
    answer->err = err;
    answer->count = 1;
    answer->results[0].version = model->keys[wait->name].version;
    forget_wait(model, index);
}

/* -------------------------------------------------------------------- changes */

static void wake(struct sm *model, uint32_t name)
{
    for (uint32_t index = 0; index < model->wait_count;) {
        const struct sm_wait *wait = &model->waits[index];
        if (wait->name == name && wait->version < model->keys[name].last_seq) {
            answer_wait(model, index, TENURE_OK);
        } else {
            index++;
        }
    }
}

static void
set_value(struct sm *model, uint32_t name, const struct sm_text *value, enum record_kind kind)
{
    struct sm_key *key = &model->keys[name];
    struct sm_event *event = make_event(model, kind, name);
    event->previous = key->value;
    event->value = *value;
    key->value = *value;
    key->version = value->is_set ? model->seq : 0;
    key->last_seq = model->seq;
}

static void unset(struct sm *model, uint32_t name, enum record_cause cause)
{
    struct sm_key *key = &model->keys[name];
    struct sm_text none = { 0 };
    set_value(model, name, &none, RECORD_UNSET);
    model->events[model->event_count - 1].cause = cause;
    key->ttl_ms = 0;
    key->token = 0;
}

static bool
is_guarded(const struct sm *model, const struct engine_guard *guard, enum tenure_err *err)
{
    uint32_t lock = index_of(sm_locks, SM_LOCK_COUNT, guard->lock);
    if (model->holders[lock] == guard->token.value) return true;
    *err = model->is_lock_known[lock] ? TENURE_STALE_TOKEN : TENURE_NOT_FOUND;
    return false;
}

static bool is_of_rank(const struct engine_operation *operation)
{
    return operation->kind >= OPERATION_RANK_GET;
}

static bool is_read(const struct engine_operation *operation)
{
    return operation->kind == OPERATION_GET || operation->kind == OPERATION_RANK_GET;
}

static bool has_twice(const struct engine_operation *operations, uint32_t count)
{
    for (uint32_t left = 0; left < count; left++) {
        for (uint32_t right = left + 1; right < count; right++) {
            const struct engine_operation *one = &operations[left];
            const struct engine_operation *two = &operations[right];
            if (is_read(one) || is_read(two) || is_of_rank(one) != is_of_rank(two)) continue;
            if (!bytes_equal(one->name, two->name)) continue;
            bool has_trim = one->kind == OPERATION_RANK_TRIM || two->kind == OPERATION_RANK_TRIM;
            if (!is_of_rank(one) || has_trim || bytes_equal(one->member, two->member)) return true;
        }
    }
    return false;
}

static bool does_hold(const struct sm *model, const struct engine_condition *condition)
{
    const struct sm_key *key = &model->keys[name_of(condition->name)];
    struct bytes value = { key->value.bytes, key->value.size };
    switch (condition->kind) {
    case CONDITION_PRESENT: return key->value.is_set;
    case CONDITION_ABSENT: return !key->value.is_set;
    case CONDITION_VERSION: return key->version == condition->version;
    case CONDITION_VALUE: return key->value.is_set && bytes_equal(value, condition->value);
    case CONDITION_COUNT: break;
    }
    FAIL("no such condition");
}

static bool parse_number(const struct sm_text *text, int64_t *out_number)
{
    char copy[SM_VALUE_MAX + 1];
    char again[SM_VALUE_MAX + 1];
    *out_number = 0;
    if (!text->is_set) return true;
    memcpy(copy, text->bytes, text->size);
    copy[text->size] = '\0';
    *out_number = strtoll(copy, NULL, 10);
    (void)snprintf(again, sizeof again, "%" PRId64, *out_number);
    return strcmp(copy, again) == 0;
}

static enum tenure_err judge(const struct sm *model, const struct engine_operation *operation)
{
    const struct sm_key *key = &model->keys[name_of(operation->name)];
    enum tenure_err err = TENURE_OK;
    int64_t number;
    if (operation->kind == OPERATION_INCREMENT && !parse_number(&key->value, &number)) {
        return TENURE_INVALID;
    }
    if (operation->bond.lock.size > 0 && !is_guarded(model, &operation->bond, &err)) return err;
    return TENURE_OK;
}

static void change_register(
    struct sm *model, const struct engine_operation *operation, struct sm_answer *answer)
{
    uint32_t name = name_of(operation->name);
    struct sm_key *key = &model->keys[name];
    bool was_set = key->value.is_set;
    struct sm_text value = { .is_set = true };
    int64_t number = 0;
    if (operation->kind == OPERATION_REMOVE) {
        if (was_set) unset(model, name, CAUSE_REMOVED);
        if (was_set) wake(model, name);
        return;
    }
    if (operation->kind == OPERATION_INCREMENT) {
        (void)parse_number(&key->value, &number);
        number += operation->by;
        value.size = (uint32_t)snprintf(value.bytes, SM_VALUE_MAX, "%" PRId64, number);
        answer->results[answer->count].number = number;
    } else {
        if (operation->kind == OPERATION_APPEND) value = key->value;
        value.is_set = true;
        CHECK_LE_UINT(value.size + operation->value.size, SM_VALUE_MAX);
        memcpy(value.bytes + value.size, operation->value.data, operation->value.size);
        value.size += (uint32_t)operation->value.size;
    }
    bool is_appended = operation->kind == OPERATION_APPEND && was_set;
    set_value(model, name, &value, is_appended ? RECORD_APPENDED : RECORD_SET);
    bool is_kept = was_set && (operation->kind != OPERATION_SET || operation->is_keeping);
    if (!is_kept) {
        key->ttl_ms = operation->ttl_ms;
        key->deadline_ns = model->time_ns + (int64_t)operation->ttl_ms * NS_PER_MS;
        key->token = operation->bond.lock.size > 0 ? operation->bond.token.value : 0;
        key->armed = model->seq;
    }
    wake(model, name);
}

static void
rank(struct sm *model, uint32_t name, uint32_t member, enum record_kind kind, double score)
{
    struct sm_key *key = &model->keys[name];
    struct sm_event *event = make_event(model, kind, name);
    event->member = member;
    event->score = score;
    key->is_member[member] = kind == RECORD_RANKED;
    key->scores[member] = score;
    key->last_seq = model->seq;
}

/* The one at a position, from the lowest score. */
static uint32_t member_at(const struct sm_key *key, uint32_t position)
{
    for (uint32_t member = 0; member < SM_MEMBER_COUNT; member++) {
        uint32_t before = 0;
        for (uint32_t other = 0; other < SM_MEMBER_COUNT; other++) {
            if (!key->is_member[other] || other == member) continue;
            bool is_lower = key->scores[other] < key->scores[member];
            bool is_equal = !is_lower && !(key->scores[other] > key->scores[member]);
            before += is_lower || (is_equal && other < member);
        }
        if (key->is_member[member] && before == position) return member;
    }
    return SM_MEMBER_COUNT;
}

static int64_t trim(struct sm *model, const struct engine_operation *operation, uint32_t name)
{
    struct sm_key *key = &model->keys[name];
    int64_t count = 0;
    for (uint32_t member = 0; member < SM_MEMBER_COUNT; member++) {
        count += key->is_member[member];
    }
    int64_t first = operation->first < 0 ? operation->first + count : operation->first;
    int64_t last = operation->last < 0 ? operation->last + count : operation->last;
    if (first < 0) first = 0;
    int64_t removed = 0;
    for (int64_t position = first; position <= last && position < count; position++) {
        uint32_t member = member_at(key, (uint32_t)first);
        rank(model, name, member, RECORD_UNRANKED, key->scores[member]);
        removed++;
    }
    return removed;
}

static bool is_wanted(const struct sm_key *key, uint32_t member, double score, unsigned when)
{
    if (!key->is_member[member]) return !(when & RANK_IF_PRESENT);
    double now = key->scores[member];
    bool is_other = score > now || score < now;
    if ((when & RANK_IF_ABSENT) || !is_other) return false;
    return !((when & RANK_IF_GREATER) && score < now) && !((when & RANK_IF_LESS) && score > now);
}

static void
change_rank(struct sm *model, const struct engine_operation *operation, struct sm_answer *answer)
{
    uint32_t name = name_of(operation->name);
    struct sm_key *key = &model->keys[name];
    if (operation->kind == OPERATION_RANK_TRIM) {
        answer->results[answer->count].number = trim(model, operation, name);
        return;
    }
    uint32_t member = member_of(operation->member);
    double score = operation->score;
    if (operation->kind == OPERATION_RANK_INCREMENT) {
        if (key->is_member[member]) score += key->scores[member];
        rank(model, name, member, RECORD_RANKED, score);
    } else if (operation->kind == OPERATION_RANK_ADD) {
        if (is_wanted(key, member, score, operation->when)) {
            rank(model, name, member, RECORD_RANKED, score);
        }
    } else if (operation->kind == OPERATION_RANK_REMOVE && key->is_member[member]) {
        rank(model, name, member, RECORD_UNRANKED, key->scores[member]);
    }
    answer->results[answer->count].is_rank = true;
    answer->results[answer->count].is_member = key->is_member[member];
    answer->results[answer->count].score = key->scores[member];
}

static void carry_out(
    struct sm *model,
    const struct engine_operation *operations,
    uint32_t count,
    struct sm_answer *answer)
{
    for (uint32_t index = 0; index < count; index++) {
        const struct engine_operation *operation = &operations[index];
        if (is_of_rank(operation)) {
            change_rank(model, operation, answer);
        } else {
            if (operation->kind != OPERATION_GET) change_register(model, operation, answer);
            answer->results[answer->count].version = model->keys[name_of(operation->name)].version;
        }
        answer->count++;
    }
    for (uint32_t index = model->event_begin; index < model->event_count; index++) {
        model->events[index].more = model->event_count - 1 - index;
    }
}

static enum tenure_err
judge_all(const struct sm *model, const struct engine_change *change, bool *out_is_else)
{
    enum tenure_err err = TENURE_OK;
    *out_is_else = false;
    if (has_twice(change->then_operations, change->then_count)) return TENURE_INVALID;
    if (has_twice(change->else_operations, change->else_count)) return TENURE_INVALID;
    for (uint32_t index = 0; index < change->guard_count; index++) {
        if (!is_guarded(model, &change->guards[index], &err)) return err;
    }
    for (uint32_t index = 0; index < change->condition_count && !*out_is_else; index++) {
        *out_is_else = !does_hold(model, &change->conditions[index]);
    }
    if (*out_is_else && !change->has_else) return TENURE_MISMATCH;
    uint32_t count = *out_is_else ? change->else_count : change->then_count;
    for (uint32_t index = 0; index < count; index++) {
        err = judge(
            model,
            *out_is_else ? &change->else_operations[index] : &change->then_operations[index]);
        if (err != TENURE_OK) return err;
    }
    return TENURE_OK;
}

void sm_change(struct sm *model, uint64_t client, uint64_t tag, const struct engine_change *change)
{
    bool is_else;
    enum tenure_err err = judge_all(model, change, &is_else);
    struct sm_answer *answer = make_answer(model, client, tag);
    answer->err = err;
    if (err == TENURE_MISMATCH) {
        const struct engine_condition *condition = change->conditions;
        while (does_hold(model, condition)) {
            condition++;
        }
        answer->count = 1;
        answer->results[0].version = model->keys[name_of(condition->name)].version;
    }
    if (err != TENURE_OK) return;
    answer->is_else = is_else;
    carry_out(
        model,
        is_else ? change->else_operations : change->then_operations,
        is_else ? change->else_count : change->then_count,
        answer);
}

/* -------------------------------------------------------------- everything else */

void sm_wait(struct sm *model, const struct engine_command *command)
{
    const struct engine_state_wait *wish = &command->as.state_wait;
    uint32_t name = name_of(wish->name);
    const struct sm_key *key = &model->keys[name];
    bool is_over = changed_at(model, key, wish->version) > wish->version;
    if (is_over || wish->wait_ms == 0) {
        struct sm_answer *answer = make_answer(model, command->client, command->tag);
        answer->err = is_over ? TENURE_OK : TENURE_TIMEOUT;
        answer->count = 1;
        answer->results[0].version = key->version;
        return;
    }
    CHECK_LT_UINT(model->wait_count, SM_WAIT_MAX);
    model->waits[model->wait_count++] = (struct sm_wait){
        .client = command->client,
        .tag = command->tag,
        .version = wish->version,
        .name = name,
        .deadline_ns = model->time_ns + (int64_t)wish->wait_ms * NS_PER_MS,
    };
    model->is_waiting = true;
}

void sm_acquired(struct sm *model, uint32_t lock, uint64_t token)
{
    model->holders[lock] = token;
    model->is_lock_known[lock] = true;
    (void)make_event(model, RECORD_GRANTED, 0);
}

void sm_release(struct sm *model, uint32_t lock)
{
    uint64_t token = model->holders[lock];
    model->holders[lock] = 0;
    (void)make_event(model, RECORD_RELEASED, 0);
    uint32_t begin = model->event_count;
    for (uint32_t name = 0; name < SM_NAME_COUNT; name++) {
        if (!model->keys[name].value.is_set || model->keys[name].token != token) continue;
        unset(model, name, CAUSE_HOLD_ENDED);
        wake(model, name);
    }
    for (uint32_t index = begin; index < model->event_count; index++) {
        model->events[index].more = model->event_count - 1 - index;
    }
}

/* The register whose time is over first; SM_NAME_COUNT: none. */
static uint32_t find_over(const struct sm *model)
{
    uint32_t first = SM_NAME_COUNT;
    for (uint32_t name = 0; name < SM_NAME_COUNT; name++) {
        const struct sm_key *key = &model->keys[name];
        if (key->ttl_ms == 0 || key->deadline_ns > model->time_ns) continue;
        const struct sm_key *best = first == SM_NAME_COUNT ? NULL : &model->keys[first];
        /* Of one moment: whose ttl began first. */
        if (best == NULL || key->deadline_ns < best->deadline_ns ||
            (key->deadline_ns == best->deadline_ns && key->armed < best->armed))
        {
            first = name;
        }
    }
    return first;
}

void sm_timer(struct sm *model)
{
    for (uint32_t index = 0; index < model->wait_count;) {
        if (model->waits[index].deadline_ns <= model->time_ns) {
            answer_wait(model, index, TENURE_TIMEOUT);
        } else {
            index++;
        }
    }
    uint32_t name;
    while ((name = find_over(model)) != SM_NAME_COUNT) {
        unset(model, name, CAUSE_EXPIRED);
        wake(model, name);
    }
}

void sm_gone(struct sm *model, uint64_t client)
{
    for (uint32_t index = 0; index < model->wait_count;) {
        if (model->waits[index].client == client) {
            forget_wait(model, index);
        } else {
            index++;
        }
    }
}

void sm_restart(struct sm *model)
{
    model->wait_count = 0;
    for (uint32_t name = 0; name < SM_NAME_COUNT; name++) {
        struct sm_key *key = &model->keys[name];
        key->deadline_ns = model->time_ns + (int64_t)key->ttl_ms * NS_PER_MS;
        key->armed = key->version; /* ends of one moment come in the order of versions then */
    }
    for (uint32_t lock = 0; lock < SM_LOCK_COUNT; lock++) {
        model->is_lock_known[lock] = model->is_lock_known[lock] || model->holders[lock] > 0;
    }
}
