#include <stdio.h>
#include <string.h>

#include "store/remote/fields.h"
#include "store/remote/lane.h"

#define US_PER_MS INT64_C(1000)

/* ------------------------------------------------------------------ pieces of answers */

static enum store_item_state state_from_word(struct reply *reply)
{
    const char *word = tni_reply_text_or_empty(reply);
    for (unsigned state = 0; state < STORE_ITEM_STATE_COUNT; state++) {
        if (strcmp(tni_store_item_state_word(state), word) == 0) {
            return (enum store_item_state)state;
        }
    }
    reply->is_bad = true;
    return STORE_ITEM_DELAYED;
}

/* -1, or nothing, is no time. */
static int64_t read_time_us(struct reply *reply)
{
    int64_t time_ms = tni_reply_integer(reply);
    return time_ms < 0 || time_ms > INT64_MAX / US_PER_MS ? 0 : time_ms * US_PER_MS;
}

static void decode_terms(struct reply *reply, struct store_item *item)
{
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "timeout_ms")) {
            item->timeout_ms = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "lease_ms") && item->lease_ms == 0) {
            item->lease_ms = tni_reply_unsigned32(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
}

static bool decode_item_text(struct fields *fields, struct store_item *item)
{
    const struct {
        const char *name;
        const char **text;
    } texts[] = {
        { "queue", &item->queue },     { "id", &item->id },         { "group", &item->group },
        { "headers", &item->headers }, { "worker", &item->worker }, { "unique", &item->unique_key },
        { "progress", &item->note },   { "reason", &item->note },
    };
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        if (!is_field(fields, texts[index].name)) continue;
        *texts[index].text = tni_reply_text_or_empty(fields->reply);
        return true;
    }
    return false;
}

static bool decode_item_number(struct fields *fields, struct store_item *item)
{
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {
        { "priority", &item->priority },     { "attempts", &item->attempts },
        { "lapses", &item->lapses },         { "attempts_max", &item->attempts_max },
        { "lease_ms", &item->lease_ms },     { "lapses_max", &item->lapses_max },
        { "timeout_ms", &item->timeout_ms },
    };
    for (size_t index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++) {
        if (!is_field(fields, numbers[index].name)) continue;
        *numbers[index].number = tni_reply_unsigned32(fields->reply);
        return true;
    }
    return false;
}

static struct store_item decode_item(struct reply *reply, enum store_item_state state)
{
    struct store_item item = { .queue = "",
                               .id = "",
                               .group = "",
                               .headers = "",
                               .unique_key = "",
                               .note = "",
                               .worker = "",
                               .body = { "", 0 },
                               .state = state,
                               .result = { "", 0 } };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (decode_item_text(&fields, &item) || decode_item_number(&fields, &item)) continue;
        if (is_field(&fields, "body")) {
            item.body = tni_reply_bytes(reply);
        } else if (is_field(&fields, "result")) {
            item.result = tni_reply_bytes(reply);
        } else if (is_field(&fields, "seq")) {
            item.seq = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "token")) {
            item.token = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "state")) {
            item.state = state_from_word(reply);
        } else if (is_field(&fields, "put_at_ms")) {
            item.put_at_us = read_time_us(reply);
        } else if (is_field(&fields, "run_at_ms")) {
            item.run_at_us = read_time_us(reply);
        } else if (is_field(&fields, "taken_at_ms")) {
            item.taken_at_us = read_time_us(reply);
        } else if (is_field(&fields, "remaining_ms")) {
            item.remaining_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "cancelling")) {
            item.is_cancelling = tni_reply_bool(reply);
        } else if (is_field(&fields, "terms")) {
            decode_terms(reply, &item);
        } else {
            tni_reply_skip(reply);
        }
    }
    return item;
}

