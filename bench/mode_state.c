/* The modes of shared state: STATE.SET, and SET of Redis; a value is a hundred bytes. */
#include "mode.h"
#include "mode_item.h"

static void put_pair(struct mode_run *run, const struct mode_slot *slot, struct buffer *out)
{
    char name[MODE_NAME_SIZE];
    char value[MODE_BODY_SIZE];
    mode_name_write(run, slot, slot->turn, name);
    mode_item_put(run, slot, value);
    buffer_append_bytes(out, BYTES_LITERAL("$20\r\n"));
    buffer_append(out, name, sizeof(name));
    buffer_append_bytes(out, BYTES_LITERAL("\r\n$100\r\n"));
    buffer_append(out, value, sizeof(value));
    buffer_append_bytes(out, BYTES_LITERAL("\r\n"));
}

static void state_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    buffer_append_bytes(out, BYTES_LITERAL("*3\r\n$9\r\nSTATE.SET\r\n"));
    put_pair(run, slot, out);
}

/* A version, which is greater than that of what this slot has set before. */
static enum mode_verdict
state_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    const struct resp_token *token = &answer->resp->tokens[0];
    if (token->type != ':' || token->number <= (int64_t)slot->token) return MODE_WRONG;
    slot->token = (uint64_t)token->number;
    return MODE_CYCLE;
}

static void redis_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    buffer_append_bytes(out, BYTES_LITERAL("*3\r\n$3\r\nSET\r\n"));
    put_pair(run, slot, out);
}

static enum mode_verdict
redis_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    (void)slot;
    const struct resp_token *token = &answer->resp->tokens[0];
    bool is_set = token->type == '+' && bytes_equal(token->text, BYTES_LITERAL("OK"));
    return is_set ? MODE_CYCLE : MODE_WRONG;
}

const struct mode mode_state_set = {
    .name = "state-set",
    .summary = "STATE.SET",
    .compose = state_compose,
    .judge = state_judge,
    .units = 1,
};

const struct mode mode_state_fill = {
    .name = "state-fill",
    .summary = "STATE.SET of every name, once",
    .is_once = true,
    .compose = state_compose,
    .judge = state_judge,
    .units = 1,
};

const struct mode mode_redis_set = {
    .name = "redis-set",
    .summary = "SET",
    .compose = redis_compose,
    .judge = redis_judge,
    .units = 1,
};
