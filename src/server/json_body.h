/* json_body - the JSON object of a request, read straight into struct args.
 *
 * Every request is one flat object of strings, whole numbers and flags (and one list of names), so
 * that one pass without allocation does: each member is looked up before its value is read, and
 * what has no place is refused at once.  There is no depth to be bombed with.
 *
 * Strict as RFC 8259: UTF-8, no duplicate members, no control characters or lone surrogates in
 * strings, nothing behind the object.  Besides, U+0000 is refused, and numbers must be written as
 * whole ones. */
#ifndef TENURE_SERVER_JSON_BODY_H
#define TENURE_SERVER_JSON_BODY_H

#include "server/args.h"

/* Add the members of `body` (empty = no members) to `args`.  `*scratch` has room for body.size
 * bytes and is advanced behind what was used of it; texts point into it or into the body. */
bool json_body_read(
    struct args *args,
    struct bytes body,
    const uint8_t *allowed,
    char **scratch,
    struct args_error *out_error);

#endif
