/* Commands and events from bytes: after every step all invariants hold, every command has exactly
 * one answer, tokens rise, and a replay of the records, from the start or behind a snapshot, gives
 * the same state. */
#include "base/memory.h"
#include "engine/queues.h"
#include "engine/registers.h"
#include "lib/touch_answers.h"

#define STEP_COUNT_MAX   400u
#define CLIENT_COUNT     4u
#define CHUNK_SIZE       200u
#define WAIT_COUNT_MAX   512u
#define WINDOW_SIZE      ENGINE_WINDOW_SIZE_MIN
#define WALL_START_US    INT64_C(1700000000000000)
#define NAME_COUNT       10u
#define OWNER_COUNT      8u
#define NAMES_IN_REQUEST 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A request that waits, and so will be answered later, once. */
struct wait {
    uint64_t client;
    uint64_t tag;
};

struct life {
    const uint8_t *data;
    size_t size;
    struct engine *engine;
    struct engine_options options;
    struct mono now;
    struct wall wall;
    uint64_t tag_last;
    uint64_t token_last;
    struct seq durable;
    struct wait waits[WAIT_COUNT_MAX];
    uint32_t wait_count;
    struct buffer journal; /* all records; batches need no bounds to be replayed */
    uint32_t record_count;
    uint32_t seen; /* of answers; means nothing */
    struct buffer snapshot;
    struct seq snapshot_seq;
    uint64_t snapshot_hash;
    bool is_snapshot_open;
    bool is_snapshot_done;
};

/* ------------------------------------------------------------------- input */

static uint32_t take(struct life *life, uint32_t limit)
{
    if (life->size == 0) return 0;
    uint32_t value = *life->data++;
    life->size--;
    if (limit > 256 && life->size > 0) {
        value = value << 8 | *life->data++;
        life->size--;
    }
    return value % limit;
}

static struct bytes take_name(struct life *life)
{
    static char longest[LIMIT_NAME_SIZE_MAX + 1];
    static const char *const names[NAME_COUNT] = { "a",   "b",  "c",        "s1", "s2",
                                                   "a/b", "\n", "\xf0\x9f", "",   "d" };
    memset(longest, 'l', sizeof longest);
    uint32_t number = take(life, NAME_COUNT + 2);
    if (number >= NAME_COUNT) return (struct bytes){ longest, LIMIT_NAME_SIZE_MAX + number % 2 };
    return bytes_from_text(names[number]);
}

static struct bytes take_owner(struct life *life)
{
    static const char *const owners[OWNER_COUNT] = { "A", "B", "C", "D", "E", "F", "", "\x7f" };
    return bytes_from_text(owners[take(life, OWNER_COUNT)]);
}

static uint32_t take_ms(struct life *life, uint32_t limit_ms)
{
    switch (take(life, 8)) {
    case 0: return 0;
    case 1: return limit_ms;
    case 2: return limit_ms + 1;
    default: return 90 + take(life, 4096);
    }
}

/* ------------------------------------------------------------------- steps */

static void note_answer(struct life *life, const struct engine_reply *reply, uint64_t tag)
{
    ASSERT(reply->seq.value <= engine_seq(life->engine).value);
    bool is_lock = reply->kind < ENGINE_PUT;
    ASSERT(!is_lock || (reply->result_count > 0 && reply->results != NULL));
    if (reply->tag == tag) return;
    uint32_t index = 0;
    while (index < life->wait_count &&
           (life->waits[index].tag != reply->tag || life->waits[index].client != reply->client))
    {
        index++;
    }
    ASSERT(index < life->wait_count); /* it had been answered, or was never asked */
    ASSERT(
        reply->kind == ENGINE_ACQUIRE || reply->kind == ENGINE_TAKE ||
        reply->kind == ENGINE_AWAIT || reply->kind == ENGINE_STATE_WAIT);
    life->waits[index] = life->waits[--life->wait_count];
}

