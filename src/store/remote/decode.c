#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "store/remote/fields.h"
#include "store/remote/lane.h"

#define OBSTACLE_NS NS_PER_S /* to find out who is in the way */

#define INFO_NODE_COUNT_MAX 7u
#define INFO_TEXT_SIZE      256u

/* ------------------------------------------------------------------ pieces of answers */

static bool is_shared_word(const char *word)
{
    return strcmp(word, "shared") == 0;
}

static struct store_holder decode_holder(struct reply *reply)
{
    struct store_holder holder = { .owner = "", .meta = "" };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "owner")) {
            holder.owner = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "token")) {
            holder.token = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "mode")) {
            holder.is_shared = is_shared_word(tni_reply_text_or_empty(reply));
        } else if (is_field(&fields, "slot")) {
            holder.slot = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "ttl_ms")) {
            holder.ttl_ms = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "remaining_ms")) {
            holder.remaining_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "acquired_at_ms")) {
            holder.acquired_at_us = tni_reply_integer(reply) * 1000;
        } else if (is_field(&fields, "breaking")) {
            holder.is_breaking = tni_reply_bool(reply);
        } else if (is_field(&fields, "votes")) {
            holder.votes = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "nodes")) {
            holder.node_count = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "foreign")) {
            holder.is_foreign = tni_reply_bool(reply);
        } else if (is_field(&fields, "meta")) {
            holder.meta = tni_reply_text_or_empty(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    return holder;
}

static struct store_waiter decode_waiter(struct reply *reply)
{
    struct store_waiter waiter = { .owner = "", .meta = "" };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "owner")) {
            waiter.owner = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "mode")) {
            waiter.is_shared = is_shared_word(tni_reply_text_or_empty(reply));
        } else if (is_field(&fields, "priority")) {
            waiter.priority = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "position")) {
            waiter.position = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "waited_ms")) {
            waiter.waited_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "remaining_ms")) {
            waiter.remaining_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "meta")) {
            waiter.meta = tni_reply_text_or_empty(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    return waiter;
}

static uint32_t decode_holders(struct remote *remote, struct reply *reply)
{
    uint32_t count = tni_reply_array(reply);
    buffer_reset(&remote->items);
    for (uint32_t index = 0; index < count && !reply->is_bad; index++) {
        struct store_holder holder = decode_holder(reply);
        buffer_append(&remote->items, &holder, sizeof(holder));
    }
    return count;
}

static uint32_t decode_waiters(struct remote *remote, struct reply *reply)
{
    uint32_t count = tni_reply_array(reply);
    buffer_reset(&remote->others);
    for (uint32_t index = 0; index < count && !reply->is_bad; index++) {
        struct store_waiter waiter = decode_waiter(reply);
        buffer_append(&remote->others, &waiter, sizeof(waiter));
    }
    return count;
}

/* False: nobody holds it and nobody waits for it, or the answer is bad, or there is no memory. */
static bool
decode_lock(struct remote *remote, struct reply *reply, struct store_lock_view *out_view)
{
    if (tni_reply_peek(reply) == RESP_NULL) return false;
    struct store_lock_view view = { .name = "" };
    buffer_reset(&remote->items);
    buffer_reset(&remote->others);
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "name")) {
            view.name = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "mode")) {
            view.is_shared = is_shared_word(tni_reply_text_or_empty(reply));
        } else if (is_field(&fields, "slots")) {
            view.slots = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "seq")) {
            view.seq = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "lock_delay_ms")) {
            view.lock_delay_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "waiter_count")) {
            view.waiter_count = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "holders")) {
            view.holder_count = decode_holders(remote, reply);
        } else if (is_field(&fields, "waiters")) {
            view.waiters_here = decode_waiters(remote, reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    view.holders = (const struct store_holder *)(const void *)remote->items.data;
    view.waiters = (const struct store_waiter *)(const void *)remote->others.data;
    if (reply->is_bad || remote->items.is_failed || remote->others.is_failed) return false;
    *out_view = view;
    return true;
}

/* What events of registers and ranks have beside the others'. */
static bool decode_state_field(const struct fields *fields, struct store_event *event)
{
    struct reply *reply = fields->reply;
    if (is_field(fields, "value")) {
        event->value = tni_reply_bytes(reply);
    } else if (is_field(fields, "previous")) {
        event->previous = tni_reply_bytes(reply);
        event->has_before = true;
    } else if (is_field(fields, "lock")) {
        event->lock = tni_reply_text_or_empty(reply);
    } else if (is_field(fields, "member")) {
        event->member = tni_reply_text_or_empty(reply);
    } else if (is_field(fields, "score")) {
        event->score = tni_decode_score(reply);
    } else if (is_field(fields, "previous_score")) {
        event->score_before = tni_decode_score(reply);
        event->has_before = true;
    } else if (is_field(fields, "more")) {
        event->more = tni_reply_unsigned32(reply);
    } else {
        return false;
    }
    return true;
}

void tni_decode_event(struct reply *reply, struct store_event *out_event)
{
    struct store_event event = { STORE_EVENT_EMPTY };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "seq")) {
            event.seq = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "kind")) {
            event.kind = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "at_ms")) {
            event.at_us = tni_reply_integer(reply) * 1000;
        } else if (is_field(&fields, "name")) {
            event.name = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "owner") || is_field(&fields, "worker")) {
            event.owner = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "id")) {
            event.id = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "group")) {
            event.group = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "token")) {
            event.token = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "mode")) {
            event.is_shared = is_shared_word(tni_reply_text_or_empty(reply));
        } else if (is_field(&fields, "slot")) {
            event.slot = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "ttl_ms") || is_field(&fields, "lease_ms")) {
            event.ttl_ms = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "meta")) {
            event.meta = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "reason") || is_field(&fields, "cause")) {
            event.reason = tni_reply_text_or_empty(reply);
        } else if (!decode_state_field(&fields, &event)) {
            tni_reply_skip(reply);
        }
    }
    *out_event = event;
}

