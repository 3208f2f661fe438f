#include <tenure/adapter/glib.h>

#include "integration/adapters/loop.h"

static GMainContext *context;
static struct tenure_glib tenure;

enum tenure_err loop_open(struct tenure_client client)
{
    context = g_main_context_new();
    enum tenure_err err = tenure_glib_attach(&tenure, context, client);
    if (err != TENURE_OK) g_main_context_unref(context);
    return err;
}

void loop_turn(void)
{
    (void)g_main_context_iteration(context, TRUE);
}

void loop_detach(void)
{
    tenure_glib_detach(&tenure);
}

void loop_close(void)
{
    g_main_context_unref(context);
}
