/* journal_bases - sound journals for the fuzzer of recovery to damage, and what they hold. */
#ifndef TENURE_TESTS_FUZZ_JOURNAL_BASES_H
#define TENURE_TESTS_FUZZ_JOURNAL_BASES_H

#include "engine/engine.h"
#include "journal/journal.h"
#include "lib/env_memory.h"

#define BASE_BATCH_COUNT_MAX    128u
#define BASE_SNAPSHOT_COUNT_MAX 4u
#define BASE_SEGMENT_SIZE       8192u

enum base_kind {
    BASE_EMPTY,  /* no journal yet */
    BASE_MARKED, /* closed in order: snapshots, a restart, and a mark at the end */
    BASE_CUT,    /* the same after kill -9: no mark */
    BASE_YOUNG,  /* one segment, no snapshot, a mark */
    BASE_GOLDEN, /* the golden directory; its records mean nothing to an engine */
    BASE_COUNT,
};

struct base_batch {
    uint64_t first;
    uint32_t count;
    struct bytes records;
};

/* All that was ever committed, and the snapshots that were taken. */
struct base {
    struct env_memory *memory;
    bool is_for_engine;
    uint64_t seq_last;
    struct base_batch batches[BASE_BATCH_COUNT_MAX];
    uint32_t batch_count;
    uint64_t snapshot_seqs[BASE_SNAPSHOT_COUNT_MAX];
    struct buffer snapshots[BASE_SNAPSHOT_COUNT_MAX]; /* chunks, one behind the other */
    uint32_t snapshot_count;
};

/* Made at the first call, kept for ever. */
const struct base *journal_base(enum base_kind kind);

struct engine *journal_base_engine(void);
struct journal_options journal_base_options(void);

#endif
