#include "base/decimal.h"
#include "base/utf8.h"
#include "server/resp.h"

/* ------------------------------------------------------------------ errors */

static bool refuse(struct resp_args *args, const struct resp_text *text)
{
    resp_write_error(&args->resp->out, tenure_err_resp_word(TENURE_INVALID), resp_text_bytes(text));
    resp_end_now(args->resp);
    return false;
}

static bool refuse_missing(struct resp_args *args, const char *field)
{
    struct resp_text text = { 0 };
    resp_text_add(&text, field);
    resp_text_add(&text, " is missing");
    return refuse(args, &text);
}

static bool refuse_size(struct resp_args *args, const char *field, size_t least, size_t most)
{
    struct resp_text text = { 0 };
    resp_text_add(&text, field);
    resp_text_add(&text, " must have ");
    resp_text_add_number(&text, (int64_t)least);
    resp_text_add(&text, " to ");
    resp_text_add_number(&text, (int64_t)most);
    resp_text_add(&text, " bytes");
    return refuse(args, &text);
}

static bool refuse_content(struct resp_args *args, const char *field, const char *rule)
{
    struct resp_text text = { 0 };
    resp_text_add(&text, field);
    resp_text_add(&text, rule);
    return refuse(args, &text);
}

static bool refuse_number(
    struct resp_args *args, const char *field, const char *zero, uint64_t least, uint64_t most)
{
    struct resp_text text = { 0 };
    resp_text_add(&text, field);
    resp_text_add(&text, " must be ");
    resp_text_add(&text, zero);
    resp_text_add(&text, "a whole number from ");
    resp_text_add_number(&text, (int64_t)least);
    resp_text_add(&text, " to ");
    resp_text_add_number(&text, (int64_t)most);
    return refuse(args, &text);
}

bool resp_refuse_keyword(struct resp_args *args)
{
    struct bytes word = resp_argument(args->command, args->index);
    struct resp_text text = { 0 };
    resp_text_add(&text, "unexpected argument '");
    resp_text_add_bytes(&text, (struct bytes){ word.data, word.size < 64 ? word.size : 64 });
    resp_text_add(&text, "'");
    return refuse(args, &text);
}

/* ------------------------------------------------------------------ words */

static bool take(struct resp_args *args, const char *field, struct bytes *out_word)
{
    if (!resp_args_left(args)) return refuse_missing(args, field);
    *out_word = resp_argument(args->command, args->index++);
    return true;
}

bool resp_take_keyword(struct resp_args *args, const char *word)
{
    if (!resp_args_left(args)) return false;
    struct bytes given = resp_argument(args->command, args->index);
    size_t same = 0;
    while (same < given.size && word[same] != '\0') {
        char letter = given.data[same];
        if (letter >= 'a' && letter <= 'z') letter = (char)(letter - 'a' + 'A');
        if (letter != word[same]) return false;
        same++;
    }
    if (same != given.size || word[same] != '\0') return false;
    args->index++;
    return true;
}

bool resp_take_plain(struct resp_args *args, const char *field, struct bytes *out_text)
{
    _Static_assert(LIMIT_NAME_SIZE_MAX == LIMIT_OWNER_SIZE_MAX, "one limit for both");
    struct bytes word;
    if (!take(args, field, &word)) return false;
    if (word.size == 0 || word.size > LIMIT_NAME_SIZE_MAX) {
        return refuse_size(args, field, 1, LIMIT_NAME_SIZE_MAX);
    }
    if (!utf8_is_plain(word)) {
        return refuse_content(args, field, " must be UTF-8 without control characters");
    }
    *out_text = word;
    return true;
}

bool resp_take_text(
    struct resp_args *args, const char *field, size_t size_max, struct bytes *out_text)
{
    struct bytes word;
    if (!take(args, field, &word)) return false;
    if (word.size > size_max) return refuse_size(args, field, 0, size_max);
    if (!utf8_is_valid(word)) return refuse_content(args, field, " must be UTF-8");
    *out_text = word;
    return true;
}

