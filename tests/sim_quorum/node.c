/* The servers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_quorum/parts.h"

const char *const world_names[NAME_MAX_COUNT] = { "a", "b/c", "d" };

int64_t node_now_us(const struct world *world, const struct node *node)
{
    int64_t us = world->now_ns / 1000;
    return WALL_START_US + node->offset_us + us + us * node->rate_ppm / 1000000;
}

void node_run_id(const struct world *world, uint32_t node, char out_text[static 16])
{
    (void)snprintf(out_text, 16, "n%u-%u", node, world->nodes[node].run);
}

/* On its own clock. */
uint64_t node_uptime_ms(const struct world *world, const struct node *node)
{
    int64_t ms = (world->now_ns - node->started_ns) / NS_PER_MS;
    ms += ms * node->rate_ppm / 1000000;
    return (uint64_t)ms / 1000 * 1000;
}

static void key_name(char out_text[static 40], uint32_t name, const char *suffix)
{
    (void)snprintf(out_text, 40, "tenure:{%s}:%s", world_names[name], suffix);
}

int64_t node_holds_ms(
    const struct world *world, uint32_t index, uint32_t name, const char *owner, uint64_t token)
{
    const struct node *node = &world->nodes[index];
    int64_t now_us = node_now_us(world, node);
    const struct model_key *lock = model_find(&node->model, now_us, world_names[name]);
    if (lock == NULL) return -1;
    struct bytes value = { lock->text.data, lock->text.size };
    if (!bytes_equal(value, bytes_from_text(owner))) return -1;
    char text[40];
    key_name(text, name, "fence");
    const struct model_key *fence = model_find(&node->model, now_us, text);
    if (model_number(model_field(fence, "token")) != token) return -1;
    return lock->expires_at_ms - now_us / 1000;
}

/* ------------------------------------------------------------------ checks around a script */

struct before {
    bool is_held;
    struct model_text holder;
    int64_t expires_at_ms;
    uint64_t token, fence, node_floor, node_voted;
};

static struct before look(const struct world *world, uint32_t index, uint32_t name)
{
    const struct node *node = &world->nodes[index];
    int64_t now_us = node_now_us(world, node);
    struct before before = { 0 };
    const struct model_key *lock = model_find(&node->model, now_us, world_names[name]);
    if (lock != NULL) {
        before.is_held = true;
        before.holder = lock->text;
        before.expires_at_ms = lock->expires_at_ms;
    }
    char text[40];
    key_name(text, name, "fence");
    const struct model_key *fence = model_find(&node->model, now_us, text);
    before.token = model_number(model_field(fence, "token"));
    before.fence = model_number(model_field(fence, "fence"));
    const struct model_key *own = model_find(&node->model, now_us, "tenure:node");
    before.node_floor = model_number(model_field(own, "floor"));
    before.node_voted = model_number(model_field(own, "voted"));
    return before;
}

/* The first of the line whose ticket lives; NULL: none. */
static const struct model_entry *
first_alive(const struct world *world, const struct node *node, uint32_t name)
{
    int64_t now_us = node_now_us(world, node);
    char text[40];
    key_name(text, name, "queue");
    const struct model_key *queue = model_find(&node->model, now_us, text);
    key_name(text, name, "waiters");
    const struct model_key *waiters = model_find(&node->model, now_us, text);
    (void)world;
    for (uint32_t index = 0; queue != NULL && index < queue->count; index++) {
        char owner[MODEL_TEXT_SIZE_MAX + 1] = { 0 };
        memcpy(owner, queue->entries[index].name.data, queue->entries[index].name.size);
        struct bytes note = model_field(waiters, owner);
        const char *blank = note.size == 0 ? NULL : memchr(note.data, ' ', note.size);
        if (blank == NULL) continue;
        uint64_t until_ms = model_number((struct bytes){ note.data, (size_t)(blank - note.data) });
        if ((int64_t)until_ms > now_us / 1000) return &queue->entries[index];
    }
    return NULL;
}

static bool is_owner(const struct model_text *text, const char *owner)
{
    return bytes_equal((struct bytes){ text->data, text->size }, bytes_from_text(owner));
}

