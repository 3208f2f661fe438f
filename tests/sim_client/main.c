/* sim-client - the keeper and a model of the server, in simulated time.
 *
 *     sim-client [SEED [SEED_LAST]]        without: 1 to 3000; with one: that one, and its trace
 *
 * Three clients want one lock.  Messages are late, lost and doubled, clocks go wrong by less than
 * the clock error, clients stand still.  Checked at every event:
 *
 *   - whoever believes to hold, holds: at the server the lease is not over, and nobody else has it
 *   - a loss is told once, and no later than the client's own clock says it
 *   - nothing is renewed after a release or a loss
 *   - in mild worlds, where a renewal that failed is followed by one that does not and nobody
 * stands still, nothing is lost at all */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/keeper.h"
#include "lib/random.h"

#define CLIENT_COUNT 3u
#define MESSAGE_MAX  256u
#define TTL_MS       1000u
#define RUN_NS       (60 * NS_PER_S)
#define LATE_NS      (2 * NS_PER_MS) /* from a deadline to the step that sees it */

enum message_kind { ACQUIRE, GRANT, RENEW, RENEWED, REFUSED, RELEASE, FAILED };
static const char *const kind_words[] = { "acquire", "grant",   "renew", "renewed",
                                          "refused", "release", "failed" };

struct message {
    int64_t at_ns; /* arrives; 0: no message */
    enum message_kind kind;
    unsigned client;
    uint64_t request; /* of the acquire: which one */
    uint64_t token;
    struct mono sent_at;
    int64_t remaining_ms;
};

struct client {
    struct keeper keeper;
    bool is_keeping;    /* a keeper is at work */
    bool is_handed_out; /* the user has it */
    bool is_waiting;
    bool has_lost;
    uint64_t request;
    uint64_t token;
    struct mono asked_at;
    struct mono valid_until;
    struct mono deadline;
    struct mono release_at;
    int64_t paused_until_ns;
    int64_t clock_offset_ns;
    int64_t clock_ppm;
    int64_t wall_jump_us;
    unsigned passed_in_a_row; /* messages of renewals, since the last that was lost */
};

struct world {
    struct test_random random;
    int64_t now_ns; /* real */
    bool is_mild;
    bool is_told;
    unsigned loss_percent;
    struct message messages[MESSAGE_MAX];
    struct client clients[CLIENT_COUNT];
    /* The server. */
    int64_t server_ppm;
    unsigned holder; /* CLIENT_COUNT: nobody */
    uint64_t holder_request;
    uint64_t token;
    int64_t expires_at_ns;          /* real time */
    uint64_t waiting[CLIENT_COUNT]; /* the request that waits; 0: none */
    unsigned grants;
    unsigned losses;
    const char *failure;
};

static uint64_t below(struct world *world, uint64_t limit)
{
    return test_random_below(&world->random, limit);
}

static void fail(struct world *world, const char *what)
{
    if (world->failure == NULL) world->failure = what;
}

