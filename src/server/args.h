/* args - what a request asks for, from its JSON body and its query alike.
 *
 * One table has every argument of the HTTP interface with its type and its limits.  A route says
 * which of them it takes; anything else is refused by name.  An argument that is wrong is answered
 * with its name, the rule and the limit. */
#ifndef TENURE_SERVER_ARGS_H
#define TENURE_SERVER_ARGS_H

#include <string.h>

#include "base/limits.h"
#include "base/types.h"
#include "proto/base64.h"

/* PLAIN   UTF-8 without control characters, `least` … `most` bytes
 * TEXT    any UTF-8, `least` … `most` bytes
 * NUMBER  a whole number, `least` … `most`
 * TTL     0 (until released) or a number, `least` … `most`
 * WORD    one of a few words: see arg_words
 * FLAG    true or false; in a query also 1 and 0
 * DECIMAL any number, kept as a text
 * NAMES   a list of `least` … `most` names, all different; not in a query */
enum arg_type {
    ARG_TYPE_PLAIN,
    ARG_TYPE_TEXT,
    ARG_TYPE_NUMBER,
    ARG_TYPE_TTL,
    ARG_TYPE_WORD,
    ARG_TYPE_FLAG,
    ARG_TYPE_DECIMAL,
    ARG_TYPE_NAMES
};

/* clang-format off */
#define ARG_MAP(X)                                                                                 \
    X(OWNER,         "owner",         PLAIN,  1, LIMIT_OWNER_SIZE_MAX)                             \
    X(TOKEN,         "token",         NUMBER, 1, TOKEN_MAX)                                        \
    X(TTL_MS,        "ttl_ms",        TTL,    LIMIT_TTL_MS_MIN, LIMIT_TTL_MS_MAX)                  \
    X(WAIT_MS,       "wait_ms",       NUMBER, 0, LIMIT_WAIT_MS_MAX)                                \
    X(MODE,          "mode",          WORD,   0, 0)                                                \
    X(SLOTS,         "slots",         NUMBER, 1, LIMIT_SLOTS_MAX)                                  \
    X(PRIORITY,      "priority",      NUMBER, 0, LIMIT_PRIORITY_MAX)                               \
    X(META,          "meta",          TEXT,   0, LIMIT_META_SIZE_MAX)                              \
    X(LOCK_DELAY_MS, "lock_delay_ms", NUMBER, 0, LIMIT_LOCK_DELAY_MS_MAX)                          \
    X(NAMES,         "names",         NAMES,  1, LIMIT_NAME_COUNT_MAX)                             \
    X(VALUE,         "value",         TEXT,   0, LIMIT_META_SIZE_MAX)                              \
    X(TO,            "to",            PLAIN,  1, LIMIT_OWNER_SIZE_MAX)                             \
    X(BREAK,         "break",         FLAG,   0, 1)                                                \
    X(REASON,        "reason",        PLAIN,  1, LIMIT_REASON_SIZE_MAX)                            \
    X(GRACE_MS,      "grace_ms",      NUMBER, 0, LIMIT_GRACE_MS_MAX)                               \
    X(PREFIX,        "prefix",        PLAIN,  0, LIMIT_NAME_SIZE_MAX)                              \
    X(STATE,         "state",         WORD,   0, 0)                                                \
    X(LIMIT,         "limit",         NUMBER, 1, LIMIT_LIST_COUNT_MAX)                             \
    X(CURSOR,        "cursor",        PLAIN,  0, LIMIT_CURSOR_SIZE_MAX)                            \
    X(SINCE,         "since",         NUMBER, 0, TOKEN_MAX)                                        \
    X(TYPES,         "types",         PLAIN,  0, 255)                                              \
    ARG_MAP_OF_QUEUES(X)
