#include <tenure/client.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include "client/client.h"

/* ------------------------------------------------------------------ notices */

bool tni_notice_post(struct client *client, struct notice *notice)
{
    if (!client->is_dispatched) {
        notice->tell(client, notice);
        return true;
    }
    (void)pthread_mutex_lock(&client->mutex);
    bool is_new = !notice->is_posted;
    if (is_new) {
        bool is_first = list_is_empty(&client->notices);
        list_init(&notice->link);
        list_append(&client->notices, &notice->link);
        notice->is_posted = true;
        if (is_first) (void)eventfd_write(client->notice_fd, 1);
    }
    (void)pthread_mutex_unlock(&client->mutex);
    return is_new;
}

bool tni_notice_withdraw(struct client *client, struct notice *notice)
{
    (void)pthread_mutex_lock(&client->mutex);
    bool was_posted = notice->is_posted;
    if (was_posted) list_remove(&notice->link);
    notice->is_posted = false;
    (void)pthread_mutex_unlock(&client->mutex);
    return was_posted;
}

/* What is there now; what comes from here on makes the descriptor readable again. */
static void take_batch(struct client *client)
{
    eventfd_t count;
    struct list *first;
    if (client->notice_fd >= 0) (void)eventfd_read(client->notice_fd, &count);
    while ((first = list_first(&client->notices)) != NULL) {
        list_remove(first);
        list_append(&client->batch, first);
    }
}

/* The next notice of the batch, in no list any more; NULL: there is none.  Under the mutex. */
static struct notice *next_notice(struct client *client)
{
    struct list *first = list_first(&client->batch);
    if (first == NULL) return NULL;
    struct notice *notice = CONTAINER_OF(first, struct notice, link);
    list_remove(first);
    notice->is_posted = false;
    return notice;
}

/* Under the mutex, which is free while it tells.  False: a callback has forked, and this is the
 * child, in which nothing of the client is ours; the mutex is not taken again. */
static bool tell_batch(struct client *client, bool is_last)
{
    struct notice *notice;
    /* Who closes tells the rest. */
    while ((is_last || !client->is_closing) && (notice = next_notice(client)) != NULL) {
        (void)pthread_mutex_unlock(&client->mutex);
        notice->tell(client, notice);
        if (client->epoch != tni_registry_epoch()) return false;
        (void)pthread_mutex_lock(&client->mutex);
    }
    return true;
}

void tni_dispatch_finish(struct client *client)
{
    (void)pthread_mutex_lock(&client->mutex);
    while (client->is_dispatching) {
        (void)pthread_cond_wait(&client->still, &client->mutex);
    }
    bool is_ours = true;
    do {
        take_batch(client);
        is_ours = tell_batch(client, true);
        /* What was told may have made more to tell. */
    } while (is_ours && !list_is_empty(&client->notices));
    if (!is_ours) return;
    if (client->notice_fd >= 0) (void)close(client->notice_fd);
    client->notice_fd = -1;
    (void)pthread_mutex_unlock(&client->mutex);
}

/* ------------------------------------------------------------------ the public side */

int tenure_client_fd(struct tenure_client handle)
{
    struct client *client = tni_client_take(handle);
    if (client == NULL) return -1;
    (void)pthread_mutex_lock(&client->mutex);
    int fd = client->notice_fd;
    (void)pthread_mutex_unlock(&client->mutex);
    tni_client_give(client);
    return fd;
}

/* TENURE_OK: this thread is the one that dispatches. */
static enum tenure_err begin(struct client *client, bool *out_is_busy)
{
    enum tenure_err err = TENURE_OK;
    (void)pthread_mutex_lock(&client->mutex);
    *out_is_busy = client->is_dispatching;
    if (client->is_closing) {
        err = TENURE_INVALID;
    } else if (!client->is_dispatching) {
        client->is_dispatching = true;
        client->dispatcher = pthread_self();
        take_batch(client);
    } else if (pthread_equal(client->dispatcher, pthread_self()) != 0) {
        err = TENURE_DEADLOCK;
    }
    (void)pthread_mutex_unlock(&client->mutex);
    return err;
}

/* False: this is a child. */
static bool run_batch(struct client *client)
{
    (void)pthread_mutex_lock(&client->mutex);
    if (!tell_batch(client, false)) return false;
    bool is_end = client->is_dispatch_end;
    client->is_dispatching = false;
    (void)pthread_cond_broadcast(&client->still);
    (void)pthread_mutex_unlock(&client->mutex);
    if (is_end) tni_client_finish(client);
    return true;
}

enum tenure_err tenure_client_dispatch(struct tenure_client handle)
{
    struct client *client = tni_client_take(handle);
    if (client == NULL) return TENURE_INVALID;
    bool is_busy = false;
    enum tenure_err err = client->is_dispatched ? begin(client, &is_busy) : TENURE_INVALID;
    if (err == TENURE_OK && !is_busy && !run_batch(client)) return TENURE_OK;
    tni_client_give(client);
    return err;
}
