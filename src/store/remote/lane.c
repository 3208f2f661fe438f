#include "store/remote/lane.h"

#include <stdio.h>

/* Pauses between attempts to connect: random, up to a bound that doubles (full jitter), so that the
 * clients of a server that comes back do not come all at once. */
#define PAUSE_MS_FIRST 20u
#define PAUSE_MS_MAX   1000u

#define FLIGHT_CAPACITY_FIRST 16u

/* ------------------------------------------------------------------ the flight */

static struct store_op **flight_at(const struct flight *flight, uint32_t index)
{
    return &flight->ops[(flight->start + index) & (flight->capacity - 1)];
}

static bool flight_grow(const struct memory *memory, struct flight *flight)
{
    if (flight->count < flight->capacity) return true;
    uint32_t capacity = flight->capacity == 0 ? FLIGHT_CAPACITY_FIRST : flight->capacity * 2;
    struct store_op **ops = memory_take(memory, capacity * sizeof(*ops));
    if (ops == NULL) return false;
    for (uint32_t index = 0; index < flight->count; index++) {
        ops[index] = *flight_at(flight, index);
    }
    memory_give(memory, flight->ops, flight->capacity * sizeof(*ops));
    flight->ops = ops;
    flight->start = 0;
    flight->capacity = capacity;
    return true;
}

bool tni_lane_expect(struct lane *lane, struct store_op *op)
{
    struct flight *flight = &lane->flight;
    if (!flight_grow(lane->remote->memory, flight)) return false;
    flight->count++;
    *flight_at(flight, flight->count - 1) = op;
    return true;
}

static struct store_op *flight_pop(struct flight *flight)
{
    ASSERT(flight->count > 0);
    struct store_op *op = *flight_at(flight, 0);
    flight->start = (flight->start + 1) & (flight->capacity - 1);
    flight->count--;
    return op;
}

void tni_lane_forget(struct lane *lane, const struct store_op *op)
{
    for (uint32_t index = 0; index < lane->flight.count; index++) {
        struct store_op **slot = flight_at(&lane->flight, index);
        if (*slot == op) *slot = NULL;
    }
}

/* ------------------------------------------------------------------ sending */

void tni_lane_touch(struct lane *lane)
{
    lane->is_dirty = true;
    lane->remote->is_dirty = true;
}

/* The greeting has told what the server promises: what asks for more is refused before anything is
 * asked of it. */
static bool refuse_weak(struct lane *lane, struct store_op *op)
{
    enum store_safety safety = lane->remote->store.safety;
    if (op->request.verb != STORE_ACQUIRE || op->phase != PHASE_FIRST) return false;
    enum store_safety wanted = op->request.as.acquire.min_safety;
    if (wanted <= safety) return false;
    char text[sizeof(op->text)];
    (void)snprintf(
        text,
        sizeof(text),
        "this store promises %s, and %s was demanded",
        tni_store_safety_word(safety),
        tni_store_safety_word(wanted));
    tni_remote_give_up(lane->remote, op, TENURE_UNSUPPORTED, text);
    return true;
}

static void transmit(struct lane *lane, struct store_op *op)
{
    if (refuse_weak(lane, op)) return;
    if (tni_encode(lane, op)) {
        tni_remote_mark_sent(lane->remote, op);
        tni_lane_touch(lane);
    } else {
        tni_lane_forget(lane, op);
        tni_remote_give_up(lane->remote, op, TENURE_NO_MEMORY, NULL);
    }
}

void tni_lane_add(struct lane *lane, struct store_op *op)
{
    op->where = lane;
    if (tni_link_is_up(lane->link)) {
        transmit(lane, op);
        return;
    }
    list_append(&lane->pending, &op->link);
    tni_lane_connect(lane);
}

/* ------------------------------------------------------------------ the connection */

static void on_up(struct link *link)
{
    struct lane *lane = link->owner;
    lane->failure_count = 0;
    struct list *first;
    while ((first = list_first(&lane->pending)) != NULL && tni_link_is_up(lane->link)) {
        struct store_op *op = CONTAINER_OF(first, struct store_op, link);
        list_remove(&op->link);
        transmit(lane, op);
    }
}

static void on_reply(struct link *link, struct reply *reply)
{
    struct lane *lane = link->owner;
    if (tni_reply_peek(reply) == RESP_PUSH) return; /* nobody asked for it */
    if (lane->flight.count == 0) {
        tni_lane_break(lane, "the server answers what nobody asked");
        return;
    }
    struct store_op *op = flight_pop(&lane->flight);
    if (op != NULL) tni_decode(lane, op, reply);
}

