#include <inttypes.h>
#include <stdlib.h>

#include "sim/world.h"

/* -------------------------------------------------------------------- finding */

uint32_t job_queue_number(struct world *world, struct bytes name)
{
    for (uint32_t queue = 0; queue < JOB_QUEUE_COUNT; queue++) {
        if (bytes_equal(name, job_queue_name(queue))) return queue;
    }
    world_fail(world, "a queue that nobody used: '%.*s'", (int)name.size, name.data);
}

uint32_t job_group_number(struct world *world, struct bytes name)
{
    for (uint32_t group = 0; group < JOB_GROUP_COUNT; group++) {
        if (bytes_equal(name, job_group_name(group))) return group;
    }
    world_fail(world, "a group that nobody used: '%.*s'", (int)name.size, name.data);
}

static uint32_t key_number(struct bytes key)
{
    return key.size == 0 ? JOB_NO_KEY : (uint32_t)(key.data[1] - '0');
}

struct job *job_find(struct world *world, uint32_t queue, struct bytes id)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        struct job *job = &world->jobs.items[index];
        if (job->queue == queue && bytes_equal(bytes_from_text(job->id), id)) return job;
    }
    return NULL;
}

struct job *job_by_number(struct world *world, uint64_t number)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        if (world->jobs.items[index].number == number) return &world->jobs.items[index];
    }
    return NULL;
}

uint32_t job_count(const struct world *world, uint32_t queue, uint32_t group, enum item_state state)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        const struct job *job = &world->jobs.items[index];
        count += job->queue == queue && job->group == group && job->state == state;
    }
    return count;
}

const struct group_limits *job_limits(const struct world *world, uint32_t queue, uint32_t group)
{
    const struct job_queue *of = &world->jobs.queues[queue];
    return of->groups[group].has_limits ? &of->groups[group].limits : &of->limits;
}

/* ----------------------------------------------------------------------- time */

int64_t job_timer_ns(const struct world *world, int64_t at_us)
{
    int64_t left_us = at_us - world_wall(world).us;
    return left_us <= 0 ? world->now_ns : world->now_ns + left_us * 1000;
}

static void arm(struct world *world, struct job *job)
{
    bool is_waiting = job->state == ITEM_DELAYED || job->state == ITEM_READY;
    job->ready_ns = WORLD_NEVER;
    job->timer_ns = WORLD_NEVER;
    if (world->jobs.is_replaying) return;
    if (is_waiting && !job->is_kept_back) {
        job->ready_ns =
            job->state == ITEM_READY ? world->now_ns : job_timer_ns(world, job->terms.run_at_us);
    }
    if (is_waiting && job_can_expire(job)) {
        job->timer_ns = job_timer_ns(world, job->terms.expires_at_us);
    }
    if (job->state != ITEM_DONE && job->state != ITEM_CANCELLED) return;
    int64_t forget_us = job->ended_at_us + (int64_t)job->terms.retention_ms * 1000;
    int64_t over_us = job->put_at_us + (int64_t)job->terms.unique_ms * 1000;
    bool has_window = job->has_key && job->terms.unique_scope == UNIQUE_WINDOW;
    job->timer_ns = job_timer_ns(world, has_window && over_us > forget_us ? over_us : forget_us);
}

static void set_order(struct world *world, struct job *job, int64_t at_us, int64_t run_at_us)
{
    struct jobs *jobs = &world->jobs;
    job->terms.run_at_us = run_at_us;
    if (run_at_us == 0) jobs->order_us = at_us > jobs->order_us ? at_us : jobs->order_us + 1;
    job->order_us = run_at_us == 0 ? jobs->order_us : run_at_us;
}

/* ----------------------------------------------------------------------- keys */

static struct job *key_holder(struct world *world, uint32_t queue, uint32_t key, bool is_kept_back)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        struct job *job = &world->jobs.items[index];
        bool is_it = job->has_key && job->queue == queue && job->key == key &&
                     job->is_kept_back == is_kept_back;
        if (is_it) return job;
    }
    return NULL;
}

static void settle_waiting(struct world *world, struct job *job)
{
    bool is_delayed = job->is_kept_back || job->terms.run_at_us > 0;
    job->state = is_delayed ? ITEM_DELAYED : ITEM_READY;
    job->is_ready_for_sure = !is_delayed;
    arm(world, job);
}

/* The key is free; who was kept back for it has it now. */
static void leave_key(struct world *world, struct job *job)
{
    if (!job->has_key) return;
    job->has_key = false;
    if (job->is_kept_back) {
        job->is_kept_back = false;
        return;
    }
    struct job *heir = key_holder(world, job->queue, job->key, true);
    if (heir == NULL) return;
    heir->is_kept_back = false;
    settle_waiting(world, heir);
    /* Its group may have been empty for a moment. */
    world->jobs.queues[heir->queue].groups[heir->group].is_able = false;
}

static bool is_window_over(struct world *world, const struct job *job, int64_t at_us)
{
    if (job->terms.unique_scope != UNIQUE_WINDOW) return false;
    if (key_holder(world, job->queue, job->key, true) != NULL) return false;
    return job->put_at_us + (int64_t)job->terms.unique_ms * 1000 <= at_us;
}

