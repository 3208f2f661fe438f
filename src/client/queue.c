#include <tenure/queue.h>

#include <string.h>

#include "client/call.h"
#include "client/taken.h"

#define NAME_FAULT   "queue: 1 to 255 bytes of UTF-8 without control characters"
#define ID_FAULT     "id: 1 to 255 bytes of UTF-8 without control characters"
#define GROUP_FAULT  "group: up to 255 bytes of UTF-8 without control characters"
#define REASON_FAULT "reason: 1 to 255 bytes of UTF-8 without control characters"
#define STATE_FAULT  "state: no such state"
#define FN_FAULT     "fn: it is missing"

/* Many items are swept in several requests of so many. */
#define SWEEP_COUNT_MAX 1000u

const char *tenure_item_state_name(enum tenure_item_state state)
{
    const char *word = tni_store_item_state_word((unsigned)state);
    return word == NULL ? "unknown" : word;
}

static const char *find_name_fault(const char *queue, const char *group, const char *reason)
{
    if (!tni_is_plain(queue)) return NAME_FAULT;
    bool has_group = group != NULL && group[0] != '\0';
    if (has_group && !tni_is_plain(group)) return GROUP_FAULT;
    if (reason != NULL && !tni_is_plain(reason)) return REASON_FAULT;
    return NULL;
}

static bool is_state(enum tenure_item_state state)
{
    return (unsigned)state < TENURE_ITEM_STATE_COUNT;
}

/* ------------------------------------------------------------------ items */

struct look_call {
    struct call call;
    tenure_item_fn fn;
    tenure_queue_stat_fn stat_fn;
    void *user;
};

static void on_item(struct store_op *op, const struct store_result *result)
{
    struct look_call *look = CONTAINER_OF(op, struct look_call, call.op);
    if (result->err == TENURE_OK) {
        struct tenure_item item = tni_item_of(&result->as.items.items[0]);
        look->fn(&item, look->user);
    }
    tni_call_end(&look->call, result->err, result->text);
}

static enum tenure_err look_at(
    struct tenure_client handle,
    const struct store_request *request,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct look_call look = { .fn = fn, .user = user };
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, FN_FAULT);
    if (!tni_call_begin(&look.call, handle, out_error)) return look.call.err;
    look.call.op.request.verb = STORE_ITEM;
    look.call.op.request.as = request->as;
    look.call.op.done = on_item;
    return tni_call_run(&look.call, NULL, out_error);
}

enum tenure_err tenure_item_look(
    struct tenure_client handle,
    const char *queue,
    const char *id,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct store_request request = { .verb = STORE_ITEM };
    if (!tni_is_plain(queue)) return tni_fail(out_error, TENURE_INVALID, NAME_FAULT);
    if (!tni_is_plain(id)) return tni_fail(out_error, TENURE_INVALID, ID_FAULT);
    request.as.item.queue = queue;
    request.as.item.id = id;
    return look_at(handle, &request, fn, user, out_error);
}

enum tenure_err tenure_item_peek(
    struct tenure_client handle,
    const char *queue,
    enum tenure_item_state state,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct store_request request = { .verb = STORE_ITEM };
    if (!tni_is_plain(queue)) return tni_fail(out_error, TENURE_INVALID, NAME_FAULT);
    if (!is_state(state)) return tni_fail(out_error, TENURE_INVALID, STATE_FAULT);
    request.as.item.queue = queue;
    request.as.item.state = (enum store_item_state)state;
    return look_at(handle, &request, fn, user, out_error);
}

static struct tenure_queue_stat stat_of(const struct store_queue_stat *told)
{
    struct tenure_queue_stat stat = {
        .queue = told->queue,
        .group = told->group,
        .group_count = told->group_count,
        .taker_count = told->taker_count,
        .oldest_ms = told->oldest_ms,
        .is_paused = told->is_paused,
        .limits = { .size = sizeof(stat.limits),
                    .running_max = told->limits.running_max,
                    .waiting_max = told->limits.waiting_max,
                    .rate_count = told->limits.rate_count,
                    .rate_ms = told->limits.rate_ms,
                    .burst = told->limits.burst,
                    .weight = told->limits.weight },
    };
    memcpy(stat.counts, told->counts, sizeof(stat.counts));
    return stat;
}

static void on_one_of_many(
    struct store_op *op, const struct store_item *item, const struct store_queue_stat *told)
{
    struct look_call *look = CONTAINER_OF(op, struct look_call, call.op);
    if (item != NULL) {
        struct tenure_item shown = tni_item_of(item);
        look->fn(&shown, look->user);
    } else {
        struct tenure_queue_stat stat = stat_of(told);
        look->stat_fn(&stat, look->user);
    }
}

