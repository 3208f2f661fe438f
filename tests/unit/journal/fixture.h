/* fixture - what the journal's tests have in common: records whose contents follow from their seq,
 * and a visitor that checks them. */
#ifndef TENURE_TESTS_UNIT_JOURNAL_FIXTURE_H
#define TENURE_TESTS_UNIT_JOURNAL_FIXTURE_H

#include "journal/journal.h"
#include "lib/env_memory.h"
#include "lib/test.h"

#define FIXTURE_SEGMENT_SIZE 8192u

/* What a recovery handed over.  The records of a batch are `count` times its seq in eight bytes,
 * then filling; anything else, or a gap, is noted as a fault. */
struct recovered {
    uint64_t seq_last; /* of records or snapshot */
    uint64_t batch_count;
    uint64_t snapshot_seq; /* 0: none */
    uint64_t chunk_count;
    uint64_t chunk_bytes;
    const char *fault;      /* NULL: none */
    enum tenure_err refuse; /* what the visitor's batch function returns */
};

struct journal_visitor fixture_visitor(struct recovered *recovered);

struct journal_options fixture_options(const char *path);

/* Open, check that nothing inconsistent was handed over. */
enum tenure_err fixture_open(
    const struct env *env,
    const struct journal_options *options,
    struct journal **out_journal,
    struct recovered *out_recovered,
    struct journal_report *out_report,
    struct tenure_error *out_error);

/* The same, and it must succeed. */
struct journal *fixture_reopen(
    const struct env *env, struct recovered *out_recovered, struct journal_report *out_report);

/* Commit one batch of `count` records of `record_size` bytes each (at least 8). */
enum tenure_err fixture_commit(
    struct journal *journal,
    uint64_t first_seq,
    uint32_t count,
    size_t record_size,
    struct tenure_error *out_error);
/* It must succeed. */
void fixture_must_commit(
    struct journal *journal, uint64_t first_seq, uint32_t count, size_t record_size);

/* Write a snapshot of `chunk_count` chunks of `chunk_size` bytes. */
enum tenure_err fixture_snapshot(
    struct journal *journal,
    uint64_t seq,
    unsigned chunk_count,
    size_t chunk_size,
    struct tenure_error *out_error);

/* How many files have names that begin with `prefix`. */
unsigned fixture_count_files(const struct env_memory *memory, const char *prefix);

#endif
