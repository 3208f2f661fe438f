#include <inttypes.h>

#include "sim/world.h"

#define NET_NS_MAX (20 * NS_PER_MS)
/* What a careful client keeps back: 1 % for the rates of clocks, and 5 ms. */
#define MARGIN_PPM 10000
#define MARGIN_NS  (5 * NS_PER_MS)

/* ---------------------------------------------------------------- requests */

struct request *client_request_by_tag(struct world *world, uint64_t tag)
{
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        struct request *request = &world->requests[index];
        if (request->state != REQUEST_FREE && request->tag == tag) return request;
    }
    return NULL;
}

struct request *
client_request_new(struct world *world, enum engine_command_kind kind, uint32_t client)
{
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        struct request *request = &world->requests[index];
        if (request->state != REQUEST_FREE) continue;
        size_t size = offsetof(struct request, reply);
        memset(request, 0, size);
        request->kind = kind;
        request->client = client;
        return request;
    }
    return NULL;
}

/* Put it on the wire.  Requests of one connection arrive in order. */
static void send(struct world *world, struct request *request)
{
    struct client *client = &world->clients[request->client];
    request->state = REQUEST_SENT;
    request->connection = client->connection;
    request->tag = world->next_tag++;
    request->sent_ns = world->now_ns;
    request->is_waiting = false;
    int64_t arrive_ns = world->now_ns + rng_scale(&world->rng, 10000, NET_NS_MAX);
    if (arrive_ns <= client->last_arrive_ns) arrive_ns = client->last_arrive_ns;
    client->last_arrive_ns = arrive_ns;
    request->arrive_ns = arrive_ns;
}

static const char *kind_word(enum engine_command_kind kind)
{
    static const char *const words[] = {
        "acquire", "cancel", "renew", "release", "break", "proclaim", "transfer", "put",
        "take",    "extend", "done",  "fail",    "bury",  "call off", "kick",     "redrive",
        "purge",   "await",  "pause", "resume",  "limit", "change",   "watch",
    };
    return words[kind];
}

static void say_request(struct world *world, const struct request *request, const char *what)
{
    if (world->options.out == NULL) return;
    char text[200];
    int size = 0;
    for (uint32_t index = 0; index < request->name_count && size < 150; index++) {
        size += snprintf(
            text + size, sizeof text - (size_t)size, " %s", world_name(request->names[index]).data);
    }
    for (uint32_t index = 0; index < request->claim_count && size < 150; index++) {
        const struct claim *claim = &request->claims[index];
        size += snprintf(
            text + size,
            sizeof text - (size_t)size,
            " %s o%u %" PRIu64,
            world_name(claim->name).data,
            claim->owner,
            claim->token.value);
    }
    if (ENGINE_COMMAND_IS_WORK(request->kind)) {
        snprintf(
            text + size,
            sizeof text - (size_t)size,
            " %s '%s' '%s' group %u token %" PRIu64 " wait %u",
            job_queue_name(request->ask.queue).data,
            request->ask.id,
            request->ask.puts[0].id,
            request->ask.puts[0].group,
            request->ask.token.value,
            request->wait_ms);
    } else if (request->kind == ENGINE_ACQUIRE) {
        snprintf(
            text + size,
            sizeof text - (size_t)size,
            " o%u %s ttl %u wait %u slots %u priority %u delay %u",
            request->owner,
            request->mode == ENGINE_SHARED ? "shared" : "exclusive",
            request->ttl_ms,
            request->wait_ms,
            request->slots,
            request->priority,
            request->lock_delay_ms);
    } else {
        text[size] = '\0';
    }
    world_say(world, "client %u %s %s%s", request->client, what, kind_word(request->kind), text);
}

void client_submit(struct world *world, struct request *request)
{
    send(world, request);
    say_request(world, request, request->retry_count > 0 ? "repeats" : "asks:");
}

/* ----------------------------------------------------------------- beliefs */

