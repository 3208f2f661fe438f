#include "server/resp_queue.h"

#include "server/queue_request.h"
#include "server/resp_state.h"
#include "server/schedules.h"

/* ------------------------------------------------------------------ options */

/* A keyword, and the argument that comes with it. */
struct option {
    const char *keyword; /* NULL behind the last */
    enum arg arg;
    bool is_bare;   /* nothing follows: it means … */
    uint64_t value; /* … this */
};

static const struct option put_options[] = {
    { .keyword = "ID", .arg = ARG_ID },
    { .keyword = "GROUP", .arg = ARG_GROUP },
    { .keyword = "PRIORITY", .arg = ARG_PRIORITY },
    { .keyword = "HEADERS", .arg = ARG_HEADERS },
    { .keyword = "DELAY", .arg = ARG_DELAY_MS },
    { .keyword = "AT", .arg = ARG_RUN_AT_MS },
    { .keyword = "EXPIRE", .arg = ARG_EXPIRE_MS },
    { .keyword = "LEASE", .arg = ARG_LEASE_MS },
    { .keyword = "TIMEOUT", .arg = ARG_TIMEOUT_MS },
    { .keyword = "ATTEMPTS", .arg = ARG_ATTEMPTS_MAX },
    { .keyword = "LAPSES", .arg = ARG_LAPSES_MAX },
    { .keyword = "BACKOFF", .arg = ARG_BACKOFF_MS },
    { .keyword = "BACKOFFMAX", .arg = ARG_BACKOFF_MAX },
    { .keyword = "FIXED", .arg = ARG_BACKOFF, .is_bare = true, .value = ITEM_BACKOFF_FIXED },
    { .keyword = "JITTER", .arg = ARG_JITTER },
    { .keyword = "RETENTION", .arg = ARG_RETENTION_MS },
    { .keyword = "UNIQUE", .arg = ARG_UNIQUE },
    { .keyword = "UNTIL", .arg = ARG_UNTIL },
    { .keyword = "WINDOW", .arg = ARG_WINDOW_MS },
    { .keyword = "CONFLICT", .arg = ARG_CONFLICT },
    { .keyword = NULL },
};
static const struct option take_options[] = {
    { .keyword = "COUNT", .arg = ARG_TAKE_COUNT },
    { .keyword = "WAIT", .arg = ARG_WAIT_MS },
    { .keyword = "LEASE", .arg = ARG_LEASE_MS },
    { .keyword = "BOUND", .arg = ARG_GRACE_MS },
    { .keyword = NULL },
};
static const struct option extend_options[] = {
    { .keyword = "LEASE", .arg = ARG_LEASE_MS },
    { .keyword = "PROGRESS", .arg = ARG_PROGRESS },
    { .keyword = NULL },
};
static const struct option done_options[] = {
    { .keyword = "RESULT", .arg = ARG_RESULT },
    { .keyword = NULL },
};
static const struct option fail_options[] = {
    { .keyword = "REASON", .arg = ARG_REASON },
    { .keyword = "DELAY", .arg = ARG_DELAY_MS },
    { .keyword = "UNCOUNTED", .arg = ARG_COUNTED, .is_bare = true, .value = 0 },
    { .keyword = NULL },
};
static const struct option reason_options[] = {
    { .keyword = "REASON", .arg = ARG_REASON },
    { .keyword = NULL },
};
static const struct option sweep_options[] = {
    { .keyword = "GROUP", .arg = ARG_GROUP },
    { .keyword = "REASON", .arg = ARG_REASON },
    { .keyword = "LIMIT", .arg = ARG_LIMIT },
    { .keyword = "CURSOR", .arg = ARG_CURSOR },
    { .keyword = NULL },
};
static const struct option redrive_options[] = {
    { .keyword = "GROUP", .arg = ARG_GROUP },   { .keyword = "REASON", .arg = ARG_REASON },
    { .keyword = "LIMIT", .arg = ARG_LIMIT },   { .keyword = "INTERVAL", .arg = ARG_INTERVAL_MS },
    { .keyword = "CURSOR", .arg = ARG_CURSOR }, { .keyword = NULL },
};
static const struct option scope_options[] = {
    { .keyword = "GROUP", .arg = ARG_GROUP },
    { .keyword = NULL },
};
static const struct option limit_options[] = {
    { .keyword = "GROUP", .arg = ARG_GROUP },     { .keyword = "RUNNING", .arg = ARG_RUNNING_MAX },
    { .keyword = "SIZE", .arg = ARG_SIZE_LIMIT }, { .keyword = "RATE", .arg = ARG_RATE_COUNT },
    { .keyword = "PER", .arg = ARG_RATE_MS },     { .keyword = "BURST", .arg = ARG_BURST },
    { .keyword = "WEIGHT", .arg = ARG_WEIGHT },   { .keyword = NULL },
};
static const struct option await_options[] = {
    { .keyword = "WAIT", .arg = ARG_WAIT_MS },
    { .keyword = NULL },
};

