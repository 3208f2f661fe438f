#include "engine/item.h"

#include "engine/decimal_id.h"
#include "engine/snapshot.h"
#include "engine/state.h"

/* Further ahead is never. */
#define ITEM_TIMER_US_MAX INT64_C(1000000000000000)

/* The allowed moves: bit n of [from] is set when an item may go to state n. */
static const unsigned moves[ITEM_STATE_COUNT] = {
    [ITEM_DELAYED] = 1u << ITEM_READY | 1u << ITEM_CANCELLED,
    [ITEM_READY] = 1u << ITEM_TAKEN | 1u << ITEM_CANCELLED,
    [ITEM_TAKEN] = 1u << ITEM_READY | 1u << ITEM_DELAYED | 1u << ITEM_DONE | 1u << ITEM_DEAD |
                   1u << ITEM_CANCELLED,
    [ITEM_DEAD] = 1u << ITEM_READY | 1u << ITEM_DELAYED,
};

static const unsigned open_states = 1u << ITEM_DELAYED | 1u << ITEM_READY | 1u << ITEM_TAKEN;

const char *item_state_word(unsigned state)
{
    static const char *const words[ITEM_STATE_COUNT] = {
        [ITEM_DELAYED] = "delayed", [ITEM_READY] = "ready", [ITEM_TAKEN] = "taken",
        [ITEM_DONE] = "done",       [ITEM_DEAD] = "dead",   [ITEM_CANCELLED] = "cancelled",
    };
    return state < ITEM_STATE_COUNT ? words[state] : NULL;
}

/* ------------------------------------------------------------------ finding */

/* Ids that the engine makes are numbers in a row, and what is put in a row lies in a row in memory.
 * So it does in the table: the last bits of such a hash are those of the number, and the others say
 * where the row of numbers is.  A table that grows, bucket by bucket, walks along the items then,
 * and not across all memory.  Clients cannot choose these ids, and the rest is keyed; whoever keeps
 * one of each row only makes a bucket longer by as much as the row is long. */
#define ROW_LENGTH 16u

static uint32_t id_hash(const struct engine *engine, const struct work *work, struct bytes id)
{
    const struct siphash_key *key = &engine->options.hash_key;
    uint64_t number;
    if (!decimal_id_read(id, &number)) return work_text_hash(engine, work, id);
    uint64_t row = (number / ROW_LENGTH ^ key->words[0]) * UINT64_C(0x9e3779b97f4a7c15);
    row = (row ^ row >> 32) * (key->words[1] | 1);
    uint32_t place = (uint32_t)(row >> 32) ^ (work->names.hash * UINT32_C(0x9e3779b1));
    return (place & ~(ROW_LENGTH - 1)) | (uint32_t)(number % ROW_LENGTH);
}

struct item_key {
    const struct work *work;
    struct bytes text;
};

static bool has_id(const struct map_node *node, const void *key)
{
    const struct item_key *wanted = key;
    const struct item *item = CONTAINER_OF_CONST(node, struct item, ids);
    return item->group->work == wanted->work && bytes_equal(item_id(item), wanted->text);
}

struct item *item_find(const struct engine *engine, const struct work *work, struct bytes id)
{
    struct item_key key = { work, id };
    struct map_node *node = map_find(&engine->works.items, id_hash(engine, work, id), has_id, &key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct item, ids);
}

static bool has_key(const struct map_node *node, const void *key)
{
    const struct item_key *wanted = key;
    const struct unique *unique = CONTAINER_OF_CONST(node, struct unique, keys);
    struct bytes text = { unique->key, unique->key_size };
    return unique->work == wanted->work && bytes_equal(text, wanted->text);
}

struct unique *unique_find(const struct engine *engine, const struct work *work, struct bytes key)
{
    struct item_key wanted = { work, key };
    struct map_node *node =
        map_find(&engine->works.uniques, work_text_hash(engine, work, key), has_key, &wanted);
    return node == NULL ? NULL : CONTAINER_OF(node, struct unique, keys);
}

/* -------------------------------------------------------------------- notes */

bool note_create(struct engine *engine, struct bytes text, struct note **out_note)
{
    struct note *note = NULL;
    if (text.size > 0) {
        note = memory_take(engine->memory, sizeof *note + text.size);
        if (note == NULL) return false;
        note->next_dead = NULL;
        note->size = (uint32_t)text.size;
        if (text.data != NULL) memcpy(note->text, text.data, text.size);
    }
    *out_note = note;
    return true;
}

