/* timeline - when the command must stop: a step machine without I/O.
 *
 *        last good renewal                                     lease over, by our clock
 *        |                                                     |
 *   -----+-----------------------------------+---------+-------+------------> CLOCK_BOOTTIME
 *                                            |  grace  | margin|         ^
 *                                            TERM      KILL    |         the store may grant it
 *                                                              |         to somebody else
 *
 * `valid_until` ends before the store's lease does: it is counted from before the request that the
 * store answered was sent, and clock errors are taken off (tenure/lock.h).  The KILL comes a margin
 * before, time for the system to carry it out.  All of this is a comparison of clocks: no answer is
 * waited for, so that neither a dead network nor a frozen store can delay it.
 *
 * Other reasons to stop take the same way: TERM at once, KILL after the grace, or before the lease
 * is over, whatever comes first. */
#ifndef TENURE_CLI_TIMELINE_H
#define TENURE_CLI_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#define TIME_NEVER INT64_MAX

/* Why the command was told to stop. */
enum stop_cause {
    STOP_NONE,
    STOP_LEASE,    /* the lease runs out, or is over */
    STOP_MAX_HOLD, /* it took too long */
    STOP_RUNNER,   /* the runner died: nobody renews any more */
    STOP_ORDER,    /* KILL, because the runner says so */
};
const char *stop_cause_name(enum stop_cause cause);

/* What a lease that runs out does to the command. */
struct timeline_policy {
    int64_t grace_ns;
    int64_t margin_ns;
    bool is_telling; /* TERM, or what stands in its place */
    bool is_killing;
};

struct timeline_input {
    int64_t now_ns; /* CLOCK_BOOTTIME, as all of these */
    int64_t valid_until_ns;
    int64_t max_hold_at_ns;
    bool is_runner_gone;
    bool is_ordered; /* to kill at once */
};

struct timeline_update {
    bool is_telling;     /* TERM now; once */
    bool is_killing;     /* KILL now; again in every step */
    bool is_over;        /* no time is left to count on: close what tells of loss; once */
    int64_t deadline_ns; /* step again then; TIME_NEVER */
};

struct timeline {
    struct timeline_policy policy;
    enum stop_cause cause;
    bool is_told;
    bool is_over;
    int64_t kill_at_ns; /* TIME_NEVER until it is told */
};

void timeline_init(struct timeline *timeline, const struct timeline_policy *policy);
void timeline_step(
    struct timeline *timeline,
    const struct timeline_input *input,
    struct timeline_update *out_update);

#endif
