/* The modes that speak RESP: Redis' own lock recipe, and Tenure's commands. */
#include <stdio.h>

#include "base/decimal.h"
#include "mode.h"

/* The release of every Redis lock client: delete the key if it is still ours. */
#define RELEASE_SCRIPT                                                                             \
    "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 "   \
    "end"

static void put_name(
    const struct mode_run *run, const struct mode_slot *slot, uint64_t turn, struct buffer *out)
{
    char name[MODE_NAME_SIZE];
    mode_name_write(run, slot, turn, name);
    buffer_append(out, "$20\r\n", 5);
    buffer_append(out, name, sizeof(name));
    buffer_append(out, "\r\n", 2);
}

static void put_owner(
    const struct mode_run *run, const struct mode_slot *slot, uint64_t turn, struct buffer *out)
{
    char owner[MODE_OWNER_SIZE];
    mode_owner_write(run, slot, turn, owner);
    buffer_append(out, "$31\r\n", 5);
    buffer_append(out, owner, sizeof(owner));
    buffer_append(out, "\r\n", 2);
}

static void put_number(uint64_t number, struct buffer *out)
{
    char digits[DECIMAL_SIZE_MAX];
    char length[DECIMAL_SIZE_MAX];
    size_t size = decimal_format(number, digits);
    size_t length_size = decimal_format(size, length);
    buffer_append_byte(out, '$');
    buffer_append(out, length, length_size);
    buffer_append(out, "\r\n", 2);
    buffer_append(out, digits, size);
    buffer_append(out, "\r\n", 2);
}

/* redis */

static bool redis_prepare(struct mode_run *run)
{
    struct buffer request;
    struct buffer storage;
    static struct resp_reply reply;
    buffer_init(&request, &memory_heap);
    buffer_init(&storage, &memory_heap);
    char head[64];
    int head_size = snprintf(
        head,
        sizeof(head),
        "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n",
        sizeof(RELEASE_SCRIPT) - 1);
    buffer_append(&request, head, (size_t)head_size);
    buffer_append_bytes(&request, BYTES_LITERAL(RELEASE_SCRIPT "\r\n"));
    bool is_loaded = link_ask_resp(run->address, buffer_bytes(&request), &storage, &reply) &&
                     reply.tokens[0].type == '$' && reply.tokens[0].text.size == 40;
    if (is_loaded) memcpy(run->script_sha, reply.tokens[0].text.data, 40);
    buffer_deinit(&request);
    buffer_deinit(&storage);
    return is_loaded;
}

static void redis_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    if (slot->step == 0) {
        buffer_append_bytes(out, BYTES_LITERAL("*6\r\n$3\r\nSET\r\n"));
        put_name(run, slot, slot->turn, out);
        put_owner(run, slot, slot->turn, out);
        buffer_append_bytes(out, BYTES_LITERAL("$2\r\nNX\r\n$2\r\nPX\r\n"));
        put_number(run->ttl_ms, out);
    } else {
        buffer_append_bytes(out, BYTES_LITERAL("*5\r\n$7\r\nEVALSHA\r\n$40\r\n"));
        buffer_append(out, run->script_sha, 40);
        buffer_append_bytes(out, BYTES_LITERAL("\r\n$1\r\n1\r\n"));
        put_name(run, slot, slot->turn, out);
        put_owner(run, slot, slot->turn, out);
    }
}

static enum mode_verdict
redis_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    const struct resp_token *token = &answer->resp->tokens[0];
    if (slot->step == 0) {
        bool is_granted = token->type == '+' && bytes_equal(token->text, BYTES_LITERAL("OK"));
        slot->step = 1;
        return is_granted ? MODE_STEP : MODE_WRONG;
    }
    slot->step = 0;
    return token->type == ':' && token->number == 1 ? MODE_CYCLE : MODE_WRONG;
}

static enum mode_verdict
redis_hold_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    enum mode_verdict verdict = redis_judge(run, slot, answer);
    slot->step = 0;
    return verdict == MODE_STEP ? MODE_CYCLE : verdict;
}

/* tenured */

static void compose_acquire(
    const struct mode_run *run, const struct mode_slot *slot, uint64_t turn, struct buffer *out)
{
    buffer_append_bytes(out, BYTES_LITERAL("*4\r\n$12\r\nLOCK.ACQUIRE\r\n"));
    put_name(run, slot, turn, out);
    put_owner(run, slot, turn, out);
    put_number(run->ttl_ms, out);
}

/* A grant is a map, or the same pairs in a flat array; its token is all we need. */
static bool is_granted(const struct resp_reply *reply, uint64_t *out_token)
{
    char type = reply->tokens[0].type;
    if (type != '*' && type != '%') return false;
    int64_t token = resp_reply_number(reply, BYTES_LITERAL("token"));
    if (token <= 0) return false;
    *out_token = (uint64_t)token;
    return true;
}

