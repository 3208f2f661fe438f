/* host - the process: start, turns, commits, snapshots, outbox, crashes. */
#ifndef TESTS_SIM_HOST_H
#define TESTS_SIM_HOST_H

#include "base/buffer.h"
#include "engine/engine.h"
#include "journal/journal.h"
#include "sim/client.h"
#include "sim/probes.h"

#define WORLD_OUTBOX_COUNT_MAX 512u

struct world;

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
    uint32_t damage_count; /* since the last good start */
    bool is_draining;
    bool is_full;          /* the last commit found no space */
    bool is_snapshot_seen; /* in recovery: its end has not been told to the engine
                              yet */
    uint64_t segment_size;
    uint32_t waiter_count_max;
};

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

/* --- between host.c and start.c --- */

/* True when the host has just died inside a call of the journal. */
bool host_has_died(struct world *world, enum probe where);
/* Recover, and be ready; or not. */
void host_start(struct world *world);
/* Drained: stop once all is answered and durable. */
void host_leave(struct world *world);
/* Everything that was in the memory of the process. */
void host_forget(struct world *world);

#endif
