/* file - the calls of struct env brought to their end: short counts and EINTR are finished here,
 * errors become outcomes with a sentence that names the file. */
#ifndef TENURE_JOURNAL_FILE_H
#define TENURE_JOURNAL_FILE_H

#include <tenure/error.h>

#include "base/assert.h"
#include "base/env.h"
#include "journal/name.h"

/* Where the files are. */
struct journal_dir {
    const struct env *env;
    int handle;
};

/* Fill `*out_error`, which may be NULL, and return `code`. */
__attribute__((format(printf, 4, 5))) enum tenure_err journal_error_set(
    struct tenure_error *out_error, enum tenure_err code, int os_errno, const char *format, ...);
/* The outcome that a negative errno means here. */
enum tenure_err journal_error_code(int64_t result);
/* "Cannot WHAT NAME: reason". */
enum tenure_err journal_error_system(
    struct tenure_error *out_error, int64_t result, const char *what, const char *name);
/* "Cannot read NAME at offset OFFSET: reason". */
enum tenure_err journal_error_read(
    struct tenure_error *out_error, int64_t result, const char *name, uint64_t offset);

/* A file handle or -errno. */
int journal_file_open(
    const struct journal_dir *dir, struct journal_name name, enum env_open_mode mode);
/* Accepts -1. */
void journal_file_close(const struct journal_dir *dir, int file);
/* All of it, or -errno.  The end of the file inside is -EIO. */
int journal_file_read(
    const struct journal_dir *dir, int file, void *data, size_t size, uint64_t offset);
/* All of it, or -errno: then any part may have been written. */
int journal_file_write(
    const struct journal_dir *dir, int file, const void *data, size_t size, uint64_t offset);
int journal_file_write_zeros(
    const struct journal_dir *dir, int file, uint64_t size, uint64_t offset);
int journal_file_sync(const struct journal_dir *dir, int file);
int journal_file_truncate(const struct journal_dir *dir, int file, uint64_t size);
/* The size, or -errno. */
int64_t journal_file_size(const struct journal_dir *dir, int file);
int journal_file_rename(
    const struct journal_dir *dir, struct journal_name from, struct journal_name to);
/* A file that is not there counts as removed. */
int journal_file_unlink(const struct journal_dir *dir, struct journal_name name);
/* Give the file the same name in `to` as well. */
int journal_file_link(
    const struct journal_dir *dir, const char *name, const struct journal_dir *to);
/* -EEXIST when there is anything of that name. */
int journal_dir_make(const struct journal_dir *dir, const char *name);
/* A handle or -errno. */
int journal_dir_open(const struct journal_dir *dir, const char *name);
int journal_dir_sync(const struct journal_dir *dir);

#endif