static void keep_records(struct life *life, const struct engine_update *update)
{
    struct bytes rest = update->records;
    for (uint32_t index = 0; index < update->record_count; index++) {
        struct record record;
        ASSERT(record_decode(&rest, &record) == TENURE_OK);
        if (record.kind != RECORD_GRANTED && record.kind != RECORD_TAKEN) continue;
        ASSERT(record.token.value > life->token_last);
        life->token_last = record.token.value;
    }
    ASSERT(rest.size == 0);
    ASSERT(update->record_count == 0 || update->first.value == life->record_count + 1);
    life->record_count += update->record_count;
    buffer_append_bytes(&life->journal, update->records);
}

static void check_waits(const struct life *life)
{
    uint64_t taker_count = engine_work_counters(life->engine).taker_count;
    uint64_t key_count = engine_key_counters(life->engine).wait_count;
    uint64_t waiter_count = engine_counters(life->engine).waiter_count;
    ASSERT(waiter_count + taker_count + key_count == life->wait_count);
}

static void step(struct life *life, struct engine_event *event)
{
    struct engine_update update;
    event->now = life->now;
    event->wall = life->wall;
    const struct engine_command *command = event->command;
    uint64_t tag = command != NULL && command->kind != ENGINE_CANCEL ? command->tag : 0;
    ASSERT(engine_step(life->engine, event, &update) == TENURE_OK);
    keep_records(life, &update);
    life->seen += touch_answers(&update);
    uint32_t answer_count = 0;
    for (uint32_t index = 0; index < update.reply_count; index++) {
        const struct engine_reply *reply = &update.replies[index];
        if (command != NULL && reply->tag == command->tag) answer_count++;
        bool is_unknown = reply->kind == ENGINE_CANCEL && reply->err == TENURE_NOT_FOUND;
        if (!is_unknown) note_answer(life, reply, tag);
    }
    if (command != NULL) ASSERT(answer_count == (update.is_waiting ? 0 : 1));
    if (update.is_waiting) {
        ASSERT(life->wait_count < WAIT_COUNT_MAX);
        life->waits[life->wait_count++] = (struct wait){ command->client, command->tag };
    }
    engine_check(life->engine);
    check_waits(life);
}

static void give(struct life *life, struct engine_command *command)
{
    if (command->client == 0) command->client = 1 + take(life, CLIENT_COUNT);
    if (command->tag == 0) command->tag = ++life->tag_last;
    step(life, &(struct engine_event){ .kind = ENGINE_COMMAND, .command = command });
}

static void acquire(struct life *life)
{
    static char meta[LIMIT_META_SIZE_MAX + 1];
    struct bytes names[NAMES_IN_REQUEST];
    uint32_t flags = take(life, 256);
    uint32_t count = flags & 1 ? 1 + take(life, NAMES_IN_REQUEST) : 1;
    memset(meta, 'm', sizeof meta);
    for (uint32_t index = 0; index < count; index++) {
        names[index] = take_name(life);
    }
    bool is_slotted = names[0].size > 0 && names[0].data[0] == 's';
    /* One after the other: in an initializer each compiler would take in an order of its own. */
    struct engine_command command = { .kind = ENGINE_ACQUIRE };
    struct engine_acquire *wish = &command.as.acquire;
    wish->names = names;
    wish->name_count = count;
    wish->owner = take_owner(life);
    if (flags & 2) wish->meta = (struct bytes){ meta, take(life, sizeof meta + 1) };
    wish->ttl_ms = take_ms(life, LIMIT_TTL_MS_MAX);
    if (flags & 4) wish->wait_ms = take_ms(life, LIMIT_WAIT_MS_MAX);
    wish->mode = flags & 8 ? ENGINE_SHARED : ENGINE_EXCLUSIVE;
    wish->slots = is_slotted ? 2 : 1;
    if (flags & 16) wish->slots = take(life, 5);
    if (flags & 32) wish->priority = take(life, LIMIT_PRIORITY_MAX + 2);
    if (flags & 64) wish->lock_delay_ms = take_ms(life, LIMIT_LOCK_DELAY_MS_MAX);
    give(life, &command);
}

