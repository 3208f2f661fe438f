/* Records of a journal: whatever bytes come, what is read from them is written the same again, and
 * what an engine accepts of them is a state that keeps every invariant. */
#include "base/memory.h"
#include "engine/engine.h"

#define RECORD_COUNT_MAX 10000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many records stand at the front. */
static uint32_t check_records(struct bytes input)
{
    struct buffer again;
    buffer_init(&again, &memory_heap);
    uint32_t count = 0;
    struct bytes rest = input;
    struct record record;
    while (count < RECORD_COUNT_MAX && record_decode(&rest, &record) == TENURE_OK) {
        ASSERT(record_kind_word(record.kind) != NULL);
        record_encode(&again, &record);
        count++;
    }
    ASSERT(!again.is_failed);
    struct bytes consumed = { input.data, input.size - rest.size };
    ASSERT(bytes_equal(buffer_bytes(&again), consumed));
    buffer_deinit(&again);
    return count;
}

static struct engine *create(void)
{
    struct engine_options options = { .memory = &memory_heap,
                                      .hold_count_max = ENGINE_HOLD_COUNT_MAX_DEFAULT,
                                      .waiter_count_max = 100,
                                      .window_size = ENGINE_WINDOW_SIZE_MIN,
                                      .ageing_ms = 1000 };
    struct engine *engine = engine_create(&options);
    ASSERT(engine != NULL);
    return engine;
}

static void make_ready(struct engine *engine)
{
    uint64_t hash = engine_hash(engine);
    struct engine_event event = { .kind = ENGINE_READY, .now = { NS_PER_S }, .wall = { 1 } };
    struct engine_update update;
    ASSERT(engine_step(engine, &event, &update) == TENURE_OK);
    engine_check(engine);
    ASSERT(engine_hash(engine) == hash);
    /* A day later: whatever there is comes to its end. */
    event.kind = ENGINE_TIMER;
    event.now.ns += 25 * 3600 * NS_PER_S;
    for (unsigned round = 0; round < 10; round++) {
        ASSERT(engine_step(engine, &event, &update) == TENURE_OK);
        event.now.ns += 3600 * NS_PER_S;
    }
    engine_check(engine);
}

static void restore_records(struct bytes input, uint32_t count)
{
    struct engine *engine = create();
    enum tenure_err err = engine_restore_batch(engine, (struct seq){ 1 }, count, input);
    if (err == TENURE_OK) make_ready(engine);
    ASSERT(err == TENURE_OK || err == TENURE_CORRUPT);
    engine_destroy(&engine);
}

/* The same bytes as a snapshot that ends at the seq in its first entry. */
static void restore_snapshot(struct bytes input)
{
    struct engine *engine = create();
    enum tenure_err err = engine_restore_chunk(engine, input);
    if (err == TENURE_OK) err = engine_restore_snapshot_end(engine, engine_seq(engine));
    if (err == TENURE_OK) make_ready(engine);
    ASSERT(err == TENURE_OK || err == TENURE_CORRUPT || err == TENURE_UNSUPPORTED);
    engine_destroy(&engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = { (const char *)data, size };
    restore_records(input, check_records(input));
    restore_snapshot(input);
    return 0;
}
