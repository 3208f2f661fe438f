#include <tenure/watch.h>

#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "client/hold.h"
#include "client/view.h"

/* Of what was not dispatched yet, so much is kept for one watch; then it is interrupted, and taken
 * up again behind the last event that is here. */
#define KEPT_SIZE_MAX ((size_t)256 * 1024)

#define KINDS_SIZE 512u

/* An event that waits to be dispatched; its texts lie behind it. */
struct kept_event {
    struct list link;
    size_t size;
    bool is_begin; /* no event: it has begun behind `event.seq` */
    struct tenure_event event;
};

/* A public watch. */
struct watch {
    struct task task;
    struct client *client;
    uint64_t id;
    tenure_event_fn fn;
    tenure_watch_begun_fn begun_fn;
    tenure_watch_end_fn end_fn;
    void *user;

    /* Under the client's mutex. */
    struct list link; /* in client->watches */
    bool is_stopped;  /* nobody wants more */
    bool is_ended;    /* only the end has to be told */
    bool is_interrupted;
    struct notice notice;
    struct list kept;
    size_t kept_size;

    bool is_begun;
    enum tenure_err err;
    struct store_watch store_watch;
    char prefix[LIMIT_NAME_SIZE_MAX + 1]; /* or the channel */
    char kinds[KINDS_SIZE];
};

/* ------------------------------------------------------------------ telling */

static void free_kept(struct watch *watch, struct kept_event *kept)
{
    memory_give(watch->client->memory, kept, kept->size);
}

/* The next event to tell, or NULL.  Under the client's mutex. */
static struct kept_event *next_kept(struct watch *watch)
{
    struct list *first = list_first(&watch->kept);
    if (first == NULL) return NULL;
    struct kept_event *kept = CONTAINER_OF(first, struct kept_event, link);
    list_remove(first);
    watch->kept_size -= kept->size;
    return kept;
}

static void give_watch(struct watch *watch)
{
    memory_give(watch->client->memory, watch, sizeof(*watch));
}

/* False: no more is wanted. */
static bool tell_one(const struct watch *watch, const struct kept_event *kept)
{
    if (!kept->is_begin) return watch->fn(&kept->event, watch->user);
    watch->begun_fn(kept->event.seq, watch->user);
    return true;
}

/* Those that were there when it began; the next ones are for the next dispatch.  False: a callback
 * has forked, and this is the child.  Under the client's mutex. */
static bool tell_kept(struct client *client, struct watch *watch)
{
    const struct list *last = watch->kept.previous;
    struct kept_event *kept;
    bool is_last = false;
    while (!is_last && (kept = next_kept(watch)) != NULL) {
        bool is_wanted = !watch->is_stopped;
        is_last = &kept->link == last;
        (void)pthread_mutex_unlock(&client->mutex);
        if (is_wanted) is_wanted = tell_one(watch, kept);
        if (client->epoch != tni_registry_epoch()) return false;
        free_kept(watch, kept);
        (void)pthread_mutex_lock(&client->mutex);
        if (!is_wanted) watch->is_stopped = true;
    }
    return true;
}

static void tell(struct client *client, struct notice *notice)
{
    struct watch *watch = CONTAINER_OF(notice, struct watch, notice);
    (void)pthread_mutex_lock(&client->mutex);
    if (!tell_kept(client, watch)) return;
    bool is_more = !list_is_empty(&watch->kept);
    bool is_over = watch->is_ended && !is_more;
    bool is_task = watch->is_stopped || (watch->is_interrupted && !is_more);
    if (!watch->is_ended && is_task) tni_client_queue(client, &watch->task);
    /* It may have been posted again while it told. */
    if (is_over && notice->is_posted) list_remove(&notice->link);
    (void)pthread_mutex_unlock(&client->mutex);
    if (is_over) {
        if (watch->end_fn != NULL) watch->end_fn(watch->err, watch->user);
        give_watch(watch);
    } else if (is_more) {
        (void)tni_notice_post(client, notice);
    }
}

