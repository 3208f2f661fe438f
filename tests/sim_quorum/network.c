/* The network: each message takes its time; a connection keeps the order unless the world has
 * disorder; loss, doubles and partitions. */
#include "sim_quorum/parts.h"

static uint32_t take_slot(struct world *world, const struct message *message)
{
    if (world->message_free_count == 0) world_fail(world, "too many messages");
    uint32_t slot = world->message_free[--world->message_free_count];
    world->messages[slot] = *message;
    return slot;
}

static int64_t delay_ns(struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    int64_t delay = rng_between(&world->rng, swarm->delay_ns_min, swarm->delay_ns_max);
    bool is_troubled = !world->is_calm;
    if (is_troubled && rng_chance(&world->rng, swarm->late_ppm)) {
        delay += rng_scale(&world->rng, 1, 4000) * NS_PER_MS;
        if (delay > (int64_t)swarm->ttl_ms_max * NS_PER_MS) world_probe(world, PROBE_LATE_MESSAGE);
    }
    return delay;
}

static bool is_cut(struct world *world, uint32_t client, uint32_t node)
{
    if (client == FOREIGN) return false;
    return world->now_ns < world->clients[client].links[node].cut_until_ns;
}

static void
post(struct world *world, const struct message *message, enum event_kind kind, uint32_t target)
{
    if (is_cut(world, message->client, message->node)) return;
    bool is_troubled = !world->is_calm;
    if (is_troubled && rng_chance(&world->rng, world->swarm.loss_ppm)) {
        world_probe(world, PROBE_LOST_MESSAGE);
        return;
    }
    int64_t at_ns = world->now_ns + delay_ns(world);
    if (message->client != FOREIGN && !world->swarm.has_disorder) {
        struct link *link = &world->clients[message->client].links[message->node];
        int64_t *last_ns = kind == EVENT_TO_NODE ? &link->last_to_ns : &link->last_from_ns;
        if (at_ns <= *last_ns) at_ns = *last_ns + 1;
        *last_ns = at_ns;
    }
    world_push(world, at_ns, kind, target, take_slot(world, message));
    if (is_troubled && rng_chance(&world->rng, world->swarm.double_ppm)) {
        world_probe(world, PROBE_DOUBLED_MESSAGE);
        at_ns += delay_ns(world) + rng_scale(&world->rng, 1, 2000) * NS_PER_MS;
        world_push(world, at_ns, kind, target, take_slot(world, message));
    }
}

void network_request(struct world *world, const struct message *message)
{
    post(world, message, EVENT_TO_NODE, message->node);
}

void network_answer(struct world *world, const struct message *message)
{
    post(world, message, EVENT_TO_CLIENT, message->client);
}

/* The client's own machine tells it: never lost. */
void network_failure(struct world *world, const struct message *message, int64_t delay)
{
    struct message failure = *message;
    failure.is_failure = true;
    world_push(
        world, world->now_ns + delay, EVENT_TO_CLIENT, message->client, take_slot(world, &failure));
}

/* The connection ends.  Requests under way arrive all the same, perhaps; answers do not. */
void network_reset(struct world *world, struct client *client, uint32_t node)
{
    if (!client->links[node].is_up) return;
    world_probe(world, PROBE_RESET);
    world_say(world, "c%u: connection to n%u reset", client->index, node);
    client_link_down(world, client, node);
}
