/* json_writer - JSON, written straight into a buffer.
 *
 *     struct json_writer json;
 *     json_writer_init(&json, out);
 *     json_begin_object(&json);
 *     json_key(&json, "name");
 *     json_text(&json, name);
 *     json_end_object(&json);        {"name":"deploy/prod"}
 *
 * The writer puts the commas and asserts that what is written is one JSON value: keys only in
 * objects, each followed by its value, and every end the end of the right thing. */
#ifndef TENURE_PROTO_JSON_WRITER_H
#define TENURE_PROTO_JSON_WRITER_H

#include <stdint.h>

#include "base/buffer.h"

#define JSON_DEPTH_MAX 32u

struct json_writer {
    struct buffer *out;  /* a failed append is remembered there */
    uint32_t depth;      /* objects and arrays that are open */
    bool has_key;        /* a key waits for its value */
    uint64_t has_values; /* bit d: something was written at depth d */
    uint64_t is_object;  /* bit d: what is open at depth d is an object */
};

void json_writer_init(struct json_writer *json, struct buffer *out);
/* One whole value has been written. */
static inline bool json_is_complete(const struct json_writer *json)
{
    return json->depth == 0 && (json->has_values & 1) != 0;
}

void json_begin_object(struct json_writer *json);
void json_end_object(struct json_writer *json);
void json_begin_array(struct json_writer *json);
void json_end_array(struct json_writer *json);

/* `key` is a plain word of the program: nothing in it is escaped. */
void json_key(struct json_writer *json, const char *key);
/* A key from outside. */
void json_key_bytes(struct json_writer *json, struct bytes key);

/* `text` must be valid UTF-8. */
void json_text(struct json_writer *json, struct bytes text);
/* Any bytes, as the letters of base64. */
void json_base64(struct json_writer *json, struct bytes bytes);
void json_unsigned(struct json_writer *json, uint64_t value);
void json_signed(struct json_writer *json, int64_t value);
void json_bool(struct json_writer *json, bool value);
/* Not json_null: that is a name of the library that reads JSON for the server. */
void json_null_value(struct json_writer *json);
/* A finite one. */
void json_double(struct json_writer *json, double value);
/* A number with three decimals: 1234 becomes 1.234. */
void json_thousandths(struct json_writer *json, int64_t value);

#endif
