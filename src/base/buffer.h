/* buffer - bytes that grow at the end.
 *
 * A failed growth is remembered (`is_failed`) and later appends do nothing, so that a writer checks
 * once at the end.  `reserve` lets a caller make sure beforehand that appends cannot fail.
 * Not for several threads. */
#ifndef TENURE_BASE_BUFFER_H
#define TENURE_BASE_BUFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/types.h"

struct buffer {
    char *data;
    size_t size;
    size_t capacity;
    const struct memory *memory;
    bool is_failed;
};

/* `memory` must outlive the buffer. */
void buffer_init(struct buffer *buffer, const struct memory *memory);
/* Accepts a zeroed buffer. */
void buffer_deinit(struct buffer *buffer);
/* Empty, capacity kept, failure forgotten. */
void buffer_reset(struct buffer *buffer);
/* Forget the first `size` bytes; the rest moves to the front. */
void buffer_consume(struct buffer *buffer, size_t size);
/* Exchange the contents of two buffers. */
void buffer_swap(struct buffer *left, struct buffer *right);
/* Make it larger; only buffer_reserve calls it. */
MUST_USE bool buffer_grow(struct buffer *buffer, size_t more);

/* Make room for `more` further bytes.  False when there is no memory; nothing is lost then. */
MUST_USE static inline bool buffer_reserve(struct buffer *buffer, size_t more)
{
    bool has_room = !buffer->is_failed && more <= buffer->capacity - buffer->size;
    return has_room || buffer_grow(buffer, more);
}

/* Append `size` bytes, at least one, that the caller fills in.  NULL, and failed, when there is no
 * memory. */
MUST_USE static inline char *buffer_extend(struct buffer *buffer, size_t size)
{
    if (!buffer_reserve(buffer, size)) {
        buffer->is_failed = true;
        return NULL;
    }
    char *at = buffer->data + buffer->size;
    buffer->size += size;
    return at;
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0) return;
    char *at = buffer_extend(buffer, size);
    if (at != NULL) memcpy(at, data, size);
}

static inline void buffer_append_bytes(struct buffer *buffer, struct bytes bytes)
{
    buffer_append(buffer, bytes.data, bytes.size);
}

static inline void buffer_append_byte(struct buffer *buffer, char byte)
{
    buffer_append(buffer, &byte, 1);
}

/* The contents; valid until the buffer changes. */
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){ buffer->data, buffer->size };
}

#endif
