#include <tenure/adapter/poll.h>

#include "integration/adapters/loop.h"

static struct tenure_client attached;
static struct pollfd entry;

enum tenure_err loop_open(struct tenure_client client)
{
    attached = client;
    entry = tenure_poll_entry(client);
    return entry.fd < 0 ? TENURE_INVALID : TENURE_OK;
}

void loop_turn(void)
{
    if (poll(&entry, 1, -1) > 0) (void)!tenure_poll_dispatch(attached, &entry);
}

void loop_detach(void)
{
    entry.fd = -1;
}

void loop_close(void)
{}
