#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "cli/connect.h"
#include "cli/queue.h"

#define BODY_SIZE_MAX   1048576u
#define LINES_SIZE_MAX  (512u * 1048576u)
#define DELAY_MS_MAX    DURATION_MS_MAX
#define LEASE_MS_MIN    100u
#define LEASE_MS_MAX    86400000u
#define BATCH_COUNT_MAX 1024u
#define US_PER_S        INT64_C(1000000)
/* Who waits for the end must find the item when it has ended. */
#define RETENTION_MS_OF_WAIT 3600000u

enum {
    OPTION_ID = OPTION_OWN,
    OPTION_GROUP,
    OPTION_PRIORITY,
    OPTION_HEADERS,
    OPTION_DELAY,
    OPTION_AT,
    OPTION_EXPIRE,
    OPTION_LEASE,
    OPTION_MAX_RUN,
    OPTION_ATTEMPTS,
    OPTION_LAPSES,
    OPTION_BACKOFF,
    OPTION_BACKOFF_MAX,
    OPTION_FIXED,
    OPTION_JITTER,
    OPTION_RETAIN,
    OPTION_UNIQUE,
    OPTION_UNTIL,
    OPTION_WINDOW,
    OPTION_ON_CONFLICT,
    OPTION_LINES,
    OPTION_WAIT,
    OPTION_ZONE,
    OPTION_MISSED,
    OPTION_LIST,
    OPTION_REMOVE,
};

static const struct option_spec specs[] = {
    { 'f', "file", "FILE", "the body; - is standard input, as without BODY" },
    { OPTION_LINES, "lines", NULL, "each line of the file is the body of an item" },
    { OPTION_ID, "id", "ID", "of one's own: put again, it is the same item" },
    { OPTION_GROUP, "group", "GROUP", "groups of a queue take turns" },
    { OPTION_PRIORITY, "priority", "N", "0 to 9; 9 comes first (default 0)" },
    { OPTION_HEADERS, "headers", "TEXT", "up to 4096 bytes for the worker" },
    { OPTION_DELAY, "delay", "TIME", "not before so much has passed" },
    { OPTION_AT, "at", "WHEN", "not before: 2026-12-24T18:00:00Z, or seconds since\n1970" },
    { OPTION_EXPIRE, "expire", "TIME", "cancelled when it was not taken within so long" },
    { OPTION_LEASE, "lease", "TIME", "its worker must be heard of so often (30 s)" },
    { OPTION_MAX_RUN, "max-run", "TIME", "a run that takes longer has failed" },
    { OPTION_ATTEMPTS, "attempts", "N", "so many failures, and it is dead (25); 0: any" },
    { OPTION_LAPSES, "lapses", "N", "so many lost workers, and it is dead (3); 0: any" },
    { OPTION_BACKOFF, "backoff", "TIME", "before the second attempt (1 s); then it doubles" },
    { OPTION_BACKOFF_MAX, "backoff-max", "TIME", "up to so much (1h)" },
    { OPTION_FIXED, "backoff-fixed", NULL, "it does not double" },
    { OPTION_JITTER, "jitter", "PERCENT", "by so much it may be shorter (20)" },
    { OPTION_RETAIN,
      "retain",
      "TIME",
      "how long it is remembered when it is done or\n"
      "cancelled (1m with an id, else not at all)" },
    { OPTION_UNIQUE, "unique", "KEY", "only one item of this key at a time" },
    { OPTION_UNTIL, "until", "WHEN", "done (the default) or started: then another may\ncome" },
    { OPTION_WINDOW, "window", "TIME", "or when so much has passed since the put" },
    { OPTION_ON_CONFLICT,
      "on-conflict",
      "WHAT",
      "ignore: the other one stands for it (the default)\n"
      "replace: it takes the place of one that waits\n"
      "keep-last: also that; while the other runs, the\n"
      "last one put waits for its end" },
    { OPTION_WAIT, "wait", "TIME", "wait for its end, and print its result" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[OPTION …] QUEUE [BODY]",
    "[OPTION …] --lines QUEUE",
    NULL,
};

static const char *const examples[] = {
    "tenure queue put videos 'holiday.mp4'",
    "prints the id of the item",
    "ls *.mp4 | tenure queue put --lines --group \"$customer\" videos",
    "an item for each; the customers' items take turns",
    "tenure queue put --unique nightly --wait 1h reports ''",
    "whoever asks while it is queued or runs gets the same one, and its result",
    NULL,
};

static const char notes[] =
    "Exit codes with --wait: 1 it is dead or was cancelled, 75 it has not ended yet.\n";

struct putting {
    struct arguments arguments;
    struct tenure_put_options item;
    const char *path;
    uint32_t wait_ms;
    bool has_wait;
    bool is_lines;
    bool has_until;
};

/* ------------------------------------------------------------------ options */

/* 0 is "no limit" here, and the default in the library. */
static bool read_limit(struct options *options, uint32_t most, uint32_t *out_number)
{
    if (!queue_number(options, 0, most, out_number)) return false;
    if (*out_number == 0) *out_number = TENURE_NONE;
    return true;
}

static bool read_when(const struct options *options, int64_t *out_at_us)
{
    uint64_t seconds;
    struct tm parts = { .tm_isdst = -1 };
    if (number_parse(options->value, &seconds) && seconds < UINT64_C(253402300800)) {
        *out_at_us = (int64_t)seconds * US_PER_S;
        return true;
    }
    const char *end = strptime(options->value, "%Y-%m-%dT%H:%M:%S", &parts);
    bool is_utc = end != NULL && strcmp(end, "Z") == 0;
    if (end == NULL || (!is_utc && *end != '\0')) {
        complain(
            options->command,
            "--at: '%.60s' is no time; write 2026-12-24T18:00:00 (local time; with Z: UTC), or "
            "seconds since 1970",
            options->value);
        return false;
    }
    time_t at = is_utc ? timegm(&parts) : mktime(&parts);
    *out_at_us = (int64_t)at * US_PER_S;
    return true;
}

static bool read_conflict(const struct options *options, struct tenure_put_options *item)
{
    static const char *const words[] = { "ignore", "replace", "keep-last" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(options->value, words[i]) != 0) continue;
        item->conflict = (enum tenure_conflict)i;
        return true;
    }
    complain(
        options->command,
        "--on-conflict: '%.40s' is none of ignore, replace, keep-last",
        options->value);
    return false;
}

