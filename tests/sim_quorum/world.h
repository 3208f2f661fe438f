/* world - one simulated run: clients with the step machines of src/quorum, nodes that run the real
 * scripts, a network between them, clocks, and everything that can go wrong with each.
 *
 *   world.c     the run: time, events, the faults, the calm end
 *   network.c   messages: late, lost, doubled, out of order, behind a partition
 *   node.c      the servers: their clocks, restarts, what they forget; checks around each script
 *   client.c    what clients do, and what they believe
 *   foreign.c   a plain Redlock client beside them
 *   oracle.c    what must be true
 *   model.c     Redis
 *
 * Everything follows from the seed. */
#ifndef TESTS_SIM_QUORUM_WORLD_H
#define TESTS_SIM_QUORUM_WORLD_H

#include <setjmp.h>
#include <stdio.h>

#include "quorum/acquire.h"
#include "quorum/admission.h"
#include "quorum/release.h"
#include "quorum/renewal.h"
#include "sim/rng.h"
#include "sim_quorum/model.h"
#include "sim_quorum/probes.h"

#define NODE_MAX        QUORUM_NODE_COUNT_MAX
#define CLIENT_MAX      50u
#define NAME_MAX_COUNT  3u
#define OP_MAX          20u
#define FLIGHT_MAX      128u
#define MESSAGE_MAX     8192u
#define EVENT_MAX       32768u
#define GRANT_MAX       16384u
#define OWNER_SIZE      24u
#define TTL_MS_MAX      1500u
#define CLOCK_ERROR_PPM 10000u
#define WALL_START_US   INT64_C(1700000000000000)
#define FOREIGN         CLIENT_MAX /* the number of the foreign client */

/* Drawn first: each kind of trouble is in some of the worlds. */
struct swarm {
    bool has_loss, has_doubles, has_disorder, has_resets, has_partitions, has_freezes;
    bool has_kept, has_back, has_empty, has_flush, has_promotion, has_majority_loss;
    bool has_jumps, has_pauses, has_frozen_clocks, has_crashes, has_offsets, has_wall_jumps;
    bool has_foreign, has_same_owner, has_late, has_sweeps, has_durable;
    bool has_stray; /* the first client knows only three of the nodes … */
    bool has_race;  /* … and may be the first who is there */
    bool is_crowd;    /* no faults, many contenders: how fast do they agree? */
    bool is_tight;    /* clocks worse than the assumption */
    bool is_restless; /* short holds, much contention */
    uint32_t node_count, client_count, name_count;
    uint32_t loss_ppm, double_ppm, late_ppm;
    int64_t delay_ns_min, delay_ns_max;
    uint32_t ttl_ms_min, ttl_ms_max;
    uint32_t hold_ms_max, think_ms_max;
    uint32_t fault_gap_ms;
    int64_t faults_end_ns, end_ns;
};

/* ------------------------------------------------------------------ the network */

enum message_kind { MESSAGE_CALL, MESSAGE_FOREIGN_SET, MESSAGE_FOREIGN_DELETE };

/* A request on its way, or its answer on the way back. */
struct message {
    enum message_kind kind;
    uint32_t client;
    uint32_t incarnation; /* of the client */
    uint32_t node;
    uint32_t run; /* of the node when it was sent */
    uint32_t link;
    uint32_t name;
    uint32_t op_id; /* 0: of the admission */
    struct quorum_call call;
    char owner[OWNER_SIZE];
    char pass[32];
    char run_id[16];
    const char *config;
    bool is_answer, is_failure, is_wake;
    struct quorum_answer answer;
    char answer_texts[4][96];
    uint64_t fence; /* of a wake-up */
    int64_t sent_ns;
};

enum event_kind { EVENT_TO_NODE, EVENT_TO_CLIENT, EVENT_TIMER, EVENT_FAULT, EVENT_SAVE };

struct event {
    int64_t at_ns;
    uint64_t order;
    enum event_kind kind;
    uint32_t target;  /* node or client */
    uint32_t message; /* its slot; or the generation of a timer */
};

