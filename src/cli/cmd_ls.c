#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/meta.h"
#include "cli/out.h"
#include "cli/view.h"

enum { OPTION_WAITERS = OPTION_OWN, OPTION_OWNER };

static const struct option_spec specs[] = {
    { OPTION_WAITERS, "waiters", NULL, "only the locks that somebody waits for" },
    { OPTION_OWNER, "owner", "OWNER", "only the locks that OWNER holds or waits for" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--waiters] [--owner OWNER] [--json] [PREFIX]",
    NULL,
};

static const char *const examples[] = {
    "tenure ls",
    "who holds what, for how long, and how many wait",
    "tenure ls deploy/ --waiters",
    "below deploy/, only what somebody waits for",
    NULL,
};

static const struct table_column columns[] = {
    { .title = "NAME", .is_flexible = true }, { .title = "HOLDER", .is_flexible = true },
    { .title = "HELD", .is_right = true },    { .title = "LEFT", .is_right = true },
    { .title = "WAITING", .is_right = true }, { .title = "LABEL", .is_flexible = true },
};

struct listing {
    bool is_json;
    int64_t now_us;
    struct table table;
};

static void add_row(struct listing *listing, const struct tenure_lock_view *view)
{
    struct table *table = &listing->table;
    table_add(table, view->name);
    if (view->holder_count == 0) {
        table_add(table, view->lock_delay_ms > 0 ? "(delayed)" : "(free)");
        table_add(table, "-");
        table_add(table, "-");
        table_addf(table, "%u", view->waiter_count);
        table_add(table, "-");
        return;
    }
    const struct tenure_holder *holder = &view->holders[0];
    char owner[OUT_OWNER_SIZE];
    char words[VIEW_VOTES_SIZE];
    struct text votes;
    text_init(&votes, words, sizeof(words));
    bool is_eroded = holder->votes < holder->node_count;
    if (is_eroded || holder->is_foreign) view_describe_votes(holder, &votes);
    (void)out_owner(holder->owner, owner);
    if (view->hold_count > 1) {
        table_addf(table, "%s +%u", owner, view->hold_count - 1);
    } else if (votes.size > 0) {
        table_addf(table, "%s (%s)", owner, words);
    } else {
        table_add(table, owner);
    }
    char span[OUT_SPAN_SIZE];
    bool is_known = holder->acquired_at_us > 0;
    int64_t held_us = listing->now_us - holder->acquired_at_us;
    table_add(table, out_span(is_known ? held_us / 1000 : -1, span));
    table_add(table, out_span(holder->remaining_ms, span));
    table_addf(table, "%u", view->waiter_count);
    char buffer[META_SIZE];
    struct text label;
    text_init(&label, buffer, sizeof(buffer));
    if (holder->meta != NULL) meta_describe(holder->meta, &label);
    table_add(table, buffer);
}

static void on_view(const struct tenure_lock_view *view, void *user)
{
    struct listing *listing = user;
    if (listing->is_json) {
        view_print_json(view);
    } else {
        add_row(listing, view);
    }
}

static int list(const struct arguments *arguments, const struct tenure_list_options *options)
{
    struct tenure_client client;
    int code;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    struct listing listing = { .is_json = arguments->is_json, .now_us = out_now_us() };
    table_init(&listing.table, columns, sizeof(columns) / sizeof(columns[0]));
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_list(client, options, on_view, &listing, &error);
    tenure_client_close(client);
    if (err == TENURE_OK && listing.table.is_failed) err = TENURE_NO_MEMORY;
    if (err == TENURE_OK) table_print(&listing.table);
    table_deinit(&listing.table);
    return err == TENURE_OK ? EX_OK : connect_complain(arguments->command, err, &error);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct tenure_list_options options = { .size = sizeof(options) };
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (id == OPTION_WAITERS) options.is_waited = true;
        if (id == OPTION_OWNER) options.owner = arguments.options.value;
    }
    int code;
    if (!arguments_end(&arguments, id, 0, 1, "", &code)) return code;
    options.prefix = arguments.words[0];
    return list(&arguments, &options);
}

const struct command command_ls = {
    .name = "ls",
    .summary = "list the locks: who holds what",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .run = run,
};