static enum store_end end_from_word(const char *word, size_t size)
{
    static const struct {
        const char *word;
        enum store_end end;
    } words[] = {
        { "released", STORE_END_RELEASED },
        { "expired_unclaimed", STORE_END_EXPIRED_UNCLAIMED },
        { "expired_taken", STORE_END_EXPIRED_TAKEN },
        { "broken", STORE_END_BROKEN },
    };
    for (size_t index = 0; index < sizeof(words) / sizeof(words[0]); index++) {
        if (strlen(words[index].word) == size && memcmp(words[index].word, word, size) == 0) {
            return words[index].end;
        }
    }
    return STORE_END_NOT_OWNER;
}

enum tenure_err tni_err_from_name(const char *name)
{
    for (int err = 0; err < TENURE_ERR_COUNT; err++) {
        if (strcmp(tenure_err_name((enum tenure_err)err), name) == 0) return (enum tenure_err)err;
    }
    return TENURE_INTERNAL;
}

/* ------------------------------------------------------------------ refusals */

struct refusal {
    enum tenure_err err;
    const char *text; /* behind the first word */
};

static struct refusal read_refusal(struct reply *reply)
{
    const char *line = tni_reply_text_or_empty(reply);
    size_t size = strcspn(line, " ");
    struct refusal refusal = { TENURE_UNSUPPORTED, line[size] == ' ' ? line + size + 1 : line };
    for (int err = 1; err < TENURE_ERR_COUNT; err++) {
        const char *word = tenure_err_resp_word((enum tenure_err)err);
        if (strlen(word) == size && memcmp(word, line, size) == 0) {
            refusal.err = (enum tenure_err)err;
        }
    }
    return refusal;
}

/* "held by x for 12 ms, position 3" */
static uint32_t position_in(const char *text)
{
    static const char words[] = ", position ";
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++) {
        found = at;
    }
    if (found == NULL) return 0;
    uint64_t position;
    const char *digits = found + sizeof(words) - 1;
    if (!decimal_parse(bytes_from_text(digits), &position) || position > UINT32_MAX) return 0;
    return (uint32_t)position;
}

/* Of several names the text tells which one is in the way: "name: held by x". */
static const char *name_in(const struct store_acquire *acquire, const char *text)
{
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        size_t size = strlen(acquire->names[index]);
        if (strncmp(text, acquire->names[index], size) == 0 && strncmp(text + size, ": ", 2) == 0) {
            return acquire->names[index];
        }
    }
    return acquire->names[0];
}

/* Once more from the beginning, over another connection. */
static void send_again(struct lane *lane, struct store_op *op, const char *text)
{
    op->where = lane;
    list_insert_before(lane->pending.next, &op->link);
    tni_lane_break(lane, text);
}

