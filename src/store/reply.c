#include "store/reply.h"

static struct resp_token next(struct reply *reply)
{
    struct resp_token token = { .kind = RESP_NULL };
    const char *text;
    if (reply->is_bad) return token;
    struct bytes input = { reply->data, reply->size };
    if (resp_read_token(input, &reply->position, &token, &text) == PARSE_DONE) return token;
    reply->is_bad = true;
    return (struct resp_token){ .kind = RESP_NULL };
}

enum resp_kind tni_reply_peek(const struct reply *reply)
{
    struct reply copy = *reply;
    return next(&copy).kind;
}

uint32_t tni_reply_array(struct reply *reply)
{
    struct resp_token token = next(reply);
    if (token.kind == RESP_ARRAY || token.kind == RESP_SET || token.kind == RESP_PUSH) {
        return token.count;
    }
    reply->is_bad = true;
    return 0;
}

uint32_t tni_reply_map(struct reply *reply)
{
    struct resp_token token = next(reply);
    if ((token.kind == RESP_MAP || token.kind == RESP_ARRAY) && token.count % 2 == 0) {
        return token.count / 2;
    }
    reply->is_bad = true;
    return 0;
}

int64_t tni_reply_integer(struct reply *reply)
{
    struct resp_token token = next(reply);
    if (token.kind == RESP_INTEGER || token.kind == RESP_BOOL) return token.integer;
    reply->is_bad = true;
    return 0;
}

uint64_t tni_reply_unsigned(struct reply *reply)
{
    int64_t value = tni_reply_integer(reply);
    if (value >= 0) return (uint64_t)value;
    reply->is_bad = true;
    return 0;
}

uint32_t tni_reply_unsigned32(struct reply *reply)
{
    uint64_t value = tni_reply_unsigned(reply);
    if (value <= UINT32_MAX) return (uint32_t)value;
    reply->is_bad = true;
    return 0;
}

bool tni_reply_bool(struct reply *reply)
{
    return tni_reply_integer(reply) != 0;
}

static char *terminate(struct reply *reply, struct bytes text)
{
    size_t start = (size_t)(text.data - reply->data);
    ASSERT(start + text.size < reply->position && reply->position <= reply->size);
    reply->data[start + text.size] = '\0';
    return reply->data + start;
}

const char *tni_reply_text(struct reply *reply)
{
    struct resp_token token = next(reply);
    if (token.kind == RESP_BULK || token.kind == RESP_SIMPLE || token.kind == RESP_ERROR) {
        return terminate(reply, token.text);
    }
    if (token.kind != RESP_NULL) reply->is_bad = true;
    return NULL;
}

const char *tni_reply_text_or_empty(struct reply *reply)
{
    const char *text = tni_reply_text(reply);
    return text == NULL ? "" : text;
}

struct bytes tni_reply_bytes(struct reply *reply)
{
    struct resp_token token = next(reply);
    if (token.kind == RESP_BULK || token.kind == RESP_SIMPLE) {
        return (struct bytes){ terminate(reply, token.text), token.text.size };
    }
    if (token.kind != RESP_NULL) reply->is_bad = true;
    return (struct bytes){ "", 0 };
}

void tni_reply_skip(struct reply *reply)
{
    uint64_t pending = 1;
    while (pending > 0 && !reply->is_bad) {
        struct resp_token token = next(reply);
        pending += token.count;
        /* An attribute is followed by the value that it belongs to. */
        if (token.kind != RESP_ATTRIBUTE) pending--;
    }
}