static void take_key(struct world *world, struct job *job)
{
    if (job->key == JOB_NO_KEY) return;
    struct job *holder = key_holder(world, job->queue, job->key, false);
    if (holder != NULL && is_window_over(world, holder, job->put_at_us)) {
        holder->has_key = false;
        holder = NULL;
    }
    job->has_key = true;
    job->is_kept_back = holder != NULL;
    if (holder == NULL || world->jobs.is_replaying) return;
    /* Two at a time would be the mistake; kept back is only the last one, behind one that runs. */
    bool has_replaced =
        world->jobs.replaced_key == job->key && world->jobs.replaced_seq + 1 == job->number;
    bool may_wait =
        job->terms.conflict == UNIQUE_KEEP_LAST && (holder->state == ITEM_TAKEN || has_replaced);
    if (!may_wait) {
        world_fail(world, "J6: %s was put beside %s, which has its key", job->id, holder->id);
    }
    world_probe(world, PROBE_JOB_KEPT_BACK);
}

static void leave_key_at_end(struct world *world, struct job *job)
{
    if (!job->has_key) return;
    bool has_heir = !job->is_kept_back && key_holder(world, job->queue, job->key, true) != NULL;
    bool is_left =
        job->terms.unique_scope != UNIQUE_WINDOW || job->state == ITEM_CANCELLED || has_heir;
    if (is_left) leave_key(world, job);
}

/* ---------------------------------------------------------------------- moves */

static struct job *add(struct world *world)
{
    struct jobs *jobs = &world->jobs;
    if (jobs->count == jobs->capacity) {
        jobs->capacity = jobs->capacity == 0 ? 64 : jobs->capacity * 2;
        jobs->items = realloc(jobs->items, jobs->capacity * sizeof *jobs->items);
        if (jobs->items == NULL) abort();
    }
    return &jobs->items[jobs->count++];
}

static void apply_put(struct world *world, const struct record *record)
{
    struct job job = {
        .queue = job_queue_number(world, record->name),
        .group = job_group_number(world, record->group),
        .key = key_number(record->unique),
        .number = record->seq.value,
        .state = ITEM_STATE_COUNT,
        .terms = record->terms,
        .put_at_us = record->at.us,
    };
    if (record->id.size >= JOB_ID_SIZE) world_fail(world, "an id that nobody gave");
    memcpy(job.id, record->id.data, record->id.size);
    set_order(world, &job, record->at.us, record->terms.run_at_us);
    take_key(world, &job);
    settle_waiting(world, &job);
    job.last_seq = record->seq.value;
    *add(world) = job;
}

static void apply_taken(struct world *world, struct job *job, const struct record *record)
{
    job->state = ITEM_TAKEN;
    if (job->has_key && job->terms.unique_scope == UNIQUE_UNTIL_STARTED) leave_key(world, job);
    job->token = record->token;
    job->lease_ms = record->ttl_ms;
    job->taken_seq = record->seq.value;
    job->ending = (enum record_kind)0;
    job->is_durable = false;
    job->is_bound = false;
    job->is_orphan = false;
    job->timer_ns = WORLD_NEVER;
    world->oracle.token_high = record->token;
    const struct group_limits *limits = job_limits(world, job->queue, job->group);
    struct job_group *group = &world->jobs.queues[job->queue].groups[job->group];
    if (!world->jobs.is_replaying || limits->rate_count == 0) return;
    if (group->rate_us < record->at.us) group->rate_us = record->at.us;
    group->rate_us += limits->rate_ms * INT64_C(1000) / limits->rate_count;
}

static void forget(struct world *world, struct job *job)
{
    struct jobs *jobs = &world->jobs;
    leave_key(world, job);
    *job = jobs->items[--jobs->count];
}

static void end(struct world *world, struct job *job, enum item_state state, int64_t at_us)
{
    job->state = state;
    job->ended_at_us = at_us;
    job->is_cancelling = false;
    leave_key_at_end(world, job);
    arm(world, job);
    /* What is not to be remembered is forgotten in the same record. */
    int64_t retention_us = (int64_t)job->terms.retention_ms * 1000;
    bool has_window = job->has_key && job->terms.unique_scope == UNIQUE_WINDOW &&
                      job->put_at_us + (int64_t)job->terms.unique_ms * 1000 > at_us;
    if (state != ITEM_DEAD && retention_us == 0 && !has_window) forget(world, job);
}

static void apply_end(struct world *world, struct job *job, const struct record *record)
{
    job->ending = record->is_timeout ? RECORD_LAPSED : record->kind; /* who had it has lost it */
    if (record->kind == RECORD_LAPSED) job->lapses++;
    if (record->kind == RECORD_FAILED) job->attempts += record->is_counted;
    enum record_outcome outcome = record->kind == RECORD_BURIED ? OUTCOME_DEAD : record->outcome;
    if (record->kind == RECORD_DONE) {
        end(world, job, ITEM_DONE, record->at.us);
    } else if (outcome == OUTCOME_DEAD) {
        end(world, job, ITEM_DEAD, record->at.us);
    } else if (outcome == OUTCOME_CANCELLED) {
        end(world, job, ITEM_CANCELLED, record->at.us);
    } else {
        job->terms.run_at_us = record->run_at_us;
        if (record->kind == RECORD_FAILED) {
            set_order(world, job, record->at.us, record->run_at_us);
        }
        settle_waiting(world, job);
    }
}

