#include "sim_quorum/stories.h"

#include <stdio.h>

#include "quorum/acquire.h"
#include "quorum/admission.h"
#include "sim_quorum/model.h"

#define TTL_MS_MAX   1000u
#define WALL_US      INT64_C(500)
#define TOKEN_SHARED UINT64_C(900) /* of a grant by the first node and the third */

/* Three nodes, known and voting, but for the first: it came back with an older pass, long ago. */
struct story {
    struct quorum_admission admission;
    struct quorum_admission_update update;
    int64_t now_ms;
};

static void step(struct story *story, struct quorum_admission_event event)
{
    event.now = (struct mono){ story->now_ms * NS_PER_MS };
    event.wall = (struct wall){ WALL_US };
    quorum_admission_step(&story->admission, &event, &story->update);
}

/* The serial of the call that was made last to this node; 0: none. */
static uint32_t serial_of(const struct story *story, uint32_t node)
{
    uint32_t serial = 0;
    for (uint32_t index = 0; index < story->update.call_count; index++) {
        if (story->update.calls[index].node == node) serial = story->update.calls[index].serial;
    }
    return serial;
}

static uint64_t floor_of(const struct story *story)
{
    for (uint32_t index = 0; index < story->update.call_count; index++) {
        const struct quorum_call *call = &story->update.calls[index];
        if (call->node == 0 && call->verb == QUORUM_ADMIT) return call->token;
    }
    return 0;
}

static void answer(struct story *story, uint32_t node, uint32_t serial, uint64_t voted)
{
    static const char *const passes[] = { "r9 cfg", "r1 cfg", "r2 cfg" };
    const struct quorum_answer told = { .kind = QUORUM_NODE,
                                        .voted = voted,
                                        .pass = bytes_from_text(passes[node]),
                                        .config = BYTES_LITERAL("cfg"),
                                        .met = BYTES_LITERAL("r") };
    step(
        story,
        (struct quorum_admission_event){
            .kind = QUORUM_NODE_ANSWERED, .node = node, .serial = serial, .answer = &told });
}

/* Up to the moment at which the first node is out of quarantine, and the others are asked. */
static void begin(struct story *story, uint32_t out_serials[static 3])
{
    static const char *const runs[] = { "r0", "r1", "r2" };
    const struct quorum_admission_options options = { .node_count = 3,
                                                      .ttl_ms_max = TTL_MS_MAX,
                                                      .clock_error_ppm = 10000,
                                                      .config = BYTES_LITERAL("cfg") };
    *story = (struct story){ .now_ms = 1000 };
    quorum_admission_init(&story->admission, &options);
    for (uint32_t node = 0; node < 3; node++) {
        const struct quorum_identity identity = { .run_id = bytes_from_text(runs[node]),
                                                  .uptime_ms = node == 0 ? 0 : 1000000 };
        step(
            story,
            (struct quorum_admission_event){
                .kind = QUORUM_NODE_UP, .node = node, .identity = &identity });
        out_serials[node] = serial_of(story, node);
        answer(story, node, out_serials[node], 0);
    }
    story->now_ms += 10 * TTL_MS_MAX;
    step(story, (struct quorum_admission_event){ .kind = QUORUM_NODE_TIME });
    for (uint32_t node = 0; node < 3; node++) {
        out_serials[node] = serial_of(story, node);
    }
}

/* One other node may be the one that never heard of the grant: a majority of them must tell. */
static const char *floor_is_asked_of_a_majority(void)
{
    struct story story;
    uint32_t serials[3] = { 0 };
    begin(&story, serials);
    if (floor_of(&story) > 0) return "let in before anybody was asked";
    story.now_ms += 1;
    answer(&story, 1, serials[1], 100);
    if (floor_of(&story) > 0) return "let in by the word of one";
    answer(&story, 0, serials[0], 0);
    if (floor_of(&story) > 0) return "let in by the word of one, and its own";
    answer(&story, 2, serials[2], TOKEN_SHARED);
    if (floor_of(&story) != TOKEN_SHARED) return "a floor that is not what the majority tells";
    return NULL;
}

/* ------------------------------------------------------------------ the line of one node */

struct line {
    struct model_lua *lua;
    struct model model;
};

