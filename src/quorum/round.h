/* round - one question to all nodes, and the count of the answers.
 *
 * A round has a serial and a moment before its first call.  Only answers to its own calls count;
 * each counts once. */
#ifndef TENURE_QUORUM_ROUND_H
#define TENURE_QUORUM_ROUND_H

#include "quorum/pace.h"
#include "quorum/quorum.h"

/* Where a node stands in this round. */
enum quorum_stand {
    QUORUM_STAND_ASKED,
    QUORUM_STAND_SILENT, /* no answer, or none in time: its vote is open */
    QUORUM_STAND_YES,
    QUORUM_STAND_HELD,
    QUORUM_STAND_QUEUED,
    QUORUM_STAND_STALE,
    QUORUM_STAND_MUTE,
    QUORUM_STAND_GONE,
};
#define QUORUM_STAND_COUNT 8

struct quorum_seat {
    enum quorum_stand stand;
    struct mono until; /* asked: waited for until then */
    int64_t remaining_ms;
    uint64_t token;     /* held: of the holder */
    uint64_t holder;    /* held: a hash of who holds */
    uint64_t voted;     /* gone, held */
    uint64_t ticket;    /* our number there; 0: none, or not told */
    bool is_breaking;   /* yes: but an administrator has set an end to it */
    bool is_taken_back; /* acquire: what it may have of ours was taken back */
    bool is_free;       /* acquire: nobody had its vote when ours was taken back */
};

struct quorum_round {
    uint32_t node_count;
    uint32_t serial;
    struct mono sent_at;
    struct quorum_seat seats[QUORUM_NODE_COUNT_MAX];
};

/* Everybody is asked, from now on; `serial` goes up. */
void quorum_round_begin(
    struct quorum_round *round, struct mono now, const struct pace *paces, uint32_t ttl_ms);
/* An answer.  False: it is not to this round, or its node has answered. */
bool quorum_round_answer(
    struct quorum_round *round, uint32_t node, uint32_t serial, const struct quorum_answer *answer);
/* No answer will come. */
void quorum_round_fail(struct quorum_round *round, uint32_t node, uint32_t serial);
/* Those whose time has passed are silent. */
void quorum_round_expire(struct quorum_round *round, struct mono now);
/* When the next one becomes silent; INT64_MAX: nobody is waited for. */
struct mono quorum_round_deadline(const struct quorum_round *round);
uint32_t quorum_round_count(const struct quorum_round *round, enum quorum_stand stand);
/* How long a majority has yet said yes for: the Q-th longest.  A majority has said yes. */
int64_t quorum_round_remaining_ms(const struct quorum_round *round);
/* A majority has said yes; is one of those that it needs about to end by an administrator's will?
 */
bool quorum_round_is_breaking(const struct quorum_round *round);
/* In how many ms a majority of the nodes may be free: the Q-th shortest; -1: no telling. */
int64_t quorum_round_free_ms(const struct quorum_round *round);
/* The node whose holder most nodes name, and how many do; node_count when none is held. */
uint32_t quorum_round_holder(const struct quorum_round *round, uint32_t *out_count);

#endif
