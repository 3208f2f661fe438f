/* libtenure against a real server, with a proxy in between where the network has to misbehave. */
#include <tenure/tenure.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/tenured.h"
#include "lib/fault_proxy.h"
#include "lib/test.h"

#define LOG_SIZE 64u

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

/* ------------------------------------------------------------------ what callbacks tell */

struct seen {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned state_count;
    enum tenure_hold_state states[LOG_SIZE];
    enum tenure_loss loss;
    int64_t lost_at_ms;
    unsigned lost_count;
    unsigned done_count;
    enum tenure_err err;
    struct tenure_hold hold;
    char text[240];
};

static void seen_init(struct seen *seen)
{
    *seen = (struct seen){ .err = TENURE_INTERNAL };
    (void)pthread_mutex_init(&seen->mutex, NULL);
    (void)pthread_cond_init(&seen->changed, NULL);
}

static void note_state(struct seen *seen, enum tenure_hold_state state)
{
    if (seen->state_count < LOG_SIZE) seen->states[seen->state_count++] = state;
    (void)pthread_cond_broadcast(&seen->changed);
}

static void on_at_risk(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    struct seen *seen = user;
    (void)hold;
    (void)remaining_ms;
    (void)pthread_mutex_lock(&seen->mutex);
    note_state(seen, TENURE_HOLD_AT_RISK);
    (void)pthread_mutex_unlock(&seen->mutex);
}

static void on_held(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    struct seen *seen = user;
    (void)hold;
    (void)pthread_mutex_lock(&seen->mutex);
    note_state(seen, TENURE_HOLD_HELD);
    (void)pthread_mutex_unlock(&seen->mutex);
    if (remaining_ms <= 0) FAIL("held, without time left");
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    struct seen *seen = user;
    (void)hold;
    (void)pthread_mutex_lock(&seen->mutex);
    seen->lost_count++;
    seen->lost_at_ms = now_ms();
    seen->loss = loss;
    note_state(seen, TENURE_HOLD_LOST);
    (void)pthread_mutex_unlock(&seen->mutex);
}

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct seen *seen = user;
    (void)obstacle;
    (void)pthread_mutex_lock(&seen->mutex);
    seen->done_count++;
    seen->err = err;
    seen->hold = hold;
    (void)snprintf(seen->text, sizeof(seen->text), "%s", error->text);
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
}

static void await(struct seen *seen, const unsigned *counter, unsigned least)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    (void)pthread_mutex_lock(&seen->mutex);
    int failure = 0;
    while (*counter < least && failure == 0) {
        failure = pthread_cond_timedwait(&seen->changed, &seen->mutex, &until);
    }
    (void)pthread_mutex_unlock(&seen->mutex);
    CHECK_EQ_INT(failure, 0);
}

/* ------------------------------------------------------------------ shorthands */

static struct tenure_client open_client(const char *url)
{
    struct tenure_client_options options = { .size = sizeof(options),
                                             .url = url,
                                             .timeout_ms = 3000 };
    struct tenure_client client = { 0 };
    struct tenure_error error;
    if (tenure_client_open(&options, &client, &error) != TENURE_OK) FAIL("open: %s", error.text);
    return client;
}

static const char *const name_one[] = { "deploy/prod" };

static struct tenure_lock_options plain(uint32_t ttl_ms, uint32_t wait_ms, struct seen *seen)
{
    return (struct tenure_lock_options){
        .size = sizeof(struct tenure_lock_options),
        .names = name_one,
        .name_count = 1,
        .ttl_ms = ttl_ms,
        .wait_ms = wait_ms,
        .on_at_risk = seen == NULL ? NULL : on_at_risk,
        .on_held = seen == NULL ? NULL : on_held,
        .on_lost = seen == NULL ? NULL : on_lost,
        .user = seen,
    };
}

static struct tenure_hold
lock_with(struct tenure_client client, const struct tenure_lock_options *options)
{
    struct tenure_hold hold = { 0 };
    struct tenure_error error;
    enum tenure_err err = tenure_lock(client, options, &hold, NULL, &error);
    if (err != TENURE_OK) FAIL("lock: %s: %s", tenure_err_name(err), error.text);
    return hold;
}

static struct tenure_hold lock(struct tenure_client client, uint32_t ttl_ms, struct seen *seen)
{
    struct tenure_lock_options options = plain(ttl_ms, 0, seen);
    return lock_with(client, &options);
}

static char proxy_url_text[64];

static const char *proxy_url(const struct fault_proxy *proxy)
{
    (void)snprintf(
        proxy_url_text,
        sizeof(proxy_url_text),
        "tenure://127.0.0.1:%u",
        (unsigned)fault_proxy_port(proxy));
    return proxy_url_text;
}

/* ------------------------------------------------------------------ the main road */

