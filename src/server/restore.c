#include "server/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sysexits.h>

struct engine *restore_engine(const struct config *config)
{
    struct engine_options options = {
        .memory = &memory_heap,
        .hold_count_max = config->hold_count_max,
        .item_count_max = config->item_count_max,
        .item_bytes_max = config->item_bytes_max,
        .key_count_max = config->key_count_max,
        .key_bytes_max = config->key_bytes_max,
        .waiter_count_max = config->waiter_count_max,
        .window_size = config->window_bytes,
        .ageing_ms = config->ageing_ms,
    };
    while (getrandom(&options.hash_key, sizeof(options.hash_key), 0) !=
           (ssize_t)sizeof(options.hash_key))
    {
        /* Interrupted before the kernel had gathered randomness. */
    }
    return engine_create(&options);
}

static enum tenure_err
check(enum tenure_err err, struct seq seq, const char *what, struct tenure_error *out_error)
{
    if (err == TENURE_OK) return TENURE_OK;
    out_error->code = err;
    out_error->os_errno = 0;
    (void)snprintf(
        out_error->text,
        sizeof(out_error->text),
        err == TENURE_NO_MEMORY ? "not enough memory for the %s at %" PRIu64
                                : "the %s at %" PRIu64 " contradicts what is before it",
        what,
        seq.value);
    return err;
}

static enum tenure_err visit_snapshot(void *user, struct seq seq, struct tenure_error *out_error)
{
    struct restore *restore = user;
    (void)out_error;
    restore->snapshot_seq = seq;
    restore->is_snapshot_open = true;
    return TENURE_OK;
}

static enum tenure_err visit_chunk(void *user, struct bytes chunk, struct tenure_error *out_error)
{
    struct restore *restore = user;
    enum tenure_err err = engine_restore_chunk(restore->engine, chunk);
    return check(err, restore->snapshot_seq, "snapshot", out_error);
}

enum tenure_err restore_snapshot_end(struct restore *restore, struct tenure_error *out_error)
{
    if (!restore->is_snapshot_open) return TENURE_OK;
    restore->is_snapshot_open = false;
    enum tenure_err err = engine_restore_snapshot_end(restore->engine, restore->snapshot_seq);
    err = check(err, restore->snapshot_seq, "snapshot", out_error);
    if (err == TENURE_OK && restore->on_snapshot != NULL) restore->on_snapshot(restore);
    return err;
}

static enum tenure_err visit_batch(
    void *user,
    struct seq first,
    uint32_t count,
    struct bytes records,
    struct tenure_error *out_error)
{
    struct restore *restore = user;
    enum tenure_err err = restore_snapshot_end(restore, out_error);
    if (err != TENURE_OK) return err;
    err = engine_restore_batch(restore->engine, first, count, records);
    err = check(err, first, "batch", out_error);
    if (err == TENURE_OK && restore->on_batch != NULL) {
        restore->on_batch(restore, first, count, records);
    }
    return err;
}

struct journal_visitor restore_visitor(struct restore *restore)
{
    return (struct journal_visitor){
        .snapshot = visit_snapshot,
        .chunk = visit_chunk,
        .batch = visit_batch,
        .user = restore,
    };
}

enum tenure_err restore_open(
    struct restore *restore,
    const struct journal_options *options,
    struct journal **out_journal,
    struct journal_report *out_report,
    struct tenure_error *out_error)
{
    struct journal_visitor visitor = restore_visitor(restore);
    struct journal *journal = NULL;
    enum tenure_err err =
        journal_open(options, &env_posix, &visitor, &journal, out_report, out_error);
    if (err != TENURE_OK) return err;
    err = restore_snapshot_end(restore, out_error);
    if (err != TENURE_OK) {
        journal_destroy(&journal);
        return err;
    }
    *out_journal = journal;
    return TENURE_OK;
}

int restore_exit_code(enum tenure_err err)
{
    /* Outcomes that are not named here cannot come from opening something. */
    if (err == TENURE_OK) return EX_OK;
    if (err == TENURE_CORRUPT || err == TENURE_UNSUPPORTED) return EX_DATAERR;
    if (err == TENURE_NOT_FOUND) return EX_NOINPUT;
    if (err == TENURE_UNAVAILABLE) return EX_UNAVAILABLE;
    if (err == TENURE_NO_SPACE) return EX_CANTCREAT;
    if (err == TENURE_IO) return EX_IOERR;
    if (err == TENURE_DENIED) return EX_NOPERM;
    if (err == TENURE_INVALID) return EX_CONFIG;
    return EX_OSERR;
}
