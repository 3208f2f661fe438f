#include <inttypes.h>

#include "sim/world.h"

#define SNAPSHOT_TICK_NS NS_PER_MS

/* ------------------------------------------------------------------- turns */

struct engine_event host_event(const struct world *world, enum engine_event_kind kind)
{
    return (struct engine_event){
        .kind = kind,
        .now = world_mono(world),
        .wall = world_wall(world),
        .random = rng_mix(world->hash),
    };
}

static void gather(struct world *world, const struct engine_update *update)
{
    struct host *host = &world->host;
    if (update->record_count == 0) return;
    if (host->is_flying) world_probe(world, PROBE_RECORDS_GATHERED);
    if (host->pending_count == 0) host->pending_first = update->first;
    buffer_append_bytes(&host->pending, update->records);
    host->pending_count += update->record_count;
}

static void
copy_result(struct world *world, const struct engine_result *from, struct result_copy *to)
{
    bool has_name = from->name.size > 0 && world_is_name(from->name); /* or it is a queue's */
    *to = (struct result_copy){
        .err = from->err,
        .name = has_name ? world_name_number(world, from->name) : WORLD_NAME_COUNT_MAX,
        .token = from->hold.token,
        .slot = from->hold.slot,
        .slots = from->hold.slots,
        .ttl_ms = from->hold.ttl_ms,
        .mode = from->hold.mode,
        .remaining_ms = from->hold.remaining_ms,
        .waited_ms = from->waited_ms,
        .is_repeat = from->is_repeat,
        .end = from->end,
        .successor = from->successor,
    };
}

/* Every answer goes through here and waits until what it depends on is durable.
 */
static void post(struct world *world, const struct engine_reply *reply)
{
    struct host *host = &world->host;
    if (reply->kind == ENGINE_CANCEL) return; /* only the acquire is answered */
    struct request *request = client_request_by_tag(world, reply->tag);
    if (host->outbox_count == WORLD_OUTBOX_COUNT_MAX) {
        world_fail(world, "I13: the outbox overflows");
    }
    struct outbox_entry *entry = &host->outbox[host->outbox_count++];
    *entry = (struct outbox_entry){
        .connection = reply->client,
        .tag = reply->tag,
        .seq = reply->seq,
        .request = WORLD_REQUEST_COUNT_MAX,
    };
    if (reply->seq.value > host->durable.value) world_probe(world, PROBE_REPLY_HELD_BACK);
    if (request == NULL || request->connection != reply->client) return;
    if (request->state != REQUEST_SERVED) world_fail(world, "I11: a request is answered twice");
    entry->request = (uint32_t)(request - world->requests);
    request->state = REQUEST_DECIDED;
    request->is_waiting = false;
    request->reply.err = reply->err;
    request->reply.seq = reply->seq;
    request->reply.result_count = reply->result_count;
    request->reply.item_count = reply->item_count;
    if (reply->result_count > LIMIT_NAME_COUNT_MAX) world_fail(world, "I13: too many results");
    for (uint32_t index = 0; index < reply->result_count; index++) {
        copy_result(world, &reply->results[index], &request->reply.results[index]);
    }
    if (reply->item_count > REQUEST_ITEM_COUNT_MAX) world_fail(world, "I13: too many items");
    for (uint32_t index = 0; index < reply->item_count; index++) {
        job_copy_reply(world, &reply->items[index], &request->reply.items[index]);
    }
}

/* The hash needs memory too; it is not what is tested. */
uint64_t host_hash(struct world *world)
{
    uint64_t fail_at = world->memory_fail_at;
    world->memory_fail_at = 0;
    uint64_t calls = world->memory_calls;
    uint64_t hash = engine_hash(world->host.engine);
    world->memory_calls = calls;
    world->memory_fail_at = fail_at;
    return hash;
}

void host_step(struct world *world, const struct engine_event *event, struct request *request)
{
    struct host *host = &world->host;
    bool is_checked = ++world->event_count % world->check_every == 0;
    bool is_hashed = is_checked || world->memory_fail_at != 0;
    uint64_t hash = is_hashed ? host_hash(world) : 0;
    struct engine_update update;
    uint64_t seq = engine_seq(host->engine).value;
    enum tenure_err err = engine_step(host->engine, event, &update);
    for (uint32_t attempt = 0; err != TENURE_OK; attempt++) {
        bool is_allowed = err == TENURE_NO_MEMORY && event->kind != ENGINE_COMMAND &&
                          world->memory_calls >= world->memory_fail_at &&
                          world->memory_fail_at != 0;
        if (!is_allowed || attempt > 0) world_fail(world, "engine_step: %s", tenure_err_name(err));
        if (host_hash(world) != hash || engine_seq(host->engine).value != seq) {
            world_fail(world, "a step without memory changed the state");
        }
        world_probe(world, PROBE_NO_MEMORY);
        world->memory_fail_at = 0;
        err = engine_step(host->engine, event, &update);
    }
    if (is_checked) engine_check(host->engine);
    oracle_update(world, event, request, &update, is_hashed ? hash : 0);
    if (is_checked && world->swarm.has_state) state_compare(world, true);
    gather(world, &update);
    for (uint32_t index = 0; index < update.reply_count; index++) {
        post(world, &update.replies[index]);
    }
}