TEST(client_locks_renews_and_unlocks)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 300, &seen);
    uint64_t token = tenure_hold_token(hold);
    CHECK(token > 0);
    for (unsigned round = 0; round < 20; round++) {
        CHECK(tenure_hold_valid(hold));
        CHECK(tenure_hold_remaining_ms(hold) > 0 && tenure_hold_remaining_ms(hold) <= 300);
        sleep_ms(50);
    }
    struct tenure_hold_info info;
    CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    CHECK_EQ_INT(info.state, TENURE_HOLD_HELD);
    CHECK_EQ_UINT(info.ttl_ms, 300);
    struct tenure_hold_name name;
    CHECK_EQ_INT(tenure_hold_name(hold, 0, &name), TENURE_OK);
    CHECK_EQ_TEXT(name.name, "deploy/prod");
    CHECK_EQ_UINT(name.token, token);
    CHECK_EQ_INT(tenure_hold_name(hold, 1, &name), TENURE_INVALID);

    struct tenure_release release;
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    CHECK(!tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_hold_remaining_ms(hold), 0);
    CHECK_EQ_UINT(tenure_hold_token(hold), 0);
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_INVALID);
    CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_INVALID);
    CHECK_EQ_UINT(seen.state_count, 0);

    struct tenure_hold again = lock(client, 300, NULL);
    CHECK(tenure_hold_token(again) > token);
    CHECK_NE_INT((int64_t)again.id, (int64_t)hold.id);
    tenure_client_close(client);
    CHECK(!tenure_hold_valid(again));
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(client_tells_who_is_in_the_way)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = plain(60000, 0, NULL);
    options.meta = "make deploy";
    options.owner = "alice@build1:812";
    struct tenure_hold hold = lock_with(client, &options);
    options.owner = "bob";
    struct tenure_obstacle obstacle;
    struct tenure_hold other = { 77 };
    struct tenure_error error;
    CHECK_EQ_INT(tenure_lock(client, &options, &other, &obstacle, &error), TENURE_HELD);
    CHECK_EQ_UINT(other.id, 77);
    CHECK_EQ_TEXT(obstacle.owner, "alice@build1:812");
    CHECK_EQ_TEXT(obstacle.meta, "make deploy");
    CHECK_EQ_TEXT(obstacle.name, "deploy/prod");
    CHECK_EQ_UINT(obstacle.token, tenure_hold_token(hold));
    CHECK(obstacle.remaining_ms > 50000 && obstacle.remaining_ms <= 60000);
    CHECK_EQ_UINT(obstacle.position, 1);
    options.wait_ms = 200;
    int64_t before_ms = now_ms();
    CHECK_EQ_INT(tenure_lock(client, &options, &other, &obstacle, &error), TENURE_TIMEOUT);
    int64_t took_ms = now_ms() - before_ms;
    CHECK_LE_INT(200, took_ms);
    CHECK_LT_INT(took_ms, 1000);
    CHECK(obstacle.waited_ms >= 200);
    CHECK_EQ_TEXT(obstacle.owner, "alice@build1:812");
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(client_is_handed_the_lock_when_it_waits)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 400, NULL);
    struct tenure_lock_options options = plain(400, TENURE_WAIT_FOREVER, NULL);
    struct tenure_op op;
    CHECK_EQ_INT(tenure_lock_start(client, &options, on_acquired, &seen, &op, NULL), TENURE_OK);
    sleep_ms(1500); /* longer than its ttl: what it asked is long ago when it is granted */
    CHECK_EQ_UINT(seen.done_count, 0);
    uint64_t token = tenure_hold_token(hold);
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_INT(seen.err, TENURE_OK);
    CHECK(tenure_hold_valid(seen.hold));
    CHECK(tenure_hold_token(seen.hold) > token);
    CHECK(tenure_hold_remaining_ms(seen.hold) > 200);
    tenure_client_close(client);
    CHECK_EQ_UINT(seen.done_count, 1);
    tenured_remove(&server);
}

struct count {
    unsigned waiters;
    unsigned holders;
};

static void count_view(const struct tenure_lock_view *view, void *user)
{
    struct count *count = user;
    count->waiters = view->waiter_count;
    count->holders = view->holder_count;
}

static unsigned count_waiters(struct tenure_client client)
{
    struct count count = { 0, 0 };
    (void)!tenure_inspect(client, "deploy/prod", count_view, &count, NULL);
    return count.waiters;
}

TEST(client_that_gives_up_a_wait_leaves_the_queue_at_once)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 60000, NULL);
    struct tenure_lock_options options = plain(60000, TENURE_WAIT_FOREVER, NULL);
    struct tenure_op op;
    CHECK_EQ_INT(tenure_lock_start(client, &options, on_acquired, &seen, &op, NULL), TENURE_OK);
    while (count_waiters(client) == 0) {
        sleep_ms(1);
    }
    int64_t before_ms = now_ms();
    tenure_op_cancel(client, op);
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_INT(seen.err, TENURE_CANCELED);
    while (count_waiters(client) != 0) {
        sleep_ms(1);
    }
    CHECK(now_ms() - before_ms < 1000);
    tenure_op_cancel(client, op);
    CHECK(tenure_hold_valid(hold));
    tenure_client_close(client);
    CHECK_EQ_UINT(seen.done_count, 1);
    tenured_remove(&server);
}

