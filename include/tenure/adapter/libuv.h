/* libuv - callbacks on the thread of a libuv loop.
 *
 *     struct tenure_uv tenure;
 *     if (tenure_uv_attach(&tenure, loop, client) != TENURE_OK) ...
 *     uv_run(loop, UV_RUN_DEFAULT);
 *
 * The client is opened with `is_dispatched`.  While it is attached the loop does not end by itself;
 * uv_unref((uv_handle_t *)&tenure.poll) changes that.  Detach before the client is closed. */
#ifndef TENURE_ADAPTER_LIBUV_H
#define TENURE_ADAPTER_LIBUV_H

#include <tenure/client.h>

#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, from attach until the loop has closed the handle, in the turn behind
 * detach. */
struct tenure_uv {
    uv_poll_t poll;
    struct tenure_client client;
};

static inline void tenure_uv_on_readable(uv_poll_t *poll, int status, int events)
{
    struct tenure_uv *tenure = (struct tenure_uv *)poll->data;
    (void)status;
    (void)events;
    /* The last thing: a callback may detach, and close the client. */
    (void)!tenure_client_dispatch(tenure->client);
}

/* TENURE_INVALID: not a client that is dispatched.  On the loop's thread. */
TENURE_MUST_USE static inline enum tenure_err
tenure_uv_attach(struct tenure_uv *tenure, uv_loop_t *loop, struct tenure_client client)
{
    tenure->client = client;
    tenure->poll.data = tenure;
    if (uv_poll_init(loop, &tenure->poll, tenure_client_fd(client)) != 0) return TENURE_INVALID;
    (void)uv_poll_start(&tenure->poll, UV_READABLE, tenure_uv_on_readable);
    return TENURE_OK;
}

/* `on_close` may be NULL; it gets &tenure->poll. */
static inline void tenure_uv_detach(struct tenure_uv *tenure, uv_close_cb on_close)
{
    (void)uv_poll_stop(&tenure->poll);
    uv_close((uv_handle_t *)&tenure->poll, on_close);
}

#ifdef __cplusplus
}
#endif

#endif
