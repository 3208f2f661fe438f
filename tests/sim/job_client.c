#include <inttypes.h>
#include <stdlib.h>

#include "sim/world.h"

struct bytes job_queue_name(uint32_t queue)
{
    static const char *const names[JOB_QUEUE_COUNT] = { "mail", "video/encode" };
    return bytes_from_text(names[queue]);
}

struct bytes job_group_name(uint32_t group)
{
    static const char *const names[JOB_GROUP_COUNT] = { "", "ann", "bob" };
    return bytes_from_text(names[group]);
}

static struct bytes key_name(uint32_t key)
{
    static const char *const names[JOB_KEY_COUNT + 1] = { "k0", "k1", "" };
    return bytes_from_text(names[key]);
}

/* -------------------------------------------------------------------- beliefs */

static struct job_belief *belief_find(struct world *world, uint64_t number, struct token token)
{
    for (uint32_t index = 0; index < JOB_BELIEF_MAX; index++) {
        struct job_belief *belief = &world->jobs.beliefs[index];
        bool is_it = belief->is_used && belief->token.value == token.value;
        if (is_it && (number == 0 || belief->number == number)) return belief;
    }
    return NULL;
}

static struct job_belief *belief_new(struct world *world)
{
    for (uint32_t index = 0; index < JOB_BELIEF_MAX; index++) {
        struct job_belief *belief = &world->jobs.beliefs[index];
        if (!belief->is_used) return belief;
        if (belief->valid_until_ns + 60 * NS_PER_S < world->now_ns) return belief;
    }
    return NULL;
}

/* J2: no two at the same true time. */
static void check_alone(struct world *world, const struct job_belief *belief)
{
    for (uint32_t index = 0; index < JOB_BELIEF_MAX; index++) {
        const struct job_belief *other = &world->jobs.beliefs[index];
        if (!other->is_used || other == belief || other->number != belief->number) continue;
        if (!other->is_working || other->valid_until_ns <= world->now_ns) continue;
        if (other->token.value == belief->token.value) continue;
        world_fail(
            world,
            "J2: %s is believed to be had twice, tokens %" PRIu64 " and %" PRIu64,
            belief->id,
            other->token.value,
            belief->token.value);
    }
}

static void
believe(struct world *world, const struct request *request, const struct job_reply *item)
{
    if (belief_find(world, item->number, item->token) != NULL) return;
    struct job_belief *belief = belief_new(world);
    if (belief == NULL) return;
    *belief = (struct job_belief){
        .is_used = true,
        .client = request->client,
        .queue = item->queue,
        .number = item->number,
        .token = item->token,
        .lease_ms = item->lease_ms,
        .is_bound = request->ask.is_bound,
        .valid_until_ns =
            client_careful_until(world, request->client, request->sent_ns, item->lease_ms),
        .latest_ns = WORLD_NEVER,
    };
    memcpy(belief->id, item->id, sizeof belief->id);
    if (item->timeout_ms > 0) {
        belief->latest_ns =
            client_careful_until(world, request->client, request->sent_ns, item->timeout_ms);
    }
    if (belief->latest_ns < belief->valid_until_ns) belief->valid_until_ns = belief->latest_ns;
    belief->is_working = belief->valid_until_ns > world->now_ns;
    belief->next_ns = world->now_ns + rng_scale(&world->rng, NS_PER_MS, 3 * NS_PER_S);
    if (belief->is_working) check_alone(world, belief);
}

/* --------------------------------------------------------------------- asking */

static struct request *ask(struct world *world, enum engine_command_kind kind, uint32_t client)
{
    struct request *request = client_request_new(world, kind, client);
    if (request != NULL) request->ask.queue = rng_below(&world->rng, JOB_QUEUE_COUNT);
    return request;
}

