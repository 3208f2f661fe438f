#include "client/client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/utf8.h"
#include "client/hold.h"

#define URL_DEFAULT        "tenure://127.0.0.1:7420"
#define TIMEOUT_MS_DEFAULT 5000u
#define CLOCK_PPM_DEFAULT  10000u
#define CLOCK_PPM_MAX      500000u

/* ------------------------------------------------------------------ small things */

struct mono tni_deadline(uint32_t duration_ms)
{
    return (struct mono){ tni_store_now().ns + (int64_t)duration_ms * NS_PER_MS };
}

enum tenure_err tni_fail(struct tenure_error *out_error, enum tenure_err err, const char *text)
{
    if (out_error != NULL) {
        *out_error = (struct tenure_error){ .code = err };
        if (text == NULL) text = tenure_err_text(err);
        (void)snprintf(out_error->text, sizeof(out_error->text), "%s", text);
    }
    return err;
}

bool tni_is_plain(const char *text)
{
    if (text == NULL) return false;
    struct bytes bytes = bytes_from_text(text);
    return bytes.size > 0 && bytes.size <= LIMIT_NAME_SIZE_MAX && utf8_is_plain(bytes);
}

bool tni_is_text(const char *text, size_t size_max)
{
    if (text == NULL) return false;
    struct bytes bytes = bytes_from_text(text);
    return bytes.size <= size_max && utf8_is_valid(bytes);
}

/* ------------------------------------------------------------------ references */

struct client *tni_client_take_of(struct client *client)
{
    client->reference_count++;
    return client;
}

struct client *tni_client_take(struct tenure_client handle)
{
    tni_registry_lock();
    struct client *client = tni_registry_find_client(handle.id);
    if (client != NULL) client->reference_count++;
    tni_registry_unlock();
    return client;
}

static void destroy(struct client *client)
{
    if (client->notice_fd >= 0) (void)close(client->notice_fd);
    (void)pthread_cond_destroy(&client->still);
    (void)pthread_mutex_destroy(&client->mutex);
    memory_give(client->memory, client, sizeof(*client));
}

void tni_client_give(struct client *client)
{
    tni_registry_lock();
    ASSERT(client->reference_count > 0);
    bool is_last = --client->reference_count == 0;
    tni_registry_unlock();
    if (is_last) destroy(client);
}

bool tni_client_is_inside(const struct client *client)
{
    return pthread_equal(client->thread, pthread_self()) != 0;
}

/* ------------------------------------------------------------------ tasks */

void tni_client_queue(struct client *client, struct task *task)
{
    if (client->is_closing || task->is_queued) return;
    list_init(&task->link);
    list_append(&client->tasks, &task->link);
    task->is_queued = true;
    (void)uv_async_send(&client->wake);
}

bool tni_client_submit(struct client *client, struct task *task)
{
    (void)pthread_mutex_lock(&client->mutex);
    bool is_taken = !client->is_closing;
    tni_client_queue(client, task);
    (void)pthread_mutex_unlock(&client->mutex);
    return is_taken;
}

bool tni_client_enlist(
    struct client *client, struct list *list, struct list *link, struct task *task)
{
    (void)pthread_mutex_lock(&client->mutex);
    bool is_taken = !client->is_closing;
    if (is_taken) list_append(list, link);
    tni_client_queue(client, task);
    (void)pthread_mutex_unlock(&client->mutex);
    return is_taken;
}

static struct task *next_task(struct client *client)
{
    (void)pthread_mutex_lock(&client->mutex);
    struct list *first = list_first(&client->tasks);
    struct task *task = NULL;
    if (first != NULL) {
        task = CONTAINER_OF(first, struct task, link);
        list_remove(&task->link);
        task->is_queued = false;
    }
    (void)pthread_mutex_unlock(&client->mutex);
    return task;
}

static void run_tasks(struct client *client)
{
    struct task *task;
    while ((task = next_task(client)) != NULL) {
        task->run(client, task);
    }
}

/* ------------------------------------------------------------------ the thread */

static void close_all(struct client *client)
{
    client->is_closed = true;
    tni_watch_close_all(client);
    tni_election_close_all(client);
    tni_acquire_close_all(client);
    tni_take_close_all(client);
    tni_store_close(client->store);
    tni_hold_close_all(client);
    uv_close((uv_handle_t *)&client->wake, NULL);
    uv_close((uv_handle_t *)&client->timer, NULL);
    uv_close((uv_handle_t *)&client->alarm_timer, NULL);
}

