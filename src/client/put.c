#include <tenure/queue.h>

#include <stdio.h>
#include <string.h>

#include "client/call.h"
#include "client/taken.h"

/* One request has a limited number of words and bytes: many items go in several, one after the
 * other. */
#define REQUEST_ITEM_COUNT_MAX 96u
#define REQUEST_BYTES_MAX      ((size_t)768 * 1024)

/* A put under way; what it needs lies behind it, or with a caller who waits. */
struct put {
    struct call call;
    struct notice notice;
    tenure_put_fn fn; /* NULL: somebody waits */
    void *user;
    const char *queue; /* of the items of the request that is under way */
    struct store_put *items;
    const char **queues; /* of each */
    const struct store_schedule *schedule;
    struct tenure_put_result *results;
    uint32_t count;
    uint32_t sent_count;    /* have an answer */
    uint32_t request_count; /* of the request that is under way */
    size_t size;
};

/* ------------------------------------------------------------------ checks */

static const char *find_text_fault(const struct tenure_put_options *item)
{
    if (!tni_is_plain(item->queue)) {
        return "queue: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (item->id != NULL && !tni_is_plain(item->id)) {
        return "id: 1 to 255 bytes of UTF-8 without control characters";
    }
    bool has_group = item->group != NULL && item->group[0] != '\0';
    if (has_group && !tni_is_plain(item->group)) {
        return "group: up to 255 bytes of UTF-8 without control characters";
    }
    if (item->headers != NULL && !tni_is_text(item->headers, LIMIT_META_SIZE_MAX)) {
        return "headers: up to 4096 bytes of UTF-8";
    }
    if (item->body == NULL && item->body_size > 0) return "body: it is missing";
    bool has_key = item->unique_key != NULL;
    if (has_key != (item->unique != TENURE_UNIQUE_NONE)) {
        return "unique: a key and how long it keeps others out";
    }
    if (has_key && !tni_is_plain(item->unique_key)) {
        return "unique_key: 1 to 255 bytes of UTF-8 without control characters";
    }
    return NULL;
}

static const char *find_item_fault(const struct tenure_put_options *item)
{
    const char *fault = find_text_fault(item);
    if (fault != NULL) return fault;
    if (item->priority > LIMIT_PRIORITY_MAX) return "priority: 9 at most";
    if (item->delay_ms > 0 && item->run_at_us > 0) return "delay_ms, or run_at_us";
    if (item->run_at_us < 0 || item->run_at_us > LIMIT_RUN_AT_US_MAX) {
        return "run_at_us: up to the year 9999";
    }
    if (item->lease_ms != 0 &&
        (item->lease_ms < LIMIT_TTL_MS_MIN || item->lease_ms > LIMIT_TTL_MS_MAX)) {
        return "lease_ms: 100 to 86400000";
    }
    if (item->timeout_ms > LIMIT_TIMEOUT_MS_MAX) return "timeout_ms: 2592000000 at most";
    if ((unsigned)item->unique > TENURE_UNIQUE_WINDOW) return "unique: no such scope";
    if ((unsigned)item->conflict > TENURE_CONFLICT_KEEP_LAST) return "conflict: no such rule";
    bool is_window = item->unique == TENURE_UNIQUE_WINDOW;
    if (is_window != (item->unique_ms > 0)) return "unique_ms: how long the window is";
    return NULL;
}

static const struct tenure_put_options *
item_at(const struct tenure_put_options *items, uint32_t index)
{
    /* A program of a newer header may have larger ones. */
    const char *first = (const char *)items;
    return (const struct tenure_put_options *)(const void *)(first + index * items->size);
}

static enum tenure_err
find_fault(const struct tenure_put_options *items, uint32_t count, const char **out_fault)
{
    if (items == NULL || count == 0 || count > LIMIT_ITEM_COUNT_MAX) {
        *out_fault = "items: 1 to 1024 in one put";
        return TENURE_INVALID;
    }
    for (uint32_t index = 0; index < count; index++) {
        const struct tenure_put_options *item = item_at(items, index);
        bool is_sized = items->size >= sizeof(*item) && item->size == items->size;
        *out_fault = is_sized ? find_item_fault(item) : "size: it must be sizeof(*items)";
        if (*out_fault != NULL) return TENURE_INVALID;
        if (item->body_size > LIMIT_BODY_SIZE_MAX) {
            *out_fault = "body: 1048576 bytes at most";
            return TENURE_TOO_LARGE;
        }
    }
    return TENURE_OK;
}

/* ------------------------------------------------------------------ the block */

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static size_t kept_size(const struct tenure_put_options *item)
{
    return text_size(item->queue) + text_size(item->id) + text_size(item->group) +
           text_size(item->headers) + text_size(item->unique_key) + item->body_size;
}

