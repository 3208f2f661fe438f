/* url - the parts of a URL, decoded once and strictly.
 *
 * A "%" without two hexadecimal digits behind it, and bytes that no URL may hold (blanks and
 * controls), are errors; they are never passed through. */
#ifndef TENURE_PROTO_URL_H
#define TENURE_PROTO_URL_H

#include <stdint.h>

#include "base/assert.h"
#include "base/types.h"

/* Decode a path, or a part of one: "+" stays, "/" may be raw or encoded.  The result is `text`
 * itself where nothing is encoded, else it is in `scratch`, which has room for text.size bytes. */
MUST_USE bool url_decode_path(struct bytes text, char *scratch, struct bytes *out_decoded);

enum url_step { URL_PAIR, URL_END, URL_BAD };

/* A walk over "a=1&b=two+words&c": a pair without "=" has an empty value, an empty pair is passed
 * over, "+" is a blank. */
struct url_query {
    struct bytes rest;
    char *scratch;
};

/* `scratch` has room for text.size bytes; it and `text` live as long as the pairs are used. */
void url_query_init(struct url_query *query, struct bytes text, char *scratch);
/* PAIR: the next one, decoded.  The same key may come twice. */
MUST_USE enum url_step
url_query_next(struct url_query *query, struct bytes *out_key, struct bytes *out_value);

/* "127.0.0.1:7420", "localhost:7420", "[::1]:7420", ":0". */
struct url_address {
    struct bytes host; /* points into the text, without brackets; may be empty */
    bool is_ipv6;      /* it was in brackets */
    uint16_t port;
};

MUST_USE bool url_parse_address(struct bytes text, struct url_address *out_address);

#endif
