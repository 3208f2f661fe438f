#include "sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define HANDLE_FREE (-1)
#define HANDLE_DIR  (-2)

/* ------------------------------------------------------------------ memory */

/* Make it `size` bytes, new ones zero. */
static void blob_resize(struct disk_blob *blob, size_t size)
{
    if (size > blob->capacity) {
        size_t capacity = blob->capacity == 0 ? 4096 : blob->capacity;
        while (capacity < size) {
            capacity *= 2;
        }
        char *data = realloc(blob->data, capacity);
        ASSERT(data != NULL);
        blob->data = data;
        blob->capacity = capacity;
    }
    if (size > blob->size) memset(blob->data + blob->size, 0, size - blob->size);
    blob->size = size;
}

static void blob_copy(struct disk_blob *to, const struct disk_blob *from)
{
    blob_resize(to, from->size);
    if (from->size > 0) memcpy(to->data, from->data, from->size);
}

static void blob_free(struct disk_blob *blob)
{
    free(blob->data);
    *blob = (struct disk_blob){ 0 };
}

static void file_reset(struct disk_file *file)
{
    file->cache.size = 0;
    file->medium.size = 0;
    file->log.size = 0;
    file->write_count = 0;
    file->size_min = 0;
    file->locked_by = -1;
}

static void file_log(struct disk_file *file, uint64_t offset, const void *data, size_t size)
{
    if (file->write_count == file->write_capacity) {
        file->write_capacity = file->write_capacity == 0 ? 16 : file->write_capacity * 2;
        struct disk_write *writes =
            realloc(file->writes, file->write_capacity * sizeof(struct disk_write));
        ASSERT(writes != NULL);
        file->writes = writes;
    }
    size_t at = file->log.size;
    blob_resize(&file->log, at + size);
    memcpy(file->log.data + at, data, size);
    file->writes[file->write_count++] = (struct disk_write){ offset, size, at };
}

static void file_log_clear(struct disk_file *file)
{
    file->write_count = 0;
    file->log.size = 0;
    file->size_min = file->cache.size;
}

/* ------------------------------------------------------------------- names */

static struct disk_name *name_find(struct disk_name *names, const char *text)
{
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        if (names[index].file >= 0 && strcmp(names[index].text, text) == 0) return &names[index];
    }
    return NULL;
}

static void name_remove(struct disk_name *names, const char *text, int file)
{
    struct disk_name *name = name_find(names, text);
    if (name != NULL && (file < 0 || name->file == file)) name->file = -1;
}

static void name_put(struct disk_name *names, const char *text, int file)
{
    struct disk_name *name = name_find(names, text);
    for (uint32_t index = 0; name == NULL && index < DISK_FILE_COUNT_MAX; index++) {
        if (names[index].file < 0) name = &names[index];
    }
    ASSERT(name != NULL);
    ASSERT(strlen(text) < DISK_NAME_SIZE_MAX);
    memcpy(name->text, text, strlen(text) + 1);
    name->file = file;
}

static void change_apply(struct disk_name *names, const struct disk_change *change)
{
    switch (change->kind) {
    case DISK_CREATE: name_put(names, change->to, change->file); break;
    case DISK_RENAME:
        name_remove(names, change->from, change->file);
        name_put(names, change->to, change->file);
        break;
    case DISK_UNLINK: name_remove(names, change->from, change->file); break;
    }
}

/* A file that was made and removed again, both un-synced: mostly as if it had
 * never been.  Keeps a program that tries for long to make a file from filling
 * the list. */
static bool forget_creation(struct disk *disk, const char *name, int file)
{
    if (disk->change_count < DISK_CHANGE_COUNT_MAX / 16) return false;
    for (uint32_t index = disk->change_count; index-- > 0;) {
        const struct disk_change *change = &disk->changes[index];
        if (change->file != file) continue;
        if (change->kind != DISK_CREATE || strcmp(change->to, name) != 0) return false;
        disk->change_count--;
        memmove(
            &disk->changes[index],
            &disk->changes[index + 1],
            (disk->change_count - index) * sizeof *disk->changes);
        name_remove(disk->names, name, file);
        return true;
    }
    return false;
}

