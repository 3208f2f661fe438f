#include <string.h>

#include "store/remote/lane.h"
#include "store/remote/words.h"

#define PAGE_COUNT 100u

/* A number whose 0 is the default, and whose STORE_NONE is 0. */
static void add_limit_option(struct words *words, const char *word, uint32_t number)
{
    if (number == 0) return;
    add_text(words, word);
    add_number(words, number == STORE_NONE ? 0 : number);
}

/* ------------------------------------------------------------------ put */

static void add_unique(struct words *words, const struct store_put *put)
{
    static const char *const conflicts[] = { "ignore", "replace", "keep_last" };
    if (put->unique == STORE_UNIQUE_NONE) return;
    add_text_option(words, "UNIQUE", put->unique_key);
    if (put->unique == STORE_UNIQUE_UNTIL_DONE) add_text_option(words, "UNTIL", "done");
    if (put->unique == STORE_UNIQUE_UNTIL_STARTED) add_text_option(words, "UNTIL", "started");
    if (put->unique == STORE_UNIQUE_WINDOW) add_number_option(words, "WINDOW", put->unique_ms);
    add_text_option(words, "CONFLICT", conflicts[put->conflict]);
}

static void add_item(struct words *words, const struct store_put *put)
{
    add_bytes(words, put->body);
    add_text_option(words, "ID", put->id);
    add_text_option(words, "GROUP", put->group);
    add_number_option(words, "PRIORITY", put->priority);
    add_text_option(words, "HEADERS", put->headers);
    add_number_option(words, "DELAY", put->delay_ms);
    /* Not before: a part of a millisecond counts as one. */
    add_number_option(
        words, "AT", put->run_at_us <= 0 ? 0 : ((uint64_t)put->run_at_us + 999) / 1000);
    add_number_option(words, "EXPIRE", put->expire_ms);
    add_number_option(words, "LEASE", put->lease_ms);
    add_number_option(words, "TIMEOUT", put->timeout_ms);
    add_limit_option(words, "ATTEMPTS", put->attempts_max);
    add_limit_option(words, "LAPSES", put->lapses_max);
    add_number_option(words, "BACKOFF", put->backoff_ms);
    add_number_option(words, "BACKOFFMAX", put->backoff_ms_max);
    if (put->is_backoff_fixed) add_text(words, "FIXED");
    add_limit_option(words, "JITTER", put->jitter_percent);
    add_number_option(words, "RETENTION", put->retention_ms);
    add_unique(words, put);
}

static void add_put(struct words *words, const struct store_puts *puts)
{
    const struct store_schedule *schedule = puts->schedule;
    add_text(words, schedule == NULL ? "QUEUE.PUT" : "QUEUE.SCHEDULE");
    add_text(words, puts->queue);
    if (schedule != NULL) {
        add_text(words, schedule->name);
        add_text(words, schedule->line);
        add_text(words, schedule->zone);
        add_text(words, schedule->missed);
    }
    for (uint32_t index = 0; index < puts->count; index++) {
        if (index > 0) add_text(words, "AND");
        add_item(words, &puts->items[index]);
    }
}

/* ------------------------------------------------------------------ take and end */

static void add_take(struct words *words, const struct store_take *take, uint64_t wait)
{
    add_text(words, "QUEUE.TAKE");
    add_text(words, take->queues[0]);
    add_text(words, take->worker);
    add_number_option(words, "COUNT", take->count_max);
    add_number_option(words, "WAIT", wait);
    add_number_option(words, "LEASE", take->lease_ms);
    if (take->queue_count > 1) add_text(words, "AND");
    for (uint32_t index = 1; index < take->queue_count; index++) {
        add_text(words, take->queues[index]);
    }
}

static void add_claim(struct words *words, const struct store_item_claim *claim)
{
    add_text(words, claim->queue);
    add_text(words, claim->id);
    add_number(words, claim->token);
}

static void add_extend(struct words *words, const struct store_request *request)
{
    add_text(words, "QUEUE.EXTEND");
    for (uint32_t index = 0; index < request->as.extend.count; index++) {
        if (index > 0) add_text(words, "AND");
        add_claim(words, &request->as.extend.claims[index]);
        add_number_option(words, "LEASE", request->as.extend.lease_ms);
        add_text_option(words, "PROGRESS", request->as.extend.progress);
    }
}

static void add_finish(struct words *words, const struct store_finish *finish)
{
    static const char *const commands[] = {
        [STORE_FINISH_DONE] = "QUEUE.DONE",
        [STORE_FINISH_FAIL] = "QUEUE.FAIL",
        [STORE_FINISH_BURY] = "QUEUE.BURY",
    };
    add_text(words, commands[finish->kind]);
    add_claim(words, &finish->claim);
    if (finish->kind == STORE_FINISH_DONE) {
        if (finish->result.size == 0) return;
        add_text(words, "RESULT");
        add_bytes(words, finish->result);
        return;
    }
    add_text_option(words, "REASON", finish->reason);
    if (finish->kind == STORE_FINISH_BURY) return;
    if (finish->delay_ms != STORE_NONE) {
        add_text(words, "DELAY");
        add_number(words, finish->delay_ms);
    }
    if (finish->is_free) add_text(words, "UNCOUNTED");
}

/* ------------------------------------------------------------------ look */

static void add_look(struct words *words, const struct store_request *request)
{
    add_text(words, "QUEUE.PEEK");
    add_text(words, request->as.item.queue);
    add_text_option(words, "ID", request->as.item.id);
    if (request->as.item.id != NULL) return;
    add_text_option(words, "STATE", tni_store_item_state_word(request->as.item.state));
}