static void check_vote(
    struct world *world,
    uint32_t index,
    const struct message *message,
    const struct before *before,
    const struct quorum_answer *answer)
{
    bool is_mine = before->is_held && is_owner(&before->holder, message->owner);
    bool is_again = is_mine && before->token == message->call.token;
    if (answer->kind != QUORUM_YES || is_again) return;
    if (message->call.token <= before->fence || message->call.token <= before->node_floor) {
        world_fail(world, "I1: n%u votes below its fence", index);
    }
    if (message->call.token <= world->nodes[index].counted[message->name]) {
        world_fail(world, "I1: n%u votes below a grant that counts its vote", index);
    }
    if (before->is_held && !is_mine) world_fail(world, "I6: n%u votes for two", index);
    const struct model_entry *first = first_alive(world, &world->nodes[index], message->name);
    if (!is_mine && first != NULL && !is_owner(&first->name, message->owner)) {
        world_fail(world, "I8: n%u votes past a living waiter", index);
    }
}

/* Nobody but its owner changes a hold; nothing but its end shortens it. */
static void check_owner(
    struct world *world, uint32_t index, const struct message *message, const struct before *before)
{
    struct before after = look(world, index, message->name);
    if (after.fence < before->fence) world_fail(world, "I1: the fence of n%u falls", index);
    if (after.node_voted < before->node_voted || after.node_floor < before->node_floor) {
        world_fail(world, "I1: floor or memory of n%u falls", index);
    }
    enum quorum_verb verb = message->call.verb;
    if (!before->is_held && after.is_held && verb != QUORUM_VOTE && verb != QUORUM_HEAL) {
        world_fail(world, "I6: n%u makes anew what it does not have", index);
    }
    if (!before->is_held) return;
    bool is_same = after.is_held && after.holder.size == before->holder.size &&
                   memcmp(after.holder.data, before->holder.data, after.holder.size) == 0;
    bool is_mine = is_owner(&before->holder, message->owner);
    if (!is_mine && (!is_same || after.expires_at_ms != before->expires_at_ms)) {
        world_fail(world, "I6: n%u lets a stranger change a hold", index);
    }
    bool is_end = verb == QUORUM_RELEASE || verb == QUORUM_ABANDON || verb == QUORUM_YIELD;
    if (is_mine && is_end && is_same && before->token <= message->call.token) {
        world_fail(world, "I6: n%u does not delete what its owner gives up", index);
    }
    bool is_gone_early = is_mine && is_end && !is_same && before->token > message->call.token;
    if (is_gone_early) world_fail(world, "I6: a late release deletes a newer vote on n%u", index);
    if (is_mine && !is_end && (!is_same || after.expires_at_ms < before->expires_at_ms)) {
        bool is_vote = verb == QUORUM_VOTE && is_same;
        if (!is_vote) world_fail(world, "I7: n%u ends or shortens a hold", index);
    }
    int64_t longest_ms = (int64_t)message->call.ttl_ms;
    bool is_longer =
        after.is_held && after.expires_at_ms > before->expires_at_ms &&
        after.expires_at_ms > node_now_us(world, &world->nodes[index]) / 1000 + longest_ms;
    if (is_longer) world_fail(world, "I7: n%u keeps a hold longer than was asked for", index);
}

/* A node that does not vote does not testify either: it may have forgotten who was in between. */
static void check_witness(
    struct world *world,
    uint32_t index,
    const struct message *message,
    const struct quorum_answer *answer)
{
    enum quorum_verb verb = message->call.verb;
    bool is_end = verb == QUORUM_RELEASE || verb == QUORUM_ABANDON || verb == QUORUM_YIELD;
    const struct node *node = &world->nodes[index];
    const struct model_key *own = model_find(&node->model, node_now_us(world, node), "tenure:node");
    bool is_in = bytes_equal(model_field(own, "pass"), bytes_from_text(message->pass));
    if (!is_end || is_in) return;
    bool is_clean = answer->kind != QUORUM_HELD && answer->voted <= message->call.token;
    if (answer->kind == QUORUM_DELETED || is_clean) {
        world_fail(world, "I5: n%u testifies, but was not let in", index);
    }
}

