#include "client/call.h"

#include <stdio.h>

static void start_op(struct client *client, struct task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    tni_store_start(client->store, &call->op);
}

void tni_call_prepare(struct call *call)
{
    const struct client *client = call->client;
    call->op.request.deadline = tni_deadline(client->timeout_ms);
    call->op.request.patience_ns = (int64_t)client->timeout_ms * NS_PER_MS / 2;
    call->op.done = tni_call_done;
    call->task.run = start_op;
}

bool tni_call_begin_with(struct call *call, struct client *client, struct tenure_error *out_error)
{
    *call = (struct call){ .client = client, .err = TENURE_OK };
    if (tni_client_is_inside(client)) {
        tni_client_give(client);
        call->err = tni_fail(
            out_error,
            TENURE_DEADLOCK,
            "a function that waits was called from inside a callback: it would wait for itself");
        return false;
    }
    tni_call_prepare(call);
    (void)pthread_mutex_init(&call->mutex, NULL);
    (void)pthread_cond_init(&call->ended, NULL);
    return true;
}

bool tni_call_begin(struct call *call, struct tenure_client handle, struct tenure_error *out_error)
{
    struct client *client = tni_client_take(handle);
    if (client != NULL) return tni_call_begin_with(call, client, out_error);
    call->err = tni_fail(out_error, TENURE_INVALID, "the client is closed");
    return false;
}

enum tenure_err tni_call_wait(struct call *call, bool is_begun, struct tenure_error *out_error)
{
    if (is_begun) {
        (void)pthread_mutex_lock(&call->mutex);
        while (!call->is_done) {
            (void)pthread_cond_wait(&call->ended, &call->mutex);
        }
        (void)pthread_mutex_unlock(&call->mutex);
    } else {
        call->err = TENURE_CANCELED;
        (void)snprintf(call->text, sizeof(call->text), "the client is being closed");
    }
    (void)pthread_mutex_destroy(&call->mutex);
    (void)pthread_cond_destroy(&call->ended);
    tni_client_give(call->client);
    return tni_fail(out_error, call->err, call->text[0] == '\0' ? NULL : call->text);
}

enum tenure_err tni_call_run(struct call *call, task_fn run, struct tenure_error *out_error)
{
    if (run != NULL) call->task.run = run;
    return tni_call_wait(call, tni_client_submit(call->client, &call->task), out_error);
}

void tni_call_end(struct call *call, enum tenure_err err, const char *text)
{
    if (call->finish != NULL) {
        call->err = err;
        if (text != NULL) (void)snprintf(call->text, sizeof(call->text), "%s", text);
        call->finish(call);
        return;
    }
    (void)pthread_mutex_lock(&call->mutex);
    call->err = err;
    if (text != NULL) (void)snprintf(call->text, sizeof(call->text), "%s", text);
    call->is_done = true;
    (void)pthread_cond_signal(&call->ended);
    (void)pthread_mutex_unlock(&call->mutex);
}

void tni_call_done(struct store_op *op, const struct store_result *result)
{
    tni_call_end(tni_call_of(op), result->err, result->text);
}
