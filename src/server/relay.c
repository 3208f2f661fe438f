#include "server/relay.h"

#include <stdio.h>
#include <sys/random.h>

#include "server/log.h"
#include "server/store_url.h"
#include "server/turn.h"

/* ------------------------------------------------------------------ the loop */

static void on_nudge(uv_idle_t *nudge)
{
    (void)nudge; /* while it is there the loop does not sleep */
}

void relay_wake(struct relay *relay)
{
    turn_wake(relay->server);
    (void)uv_idle_start(&relay->nudge, on_nudge);
}

/* ------------------------------------------------------------------ works */

struct relay_work *relay_work_create(struct relay *relay, size_t text_size)
{
    struct relay_work *work = memory_take(&memory_heap, sizeof(*work));
    if (work == NULL) return NULL;
    *work = (struct relay_work){ .relay = relay, .text_size = text_size };
    list_init(&work->link);
    list_init(&work->own);
    buffer_init(&work->found, &memory_heap);
    work->started_at = tni_store_now();
    work->texts = memory_take(&memory_heap, text_size + 1);
    if (work->texts == NULL) {
        memory_give(&memory_heap, work, sizeof(*work));
        return NULL;
    }
    return work;
}

void relay_work_drop(struct relay_work *work)
{
    memory_give(&memory_heap, work->texts, work->text_size + 1);
    memory_give(&memory_heap, work->names, work->name_count * sizeof(work->names[0]));
    memory_give(&memory_heap, work->renewals, work->claim_count * sizeof(work->renewals[0]));
    memory_give(&memory_heap, work->claims, work->claim_count * sizeof(work->claims[0]));
    memory_give(&memory_heap, work->entries, work->count_max * sizeof(work->entries[0]));
    buffer_deinit(&work->found);
    memory_give(&memory_heap, work, sizeof(*work));
}

struct bytes relay_work_keep(struct relay_work *work, struct bytes text)
{
    ASSERT(text.size < work->text_size + 1 - work->text_used);
    char *at = work->texts + work->text_used;
    if (text.size > 0) memcpy(at, text.data, text.size);
    at[text.size] = '\0';
    work->text_used += text.size + 1;
    return (struct bytes){ at, text.size };
}

bool relay_work_assign(struct relay_work *work, struct session *session)
{
    struct relay *relay = work->relay;
    bool has_room = !work->is_waiting || map_reserve(&relay->waiting);
    if (!has_room || !session_owe(session, &work->place)) {
        relay_work_drop(work);
        return false;
    }
    work->session = session;
    list_append(&session->works, &work->own);
    list_append(&relay->works, &work->link);
    relay->server->metrics.relay_pending++;
    if (work->is_waiting) {
        session->is_waiting = true;
        relay->server->metrics.relay_waiting++;
    }
    return true;
}

/* ------------------------------------------------------------------ those that wait */

struct owner_key {
    struct bytes name;
    struct bytes owner;
};

static uint32_t hash_owner(const struct relay *relay, const struct owner_key *key)
{
    uint64_t hash = siphash(&relay->key, key->owner) ^ siphash(&relay->key, key->name) * 3;
    return (uint32_t)hash ^ (uint32_t)(hash >> 32);
}

static bool is_of_owner(const struct map_node *node, const void *user)
{
    const struct owner_key *key = user;
    const struct relay_work *work = CONTAINER_OF_CONST(node, struct relay_work, by_owner);
    return bytes_equal(work->owner, key->owner) && bytes_equal(work->name, key->name);
}

static void unmap(struct relay_work *work)
{
    if (!work->is_mapped) return;
    work->is_mapped = false;
    map_remove(&work->relay->waiting, &work->by_owner);
}

static void stop_waiting(struct relay_work *work)
{
    if (!work->is_waiting) return;
    work->is_waiting = false;
    work->relay->server->metrics.relay_waiting--;
}

/* ------------------------------------------------------------------ the end of a work */

/* The session has its answer, or is gone. */
static void detach(struct relay_work *work)
{
    list_remove(&work->own);
    work->session = NULL;
    work->place = NULL;
    stop_waiting(work);
}