TEST(client_takes_several_names_or_none)
{
    static const char *const names[] = { "a", "b", "c" };
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = plain(1000, 0, NULL);
    options.names = names;
    options.name_count = 3;
    struct tenure_hold hold = lock_with(client, &options);
    struct tenure_hold_name name;
    for (uint32_t index = 0; index < 3; index++) {
        CHECK_EQ_INT(tenure_hold_name(hold, index, &name), TENURE_OK);
        CHECK_EQ_TEXT(name.name, names[index]);
        CHECK(name.token > 0);
    }
    sleep_ms(1500);
    CHECK(tenure_hold_valid(hold));
    struct tenure_lock_options other = plain(1000, 0, NULL);
    other.names = &names[1];
    struct tenure_hold none;
    struct tenure_obstacle obstacle;
    CHECK_EQ_INT(tenure_lock(client, &other, &none, &obstacle, NULL), TENURE_HELD);
    CHECK_EQ_TEXT(obstacle.name, "b");
    struct tenure_release release;
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    none = lock_with(client, &other);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ loss */

TEST(client_declares_the_loss_before_the_server_can_grant_again)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    struct tenure_client far = open_client(proxy_url(proxy));
    struct tenure_client near = open_client(server.url);
    for (unsigned round = 0; round < 5; round++) {
        seen_init(&seen);
        fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_PASS);
        fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_PASS);
        fault_proxy_cut(proxy);
        struct tenure_lock_options first = plain(600, 3000, &seen);
        struct tenure_hold hold = lock_with(far, &first);
        sleep_ms(100 + round * 90);
        if (round % 2 == 0) fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_STALL);
        fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_STALL);
        struct tenure_lock_options options = plain(600, 5000, NULL);
        struct tenure_hold next = lock_with(near, &options);
        int64_t granted_at_ms = now_ms();
        CHECK(!tenure_hold_valid(hold));
        await(&seen, &seen.lost_count, 1);
        CHECK_LE_INT(seen.lost_at_ms, granted_at_ms);
        CHECK_EQ_INT(seen.loss, TENURE_LOSS_EXPIRED);
        CHECK_EQ_INT(seen.states[0], TENURE_HOLD_AT_RISK);
        CHECK(tenure_hold_token(next) > tenure_hold_token(hold));
        fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_PASS);
        fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_PASS);
        struct tenure_release release;
        CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
        CHECK_EQ_INT(release.end, TENURE_END_EXPIRED_TAKEN);
        CHECK_EQ_INT(tenure_hold_release(next, NULL), TENURE_OK);
        CHECK_EQ_UINT(seen.lost_count, 1);
    }
    tenure_client_close(far);
    tenure_client_close(near);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

TEST(client_whose_thread_is_busy_still_knows_that_time_is_over)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 300, NULL);
    tenured_signal(&server, SIGSTOP);
    int64_t until_ms = now_ms() + 320;
    while (now_ms() < until_ms) {
        sleep_ms(1);
    }
    CHECK(!tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_hold_remaining_ms(hold), 0);
    tenured_signal(&server, SIGCONT);
    tenure_client_close(client);
    tenured_remove(&server);
}

static void block_thread(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    (void)hold;
    (void)remaining_ms;
    (void)user;
    sleep_ms(1500);
}

TEST(hold_valid_compares_clocks_and_asks_nobody)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = plain(600, 0, NULL);
    options.on_at_risk = block_thread;
    struct tenure_hold hold = lock_with(client, &options);
    tenured_signal(&server, SIGSTOP);
    sleep_ms(700); /* at 400 ms the callback has stopped the client's thread */
    CHECK(!tenure_hold_valid(hold));
    tenured_signal(&server, SIGCONT);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(client_keeps_its_hold_over_a_restart_of_the_server)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 4000, &seen);
    uint64_t token = tenure_hold_token(hold);
    tenured_kill(&server);
    sleep_ms(1500);
    CHECK(tenure_hold_valid(hold));
    tenured_restart(&server);
    sleep_ms(4000);
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_UINT(tenure_hold_token(hold), token);
    CHECK_EQ_UINT(seen.lost_count, 0);
    struct tenure_release release;
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(client_keeps_waiting_over_a_restart_of_the_server)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 4000, NULL);
    struct tenure_lock_options options = plain(4000, 20000, NULL);
    CHECK_EQ_INT(tenure_lock_start(client, &options, on_acquired, &seen, NULL, NULL), TENURE_OK);
    while (count_waiters(client) == 0) {
        sleep_ms(1);
    }
    tenured_signal(&server, SIGTERM);
    (void)waitpid(server.pid, NULL, 0);
    sleep_ms(300);
    CHECK_EQ_UINT(seen.done_count, 0);
    tenured_restart(&server);
    while (count_waiters(client) == 0) {
        sleep_ms(1);
    }
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_INT(seen.err, TENURE_OK);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(client_keeps_its_hold_over_connections_that_break)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    struct tenure_client client = open_client(proxy_url(proxy));
    struct tenure_hold hold = lock(client, 1000, &seen);
    for (unsigned round = 0; round < 20; round++) {
        sleep_ms(150);
        fault_proxy_cut(proxy);
    }
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_UINT(seen.lost_count, 0);
    /* A connection that takes bytes and gives none is noticed, and left. */
    uint64_t connection_count = fault_proxy_connection_count(proxy);
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_STALL);
    while (fault_proxy_connection_count(proxy) == connection_count) {
        sleep_ms(1);
    }
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_PASS);
    sleep_ms(1500);
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_UINT(seen.lost_count, 0);
    tenure_client_close(client);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

