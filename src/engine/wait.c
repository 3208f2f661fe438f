#include "engine/wait.h"

struct wait_key {
    uint64_t client, tag;
};

static bool has_tag(const struct map_node *node, const void *key)
{
    const struct wait_key *wanted = key;
    const struct wait *wait = CONTAINER_OF_CONST(node, struct wait, tags);
    return wait->client == wanted->client && wait->tag == wanted->tag;
}

static bool has_client(const struct map_node *node, const void *key)
{
    return CONTAINER_OF_CONST(node, struct wait, clients.place)->client == *(const uint64_t *)key;
}

static uint32_t tag_hash(uint64_t client, uint64_t tag)
{
    return wait_hash(client ^ tag * UINT64_C(0xbf58476d1ce4e5b9));
}

void waits_init(struct waits *waits, const struct memory *memory)
{
    map_init(&waits->tags, memory);
    map_init(&waits->clients, memory);
}

void waits_deinit(struct waits *waits)
{
    map_deinit(&waits->tags);
    map_deinit(&waits->clients);
}

bool waits_reserve(struct waits *waits)
{
    return map_reserve(&waits->tags) && map_reserve(&waits->clients);
}

void waits_add(struct waits *waits, struct wait *wait, uint64_t client, uint64_t tag)
{
    wait->client = client;
    wait->tag = tag;
    map_insert(&waits->tags, &wait->tags, tag_hash(client, tag));
    multimap_insert(&waits->clients, &wait->clients, wait_hash(client), has_client, &client);
}

void waits_remove(struct waits *waits, struct wait *wait)
{
    map_remove(&waits->tags, &wait->tags);
    multimap_remove(&waits->clients, &wait->clients, has_client, &wait->client);
}

struct wait *waits_find(const struct waits *waits, uint64_t client, uint64_t tag)
{
    struct wait_key key = { client, tag };
    struct map_node *node = map_find(&waits->tags, tag_hash(client, tag), has_tag, &key);
    return node == NULL ? NULL : CONTAINER_OF(node, struct wait, tags);
}

struct wait *waits_of_client(const struct waits *waits, uint64_t client)
{
    struct multimap_node *node =
        multimap_find(&waits->clients, wait_hash(client), has_client, &client);
    return node == NULL ? NULL : CONTAINER_OF(node, struct wait, clients);
}

struct wait *waits_any(const struct waits *waits)
{
    struct map_node *node = map_next(&waits->tags, NULL);
    return node == NULL ? NULL : CONTAINER_OF(node, struct wait, tags);
}
