/* work_take - items go to those who want them: at once, or to who has waited longest.
 *
 * A take of several queues is served from the first of them that can give, then from the second,
 * and so on.  Who waits at several queues has one place in each, all with one arrival: the first to
 * arrive is served first, wherever there is something for it. */
#include "base/utf8.h"
#include "engine/grant.h"
#include "engine/output.h"
#include "engine/taker.h"
#include "engine/work_apply.h"
#include "engine/work_commands.h"

/* Who is served. */
struct served {
    uint64_t client;
    uint64_t tag;
    struct bytes worker;
    uint32_t count_max;
    uint32_t lease_ms;
    uint32_t grace_ms;
    bool is_bound;
};

/* -------------------------------------------------------------------- giving */

/* The next item of this queue.  False when there is no memory or no token; nothing has changed. */
static bool give_one(struct engine *engine, struct work *work, const struct served *served)
{
    struct item *item = work_next(work);
    uint32_t lease_ms = served->lease_ms > 0 ? served->lease_ms : item->terms.lease_ms;
    size_t size = output_record_size(work_name(work), item_id(item), served->worker);
    if (!grant_has_tokens(engine, 1) || !output_reserve(engine, size, 1, 0) ||
        !output_reserve_items(engine, 1) || !work_reserve_pending(engine))
    {
        return false;
    }
    struct lease *lease = lease_create(engine, served->worker, lease_ms);
    if (lease == NULL) return false;

    struct record record = { .kind = RECORD_TAKEN,
                             .id = item_id(item),
                             .owner = served->worker,
                             .token = grant_next_token(engine),
                             .ttl_ms = lease_ms };
    int64_t waited_us = engine->wall.us - item->order_us;
    histogram_observe(&engine->counters.item_waits, waited_us);
    output_work_record(engine, work, &record);
    work_apply_taken(engine, item, lease, &record);
    lease->grace_ms = served->grace_ms;
    if (served->is_bound) lease_bind(engine, lease, served->client);
    return true;
}

/* The answer begins with the first item. */
static void answer_one(
    struct engine *engine, const struct item *item, const struct served *served, bool is_first)
{
    if (is_first) output_reply(engine, served->client, served->tag)->kind = ENGINE_TAKE;
    item_view(engine, item, &output_item(engine)->item);
    output_depend(engine, engine->seq);
}

/* What the item adds to the answer. */
static size_t size_of(const struct item *item)
{
    return item_body(item).size + item_headers(item).size;
}

/* Up to so many items of these queues; how many there were.  Fewer than there are when memory or
 * tokens run out, or when the answer would be too large: one item fits always. */
static uint32_t give(
    struct engine *engine,
    struct work *const *works,
    uint32_t work_count,
    const struct served *served)
{
    uint32_t count = 0;
    size_t size = 0;
    for (uint32_t index = 0; index < work_count; index++) {
        struct work *work = works[index];
        while (work != NULL && count < served->count_max && work_can_give(work)) {
            const struct item *item = work_next(work);
            size += size_of(item);
            if (count > 0 && size > LIMIT_TAKE_SIZE_MAX) return count;
            if (!give_one(engine, work, served)) return count;
            answer_one(engine, item, served, count == 0);
            count++;
        }
    }
    return count;
}

/* ------------------------------------------------------------------- serving */

/* False: no memory, or no tokens. */
static bool serve_taker(struct engine *engine, struct taker *taker)
{
    if (taker->deadline_ns <= engine->time_ns) return taker_give_up(engine, taker, TENURE_TIMEOUT);
    UNINITIALIZED struct work *works[LIMIT_NAME_COUNT_MAX];
    for (uint32_t index = 0; index < taker->place_count; index++) {
        works[index] = taker->places[index].work;
    }
    struct served served = { .client = taker->wait.client,
                             .tag = taker->wait.tag,
                             .worker = taker_worker(taker),
                             .count_max = taker->count_max,
                             .lease_ms = taker->lease_ms,
                             .grace_ms = taker->grace_ms,
                             .is_bound = taker->is_bound };
    if (give(engine, works, taker->place_count, &served) == 0) return false;
    taker_remove(engine, taker);
    return true;
}

void works_serve(struct engine *engine)
{
    struct ordered *unserved = &engine->works.unserved;
    if (engine->gate != ENGINE_GATE_OPEN || engine->is_restoring) return;
    while (unserved->count > 0) {
        struct work *work = CONTAINER_OF(unserved->entries[0].node, struct work, unserved);
        work_changed(engine, work); /* it may have nothing to give any more */
        if (work->unserved.index == ORDERED_INDEX_NONE) continue;
        struct list *first = list_first(&work->takers);
        ASSERT(first != NULL);
        if (!serve_taker(engine, CONTAINER_OF(first, struct taker_place, link)->taker)) return;
    }
}

/* ------------------------------------------------------------------- command */

