/* Acquire, renew, release and break: from a request to a machine of src/quorum, and from its result
 * to an answer. */
#include <stdio.h>

#include "store/redis/cluster.h"

#define PROCLAIM_TTL_MS 1000u

static struct mono later(struct mono start, int64_t duration_ns)
{
    return quorum_later(start, duration_ns);
}

/* The result of a work that cannot be made. */
static void refuse(struct redis *redis, struct store_op *op, enum tenure_err err, const char *text)
{
    tni_redis_end_soon(redis, op, err, text);
}

bool tni_redis_check_name(struct redis *redis, struct store_op *op, const char *name)
{
    if (quorum_name_is_free(bytes_from_text(name))) return true;
    refuse(redis, op, TENURE_INVALID, "on Redis the name must not begin with \"tenure:\"");
    return false;
}

static bool check_ttl(struct redis *redis, struct store_op *op, uint32_t ttl_ms)
{
    if (ttl_ms <= redis->address.ttl_ms_max) return true;
    char text[160];
    (void)snprintf(
        text,
        sizeof(text),
        "the ttl is longer than the longest lease of these nodes, %u ms (ttl-max in the URL)",
        (unsigned)redis->address.ttl_ms_max);
    refuse(redis, op, TENURE_INVALID, text);
    return false;
}

/* ------------------------------------------------------------------ acquire */

/* What Redis cannot do; NULL: it can do all of this. */
static const char *find_unsupported(const struct store_acquire *acquire)
{
    if (acquire->name_count > 1) {
        return "several names at once need tenured's own engine (tenure://); Redis cannot do that";
    }
    if (acquire->is_shared || acquire->slots > 1) {
        return "shared holds and slots need tenured's own engine (tenure://); Redis cannot do that";
    }
    if (acquire->priority > 0 || acquire->lock_delay_ms > 0) {
        return "priority and lock-delay need tenured's own engine (tenure://); Redis cannot do "
               "that";
    }
    if (acquire->ttl_ms == 0) {
        return "a hold without a ttl needs tenured's own engine (tenure://): on Redis it would "
               "outlive whoever could release it";
    }
    return NULL;
}

void tni_redis_start_acquire(struct redis *redis, struct store_op *op)
{
    const struct store_acquire *acquire = &op->request.as.acquire;
    const char *unsupported = find_unsupported(acquire);
    if (unsupported != NULL) {
        refuse(redis, op, TENURE_UNSUPPORTED, unsupported);
        return;
    }
    if (!tni_redis_check_name(redis, op, acquire->names[0])) return;
    if (!check_ttl(redis, op, acquire->ttl_ms)) return;
    const struct store_claim texts = { .name = acquire->names[0], .owner = acquire->owner };
    struct redis_work *work = tni_redis_work_create(redis, WORK_ACQUIRE, op, &texts, acquire->meta);
    if (work == NULL) {
        refuse(redis, op, TENURE_NO_MEMORY, NULL);
        return;
    }
    work->ttl_ms = acquire->ttl_ms;
}

static void begin_acquire(struct redis_work *work, struct mono now)
{
    struct redis *redis = work->redis;
    const struct store_acquire *acquire = &work->op->request.as.acquire;
    if (redis->store.safety < acquire->min_safety) {
        char text[160];
        (void)snprintf(
            text,
            sizeof(text),
            "this store promises %s, and %s was demanded",
            tni_store_safety_word(redis->store.safety),
            tni_store_safety_word(acquire->min_safety));
        tni_redis_work_fail(work, TENURE_UNSUPPORTED, text);
        tni_redis_work_end(work);
        return;
    }
    bool is_waiting = acquire->wait_until.ns > now.ns;
    work->give_up_answered_at = later(is_waiting ? acquire->wait_until : now, acquire->answer_ns);
    const struct quorum_acquire_options options = {
        .node_count = redis->node_count,
        .ttl_ms = work->ttl_ms,
        .clock_error_ppm = REDIS_CLOCK_ERROR_PPM,
        .wait_until = acquire->wait_until,
        .token_known = redis->token_known,
        .paces = redis->paces,
    };
    if (quorum_acquire_init(&work->as.acquire, &options) != TENURE_OK) {
        tni_redis_work_fail(work, TENURE_INVALID, "the ttl is out of range");
        tni_redis_work_end(work);
        return;
    }
    struct quorum_event event = { .kind = QUORUM_START, .now = now };
    tni_redis_work_step(work, &event);
}

