#include "sim/world.h"

#include <inttypes.h>
#include <stdlib.h>

#define CALM_STEPS_MAX 20000u

const char *const probe_texts[PROBE_COUNT] = {
#define X(name, text) text,
    PROBE_MAP(X)
#undef X
};

static struct world *running; /* for a failed ASSERT inside the engine or the journal */

void world_fail(struct world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = snprintf(world->failure, sizeof world->failure, "step %u: ", world->step);
    vsnprintf(world->failure + size, sizeof world->failure - (size_t)size, format, arguments);
    va_end(arguments);
    longjmp(world->on_failure, 1);
}

/* Takes the place of the one in base: a broken assertion fails the run and not
 * the program. */
void assert_fail(const char *file, int line, const char *function, const char *what)
{
    if (running == NULL || !running->is_running) {
        fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, what);
        abort();
    }
    world_fail(running, "%s:%d: %s: assertion failed: %s", file, line, function, what);
}

void world_say(struct world *world, const char *format, ...)
{
    if (world->options.out == NULL) return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(world->options.out, "%12.3f ms  #%-4u ", (double)world->now_ns / 1e6, world->step);
    vfprintf(world->options.out, format, arguments);
    fputc('\n', world->options.out);
    va_end(arguments);
}

void world_mix(struct world *world, uint64_t value)
{
    world->hash = rng_mix(world->hash ^ value) + UINT64_C(0x9e3779b97f4a7c15);
}

struct mono world_mono(const struct world *world)
{
    return (struct mono){ world->boot_ns + world->now_ns };
}

struct wall world_wall(const struct world *world)
{
    int64_t us = world->wall_us + world->now_ns / 1000;
    return (struct wall){ us < 0 ? 0 : us };
}

struct bytes world_name(uint32_t name)
{
    static const char *const texts[WORLD_NAME_COUNT_MAX] = {
        "a", "b/1", "b/2", "deploy/prod", "\xc3\xbc", "zz",
    };
    return bytes_from_text(texts[name]);
}

bool world_is_name(struct bytes name)
{
    for (uint32_t number = 0; number < WORLD_NAME_COUNT_MAX; number++) {
        if (bytes_equal(name, world_name(number))) return true;
    }
    return false;
}

uint32_t world_name_number(struct world *world, struct bytes name)
{
    for (uint32_t number = 0; number < WORLD_NAME_COUNT_MAX; number++) {
        if (bytes_equal(name, world_name(number))) return number;
    }
    world_fail(world, "a name that nobody used: '%.*s'", (int)name.size, name.data);
}

struct bytes world_owner(uint32_t owner, char out_text[static 16])
{
    int size = snprintf(out_text, 16, "o%u", owner);
    return (struct bytes){ out_text, (size_t)size };
}

uint32_t world_owner_number(struct world *world, struct bytes owner)
{
    uint32_t number = 0;
    bool is_good = owner.size >= 2 && owner.size < 10 && owner.data[0] == 'o';
    for (size_t index = 1; is_good && index < owner.size; index++) {
        is_good = owner.data[index] >= '0' && owner.data[index] <= '9';
        number = number * 10 + (uint32_t)(owner.data[index] - '0');
    }
    if (!is_good) world_fail(world, "an owner that nobody is: '%.*s'", (int)owner.size, owner.data);
    return number;
}

/* ------------------------------------------------------------------ memory */

/* For the journal: it is counted, and always there. */
static void *count_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct world *world = context;
    if (new_size == 0) {
        free(old);
        world->memory_used -= old_size;
        return NULL;
    }
    void *block = realloc(old, new_size);
    if (block == NULL) abort();
    world->memory_used += new_size - old_size;
    return block;
}

/* For the engine: it may be refused. */
static void *sim_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct world *world = context;
    if (new_size > old_size && ++world->memory_calls == world->memory_fail_at) return NULL;
    return count_resize(context, old, old_size, new_size);
}

/* -------------------------------------------------------------------- time */