static struct engine_command
build_acquire(const struct request *request, struct bytes *names, struct bytes owner)
{
    static char meta[LIMIT_META_SIZE_MAX];
    if (meta[0] == '\0') memset(meta, 'm', sizeof meta);
    for (uint32_t index = 0; index < request->name_count; index++) {
        names[index] = world_name(request->names[index]);
    }
    return (struct engine_command){
      .as.acquire =
          {
              .names = names,
              .name_count = request->name_count,
              .owner = owner,
              .meta = {meta, request->meta_size},
              .ttl_ms = request->ttl_ms,
              .wait_ms = request->wait_ms,
              .mode = request->mode,
              .slots = request->slots,
              .priority = request->priority,
              .lock_delay_ms = request->lock_delay_ms,
          },
  };
}

/* The host has received a request. */
static void serve(struct world *world, struct request *request)
{
    struct bytes names[WORLD_NAME_COUNT_MAX];
    char owner_texts[WORLD_CLAIM_COUNT_MAX][16];
    char to_text[16];
    struct engine_claim claims[WORLD_CLAIM_COUNT_MAX];
    for (uint32_t index = 0; index < request->claim_count; index++) {
        const struct claim *claim = &request->claims[index];
        claims[index] = (struct engine_claim){
            .name = world_name(claim->name),
            .owner = world_owner(claim->owner, owner_texts[index]),
            .token = claim->token,
            .ttl_ms = claim->ttl_ms,
        };
    }
    struct engine_command command = { 0 };
    switch (request->kind) {
    case ENGINE_ACQUIRE:
        command = build_acquire(request, names, world_owner(request->owner, to_text));
        break;
    case ENGINE_CANCEL: break;
    case ENGINE_RENEW:
        command.as.renew.claims = claims;
        command.as.renew.count = request->claim_count;
        break;
    case ENGINE_RELEASE: command.as.release = claims[0]; break;
    case ENGINE_BREAK:
        command.as.break_hold.name = claims[0].name;
        command.as.break_hold.token = claims[0].token;
        command.as.break_hold.reason = BYTES_LITERAL("stuck");
        command.as.break_hold.grace_ms = request->grace_ms;
        break;
    case ENGINE_PROCLAIM:
        command.as.proclaim.claim = claims[0];
        command.as.proclaim.value = BYTES_LITERAL("value");
        break;
    case ENGINE_TRANSFER:
        command.as.transfer.claim = claims[0];
        command.as.transfer.to = world_owner(request->to, to_text);
        break;
    case ENGINE_WORK_COMMANDS: job_command(request, &command); break;
    case ENGINE_STATE_COMMANDS: state_command(request, &command); break;
    }
    command.kind = request->kind;
    command.client = request->connection;
    command.tag = request->kind == ENGINE_CANCEL ? request->cancel_tag : request->tag;
    request->state = REQUEST_SERVED;
    world->command_count++;
    struct engine_event event = host_event(world, ENGINE_COMMAND);
    event.command = &command;
    host_step(world, &event, request);
    if (request->kind == ENGINE_CANCEL) request->state = REQUEST_FREE;
}

/* Everything that has arrived, in the order of arrival. */
static void receive(struct world *world)
{
    for (;;) {
        struct request *next = NULL;
        for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
            struct request *request = &world->requests[index];
            if (request->state != REQUEST_SENT || request->arrive_ns > world->now_ns) continue;
            if (next == NULL || request->arrive_ns < next->arrive_ns ||
                (request->arrive_ns == next->arrive_ns && request->tag < next->tag))
            {
                next = request;
            }
        }
        if (next == NULL) break;
        serve(world, next);
    }
    for (uint32_t index = 0; index < world->gone_count;) {
        if (world->gone[index].arrive_ns > world->now_ns) {
            index++;
            continue;
        }
        struct engine_event event = host_event(world, ENGINE_CLIENT_GONE);
        event.client = world->gone[index].connection;
        world->gone[index] = world->gone[--world->gone_count];
        host_step(world, &event, NULL);
    }
}

