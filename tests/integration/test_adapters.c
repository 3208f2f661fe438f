/* The adapters, each with its real event loop: callbacks run on the thread of the loop and nowhere
 * else, everything that was started is told, and the client can be detached and closed from inside
 * a callback. */
#include <tenure/tenure.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "integration/adapters/loop.h"
#include "integration/tenured.h"
#include "lib/test.h"

static void sleep_ms(unsigned duration_ms)
{
    struct timespec pause = { duration_ms / 1000, (long)(duration_ms % 1000) * 1000000 };
    (void)nanosleep(&pause, NULL);
}

static struct tenure_client open_client(const char *url, bool is_dispatched)
{
    struct tenure_client_options options = {
        .size = sizeof(options), .url = url, .timeout_ms = 5000, .is_dispatched = is_dispatched
    };
    struct tenure_client client = { 0 };
    CHECK_EQ_INT(tenure_client_open(&options, &client, NULL), TENURE_OK);
    return client;
}

/* ------------------------------------------------------------------ what is seen */

static struct {
    pthread_t thread;
    struct tenure_client client;
    struct tenure_hold first;
    struct tenure_hold second;
    unsigned acquired;
    unsigned released;
    unsigned lost;
    unsigned events;
    unsigned watch_ends;
    enum tenure_loss loss;
    bool is_over;
} seen;

static void check_thread(void)
{
    if (pthread_equal(seen.thread, pthread_self()) == 0) FAIL("a callback on another thread");
}

static void on_released(enum tenure_err err, const struct tenure_release *release, void *user)
{
    check_thread();
    CHECK_EQ_INT(err, TENURE_OK);
    CHECK_EQ_INT(release->end, TENURE_END_RELEASED);
    CHECK_EQ_INT(release->overlap_ms, 0);
    CHECK(user == &seen);
    seen.released++;
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    check_thread();
    CHECK(user == &seen);
    CHECK_EQ_UINT(hold.id, seen.second.id);
    seen.lost++;
    seen.loss = loss;
}

static bool on_event(const struct tenure_event *event, void *user)
{
    check_thread();
    CHECK(user == &seen);
    CHECK(event->name[0] != '\0' && event->kind[0] != '\0');
    seen.events++;
    return true;
}

static void on_watch_end(enum tenure_err err, void *user)
{
    check_thread();
    CHECK(user == &seen);
    CHECK_EQ_INT(err, TENURE_CANCELED);
    seen.watch_ends++;
}

static const char *const name[] = { "loop" };

static struct tenure_lock_options terms(void)
{
    return (struct tenure_lock_options){
        .size = sizeof(struct tenure_lock_options),
        .names = name,
        .name_count = 1,
        .ttl_ms = 2000,
        .wait_ms = 20000,
        .on_lost = on_lost,
        .user = &seen,
    };
}

static void on_second(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    (void)obstacle;
    (void)error;
    check_thread();
    CHECK(user == &seen);
    CHECK_EQ_INT(err, TENURE_OK);
    seen.second = hold;
    seen.acquired++;
}

/* A function that waits may be called here: the loop waits for it. */
static void on_first(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct tenure_server_info info;
    struct tenure_lock_options options = terms();
    (void)obstacle;
    (void)error;
    check_thread();
    CHECK(user == &seen);
    CHECK_EQ_INT(err, TENURE_OK);
    CHECK_EQ_INT(tenure_server_info(seen.client, &info, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_client_dispatch(seen.client), TENURE_DEADLOCK);
    seen.first = hold;
    seen.acquired++;
    CHECK_EQ_INT(tenure_lock_start(seen.client, &options, on_second, &seen, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_hold_release_start(hold, on_released, &seen), TENURE_OK);
}

static void begin(const struct tenured *server)
{
    seen.thread = pthread_self();
    seen.client = open_client(server->url, true);
    CHECK_EQ_INT(loop_open(seen.client), TENURE_OK);
}

TEST(a_loop_runs_what_is_due_on_its_thread)
{
    struct tenured server;
    tenured_start(&server);
    begin(&server);
    struct tenure_client other = open_client(server.url, false);
    struct tenure_watch watch;
    struct tenure_watch_options watching = {
        .size = sizeof(watching), .on_event = on_event, .on_end = on_watch_end, .user = &seen
    };
    CHECK_EQ_INT(tenure_watch_open(seen.client, &watching, &watch, NULL), TENURE_OK);
    struct tenure_lock_options options = terms();
    CHECK_EQ_INT(tenure_lock_start(seen.client, &options, on_first, &seen, NULL, NULL), TENURE_OK);
    while (seen.acquired < 2 || seen.released < 1) {
        loop_turn();
    }
    CHECK(!tenure_hold_valid(seen.first));
    CHECK(tenure_hold_valid(seen.second));
    /* It is kept while the loop sleeps. */
    sleep_ms(3000);
    CHECK(tenure_hold_valid(seen.second));
    uint64_t token = tenure_hold_token(seen.second);
    CHECK_EQ_INT(tenure_break(other, name[0], token, "a test", 0, NULL), TENURE_OK);
    while (seen.lost < 1 || seen.events < 1) {
        loop_turn();
    }
    CHECK_EQ_INT(seen.loss, TENURE_LOSS_BROKEN);
    tenure_watch_close(seen.client, watch);
    while (seen.watch_ends < 1) {
        loop_turn();
    }
    loop_detach();
    loop_close();
    tenure_client_close(seen.client);
    tenure_client_close(other);
    CHECK_EQ_UINT(seen.acquired, 2);
    CHECK_EQ_UINT(seen.released, 1);
    CHECK_EQ_UINT(seen.lost, 1);
    CHECK_EQ_UINT(seen.watch_ends, 1);
    tenured_remove(&server);
}

static void on_canceled(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    (void)obstacle;
    (void)error;
    (void)user;
    check_thread();
    CHECK_EQ_INT(err, TENURE_CANCELED);
    CHECK_EQ_UINT(hold.id, 0);
    seen.acquired++;
}

static void on_granted_leave(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct tenure_lock_options options = terms();
    (void)hold;
    (void)obstacle;
    (void)error;
    (void)user;
    CHECK_EQ_INT(err, TENURE_OK);
    options.on_lost = NULL;
    CHECK_EQ_INT(
        tenure_lock_start(seen.client, &options, on_canceled, NULL, NULL, NULL), TENURE_OK);
    loop_detach();
    tenure_client_close(seen.client);
    CHECK_EQ_INT(tenure_client_fd(seen.client), -1);
    seen.is_over = true;
}

TEST(a_callback_may_detach_and_close_the_client)
{
    struct tenured server;
    tenured_start(&server);
    begin(&server);
    struct tenure_lock_options options = terms();
    options.on_lost = NULL;
    CHECK_EQ_INT(
        tenure_lock_start(seen.client, &options, on_granted_leave, NULL, NULL, NULL), TENURE_OK);
    while (!seen.is_over) {
        loop_turn();
    }
    CHECK_EQ_UINT(seen.acquired, 1);
    CHECK_EQ_INT(tenure_client_dispatch(seen.client), TENURE_INVALID);
    loop_close();
    tenured_remove(&server);
}

TEST(a_client_that_calls_back_by_itself_is_not_attached)
{
    struct tenure_client client = open_client("tenure://127.0.0.1:1", false);
    CHECK_EQ_INT(loop_open(client), TENURE_INVALID);
    CHECK_EQ_INT(tenure_client_dispatch(client), TENURE_INVALID);
    tenure_client_close(client);
}
