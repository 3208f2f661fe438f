/* One run: what goes wrong is drawn first, then time passes, then all is calm and must come to an
 * end. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim_quorum/parts.h"

#define CALM_NS (60 * NS_PER_S)

void world_fail(struct world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->failure, sizeof world->failure, format, arguments);
    va_end(arguments);
    world_say(world, "FAILED: %s", world->failure);
    longjmp(world->on_failure, 1);
}

void world_say(struct world *world, const char *format, ...)
{
    if (world->options.out == NULL) return;
    fprintf(world->options.out, "%10.3f  ", (double)world->now_ns / (double)NS_PER_MS);
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(world->options.out, format, arguments);
    va_end(arguments);
    fputc('\n', world->options.out);
}

void world_mix(struct world *world, uint64_t value)
{
    world->hash = rng_mix(world->hash ^ (value + (uint64_t)world->now_ns));
}

/* ------------------------------------------------------------------ events */

static bool is_before(const struct event *left, const struct event *right)
{
    if (left->at_ns != right->at_ns) return left->at_ns < right->at_ns;
    return left->order < right->order;
}

void world_push(
    struct world *world, int64_t at_ns, enum event_kind kind, uint32_t target, uint32_t message)
{
    if (world->event_count == EVENT_MAX) world_fail(world, "too many events");
    struct event event = { .at_ns = at_ns < world->now_ns ? world->now_ns : at_ns,
                           .order = ++world->order,
                           .kind = kind,
                           .target = target,
                           .message = message };
    uint32_t place = world->event_count++;
    while (place > 0 && is_before(&event, &world->events[(place - 1) / 2])) {
        world->events[place] = world->events[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    world->events[place] = event;
}

static struct event pop(struct world *world)
{
    struct event first = world->events[0];
    struct event last = world->events[--world->event_count];
    uint32_t place = 0;
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= world->event_count) break;
        bool is_right_less = child + 1 < world->event_count &&
                             is_before(&world->events[child + 1], &world->events[child]);
        child += is_right_less;
        if (!is_before(&world->events[child], &last)) break;
        world->events[place] = world->events[child];
        place = child;
    }
    world->events[place] = last;
    return first;
}

/* ------------------------------------------------------------------ what this world is like */

static bool flip(struct world *world, uint32_t percent)
{
    return rng_percent(&world->rng, percent);
}

static void draw_faults(struct world *world)
{
    struct swarm *swarm = &world->swarm;
    bool is_gentle = flip(world, 15);
    if (is_gentle) return;
    swarm->has_loss = flip(world, 40);
    swarm->has_doubles = flip(world, 35);
    swarm->has_disorder = flip(world, 35);
    swarm->has_late = flip(world, 35);
    swarm->has_resets = flip(world, 40);
    swarm->has_partitions = flip(world, 30);
    swarm->has_freezes = flip(world, 35);
    swarm->has_kept = flip(world, 30);
    swarm->has_pauses = flip(world, 40);
    swarm->has_crashes = flip(world, 30);
    swarm->has_offsets = flip(world, 40);
    swarm->has_wall_jumps = flip(world, 25);
    swarm->has_same_owner = flip(world, 25);
    swarm->has_sweeps = flip(world, 20);
    swarm->has_durable = flip(world, 15);
    swarm->has_foreign = flip(world, 15);
    swarm->has_stray = swarm->node_count >= 5 && flip(world, 30);
    swarm->has_race = swarm->has_stray && flip(world, 50);
    if (!swarm->has_foreign) {
        swarm->has_back = flip(world, 30);
        swarm->has_empty = flip(world, 40);
        swarm->has_flush = flip(world, 25);
        swarm->has_promotion = flip(world, 20);
        swarm->has_majority_loss = flip(world, 15);
    }
    if (swarm->has_foreign || swarm->has_majority_loss) swarm->has_stray = false;
    if (!swarm->has_stray) swarm->has_race = false;
    uint32_t outside = rng_below(&world->rng, 10);
    swarm->has_jumps = outside <= 1;
    swarm->has_frozen_clocks = outside == 2;
    if (swarm->has_majority_loss) {
        /* Then only the clocks are left to keep tokens rising. */
        swarm->has_offsets = false;
        swarm->has_wall_jumps = false;
    }
    swarm->loss_ppm = swarm->has_loss ? (uint32_t)rng_scale(&world->rng, 2000, 200000) : 0;
    swarm->double_ppm = swarm->has_doubles ? (uint32_t)rng_scale(&world->rng, 2000, 150000) : 0;
    swarm->late_ppm = swarm->has_late ? (uint32_t)rng_scale(&world->rng, 1000, 100000) : 0;
}