enum tenure_err tenure_item_list(
    struct tenure_client handle,
    const struct tenure_item_list_options *options,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct look_call look = { .fn = fn, .user = user };
    const char *fault = fn == NULL ? FN_FAULT : NULL;
    if (options == NULL || options->size < sizeof(*options)) {
        fault = "size: it must be sizeof(*options)";
    } else if (!tni_is_plain(options->queue)) {
        fault = NAME_FAULT;
    } else if (!is_state(options->state)) {
        fault = STATE_FAULT;
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&look.call, handle, out_error)) return look.call.err;
    look.call.op.request.verb = STORE_ITEMS;
    look.call.op.request.as.items.queue = options->queue;
    look.call.op.request.as.items.state = (enum store_item_state)options->state;
    look.call.op.request.as.items.count_max = options->count_max;
    look.call.op.work = on_one_of_many;
    return tni_call_run(&look.call, NULL, out_error);
}

/* ------------------------------------------------------------------ queues */

static void on_stat(struct store_op *op, const struct store_result *result)
{
    struct look_call *look = CONTAINER_OF(op, struct look_call, call.op);
    if (result->err == TENURE_OK) on_one_of_many(op, NULL, result->as.stat);
    tni_call_end(&look->call, result->err, result->text);
}

enum tenure_err tenure_queue_stat(
    struct tenure_client handle,
    const char *queue,
    const char *group,
    tenure_queue_stat_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct look_call look = { .stat_fn = fn, .user = user };
    const char *fault = fn == NULL ? FN_FAULT : find_name_fault(queue, group, NULL);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&look.call, handle, out_error)) return look.call.err;
    look.call.op.request.verb = STORE_QUEUE;
    look.call.op.request.as.queue.queue = queue;
    look.call.op.request.as.queue.group = group;
    look.call.op.done = on_stat;
    return tni_call_run(&look.call, NULL, out_error);
}

enum tenure_err tenure_queue_list(
    struct tenure_client handle,
    const char *prefix,
    tenure_queue_stat_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct look_call look = { .stat_fn = fn, .user = user };
    const char *fault = fn == NULL ? FN_FAULT : NULL;
    if (prefix != NULL && !tni_is_text(prefix, LIMIT_NAME_SIZE_MAX)) {
        fault = "prefix: up to 255 bytes of UTF-8";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&look.call, handle, out_error)) return look.call.err;
    look.call.op.request.verb = STORE_QUEUES;
    look.call.op.request.as.queues.prefix = prefix;
    look.call.op.work = on_one_of_many;
    return tni_call_run(&look.call, NULL, out_error);
}

/* ------------------------------------------------------------------ by words */

static const char *find_claim_fault(const struct tenure_item_claim *claim)
{
    if (claim == NULL) return "claim: it is missing";
    if (!tni_is_plain(claim->queue)) return NAME_FAULT;
    if (!tni_is_plain(claim->id)) return ID_FAULT;
    return claim->token == 0 || claim->token > TOKEN_MAX ? "token: 1 to 2^53 - 1" : NULL;
}

static struct store_item_claim store_claim_of(const struct tenure_item_claim *claim)
{
    return (struct store_item_claim){ claim->queue, claim->id, claim->token };
}

static enum tenure_err finish_claim(
    struct tenure_client handle,
    const struct tenure_item_claim *claim,
    const struct store_finish *finish,
    struct tenure_error *out_error)
{
    struct call call;
    if (!tni_call_begin(&call, handle, out_error)) return call.err;
    call.op.request.verb = STORE_FINISH;
    call.op.request.as.finish = *finish;
    call.op.request.as.finish.claim = store_claim_of(claim);
    return tni_call_run(&call, NULL, out_error);
}

enum tenure_err tenure_item_claim_done(
    struct tenure_client handle,
    const struct tenure_item_claim *claim,
    const void *result,
    size_t result_size,
    struct tenure_error *out_error)
{
    const char *fault = find_claim_fault(claim);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (result_size > LIMIT_RESULT_SIZE_MAX) {
        return tni_fail(out_error, TENURE_TOO_LARGE, "result: up to 65536 bytes");
    }
    struct store_finish finish = { .kind = STORE_FINISH_DONE, .result = { result, result_size } };
    return finish_claim(handle, claim, &finish, out_error);
}

enum tenure_err tenure_item_claim_fail(
    struct tenure_client handle,
    const struct tenure_item_claim *claim,
    const struct tenure_fail_options *options,
    struct tenure_error *out_error)
{
    struct store_finish finish;
    const char *fault = find_claim_fault(claim);
    if (fault == NULL) fault = tni_finish_of_fail(options, &finish);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    return finish_claim(handle, claim, &finish, out_error);
}

