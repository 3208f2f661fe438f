#include "lib/env_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define FILE_COUNT_MAX   1024u
#define HANDLE_COUNT_MAX 64u
#define DIR_HANDLE       1000
#define NAME_SIZE_MAX    96u
#define SUB_COUNT_MAX    16u /* handles behind DIR_HANDLE */

/* A file lives as long as a name or a handle refers to it. */
struct memory_file {
    char name[NAME_SIZE_MAX]; /* empty: unlinked */
    char *data;
    size_t size;
    size_t capacity;
    unsigned handle_count;
    int locked_by; /* a handle, or -1 */
};

struct env_memory {
    struct env env;
    struct memory_file *files[FILE_COUNT_MAX];
    size_t file_count;
    struct memory_file *handles[HANDLE_COUNT_MAX];
    size_t dir_handle_count;
    char subs[SUB_COUNT_MAX][NAME_SIZE_MAX / 2]; /* directories in the directory */
    size_t sub_count;
    uint64_t random_state;
};

static struct memory_file *find_file(const struct env_memory *memory, const char *name)
{
    for (size_t i = 0; i < memory->file_count; i++) {
        if (strcmp(memory->files[i]->name, name) == 0) return memory->files[i];
    }
    return NULL;
}

static void release_file(struct memory_file *file)
{
    if (file->name[0] != '\0' || file->handle_count > 0) return;
    free(file->data);
    free(file);
}

/* The name of a file in the directory of a handle, as `out_path`. */
static void
find_path(const struct env_memory *memory, int dir, const char *name, char out_path[NAME_SIZE_MAX])
{
    int sub = dir - DIR_HANDLE - 1;
    ASSERT(sub >= -1 && sub < (int)memory->sub_count && strchr(name, '/') == NULL);
    int size = sub < 0 ? snprintf(out_path, NAME_SIZE_MAX, "%s", name)
                       : snprintf(out_path, NAME_SIZE_MAX, "%s/%s", memory->subs[sub], name);
    ASSERT(size > 0 && size < (int)NAME_SIZE_MAX);
}

static struct memory_file *add_file(struct env_memory *memory, const char *name)
{
    ASSERT(memory->file_count < FILE_COUNT_MAX && strlen(name) < NAME_SIZE_MAX);
    struct memory_file *file = calloc(1, sizeof(*file));
    ASSERT(file != NULL);
    memcpy(file->name, name, strlen(name) + 1);
    file->locked_by = -1;
    memory->files[memory->file_count++] = file;
    return file;
}

static void drop_name(struct env_memory *memory, struct memory_file *file)
{
    size_t index = 0;
    while (memory->files[index] != file) {
        index++;
    }
    memory->files[index] = memory->files[--memory->file_count];
    file->name[0] = '\0';
    release_file(file);
}

static void resize_file(struct memory_file *file, size_t size)
{
    if (size > file->capacity) {
        size_t capacity = size + size / 4;
        char *data = realloc(file->data, capacity);
        ASSERT(data != NULL);
        file->data = data;
        file->capacity = capacity;
    }
    if (size > file->size) memset(file->data + file->size, 0, size - file->size);
    file->size = size;
}

static struct memory_file *file_of(struct env_memory *memory, int handle)
{
    ASSERT(handle >= 0 && (size_t)handle < HANDLE_COUNT_MAX && memory->handles[handle] != NULL);
    return memory->handles[handle];
}

static int memory_open_dir(void *context, const char *path)
{
    struct env_memory *memory = context;
    (void)path;
    memory->dir_handle_count++;
    return DIR_HANDLE;
}

static int memory_open(void *context, int dir, const char *name, enum env_open_mode mode)
{
    struct env_memory *memory = context;
    ASSERT(dir == DIR_HANDLE);
    struct memory_file *file = find_file(memory, name);
    if (mode == ENV_OPEN_CREATE && file != NULL) return -EEXIST;
    if (mode != ENV_OPEN_CREATE && file == NULL) return -ENOENT;
    if (file == NULL) file = add_file(memory, name);
    for (size_t i = 0; i < HANDLE_COUNT_MAX; i++) {
        if (memory->handles[i] != NULL) continue;
        memory->handles[i] = file;
        file->handle_count++;
        return (int)i;
    }
    return -EMFILE;
}