static void refuse_acquire(struct lane *lane, struct store_op *op, struct refusal refusal)
{
    const struct store_acquire *acquire = &op->request.as.acquire;
    bool was_waiting = acquire->wait_until.ns > op->started_at.ns;
    int64_t now_ns = tni_store_now().ns;
    if (refusal.err == TENURE_DRAINING) {
        send_again(lane, op, "the server is shutting down");
        return;
    }
    if (refusal.err == TENURE_TIMEOUT && acquire->wait_until.ns > now_ns + NS_PER_S) {
        tni_lane_add(lane, op); /* nobody waits longer than a day in one go */
        return;
    }
    if (refusal.err == TENURE_HELD && was_waiting) refusal.err = TENURE_TIMEOUT;
    if (refusal.err != TENURE_HELD && refusal.err != TENURE_TIMEOUT) {
        struct store_result result = { .err = refusal.err,
                                       .text = refusal.text,
                                       .sent_at = op->sent_at };
        tni_remote_finish(op, &result);
        return;
    }
    op->err_kept = refusal.err;
    op->has_text = true;
    op->position = position_in(refusal.text);
    (void)snprintf(op->text, sizeof(op->text), "%s", refusal.text);
    (void)snprintf(op->name_kept, sizeof(op->name_kept), "%s", name_in(acquire, refusal.text));
    op->phase = PHASE_OBSTACLE;
    op->deadline = (struct mono){ now_ns + OBSTACLE_NS };
    tni_lane_add(lane, op);
}

static void refuse_renew(struct store_op *op, struct refusal refusal)
{
    size_t size = strcspn(refusal.text, ", ");
    struct store_renewal renewal = { .err = refusal.err, .end = end_from_word(refusal.text, size) };
    bool is_extend = op->request.verb == STORE_EXTEND;
    bool is_all = (is_extend ? op->request.as.extend.count : op->request.as.renew.count) == 1;
    struct store_result result = { .err = is_all ? TENURE_OK : refusal.err,
                                   .text = refusal.text,
                                   .sent_at = op->sent_at };
    result.as.renew.renewals = &renewal;
    result.as.renew.count = 1;
    tni_remote_finish(op, &result);
}

/* An end that was sent twice: the first one may have counted, when the server has forgotten the
 * item since.  Of an item that it knows it knows that, too, and says so. */
static bool is_doubtful(const struct store_op *op, struct refusal refusal)
{
    return op->request.verb == STORE_FINISH && op->is_sent_again && refusal.err == TENURE_LOST &&
           strstr(refusal.text, "the item is not known") != NULL;
}

static void refuse(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct refusal refusal = read_refusal(reply);
    if (op->request.verb == STORE_ACQUIRE && op->phase == PHASE_FIRST) {
        refuse_acquire(lane, op, refusal);
    } else if (op->phase == PHASE_OBSTACLE) {
        tni_remote_give_up(lane->remote, op, op->err_kept, op->text);
    } else if (op->request.verb == STORE_RENEW || op->request.verb == STORE_EXTEND) {
        refuse_renew(op, refusal);
    } else if (is_doubtful(op, refusal)) {
        struct store_result result = { .err = TENURE_UNKNOWN,
                                       .text = "the answer was lost, and the item is not known any "
                                               "more: this may have counted" };
        tni_remote_finish(op, &result);
    } else if (tni_is_wait(op) && refusal.err == TENURE_DRAINING) {
        send_again(lane, op, "the server is shutting down");
    } else {
        struct store_result result = { .err = refusal.err, .text = refusal.text };
        tni_remote_finish(op, &result);
    }
}

/* The server says something that the protocol does not know. */
void tni_remote_finish_bad(struct store_op *op)
{
    struct store_result result = { .err = TENURE_INTERNAL,
                                   .text = "the answer of the server is not understood",
                                   .is_unsure = op->request.verb == STORE_ACQUIRE };
    tni_remote_finish(op, &result);
}

void tni_remote_finish_untold(struct store_op *op)
{
    struct store_result result = { .err = TENURE_UNKNOWN,
                                   .text = "there was not enough memory for the answer" };
    tni_remote_finish(op, &result);
}

/* ------------------------------------------------------------------ answers */