struct extend_call {
    struct call call;
    struct store_item_claim claim;
    struct tenure_extension extension;
};

static void on_extended(struct store_op *op, const struct store_result *result)
{
    struct extend_call *extend = CONTAINER_OF(op, struct extend_call, call.op);
    enum tenure_err err = result->err;
    if (err == TENURE_OK) {
        err = result->as.renew.renewals[0].err;
        extend->extension.remaining_ms = result->as.renew.renewals[0].remaining_ms;
        extend->extension.is_cancelling = result->as.renew.renewals[0].is_cancelling;
    }
    tni_call_end(&extend->call, err, result->text);
}

enum tenure_err tenure_item_claim_extend(
    struct tenure_client handle,
    const struct tenure_item_claim *claim,
    uint32_t lease_ms,
    const char *progress,
    struct tenure_extension *out_extension,
    struct tenure_error *out_error)
{
    const char *fault = find_claim_fault(claim);
    if (lease_ms != 0 && (lease_ms < LIMIT_TTL_MS_MIN || lease_ms > LIMIT_TTL_MS_MAX)) {
        fault = "lease_ms: 100 to 86400000";
    }
    if (progress != NULL && !tni_is_plain(progress)) {
        fault = "progress: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct extend_call extend = { .claim = store_claim_of(claim) };
    if (!tni_call_begin(&extend.call, handle, out_error)) return extend.call.err;
    extend.call.op.request.verb = STORE_EXTEND;
    extend.call.op.request.as.extend.claims = &extend.claim;
    extend.call.op.request.as.extend.count = 1;
    extend.call.op.request.as.extend.lease_ms = lease_ms;
    extend.call.op.request.as.extend.progress = progress;
    extend.call.op.done = on_extended;
    enum tenure_err err = tni_call_run(&extend.call, NULL, out_error);
    if (err == TENURE_OK && out_extension != NULL) *out_extension = extend.extension;
    return err;
}

/* ------------------------------------------------------------------ administer */

static enum tenure_err change_item(
    struct tenure_client handle,
    enum store_verb verb,
    const char *queue,
    const char *id,
    const char *reason,
    struct tenure_error *out_error)
{
    struct call call;
    const char *fault = find_name_fault(queue, NULL, reason);
    if (fault == NULL && !tni_is_plain(id)) fault = ID_FAULT;
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&call, handle, out_error)) return call.err;
    call.op.request.verb = verb;
    call.op.request.as.item_name.queue = queue;
    call.op.request.as.item_name.id = id;
    call.op.request.as.item_name.reason = reason;
    return tni_call_run(&call, NULL, out_error);
}

enum tenure_err tenure_item_cancel(
    struct tenure_client handle,
    const char *queue,
    const char *id,
    const char *reason,
    struct tenure_error *out_error)
{
    return change_item(handle, STORE_ITEM_CANCEL, queue, id, reason, out_error);
}

enum tenure_err tenure_item_kick(
    struct tenure_client handle, const char *queue, const char *id, struct tenure_error *out_error)
{
    return change_item(handle, STORE_ITEM_KICK, queue, id, NULL, out_error);
}

struct sweep_call {
    struct call call;
    struct store_sweep sweep;
    uint64_t left; /* 0: all */
    uint64_t count;
    char cursor[LIMIT_CURSOR_SIZE_MAX + 1];
};

static void on_swept(struct store_op *op, const struct store_result *result);

static void send_sweep(struct sweep_call *sweep)
{
    struct call *call = &sweep->call;
    sweep->sweep.count_max = SWEEP_COUNT_MAX;
    if (sweep->left > 0 && sweep->left < SWEEP_COUNT_MAX) {
        sweep->sweep.count_max = (uint32_t)sweep->left;
    }
    call->op = (struct store_op){
        .request = { .verb = STORE_SWEEP,
                     .deadline = tni_deadline(call->client->timeout_ms),
                     .patience_ns = (int64_t)call->client->timeout_ms * NS_PER_MS / 2 },
        .done = on_swept,
    };
    call->op.request.as.sweep = sweep->sweep;
    tni_store_start(call->client->store, &call->op);
}

