/* key_clock - what time and the end of holds do to registers. */
#include "engine/change_apply.h"
#include "engine/key_commands.h"
#include "engine/output.h"
#include "engine/work_clock.h"

static bool is_due(const struct ordered *timers, int64_t due_ns)
{
    const struct ordered_entry *first = ordered_first(timers);
    return first != NULL && first->key <= due_ns;
}

enum work_fired key_fire_wait(struct engine *engine, int64_t due_ns)
{
    struct ordered *timers = &engine->keys.wait_timers;
    if (!is_due(timers, due_ns)) return WORK_NOTHING_DUE;
    struct key_wait *wait = CONTAINER_OF(ordered_first(timers)->node, struct key_wait, timer);
    enum tenure_err err = wait->is_ripe ? TENURE_OK : TENURE_TIMEOUT;
    return key_wait_give_up(engine, wait, err) ? WORK_FIRED : WORK_NO_MEMORY;
}

/* Room has been reserved. */
static void
end_register(struct engine *engine, struct key *key, enum record_cause cause, uint32_t more)
{
    struct record record = { .kind = RECORD_UNSET, .cause = cause, .more = more };
    key->pin_count++;
    output_key_record(engine, key, key->value, &record);
    change_apply_unset(engine, key);
    key_wake(engine, key);
    key->pin_count--;
    key_settle(engine, key);
}

enum work_fired key_fire(struct engine *engine, int64_t due_ns)
{
    struct ordered *timers = &engine->keys.timers;
    if (!is_due(timers, due_ns)) return WORK_NOTHING_DUE;
    struct key_terms *terms = CONTAINER_OF(ordered_first(timers)->node, struct key_terms, timer);
    struct key *key = terms->key;
    const struct bond *bond = terms->bond;
    if (!output_reserve(engine, RECORD_NUMBERS_SIZE + key->name_size, 0, 0)) {
        return WORK_NO_MEMORY;
    }
    /* A bond to a hold that is no more: the end of its records was lost with a damaged journal. */
    bool is_orphan = bond != NULL && guard_find_hold(engine, bond_lock(bond), bond->token) == NULL;
    end_register(engine, key, is_orphan ? CAUSE_HOLD_ENDED : CAUSE_EXPIRED, 0);
    return WORK_FIRED;
}

void key_hold_ended(struct engine *engine, struct token token)
{
    struct bond *bond;
    while ((bond = bond_find(engine, token)) != NULL) {
        struct list *first = list_first(&bond->keys);
        ASSERT(first != NULL);
        struct key *key = CONTAINER_OF(first, struct key_terms, bound)->key;
        end_register(engine, key, CAUSE_HOLD_ENDED, bond->count - 1);
    }
}

int64_t key_next_ns(const struct engine *engine)
{
    const struct ordered *heaps[] = { &engine->keys.timers, &engine->keys.wait_timers };
    int64_t next_ns = INT64_MAX;
    for (size_t index = 0; index < sizeof heaps / sizeof *heaps; index++) {
        const struct ordered_entry *first = ordered_first(heaps[index]);
        if (first != NULL && first->key < next_ns) next_ns = first->key;
    }
    /* Memory ran out while somebody was being told: try again soon. */
    if (!list_is_empty(&engine->keys.ripe)) {
        int64_t soon_ns = engine->time_ns + 10 * NS_PER_MS;
        if (soon_ns < next_ns) next_ns = soon_ns;
    }
    return next_ns;
}

bool key_reserve_ready(struct engine *engine)
{
    struct keys *keys = &engine->keys;
    uint32_t count = 0;
    for (const struct key *key = keys->heads[0]; key != NULL; key = key_next(key)) {
        count += key->terms != NULL;
    }
    if (!ordered_reserve(&keys->timers, count)) return false;
    /* A release needs no memory: room for what is bound to any one hold. */
    size_t size = 0;
    for (struct map_node *node = map_next(&keys->bonds, NULL); node != NULL;
         node = map_next(&keys->bonds, node))
    {
        const struct bond *bond = CONTAINER_OF(node, struct bond, tokens);
        if (bond->record_size > size) size = bond->record_size;
    }
    return output_reserve(engine, RECORD_SIZE_MAX + size, 0, 0);
}

void key_ready(struct engine *engine)
{
    for (struct key *key = engine->keys.heads[0]; key != NULL; key = key_next(key)) {
        key_rearm(engine, key);
    }
}
