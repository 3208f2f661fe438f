/* base64 - what etcd's JSON gateway wants keys and values in. */
#ifndef TENURE_BENCH_BASE64_H
#define TENURE_BENCH_BASE64_H

#include "base/types.h"

/* Bytes of text for `size` bytes of data, the end mark included. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)

/* Write BASE64_SIZE(data.size) bytes. */
void base64_write(struct bytes data, char *out_text);

#endif
