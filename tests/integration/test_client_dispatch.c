/* libtenure with callbacks on the program's own thread, against a real server. */
#include <tenure/tenure.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/tenured.h"
#include "lib/test.h"

#define EVENT_COUNT_MAX 1000u

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(unsigned duration_ms)
{
    struct timespec pause = { duration_ms / 1000, (long)(duration_ms % 1000) * 1000000 };
    (void)nanosleep(&pause, NULL);
}

static bool is_readable(int fd, int limit_ms)
{
    struct pollfd entry = { .fd = fd, .events = POLLIN };
    return poll(&entry, 1, limit_ms) == 1 && (entry.revents & POLLIN) != 0;
}

/* ------------------------------------------------------------------ what callbacks tell */

struct seen {
    pthread_t thread;
    struct tenure_client client;
    unsigned done_count;
    enum tenure_err err;
    struct tenure_hold hold;
    unsigned risk_count;
    unsigned held_count;
    unsigned lost_count;
    enum tenure_loss loss;
    unsigned release_count;
    unsigned event_count;
    uint64_t seqs[EVENT_COUNT_MAX];
    unsigned end_count;
    enum tenure_err end_err;
    unsigned events_wanted; /* what is watched is stopped behind so many */
    char leader[300];
};

static struct seen *look(void *user)
{
    struct seen *seen = user;
    if (pthread_equal(seen->thread, pthread_self()) == 0) FAIL("a callback on another thread");
    return seen;
}

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct seen *seen = look(user);
    bool is_hindered = err == TENURE_HELD || err == TENURE_TIMEOUT;
    CHECK(is_hindered == (obstacle != NULL));
    CHECK_EQ_INT(error->code, err);
    seen->done_count++;
    seen->err = err;
    seen->hold = hold;
}

static void on_at_risk(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    CHECK_EQ_INT(remaining_ms, tenure_hold_remaining_ms(hold));
    look(user)->risk_count++;
}

static void on_held(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    (void)hold;
    CHECK(remaining_ms > 0);
    look(user)->held_count++;
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    struct seen *seen = look(user);
    CHECK(!tenure_hold_valid(hold));
    seen->lost_count++;
    seen->loss = loss;
}

static void on_released(enum tenure_err err, const struct tenure_release *release, void *user)
{
    (void)err;
    (void)release;
    look(user)->release_count++;
}

static bool on_event(const struct tenure_event *event, void *user)
{
    struct seen *seen = look(user);
    CHECK_EQ_TEXT(event->name, "deploy/prod");
    if (seen->event_count < EVENT_COUNT_MAX) seen->seqs[seen->event_count] = event->seq;
    seen->event_count++;
    return seen->events_wanted == 0 || seen->event_count < seen->events_wanted;
}

static void on_watch_end(enum tenure_err err, void *user)
{
    struct seen *seen = look(user);
    seen->end_count++;
    seen->end_err = err;
}

/* ------------------------------------------------------------------ shorthands */

static struct tenure_client open_client(const char *url, bool is_dispatched)
{
    struct tenure_client_options options = {
        .size = sizeof(options), .url = url, .timeout_ms = 3000, .is_dispatched = is_dispatched
    };
    struct tenure_client client = { 0 };
    CHECK_EQ_INT(tenure_client_open(&options, &client, NULL), TENURE_OK);
    return client;
}

static void begin(struct seen *seen, const struct tenured *server)
{
    *seen = (struct seen){ .thread = pthread_self(), .err = TENURE_INTERNAL };
    seen->client = open_client(server->url, true);
}

static const char *const names[] = { "deploy/prod" };

static struct tenure_lock_options terms(uint32_t ttl_ms, uint32_t wait_ms, struct seen *seen)
{
    return (struct tenure_lock_options){
        .size = sizeof(struct tenure_lock_options),
        .names = names,
        .name_count = 1,
        .ttl_ms = ttl_ms,
        .wait_ms = wait_ms,
        .on_at_risk = on_at_risk,
        .on_held = on_held,
        .on_lost = on_lost,
        .user = seen,
    };
}

