#include "server/resp_queue.h"
#include "server/resp_state.h"

/* What the engine has decided, in the client's protocol.  Grants, releases and renewals are the hot
 * path: their keys are written as they look on the wire, without formatting. */

#define WIRE(resp, literal) buffer_append((resp)->out.out, (literal), sizeof(literal) - 1)

/* More than any answer about one hold, but for its texts. */
#define GRANT_SIZE_MAX 256u

static void write_grant(struct resp *resp, const struct engine_hold_view *hold, bool with_name)
{
    struct resp_writer *out = &resp->out;
    (void)!buffer_reserve(out->out, GRANT_SIZE_MAX + hold->name.size + hold->owner.size);
    resp_write_map(out, with_name ? 7 : 6);
    if (with_name) {
        WIRE(resp, "$4\r\nname\r\n");
        resp_write_bulk(out, hold->name);
    }
    WIRE(resp, "$5\r\ntoken\r\n");
    resp_write_unsigned(out, hold->token.value);
    WIRE(resp, "$4\r\nslot\r\n");
    resp_write_unsigned(out, hold->slot);
    WIRE(resp, "$6\r\nttl_ms\r\n");
    resp_write_unsigned(out, hold->ttl_ms);
    WIRE(resp, "$12\r\nremaining_ms\r\n");
    resp_write_signed(out, hold->remaining_ms);
    WIRE(resp, "$5\r\nowner\r\n");
    resp_write_bulk(out, hold->owner);
    WIRE(resp, "$4\r\nmode\r\n");
    resp_write_bulk(out, resp_mode_word(hold->mode));
}

/* ------------------------------------------------------------------ refusals */

static void tell_holder(struct resp_text *text, const struct engine_result *result)
{
    const struct engine_hold_view *holder = &result->holder;
    if (holder->name.size == 0) {
        resp_text_add(text, "not free yet");
    } else {
        resp_text_add(text, "held by ");
        resp_text_add_bytes(text, holder->owner);
        if (holder->remaining_ms >= 0) {
            resp_text_add(text, " for ");
            resp_text_add_number(text, holder->remaining_ms);
            resp_text_add(text, " ms");
        } else {
            resp_text_add(text, " until released");
        }
    }
    if (result->position > 0) {
        resp_text_add(text, ", position ");
        resp_text_add_number(text, result->position);
    }
}

static void tell_loss(struct resp_text *text, const struct engine_result *result)
{
    resp_text_add(text, engine_end_word(result->end));
    if (result->successor.value != 0) {
        resp_text_add(text, ", the token is now ");
        resp_text_add_number(text, (int64_t)result->successor.value);
    }
}

static bool is_many(const struct engine_reply *reply)
{
    return reply->kind == ENGINE_ACQUIRE && (reply->tag & RESP_TAG_MANY) != 0;
}

static void write_refusal(
    struct resp *resp, const struct engine_reply *reply, const struct engine_result *result)
{
    enum tenure_err err = result != NULL && reply->kind == ENGINE_RENEW ? result->err : reply->err;
    struct resp_text text = { 0 };
    if (result != NULL && is_many(reply) && result->name.size > 0) {
        resp_text_add_bytes(&text, result->name);
        resp_text_add(&text, ": ");
    }
    if (err == TENURE_TIMEOUT && result != NULL) {
        resp_text_add(&text, "waited ");
        resp_text_add_number(&text, result->waited_ms);
        resp_text_add(&text, " ms; ");
    }
    if ((err == TENURE_HELD || err == TENURE_TIMEOUT) && result != NULL) {
        tell_holder(&text, result);
    } else if (err == TENURE_LOST && result != NULL) {
        tell_loss(&text, result);
    } else {
        resp_text_add(&text, reply->detail != NULL ? reply->detail : tenure_err_text(err));
    }
    resp_write_error(&resp->out, tenure_err_resp_word(err), resp_text_bytes(&text));
}

/* ------------------------------------------------------------------ answers, kind by kind */

static void write_acquired(struct resp *resp, const struct engine_reply *reply)
{
    if (!is_many(reply)) {
        write_grant(resp, &reply->results[0].hold, false);
        return;
    }
    resp_write_array(&resp->out, reply->result_count);
    for (uint32_t index = 0; index < reply->result_count; index++) {
        write_grant(resp, &reply->results[index].hold, true);
    }
}