static struct item_terms draw_terms(struct world *world)
{
    struct rng *rng = &world->rng;
    int64_t wall_us = world_wall(world).us;
    struct item_terms terms = {
        .lease_ms = (uint32_t)rng_scale(rng, LIMIT_TTL_MS_MIN, 8000),
        .retention_ms = rng_percent(rng, 50) ? (uint32_t)rng_scale(rng, 1, 20000) : 0,
        .backoff_ms = rng_percent(rng, 60) ? (uint32_t)rng_scale(rng, 1, 2000) : 0,
        .backoff_ms_max = rng_percent(rng, 30) ? 3000 : 0,
        .attempts_max = (uint16_t)rng_below(rng, 5),
        .lapses_max = (uint8_t)rng_below(rng, 4),
        .priority = rng_percent(rng, 40) ? (uint8_t)rng_below(rng, 10) : 0,
        .backoff = (uint8_t)rng_below(rng, ITEM_BACKOFF_COUNT),
        .jitter = rng_percent(rng, 30) ? 40 : 0,
    };
    if (rng_percent(rng, 20)) terms.timeout_ms = (uint32_t)rng_scale(rng, 100, 10000);
    if (rng_percent(rng, 25)) terms.run_at_us = wall_us + rng_scale(rng, 1000, 4000000);
    if (rng_percent(rng, 12)) terms.expires_at_us = wall_us + rng_scale(rng, 1000, 8000000);
    return terms;
}

static void ask_put(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    struct request *request = ask(world, ENGINE_PUT, client);
    if (request == NULL) return;
    request->ask.put_count = 1 + (rng_percent(rng, 30) ? rng_below(rng, JOB_PUT_COUNT_MAX) : 0);
    for (uint32_t index = 0; index < request->ask.put_count; index++) {
        request->ask.puts[index].terms = draw_terms(world);
        struct item_terms *terms = &request->ask.puts[index].terms;
        request->ask.puts[index].group = rng_below(rng, JOB_GROUP_COUNT);
        request->ask.puts[index].body_size = 1 + (rng_percent(rng, 10) ? 700 : rng_below(rng, 40));
        request->ask.puts[index].key = JOB_NO_KEY;
        char *id = request->ask.puts[index].id;
        if (rng_percent(rng, 20)) {
            snprintf(id, JOB_ID_SIZE, "n%u", rng_below(rng, 8));
        } else if (rng_percent(rng, 80)) {
            snprintf(id, JOB_ID_SIZE, "j%" PRIu64, world->jobs.next_id++);
        }
        if (!rng_percent(rng, world->swarm.key_percent)) continue;
        request->ask.puts[index].key = rng_below(rng, JOB_KEY_COUNT);
        terms->unique_scope = (uint8_t)(1 + rng_below(rng, UNIQUE_SCOPE_COUNT - 1));
        terms->conflict = (uint8_t)rng_below(rng, UNIQUE_CONFLICT_COUNT);
        if (terms->unique_scope == UNIQUE_WINDOW) {
            terms->unique_ms = (uint32_t)rng_scale(rng, 1, 8000);
        }
    }
    client_submit(world, request);
}

static void ask_take(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    struct request *request = ask(world, ENGINE_TAKE, client);
    if (request == NULL) return;
    request->ask.queue_count = 1 + rng_below(rng, JOB_QUEUE_COUNT);
    request->ask.count_max = rng_percent(rng, 75) ? 1 : 1 + rng_below(rng, REQUEST_ITEM_COUNT_MAX);
    request->ask.lease_ms =
        rng_percent(rng, 30) ? (uint32_t)rng_scale(rng, LIMIT_TTL_MS_MIN, 6000) : 0;
    request->ask.is_bound = rng_percent(rng, 40);
    request->ask.grace_ms = rng_percent(rng, 70) ? (uint32_t)rng_scale(rng, 1, 2000) : 0;
    request->wait_ms = rng_percent(rng, 60) ? (uint32_t)rng_scale(rng, 1, 15000) : 0;
    client_submit(world, request);
}

