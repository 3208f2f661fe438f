/* What the nodes are good for together: who votes, whether that is enough, what it is worth. */
#include <inttypes.h>
#include <stdio.h>

#include "store/redis/cluster.h"

/* Nodes that answer at all answer by then. */
#define SETTLE_NS (300 * NS_PER_MS)

void tni_redis_admission_step(struct redis *redis, struct quorum_admission_event *event)
{
    struct timespec wall = { 0 };
    struct quorum_admission_update update;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    event->now = tni_store_now();
    event->wall = (struct wall){ wall.tv_sec * INT64_C(1000000) + wall.tv_nsec / 1000 };
    quorum_admission_step(&redis->admission, event, &update);
    redis->admission_at = update.deadline;
    for (uint32_t index = 0; index < update.call_count; index++) {
        const struct quorum_call *call = &update.calls[index];
        struct quorum_texts texts = quorum_admission_texts(&redis->admission, call->node);
        /* One that cannot be sent is given up after a while by the admission itself. */
        tni_redis_command_write(&redis->command, call, &texts);
        (void)!tni_redis_node_call(&redis->nodes[call->node], NULL, call, texts.pass, event->now);
    }
    tni_redis_stay_awake(redis);
}

static uint32_t count_standing(const struct redis *redis, enum quorum_standing standing)
{
    uint32_t count = 0;
    for (uint32_t node = 0; node < redis->node_count; node++) {
        count += quorum_admission_standing(&redis->admission, node) == standing;
    }
    return count;
}

bool tni_redis_is_ready(const struct redis *redis)
{
    return count_standing(redis, QUORUM_VOTING) >= quorum_majority(redis->node_count);
}

bool tni_redis_is_settled(const struct redis *redis)
{
    uint32_t known = 0;
    uint32_t reached = 0;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        const struct redis_node *node = &redis->nodes[index];
        enum quorum_standing standing = quorum_admission_standing(&redis->admission, index);
        bool is_reached = standing != QUORUM_DOWN && standing != QUORUM_LOOKING;
        reached += is_reached;
        known += is_reached || node->failure_count > 0;
    }
    if (known == redis->node_count) return true;
    bool is_late = tni_store_now().ns - redis->opened_at.ns >= SETTLE_NS;
    return is_late && reached >= quorum_majority(redis->node_count);
}

enum tenure_err tni_redis_refusal(const struct redis *redis, char *out_text, size_t size)
{
    if (redis->fatal[0] != '\0') {
        (void)snprintf(out_text, size, "%s", redis->fatal);
        return TENURE_INVALID;
    }
    uint32_t refusing = 0;
    const struct redis_node *last = NULL;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        const struct redis_node *node = &redis->nodes[index];
        bool is_refusing = node->refusal != NULL && !tni_redis_node_is_up(node);
        refusing += is_refusing;
        if (is_refusing) last = node;
    }
    uint32_t mismatched = count_standing(redis, QUORUM_MISMATCH);
    uint32_t fatal_min = redis->node_count - quorum_majority(redis->node_count) + 1;
    if (mismatched >= fatal_min) {
        (void)snprintf(
            out_text,
            size,
            "the nodes belong to another set: another number or list of nodes, or another ttl-max "
            "(%s is ours); see docs/redis.md",
            redis->config);
        return TENURE_INVALID;
    }
    if (refusing < fatal_min) return TENURE_OK;
    char name[160];
    (void)snprintf(
        out_text,
        size,
        "%.60s: %.130s",
        tni_redis_node_name(last, name, sizeof(name)),
        last->refusal->text);
    return last->refusal->err;
}

enum tenure_err tni_redis_complaint(const struct redis *redis, char *out_text, size_t size)
{
    uint32_t count = 0;
    const struct redis_node *last = NULL;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        const struct redis_node *node = &redis->nodes[index];
        if (!tni_redis_node_is_up(node) || node->said == NULL) continue;
        count++;
        last = node;
    }
    uint32_t many = redis->node_count - quorum_majority(redis->node_count) + 1;
    if (last == NULL || count < many) return TENURE_OK;
    char name[160];
    (void)tni_redis_node_name(last, name, sizeof(name));
    (void)snprintf(out_text, size, "%.60s: %.130s", name, last->said->text);
    return last->said->err;
}

const char *tni_redis_standing_word(enum quorum_standing standing)
{
    switch (standing) {
    case QUORUM_DOWN: return "unreachable";
    case QUORUM_LOOKING: return "being looked at";
    case QUORUM_VOTING: return "admitted";
    case QUORUM_WAITING: return "quarantined";
    case QUORUM_ASKING: return "catching up";
    case QUORUM_MISMATCH: return "of another set";
    }
    UNREACHABLE("every standing has a word");
}