static void change_push(
    struct disk *disk, enum disk_change_kind kind, const char *from, const char *to, int file)
{
    ASSERT(disk->change_count < DISK_CHANGE_COUNT_MAX);
    if (kind == DISK_UNLINK && forget_creation(disk, from, file)) return;
    struct disk_change *change = &disk->changes[disk->change_count++];
    *change = (struct disk_change){ .kind = kind, .file = file };
    memcpy(change->from, from, strlen(from) + 1);
    memcpy(change->to, to, strlen(to) + 1);
    change_apply(disk->names, change);
}

/* Nothing refers to it any more. */
static bool file_is_free(const struct disk *disk, int file)
{
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        if (disk->names[index].file == file || disk->medium_names[index].file == file) return false;
    }
    for (uint32_t index = 0; index < disk->change_count; index++) {
        if (disk->changes[index].file == file) return false;
    }
    for (uint32_t index = 0; index < DISK_HANDLE_COUNT_MAX; index++) {
        if (disk->handles[index] == file) return false;
    }
    return true;
}

static int file_new(struct disk *disk)
{
    for (int file = 0; file < (int)DISK_FILE_COUNT_MAX; file++) {
        if (!file_is_free(disk, file)) continue;
        file_reset(&disk->files[file]);
        return file;
    }
    return -ENOSPC;
}

static int handle_new(struct disk *disk, int what)
{
    for (int handle = 0; handle < (int)DISK_HANDLE_COUNT_MAX; handle++) {
        if (disk->handles[handle] != HANDLE_FREE) continue;
        disk->handles[handle] = what;
        return handle;
    }
    return -EMFILE;
}

static struct disk_file *file_of(struct disk *disk, int handle)
{
    ASSERT(handle >= 0 && handle < (int)DISK_HANDLE_COUNT_MAX && disk->handles[handle] >= 0);
    return &disk->files[disk->handles[handle]];
}

uint64_t disk_used(const struct disk *disk)
{
    uint64_t used = 0;
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        if (disk->names[index].file >= 0) used += disk->files[disk->names[index].file].cache.size;
    }
    return used;
}

uint32_t disk_file_count(const struct disk *disk)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        count += disk->names[index].file >= 0;
    }
    return count;
}

uint32_t disk_handle_count(const struct disk *disk)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < DISK_HANDLE_COUNT_MAX; index++) {
        count += disk->handles[index] != HANDLE_FREE;
    }
    return count;
}

/* ----------------------------------------------------------------- crashes */

enum life {
    LIFE_ON,   /* go on */
    LIFE_LAST, /* this call happens, wholly or in part, but nobody learns of it */
    LIFE_OVER, /* nothing happens any more */
};

static enum life enter(struct disk *disk)
{
    if (disk->is_crashed) return LIFE_OVER;
    disk->call_count++;
    if (disk->call_count < disk->crash_at) return LIFE_ON;
    disk->is_crashed = true;
    if (rng_percent(&disk->rng, 40)) {
        disk->counts.crashes_before++;
        return LIFE_OVER;
    }
    disk->counts.crashes_after++;
    return LIFE_LAST;
}

static bool strike(struct disk *disk, uint32_t ppm, uint64_t *count)
{
    if (!rng_chance(&disk->rng, ppm)) return false;
    (*count)++;
    return true;
}

void disk_kill(struct disk *disk)
{
    for (uint32_t index = 0; index < DISK_HANDLE_COUNT_MAX; index++) {
        disk->handles[index] = HANDLE_FREE;
    }
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        disk->files[index].locked_by = -1;
    }
    disk->is_crashed = false;
    disk->crash_at = UINT64_MAX;
}

/* One sector of an un-synced write reaches the medium as chance will have it.
 */
static void sector_settle(
    struct disk *disk, struct disk_file *file, uint64_t offset, const char *data, size_t size)
{
    if (offset >= file->medium.size) return;
    if (size > file->medium.size - offset) size = (size_t)(file->medium.size - offset);
    uint32_t dice = rng_below(&disk->rng, 100);
    if (dice < 40) {
        disk->counts.sectors_kept++;
        memcpy(file->medium.data + offset, data, size);
    } else if (dice < 70) {
        disk->counts.sectors_dropped++;
    } else if (dice < 85) {
        disk->counts.sectors_torn++;
        memcpy(file->medium.data + offset, data, rng_below(&disk->rng, (uint32_t)size));
    } else {
        disk->counts.sectors_zeroed++;
        memset(file->medium.data + offset, 0, size);
    }
}

