#include <inttypes.h>
#include <stdlib.h>

#include "sim/world.h"

/* --------------------------------------------------------------- whose turn is it */

static bool is_waiting(const struct job *job)
{
    return job->state == ITEM_DELAYED || job->state == ITEM_READY;
}

/* An item of this group that can be taken now, for sure; NULL when none can. */
static const struct job *sure_item(const struct world *world, uint32_t queue, uint32_t group)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        const struct job *job = &world->jobs.items[index];
        bool is_it = job->queue == queue && job->group == group && is_waiting(job) &&
                     !job->is_kept_back && job->is_ready_for_sure;
        if (is_it) return job;
    }
    return NULL;
}

static bool is_able(const struct world *world, uint32_t queue, uint32_t group)
{
    const struct job_queue *of = &world->jobs.queues[queue];
    const struct group_limits *limits = job_limits(world, queue, group);
    if (of->is_paused || of->groups[group].is_paused || of->is_unsettled) return false;
    if (limits->rate_count > 0) return false; /* perhaps: its clock is another one */
    bool is_full = limits->running_max > 0 &&
                   job_count(world, queue, group, ITEM_TAKEN) >= limits->running_max;
    return !is_full && sure_item(world, queue, group) != NULL;
}

void job_judge(struct world *world)
{
    for (uint32_t queue = 0; queue < JOB_QUEUE_COUNT; queue++) {
        for (uint32_t group = 0; group < JOB_GROUP_COUNT; group++) {
            struct job_group *of = &world->jobs.queues[queue].groups[group];
            bool is_able_now = is_able(world, queue, group);
            if (!of->is_able || !is_able_now) memset(of->passed, 0, sizeof of->passed);
            of->is_able = is_able_now;
        }
    }
}

/* J4: while a group can give, no other gives more than one turn. */
static void check_turn(struct world *world, const struct job *job)
{
    struct job_queue *queue = &world->jobs.queues[job->queue];
    uint32_t weight = job_limits(world, job->queue, job->group)->weight;
    for (uint32_t other = 0; other < JOB_GROUP_COUNT; other++) {
        struct job_group *group = &queue->groups[other];
        if (other == job->group || !group->is_able) continue;
        if (++group->passed[job->group] > weight) {
            world_fail(
                world,
                "J4: group '%s' gave %u in a row while '%s' could give, its weight is %u",
                job_group_name(job->group).data,
                group->passed[job->group],
                job_group_name(other).data,
                weight);
        }
        world_probe(world, PROBE_JOB_TURNS);
    }
    memset(queue->groups[job->group].passed, 0, sizeof queue->groups[job->group].passed);
}

static int64_t rank(const struct job *job)
{
    return job->order_us - (int64_t)job->terms.priority * WORLD_AGEING_MS * 1000;
}

/* J3: inside a group the one that stands first, by age and priority. */
static void check_order(struct world *world, const struct job *job)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        const struct job *other = &world->jobs.items[index];
        if (other == job || other->queue != job->queue || other->group != job->group) continue;
        if (!is_waiting(other) || other->is_kept_back || !other->is_ready_for_sure) continue;
        bool is_before =
            rank(other) < rank(job) || (rank(other) == rank(job) && other->number < job->number);
        if (!is_before) continue;
        world_fail(
            world,
            "J3: %s (priority %u) was taken before %s (priority %u)",
            job->id,
            job->terms.priority,
            other->id,
            other->terms.priority);
    }
    if (job->terms.priority > 0) world_probe(world, PROBE_JOB_PRIORITY);
}