static void start(struct seen *seen, uint32_t ttl_ms, uint32_t wait_ms)
{
    struct tenure_lock_options options = terms(ttl_ms, wait_ms, seen);
    CHECK_EQ_INT(
        tenure_lock_start(seen->client, &options, on_acquired, seen, NULL, NULL), TENURE_OK);
}

static void dispatch(struct seen *seen)
{
    CHECK_EQ_INT(tenure_client_dispatch(seen->client), TENURE_OK);
}

static void dispatch_until(struct seen *seen, const unsigned *counter, unsigned least)
{
    while (*counter < least) {
        CHECK(is_readable(tenure_client_fd(seen->client), 20000));
        dispatch(seen);
    }
}

/* A hold that is told and nothing else. */
static struct tenure_hold lock(struct seen *seen, uint32_t ttl_ms)
{
    unsigned before = seen->done_count;
    start(seen, ttl_ms, 10000);
    dispatch_until(seen, &seen->done_count, before + 1);
    CHECK_EQ_INT(seen->err, TENURE_OK);
    return seen->hold;
}

/* ------------------------------------------------------------------ when things are told */

TEST(nothing_is_told_before_it_is_dispatched)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    int fd = tenure_client_fd(seen.client);
    CHECK(fd >= 0);
    CHECK(!is_readable(fd, 100));
    dispatch(&seen);
    start(&seen, 300, 0);
    CHECK(is_readable(fd, 20000));
    sleep_ms(1000); /* it is kept although nobody knows of it */
    CHECK_EQ_UINT(seen.done_count, 0);
    dispatch(&seen);
    CHECK_EQ_UINT(seen.done_count, 1);
    CHECK_EQ_INT(seen.err, TENURE_OK);
    CHECK(tenure_hold_valid(seen.hold));
    CHECK(!is_readable(fd, 0));
    start(&seen, 300, 0);
    dispatch_until(&seen, &seen.done_count, 2);
    CHECK_EQ_INT(seen.err, TENURE_HELD);
    tenure_client_close(seen.client);
    CHECK_EQ_INT(tenure_client_fd(seen.client), -1);
    CHECK_EQ_INT(tenure_client_dispatch(seen.client), TENURE_INVALID);
    tenured_remove(&server);
}

TEST(functions_that_wait_may_be_called_between_dispatches)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    struct tenure_lock_options options = terms(1000, 0, &seen);
    struct tenure_hold hold;
    struct tenure_release release;
    CHECK_EQ_INT(tenure_lock(seen.client, &options, &hold, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_hold_renew(hold, 2000, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    CHECK(!is_readable(tenure_client_fd(seen.client), 50));
    tenure_client_close(seen.client);
    tenured_remove(&server);
}

TEST(a_risk_that_has_passed_is_not_told)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    struct tenure_hold hold = lock(&seen, 1500);
    struct tenure_hold_info info;
    tenured_signal(&server, SIGSTOP);
    do {
        sleep_ms(5);
        CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    } while (info.state == TENURE_HOLD_HELD);
    CHECK_EQ_INT(info.state, TENURE_HOLD_AT_RISK);
    tenured_signal(&server, SIGCONT);
    do {
        sleep_ms(5);
        CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    } while (info.state == TENURE_HOLD_AT_RISK);
    CHECK_EQ_INT(info.state, TENURE_HOLD_HELD);
    CHECK(is_readable(tenure_client_fd(seen.client), 0));
    dispatch(&seen);
    CHECK_EQ_UINT(seen.risk_count + seen.held_count + seen.lost_count, 0);

    /* One that lasts is told, and its end too. */
    tenured_signal(&server, SIGSTOP);
    dispatch_until(&seen, &seen.risk_count, 1);
    tenured_signal(&server, SIGCONT);
    dispatch_until(&seen, &seen.held_count, 1);

    tenured_signal(&server, SIGSTOP);
    while (tenure_hold_valid(hold)) {
        sleep_ms(5);
    }
    sleep_ms(50);
    dispatch(&seen);
    CHECK_EQ_UINT(seen.lost_count, 1);
    CHECK_EQ_INT(seen.loss, TENURE_LOSS_EXPIRED);
    CHECK_EQ_UINT(seen.risk_count, 1);
    tenured_signal(&server, SIGCONT);
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.lost_count, 1);
    tenured_remove(&server);
}

