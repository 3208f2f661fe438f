/* What must be true.  The numbers are those of docs/testing.md. */
#include <inttypes.h>
#include <string.h>

#include "sim_quorum/parts.h"

/* Worlds in which no node forgets and no key ends early. */
static bool has_memory(const struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    return !swarm->has_back && !swarm->has_empty && !swarm->has_flush && !swarm->has_promotion &&
           !swarm->has_jumps && !swarm->has_frozen_clocks && !swarm->is_tight;
}

static uint32_t backing(const struct world *world, const struct session *session)
{
    uint32_t count = 0;
    for (uint32_t node = 0; node < world->swarm.node_count; node++) {
        count += node_holds_ms(world, node, session->name, session->owner, session->token) >= 0;
    }
    return count;
}

/* What P2 stands on: while it believes, a majority keeps its key.  Both in true time. */
static bool is_covered(const struct world *world, const struct client *client, struct mono until)
{
    const struct session *session = &client->session;
    int64_t left_ns = until.ns - client_now(world, client).ns;
    left_ns -= left_ns / 1000000 * client->rate_ppm;
    uint32_t count = 0;
    for (uint32_t index = 0; index < world->swarm.node_count; index++) {
        int64_t ms = node_holds_ms(world, index, session->name, session->owner, session->token);
        if (ms < 0) continue;
        int64_t kept_ns = (ms + 1) * NS_PER_MS;
        kept_ns -= kept_ns / 1000000 * world->nodes[index].rate_ppm;
        count += kept_ns + NS_PER_MS / 10 >= left_ns;
    }
    return count >= quorum_majority(client->node_count);
}

/* I3: nobody else may believe. */
static void check_alone(struct world *world, uint32_t name, const struct client *client)
{
    for (uint32_t index = 0; index < world->swarm.client_count; index++) {
        const struct client *other = &world->clients[index];
        if (other == client || other->session.name != name || !client_believes(world, other)) {
            continue;
        }
        world->overlaps++;
        if (world->is_p2_checked) {
            world_fail(
                world,
                "I3: c%u and %s both believe to hold %s",
                other->index,
                client == NULL ? "the foreign client" : client->session.owner,
                world_names[name]);
        }
        world_probe(world, PROBE_OVERLAP_EXCUSED);
    }
    bool is_foreign = client != NULL && world->foreign.name == name && foreign_believes(world);
    if (!is_foreign) return;
    world->overlaps++;
    if (world->is_p2_checked) {
        world_fail(world, "I3: %s and the foreign client overlap", client->session.owner);
    }
}

void oracle_foreign(struct world *world)
{
    check_alone(world, world->foreign.name, NULL);
}

/* I8: in gentle worlds nobody passes who had its place before the other came. */
static void check_line(struct world *world, const struct client *client)
{
    const struct swarm *swarm = &world->swarm;
    bool is_gentle = !swarm->has_loss && !swarm->has_resets && !swarm->has_partitions &&
                     !swarm->has_freezes && !swarm->has_kept && !swarm->has_pauses &&
                     !swarm->has_frozen_clocks && !swarm->has_crashes && !swarm->has_late &&
                     !swarm->has_doubles && !swarm->has_same_owner && has_memory(world);
    if (!is_gentle) return;
    for (uint32_t index = 0; index < swarm->client_count; index++) {
        const struct session *waiting = &world->clients[index].session;
        bool is_ahead = waiting->state == SESSION_ACQUIRING &&
                        waiting->name == client->session.name && waiting->settled_ns != 0 &&
                        waiting->settled_ns + 4 * swarm->delay_ns_max <
                            client->session.invoked_ns; /* it has reached the nodes */
        if (is_ahead) {
            world_fail(world, "I8: %s passes %s", client->session.owner, waiting->owner);
        }
    }
}

static void probe_grant(struct world *world, const struct op *op, const struct session *session)
{
    uint32_t rounds = op->as.acquire.round_count;
    world->rounds[rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX - 1]++;
    world->grant_count++;
    world_probe(world, rounds == 1 ? PROBE_GRANTED : PROBE_GRANTED_LATER);
    if (op->was_stale) world_probe(world, PROBE_GRANTED_AFTER_STALE);
    if (op->was_woken) world_probe(world, PROBE_GRANTED_AFTER_WAKE);
    if (backing(world, session) < world->swarm.node_count) {
        world_probe(world, PROBE_GRANTED_WITHOUT_ALL);
    }
}

/* Whose votes it was granted with. */
static void
note_votes(struct world *world, uint32_t name, const struct quorum_round *round, uint64_t token)
{
    for (uint32_t index = 0; index < round->node_count; index++) {
        struct node *node = &world->nodes[index];
        bool is_yes = round->seats[index].stand == QUORUM_STAND_YES;
        if (is_yes && token > node->counted[name]) node->counted[name] = token;
    }
}

