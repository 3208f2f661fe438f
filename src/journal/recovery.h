/* recovery - read what is there, decide whether it is sound, then make it fit to go on.
 *
 * Reading (recovery.c) changes nothing; every refusal happens there.  Repair (repair.c) starts only
 * when everything has been read and handed over, and may be cut short anywhere: the next recovery
 * then finds the same records. */
#ifndef TENURE_JOURNAL_RECOVERY_H
#define TENURE_JOURNAL_RECOVERY_H

#include "journal/listing.h"
#include "journal/state.h"

/* What reading found out. */
struct journal_findings {
    struct journal_listing listing;
    const struct journal_name *segments; /* in the listing: the last ones without a gap */
    uint32_t segment_count;
    struct journal_segment_header header; /* of the last segment */
    struct journal_position position;     /* where its valid batches end */
    bool is_ended;                        /* the last one is an end mark */
    struct buffer file;                   /* the last segment read */
};

/* Recover a journal, or begin one; at the end there is a tail, unless it is read-only. */
MUST_USE enum tenure_err journal_recover(
    struct journal *journal,
    const struct journal_visitor *visitor,
    struct journal_report *report,
    struct tenure_error *out_error);

/* Read a whole segment into `findings->file` and its header, which must be sound, into
 * `findings->header`; the position is then behind the header. */
MUST_USE enum tenure_err journal_segment_read(
    struct journal *journal,
    uint64_t number,
    struct journal_findings *findings,
    struct tenure_error *out_error);

/* Remove what is left over, make the last segment durable anew, and begin the next one. */
MUST_USE enum tenure_err journal_repair(
    struct journal *journal, struct journal_findings *findings, struct tenure_error *out_error);

/* Write the valid bytes of the segment in the findings, with an end mark behind them, to a new file
 * of this name, and sync it.  The findings are then behind the mark. */
MUST_USE enum tenure_err journal_copy_write(
    struct journal *journal,
    struct journal_findings *findings,
    struct journal_name name,
    struct tenure_error *out_error);

#endif