static bool read_until(struct putting *putting)
{
    const struct options *options = &putting->arguments.options;
    bool is_started = strcmp(options->value, "started") == 0;
    putting->has_until = true;
    putting->item.unique = is_started ? TENURE_UNIQUE_UNTIL_STARTED : TENURE_UNIQUE_UNTIL_DONE;
    if (is_started || strcmp(options->value, "done") == 0) return true;
    complain(options->command, "--until: '%.40s' is none of done, started", options->value);
    return false;
}

static bool read_time_option(struct options *options, int id, struct tenure_put_options *item)
{
    switch (id) {
    case OPTION_DELAY: return options_duration(options, 0, DELAY_MS_MAX, &item->delay_ms);
    case OPTION_AT: return read_when(options, &item->run_at_us);
    case OPTION_EXPIRE: return options_duration(options, 1, DELAY_MS_MAX, &item->expire_ms);
    case OPTION_LEASE:
        return options_duration(options, LEASE_MS_MIN, LEASE_MS_MAX, &item->lease_ms);
    case OPTION_MAX_RUN: return options_duration(options, 1, DELAY_MS_MAX, &item->timeout_ms);
    case OPTION_BACKOFF: return options_duration(options, 1, LEASE_MS_MAX, &item->backoff_ms);
    case OPTION_BACKOFF_MAX:
        return options_duration(options, 1, LEASE_MS_MAX, &item->backoff_ms_max);
    case OPTION_RETAIN: return options_duration(options, 1, DELAY_MS_MAX, &item->retention_ms);
    default: abort(); /* the table has an option that nobody reads */
    }
}

static bool read_option(struct putting *putting, int id)
{
    struct options *options = &putting->arguments.options;
    struct tenure_put_options *item = &putting->item;
    switch (id) {
    case 'f': putting->path = options->value; return true;
    case OPTION_LINES: putting->is_lines = true; return true;
    case OPTION_ID: item->id = options->value; return true;
    case OPTION_GROUP: item->group = options->value; return true;
    case OPTION_PRIORITY: return queue_number(options, 0, 9, &item->priority);
    case OPTION_HEADERS: item->headers = options->value; return true;
    case OPTION_ATTEMPTS: return read_limit(options, 10000, &item->attempts_max);
    case OPTION_LAPSES: return read_limit(options, 255, &item->lapses_max);
    case OPTION_JITTER: return read_limit(options, 100, &item->jitter_percent);
    case OPTION_FIXED: item->is_backoff_fixed = true; return true;
    case OPTION_UNIQUE: item->unique_key = options->value; return true;
    case OPTION_UNTIL: return read_until(putting);
    case OPTION_WINDOW: return options_duration(options, 1, DELAY_MS_MAX, &item->unique_ms);
    case OPTION_ON_CONFLICT: return read_conflict(options, item);
    case OPTION_WAIT:
        putting->has_wait = true;
        return options_duration(options, 0, LEASE_MS_MAX, &putting->wait_ms);
    default: return read_time_option(options, id, item);
    }
}

