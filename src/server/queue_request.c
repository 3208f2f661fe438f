#include "server/queue_request.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/decimal.h"

static uint32_t number(const struct args *args, enum arg arg, uint64_t fallback)
{
    return (uint32_t)args_number(args, arg, fallback);
}

/* ---------------------------------------------------------------------- put */

static const char *find_fault(const struct args *args)
{
    if (args_has(args, ARG_DELAY_MS) && args_has(args, ARG_RUN_AT_MS)) {
        return "a delay and a time at which to run exclude each other";
    }
    if (args_has(args, ARG_UNTIL) && args_has(args, ARG_WINDOW_MS)) {
        return "a unique key is kept until something happens, or for a window of time: not both";
    }
    bool has_rule =
        args_has(args, ARG_UNTIL) || args_has(args, ARG_WINDOW_MS) || args_has(args, ARG_CONFLICT);
    if (has_rule && !args_has(args, ARG_UNIQUE)) {
        return "there are rules for a unique key, but none";
    }
    return NULL;
}

static int64_t run_at_us(const struct args *args, struct wall wall)
{
    if (args_has(args, ARG_RUN_AT_MS)) return (int64_t)args->numbers[ARG_RUN_AT_MS] * 1000;
    uint64_t delay_ms = args_number(args, ARG_DELAY_MS, 0);
    return delay_ms == 0 ? 0 : wall.us + (int64_t)delay_ms * 1000;
}

static enum unique_scope scope_of(const struct args *args)
{
    if (!args_has(args, ARG_UNIQUE)) return UNIQUE_NONE;
    if (args_has(args, ARG_WINDOW_MS)) return UNIQUE_WINDOW;
    return (enum unique_scope)args_number(args, ARG_UNTIL, UNIQUE_UNTIL_DONE);
}

static struct item_terms terms_of(const struct args *args, struct wall wall)
{
    uint64_t retention_ms = args_has(args, ARG_ID) ? QUEUE_RETENTION_MS_NAMED : 0;
    struct item_terms terms = {
        .run_at_us = run_at_us(args, wall),
        .lease_ms = number(args, ARG_LEASE_MS, LIMIT_LEASE_MS_DEFAULT),
        .timeout_ms = number(args, ARG_TIMEOUT_MS, 0),
        .retention_ms = number(args, ARG_RETENTION_MS, retention_ms),
        .backoff_ms = number(args, ARG_BACKOFF_MS, QUEUE_BACKOFF_MS),
        .backoff_ms_max = number(args, ARG_BACKOFF_MAX, QUEUE_BACKOFF_MS_MAX),
        .unique_ms = number(args, ARG_WINDOW_MS, 0),
        .attempts_max = (uint16_t)number(args, ARG_ATTEMPTS_MAX, LIMIT_ATTEMPTS_DEFAULT),
        .lapses_max = (uint8_t)number(args, ARG_LAPSES_MAX, LIMIT_LAPSES_DEFAULT),
        .priority = (uint8_t)number(args, ARG_PRIORITY, 0),
        .backoff = (uint8_t)number(args, ARG_BACKOFF, ITEM_BACKOFF_EXPONENTIAL),
        .jitter = (uint8_t)number(args, ARG_JITTER, QUEUE_JITTER),
        .unique_scope = (uint8_t)scope_of(args),
        .conflict = (uint8_t)number(args, ARG_CONFLICT, UNIQUE_IGNORE),
    };
    uint64_t expire_ms = args_number(args, ARG_EXPIRE_MS, 0);
    if (expire_ms > 0) terms.expires_at_us = wall.us + (int64_t)expire_ms * 1000;
    return terms;
}

const char *queue_request_put(
    struct engine_put *put, struct bytes queue, const struct args *args, struct wall wall)
{
    const char *fault = find_fault(args);
    if (fault != NULL) return fault;
    *put = (struct engine_put){
        .queue = queue,
        .id = args_text(args, ARG_ID),
        .group = args_text(args, ARG_GROUP),
        .headers = args_text(args, ARG_HEADERS),
        .unique = args_text(args, ARG_UNIQUE),
        .body = args_text(args, ARG_BODY),
        .terms = terms_of(args, wall),
    };
    return NULL;
}

/* ---------------------------------------------------------------- the others */

void queue_request_claim(
    struct engine_work_claim *claim, struct bytes queue, const struct args *args)
{
    *claim = (struct engine_work_claim){
        .queue = queue,
        .id = args_text(args, ARG_ID),
        .token = { args_number(args, ARG_TOKEN, 0) },
        .lease_ms = number(args, ARG_LEASE_MS, ENGINE_TTL_KEEP),
    };
    if (args_has(args, ARG_PROGRESS)) claim->progress = args->texts[ARG_PROGRESS];
}