static struct store_grant decode_grant(struct reply *reply)
{
    struct store_grant grant = { 0 };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "name")) {
            grant.name = tni_reply_text(reply);
        } else if (is_field(&fields, "token")) {
            grant.token = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "slot")) {
            grant.slot = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "ttl_ms")) {
            grant.ttl_ms = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "remaining_ms")) {
            grant.remaining_ms = tni_reply_integer(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    if (grant.token == 0 || grant.token > TOKEN_MAX) reply->is_bad = true;
    return grant;
}

static void answer_acquire(struct store_op *op, struct reply *reply)
{
    uint32_t name_count = op->request.as.acquire.name_count;
    struct store_grant grants[LIMIT_NAME_COUNT_MAX];
    uint32_t count = name_count > 1 ? tni_reply_array(reply) : 1;
    if (count != name_count) {
        tni_remote_finish_bad(op);
        return;
    }
    for (uint32_t index = 0; index < count; index++) {
        grants[index] = decode_grant(reply);
    }
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
        return;
    }
    struct store_result result = { .err = TENURE_OK, .sent_at = op->sent_at };
    result.as.acquire.grants = grants;
    result.as.acquire.grant_count = count;
    tni_remote_finish(op, &result);
}

static void answer_obstacle(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct store_lock_view view;
    struct store_result result = { .err = op->err_kept, .text = op->text };
    result.as.acquire.position = op->position;
    if (decode_lock(lane->remote, reply, &view)) result.as.acquire.obstacle = &view;
    tni_remote_finish(op, &result);
}

static struct store_renewal decode_renewal(struct reply *reply)
{
    struct store_renewal renewal = { .err = TENURE_INTERNAL, .end = STORE_END_NOT_OWNER };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "outcome")) {
            const char *word = tni_reply_text_or_empty(reply);
            renewal.err = tni_err_from_name(word);
        } else if (is_field(&fields, "reason")) {
            const char *word = tni_reply_text_or_empty(reply);
            renewal.end = end_from_word(word, strlen(word));
        } else if (is_field(&fields, "ttl_ms")) {
            renewal.ttl_ms = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "remaining_ms")) {
            renewal.remaining_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "breaking")) {
            renewal.is_breaking = tni_reply_bool(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    return renewal;
}

static void answer_renew(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct buffer *items = &lane->remote->items;
    uint32_t expected = op->request.as.renew.count;
    uint32_t count = expected == 1 ? 1 : tni_reply_array(reply);
    buffer_reset(items);
    for (uint32_t index = 0; index < count && !reply->is_bad; index++) {
        struct store_renewal renewal = decode_renewal(reply);
        buffer_append(items, &renewal, sizeof(renewal));
    }
    if (reply->is_bad || items->is_failed || count != expected) {
        tni_remote_finish_bad(op);
        return;
    }
    struct store_result result = { .err = TENURE_OK, .sent_at = op->sent_at };
    result.as.renew.renewals = (const struct store_renewal *)(const void *)items->data;
    result.as.renew.count = count;
    tni_remote_finish(op, &result);
}

/* ["released"] or ["expired_taken", 123]; a transfer: ["transferred", 123]. */
static void answer_end(struct store_op *op, struct reply *reply)
{
    struct store_result result = { .err = TENURE_OK };
    uint32_t count = tni_reply_array(reply);
    const char *word = tni_reply_text_or_empty(reply);
    uint64_t successor = count > 1 ? tni_reply_unsigned(reply) : 0;
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
        return;
    }
    if (op->request.verb == STORE_TRANSFER) {
        result.as.transfer_token = successor;
    } else {
        result.as.release.end = end_from_word(word, strlen(word));
        result.as.release.successor = successor;
    }
    tni_remote_finish(op, &result);
}

static void answer_inspect(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct store_lock_view view;
    struct store_result result = { .err = TENURE_NOT_FOUND };
    bool is_there = tni_reply_peek(reply) != RESP_NULL;
    if (decode_lock(lane->remote, reply, &view)) {
        result.err = TENURE_OK;
        result.as.inspect = &view;
    } else if (is_there) {
        result.err = reply->is_bad ? TENURE_INTERNAL : TENURE_NO_MEMORY;
    }
    tni_remote_finish(op, &result);
}

static void answer_history(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct buffer *items = &lane->remote->items;
    struct store_result result = { .err = TENURE_OK };
    uint32_t count = tni_reply_array(reply);
    buffer_reset(items);
    for (uint32_t index = 0; index < count && !reply->is_bad; index++) {
        struct store_event event;
        tni_decode_event(reply, &event);
        buffer_append(items, &event, sizeof(event));
    }
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
        return;
    }
    if (items->is_failed) result.err = TENURE_NO_MEMORY;
    result.as.history.events = (const struct store_event *)(const void *)items->data;
    result.as.history.count = count;
    tni_remote_finish(op, &result);
}

