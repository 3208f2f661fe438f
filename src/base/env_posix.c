/* env_posix - the seam to the system, on Linux.  Errors are passed on as they come, EINTR too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"

static int result_of(int returned)
{
    return returned < 0 ? -errno : returned;
}

static int posix_open_dir(void *context, const char *path)
{
    (void)context;
    return result_of(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int posix_open(void *context, int dir, const char *name, enum env_open_mode mode)
{
    (void)context;
    switch (mode) {
    case ENV_OPEN_READ: return result_of(openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    case ENV_OPEN_WRITE: return result_of(openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    case ENV_OPEN_CREATE:
        return result_of(
            openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    }
    return -EINVAL;
}

static void posix_close(void *context, int handle)
{
    (void)context;
    (void)close(handle); /* what must survive was synced before; nothing is left to report */
}

static int64_t posix_pread(void *context, int file, void *data, size_t size, uint64_t offset)
{
    (void)context;
    ssize_t count = pread(file, data, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static int64_t posix_pwrite(void *context, int file, const void *data, size_t size, uint64_t offset)
{
    (void)context;
    ssize_t count = pwrite(file, data, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static int posix_fdatasync(void *context, int file)
{
    (void)context;
    return result_of(fdatasync(file));
}

static int posix_write_out(void *context, int file, uint64_t offset, size_t size)
{
    (void)context;
    const unsigned flags =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    return result_of(sync_file_range(file, (off_t)offset, (off_t)size, flags));
}

static int posix_fsync_dir(void *context, int dir)
{
    (void)context;
    return result_of(fsync(dir));
}

static int posix_rename(void *context, int dir, const char *from, const char *to)
{
    (void)context;
    return result_of(renameat(dir, from, dir, to));
}

static int posix_unlink(void *context, int dir, const char *name)
{
    (void)context;
    return result_of(unlinkat(dir, name, 0));
}

static int posix_make_dir(void *context, int dir, const char *name)
{
    (void)context;
    return result_of(mkdirat(dir, name, 0700));
}

static int posix_open_dir_in(void *context, int dir, const char *name)
{
    (void)context;
    return result_of(openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

static int posix_link(void *context, int dir, const char *name, int to_dir)
{
    (void)context;
    return result_of(linkat(dir, name, to_dir, name, 0));
}

static int64_t posix_size(void *context, int file)
{
    (void)context;
    struct stat stat;
    if (fstat(file, &stat) != 0) return -errno;
    return stat.st_size;
}

static int posix_truncate(void *context, int file, uint64_t size)
{
    (void)context;
    return result_of(ftruncate(file, (off_t)size));
}

static int posix_list(void *context, int dir, env_list_fn fn, void *user)
{
    (void)context;
    /* A descriptor of its own: readdir moves the position that duplicates share. */
    int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) return -errno;
    DIR *stream = fdopendir(own);
    if (stream == NULL) {
        int error = errno;
        (void)close(own);
        return -error;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        fn(user, entry->d_name);
    }
    int error = errno;
    (void)closedir(stream);
    return -error;
}

static int posix_lock(void *context, int file)
{
    (void)context;
    return result_of(flock(file, LOCK_EX | LOCK_NB));
}

static void posix_drop_cache(void *context, int file)
{
    (void)context;
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
}

static int posix_random(void *context, void *data, size_t size)
{
    (void)context;
    char *next = data;
    while (size > 0) {
        ssize_t count = getrandom(next, size, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -errno;
        next += count;
        size -= (size_t)count;
    }
    return 0;
}

const struct env env_posix = {
    .context = NULL,
    .open_dir = posix_open_dir,
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .write_out = posix_write_out,
    .fdatasync = posix_fdatasync,
    .fsync_dir = posix_fsync_dir,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .make_dir = posix_make_dir,
    .open_dir_in = posix_open_dir_in,
    .link = posix_link,
    .size = posix_size,
    .truncate = posix_truncate,
    .list = posix_list,
    .lock = posix_lock,
    .drop_cache = posix_drop_cache,
    .random = posix_random,
};