static void draw(struct world *world)
{
    struct swarm *swarm = &world->swarm;
    *swarm = (struct swarm){ 0 };
    uint32_t size = rng_below(&world->rng, 10);
    swarm->node_count = size < 1 ? 1 : size < 7 ? 3 : size < 9 ? 5 : 7;
    swarm->client_count = 2 + rng_below(&world->rng, 5);
    swarm->name_count = 1 + rng_below(&world->rng, 2);
    swarm->is_restless = flip(world, 50);
    swarm->is_clinging = flip(world, 30);
    swarm->ttl_ms_min = (uint32_t)rng_scale(&world->rng, 100, 500);
    swarm->ttl_ms_max =
        (uint32_t)rng_between(&world->rng, swarm->ttl_ms_min, flip(world, 50) ? 600 : TTL_MS_MAX);
    if (swarm->ttl_ms_max < swarm->ttl_ms_min) swarm->ttl_ms_max = swarm->ttl_ms_min;
    swarm->hold_ms_max = swarm->is_restless ? 40 : 2 * swarm->ttl_ms_max;
    swarm->think_ms_max = swarm->is_restless ? 60 : 400;
    swarm->delay_ns_min = rng_scale(&world->rng, 20, 2000) * 1000;
    swarm->delay_ns_max = swarm->delay_ns_min * (1 + rng_below(&world->rng, 8));
    swarm->fault_gap_ms = (uint32_t)rng_scale(&world->rng, 60, 800);
    swarm->faults_end_ns = rng_between(&world->rng, 2000, 7000) * NS_PER_MS;
    swarm->is_tight = world->options.is_tight;
    if (!swarm->is_tight) draw_faults(world);
    /* Restarts need time to come back from. */
    bool is_forgetful = swarm->has_empty || swarm->has_back || swarm->has_flush;
    if (is_forgetful) swarm->faults_end_ns += 6 * NS_PER_S;
    swarm->end_ns = swarm->faults_end_ns + (swarm->has_race ? CALM_NS / 20 : CALM_NS);
}

/* Nothing goes wrong, but everybody wants the same at once. */
static void draw_crowd(struct world *world, uint32_t contenders)
{
    world->swarm = (struct swarm){ .is_crowd = true,
                                   .node_count = 5,
                                   .client_count = contenders,
                                   .name_count = 1,
                                   .ttl_ms_min = 1000,
                                   .ttl_ms_max = 1000,
                                   .hold_ms_max = 1,
                                   .delay_ns_min = 50000,
                                   .delay_ns_max = 300000,
                                   .fault_gap_ms = 1000,
                                   .faults_end_ns = 1500 * NS_PER_MS,
                                   .end_ns = 1500 * NS_PER_MS + CALM_NS };
    if (!world->options.is_trying) return;
    world->swarm.is_trying = true;
    world->swarm.node_count = 3;
    world->swarm.delay_ns_max = 5 * NS_PER_MS;
    world->swarm.faults_end_ns = 400 * NS_PER_S;
    world->swarm.end_ns = world->swarm.faults_end_ns + CALM_NS;
}

static void set_clocks(struct world *world)
{
    struct swarm *swarm = &world->swarm;
    /* Each at most half of what is assumed to be the difference. */
    int64_t ppm_max = CLOCK_ERROR_PPM / 2 - 100;
    for (uint32_t index = 0; index < swarm->node_count; index++) {
        struct node *node = &world->nodes[index];
        node->rate_ppm = rng_between(&world->rng, -ppm_max, ppm_max);
        if (swarm->is_tight) node->rate_ppm = 3 * (int64_t)CLOCK_ERROR_PPM;
        node->offset_us = rng_between(&world->rng, -5000000, 5000000);
        node->is_durable = swarm->has_durable && flip(world, 50);
        /* Most were there before we came. */
        node->started_ns = -100 * NS_PER_S;
    }
    for (uint32_t index = 0; index < swarm->client_count; index++) {
        struct client *client = &world->clients[index];
        client->rate_ppm = rng_between(&world->rng, -ppm_max, ppm_max);
        if (swarm->is_tight) client->rate_ppm = -3 * (int64_t)CLOCK_ERROR_PPM;
        client->offset_ns = rng_between(&world->rng, 1, 1000000) * NS_PER_MS;
        int64_t offset_us = 20000;
        if (swarm->has_offsets) offset_us = index % 2 == 0 ? 5000000 : 3600000000;
        client->wall_offset_us = rng_between(&world->rng, -offset_us, offset_us);
    }
}