/* ------------------------------------------------------------------ on the client's thread */

static void end(struct watch *watch, enum tenure_err err)
{
    struct client *client = watch->client;
    tni_store_unwatch(client->store, &watch->store_watch);
    (void)pthread_mutex_lock(&client->mutex);
    list_remove(&watch->link);
    if (watch->task.is_queued) list_remove(&watch->task.link);
    watch->err = err;
    watch->is_ended = true;
    (void)pthread_mutex_unlock(&client->mutex);
    (void)tni_notice_post(client, &watch->notice);
}

static bool is_stopped(struct watch *watch)
{
    (void)pthread_mutex_lock(&watch->client->mutex);
    bool is_it = watch->is_stopped;
    (void)pthread_mutex_unlock(&watch->client->mutex);
    return is_it;
}

/* A copy at `*at`, which is moved behind it and the zero that it gets. */
static const char *keep_bytes(char **at, const void *bytes, size_t size)
{
    char *copy = *at;
    if (size > 0) memcpy(copy, bytes, size);
    copy[size] = '\0';
    *at = copy + size + 1;
    return copy;
}

static struct kept_event *copy_event(struct watch *watch, const struct tenure_event *event)
{
    struct tenure_event copy = *event;
    const char **const texts[] = { &copy.kind, &copy.name,  &copy.owner, &copy.meta,  &copy.reason,
                                   &copy.id,   &copy.group, &copy.lock,  &copy.member };
    const size_t text_count = sizeof(texts) / sizeof(texts[0]);
    size_t size = sizeof(struct kept_event) + event->value_size + event->previous_size + 2;
    for (size_t index = 0; index < text_count; index++) {
        size += strlen(*texts[index]) + 1;
    }
    struct kept_event *kept = memory_take(watch->client->memory, size);
    if (kept == NULL) return NULL;
    char *at = (char *)(kept + 1);
    for (size_t index = 0; index < text_count; index++) {
        *texts[index] = keep_bytes(&at, *texts[index], strlen(*texts[index]));
    }
    copy.value = keep_bytes(&at, event->value, event->value_size);
    copy.previous = keep_bytes(&at, event->previous, event->previous_size);
    *kept = (struct kept_event){ .size = size, .event = copy };
    list_init(&kept->link);
    return kept;
}

/* For the next dispatch.  False: no more for now; `err` says why when it is not that there is too
 * much already. */
static bool keep_event(struct watch *watch, const struct tenure_event *event, bool is_begin)
{
    struct client *client = watch->client;
    struct kept_event *kept = copy_event(watch, event);
    if (kept == NULL) {
        watch->err = TENURE_NO_MEMORY;
        return false;
    }
    kept->is_begin = is_begin;
    (void)pthread_mutex_lock(&client->mutex);
    list_append(&watch->kept, &kept->link);
    watch->kept_size += kept->size;
    watch->is_interrupted = watch->kept_size > KEPT_SIZE_MAX;
    bool is_more = !watch->is_interrupted;
    (void)pthread_mutex_unlock(&client->mutex);
    (void)tni_notice_post(client, &watch->notice);
    return is_more;
}

static bool on_event(struct store_watch *store_watch, const struct store_event *event)
{
    struct watch *watch = CONTAINER_OF(store_watch, struct watch, store_watch);
    struct tenure_event public_event = tni_event_of(event);
    if (is_stopped(watch)) return false;
    if (watch->client->is_dispatched) return keep_event(watch, &public_event, false);
    return watch->fn(&public_event, watch->user);
}