void note_free(struct engine *engine, struct note *note)
{
    if (note != NULL) memory_give(engine->memory, note, sizeof *note + note->size);
}

void note_bury(struct engine *engine, struct note *note)
{
    if (note == NULL) return;
    note->next_dead = engine->works.dead_notes;
    engine->works.dead_notes = note;
}

void item_set_note(struct engine *engine, struct item *item, struct note *note)
{
    if (item->note != NULL) engine->works.item_bytes -= item->note->size;
    note_bury(engine, item->note);
    item->note = note;
    if (note != NULL) engine->works.item_bytes += note->size;
}

/* ---------------------------------------------------------- making and ending */

static size_t payload_size(const struct item *item)
{
    return (size_t)item->body_size + item->headers_size;
}

/* What has body and headers, while there are any; NULL when they are inside. */
static struct note *payload_outside(const struct item *item)
{
    struct note *outside;
    if (payload_size(item) <= ITEM_PAYLOAD_INSIDE_MAX) return NULL;
    memcpy(&outside, item->id + item->id_size, sizeof outside); /* it may lie unaligned */
    return outside;
}

static const char *payload_of(const struct item *item)
{
    const struct note *outside = payload_outside(item);
    return outside == NULL ? item->id + item->id_size : outside->text;
}

struct bytes item_body(const struct item *item)
{
    if (!item->has_payload) return (struct bytes){ 0 };
    return (struct bytes){ payload_of(item), item->body_size };
}

struct bytes item_headers(const struct item *item)
{
    if (!item->has_payload) return (struct bytes){ 0 };
    return (struct bytes){ payload_of(item) + item->body_size, item->headers_size };
}

static size_t block_size(size_t id_size, size_t payload)
{
    size_t behind = payload <= ITEM_PAYLOAD_INSIDE_MAX ? payload : sizeof(struct note *);
    size_t size = offsetof(struct item, id) + id_size + behind;
    return size > sizeof(struct item) ? size : sizeof(struct item);
}

bool item_reserve_ready(struct engine *engine, struct group *group)
{
    return ordered_reserve(&group->ready, group->open_count + 1 - group->ready.count) &&
           map_reserve(&engine->works.items);
}

static bool copy_payload(struct engine *engine, struct item *item, const struct item_wish *wish)
{
    size_t size = payload_size(item);
    char *behind = item->id + item->id_size;
    if (size > ITEM_PAYLOAD_INSIDE_MAX) {
        struct note *outside;
        if (!note_create(engine, (struct bytes){ NULL, size }, &outside)) return false;
        memcpy(behind, &outside, sizeof outside);
        behind = outside->text;
    }
    item->has_payload = size > 0;
    if (wish->body.size > 0) memcpy(behind, wish->body.data, wish->body.size);
    if (wish->headers.size > 0) {
        memcpy(behind + wish->body.size, wish->headers.data, wish->headers.size);
    }
    return true;
}

struct item *item_create(struct engine *engine, struct group *group, const struct item_wish *wish)
{
    ASSERT(wish->id.size > 0 && wish->id.size <= LIMIT_ID_SIZE_MAX);
    if (!item_reserve_ready(engine, group)) return NULL;
    size_t size = block_size(wish->id.size, wish->body.size + wish->headers.size);
    struct item *item = memory_take(engine->memory, size);
    if (item == NULL) return NULL;
    *item = (struct item){ .group = group,
                           .terms = wish->terms,
                           .place = { ORDERED_INDEX_NONE },
                           .timer = { ORDERED_INDEX_NONE },
                           .body_size = wish->body.size & ITEM_BODY_SIZE_BITS,
                           .headers_size = wish->headers.size & ITEM_HEADERS_SIZE_BITS,
                           .state = ITEM_STATE_COUNT,
                           .id_size = (uint8_t)wish->id.size };
    memcpy(item->id, wish->id.data, wish->id.size);
    item->ids.hash = id_hash(engine, group->work, wish->id);
    map_fetch(&engine->works.items, item->ids.hash);
    list_init(&item->link);
    if (!copy_payload(engine, item, wish)) {
        memory_give(engine->memory, item, size);
        return NULL;
    }
    group->open_count++;
    return item;
}