static void tell_stall(struct world *world)
{
    if (world->stall_ns == 0) return;
    struct engine_event event = host_event(world, ENGINE_STALLED);
    event.stall_ns = world->stall_ns;
    world->stall_ns = 0;
    host_step(world, &event, NULL);
}

static void run_timers(struct world *world)
{
    for (uint32_t guard = 0; engine_deadline(world->host.engine).ns <= world_mono(world).ns;
         guard++) {
        if (guard > 1000) world_fail(world, "I9: the timer is due for ever");
        struct engine_event event = host_event(world, ENGINE_TIMER);
        host_step(world, &event, NULL);
    }
    oracle_after_timers(world);
    job_after_timers(world);
    state_after_timers(world);
}

/* ----------------------------------------------------------------- commits */

/* True when the host has just died inside a call of the journal. */
bool host_has_died(struct world *world, enum probe where)
{
    if (!world->disk.is_crashed) return false;
    world_probe(world, where);
    world_say(world, "crash inside a call: %s", probe_texts[where]);
    host_crash(world, rng_percent(&world->rng, 70));
    return true;
}

/* The answers whose position is durable leave the process. */
static void release(struct world *world)
{
    struct host *host = &world->host;
    uint32_t kept = 0;
    for (uint32_t index = 0; index < host->outbox_count; index++) {
        struct outbox_entry entry = host->outbox[index];
        if (entry.seq.value > host->durable.value) {
            host->outbox[kept++] = entry;
            continue;
        }
        oracle_released(world, entry.seq);
        if (entry.request == WORLD_REQUEST_COUNT_MAX) continue;
        struct request *request = &world->requests[entry.request];
        if (request->state != REQUEST_DECIDED || request->tag != entry.tag) continue;
        request->state = REQUEST_REPLIED;
        request->reply_ns = world->now_ns + rng_scale(&world->rng, 20000, 30 * NS_PER_MS);
    }
    host->outbox_count = kept;
}

/* Followers of the event stream are told what is durable, and no more. */
static void pump_events(struct world *world)
{
    oracle_released(world, world->host.durable);
    state_watch_pump(world);
}

/* Idle: tell the journal that all of it was acknowledged. */
static void mark(struct world *world)
{
    struct host *host = &world->host;
    if (host->is_flying || host->pending_count > 0 || !rng_percent(&world->rng, 10)) return;
    struct tenure_error error = { 0 };
    enum tenure_err err = journal_mark(host->journal, &error);
    if (host_has_died(world, PROBE_CRASH_IN_COMMIT)) return;
    world->oracle.is_marked = err == TENURE_OK;
    if (err == TENURE_OK || err == TENURE_NO_SPACE) return;
    if (!world->swarm.has_io_errors) {
        world_fail(world, "journal_mark: %s: %s", tenure_err_name(err), error.text);
    }
    host_crash(world, rng_percent(&world->rng, 30));
}

static void take_off(struct world *world)
{
    struct host *host = &world->host;
    if (host->is_flying || host->pending_count == 0) return;
    oracle_cut(world);
    buffer_swap(&host->pending, &host->flight);
    host->flight_first = host->pending_first;
    host->flight_count = host->pending_count;
    buffer_reset(&host->pending);
    host->pending_count = 0;
    host->is_flying = true;
    int64_t high_ns = world->swarm.has_slow_commits ? 3 * NS_PER_S : 5 * NS_PER_MS;
    host->flight_ends_ns =
        world->now_ns + (world->is_calm ? 1000 : rng_scale(&world->rng, 1000, high_ns));
}

static void land(struct world *world)
{
    struct host *host = &world->host;
    if (!host->is_flying || host->flight_ends_ns > world->now_ns) return;
    struct journal_batch batch = {
        .first = host->flight_first,
        .count = host->flight_count,
        .records = buffer_bytes(&host->flight),
    };
    world->oracle.submitted.value = batch.first.value + batch.count - 1;
    world->oracle.is_marked = false;
    struct tenure_error error = { 0 };
    enum tenure_err err = journal_commit(host->journal, &batch, &error);
    if (host_has_died(world, PROBE_CRASH_IN_COMMIT)) return;
    if (err == TENURE_NO_SPACE) {
        if (world->disk.quota == UINT64_MAX) world_fail(world, "no space on an empty disk");
        world_probe(world, PROBE_COMMIT_NO_SPACE);
        host->is_full = true;
        host->flight_ends_ns = world->now_ns + 50 * NS_PER_MS;
        return;
    }
    if (err != TENURE_OK) {
        if (!world->swarm.has_io_errors) {
            world_fail(world, "journal_commit: %s: %s", tenure_err_name(err), error.text);
        }
        world_say(world, "the commit fails for good: the host exits");
        world_probe(world, PROBE_COMMIT_IO_ERROR);
        host_crash(world, rng_percent(&world->rng, 30));
        return;
    }
    world_say(world, "durable up to %" PRIu64, world->oracle.submitted.value);
    host->is_flying = false;
    host->is_full = false;
    host->durable = world->oracle.submitted;
    oracle_durable(world, host->durable);
    struct engine_event event = host_event(world, ENGINE_DURABLE);
    event.durable = host->durable;
    host_step(world, &event, NULL);
}