/* Nothing of it is left; the next one of its owner may begin. */
static void end_work(struct relay_work *work)
{
    while (work != NULL && work->session == NULL) {
        struct relay_work *successor = work->successor;
        unmap(work);
        list_remove(&work->link);
        work->relay->server->metrics.relay_pending--;
        relay_work_drop(work);
        work = successor;
    }
    if (work != NULL) relay_acquire_begin(work);
}

static void observe(struct relay_work *work)
{
    if (work->is_waiting) return;
    struct metrics *metrics = &work->relay->server->metrics;
    histogram_observe(&metrics->relay, (tni_store_now().ns - work->started_at.ns) / 1000);
}

/* Give the session of the work something to write its answer to; between the two calls. */
static struct session *begin_answer(struct relay_work *work)
{
    struct session *session = work->session;
    if (session == NULL) return NULL;
    observe(work);
    bool is_held_up = work->is_waiting || !session->protocol->is_pipelined;
    if (is_held_up) session->is_waiting = false;
    session_speak(session, work->place);
    return session;
}

static void end_answer(struct relay_work *work)
{
    struct session *session = work->session;
    struct session_place *place = work->place;
    detach(work);
    session_paid(session, place);
    session_resume(session);
}

static void give_reply(struct relay_work *work, struct engine_reply *reply)
{
    struct session *session = begin_answer(work);
    if (session == NULL) return;
    reply->client = session->id;
    reply->tag = work->tag;
    reply->kind = work->kind;
    metrics_observe_reply(&work->relay->server->metrics, reply);
    session->protocol->on_reply(session, reply);
    end_answer(work);
}

void relay_work_reply(struct relay_work *work, struct engine_reply *reply)
{
    give_reply(work, reply);
    end_work(work);
}

void relay_work_tell(struct relay_work *work, struct query_answer *answer)
{
    struct session *session = begin_answer(work);
    answer->name = work->name;
    if (session != NULL) {
        work->tell(session, answer);
        end_answer(work);
    }
    end_work(work);
}

/* The work goes on, or ends by itself. */
static void give_refusal(struct relay_work *work, enum tenure_err err, const char *detail)
{
    struct engine_result result = { .err = err, .name = work->name };
    struct engine_reply reply = {
        .err = err,
        .results = &result,
        .result_count = 1,
        .detail = detail,
    };
    give_reply(work, &reply);
}

void relay_work_refuse(struct relay_work *work, enum tenure_err err, const char *detail)
{
    give_refusal(work, err, detail);
    end_work(work);
}

/* ------------------------------------------------------------------ operations */

static void on_done(struct store_op *op, const struct store_result *result)
{
    struct relay_work *work = CONTAINER_OF(op, struct relay_work, op);
    relay_wake(work->relay);
    work->is_begun = false;
    work->step(work, result);
}

void relay_work_start(struct relay_work *work, enum store_verb verb, relay_step_fn step)
{
    struct store_request *request = &work->op.request;
    int64_t limit_ns = verb == STORE_INFO ? RELAY_PROBE_NS : RELAY_ANSWER_NS;
    request->verb = verb;
    int64_t start_ns = work->is_waiting ? tni_store_now().ns : work->started_at.ns;
    request->deadline = (struct mono){ start_ns + limit_ns };
    request->patience_ns = limit_ns / 2;
    work->step = step;
    work->op.done = on_done;
    work->is_begun = true;
    tni_store_start(work->relay->store, &work->op);
}

/* Nobody waits for it any more. */
static void give_up(struct relay_work *work)
{
    ASSERT(work->session == NULL);
    if (work->is_begun) tni_store_cancel(work->relay->store, &work->op);
    /* Else it stands behind another one of its owner, and ends when that does. */
}

/* The latest of this owner that waits; NULL: none does. */
static struct relay_work *find_waiting(struct relay_work *work)
{
    struct relay *relay = work->relay;
    struct owner_key key = { work->name, work->owner };
    struct map_node *node = map_find(&relay->waiting, hash_owner(relay, &key), is_of_owner, &key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct relay_work, by_owner);
}

