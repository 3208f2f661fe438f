/* quorum - locks on a majority of independent nodes: a voted lease with a token that the client
 * proposes, in one round trip.
 *
 * N nodes, N odd and the same for everybody, know nothing of each other.  Each has one vote a name.
 * A client asks all of them for their vote for (owner, token), where
 *
 *     token = max(highest token seen + 1, wall clock in microseconds)
 *
 * and has the lock when a majority, Q = N / 2 + 1, has said yes to the same token and its own
 * clock, counted from before it asked, still has time left.  docs/quorum.md has the whole argument;
 * in short:
 *
 *   tokens rise   Any two majorities share a node.  It votes for a token only above all that it has
 *                 voted for (its fence).  So of two grants the one whose votes came later has the
 *                 higher token, whatever clocks and networks do.
 *   one holder    A vote is a key that lives for the ttl from when the node took it.  While the
 *                 holder believes, all nodes of its majority still keep its key, and a node keeps
 *                 one key.  This needs clocks whose rates are near enough, and no more.
 *   restarts      A node that may have forgotten votes does not vote until every lease that it may
 *                 have voted for has run out, and then only above the highest token that a majority
 *                 of the others has ever voted for (its floor).  admission.h
 *
 * The family is Redlock (antirez, 2016) for the key and the time, Paxos' rising ballots (Lamport,
 * 1998) for the token, Gray and Cheriton's leases (1989) for the validity, Lamport's bakery (1974)
 * for the numbers in the line.  New here: the vote for a client's token in the same round as the
 * lease, and a heal that carries the token.
 *
 * Everything in this folder is a step machine: an event in, an update out.  No I/O, no clock, no
 * randomness, no allocation; the caller owns the structs, one operation each.
 *
 *   wire.h        the scripts that a node runs: what goes in, what comes back
 *   pace.h        how long to wait for a node
 *   round.h       one question to all nodes, and the count of the answers
 *   acquire.h     get a lock, or wait for it
 *   renewal.h     keep it, and give it back to nodes that lost it
 *   release.h     end it; take back votes that came to nothing
 *   admission.h   which nodes may vote */
#ifndef TENURE_QUORUM_QUORUM_H
#define TENURE_QUORUM_QUORUM_H

#include <tenure/error.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/types.h"
#include "quorum/wire.h"

/* A ticket lives so long without being refreshed; it is refreshed three times as often. */
#define QUORUM_TICKET_MS 3000u
/* The longest ttl unless the cluster's configuration says otherwise. */
#define QUORUM_TTL_MS_MAX_DEFAULT 60000u

/* How many nodes are a majority of `node_count`. */
static inline uint32_t quorum_majority(uint32_t node_count)
{
    return node_count / 2 + 1;
}

/* 1, 3, 5 or 7. */
static inline bool quorum_is_node_count(uint32_t node_count)
{
    return node_count % 2 == 1 && node_count <= QUORUM_NODE_COUNT_MAX;
}

static inline struct mono quorum_later(struct mono start, int64_t duration_ns)
{
    bool is_never = duration_ns > 0 && start.ns > INT64_MAX - duration_ns;
    return (struct mono){ is_never ? INT64_MAX : start.ns + duration_ns };
}

static inline struct mono quorum_earliest(struct mono left, struct mono right)
{
    return left.ns < right.ns ? left : right;
}

/* The last moment at which somebody whose request was sent at `sent_at`, or later, may believe to
 * have the `remaining_ms` that the answer told. */
static inline struct mono
quorum_valid_until(struct mono sent_at, int64_t remaining_ms, uint32_t clock_error_ppm)
{
    int64_t slack_ms = remaining_ms / 100 < 1 ? 1 : remaining_ms / 100;
    if (slack_ms > 20) slack_ms = 20;
    int64_t believed_ns = remaining_ms * (1000000 - (int64_t)clock_error_ppm) / 1000000 * NS_PER_MS;
    return (struct mono){ sent_at.ns + believed_ns - slack_ms * NS_PER_MS };
}

/* ------------------------------------------------------------------ events */

enum quorum_event_kind {
    QUORUM_START,    /* the first, once */
    QUORUM_ANSWERED, /* `node`, `serial`, `answer` */
    QUORUM_FAILED,   /* `node`, `serial`: no answer will come; whether it was carried out is open */
    QUORUM_WOKEN,    /* acquire: a node says that it is our turn; `fence` */
    QUORUM_CANCELED, /* acquire: give it up */
    QUORUM_TIME,     /* the deadline has come */
};

struct quorum_event {
    enum quorum_event_kind kind;
    struct mono now;  /* CLOCK_BOOTTIME, not before any earlier event's */
    struct wall wall; /* for tokens */
    uint64_t random;  /* fresh bits */
    uint32_t node;
    uint32_t serial;                    /* that of the call */
    const struct quorum_answer *answer; /* valid during the step */
    uint64_t fence;
};

/* ------------------------------------------------------------------ updates */

#define QUORUM_CALL_COUNT_MAX (2 * QUORUM_NODE_COUNT_MAX)

/* How a hold ended. */
enum quorum_end {
    QUORUM_END_NONE,
    QUORUM_END_RELEASED,
    QUORUM_END_EXPIRED_UNCLAIMED, /* nobody else can have had it meanwhile */
    QUORUM_END_EXPIRED_TAKEN,     /* somebody else may have had it */
};

struct quorum_result {
    /* acquire: OK HELD TIMEOUT UNAVAILABLE CANCELED.  renewal: OK LOST UNKNOWN UNAVAILABLE.
     * release: OK LOST NOT_OWNER UNKNOWN. */
    enum tenure_err err;
    enum quorum_end end;
    uint64_t token;
    struct mono sent_at;     /* OK: the lease counts from here … */
    int64_t remaining_ms;    /* … so long; acquire HELD: until it may be free, -1: no end known */
    bool is_breaking;        /* renewal, OK: an administrator has set an end to it */
    struct mono valid_until; /* OK: believe it no longer than this */
    uint64_t holder_token;   /* HELD, LOST: 0 when the holder is no client of Tenure, or none */
    size_t holder_size;      /* 0: not known */
    char holder[LIMIT_OWNER_SIZE_MAX];
};

/* What must now be done: send the calls, deliver the result when `is_done` (once), step again at
 * the deadline.  An operation that is done may have to go on, to clean up; when `is_over` it needs
 * nothing any more. */
struct quorum_update {
    struct quorum_call calls[QUORUM_CALL_COUNT_MAX];
    uint32_t call_count;
    bool is_done;
    bool is_over;
    struct quorum_result result;
    struct mono deadline; /* INT64_MAX: none */
};

/* A further call to be sent.  The caller fills in the rest. */
struct quorum_call *
quorum_update_call(struct quorum_update *update, enum quorum_verb verb, uint32_t node);

#endif
