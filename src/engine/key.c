#include "engine/key.h"

#include "engine/hold.h"
#include "engine/lock.h"
#include "engine/name_index.h"
#include "engine/rank.h"

/* ------------------------------------------------------------------ in order */

/* As name_index.c for locks: the pointers that pass over the place of `name`, and what stands
 * there. */
static struct key *
find_passing(struct key **heads, struct bytes name, struct key **passing[KEY_LEVEL_MAX])
{
    struct key **pointers = heads;
    struct key *next = NULL;
    for (unsigned level = KEY_LEVEL_MAX; level-- > 0;) {
        for (next = pointers[level]; next != NULL && bytes_compare(key_name(next), name) < 0;
             next = pointers[level])
        {
            pointers = next->forward;
        }
        passing[level] = &pointers[level];
    }
    return next;
}

/* Names from a snapshot come in order: then nothing needs to be searched. */
static bool is_behind_last(const struct keys *keys, struct bytes name)
{
    if (keys->last == NULL || bytes_compare(key_name(keys->last), name) >= 0) return false;
    const struct key *next = keys->last->forward[0];
    return next == NULL || bytes_compare(name, key_name(next)) < 0;
}

static void index_insert(struct engine *engine, struct key *key)
{
    struct keys *keys = &engine->keys;
    if (!is_behind_last(keys, key_name(key))) {
        const struct key *at = find_passing(keys->heads, key_name(key), keys->passing);
        ASSERT(at == NULL || !bytes_equal(key_name(at), key_name(key)));
    }
    for (unsigned level = 0; level < key->level; level++) {
        key->forward[level] = *keys->passing[level];
        *keys->passing[level] = key;
        keys->passing[level] = &key->forward[level];
    }
    keys->last = key;
}

static void index_remove(struct engine *engine, struct key *key)
{
    struct key **passing[KEY_LEVEL_MAX];
    const struct key *at = find_passing(engine->keys.heads, key_name(key), passing);
    ASSERT(at == key);
    engine->keys.last = NULL;
    for (unsigned level = 0; level < key->level; level++) {
        ASSERT(*passing[level] == key);
        *passing[level] = key->forward[level];
    }
}

struct key *key_seek(const struct engine *engine, struct bytes name)
{
    struct key *const *pointers = engine->keys.heads;
    struct key *next = NULL;
    for (unsigned level = KEY_LEVEL_MAX; level-- > 0;) {
        for (next = pointers[level]; next != NULL && bytes_compare(key_name(next), name) < 0;
             next = pointers[level])
        {
            pointers = next->forward;
        }
    }
    return next;
}

struct key *key_next(const struct key *key)
{
    return key->forward[0];
}

/* --------------------------------------------------------------------- names */

static bool has_name(const struct map_node *node, const void *name)
{
    return bytes_equal(
        key_name(CONTAINER_OF_CONST(node, struct key, names)), *(const struct bytes *)name);
}

struct key *key_find(const struct engine *engine, struct bytes name)
{
    uint32_t hash = (uint32_t)siphash(&engine->options.hash_key, name);
    struct map_node *node = map_find(&engine->keys.names, hash, has_name, &name);
    return node == NULL ? NULL : CONTAINER_OF(node, struct key, names);
}

struct seq key_last_change(const struct engine *engine, const struct key *key)
{
    return key == NULL || key->last_seq.value == 0 ? engine->seq : key->last_seq;
}

static size_t key_size(const struct key *key)
{
    return sizeof *key + key->level * sizeof(struct key *) + key->name_size;
}

struct key *key_obtain(struct engine *engine, struct bytes name)
{
    ASSERT(name.size > 0 && name.size <= LIMIT_NAME_SIZE_MAX);
    struct key *key = key_find(engine, name);
    if (key != NULL) return key;
    uint64_t hash = siphash(&engine->options.hash_key, name);
    struct key shape = { .level = name_index_level(hash), .name_size = (uint8_t)name.size };
    if (!map_reserve(&engine->keys.names)) return NULL;
    key = memory_take(engine->memory, key_size(&shape));
    if (key == NULL) return NULL;
    *key = shape;
    memcpy(key->forward + key->level, name.data, name.size);
    map_insert(&engine->keys.names, &key->names, (uint32_t)hash);
    key->names.user = engine->snapshot.number; /* a snapshot under way does not know it */
    index_insert(engine, key);
    return key;
}