/* From the moment it says the end, it works no more. */
static void say(struct world *world, struct job_belief *belief, enum engine_command_kind kind)
{
    struct rng *rng = &world->rng;
    /* Who does not bind may speak over any connection. */
    bool is_binding = kind == ENGINE_EXTEND && rng_percent(rng, 70);
    bool is_elsewhere = kind == ENGINE_EXTEND && !is_binding;
    uint32_t client = is_elsewhere ? rng_below(rng, world->swarm.client_count) : belief->client;
    struct request *request = ask(world, kind, client);
    if (request == NULL) return;
    request->ask.queue = belief->queue;
    memcpy(request->ask.id, belief->id, sizeof belief->id);
    request->ask.token = belief->token;
    if (rng_percent(rng, 2)) request->ask.token.value--;
    request->ask.lease_ms = ENGINE_TTL_KEEP;
    if (kind == ENGINE_EXTEND) {
        request->ask.has_progress = rng_percent(rng, 30);
        request->ask.is_binding = is_binding;
        /* To less, and not known when: only what is left for sure counts. */
        if (rng_percent(rng, 15)) {
            request->ask.lease_ms = (uint32_t)rng_scale(rng, LIMIT_TTL_MS_MIN, 8000);
            int64_t until_ns =
                client_careful_until(world, belief->client, world->now_ns, request->ask.lease_ms);
            if (until_ns < belief->valid_until_ns) belief->valid_until_ns = until_ns;
            belief->is_fixed = true;
        }
    } else {
        belief->is_working = false;
        bool has_change = kind == ENGINE_DONE && world->swarm.has_state &&
                          rng_percent(rng, world->swarm.change_percent);
        if (has_change) state_draw_change(world, belief->client, &request->change);
        request->ask.delay_ms = ENGINE_DELAY_BACKOFF;
        if (rng_percent(rng, 30)) request->ask.delay_ms = (uint32_t)rng_scale(rng, 1, 3000);
        if (rng_percent(rng, 20)) request->ask.delay_ms = 0;
        request->ask.is_free = rng_percent(rng, 15);
    }
    client_submit(world, request);
}

static void ask_about(struct world *world, enum engine_command_kind kind, uint32_t client)
{
    struct rng *rng = &world->rng;
    struct request *request = ask(world, kind, client);
    if (request == NULL) return;
    if (world->jobs.count > 0 && rng_percent(rng, 90)) {
        const struct job *job = &world->jobs.items[rng_below(rng, world->jobs.count)];
        request->ask.queue = job->queue;
        memcpy(request->ask.id, job->id, sizeof job->id);
    } else {
        snprintf(request->ask.id, JOB_ID_SIZE, "n%u", rng_below(rng, 8));
    }
    if (kind == ENGINE_AWAIT && rng_percent(rng, 80)) {
        request->wait_ms = (uint32_t)rng_scale(rng, 1, 15000);
    }
    client_submit(world, request);
}

static void ask_sweep(struct world *world, enum engine_command_kind kind, uint32_t client)
{
    static const enum item_state states[] = {
        ITEM_DELAYED, ITEM_READY, ITEM_DONE, ITEM_DEAD, ITEM_DEAD, ITEM_CANCELLED,
    };
    struct request *request = ask(world, kind, client);
    if (request == NULL) return;
    request->ask.count_max = 1 + rng_below(&world->rng, 8);
    request->ask.state = states[rng_below(&world->rng, 6)];
    bool has_keys = world->swarm.key_percent > 50;
    if (has_keys && rng_percent(&world->rng, 50)) request->ask.state = ITEM_DELAYED;
    client_submit(world, request);
}

static struct group_limits draw_limits(struct world *world)
{
    struct rng *rng = &world->rng;
    struct group_limits limits = GROUP_LIMITS_NONE;
    if (rng_percent(rng, 50)) limits.running_max = 1 + rng_below(rng, 3);
    if (rng_percent(rng, 25)) limits.size_max = 2 + rng_below(rng, 8);
    if (rng_percent(rng, 40)) limits.weight = 1 + rng_below(rng, 3);
    if (rng_percent(rng, 25)) {
        limits.rate_count = 1 + rng_below(rng, 4);
        limits.rate_ms = (uint32_t)rng_scale(rng, 10, 2000);
        limits.burst = 1 + rng_below(rng, 3);
    }
    return limits;
}

static void ask_scope(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    uint32_t dice = rng_below(rng, 100);
    enum engine_command_kind kind = ENGINE_RESUME;
    if (dice < 20) kind = ENGINE_PAUSE;
    if (dice >= 60) kind = ENGINE_LIMIT;
    struct request *request = ask(world, kind, client);
    if (request == NULL) return;
    request->ask.is_whole = rng_percent(rng, 40);
    request->ask.group = request->ask.is_whole ? 0 : rng_below(rng, JOB_GROUP_COUNT);
    request->ask.limits = draw_limits(world);
    client_submit(world, request);
}