/* The number that the node answers with. */
static uint64_t stand_in_line(
    struct line *line, enum quorum_verb verb, const char *owner, uint64_t token, uint64_t number)
{
    const struct quorum_call call = {
        .verb = verb, .token = token, .ttl_ms = 1000, .ticket = number, .life_ms = 3000
    };
    const struct quorum_texts texts = { .name = BYTES_LITERAL("a"),
                                        .owner = bytes_from_text(owner),
                                        .channel = BYTES_LITERAL("wake"),
                                        .meta = BYTES_LITERAL(""),
                                        .pass = BYTES_LITERAL("r cfg") };
    struct quorum_command command;
    struct model_reply reply;
    struct quorum_answer told = { .ticket = 0 };
    quorum_command_write(&call, &texts, &command);
    model_command(line->lua, &line->model, 1000000, &command, &reply);
    bool is_good = !reply.is_error && quorum_answer_read(reply.values, reply.count, &told);
    return is_good ? told.ticket : 0;
}

/* Else each node could have another first, and each waiter one vote, for ever. */
static const char *settled_number_is_taken_as_it_is(void)
{
    static struct line line;
    line.model.key_count = 0;
    line.lua = model_lua_create();
    const struct quorum_call admit = { .verb = QUORUM_ADMIT, .token = 1 };
    const struct quorum_texts texts = { .run_id = BYTES_LITERAL("r"),
                                        .config = BYTES_LITERAL("cfg"),
                                        .pass = BYTES_LITERAL("") };
    struct quorum_command command;
    struct model_reply reply;
    quorum_command_write(&admit, &texts, &command);
    model_command(line.lua, &line.model, 1000000, &command, &reply);

    const char *wrong = NULL;
    (void)stand_in_line(&line, QUORUM_VOTE, "holder", 100, QUORUM_TICKET_NONE);
    uint64_t given = stand_in_line(&line, QUORUM_VOTE, "w", 200, QUORUM_TICKET_ASK);
    if (given != 200) wrong = "a number that is not behind the line";
    if (stand_in_line(&line, QUORUM_VOTE, "w", 300, QUORUM_TICKET_ASK) != given) {
        wrong = "another number for who has one";
    }
    if (stand_in_line(&line, QUORUM_VOTE, "w", 300, 150) != 150) {
        wrong = "a vote's number is not taken";
    }
    if (stand_in_line(&line, QUORUM_YIELD, "w", 300, 140) != 140) {
        wrong = "a yield's number is not taken";
    }
    if (stand_in_line(&line, QUORUM_YIELD, "w", 300, QUORUM_TICKET_ASK) != 140) {
        wrong = "a yield gives another number to who has one";
    }
    model_lua_destroy(&line.lua);
    return wrong;
}

/* ------------------------------------------------------------------ a waiter and three nodes */

#define WAIT_MS     INT64_C(10000)
#define HELD_FOR_MS 60000

struct waiter {
    struct quorum_acquire acquire;
    struct pace paces[3];
    struct quorum_update update;
    int64_t now_ms;
    uint64_t random;
};

static void happen(struct waiter *waiter, struct quorum_event event)
{
    event.now = (struct mono){ waiter->now_ms * NS_PER_MS };
    event.wall = (struct wall){ waiter->now_ms * 1000 };
    event.random = waiter->random;
    quorum_acquire_step(&waiter->acquire, &event, &waiter->update);
}

static void begin_waiting(struct waiter *waiter, uint64_t random)
{
    *waiter = (struct waiter){ .now_ms = 1000, .random = random };
    const struct quorum_acquire_options options = {
        .node_count = 3,
        .ttl_ms = TTL_MS_MAX,
        .wait_until = { (1000 + WAIT_MS) * NS_PER_MS },
        .paces = waiter->paces,
    };
    (void)!quorum_acquire_init(&waiter->acquire, &options);
    happen(waiter, (struct quorum_event){ .kind = QUORUM_START });
}

/* All nodes say that it is held; token 0: by a program that is not Tenure. */
static void refuse(struct waiter *waiter, uint64_t token)
{
    waiter->now_ms += 1;
    const struct quorum_answer held = { .kind = QUORUM_HELD,
                                        .remaining_ms = HELD_FOR_MS,
                                        .ticket = 1,
                                        .token = token,
                                        .owner = BYTES_LITERAL("somebody") };
    uint32_t serial = waiter->acquire.round.serial;
    for (uint32_t node = 0; node < 3; node++) {
        happen(
            waiter,
            (struct quorum_event){
                .kind = QUORUM_ANSWERED, .node = node, .serial = serial, .answer = &held });
    }
}

