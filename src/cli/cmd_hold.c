#include <stdlib.h>
#include <sysexits.h>

#include "cli/holding.h"

static const struct option_spec specs[] = {
    OPTIONS_WAIT, OPTIONS_LOCK, OPTIONS_JSON, OPTIONS_STORE, { .id = 0 },
};

static const char *const usages[] = {
    "[OPTION …] NAME[,NAME …]",
    NULL,
};

static const char *const examples[] = {
    "tenure hold maintenance",
    "keep everybody out until ^C",
    NULL,
};

static const char notes[] =
    "A line on standard output tells the grant.  INT and TERM end the hold with\n"
    "exit code 0.\n"
    "Exit codes: 75 not obtained, 79 lost.\n";

static void tell_grant(const struct holding *holding, bool is_json)
{
    if (!is_json) {
        (void)printf("holding %s, token %s\n", holding->options.name_list, holding->run->tokens);
        (void)fflush(stdout);
        return;
    }
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "state", "held");
    holding_print_members(holding, &json);
    json_close(&json, '}');
    json_end();
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct holding holding;
    arguments_init(&arguments, command, argc, argv);
    holding_init(&holding, command);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        bool is_good = true;
        if (!holding_option(&holding, &arguments.options, id, &is_good)) abort();
        if (!is_good) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "which lock?", &code)) return code;
    if (holding_open(&holding, &arguments, &code)) {
        tell_grant(&holding, arguments.is_json);
        code = holding_wait(&holding);
        if (arguments.is_json) holding_print_end(&holding);
    }
    holding_close(&holding);
    return code;
}

const struct command command_hold = {
    .name = "hold",
    .summary = "hold a lock until INT or TERM",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