/* J5: limits of running items and of rates. */
static void check_limits(struct world *world, const struct job *job)
{
    const struct group_limits *limits = job_limits(world, job->queue, job->group);
    struct job_group *group = &world->jobs.queues[job->queue].groups[job->group];
    uint32_t running = job_count(world, job->queue, job->group, ITEM_TAKEN);
    if (limits->running_max > 0) {
        if (running >= limits->running_max) {
            world_fail(world, "J5: %s is taken beside %u others", job->id, running);
        }
        if (running + 1 == limits->running_max) world_probe(world, PROBE_JOB_RUNNING_MAX);
    }
    if (limits->rate_count == 0) return;
    int64_t interval_ns = limits->rate_ms * NS_PER_MS / limits->rate_count;
    int64_t due_ns = group->rate_ns == INT64_MIN
                         ? INT64_MIN
                         : group->rate_ns - interval_ns * ((int64_t)limits->burst - 1);
    /* Over a restart it is kept in microseconds. */
    if (due_ns > world->now_ns + 10000) {
        world_fail(
            world,
            "J5: %s is taken %" PRId64 " us too early for the rate",
            job->id,
            (due_ns - world->now_ns) / 1000);
    }
    if (due_ns != INT64_MIN) world_probe(world, PROBE_JOB_RATE);
    if (group->rate_ns < world->now_ns) group->rate_ns = world->now_ns;
    group->rate_ns += interval_ns;
}

/* J2: what is done is done. */
static void check_effect(struct world *world, const struct job *job)
{
    for (uint32_t index = 0; index < world->jobs.effect_count; index++) {
        const struct job_effect *effect = &world->jobs.effects[index];
        if (effect->number != job->number || effect->queue != job->queue) continue;
        world_fail(world, "J2: %s is taken again, and it was done", job->id);
    }
}

static void check_taken(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    const struct job *job,
    const struct record *record)
{
    const struct job_queue *queue = &world->jobs.queues[job->queue];
    (void)event;
    if (!is_waiting(job)) {
        world_fail(world, "J1: %s is taken, and it is %s", job->id, item_state_word(job->state));
    }
    if (job->is_kept_back) world_fail(world, "J6: %s is taken, and its key is not free", job->id);
    if (record->token.value <= world->oracle.token_high.value) {
        world_fail(world, "I1: token %" PRIu64 " is not above the last", record->token.value);
    }
    if (queue->is_paused || queue->groups[job->group].is_paused) {
        world_fail(world, "J5: %s is taken from a pause", job->id);
    }
    if (job->ready_ns > world->now_ns) world_fail(world, "J1: %s is taken too early", job->id);
    if (world->host.gate != ENGINE_GATE_OPEN && request != NULL) {
        world_fail(world, "taken although the gate is shut");
    }
    check_effect(world, job);
    check_order(world, job);
    check_turn(world, job);
    check_limits(world, job);
    world_probe(world, PROBE_JOB_TAKEN);
}

/* --------------------------------------------------------------------- causes */

static bool is_asked(const struct request *request, enum engine_command_kind kind)
{
    return request != NULL && request->kind == kind;
}

static bool
has_claim(const struct request *request, const struct job *job, enum engine_command_kind kind)
{
    return is_asked(request, kind) && request->ask.queue == job->queue &&
           request->ask.token.value == job->token.value && strcmp(request->ask.id, job->id) == 0;
}

static bool
is_named(const struct request *request, const struct job *job, enum engine_command_kind kind)
{
    return is_asked(request, kind) && request->ask.queue == job->queue &&
           strcmp(request->ask.id, job->id) == 0;
}

static bool
is_swept(const struct request *request, const struct job *job, enum engine_command_kind kind)
{
    return is_asked(request, kind) && request->ask.queue == job->queue;
}

static bool is_lease_over(const struct world *world, const struct job *job)
{
    return job->is_durable && job->deadline_ns <= world->receivable_ns;
}

static bool is_run_too_long(const struct world *world, const struct job *job)
{
    return job->is_durable && job->terms.timeout_ms > 0 && job->timeout_ns <= world->receivable_ns;
}

