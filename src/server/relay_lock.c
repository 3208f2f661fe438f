#include <string.h>

#include "server/relay.h"

#define CLOCK_AHEAD_US 1000000u

/* ------------------------------------------------------------------ the store's words as ours */

static enum engine_end end_of(enum store_end end)
{
    switch (end) {
    case STORE_END_RELEASED: return ENGINE_END_RELEASED;
    case STORE_END_EXPIRED_UNCLAIMED: return ENGINE_END_EXPIRED_UNCLAIMED;
    case STORE_END_EXPIRED_TAKEN: return ENGINE_END_EXPIRED_TAKEN;
    case STORE_END_BROKEN: return ENGINE_END_BROKEN;
    case STORE_END_NOT_OWNER: return ENGINE_END_NONE;
    }
    UNREACHABLE("all ends are handled");
}

static struct bytes text_of(const char *text)
{
    return text == NULL ? (struct bytes){ "", 0 } : bytes_from_text(text);
}

struct engine_hold_view relay_hold_view(
    const struct relay *relay,
    const struct store_lock_view *lock,
    const struct store_holder *holder)
{
    int64_t at_us = holder->acquired_at_us;
    return (struct engine_hold_view){
        .name = text_of(lock->name),
        .owner = text_of(holder->owner),
        .meta = text_of(holder->meta),
        .token = { holder->token },
        .mode = holder->is_shared ? ENGINE_SHARED : ENGINE_EXCLUSIVE,
        .slot = holder->slot,
        .slots = lock->slots,
        .ttl_ms = holder->ttl_ms,
        .remaining_ms = holder->remaining_ms,
        .acquired_at = { at_us > 0 ? at_us : relay->server->wall.us },
        .is_breaking = holder->is_breaking,
    };
}

/* When it can be free at the earliest, by the rule of the engine: of slots the first to end is
 * enough, else all must go; -1: nobody knows. */
static int64_t retry_after_ms(const struct store_lock_view *lock)
{
    bool is_any_enough = lock->slots > 1;
    int64_t after_ms = -1;
    if (lock->lock_delay_ms > 0) return lock->lock_delay_ms;
    for (uint32_t index = 0; index < lock->holder_count; index++) {
        int64_t left_ms = lock->holders[index].remaining_ms;
        if (left_ms < 0 && !is_any_enough) return -1;
        bool is_better = is_any_enough ? left_ms < after_ms : left_ms > after_ms;
        if (left_ms >= 0 && (after_ms < 0 || is_better)) after_ms = left_ms;
    }
    return after_ms;
}

/* What the store has answered to the whole operation is no success: say so. */
static bool is_refused(struct relay_work *work, const struct store_result *result)
{
    if (result->err == TENURE_OK) return false;
    relay_work_refuse(work, result->err, result->text);
    return true;
}

static int64_t waited_ms(const struct relay_work *work)
{
    return (tni_store_now().ns - work->started_at.ns) / NS_PER_MS;
}

/* ------------------------------------------------------------------ a hold that is looked up */

/* Some answers, and some requests, need more of a hold than the operation itself tells. */
static void look_up(struct relay_work *work, relay_step_fn step)
{
    work->op.request.as.inspect.name = work->name.data;
    relay_work_start(work, STORE_INSPECT, step);
}

/* Keep the hold with the work's token, if it is there.  Its texts are copied. */
static void keep_hold(struct relay_work *work, const struct store_result *result)
{
    if (result->err != TENURE_OK) return;
    const struct store_lock_view *lock = result->as.inspect;
    for (uint32_t index = 0; index < lock->holder_count; index++) {
        if (lock->holders[index].token != work->token) continue;
        struct engine_hold_view hold = relay_hold_view(work->relay, lock, &lock->holders[index]);
        struct buffer *found = &work->found;
        buffer_reset(found);
        buffer_append_bytes(found, hold.owner);
        buffer_append_bytes(found, hold.meta);
        if (found->is_failed) return;
        size_t owner_size = hold.owner.size;
        hold.name = work->name;
        hold.owner = (struct bytes){ found->data, owner_size };
        hold.meta = (struct bytes){ found->data + owner_size, found->size - owner_size };
        work->hold = hold;
        work->has_hold = true;
        return;
    }
}