static void decode_counts(struct reply *reply, struct store_queue_stat *stat)
{
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        unsigned state = 0;
        while (state < STORE_ITEM_STATE_COUNT &&
               !is_field(&fields, tni_store_item_state_word(state))) {
            state++;
        }
        if (state < STORE_ITEM_STATE_COUNT) {
            stat->counts[state] = tni_reply_unsigned32(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
}

static void decode_limits(struct reply *reply, struct store_group_limits *limits)
{
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {
        { "running_max", &limits->running_max },
        { "size_max", &limits->waiting_max },
        { "rate_count", &limits->rate_count },
        { "rate_ms", &limits->rate_ms },
        { "burst", &limits->burst },
        { "weight", &limits->weight },
    };
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        size_t index = 0;
        while (index < count && !is_field(&fields, numbers[index].name)) {
            index++;
        }
        if (index < count) {
            *numbers[index].number = tni_reply_unsigned32(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
}

static struct store_queue_stat decode_stat(struct reply *reply)
{
    struct store_queue_stat stat = { .queue = "", .oldest_ms = -1 };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "name")) {
            stat.queue = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "paused")) {
            stat.is_paused = tni_reply_bool(reply);
        } else if (is_field(&fields, "counts")) {
            decode_counts(reply, &stat);
        } else if (is_field(&fields, "waiting")) {
            stat.counts[STORE_ITEM_READY] = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "running")) {
            stat.counts[STORE_ITEM_TAKEN] = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "group_count")) {
            stat.group_count = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "taker_count")) {
            stat.taker_count = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "oldest_ms")) {
            stat.oldest_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "limits")) {
            decode_limits(reply, &stat.limits);
        } else {
            tni_reply_skip(reply);
        }
    }
    return stat;
}

/* ------------------------------------------------------------------ put, take, extend */

