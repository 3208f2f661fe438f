/* glib - callbacks on the thread of a GMainContext: GLib, GTK, GStreamer.
 *
 *     struct tenure_glib tenure;
 *     if (tenure_glib_attach(&tenure, NULL, client) != TENURE_OK) ...
 *     g_main_loop_run(loop);
 *
 * The client is opened with `is_dispatched`.  Detach before it is closed. */
#ifndef TENURE_ADAPTER_GLIB_H
#define TENURE_ADAPTER_GLIB_H

#include <tenure/client.h>

#include <glib-unix.h>
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, from attach to detach. */
struct tenure_glib {
    GSource *source;
    struct tenure_client client;
};

static inline gboolean tenure_glib_on_readable(gint fd, GIOCondition condition, gpointer user)
{
    struct tenure_glib *tenure = (struct tenure_glib *)user;
    (void)fd;
    (void)condition;
    /* The last thing: a callback may detach, and close the client. */
    (void)!tenure_client_dispatch(tenure->client);
    return G_SOURCE_CONTINUE;
}

/* `context` NULL: the default one.  TENURE_INVALID: not a client that is dispatched. */
TENURE_MUST_USE static inline enum tenure_err
tenure_glib_attach(struct tenure_glib *tenure, GMainContext *context, struct tenure_client client)
{
    int fd = tenure_client_fd(client);
    if (fd < 0) return TENURE_INVALID;
    tenure->client = client;
    tenure->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(
        tenure->source, (GSourceFunc)(void (*)(void))tenure_glib_on_readable, tenure, NULL);
    (void)g_source_attach(tenure->source, context);
    return TENURE_OK;
}

static inline void tenure_glib_detach(struct tenure_glib *tenure)
{
    g_source_destroy(tenure->source);
    g_source_unref(tenure->source);
    tenure->source = NULL;
}

#ifdef __cplusplus
}
#endif

#endif
