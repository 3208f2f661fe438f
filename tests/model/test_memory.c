/* The engine without memory: whichever allocation fails, the step that needed it says so and has
 * changed nothing, and the same step succeeds afterwards (SQLite's method). */
#include <inttypes.h>

#include "engine/engine.h"
#include "lib/fault_memory.h"
#include "lib/test.h"
#include "sim/rng.h"

#define STEP_COUNT 160u
#define NAME_COUNT 4u

struct run {
    struct fault_memory fault;
    struct engine *engine;
    struct rng rng;
    int64_t now_ns;
    uint64_t tokens[256];
    uint32_t names[256], owners[256];
    uint32_t grant_count;
    uint64_t refused_count;
};

static struct bytes name_text(uint32_t name)
{
    static const char *const texts[NAME_COUNT] = { "a", "b", "long/name/of/a/lock", "d" };
    return bytes_from_text(texts[name]);
}

static struct bytes owner_text(uint32_t owner)
{
    static const char letters[] = "ABCDEFGHIJKLMNOP";
    return (struct bytes){ letters + owner % 16, 1 };
}

/* The hash needs memory too: it gets it. */
static uint64_t hash(struct run *run)
{
    uint64_t fail_at = run->fault.fail_at;
    uint64_t call_count = run->fault.call_count;
    run->fault.fail_at = 0;
    uint64_t value = engine_hash(run->engine);
    run->fault.fail_at = fail_at;
    run->fault.call_count = call_count;
    return value;
}

static void take_records(struct run *run, const struct engine_update *update)
{
    struct bytes rest = update->records;
    struct record record;
    while (rest.size > 0) {
        CHECK(record_decode(&rest, &record) == TENURE_OK);
        if (record.kind != RECORD_GRANTED) continue;
        uint32_t at = run->grant_count++ % 256;
        run->tokens[at] = record.token.value;
        run->owners[at] = (uint32_t)(record.owner.data[0] - 'A');
        for (uint32_t name = 0; name < NAME_COUNT; name++) {
            if (bytes_equal(record.name, name_text(name))) run->names[at] = name;
        }
    }
}

static bool is_out_of_memory(const struct engine_update *update)
{
    return update->reply_count > 0 && update->replies[0].err == TENURE_NO_MEMORY;
}

static void step(struct run *run, struct engine_event *event)
{
    struct engine_update update;
    event->now.ns = run->now_ns;
    event->wall.us = INT64_C(1000000) + run->now_ns / 1000;
    uint64_t before = hash(run);
    uint64_t seq = engine_seq(run->engine).value;
    uint64_t waiters = engine_counters(run->engine).waiter_count;
    enum tenure_err err = engine_step(run->engine, event, &update);
    if (err != TENURE_OK) {
        CHECK_EQ_INT(err, TENURE_NO_MEMORY);
        CHECK(event->kind != ENGINE_COMMAND);
        CHECK_EQ_UINT(hash(run), before);
        CHECK_EQ_UINT(engine_seq(run->engine).value, seq);
        CHECK_EQ_UINT(engine_counters(run->engine).waiter_count, waiters);
    } else if (is_out_of_memory(&update)) {
        CHECK_EQ_INT(update.record_count, 0);
        CHECK_EQ_UINT(hash(run), before);
        CHECK_EQ_UINT(engine_counters(run->engine).waiter_count, waiters);
    } else {
        take_records(run, &update);
        engine_check(run->engine);
        return;
    }
    run->refused_count++;
    engine_check(run->engine);
    CHECK(engine_step(run->engine, event, &update) == TENURE_OK);
    CHECK(!is_out_of_memory(&update));
    take_records(run, &update);
}

static void send(struct run *run, struct engine_command *command)
{
    struct engine_event event = { .kind = ENGINE_COMMAND, .command = command };
    step(run, &event);
}

static void acquire(struct run *run, uint64_t tag)
{
    struct rng *rng = &run->rng;
    static const char meta[300] = "some text";
    uint32_t start = rng_below(rng, NAME_COUNT);
    struct bytes names[2] = { name_text(start), name_text((start + 1) % NAME_COUNT) };
    struct engine_command command = {
        .kind = ENGINE_ACQUIRE,
        .client = 1 + rng_below(rng, 3),
        .tag = tag,
        .as.acquire = {
            .names = names,
            .name_count = 1 + rng_below(rng, 2),
            .owner = owner_text(rng_below(rng, 16)),
            .meta = { meta, rng_percent(rng, 50) ? 9 : 0 },
            .ttl_ms = 100 + rng_below(rng, 400),
            .wait_ms = rng_percent(rng, 70) ? 1 + rng_below(rng, 900) : 0,
            .mode = rng_percent(rng, 40) ? ENGINE_SHARED : ENGINE_EXCLUSIVE,
            .slots = 1,
            .priority = rng_below(rng, 3),
            .lock_delay_ms = rng_percent(rng, 30) ? 50 : 0,
        },
    };
    send(run, &command);
}