TEST(what_is_released_is_not_told_of_any_more)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    struct tenure_hold hold = lock(&seen, 300);
    tenured_signal(&server, SIGSTOP);
    CHECK(is_readable(tenure_client_fd(seen.client), 20000));
    while (tenure_hold_valid(hold)) {
        sleep_ms(5);
    }
    CHECK_EQ_INT(tenure_hold_release_start(hold, on_released, &seen), TENURE_OK);
    tenured_signal(&server, SIGCONT);
    dispatch_until(&seen, &seen.release_count, 1);
    CHECK_EQ_UINT(seen.risk_count + seen.lost_count, 0);
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.release_count, 1);
    CHECK_EQ_UINT(seen.lost_count, 0);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ watches */

static struct tenure_watch watch_all(struct seen *seen, uint64_t since)
{
    struct tenure_watch watch;
    struct tenure_watch_options options = { .size = sizeof(options),
                                            .prefix = "deploy/",
                                            .since = since,
                                            .on_event = on_event,
                                            .on_end = on_watch_end,
                                            .user = seen };
    CHECK_EQ_INT(tenure_watch_open(seen->client, &options, &watch, NULL), TENURE_OK);
    return watch;
}

/* Two events each. */
static void make_events(const struct tenured *server, unsigned count, unsigned meta_size)
{
    static char meta[4001];
    memset(meta, 'm', meta_size);
    meta[meta_size] = '\0';
    struct tenure_client client = open_client(server->url, false);
    struct tenure_lock_options options = terms(60000, 5000, NULL);
    options.meta = meta;
    for (unsigned index = 0; index < count; index++) {
        struct tenure_hold hold;
        CHECK_EQ_INT(tenure_lock(client, &options, &hold, NULL, NULL), TENURE_OK);
        CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    }
    tenure_client_close(client);
}

TEST(a_watch_that_is_dispatched_late_has_no_gaps)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    make_events(&server, 1, 0);
    struct tenure_watch watch = watch_all(&seen, 1);
    dispatch_until(&seen, &seen.event_count, 1);
    /* Far more than is kept in memory. */
    make_events(&server, 300, 4000);
    CHECK(seen.event_count < 10);
    dispatch_until(&seen, &seen.event_count, 601);
    CHECK_EQ_UINT(seen.event_count, 601);
    for (unsigned index = 0; index < 601; index++) {
        CHECK_EQ_UINT(seen.seqs[index], index + 2);
    }
    CHECK_EQ_UINT(seen.end_count, 0);
    make_events(&server, 1, 10);
    CHECK(is_readable(tenure_client_fd(seen.client), 20000));
    tenure_watch_close(seen.client, watch);
    dispatch_until(&seen, &seen.end_count, 1);
    CHECK_EQ_UINT(seen.event_count, 601); /* what was there is not told any more */
    CHECK_EQ_INT(seen.end_err, TENURE_CANCELED);
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.end_count, 1);
    tenured_remove(&server);
}

TEST(a_watch_ends_when_its_callback_says_so_or_the_client_is_closed)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    make_events(&server, 4, 0);
    seen.events_wanted = 3;
    (void)watch_all(&seen, 1);
    dispatch_until(&seen, &seen.end_count, 1);
    CHECK_EQ_UINT(seen.event_count, 3);
    CHECK_EQ_INT(seen.end_err, TENURE_CANCELED);
    seen.events_wanted = 0;
    (void)watch_all(&seen, 1);
    (void)watch_all(&seen, 1);
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.end_count, 3);
    CHECK_EQ_INT(seen.end_err, TENURE_CANCELED);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ elections */

