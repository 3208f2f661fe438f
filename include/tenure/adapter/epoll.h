/* epoll - callbacks on the thread of a loop around epoll_wait(2).
 *
 *     struct tenure_epoll tenure;
 *     if (tenure_epoll_attach(&tenure, epoll_fd, client) != TENURE_OK) ...
 *     for (;;) {
 *         int count = epoll_wait(epoll_fd, events, COUNT, -1);
 *         for (int i = 0; i < count; i++) {
 *             if (tenure_epoll_is_mine(&tenure, &events[i])) {
 *                 (void)!tenure_client_dispatch(tenure.client);
 *             } else ...
 *
 * The client is opened with `is_dispatched`.  Detach before it is closed. */
#ifndef TENURE_ADAPTER_EPOLL_H
#define TENURE_ADAPTER_EPOLL_H

#include <tenure/client.h>

#include <errno.h>
#include <sys/epoll.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, from attach to detach. */
struct tenure_epoll {
    struct tenure_client client;
    int epoll_fd;
};

/* TENURE_INVALID: not a client that is dispatched, or not an epoll.  TENURE_NO_MEMORY. */
TENURE_MUST_USE static inline enum tenure_err
tenure_epoll_attach(struct tenure_epoll *tenure, int epoll_fd, struct tenure_client client)
{
    struct epoll_event event;
    event.events = EPOLLIN;
    event.data.ptr = tenure;
    tenure->client = client;
    tenure->epoll_fd = epoll_fd;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tenure_client_fd(client), &event) == 0) return TENURE_OK;
    return errno == ENOMEM || errno == ENOSPC ? TENURE_NO_MEMORY : TENURE_INVALID;
}

/* Is it this one that epoll_wait(2) tells of? */
static inline bool
tenure_epoll_is_mine(const struct tenure_epoll *tenure, const struct epoll_event *event)
{
    return event->data.ptr == (const void *)tenure;
}

static inline void tenure_epoll_detach(struct tenure_epoll *tenure)
{
    (void)epoll_ctl(tenure->epoll_fd, EPOLL_CTL_DEL, tenure_client_fd(tenure->client), NULL);
}

#ifdef __cplusplus
}
#endif

#endif
