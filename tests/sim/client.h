/* client - what clients ask, what they are told, and what they believe to hold.
 */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "engine/engine.h"
#include "sim/job.h"
#include "sim/state.h"

#define WORLD_CLIENT_COUNT_MAX  12u
#define WORLD_NAME_COUNT_MAX    6u
#define WORLD_REQUEST_COUNT_MAX 160u
#define WORLD_CLAIM_COUNT_MAX   12u
#define WORLD_BELIEF_COUNT_MAX  256u
#define REQUEST_ITEM_COUNT_MAX  4u

struct world;

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
    uint32_t item_count;
    struct job_reply items[REQUEST_ITEM_COUNT_MAX];
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
    struct job_ask ask;      /* of queues */
    struct state_ask change; /* of shared state */
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

void client_init(struct world *world);
/* Draw one thing that some client does now. */
void client_act(struct world *world);
/* Replies that have arrived, renewals that are due. */
void client_turn(struct world *world);
int64_t client_next_ns(const struct world *world);
void client_disconnect(struct world *world, uint32_t client, bool is_host_told);
/* In the calm: give back what is held. */
void client_give_back(struct world *world);
/* NULL when there are too many. */
struct request *
client_request_new(struct world *world, enum engine_command_kind kind, uint32_t client);
/* Put it on the wire. */
void client_submit(struct world *world, struct request *request);
/* Until when a careful client may believe, in true time: counted from before it asked, by its own
 * clock, with a margin. */
int64_t client_careful_until(
    const struct world *world, uint32_t client, int64_t from_ns, int64_t length_ms);
/* A hold that this client believes to have, or has had; false when there is none. */
bool client_some_claim(
    struct world *world, uint32_t client, bool is_current, struct claim *out_claim);
struct request *client_request_by_tag(struct world *world, uint64_t tag);

#endif