/* A claim of somebody who holds; sometimes only nearly. */
static struct engine_claim take_claim(struct life *life)
{
    struct engine_claim claim = { .name = take_name(life), .ttl_ms = ENGINE_TTL_KEEP };
    uint32_t flags = take(life, 64);
    struct engine_hold_view hold;
    if (engine_inspect_hold(life->engine, claim.name, life->now, flags & 3, &hold)) {
        claim.owner = hold.owner;
        claim.token = hold.token;
    } else {
        claim.owner = take_owner(life);
        claim.token.value = life->token_last - take(life, 16);
    }
    if (flags & 4) claim.ttl_ms = take_ms(life, LIMIT_TTL_MS_MAX);
    if ((flags & 56) == 56) claim.token.value--;
    return claim;
}

static void renew(struct life *life)
{
    struct engine_claim claims[4];
    uint32_t count = take(life, 5);
    for (uint32_t index = 0; index < count; index++) {
        claims[index] = take_claim(life);
    }
    give(life, &(struct engine_command){ .kind = ENGINE_RENEW, .as.renew = { claims, count } });
}

static void transfer(struct life *life)
{
    struct engine_command command = { .kind = ENGINE_TRANSFER };
    struct engine_waiter_view waiters[4];
    command.as.transfer.claim = take_claim(life);
    uint32_t count =
        engine_inspect_waiters(life->engine, command.as.transfer.claim.name, life->now, waiters, 4);
    uint32_t index = take(life, 5);
    command.as.transfer.to = index < count ? waiters[index].owner : take_owner(life);
    give(life, &command);
}

static void break_hold(struct life *life)
{
    static char reason[LIMIT_REASON_SIZE_MAX + 1];
    memset(reason, 'r', sizeof reason);
    struct engine_claim claim = take_claim(life);
    struct engine_command command = { .kind = ENGINE_BREAK };
    command.as.break_hold.name = claim.name;
    command.as.break_hold.token = claim.token;
    command.as.break_hold.reason = (struct bytes){ reason, take(life, sizeof reason + 1) };
    command.as.break_hold.grace_ms = take_ms(life, LIMIT_GRACE_MS_MAX);
    give(life, &command);
}

static void proclaim(struct life *life)
{
    struct engine_command command = { .kind = ENGINE_PROCLAIM };
    command.as.proclaim.claim = take_claim(life);
    command.as.proclaim.value = take_owner(life);
    give(life, &command);
}

static void release(struct life *life)
{
    struct engine_claim claim = take_claim(life);
    give(life, &(struct engine_command){ .kind = ENGINE_RELEASE, .as.release = claim });
}

/* ------------------------------------------------------------------ queues */

static struct bytes take_id(struct life *life)
{
    static const char *const ids[] = { "i", "j", "k", "", "_5", "\n" };
    return bytes_from_text(ids[take(life, 6)]);
}

static struct bytes take_queue(struct life *life)
{
    static const char *const queues[] = { "q", "r", "", "q/r" };
    return bytes_from_text(queues[take(life, 4)]);
}

static int64_t take_moment(struct life *life)
{
    return take(life, 2) == 0 ? 0 : life->wall.us + ((int64_t)take(life, 4096) - 500) * 1000;
}