static void size_settle(struct disk *disk, struct disk_file *file)
{
    uint64_t old = file->medium.size;
    uint64_t new = file->cache.size;
    if (file->size_min < old && rng_percent(&disk->rng, 50)) {
        blob_resize(&file->medium, file->size_min);
        old = file->size_min;
    }
    if (new == old) return;
    uint32_t dice = rng_below(&disk->rng, 3);
    if (dice == 0) {
        disk->counts.sizes_lost++;
        return;
    }
    if (dice == 1 && new > old) {
        new = old + (uint64_t)rng_between(&disk->rng, 0, (int64_t)(new - old));
        new -= new % DISK_SECTOR_SIZE;
        if (new < old) new = old;
        disk->counts.sizes_lost++;
    }
    blob_resize(&file->medium, new);
}

/* What an un-synced file looks like on the medium when the power is gone.  In
 * one of three cases all is kept, which is what makes acknowledging too early
 * survive a lazy test and not this one. */
static void file_settle(struct disk *disk, struct disk_file *file)
{
    bool is_all_lost = rng_percent(&disk->rng, 25);
    size_settle(disk, file);
    for (uint32_t index = 0; index < file->write_count && !is_all_lost; index++) {
        const struct disk_write *write = &file->writes[index];
        for (size_t done = 0; done < write->size;) {
            uint64_t offset = write->offset + done;
            size_t size = DISK_SECTOR_SIZE - (size_t)(offset % DISK_SECTOR_SIZE);
            if (size > write->size - done) size = write->size - done;
            sector_settle(disk, file, offset, file->log.data + write->log_at + done, size);
            done += size;
        }
    }
    if (is_all_lost) disk->counts.sectors_dropped += file->write_count;
}

static void names_settle(struct disk *disk)
{
    bool is_ordered = rng_percent(&disk->rng, 50);
    uint32_t kept = rng_below(&disk->rng, disk->change_count + 1);
    for (uint32_t index = 0; index < disk->change_count; index++) {
        bool is_kept = is_ordered ? index < kept : rng_percent(&disk->rng, 50);
        if (is_kept) {
            disk->counts.names_kept++;
            change_apply(disk->medium_names, &disk->changes[index]);
        } else {
            disk->counts.names_dropped++;
        }
    }
    disk->change_count = 0;
    memcpy(disk->names, disk->medium_names, sizeof(disk->names));
}

void disk_power_loss(struct disk *disk)
{
    disk_kill(disk);
    names_settle(disk);
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        int number = disk->names[index].file;
        if (number < 0) continue;
        struct disk_file *file = &disk->files[number];
        if (file->write_count > 0 || file->cache.size != file->medium.size) {
            file_settle(disk, file);
        }
        blob_copy(&file->cache, &file->medium);
        file_log_clear(file);
    }
}

static const struct disk_name *pick_file(struct disk *disk, const char *prefix)
{
    const struct disk_name *picked = NULL;
    uint32_t start = rng_below(&disk->rng, DISK_FILE_COUNT_MAX);
    for (uint32_t step = 0; step < DISK_FILE_COUNT_MAX; step++) {
        const struct disk_name *name = &disk->names[(start + step) % DISK_FILE_COUNT_MAX];
        if (name->file < 0 || strncmp(name->text, prefix, strlen(prefix)) != 0) continue;
        const struct disk_file *file = &disk->files[name->file];
        if (file->medium.size == 0 || file->medium.size != file->cache.size) continue;
        bool is_later = picked == NULL || strcmp(name->text, picked->text) > 0;
        if (is_later) picked = name;
        if (prefix[0] == '\0') break;
    }
    return picked;
}

bool disk_flip(
    struct disk *disk,
    const char *prefix,
    char out_name[static DISK_NAME_SIZE_MAX],
    uint64_t *out_offset)
{
    const struct disk_name *name = pick_file(disk, prefix);
    if (name == NULL) return false;
    struct disk_file *file = &disk->files[name->file];
    /* Mostly where something is written, not in the zeros behind it; often near its end. */
    size_t end = file->medium.size;
    while (end > 1 && file->medium.data[end - 1] == 0) {
        end--;
    }
    size_t begin = rng_percent(&disk->rng, 40) && end > 160 ? end - 160 : 0;
    size_t offset = begin + rng_next(&disk->rng) % (end - begin);
    if (rng_percent(&disk->rng, 10)) offset = rng_next(&disk->rng) % file->medium.size;
    char bit = (char)(1 << rng_below(&disk->rng, 8));
    file->medium.data[offset] = (char)(file->medium.data[offset] ^ bit);
    file->cache.data[offset] = (char)(file->cache.data[offset] ^ bit);
    disk->counts.flips++;
    memcpy(out_name, name->text, DISK_NAME_SIZE_MAX);
    *out_offset = offset;
    return true;
}