static struct store_put_result decode_put(struct reply *reply)
{
    struct store_put_result put = { .err = TENURE_OK, .id = "", .text = NULL };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "outcome")) {
            put.err = tni_err_from_name(tni_reply_text_or_empty(reply));
        } else if (is_field(&fields, "reason")) {
            put.text = tni_reply_text(reply);
        } else if (is_field(&fields, "id")) {
            put.id = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "state")) {
            put.state = state_from_word(reply);
        } else if (is_field(&fields, "repeat")) {
            put.is_repeat = tni_reply_bool(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    return put;
}

static void answer_put(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct buffer *items = &lane->remote->items;
    uint32_t expected = op->request.as.put.count;
    uint32_t count = expected == 1 ? 1 : tni_reply_array(reply);
    struct store_put_result only = { .id = "" }; /* which needs no memory */
    buffer_reset(items);
    if (expected == 1) only = decode_put(reply);
    for (uint32_t index = 0; expected > 1 && index < count && !reply->is_bad; index++) {
        struct store_put_result put = decode_put(reply);
        buffer_append(items, &put, sizeof(put));
    }
    if (reply->is_bad || count != expected) {
        tni_remote_finish_bad(op);
        return;
    }
    if (items->is_failed) {
        tni_remote_finish_untold(op);
        return;
    }
    struct store_result result = { .err = TENURE_OK };
    const void *many = items->data;
    result.as.put.results = expected == 1 ? &only : many;
    result.as.put.count = count;
    tni_remote_finish(op, &result);
}

/* Nothing was there: wait for it, as long as there is time. */
static void go_on_taking(struct lane *lane, struct store_op *op)
{
    int64_t left_ns = op->request.as.take.wait_until.ns - tni_store_now().ns;
    if (left_ns > 0 && op->phase == PHASE_FIRST) {
        tni_remote_wait(lane->remote, op);
    } else if (left_ns > NS_PER_S) {
        tni_lane_add(lane, op); /* nobody waits longer than a day in one go */
    } else {
        struct store_result result = { .err = TENURE_TIMEOUT,
                                       .text = "there was nothing to take",
                                       .sent_at = op->sent_at };
        tni_remote_finish(op, &result);
    }
}

static struct store_item decode_taken(struct reply *reply)
{
    struct store_item item = decode_item(reply, STORE_ITEM_TAKEN);
    bool is_sound = item.token > 0 && item.token <= TOKEN_MAX && item.lease_ms > 0;
    if (!is_sound) reply->is_bad = true;
    return item;
}

static void answer_take(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct buffer *items = &lane->remote->items;
    uint32_t count = tni_reply_array(reply);
    struct store_item only = { .queue = "" }; /* which needs no memory */
    buffer_reset(items);
    if (count == 1) only = decode_taken(reply);
    for (uint32_t index = 0; count > 1 && index < count && !reply->is_bad; index++) {
        struct store_item item = decode_taken(reply);
        buffer_append(items, &item, sizeof(item));
    }
    if (reply->is_bad || count > op->request.as.take.count_max) {
        tni_remote_finish_bad(op);
        return;
    }
    if (items->is_failed) {
        tni_remote_finish_untold(op);
        return;
    }
    if (count == 0) {
        go_on_taking(lane, op);
        return;
    }
    struct store_result result = { .err = TENURE_OK, .sent_at = op->sent_at };
    const void *many = items->data;
    result.as.items.items = count == 1 ? &only : many;
    result.as.items.count = count;
    tni_remote_finish(op, &result);
}

static struct store_renewal decode_extension(struct reply *reply)
{
    struct store_renewal renewal = { .err = TENURE_INTERNAL, .end = STORE_END_NOT_OWNER };
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "outcome")) {
            renewal.err = tni_err_from_name(tni_reply_text_or_empty(reply));
        } else if (is_field(&fields, "lease_ms")) {
            renewal.ttl_ms = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "remaining_ms")) {
            renewal.remaining_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "cancelling")) {
            renewal.is_cancelling = tni_reply_bool(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    return renewal;
}

static void answer_extend(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct buffer *items = &lane->remote->items;
    uint32_t expected = op->request.as.extend.count;
    uint32_t count = expected == 1 ? 1 : tni_reply_array(reply);
    struct store_renewal only = { .err = TENURE_INTERNAL }; /* which needs no memory */
    buffer_reset(items);
    if (expected == 1) only = decode_extension(reply);
    for (uint32_t index = 0; expected > 1 && index < count && !reply->is_bad; index++) {
        struct store_renewal renewal = decode_extension(reply);
        buffer_append(items, &renewal, sizeof(renewal));
    }
    if (reply->is_bad || count != expected) {
        tni_remote_finish_bad(op);
        return;
    }
    if (items->is_failed) {
        tni_remote_finish_untold(op);
        return;
    }
    struct store_result result = { .err = TENURE_OK, .sent_at = op->sent_at };
    const void *many = items->data;
    result.as.renew.renewals = expected == 1 ? &only : many;
    result.as.renew.count = count;
    tni_remote_finish(op, &result);
}

/* ------------------------------------------------------------------ look */

static bool is_over(const struct store_item *item)
{
    return item->state == STORE_ITEM_DONE || item->state == STORE_ITEM_DEAD ||
           item->state == STORE_ITEM_CANCELLED;
}

static void answer_item(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct store_result result = { .err = TENURE_NOT_FOUND };
    bool is_awaited = op->request.verb == STORE_AWAIT;
    bool is_there = tni_reply_peek(reply) != RESP_NULL;
    struct store_item item = { .queue = "" };
    if (is_there) item = decode_item(reply, STORE_ITEM_DELAYED);
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
        return;
    }
    bool is_too_early = is_there && is_awaited && !is_over(&item);
    int64_t now_ns = tni_store_now().ns;
    if (is_too_early && op->request.as.await_end.wait_until.ns > now_ns + NS_PER_S) {
        tni_lane_add(lane, op); /* nobody waits longer than a day in one go */
        return;
    }
    if (is_there) {
        result.err = is_too_early ? TENURE_TIMEOUT : TENURE_OK;
        if (result.err == TENURE_TIMEOUT) result.text = "the item has not ended yet";
        result.as.items.items = &item;
        result.as.items.count = 1;
    }
    tni_remote_finish(op, &result);
}

static void answer_stat(struct store_op *op, struct reply *reply)
{
    struct store_result result = { .err = TENURE_NOT_FOUND };
    struct store_queue_stat stat = { .queue = "" };
    if (tni_reply_peek(reply) != RESP_NULL) {
        stat = decode_stat(reply);
        const char *group = op->request.as.queue.group;
        stat.group = group;
        if (group != NULL) stat.queue = op->request.as.queue.queue;
        result = (struct store_result){ .err = TENURE_OK };
        result.as.stat = &stat;
    }
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
    } else {
        tni_remote_finish(op, &result);
    }
}