static void put(struct life *life)
{
    static char body[LIMIT_META_SIZE_MAX];
    struct engine_put items[3];
    uint32_t count = take(life, 4);
    memset(body, 'b', sizeof body);
    for (uint32_t index = 0; index < count; index++) {
        uint32_t flags = take(life, 256);
        struct engine_put *item = &items[index];
        *item = (struct engine_put){ .queue = take_queue(life), .id = take_id(life) };
        item->body = (struct bytes){ body, take(life, sizeof body) };
        if (flags & 1) item->group = take_id(life);
        if (flags & 2) item->unique = take_owner(life);
        item->terms.lease_ms = take_ms(life, LIMIT_TTL_MS_MAX);
        item->terms.run_at_us = take_moment(life);
        item->terms.expires_at_us = take_moment(life);
        item->terms.retention_ms = take(life, 4096);
        item->terms.attempts_max = (uint16_t)take(life, 3);
        item->terms.lapses_max = (uint8_t)take(life, 3);
        item->terms.priority = (uint8_t)take(life, LIMIT_PRIORITY_MAX + 2);
        if (flags & 2) item->terms.unique_scope = (uint8_t)take(life, UNIQUE_SCOPE_COUNT + 1);
        if (flags & 2) item->terms.conflict = (uint8_t)take(life, UNIQUE_CONFLICT_COUNT + 1);
        if (flags & 2) item->terms.unique_ms = take(life, 4096);
        if (flags & 4) item->terms.timeout_ms = take(life, 4096);
        if (flags & 8) item->terms.backoff_ms = take(life, 4096);
        if (flags & 8) item->terms.backoff = ITEM_BACKOFF_EXPONENTIAL;
        if (flags & 8) item->terms.jitter = (uint8_t)take(life, 102);
    }
    give(life, &(struct engine_command){ .kind = ENGINE_PUT, .as.put = { items, count } });
}

static void take_items(struct life *life)
{
    struct bytes queues[3];
    struct engine_command command = { .kind = ENGINE_TAKE };
    struct engine_take *wish = &command.as.take;
    wish->queues = queues;
    wish->queue_count = take(life, 4);
    for (uint32_t index = 0; index < wish->queue_count; index++) {
        queues[index] = take_queue(life);
    }
    wish->worker = take_owner(life);
    wish->count_max = take(life, 4);
    wish->wait_ms = take(life, 2) == 0 ? 0 : take_ms(life, LIMIT_WAIT_MS_MAX);
    wish->is_bound = take(life, 2) == 1;
    wish->grace_ms = take(life, 4096);
    give(life, &command);
}

/* A lease of somebody who has one; sometimes only nearly. */
static struct engine_work_claim take_lease(struct life *life)
{
    struct engine_work_claim claim = { .queue = take_queue(life), .lease_ms = ENGINE_TTL_KEEP };
    struct engine_item_view view;
    uint32_t flags = take(life, 8);
    claim.id = take_id(life);
    if (engine_peek(life->engine, claim.queue, ITEM_TAKEN, &view)) {
        claim.id = view.id;
        claim.token = view.token;
    }
    if (flags & 1) claim.lease_ms = take_ms(life, LIMIT_TTL_MS_MAX);
    if (flags & 2) claim.progress = take_owner(life);
    if (flags == 4) claim.token.value--;
    return claim;
}

/* ------------------------------------------------------------- shared state */

#define OPERATIONS_IN_CHANGE 3u

struct wish {
    struct engine_guard guard;
    struct engine_condition condition;
    struct engine_operation operations[2][OPERATIONS_IN_CHANGE];
    struct engine_change change;
};

static struct bytes take_value(struct life *life)
{
    static char longest[9000];
    static const char *const values[] = { "", "1", "-17", "word", "9223372036854775807" };
    uint32_t number = take(life, 6);
    if (number == 5) return (struct bytes){ longest, take(life, sizeof longest) };
    return bytes_from_text(values[number]);
}

static struct engine_guard take_guard(struct life *life)
{
    struct engine_claim claim = take_claim(life);
    return (struct engine_guard){ claim.name, claim.token };
}

static struct engine_operation take_operation(struct life *life)
{
    static const double scores[] = { 0, -1, 1.5, 1e308, -1e308, 2 };
    struct engine_operation operation = { .kind = (enum engine_operation_kind)take(
                                              life, OPERATION_KIND_COUNT + 1) };
    uint32_t flags = take(life, 64);
    operation.name = take_name(life);
    operation.value = take_value(life);
    operation.member = take_owner(life);
    operation.by = (int64_t)take(life, 256) - 128;
    operation.score = scores[take(life, 6)];
    operation.first = (int64_t)take(life, 8) - 4;
    operation.last = (int64_t)take(life, 8) - 4;
    if (flags & 1) operation.ttl_ms = take_ms(life, LIMIT_STATE_TTL_MS_MAX);
    if (flags & 2) operation.bond = take_guard(life);
    if (flags & 4) operation.is_keeping = true;
    if (flags & 8) operation.when = take(life, 16);
    return operation;
}