void item_discard(struct engine *engine, struct item *item)
{
    ASSERT(item->state == ITEM_STATE_COUNT);
    struct group *group = item->group;
    group->open_count--;
    item_free(engine, item);
    group_settle(engine, group);
}

void item_drop_payload(struct engine *engine, struct item *item)
{
    if (!item->has_payload) return;
    engine->works.item_bytes -= payload_size(item);
    note_bury(engine, payload_outside(item));
    item->has_payload = false;
}

void item_free(struct engine *engine, struct item *item)
{
    note_free(engine, item->note);
    if (item->has_payload) note_free(engine, payload_outside(item));
    memory_give(engine->memory, item, block_size(item->id_size, payload_size(item)));
}

static void give_lease(struct engine *engine, struct item *item)
{
    struct works *works = &engine->works;
    struct lease *lease = item->lease;
    if (lease == NULL) return;
    item->lease = NULL;
    lease_unbind(engine, lease);
    ordered_remove(&works->lease_timers, &lease->timer);
    if (!lease->is_live) {
        uint64_t index = lease->as.pending_index;
        ASSERT(index >= works->pending.head && index < works->pending.tail);
        works->pending.entries[index & (works->pending.capacity - 1)].lease = NULL;
    }
    lease->next_dead = works->dead_leases;
    works->dead_leases = lease;
}

/* The key is free, or goes to the item that was kept back for it, which is returned. */
static struct item *leave_unique(struct engine *engine, struct item *item)
{
    struct unique *unique = item->unique;
    if (unique == NULL) return NULL;
    item->unique = NULL;
    if (unique->next == item) {
        unique->next = NULL;
        item->is_kept_back = false;
        engine->works.kept_back_count--;
        return NULL;
    }
    ASSERT(unique->item == item);
    if (unique->next != NULL) snapshot_touch_item(engine, unique->next);
    unique->item = unique->next;
    unique->next = NULL;
    if (unique->item == NULL) {
        struct unique *dead = engine->works.dead_uniques;
        map_remove(&engine->works.uniques, &unique->keys);
        unique->keys.next = dead == NULL ? NULL : &dead->keys;
        engine->works.dead_uniques = unique;
        return NULL;
    }
    unique->item->is_kept_back = false;
    engine->works.kept_back_count--;
    return unique->item;
}

/* ------------------------------------------------------------------- timers */

static int64_t add_us(int64_t left_us, uint32_t right_ms)
{
    return left_us + (int64_t)right_ms * 1000;
}

int64_t item_forget_at_us(const struct item *item)
{
    int64_t at_us = add_us(item->ended_at_us, item->terms.retention_ms);
    if (item->unique == NULL || item->terms.unique_scope != UNIQUE_WINDOW) return at_us;
    int64_t over_us = add_us(item->put_at_us, item->terms.unique_ms);
    return over_us > at_us ? over_us : at_us;
}

/* When something is to happen to it by itself, wall; INT64_MAX for never. */
static int64_t next_at_us(const struct item *item)
{
    int64_t expires_at_us = item_expires_at_us(item);
    switch ((enum item_state)item->state) {
    case ITEM_DELAYED:
        if (item->is_kept_back || expires_at_us < item->terms.run_at_us) return expires_at_us;
        return item->terms.run_at_us;
    case ITEM_READY: return expires_at_us;
    case ITEM_DONE:
    case ITEM_CANCELLED: return item_forget_at_us(item);
    case ITEM_TAKEN:
    case ITEM_DEAD:
    case ITEM_STATE_COUNT: break;
    }
    return INT64_MAX;
}

void item_arm(struct engine *engine, struct item *item)
{
    struct ordered *timers = &engine->works.timers;
    if (engine->is_restoring) return;
    ordered_remove(timers, &item->timer);
    int64_t at_us = next_at_us(item);
    if (at_us == INT64_MAX) return;
    int64_t now_ns = engine->time_ns + engine->stalled_ns;
    int64_t left_us = at_us - engine->wall.us;
    if (left_us > ITEM_TIMER_US_MAX) left_us = ITEM_TIMER_US_MAX;
    int64_t key = left_us <= 0 ? now_ns : now_ns + left_us * 1000;
    ordered_insert(timers, &item->timer, key, item->number);
}

