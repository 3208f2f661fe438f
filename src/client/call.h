/* call - a blocking function: leave a task, and wait until it is done.
 *
 *     struct call call;
 *     if (!tni_call_begin(&call, handle, out_error)) return call.err;
 *     ... fill in call.op.request and call.op.done ...
 *     return tni_call_run(&call, out_error);
 *
 * Everything lies on the caller's stack: the caller waits until nobody knows it any more.  For the
 * form that does not wait see later.h. */
#ifndef TENURE_CLIENT_CALL_H
#define TENURE_CLIENT_CALL_H

#include "client/client.h"

struct call {
    struct task task;
    struct client *client;
    struct store_op op;
    void *user; /* the function's */

    void (*finish)(struct call *call); /* NULL: somebody waits */
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool is_done;
    enum tenure_err err;
    char text[sizeof(((struct tenure_error *)NULL)->text)];
};

/* Of a call with a client: the deadline, and what runs unless something else is set. */
void tni_call_prepare(struct call *call);
/* A reference to the client.  False: the handle is not good, or this is the client's own thread;
 * `err` and `out_error` say so. */
MUST_USE bool
tni_call_begin(struct call *call, struct tenure_client handle, struct tenure_error *out_error);
/* The same, when a reference was taken already. */
MUST_USE bool
tni_call_begin_with(struct call *call, struct client *client, struct tenure_error *out_error);
/* Run the task (NULL: start call->op) on the client's thread and wait for tni_call_end. */
enum tenure_err tni_call_run(struct call *call, task_fn run, struct tenure_error *out_error);
/* The same for what was begun in another way, or could not be begun. */
enum tenure_err tni_call_wait(struct call *call, bool is_begun, struct tenure_error *out_error);
/* On the client's thread, once: the caller goes on, and `call` is gone.  Of a call for which nobody
 * waits, `finish` is called with `err` and `text` filled in. */
void tni_call_end(struct call *call, enum tenure_err err, const char *text);
/* The same for an operation that has nothing to say but its outcome: store_done_fn. */
void tni_call_done(struct store_op *op, const struct store_result *result);

static inline struct call *tni_call_of(struct store_op *op)
{
    return CONTAINER_OF(op, struct call, op);
}

#endif