/* What options mean together.  False: complained. */
static bool settle(struct putting *putting)
{
    struct tenure_put_options *item = &putting->item;
    const struct arguments *arguments = &putting->arguments;
    const char *fault = NULL;
    bool has_body = arguments->word_count == 2;
    if (item->unique_key == NULL && (putting->has_until || item->unique_ms > 0)) {
        fault = "--until and --window go with --unique";
    } else if (putting->has_until && item->unique_ms > 0) {
        fault = "--until and --window exclude each other";
    } else if (has_body && (putting->path != NULL || putting->is_lines)) {
        fault = "BODY, --file and --lines: one of them";
    } else if (putting->is_lines && (item->id != NULL || item->unique_key != NULL)) {
        fault = "--lines puts many items: --id and --unique name one";
    } else if (putting->is_lines && putting->has_wait) {
        fault = "--wait waits for one item, and --lines puts many";
    } else if (item->delay_ms > 0 && item->run_at_us > 0) {
        fault = "--delay and --at exclude each other";
    }
    if (fault != NULL) {
        complain(arguments->command, "%s", fault);
        return false;
    }
    if (item->unique_key != NULL && !putting->has_until) {
        item->unique = item->unique_ms > 0 ? TENURE_UNIQUE_WINDOW : TENURE_UNIQUE_UNTIL_DONE;
    }
    if (putting->has_wait && item->retention_ms == 0) item->retention_ms = RETENTION_MS_OF_WAIT;
    item->queue = arguments->words[0];
    return true;
}

/* ------------------------------------------------------------------ one */

static void print_result(const struct arguments *arguments, const struct tenure_put_result *result)
{
    if (!arguments->is_json) {
        (void)puts(result->id);
        return;
    }
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "id", result->id);
    json_string(&json, "state", tenure_item_state_name(result->state));
    json_bool(&json, "repeat", result->is_repeat);
    json_close(&json, '}');
    json_end();
}

static int put_one(struct putting *putting, struct tenure_client client)
{
    const struct arguments *arguments = &putting->arguments;
    struct tenure_put_result result;
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tenure_put(client, &putting->item, 1, &result, &error);
    if (err != TENURE_OK) return connect_complain(arguments->command, err, &error);
    if (!putting->has_wait) {
        print_result(arguments, &result);
        return EX_OK;
    }
    struct tenure_await_options options = {
        .size = sizeof(options),
        .queue = putting->item.queue,
        .id = result.id,
        .wait_ms = putting->wait_ms,
    };
    return queue_await(arguments, client, &options);
}

/* ------------------------------------------------------------------ many */

static int put_batch(
    const struct putting *putting,
    struct tenure_client client,
    const struct tenure_put_options *items,
    uint32_t count)
{
    static struct tenure_put_result results[BATCH_COUNT_MAX];
    const struct arguments *arguments = &putting->arguments;
    struct tenure_error error = { .text = "" };
    for (uint32_t i = 0; i < count; i++) {
        results[i].err = TENURE_CANCELED;
    }
    enum tenure_err err = tenure_put(client, items, count, results, &error);
    enum tenure_err worst = err;
    for (uint32_t i = 0; i < count; i++) {
        if (results[i].err == TENURE_OK) print_result(arguments, &results[i]);
        if (results[i].err != TENURE_OK && worst == TENURE_OK) worst = results[i].err;
    }
    if (worst == TENURE_OK) return EX_OK;
    return connect_complain(arguments->command, worst, err == TENURE_OK ? NULL : &error);
}

