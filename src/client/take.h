/* take - requests of queues that wait: for items, and for the end of one. */
#ifndef TENURE_CLIENT_TAKE_H
#define TENURE_CLIENT_TAKE_H

#include "client/client.h"

/* By any thread; nothing happens when there is no such operation. */
void tni_take_cancel(struct client *client, uint64_t id);
void tni_await_cancel(struct client *client, uint64_t id);

#endif