static void memory_close(void *context, int handle)
{
    struct env_memory *memory = context;
    if (handle >= DIR_HANDLE) {
        ASSERT(memory->dir_handle_count > 0);
        memory->dir_handle_count--;
        return;
    }
    struct memory_file *file = file_of(memory, handle);
    memory->handles[handle] = NULL;
    if (file->locked_by == handle) file->locked_by = -1;
    file->handle_count--;
    release_file(file);
}

static int64_t memory_pread(void *context, int handle, void *data, size_t size, uint64_t offset)
{
    const struct memory_file *file = file_of(context, handle);
    if (offset >= file->size) return 0;
    size_t count = size < file->size - (size_t)offset ? size : file->size - (size_t)offset;
    memcpy(data, file->data + offset, count);
    return (int64_t)count;
}

static int64_t
memory_pwrite(void *context, int handle, const void *data, size_t size, uint64_t offset)
{
    struct memory_file *file = file_of(context, handle);
    if (size == 0) return 0;
    if (offset + size > file->size) resize_file(file, (size_t)offset + size);
    memcpy(file->data + offset, data, size);
    return (int64_t)size;
}

static int memory_write_out(void *context, int handle, uint64_t offset, size_t size)
{
    (void)offset;
    (void)size;
    (void)file_of(context, handle);
    return 0;
}

static int memory_fdatasync(void *context, int handle)
{
    (void)file_of(context, handle);
    return 0;
}

static int memory_fsync_dir(void *context, int dir)
{
    const struct env_memory *memory = context;
    ASSERT(dir >= DIR_HANDLE && dir <= DIR_HANDLE + (int)memory->sub_count);
    return 0;
}

static int memory_rename(void *context, int dir, const char *from, const char *to)
{
    struct env_memory *memory = context;
    ASSERT(dir == DIR_HANDLE && strlen(to) < NAME_SIZE_MAX);
    struct memory_file *file = find_file(memory, from);
    if (file == NULL) return -ENOENT;
    struct memory_file *replaced = find_file(memory, to);
    if (replaced != NULL && replaced != file) drop_name(memory, replaced);
    memcpy(file->name, to, strlen(to) + 1);
    return 0;
}

static int memory_unlink(void *context, int dir, const char *name)
{
    struct env_memory *memory = context;
    ASSERT(dir == DIR_HANDLE);
    struct memory_file *file = find_file(memory, name);
    if (file == NULL) return -ENOENT;
    drop_name(memory, file);
    return 0;
}

static int memory_make_dir(void *context, int dir, const char *name)
{
    struct env_memory *memory = context;
    ASSERT(dir == DIR_HANDLE && memory->sub_count < SUB_COUNT_MAX);
    ASSERT(strlen(name) < sizeof(memory->subs[0]));
    for (size_t i = 0; i < memory->sub_count; i++) {
        if (strcmp(memory->subs[i], name) == 0) return -EEXIST;
    }
    memcpy(memory->subs[memory->sub_count++], name, strlen(name) + 1);
    return 0;
}

static int memory_open_dir_in(void *context, int dir, const char *name)
{
    struct env_memory *memory = context;
    ASSERT(dir == DIR_HANDLE);
    for (size_t i = 0; i < memory->sub_count; i++) {
        if (strcmp(memory->subs[i], name) != 0) continue;
        memory->dir_handle_count++;
        return DIR_HANDLE + 1 + (int)i;
    }
    return -ENOENT;
}

static int memory_link(void *context, int dir, const char *name, int to_dir)
{
    struct env_memory *memory = context;
    char from[NAME_SIZE_MAX];
    char to[NAME_SIZE_MAX];
    find_path(memory, dir, name, from);
    find_path(memory, to_dir, name, to);
    const struct memory_file *file = find_file(memory, from);
    if (file == NULL) return -ENOENT;
    if (find_file(memory, to) != NULL) return -EEXIST;
    env_memory_put(memory, to, (struct bytes){ file->data, file->size });
    return 0;
}

static int64_t memory_size(void *context, int handle)
{
    return (int64_t)file_of(context, handle)->size;
}

static int memory_truncate(void *context, int handle, uint64_t size)
{
    resize_file(file_of(context, handle), (size_t)size);
    return 0;
}

