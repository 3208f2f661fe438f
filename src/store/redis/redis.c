#include "store/redis/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/redis/cluster.h"

#define VERBS                                                                                      \
    (1u << STORE_ACQUIRE | 1u << STORE_RENEW | 1u << STORE_RELEASE | 1u << STORE_BREAK |           \
     1u << STORE_INSPECT | 1u << STORE_LIST | 1u << STORE_PROCLAIM | 1u << STORE_INFO)

/* Fences of names that nobody has used for a day are forgotten, a few at a time. */
#define SWEEP_AGE_US UINT64_C(86400000000)
#define SWEEP_COUNT  100u
#define SWEEP_NS     (60 * NS_PER_S)

static const struct mono never = { INT64_MAX };

static struct redis *redis_of(struct store *store)
{
    return CONTAINER_OF(store, struct redis, store);
}

uint64_t tni_redis_random(struct redis *redis)
{
    /* SplitMix64: it only has to be different in different clients. */
    uint64_t word = redis->random += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* ------------------------------------------------------------------ time */

/* A few old fences of each node, now and then: all clients do this, each a little. */
static void sweep(struct redis *redis, struct mono now)
{
    for (uint32_t index = 0; index < redis->node_count; index++) {
        struct redis_node *node = &redis->nodes[index];
        bool is_voting = quorum_admission_standing(&redis->admission, index) == QUORUM_VOTING;
        if (!is_voting || now.ns < node->sweep_at.ns) continue;
        bool is_first = node->sweep_at.ns == 0;
        int64_t pause_ns = SWEEP_NS + (int64_t)(tni_redis_random(redis) % (uint64_t)SWEEP_NS);
        node->sweep_at = quorum_later(now, pause_ns);
        if (is_first) continue; /* many clients do not live for that long */
        const struct quorum_call call = { .verb = QUORUM_SWEEP,
                                          .node = index,
                                          .token = SWEEP_AGE_US,
                                          .ticket = node->sweep_cursor,
                                          .count = SWEEP_COUNT };
        char pass[QUORUM_PASS_SIZE_MAX];
        size_t size = quorum_admission_pass(&redis->admission, index, pass);
        tni_redis_command_write(&redis->command, &call, &(struct quorum_texts){ 0 });
        (void)!tni_redis_node_call(node, NULL, &call, (struct bytes){ pass, size }, now);
    }
}

static struct mono next_deadline(const struct redis *redis)
{
    struct mono next = quorum_earliest(redis->admission_at, redis->news_at);
    const struct heap_entry *first = heap_first(&redis->timers);
    if (first != NULL) next = quorum_earliest(next, (struct mono){ first->key });
    for (uint32_t index = 0; index < redis->node_count; index++) {
        next = quorum_earliest(next, tni_redis_node_deadline(&redis->nodes[index]));
    }
    if (redis->sentinel != NULL) {
        next = quorum_earliest(next, tni_redis_sentinel_deadline(redis->sentinel));
    }
    bool is_unsettled = !list_is_empty(&redis->unready) && !tni_redis_is_settled(redis);
    if (is_unsettled) next = quorum_earliest(next, quorum_later(tni_store_now(), 20 * NS_PER_MS));
    return next;
}

static void on_time(uv_timer_t *timer)
{
    struct redis *redis = timer->data;
    struct mono now = tni_store_now();
    redis->armed_at = never;
    for (uint32_t index = 0; index < redis->node_count && !redis->is_closed; index++) {
        tni_redis_node_on_time(&redis->nodes[index], now); /* whoever is told of it may close */
    }
    if (redis->is_closed) return;
    if (redis->sentinel != NULL) tni_redis_sentinel_on_time(redis->sentinel, now);
    if (now.ns >= redis->admission_at.ns) {
        struct quorum_admission_event event = { .kind = QUORUM_NODE_TIME };
        tni_redis_admission_step(redis, &event);
    }
    const struct heap_entry *first;
    while ((first = heap_first(&redis->timers)) != NULL && first->key <= now.ns) {
        tni_redis_work_on_time(CONTAINER_OF(first->node, struct redis_work, timer), now);
    }
    tni_redis_news_on_time(redis, now);
    sweep(redis, now);
}

/* Before the loop sleeps.  A timer that is set for something that is no longer due is left alone:
 * it comes for nothing, once. */
static void set_timer(struct redis *redis)
{
    struct mono next = next_deadline(redis);
    if (next.ns >= redis->armed_at.ns) return;
    redis->armed_at = next;
    int64_t left_ns = next.ns - tni_store_now().ns;
    uint64_t left_ms = left_ns <= 0 ? 0 : (uint64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
    /* The loop's idea of now may be old. */
    uv_update_time(redis->loop);
    (void)uv_timer_start(&redis->timer, on_time, left_ms, 0);
}

/* ------------------------------------------------------------------ before the loop sleeps */

void tni_redis_touch(struct redis *redis)
{
    redis->is_dirty = true;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* it only keeps the loop from sleeping */
}

void tni_redis_stay_awake(struct redis *redis)
{
    if (!redis->is_closed) (void)uv_idle_start(&redis->idle, on_idle);
}

void tni_redis_end_soon(
    struct redis *redis, struct store_op *op, enum tenure_err err, const char *text)
{
    op->where = NULL;
    op->err_kept = err;
    op->has_text = text != NULL;
    if (text != NULL) (void)snprintf(op->text, sizeof(op->text), "%s", text);
    list_append(&redis->done, &op->link);
    tni_redis_stay_awake(redis);
}

/* What is there now; what comes meanwhile waits for the next time. */
static void move_all(struct list *from, struct list *to)
{
    struct list *first;
    while ((first = list_first(from)) != NULL) {
        list_remove(first);
        list_append(to, first);
    }
}

/* Closing inside of it comes here again, and ends them all. */
static void end_done(struct redis *redis)
{
    struct list *first;
    move_all(&redis->done, &redis->ending);
    while ((first = list_first(&redis->ending)) != NULL) {
        struct store_op *op = CONTAINER_OF(first, struct store_op, link);
        list_remove(&op->link);
        const struct store_result result = { .err = op->err_kept,
                                             .text = op->has_text ? op->text : NULL,
                                             .sent_at = op->sent_at };
        op->is_finished = true;
        op->done(op, &result);
    }
}

/* What begins together begins at the same time: none believes that it began later than it did. */
static void run_all(struct list *which)
{
    if (list_is_empty(which)) return;
    struct mono now = tni_store_now();
    struct list batch;
    struct list *first;
    list_init(&batch);
    move_all(which, &batch);
    while ((first = list_first(&batch)) != NULL) {
        struct redis_work *work = CONTAINER_OF(first, struct redis_work, due);
        list_remove(&work->due);
        tni_redis_work_run(work, now);
    }
}

static void flush(struct redis *redis)
{
    while (redis->is_dirty) {
        redis->is_dirty = false;
        for (uint32_t index = 0; index < redis->node_count; index++) {
            struct redis_node *node = &redis->nodes[index];
            if (!node->is_dirty) continue;
            node->is_dirty = false;
            if (node->link != NULL) tni_link_flush(node->link);
        }
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct redis *redis = prepare->data;
    (void)uv_idle_stop(&redis->idle);
    end_done(redis);
    run_all(&redis->unready);
    run_all(&redis->due);
    tni_redis_news_begin(redis);
    flush(redis);
    set_timer(redis);
}

/* ------------------------------------------------------------------ operations */

static void start_unsupported(struct redis *redis, struct store_op *op)
{
    tni_redis_end_soon(
        redis,
        op,
        TENURE_UNSUPPORTED,
        "Redis cannot do that; tenured's own engine can (tenure://)");
}

static void redis_start(struct store *store, struct store_op *op)
{
    struct redis *redis = redis_of(store);
    list_init(&op->link);
    op->where = NULL;
    op->started_at = tni_store_now();
    op->sent_at = op->started_at;
    op->is_started = true;
    op->is_finished = false;
    if (redis->is_closed) { /* by one that is told that it is canceled */
        tni_redis_end_soon(redis, op, TENURE_CANCELED, NULL);
        return;
    }
    switch (op->request.verb) {
    case STORE_ACQUIRE: tni_redis_start_acquire(redis, op); break;
    case STORE_RENEW: tni_redis_start_renew(redis, op); break;
    case STORE_RELEASE: tni_redis_start_release(redis, op); break;
    case STORE_BREAK: tni_redis_start_break(redis, op); break;
    case STORE_INSPECT: tni_redis_start_inspect(redis, op); break;
    case STORE_LIST: tni_redis_start_list(redis, op); break;
    case STORE_INFO: tni_redis_start_info(redis, op); break;
    case STORE_PROCLAIM: tni_redis_start_proclaim(redis, op); break;
    case STORE_HISTORY:
    case STORE_TRANSFER:
    case STORE_PUT:
    case STORE_TAKE:
    case STORE_EXTEND:
    case STORE_FINISH:
    case STORE_ITEM:
    case STORE_ITEMS:
    case STORE_QUEUE:
    case STORE_QUEUES:
    case STORE_AWAIT:
    case STORE_ITEM_CANCEL:
    case STORE_ITEM_KICK:
    case STORE_SWEEP:
    case STORE_SCOPE:
    case STORE_TRANSACT:
    case STORE_REGISTERS:
    case STORE_REGISTER_WAIT:
    case STORE_RANK:
    case STORE_PUBLISH: start_unsupported(redis, op); break;
    }
}

/* Behind an operation is a renewal of several claims, or one work, or nothing any more. */
static void detach(struct store_op *op)
{
    if (op->where == NULL) return;
    if (op->request.verb == STORE_RENEW) {
        struct redis_renewing *renewing = op->where;
        op->where = NULL;
        tni_redis_renewing_abandon(renewing);
    } else {
        struct redis_work *work = op->where;
        op->where = NULL;
        tni_redis_work_abandon(work);
    }
}

static void redis_cancel(struct store *store, struct store_op *op)
{
    struct redis *redis = redis_of(store);
    bool is_ending = op->where == NULL; /* it is done with its own result, soon */
    if (!op->is_started || op->is_finished || is_ending) return;
    detach(op);
    tni_redis_end_soon(redis, op, TENURE_CANCELED, NULL);
}

/* ------------------------------------------------------------------ life */

static void free_works(struct redis *redis)
{
    struct list *first;
    while ((first = list_first(&redis->spare)) != NULL) {
        struct redis_work *work = CONTAINER_OF(first, struct redis_work, link);
        list_remove(&work->link);
        buffer_deinit(&work->texts);
        buffer_deinit(&work->scan.pattern);
        buffer_deinit(&work->scan.names);
        buffer_deinit(&work->scan.order);
        memory_give(redis->memory, work, sizeof(*work));
    }
}

static void destroy(struct redis *redis)
{
    free_works(redis);
    heap_deinit(&redis->timers);
    map_deinit(&redis->owners);
    buffer_deinit(&redis->command.text);
    buffer_deinit(&redis->values);
    buffer_deinit(&redis->view);
    tni_redis_address_wipe(&redis->address);
    tls_destroy(&redis->tls);
    memory_give(redis->memory, redis, sizeof(*redis));
}

void tni_redis_let_go(void *context)
{
    struct redis *redis = context;
    ASSERT(redis->open_count > 0);
    redis->open_count--;
    if (redis->open_count == 0 && redis->is_closed) destroy(redis);
}

static void on_closed(uv_handle_t *handle)
{
    tni_redis_let_go(handle->data);
}

/* Acquires that are under way give back what they may have; the last of it is sent. */
static void abandon_all(struct redis *redis)
{
    const struct heap_entry *first;
    list_foreach_safe(each, following, &redis->works) {
        struct redis_work *work = CONTAINER_OF(each, struct redis_work, link);
        struct store_op *op = work->renewing != NULL ? work->renewing->op : work->op;
        if (op == NULL) continue;
        detach(op);
        tni_redis_end_soon(redis, op, TENURE_CANCELED, NULL);
        following = list_first(&redis->works) == NULL ? &redis->works : redis->works.next;
    }
    flush(redis);
    while (!list_is_empty(&redis->done) || !list_is_empty(&redis->ending)) {
        end_done(redis);
    }
    while ((first = heap_first(&redis->timers)) != NULL) {
        struct redis_work *work = CONTAINER_OF(first->node, struct redis_work, timer);
        work->op = NULL;
        tni_redis_work_end(work);
    }
}

static void redis_close(struct store *store)
{
    struct redis *redis = redis_of(store);
    ASSERT(!redis->is_closed);
    redis->is_closed = true;
    tni_redis_unwatch_all(redis);
    abandon_all(redis);
    tni_redis_sentinel_destroy(&redis->sentinel);
    for (uint32_t index = 0; index < redis->node_count; index++) {
        tni_redis_node_deinit(&redis->nodes[index]);
    }
    uv_close((uv_handle_t *)&redis->timer, on_closed);
    uv_close((uv_handle_t *)&redis->prepare, on_closed);
    uv_close((uv_handle_t *)&redis->idle, on_closed);
}

static const struct store_ops redis_ops = {
    .start = redis_start,
    .cancel = redis_cancel,
    .watch = tni_redis_watch,
    .unwatch = tni_redis_unwatch,
    .close = redis_close,
};

static int compare_nodes(const void *left, const void *right)
{
    const struct link_address *const *left_node = left;
    const struct link_address *const *right_node = right;
    int order = strcmp((*left_node)->host, (*right_node)->host);
    if (order == 0) order = strcmp((*left_node)->port, (*right_node)->port);
    return order == 0 ? strcmp((*left_node)->path, (*right_node)->path) : order;
}

static uint64_t mix(uint64_t hash, const char *text)
{
    /* FNV-1a (Fowler, Noll, Vo), the end of the text with it. */
    for (;; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
        if (*text == '\0') return hash;
    }
}

/* What all clients must agree on: how many nodes, how long a lease may be, and which nodes.  One
 * node may be known by many addresses. */
static void write_config(struct redis *redis)
{
    const struct link_address *nodes[QUORUM_NODE_COUNT_MAX] = { NULL };
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t index = 0; index < redis->node_count; index++) {
        nodes[index] = &redis->address.nodes[index];
    }
    qsort(nodes, redis->node_count, sizeof(nodes[0]), compare_nodes);
    for (uint32_t index = 0; index < redis->node_count; index++) {
        bool is_local = strcmp(nodes[index]->host, "localhost") == 0;
        hash = mix(hash, is_local ? "127.0.0.1" : nodes[index]->host);
        hash = mix(hash, nodes[index]->port);
        hash = mix(hash, nodes[index]->path);
    }
    (void)snprintf(
        redis->config,
        sizeof(redis->config),
        "1:nodes=%u:ttl-max=%u:%016" PRIx64,
        (unsigned)redis->node_count,
        (unsigned)redis->address.ttl_ms_max,
        redis->node_count == 1 ? 0 : hash);
}

static void open_handles(struct redis *redis)
{
    /* These cannot fail. */
    (void)uv_timer_init(redis->loop, &redis->timer);
    (void)uv_prepare_init(redis->loop, &redis->prepare);
    (void)uv_idle_init(redis->loop, &redis->idle);
    redis->timer.data = redis;
    redis->prepare.data = redis;
    redis->idle.data = redis;
    redis->open_count = 3;
    (void)uv_prepare_start(&redis->prepare, on_prepare);
}

static void init(struct redis *redis, const struct store_options *options)
{
    const struct redis_address address = redis->address;
    *redis = (struct redis){
        .store = { .ops = &redis_ops,
                   .safety = STORE_SAFETY_VOLATILE,
                   .verbs = VERBS,
                   .ttl_ms_max = address.ttl_ms_max },
        .loop = options->loop,
        .memory = options->memory,
        .address = address,
        .random = options->seed,
        .opened_at = tni_store_now(),
        .node_count = address.is_sentinel ? 1 : address.count,
        .admission_at = never,
        .armed_at = never,
        .news_at = never,
    };
    (void)snprintf(
        redis->channel, sizeof(redis->channel), "tenure:wake:%016" PRIx64, tni_redis_random(redis));
    heap_init(&redis->timers, options->memory);
    map_init(&redis->owners, options->memory);
    buffer_init(&redis->command.text, options->memory);
    buffer_init(&redis->values, options->memory);
    buffer_init(&redis->view, options->memory);
    list_init(&redis->works);
    list_init(&redis->lingering);
    list_init(&redis->spare);
    list_init(&redis->due);
    list_init(&redis->unready);
    list_init(&redis->done);
    list_init(&redis->ending);
    list_init(&redis->watches);
    list_init(&redis->telling);
    write_config(redis);
}

static void init_nodes(struct redis *redis)
{
    const struct quorum_admission_options admission = {
        .node_count = redis->node_count,
        .ttl_ms_max = redis->address.ttl_ms_max,
        .clock_error_ppm = REDIS_CLOCK_ERROR_PPM,
        .config = bytes_from_text(redis->config),
        .is_new = redis->address.is_new,
    };
    quorum_admission_init(&redis->admission, &admission);
    for (uint32_t index = 0; index < redis->node_count; index++) {
        pace_init(&redis->paces[index]);
        tni_redis_node_init(redis, &redis->nodes[index], index);
    }
    if (redis->node_count > 1) redis->store.safety = STORE_SAFETY_QUORUM;
}

static enum tenure_err open_parts(struct redis *redis, struct tenure_error *out_error)
{
    if (redis->address.is_tls) {
        const struct tls_options tls = {
            .memory = redis->memory,
            .ca_file = redis->address.ca_file,
            .cert_file = redis->address.cert_file,
            .key_file = redis->address.key_file,
        };
        enum tenure_err err = tls_create(&tls, &redis->tls, out_error);
        if (err != TENURE_OK) return err;
    }
    init_nodes(redis);
    if (!redis->address.is_sentinel) return TENURE_OK;
    redis->sentinel = tni_redis_sentinel_create(redis);
    return redis->sentinel == NULL ? TENURE_NO_MEMORY : TENURE_OK;
}

enum tenure_err tni_redis_open(
    const struct store_options *options, struct store **out_store, struct tenure_error *out_error)
{
    struct redis *redis = memory_take(options->memory, sizeof(*redis));
    if (redis == NULL) return TENURE_NO_MEMORY;
    enum tenure_err err = tni_redis_parse_url(options->url, &redis->address, out_error);
    if (err != TENURE_OK) {
        memory_give(options->memory, redis, sizeof(*redis));
        return err;
    }
    init(redis, options);
    err = open_parts(redis, out_error);
    if (err != TENURE_OK) {
        destroy(redis);
        return err;
    }
    open_handles(redis);
    *out_store = &redis->store;
    return TENURE_OK;
}