static struct belief *
belief_find(struct world *world, uint32_t name, uint32_t owner, struct token token)
{
    for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
        struct belief *belief = &world->beliefs[index];
        if (belief->is_used && belief->name == name && belief->owner == owner &&
            belief->token.value == token.value)
        {
            return belief;
        }
    }
    return NULL;
}

static struct belief *belief_new(struct world *world)
{
    struct belief *oldest = NULL;
    for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
        struct belief *belief = &world->beliefs[index];
        if (!belief->is_used) return belief;
        bool is_over = !belief->is_believed || belief->valid_until_ns < world->now_ns;
        if (is_over && (oldest == NULL || belief->token.value < oldest->token.value)) {
            oldest = belief;
        }
    }
    return oldest;
}

/* A random belief of this client, current or not; NULL when it has none. */
static struct belief *belief_pick(struct world *world, uint32_t client, bool is_current)
{
    uint32_t start = rng_below(&world->rng, WORLD_BELIEF_COUNT_MAX);
    for (uint32_t step = 0; step < WORLD_BELIEF_COUNT_MAX; step++) {
        struct belief *belief = &world->beliefs[(start + step) % WORLD_BELIEF_COUNT_MAX];
        if (!belief->is_used || belief->client != client) continue;
        if (!is_current || belief->is_believed) return belief;
    }
    return NULL;
}

int64_t
client_careful_until(const struct world *world, uint32_t client, int64_t from_ns, int64_t length_ms)
{
    int64_t local_ns = length_ms * NS_PER_MS;
    local_ns -= local_ns / 1000000 * MARGIN_PPM + MARGIN_NS;
    int64_t true_ns = local_ns - local_ns / 1000000 * world->clients[client].rate_ppm;
    return from_ns + true_ns;
}

static bool is_conflict(const struct belief *left, const struct belief *right)
{
    if (left->mode == ENGINE_SHARED && right->mode == ENGINE_SHARED) return false;
    if (left->mode == ENGINE_SHARED || right->mode == ENGINE_SHARED) return true;
    return left->slot == right->slot || left->slots != right->slots;
}

/* I3: nobody else may believe to hold it at this moment. */
static void check_exclusion(struct world *world, const struct belief *belief)
{
    for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
        const struct belief *other = &world->beliefs[index];
        if (other == belief || !other->is_used || other->name != belief->name) continue;
        if (!other->is_believed || other->is_forced) continue;
        if (other->valid_until_ns <= world->now_ns || !is_conflict(belief, other)) continue;
        world_fail(
            world,
            "I3: o%u and o%u both believe to hold %s (tokens %" PRIu64 ", %" PRIu64 ")",
            belief->owner,
            other->owner,
            world_name(belief->name).data,
            belief->token.value,
            other->token.value);
    }
}

static void renew_later(struct world *world, struct belief *belief)
{
    belief->renew_ns = belief->ttl_ms == 0 || !belief->is_renewing
                           ? WORLD_NEVER
                           : world->now_ns + belief->ttl_ms * NS_PER_MS / 3;
    /* Some are nearly late, and then it depends on the way. */
    bool is_long = belief->valid_until_ns == WORLD_NEVER || belief->renew_ns == WORLD_NEVER;
    if (!is_long && rng_percent(&world->rng, 3)) {
        belief->renew_ns = belief->valid_until_ns - NS_PER_MS;
    }
}

/* What the client that was told to have it may do about it. */
static void
believe(struct world *world, const struct request *request, const struct result_copy *result)
{
    struct belief *belief = belief_find(world, result->name, request->owner, result->token);
    if (belief != NULL) return; /* it knows; only a renewal makes it last longer */
    belief = belief_new(world);
    if (belief == NULL) return;
    int64_t length_ms = result->remaining_ms + result->waited_ms;
    int64_t until_ns =
        result->remaining_ms < 0
            ? WORLD_NEVER
            : client_careful_until(world, request->client, request->sent_ns, length_ms);
    const struct grant *grant = oracle_grant_by_token(world, result->name, result->token);
    if (grant == NULL) world_fail(world, "I5: a grant was told that never was");
    /* It has been given back meanwhile; with a token that was guessed, even before it was granted.
     */
    if (grant->is_given_up || grant->ended == RECORD_RELEASED) return;
    bool is_forced = grant->is_breaking || grant->ended == RECORD_BROKEN;
    *belief = (struct belief){
        .is_used = true,
        .is_believed = until_ns > world->now_ns,
        .is_forced = is_forced,
        .is_renewing = rng_percent(&world->rng, 60),
        .client = request->client,
        .name = result->name,
        .owner = request->owner,
        .token = result->token,
        .mode = result->mode,
        .slot = result->slot,
        .slots = result->slots,
        .ttl_ms = result->ttl_ms,
        .valid_until_ns = until_ns,
    };
    renew_later(world, belief);
    if (belief->is_believed && !belief->is_forced) check_exclusion(world, belief);
}

