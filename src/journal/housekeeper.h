/* housekeeper - the thread for what the journal needs beside commits: spare segments, snapshots,
 * and now and then a scrub.
 *
 * A snapshot comes from the loop in chunks, a few each turn, through a queue of bounded size; the
 * loop never waits for the disk.  A scrub reads in small pieces with pauses between them, and waits
 * while there is anything else to do.
 *
 * Threads: housekeeper_poke may be called by any; everything else belongs to one thread, the
 * loop's. `notify` is called by the housekeeper's thread. */
#ifndef TENURE_JOURNAL_HOUSEKEEPER_H
#define TENURE_JOURNAL_HOUSEKEEPER_H

#include "journal/journal.h"

struct housekeeper;

struct housekeeper_options {
    /* Chunks that may wait, in bytes; HOUSEKEEPER_QUEUE_SIZE_DEFAULT. */
    size_t queue_size_max;
    /* Begin a scrub so long after the start, and so long after the last one was begun. */
    int64_t scrub_first_ms;
    int64_t scrub_period_ms; /* 0: never scrub */
    /* There is room in the queue again, a snapshot has ended, a scrub has found damage, or a spare
     * was made or could not be (is_space_low of the journal's status may have changed).  May be
     * NULL. */
    void (*notify)(void *user);
    void *user;
};

#define HOUSEKEEPER_QUEUE_SIZE_DEFAULT ((size_t)2 << 20)

/* Start the thread.  The journal is borrowed until housekeeper_stop. */
MUST_USE enum tenure_err housekeeper_start(
    struct journal *journal,
    const struct housekeeper_options *options,
    struct housekeeper **out_housekeeper,
    struct tenure_error *out_error);

/* Look whether spares are missing.  On a full disk it looks again every second by itself. */
void housekeeper_poke(struct housekeeper *housekeeper);

enum housekeeper_snapshot {
    HOUSEKEEPER_SNAPSHOT_NONE,
    HOUSEKEEPER_SNAPSHOT_RUNNING,
    HOUSEKEEPER_SNAPSHOT_DONE,
    HOUSEKEEPER_SNAPSHOT_FAILED, /* the journal is as good as before; begin another one later */
};

/* Begin a snapshot of the state at `seq`; none may be running. */
void housekeeper_snapshot_begin(struct housekeeper *housekeeper, struct seq seq);
/* Hand over a chunk, which is copied.  False: no room (or no memory), try again after a notify.
 * When the snapshot has failed meanwhile, chunks are taken and thrown away. */
MUST_USE bool housekeeper_snapshot_append(struct housekeeper *housekeeper, struct bytes chunk);
/* There are no more chunks. */
void housekeeper_snapshot_finish(struct housekeeper *housekeeper);
/* Give up the snapshot that is running, for want of memory: it fails a moment later.  Nothing may
 * be handed over any more.  When it has failed already, nothing happens. */
void housekeeper_snapshot_abandon(struct housekeeper *housekeeper);
/* Where the last snapshot stands; `out_error`, which may be NULL, says why it failed. */
enum housekeeper_snapshot
housekeeper_snapshot_state(struct housekeeper *housekeeper, struct tenure_error *out_error);

/* How many scrubs have been finished. */
uint64_t housekeeper_scrub_count(struct housekeeper *housekeeper);
/* Did the scrub find a damaged file?  `out_damage` names file and offset; the scrub goes on behind
 * it once this was asked. */
MUST_USE bool
housekeeper_take_damage(struct housekeeper *housekeeper, struct tenure_error *out_damage);

/* Abandon a running snapshot, end the thread, free.  Accepts NULL inside; nulls the pointer. */
void housekeeper_stop(struct housekeeper **housekeeper);

#endif
