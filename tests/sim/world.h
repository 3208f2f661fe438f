/* world - one simulated run: clients, a host with engine and journal, a disk, time and chance.
 *
 *   world.c    the run: steps, time, faults, and the quiet end in which all must come to rest
 *   host.c     the process: start, turns, commits, snapshots, outbox, crashes
 *   client.c   what clients ask, and what they believe to hold
 *   oracle.c   what must be true: the checkers
 *
 * Everything follows from the seed.  Step number i draws from a generator made of (seed, i), so
 * that a step can be left out without changing the others.
 *
 * The invariants carry the numbers of docs/testing.md: I1 … I14. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/engine.h"
#include "journal/journal.h"
#include "sim/disk.h"
#include "sim/rng.h"

#define WORLD_CLIENT_COUNT_MAX  12u
#define WORLD_NAME_COUNT_MAX    6u
#define WORLD_REQUEST_COUNT_MAX 160u
#define WORLD_CLAIM_COUNT_MAX   12u
#define WORLD_BELIEF_COUNT_MAX  256u
#define WORLD_GONE_COUNT_MAX    64u
#define WORLD_OUTBOX_COUNT_MAX  512u
#define WORLD_AGEING_MS         1000u
#define WORLD_NEVER             INT64_MAX

/* What must have happened at least once over the seeds of a run: proof that the faults bite. */
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
    X(WINDOW_WRAPPED, "window of events wrapped")

enum probe {
#define X(name, text) PROBE_##name,
    PROBE_MAP(X)
#undef X
        PROBE_COUNT
};

extern const char *const probe_texts[PROBE_COUNT];

/* Drawn first: each kind of trouble is in about half of the worlds, so that they differ. */
struct swarm {
    bool has_crashes, has_crashes_inside, has_io_errors, has_no_space, has_interrupts;
    bool has_media_faults, has_stalls, has_wall_jumps, has_disconnects, has_snapshots;
    bool has_breaks, has_shared, has_slots, has_many, has_delays, has_priorities, has_big_meta;
    bool has_copying_disk, has_lags;
    bool has_memory_faults, has_forever, has_small_limits, has_slow_commits, has_draining;
    uint32_t name_count, client_count;
    uint32_t ttl_ms_max;
};

struct result_copy {
    enum tenure_err err;
    uint32_t name; /* WORLD_NAME_COUNT_MAX = none */
    struct token token;
    uint32_t slot, slots, ttl_ms;
    enum engine_mode mode;
    int64_t remaining_ms, waited_ms;
    bool is_repeat;
    enum engine_end end;
    struct token successor;
};

struct reply_copy {
    enum tenure_err err;
    struct seq seq;
    uint32_t result_count;
    struct result_copy results[LIMIT_NAME_COUNT_MAX];
};

enum request_state {
    REQUEST_FREE,
    REQUEST_SENT,    /* on the way to the host */
    REQUEST_SERVED,  /* the engine has seen it */
    REQUEST_DECIDED, /* its reply is in the outbox */
    REQUEST_REPLIED, /* its reply is on the way to the client */
};

struct claim {
    uint32_t name;
    uint32_t owner;
    struct token token;
    uint32_t ttl_ms;
};

struct request {
    enum request_state state;
    enum engine_command_kind kind;
    uint32_t client;
    uint64_t connection;
    uint64_t tag;
    int64_t sent_ns, arrive_ns, reply_ns;
    bool is_waiting;
    uint32_t retry_count;
    uint32_t names[WORLD_NAME_COUNT_MAX];
    uint32_t name_count;
    uint32_t owner;
    uint32_t ttl_ms, wait_ms, slots, priority, lock_delay_ms, grace_ms, meta_size;
    enum engine_mode mode;
    struct claim claims[WORLD_CLAIM_COUNT_MAX];
    uint32_t claim_count;
    uint32_t to; /* transfer: owner */
    uint64_t cancel_tag;
    struct reply_copy reply;
};

/* What a client thinks it holds. */
struct belief {
    bool is_used;
    bool is_believed; /* not given up */
    bool is_forced;   /* an administrator broke it: overlap is allowed */
    bool is_renewing;
    uint32_t renewals_sent; /* and not answered */
    uint32_t client, name, owner;
    struct token token;
    enum engine_mode mode;
    uint32_t slot, slots, ttl_ms;
    int64_t valid_until_ns; /* true time; WORLD_NEVER for ttl 0 */
    int64_t renew_ns;
};