/* ------------------------------------------------------------------- calls */

static int call_open_dir(void *context, const char *path)
{
    struct disk *disk = context;
    (void)path;
    if (enter(disk) != LIFE_ON) return -EIO;
    return handle_new(disk, HANDLE_DIR);
}

static int call_open(void *context, int dir, const char *name, enum env_open_mode mode)
{
    struct disk *disk = context;
    ASSERT(disk->handles[dir] == HANDLE_DIR && strchr(name, '/') == NULL);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.other_error_ppm, &disk->counts.other_errors)) return -EIO;
    const struct disk_name *found = name_find(disk->names, name);
    if (mode == ENV_OPEN_CREATE) {
        if (found != NULL) return -EEXIST;
        int file = file_new(disk);
        if (file < 0) return file;
        change_push(disk, DISK_CREATE, "", name, file);
        if (life == LIFE_LAST) return -EIO;
        return handle_new(disk, file);
    }
    if (life == LIFE_LAST) return -EIO;
    if (found == NULL) return -ENOENT;
    return handle_new(disk, found->file);
}

static void call_close(void *context, int handle)
{
    struct disk *disk = context;
    if (handle < 0 || disk->handles[handle] == HANDLE_FREE) return;
    if (disk->handles[handle] >= 0) {
        struct disk_file *file = &disk->files[disk->handles[handle]];
        if (file->locked_by == handle) file->locked_by = -1;
    }
    disk->handles[handle] = HANDLE_FREE;
}

static int64_t call_pread(void *context, int handle, void *data, size_t size, uint64_t offset)
{
    struct disk *disk = context;
    struct disk_file *file = file_of(disk, handle);
    if (enter(disk) != LIFE_ON) return -EIO;
    if (strike(disk, disk->faults.interrupt_ppm, &disk->counts.interrupts)) return -EINTR;
    if (strike(disk, disk->faults.read_error_ppm, &disk->counts.read_errors)) return -EIO;
    if (offset >= file->cache.size || size == 0) return 0;
    if (size > file->cache.size - offset) size = (size_t)(file->cache.size - offset);
    if (size > 1 && strike(disk, disk->faults.short_read_ppm, &disk->counts.short_reads)) {
        size = 1 + rng_next(&disk->rng) % (size - 1);
    }
    memcpy(data, file->cache.data + offset, size);
    if (strike(disk, disk->faults.flip_ppm, &disk->counts.flips)) {
        char *byte = (char *)data + rng_next(&disk->rng) % size;
        *byte = (char)(*byte ^ (1 << rng_below(&disk->rng, 8)));
    }
    return (int64_t)size;
}

/* How much of a write fits into the quota. */
static size_t fit(struct disk *disk, const struct disk_file *file, uint64_t offset, size_t size)
{
    uint64_t end = offset + size;
    bool is_refused = disk->is_copying && disk->quota != UINT64_MAX && rng_percent(&disk->rng, 25);
    if (is_refused) return rng_percent(&disk->rng, 50) ? 0 : rng_next(&disk->rng) % (size + 1);
    if (end <= file->cache.size) return size;
    uint64_t used = disk_used(disk);
    uint64_t free_size = used >= disk->quota ? 0 : disk->quota - used;
    uint64_t end_max = file->cache.size + free_size;
    if (end <= end_max) return size;
    return end_max <= offset ? 0 : (size_t)(end_max - offset);
}

static int64_t
call_pwrite(void *context, int handle, const void *data, size_t size, uint64_t offset)
{
    struct disk *disk = context;
    struct disk_file *file = file_of(disk, handle);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.interrupt_ppm, &disk->counts.interrupts)) return -EINTR;
    if (strike(disk, disk->faults.write_error_ppm, &disk->counts.write_errors)) return -EIO;
    size_t written = fit(disk, file, offset, size);
    if (written == 0 && size > 0) {
        disk->counts.no_space++;
        return -ENOSPC;
    }
    if (written < size) disk->counts.short_writes++;
    if (written > 1 && strike(disk, disk->faults.short_write_ppm, &disk->counts.short_writes)) {
        written = 1 + rng_next(&disk->rng) % (written - 1);
    }
    if (life == LIFE_LAST && written > 1 && rng_percent(&disk->rng, 50)) {
        disk->counts.crashes_in++;
        written = 1 + rng_next(&disk->rng) % (written - 1);
    }
    if (offset + written > file->cache.size) blob_resize(&file->cache, offset + written);
    if (written > 0) {
        memcpy(file->cache.data + offset, data, written);
        file_log(file, offset, data, written);
    }
    return life == LIFE_LAST ? -EIO : (int64_t)written;
}

