#include "engine/hold.h"

/* The allowed moves: bit n of [from] is set when a hold may go to state n. */
static const unsigned moves[HOLD_STATE_COUNT] = {
    [HOLD_PREPARED] = 1u << HOLD_WAITING | 1u << HOLD_PENDING | 1u << HOLD_LIVE | 1u << HOLD_ENDED,
    [HOLD_WAITING] = 1u << HOLD_PENDING | 1u << HOLD_ENDED,
    [HOLD_PENDING] = 1u << HOLD_LIVE | 1u << HOLD_ENDED,
    [HOLD_LIVE] = 1u << HOLD_ENDED,
    [HOLD_ENDED] = 0,
};

/* Up to so many parties of one lock are found by walking through them; most locks have one. */
#define PARTY_WALK_MAX 8u

struct party {
    const struct lock *lock;
    struct bytes owner;
};

static bool is_party(const struct map_node *node, const void *key)
{
    const struct party *party = key;
    const struct hold *hold = CONTAINER_OF_CONST(node, struct hold, party);
    return hold->lock == party->lock && bytes_equal(hold_owner(hold), party->owner);
}

static uint32_t party_hash(const struct engine *engine, const struct lock *lock, struct bytes owner)
{
    uint64_t hash = siphash(&engine->options.hash_key, owner);
    return (uint32_t)(hash >> 16) ^ (lock->names.hash * UINT32_C(0x9e3779b1));
}

static struct hold *find_in(const struct list *head, struct bytes owner)
{
    list_foreach(link, head) {
        struct hold *hold = hold_from_link(link);
        if (bytes_equal(hold_owner(hold), owner)) return hold;
    }
    return NULL;
}

struct hold *hold_find(const struct engine *engine, const struct lock *lock, struct bytes owner)
{
    if (lock->is_crowded) {
        struct party party = { lock, owner };
        struct map_node *node =
            map_find(&engine->parties, party_hash(engine, lock, owner), is_party, &party);
        return node == NULL ? NULL : CONTAINER_OF(node, struct hold, party);
    }
    struct hold *hold = find_in(&lock->holds, owner);
    if (lock->queue == NULL || lock->queue->count == 0) return hold;
    for (unsigned lane = 0; lane < LANE_COUNT && hold == NULL; lane++) {
        hold = find_in(&lock->queue->lanes[lane], owner);
    }
    return hold;
}

static bool table_add(struct engine *engine, struct hold *hold)
{
    if (!map_reserve(&engine->parties)) return false;
    map_insert(&engine->parties, &hold->party, party_hash(engine, hold->lock, hold_owner(hold)));
    return true;
}

static void table_remove_until(struct engine *engine, const struct list *head, struct list *end)
{
    for (struct list *link = head->next; link != end; link = link->next) {
        map_remove(&engine->parties, &hold_from_link(link)->party);
    }
}

/* All of a list or, without memory, none of it. */
static bool table_add_all(struct engine *engine, struct list *head)
{
    list_foreach(link, head) {
        if (table_add(engine, hold_from_link(link))) continue;
        table_remove_until(engine, head, link);
        return false;
    }
    return true;
}

/* One more party is about to come: from some number on they are found by table.  The lock stays
 * crowded until it is free.  False when there is no memory. */
static bool make_way(struct engine *engine, struct lock *lock)
{
    uint32_t waiting_count = lock->queue == NULL ? 0 : lock->queue->count;
    if (lock->is_crowded || lock->hold_count + waiting_count < PARTY_WALK_MAX) return true;

    if (!table_add_all(engine, &lock->holds)) return false;
    for (unsigned lane = 0; waiting_count > 0 && lane < LANE_COUNT; lane++) {
        if (table_add_all(engine, &lock->queue->lanes[lane])) continue;
        while (lane-- > 0) {
            struct list *done = &lock->queue->lanes[lane];
            table_remove_until(engine, done, done);
        }
        table_remove_until(engine, &lock->holds, &lock->holds);
        return false;
    }
    lock->is_crowded = true;
    return true;
}

bool hold_copy_meta(struct engine *engine, struct bytes meta, char **out_meta)
{
    ASSERT(meta.size <= LIMIT_META_SIZE_MAX);
    char *copy = NULL;
    if (meta.size > 0) {
        copy = memory_take(engine->memory, meta.size);
        if (copy == NULL) return false;
        memcpy(copy, meta.data, meta.size);
    }
    *out_meta = copy;
    return true;
}

void hold_set_meta(struct engine *engine, struct hold *hold, char *meta, size_t size)
{
    memory_give(engine->memory, hold->meta, hold->meta_size);
    hold->meta = meta;
    hold->meta_size = (uint16_t)size;
}

struct hold *hold_create(struct engine *engine, struct lock *lock, const struct hold_terms *terms)
{
    ASSERT(terms->owner.size > 0 && terms->owner.size <= LIMIT_OWNER_SIZE_MAX);
    if (!make_way(engine, lock) || !map_reserve(&engine->parties)) return NULL;
    char *meta;
    if (!hold_copy_meta(engine, terms->meta, &meta)) return NULL;
    struct hold *hold = memory_take(engine->memory, sizeof *hold + terms->owner.size);
    if (hold == NULL) {
        memory_give(engine->memory, meta, terms->meta.size);
        return NULL;
    }

