/* Works are taken from a pool and given back to it: in the steady state nothing is allocated, and
 * an answer that comes late finds a struct, with another number of use, instead of freed memory. */
#include <stdio.h>
#include <time.h>

#include "store/redis/cluster.h"

/* Works that only clean up behind operations that are done, while a node is away.  What the oldest
 * would still have said to that node, its ttl says too. */
#define LINGERING_COUNT_MAX 2048u

/* What came to nothing is tried again after so long, up to twice that. */
#define AGAIN_NS (10 * NS_PER_MS)

static const struct mono never = { INT64_MAX };

/* FNV-1a (Fowler, Noll, Vo): the owners are our own. */
static uint32_t hash(struct bytes text)
{
    uint32_t value = UINT32_C(0x811c9dc5);
    ASSERT(text.data != NULL || text.size == 0);
    for (size_t index = 0; index < text.size; index++) {
        value ^= (unsigned char)text.data[index];
        value *= UINT32_C(0x01000193);
    }
    return value;
}

/* ------------------------------------------------------------------ texts */

const char *tni_redis_work_name(const struct redis_work *work)
{
    return work->texts.data;
}

const char *tni_redis_work_owner(const struct redis_work *work)
{
    return work->texts.data + work->name_size + 1;
}

const char *tni_redis_work_meta(const struct redis_work *work)
{
    return tni_redis_work_owner(work) + work->owner_size + 1;
}

struct quorum_texts tni_redis_work_texts(const struct redis_work *work)
{
    return (struct quorum_texts){
        .name = { tni_redis_work_name(work), work->name_size },
        .owner = { tni_redis_work_owner(work), work->owner_size },
        .meta = { tni_redis_work_meta(work), work->meta_size },
        .channel = bytes_from_text(work->redis->channel),
    };
}

static size_t add_text(struct redis_work *work, const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text);
    buffer_append(&work->texts, text, size);
    buffer_append_byte(&work->texts, '\0');
    return size;
}

/* ------------------------------------------------------------------ the pool */

static struct redis_work *take(struct redis *redis)
{
    struct list *first = list_first(&redis->spare);
    if (first != NULL) {
        struct redis_work *work = CONTAINER_OF(first, struct redis_work, link);
        list_remove(&work->link);
        return work;
    }
    struct redis_work *work = memory_take(redis->memory, sizeof(*work));
    if (work == NULL) return NULL;
    *work = (struct redis_work){ .redis = redis };
    list_init(&work->link);
    list_init(&work->due);
    work->timer.index = HEAP_INDEX_NONE;
    buffer_init(&work->texts, redis->memory);
    buffer_init(&work->scan.pattern, redis->memory);
    buffer_init(&work->scan.names, redis->memory);
    buffer_init(&work->scan.order, redis->memory);
    return work;
}

/* The last that was given is the first that is taken: it may still be in the processor's cache. */
static void give(struct redis_work *work)
{
    work->use++;
    list_insert_before(work->redis->spare.next, &work->link);
}

static bool is_owner(const struct map_node *node, const void *key)
{
    const struct redis_work *work = CONTAINER_OF_CONST(node, struct redis_work, by_owner);
    const struct quorum_wake *wake = key;
    struct bytes name = { tni_redis_work_name(work), work->name_size };
    struct bytes owner = { tni_redis_work_owner(work), work->owner_size };
    return bytes_equal(owner, wake->owner) && bytes_equal(name, wake->name);
}

