/* committer - the thread that makes batches durable while the loop goes on.
 *
 * The loop offers what each turn produced; what is offered while a commit runs gathers and becomes
 * the next batch, so that the disk is never idle while there is work and a batch is as large as the
 * disk is slow.  Nobody waits for anybody: the loop reads how far the journal is durable, and asks
 * for one call of `notify` before it goes to sleep.
 *
 * Threads: committer_start, _offer, _arm and _stop belong to one thread, the loop's; the others may
 * be called by any.  `notify` and `measure` are called by the committer's thread. */
#ifndef TENURE_JOURNAL_COMMITTER_H
#define TENURE_JOURNAL_COMMITTER_H

#include "base/buffer.h"
#include "journal/housekeeper.h"
#include "journal/journal.h"

struct committer;

enum committer_state {
    COMMITTER_RUNNING,
    COMMITTER_NO_SPACE, /* no room on the disk, or no memory, as committer_error tells; the same
                           batch is tried again until there is */
    COMMITTER_FAILED,   /* final: nothing more becomes durable */
};

struct committer_options {
    /* Watch for work so long before sleeping: a core for latency.  0: sleep at once. */
    uint32_t spin_us;
    /* Write the journal's mark after so long without work; COMMITTER_MARK_IDLE_MS_DEFAULT. */
    uint32_t mark_idle_ms;
    /* What may wait, in bytes, before offers are refused; COMMITTER_BACKLOG_SIZE_DEFAULT. */
    size_t backlog_size_max;
    /* Poked when the journal runs low on spares.  May be NULL. */
    struct housekeeper *housekeeper;
    /* Durable or state has changed since committer_arm. */
    void (*notify)(void *user);
    /* A batch has become durable, and how long that took; called before durable moves.  May be
     * NULL. */
    void (*measure)(void *user, uint64_t commit_ns, uint32_t record_count, size_t size);
    void *user;
};

#define COMMITTER_MARK_IDLE_MS_DEFAULT 200u
#define COMMITTER_BACKLOG_SIZE_DEFAULT ((size_t)4 << 20)

/* Start the thread.  The journal is borrowed until committer_stop; nobody else may commit to it. */
MUST_USE enum tenure_err committer_start(
    struct journal *journal,
    const struct committer_options *options,
    struct committer **out_committer,
    struct tenure_error *out_error);

/* Hand over `count` encoded records, the first of which is `first`; they must follow what was
 * offered before.  True: taken, and the buffer is empty (its block may be another one).  False: too
 * much is waiting, or the committer has failed, or there is no memory; the buffer is untouched, the
 * loop goes on gathering and offers everything again after the next notify. */
MUST_USE bool committer_offer(
    struct committer *committer, struct buffer *records, uint32_t count, struct seq first);

/* Everything up to here survives a crash. */
struct seq committer_durable(const struct committer *committer);
enum committer_state committer_state(const struct committer *committer);
/* Why the state is not COMMITTER_RUNNING. */
void committer_error(struct committer *committer, struct tenure_error *out_error);

/* Before going to sleep: ask for one notify when durable or state is other than `durable` and
 * `state`, which the caller has seen.  False: it is already, do not sleep. */
MUST_USE bool
committer_arm(struct committer *committer, struct seq durable, enum committer_state state);

/* Finish what was offered, write the mark, end the thread, free.  On a full disk one last attempt
 * is made.  TENURE_OK: all that was offered is durable.  Accepts NULL inside; nulls the pointer. */
enum tenure_err committer_stop(struct committer **committer, struct tenure_error *out_error);

#endif