    *hold = (struct hold){ .lock = lock,
                           .meta = meta,
                           .meta_size = (uint16_t)terms->meta.size,
                           .owner_size = (uint8_t)terms->owner.size,
                           .mode = (uint8_t)terms->mode,
                           .ttl_ms = terms->ttl_ms,
                           .lock_delay_ms = terms->lock_delay_ms,
                           .timer = { HEAP_INDEX_NONE },
                           .state = HOLD_PREPARED };
    memcpy(hold->owner, terms->owner.data, terms->owner.size);
    list_init(&hold->link);
    ASSERT(!lock->is_pinned);
    lock->is_pinned = true;
    if (lock->is_crowded && !table_add(engine, hold)) UNREACHABLE("room was reserved");
    return hold;
}

void hold_move(struct hold *hold, enum hold_state state)
{
    ASSERT(moves[hold->state] & 1u << state);
    if (hold->state == HOLD_PREPARED) hold->lock->is_pinned = false;
    hold->state = (uint8_t)state;
}

static void leave_pending(struct engine *engine, const struct hold *hold)
{
    struct pending *pending = &engine->pending;
    uint64_t index = hold->as.pending_index;
    ASSERT(index >= pending->head && index < pending->tail);
    ASSERT(pending->entries[index & (pending->capacity - 1)].hold == hold);
    pending->entries[index & (pending->capacity - 1)].hold = NULL;
}

void hold_end(struct engine *engine, struct hold *hold)
{
    if (hold->state == HOLD_PENDING) leave_pending(engine, hold);
    heap_remove(&engine->hold_timers, &hold->timer);
    list_remove(&hold->link);
    if (hold->lock->is_crowded) map_remove(&engine->parties, &hold->party);
    hold_move(hold, HOLD_ENDED);
    hold->as.next_dead = engine->dead_holds;
    engine->dead_holds = hold;
}

void hold_free(struct engine *engine, struct hold *hold)
{
    if (hold->breaking != NULL) {
        memory_give(
            engine->memory, hold->breaking, sizeof *hold->breaking + hold->breaking->reason_size);
    }
    memory_give(engine->memory, hold->meta, hold->meta_size);
    memory_give(engine->memory, hold, sizeof *hold + hold->owner_size);
}

int64_t hold_deadline(const struct hold *hold)
{
    ASSERT(hold->state == HOLD_LIVE);
    int64_t deadline_ns = hold->as.deadline_ns;
    if (hold->breaking != NULL && hold->breaking->deadline_ns < deadline_ns) {
        deadline_ns = hold->breaking->deadline_ns;
    }
    return deadline_ns;
}

/* A renewal only moves the deadline later, and the timer is left where it is until it fires: that
 * makes a renewal cheap.  What makes the deadline earlier moves the timer. */
void hold_arm(struct engine *engine, struct hold *hold, int64_t time_ns)
{
    ASSERT(hold->state == HOLD_LIVE);
    hold->as.deadline_ns =
        hold->ttl_ms == 0 ? INT64_MAX : time_ns + (int64_t)hold->ttl_ms * NS_PER_MS;
    int64_t deadline_ns = hold_deadline(hold);

    if (deadline_ns == INT64_MAX) {
        heap_remove(&engine->hold_timers, &hold->timer);
    } else if (hold->timer.index == HEAP_INDEX_NONE) {
        heap_insert(&engine->hold_timers, &hold->timer, deadline_ns);
    } else if (engine->hold_timers.entries[hold->timer.index].key > deadline_ns) {
        heap_move(&engine->hold_timers, &hold->timer, deadline_ns);
    }
}

static int64_t remaining_ms(const struct hold *hold, int64_t time_ns)
{
    if (hold->state != HOLD_LIVE) return hold->ttl_ms == 0 ? -1 : (int64_t)hold->ttl_ms;
    int64_t deadline_ns = hold_deadline(hold);
    if (deadline_ns == INT64_MAX) return -1;
    return deadline_ns <= time_ns ? 0 : (deadline_ns - time_ns) / NS_PER_MS;
}

void hold_view(const struct hold *hold, int64_t time_ns, struct engine_hold_view *out_view)
{
    *out_view = (struct engine_hold_view){
        .name = lock_name(hold->lock),
        .owner = hold_owner(hold),
        .meta = hold_meta(hold),
        .token = hold->token,
        .mode = (enum engine_mode)hold->mode,
        .slot = hold->slot,
        .slots = hold->lock->slots,
        .ttl_ms = hold->ttl_ms,
        .lock_delay_ms = hold->lock_delay_ms,
        .remaining_ms = remaining_ms(hold, time_ns),
        .acquired_at = hold->acquired_at,
        .is_breaking = hold->breaking != NULL,
    };
}