static int64_t least(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

/* What happens next by itself. */
static int64_t next_ns(const struct world *world)
{
    return least(host_next_ns(world), client_next_ns(world));
}

static void turn(struct world *world)
{
    host_turn(world);
    client_turn(world);
}

/* Let time pass; what happens by itself happens at its moment. */
static void advance(struct world *world, int64_t delta_ns)
{
    int64_t target = world->now_ns + delta_ns;
    for (uint32_t guard = 0;; guard++) {
        if (guard > 100000) world_fail(world, "time does not pass");
        int64_t next = next_ns(world);
        if (next > target) next = target;
        if (next < world->now_ns) next = world->now_ns;
        if (world->host.is_up) world->receivable_ns += next - world->now_ns;
        world->now_ns = next;
        turn(world);
        if (next == target && next_ns(world) > target) return;
    }
}

/* The loop comes round late, but not so late that it counts as a stall. */
static void lag(struct world *world)
{
    int64_t delta_ns = rng_scale(&world->rng, NS_PER_MS, 100 * NS_PER_MS);
    world_probe(world, PROBE_LAG);
    world_say(world, "the host lags by %" PRId64 " us", delta_ns / 1000);
    world->now_ns += delta_ns;
    if (world->host.is_up) world->receivable_ns += delta_ns;
    turn(world);
}

/* The host is stopped, or its disk hangs: time passes, and it can receive
 * nothing. */
static void stall(struct world *world)
{
    int64_t delta_ns = rng_scale(&world->rng, 10 * NS_PER_MS, 20 * NS_PER_S);
    world_probe(world, PROBE_STALL);
    world_say(world, "the host stalls for %" PRId64 " ms", delta_ns / NS_PER_MS);
    for (uint32_t index = world->oracle.live_from; index < world->oracle.grant_count; index++) {
        const struct grant *grant = &world->oracle.grants[index];
        bool is_alive = grant->ended_seq.value == 0 && grant->ttl_ms > 0;
        if (is_alive && grant->ttl_ms * NS_PER_MS < delta_ns) {
            world_probe(world, PROBE_STALL_LONGER_THAN_TTL);
            break;
        }
    }
    world->now_ns += delta_ns;
    if (world->host.is_up) world->stall_ns += delta_ns;
    turn(world);
}

static void jump_wall(struct world *world)
{
    static const int64_t jumps_us[] = {
        1000000,  3600000000,  INT64_C(315360000000000),  1000,
        -1000000, -3600000000, INT64_C(-315360000000000), -1000,
    };
    int64_t jump_us = jumps_us[rng_below(&world->rng, 8)];
    int64_t next_us = world->wall_us + jump_us;
    if (next_us < 1 || next_us > INT64_C(4000000000000000)) return;
    world->wall_us = next_us;
    world_probe(world, jump_us < 0 ? PROBE_WALL_BACK : PROBE_WALL_AHEAD);
    world_say(world, "the wall clock jumps by %" PRId64 " ms", jump_us / 1000);
}

/* ------------------------------------------------------------------ faults */

static void draw_swarm(struct world *world, struct rng *rng)
{
    struct swarm *swarm = &world->swarm;
    bool *flags[] = {
        &swarm->has_crashes,      &swarm->has_crashes_inside, &swarm->has_io_errors,
        &swarm->has_no_space,     &swarm->has_interrupts,     &swarm->has_stalls,
        &swarm->has_wall_jumps,   &swarm->has_disconnects,    &swarm->has_snapshots,
        &swarm->has_breaks,       &swarm->has_shared,         &swarm->has_slots,
        &swarm->has_many,         &swarm->has_delays,         &swarm->has_priorities,
        &swarm->has_slow_commits,
    };
    for (size_t index = 0; index < sizeof flags / sizeof flags[0]; index++) {
        *flags[index] = rng_percent(rng, 50);
    }
    swarm->has_copying_disk = rng_percent(rng, 30);
    swarm->has_lags = rng_percent(rng, 40);
    swarm->has_media_faults = rng_percent(rng, 15);
    swarm->has_memory_faults = rng_percent(rng, 15);
    swarm->has_big_meta = rng_percent(rng, 15);
    swarm->has_forever = rng_percent(rng, 25);
    swarm->has_small_limits = rng_percent(rng, 15);
    swarm->has_draining = rng_percent(rng, 10);
    swarm->name_count = 1 + rng_below(rng, WORLD_NAME_COUNT_MAX);
    swarm->client_count = 2 + rng_below(rng, WORLD_CLIENT_COUNT_MAX - 1);
    swarm->ttl_ms_max = (uint32_t)rng_scale(rng, 400, 60000);
    swarm->has_jobs = rng_percent(rng, 60);
    swarm->job_percent = rng_percent(rng, 40) ? 95 : 50;
    swarm->key_percent = rng_percent(rng, 30) ? 80 : 20;
    swarm->admin_percent = rng_percent(rng, 30) ? 40 : 12;
    swarm->look_count_max = rng_percent(rng, 40) ? 1 + rng_below(rng, 3) : 0;
}

/* From a generator of its own: worlds without shared state are what they were before it. */
static void draw_state_swarm(struct world *world)
{
    struct swarm *swarm = &world->swarm;
    struct rng rng = rng_from(world->options.seed, UINT64_C(1) << 41);
    swarm->has_state = rng_percent(&rng, 40);
    swarm->has_big_values = rng_percent(&rng, 25);
    swarm->state_percent = rng_percent(&rng, 40) ? 80 : 45;
    swarm->change_percent = rng_percent(&rng, 60) ? 50 : 0;
    bool is_room_made = rng_percent(&rng, 50);
    if (swarm->has_state && is_room_made) swarm->job_percent = 40;
}

/* In each step with other intensity. */
static void draw_faults(struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    struct rng *rng = &world->rng;
    struct disk *disk = &world->disk;
    disk->rng = rng_from(world->options.seed ^ UINT64_C(0x64697363), world->step);
    disk->faults = (struct disk_faults){ 0 };
    disk->is_copying = swarm->has_copying_disk;
    if (world->options.crash_call > 0) return;
    if (swarm->has_interrupts) {
        disk->faults.interrupt_ppm = 50000;
        disk->faults.short_read_ppm = 50000;
        disk->faults.short_write_ppm = 80000;
    }
    if (swarm->has_io_errors && rng_percent(rng, 8)) {
        disk->faults.read_error_ppm = 5000;
        disk->faults.write_error_ppm = 20000;
        disk->faults.sync_error_ppm = 100000;
        disk->faults.sync_dir_error_ppm = 30000;
        disk->faults.other_error_ppm = 10000;
    }
    if (swarm->has_no_space && rng_percent(rng, 15)) {
        bool is_tight = rng_percent(rng, 60);
        uint64_t used = disk_used(disk);
        disk->quota = is_tight ? used + rng_below(rng, 6000) : UINT64_MAX;
        world_say(world, is_tight ? "the disk is nearly full" : "the disk has room again");
    }
    if (swarm->has_crashes_inside && rng_percent(rng, 6)) {
        disk->crash_at = disk->call_count + 1 + (uint64_t)rng_scale(rng, 1, 64);
    }
    if (swarm->has_memory_faults && rng_percent(rng, 30)) {
        world->memory_fail_at = world->memory_calls + 1 + rng_below(rng, 12);
    }
}

static void calm_faults(struct world *world)
{
    world->disk.faults = (struct disk_faults){ 0 };
    world->disk.quota = UINT64_MAX;
    world->disk.crash_at = UINT64_MAX;
    world->memory_fail_at = 0;
}

static int64_t draw_delta(struct world *world)
{
    struct rng *rng = &world->rng;
    uint32_t dice = rng_below(rng, 100);
    if (dice < 30) return rng_between(rng, 0, NS_PER_MS);
    if (dice < 80) return rng_scale(rng, NS_PER_MS, 400 * NS_PER_MS);
    if (dice < 96) {
        int64_t next = next_ns(world);
        int64_t delta = next == WORLD_NEVER ? 0 : next - world->now_ns;
        return delta < 0 || delta > 5 * NS_PER_S ? NS_PER_MS : delta;
    }
    return rng_scale(rng, 400 * NS_PER_MS, 8 * NS_PER_S);
}

static void step(struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    struct rng *rng = &world->rng;
    draw_faults(world);
    advance(world, draw_delta(world));
    if (swarm->has_stalls && rng_percent(rng, 4)) stall(world);
    if (swarm->has_lags && rng_percent(rng, 20)) lag(world);
    if (swarm->has_wall_jumps && rng_percent(rng, 5)) jump_wall(world);
    if (swarm->has_crashes && rng_percent(rng, 5)) {
        world_probe(world, PROBE_CRASH_IDLE);
        host_crash(world, rng_percent(rng, 60));
    }
    if (swarm->has_disconnects && rng_percent(rng, 6)) {
        client_disconnect(world, rng_below(rng, swarm->client_count), true);
    }
    bool is_crowded = disk_file_count(&world->disk) > DISK_FILE_COUNT_MAX / 2;
    if (is_crowded || (swarm->has_snapshots && rng_percent(rng, 12))) host_snapshot(world);
    if (swarm->has_draining && rng_percent(rng, 3)) host_drain(world);
    if (rng_percent(rng, 3)) host_second(world);
    uint32_t count = 1 + rng_below(rng, 3);
    for (uint32_t index = 0; index < count; index++) {
        client_act(world);
    }
    if (rng_percent(rng, 25)) advance(world, 0);
}

/* No faults any more: all that is held is given back, everybody is answered
 * (I9). */
static void calm(struct world *world)
{
    world->is_calm = true;
    world->step = world->options.step_count;
    world->rng = rng_from(world->options.seed, UINT64_C(1) << 40);
    calm_faults(world);
    world_say(world, "calm: no more faults, everybody gives back");
    int64_t deadline = world->now_ns + 4000 * NS_PER_S;
    for (uint32_t guard = 0;; guard++) {
        advance(world, 20 * NS_PER_MS);
        if (world->is_refused) return;
        client_give_back(world);
        job_give_back(world);
        advance(world, NS_PER_MS);
        bool is_still = world->host.is_up && world->oracle.live_from == world->oracle.grant_count &&
                        job_is_still(world);
        for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX && is_still; index++) {
            is_still = world->requests[index].state == REQUEST_FREE;
        }
        if (is_still) break;
        /* What is due in years, by a clock that was set, does not keep who could go on. */
        int64_t next = next_ns(world);
        if (next > world->now_ns + 60 * NS_PER_S) next = world->now_ns + 60 * NS_PER_S;
        if (next > world->now_ns) advance(world, next - world->now_ns);
        if (guard > CALM_STEPS_MAX || world->now_ns > deadline) {
            world_fail(world, "I9: the world does not come to rest");
        }
    }
    advance(world, 4000 * NS_PER_S); /* lock-delays end */
    struct engine_counters counters = engine_counters(world->host.engine);
    if (counters.hold_count + counters.waiter_count > 0) {
        world_fail(
            world,
            "I9: %" PRIu64 " holds and %" PRIu64 " waiters are left",
            counters.hold_count,
            counters.waiter_count);
    }
    struct engine_lock_view views[8];
    struct engine_list_query query = { .count_max = 8 };
    struct bytes after;
    if (engine_list(world->host.engine, &query, world_mono(world), views, &after) != 0) {
        world_fail(world, "I9: the list is not empty");
    }
    struct engine_work_counters works = engine_work_counters(world->host.engine);
    if (works.taker_count > 0 || works.item_count != world->jobs.count) {
        world_fail(world, "I9: somebody waits for items, or there are others than there should be");
    }
    oracle_check_window(world);
    oracle_check_replay(world);
    state_check_rest(world);
}