static void apply_scope(struct world *world, const struct record *record)
{
    struct job_queue *queue = &world->jobs.queues[job_queue_number(world, record->name)];
    struct job_group *group = &queue->groups[job_group_number(world, record->group)];
    struct group_limits none = GROUP_LIMITS_NONE;
    bool *is_paused = record->is_whole ? &queue->is_paused : &group->is_paused;
    if (record->kind != RECORD_LIMITED) {
        *is_paused = record->kind == RECORD_PAUSED;
    } else if (record->is_whole) {
        queue->limits = record->limits;
        queue->is_unsettled = world->swarm.look_count_max > 0 && !world->jobs.is_replaying;
    } else {
        group->limits = record->limits;
        group->has_limits = memcmp(&none, &record->limits, sizeof none) != 0;
    }
    for (uint32_t other = 0; other < JOB_GROUP_COUNT; other++) {
        queue->groups[other].is_able = false; /* turns are counted from here */
        if (record->kind != RECORD_LIMITED) continue;
        queue->groups[other].rate_ns = INT64_MIN;
        queue->groups[other].rate_us = 0;
    }
}

static void apply_to_item(struct world *world, struct job *job, const struct record *record)
{
    job->last_seq = record->seq.value;
    switch ((unsigned)record->kind) {
    case RECORD_TAKEN: apply_taken(world, job, record); return;
    case RECORD_EXTENDED: job->lease_ms = record->ttl_ms; return;
    case RECORD_DONE:
    case RECORD_FAILED:
    case RECORD_LAPSED:
    case RECORD_BURIED: apply_end(world, job, record); return;
    case RECORD_CANCELLING: job->is_cancelling = true; return;
    case RECORD_CANCELLED:
        if (bytes_equal(record->reason, BYTES_LITERAL("replaced"))) {
            world->jobs.replaced_seq = record->seq.value;
            world->jobs.replaced_key = job->key;
        }
        end(world, job, ITEM_CANCELLED, record->at.us);
        return;
    case RECORD_KICKED:
        if (record->is_counted) job->attempts = 0;
        if (record->is_counted) job->lapses = 0;
        set_order(world, job, record->at.us, record->run_at_us);
        settle_waiting(world, job);
        return;
    case RECORD_REMOVED: forget(world, job); return;
    default: return; /* PROGRESSED */
    }
}

void job_ledger_apply(struct world *world, const struct record *record)
{
    uint32_t queue = job_queue_number(world, record->name);
    world->jobs.queues[queue].last_seq = record->seq.value;
    if (record->kind == RECORD_PUT) {
        apply_put(world, record);
    } else if (record->kind >= RECORD_PAUSED) {
        apply_scope(world, record);
    } else {
        struct job *job = job_find(world, queue, record->id);
        if (job == NULL) {
            world_fail(
                world,
                "%s of %.*s, which is not there",
                record_kind_word(record->kind),
                (int)record->id.size,
                record->id.data);
        }
        apply_to_item(world, job, record);
    }
}

/* -------------------------------------------------------------------- restart */

void job_ledger_reset(struct world *world)
{
    struct jobs *jobs = &world->jobs;
    jobs->count = 0;
    jobs->order_us = 0;
    jobs->wait_count = 0;
    jobs->replaced_seq = 0;
    memset(jobs->queues, 0, sizeof jobs->queues);
    for (uint32_t queue = 0; queue < JOB_QUEUE_COUNT; queue++) {
        jobs->queues[queue].limits = GROUP_LIMITS_NONE;
        for (uint32_t group = 0; group < JOB_GROUP_COUNT; group++) {
            jobs->queues[queue].groups[group].limits = GROUP_LIMITS_NONE;
            jobs->queues[queue].groups[group].rate_ns = INT64_MIN;
        }
    }
    jobs->is_replaying = true;
}

/* Timers are set anew, and every lease has its full time again. */
void job_ledger_restarted(struct world *world)
{
    world->jobs.is_replaying = false;
    for (uint32_t queue = 0; queue < JOB_QUEUE_COUNT; queue++) {
        for (uint32_t index = 0; index < JOB_GROUP_COUNT; index++) {
            struct job_group *group = &world->jobs.queues[queue].groups[index];
            bool is_known = group->rate_us > 0 && !world->swarm.has_wall_jumps;
            if (is_known) group->rate_ns = job_timer_ns(world, group->rate_us);
            group->rate_us = 0;
        }
    }
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        struct job *job = &world->jobs.items[index];
        arm(world, job);
        job->is_orphan = false;
        job->is_bound = false;
        job_begin_lease(world, job);
        if (job->state == ITEM_TAKEN) world_probe(world, PROBE_JOB_SURVIVED);
    }
}
