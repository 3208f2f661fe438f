#include "engine/taker.h"

#include "engine/output.h"

/* ------------------------------------------------------------------ finding */

static struct taker *taker_from_wait(struct wait *wait)
{
    return wait == NULL ? NULL : CONTAINER_OF(wait, struct taker, wait);
}

struct taker *taker_find(const struct engine *engine, uint64_t client, uint64_t tag)
{
    return taker_from_wait(waits_find(&engine->works.takers, client, tag));
}

struct taker *taker_of_client(const struct engine *engine, uint64_t client)
{
    return taker_from_wait(waits_of_client(&engine->works.takers, client));
}

static bool awaits(const struct map_node *place, const void *key)
{
    return CONTAINER_OF_CONST(place, struct taker, items.place)->item == key;
}

struct taker *taker_of_item(const struct engine *engine, const struct item *item)
{
    if (!item->is_awaited) return NULL;
    struct multimap_node *node =
        multimap_find(&engine->works.awaits, wait_hash(item->number), awaits, item);
    return node == NULL ? NULL : CONTAINER_OF(node, struct taker, items);
}

uint32_t taker_count_of_item(const struct engine *engine, const struct item *item)
{
    const struct taker *first = taker_of_item(engine, item);
    return first == NULL ? 0 : multimap_count(&first->items);
}

struct bytes taker_worker(const struct taker *taker)
{
    return (struct bytes){ (const char *)(taker->places + taker->place_count), taker->worker_size };
}

/* ---------------------------------------------------------- making and ending */

static size_t taker_size(const struct taker *taker)
{
    return sizeof *taker + taker->place_count * sizeof(struct taker_place) + taker->worker_size;
}

/* `shape` says how many places and how long a worker. */
static struct taker *
make(struct engine *engine, const struct engine_command *command, const struct taker *shape)
{
    struct works *works = &engine->works;
    if (!waits_reserve(&works->takers) || !map_reserve(&works->awaits) ||
        !ordered_reserve(&works->taker_timers, 1))
    {
        return NULL;
    }
    struct taker *taker = memory_take(engine->memory, taker_size(shape));
    if (taker == NULL) return NULL;
    *taker = *shape;
    taker->arrival = ++works->arrival_count;
    taker->timer.index = ORDERED_INDEX_NONE;
    waits_add(&works->takers, &taker->wait, command->client, command->tag);
    ordered_insert(&works->taker_timers, &taker->timer, taker->deadline_ns, taker->arrival);
    return taker;
}

struct taker *
taker_create(struct engine *engine, const struct engine_command *command, struct work *const *works)
{
    const struct engine_take *take = &command->as.take;
    struct taker shape = { .deadline_ns = engine->time_ns + (int64_t)take->wait_ms * NS_PER_MS,
                           .count_max = take->count_max,
                           .lease_ms = take->lease_ms,
                           .grace_ms = take->grace_ms,
                           .is_bound = take->is_bound,
                           .worker_size = (uint8_t)take->worker.size,
                           .place_count = take->queue_count };
    struct taker *taker = make(engine, command, &shape);
    if (taker == NULL) return NULL;
    char *worker = (char *)(taker->places + taker->place_count);
    if (take->worker.size > 0) memcpy(worker, take->worker.data, take->worker.size);
    for (uint32_t index = 0; index < taker->place_count; index++) {
        struct taker_place *place = &taker->places[index];
        *place = (struct taker_place){ .taker = taker, .work = works[index] };
        list_init(&place->link);
        list_append(&works[index]->takers, &place->link);
        works[index]->taker_count++;
        work_changed(engine, works[index]);
    }
    return taker;
}

struct taker *
taker_await(struct engine *engine, const struct engine_command *command, struct item *item)
{
    int64_t wait_ns = (int64_t)command->as.await_end.wait_ms * NS_PER_MS;
    struct taker shape = { .deadline_ns = engine->time_ns + wait_ns, .item = item };
    struct taker *taker = make(engine, command, &shape);
    if (taker == NULL) return NULL;
    uint32_t hash = wait_hash(item->number);
    multimap_insert(&engine->works.awaits, &taker->items, hash, awaits, item);
    item->is_awaited = true;
    return taker;
}

/* Nobody waits any more, for the time or for the item. */
static void leave(struct engine *engine, struct taker *taker)
{
    struct works *works = &engine->works;
    waits_remove(&works->takers, &taker->wait);
    ordered_remove(&works->taker_timers, &taker->timer);
    if (taker->item == NULL) return;
    struct item *item = taker->item;
    multimap_remove(&works->awaits, &taker->items, awaits, item);
    item->is_awaited = taker_of_item(engine, item) != NULL;
}

void taker_remove(struct engine *engine, struct taker *taker)
{
    struct works *works = &engine->works;
    leave(engine, taker);
    taker->item = NULL;
    for (uint32_t index = 0; index < taker->place_count; index++) {
        struct taker_place *place = &taker->places[index];
        list_remove(&place->link);
        place->work->taker_count--;
        work_changed(engine, place->work);
        work_settle(engine, place->work);
    }
    taker->next_dead = works->dead_takers;
    works->dead_takers = taker;
}

void taker_free(struct engine *engine, struct taker *taker)
{
    memory_give(engine->memory, taker, taker_size(taker));
}

/* ----------------------------------------------------------------- answering */

bool taker_give_up(struct engine *engine, struct taker *taker, enum tenure_err err)
{
    if (!output_reserve(engine, 0, 1, 0) || !output_reserve_items(engine, 1)) return false;
    struct engine_reply *reply = output_reply(engine, taker->wait.client, taker->wait.tag);
    reply->kind = taker->item == NULL ? ENGINE_TAKE : ENGINE_AWAIT;
    reply->err = err;
    if (taker->item != NULL) {
        struct engine_item_result *result = output_item(engine);
        result->err = err;
        item_view(engine, taker->item, &result->item);
        output_depend(engine, taker->item->group->work->last_seq);
    }
    taker_remove(engine, taker);
    return true;
}

bool taker_reserve_ends(struct engine *engine, const struct item *item)
{
    uint32_t count = taker_count_of_item(engine, item);
    return output_reserve(engine, 0, count, 0) && output_reserve_items(engine, count);
}

void taker_note_end(struct engine *engine, struct item *item, enum tenure_err err)
{
    struct works *works = &engine->works;
    struct taker *taker;
    while ((taker = taker_of_item(engine, item)) != NULL) {
        leave(engine, taker);
        taker->ending = err;
        taker->next_dead = NULL;
        if (works->told == NULL) {
            works->told = taker;
        } else {
            works->told_last->next_dead = taker;
        }
        works->told_last = taker;
        works->told_count++;
    }
    item->is_awaited = false;
}

void takers_tell(struct engine *engine)
{
    struct works *works = &engine->works;
    while (works->told != NULL) {
        struct taker *taker = works->told;
        works->told = taker->next_dead;
        works->told_count--;
        struct engine_reply *reply = output_reply(engine, taker->wait.client, taker->wait.tag);
        reply->kind = ENGINE_AWAIT;
        reply->err = taker->ending;
        if (taker->ending == TENURE_OK) item_view(engine, taker->item, &output_item(engine)->item);
        output_depend(engine, engine->seq);
        taker->item = NULL;
        taker->next_dead = works->dead_takers;
        works->dead_takers = taker;
    }
}
