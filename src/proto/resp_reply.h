/* resp_reply - replies of servers in the Redis protocol, RESP2 and RESP3.
 *
 * A reply is a sequence of tokens: an aggregate (array, map …) is a token that says how many values
 * follow.  resp_skip_reply finds where a whole reply ends; resp_read_token then gives its tokens
 * one after the other.  Nothing is allocated, nothing recurses, and how deep aggregates may nest is
 * for the caller to say, who alone follows them. */
#ifndef TENURE_PROTO_RESP_REPLY_H
#define TENURE_PROTO_RESP_REPLY_H

#include <stdint.h>

#include "base/types.h"
#include "proto/parse.h"

#define RESP_REPLY_LINE_SIZE_MAX   ((size_t)64 << 10)
#define RESP_REPLY_STRING_SIZE_MAX ((size_t)512 << 20)
#define RESP_REPLY_COUNT_MAX       (INT64_C(1) << 24) /* tokens that are still to come */

enum resp_kind {
    RESP_SIMPLE,     /* text */
    RESP_ERROR,      /* text, also of the bulk form */
    RESP_INTEGER,    /* integer */
    RESP_BULK,       /* text, also of the verbatim form, without its "txt:" */
    RESP_NULL,       /* in each of its three forms */
    RESP_BOOL,       /* integer: 0 or 1 */
    RESP_DOUBLE,     /* text, as sent */
    RESP_BIG_NUMBER, /* text, as sent */
    RESP_ARRAY,      /* count */
    RESP_SET,        /* count */
    RESP_PUSH,       /* count */
    RESP_MAP,        /* count of keys and values together */
    RESP_ATTRIBUTE,  /* count of keys and values together; the value itself follows them */
};
#define RESP_KIND_COUNT 13

struct resp_token {
    enum resp_kind kind;
    int64_t integer;
    struct bytes text; /* points into the input */
    uint32_t count;    /* values that belong to an aggregate; each may be an aggregate again */
};

/* The token at `*position`, which moves behind it when DONE.  BAD: a text (static). */
enum proto_parse resp_read_token(
    struct bytes input, size_t *position, struct resp_token *out_token, const char **out_text);

/* How far into a reply; zeroed at the beginning of each. */
struct resp_skip {
    size_t position;
    int64_t pending; /* tokens that must still come, less the first */
};

/* Each call passes everything from the first byte of the reply on; the buffer may have moved, and
 * what was skipped is not looked at again.  DONE: how many bytes the whole reply takes; `skip` is
 * ready for the next. */
enum proto_parse resp_skip_reply(
    struct resp_skip *skip, struct bytes input, size_t *out_size, const char **out_text);

#endif
