/* floor_log - a file to which whole groups of records are made durable, by a thread of its own.
 *
 * The file is filled with zeros beforehand and overwritten from the start when it is full, as a log
 * with recycled segments would do.  One group is under way at a time. */
#ifndef TENURE_BENCH_FLOOR_LOG_H
#define TENURE_BENCH_FLOOR_LOG_H

#include <uv.h>

#include "base/buffer.h"

struct floor_log {
    int fd;
    uint64_t size;
    uint64_t offset;
    struct buffer group; /* what the thread writes; its own while `is_busy` */
    uv_async_t *on_durable;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t wake;
    bool is_busy;
};

/* Create the file and start the thread; `on_durable` is sent after each group.  Returns 0 or a
 * negative errno. */
MUST_USE int
floor_log_open(struct floor_log *log, const char *path, uint64_t size, uv_async_t *on_durable);
/* Make `records` durable; the log takes the bytes and leaves an empty buffer.  No group may be
 * under way. */
void floor_log_commit(struct floor_log *log, struct buffer *records);

#endif