static void set_gate(struct world *world, enum engine_gate gate)
{
    if (world->host.gate == gate) return;
    const char *word = gate == ENGINE_GATE_OPEN ? "open" : "draining";
    if (gate == ENGINE_GATE_NO_SPACE) word = "no space";
    world_say(world, "gate: %s", word);
    world->host.gate = gate;
    struct engine_event event = host_event(world, ENGINE_GATE);
    event.gate = gate;
    host_step(world, &event, NULL);
}

/* What the housekeeping thread does: keep spares, and tell when there are too
 * few. */
static void keep_house(struct world *world)
{
    struct host *host = &world->host;
    struct journal_status status = journal_status(host->journal);
    for (uint32_t guard = 0; status.spare_count < 2 && guard < 4; guard++) {
        bool is_done = false;
        struct tenure_error error = { 0 };
        enum tenure_err err = journal_prepare(host->journal, &is_done, &error);
        if (host_has_died(world, PROBE_CRASH_IN_PREPARE)) return;
        bool is_explained = (err == TENURE_NO_SPACE && world->disk.quota != UINT64_MAX) ||
                            (err != TENURE_NO_SPACE && world->swarm.has_io_errors);
        if (err != TENURE_OK && !is_explained) {
            world_fail(world, "journal_prepare: %s: %s", tenure_err_name(err), error.text);
        }
        status = journal_status(host->journal);
        if (err != TENURE_OK || is_done) break;
    }
    if (host->is_draining) {
        set_gate(world, ENGINE_GATE_DRAINING);
    } else {
        bool is_full = status.is_space_low || host->is_full;
        set_gate(world, is_full ? ENGINE_GATE_NO_SPACE : ENGINE_GATE_OPEN);
    }
}

/* --------------------------------------------------------------- snapshots */

static void
snapshot_failed(struct world *world, enum tenure_err err, const struct tenure_error *error)
{
    const struct swarm *swarm = &world->swarm;
    bool is_explained = swarm->has_io_errors || swarm->has_no_space || swarm->has_media_faults ||
                        (err == TENURE_NO_MEMORY && swarm->has_memory_faults);
    if (!is_explained) {
        world_fail(world, "snapshot: %s: %s", tenure_err_name(err), error->text);
    }
    world_say(world, "snapshot failed: %s", error->text);
    world_probe(world, PROBE_SNAPSHOT_FAILED);
    engine_snapshot_abandon(world->host.engine);
    journal_snapshot_abandon(world->host.journal);
    world->host.snapshot = SNAPSHOT_NONE;
}

void host_snapshot(struct world *world)
{
    struct host *host = &world->host;
    if (!host->is_up || host->snapshot != SNAPSHOT_NONE) return;
    struct tenure_error error = { 0 };
    engine_snapshot_begin(host->engine, &host->snapshot_seq);
    world_say(world, "snapshot at %" PRIu64, host->snapshot_seq.value);
    enum tenure_err err = journal_snapshot_begin(host->journal, host->snapshot_seq, &error);
    if (host_has_died(world, PROBE_CRASH_IN_SNAPSHOT)) return;
    host->snapshot = SNAPSHOT_WRITING;
    if (err != TENURE_OK) snapshot_failed(world, err, &error);
}

static void snapshot_write(struct world *world)
{
    struct host *host = &world->host;
    struct tenure_error error = { 0 };
    size_t size = (size_t)rng_scale(&world->rng, 32, 4096);
    if (engine_seq(host->engine).value > host->snapshot_seq.value) {
        world_probe(world, PROBE_SNAPSHOT_CHANGED);
    }
    buffer_reset(&host->chunk);
    bool is_last = engine_snapshot_write(host->engine, &host->chunk, size);
    enum tenure_err err = host->chunk.is_failed ? TENURE_NO_MEMORY : TENURE_OK;
    if (err == TENURE_OK && host->chunk.size > 0) {
        err = journal_snapshot_append(host->journal, buffer_bytes(&host->chunk), &error);
    }
    if (host_has_died(world, PROBE_CRASH_IN_SNAPSHOT)) return;
    if (err != TENURE_OK) {
        snapshot_failed(world, err, &error);
    } else if (is_last) {
        host->snapshot = SNAPSHOT_WRITTEN;
    }
}

