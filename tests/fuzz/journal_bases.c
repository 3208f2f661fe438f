#include "fuzz/journal_bases.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define STEP_COUNT    40u
#define GOLDEN_COUNT  7u
#define FILE_SIZE_MAX 65536u

struct life {
    struct base *base;
    struct engine *engine;
    struct journal *journal;
    struct mono now;
    struct wall wall;
    uint64_t tag_last;
    uint64_t tokens[8];
};

struct engine *journal_base_engine(void)
{
    struct engine_options options = { .memory = &memory_heap,
                                      .hold_count_max = 1000,
                                      .waiter_count_max = 100,
                                      .window_size = ENGINE_WINDOW_SIZE_MIN,
                                      .ageing_ms = 1000 };
    struct engine *engine = engine_create(&options);
    ASSERT(engine != NULL);
    return engine;
}

struct journal_options journal_base_options(void)
{
    return (
        struct journal_options){ .path = ".", .segment_size = BASE_SEGMENT_SIZE, .spare_count = 2 };
}

static void note_batch(struct base *base, uint64_t first, uint32_t count, struct bytes records)
{
    char *copy = malloc(records.size);
    ASSERT(copy != NULL && base->batch_count < BASE_BATCH_COUNT_MAX);
    memcpy(copy, records.data, records.size);
    base->batches[base->batch_count++] =
        (struct base_batch){ first, count, { copy, records.size } };
    base->seq_last = first + count - 1;
}

static struct engine_update step(struct life *life, struct engine_event event)
{
    struct engine_update update;
    life->now.ns += NS_PER_MS;
    life->wall.us += 1000;
    event.now = life->now;
    event.wall = life->wall;
    ASSERT(engine_step(life->engine, &event, &update) == TENURE_OK);
    if (update.record_count > 0) {
        struct tenure_error error;
        struct journal_batch batch = { update.first, update.record_count, update.records };
        ASSERT(journal_commit(life->journal, &batch, &error) == TENURE_OK);
        note_batch(life->base, update.first.value, update.record_count, update.records);
    }
    return update;
}

static void acquire_or_release(struct life *life, uint32_t number)
{
    static const char *const texts[] = { "a", "b", "a/b", "deploy/prod", "e", "f", "g", "h" };
    static char meta[400];
    uint32_t index = number * 3 % 8;
    struct bytes name = bytes_from_text(texts[index]);
    memset(meta, 'm', sizeof meta);
    struct engine_command command = { .kind = ENGINE_ACQUIRE, .client = 1 };
    if (life->tokens[index] == 0) {
        command.as.acquire = (struct engine_acquire){
            .names = &name,
            .name_count = 1,
            .owner = BYTES_LITERAL("me"),
            .meta = { meta, number % 4 == 0 ? sizeof meta : number },
            .ttl_ms = 60000,
            .slots = 1,
        };
    } else {
        command.kind = ENGINE_RELEASE;
        command.as.release = (struct engine_claim){ .name = name,
                                                    .owner = BYTES_LITERAL("me"),
                                                    .token = { life->tokens[index] } };
    }
    command.tag = ++life->tag_last;
    struct engine_update update =
        step(life, (struct engine_event){ .kind = ENGINE_COMMAND, .command = &command });
    ASSERT(update.reply_count == 1 && update.replies[0].err == TENURE_OK);
    life->tokens[index] =
        life->tokens[index] == 0 ? update.replies[0].results[0].hold.token.value : 0;
}

static void take_snapshot(struct life *life)
{
    struct base *base = life->base;
    struct seq seq;
    struct tenure_error error;
    struct buffer *all = &base->snapshots[base->snapshot_count];
    buffer_init(all, &memory_heap);
    engine_snapshot_begin(life->engine, &seq);
    ASSERT(journal_snapshot_begin(life->journal, seq, &error) == TENURE_OK);
    bool is_last = false;
    while (!is_last) {
        size_t start = all->size;
        is_last = engine_snapshot_write(life->engine, all, 300);
        struct bytes chunk = { all->data + start, all->size - start };
        ASSERT(journal_snapshot_append(life->journal, chunk, &error) == TENURE_OK);
    }
    ASSERT(journal_snapshot_finish(life->journal, &error) == TENURE_OK);
    base->snapshot_seqs[base->snapshot_count++] = seq.value;
}

static void open_journal(struct life *life)
{
    struct journal_options options = journal_base_options();
    struct journal_report report;
    struct tenure_error error;
    enum tenure_err err = journal_open(
        &options, env_memory_env(life->base->memory), NULL, &life->journal, &report, &error);
    ASSERT(err == TENURE_OK);
}