static int put_lines(struct putting *putting, struct tenure_client client, char *text, size_t size)
{
    static struct tenure_put_options items[BATCH_COUNT_MAX];
    uint32_t count = 0;
    char *at = text;
    char *end = text + size;
    int code = EX_OK;
    while (at < end && code == EX_OK) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        char *stop = newline == NULL ? end : newline;
        items[count] = putting->item;
        items[count].body = at;
        items[count++].body_size = (size_t)(stop - at);
        at = stop + 1;
        if (count < BATCH_COUNT_MAX && at < end) continue;
        code = put_batch(putting, client, items, count);
        count = 0;
    }
    return code;
}

/* ------------------------------------------------------------------ */

static int put(struct putting *putting)
{
    const struct arguments *arguments = &putting->arguments;
    const char *word = arguments->words[1];
    struct queue_bytes bytes = { .data = NULL };
    bool is_read = arguments->word_count < 2;
    size_t size_max = putting->is_lines ? LINES_SIZE_MAX : BODY_SIZE_MAX;
    const char *path = putting->path == NULL ? "-" : putting->path;
    if (is_read && !queue_read(arguments->command, path, size_max, &bytes)) return EX_NOINPUT;
    if (!putting->is_lines) {
        putting->item.body = is_read ? bytes.data : word;
        putting->item.body_size = is_read ? bytes.size : strlen(word);
    }
    struct tenure_client client;
    int code;
    if (queue_open(arguments, &client, &code)) {
        code = putting->is_lines ? put_lines(putting, client, bytes.data, bytes.size)
                                 : put_one(putting, client);
        tenure_client_close(client);
    }
    free(bytes.data);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct putting putting = { .item = { .size = sizeof(putting.item) } };
    arguments_init(&putting.arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&putting.arguments)) > 0) {
        if (!read_option(&putting, id)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&putting.arguments, id, 1, 2, "into which queue?", &code)) return code;
    return settle(&putting) ? put(&putting) : EX_USAGE;
}

/* ------------------------------------------------------------------ schedules */