struct client {
    uint64_t connection;
    int64_t last_arrive_ns; /* requests of one connection arrive in order */
    uint32_t owner_count;
    int64_t rate_ppm; /* of its clock, minus a million */
};

/* One grant as the records tell it. */
struct grant {
    uint32_t name, owner;
    struct token token;
    enum engine_mode mode;
    uint32_t slot, slots, ttl_ms, lock_delay_ms;
    struct seq seq;
    struct seq ended_seq; /* 0 = lives */
    enum record_kind ended;
    bool is_durable;
    struct seq terms_seq; /* of the last record about its ttl or its end */
    bool is_breaking;
    bool is_given_up; /* its owner has asked to end it */
    uint32_t grace_ms;
    int64_t base_ns; /* receivable time from which its ttl counts */
    int64_t break_base_ns;
};

/* One request in the queues, as the engine has to see it. */
struct wait {
    uint64_t connection, tag;
    uint32_t owner;
    uint32_t names[WORLD_NAME_COUNT_MAX];
    uint32_t name_count;
    uint32_t granted_count; /* in this update */
    bool is_answered;       /* in this update */
    uint64_t number;        /* order of arrival */
    int64_t order_ns;       /* receivable time of arrival minus what the priority is worth */
    int64_t since_ns, arrived_ns;
    uint32_t wait_ms, priority, ttl_ms;
    enum engine_mode mode;
};

/* Where a batch ends, and what the state was there. */
struct cut {
    struct seq last;
    uint64_t hash;
};

struct oracle {
    struct buffer history; /* every record made, in order */
    size_t *offsets;       /* of record number seq - 1 */
    size_t offset_capacity;
    uint64_t last; /* seq of the last record in it */
    struct cut *cuts;
    uint32_t cut_count, cut_capacity;
    struct grant *grants;
    uint32_t grant_count, grant_capacity;
    uint32_t live_from; /* all grants before have ended */
    struct token token_high;
    struct seq acked;     /* something that depends on it has left the process */
    struct seq submitted; /* handed to the journal */
    struct seq durable;   /* the journal said so */
    bool is_marked;       /* and knows that it was acknowledged */
    bool has_delay[WORLD_NAME_COUNT_MAX];
    int64_t delay_until_ns[WORLD_NAME_COUNT_MAX]; /* receivable time */
    uint64_t name_last[WORLD_NAME_COUNT_MAX];     /* seq of the last record about it */
    struct wait waits[2 * WORLD_REQUEST_COUNT_MAX];
    uint32_t wait_count;
};

enum snapshot_state { SNAPSHOT_NONE, SNAPSHOT_WRITING, SNAPSHOT_WRITTEN };

struct outbox_entry {
    uint64_t connection, tag;
    struct seq seq;
    uint32_t request; /* WORLD_REQUEST_COUNT_MAX = its connection is gone */
};

struct host {
    bool is_up;
    struct engine *engine;
    struct journal *journal;
    struct journal_report report;
    struct buffer pending; /* records gathered */
    struct seq pending_first;
    uint32_t pending_count;
    struct buffer flight; /* records under way to the disk */
    struct seq flight_first;
    uint32_t flight_count;
    bool is_flying;
    int64_t flight_ends_ns;
    struct seq durable;
    struct outbox_entry outbox[WORLD_OUTBOX_COUNT_MAX];
    uint32_t outbox_count;
    enum engine_gate gate;
    enum snapshot_state snapshot;
    struct seq snapshot_seq;
    struct buffer chunk;
    int64_t restart_ns;
    uint32_t start_attempts;
    uint32_t nested_crashes;
    bool is_draining;
    bool is_snapshot_seen; /* in recovery: its end has not been told to the engine yet */
    uint64_t segment_size;
    uint32_t waiter_count_max;
};

struct world_options {
    uint64_t seed;
    uint32_t step_count;
    const bool *skips; /* steps to leave out, or NULL */
    FILE *out;         /* the timeline, or NULL */
};

