#include "base/real.h"
#include "server/resp_state.h"

void resp_write_score(struct resp *resp, double score)
{
    char digits[REAL_SIZE_MAX];
    resp_write_bulk(&resp->out, (struct bytes){ digits, real_format(score, digits) });
}

void resp_write_register(struct resp *resp, const struct engine_register_view *view)
{
    bool is_set = view->version > 0;
    bool has_ttl = view->ttl_ms > 0;
    bool is_bound = view->lock.size > 0;
    resp_write_map(&resp->out, 2u + is_set + 2u * has_ttl + 2u * is_bound);
    resp_pair_bytes(resp, "name", view->name);
    resp_pair_unsigned(resp, "version", view->version);
    if (is_set) resp_pair_bytes(resp, "value", view->value);
    if (has_ttl) resp_pair_unsigned(resp, "ttl_ms", view->ttl_ms);
    if (has_ttl) resp_pair_signed(resp, "remaining_ms", view->remaining_ms);
    if (is_bound) resp_pair_bytes(resp, "lock", view->lock);
    if (is_bound) resp_pair_unsigned(resp, "token", view->token.value);
}

/* ------------------------------------------------------------------ results */

static void write_score_or_null(struct resp *resp, const struct engine_change_result *result)
{
    if (result->is_member) {
        resp_write_score(resp, result->score);
    } else {
        resp_write_null(&resp->out);
    }
}

static uint32_t count_results(const struct engine_reply *reply, bool is_new)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < reply->change_count; index++) {
        const struct engine_change_result *result = &reply->changes[index];
        count += result->is_changed && !(is_new && result->was_there);
    }
    return count;
}

/* One of a transaction: of registers all there is, of ranks the score. */
static void write_result(struct resp *resp, const struct engine_change_result *result)
{
    if (result->is_of_rank) {
        write_score_or_null(resp, result);
    } else {
        resp_write_register(resp, &result->value);
    }
}

void resp_write_results(struct resp *resp, const struct engine_reply *reply)
{
    resp_write_array(&resp->out, reply->change_count);
    for (uint32_t index = 0; index < reply->change_count; index++) {
        write_result(resp, &reply->changes[index]);
    }
}

static void write_transaction(struct resp *resp, const struct engine_reply *reply)
{
    resp_write_array(&resp->out, 2);
    resp_write_bool(&resp->out, !reply->is_else);
    resp_write_results(resp, reply);
}

static enum resp_shape shape_of(const struct engine_reply *reply)
{
    return (enum resp_shape)(reply->tag & ((1u << RESP_SHAPE_BITS) - 1));
}

static void write_shape(struct resp *resp, const struct engine_reply *reply)
{
    const struct engine_change_result *result = &reply->changes[0];
    switch (shape_of(reply)) {
    case RESP_SHAPE_VERSION: resp_write_unsigned(&resp->out, result->value.version); return;
    case RESP_SHAPE_NUMBER:
    case RESP_SHAPE_TRIMMED: resp_write_signed(&resp->out, result->number); return;
    case RESP_SHAPE_REMOVED: resp_write_unsigned(&resp->out, result->was_there); return;
    case RESP_SHAPE_REGISTER: resp_write_register(resp, &result->value); return;
    case RESP_SHAPE_SCORE: write_score_or_null(resp, result); return;
    case RESP_SHAPE_ADDED: resp_write_unsigned(&resp->out, count_results(reply, true)); return;
    case RESP_SHAPE_CHANGED: resp_write_unsigned(&resp->out, count_results(reply, false)); return;
    case RESP_SHAPE_RESULTS: write_transaction(resp, reply); return;
    }
    UNREACHABLE("all shapes are handled");
}

/* ------------------------------------------------------------------ refusals */

static struct resp_text describe_refusal(const struct engine_reply *reply)
{
    struct resp_text text = { 0 };
    if (reply->err != TENURE_MISMATCH || reply->change_count == 0) {
        resp_text_add(&text, reply->detail != NULL ? reply->detail : tenure_err_text(reply->err));
        return text;
    }
    const struct engine_register_view *view = &reply->changes[0].value;
    resp_text_add_bytes(&text, view->name);
    resp_text_add(&text, view->version == 0 ? " is not set" : " has version ");
    if (view->version > 0) resp_text_add_number(&text, (int64_t)view->version);
    return text;
}

