/* journal - the write-ahead log: batches of opaque records in segments, and snapshots beside them.
 *
 * The journal decides nothing.  It is handed batches (the encoded records of one or more turns,
 * with the dense number of the first), makes each durable as one unit, and gives them back in order
 * after a restart.  docs/journal-format.md has the bytes and the rules of recovery.
 *
 * Files in the directory:
 *   identity                 format version and a random id; its lock keeps a second server out
 *   segment-<16 hex digits>  a header, then batches; zero-filled to its full size before it is used
 *   spare-<16 hex digits>    a prepared segment, not yet in use
 *   snapshot-<16 hex digits> the state at a seq; the two newest are kept, with every segment since
 *                            the older one
 *   *.tmp                    unfinished; removed at the next start
 *
 * Threads: `journal_commit` is called by one thread, the housekeeping functions (`journal_prepare`,
 * `journal_snapshot_*`, `journal_scrub_*`) by one other; `journal_status` by any. */
#ifndef TENURE_JOURNAL_JOURNAL_H
#define TENURE_JOURNAL_JOURNAL_H

#include <tenure/error.h>

#include "base/env.h"
#include "base/memory.h"
#include "base/types.h"

struct journal;

struct journal_options {
    const char *path;      /* the directory; it must exist */
    uint64_t segment_size; /* bytes of one segment; JOURNAL_SEGMENT_SIZE_DEFAULT */
    uint32_t spare_count;  /* prepared segments to keep; at least 2: the last one is the reserve */
    bool is_read_only;     /* look, change nothing, take no lock: --check and --dump */
    const struct memory *memory; /* NULL: the process heap */
};

#define JOURNAL_SEGMENT_SIZE_DEFAULT (UINT64_C(16) << 20)
#define JOURNAL_SEGMENT_SIZE_MIN     (UINT64_C(8) << 10)
#define JOURNAL_SEGMENT_SIZE_MAX     (UINT64_C(1) << 30)
#define JOURNAL_SPARE_COUNT_DEFAULT  2u

/* One chunk of a snapshot. */
#define JOURNAL_CHUNK_SIZE_MAX (UINT32_C(1) << 24)

/* What recovery hands over, in this order: at most one snapshot (begin, chunks), then every batch
 * that holds a record after it.  The first of them may begin with records that the snapshot holds
 * already: a batch is the unit of the journal, not of the state, so the visitor skips those.  A
 * snapshot is verified as a whole before its first chunk is handed over.  All pointers are valid
 * during the call.  An error stops the recovery and becomes its result; of a batch the journal adds
 * file and offset to `out_error`, which is never NULL there. */
struct journal_visitor {
    enum tenure_err (*snapshot)(void *user, struct seq seq, struct tenure_error *out_error);
    enum tenure_err (*chunk)(void *user, struct bytes chunk, struct tenure_error *out_error);
    enum tenure_err (*batch)(
        void *user,
        struct seq first,
        uint32_t count,
        struct bytes records,
        struct tenure_error *out_error);
    void *user;
};

struct journal_report {
    struct seq seq; /* the last record recovered; 0 in a new journal */
    uint64_t batch_count;
    uint64_t segment_count;
    uint64_t torn_bytes;      /* dropped from the tail: an unacknowledged batch cut by a crash */
    bool is_new;              /* there was no journal; now there is one */
    bool is_snapshot_skipped; /* the newest snapshot was damaged and an older one was used */
    char text[240];           /* one line for the log; empty when there is nothing to say */
};

/* Open the directory, recover, and get ready to commit.  `visitor` may be NULL: nothing is handed
 * over then.
 * TENURE_UNAVAILABLE: another server has the directory.  TENURE_CORRUPT: damage other than a torn
 * tail; nothing was changed; `out_error` names file and offset.  TENURE_UNSUPPORTED: written by a
 * newer version.  TENURE_NO_SPACE, TENURE_DENIED, TENURE_NOT_FOUND, TENURE_IO: the system refused;
 * TENURE_NOT_FOUND also when a read-only journal is not there.  `*out_report` is written in any
 * case as far as recovery came.  On success the caller owns `*out_journal`. */
MUST_USE enum tenure_err journal_open(
    const struct journal_options *options,
    const struct env *env,
    const struct journal_visitor *visitor,
    struct journal **out_journal,
    struct journal_report *out_report,
    struct tenure_error *out_error);

