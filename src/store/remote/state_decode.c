#include <stdio.h>
#include <string.h>

#include "base/real.h"
#include "store/remote/fields.h"
#include "store/remote/lane.h"

double tni_decode_score(struct reply *reply)
{
    double score = 0;
    struct bytes text = tni_reply_bytes(reply);
    if (!real_parse(text, &score)) reply->is_bad = true;
    return score;
}

/* ------------------------------------------------------------------ registers */

/* What is null is not set. */
static struct store_register decode_register(struct reply *reply)
{
    struct store_register value = { .name = "", .lock = "", .value = { "", 0 } };
    if (tni_reply_peek(reply) == RESP_NULL) {
        tni_reply_skip(reply);
        return value;
    }
    struct fields fields = fields_of(reply);
    while (next_field(&fields)) {
        if (is_field(&fields, "name")) {
            value.name = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "version")) {
            value.version = tni_reply_unsigned(reply);
        } else if (is_field(&fields, "value")) {
            value.value = tni_reply_bytes(reply);
        } else if (is_field(&fields, "ttl_ms")) {
            value.ttl_ms = tni_reply_unsigned32(reply);
        } else if (is_field(&fields, "remaining_ms")) {
            value.remaining_ms = tni_reply_integer(reply);
        } else if (is_field(&fields, "lock")) {
            value.lock = tni_reply_text_or_empty(reply);
        } else if (is_field(&fields, "token")) {
            value.token = tni_reply_unsigned(reply);
        } else {
            tni_reply_skip(reply);
        }
    }
    return value;
}

static struct store_change_result
decode_result(struct reply *reply, const struct store_change *change)
{
    struct store_change_result result = { .is_rank = change->kind >= STORE_CHANGE_RANK_GET };
    if (!result.is_rank) {
        result.value = decode_register(reply);
        return result;
    }
    result.value = (struct store_register){ .name = change->name, .lock = "", .value = { "", 0 } };
    result.is_member = tni_reply_peek(reply) != RESP_NULL;
    if (result.is_member) {
        result.score = tni_decode_score(reply);
    } else {
        tni_reply_skip(reply);
    }
    return result;
}

/* [whether the conditions held, [what came of each operation]] */
static void answer_transact(struct lane *lane, struct store_op *op, struct reply *reply)
{
    const struct store_transact *transact = &op->request.as.transact;
    struct buffer *items = &lane->remote->items;
    struct store_result result = { .err = TENURE_OK };
    if (tni_reply_array(reply) != 2) reply->is_bad = true;
    bool is_otherwise = !tni_reply_bool(reply);
    uint32_t expected = is_otherwise ? transact->otherwise_count : transact->change_count;
    const struct store_change *changes = is_otherwise ? transact->otherwise : transact->changes;
    /* Without a second list a failed condition is an error, and no answer. */
    if (expected == 0 || tni_reply_array(reply) != expected) reply->is_bad = true;
    buffer_reset(items);
    for (uint32_t index = 0; index < expected && !reply->is_bad; index++) {
        struct store_change_result one = decode_result(reply, &changes[index]);
        buffer_append(items, &one, sizeof(one));
    }
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
        return;
    }
    if (items->is_failed) {
        tni_remote_finish_untold(op);
        return;
    }
    result.as.transact.results = (const struct store_change_result *)(const void *)items->data;
    result.as.transact.count = expected;
    result.as.transact.is_otherwise = is_otherwise;
    tni_remote_finish(op, &result);
}

/* [1 if it has changed, the version to wait on from, the register] */
static void answer_wait(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct store_result result = { .err = TENURE_OK };
    if (tni_reply_array(reply) != 3) reply->is_bad = true;
    bool has_changed = tni_reply_bool(reply);
    result.as.register_wait.version = tni_reply_unsigned(reply);
    result.as.register_wait.value = decode_register(reply);
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
        return;
    }
    if (!has_changed && op->request.as.register_wait.wait_until.ns > tni_store_now().ns + NS_PER_S)
    {
        tni_lane_add(lane, op); /* nobody waits longer than a day in one go */
        return;
    }
    if (!has_changed) {
        result.err = TENURE_TIMEOUT;
        result.text = "the register has not changed";
    }
    tni_remote_finish(op, &result);
}

