#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

#include "cli/connect.h"
#include "cli/holding.h"

enum { OPTION_OBSERVE = OPTION_OWN };

static const struct option_spec specs[] = {
    { OPTION_OBSERVE, "observe", NULL, "do not stand; print each leader, until INT or TERM" },
    OPTIONS_WAIT,
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[OPTION …] NAME [VALUE] [-- COMMAND [ARGUMENT …]]",
    "--observe [--json] NAME",
    NULL,
};

static const char *const examples[] = {
    "tenure elect scheduler http://10.0.0.7:80 -- ./scheduler",
    "the scheduler runs where it leads; the value tells others where that is",
    "tenure elect scheduler \"$(hostname)\"",
    "lead until ^C, and say so in a line",
    "tenure elect --observe scheduler",
    "who leads, now and at each change",
    NULL,
};

static const char notes[] =
    "With a COMMAND, all is as in `tenure run`, exit codes too.  Without one, INT\n"
    "and TERM resign with exit code 0.\n"
    "Exit codes: 75 not elected (-n, -w), 79 the leadership was lost.\n";

/* ------------------------------------------------------------------ observing */

struct observing {
    bool is_json;
    const char *name;
};

static void print_leader(const struct tenure_leader *leader)
{
    char time[OUT_TIME_SIZE];
    char buffer[3 * META_SIZE];
    struct text line;
    text_init(&line, buffer, sizeof(buffer));
    text_addf(&line, "%s  ", out_time(out_now_us(), time));
    if (leader->owner == NULL) {
        text_add(&line, "nobody leads");
    } else {
        char owner[OUT_OWNER_SIZE];
        text_add_visible(&line, out_owner(leader->owner, owner));
        text_addf(&line, "  %" PRIu64 "  ", leader->token);
        if (leader->value != NULL) meta_describe(leader->value, &line);
    }
    (void)puts(buffer);
    (void)fflush(stdout);
}

static bool on_leader(const struct tenure_leader *leader, void *user)
{
    const struct observing *observing = user;
    if (!observing->is_json) {
        print_leader(leader);
        return ferror(stdout) == 0;
    }
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "name", observing->name);
    json_number(&json, "seq", leader->seq);
    json_string(&json, "owner", leader->owner);
    json_span(&json, "token", leader->token == 0 ? -1 : (int64_t)leader->token);
    json_string(&json, "value", leader->value);
    json_span(&json, "remaining_ms", leader->remaining_ms);
    json_close(&json, '}');
    json_end();
    return ferror(stdout) == 0;
}

static int observe(const struct arguments *arguments)
{
    struct tenure_client client;
    int code;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    struct observing observing = { arguments->is_json, arguments->words[0] };
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err =
        tenure_election_observe(client, observing.name, on_leader, &observing, &error);
    tenure_client_close(client);
    return err == TENURE_OK ? EX_OK : connect_complain(arguments->command, err, &error);
}

/* ------------------------------------------------------------------ standing */

static void tell_election(const struct holding *holding, bool is_json)
{
    if (!is_json) {
        (void)printf("leading %s, token %s\n", holding->options.name_list, holding->run->tokens);
        (void)fflush(stdout);
        return;
    }
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "state", "leading");
    holding_print_members(holding, &json);
    json_close(&json, '}');
    json_end();
}

static int lead(struct holding *holding, const struct arguments *arguments)
{
    int code;
    if (holding_open(holding, arguments, &code)) {
        tell_election(holding, arguments->is_json);
        code = holding_wait(holding);
        if (arguments->is_json) holding_print_end(holding);
    }
    holding_close(holding);
    return code;
}

static int lead_with_command(struct holding *holding, const struct arguments *arguments)
{
    struct run_options *options = &holding->options;
    if (arguments->rest[0] == NULL) {
        complain(arguments->command, "which command? there is nothing behind --");
        return EX_USAGE;
    }
    if (holding->owner != NULL) {
        complain(arguments->command, "--owner and a command exclude each other");
        return EX_USAGE;
    }
    options->store = arguments->store;
    options->argv = arguments->rest;
    options->is_reporting = arguments->is_json;
    if (!run_options_names(options, arguments->words[0])) return EX_USAGE;
    if (!run_options_settle(options)) return EX_USAGE;
    return run_under_lock(options);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct holding holding;
    bool is_observing = false;
    arguments_init(&arguments, command, argc, argv);
    arguments.has_command = true;
    holding_init(&holding, command);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        bool is_good = true;
        if (id == OPTION_OBSERVE) {
            is_observing = true;
        } else if (!holding_option(&holding, &arguments.options, id, &is_good)) {
            abort(); /* the table has an option that nobody reads */
        }
        if (!is_good) return EX_USAGE;
    }
    int code;
    unsigned most = is_observing ? 1 : 2;
    if (!arguments_end(&arguments, id, 1, most, "which election?", &code)) return code;
    if (is_observing && arguments.rest != NULL) {
        complain(command, "--observe runs no command");
        return EX_USAGE;
    }
    if (is_observing) return observe(&arguments);
    holding.options.value = arguments.words[1];
    if (arguments.rest != NULL) return lead_with_command(&holding, &arguments);
    return lead(&holding, &arguments);
}

const struct command command_elect = {
    .name = "elect",
    .summary = "stand for election, or observe who leads",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