static void check_outcome(struct world *world, const struct job *job, const struct record *record)
{
    bool is_lapse = record->kind == RECORD_LAPSED;
    uint32_t count = 1 + (is_lapse ? job->lapses : job->attempts);
    uint32_t count_max = is_lapse ? job->terms.lapses_max : job->terms.attempts_max;
    bool is_last = count_max > 0 && count >= count_max && (is_lapse || record->is_counted);
    enum record_outcome expected = is_last ? OUTCOME_DEAD : OUTCOME_AGAIN;
    if (job->is_cancelling) expected = OUTCOME_CANCELLED;
    if (record->outcome != expected) {
        world_fail(world, "J7: %s after its end number %u is wrong", job->id, count);
    }
    if (expected == OUTCOME_DEAD) world_probe(world, PROBE_JOB_DEAD);
}

/* Between the backoff and what jitter leaves of it; exactly what the worker asked for. */
static void check_backoff(
    struct world *world,
    const struct request *request,
    const struct job *job,
    const struct record *record)
{
    if (record->outcome != OUTCOME_AGAIN) return;
    const struct item_terms *terms = &job->terms;
    int64_t delay_ms = terms->backoff_ms;
    bool is_asked_for = request != NULL && request->ask.delay_ms != ENGINE_DELAY_BACKOFF;
    if (is_asked_for) delay_ms = request->ask.delay_ms;
    if (!is_asked_for && terms->backoff == ITEM_BACKOFF_EXPONENTIAL) delay_ms <<= job->attempts;
    int64_t max_ms = terms->backoff_ms_max > 0 ? terms->backoff_ms_max : LIMIT_BACKOFF_MS_MAX;
    if (!is_asked_for && delay_ms > max_ms) delay_ms = max_ms;
    int64_t least_ms = is_asked_for ? delay_ms : delay_ms - delay_ms * terms->jitter / 100;
    int64_t got_ms = record->run_at_us == 0 ? 0 : (record->run_at_us - record->at.us) / 1000;
    if (got_ms < least_ms || got_ms > delay_ms) {
        world_fail(world, "J7: %s waits %" PRId64 " ms after a failure", job->id, got_ms);
    }
}

static bool may_end(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    const struct job *job,
    const struct record *record)
{
    bool is_timer = event->kind == ENGINE_TIMER;
    if (job->state != ITEM_TAKEN || record->token.value != job->token.value) return false;
    switch ((unsigned)record->kind) {
    case RECORD_DONE: return has_claim(request, job, ENGINE_DONE);
    case RECORD_BURIED: return has_claim(request, job, ENGINE_BURY);
    case RECORD_LAPSED:
        check_outcome(world, job, record);
        world_probe(world, job->is_orphan ? PROBE_JOB_DISCONNECTED : PROBE_JOB_LAPSED);
        return is_timer && is_lease_over(world, job);
    case RECORD_FAILED:
        check_outcome(world, job, record);
        check_backoff(world, is_timer ? NULL : request, job, record);
        if (is_timer) world_probe(world, PROBE_JOB_TIMEOUT);
        if (is_timer != record->is_timeout) world_fail(world, "J7: who failed %s?", job->id);
        return is_timer ? is_run_too_long(world, job) : has_claim(request, job, ENGINE_FAIL);
    case RECORD_EXTENDED:
    case RECORD_PROGRESSED: return has_claim(request, job, ENGINE_EXTEND);
    default: return false;
    }
}