/* How many to ask for, behind the `seen` that were told already. */
static uint64_t page_count(uint32_t count_max, uint32_t seen)
{
    uint32_t left = count_max == 0 ? PAGE_COUNT : count_max - seen;
    return left < PAGE_COUNT ? left : PAGE_COUNT;
}

static void add_list(struct words *words, const struct store_op *op)
{
    const struct store_request *request = &op->request;
    bool is_items = request->verb == STORE_ITEMS;
    add_text(words, is_items ? "QUEUE.LIST" : "QUEUE.QUEUES");
    if (is_items) {
        add_text(words, request->as.items.queue);
        add_text(words, tni_store_item_state_word(request->as.items.state));
        add_number_option(words, "LIMIT", page_count(request->as.items.count_max, op->position));
    } else {
        add_text_option(words, "PREFIX", request->as.queues.prefix);
        add_number_option(words, "LIMIT", PAGE_COUNT);
    }
    add_text_option(words, "CURSOR", op->cursor[0] == '\0' ? NULL : op->cursor);
}

static void add_await(struct words *words, const struct store_request *request, uint64_t wait)
{
    add_text(words, "QUEUE.AWAIT");
    add_text(words, request->as.await_end.queue);
    add_text(words, request->as.await_end.id);
    add_number_option(words, "WAIT", wait);
}

/* ------------------------------------------------------------------ administer */

static void add_sweep(struct words *words, const struct store_sweep *sweep)
{
    bool is_purge = sweep->kind == STORE_SWEEP_PURGE;
    add_text(words, is_purge ? "QUEUE.PURGE" : "QUEUE.REDRIVE");
    add_text(words, sweep->queue);
    if (is_purge) add_text(words, tni_store_item_state_word(sweep->state));
    add_text_option(words, "GROUP", sweep->group);
    add_text_option(words, "REASON", sweep->reason);
    add_number_option(words, "LIMIT", sweep->count_max);
    if (!is_purge) add_number_option(words, "INTERVAL", sweep->interval_ms);
    add_text_option(words, "CURSOR", sweep->cursor);
}

static void add_scope(struct words *words, const struct store_scope *scope)
{
    static const char *const commands[] = {
        [STORE_SCOPE_PAUSE] = "QUEUE.PAUSE",
        [STORE_SCOPE_RESUME] = "QUEUE.RESUME",
        [STORE_SCOPE_LIMIT] = "QUEUE.LIMIT",
    };
    add_text(words, commands[scope->kind]);
    add_text(words, scope->queue);
    add_text_option(words, "GROUP", scope->group);
    if (scope->kind != STORE_SCOPE_LIMIT || scope->limits == NULL) return;
    add_number_option(words, "RUNNING", scope->limits->running_max);
    add_number_option(words, "SIZE", scope->limits->waiting_max);
    add_number_option(words, "RATE", scope->limits->rate_count);
    add_number_option(words, "PER", scope->limits->rate_ms);
    add_number_option(words, "BURST", scope->limits->burst);
    add_number_option(words, "WEIGHT", scope->limits->weight);
}

static void add_item_name(struct words *words, const struct store_request *request)
{
    add_text(words, request->verb == STORE_ITEM_CANCEL ? "QUEUE.CANCEL" : "QUEUE.KICK");
    add_text(words, request->as.item_name.queue);
    add_text(words, request->as.item_name.id);
    add_text_option(words, "REASON", request->as.item_name.reason);
}

/* ------------------------------------------------------------------ */

static void add_command(struct words *words, const struct store_op *op, uint64_t wait)
{
    const struct store_request *request = &op->request;
    // NOLINTNEXTLINE(clang-diagnostic-switch-enum): those of locks are encode.c's
    switch ((unsigned)request->verb) {
    case STORE_PUT: add_put(words, &request->as.put); break;
    case STORE_TAKE: add_take(words, &request->as.take, wait); break;
    case STORE_EXTEND: add_extend(words, request); break;
    case STORE_FINISH: add_finish(words, &request->as.finish); break;
    case STORE_ITEM: add_look(words, request); break;
    case STORE_ITEMS:
    case STORE_QUEUES: add_list(words, op); break;
    case STORE_QUEUE:
        add_text(words, "QUEUE.STAT");
        add_text(words, request->as.queue.queue);
        add_text_option(words, "GROUP", request->as.queue.group);
        break;
    case STORE_AWAIT: add_await(words, request, wait); break;
    case STORE_ITEM_CANCEL:
    case STORE_ITEM_KICK: add_item_name(words, request); break;
    case STORE_SWEEP: add_sweep(words, &request->as.sweep); break;
    case STORE_SCOPE: add_scope(words, &request->as.scope); break;
    }
}

void tni_encode_queue(const struct resp_writer *writer, const struct store_op *op)
{
    uint64_t wait = 0;
    if (op->request.verb == STORE_AWAIT) {
        wait = tni_remote_wait_ms(op->request.as.await_end.wait_until);
    } else if (op->request.verb == STORE_TAKE && op->phase == PHASE_WAIT) {
        wait = tni_remote_wait_ms(op->request.as.take.wait_until);
    }
    struct words count = { .writer = NULL };
    add_command(&count, op, wait);
    struct words words = { .writer = writer };
    resp_write_array(writer, count.count);
    add_command(&words, op, wait);
}
