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
#include "sim_quorum/swarm.h"

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
    bool has_forgotten;               /* and has not been let in since */
    bool is_flushed;                  /* the same, and has not restarted either */
    int64_t yes_ns;                   /* when it last said yes to anybody */
    uint64_t counted[NAME_MAX_COUNT]; /* the highest token granted with a vote of this node */
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
    bool was_taken; /* a renewal: somebody else had got in when it began */
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
    bool is_trying; /* they do not wait */
    FILE *out;      /* the timeline, or NULL */
};

struct world {
    struct world_options options;
    struct rng rng;
    struct swarm swarm;
    uint32_t trial, trial_grants; /* of a crowd that tries: its number, and how many got it */
    struct model_lua *lua;
    int64_t now_ns;
    uint64_t order;
    struct event events[EVENT_MAX];
    uint32_t event_count;
    struct message messages[MESSAGE_MAX];
    uint32_t message_free[MESSAGE_MAX];
    uint32_t message_free_count;
    struct node nodes[NODE_MAX];
    struct model spare; /* to try something out */
    uint32_t let_in;    /* bit n: that node was, at some time */
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

#endif