static void on_wake(uv_async_t *wake)
{
    struct client *client = wake->data;
    run_tasks(client);
    (void)pthread_mutex_lock(&client->mutex);
    bool is_closing = client->is_closing;
    (void)pthread_mutex_unlock(&client->mutex);
    if (!is_closing || client->is_closed) return;
    /* No task comes any more, but what was left just before. */
    run_tasks(client);
    close_all(client);
}

static void on_time(uv_timer_t *timer)
{
    struct client *client = timer->data;
    int64_t now_ns = tni_store_now().ns;
    const struct heap_entry *first;
    while ((first = heap_first(&client->timers)) != NULL && first->key <= now_ns) {
        tni_hold_on_time(CONTAINER_OF(first->node, struct hold, timer));
    }
    tni_client_arm(client);
}

void tni_client_arm(struct client *client)
{
    const struct heap_entry *first = heap_first(&client->timers);
    if (client->is_closed) return;
    if (first == NULL) {
        (void)uv_timer_stop(&client->timer);
        return;
    }
    int64_t left_ns = first->key - tni_store_now().ns;
    uint64_t left_ms = left_ns <= 0 ? 0 : (uint64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
    uv_update_time(&client->loop);
    (void)uv_timer_start(&client->timer, on_time, left_ms, 0);
}

static void *run_thread(void *argument)
{
    struct client *client = argument;
    (void)uv_run(&client->loop, UV_RUN_DEFAULT);
    int failure = uv_loop_close(&client->loop);
    ASSERT(failure == 0);
    heap_deinit(&client->timers);
    /* Of a client that was closed from inside a callback nobody else takes care. */
    (void)pthread_mutex_lock(&client->mutex);
    bool is_own_end = client->is_own_end;
    (void)pthread_mutex_unlock(&client->mutex);
    if (is_own_end) {
        (void)pthread_detach(client->thread);
        tni_dispatch_finish(client);
        tni_client_give(client);
    }
    return NULL;
}

/* ------------------------------------------------------------------ open */

static const char *choose_url(const struct tenure_client_options *options)
{
    if (options != NULL && options->url != NULL) return options->url;
    const char *url = secure_getenv("TENURE_URL"); // NOLINT(concurrency-mt-unsafe): only reads
    return url != NULL && url[0] != '\0' ? url : URL_DEFAULT;
}

static enum tenure_err
check(const struct tenure_client_options *options, const char *url, struct tenure_error *out_error)
{
    if (options != NULL && options->size < sizeof(*options)) {
        return tni_fail(out_error, TENURE_INVALID, "size: it must be sizeof(*options)");
    }
    if (options != NULL && options->clock_error_ppm > CLOCK_PPM_MAX) {
        return tni_fail(out_error, TENURE_INVALID, "clock_error_ppm: 500000 at most");
    }
    if (strlen(url) >= CLIENT_URL_SIZE) {
        return tni_fail(out_error, TENURE_INVALID, "the URL is too long: 2047 bytes at most");
    }
    return tni_store_check_url(url, out_error);
}

/* False: the system has no more descriptors to give. */
static bool open_loop(struct client *client)
{
    if (client->is_dispatched) {
        client->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (client->notice_fd < 0) return false;
    }
    if (uv_loop_init(&client->loop) != 0) return false;
    if (uv_async_init(&client->loop, &client->wake, on_wake) != 0) {
        (void)uv_loop_close(&client->loop);
        return false;
    }
    (void)uv_timer_init(&client->loop, &client->timer);
    (void)uv_timer_init(&client->loop, &client->alarm_timer);
    client->wake.data = client;
    client->timer.data = client;
    client->alarm_timer.data = client;
    return true;
}

static void close_loop(struct client *client)
{
    uv_close((uv_handle_t *)&client->wake, NULL);
    uv_close((uv_handle_t *)&client->timer, NULL);
    uv_close((uv_handle_t *)&client->alarm_timer, NULL);
    (void)uv_run(&client->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&client->loop);
    heap_deinit(&client->timers);
}

/* Signals are the program's business: they come to its threads. */
static bool start_thread(struct client *client)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&client->thread, NULL, run_thread, client);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure == 0;
}