TEST(client_is_told_of_a_break)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 60000, &seen);
    uint64_t token = tenure_hold_token(hold);
    CHECK_EQ_INT(tenure_break(client, "deploy/prod", token, "stuck", 600, NULL), TENURE_OK);
    struct tenure_hold_info info;
    do {
        sleep_ms(1);
        CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    } while (!info.is_breaking);
    CHECK(info.remaining_ms <= 600);
    CHECK(tenure_hold_valid(hold));
    await(&seen, &seen.lost_count, 1);
    CHECK_EQ_INT(seen.loss, TENURE_LOSS_BROKEN);
    struct tenure_release release;
    sleep_ms(100);
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_BROKEN);

    seen_init(&seen);
    hold = lock(client, 60000, &seen);
    token = tenure_hold_token(hold);
    int64_t before_ms = now_ms();
    CHECK_EQ_INT(tenure_break(client, "deploy/prod", token, "now", 0, NULL), TENURE_OK);
    await(&seen, &seen.lost_count, 1);
    CHECK(now_ms() - before_ms < 1000);
    CHECK_EQ_INT(seen.loss, TENURE_LOSS_BROKEN);
    CHECK_EQ_INT(tenure_break(client, "deploy/prod", token, "again", 0, NULL), TENURE_NOT_FOUND);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* Somebody has our owner and token: a leader that is asked to hand over, a script that cleans up.
 */
TEST(client_is_told_of_a_release_by_another)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_client other = open_client(server.url);
    struct tenure_lock_options second = plain(60000, 0, NULL);
    second.names = (const char *const[]){ "another" };
    for (unsigned round = 0; round < 3; round++) {
        seen_init(&seen);
        struct tenure_hold hold = lock(client, 60000, &seen);
        /* Two holds, and one again: what is listened to changes. */
        if (round == 1) {
            CHECK_EQ_INT(tenure_hold_release(lock_with(client, &second), NULL), 0);
        }
        if (round == 2) sleep_ms(300);
        struct tenure_hold_info info;
        CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
        struct tenure_claim claim = { "deploy/prod", info.owner, tenure_hold_token(hold) };
        int64_t before_ms = now_ms();
        CHECK_EQ_INT(tenure_claim_release(other, &claim, NULL, NULL), TENURE_OK);
        await(&seen, &seen.lost_count, 1);
        CHECK(now_ms() - before_ms < 2000);
        CHECK_EQ_INT(seen.loss, TENURE_LOSS_ENDED);
        CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    }
    tenure_client_close(other);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(leader_that_hands_over_is_not_told_of_a_loss)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_client other = open_client(server.url);
    for (unsigned round = 0; round < 10; round++) {
        struct seen leader;
        struct seen candidate;
        seen_init(&leader);
        seen_init(&candidate);
        struct tenure_hold hold = lock(client, 60000, &leader);
        struct tenure_lock_options options = plain(60000, TENURE_WAIT_FOREVER, NULL);
        options.owner = "next";
        CHECK_EQ_INT(
            tenure_lock_start(other, &options, on_acquired, &candidate, NULL, NULL), TENURE_OK);
        while (count_waiters(client) == 0) {
            sleep_ms(1);
        }
        sleep_ms(150); /* somebody listens now to what others do to the hold */
        CHECK_EQ_INT(tenure_election_transfer(hold, "next", NULL, NULL), TENURE_OK);
        await(&candidate, &candidate.done_count, 1);
        CHECK_EQ_INT(tenure_hold_release(candidate.hold, NULL), TENURE_OK);
        CHECK_EQ_UINT(leader.lost_count, 0);
    }
    tenure_client_close(other);
    tenure_client_close(client);
    tenured_remove(&server);
}

static uint64_t connections(struct tenure_client client)
{
    struct tenure_server_info info;
    CHECK_EQ_INT(tenure_server_info(client, &info, NULL), TENURE_OK);
    return info.connection_count;
}

TEST(client_with_short_holds_keeps_to_one_connection)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_client witness = open_client(server.url);
    CHECK_EQ_INT(tenure_hold_release(lock(client, 60000, NULL), NULL), TENURE_OK);
    unsigned further_count = 0;
    for (unsigned index = 0; index < 50; index++) {
        struct tenure_hold hold = lock(client, 60000, NULL);
        if (connections(witness) > 2) further_count++;
        CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    }
    /* On a slow machine some holds are not that short. */
    CHECK(further_count < 25);
    struct tenure_hold hold = lock(client, 60000, NULL);
    while (connections(witness) != 3) {
        sleep_ms(1);
    }
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    tenure_client_close(witness);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ outcomes */