static int memory_list(void *context, int dir, env_list_fn fn, void *user)
{
    const struct env_memory *memory = context;
    ASSERT(dir == DIR_HANDLE);
    for (size_t i = 0; i < memory->sub_count; i++) {
        fn(user, memory->subs[i]);
    }
    for (size_t i = 0; i < memory->file_count; i++) {
        if (strchr(memory->files[i]->name, '/') == NULL) fn(user, memory->files[i]->name);
    }
    return 0;
}

static int memory_lock(void *context, int handle)
{
    struct memory_file *file = file_of(context, handle);
    if (file->locked_by >= 0 && file->locked_by != handle) return -EWOULDBLOCK;
    file->locked_by = handle;
    return 0;
}

static void memory_drop_cache(void *context, int handle)
{
    (void)file_of(context, handle);
}

static int memory_random(void *context, void *data, size_t size)
{
    struct env_memory *memory = context;
    unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        memory->random_state = memory->random_state * UINT64_C(6364136223846793005) + 1;
        bytes[i] = (unsigned char)(memory->random_state >> 56);
    }
    return 0;
}

struct env_memory *env_memory_create(void)
{
    struct env_memory *memory = calloc(1, sizeof(*memory));
    ASSERT(memory != NULL);
    memory->random_state = 1;
    memory->env = (struct env){
        .context = memory,
        .open_dir = memory_open_dir,
        .open = memory_open,
        .close = memory_close,
        .pread = memory_pread,
        .pwrite = memory_pwrite,
        .write_out = memory_write_out,
        .fdatasync = memory_fdatasync,
        .fsync_dir = memory_fsync_dir,
        .rename = memory_rename,
        .unlink = memory_unlink,
        .make_dir = memory_make_dir,
        .open_dir_in = memory_open_dir_in,
        .link = memory_link,
        .size = memory_size,
        .truncate = memory_truncate,
        .list = memory_list,
        .lock = memory_lock,
        .drop_cache = memory_drop_cache,
        .random = memory_random,
    };
    return memory;
}

void env_memory_destroy(struct env_memory **memory_pointer)
{
    struct env_memory *memory = *memory_pointer;
    if (memory == NULL) return;
    *memory_pointer = NULL;
    for (size_t i = 0; i < HANDLE_COUNT_MAX; i++) {
        if (memory->handles[i] != NULL) memory_close(memory, (int)i);
    }
    while (memory->file_count > 0) {
        drop_name(memory, memory->files[0]);
    }
    free(memory);
}

const struct env *env_memory_env(struct env_memory *memory)
{
    return &memory->env;
}

struct bytes env_memory_file(const struct env_memory *memory, const char *name)
{
    const struct memory_file *file = find_file(memory, name);
    if (file == NULL) return (struct bytes){ NULL, 0 };
    return (struct bytes){ file->data, file->size };
}

void env_memory_put(struct env_memory *memory, const char *name, struct bytes contents)
{
    struct memory_file *file = find_file(memory, name);
    if (file == NULL) file = add_file(memory, name);
    resize_file(file, contents.size);
    if (contents.size > 0) memcpy(file->data, contents.data, contents.size);
}

void env_memory_remove(struct env_memory *memory, const char *name)
{
    struct memory_file *file = find_file(memory, name);
    if (file != NULL) drop_name(memory, file);
}

struct env_memory *env_memory_copy(const struct env_memory *memory)
{
    struct env_memory *copy = env_memory_create();
    copy->random_state = memory->random_state;
    memcpy(copy->subs, memory->subs, sizeof(copy->subs));
    copy->sub_count = memory->sub_count;
    for (size_t i = 0; i < memory->file_count; i++) {
        const struct memory_file *file = memory->files[i];
        env_memory_put(copy, file->name, (struct bytes){ file->data, file->size });
    }
    return copy;
}

const char *env_memory_name(const struct env_memory *memory, size_t index)
{
    return index < memory->file_count ? memory->files[index]->name : NULL;
}

size_t env_memory_handle_count(const struct env_memory *memory)
{
    size_t count = memory->dir_handle_count;
    for (size_t i = 0; i < HANDLE_COUNT_MAX; i++) {
        count += memory->handles[i] != NULL;
    }
    return count;
}