static struct engine_take take_of(struct queue_request *request, const struct args *args)
{
    uint32_t count = 1;
    uint32_t more = args_has(args, ARG_NAMES) ? args->name_count : 0;
    for (uint32_t index = 0; index < more; index++) {
        request->queues[count++] = args->names[index];
    }
    return (struct engine_take){
        .queues = request->queues,
        .queue_count = count,
        .worker = args_text(args, ARG_WORKER),
        .count_max = number(args, ARG_TAKE_COUNT, 1),
        .wait_ms = number(args, ARG_WAIT_MS, 0),
        .lease_ms = number(args, ARG_LEASE_MS, 0),
        .is_bound = args_has(args, ARG_GRACE_MS),
        .grace_ms = number(args, ARG_GRACE_MS, 0),
    };
}

static const char *
make_sweep(struct engine_sweep *sweep, struct bytes queue, const struct args *args)
{
    *sweep = (struct engine_sweep){
        .queue = queue,
        .state = (enum item_state)args_number(args, ARG_ITEM_STATE, ITEM_DEAD),
        .has_group = args_has(args, ARG_GROUP),
        .group = args_text(args, ARG_GROUP),
        .reason = args_text(args, ARG_REASON),
        .count_max = number(args, ARG_LIMIT, QUEUE_SWEEP_COUNT),
        .interval_ms = number(args, ARG_INTERVAL_MS, 0),
    };
    bool is_sound = queue_sweep_cursor_parse(args_text(args, ARG_CURSOR), &sweep->cursor);
    return is_sound ? NULL : "cursor: one that redrive or purge has answered";
}

static struct engine_scope scope_from(struct bytes queue, const struct args *args)
{
    return (struct engine_scope){
        .queue = queue,
        .is_whole = !args_has(args, ARG_GROUP),
        .group = args_text(args, ARG_GROUP),
        .limits = {
            .running_max = number(args, ARG_RUNNING_MAX, 0),
            .size_max = number(args, ARG_SIZE_LIMIT, 0),
            .rate_count = number(args, ARG_RATE_COUNT, 0),
            .rate_ms = number(args, ARG_RATE_MS, 0),
            .burst = number(args, ARG_BURST, 1),
            .weight = number(args, ARG_WEIGHT, 1),
        },
    };
}

static void make_end(struct engine_end_work *end_work, struct bytes queue, const struct args *args)
{
    queue_request_claim(&end_work->claim, queue, args);
    end_work->reason = args_text(args, ARG_REASON);
    end_work->result = args_text(args, ARG_RESULT);
    end_work->delay_ms = number(args, ARG_DELAY_MS, ENGINE_DELAY_BACKOFF);
    end_work->is_free = args_number(args, ARG_COUNTED, 1) == 0;
}

static const char *find_limit_fault(const struct engine_scope *scope)
{
    bool is_whole_rate = (scope->limits.rate_count > 0) == (scope->limits.rate_ms > 0);
    return is_whole_rate ? NULL : "a rate is a count and the time in which it is allowed";
}

static void make_put(struct queue_request *request)
{
    request->command.as.put.items = &request->put;
    request->command.as.put.count = 1;
}

static void make_extend(struct queue_request *request, struct bytes queue, const struct args *args)
{
    queue_request_claim(&request->claim, queue, args);
    request->command.as.extend.claims = &request->claim;
    request->command.as.extend.count = 1;
}

static void make_item(struct engine_item_name *item, struct bytes queue, const struct args *args)
{
    item->queue = queue;
    item->id = args_text(args, ARG_ID);
    item->reason = args_text(args, ARG_REASON);
}

const char *queue_request_make(
    struct queue_request *request,
    enum engine_command_kind kind,
    struct bytes queue,
    const struct args *args,
    struct wall wall)
{
    struct engine_command *command = &request->command;
    *command = (struct engine_command){ .kind = kind };
    request->queues[0] = queue;
    switch (kind) {
    case ENGINE_PUT: make_put(request); return queue_request_put(&request->put, queue, args, wall);
    case ENGINE_TAKE: command->as.take = take_of(request, args); return NULL;
    case ENGINE_EXTEND: make_extend(request, queue, args); return NULL;
    case ENGINE_DONE:
    case ENGINE_FAIL:
    case ENGINE_BURY: make_end(&command->as.end_work, queue, args); return NULL;
    case ENGINE_CANCEL_ITEM:
    case ENGINE_KICK: make_item(&command->as.item, queue, args); return NULL;
    case ENGINE_REDRIVE:
    case ENGINE_PURGE: return make_sweep(&command->as.sweep, queue, args);
    case ENGINE_AWAIT:
        command->as.await_end.queue = queue;
        command->as.await_end.id = args_text(args, ARG_ID);
        command->as.await_end.wait_ms = number(args, ARG_WAIT_MS, 0);
        return NULL;
    case ENGINE_PAUSE:
    case ENGINE_RESUME: command->as.scope = scope_from(queue, args); return NULL;
    case ENGINE_LIMIT:
        command->as.scope = scope_from(queue, args);
        return find_limit_fault(&command->as.scope);
    case ENGINE_ACQUIRE:
    case ENGINE_CANCEL:
    case ENGINE_RENEW:
    case ENGINE_RELEASE:
    case ENGINE_BREAK:
    case ENGINE_PROCLAIM:
    case ENGINE_TRANSFER:
    case ENGINE_STATE_COMMANDS: break;
    }
    UNREACHABLE("only queues are asked here");
}

