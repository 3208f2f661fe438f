#include "server/resp_queue.h"
#include "server/resp_state.h"

#define WAITER_COUNT_MAX 100u /* shown of one lock; waiter_count tells of the rest */

static const char *state_word(const struct engine_lock_view *lock)
{
    if (lock->hold_count > 0) return "held";
    return lock->waiter_count > 0 ? "waited" : "delayed";
}

static void write_holder(
    struct resp *resp, const struct engine_hold_view *hold, const struct query_votes *votes)
{
    resp_write_map(&resp->out, votes == NULL ? 9 : 12);
    resp_pair_bytes(resp, "owner", hold->owner);
    resp_pair_unsigned(resp, "token", hold->token.value);
    resp_pair_bytes(resp, "mode", resp_mode_word(hold->mode));
    resp_pair_unsigned(resp, "slot", hold->slot);
    resp_pair_unsigned(resp, "ttl_ms", hold->ttl_ms);
    resp_pair_signed(resp, "remaining_ms", hold->remaining_ms);
    resp_pair_signed(resp, "acquired_at_ms", hold->acquired_at.us / 1000);
    resp_pair_unsigned(resp, "breaking", hold->is_breaking ? 1 : 0);
    resp_pair_bytes(resp, "meta", hold->meta);
    if (votes == NULL) return;
    resp_pair_unsigned(resp, "votes", votes->votes);
    resp_pair_unsigned(resp, "nodes", votes->node_count);
    resp_pair_unsigned(resp, "foreign", votes->is_foreign ? 1 : 0);
}

static void write_holders(struct resp *resp, const struct query_lock *lock)
{
    resp_write_text(&resp->out, "holders");
    resp_write_array(&resp->out, lock->view.hold_count);
    struct engine_hold_view hold;
    struct query_cursor cursor = { 0 };
    uint32_t count = 0;
    while (query_next_hold(lock, &cursor, &hold)) {
        write_holder(resp, &hold, query_hold_votes(lock, &cursor));
        count++;
    }
    ASSERT(count == lock->view.hold_count);
}

static void write_waiters(struct resp *resp, const struct query_lock *lock)
{
    struct engine_waiter_view waiters[WAITER_COUNT_MAX];
    uint32_t count = query_waiters(lock, waiters, WAITER_COUNT_MAX);
    resp_write_text(&resp->out, "waiters");
    resp_write_array(&resp->out, count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_map(&resp->out, 7);
        resp_pair_bytes(resp, "owner", waiters[index].owner);
        resp_pair_bytes(resp, "mode", resp_mode_word(waiters[index].mode));
        resp_pair_unsigned(resp, "priority", waiters[index].priority);
        resp_pair_unsigned(resp, "position", waiters[index].position);
        resp_pair_signed(resp, "waited_ms", waiters[index].waited_ms);
        resp_pair_signed(resp, "remaining_ms", waiters[index].remaining_ms);
        resp_pair_bytes(resp, "meta", waiters[index].meta);
    }
}

/* False: there was no answer, and the client was told so. */
static bool is_answered(struct resp *resp, const struct query_answer *answer)
{
    if (answer->err == TENURE_OK) return true;
    const char *text = answer->detail != NULL ? answer->detail : tenure_err_text(answer->err);
    resp_refuse(resp, answer->err, text);
    return false;
}

static void tell_lock(struct session *session, const struct query_answer *answer)
{
    struct resp *resp = resp_speak(session);
    if (!is_answered(resp, answer)) return;
    const struct query_lock *lock = answer->locks;
    if (!lock->is_known) {
        resp_write_null(&resp->out);
        resp_end(resp, answer->seq);
        return;
    }
    resp_write_map(&resp->out, 9);
    resp_pair_bytes(resp, "name", lock->view.name);
    resp_pair_text(resp, "state", state_word(&lock->view));
    resp_pair_bytes(resp, "mode", resp_mode_word(lock->view.mode));
    resp_pair_unsigned(resp, "slots", lock->view.slots);
    resp_pair_unsigned(resp, "seq", lock->view.seq.value);
    write_holders(resp, lock);
    write_waiters(resp, lock);
    resp_pair_unsigned(resp, "waiter_count", lock->view.waiter_count);
    resp_pair_signed(resp, "lock_delay_ms", lock->view.delay_ms);
    resp_end(resp, answer->seq);
}

