/* poll - callbacks on the thread of a loop around poll(2).
 *
 *     struct pollfd fds[] = { tenure_poll_entry(client), { .fd = mine, .events = POLLIN } };
 *     while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
 *         if (tenure_poll_dispatch(client, &fds[0]) != TENURE_OK) break;
 *         ...
 *     }
 *
 * The client is opened with `is_dispatched`.  There is nothing to detach: leave the entry out when
 * the client is closed. */
#ifndef TENURE_ADAPTER_POLL_H
#define TENURE_ADAPTER_POLL_H

#include <tenure/client.h>

#include <poll.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to wait for.  Its descriptor is -1, which poll(2) passes over, when the client is not one
 * that is dispatched. */
static inline struct pollfd tenure_poll_entry(struct tenure_client client)
{
    struct pollfd entry;
    entry.fd = tenure_client_fd(client);
    entry.events = POLLIN;
    entry.revents = 0;
    return entry;
}

/* Behind poll(2): run what is due, if something is.  See tenure_client_dispatch(). */
TENURE_MUST_USE static inline enum tenure_err
tenure_poll_dispatch(struct tenure_client client, const struct pollfd *entry)
{
    return entry->revents == 0 ? TENURE_OK : tenure_client_dispatch(client);
}

#ifdef __cplusplus
}
#endif

#endif
