/* What clients do with the step machines, and what they believe.
 *
 * A client has one session: it asks for a lock, holds it, renews it, uses the resource behind it,
 * gives it back.  Operations live on in the background until they are over. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_quorum/parts.h"

/* A crowd that tries comes again after so long; who got it has given it back by then. */
#define TRIAL_NS      (2 * NS_PER_S)
#define TRIAL_HOLD_MS 700

static const struct mono never = { INT64_MAX };

struct mono client_now(const struct world *world, const struct client *client)
{
    int64_t ns = world->now_ns;
    int64_t drift_ns = ns / 1000000 * client->rate_ppm;
    return (struct mono){ client->offset_ns + ns + drift_ns - client->frozen_ns };
}

static struct wall client_wall(const struct world *world, const struct client *client)
{
    return (struct wall){ WALL_START_US + world->now_ns / 1000 + client->wall_offset_us };
}

/* When the client's clock shows `at`. */
static int64_t true_time(const struct client *client, struct mono at)
{
    if (at.ns == INT64_MAX) return INT64_MAX;
    int64_t ns = at.ns - client->offset_ns + client->frozen_ns;
    if (ns < 0) return 0;
    int64_t coarse_ns = client->rate_ppm < 0 ? -client->rate_ppm : client->rate_ppm;
    return ns - ns / (1000000 + client->rate_ppm) * client->rate_ppm + coarse_ns + 2000;
}

bool client_believes(const struct world *world, const struct client *client)
{
    return !client->is_down && client->session.state == SESSION_HOLDING &&
           client_now(world, client).ns < client->session.valid_until.ns;
}

static struct quorum_event
event_of(struct world *world, struct client *client, enum quorum_event_kind kind)
{
    return (struct quorum_event){ .kind = kind,
                                  .now = client_now(world, client),
                                  .wall = client_wall(world, client),
                                  .random = rng_next(&world->rng) };
}

/* ------------------------------------------------------------------ calls */

static struct flight *
open_flight(struct client *client, uint32_t op_id, const struct quorum_call *call)
{
    struct flight *flight = &client->flights[client->flight_next++ % FLIGHT_MAX];
    *flight = (struct flight){
        .is_open = true, .op_id = op_id, .node = call->node, .serial = call->serial
    };
    return flight;
}

static void send_call(
    struct world *world, struct client *client, const struct op *op, const struct quorum_call *call)
{
    struct link *link = &client->links[call->node];
    struct message message = { .kind = MESSAGE_CALL,
                               .client = client->index,
                               .incarnation = client->incarnation,
                               .node = call->node,
                               .run = link->run,
                               .config = client->config,
                               .link = link->number,
                               .op_id = op == NULL ? 0 : op->id,
                               .call = *call,
                               .sent_ns = world->now_ns };
    if (op != NULL) {
        message.name = op->name;
        memcpy(message.owner, op->owner, sizeof message.owner);
        char pass[QUORUM_PASS_SIZE_MAX];
        size_t size = quorum_admission_pass(&client->admission, call->node, pass);
        memcpy(message.pass, pass, size);
    } else {
        struct quorum_texts texts = quorum_admission_texts(&client->admission, call->node);
        memcpy(message.pass, texts.pass.data, texts.pass.size);
        memcpy(message.run_id, texts.run_id.data, texts.run_id.size);
    }
    if (!link->is_up) {
        network_failure(world, &message, 1000);
        return;
    }
    open_flight(client, message.op_id, call)->sent_at = client_now(world, client);
    if (call->verb == QUORUM_YIELD) world_probe(world, PROBE_YIELD);
    network_request(world, &message);
}

static struct op *find_op(struct client *client, uint32_t id)
{
    for (uint32_t index = 0; index < OP_MAX; index++) {
        struct op *op = &client->ops[index];
        if (op->kind != OP_NONE && op->id == id) return op;
    }
    return NULL;
}

static struct op *new_op(
    struct world *world, struct client *client, enum op_kind kind, uint32_t name, const char *owner)
{
    for (uint32_t index = 0; index < OP_MAX; index++) {
        struct op *op = &client->ops[index];
        if (op->kind != OP_NONE) continue;
        *op = (struct op){ .kind = kind,
                           .id = ++client->next_op_id,
                           .name = name,
                           .deadline = never,
                           .began_at = client_now(world, client) };
        memcpy(op->owner, owner, OWNER_SIZE);
        return op;
    }
    return NULL;
}

