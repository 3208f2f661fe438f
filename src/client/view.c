#include "client/view.h"

#include <tenure/watch.h>

#include <string.h>

#include "base/buffer.h"
#include "client/call.h"

/* ------------------------------------------------------------------ in the words of the header */

static struct tenure_holder holder_of(const struct store_holder *holder)
{
    return (struct tenure_holder){
        .owner = holder->owner,
        .meta = holder->meta,
        .token = holder->token,
        .mode = holder->is_shared ? TENURE_SHARED : TENURE_EXCLUSIVE,
        .slot = holder->slot,
        .ttl_ms = holder->ttl_ms,
        .remaining_ms = holder->remaining_ms,
        .acquired_at_us = holder->acquired_at_us,
        .votes = holder->votes,
        .node_count = holder->node_count,
        .is_breaking = holder->is_breaking,
        .is_foreign = holder->is_foreign,
    };
}

static struct tenure_waiter waiter_of(const struct store_waiter *waiter)
{
    return (struct tenure_waiter){
        .owner = waiter->owner,
        .meta = waiter->meta,
        .mode = waiter->is_shared ? TENURE_SHARED : TENURE_EXCLUSIVE,
        .priority = waiter->priority,
        .position = waiter->position,
        .waited_ms = waiter->waited_ms,
        .remaining_ms = waiter->remaining_ms,
    };
}

struct tenure_event tni_event_of(const struct store_event *event)
{
    return (struct tenure_event){
        .seq = event->seq,
        .at_us = event->at_us,
        .kind = event->kind,
        .name = event->name,
        .owner = event->owner,
        .token = event->token,
        .mode = event->is_shared ? TENURE_SHARED : TENURE_EXCLUSIVE,
        .slot = event->slot,
        .ttl_ms = event->ttl_ms,
        .meta = event->meta,
        .reason = event->reason,
        .id = event->id,
        .group = event->group,
        .lock = event->lock,
        .member = event->member,
        .score = event->score,
        .score_before = event->score_before,
        .value = event->value.data,
        .value_size = event->value.size,
        .previous = event->previous.data,
        .previous_size = event->previous.size,
        .more = event->more,
        .has_before = event->has_before,
    };
}

/* ------------------------------------------------------------------ views */

struct view_call {
    struct call call;
    tenure_lock_view_fn fn;
    void *user;
    struct buffer holders;
    struct buffer waiters;
    bool is_short_of_memory;
};

static void show(struct view_call *see, const struct store_lock_view *lock)
{
    buffer_reset(&see->holders);
    buffer_reset(&see->waiters);
    for (uint32_t index = 0; index < lock->holder_count; index++) {
        struct tenure_holder holder = holder_of(&lock->holders[index]);
        buffer_append(&see->holders, &holder, sizeof(holder));
    }
    for (uint32_t index = 0; index < lock->waiters_here; index++) {
        struct tenure_waiter waiter = waiter_of(&lock->waiters[index]);
        buffer_append(&see->waiters, &waiter, sizeof(waiter));
    }
    if (see->holders.is_failed || see->waiters.is_failed) {
        see->is_short_of_memory = true;
        return;
    }
    struct tenure_lock_view view = {
        .name = lock->name,
        .mode = lock->is_shared ? TENURE_SHARED : TENURE_EXCLUSIVE,
        .slots = lock->slots,
        .seq = lock->seq,
        .lock_delay_ms = lock->lock_delay_ms,
        .holders = (const struct tenure_holder *)(const void *)see->holders.data,
        .holder_count = lock->holder_count,
        .hold_count = lock->holder_count,
        .waiters = (const struct tenure_waiter *)(const void *)see->waiters.data,
        .waiters_here = lock->waiters_here,
        .waiter_count = lock->waiter_count,
    };
    see->fn(&view, see->user);
}

static bool begin_view(
    struct view_call *see,
    struct tenure_client handle,
    tenure_lock_view_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    *see = (struct view_call){ .fn = fn, .user = user };
    struct client *client = tni_client_take(handle);
    if (client == NULL) {
        see->call.err = tni_fail(out_error, TENURE_INVALID, "the client is closed");
        return false;
    }
    const struct memory *memory = client->memory;
    if (!tni_call_begin_with(&see->call, client, out_error)) return false;
    buffer_init(&see->holders, memory);
    buffer_init(&see->waiters, memory);
    return true;
}