static void file_sync(struct disk_file *file)
{
    if (file->size_min < file->medium.size) blob_resize(&file->medium, file->size_min);
    blob_resize(&file->medium, file->cache.size);
    for (uint32_t index = 0; index < file->write_count; index++) {
        const struct disk_write *write = &file->writes[index];
        if (write->offset >= file->medium.size) continue;
        size_t size = write->size;
        if (size > file->medium.size - write->offset) {
            size = (size_t)(file->medium.size - write->offset);
        }
        memcpy(file->medium.data + write->offset, file->log.data + write->log_at, size);
    }
    file_log_clear(file);
}

/* The pages are marked clean although (most of) their content never reached the
 * medium. */
static void file_sync_fail(struct disk *disk, struct disk_file *file)
{
    if (rng_percent(&disk->rng, 50)) {
        file_settle(disk, file);
    } else if (file->medium.size < file->cache.size) {
        blob_resize(&file->medium, file->cache.size);
    }
    if (rng_percent(&disk->rng, 50)) {
        disk->counts.sync_errors_kept++;
    } else {
        disk->counts.sync_errors_reverted++;
        uint64_t size = file->cache.size;
        blob_copy(&file->cache, &file->medium);
        blob_resize(&file->cache, size);
    }
    file_log_clear(file);
}

/* Makes nothing durable: what a crash leaves of the pages is as random as without it. */
static int call_write_out(void *context, int handle, uint64_t offset, size_t size)
{
    struct disk *disk = context;
    (void)offset;
    (void)size;
    (void)file_of(disk, handle);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.interrupt_ppm, &disk->counts.interrupts)) return -EINTR;
    return life == LIFE_LAST ? -EIO : 0;
}

static int call_fdatasync(void *context, int handle)
{
    struct disk *disk = context;
    struct disk_file *file = file_of(disk, handle);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.interrupt_ppm, &disk->counts.interrupts)) return -EINTR;
    if (rng_chance(&disk->rng, disk->faults.sync_error_ppm)) {
        file_sync_fail(disk, file);
        return -EIO;
    }
    file_sync(file);
    return life == LIFE_LAST ? -EIO : 0;
}

static int call_fsync_dir(void *context, int handle)
{
    struct disk *disk = context;
    ASSERT(disk->handles[handle] == HANDLE_DIR);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.interrupt_ppm, &disk->counts.interrupts)) return -EINTR;
    if (strike(disk, disk->faults.sync_dir_error_ppm, &disk->counts.sync_dir_errors)) return -EIO;
    for (uint32_t index = 0; index < disk->change_count; index++) {
        change_apply(disk->medium_names, &disk->changes[index]);
    }
    disk->change_count = 0;
    return life == LIFE_LAST ? -EIO : 0;
}

static int call_rename(void *context, int dir, const char *from, const char *to)
{
    struct disk *disk = context;
    ASSERT(disk->handles[dir] == HANDLE_DIR);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.other_error_ppm, &disk->counts.other_errors)) return -EIO;
    const struct disk_name *found = name_find(disk->names, from);
    if (found == NULL) return -ENOENT;
    if (strcmp(from, to) != 0) change_push(disk, DISK_RENAME, from, to, found->file);
    return life == LIFE_LAST ? -EIO : 0;
}

static int call_unlink(void *context, int dir, const char *name)
{
    struct disk *disk = context;
    ASSERT(disk->handles[dir] == HANDLE_DIR);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.other_error_ppm, &disk->counts.other_errors)) return -EIO;
    const struct disk_name *found = name_find(disk->names, name);
    if (found == NULL) return -ENOENT;
    change_push(disk, DISK_UNLINK, name, "", found->file);
    return life == LIFE_LAST ? -EIO : 0;
}

static int64_t call_size(void *context, int handle)
{
    struct disk *disk = context;
    const struct disk_file *file = file_of(disk, handle);
    if (enter(disk) != LIFE_ON) return -EIO;
    return (int64_t)file->cache.size;
}

