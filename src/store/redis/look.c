/* What all nodes know of one lock: for who inspects it, for who was refused, for who lists. */
#include "store/redis/cluster.h"

/* Waiting longer for a slow node would tell little more. */
#define LOOK_NS (500 * NS_PER_MS)

/* Who only wants to know who is in the way waits for a majority, and for the others as long as
 * their pace lets expect an answer. */
static int64_t patience_ns(const struct redis_work *work)
{
    const struct redis *redis = work->redis;
    if (work->kind == WORK_LIST || work->purpose == LOOK_INSPECT) return LOOK_NS;
    int64_t longest_ns = 0;
    for (uint32_t node = 0; node < redis->node_count; node++) {
        int64_t timeout_ns = pace_timeout_ns(&redis->paces[node], LIMIT_TTL_MS_MAX);
        if (timeout_ns > longest_ns) longest_ns = timeout_ns;
    }
    return longest_ns < LOOK_NS ? longest_ns : LOOK_NS;
}

static const struct mono never = { INT64_MAX };

void tni_redis_start_inspect(struct redis *redis, struct store_op *op)
{
    const struct store_claim texts = { .name = op->request.as.inspect.name };
    if (!tni_redis_check_name(redis, op, texts.name)) return;
    if (tni_redis_work_create(redis, WORK_LOOK, op, &texts, NULL) == NULL) {
        tni_redis_end_soon(redis, op, TENURE_NO_MEMORY, NULL);
    }
}

void tni_redis_look_for_obstacle(struct redis_work *work, enum tenure_err err)
{
    struct store_op *op = work->op;
    const struct store_claim texts = { .name = tni_redis_work_name(work) };
    struct redis_work *look = tni_redis_work_create(work->redis, WORK_LOOK, op, &texts, NULL);
    if (look == NULL) {
        tni_redis_work_fail(work, err, NULL);
        return;
    }
    look->purpose = LOOK_OBSTACLE;
    look->err_kept = err;
    look->give_up_at = never; /* the look has a limit of its own */
    tni_redis_work_set_deadline(look, never);
    work->op = NULL;
    work->give_up_at = never;
}

/* ------------------------------------------------------------------ the end of a look */

static uint32_t count_answers(const struct redis_work *work)
{
    uint32_t count = 0;
    for (uint32_t node = 0; node < work->redis->node_count; node++) {
        count += work->as.look.sights[node].is_answered;
    }
    return count;
}

enum tenure_err
tni_redis_look_result(struct redis_work *work, const char *name, struct store_lock_view *out_view)
{
    bool is_enough = count_answers(work) >= quorum_majority(work->redis->node_count);
    if (is_enough) return tni_redis_view(work, name, out_view);
    /* Where the nodes have something against the name it is no lock. */
    return work->trouble != NULL ? TENURE_NOT_FOUND : TENURE_UNAVAILABLE;
}

static void tell_obstacle(struct redis_work *work)
{
    struct store_lock_view view;
    struct store_result result = { .err = work->err_kept };
    enum tenure_err err = tni_redis_view(work, tni_redis_work_name(work), &view);
    if (err == TENURE_OK) result.as.acquire.obstacle = &view;
    tni_redis_work_finish(work, &result);
    tni_redis_work_end(work);
}

static void tell_inspect(struct redis_work *work)
{
    struct store_lock_view view;
    struct store_result result = { 0 };
    bool is_enough = count_answers(work) >= quorum_majority(work->redis->node_count);
    if (!is_enough && !tni_redis_try_again(work)) {
        enum tenure_err err = work->trouble != NULL ? work->trouble->err : TENURE_UNAVAILABLE;
        tni_redis_work_fail(work, err, work->trouble != NULL ? work->trouble->text : NULL);
    } else if (is_enough) {
        result.err = tni_redis_view(work, tni_redis_work_name(work), &view);
        if (result.err == TENURE_OK) result.as.inspect = &view;
        tni_redis_work_finish(work, &result);
    }
    tni_redis_work_end(work);
}

/* The ttl of the hold as a node remembers it; then it is an ordinary renewal. */
static void go_on_renewing(struct redis_work *work)
{
    uint32_t ttl_ms = 0;
    for (uint32_t node = 0; node < work->redis->node_count; node++) {
        const struct redis_sight *seen = &work->as.look.sights[node];
        bool is_ours = seen->is_answered && seen->sight.token == work->token;
        if (is_ours && seen->sight.ttl_ms > ttl_ms) ttl_ms = seen->sight.ttl_ms;
    }
    bool is_enough = count_answers(work) >= quorum_majority(work->redis->node_count);
    if (!is_enough) {
        if (!tni_redis_try_again(work)) tni_redis_work_fail(work, TENURE_UNAVAILABLE, NULL);
        tni_redis_work_end(work);
        return;
    }
    /* Where nobody has it, the renewal will tell how it ended. */
    work->kind = WORK_RENEWAL;
    work->ttl_ms = ttl_ms == 0 ? LIMIT_TTL_MS_MIN : ttl_ms;
    tni_redis_hold_begin(work, tni_store_now());
}