/* ------------------------------------------------------------- what to ask */

static uint32_t draw_owner(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    const struct belief *belief = belief_pick(world, client, true);
    if (belief != NULL && rng_percent(rng, 12)) return belief->owner;
    uint32_t count = world->clients[client].owner_count;
    if (count > 0 && rng_percent(rng, 6)) return client * 10000 + rng_below(rng, count);
    return client * 10000 + world->clients[client].owner_count++;
}

/* An owner of this client that waits, for other names perhaps; or as drawn. */
static uint32_t draw_waiting_owner(struct world *world, uint32_t client, uint32_t owner)
{
    uint32_t start = rng_below(&world->rng, WORLD_REQUEST_COUNT_MAX);
    for (uint32_t step = 0; step < WORLD_REQUEST_COUNT_MAX; step++) {
        const struct request *other = &world->requests[(start + step) % WORLD_REQUEST_COUNT_MAX];
        bool is_waiting = other->state == REQUEST_SERVED && other->is_waiting;
        if (is_waiting && other->kind == ENGINE_ACQUIRE && other->client == client) {
            return other->owner;
        }
    }
    return owner;
}

static uint32_t draw_ttl(struct world *world)
{
    struct rng *rng = &world->rng;
    if (world->swarm.has_forever && rng_percent(rng, 15)) return 0;
    if (rng_percent(rng, 1)) return 50; /* not allowed */
    return (uint32_t)rng_scale(rng, LIMIT_TTL_MS_MIN, world->swarm.ttl_ms_max);
}

static void draw_names(struct world *world, struct request *request)
{
    const struct swarm *swarm = &world->swarm;
    uint32_t start = rng_below(&world->rng, swarm->name_count);
    request->name_count = 1;
    if (swarm->has_many && rng_percent(&world->rng, 30)) {
        request->name_count = 1 + rng_below(&world->rng, swarm->name_count);
    }
    for (uint32_t index = 0; index < request->name_count; index++) {
        request->names[index] = (start + index) % swarm->name_count;
    }
    /* Not always in the same order. */
    if (rng_percent(&world->rng, 50)) {
        uint32_t first = request->names[0];
        request->names[0] = request->names[request->name_count - 1];
        request->names[request->name_count - 1] = first;
    }
}

static void ask_acquire(struct world *world, uint32_t client)
{
    const struct swarm *swarm = &world->swarm;
    struct rng *rng = &world->rng;
    struct request *request = client_request_new(world, ENGINE_ACQUIRE, client);
    if (request == NULL) return;
    draw_names(world, request);
    request->owner = draw_owner(world, client);
    if (swarm->has_many && rng_percent(rng, 10)) {
        request->owner = draw_waiting_owner(world, client, request->owner);
    }
    request->ttl_ms = draw_ttl(world);
    request->wait_ms = rng_percent(rng, 60) ? (uint32_t)rng_scale(rng, 1, 20000) : 0;
    bool is_shared = swarm->has_shared && rng_percent(rng, 45);
    request->mode = is_shared ? ENGINE_SHARED : ENGINE_EXCLUSIVE;
    request->slots = 1;
    bool is_slotted = swarm->has_slots && request->names[0] % 2 == 0 && request->name_count == 1;
    if (is_slotted && !is_shared) request->slots = 3;
    if (swarm->has_slots && !is_shared && rng_percent(rng, 4)) request->slots = 2;
    if (swarm->has_priorities && rng_percent(rng, 40)) request->priority = rng_below(rng, 10);
    if (swarm->has_delays && rng_percent(rng, 20)) {
        request->lock_delay_ms = (uint32_t)rng_scale(rng, 1, 3000);
    }
    request->meta_size =
        swarm->has_big_meta && rng_percent(rng, 30) ? LIMIT_META_SIZE_MAX : rng_below(rng, 12);
    client_submit(world, request);
}