/* What is known of the hold without having found it. */
static struct engine_hold_view known_hold(const struct relay_work *work)
{
    if (work->has_hold) return work->hold;
    return (struct engine_hold_view){
        .name = work->name,
        .owner = work->owner,
        .meta = { "", 0 },
        .token = { work->token },
        .slots = 1,
        .ttl_ms = work->ttl_ms == ENGINE_TTL_KEEP ? 0 : work->ttl_ms,
        .remaining_ms = -1,
        .acquired_at = work->relay->server->wall,
    };
}

/* One result, with the hold. */
static void reply_hold(struct relay_work *work, const struct engine_result *result)
{
    struct engine_reply reply = { .results = result, .result_count = 1 };
    relay_work_reply(work, &reply);
}

/* ------------------------------------------------------------------ acquire */

static void refuse_held(struct relay_work *work, const struct store_result *result)
{
    const struct store_lock_view *lock = result->as.acquire.obstacle;
    bool was_waiting = work->op.request.as.acquire.wait_until.ns > 0;
    enum tenure_err err = was_waiting ? TENURE_TIMEOUT : TENURE_HELD;
    struct engine_result refusal = {
        .err = err,
        .name = work->name,
        .position = result->as.acquire.position,
        .retry_after_ms = -1,
        .waited_ms = was_waiting ? waited_ms(work) : 0,
    };
    if (lock != NULL) {
        refusal.retry_after_ms = retry_after_ms(lock);
        if (lock->name != NULL && lock->name[0] != '\0') refusal.name = text_of(lock->name);
        if (lock->holder_count > 0) {
            refusal.holder = relay_hold_view(work->relay, lock, &lock->holders[0]);
            refusal.holder.name = refusal.name;
        }
    }
    struct engine_reply reply = { .err = err, .results = &refusal, .result_count = 1 };
    relay_work_reply(work, &reply);
}

/* Tokens tell the time, where no clock is far ahead: the same that others see of this hold. */
static struct wall granted_at(const struct relay_work *work, const struct store_grant *grant)
{
    int64_t now_us = work->relay->server->wall.us;
    bool is_told = grant->token <= (uint64_t)now_us + CLOCK_AHEAD_US;
    return (struct wall){ is_told ? (int64_t)grant->token : now_us };
}

static struct engine_result
granted(const struct relay_work *work, const struct store_grant *grant, const char *name)
{
    struct engine_result result = {
        .name = text_of(grant->name != NULL ? grant->name : name),
        .waited_ms = work->op.request.as.acquire.wait_until.ns > 0 ? waited_ms(work) : 0,
    };
    result.hold = (struct engine_hold_view){
        .name = result.name,
        .owner = work->owner,
        .meta = work->meta,
        .token = { grant->token },
        .mode = work->mode,
        .slot = grant->slot,
        .slots = work->slots,
        .ttl_ms = grant->ttl_ms,
        .lock_delay_ms = work->lock_delay_ms,
        .remaining_ms = grant->remaining_ms,
        .acquired_at = granted_at(work, grant),
    };
    return result;
}

static void on_acquired(struct relay_work *work, const struct store_result *result)
{
    if (result->err == TENURE_HELD || result->err == TENURE_TIMEOUT) {
        refuse_held(work, result);
        return;
    }
    if (is_refused(work, result)) return;
    struct engine_result results[LIMIT_NAME_COUNT_MAX];
    uint32_t count = result->as.acquire.grant_count;
    ASSERT(count == work->name_count);
    for (uint32_t index = 0; index < count; index++) {
        results[index] = granted(work, &result->as.acquire.grants[index], work->names[index]);
    }
    struct engine_reply reply = { .results = results, .result_count = count };
    relay_work_reply(work, &reply);
}

void relay_acquire_begin(struct relay_work *work)
{
    work->op.request.as.acquire.answer_ns = RELAY_ANSWER_NS;
    relay_work_start(work, STORE_ACQUIRE, on_acquired);
}

