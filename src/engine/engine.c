#include "engine/engine.h"

#include "engine/apply.h"
#include "engine/clock.h"
#include "engine/commands.h"
#include "engine/hold.h"
#include "engine/key_commands.h"
#include "engine/lock.h"
#include "engine/name_index.h"
#include "engine/output.h"
#include "engine/queue.h"
#include "engine/snapshot.h"
#include "engine/state.h"
#include "engine/taker.h"
#include "engine/work_clock.h"
#include "engine/work_commands.h"

/* ----------------------------------------------------------- life and death */

struct engine *engine_create(const struct engine_options *options)
{
    ASSERT(options->window_size >= ENGINE_WINDOW_SIZE_MIN && options->ageing_ms > 0);
    struct engine *engine = memory_take(options->memory, sizeof *engine);
    if (engine == NULL) return NULL;
    *engine = (struct engine){ .memory = options->memory, .options = *options };
    map_init(&engine->locks, engine->memory);
    map_init(&engine->parties, engine->memory);
    map_init(&engine->waiters, engine->memory);
    heap_init(&engine->hold_timers, engine->memory);
    heap_init(&engine->wait_timers, engine->memory);
    heap_init(&engine->delay_timers, engine->memory);
    list_init(&engine->queues);
    list_init(&engine->unserved);
    works_init(engine);
    keys_init(engine);
    if (engine->options.item_count_max == 0) {
        engine->options.item_count_max = ENGINE_ITEM_COUNT_MAX_DEFAULT;
    }
    if (engine->options.item_bytes_max == 0) {
        engine->options.item_bytes_max = ENGINE_ITEM_BYTES_MAX_DEFAULT;
    }
    if (engine->options.key_count_max == 0) {
        engine->options.key_count_max = ENGINE_KEY_COUNT_MAX_DEFAULT;
    }
    if (engine->options.key_bytes_max == 0) {
        engine->options.key_bytes_max = ENGINE_KEY_BYTES_MAX_DEFAULT;
    }
    if (engine->options.look_count_max == 0) {
        engine->options.look_count_max = ENGINE_LOOK_COUNT_MAX_DEFAULT;
    }
    output_init(engine);
    buffer_init(&engine->snapshot.images, engine->memory);
    engine->is_restoring = true;
    engine->time_ns = INT64_MIN / 2;
    /* Whoever holds must be able to renew and to give back without memory, and anybody to be
     * refused. */
    if (window_init(&engine->window, engine->memory, options->window_size) &&
        output_reserve(engine, RECORD_SIZE_MAX, 1, 1) &&
        buffer_reserve(&engine->output.brief, RECORD_SIZE_MAX))
    {
        return engine;
    }
    engine_destroy(&engine);
    return NULL;
}

static void bury(struct engine *engine)
{
    works_bury(engine);
    keys_bury(engine);
    while (engine->dead_holds != NULL) {
        struct hold *hold = engine->dead_holds;
        engine->dead_holds = hold->as.next_dead;
        hold_free(engine, hold);
    }
    while (engine->dead_locks != NULL) {
        struct lock *lock = engine->dead_locks;
        engine->dead_locks = lock->forward[0];
        lock_free(engine, lock);
    }
    while (engine->dead_waiters != NULL) {
        struct waiter *waiter = engine->dead_waiters;
        engine->dead_waiters = waiter->next_dead;
        memory_give(
            engine->memory, waiter, sizeof *waiter + waiter->hold_count * sizeof(struct hold *));
    }
}

static void destroy_waiters(struct engine *engine)
{
    struct map_node *node;
    while ((node = map_next(&engine->waiters, NULL)) != NULL) {
        waiter_remove(engine, CONTAINER_OF(node, struct waiter, clients));
    }
}

/* What shared state was: everybody who waits, and all events, which keep values. */
static void destroy_events(struct engine *engine)
{
    struct map_node *node;
    while ((node = map_next(&engine->keys.waits, NULL)) != NULL) {
        key_wait_remove(engine, CONTAINER_OF(node, struct key_wait, clients));
    }
    if (engine->window.memory == NULL) return;
    while (engine->window.first.value <= engine->window.last.value) {
        output_forget(engine);
    }
}

