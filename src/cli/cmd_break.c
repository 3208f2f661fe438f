#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/meta.h"
#include "cli/out.h"

#define GRACE_MS_MAX 86400000u
#define ANSWER_SIZE  512u

enum { OPTION_TOKEN = OPTION_OWN, OPTION_REASON, OPTION_GRACE };

static const struct option_spec specs[] = {
    { OPTION_TOKEN, "token", "TOKEN", "of the hold to end: nobody else is hit by mistake" },
    { OPTION_REASON, "reason", "TEXT", "why; it is kept in the history" },
    { OPTION_GRACE, "grace", "TIME", "let the holder finish; it cannot renew" },
    { 'y', "yes", NULL, "do not ask" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--token TOKEN] [--reason TEXT] [--grace TIME] [-y] NAME",
    NULL,
};

static const char *const examples[] = {
    "tenure break deploy/prod",
    "shows who holds it, asks for the token and the reason, then does it",
    "tenure break --token 1795249870895992 --reason 'host is gone' -y deploy/prod",
    "for scripts",
    NULL,
};

static const char notes[] =
    "Exit codes: 1 not confirmed, 66 nobody holds it, 77 not allowed, 79 the token\n"
    "is not the current one.\n";

struct breaking {
    const struct arguments *arguments;
    uint64_t token; /* 0: not given */
    const char *reason;
    uint32_t grace_ms;
    bool is_sure;
    bool is_held; /* by somebody with this token, or at all when none is given */
    char reason_text[ANSWER_SIZE];
};

static void print_holder(const struct tenure_holder *holder)
{
    char buffer[META_SIZE + OUT_OWNER_SIZE];
    char span[OUT_SPAN_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add_visible(&text, holder->owner);
    int64_t held_for_ms = (out_now_us() - holder->acquired_at_us) / 1000;
    text_addf(&text, ", held for %s, ", out_span(held_for_ms, span));
    if (holder->remaining_ms < 0) {
        text_add(&text, "until released");
    } else {
        text_addf(&text, "%s left", out_span(holder->remaining_ms, span));
    }
    size_t size = text.size;
    char label_buffer[META_SIZE];
    struct text label;
    text_init(&label, label_buffer, sizeof(label_buffer));
    if (holder->meta != NULL) meta_describe(holder->meta, &label);
    if (label.size > 0) text_addf(&text, " (%s)", label_buffer);
    if (text.is_cut) text_cut(&text, size);
    (void)printf("  token %" PRIu64 ": %s\n", holder->token, buffer);
}

static void on_view(const struct tenure_lock_view *view, void *user)
{
    struct breaking *breaking = user;
    (void)printf("%s is held by\n", breaking->arguments->words[0]);
    for (uint32_t i = 0; i < view->holder_count; i++) {
        const struct tenure_holder *holder = &view->holders[i];
        bool is_it = breaking->token == 0 || breaking->token == holder->token;
        if (!is_it) continue;
        print_holder(holder);
        breaking->is_held = true;
    }
}

/* A line from the terminal.  False: there is none. */
static bool ask(const char *question, char out_answer[ANSWER_SIZE])
{
    (void)fputs(question, stdout);
    (void)fflush(stdout);
    if (fgets(out_answer, ANSWER_SIZE, stdin) == NULL) return false;
    out_answer[strcspn(out_answer, "\n")] = '\0';
    return true;
}

/* What is missing is asked for, and what will happen is told.  False: `*out_exit_code`. */
static bool confirm(struct breaking *breaking, int *out_exit_code)
{
    const struct command *command = breaking->arguments->command;
    char answer[ANSWER_SIZE];
    *out_exit_code = EX_USAGE;
    if (breaking->token == 0) {
        if (!ask("token of the hold to end: ", answer)) return false;
        if (!number_parse(answer, &breaking->token) || breaking->token == 0) {
            complain(command, "'%.40s' is no token: it is a whole number", answer);
            return false;
        }
    }
    if (breaking->reason == NULL) {
        if (!ask("reason: ", breaking->reason_text)) return false;
        breaking->reason = breaking->reason_text;
    }
    char span[OUT_SPAN_SIZE];
    if (breaking->grace_ms > 0) {
        (void)printf(
            "The holder is told now, and loses the lock in %s.\n",
            out_span(breaking->grace_ms, span));
    } else {
        (void)puts("The hold ends at once. What its holder still does, it does without the lock,\n"
                   "until it notices; only a resource that checks tokens refuses it.");
    }
    if (breaking->is_sure) return true;
    *out_exit_code = EXIT_FAILURE;
    return ask("break it? [y/N] ", answer) && (answer[0] == 'y' || answer[0] == 'Y');
}

static void tell(const struct breaking *breaking)
{
    const struct arguments *arguments = breaking->arguments;
    const char *outcome = breaking->grace_ms > 0 ? "breaking" : "broken";
    if (!arguments->is_json) {
        (void)printf("%s %s\n", outcome, arguments->words[0]);
        return;
    }
    struct json json = { .is_inside = false };
    json_open(&json, '{');
    json_string(&json, "outcome", outcome);
    json_string(&json, "name", arguments->words[0]);
    json_number(&json, "token", breaking->token);
    json_number(&json, "grace_ms", breaking->grace_ms);
    json_close(&json, '}');
    json_end();
}

static int break_hold(struct breaking *breaking, struct tenure_client client, bool is_asking)
{
    const struct command *command = breaking->arguments->command;
    const char *name = breaking->arguments->words[0];
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = TENURE_OK;
    if (is_asking) {
        err = tenure_inspect(client, name, on_view, breaking, &error);
        if (err == TENURE_NOT_FOUND || (err == TENURE_OK && !breaking->is_held)) {
            complain(command, "%.255s: no such hold; `tenure show` lists them", name);
            return tenure_err_exit_code(TENURE_NOT_FOUND);
        }
        if (err != TENURE_OK) return connect_complain(command, err, &error);
        int code;
        if (!confirm(breaking, &code)) return code;
    }
    err = tenure_break(client, name, breaking->token, breaking->reason, breaking->grace_ms, &error);
    if (err != TENURE_OK) return connect_complain(command, err, &error);
    tell(breaking);
    return EX_OK;
}

static bool read_option(struct breaking *breaking, struct options *options, int id)
{
    switch (id) {
    case OPTION_TOKEN: return options_number(options, 1, UINT64_C(1) << 53, &breaking->token);
    case OPTION_REASON: breaking->reason = options->value; return true;
    case OPTION_GRACE: return options_duration(options, 0, GRACE_MS_MAX, &breaking->grace_ms);
    case 'y': breaking->is_sure = true; return true;
    default: abort(); /* the table has an option that nobody reads */
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct breaking breaking = { .arguments = &arguments };
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!read_option(&breaking, &arguments.options, id)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "which lock?", &code)) return code;
    bool is_complete = breaking.token != 0 && breaking.reason != NULL && breaking.is_sure;
    bool is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (!is_complete && !is_terminal) {
        complain(command, "there is no terminal to ask: give --token, --reason and --yes");
        return EX_USAGE;
    }
    struct tenure_client client;
    if (!connect_open(command, &arguments.store, &client, &code)) return code;
    code = break_hold(&breaking, client, !is_complete);
    tenure_client_close(client);
    return code;
}

const struct command command_break = {
    .name = "break",
    .summary = "end somebody else's hold",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
