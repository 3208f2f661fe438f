#include <inttypes.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/event.h"
#include "cli/meta.h"
#include "cli/out.h"

#define COUNT_MAX 64u /* of a server's memory for one lock */

enum { OPTION_COUNT = 'n' };

static const struct option_spec specs[] = {
    { OPTION_COUNT, "count", "N", "so many events at most (64)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[-n N] [--json] NAME",
    NULL,
};

static const char *const examples[] = {
    "tenure history deploy/prod",
    "who had it before, and how that ended; the newest comes first",
    NULL,
};

static const struct table_column columns[] = {
    { .title = "TIME" },
    { .title = "EVENT" },
    { .title = "OWNER", .is_flexible = true },
    { .title = "TOKEN", .is_right = true },
    { .title = "WHY, LABEL", .is_flexible = true },
};

struct history {
    bool is_json;
    bool is_empty;
    struct table table;
};

static bool on_event(const struct tenure_event *event, void *user)
{
    struct history *history = user;
    history->is_empty = false;
    if (history->is_json) {
        event_print_json(event);
        return true;
    }
    char time[OUT_TIME_SIZE];
    char owner[OUT_OWNER_SIZE];
    char words[META_SIZE];
    event_describe(event, words, sizeof(words));
    table_add(&history->table, out_time(event->at_us, time));
    table_add(&history->table, event->kind);
    table_add(&history->table, event->owner == NULL ? "" : out_owner(event->owner, owner));
    if (event->token == 0) {
        table_add(&history->table, "");
    } else {
        table_addf(&history->table, "%" PRIu64, event->token);
    }
    table_add(&history->table, words);
    return true;
}

static int ask(const struct arguments *arguments, uint32_t count_max)
{
    struct tenure_client client;
    int code;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    struct history history = { .is_json = arguments->is_json, .is_empty = true };
    table_init(&history.table, columns, sizeof(columns) / sizeof(columns[0]));
    struct tenure_error error = { .code = TENURE_OK };
    const char *name = arguments->words[0];
    enum tenure_err err = tenure_history(client, name, count_max, on_event, &history, &error);
    tenure_client_close(client);
    if (err == TENURE_OK && history.table.is_failed) err = TENURE_NO_MEMORY;
    if (err == TENURE_OK) table_print(&history.table);
    table_deinit(&history.table);
    if (err == TENURE_NOT_FOUND || (err == TENURE_OK && history.is_empty)) {
        complain(arguments->command, "nothing is remembered of %.255s", name);
        return tenure_err_exit_code(TENURE_NOT_FOUND);
    }
    return err == TENURE_OK ? EX_OK : connect_complain(arguments->command, err, &error);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    uint64_t count_max = COUNT_MAX;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!options_number(&arguments.options, 1, COUNT_MAX, &count_max)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "which lock?", &code)) return code;
    return ask(&arguments, (uint32_t)count_max);
}

const struct command command_history = {
    .name = "history",
    .summary = "show what has happened to one lock",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = "Exit code 66: nothing is remembered.\n",
    .run = run,
};
