#include <inttypes.h>
#include <stdlib.h>

#include "sim/oracle_parts.h"

#define N(name) (world_name(name).data)

/* ------------------------------------------------------------------ history */

static void *grow(void *block, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) return block;
    *capacity = *capacity == 0 ? 256 : *capacity * 2;
    void *grown = realloc(block, *capacity * size);
    if (grown == NULL) abort();
    return grown;
}

static size_t offset_of(const struct oracle *oracle, uint64_t seq)
{
    return seq > oracle->last ? oracle->history.size : oracle->offsets[seq - 1];
}

void ledger_append(struct world *world, struct bytes record)
{
    struct oracle *oracle = &world->oracle;
    if (oracle->last == oracle->offset_capacity) {
        oracle->offset_capacity = oracle->offset_capacity == 0 ? 1024 : oracle->offset_capacity * 2;
        size_t *offsets = realloc(oracle->offsets, oracle->offset_capacity * sizeof(size_t));
        if (offsets == NULL) abort();
        oracle->offsets = offsets;
    }
    oracle->offsets[oracle->last++] = oracle->history.size;
    buffer_append_bytes(&oracle->history, record);
}

static struct bytes history_record(const struct oracle *oracle, uint64_t seq)
{
    size_t from = offset_of(oracle, seq);
    return (struct bytes){ oracle->history.data + from, offset_of(oracle, seq + 1) - from };
}

/* ------------------------------------------------------------------- grants */

struct grant *oracle_grant(struct world *world, uint32_t name, uint32_t owner)
{
    struct oracle *oracle = &world->oracle;
    for (uint32_t index = oracle->live_from; index < oracle->grant_count; index++) {
        struct grant *grant = &oracle->grants[index];
        if (grant->ended_seq.value == 0 && grant->name == name && grant->owner == owner) {
            return grant;
        }
    }
    return NULL;
}

struct grant *oracle_grant_by_token(struct world *world, uint32_t name, struct token token)
{
    struct oracle *oracle = &world->oracle;
    for (uint32_t index = oracle->grant_count; index-- > 0;) {
        struct grant *grant = &oracle->grants[index];
        if (grant->token.value == token.value && grant->name == name) return grant;
    }
    return NULL;
}

static struct grant *live_grant(struct world *world, const struct record *record, uint32_t name)
{
    struct grant *grant = oracle_grant_by_token(world, name, record->token);
    if (grant == NULL || grant->ended_seq.value != 0 ||
        grant->owner != world_owner_number(world, record->owner))
    {
        world_fail(
            world,
            "%s of %s, token %" PRIu64 ": there is no such hold",
            record_kind_word(record->kind),
            N(name),
            record->token.value);
    }
    return grant;
}

/* No two that exclude each other may be there at once: the state itself, before
 * any clock. */
static void check_room(struct world *world, const struct grant *grant)
{
    const struct oracle *oracle = &world->oracle;
    uint32_t beside = 0;
    for (uint32_t index = oracle->live_from; index < oracle->grant_count; index++) {
        const struct grant *other = &oracle->grants[index];
        if (other->ended_seq.value != 0 || other->name != grant->name) continue;
        bool is_good = other->mode == grant->mode && other->slots == grant->slots &&
                       other->owner != grant->owner &&
                       (grant->mode == ENGINE_SHARED || other->slot != grant->slot);
        if (!is_good || (grant->mode == ENGINE_EXCLUSIVE && ++beside >= grant->slots)) {
            world_fail(
                world,
                "%s: token %" PRIu64 " granted beside %" PRIu64,
                N(grant->name),
                grant->token.value,
                other->token.value);
        }
        if (grant->mode == ENGINE_SHARED) world_probe(world, PROBE_GRANT_SHARED);
    }
    if (grant->slot > 0) world_probe(world, PROBE_GRANT_SLOT);
    if (grant->slot >= grant->slots) world_fail(world, "a slot outside of the slots");
}

