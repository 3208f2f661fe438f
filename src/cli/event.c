#include "cli/event.h"

#include <string.h>

#include "cli/meta.h"
#include "cli/out.h"

static const char *or_null(const char *words)
{
    return words != NULL && words[0] != '\0' ? words : NULL;
}

static bool is_grant(const struct tenure_event *event)
{
    return strcmp(event->kind, "granted") == 0;
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
    json_close(&json, '}');
    json_end();
}

void event_describe(const struct tenure_event *event, char *out_text, size_t text_size)
{
    struct text text;
    text_init(&text, out_text, text_size);
    if (or_null(event->reason) != NULL) {
        text_add_visible(&text, event->reason);
    } else if (or_null(event->meta) != NULL) {
        meta_describe(event->meta, &text);
    }
}
