/* libtenure under random calls from several threads, against a real server.  What must be true
 * whatever is called:
 *
 *   - every operation that was started is completed once, on whatever thread
 *   - of one name, only one handle is valid at a time, and tokens rise
 *   - a handle that was closed stays closed
 *   - with an allocation that fails, calls say so and everything goes on */
#include <tenure/tenure.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "integration/tenured.h"
#include "lib/random.h"
#include "lib/test.h"

#define THREAD_COUNT 4u
#define NAME_COUNT   3u
#define SLOT_COUNT   6u
#define STEP_COUNT   250u

static const char *const all_names[NAME_COUNT] = { "x", "y", "z" };

/* ------------------------------------------------------------------ memory */

/* One allocation in `fail_every` fails, whichever thread asks; 0: none. */
static _Atomic uint64_t allocation_count;
static _Atomic uint64_t fail_every;
static _Atomic int64_t bytes_used;

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    uint64_t every = atomic_load(&fail_every);
    (void)context;
    if (new_size > old_size && every > 0 && atomic_fetch_add(&allocation_count, 1) % every == 0) {
        return NULL;
    }
    void *fresh = NULL;
    if (new_size > 0) {
        fresh = realloc(old, new_size);
    } else {
        free(old);
    }
    if (new_size == 0 || fresh != NULL) {
        atomic_fetch_add(&bytes_used, (int64_t)new_size - (int64_t)old_size);
    }
    return fresh;
}

/* ------------------------------------------------------------------ what there is */

/* One place for a hold: it is asked for, got, given back. */
struct place {
    _Atomic unsigned state; /* 0 free, 1 asking, 2 held */
    _Atomic uint64_t hold_id;
    _Atomic unsigned name;
    struct tenure_op op;
    struct person *person;
};

struct person {
    pthread_t thread;
    struct tenure_client client;
    struct test_random random;
    uint64_t seq_last;
    _Atomic unsigned leaders_seen;
    struct place places[SLOT_COUNT];
};

static struct person people[THREAD_COUNT];
static _Atomic uint64_t started;
static _Atomic uint64_t completed;
static _Atomic uint64_t granted;
static _Atomic uint64_t releases_started;
static _Atomic uint64_t releases_completed;
static _Atomic uint64_t calls_started;
static _Atomic uint64_t calls_completed;
static _Atomic uint64_t lost;
static _Atomic uint64_t token_last[NAME_COUNT];
static _Atomic unsigned broken_rules;

static void complain(const char *what)
{
    if (atomic_fetch_add(&broken_rules, 1) == 0) (void)fprintf(stderr, "broken rule: %s\n", what);
}

static struct tenure_hold hold_of(struct place *place)
{
    return (struct tenure_hold){ atomic_load(&place->hold_id) };
}

/* No other handle of this name may be valid at the same time. */
static void check_alone(struct place *mine)
{
    unsigned name = atomic_load(&mine->name);
    for (unsigned index = 0; index < THREAD_COUNT; index++) {
        for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
            struct place *other = &people[index].places[slot];
            if (other == mine || atomic_load(&other->state) != 2) continue;
            struct tenure_hold hold = hold_of(other);
            if (atomic_load(&other->name) != name || !tenure_hold_valid(hold)) continue;
            /* A place that is now another hold's proves nothing. */
            bool is_mine_valid = tenure_hold_valid(hold_of(mine));
            if (is_mine_valid && atomic_load(&other->hold_id) == hold.id &&
                atomic_load(&other->state) == 2) {
                complain("two handles of one name are valid");
            }
        }
    }
}

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct place *place = user;
    (void)error;
    if (atomic_load(&place->state) != 1) complain("completed twice");
    if ((err == TENURE_HELD || err == TENURE_TIMEOUT) != (obstacle != NULL)) {
        complain("an obstacle is there when nothing is in the way, or not when something is");
    }
    atomic_fetch_add(&completed, 1);
    if (err != TENURE_OK) {
        atomic_store(&place->state, 0);
        return;
    }
    atomic_fetch_add(&granted, 1);
    uint64_t token = tenure_hold_token(hold);
    if (token <= atomic_exchange(&token_last[atomic_load(&place->name)], token)) {
        complain("a token fell");
    }
    atomic_store(&place->hold_id, hold.id);
    check_alone(place);
    atomic_store(&place->state, 2);
}