struct redis_work *tni_redis_work_create(
    struct redis *redis,
    enum redis_work_kind kind,
    struct store_op *op,
    const struct store_claim *texts,
    const char *meta)
{
    struct redis_work *work = take(redis);
    if (work == NULL) return NULL;
    buffer_reset(&work->texts);
    work->name_size = add_text(work, texts->name);
    work->owner_size = add_text(work, texts->owner);
    work->meta_size = add_text(work, meta);
    bool is_ready = !work->texts.is_failed && heap_reserve(&redis->timers, 1);
    if (is_ready && kind == WORK_ACQUIRE) is_ready = map_reserve(&redis->owners);
    if (!is_ready) {
        give(work);
        return NULL;
    }
    work->use++;
    work->kind = kind;
    work->op = op;
    work->renewing = NULL;
    work->claim_index = 0;
    work->purpose = LOOK_INSPECT;
    work->is_begun = false;
    work->is_canceled = false;
    work->failing = 0;
    memset(&work->as, 0, kind == WORK_LOOK || kind == WORK_LIST ? sizeof(work->as.look) : 0);
    work->ttl_ms = 0;
    work->token = texts->token;
    work->begin_at = (struct mono){ 0 };
    work->deadline_of_step = never;
    work->give_up_at = op == NULL ? never : op->request.deadline;
    work->err_kept = TENURE_OK;
    work->owner_err = TENURE_OK;
    work->trouble = NULL;
    work->troubled = 0;
    work->is_mapped = kind == WORK_ACQUIRE;
    if (work->is_mapped) {
        struct bytes owner = { tni_redis_work_owner(work), work->owner_size };
        map_insert(&redis->owners, &work->by_owner, hash(owner));
    }
    heap_insert(&redis->timers, &work->timer, work->give_up_at.ns);
    list_append(&redis->works, &work->link);
    if (op != NULL) op->where = work;
    tni_redis_work_due(work);
    return work;
}

void tni_redis_work_end(struct redis_work *work)
{
    struct redis *redis = work->redis;
    ASSERT(work->op == NULL && work->renewing == NULL);
    if (work->is_mapped) map_remove(&redis->owners, &work->by_owner);
    if (work->is_canceled) redis->lingering_count--;
    work->is_mapped = false;
    work->is_canceled = false;
    heap_remove(&redis->timers, &work->timer);
    list_remove(&work->link);
    list_remove(&work->due);
    if (work->kind == WORK_LIST) { /* it may have been a million names */
        buffer_deinit(&work->scan.names);
        buffer_deinit(&work->scan.order);
        buffer_init(&work->scan.names, redis->memory);
        buffer_init(&work->scan.order, redis->memory);
    }
    give(work);
}

void tni_redis_work_due(struct redis_work *work)
{
    list_remove(&work->due);
    list_append(&work->redis->due, &work->due);
    tni_redis_stay_awake(work->redis);
}

/* Nobody waits for it any more, but it is not over. */
static void linger(struct redis_work *work)
{
    struct redis *redis = work->redis;
    if (work->is_canceled) return;
    work->is_canceled = true;
    list_remove(&work->link);
    list_append(&redis->lingering, &work->link);
    redis->lingering_count++;
    if (redis->lingering_count <= LINGERING_COUNT_MAX) return;
    struct redis_work *oldest =
        CONTAINER_OF(list_first(&redis->lingering), struct redis_work, link);
    if (oldest != work) tni_redis_work_end(oldest);
}

/* ------------------------------------------------------------------ results */

void tni_redis_work_finish(struct redis_work *work, const struct store_result *result)
{
    struct store_op *op = work->op;
    ASSERT(op != NULL && !op->is_finished);
    work->op = NULL;
    work->give_up_at = never;
    op->where = NULL;
    op->is_finished = true;
    op->done(op, result);
}

void tni_redis_work_fail(struct redis_work *work, enum tenure_err err, const char *text)
{
    char explanation[200];
    bool is_open = err == TENURE_UNAVAILABLE || err == TENURE_UNKNOWN;
    if (text == NULL && is_open) {
        enum tenure_err said = tni_redis_complaint(work->redis, explanation, sizeof(explanation));
        /* What may have happened stays open, whatever the nodes say now. */
        if (said != TENURE_OK && err == TENURE_UNAVAILABLE) err = said;
        if (said == TENURE_OK) tni_redis_explain(work->redis, explanation, sizeof(explanation));
        text = explanation;
    }
    if (work->renewing != NULL) {
        const struct store_renewal renewal = { .err = err };
        tni_redis_renewed(work, &renewal, text);
    } else if (work->op != NULL) {
        const struct store_result result = { .err = err, .text = text };
        tni_redis_work_finish(work, &result);
    }
}

/* ------------------------------------------------------------------ stepping */

/* When an event happened.  A clock costs as much as a step does: answers that were read together
 * came at the same time, and the wall clock is read once for them.  Time never goes back. */
static void set_time(struct redis *redis, struct quorum_event *event)
{
    if (event->now.ns == 0) event->now = tni_store_now();
    if (event->now.ns > redis->now.ns) {
        struct timespec time = { 0 };
        (void)clock_gettime(CLOCK_REALTIME, &time);
        redis->now = event->now;
        redis->wall = (struct wall){ time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000 };
    }
    event->now = redis->now;
    event->wall = redis->wall;
}