/* ------------------------------------------------------------------- cursors */

/* The digits before the next hyphen, and past that. */
static bool take_number(struct bytes *text, uint64_t *out_number)
{
    const char *hyphen = text->size == 0 ? NULL : memchr(text->data, '-', text->size);
    if (hyphen == NULL) return false;
    struct bytes digits = { text->data, (size_t)(hyphen - text->data) };
    *text = (struct bytes){ hyphen + 1, text->size - digits.size - 1 };
    return decimal_parse(digits, out_number);
}

static bool parse_place(struct bytes id, uint64_t entered, struct engine_item_cursor *out_cursor)
{
    if (entered == 0 || id.size > LIMIT_ID_SIZE_MAX) return false;
    *out_cursor = (struct engine_item_cursor){ entered, id };
    return true;
}

bool queue_cursor_parse(struct bytes text, struct engine_item_cursor *out_cursor)
{
    uint64_t entered;
    if (text.size > 0) {
        return take_number(&text, &entered) && parse_place(text, entered, out_cursor);
    }
    *out_cursor = (struct engine_item_cursor){ 0 };
    return true;
}

bool queue_sweep_cursor_parse(struct bytes text, struct engine_sweep_cursor *out_cursor)
{
    struct engine_sweep_cursor cursor = { { 0 }, 0, 0 };
    uint64_t entered;
    bool is_bad =
        text.size > 0 && (!take_number(&text, &entered) || !take_number(&text, &cursor.until) ||
                          !take_number(&text, &cursor.count) || cursor.until == 0 ||
                          !parse_place(text, entered, &cursor.after));
    if (!is_bad) *out_cursor = cursor;
    return !is_bad;
}

static size_t put_number(uint64_t number, char *out)
{
    size_t size = decimal_format(number, out);
    out[size] = '-';
    return size + 1;
}

size_t queue_cursor_format(
    const struct engine_item_cursor *cursor, char out_text[static LIMIT_CURSOR_SIZE_MAX])
{
    size_t size = put_number(cursor->entered, out_text);
    memcpy(out_text + size, cursor->id.data, cursor->id.size);
    return size + cursor->id.size;
}

size_t queue_sweep_cursor_format(
    const struct engine_reply *reply, char out_text[static LIMIT_CURSOR_SIZE_MAX])
{
    _Static_assert(3 * (DECIMAL_SIZE_MAX + 1) + LIMIT_ID_SIZE_MAX <= LIMIT_CURSOR_SIZE_MAX, "room");
    const struct engine_sweep_cursor *cursor = &reply->swept_to;
    if (reply->is_swept) return 0;
    size_t size = put_number(cursor->after.entered, out_text);
    size += put_number(cursor->until, out_text + size);
    size += put_number(cursor->count, out_text + size);
    memcpy(out_text + size, cursor->after.id.data, cursor->after.id.size);
    return size + cursor->after.id.size;
}

/* -------------------------------------------------------------------- pages */

#define LOOKED_AT_MAX 10000u

bool queue_list(
    const struct engine *engine,
    const struct queue_page *page,
    struct engine_queue_view *out_views,
    uint32_t *out_count,
    struct bytes *out_next)
{
    struct bytes last = page->after;
    struct engine_queue_view view;
    if (last.size > 0 && !engine_queue(engine, last, &view)) return false;
    *out_count = 0;
    *out_next = (struct bytes){ "", 0 };
    for (uint32_t looked_at = 0; engine_next_queue(engine, last, &view); looked_at++) {
        if (*out_count == page->count_max || looked_at == LOOKED_AT_MAX) {
            *out_next = last;
            break;
        }
        last = view.name;
        if (bytes_start_with(view.name, page->prefix)) out_views[(*out_count)++] = view;
    }
    return true;
}

/* --------------------------------------------------------------------- loss */

size_t queue_describe_loss(const struct engine_item_view *item, char *out_text, size_t text_size)
{
    int size;
    if (item->id.size == 0) {
        size = snprintf(out_text, text_size, "the lease has ended, and the item is not known");
    } else if (item->state == ITEM_TAKEN) {
        size = snprintf(
            out_text,
            text_size,
            "the lease has ended; the item is taken by %.*s, the token is now %" PRIu64,
            (int)item->worker.size,
            item->worker.data,
            item->token.value);
    } else {
        size = snprintf(
            out_text,
            text_size,
            "the lease has ended; the item is %s",
            item_state_word(item->state));
    }
    size_t whole = size < 0 ? 0 : (size_t)size;
    return whole < text_size ? whole : text_size - 1;
}
