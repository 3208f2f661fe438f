#include <inttypes.h>

#include "sim/world.h"

/* --------------------------------------------------------------------- waiting */

void job_wait_add(struct world *world, struct request *request)
{
    struct jobs *jobs = &world->jobs;
    if (jobs->wait_count == JOB_WAIT_MAX || jobs->wait_count >= world->host.waiter_count_max) {
        world_fail(world, "I13: too many wait for items");
    }
    struct job_wait *wait = &jobs->waits[jobs->wait_count++];
    *wait = (struct job_wait){
        .connection = request->connection,
        .tag = request->tag,
        .number = world->next_wait++,
        .is_await = request->kind == ENGINE_AWAIT,
        .since_ns = world->receivable_ns,
        .wait_ms = request->wait_ms,
        .grace_ms = request->ask.grace_ms,
        .is_bound = request->ask.is_bound,
    };
    if (!wait->is_await) wait->queue_count = request->ask.queue_count;
    if (wait->is_await) {
        struct bytes id = bytes_from_text(request->ask.id);
        wait->awaited = job_find(world, request->ask.queue, id)->number;
    }
    for (uint32_t at = 0; at < wait->queue_count; at++) {
        wait->queues[at] = (request->ask.queue + at) % JOB_QUEUE_COUNT;
    }
    request->is_waiting = true;
}

void job_wait_remove(struct world *world, uint64_t connection, uint64_t tag)
{
    struct jobs *jobs = &world->jobs;
    for (uint32_t index = 0; index < jobs->wait_count;) {
        const struct job_wait *wait = &jobs->waits[index];
        if (wait->connection == connection && (tag == 0 || wait->tag == tag)) {
            jobs->waits[index] = jobs->waits[--jobs->wait_count];
        } else {
            index++;
        }
    }
}

void job_mark_answered(struct world *world, const struct engine_update *update)
{
    for (uint32_t index = 0; index < world->jobs.wait_count; index++) {
        struct job_wait *wait = &world->jobs.waits[index];
        for (uint32_t at = 0; at < update->reply_count && !wait->is_answered; at++) {
            const struct engine_reply *reply = &update->replies[at];
            wait->is_answered = reply->client == wait->connection && reply->tag == wait->tag;
        }
    }
}

static bool waits_at(const struct job_wait *wait, uint32_t queue)
{
    for (uint32_t at = 0; at < wait->queue_count; at++) {
        if (wait->queues[at] == queue) return true;
    }
    return false;
}

/* J3: first come, first served; UINT64_MAX as number: came just now. */
static void check_line(struct world *world, uint32_t queue, uint64_t number)
{
    for (uint32_t index = 0; index < world->jobs.wait_count; index++) {
        const struct job_wait *other = &world->jobs.waits[index];
        if (other->number >= number || other->is_answered || !waits_at(other, queue)) continue;
        if (world->receivable_ns - other->since_ns >= other->wait_ms * NS_PER_MS) continue;
        world_fail(world, "J3: an item went past somebody who waited longer");
    }
}

/* ---------------------------------------------------------------------- copies */

void job_copy_reply(
    struct world *world, const struct engine_item_result *from, struct job_reply *out)
{
    const struct engine_item_view *item = &from->item;
    *out = (struct job_reply){
        .err = from->err,
        .number = item->number,
        .token = item->token,
        .state = item->state,
        .lease_ms = item->lease_ms,
        .remaining_ms = item->remaining_ms,
        .timeout_ms = item->terms.timeout_ms,
        .is_repeat = from->is_repeat,
        .is_cancelling = item->is_cancelling,
    };
    if (item->queue.size > 0) out->queue = job_queue_number(world, item->queue);
    if (item->id.size >= JOB_ID_SIZE) world_fail(world, "an id that nobody gave");
    if (item->id.size > 0) memcpy(out->id, item->id.data, item->id.size);
}

/* ------------------------------------------------------------------------ own */

struct job_before job_look_before(struct world *world, const struct request *request)
{
    struct job_before before = { 0 };
    if (request == NULL || !ENGINE_COMMAND_IS_WORK(request->kind)) return before;
    const struct job *job = job_find(world, request->ask.queue, bytes_from_text(request->ask.id));
    if (job == NULL) return before;
    before.was_known = true;
    before.token = job->token;
    before.is_taken = job->state == ITEM_TAKEN;
    before.is_held = before.is_taken && job->token.value == request->ask.token.value;
    before.ending = job->ending;
    return before;
}

/* I10: what it says may not be taken back by a crash. */
static void
check_dependence(struct world *world, const struct engine_reply *reply, const struct job *job)
{
    if (job == NULL || job->last_seq <= world->host.durable.value) return;
    if (job->last_seq > world->oracle.last_before) return; /* perhaps it has been taken since */
    if (job->last_seq <= reply->seq.value || reply->kind == ENGINE_EXTEND) return;
    world_fail(
        world,
        "I10: an answer about %s depends on record %" PRIu64 ", it says %" PRIu64,
        job->id,
        job->last_seq,
        reply->seq.value);
}