static void on_result(
    struct world *world, struct client *client, struct op *op, const struct quorum_result *result);

static void
step_op(struct world *world, struct client *client, struct op *op, const struct quorum_event *event)
{
    struct quorum_update update;
    switch (op->kind) {
    case OP_ACQUIRE: quorum_acquire_step(&op->as.acquire, event, &update); break;
    case OP_RENEWAL: quorum_renewal_step(&op->as.renewal, event, &update); break;
    case OP_RELEASE: quorum_release_step(&op->as.release, event, &update); break;
    case OP_NONE: return;
    }
    for (uint32_t at = 0; at < update.call_count; at++) {
        send_call(world, client, op, &update.calls[at]);
    }
    op->deadline = update.deadline;
    bool is_split = op->kind == OP_ACQUIRE && op->as.acquire.phase == QUORUM_PHASE_WAITING &&
                    quorum_round_count(&op->as.acquire.round, QUORUM_STAND_YES) > 0;
    if (is_split) world_probe(world, PROBE_SPLIT);
    if (update.is_done) on_result(world, client, op, &update.result);
    if (!update.is_over) return;
    const struct quorum_release *release = op->kind == OP_RELEASE   ? &op->as.release
                                           : op->kind == OP_ACQUIRE ? &op->as.acquire.leaving
                                                                    : NULL;
    if (release != NULL && release->options.node_count > 0) {
        oracle_gone(world, op->owner, op->name, release, client_now(world, client));
    }
    op->kind = OP_NONE;
}

static void start_op(struct world *world, struct client *client, struct op *op)
{
    struct quorum_event event = event_of(world, client, QUORUM_START);
    step_op(world, client, op, &event);
}

/* ------------------------------------------------------------------ the session */

static struct mono in_ms(const struct world *world, const struct client *client, int64_t ms)
{
    return quorum_later(client_now(world, client), ms * NS_PER_MS);
}

static bool is_trying(const struct world *world)
{
    return world->swarm.is_trying && !world->is_calm;
}

/* Which trial it is; the clocks of clients differ a little. */
static uint32_t trial_of(const struct world *world)
{
    return (uint32_t)((world->now_ns + TRIAL_NS / 4) / TRIAL_NS);
}

/* Of many who try at once, one gets it. */
static void check_trial(struct world *world)
{
    uint32_t trial = trial_of(world);
    if (trial == world->trial) return;
    if (world->trial > 0 && world->trial_grants != 1) {
        world_fail(world, "many tried at once, and %u got it", world->trial_grants);
    }
    world->trial = trial;
    world->trial_grants = 0;
}

static void go_idle(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    session->state = SESSION_IDLE;
    if (is_trying(world)) {
        int64_t left_ns = (trial_of(world) + 1) * TRIAL_NS - world->now_ns;
        int64_t late_ns = rng_between(&world->rng, 0, NS_PER_MS);
        session->start_at = quorum_later(client_now(world, client), left_ns + late_ns);
        return;
    }
    int64_t pause_ms = rng_scale(&world->rng, 1, (int64_t)world->swarm.think_ms_max + 1);
    if (world->swarm.is_crowd) pause_ms = 0;
    session->start_at = in_ms(world, client, pause_ms);
}

static void new_owner(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    bool is_same =
        world->swarm.has_same_owner && session->owner[0] != '\0' && rng_percent(&world->rng, 30);
    if (is_same) {
        world_probe(world, PROBE_SAME_OWNER);
        return;
    }
    memset(session->owner, 0, sizeof session->owner);
    (void)snprintf(
        session->owner,
        sizeof session->owner,
        "o%u.%u.%u",
        client->index,
        client->incarnation,
        ++client->owner_count);
}

