/* What the nodes are like, for who asks what the store is made of. */
#include <stdio.h>

#include "store/redis/cluster.h"

void tni_redis_start_info(struct redis *redis, struct store_op *op)
{
    const struct store_claim texts = { 0 };
    if (tni_redis_work_create(redis, WORK_INFO, op, &texts, NULL) == NULL) {
        tni_redis_end_soon(redis, op, TENURE_NO_MEMORY, NULL);
    }
}

static const char *persistence_of(const struct redis_self *self)
{
    if (self->run_id[0] == '\0') return "";
    if (!self->is_aof) return "no append-only file";
    if (!self->is_fsync_known) return "append-only file, appendfsync unknown";
    return self->is_fsync_always ? "appendfsync always" : "appendfsync everysec or never";
}

static const char *advice_for(const struct redis_node *node, enum quorum_standing standing)
{
    const struct redis_self *self = &node->self;
    if (node->refusal != NULL) return node->refusal->text;
    switch (standing) {
    case QUORUM_DOWN: return "start it, or look at the network between here and there";
    case QUORUM_WAITING:
        return "wait: it may have forgotten locks, and votes when the longest lease is over";
    case QUORUM_MISMATCH:
        return "give all clients the same nodes and ttl-max; to change them see docs/redis.md";
    case QUORUM_LOOKING:
    case QUORUM_ASKING: return "wait: it votes when enough other nodes have answered";
    case QUORUM_VOTING: break;
    }
    if (strcmp(self->policy, "noeviction") != 0) {
        return "set maxmemory-policy noeviction: Redis may throw locks away";
    }
    if (node->redis->node_count == 1 && !(self->is_aof && self->is_fsync_always)) {
        return "set appendonly yes and appendfsync always: a crash may lose the latest locks";
    }
    return "";
}

static void
describe(struct redis *redis, uint32_t index, const char *name, struct store_node *out_node)
{
    const struct redis_node *node = &redis->nodes[index];
    const struct redis_self *self = &node->self;
    enum quorum_standing standing = quorum_admission_standing(&redis->admission, index);
    *out_node = (struct store_node){
        .address = name,
        .standing = tni_redis_standing_word(standing),
        .role = self->role,
        .version = self->version,
        .persistence = persistence_of(self),
        .eviction_policy = self->policy,
        .trouble = node->trouble,
        .advice = advice_for(node, standing),
        .quarantine_ms = quorum_admission_quarantine_ms(&redis->admission, index, tni_store_now()),
        .clock_offset_ms = self->clock_offset_ms,
        .is_reachable = standing != QUORUM_DOWN,
        .is_voting = standing == QUORUM_VOTING,
    };
}

void tni_redis_info_tell(struct redis_work *work)
{
    struct redis *redis = work->redis;
    struct store_node nodes[QUORUM_NODE_COUNT_MAX];
    char names[QUORUM_NODE_COUNT_MAX][300];
    uint64_t uptime_ms = 0;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        (void)tni_redis_node_name(&redis->nodes[index], names[index], sizeof(names[index]));
        describe(redis, index, names[index], &nodes[index]);
        if (redis->nodes[index].self.uptime_ms > uptime_ms) {
            uptime_ms = redis->nodes[index].self.uptime_ms;
        }
    }
    struct store_result result = { .err = TENURE_OK };
    result.as.info = (struct store_info){
        .nodes = nodes,
        .node_count = redis->node_count,
        .version = redis->nodes[0].self.version,
        .node_id = redis->node_count == 1 ? redis->nodes[0].self.run_id : redis->config,
        .uptime_us = uptime_ms * 1000,
    };
    tni_redis_work_finish(work, &result);
    tni_redis_work_end(work);
}