static void take_change(struct life *life, struct wish *wish)
{
    uint32_t flags = take(life, 64);
    wish->guard = take_guard(life);
    wish->condition.kind = (enum engine_condition_kind)take(life, CONDITION_COUNT + 1);
    wish->condition.name = take_name(life);
    wish->condition.version = take(life, 64);
    wish->condition.value = take_value(life);
    wish->change = (struct engine_change){ .guards = &wish->guard,
                                           .guard_count = flags & 1,
                                           .conditions = &wish->condition,
                                           .condition_count = flags >> 1 & 1,
                                           .then_operations = wish->operations[0],
                                           .else_operations = wish->operations[1],
                                           .has_else = flags >> 2 & 1 };
    wish->change.then_count = take(life, OPERATIONS_IN_CHANGE + 1);
    wish->change.else_count = take(life, OPERATIONS_IN_CHANGE + 1);
    for (unsigned branch = 0; branch < 2; branch++) {
        for (unsigned index = 0; index < OPERATIONS_IN_CHANGE; index++) {
            wish->operations[branch][index] = take_operation(life);
        }
    }
}

static void change_state(struct life *life)
{
    static struct wish wish;
    take_change(life, &wish);
    give(life, &(struct engine_command){ .kind = ENGINE_CHANGE, .as.change = wish.change });
}

static void wait_for_state(struct life *life)
{
    struct engine_command command = { .kind = ENGINE_STATE_WAIT };
    command.as.state_wait.name = take_name(life);
    command.as.state_wait.version = engine_seq(life->engine).value - take(life, 4);
    command.as.state_wait.wait_ms = take_ms(life, LIMIT_WAIT_MS_MAX);
    give(life, &command);
}

/* Reads change nothing; every event has what came and what was before. */
static void look_at_state(struct life *life)
{
    struct engine_register_view registers[4];
    struct engine_member_view members[4];
    struct bytes next;
    struct engine_register_query query = {
        .prefix = take_name(life), .after = take_name(life), .count_max = 4, .value_size_max = 1000
    };
    (void)engine_registers(life->engine, &query, life->now, registers, &next);
    (void)engine_members(life->engine, query.after, take(life, 4), take(life, 2), members, 4);
    uint64_t last = engine_window_last(life->engine).value;
    for (uint64_t seq = engine_window_first(life->engine).value; seq <= last; seq++) {
        struct record record;
        ASSERT(engine_window_read(life->engine, (struct seq){ seq }, &record));
        if (record.has_previous && record.previous.size > 0) {
            life->seen += (uint8_t)record.previous.data[record.previous.size - 1];
        }
        if (record.kind == RECORD_SET && record.body.size > 0) {
            life->seen += (uint8_t)record.body.data[record.body.size - 1];
        }
    }
}

static void end_work(struct life *life)
{
    static const enum engine_command_kind kinds[] = { ENGINE_DONE, ENGINE_FAIL, ENGINE_BURY };
    struct engine_command command = { .kind = kinds[take(life, 3)] };
    command.as.end_work.claim = take_lease(life);
    command.as.end_work.reason = take_owner(life);
    command.as.end_work.result = take_owner(life);
    command.as.end_work.delay_ms =
        take(life, 2) == 0 ? ENGINE_DELAY_BACKOFF : take_ms(life, LIMIT_DELAY_MS_MAX);
    command.as.end_work.is_free = take(life, 2) == 1;
    static struct wish wish;
    if (command.kind == ENGINE_DONE && take(life, 3) == 0) {
        take_change(life, &wish);
        command.as.end_work.change = &wish.change;
    }
    give(life, &command);
}

