#include "engine/queue.h"

#include "engine/commands.h"
#include "engine/grant.h"
#include "engine/hold.h"
#include "engine/lock.h"
#include "engine/output.h"

/* Longer queues are not counted through for a number that only informs. */
#define POSITION_MAX 4096u

static bool is_before(struct queue_order left, struct queue_order right)
{
    if (left.order_ns != right.order_ns) return left.order_ns < right.order_ns;
    return left.arrival < right.arrival;
}

struct queue_order waiter_order(const struct waiter *waiter)
{
    return (struct queue_order){ waiter->order_ns, waiter->arrival };
}

static struct queue_order hold_order(const struct hold *hold)
{
    ASSERT(hold->state == HOLD_WAITING);
    return waiter_order(hold->as.waiter);
}

struct queue_order queue_order_now(const struct engine *engine, uint32_t priority)
{
    int64_t worth_ns = (int64_t)priority * engine->options.ageing_ms * NS_PER_MS;
    return (struct queue_order){ engine->time_ns - worth_ns, UINT64_MAX };
}

struct hold *queue_next(const struct lock *lock, struct list *cursors[LANE_COUNT])
{
    const struct queue *queue = lock->queue;
    struct hold *best = NULL;
    unsigned best_lane = 0;
    if (queue == NULL || queue->count == 0) return NULL;

    for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
        const struct list *head = &queue->lanes[lane];
        struct list *next = cursors[lane] == NULL ? head->next : cursors[lane]->next;
        if (next == head) continue;
        struct hold *hold = hold_from_link(next);
        if (best != NULL && !is_before(hold_order(hold), hold_order(best))) continue;
        best = hold;
        best_lane = lane;
    }
    if (best != NULL) cursors[best_lane] = &best->link;
    return best;
}

struct hold *queue_first(const struct lock *lock)
{
    struct list *cursors[LANE_COUNT] = { NULL };
    return queue_next(lock, cursors);
}

bool queue_has_before(const struct lock *lock, struct queue_order order)
{
    const struct hold *first = queue_first(lock);
    return first != NULL && is_before(hold_order(first), order);
}

uint32_t queue_position(const struct lock *lock, struct queue_order order)
{
    uint32_t position = 1;
    const struct queue *queue = lock->queue;
    if (queue == NULL) return position;
    if (queue->count > POSITION_MAX) return 0;

    for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
        list_foreach(link, &queue->lanes[lane]) {
            if (!is_before(hold_order(hold_from_link(link)), order)) break;
            position++;
        }
    }
    return position;
}

/* ---------------------------------------------------------------- waiters */

struct waiter_key {
    uint64_t client;
    const uint64_t *tag; /* NULL: any */
};