static void begin(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    uint32_t name = rng_below(&world->rng, world->swarm.name_count);
    if (is_trying(world)) check_trial(world);
    new_owner(world, client);
    struct op *op = new_op(world, client, OP_ACQUIRE, name, session->owner);
    if (op == NULL) {
        go_idle(world, client);
        return;
    }
    uint32_t kind = rng_below(&world->rng, 10);
    session->is_forever = world->is_calm || world->swarm.is_crowd || kind < 5;
    if (client_is_stray(world, client)) session->is_forever = false;
    if (is_trying(world)) session->is_forever = false;
    struct mono wait_until = client_now(world, client);
    if (session->is_forever) {
        wait_until = never;
    } else if (kind < 7 && !is_trying(world)) {
        wait_until = in_ms(world, client, rng_scale(&world->rng, 20, 3000));
    }
    session->state = SESSION_ACQUIRING;
    session->name = name;
    session->op_id = op->id;
    session->ttl_ms =
        (uint32_t)rng_between(&world->rng, world->swarm.ttl_ms_min, world->swarm.ttl_ms_max);
    session->token_before = world->names[name].token_acked;
    session->invoked_ns = world->now_ns;
    session->settled_ns = 0;
    const struct quorum_acquire_options options = {
        .node_count = client->node_count,
        .ttl_ms = session->ttl_ms,
        .clock_error_ppm = CLOCK_ERROR_PPM,
        .wait_until = wait_until,
        .token_known = rng_percent(&world->rng, 50) ? client->token_known : 0,
        .paces = client->paces,
    };
    if (quorum_acquire_init(&op->as.acquire, &options) != TENURE_OK) {
        world_fail(world, "an acquire is refused");
    }
    world_say(world, "c%u: asks for %s as %s", client->index, world_names[name], session->owner);
    start_op(world, client, op);
}

static void begin_renewal(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    session->renew_at = in_ms(world, client, session->ttl_ms / 10 + 1);
    struct op *op = new_op(world, client, OP_RENEWAL, session->name, session->owner);
    if (op == NULL) return;
    session->renewal_id = op->id;
    op->was_taken = oracle_is_taken(world, session);
    const struct quorum_renewal_options options = {
        .node_count = client->node_count,
        .token = session->token,
        .ttl_ms = session->ttl_ms,
        .clock_error_ppm = CLOCK_ERROR_PPM,
        .paces = client->paces,
    };
    quorum_renewal_init(&op->as.renewal, &options);
    start_op(world, client, op);
}

static void begin_release(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    world_say(world, "c%u: releases %s", client->index, world_names[session->name]);
    session->state = SESSION_RELEASING;
    session->was_taken = oracle_is_taken(world, session);
    struct op *op = new_op(world, client, OP_RELEASE, session->name, session->owner);
    if (op == NULL) {
        go_idle(world, client);
        return;
    }
    session->op_id = op->id;
    const struct quorum_release_options options = {
        .node_count = client->node_count,
        .verb = QUORUM_RELEASE,
        .token = session->token,
        .ttl_ms = session->ttl_ms,
        .serial = 1,
        .paces = client->paces,
        .answer_until = in_ms(world, client, 1000),
    };
    quorum_release_init(&op->as.release, &options);
    start_op(world, client, op);
}

/* ------------------------------------------------------------------ outcomes */

static void on_granted(
    struct world *world, struct client *client, struct op *op, const struct quorum_result *result)
{
    struct session *session = &client->session;
    session->state = SESSION_HOLDING;
    session->token = result->token;
    session->valid_until = result->valid_until;
    session->read_version = 0;
    session->has_read = false;
    oracle_granted(world, client, op, result);
    session->is_renewing = rng_percent(&world->rng, 80);
    int64_t third_ns = (int64_t)session->ttl_ms * NS_PER_MS / 3;
    session->renew_at = session->is_renewing ? quorum_later(result->sent_at, third_ns) : never;
    int64_t hold_ms = rng_scale(&world->rng, 1, world->swarm.hold_ms_max);
    if (world->swarm.is_crowd) hold_ms = 1;
    if (is_trying(world)) {
        hold_ms = TRIAL_HOLD_MS;
        world->trial_grants++;
    }
    session->release_at = in_ms(world, client, hold_ms);
    /* Some die or forget. */
    if (!world->swarm.is_crowd && rng_percent(&world->rng, 5)) session->release_at = never;
    if (session->release_at.ns == never.ns && session->is_renewing) {
        session->release_at = in_ms(world, client, 2 * (int64_t)world->swarm.hold_ms_max);
    }
    if (world->is_calm) client->grants_in_calm++;
    oracle_read(world, client);
}

