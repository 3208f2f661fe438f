/* key_check - every invariant of shared state, and the hash of what is durable of it. */
#include "engine/key_check.h"

#include "engine/hold.h"
#include "engine/key_snapshot.h"
#include "engine/rank.h"

struct totals {
    uint64_t keys, registers, ranks, members, bytes, events, waits, bound;
};

static void check_terms(const struct engine *engine, const struct key *key, struct totals *totals)
{
    const struct key_terms *terms = key->terms;
    ASSERT(terms->key == key);
    ASSERT(terms->ttl_ms == 0 || key->value != NULL);
    ASSERT(terms->bond == NULL || key->value != NULL);
    list_foreach(link, &terms->waits) {
        const struct key_wait *wait = CONTAINER_OF(link, struct key_wait, link);
        ASSERT(wait->key == key && !wait->is_ripe);
        totals->waits++;
    }
    if (engine->is_restoring) return;
    uint32_t index = terms->timer.index;
    if (terms->ttl_ms > 0) {
        ASSERT(index != ORDERED_INDEX_NONE);
        ASSERT(engine->keys.timers.entries[index].key == terms->deadline_ns);
    }
    if (terms->bond == NULL) return;
    totals->bound++;
    ASSERT(bond_find(engine, terms->bond->token) == terms->bond);
    const struct bond *bond = terms->bond;
    bool is_held = guard_find_hold(engine, bond_lock(bond), bond->token) != NULL;
    ASSERT(is_held || index != ORDERED_INDEX_NONE);
}

static void check_key(const struct engine *engine, const struct key *key, struct totals *totals)
{
    ASSERT(key_find(engine, key_name(key)) == key);
    ASSERT(key->pin_count == 0 || !list_is_empty(&engine->keys.ripe)); /* only inside a step */
    ASSERT(key->last_seq.value <= engine->seq.value);
    ASSERT(
        key->value != NULL || key_member_count(key) > 0 || key->terms != NULL ||
        key->event_count > 0);
    totals->keys++;
    totals->events += key->event_count;
    if (key->value != NULL) {
        ASSERT(key->value->key == key && key->value->version.value <= key->last_seq.value);
        const struct value *before = key->value->before;
        ASSERT(before == NULL || before->version.value < key->value->version.value);
        totals->registers++;
        totals->bytes += key->value->size;
    }
    if (key->terms != NULL) check_terms(engine, key, totals);
    if (key->rank == NULL) return;
    rank_check(key);
    totals->ranks += key->rank->count > 0;
    for (const struct member *member = key->rank->heads[0].next; member != NULL;
         member = rank_next(member))
    {
        ASSERT(rank_find(engine, key, member_name(member)) == member);
        totals->members++;
        totals->bytes += member->size;
    }
}

/* What only events keep. */
static uint64_t count_history(const struct engine *engine)
{
    const struct window *window = &engine->window;
    uint64_t size = 0;
    for (uint64_t seq = window->first.value; seq <= window->last.value; seq++) {
        const struct window_entry *entry = window_find(window, (struct seq){ seq });
        unsigned kind = (uint8_t)window_record(entry).data[0];
        const struct value *value = NULL;
        if (kind == RECORD_UNSET) value = entry->subject;
        if (kind == RECORD_SET || kind == RECORD_APPENDED) {
            value = ((const struct value *)entry->subject)->before;
        }
        if (value != NULL) size += sizeof *value + value->size;
    }
    return size;
}

uint64_t key_check(const struct engine *engine)
{
    const struct keys *keys = &engine->keys;
    struct totals totals = { 0 };
    const struct key *previous = NULL;
    for (const struct key *key = keys->heads[0]; key != NULL; key = key_next(key)) {
        ASSERT(previous == NULL || bytes_compare(key_name(previous), key_name(key)) < 0);
        check_key(engine, key, &totals);
        previous = key;
    }
    list_foreach(link, &keys->ripe) {
        totals.waits++;
    }
    uint64_t bound = 0;
    for (struct map_node *node = map_next(&keys->bonds, NULL); node != NULL;
         node = map_next(&keys->bonds, node))
    {
        const struct bond *bond = CONTAINER_OF(node, struct bond, tokens);
        ASSERT(bond->count > 0);
        bound += bond->count;
    }
    ASSERT(totals.keys == keys->names.count);
    ASSERT(totals.registers == keys->register_count && totals.members == keys->member_count);
    ASSERT(totals.ranks == keys->rank_count);
    ASSERT(totals.members == keys->members.count && totals.bytes == keys->bytes);
    ASSERT(totals.waits == keys->waits.count && totals.waits == keys->wait_timers.count);
    ASSERT(engine->is_restoring || totals.bound == bound);
    ASSERT(keys->history_bytes == count_history(engine));
    return totals.events;
}

uint64_t key_hash(const struct engine *engine, const struct siphash_key *hash_key)
{
    uint64_t hash = 0;
    struct buffer entry;
    buffer_init(&entry, engine->memory);
    for (const struct key *key = engine->keys.heads[0]; key != NULL; key = key_next(key)) {
        buffer_reset(&entry);
        key_put_key(&entry, key);
        if (entry.size > 0) hash += siphash(hash_key, buffer_bytes(&entry));
        if (key->rank == NULL) continue;
        for (const struct member *member = key->rank->heads[0].next; member != NULL;
             member = rank_next(member))
        {
            buffer_reset(&entry);
            key_put_member(&entry, member);
            ASSERT(!entry.is_failed);
            hash += siphash(hash_key, buffer_bytes(&entry));
        }
    }
    buffer_deinit(&entry);
    return hash;
}