/* The outcome's word comes first, alone or as the head of an array. */
static bool is_released(const struct resp_reply *reply)
{
    const struct resp_token *word = &reply->tokens[0];
    if (word->type == '*' && reply->token_count > 1) word++;
    return (word->type == '$' || word->type == '+') &&
           bytes_equal(word->text, BYTES_LITERAL("released"));
}

static void tenured_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    if (slot->step == 0) {
        compose_acquire(run, slot, slot->turn, out);
        return;
    }
    buffer_append_bytes(out, BYTES_LITERAL("*4\r\n$12\r\nLOCK.RELEASE\r\n"));
    put_name(run, slot, slot->turn, out);
    put_owner(run, slot, slot->turn, out);
    put_number(slot->token, out);
}

static enum mode_verdict
tenured_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    if (slot->step == 0) {
        if (!is_granted(answer->resp, &slot->token)) return MODE_WRONG;
        slot->step = 1;
        return MODE_STEP;
    }
    slot->step = 0;
    return is_released(answer->resp) ? MODE_CYCLE : MODE_WRONG;
}

static void hold_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    compose_acquire(run, slot, slot->turn, out);
}

static enum mode_verdict
hold_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    return is_granted(answer->resp, &slot->token) ? MODE_CYCLE : MODE_WRONG;
}

/* renew: a slot first takes all of its names, then renews them a batch at a time, round and round.
 * The step counts the holds taken; the turn counts batches. */

static uint64_t *renew_token(struct mode_run *run, const struct mode_slot *slot, uint64_t turn)
{
    return &run->tokens[slot->index + run->slot_count * turn];
}

static uint64_t renew_batch_size(const struct mode_slot *slot)
{
    return slot->turns < MODE_RENEW_BATCH ? slot->turns : MODE_RENEW_BATCH;
}

static void renew_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    if (!slot->is_prepared) {
        compose_acquire(run, slot, slot->step, out);
        return;
    }
    uint64_t size = renew_batch_size(slot);
    char head[DECIMAL_SIZE_MAX];
    buffer_append_byte(out, '*');
    buffer_append(out, head, decimal_format(1 + 4 * size, head));
    buffer_append_bytes(out, BYTES_LITERAL("\r\n$10\r\nLOCK.RENEW\r\n"));
    for (uint64_t i = 0; i < size; i++) {
        uint64_t turn = (slot->turn * size + i) % slot->turns;
        put_name(run, slot, turn, out);
        put_owner(run, slot, turn, out);
        put_number(*renew_token(run, slot, turn), out);
        put_number(run->ttl_ms, out);
    }
}

/* Each hold has an answer of its own, in which the outcome is "ok". */
static bool is_renewed(const struct resp_reply *reply, uint64_t size)
{
    uint64_t renewed_count = 0;
    for (uint32_t i = 0; i + 1 < reply->token_count; i++) {
        if (bytes_equal(reply->tokens[i].text, BYTES_LITERAL("outcome")) &&
            bytes_equal(reply->tokens[i + 1].text, BYTES_LITERAL("ok")))
        {
            renewed_count++;
        }
    }
    return renewed_count == size;
}

static enum mode_verdict
renew_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    if (slot->is_prepared) {
        return is_renewed(answer->resp, renew_batch_size(slot)) ? MODE_CYCLE : MODE_WRONG;
    }
    if (!is_granted(answer->resp, renew_token(run, slot, slot->step))) return MODE_WRONG;
    slot->step++;
    slot->is_prepared = slot->step == slot->turns;
    return MODE_STEP;
}

const struct mode mode_redis = {
    .name = "redis",
    .summary = "SET NX PX, then compare-and-delete by EVALSHA",
    .prepare = redis_prepare,
    .compose = redis_compose,
    .judge = redis_judge,
    .units = 1,
};

const struct mode mode_redis_hold = {
    .name = "redis-hold",
    .summary = "SET NX PX of every name, once",
    .is_once = true,
    .compose = redis_compose,
    .judge = redis_hold_judge,
    .units = 1,
};

const struct mode mode_tenured_resp = {
    .name = "tenured-resp",
    .summary = "LOCK.ACQUIRE, then LOCK.RELEASE",
    .compose = tenured_compose,
    .judge = tenured_judge,
    .units = 1,
};

const struct mode mode_hold = {
    .name = "hold",
    .summary = "LOCK.ACQUIRE of every name, once",
    .is_once = true,
    .compose = hold_compose,
    .judge = hold_judge,
    .units = 1,
};

const struct mode mode_renew = {
    .name = "renew",
    .summary = "LOCK.RENEW of a hundred holds at a time",
    .compose = renew_compose,
    .judge = renew_judge,
    .needs_preparing = true,
    .units = MODE_RENEW_BATCH,
};