/* Each change of an item needs a cause (I6, for queues). */
static bool may_be(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    const struct job *job,
    const struct record *record)
{
    bool is_timer = event->kind == ENGINE_TIMER;
    bool is_due = is_timer && job->timer_ns <= world->now_ns;
    switch ((unsigned)record->kind) {
    case RECORD_CANCELLING:
        return job->state == ITEM_TAKEN && is_named(request, job, ENGINE_CANCEL_ITEM);
    case RECORD_CANCELLED:
        if (!is_waiting(job)) return false;
        /* It may have become ready in this very event, and looked at the clock again. */
        is_due = is_due || (is_timer && job->ready_ns <= world->now_ns && job_can_expire(job) &&
                            job_timer_ns(world, job->terms.expires_at_us) <= world->now_ns);
        if (is_due && bytes_equal(record->reason, BYTES_LITERAL("expired"))) {
            world_probe(world, PROBE_JOB_EXPIRED);
            return true;
        }
        return is_named(request, job, ENGINE_CANCEL_ITEM) ||
               (is_asked(request, ENGINE_PUT) && job->has_key &&
                bytes_equal(record->reason, BYTES_LITERAL("replaced")));
    case RECORD_KICKED:
        if (job->is_kept_back) return false;
        if (is_swept(request, job, ENGINE_REDRIVE)) return job->state == ITEM_DEAD;
        return (job->state == ITEM_DEAD || job->state == ITEM_DELAYED) &&
               is_named(request, job, ENGINE_KICK);
    case RECORD_REMOVED:
        if (job->state == ITEM_TAKEN) return false;
        if (is_swept(request, job, ENGINE_PURGE)) return job->state == request->ask.state;
        return is_due && (job->state == ITEM_DONE || job->state == ITEM_CANCELLED);
    default: return may_end(world, event, request, job, record);
    }
}

static void
check_put(struct world *world, const struct request *request, const struct record *record)
{
    if (!is_asked(request, ENGINE_PUT)) world_fail(world, "J1: put without a cause");
    if (world->host.gate != ENGINE_GATE_OPEN) world_fail(world, "put although the gate is shut");
    uint32_t queue = job_queue_number(world, record->name);
    uint32_t group = job_group_number(world, record->group);
    if (job_find(world, queue, record->id) != NULL) {
        world_fail(world, "J1: %.*s is put twice", (int)record->id.size, record->id.data);
    }
    const struct group_limits *limits = job_limits(world, queue, group);
    uint32_t size =
        job_count(world, queue, group, ITEM_DELAYED) + job_count(world, queue, group, ITEM_READY);
    if (limits->size_max > 0 && size >= limits->size_max) {
        world_fail(world, "J5: an item is put beside %u others", size);
    }
    if (world->jobs.count >= JOB_COUNT_MAX) world_fail(world, "J5: too many items");
    world_probe(world, PROBE_JOB_PUT);
}

void job_record(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    const struct record *record)
{
    uint32_t queue = job_queue_number(world, record->name);
    if (record->kind == RECORD_PUT) {
        check_put(world, request, record);
    } else if (record->kind >= RECORD_PAUSED) {
        bool is_caused = is_asked(request, ENGINE_PAUSE) || is_asked(request, ENGINE_RESUME) ||
                         is_asked(request, ENGINE_LIMIT);
        if (!is_caused) world_fail(world, "J1: a limit without a cause");
    } else {
        struct job *job = job_find(world, queue, record->id);
        bool is_caused = job != NULL;
        /* Timers fire one after the other: its group may have been empty in between. */
        bool is_gap = is_caused && record->kind == RECORD_CANCELLED && event->kind == ENGINE_TIMER;
        if (is_gap) world->jobs.queues[queue].groups[job->group].is_able = false;
        if (is_caused && record->kind == RECORD_TAKEN) {
            check_taken(world, event, request, job, record);
        } else if (is_caused) {
            is_caused = may_be(world, event, request, job, record);
        }
        if (!is_caused) {
            world_fail(
                world,
                "J1: %s %.*s (%s) without a cause",
                record_kind_word(record->kind),
                (int)record->id.size,
                record->id.data,
                job == NULL ? "unknown" : item_state_word(job->state));
        }
    }
    job_ledger_apply(world, record);
    job_judge(world);
}

/* ----------------------------------------------------------------------- time */

