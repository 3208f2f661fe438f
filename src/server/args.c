/* args - see args.h. */
#include "server/args.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "base/real.h"
#include "base/utf8.h"
#include "engine/state_event.h"
#include "engine/terms.h"
#include "proto/url.h"

struct arg_rule {
    const char *name;
    enum arg_type type;
    uint64_t least;
    uint64_t most;
};

static const struct arg_rule rules[ARG_COUNT] = {
#define X(id, name, type, least, most) { name, ARG_TYPE_##type, least, most },
    ARG_MAP(X)
#undef X
};

struct arg_word {
    enum arg arg;
    const char *word;
    uint64_t value;
};

static const struct arg_word words[] = {
    { ARG_MODE, "exclusive", ARG_MODE_EXCLUSIVE },
    { ARG_MODE, "shared", ARG_MODE_SHARED },
    { ARG_STATE, "held", ARG_STATE_HELD },
    { ARG_STATE, "waited", ARG_STATE_WAITED },
    { ARG_BACKOFF, "exponential", ITEM_BACKOFF_EXPONENTIAL },
    { ARG_BACKOFF, "fixed", ITEM_BACKOFF_FIXED },
    { ARG_UNTIL, "done", UNIQUE_UNTIL_DONE },
    { ARG_UNTIL, "started", UNIQUE_UNTIL_STARTED },
    { ARG_CONFLICT, "ignore", UNIQUE_IGNORE },
    { ARG_CONFLICT, "replace", UNIQUE_REPLACE },
    { ARG_CONFLICT, "keep_last", UNIQUE_KEEP_LAST },
    { ARG_ITEM_STATE, "delayed", ITEM_DELAYED },
    { ARG_ITEM_STATE, "ready", ITEM_READY },
    { ARG_ITEM_STATE, "taken", ITEM_TAKEN },
    { ARG_ITEM_STATE, "done", ITEM_DONE },
    { ARG_ITEM_STATE, "dead", ITEM_DEAD },
    { ARG_ITEM_STATE, "cancelled", ITEM_CANCELLED },
    { ARG_IF, "present", CONDITION_PRESENT },
    { ARG_IF, "absent", CONDITION_ABSENT },
    { ARG_IF, "version", CONDITION_VERSION },
    { ARG_IF, "value", CONDITION_VALUE },
    { ARG_THEN, "get", OPERATION_GET },
    { ARG_THEN, "set", OPERATION_SET },
    { ARG_THEN, "remove", OPERATION_REMOVE },
    { ARG_THEN, "increment", OPERATION_INCREMENT },
    { ARG_THEN, "append", OPERATION_APPEND },
    { ARG_THEN, "rank_get", OPERATION_RANK_GET },
    { ARG_THEN, "rank_add", OPERATION_RANK_ADD },
    { ARG_THEN, "rank_increment", OPERATION_RANK_INCREMENT },
    { ARG_THEN, "rank_remove", OPERATION_RANK_REMOVE },
    { ARG_ELSE, "get", OPERATION_GET },
    { ARG_ELSE, "set", OPERATION_SET },
    { ARG_ELSE, "remove", OPERATION_REMOVE },
    { ARG_ELSE, "increment", OPERATION_INCREMENT },
    { ARG_ELSE, "append", OPERATION_APPEND },
    { ARG_ELSE, "rank_get", OPERATION_RANK_GET },
    { ARG_ELSE, "rank_add", OPERATION_RANK_ADD },
    { ARG_ELSE, "rank_increment", OPERATION_RANK_INCREMENT },
    { ARG_ELSE, "rank_remove", OPERATION_RANK_REMOVE },
    { ARG_WHEN, "absent", RANK_IF_ABSENT },
    { ARG_WHEN, "present", RANK_IF_PRESENT },
    { ARG_WHEN, "greater", RANK_IF_GREATER },
    { ARG_WHEN, "less", RANK_IF_LESS },
};

#define WORD_COUNT (sizeof(words) / sizeof(words[0]))

const char *arg_name(enum arg arg)
{
    return rules[arg].name;
}

enum arg_type arg_type(enum arg arg)
{
    return rules[arg].type;
}

uint64_t arg_least(enum arg arg)
{
    return rules[arg].least;
}

uint64_t arg_most(enum arg arg)
{
    return rules[arg].most;
}

bool args_fail(struct args_error *out_error, const char *field, const char *format, ...)
{
    *out_error = (struct args_error){ 0 };
    (void)snprintf(out_error->field, sizeof(out_error->field), "%s", field);
    va_list list;
    va_start(list, format);
    (void)vsnprintf(out_error->text, sizeof(out_error->text), format, list);
    va_end(list);
    return false;
}

