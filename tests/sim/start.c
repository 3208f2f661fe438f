#include <inttypes.h>

#include "sim/world.h"

#define RESTART_ATTEMPTS_MAX 40u

void host_forget(struct world *world)
{
    struct host *host = &world->host;
    engine_destroy(&host->engine);
    journal_destroy(&host->journal);
    buffer_reset(&host->pending);
    buffer_reset(&host->flight);
    host->pending_count = 0;
    host->flight_count = 0;
    host->is_flying = false;
    host->outbox_count = 0;
    host->snapshot = SNAPSHOT_NONE;
    host->gate = ENGINE_GATE_OPEN;
    host->is_draining = false;
    host->is_full = false;
    host->is_up = false;
    world->stall_ns = 0;
    world->gone_count = 0;
    oracle_crashed(world);
}

static void schedule_restart(struct world *world)
{
    world->host.restart_ns = world->now_ns + rng_scale(&world->rng, NS_PER_MS, 2 * NS_PER_S);
    for (uint32_t client = 0; client < world->swarm.client_count; client++) {
        client_disconnect(world, client, false);
    }
}

static void damage(struct world *world)
{
    if (!world->swarm.has_media_faults || world->is_calm || !rng_percent(&world->rng, 60)) return;
    char name[DISK_NAME_SIZE_MAX];
    uint64_t offset = 0;
    static const char *const prefixes[] = { "", "segment-", "snapshot-" };
    const char *prefix = prefixes[rng_below(&world->rng, 3)];
    if (!disk_flip(&world->disk, prefix, name, &offset)) return;
    world->media_faults++;
    world->is_snapshot_hit = strncmp(name, "snapshot-", 9) == 0;
    world->host.damage_count++;
    world_say(world, "a bit flips in %s at byte %" PRIu64, name, offset);
}

void host_crash(struct world *world, bool is_power_lost)
{
    world_say(world, is_power_lost ? "POWER LOST" : "KILLED");
    world_probe(world, is_power_lost ? PROBE_POWER_LOST : PROBE_KILLED);
    world->crash_count++;
    host_forget(world);
    if (is_power_lost) {
        disk_power_loss(&world->disk);
        damage(world);
    } else {
        disk_kill(&world->disk);
    }
    schedule_restart(world);
}

void host_drain(struct world *world)
{
    if (world->host.is_up) world->host.is_draining = true;
}

/* All is answered and durable: mark the end, and stop. */
void host_leave(struct world *world)
{
    struct host *host = &world->host;
    if (!host->is_draining || host->is_flying || host->pending_count > 0) return;
    if (host->outbox_count > 0) world_fail(world, "I9: an answer is held back, but all is durable");
    struct tenure_error error = { 0 };
    enum tenure_err err = journal_mark(host->journal, &error);
    if (host_has_died(world, PROBE_CRASH_IN_COMMIT)) return;
    if (err != TENURE_OK && !world->swarm.has_io_errors && !world->swarm.has_no_space) {
        world_fail(world, "journal_mark: %s: %s", tenure_err_name(err), error.text);
    }
    bool has_waiters = engine_counters(host->engine).waiter_count > 0 ||
                       engine_work_counters(host->engine).taker_count > 0 ||
                       engine_key_counters(host->engine).wait_count > 0;
    if (has_waiters) world_fail(world, "draining left waiters");
    world_say(world, "the host has drained and exits");
    host_forget(world);
    disk_kill(&world->disk);
    schedule_restart(world);
}

void host_second(struct world *world)
{
    if (!world->host.is_up || world->disk.is_crashed) return;
    struct journal_options options = {
        .path = "/data",
        .segment_size = world->host.segment_size,
        .spare_count = 2,
        .memory = &world->journal_memory,
    };
    struct disk_faults faults = world->disk.faults;
    uint64_t crash_at = world->disk.crash_at;
    world->disk.faults = (struct disk_faults){ 0 };
    world->disk.crash_at = UINT64_MAX;
    struct journal_visitor visitor = { 0 };
    struct journal *journal = NULL;
    struct journal_report report = { 0 };
    struct tenure_error error = { 0 };
    enum tenure_err err = journal_open(&options, &world->env, &visitor, &journal, &report, &error);
    if (err != TENURE_UNAVAILABLE) {
        world_fail(world, "a second server was let in: %s", tenure_err_name(err));
    }
    world_probe(world, PROBE_SECOND_SERVER);
    world->disk.faults = faults;
    world->disk.crash_at = crash_at;
}

static enum tenure_err end_snapshot(struct world *world)
{
    struct host *host = &world->host;
    if (!host->is_snapshot_seen) return TENURE_OK;
    host->is_snapshot_seen = false;
    return engine_restore_snapshot_end(host->engine, host->snapshot_seq);
}

static enum tenure_err visit_snapshot(void *user, struct seq seq, struct tenure_error *out_error)
{
    struct world *world = user;
    (void)out_error;
    world->host.is_snapshot_seen = true;
    world->host.snapshot_seq = seq;
    world_probe(world, PROBE_SNAPSHOT_RESTORED);
    world_say(world, "recovery: snapshot at %" PRIu64, seq.value);
    return TENURE_OK;
}

static enum tenure_err visit_chunk(void *user, struct bytes chunk, struct tenure_error *out_error)
{
    struct world *world = user;
    (void)out_error;
    world_say(world, "recovery: a chunk of %zu bytes", chunk.size);
    return engine_restore_chunk(world->host.engine, chunk);
}

