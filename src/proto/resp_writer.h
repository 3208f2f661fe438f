/* resp_writer - the Redis protocol, written: RESP2 or RESP3, as the client has asked.
 *
 * What RESP2 does not know is written as Redis does it: a map as a flat array, a push as an array,
 * a boolean as 0 or 1, a number with a fraction as a string. */
#ifndef TENURE_PROTO_RESP_WRITER_H
#define TENURE_PROTO_RESP_WRITER_H

#include "base/buffer.h"

struct resp_writer {
    struct buffer *out; /* a failed append is remembered there */
    bool is_resp3;
};

/* A short word.  Control characters become blanks, here and in errors: a text can never end its
 * line. */
void resp_write_simple(const struct resp_writer *writer, struct bytes text);
/* An error: its first word, for programs, and a text for people. */
void resp_write_error(const struct resp_writer *writer, const char *word, struct bytes text);
void resp_write_bulk(const struct resp_writer *writer, struct bytes bytes);
void resp_write_text(const struct resp_writer *writer, const char *text);
void resp_write_signed(const struct resp_writer *writer, int64_t value);
/* `value` is at most INT64_MAX. */
void resp_write_unsigned(const struct resp_writer *writer, uint64_t value);
void resp_write_bool(const struct resp_writer *writer, bool value);
void resp_write_null(const struct resp_writer *writer);
/* A number with three decimals: 1234 becomes 1.234. */
void resp_write_thousandths(const struct resp_writer *writer, int64_t value);

/* The heads of aggregates: the values must follow. */
void resp_write_array(const struct resp_writer *writer, uint32_t count);
/* `count` pairs of key and value. */
void resp_write_map(const struct resp_writer *writer, uint32_t count);
void resp_write_push(const struct resp_writer *writer, uint32_t count);

#endif