void job_pass(struct world *world)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        struct job *job = &world->jobs.items[index];
        if (job->state != ITEM_DELAYED || job->ready_ns > world->now_ns) continue;
        if (job->timer_ns < job->ready_ns && job->timer_ns != WORLD_NEVER) continue;
        job->state = ITEM_READY;
        job->is_ready_for_sure = true;
        if (job_can_expire(job)) {
            job->timer_ns = job_timer_ns(world, job->terms.expires_at_us);
        }
        world_probe(world, PROBE_JOB_DELAYED);
    }
    job_judge(world);
}

void job_begin_lease(const struct world *world, struct job *job)
{
    bool is_short = job->is_orphan && job->grace_ms < job->lease_ms;
    uint32_t left_ms = is_short ? job->grace_ms : job->lease_ms;
    job->is_durable = true;
    job->deadline_ns = world->receivable_ns + left_ms * NS_PER_MS;
    job->timeout_ns = world->receivable_ns + job->terms.timeout_ms * NS_PER_MS;
}

void job_durable(struct world *world)
{
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        struct job *job = &world->jobs.items[index];
        if (job->state != ITEM_TAKEN || job->is_durable) continue;
        if (job->taken_seq > world->oracle.durable.value) continue;
        job_begin_lease(world, job);
    }
}

/* Its leases end after their grace, which begins now or when the take is durable. */
void job_gone(struct world *world, uint64_t connection)
{
    job_wait_remove(world, connection, 0);
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        struct job *job = &world->jobs.items[index];
        bool is_its = job->state == ITEM_TAKEN && job->is_bound && job->connection == connection;
        if (!is_its) continue;
        job->is_bound = false;
        job->is_orphan = true;
        int64_t deadline_ns = world->receivable_ns + job->grace_ms * NS_PER_MS;
        if (deadline_ns < job->deadline_ns) job->deadline_ns = deadline_ns;
    }
}

/* J8: nothing that is due is left. */
void job_after_timers(struct world *world)
{
    for (uint32_t queue = 0; queue < JOB_QUEUE_COUNT; queue++) {
        world->jobs.queues[queue].is_unsettled = false;
    }
    job_pass(world);
    for (uint32_t index = 0; index < world->jobs.count; index++) {
        const struct job *job = &world->jobs.items[index];
        bool is_over =
            job->state == ITEM_TAKEN && (is_lease_over(world, job) || is_run_too_long(world, job));
        /* Without memory a lease may have lost its connection earlier. */
        if (job->is_orphan && world->swarm.has_memory_faults) is_over = false;
        if (is_over) world_fail(world, "J8: the lease of %s should have ended", job->id);
        if (job->timer_ns <= world->now_ns) {
            world_fail(
                world,
                "J8: %s, %s, should have been %s",
                job->id,
                item_state_word(job->state),
                is_waiting(job) ? "cancelled" : "forgotten");
        }
    }
    for (uint32_t index = 0; index < world->jobs.wait_count; index++) {
        const struct job_wait *wait = &world->jobs.waits[index];
        if (world->receivable_ns - wait->since_ns < wait->wait_ms * NS_PER_MS) continue;
        world_fail(world, "J8: a wait for items should be over");
    }
    job_check_idle(world);
}

/* J9: nobody waits although there is something for him. */
void job_check_idle(struct world *world)
{
    if (world->host.gate != ENGINE_GATE_OPEN || world->swarm.has_memory_faults) return;
    for (uint32_t index = 0; index < world->jobs.wait_count; index++) {
        const struct job_wait *wait = &world->jobs.waits[index];
        for (uint32_t at = 0; at < wait->queue_count; at++) {
            for (uint32_t group = 0; group < JOB_GROUP_COUNT; group++) {
                if (!is_able(world, wait->queues[at], group)) continue;
                world_fail(
                    world,
                    "J9: somebody waits at %s, and there is %s",
                    job_queue_name(wait->queues[at]).data,
                    sure_item(world, wait->queues[at], group)->id);
            }
        }
    }
}
