#include "journal/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Zeros go to the disk in pieces, so that the commits of the other thread never wait for one large
 * flush; and only the last is synced, for each sync of a growing file costs the file system a
 * commit of its own. */
#define ZERO_PIECE_SIZE (UINT64_C(256) << 10)

/* A few pages at a time.  Larger writes cost less, but make Linux keep the file
 * in larger pieces of cache, and some file systems write all of a piece for a commit of a hundred
 * bytes. */
#define ZERO_BLOCK_SIZE 16384u

/* A caller that never gives up on a file is a hang: after so many interruptions without progress
 * EINTR is an error like any other. */
#define INTERRUPTION_COUNT_MAX 1000

enum tenure_err journal_error_set(
    struct tenure_error *out_error, enum tenure_err code, int os_errno, const char *format, ...)
{
    if (out_error == NULL) return code;
    out_error->code = code;
    out_error->os_errno = os_errno;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out_error->text, sizeof(out_error->text), format, arguments);
    va_end(arguments);
    return code;
}

enum tenure_err journal_error_code(int64_t result)
{
    switch (-result) {
    case ENOENT:
    case ENOTDIR: return TENURE_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return TENURE_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return TENURE_NO_SPACE;
    case ENOMEM: return TENURE_NO_MEMORY;
    default: return TENURE_IO;
    }
}

enum tenure_err journal_error_system(
    struct tenure_error *out_error, int64_t result, const char *what, const char *name)
{
    int os_errno = (int)-result;
    char reason[96];
    const char *text = strerror_r(os_errno, reason, sizeof(reason));
    return journal_error_set(
        out_error, journal_error_code(result), os_errno, "cannot %s %s: %s", what, name, text);
}

enum tenure_err journal_error_read(
    struct tenure_error *out_error, int64_t result, const char *name, uint64_t offset)
{
    int os_errno = (int)-result;
    char reason[96];
    const char *text = strerror_r(os_errno, reason, sizeof(reason));
    return journal_error_set(
        out_error,
        journal_error_code(result),
        os_errno,
        "cannot read %s at offset %" PRIu64 ": %s",
        name,
        offset,
        text);
}

static bool is_interrupted(int64_t result, int *count)
{
    return result == -EINTR && ++*count < INTERRUPTION_COUNT_MAX;
}

int journal_file_open(
    const struct journal_dir *dir, struct journal_name name, enum env_open_mode mode)
{
    struct journal_name_text text = journal_name_format(name);
    int result;
    int interruptions = 0;
    do {
        result = dir->env->open(dir->env->context, dir->handle, text.text, mode);
    } while (is_interrupted(result, &interruptions));
    return result;
}

void journal_file_close(const struct journal_dir *dir, int file)
{
    if (file >= 0) dir->env->close(dir->env->context, file);
}

int journal_file_read(
    const struct journal_dir *dir, int file, void *data, size_t size, uint64_t offset)
{
    char *next = data;
    int interruptions = 0;
    while (size > 0) {
        int64_t count = dir->env->pread(dir->env->context, file, next, size, offset);
        if (is_interrupted(count, &interruptions)) continue;
        if (count < 0) return (int)count;
        if (count == 0) return -EIO;
        ASSERT((uint64_t)count <= size);
        next += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
        interruptions = 0;
    }
    return 0;
}

int journal_file_write(
    const struct journal_dir *dir, int file, const void *data, size_t size, uint64_t offset)
{
    const char *next = data;
    int interruptions = 0;
    while (size > 0) {
        int64_t count = dir->env->pwrite(dir->env->context, file, next, size, offset);
        if (is_interrupted(count, &interruptions)) continue;
        if (count < 0) return (int)count;
        /* A write of nothing is how some systems say that there is no room. */
        if (count == 0) return -ENOSPC;
        ASSERT((uint64_t)count <= size);
        next += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
        interruptions = 0;
    }
    return 0;
}

static int write_out(const struct journal_dir *dir, int file, uint64_t offset, size_t size)
{
    int result;
    int interruptions = 0;
    do {
        result = dir->env->write_out(dir->env->context, file, offset, size);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int journal_file_write_zeros(
    const struct journal_dir *dir, int file, uint64_t size, uint64_t offset)
{
    static const char zeros[ZERO_BLOCK_SIZE];
    uint64_t piece_size = 0; /* not yet given to the disk */
    while (size > 0) {
        size_t block_size = size < sizeof(zeros) ? (size_t)size : sizeof(zeros);
        int result = journal_file_write(dir, file, zeros, block_size, offset);
        if (result < 0) return result;
        size -= block_size;
        offset += block_size;
        piece_size += block_size;
        if (piece_size < ZERO_PIECE_SIZE || size == 0) continue;
        result = write_out(dir, file, offset - piece_size, (size_t)piece_size);
        if (result < 0) return result;
        piece_size = 0;
    }
    return journal_file_sync(dir, file);
}

int journal_file_sync(const struct journal_dir *dir, int file)
{
    /* EINTR alone may be repeated: it says that the wait was broken off, not that data was lost. */
    int result;
    int interruptions = 0;
    do {
        result = dir->env->fdatasync(dir->env->context, file);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int journal_file_truncate(const struct journal_dir *dir, int file, uint64_t size)
{
    int result;
    int interruptions = 0;
    do {
        result = dir->env->truncate(dir->env->context, file, size);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int64_t journal_file_size(const struct journal_dir *dir, int file)
{
    int64_t result;
    int interruptions = 0;
    do {
        result = dir->env->size(dir->env->context, file);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int journal_file_rename(
    const struct journal_dir *dir, struct journal_name from, struct journal_name to)
{
    struct journal_name_text from_text = journal_name_format(from);
    struct journal_name_text to_text = journal_name_format(to);
    int result;
    int interruptions = 0;
    do {
        result = dir->env->rename(dir->env->context, dir->handle, from_text.text, to_text.text);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int journal_file_unlink(const struct journal_dir *dir, struct journal_name name)
{
    struct journal_name_text text = journal_name_format(name);
    int result;
    int interruptions = 0;
    do {
        result = dir->env->unlink(dir->env->context, dir->handle, text.text);
    } while (is_interrupted(result, &interruptions));
    return result == -ENOENT ? 0 : result;
}

int journal_file_link(const struct journal_dir *dir, const char *name, const struct journal_dir *to)
{
    int result;
    int interruptions = 0;
    do {
        result = dir->env->link(dir->env->context, dir->handle, name, to->handle);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int journal_dir_make(const struct journal_dir *dir, const char *name)
{
    int result;
    int interruptions = 0;
    do {
        result = dir->env->make_dir(dir->env->context, dir->handle, name);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int journal_dir_open(const struct journal_dir *dir, const char *name)
{
    int result;
    int interruptions = 0;
    do {
        result = dir->env->open_dir_in(dir->env->context, dir->handle, name);
    } while (is_interrupted(result, &interruptions));
    return result;
}

int journal_dir_sync(const struct journal_dir *dir)
{
    int result;
    int interruptions = 0;
    do {
        result = dir->env->fsync_dir(dir->env->context, dir->handle);
    } while (is_interrupted(result, &interruptions));
    return result;
}