/* ------------------------------------------------------------------ nodes */

struct node {
    struct model model;
    struct model saved;
    uint32_t run;
    int64_t rate_ppm;
    int64_t offset_us;
    int64_t started_ns;
    int64_t frozen_until_ns;
    int64_t down_until_ns;
    bool is_durable;
    bool is_promoted;
    bool has_forgotten; /* and has not been let in since */
};

/* ------------------------------------------------------------------ clients */

enum op_kind { OP_NONE, OP_ACQUIRE, OP_RENEWAL, OP_RELEASE };

struct op {
    enum op_kind kind;
    uint32_t id;
    uint32_t name;
    char owner[OWNER_SIZE];
    struct mono deadline;
    struct mono began_at;
    bool was_stale, was_woken, was_split;
    union {
        struct quorum_acquire acquire;
        struct quorum_renewal renewal;
        struct quorum_release release;
    } as;
};

struct flight {
    bool is_open;
    uint32_t op_id, node, serial;
    struct mono sent_at;
};

enum session_state { SESSION_IDLE, SESSION_ACQUIRING, SESSION_HOLDING, SESSION_RELEASING };

struct session {
    enum session_state state;
    uint32_t name;
    char owner[OWNER_SIZE];
    uint32_t op_id;
    uint32_t renewal_id;
    uint32_t ttl_ms;
    uint64_t token;
    uint64_t token_before; /* the highest granted when it was asked for */
    uint32_t grant_count_at_grant;
    struct mono start_at, valid_until, renew_at, release_at;
    int64_t invoked_ns;
    int64_t settled_ns; /* when its place in the line was fixed; 0: not */
    uint64_t read_version;
    bool is_renewing, is_forever, has_read;
    bool was_taken; /* when its release began */
};

struct link {
    bool is_up;
    uint32_t number; /* goes up with each connection */
    uint32_t run;    /* of the node it leads to */
    int64_t retry_ns;
    int64_t last_to_ns, last_from_ns; /* for the order of a connection */
    int64_t cut_until_ns;
};

struct client {
    uint32_t index;
    uint32_t incarnation;
    uint32_t node_count; /* as it knows them */
    const char *config;
    bool is_down;
    int64_t down_until_ns, paused_until_ns;
    int64_t rate_ppm, offset_ns, frozen_ns, wall_offset_us;
    struct link links[NODE_MAX];
    struct quorum_admission admission;
    struct mono admission_deadline;
    struct pace paces[NODE_MAX];
    uint64_t token_known;
    struct op ops[OP_MAX];
    uint32_t next_op_id;
    struct flight flights[FLIGHT_MAX];
    uint32_t flight_next;
    struct mono flights_at;
    struct session session;
    uint32_t timer;
    uint32_t grants_in_calm;
    uint32_t owner_count;
};

/* Redlock as its page describes it. */
struct foreign {
    bool is_asking, is_holding;
    uint32_t name;
    uint32_t round;
    char value[OWNER_SIZE];
    int64_t asked_ns, valid_until_ns, next_ns;
    uint32_t yes;
    uint32_t answers; /* bit n: node n */
};

/* ------------------------------------------------------------------ what is true */

struct name {
    uint64_t token_acked; /* the highest granted */
    uint64_t tokens[GRANT_MAX];
    uint32_t grant_count;
    /* A resource that remembers the highest token that it has seen. */
    uint64_t resource_token;
    uint64_t resource_version;
};

#define ROUNDS_MAX 32u

struct world_options {
    uint64_t seed;
    bool is_tight;
    uint32_t crowd; /* contenders; 0: as the seed says */
    FILE *out;      /* the timeline, or NULL */
};