void oracle_granted(
    struct world *world,
    struct client *client,
    const struct op *op,
    const struct quorum_result *result)
{
    struct session *session = &client->session;
    struct name *name = &world->names[session->name];
    world_mix(world, result->token);
    world_say(
        world,
        "c%u: granted %s, token %" PRIu64 " in %u rounds",
        client->index,
        world_names[session->name],
        result->token % UINT64_C(100000000000),
        op->as.acquire.round_count);
    if (result->token <= session->token_before) {
        world_fail(
            world, "I1: token %" PRIu64 " after %" PRIu64, result->token, session->token_before);
    }
    for (uint32_t index = 0; index < name->grant_count; index++) {
        if (name->tokens[index] == result->token) {
            world_fail(world, "I1: token %" PRIu64 " twice", result->token);
        }
    }
    if (name->grant_count == GRANT_MAX) world_fail(world, "too many grants");
    name->tokens[name->grant_count++] = result->token;
    note_votes(world, session->name, &op->as.acquire.round, result->token);
    session->grant_count_at_grant = name->grant_count;
    if (result->token > name->token_acked) name->token_acked = result->token;
    if (result->valid_until.ns <= client_now(world, client).ns) {
        world_fail(world, "I3: a grant that is over");
    }
    check_alone(world, session->name, client);
    bool is_backed = backing(world, session) >= quorum_majority(client->node_count);
    if (has_memory(world) && !is_backed) world_fail(world, "I5: a grant without a majority");
    if (has_memory(world) && !is_covered(world, client, result->valid_until)) {
        world_fail(world, "I3: believed for longer than a majority keeps it");
    }
    check_line(world, client);
    probe_grant(world, op, session);
}

void oracle_renewed(struct world *world, struct client *client, const struct quorum_result *result)
{
    struct session *session = &client->session;
    uint32_t count = backing(world, session);
    world_probe(world, PROBE_RENEWED);
    if (count < world->swarm.node_count) world_probe(world, PROBE_RENEWED_ERODED);
    if (has_memory(world) && count < quorum_majority(client->node_count)) {
        world_fail(world, "I5: a renewal without a majority");
    }
    if (has_memory(world) && !is_covered(world, client, result->valid_until)) {
        world_fail(world, "I3: believed for longer than a majority keeps it");
    }
    check_alone(world, session->name, client);
}

/* Did somebody else get in since?  Where P2 is not promised, somebody newer: one whose votes were
 * lost too early may come to know of its own grant late. */
bool oracle_is_taken(const struct world *world, const struct session *session)
{
    const struct name *name = &world->names[session->name];
    for (uint32_t index = session->grant_count_at_grant; index < name->grant_count; index++) {
        if (world->is_p2_checked || name->tokens[index] > session->token) return true;
    }
    return false;
}

void oracle_lost(
    struct world *world,
    struct client *client,
    const struct op *op,
    const struct quorum_result *result)
{
    const struct session *session = &client->session;
    bool is_unclaimed = result->end == QUORUM_END_EXPIRED_UNCLAIMED;
    world_probe(world, is_unclaimed ? PROBE_LOST_UNCLAIMED : PROBE_LOST_TAKEN);
    if (is_unclaimed && op->was_taken) {
        world_fail(world, "I5: told that nobody got in, but somebody did");
    }
    const struct swarm *swarm = &world->swarm;
    bool is_ordered =
        !swarm->has_doubles && !swarm->has_disorder && !swarm->has_resets && !swarm->has_late;
    if (is_ordered && has_memory(world) &&
        backing(world, session) >= quorum_majority(client->node_count))
    {
        world_fail(world, "I7: told that it is lost, but a majority has it");
    }
}

void oracle_released(struct world *world, struct client *client, const struct quorum_result *result)
{
    const struct session *session = &client->session;
    bool is_clean = false;
    switch (result->end) {
    case QUORUM_END_RELEASED:
        world_probe(world, PROBE_RELEASED);
        is_clean = true;
        break;
    case QUORUM_END_EXPIRED_UNCLAIMED:
        world_probe(world, PROBE_RELEASED_UNCLAIMED);
        is_clean = true;
        break;
    case QUORUM_END_EXPIRED_TAKEN: world_probe(world, PROBE_RELEASED_TAKEN); break;
    case QUORUM_END_NONE: world_probe(world, PROBE_RELEASE_UNKNOWN); break;
    }
    bool is_mine = session->state == SESSION_RELEASING && session->token == result->token;
    if (is_mine && is_clean && session->was_taken) {
        world_fail(world, "I5: released as if nobody else had been in");
    }
}

/* An operation has cleaned up: nothing of it may be left where it was told, and everybody was told
 * unless time has done it. */
void oracle_gone(
    struct world *world,
    const char *owner,
    uint32_t name,
    const struct quorum_release *release,
    struct mono now)
{
    /* A node that comes back with an older memory has the vote again; it is in quarantine. */
    if (world->swarm.has_back || world->swarm.has_promotion) return;
    bool is_early = now.ns < release->over_at.ns;
    for (uint32_t node = 0; node < release->options.node_count; node++) {
        if (!is_early && !release->nodes[node].is_told) continue;
        int64_t left_ms = node_holds_ms(world, node, name, owner, release->options.token);
        if (left_ms >= 0) {
            world_fail(world, "I9: a vote of %s is left on n%u", owner, node);
        }
    }
}

/* ------------------------------------------------------------------ the resource */

void oracle_read(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    struct name *name = &world->names[session->name];
    if (session->token < name->resource_token) return;
    name->resource_token = session->token;
    session->read_version = name->resource_version;
    session->has_read = true;
}

void oracle_write(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    struct name *name = &world->names[session->name];
    if (!session->has_read) return;
    if (session->token < name->resource_token) {
        world_probe(world, PROBE_WRITE_FENCED);
        return;
    }
    name->resource_token = session->token;
    if (name->resource_version != session->read_version) {
        world_fail(world, "I2: a write over somebody else's");
    }
    name->resource_version++;
    session->read_version = name->resource_version;
}
