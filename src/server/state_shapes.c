#include "server/state_shapes.h"

#include <stdio.h>

#include "base/utf8.h"

#define KEY_SIZE_MAX 32u

void shape_bytes(struct json_writer *json, const char *key, struct bytes bytes)
{
    bool has_zero = bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL;
    if (!has_zero && utf8_is_valid(bytes)) {
        json_key(json, key);
        json_text(json, bytes);
        return;
    }
    char key_base64[KEY_SIZE_MAX];
    (void)snprintf(key_base64, sizeof key_base64, "%s_base64", key);
    json_key(json, key_base64);
    json_base64(json, bytes);
}

static void put_number(struct json_writer *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_unsigned(json, value);
}

static void put_score(struct json_writer *json, const char *key, double score)
{
    json_key(json, key);
    json_double(json, score);
}

static void put_bond(struct json_writer *json, struct bytes lock, struct token token)
{
    if (lock.size == 0) return;
    json_key(json, "lock");
    json_text(json, lock);
    put_number(json, "token", token.value);
}

void shape_register(struct json_writer *json, const struct engine_register_view *view)
{
    json_begin_object(json);
    json_key(json, "name");
    json_text(json, view->name);
    put_number(json, "version", view->version);
    if (view->version > 0) {
        shape_bytes(json, "value", view->value);
        if (view->ttl_ms > 0) {
            put_number(json, "ttl_ms", view->ttl_ms);
            put_number(json, "remaining_ms", (uint64_t)view->remaining_ms);
        }
        put_bond(json, view->lock, view->token);
    }
    json_end_object(json);
}

void shape_member(struct json_writer *json, const struct engine_member_view *view)
{
    json_begin_object(json);
    json_key(json, "member");
    json_text(json, view->member);
    put_score(json, "score", view->score);
    put_number(json, "position", view->position);
    json_end_object(json);
}

void shape_change(struct json_writer *json, const struct engine_change_result *result)
{
    if (!result->is_of_rank) {
        shape_register(json, &result->value);
        return;
    }
    json_begin_object(json);
    json_key(json, "name");
    json_text(json, result->value.name);
    json_key(json, "changed");
    json_bool(json, result->is_changed);
    json_key(json, "score");
    if (result->is_member) json_double(json, result->score);
    if (!result->is_member) json_null_value(json);
    json_end_object(json);
}

void shape_rank_members(struct json_writer *json, const struct engine_rank_view *rank)
{
    json_key(json, "name");
    json_text(json, rank->name);
    put_number(json, "count", rank->count);
    put_number(json, "seq", rank->seq.value);
}

static void put_member(struct json_writer *json, const struct record *record)
{
    json_key(json, "member");
    json_text(json, record->id);
    put_score(json, "score", record->score);
    if (record->kind == RECORD_RANKED && !record->is_new) {
        put_score(json, "previous_score", record->score_before);
    }
}

void shape_key_members(struct json_writer *json, const struct record *record)
{
    bool is_value = record->kind == RECORD_SET || record->kind == RECORD_APPENDED;
    if (is_value) shape_bytes(json, "value", record->body);
    if (record->ttl_ms > 0) put_number(json, "ttl_ms", record->ttl_ms);
    put_bond(json, record->bond, record->token);
    if (record->kind == RECORD_UNSET) {
        json_key(json, "cause");
        json_text(json, bytes_from_text(record_cause_word(record->cause)));
    }
    if (record->kind == RECORD_RANKED || record->kind == RECORD_UNRANKED) {
        put_member(json, record);
    }
    if (record->has_previous) shape_bytes(json, "previous", record->previous);
    if (record->more > 0) put_number(json, "more", record->more);
}