static void check_taken(struct world *world, const struct engine_reply *reply, uint64_t number)
{
    for (uint32_t index = 0; index < reply->item_count; index++) {
        const struct engine_item_view *view = &reply->items[index].item;
        uint32_t queue = job_queue_number(world, view->queue);
        const struct job *job = job_find(world, queue, view->id);
        bool is_true = job != NULL && job->number == view->number && job->state == ITEM_TAKEN &&
                       job->token.value == view->token.value && job->lease_ms == view->lease_ms;
        if (!is_true) world_fail(world, "J1: a worker is told of a lease that is not");
        if (view->body.size == 0 || view->body.data[0] != 'b') {
            world_fail(world, "J1: %s has lost its body", job->id);
        }
        if (reply->seq.value < job->taken_seq) world_fail(world, "I10: a take is told too early");
        check_line(world, queue, number);
        if (index > 0) world_probe(world, PROBE_JOB_MANY);
    }
}

/* The leases of what was taken may be bound to the connection. */
static void
bind(struct world *world, const struct engine_reply *reply, uint32_t grace_ms, bool is_bound)
{
    for (uint32_t index = 0; index < reply->item_count; index++) {
        struct job *job = job_by_number(world, reply->items[index].item.number);
        if (job == NULL) continue;
        job->grace_ms = grace_ms;
        job->is_bound = is_bound;
        job->connection = reply->client;
    }
}

static void
check_put(struct world *world, const struct request *request, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK && reply->item_count == 0) return;
    if (reply->item_count != request->ask.put_count) world_fail(world, "put: answers are missing");
    for (uint32_t index = 0; index < reply->item_count; index++) {
        const struct engine_item_result *result = &reply->items[index];
        if (result->err != TENURE_OK) continue;
        const struct job *job = job_by_number(world, result->item.number);
        uint32_t key = request->ask.puts[index].key;
        const char *id = request->ask.puts[index].id;
        bool is_id = bytes_equal(result->item.id, bytes_from_text(id));
        if (!result->is_repeat && result->item.number <= world->oracle.last_before) {
            world_fail(world, "J1: %s is said to be put, and was there", id);
        }
        if (reply->seq.value < result->item.number) {
            world_fail(world, "I10: a put is told too early");
        }
        if (id[0] != '\0' && !is_id && !(result->is_repeat && key != JOB_NO_KEY)) {
            world_fail(world, "J1: %s was put under another name", id);
        }
        if (result->is_repeat) world_probe(world, PROBE_JOB_PUT_AGAIN);
        check_dependence(world, reply, job);
    }
}

static enum record_kind ending_of(enum engine_command_kind kind)
{
    if (kind == ENGINE_DONE) return RECORD_DONE;
    return kind == ENGINE_FAIL ? RECORD_FAILED : RECORD_BURIED;
}

/* K9: neither the end of the item nor the transaction. */
static void check_not_done(struct world *world, const struct request *request)
{
    const struct job *job = job_find(world, request->ask.queue, bytes_from_text(request->ask.id));
    bool is_taken =
        job != NULL && job->state == ITEM_TAKEN && job->token.value == request->ask.token.value;
    if (!is_taken) world_fail(world, "K9: %s ended, its transaction did not", request->ask.id);
}

/* J2: only who has the lease ends it; a late one is told so; the same again is the same. */
static void check_end(
    struct world *world,
    const struct request *request,
    const struct engine_reply *reply,
    const struct job_before *before)
{
    if (reply->err == TENURE_NO_MEMORY) return;
    if (before->is_held && request->change.has_change) {
        state_check_change(world, reply);
        world_probe(
            world, reply->err == TENURE_OK ? PROBE_JOB_WITH_CHANGE : PROBE_JOB_CHANGE_REFUSED);
        if (reply->err != TENURE_OK) {
            check_not_done(world, request);
            return;
        }
    }
    if (reply->err == TENURE_INVALID) return;
    const struct engine_item_result *result = &reply->items[0];
    bool is_same = !before->is_held && before->was_known && !before->is_taken &&
                   before->token.value == request->ask.token.value &&
                   before->ending == ending_of(request->kind);
    /* The window may still know of one that is forgotten. */
    bool is_remembered = !before->was_known && request->kind == ENGINE_DONE && result->is_repeat;
    bool is_ok = before->is_held || is_same || is_remembered;
    if (reply->err != (is_ok ? TENURE_OK : TENURE_LOST)) {
        world_fail(
            world,
            "J2: %s of %s with token %" PRIu64 ": %s",
            record_kind_word(ending_of(request->kind)),
            request->ask.id,
            request->ask.token.value,
            tenure_err_name(reply->err));
    }
    if (is_ok && result->is_repeat == before->is_held) world_fail(world, "J2: repeated or not?");
    if (before->is_held && reply->seq.value <= world->oracle.last_before) {
        world_fail(world, "I10: the end of %s is told before it is written", request->ask.id);
    }
    if (!is_ok) world_probe(world, PROBE_JOB_LOST);
    if (is_same) world_probe(world, PROBE_JOB_DONE_AGAIN);
    check_dependence(
        world, reply, job_find(world, request->ask.queue, bytes_from_text(request->ask.id)));
}