static enum tenure_err visit_batch(
    void *user,
    struct seq first,
    uint32_t count,
    struct bytes records,
    struct tenure_error *out_error)
{
    struct world *world = user;
    (void)out_error;
    world_say(
        world, "recovery: records %" PRIu64 " to %" PRIu64, first.value, first.value + count - 1);
    enum tenure_err err = end_snapshot(world);
    if (err != TENURE_OK) return err;
    err = oracle_batch(world, first, records);
    if (err != TENURE_OK) return err;
    return engine_restore_batch(world->host.engine, first, count, records);
}

static struct engine *make_engine(struct world *world)
{
    struct engine_options options = {
        .memory = &world->memory,
        .hash_key = { { rng_next(&world->rng), rng_next(&world->rng) } },
        .hold_count_max = world->swarm.has_small_limits ? 8 : 1000,
        .waiter_count_max = world->host.waiter_count_max,
        .window_size = ENGINE_WINDOW_SIZE_MIN,
        .ageing_ms = WORLD_AGEING_MS,
        .item_count_max = JOB_COUNT_MAX,
        .look_count_max = world->swarm.look_count_max,
        .key_count_max = world->swarm.has_small_limits ? STATE_COUNT_MAX_SMALL : 0,
    };
    world->memory_fail_at = 0;
    struct engine *engine = engine_create(&options);
    if (engine == NULL) world_fail(world, "engine_create failed");
    return engine;
}

/* The start was refused: was there a reason? */
static void start_failed(struct world *world, enum tenure_err err, const struct tenure_error *error)
{
    struct host *host = &world->host;
    host_forget(world);
    disk_kill(&world->disk);
    world_say(world, "start refused: %s: %s", tenure_err_name(err), error->text);
    bool has_wrong_reads = world->disk.faults.flip_ppm > 0;
    /* One damaged snapshot is survived: there is another one, or every segment. */
    bool is_survivable = world->media_faults == 1 && world->is_snapshot_hit && !has_wrong_reads;
    bool is_damaged = (world->media_faults > 0 || has_wrong_reads) && !is_survivable;
    if (err == TENURE_CORRUPT && is_damaged) {
        world_probe(world, PROBE_START_CORRUPT);
        world->is_refused = true;
        return;
    }
    bool is_explained = (err == TENURE_NO_SPACE && world->disk.quota != UINT64_MAX) ||
                        (err == TENURE_IO && world->swarm.has_io_errors && !world->is_calm);
    if (!is_explained || host->start_attempts > RESTART_ATTEMPTS_MAX) {
        world_fail(world, "start refused: %s: %s", tenure_err_name(err), error->text);
    }
    if (err == TENURE_NO_SPACE) {
        world_probe(world, PROBE_START_NO_SPACE);
        if (host->start_attempts > 2) world->disk.quota = UINT64_MAX;
    } else {
        world_probe(world, PROBE_START_IO_ERROR);
        if (host->start_attempts > 6) world->disk.faults = (struct disk_faults){ 0 };
    }
    if (rng_percent(&world->rng, 20)) disk_power_loss(&world->disk);
    host->restart_ns = world->now_ns + rng_scale(&world->rng, NS_PER_MS, 300 * NS_PER_MS);
}

static bool has_died_in_start(struct world *world)
{
    struct host *host = &world->host;
    if (!world->disk.is_crashed) return false;
    world_probe(world, PROBE_CRASH_IN_START);
    if (++host->nested_crashes >= 2) world_probe(world, PROBE_CRASH_TWICE_IN_START);
    world_say(world, "crash in recovery");
    host_crash(world, rng_percent(&world->rng, 70));
    return true;
}

void host_start(struct world *world)
{
    struct host *host = &world->host;
    struct journal_options options = {
        .path = "/data",
        .segment_size = host->segment_size,
        .spare_count = 2,
        .memory = &world->journal_memory,
    };
    struct journal_visitor visitor = { visit_snapshot, visit_chunk, visit_batch, world };
    host->start_attempts++;
    host->engine = make_engine(world);
    host->is_snapshot_seen = false;
    bool is_crash_near = !world->is_calm && world->swarm.has_crashes_inside &&
                         host->nested_crashes < 5 && rng_percent(&world->rng, 40);
    if (is_crash_near) {
        world->disk.crash_at = world->disk.call_count + 1 + (uint64_t)rng_scale(&world->rng, 1, 64);
    }
    struct tenure_error error = { 0 };
    memset(&host->report, 0, sizeof host->report);
    enum tenure_err err =
        journal_open(&options, &world->env, &visitor, &host->journal, &host->report, &error);
    if (has_died_in_start(world)) return;
    if (err == TENURE_OK) {
        err = end_snapshot(world);
        if (err != TENURE_OK) snprintf(error.text, sizeof error.text, "the snapshot is incomplete");
    }
    if (err != TENURE_OK) {
        start_failed(world, err, &error);
        return;
    }
    host->is_up = true;
    host->durable = host->report.seq;
    world_say(world, "started at %" PRIu64 " %s", host->report.seq.value, host->report.text);
    oracle_recovered(world);
    host->start_attempts = 0;
    host->nested_crashes = 0;
    host->damage_count = 0;
    struct engine_event event = host_event(world, ENGINE_READY);
    host_step(world, &event, NULL);
}