static void acquired(struct redis_work *work, const struct quorum_result *result)
{
    struct redis *redis = work->redis;
    if (work->as.acquire.token_known > redis->token_known) {
        redis->token_known = work->as.acquire.token_known;
    }
    if (work->op == NULL) return;
    if (result->err == TENURE_OK) {
        const struct store_grant grant = { .token = result->token,
                                           .ttl_ms = work->ttl_ms,
                                           .remaining_ms = result->remaining_ms };
        const struct store_result granted = {
            .sent_at = result->sent_at,
            .as.acquire = { .grants = &grant, .grant_count = 1 },
        };
        tni_redis_news_tell(work, "granted", result->token, "");
        tni_redis_work_finish(work, &granted);
    } else if (result->err == TENURE_HELD || result->err == TENURE_TIMEOUT) {
        tni_redis_look_for_obstacle(work, result->err);
    } else if (work->trouble != NULL) {
        tni_redis_work_fail(work, work->trouble->err, work->trouble->text);
    } else if (result->err != TENURE_UNAVAILABLE || !tni_redis_try_again(work)) {
        tni_redis_work_fail(work, result->err, NULL);
    }
}

/* ------------------------------------------------------------------ proclaim */

/* A renewal that also says something new.  It is short: it lengthens no lease that is renewed. */
void tni_redis_start_proclaim(struct redis *redis, struct store_op *op)
{
    const struct store_claim *claim = &op->request.as.proclaim.claim;
    const char *value = op->request.as.proclaim.value;
    if (!tni_redis_check_name(redis, op, claim->name)) return;
    struct redis_work *work = tni_redis_work_create(redis, WORK_RENEWAL, op, claim, value);
    if (work == NULL) {
        refuse(redis, op, TENURE_NO_MEMORY, NULL);
        return;
    }
    work->ttl_ms = PROCLAIM_TTL_MS;
}

static void proclaimed(struct redis_work *work, const struct quorum_result *result)
{
    bool is_of_other = result->err == TENURE_LOST && work->owner_err != TENURE_OK;
    enum tenure_err err = is_of_other ? work->owner_err : result->err;
    if (err == TENURE_OK) tni_redis_news_tell(work, "proclaimed", work->token, "");
    tni_redis_work_fail(work, err, NULL);
}

/* ------------------------------------------------------------------ renew */

static size_t renewing_size(uint32_t count)
{
    return sizeof(struct redis_renewing) + count * sizeof(struct store_renewal);
}

static void destroy_renewing(struct redis_renewing *renewing)
{
    memory_give(renewing->redis->memory, renewing, renewing_size(renewing->count));
}

void tni_redis_renewed(
    struct redis_work *work, const struct store_renewal *renewal, const char *text)
{
    struct redis_renewing *renewing = work->renewing;
    work->renewing = NULL;
    work->give_up_at = (struct mono){ INT64_MAX };
    renewing->renewals[work->claim_index] = *renewal;
    if (--renewing->open_count > 0) return;
    struct store_op *op = renewing->op;
    if (op != NULL) {
        struct store_result result = { .sent_at = op->started_at };
        bool is_single = renewing->count == 1;
        bool is_settled = renewal->err == TENURE_OK || renewal->err == TENURE_LOST ||
                          renewal->err == TENURE_NOT_OWNER || renewal->err == TENURE_STALE_TOKEN;
        if (is_single && !is_settled) {
            result.err = renewal->err;
            result.text = text;
        }
        result.as.renew.renewals = renewing->renewals;
        result.as.renew.count = renewing->count;
        op->where = NULL;
        op->is_finished = true;
        op->done(op, &result);
    }
    destroy_renewing(renewing);
}