static void administer(struct world *world, uint32_t client)
{
    uint32_t dice = rng_below(&world->rng, 100);
    if (dice < 20) {
        ask_about(world, ENGINE_CANCEL_ITEM, client);
    } else if (dice < 40) {
        ask_about(world, ENGINE_KICK, client);
    } else if (dice < 60) {
        ask_sweep(world, ENGINE_PURGE, client);
    } else if (dice < 75) {
        ask_sweep(world, ENGINE_REDRIVE, client);
    } else {
        ask_scope(world, client);
    }
}

void job_act(struct world *world, uint32_t client)
{
    uint32_t dice = rng_below(&world->rng, 100);
    if (rng_percent(&world->rng, world->swarm.admin_percent)) {
        administer(world, client);
    } else if (dice < 48) {
        ask_put(world, client);
    } else if (dice < 92) {
        ask_take(world, client);
    } else {
        ask_about(world, ENGINE_AWAIT, client);
    }
}

/* -------------------------------------------------------------------- workers */

void job_turn(struct world *world)
{
    for (uint32_t index = 0; index < JOB_BELIEF_MAX; index++) {
        struct job_belief *belief = &world->jobs.beliefs[index];
        if (!belief->is_used || belief->next_ns > world->now_ns) continue;
        belief->next_ns = WORLD_NEVER;
        bool is_late = belief->valid_until_ns <= world->now_ns;
        /* Some work on although their lease is over, some die. */
        if (world->is_calm || (is_late && rng_percent(&world->rng, 60))) continue;
        uint32_t dice = rng_below(&world->rng, 100);
        if (dice < 10) continue;
        enum engine_command_kind kind = ENGINE_DONE;
        if (dice >= 50) kind = ENGINE_EXTEND;
        if (dice >= 78) kind = ENGINE_FAIL;
        if (dice >= 96) kind = ENGINE_BURY;
        say(world, belief, kind);
        if (kind != ENGINE_EXTEND && !rng_percent(&world->rng, 10)) continue;
        int64_t pause_ns = belief->lease_ms * NS_PER_MS / 3;
        belief->next_ns = world->now_ns + pause_ns;
    }
}

int64_t job_next_ns(const struct world *world)
{
    int64_t next_ns = WORLD_NEVER;
    if (world->is_calm) return next_ns;
    for (uint32_t index = 0; index < JOB_BELIEF_MAX; index++) {
        const struct job_belief *belief = &world->jobs.beliefs[index];
        if (belief->is_used && belief->next_ns < next_ns) next_ns = belief->next_ns;
    }
    return next_ns;
}

/* J2: an effect whose success was told happens once. */
static void note_effect(struct world *world, const struct request *request)
{
    struct jobs *jobs = &world->jobs;
    const struct job_belief *belief = belief_find(world, 0, request->ask.token);
    if (belief == NULL || strcmp(belief->id, request->ask.id) != 0) return;
    for (uint32_t index = 0; index < jobs->effect_count; index++) {
        const struct job_effect *effect = &jobs->effects[index];
        if (effect->number != belief->number) continue;
        if (effect->token.value == belief->token.value) return;
        world_fail(world, "J2: %s was done twice", belief->id);
    }
    if (jobs->effect_count == jobs->effect_capacity) {
        jobs->effect_capacity = jobs->effect_capacity == 0 ? 64 : jobs->effect_capacity * 2;
        jobs->effects = realloc(jobs->effects, jobs->effect_capacity * sizeof *jobs->effects);
        if (jobs->effects == NULL) abort();
    }
    jobs->effects[jobs->effect_count++] = (struct job_effect){ .queue = belief->queue,
                                                               .number = belief->number,
                                                               .token = belief->token };
}

static void on_extended(struct world *world, const struct request *request)
{
    const struct job_reply *item = &request->reply.items[0];
    struct job_belief *belief = belief_find(world, 0, request->ask.token);
    if (belief == NULL || request->reply.item_count == 0) return;
    if (item->err == TENURE_LOST) belief->is_working = false;
    if (item->err != TENURE_OK || !belief->is_working) return;
    int64_t until_ns =
        client_careful_until(world, request->client, request->sent_ns, item->remaining_ms);
    if (until_ns > belief->latest_ns) until_ns = belief->latest_ns;
    if (!belief->is_fixed && until_ns > belief->valid_until_ns) belief->valid_until_ns = until_ns;
    if (belief->valid_until_ns > world->now_ns) check_alone(world, belief);
}

