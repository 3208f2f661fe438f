/* Queues by way of libtenure, against a real server, with a proxy in between where the network has
 * to misbehave. */
#include <tenure/tenure.h>

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
#include "lib/fault_proxy.h"
#include "lib/test.h"

#define LIMIT_MS 20000

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

/* ------------------------------------------------------------------ memory */

/* This allocation fails; 0: none. */
static _Atomic uint64_t allocation_count;
static _Atomic uint64_t fail_at;
static _Atomic int64_t bytes_used;

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void)context;
    if (new_size > old_size) {
        uint64_t count = atomic_fetch_add(&allocation_count, 1) + 1;
        if (count == atomic_load(&fail_at)) return NULL;
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

static void count_memory(void)
{
    static bool is_set;
    if (!is_set) CHECK_EQ_INT(tenure_set_allocator(resize, NULL), TENURE_OK);
    is_set = true;
}

/* ------------------------------------------------------------------ what callbacks tell */

struct seen {
    _Atomic unsigned done_count;
    _Atomic unsigned end_count;
    _Atomic unsigned lost_count;
    _Atomic unsigned cancel_count;
    enum tenure_err err;
    enum tenure_err end_err;
    enum tenure_loss loss;
    struct tenure_hold holds[TENURE_TAKE_COUNT_MAX];
    uint32_t count;
    char text[256];
    enum tenure_item_state state;
};

static void on_taken(
    enum tenure_err err,
    const struct tenure_hold *holds,
    uint32_t count,
    const struct tenure_error *error,
    void *user)
{
    struct seen *seen = user;
    CHECK_EQ_INT(error->code, err);
    CHECK((err == TENURE_OK) == (count > 0));
    seen->err = err;
    seen->count = count;
    for (uint32_t i = 0; i < count; i++) {
        seen->holds[i] = holds[i];
    }
    atomic_fetch_add(&seen->done_count, 1);
}

static void on_put(
    enum tenure_err err,
    const struct tenure_put_result *results,
    uint32_t count,
    const struct tenure_error *error,
    void *user)
{
    struct seen *seen = user;
    CHECK_EQ_INT(error->code, err);
    seen->err = err;
    seen->count = count;
    (void)snprintf(seen->text, sizeof(seen->text), "%s", results[0].id);
    atomic_fetch_add(&seen->done_count, 1);
}

static void on_end(enum tenure_err err, const struct tenure_error *error, void *user)
{
    struct seen *seen = user;
    CHECK_EQ_INT(error->code, err);
    seen->end_err = err;
    atomic_fetch_add(&seen->end_count, 1);
}

static void on_awaited(
    enum tenure_err err,
    const struct tenure_item *item,
    const struct tenure_error *error,
    void *user)
{
    struct seen *seen = user;
    CHECK_EQ_INT(error->code, err);
    CHECK((err == TENURE_OK) == (item != NULL));
    seen->end_err = err;
    if (item != NULL) {
        seen->state = item->state;
        (void)snprintf(seen->text, sizeof(seen->text), "%s", (const char *)item->result);
    }
    atomic_fetch_add(&seen->end_count, 1);
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    struct seen *seen = user;
    CHECK(!tenure_hold_valid(hold));
    seen->loss = loss;
    atomic_fetch_add(&seen->lost_count, 1);
}

static void on_cancel(struct tenure_hold hold, void *user)
{
    struct seen *seen = user;
    struct tenure_item item;
    CHECK_EQ_INT(tenure_item_of(hold, &item), TENURE_OK);
    CHECK(item.is_cancelling);
    atomic_fetch_add(&seen->cancel_count, 1);
}

static void await(_Atomic unsigned *counter, unsigned least)
{
    int64_t until_ms = now_ms() + LIMIT_MS;
    while (atomic_load(counter) < least) {
        if (now_ms() > until_ms) FAIL("waited in vain");
        sleep_ms(2);
    }
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

static struct tenure_put_options plain(const char *body)
{
    return (struct tenure_put_options){ .size = sizeof(struct tenure_put_options),
                                        .queue = "q",
                                        .body = body,
                                        .body_size = strlen(body),
                                        .retention_ms = 60000 };
}

static struct tenure_put_result
put(struct tenure_client client, const char *body, uint32_t lease_ms)
{
    struct tenure_put_options options = plain(body);
    struct tenure_put_result result = { .err = TENURE_INTERNAL };
    struct tenure_error error;
    options.lease_ms = lease_ms;
    if (tenure_put(client, &options, 1, &result, &error) != TENURE_OK) FAIL("put: %s", error.text);
    return result;
}

static const char *const queue_names[] = { "q" };

static struct tenure_take_options terms(uint32_t wait_ms, struct seen *seen)
{
    return (struct tenure_take_options){ .size = sizeof(struct tenure_take_options),
                                         .queues = queue_names,
                                         .queue_count = 1,
                                         .worker = "w",
                                         .wait_ms = wait_ms,
                                         .on_lost = seen == NULL ? NULL : on_lost,
                                         .on_cancel = seen == NULL ? NULL : on_cancel,
                                         .user = seen };
}

static struct tenure_hold take(struct tenure_client client, struct seen *seen)
{
    struct tenure_take_options options = terms(5000, seen);
    struct tenure_hold hold = { 0 };
    struct tenure_error error;
    uint32_t count = 0;
    if (tenure_take(client, &options, &hold, &count, &error) != TENURE_OK) {
        FAIL("take: %s", error.text);
    }
    CHECK_EQ_UINT(count, 1);
    return hold;
}

static void on_look(const struct tenure_item *item, void *user)
{
    struct tenure_item *seen = user;
    *seen = *item;
    /* Texts are gone behind the call. */
    seen->id = NULL;
    seen->note = NULL;
}

static struct tenure_item look(struct tenure_client client, const char *id)
{
    struct tenure_item item = { .id = NULL };
    struct tenure_error error;
    enum tenure_err err = tenure_item_look(client, "q", id, on_look, &item, &error);
    if (err != TENURE_OK) FAIL("look: %s", error.text);
    return item;
}

static void await_state(struct tenure_client client, const char *id, enum tenure_item_state state)
{
    int64_t until_ms = now_ms() + LIMIT_MS;
    while (look(client, id).state != state) {
        if (now_ms() > until_ms) FAIL("%s is not %s", id, tenure_item_state_name(state));
        sleep_ms(5);
    }
}

static const char *proxy_url(const struct fault_proxy *proxy)
{
    static char url[64];
    (void)snprintf(url, sizeof(url), "tenure://127.0.0.1:%u", (unsigned)fault_proxy_port(proxy));
    return url;
}

/* ------------------------------------------------------------------ the way through */

TEST(an_item_is_put_taken_and_done)
{
    struct tenured server;
    struct tenure_item item;
    tenured_start(&server);
    count_memory();
    struct tenure_client client = open_client(server.url);
    struct tenure_put_options options = plain("a body");
    options.id = "one";
    options.group = "acme";
    options.headers = "h";
    options.priority = 3;
    options.attempts_max = 7;
    options.timeout_ms = 60000;
    struct tenure_put_result result;
    CHECK_EQ_INT(tenure_put(client, &options, 1, &result, NULL), TENURE_OK);
    CHECK_EQ_TEXT(result.id, "one");
    CHECK_EQ_INT(result.state, TENURE_ITEM_READY);
    CHECK(!result.is_repeat);
    CHECK_EQ_INT(tenure_put(client, &options, 1, &result, NULL), TENURE_OK);
    CHECK(result.is_repeat);

    struct tenure_hold hold = take(client, NULL);
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_item_of(hold, &item), TENURE_OK);
    CHECK_EQ_TEXT(item.queue, "q");
    CHECK_EQ_TEXT(item.id, "one");
    CHECK_EQ_TEXT(item.group, "acme");
    CHECK_EQ_TEXT(item.headers, "h");
    CHECK_EQ_TEXT(item.worker, "w");
    CHECK_EQ_TEXT((const char *)item.body, "a body");
    CHECK_EQ_UINT(item.body_size, 6);
    CHECK_EQ_INT(item.state, TENURE_ITEM_TAKEN);
    CHECK_EQ_UINT(item.priority, 3);
    CHECK_EQ_UINT(item.attempts_max, 7);
    CHECK_EQ_UINT(item.lease_ms, 30000);
    CHECK_EQ_UINT(item.timeout_ms, 60000);
    CHECK_EQ_UINT(item.token, tenure_hold_token(hold));
    CHECK_EQ_INT(tenure_item_progress(hold, "half", NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_item_done(hold, "fine", 4, NULL), TENURE_OK);
    CHECK(!tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_item_done(hold, NULL, 0, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_item_of(hold, &item), TENURE_INVALID);
    CHECK_EQ_INT(look(client, "one").state, TENURE_ITEM_DONE);
    tenure_client_close(client);
    CHECK_EQ_INT(atomic_load(&bytes_used), 0);
    tenured_remove(&server);
}

TEST(many_items_go_in_their_order_whatever_their_size)
{
    enum { COUNT = 1000 };
    static struct tenure_put_options items[COUNT];
    static struct tenure_put_result results[COUNT];
    static char bodies[COUNT][4096];
    struct tenured server;
    tenured_start(&server);
    count_memory();
    struct tenure_client client = open_client(server.url);
    for (unsigned i = 0; i < COUNT; i++) {
        (void)memset(bodies[i], 'x', sizeof(bodies[i]));
        (void)snprintf(bodies[i], sizeof(bodies[i]), "%u", i);
        items[i] = plain("");
        items[i].body = bodies[i];
        items[i].body_size = sizeof(bodies[i]);
        items[i].retention_ms = 0;
    }
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tenure_put(client, items, COUNT, results, &error);
    if (err != TENURE_OK) FAIL("put: %s", error.text);
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK_EQ_INT(results[i].err, TENURE_OK);
    }
    struct tenure_take_options options = terms(0, NULL);
    struct tenure_hold holds[64];
    options.count_max = 64;
    unsigned seen_count = 0;
    while (seen_count < COUNT) {
        uint32_t count = 0;
        CHECK_EQ_INT(tenure_take(client, &options, holds, &count, NULL), TENURE_OK);
        CHECK(count > 0 && count <= 64);
        for (uint32_t i = 0; i < count; i++, seen_count++) {
            struct tenure_item item;
            CHECK_EQ_INT(tenure_item_of(holds[i], &item), TENURE_OK);
            CHECK_EQ_UINT(item.body_size, sizeof(bodies[0]));
            CHECK(memcmp(item.body, bodies[seen_count], sizeof(bodies[0])) == 0);
            CHECK_EQ_INT(tenure_item_done(holds[i], NULL, 0, NULL), TENURE_OK);
        }
    }
    CHECK_EQ_INT(tenure_take(client, &options, holds, NULL, NULL), TENURE_TIMEOUT);
    tenure_client_close(client);
    CHECK_EQ_INT(atomic_load(&bytes_used), 0);
    tenured_remove(&server);
}

TEST(of_many_items_each_has_a_result_of_its_own)
{
    struct tenured server;
    struct tenure_put_options items[3] = { plain("a"), plain("b"), plain("c") };
    struct tenure_put_result results[3];
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_group_limits limits = { .size = sizeof(limits), .waiting_max = 2 };
    CHECK_EQ_INT(tenure_queue_limit(client, "q", NULL, &limits, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_put(client, items, 3, results, NULL), TENURE_OK);
    CHECK_EQ_INT(results[0].err, TENURE_OK);
    CHECK_EQ_INT(results[1].err, TENURE_OK);
    CHECK_EQ_INT(results[2].err, TENURE_TOO_MANY);
    CHECK_EQ_INT(tenure_put(client, items, 1, results, NULL), TENURE_TOO_MANY);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ leases */

TEST(a_lease_is_extended_as_long_as_the_item_is_held)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_put_result item = put(client, "x", 300);
    struct tenure_hold hold = take(client, &seen);
    for (int i = 0; i < 20; i++) {
        sleep_ms(50);
        CHECK(tenure_hold_valid(hold));
    }
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_TAKEN);
    CHECK_EQ_INT(tenure_item_done(hold, NULL, 0, NULL), TENURE_OK);
    CHECK_EQ_UINT(atomic_load(&seen.lost_count), 0);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(a_lost_item_is_told_and_changes_nothing)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    struct tenure_client client = open_client(server.url);
    struct tenure_client cut_off = open_client(proxy_url(proxy));
    struct tenure_put_result item = put(client, "x", 400);
    struct tenure_hold first = take(cut_off, &seen);
    uint64_t token = tenure_hold_token(first);
    fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_STALL);
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_STALL);
    /* Whoever takes it next must find that the first one knows. */
    struct tenure_hold second = take(client, NULL);
    CHECK(!tenure_hold_valid(first));
    CHECK(tenure_hold_token(second) > token);
    await(&seen.lost_count, 1);
    CHECK_EQ_INT(seen.loss, TENURE_LOSS_EXPIRED);
    fault_proxy_set(proxy, FAULT_PROXY_UP, FAULT_PROXY_PASS);
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_PASS);
    CHECK_EQ_INT(tenure_item_done(first, "wrong", 5, NULL), TENURE_LOST);
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_TAKEN);
    struct tenure_item_claim claim = { "q", item.id, token };
    CHECK_EQ_INT(tenure_item_claim_done(client, &claim, NULL, 0, NULL), TENURE_LOST);
    CHECK_EQ_INT(tenure_item_claim_fail(client, &claim, NULL, NULL), TENURE_LOST);
    CHECK_EQ_INT(tenure_item_claim_extend(client, &claim, 0, "x", NULL, NULL), TENURE_LOST);
    CHECK_EQ_INT(tenure_item_done(second, "right", 5, NULL), TENURE_OK);
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_DONE);
    CHECK_EQ_UINT(atomic_load(&seen.lost_count), 1);
    tenure_client_close(cut_off);
    tenure_client_close(client);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

