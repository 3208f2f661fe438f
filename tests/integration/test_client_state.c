/* Shared state by way of libtenure, against a real server. */
#include <tenure/tenure.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "integration/tenured.h"
#include "lib/test.h"

#define LIMIT_MS 20000

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void await(_Atomic unsigned *counter, unsigned least)
{
    const struct timespec pause = { .tv_nsec = 2000000 };
    int64_t until_ms = now_ms() + LIMIT_MS;
    while (atomic_load(counter) < least) {
        if (now_ms() > until_ms) FAIL("waited in vain");
        (void)nanosleep(&pause, NULL);
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

static struct tenure_set_options setting(const char *name, const char *value)
{
    return (struct tenure_set_options){
        .size = sizeof(struct tenure_set_options),
        .name = name,
        .value = value,
        .value_size = value == NULL ? 0 : strlen(value),
    };
}

static uint64_t set(struct tenure_client client, const char *name, const char *value)
{
    struct tenure_set_options options = setting(name, value);
    struct tenure_error error;
    uint64_t version = 0;
    if (tenure_state_set(client, &options, &version, &error) != TENURE_OK) {
        FAIL("set: %s", error.text);
    }
    CHECK(version > 0);
    return version;
}

/* A copy of what was told last, and how often. */
struct seen {
    _Atomic unsigned count;
    uint64_t version;
    uint32_t ttl_ms;
    int64_t remaining_ms;
    uint64_t token;
    enum tenure_err err;
    char names[256];
    char value[256];
    char lock[64];
};

static void on_register(const struct tenure_register *value, void *user)
{
    struct seen *seen = user;
    size_t used = strlen(seen->names);
    (void)snprintf(seen->names + used, sizeof(seen->names) - used, "%s;", value->name);
    seen->version = value->version;
    seen->value[0] = '\0';
    if (value->version > 0) {
        (void)snprintf(seen->value, sizeof(seen->value), "%s", (const char *)value->value);
        (void)snprintf(seen->lock, sizeof(seen->lock), "%s", value->lock);
        CHECK_EQ_UINT(strlen(seen->value), value->value_size);
        seen->ttl_ms = value->ttl_ms;
        seen->remaining_ms = value->remaining_ms;
        seen->token = value->token;
    }
    atomic_fetch_add(&seen->count, 1);
}

static enum tenure_err get(struct tenure_client client, const char *name, struct seen *out_seen)
{
    struct tenure_get_options options = { .size = sizeof(options), .name = name };
    *out_seen = (struct seen){ .count = 0 };
    return tenure_state_get(client, &options, on_register, out_seen, NULL);
}

static struct tenure_hold lock(struct tenure_client client, const char *name)
{
    struct tenure_lock_options options = { .size = sizeof(options),
                                           .names = &name,
                                           .name_count = 1 };
    struct tenure_hold hold = { 0 };
    CHECK_EQ_INT(tenure_lock(client, &options, &hold, NULL, NULL), TENURE_OK);
    return hold;
}

/* ------------------------------------------------------------------ registers */

TEST(a_register_is_set_read_listed_and_removed)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    CHECK_EQ_INT(get(client, "a", &seen), TENURE_NOT_FOUND);
    CHECK_EQ_INT(seen.count, 0);
    uint64_t first = set(client, "a", "one");
    CHECK(set(client, "a", "two") > first);
    (void)set(client, "b", "");
    CHECK_EQ_INT(get(client, "a", &seen), TENURE_OK);
    CHECK_EQ_INT(seen.count, 1);
    CHECK_EQ_TEXT(seen.value, "two");
    CHECK_EQ_INT(seen.ttl_ms, 0);
    CHECK_EQ_TEXT(seen.lock, "");
    CHECK_EQ_INT(get(client, "b", &seen), TENURE_OK);
    CHECK_EQ_TEXT(seen.value, "");

    seen = (struct seen){ .count = 0 };
    CHECK_EQ_INT(tenure_state_list(client, NULL, on_register, &seen, NULL), TENURE_OK);
    CHECK_EQ_TEXT(seen.names, "a;b;");
    seen = (struct seen){ .count = 0 };
    CHECK_EQ_INT(tenure_state_list(client, "b", on_register, &seen, NULL), TENURE_OK);
    CHECK_EQ_TEXT(seen.names, "b;");

    struct tenure_set_options options = setting("a", NULL);
    CHECK_EQ_INT(tenure_state_remove(client, &options, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_state_remove(client, &options, NULL), TENURE_NOT_FOUND);
    CHECK_EQ_INT(get(client, "a", &seen), TENURE_NOT_FOUND);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(conditions_hold_or_nothing_happens)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_set_options options = setting("a", "x");
    uint64_t version;
    options.when = TENURE_SET_IF_PRESENT;
    CHECK_EQ_INT(tenure_state_set(client, &options, NULL, NULL), TENURE_MISMATCH);
    options.when = TENURE_SET_IF_VERSION;
    CHECK_EQ_INT(tenure_state_set(client, &options, &version, NULL), TENURE_OK);
    options.when = TENURE_SET_IF_ABSENT;
    CHECK_EQ_INT(tenure_state_set(client, &options, NULL, NULL), TENURE_MISMATCH);
    options.when = TENURE_SET_IF_VERSION;
    options.version = version;
    options.value = "y";
    CHECK_EQ_INT(tenure_state_set(client, &options, NULL, NULL), TENURE_OK);
    options.value = "z";
    CHECK_EQ_INT(tenure_state_set(client, &options, &version, NULL), TENURE_MISMATCH);
    CHECK_EQ_UINT(version, options.version);
    CHECK_EQ_INT(tenure_state_remove(client, &options, NULL), TENURE_MISMATCH);
    CHECK_EQ_INT(get(client, "a", &seen), TENURE_OK);
    CHECK_EQ_TEXT(seen.value, "y");
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(numbers_are_added_to_and_texts_made_longer)
{
    struct tenured server;
    struct seen seen;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_set_options options = setting("n", NULL);
    int64_t number = 0;
    options.ttl_ms = 60000;
    CHECK_EQ_INT(tenure_state_incr(client, &options, 5, &number, NULL), TENURE_OK);
    CHECK_EQ_INT(number, 5);
    CHECK_EQ_INT(tenure_state_incr(client, &options, -7, &number, NULL), TENURE_OK);
    CHECK_EQ_INT(number, -2);
    CHECK_EQ_INT(get(client, "n", &seen), TENURE_OK);
    CHECK_EQ_TEXT(seen.value, "-2");
    CHECK_EQ_INT(seen.ttl_ms, 60000);
    CHECK(seen.remaining_ms > 50000 && seen.remaining_ms <= 60000);
    options = setting("t", "ab");
    CHECK_EQ_INT(tenure_state_append(client, &options, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_state_append(client, &options, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(get(client, "t", &seen), TENURE_OK);
    CHECK_EQ_TEXT(seen.value, "abab");
    CHECK_EQ_INT(tenure_state_incr(client, &options, 1, &number, NULL), TENURE_INVALID);
    CHECK_EQ_INT(number, -2);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(what_is_guarded_is_refused_behind_the_hold_and_what_is_bound_vanishes)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_hold hold = lock(client, "l");
    struct tenure_guard guard = { "l", tenure_hold_token(hold) };
    struct tenure_set_options options = setting("a", "x");
    options.guards = &guard;
    options.guard_count = 1;
    options.bond = guard;
    CHECK_EQ_INT(tenure_state_set(client, &options, NULL, NULL), TENURE_OK);
    struct tenure_get_options look = {
        .size = sizeof(look), .name = "a", .guards = &guard, .guard_count = 1
    };
    CHECK_EQ_INT(tenure_state_get(client, &look, on_register, &seen, NULL), TENURE_OK);
    CHECK_EQ_TEXT(seen.lock, "l");
    CHECK_EQ_UINT(seen.token, guard.token);
    CHECK_EQ_INT(tenure_hold_release(hold, NULL), TENURE_OK);
    CHECK_EQ_INT(get(client, "a", &seen), TENURE_NOT_FOUND);
    CHECK_EQ_INT(tenure_state_get(client, &look, on_register, &seen, NULL), TENURE_STALE_TOKEN);
    CHECK_EQ_INT(tenure_state_set(client, &options, NULL, NULL), TENURE_STALE_TOKEN);
    CHECK_EQ_INT(seen.count, 0);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ waiting */

struct waiter {
    struct tenure_client client;
    uint64_t version;
    struct seen seen;
    uint64_t next;
    _Atomic unsigned is_over;
};

static void *wait_for(void *user)
{
    struct waiter *waiter = user;
    struct tenure_wait_options options = { .size = sizeof(options),
                                           .name = "a",
                                           .version = waiter->version,
                                           .wait_ms = TENURE_WAIT_FOREVER };
    waiter->seen.err = tenure_state_wait(
        waiter->client, &options, on_register, &waiter->seen, &waiter->next, NULL);
    atomic_store(&waiter->is_over, 1);
    return NULL;
}

TEST(a_change_is_waited_for_also_a_removal)
{
    struct tenured server;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct waiter waiter = { .client = client };
    pthread_t thread;
    CHECK_EQ_INT(pthread_create(&thread, NULL, wait_for, &waiter), 0);
    uint64_t version = set(client, "a", "one");
    await(&waiter.is_over, 1);
    (void)pthread_join(thread, NULL);
    CHECK_EQ_INT(waiter.seen.err, TENURE_OK);
    CHECK_EQ_INT(waiter.seen.count, 1);
    CHECK_EQ_TEXT(waiter.seen.value, "one");
    CHECK_EQ_UINT(waiter.next, version);

    waiter = (struct waiter){ .client = client, .version = version };
    CHECK_EQ_INT(pthread_create(&thread, NULL, wait_for, &waiter), 0);
    struct tenure_set_options options = setting("a", NULL);
    CHECK_EQ_INT(tenure_state_remove(client, &options, NULL), TENURE_OK);
    await(&waiter.is_over, 1);
    (void)pthread_join(thread, NULL);
    CHECK_EQ_INT(waiter.seen.err, TENURE_OK);
    CHECK_EQ_UINT(waiter.seen.version, 0);
    CHECK(waiter.next > version);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(a_wait_in_vain_tells_what_there_is)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    uint64_t version = set(client, "a", "one");
    uint64_t next = 0;
    struct tenure_wait_options options = {
        .size = sizeof(options), .name = "a", .version = version, .wait_ms = 50
    };
    CHECK_EQ_INT(
        tenure_state_wait(client, &options, on_register, &seen, &next, NULL), TENURE_TIMEOUT);
    CHECK_EQ_INT(seen.count, 1);
    CHECK_EQ_TEXT(seen.value, "one");
    CHECK_EQ_UINT(next, version);
    options.version = version - 1;
    options.wait_ms = TENURE_WAIT_FOREVER;
    CHECK_EQ_INT(tenure_state_wait(client, &options, on_register, &seen, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(seen.count, 2);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ ranks */

static enum tenure_err
add(struct tenure_client client, unsigned rules, double score, uint32_t *out_count)
{
    const struct tenure_member members[] = { { "ann", score }, { "bob", score + 1 } };
    struct tenure_rank_add_options options = {
        .size = sizeof(options), .rank = "r", .members = members, .member_count = 2, .rules = rules
    };
    return tenure_rank_add(client, &options, out_count, NULL);
}

static void on_member(const struct tenure_member *member, void *user)
{
    struct seen *seen = user;
    size_t used = strlen(seen->names);
    char *at = seen->names + used;
    (void)snprintf(at, sizeof(seen->names) - used, "%s %g;", member->member, member->score);
}

static void check_rank(struct tenure_client client, const char *expected)
{
    struct seen seen = { .count = 0 };
    struct tenure_range_options options = { .size = sizeof(options), .rank = "r", .last = -1 };
    CHECK_EQ_INT(tenure_rank_range(client, &options, on_member, &seen, NULL), TENURE_OK);
    CHECK_EQ_TEXT(seen.names, expected);
}

TEST(members_get_their_scores_by_the_rules)
{
    struct tenured server;
    uint32_t count = 9;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    CHECK_EQ_INT(add(client, TENURE_RANK_IF_PRESENT, 1, &count), TENURE_OK);
    CHECK_EQ_UINT(count, 0);
    CHECK_EQ_INT(add(client, 0, 5, &count), TENURE_OK);
    CHECK_EQ_UINT(count, 2);
    CHECK_EQ_INT(add(client, TENURE_RANK_IF_NEW, 7, &count), TENURE_OK);
    CHECK_EQ_UINT(count, 0);
    CHECK_EQ_INT(add(client, TENURE_RANK_IF_HIGHER, 4, &count), TENURE_OK);
    check_rank(client, "ann 5;bob 6;");
    CHECK_EQ_INT(add(client, TENURE_RANK_IF_LOWER, 4, &count), TENURE_OK);
    CHECK_EQ_UINT(count, 2);
    check_rank(client, "ann 4;bob 5;");

    double score = 0;
    uint64_t position = 9;
    CHECK_EQ_INT(tenure_rank_incr(client, "r", "ann", 2.5, &score, NULL), TENURE_OK);
    CHECK(score > 6.4 && score < 6.6);
    CHECK_EQ_INT(tenure_rank_position(client, "r", "ann", false, &position, NULL), TENURE_OK);
    CHECK_EQ_UINT(position, 1);
    CHECK_EQ_INT(tenure_rank_score(client, "r", "eve", &score, NULL), TENURE_NOT_FOUND);
    const char *const gone[] = { "ann", "eve" };
    CHECK_EQ_INT(tenure_rank_remove(client, "r", gone, 2, &count, NULL), TENURE_OK);
    CHECK_EQ_UINT(count, 1);
    CHECK_EQ_INT(tenure_rank_count(client, "r", &count, NULL), TENURE_OK);
    CHECK_EQ_UINT(count, 1);
    CHECK_EQ_INT(tenure_rank_trim(client, "r", 0, -1, &count, NULL), TENURE_OK);
    CHECK_EQ_UINT(count, 1);
    check_rank(client, "");
    tenure_client_close(client);
    tenured_remove(&server);
}

static void on_rank(const char *rank, uint32_t count, void *user)
{
    struct seen *seen = user;
    (void)snprintf(seen->names, sizeof(seen->names), "%s %u", rank, count);
    atomic_fetch_add(&seen->count, 1);
}

TEST(ranks_are_listed_all_of_them)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    CHECK_EQ_INT(tenure_rank_list(client, NULL, on_rank, &seen, NULL), TENURE_OK);
    CHECK_EQ_UINT(seen.count, 0);
    for (unsigned number = 0; number < 250; number++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%c%03u", number < 240 ? 'a' : 'b', number);
        CHECK_EQ_INT(tenure_rank_incr(client, name, "m", 1, NULL, NULL), TENURE_OK);
    }
    CHECK_EQ_INT(tenure_rank_incr(client, "b249", "n", 1, NULL, NULL), TENURE_OK);
    CHECK_EQ_INT(tenure_rank_list(client, NULL, on_rank, &seen, NULL), TENURE_OK);
    CHECK_EQ_UINT(seen.count, 250);
    CHECK_EQ_TEXT(seen.names, "b249 2");
    seen = (struct seen){ .count = 0 };
    CHECK_EQ_INT(tenure_rank_list(client, "b", on_rank, &seen, NULL), TENURE_OK);
    CHECK_EQ_UINT(seen.count, 10);
    CHECK_EQ_INT(tenure_rank_list(client, "\xff", on_rank, &seen, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_rank_list(client, NULL, NULL, &seen, NULL), TENURE_INVALID);
    tenure_client_close(client);
    CHECK_EQ_INT(tenure_rank_list(client, NULL, on_rank, &seen, NULL), TENURE_INVALID);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ many at once */

static void on_outcome(
    enum tenure_err err,
    const struct tenure_outcome *outcomes,
    uint32_t count,
    bool is_otherwise,
    const struct tenure_error *error,
    void *user)
{
    struct seen *seen = user;
    if (error != NULL) CHECK_EQ_INT(error->code, err);
    seen->err = err;
    seen->names[0] = '\0';
    for (uint32_t index = 0; index < count; index++) {
        on_register(&outcomes[index].value, seen);
    }
    seen->ttl_ms = is_otherwise;
    atomic_fetch_add(&seen->count, 1000);
}

TEST(a_transaction_carries_out_one_of_two_lists)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_condition condition = { .kind = TENURE_IF_ABSENT, .name = "a" };
    struct tenure_operation first[] = {
        { .kind = TENURE_OPERATION_SET, .name = "a", .value = "1", .value_size = 1 },
        { .kind = TENURE_OPERATION_INCR, .name = "b", .by = 3 },
    };
    struct tenure_operation other = { .kind = TENURE_OPERATION_GET, .name = "a" };
    struct tenure_transaction transaction = {
        .size = sizeof(transaction),
        .conditions = &condition,
        .condition_count = 1,
        .operations = first,
        .operation_count = 2,
        .otherwise = &other,
        .otherwise_count = 1,
    };
    CHECK_EQ_INT(tenure_transact(client, &transaction, on_outcome, &seen, NULL), TENURE_OK);
    CHECK_EQ_UINT(seen.count, 1002);
    CHECK_EQ_TEXT(seen.names, "a;b;");
    CHECK_EQ_TEXT(seen.value, "3");
    CHECK_EQ_UINT(seen.ttl_ms, 0);
    seen = (struct seen){ .count = 0 };
    CHECK_EQ_INT(tenure_transact_start(client, &transaction, on_outcome, &seen, NULL), TENURE_OK);
    await(&seen.count, 1001);
    CHECK_EQ_INT(seen.err, TENURE_OK);
    CHECK_EQ_TEXT(seen.value, "1");
    transaction.otherwise_count = 0;
    seen = (struct seen){ .count = 0 };
    CHECK_EQ_INT(tenure_transact_start(client, &transaction, on_outcome, &seen, NULL), TENURE_OK);
    await(&seen.count, 1000);
    CHECK_EQ_INT(seen.err, TENURE_MISMATCH);
    CHECK_EQ_INT(tenure_transact(client, &transaction, on_outcome, &seen, NULL), TENURE_MISMATCH);
    CHECK_EQ_UINT(seen.count, 1000);
    tenure_client_close(client);
    tenured_remove(&server);
}

TEST(all_values_of_a_transaction_have_one_limit)
{
    static char bytes[TENURE_VALUE_SIZE_MAX / 2 + 1];
    struct tenured server;
    struct seen seen = { .count = 0 };
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    struct tenure_operation operations[] = {
        { .kind = TENURE_OPERATION_SET, .name = "a", .value = bytes },
        { .kind = TENURE_OPERATION_SET, .name = "b", .value = bytes },
    };
    struct tenure_condition condition = {
        .kind = TENURE_IF_VALUE, .name = "c", .value = bytes, .value_size = 0
    };
    struct tenure_transaction transaction = { .size = sizeof(transaction),
                                              .operations = operations,
                                              .operation_count = 2,
                                              .conditions = &condition };
    struct tenure_error error;
    memset(bytes, 'x', sizeof(bytes));
    operations[0].value_size = sizeof(bytes) - 1;
    operations[1].value_size = sizeof(bytes) - 1;
    CHECK_EQ_INT(tenure_transact(client, &transaction, NULL, &seen, NULL), TENURE_OK);
    operations[1].value_size++;
    CHECK_EQ_INT(tenure_transact(client, &transaction, NULL, &seen, &error), TENURE_TOO_LARGE);
    CHECK(strstr(error.text, "1048576 bytes together") != NULL);
    operations[1].value_size--;
    condition.value_size = 1;
    transaction.condition_count = 1;
    CHECK_EQ_INT(tenure_transact(client, &transaction, NULL, &seen, NULL), TENURE_TOO_LARGE);
    operations[1].value_size = SIZE_MAX;
    CHECK_EQ_INT(tenure_transact(client, &transaction, NULL, &seen, NULL), TENURE_TOO_LARGE);
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ channels */

static bool on_message(const struct tenure_event *event, void *user)
{
    struct seen *seen = user;
    (void)snprintf(seen->names, sizeof(seen->names), "%s", event->name);
    (void)snprintf(seen->value, sizeof(seen->value), "%s", (const char *)event->value);
    atomic_fetch_add(&seen->count, 1);
    return true;
}

static void on_begun(uint64_t seq, void *user)
{
    struct seen *seen = user;
    (void)seq;
    atomic_fetch_add(&seen->count, 1);
}

TEST(who_listens_is_told)
{
    struct tenured server;
    struct seen seen = { .count = 0 };
    uint32_t count = 9;
    tenured_start(&server);
    struct tenure_client client = open_client(server.url);
    CHECK_EQ_INT(tenure_publish(client, "news/a", "x", 1, &count, NULL), TENURE_OK);
    CHECK_EQ_UINT(count, 0);
    struct tenure_subscribe_options options = {
        .size = sizeof(options),
        .channel = "news/*",
        .is_pattern = true,
        .on_message = on_message,
        .on_begun = on_begun,
        .user = &seen,
    };
    struct tenure_watch watch;
    CHECK_EQ_INT(tenure_subscribe(client, &options, &watch, NULL), TENURE_OK);
    await(&seen.count, 1);
    CHECK_EQ_INT(tenure_publish(client, "news/a", "hello", 5, &count, NULL), TENURE_OK);
    CHECK_EQ_UINT(count, 1);
    await(&seen.count, 2);
    CHECK_EQ_TEXT(seen.names, "news/a");
    CHECK_EQ_TEXT(seen.value, "hello");
    tenure_client_close(client);
    tenured_remove(&server);
}

/* ------------------------------------------------------------------ refusals */

/* No server is asked: there is none. */
static struct tenure_client open_nowhere(void)
{
    return open_client("tenure://127.0.0.1:1");
}

TEST(a_look_that_is_wrong_is_refused_at_once)
{
    struct tenure_client client = open_nowhere();
    struct tenure_error error;
    struct seen seen = { .count = 0 };
    struct tenure_guard guard = { "l", 0 };
    struct tenure_get_options look = { .size = sizeof(look), .name = "a" };
#define REFUSED_GET(field, value)                                                                  \
    do {                                                                                           \
        struct tenure_get_options bad = look;                                                      \
        bad.field = (value);                                                                       \
        CHECK_EQ_INT(tenure_state_get(client, &bad, on_register, &seen, &error), TENURE_INVALID);  \
    } while (0)
    REFUSED_GET(size, sizeof(look) - 1);
    REFUSED_GET(size, 0);
    REFUSED_GET(name, NULL);
    REFUSED_GET(name, "");
    REFUSED_GET(name, "a\n");
    REFUSED_GET(guard_count, 1);
    look.guards = &guard;
    REFUSED_GET(guard_count, 1);
    REFUSED_GET(guard_count, TENURE_GUARD_COUNT_MAX + 1);
#undef REFUSED_GET
    CHECK_EQ_INT(tenure_state_get(client, NULL, on_register, &seen, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_state_get(client, &look, NULL, NULL, NULL), TENURE_INVALID);

    struct tenure_wait_options wait = { .size = sizeof(wait), .name = "a" };
#define REFUSED_WAIT(field, value)                                                                 \
    do {                                                                                           \
        struct tenure_wait_options bad = wait;                                                     \
        bad.field = (value);                                                                       \
        CHECK_EQ_INT(                                                                              \
            tenure_state_wait(client, &bad, on_register, &seen, NULL, NULL), TENURE_INVALID);      \
    } while (0)
    REFUSED_WAIT(size, sizeof(wait) - 1);
    REFUSED_WAIT(name, NULL);
    REFUSED_WAIT(name, "\x7f");
    REFUSED_WAIT(version, UINT64_C(1) << 53);
#undef REFUSED_WAIT
    CHECK_EQ_INT(tenure_state_wait(client, NULL, on_register, &seen, NULL, NULL), TENURE_INVALID);
    CHECK_EQ_INT(tenure_state_wait(client, &wait, NULL, NULL, NULL, NULL), TENURE_INVALID);
    CHECK_EQ_UINT(seen.count, 0);
    tenure_client_close(client);
    look.guards = NULL;
    CHECK_EQ_INT(tenure_state_get(client, &look, on_register, &seen, NULL), TENURE_INVALID);
}

TEST(a_rank_that_is_wrong_is_refused_at_once)
{
    struct tenure_client client = open_nowhere();
    struct tenure_member member = { "ann", 1 };
    struct tenure_rank_add_options rank = {
        .size = sizeof(rank), .rank = "r", .members = &member, .member_count = 1
    };
#define REFUSED_ADD(field, value)                                                                  \
    do {                                                                                           \
        struct tenure_rank_add_options bad = rank;                                                 \
        bad.field = (value);                                                                       \
        CHECK_EQ_INT(tenure_rank_add(client, &bad, NULL, NULL), TENURE_INVALID);                   \
    } while (0)
    REFUSED_ADD(size, sizeof(rank) - 1);
    REFUSED_ADD(rank, NULL);
    REFUSED_ADD(members, NULL);
    REFUSED_ADD(member_count, 0);
    REFUSED_ADD(member_count, TENURE_OPERATION_COUNT_MAX + 1);
    REFUSED_ADD(rules, 16);
    member.score = HUGE_VAL;
    REFUSED_ADD(rank, "r");
    member = (struct tenure_member){ "", 1 };
    REFUSED_ADD(rank, "r");
#undef REFUSED_ADD
    CHECK_EQ_INT(tenure_rank_add(client, NULL, NULL, NULL), TENURE_INVALID);
    tenure_client_close(client);
}

TEST(a_transaction_that_is_wrong_is_refused_at_once)
{
    struct tenure_client client = open_nowhere();
    struct tenure_operation operation = { .kind = TENURE_OPERATION_GET, .name = "a" };
    struct tenure_transaction transaction = { .size = sizeof(transaction),
                                              .operations = &operation,
                                              .operation_count = 1 };
#define REFUSED_TRANSACT(field, value)                                                             \
    do {                                                                                           \
        struct tenure_transaction bad = transaction;                                               \
        bad.field = (value);                                                                       \
        CHECK_EQ_INT(tenure_transact(client, &bad, NULL, NULL, NULL), TENURE_INVALID);             \
    } while (0)
    REFUSED_TRANSACT(size, sizeof(transaction) - 1);
    REFUSED_TRANSACT(guard_count, 1);
    REFUSED_TRANSACT(condition_count, 1);
    REFUSED_TRANSACT(otherwise_count, 1);
    REFUSED_TRANSACT(otherwise_count, TENURE_OPERATION_COUNT_MAX);
    REFUSED_TRANSACT(operation_count, 0);
    REFUSED_TRANSACT(operations, NULL);
#undef REFUSED_TRANSACT
    tenure_client_close(client);
}