static struct claim claim_of(const struct belief *belief)
{
    return (struct claim){
        .name = belief->name,
        .owner = belief->owner,
        .token = belief->token,
        .ttl_ms = ENGINE_TTL_KEEP,
    };
}

bool client_some_claim(
    struct world *world, uint32_t client, bool is_current, struct claim *out_claim)
{
    const struct belief *belief = belief_pick(world, client, is_current);
    if (belief == NULL) return false;
    *out_claim = claim_of(belief);
    return true;
}

/* Sometimes the claim is wrong: another's owner, an old or a made-up token. */
static struct claim draw_claim(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    struct belief *belief = belief_pick(world, client, rng_percent(rng, 70));
    if (belief == NULL) {
        return (struct claim){
            .name = rng_below(rng, world->swarm.name_count),
            .owner = client * 10000,
            .token = { 1 + rng_below(rng, 1000) },
            .ttl_ms = ENGINE_TTL_KEEP,
        };
    }
    struct claim claim = claim_of(belief);
    if (rng_percent(rng, 5)) claim.token.value += 1;
    if (rng_percent(rng, 5)) claim.token.value -= 1;
    if (rng_percent(rng, 5)) claim.owner = rng_below(rng, world->swarm.client_count) * 10000;
    if (rng_percent(rng, 3)) claim.name = rng_below(rng, world->swarm.name_count);
    return claim;
}

/* From the moment it asks for the end, it holds no more. */
static void give_up_belief(struct world *world, const struct claim *claim)
{
    struct belief *belief = belief_find(world, claim->name, claim->owner, claim->token);
    struct grant *grant = oracle_grant_by_token(world, claim->name, claim->token);
    if (grant != NULL && grant->owner == claim->owner) grant->is_given_up = true;
    if (belief == NULL) return;
    belief->is_believed = false;
    belief->renew_ns = WORLD_NEVER;
}

static void ask_about_claim(struct world *world, enum engine_command_kind kind, uint32_t client)
{
    struct rng *rng = &world->rng;
    struct request *request = client_request_new(world, kind, client);
    if (request == NULL) return;
    request->claims[0] = draw_claim(world, client);
    request->claim_count = 1;
    if (kind == ENGINE_TRANSFER) {
        /* To somebody who waits for it, if there is somebody. */
        request->to = rng_below(rng, world->swarm.client_count) * 10000;
        uint32_t start = rng_below(rng, WORLD_REQUEST_COUNT_MAX);
        for (uint32_t step = 0; step < WORLD_REQUEST_COUNT_MAX; step++) {
            const struct request *other =
                &world->requests[(start + step) % WORLD_REQUEST_COUNT_MAX];
            if (other->state != REQUEST_SERVED || !other->is_waiting) continue;
            if (other->names[0] != request->claims[0].name) continue;
            request->to = other->owner;
            break;
        }
    }
    if (kind == ENGINE_RELEASE || kind == ENGINE_TRANSFER) {
        give_up_belief(world, &request->claims[0]);
    }
    client_submit(world, request);
}

