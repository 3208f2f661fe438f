/* salvage - of a journal that no start accepts, keep the longest sound part and set the rest aside.
 *
 * Two steps.  The plan reads everything and changes nothing; carrying it out needs the word of
 * somebody who accepts the loss.  What is set aside gets a second name (a hard link) in a new
 * directory below that of the journal before it loses its first one: nothing is copied, written or
 * removed of what was there.
 *
 * Every step of it leaves a directory that a start refuses, or that a start finds exactly as it
 * will be in the end; and of which another plan keeps the same records.  So it may be cut short
 * anywhere and be repeated.  docs/journal-format.md, "Repair", says why. */
#ifndef TENURE_JOURNAL_SALVAGE_H
#define TENURE_JOURNAL_SALVAGE_H

#include "journal/journal.h"

struct journal_salvage;

/* Records may be read without a fault and still make no sense: who knows them says so.  `begin`:
 * what was handed over so far is forgotten.  `snapshot_end`: the snapshot was handed over as a
 * whole; also called when there is none.  Each may refuse; TENURE_NO_MEMORY ends everything, any
 * other refusal is damage in what was just handed over. */
struct journal_judge {
    struct journal_visitor visitor;
    enum tenure_err (*begin)(void *user, struct tenure_error *out_error);
    enum tenure_err (*snapshot_end)(void *user, struct tenure_error *out_error);
};

/* What would be kept, and what lost. */
struct journal_salvage_report {
    bool is_needed;          /* no: a start accepts the journal, and nothing below is written */
    char damage[240];        /* why a start refuses it */
    struct seq snapshot_seq; /* the snapshot that is kept; 0: none */
    uint64_t segment_count;  /* of those kept */
    struct seq seq_kept;     /* the last record kept; 0: none */
    struct seq seq_known;    /* the last one that has left a trace; not above seq_kept: no loss */
    uint64_t batch_count;    /* whole batches that can still be read behind the last record kept */
    uint64_t cut_number;     /* the segment in which the kept part ends; 0: with the end of one */
    uint64_t cut_offset;     /* where in it */
    uint32_t aside_count;    /* files to set aside */
};

/* Called for each file that is to be set aside. */
typedef void (*journal_salvage_fn)(void *user, const char *name);

/* Lock the journal, read all of it, and find out what can be kept.  Only path and memory of the
 * options matter.  TENURE_UNAVAILABLE: a server has the directory.  TENURE_CORRUPT: the identity is
 * damaged or missing; `out_error` says what can be done.  TENURE_NOT_FOUND: there is no journal.
 * TENURE_UNSUPPORTED: a newer version has written there.  TENURE_IO: something cannot be read,
 * which proves no damage.  On success the caller owns `*out_salvage`, and the lock goes with it. */
MUST_USE enum tenure_err journal_salvage_plan(
    const struct journal_options *options,
    const struct env *env,
    const struct journal_judge *judge,
    struct journal_salvage **out_salvage,
    struct tenure_error *out_error);

/* Valid as long as the plan. */
const struct journal_salvage_report *journal_salvage_report(const struct journal_salvage *salvage);
void journal_salvage_list(const struct journal_salvage *salvage, journal_salvage_fn fn, void *user);

/* The size of a directory's name with its end. */
#define JOURNAL_ASIDE_SIZE_MAX 48u

/* Carry the plan out, once.  `name` is that of the new directory, at most 40 bytes; when there is
 * one of that name already, a number is added.  `out_name` is written as soon as it exists.  After
 * any failure the plan is of no use any more, and all of it may be repeated. */
MUST_USE enum tenure_err journal_salvage_apply(
    struct journal_salvage *salvage,
    const char *name,
    char out_name[static JOURNAL_ASIDE_SIZE_MAX],
    struct tenure_error *out_error);

/* Accepts NULL inside; nulls the pointer. */
void journal_salvage_destroy(struct journal_salvage **salvage);

#endif
