/* work_slot - what the parts of a slot share: work_slot.c, work_item.c,
 * work_news.c. */
#ifndef TENURE_CLI_WORK_SLOT_H
#define TENURE_CLI_WORK_SLOT_H

#include "cli/run_state.h"
#include "cli/tap.h"
#include "cli/work.h"

/* How much it hurries to its end: each signal is one more. */
enum slot_stop {
    SLOT_GOES_ON,
    SLOT_FINISHES, /* takes nothing more; what runs may go on for the grace */
    SLOT_STOPS,    /* what runs is told to stop, and killed after the kill grace */
    SLOT_KILLS,
};

struct slot {
    const struct work_options *options;
    struct work_share *share;
    struct tenure_client client;
    char worker[OWNER_SIZE];
    char url[2048];
    struct signals signals;
    int child_fd; /* a signalfd: a child has ended */
    int wake_fd;
    int null_fd;
    enum slot_stop stop;
    int64_t stop_at_ns;   /* SLOT_FINISHES becomes SLOT_STOPS */
    unsigned fault_count; /* commands in a row that could not be executed */
    bool is_known;        /* the store has given something */
    bool is_away;         /* said that it does not answer any more */

    /* The item that is being done. */
    struct tenure_hold hold;
    struct tenure_item item;
    struct run *run;
    struct run_options run_options;
    struct run_job job;
    struct taps taps;
    struct work_end end;
    char name[600]; /* "QUEUE/ID", for messages */
    char reason[WORK_REASON_SIZE];
    char progress[WORK_REASON_SIZE]; /* to be told; "": nothing */
    int64_t progress_at_ns;          /* when it may be told */
    /* Set by the library's thread, whose callbacks may come late: of which hold it was told. */
    _Atomic uint64_t cancelled_id;
    _Atomic bool is_taken; /* likewise: the take is over */
    _Atomic bool is_heard; /* likewise: what was said about the item has its answer */
    enum tenure_err heard_err;
    struct tenure_error heard_error;
    enum tenure_err take_err;
    struct tenure_error take_error;
    char trouble[sizeof(((struct tenure_error *)NULL)->text)]; /* why there was no answer */
    bool was_told;                                             /* TERM, by us */
    int64_t kill_at_ns;                                        /* then KILL */
};

/* Wait for the library's thread, a signal, the end of an orphan, or `limit_ms` (-1: no limit). */
void slot_await(struct slot *slot, int limit_ms);
/* A signal that ends processes came. */
void slot_hurry(struct slot *slot);
/* Has somebody cancelled the item that is being done? */
bool slot_is_cancelled(const struct slot *slot);
/* Run the command for slot->hold, and say how it went.  What was said is in the verdict. */
void slot_do_item(struct slot *slot, struct work_verdict *out_verdict);
/* Nobody does the item of slot->hold here: give it back. */
void slot_give_back(struct slot *slot);

/* Callbacks, on the library's thread: of the take, of what it took, and of what is said. */
void slot_on_taken(
    enum tenure_err err,
    const struct tenure_hold *holds,
    uint32_t count,
    const struct tenure_error *error,
    void *user);
void slot_on_heard(enum tenure_err err, const struct tenure_error *error, void *user);
void slot_on_risk(struct tenure_hold hold, int64_t remaining_ms, void *user);
void slot_on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user);
void slot_on_cancel(struct tenure_hold hold, void *user);

#endif