static void finish_in_calm(struct world *world, const struct request *taken, uint32_t index)
{
    const struct job_reply *item = &taken->reply.items[index];
    struct request *request = ask(world, ENGINE_DONE, taken->client);
    if (request == NULL) return; /* its lease ends */
    request->ask.queue = item->queue;
    memcpy(request->ask.id, item->id, sizeof item->id);
    request->ask.token = item->token;
    client_submit(world, request);
}

void job_replied(struct world *world, const struct request *request)
{
    const struct reply_copy *reply = &request->reply;
    bool is_taken = request->kind == ENGINE_TAKE && reply->err == TENURE_OK;
    for (uint32_t index = 0; is_taken && index < reply->item_count; index++) {
        believe(world, request, &reply->items[index]);
        if (world->is_calm) finish_in_calm(world, request, index);
    }
    if (request->kind == ENGINE_EXTEND) on_extended(world, request);
    if (request->kind == ENGINE_DONE && reply->err == TENURE_OK) note_effect(world, request);
}

/* Leases that are bound end soon: the worker knows that as well. */
void job_disconnected(struct world *world, uint32_t client)
{
    for (uint32_t index = 0; index < JOB_BELIEF_MAX; index++) {
        struct job_belief *belief = &world->jobs.beliefs[index];
        if (!belief->is_used || belief->client != client || !belief->is_bound) continue;
        belief->is_working = false;
    }
}

/* ----------------------------------------------------------------------- calm */

bool job_is_still(const struct world *world)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        if (world->jobs.items[index].state <= ITEM_TAKEN) return false;
    }
    return true;
}

static bool is_asking(const struct world *world, enum engine_command_kind kind)
{
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        const struct request *request = &world->requests[index];
        if (request->state != REQUEST_FREE && request->kind == kind) return true;
    }
    return false;
}

static void resume(struct world *world, uint32_t queue, uint32_t group, bool is_whole)
{
    struct request *request = ask(world, ENGINE_RESUME, 0);
    if (request == NULL) return;
    request->ask.queue = queue;
    request->ask.group = group;
    request->ask.is_whole = is_whole;
    client_submit(world, request);
}

/* What a clock that was set has put off for years. */
static void kick_far(struct world *world)
{
    if (is_asking(world, ENGINE_KICK)) return;
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        const struct job *job = &world->jobs.items[index];
        if (job->state != ITEM_DELAYED || job->is_kept_back) continue;
        if (job->ready_ns < world->now_ns + 10 * NS_PER_S) continue;
        struct request *request = ask(world, ENGINE_KICK, 0);
        if (request == NULL) return;
        request->ask.queue = job->queue;
        memcpy(request->ask.id, job->id, sizeof job->id);
        client_submit(world, request);
    }
}

void job_give_back(struct world *world)
{
    kick_far(world);
    if (is_asking(world, ENGINE_RESUME) || is_asking(world, ENGINE_TAKE)) return;
    for (uint32_t queue = 0; queue < JOB_QUEUE_COUNT; queue++) {
        const struct job_queue *of = &world->jobs.queues[queue];
        if (of->is_paused) resume(world, queue, 0, true);
        for (uint32_t group = 0; group < JOB_GROUP_COUNT; group++) {
            if (of->groups[group].is_paused) resume(world, queue, group, false);
        }
    }
    struct request *request = ask(world, ENGINE_TAKE, 0);
    if (request == NULL || job_is_still(world)) return;
    request->ask.queue_count = JOB_QUEUE_COUNT;
    request->ask.count_max = REQUEST_ITEM_COUNT_MAX;
    client_submit(world, request);
}

/* -------------------------------------------------------------------- commands */