TEST(an_item_that_is_waited_for_is_confirmed_before_it_is_handed_out)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_take_options options = terms(TENURE_WAIT_FOREVER, &seen);
    CHECK_EQ_INT(tenure_take_start(client, &options, on_taken, &seen, NULL, NULL), TENURE_OK);
    /* Far longer than the lease: counted from the request it would be over. */
    sleep_ms(500);
    struct tenure_put_result item = put(client, "x", 150);
    await(&seen.done_count, 1);
    CHECK_EQ_INT(seen.err, TENURE_OK);
    CHECK(tenure_hold_valid(seen.holds[0]));
    sleep_ms(400);
    CHECK(tenure_hold_valid(seen.holds[0]));
    CHECK_EQ_INT(tenure_item_done(seen.holds[0], NULL, 0, NULL), TENURE_OK);
    CHECK_EQ_UINT(look(client, item.id).lapses, 0);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(a_cancelled_item_is_told_once)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_put_result item = put(client, "x", 300);
    struct tenure_hold hold = take(client, &seen);
    CHECK_EQ_INT(tenure_item_cancel(client, "q", item.id, "why not", NULL), TENURE_OK);
    await(&seen.cancel_count, 1);
    sleep_ms(300);
    CHECK_EQ_UINT(atomic_load(&seen.cancel_count), 1);
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_INT(tenure_item_fail(hold, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_CANCELLED);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(an_item_that_is_released_was_never_taken)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_put_result item = put(client, "x", 0);
    struct tenure_release release;
    CHECK_EQ_INT(tenure_hold_release(take(client, NULL), &release), TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    struct tenure_item now = look(client, item.id);
    CHECK_EQ_INT(now.state, TENURE_ITEM_READY);
    CHECK_EQ_UINT(now.attempts + now.lapses, 0);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(failures_are_told_in_all_their_ways)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_put_result item = put(client, "x", 0);
    struct tenure_fail_options fail = { .size = sizeof(fail),
                                        .reason = "no luck",
                                        .is_free = true };
    CHECK_EQ_INT(tenure_item_fail(take(client, NULL), &fail, NULL), TENURE_OK);
    CHECK_EQ_UINT(look(client, item.id).attempts, 0);
    fail.is_free = false;
    CHECK_EQ_INT(tenure_item_fail(take(client, NULL), &fail, NULL), TENURE_OK);
    CHECK_EQ_UINT(look(client, item.id).attempts, 1);
    fail.delay_ms = 3600000;
    CHECK_EQ_INT(tenure_item_fail(take(client, NULL), &fail, NULL), TENURE_OK);
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_DELAYED);
    CHECK_EQ_INT(tenure_item_kick(client, "q", item.id, NULL), TENURE_OK);
    fail.is_dead = true;
    CHECK_EQ_INT(tenure_item_fail(take(client, NULL), &fail, NULL), TENURE_OK);
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_DEAD);
    struct tenure_sweep_options sweep = { .size = sizeof(sweep), .queue = "q", .reason = "no" };
    uint64_t count = 0;
    CHECK_EQ_INT(tenure_queue_redrive(client, &sweep, &count, NULL), TENURE_OK);
    CHECK_EQ_UINT(count, 1);
    CHECK_EQ_UINT(look(client, item.id).attempts, 0);
    CHECK_EQ_INT(tenure_queue_purge(client, TENURE_ITEM_READY, &sweep, &count, NULL), TENURE_OK);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ without waiting */