struct world {
    struct world_options options;
    struct rng rng; /* of this step */
    struct swarm swarm;
    struct disk disk;
    struct env env;
    struct memory memory;
    uint64_t memory_used, memory_calls, memory_fail_at;
    struct host host;
    struct oracle oracle;
    struct client clients[WORLD_CLIENT_COUNT_MAX];
    struct request requests[WORLD_REQUEST_COUNT_MAX];
    struct belief beliefs[WORLD_BELIEF_COUNT_MAX];
    struct {
        uint64_t connection;
        int64_t arrive_ns;
    } gone[WORLD_GONE_COUNT_MAX];
    uint32_t gone_count;
    int64_t now_ns;        /* true time */
    int64_t boot_ns;       /* what CLOCK_BOOTTIME was then */
    int64_t wall_us;       /* what the wall clock adds */
    int64_t receivable_ns; /* how long the host could receive */
    int64_t stall_ns;      /* not yet told to the engine */
    uint64_t next_connection, next_tag, next_wait;
    uint32_t step;
    uint32_t check_every;
    uint32_t event_count;
    bool is_calm; /* the end: no faults, everybody gives back */
    uint64_t media_faults;
    uint64_t hash; /* of everything that happened */
    uint64_t command_count, crash_count;
    uint64_t probes[PROBE_COUNT];
    bool is_running;
    bool is_refused; /* the journal found damage that was there: the run ends well */
    jmp_buf on_failure;
    char failure[512];
};

struct world_result {
    bool is_failed;
    char what[512];
    uint64_t hash;
};

/* Run one seed.  `world` was zeroed before its first run and keeps its memory for the next. */
void world_run(
    struct world *world, const struct world_options *options, struct world_result *out_result);
void world_deinit(struct world *world);

/* --- between the parts of a world --- */

/* Something that must be true is not: ends the run. */
__attribute__((noreturn, format(printf, 2, 3))) void
world_fail(struct world *world, const char *format, ...);
/* A line of the timeline; costs nothing when nobody looks. */
__attribute__((format(printf, 2, 3))) void world_say(struct world *world, const char *format, ...);
/* Mix a value into the hash of the run. */
void world_mix(struct world *world, uint64_t value);
struct wall world_wall(const struct world *world);
struct mono world_mono(const struct world *world);

static inline void world_probe(struct world *world, enum probe probe)
{
    world->probes[probe]++;
}

/* Names and owners are numbers here and texts there. */
struct bytes world_name(uint32_t name);
uint32_t world_name_number(struct world *world, struct bytes name);
struct bytes world_owner(uint32_t owner, char out_text[static 16]);
uint32_t world_owner_number(struct world *world, struct bytes owner);

void host_init(struct world *world);
void host_deinit(struct world *world);
/* Everything the host does at one moment. */
void host_turn(struct world *world);
/* The process dies, and perhaps the power goes. */
void host_crash(struct world *world, bool is_power_lost);
/* When it wants to be woken. */
int64_t host_next_ns(const struct world *world);
void host_snapshot(struct world *world);
/* Stop in good order, and start again. */
void host_drain(struct world *world);
/* Somebody starts a second server on the same directory. */
void host_second(struct world *world);
/* Hand one event to the engine and check what comes of it. */
void host_step(struct world *world, const struct engine_event *event, struct request *request);
/* engine_hash, spared from failing allocations. */
uint64_t host_hash(struct world *world);
struct engine_event host_event(const struct world *world, enum engine_event_kind kind);

void client_init(struct world *world);
/* Draw one thing that some client does now. */
void client_act(struct world *world);
/* Replies that have arrived, renewals that are due. */
void client_turn(struct world *world);
int64_t client_next_ns(const struct world *world);
void client_disconnect(struct world *world, uint32_t client, bool is_host_told);
/* In the calm: give back what is held. */
void client_give_back(struct world *world);
struct request *client_request_by_tag(struct world *world, uint64_t tag);

void oracle_init(struct world *world);
void oracle_deinit(struct world *world);
/* After each step of the engine.  `request` is the command's, or NULL. */
void oracle_update(
    struct world *world,
    const struct engine_event *event,
    struct request *request,
    const struct engine_update *update,
    uint64_t hash_before);
/* A batch was cut: remember the state. */
void oracle_cut(struct world *world);
/* Timers have run: nothing that is due may be left. */
void oracle_after_timers(struct world *world);
void oracle_durable(struct world *world, struct seq durable);
/* A reply has left the process. */
void oracle_released(struct world *world, struct seq seq);
/* The process is gone: nobody waits any more. */
void oracle_crashed(struct world *world);
/* Recovery is over: compare with what was promised. */
void oracle_recovered(struct world *world);
void oracle_check_window(struct world *world);
void oracle_check_replay(struct world *world);
/* The grant that `owner` has of `name` now; NULL when none. */
struct grant *oracle_grant(struct world *world, uint32_t name, uint32_t owner);
struct grant *oracle_grant_by_token(struct world *world, uint32_t name, struct token token);
/* Batches handed over in recovery, compared with what was written. */
enum tenure_err oracle_batch(struct world *world, struct seq first, struct bytes records);

#endif