/* ------------------------------------------------------------------ faults */

/* How many nodes have forgotten something and are not back. */
static uint32_t forgetful(const struct world *world)
{
    uint32_t count = 0;
    for (uint32_t node = 0; node < world->swarm.node_count; node++) {
        count += world->nodes[node].has_forgotten;
    }
    return count;
}

/* Would no node remember anything, and one of them not have restarted?  That one could not be told
 * from one of a first start, by who has never seen it vote. */
static bool would_look_new(const struct world *world, const struct node *node, bool is_flush)
{
    bool has_flushed = is_flush;
    uint32_t count = 0;
    for (uint32_t index = 0; index < world->swarm.node_count; index++) {
        const struct node *other = &world->nodes[index];
        count += other == node || other->has_forgotten;
        has_flushed = has_flushed || (other != node && other->is_flushed);
    }
    return has_flushed && count == world->swarm.node_count;
}

/* A node may forget as long as every majority still has one that remembers. */
static bool may_forget(struct world *world, const struct node *node, bool is_flush)
{
    if (would_look_new(world, node, is_flush)) return false;
    if (world->swarm.has_majority_loss) {
        if (forgetful(world) + 1 >= world_majority(world)) world_probe(world, PROBE_MAJORITY_LOST);
        return true;
    }
    if (world->swarm.node_count == 1) return false;
    uint32_t after = forgetful(world) + (node->has_forgotten ? 0 : 1);
    return after <= world->swarm.node_count - world_majority(world);
}

/* One node, or all: then whoever holds something has lost it. */
static void jump(struct world *world, uint32_t index)
{
    if (!world->swarm.has_jumps) return;
    bool is_everywhere = flip(world, 30);
    for (uint32_t node = 0; node < world->swarm.node_count; node++) {
        if (node == index || is_everywhere) node_jump(world, node);
    }
}

static void disturb_node(struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    uint32_t index = rng_below(&world->rng, swarm->node_count);
    struct node *node = &world->nodes[index];
    switch (rng_below(&world->rng, 7)) {
    case 0:
        if (swarm->has_kept && node->is_durable) node_restart(world, index, RESTART_KEPT);
        break;
    case 1:
        if (swarm->has_back && !node->is_durable && may_forget(world, node, false)) {
            node_restart(world, index, RESTART_BACK);
        }
        break;
    case 2:
    case 3:
        if (swarm->has_empty && !node->is_durable && may_forget(world, node, false)) {
            node_restart(world, index, RESTART_EMPTY);
        }
        break;
    case 4:
        if (swarm->has_flush && !node->is_durable && may_forget(world, node, true)) {
            node_flush(world, index);
        }
        break;
    case 5:
        if (swarm->has_promotion && !node->is_durable && may_forget(world, node, false)) {
            node_restart(world, index, RESTART_PROMOTED);
        }
        break;
    default: jump(world, index); break;
    }
    if (swarm->has_kept && flip(world, 10)) {
        node_restart(world, index, RESTART_KEPT); /* it has all, but nobody can know */
    }
    if (swarm->has_freezes && flip(world, 20)) {
        world_probe(world, PROBE_FROZEN_NODE);
        world_say(world, "n%u: frozen", index);
        node->frozen_until_ns = world->now_ns + rng_scale(&world->rng, 5, 2500) * NS_PER_MS;
    }
}

static void disturb_client(struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    struct client *client = &world->clients[rng_below(&world->rng, swarm->client_count)];
    uint32_t node = rng_below(&world->rng, swarm->node_count);
    if (swarm->has_resets && flip(world, 30)) network_reset(world, client, node);
    if (swarm->has_partitions && flip(world, 25)) {
        world_probe(world, PROBE_PARTITION);
        int64_t until_ns = world->now_ns + rng_scale(&world->rng, 5, 2000) * NS_PER_MS;
        for (uint32_t other = 0; other < swarm->node_count; other++) {
            if (flip(world, 50)) client->links[other].cut_until_ns = until_ns;
        }
    }
    if (swarm->has_pauses && flip(world, 25)) {
        int64_t pause_ns = rng_scale(&world->rng, 5, 2500) * NS_PER_MS;
        bool is_frozen = swarm->has_frozen_clocks && flip(world, 60);
        world_probe(world, is_frozen ? PROBE_PAUSED_FROZEN : PROBE_PAUSED);
        world_say(world, "c%u: paused", client->index);
        client->paused_until_ns = world->now_ns + pause_ns;
        if (is_frozen) client->frozen_ns += pause_ns;
    }
    if (swarm->has_crashes && flip(world, 10) && !client->is_down) client_crash(world, client);
    if (swarm->has_wall_jumps && flip(world, 15)) {
        world_probe(world, PROBE_WALL_JUMP);
        client->wall_offset_us += rng_between(&world->rng, -8000000, 8000000);
    }
}