static void on_risk(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    const struct place *place = user;
    (void)hold;
    if (remaining_ms < 0 || place->person == NULL) complain("no time, or nobody, is at risk");
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    const struct place *place = user;
    if (tenure_hold_valid(hold)) complain("lost, and valid");
    if (loss == TENURE_LOSS_NONE || place->person == NULL) complain("lost for no reason");
    atomic_fetch_add(&lost, 1);
}

static void on_released(enum tenure_err err, const struct tenure_release *release, void *user)
{
    (void)err;
    (void)user;
    if (release->end == TENURE_END_RELEASED && release->overlap_ms < 0) complain("no overlap");
    atomic_fetch_add(&releases_completed, 1);
}

/* ------------------------------------------------------------------ what people do */

static void start(struct person *person, struct place *place)
{
    unsigned name = (unsigned)test_random_below(&person->random, NAME_COUNT);
    atomic_store(&place->name, name);
    place->person = person;
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &all_names[name],
        .name_count = 1,
        .ttl_ms = 300 + (uint32_t)test_random_below(&person->random, 500),
        .wait_ms = test_random_below(&person->random, 3) == 0
                       ? 0
                       : (uint32_t)test_random_below(&person->random, 200),
        .priority = (uint32_t)test_random_below(&person->random, 10),
        .on_at_risk = on_risk,
        .on_held = on_risk,
        .on_lost = on_lost,
        .user = place,
    };
    atomic_store(&place->state, 1);
    atomic_fetch_add(&started, 1);
    enum tenure_err err =
        tenure_lock_start(person->client, &options, on_acquired, place, &place->op, NULL);
    if (err == TENURE_OK) return;
    atomic_fetch_sub(&started, 1);
    atomic_store(&place->state, 0);
    if (err != TENURE_NO_MEMORY) complain("an acquire could not be started");
}

static void release(struct person *person, struct place *place)
{
    struct tenure_hold hold = hold_of(place);
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    atomic_store(&place->state, 3);
    if (test_random_below(&person->random, 2) == 0) {
        (void)!tenure_hold_release(hold, &release);
        if (release.end == TENURE_END_BROKEN) complain("nobody has broken it");
    } else if (tenure_hold_release_start(hold, on_released, place) == TENURE_OK) {
        atomic_fetch_add(&releases_started, 1);
    }
    if (tenure_hold_valid(hold) || tenure_hold_token(hold) != 0) complain("still open");
    if (tenure_hold_release_start(hold, NULL, NULL) != TENURE_INVALID) complain("closed twice");
    atomic_store(&place->state, 0);
}

static void ignore_view(const struct tenure_lock_view *view, void *user)
{
    (void)user;
    if (view->holder_count > 1) complain("two holders");
}

static bool ignore_event(const struct tenure_event *event, void *user)
{
    uint64_t *last = user;
    if (event->seq <= *last) complain("events out of order");
    *last = event->seq;
    return true;
}

/* What is not valid is readable; what is readable is not valid, for ever. */
static void check_loss_fd(struct tenure_hold hold)
{
    int fd;
    enum tenure_err err = tenure_hold_fd(hold, &fd);
    if (err != TENURE_OK) return;
    struct pollfd entry = { .fd = fd, .events = POLLIN };
    bool is_readable = poll(&entry, 1, 0) == 1;
    if (is_readable && tenure_hold_valid(hold)) complain("valid, and the descriptor says lost");
    (void)close(fd);
}