static void check_extend(
    struct world *world,
    const struct request *request,
    const struct engine_reply *reply,
    const struct job_before *before)
{
    if (reply->item_count != 1 || reply->items[0].err == TENURE_NO_MEMORY) return;
    enum tenure_err err = reply->items[0].err;
    if ((err == TENURE_OK) != before->is_held || (err != TENURE_OK && err != TENURE_LOST)) {
        world_fail(world, "J2: extension of %s: %s", request->ask.id, tenure_err_name(err));
    }
    if (!before->is_held) return;
    struct job *job = job_find(world, request->ask.queue, bytes_from_text(request->ask.id));
    if (job->is_cancelling != reply->items[0].item.is_cancelling) {
        world_fail(world, "J2: the worker of %s is not told to stop", job->id);
    }
    if (job->is_cancelling) world_probe(world, PROBE_JOB_CANCELLING);
    if (request->ask.is_binding) {
        job->is_bound = job->is_bound || job->is_orphan;
        if (job->is_bound) job->connection = request->connection;
    }
    job->is_orphan = false;
    if (job->is_durable) job->deadline_ns = world->receivable_ns + job->lease_ms * NS_PER_MS;
    bool is_told_early = !job->is_durable && reply->seq.value < job->taken_seq;
    if (is_told_early) world_fail(world, "I10: a lease is extended before it is durable");
    world_probe(world, PROBE_JOB_EXTENDED);
}

void job_check_own(
    struct world *world,
    const struct request *request,
    const struct engine_reply *reply,
    const struct job_before *before)
{
    switch ((unsigned)request->kind) {
    case ENGINE_PUT: check_put(world, request, reply); return;
    case ENGINE_TAKE:
        check_taken(world, reply, UINT64_MAX);
        bind(world, reply, request->ask.grace_ms, request->ask.is_bound);
        return;
    case ENGINE_DONE:
    case ENGINE_FAIL:
    case ENGINE_BURY: check_end(world, request, reply, before); return;
    case ENGINE_EXTEND: check_extend(world, request, reply, before); return;
    case ENGINE_CANCEL_ITEM:
    case ENGINE_KICK:
    case ENGINE_AWAIT:
        if (reply->err == TENURE_NO_MEMORY || reply->err == TENURE_TOO_MANY ||
            reply->err == TENURE_DRAINING)
        {
            return;
        }
        if ((reply->err == TENURE_NOT_FOUND) == before->was_known) {
            world_fail(world, "J1: %s is there or not?", request->ask.id);
        }
        check_dependence(
            world, reply, job_find(world, request->ask.queue, bytes_from_text(request->ask.id)));
        return;
    default: return;
    }
}

/* ----------------------------------------------------------------- who waited */

static bool is_over(enum item_state state)
{
    return state == ITEM_DONE || state == ITEM_DEAD || state == ITEM_CANCELLED;
}

/* J8: who waits for an end hears of the end, or that there will be none. */
static void check_awaited(struct world *world, const struct engine_reply *reply, uint64_t number)
{
    if (reply->err == TENURE_NOT_FOUND) {
        if (job_by_number(world, number) != NULL) {
            world_fail(world, "J8: number %" PRIu64 " is not there?", number);
        }
        world_probe(world, PROBE_JOB_AWAITED_PURGED);
    }
    if (reply->err != TENURE_OK) return;
    const struct engine_item_view *item = &reply->items[0].item;
    if (item->number != number || !is_over(item->state)) {
        world_fail(world, "J8: an end is told that was none: %s", item_state_word(item->state));
    }
    world_probe(world, PROBE_JOB_AWAITED);
}

void job_check_wait(struct world *world, const struct engine_reply *reply)
{
    for (uint32_t index = 0; index < world->jobs.wait_count; index++) {
        const struct job_wait *wait = &world->jobs.waits[index];
        if (wait->connection != reply->client || wait->tag != reply->tag) continue;
        int64_t waited_ns = world->receivable_ns - wait->since_ns;
        if (reply->err == TENURE_TIMEOUT && waited_ns < wait->wait_ms * NS_PER_MS) {
            world_fail(world, "J8: a wait for items timed out too early");
        }
        if (!wait->is_await && reply->err == TENURE_OK) {
            check_taken(world, reply, wait->number);
            world_probe(world, PROBE_JOB_AFTER_WAIT);
            bind(world, reply, wait->grace_ms, wait->is_bound);
        }
        if (wait->is_await) check_awaited(world, reply, wait->awaited);
        job_wait_remove(world, reply->client, reply->tag);
        return;
    }
    world_fail(world, "I11: an answer to nobody about items (tag %" PRIu64 ")", reply->tag);
}
