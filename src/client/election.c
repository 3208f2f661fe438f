#include <tenure/election.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/call.h"

/* Who leads is looked up whenever something happens to the name, and whenever what happened may
 * have been missed.  A watch alone would have to be put together from events. */
/* The leader, kept for the next dispatch. */
struct kept_leader {
    struct tenure_leader leader;
    char owner[LIMIT_OWNER_SIZE_MAX + 1];
    char value[LIMIT_META_SIZE_MAX + 1];
};

struct observation {
    struct call call;
    const char *name;
    tenure_leader_fn fn;
    void *user;
    struct store_watch watch;
    struct list link; /* in client->observations, under the client's mutex */
    bool is_begun;
    bool is_looking;
    bool is_stale; /* something happened while it was being looked up */
    bool is_ending;
    bool was_told;
    uint64_t seq_told;
    uint64_t token_told;
    enum tenure_err err;

    /* Of one that nobody waits for. */
    uint64_t id; /* of the operation; 0: somebody waits */
    tenure_done_fn on_end;
    char name_kept[LIMIT_NAME_SIZE_MAX + 1];
    struct notice notice;
    struct kept_leader kept; /* from here on under the client's mutex */
    bool has_news;
    bool is_stopped;
    bool is_over;
    enum tenure_err err_stopped;
};

static void copy_leader(struct kept_leader *kept, const struct tenure_leader *leader)
{
    kept->leader = *leader;
    if (leader->owner == NULL) return;
    (void)snprintf(kept->owner, sizeof(kept->owner), "%s", leader->owner);
    (void)snprintf(kept->value, sizeof(kept->value), "%s", leader->value);
    kept->leader.owner = kept->owner;
    kept->leader.value = kept->value;
}

/* ------------------------------------------------------------------ telling */

/* The latest leader there is, and the end, where callbacks run. */
static void tell_later(struct client *client, struct notice *notice)
{
    struct observation *observation = CONTAINER_OF(notice, struct observation, notice);
    struct kept_leader kept;
    (void)pthread_mutex_lock(&client->mutex);
    bool is_told = observation->has_news && !observation->is_stopped;
    if (is_told) copy_leader(&kept, &observation->kept.leader);
    observation->has_news = false;
    (void)pthread_mutex_unlock(&client->mutex);
    bool is_enough = is_told && !observation->fn(&kept.leader, observation->user);
    if (client->epoch != tni_registry_epoch()) return;

    (void)pthread_mutex_lock(&client->mutex);
    if (is_enough && !observation->is_stopped) {
        observation->is_stopped = true;
        observation->err_stopped = TENURE_OK;
        if (!observation->is_over) tni_client_queue(client, &observation->call.task);
    }
    bool is_over = observation->is_over && !observation->has_news;
    /* It may have been posted again while it told. */
    if (is_over && notice->is_posted) list_remove(&notice->link);
    (void)pthread_mutex_unlock(&client->mutex);
    if (!is_over) return;
    struct tenure_error error;
    bool is_ok = is_enough || observation->call.err == TENURE_OK;
    enum tenure_err err = tni_fail(&error, is_ok ? TENURE_OK : observation->call.err, NULL);
    if (observation->on_end != NULL) observation->on_end(err, &error, observation->user);
    memory_give(client->memory, observation, sizeof(*observation));
    tni_client_give(client);
}

static void finish_later(struct call *call)
{
    struct observation *observation = CONTAINER_OF(call, struct observation, call);
    struct client *client = call->client;
    (void)pthread_mutex_lock(&client->mutex);
    if (call->task.is_queued) list_remove(&call->task.link);
    observation->is_over = true;
    (void)pthread_mutex_unlock(&client->mutex);
    (void)tni_notice_post(client, &observation->notice);
}

/* True: go on. */
static bool tell(struct observation *observation, const struct tenure_leader *leader)
{
    struct client *client = observation->call.client;
    bool is_direct = observation->id == 0 || !client->is_dispatched;
    if (is_direct) return observation->fn(leader, observation->user);
    (void)pthread_mutex_lock(&client->mutex);
    copy_leader(&observation->kept, leader);
    observation->has_news = true;
    (void)pthread_mutex_unlock(&client->mutex);
    (void)tni_notice_post(client, &observation->notice);
    return true;
}

/* ------------------------------------------------------------------ looking */

