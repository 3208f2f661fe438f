#include "server/queue_shapes.h"

#include "base/utf8.h"
#include "server/json_shapes.h"

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

static void put_bool(struct json_writer *json, const char *key, bool value)
{
    json_key(json, key);
    json_bool(json, value);
}

/* Null for none. */
static void put_time(struct json_writer *json, const char *key, int64_t us)
{
    json_key(json, key);
    if (us == 0) {
        json_null_value(json);
    } else {
        shape_time(json, (struct wall){ us });
    }
}

static void put_token(struct json_writer *json, struct token token)
{
    json_key(json, "token");
    if (token.value == 0) {
        json_null_value(json);
    } else {
        json_unsigned(json, token.value);
    }
}

static bool is_text(struct bytes bytes)
{
    bool has_zero = bytes.size > 0 && memchr(bytes.data, '\0', bytes.size) != NULL;
    return !has_zero && utf8_is_valid(bytes);
}

static void
put_bytes(struct json_writer *json, const char *key, const char *key_base64, struct bytes bytes)
{
    if (is_text(bytes)) {
        put_text(json, key, bytes);
    } else {
        json_key(json, key_base64);
        json_base64(json, bytes);
    }
}

/* -------------------------------------------------------------------- items */

static void put_taken_members(struct json_writer *json, const struct engine_item_view *item)
{
    put_text(json, "worker", item->worker);
    put_time(json, "taken_at", item->taken_at.us);
    put_number(json, "lease_ms", item->lease_ms);
    put_number(json, "remaining_ms", (uint64_t)item->remaining_ms);
    put_bool(json, "cancelling", item->is_cancelling);
    put_text(json, "progress", item->note);
}

static void put_state_members(struct json_writer *json, const struct engine_item_view *item)
{
    switch (item->state) {
    case ITEM_TAKEN: put_taken_members(json, item); return;
    case ITEM_DONE: put_number(json, "result_bytes", item->note.size); return;
    case ITEM_DELAYED:
        put_time(json, "run_at", item->run_at.us);
        put_text(json, "reason", item->note);
        return;
    case ITEM_READY:
    case ITEM_DEAD:
    case ITEM_CANCELLED: put_text(json, "reason", item->note); return;
    case ITEM_STATE_COUNT: break;
    }
    UNREACHABLE("all states are handled");
}

static void put_terms(struct json_writer *json, const struct item_terms *terms)
{
    bool is_fixed = terms->backoff == ITEM_BACKOFF_FIXED;
    json_key(json, "terms");
    json_begin_object(json);
    put_number(json, "lease_ms", terms->lease_ms);
    put_number(json, "timeout_ms", terms->timeout_ms);
    put_number(json, "retention_ms", terms->retention_ms);
    put_time(json, "expires_at", terms->expires_at_us);
    put_word(json, "backoff", is_fixed ? "fixed" : "exponential");
    put_number(json, "backoff_ms", terms->backoff_ms);
    put_number(json, "backoff_ms_max", terms->backoff_ms_max);
    put_number(json, "jitter", terms->jitter);
    json_end_object(json);
}

static void put_whole_members(struct json_writer *json, const struct engine_item_view *item)
{
    put_text(json, "headers", item->headers);
    put_text(json, "unique", item->unique);
    put_number(json, "attempts_max", item->terms.attempts_max);
    put_number(json, "lapses_max", item->terms.lapses_max);
    put_terms(json, &item->terms);
    if (item->state == ITEM_DONE) put_bytes(json, "result", "result_base64", item->note);
}

void shape_item(
    struct json_writer *json, const struct engine_item_view *item, enum shape_item_detail detail)
{
    json_begin_object(json);
    put_text(json, "queue", item->queue);
    put_text(json, "id", item->id);
    put_word(json, "state", item_state_word(item->state));
    put_text(json, "group", item->group);
    put_number(json, "priority", item->terms.priority);
    put_number(json, "seq", item->number);
    put_time(json, "put_at", item->put_at.us);
    put_number(json, "attempts", item->attempts);
    put_number(json, "lapses", item->lapses);
    put_token(json, item->token);
    put_number(json, "body_bytes", item->body.size);
    put_state_members(json, item);
    if (detail != SHAPE_ITEM_BRIEF) put_whole_members(json, item);
    if (detail == SHAPE_ITEM_BODY) put_bytes(json, "body", "body_base64", item->body);
    json_end_object(json);
}