static void on_down(struct link *link, const char *text)
{
    tni_lane_break(link->owner, text);
}

static const struct link_ops link_ops = {
    .open = tni_greeting_write,
    .greet = tni_greeting_judge,
    .up = on_up,
    .reply = on_reply,
    .down = on_down,
    .gone = tni_remote_let_go,
};

void tni_lane_retry(struct lane *lane)
{
    struct remote *remote = lane->remote;
    struct link_options options = {
        .loop = remote->loop,
        .memory = remote->memory,
        .address = &remote->address,
        .address_index = remote->address_index,
        .ops = &link_ops,
        .owner = lane,
        .context = remote,
    };
    ASSERT(lane->link == NULL);
    lane->link = tni_link_create(&options);
    if (lane->link == NULL) {
        tni_lane_break(lane, "no memory");
    } else {
        remote->open_count++;
    }
}

void tni_lane_connect(struct lane *lane)
{
    bool is_pausing = lane->timer.index != HEAP_INDEX_NONE;
    if (lane->link == NULL && !is_pausing && !lane->remote->is_closed) tni_lane_retry(lane);
}

/* What was under way is sent again, the oldest first, where that is harmless. */
static void take_back(struct lane *lane)
{
    struct list unknown;
    list_init(&unknown);
    for (uint32_t index = lane->flight.count; index-- > 0;) {
        struct store_op *op = *flight_at(&lane->flight, index);
        if (op == NULL) continue;
        tni_lane_forget(lane, op);
        list_remove(&op->link);
        struct list *head = tni_is_repeatable(op) ? &lane->pending : &unknown;
        list_insert_before(head->next, &op->link);
    }
    lane->flight.count = 0;
    struct list *first;
    while ((first = list_first(&unknown)) != NULL) {
        struct store_op *op = CONTAINER_OF(first, struct store_op, link);
        list_remove(&op->link);
        tni_remote_give_up(lane->remote, op, TENURE_UNKNOWN, "the connection broke");
    }
}

static int64_t pause_ns(struct lane *lane)
{
    uint32_t bound_ms = PAUSE_MS_MAX;
    if (lane->failure_count < 6) bound_ms = PAUSE_MS_FIRST << lane->failure_count;
    if (bound_ms > PAUSE_MS_MAX) bound_ms = PAUSE_MS_MAX;
    uint64_t range_ns = (uint64_t)bound_ms * (uint64_t)NS_PER_MS;
    return (int64_t)(tni_remote_random(lane->remote) % range_ns);
}

void tni_lane_break(struct lane *lane, const char *text)
{
    struct remote *remote = lane->remote;
    (void)snprintf(remote->trouble, sizeof(remote->trouble), "%s", text);
    if (lane->link != NULL) {
        /* Another address of the host is tried only where this one gave no connection. */
        if (!lane->link->was_up) remote->address_index++;
        tni_link_close(lane->link);
        lane->link = NULL;
    }
    take_back(lane);
    bool is_wanted = lane->kind == LANE_MAIN || !list_is_empty(&lane->pending);
    if (!is_wanted || remote->is_closed || lane->timer.index != HEAP_INDEX_NONE) return;
    /* Room for the timers of both fixed lanes is reserved; a further one reserves its own. */
    heap_insert(&remote->lane_timers, &lane->timer, tni_store_now().ns + pause_ns(lane));
    lane->failure_count++;
    tni_remote_arm(remote);
}

/* ------------------------------------------------------------------ life */

void tni_lane_init(struct remote *remote, struct lane *lane, enum lane_kind kind)
{
    *lane = (struct lane){ .remote = remote, .kind = kind, .timer = { HEAP_INDEX_NONE } };
    list_init(&lane->lanes);
    list_init(&lane->pending);
    list_append(&remote->lanes, &lane->lanes);
}

void tni_lane_deinit(struct lane *lane)
{
    ASSERT(list_is_empty(&lane->pending));
    if (lane->link != NULL) {
        /* A wait ends when the server sees the connection end. */
        tni_link_close(lane->link);
        lane->link = NULL;
    }
    heap_remove(&lane->remote->lane_timers, &lane->timer);
    list_remove(&lane->lanes);
    memory_give(
        lane->remote->memory, lane->flight.ops, lane->flight.capacity * sizeof(struct store_op *));
    lane->flight = (struct flight){ 0 };
}
