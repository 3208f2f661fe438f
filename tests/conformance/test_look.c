/* Looking: one lock, all locks, what the store says of itself. */
#include <stdio.h>
#include <string.h>

#include "conformance/conformance.h"

TEST(a_lock_is_shown_with_its_holder)
{
    struct tenure_client client = open_client();
    struct tenure_client other = open_client();
    const char *name = fresh("show");
    CHECK(!look(client, name).is_found);
    struct tenure_lock_options options = plain(&name, 10000, 0);
    options.owner = fresh("carol");
    options.meta = "a note for people: \xc3\xa4\xc3\xb6\xc3\xbc";
    struct tenure_hold hold = lock(client, &options);
    struct view view = look(other, name);
    CHECK(view.is_found);
    CHECK_EQ_UINT(view.hold_count, 1);
    CHECK_EQ_TEXT(view.owner, options.owner);
    CHECK_EQ_TEXT(view.meta, options.meta);
    CHECK_EQ_UINT(view.token, tenure_hold_token(hold));
    CHECK_EQ_UINT(view.ttl_ms, 10000);
    CHECK(view.remaining_ms > 5000 && view.remaining_ms <= 10000);
    CHECK_EQ_UINT(view.waiter_count, 0);
    unlock(hold);
    CHECK(!look(other, name).is_found);
    tenure_client_close(client);
    tenure_client_close(other);
}

TEST(a_lock_is_shown_with_those_who_wait)
{
    struct tenure_client client = open_client();
    struct tenure_client waiting[2] = { open_client(), open_client() };
    const char *name = fresh("line");
    struct tenure_lock_options options = plain(&name, 20000, 0);
    struct tenure_hold hold = lock(client, &options);
    const char *owners[2] = { fresh("first"), fresh("second") };
    struct seen seen[2];
    options.wait_ms = TENURE_WAIT_FOREVER;
    for (unsigned index = 0; index < 2; index++) {
        seen_init(&seen[index]);
        options.owner = owners[index];
        (void)start_lock(waiting[index], &options, &seen[index]);
        await_waiters(client, name, index + 1);
    }
    struct view view = look(client, name);
    CHECK_EQ_UINT(view.waiters_here, 2);
    CHECK_EQ_TEXT(view.waiters[0], owners[0]);
    CHECK_EQ_TEXT(view.waiters[1], owners[1]);
    CHECK_EQ_UINT(view.positions[0], 1);
    CHECK_EQ_UINT(view.positions[1], 2);
    tenure_client_close(waiting[0]);
    tenure_client_close(waiting[1]);
    await_waiters(client, name, 0);
    unlock(hold);
    tenure_client_close(client);
}

struct listed {
    unsigned count;
    char names[8][256];
    char owners[8][256];
};

static void keep_listed(const struct tenure_lock_view *view, void *user)
{
    struct listed *listed = user;
    if (listed->count < 8) {
        const char *owner = view->holder_count > 0 ? view->holders[0].owner : "";
        (void)snprintf(listed->names[listed->count], 256, "%s", view->name);
        (void)snprintf(listed->owners[listed->count], 256, "%s", owner);
    }
    listed->count++;
}

static struct listed list(struct tenure_client client, const struct tenure_list_options *options)
{
    struct listed listed = { 0 };
    struct tenure_error error = { 0 };
    enum tenure_err err = tenure_list(client, options, keep_listed, &listed, &error);
    if (err != TENURE_OK) FAIL("list: %s: %s", tenure_err_name(err), error.text);
    return listed;
}

TEST(locks_are_listed_by_prefix_and_owner_in_order)
{
    struct tenure_client client = open_client();
    const char *prefix = fresh("list");
    static const char *const tails[] = { "/c", "/a", "/b", "/b2" };
    char names[4][256];
    struct tenure_hold holds[4];
    const char *owner = fresh("lister");
    for (unsigned index = 0; index < 4; index++) {
        (void)snprintf(names[index], sizeof(names[index]), "%.200s%s", prefix, tails[index]);
        const char *name = names[index];
        struct tenure_lock_options options = plain(&name, 10000, 0);
        options.owner = index == 2 ? owner : NULL;
        holds[index] = lock(client, &options);
    }
    struct tenure_list_options options = { .size = sizeof(options), .prefix = prefix };
    struct listed listed = list(client, &options);
    CHECK_EQ_UINT(listed.count, 4);
    CHECK_EQ_TEXT(listed.names[0], names[1]);
    CHECK_EQ_TEXT(listed.names[1], names[2]);
    CHECK_EQ_TEXT(listed.names[2], names[3]);
    CHECK_EQ_TEXT(listed.names[3], names[0]);
    CHECK_EQ_TEXT(listed.owners[1], owner);
    options.owner = owner;
    listed = list(client, &options);
    CHECK_EQ_UINT(listed.count, 1);
    CHECK_EQ_TEXT(listed.names[0], names[2]);
    options.owner = NULL;
    options.prefix = names[2];
    CHECK_EQ_UINT(list(client, &options).count, 2);
    for (unsigned index = 0; index < 4; index++) {
        unlock(holds[index]);
    }
    options.prefix = prefix;
    CHECK_EQ_UINT(list(client, &options).count, 0);
    tenure_client_close(client);
}