static void ask_renew(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    struct request *request = client_request_new(world, ENGINE_RENEW, client);
    if (request == NULL) return;
    uint32_t count = 1 + rng_below(rng, 3);
    for (uint32_t index = 0; index < count; index++) {
        request->claims[request->claim_count++] = draw_claim(world, client);
    }
    /* Another ttl: only while no other renewal is under way, and never to or from
     * "for ever". */
    struct belief *belief = belief_find(
        world, request->claims[0].name, request->claims[0].owner, request->claims[0].token);
    if (belief != NULL && belief->renewals_sent == 0 && belief->ttl_ms > 0 && rng_percent(rng, 50))
    {
        uint32_t ttl_ms = (uint32_t)rng_scale(rng, LIMIT_TTL_MS_MIN, world->swarm.ttl_ms_max);
        request->claims[0].ttl_ms = ttl_ms;
        request->claim_count = 1;
        belief->is_renewing = false;
        belief->renew_ns = WORLD_NEVER;
        int64_t until_ns = client_careful_until(world, client, world->now_ns, ttl_ms);
        if (until_ns < belief->valid_until_ns) belief->valid_until_ns = until_ns;
    }
    for (uint32_t index = 0; index < request->claim_count; index++) {
        const struct claim *claim = &request->claims[index];
        belief = belief_find(world, claim->name, claim->owner, claim->token);
        if (belief != NULL) belief->renewals_sent++;
    }
    client_submit(world, request);
}

static void ask_break(struct world *world, uint32_t client)
{
    struct rng *rng = &world->rng;
    const struct oracle *oracle = &world->oracle;
    struct request *request = client_request_new(world, ENGINE_BREAK, client);
    if (request == NULL || oracle->grant_count == 0) return;
    uint32_t from = rng_percent(rng, 80) ? oracle->live_from : 0;
    if (from == oracle->grant_count) from = 0;
    const struct grant *grant = &oracle->grants[from + rng_below(rng, oracle->grant_count - from)];
    request->claims[0] = (struct claim){ grant->name, grant->owner, grant->token, 0 };
    request->claim_count = 1;
    if (rng_percent(rng, 10)) request->claims[0].token.value++;
    request->grace_ms = rng_percent(rng, 60) ? (uint32_t)rng_scale(rng, 1, 4000) : 0;
    client_submit(world, request);
}

static void ask_cancel(struct world *world, uint32_t client)
{
    uint32_t start = rng_below(&world->rng, WORLD_REQUEST_COUNT_MAX);
    for (uint32_t step = 0; step < WORLD_REQUEST_COUNT_MAX; step++) {
        const struct request *wait = &world->requests[(start + step) % WORLD_REQUEST_COUNT_MAX];
        if (wait->state != REQUEST_SERVED || !wait->is_waiting || wait->client != client) continue;
        struct request *request = client_request_new(world, ENGINE_CANCEL, client);
        if (request == NULL) return;
        request->cancel_tag = wait->tag;
        client_submit(world, request);
        return;
    }
}

void client_act(struct world *world)
{
    struct rng *rng = &world->rng;
    uint32_t client = rng_below(rng, world->swarm.client_count);
    if (world->swarm.has_jobs && rng_percent(rng, world->swarm.job_percent)) {
        job_act(world, client);
        return;
    }
    if (world->swarm.has_state && rng_percent(rng, world->swarm.state_percent)) {
        state_act(world, client);
        return;
    }
    uint32_t dice = rng_below(rng, 100);
    if (dice < 48) {
        ask_acquire(world, client);
    } else if (dice < 70) {
        ask_about_claim(world, ENGINE_RELEASE, client);
    } else if (dice < 78) {
        ask_renew(world, client);
    } else if (dice < 84) {
        ask_cancel(world, client);
    } else if (dice < 89) {
        ask_about_claim(world, ENGINE_PROCLAIM, client);
    } else if (dice < 95) {
        ask_about_claim(world, ENGINE_TRANSFER, client);
    } else if (world->swarm.has_breaks) {
        ask_break(world, client);
    }
}

/* ----------------------------------------------------------- what comes back
 */