static void
probe_refusal(struct world *world, const struct client *client, const struct quorum_result *result)
{
    bool is_foreign = result->holder_token == 0 && result->holder_size > 0;
    if (result->err == TENURE_HELD) {
        world_probe(world, PROBE_HELD);
        if (is_foreign && result->holder[0] == 'f') world_probe(world, PROBE_HELD_BY_FOREIGN);
    } else if (result->err == TENURE_TIMEOUT) {
        world_probe(world, PROBE_TIMEOUT);
    } else if (result->err == TENURE_UNAVAILABLE) {
        world_probe(world, client_is_stray(world, client) ? PROBE_STRAY : PROBE_UNAVAILABLE);
    } else if (result->err == TENURE_CANCELED) {
        world_probe(world, PROBE_CANCELED);
    } else {
        world_fail(world, "acquire: outcome %d", (int)result->err);
    }
}

static void on_acquired(
    struct world *world, struct client *client, struct op *op, const struct quorum_result *result)
{
    struct session *session = &client->session;
    client->token_known = op->as.acquire.token_known;
    if (session->state != SESSION_ACQUIRING || session->op_id != op->id) {
        world_fail(world, "a result that nobody waits for");
    }
    if (result->err == TENURE_OK) {
        on_granted(world, client, op, result);
        return;
    }
    probe_refusal(world, client, result);
    if (session->is_forever && result->err != TENURE_CANCELED) {
        world_fail(world, "I9: a wait without end ends with %d", (int)result->err);
    }
    world_say(
        world, "c%u: %s: %s", client->index, world_names[op->name], tenure_err_name(result->err));
    go_idle(world, client);
}

static void on_renewed(
    struct world *world, struct client *client, struct op *op, const struct quorum_result *result)
{
    struct session *session = &client->session;
    bool is_over = result->valid_until.ns <= client_now(world, client).ns;
    if (result->err == TENURE_OK && is_over) world_fail(world, "I3: a renewal that is over");
    bool is_mine = session->state == SESSION_HOLDING && session->token == result->token &&
                   strcmp(session->owner, op->owner) == 0;
    if (!is_mine) return;
    if (result->err == TENURE_OK) {
        if (client_now(world, client).ns >= session->valid_until.ns) return; /* it is over */
        oracle_renewed(world, client, result);
        if (result->valid_until.ns > session->valid_until.ns) {
            session->valid_until = result->valid_until;
        }
        session->renew_at = quorum_later(result->sent_at, (int64_t)session->ttl_ms * NS_PER_MS / 3);
    } else if (result->err == TENURE_LOST) {
        oracle_lost(world, client, op, result);
        world_say(world, "c%u: %s is lost", client->index, world_names[session->name]);
        go_idle(world, client);
    } else {
        world_probe(world, PROBE_RENEWAL_UNKNOWN);
    }
}

static void on_result(
    struct world *world, struct client *client, struct op *op, const struct quorum_result *result)
{
    world_mix(world, (uint64_t)result->err << 8 | (uint64_t)op->kind);
    switch (op->kind) {
    case OP_ACQUIRE: on_acquired(world, client, op, result); break;
    case OP_RENEWAL: on_renewed(world, client, op, result); break;
    case OP_RELEASE:
        oracle_released(world, client, result);
        if (client->session.state == SESSION_RELEASING && client->session.op_id == op->id) {
            go_idle(world, client);
        }
        break;
    case OP_NONE: break;
    }
}

/* ------------------------------------------------------------------ admission */

static void step_admission(
    struct world *world, struct client *client, const struct quorum_admission_event *given)
{
    struct quorum_admission_event event = *given;
    event.now = client_now(world, client);
    event.wall = client_wall(world, client);
    struct quorum_admission_update update;
    quorum_admission_step(&client->admission, &event, &update);
    for (uint32_t at = 0; at < update.call_count; at++) {
        send_call(world, client, NULL, &update.calls[at]);
    }
    client->admission_deadline = update.deadline;
}