/* It gets its name only when the journal has everything that it tells:
 * otherwise a crash would let the snapshot be ahead of the journal. */
static void snapshot_finish(struct world *world)
{
    struct host *host = &world->host;
    if (host->durable.value < host->snapshot_seq.value) return;
    struct tenure_error error = { 0 };
    enum tenure_err err = journal_snapshot_finish(host->journal, &error);
    if (host_has_died(world, PROBE_CRASH_IN_SNAPSHOT)) return;
    if (err != TENURE_OK) {
        snapshot_failed(world, err, &error);
        return;
    }
    world_say(world, "snapshot at %" PRIu64 " finished", host->snapshot_seq.value);
    world_probe(world, PROBE_SNAPSHOT_DONE);
    host->snapshot = SNAPSHOT_NONE;
}

static void tend_snapshot(struct world *world)
{
    if (world->host.snapshot == SNAPSHOT_WRITING) {
        snapshot_write(world);
    } else if (world->host.snapshot == SNAPSHOT_WRITTEN) {
        snapshot_finish(world);
    }
}

int64_t host_next_ns(const struct world *world)
{
    const struct host *host = &world->host;
    if (world->is_refused) return WORLD_NEVER;
    if (!host->is_up) return host->restart_ns;
    if (!host->is_flying && host->pending_count > 0) return world->now_ns;
    int64_t deadline_ns = engine_deadline(host->engine).ns;
    int64_t next_ns = deadline_ns == INT64_MAX ? WORLD_NEVER : deadline_ns - world->boot_ns;
    if (host->is_flying && host->flight_ends_ns < next_ns) next_ns = host->flight_ends_ns;
    bool is_ready =
        host->snapshot == SNAPSHOT_WRITING ||
        (host->snapshot == SNAPSHOT_WRITTEN && host->durable.value >= host->snapshot_seq.value);
    if (is_ready && next_ns > world->now_ns + SNAPSHOT_TICK_NS) {
        next_ns = world->now_ns + SNAPSHOT_TICK_NS;
    }
    for (uint32_t index = 0; index < WORLD_REQUEST_COUNT_MAX; index++) {
        const struct request *request = &world->requests[index];
        if (request->state == REQUEST_SENT && request->arrive_ns < next_ns) {
            next_ns = request->arrive_ns;
        }
    }
    for (uint32_t index = 0; index < world->gone_count; index++) {
        if (world->gone[index].arrive_ns < next_ns) next_ns = world->gone[index].arrive_ns;
    }
    return next_ns;
}

/* The order is that of the real loop: a stall is told first, because the
 * engine's time must not run past it; then read all, step all, timers, hand
 * over the batch, release what is durable, write. */
void host_turn(struct world *world)
{
    struct host *host = &world->host;
    if (world->is_refused) return;
    if (!host->is_up) {
        if (world->now_ns < host->restart_ns) return;
        host_start(world);
        if (!host->is_up) return;
    }
    tell_stall(world);
    receive(world);
    run_timers(world);
    land(world);
    if (host->is_up) keep_house(world);
    if (host->is_up) take_off(world);
    if (host->is_up) tend_snapshot(world);
    if (host->is_up) release(world);
    if (host->is_up) pump_events(world);
    if (host->is_up) mark(world);
    if (host->is_up) host_leave(world);
}

void host_init(struct world *world)
{
    struct host *host = &world->host;
    struct buffer pending = host->pending, flight = host->flight, chunk = host->chunk;
    *host = (struct host){ .pending = pending, .flight = flight, .chunk = chunk };
    if (host->pending.memory == NULL) {
        buffer_init(&host->pending, &memory_heap);
        buffer_init(&host->flight, &memory_heap);
        buffer_init(&host->chunk, &memory_heap);
    }
    buffer_reset(&host->pending);
    buffer_reset(&host->flight);
    host->segment_size = JOURNAL_SEGMENT_SIZE_MIN << rng_below(&world->rng, 3);
    host->waiter_count_max = world->swarm.has_small_limits ? 3 : 1000;
    host->restart_ns = 0;
    host_turn(world);
}

void host_deinit(struct world *world)
{
    host_forget(world);
}