static void on_done(enum tenure_err err, const struct tenure_error *error, void *user)
{
    struct seen *seen = look(user);
    CHECK_EQ_INT(error->code, err);
    CHECK(error->text[0] != '\0');
    seen->end_count++;
    seen->end_err = err;
}

static bool on_leader(const struct tenure_leader *leader, void *user)
{
    struct seen *seen = look(user);
    (void)snprintf(
        seen->leader,
        sizeof(seen->leader),
        "%s=%s",
        leader->owner == NULL ? "nobody" : leader->owner,
        leader->owner == NULL ? "" : leader->value);
    seen->event_count++;
    return seen->events_wanted == 0 || seen->event_count < seen->events_wanted;
}

static struct tenure_op observe(struct seen *seen)
{
    struct tenure_op op = { 0 };
    struct tenure_observe_options options = { .size = sizeof(options),
                                              .name = names[0],
                                              .on_leader = on_leader,
                                              .on_end = on_done,
                                              .user = seen };
    CHECK_EQ_INT(tenure_election_observe_start(seen->client, &options, &op, NULL), TENURE_OK);
    CHECK(op.id != 0);
    return op;
}

static void await_leader(struct seen *seen, const char *words)
{
    while (strcmp(seen->leader, words) != 0) {
        CHECK(is_readable(tenure_client_fd(seen->client), 20000));
        dispatch(seen);
    }
}

TEST(an_election_is_followed_and_led_without_waiting)
{
    struct tenured server;
    struct seen seen;
    struct seen leader;
    struct seen heir;
    tenured_start(&server);
    begin(&seen, &server);
    begin(&leader, &server);
    begin(&heir, &server);
    (void)observe(&seen);
    await_leader(&seen, "nobody=");
    struct tenure_lock_options options = terms(5000, TENURE_WAIT_FOREVER, &leader);
    options.owner = "a";
    options.meta = "one";
    CHECK_EQ_INT(
        tenure_lock_start(leader.client, &options, on_acquired, &leader, NULL, NULL), TENURE_OK);
    dispatch_until(&leader, &leader.done_count, 1);
    await_leader(&seen, "a=one");
    CHECK_EQ_INT(tenure_election_proclaim_start(leader.hold, "two", on_done, &leader), TENURE_OK);
    CHECK_EQ_INT(tenure_hold_renew_start(leader.hold, 6000, on_done, &leader), TENURE_OK);
    dispatch_until(&leader, &leader.end_count, 2);
    CHECK_EQ_INT(leader.end_err, TENURE_OK);
    CHECK(tenure_hold_remaining_ms(leader.hold) > 5000);
    await_leader(&seen, "a=two");
    CHECK_EQ_INT(
        tenure_election_transfer_start(leader.hold, "nobody", on_done, &leader), TENURE_OK);
    dispatch_until(&leader, &leader.end_count, 3);
    CHECK_EQ_INT(leader.end_err, TENURE_NOT_FOUND);
    CHECK(tenure_hold_valid(leader.hold));

    options.owner = "b";
    options.meta = "three";
    options.user = &heir;
    CHECK_EQ_INT(
        tenure_lock_start(heir.client, &options, on_acquired, &heir, NULL, NULL), TENURE_OK);
    do {
        CHECK_EQ_INT(tenure_election_transfer_start(leader.hold, "b", on_done, &leader), TENURE_OK);
        dispatch_until(&leader, &leader.end_count, leader.end_count + 1);
    } while (leader.end_err == TENURE_NOT_FOUND); /* until it waits */
    CHECK_EQ_INT(leader.end_err, TENURE_OK);
    CHECK(!tenure_hold_valid(leader.hold));
    dispatch_until(&heir, &heir.done_count, 1);
    await_leader(&seen, "b=three");
    CHECK_EQ_UINT(leader.lost_count, 0);
    CHECK_EQ_INT(tenure_hold_renew_start(leader.hold, 6000, on_done, &leader), TENURE_INVALID);
    tenure_client_close(leader.client);
    tenure_client_close(heir.client);
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.end_count, 1);
    CHECK_EQ_INT(seen.end_err, TENURE_CANCELED);
    tenured_remove(&server);
}