static void link_up(struct world *world, struct client *client, uint32_t index)
{
    struct link *link = &client->links[index];
    const struct node *node = &world->nodes[index];
    bool is_reachable = world->now_ns >= node->down_until_ns &&
                        world->now_ns >= node->frozen_until_ns &&
                        world->now_ns >= link->cut_until_ns;
    /* Where there is no race, the stray comes when the others have settled. */
    bool is_early = client_is_stray(world, client) && !world->swarm.has_race &&
                    world->names[0].grant_count == 0;
    if (is_early) is_reachable = false;
    if (!is_reachable) {
        link->retry_ns = world->now_ns + rng_scale(&world->rng, 10, 200) * NS_PER_MS;
        return;
    }
    link->is_up = true;
    link->number++;
    link->run = node->run;
    char run_id[16];
    node_run_id(world, index, run_id);
    const struct quorum_identity identity = {
        .run_id = bytes_from_text(run_id),
        .uptime_ms = node_uptime_ms(world, node),
        .is_durable = node->is_durable,
        .is_promoted = node->is_promoted,
    };
    const struct quorum_admission_event event = { .kind = QUORUM_NODE_UP,
                                                  .node = index,
                                                  .identity = &identity };
    step_admission(world, client, &event);
}

void client_link_down(struct world *world, struct client *client, uint32_t node)
{
    struct link *link = &client->links[node];
    if (!link->is_up || client->is_down) return;
    link->is_up = false;
    link->retry_ns = world->now_ns + rng_scale(&world->rng, 1, 100) * NS_PER_MS;
    const struct quorum_admission_event event = { .kind = QUORUM_NODE_DOWN, .node = node };
    step_admission(world, client, &event);
    for (uint32_t at = 0; at < FLIGHT_MAX; at++) {
        struct flight *flight = &client->flights[at];
        if (!flight->is_open || flight->node != node) continue;
        flight->is_open = false;
        struct message failure = { .client = client->index,
                                   .incarnation = client->incarnation,
                                   .node = node,
                                   .op_id = flight->op_id,
                                   .call = { .serial = flight->serial } };
        network_failure(world, &failure, NS_PER_MS);
    }
    world_push(world, link->retry_ns, EVENT_TIMER, client->index, ++client->timer);
}

/* ------------------------------------------------------------------ what arrives */

static void close_flight(struct world *world, struct client *client, const struct message *message)
{
    for (uint32_t at = 0; at < FLIGHT_MAX; at++) {
        struct flight *flight = &client->flights[at];
        bool is_it = flight->is_open && flight->op_id == message->op_id &&
                     flight->node == message->node && flight->serial == message->call.serial;
        if (!is_it) continue;
        flight->is_open = false;
        pace_measure(
            &client->paces[message->node], client_now(world, client).ns - flight->sent_at.ns);
    }
}

static void receive_wake(struct world *world, struct client *client, const struct message *message)
{
    for (uint32_t at = 0; at < OP_MAX; at++) {
        struct op *op = &client->ops[at];
        if (op->kind != OP_ACQUIRE || strcmp(op->owner, message->owner) != 0) continue;
        struct quorum_event event = event_of(world, client, QUORUM_WOKEN);
        event.node = message->node;
        event.fence = message->fence;
        op->was_woken = true;
        step_op(world, client, op, &event);
    }
}

/* It stands still with one vote in its hands, perhaps until that is worth nothing. */
static void pause_at_worst(struct world *world, struct client *client)
{
    bool is_due = world->swarm.has_pauses && !world->is_calm && rng_chance(&world->rng, 3000);
    if (!is_due) return;
    world_probe(world, PROBE_PAUSED);
    world_say(world, "c%u: paused with a vote", client->index);
    int64_t pause_ms = rng_between(&world->rng, 1, 2 * (int64_t)world->swarm.ttl_ms_max);
    client->paused_until_ns = world->now_ns + pause_ms * NS_PER_MS;
}

static void receive_answer(struct world *world, struct client *client, struct message *message)
{
    struct quorum_answer *answer = &message->answer;
    answer->owner.data = message->answer_texts[0];
    answer->pass.data = message->answer_texts[1];
    answer->config.data = message->answer_texts[2];
    answer->met.data = message->answer_texts[3];
    bool is_failure = message->is_failure;
    if (!is_failure) close_flight(world, client, message);
    if (message->op_id == 0) {
        const struct quorum_admission_event event = {
            .kind = is_failure ? QUORUM_NODE_FAILED : QUORUM_NODE_ANSWERED,
            .node = message->node,
            .serial = message->call.serial,
            .answer = answer,
        };
        step_admission(world, client, &event);
        return;
    }
    if (!is_failure && answer->kind == QUORUM_MUTE) {
        const struct quorum_admission_event event = { .kind = QUORUM_NODE_REFUSED,
                                                      .node = message->node };
        step_admission(world, client, &event);
    }
    struct op *op = find_op(client, message->op_id);
    if (op == NULL) return;
    if (!is_failure && answer->kind == QUORUM_STALE) op->was_stale = true;
    struct quorum_event event =
        event_of(world, client, is_failure ? QUORUM_FAILED : QUORUM_ANSWERED);
    event.node = message->node;
    event.serial = message->call.serial;
    event.answer = answer;
    step_op(world, client, op, &event);
    if (!is_failure && answer->kind == QUORUM_YES) pause_at_worst(world, client);
}

