/* base64 - bytes as letters (RFC 4648 §4), strictly: padded, without line ends, and each text of
 * one meaning only. */
#ifndef TENURE_PROTO_BASE64_H
#define TENURE_PROTO_BASE64_H

#include "base/assert.h"
#include "base/types.h"

/* How many letters so many bytes make. */
#define BASE64_SIZE(size) (((size_t)(size) + 2) / 3 * 4)

/* `out_text` has room for BASE64_SIZE(bytes.size) letters, and gets as many. */
void base64_encode(struct bytes bytes, char *out_text);
/* `out_bytes` has room for text.size / 4 * 3.  False when that is no base64. */
MUST_USE bool base64_decode(struct bytes text, char *out_bytes, size_t *out_size);

#endif