TEST(an_observation_tells_what_is_true_and_ends_once)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    struct tenure_op op = observe(&seen);
    await_leader(&seen, "nobody=");
    /* Of changes that were not dispatched only the last one is told. */
    make_events(&server, 5, 1);
    sleep_ms(200);
    dispatch(&seen);
    CHECK(seen.event_count <= 3);
    CHECK_EQ_TEXT(seen.leader, "nobody=");
    CHECK_EQ_UINT(seen.end_count, 0);
    tenure_op_cancel(seen.client, op);
    tenure_op_cancel(seen.client, op);
    dispatch_until(&seen, &seen.end_count, 1);
    CHECK_EQ_INT(seen.end_err, TENURE_CANCELED);

    /* Ended by its callback; by the end of the client; before it was begun. */
    seen.event_count = 0;
    seen.events_wanted = 1;
    (void)observe(&seen);
    dispatch_until(&seen, &seen.end_count, 2);
    CHECK_EQ_INT(seen.end_err, TENURE_OK);
    CHECK_EQ_UINT(seen.event_count, 1);
    seen.events_wanted = 0;
    (void)observe(&seen);
    tenure_op_cancel(seen.client, observe(&seen));
    dispatch_until(&seen, &seen.end_count, 3);
    (void)observe(&seen);
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.end_count, 5);
    CHECK_EQ_INT(seen.end_err, TENURE_CANCELED);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ closing */

TEST(closing_tells_everything_on_the_thread_that_closes)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    struct tenure_client other = open_client(server.url, false);
    struct tenure_lock_options options = terms(60000, 0, NULL);
    struct tenure_hold hold;
    CHECK_EQ_INT(tenure_lock(other, &options, &hold, NULL, NULL), TENURE_OK);
    for (unsigned round = 0; round < 30; round++) {
        begin(&seen, &server);
        for (unsigned count = 0; count < 10; count++) {
            start(&seen, 1000, TENURE_WAIT_FOREVER);
        }
        if (round % 3 == 1) sleep_ms(1);
        if (round % 3 == 2) sleep_ms(10);
        tenure_client_close(seen.client);
        CHECK_EQ_UINT(seen.done_count, 10);
        CHECK_EQ_INT(seen.err, TENURE_CANCELED);
    }
    /* A grant that nobody has heard of, and a hold that was told. */
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    begin(&seen, &server);
    start(&seen, 300, 1000);
    CHECK(is_readable(tenure_client_fd(seen.client), 20000));
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.done_count, 1);
    CHECK_EQ_INT(seen.err, TENURE_CANCELED);
    CHECK_EQ_UINT(seen.hold.id, 0);
    begin(&seen, &server);
    (void)lock(&seen, 60000);
    tenure_client_close(seen.client);
    CHECK_EQ_UINT(seen.lost_count, 1);
    CHECK_EQ_INT(seen.loss, TENURE_LOSS_CLOSED);
    tenure_client_close(other);
    tenured_remove(&server);
}

struct slow {
    struct tenure_client client;
    _Atomic bool is_inside;
    _Atomic bool is_free;
    _Atomic unsigned count;
};

static void on_slow(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct slow *slow = user;
    (void)err;
    (void)hold;
    (void)obstacle;
    (void)error;
    atomic_fetch_add(&slow->count, 1);
    atomic_store(&slow->is_inside, true);
    while (!atomic_load(&slow->is_free)) {
        sleep_ms(1);
    }
}

static void *run_dispatch(void *user)
{
    struct slow *slow = user;
    while (atomic_load(&slow->count) == 0) {
        (void)!tenure_client_dispatch(slow->client);
    }
    return NULL;
}

static void *free_soon(void *user)
{
    struct slow *slow = user;
    sleep_ms(200);
    atomic_store(&slow->is_free, true);
    return NULL;
}