void resp_run_get(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct query query = { .kind = QUERY_LOCK, .tell = tell_lock };
    if (!resp_take_plain(&args, "name", &query.name)) return;
    server_ask(resp->server, resp->session, &query);
}

/* ------------------------------------------------------------------ LOCK.LIST */

static bool take_state(struct resp_args *args, enum engine_state_filter *out_state)
{
    if (resp_take_keyword(args, "HELD")) {
        *out_state = ENGINE_STATE_HELD;
    } else if (resp_take_keyword(args, "WAITED")) {
        *out_state = ENGINE_STATE_WAITED;
    } else {
        resp_refuse(args->resp, TENURE_INVALID, "STATE must be held or waited");
        return false;
    }
    return true;
}

static bool take_list_option(struct resp_args *args, struct engine_list_query *query)
{
    if (resp_take_keyword(args, "PREFIX")) {
        return resp_take_text(args, "PREFIX", LIMIT_NAME_SIZE_MAX, &query->prefix);
    }
    if (resp_take_keyword(args, "OWNER")) return resp_take_plain(args, "OWNER", &query->owner);
    if (resp_take_keyword(args, "STATE")) return take_state(args, &query->state);
    if (resp_take_keyword(args, "CURSOR")) {
        return resp_take_text(args, "CURSOR", LIMIT_NAME_SIZE_MAX, &query->after);
    }
    if (resp_take_keyword(args, "LIMIT")) {
        uint64_t number;
        if (!resp_take_number(args, "LIMIT", 1, LIMIT_LIST_COUNT_MAX, &number)) return false;
        query->count_max = (uint32_t)number;
        return true;
    }
    return resp_refuse_keyword(args);
}

static void tell_list(struct session *session, const struct query_answer *answer)
{
    struct resp *resp = resp_speak(session);
    if (!is_answered(resp, answer)) return;
    resp_write_map(&resp->out, 2);
    resp_write_text(&resp->out, "locks");
    resp_write_array(&resp->out, answer->lock_count);
    for (uint32_t index = 0; index < answer->lock_count; index++) {
        const struct engine_lock_view *lock = &answer->locks[index].view;
        resp_write_map(&resp->out, 6);
        resp_pair_bytes(resp, "name", lock->name);
        resp_pair_text(resp, "state", state_word(lock));
        resp_pair_bytes(resp, "mode", resp_mode_word(lock->mode));
        resp_pair_unsigned(resp, "slots", lock->slots);
        resp_pair_unsigned(resp, "holders", lock->hold_count);
        resp_pair_unsigned(resp, "waiters", lock->waiter_count);
    }
    resp_write_text(&resp->out, "cursor");
    if (answer->next.size == 0) {
        resp_write_null(&resp->out);
    } else {
        resp_write_bulk(&resp->out, answer->next);
    }
    resp_end(resp, answer->seq);
}

void resp_run_list(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct query query = { .kind = QUERY_LIST, .tell = tell_list, .list = { .count_max = 100 } };
    while (resp_args_left(&args)) {
        if (!take_list_option(&args, &query.list)) return;
    }
    server_ask(resp->server, resp->session, &query);
}

/* ------------------------------------------------------------------ LOCK.HISTORY */

