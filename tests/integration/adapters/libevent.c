#include <tenure/adapter/libevent.h>

#include "integration/adapters/loop.h"

static struct event_base *base;
static struct tenure_libevent tenure;

enum tenure_err loop_open(struct tenure_client client)
{
    base = event_base_new();
    enum tenure_err err = tenure_libevent_attach(&tenure, base, client);
    if (err != TENURE_OK) event_base_free(base);
    return err;
}

void loop_turn(void)
{
    (void)event_base_loop(base, EVLOOP_ONCE);
}

void loop_detach(void)
{
    tenure_libevent_detach(&tenure);
}

void loop_close(void)
{
    event_base_free(base);
}