static void destroy_lock(struct engine *engine, struct lock *lock)
{
    list_foreach_safe(link, following, &lock->holds) {
        hold_end(engine, hold_from_link(link));
    }
    lock->hold_count = 0;
    if (lock->queue != NULL) {
        heap_remove(&engine->delay_timers, &lock->queue->delay_timer);
        lock->queue->delay_ms = 0;
    }
    lock->event_count = 0;
    lock_settle(engine, lock);
}

void engine_destroy(struct engine **engine_pointer)
{
    struct engine *engine = *engine_pointer;
    if (engine == NULL) return;
    *engine_pointer = NULL;

    destroy_waiters(engine);
    destroy_events(engine);
    for (struct lock *lock = name_index_first(engine); lock != NULL;) {
        struct lock *next = name_index_next(lock);
        destroy_lock(engine, lock);
        lock = next;
    }
    works_deinit(engine);
    keys_deinit(engine);
    bury(engine);
    map_deinit(&engine->locks);
    map_deinit(&engine->parties);
    map_deinit(&engine->waiters);
    heap_deinit(&engine->hold_timers);
    heap_deinit(&engine->wait_timers);
    heap_deinit(&engine->delay_timers);
    window_deinit(&engine->window);
    output_deinit(engine);
    buffer_deinit(&engine->snapshot.images);
    memory_give(
        engine->memory,
        engine->pending.entries,
        engine->pending.capacity * sizeof *engine->pending.entries);
    memory_give(engine->memory, engine, sizeof *engine);
}

/* -------------------------------------------------------------------- step */

static void step_command(struct engine *engine, const struct engine_command *command)
{
    switch (command->kind) {
    case ENGINE_ACQUIRE: command_acquire(engine, command); return;
    case ENGINE_CANCEL: command_cancel(engine, command); return;
    case ENGINE_RENEW: command_renew(engine, command); return;
    case ENGINE_RELEASE: command_release(engine, command); return;
    case ENGINE_BREAK: command_break(engine, command); return;
    case ENGINE_PROCLAIM: command_proclaim(engine, command); return;
    case ENGINE_TRANSFER: command_transfer(engine, command); return;
    case ENGINE_WORK_COMMANDS: work_command(engine, command); return;
    case ENGINE_CHANGE: command_change(engine, command); return;
    case ENGINE_STATE_WAIT: command_state_wait(engine, command); return;
    }
}

static void step_client_gone(struct engine *engine, uint64_t client)
{
    struct waiter *waiter;
    while ((waiter = waiter_of_client(engine, client)) != NULL) {
        waiter_remove(engine, waiter);
        engine->counters.canceled++;
    }
    struct taker *taker;
    while ((taker = taker_of_client(engine, client)) != NULL) {
        taker_remove(engine, taker);
        engine->counters.canceled++;
    }
    struct key_wait *wait;
    while ((wait = key_wait_of_client(engine, client)) != NULL) {
        key_wait_remove(engine, wait);
        engine->counters.canceled++;
    }
    work_client_gone(engine, client);
}

static void drain_takers(struct engine *engine)
{
    const struct ordered_entry *first;
    while ((first = ordered_first(&engine->works.taker_timers)) != NULL) {
        struct taker *taker = CONTAINER_OF(first->node, struct taker, timer);
        if (!taker_give_up(engine, taker, TENURE_DRAINING)) UNREACHABLE("room was reserved");
    }
}

static void drain_key_waits(struct engine *engine)
{
    const struct ordered_entry *first;
    while ((first = ordered_first(&engine->keys.wait_timers)) != NULL) {
        struct key_wait *wait = CONTAINER_OF(first->node, struct key_wait, timer);
        if (!key_wait_give_up(engine, wait, TENURE_DRAINING)) UNREACHABLE("room was reserved");
    }
}

