#include "client/taken.h"

#include <string.h>

#include "client/call.h"
#include "client/hold.h"
#include "client/later.h"

#define REASON_FAULT   "reason: 1 to 255 bytes of UTF-8 without control characters"
#define PROGRESS_FAULT "text: 1 to 255 bytes of UTF-8 without control characters"
#define RESULT_FAULT   "result: up to 65536 bytes"

/* ------------------------------------------------------------------ the copy */

struct tenure_item tni_item_of(const struct store_item *item)
{
    return (struct tenure_item){
        .queue = item->queue,
        .id = item->id,
        .group = item->group,
        .headers = item->headers,
        .unique_key = item->unique_key,
        .note = item->state == STORE_ITEM_DONE ? item->result.data : item->note,
        .worker = item->worker,
        .body = item->body.data,
        .body_size = item->body.size,
        .result = item->result.data,
        .result_size = item->result.size,
        .state = (enum tenure_item_state)item->state,
        .priority = item->priority,
        .seq = item->seq,
        .token = item->token,
        .attempts = item->attempts,
        .attempts_max = item->attempts_max,
        .lapses = item->lapses,
        .lapses_max = item->lapses_max,
        .put_at_us = item->put_at_us,
        .run_at_us = item->run_at_us,
        .taken_at_us = item->taken_at_us,
        .lease_ms = item->lease_ms,
        .timeout_ms = item->timeout_ms,
        .remaining_ms = item->remaining_ms,
        .is_cancelling = item->is_cancelling,
    };
}

/* A copy of the bytes, with a zero behind them, at `*at`, which is moved behind that. */
static const char *keep(char **at, const void *data, size_t size)
{
    char *copy = *at;
    if (size > 0) memcpy(copy, data, size);
    copy[size] = '\0';
    *at = copy + size + 1;
    return copy;
}

struct taken *tni_taken_create(const struct memory *memory, const struct store_item *item)
{
    struct tenure_item copy = tni_item_of(item);
    const char **texts[] = { &copy.queue,      &copy.id,   &copy.group, &copy.headers,
                             &copy.unique_key, &copy.note, &copy.worker };
    const size_t text_count = sizeof(texts) / sizeof(texts[0]);
    size_t size = sizeof(struct taken) + item->body.size + item->result.size + 2;
    for (size_t index = 0; index < text_count; index++) {
        size += strlen(*texts[index]) + 1;
    }
    struct taken *taken = memory_take(memory, size);
    if (taken == NULL) return NULL;
    char *at = (char *)(taken + 1);
    for (size_t index = 0; index < text_count; index++) {
        *texts[index] = keep(&at, *texts[index], strlen(*texts[index]));
    }
    copy.body = keep(&at, copy.body, copy.body_size);
    copy.result = keep(&at, copy.result, copy.result_size);
    *taken = (struct taken){
        .memory = memory, .size = size, .claim = { copy.queue, copy.id, copy.token }, .item = copy
    };
    return taken;
}

void tni_taken_destroy(struct taken *taken)
{
    if (taken != NULL) memory_give(taken->memory, taken, taken->size);
}

enum tenure_err tenure_item_of(struct tenure_hold handle, struct tenure_item *out_item)
{
    tni_registry_lock();
    const struct hold *hold = tni_registry_find_hold(handle.id);
    const struct taken *taken = hold == NULL ? NULL : hold->taken;
    if (taken != NULL) {
        *out_item = taken->item;
        out_item->is_cancelling = taken->is_cancelling;
    }
    tni_registry_unlock();
    return taken == NULL ? TENURE_INVALID : TENURE_OK;
}

/* ------------------------------------------------------------------ the end of a hold */

/* A reference, when it is an item's and its handle is good. */
static struct hold *take_item(struct tenure_hold handle, struct client **out_client)
{
    struct hold *hold = tni_hold_take(handle, out_client);
    if (hold == NULL || hold->taken != NULL) return hold;
    tni_client_give(*out_client);
    tni_hold_give(hold);
    return NULL;
}