void relay_work_queue(struct relay_work *work)
{
    struct relay *relay = work->relay;
    struct owner_key key = { work->name, work->owner };
    struct relay_work *before = find_waiting(work);
    if (before != NULL) {
        unmap(before);
        before->successor = work;
        give_refusal(
            before, TENURE_CANCELED, "a newer request of the same owner has taken this place");
    }
    work->is_mapped = true;
    map_insert(&relay->waiting, &work->by_owner, hash_owner(relay, &key));
    if (before == NULL) {
        relay_acquire_begin(work);
    } else {
        give_up(before);
    }
}

/* ------------------------------------------------------------------ sessions that go */

static void gone(struct server *server, struct session *session)
{
    (void)server;
    list_foreach_safe(node, following, &session->works) {
        struct relay_work *work = CONTAINER_OF(node, struct relay_work, own);
        bool was_waiting = work->is_waiting;
        struct session_place *place = work->place;
        /* What a client did not wait for is done, and answered if it still listens. */
        if (!was_waiting && !session->is_ended) continue;
        detach(work);
        if (!session->is_ended) session_paid(session, place);
        if (was_waiting) give_up(work);
    }
}

static void drain(struct server *server)
{
    list_foreach_safe(node, following, &server->relay->works) {
        struct relay_work *work = CONTAINER_OF(node, struct relay_work, link);
        if (!work->is_waiting || work->session == NULL) continue;
        give_refusal(work, TENURE_DRAINING, NULL);
        give_up(work);
    }
}

static bool is_settled(const struct server *server, bool is_late)
{
    return is_late || list_is_empty(&server->relay->works);
}

/* ------------------------------------------------------------------ ups and downs */

/* Do most of its nodes vote?  A store that is one server is asked as one. */
static bool can_grant(const struct store_info *info)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < info->node_count; index++) {
        if (info->nodes[index].is_voting) count++;
    }
    return info->node_count == 0 || count > info->node_count / 2;
}

static void say_trouble(struct relay *relay, const struct store_result *result)
{
    const struct store_info *info = &result->as.info;
    uint32_t count = result->err == TENURE_OK ? info->node_count : 0;
    const char *text = result->text != NULL ? result->text : "the store cannot grant";
    (void)snprintf(relay->text, sizeof(relay->text), "%s", text);
    for (uint32_t index = 0; index < count; index++) {
        const struct store_node *node = &info->nodes[index];
        const char *trouble = node->trouble[0] != '\0' ? node->trouble : node->standing;
        if (node->is_voting) continue;
        (void)snprintf(relay->text, sizeof(relay->text), "%s: %s", node->address, trouble);
        break; /* one reason is enough here: tenure doctor tells them all */
    }
}

static void on_probed(struct store_op *op, const struct store_result *result)
{
    struct relay *relay = CONTAINER_OF(op, struct relay, probe);
    struct server *server = relay->server;
    relay_wake(relay);
    relay->is_probing = false;
    if (result->err == TENURE_CANCELED) return; /* it is being closed */
    bool is_told = result->err == TENURE_OK;
    bool is_down = is_told ? !can_grant(&result->as.info)
                           : result->err != TENURE_UNSUPPORTED && result->err != TENURE_NOT_FOUND;
    if (is_down) say_trouble(relay, result);
    if (is_told) server->is_store_known = true;
    if (is_told) server->is_full = result->as.info.is_disk_full;
    if (is_told) server->is_disk_slow = result->as.info.is_disk_slow;
    if (is_down != server->is_store_down) {
        log_write(
            is_down ? LOG_WARNING : LOG_INFO,
            is_down ? "the store cannot grant: %s" : "the store can grant%s",
            is_down ? relay->text : "");
    }
    server->is_store_down = is_down;
}

static void probe(struct relay *relay)
{
    if (relay->is_probing) return;
    relay->is_probing = true;
    relay->probe = (struct store_op){
        .request = {
            .verb = STORE_INFO,
            .deadline = { tni_store_now().ns + RELAY_PROBE_NS },
            .patience_ns = RELAY_PROBE_NS / 2,
        },
        .done = on_probed,
    };
    tni_store_start(relay->store, &relay->probe);
}

