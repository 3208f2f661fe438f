#include "base/buffer.h"

#define CAPACITY_MIN 64u

void buffer_init(struct buffer *buffer, const struct memory *memory)
{
    *buffer = (struct buffer){ .memory = memory };
}

void buffer_deinit(struct buffer *buffer)
{
    memory_give(buffer->memory, buffer->data, buffer->capacity);
    *buffer = (struct buffer){ .memory = buffer->memory };
}

void buffer_reset(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->is_failed = false;
}

bool buffer_grow(struct buffer *buffer, size_t more)
{
    if (buffer->is_failed) return false;
    if (more > SIZE_MAX / 2 - buffer->size) return false;

    size_t needed = buffer->size + more;
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    /* `needed` is at most half of SIZE_MAX, so doubling up to it cannot overflow. */
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = memory_resize(buffer->memory, buffer->data, buffer->capacity, capacity);
    if (data == NULL) return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    ASSERT(size <= buffer->size);
    buffer->size -= size;
    if (buffer->size > 0 && size > 0) memmove(buffer->data, buffer->data + size, buffer->size);
}

void buffer_swap(struct buffer *left, struct buffer *right)
{
    struct buffer held = *left;
    *left = *right;
    *right = held;
}