bool item_reserve_timers(struct engine *engine, uint32_t count)
{
    return ordered_reserve(&engine->works.timers, count + engine->works.kept_back_count);
}

/* ------------------------------------------------------------------- moving */

static bool is_waiting(unsigned state)
{
    return state == ITEM_DELAYED || state == ITEM_READY;
}

static void leave_state(struct engine *engine, struct item *item)
{
    struct group *group = item->group;
    struct snapshot *snapshot = &engine->snapshot;
    if (snapshot->works.item == &item->link) snapshot->works.item = item->link.next;
    list_remove(&item->link);
    group->work->counts[item->state]--;
    ordered_remove(&group->ready, &item->place);
    ordered_remove(&engine->works.timers, &item->timer);
    group->waiting_count -= is_waiting(item->state);
    if (item->state == ITEM_TAKEN) {
        group->running_count--;
        engine->works.taken_count--;
    }
    if (open_states & 1u << item->state) group->open_count--;
}

static void enter_state(struct engine *engine, struct item *item, enum item_state state)
{
    struct group *group = item->group;
    item->state = state & ITEM_STATE_BITS;
    item->entered = ++engine->works.entered_count;
    list_append(&group->work->states[state], &item->link);
    group->work->counts[state]++;
    group->waiting_count += is_waiting(state);
    if (open_states & 1u << state) group->open_count++;
    if (state == ITEM_TAKEN) {
        group->running_count++;
        engine->works.taken_count++;
    }
    if (state == ITEM_READY) {
        int64_t worth_us = (int64_t)item->terms.priority * engine->options.ageing_ms * 1000;
        ordered_insert(&group->ready, &item->place, item->order_us - worth_us, item->number);
    }
}

void item_enter(struct engine *engine, struct item *item, enum item_state state)
{
    ASSERT(item->state == ITEM_STATE_COUNT);
    struct group *group = item->group;
    struct works *works = &engine->works;
    group->open_count--; /* it was counted when it was made */
    group->item_count++;
    works->item_count++;
    works->item_bytes += item->has_payload ? payload_size(item) : 0;
    map_insert(&works->items, &item->ids, item->ids.hash);
    item->ids.user = engine->snapshot.number;
    enter_state(engine, item, state);
    group_judge(engine, group);
}

static void change_state(struct engine *engine, struct item *item, enum item_state state)
{
    ASSERT(item->state < ITEM_STATE_COUNT && moves[item->state] & 1u << state);
    leave_state(engine, item);
    enter_state(engine, item, state);
    group_judge(engine, item->group);
}

/* What was kept back for a key is an item like others now. */
static void free_heir(struct engine *engine, struct item *heir)
{
    if (heir == NULL) return;
    if (heir->terms.run_at_us == 0) change_state(engine, heir, ITEM_READY);
    item_arm(engine, heir);
}

static bool is_key_left(const struct item *item)
{
    unsigned scope = item->terms.unique_scope;
    if (item->unique == NULL) return false;
    if (item->state == ITEM_TAKEN) return scope == UNIQUE_UNTIL_STARTED;
    if (open_states & 1u << item->state) return false;
    return scope != UNIQUE_WINDOW || item->state == ITEM_CANCELLED || item->unique->next != NULL;
}

void item_move(struct engine *engine, struct item *item, enum item_state state)
{
    if (item->state == ITEM_TAKEN) give_lease(engine, item);
    change_state(engine, item, state);
    if (is_key_left(item)) free_heir(engine, leave_unique(engine, item));
}

void item_end(struct engine *engine, struct item *item)
{
    struct works *works = &engine->works;
    struct group *group = item->group;
    give_lease(engine, item);
    leave_state(engine, item);
    struct item *heir = leave_unique(engine, item);
    map_remove(&works->items, &item->ids);
    works->item_bytes -= item->has_payload ? payload_size(item) : 0;
    works->item_bytes -= item->note == NULL ? 0 : item->note->size;
    group->item_count--;
    works->item_count--;
    item->ids.next = works->dead_items == NULL ? NULL : &works->dead_items->ids;
    works->dead_items = item;
    free_heir(engine, heir);
    group_judge(engine, group);
    group_settle(engine, group);
}

/* ------------------------------------------------------------------- leases */

