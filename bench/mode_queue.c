/* The modes of queues: put, take and done; the same in parts; and RPUSH of Redis.
 *
 * All bodies are a hundred bytes.  What a take gives must have been put and not been taken before.
 */
#include "base/decimal.h"
#include "mode.h"
#include "mode_item.h"

#define QUEUE       "bench"
#define WORKER_NAME "bench-worker-000001"

static void put_text(struct bytes text, struct buffer *out)
{
    char length[DECIMAL_SIZE_MAX];
    buffer_append_byte(out, '$');
    buffer_append(out, length, decimal_format(text.size, length));
    buffer_append(out, "\r\n", 2);
    buffer_append_bytes(out, text);
    buffer_append(out, "\r\n", 2);
}

static void put_number(uint64_t number, struct buffer *out)
{
    char digits[DECIMAL_SIZE_MAX];
    put_text((struct bytes){ digits, decimal_format(number, digits) }, out);
}

static void put_body(struct mode_run *run, const struct mode_slot *slot, struct buffer *out)
{
    char body[MODE_BODY_SIZE];
    mode_item_put(run, slot, body);
    put_text((struct bytes){ body, sizeof(body) }, out);
}

/* The text that follows `key`; empty when there is none. */
static struct bytes text_of(const struct resp_reply *reply, struct bytes key)
{
    for (uint32_t i = 0; i + 1 < reply->token_count; i++) {
        if (bytes_equal(reply->tokens[i].text, key)) return reply->tokens[i + 1].text;
    }
    return (struct bytes){ "", 0 };
}

/* tenured */

static void compose_put(struct buffer *out)
{
    buffer_append_bytes(out, BYTES_LITERAL("$9\r\nQUEUE.PUT\r\n$5\r\n" QUEUE "\r\n"));
}

static void compose_take(struct buffer *out)
{
    buffer_append_bytes(
        out,
        BYTES_LITERAL("*3\r\n$10\r\nQUEUE.TAKE\r\n$5\r\n" QUEUE "\r\n$19\r\n" WORKER_NAME "\r\n"));
}

static void compose_done(const struct mode_slot *slot, struct buffer *out)
{
    buffer_append_bytes(out, BYTES_LITERAL("*4\r\n$10\r\nQUEUE.DONE\r\n$5\r\n" QUEUE "\r\n"));
    put_text((struct bytes){ slot->item, slot->item_size }, out);
    put_number(slot->token, out);
}

/* It was put, and not merely found. */
static bool is_put(const struct resp_reply *reply)
{
    struct bytes state = text_of(reply, BYTES_LITERAL("state"));
    return (bytes_equal(state, BYTES_LITERAL("ready")) ||
            bytes_equal(state, BYTES_LITERAL("delayed"))) &&
           resp_reply_number(reply, BYTES_LITERAL("repeat")) == 0;
}

/* Exactly one item; remembers what its end needs. */
static bool take_item(struct mode_run *run, struct mode_slot *slot, const struct resp_reply *reply)
{
    if (reply->tokens[0].type != '*' || reply->tokens[0].number != 1) return false;
    struct bytes id = text_of(reply, BYTES_LITERAL("id"));
    int64_t token = resp_reply_number(reply, BYTES_LITERAL("token"));
    if (id.size == 0 || id.size > sizeof(slot->item) || token <= 0) return false;
    memcpy(slot->item, id.data, id.size);
    slot->item_size = (uint8_t)id.size;
    slot->token = (uint64_t)token;
    return mode_item_take(run, text_of(reply, BYTES_LITERAL("body")));
}

static bool is_done(const struct resp_reply *reply)
{
    return bytes_equal(text_of(reply, BYTES_LITERAL("state")), BYTES_LITERAL("done")) &&
           resp_reply_number(reply, BYTES_LITERAL("repeat")) == 0;
}

static void queue_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    switch (slot->step) {
    case 0:
        buffer_append_bytes(out, BYTES_LITERAL("*3\r\n"));
        compose_put(out);
        put_body(run, slot, out);
        break;
    case 1: compose_take(out); break;
    default: compose_done(slot, out);
    }
}

