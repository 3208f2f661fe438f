/* restore - what the journal gives back becomes the engine's state. */
#ifndef TENURE_SERVER_RESTORE_H
#define TENURE_SERVER_RESTORE_H

#include "engine/engine.h"
#include "journal/journal.h"
#include "server/config.h"

struct restore {
    struct engine *engine;
    struct seq snapshot_seq; /* of the snapshot that is being restored */
    bool is_snapshot_open;   /* its end has not come */
    /* For --dump: the snapshot is complete, a batch was restored.  May be NULL. */
    void (*on_snapshot)(struct restore *restore);
    void (*on_batch)(
        struct restore *restore, struct seq first, uint32_t count, struct bytes records);
};

/* An engine by the configuration, with a random key for its tables.  NULL: no memory. */
struct engine *restore_engine(const struct config *config);

/* What a recovery hands its records to; valid as long as `restore`. */
struct journal_visitor restore_visitor(struct restore *restore);
/* The snapshot was handed over as a whole; accepts that there was none. */
MUST_USE enum tenure_err
restore_snapshot_end(struct restore *restore, struct tenure_error *out_error);

/* Open the journal and restore the engine from it. */
MUST_USE enum tenure_err restore_open(
    struct restore *restore,
    const struct journal_options *options,
    struct journal **out_journal,
    struct journal_report *out_report,
    struct tenure_error *out_error);

/* The exit code of sysexits for a start, or a look, that failed so. */
int restore_exit_code(enum tenure_err err);

#endif