struct lease *lease_create(struct engine *engine, struct bytes worker, uint32_t lease_ms)
{
    struct works *works = &engine->works;
    uint32_t room = works->taken_count + 1 - works->lease_timers.count;
    if (!ordered_reserve(&works->lease_timers, room) || !map_reserve(&works->bound)) return NULL;
    struct lease *lease = memory_take(engine->memory, sizeof *lease + worker.size);
    if (lease == NULL) return NULL;
    *lease = (struct lease){ .timer = { ORDERED_INDEX_NONE },
                             .timeout_ns = INT64_MAX,
                             .lease_ms = lease_ms,
                             .worker_size = (uint8_t)worker.size };
    if (worker.size > 0) memcpy(lease->worker, worker.data, worker.size);
    return lease;
}

void lease_free(struct engine *engine, struct lease *lease)
{
    memory_give(engine->memory, lease, sizeof *lease + lease->worker_size);
}

int64_t lease_deadline(const struct lease *lease)
{
    ASSERT(lease->is_live);
    return lease->as.deadline_ns < lease->timeout_ns ? lease->as.deadline_ns : lease->timeout_ns;
}

void lease_arm(struct engine *engine, struct lease *lease)
{
    struct ordered *timers = &engine->works.lease_timers;
    bool is_short = lease->is_orphan && lease->grace_ms < lease->lease_ms;
    uint32_t left_ms = is_short ? lease->grace_ms : lease->lease_ms;
    lease->as.deadline_ns = engine->time_ns + (int64_t)left_ms * NS_PER_MS;
    int64_t deadline_ns = lease_deadline(lease);
    if (lease->timer.index == ORDERED_INDEX_NONE) {
        ordered_insert(timers, &lease->timer, deadline_ns, lease->item->number);
    } else if (timers->entries[lease->timer.index].key > deadline_ns) {
        ordered_move(timers, &lease->timer, deadline_ns);
    }
}

static bool has_client(const struct map_node *place, const void *key)
{
    const struct lease *lease = CONTAINER_OF_CONST(place, struct lease, clients.place);
    return lease->client == *(const uint64_t *)key;
}

void lease_bind(struct engine *engine, struct lease *lease, uint64_t client)
{
    ASSERT(!lease->is_bound);
    lease->is_bound = true;
    lease->client = client;
    uint32_t hash = wait_hash(client);
    multimap_insert(&engine->works.bound, &lease->clients, hash, has_client, &client);
}

void lease_unbind(struct engine *engine, struct lease *lease)
{
    if (!lease->is_bound) return;
    lease->is_bound = false;
    multimap_remove(&engine->works.bound, &lease->clients, has_client, &lease->client);
}

struct lease *lease_of_client(const struct engine *engine, uint64_t client)
{
    struct multimap_node *node =
        multimap_find(&engine->works.bound, wait_hash(client), has_client, &client);
    return node == NULL ? NULL : CONTAINER_OF(node, struct lease, clients);
}

/* ------------------------------------------------------------------ looking */

static void view_lease(
    const struct engine *engine, const struct lease *lease, struct engine_item_view *out_view)
{
    int64_t remaining_ms = lease->lease_ms;
    if (lease->is_live) {
        int64_t left_ns = lease_deadline(lease) - engine->time_ns;
        remaining_ms = left_ns <= 0 ? 0 : left_ns / NS_PER_MS;
    }
    out_view->worker = (struct bytes){ lease->worker, lease->worker_size };
    out_view->taken_at = lease->taken_at;
    out_view->lease_ms = lease->lease_ms;
    out_view->remaining_ms = remaining_ms;
}

void item_view(
    const struct engine *engine, const struct item *item, struct engine_item_view *out_view)
{
    *out_view = (struct engine_item_view){
        .queue = work_name(item->group->work),
        .id = item_id(item),
        .group = group_name(item->group),
        .state = (enum item_state)item->state,
        .body = item_body(item),
        .headers = item_headers(item),
        .unique = item_unique(item),
        .note = item_note(item),
        .token = item->token,
        .terms = item->terms,
        .attempts = item->attempts,
        .lapses = item->lapses,
        .number = item->number,
        .put_at = { item->put_at_us },
        .run_at = { item->terms.run_at_us },
        .is_cancelling = item->is_cancelling,
    };
    if (item->lease != NULL) view_lease(engine, item->lease, out_view);
}