static void probe_answer(
    struct world *world,
    const struct message *message,
    const struct before *before,
    const struct quorum_answer *answer)
{
    uint64_t token = message->call.token;
    if (answer->kind == QUORUM_MUTE) world_probe(world, PROBE_MUTE);
    if (answer->kind == QUORUM_HEALED) world_probe(world, PROBE_HEALED);
    bool is_heal_refused = message->call.verb == QUORUM_HEAL && answer->kind == QUORUM_GONE;
    if (is_heal_refused) world_probe(world, PROBE_HEAL_REFUSED);
    if (answer->kind != QUORUM_STALE) return;
    if (token == before->fence) world_probe(world, PROBE_LATE_VOTE_REFUSED);
    if (token > before->fence) world_probe(world, PROBE_FLOOR_REFUSED);
}

/* ------------------------------------------------------------------ serving */

static void wake(struct world *world, uint32_t index, const struct model_reply *reply)
{
    for (uint32_t at = 0; at < reply->message_count; at++) {
        const struct model_message *published = &reply->messages[at];
        struct quorum_wake hint;
        if (!quorum_wake_read((struct bytes){ published->data, published->size }, &hint)) {
            world_fail(world, "a wake-up that cannot be read");
        }
        unsigned client = 0;
        unsigned incarnation = 0;
        char channel[MODEL_TEXT_SIZE_MAX + 1] = { 0 };
        memcpy(channel, published->channel.data, published->channel.size);
        if (sscanf(channel, "tenure:wake:%u-%u", &client, &incarnation) != 2) {
            world_fail(world, "a wake-up to nobody: %s", channel);
        }
        struct message message = { .client = client,
                                   .incarnation = incarnation,
                                   .node = index,
                                   .link = world->clients[client].links[index].number,
                                   .is_wake = true,
                                   .fence = hint.fence };
        memcpy(message.owner, hint.owner.data, hint.owner.size);
        network_answer(world, &message);
    }
}

static void keep_text(char target[static 96], struct bytes *text)
{
    if (text->size > 0) memcpy(target, text->data, text->size);
    text->data = target;
}

static struct quorum_answer
run(struct world *world, uint32_t index, const struct message *message, struct model_reply *reply)
{
    struct node *node = &world->nodes[index];
    char channel[40];
    (void)snprintf(
        channel, sizeof channel, "tenure:wake:%u-%u", message->client, message->incarnation);
    const struct quorum_texts texts = {
        .name = bytes_from_text(world_names[message->name]),
        .owner = bytes_from_text(message->owner),
        .channel = bytes_from_text(channel),
        .meta = BYTES_LITERAL(""),
        .pass = bytes_from_text(message->pass),
        .run_id = bytes_from_text(message->run_id),
        .config = bytes_from_text(message->config == NULL ? "" : message->config),
    };
    struct quorum_command command;
    quorum_command_write(&message->call, &texts, &command);
    model_command(world->lua, &node->model, node_now_us(world, node), &command, reply);
    world->script_count++;
    if (reply->is_error) world_fail(world, "script: %s", reply->error);
    struct quorum_answer answer;
    if (!quorum_answer_read(reply->values, reply->count, &answer)) {
        world_fail(world, "an answer that cannot be read");
    }
    return answer;
}

/* A script that comes twice in a row gives the same answer (I11). */
static void repeat(
    struct world *world,
    uint32_t index,
    const struct message *message,
    const struct quorum_answer *answer)
{
    enum quorum_answer_kind kind = answer->kind;
    struct model_reply reply;
    struct quorum_answer second = run(world, index, message, &reply);
    bool is_healed = kind == QUORUM_HEALED && second.kind == QUORUM_YES;
    if (second.kind != kind && !is_healed) {
        world_fail(
            world,
            "I11: n%u answers %d, then %d to %d",
            index,
            (int)kind,
            (int)second.kind,
            (int)message->call.verb);
    }
    world_probe(world, PROBE_REPEATED);
}

