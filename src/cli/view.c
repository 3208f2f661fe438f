#include "cli/view.h"

#include "cli/out.h"

static const char *mode_word(enum tenure_mode mode)
{
    return mode == TENURE_SHARED ? "shared" : "exclusive";
}

static void print_holder(struct json *json, const struct tenure_holder *holder)
{
    json_key(json, NULL);
    json_open(json, '{');
    json_string(json, "owner", holder->owner);
    json_number(json, "token", holder->token);
    json_string(json, "mode", mode_word(holder->mode));
    json_number(json, "slot", holder->slot);
    json_number(json, "ttl_ms", holder->ttl_ms);
    json_span(json, "remaining_ms", holder->remaining_ms);
    json_string(json, "meta", holder->meta);
    if (holder->acquired_at_us > 0) {
        json_time(json, "acquired_at", holder->acquired_at_us);
    } else {
        json_string(json, "acquired_at", NULL);
    }
    json_bool(json, "breaking", holder->is_breaking);
    bool is_voted = holder->node_count > 0;
    json_span(json, "votes", is_voted ? (int64_t)holder->votes : -1);
    json_span(json, "nodes", is_voted ? (int64_t)holder->node_count : -1);
    json_bool(json, "foreign", holder->is_foreign);
    json_close(json, '}');
}

static void print_waiter(struct json *json, const struct tenure_waiter *waiter)
{
    json_key(json, NULL);
    json_open(json, '{');
    json_string(json, "owner", waiter->owner);
    json_string(json, "mode", mode_word(waiter->mode));
    json_number(json, "priority", waiter->priority);
    json_number(json, "position", waiter->position);
    json_span(json, "waited_ms", waiter->waited_ms);
    json_span(json, "remaining_ms", waiter->remaining_ms);
    json_string(json, "meta", waiter->meta);
    json_close(json, '}');
}

static const char *state_word(const struct tenure_lock_view *view)
{
    if (view->hold_count > 0) return "held";
    return view->waiter_count > 0 ? "waited" : "delayed";
}

void view_describe_votes(const struct tenure_holder *holder, struct text *text)
{
    const char *comma = "";
    if (holder->is_foreign) {
        text_add(text, "foreign owner");
        comma = ", ";
    }
    if (holder->node_count > 0) {
        text_addf(text, "%sheld on %u of %u nodes", comma, holder->votes, holder->node_count);
    }
}

void view_print_json(const struct tenure_lock_view *view)
{
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "name", view->name);
    json_string(&json, "state", state_word(view));
    json_string(&json, "mode", mode_word(view->mode));
    json_number(&json, "slots", view->slots);
    json_number(&json, "seq", view->seq);
    json_span(&json, "lock_delay_ms", view->lock_delay_ms);
    json_number(&json, "hold_count", view->hold_count);
    json_number(&json, "waiter_count", view->waiter_count);
    json_key(&json, "holders");
    json_open(&json, '[');
    for (uint32_t i = 0; i < view->holder_count; i++) {
        print_holder(&json, &view->holders[i]);
    }
    json_close(&json, ']');
    json_key(&json, "waiters");
    json_open(&json, '[');
    for (uint32_t i = 0; i < view->waiters_here; i++) {
        print_waiter(&json, &view->waiters[i]);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end();
}
