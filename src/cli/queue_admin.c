#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/connect.h"
#include "cli/queue.h"

enum {
    OPTION_REASON = OPTION_OWN,
    OPTION_GROUP,
    OPTION_LIMIT,
    OPTION_INTERVAL,
    OPTION_STATE,
    OPTION_RUNNING,
    OPTION_WAITING,
    OPTION_RATE,
    OPTION_PER,
    OPTION_BURST,
    OPTION_WEIGHT,
};

/* ------------------------------------------------------------------ kick, cancel */

static const struct option_spec kick_specs[] = { OPTIONS_STORE, { .id = 0 } };

static const struct option_spec cancel_specs[] = {
    { OPTION_REASON, "reason", "TEXT", "why; it is shown to those who look" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const each_usages[] = { "[OPTION …] QUEUE ID …", NULL };

static const char *const kick_examples[] = {
    "tenure queue kick videos _17",
    "a delayed or dead item is ready now",
    NULL,
};

static const char *const cancel_examples[] = {
    "tenure queue cancel --reason 'customer left' videos _17",
    "nobody shall do it; a worker that has it is told to stop",
    NULL,
};

static const char each_notes[] = "Exit code 66: there is no such item.\n";

/* The same to each item; the first failure gives the exit code, and the rest are done all the same.
 */
static int change_each(const struct arguments *arguments, bool is_cancel, const char *reason)
{
    struct tenure_client client;
    int code;
    if (!queue_open(arguments, &client, &code)) return code;
    code = EX_OK;
    for (unsigned i = 1; i < arguments->word_count; i++) {
        const char *queue = arguments->words[0];
        const char *id = arguments->words[i];
        struct tenure_error error = { .text = "" };
        enum tenure_err err = is_cancel ? tenure_item_cancel(client, queue, id, reason, &error)
                                        : tenure_item_kick(client, queue, id, &error);
        if (err == TENURE_OK) continue;
        const char *text = error.text[0] != '\0' ? error.text : tenure_err_text(err);
        if (err == TENURE_NOT_FOUND) text = "there is no such item";
        complain(arguments->command, "%.255s: %s", id, text);
        if (code == EX_OK) code = tenure_err_exit_code(err);
    }
    tenure_client_close(client);
    return code;
}

static int run_each(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    const char *reason = NULL;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (id == OPTION_REASON) reason = arguments.options.value;
    }
    int code;
    if (!arguments_end(&arguments, id, 2, ARGUMENT_WORDS_MAX, "which item?", &code)) return code;
    return change_each(&arguments, command == &queue_cancel, reason);
}

const struct command queue_kick = {
    .name = "queue kick",
    .summary = "make delayed or dead items ready",
    .usages = each_usages,
    .examples = kick_examples,
    .options = kick_specs,
    .notes = each_notes,
    .run = run_each,
};

const struct command queue_cancel = {
    .name = "queue cancel",
    .summary = "see to it that nobody does an item",
    .usages = each_usages,
    .examples = cancel_examples,
    .options = cancel_specs,
    .notes = each_notes,
    .run = run_each,
};

/* ------------------------------------------------------------------ redrive, purge */

#define OPTIONS_SWEEP                                                                              \
    { OPTION_GROUP, "group", "GROUP", "only those of this group" },                                \
        { OPTION_REASON, "reason", "PREFIX", "only those whose last reason begins so" },           \
    {                                                                                              \
        OPTION_LIMIT, "limit", "N", "so many at most (default: all)"                               \
    }

static const struct option_spec redrive_specs[] = {
    OPTIONS_SWEEP,
    { OPTION_INTERVAL, "interval", "TIME", "one by one, so far apart" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const struct option_spec purge_specs[] = {
    { OPTION_STATE, "state", "STATE", "which; it must be said, and is not taken" },
    OPTIONS_SWEEP,
    { 'y', "yes", NULL, "do not ask" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const sweep_usages[] = { "[OPTION …] QUEUE", NULL };

static const char *const redrive_examples[] = {
    "tenure queue redrive --reason 'exit 3' --interval 1s videos",
    "what has died of that is tried again, one a second",
    NULL,
};

static const char *const purge_examples[] = {
    "tenure queue purge --state dead videos",
    "forget what has failed too often",
    NULL,
};

struct sweeping {
    struct arguments arguments;
    struct tenure_sweep_options options;
    enum tenure_item_state state;
    bool has_state;
    bool is_sure;
};

static bool read_sweep_option(struct sweeping *sweeping, int id)
{
    struct options *words = &sweeping->arguments.options;
    struct tenure_sweep_options *options = &sweeping->options;
    switch (id) {
    case 'y': sweeping->is_sure = true; return true;
    case OPTION_GROUP: options->group = words->value; return true;
    case OPTION_REASON: options->reason = words->value; return true;
    case OPTION_LIMIT: return queue_number(words, 1, UINT32_MAX - 1, &options->count_max);
    case OPTION_INTERVAL: return options_duration(words, 1, 86400000, &options->interval_ms);
    case OPTION_STATE:
        sweeping->has_state = true;
        return queue_state(words->command, words->value, &sweeping->state);
    default: abort(); /* the table has an option that nobody reads */
    }
}

/* False: it shall not be done, or `*out_code` says what is missing. */
static bool confirm_purge(const struct sweeping *sweeping, int *out_code)
{
    const struct command *command = sweeping->arguments.command;
    char answer[16];
    *out_code = EX_USAGE;
    if (!sweeping->has_state || sweeping->state == TENURE_ITEM_TAKEN) {
        complain(command, "which state? --state says it; what is taken cannot be purged");
        return false;
    }
    if (sweeping->is_sure) return true;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        complain(command, "there is no terminal to ask: give --yes");
        return false;
    }
    (void)printf(
        "forget all items of %s that are %s? [y/N] ",
        sweeping->arguments.words[0],
        tenure_item_state_name(sweeping->state));
    (void)fflush(stdout);
    *out_code = EXIT_FAILURE;
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static int run_sweep(const struct command *command, int argc, char **argv)
{
    struct sweeping sweeping = { .options = { .size = sizeof(sweeping.options) } };
    bool is_purge = command == &queue_purge;
    arguments_init(&sweeping.arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&sweeping.arguments)) > 0) {
        if (!read_sweep_option(&sweeping, id)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&sweeping.arguments, id, 1, 1, "of which queue?", &code)) return code;
    sweeping.options.queue = sweeping.arguments.words[0];
    if (is_purge && !confirm_purge(&sweeping, &code)) return code;
    struct tenure_client client;
    if (!queue_open(&sweeping.arguments, &client, &code)) return code;
    uint64_t count = 0;
    struct tenure_error error = { .text = "" };
    enum tenure_err err;
    if (is_purge) {
        err = tenure_queue_purge(client, sweeping.state, &sweeping.options, &count, &error);
    } else {
        err = tenure_queue_redrive(client, &sweeping.options, &count, &error);
    }
    if (err == TENURE_OK || count > 0) (void)printf("%" PRIu64 "\n", count);
    return queue_close(&sweeping.arguments, client, err, &error);
}

const struct command queue_redrive = {
    .name = "queue redrive",
    .summary = "give dead items another chance; prints how many",
    .usages = sweep_usages,
    .examples = redrive_examples,
    .options = redrive_specs,
    .run = run_sweep,
};

const struct command queue_purge = {
    .name = "queue purge",
    .summary = "forget items of one state; prints how many",
    .usages = sweep_usages,
    .examples = purge_examples,
    .options = purge_specs,
    .run = run_sweep,
};

/* ------------------------------------------------------------------ pause, resume, limit */

static const struct option_spec pause_specs[] = {
    { OPTION_GROUP, "group", "GROUP", "only this group" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const struct option_spec limit_specs[] = {
    { OPTION_GROUP, "group", "GROUP", "of this group; else of all that have none of their\nown" },
    { OPTION_RUNNING, "running", "N", "so many taken at a time" },
    { OPTION_WAITING, "waiting", "N", "so many may wait: a put beyond is refused" },
    { OPTION_RATE, "rate", "N", "so many are taken in the time of --per" },
    { OPTION_PER, "per", "TIME", "(1 s)" },
    { OPTION_BURST, "burst", "N", "so many of them without a pause (1)" },
    { OPTION_WEIGHT, "weight", "N", "so many items a turn (1)" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const pause_examples[] = {
    "tenure queue pause videos",
    "nothing is taken any more; what is taken goes on",
    NULL,
};

static const char *const resume_examples[] = {
    "tenure queue resume --group acme videos",
    "items of this group are taken again",
    NULL,
};

static const char *const limit_examples[] = {
    "tenure queue limit --running 2 --rate 100 --per 1m videos",
    "each customer's group: two at a time, a hundred a minute",
    "tenure queue limit videos",
    "no limits any more",
    NULL,
};

static int run_pause(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    const char *group = NULL;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (id == OPTION_GROUP) group = arguments.options.value;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "which queue?", &code)) return code;
    struct tenure_client client;
    if (!queue_open(&arguments, &client, &code)) return code;
    struct tenure_error error = { .text = "" };
    const char *queue = arguments.words[0];
    enum tenure_err err = command == &queue_pause
                              ? tenure_queue_pause(client, queue, group, &error)
                              : tenure_queue_resume(client, queue, group, &error);
    return queue_close(&arguments, client, err, &error);
}

static bool read_limit_option(
    struct options *words, int id, struct tenure_group_limits *limits, const char **out_group)
{
    switch (id) {
    case OPTION_GROUP: *out_group = words->value; return true;
    case OPTION_RUNNING: return queue_number(words, 1, UINT32_MAX, &limits->running_max);
    case OPTION_WAITING: return queue_number(words, 1, UINT32_MAX, &limits->waiting_max);
    case OPTION_RATE: return queue_number(words, 1, UINT32_MAX, &limits->rate_count);
    case OPTION_PER: return options_duration(words, 1, 86400000, &limits->rate_ms);
    case OPTION_BURST: return queue_number(words, 1, UINT32_MAX, &limits->burst);
    case OPTION_WEIGHT: return queue_number(words, 1, 1000, &limits->weight);
    default: abort(); /* the table has an option that nobody reads */
    }
}

static int run_limit(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct tenure_group_limits limits = { .size = sizeof(limits) };
    const char *group = NULL;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!read_limit_option(&arguments.options, id, &limits, &group)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "of which queue?", &code)) return code;
    if (limits.rate_count == 0 && (limits.rate_ms > 0 || limits.burst > 0)) {
        complain(command, "--per and --burst go with --rate");
        return EX_USAGE;
    }
    if (limits.rate_count > 0 && limits.rate_ms == 0) limits.rate_ms = 1000;
    struct tenure_client client;
    if (!queue_open(&arguments, &client, &code)) return code;
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tenure_queue_limit(client, arguments.words[0], group, &limits, &error);
    return queue_close(&arguments, client, err, &error);
}

const struct command queue_pause = {
    .name = "queue pause",
    .summary = "take nothing from a queue, or group, for a while",
    .usages = sweep_usages,
    .examples = pause_examples,
    .options = pause_specs,
    .run = run_pause,
};

const struct command queue_resume = {
    .name = "queue resume",
    .summary = "go on",
    .usages = sweep_usages,
    .examples = resume_examples,
    .options = pause_specs,
    .run = run_pause,
};

const struct command queue_limit = {
    .name = "queue limit",
    .summary = "limit the groups of a queue, or one of them",
    .usages = sweep_usages,
    .examples = limit_examples,
    .options = limit_specs,
    .run = run_limit,
};