static void free_terms(struct engine *engine, struct key *key)
{
    struct key_terms *terms = key->terms;
    if (terms == NULL || terms->ttl_ms > 0 || terms->bond != NULL || !list_is_empty(&terms->waits))
    {
        return;
    }
    ordered_remove(&engine->keys.timers, &terms->timer);
    memory_give(engine->memory, terms, sizeof *terms);
    key->terms = NULL;
}

void key_settle(struct engine *engine, struct key *key)
{
    struct keys *keys = &engine->keys;
    if (key->pin_count > 0) return;
    free_terms(engine, key);
    if (key->rank != NULL && key->rank->count == 0) {
        memory_give(engine->memory, key->rank, sizeof *key->rank);
        key->rank = NULL;
    }
    if (key->value != NULL || key->rank != NULL || key->terms != NULL || key->event_count > 0) {
        return;
    }
    if (engine->snapshot.keys.key == key) {
        engine->snapshot.keys.key = key_next(key);
        engine->snapshot.keys.is_in_key = false;
    }
    index_remove(engine, key);
    map_remove(&keys->names, &key->names);
    key->names.next = keys->dead_keys == NULL ? NULL : &keys->dead_keys->names;
    keys->dead_keys = key;
}

/* -------------------------------------------------------------------- values */

static size_t value_size(const struct value *value)
{
    return sizeof *value + value->size;
}

struct value *value_create(struct engine *engine, struct key *key, size_t size)
{
    ASSERT(size <= LIMIT_VALUE_SIZE_MAX);
    struct value *value = memory_take(engine->memory, sizeof *value + size);
    if (value == NULL) return NULL;
    *value = (struct value){ .key = key, .size = (uint32_t)size };
    return value;
}

void value_discard(struct engine *engine, struct value *value)
{
    if (value != NULL) memory_give(engine->memory, value, value_size(value));
}

/* Answers of this step may point at it. */
static void bury_value(struct engine *engine, struct value *value)
{
    value->before = engine->keys.dead_values;
    engine->keys.dead_values = value;
}

/* It is not the value any more: an event keeps it. */
static void retire(struct engine *engine, struct value *value)
{
    engine->keys.bytes -= value->size;
    engine->keys.history_bytes += value_size(value);
    engine->keys.register_count--;
}

void key_set_value(struct engine *engine, struct key *key, struct value *value)
{
    struct keys *keys = &engine->keys;
    ASSERT(value->key == key && value->before == NULL);
    if (key->value != NULL) retire(engine, key->value);
    value->before = key->value;
    key->value = value;
    keys->bytes += value->size;
    keys->register_count++;
}

void key_end_value(struct engine *engine, struct key *key)
{
    ASSERT(key->value != NULL);
    retire(engine, key->value);
    key->value = NULL;
    key_clear_terms(engine, key);
}

void key_drop_value(struct engine *engine, struct key *key)
{
    ASSERT(engine->is_restoring && key->event_count == 0 && key->value->before == NULL);
    struct value *value = key->value;
    key_end_value(engine, key);
    engine->keys.history_bytes -= value_size(value);
    bury_value(engine, value);
}

static bool is_of_value(enum record_kind kind)
{
    return kind == RECORD_SET || kind == RECORD_APPENDED || kind == RECORD_UNSET;
}

struct key *key_of_event(enum record_kind kind, void *subject)
{
    return is_of_value(kind) ? ((struct value *)subject)->key : subject;
}

void key_complete_event(const void *subject, struct record *record)
{
    if (!is_of_value(record->kind)) return;
    const struct value *value = subject;
    const struct value *before = value;
    if (record->kind != RECORD_UNSET) {
        record->body = value_bytes(value);
        before = value->before;
    }
    record->has_previous = before != NULL;
    if (before != NULL) record->previous = value_bytes(before);
}

void key_forget_event(struct engine *engine, enum record_kind kind, void *subject)
{
    struct key *key = key_of_event(kind, subject);
    struct value *lost = NULL;
    if (kind == RECORD_UNSET) lost = subject;
    if (kind == RECORD_SET || kind == RECORD_APPENDED) {
        struct value *value = subject;
        lost = value->before;
        value->before = NULL;
    }
    if (lost != NULL) {
        ASSERT(lost->before == NULL && lost != key->value);
        engine->keys.history_bytes -= value_size(lost);
        bury_value(engine, lost);
    }
    ASSERT(key->event_count > 0);
    key->event_count--;
    key_settle(engine, key);
}