static void finish(struct observation *observation)
{
    struct client *client = observation->call.client;
    tni_store_unwatch(client->store, &observation->watch);
    (void)pthread_mutex_lock(&client->mutex);
    list_remove(&observation->link);
    (void)pthread_mutex_unlock(&client->mutex);
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
    return tell(observation, &leader);
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

static void stop(struct observation *observation, enum tenure_err err)
{
    observation->err = err;
    /* One that looks has an answer to come. */
    if (observation->is_looking) {
        observation->is_ending = true;
    } else {
        finish(observation);
    }
}

/* Beginning and stopping: the same task. */
static void run(struct client *client, struct task *task)
{
    struct observation *observation = CONTAINER_OF(task, struct observation, call.task);
    (void)pthread_mutex_lock(&client->mutex);
    bool is_stopped = observation->is_stopped;
    bool is_begun = observation->is_begun;
    observation->is_begun = true;
    (void)pthread_mutex_unlock(&client->mutex);
    if (is_stopped) stop(observation, observation->err_stopped);
    if (is_stopped || is_begun) return;
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
        stop(CONTAINER_OF(each, struct observation, link), TENURE_CANCELED);
    }
}

static const char *find_fault(const char *name, tenure_leader_fn fn)
{
    if (fn == NULL) return "on_leader: it is missing";
    if (!tni_is_plain(name)) return "name: 1 to 255 bytes of UTF-8 without control characters";
    return NULL;
}

enum tenure_err tenure_election_observe(
    struct tenure_client handle,
    const char *name,
    tenure_leader_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct observation observation = { .name = name, .fn = fn, .user = user };
    const char *fault = find_fault(name, fn);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&observation.call, handle, out_error)) return observation.call.err;
    observation.call.task.run = run;
    list_init(&observation.link);
    struct client *client = observation.call.client;
    bool is_begun =
        tni_client_enlist(client, &client->observations, &observation.link, &observation.call.task);
    return tni_call_wait(&observation.call, is_begun, out_error);
}

static struct observation *
create_later(struct client *client, const struct tenure_observe_options *options)
{
    /* Beside the ids of acquires, which are those of holds. */
    static _Atomic uint64_t id_last = UINT64_C(1) << 63;
    struct observation *observation = memory_take(client->memory, sizeof(*observation));
    if (observation == NULL) return NULL;
    *observation = (struct observation){
        .call = { .client = client, .finish = finish_later, .task = { .run = run } },
        .id = atomic_fetch_add(&id_last, 1) + 1,
        .notice = { .tell = tell_later },
        .fn = options->on_leader,
        .on_end = options->on_end,
        .user = options->user,
    };
    char *name = observation->name_kept;
    (void)snprintf(name, sizeof(observation->name_kept), "%s", options->name);
    observation->name = observation->name_kept;
    return observation;
}

enum tenure_err tenure_election_observe_start(
    struct tenure_client handle,
    const struct tenure_observe_options *options,
    struct tenure_op *out_op,
    struct tenure_error *out_error)
{
    const char *fault = "size: it must be sizeof(*options)";
    if (options != NULL && options->size >= sizeof(*options)) {
        fault = find_fault(options->name, options->on_leader);
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");
    struct observation *observation = create_later(client, options);
    if (observation == NULL) {
        tni_client_give(client);
        return tni_fail(out_error, TENURE_NO_MEMORY, NULL);
    }
    struct tenure_op op = { observation->id };
    /* Behind this it may be over at any moment. */
    if (out_op != NULL) *out_op = op;
    list_init(&observation->link);
    bool is_begun = tni_client_enlist(
        client, &client->observations, &observation->link, &observation->call.task);
    if (is_begun) return TENURE_OK;
    memory_give(client->memory, observation, sizeof(*observation));
    tni_client_give(client);
    return tni_fail(out_error, TENURE_CANCELED, "the client is being closed");
}

void tni_election_cancel(struct client *client, uint64_t id)
{
    (void)pthread_mutex_lock(&client->mutex);
    list_foreach(each, &client->observations) {
        struct observation *observation = CONTAINER_OF(each, struct observation, link);
        if (id == 0 || observation->id != id || observation->is_stopped) continue;
        observation->is_stopped = true;
        observation->err_stopped = TENURE_CANCELED;
        tni_client_queue(client, &observation->call.task);
    }
    (void)pthread_mutex_unlock(&client->mutex);
}
