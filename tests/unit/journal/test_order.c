/* The order of calls on which survival of a power failure rests, checked at every call:
 *   a file gets its final name only when its contents are synced, and a segment only when the names
 *   before it are, and when no segment behind it is on its way out;
 *   nothing is written to a segment, and nothing finished is removed, while the directory is not;
 *   when a commit returns, its segment and the directory are synced. */
#include "fixture.h"

#define FILE_COUNT_MAX 64u

/* What is not on the disk yet, by handle: only files that are open are written. */
struct order {
    const struct env *base;
    struct env env;
    bool is_dir_dirty; /* a segment, snapshot or identity got its name */
    char removed[40];  /* the newest segment that was removed since the directory was synced */
    struct {
        bool is_dirty;
        char name[40];
    } files[FILE_COUNT_MAX];
    const char *fault;
};

static struct order order;

static bool is_final(const char *name)
{
    return strstr(name, ".tmp") == NULL && strncmp(name, "spare-", 6) != 0;
}

static bool is_segment(const char *name)
{
    return is_final(name) && strncmp(name, "segment-", 8) == 0;
}

static void set_name(int handle, const char *name)
{
    CHECK(handle >= 0 && (size_t)handle < FILE_COUNT_MAX && strlen(name) < 40);
    memcpy(order.files[handle].name, name, strlen(name) + 1);
}

static int order_open(void *context, int dir, const char *name, enum env_open_mode mode)
{
    int handle = order.base->open(context, dir, name, mode);
    if (handle >= 0) {
        set_name(handle, name);
        order.files[handle].is_dirty = false;
    }
    return handle;
}

static int64_t
order_pwrite(void *context, int handle, const void *data, size_t size, uint64_t offset)
{
    if (is_segment(order.files[handle].name) && order.is_dir_dirty) {
        order.fault = "written to a segment whose name is not durable";
    }
    order.files[handle].is_dirty = true;
    return order.base->pwrite(context, handle, data, size, offset);
}

static int order_truncate(void *context, int handle, uint64_t size)
{
    order.files[handle].is_dirty = true;
    return order.base->truncate(context, handle, size);
}

static int order_fdatasync(void *context, int handle)
{
    order.files[handle].is_dirty = false;
    return order.base->fdatasync(context, handle);
}

static int order_fsync_dir(void *context, int dir)
{
    order.is_dir_dirty = false;
    order.removed[0] = '\0';
    return order.base->fsync_dir(context, dir);
}

static int order_rename(void *context, int dir, const char *from, const char *to)
{
    for (size_t i = 0; i < FILE_COUNT_MAX; i++) {
        if (strcmp(order.files[i].name, from) != 0) continue;
        if (order.files[i].is_dirty) order.fault = "a file is named before it is synced";
        set_name((int)i, to);
    }
    if (is_segment(to) && order.is_dir_dirty) order.fault = "a segment is named too early";
    if (is_segment(to) && strcmp(to, order.removed) < 0) {
        order.fault = "a segment is replaced while the one behind it is being removed";
    }
    if (is_final(to)) order.is_dir_dirty = true;
    return order.base->rename(context, dir, from, to);
}

static int order_unlink(void *context, int dir, const char *name)
{
    if (is_final(name) && order.is_dir_dirty) {
        order.fault = "something is removed before what replaces it is durable";
    }
    if (is_segment(name) && strcmp(name, order.removed) > 0) {
        memcpy(order.removed, name, strlen(name) + 1);
    }
    return order.base->unlink(context, dir, name);
}

static void init_order(const struct env *base)
{
    order = (struct order){ .base = base, .env = *base };
    order.env.open = order_open;
    order.env.pwrite = order_pwrite;
    order.env.truncate = order_truncate;
    order.env.fdatasync = order_fdatasync;
    order.env.fsync_dir = order_fsync_dir;
    order.env.rename = order_rename;
    order.env.unlink = order_unlink;
}

static void check_order(void)
{
    if (order.fault != NULL) FAIL("%s", order.fault);
}

static void check_all_durable(void)
{
    check_order();
    CHECK(!order.is_dir_dirty);
    for (size_t i = 0; i < FILE_COUNT_MAX; i++) {
        if (order.files[i].is_dirty && is_final(order.files[i].name)) {
            FAIL("%s is not synced", order.files[i].name);
        }
    }
}

TEST(order_of_calls_survives_a_power_failure)
{
    struct env_memory *memory = env_memory_create();
    init_order(env_memory_env(memory));
    struct recovered recovered;
    struct journal_report report;
    struct tenure_error error;
    uint64_t seq = 1;
    for (int start = 0; start < 4; start++) {
        struct journal *journal = fixture_reopen(&order.env, &recovered, &report);
        check_all_durable();
        for (int i = 0; i < 60; i++) {
            fixture_must_commit(journal, seq, 2, i == 30 ? 6000 : 300);
            seq += 2;
            check_all_durable();
            if (i % 7 == 0) CHECK_EQ_INT(journal_mark(journal, &error), TENURE_OK);
            check_all_durable();
            if (i % 20 != 10) continue;
            CHECK_EQ_INT(fixture_snapshot(journal, seq - 5, 3, 400, &error), TENURE_OK);
            check_all_durable();
            bool is_done = false;
            while (!is_done)
                CHECK_EQ_INT(journal_prepare(journal, &is_done, &error), TENURE_OK);
            check_order();
        }
        journal_destroy(&journal);
        /* An idle start in between: its empty segment is replaced. */
        journal = fixture_reopen(&order.env, &recovered, &report);
        journal_destroy(&journal);
        check_order();
    }
    env_memory_destroy(&memory);
}