static void on_renewed(struct world *world, const struct request *request)
{
    const struct reply_copy *reply = &request->reply;
    for (uint32_t index = 0; index < request->claim_count; index++) {
        const struct claim *claim = &request->claims[index];
        struct belief *belief = belief_find(world, claim->name, claim->owner, claim->token);
        if (belief == NULL) continue;
        if (belief->renewals_sent > 0) belief->renewals_sent--;
        if (index >= reply->result_count) continue;
        const struct result_copy *result = &reply->results[index];
        if (result->err == TENURE_OK) {
            belief->ttl_ms = result->ttl_ms;
            int64_t until_ns =
                result->remaining_ms < 0
                    ? WORLD_NEVER
                    : client_careful_until(
                          world, belief->client, request->sent_ns, result->remaining_ms);
            if (until_ns > belief->valid_until_ns) belief->valid_until_ns = until_ns;
            if (belief->is_believed) renew_later(world, belief);
            if (belief->is_believed && !belief->is_forced && until_ns > world->now_ns) {
                check_exclusion(world, belief);
            }
        } else if (
            result->err == TENURE_LOST || result->err == TENURE_NOT_OWNER ||
            result->err == TENURE_STALE_TOKEN)
        {
            belief->is_believed = false;
            belief->renew_ns = WORLD_NEVER;
        }
    }
}

static void on_reply(struct world *world, struct request *request)
{
    const struct reply_copy *reply = &request->reply;
    if (world->options.out != NULL) {
        const struct result_copy *first = &reply->results[0];
        world_say(
            world,
            "client %u: %s -> %s token %" PRIu64 " end %s",
            request->client,
            kind_word(request->kind),
            tenure_err_name(reply->err),
            reply->result_count > 0 ? first->token.value : 0,
            reply->result_count > 0 ? engine_end_word(first->end) : "");
    }
    if (request->kind == ENGINE_ACQUIRE && reply->err == TENURE_OK) {
        for (uint32_t index = 0; index < reply->result_count; index++) {
            believe(world, request, &reply->results[index]);
        }
    }
    if (request->kind == ENGINE_RENEW) on_renewed(world, request);
    if (ENGINE_COMMAND_IS_WORK(request->kind)) job_replied(world, request);
    bool is_refused_now = reply->err == TENURE_NO_MEMORY || reply->err == TENURE_NO_SPACE;
    bool is_repeated =
        is_refused_now && request->kind == ENGINE_RELEASE && request->retry_count < 3;
    /* Sometimes the client asks again although it has its answer. */
    is_repeated = is_repeated ||
                  (!world->is_calm && request->retry_count == 0 && request->kind != ENGINE_RENEW &&
                   request->kind != ENGINE_CANCEL && rng_percent(&world->rng, 8));
    if (is_repeated) {
        request->retry_count++;
        client_submit(world, request);
    } else {
        request->state = REQUEST_FREE;
    }
}

/* One renewal for all that is due soon. */
static void renew_due(struct world *world, uint32_t client)
{
    struct request *request = NULL;
    for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
        struct belief *belief = &world->beliefs[index];
        if (!belief->is_used || belief->client != client || !belief->is_believed) continue;
        if (belief->renew_ns == WORLD_NEVER) continue;
        if (belief->renew_ns > world->now_ns + belief->ttl_ms * NS_PER_MS / 10) continue;
        if (belief->valid_until_ns <= world->now_ns) {
            belief->is_believed = false; /* too late: it knows by itself */
            belief->renew_ns = WORLD_NEVER;
            continue;
        }
        if (request == NULL) request = client_request_new(world, ENGINE_RENEW, client);
        if (request == NULL) { /* too much is under way */
            belief->renew_ns = world->now_ns + 10 * NS_PER_MS;
            continue;
        }
        request->claims[request->claim_count++] = claim_of(belief);
        belief->renewals_sent++;
        renew_later(world, belief);
        if (request->claim_count == WORLD_CLAIM_COUNT_MAX) break;
    }
    if (request != NULL) client_submit(world, request);
}

void client_turn(struct world *world)
{
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        struct request *request = &world->requests[index];
        if (request->state == REQUEST_REPLIED && request->reply_ns <= world->now_ns) {
            on_reply(world, request);
        }
    }
    job_turn(world);
    state_watch_turn(world);
    if (world->is_calm) return;
    for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
        const struct belief *belief = &world->beliefs[index];
        if (!belief->is_used || !belief->is_believed || belief->renew_ns > world->now_ns) continue;
        renew_due(world, belief->client);
    }
}