/* What the records say, without asking whether they may. */
struct grant *ledger_apply(struct world *world, const struct record *record)
{
    struct oracle *oracle = &world->oracle;
    if (RECORD_KIND_IS_WORK(record->kind)) {
        job_ledger_apply(world, record);
        return NULL;
    }
    if (RECORD_KIND_IS_KEY(record->kind)) {
        state_ledger_apply(world, record);
        return NULL;
    }
    uint32_t name = world_name_number(world, record->name);
    oracle->name_last[name] = record->seq.value;
    if (record->kind == RECORD_AVAILABLE) {
        oracle->has_delay[name] = false;
        return NULL;
    }
    if (record->kind == RECORD_GRANTED) {
        if (record->token.value <= oracle->token_high.value || record->token.value > TOKEN_MAX) {
            world_fail(
                world,
                "I1: token %" PRIu64 " granted after %" PRIu64,
                record->token.value,
                oracle->token_high.value);
        }
        oracle->token_high = record->token;
        struct grant grant = {
            .name = name,
            .owner = world_owner_number(world, record->owner),
            .token = record->token,
            .mode = record->mode,
            .slot = record->slot,
            .slots = record->slots,
            .ttl_ms = record->ttl_ms,
            .lock_delay_ms = record->lock_delay_ms,
            .seq = record->seq,
            .terms_seq = record->seq,
            .base_ns = world->receivable_ns,
        };
        check_room(world, &grant);
        oracle->grants = grow(
            oracle->grants, oracle->grant_count, &oracle->grant_capacity, sizeof(struct grant));
        oracle->grants[oracle->grant_count] = grant;
        return &oracle->grants[oracle->grant_count++];
    }
    struct grant *grant = live_grant(world, record, name);
    if (record->kind == RECORD_RENEWED) {
        grant->ttl_ms = record->ttl_ms;
        grant->terms_seq = record->seq;
    } else if (record->kind == RECORD_BREAKING) {
        grant->terms_seq = record->seq;
        grant->is_breaking = true;
        grant->grace_ms = record->grace_ms;
        grant->break_base_ns = world->receivable_ns;
    } else if (record->kind != RECORD_PROCLAIMED) {
        grant->ended_seq = record->seq;
        grant->ended = record->kind;
        if (record->lock_delay_ms > 0) {
            int64_t until_ns = world->receivable_ns + record->lock_delay_ms * NS_PER_MS;
            oracle->has_delay[name] = true;
            oracle->delay_until_ns[name] = until_ns;
        }
    }
    while (oracle->live_from < oracle->grant_count &&
           oracle->grants[oracle->live_from].ended_seq.value != 0)
    {
        oracle->live_from++;
    }
    return grant;
}

void oracle_cut(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    oracle->cuts = grow(oracle->cuts, oracle->cut_count, &oracle->cut_capacity, sizeof(struct cut));
    oracle->cuts[oracle->cut_count++] = (struct cut){
        .last = engine_seq(world->host.engine),
        .hash = host_hash(world),
    };
}

void oracle_durable(struct world *world, struct seq durable)
{
    struct oracle *oracle = &world->oracle;
    oracle->durable = durable;
    for (uint32_t index = oracle->live_from; index < oracle->grant_count; index++) {
        struct grant *grant = &oracle->grants[index];
        if (grant->is_durable || grant->seq.value > durable.value) continue;
        grant->is_durable = true;
        grant->base_ns = world->receivable_ns;
    }
    job_durable(world);
}

void oracle_released(struct world *world, struct seq seq)
{
    struct oracle *oracle = &world->oracle;
    if (seq.value > oracle->acked.value) oracle->acked = seq;
}

/* ----------------------------------------------------------------- recovery */

void oracle_crashed(struct world *world)
{
    world->oracle.wait_count = 0;
    world->jobs.wait_count = 0;
    world->states.wait_count = 0;
}

enum tenure_err oracle_batch(struct world *world, struct seq first, struct bytes records)
{
    const struct oracle *oracle = &world->oracle;
    bool is_known = first.value >= 1 && first.value <= oracle->last;
    size_t from = is_known ? offset_of(oracle, first.value) : 0;
    if (!is_known || records.size > oracle->history.size - from ||
        memcmp(oracle->history.data + from, records.data, records.size) != 0)
    {
        world_fail(
            world,
            "I5: recovery hands over records at %" PRIu64 " that were never written",
            first.value);
    }
    return TENURE_OK;
}

/* What clients have given up stays given up, whatever the crash made of it. */
static void keep_given_up(struct world *world, const struct grant *before, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        if (!before[index].is_given_up) continue;
        struct grant *grant = oracle_grant_by_token(world, before[index].name, before[index].token);
        if (grant != NULL && grant->owner == before[index].owner) grant->is_given_up = true;
    }
}