TEST(locks_that_are_waited_for_are_listed)
{
    struct tenure_client client = open_client();
    struct tenure_client waiting = open_client();
    const char *prefix = fresh("waited");
    char names[2][256];
    struct tenure_hold holds[2];
    for (unsigned index = 0; index < 2; index++) {
        (void)snprintf(names[index], sizeof(names[index]), "%.200s/%u", prefix, index);
        const char *name = names[index];
        struct tenure_lock_options options = plain(&name, 10000, 0);
        holds[index] = lock(client, &options);
    }
    const char *name = names[1];
    struct tenure_lock_options options = plain(&name, 10000, TENURE_WAIT_FOREVER);
    struct seen seen;
    seen_init(&seen);
    (void)start_lock(waiting, &options, &seen);
    await_waiters(client, name, 1);
    struct tenure_list_options which = { .size = sizeof(which),
                                         .prefix = prefix,
                                         .is_waited = true };
    struct listed listed = list(client, &which);
    CHECK_EQ_UINT(listed.count, 1);
    CHECK_EQ_TEXT(listed.names[0], names[1]);
    tenure_client_close(waiting);
    unlock(holds[0]);
    unlock(holds[1]);
    tenure_client_close(client);
}

TEST(the_store_says_what_it_promises)
{
    struct tenure_client client = open_client();
    struct tenure_server_info info;
    struct tenure_error error = { 0 };
    enum tenure_err err = tenure_server_info(client, &info, &error);
    if (err != TENURE_OK) FAIL("info: %s: %s", tenure_err_name(err), error.text);
    CHECK_EQ_TEXT(tenure_safety_name(info.safety), tenure_safety_name(kind()->safety));
    CHECK(info.version[0] != '\0');
    CHECK(info.uptime_us > 0);
    CHECK(strlen(info.url) > 0);
    tenure_client_close(client);
}

static void keep_node(const struct tenure_node *node, void *user)
{
    unsigned *count = user;
    test_note("%s: %s, %s", node->address, node->standing, node->trouble);
    CHECK(node->address[0] != '\0');
    CHECK(node->is_reachable);
    CHECK(node->is_voting);
    CHECK_EQ_INT(node->quarantine_ms, 0);
    CHECK_EQ_TEXT(node->role, "master");
    CHECK(node->version[0] != '\0');
    CHECK_EQ_TEXT(node->eviction_policy, "noeviction");
    CHECK(node->clock_offset_ms > -1000 && node->clock_offset_ms < 1000);
    ++*count;
}

TEST(the_nodes_of_the_store_are_told)
{
    struct tenure_client client = open_client();
    const char *name = fresh("nodes");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    CHECK_EQ_INT(try_lock(client, &options), TENURE_OK);
    unsigned count = 0;
    struct tenure_error error = { 0 };
    enum tenure_err err = tenure_nodes(client, keep_node, &count, &error);
    if (err != TENURE_OK) FAIL("nodes: %s: %s", tenure_err_name(err), error.text);
    CHECK_EQ_UINT(count, kind()->node_count);
    struct tenure_server_info info;
    CHECK_EQ_INT(tenure_server_info(client, &info, NULL), TENURE_OK);
    CHECK_EQ_UINT(info.node_count, kind()->node_count);
    tenure_client_close(client);
}

TEST(a_hold_is_kept_by_all_nodes)
{
    struct tenure_client client = open_client();
    const char *name = fresh("votes");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    struct tenure_hold hold = lock(client, &options);
    int64_t end_ms = now_ms() + 5000;
    struct view view = look(client, name);
    while (view.votes != kind()->node_count && now_ms() < end_ms) {
        /* One that was not connected yet when it was granted is asked by a renewal. */
        CHECK_EQ_INT(tenure_hold_renew(hold, 0, NULL), TENURE_OK);
        view = look(client, name);
    }
    CHECK_EQ_UINT(view.votes, kind()->node_count);
    CHECK_EQ_UINT(view.node_count, kind()->node_count);
    unlock(hold);
    tenure_client_close(client);
}

/* ------------------------------------------------------------------ events */

#define EVENTS_MAX 16u

struct events {
    pthread_mutex_t mutex;
    unsigned count;
    unsigned ended_count;
    enum tenure_err ended_err;
    uint64_t seqs[EVENTS_MAX];
    uint64_t tokens[EVENTS_MAX];
    char kinds[EVENTS_MAX][32];
};