void tni_redis_work_set_deadline(struct redis_work *work, struct mono deadline)
{
    struct redis *redis = work->redis;
    work->deadline_of_step = deadline;
    heap_move(&redis->timers, &work->timer, quorum_earliest(deadline, work->give_up_at).ns);
}

static void send_call(struct redis_work *work, const struct quorum_call *call, struct mono now)
{
    struct redis *redis = work->redis;
    struct redis_node *node = &redis->nodes[call->node];
    if (tni_redis_node_is_up(node)) {
        char pass[QUORUM_PASS_SIZE_MAX];
        size_t pass_size = quorum_admission_pass(&redis->admission, call->node, pass);
        if (tni_redis_node_call(node, work, call, (struct bytes){ pass, pass_size }, now)) return;
    }
    work->failing |= 1u << call->node;
    work->failing_serials[call->node] = call->serial;
}

/* Mostly all nodes are asked the same. */
static void send_calls(struct redis_work *work, const struct quorum_update *update, struct mono now)
{
    if (update->call_count == 0) return;
    struct quorum_texts texts = tni_redis_work_texts(work);
    for (uint32_t index = 0; index < update->call_count; index++) {
        const struct quorum_call *call = &update->calls[index];
        bool is_written = index > 0 && quorum_call_is_same(call, call - 1);
        if (!is_written) tni_redis_command_write(&work->redis->command, call, &texts);
        send_call(work, call, now);
    }
}

void tni_redis_work_step(struct redis_work *work, struct quorum_event *event)
{
    struct redis *redis = work->redis;
    UNINITIALIZED struct quorum_update update;
    set_time(redis, event);
    event->random = tni_redis_random(redis);
    switch (work->kind) {
    case WORK_ACQUIRE: quorum_acquire_step(&work->as.acquire, event, &update); break;
    case WORK_RENEWAL: quorum_renewal_step(&work->as.renewal, event, &update); break;
    case WORK_RELEASE: quorum_release_step(&work->as.release, event, &update); break;
    case WORK_LOOK:
    case WORK_LIST:
    case WORK_INFO: return;
    }
    send_calls(work, &update, event->now);
    if (work->failing != 0) tni_redis_work_due(work);
    if (work->kind == WORK_ACQUIRE && work->op != NULL && work->as.acquire.is_answered) {
        work->give_up_at = work->give_up_answered_at;
    }
    uint64_t use = work->use;
    if (update.is_done) tni_redis_hold_result(work, &update.result);
    if (work->use != use) return; /* the result has ended it */
    if (update.is_over) {
        tni_redis_work_end(work);
        return;
    }
    tni_redis_work_set_deadline(work, update.deadline);
    if (work->op == NULL && work->renewing == NULL) linger(work);
}

/* Somebody's hold is there in place of the one that is renewed or released. */
static void
note_owner(struct redis_work *work, enum quorum_verb verb, const struct quorum_answer *answer)
{
    bool is_claim = work->kind == WORK_RENEWAL || work->kind == WORK_RELEASE;
    if (!is_claim || answer->kind != QUORUM_HELD) return;
    if (verb == QUORUM_BREAK) {
        work->owner_err = TENURE_STALE_TOKEN; /* who breaks names no owner */
        return;
    }
    struct bytes owner = { tni_redis_work_owner(work), work->owner_size };
    bool is_same_owner = bytes_equal(answer->owner, owner);
    if (answer->token == work->token && !is_same_owner) work->owner_err = TENURE_NOT_OWNER;
    if (answer->token != work->token && is_same_owner) work->owner_err = TENURE_STALE_TOKEN;
}

void tni_redis_work_answer(
    struct redis_work *work,
    const struct redis_flight *flight,
    struct mono now,
    const struct quorum_value *values,
    size_t count)
{
    if (flight->call.verb == QUORUM_INSPECT) {
        tni_redis_look_answer(work, &flight->call, values, count);
        return;
    }
    UNINITIALIZED struct quorum_answer answer;
    bool is_good = quorum_answer_read(values, count, &answer);
    if (is_good && answer.kind == QUORUM_MUTE) {
        struct quorum_admission_event refused = { .kind = QUORUM_NODE_REFUSED,
                                                  .node = flight->call.node };
        tni_redis_admission_step(work->redis, &refused);
    }
    if (is_good) note_owner(work, flight->call.verb, &answer);
    struct quorum_event event = { .kind = is_good ? QUORUM_ANSWERED : QUORUM_FAILED,
                                  .now = now,
                                  .node = flight->call.node,
                                  .serial = flight->call.serial,
                                  .answer = &answer };
    tni_redis_work_step(work, &event);
}

