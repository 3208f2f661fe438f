/* A plain Redlock client, as the page of Redis describes it: SET NX PX on all nodes, a majority in
 * time, compare-and-delete.  It knows nothing of fences, lines and passes. */
#include <stdio.h>
#include <string.h>

#include "sim_quorum/parts.h"

#define FOREIGN_TTL_MS  600u
#define FOREIGN_WAIT_NS (60 * NS_PER_MS)

static void send_all(struct world *world, enum message_kind kind)
{
    struct foreign *foreign = &world->foreign;
    for (uint32_t node = 0; node < world->swarm.node_count; node++) {
        struct message message = { .kind = kind,
                                   .client = FOREIGN,
                                   .node = node,
                                   .run = world->nodes[node].run,
                                   .name = foreign->name,
                                   .call = { .serial = foreign->round, .ttl_ms = FOREIGN_TTL_MS } };
        memcpy(message.owner, foreign->value, sizeof message.owner);
        network_request(world, &message);
    }
}

bool foreign_believes(const struct world *world)
{
    return world->foreign.is_holding && world->now_ns < world->foreign.valid_until_ns;
}

static void give_back(struct world *world)
{
    world->foreign.is_holding = false;
    world->foreign.is_asking = false;
    send_all(world, MESSAGE_FOREIGN_DELETE);
    world->foreign.next_ns = world->now_ns + rng_between(&world->rng, 5, 120) * NS_PER_MS;
}

static void ask(struct world *world)
{
    struct foreign *foreign = &world->foreign;
    foreign->round++;
    foreign->is_asking = true;
    foreign->yes = 0;
    foreign->answers = 0;
    foreign->asked_ns = world->now_ns;
    foreign->name = rng_below(&world->rng, world->swarm.name_count);
    memset(foreign->value, 0, sizeof foreign->value);
    (void)snprintf(foreign->value, sizeof foreign->value, "f%u", foreign->round);
    send_all(world, MESSAGE_FOREIGN_SET);
    foreign->next_ns = world->now_ns + FOREIGN_WAIT_NS;
}

void foreign_run(struct world *world)
{
    struct foreign *foreign = &world->foreign;
    if (!world->swarm.has_foreign) return;
    if (world->now_ns >= foreign->next_ns) {
        if (foreign->is_asking || foreign->is_holding) {
            give_back(world);
        } else if (!world->is_calm) {
            ask(world);
        } else {
            return;
        }
    }
    world_push(world, foreign->next_ns + 1000, EVENT_TIMER, FOREIGN, 0);
}

void foreign_receive(struct world *world, uint32_t slot)
{
    struct message message = world->messages[slot];
    world->message_free[world->message_free_count++] = slot;
    struct foreign *foreign = &world->foreign;
    bool is_it = message.kind == MESSAGE_FOREIGN_SET && foreign->is_asking &&
                 message.call.serial == foreign->round;
    if (!is_it) return;
    uint32_t bit = 1u << message.node;
    if ((foreign->answers & bit) != 0) return;
    foreign->answers |= bit;
    foreign->yes += message.fence == 1;
    if (foreign->yes < world_majority(world)) return;
    int64_t life_ns = (int64_t)FOREIGN_TTL_MS * NS_PER_MS;
    foreign->is_asking = false;
    foreign->valid_until_ns = foreign->asked_ns + life_ns - life_ns / 100 - 2 * NS_PER_MS;
    if (world->now_ns >= foreign->valid_until_ns) {
        foreign->is_asking = true;
        return;
    }
    foreign->is_holding = true;
    world_probe(world, PROBE_FOREIGN_GRANTED);
    world_say(world, "foreign: granted %s", world_names[foreign->name]);
    oracle_foreign(world);
    foreign->next_ns = world->now_ns + rng_between(&world->rng, 1, 500) * NS_PER_MS;
    world_push(world, foreign->next_ns, EVENT_TIMER, FOREIGN, 0);
}