static void write_renewal(struct resp *resp, const struct engine_result *result)
{
    struct resp_writer *out = &resp->out;
    if (result->err == TENURE_OK) {
        resp_write_map(out, result->hold.is_breaking ? 4 : 3);
        WIRE(resp, "$7\r\noutcome\r\n$2\r\nok\r\n$6\r\nttl_ms\r\n");
        resp_write_unsigned(out, result->hold.ttl_ms);
        WIRE(resp, "$12\r\nremaining_ms\r\n");
        resp_write_signed(out, result->hold.remaining_ms);
        if (result->hold.is_breaking) resp_pair_unsigned(resp, "breaking", 1);
        return;
    }
    resp_write_map(out, 3);
    resp_pair_text(resp, "outcome", tenure_err_name(result->err));
    resp_pair_text(resp, "reason", engine_end_word(result->end));
    resp_pair_unsigned(resp, "successor", result->successor.value);
}

static void write_renewed(struct resp *resp, const struct engine_reply *reply)
{
    if (reply->result_count == 1) {
        const struct engine_result *result = &reply->results[0];
        if (result->err == TENURE_OK) {
            write_renewal(resp, result);
        } else {
            write_refusal(resp, reply, result);
        }
        return;
    }
    resp_write_array(&resp->out, reply->result_count);
    for (uint32_t index = 0; index < reply->result_count; index++) {
        write_renewal(resp, &reply->results[index]);
    }
}

static void write_released(struct resp *resp, const struct engine_result *result)
{
    if (result->end == ENGINE_END_RELEASED) {
        WIRE(resp, "*1\r\n$8\r\nreleased\r\n");
        return;
    }
    resp_write_array(&resp->out, result->successor.value != 0 ? 2 : 1);
    resp_write_text(&resp->out, engine_end_word(result->end));
    if (result->successor.value != 0) resp_write_unsigned(&resp->out, result->successor.value);
}

static void write_broken(struct resp *resp, const struct engine_result *result)
{
    bool is_over = result->end == ENGINE_END_BROKEN;
    resp_write_map(&resp->out, 3);
    resp_pair_text(resp, "outcome", is_over ? "broken" : "breaking");
    resp_pair_unsigned(resp, "token", result->hold.token.value);
    resp_pair_signed(resp, "remaining_ms", is_over ? 0 : result->hold.remaining_ms);
}

static void write_success(struct resp *resp, const struct engine_reply *reply)
{
    const struct engine_result *result = &reply->results[0];
    switch (reply->kind) {
    case ENGINE_ACQUIRE: write_acquired(resp, reply); break;
    case ENGINE_RENEW: write_renewed(resp, reply); break;
    case ENGINE_RELEASE: write_released(resp, result); break;
    case ENGINE_BREAK: write_broken(resp, result); break;
    case ENGINE_TRANSFER:
        resp_write_array(&resp->out, 2);
        resp_write_text(&resp->out, "transferred");
        resp_write_unsigned(&resp->out, result->successor.value);
        break;
    case ENGINE_CANCEL:
    case ENGINE_PROCLAIM: resp_write_simple(&resp->out, BYTES_LITERAL("OK")); break;
    case ENGINE_WORK_COMMANDS:
    case ENGINE_STATE_COMMANDS: UNREACHABLE("these are answered elsewhere");
    }
}

/* A release says how the hold ended, whatever that was; a renewal of several says it for each. */
static bool is_success(const struct engine_reply *reply)
{
    if (reply->result_count == 0) return reply->err == TENURE_OK;
    if (reply->kind == ENGINE_RELEASE) {
        return reply->err == TENURE_OK || reply->err == TENURE_LOST ||
               reply->err == TENURE_NOT_OWNER;
    }
    if (reply->kind == ENGINE_RENEW && reply->result_count > 1) return true;
    return reply->err == TENURE_OK;
}

void resp_answer(struct resp *resp, const struct engine_reply *reply)
{
    if (ENGINE_COMMAND_IS_WORK(reply->kind)) {
        resp_answer_queue(resp, reply);
        return;
    }
    if (ENGINE_COMMAND_IS_STATE(reply->kind)) {
        resp_answer_state(resp, reply);
        return;
    }
    if (is_success(reply)) {
        write_success(resp, reply);
    } else {
        const struct engine_result *result = reply->result_count == 0 ? NULL : &reply->results[0];
        write_refusal(resp, reply, result);
    }
    resp_end(resp, reply->seq);
}
