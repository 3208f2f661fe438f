/* env - the seam to the system for everything that must survive: files and directories.
 *
 * The journal sees the disk only through this table, so that the same object files run on real
 * disks (env_posix) and on simulated ones that tear, drop and refuse.  Every function returns 0 or
 * a count on success and a negative errno on failure.  Short reads and writes and EINTR are
 * returned as they come: it is the caller who must finish the job.
 *
 * Threads: env_posix may be called from any thread; calls on one file are not serialised here. */
#ifndef TENURE_BASE_ENV_H
#define TENURE_BASE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum env_open_mode {
    ENV_OPEN_READ,   /* an existing file, to read */
    ENV_OPEN_WRITE,  /* an existing file, to read and write */
    ENV_OPEN_CREATE, /* a new file, to read and write; EEXIST when there is one; mode 0600 */
};

/* Called for each entry of a directory; "." and ".." are left out. */
typedef void (*env_list_fn)(void *user, const char *name);

struct env {
    void *context;
    /* A directory handle (not negative) or -errno. */
    int (*open_dir)(void *context, const char *path);
    /* A file handle (not negative) or -errno.  `name` has no slash. */
    int (*open)(void *context, int dir, const char *name, enum env_open_mode mode);
    /* Accepts what open_dir and open gave. */
    void (*close)(void *context, int handle);
    int64_t (*pread)(void *context, int file, void *data, size_t size, uint64_t offset);
    int64_t (*pwrite)(void *context, int file, const void *data, size_t size, uint64_t offset);
    /* Give cached pages to the disk and wait until it has taken them.  A matter of speed alone:
     * they are durable after fdatasync and not before, which then has less to do. */
    int (*write_out)(void *context, int file, uint64_t offset, size_t size);
    int (*fdatasync)(void *context, int file);
    /* Make names created, renamed and removed in `dir` durable. */
    int (*fsync_dir)(void *context, int dir);
    int (*rename)(void *context, int dir, const char *from, const char *to);
    int (*unlink)(void *context, int dir, const char *name);
    /* A new directory in `dir`, mode 0700; -EEXIST when there is anything of that name. */
    int (*make_dir)(void *context, int dir, const char *name);
    /* A handle of a directory in `dir`, or -errno. */
    int (*open_dir_in)(void *context, int dir, const char *name);
    /* Give a file the same name in another directory of this file system, beside the one it has. */
    int (*link)(void *context, int dir, const char *name, int to_dir);
    int64_t (*size)(void *context, int file);
    int (*truncate)(void *context, int file, uint64_t size);
    int (*list)(void *context, int dir, env_list_fn fn, void *user);
    /* Take the exclusive lock of a file until it is closed; -EWOULDBLOCK when another has it. */
    int (*lock)(void *context, int file);
    /* Drop cached pages so that the next read comes from the medium where possible. */
    void (*drop_cache)(void *context, int file);
    /* Fill `data` with unpredictable bytes: salts and identities, never keys.  0 or -errno. */
    int (*random)(void *context, void *data, size_t size);
};

/* The real system. */
extern const struct env env_posix;

#endif
