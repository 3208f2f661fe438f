#include "engine/taker.h"

#include "engine/output.h"

/* ------------------------------------------------------------------ finding */

struct taker_key {
    uint64_t client;
    const uint64_t *tag; /* NULL: any */
};

static uint32_t number_hash(uint64_t number)
{
    return (uint32_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static bool is_taker(const struct map_node *node, const void *key)
{
    const struct taker_key *wanted = key;
    const struct taker *taker = CONTAINER_OF_CONST(node, struct taker, clients);
    if (taker->client != wanted->client) return false;
    return wanted->tag == NULL || taker->tag == *wanted->tag;
}

static struct taker *find(const struct engine *engine, const struct taker_key *key)
{
    struct map_node *node =
        map_find(&engine->works.takers, number_hash(key->client), is_taker, key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct taker, clients);
}

struct taker *taker_find(const struct engine *engine, uint64_t client, uint64_t tag)
{
    return find(engine, &(struct taker_key){ client, &tag });
}

struct taker *taker_of_client(const struct engine *engine, uint64_t client)
{
    return find(engine, &(struct taker_key){ client, NULL });
}

static bool awaits(const struct map_node *node, const void *key)
{
    return CONTAINER_OF_CONST(node, struct taker, items)->item == key;
}

struct taker *taker_of_item(const struct engine *engine, const struct item *item)
{
    if (!item->is_awaited) return NULL;
    struct map_node *node =
        map_find(&engine->works.awaits, number_hash(item->number), awaits, item);
    return node == NULL ? NULL : CONTAINER_OF(node, struct taker, items);
}

/* Few items are awaited, and few by many: they are counted rather than each item made larger. */
uint32_t taker_count_of_item(const struct engine *engine, const struct item *item)
{
    const struct taker *first = taker_of_item(engine, item);
    uint32_t count = 0;
    for (const struct map_node *node = first == NULL ? NULL : &first->items; node != NULL;
         node = node->next)
    {
        if (awaits(node, item)) count++; /* all of one hash are in one chain */
    }
    return count;
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
    if (!map_reserve(&works->takers) || !map_reserve(&works->awaits) ||
        !ordered_reserve(&works->taker_timers, 1))
    {
        return NULL;
    }
    struct taker *taker = memory_take(engine->memory, taker_size(shape));
    if (taker == NULL) return NULL;
    *taker = *shape;
    taker->client = command->client;
    taker->tag = command->tag;
    taker->arrival = ++works->arrival_count;
    taker->timer.index = ORDERED_INDEX_NONE;
    map_insert(&works->takers, &taker->clients, number_hash(taker->client));
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
    map_insert(&engine->works.awaits, &taker->items, number_hash(item->number));
    item->is_awaited = true;
    return taker;
}

void taker_remove(struct engine *engine, struct taker *taker)
{
    struct works *works = &engine->works;
    map_remove(&works->takers, &taker->clients);
    ordered_remove(&works->taker_timers, &taker->timer);
    if (taker->item != NULL) {
        struct item *item = taker->item;
        map_remove(&works->awaits, &taker->items);
        item->is_awaited = taker_of_item(engine, item) != NULL;
        taker->item = NULL;
    }
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
    struct engine_reply *reply = output_reply(engine, taker->client, taker->tag);
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

void taker_note_end(struct engine *engine, struct item *item)
{
    struct works *works = &engine->works;
    struct taker *taker;
    while ((taker = taker_of_item(engine, item)) != NULL) {
        map_remove(&works->awaits, &taker->items);
        map_remove(&works->takers, &taker->clients);
        ordered_remove(&works->taker_timers, &taker->timer);
        taker->next_dead = works->told;
        works->told = taker;
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
        struct engine_reply *reply = output_reply(engine, taker->client, taker->tag);
        reply->kind = ENGINE_AWAIT;
        item_view(engine, taker->item, &output_item(engine)->item);
        output_depend(engine, engine->seq);
        taker->item = NULL;
        taker->next_dead = works->dead_takers;
        works->dead_takers = taker;
    }
}
