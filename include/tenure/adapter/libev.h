/* libev - callbacks on the thread of a libev loop.
 *
 *     struct tenure_libev tenure;
 *     if (tenure_libev_attach(&tenure, loop, client) != TENURE_OK) ...
 *     ev_run(loop, 0);
 *
 * The client is opened with `is_dispatched`.  Detach before it is closed. */
#ifndef TENURE_ADAPTER_LIBEV_H
#define TENURE_ADAPTER_LIBEV_H

#include <tenure/client.h>

#include <ev.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, from attach to detach. */
struct tenure_libev {
    ev_io io;
    struct ev_loop *loop;
    struct tenure_client client;
};

static inline void tenure_libev_on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct tenure_libev *tenure = (struct tenure_libev *)io->data;
    (void)loop;
    (void)events;
    /* The last thing: a callback may detach, and close the client. */
    (void)!tenure_client_dispatch(tenure->client);
}

/* TENURE_INVALID: not a client that is dispatched. */
TENURE_MUST_USE static inline enum tenure_err
tenure_libev_attach(struct tenure_libev *tenure, struct ev_loop *loop, struct tenure_client client)
{
    int fd = tenure_client_fd(client);
    if (fd < 0) return TENURE_INVALID;
    tenure->client = client;
    tenure->loop = loop;
    ev_io_init(&tenure->io, tenure_libev_on_readable, fd, EV_READ);
    tenure->io.data = tenure;
    ev_io_start(loop, &tenure->io);
    return TENURE_OK;
}

static inline void tenure_libev_detach(struct tenure_libev *tenure)
{
    ev_io_stop(tenure->loop, &tenure->io);
}

#ifdef __cplusplus
}
#endif

#endif