static enum tenure_err end_view(struct view_call *see, struct tenure_error *out_error)
{
    enum tenure_err err = tni_call_run(&see->call, NULL, out_error);
    buffer_deinit(&see->holders);
    buffer_deinit(&see->waiters);
    return err;
}

static void on_view(struct store_op *op, const struct store_result *result)
{
    struct view_call *see = CONTAINER_OF(op, struct view_call, call.op);
    enum tenure_err err = result->err;
    if (err == TENURE_OK && op->request.verb == STORE_INSPECT) show(see, result->as.inspect);
    if (err == TENURE_OK && see->is_short_of_memory) err = TENURE_NO_MEMORY;
    tni_call_end(&see->call, err, result->text);
}

enum tenure_err tenure_inspect(
    struct tenure_client handle,
    const char *name,
    tenure_lock_view_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct view_call see;
    if (!tni_is_plain(name)) {
        return tni_fail(
            out_error, TENURE_INVALID, "name: 1 to 255 bytes of UTF-8 without control characters");
    }
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, "fn: it is missing");
    if (!begin_view(&see, handle, fn, user, out_error)) return see.call.err;
    see.call.op.request.verb = STORE_INSPECT;
    see.call.op.request.as.inspect.name = name;
    see.call.op.done = on_view;
    return end_view(&see, out_error);
}

static void on_item(struct store_op *op, const struct store_lock_view *view)
{
    show(CONTAINER_OF(op, struct view_call, call.op), view);
}

enum tenure_err tenure_list(
    struct tenure_client handle,
    const struct tenure_list_options *options,
    tenure_lock_view_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct view_call see;
    const char *fault = fn == NULL ? "fn: it is missing" : NULL;
    const char *prefix = options == NULL ? NULL : options->prefix;
    const char *owner = options == NULL ? NULL : options->owner;
    if (options != NULL && options->size < sizeof(*options)) {
        fault = "size: it must be sizeof(*options)";
    } else if (prefix != NULL && !tni_is_text(prefix, LIMIT_NAME_SIZE_MAX)) {
        fault = "prefix: up to 255 bytes of UTF-8";
    } else if (owner != NULL && !tni_is_plain(owner)) {
        fault = "owner: 1 to 255 bytes of UTF-8 without control characters";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!begin_view(&see, handle, fn, user, out_error)) return see.call.err;
    see.call.op.request.verb = STORE_LIST;
    see.call.op.request.as.list.prefix = prefix;
    see.call.op.request.as.list.owner = owner;
    see.call.op.request.as.list.is_waited = options != NULL && options->is_waited;
    see.call.op.done = on_view;
    see.call.op.item = on_item;
    return end_view(&see, out_error);
}

/* ------------------------------------------------------------------ history */

struct history_call {
    struct call call;
    tenure_event_fn fn;
    void *user;
};

static void on_history(struct store_op *op, const struct store_result *result)
{
    struct history_call *see = CONTAINER_OF(op, struct history_call, call.op);
    for (uint32_t index = 0; result->err == TENURE_OK && index < result->as.history.count; index++)
    {
        struct tenure_event event = tni_event_of(&result->as.history.events[index]);
        if (!see->fn(&event, see->user)) break;
    }
    tni_call_end(&see->call, result->err, result->text);
}

enum tenure_err tenure_history(
    struct tenure_client handle,
    const char *name,
    uint32_t count_max,
    tenure_event_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct history_call see = { .fn = fn, .user = user };
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, "fn: it is missing");
    if (!tni_is_plain(name)) {
        return tni_fail(
            out_error, TENURE_INVALID, "name: 1 to 255 bytes of UTF-8 without control characters");
    }
    if (!tni_call_begin(&see.call, handle, out_error)) return see.call.err;
    see.call.op.request.verb = STORE_HISTORY;
    see.call.op.request.as.history.name = name;
    see.call.op.request.as.history.count_max =
        count_max < LIMIT_HISTORY_COUNT_MAX ? count_max : LIMIT_HISTORY_COUNT_MAX;
    see.call.op.done = on_history;
    return tni_call_run(&see.call, NULL, out_error);
}

/* ------------------------------------------------------------------ break */

