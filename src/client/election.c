#include <tenure/election.h>

#include <string.h>

#include "client/call.h"

/* Who leads is looked up whenever something happens to the name, and whenever what happened may
 * have been missed.  A watch alone would have to be put together from events. */
struct observation {
    struct call call;
    const char *name;
    tenure_leader_fn fn;
    void *user;
    struct store_watch watch;
    struct list link; /* in client->observations */
    bool is_looking;
    bool is_stale; /* something happened while it was being looked up */
    bool is_ending;
    bool was_told;
    uint64_t seq_told;
    uint64_t token_told;
    enum tenure_err err;
};

static void finish(struct observation *observation)
{
    tni_store_unwatch(observation->call.client->store, &observation->watch);
    list_remove(&observation->link);
    tni_call_end(&observation->call, observation->err, NULL);
}

static void look(struct observation *observation);

/* True: somebody new leads, nobody does any more, or the leader says something new. */
static bool is_news(const struct observation *observation, uint64_t seq, uint64_t token)
{
    if (!observation->was_told) return true;
    return observation->seq_told != seq || observation->token_told != token;
}

static bool show(struct observation *observation, const struct store_lock_view *view)
{
    struct tenure_leader leader = { .remaining_ms = -1 };
    if (view != NULL) leader.seq = view->seq;
    if (view != NULL && view->holder_count > 0) {
        leader.owner = view->holders[0].owner;
        leader.value = view->holders[0].meta;
        leader.token = view->holders[0].token;
        leader.remaining_ms = view->holders[0].remaining_ms;
    }
    bool is_same_nobody =
        observation->was_told && leader.token == 0 && observation->token_told == 0;
    if (is_same_nobody || !is_news(observation, leader.seq, leader.token)) return true;
    observation->was_told = true;
    observation->seq_told = leader.seq;
    observation->token_told = leader.token;
    return observation->fn(&leader, observation->user);
}

static void on_looked(struct store_op *op, const struct store_result *result)
{
    struct observation *observation = CONTAINER_OF(op, struct observation, call.op);
    observation->is_looking = false;
    if (observation->is_ending) {
        finish(observation);
        return;
    }
    if (result->err == TENURE_OK || result->err == TENURE_NOT_FOUND) {
        if (!show(observation, result->err == TENURE_OK ? result->as.inspect : NULL)) {
            finish(observation);
            return;
        }
    } else if (result->err == TENURE_CANCELED) {
        observation->err = TENURE_CANCELED;
        finish(observation);
        return;
    } else {
        observation->is_stale = true; /* the store is away: again, until it is there */
    }
    if (observation->is_stale) look(observation);
}

static void look(struct observation *observation)
{
    struct call *call = &observation->call;
    if (observation->is_looking) {
        observation->is_stale = true;
        return;
    }
    observation->is_looking = true;
    observation->is_stale = false;
    call->op = (struct store_op){
        .request = { .verb = STORE_INSPECT,
                     .deadline = tni_deadline(call->client->timeout_ms),
                     .patience_ns = (int64_t)call->client->timeout_ms * NS_PER_MS / 2 },
        .done = on_looked,
    };
    call->op.request.as.inspect.name = observation->name;
    tni_store_start(call->client->store, &call->op);
}

static void on_begun(struct store_watch *watch)
{
    look(CONTAINER_OF(watch, struct observation, watch));
}

static bool on_event(struct store_watch *watch, const struct store_event *event)
{
    struct observation *observation = CONTAINER_OF(watch, struct observation, watch);
    if (strcmp(event->name, observation->name) == 0) look(observation);
    return true;
}

static enum tenure_err follow(struct observation *observation)
{
    observation->watch = (struct store_watch){ .prefix = observation->name,
                                               .begun = on_begun,
                                               .event = on_event,
                                               .end = observation->watch.end };
    return tni_store_watch(observation->call.client->store, &observation->watch);
}

/* What was missed is looked up. */
static void on_end(struct store_watch *watch, enum tenure_err err)
{
    struct observation *observation = CONTAINER_OF(watch, struct observation, watch);
    if (err == TENURE_COMPACTED) err = follow(observation);
    if (err == TENURE_OK) return;
    observation->err = err;
    if (observation->is_looking) {
        observation->is_ending = true;
    } else {
        finish(observation);
    }
}

static void start(struct client *client, struct task *task)
{
    struct observation *observation = CONTAINER_OF(task, struct observation, call.task);
    list_append(&client->observations, &observation->link);
    observation->watch.end = on_end;
    enum tenure_err err = follow(observation);
    if (err != TENURE_OK) {
        observation->err = err;
        finish(observation);
        return;
    }
    look(observation);
}

void tni_election_close_all(struct client *client)
{
    list_foreach_safe(each, following, &client->observations) {
        struct observation *observation = CONTAINER_OF(each, struct observation, link);
        observation->err = TENURE_CANCELED;
        /* One that looks is told by the store, which is about to close. */
        if (observation->is_looking) {
            observation->is_ending = true;
        } else {
            finish(observation);
        }
    }
}

enum tenure_err tenure_election_observe(
    struct tenure_client handle,
    const char *name,
    tenure_leader_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct observation observation = { .name = name, .fn = fn, .user = user };
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, "fn: it is missing");
    if (!tni_is_plain(name)) {
        return tni_fail(
            out_error, TENURE_INVALID, "name: 1 to 255 bytes of UTF-8 without control characters");
    }
    if (!tni_call_begin(&observation.call, handle, out_error)) return observation.call.err;
    list_init(&observation.link);
    return tni_call_run(&observation.call, start, out_error);
}
