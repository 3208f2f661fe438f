/* json_shapes - see json_shapes.h. */
#include "server/json_shapes.h"

#include <time.h>

#include "server/state_shapes.h"

#define HOLDER_COUNT_MAX 1000u /* shown of one lock; hold_count has the truth */
#define WAITER_COUNT_MAX 100u

static void put_digits(char *text, int value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        text[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void shape_time(struct json_writer *json, struct wall at)
{
    char text[] = "0000-00-00T00:00:00.000Z";
    int64_t us = at.us < 0 ? 0 : at.us;
    time_t second = (time_t)(us / 1000000);
    struct tm parts = { 0 };
    if (gmtime_r(&second, &parts) == NULL || parts.tm_year + 1900 > 9999) {
        json_null_value(json);
        return;
    }
    put_digits(text, parts.tm_year + 1900, 4);
    put_digits(text + 5, parts.tm_mon + 1, 2);
    put_digits(text + 8, parts.tm_mday, 2);
    put_digits(text + 11, parts.tm_hour, 2);
    put_digits(text + 14, parts.tm_min, 2);
    put_digits(text + 17, parts.tm_sec, 2);
    put_digits(text + 20, (int)(us % 1000000 / 1000), 3);
    json_text(json, (struct bytes){ text, sizeof(text) - 1 });
}

void shape_ms(struct json_writer *json, int64_t ms)
{
    if (ms < 0) {
        json_null_value(json);
    } else {
        json_signed(json, ms);
    }
}

static const char *mode_word(enum engine_mode mode)
{
    return mode == ENGINE_SHARED ? "shared" : "exclusive";
}

static void put_text(struct json_writer *json, const char *key, struct bytes text)
{
    json_key(json, key);
    json_text(json, text);
}

static void put_word(struct json_writer *json, const char *key, const char *word)
{
    put_text(json, key, bytes_from_text(word));
}

static void put_number(struct json_writer *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_unsigned(json, value);
}

static void put_ms(struct json_writer *json, const char *key, int64_t ms)
{
    json_key(json, key);
    shape_ms(json, ms);
}

static void put_time(struct json_writer *json, const char *key, struct wall at)
{
    json_key(json, key);
    shape_time(json, at);
}

/* -------------------------------------------------------------------- holds */

static void put_hold(struct json_writer *json, const struct engine_hold_view *hold)
{
    put_text(json, "name", hold->name);
    put_text(json, "owner", hold->owner);
    put_number(json, "token", hold->token.value);
    put_word(json, "mode", mode_word(hold->mode));
    put_number(json, "slot", hold->slot);
    put_number(json, "ttl_ms", hold->ttl_ms);
    put_ms(json, "remaining_ms", hold->remaining_ms);
    put_text(json, "meta", hold->meta);
    put_time(json, "acquired_at", hold->acquired_at);
}

void shape_hold(struct json_writer *json, const struct engine_hold_view *hold)
{
    json_begin_object(json);
    put_hold(json, hold);
    json_end_object(json);
}

/* The next hold of a lock, with the votes that it has.  False: there is none. */
static bool
put_next_hold(struct json_writer *json, const struct query_lock *lock, struct query_cursor *cursor)
{
    struct engine_hold_view hold;
    if (!query_next_hold(lock, cursor, &hold)) return false;
    const struct query_votes *votes = query_hold_votes(lock, cursor);
    json_begin_object(json);
    put_hold(json, &hold);
    if (votes != NULL) {
        put_number(json, "votes", votes->votes);
        put_number(json, "nodes", votes->node_count);
        json_key(json, "foreign");
        json_bool(json, votes->is_foreign);
    }
    json_end_object(json);
    return true;
}

void shape_leader(struct json_writer *json, const struct engine_hold_view *hold)
{
    json_begin_object(json);
    put_text(json, "name", hold->name);
    put_text(json, "owner", hold->owner);
    put_number(json, "token", hold->token.value);
    put_number(json, "ttl_ms", hold->ttl_ms);
    put_ms(json, "remaining_ms", hold->remaining_ms);
    put_text(json, "value", hold->meta);
    put_time(json, "acquired_at", hold->acquired_at);
    json_end_object(json);
}

void shape_refusal(struct json_writer *json, const struct engine_result *result)
{
    put_text(json, "name", result->name);
    json_key(json, "holder");
    if (result->holder.name.size == 0) {
        json_null_value(json);
    } else {
        json_begin_object(json);
        put_text(json, "owner", result->holder.owner);
        put_number(json, "token", result->holder.token.value);
        put_word(json, "mode", mode_word(result->holder.mode));
        put_ms(json, "remaining_ms", result->holder.remaining_ms);
        put_text(json, "meta", result->holder.meta);
        put_time(json, "acquired_at", result->holder.acquired_at);
        json_end_object(json);
    }
    put_ms(json, "retry_after_ms", result->retry_after_ms);
    put_number(json, "position", result->position);
    put_ms(json, "waited_ms", result->waited_ms);
}

/* -------------------------------------------------------------------- locks */

static void put_lock_head(struct json_writer *json, const struct engine_lock_view *lock)
{
    const char *state = "delayed";
    if (lock->waiter_count > 0) state = "waited";
    if (lock->hold_count > 0) state = "held";
    put_text(json, "name", lock->name);
    put_word(json, "state", state);
    put_word(json, "mode", mode_word(lock->mode));
    put_number(json, "slots", lock->slots);
    put_number(json, "seq", lock->seq.value);
    put_number(json, "hold_count", lock->hold_count);
    put_number(json, "waiter_count", lock->waiter_count);
    put_ms(json, "lock_delay_ms", lock->delay_ms);
}

void shape_lock_summary(struct json_writer *json, const struct query_lock *lock)
{
    struct query_cursor cursor = { 0 };
    json_begin_object(json);
    put_lock_head(json, &lock->view);
    json_key(json, "holder");
    if (!put_next_hold(json, lock, &cursor)) json_null_value(json);
    json_end_object(json);
}

static void put_waiter(struct json_writer *json, const struct engine_waiter_view *waiter)
{
    put_text(json, "owner", waiter->owner);
    put_number(json, "priority", waiter->priority);
    put_number(json, "position", waiter->position);
    put_ms(json, "waited_ms", waiter->waited_ms);
    put_ms(json, "remaining_ms", waiter->remaining_ms);
}

void shape_lock(struct json_writer *json, const struct query_lock *lock)
{
    json_begin_object(json);
    put_lock_head(json, &lock->view);
    json_key(json, "holders");
    json_begin_array(json);
    struct query_cursor cursor = { 0 };
    for (uint32_t i = 0; i < HOLDER_COUNT_MAX; i++) {
        if (!put_next_hold(json, lock, &cursor)) break;
    }
    json_end_array(json);

    json_key(json, "waiters");
    json_begin_array(json);
    struct engine_waiter_view waiters[WAITER_COUNT_MAX];
    uint32_t count = query_waiters(lock, waiters, WAITER_COUNT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        json_begin_object(json);
        put_waiter(json, &waiters[i]);
        put_text(json, "meta", waiters[i].meta);
        put_word(json, "mode", mode_word(waiters[i].mode));
        put_number(json, "name_count", waiters[i].name_count);
        json_end_object(json);
    }
    json_end_array(json);
    json_end_object(json);
}

void shape_election(struct json_writer *json, const struct query_lock *lock)
{
    json_begin_object(json);
    put_text(json, "name", lock->view.name);
    put_number(json, "seq", lock->view.seq.value);
    json_key(json, "leader");
    struct engine_hold_view hold;
    if (query_first_hold(lock, &hold)) {
        shape_leader(json, &hold);
    } else {
        json_null_value(json);
    }
    json_key(json, "candidates");
    json_begin_array(json);
    struct engine_waiter_view waiters[WAITER_COUNT_MAX];
    uint32_t count = query_waiters(lock, waiters, WAITER_COUNT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        json_begin_object(json);
        put_waiter(json, &waiters[i]);
        put_text(json, "value", waiters[i].meta);
        json_end_object(json);
    }
    json_end_array(json);
    put_number(json, "candidate_count", lock->view.waiter_count);
    json_end_object(json);
}

/* ------------------------------------------------------------------- events */

static void put_granted(struct json_writer *json, const struct record *record)
{
    put_word(json, "mode", mode_word(record->mode));
    put_number(json, "slot", record->slot);
    put_number(json, "slots", record->slots);
    put_number(json, "ttl_ms", record->ttl_ms);
    put_number(json, "lock_delay_ms", record->lock_delay_ms);
    put_text(json, "meta", record->meta);
}

/* What queues tell: the members that the kind has. */
static void put_work_members(struct json_writer *json, const struct record *record)
{
    if (record->id.size > 0) put_text(json, "id", record->id);
    bool is_scope = record->kind >= RECORD_PAUSED && !record->is_whole;
    if (record->kind == RECORD_PUT || is_scope) put_text(json, "group", record->group);
    if (record->kind == RECORD_TAKEN) put_text(json, "worker", record->owner);
    if (record->token.value > 0) put_number(json, "token", record->token.value);
    if (record->ttl_ms > 0) put_number(json, "lease_ms", record->ttl_ms);
    if (record->reason.size > 0) put_text(json, "reason", record->reason);
    if (record->kind == RECORD_PUT) put_number(json, "body_bytes", record->body.size);
    if (record->kind == RECORD_DONE) put_number(json, "result_bytes", record->body.size);
}

static void put_kind_members(struct json_writer *json, const struct record *record)
{
    switch (record->kind) {
    case RECORD_GRANTED: put_granted(json, record); return;
    case RECORD_RENEWED: put_number(json, "ttl_ms", record->ttl_ms); return;
    case RECORD_RELEASED: put_text(json, "reason", record->reason); return;
    case RECORD_EXPIRED: put_number(json, "lock_delay_ms", record->lock_delay_ms); return;
    case RECORD_BREAKING:
        put_number(json, "grace_ms", record->grace_ms);
        put_text(json, "reason", record->reason);
        return;
    case RECORD_BROKEN:
        put_number(json, "lock_delay_ms", record->lock_delay_ms);
        put_text(json, "reason", record->reason);
        return;
    case RECORD_PROCLAIMED: put_text(json, "meta", record->meta); return;
    case RECORD_AVAILABLE: return;
    case RECORD_PUT:
    case RECORD_TAKEN:
    case RECORD_EXTENDED:
    case RECORD_PROGRESSED:
    case RECORD_DONE:
    case RECORD_FAILED:
    case RECORD_LAPSED:
    case RECORD_BURIED:
    case RECORD_CANCELLING:
    case RECORD_CANCELLED:
    case RECORD_KICKED:
    case RECORD_REMOVED:
    case RECORD_PAUSED:
    case RECORD_RESUMED:
    case RECORD_LIMITED: put_work_members(json, record); return;
    case RECORD_SET:
    case RECORD_APPENDED:
    case RECORD_UNSET:
    case RECORD_RANKED:
    case RECORD_UNRANKED: shape_key_members(json, record); return;
    }
}

void shape_event(struct json_writer *json, const struct record *record)
{
    json_begin_object(json);
    put_number(json, "seq", record->seq.value);
    put_word(json, "kind", record_kind_word(record->kind));
    put_time(json, "at", record->at);
    put_text(json, "name", record->name);
    bool is_of_lock = !RECORD_KIND_IS_WORK(record->kind) && !RECORD_KIND_IS_KEY(record->kind);
    if (record->kind != RECORD_AVAILABLE && is_of_lock) {
        put_text(json, "owner", record->owner);
        put_number(json, "token", record->token.value);
    }
    put_kind_members(json, record);
    json_end_object(json);
}