TEST(client_without_a_server_ends_by_its_deadline)
{
    struct seen seen;
    seen_init(&seen);
    struct tenure_client_options options = { .size = sizeof(options),
                                             .url = "tenure://127.0.0.1:1",
                                             .timeout_ms = 300 };
    struct tenure_client client;
    struct tenure_error error;
    CHECK_EQ_INT(tenure_client_open(&options, &client, &error), TENURE_OK);
    struct tenure_lock_options terms = plain(1000, TENURE_WAIT_FOREVER, NULL);
    struct tenure_hold hold;
    int64_t before_ms = now_ms();
    CHECK_EQ_INT(tenure_lock(client, &terms, &hold, NULL, &error), TENURE_UNAVAILABLE);
    CHECK(now_ms() - before_ms >= 299 && now_ms() - before_ms < 1500);
    CHECK(strstr(error.text, "refused") != NULL);
    struct tenure_server_info info;
    CHECK_EQ_INT(tenure_server_info(client, &info, &error), TENURE_UNAVAILABLE);
    tenure_client_close(client);
    CHECK_EQ_INT(tenure_server_info(client, &info, &error), TENURE_INVALID);
}

TEST(client_says_unknown_when_it_is_unknown)
{
    struct tenured server;
    struct tenure_error error;
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    struct tenure_client_options options = { .size = sizeof(options),
                                             .url = proxy_url(proxy),
                                             .timeout_ms = 400 };
    struct tenure_client client;
    CHECK_EQ_INT(tenure_client_open(&options, &client, &error), TENURE_OK);
    struct tenure_server_info info;
    CHECK_EQ_INT(tenure_server_info(client, &info, &error), TENURE_OK);
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_STALL);
    struct tenure_lock_options terms = plain(30000, 0, NULL);
    struct tenure_hold hold;
    CHECK_EQ_INT(tenure_lock(client, &terms, &hold, NULL, &error), TENURE_UNKNOWN);
    /* It was granted; when the way is free again, it is given back in the background. */
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_PASS);
    struct tenure_client near = open_client(server.url);
    terms.wait_ms = 10000;
    int64_t before_ms = now_ms();
    hold = lock_with(near, &terms);
    CHECK(now_ms() - before_ms < 9000);
    tenure_client_close(client);
    tenure_client_close(near);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

TEST(client_asks_again_when_an_answer_is_lost)
{
    struct tenured server;
    tenured_start(&server);
    for (uint64_t cut = 1; cut < 420; cut += 13) {
        struct fault_proxy *proxy = fault_proxy_start(0, server.port);
        struct tenure_client client = open_client(proxy_url(proxy));
        test_note("cut after %u bytes", (unsigned)cut);
        fault_proxy_cut_after(proxy, cut % 2 == 0 ? FAULT_PROXY_UP : FAULT_PROXY_DOWN, cut);
        struct seen seen;
        seen_init(&seen);
        struct tenure_lock_options terms = plain(30000, 0, NULL);
        CHECK_EQ_INT(tenure_lock_start(client, &terms, on_acquired, &seen, NULL, NULL), TENURE_OK);
        sleep_ms(20);
        fault_proxy_cut_after(proxy, FAULT_PROXY_UP, 0);
        fault_proxy_cut_after(proxy, FAULT_PROXY_DOWN, 0);
        await(&seen, &seen.done_count, 1);
        CHECK_EQ_INT(seen.err, TENURE_OK);
        struct tenure_release release;
        CHECK_EQ_INT(tenure_hold_release(seen.hold, &release), TENURE_OK);
        CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
        tenure_client_close(client);
        fault_proxy_stop(&proxy);
    }
    tenured_remove(&server);
}

TEST(client_reads_answers_in_single_bytes)
{
    struct tenured server;
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_DRIBBLE);
    fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_DRIBBLE);
    struct tenure_client client = open_client(proxy_url(proxy));
    struct tenure_hold hold = lock(client, 30000, NULL);
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    tenure_client_close(client);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ life */

struct inside {
    struct tenure_client client;
    struct seen seen;
};

static void on_inside(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct inside *inside = user;
    struct tenure_lock_options options = plain(1000, 0, NULL);
    struct tenure_hold other;
    struct tenure_server_info info;
    CHECK_EQ_INT(err, TENURE_OK);
    CHECK_EQ_INT(tenure_lock(inside->client, &options, &other, NULL, NULL), TENURE_DEADLOCK);
    CHECK_EQ_INT(tenure_server_info(inside->client, &info, NULL), TENURE_DEADLOCK);
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_DEADLOCK);
    CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_DEADLOCK);
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_hold_release_start(hold, NULL, NULL), TENURE_OK);
    CHECK(!tenure_hold_valid(hold));
    tenure_client_close(inside->client);
    on_acquired(err, hold, obstacle, error, &inside->seen);
}

