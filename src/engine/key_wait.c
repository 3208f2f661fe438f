/* key_wait - requests that wait until a register has changed.  They live as long as their client's
 * connection, and hang at the key, which lives as long as they do. */
#include "engine/key_commands.h"
#include "engine/output.h"
#include "engine/work_commands.h"

/* -------------------------------------------------------------------- finding */

struct wait_key {
    uint64_t client;
    const uint64_t *tag; /* NULL: any */
};

static uint32_t client_hash(uint64_t client)
{
    return (uint32_t)((client * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static bool is_wait(const struct map_node *node, const void *key)
{
    const struct wait_key *wanted = key;
    const struct key_wait *wait = CONTAINER_OF_CONST(node, struct key_wait, clients);
    if (wait->client != wanted->client) return false;
    return wanted->tag == NULL || wait->tag == *wanted->tag;
}

static struct key_wait *find(const struct engine *engine, const struct wait_key *key)
{
    struct map_node *node = map_find(&engine->keys.waits, client_hash(key->client), is_wait, key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct key_wait, clients);
}

struct key_wait *key_wait_find(const struct engine *engine, uint64_t client, uint64_t tag)
{
    return find(engine, &(struct wait_key){ client, &tag });
}

struct key_wait *key_wait_of_client(const struct engine *engine, uint64_t client)
{
    return find(engine, &(struct wait_key){ client, NULL });
}

/* ----------------------------------------------------------- beginning, ending */

static bool begin(struct engine *engine, struct key *key, const struct engine_command *command)
{
    struct keys *keys = &engine->keys;
    const struct engine_state_wait *wish = &command->as.state_wait;
    if (!map_reserve(&keys->waits) || !ordered_reserve(&keys->wait_timers, 1)) return false;
    struct key_terms *terms = key_obtain_terms(engine, key);
    if (terms == NULL) return false;
    struct key_wait *wait = memory_take(engine->memory, sizeof *wait);
    if (wait == NULL) return false;
    *wait =
        (struct key_wait){ .client = command->client,
                           .tag = command->tag,
                           .version = wish->version,
                           .key = key,
                           .timer = { ORDERED_INDEX_NONE },
                           .deadline_ns = engine->time_ns + (int64_t)wish->wait_ms * NS_PER_MS };
    list_init(&wait->link);
    list_append(&terms->waits, &wait->link);
    map_insert(&keys->waits, &wait->clients, client_hash(wait->client));
    ordered_insert(&keys->wait_timers, &wait->timer, wait->deadline_ns, ++keys->arrival_count);
    return true;
}

void key_wait_remove(struct engine *engine, struct key_wait *wait)
{
    struct keys *keys = &engine->keys;
    map_remove(&keys->waits, &wait->clients);
    ordered_remove(&keys->wait_timers, &wait->timer);
    list_remove(&wait->link);
    wait->key->pin_count -= wait->is_ripe;
    key_settle(engine, wait->key);
    wait->next_dead = keys->dead_waits;
    keys->dead_waits = wait;
}

/* ------------------------------------------------------------------- answering */

struct waiting {
    uint64_t client, tag, version;
};

/* When the register changed last, or a number behind that.  What is not set may have been removed
 * before the window of events began, and be forgotten: who saw it at an older version is told to
 * look again. */
static uint64_t changed_at(const struct engine *engine, const struct key *key, uint64_t version)
{
    uint64_t forgotten = version > 0 ? engine->window.first.value - 1 : 0;
    if (key == NULL) return forgotten;
    if (key->value != NULL) return key_version(key);
    return key->last_seq.value > forgotten ? key->last_seq.value : forgotten;
}

static struct engine_change_result *answer(
    struct engine *engine,
    const struct waiting *waiting,
    const struct key *key,
    enum tenure_err err)
{
    struct engine_reply *reply = output_reply(engine, waiting->client, waiting->tag);
    reply->kind = ENGINE_STATE_WAIT;
    reply->err = err;
    struct engine_change_result *result = output_change(engine);
    if (key != NULL) key_view(key, engine->time_ns, &result->value);
    result->was_there = result->value.version > 0;
    result->version = changed_at(engine, key, waiting->version);
    output_depend(engine, key_last_change(engine, key));
    return result;
}

bool key_wait_give_up(struct engine *engine, struct key_wait *wait, enum tenure_err err)
{
    if (!output_reserve(engine, 0, 1, 0) || !output_reserve_changes(engine, 1)) return false;
    struct waiting waiting = { wait->client, wait->tag, wait->version };
    (void)answer(engine, &waiting, wait->key, err);
    key_wait_remove(engine, wait);
    return true;
}

void key_wake(struct engine *engine, struct key *key)
{
    if (key->terms == NULL) return;
    list_foreach_safe(link, following, &key->terms->waits) {
        struct key_wait *wait = CONTAINER_OF(link, struct key_wait, link);
        if (wait->version >= key->last_seq.value) continue;
        list_remove(link);
        list_append(&engine->keys.ripe, link);
        wait->is_ripe = true;
        key->pin_count++; /* it is in no list of the key any more */
    }
}

void keys_tell(struct engine *engine)
{
    struct list *link;
    while ((link = list_first(&engine->keys.ripe)) != NULL) {
        struct key_wait *wait = CONTAINER_OF(link, struct key_wait, link);
        if (!key_wait_give_up(engine, wait, TENURE_OK)) return;
    }
}

/* --------------------------------------------------------------------- command */

void command_state_wait(struct engine *engine, const struct engine_command *command)
{
    const struct engine_state_wait *wish = &command->as.state_wait;
    const char *fault = NULL;
    if (!work_is_name(wish->name)) {
        fault = "name: 1 to 255 bytes of UTF-8 without control characters";
    } else if (wish->wait_ms > LIMIT_WAIT_MS_MAX) {
        fault = "wait_ms: up to 86400000";
    }
    if (fault != NULL) {
        output_refuse(engine, command, TENURE_INVALID, wish->name, fault);
        return;
    }
    struct key *key = key_find(engine, wish->name);
    bool is_over = changed_at(engine, key, wish->version) > wish->version;
    if (is_over || wish->wait_ms == 0) {
        if (!output_reserve(engine, 0, 1, 0) || !output_reserve_changes(engine, 1)) {
            output_refuse(engine, command, TENURE_NO_MEMORY, wish->name, NULL);
            return;
        }
        enum tenure_err err = is_over ? TENURE_OK : TENURE_TIMEOUT;
        struct waiting waiting = { command->client, command->tag, wish->version };
        answer(engine, &waiting, key, err)->value.name = wish->name;
        return;
    }
    if (engine->gate == ENGINE_GATE_DRAINING) {
        output_refuse(engine, command, TENURE_DRAINING, wish->name, NULL);
        return;
    }
    if (engine->keys.waits.count >= engine->options.waiter_count_max) {
        output_refuse(
            engine, command, TENURE_TOO_MANY, wish->name, "too many requests are waiting");
        return;
    }
    key = key_obtain(engine, wish->name);
    bool is_waiting = key != NULL && begin(engine, key, command);
    if (!is_waiting) output_refuse(engine, command, TENURE_NO_MEMORY, wish->name, NULL);
    engine->output.is_waiting = is_waiting;
    if (key != NULL) key_settle(engine, key);
}
