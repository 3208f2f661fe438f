/* key_inspect - reads of shared state. */
#include "engine/hold.h"
#include "engine/key.h"
#include "engine/lock.h"
#include "engine/rank.h"

/* Keys that one page of a list looks at, however few of them match. */
#define LIST_LOOK_MAX 20000u

static int64_t time_at(const struct engine *engine, struct mono now)
{
    int64_t time_ns = now.ns - engine->stalled_ns;
    return time_ns > engine->time_ns ? time_ns : engine->time_ns;
}

bool engine_register(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    struct engine_register_view *out_view,
    struct seq *out_seq)
{
    const struct key *key = key_find(engine, name);
    *out_view = (struct engine_register_view){ .name = name, .remaining_ms = -1 };
    *out_seq = key_last_change(engine, key);
    if (key == NULL || key->value == NULL) return false;
    key_view(key, time_at(engine, now), out_view);
    return true;
}

/* The first key of a page. */
static struct key *find_start(const struct engine *engine, struct bytes prefix, struct bytes after)
{
    bool is_resumed = after.size > 0 && bytes_compare(after, prefix) >= 0;
    struct key *key = key_seek(engine, is_resumed ? after : prefix);
    if (is_resumed && key != NULL && bytes_equal(key_name(key), after)) key = key_next(key);
    return key;
}

uint32_t engine_registers(
    const struct engine *engine,
    const struct engine_register_query *query,
    struct mono now,
    struct engine_register_view *out_views,
    struct bytes *out_next)
{
    ASSERT(query->count_max > 0 && query->count_max <= LIMIT_LIST_COUNT_MAX);
    int64_t time_ns = time_at(engine, now);
    struct bytes last = { 0 };
    size_t size = 0;
    uint32_t count = 0;
    const struct key *key = find_start(engine, query->prefix, query->after);
    for (uint32_t looked_at = 0; key != NULL; looked_at++, key = key_next(key)) {
        if (!bytes_start_with(key_name(key), query->prefix)) break;
        bool is_full = count == query->count_max || (count > 0 && size >= query->value_size_max);
        if (is_full || looked_at == LIST_LOOK_MAX) {
            *out_next = last;
            return count;
        }
        last = key_name(key);
        if (key->value == NULL) continue;
        key_view(key, time_ns, &out_views[count++]);
        size += key->value->size;
    }
    *out_next = (struct bytes){ 0 };
    return count;
}

enum tenure_err
engine_guard(const struct engine *engine, const struct engine_guard *guard, struct seq *out_seq)
{
    const struct lock *lock = lock_find(engine, guard->lock);
    *out_seq = lock_last_change(engine, lock);
    if (lock == NULL) return TENURE_NOT_FOUND;
    bool is_held = guard_find_hold(engine, guard->lock, guard->token) != NULL;
    return is_held ? TENURE_OK : TENURE_STALE_TOKEN;
}

/* ---------------------------------------------------------------------- ranks */

static const struct rank *find_rank(const struct engine *engine, struct bytes name)
{
    const struct key *key = key_find(engine, name);
    return key == NULL ? NULL : key->rank;
}

bool engine_rank(const struct engine *engine, struct bytes name, struct engine_rank_view *out_view)
{
    const struct key *key = key_find(engine, name);
    *out_view = (struct engine_rank_view){ .name = name, .seq = engine->seq };
    if (key == NULL) return false;
    out_view->seq = key_last_change(engine, key);
    out_view->count = key_member_count(key);
    return out_view->count > 0;
}

uint32_t engine_ranks(
    const struct engine *engine,
    struct bytes prefix,
    struct bytes after,
    uint32_t count_max,
    struct engine_rank_view *out_views,
    struct bytes *out_next)
{
    struct bytes last = { 0 };
    uint32_t count = 0;
    const struct key *key = find_start(engine, prefix, after);
    for (uint32_t looked_at = 0; key != NULL; looked_at++, key = key_next(key)) {
        if (!bytes_start_with(key_name(key), prefix)) break;
        if (count == count_max || looked_at == LIST_LOOK_MAX) {
            *out_next = last;
            return count;
        }
        last = key_name(key);
        uint32_t member_count = key_member_count(key);
        if (member_count == 0) continue;
        out_views[count++] = (struct engine_rank_view){ last, key->last_seq, member_count };
    }
    *out_next = (struct bytes){ 0 };
    return count;
}

static void
view_member(const struct member *member, uint32_t position, struct engine_member_view *out_view)
{
    *out_view = (struct engine_member_view){ member_name(member), member->score, position };
}

bool engine_member(
    const struct engine *engine,
    struct bytes name,
    struct bytes member_name,
    struct engine_member_view *out_view)
{
    const struct key *key = key_find(engine, name);
    const struct member *member = key == NULL ? NULL : rank_find(engine, key, member_name);
    if (member == NULL) return false;
    view_member(member, rank_position(member), out_view);
    return true;
}

void engine_rank_span(
    const struct engine *engine,
    struct bytes name,
    const struct engine_score_span *span,
    uint32_t *out_first,
    uint32_t *out_end)
{
    const struct rank *rank = find_rank(engine, name);
    *out_first = 0;
    *out_end = 0;
    if (rank == NULL) return;
    uint32_t first = rank_count_below(rank, span->score_min, span->is_min_open);
    uint32_t end = rank_count_below(rank, span->score_max, !span->is_max_open);
    if (end <= first) return;
    *out_first = first;
    *out_end = end;
}

uint32_t engine_members(
    const struct engine *engine,
    struct bytes name,
    uint32_t first,
    bool is_reversed,
    struct engine_member_view *out_views,
    uint32_t count_max)
{
    const struct rank *rank = find_rank(engine, name);
    const struct member *member = rank == NULL ? NULL : rank_at(rank, first);
    uint32_t count = 0;
    for (; member != NULL && count < count_max;
         member = is_reversed ? member->previous : rank_next(member))
    {
        view_member(member, is_reversed ? first - count : first + count, &out_views[count]);
        count++;
    }
    return count;
}

struct engine_key_counters engine_key_counters(const struct engine *engine)
{
    const struct keys *keys = &engine->keys;
    return (struct engine_key_counters){ .register_count = keys->register_count,
                                         .rank_count = keys->rank_count,
                                         .member_count = keys->member_count,
                                         .wait_count = keys->waits.count,
                                         .bytes = keys->bytes,
                                         .history_bytes = keys->history_bytes };
}