static void on_swept(struct store_op *op, const struct store_result *result)
{
    struct sweep_call *sweep = CONTAINER_OF(op, struct sweep_call, call.op);
    uint32_t count = result->err == TENURE_OK ? result->as.sweep.count : 0;
    bool is_over = result->err != TENURE_OK || result->as.sweep.is_all ||
                   (sweep->left > 0 && count >= sweep->left);
    sweep->count += count;
    if (sweep->left > 0) sweep->left -= count;
    if (is_over) {
        tni_call_end(&sweep->call, result->err, result->text);
        return;
    }
    const char *cursor = result->as.sweep.cursor;
    sweep->sweep.cursor = cursor == NULL ? NULL : sweep->cursor;
    if (cursor != NULL) (void)snprintf(sweep->cursor, sizeof(sweep->cursor), "%s", cursor);
    send_sweep(sweep);
}

static void run_sweep(struct client *client, struct task *task)
{
    (void)client;
    send_sweep(CONTAINER_OF(task, struct sweep_call, call.task));
}

static enum tenure_err sweep_queue(
    struct tenure_client handle,
    const struct tenure_sweep_options *options,
    struct sweep_call *sweep,
    uint64_t *out_count,
    struct tenure_error *out_error)
{
    const char *fault = "size: it must be sizeof(*options)";
    if (options != NULL && options->size >= sizeof(*options)) {
        fault = find_name_fault(options->queue, options->group, options->reason);
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    sweep->sweep.queue = options->queue;
    sweep->sweep.group = options->group;
    sweep->sweep.reason = options->reason;
    if (!tni_call_begin(&sweep->call, handle, out_error)) return sweep->call.err;
    sweep->left = options->count_max;
    enum tenure_err err = tni_call_run(&sweep->call, run_sweep, out_error);
    /* What was swept before it failed was swept. */
    if (out_count != NULL) *out_count = sweep->count;
    return err;
}

enum tenure_err tenure_queue_redrive(
    struct tenure_client handle,
    const struct tenure_sweep_options *options,
    uint64_t *out_count,
    struct tenure_error *out_error)
{
    struct sweep_call sweep = { .sweep = { .kind = STORE_SWEEP_REDRIVE } };
    if (options != NULL && options->size >= sizeof(*options)) {
        sweep.sweep.interval_ms = options->interval_ms;
    }
    return sweep_queue(handle, options, &sweep, out_count, out_error);
}

enum tenure_err tenure_queue_purge(
    struct tenure_client handle,
    enum tenure_item_state state,
    const struct tenure_sweep_options *options,
    uint64_t *out_count,
    struct tenure_error *out_error)
{
    struct sweep_call sweep = { .sweep = { .kind = STORE_SWEEP_PURGE } };
    if (!is_state(state) || state == TENURE_ITEM_TAKEN) {
        return tni_fail(out_error, TENURE_INVALID, "state: any but taken");
    }
    sweep.sweep.state = (enum store_item_state)state;
    return sweep_queue(handle, options, &sweep, out_count, out_error);
}

static enum tenure_err change_scope(
    struct tenure_client handle, const struct store_scope *scope, struct tenure_error *out_error)
{
    struct call call;
    const char *fault = find_name_fault(scope->queue, scope->group, NULL);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&call, handle, out_error)) return call.err;
    call.op.request.verb = STORE_SCOPE;
    call.op.request.as.scope = *scope;
    return tni_call_run(&call, NULL, out_error);
}

enum tenure_err tenure_queue_pause(
    struct tenure_client handle,
    const char *queue,
    const char *group,
    struct tenure_error *out_error)
{
    struct store_scope scope = { .kind = STORE_SCOPE_PAUSE, .queue = queue, .group = group };
    return change_scope(handle, &scope, out_error);
}

enum tenure_err tenure_queue_resume(
    struct tenure_client handle,
    const char *queue,
    const char *group,
    struct tenure_error *out_error)
{
    struct store_scope scope = { .kind = STORE_SCOPE_RESUME, .queue = queue, .group = group };
    return change_scope(handle, &scope, out_error);
}

enum tenure_err tenure_queue_limit(
    struct tenure_client handle,
    const char *queue,
    const char *group,
    const struct tenure_group_limits *limits,
    struct tenure_error *out_error)
{
    struct store_scope scope = { .kind = STORE_SCOPE_LIMIT, .queue = queue, .group = group };
    struct store_group_limits asked;
    if (limits != NULL) {
        if (limits->size < sizeof(*limits)) {
            return tni_fail(out_error, TENURE_INVALID, "size: it must be sizeof(*limits)");
        }
        asked = (struct store_group_limits){ .running_max = limits->running_max,
                                             .waiting_max = limits->waiting_max,
                                             .rate_count = limits->rate_count,
                                             .rate_ms = limits->rate_ms,
                                             .burst = limits->burst,
                                             .weight = limits->weight };
        scope.limits = &asked;
    }
    return change_scope(handle, &scope, out_error);
}
