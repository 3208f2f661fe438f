#include "cli/event.h"

#include <string.h>

#include "cli/meta.h"
#include "cli/out.h"
#include "cli/state.h"

#define VALUE_SHOWN_SIZE 200u

static const char *or_null(const char *words)
{
    return words != NULL && words[0] != '\0' ? words : NULL;
}

static bool is_grant(const struct tenure_event *event)
{
    return strcmp(event->kind, "granted") == 0;
}

static bool is_kind(const struct tenure_event *event, const char *kind)
{
    return strcmp(event->kind, kind) == 0;
}

static void print_score(struct json *json, const char *name, double score, bool is_there)
{
    char text[STATE_SCORE_SIZE];
    json_key(json, name);
    (void)fputs(is_there ? state_score_text(score, text) : "null", stdout);
}

static void
print_value(struct json *json, const char *name, const void *value, size_t size, bool is_there)
{
    if (is_there) {
        json_bytes(json, name, value, size);
    } else {
        json_string(json, name, NULL);
    }
}

static void print_state(struct json *json, const struct tenure_event *event)
{
    bool is_value = is_kind(event, "set") || is_kind(event, "appended");
    bool is_rank = event->member[0] != '\0';
    json_string(json, "lock", or_null(event->lock));
    print_value(json, "value", event->value, event->value_size, is_value);
    bool has_previous = event->has_before && !is_rank;
    print_value(json, "previous", event->previous, event->previous_size, has_previous);
    json_string(json, "member", or_null(event->member));
    print_score(json, "score", event->score, is_rank);
    print_score(json, "previous_score", event->score_before, is_rank && event->has_before);
    json_number(json, "more", event->more);
}

void event_print_json(const struct tenure_event *event)
{
    struct json json = { .is_inside = false };
    bool is_granted = is_grant(event);
    json_open(&json, '{');
    json_number(&json, "seq", event->seq);
    json_string(&json, "kind", event->kind);
    json_time(&json, "at", event->at_us);
    json_string(&json, "name", event->name);
    json_string(&json, "owner", or_null(event->owner));
    json_span(&json, "token", event->token == 0 ? -1 : (int64_t)event->token);
    const char *mode = event->mode == TENURE_SHARED ? "shared" : "exclusive";
    json_string(&json, "mode", is_granted ? mode : NULL);
    json_span(&json, "slot", is_granted ? (int64_t)event->slot : -1);
    json_span(&json, "ttl_ms", is_granted ? (int64_t)event->ttl_ms : -1);
    json_string(&json, "meta", or_null(event->meta));
    json_string(&json, "reason", or_null(event->reason));
    json_string(&json, "id", or_null(event->id));
    json_string(&json, "group", or_null(event->group));
    print_state(&json, event);
    json_close(&json, '}');
    json_end();
}

/* The beginning of it, for people. */
static void describe_value(const struct tenure_event *event, struct text *text)
{
    char value[VALUE_SHOWN_SIZE];
    size_t size = event->value_size < sizeof(value) ? event->value_size : sizeof(value) - 1;
    memcpy(value, event->value, size);
    value[size] = '\0';
    text_add_visible(text, value);
    if (size < event->value_size) text_add(text, "…");
}

void event_describe(const struct tenure_event *event, char *out_text, size_t text_size)
{
    struct text text;
    char score[STATE_SCORE_SIZE];
    text_init(&text, out_text, text_size);
    if (or_null(event->member) != NULL) {
        text_add_visible(&text, event->member);
        text_addf(&text, "  %s", state_score_text(event->score, score));
    } else if (event->value_size > 0) {
        describe_value(event, &text);
    } else if (or_null(event->reason) != NULL) {
        text_add_visible(&text, event->reason);
    } else if (or_null(event->meta) != NULL) {
        meta_describe(event->meta, &text);
    }
}