/* ------------------------------------------------------------------ lists */

static const char *decode_brief(struct reply *reply)
{
    const char *name = "";
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "name")) {
            name = tni_reply_text_or_empty(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    return name;
}

static void end_page(struct lane *lane, struct store_op *op)
{
    op->phase = PHASE_FIRST;
    if (op->name_kept[0] != '\0') {
        (void)snprintf(op->cursor, sizeof(op->cursor), "%s", op->name_kept);
        tni_lane_add(lane, op);
        return;
    }
    struct store_result result = { .err = TENURE_OK };
    tni_remote_finish(op, &result);
}

/* A page has names; who holds them is asked for one by one, in one go. */
static void answer_list(struct lane *lane, struct store_op *op, struct reply *reply)
{
    bool is_written = true;
    op->name_kept[0] = '\0';
    op->pending_count = 0;
    op->phase = PHASE_ITEMS;
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "cursor")) {
            const char *next = tni_reply_text_or_empty(reply);
            (void)snprintf(op->name_kept, sizeof(op->name_kept), "%s", next);
        } else if (is_field(&fields, "locks")) {
            uint32_t count = tni_reply_array(reply);
            for (uint32_t index = 0; index < count && !reply->is_bad && is_written; index++) {
                is_written = tni_encode_item(lane, op, decode_brief(reply));
                op->pending_count += is_written ? 1 : 0;
            }
        } else {
            tni_reply_skip(reply);
        }
    }
    if (!is_written) {
        tni_remote_give_up(lane->remote, op, TENURE_NO_MEMORY, NULL);
    } else if (reply->is_bad) {
        tni_remote_finish_bad(op);
    } else if (op->pending_count == 0) {
        end_page(lane, op);
    } else {
        tni_lane_touch(lane);
    }
}

static void answer_item(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct store_lock_view view;
    bool is_there = tni_reply_peek(reply) != RESP_NULL;
    if (decode_lock(lane->remote, reply, &view)) {
        (void)snprintf(op->cursor, sizeof(op->cursor), "%s", view.name);
        op->item(op, &view);
        if (op->is_finished) return; /* the receiver has canceled it */
    } else if (is_there) {
        tni_remote_finish_bad(op); /* and with that it may be gone: its owner has his answer */
        return;
    }
    ASSERT(op->pending_count > 0);
    if (--op->pending_count == 0) end_page(lane, op);
}

/* ------------------------------------------------------------------ INFO */

/* "key:value\r\n" of all the lines; empty when it is not there. */
static const char *info_field(const char *text, const char *key)
{
    size_t size = strlen(key);
    while (text != NULL) {
        if (strncmp(text, key, size) == 0 && text[size] == ':') return text + size + 1;
        text = strchr(text, '\n');
        if (text != NULL) text++;
    }
    return "";
}

static uint64_t info_number(const char *text, const char *key)
{
    const char *value = info_field(text, key);
    uint64_t number = 0;
    struct bytes digits = { value, strcspn(value, "\r\n") };
    return decimal_parse(digits, &number) ? number : 0;
}

static void info_text(const char *text, const char *key, char *out_text, size_t text_size)
{
    const char *value = info_field(text, key);
    size_t size = strcspn(value, "\r\n");
    if (size >= text_size) size = text_size - 1;
    memcpy(out_text, value, size);
    out_text[size] = '\0';
}

/* The servers behind a tenured that stands in front of another store. */
struct told_nodes {
    struct store_node nodes[INFO_NODE_COUNT_MAX];
    char texts[INFO_NODE_COUNT_MAX][8][INFO_TEXT_SIZE];
};

static const char *
node_text(const char *text, uint32_t index, const char *key, char out_text[static INFO_TEXT_SIZE])
{
    char name[32];
    (void)snprintf(name, sizeof(name), "node%u_%s", index, key);
    info_text(text, name, out_text, INFO_TEXT_SIZE);
    return out_text;
}

static int64_t node_number(const char *text, uint32_t index, const char *key)
{
    char digits[INFO_TEXT_SIZE];
    (void)node_text(text, index, key, digits);
    bool is_negative = digits[0] == '-';
    uint64_t number = 0;
    const char *start = digits + (is_negative ? 1 : 0);
    if (!decimal_parse(bytes_from_text(start), &number) || number > INT64_MAX) return 0;
    return is_negative ? -(int64_t)number : (int64_t)number;
}

