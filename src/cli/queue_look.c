#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/connect.h"
#include "cli/queue.h"

#define WAIT_MS_MAX 86400000u

enum {
    OPTION_STATE = OPTION_OWN,
    OPTION_LIMIT,
    OPTION_BODY,
    OPTION_RESULT,
    OPTION_GROUP,
    OPTION_CHECK,
    OPTION_WAIT,
};

/* ------------------------------------------------------------------ ls */

static const struct option_spec ls_specs[] = {
    { OPTION_STATE, "state", "STATE", "delayed, ready, taken, done, dead or cancelled" },
    { OPTION_LIMIT, "limit", "N", "so many of each state (100); 0: all" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const ls_usages[] = { "[OPTION …] [QUEUE]", NULL };

static const char *const ls_examples[] = {
    "tenure queue ls",
    "all queues: what waits, what runs, and since when the oldest waits",
    "tenure queue ls --state dead --json videos",
    "items of one state, for programs",
    NULL,
};

static const struct table_column queue_columns[] = {
    { .title = "QUEUE", .is_flexible = true }, { .title = "READY", .is_right = true },
    { .title = "DELAYED", .is_right = true },  { .title = "TAKEN", .is_right = true },
    { .title = "DEAD", .is_right = true },     { .title = "OLDEST", .is_right = true },
    { .title = "WAITING", .is_right = true },
};

static const struct table_column item_columns[] = {
    { .title = "ID", .is_flexible = true },     { .title = "STATE" },
    { .title = "GROUP", .is_flexible = true },  { .title = "AGE", .is_right = true },
    { .title = "FAILED", .is_right = true },    { .title = "LAPSED", .is_right = true },
    { .title = "WORKER", .is_flexible = true }, { .title = "NOTE", .is_flexible = true },
};

struct listing {
    bool is_json;
    struct table table;
};

static void print_limits(struct json *json, const struct tenure_group_limits *limits)
{
    json_key(json, "limits");
    json_open(json, '{');
    json_number(json, "running_max", limits->running_max);
    json_number(json, "waiting_max", limits->waiting_max);
    json_number(json, "rate_count", limits->rate_count);
    json_number(json, "rate_ms", limits->rate_ms);
    json_number(json, "burst", limits->burst);
    json_number(json, "weight", limits->weight);
    json_close(json, '}');
}

static void print_stat_json(const struct tenure_queue_stat *stat)
{
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "queue", stat->queue);
    json_string(&json, "group", stat->group);
    for (int state = 0; state < TENURE_ITEM_STATE_COUNT; state++) {
        const char *name = tenure_item_state_name((enum tenure_item_state)state);
        json_number(&json, name, stat->counts[state]);
    }
    json_number(&json, "groups", stat->group_count);
    json_number(&json, "waiting", stat->taker_count);
    json_span(&json, "oldest_ms", stat->oldest_ms);
    json_bool(&json, "paused", stat->is_paused);
    print_limits(&json, &stat->limits);
    json_close(&json, '}');
    json_end();
}

static void on_queue(const struct tenure_queue_stat *stat, void *user)
{
    struct listing *listing = user;
    struct table *table = &listing->table;
    char span[OUT_SPAN_SIZE];
    if (listing->is_json) {
        print_stat_json(stat);
        return;
    }
    table_addf(table, "%s%s", stat->queue, stat->is_paused ? " (paused)" : "");
    table_addf(table, "%" PRIu32, stat->counts[TENURE_ITEM_READY]);
    table_addf(table, "%" PRIu32, stat->counts[TENURE_ITEM_DELAYED]);
    table_addf(table, "%" PRIu32, stat->counts[TENURE_ITEM_TAKEN]);
    table_addf(table, "%" PRIu32, stat->counts[TENURE_ITEM_DEAD]);
    table_add(table, out_span(stat->oldest_ms, span));
    table_addf(table, "%" PRIu32, stat->taker_count);
}

static void on_item(const struct tenure_item *item, void *user)
{
    struct listing *listing = user;
    struct table *table = &listing->table;
    char span[OUT_SPAN_SIZE];
    char owner[OUT_OWNER_SIZE];
    if (listing->is_json) {
        queue_print_item_json(item);
        return;
    }
    table_add(table, item->id);
    table_add(table, tenure_item_state_name(item->state));
    table_add(table, item->group);
    int64_t age_ms = item->put_at_us > 0 ? (out_now_us() - item->put_at_us) / 1000 : -1;
    table_add(table, out_span(age_ms, span));
    table_addf(table, "%" PRIu32, item->attempts);
    table_addf(table, "%" PRIu32, item->lapses);
    table_add(table, out_owner(item->worker, owner));
    table_add(table, item->note);
}

static enum tenure_err list_items(
    struct tenure_client client,
    struct tenure_item_list_options *options,
    bool has_state,
    struct listing *listing,
    struct tenure_error *out_error)
{
    /* What is going on comes first. */
    static const enum tenure_item_state order[] = {
        TENURE_ITEM_TAKEN, TENURE_ITEM_READY, TENURE_ITEM_DELAYED,
        TENURE_ITEM_DEAD,  TENURE_ITEM_DONE,  TENURE_ITEM_CANCELLED,
    };
    if (has_state) return tenure_item_list(client, options, on_item, listing, out_error);
    enum tenure_err err = TENURE_OK;
    for (size_t i = 0; i < TENURE_ITEM_STATE_COUNT && err == TENURE_OK; i++) {
        options->state = order[i];
        err = tenure_item_list(client, options, on_item, listing, out_error);
    }
    return err;
}

static int run_ls(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct tenure_item_list_options options = { .size = sizeof(options), .count_max = 100 };
    bool has_state = false;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        bool is_good = true;
        if (id == OPTION_LIMIT) {
            is_good = queue_number(&arguments.options, 0, UINT32_MAX, &options.count_max);
        }
        if (id == OPTION_STATE) {
            has_state = true;
            is_good = queue_state(command, arguments.options.value, &options.state);
        }
        if (!is_good) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, has_state ? 1 : 0, 1, "of which queue?", &code)) return code;
    bool is_items = arguments.word_count == 1;
    struct listing listing = { .is_json = arguments.is_json };
    struct tenure_client client;
    if (!queue_open(&arguments, &client, &code)) return code;
    struct tenure_error error = { .text = "" };
    enum tenure_err err;
    if (is_items) {
        table_init(&listing.table, item_columns, sizeof(item_columns) / sizeof(item_columns[0]));
        options.queue = arguments.words[0];
        err = list_items(client, &options, has_state, &listing, &error);
    } else {
        table_init(&listing.table, queue_columns, sizeof(queue_columns) / sizeof(queue_columns[0]));
        err = tenure_queue_list(client, NULL, on_queue, &listing, &error);
    }
    if (err == TENURE_OK && listing.table.is_failed) err = TENURE_NO_MEMORY;
    if (err == TENURE_OK) table_print(&listing.table);
    table_deinit(&listing.table);
    return queue_close(&arguments, client, err, &error);
}

