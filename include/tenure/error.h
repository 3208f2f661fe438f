/* error - every outcome that an operation of Tenure can have, in one table.
 *
 * The table is the single source: the enum, the HTTP status, the first word of a RESP error, the
 * exit code of the command line, the documentation and the metrics labels all come from it, and a
 * test holds them together.
 *
 * effect  may the failed call have changed anything?
 *         NONE: nothing changed.  APPLIED: it happened.  UNKNOWN: either; ask again (every request
 *         may be repeated) or wait for the ttl.
 * retry   does it make sense to send the same request again?
 *         NEVER: the answer will be the same.  LATER: after a while, or after retry_after_ms.
 *         NOW: at once, on a new connection. */
#ifndef TENURE_ERROR_H
#define TENURE_ERROR_H

#include <tenure/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/*    name            code  text name         HTTP RESP word         exit effect   retry  text */
#define TENURE_ERROR_MAP(X)                                                                        \
    X(OK,              0, "ok",              200, "OK",              0,  APPLIED, NEVER,           \
      "success")                                                                                   \
    X(HELD,            1, "held",            423, "HELD",            75, NONE,    LATER,           \
      "somebody else holds the lock")                                                              \
    X(TIMEOUT,         2, "timeout",         423, "TIMEOUT",         75, NONE,    LATER,           \
      "the lock did not become free within the time to wait")                                      \
    X(LOST,            3, "lost",            410, "LOST",            79, NONE,    NEVER,           \
      "the hold has ended")                                                                        \
    X(NOT_OWNER,       4, "not_owner",       412, "NOTOWNER",        77, NONE,    NEVER,           \
      "this owner does not hold the lock")                                                         \
    X(STALE_TOKEN,     5, "stale_token",     412, "STALE",           79, NONE,    NEVER,           \
      "the token is not the current one")                                                          \
    X(UNAVAILABLE,     6, "unavailable",     503, "UNAVAILABLE",     69, NONE,    LATER,           \
      "the server cannot do this now")                                                             \
    X(UNKNOWN,         7, "unknown",         504, "UNKNOWN",         69, UNKNOWN, NOW,             \
      "no answer arrived; the request may or may not have been carried out")                       \
    X(DENIED,          8, "denied",          403, "DENIED",          77, NONE,    NEVER,           \
      "not allowed")                                                                               \
    X(INVALID,         9, "invalid",         400, "INVALID",         64, NONE,    NEVER,           \
      "the request is not valid")                                                                  \
    X(LIMIT_MISMATCH, 10, "limit_mismatch",  409, "LIMITMISMATCH",   64, NONE,    NEVER,           \
      "the lock is in use with another number of slots")                                           \
    X(DEADLOCK,       11, "deadlock",        409, "DEADLOCK",        64, NONE,    NEVER,           \
      "granting this could never happen: a shared hold cannot be upgraded to exclusive")           \
    X(UNSUPPORTED,    12, "unsupported",     501, "UNSUPPORTED",     64, NONE,    NEVER,           \
      "this server cannot do that")                                                                \
    X(NOT_FOUND,      13, "not_found",       404, "NOTFOUND",        66, NONE,    NEVER,           \
      "there is no such thing")                                                                    \
    X(COMPACTED,      14, "compacted",       410, "COMPACTED",       66, NONE,    NEVER,           \
      "the events asked for are no longer remembered")                                             \
    X(TOO_MANY,       15, "too_many",        429, "TOOMANY",         69, NONE,    LATER,           \
      "a limit of the server is reached")                                                          \
    X(NO_SPACE,       16, "no_space",        503, "NOSPACE",         69, NONE,    LATER,           \
      "the disk is full: no new grants until there is room")                                       \
    X(DRAINING,       17, "draining",        503, "DRAINING",        69, NONE,    NOW,             \
      "the server is shutting down")                                                               \
    X(CANCELED,       18, "canceled",        409, "CANCELED",        75, NONE,    NEVER,           \
      "the wait was given up or taken over by a newer request of the same owner")                  \
    X(NO_MEMORY,      19, "no_memory",       503, "NOMEMORY",        69, NONE,    LATER,           \
      "not enough memory")                                                                         \
    X(TOO_LARGE,      20, "too_large",       413, "TOOLARGE",        64, NONE,    NEVER,           \
      "the request is larger than the server accepts")                                             \
    X(IO,             21, "io",              503, "IOERROR",         74, UNKNOWN, LATER,           \
      "reading or writing failed")                                                                 \
    X(CORRUPT,        22, "corrupt",         503, "CORRUPT",         65, NONE,    NEVER,           \
      "stored data is damaged")                                                                    \
    X(INTERNAL,       23, "internal",        500, "INTERNAL",        70, UNKNOWN, NEVER,           \
      "a fault in the program")                                                                    \
    X(MISMATCH,       24, "mismatch",        412, "MISMATCH",        75, NONE,    NEVER,           \
      "a condition does not hold: the register has another version or value")
/* clang-format on */

enum tenure_err {
#define X(name, code, word, http, resp, exit, effect, retry, text) TENURE_##name = code,
    TENURE_ERROR_MAP(X)
#undef X
};
#define TENURE_ERR_COUNT 25

enum tenure_effect { TENURE_EFFECT_NONE, TENURE_EFFECT_APPLIED, TENURE_EFFECT_UNKNOWN };
enum tenure_retry { TENURE_RETRY_NEVER, TENURE_RETRY_LATER, TENURE_RETRY_NOW };

/* What went wrong, for people.  The caller owns it and may pass NULL where it is optional. */
struct tenure_error {
    enum tenure_err code;
    int os_errno;   /* 0 where the system was not at fault */
    char text[240]; /* one sentence: what, why, and what to do next */
};

/* The stable lower-case name of an outcome: the `code` of an HTTP error, a metrics label. */
TENURE_API const char *tenure_err_name(enum tenure_err err);
/* One sentence in English. */
TENURE_API const char *tenure_err_text(enum tenure_err err);
/* The HTTP status. */
TENURE_API int tenure_err_http_status(enum tenure_err err);
/* The first word of a RESP error. */
TENURE_API const char *tenure_err_resp_word(enum tenure_err err);
/* The exit code of the command line. */
TENURE_API int tenure_err_exit_code(enum tenure_err err);
TENURE_API enum tenure_effect tenure_err_effect(enum tenure_err err);
TENURE_API enum tenure_retry tenure_err_retry(enum tenure_err err);

#ifdef __cplusplus
}
#endif

#endif
