#include <tenure/adapter/libuv.h>

#include "integration/adapters/loop.h"

static uv_loop_t loop;
static struct tenure_uv tenure;

enum tenure_err loop_open(struct tenure_client client)
{
    if (uv_loop_init(&loop) != 0) return TENURE_NO_MEMORY;
    enum tenure_err err = tenure_uv_attach(&tenure, &loop, client);
    if (err != TENURE_OK) (void)uv_loop_close(&loop);
    return err;
}

void loop_turn(void)
{
    (void)uv_run(&loop, UV_RUN_ONCE);
}

void loop_detach(void)
{
    tenure_uv_detach(&tenure, NULL);
}

void loop_close(void)
{
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
}