/* The engine lives on over the restart of its journal: what is on the disk is the same. */
static void make_by_engine(struct base *base, enum base_kind kind)
{
    struct life life = { .base = base, .now = { NS_PER_S }, .wall = { INT64_C(1700000000000000) } };
    char discarded[64];
    /* Other random numbers, hence another id and other salts, than in the other bases. */
    const struct env *env = env_memory_env(base->memory);
    ASSERT(env->random(env->context, discarded, (size_t)kind * 7) == 0);
    base->is_for_engine = true;
    life.engine = journal_base_engine();
    open_journal(&life);
    (void)step(&life, (struct engine_event){ .kind = ENGINE_READY });
    uint32_t count = kind == BASE_YOUNG ? STEP_COUNT / 4 : STEP_COUNT;
    for (uint32_t i = 0; i < count; i++) {
        acquire_or_release(&life, i);
        if (kind == BASE_YOUNG) continue;
        if (i == count / 4 || i == count / 2) take_snapshot(&life);
        if (i == count / 3 || i == count * 3 / 4) {
            journal_destroy(&life.journal);
            open_journal(&life);
        }
    }
    struct tenure_error error;
    if (kind != BASE_CUT) ASSERT(journal_mark(life.journal, &error) == TENURE_OK);
    journal_destroy(&life.journal);
    engine_destroy(&life.engine);
}

/* ------------------------------------------------------------------ golden */

static void read_golden(struct base *base)
{
    static const char *const names[GOLDEN_COUNT] = {
        "identity",
        "segment-0000000000000001",
        "segment-0000000000000002",
        "segment-0000000000000003",
        "segment-0000000000000004",
        "snapshot-0000000000000028",
        "snapshot-0000000000000050",
    };
    static char contents[FILE_SIZE_MAX];
    for (uint32_t i = 0; i < GOLDEN_COUNT; i++) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", GOLDEN_PATH, names[i]);
        FILE *file = fopen(path, "rb");
        ASSERT(file != NULL);
        size_t size = fread(contents, 1, sizeof(contents), file);
        (void)fclose(file);
        env_memory_put(base->memory, names[i], (struct bytes){ contents, size });
    }
}

static enum tenure_err visit_snapshot(void *user, struct seq seq, struct tenure_error *out_error)
{
    struct base *base = user;
    (void)out_error;
    buffer_init(&base->snapshots[base->snapshot_count], &memory_heap);
    base->snapshot_seqs[base->snapshot_count++] = seq.value;
    return TENURE_OK;
}

static enum tenure_err visit_chunk(void *user, struct bytes chunk, struct tenure_error *out_error)
{
    struct base *base = user;
    (void)out_error;
    buffer_append_bytes(&base->snapshots[base->snapshot_count - 1], chunk);
    return TENURE_OK;
}

static enum tenure_err visit_batch(
    void *user,
    struct seq first,
    uint32_t count,
    struct bytes records,
    struct tenure_error *out_error)
{
    struct base *base = user;
    (void)out_error;
    bool is_known = first.value <= base->seq_last;
    if (!is_known) note_batch(base, first.value, count, records);
    return TENURE_OK;
}

static void read_all(struct base *base, struct env_memory *memory)
{
    struct journal_visitor visitor = { visit_snapshot, visit_chunk, visit_batch, base };
    struct journal_options options = journal_base_options();
    struct journal_report report;
    struct tenure_error error;
    struct journal *journal = NULL;
    options.is_read_only = true;
    enum tenure_err err =
        journal_open(&options, env_memory_env(memory), &visitor, &journal, &report, &error);
    ASSERT(err == TENURE_OK);
    journal_destroy(&journal);
}

/* Without its snapshots it hands over every batch; with both, the newer; with one, the older. */
static void make_golden(struct base *base)
{
    read_golden(base);
    struct env_memory *copy = env_memory_copy(base->memory);
    read_all(base, copy);
    env_memory_remove(copy, "snapshot-0000000000000050");
    read_all(base, copy);
    env_memory_remove(copy, "snapshot-0000000000000028");
    for (uint32_t i = 0; i < base->batch_count; i++) {
        free((void *)(uintptr_t)base->batches[i].records.data);
    }
    base->batch_count = 0;
    base->seq_last = 0;
    read_all(base, copy);
    env_memory_destroy(&copy);
}

const struct base *journal_base(enum base_kind kind)
{
    static struct base bases[BASE_COUNT];
    struct base *base = &bases[kind];
    if (base->memory != NULL) return base;
    base->memory = env_memory_create();
    switch (kind) {
    case BASE_EMPTY: base->is_for_engine = true; break;
    case BASE_MARKED:
    case BASE_CUT:
    case BASE_YOUNG: make_by_engine(base, kind); break;
    case BASE_GOLDEN: make_golden(base); break;
    case BASE_COUNT: abort();
    }
    return base;
}