/* -------------------------------------------------------------- life cycle */

/* A quiet world, but for the one death; it comes back from that without another. */
static void plan_one_crash(struct world *world)
{
    struct swarm *swarm = &world->swarm;
    bool has_shared = swarm->has_shared;
    uint32_t name_count = swarm->name_count;
    uint32_t key_percent = swarm->key_percent;
    *swarm = (struct swarm){ .has_shared = has_shared,
                             .has_snapshots = true,
                             .has_disconnects = true,
                             .has_jobs = true,
                             .job_percent = 50,
                             .key_percent = key_percent,
                             .admin_percent = 15,
                             .has_state = true,
                             .state_percent = 60,
                             .change_percent = 50,
                             .name_count = name_count,
                             .client_count = 3,
                             .ttl_ms_max = 5000 };
    world->disk.crash_at = world->options.crash_call;
}

static void begin(struct world *world)
{
    struct rng rng = rng_from(world->options.seed, 0);
    world->rng = rng_from(world->options.seed, 1);
    draw_swarm(world, &rng);
    draw_state_swarm(world);
    static const int64_t boots_ns[] = { 0,
                                        INT64_C(4294967) * NS_PER_S,
                                        INT64_C(3153600000) * NS_PER_S };
    world->boot_ns = boots_ns[rng_below(&rng, 3)] + rng_between(&rng, 1, NS_PER_S);
    world->wall_us = rng_percent(&rng, 10) ? 1000 : INT64_C(1700000000000000);
    world->check_every = 1 + rng_below(&rng, 8);
    world->now_ns = 0;
    world->receivable_ns = 0;
    world->stall_ns = 0;
    world->next_connection = 1;
    world->next_tag = 1;
    world->next_wait = 1;
    world->step = 0;
    world->event_count = 0;
    world->is_calm = false;
    world->is_refused = false;
    world->media_faults = 0;
    world->is_snapshot_hit = false;
    world->hash = world->options.seed;
    world->gone_count = 0;
    world->memory_calls = 0;
    world->memory_fail_at = 0;
    world->memory = (struct memory){ sim_resize, world };
    world->journal_memory = (struct memory){ count_resize, world };
    memset(world->requests, 0, sizeof world->requests);
    memset(world->beliefs, 0, sizeof world->beliefs);
    disk_reset(&world->disk, world->options.seed);
    world->env = disk_env(&world->disk);
    if (world->options.crash_call > 0) plan_one_crash(world);
    client_init(world);
    oracle_init(world);
    job_init(world);
    state_init(world);
    host_init(world);
}