/* What would it say to a renewal of an older grant of the same owner, which is late?  Not yes. */
static void ask_for_older(struct world *world, uint32_t index, const struct message *message)
{
    struct node *node = &world->nodes[index];
    struct message older = *message;
    struct model_reply reply;
    older.call.token--;
    world->spare = node->model;
    struct quorum_answer answer = run(world, index, &older, &reply);
    node->model = world->spare;
    if (answer.kind == QUORUM_YES || answer.kind == QUORUM_HEALED) {
        world_fail(world, "I6: n%u renews another grant", index);
    }
}

static const char foreign_set[] =
    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then "
    "return 1 end return 0";
static const char foreign_delete[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then "
                                     "return redis.call('DEL', KEYS[1]) end return 0";

static void serve_foreign(struct world *world, uint32_t index, struct message *message)
{
    struct node *node = &world->nodes[index];
    bool is_set = message->kind == MESSAGE_FOREIGN_SET;
    char life[16];
    (void)snprintf(life, sizeof life, "%u", message->call.ttl_ms);
    const struct bytes key = bytes_from_text(world_names[message->name]);
    const struct bytes arguments[2] = { bytes_from_text(message->owner), bytes_from_text(life) };
    const struct model_script script = {
        .text = is_set ? bytes_from_text(foreign_set) : bytes_from_text(foreign_delete),
        .keys = &key,
        .key_count = 1,
        .arguments = arguments,
        .argument_count = 2,
    };
    struct model_reply reply;
    model_run(world->lua, &node->model, node_now_us(world, node), &script, &reply);
    if (reply.is_error) world_fail(world, "foreign script: %s", reply.error);
    message->is_answer = true;
    message->fence = (uint64_t)reply.values[0].integer;
    network_answer(world, message);
}

/* What a node must have that votes again and has forgotten something: a floor as high as every
 * grant that counts a vote of it, and of which it tells others; and time must have passed. */
static void check_admission(struct world *world, uint32_t index, const struct quorum_answer *answer)
{
    const struct node *node = &world->nodes[index];
    int64_t life_ns = (int64_t)world->swarm.ttl_ms_max * NS_PER_MS;
    bool is_early = node->yes_ns > 0 && world->now_ns < node->yes_ns + life_ns;
    /* Before a majority could vote at all, whose word it is that all is new cannot know better. */
    uint32_t others = (uint32_t)__builtin_popcount(world->let_in & ~(1u << index));
    bool is_first_start = others + 1 < world_majority(world);
    if (node->has_forgotten && is_early && !is_first_start) {
        world_fail(world, "I3: n%u votes while leases live that it has forgotten", index);
    }
    if (answer->voted < answer->floor) {
        world_fail(world, "I1: n%u does not tell of what is below its floor", index);
    }
    for (uint32_t name = 0; node->has_forgotten && name < world->swarm.name_count; name++) {
        if (answer->floor < node->counted[name]) {
            world_fail(world, "I1: n%u has a floor below a grant that counts its vote", index);
        }
    }
}

static void note_admission(
    struct world *world,
    uint32_t index,
    const struct message *message,
    const struct quorum_answer *answer,
    const struct before *before)
{
    struct node *node = &world->nodes[index];
    char pass[32];
    char run_id[16];
    node_run_id(world, index, run_id);
    (void)snprintf(pass, sizeof pass, "%s cfg", run_id);
    bool is_in = bytes_equal(answer->pass, bytes_from_text(pass));
    if (message->call.verb != QUORUM_ADMIT || !is_in) return;
    check_admission(world, index, answer);
    world_probe(world, PROBE_ADMITTED);
    if (message->call.is_durable && message->call.token == 0) {
        world_probe(world, PROBE_ADMITTED_DURABLE);
    }
    if (answer->floor > before->node_voted) world_probe(world, PROBE_FLOOR_RAISED);
    node->has_forgotten = false;
    node->is_flushed = false;
    world->let_in |= 1u << index;
    world_say(world, "n%u: let in, floor %" PRIu64, index, answer->floor % 100000000000);
}

void node_serve(struct world *world, uint32_t index, uint32_t slot)
{
    struct node *node = &world->nodes[index];
    struct message message = world->messages[slot];
    bool is_lost = world->now_ns < node->down_until_ns || message.run != node->run;
    if (!is_lost && world->now_ns < node->frozen_until_ns) {
        world_push(world, node->frozen_until_ns, EVENT_TO_NODE, index, slot);
        return;
    }
    world->message_free[world->message_free_count++] = slot;
    if (is_lost) return;
    if (message.kind != MESSAGE_CALL) {
        serve_foreign(world, index, &message);
        return;
    }
    struct before before = look(world, index, message.name);
    struct model_reply reply;
    struct quorum_answer answer = run(world, index, &message, &reply);
    world_mix(world, (uint64_t)answer.kind << 32 | index);
    bool is_yes = answer.kind == QUORUM_YES || answer.kind == QUORUM_HEALED;
    if (is_yes) node->yes_ns = world->now_ns;
    if (message.op_id != 0) {
        if (message.call.verb == QUORUM_VOTE) check_vote(world, index, &message, &before, &answer);
        check_owner(world, index, &message, &before);
        check_witness(world, index, &message, &answer);
        probe_answer(world, &message, &before, &answer);
    } else {
        note_admission(world, index, &message, &answer, &before);
    }
    message.is_answer = true;
    message.answer = answer;
    keep_text(message.answer_texts[0], &message.answer.owner);
    keep_text(message.answer_texts[1], &message.answer.pass);
    keep_text(message.answer_texts[2], &message.answer.config);
    keep_text(message.answer_texts[3], &message.answer.met);
    wake(world, index, &reply);
    network_answer(world, &message);
    bool is_repeated = message.op_id != 0 && rng_percent(&world->rng, 2);
    if (is_repeated) repeat(world, index, &message, &answer);
    bool is_renewed = is_repeated && message.call.verb == QUORUM_RENEW;
    if (is_renewed && answer.kind == QUORUM_YES) ask_for_older(world, index, &message);
}

/* ------------------------------------------------------------------ faults */

static void cut_all(struct world *world, uint32_t index)
{
    for (uint32_t client = 0; client < world->swarm.client_count; client++) {
        client_link_down(world, &world->clients[client], index);
    }
}

void node_restart(struct world *world, uint32_t index, unsigned how)
{
    struct node *node = &world->nodes[index];
    static const char *const words[] = { "kept", "the last writes lost", "empty", "promoted" };
    static const enum probe probes[] = {
        PROBE_RESTART_KEPT, PROBE_RESTART_BACK, PROBE_RESTART_EMPTY, PROBE_PROMOTED
    };
    world_probe(world, probes[how]);
    world_say(world, "n%u: restarts, %s", index, words[how]);
    if (how == RESTART_BACK || how == RESTART_PROMOTED) node->model = node->saved;
    if (how == RESTART_EMPTY) node->model.key_count = 0;
    if (how != RESTART_KEPT) node->has_forgotten = true;
    if (how != RESTART_PROMOTED) node->is_flushed = false;
    node->saved = node->model;
    node->run++;
    node->is_promoted = how == RESTART_PROMOTED;
    if (how != RESTART_PROMOTED) {
        int64_t pause_ns = rng_scale(&world->rng, 1, 1500) * NS_PER_MS;
        node->down_until_ns = world->now_ns + pause_ns;
        node->started_ns = node->down_until_ns;
    }
    cut_all(world, index);
}

/* The clock of the node goes ahead, and so its keys end early. */
void node_jump(struct world *world, uint32_t index)
{
    struct node *node = &world->nodes[index];
    world_probe(world, PROBE_JUMP);
    world_say(world, "n%u: its keys expire", index);
    for (uint32_t key = 0; key < node->model.key_count; key++) {
        struct model_key *victim = &node->model.keys[key];
        if (victim->expires_at_ms != MODEL_NEVER) victim->expires_at_ms = 0;
    }
}

void node_flush(struct world *world, uint32_t index)
{
    struct node *node = &world->nodes[index];
    world_probe(world, PROBE_FLUSHED);
    world_say(world, "n%u: flushed", index);
    node->model.key_count = 0;
    node->saved = node->model;
    node->has_forgotten = true;
    node->is_flushed = true;
}