void client_receive(struct world *world, struct client *client, uint32_t slot)
{
    if (world->now_ns < client->paused_until_ns && !client->is_down) {
        world_push(world, client->paused_until_ns, EVENT_TO_CLIENT, client->index, slot);
        return;
    }
    struct message message = world->messages[slot];
    world->message_free[world->message_free_count++] = slot;
    bool is_old = message.incarnation != client->incarnation;
    const struct link *link = &client->links[message.node];
    bool is_cut = !message.is_failure && (!link->is_up || link->number != message.link);
    if (client->is_down || is_old || is_cut) return;
    if (message.is_wake) {
        receive_wake(world, client, &message);
    } else {
        receive_answer(world, client, &message);
    }
    client_run(world, client);
}

/* ------------------------------------------------------------------ time */

static void run_session(struct world *world, struct client *client)
{
    struct session *session = &client->session;
    struct mono now = client_now(world, client);
    if (session->state == SESSION_IDLE && now.ns >= session->start_at.ns) {
        bool is_done = client->grants_in_calm >= 2 || client_is_stray(world, client);
        if (world->is_stopping || (world->is_calm && is_done)) {
            session->start_at = never;
            return;
        }
        begin(world, client);
    } else if (session->state == SESSION_HOLDING && now.ns >= session->valid_until.ns) {
        world_probe(world, PROBE_EXPIRED_BELIEF);
        world_say(
            world, "c%u: its hold of %s has run out", client->index, world_names[session->name]);
        if (rng_percent(&world->rng, 50)) oracle_write(world, client); /* unaware */
        if (rng_percent(&world->rng, 50)) {
            begin_release(world, client);
        } else {
            go_idle(world, client);
        }
    } else if (session->state == SESSION_HOLDING && now.ns >= session->release_at.ns) {
        oracle_write(world, client);
        begin_release(world, client);
    } else if (session->state == SESSION_HOLDING && now.ns >= session->renew_at.ns) {
        begin_renewal(world, client);
    } else if (session->state == SESSION_ACQUIRING && session->settled_ns == 0) {
        const struct op *op = find_op(client, session->op_id);
        if (op != NULL && op->as.acquire.is_ticket_settled) session->settled_ns = world->now_ns;
    }
}

static void run_links(struct world *world, struct client *client)
{
    for (uint32_t node = 0; node < client->node_count; node++) {
        struct link *link = &client->links[node];
        if (!link->is_up && world->now_ns >= link->retry_ns) link_up(world, client, node);
    }
}

/* Calls that nobody answered: their nodes are slower than was thought. */
static void run_flights(struct world *world, struct client *client)
{
    struct mono now = client_now(world, client);
    if (now.ns < client->flights_at.ns) return;
    client->flights_at = quorum_later(now, 100 * NS_PER_MS);
    for (uint32_t at = 0; at < FLIGHT_MAX; at++) {
        struct flight *flight = &client->flights[at];
        if (!flight->is_open || now.ns < flight->sent_at.ns + NS_PER_S) continue;
        flight->is_open = false;
        pace_miss(&client->paces[flight->node]);
    }
}

static int64_t next_time(const struct client *client)
{
    const struct session *session = &client->session;
    struct mono next = client->admission_deadline;
    for (uint32_t at = 0; at < OP_MAX; at++) {
        if (client->ops[at].kind == OP_NONE) continue;
        next = quorum_earliest(next, client->ops[at].deadline);
    }
    if (session->state == SESSION_IDLE) next = quorum_earliest(next, session->start_at);
    if (session->state == SESSION_HOLDING) {
        next = quorum_earliest(next, session->valid_until);
        next = quorum_earliest(next, session->release_at);
        next = quorum_earliest(next, session->renew_at);
    }
    int64_t at_ns = true_time(client, next);
    for (uint32_t node = 0; node < client->node_count; node++) {
        const struct link *link = &client->links[node];
        if (!link->is_up && link->retry_ns < at_ns) at_ns = link->retry_ns;
    }
    return at_ns;
}