TEST(callback_may_call_anything_and_close_the_client)
{
    struct tenured server;
    tenured_start(&server);
    struct inside inside = { .client = open_client(server.url) };
    seen_init(&inside.seen);
    struct tenure_lock_options options = plain(1000, 0, NULL);
    CHECK_EQ_INT(
        tenure_lock_start(inside.client, &options, on_inside, &inside, NULL, NULL), TENURE_OK);
    await(&inside.seen, &inside.seen.done_count, 1);
    tenure_client_close(inside.client);
    sleep_ms(50);
    tenured_remove(&server);
}

TEST(closing_ends_every_operation_once)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    struct tenure_client other = open_client(server.url);
    struct tenure_hold hold = lock(other, 60000, NULL);
    for (unsigned round = 0; round < 30; round++) {
        struct tenure_client client = open_client(server.url);
        seen_init(&seen);
        struct tenure_lock_options options = plain(1000, TENURE_WAIT_FOREVER, NULL);
        for (unsigned count = 0; count < 10; count++) {
            CHECK_EQ_INT(
                tenure_lock_start(client, &options, on_acquired, &seen, NULL, NULL), TENURE_OK);
        }
        if (round % 3 == 1) sleep_ms(1);
        if (round % 3 == 2) sleep_ms(10);
        tenure_client_close(client);
        CHECK_EQ_UINT(seen.done_count, 10);
        CHECK_EQ_INT(seen.err, TENURE_CANCELED);
    }
    while (count_waiters(other) != 0) {
        sleep_ms(1);
    }
    CHECK(tenure_hold_valid(hold));
    tenure_client_close(other);
    tenured_remove(&server);
}

TEST(closing_tells_who_still_holds)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 60000, &seen);
    tenure_client_close(client);
    CHECK_EQ_UINT(seen.lost_count, 1);
    CHECK_EQ_INT(seen.loss, TENURE_LOSS_CLOSED);
    CHECK(!tenure_hold_valid(hold));
    tenured_remove(&server);
}

static int use_everything(struct tenure_client client, struct tenure_hold hold)
{
    struct tenure_lock_options options = plain(1000, 0, NULL);
    struct tenure_hold other;
    struct tenure_server_info info;
    struct tenure_hold_info hold_info;
    int wrong = 0;
    wrong += tenure_hold_valid(hold);
    wrong += tenure_hold_remaining_ms(hold) != 0;
    wrong += tenure_hold_token(hold) != 0;
    wrong += tenure_hold_info(hold, &hold_info) != TENURE_INVALID;
    wrong += tenure_hold_release(hold, NULL) != TENURE_INVALID;
    wrong += tenure_hold_renew(hold, 0, NULL) != TENURE_INVALID;
    wrong += tenure_hold_release_start(hold, NULL, NULL) != TENURE_INVALID;
    tenure_hold_forget(hold);
    wrong += tenure_lock(client, &options, &other, NULL, NULL) != TENURE_INVALID;
    wrong += tenure_server_info(client, &info, NULL) != TENURE_INVALID;
    tenure_client_close(client);
    return wrong;
}

/* ThreadSanitizer allows no new thread behind a fork of a process that has some. */
#if defined(__SANITIZE_THREAD__)
#    define MAY_CHILD_START_THREADS false
#else
#    define MAY_CHILD_START_THREADS true
#endif

