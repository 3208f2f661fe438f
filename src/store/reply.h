/* reply - a whole answer of the server, read value by value.
 *
 * What is not of the expected kind marks the reply as bad and reads as 0, "" or an empty aggregate;
 * who reads looks once, at the end.  Texts are terminated in place: the byte behind each belongs to
 * the protocol and has been read already. */
#ifndef TENURE_STORE_REPLY_H
#define TENURE_STORE_REPLY_H

#include "base/assert.h"
#include "proto/resp_reply.h"

struct reply {
    char *data;
    size_t size;
    size_t position;
    bool is_bad;
};

/* The kind of the next value, which is not read. */
enum resp_kind tni_reply_peek(const struct reply *reply);
/* How many values, or pairs, follow.  A map may come as an array, too. */
uint32_t tni_reply_array(struct reply *reply);
uint32_t tni_reply_map(struct reply *reply);
int64_t tni_reply_integer(struct reply *reply);
uint64_t tni_reply_unsigned(struct reply *reply);
uint32_t tni_reply_unsigned32(struct reply *reply);
bool tni_reply_bool(struct reply *reply);
/* NULL for a null.  Simple texts, bulk texts and errors. */
const char *tni_reply_text(struct reply *reply);
/* The same, "" for a null. */
const char *tni_reply_text_or_empty(struct reply *reply);
/* Any bytes, with a zero behind them; empty for a null. */
struct bytes tni_reply_bytes(struct reply *reply);
/* Step over one value, whatever it is. */
void tni_reply_skip(struct reply *reply);

#endif
