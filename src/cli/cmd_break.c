#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/meta.h"
#include "cli/out.h"

#define GRACE_MS_MAX  3600000u
#define GRACE_UNSET   UINT32_MAX
#define NEWS_MS       1000u /* for the news to reach the holder, and for the KILL to work */
#define KILL_MS_MAX   5000u /* what `tenure run` takes for it when nobody says another time */
#define KILL_DIVISOR  5
#define CLOCK_DIVISOR 50 /* what clocks and rounding may take away: 2 % */
#define ANSWER_SIZE   512u

enum { OPTION_TOKEN = OPTION_OWN, OPTION_REASON, OPTION_GRACE };

static const struct option_spec specs[] = {
    { OPTION_TOKEN, "token", "TOKEN", "of the hold to end: nobody else is hit by mistake" },
    { OPTION_REASON, "reason", "TEXT", "why; it is kept in the history" },
    { OPTION_GRACE,
      "grace",
      "TIME",
      "so long the holder may finish; it cannot renew\n"
      "(default: what it needs to stop its command)" },
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
    int64_t lease_ms; /* what is left of the hold; -1: nobody knows; INT64_MAX: it has no end */
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

/* How long must the holder have, so that its command is gone before the lock is granted again?  A
 * run says what it gives its command; of others what a run with that ttl would give. */
static uint32_t grace_of(const struct tenure_holder *holder)
{
    uint64_t kill_ms;
    if (!meta_kill_grace(holder->meta, &kill_ms)) {
        kill_ms = holder->ttl_ms / KILL_DIVISOR;
        if (holder->ttl_ms == 0 || kill_ms > KILL_MS_MAX) kill_ms = KILL_MS_MAX;
    }
    if (kill_ms > GRACE_MS_MAX) return GRACE_MS_MAX;
    uint64_t grace_ms = kill_ms + kill_ms / CLOCK_DIVISOR + NEWS_MS;
    return grace_ms < GRACE_MS_MAX ? (uint32_t)grace_ms : GRACE_MS_MAX;
}

static void on_chosen(const struct tenure_lock_view *view, void *user)
{
    struct breaking *breaking = user;
    for (uint32_t i = 0; i < view->holder_count; i++) {
        const struct tenure_holder *holder = &view->holders[i];
        if (holder->token != breaking->token) continue;
        if (breaking->grace_ms == GRACE_UNSET) breaking->grace_ms = grace_of(holder);
        breaking->lease_ms = holder->remaining_ms < 0 ? INT64_MAX : holder->remaining_ms;
    }
}

/* A hold that is not there needs no grace: the store says what is wrong with the token. */
static enum tenure_err
find_grace(struct breaking *breaking, struct tenure_client client, struct tenure_error *out_error)
{
    const char *name = breaking->arguments->words[0];
    enum tenure_err err = tenure_inspect(client, name, on_chosen, breaking, out_error);
    if (err == TENURE_NOT_FOUND) err = TENURE_OK;
    if (err == TENURE_OK && breaking->grace_ms == GRACE_UNSET) breaking->grace_ms = NEWS_MS;
    return err;
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

/* What is missing is asked for.  False: `*out_exit_code`. */
static bool complete(struct breaking *breaking, int *out_exit_code)
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
    return true;
}

/* What will happen is told.  False: it shall not. */
static bool confirm(const struct breaking *breaking)
{
    char span[OUT_SPAN_SIZE];
    char answer[ANSWER_SIZE];
    if (breaking->grace_ms > 0) {
        (void)printf(
            "The holder is told now, and loses the lock in %s.\n",
            out_span(breaking->grace_ms, span));
    } else {
        (void)puts("The hold ends at once. What its holder still does, it does without the lock,\n"
                   "until it notices; only a resource that checks tokens refuses it.");
    }
    if (breaking->grace_ms > 0 && breaking->lease_ms > (int64_t)breaking->grace_ms) {
        (void)fputs("If it cannot hear of that, it goes on", stdout);
        if (breaking->lease_ms < INT64_MAX) {
            (void)printf(" for %s", out_span(breaking->lease_ms, span));
        }
        (void)fputs(", beside the next holder", stdout);
        int64_t wait_s = breaking->lease_ms / 1000 + 1;
        if (wait_s > GRACE_MS_MAX / 1000) {
            (void)puts(".");
        } else {
            (void)printf(";\n--grace %" PRId64 " would wait for its lease to end.\n", wait_s);
        }
    }
    if (breaking->is_sure) return true;
    return ask("break it? [y/N] ", answer) && (answer[0] == 'y' || answer[0] == 'Y');
}

static void tell(const struct breaking *breaking)
{
    const struct arguments *arguments = breaking->arguments;
    const char *outcome = breaking->grace_ms > 0 ? "breaking" : "broken";
    if (!arguments->is_json) {
        char span[OUT_SPAN_SIZE];
        (void)printf("%s %s", outcome, arguments->words[0]);
        if (breaking->grace_ms > 0) {
            (void)printf(": over in %s", out_span(breaking->grace_ms, span));
        }
        (void)putchar('\n');
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

/* Show who holds it.  False: `*out_exit_code`. */
static bool show(struct breaking *breaking, struct tenure_client client, int *out_exit_code)
{
    const struct command *command = breaking->arguments->command;
    const char *name = breaking->arguments->words[0];
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = tenure_inspect(client, name, on_view, breaking, &error);
    if (err == TENURE_NOT_FOUND || (err == TENURE_OK && !breaking->is_held)) {
        complain(command, "%.255s: no such hold; `tenure show` lists them", name);
        *out_exit_code = tenure_err_exit_code(TENURE_NOT_FOUND);
        return false;
    }
    if (err == TENURE_OK) return true;
    *out_exit_code = connect_complain(command, err, &error);
    return false;
}

static int break_hold(struct breaking *breaking, struct tenure_client client, bool is_asking)
{
    const struct command *command = breaking->arguments->command;
    const char *name = breaking->arguments->words[0];
    struct tenure_error error = { .code = TENURE_OK };
    int code;
    if (is_asking && (!show(breaking, client, &code) || !complete(breaking, &code))) return code;
    enum tenure_err err = TENURE_OK;
    if (is_asking || breaking->grace_ms == GRACE_UNSET) err = find_grace(breaking, client, &error);
    if (err != TENURE_OK) return connect_complain(command, err, &error);
    if (is_asking && !confirm(breaking)) return EXIT_FAILURE;
    if (!is_asking && breaking->grace_ms == 0) {
        complain(
            command,
            "without a grace the lock is granted again at once, beside what its holder still does");
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
    struct breaking breaking = { .arguments = &arguments, .grace_ms = GRACE_UNSET, .lease_ms = -1 };
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