static void on_begun(struct store_watch *store_watch)
{
    struct watch *watch = CONTAINER_OF(store_watch, struct watch, store_watch);
    struct store_event nothing = { STORE_EVENT_EMPTY };
    if (is_stopped(watch)) return;
    if (!watch->client->is_dispatched) {
        watch->begun_fn(store_watch->since, watch->user);
        return;
    }
    nothing.seq = store_watch->since;
    struct tenure_event event = tni_event_of(&nothing);
    /* Without memory the next event ends it. */
    (void)keep_event(watch, &event, true);
}

static void on_end(struct store_watch *store_watch, enum tenure_err err)
{
    struct watch *watch = CONTAINER_OF(store_watch, struct watch, store_watch);
    (void)pthread_mutex_lock(&watch->client->mutex);
    bool is_interrupted = watch->is_interrupted && !watch->is_stopped;
    (void)pthread_mutex_unlock(&watch->client->mutex);
    if (is_interrupted && err == TENURE_CANCELED) return;
    end(watch, watch->err == TENURE_OK ? err : watch->err);
}

/* Beginning, taking up again and stopping: the same task. */
static void run(struct client *client, struct task *task)
{
    struct watch *watch = CONTAINER_OF(task, struct watch, task);
    if (is_stopped(watch)) {
        end(watch, TENURE_CANCELED);
        return;
    }
    (void)pthread_mutex_lock(&client->mutex);
    bool is_due = !watch->is_begun || (watch->is_interrupted && list_is_empty(&watch->kept));
    if (is_due) watch->is_interrupted = false;
    (void)pthread_mutex_unlock(&client->mutex);
    if (!is_due) return;
    watch->is_begun = true;
    enum tenure_err err = tni_store_watch(client->store, &watch->store_watch);
    if (err != TENURE_OK) end(watch, err);
}

/* ------------------------------------------------------------------ the public side */

static const char *find_fault(const struct tenure_watch_options *options)
{
    if (options == NULL || options->size < sizeof(*options)) {
        return "size: it must be sizeof(*options)";
    }
    if (options->on_event == NULL) return "on_event: it is missing";
    if (options->prefix != NULL && !tni_is_text(options->prefix, LIMIT_NAME_SIZE_MAX)) {
        return "prefix: up to 255 bytes of UTF-8";
    }
    if (options->is_exact && !tni_is_plain(options->prefix)) {
        return "prefix: with is_exact a name, 1 to 255 bytes of UTF-8 without control characters";
    }
    if (options->kinds != NULL && !tni_is_text(options->kinds, KINDS_SIZE - 1)) {
        return "kinds: words with commas between them";
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
                             .notice = { .tell = tell },
                             .fn = options->on_event,
                             .begun_fn = options->on_begun,
                             .end_fn = options->on_end,
                             .user = options->user };
    const char *prefix = options->prefix == NULL ? "" : options->prefix;
    const char *kinds = options->kinds == NULL ? "" : options->kinds;
    (void)snprintf(watch->prefix, sizeof(watch->prefix), "%s", prefix);
    (void)snprintf(watch->kinds, sizeof(watch->kinds), "%s", kinds);
    watch->store_watch = (struct store_watch){
        .prefix = watch->prefix,
        .kinds = kinds[0] == '\0' ? NULL : watch->kinds,
        .since = options->since,
        .has_since = options->is_from_start,
        .is_exact = options->is_exact,
        .has_previous = options->has_previous,
        .begun = options->on_begun == NULL ? NULL : on_begun,
        .event = on_event,
        .end = on_end,
    };
    list_init(&watch->link);
    list_init(&watch->kept);
    return watch;
}