static struct client *create(const struct tenure_client_options *options, const char *url)
{
    const struct memory *memory = tni_allocator_use();
    struct client *client = memory_take(memory, sizeof(*client));
    if (client == NULL) return NULL;
    *client = (struct client){ .memory = memory,
                               .timeout_ms = TIMEOUT_MS_DEFAULT,
                               .clock_error_ppm = CLOCK_PPM_DEFAULT,
                               .is_dispatched = options != NULL && options->is_dispatched,
                               .notice_fd = -1,
                               .reference_count = 1 };
    (void)snprintf(client->url, sizeof(client->url), "%s", url);
    tni_owner_prefix(client->owner_prefix);
    if (options != NULL && options->timeout_ms > 0) client->timeout_ms = options->timeout_ms;
    if (options != NULL && options->clock_error_ppm > 0) {
        client->clock_error_ppm = options->clock_error_ppm;
    }
    (void)pthread_mutex_init(&client->mutex, NULL);
    (void)pthread_cond_init(&client->still, NULL);
    list_init(&client->tasks);
    list_init(&client->notices);
    list_init(&client->batch);
    list_init(&client->acquires);
    list_init(&client->holds);
    list_init(&client->watches);
    list_init(&client->observations);
    list_init(&client->takes);
    list_init(&client->awaits);
    heap_init(&client->timers, memory);
    return client;
}

static enum tenure_err open_store(struct client *client, struct tenure_error *out_error)
{
    struct store_options options = { .loop = &client->loop,
                                     .memory = client->memory,
                                     .url = client->url };
    if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed)) {
        options.seed = (uint64_t)tni_store_now().ns ^ (uint64_t)getpid();
    }
    enum tenure_err err = tni_store_open(&options, &client->store, out_error);
    /* From here on only people want to see it. */
    char url[CLIENT_URL_SIZE];
    memcpy(url, client->url, sizeof(url));
    tni_store_show_url(url, client->url, sizeof(client->url));
    explicit_bzero(url, sizeof(url));
    return err == TENURE_NO_MEMORY ? tni_fail(out_error, err, NULL) : err;
}

enum tenure_err tenure_client_open(
    const struct tenure_client_options *options,
    struct tenure_client *out_client,
    struct tenure_error *out_error)
{
    const char *url = choose_url(options);
    enum tenure_err err = check(options, url, out_error);
    if (err != TENURE_OK) return err;
    struct client *client = create(options, url);
    if (client == NULL) return tni_fail(out_error, TENURE_NO_MEMORY, NULL);
    if (!open_loop(client)) {
        destroy(client);
        return tni_fail(out_error, TENURE_NO_MEMORY, "the system has no descriptors left");
    }
    err = open_store(client, out_error);
    if (err != TENURE_OK) {
        close_loop(client);
        destroy(client);
        return err;
    }

    tni_registry_lock();
    client->id = tni_registry_add_client(client);
    client->epoch = tni_registry_epoch();
    bool is_running = client->id != 0 && start_thread(client);
    if (!is_running) tni_registry_remove_client(client->id);
    tni_registry_unlock();
    if (!is_running) {
        tni_store_close(client->store);
        close_loop(client);
        destroy(client);
        return tni_fail(out_error, TENURE_TOO_MANY, "too many clients or threads in this process");
    }
    *out_client = (struct tenure_client){ client->id };
    return TENURE_OK;
}

/* ------------------------------------------------------------------ close */

void tenure_client_close(struct tenure_client handle)
{
    tni_registry_lock();
    struct client *client = tni_registry_find_client(handle.id);
    if (client != NULL) tni_registry_remove_client(handle.id);
    tni_registry_unlock();
    /* The reference that the registry had is this function's now. */
    if (client == NULL) return;

    bool is_inside = tni_client_is_inside(client);
    (void)pthread_mutex_lock(&client->mutex);
    client->is_closing = true;
    client->is_own_end = is_inside;
    client->is_dispatch_end =
        client->is_dispatching && pthread_equal(client->dispatcher, pthread_self()) != 0;
    bool is_later = is_inside || client->is_dispatch_end;
    (void)uv_async_send(&client->wake);
    (void)pthread_mutex_unlock(&client->mutex);
    if (!is_later) tni_client_finish(client);
}

void tni_client_finish(struct client *client)
{
    (void)pthread_join(client->thread, NULL);
    tni_dispatch_finish(client);
    tni_client_give(client);
}

enum tenure_err tenure_client_url(struct tenure_client handle, char *out_text, size_t text_size)
{
    struct client *client = tni_client_take(handle);
    if (client == NULL) return TENURE_INVALID;
    enum tenure_err err = strlen(client->url) < text_size ? TENURE_OK : TENURE_TOO_LARGE;
    if (err == TENURE_OK) (void)snprintf(out_text, text_size, "%s", client->url);
    tni_client_give(client);
    return err;
}
