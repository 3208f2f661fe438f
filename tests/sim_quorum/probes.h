/* probes - what the seeds of a run must have met: proof that the faults bite. */
#ifndef TESTS_SIM_QUORUM_PROBES_H
#define TESTS_SIM_QUORUM_PROBES_H

#define PROBE_MAP(X)                                                                               \
    X(GRANTED, "granted in the first round")                                                       \
    X(GRANTED_LATER, "granted in a later round")                                                   \
    X(GRANTED_AFTER_STALE, "granted after stale")                                                  \
    X(GRANTED_AFTER_WAKE, "granted after a wake-up")                                               \
    X(GRANTED_WITHOUT_ALL, "granted with a node that did not vote")                                \
    X(HELD, "held")                                                                                \
    X(HELD_BY_FOREIGN, "held by a foreign client")                                                 \
    X(TIMEOUT, "timeout")                                                                          \
    X(UNAVAILABLE, "unavailable")                                                                  \
    X(CANCELED, "canceled")                                                                        \
    X(SPLIT, "split vote")                                                                         \
    X(YIELD, "votes taken back while waiting")                                                     \
    X(LATE_VOTE_REFUSED, "vote for a token that was given up: refused")                            \
    X(RENEWED, "renewed")                                                                          \
    X(RENEWED_ERODED, "renewed with a majority that is not all")                                   \
    X(HEALED, "healed")                                                                            \
    X(HEAL_REFUSED, "heal refused: too late")                                                      \
    X(LOST_UNCLAIMED, "lost, unclaimed")                                                           \
    X(LOST_TAKEN, "lost, perhaps taken")                                                           \
    X(RENEWAL_UNKNOWN, "renewal without an outcome")                                               \
    X(RELEASED, "released")                                                                        \
    X(RELEASED_UNCLAIMED, "released too late, unclaimed")                                          \
    X(RELEASED_TAKEN, "released too late, perhaps taken")                                          \
    X(RELEASE_UNKNOWN, "release without an outcome")                                               \
    X(EXPIRED_BELIEF, "believed until the end")                                                    \
    X(WRITE_FENCED, "write of a stale holder refused")                                             \
    X(MUTE, "a node in quarantine was asked")                                                      \
    X(ADMITTED, "a node let in")                                                                   \
    X(ADMITTED_DURABLE, "a node let in at once: its disk has all")                                 \
    X(FLOOR_RAISED, "a floor above all that the node had voted for")                               \
    X(FLOOR_REFUSED, "a vote refused by a floor alone")                                            \
    X(RESTART_KEPT, "restart, memory kept")                                                        \
    X(RESTART_BACK, "restart, the last writes lost")                                               \
    X(RESTART_EMPTY, "restart, empty")                                                             \
    X(FLUSHED, "flushed without a restart")                                                        \
    X(PROMOTED, "a replica promoted")                                                              \
    X(MAJORITY_LOST, "a majority without memory at once")                                          \
    X(FROZEN_NODE, "node frozen")                                                                  \
    X(PARTITION, "partition")                                                                      \
    X(RESET, "connection reset")                                                                   \
    X(LOST_MESSAGE, "message lost")                                                                \
    X(DOUBLED_MESSAGE, "message doubled")                                                          \
    X(LATE_MESSAGE, "message later than a ttl")                                                    \
    X(JUMP, "keys of a node expire early")                                                         \
    X(PAUSED, "client paused")                                                                     \
    X(PAUSED_FROZEN, "client paused, its clock too")                                               \
    X(CRASHED, "client crashed")                                                                   \
    X(WALL_JUMP, "wall clock of a client jumps")                                                   \
    X(OVERLAP_EXCUSED, "overlap outside the assumptions")                                          \
    X(SAME_OWNER, "the same owner again")                                                          \
    X(SWEPT, "idle fences forgotten")                                                              \
    X(FOREIGN_GRANTED, "granted to a foreign client")                                              \
    X(STRAY, "a client with another configuration gets nothing")                                   \
    X(REPEATED, "a script repeated: same answer")

enum probe {
#define X(name, text) PROBE_##name,
    PROBE_MAP(X)
#undef X
};
#define PROBE_COUNT (PROBE_REPEATED + 1u)

#endif