TEST(one_thread_at_a_time_dispatches_and_closing_waits_for_it)
{
    struct tenured server;
    struct slow slow = { .count = 0 };
    pthread_t threads[2];
    tenured_start(&server);
    slow.client = open_client(server.url, true);
    struct tenure_lock_options options = terms(1000, 5000, NULL);
    options.on_at_risk = NULL;
    options.on_held = NULL;
    options.on_lost = NULL;
    for (unsigned index = 0; index < 2; index++) {
        CHECK_EQ_INT(
            tenure_lock_start(slow.client, &options, on_slow, &slow, NULL, NULL), TENURE_OK);
    }
    CHECK_EQ_INT(pthread_create(&threads[0], NULL, run_dispatch, &slow), 0);
    while (!atomic_load(&slow.is_inside)) {
        sleep_ms(1);
    }
    CHECK_EQ_INT(tenure_client_dispatch(slow.client), TENURE_OK);
    CHECK_EQ_UINT(atomic_load(&slow.count), 1);
    CHECK_EQ_INT(pthread_create(&threads[1], NULL, free_soon, &slow), 0);
    int64_t before_ms = now_ms();
    tenure_client_close(slow.client);
    CHECK(now_ms() - before_ms >= 150);
    CHECK_EQ_UINT(atomic_load(&slow.count), 2);
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ fork */

static pid_t forked;

static void on_fork(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    (void)obstacle;
    (void)error;
    struct seen *seen = user;
    seen->err = err;
    seen->hold = hold;
    seen->done_count++;
    forked = fork();
}

TEST(a_callback_may_fork_and_the_child_has_nothing_of_it)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    struct tenure_lock_options options = terms(1000, 5000, &seen);
    CHECK_EQ_INT(tenure_lock_start(seen.client, &options, on_fork, &seen, NULL, NULL), TENURE_OK);
    start(&seen, 1000, TENURE_WAIT_FOREVER); /* behind it, in the same batch or a later one */
    int fd = tenure_client_fd(seen.client);
    while (seen.done_count == 0) {
        CHECK(is_readable(fd, 20000));
        (void)!tenure_client_dispatch(seen.client);
    }
    if (forked == 0) {
        int wrong = 0;
        wrong += seen.done_count != 1;
        wrong += tenure_client_dispatch(seen.client) != TENURE_INVALID;
        wrong += tenure_client_fd(seen.client) != -1;
        wrong += tenure_hold_valid(seen.hold);
        tenure_client_close(seen.client);
        _exit(wrong);
    }
    CHECK(forked > 0);
    int status;
    CHECK_EQ_INT(waitpid(forked, &status, 0), forked);
    CHECK_EQ_INT(status, 0);
    CHECK(tenure_hold_valid(seen.hold));
    CHECK_EQ_INT(tenure_hold_release_start(seen.hold, on_released, &seen), TENURE_OK);
    dispatch_until(&seen, &seen.done_count, 2);
    CHECK_EQ_INT(seen.err, TENURE_OK);
    dispatch_until(&seen, &seen.release_count, 1);
    tenure_client_close(seen.client);
    tenured_remove(&server);
}

static struct seen *seen_at_exit;

static void use_at_exit(void)
{
    int wrong = 0;
    wrong += tenure_hold_release(seen_at_exit->hold, NULL) != TENURE_INVALID;
    wrong += tenure_client_dispatch(seen_at_exit->client) != TENURE_INVALID;
    tenure_client_close(seen_at_exit->client);
    if (wrong != 0) _exit(99);
}

TEST(a_child_may_end_with_exit)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    begin(&seen, &server);
    (void)lock(&seen, 1000);
    seen_at_exit = &seen;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)atexit(use_at_exit);
        exit(0);
    }
    int status;
    CHECK_EQ_INT(waitpid(child, &status, 0), child);
    CHECK_EQ_INT(status, 0);
    CHECK(tenure_hold_valid(seen.hold));
    tenure_client_close(seen.client);
    tenured_remove(&server);
}
