#include "store/remote/remote.h"

#include <stdio.h>
#include <string.h>

#include "store/remote/lane.h"

#define VERBS_ALL    ((1u << STORE_VERB_COUNT) - 1)
#define FEATURES_ALL ((1u << STORE_FEATURE_COUNT) - 1)

static struct remote *remote_of(struct store *store)
{
    return CONTAINER_OF(store, struct remote, store);
}

uint64_t tni_remote_random(struct remote *remote)
{
    /* SplitMix64: it only has to be different in different clients. */
    uint64_t word = remote->random += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* ------------------------------------------------------------------ ends of operations */

/* Take it out of everything that knows it. */
static void detach(struct store_op *op)
{
    struct lane *lane = op->where;
    op->is_finished = true;
    list_remove(&op->link);
    if (lane == NULL) return;
    struct remote *remote = lane->remote;
    heap_remove(&remote->op_timers, &op->timer);
    tni_lane_forget(lane, op);
    op->where = NULL;
    if (lane->kind != LANE_WAIT) return;
    /* Whoever called may still be at work with the lane. */
    tni_lane_deinit(lane);
    list_append(&remote->lanes_dead, &lane->lanes);
}

static void free_dead(struct remote *remote)
{
    struct list *first;
    while ((first = list_first(&remote->lanes_dead)) != NULL) {
        struct lane *lane = CONTAINER_OF(first, struct lane, lanes);
        list_remove(&lane->lanes);
        memory_give(remote->memory, lane, sizeof(*lane));
    }
}

void tni_remote_finish(struct store_op *op, const struct store_result *result)
{
    ASSERT(!op->is_finished);
    detach(op);
    op->done(op, result);
}

static void complete_ready(struct remote *remote)
{
    struct list *first;
    while ((first = list_first(&remote->ready)) != NULL) {
        struct store_op *op = CONTAINER_OF(first, struct store_op, link);
        list_remove(&op->link);
        struct store_result result = {
            .err = op->err_kept,
            .text = op->has_text ? op->text : NULL,
            .is_unsure = op->is_sent && op->request.verb == STORE_ACQUIRE &&
                         op->err_kept != TENURE_HELD && op->err_kept != TENURE_TIMEOUT,
            .sent_at = op->sent_at,
        };
        if (op->request.verb == STORE_ACQUIRE) result.as.acquire.position = op->position;
        op->done(op, &result);
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct remote *remote = idle->data;
    (void)uv_idle_stop(idle);
    complete_ready(remote);
}

void tni_remote_give_up(
    struct remote *remote, struct store_op *op, enum tenure_err err, const char *text)
{
    ASSERT(!op->is_finished);
    op->err_kept = err;
    op->has_text = text != NULL;
    if (text != NULL && text != op->text) {
        (void)snprintf(op->text, sizeof(op->text), "%s", text);
    }
    detach(op);
    list_append(&remote->ready, &op->link);
    if (!remote->is_closed) (void)uv_idle_start(&remote->idle, on_idle);
}

/* ------------------------------------------------------------------ time */

static struct mono add(struct mono start, int64_t duration_ns)
{
    if (start.ns > INT64_MAX - duration_ns) return (struct mono){ INT64_MAX };
    return (struct mono){ start.ns + duration_ns };
}

static struct mono wake_at(const struct store_op *op)
{
    return op->suspect_at.ns < op->deadline.ns ? op->suspect_at : op->deadline;
}

/* What was sent waits for something to happen: until when, and how long the answer may take then.
 * False: it is answered at once. */
static bool find_wait(const struct store_op *op, struct mono *out_until, int64_t *out_answer_ns)
{
    const struct store_request *request = &op->request;
    if (request->verb == STORE_ACQUIRE && op->phase == PHASE_FIRST) {
        *out_until = request->as.acquire.wait_until;
        *out_answer_ns = request->as.acquire.answer_ns;
    } else if (request->verb == STORE_TAKE && op->phase == PHASE_WAIT) {
        *out_until = request->as.take.wait_until;
        *out_answer_ns = request->as.take.answer_ns;
    } else if (request->verb == STORE_AWAIT) {
        *out_until = request->as.await_end.wait_until;
        *out_answer_ns = request->as.await_end.answer_ns;
    } else if (request->verb == STORE_REGISTER_WAIT) {
        *out_until = request->as.register_wait.wait_until;
        *out_answer_ns = request->as.register_wait.answer_ns;
    } else {
        return false;
    }
    return true;
}

void tni_remote_mark_sent(struct remote *remote, struct store_op *op)
{
    struct mono wait_until;
    int64_t answer_ns;
    bool is_renewal = op->request.verb == STORE_RENEW || op->request.verb == STORE_EXTEND;
    if (!is_renewal) op->sent_at = tni_store_now();
    op->suspect_at = (struct mono){ INT64_MAX };
    if (op->request.patience_ns > 0) {
        op->suspect_at = add(tni_store_now(), op->request.patience_ns);
    }
    if (find_wait(op, &wait_until, &answer_ns)) {
        bool is_waiting = wait_until.ns > op->sent_at.ns;
        op->deadline = add(is_waiting ? wait_until : op->started_at, answer_ns);
        if (op->deadline.ns < op->request.deadline.ns) op->deadline = op->request.deadline;
        if (is_waiting && op->request.patience_ns > 0) {
            op->suspect_at = add(wait_until, op->request.patience_ns);
        }
    }
    op->is_sent_again = op->is_sent;
    op->is_sent = true;
    heap_move(&remote->op_timers, &op->timer, wake_at(op).ns);
    tni_remote_arm(remote);
}

/* No answer by the deadline. */
static void expire(struct remote *remote, struct store_op *op)
{
    if (op->phase == PHASE_OBSTACLE) {
        tni_remote_give_up(remote, op, op->err_kept, op->has_text ? op->text : NULL);
        return;
    }
    char text[sizeof(op->text)];
    const char *trouble = remote->trouble[0] == '\0' ? "no answer" : remote->trouble;
    if (op->is_sent && !tni_is_look(op)) {
        (void)snprintf(text, sizeof(text), "no answer in time (%.170s)", trouble);
        tni_remote_give_up(remote, op, TENURE_UNKNOWN, text);
    } else {
        const char *host =
            remote->address.host[0] != '\0' ? remote->address.host : remote->address.path;
        bool is_tcp = remote->address.host[0] != '\0';
        (void)snprintf(
            text,
            sizeof(text),
            "%.100s%s%s: %.60s",
            host,
            is_tcp ? ":" : "",
            remote->address.port,
            trouble);
        tni_remote_give_up(remote, op, TENURE_UNAVAILABLE, text);
    }
}

/* The answer is late.  Is the connection dead, or is it only this answer? */
static void suspect(struct remote *remote, struct store_op *op, struct mono now)
{
    struct lane *lane = op->where;
    ASSERT(lane != NULL);
    op->suspect_at = add(now, op->request.patience_ns);
    heap_move(&remote->op_timers, &op->timer, wake_at(op).ns);
    if (!tni_link_is_up(lane->link)) {
        bool is_stuck =
            lane->link != NULL && now.ns - lane->link->created_at.ns >= op->request.patience_ns;
        if (is_stuck) tni_lane_break(lane, "no connection for a while");
        return;
    }
    if (!list_is_empty(&op->link)) return; /* not sent yet */
    bool is_renewal = op->request.verb == STORE_RENEW || op->request.verb == STORE_EXTEND;
    if (is_renewal && lane->kind == LANE_MAIN) {
        remote->is_keeping = true;
        tni_lane_forget(lane, op);
        tni_lane_add(&remote->keep, op);
        return;
    }
    bool is_silent = lane->link->received_at.ns < now.ns - op->request.patience_ns;
    if (is_silent) tni_lane_break(lane, "no answer for a while");
}

static void on_time(uv_timer_t *timer)
{
    struct remote *remote = timer->data;
    struct mono now = tni_store_now();
    const struct heap_entry *first;
    while ((first = heap_first(&remote->op_timers)) != NULL && first->key <= now.ns) {
        struct store_op *op = CONTAINER_OF(first->node, struct store_op, timer);
        if (op->deadline.ns <= now.ns) {
            expire(remote, op);
        } else {
            suspect(remote, op, now);
        }
    }
    while ((first = heap_first(&remote->lane_timers)) != NULL && first->key <= now.ns) {
        struct lane *lane = CONTAINER_OF(first->node, struct lane, timer);
        heap_remove(&remote->lane_timers, &lane->timer);
        tni_lane_connect(lane);
    }
    tni_remote_arm(remote);
}

void tni_remote_arm(struct remote *remote)
{
    if (remote->is_closed) return;
    const struct heap_entry *op = heap_first(&remote->op_timers);
    const struct heap_entry *lane = heap_first(&remote->lane_timers);
    int64_t earliest_ns = op == NULL ? INT64_MAX : op->key;
    if (lane != NULL && lane->key < earliest_ns) earliest_ns = lane->key;
    if (earliest_ns == INT64_MAX) {
        (void)uv_timer_stop(&remote->timer);
        return;
    }
    int64_t left_ns = earliest_ns - tni_store_now().ns;
    uint64_t left_ms = left_ns <= 0 ? 0 : (uint64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
    /* The loop's idea of now may be old. */
    uv_update_time(remote->loop);
    (void)uv_timer_start(&remote->timer, on_time, left_ms, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct remote *remote = prepare->data;
    free_dead(remote);
    while (remote->is_dirty) {
        remote->is_dirty = false;
        list_foreach_safe(each, following, &remote->lanes) {
            struct lane *lane = CONTAINER_OF(each, struct lane, lanes);
            if (!lane->is_dirty) continue;
            lane->is_dirty = false;
            if (lane->link != NULL) tni_link_flush(lane->link);
        }
    }
}

/* ------------------------------------------------------------------ starting */

/* A new lane, in which an operation may wait.  NULL: there is no memory. */
static struct lane *make_wait_lane(struct remote *remote)
{
    /* One timer for each lane there is, and the two that are always there. */
    uint32_t count = 2;
    list_foreach(each, &remote->lanes)
        count++;
    struct lane *lane = NULL;
    if (heap_reserve(&remote->lane_timers, count)) {
        lane = memory_take(remote->memory, sizeof(*lane));
    }
    if (lane != NULL) tni_lane_init(remote, lane, LANE_WAIT);
    return lane;
}

static struct lane *choose_lane(struct remote *remote, const struct store_op *op)
{
    struct mono wait_until;
    int64_t answer_ns;
    bool is_waiting = find_wait(op, &wait_until, &answer_ns) && wait_until.ns > op->started_at.ns;
    if (is_waiting) return make_wait_lane(remote);
    bool is_renewal = op->request.verb == STORE_RENEW || op->request.verb == STORE_EXTEND;
    return is_renewal && remote->is_keeping ? &remote->keep : &remote->main;
}

void tni_remote_wait(struct remote *remote, struct store_op *op)
{
    struct lane *lane = make_wait_lane(remote);
    if (lane == NULL) {
        tni_remote_give_up(remote, op, TENURE_NO_MEMORY, NULL);
        return;
    }
    op->phase = PHASE_WAIT;
    /* From now on for the connection to be made. */
    op->deadline = add(tni_store_now(), op->request.as.take.answer_ns);
    heap_move(&remote->op_timers, &op->timer, wake_at(op).ns);
    tni_lane_add(lane, op);
    tni_remote_arm(remote);
}

static void remote_start(struct store *store, struct store_op *op)
{
    struct remote *remote = remote_of(store);
    list_init(&op->link);
    op->timer.index = HEAP_INDEX_NONE;
    op->where = NULL;
    op->started_at = tni_store_now();
    op->sent_at = op->started_at; /* of a renewal this is what counts, however late it is sent */
    op->suspect_at = (struct mono){ INT64_MAX };
    if (op->request.patience_ns > 0) {
        op->suspect_at = add(op->started_at, op->request.patience_ns);
    }
    op->deadline = op->request.deadline;
    op->phase = PHASE_FIRST;
    op->is_started = true;
    op->is_finished = false;
    op->is_sent = false;
    op->is_sent_again = false;
    op->cursor[0] = '\0';
    op->position = 0;
    if (op->request.verb == STORE_LIST && op->request.as.list.after != NULL) {
        (void)snprintf(op->cursor, sizeof(op->cursor), "%s", op->request.as.list.after);
    }
    struct lane *lane = NULL;
    if (!remote->is_closed && heap_reserve(&remote->op_timers, 1)) lane = choose_lane(remote, op);
    if (lane == NULL) {
        enum tenure_err err = remote->is_closed ? TENURE_CANCELED : TENURE_NO_MEMORY;
        tni_remote_give_up(remote, op, err, NULL);
        return;
    }
    heap_insert(&remote->op_timers, &op->timer, wake_at(op).ns);
    tni_lane_add(lane, op);
    tni_remote_arm(remote);
}

static void remote_cancel(struct store *store, struct store_op *op)
{
    if (!op->is_started || op->is_finished) return;
    tni_remote_give_up(remote_of(store), op, TENURE_CANCELED, NULL);
}

/* ------------------------------------------------------------------ life */

void tni_remote_let_go(void *context)
{
    struct remote *remote = context;
    ASSERT(remote->open_count > 0);
    remote->open_count--;
    if (remote->open_count > 0 || !remote->is_closed) return;
    free_dead(remote);
    heap_deinit(&remote->op_timers);
    heap_deinit(&remote->lane_timers);
    buffer_deinit(&remote->items);
    buffer_deinit(&remote->others);
    memory_give(remote->memory, remote, sizeof(*remote));
}

static void on_closed(uv_handle_t *handle)
{
    tni_remote_let_go(handle->data);
}

static void abandon_all(struct remote *remote)
{
    const struct heap_entry *first;
    while ((first = heap_first(&remote->op_timers)) != NULL) {
        struct store_op *op = CONTAINER_OF(first->node, struct store_op, timer);
        tni_remote_give_up(remote, op, TENURE_CANCELED, NULL);
    }
    complete_ready(remote);
}

static void remote_close(struct store *store)
{
    struct remote *remote = remote_of(store);
    ASSERT(!remote->is_closed);
    remote->is_closed = true;
    tni_follow_stop_all(remote);
    abandon_all(remote);
    tni_lane_deinit(&remote->main);
    tni_lane_deinit(&remote->keep);
    uv_close((uv_handle_t *)&remote->timer, on_closed);
    uv_close((uv_handle_t *)&remote->flusher, on_closed);
    uv_close((uv_handle_t *)&remote->idle, on_closed);
}

static const struct store_ops remote_ops = {
    .start = remote_start,
    .cancel = remote_cancel,
    .watch = tni_follow_start,
    .unwatch = tni_follow_stop,
    .close = remote_close,
};

static void open_handles(struct remote *remote)
{
    /* These cannot fail. */
    (void)uv_timer_init(remote->loop, &remote->timer);
    (void)uv_prepare_init(remote->loop, &remote->flusher);
    (void)uv_idle_init(remote->loop, &remote->idle);
    remote->timer.data = remote;
    remote->flusher.data = remote;
    remote->idle.data = remote;
    remote->open_count = 3;
    (void)uv_prepare_start(&remote->flusher, on_prepare);
}

enum tenure_err tni_remote_open(
    const struct store_options *options, struct store **out_store, struct tenure_error *out_error)
{
    struct link_address address;
    enum tenure_err err = tni_remote_parse_url(options->url, &address, out_error);
    if (err != TENURE_OK) return err;
    struct remote *remote = memory_take(options->memory, sizeof(*remote));
    if (remote == NULL) return TENURE_NO_MEMORY;
    *remote =
        (struct remote){ .store = { .ops = &remote_ops,
                                    .safety =
                                        STORE_SAFETY_DURABLE_SINGLE, /* until the server says */
                                    .verbs = VERBS_ALL,
                                    .features = FEATURES_ALL,
                                    .ttl_ms_max = LIMIT_TTL_MS_MAX },
                         .loop = options->loop,
                         .memory = options->memory,
                         .address = address,
                         .random = options->seed };
    heap_init(&remote->op_timers, options->memory);
    heap_init(&remote->lane_timers, options->memory);
    if (!heap_reserve(&remote->lane_timers, 2)) {
        memory_give(options->memory, remote, sizeof(*remote));
        return TENURE_NO_MEMORY;
    }
    buffer_init(&remote->items, options->memory);
    buffer_init(&remote->others, options->memory);
    list_init(&remote->lanes);
    list_init(&remote->lanes_dead);
    list_init(&remote->ready);
    list_init(&remote->follows);
    tni_lane_init(remote, &remote->main, LANE_MAIN);
    tni_lane_init(remote, &remote->keep, LANE_KEEP);
    open_handles(remote);
    tni_lane_connect(&remote->main);
    *out_store = &remote->store;
    return TENURE_OK;
}