static void on_done(enum tenure_err err, const struct tenure_error *error, void *user)
{
    (void)user;
    if (error->code != err) complain("two outcomes");
    atomic_fetch_add(&calls_completed, 1);
}

static bool on_leader(const struct tenure_leader *leader, void *user)
{
    struct person *person = user;
    if (leader->owner != NULL && leader->token == 0) complain("a leader without a term");
    return atomic_fetch_add(&person->leaders_seen, 1) % 7 != 6;
}

/* What does not wait, and is told of later. */
static void start_something(struct person *person, struct place *place)
{
    struct tenure_op op;
    enum tenure_err err = TENURE_INVALID;
    uint64_t dice = test_random_below(&person->random, 4);
    if (dice == 0) {
        err = tenure_hold_renew_start(hold_of(place), 500, on_done, person);
    } else if (dice == 1) {
        err = tenure_election_proclaim_start(hold_of(place), "value", on_done, person);
    } else if (dice == 2) {
        err = tenure_election_transfer_start(hold_of(place), "nobody", on_done, person);
    } else {
        struct tenure_observe_options options = {
            .size = sizeof(options),
            .name = all_names[test_random_below(&person->random, NAME_COUNT)],
            .on_leader = on_leader,
            .on_end = on_done,
            .user = person,
        };
        err = tenure_election_observe_start(person->client, &options, &op, NULL);
        if (err == TENURE_OK && test_random_below(&person->random, 2) == 0) {
            tenure_op_cancel(person->client, op);
        }
    }
    if (err == TENURE_OK) atomic_fetch_add(&calls_started, 1);
}

static void use(struct person *person, struct place *place)
{
    struct tenure_hold_info info;
    switch (test_random_below(&person->random, 6)) {
    case 4: start_something(person, place); break;
    case 3: check_loss_fd(hold_of(place)); break;
    case 0: (void)!tenure_hold_renew(hold_of(place), 0, NULL); break;
    case 1: (void)!tenure_hold_info(hold_of(place), &info); break;
    case 2: check_alone(place); break;
    default: (void)tenure_hold_remaining_ms(hold_of(place)); break;
    }
}

static void do_something(struct person *person)
{
    struct place *place = &person->places[test_random_below(&person->random, SLOT_COUNT)];
    unsigned state = atomic_load(&place->state);
    uint64_t dice = test_random_below(&person->random, 10);
    /* One client of the two is dispatched, by whoever comes. */
    if (tenure_client_fd(person->client) >= 0) {
        if (tenure_client_dispatch(person->client) != TENURE_OK) complain("not dispatched");
    }
    if (dice == 0) {
        (void)!tenure_inspect(
            person->client,
            all_names[test_random_below(&person->random, NAME_COUNT)],
            ignore_view,
            NULL,
            NULL);
    } else if (dice == 1) {
        (void)!tenure_list(person->client, NULL, ignore_view, NULL, NULL);
    } else if (state == 0) {
        start(person, place);
    } else if (state == 1 && dice == 2) {
        tenure_op_cancel(person->client, place->op);
    } else if (state == 2 && dice < 6) {
        use(person, place);
    } else if (state == 2) {
        release(person, place);
    }
    if (dice < 3) {
        struct timespec pause = { 0, (long)test_random_below(&person->random, 3000000) };
        (void)nanosleep(&pause, NULL);
    }
}

static void *live(void *user)
{
    struct person *person = user;
    struct tenure_watch watch = { 0 };
    struct tenure_watch_options options = { .size = sizeof(options),
                                            .on_event = ignore_event,
                                            .user = &person->seq_last };
    enum tenure_err err = tenure_watch_open(person->client, &options, &watch, NULL);
    for (unsigned step = 0; step < STEP_COUNT; step++) {
        do_something(person);
    }
    if (err == TENURE_OK) tenure_watch_close(person->client, watch);
    return NULL;
}