void resp_write_record(struct resp *resp, const struct record *record)
{
    if (RECORD_KIND_IS_WORK(record->kind)) {
        resp_write_work_record(resp, record);
        return;
    }
    if (RECORD_KIND_IS_KEY(record->kind)) {
        resp_write_key_record(resp, record);
        return;
    }
    bool is_granted = record->kind == RECORD_GRANTED;
    bool has_ttl = is_granted || record->kind == RECORD_RENEWED;
    bool has_meta = is_granted || record->kind == RECORD_PROCLAIMED;
    uint32_t count = is_granted ? 7 : 4;
    count += record->owner.size > 0 ? 1 : 0;
    count += record->token.value > 0 ? 1 : 0;
    count += has_ttl ? 1 : 0;
    count += has_meta ? 1 : 0;
    count += record->reason.size > 0 ? 1 : 0;
    count += record->lock_delay_ms > 0 ? 1 : 0;
    count += record->grace_ms > 0 ? 1 : 0;
    resp_write_map(&resp->out, count);
    resp_pair_unsigned(resp, "seq", record->seq.value);
    resp_pair_text(resp, "kind", record_kind_word(record->kind));
    resp_pair_signed(resp, "at_ms", record->at.us / 1000);
    resp_pair_bytes(resp, "name", record->name);
    if (record->owner.size > 0) resp_pair_bytes(resp, "owner", record->owner);
    if (record->token.value > 0) resp_pair_unsigned(resp, "token", record->token.value);
    if (is_granted) {
        resp_pair_bytes(resp, "mode", resp_mode_word(record->mode));
        resp_pair_unsigned(resp, "slot", record->slot);
        resp_pair_unsigned(resp, "slots", record->slots);
    }
    if (has_ttl) resp_pair_unsigned(resp, "ttl_ms", record->ttl_ms);
    if (has_meta) resp_pair_bytes(resp, "meta", record->meta);
    if (record->reason.size > 0) resp_pair_bytes(resp, "reason", record->reason);
    if (record->lock_delay_ms > 0) resp_pair_unsigned(resp, "lock_delay_ms", record->lock_delay_ms);
    if (record->grace_ms > 0) resp_pair_unsigned(resp, "grace_ms", record->grace_ms);
}

static void tell_history(struct session *session, const struct query_answer *answer)
{
    struct resp *resp = resp_speak(session);
    if (!is_answered(resp, answer)) return;
    resp_write_array(&resp->out, answer->record_count);
    for (uint32_t index = 0; index < answer->record_count; index++) {
        resp_write_record(resp, &answer->records[index]);
    }
    resp_end(resp, answer->seq);
}

void resp_run_history(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct query query = { .kind = QUERY_HISTORY, .tell = tell_history };
    uint64_t count_max = LIMIT_HISTORY_COUNT_MAX;
    if (!resp_take_plain(&args, "name", &query.name)) return;
    while (resp_args_left(&args)) {
        if (!resp_take_keyword(&args, "COUNT")) {
            (void)resp_refuse_keyword(&args);
            return;
        }
        if (!resp_take_number(&args, "COUNT", 1, LIMIT_HISTORY_COUNT_MAX, &count_max)) return;
    }
    query.count_max = (uint32_t)count_max;
    server_ask(resp->server, resp->session, &query);
}

/* ------------------------------------------------------------------ ELECT.LEADER */

void resp_tell_leader(struct session *session, const struct query_answer *answer)
{
    struct resp *resp = resp_speak(session);
    if (!is_answered(resp, answer)) return;
    const struct query_lock *lock = answer->locks;
    struct engine_hold_view hold;
    bool has_leader = query_first_hold(lock, &hold);
    resp_write_map(&resp->out, 4);
    resp_pair_bytes(resp, "name", answer->name);
    resp_pair_unsigned(resp, "seq", lock->view.seq.value);
    resp_write_text(&resp->out, "leader");
    if (has_leader) {
        resp_write_map(&resp->out, 4);
        resp_pair_bytes(resp, "owner", hold.owner);
        resp_pair_unsigned(resp, "token", hold.token.value);
        resp_pair_bytes(resp, "value", hold.meta);
        resp_pair_signed(resp, "remaining_ms", hold.remaining_ms);
    } else {
        resp_write_null(&resp->out);
    }
    resp_pair_unsigned(resp, "candidates", lock->view.waiter_count);
    resp_end(resp, answer->seq);
}

void resp_run_leader(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct query query = { .kind = QUERY_LOCK, .tell = resp_tell_leader };
    if (!resp_take_plain(&args, "name", &query.name)) return;
    server_ask(resp->server, resp->session, &query);
}
