/* world - one simulated run: clients, a host with engine and journal, a disk,
 * time and chance.
 *
 *   world.c    the run: steps, time, faults, and the quiet end in which all
 * must come to rest host.c     the process: start, turns, commits, snapshots,
 * outbox, crashes client.c   what clients ask, and what they believe to hold
 *   job_*.c    queues: what is asked of them, and what must be true
 *   state_*.c  shared state likewise
 *   oracle.c   what must be true: the checkers; ledger.c and answers.c belong
 * to it
 *
 * Everything follows from the seed.  Step number i draws from a generator made
 * of (seed, i), so that a step can be left out without changing the others.
 *
 * The invariants carry the numbers of docs/testing.md: I1 … I14. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/engine.h"
#include "sim/client.h"
#include "sim/disk.h"
#include "sim/host.h"
#include "sim/job.h"
#include "sim/oracle.h"
#include "sim/probes.h"
#include "sim/rng.h"
#include "sim/state.h"

#define WORLD_GONE_COUNT_MAX 64u
#define WORLD_AGEING_MS      1000u
#define WORLD_NEVER          INT64_MAX

/* Drawn first: each kind of trouble is in about half of the worlds, so that
 * they differ. */
struct swarm {
    bool has_crashes, has_crashes_inside, has_io_errors, has_no_space, has_interrupts;
    bool has_media_faults, has_stalls, has_wall_jumps, has_disconnects, has_snapshots;
    bool has_breaks, has_shared, has_slots, has_many, has_delays, has_priorities, has_big_meta;
    bool has_copying_disk, has_lags;
    bool has_memory_faults, has_forever, has_small_limits, has_slow_commits, has_draining;
    bool has_jobs;
    bool has_state, has_big_values;
    uint32_t state_percent;  /* of what clients do that is not about queues */
    uint32_t change_percent; /* of items: done with a transaction */
    uint32_t job_percent;    /* of what clients do */
    uint32_t key_percent;    /* of items: they have a unique key */
    uint32_t admin_percent;  /* of what is asked of queues */
    uint32_t look_count_max; /* of the engine, in one step; 0: the default */
    uint32_t name_count, client_count;
    uint32_t ttl_ms_max;
};

struct world_options {
    uint64_t seed;
    uint32_t step_count;
    const bool *skips;   /* steps to leave out, or NULL */
    uint64_t crash_call; /* no other fault than the death in this call to the disk; 0: as drawn */
    FILE *out;           /* the timeline, or NULL */
};

struct world {
    struct world_options options;
    struct rng rng; /* of this step */
    struct swarm swarm;
    struct disk disk;
    struct env env;
    struct memory memory;         /* of the engine */
    struct memory journal_memory; /* of the journal */
    uint64_t memory_used, memory_calls, memory_fail_at;
    struct host host;
    struct oracle oracle;
    struct jobs jobs;
    struct states states;
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
    bool is_snapshot_hit; /* the last of them was in a snapshot */
    uint64_t hash;        /* of everything that happened */
    uint64_t command_count, crash_count;
    uint64_t probes[PROBE_COUNT];
    bool is_running;
    bool is_refused; /* the journal found damage that was there: the run ends well
                      */
    jmp_buf on_failure;
    char failure[512];
};

struct world_result {
    bool is_failed;
    char what[512];
    uint64_t hash;
};

/* Run one seed.  `world` was zeroed before its first run and keeps its memory
 * for the next. */
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
bool world_is_name(struct bytes name);
uint32_t world_name_number(struct world *world, struct bytes name);
struct bytes world_owner(uint32_t owner, char out_text[static 16]);
uint32_t world_owner_number(struct world *world, struct bytes owner);

#endif