/* What the engine refuses, and the edge does not see; NULL: nothing. */
static const char *find_fault(const struct engine_acquire *acquire)
{
    if (acquire->mode == ENGINE_SHARED && acquire->slots != 1) {
        return "slots: a shared lock has no slots";
    }
    for (uint32_t left = 0; left < acquire->name_count; left++) {
        for (uint32_t right = left + 1; right < acquire->name_count; right++) {
            if (bytes_equal(acquire->names[left], acquire->names[right])) {
                return "names: one of them is there twice";
            }
        }
    }
    return NULL;
}

static bool has_zero_byte(struct bytes text)
{
    return text.size > 0 && memchr(text.data, '\0', text.size) != NULL;
}

/* NULL: no memory. */
static struct relay_work *make_acquire(struct relay *relay, const struct engine_acquire *acquire)
{
    size_t size = acquire->owner.size + acquire->meta.size + 2;
    for (uint32_t index = 0; index < acquire->name_count; index++) {
        size += acquire->names[index].size + 1;
    }
    struct relay_work *work = relay_work_create(relay, size);
    if (work == NULL) return NULL;
    work->owner = relay_work_keep(work, acquire->owner);
    work->meta = relay_work_keep(work, acquire->meta);
    work->name = relay_work_keep(work, acquire->names[0]);
    work->names = memory_take(&memory_heap, acquire->name_count * sizeof(work->names[0]));
    if (work->names == NULL) {
        relay_work_drop(work);
        return NULL;
    }
    work->name_count = acquire->name_count;
    work->names[0] = work->name.data;
    for (uint32_t index = 1; index < acquire->name_count; index++) {
        work->names[index] = relay_work_keep(work, acquire->names[index]).data;
    }
    work->mode = acquire->mode;
    work->ttl_ms = acquire->ttl_ms;
    work->slots = acquire->slots;
    work->lock_delay_ms = acquire->lock_delay_ms;
    work->is_waiting = acquire->wait_ms > 0;
    work->op.request.as.acquire = (struct store_acquire){
        .names = work->names,
        .name_count = work->name_count,
        .owner = work->owner.data,
        .meta = work->meta.size == 0 ? NULL : work->meta.data,
        .ttl_ms = acquire->ttl_ms,
        .wait_until = { acquire->wait_ms == 0
                            ? 0
                            : work->started_at.ns + (int64_t)acquire->wait_ms * NS_PER_MS },
        .slots = acquire->slots,
        .priority = acquire->priority,
        .lock_delay_ms = acquire->lock_delay_ms,
        .is_shared = acquire->mode == ENGINE_SHARED,
    };
    return work;
}

/* ------------------------------------------------------------------ renew */

/* Each claim names a ttl; the store takes one for all, so those with the same go together. */
static void renew_some(struct relay_work *work);

static void reply_renewed(struct relay_work *work, enum tenure_err err, const char *detail)
{
    /* Too large for the stack; there is only one thread. */
    static struct engine_result results[LIMIT_ITEM_COUNT_MAX];
    for (uint32_t index = 0; index < work->claim_count; index++) {
        const struct relay_renewal *renewal = &work->renewals[index];
        struct engine_result *result = &results[index];
        *result = (struct engine_result){ .err = renewal->result.err };
        result->name = bytes_from_text(renewal->claim.name);
        if (renewal->result.err == TENURE_OK) {
            result->hold = known_hold(work);
            result->hold.ttl_ms = renewal->result.ttl_ms;
            result->hold.remaining_ms = renewal->result.remaining_ms;
            result->hold.is_breaking = renewal->result.is_breaking;
        } else if (renewal->result.err == TENURE_LOST) {
            result->end = end_of(renewal->result.end);
        }
    }
    struct engine_reply reply = {
        .err = work->claim_count == 1 && err == TENURE_OK ? results[0].err : err,
        .results = results,
        .result_count = err == TENURE_OK ? work->claim_count : 0,
        .detail = detail,
    };
    relay_work_reply(work, &reply);
}