static uint32_t read_nodes(const char *text, struct told_nodes *told)
{
    uint64_t count = info_number(text, "store_nodes");
    if (count > INFO_NODE_COUNT_MAX) count = INFO_NODE_COUNT_MAX;
    for (uint32_t index = 0; index < count; index++) {
        told->nodes[index] = (struct store_node){
            .address = node_text(text, index, "address", told->texts[index][0]),
            .standing = node_text(text, index, "standing", told->texts[index][1]),
            .role = node_text(text, index, "role", told->texts[index][2]),
            .version = node_text(text, index, "version", told->texts[index][3]),
            .persistence = node_text(text, index, "persistence", told->texts[index][4]),
            .eviction_policy = node_text(text, index, "eviction_policy", told->texts[index][5]),
            .trouble = node_text(text, index, "trouble", told->texts[index][6]),
            .advice = node_text(text, index, "advice", told->texts[index][7]),
            .quarantine_ms = node_number(text, index, "quarantine_ms"),
            .clock_offset_ms = node_number(text, index, "clock_offset_ms"),
            .is_reachable = node_number(text, index, "reachable") != 0,
            .is_voting = node_number(text, index, "voting") != 0,
        };
    }
    return (uint32_t)count;
}

static void answer_info(struct store_op *op, struct reply *reply)
{
    UNINITIALIZED struct told_nodes told;
    char version[32];
    char node_id[64];
    const char *text = tni_reply_text_or_empty(reply);
    info_text(text, "tenured_version", version, sizeof(version));
    info_text(text, "run_id", node_id, sizeof(node_id));
    struct store_result result = { .err = TENURE_OK };
    result.as.info = (struct store_info){
        .nodes = told.nodes,
        .node_count = read_nodes(text, &told),
        .version = version,
        .node_id = node_id,
        .uptime_us = info_number(text, "uptime_us"),
        .hold_count = info_number(text, "holds"),
        .waiter_count = info_number(text, "waiters"),
        .connection_count = info_number(text, "connected_clients"),
        .connection_count_max = info_number(text, "maxclients"),
        .journal_bytes = info_number(text, "journal_bytes"),
        .disk_free_bytes = info_number(text, "disk_free_bytes"),
        .stall_count = info_number(text, "stalls"),
        .stalled_ms = info_number(text, "stalled_ms"),
        .damaged_file_count = info_number(text, "damaged_files"),
        .is_disk_full = info_number(text, "disk_full") != 0,
        .is_disk_slow = info_number(text, "disk_slow") != 0,
    };
    tni_remote_finish(op, &result);
}

/* ------------------------------------------------------------------ */

void tni_decode(struct lane *lane, struct store_op *op, struct reply *reply)
{
    if (tni_reply_peek(reply) == RESP_ERROR && op->phase != PHASE_ITEMS) {
        refuse(lane, op, reply);
        return;
    }
    switch (op->request.verb) {
    case STORE_ACQUIRE:
        if (op->phase == PHASE_OBSTACLE) {
            answer_obstacle(lane, op, reply);
        } else {
            answer_acquire(op, reply);
        }
        break;
    case STORE_RENEW: answer_renew(lane, op, reply); break;
    case STORE_TRANSFER:
    case STORE_RELEASE: answer_end(op, reply); break;
    case STORE_INSPECT: answer_inspect(lane, op, reply); break;
    case STORE_HISTORY: answer_history(lane, op, reply); break;
    case STORE_INFO: answer_info(op, reply); break;
    case STORE_LIST:
        if (op->phase == PHASE_ITEMS) {
            answer_item(lane, op, reply);
        } else {
            answer_list(lane, op, reply);
        }
        break;
    case STORE_BREAK:
    case STORE_PROCLAIM:
    case STORE_SCOPE: {
        struct store_result result = { .err = TENURE_OK };
        tni_remote_finish(op, &result);
        break;
    }
    case STORE_PUT:
    case STORE_TAKE:
    case STORE_EXTEND:
    case STORE_FINISH:
    case STORE_ITEM:
    case STORE_ITEMS:
    case STORE_QUEUE:
    case STORE_QUEUES:
    case STORE_AWAIT:
    case STORE_ITEM_CANCEL:
    case STORE_ITEM_KICK:
    case STORE_SWEEP: tni_decode_queue(lane, op, reply); break;
    case STORE_TRANSACT:
    case STORE_REGISTERS:
    case STORE_REGISTER_WAIT:
    case STORE_RANK:
    case STORE_PUBLISH: tni_decode_state(lane, op, reply); break;
    }
}