void shape_taken(struct json_writer *json, const struct engine_item_view *item)
{
    json_begin_object(json);
    put_text(json, "queue", item->queue);
    put_text(json, "id", item->id);
    put_number(json, "token", item->token.value);
    put_bytes(json, "body", "body_base64", item->body);
    put_text(json, "headers", item->headers);
    put_text(json, "group", item->group);
    put_number(json, "priority", item->terms.priority);
    put_number(json, "attempts", item->attempts);
    put_number(json, "attempts_max", item->terms.attempts_max);
    put_number(json, "lapses", item->lapses);
    put_number(json, "lapses_max", item->terms.lapses_max);
    put_number(json, "lease_ms", item->lease_ms);
    put_number(json, "remaining_ms", (uint64_t)item->remaining_ms);
    put_number(json, "timeout_ms", item->terms.timeout_ms);
    put_time(json, "put_at", item->put_at.us);
    json_end_object(json);
}

void shape_put(struct json_writer *json, const struct engine_item_result *result, bool is_many)
{
    json_begin_object(json);
    if (is_many) put_word(json, "outcome", tenure_err_name(result->err));
    if (result->err == TENURE_OK) {
        put_text(json, "id", result->item.id);
        put_word(json, "state", item_state_word(result->item.state));
        put_bool(json, "repeat", result->is_repeat);
    } else {
        const char *detail = result->detail != NULL ? result->detail : tenure_err_text(result->err);
        put_word(json, "detail", detail);
    }
    json_end_object(json);
}

void shape_extended(struct json_writer *json, const struct engine_item_view *item)
{
    json_begin_object(json);
    put_text(json, "id", item->id);
    put_number(json, "token", item->token.value);
    put_number(json, "lease_ms", item->lease_ms);
    put_number(json, "remaining_ms", (uint64_t)item->remaining_ms);
    put_bool(json, "cancelling", item->is_cancelling);
    json_end_object(json);
}

void shape_ended_members(struct json_writer *json, const struct engine_item_result *result)
{
    const struct engine_item_view *item = &result->item;
    put_text(json, "id", item->id);
    put_word(json, "state", item_state_word(item->state));
    put_number(json, "attempts", item->attempts);
    put_number(json, "lapses", item->lapses);
    put_bool(json, "cancelling", item->is_cancelling);
    put_bool(json, "repeat", result->is_repeat);
}

/* --------------------------------------------------------- queues and groups */

static void put_limits(struct json_writer *json, const struct group_limits *limits)
{
    json_key(json, "limits");
    json_begin_object(json);
    put_number(json, "running_max", limits->running_max);
    put_number(json, "size_max", limits->size_max);
    put_number(json, "rate_count", limits->rate_count);
    put_number(json, "rate_ms", limits->rate_ms);
    put_number(json, "burst", limits->burst);
    put_number(json, "weight", limits->weight);
    json_end_object(json);
}

void shape_queue(struct json_writer *json, const struct engine_queue_view *queue)
{
    json_begin_object(json);
    put_text(json, "name", queue->name);
    put_number(json, "seq", queue->seq.value);
    put_bool(json, "paused", queue->is_paused);
    json_key(json, "counts");
    json_begin_object(json);
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        put_number(json, item_state_word(state), queue->counts[state]);
    }
    json_end_object(json);
    put_number(json, "group_count", queue->group_count);
    put_number(json, "taker_count", queue->taker_count);
    json_key(json, "oldest_ms");
    shape_ms(json, queue->oldest_ms);
    put_limits(json, &queue->limits);
    json_end_object(json);
}

void shape_group(struct json_writer *json, const struct engine_group_view *group)
{
    json_begin_object(json);
    put_text(json, "name", group->name);
    put_number(json, "waiting", group->waiting_count);
    put_number(json, "running", group->running_count);
    put_bool(json, "paused", group->is_paused);
    put_bool(json, "own_limits", group->has_limits);
    put_limits(json, &group->limits);
    json_end_object(json);
}
