#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/connect.h"
#include "cli/out.h"
#include "cli/state.h"

enum { OPTION_PREFIX = OPTION_OWN, OPTION_PAST, OPTION_GUARD, OPTION_VERSION };

static const struct option_spec specs[] = {
    { 'w', "wait", "TIME", "wait until it is set, or has changed (--past)" },
    { OPTION_PAST, "past", "VERSION", "wait while this is its version (0: not set)" },
    { OPTION_VERSION, "version", NULL, "print its version, and not its value" },
    { OPTION_PREFIX, "prefix", "PREFIX", "list the registers whose names begin so; \"\" is all" },
    { OPTION_GUARD, "guard", "[LOCK=TOKEN]", "only while this hold lasts (tenure run)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--version] [--json] [--guard[=LOCK=TOKEN]] NAME",
    "-w TIME [--past VERSION] NAME",
    "--prefix PREFIX [--json]",
    NULL,
};

static const char *const examples[] = {
    "tenure get config/colour",
    "its value, byte by byte",
    "tenure get -w 1h --past 17 config/colour",
    "its next value, as soon as its version is not 17 any more",
    "tenure get --prefix config/",
    "all of them, with their versions",
    NULL,
};

static const char notes[] = "Exit codes: 0 it is set; 66 it is not; 75 the time to wait is "
                            "over; 79 the hold\nof --guard has ended.\n";

struct getting {
    struct arguments arguments;
    struct state_guards guards;
    const char *prefix;
    uint32_t wait_ms;
    uint64_t past;
    bool is_version;
    bool has_wait;
    bool is_set;
    struct table table;
};

/* ------------------------------------------------------------------ lists */

static void on_listed(const struct tenure_register *value, void *user)
{
    struct getting *getting = user;
    char span[OUT_SPAN_SIZE];
    char words[256];
    if (getting->arguments.is_json) {
        state_print_json(value);
        return;
    }
    table_add(&getting->table, value->name);
    table_addf(&getting->table, "%" PRIu64, value->version);
    table_add(&getting->table, value->ttl_ms == 0 ? "" : out_span(value->remaining_ms, span));
    table_add(&getting->table, value->lock);
    size_t size = value->value_size < sizeof(words) - 1 ? value->value_size : sizeof(words) - 1;
    memcpy(words, value->value, size);
    words[size] = '\0';
    table_add(&getting->table, words);
}

static int list(struct getting *getting, struct tenure_client client)
{
    static const struct table_column columns[] = {
        { "NAME", false, true },     { "VERSION", true, false }, { "LEFT", true, false },
        { "BOUND TO", false, true }, { "VALUE", false, true },
    };
    struct tenure_error error = { .text = "" };
    table_init(&getting->table, columns, sizeof(columns) / sizeof(columns[0]));
    enum tenure_err err = tenure_state_list(client, getting->prefix, on_listed, getting, &error);
    if (err == TENURE_OK) table_print(&getting->table);
    table_deinit(&getting->table);
    return err == TENURE_OK ? EX_OK : connect_complain(getting->arguments.command, err, &error);
}

/* ------------------------------------------------------------------ one */

static void on_value(const struct tenure_register *value, void *user)
{
    struct getting *getting = user;
    getting->is_set = value->version > 0;
    if (getting->arguments.is_json) {
        state_print_json(value);
    } else if (getting->is_version) {
        (void)printf("%" PRIu64 "\n", value->version);
    } else {
        state_print_value(value->value, value->value_size);
    }
}

/* Of a wait that was in vain nothing is printed. */
static void on_waited(const struct tenure_register *value, void *user)
{
    struct getting *getting = user;
    if (value->version > getting->past) on_value(value, user);
}

static int get(struct getting *getting, struct tenure_client client)
{
    const struct command *command = getting->arguments.command;
    const char *name = getting->arguments.words[0];
    struct tenure_error error = { .text = "" };
    enum tenure_err err;
    if (getting->has_wait) {
        struct tenure_wait_options options = { .size = sizeof(options),
                                               .name = name,
                                               .version = getting->past,
                                               .wait_ms = getting->wait_ms };
        err = tenure_state_wait(client, &options, on_waited, getting, NULL, &error);
    } else {
        struct tenure_get_options options = { .size = sizeof(options),
                                              .name = name,
                                              .guards = getting->guards.guards,
                                              .guard_count = getting->guards.count };
        err = tenure_state_get(client, &options, on_value, getting, &error);
    }
    if (err != TENURE_OK) return connect_complain(command, err, &error);
    if (getting->is_set) return EX_OK;
    complain(command, "%.255s is not set", name);
    return STATE_EXIT_ABSENT;
}

static bool read_option(struct getting *getting, int id)
{
    struct options *options = &getting->arguments.options;
    switch (id) {
    case 'w':
        getting->has_wait = true;
        return options_duration(options, 0, DURATION_MS_MAX, &getting->wait_ms);
    case OPTION_PAST: return options_number(options, 0, UINT64_C(1) << 53, &getting->past);
    case OPTION_VERSION: getting->is_version = true; return true;
    case OPTION_PREFIX: getting->prefix = options->value; return true;
    case OPTION_GUARD: return state_add_guard(options, &getting->guards);
    default: abort(); /* the table has an option that nobody reads */
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    struct getting getting = { .prefix = NULL };
    arguments_init(&getting.arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&getting.arguments)) > 0) {
        if (!read_option(&getting, id)) return EX_USAGE;
    }
    int code;
    unsigned word_count = getting.prefix == NULL ? 1 : 0;
    if (!arguments_end(&getting.arguments, id, word_count, word_count, "which register?", &code)) {
        return code;
    }
    if (getting.has_wait && getting.guards.count > 0) {
        complain(command, "--wait has no --guard");
        return EX_USAGE;
    }
    struct tenure_client client;
    if (!connect_open(command, &getting.arguments.store, &client, &code)) return code;
    code = getting.prefix != NULL ? list(&getting, client) : get(&getting, client);
    tenure_client_close(client);
    return code;
}

const struct command command_get = {
    .name = "get",
    .summary = "print a register of shared state, or wait for it",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