static void fail_and_abandon(struct redis_work *work, enum tenure_err err, const char *text)
{
    uint64_t use = work->use;
    tni_redis_work_fail(work, err, text);
    /* Who was told may have closed the store, which ends all works. */
    if (work->use == use) tni_redis_work_abandon(work);
}

/* A node has something against the name.  True: so many do that it will come to nothing; the work
 * is abandoned. */
static bool
note_trouble(struct redis_work *work, uint32_t node, const struct redis_trouble *trouble)
{
    uint32_t node_count = work->redis->node_count;
    uint32_t many = node_count - quorum_majority(node_count) + 1;
    bool is_machine = work->kind != WORK_LOOK && work->kind != WORK_LIST;
    work->trouble = trouble;
    work->troubled |= 1u << node;
    if (!is_machine || (uint32_t)__builtin_popcount(work->troubled) < many) return false;
    if (work->op == NULL && work->renewing == NULL) return false;
    fail_and_abandon(work, trouble->err, trouble->text);
    return true;
}

void tni_redis_work_refused(
    struct redis_work *work,
    uint32_t node,
    const struct redis_flight *flight,
    const struct redis_trouble *trouble)
{
    if (flight->kind == FLIGHT_SCAN) {
        tni_redis_scan_refused(work);
        return;
    }
    if (trouble != NULL && trouble->is_of_name && note_trouble(work, node, trouble)) return;
    if (flight->call.verb == QUORUM_INSPECT) {
        tni_redis_look_refused(work, &flight->call);
        return;
    }
    /* It certainly did not vote, or nobody knows. */
    const struct quorum_answer mute = { .kind = QUORUM_MUTE };
    bool is_no = trouble != NULL && trouble->effect != REDIS_TROUBLE_UNKNOWN;
    struct quorum_event event = { .kind = is_no ? QUORUM_ANSWERED : QUORUM_FAILED,
                                  .node = node,
                                  .serial = flight->call.serial,
                                  .answer = &mute };
    tni_redis_work_step(work, &event);
}

void tni_redis_work_woken(struct redis *redis, uint32_t node, struct bytes message)
{
    struct quorum_wake wake;
    if (!quorum_wake_read(message, &wake)) return;
    struct map_node *found = map_find(&redis->owners, hash(wake.owner), is_owner, &wake);
    if (found == NULL) return;
    struct redis_work *work = CONTAINER_OF(found, struct redis_work, by_owner);
    if (!work->is_begun) return;
    struct quorum_event event = { .kind = QUORUM_WOKEN, .node = node, .fence = wake.fence };
    tni_redis_work_step(work, &event);
}

/* ------------------------------------------------------------------ before the loop sleeps */

/* Is there enough for it to begin? */
static bool may_begin(const struct redis_work *work)
{
    const struct redis *redis = work->redis;
    switch (work->kind) {
    case WORK_ACQUIRE:
    case WORK_RENEWAL: return tni_redis_is_ready(redis);
    case WORK_RELEASE: return tni_redis_is_ready(redis) || tni_redis_is_settled(redis);
    case WORK_LOOK:
        if (work->purpose == LOOK_OBSTACLE) return true;
        return tni_redis_is_settled(redis);
    case WORK_LIST:
    case WORK_INFO: return tni_redis_is_settled(redis);
    }
    UNREACHABLE("every kind is a case");
}

static void begin(struct redis_work *work, struct mono now)
{
    work->is_begun = true;
    switch (work->kind) {
    case WORK_ACQUIRE:
    case WORK_RENEWAL:
    case WORK_RELEASE: tni_redis_hold_begin(work, now); break;
    case WORK_LOOK:
        tni_redis_look_begin(work, (struct bytes){ tni_redis_work_name(work), work->name_size });
        break;
    case WORK_LIST: tni_redis_list_begin(work); break;
    case WORK_INFO: tni_redis_info_tell(work); break;
    }
}