/* Is it down for another reason than all nodes before it? */
static bool is_first_of_kind(const struct redis *redis, uint32_t index, uint32_t *out_more)
{
    const char *trouble = redis->nodes[index].trouble;
    uint32_t more = 0;
    for (uint32_t other = 0; other < redis->node_count; other++) {
        bool is_down = quorum_admission_standing(&redis->admission, other) == QUORUM_DOWN;
        if (!is_down || strcmp(redis->nodes[other].trouble, trouble) != 0) continue;
        if (other < index) return false;
        more += other > index;
    }
    *out_more = more;
    return true;
}

/* What is to be said of one node that does not vote, "" when it is said with another one. */
static void explain_node(const struct redis *redis, uint32_t index, char *out_text, size_t size)
{
    const struct redis_node *node = &redis->nodes[index];
    enum quorum_standing standing = quorum_admission_standing(&redis->admission, index);
    int64_t quarantine_ms =
        quorum_admission_quarantine_ms(&redis->admission, index, tni_store_now());
    char name[160];
    uint32_t more = 0;
    (void)tni_redis_node_name(node, name, sizeof(name));
    out_text[0] = '\0';
    if (standing == QUORUM_DOWN) {
        const char *trouble = node->trouble[0] == '\0' ? "not connected" : node->trouble;
        char others[24] = "";
        if (!is_first_of_kind(redis, index, &more)) return;
        if (more > 0) (void)snprintf(others, sizeof(others), " and %u more", (unsigned)more);
        (void)snprintf(out_text, size, "; %.40s%s: %.140s", name, others, trouble);
    } else if (quarantine_ms > 0) {
        int64_t seconds = quarantine_ms / 1000 + 1;
        (void)snprintf(out_text, size, "; %.40s: restarted, votes in %" PRId64 " s", name, seconds);
    } else {
        const char *word = tni_redis_standing_word(standing);
        (void)snprintf(out_text, size, "; %.40s: %s", name, word);
    }
}

void tni_redis_explain(const struct redis *redis, char *out_text, size_t size)
{
    uint32_t voting = count_standing(redis, QUORUM_VOTING);
    int used = snprintf(
        out_text,
        size,
        "%u of %u nodes vote, %u must",
        (unsigned)voting,
        (unsigned)redis->node_count,
        (unsigned)quorum_majority(redis->node_count));
    for (uint32_t index = 0; index < redis->node_count; index++) {
        char text[240];
        bool is_voting = quorum_admission_standing(&redis->admission, index) == QUORUM_VOTING;
        if (is_voting || used < 0 || (size_t)used >= size) continue;
        explain_node(redis, index, text, sizeof(text));
        used += snprintf(out_text + used, size - (size_t)used, "%s", text);
    }
    const struct redis_sentinel *sentinel = redis->sentinel;
    bool is_masterless = sentinel != NULL && !redis->nodes[0].is_enabled;
    if (is_masterless && used >= 0 && (size_t)used < size) {
        const char *trouble = tni_redis_sentinel_trouble(sentinel);
        (void)snprintf(out_text + used, size - (size_t)used, "; %s", trouble);
    }
}

/* May it throw locks away when its memory is full? */
static bool may_evict(const struct redis_self *self)
{
    return self->policy[0] != '\0' && strcmp(self->policy, "noeviction") != 0;
}

void tni_redis_judge_safety(struct redis *redis)
{
    const struct redis_self *self = &redis->nodes[0].self;
    /* What it does not tell counts against it. */
    bool is_kept = strcmp(self->policy, "noeviction") == 0;
    bool is_durable = self->is_aof && self->is_fsync_always && is_kept;
    uint32_t evicting = 0;
    for (uint32_t index = 0; index < redis->node_count; index++) {
        evicting += may_evict(&redis->nodes[index].self);
    }
    bool is_majority_kept = redis->node_count - evicting >= quorum_majority(redis->node_count);
    if (redis->node_count > 1) {
        redis->store.safety = is_majority_kept ? STORE_SAFETY_QUORUM : STORE_SAFETY_VOLATILE;
    } else if (redis->address.is_sentinel || self->replica_count > 0) {
        redis->store.safety = STORE_SAFETY_REPLICATED_ASYNC;
    } else {
        redis->store.safety = is_durable ? STORE_SAFETY_DURABLE_SINGLE : STORE_SAFETY_VOLATILE;
    }
}