static int call_truncate(void *context, int handle, uint64_t size)
{
    struct disk *disk = context;
    struct disk_file *file = file_of(disk, handle);
    enum life life = enter(disk);
    if (life == LIFE_OVER) return -EIO;
    if (strike(disk, disk->faults.other_error_ppm, &disk->counts.other_errors)) return -EIO;
    if (size > file->cache.size && disk_used(disk) + (size - file->cache.size) > disk->quota) {
        disk->counts.no_space++;
        return -ENOSPC;
    }
    if (size < file->size_min) file->size_min = size;
    for (uint32_t index = 0; index < file->write_count; index++) {
        struct disk_write *write = &file->writes[index];
        if (write->offset >= size) {
            write->size = 0;
        } else if (write->size > size - write->offset) {
            write->size = (size_t)(size - write->offset);
        }
    }
    blob_resize(&file->cache, size);
    return life == LIFE_LAST ? -EIO : 0;
}

static int call_list(void *context, int dir, env_list_fn fn, void *user)
{
    struct disk *disk = context;
    ASSERT(disk->handles[dir] == HANDLE_DIR);
    if (enter(disk) != LIFE_ON) return -EIO;
    uint32_t start = rng_below(&disk->rng, DISK_FILE_COUNT_MAX);
    for (uint32_t step = 0; step < DISK_FILE_COUNT_MAX; step++) {
        const struct disk_name *name = &disk->names[(start + step) % DISK_FILE_COUNT_MAX];
        if (name->file >= 0) fn(user, name->text);
    }
    return 0;
}

static int call_lock(void *context, int handle)
{
    struct disk *disk = context;
    struct disk_file *file = file_of(disk, handle);
    if (enter(disk) != LIFE_ON) return -EIO;
    if (file->locked_by >= 0 && file->locked_by != handle) {
        disk->counts.locks_refused++;
        return -EWOULDBLOCK;
    }
    file->locked_by = handle;
    return 0;
}

/* Clean pages are forgotten: what a failed sync left in the cache alone is seen
 * no more. */
static void call_drop_cache(void *context, int handle)
{
    struct disk *disk = context;
    struct disk_file *file = file_of(disk, handle);
    if (disk->is_crashed) return;
    size_t size = file->cache.size;
    blob_copy(&file->cache, &file->medium);
    blob_resize(&file->cache, size);
    for (uint32_t index = 0; index < file->write_count; index++) {
        const struct disk_write *write = &file->writes[index];
        if (write->size > 0) {
            memcpy(file->cache.data + write->offset, file->log.data + write->log_at, write->size);
        }
    }
}

static int call_random(void *context, void *data, size_t size)
{
    struct disk *disk = context;
    for (size_t index = 0; index < size; index++) {
        ((char *)data)[index] = (char)rng_next(&disk->rng);
    }
    return 0;
}

/* -------------------------------------------------------------- life cycle */

struct env disk_env(struct disk *disk)
{
    return (struct env){
        .context = disk,
        .open_dir = call_open_dir,
        .open = call_open,
        .close = call_close,
        .pread = call_pread,
        .pwrite = call_pwrite,
        .write_out = call_write_out,
        .fdatasync = call_fdatasync,
        .fsync_dir = call_fsync_dir,
        .rename = call_rename,
        .unlink = call_unlink,
        .size = call_size,
        .truncate = call_truncate,
        .list = call_list,
        .lock = call_lock,
        .drop_cache = call_drop_cache,
        .random = call_random,
    };
}

void disk_reset(struct disk *disk, uint64_t seed)
{
    disk->rng = rng_from(seed, 0);
    disk->faults = (struct disk_faults){ 0 };
    disk->counts = (struct disk_counts){ 0 };
    disk->quota = UINT64_MAX;
    disk->is_copying = false;
    disk->call_count = 0;
    disk->change_count = 0;
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        file_reset(&disk->files[index]);
        disk->names[index].file = -1;
        disk->medium_names[index].file = -1;
    }
    disk_kill(disk);
}

void disk_deinit(struct disk *disk)
{
    for (uint32_t index = 0; index < DISK_FILE_COUNT_MAX; index++) {
        struct disk_file *file = &disk->files[index];
        blob_free(&file->cache);
        blob_free(&file->medium);
        blob_free(&file->log);
        free(file->writes);
        *file = (struct disk_file){ 0 };
    }
}