/* Closes files and frees.  Accepts NULL inside; nulls the pointer.  Does not commit anything. */
void journal_destroy(struct journal **journal);

struct journal_batch {
    struct seq first;
    uint32_t count;
    struct bytes records;
};

/* Make one batch durable; it becomes visible after a restart as a whole or not at all.  `first`
 * must follow the last record, and there must be records.  A batch larger than a segment gets one
 * of its own.  TENURE_NO_SPACE, TENURE_NO_MEMORY: not durable, the same call may be repeated later.
 * TENURE_TOO_LARGE: above 1 GiB.  TENURE_IO: final; the journal accepts nothing more, and whether
 * the batch survives is known only after the next recovery (a failed fsync says nothing about what
 * is on the disk: Rebello et al., USENIX ATC 2020). */
MUST_USE enum tenure_err journal_commit(
    struct journal *journal, const struct journal_batch *batch, struct tenure_error *out_error);

/* Write the mark that says "everything before this was acknowledged", so that later damage to the
 * last batch cannot be taken for a torn tail.  Called when the journal has been idle for a moment
 * and before a clean exit; does nothing when the last thing written is a mark. */
MUST_USE enum tenure_err journal_mark(struct journal *journal, struct tenure_error *out_error);

/* One piece of housekeeping: prepare a spare segment when there are too few.  `*out_is_done` when
 * nothing is left to do.  TENURE_NO_SPACE is not final. */
MUST_USE enum tenure_err
journal_prepare(struct journal *journal, bool *out_is_done, struct tenure_error *out_error);

/* Is there anything for journal_prepare to do?  Any thread; cheap. */
bool journal_wants_spare(struct journal *journal);

/* Write a snapshot of the state at `seq`: begin, chunks (each 1 to JOURNAL_CHUNK_SIZE_MAX bytes),
 * finish.  `finish` syncs it, reads it back, gives it its name, and only then removes what it makes
 * superfluous.  A snapshot may not be newer than the journal: TENURE_UNAVAILABLE from `finish` says
 * that `seq` is not durable yet, and that the same call may be repeated.  Any other failure
 * abandons the snapshot and leaves the journal as good as before; only a directory that cannot be
 * synced is final for it.
 */
MUST_USE enum tenure_err
journal_snapshot_begin(struct journal *journal, struct seq seq, struct tenure_error *out_error);
MUST_USE enum tenure_err journal_snapshot_append(
    struct journal *journal, struct bytes chunk, struct tenure_error *out_error);
MUST_USE enum tenure_err
journal_snapshot_finish(struct journal *journal, struct tenure_error *out_error);
void journal_snapshot_abandon(struct journal *journal);

/* One piece of a scrub: read again, from the medium where possible, what is not written any more -
 * both snapshots, then every finished segment - and verify it, about `size` bytes a call (a chunk
 * of a snapshot is read as a whole).  `*out_is_done`: that was all; the next call begins anew.
 * Commits go on meanwhile.
 * TENURE_CORRUPT: a file is damaged, or cannot be read; `out_error` names it and the offset.  The
 * next call goes on with the next file.  A damaged snapshot counts no longer: the next one that is
 * finished puts it away.  A damaged segment is put away when two snapshots were begun behind it.
 * Any other error: the system had no memory or no descriptor; the scrub is given up. */
MUST_USE enum tenure_err journal_scrub_step(
    struct journal *journal, size_t size, bool *out_is_done, struct tenure_error *out_error);
/* Accepts that none is under way. */
void journal_scrub_abandon(struct journal *journal);

struct journal_status {
    uint32_t spare_count; /* prepared segments */
    bool is_space_low;    /* the disk is full and the reserve of spares is being used:
                             refuse what is not needed to let go of locks */
    bool is_failed;       /* for ever */
    struct seq seq_durable;
    uint64_t bytes_since_snapshot; /* journal bytes that a restart would replay */
    uint64_t snapshot_size;        /* of the newest */
    uint64_t disk_bytes;           /* all files */
    uint64_t commit_count;
    uint64_t written_bytes;  /* to segments and spares since the start */
    uint64_t scrubbed_bytes; /* read again since the start */
};

/* Any thread; cheap enough for every turn. */
struct journal_status journal_status(struct journal *journal);

#endif