static void run_people(const struct tenured *server, uint64_t seed, uint64_t every)
{
    struct tenure_client clients[2];
    test_note("seed %u, one allocation in %u fails", (unsigned)seed, (unsigned)every);
    atomic_store(&fail_every, 0);
    for (unsigned index = 0; index < 2; index++) {
        struct tenure_client_options options = { .size = sizeof(options),
                                                 .url = server->url,
                                                 .timeout_ms = 2000,
                                                 .is_dispatched = index == 1 };
        CHECK_EQ_INT(tenure_client_open(&options, &clients[index], NULL), TENURE_OK);
    }
    atomic_store(&fail_every, every);
    for (unsigned index = 0; index < THREAD_COUNT; index++) {
        people[index] = (struct person){ .client = clients[index % 2],
                                         .random = { seed * THREAD_COUNT + index } };
    }
    for (unsigned index = 0; index < THREAD_COUNT; index++) {
        CHECK_EQ_INT(pthread_create(&people[index].thread, NULL, live, &people[index]), 0);
    }
    for (unsigned index = 0; index < THREAD_COUNT; index++) {
        CHECK_EQ_INT(pthread_join(people[index].thread, NULL), 0);
    }
    for (unsigned index = 0; index < 2; index++) {
        tenure_client_close(clients[index]);
    }
    CHECK_EQ_UINT(atomic_load(&started), atomic_load(&completed));
    CHECK_EQ_UINT(atomic_load(&releases_started), atomic_load(&releases_completed));
    CHECK_EQ_UINT(atomic_load(&calls_started), atomic_load(&calls_completed));
    CHECK_EQ_UINT(atomic_load(&broken_rules), 0);
    CHECK_EQ_INT(atomic_load(&bytes_used), 0);
}

TEST_WITHIN(60, random_calls_break_no_rule)
{
    struct tenured server;
    tenured_start(&server);
    CHECK_EQ_INT(tenure_set_allocator(resize, NULL), TENURE_OK);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run_people(&server, seed, 0);
    }
    CHECK(atomic_load(&granted) > 10);
    tenured_remove(&server);
}

TEST_WITHIN(60, allocations_that_fail_break_no_rule)
{
    struct tenured server;
    tenured_start(&server);
    CHECK_EQ_INT(tenure_set_allocator(resize, NULL), TENURE_OK);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run_people(&server, seed, 3 + 7 * seed);
    }
    CHECK(atomic_load(&granted) > 10);
    tenured_remove(&server);
}

/* A client that cannot get memory for the n-th block, for each n of its way to a lock and back. */
TEST_WITHIN(60, each_allocation_on_the_way_may_fail)
{
    struct tenured server;
    tenured_start(&server);
    CHECK_EQ_INT(tenure_set_allocator(resize, NULL), TENURE_OK);
    unsigned ok_count = 0;
    for (uint64_t n = 1; n < 40; n++) {
        struct tenure_client_options options = { .size = sizeof(options),
                                                 .url = server.url,
                                                 .timeout_ms = 2000 };
        struct tenure_client client;
        struct tenure_lock_options terms = {
            .size = sizeof(terms), .names = all_names, .name_count = 2, .ttl_ms = 200
        };
        test_note("allocation %u fails", (unsigned)n);
        atomic_store(&fail_every, 1000000);
        atomic_store(&allocation_count, 1000000 - n);
        enum tenure_err err = tenure_client_open(&options, &client, NULL);
        if (err == TENURE_OK) {
            struct tenure_hold hold;
            err = tenure_lock(client, &terms, &hold, NULL, NULL);
            if (err == TENURE_OK) {
                struct timespec pause = { 0, 120000000 };
                (void)nanosleep(&pause, NULL);
                CHECK(tenure_hold_valid(hold));
                CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
                ok_count++;
            }
            tenure_client_close(client);
        }
        CHECK(err == TENURE_OK || err == TENURE_NO_MEMORY);
        CHECK_EQ_INT(atomic_load(&bytes_used), 0);
    }
    CHECK(ok_count > 20);
    tenured_remove(&server);
}