TEST(everything_can_be_done_without_waiting)
{
    struct tenured server;
    struct seen putting = { .count = 0 };
    struct seen taking = { .count = 0 };
    struct seen awaiting = { .count = 0 };
    count_memory();
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_take_options options = terms(5000, &taking);
    struct tenure_put_options item = plain("x");
    CHECK_EQ_INT(tenure_take_start(client, &options, on_taken, &taking, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_put_start(client, &item, 1, on_put, &putting, NULL), TENURE_OK);
    await(&putting.done_count, 1);
    CHECK_EQ_INT(putting.err, TENURE_OK);
    await(&taking.done_count, 1);
    CHECK_EQ_INT(taking.err, TENURE_OK);
    struct tenure_await_options end = {
        .size = sizeof(end), .queue = "q", .id = putting.text, .wait_ms = 10000
    };
    CHECK_EQ_INT(
        tenure_item_await_start(client, &end, on_awaited, &awaiting, NULL, NULL), TENURE_OK);
    struct tenure_hold hold = taking.holds[0];
    CHECK_EQ_INT(tenure_item_progress_start(hold, "half", on_end, &taking), TENURE_OK);
    await(&taking.end_count, 1);
    CHECK_EQ_INT(taking.end_err, TENURE_OK);
    char result[] = "made";
    CHECK_EQ_INT(tenure_item_done_start(hold, result, 4, on_end, &taking), TENURE_OK);
    (void)memset(result, '?', sizeof(result)); /* it was copied */
    CHECK_EQ_INT(tenure_item_done_start(hold, NULL, 0, on_end, &taking), TENURE_INVALID);
    await(&taking.end_count, 2);
    CHECK_EQ_INT(taking.end_err, TENURE_OK);
    await(&awaiting.end_count, 1);
    CHECK_EQ_INT(awaiting.end_err, TENURE_OK);
    CHECK_EQ_INT(awaiting.state, TENURE_ITEM_DONE);
    CHECK_EQ_TEXT(awaiting.text, "made");

    CHECK_EQ_INT(tenure_put_start(client, &item, 1, on_put, &putting, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_take_start(client, &options, on_taken, &taking, NULL, NULL), TENURE_OK);
    await(&taking.done_count, 2);
    struct tenure_fail_options fail = { .size = sizeof(fail), .reason = "so" };
    CHECK_EQ_INT(tenure_item_fail_start(taking.holds[0], &fail, on_end, &taking), TENURE_OK);
    await(&taking.end_count, 3);
    CHECK_EQ_INT(taking.end_err, TENURE_OK);
    tenure_client_close(client);
    CHECK_EQ_INT(atomic_load(&bytes_used), 0);
    tenured_remove(&server);
}

TEST(takes_and_waits_are_given_up)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    struct tenure_op taking;
    struct tenure_op awaiting;
    count_memory();
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    for (int round = 0; round < 20; round++) {
        unsigned before = atomic_load(&seen.done_count);
        struct tenure_take_options options = terms(TENURE_WAIT_FOREVER, &seen);
        CHECK_EQ_INT(
            tenure_take_start(client, &options, on_taken, &seen, &taking, NULL), TENURE_OK);
        if (round % 3 == 1) sleep_ms(10);
        if (round % 3 == 2) (void)put(client, "x", 0);
        tenure_op_cancel(client, taking);
        tenure_op_cancel(client, taking);
        await(&seen.done_count, before + 1);
        CHECK(seen.err == TENURE_CANCELED || seen.err == TENURE_OK);
        if (seen.err == TENURE_OK) {
            CHECK_EQ_INT(tenure_item_done(seen.holds[0], NULL, 0, NULL), TENURE_OK);
        }
    }
    struct tenure_sweep_options sweep = { .size = sizeof(sweep), .queue = "q" };
    CHECK_EQ_INT(tenure_queue_purge(client, TENURE_ITEM_READY, &sweep, NULL, NULL), TENURE_OK);
    struct tenure_put_result item = put(client, "x", 0);
    struct tenure_await_options end = {
        .size = sizeof(end), .queue = "q", .id = item.id, .wait_ms = TENURE_WAIT_FOREVER
    };
    CHECK_EQ_INT(
        tenure_item_await_start(client, &end, on_awaited, &seen, &awaiting, NULL), TENURE_OK);
    sleep_ms(20);
    tenure_op_cancel(client, awaiting);
    await(&seen.end_count, 1);
    CHECK_EQ_INT(seen.end_err, TENURE_CANCELED);
    end.wait_ms = 50;
    CHECK_EQ_INT(tenure_item_await_start(client, &end, on_awaited, &seen, NULL, NULL), TENURE_OK);
    await(&seen.end_count, 2);
    CHECK_EQ_INT(seen.end_err, TENURE_TIMEOUT);
    end.id = "nobody";
    CHECK_EQ_INT(tenure_item_await_start(client, &end, on_awaited, &seen, NULL, NULL), TENURE_OK);
    await(&seen.end_count, 3);
    CHECK_EQ_INT(seen.end_err, TENURE_NOT_FOUND);
    /* What is purged will not end. */
    end.id = item.id;
    end.wait_ms = 60000;
    CHECK_EQ_INT(tenure_item_await_start(client, &end, on_awaited, &seen, NULL, NULL), TENURE_OK);
    sleep_ms(20);
    CHECK_EQ_INT(tenure_queue_purge(client, TENURE_ITEM_READY, &sweep, NULL, NULL), TENURE_OK);
    await(&seen.end_count, 4);
    CHECK_EQ_INT(seen.end_err, TENURE_NOT_FOUND);
    tenure_client_close(client);
    CHECK_EQ_INT(atomic_load(&bytes_used), 0);
    tenured_remove(&server);
}

TEST(closing_ends_each_of_them_once)
{
    struct tenured server;
    count_memory();
    tenured_start(&server);
    for (int round = 0; round < 12; round++) {
        struct seen seen = { .count = 0 };
        struct tenure_client client = open_client(server.url);
        struct tenure_put_options item = plain("x");
        struct tenure_take_options options = terms(TENURE_WAIT_FOREVER, &seen);
        struct tenure_put_result one = put(client, "x", 200);
        struct tenure_await_options end = {
            .size = sizeof(end), .queue = "q", .id = one.id, .wait_ms = TENURE_WAIT_FOREVER
        };
        unsigned take_count = 3;
        for (unsigned i = 0; i < take_count; i++) {
            CHECK_EQ_INT(
                tenure_take_start(client, &options, on_taken, &seen, NULL, NULL), TENURE_OK);
        }
        CHECK_EQ_INT(
            tenure_item_await_start(client, &end, on_awaited, &seen, NULL, NULL), TENURE_OK);
        CHECK_EQ_INT(tenure_put_start(client, &item, 1, on_put, &seen, NULL), TENURE_OK);
        sleep_ms((unsigned)round * 2);
        tenure_client_close(client);
        CHECK_EQ_UINT(atomic_load(&seen.done_count), take_count + 1);
        CHECK_EQ_UINT(atomic_load(&seen.end_count), 1);
        CHECK_EQ_INT(tenure_item_done(seen.holds[0], NULL, 0, NULL), TENURE_INVALID);
        CHECK_EQ_INT(atomic_load(&bytes_used), 0);
    }
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ on a program's own thread */

TEST(nothing_of_it_is_told_before_it_is_dispatched)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client_options open = {
        .size = sizeof(open), .url = server.url, .timeout_ms = 3000, .is_dispatched = true
    };
    struct tenure_client client;
    CHECK_EQ_INT(tenure_client_open(&open, &client, NULL), TENURE_OK);
    (void)put(client, "x", 300);
    struct tenure_take_options options = terms(5000, &seen);
    CHECK_EQ_INT(tenure_take_start(client, &options, on_taken, &seen, NULL, NULL), TENURE_OK);
    sleep_ms(600);
    CHECK_EQ_UINT(atomic_load(&seen.done_count), 0);
    CHECK_EQ_INT(tenure_client_dispatch(client), TENURE_OK);
    CHECK_EQ_UINT(atomic_load(&seen.done_count), 1);
    /* It was extended meanwhile. */
    CHECK(tenure_hold_valid(seen.holds[0]));
    CHECK_EQ_INT(tenure_item_done_start(seen.holds[0], NULL, 0, on_end, &seen), TENURE_OK);
    sleep_ms(100);
    CHECK_EQ_UINT(atomic_load(&seen.end_count), 0);
    CHECK_EQ_INT(tenure_client_dispatch(client), TENURE_OK);
    CHECK_EQ_UINT(atomic_load(&seen.end_count), 1);
    CHECK_EQ_INT(seen.end_err, TENURE_OK);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ what goes wrong between */

TEST_WITHIN(60, items_with_an_id_are_put_once_over_connections_that_break)
{
    struct tenured server;
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    struct tenure_client client = open_client(proxy_url(proxy));
    unsigned unknown_count = 0;
    for (unsigned i = 0; i < 30; i++) {
        char id[16];
        struct tenure_put_options item = plain("x");
        struct tenure_put_result result;
        (void)snprintf(id, sizeof(id), "i%u", i);
        item.id = id;
        fault_proxy_cut_after(proxy, i % 2 == 0 ? FAULT_PROXY_DOWN : FAULT_PROXY_UP, 300 + 7 * i);
        CHECK_EQ_INT(tenure_put(client, &item, 1, &result, NULL), TENURE_OK);
        item.id = NULL;
        enum tenure_err err = tenure_put(client, &item, 1, &result, NULL);
        CHECK(err == TENURE_OK || err == TENURE_UNKNOWN);
        if (err == TENURE_UNKNOWN) unknown_count++;
        CHECK_EQ_INT(result.err, err);
    }
    CHECK(unknown_count > 0);
    fault_proxy_cut_after(proxy, FAULT_PROXY_DOWN, 0);
    fault_proxy_cut_after(proxy, FAULT_PROXY_UP, 0);
    struct tenure_client direct = open_client(server.url);
    for (unsigned i = 0; i < 30; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "i%u", i);
        CHECK_EQ_INT(look(direct, id).state, TENURE_ITEM_READY);
    }
    tenure_client_close(direct);
    tenure_client_close(client);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

TEST(an_end_is_said_again_over_connections_that_break)
{
    struct tenured server;
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    struct tenure_client client = open_client(proxy_url(proxy));
    for (unsigned i = 0; i < 30; i++) {
        struct tenure_client direct = open_client(server.url);
        struct tenure_put_result item = put(direct, "x", 5000);
        struct tenure_hold hold = take(client, NULL);
        fault_proxy_cut_after(proxy, i % 2 == 0 ? FAULT_PROXY_DOWN : FAULT_PROXY_UP, 500 + 11 * i);
        CHECK_EQ_INT(tenure_item_done(hold, "r", 1, NULL), TENURE_OK);
        fault_proxy_cut_after(proxy, FAULT_PROXY_DOWN, 0);
        fault_proxy_cut_after(proxy, FAULT_PROXY_UP, 0);
        CHECK_EQ_INT(look(direct, item.id).state, TENURE_ITEM_DONE);
        tenure_client_close(direct);
    }
    tenure_client_close(client);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

TEST(a_take_goes_on_waiting_over_a_restart_of_the_server)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_take_options options = terms(TENURE_WAIT_FOREVER, &seen);
    CHECK_EQ_INT(tenure_take_start(client, &options, on_taken, &seen, NULL, NULL), TENURE_OK);
    sleep_ms(100);
    tenured_kill(&server);
    sleep_ms(100);
    tenured_restart(&server);
    struct tenure_put_result item = put(client, "x", 0);
    await(&seen.done_count, 1);
    CHECK_EQ_INT(seen.err, TENURE_OK);
    CHECK_EQ_INT(tenure_item_done(seen.holds[0], NULL, 0, NULL), TENURE_OK);
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_DONE);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(answers_in_single_bytes_are_read)
{
    struct tenured server;
    tenured_start(&server);
    struct fault_proxy *proxy = fault_proxy_start(0, server.port);
    fault_proxy_set(proxy, FAULT_PROXY_DOWN, FAULT_PROXY_DRIBBLE);
    struct tenure_client client = open_client(proxy_url(proxy));
    struct tenure_put_result item = put(client, "body", 0);
    struct tenure_hold hold = take(client, NULL);
    CHECK_EQ_INT(tenure_item_progress(hold, "p", NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_item_done(hold, "r", 1, NULL), TENURE_OK);
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_DONE);
    tenure_client_close(client);
    fault_proxy_stop(&proxy);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ processes, memory, words */

TEST(a_child_can_do_no_harm_to_items)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_put_result item = put(client, "x", 1000);
    struct tenure_hold hold = take(client, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct tenure_item view;
        struct tenure_put_options more = plain("y");
        bool is_harmless = tenure_item_done(hold, NULL, 0, NULL) == TENURE_INVALID &&
                           tenure_item_of(hold, &view) == TENURE_INVALID &&
                           tenure_hold_release(hold, NULL) == TENURE_INVALID &&
                           tenure_put(client, &more, 1, NULL, NULL) == TENURE_INVALID;
        _exit(is_harmless ? 0 : 1);
    }
    int status;
    CHECK_EQ_INT(waitpid(pid, &status, 0), pid);
    CHECK_EQ_INT(status, 0);
    CHECK(tenure_hold_valid(hold));
    CHECK_EQ_INT(look(client, item.id).state, TENURE_ITEM_TAKEN);
    CHECK_EQ_INT(tenure_item_done(hold, NULL, 0, NULL), TENURE_OK);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* Put, take and end, whatever comes.  What is not held any more is not looked after. */
static void try_all(struct tenure_client client)
{
    struct seen seen = { .count = 0 };
    struct tenure_put_options item = plain("x");
    struct tenure_put_result result;
    struct tenure_take_options options = terms(30, &seen);
    struct tenure_hold holds[4];
    uint32_t count = 0;
    options.count_max = 4;
    item.lease_ms = 200;
    enum tenure_err err = tenure_put(client, &item, 1, &result, NULL);
    CHECK(
        err == TENURE_OK || err == TENURE_NO_MEMORY || err == TENURE_UNKNOWN ||
        err == TENURE_UNAVAILABLE);
    if (err == TENURE_OK) CHECK_EQ_INT(result.err, TENURE_OK);
    err = tenure_put_start(client, &item, 1, on_put, &seen, NULL);
    if (err == TENURE_OK) await(&seen.done_count, 1);
    err = tenure_take(client, &options, holds, &count, NULL);
    for (uint32_t i = 0; err == TENURE_OK && i < count; i++) {
        if (i % 2 == 0) {
            (void)!tenure_item_done(holds[i], "r", 1, NULL);
        } else if (tenure_item_done_start(holds[i], "r", 1, NULL, NULL) != TENURE_OK) {
            (void)!tenure_hold_release(holds[i], NULL);
        }
    }
}

TEST_WITHIN(120, every_allocation_may_fail)
{
    struct tenured server;
    tenured_start(&server);
    count_memory();
    bool is_over = false;
    for (uint64_t n = 1; n < 200 && !is_over; n++) {
        struct tenure_client_options open = { .size = sizeof(open),
                                              .url = server.url,
                                              .timeout_ms = 500 };
        struct tenure_client client;
        atomic_store(&allocation_count, 0);
        atomic_store(&fail_at, n);
        if (tenure_client_open(&open, &client, NULL) == TENURE_OK) {
            try_all(client);
            tenure_client_close(client);
        }
        is_over = atomic_load(&allocation_count) < n;
        atomic_store(&fail_at, 0);
        CHECK_EQ_INT(atomic_load(&bytes_used), 0);
    }
    CHECK(is_over); /* each of them has failed once */
    tenured_remove(&server);
}

TEST(what_is_wrong_is_refused_at_once)
{
    char long_name[300];
    (void)memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    struct tenure_client client = open_client("tenure://127.0.0.1:1");
    struct tenure_put_options item = plain("x");
    struct tenure_put_options bad;
#define REFUSED(member, value)                                                                     \
    do {                                                                                           \
        bad = item;                                                                                \
        bad.member = value;                                                                        \
        CHECK_EQ_INT(tenure_put(client, &bad, 1, NULL, NULL), TENURE_INVALID);                     \
    } while (0)
    REFUSED(size, 8);
    REFUSED(queue, "");
    REFUSED(queue, NULL);
    REFUSED(queue, long_name);
    REFUSED(id, "a\nb");
    REFUSED(group, long_name);
    REFUSED(headers, "\xff");
    REFUSED(body, NULL);
    REFUSED(priority, 10);
    REFUSED(lease_ms, 99);
    REFUSED(timeout_ms, 2592000001u);
    REFUSED(run_at_us, -1);
    REFUSED(unique_key, "k");
    REFUSED(unique, TENURE_UNIQUE_UNTIL_DONE);
    REFUSED(unique_ms, 5);
    REFUSED(conflict, (enum tenure_conflict)3);
#undef REFUSED
    CHECK_EQ_INT(tenure_put(client, &item, 0, NULL, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_put(client, &item, 1025, NULL, NULL), TENURE_INVALID);
    bad = item;
    bad.body_size = 1048577;
    CHECK_EQ_INT(tenure_put(client, &bad, 1, NULL, NULL), TENURE_TOO_LARGE);

    struct tenure_take_options options = terms(0, NULL);
    struct tenure_hold hold;
    options.queue_count = 0;
    CHECK_EQ_INT(tenure_take(client, &options, &hold, NULL, NULL), TENURE_INVALID);
    options = terms(0, NULL);
    options.count_max = 65;
    CHECK_EQ_INT(tenure_take(client, &options, &hold, NULL, NULL), TENURE_INVALID);
    options = terms(0, NULL);
    options.lease_ms = 99;
    CHECK_EQ_INT(tenure_take(client, &options, &hold, NULL, NULL), TENURE_INVALID);
    options = terms(0, NULL);
    CHECK_EQ_INT(tenure_take_start(client, &options, NULL, NULL, NULL, NULL), TENURE_INVALID);

    struct tenure_item_claim claim = { "q", "i", 0 };
    CHECK_EQ_INT(tenure_item_claim_done(client, &claim, NULL, 0, NULL), TENURE_INVALID);
    claim.token = 1;
    CHECK_EQ_INT(tenure_item_claim_extend(client, &claim, 99, NULL, NULL, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_item_claim_done(client, &claim, "", 65537, NULL), TENURE_TOO_LARGE);
    struct tenure_hold none = { 0 };
    CHECK_EQ_INT(tenure_item_done(none, NULL, 0, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_item_fail(none, NULL, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_item_progress(none, "x", NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_queue_stat(client, "q", NULL, NULL, NULL, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_queue_purge(client, TENURE_ITEM_TAKEN, NULL, NULL, NULL), TENURE_INVALID);
    tenure_client_close(client);
    CHECK_EQ_INT(tenure_put(client, &item, 1, NULL, NULL), TENURE_INVALID);
}

TEST(a_lock_is_no_item)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_lock_options options = { .size = sizeof(options),
                                           .names = queue_names,
                                           .name_count = 1 };
    struct tenure_hold hold;
    struct tenure_item item;
    CHECK_EQ_INT(tenure_lock(client, &options, &hold, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_item_of(hold, &item), TENURE_INVALID);
    CHECK_EQ_INT(tenure_item_done(hold, NULL, 0, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_item_progress(hold, "x", NULL), TENURE_INVALID);
    CHECK(tenure_hold_valid(hold));
    /* A queue of the same name is another thing. */
    struct tenure_put_result put_one = put(client, "x", 0);
    CHECK_EQ_INT(tenure_item_done(take(client, NULL), NULL, 0, NULL), TENURE_OK);
    await_state(client, put_one.id, TENURE_ITEM_DONE);
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    tenure_client_close(client);
    tenured_remove(&server);
}