/* The value behind a keyword.  Bodies and results are any bytes. */
static bool take_value(struct resp_args *args, const struct option *option, struct args *out)
{
    enum arg arg = option->arg;
    if (option->is_bare) {
        out->numbers[arg] = option->value;
    } else if (arg == ARG_RESULT) {
        /* A result that is too large is the engine's to refuse, in its own words. */
        if (!resp_take_bytes(args, option->keyword, SIZE_MAX, &out->texts[arg])) return false;
    } else if (!resp_take_arg(args, option->keyword, arg, out)) {
        return false;
    }
    out->is_present[arg] = true;
    return true;
}

static bool take_option(struct resp_args *args, const struct option *options, struct args *out)
{
    for (const struct option *option = options; option->keyword != NULL; option++) {
        if (resp_take_keyword(args, option->keyword)) return take_value(args, option, out);
    }
    return resp_refuse_keyword(args);
}

/* Options up to the end, or up to AND, which is stepped over: then there is `*out_more`. */
static bool take_options_to_and(
    struct resp_args *args, const struct option *options, struct args *out, bool *out_more)
{
    *out_more = false;
    while (resp_args_left(args) && !*out_more) {
        *out_more = resp_take_keyword(args, "AND");
        if (!*out_more && !take_option(args, options, out)) return false;
    }
    return true;
}

/* ------------------------------------------------------------------ commands of one queue */

#define PLACE_COUNT_MAX 3

/* What a command looks like behind the queue: first the arguments that it must have, then options.
 */
struct form {
    enum engine_command_kind kind;
    enum arg places[PLACE_COUNT_MAX]; /* up to the first ARG_COUNT */
    uint32_t place_count;
    const struct option *options;
};

static bool take_places(struct resp_args *args, const struct form *form, struct args *out)
{
    for (uint32_t index = 0; index < form->place_count; index++) {
        enum arg arg = form->places[index];
        if (!resp_take_arg(args, arg_name(arg), arg, out)) return false;
    }
    return true;
}

static void ask(struct resp *resp, struct queue_request *request, const char *fault)
{
    if (fault != NULL) {
        resp_refuse(resp, TENURE_INVALID, fault);
        return;
    }
    request->command.tag |= server_tag(resp->server) << 1;
    server_submit(resp->server, resp->session, &request->command);
}

/* What is to be changed together with the end of an item: from here on there is nothing else. */
static bool begins_transaction(struct resp_args *args)
{
    bool begins = resp_take_keyword(args, "THEN") || resp_take_keyword(args, "IF") ||
                  resp_take_keyword(args, "GUARD");
    args->index -= begins;
    return begins;
}

/* False: it was wrong, and that has been answered. */
static bool take_change(struct resp_args *args, const struct engine_change **out_change)
{
    struct change_request *request = change_request_begin();
    if (!resp_take_transaction(args, request)) return false;
    *out_change = change_request_end(request);
    if (*out_change != NULL) return true;
    resp_refuse(args->resp, TENURE_INVALID, "at most 128 operations, conditions, and 16 guards");
    return false;
}