#define ARG_MAP_OF_QUEUES(X)                                                                       \
    X(ID,            "id",             PLAIN,  1, LIMIT_ID_SIZE_MAX)                               \
    X(GROUP,         "group",          PLAIN,  0, LIMIT_GROUP_SIZE_MAX)                            \
    X(HEADERS,       "headers",        TEXT,   0, LIMIT_META_SIZE_MAX)                             \
    X(BODY,          "body",           TEXT,   0, LIMIT_BODY_SIZE_MAX)                             \
    X(BODY_BASE64,   "body_base64",    TEXT,   0, BASE64_SIZE(LIMIT_BODY_SIZE_MAX))                \
    X(RESULT,        "result",         TEXT,   0, LIMIT_RESULT_SIZE_MAX)                           \
    X(RESULT_BASE64, "result_base64",  TEXT,   0, BASE64_SIZE(LIMIT_RESULT_SIZE_MAX))              \
    X(DELAY_MS,      "delay_ms",       NUMBER, 0, LIMIT_DELAY_MS_MAX)                              \
    X(RUN_AT_MS,     "run_at_ms",      NUMBER, 0, LIMIT_RUN_AT_US_MAX / 1000)                      \
    X(EXPIRE_MS,     "expire_ms",      NUMBER, 1, LIMIT_DELAY_MS_MAX)                              \
    X(LEASE_MS,      "lease_ms",       NUMBER, LIMIT_TTL_MS_MIN, LIMIT_TTL_MS_MAX)                 \
    X(TIMEOUT_MS,    "timeout_ms",     NUMBER, 0, LIMIT_TIMEOUT_MS_MAX)                            \
    X(ATTEMPTS_MAX,  "attempts_max",   NUMBER, 0, LIMIT_ATTEMPTS_MAX)                              \
    X(LAPSES_MAX,    "lapses_max",     NUMBER, 0, LIMIT_LAPSES_MAX)                                \
    X(BACKOFF,       "backoff",        WORD,   0, 0)                                               \
    X(BACKOFF_MS,    "backoff_ms",     NUMBER, 0, LIMIT_BACKOFF_MS_MAX)                            \
    X(BACKOFF_MAX,   "backoff_ms_max", NUMBER, 0, LIMIT_BACKOFF_MS_MAX)                            \
    X(JITTER,        "jitter",         NUMBER, 0, 100)                                             \
    X(RETENTION_MS,  "retention_ms",   NUMBER, 0, LIMIT_RETENTION_MS_MAX)                          \
    X(UNIQUE,        "unique",         PLAIN,  1, LIMIT_UNIQUE_SIZE_MAX)                           \
    X(UNTIL,         "until",          WORD,   0, 0)                                               \
    X(WINDOW_MS,     "window_ms",      NUMBER, 1, LIMIT_RETENTION_MS_MAX)                          \
    X(CONFLICT,      "conflict",       WORD,   0, 0)                                               \
    X(WORKER,        "worker",         PLAIN,  1, LIMIT_OWNER_SIZE_MAX)                            \
    X(TAKE_COUNT,    "count",          NUMBER, 1, LIMIT_ITEM_COUNT_MAX)                            \
    X(PROGRESS,      "progress",       PLAIN,  0, LIMIT_REASON_SIZE_MAX)                           \
    X(COUNTED,       "counted",        FLAG,   0, 1)                                               \
    X(INTERVAL_MS,   "interval_ms",    NUMBER, 0, LIMIT_BACKOFF_MS_MAX)                            \
    X(RUNNING_MAX,   "running_max",    NUMBER, 0, UINT32_MAX)                                      \
    X(SIZE_LIMIT,    "size_max",       NUMBER, 0, UINT32_MAX)                                      \
    X(RATE_COUNT,    "rate_count",     NUMBER, 0, UINT32_MAX)                                      \
    X(RATE_MS,       "rate_ms",        NUMBER, 0, LIMIT_TTL_MS_MAX)                                \
    X(BURST,         "burst",          NUMBER, 1, UINT32_MAX)                                      \
    X(WEIGHT,        "weight",         NUMBER, 1, LIMIT_WEIGHT_MAX)                                \
    X(SCHEDULE,      "schedule",       PLAIN,  1, 200)                                             \
    X(CRON,          "cron",           PLAIN,  1, 255)                                             \
    X(ZONE,          "zone",           PLAIN,  1, 64)                                              \
    X(MISSED,        "missed",         PLAIN,  1, 7)                                               \
    X(ITEM_STATE,    "state",          WORD,   0, 0) /* of an item */                              \
    ARG_MAP_OF_STATE(X)
#define ARG_MAP_OF_STATE(X)                                                                        \
    X(NAME,          "name",           PLAIN,  1, LIMIT_NAME_SIZE_MAX)                             \
    X(REGISTER,      "value",          TEXT,   0, LIMIT_VALUE_SIZE_MAX) /* of a register */        \
    X(VALUE_BASE64,  "value_base64",   TEXT,   0, BASE64_SIZE(LIMIT_VALUE_SIZE_MAX))               \
    X(VERSION,       "version",        NUMBER, 0, TOKEN_MAX)                                       \
    X(STATE_TTL,     "ttl_ms",         NUMBER, LIMIT_TTL_MS_MIN, LIMIT_STATE_TTL_MS_MAX)           \
    X(KEEP_TTL,      "keep_ttl",       FLAG,   0, 1)                                               \
    X(ABSENT,        "absent",         FLAG,   0, 1)                                               \
    X(PRESENT,       "present",        FLAG,   0, 1)                                               \
    X(BIND_LOCK,     "bind_lock",      PLAIN,  1, LIMIT_NAME_SIZE_MAX)                             \
    X(BIND_TOKEN,    "bind_token",     NUMBER, 1, TOKEN_MAX)                                       \
    X(GUARD_LOCK,    "guard_lock",     PLAIN,  1, LIMIT_NAME_SIZE_MAX)                             \
    X(GUARD_TOKEN,   "guard_token",    NUMBER, 1, TOKEN_MAX)                                       \
    X(BY,            "by",             DECIMAL, 1, 64)                                             \
    X(IF,            "if",             WORD,   0, 0)                                               \
    X(THEN,          "then",           WORD,   0, 0)                                               \
    X(ELSE,          "else",           WORD,   0, 0)                                               \
    X(MEMBER,        "member",         PLAIN,  1, LIMIT_MEMBER_SIZE_MAX)                           \
    X(SCORE,         "score",          DECIMAL, 1, 64)                                             \
    X(WHEN,          "when",           WORD,   0, 0)                                               \
    X(FIRST,         "first",          NUMBER, 0, UINT32_MAX)                                      \
    X(MIN,           "min",            DECIMAL, 1, 64)                                             \
    X(MAX,           "max",            DECIMAL, 1, 64)                                             \
    X(REVERSE,       "reverse",        FLAG,   0, 1)                                               \
    X(MESSAGE,       "message",        TEXT,   0, LIMIT_VALUE_SIZE_MAX)                            \
    X(MESSAGE_BASE64, "message_base64", TEXT,  0, BASE64_SIZE(LIMIT_VALUE_SIZE_MAX))               \
    X(PATTERN,       "pattern",        FLAG,   0, 1)                                               \
    X(PREVIOUS,      "previous",       FLAG,   0, 1)