/* A copy at `*at`, which is moved behind it; NULL stays NULL. */
static const char *keep(char **at, const char *text, size_t size)
{
    char *copy = *at;
    if (text == NULL) return NULL;
    if (size > 0) memcpy(copy, text, size);
    *at = copy + size;
    return copy;
}

static struct store_put copy_item(const struct tenure_put_options *item, char **at)
{
    return (struct store_put){
        .id = keep(at, item->id, text_size(item->id)),
        .group = keep(at, item->group, text_size(item->group)),
        .headers = keep(at, item->headers, text_size(item->headers)),
        .body = { item->body_size == 0 ? "" : keep(at, item->body, item->body_size),
                  item->body_size },
        .priority = item->priority,
        .delay_ms = item->delay_ms,
        .run_at_us = item->run_at_us,
        .expire_ms = item->expire_ms,
        .lease_ms = item->lease_ms,
        .timeout_ms = item->timeout_ms,
        .attempts_max = item->attempts_max,
        .lapses_max = item->lapses_max,
        .backoff_ms = item->backoff_ms,
        .backoff_ms_max = item->backoff_ms_max,
        .jitter_percent = item->jitter_percent,
        .retention_ms = item->retention_ms,
        .is_backoff_fixed = item->is_backoff_fixed,
        .unique_key = keep(at, item->unique_key, text_size(item->unique_key)),
        .unique = (enum store_unique)item->unique,
        .conflict = (enum store_conflict)item->conflict,
        .unique_ms = item->unique_ms,
    };
}

/* NULL: there is no memory. */
static struct put *
create(const struct memory *memory, const struct tenure_put_options *items, uint32_t count)
{
    size_t size = sizeof(struct put) + count * (sizeof(struct store_put) + sizeof(const char *) +
                                                sizeof(struct tenure_put_result));
    for (uint32_t index = 0; index < count; index++) {
        size += kept_size(item_at(items, index));
    }
    struct put *put = memory_take(memory, size);
    if (put == NULL) return NULL;
    *put = (struct put){ .count = count, .size = size };
    put->items = (struct store_put *)(void *)(put + 1);
    put->queues = (const char **)(void *)(put->items + count);
    put->results = (struct tenure_put_result *)(void *)(put->queues + count);
    char *at = (char *)(put->results + count);
    for (uint32_t index = 0; index < count; index++) {
        const struct tenure_put_options *item = item_at(items, index);
        put->queues[index] = keep(&at, item->queue, text_size(item->queue));
        put->items[index] = copy_item(item, &at);
        put->results[index] = (struct tenure_put_result){ .err = TENURE_CANCELED };
    }
    return put;
}

/* ------------------------------------------------------------------ requests */

/* How many go into the next request: of one queue, and not too much. */
static uint32_t count_next(const struct put *put)
{
    uint32_t first = put->sent_count;
    uint32_t index = first;
    size_t bytes = 0;
    while (index < put->count && index - first < REQUEST_ITEM_COUNT_MAX) {
        const struct store_put *item = &put->items[index];
        bytes += item->body.size + text_size(item->headers) + (size_t)2 * LIMIT_ID_SIZE_MAX;
        bool is_same = strcmp(put->queues[index], put->queues[first]) == 0;
        if (index > first && (!is_same || bytes > REQUEST_BYTES_MAX)) break;
        index++;
    }
    return index - first;
}

static void on_put(struct store_op *op, const struct store_result *result);

static void send_next(struct put *put)
{
    struct call *call = &put->call;
    struct mono deadline = call->op.request.deadline;
    put->request_count = count_next(put);
    call->op = (struct store_op){
        .request = { .verb = STORE_PUT, .deadline = deadline },
        .done = on_put,
    };
    call->op.request.as.put = (struct store_puts){ .queue = put->queues[put->sent_count],
                                                   .schedule = put->schedule,
                                                   .items = put->items + put->sent_count,
                                                   .count = put->request_count };
    tni_store_start(call->client->store, &call->op);
}

static void note_results(struct put *put, const struct store_result *result)
{
    for (uint32_t index = 0; index < put->request_count; index++) {
        struct tenure_put_result *told = &put->results[put->sent_count + index];
        const struct store_put_result *one = &result->as.put.results[index];
        told->err = one->err;
        told->state = (enum tenure_item_state)one->state;
        told->is_repeat = one->is_repeat;
        size_t size = strlen(one->id);
        if (size >= sizeof(told->id)) size = sizeof(told->id) - 1;
        memcpy(told->id, one->id, size);
        told->id[size] = '\0';
    }
    put->sent_count += put->request_count;
}

static void on_put(struct store_op *op, const struct store_result *result)
{
    struct put *put = CONTAINER_OF(op, struct put, call.op);
    enum tenure_err err = result->err;
    if (err == TENURE_OK) note_results(put, result);
    if (err == TENURE_OK && put->sent_count < put->count) {
        send_next(put);
        return;
    }
    for (uint32_t index = put->sent_count; index < put->count; index++) {
        put->results[index].err = err;
    }
    tni_call_end(&put->call, err, result->text);
}