/* Until the store answers, or both the call's time and the lease are over. */
static void start_finish(struct call *call, struct hold *hold)
{
    struct mono good_until = hold->good_until;
    tni_hold_end(hold); /* the thread's part */
    bool is_longer = good_until.ns != INT64_MAX && good_until.ns > call->op.request.deadline.ns;
    if (is_longer) call->op.request.deadline = good_until;
    tni_store_start(call->client->store, &call->op);
}

struct finish_call {
    struct call call;
    struct hold *hold;
};

static void run_finish(struct client *client, struct task *task)
{
    struct finish_call *finish = CONTAINER_OF(task, struct finish_call, call.task);
    (void)client;
    start_finish(&finish->call, finish->hold);
}

static void run_finish_later(struct client *client, struct task *task)
{
    struct later *later = CONTAINER_OF(task, struct later, call.task);
    (void)client;
    start_finish(&later->call, later->hold);
}

/* `finish` without its claim.  The handle is closed when the answer is not TENURE_INVALID, or
 * TENURE_DEADLOCK. */
static enum tenure_err finish_item(
    struct tenure_hold handle, const struct store_finish *wish, struct tenure_error *out_error)
{
    struct client *client;
    struct finish_call finish;
    struct hold *known = take_item(handle, &client);
    if (known == NULL) return tni_fail(out_error, TENURE_INVALID, "the handle is closed");
    enum tenure_err err = TENURE_OK;
    if (!tni_call_begin_with(&finish.call, client, out_error)) err = finish.call.err;
    if (err == TENURE_OK) {
        finish.call.op.request.verb = STORE_FINISH;
        finish.call.op.request.as.finish = *wish;
        finish.call.op.request.as.finish.claim = known->taken->claim;
        finish.hold = tni_hold_close(handle);
        if (finish.hold == NULL) {
            tni_call_end(&finish.call, TENURE_INVALID, "the handle is closed");
            err = tni_call_wait(&finish.call, true, out_error);
        } else {
            tni_hold_hush(finish.hold);
            err = tni_call_run(&finish.call, run_finish, out_error);
            tni_client_give(finish.hold->client);
            tni_hold_give(finish.hold); /* the handle's part */
        }
    }
    tni_hold_give(known);
    return err;
}

static enum tenure_err finish_item_later(
    struct tenure_hold handle, struct store_finish *wish, tenure_done_fn fn, void *user)
{
    struct client *client;
    struct hold *known = take_item(handle, &client);
    if (known == NULL) return TENURE_INVALID;
    bool is_done = wish->kind == STORE_FINISH_DONE;
    struct bytes kept =
        is_done ? wish->result : bytes_from_text(wish->reason == NULL ? "" : wish->reason);
    struct later *later = tni_later_create_with(client, known, fn, user, kept);
    if (later == NULL) return TENURE_NO_MEMORY;
    struct hold *hold = tni_hold_close(handle);
    if (hold == NULL) {
        tni_later_destroy(later);
        return TENURE_INVALID;
    }
    wish->claim = known->taken->claim;
    if (is_done) wish->result = (struct bytes){ later->text, kept.size };
    if (!is_done && wish->reason != NULL) wish->reason = later->text;
    later->call.op.request.verb = STORE_FINISH;
    later->call.op.request.as.finish = *wish;
    later->call.task.run = run_finish_later;
    tni_hold_hush(hold);
    tni_client_give(hold->client);
    tni_hold_give(hold); /* the handle's part: `later` has one of its own */
    return tni_later_start(later);
}

/* ------------------------------------------------------------------ done */

enum tenure_err tenure_item_done(
    struct tenure_hold handle,
    const void *result,
    size_t result_size,
    struct tenure_error *out_error)
{
    if (result_size > LIMIT_RESULT_SIZE_MAX) {
        return tni_fail(out_error, TENURE_TOO_LARGE, RESULT_FAULT);
    }
    struct store_finish finish = { .kind = STORE_FINISH_DONE, .result = { result, result_size } };
    return finish_item(handle, &finish, out_error);
}