static bool fail_limit(struct args_error *out_error, uint64_t limit)
{
    out_error->limit = limit;
    out_error->has_limit = true;
    return false;
}

/* A name that came from outside: only as much of it as fits, and only whole characters. */
static void keep_field(struct args_error *error, struct bytes name)
{
    size_t size = name.size;
    if (size >= sizeof(error->field)) size = sizeof(error->field) - 1;
    while (size > 0 && !utf8_is_valid((struct bytes){ name.data, size })) {
        size--;
    }
    if (size > 0) memcpy(error->field, name.data, size);
    error->field[size] = '\0';
}

enum arg args_find(
    const struct args *args,
    const uint8_t *allowed,
    struct bytes name,
    struct args_error *out_error)
{
    for (const uint8_t *arg = allowed; arg != NULL && *arg != ARG_COUNT; arg++) {
        if (!bytes_equal(name, bytes_from_text(rules[*arg].name))) continue;
        if (!args->is_present[*arg]) return (enum arg) * arg;
        (void)args_fail(out_error, rules[*arg].name, "%s comes twice", rules[*arg].name);
        return ARG_COUNT;
    }
    (void)args_fail(out_error, "", "there is no such member or parameter here");
    keep_field(out_error, name);
    return ARG_COUNT;
}

static bool keep_number(struct args *args, enum arg arg, uint64_t value)
{
    args->numbers[arg] = value;
    args->is_present[arg] = true;
    return true;
}

bool args_set_number(struct args *args, enum arg arg, uint64_t value, struct args_error *out_error)
{
    const struct arg_rule *rule = &rules[arg];
    if (rule->type != ARG_TYPE_NUMBER && rule->type != ARG_TYPE_TTL) {
        return args_fail(out_error, rule->name, "%s must not be a number", rule->name);
    }
    if (rule->type == ARG_TYPE_TTL && value == 0) return keep_number(args, arg, value);
    if (value < rule->least || value > rule->most) {
        (void)args_fail(
            out_error,
            rule->name,
            "%s must be %s%" PRIu64 " to %" PRIu64,
            rule->name,
            rule->type == ARG_TYPE_TTL ? "0 (until released) or " : "",
            rule->least,
            rule->most);
        return fail_limit(out_error, value < rule->least ? rule->least : rule->most);
    }
    return keep_number(args, arg, value);
}

/* "a", "b" or "c": all that the argument may be. */
static void list_words(enum arg arg, char *out_text, size_t size_max)
{
    size_t left = 0;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        left += words[i].arg == arg;
    }
    size_t size = 0;
    for (size_t i = 0; i < WORD_COUNT && size < size_max; i++) {
        if (words[i].arg != arg) continue;
        left--;
        const char *separator = left == 0 ? "" : left == 1 ? " or " : ", ";
        size += (size_t)snprintf(
            out_text + size, size_max - size, "\"%s\"%s", words[i].word, separator);
    }
}

static bool
set_word(struct args *args, enum arg arg, struct bytes text, struct args_error *out_error)
{
    for (size_t i = 0; i < WORD_COUNT; i++) {
        bool is_it = words[i].arg == arg && bytes_equal(text, bytes_from_text(words[i].word));
        if (is_it) return keep_number(args, arg, words[i].value);
    }
    char known[160];
    list_words(arg, known, sizeof(known));
    return args_fail(out_error, arg_name(arg), "%s must be %s", arg_name(arg), known);
}

static bool check_text(const struct arg_rule *rule, struct bytes text, struct args_error *out_error)
{
    if (text.size < rule->least || text.size > rule->most) {
        (void)args_fail(
            out_error,
            rule->name,
            "%s must have %" PRIu64 " to %" PRIu64 " bytes",
            rule->name,
            rule->least,
            rule->most);
        return fail_limit(out_error, text.size < rule->least ? rule->least : rule->most);
    }
    if (rule->type == ARG_TYPE_PLAIN && !utf8_is_plain(text)) {
        return args_fail(
            out_error, rule->name, "%s must be UTF-8 without control characters", rule->name);
    }
    if (!utf8_is_valid(text)) {
        return args_fail(out_error, rule->name, "%s must be UTF-8", rule->name);
    }
    return true;
}

bool args_set_text(struct args *args, enum arg arg, struct bytes text, struct args_error *out_error)
{
    const struct arg_rule *rule = &rules[arg];
    double number;
    switch (rule->type) {
    case ARG_TYPE_WORD: return set_word(args, arg, text, out_error);
    case ARG_TYPE_DECIMAL:
        if (!real_parse(text, &number)) {
            return args_fail(out_error, rule->name, "%s must be a finite number", rule->name);
        }
        args->texts[arg] = text;
        args->is_present[arg] = true;
        return true;
    case ARG_TYPE_PLAIN:
    case ARG_TYPE_TEXT:
        if (!check_text(rule, text, out_error)) return false;
        args->texts[arg] = text;
        args->is_present[arg] = true;
        return true;
    case ARG_TYPE_NUMBER:
    case ARG_TYPE_TTL:
        return args_fail(out_error, rule->name, "%s must be a whole number", rule->name);
    case ARG_TYPE_FLAG:
        return args_fail(out_error, rule->name, "%s must be true or false", rule->name);
    case ARG_TYPE_NAMES: break;
    }
    return args_fail(out_error, rule->name, "%s must be a list of names", rule->name);
}

