#include "client/registry.h"

#include <pthread.h>

#define HOLD_INDEX_BITS   16u
#define CLIENT_INDEX_BITS 10u
#define NO_INDEX          UINT32_MAX

_Static_assert(HOLD_COUNT_MAX == 1u << HOLD_INDEX_BITS, "an index fills its bits");
_Static_assert(CLIENT_COUNT_MAX == 1u << CLIENT_INDEX_BITS, "an index fills its bits");

struct client_slot {
    struct client *client;
    uint64_t generation;
    uint32_t epoch;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic uint32_t epoch_now = 1;
static struct hold_slot holds[HOLD_COUNT_MAX];
static uint32_t holds_used;                /* places that were ever taken */
static uint32_t holds_free_one = NO_INDEX; /* the last that was given back */
static struct client_slot clients[CLIENT_COUNT_MAX];

static void before_fork(void)
{
    (void)pthread_mutex_lock(&mutex);
}

static void after_fork(void)
{
    (void)pthread_mutex_unlock(&mutex);
}

static void after_fork_in_child(void)
{
    atomic_fetch_add(&epoch_now, 1);
    (void)pthread_mutex_unlock(&mutex);
}

static void start(void)
{
    int failure = pthread_atfork(before_fork, after_fork, after_fork_in_child);
    ASSERT(failure == 0);
}

uint32_t tni_registry_epoch(void)
{
    return atomic_load(&epoch_now);
}

void tni_registry_lock(void)
{
    (void)pthread_once(&once, start);
    (void)pthread_mutex_lock(&mutex);
}

void tni_registry_unlock(void)
{
    (void)pthread_mutex_unlock(&mutex);
}

/* ------------------------------------------------------------------ clients */

uint64_t tni_registry_add_client(struct client *client)
{
    for (uint32_t index = 0; index < CLIENT_COUNT_MAX; index++) {
        struct client_slot *slot = &clients[index];
        /* Those of the parent are of no use to a child, who cannot free them either. */
        bool is_foreign = slot->epoch != atomic_load(&epoch_now);
        if (slot->client != NULL && !is_foreign) continue;
        slot->client = client;
        slot->epoch = atomic_load(&epoch_now);
        slot->generation++;
        return slot->generation << CLIENT_INDEX_BITS | index;
    }
    return 0;
}

static struct client_slot *find_client(uint64_t id)
{
    struct client_slot *slot = &clients[id & (CLIENT_COUNT_MAX - 1)];
    bool is_it = id != 0 && slot->client != NULL && slot->generation == id >> CLIENT_INDEX_BITS;
    return is_it && slot->epoch == atomic_load(&epoch_now) ? slot : NULL;
}

void tni_registry_remove_client(uint64_t id)
{
    struct client_slot *slot = find_client(id);
    if (slot != NULL) slot->client = NULL;
}

struct client *tni_registry_find_client(uint64_t id)
{
    const struct client_slot *slot = find_client(id);
    return slot == NULL ? NULL : slot->client;
}

/* ------------------------------------------------------------------ holds */

struct hold_slot *tni_registry_add_hold(struct hold *hold)
{
    struct hold_slot *slot;
    if (holds_free_one != NO_INDEX) {
        slot = &holds[holds_free_one];
        holds_free_one = slot->next_free;
    } else if (holds_used < HOLD_COUNT_MAX) {
        slot = &holds[holds_used++];
    } else {
        return NULL;
    }
    slot->generation++;
    slot->hold = hold;
    atomic_store(&slot->valid_until_ns, INT64_MIN);
    atomic_store(&slot->token, 0);
    atomic_store(&slot->epoch, atomic_load(&epoch_now));
    return slot;
}

uint64_t tni_registry_hold_id(const struct hold_slot *slot)
{
    return slot->generation << HOLD_INDEX_BITS | (uint64_t)(slot - holds);
}

void tni_registry_hand_out(struct hold_slot *slot)
{
    atomic_store(&slot->id, tni_registry_hold_id(slot));
}

void tni_registry_remove_hold(struct hold_slot *slot)
{
    ASSERT(slot->hold != NULL);
    atomic_store(&slot->id, 0);
    atomic_store(&slot->valid_until_ns, INT64_MIN);
    slot->hold = NULL;
    slot->next_free = holds_free_one;
    holds_free_one = (uint32_t)(slot - holds);
}

struct hold_slot *tni_registry_peek_hold(uint64_t id)
{
    struct hold_slot *slot = &holds[id & (HOLD_COUNT_MAX - 1)];
    bool is_it = id != 0 && tni_registry_is_good(slot, id);
    return is_it && atomic_load(&slot->epoch) == atomic_load(&epoch_now) ? slot : NULL;
}

struct hold *tni_registry_find_hold(uint64_t id)
{
    const struct hold_slot *slot = tni_registry_peek_hold(id);
    return slot == NULL ? NULL : slot->hold;
}