static void second(struct server *server)
{
    if (server->is_draining) return;
    probe(server->relay);
    relay_watch_start(server->relay);
}

/* ------------------------------------------------------------------ the turn */

static void wake(struct server *server, int64_t away_ns)
{
    (void)server;
    (void)away_ns; /* the deadlines are the store's */
}

static bool nothing(struct server *server)
{
    (void)server;
    return false;
}

static bool has_news(const struct server *server)
{
    (void)server;
    return false; /* the store tells through the loop */
}

static bool may_sleep(struct server *server)
{
    (void)server;
    return true;
}

static void rest(struct server *server)
{
    (void)uv_idle_stop(&server->relay->nudge);
}

const struct backend backend_relay = {
    .submit = relay_submit,
    .ask = relay_ask,
    .gone = gone,
    .wake = wake,
    .run_timers = nothing,
    .work = nothing,
    .rest = rest,
    .has_news = has_news,
    .may_sleep = may_sleep,
    .second = second,
    .drain = drain,
    .is_settled = is_settled,
};

/* ------------------------------------------------------------------ life */

static void draw(void *out_bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = getrandom((char *)out_bytes + done, size - done, 0);
        if (count > 0) done += (size_t)count;
    }
}

static void name_node(struct server *server)
{
    unsigned char bytes[16];
    draw(bytes, sizeof(bytes));
    for (size_t index = 0; index < sizeof(bytes); index++) {
        (void)snprintf(server->node_id + 2 * index, 3, "%02x", (unsigned)bytes[index]);
    }
}

enum tenure_err relay_create(struct server *server, struct tenure_error *out_error)
{
    *out_error = (struct tenure_error){ .code = TENURE_NO_MEMORY, .text = "not enough memory" };
    struct relay *relay = memory_take(&memory_heap, sizeof(*relay));
    if (relay == NULL) return TENURE_NO_MEMORY;
    *relay = (struct relay){ .server = server };
    list_init(&relay->works);
    map_init(&relay->waiting, &memory_heap);
    buffer_init(&relay->holds, &memory_heap);
    buffer_init(&relay->votes, &memory_heap);
    buffer_init(&relay->waiters, &memory_heap);
    draw(&relay->key, sizeof(relay->key));
    store_url_show(server->config->store, relay->url, sizeof(relay->url));
    struct store_options options = {
        .loop = server->loop,
        .memory = &memory_heap,
        .url = server->config->store,
    };
    draw(&options.seed, sizeof(options.seed));
    enum tenure_err err = tni_store_open(&options, &relay->store, out_error);
    if (err != TENURE_OK) {
        map_deinit(&relay->waiting);
        memory_give(&memory_heap, relay, sizeof(*relay));
        return err;
    }
    name_node(server);
    (void)uv_idle_init(server->loop, &relay->nudge); /* cannot fail */
    server->relay = relay;
    server->store = relay->store;
    server->store_url = relay->url;
    server->store_text = relay->text;
    server->backend = &backend_relay;
    server->is_store_down = true;
    server->event_err = TENURE_UNAVAILABLE;
    (void)snprintf(relay->text, sizeof(relay->text), "the store has not answered yet");
    return TENURE_OK;
}

void relay_ready(struct server *server)
{
    second(server);
}

void relay_close(struct server *server)
{
    struct relay *relay = server->relay;
    if (relay == NULL) return;
    relay_watch_stop(relay);
    tni_store_close(relay->store);
    uv_close((uv_handle_t *)&relay->nudge, NULL);
    ASSERT(list_is_empty(&relay->works));
}

void relay_free(struct server *server)
{
    struct relay *relay = server->relay;
    if (relay == NULL) return;
    map_deinit(&relay->waiting);
    buffer_deinit(&relay->holds);
    buffer_deinit(&relay->votes);
    buffer_deinit(&relay->waiters);
    memory_give(&memory_heap, relay, sizeof(*relay));
    server->relay = NULL;
    server->store = NULL;
}