void tni_redis_renewing_abandon(struct redis_renewing *renewing)
{
    struct redis *redis = renewing->redis;
    list_foreach_safe(each, following, &redis->works) {
        struct redis_work *work = CONTAINER_OF(each, struct redis_work, link);
        if (work->renewing == renewing) tni_redis_work_abandon(work);
    }
    destroy_renewing(renewing);
}

static bool add_renewal(struct redis_renewing *renewing, uint32_t index)
{
    struct redis *redis = renewing->redis;
    const struct store_request *request = &renewing->op->request;
    const struct store_claim *claim = &request->as.renew.claims[index];
    uint32_t ttl_ms = request->as.renew.ttl_ms;
    enum redis_work_kind kind = ttl_ms == 0 ? WORK_LOOK : WORK_RENEWAL;
    struct redis_work *work = tni_redis_work_create(redis, kind, NULL, claim, NULL);
    if (work == NULL) return false;
    work->renewing = renewing;
    work->claim_index = index;
    work->ttl_ms = ttl_ms;
    work->purpose = LOOK_TTL;
    work->give_up_at = request->deadline;
    tni_redis_work_set_deadline(work, (struct mono){ INT64_MAX });
    renewing->open_count++;
    return true;
}

void tni_redis_start_renew(struct redis *redis, struct store_op *op)
{
    uint32_t count = op->request.as.renew.count;
    if (!check_ttl(redis, op, op->request.as.renew.ttl_ms)) return;
    for (uint32_t index = 0; index < count; index++) {
        if (!tni_redis_check_name(redis, op, op->request.as.renew.claims[index].name)) return;
    }
    struct redis_renewing *renewing = memory_take(redis->memory, renewing_size(count));
    if (renewing == NULL) {
        refuse(redis, op, TENURE_NO_MEMORY, NULL);
        return;
    }
    *renewing = (struct redis_renewing){ .redis = redis, .op = op, .count = count };
    for (uint32_t index = 0; index < count; index++) {
        if (add_renewal(renewing, index)) continue;
        tni_redis_renewing_abandon(renewing);
        refuse(redis, op, TENURE_NO_MEMORY, NULL);
        return;
    }
    op->where = renewing;
}

static void begin_renewal(struct redis_work *work, struct mono now)
{
    struct redis *redis = work->redis;
    const struct quorum_renewal_options options = {
        .node_count = redis->node_count,
        .is_proclaiming = work->op != NULL,
        .token = work->token,
        .ttl_ms = work->ttl_ms,
        .clock_error_ppm = REDIS_CLOCK_ERROR_PPM,
        .paces = redis->paces,
    };
    quorum_renewal_init(&work->as.renewal, &options);
    struct quorum_event event = { .kind = QUORUM_START, .now = now };
    tni_redis_work_step(work, &event);
}

static enum store_end end_of(enum quorum_end end)
{
    switch (end) {
    case QUORUM_END_RELEASED: return STORE_END_RELEASED;
    case QUORUM_END_EXPIRED_UNCLAIMED: return STORE_END_EXPIRED_UNCLAIMED;
    case QUORUM_END_NONE:
    case QUORUM_END_EXPIRED_TAKEN: break;
    }
    return STORE_END_EXPIRED_TAKEN;
}

static void renewed(struct redis_work *work, const struct quorum_result *result)
{
    bool is_open = result->err == TENURE_UNAVAILABLE || result->err == TENURE_UNKNOWN;
    if (is_open && (work->op != NULL || work->renewing != NULL) && tni_redis_try_again(work)) {
        return;
    }
    if (work->op != NULL) {
        proclaimed(work, result);
        return;
    }
    if (work->renewing == NULL) return;
    if (is_open) {
        enum tenure_err err = work->trouble != NULL ? work->trouble->err : result->err;
        tni_redis_work_fail(work, err, work->trouble != NULL ? work->trouble->text : NULL);
        return;
    }
    struct store_renewal renewal = { .err = result->err };
    if (result->err == TENURE_LOST) {
        renewal.end = end_of(result->end);
        if (work->owner_err != TENURE_OK) renewal.err = work->owner_err;
        if (work->owner_err != TENURE_OK) renewal.end = STORE_END_NOT_OWNER;
    } else {
        renewal.ttl_ms = work->ttl_ms;
        renewal.remaining_ms = result->remaining_ms;
        renewal.is_breaking = result->is_breaking;
    }
    tni_redis_renewed(work, &renewal, NULL);
}