__attribute__((format(printf, 3, 4))) static void
tell(const struct world *world, unsigned client, const char *format, ...)
{
    if (!world->is_told) return;
    va_list arguments;
    va_start(arguments, format);
    printf("%10.3f  %u  ", (double)world->now_ns / (double)NS_PER_MS, client);
    (void)vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

/* ------------------------------------------------------------------ clocks */

static struct mono client_now(const struct world *world, const struct client *client)
{
    int64_t ns = world->now_ns;
    return (struct mono){ client->clock_offset_ns + ns + ns / 1000000 * client->clock_ppm };
}

/* When that clock shows `at`. */
static int64_t real_time(const struct client *client, struct mono at)
{
    if (at.ns == INT64_MAX) return INT64_MAX;
    int64_t ns = at.ns - client->clock_offset_ns;
    return ns - ns / (1000000 + client->clock_ppm) * client->clock_ppm + 1000;
}

static int64_t server_duration_ns(const struct world *world, int64_t ns)
{
    return ns - ns / 1000000 * world->server_ppm;
}

/* ------------------------------------------------------------------ network */

static struct message *room(struct world *world)
{
    for (unsigned index = 0; index < MESSAGE_MAX; index++) {
        if (world->messages[index].at_ns == 0) return &world->messages[index];
    }
    fail(world, "too many messages");
    return &world->messages[0];
}

static int64_t delay_ns(struct world *world)
{
    uint64_t dice = below(world, 100);
    uint64_t range_ms = world->is_mild || dice < 70 ? 5 : dice < 90 ? 200 : 3000;
    return (int64_t)(1 + below(world, range_ms * 1000)) * 1000;
}

static void post(struct world *world, struct message message)
{
    struct client *client = &world->clients[message.client];
    bool is_lost = below(world, 100) < world->loss_percent;
    bool is_about_keeping = message.kind == RENEW || message.kind == RENEWED;
    if (world->is_mild) {
        /* The exchange after one that failed succeeds. */
        is_lost = is_lost && is_about_keeping && client->passed_in_a_row >= 2;
        if (is_about_keeping) client->passed_in_a_row = is_lost ? 0 : client->passed_in_a_row + 1;
    }
    message.at_ns = world->now_ns + delay_ns(world);
    if (is_lost) {
        /* Whoever asked finds out, sooner or later. */
        if (message.kind != RENEW && message.kind != RENEWED) return;
        message.kind = FAILED;
        *room(world) = message;
        return;
    }
    *room(world) = message;
    if (world->is_mild || below(world, 20) != 0) return;
    message.at_ns += delay_ns(world);
    *room(world) = message;
}

/* ------------------------------------------------------------------ the server */

static bool believes(const struct world *world, const struct client *client)
{
    return client->is_handed_out && client_now(world, client).ns < client->valid_until.ns;
}

static void check_beliefs(struct world *world)
{
    for (unsigned index = 0; index < CLIENT_COUNT; index++) {
        const struct client *client = &world->clients[index];
        if (!believes(world, client)) continue;
        bool is_right = world->holder == index && world->token == client->token &&
                        world->now_ns <= world->expires_at_ns;
        if (!is_right) {
            tell(world, index, "believes to hold %" PRIu64, client->token);
            fail(world, "a client believes to hold what it does not");
        }
    }
}

static void prolong(struct world *world)
{
    world->expires_at_ns = world->now_ns + server_duration_ns(world, (int64_t)TTL_MS * NS_PER_MS);
}

static void grant(struct world *world, unsigned client, uint64_t request)
{
    world->holder = client;
    world->holder_request = request;
    world->token++;
    world->grants++;
    world->waiting[client] = 0;
    prolong(world);
    check_beliefs(world);
    tell(world, client, "is granted %" PRIu64, world->token);
    post(
        world,
        (struct message){ .kind = GRANT,
                          .client = client,
                          .request = request,
                          .token = world->token,
                          .remaining_ms = TTL_MS });
}

static void grant_next(struct world *world)
{
    world->holder = CLIENT_COUNT;
    unsigned first = (unsigned)below(world, CLIENT_COUNT);
    for (unsigned step = 0; step < CLIENT_COUNT; step++) {
        unsigned client = (first + step) % CLIENT_COUNT;
        if (world->waiting[client] == 0) continue;
        grant(world, client, world->waiting[client]);
        return;
    }
}

static void serve_acquire(struct world *world, const struct message *message)
{
    if (world->holder == message->client && world->holder_request == message->request) {
        struct message answer = *message;
        answer.kind = GRANT;
        answer.token = world->token;
        answer.remaining_ms = (world->expires_at_ns - world->now_ns) / NS_PER_MS;
        post(world, answer);
    } else if (world->holder == CLIENT_COUNT) {
        grant(world, message->client, message->request);
    } else {
        world->waiting[message->client] = message->request;
    }
}

static void serve(struct world *world, const struct message *message)
{
    bool is_holder = world->holder == message->client && world->token == message->token;
    struct message answer = *message;
    if (message->kind == ACQUIRE) {
        serve_acquire(world, message);
    } else if (message->kind == RENEW) {
        answer.kind = is_holder ? RENEWED : REFUSED;
        answer.remaining_ms = TTL_MS;
        if (is_holder) prolong(world);
        post(world, answer);
    } else if (is_holder) {
        tell(world, message->client, "has released %" PRIu64, message->token);
        grant_next(world);
    }
}

/* ------------------------------------------------------------------ clients */

static void apply(struct world *world, unsigned index, const struct keeper_update *update)
{
    struct client *client = &world->clients[index];
    client->valid_until = update->valid_until;
    client->deadline = update->deadline;
    if (update->is_renewing) {
        if (!client->is_keeping) fail(world, "a renewal after the end");
        post(
            world,
            (struct message){ .kind = RENEW,
                              .client = index,
                              .token = client->token,
                              .sent_at = update->sent_at });
    }
    if (update->is_confirmed) {
        client->is_handed_out = true;
        client->has_lost = false;
        uint64_t use_ms = below(world, 3000);
        client->release_at =
            (struct mono){ client_now(world, client).ns + (int64_t)use_ms * NS_PER_MS };
    }
    if (update->has_changed && update->state == KEEPER_LOST) {
        tell(world, index, "has lost %" PRIu64 ", %d", client->token, (int)update->loss);
        if (client->has_lost) fail(world, "lost twice");
        client->has_lost = true;
        if (client->is_handed_out) world->losses++;
        client->is_handed_out = false;
        client->is_keeping = false;
        client->is_waiting = false;
    }
    check_beliefs(world);
}

static void step(struct world *world, unsigned index, struct keeper_event event)
{
    struct client *client = &world->clients[index];
    struct keeper_update update;
    event.now = client_now(world, client);
    event.wall.us = event.now.ns / 1000 + client->wall_jump_us;
    tni_keeper_step(&client->keeper, &event, &update);
    apply(world, index, &update);
}

static void receive(struct world *world, const struct message *message)
{
    struct client *client = &world->clients[message->client];
    if (message->kind == GRANT) {
        bool is_mine = client->is_waiting && client->request == message->request;
        if (!is_mine || client->is_keeping) return;
        struct keeper_options options = { .ttl_ms = TTL_MS, .clock_error_ppm = 10000 };
        tni_keeper_init(&client->keeper, &options);
        client->is_waiting = false;
        client->is_keeping = true;
        client->has_lost = false;
        client->token = message->token;
        step(
            world,
            message->client,
            (struct keeper_event){ .kind = KEEPER_GRANTED,
                                   .sent_at = client->asked_at,
                                   .remaining_ms = message->remaining_ms,
                                   .ttl_ms = TTL_MS });
        return;
    }
    /* An answer about an earlier hold finds its request gone; after a release the keeper is still
     * asked, and must know better. */
    if (client->token != message->token || client->keeper.state == KEEPER_LOST) return;
    struct keeper_event event = { .kind = KEEPER_FAILED,
                                  .sent_at = message->sent_at,
                                  .remaining_ms = message->remaining_ms,
                                  .ttl_ms = TTL_MS,
                                  .loss = KEEPER_LOSS_ENDED };
    if (message->kind == RENEWED) event.kind = KEEPER_RENEWED;
    if (message->kind == REFUSED) event.kind = KEEPER_REFUSED;
    step(world, message->client, event);
}

static void release(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    step(world, index, (struct keeper_event){ .kind = KEEPER_RELEASED });
    client->is_handed_out = false;
    client->is_keeping = false;
    for (unsigned copy = 0; copy < 3; copy++) {
        post(world, (struct message){ .kind = RELEASE, .client = index, .token = client->token });
    }
}

static void ask(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    client->is_waiting = true;
    client->request = test_random_next(&world->random) | 1;
    client->asked_at = client_now(world, client);
    post(world, (struct message){ .kind = ACQUIRE, .client = index, .request = client->request });
}

/* Everything that a client that runs does by the clock. */
static void run_client(struct world *world, unsigned index)
{
    struct client *client = &world->clients[index];
    struct mono now = client_now(world, client);
    if (client->is_keeping && now.ns >= client->deadline.ns) {
        step(world, index, (struct keeper_event){ .kind = KEEPER_TIME });
    }
    if (client->is_handed_out && now.ns >= client->valid_until.ns + LATE_NS) {
        fail(world, "a loss was not told in time");
    }
    if (client->is_handed_out && now.ns >= client->release_at.ns) release(world, index);
    bool is_idle = !client->is_waiting && !client->is_keeping;
    bool is_stuck = client->is_waiting && now.ns > client->asked_at.ns + 8 * NS_PER_S;
    if (is_idle || is_stuck) ask(world, index);
}

/* ------------------------------------------------------------------ the world */

static void set_up(struct world *world, uint64_t seed, bool is_told)
{
    *world = (struct world){ .random = { seed }, .is_told = is_told, .holder = CLIENT_COUNT };
    world->is_mild = below(world, 4) == 0;
    world->loss_percent = (unsigned)below(world, world->is_mild ? 40 : 30);
    /* Rates differ by less than one per cent between any client and the server. */
    world->server_ppm = (int64_t)below(world, 9900) - 4950;
    world->token = 100;
    for (unsigned index = 0; index < CLIENT_COUNT; index++) {
        struct client *client = &world->clients[index];
        client->clock_ppm = (int64_t)below(world, 9900) - 4950;
        client->clock_offset_ns = (int64_t)below(world, 1000000) * NS_PER_MS;
        client->deadline.ns = INT64_MAX;
        client->valid_until.ns = INT64_MIN;
        client->release_at.ns = INT64_MAX;
    }
}

static bool is_for_client(const struct message *message)
{
    return message->kind == GRANT || message->kind == RENEWED || message->kind == REFUSED ||
           message->kind == FAILED;
}

/* When a message can be read: a client that stands still reads nothing. */
static int64_t due_ns(const struct world *world, const struct message *message)
{
    int64_t paused_until_ns = world->clients[message->client].paused_until_ns;
    bool is_late = is_for_client(message) && paused_until_ns > message->at_ns;
    return is_late ? paused_until_ns : message->at_ns;
}

static int64_t next_ns(const struct world *world)
{
    int64_t at_ns = world->now_ns + 50 * NS_PER_MS;
    if (world->holder < CLIENT_COUNT && world->expires_at_ns < at_ns) at_ns = world->expires_at_ns;
    for (unsigned index = 0; index < MESSAGE_MAX; index++) {
        const struct message *message = &world->messages[index];
        if (message->at_ns != 0 && due_ns(world, message) < at_ns) at_ns = due_ns(world, message);
    }
    for (unsigned index = 0; index < CLIENT_COUNT; index++) {
        const struct client *client = &world->clients[index];
        if (!client->is_keeping) continue;
        int64_t wake_ns = real_time(client, client->deadline);
        if (wake_ns < client->paused_until_ns) wake_ns = client->paused_until_ns;
        if (wake_ns < at_ns) at_ns = wake_ns;
    }
    return at_ns > world->now_ns ? at_ns : world->now_ns + 1000;
}

static void deliver(struct world *world)
{
    for (unsigned index = 0; index < MESSAGE_MAX; index++) {
        struct message message = world->messages[index];
        if (message.at_ns == 0 || due_ns(world, &message) > world->now_ns) continue;
        world->messages[index].at_ns = 0;
        tell(world, message.client, "%s %" PRIu64, kind_words[message.kind], message.token);
        if (is_for_client(&message)) {
            receive(world, &message);
        } else {
            serve(world, &message);
        }
    }
}

static void disturb(struct world *world)
{
    if (world->is_mild || below(world, 300) != 0) return;
    struct client *client = &world->clients[below(world, CLIENT_COUNT)];
    if (below(world, 4) == 0) {
        client->wall_jump_us += (int64_t)below(world, 8000000) - 4000000;
    } else {
        client->paused_until_ns = world->now_ns + (int64_t)below(world, 2500) * NS_PER_MS;
    }
}

static const char *run(struct world *world)
{
    while (world->now_ns < RUN_NS && world->failure == NULL) {
        world->now_ns = next_ns(world);
        disturb(world);
        deliver(world);
        for (unsigned index = 0; index < CLIENT_COUNT; index++) {
            if (world->clients[index].paused_until_ns <= world->now_ns) run_client(world, index);
        }
        if (world->holder < CLIENT_COUNT && world->now_ns >= world->expires_at_ns) {
            tell(world, world->holder, "expires");
            check_beliefs(world);
            grant_next(world);
        }
    }
    if (world->is_mild && world->losses > 0) fail(world, "a mild world lost a hold");
    if (world->grants == 0) fail(world, "nothing was granted");
    return world->failure;
}

int main(int argc, char **argv)
{
    static struct world world;
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t last = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? first : 3000;
    uint64_t passed = 0;
    uint64_t grants = 0;
    uint64_t losses = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        set_up(&world, seed, argc == 2);
        const char *failure = run(&world);
        grants += world.grants;
        losses += world.losses;
        if (failure != NULL) {
            printf("seed %" PRIu64 ": %s\n", seed, failure);
            printf("%" PRIu64 " passed, 1 failed\n", passed);
            return 1;
        }
        passed++;
    }
    printf("%" PRIu64 " grants, %" PRIu64 " losses\n", grants, losses);
    /* Faults that never bite prove nothing. */
    if (last - first > 100 && losses < 100) {
        printf("%" PRIu64 " passed, 1 failed\n", passed);
        return 1;
    }
    printf("%" PRIu64 " passed, 0 failed\n", passed);
    return 0;
}
