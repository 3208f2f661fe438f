/* What the nodes know together of one lock, for people. */
#include <time.h>

#include "base/utf8.h"
#include "store/redis/cluster.h"

struct holder_count {
    uint32_t node; /* one that tells of this holder */
    uint32_t votes;
};

static const char *text_at(const struct redis_work *work, size_t at)
{
    return work->texts.data + at;
}

static bool is_same_holder(
    const struct redis_work *work, const struct redis_sight *left, const struct redis_sight *right)
{
    return left->sight.token == right->sight.token &&
           strcmp(text_at(work, left->owner_at), text_at(work, right->owner_at)) == 0;
}

static bool is_held(const struct redis_work *work, const struct redis_sight *seen)
{
    return seen->is_answered && text_at(work, seen->owner_at)[0] != '\0';
}

/* Whom most nodes name.  Votes 0: nobody. */
static struct holder_count find_holder(const struct redis_work *work)
{
    struct holder_count best = { 0 };
    uint32_t node_count = work->redis->node_count;
    const struct redis_sight *sights = work->as.look.sights;
    for (uint32_t node = 0; node < node_count; node++) {
        if (!is_held(work, &sights[node])) continue;
        uint32_t votes = 0;
        for (uint32_t other = 0; other < node_count; other++) {
            votes += is_held(work, &sights[other]) &&
                     is_same_holder(work, &sights[node], &sights[other]);
        }
        if (votes > best.votes) best = (struct holder_count){ node, votes };
    }
    return best;
}

static int64_t endless_last(int64_t remaining_ms)
{
    return remaining_ms < 0 ? INT64_MAX : remaining_ms;
}

/* So long a majority keeps it; or, where no majority does, so long some node does. */
static int64_t find_remaining_ms(const struct redis_work *work, const struct holder_count *holder)
{
    uint32_t node_count = work->redis->node_count;
    const struct redis_sight *sights = work->as.look.sights;
    uint32_t wanted = quorum_majority(node_count);
    if (holder->votes < wanted) wanted = 1;
    int64_t best_ms = 0; /* a key without an end counts as the longest */
    for (uint32_t node = 0; node < node_count; node++) {
        const struct redis_sight *seen = &sights[node];
        if (!is_held(work, seen) || !is_same_holder(work, seen, &sights[holder->node])) continue;
        int64_t mine_ms = endless_last(seen->sight.remaining_ms);
        uint32_t longer = 0;
        for (uint32_t other = 0; other < node_count; other++) {
            longer += is_held(work, &sights[other]) &&
                      is_same_holder(work, &sights[other], &sights[holder->node]) &&
                      endless_last(sights[other].sight.remaining_ms) >= mine_ms;
        }
        if (longer >= wanted && mine_ms > best_ms) best_ms = mine_ms;
    }
    return best_ms == INT64_MAX ? -1 : best_ms;
}

/* A break that did not reach all nodes is one yet: its holder may not lengthen what is left. */
static bool is_breaking(const struct redis_work *work, const struct holder_count *holder)
{
    const struct redis_sight *sights = work->as.look.sights;
    for (uint32_t node = 0; node < work->redis->node_count; node++) {
        const struct redis_sight *seen = &sights[node];
        bool is_his = is_held(work, seen) && is_same_holder(work, seen, &sights[holder->node]);
        if (is_his && seen->sight.is_breaking) return true;
    }
    return false;
}

/* A node that lost the hold and was healed knows no meta. */
static const char *find_meta(const struct redis_work *work, const struct holder_count *holder)
{
    const struct redis_sight *sights = work->as.look.sights;
    for (uint32_t node = 0; node < work->redis->node_count; node++) {
        const struct redis_sight *seen = &sights[node];
        bool is_his = is_held(work, seen) && is_same_holder(work, seen, &sights[holder->node]);
        if (!is_his || seen->sight.meta.size == 0) continue;
        const char *meta = text_at(work, seen->meta_at);
        if (utf8_is_valid(bytes_from_text(meta))) return meta;
    }
    return "";
}

/* The value of somebody else's key may be anything. */
static size_t add_owner(struct buffer *out, const char *owner)
{
    size_t at = out->size;
    struct bytes text = bytes_from_text(owner);
    if (text.size > LIMIT_OWNER_SIZE_MAX) text.size = LIMIT_OWNER_SIZE_MAX;
    if (utf8_is_plain(text)) {
        buffer_append_bytes(out, text);
    } else {
        for (size_t index = 0; index < text.size; index++) {
            bool is_plain = text.data[index] > 0x20 && text.data[index] < 0x7f;
            buffer_append_byte(out, is_plain ? text.data[index] : '?');
        }
    }
    buffer_append_byte(out, '\0');
    return at;
}

static int64_t wall_us(void)
{
    struct timespec time = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000;
}