static enum mode_verdict
queue_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    switch (slot->step++) {
    case 0: return is_put(answer->resp) ? MODE_STEP : MODE_WRONG;
    case 1: return take_item(run, slot, answer->resp) ? MODE_STEP : MODE_WRONG;
    default: slot->step = 0; return is_done(answer->resp) ? MODE_CYCLE : MODE_WRONG;
    }
}

/* Items of every name once, in groups that take turns, or delayed. */
static void queue_put_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    uint64_t number = slot->index + run->slot_count * slot->turn;
    bool is_grouped = run->group_count > 0;
    bool is_delayed = run->delay_ms > 0;
    char head[DECIMAL_SIZE_MAX];
    buffer_append_byte(out, '*');
    buffer_append(out, head, decimal_format(3 + 2U * is_grouped + 2U * is_delayed, head));
    buffer_append(out, "\r\n", 2);
    compose_put(out);
    put_body(run, slot, out);
    if (is_grouped) {
        buffer_append_bytes(out, BYTES_LITERAL("$5\r\nGROUP\r\n"));
        put_number(number % run->group_count, out);
    }
    if (is_delayed) {
        buffer_append_bytes(out, BYTES_LITERAL("$5\r\nDELAY\r\n"));
        put_number(run->delay_ms, out);
    }
}

static enum mode_verdict
queue_put_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    (void)slot;
    return is_put(answer->resp) ? MODE_CYCLE : MODE_WRONG;
}

/* What another run has put, once for every name. */
static void queue_take_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    (void)run;
    (void)slot;
    compose_take(out);
}

static enum mode_verdict
queue_take_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    return take_item(run, slot, answer->resp) ? MODE_CYCLE : MODE_WRONG;
}

static void queue_work_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    (void)run;
    if (slot->step == 0) {
        compose_take(out);
    } else {
        compose_done(slot, out);
    }
}

static enum mode_verdict
queue_work_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    if (slot->step == 0) {
        slot->step = 1;
        return take_item(run, slot, answer->resp) ? MODE_STEP : MODE_WRONG;
    }
    slot->step = 0;
    return is_done(answer->resp) ? MODE_CYCLE : MODE_WRONG;
}

/* redis */

static void rpush_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    buffer_append_bytes(out, BYTES_LITERAL("*3\r\n$5\r\nRPUSH\r\n$5\r\n" QUEUE "\r\n"));
    put_body(run, slot, out);
}

/* The length of the list: one more with each answer, as they come in order over one connection. */
static enum mode_verdict
rpush_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)slot;
    const struct resp_token *token = &answer->resp->tokens[0];
    return token->type == ':' && token->number == ++run->list_length ? MODE_CYCLE : MODE_WRONG;
}

const struct mode mode_queue = {
    .name = "queue",
    .summary = "QUEUE.PUT, then QUEUE.TAKE and QUEUE.DONE of whatever is next",
    .compose = queue_compose,
    .judge = queue_judge,
    .units = 1,
};

const struct mode mode_queue_put = {
    .name = "queue-put",
    .summary = "QUEUE.PUT",
    .compose = queue_put_compose,
    .judge = queue_put_judge,
    .units = 1,
};

const struct mode mode_queue_fill = {
    .name = "queue-fill",
    .summary = "QUEUE.PUT of --names items, once",
    .is_once = true,
    .compose = queue_put_compose,
    .judge = queue_put_judge,
    .units = 1,
};

const struct mode mode_queue_take = {
    .name = "queue-take",
    .summary = "QUEUE.TAKE of --names items that a queue-fill has put",
    .is_once = true,
    .is_put_else = true,
    .compose = queue_take_compose,
    .judge = queue_take_judge,
    .units = 1,
};

const struct mode mode_queue_work = {
    .name = "queue-work",
    .summary = "QUEUE.TAKE and QUEUE.DONE of --names items that a queue-fill has put",
    .is_once = true,
    .is_put_else = true,
    .compose = queue_work_compose,
    .judge = queue_work_judge,
    .units = 1,
};

const struct mode mode_redis_rpush = {
    .name = "redis-rpush",
    .summary = "RPUSH to one list, over one connection",
    .compose = rpush_compose,
    .judge = rpush_judge,
    .units = 1,
};