static void manage(struct life *life)
{
    struct engine_command command = { .kind = ENGINE_EXTEND };
    struct engine_work_claim claim = take_lease(life);
    uint32_t choice = take(life, 9);
    struct bytes id = take_id(life);
    uint32_t number = take(life, 4096);
    if (choice == 0) {
        command.as.extend.claims = &claim;
        command.as.extend.count = 1;
    } else if (choice <= 2) {
        command.kind = choice == 1 ? ENGINE_CANCEL_ITEM : ENGINE_KICK;
        command.as.item = (struct engine_item_name){ claim.queue, id, claim.progress };
    } else if (choice <= 4) {
        command.kind = choice == 3 ? ENGINE_REDRIVE : ENGINE_PURGE;
        command.as.sweep = (struct engine_sweep){ .queue = claim.queue,
                                                  .state = (enum item_state)(number % 7),
                                                  .has_group = number & 8,
                                                  .group = id,
                                                  .count_max = number % 5,
                                                  .interval_ms = number };
    } else if (choice == 5) {
        command.kind = ENGINE_AWAIT;
        command.as.await_end = (struct engine_await){ claim.queue, id, number };
    } else {
        command.kind = choice == 6 ? ENGINE_PAUSE : choice == 7 ? ENGINE_RESUME : ENGINE_LIMIT;
        command.as.scope = (struct engine_scope){ .queue = claim.queue, .is_whole = number & 1 };
        if (!command.as.scope.is_whole) command.as.scope.group = id;
        command.as.scope.limits = (struct group_limits){ .running_max = number % 4,
                                                         .size_max = number % 7,
                                                         .rate_count = number % 3,
                                                         .rate_ms = number % 1000,
                                                         .burst = number % 5,
                                                         .weight = number % 6 };
    }
    give(life, &command);
}

static void cancel(struct life *life)
{
    struct engine_command command = { .kind = ENGINE_CANCEL };
    uint32_t index = take(life, 8);
    if (index < life->wait_count) {
        command.client = life->waits[index].client;
        command.tag = life->waits[index].tag;
    }
    give(life, &command);
}

static void lose_client(struct life *life)
{
    uint64_t client = 1 + take(life, CLIENT_COUNT);
    for (uint32_t index = 0; index < life->wait_count;) {
        if (life->waits[index].client == client) {
            life->waits[index] = life->waits[--life->wait_count];
        } else {
            index++;
        }
    }
    step(life, &(struct engine_event){ .kind = ENGINE_CLIENT_GONE, .client = client });
}

/* ------------------------------------------------------------------- time */

static void pass(struct life *life)
{
    int64_t ms = take(life, 4096);
    life->now.ns += ms * NS_PER_MS;
    life->wall.us += ms * 1000;
}

static void stall(struct life *life)
{
    int64_t ms = take(life, 4096);
    life->now.ns += ms * NS_PER_MS;
    step(life, &(struct engine_event){ .kind = ENGINE_STALLED, .stall_ns = ms * NS_PER_MS });
}

static void become_durable(struct life *life)
{
    uint64_t seq = engine_seq(life->engine).value;
    uint64_t behind = take(life, 8);
    uint64_t durable = seq > behind ? seq - behind : 0;
    if (durable > life->durable.value) life->durable.value = durable;
    step(life, &(struct engine_event){ .kind = ENGINE_DURABLE, .durable = life->durable });
}

static void jump_wall(struct life *life)
{
    static const int64_t jumps_us[] = { INT64_C(-3600000000), INT64_C(3600000000), -1, 0 };
    life->wall.us += jumps_us[take(life, 4)];
}

/* ----------------------------------------------------- snapshot and restart */

static void go_on_with_snapshot(struct life *life)
{
    if (!life->is_snapshot_open) {
        life->is_snapshot_open = true;
        life->is_snapshot_done = false;
        buffer_reset(&life->snapshot);
        engine_snapshot_begin(life->engine, &life->snapshot_seq);
        life->snapshot_hash = engine_hash(life->engine);
        return;
    }
    life->is_snapshot_done = engine_snapshot_write(life->engine, &life->snapshot, CHUNK_SIZE);
    life->is_snapshot_open = !life->is_snapshot_done;
    ASSERT(!life->snapshot.is_failed);
}