/* Tell what is on the page, one by one.  False: it is bad, or nobody wants more; the operation is
 * over then. */
static bool tell_page(struct store_op *op, struct reply *reply)
{
    uint32_t count = tni_reply_array(reply);
    for (uint32_t index = 0; index < count && !reply->is_bad; index++) {
        if (op->request.verb == STORE_ITEMS) {
            struct store_item item = decode_item(reply, op->request.as.items.state);
            item.queue = op->request.as.items.queue;
            if (!reply->is_bad) op->work(op, &item, NULL);
        } else {
            struct store_queue_stat stat = decode_stat(reply);
            if (!reply->is_bad) op->work(op, NULL, &stat);
        }
        if (op->is_finished) return false;
        op->position++;
    }
    return true;
}

static void answer_page(struct lane *lane, struct store_op *op, struct reply *reply)
{
    bool is_items = op->request.verb == STORE_ITEMS;
    uint32_t count_max = is_items ? op->request.as.items.count_max : 0;
    op->cursor[0] = '\0';
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, is_items ? "items" : "queues")) {
            if (!tell_page(op, reply)) return;
        } else if (is_field(&fields, "cursor")) {
            const char *cursor = tni_reply_text_or_empty(reply);
            if (strlen(cursor) >= sizeof(op->cursor)) reply->is_bad = true;
            (void)snprintf(op->cursor, sizeof(op->cursor), "%s", cursor);
        } else {
            tni_reply_skip(reply);
        }
    }
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
    } else if (op->cursor[0] != '\0' && (count_max == 0 || op->position < count_max)) {
        tni_lane_add(lane, op);
    } else {
        struct store_result result = { .err = TENURE_OK };
        tni_remote_finish(op, &result);
    }
}

/* ------------------------------------------------------------------ the rest */

static void answer_sweep(struct store_op *op, struct reply *reply)
{
    struct store_result result = { .err = TENURE_OK };
    struct fields fields = fields_of(reply);
    result.as.sweep.is_all = true;
    while (next_field(&fields)) {
        if (is_field(&fields, "count")) {
            result.as.sweep.count = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "more")) {
            result.as.sweep.is_all = !tni_reply_bool(reply);
        } else if (is_field(&fields, "cursor")) {
            const char *cursor = tni_reply_text_or_empty(reply);
            if (strlen(cursor) >= sizeof(op->cursor)) reply->is_bad = true;
            (void)snprintf(op->cursor, sizeof(op->cursor), "%s", cursor);
            if (op->cursor[0] != '\0') result.as.sweep.cursor = op->cursor;
        } else {
            tni_reply_skip(reply);
        }
    }
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
    } else {
        tni_remote_finish(op, &result);
    }
}

/* What became of an item: its outcome is all that is asked for. */
static void answer_end(struct store_op *op)
{
    struct store_result result = { .err = TENURE_OK };
    tni_remote_finish(op, &result);
}

void tni_decode_queue(struct lane *lane, struct store_op *op, struct reply *reply)
{
    // NOLINTNEXTLINE(clang-diagnostic-switch-enum): those of locks are decode.c's
    switch ((unsigned)op->request.verb) {
    case STORE_PUT: answer_put(lane, op, reply); break;
    case STORE_TAKE: answer_take(lane, op, reply); break;
    case STORE_EXTEND: answer_extend(lane, op, reply); break;
    case STORE_ITEM:
    case STORE_AWAIT: answer_item(lane, op, reply); break;
    case STORE_QUEUE: answer_stat(op, reply); break;
    case STORE_ITEMS:
    case STORE_QUEUES: answer_page(lane, op, reply); break;
    case STORE_SWEEP: answer_sweep(op, reply); break;
    case STORE_FINISH:
    case STORE_ITEM_CANCEL:
    case STORE_ITEM_KICK: answer_end(op); break;
    }
}