static void claim(struct run *run, uint64_t tag)
{
    struct rng *rng = &run->rng;
    uint32_t count = run->grant_count < 256 ? run->grant_count : 256;
    if (count == 0) return;
    uint32_t at = count - 1 - rng_below(rng, count < 6 ? count : 6);
    struct engine_claim asked = {
        .name = name_text(run->names[at]),
        .owner = owner_text(run->owners[at]),
        .token = { run->tokens[at] },
        .ttl_ms = rng_percent(rng, 50) ? ENGINE_TTL_KEEP : 100 + rng_below(rng, 900),
    };
    struct engine_command command = { .client = 9, .tag = tag };
    switch (rng_below(rng, 5)) {
    case 0:
        command.kind = ENGINE_RELEASE;
        command.as.release = asked;
        break;
    case 1:
        command.kind = ENGINE_RENEW;
        command.as.renew.claims = &asked;
        command.as.renew.count = 1;
        break;
    case 2:
        command.kind = ENGINE_BREAK;
        command.as.break_hold.name = asked.name;
        command.as.break_hold.token = asked.token;
        command.as.break_hold.reason = BYTES_LITERAL("stuck");
        command.as.break_hold.grace_ms = rng_percent(rng, 50) ? 80 : 0;
        break;
    case 3:
        command.kind = ENGINE_PROCLAIM;
        command.as.proclaim.claim = asked;
        command.as.proclaim.value = BYTES_LITERAL("a new value");
        break;
    default:
        command.kind = ENGINE_TRANSFER;
        command.as.transfer.claim = asked;
        command.as.transfer.to = owner_text(rng_below(rng, 16));
        break;
    }
    send(run, &command);
}

static void other(struct run *run)
{
    struct engine_event event = { .kind = ENGINE_TIMER };
    switch (rng_below(&run->rng, 4)) {
    case 0:
        event.kind = ENGINE_DURABLE;
        event.durable = engine_seq(run->engine);
        break;
    case 1:
        event.kind = ENGINE_GATE;
        event.gate = rng_percent(&run->rng, 50) ? ENGINE_GATE_NO_SPACE : ENGINE_GATE_DRAINING;
        step(run, &event);
        event.gate = ENGINE_GATE_OPEN;
        break;
    default: run->now_ns += rng_below(&run->rng, 300) * NS_PER_MS; break;
    }
    step(run, &event);
}

/* A snapshot in pieces; without memory it is given up. */
static void snapshot(struct run *run)
{
    struct seq seq;
    bool is_last = false;
    engine_snapshot_begin(run->engine, &seq);
    while (!is_last) {
        struct buffer chunk;
        buffer_init(&chunk, &run->fault.memory);
        is_last = engine_snapshot_write(run->engine, &chunk, 100) || chunk.is_failed;
        buffer_deinit(&chunk);
        run->now_ns += NS_PER_MS;
        if (!is_last) claim(run, 7);
    }
}

/* True when the n-th allocation was still reached. */
static bool run_failing(uint64_t seed, uint64_t fail_at)
{
    struct run run = { .rng = rng_from(seed, 1), .now_ns = NS_PER_S };
    fault_memory_init(&run.fault, fail_at);
    struct engine_options options = {
        .memory = &run.fault.memory,
        .hash_key = { { 5, 6 } },
        .hold_count_max = 100,
        .waiter_count_max = 100,
        .window_size = ENGINE_WINDOW_SIZE_MIN,
        .ageing_ms = 1000,
    };
    test_note("seed %" PRIu64 ", allocation %" PRIu64, seed, fail_at);
    run.engine = engine_create(&options);
    if (run.engine == NULL) {
        CHECK(run.fault.has_failed);
        fault_memory_check_empty(&run.fault);
        return true;
    }
    struct engine_event ready = { .kind = ENGINE_READY };
    step(&run, &ready);
    for (uint32_t index = 0; index < STEP_COUNT; index++) {
        uint32_t dice = rng_below(&run.rng, 100);
        if (dice < 45)
            acquire(&run, index + 100);
        else if (dice < 75)
            claim(&run, index + 100);
        else if (dice < 97)
            other(&run);
        else
            snapshot(&run);
    }
    engine_destroy(&run.engine);
    fault_memory_check_empty(&run.fault);
    return run.fault.has_failed;
}

TEST_WITHIN(120, every_allocation_may_fail)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint64_t fail_at = 1;
        while (run_failing(seed, fail_at))
            fail_at++;
        CHECK(fail_at > 50);
    }
}