static struct engine *replay(const struct life *life, bool is_from_snapshot)
{
    struct engine *engine = engine_create(&life->options);
    ASSERT(engine != NULL);
    if (is_from_snapshot) {
        ASSERT(engine_restore_chunk(engine, buffer_bytes(&life->snapshot)) == TENURE_OK);
        ASSERT(engine_restore_snapshot_end(engine, life->snapshot_seq) == TENURE_OK);
        ASSERT(engine_hash(engine) == life->snapshot_hash);
    }
    if (life->record_count > 0) {
        enum tenure_err err = engine_restore_batch(
            engine, (struct seq){ 1 }, life->record_count, buffer_bytes(&life->journal));
        ASSERT(err == TENURE_OK);
    }
    ASSERT(engine_hash(engine) == engine_hash(life->engine));
    return engine;
}

static void restart(struct life *life)
{
    struct engine *engine = replay(life, life->is_snapshot_done);
    engine_destroy(&life->engine);
    life->engine = engine;
    life->is_snapshot_open = false;
    life->wait_count = 0;
    step(life, &(struct engine_event){ .kind = ENGINE_READY });
}

static void change_gate(struct life *life)
{
    enum engine_gate gate = (enum engine_gate)take(life, ENGINE_GATE_DRAINING + 1);
    step(life, &(struct engine_event){ .kind = ENGINE_GATE, .gate = gate });
}

/* Reads change nothing and never crash. */
static void look(struct life *life)
{
    struct engine_lock_view locks[8];
    struct record records[8];
    struct bytes next;
    struct engine_list_query query = { .prefix = take_name(life) };
    query.owner = take_owner(life);
    query.state = (enum engine_state_filter)take(life, 3);
    query.after = take_name(life);
    query.count_max = 1 + take(life, 8);
    (void)engine_list(life->engine, &query, life->now, locks, &next);
    (void)engine_history(life->engine, query.after, records, 8);
    (void)engine_inspect(life->engine, query.prefix, life->now, locks);
}

static void live(struct life *life)
{
    switch (take(life, 31)) {
    case 0: release(life); return;
    case 1: renew(life); return;
    case 2: break_hold(life); return;
    case 3: proclaim(life); return;
    case 4: transfer(life); return;
    case 5: cancel(life); return;
    case 6: lose_client(life); return;
    case 7: pass(life); return;
    case 8: stall(life); return;
    case 9: become_durable(life); return;
    case 10: step(life, &(struct engine_event){ .kind = ENGINE_TIMER }); return;
    case 11: go_on_with_snapshot(life); return;
    case 12: restart(life); return;
    case 13: change_gate(life); return;
    case 14: look(life); return;
    case 15: jump_wall(life); return;
    case 20: put(life); return;
    case 21: take_items(life); return;
    case 22: end_work(life); return;
    case 23: manage(life); return;
    case 24:
    case 25:
    case 26:
    case 27: change_state(life); return;
    case 28: wait_for_state(life); return;
    case 29: look_at_state(life); return;
    default: acquire(life); return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct life life = { .data = data, .size = size };
    life.options = (struct engine_options){ .memory = &memory_heap,
                                            .waiter_count_max = WAIT_COUNT_MAX,
                                            .window_size = WINDOW_SIZE };
    life.options.hold_count_max = 1 + take(&life, 40);
    life.options.ageing_ms = 1 + take(&life, 300);
    life.now.ns = NS_PER_S;
    life.wall.us = WALL_START_US;
    buffer_init(&life.journal, &memory_heap);
    buffer_init(&life.snapshot, &memory_heap);
    life.engine = engine_create(&life.options);
    ASSERT(life.engine != NULL);
    step(&life, &(struct engine_event){ .kind = ENGINE_READY });

    for (uint32_t count = 0; count < STEP_COUNT_MAX && life.size > 0; count++) {
        live(&life);
    }

    struct engine *engine = replay(&life, life.is_snapshot_done);
    engine_destroy(&engine);
    engine_destroy(&life.engine);
    buffer_deinit(&life.journal);
    buffer_deinit(&life.snapshot);
    return 0;
}