struct world {
    struct world_options options;
    struct rng rng;
    struct swarm swarm;
    struct model_lua *lua;
    int64_t now_ns;
    uint64_t order;
    struct event events[EVENT_MAX];
    uint32_t event_count;
    struct message messages[MESSAGE_MAX];
    uint32_t message_free[MESSAGE_MAX];
    uint32_t message_free_count;
    struct node nodes[NODE_MAX];
    struct client clients[CLIENT_MAX];
    struct foreign foreign;
    struct name names[NAME_MAX_COUNT];
    bool is_calm, is_stopping;
    bool is_p2_checked; /* the assumptions of P2 are kept in this world */
    uint64_t overlaps;
    uint64_t script_count;
    uint64_t grant_count;
    uint64_t rounds[ROUNDS_MAX]; /* of grants, by how many rounds they took */
    uint64_t probes[PROBE_COUNT];
    uint64_t hash;
    jmp_buf on_failure;
    char failure[400];
};

struct world_result {
    bool is_failed;
    char what[400];
    uint64_t hash;
};

/* `world` was zeroed before its first run, and is used again for the next. */
void world_run(
    struct world *world, const struct world_options *options, struct world_result *out_result);
void world_deinit(struct world *world);

/* --- between the parts --- */

__attribute__((noreturn, format(printf, 2, 3))) void
world_fail(struct world *world, const char *format, ...);
__attribute__((format(printf, 2, 3))) void world_say(struct world *world, const char *format, ...);
void world_mix(struct world *world, uint64_t value);
void world_push(
    struct world *world, int64_t at_ns, enum event_kind kind, uint32_t target, uint32_t message);

static inline void world_probe(struct world *world, enum probe probe)
{
    world->probes[probe]++;
}

static inline uint32_t world_majority(const struct world *world)
{
    return quorum_majority(world->swarm.node_count);
}

/* network.c */
void network_request(struct world *world, const struct message *message);
void network_answer(struct world *world, const struct message *message);
void network_failure(struct world *world, const struct message *message, int64_t delay_ns);
void network_reset(struct world *world, struct client *client, uint32_t node);

/* node.c */
int64_t node_now_us(const struct world *world, const struct node *node);
void node_run_id(const struct world *world, uint32_t node, char out_text[static 16]);
uint64_t node_uptime_ms(const struct world *world, const struct node *node);
void node_serve(struct world *world, uint32_t node, uint32_t slot);
void node_restart(struct world *world, uint32_t node, unsigned how);
void node_jump(struct world *world, uint32_t node);
void node_flush(struct world *world, uint32_t node);
enum { RESTART_KEPT, RESTART_BACK, RESTART_EMPTY, RESTART_PROMOTED };
/* Does the node hold this, live, and for how long yet? -1: no. */
int64_t node_holds_ms(
    const struct world *world, uint32_t node, uint32_t name, const char *owner, uint64_t token);

/* client.c */
void client_start(struct world *world, struct client *client);
void client_crash(struct world *world, struct client *client);
void client_receive(struct world *world, struct client *client, uint32_t slot);
void client_run(struct world *world, struct client *client);
struct mono client_now(const struct world *world, const struct client *client);
bool client_believes(const struct world *world, const struct client *client);
void client_link_down(struct world *world, struct client *client, uint32_t node);
bool client_is_quiet(const struct client *client);
static inline bool client_is_stray(const struct world *world, const struct client *client)
{
    return client->node_count != world->swarm.node_count;
}

/* foreign.c */
void foreign_run(struct world *world);
void foreign_receive(struct world *world, uint32_t slot);
bool foreign_believes(const struct world *world);

/* oracle.c */
void oracle_granted(
    struct world *world,
    struct client *client,
    const struct op *op,
    const struct quorum_result *result);
void oracle_renewed(struct world *world, struct client *client, const struct quorum_result *result);
void oracle_lost(struct world *world, struct client *client, const struct quorum_result *result);
void oracle_released(
    struct world *world, struct client *client, const struct quorum_result *result);
void oracle_gone(
    struct world *world,
    const char *owner,
    uint32_t name,
    const struct quorum_release *release,
    struct mono now);
void oracle_foreign(struct world *world);
/* Did somebody else get in since? */
bool oracle_is_taken(const struct world *world, const struct session *session);
void oracle_read(struct world *world, struct client *client);
void oracle_write(struct world *world, struct client *client);

extern const char *const world_names[NAME_MAX_COUNT];

#endif