/* Forget what did not survive. */
static void truncate_history(struct world *world, uint64_t last)
{
    struct oracle *oracle = &world->oracle;
    struct grant *before = oracle->grants;
    uint32_t before_count = oracle->grant_count;
    oracle->grants = NULL;
    oracle->grant_capacity = 0;
    oracle->history.size = offset_of(oracle, last + 1);
    oracle->last = last;
    oracle->grant_count = 0;
    oracle->live_from = 0;
    oracle->token_high.value = 0;
    memset(oracle->has_delay, 0, sizeof oracle->has_delay);
    memset(oracle->name_last, 0, sizeof oracle->name_last);
    job_ledger_reset(world);
    state_ledger_reset(world);
    struct bytes rest = buffer_bytes(&oracle->history);
    for (uint64_t seq = 1; seq <= last; seq++) {
        struct record record;
        if (record_decode(&rest, &record) != TENURE_OK) world_fail(world, "history is broken");
        record.seq.value = seq;
        (void)ledger_apply(world, &record);
    }
    /* Every restored hold gets its full ttl from now, every lock-delay and grace
     * its length. */
    for (uint32_t index = 0; index < oracle->grant_count; index++) {
        struct grant *grant = &oracle->grants[index];
        grant->is_durable = true;
        grant->base_ns = world->receivable_ns;
        grant->break_base_ns = world->receivable_ns;
        if (grant->ended_seq.value == 0) world_probe(world, PROBE_HOLD_SURVIVED);
    }
    job_ledger_restarted(world);
    state_ledger_restarted(world);
    keep_given_up(world, before, before_count);
    free(before);
    while (oracle->cut_count > 0 && oracle->cuts[oracle->cut_count - 1].last.value > last) {
        oracle->cut_count--;
    }
}

/* Damage to the last batch, without a mark behind it, looks like a torn one.
 * Nothing else does. */
static bool is_loss_excused(const struct world *world, uint64_t seq)
{
    const struct oracle *oracle = &world->oracle;
    /* When the start that dropped it did not come to its end, the next one has nothing to tell. */
    bool is_told = world->host.report.torn_bytes > 0 || world->host.start_attempts > 1;
    if (world->media_faults == 0 || !is_told) return false;
    if (world->host.damage_count > 1) return true; /* the batch, and the mark behind it */
    if (oracle->is_marked) return false;
    uint64_t last_but_one = 0;
    for (uint32_t index = 0; index < oracle->cut_count; index++) {
        uint64_t last = oracle->cuts[index].last.value;
        if (last < oracle->durable.value) last_but_one = last;
    }
    return seq >= last_but_one;
}

void oracle_recovered(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    const struct journal_report *report = &world->host.report;
    uint64_t seq = report->seq.value;
    if (engine_seq(world->host.engine).value != seq) {
        world_fail(world, "I12: the engine is elsewhere");
    }
    if (report->torn_bytes > 0) world_probe(world, PROBE_TORN_TAIL);
    if (report->is_snapshot_skipped) {
        if (world->media_faults == 0 && !world->swarm.has_io_errors) {
            world_fail(world, "I12: a snapshot is damaged without a cause: %s", report->text);
        }
        world_probe(world, PROBE_SNAPSHOT_SKIPPED);
    }
    if (report->segment_count > 1) world_probe(world, PROBE_SEGMENT_SWITCH);
    if (seq > oracle->submitted.value) world_fail(world, "I5: what was never written is there");
    if (seq < oracle->acked.value) {
        if (!is_loss_excused(world, seq)) {
            world_fail(
                world,
                "I5: %" PRIu64 " was acknowledged, only %" PRIu64 " survived",
                oracle->acked.value,
                seq);
        }
        world_probe(world, PROBE_DAMAGE_LOST_BATCH);
        /* Who was granted in it will be overlapped: nobody can promise against damage. */
        for (uint32_t index = 0; index < WORLD_BELIEF_COUNT_MAX; index++) {
            world->beliefs[index].is_forced = true;
        }
        world->jobs.effect_count = 0;
        memset(world->jobs.beliefs, 0, sizeof world->jobs.beliefs);
        state_watch_forget(world);
        oracle->acked.value = seq;
    } else if (world->media_faults > 0) {
        world_probe(world, PROBE_DAMAGE_SURVIVED);
    }
    if (seq > oracle->acked.value) world_probe(world, PROBE_UNACKED_KEPT);
    if (seq < oracle->last) world_probe(world, PROBE_UNACKED_LOST);
    truncate_history(world, seq);
    oracle->submitted.value = seq;
    oracle->durable.value = seq;
    oracle->is_marked = true; /* recovery closes what it found */
    if (oracle->cut_count == 0) {
        if (seq != 0) world_fail(world, "I5: a part of a batch survived");
        oracle_cut(world);
    }
    const struct cut *cut = &oracle->cuts[oracle->cut_count - 1];
    if (cut->last.value != seq) world_fail(world, "I5: a part of a batch survived");
    if (cut->hash != host_hash(world)) {
        world_fail(world, "I12: the recovered state differs from the live one at %" PRIu64, seq);
    }
    engine_check(world->host.engine);
    state_compare(world, false);
    oracle_check_replay(world);
    oracle_check_window(world);
}