static bool on_event(const struct tenure_event *event, void *user)
{
    struct events *events = user;
    (void)pthread_mutex_lock(&events->mutex);
    if (events->count < EVENTS_MAX) {
        events->seqs[events->count] = event->seq;
        events->tokens[events->count] = event->token;
        (void)snprintf(events->kinds[events->count], 32, "%s", event->kind);
        events->count++;
    }
    (void)pthread_mutex_unlock(&events->mutex);
    return true;
}

static void on_end(enum tenure_err err, void *user)
{
    struct events *events = user;
    (void)pthread_mutex_lock(&events->mutex);
    events->ended_err = err;
    events->ended_count++;
    (void)pthread_mutex_unlock(&events->mutex);
}

static unsigned count_events(struct events *events)
{
    (void)pthread_mutex_lock(&events->mutex);
    unsigned count = events->count;
    (void)pthread_mutex_unlock(&events->mutex);
    return count;
}

static bool is_ended(struct events *events)
{
    (void)pthread_mutex_lock(&events->mutex);
    bool is = events->ended_count > 0;
    (void)pthread_mutex_unlock(&events->mutex);
    return is;
}

/* Something happens until it is heard of, or until the watch has ended: it begins in the
 * background. */
static void make_events(struct tenure_client client, const char *name, struct events *events)
{
    int64_t end_ms = now_ms() + 20000;
    struct tenure_lock_options options = plain(&name, 10000, 0);
    while (count_events(events) < 4 && !is_ended(events)) {
        CHECK_EQ_TEXT(tenure_err_name(try_lock(client, &options)), "ok");
        if (now_ms() > end_ms) FAIL("nothing was told");
        sleep_ms(5);
    }
}

static enum tenure_err
watch_for_a_while(struct tenure_client client, struct tenure_watch_options *options)
{
    struct tenure_watch watch = { 0 };
    struct events *events = options->user;
    enum tenure_err err = tenure_watch_open(client, options, &watch, NULL);
    if (err != TENURE_OK) return err;
    make_events(client, options->prefix, events);
    if (is_ended(events)) return events->ended_err;
    tenure_watch_close(client, watch);
    return TENURE_OK;
}

/* A grant, then the end of it; which of them is first depends on when the watch began. */
static void check_events(const struct events *events)
{
    unsigned first = strcmp(events->kinds[0], "granted") == 0 ? 0 : 1;
    CHECK_EQ_TEXT(events->kinds[first], "granted");
    CHECK_EQ_TEXT(events->kinds[first + 1], "released");
    CHECK(events->tokens[first] > 0);
    CHECK_EQ_UINT(events->tokens[first], events->tokens[first + 1]);
    if (kind()->is_ledger) CHECK(events->seqs[first + 1] > events->seqs[first]);
}

TEST(what_happens_is_told_to_who_watches)
{
    struct tenure_client client = open_client();
    struct events events = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    struct tenure_watch_options options = { .size = sizeof(options),
                                            .prefix = fresh("watch"),
                                            .on_event = on_event,
                                            .on_end = on_end,
                                            .user = &events };
    enum tenure_err err = watch_for_a_while(client, &options);
    CHECK_EQ_TEXT(tenure_err_name(err), kind()->has_watch ? "ok" : "unsupported");
    if (kind()->has_watch) check_events(&events);

    /* The past. */
    struct events past = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    options.since = kind()->past_err == TENURE_OK ? events.seqs[0] : 1;
    options.user = &past;
    err = watch_for_a_while(client, &options);
    CHECK_EQ_TEXT(tenure_err_name(err), tenure_err_name(kind()->past_err));
    if (kind()->past_err == TENURE_OK) CHECK_EQ_UINT(past.seqs[0], events.seqs[1]);
    tenure_client_close(client);
}

static bool count_event(const struct tenure_event *event, void *user)
{
    unsigned *count = user;
    CHECK(event->kind != NULL);
    ++*count;
    return true;
}

TEST(the_past_of_a_lock_is_told_or_refused)
{
    struct tenure_client client = open_client();
    const char *name = fresh("history");
    struct tenure_lock_options options = plain(&name, 10000, 0);
    CHECK_EQ_INT(try_lock(client, &options), TENURE_OK);
    unsigned count = 0;
    enum tenure_err err = tenure_history(client, name, 0, count_event, &count, NULL);
    if (kind()->has_history) {
        CHECK_EQ_INT(err, TENURE_OK);
        CHECK_EQ_UINT(count, 2);
    } else {
        CHECK_EQ_TEXT(tenure_err_name(err), "unsupported");
        CHECK_EQ_UINT(count, 0);
    }
    tenure_client_close(client);
}