TEST(child_of_a_holder_can_do_no_harm)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    seen_init(&seen);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, 500, &seen);
    for (unsigned round = 0; round < 10; round++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            int wrong = use_everything(client, hold);
            if (MAY_CHILD_START_THREADS && round % 2 == 0 && wrong == 0) {
                /* One of its own it may open. */
                struct tenure_client_options options = { .size = sizeof(options),
                                                         .url = server.url };
                struct tenure_server_info info;
                wrong += tenure_client_open(&options, &client, NULL) != TENURE_OK;
                wrong += tenure_server_info(client, &info, NULL) != TENURE_OK;
                wrong += tenure_hold_valid(hold);
                tenure_client_close(client);
            }
            _exit(wrong);
        }
        int status;
        CHECK_EQ_INT(waitpid(child, &status, 0), child);
        CHECK_EQ_INT(status, 0);
        sleep_ms(60);
        CHECK(tenure_hold_valid(hold));
    }
    CHECK_EQ_UINT(seen.state_count, 0);
    struct tenure_release release;
    CHECK_EQ_INT(tenure_hold_release(hold, &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(client_refuses_what_is_wrong_at_once)
{
    struct tenure_client client;
    struct tenure_error error;
    struct tenure_client_options options = { .size = sizeof(options) };
    static const struct {
        const char *url;
        enum tenure_err err;
    } urls[] = {
        { "127.0.0.1:7420", TENURE_INVALID },       { "tenure://", TENURE_INVALID },
        { "tenure://host:port", TENURE_INVALID },   { "tenure://u:p@host", TENURE_INVALID },
        { "etcd://127.0.0.1", TENURE_UNSUPPORTED }, { "tenure+unix://x", TENURE_INVALID },
        { "tenure://host:0", TENURE_INVALID },      { "tenure://[::1", TENURE_INVALID },
    };
    for (size_t index = 0; index < sizeof(urls) / sizeof(urls[0]); index++) {
        options.url = urls[index].url;
        test_note("%s", urls[index].url);
        CHECK_EQ_INT(tenure_client_open(&options, &client, &error), urls[index].err);
        CHECK_EQ_INT(error.code, urls[index].err);
        CHECK(error.text[0] != '\0');
    }
    options.url = "tenure://127.0.0.1:1";
    options.size = 1;
    CHECK_EQ_INT(tenure_client_open(&options, &client, NULL), TENURE_INVALID);
    options.size = sizeof(options);
    CHECK_EQ_INT(tenure_client_open(&options, &client, NULL), TENURE_OK);
    struct tenure_lock_options good = plain(1000, 0, NULL);
    struct tenure_lock_options bad[8];
    static const char *const nameless[] = { "" };
    for (size_t index = 0; index < 8; index++) {
        bad[index] = good;
    }
    bad[0].size = 0;
    bad[1].name_count = 0;
    bad[2].name_count = 33;
    bad[3].ttl_ms = 99;
    bad[4].names = nameless;
    bad[5].priority = 10;
    bad[6].slots = 2;
    bad[6].mode = TENURE_SHARED;
    bad[7].owner = "new\nline";
    for (size_t index = 0; index < 8; index++) {
        struct tenure_hold hold;
        test_note("options %u", (unsigned)index);
        CHECK_EQ_INT(tenure_lock(client, &bad[index], &hold, NULL, &error), TENURE_INVALID);
    }
    tenure_client_close(client);
}

/* ------------------------------------------------------------------ events, elections */

struct events {
    struct seen seen;
    unsigned count;
    uint64_t seqs[LOG_SIZE];
    unsigned ended;
    enum tenure_err err;
};

static bool on_event(const struct tenure_event *event, void *user)
{
    struct events *events = user;
    (void)pthread_mutex_lock(&events->seen.mutex);
    if (events->count < LOG_SIZE) events->seqs[events->count] = event->seq;
    events->count++;
    (void)pthread_cond_broadcast(&events->seen.changed);
    (void)pthread_mutex_unlock(&events->seen.mutex);
    return true;
}

static void on_watch_end(enum tenure_err err, void *user)
{
    struct events *events = user;
    (void)pthread_mutex_lock(&events->seen.mutex);
    events->ended++;
    events->err = err;
    (void)pthread_cond_broadcast(&events->seen.changed);
    (void)pthread_mutex_unlock(&events->seen.mutex);
}

TEST(watch_has_no_gaps_over_broken_connections)
{
    struct tenured server;
    struct events events = { .count = 0 };
    tenured_start(&server);
    seen_init(&events.seen);
    struct tenure_client near = open_client(server.url);
    struct tenure_hold first = lock(near, 60000, NULL);
    CHECK_EQ_INT(tenure_hold_release(first, NULL), TENURE_OK);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    struct tenure_client far = open_client(proxy_url(proxy));
    struct tenure_watch watch;
    struct tenure_watch_options options = { .size = sizeof(options),
                                            .prefix = "deploy",
                                            .since = 1,
                                            .on_event = on_event,
                                            .on_end = on_watch_end,
                                            .user = &events };
    CHECK_EQ_INT(tenure_watch_open(far, &options, &watch, NULL), TENURE_OK);
    for (unsigned round = 0; round < 20; round++) {
        struct tenure_hold hold = lock(near, 60000, NULL);
        if (round % 4 == 0) fault_proxy_cut(proxy);
        CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
        if (round % 5 == 0) sleep_ms(30);
    }
    await(&events.seen, &events.count, 41);
    CHECK_EQ_UINT(events.count, 41);
    for (unsigned index = 0; index < 41; index++) {
        CHECK_EQ_UINT(events.seqs[index], index + 2);
    }
    tenure_watch_close(far, watch);
    await(&events.seen, &events.ended, 1);
    CHECK_EQ_INT(events.err, TENURE_CANCELED);
    tenure_watch_close(far, watch);
    tenure_client_close(far);
    CHECK_EQ_UINT(events.ended, 1);
    tenure_client_close(near);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

struct leaders {
    struct tenure_client client;
    unsigned count;
    char values[8][32];
};

static bool on_leader(const struct tenure_leader *leader, void *user)
{
    struct leaders *leaders = user;
    (void)snprintf(
        leaders->values[leaders->count++],
        sizeof(leaders->values[0]),
        "%s=%s",
        leader->owner == NULL ? "nobody" : leader->owner,
        leader->value == NULL ? "" : leader->value);
    return leaders->count < 5;
}

static void *lead(void *user)
{
    struct leaders *leaders = user;
    struct tenure_client client = open_client((const char *)user + sizeof(*leaders));
    struct tenure_lock_options options = plain(5000, 0, NULL);
    struct seen seen;
    seen_init(&seen);
    sleep_ms(300);
    options.owner = "a";
    options.meta = "one";
    struct tenure_hold hold = lock_with(client, &options);
    sleep_ms(200);
    CHECK_EQ_INT(tenure_election_proclaim(hold, "two", NULL), TENURE_OK);
    sleep_ms(200);
    options.owner = "b";
    options.meta = "three";
    options.wait_ms = 5000;
    CHECK_EQ_INT(tenure_lock_start(client, &options, on_acquired, &seen, NULL, NULL), TENURE_OK);
    while (count_waiters(client) == 0) {
        sleep_ms(1);
    }
    uint64_t token;
    CHECK_EQ_INT(tenure_election_transfer(hold, "b", &token, NULL), TENURE_OK);
    CHECK(!tenure_hold_valid(hold));
    await(&seen, &seen.done_count, 1);
    CHECK_EQ_UINT(tenure_hold_token(seen.hold), token);
    sleep_ms(200);
    CHECK_EQ_INT(tenure_hold_release(seen.hold, NULL), TENURE_OK);
    tenure_client_close(client);
    return NULL;
}

TEST(observer_sees_each_leader)
{
    struct tenured server;
    struct {
        struct leaders leaders;
        char url[64];
    } both = { .leaders = { .count = 0 } };
    pthread_t thread;
    tenured_start(&server);
    (void)snprintf(both.url, sizeof(both.url), "%s", server.url);
    both.leaders.client = open_client(server.url);
    CHECK_EQ_INT(pthread_create(&thread, NULL, lead, &both), 0);
    CHECK_EQ_INT(
        tenure_election_observe(both.leaders.client, "deploy/prod", on_leader, &both.leaders, NULL),
        TENURE_OK);
    (void)pthread_join(thread, NULL);
    CHECK_EQ_TEXT(both.leaders.values[0], "nobody=");
    CHECK_EQ_TEXT(both.leaders.values[1], "a=one");
    CHECK_EQ_TEXT(both.leaders.values[2], "a=two");
    CHECK_EQ_TEXT(both.leaders.values[3], "b=three");
    CHECK_EQ_TEXT(both.leaders.values[4], "nobody=");
    tenure_client_close(both.leaders.client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ claims, lists */

TEST(claims_serve_scripts_that_kept_the_words)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = plain(20000, 0, NULL);
    options.owner = "script";
    options.is_kept_by_caller = true;
    struct tenure_hold hold = lock_with(client, &options);
    struct tenure_claim claim = { "deploy/prod", "script", tenure_hold_token(hold) };
    tenure_hold_forget(hold);
    CHECK(!tenure_hold_valid(hold));
    int64_t remaining_ms = 0;
    CHECK_EQ_INT(tenure_claim_renew(client, &claim, 0, &remaining_ms, NULL), TENURE_OK);
    CHECK(remaining_ms > 19000 && remaining_ms <= 20000);
    CHECK_EQ_INT(tenure_claim_renew(client, &claim, 5000, &remaining_ms, NULL), TENURE_OK);
    CHECK(remaining_ms > 4000 && remaining_ms <= 5000);
    struct tenure_claim wrong = claim;
    wrong.token--;
    CHECK_NE_INT(tenure_claim_renew(client, &wrong, 0, &remaining_ms, NULL), TENURE_OK);
    struct tenure_release release;
    CHECK_EQ_INT(tenure_claim_release(client, &wrong, &release, NULL), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_NOT_OWNER);
    CHECK_EQ_INT(tenure_claim_release(client, &claim, &release, NULL), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    CHECK_EQ_INT(tenure_claim_renew(client, &claim, 0, &remaining_ms, NULL), TENURE_LOST);
    tenure_client_close(client);
    tenured_remove(&server);
}

static void note_name(const struct tenure_lock_view *view, void *user)
{
    struct events *events = user;
    CHECK_EQ_UINT(view->holder_count, 1);
    CHECK_EQ_UINT(strtoul(view->name + strlen("list/"), NULL, 10), events->count);
    events->count++;
}

TEST(list_has_every_lock_with_its_holder_over_all_pages)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct events events = { .count = 0 };
    for (unsigned index = 0; index < 250; index++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "list/%04u", index);
        const char *names[] = { name };
        struct tenure_lock_options options = plain(60000, 0, NULL);
        options.names = names;
        (void)lock_with(client, &options);
    }
    struct tenure_list_options options = { .size = sizeof(options), .prefix = "list/" };
    CHECK_EQ_INT(tenure_list(client, &options, note_name, &events, NULL), TENURE_OK);
    CHECK_EQ_UINT(events.count, 250);
    options.is_waited = true;
    events.count = 0;
    CHECK_EQ_INT(tenure_list(client, &options, note_name, &events, NULL), TENURE_OK);
    CHECK_EQ_UINT(events.count, 0);
    tenure_client_close(client);
    tenured_remove(&server);
}
