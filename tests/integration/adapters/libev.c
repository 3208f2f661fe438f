#include <tenure/adapter/libev.h>

#include "integration/adapters/loop.h"

static struct ev_loop *loop;
static struct tenure_libev tenure;

enum tenure_err loop_open(struct tenure_client client)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    enum tenure_err err = tenure_libev_attach(&tenure, loop, client);
    if (err != TENURE_OK) ev_loop_destroy(loop);
    return err;
}

void loop_turn(void)
{
    (void)ev_run(loop, EVRUN_ONCE);
}

void loop_detach(void)
{
    tenure_libev_detach(&tenure);
}

void loop_close(void)
{
    ev_loop_destroy(loop);
}
