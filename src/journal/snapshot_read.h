/* snapshot_read - verify a snapshot, and hand it over. */
#ifndef TENURE_JOURNAL_SNAPSHOT_READ_H
#define TENURE_JOURNAL_SNAPSHOT_READ_H

#include "journal/state.h"

/* Read the whole file from the disk and check every byte of it.  `name` may be temporary.
 * TENURE_CORRUPT, TENURE_UNSUPPORTED, or what the system refused. */
MUST_USE enum tenure_err journal_snapshot_verify(
    const struct journal *journal,
    struct journal_name name,
    uint64_t *out_size,
    struct tenure_error *out_error);

/* Give the snapshot of `seq`, which has just been verified, to the visitor. */
MUST_USE enum tenure_err journal_snapshot_visit(
    const struct journal *journal,
    struct seq seq,
    const struct journal_visitor *visitor,
    struct tenure_error *out_error);

#endif
