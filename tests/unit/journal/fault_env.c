#include "fault_env.h"

#include <errno.h>

static bool strikes(struct fault_env *fault, bool is_possible)
{
    fault->call_count++;
    if (fault->at == 0 || fault->call_count < fault->at) return false;
    if (fault->call_count > fault->at && !fault->is_for_ever) return false;
    if (is_possible) fault->is_hit = true;
    return is_possible;
}

/* A negative errno for calls that either happen or not; 0: go on. */
static int plain_fault(struct fault_env *fault, bool takes_room)
{
    switch (fault->kind) {
    case FAULT_KIND_IO: return strikes(fault, true) ? -EIO : 0;
    case FAULT_KIND_NO_SPACE: return strikes(fault, takes_room) ? -ENOSPC : 0;
    case FAULT_KIND_INTERRUPT: return strikes(fault, true) ? -EINTR : 0;
    case FAULT_KIND_SHORT:
    case FAULT_KIND_COUNT: break;
    }
    (void)strikes(fault, false);
    return 0;
}

/* The same for a call that changes the disk. */
static int hard_fault(struct fault_env *fault, bool takes_room)
{
    int error = plain_fault(fault, takes_room);
    if (error != 0) fault->is_hit_hard = true;
    return error;
}

static int fault_open_dir(void *context, const char *path)
{
    struct fault_env *fault = context;
    return fault->base->open_dir(fault->base->context, path);
}

static int fault_open(void *context, int dir, const char *name, enum env_open_mode mode)
{
    struct fault_env *fault = context;
    int error = plain_fault(fault, mode == ENV_OPEN_CREATE);
    return error != 0 ? error : fault->base->open(fault->base->context, dir, name, mode);
}

static void fault_close(void *context, int handle)
{
    struct fault_env *fault = context;
    fault->base->close(fault->base->context, handle);
}

static int64_t fault_pread(void *context, int file, void *data, size_t size, uint64_t offset)
{
    struct fault_env *fault = context;
    if (fault->kind == FAULT_KIND_SHORT && strikes(fault, size > 1)) size = (size + 1) / 2;
    int error = fault->kind == FAULT_KIND_SHORT ? 0 : plain_fault(fault, false);
    if (error != 0) return error;
    return fault->base->pread(fault->base->context, file, data, size, offset);
}

static int64_t fault_pwrite(void *context, int file, const void *data, size_t size, uint64_t offset)
{
    struct fault_env *fault = context;
    const struct env *base = fault->base;
    if (fault->kind == FAULT_KIND_SHORT && strikes(fault, size > 1)) size = (size + 1) / 2;
    int error = fault->kind == FAULT_KIND_SHORT ? 0 : hard_fault(fault, true);
    if (error == -ENOSPC && size > 1) {
        (void)base->pwrite(base->context, file, data, size / 2, offset);
    }
    if (error != 0) return error;
    return base->pwrite(base->context, file, data, size, offset);
}

static int fault_write_out(void *context, int file, uint64_t offset, size_t size)
{
    struct fault_env *fault = context;
    int error = hard_fault(fault, false);
    return error != 0 ? error : fault->base->write_out(fault->base->context, file, offset, size);
}

static int fault_fdatasync(void *context, int file)
{
    struct fault_env *fault = context;
    int error = hard_fault(fault, false);
    return error != 0 ? error : fault->base->fdatasync(fault->base->context, file);
}

static int fault_fsync_dir(void *context, int dir)
{
    struct fault_env *fault = context;
    int error = hard_fault(fault, false);
    return error != 0 ? error : fault->base->fsync_dir(fault->base->context, dir);
}

static int fault_rename(void *context, int dir, const char *from, const char *to)
{
    struct fault_env *fault = context;
    int error = hard_fault(fault, true);
    return error != 0 ? error : fault->base->rename(fault->base->context, dir, from, to);
}

static int fault_unlink(void *context, int dir, const char *name)
{
    struct fault_env *fault = context;
    int error = plain_fault(fault, false);
    return error != 0 ? error : fault->base->unlink(fault->base->context, dir, name);
}

static int fault_make_dir(void *context, int dir, const char *name)
{
    struct fault_env *fault = context;
    int error = hard_fault(fault, true);
    return error != 0 ? error : fault->base->make_dir(fault->base->context, dir, name);
}

static int fault_open_dir_in(void *context, int dir, const char *name)
{
    struct fault_env *fault = context;
    int error = plain_fault(fault, false);
    return error != 0 ? error : fault->base->open_dir_in(fault->base->context, dir, name);
}

static int fault_link(void *context, int dir, const char *name, int to_dir)
{
    struct fault_env *fault = context;
    int error = hard_fault(fault, true);
    return error != 0 ? error : fault->base->link(fault->base->context, dir, name, to_dir);
}

static int64_t fault_size(void *context, int file)
{
    struct fault_env *fault = context;
    int error = plain_fault(fault, false);
    return error != 0 ? error : fault->base->size(fault->base->context, file);
}

static int fault_truncate(void *context, int file, uint64_t size)
{
    struct fault_env *fault = context;
    int error = hard_fault(fault, true);
    return error != 0 ? error : fault->base->truncate(fault->base->context, file, size);
}

static int fault_list(void *context, int dir, env_list_fn fn, void *user)
{
    struct fault_env *fault = context;
    int error = plain_fault(fault, false);
    return error != 0 ? error : fault->base->list(fault->base->context, dir, fn, user);
}

static int fault_lock(void *context, int file)
{
    struct fault_env *fault = context;
    int error = plain_fault(fault, false);
    return error != 0 ? error : fault->base->lock(fault->base->context, file);
}

static void fault_drop_cache(void *context, int file)
{
    struct fault_env *fault = context;
    fault->base->drop_cache(fault->base->context, file);
}

static int fault_random(void *context, void *data, size_t size)
{
    struct fault_env *fault = context;
    return fault->base->random(fault->base->context, data, size);
}

void fault_env_init(struct fault_env *fault, const struct env *base)
{
    *fault = (struct fault_env){
        .base = base,
        .env = {
            .context = fault,
            .open_dir = fault_open_dir,
            .open = fault_open,
            .close = fault_close,
            .pread = fault_pread,
            .pwrite = fault_pwrite,
            .write_out = fault_write_out,
            .fdatasync = fault_fdatasync,
            .fsync_dir = fault_fsync_dir,
            .rename = fault_rename,
            .unlink = fault_unlink,
            .make_dir = fault_make_dir,
            .open_dir_in = fault_open_dir_in,
            .link = fault_link,
            .size = fault_size,
            .truncate = fault_truncate,
            .list = fault_list,
            .lock = fault_lock,
            .drop_cache = fault_drop_cache,
            .random = fault_random,
        },
    };
}

void fault_env_arm(struct fault_env *fault, enum fault_kind kind, uint64_t at, bool is_for_ever)
{
    fault->kind = kind;
    fault->at = at;
    fault->is_for_ever = is_for_ever;
    fault->call_count = 0;
    fault->is_hit = false;
    fault->is_hit_hard = false;
}