/* clang-format on */

enum arg {
#define X(id, name, type, least, most) ARG_##id,
    ARG_MAP(X)
#undef X
        ARG_COUNT
};

/* Some arguments, as `const uint8_t *`; NULL is none. */
#define ARG_LIST(...) ((const uint8_t[]){ __VA_ARGS__, ARG_COUNT })
_Static_assert(ARG_COUNT <= UINT8_MAX, "a list has a byte for each");

/* Values of the words. */
enum arg_mode { ARG_MODE_EXCLUSIVE, ARG_MODE_SHARED };
enum arg_state { ARG_STATE_HELD = 1, ARG_STATE_WAITED = 2 };
/* BACKOFF, CONFLICT and ITEM_STATE are those of engine/terms.h; UNTIL is an enum unique_scope.
 * IF, THEN, ELSE and WHEN are those of engine/state_event.h. */

struct args {
    bool is_present[ARG_COUNT]; /* the values of the others mean nothing */
    uint32_t name_count;
    uint64_t numbers[ARG_COUNT];
    struct bytes texts[ARG_COUNT];
    struct bytes names[LIMIT_NAME_COUNT_MAX];
};

/* What is wrong with a request, for its sender. */
struct args_error {
    char field[64]; /* "" when no argument is at fault */
    char text[160];
    uint64_t limit;
    bool has_limit;
};

/* No arguments. */
static inline void args_init(struct args *args)
{
    memset(args->is_present, 0, sizeof(args->is_present));
    args->name_count = 0;
}

static inline bool args_has(const struct args *args, enum arg arg)
{
    return args->is_present[arg];
}

/* The argument's number or text, or what stands for an absent one. */
static inline uint64_t args_number(const struct args *args, enum arg arg, uint64_t fallback)
{
    return args_has(args, arg) ? args->numbers[arg] : fallback;
}

static inline struct bytes args_text(const struct args *args, enum arg arg)
{
    return args_has(args, arg) ? args->texts[arg] : (struct bytes){ "", 0 };
}

/* The first of `some` that is there; ARG_COUNT when none is. */
enum arg args_any(const struct args *args, const uint8_t *some);

const char *arg_name(enum arg arg);
enum arg_type arg_type(enum arg arg);
uint64_t arg_least(enum arg arg);
uint64_t arg_most(enum arg arg);
/* The argument of that name among `allowed`, not yet present; ARG_COUNT and an error otherwise. */
enum arg args_find(
    const struct args *args,
    const uint8_t *allowed,
    struct bytes name,
    struct args_error *out_error);

/* Each checks the value and keeps it; texts stay borrowed.  False: *out_error says why. */
bool args_set_number(struct args *args, enum arg arg, uint64_t value, struct args_error *out_error);
bool args_set_text(
    struct args *args, enum arg arg, struct bytes text, struct args_error *out_error);
bool args_set_flag(struct args *args, enum arg arg, bool value, struct args_error *out_error);
bool args_add_name(struct args *args, struct bytes name, struct args_error *out_error);
/* Behind the last args_add_name. */
bool args_end_names(struct args *args, struct args_error *out_error);
/* All of `required` present? */
bool args_require(const struct args *args, const uint8_t *required, struct args_error *out_error);
/* Is this a name of a lock?  The error names the field "name". */
bool args_check_name(struct bytes name, struct args_error *out_error);

/* The arguments of a query.  `*scratch` has room for query.size bytes and is advanced behind what
 * was used of it; texts may point into it or into the query. */
bool args_read_query(
    struct args *args,
    struct bytes query,
    const uint8_t *allowed,
    char **scratch,
    struct args_error *out_error);

__attribute__((format(printf, 3, 4))) bool
args_fail(struct args_error *out_error, const char *field, const char *format, ...);

#endif