static const struct option_spec schedule_specs[] = {
    { OPTION_ZONE, "zone", "ZONE", "whose clock it follows: Europe/Berlin (UTC)" },
    { OPTION_MISSED,
      "missed",
      "WHAT",
      "what becomes of runs that no server was there for:\n"
      "once: the last one happens, for all (the default)\n"
      "skip: they never happen; all: each happens" },
    { OPTION_LIST, "list", NULL, "the schedules there are, and their next runs" },
    { OPTION_REMOVE, "remove", "NAME", "end a schedule" },
    { OPTION_GROUP, "group", "GROUP", "of the items, as of `tenure queue put`" },
    { OPTION_PRIORITY, "priority", "N", "likewise, as the next ones" },
    { OPTION_HEADERS, "headers", "TEXT", "" },
    { OPTION_LEASE, "lease", "TIME", "" },
    { OPTION_MAX_RUN, "max-run", "TIME", "" },
    { OPTION_ATTEMPTS, "attempts", "N", "" },
    { OPTION_LAPSES, "lapses", "N", "" },
    { OPTION_RETAIN, "retain", "TIME", "" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const schedule_usages[] = {
    "[OPTION …] QUEUE NAME LINE [BODY]",
    "--list",
    "--remove NAME",
    NULL,
};

static const char *const schedule_examples[] = {
    "tenure queue schedule --zone Europe/Berlin reports nightly '30 4 * * *'",
    "an item every night; set again under this name, it takes the place",
    "tenure queue schedule --remove nightly",
    "no more",
    NULL,
};

static const char schedule_notes[] =
    "LINE: minute, hour, day of the month, month, day of the week, as in crontab(5).\n"
    "The server puts the items; nothing needs to run.\n"
    "\n"
    "Exit code 64: the line, also one that never comes true, or the zone is wrong.\n";

struct scheduling {
    struct putting putting;
    struct tenure_schedule_options terms;
    const char *removed; /* the name; NULL: none */
    bool is_list;
    uint32_t found_count;
    char ids[32][256]; /* of what is to be removed */
};

static bool read_missed(struct scheduling *scheduling)
{
    const struct options *options = &scheduling->putting.arguments.options;
    static const char *const words[] = { "once", "skip", "all" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(options->value, words[i]) != 0) continue;
        scheduling->terms.missed = (enum tenure_missed)i;
        return true;
    }
    complain(options->command, "--missed: '%.40s' is none of once, skip, all", options->value);
    return false;
}

static bool read_schedule_option(struct scheduling *scheduling, int id)
{
    const struct options *options = &scheduling->putting.arguments.options;
    switch (id) {
    case OPTION_ZONE: scheduling->terms.zone = options->value; return true;
    case OPTION_MISSED: return read_missed(scheduling);
    case OPTION_LIST: scheduling->is_list = true; return true;
    case OPTION_REMOVE: scheduling->removed = options->value; return true;
    default: return read_option(&scheduling->putting, id);
    }
}

/* The item that stands for a schedule is called "NAME@…". */
static size_t name_size(const char *id)
{
    const char *at = strrchr(id, '@');
    return at == NULL ? strlen(id) : (size_t)(at - id);
}

static void on_schedule(const struct tenure_item *item, void *user)
{
    struct scheduling *scheduling = user;
    char time[OUT_TIME_SIZE];
    size_t size = name_size(item->id);
    const char *removed = scheduling->removed;
    if (scheduling->is_list) {
        (void)printf("%.*s  %s\n", (int)size, item->id, out_time(item->run_at_us, time));
    } else if (strlen(removed) == size && strncmp(removed, item->id, size) == 0) {
        uint32_t room = sizeof(scheduling->ids) / sizeof(scheduling->ids[0]);
        if (scheduling->found_count == room) return;
        (void)snprintf(scheduling->ids[scheduling->found_count++], 256, "%s", item->id);
    }
}

static int list_or_remove(struct scheduling *scheduling)
{
    const struct arguments *arguments = &scheduling->putting.arguments;
    struct tenure_item_list_options options = { .size = sizeof(options),
                                                .queue = TENURE_SCHEDULES,
                                                .state = TENURE_ITEM_DELAYED };
    struct tenure_error error = { .text = "" };
    struct tenure_client client;
    int code;
    if (!queue_open(arguments, &client, &code)) return code;
    enum tenure_err err = tenure_item_list(client, &options, on_schedule, scheduling, &error);
    for (uint32_t i = 0; i < scheduling->found_count && err == TENURE_OK; i++) {
        err = tenure_item_cancel(client, TENURE_SCHEDULES, scheduling->ids[i], NULL, &error);
    }
    code = queue_close(arguments, client, err, &error);
    if (err != TENURE_OK || scheduling->is_list || scheduling->found_count > 0) return code;
    complain(arguments->command, "there is no schedule %.255s", scheduling->removed);
    return tenure_err_exit_code(TENURE_NOT_FOUND);
}

static int set_schedule(struct scheduling *scheduling)
{
    const struct arguments *arguments = &scheduling->putting.arguments;
    struct tenure_put_options *item = &scheduling->putting.item;
    struct tenure_schedule_options *terms = &scheduling->terms;
    struct tenure_put_result result;
    struct tenure_error error = { .text = "" };
    struct tenure_client client;
    int code;
    item->queue = arguments->words[0];
    item->body = arguments->words[3];
    item->body_size = arguments->word_count > 3 ? strlen(arguments->words[3]) : 0;
    terms->name = arguments->words[1];
    terms->line = arguments->words[2];
    terms->item = item;
    if (!queue_open(arguments, &client, &code)) return code;
    enum tenure_err err = tenure_schedule(client, terms, &result, &error);
    return queue_close(arguments, client, err, &error);
}

static int run_schedule(const struct command *command, int argc, char **argv)
{
    struct scheduling scheduling = {
        .putting = { .item = { .size = sizeof(scheduling.putting.item) } },
        .terms = { .size = sizeof(scheduling.terms) },
    };
    struct arguments *arguments = &scheduling.putting.arguments;
    arguments_init(arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(arguments)) > 0) {
        if (!read_schedule_option(&scheduling, id)) return EX_USAGE;
    }
    int code;
    bool is_other = scheduling.is_list || scheduling.removed != NULL;
    unsigned least = is_other ? 0 : 3;
    if (!arguments_end(arguments, id, least, least + !is_other, "when, and what?", &code)) {
        return code;
    }
    return is_other ? list_or_remove(&scheduling) : set_schedule(&scheduling);
}

const struct command queue_schedule = {
    .name = "queue schedule",
    .summary = "put an item whenever a line of cron says so",
    .usages = schedule_usages,
    .examples = schedule_examples,
    .options = schedule_specs,
    .notes = schedule_notes,
    .run = run_schedule,
};

const struct command queue_put = {
    .name = "queue put",
    .summary = "put an item into a queue, or many",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