/* Nobody answers in time; up to the next round, or the end. */
static void be_silent(struct waiter *waiter)
{
    uint32_t round = waiter->acquire.round_count;
    while (waiter->acquire.round_count == round && !waiter->update.is_done) {
        waiter->now_ms = waiter->update.deadline.ns / NS_PER_MS + 1;
        happen(waiter, (struct quorum_event){ .kind = QUORUM_TIME });
    }
}

static int64_t pause_ms(const struct waiter *waiter)
{
    return waiter->acquire.again_at.ns / NS_PER_MS - waiter->now_ms;
}

/* Programs that are not Tenure wake nobody when they let go, and look again sooner than a ticket
 * must be refreshed: whoever waits for one of them looks as often as they do, or starves. */
static const char *foreign_holders_are_looked_for_often(void)
{
    struct waiter waiter;
    for (uint64_t random = 0; random < 1000; random += 7) {
        begin_waiting(&waiter, random);
        refuse(&waiter, 0);
        if (waiter.acquire.phase != QUORUM_PHASE_WAITING) return "it does not wait";
        if (pause_ms(&waiter) > 300) return "too seldom";
        if (pause_ms(&waiter) < 100) return "too often";
    }
    begin_waiting(&waiter, 0);
    refuse(&waiter, 77);
    if (pause_ms(&waiter) < 500) return "Tenure is polled, too";
    return NULL;
}

/* The last round of a long wait may be cut off by its end, or fall into a hiccup. */
static const char *one_silent_round_is_no_outage(void)
{
    struct waiter waiter;
    begin_waiting(&waiter, 3);
    refuse(&waiter, 77);
    waiter.now_ms = waiter.update.deadline.ns / NS_PER_MS;
    happen(&waiter, (struct quorum_event){ .kind = QUORUM_TIME });
    if (waiter.acquire.phase != QUORUM_PHASE_ASKING) return "it does not ask again";
    waiter.now_ms = 1000 + WAIT_MS;
    happen(&waiter, (struct quorum_event){ .kind = QUORUM_TIME });
    if (!waiter.update.is_done) return "it does not end";
    if (waiter.update.result.err != TENURE_TIMEOUT) return "it is said to be an outage";
    begin_waiting(&waiter, 3);
    refuse(&waiter, 77);
    while (!waiter.update.is_done) {
        be_silent(&waiter);
    }
    if (waiter.update.result.err != TENURE_UNAVAILABLE) return "an outage is not told";
    return NULL;
}

static void take_back(struct waiter *waiter)
{
    const struct quorum_answer told = { .kind = QUORUM_DELETED };
    for (uint32_t node = 0; node < 3; node++) {
        struct quorum_event event = { .kind = QUORUM_ANSWERED, .node = node, .answer = &told };
        happen(waiter, event);
    }
}

/* Free nodes are asked again at once after a split, but not by who had too few answers in time: to
 * hurry would make slow nodes slower. */
static const char *late_answers_hurry_nobody(void)
{
    struct waiter waiter;
    begin_waiting(&waiter, 3);
    refuse(&waiter, 77);
    take_back(&waiter);
    if (waiter.acquire.phase != QUORUM_PHASE_ASKING) return "it does not ask again";
    begin_waiting(&waiter, 3);
    waiter.now_ms = waiter.update.deadline.ns / NS_PER_MS + 1;
    happen(&waiter, (struct quorum_event){ .kind = QUORUM_TIME });
    if (waiter.acquire.phase != QUORUM_PHASE_WAITING) return "it does not pause";
    take_back(&waiter);
    if (waiter.acquire.phase != QUORUM_PHASE_WAITING) return "it hurries";
    return NULL;
}

static const struct {
    const char *name;
    const char *(*run)(void);
} stories[] = {
    { "foreign_holders_are_looked_for_often", foreign_holders_are_looked_for_often },
    { "one_silent_round_is_no_outage", one_silent_round_is_no_outage },
    { "late_answers_hurry_nobody", late_answers_hurry_nobody },
    { "floor_is_asked_of_a_majority", floor_is_asked_of_a_majority },
    { "settled_number_is_taken_as_it_is", settled_number_is_taken_as_it_is },
};

uint32_t stories_run(uint32_t *out_count)
{
    uint32_t failed = 0;
    *out_count = sizeof stories / sizeof stories[0];
    for (uint32_t index = 0; index < *out_count; index++) {
        const char *wrong = stories[index].run();
        if (wrong == NULL) continue;
        printf("%s: %s\n", stories[index].name, wrong);
        failed++;
    }
    return failed;
}