/* --------------------------------------------------------------------- terms */

struct key_terms *key_obtain_terms(struct engine *engine, struct key *key)
{
    if (key->terms != NULL) return key->terms;
    struct key_terms *terms = memory_take(engine->memory, sizeof *terms);
    if (terms == NULL) return NULL;
    *terms = (struct key_terms){ .key = key, .timer = { ORDERED_INDEX_NONE } };
    list_init(&terms->bound);
    list_init(&terms->waits);
    key->terms = terms;
    return terms;
}

static size_t unset_record_size(const struct key *key)
{
    return RECORD_NUMBERS_SIZE + key->name_size;
}

void key_clear_terms(struct engine *engine, struct key *key)
{
    struct key_terms *terms = key->terms;
    if (terms == NULL) return;
    ordered_remove(&engine->keys.timers, &terms->timer);
    terms->ttl_ms = 0;
    struct bond *bond = terms->bond;
    if (bond == NULL) return;
    list_remove(&terms->bound);
    terms->bond = NULL;
    bond->count--;
    bond->record_size -= unset_record_size(key);
    bond_settle(engine, bond);
}

/* Timers of one moment end in the order in which their values were set. */
static void arm(struct engine *engine, struct key_terms *terms, int64_t deadline_ns)
{
    struct ordered *timers = &engine->keys.timers;
    terms->deadline_ns = deadline_ns;
    ordered_remove(timers, &terms->timer);
    ordered_insert(timers, &terms->timer, deadline_ns, key_version(terms->key));
}

void key_set_ttl(struct engine *engine, struct key *key, uint32_t ttl_ms)
{
    struct key_terms *terms = key->terms;
    ASSERT(terms != NULL && ttl_ms > 0);
    terms->ttl_ms = ttl_ms;
    terms->deadline_ns = INT64_MAX;
    if (!engine->is_restoring) {
        arm(engine, terms, engine->time_ns + (int64_t)ttl_ms * NS_PER_MS);
    }
}

void key_bind(struct key *key, struct bond *bond)
{
    struct key_terms *terms = key->terms;
    ASSERT(terms != NULL && terms->bond == NULL);
    /* In order of names, so that they end in the same order after a restart. */
    struct list *before = &bond->keys;
    while (before->previous != &bond->keys) {
        const struct key_terms *other = CONTAINER_OF(before->previous, struct key_terms, bound);
        if (bytes_compare(key_name(other->key), key_name(key)) < 0) break;
        before = before->previous;
    }
    terms->bond = bond;
    list_insert_before(before, &terms->bound);
    bond->count++;
    bond->record_size += unset_record_size(key);
}

void key_rearm(struct engine *engine, struct key *key)
{
    struct key_terms *terms = key->terms;
    if (terms == NULL) return;
    const struct bond *bond = terms->bond;
    bool is_orphan = bond != NULL && guard_find_hold(engine, bond_lock(bond), bond->token) == NULL;
    if (is_orphan) {
        arm(engine, terms, engine->time_ns);
    } else if (terms->ttl_ms > 0) {
        arm(engine, terms, engine->time_ns + (int64_t)terms->ttl_ms * NS_PER_MS);
    }
}

/* --------------------------------------------------------------------- bonds */