bool args_set_flag(struct args *args, enum arg arg, bool value, struct args_error *out_error)
{
    if (rules[arg].type == ARG_TYPE_FLAG) return keep_number(args, arg, value ? 1 : 0);
    return args_fail(out_error, arg_name(arg), "%s must not be true or false", arg_name(arg));
}

bool args_check_name(struct bytes name, struct args_error *out_error)
{
    static const struct arg_rule rule = { "name", ARG_TYPE_PLAIN, 1, LIMIT_NAME_SIZE_MAX };
    return check_text(&rule, name, out_error);
}

bool args_add_name(struct args *args, struct bytes name, struct args_error *out_error)
{
    static const struct arg_rule rule = { "names", ARG_TYPE_PLAIN, 1, LIMIT_NAME_SIZE_MAX };
    if (args->name_count == LIMIT_NAME_COUNT_MAX) {
        (void)args_fail(out_error, "names", "there are over %u names", LIMIT_NAME_COUNT_MAX);
        return fail_limit(out_error, LIMIT_NAME_COUNT_MAX);
    }
    if (!check_text(&rule, name, out_error)) return false;
    for (uint32_t i = 0; i < args->name_count; i++) {
        if (bytes_equal(args->names[i], name)) {
            return args_fail(out_error, "names", "a name comes twice");
        }
    }
    args->names[args->name_count++] = name;
    return true;
}

bool args_end_names(struct args *args, struct args_error *out_error)
{
    if (args->name_count == 0) {
        (void)args_fail(out_error, "names", "names must have at least one name");
        return fail_limit(out_error, 1);
    }
    args->is_present[ARG_NAMES] = true;
    return true;
}

enum arg args_any(const struct args *args, const uint8_t *some)
{
    while (*some != ARG_COUNT && !args->is_present[*some]) {
        some++;
    }
    return (enum arg) * some;
}

bool args_require(const struct args *args, const uint8_t *required, struct args_error *out_error)
{
    for (const uint8_t *arg = required; arg != NULL && *arg != ARG_COUNT; arg++) {
        if (args->is_present[*arg]) continue;
        return args_fail(out_error, rules[*arg].name, "%s is missing", rules[*arg].name);
    }
    return true;
}

/* A parameter's value is text; what it means depends on the argument. */
static bool
set_from_query(struct args *args, enum arg arg, struct bytes text, struct args_error *out_error)
{
    uint64_t value = 0;
    switch (rules[arg].type) {
    case ARG_TYPE_NUMBER:
    case ARG_TYPE_TTL:
        if (decimal_parse(text, &value)) return args_set_number(args, arg, value, out_error);
        return args_set_text(args, arg, text, out_error);
    case ARG_TYPE_FLAG:
        if (bytes_equal(text, BYTES_LITERAL("1")) || bytes_equal(text, BYTES_LITERAL("true"))) {
            return args_set_flag(args, arg, true, out_error);
        }
        if (bytes_equal(text, BYTES_LITERAL("0")) || bytes_equal(text, BYTES_LITERAL("false"))) {
            return args_set_flag(args, arg, false, out_error);
        }
        return args_set_text(args, arg, text, out_error);
    case ARG_TYPE_PLAIN:
    case ARG_TYPE_TEXT:
    case ARG_TYPE_WORD:
    case ARG_TYPE_DECIMAL:
    case ARG_TYPE_NAMES: break;
    }
    return args_set_text(args, arg, text, out_error);
}

bool args_read_query(
    struct args *args,
    struct bytes query,
    const uint8_t *allowed,
    char **scratch,
    struct args_error *out_error)
{
    struct url_query walk;
    url_query_init(&walk, query, *scratch);
    for (;;) {
        struct bytes key = { "", 0 };
        struct bytes value = { "", 0 };
        enum url_step step = url_query_next(&walk, &key, &value);
        if (step == URL_BAD) {
            return args_fail(out_error, "", "the query is not encoded as a URL must be");
        }
        if (step == URL_END) break;
        enum arg arg = args_find(args, allowed, key, out_error);
        if (arg == ARG_COUNT || !set_from_query(args, arg, value, out_error)) return false;
    }
    *scratch += query.size;
    return true;
}
