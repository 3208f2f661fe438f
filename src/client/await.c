#include <tenure/queue.h>

#include <string.h>

#include "client/call.h"
#include "client/later.h"
#include "client/take.h"
#include "client/taken.h"

static struct mono wait_until(uint32_t wait_ms)
{
    if (wait_ms == TENURE_WAIT_FOREVER) return (struct mono){ INT64_MAX };
    return wait_ms == 0 ? (struct mono){ 0 } : tni_deadline(wait_ms);
}

static const char *find_fault(const struct tenure_await_options *options, bool has_fn)
{
    if (!has_fn) return "fn: it is missing";
    if (options == NULL || options->size < sizeof(*options)) {
        return "size: it must be sizeof(*options)";
    }
    if (tni_is_plain(options->queue) && tni_is_plain(options->id)) return NULL;
    return "queue and id: 1 to 255 bytes of UTF-8 without control characters";
}

static void set_request(struct call *call, const char *queue, const char *id, uint32_t wait_ms)
{
    struct store_request *request = &call->op.request;
    request->verb = STORE_AWAIT;
    request->as.await_end.queue = queue;
    request->as.await_end.id = id;
    request->as.await_end.wait_until = wait_until(wait_ms);
    request->as.await_end.answer_ns = (int64_t)call->client->timeout_ms * NS_PER_MS;
}

/* ------------------------------------------------------------------ with a thread that waits */

struct await_call {
    struct call call;
    tenure_item_fn fn;
    void *user;
};

static void on_end(struct store_op *op, const struct store_result *result)
{
    struct await_call *await = CONTAINER_OF(op, struct await_call, call.op);
    if (result->err == TENURE_OK) {
        struct tenure_item item = tni_item_of(&result->as.items.items[0]);
        await->fn(&item, await->user);
    }
    tni_call_end(&await->call, result->err, result->text);
}

enum tenure_err tenure_item_await(
    struct tenure_client handle,
    const struct tenure_await_options *options,
    tenure_item_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct await_call await = { .fn = fn, .user = user };
    const char *fault = find_fault(options, fn != NULL);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&await.call, handle, out_error)) return await.call.err;
    set_request(&await.call, options->queue, options->id, options->wait_ms);
    await.call.op.done = on_end;
    return tni_call_run(&await.call, NULL, out_error);
}

/* ------------------------------------------------------------------ without */

/* In client->awaits until it is over. */
struct await {
    struct call call;
    struct notice notice;
    struct list link; /* under the client's mutex, as the next one */
    bool is_canceled;
    uint64_t id;
    tenure_await_fn fn;
    void *user;
    struct taken *taken; /* with TENURE_OK */
    char queue[LIMIT_NAME_SIZE_MAX + 1];
    char item[LIMIT_ID_SIZE_MAX + 1];
};

static void free_await(struct await *await)
{
    struct client *client = await->call.client;
    tni_taken_destroy(await->taken);
    memory_give(client->memory, await, sizeof(*await));
    tni_client_give(client);
}

static void tell(struct client *client, struct notice *notice)
{
    struct await *await = CONTAINER_OF(notice, struct await, notice);
    struct tenure_error error;
    (void)client;
    const char *text = await->call.text[0] == '\0' ? NULL : await->call.text;
    (void)tni_fail(&error, await->call.err, text);
    const struct tenure_item *item = await->taken == NULL ? NULL : &await->taken->item;
    await->fn(await->call.err, item, &error, await->user);
    free_await(await);
}

static void finish(struct call *call)
{
    struct await *await = CONTAINER_OF(call, struct await, call);
    struct client *client = call->client;
    (void)pthread_mutex_lock(&client->mutex);
    list_remove(&await->link);
    if (call->task.is_queued) list_remove(&call->task.link);
    (void)pthread_mutex_unlock(&client->mutex);
    (void)tni_notice_post(client, &await->notice);
}

static void on_end_later(struct store_op *op, const struct store_result *result)
{
    struct await *await = CONTAINER_OF(op, struct await, call.op);
    enum tenure_err err = result->err;
    if (err == TENURE_OK) {
        await->taken = tni_taken_create(await->call.client->memory, &result->as.items.items[0]);
        if (await->taken == NULL) err = TENURE_NO_MEMORY;
    }
    tni_call_end(&await->call, err, result->text);
}

/* Beginning and cancelling: the same task. */
static void run(struct client *client, struct task *task)
{
    struct await *await = CONTAINER_OF(task, struct await, call.task);
    (void)pthread_mutex_lock(&client->mutex);
    bool is_canceled = await->is_canceled;
    (void)pthread_mutex_unlock(&client->mutex);
    if (await->call.op.is_started) {
        tni_store_cancel(client->store, &await->call.op);
    } else if (is_canceled) {
        tni_call_end(&await->call, TENURE_CANCELED, NULL);
    } else {
        tni_store_start(client->store, &await->call.op);
    }
}

void tni_await_cancel(struct client *client, uint64_t id)
{
    (void)pthread_mutex_lock(&client->mutex);
    list_foreach(each, &client->awaits) {
        struct await *await = CONTAINER_OF(each, struct await, link);
        if (await->id != id || await->is_canceled) continue;
        await->is_canceled = true;
        tni_client_queue(client, &await->call.task);
    }
    (void)pthread_mutex_unlock(&client->mutex);
}

enum tenure_err tenure_item_await_start(
    struct tenure_client handle,
    const struct tenure_await_options *options,
    tenure_await_fn fn,
    void *user,
    struct tenure_op *out_op,
    struct tenure_error *out_error)
{
    static _Atomic uint64_t id_last = UINT64_C(1) << 62;
    const char *fault = find_fault(options, fn != NULL);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");
    struct await *await = memory_take(client->memory, sizeof(*await));
    if (await == NULL) {
        tni_client_give(client);
        return tni_fail(out_error, TENURE_NO_MEMORY, NULL);
    }
    *await = (struct await){ .call = { .client = client, .finish = finish },
                             .notice = { .tell = tell },
                             .id = atomic_fetch_add(&id_last, 1) + 1,
                             .fn = fn,
                             .user = user };
    memcpy(await->queue, options->queue, strlen(options->queue) + 1);
    memcpy(await->item, options->id, strlen(options->id) + 1);
    list_init(&await->link);
    tni_call_prepare(&await->call);
    set_request(&await->call, await->queue, await->item, options->wait_ms);
    await->call.op.done = on_end_later;
    await->call.task.run = run;
    /* Behind this it may be over at any moment. */
    if (out_op != NULL) *out_op = (struct tenure_op){ await->id };
    if (tni_client_enlist(client, &client->awaits, &await->link, &await->call.task)) {
        return TENURE_OK;
    }
    free_await(await);
    return tni_fail(out_error, TENURE_CANCELED, "the client is being closed");
}