static void run_form(struct resp *resp, const struct resp_command *command, const struct form *form)
{
    const struct engine_change *change = NULL;
    struct resp_args args = { resp, command, 1 };
    struct bytes queue;
    UNINITIALIZED struct args given;
    UNINITIALIZED struct queue_request request;
    args_init(&given);
    if (!resp_take_plain(&args, "queue", &queue) || !take_places(&args, form, &given)) return;
    while (resp_args_left(&args)) {
        if (form->kind == ENGINE_DONE && begins_transaction(&args)) {
            if (!take_change(&args, &change)) return;
        } else if (!take_option(&args, form->options, &given)) {
            return;
        }
    }
    const struct wall wall = resp->server->wall;
    const char *fault = queue_request_make(&request, form->kind, queue, &given, wall);
    if (form->kind == ENGINE_EXTEND) request.command.as.extend.is_binding = true;
    if (change != NULL) {
        request.command.tag = RESP_TAG_CHANGE;
        request.command.as.end_work.change = change;
    }
    ask(resp, &request, fault);
}

#define CLAIM_PLACES .places = { ARG_ID, ARG_TOKEN }, .place_count = 2
#define ID_PLACE     .places = { ARG_ID }, .place_count = 1

static const struct option no_options[] = { { .keyword = NULL } };

void resp_run_progress(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { .kind = ENGINE_EXTEND,
                                      .places = { ARG_ID, ARG_TOKEN, ARG_PROGRESS },
                                      .place_count = 3,
                                      .options = no_options };
    run_form(resp, command, &form);
}

void resp_run_done(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { ENGINE_DONE, CLAIM_PLACES, .options = done_options };
    run_form(resp, command, &form);
}

void resp_run_fail(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { ENGINE_FAIL, CLAIM_PLACES, .options = fail_options };
    run_form(resp, command, &form);
}

void resp_run_bury(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { ENGINE_BURY, CLAIM_PLACES, .options = reason_options };
    run_form(resp, command, &form);
}

void resp_run_cancel(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { ENGINE_CANCEL_ITEM, ID_PLACE, .options = reason_options };
    run_form(resp, command, &form);
}

void resp_run_kick(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { ENGINE_KICK, ID_PLACE, .options = reason_options };
    run_form(resp, command, &form);
}

void resp_run_redrive(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { .kind = ENGINE_REDRIVE, .options = redrive_options };
    run_form(resp, command, &form);
}

void resp_run_purge(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { .kind = ENGINE_PURGE,
                                      .places = { ARG_ITEM_STATE },
                                      .place_count = 1,
                                      .options = sweep_options };
    run_form(resp, command, &form);
}

void resp_run_pause(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { .kind = ENGINE_PAUSE, .options = scope_options };
    run_form(resp, command, &form);
}

void resp_run_resume(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { .kind = ENGINE_RESUME, .options = scope_options };
    run_form(resp, command, &form);
}

void resp_run_limit(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { .kind = ENGINE_LIMIT, .options = limit_options };
    run_form(resp, command, &form);
}

void resp_run_await(struct resp *resp, const struct resp_command *command)
{
    static const struct form form = { ENGINE_AWAIT, ID_PLACE, .options = await_options };
    run_form(resp, command, &form);
}

/* ------------------------------------------------------------------ QUEUE.PUT */

static void submit_many(struct resp *resp, struct engine_command *command, bool is_many)
{
    command->tag = server_tag(resp->server) << 1 | (is_many ? RESP_TAG_MANY : 0);
    server_submit(resp->server, resp->session, command);
}

void resp_run_put(struct resp *resp, const struct resp_command *command)
{
    /* Too large for the stack; there is only one thread. */
    static struct engine_put puts[LIMIT_ITEM_COUNT_MAX];
    struct resp_args args = { resp, command, 1 };
    struct bytes queue;
    UNINITIALIZED struct args given;
    uint32_t count = 0;
    bool is_more = true;
    if (!resp_take_plain(&args, "queue", &queue)) return;
    while (is_more) {
        args_init(&given);
        if (count == LIMIT_ITEM_COUNT_MAX) {
            resp_refuse(resp, TENURE_INVALID, "at most 1024 items at once");
            return;
        }
        if (!resp_take_bytes(&args, "body", LIMIT_BODY_SIZE_MAX, &given.texts[ARG_BODY])) return;
        given.is_present[ARG_BODY] = true;
        if (!take_options_to_and(&args, put_options, &given, &is_more)) return;
        const char *fault = queue_request_put(&puts[count++], queue, &given, resp->server->wall);
        if (fault != NULL) {
            resp_refuse(resp, TENURE_INVALID, fault);
            return;
        }
    }
    struct engine_command request = { .kind = ENGINE_PUT, .as.put = { puts, count } };
    submit_many(resp, &request, count > 1);
}

