/* probes - what the seeds of a run must have met: proof that the faults bite.
 */
#ifndef TESTS_SIM_PROBES_H
#define TESTS_SIM_PROBES_H

/* What must have happened at least once over the seeds of a run: proof that the
 * faults bite. */
#define PROBE_MAP(X)                                                                               \
    X(GRANT_AT_ONCE, "grant at once")                                                              \
    X(GRANT_AFTER_WAIT, "grant after a wait")                                                      \
    X(GRANT_MANY_NAMES, "grant of many names")                                                     \
    X(GRANT_MANY_AFTER_WAIT, "grant of many names after a wait")                                   \
    X(GRANT_SHARED, "two readers at once")                                                         \
    X(GRANT_SLOT, "a slot above 0")                                                                \
    X(REPEATED_ACQUIRE, "acquire repeated, same answer")                                           \
    X(REPEATED_RELEASE, "release repeated, same answer")                                           \
    X(RELEASE_EXPIRED, "release of an expired hold")                                               \
    X(RELEASE_TAKEN, "release of a hold that another got")                                         \
    X(RELEASE_BROKEN, "release of a broken hold")                                                  \
    X(RENEWED, "renewed")                                                                          \
    X(RENEW_CHANGED_TTL, "renewal with another ttl")                                               \
    X(RENEW_LOST, "renewal of a lost hold")                                                        \
    X(STALE_REFUSED, "stale token or foreign owner refused")                                       \
    X(HELD, "refused: held")                                                                       \
    X(TIMEOUT, "refused: timeout")                                                                 \
    X(CANCELED, "wait given up")                                                                   \
    X(LIMIT_MISMATCH, "refused: other number of slots")                                            \
    X(DEADLOCK, "refused: upgrade")                                                                \
    X(TOO_MANY, "refused: a limit")                                                                \
    X(NO_MEMORY, "refused: no memory")                                                             \
    X(INVALID, "refused: invalid")                                                                 \
    X(GATE_NO_SPACE, "refused: disk full")                                                         \
    X(GATE_DRAINING, "refused: draining")                                                          \
    X(EXPIRED, "expired")                                                                          \
    X(EXPIRED_BESIDE_RENEWAL, "expired just before its renewal arrived")                           \
    X(BREAKING, "break with grace begun")                                                          \
    X(BROKEN_BY_TIMER, "broken when the grace was over")                                           \
    X(BROKEN_AT_ONCE, "broken at once")                                                            \
    X(PROCLAIMED, "proclaimed")                                                                    \
    X(TRANSFERRED, "transferred")                                                                  \
    X(DELAY_ENDED, "lock-delay ended")                                                             \
    X(DEAD_WAITER, "waiter gone with its connection")                                              \
    X(STALL, "stall")                                                                              \
    X(LAG, "lag, too short for a stall")                                                           \
    X(STALL_LONGER_THAN_TTL, "stall longer than a live ttl")                                       \
    X(WALL_BACK, "wall clock back")                                                                \
    X(WALL_AHEAD, "wall clock ahead")                                                              \
    X(REPLY_HELD_BACK, "reply held until durable")                                                 \
    X(RECORDS_GATHERED, "records gathered during a commit")                                        \
    X(SEGMENT_SWITCH, "more than one segment replayed")                                            \
    X(SNAPSHOT_DONE, "snapshot finished")                                                          \
    X(SNAPSHOT_FAILED, "snapshot failed")                                                          \
    X(SNAPSHOT_RESTORED, "started from a snapshot")                                                \
    X(SNAPSHOT_SKIPPED, "started from the older snapshot")                                         \
    X(SNAPSHOT_CHANGED, "state changed while its snapshot was written")                            \
    X(TORN_TAIL, "torn tail dropped")                                                              \
    X(UNACKED_KEPT, "unacknowledged batch survived")                                               \
    X(UNACKED_LOST, "unacknowledged batch lost")                                                   \
    X(CRASH_IDLE, "crash between calls")                                                           \
    X(CRASH_IN_COMMIT, "crash in a commit")                                                        \
    X(CRASH_IN_SNAPSHOT, "crash in a snapshot")                                                    \
    X(CRASH_IN_PREPARE, "crash while preparing a segment")                                         \
    X(CRASH_IN_START, "crash in recovery")                                                         \
    X(CRASH_TWICE_IN_START, "crash in recovery after a crash in recovery")                         \
    X(KILLED, "process killed, cache kept")                                                        \
    X(POWER_LOST, "power lost")                                                                    \
    X(COMMIT_IO_ERROR, "commit failed for good")                                                   \
    X(COMMIT_NO_SPACE, "commit found no space")                                                    \
    X(START_IO_ERROR, "start refused: I/O error")                                                  \
    X(START_NO_SPACE, "start refused: no space")                                                   \
    X(START_CORRUPT, "start refused: damage found")                                                \
    X(DAMAGE_LOST_BATCH, "damage to the last batch, taken for torn")                               \
    X(DAMAGE_SURVIVED, "damage on the medium, nothing lost")                                       \
    X(SECOND_SERVER, "second server kept out")                                                     \
    X(HOLD_SURVIVED, "hold survived a restart")                                                    \
    X(RETRY_AFTER_CRASH, "request repeated after a crash")                                         \
    X(WINDOW_WRAPPED, "window of events wrapped")                                                  \
    X(JOB_PUT, "item put")                                                                         \
    X(JOB_PUT_AGAIN, "item put that was there")                                                    \
    X(JOB_KEPT_BACK, "item kept back for its key")                                                 \
    X(JOB_DELAYED, "delayed item became ready")                                                    \
    X(JOB_TAKEN, "item taken")                                                                     \
    X(JOB_MANY, "several items taken at once")                                                     \
    X(JOB_AFTER_WAIT, "item taken after a wait")                                                   \
    X(JOB_PRIORITY, "item with a priority taken")                                                  \
    X(JOB_TURNS, "item taken while another group could give")                                      \
    X(JOB_RUNNING_MAX, "limit of running items reached")                                           \
    X(JOB_RATE, "item taken within a rate")                                                        \
    X(JOB_EXTENDED, "lease extended")                                                              \
    X(JOB_LAPSED, "lease lapsed")                                                                  \
    X(JOB_DISCONNECTED, "lease ended with its connection")                                         \
    X(JOB_TIMEOUT, "item failed: it ran too long")                                                 \
    X(JOB_EXPIRED, "item expired")                                                                 \
    X(JOB_DEAD, "item dead after its last try")                                                    \
    X(JOB_CANCELLING, "worker told to stop")                                                       \
    X(JOB_LOST, "worker told that its lease is lost")                                              \
    X(JOB_DONE_AGAIN, "end of an item repeated, same answer")                                      \
    X(JOB_AWAITED, "end of an item awaited")                                                       \
    X(JOB_AWAITED_PURGED, "awaited item purged")                                                   \
    X(JOB_SURVIVED, "lease survived a restart")                                                    \
    X(JOB_WITH_CHANGE, "item done with a transaction")                                             \
    X(JOB_CHANGE_REFUSED, "item not done: its transaction was refused")                            \
    X(STATE_CHANGED, "transaction carried out")                                                    \
    X(STATE_MANY, "transaction of several changes")                                                \
    X(STATE_ELSE, "the other branch of a transaction")                                             \
    X(STATE_MISMATCH, "refused: a condition does not hold")                                        \
    X(STATE_STALE, "refused: a guard")                                                             \
    X(STATE_INVALID, "refused: no number, or one thing changed twice")                             \
    X(STATE_TOO_MANY, "refused: too many registers")                                               \
    X(STATE_BOUND, "register bound to a hold")                                                     \
    X(STATE_EXPIRED, "register expired")                                                           \
    X(STATE_ENDED, "register vanished with its hold")                                              \
    X(STATE_ENDED_MANY, "several registers vanished with one hold")                                \
    X(STATE_SURVIVED, "register survived a restart")                                               \
    X(STATE_BOUND_SURVIVED, "bound register survived a restart")                                   \
    X(STATE_TTL_SURVIVED, "register with a ttl survived a restart")                                \
    X(STATE_RANK_FULL, "rank with all members")                                                    \
    X(STATE_WOKEN, "wait for a register answered by its change")                                   \
    X(STATE_WAIT_OVER, "wait for a register over")                                                 \
    X(STATE_WAIT_FORGOTTEN, "wait for a register whose past is forgotten")                         \
    X(WATCH_RESUMED, "watch resumed behind what was seen")                                         \
    X(WATCH_NEWS_LOST, "events lost on the way to a watcher")                                      \
    X(WATCH_PREVIOUS, "event with the value before")                                               \
    X(WATCH_COMPACTED, "watcher told that events are forgotten")

enum probe {
#define X(name, text) PROBE_##name,
    PROBE_MAP(X)
#undef X
        PROBE_COUNT
};

extern const char *const probe_texts[PROBE_COUNT];

#endif
