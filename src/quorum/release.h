/* release - end a hold, or take back votes that came to nothing: on all nodes, also on those that
 * have never answered.
 *
 *     asking -> decided -> over
 *
 * A vote that was asked for and not answered may arrive at any time and would block its node for a
 * whole ttl.  So every node is told, again and again, until it has answered or every vote that it
 * could have has run out.
 *
 * What is told to the caller, as soon as it is certain:
 *   a majority deleted it                 OK, released: nobody else can have had it
 *   it was not there, and a majority has  LOST, expired_unclaimed
 *     voted for nothing newer
 *   it was not there, and that is not     LOST, expired_taken: somebody else may have had it
 *     so, or cannot be told
 *   no majority answered in time          UNKNOWN: it will be gone when its ttl has run */
#ifndef TENURE_QUORUM_RELEASE_H
#define TENURE_QUORUM_RELEASE_H

#include "quorum/pace.h"
#include "quorum/quorum.h"

struct quorum_release_options {
    uint32_t node_count;
    enum quorum_verb verb; /* RELEASE, ABANDON or BREAK */
    uint64_t token;
    uint32_t ttl_ms;
    uint32_t grace_ms;        /* BREAK: the holder has so long yet; 0: none */
    uint32_t serial;          /* of its calls: one that no other call of the operation has */
    const struct pace *paces; /* one for each node; valid until it is over */
    struct mono answer_until; /* then it is UNKNOWN; INT64_MAX: when it is over */
};

struct quorum_leaver {
    bool is_told; /* it has answered */
    bool is_deleted;
    bool is_newer_voted; /* it has voted for a higher token */
    uint32_t tries;
    struct mono again_at;
};

/* All is private. */
struct quorum_release {
    struct quorum_release_options options;
    struct mono over_at;
    bool is_done;
    bool is_over;
    struct quorum_leaver nodes[QUORUM_NODE_COUNT_MAX];
    struct quorum_result result;
};

void quorum_release_init(
    struct quorum_release *release, const struct quorum_release_options *options);
/* Events: START, ANSWERED, FAILED, TIME.  After it is over nothing must come. */
void quorum_release_step(
    struct quorum_release *release,
    const struct quorum_event *event,
    struct quorum_update *out_update);

#endif