/* The holder keeps its place in the line, also on a node where its vote is missing; it does not
 * wait.  "": nobody holds it. */
static const char *holder_owner(const struct redis_work *work, const struct holder_count *holder)
{
    return holder->votes == 0 ? "" : text_at(work, work->as.look.sights[holder->node].owner_at);
}

/* How many a node names that wait. */
static uint32_t
count_named(const struct redis_work *work, const struct redis_sight *seen, const char *holder)
{
    const char *owner = text_at(work, seen->waiters_at);
    uint32_t count = 0;
    for (uint32_t index = 0; index < seen->waiters_here; index++) {
        count += strcmp(owner, holder) != 0;
        owner += strlen(owner) + 1;
    }
    return count;
}

/* The node that names most of those who wait; NULL: nobody does. */
static const struct redis_sight *find_line(const struct redis_work *work, const char *holder)
{
    const struct redis_sight *best = NULL;
    uint32_t best_count = 0;
    for (uint32_t node = 0; node < work->redis->node_count; node++) {
        const struct redis_sight *seen = &work->as.look.sights[node];
        if (!seen->is_answered) continue;
        uint32_t count = count_named(work, seen, holder);
        if (count <= best_count) continue;
        best = seen;
        best_count = count;
    }
    return best;
}

static void add_waiters(
    const struct redis_work *work,
    const struct redis_sight *line,
    const char *holder,
    struct buffer *out,
    struct store_waiter *waiters)
{
    const char *owner = text_at(work, line->waiters_at);
    uint32_t count = 0;
    for (uint32_t index = 0; index < line->waiters_here; index++, owner += strlen(owner) + 1) {
        if (strcmp(owner, holder) == 0) continue;
        /* A number in the line is about the time at which it was drawn. */
        uint64_t now_us = (uint64_t)wall_us();
        uint64_t waited_us = line->tickets[index] < now_us ? now_us - line->tickets[index] : 0;
        size_t owner_at = add_owner(out, owner);
        waiters[count] = (struct store_waiter){
            .owner = out->data + owner_at,
            .meta = "",
            .position = count + 1,
            .waited_ms = (int64_t)(waited_us / 1000),
            .remaining_ms = -1,
        };
        count++;
    }
}

enum tenure_err
tni_redis_view(struct redis_work *work, const char *name, struct store_lock_view *out_view)
{
    struct redis *redis = work->redis;
    if (work->texts.is_failed) return TENURE_NO_MEMORY; /* what was answered is not all there */
    struct holder_count holder = find_holder(work);
    const char *owner = holder_owner(work, &holder);
    const struct redis_sight *line = find_line(work, owner);
    if (holder.votes == 0 && line == NULL) return TENURE_NOT_FOUND;

    struct buffer *out = &redis->view;
    uint32_t waiter_count = line == NULL ? 0 : count_named(work, line, owner);
    size_t waiters_size = waiter_count * sizeof(struct store_waiter);
    size_t owners_size = (1 + (size_t)waiter_count) * (LIMIT_OWNER_SIZE_MAX + 1);
    buffer_reset(out);
    if (!buffer_reserve(out, sizeof(struct store_holder) + waiters_size + owners_size)) {
        return TENURE_NO_MEMORY;
    }
    /* Room is reserved: the parts stay where they are. */
    struct store_holder *told = (void *)buffer_extend(out, sizeof(*told));
    struct store_waiter *waiters = NULL;
    if (waiter_count > 0) waiters = (void *)buffer_extend(out, waiters_size);
    if (told == NULL) return TENURE_NO_MEMORY;
    *out_view = (struct store_lock_view){ .name = name, .slots = 1, .waiters_here = waiter_count };
    if (holder.votes > 0) {
        const struct redis_sight *seen = &work->as.look.sights[holder.node];
        size_t owner_at = add_owner(out, owner);
        *told = (struct store_holder){
            .owner = out->data + owner_at,
            .meta = find_meta(work, &holder),
            .token = seen->sight.token,
            .ttl_ms = seen->sight.ttl_ms,
            .remaining_ms = find_remaining_ms(work, &holder),
            .acquired_at_us = (int64_t)seen->sight.token, /* it was the time, or next to it */
            .votes = holder.votes,
            .node_count = redis->node_count,
            .is_breaking = is_breaking(work, &holder),
            .is_foreign = seen->sight.token == 0,
        };
        out_view->holders = told;
        out_view->holder_count = 1;
    }
    if (line != NULL && waiters != NULL) {
        add_waiters(work, line, owner, out, waiters);
        out_view->waiters = waiters;
        uint32_t unnamed = line->sight.waiter_count > line->waiters_here
                               ? line->sight.waiter_count - line->waiters_here
                               : 0;
        out_view->waiter_count = waiter_count + unnamed;
    }
    return TENURE_OK;
}
