#include <tenure/watch.h>

#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "client/hold.h"
#include "client/view.h"

/* A public watch. */
struct watch {
    struct task task;
    struct client *client;
    uint64_t id;
    tenure_event_fn fn;
    tenure_watch_end_fn end_fn;
    void *user;
    struct list link; /* in client->watches, under the client's mutex */
    bool is_stopped;  /* under the client's mutex */
    bool is_begun;
    struct store_watch store_watch;
    char prefix[LIMIT_NAME_SIZE_MAX + 1];
};

static void end(struct watch *watch, enum tenure_err err)
{
    struct client *client = watch->client;
    tni_store_unwatch(client->store, &watch->store_watch);
    (void)pthread_mutex_lock(&client->mutex);
    list_remove(&watch->link);
    if (watch->task.is_queued) list_remove(&watch->task.link);
    (void)pthread_mutex_unlock(&client->mutex);
    if (watch->end_fn != NULL) watch->end_fn(err, watch->user);
    memory_give(client->memory, watch, sizeof(*watch));
}

static bool is_stopped(struct watch *watch)
{
    (void)pthread_mutex_lock(&watch->client->mutex);
    bool is_it = watch->is_stopped;
    (void)pthread_mutex_unlock(&watch->client->mutex);
    return is_it;
}

static bool on_event(struct store_watch *store_watch, const struct store_event *event)
{
    struct watch *watch = CONTAINER_OF(store_watch, struct watch, store_watch);
    struct tenure_event public_event = tni_event_of(event);
    if (is_stopped(watch)) return false;
    return watch->fn(&public_event, watch->user);
}

static void on_end(struct store_watch *store_watch, enum tenure_err err)
{
    end(CONTAINER_OF(store_watch, struct watch, store_watch), err);
}

/* Beginning and stopping: the same task. */
static void run(struct client *client, struct task *task)
{
    struct watch *watch = CONTAINER_OF(task, struct watch, task);
    if (is_stopped(watch)) {
        end(watch, TENURE_CANCELED);
        return;
    }
    if (watch->is_begun) return;
    watch->is_begun = true;
    enum tenure_err err = tni_store_watch(client->store, &watch->store_watch);
    if (err != TENURE_OK) end(watch, err);
}

static const char *find_fault(const struct tenure_watch_options *options)
{
    if (options == NULL || options->size < sizeof(*options)) {
        return "size: it must be sizeof(*options)";
    }
    if (options->on_event == NULL) return "on_event: it is missing";
    if (options->prefix != NULL && !tni_is_text(options->prefix, LIMIT_NAME_SIZE_MAX)) {
        return "prefix: up to 255 bytes of UTF-8";
    }
    return NULL;
}

static struct watch *create(struct client *client, const struct tenure_watch_options *options)
{
    static _Atomic uint64_t id_last;
    struct watch *watch = memory_take(client->memory, sizeof(*watch));
    if (watch == NULL) return NULL;
    *watch = (struct watch){ .task = { .run = run },
                             .client = client,
                             .id = atomic_fetch_add(&id_last, 1) + 1,
                             .fn = options->on_event,
                             .end_fn = options->on_end,
                             .user = options->user };
    const char *prefix = options->prefix == NULL ? "" : options->prefix;
    (void)snprintf(watch->prefix, sizeof(watch->prefix), "%s", prefix);
    watch->store_watch = (struct store_watch){
        .prefix = watch->prefix, .since = options->since, .event = on_event, .end = on_end
    };
    list_init(&watch->link);
    return watch;
}

enum tenure_err tenure_watch_open(
    struct tenure_client handle,
    const struct tenure_watch_options *options,
    struct tenure_watch *out_watch,
    struct tenure_error *out_error)
{
    const char *fault = find_fault(options);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");
    struct watch *watch = create(client, options);
    if (watch == NULL) {
        tni_client_give(client);
        return tni_fail(out_error, TENURE_NO_MEMORY, NULL);
    }
    out_watch->id = watch->id;
    (void)pthread_mutex_lock(&client->mutex);
    list_append(&client->watches, &watch->link);
    (void)pthread_mutex_unlock(&client->mutex);
    enum tenure_err err = TENURE_OK;
    if (!tni_client_submit(client, &watch->task)) {
        (void)pthread_mutex_lock(&client->mutex);
        list_remove(&watch->link);
        (void)pthread_mutex_unlock(&client->mutex);
        memory_give(client->memory, watch, sizeof(*watch));
        err = tni_fail(out_error, TENURE_CANCELED, "the client is being closed");
    }
    tni_client_give(client);
    return err;
}