const struct command queue_ls = {
    .name = "queue ls",
    .summary = "list the queues, or the items of one",
    .usages = ls_usages,
    .examples = ls_examples,
    .options = ls_specs,
    .run = run_ls,
};

/* ------------------------------------------------------------------ peek */

static const struct option_spec peek_specs[] = {
    { OPTION_STATE, "state", "STATE", "the next one of this state (ready)" },
    { OPTION_BODY, "body", NULL, "its body as it is, and nothing else" },
    { OPTION_RESULT, "result", NULL, "its result as it is, and nothing else" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const peek_usages[] = { "[OPTION …] QUEUE [ID]", NULL };

static const char *const peek_examples[] = {
    "tenure queue peek videos",
    "the item that is taken next; nothing is taken by this",
    "tenure queue peek --body videos _17",
    "what is in one item",
    NULL,
};

static const char peek_notes[] = "Exit code 66: there is no such item.\n";

struct peeking {
    bool is_json;
    bool is_body;
    bool is_result;
};

static void on_peek(const struct tenure_item *item, void *user)
{
    const struct peeking *peeking = user;
    if (peeking->is_body) {
        (void)fwrite(item->body, 1, item->body_size, stdout);
    } else if (peeking->is_result) {
        (void)fwrite(item->result, 1, item->result_size, stdout);
    } else if (peeking->is_json) {
        queue_print_item_json(item);
    } else {
        queue_print_item(item);
    }
}

static int run_peek(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct peeking peeking = { .is_json = false };
    enum tenure_item_state state = TENURE_ITEM_READY;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (id == OPTION_BODY) peeking.is_body = true;
        if (id == OPTION_RESULT) peeking.is_result = true;
        bool is_state = id == OPTION_STATE;
        if (is_state && !queue_state(command, arguments.options.value, &state)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 2, "into which queue?", &code)) return code;
    peeking.is_json = arguments.is_json;
    struct tenure_client client;
    if (!queue_open(&arguments, &client, &code)) return code;
    struct tenure_error error = { .text = "" };
    const char *queue = arguments.words[0];
    const char *item = arguments.words[1];
    enum tenure_err err = item != NULL
                              ? tenure_item_look(client, queue, item, on_peek, &peeking, &error)
                              : tenure_item_peek(client, queue, state, on_peek, &peeking, &error);
    if (err == TENURE_NOT_FOUND) {
        complain(command, "there is no such item in %.255s", queue);
        tenure_client_close(client);
        return tenure_err_exit_code(err);
    }
    return queue_close(&arguments, client, err, &error);
}

const struct command queue_peek = {
    .name = "queue peek",
    .summary = "look at one item without taking it",
    .usages = peek_usages,
    .examples = peek_examples,
    .options = peek_specs,
    .notes = peek_notes,
    .run = run_peek,
};

/* ------------------------------------------------------------------ stat */

static const struct option_spec stat_specs[] = {
    { OPTION_GROUP, "group", "GROUP", "one group of it" },
    { OPTION_CHECK,
      "check",
      "LIMITS",
      "print nothing, and exit with 1 when one is passed:\n"
      "oldest=TIME, ready=N, delayed=N, taken=N, dead=N" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const stat_usages[] = { "[OPTION …] QUEUE", NULL };

static const char *const stat_examples[] = {
    "tenure queue stat videos",
    "how much is in which state, and what limits it",
    "tenure queue stat --check oldest=60s,dead=0 videos",
    "for a monitor: 1 when one waits for more than a minute, or is dead",
    NULL,
};

static const char stat_notes[] = "Exit code 66: nothing is known of it.\n";

struct checks {
    int64_t oldest_ms; /* -1: not checked, as of the next ones */
    int64_t counts[TENURE_ITEM_STATE_COUNT];
};

struct showing {
    const struct command *command;
    bool is_json;
    bool is_check;
    bool is_passed;
    struct checks checks;
};

static bool read_check(struct checks *checks, const char *name, const char *value)
{
    uint64_t number;
    if (strcmp(name, "oldest") == 0) {
        if (!duration_parse(value, &number)) return false;
        checks->oldest_ms = (int64_t)number;
        return true;
    }
    for (int state = 0; state < TENURE_ITEM_STATE_COUNT; state++) {
        if (strcmp(name, tenure_item_state_name((enum tenure_item_state)state)) != 0) continue;
        if (!number_parse(value, &number)) return false;
        checks->counts[state] = (int64_t)number;
        return true;
    }
    return false;
}

/* "oldest=60s,dead=0".  False: complained. */
static bool read_checks(const struct command *command, const char *words, struct checks *out_checks)
{
    char text[256];
    struct checks checks = { .oldest_ms = -1 };
    for (int state = 0; state < TENURE_ITEM_STATE_COUNT; state++) {
        checks.counts[state] = -1;
    }
    bool is_good = (size_t)snprintf(text, sizeof(text), "%s", words) < sizeof(text);
    char *rest = text;
    char *word;
    while (is_good && (word = strsep(&rest, ",")) != NULL) {
        char *value = word;
        const char *name = strsep(&value, "=");
        is_good = value != NULL && read_check(&checks, name, value);
    }
    if (!is_good) complain(command, "--check: '%.60s': write oldest=60s,ready=1000,dead=0", words);
    *out_checks = checks;
    return is_good;
}

static void check(struct showing *showing, const struct tenure_queue_stat *stat)
{
    const struct checks *checks = &showing->checks;
    char span[OUT_SPAN_SIZE];
    if (checks->oldest_ms >= 0 && stat->oldest_ms > checks->oldest_ms) {
        complain(showing->command, "the oldest waits for %s", out_span(stat->oldest_ms, span));
        showing->is_passed = true;
    }
    for (int state = 0; state < TENURE_ITEM_STATE_COUNT; state++) {
        if (checks->counts[state] < 0 || stat->counts[state] <= checks->counts[state]) continue;
        const char *name = tenure_item_state_name((enum tenure_item_state)state);
        complain(showing->command, "%" PRIu32 " are %s", stat->counts[state], name);
        showing->is_passed = true;
    }
}

static void print_number(const char *title, uint64_t number)
{
    (void)printf("%-12s %" PRIu64 "\n", title, number);
}

static void print_stat(const struct tenure_queue_stat *stat)
{
    char span[OUT_SPAN_SIZE];
    for (int state = 0; state < TENURE_ITEM_STATE_COUNT; state++) {
        print_number(tenure_item_state_name((enum tenure_item_state)state), stat->counts[state]);
    }
    if (stat->group == NULL) {
        (void)printf("%-12s %s\n", "oldest", out_span(stat->oldest_ms, span));
        print_number("groups", stat->group_count);
        print_number("waiting", stat->taker_count);
    }
    (void)printf("%-12s %s\n", "paused", stat->is_paused ? "yes" : "no");
    const struct tenure_group_limits *limits = &stat->limits;
    if (limits->running_max > 0) print_number("running max", limits->running_max);
    if (limits->waiting_max > 0) print_number("waiting max", limits->waiting_max);
    if (limits->rate_count > 0) {
        (void)printf(
            "%-12s %" PRIu32 " in %s\n",
            "rate",
            limits->rate_count,
            out_span(limits->rate_ms, span));
    }
    if (limits->weight > 1) print_number("weight", limits->weight);
}

static void on_stat(const struct tenure_queue_stat *stat, void *user)
{
    struct showing *showing = user;
    if (showing->is_check) {
        check(showing, stat);
    } else if (showing->is_json) {
        print_stat_json(stat);
    } else {
        print_stat(stat);
    }
}

static int run_stat(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct showing showing = { .command = command };
    const char *group = NULL;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (id == OPTION_GROUP) group = arguments.options.value;
        if (id != OPTION_CHECK) continue;
        showing.is_check = true;
        if (!read_checks(command, arguments.options.value, &showing.checks)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "of which queue?", &code)) return code;
    showing.is_json = arguments.is_json;
    struct tenure_client client;
    if (!queue_open(&arguments, &client, &code)) return code;
    struct tenure_error error = { .text = "" };
    const char *queue = arguments.words[0];
    enum tenure_err err = tenure_queue_stat(client, queue, group, on_stat, &showing, &error);
    if (err == TENURE_NOT_FOUND) {
        complain(command, "nothing is known of %.255s", queue);
        tenure_client_close(client);
        return tenure_err_exit_code(err);
    }
    code = queue_close(&arguments, client, err, &error);
    return err == TENURE_OK && showing.is_passed ? EXIT_FAILURE : code;
}

const struct command queue_stat = {
    .name = "queue stat",
    .summary = "how much is in a queue, or a group of it",
    .usages = stat_usages,
    .examples = stat_examples,
    .options = stat_specs,
    .notes = stat_notes,
    .run = run_stat,
};

/* ------------------------------------------------------------------ wait */

static const struct option_spec wait_specs[] = {
    { 'w', "wait", "TIME", "for so long at most (default: for ever)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const wait_usages[] = { "[OPTION …] QUEUE ID", NULL };

static const char *const wait_examples[] = {
    "tenure queue wait videos _17",
    "until it has ended; its result is printed",
    NULL,
};

static const char wait_notes[] =
    "Exit codes: 1 it is dead or was cancelled; 66 there is no such item, or it is\n"
    "forgotten; 75 it has not ended yet.\n";

static int run_wait(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct tenure_await_options options = { .size = sizeof(options),
                                            .wait_ms = TENURE_WAIT_FOREVER };
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!options_duration(&arguments.options, 0, WAIT_MS_MAX, &options.wait_ms)) {
            return EX_USAGE;
        }
    }
    int code;
    if (!arguments_end(&arguments, id, 2, 2, "for which item?", &code)) return code;
    struct tenure_client client;
    if (!queue_open(&arguments, &client, &code)) return code;
    options.queue = arguments.words[0];
    options.id = arguments.words[1];
    code = queue_await(&arguments, client, &options);
    tenure_client_close(client);
    return code;
}

const struct command queue_wait = {
    .name = "queue wait",
    .summary = "wait for the end of an item, and print its result",
    .usages = wait_usages,
    .examples = wait_examples,
    .options = wait_specs,
    .notes = wait_notes,
    .run = run_wait,
};