void client_run(struct world *world, struct client *client)
{
    if (client->is_down) {
        if (world->now_ns >= client->down_until_ns) {
            client_start(world, client);
        } else {
            world_push(world, client->down_until_ns, EVENT_TIMER, client->index, ++client->timer);
        }
        return;
    }
    if (world->now_ns < client->paused_until_ns) {
        world_push(world, client->paused_until_ns, EVENT_TIMER, client->index, ++client->timer);
        return;
    }
    run_links(world, client);
    run_flights(world, client);
    struct mono now = client_now(world, client);
    if (now.ns >= client->admission_deadline.ns) {
        const struct quorum_admission_event event = { .kind = QUORUM_NODE_TIME };
        step_admission(world, client, &event);
    }
    for (uint32_t at = 0; at < OP_MAX; at++) {
        struct op *op = &client->ops[at];
        if (op->kind == OP_NONE || now.ns < op->deadline.ns) continue;
        struct quorum_event event = event_of(world, client, QUORUM_TIME);
        step_op(world, client, op, &event);
    }
    bool is_cancel = client->session.state == SESSION_ACQUIRING && !world->swarm.is_crowd &&
                     rng_chance(&world->rng, 300) && !world->is_calm;
    struct op *op = find_op(client, client->session.op_id);
    if (is_cancel && op != NULL) {
        struct quorum_event event = event_of(world, client, QUORUM_CANCELED);
        step_op(world, client, op, &event);
    }
    run_session(world, client);
    int64_t next_ns = next_time(client);
    if (next_ns == INT64_MAX) return;
    if (next_ns <= world->now_ns) next_ns = world->now_ns + 1000;
    world_push(world, next_ns, EVENT_TIMER, client->index, ++client->timer);
}

bool client_is_quiet(const struct client *client)
{
    if (client->session.state != SESSION_IDLE) return false;
    for (uint32_t at = 0; at < OP_MAX; at++) {
        if (client->ops[at].kind != OP_NONE) return false;
    }
    return true;
}

/* ------------------------------------------------------------------ life and death */

void client_start(struct world *world, struct client *client)
{
    bool is_stray = world->swarm.has_stray && client->index == 0;
    client->node_count = is_stray ? 3 : world->swarm.node_count;
    client->config = is_stray ? "old" : "cfg";
    client->is_down = false;
    client->incarnation++;
    client->token_known = 0;
    client->flight_next = 0;
    client->admission_deadline = never;
    memset(client->ops, 0, sizeof client->ops);
    memset(client->flights, 0, sizeof client->flights);
    memset(&client->session, 0, sizeof client->session);
    const struct quorum_admission_options options = {
        .node_count = client->node_count,
        .ttl_ms_max = TTL_MS_MAX,
        .clock_error_ppm = CLOCK_ERROR_PPM,
        .config = bytes_from_text(client->config),
        /* A word that nodes which lose everything would make a lie. */
        .is_new = world->now_ns == 0 && !world->swarm.has_majority_loss,
    };
    quorum_admission_init(&client->admission, &options);
    for (uint32_t node = 0; node < NODE_MAX; node++) {
        pace_init(&client->paces[node]);
        client->links[node].is_up = false;
        client->links[node].retry_ns = world->now_ns;
    }
    go_idle(world, client);
    bool is_waiting_crowd = world->swarm.is_crowd && !world->swarm.is_trying;
    if (is_waiting_crowd) client->session.start_at = in_ms(world, client, 50);
    client_run(world, client);
}

void client_crash(struct world *world, struct client *client)
{
    world_probe(world, PROBE_CRASHED);
    world_say(world, "c%u: crashes", client->index);
    client->is_down = true;
    client->session.state = SESSION_IDLE;
    client->down_until_ns = world->now_ns + rng_scale(&world->rng, 10, 1500) * NS_PER_MS;
    world_push(world, client->down_until_ns, EVENT_TIMER, client->index, ++client->timer);
}