static void run(struct client *client, struct task *task)
{
    (void)client;
    send_next(CONTAINER_OF(task, struct put, call.task));
}

/* ------------------------------------------------------------------ the public side */

static void destroy(struct put *put, struct client *client)
{
    memory_give(client->memory, put, put->size);
}

static void tell(struct client *client, struct notice *notice)
{
    struct put *put = CONTAINER_OF(notice, struct put, notice);
    struct tenure_error error;
    const char *text = put->call.text[0] == '\0' ? NULL : put->call.text;
    (void)tni_fail(&error, put->call.err, text);
    if (put->fn != NULL) put->fn(put->call.err, put->results, put->count, &error, put->user);
    destroy(put, client);
    tni_client_give(client);
}

static void finish(struct call *call)
{
    struct put *put = CONTAINER_OF(call, struct put, call);
    (void)tni_notice_post(call->client, &put->notice);
}

enum tenure_err tenure_put_start(
    struct tenure_client handle,
    const struct tenure_put_options *items,
    uint32_t count,
    tenure_put_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    const char *fault;
    enum tenure_err err = find_fault(items, count, &fault);
    if (err != TENURE_OK) return tni_fail(out_error, err, fault);
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");
    struct put *put = create(client->memory, items, count);
    err = put == NULL ? TENURE_NO_MEMORY : TENURE_OK;
    if (put != NULL) {
        put->call = (struct call){ .client = client, .finish = finish };
        put->notice.tell = tell;
        put->fn = fn;
        put->user = user;
        tni_call_prepare(&put->call);
        put->call.task.run = run;
        if (tni_client_submit(client, &put->call.task)) return TENURE_OK;
        err = TENURE_CANCELED;
        destroy(put, client);
    }
    tni_client_give(client);
    return tni_fail(out_error, err, NULL);
}

/* Of one item perhaps again and again, by a schedule. */
static enum tenure_err put_and_wait(
    struct tenure_client handle,
    const struct tenure_put_options *items,
    uint32_t count,
    const struct store_schedule *schedule,
    struct tenure_put_result *out_results,
    struct tenure_error *out_error)
{
    const char *fault;
    enum tenure_err err = find_fault(items, count, &fault);
    if (err != TENURE_OK) return tni_fail(out_error, err, fault);
    struct client *client = tni_client_take(handle);
    if (client == NULL) return tni_fail(out_error, TENURE_INVALID, "the client is closed");
    struct put *put = create(client->memory, items, count);
    if (put == NULL) {
        tni_client_give(client);
        return tni_fail(out_error, TENURE_NO_MEMORY, NULL);
    }
    const struct memory *memory = client->memory;
    put->schedule = schedule;
    if (tni_call_begin_with(&put->call, client, out_error)) {
        err = tni_call_run(&put->call, run, out_error);
        if (out_results != NULL) memcpy(out_results, put->results, count * sizeof(*out_results));
    } else {
        err = put->call.err;
    }
    memory_give(memory, put, put->size);
    return err;
}

enum tenure_err tenure_put(
    struct tenure_client handle,
    const struct tenure_put_options *items,
    uint32_t count,
    struct tenure_put_result *out_results,
    struct tenure_error *out_error)
{
    return put_and_wait(handle, items, count, NULL, out_results, out_error);
}

enum tenure_err tenure_schedule(
    struct tenure_client handle,
    const struct tenure_schedule_options *options,
    struct tenure_put_result *out_result,
    struct tenure_error *out_error)
{
    static const char *const words[] = { "once", "skip", "all" };
    char missed[24];
    const char *fault = NULL;
    if (options == NULL || options->size < sizeof(*options)) {
        fault = "size: it must be sizeof(*options)";
    } else if (!tni_is_plain(options->name) || !tni_is_plain(options->line)) {
        fault = "name and line: 1 to 255 bytes of UTF-8 without control characters";
    } else if (options->zone != NULL && !tni_is_plain(options->zone)) {
        fault = "zone: as of the time zone database, Europe/Berlin";
    } else if ((unsigned)options->missed > TENURE_MISSED_ALL) {
        fault = "missed: no such rule";
    } else if (options->item != NULL && options->item->id != NULL) {
        fault = "id: the items of a schedule get ids of its own";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    (void)snprintf(missed, sizeof(missed), "%s", words[options->missed]);
    if (options->missed == TENURE_MISSED_ALL && options->run_count_max > 0) {
        (void)snprintf(missed, sizeof(missed), "all:%u", options->run_count_max);
    }
    const struct store_schedule schedule = { .name = options->name,
                                             .line = options->line,
                                             .zone = options->zone == NULL ? "UTC" : options->zone,
                                             .missed = missed };
    return put_and_wait(handle, options->item, 1, &schedule, out_result, out_error);
}