static void run(struct world *world)
{
    begin(world);
    for (uint32_t index = 0; index < world->options.step_count && !world->is_refused; index++) {
        if (world->options.skips != NULL && world->options.skips[index]) continue;
        world->step = index;
        world->rng = rng_from(world->options.seed, index + 2);
        step(world);
    }
    if (!world->is_refused) calm(world);
}

void world_run(
    struct world *world, const struct world_options *options, struct world_result *out_result)
{
    world->options = *options;
    world->failure[0] = '\0';
    running = world;
    world->is_running = true;
    if (setjmp(world->on_failure) == 0) run(world);
    world->is_running = false;
    bool is_failed = world->failure[0] != '\0';
    /* After a failure the engine is not to be trusted with anything, not even its
     * end. */
    if (!is_failed) host_deinit(world);
    if (!is_failed && world->memory_used != 0) {
        snprintf(
            world->failure,
            sizeof world->failure,
            "I13: %" PRIu64 " bytes lost",
            world->memory_used);
        is_failed = true;
    }
    if (is_failed) world_say(world, "FAILED: %s", world->failure);
    world->memory_used = 0;
    out_result->is_failed = is_failed;
    out_result->hash = world->hash;
    memcpy(out_result->what, world->failure, sizeof out_result->what);
}

void world_deinit(struct world *world)
{
    oracle_deinit(world);
    job_deinit(world);
    state_deinit(world);
    disk_deinit(&world->disk);
}