/* A watch, or a subscription, which is one whose store watch has a channel. */
static enum tenure_err open_watch(
    struct tenure_client handle,
    const struct tenure_watch_options *options,
    const struct tenure_subscribe_options *subscribe,
    struct tenure_watch *out_watch,
    struct tenure_error *out_error)
{
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");
    struct watch *watch = create(client, options);
    if (watch == NULL) {
        tni_client_give(client);
        return tni_fail(out_error, TENURE_NO_MEMORY, NULL);
    }
    if (subscribe != NULL) {
        (void)snprintf(watch->prefix, sizeof(watch->prefix), "%s", subscribe->channel);
        watch->store_watch.channel = watch->prefix;
        watch->store_watch.is_pattern = subscribe->is_pattern;
    }
    out_watch->id = watch->id;
    enum tenure_err err = TENURE_OK;
    if (!tni_client_enlist(client, &client->watches, &watch->link, &watch->task)) {
        give_watch(watch);
        err = tni_fail(out_error, TENURE_CANCELED, "the client is being closed");
    }
    tni_client_give(client);
    return err;
}

enum tenure_err tenure_watch_open(
    struct tenure_client handle,
    const struct tenure_watch_options *options,
    struct tenure_watch *out_watch,
    struct tenure_error *out_error)
{
    const char *fault = find_fault(options);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    return open_watch(handle, options, NULL, out_watch, out_error);
}

enum tenure_err tenure_subscribe(
    struct tenure_client handle,
    const struct tenure_subscribe_options *options,
    struct tenure_watch *out_watch,
    struct tenure_error *out_error)
{
    const char *fault = NULL;
    if (options == NULL || options->size < sizeof(*options)) {
        fault = "size: it must be sizeof(*options)";
    } else if (options->on_message == NULL) {
        fault = "on_message: it is missing";
    } else if (
        options->channel == NULL || options->channel[0] == '\0' ||
        strlen(options->channel) > LIMIT_NAME_SIZE_MAX)
    {
        fault = "channel: 1 to 255 bytes";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    struct tenure_watch_options watch = { .size = sizeof(watch),
                                          .on_event = options->on_message,
                                          .on_begun = options->on_begun,
                                          .on_end = options->on_end,
                                          .user = options->user };
    return open_watch(handle, &watch, options, out_watch, out_error);
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
        tni_client_queue(client, &watch->task);
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

/* Is a lock held?  Of the items of queues nobody needs to be told in a hurry. */
static bool has_lock(const struct client *client)
{
    list_foreach(each, &client->holds) {
        if (CONTAINER_OF_CONST(each, struct hold, link)->taken == NULL) return true;
    }
    return false;
}

/* The one name that is held; empty when there are several, or many may hold it at a time. */
static const char *only_name(const struct client *client)
{
    const struct hold *only = NULL;
    list_foreach(each, &client->holds) {
        const struct hold *hold = CONTAINER_OF_CONST(each, struct hold, link);
        if (hold->taken != NULL) continue;
        if (only != NULL) return "";
        only = hold;
    }
    return only != NULL && only->name_count == 1 && only->is_sole ? only->names[0] : "";
}

static void on_alarm_begun(struct store_watch *alarm)
{
    struct client *client = CONTAINER_OF(alarm, struct client, alarm);
    /* Only at the first time: over lost connections it misses nothing. */
    alarm->begun = NULL;
    list_foreach_safe(each, following, &client->holds) {
        struct hold *hold = CONTAINER_OF(each, struct hold, link);
        if (!hold->is_passive && hold->taken == NULL) tni_hold_hint(hold);
    }
}

static bool on_break(struct store_watch *alarm, const struct store_event *event)
{
    struct client *client = CONTAINER_OF(alarm, struct client, alarm);
    list_foreach_safe(each, following, &client->holds) {
        struct hold *hold = CONTAINER_OF(each, struct hold, link);
        if (atomic_load(&hold->is_handing_over) || hold->taken != NULL) continue;
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
    if (!has_lock(client)) {
        (void)uv_timer_stop(&client->alarm_timer);
        stop_alarm(client);
    } else if (uv_is_active((const uv_handle_t *)&client->alarm_timer) == 0) {
        uv_update_time(&client->loop);
        (void)uv_timer_start(&client->alarm_timer, on_alarm_time, ALARM_MS, 0);
    }
}