static uint32_t client_hash(uint64_t client)
{
    return (uint32_t)((client * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static bool is_waiter(const struct map_node *node, const void *key)
{
    const struct waiter_key *wanted = key;
    const struct waiter *waiter = CONTAINER_OF_CONST(node, struct waiter, clients);
    if (waiter->client != wanted->client) return false;
    return wanted->tag == NULL || waiter->tag == *wanted->tag;
}

static struct waiter *find(const struct engine *engine, const struct waiter_key *key)
{
    struct map_node *node = map_find(&engine->waiters, client_hash(key->client), is_waiter, key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct waiter, clients);
}

struct waiter *waiter_find(const struct engine *engine, uint64_t client, uint64_t tag)
{
    return find(engine, &(struct waiter_key){ client, &tag });
}

struct waiter *waiter_of_client(const struct engine *engine, uint64_t client)
{
    return find(engine, &(struct waiter_key){ client, NULL });
}

bool waiter_is_over(const struct engine *engine, const struct waiter *waiter)
{
    return waiter->deadline_ns <= engine->time_ns;
}

static void enter_lane(struct waiter *waiter, struct hold *hold)
{
    struct queue *queue = hold->lock->queue;
    hold_move(hold, HOLD_WAITING);
    hold->as.waiter = waiter;
    list_append(&queue->lanes[waiter->priority], &hold->link);
    queue->count++;
}

struct waiter *waiter_create(
    struct engine *engine,
    const struct engine_command *command,
    struct hold *const *holds,
    uint32_t hold_count)
{
    const struct engine_acquire *acquire = &command->as.acquire;
    for (uint32_t index = 0; index < hold_count; index++) {
        if (lock_queue(engine, holds[index]->lock) == NULL) return NULL;
    }
    if (!map_reserve(&engine->waiters) || !heap_reserve(&engine->wait_timers, 1)) return NULL;
    struct waiter *waiter =
        memory_take(engine->memory, sizeof *waiter + hold_count * sizeof(struct hold *));
    if (waiter == NULL) return NULL;

    struct queue_order order = queue_order_now(engine, acquire->priority);
    *waiter =
        (struct waiter){ .client = command->client,
                         .tag = command->tag,
                         .arrival = ++engine->arrival_count,
                         .order_ns = order.order_ns,
                         .arrived_ns = engine->time_ns,
                         .deadline_ns = engine->time_ns + (int64_t)acquire->wait_ms * NS_PER_MS,
                         .timer = { HEAP_INDEX_NONE },
                         .priority = acquire->priority,
                         .hold_count = hold_count };
    for (uint32_t index = 0; index < hold_count; index++) {
        struct lock *lock = holds[index]->lock;
        bool is_used = lock->hold_count > 0 || lock->queue->count > 0;
        if (!is_used) lock->slots = (uint16_t)acquire->slots; /* a lock-delay fixes nothing */
        waiter->holds[index] = holds[index];
        enter_lane(waiter, holds[index]);
    }
    map_insert(&engine->waiters, &waiter->clients, client_hash(waiter->client));
    heap_insert(&engine->wait_timers, &waiter->timer, waiter->deadline_ns);
    return waiter;
}

/* What is granted is what was asked for last.  False: no memory, and nothing has changed. */
static bool
take_terms(struct engine *engine, const struct waiter *waiter, const struct engine_acquire *acquire)
{
    UNINITIALIZED char *metas[LIMIT_NAME_COUNT_MAX];
    for (uint32_t index = 0; index < waiter->hold_count; index++) {
        if (hold_copy_meta(engine, acquire->meta, &metas[index])) continue;
        while (index-- > 0) {
            memory_give(engine->memory, metas[index], acquire->meta.size);
        }
        return false;
    }
    for (uint32_t index = 0; index < waiter->hold_count; index++) {
        struct hold *hold = waiter->holds[index];
        hold->ttl_ms = acquire->ttl_ms;
        hold->lock_delay_ms = acquire->lock_delay_ms;
        hold_set_meta(engine, hold, metas[index], acquire->meta.size);
    }
    return true;
}

bool waiter_rejoin(
    struct engine *engine, struct waiter *waiter, const struct engine_command *command)
{
    if (!take_terms(engine, waiter, &command->as.acquire)) return false;
    map_remove(&engine->waiters, &waiter->clients);
    waiter->client = command->client;
    waiter->tag = command->tag;
    /* Its place stays, but waited_ms is what its client adds to the moment it asked: had it counted
     * from the first request, the client would believe in its hold for too long. */
    waiter->arrived_ns = engine->time_ns;
    waiter->deadline_ns = engine->time_ns + (int64_t)command->as.acquire.wait_ms * NS_PER_MS;
    if (!map_reserve(&engine->waiters)) UNREACHABLE("a removal leaves room for an insertion");
    map_insert(&engine->waiters, &waiter->clients, client_hash(waiter->client));
    heap_move(&engine->wait_timers, &waiter->timer, waiter->deadline_ns);
    return true;
}

void waiter_remove(struct engine *engine, struct waiter *waiter)
{
    map_remove(&engine->waiters, &waiter->clients);
    heap_remove(&engine->wait_timers, &waiter->timer);
    for (uint32_t index = 0; index < waiter->hold_count; index++) {
        struct hold *hold = waiter->holds[index];
        struct lock *lock = hold->lock;
        ASSERT(lock->queue->count > 0);
        lock->queue->count--;
        if (hold->state == HOLD_WAITING) hold_end(engine, hold);
        queue_changed(engine, lock);
        lock_settle(engine, lock);
    }
    waiter->next_dead = engine->dead_waiters;
    engine->dead_waiters = waiter;
}

/* ---------------------------------------------------------------- serving */

void queue_changed(struct engine *engine, struct lock *lock)
{
    struct queue *queue = lock->queue;
    if (queue == NULL || queue->count == 0 || !list_is_empty(&queue->unserved)) return;
    list_append(&engine->unserved, &queue->unserved);
}

static bool can_grant(const struct waiter *waiter)
{
    for (uint32_t index = 0; index < waiter->hold_count; index++) {
        const struct hold *hold = waiter->holds[index];
        if (queue_first(hold->lock) != hold) return false;
        if (!lock_has_room(hold->lock, (enum engine_mode)hold->mode)) return false;
    }
    return true;
}

static bool grant_waiter(struct engine *engine, struct waiter *waiter)
{
    struct grant grant = {
        .holds = waiter->holds,
        .hold_count = waiter->hold_count,
        .slots = waiter->holds[0]->lock->slots,
        .slot = GRANT_SLOT_LOWEST,
        .client = waiter->client,
        .tag = waiter->tag,
        .waited_ms = (engine->time_ns - waiter->arrived_ns) / NS_PER_MS,
    };
    if (!grant_holds(engine, &grant)) return false;
    waiter_remove(engine, waiter);
    return true;
}

/* Grant what the waiter wants; but not after its time, though its timer has not fired yet: it has
 * given up by then.  False: no memory, no tokens, or too many holds. */
static bool serve_waiter(struct engine *engine, struct waiter *waiter)
{
    if (waiter_is_over(engine, waiter)) return acquire_give_up(engine, waiter, TENURE_TIMEOUT);
    if (!grant_has_tokens(engine, waiter->hold_count)) return false; /* the clock may come back */
    uint32_t held_count = engine->held_count + waiter->hold_count;
    if (held_count > engine->options.hold_count_max) return false; /* until another hold ends */
    return grant_waiter(engine, waiter);
}

/* The waiters at the head of one queue, as far as there is room.  False: some could be served
 * later. */
static bool serve_lock(struct engine *engine, struct lock *lock)
{
    while (lock->queue != NULL) {
        struct hold *first = queue_first(lock);
        if (first == NULL || !can_grant(first->as.waiter)) return true;
        if (!serve_waiter(engine, first->as.waiter)) return false;
    }
    return true;
}

void queue_serve(struct engine *engine)
{
    if (engine->gate != ENGINE_GATE_OPEN || engine->is_restoring) return;
    struct list *link;
    while ((link = list_first(&engine->unserved)) != NULL) {
        struct queue *queue = CONTAINER_OF(link, struct queue, unserved);
        list_remove(link);
        struct lock *lock = queue->lock;
        if (serve_lock(engine, lock)) continue;
        queue_changed(engine, lock);
        return;
    }
}
