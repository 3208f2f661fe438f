/* swarm - what a world is like: its size and its troubles. */
#ifndef TESTS_SIM_QUORUM_SWARM_H
#define TESTS_SIM_QUORUM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

/* Drawn first: each kind of trouble is in some of the worlds. */
struct swarm {
    bool has_loss, has_doubles, has_disorder, has_resets, has_partitions, has_freezes;
    bool has_kept, has_back, has_empty, has_flush, has_promotion, has_majority_loss;
    bool has_jumps, has_pauses, has_frozen_clocks, has_crashes, has_offsets, has_wall_jumps;
    bool has_foreign, has_same_owner, has_late, has_sweeps, has_durable;
    bool has_stray;   /* the first client knows only three of the nodes … */
    bool has_race;    /* … and may be the first who is there */
    bool is_crowd;    /* no faults, many contenders: how fast do they agree? */
    bool is_trying;   /* … who do not wait, but come at once */
    bool is_tight;    /* clocks worse than the assumption */
    bool is_restless; /* short holds, much contention */
    bool is_clinging; /* many never release */
    uint32_t node_count, client_count, name_count;
    uint32_t loss_ppm, double_ppm, late_ppm;
    int64_t delay_ns_min, delay_ns_max;
    uint32_t ttl_ms_min, ttl_ms_max;
    uint32_t hold_ms_max, think_ms_max;
    uint32_t fault_gap_ms;
    int64_t faults_end_ns, end_ns;
};

#endif