int64_t client_next_ns(const struct world *world)
{
    int64_t next_ns = job_next_ns(world);
    int64_t watch_ns = state_watch_next_ns(world);
    if (watch_ns < next_ns) next_ns = watch_ns;
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        const struct request *request = &world->requests[index];
        if (request->state == REQUEST_REPLIED && request->reply_ns < next_ns) {
            next_ns = request->reply_ns;
        }
    }
    if (world->is_calm) return next_ns;
    for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
        const struct belief *belief = &world->beliefs[index];
        if (belief->is_used && belief->is_believed && belief->renew_ns < next_ns) {
            next_ns = belief->renew_ns;
        }
    }
    return next_ns;
}

/* The connection breaks: what was under way may or may not have happened.  Some
 * of it is asked again on the next one. */
void client_disconnect(struct world *world, uint32_t number, bool is_host_told)
{
    struct client *client = &world->clients[number];
    if (is_host_told && world->host.is_up && world->gone_count < WORLD_GONE_COUNT_MAX) {
        world->gone[world->gone_count].connection = client->connection;
        world->gone[world->gone_count].arrive_ns =
            world->now_ns + rng_scale(&world->rng, 10000, 200 * NS_PER_MS);
        world->gone_count++;
        world_say(world, "client %u: connection lost", number);
    }
    client->connection = world->next_connection++;
    job_disconnected(world, number);
    state_disconnected(world, number);
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        struct request *request = &world->requests[index];
        if (request->state == REQUEST_FREE || request->client != number) continue;
        for (uint32_t claim = 0; claim < request->claim_count; claim++) {
            struct belief *belief = belief_find(
                world,
                request->claims[claim].name,
                request->claims[claim].owner,
                request->claims[claim].token);
            bool is_renewal = belief != NULL && request->kind == ENGINE_RENEW;
            if (is_renewal && belief->renewals_sent > 0) belief->renewals_sent--;
        }
        /* A renewal to another ttl is not repeated: it could overtake a later one.
         */
        bool is_repeated = request->kind != ENGINE_CANCEL && request->kind != ENGINE_RENEW &&
                           request->retry_count < 4 && rng_percent(&world->rng, 70);
        if (is_repeated) {
            request->retry_count++;
            if (!is_host_told) world_probe(world, PROBE_RETRY_AFTER_CRASH);
            client_submit(world, request);
        } else {
            request->state = REQUEST_FREE;
        }
    }
}

/* Whatever is held is given back by its holder, who has learned of it or not.
 */
void client_give_back(struct world *world)
{
    for (uint32_t index = world->oracle.live_from; index < world->oracle.grant_count; index++) {
        const struct grant *grant = &world->oracle.grants[index];
        if (grant->ended_seq.value != 0 || !grant->is_durable) continue;
        uint32_t client = grant->owner / 10000;
        struct claim claim = { grant->name, grant->owner, grant->token, ENGINE_TTL_KEEP };
        bool is_asked = false;
        for (uint32_t other = 0; other < WORLD_REQUEST_COUNT_MAX && !is_asked; other++) {
            const struct request *request = &world->requests[other];
            is_asked = request->state != REQUEST_FREE && request->kind == ENGINE_RELEASE &&
                       request->claims[0].name == claim.name &&
                       request->claims[0].token.value == claim.token.value &&
                       request->claims[0].owner == claim.owner;
        }
        struct request *request =
            is_asked ? NULL : client_request_new(world, ENGINE_RELEASE, client);
        if (request == NULL) continue;
        request->claims[0] = claim;
        request->claim_count = 1;
        give_up_belief(world, &claim);
        client_submit(world, request);
    }
}

void client_init(struct world *world)
{
    for (uint32_t index = 0; index < WORLD_CLIENT_COUNT_MAX; index++) {
        world->clients[index] = (struct client){
            .connection = world->next_connection++,
            .rate_ppm = rng_between(&world->rng, -MARGIN_PPM / 2, MARGIN_PPM / 2),
        };
    }
}
