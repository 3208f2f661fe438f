#include <inttypes.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/meta.h"
#include "cli/out.h"
#include "cli/view.h"

static const struct option_spec specs[] = {
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--json] NAME",
    NULL,
};

static const char *const examples[] = {
    "tenure show deploy/prod",
    "holders with their tokens, waiters in their order",
    NULL,
};

static const char notes[] = "Exit code 66: nobody holds it and nobody waits for it.\n";

static const struct table_column holder_columns[] = {
    { .title = "HOLDER", .is_flexible = true }, { .title = "SLOT", .is_right = true },
    { .title = "TOKEN", .is_right = true },     { .title = "SINCE" },
    { .title = "LEFT", .is_right = true },      { .title = "LABEL", .is_flexible = true },
};

static const struct table_column waiter_columns[] = {
    { .title = "#", .is_right = true },
    { .title = "WAITER", .is_flexible = true },
    { .title = "MODE" },
    { .title = "PRIORITY", .is_right = true },
    { .title = "WAITED", .is_right = true },
    { .title = "LABEL", .is_flexible = true },
};

static void add_label(struct table *table, const char *meta)
{
    char buffer[META_SIZE];
    struct text label;
    text_init(&label, buffer, sizeof(buffer));
    if (meta != NULL) meta_describe(meta, &label);
    table_add(table, buffer);
}

static void print_summary(const struct tenure_lock_view *view)
{
    char buffer[OUT_OWNER_SIZE];
    struct text name;
    text_init(&name, buffer, sizeof(buffer));
    text_add_visible(&name, view->name);
    (void)printf("%s%s%s  ", out_begin(OUT_BOLD), buffer, out_end());
    if (view->slots > 1) {
        (void)printf("%" PRIu32 " of %" PRIu32 " slots held", view->hold_count, view->slots);
    } else if (view->hold_count == 0) {
        (void)fputs("free", stdout);
    } else {
        (void)fputs(view->mode == TENURE_SHARED ? "shared" : "exclusive", stdout);
        if (view->hold_count > 1) (void)printf(", %" PRIu32 " holders", view->hold_count);
    }
    (void)printf(", %" PRIu32 " waiting", view->waiter_count);
    char span[OUT_SPAN_SIZE];
    if (view->lock_delay_ms > 0) {
        (void)printf(", not granted again for %s", out_span(view->lock_delay_ms, span));
    }
    (void)putchar('\n');
}

static void print_holders(const struct tenure_lock_view *view)
{
    struct table table;
    table_init(&table, holder_columns, sizeof(holder_columns) / sizeof(holder_columns[0]));
    for (uint32_t i = 0; i < view->holder_count; i++) {
        const struct tenure_holder *holder = &view->holders[i];
        char time[OUT_TIME_SIZE];
        char span[OUT_SPAN_SIZE];
        table_add(&table, holder->owner);
        table_addf(&table, "%" PRIu32, holder->slot);
        table_addf(&table, "%" PRIu64, holder->token);
        bool is_known = holder->acquired_at_us > 0;
        table_add(&table, is_known ? out_time(holder->acquired_at_us, time) : "-");
        const char *breaking = holder->is_breaking ? " (breaking)" : "";
        table_addf(&table, "%s%s", out_span(holder->remaining_ms, span), breaking);
        add_label(&table, holder->meta);
    }
    if (table.cell_count > 0) (void)putchar('\n');
    table_print(&table);
    table_deinit(&table);
    for (uint32_t i = 0; i < view->holder_count; i++) {
        char words[VIEW_VOTES_SIZE];
        struct text votes;
        text_init(&votes, words, sizeof(words));
        view_describe_votes(&view->holders[i], &votes);
        if (votes.size > 0) (void)printf("%s\n", words);
    }
}

static void print_waiters(const struct tenure_lock_view *view)
{
    struct table table;
    table_init(&table, waiter_columns, sizeof(waiter_columns) / sizeof(waiter_columns[0]));
    for (uint32_t i = 0; i < view->waiters_here; i++) {
        const struct tenure_waiter *waiter = &view->waiters[i];
        char span[OUT_SPAN_SIZE];
        table_addf(&table, "%" PRIu32, waiter->position);
        table_add(&table, waiter->owner);
        table_add(&table, waiter->mode == TENURE_SHARED ? "shared" : "exclusive");
        table_addf(&table, "%" PRIu32, waiter->priority);
        table_add(&table, out_span(waiter->waited_ms, span));
        add_label(&table, waiter->meta);
    }
    if (table.cell_count > 0) (void)putchar('\n');
    table_print(&table);
    table_deinit(&table);
}

static void on_view(const struct tenure_lock_view *view, void *user)
{
    const struct arguments *arguments = user;
    if (arguments->is_json) {
        view_print_json(view);
        return;
    }
    print_summary(view);
    print_holders(view);
    print_waiters(view);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    arguments_init(&arguments, command, argc, argv);
    int id = arguments_next(&arguments);
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "which lock?", &code)) return code;
    struct tenure_client client;
    if (!connect_open(command, &arguments.store, &client, &code)) return code;
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_inspect(client, arguments.words[0], on_view, &arguments, &error);
    tenure_client_close(client);
    if (err == TENURE_NOT_FOUND) {
        complain(command, "nobody holds %.255s and nobody waits for it", arguments.words[0]);
        return tenure_err_exit_code(err);
    }
    return err == TENURE_OK ? EX_OK : connect_complain(command, err, &error);
}

const struct command command_show = {
    .name = "show",
    .summary = "show one lock: holders, tokens, waiters",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