static void sweep(struct world *world)
{
    uint32_t index = rng_below(&world->rng, world->swarm.node_count);
    struct node *node = &world->nodes[index];
    char pass[32];
    char run_id[16];
    node_run_id(world, index, run_id);
    (void)snprintf(pass, sizeof pass, "%s cfg", run_id);
    const struct bytes key = BYTES_LITERAL("tenure:node");
    const struct bytes arguments[4] = {
        bytes_from_text(pass), BYTES_LITERAL("0"), BYTES_LITERAL("100"), BYTES_LITERAL("400000")
    };
    struct quorum_command command = { .script = QUORUM_SCRIPT_SWEEP,
                                      .key_count = 1,
                                      .argument_count = 4 };
    command.keys[0] = key;
    memcpy(command.arguments, arguments, sizeof arguments);
    struct model_reply reply;
    model_command(world->lua, &node->model, node_now_us(world, node), &command, &reply);
    if (reply.is_error) world_fail(world, "sweep: %s", reply.error);
    if (reply.count == 3 && reply.values[2].integer > 0) world_probe(world, PROBE_SWEPT);
}

static void be_calm(struct world *world)
{
    world->is_calm = true;
    world_say(world, "all is calm");
    for (uint32_t index = 0; index < world->swarm.client_count; index++) {
        struct client *client = &world->clients[index];
        for (uint32_t node = 0; node < world->swarm.node_count; node++) {
            client->links[node].cut_until_ns = 0;
        }
        if (client->paused_until_ns > world->now_ns) client->paused_until_ns = world->now_ns;
        world_push(world, world->now_ns, EVENT_TIMER, index, ++client->timer);
    }
    for (uint32_t node = 0; node < world->swarm.node_count; node++) {
        if (world->nodes[node].frozen_until_ns > world->now_ns) {
            world->nodes[node].frozen_until_ns = world->now_ns;
        }
    }
}

static void on_fault(struct world *world)
{
    if (world->is_calm) return;
    if (world->now_ns >= world->swarm.faults_end_ns) {
        be_calm(world);
        return;
    }
    if (!world->swarm.is_crowd) {
        if (flip(world, 60)) {
            disturb_node(world);
        } else {
            disturb_client(world);
        }
        if (world->swarm.has_sweeps) sweep(world);
    }
    int64_t gap_ns = rng_between(&world->rng, 1, 2 * world->swarm.fault_gap_ms) * NS_PER_MS;
    int64_t at_ns = world->now_ns + gap_ns;
    if (at_ns > world->swarm.faults_end_ns) at_ns = world->swarm.faults_end_ns;
    world_push(world, at_ns, EVENT_FAULT, 0, 0);
}

/* What everysec would have written. */
static void on_save(struct world *world)
{
    bool is_wanted = world->swarm.has_back || world->swarm.has_promotion;
    if (world->is_calm || !is_wanted) return;
    uint32_t index = rng_below(&world->rng, world->swarm.node_count);
    world->nodes[index].saved = world->nodes[index].model;
    int64_t gap_ns = rng_between(&world->rng, 50, 400) * NS_PER_MS / world->swarm.node_count;
    world_push(world, world->now_ns + gap_ns, EVENT_SAVE, 0, 0);
}

/* ------------------------------------------------------------------ the run */

static bool is_at_rest(const struct world *world)
{
    if (!world->is_calm) return false;
    for (uint32_t index = 0; index < world->swarm.client_count; index++) {
        const struct client *client = &world->clients[index];
        bool is_done =
            client->grants_in_calm >= 2 || world->is_stopping || client_is_stray(world, client);
        if (client->is_down || !is_done || !client_is_quiet(client)) return false;
    }
    return true;
}