static enum tenure_err step_gate(struct engine *engine, enum engine_gate gate)
{
    uint32_t waiting = gate == ENGINE_GATE_DRAINING ? engine->waiters.count : 0;
    uint32_t taking = gate == ENGINE_GATE_DRAINING ? waits_count(&engine->works.takers) : 0;
    uint32_t keys_waiting = gate == ENGINE_GATE_DRAINING ? engine->keys.waits.count : 0;
    if (!output_reserve(engine, 0, waiting + taking + keys_waiting, waiting) ||
        !output_reserve_items(engine, taking) || !output_reserve_changes(engine, keys_waiting))
    {
        return TENURE_NO_MEMORY;
    }
    engine->gate = gate;
    if (gate == ENGINE_GATE_OPEN) {
        list_foreach(link, &engine->queues) {
            queue_changed(engine, CONTAINER_OF(link, struct queue, all)->lock);
        }
    }
    while (gate == ENGINE_GATE_DRAINING && engine->waiters.count > 0) {
        struct map_node *first = NULL;
        const struct heap_entry *entry = heap_first(&engine->wait_timers);
        ASSERT(entry != NULL); /* every waiter has a deadline */
        first = &CONTAINER_OF(entry->node, struct waiter, timer)->clients;
        struct waiter *waiter = CONTAINER_OF(first, struct waiter, clients);
        if (!acquire_give_up(engine, waiter, TENURE_DRAINING)) UNREACHABLE("room was reserved");
    }
    if (gate == ENGINE_GATE_DRAINING) {
        drain_takers(engine);
        drain_key_waits(engine);
    }
    return TENURE_OK;
}

static enum tenure_err step_event(struct engine *engine, const struct engine_event *event)
{
    switch (event->kind) {
    case ENGINE_COMMAND: step_command(engine, event->command); return TENURE_OK;
    case ENGINE_TIMER: return clock_fire(engine, event->now) ? TENURE_OK : TENURE_NO_MEMORY;
    case ENGINE_CLIENT_GONE: step_client_gone(engine, event->client); return TENURE_OK;
    case ENGINE_DURABLE: clock_durable(engine, event->durable); return TENURE_OK;
    case ENGINE_STALLED: clock_stall(engine, event->stall_ns); return TENURE_OK;
    case ENGINE_GATE: return step_gate(engine, event->gate);
    case ENGINE_READY: return clock_ready(engine) ? TENURE_OK : TENURE_NO_MEMORY;
    }
    UNREACHABLE("all kinds of events are handled");
}

enum tenure_err engine_step(
    struct engine *engine, const struct engine_event *event, struct engine_update *out_update)
{
    ASSERT(engine->is_restoring == (event->kind == ENGINE_READY));
    bury(engine);
    output_reset(engine);
    /* A stall is taken off before time advances, or what it covers would be due. */
    if (event->kind != ENGINE_STALLED) clock_advance(engine, event->now);
    engine->random = event->random;
    engine->works.looks_left = engine->options.look_count_max;
    engine->wall = event->wall;
    if (engine->wall.us < 0) engine->wall.us = 0;

    enum tenure_err err = step_event(engine, event);
    /* A failed step has changed nothing and its update is not looked at. */
    if (err == TENURE_OK) {
        takers_tell(engine);
        queue_serve(engine);
        works_serve(engine);
        keys_tell(engine);
    }
    /* Queued and served in one step, when earlier service had been cut short. */
    const struct engine_command *command = event->command;
    if (engine->output.is_waiting && waiter_find(engine, command->client, command->tag) == NULL &&
        taker_find(engine, command->client, command->tag) == NULL &&
        key_wait_find(engine, command->client, command->tag) == NULL)
    {
        engine->output.is_waiting = false;
    }
    output_finish(engine, out_update);
    return err;
}

struct mono engine_deadline(const struct engine *engine)
{
    int64_t next_ns = clock_next(engine);
    return (struct mono){ next_ns == INT64_MAX ? INT64_MAX : next_ns + engine->stalled_ns };
}

/* --------------------------------------------------------------- restoring */

enum tenure_err
engine_restore_batch(struct engine *engine, struct seq first, uint32_t count, struct bytes records)
{
    ASSERT(engine->is_restoring);
    if (first.value > engine->seq.value + 1) return TENURE_CORRUPT;
    /* A batch may have begun before the snapshot: what the snapshot has is passed over. */
    uint64_t known_seq = engine->seq.value;
    for (uint32_t index = 0; index < count; index++) {
        struct bytes rest = records;
        struct record record;
        enum tenure_err err = record_decode(&rest, &record);
        if (err != TENURE_OK) return err;
        record.seq.value = first.value + index;
        struct bytes encoded = { records.data, records.size - rest.size };
        if (record.seq.value > known_seq) err = apply_restored(engine, &record, encoded);
        if (err != TENURE_OK) return err;
        records = rest;
    }
    bury(engine);
    return records.size == 0 ? TENURE_OK : TENURE_CORRUPT;
}