/* ------------------------------------------------------------------ QUEUE.SCHEDULE */

void resp_run_schedule(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct schedule schedule = { .item.queue = { 0 } };
    struct engine_put put;
    struct bytes queue;
    struct bytes missed;
    bool is_more;
    UNINITIALIZED struct args given;
    args_init(&given);
    if (!resp_take_plain(&args, "queue", &queue)) return;
    if (!resp_take_plain(&args, "name", &schedule.name)) return;
    if (!resp_take_plain(&args, "line", &schedule.line)) return;
    if (!resp_take_plain(&args, "zone", &schedule.zone)) return;
    if (!resp_take_plain(&args, "missed", &missed)) return;
    if (!resp_take_bytes(&args, "body", LIMIT_BODY_SIZE_MAX, &given.texts[ARG_BODY])) return;
    given.is_present[ARG_BODY] = true;
    if (!take_options_to_and(&args, put_options, &given, &is_more)) return;
    const struct wall wall = resp->server->wall;
    schedule.made_us = wall.us;
    const char *fault = is_more ? "one schedule at a time" : NULL;
    if (!schedules_parse_missed(missed, &schedule.policy)) {
        fault = "missed: skip, once, all or all:20";
    }
    if (fault == NULL) fault = queue_request_put(&schedule.item, queue, &given, wall);
    if (fault == NULL) fault = schedules_begin(&schedule, wall, &put);
    if (fault != NULL) {
        resp_refuse(resp, TENURE_INVALID, fault);
        return;
    }
    struct engine_command request = { .kind = ENGINE_PUT, .as.put = { &put, 1 } };
    submit_many(resp, &request, false);
}

/* ------------------------------------------------------------------ QUEUE.EXTEND */

void resp_run_extend(struct resp *resp, const struct resp_command *command)
{
    static struct engine_work_claim claims[LIMIT_ITEM_COUNT_MAX];
    static const struct form form = { ENGINE_EXTEND, CLAIM_PLACES, .options = extend_options };
    struct resp_args args = { resp, command, 1 };
    struct bytes queue;
    UNINITIALIZED struct args given;
    uint32_t count = 0;
    bool is_more = true;
    while (is_more) {
        args_init(&given);
        if (count == LIMIT_ITEM_COUNT_MAX) {
            resp_refuse(resp, TENURE_INVALID, "at most 1024 leases at once");
            return;
        }
        if (!resp_take_plain(&args, "queue", &queue) || !take_places(&args, &form, &given)) return;
        if (!take_options_to_and(&args, form.options, &given, &is_more)) return;
        queue_request_claim(&claims[count++], queue, &given);
    }
    struct engine_command request = { .kind = ENGINE_EXTEND, .as.extend = { claims, count, true } };
    submit_many(resp, &request, count > 1);
}

/* ------------------------------------------------------------------ QUEUE.TAKE */

/* All words behind AND. */
static bool take_more_queues(struct resp_args *args, struct args *out)
{
    do {
        if (out->name_count == LIMIT_NAME_COUNT_MAX - 1) {
            resp_refuse(args->resp, TENURE_INVALID, "at most 32 queues at once");
            return false;
        }
        if (!resp_take_plain(args, "queue", &out->names[out->name_count])) return false;
        out->name_count++;
    } while (resp_args_left(args));
    out->is_present[ARG_NAMES] = true;
    return true;
}

void resp_run_take(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes queue;
    bool is_more;
    UNINITIALIZED struct args given;
    UNINITIALIZED struct queue_request request;
    args_init(&given);
    if (!resp_take_plain(&args, "queue", &queue)) return;
    if (!resp_take_arg(&args, "worker", ARG_WORKER, &given)) return;
    if (!take_options_to_and(&args, take_options, &given, &is_more)) return;
    if (is_more && !take_more_queues(&args, &given)) return;
    const struct wall wall = resp->server->wall;
    ask(resp, &request, queue_request_make(&request, ENGINE_TAKE, queue, &given, wall));
}