static void on_renewed(struct relay_work *work, const struct store_result *result)
{
    uint32_t answered = 0;
    for (uint32_t index = 0; index < work->claim_count; index++) {
        struct relay_renewal *renewal = &work->renewals[index];
        if (!renewal->is_asked || renewal->is_done) continue;
        renewal->is_done = true;
        renewal->result.err = result->err;
        if (result->err != TENURE_OK) continue;
        ASSERT(answered < result->as.renew.count);
        renewal->result = result->as.renew.renewals[answered++];
    }
    bool is_all = work->op.request.as.renew.count == work->claim_count;
    if (result->err != TENURE_OK && is_all) {
        reply_renewed(work, result->err, result->text);
        return;
    }
    renew_some(work);
}

static void renew_some(struct relay_work *work)
{
    uint32_t count = 0;
    uint32_t ttl_ms = 0;
    for (uint32_t index = 0; index < work->claim_count; index++) {
        struct relay_renewal *renewal = &work->renewals[index];
        if (renewal->is_done) continue;
        if (count > 0 && renewal->ttl_ms != ttl_ms) continue;
        ttl_ms = renewal->ttl_ms;
        renewal->is_asked = true;
        work->claims[count++] = renewal->claim;
    }
    if (count == 0) {
        reply_renewed(work, TENURE_OK, NULL);
        return;
    }
    work->op.request.as.renew.claims = work->claims;
    work->op.request.as.renew.count = count;
    work->op.request.as.renew.ttl_ms = ttl_ms;
    relay_work_start(work, STORE_RENEW, on_renewed);
}

/* The ttl as it is, and all that an answer over HTTP shows. */
static void on_found_for_renewal(struct relay_work *work, const struct store_result *result)
{
    struct relay_renewal *renewal = &work->renewals[0];
    bool is_needed = renewal->ttl_ms == ENGINE_TTL_KEEP;
    if (is_needed && result->err != TENURE_NOT_FOUND && is_refused(work, result)) return;
    keep_hold(work, result);
    /* Of no hold: the answer to the renewal will say what became of it. */
    if (is_needed) renewal->ttl_ms = work->has_hold ? work->hold.ttl_ms : LIMIT_TTL_MS_MIN;
    renew_some(work);
}

static struct relay_work *make_renewal(struct relay *relay, const struct engine_command *command)
{
    const struct engine_claim *claims = command->as.renew.claims;
    uint32_t count = command->as.renew.count;
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++) {
        size += claims[index].name.size + claims[index].owner.size + 2;
    }
    struct relay_work *work = relay_work_create(relay, size);
    if (work == NULL) return NULL;
    work->renewals = memory_take(&memory_heap, count * sizeof(work->renewals[0]));
    work->claims = memory_take(&memory_heap, count * sizeof(work->claims[0]));
    work->claim_count = count;
    if (work->renewals == NULL || work->claims == NULL) {
        relay_work_drop(work);
        return NULL;
    }
    for (uint32_t index = 0; index < count; index++) {
        struct bytes name = relay_work_keep(work, claims[index].name);
        struct bytes owner = relay_work_keep(work, claims[index].owner);
        work->renewals[index] = (struct relay_renewal){
            .claim = { name.data, owner.data, claims[index].token.value },
            .ttl_ms = claims[index].ttl_ms,
        };
        if (index > 0) continue;
        work->name = name;
        work->owner = owner;
        work->token = claims[index].token.value;
        work->ttl_ms = claims[index].ttl_ms;
    }
    return work;
}

/* ------------------------------------------------------------------ the others */

static void on_released(struct relay_work *work, const struct store_result *result)
{
    if (is_refused(work, result)) return;
    struct engine_result released = {
        .name = work->name,
        .end = end_of(result->as.release.end),
        .successor = { result->as.release.successor },
    };
    reply_hold(work, &released);
}

static void on_broken(struct relay_work *work, const struct store_result *result)
{
    if (is_refused(work, result)) return;
    struct engine_result broken = { .name = work->name, .hold = known_hold(work) };
    int64_t left_ms = broken.hold.remaining_ms;
    int64_t grace_ms = work->grace_ms;
    if (grace_ms == 0) {
        broken.end = ENGINE_END_BROKEN;
    } else if (left_ms < 0 || left_ms > grace_ms) {
        broken.hold.remaining_ms = grace_ms;
    }
    reply_hold(work, &broken);
}