static const char *find_fault(const struct engine_take *take)
{
    if (take->queue_count == 0 || take->queue_count > LIMIT_NAME_COUNT_MAX) {
        return "queues: 1 to 32 are allowed";
    }
    for (uint32_t index = 0; index < take->queue_count; index++) {
        if (!work_is_name(take->queues[index])) {
            return "queue: 1 to 255 bytes of UTF-8 without control characters";
        }
        for (uint32_t other = 0; other < index; other++) {
            if (bytes_equal(take->queues[index], take->queues[other])) {
                return "queues: one of them is there twice";
            }
        }
    }
    if (take->worker.size == 0 || take->worker.size > LIMIT_OWNER_SIZE_MAX ||
        !utf8_is_plain(take->worker))
    {
        return "worker: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (take->count_max == 0 || take->count_max > LIMIT_ITEM_COUNT_MAX) return "count: 1 to 1024";
    if (take->wait_ms > LIMIT_WAIT_MS_MAX) return "wait_ms: up to 86400000";
    if (take->grace_ms > LIMIT_GRACE_MS_MAX) return "grace_ms: up to 3600000";
    if (take->lease_ms != 0 &&
        (take->lease_ms < LIMIT_TTL_MS_MIN || take->lease_ms > LIMIT_TTL_MS_MAX)) {
        return "lease_ms: 100 to 86400000, or 0 for what the item says";
    }
    return NULL;
}

/* Wait at all of them. */
static void wait(struct engine *engine, const struct engine_command *command)
{
    const struct engine_take *take = &command->as.take;
    struct work *works[LIMIT_NAME_COUNT_MAX] = { NULL };
    uint32_t count = 0;
    while (count < take->queue_count) {
        works[count] = work_obtain(engine, take->queues[count]);
        if (works[count] == NULL) break;
        works[count++]->pin_count++;
    }
    bool is_done = count == take->queue_count && taker_create(engine, command, works) != NULL;
    if (!is_done) output_refuse(engine, command, TENURE_NO_MEMORY, take->queues[0], NULL);
    engine->output.is_waiting = is_done;
    for (uint32_t index = 0; index < count; index++) {
        works[index]->pin_count--;
        work_settle(engine, works[index]);
    }
}

/* What can be given past those who wait already: nothing, where somebody does.  `*out_is_stuck`:
 * there would have been something if there were memory. */
static uint32_t
give_now(struct engine *engine, const struct engine_command *command, bool *is_stuck)
{
    const struct engine_take *take = &command->as.take;
    struct work *works[LIMIT_NAME_COUNT_MAX] = { NULL };
    for (uint32_t index = 0; index < take->queue_count; index++) {
        works[index] = work_find(engine, take->queues[index]);
        if (works[index] == NULL) continue;
        if (!list_is_empty(&works[index]->takers)) works[index] = NULL;
        if (works[index] != NULL && work_can_give(works[index])) *is_stuck = true;
    }
    struct served served = { .client = command->client,
                             .tag = command->tag,
                             .worker = take->worker,
                             .count_max = take->count_max,
                             .lease_ms = take->lease_ms,
                             .grace_ms = take->grace_ms,
                             .is_bound = take->is_bound };
    return give(engine, works, take->queue_count, &served);
}

void command_take(struct engine *engine, const struct engine_command *command)
{
    const struct engine_take *take = &command->as.take;
    const char *fault = find_fault(take);
    struct bytes name = take->queue_count > 0 ? take->queues[0] : (struct bytes){ 0 };
    if (fault != NULL) {
        output_refuse(engine, command, TENURE_INVALID, name, fault);
        return;
    }
    enum tenure_err err = work_gate(engine);
    if (err != TENURE_OK) {
        output_refuse(engine, command, err, name, work_gate_detail(engine));
        return;
    }
    bool is_stuck = false;
    if (give_now(engine, command, &is_stuck) > 0) return;
    if (is_stuck) {
        output_refuse(engine, command, TENURE_NO_MEMORY, name, NULL);
    } else if (take->wait_ms == 0) {
        struct engine_reply *reply = output_reply(engine, command->client, command->tag);
        reply->kind = command->kind;
        reply->err = TENURE_TIMEOUT;
        output_depend(engine, engine->seq);
    } else if (waits_count(&engine->works.takers) >= engine->options.waiter_count_max) {
        output_refuse(engine, command, TENURE_TOO_MANY, name, "too many requests are waiting");
    } else {
        wait(engine, command);
    }
}

/* --------------------------------------------------------------------- await */

void command_await(struct engine *engine, const struct engine_command *command)
{
    const struct engine_await *await = &command->as.await_end;
    const struct work *work = work_find(engine, await->queue);
    struct item *item = work == NULL ? NULL : item_find(engine, work, await->id);
    if (await->wait_ms > LIMIT_WAIT_MS_MAX) {
        output_refuse(engine, command, TENURE_INVALID, await->queue, "wait_ms: up to 86400000");
        return;
    }
    if (item == NULL) {
        output_refuse(engine, command, TENURE_NOT_FOUND, await->queue, NULL);
        output_depend(engine, work == NULL ? engine->seq : work->last_seq);
        return;
    }
    bool is_over =
        item->state == ITEM_DONE || item->state == ITEM_DEAD || item->state == ITEM_CANCELLED;
    if (is_over || await->wait_ms == 0) {
        if (!output_reserve(engine, 0, 1, 0) || !output_reserve_items(engine, 1)) {
            output_refuse(engine, command, TENURE_NO_MEMORY, await->queue, NULL);
            return;
        }
        struct engine_item_result *result = work_answer(engine, command, item);
        if (!is_over) result->err = TENURE_TIMEOUT;
        engine->output.replies[engine->output.reply_count - 1].err = result->err;
    } else if (engine->gate == ENGINE_GATE_DRAINING) {
        output_refuse(engine, command, TENURE_DRAINING, await->queue, NULL);
    } else if (waits_count(&engine->works.takers) >= engine->options.waiter_count_max) {
        output_refuse(
            engine, command, TENURE_TOO_MANY, await->queue, "too many requests are waiting");
    } else if (taker_await(engine, command, item) == NULL) {
        output_refuse(engine, command, TENURE_NO_MEMORY, await->queue, NULL);
    } else {
        engine->output.is_waiting = true;
    }
}