static void handle(struct world *world, const struct event *event)
{
    switch (event->kind) {
    case EVENT_TO_NODE: node_serve(world, event->target, event->message); break;
    case EVENT_TO_CLIENT:
        if (event->target == FOREIGN) {
            foreign_receive(world, event->message);
        } else {
            client_receive(world, &world->clients[event->target], event->message);
        }
        break;
    case EVENT_TIMER:
        if (event->target == FOREIGN) {
            foreign_run(world);
        } else if (event->message == world->clients[event->target].timer) {
            client_run(world, &world->clients[event->target]);
        }
        break;
    case EVENT_FAULT: on_fault(world); break;
    case EVENT_SAVE: on_save(world); break;
    }
}

static void live(struct world *world)
{
    for (uint32_t index = 0; index < world->swarm.client_count; index++) {
        client_start(world, &world->clients[index]);
    }
    world_push(world, 0, EVENT_FAULT, 0, 0);
    world_push(world, NS_PER_MS, EVENT_SAVE, 0, 0);
    if (world->swarm.has_foreign) world_push(world, NS_PER_MS, EVENT_TIMER, FOREIGN, 0);
    while (world->event_count > 0) {
        struct event event = pop(world);
        world->now_ns = event.at_ns;
        if (world->now_ns > world->swarm.end_ns) break;
        handle(world, &event);
        bool is_check_due = world->is_calm && is_at_rest(world);
        if (is_check_due) return;
    }
    if (world->swarm.has_race) return; /* who comes second gets nothing */
    for (uint32_t index = 0; index < world->swarm.client_count; index++) {
        const struct client *client = &world->clients[index];
        bool is_served = client->grants_in_calm >= 2 || client_is_stray(world, client);
        if (client->is_down || !is_served) {
            world_fail(
                world,
                "I9: all is calm, but c%u gets nothing (%u grants)",
                index,
                client->grants_in_calm);
        }
    }
    world_fail(world, "I9: all is calm, but something goes on");
}

static void reset(struct world *world)
{
    world->now_ns = 0;
    world->order = 0;
    world->event_count = 0;
    world->hash = 0;
    world->is_calm = false;
    world->is_stopping = false;
    world->trial = 0;
    world->trial_grants = 0;
    world->let_in = 0;
    world->failure[0] = '\0';
    world->message_free_count = MESSAGE_MAX;
    for (uint32_t slot = 0; slot < MESSAGE_MAX; slot++) {
        world->message_free[slot] = MESSAGE_MAX - 1 - slot;
    }
    for (uint32_t index = 0; index < NODE_MAX; index++) {
        struct node *node = &world->nodes[index];
        node->model.key_count = 0;
        node->saved.key_count = 0;
        node->run = 1;
        node->rate_ppm = 0;
        node->offset_us = 0;
        node->started_ns = 0;
        node->frozen_until_ns = 0;
        node->down_until_ns = 0;
        node->is_durable = false;
        node->is_promoted = false;
        node->has_forgotten = false;
        node->is_flushed = false;
        node->yes_ns = 0;
        memset(node->counted, 0, sizeof node->counted);
    }
    memset(world->clients, 0, sizeof world->clients);
    for (uint32_t index = 0; index < CLIENT_MAX; index++) {
        world->clients[index].index = index;
    }
    memset(&world->foreign, 0, sizeof world->foreign);
    for (uint32_t index = 0; index < NAME_MAX_COUNT; index++) {
        world->names[index].token_acked = 0;
        world->names[index].grant_count = 0;
        world->names[index].resource_token = 0;
        world->names[index].resource_version = 0;
    }
}

void world_run(
    struct world *world, const struct world_options *options, struct world_result *out_result)
{
    world->options = *options;
    if (world->lua == NULL) world->lua = model_lua_create();
    reset(world);
    world->rng = rng_from(options->seed, 0);
    bool is_crowd = options->crowd > 0 || (options->seed % 40 == 0 && !options->is_tight);
    uint32_t contenders = options->crowd > 0 ? options->crowd : 8 + rng_below(&world->rng, 12);
    if (is_crowd) {
        draw_crowd(world, contenders);
    } else {
        draw(world);
    }
    set_clocks(world);
    world->is_p2_checked = !world->swarm.has_jumps && !world->swarm.has_frozen_clocks;
    bool is_failed = setjmp(world->on_failure) != 0;
    if (!is_failed) live(world);
    out_result->is_failed = is_failed;
    out_result->hash = world->hash;
    memcpy(out_result->what, world->failure, sizeof out_result->what);
}

void world_deinit(struct world *world)
{
    model_lua_destroy(&world->lua);
}