/* ------------------------------------------------------------------ release and break */

void tni_redis_start_release(struct redis *redis, struct store_op *op)
{
    const struct store_claim *claim = &op->request.as.release;
    if (!tni_redis_check_name(redis, op, claim->name)) return;
    struct redis_work *work = tni_redis_work_create(redis, WORK_RELEASE, op, claim, NULL);
    if (work == NULL) refuse(redis, op, TENURE_NO_MEMORY, NULL);
}

void tni_redis_start_break(struct redis *redis, struct store_op *op)
{
    const struct store_claim claim = { .name = op->request.as.break_hold.name,
                                       .token = op->request.as.break_hold.token };
    if (!tni_redis_check_name(redis, op, claim.name)) return;
    struct redis_work *work = tni_redis_work_create(redis, WORK_RELEASE, op, &claim, NULL);
    if (work == NULL) refuse(redis, op, TENURE_NO_MEMORY, NULL);
}

static void begin_release(struct redis_work *work, struct mono now)
{
    struct redis *redis = work->redis;
    bool is_break = work->op->request.verb == STORE_BREAK;
    const struct quorum_release_options options = {
        .node_count = redis->node_count,
        .verb = is_break ? QUORUM_BREAK : QUORUM_RELEASE,
        .token = work->token,
        .ttl_ms = redis->address.ttl_ms_max,
        .grace_ms = is_break ? work->op->request.as.break_hold.grace_ms : 0,
        .serial = 1,
        .paces = redis->paces,
        .answer_until = work->give_up_at,
    };
    quorum_release_init(&work->as.release, &options);
    struct quorum_event event = { .kind = QUORUM_START, .now = now };
    tni_redis_work_step(work, &event);
}

static void broken(struct redis_work *work, const struct quorum_result *result)
{
    const struct store_request *request = &work->op->request;
    if (result->err == TENURE_OK) {
        const char *kind = request->as.break_hold.grace_ms > 0 ? "breaking" : "broken";
        const struct store_result done = { .err = TENURE_OK };
        tni_redis_news_tell(work, kind, work->token, request->as.break_hold.reason);
        tni_redis_work_finish(work, &done);
    } else if (result->err == TENURE_LOST) {
        bool is_there = work->owner_err != TENURE_OK;
        tni_redis_work_fail(work, is_there ? TENURE_STALE_TOKEN : TENURE_NOT_FOUND, NULL);
    } else {
        tni_redis_work_fail(work, result->err, NULL);
    }
}

static void released(struct redis_work *work, const struct quorum_result *result)
{
    if (work->op == NULL) return;
    if (work->op->request.verb == STORE_BREAK) {
        broken(work, result);
        return;
    }
    struct store_result done = { .err = TENURE_OK };
    done.as.release.end = end_of(result->end);
    if (result->err == TENURE_OK) {
        tni_redis_news_tell(work, "released", work->token, "");
    } else if (result->err == TENURE_LOST) {
        if (work->owner_err != TENURE_OK) done.as.release.end = STORE_END_NOT_OWNER;
    } else {
        tni_redis_work_fail(work, result->err, NULL);
        return;
    }
    tni_redis_work_finish(work, &done);
}

/* ------------------------------------------------------------------ what they have in common */

void tni_redis_hold_begin(struct redis_work *work, struct mono now)
{
    if (work->kind == WORK_ACQUIRE) {
        begin_acquire(work, now);
    } else if (work->kind == WORK_RENEWAL) {
        begin_renewal(work, now);
    } else {
        begin_release(work, now);
    }
}

void tni_redis_hold_result(struct redis_work *work, const struct quorum_result *result)
{
    if (work->kind == WORK_ACQUIRE) {
        acquired(work, result);
    } else if (work->kind == WORK_RENEWAL) {
        renewed(work, result);
    } else {
        released(work, result);
    }
}