enum tenure_err tenure_break(
    struct tenure_client handle,
    const char *name,
    uint64_t token,
    const char *reason,
    uint32_t grace_ms,
    struct tenure_error *out_error)
{
    struct call call;
    const char *fault = NULL;
    if (!tni_is_plain(name)) {
        fault = "name: 1 to 255 bytes of UTF-8 without control characters";
    } else if (token == 0 || token > TOKEN_MAX) {
        fault = "token: 1 to 2^53 - 1";
    } else if (!tni_is_plain(reason)) {
        fault = "reason: 1 to 255 bytes of UTF-8 without control characters";
    } else if (grace_ms > LIMIT_GRACE_MS_MAX) {
        fault = "grace_ms: 3600000 at most";
    }
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&call, handle, out_error)) return call.err;
    call.op.request.verb = STORE_BREAK;
    call.op.request.as.break_hold.name = name;
    call.op.request.as.break_hold.token = token;
    call.op.request.as.break_hold.reason = reason;
    call.op.request.as.break_hold.grace_ms = grace_ms;
    return tni_call_run(&call, NULL, out_error);
}

/* ------------------------------------------------------------------ the server */

struct info_call {
    struct call call;
    struct tenure_server_info info;
};

static void copy_cut(char *out_text, size_t text_size, const char *text)
{
    size_t size = strlen(text);
    if (size >= text_size) size = text_size - 1;
    memcpy(out_text, text, size);
    out_text[size] = '\0';
}

static void on_info(struct store_op *op, const struct store_result *result)
{
    struct info_call *see = CONTAINER_OF(op, struct info_call, call.op);
    struct tenure_server_info *info = &see->info;
    if (result->err == TENURE_OK) {
        const struct client *client = see->call.client;
        copy_cut(info->url, sizeof(info->url), client->url);
        copy_cut(info->version, sizeof(info->version), result->as.info.version);
        copy_cut(info->node_id, sizeof(info->node_id), result->as.info.node_id);
        info->safety = (enum tenure_safety)client->store->safety;
        const struct store_info *told = &result->as.info;
        info->uptime_us = told->uptime_us;
        info->hold_count = told->hold_count;
        info->waiter_count = told->waiter_count;
        info->connection_count = told->connection_count;
        info->connection_count_max = told->connection_count_max;
        info->journal_bytes = told->journal_bytes;
        info->disk_free_bytes = told->disk_free_bytes;
        info->stall_count = told->stall_count;
        info->stalled_ms = told->stalled_ms;
        info->damaged_file_count = told->damaged_file_count;
        info->is_disk_full = told->is_disk_full;
        info->is_disk_slow = told->is_disk_slow;
        info->node_count = told->node_count;
        info->round_trip_us = (uint64_t)((tni_store_now().ns - op->sent_at.ns) / 1000);
    }
    tni_call_end(&see->call, result->err, result->text);
}

enum tenure_err tenure_server_info(
    struct tenure_client handle,
    struct tenure_server_info *out_info,
    struct tenure_error *out_error)
{
    struct info_call see = { .info = { .safety = TENURE_SAFETY_VOLATILE } };
    if (!tni_call_begin(&see.call, handle, out_error)) return see.call.err;
    see.call.op.request.verb = STORE_INFO;
    see.call.op.done = on_info;
    enum tenure_err err = tni_call_run(&see.call, NULL, out_error);
    if (err == TENURE_OK) *out_info = see.info;
    return err;
}

struct nodes_call {
    struct call call;
    tenure_node_fn fn;
    void *user;
};

static void on_nodes(struct store_op *op, const struct store_result *result)
{
    struct nodes_call *see = CONTAINER_OF(op, struct nodes_call, call.op);
    uint32_t count = result->err == TENURE_OK ? result->as.info.node_count : 0;
    for (uint32_t index = 0; index < count; index++) {
        const struct store_node *told = &result->as.info.nodes[index];
        struct tenure_node node = {
            .address = told->address,
            .standing = told->standing,
            .role = told->role,
            .version = told->version,
            .persistence = told->persistence,
            .eviction_policy = told->eviction_policy,
            .trouble = told->trouble,
            .advice = told->advice,
            .quarantine_ms = told->quarantine_ms,
            .clock_offset_ms = told->clock_offset_ms,
            .is_reachable = told->is_reachable,
            .is_voting = told->is_voting,
        };
        see->fn(&node, see->user);
    }
    tni_call_end(&see->call, result->err, result->text);
}

enum tenure_err tenure_nodes(
    struct tenure_client handle, tenure_node_fn fn, void *user, struct tenure_error *out_error)
{
    struct nodes_call see = { .fn = fn, .user = user };
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, "fn: it is missing");
    if (!tni_call_begin(&see.call, handle, out_error)) return see.call.err;
    see.call.op.request.verb = STORE_INFO;
    see.call.op.done = on_nodes;
    return tni_call_run(&see.call, NULL, out_error);
}