bool resp_take_bytes(
    struct resp_args *args, const char *field, size_t size_max, struct bytes *out_bytes)
{
    struct bytes word;
    if (!take(args, field, &word)) return false;
    if (word.size > size_max) return refuse_size(args, field, 0, size_max);
    *out_bytes = word;
    return true;
}

bool resp_take_number(
    struct resp_args *args, const char *field, uint64_t least, uint64_t most, uint64_t *out_number)
{
    struct bytes word;
    uint64_t number;
    if (!take(args, field, &word)) return false;
    if (!decimal_parse(word, &number) || number < least || number > most) {
        return refuse_number(args, field, "", least, most);
    }
    *out_number = number;
    return true;
}

bool resp_take_ttl(struct resp_args *args, uint32_t *out_ttl_ms)
{
    struct bytes word;
    uint64_t number;
    if (!take(args, "ttl-ms", &word)) return false;
    if (!decimal_parse(word, &number) || (number != 0 && number < LIMIT_TTL_MS_MIN) ||
        number > LIMIT_TTL_MS_MAX)
    {
        return refuse_number(
            args, "ttl-ms", "0 (until released) or ", LIMIT_TTL_MS_MIN, LIMIT_TTL_MS_MAX);
    }
    *out_ttl_ms = (uint32_t)number;
    return true;
}

bool resp_take_token(struct resp_args *args, struct token *out_token)
{
    return resp_take_number(args, "token", 1, TOKEN_MAX, &out_token->value);
}

/* ------------------------------------------------------------------ by the table of arguments */

static bool take_sized(struct resp_args *args, const char *field, enum arg arg, struct args *out)
{
    struct bytes word;
    if (!take(args, field, &word)) return false;
    if (word.size < arg_least(arg) || word.size > arg_most(arg)) {
        return refuse_size(args, field, (size_t)arg_least(arg), (size_t)arg_most(arg));
    }
    bool is_plain = arg_type(arg) == ARG_TYPE_PLAIN;
    if (is_plain && !utf8_is_plain(word)) {
        return refuse_content(args, field, " must be UTF-8 without control characters");
    }
    if (!is_plain && !utf8_is_valid(word)) return refuse_content(args, field, " must be UTF-8");
    out->texts[arg] = word;
    return true;
}

/* Words are written in any case. */
static bool take_one_of(struct resp_args *args, const char *field, enum arg arg, struct args *out)
{
    char lower[16];
    struct bytes word;
    struct args_error error;
    if (!take(args, field, &word)) return false;
    size_t size = word.size < sizeof(lower) ? word.size : sizeof(lower);
    for (size_t at = 0; at < size; at++) {
        char letter = word.data[at];
        lower[at] = letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
    }
    if (word.size <= sizeof(lower)) word.data = lower;
    if (args_set_text(out, arg, word, &error)) return true;
    resp_refuse(args->resp, TENURE_INVALID, error.text);
    return false;
}

bool resp_take_arg(struct resp_args *args, const char *field, enum arg arg, struct args *out)
{
    bool is_taken = false;
    switch (arg_type(arg)) {
    case ARG_TYPE_NUMBER:
        is_taken = resp_take_number(args, field, arg_least(arg), arg_most(arg), &out->numbers[arg]);
        break;
    case ARG_TYPE_WORD: is_taken = take_one_of(args, field, arg, out); break;
    case ARG_TYPE_PLAIN:
    case ARG_TYPE_TEXT: is_taken = take_sized(args, field, arg, out); break;
    case ARG_TYPE_TTL:
    case ARG_TYPE_FLAG:
    case ARG_TYPE_DECIMAL:
    case ARG_TYPE_NAMES: UNREACHABLE("no word is one of these");
    }
    if (is_taken) out->is_present[arg] = true;
    return is_taken;
}
