#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/holding.h"

enum { OPTION_PRINT = OPTION_OWN, OPTION_UNLIMITED };

static const struct option_spec specs[] = {
    OPTIONS_WAIT,
    OPTIONS_LOCK,
    { OPTION_UNLIMITED, "unlimited", NULL, "no ttl: until it is released, whoever dies" },
    { OPTION_PRINT,
      "print",
      "FORM",
      "env: assignments for a shell (the default)\n"
      "json: one line of JSON" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[OPTION …] NAME[,NAME …]",
    NULL,
};

static const char *const examples[] = {
    "lease=$(tenure acquire --ttl 5m --try nightly) || exit; eval \"$lease\"",
    "for a script: TENURE_NAME, _OWNER and _TOKEN say which lease is ours",
    "tenure acquire --ttl 1h --owner \"job-$JOB_ID\" gpu/0",
    "an owner of one's own: repeated, the answer is the same",
    NULL,
};

static const char notes[] =
    "Nothing renews the lease: it ends after its ttl.  `tenure renew` and `tenure\n"
    "release` find what they need in the environment.  `tenure run` is safer\n"
    "wherever it fits.\n"
    "\n"
    "Exit code 75: not obtained.\n";

/* A word for a POSIX shell. */
static void print_quoted(const char *name, const char *words)
{
    (void)printf("%s='", name);
    for (const char *c = words; *c != '\0'; c++) {
        if (*c == '\'') {
            (void)fputs("'\\''", stdout);
        } else {
            (void)putchar(*c);
        }
    }
    (void)fputs("'\n", stdout);
}

static void print_grant(const struct holding *holding, bool is_json)
{
    const struct run *run = holding->run;
    if (is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        holding_print_members(holding, &json);
        json_close(&json, '}');
        json_end();
        return;
    }
    print_quoted("TENURE_NAME", holding->options.name_list);
    print_quoted("TENURE_OWNER", run->owner);
    print_quoted("TENURE_TOKEN", run->tokens);
    print_quoted("TENURE_SLOT", run->slots);
    (void)printf("TENURE_TTL_MS='%" PRIu32 "'\n", holding_ttl_ms(holding));
    print_quoted("TENURE_URL", run->url);
    (void)fputs(
        "export TENURE_NAME TENURE_OWNER TENURE_TOKEN TENURE_SLOT TENURE_TTL_MS TENURE_URL\n",
        stdout);
}

/* A lease that nobody has been told of is given back. */
static int hand_out(struct holding *holding, bool is_json)
{
    print_grant(holding, is_json);
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        tenure_hold_forget(holding->run->acquisition.hold);
        return EX_OK;
    }
    complain(
        holding->options.command, "cannot write, so it is given back: %s", strerrordesc_np(errno));
    give_back(holding->run);
    return EX_IOERR;
}

/* The options that are this command's alone.  False: complained. */
static bool read_option(struct holding *holding, const struct options *words, int id, bool *is_json)
{
    if (id == OPTION_UNLIMITED) {
        holding->options.is_unlimited = true;
        return true;
    }
    *is_json = strcmp(words->value, "json") == 0;
    if (*is_json || strcmp(words->value, "env") == 0) return true;
    complain(words->command, "--print: env or json");
    return false;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct holding holding;
    arguments_init(&arguments, command, argc, argv);
    holding_init(&holding, command);
    bool is_json = false;
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        bool is_good = true;
        bool is_shared = holding_option(&holding, &arguments.options, id, &is_good);
        if (!is_shared) is_good = read_option(&holding, &arguments.options, id, &is_json);
        if (!is_good) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "which lock?", &code)) return code;
    if (holding.options.is_unlimited && holding.options.ttl_ms != TENURE_TTL_MS_DEFAULT) {
        complain(command, "--ttl and --unlimited exclude each other");
        return EX_USAGE;
    }
    is_json = is_json || arguments.is_json;
    if (holding_open(&holding, &arguments, &code)) code = hand_out(&holding, is_json);
    holding_close(&holding);
    return code;
}

const struct command command_acquire = {
    .name = "acquire",
    .summary = "take a lock and leave it to a script",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