static void conclude(struct redis_work *work)
{
    work->as.look.until = never;
    tni_redis_work_set_deadline(work, never);
    if (work->kind == WORK_LIST) {
        tni_redis_list_seen(work);
        return;
    }
    switch (work->purpose) {
    case LOOK_INSPECT: tell_inspect(work); break;
    case LOOK_OBSTACLE: tell_obstacle(work); break;
    case LOOK_TTL: go_on_renewing(work); break;
    }
}

/* ------------------------------------------------------------------ asking */

bool tni_redis_look_name(
    const struct redis_work *work, const struct quorum_call *call, struct bytes *out_name)
{
    bool is_looking = work->kind == WORK_LOOK || work->kind == WORK_LIST;
    if (!is_looking || call->serial != work->as.look.serial) return false;
    *out_name = (struct bytes){ tni_redis_work_name(work), work->name_size };
    if (work->kind == WORK_LIST) {
        const char *const *order = (const void *)work->scan.order.data;
        *out_name = bytes_from_text(order[work->scan.name_index]);
    }
    return true;
}

void tni_redis_look_begin(struct redis_work *work, struct bytes name)
{
    struct redis *redis = work->redis;
    struct redis_look *look = &work->as.look;
    look->open_count = 0;
    work->trouble = NULL;
    work->troubled = 0;
    look->serial++; /* an answer to the look before is none to this one */
    look->begun_at = tni_store_now();
    look->until = quorum_later(look->begun_at, patience_ns(work));
    work->texts.size = work->name_size + work->owner_size + work->meta_size + 3;
    struct quorum_call call = { .verb = QUORUM_INSPECT,
                                .serial = look->serial,
                                .count = REDIS_WAITER_COUNT_MAX };
    bool is_name = quorum_name_is_free(name);
    if (is_name) {
        tni_redis_command_write(&redis->command, &call, &(struct quorum_texts){ .name = name });
    }
    for (uint32_t node = 0; node < redis->node_count; node++) {
        struct redis_sight *seen = &look->sights[node];
        const struct bytes no_pass = { "", 0 };
        call.node = node;
        seen->is_answered = false;
        seen->is_open =
            is_name && tni_redis_node_is_up(&redis->nodes[node]) &&
            tni_redis_node_call(&redis->nodes[node], work, &call, no_pass, look->begun_at);
        look->open_count += seen->is_open;
    }
    /* Not from in here: whoever starts a look is not done with the work yet. */
    if (look->open_count == 0) look->until = tni_store_now();
    tni_redis_work_set_deadline(work, look->until);
}

/* Keep a text that was answered. */
static size_t keep(struct redis_work *work, struct bytes text)
{
    size_t at = work->texts.size;
    buffer_append_bytes(&work->texts, text);
    buffer_append_byte(&work->texts, '\0');
    return at;
}

/* A holder keeps its place in the line until it releases; it does not wait. */
static void keep_waiters(
    struct redis_work *work,
    struct redis_sight *seen,
    const struct quorum_value *values,
    size_t count)
{
    seen->waiters_here = 0;
    seen->waiters_at = work->texts.size;
    for (size_t index = QUORUM_SIGHT_SIZE; index + 1 < count; index += 2) {
        if (seen->waiters_here == REDIS_WAITER_COUNT_MAX || !values[index + 1].is_integer) break;
        if (bytes_equal(values[index].text, seen->sight.owner)) {
            if (seen->sight.waiter_count > 0) seen->sight.waiter_count--;
            continue;
        }
        (void)keep(work, values[index].text);
        seen->tickets[seen->waiters_here++] = (uint64_t)values[index + 1].integer;
    }
}

static struct redis_sight *close_sight(struct redis_work *work, uint32_t node, uint32_t serial)
{
    struct redis_sight *seen = &work->as.look.sights[node];
    bool is_looking = work->kind == WORK_LOOK || work->kind == WORK_LIST;
    if (!is_looking || serial != work->as.look.serial || !seen->is_open) return NULL;
    seen->is_open = false;
    work->as.look.open_count--;
    return seen;
}

void tni_redis_look_answer(
    struct redis_work *work,
    const struct quorum_call *call,
    const struct quorum_value *values,
    size_t count)
{
    struct redis_sight *seen = close_sight(work, call->node, call->serial);
    if (seen == NULL) return;
    seen->is_answered = quorum_sight_read(values, count, &seen->sight);
    if (seen->is_answered) {
        seen->owner_at = keep(work, seen->sight.owner);
        seen->meta_at = keep(work, seen->sight.meta);
        keep_waiters(work, seen, values, count);
    }
    if (work->as.look.open_count == 0) conclude(work);
}

void tni_redis_look_refused(struct redis_work *work, const struct quorum_call *call)
{
    if (close_sight(work, call->node, call->serial) == NULL) return;
    if (work->as.look.open_count == 0) conclude(work);
}

void tni_redis_look_on_time(struct redis_work *work, struct mono now)
{
    struct redis_look *look = &work->as.look;
    if (!work->is_begun || now.ns < look->until.ns) return;
    struct mono end = quorum_later(look->begun_at, LOOK_NS);
    bool is_enough = count_answers(work) >= quorum_majority(work->redis->node_count);
    if (!is_enough && look->open_count > 0 && now.ns < end.ns) {
        look->until = end;
        tni_redis_work_set_deadline(work, end);
        return;
    }
    for (uint32_t node = 0; node < work->redis->node_count; node++) {
        (void)close_sight(work, node, work->as.look.serial);
    }
    conclude(work);
}