void tenure_watch_close(struct tenure_client handle, struct tenure_watch watch_handle)
{
    struct client *client = tni_client_take(handle);
    if (client == NULL) return;
    (void)pthread_mutex_lock(&client->mutex);
    list_foreach(each, &client->watches) {
        struct watch *watch = CONTAINER_OF(each, struct watch, link);
        if (watch->id != watch_handle.id || watch->is_stopped) continue;
        watch->is_stopped = true;
        if (!watch->task.is_queued && !client->is_closing) {
            list_init(&watch->task.link);
            list_append(&client->tasks, &watch->task.link);
            watch->task.is_queued = true;
            (void)uv_async_send(&client->wake);
        }
    }
    (void)pthread_mutex_unlock(&client->mutex);
    tni_client_give(client);
}

static void stop_alarm(struct client *client)
{
    if (client->has_alarm) tni_store_unwatch(client->store, &client->alarm);
    client->has_alarm = false;
}

void tni_watch_close_all(struct client *client)
{
    for (;;) {
        (void)pthread_mutex_lock(&client->mutex);
        struct list *first = list_first(&client->watches);
        (void)pthread_mutex_unlock(&client->mutex);
        if (first == NULL) break;
        end(CONTAINER_OF(first, struct watch, link), TENURE_CANCELED);
    }
    stop_alarm(client);
}

/* ------------------------------------------------------------------ the alarm */

/* An administrator does not wait until a holder asks again: while there are holds, somebody listens
 * to breaks.  With one name it listens to that name's releases, too: a leadership that is handed
 * over, or a release by somebody who knows owner and token; with many names, or many holders of
 * one, that would be too many events.  It is a hint; what is true, the renewal that it causes will
 * tell.
 *
 * It is a connection of its own, so it is made only for holds that last.  What happened until then
 * the first renewal tells, which is sent when the alarm begins. */
#define ALARM_MS 100u

/* The one name that is held; empty when there are several, or many may hold it at a time. */
static const char *only_name(const struct client *client)
{
    const struct list *first = list_first(&client->holds);
    if (first == NULL || first->next != &client->holds) return "";
    const struct hold *hold = CONTAINER_OF_CONST(first, struct hold, link);
    return hold->name_count == 1 && hold->is_sole ? hold->names[0] : "";
}

static void on_alarm_begun(struct store_watch *alarm)
{
    struct client *client = CONTAINER_OF(alarm, struct client, alarm);
    /* Only at the first time: over lost connections it misses nothing. */
    alarm->begun = NULL;
    list_foreach_safe(each, following, &client->holds) {
        struct hold *hold = CONTAINER_OF(each, struct hold, link);
        if (!hold->is_passive) tni_hold_hint(hold);
    }
}

static bool on_break(struct store_watch *alarm, const struct store_event *event)
{
    struct client *client = CONTAINER_OF(alarm, struct client, alarm);
    list_foreach_safe(each, following, &client->holds) {
        struct hold *hold = CONTAINER_OF(each, struct hold, link);
        if (atomic_load(&hold->is_handing_over)) continue;
        for (uint32_t index = 0; index < hold->name_count; index++) {
            if (hold->claims[index].token != event->token) continue;
            if (strcmp(hold->claims[index].name, event->name) != 0) continue;
            tni_hold_hint(hold);
            break;
        }
    }
    return true;
}

static void on_alarm_end(struct store_watch *alarm, enum tenure_err err)
{
    struct client *client = CONTAINER_OF(alarm, struct client, alarm);
    client->has_alarm = false;
    if (err == TENURE_COMPACTED) tni_client_mind_alarm(client);
}

static void on_alarm_time(uv_timer_t *timer)
{
    struct client *client = timer->data;
    const char *name = only_name(client);
    if (client->has_alarm && strcmp(client->alarm_name, name) == 0) return;
    stop_alarm(client);
    (void)snprintf(client->alarm_name, sizeof(client->alarm_name), "%s", name);
    client->alarm = (struct store_watch){
        .prefix = client->alarm_name,
        .kinds = name[0] == '\0' ? "breaking,broken" : "breaking,broken,released",
        .begun = on_alarm_begun,
        .event = on_break,
        .end = on_alarm_end,
    };
    /* Without memory for it, the next renewal finds out. */
    client->has_alarm = tni_store_watch(client->store, &client->alarm) == TENURE_OK;
}

void tni_client_mind_alarm(struct client *client)
{
    if (client->is_closed) return;
    if (list_is_empty(&client->holds)) {
        (void)uv_timer_stop(&client->alarm_timer);
        stop_alarm(client);
    } else if (uv_is_active((const uv_handle_t *)&client->alarm_timer) == 0) {
        uv_update_time(&client->loop);
        (void)uv_timer_start(&client->alarm_timer, on_alarm_time, ALARM_MS, 0);
    }
}
