/* registers - what can be read of shared state.  Part of engine.h: the same rules. */
#ifndef TENURE_ENGINE_REGISTERS_H
#define TENURE_ENGINE_REGISTERS_H

#include "engine/engine.h"

/* False when it is not set; the name and version 0 then.  `*out_seq` is what the answer depends
 * on. */
bool engine_register(
    const struct engine *engine,
    struct bytes name,
    struct mono now,
    struct engine_register_view *out_view,
    struct seq *out_seq);

struct engine_register_query {
    struct bytes prefix;
    struct bytes after;    /* names greater than this; empty: from the start */
    uint32_t count_max;    /* 1 … LIMIT_LIST_COUNT_MAX */
    size_t value_size_max; /* stop behind so many bytes of values */
};

/* Registers in byte order of their names.  Looks at a bounded number of keys: `*out_next` is where
 * to go on (it points into the engine), empty at the end; a page may be short or empty and still
 * have a next.  Returns the number of views written. */
uint32_t engine_registers(
    const struct engine *engine,
    const struct engine_register_query *query,
    struct mono now,
    struct engine_register_view *out_views,
    struct bytes *out_next);

/* Does the guard pass?  NOT_FOUND: nothing is known of the lock.  STALE_TOKEN.  `*out_seq` is what
 * the answer depends on; always written. */
MUST_USE enum tenure_err
engine_guard(const struct engine *engine, const struct engine_guard *guard, struct seq *out_seq);

struct engine_rank_view {
    struct bytes name;
    struct seq seq; /* what reads of it depend on */
    uint32_t count;
};

/* False when it has no members; the name and `seq` then. */
bool engine_rank(const struct engine *engine, struct bytes name, struct engine_rank_view *out_view);

/* Ranks in byte order of their names, as engine_registers. */
uint32_t engine_ranks(
    const struct engine *engine,
    struct bytes prefix,
    struct bytes after,
    uint32_t count_max,
    struct engine_rank_view *out_views,
    struct bytes *out_next);

struct engine_member_view {
    struct bytes member;
    double score;
    uint32_t position; /* from the lowest score, 0 */
};

/* False when it is no member. */
bool engine_member(
    const struct engine *engine,
    struct bytes name,
    struct bytes member,
    struct engine_member_view *out_view);

/* Those between two scores. */
struct engine_score_span {
    double score_min, score_max; /* also infinite */
    bool is_min_open, is_max_open;
};

/* The positions first … end - 1 of those within the span. */
void engine_rank_span(
    const struct engine *engine,
    struct bytes name,
    const struct engine_score_span *span,
    uint32_t *out_first,
    uint32_t *out_end);

/* The members at `first`, `first` + 1 … of a rank; reversed: at `first`, `first` - 1 ….  Returns
 * how many there were, up to `count_max`. */
uint32_t engine_members(
    const struct engine *engine,
    struct bytes name,
    uint32_t first,
    bool is_reversed,
    struct engine_member_view *out_views,
    uint32_t count_max);

struct engine_key_counters {
    uint64_t register_count, rank_count, member_count, wait_count; /* now */
    uint64_t bytes;         /* now: values, and names of members */
    uint64_t history_bytes; /* now: values that only events keep */
};

struct engine_key_counters engine_key_counters(const struct engine *engine);

#endif
