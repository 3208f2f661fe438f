/* reply - reading the three kinds of answers: RESP, HTTP/1.1 and beanstalkd's.
 *
 * The readers look at all the bytes received so far and take one whole answer from the front, or
 * ask for more.  They begin anew each time, which is cheap for the short answers of a lock server.
 * Nothing is copied: what they give points into `input`. */
#ifndef TENURE_BENCH_REPLY_H
#define TENURE_BENCH_REPLY_H

#include "base/types.h"

enum reply_state { REPLY_MORE, REPLY_DONE, REPLY_BAD };

#define RESP_TOKEN_COUNT_MAX 8192u

/* One element, aggregates included, in the order of the wire. */
struct resp_token {
    char type;      /* the byte on the wire: '+' '-' ':' '$' '*' '%' '~' '>' '_' '#' ',' '=' '(' */
    int64_t number; /* of ':'; the count of an aggregate; -1 for a null */
    struct bytes text; /* of everything that has one */
};

struct resp_reply {
    size_t size; /* bytes of input that it took */
    uint32_t token_count;
    struct resp_token tokens[RESP_TOKEN_COUNT_MAX];
};

/* On REPLY_DONE `out_reply` is whole; otherwise what it holds means nothing. */
enum reply_state resp_reply_read(struct bytes input, struct resp_reply *out_reply);
/* The number that follows the text `key` anywhere in the reply, or -1. */
int64_t resp_reply_number(const struct resp_reply *reply, struct bytes key);

/* An answer of beanstalkd in the same form: its words are tokens, numbers ':' and others '+'; the
 * body of RESERVED comes last. */
enum reply_state bean_reply_read(struct bytes input, struct resp_reply *out_reply);

struct http_reply {
    size_t size;
    int status;
    struct bytes body;
    bool is_endless; /* an event stream: `body` is what has come of it so far */
};

/* Bodies are sized by Content-Length; the chunked form is read only where it is an endless stream.
 */
enum reply_state http_reply_read(struct bytes input, struct http_reply *out_reply);
/* The digits after `"key":`, or -1.  `pattern` is all of `"key":`. */
int64_t json_number(struct bytes body, struct bytes pattern);
bool bytes_contain(struct bytes text, struct bytes part);

#endif
