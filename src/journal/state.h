/* state - what a journal in use consists of; shared by the files of this folder, by nobody else.
 *
 * Two threads: the committer owns `tail` and `block`, the housekeeper `writer` and `scrub`.  What
 * both touch is in `shared`, under its lock, which is never held during a call to the system. */
#ifndef TENURE_JOURNAL_STATE_H
#define TENURE_JOURNAL_STATE_H

#include "base/buffer.h"
#include "journal/file.h"
#include "journal/journal.h"
#include "journal/thread.h"

#define JOURNAL_SPARE_COUNT_MAX 16u

struct journal_scrub;

/* A segment that is in the directory. */
struct journal_segment {
    uint64_t number;
    struct seq first_seq;
    uint64_t file_size;
    struct journal_position before; /* where the segment before ended */
};

struct journal_segment_list {
    struct journal_segment *items; /* ascending and without gaps; the last one is the tail */
    uint32_t count;
    uint32_t capacity;
};

/* A snapshot that is known to be sound. */
struct journal_snapshot {
    struct seq seq;
    uint64_t size;
};

/* The segment that is being written. */
struct journal_tail {
    int file; /* -1: none */
    struct journal_segment_header header;
    struct journal_position position;
    bool is_marked;      /* nothing was committed since the last mark */
    uint64_t dirty_size; /* behind the position: part of a batch that found no room may be there */
};

/* The snapshot that is being written. */
struct journal_writer {
    int file; /* -1: none */
    struct seq seq;
    uint64_t offset;   /* of what `pending` begins with */
    uint64_t unsynced; /* bytes */
    uint64_t chunk_count;
    uint64_t bytes_at_begin; /* journal bytes when the state was taken */
    uint32_t all_crc;
    bool is_synced; /* written and verified; only the name is missing */
    struct buffer pending;
};

struct journal_shared {
    pthread_mutex_t lock;
    uint64_t spares[JOURNAL_SPARE_COUNT_MAX]; /* their numbers; the first is taken first */
    uint32_t spare_count;
    uint64_t spare_number_next;
    struct journal_segment_list segments;
    uint64_t segment_bytes;               /* the sizes of all of them */
    struct journal_snapshot snapshots[2]; /* newest first; size 0: none */
    struct seq seq_durable;
    uint64_t batch_bytes;    /* replayed by the last recovery and committed since */
    uint64_t bytes_snapshot; /* of them, what the newest snapshot holds */
    uint64_t commit_count;
    uint64_t written_bytes;
    uint64_t scrubbed_bytes;
    bool is_failed; /* for ever: an fsync or a write did not do what it must */
    bool is_full;   /* the last spare could not be made for lack of room */
};

struct journal {
    struct journal_dir dir;
    const struct memory *memory;
    struct journal_id id;
    int identity_file; /* holds the lock of the directory; -1 when read-only */
    bool is_read_only;
    uint64_t segment_size;
    uint32_t spare_count_wanted;
    struct journal_tail tail;
    struct buffer block; /* one batch as it goes to the disk */
    struct journal_writer writer;
    struct journal_scrub *scrub; /* under way; NULL: none; private to scrub.c */
    struct journal_shared shared;
};

static inline void journal_lock(struct journal *journal)
{
    journal_thread_lock(&journal->shared.lock);
}

static inline void journal_unlock(struct journal *journal)
{
    journal_thread_unlock(&journal->shared.lock);
}

/* A journal with its directory open, and nothing else. */
MUST_USE enum tenure_err journal_create(
    const struct journal_options *options,
    const struct env *env,
    struct journal **out_journal,
    struct tenure_error *out_error);

/* Note that the disk did something from which there is no way back.  Returns TENURE_IO. */
enum tenure_err journal_fail(
    struct journal *journal,
    int64_t result,
    const char *what,
    const char *name,
    struct tenure_error *out_error);

/* --- spares and segments: segment.c --- */

/* Make one spare of `size` bytes and return its number; it is not registered. */
MUST_USE enum tenure_err journal_spare_make(
    struct journal *journal, uint64_t size, uint64_t *out_number, struct tenure_error *out_error);
/* Make sure that one more segment can be noted without memory.  False when there is none. */
MUST_USE bool journal_segments_reserve(struct journal *journal);

/* Begin a new segment, which becomes the tail.  The caller has filled `header` but for the salt and
 * the file size.  Room for a batch of `batch_size` bytes and a mark is made.  TENURE_NO_SPACE:
 * nothing has changed. */
MUST_USE enum tenure_err journal_segment_begin(
    struct journal *journal,
    const struct journal_segment_header *header,
    uint64_t batch_size,
    struct tenure_error *out_error);

/* Where the segment before ended, as the header says. */
static inline struct journal_position
journal_segment_before(const struct journal_segment_header *header)
{
    return (struct journal_position){
        .offset = header->previous_end,
        .batch_number = header->first_batch_number,
        .seq = header->first_seq,
        .chain = header->previous_chain,
    };
}

/* What the segment behind the tail begins with. */
struct journal_segment_header
journal_segment_successor(uint64_t number, const struct journal_position *position);

/* Make sure that nothing but zeros stands behind the position of the tail. */
MUST_USE enum tenure_err journal_tail_wipe(struct journal *journal, struct tenure_error *out_error);

/* Can the tail take a batch of `batch_size` bytes and still a mark? */
bool journal_tail_fits(const struct journal *journal, uint64_t batch_size);

/* Write one batch at the tail and sync it; it must fit. */
MUST_USE enum tenure_err journal_tail_append(
    struct journal *journal,
    const struct journal_batch *batch,
    uint32_t flags,
    struct tenure_error *out_error);

#endif
