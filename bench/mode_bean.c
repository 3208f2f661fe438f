/* The mode of beanstalkd: put, reserve and delete in its default tube. */
#include "base/decimal.h"
#include "mode.h"
#include "mode_item.h"

static void compose_delete(const struct mode_slot *slot, struct buffer *out)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append_bytes(out, BYTES_LITERAL("delete "));
    buffer_append(out, digits, decimal_format(slot->token, digits));
    buffer_append_bytes(out, BYTES_LITERAL("\r\n"));
}

static void bean_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    char body[MODE_BODY_SIZE];
    switch (slot->step) {
    case 0: /* priority, delay, seconds to run, size */
        mode_item_put(run, slot, body);
        buffer_append_bytes(out, BYTES_LITERAL("put 0 0 30 100\r\n"));
        buffer_append(out, body, sizeof(body));
        buffer_append_bytes(out, BYTES_LITERAL("\r\n"));
        break;
    case 1: buffer_append_bytes(out, BYTES_LITERAL("reserve-with-timeout 0\r\n")); break;
    default: compose_delete(slot, out);
    }
}

static enum mode_verdict
bean_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    const struct resp_reply *reply = answer->resp;
    struct bytes word = reply->tokens[0].text;
    bool has_id = reply->token_count > 1 && reply->tokens[1].type == ':';
    switch (slot->step++) {
    case 0: return has_id && bytes_equal(word, BYTES_LITERAL("INSERTED")) ? MODE_STEP : MODE_WRONG;
    case 1:
        if (reply->token_count != 4 || !has_id) return MODE_WRONG;
        slot->token = (uint64_t)reply->tokens[1].number;
        return mode_item_take(run, reply->tokens[3].text) ? MODE_STEP : MODE_WRONG;
    default:
        slot->step = 0;
        return bytes_equal(word, BYTES_LITERAL("DELETED")) ? MODE_CYCLE : MODE_WRONG;
    }
}

const struct mode mode_bean = {
    .name = "bean",
    .summary = "beanstalkd: put, then reserve and delete of whatever is next",
    .is_bean = true,
    .compose = bean_compose,
    .judge = bean_judge,
    .units = 1,
};
