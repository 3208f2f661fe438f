/* renewal - one renewal of a hold, on all nodes, and the healing of those that have lost it.
 *
 * OK when a majority still had it and there is time left.  LOST only when so many nodes do not have
 * it that no majority can; then it says whether somebody else may have had it.  Everything else is
 * UNKNOWN, or UNAVAILABLE when a majority of nodes does not vote: try again, until the hold's own
 * deadline.
 *
 * Nothing is made anew before a majority has renewed: what a majority has lost is lost, even when
 * nobody took it.  After that, nodes that do not have it are asked to vote for it again (heal), so
 * that the loss of the next node does not end it.  A renewal that is OK goes on until all nodes
 * have answered or are given up, for that. */
#ifndef TENURE_QUORUM_RENEWAL_H
#define TENURE_QUORUM_RENEWAL_H

#include "quorum/round.h"

struct quorum_renewal_options {
    uint32_t node_count;
    bool is_proclaiming; /* the holder says something new: its meta is replaced */
    uint64_t token;
    uint32_t ttl_ms;
    uint32_t clock_error_ppm;
    const struct pace *paces; /* one for each node; valid until it is over */
};

/* All is private. */
struct quorum_renewal {
    struct quorum_renewal_options options;
    struct quorum_round round;
    bool is_done;
    bool is_renewed;
    bool is_healing[QUORUM_NODE_COUNT_MAX]; /* was asked for */
    struct quorum_result result;
};

void quorum_renewal_init(
    struct quorum_renewal *renewal, const struct quorum_renewal_options *options);
/* Events: START, ANSWERED, FAILED, TIME.  After it is over only answers may come; they are
 * ignored. */
void quorum_renewal_step(
    struct quorum_renewal *renewal,
    const struct quorum_event *event,
    struct quorum_update *out_update);

#endif