static void build_put(const struct request *request, struct engine_command *command)
{
    static char body[1024];
    static struct engine_put puts[JOB_PUT_COUNT_MAX];
    memset(body, 'b', sizeof body);
    for (uint32_t index = 0; index < request->ask.put_count; index++) {
        puts[index] = (struct engine_put){
            .queue = job_queue_name(request->ask.queue),
            .id = bytes_from_text(request->ask.puts[index].id),
            .group = job_group_name(request->ask.puts[index].group),
            .unique = key_name(request->ask.puts[index].key),
            .headers = BYTES_LITERAL("h"),
            .body = { body, request->ask.puts[index].body_size },
            .terms = request->ask.puts[index].terms,
        };
    }
    command->as.put.items = puts;
    command->as.put.count = request->ask.put_count;
}

static void build_take(const struct request *request, struct engine_command *command)
{
    static struct bytes queues[JOB_QUEUE_COUNT];
    for (uint32_t at = 0; at < request->ask.queue_count; at++) {
        queues[at] = job_queue_name((request->ask.queue + at) % JOB_QUEUE_COUNT);
    }
    command->as.take = (struct engine_take){
        .queues = queues,
        .queue_count = request->ask.queue_count,
        .worker = BYTES_LITERAL("worker"),
        .count_max = request->ask.count_max,
        .wait_ms = request->wait_ms,
        .lease_ms = request->ask.lease_ms,
        .is_bound = request->ask.is_bound,
        .grace_ms = request->ask.grace_ms,
    };
}

static void build_claim(const struct request *request, struct engine_command *command)
{
    static struct engine_work_claim claim;
    claim = (struct engine_work_claim){
        .queue = job_queue_name(request->ask.queue),
        .id = bytes_from_text(request->ask.id),
        .token = request->ask.token,
        .lease_ms = request->ask.lease_ms,
    };
    if (request->ask.has_progress) claim.progress = BYTES_LITERAL("half");
    if (request->kind == ENGINE_EXTEND) {
        command->as.extend.claims = &claim;
        command->as.extend.count = 1;
        command->as.extend.is_binding = request->ask.is_binding;
        return;
    }
    command->as.end_work = (struct engine_end_work){
        .claim = claim,
        .delay_ms = request->ask.delay_ms,
        .is_free = request->ask.is_free,
    };
    if (request->kind == ENGINE_DONE) command->as.end_work.result = BYTES_LITERAL("result");
    if (request->change.has_change) command->as.end_work.change = state_change(&request->change);
    if (request->kind != ENGINE_DONE) command->as.end_work.reason = BYTES_LITERAL("reason");
}

void job_command(const struct request *request, struct engine_command *command)
{
    struct bytes queue = job_queue_name(request->ask.queue);
    struct bytes id = bytes_from_text(request->ask.id);
    switch ((unsigned)request->kind) {
    case ENGINE_PUT: build_put(request, command); return;
    case ENGINE_TAKE: build_take(request, command); return;
    case ENGINE_EXTEND:
    case ENGINE_DONE:
    case ENGINE_FAIL:
    case ENGINE_BURY: build_claim(request, command); return;
    case ENGINE_CANCEL_ITEM:
    case ENGINE_KICK:
        command->as.item = (struct engine_item_name){ queue, id, BYTES_LITERAL("admin") };
        return;
    case ENGINE_REDRIVE:
    case ENGINE_PURGE:
        command->as.sweep = (struct engine_sweep){ .queue = queue,
                                                   .state = request->ask.state,
                                                   .count_max = request->ask.count_max };
        return;
    case ENGINE_AWAIT:
        command->as.await_end = (struct engine_await){ queue, id, request->wait_ms };
        return;
    default:
        command->as.scope = (struct engine_scope){
            .queue = queue,
            .is_whole = request->ask.is_whole,
            .group = job_group_name(request->ask.group),
            .limits = request->ask.limits,
        };
        return;
    }
}

void job_init(struct world *world)
{
    struct jobs *jobs = &world->jobs;
    jobs->effect_count = 0;
    jobs->next_id = 1;
    memset(jobs->beliefs, 0, sizeof jobs->beliefs);
    job_ledger_reset(world);
    jobs->is_replaying = false;
}

void job_deinit(struct world *world)
{
    free(world->jobs.items);
    free(world->jobs.effects);
    memset(&world->jobs, 0, sizeof world->jobs);
}