static uint32_t token_hash(struct token token)
{
    return (uint32_t)((token.value * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static bool has_token(const struct map_node *node, const void *token)
{
    return CONTAINER_OF_CONST(node, struct bond, tokens)->token.value ==
           ((const struct token *)token)->value;
}

struct bond *bond_find(const struct engine *engine, struct token token)
{
    struct map_node *node = map_find(&engine->keys.bonds, token_hash(token), has_token, &token);
    return node == NULL ? NULL : CONTAINER_OF(node, struct bond, tokens);
}

struct bond *bond_obtain(struct engine *engine, struct bytes lock, struct token token)
{
    struct bond *bond = bond_find(engine, token);
    if (bond != NULL) return bond;
    if (!map_reserve(&engine->keys.bonds)) return NULL;
    bond = memory_take(engine->memory, sizeof *bond + lock.size);
    if (bond == NULL) return NULL;
    *bond = (struct bond){ .token = token, .lock_size = (uint8_t)lock.size };
    memcpy(bond->lock, lock.data, lock.size);
    list_init(&bond->keys);
    map_insert(&engine->keys.bonds, &bond->tokens, token_hash(token));
    return bond;
}

void bond_settle(struct engine *engine, struct bond *bond)
{
    struct keys *keys = &engine->keys;
    if (bond->count > 0 || bond->pin_count > 0) return;
    map_remove(&keys->bonds, &bond->tokens);
    bond->tokens.next = keys->dead_bonds == NULL ? NULL : &keys->dead_bonds->tokens;
    keys->dead_bonds = bond;
}

size_t bond_record_size(const struct engine *engine, struct token token)
{
    const struct bond *bond = bond_find(engine, token);
    return bond == NULL ? 0 : bond->record_size;
}

struct hold *guard_find_hold(const struct engine *engine, struct bytes name, struct token token)
{
    const struct lock *lock = lock_find(engine, name);
    if (lock == NULL) return NULL;
    /* The newest is the last of readers, and mostly the only one. */
    for (struct list *link = lock->holds.previous; link != &lock->holds; link = link->previous) {
        struct hold *hold = hold_from_link(link);
        if (hold->token.value == token.value) return hold;
    }
    return NULL;
}

/* ------------------------------------------------------------------- looking */

void key_view(const struct key *key, int64_t time_ns, struct engine_register_view *out_view)
{
    const struct key_terms *terms = key->terms;
    *out_view = (struct engine_register_view){ .name = key_name(key), .remaining_ms = -1 };
    if (key->value == NULL) return;
    out_view->version = key->value->version.value;
    out_view->value = value_bytes(key->value);
    if (terms == NULL) return;
    if (terms->ttl_ms > 0) {
        int64_t left_ns = terms->deadline_ns - time_ns;
        out_view->ttl_ms = terms->ttl_ms;
        out_view->remaining_ms = left_ns <= 0 ? 0 : left_ns / NS_PER_MS;
    }
    if (terms->bond == NULL) return;
    out_view->lock = bond_lock(terms->bond);
    out_view->token = terms->bond->token;
}

/* ------------------------------------------------------------ life and death */

void keys_init(struct engine *engine)
{
    struct keys *keys = &engine->keys;
    map_init(&keys->names, engine->memory);
    map_init(&keys->members, engine->memory);
    map_init(&keys->bonds, engine->memory);
    map_init(&keys->waits, engine->memory);
    ordered_init(&keys->timers, engine->memory);
    ordered_init(&keys->wait_timers, engine->memory);
    list_init(&keys->ripe);
}

void keys_bury(struct engine *engine)
{
    struct keys *keys = &engine->keys;
    while (keys->dead_values != NULL) {
        struct value *value = keys->dead_values;
        keys->dead_values = value->before;
        memory_give(engine->memory, value, value_size(value));
    }
    while (keys->dead_bonds != NULL) {
        struct bond *bond = keys->dead_bonds;
        struct map_node *next = bond->tokens.next;
        keys->dead_bonds = next == NULL ? NULL : CONTAINER_OF(next, struct bond, tokens);
        memory_give(engine->memory, bond, sizeof *bond + bond->lock_size);
    }
    while (keys->dead_waits != NULL) {
        struct key_wait *wait = keys->dead_waits;
        keys->dead_waits = wait->next_dead;
        memory_give(engine->memory, wait, sizeof *wait);
    }
    while (keys->dead_keys != NULL) {
        struct key *key = keys->dead_keys;
        struct map_node *next = key->names.next;
        keys->dead_keys = next == NULL ? NULL : CONTAINER_OF(next, struct key, names);
        memory_give(engine->memory, key, key_size(key));
    }
}

/* The window has been forgotten and nobody waits any more. */
static void destroy_key(struct engine *engine, struct key *key)
{
    key->pin_count++;
    if (key->rank != NULL) {
        while (key->rank->last != NULL) {
            rank_remove(engine, key->rank->last);
        }
    }
    if (key->value != NULL) {
        struct value *value = key->value;
        key_end_value(engine, key);
        bury_value(engine, value);
    }
    key->pin_count--;
    key_settle(engine, key);
}

void keys_deinit(struct engine *engine)
{
    struct keys *keys = &engine->keys;
    for (struct key *key = keys->heads[0]; key != NULL;) {
        struct key *next = key_next(key);
        destroy_key(engine, key);
        key = next;
    }
    keys_bury(engine);
    map_deinit(&keys->names);
    map_deinit(&keys->members);
    map_deinit(&keys->bonds);
    map_deinit(&keys->waits);
    ordered_deinit(&keys->timers);
    ordered_deinit(&keys->wait_timers);
}