/* I12: the journal from its first record leads to the same state. */
void oracle_check_replay(struct world *world)
{
    const struct oracle *oracle = &world->oracle;
    if (oracle->last > UINT32_MAX) return;
    struct engine_options options = {
        .memory = &memory_heap,
        .hash_key = { { 1, 2 } },
        .hold_count_max = 100000,
        .waiter_count_max = 10,
        .window_size = ENGINE_WINDOW_SIZE_MIN,
        .ageing_ms = WORLD_AGEING_MS,
    };
    struct engine *engine = engine_create(&options);
    if (engine == NULL) abort();
    enum tenure_err err = TENURE_OK;
    if (oracle->last > 0) {
        err = engine_restore_batch(
            engine, (struct seq){ 1 }, (uint32_t)oracle->last, buffer_bytes(&oracle->history));
    }
    if (err != TENURE_OK) world_fail(world, "I12: replay: %s", tenure_err_name(err));
    uint64_t hash = engine_hash(engine);
    engine_destroy(&engine);
    if (hash != host_hash(world)) world_fail(world, "I12: replay leads elsewhere");
}

/* An event leaves out a body: only its size is known. */
static bool is_as_written(struct record event, struct bytes written)
{
    struct record record;
    struct bytes rest = written;
    if (record_decode(&rest, &record) != TENURE_OK) return false;
    struct buffer left;
    struct buffer right;
    buffer_init(&left, &memory_heap);
    buffer_init(&right, &memory_heap);
    record.body.data = NULL;
    record_encode(&left, &event);
    record_encode(&right, &record);
    bool is_same = bytes_equal(buffer_bytes(&left), buffer_bytes(&right));
    buffer_deinit(&left);
    buffer_deinit(&right);
    return is_same;
}

/* I10: the window of events is dense and tells what the records told. */
void oracle_check_window(struct world *world)
{
    const struct oracle *oracle = &world->oracle;
    const struct engine *engine = world->host.engine;
    uint64_t first = engine_window_first(engine).value;
    uint64_t last = engine_window_last(engine).value;
    if (first > last) return;
    if (last != oracle->last || first == 0) world_fail(world, "I10: the window ends elsewhere");
    if (first > 1) world_probe(world, PROBE_WINDOW_WRAPPED);
    bool is_good = true;
    for (uint64_t seq = first; seq <= last && is_good; seq++) {
        struct record record;
        is_good =
            engine_window_read(engine, (struct seq){ seq }, &record) && record.seq.value == seq;
        if (is_good && RECORD_KIND_IS_KEY(record.kind)) {
            is_good = state_is_event_true(world, &record);
        } else if (is_good) {
            is_good = is_as_written(record, history_record(oracle, seq));
        }
    }
    if (!is_good) world_fail(world, "I10: an event of the window is not what happened");
}

void oracle_init(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    if (oracle->history.memory == NULL) buffer_init(&oracle->history, &memory_heap);
    buffer_reset(&oracle->history);
    oracle->last = 0;
    oracle->cut_count = 0;
    oracle->grant_count = 0;
    oracle->live_from = 0;
    oracle->wait_count = 0;
    oracle->token_high.value = 0;
    oracle->acked.value = 0;
    oracle->durable.value = 0;
    oracle->is_marked = false;
    oracle->submitted.value = 0;
    memset(oracle->has_delay, 0, sizeof oracle->has_delay);
    memset(oracle->delay_until_ns, 0, sizeof oracle->delay_until_ns);
    memset(oracle->name_last, 0, sizeof oracle->name_last);
}

void oracle_deinit(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    buffer_deinit(&oracle->history);
    free(oracle->offsets);
    free(oracle->cuts);
    free(oracle->grants);
    memset(oracle, 0, sizeof *oracle);
}