/* [the name to go on behind, [registers]] */
static void answer_page(struct lane *lane, struct store_op *op, struct reply *reply)
{
    if (tni_reply_array(reply) != 2) reply->is_bad = true;
    const char *cursor = tni_reply_text_or_empty(reply);
    if (strlen(cursor) >= sizeof(op->cursor)) reply->is_bad = true;
    if (!reply->is_bad) (void)snprintf(op->cursor, sizeof(op->cursor), "%s", cursor);
    uint32_t count = tni_reply_array(reply);
    for (uint32_t index = 0; index < count && !reply->is_bad; index++) {
        struct store_register value = decode_register(reply);
        if (!reply->is_bad) op->told(op, &value);
        if (op->is_finished) return; /* the receiver has canceled it */
    }
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
    } else if (op->cursor[0] != '\0') {
        tni_lane_add(lane, op);
    } else {
        struct store_result result = { .err = TENURE_OK };
        tni_remote_finish(op, &result);
    }
}

/* ------------------------------------------------------------------ ranks */

/* Members and scores in turn. */
static uint32_t decode_members(struct buffer *items, struct reply *reply)
{
    uint32_t count = tni_reply_array(reply);
    if (count % 2 != 0) reply->is_bad = true;
    buffer_reset(items);
    for (uint32_t index = 0; index < count / 2 && !reply->is_bad; index++) {
        struct store_member member = { .member = tni_reply_text_or_empty(reply) };
        member.score = tni_decode_score(reply);
        buffer_append(items, &member, sizeof(member));
    }
    return count / 2;
}

/* [the name to go on behind, [names and sizes in turn]] */
static uint32_t decode_ranks(struct buffer *items, struct reply *reply, const char **out_next)
{
    if (tni_reply_array(reply) != 2) reply->is_bad = true;
    *out_next = tni_reply_text_or_empty(reply);
    uint32_t count = tni_reply_array(reply);
    if (count % 2 != 0) reply->is_bad = true;
    buffer_reset(items);
    for (uint32_t index = 0; index < count / 2 && !reply->is_bad; index++) {
        struct store_member rank = { .member = tni_reply_text_or_empty(reply) };
        rank.score = (double)tni_reply_unsigned32(reply);
        buffer_append(items, &rank, sizeof(rank));
    }
    return count / 2;
}

static void answer_rank(struct lane *lane, struct store_op *op, struct reply *reply)
{
    struct buffer *items = &lane->remote->items;
    struct store_result result = { .err = TENURE_OK };
    bool is_there = tni_reply_peek(reply) != RESP_NULL;
    bool is_untold = false;
    result.as.rank.position = -1;
    switch (op->request.as.rank.kind) {
    case STORE_RANK_ADD:
    case STORE_RANK_REMOVE:
    case STORE_RANK_TRIM:
    case STORE_RANK_COUNT: result.as.rank.count = tni_reply_unsigned32(reply); break;
    case STORE_RANK_SCORE:
        if (is_there) result.as.rank.score = tni_decode_score(reply);
        if (!is_there) result.err = TENURE_NOT_FOUND;
        break;
    case STORE_RANK_POSITION:
        if (is_there) result.as.rank.position = tni_reply_integer(reply);
        if (is_there && result.as.rank.position < 0) reply->is_bad = true;
        if (!is_there) result.err = TENURE_NOT_FOUND;
        break;
    case STORE_RANK_RANGE:
    case STORE_RANK_BY_SCORE:
        result.as.rank.count = decode_members(items, reply);
        result.as.rank.members = (const struct store_member *)(const void *)items->data;
        is_untold = items->is_failed;
        break;
    case STORE_RANK_LIST:
        result.as.rank.count = decode_ranks(items, reply, &result.as.rank.next);
        result.as.rank.members = (const struct store_member *)(const void *)items->data;
        is_untold = items->is_failed;
        break;
    }
    if (result.err == TENURE_NOT_FOUND) result.text = "the rank has no such member";
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
    } else if (is_untold) {
        tni_remote_finish_untold(op);
    } else {
        tni_remote_finish(op, &result);
    }
}

/* ------------------------------------------------------------------ */

static void answer_publish(struct store_op *op, struct reply *reply)
{
    struct store_result result = { .err = TENURE_OK };
    result.as.listener_count = tni_reply_unsigned32(reply);
    if (reply->is_bad) {
        tni_remote_finish_bad(op);
    } else {
        tni_remote_finish(op, &result);
    }
}

void tni_decode_state(struct lane *lane, struct store_op *op, struct reply *reply)
{
    // NOLINTNEXTLINE(clang-diagnostic-switch-enum): the others are decode.c's and queue_decode.c's
    switch ((unsigned)op->request.verb) {
    case STORE_TRANSACT: answer_transact(lane, op, reply); break;
    case STORE_REGISTERS: answer_page(lane, op, reply); break;
    case STORE_REGISTER_WAIT: answer_wait(lane, op, reply); break;
    case STORE_RANK: answer_rank(lane, op, reply); break;
    case STORE_PUBLISH: answer_publish(op, reply); break;
    }
}