static void fail_unsent(struct redis_work *work)
{
    uint64_t use = work->use;
    for (uint32_t node = 0; node < work->redis->node_count && work->use == use; node++) {
        if ((work->failing & 1u << node) == 0) continue;
        work->failing &= ~(1u << node);
        struct quorum_event event = { .kind = QUORUM_FAILED,
                                      .node = node,
                                      .serial = work->failing_serials[node] };
        tni_redis_work_step(work, &event);
    }
}

void tni_redis_work_run(struct redis_work *work, struct mono now)
{
    struct redis *redis = work->redis;
    if (work->is_begun) {
        fail_unsent(work);
        return;
    }
    char text[200];
    enum tenure_err err = tni_redis_refusal(redis, text, sizeof(text));
    bool is_diagnosis = work->kind == WORK_INFO;
    if (err != TENURE_OK && !is_diagnosis) {
        tni_redis_work_fail(work, err, text);
        tni_redis_work_end(work);
    } else if (now.ns < work->begin_at.ns) {
        tni_redis_work_set_deadline(work, work->begin_at);
    } else if (may_begin(work)) {
        begin(work, now);
    } else {
        list_append(&redis->unready, &work->due);
    }
}

/* ------------------------------------------------------------------ again */

bool tni_redis_try_again(struct redis_work *work)
{
    struct redis *redis = work->redis;
    struct redis_renewing *renewing = work->renewing;
    struct mono now = tni_store_now();
    struct mono end = work->op != NULL ? work->op->request.deadline : work->give_up_at;
    if (now.ns >= end.ns || work->trouble != NULL) return false;
    const struct store_claim texts = { .name = tni_redis_work_name(work),
                                       .owner = tni_redis_work_owner(work),
                                       .token = work->token };
    struct redis_work *other =
        tni_redis_work_create(redis, work->kind, work->op, &texts, tni_redis_work_meta(work));
    if (other == NULL) return false;
    other->ttl_ms = work->ttl_ms;
    other->begin_at =
        quorum_later(now, AGAIN_NS + (int64_t)(tni_redis_random(redis) % (uint64_t)AGAIN_NS));
    other->purpose = work->purpose;
    other->renewing = renewing;
    other->claim_index = work->claim_index;
    if (renewing != NULL) other->give_up_at = end;
    tni_redis_work_set_deadline(other, (struct mono){ INT64_MAX });
    work->op = NULL;
    work->renewing = NULL;
    work->give_up_at = (struct mono){ INT64_MAX };
    return true;
}

/* ------------------------------------------------------------------ ends without a result */

void tni_redis_work_abandon(struct redis_work *work)
{
    bool is_acquiring = work->is_begun && work->kind == WORK_ACQUIRE;
    bool is_releasing = work->is_begun && work->kind == WORK_RELEASE;
    work->op = NULL;
    work->renewing = NULL;
    work->give_up_at = never;
    if (is_acquiring) {
        struct quorum_event event = { .kind = QUORUM_CANCELED };
        tni_redis_work_step(work, &event);
    } else if (is_releasing) {
        tni_redis_work_set_deadline(work, work->deadline_of_step);
        linger(work);
    } else {
        tni_redis_work_end(work);
    }
}

static void give_up(struct redis_work *work)
{
    /* What an acquire may have got is given back. */
    bool is_open = work->kind == WORK_RENEWAL || work->kind == WORK_RELEASE;
    enum tenure_err err = work->is_begun && is_open ? TENURE_UNKNOWN : TENURE_UNAVAILABLE;
    fail_and_abandon(work, err, NULL);
}

void tni_redis_work_on_time(struct redis_work *work, struct mono now)
{
    if (now.ns >= work->give_up_at.ns) {
        give_up(work);
        return;
    }
    if (!work->is_begun) {
        tni_redis_work_set_deadline(work, never);
        tni_redis_work_due(work);
        return;
    }
    switch (work->kind) {
    case WORK_ACQUIRE:
    case WORK_RENEWAL:
    case WORK_RELEASE: {
        struct quorum_event event = { .kind = QUORUM_TIME };
        tni_redis_work_step(work, &event);
        break;
    }
    case WORK_LOOK:
    case WORK_LIST: tni_redis_look_on_time(work, now); break;
    case WORK_INFO: break;
    }
}
