/* libevent - callbacks on the thread of an event_base.
 *
 *     struct tenure_libevent tenure;
 *     if (tenure_libevent_attach(&tenure, base, client) != TENURE_OK) ...
 *     event_base_dispatch(base);
 *
 * The client is opened with `is_dispatched`.  Detach before it is closed. */
#ifndef TENURE_ADAPTER_LIBEVENT_H
#define TENURE_ADAPTER_LIBEVENT_H

#include <tenure/client.h>

#include <event2/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, from attach to detach. */
struct tenure_libevent {
    struct event *event;
    struct tenure_client client;
};

static inline void tenure_libevent_on_readable(evutil_socket_t fd, short events, void *user)
{
    struct tenure_libevent *tenure = (struct tenure_libevent *)user;
    (void)fd;
    (void)events;
    /* The last thing: a callback may detach, and close the client. */
    (void)!tenure_client_dispatch(tenure->client);
}

/* TENURE_INVALID: not a client that is dispatched.  TENURE_NO_MEMORY. */
TENURE_MUST_USE static inline enum tenure_err tenure_libevent_attach(
    struct tenure_libevent *tenure, struct event_base *base, struct tenure_client client)
{
    int fd = tenure_client_fd(client);
    if (fd < 0) return TENURE_INVALID;
    tenure->client = client;
    tenure->event = event_new(base, fd, EV_READ | EV_PERSIST, tenure_libevent_on_readable, tenure);
    if (tenure->event == NULL) return TENURE_NO_MEMORY;
    if (event_add(tenure->event, NULL) == 0) return TENURE_OK;
    event_free(tenure->event);
    return TENURE_NO_MEMORY;
}

static inline void tenure_libevent_detach(struct tenure_libevent *tenure)
{
    event_free(tenure->event);
    tenure->event = NULL;
}

#ifdef __cplusplus
}
#endif

#endif
