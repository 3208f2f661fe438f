/* parts - what the parts of a world know of each other (world.h). */
#ifndef TESTS_SIM_QUORUM_PARTS_H
#define TESTS_SIM_QUORUM_PARTS_H

#include "sim_quorum/world.h"

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
void oracle_lost(
    struct world *world,
    struct client *client,
    const struct op *op,
    const struct quorum_result *result);
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