void resp_write_change_refusal(struct resp *resp, const struct engine_reply *reply)
{
    struct resp_text text = describe_refusal(reply);
    const char *part = engine_change_part_word(reply->fault_part);
    if (part != NULL) {
        resp_text_add(&text, " (");
        resp_text_add(&text, part);
        resp_text_add(&text, " ");
        resp_text_add_number(&text, (int64_t)reply->fault_index + 1);
        if (reply->fault_name.size > 0) resp_text_add(&text, ": ");
        resp_text_add_bytes(&text, reply->fault_name);
        resp_text_add(&text, ")");
    }
    const char *word = tenure_err_resp_word(reply->err);
    resp_write_error(&resp->out, word, resp_text_bytes(&text));
}

/* Of a single operation there is nothing to tell apart. */
static void write_refusal(struct resp *resp, const struct engine_reply *reply)
{
    if (shape_of(reply) == RESP_SHAPE_RESULTS) {
        resp_write_change_refusal(resp, reply);
        return;
    }
    struct resp_text text = describe_refusal(reply);
    resp_write_error(&resp->out, tenure_err_resp_word(reply->err), resp_text_bytes(&text));
}

/* What a wait is told: how it is now, and from where to go on. */
static void write_wait(struct resp *resp, const struct engine_reply *reply)
{
    const struct engine_change_result *result = &reply->changes[0];
    resp_write_array(&resp->out, 3);
    resp_write_bool(&resp->out, reply->err == TENURE_OK);
    resp_write_unsigned(&resp->out, result->version);
    resp_write_register(resp, &result->value);
}

void resp_answer_state(struct resp *resp, const struct engine_reply *reply)
{
    bool is_told = reply->err == TENURE_OK || reply->err == TENURE_TIMEOUT;
    if (reply->kind == ENGINE_STATE_WAIT && is_told) {
        write_wait(resp, reply);
    } else if (reply->err == TENURE_OK) {
        write_shape(resp, reply);
    } else {
        write_refusal(resp, reply);
    }
    resp_end(resp, reply->seq);
}

/* ------------------------------------------------------------------ events */

/* The members that its kind has. */
static uint32_t count_members(const struct record *record)
{
    bool is_value = record->kind == RECORD_SET || record->kind == RECORD_APPENDED;
    bool is_rank = record->kind == RECORD_RANKED || record->kind == RECORD_UNRANKED;
    uint32_t count = (uint32_t)is_value + (record->ttl_ms > 0) + 2u * (record->bond.size > 0);
    count += 2u * is_rank + (record->kind == RECORD_RANKED && !record->is_new);
    return count + (record->kind == RECORD_UNSET) + (record->more > 0) + record->has_previous;
}

static void pair_score(struct resp *resp, const char *key, double score)
{
    resp_write_text(&resp->out, key);
    resp_write_score(resp, score);
}

void resp_write_key_record(struct resp *resp, const struct record *record)
{
    bool is_value = record->kind == RECORD_SET || record->kind == RECORD_APPENDED;
    resp_write_map(&resp->out, 4 + count_members(record));
    resp_pair_unsigned(resp, "seq", record->seq.value);
    resp_pair_text(resp, "kind", record_kind_word(record->kind));
    resp_pair_signed(resp, "at_ms", record->at.us / 1000);
    resp_pair_bytes(resp, "name", record->name);
    if (is_value) resp_pair_bytes(resp, "value", record->body);
    if (record->ttl_ms > 0) resp_pair_unsigned(resp, "ttl_ms", record->ttl_ms);
    if (record->bond.size > 0) {
        resp_pair_bytes(resp, "lock", record->bond);
        resp_pair_unsigned(resp, "token", record->token.value);
    }
    if (record->kind == RECORD_RANKED || record->kind == RECORD_UNRANKED) {
        resp_pair_bytes(resp, "member", record->id);
        pair_score(resp, "score", record->score);
        bool has_before = record->kind == RECORD_RANKED && !record->is_new;
        if (has_before) pair_score(resp, "previous_score", record->score_before);
    }
    if (record->kind == RECORD_UNSET) {
        resp_pair_text(resp, "cause", record_cause_word(record->cause));
    }
    if (record->has_previous) resp_pair_bytes(resp, "previous", record->previous);
    if (record->more > 0) resp_pair_unsigned(resp, "more", record->more);
}