enum tenure_err tenure_item_done_start(
    struct tenure_hold handle,
    const void *result,
    size_t result_size,
    tenure_done_fn fn,
    void *user)
{
    if (result_size > LIMIT_RESULT_SIZE_MAX) return TENURE_TOO_LARGE;
    struct store_finish finish = { .kind = STORE_FINISH_DONE, .result = { result, result_size } };
    return finish_item_later(handle, &finish, fn, user);
}

/* ------------------------------------------------------------------ failed */

const char *
tni_finish_of_fail(const struct tenure_fail_options *options, struct store_finish *out_finish)
{
    struct store_finish finish = { .kind = STORE_FINISH_FAIL, .delay_ms = STORE_NONE };
    if (options != NULL) {
        if (options->size < sizeof(*options)) return "size: it must be sizeof(*options)";
        if (options->reason != NULL && !tni_is_plain(options->reason)) return REASON_FAULT;
        if (options->delay_ms != TENURE_NONE && options->delay_ms > LIMIT_DELAY_MS_MAX) {
            return "delay_ms: up to 2592000000, or TENURE_NONE";
        }
        finish.kind = options->is_dead ? STORE_FINISH_BURY : STORE_FINISH_FAIL;
        finish.reason = options->reason;
        finish.delay_ms = options->delay_ms;
        finish.is_free = options->is_free;
    }
    *out_finish = finish;
    return NULL;
}

enum tenure_err tenure_item_fail(
    struct tenure_hold handle,
    const struct tenure_fail_options *options,
    struct tenure_error *out_error)
{
    struct store_finish finish;
    const char *fault = tni_finish_of_fail(options, &finish);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    return finish_item(handle, &finish, out_error);
}

enum tenure_err tenure_item_fail_start(
    struct tenure_hold handle,
    const struct tenure_fail_options *options,
    tenure_done_fn fn,
    void *user)
{
    struct store_finish finish;
    if (tni_finish_of_fail(options, &finish) != NULL) return TENURE_INVALID;
    return finish_item_later(handle, &finish, fn, user);
}

/* ------------------------------------------------------------------ progress */

static void set_progress(struct store_op *op, const struct hold *hold, const char *text)
{
    op->request.verb = STORE_EXTEND;
    op->request.as.extend.claims = &hold->taken->claim;
    op->request.as.extend.count = 1;
    op->request.as.extend.lease_ms = 0;
    op->request.as.extend.progress = text;
}

static void on_told(struct store_op *op, const struct store_result *result)
{
    enum tenure_err err = result->err;
    if (err == TENURE_OK) err = result->as.renew.renewals[0].err;
    tni_call_end(tni_call_of(op), err, result->text);
}

enum tenure_err
tenure_item_progress(struct tenure_hold handle, const char *text, struct tenure_error *out_error)
{
    struct client *client;
    struct call call;
    if (!tni_is_plain(text)) return tni_fail(out_error, TENURE_INVALID, PROGRESS_FAULT);
    struct hold *hold = take_item(handle, &client);
    if (hold == NULL) return tni_fail(out_error, TENURE_INVALID, "the handle is closed");
    enum tenure_err err;
    if (tni_call_begin_with(&call, client, out_error)) {
        set_progress(&call.op, hold, text);
        call.op.done = on_told;
        err = tni_call_run(&call, NULL, out_error);
    } else {
        err = call.err;
    }
    tni_hold_give(hold);
    return err;
}

enum tenure_err tenure_item_progress_start(
    struct tenure_hold handle, const char *text, tenure_done_fn fn, void *user)
{
    struct client *client;
    if (!tni_is_plain(text)) return TENURE_INVALID;
    struct hold *hold = take_item(handle, &client);
    if (hold == NULL) return TENURE_INVALID;
    struct later *later = tni_later_create(client, hold, fn, user, text);
    if (later == NULL) return TENURE_NO_MEMORY;
    set_progress(&later->call.op, hold, later->text);
    later->call.op.done = on_told;
    return tni_later_start(later);
}