static void on_found_for_break(struct relay_work *work, const struct store_result *result)
{
    keep_hold(work, result);
    work->op.request.as.break_hold.name = work->name.data;
    work->op.request.as.break_hold.token = work->token;
    work->op.request.as.break_hold.reason = work->meta.data;
    work->op.request.as.break_hold.grace_ms = work->grace_ms;
    relay_work_start(work, STORE_BREAK, on_broken);
}

static void on_found_proclaimed(struct relay_work *work, const struct store_result *result)
{
    keep_hold(work, result);
    struct engine_result proclaimed = { .name = work->name, .hold = known_hold(work) };
    proclaimed.hold.meta = work->meta;
    reply_hold(work, &proclaimed);
}

static void on_proclaimed(struct relay_work *work, const struct store_result *result)
{
    if (is_refused(work, result)) return;
    if (work->session != NULL && work->session->protocol->is_whole) {
        look_up(work, on_found_proclaimed);
    } else {
        reply_hold(work, &(struct engine_result){ .name = work->name });
    }
}

static void on_transferred(struct relay_work *work, const struct store_result *result)
{
    if (is_refused(work, result)) return;
    struct engine_result transferred = {
        .name = work->name,
        .successor = { result->as.transfer_token },
    };
    reply_hold(work, &transferred);
}

/* One hold by name, owner and token, and one text more. */
static struct relay_work *
make_claim(struct relay *relay, const struct engine_claim *claim, struct bytes more)
{
    size_t size = claim->name.size + claim->owner.size + more.size + 3;
    struct relay_work *work = relay_work_create(relay, size);
    if (work == NULL) return NULL;
    work->name = relay_work_keep(work, claim->name);
    work->owner = relay_work_keep(work, claim->owner);
    work->meta = relay_work_keep(work, more);
    work->token = claim->token.value;
    work->ttl_ms = ENGINE_TTL_KEEP;
    return work;
}

static struct relay_work *make_break(struct relay *relay, const struct engine_command *command)
{
    struct engine_claim claim = {
        .name = command->as.break_hold.name,
        .owner = { "", 0 },
        .token = command->as.break_hold.token,
    };
    struct relay_work *work = make_claim(relay, &claim, command->as.break_hold.reason);
    if (work != NULL) work->grace_ms = command->as.break_hold.grace_ms;
    return work;
}

/* ------------------------------------------------------------------ the beginning */

/* NULL: no memory. */
static struct relay_work *make_work(struct relay *relay, const struct engine_command *command)
{
    switch (command->kind) {
    case ENGINE_ACQUIRE: return make_acquire(relay, &command->as.acquire);
    case ENGINE_RENEW: return make_renewal(relay, command);
    case ENGINE_RELEASE: return make_claim(relay, &command->as.release, (struct bytes){ "", 0 });
    case ENGINE_BREAK: return make_break(relay, command);
    case ENGINE_PROCLAIM:
        return make_claim(relay, &command->as.proclaim.claim, command->as.proclaim.value);
    case ENGINE_TRANSFER:
        return make_claim(relay, &command->as.transfer.claim, command->as.transfer.to);
    case ENGINE_CANCEL:
    case ENGINE_WORK_COMMANDS:
    case ENGINE_STATE_COMMANDS: break;
    }
    UNREACHABLE("sessions do not cancel");
}

static struct store_claim claim_of(const struct relay_work *work)
{
    return (struct store_claim){ work->name.data, work->owner.data, work->token };
}

static void begin_renewal(struct relay_work *work)
{
    bool is_whole = work->session->protocol->is_whole && work->claim_count == 1;
    if (is_whole || work->renewals[0].ttl_ms == ENGINE_TTL_KEEP) {
        look_up(work, on_found_for_renewal);
    } else {
        renew_some(work);
    }
}

