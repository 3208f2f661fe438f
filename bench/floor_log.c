#include "floor_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILL_SIZE 1048576u

static bool write_all(int fd, struct bytes bytes, uint64_t offset)
{
    while (bytes.size > 0) {
        ssize_t written = pwrite(fd, bytes.data, bytes.size, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes.data += written;
        bytes.size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return true;
}

static bool fill_with_zeros(int fd, uint64_t size)
{
    static const char zeros[FILL_SIZE];
    for (uint64_t offset = 0; offset < size; offset += FILL_SIZE) {
        if (!write_all(fd, (struct bytes){ zeros, FILL_SIZE }, offset)) return false;
    }
    return fsync(fd) == 0;
}

static void run(void *user)
{
    struct floor_log *log = user;
    uv_mutex_lock(&log->mutex);
    for (;;) {
        while (!log->is_busy) {
            uv_cond_wait(&log->wake, &log->mutex);
        }
        uv_mutex_unlock(&log->mutex);
        if (log->offset + log->group.size > log->size) log->offset = 0;
        if (!write_all(log->fd, buffer_bytes(&log->group), log->offset) || fdatasync(log->fd) != 0)
        {
            perror("bench-floor: log");
            abort();
        }
        log->offset += log->group.size;
        buffer_reset(&log->group);
        uv_mutex_lock(&log->mutex);
        log->is_busy = false;
        (void)uv_async_send(log->on_durable);
    }
}

int floor_log_open(struct floor_log *log, const char *path, uint64_t size, uv_async_t *on_durable)
{
    *log = (struct floor_log){ .size = size, .on_durable = on_durable };
    buffer_init(&log->group, &memory_heap);
    log->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log->fd < 0 || !fill_with_zeros(log->fd, size)) return -errno;
    if (uv_mutex_init(&log->mutex) != 0 || uv_cond_init(&log->wake) != 0) return -ENOMEM;
    return uv_thread_create(&log->thread, run, log);
}

void floor_log_commit(struct floor_log *log, struct buffer *records)
{
    uv_mutex_lock(&log->mutex);
    ASSERT(!log->is_busy);
    buffer_swap(&log->group, records);
    log->is_busy = true;
    uv_cond_signal(&log->wake);
    uv_mutex_unlock(&log->mutex);
}
