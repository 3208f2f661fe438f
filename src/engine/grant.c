#include "engine/grant.h"

#include "engine/apply.h"
#include "engine/hold.h"
#include "engine/lock.h"
#include "engine/output.h"

/* A hybrid logical clock (Kulkarni et al., 2014) of one part: the wall clock in microseconds keeps
 * tokens rising when the highest known was lost with an old copy; the highest known keeps them
 * rising when the clock runs backwards. */
struct token grant_next_token(const struct engine *engine)
{
    uint64_t next = engine->token_high.value + 1;
    if (engine->wall.us > 0 && (uint64_t)engine->wall.us > next) next = (uint64_t)engine->wall.us;
    return (struct token){ next };
}

bool grant_has_tokens(const struct engine *engine, uint32_t count)
{
    uint64_t next = grant_next_token(engine).value;
    return next <= TOKEN_MAX && TOKEN_MAX - next >= count;
}

bool grant_reserve(struct engine *engine, struct hold *const *holds, uint32_t hold_count)
{
    size_t size = 0;
    for (uint32_t index = 0; index < hold_count; index++) {
        const struct hold *hold = holds[index];
        size += output_record_size(lock_name(hold->lock), hold_owner(hold), hold_meta(hold));
        if (hold->lock_delay_ms > 0 && lock_queue(engine, hold->lock) == NULL) return false;
    }
    return output_reserve(engine, size, 1, hold_count) && apply_reserve_grants(engine, hold_count);
}

/* One hold as a record and in the state; room has been reserved. */
static void grant_one(struct engine *engine, struct hold *hold, const struct grant *grant)
{
    bool is_lowest = grant->slot == GRANT_SLOT_LOWEST;
    struct record record = {
        .kind = RECORD_GRANTED,
        .owner = hold_owner(hold),
        .token = grant_next_token(engine),
        .mode = (enum engine_mode)hold->mode,
        .slot = is_lowest ? lock_free_slot(hold->lock) : grant->slot,
        .slots = grant->slots,
        .ttl_ms = hold->ttl_ms,
        .lock_delay_ms = hold->lock_delay_ms,
        .meta = hold_meta(hold),
    };
    output_record(engine, hold->lock, &record);
    apply_granted(engine, hold, &record);
    engine->counters.granted++;
}

bool grant_holds(struct engine *engine, const struct grant *grant)
{
    if (!grant_reserve(engine, grant->holds, grant->hold_count)) return false;

    struct engine_reply *reply = output_reply(engine, grant->client, grant->tag);
    reply->kind = ENGINE_ACQUIRE;
    for (uint32_t index = 0; index < grant->hold_count; index++) {
        struct hold *hold = grant->holds[index];
        grant_one(engine, hold, grant);
        struct engine_result *result = output_result(engine);
        result->name = lock_name(hold->lock);
        result->waited_ms = grant->waited_ms;
        hold_view(hold, engine->time_ns, &result->hold);
    }
    output_depend(engine, engine->seq);
    return true;
}
