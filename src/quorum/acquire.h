/* acquire - get a lock on a majority of nodes, or wait for it.
 *
 *                    yes from a majority, in time
 *     asking ------------------------------------> over: granted
 *      ^  |  \
 *      |  |   \ held, split, too late, too few nodes
 *      |  |    +----------------+-----------------+
 *      |  | stale: again        | may wait        | may not, or canceled
 *      |  | with a higher token v                 v
 *      |  +---> asking       waiting           leaving ---> over
 *      +----------------------- / woken, or time
 *
 *   - A round asks all nodes for one token.  Only answers of that round count: a yes to an older
 *     token of ours is no vote for the newer one.
 *   - A node that says stale tells the token to be above of; the next round follows at once.
 *   - A round that came to nothing takes its votes back (yield) and keeps its place in the line.
 *     Nodes let nobody pass a living waiter, so after one split round they agree on who is next:
 *     many contenders converge, without backing off at random.
 *   - A node wakes who is in its line when a vote ends, not who comes into the line after that.  So
 *     where nobody was in line yet, a majority that answers to our yield that it is free is asked
 *     again.
 *   - The place in the line is the highest of the numbers that a majority of nodes gave, as in
 *     Lamport's bakery.  Clocks of clients do not matter to it.
 *   - A round that began with a wake-up is given a little time: the end of the hold before ours
 *     reaches the nodes one by one, and each that it reaches wakes us and is asked again.
 *   - To be woken is a hint.  A timer runs to the moment at which a majority may be free, and to
 *     the next refreshing of the ticket; sooner where the holder is a program that is not Tenure,
 *     which wakes nobody.
 *   - Who does not want to wait still contends, as if waiting, for a moment when nobody has a
 *     majority: of many who try at once, one gets it.
 *   - The end of a failed attempt tells all nodes that may have voted (release.h). */
#ifndef TENURE_QUORUM_ACQUIRE_H
#define TENURE_QUORUM_ACQUIRE_H

#include "quorum/release.h"
#include "quorum/round.h"

enum quorum_phase {
    QUORUM_PHASE_ASKING,
    QUORUM_PHASE_WAITING,
    QUORUM_PHASE_LEAVING,
    QUORUM_PHASE_OVER,
};
#define QUORUM_PHASE_COUNT 4

struct quorum_acquire_options {
    uint32_t node_count;
    uint32_t ttl_ms; /* LIMIT_TTL_MS_MIN … the longest of the configuration */
    uint32_t clock_error_ppm;
    struct mono wait_until;   /* the past: do not wait; INT64_MAX: for ever */
    uint64_t token_known;     /* the highest that the caller has seen, for whatever name; or 0 */
    const struct pace *paces; /* one for each node; valid until it is over */
};

/* All is private but `token_known` and `round_count`. */
struct quorum_acquire {
    struct quorum_acquire_options options;
    enum quorum_phase phase;
    struct quorum_round round;
    struct quorum_release leaving;
    uint64_t token;         /* proposed in this round */
    uint64_t token_known;   /* the highest seen; to be kept for the next operation */
    uint64_t ticket;        /* the highest number given so far */
    bool is_ticket_settled; /* a majority has given one */
    bool is_waiting_asked;  /* it has, or wants, a place in the line */
    bool is_try;            /* it does not wait */
    bool is_traced;         /* a node may have a vote or a ticket of ours */
    bool is_woken;          /* since the last round began */
    bool is_called;         /* this round began because we were woken: others are giving way */
    bool is_answered;       /* a majority of nodes answered in the last round */
    bool was_answered;      /* … or in one before */
    uint32_t stale_count;
    uint32_t fail_count;  /* rounds in a row without a majority of answers */
    uint32_t round_count; /* for those who want to know */
    struct mono contend_until;
    struct mono again_at; /* waiting: the next round */
    struct quorum_result result;
};

/* TENURE_INVALID: the ttl or the number of nodes. */
MUST_USE enum tenure_err
quorum_acquire_init(struct quorum_acquire *acquire, const struct quorum_acquire_options *options);
/* All events.  When the result is given, `token_known` is final.  After it is over only late
 * answers may come; they are ignored. */
void quorum_acquire_step(
    struct quorum_acquire *acquire,
    const struct quorum_event *event,
    struct quorum_update *out_update);

#endif