static void begin(struct relay_work *work)
{
    struct store_request *request = &work->op.request;
    switch (work->kind) {
    case ENGINE_ACQUIRE:
        if (work->is_waiting) {
            relay_work_queue(work);
        } else {
            relay_acquire_begin(work);
        }
        break;
    case ENGINE_RENEW: begin_renewal(work); break;
    case ENGINE_RELEASE:
        request->as.release = claim_of(work);
        relay_work_start(work, STORE_RELEASE, on_released);
        break;
    case ENGINE_BREAK: look_up(work, on_found_for_break); break;
    case ENGINE_PROCLAIM:
        request->as.proclaim.claim = claim_of(work);
        request->as.proclaim.value = work->meta.data;
        relay_work_start(work, STORE_PROCLAIM, on_proclaimed);
        break;
    case ENGINE_TRANSFER:
        request->as.transfer.claim = claim_of(work);
        request->as.transfer.to = work->meta.data;
        relay_work_start(work, STORE_TRANSFER, on_transferred);
        break;
    case ENGINE_CANCEL:
    case ENGINE_WORK_COMMANDS:
    case ENGINE_STATE_COMMANDS: break;
    }
}

static struct bytes first_name(const struct engine_command *command)
{
    switch (command->kind) {
    case ENGINE_ACQUIRE: return command->as.acquire.names[0];
    case ENGINE_RENEW: return command->as.renew.claims[0].name;
    case ENGINE_RELEASE: return command->as.release.name;
    case ENGINE_BREAK: return command->as.break_hold.name;
    case ENGINE_PROCLAIM: return command->as.proclaim.claim.name;
    case ENGINE_TRANSFER: return command->as.transfer.claim.name;
    case ENGINE_CANCEL:
    case ENGINE_WORK_COMMANDS:
    case ENGINE_STATE_COMMANDS: break;
    }
    return (struct bytes){ "", 0 };
}

/* What is known to be wrong without asking the store; TENURE_OK: nothing. */
static enum tenure_err
judge(const struct server *server, const struct engine_command *command, const char **out_detail)
{
    *out_detail = NULL;
    if (ENGINE_COMMAND_IS_WORK(command->kind)) {
        *out_detail = "this store has no queues";
        return TENURE_UNSUPPORTED;
    }
    if (ENGINE_COMMAND_IS_STATE(command->kind)) {
        *out_detail = "this store has no shared state";
        return TENURE_UNSUPPORTED;
    }
    if (command->kind == ENGINE_PROCLAIM && has_zero_byte(command->as.proclaim.value)) {
        *out_detail = "value: in this store it has no zero bytes";
        return TENURE_UNSUPPORTED;
    }
    if (command->kind != ENGINE_ACQUIRE) return TENURE_OK;
    const struct engine_acquire *acquire = &command->as.acquire;
    *out_detail = find_fault(acquire);
    if (*out_detail != NULL) return TENURE_INVALID;
    if (has_zero_byte(acquire->meta)) {
        *out_detail = "meta: in this store it has no zero bytes";
        return TENURE_UNSUPPORTED;
    }
    if (server->is_draining) return TENURE_DRAINING;
    bool is_crowded = server->metrics.relay_waiting >= server->config->waiter_count_max;
    if (acquire->wait_ms > 0 && is_crowded) {
        *out_detail = "too many requests are waiting";
        return TENURE_TOO_MANY;
    }
    return TENURE_OK;
}

static void refuse_now(
    struct session *session,
    const struct engine_command *command,
    enum tenure_err err,
    const char *detail)
{
    struct engine_result result = { .err = err, .name = first_name(command) };
    struct engine_reply reply = {
        .client = session->id,
        .tag = command->tag,
        .kind = command->kind,
        .err = err,
        .results = &result,
        .result_count = 1,
        .detail = detail,
    };
    metrics_observe_reply(&session->server->metrics, &reply);
    session->protocol->on_reply(session, &reply);
}

void relay_submit(struct server *server, struct session *session, struct engine_command *command)
{
    const char *detail;
    command->client = session->id;
    enum tenure_err err = judge(server, command, &detail);
    if (err != TENURE_OK) {
        refuse_now(session, command, err, detail);
        return;
    }
    struct relay_work *work = make_work(server->relay, command);
    if (work != NULL) {
        work->kind = command->kind;
        work->tag = command->tag;
    }
    if (work == NULL || !relay_work_assign(work, session)) {
        refuse_now(session, command, TENURE_NO_MEMORY, NULL);
        return;
    }
    begin(work);
}
