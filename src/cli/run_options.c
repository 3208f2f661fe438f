#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/run.h"

#define TTL_MS_DEFAULT   15000u
#define TTL_MS_MIN       100u
#define TTL_MS_MAX       86400000u
#define GRACE_MS_DEFAULT 5000u
#define MARGIN_MS_MIN    10u
#define MARGIN_MS_MAX    250u
#define NAME_SIZE_MAX    255u
#define SLOT_COUNT_MAX   4096u
#define WAIT_MS_MAX      86400000u

enum {
    OPTION_TRY = OPTION_OWN,
    OPTION_TTL,
    OPTION_MAX_HOLD,
    OPTION_PRIORITY,
    OPTION_KILL_GRACE,
    OPTION_ON_LOST,
    OPTION_LOST_EXIT_CODE,
    OPTION_LABEL,
    OPTION_MIN_SAFETY,
    OPTION_SHOW_ARGS,
    OPTION_JSON,
};

static const struct option_spec specs[] = {
    { 'x', "exclusive", NULL, "one at a time (the default; -e means the same)" },
    { 'e', "exclusive", NULL, NULL },
    { 's', "shared", NULL, "together with others that say -s" },
    { 'L', "limit", "N", "up to N at a time, each in a numbered slot" },
    { 'n', "nonblock", NULL, "do not wait; also --nb, --try and -w 0" },
    { OPTION_TRY, "try", NULL, NULL },
    { OPTION_TRY, "nb", NULL, NULL },
    { 'w', "wait", "TIME", "wait for so long at most (default: for ever)" },
    { OPTION_PRIORITY, "priority", "N", "0 to 9; 9 comes first (default 0)" },
    { 'E', "conflict-exit-code", "CODE", "when the lock was not obtained (default 75)" },
    { 'q', "quiet", NULL, "not obtained: say nothing and exit with 0" },
    { 'c', "command", "STRING", "behind the name: $SHELL, else /bin/sh, runs it" },
    { 'o',
      "close",
      NULL,
      "release when the command itself has ended; what it\n"
      "has left in the background is not waited for" },
    { OPTION_TTL, "ttl", "TIME", "how long the lease lasts without renewal (15 s)" },
    { OPTION_MAX_HOLD, "max-hold", "TIME", "stop a command that takes longer; exit code 124" },
    { OPTION_KILL_GRACE,
      "kill-grace",
      "TIME",
      "from TERM to KILL (a fifth of the ttl, up to 5 s)" },
    { OPTION_ON_LOST,
      "on-lost",
      "WHAT",
      "kill: TERM, then KILL before the lease is over\n"
      "term: TERM only; warn: words only\n"
      "exec:CMD: CMD in the place of TERM, then KILL" },
    { OPTION_LOST_EXIT_CODE, "lost-exit-code", "CODE", "when the lock was lost (default 79)" },
    OPTION_SPEC_MIN_SAFETY(OPTION_MIN_SAFETY),
    { OPTION_LABEL, "label", "KEY=VALUE", "shown to those who wait; may be repeated" },
    { OPTION_SHOW_ARGS,
      "show-args",
      NULL,
      "show them the whole command line, not just its\n"
      "first word: it must hold no secret" },
    { 'v', "verbose", NULL, "say what happens" },
    { OPTION_JSON,
      "json",
      "[FILE]",
      "at the end, one line of what happened: to standard\n"
      "error, to a file, or to a descriptor (--json=3)" },
    OPTIONS_STORE,
    { 0, NULL, NULL, NULL },
};

static const char *const usages[] = {
    "[OPTION …] NAME[,NAME …] [--] COMMAND [ARGUMENT …]",
    "[OPTION …] NAME[,NAME …] -c STRING",
    NULL,
};

static const char *const examples[] = {
    "tenure run deploy/prod -- ./deploy.sh",
    "wait for the lock, run the script, release",
    "tenure run --try -q nightly -- /usr/local/bin/backup",
    "for cron on many machines: one runs it, the others end silently with 0",
    "tenure run --limit 3 -w 2m -E 1 builds -- make -j4",
    "at most three at a time; give up after two minutes with exit code 1",
    "tenure run -s reports -c 'psql -f report.sql | mail -s report ops'",
    "a shell, only because -c asks for one",
    NULL,
};

static const char notes[] =
    "The command finds TENURE_NAME, TENURE_TOKEN, TENURE_SLOT, TENURE_OWNER,\n"
    "TENURE_TTL_MS, TENURE_URL and TENURE_FD (a descriptor that closes when the lock\n"
    "is lost) in its environment.\n"
    "\n"
    "exit codes:\n"
    "  the command's, or 128 + signal\n"
    "  64  usage                  75  not obtained     124  --max-hold was over\n"
    "  69  no store is available  77  not allowed      126  it cannot be executed\n"
    "  70  internal error         79  lost             127  there is no such command\n";

/* ------------------------------------------------------------------ names */

bool run_options_names(struct run_options *options, const char *list)
{
    size_t size = strlen(list);
    if (size >= sizeof(options->name_text)) {
        complain(options->command, "the list of names is too long: %zu bytes", size);
        return false;
    }
    memcpy(options->name_text, list, size + 1);
    options->name_list = list;
    options->name_count = 0;
    char *rest = options->name_text;
    char *name;
    while ((name = strsep(&rest, ",")) != NULL) {
        if (options->name_count == RUN_NAME_COUNT_MAX) {
            complain(options->command, "at most %u names at once", RUN_NAME_COUNT_MAX);
            return false;
        }
        if (name[0] == '\0' || strlen(name) > NAME_SIZE_MAX) {
            complain(options->command, "'%.80s': a name has 1 to %u bytes", list, NAME_SIZE_MAX);
            return false;
        }
        options->names[options->name_count++] = name;
    }
    return true;
}

/* ------------------------------------------------------------------ options */

void run_options_init(struct run_options *options, const struct command *command)
{
    *options = (struct run_options){
        .command = command,
        .wait_ms = RUN_WAIT_FOREVER,
        .ttl_ms = TTL_MS_DEFAULT,
        .grace_ms = RUN_GRACE_UNSET,
        .lost_exit_code = EXIT_LOST,
        .conflict_exit_code = -1,
    };
}

static bool read_on_lost(const struct options *words, struct run_options *options)
{
    static const char exec[] = "exec:";
    const char *value = words->value;
    if (strcmp(value, "kill") == 0) {
        options->on_lost = RUN_LOST_KILL;
    } else if (strcmp(value, "term") == 0) {
        options->on_lost = RUN_LOST_TERM;
    } else if (strcmp(value, "warn") == 0) {
        options->on_lost = RUN_LOST_WARN;
    } else if (strncmp(value, exec, sizeof(exec) - 1) == 0 && value[sizeof(exec) - 1] != '\0') {
        options->on_lost = RUN_LOST_EXEC;
        options->lost_hook = value + sizeof(exec) - 1;
    } else {
        complain(words->command, "--on-lost: '%.60s' is none of kill, term, warn, exec:CMD", value);
        return false;
    }
    return true;
}

static bool read_label(const struct options *words, struct run_options *options)
{
    const char *equals = strchr(words->value, '=');
    if (equals == NULL || equals == words->value) {
        complain(words->command, "--label: '%.60s' is not KEY=VALUE", words->value);
        return false;
    }
    if (options->label_count == RUN_LABEL_COUNT_MAX) {
        complain(words->command, "--label: at most %u of them", RUN_LABEL_COUNT_MAX);
        return false;
    }
    options->labels[options->label_count++] = words->value;
    return true;
}

static bool read_number(struct options *words, uint32_t least, uint32_t most, uint32_t *out_number)
{
    uint64_t number;
    if (!options_number(words, least, most, &number)) return false;
    *out_number = (uint32_t)number;
    return true;
}

static bool read_exit_code(struct options *words, int *out_code)
{
    uint32_t number;
    if (!read_number(words, 0, 255, &number)) return false;
    *out_code = (int)number;
    return true;
}

/* One option. */
static bool read_option(struct options *words, int id, struct run_options *options)
{
    bool is_good = true;
    if (options_store(words, id, &options->store, &is_good)) return is_good;
    switch (id) {
    case 'x':
    case 'e': options->is_shared = false; return true;
    case 's': options->is_shared = true; return true;
    case 'n':
    case OPTION_TRY: options->wait_ms = 0; return true;
    case 'w': return options_duration(words, 0, WAIT_MS_MAX, &options->wait_ms);
    case 'E': return read_exit_code(words, &options->conflict_exit_code);
    case 'q': options->is_quiet = true; return true;
    case 'o': options->is_closing = true; return true;
    case 'v': options->is_verbose = true; return true;
    case 'L': return read_number(words, 1, SLOT_COUNT_MAX, &options->slots);
    case OPTION_TTL: return options_duration(words, TTL_MS_MIN, TTL_MS_MAX, &options->ttl_ms);
    case OPTION_MAX_HOLD: return options_duration(words, 1, DURATION_MS_MAX, &options->max_hold_ms);
    case OPTION_PRIORITY: return read_number(words, 0, 9, &options->priority);
    case OPTION_KILL_GRACE: return options_duration(words, 0, TTL_MS_MAX, &options->grace_ms);
    case OPTION_ON_LOST: return read_on_lost(words, options);
    case OPTION_LOST_EXIT_CODE: return read_exit_code(words, &options->lost_exit_code);
    case OPTION_LABEL: return read_label(words, options);
    case OPTION_MIN_SAFETY: return run_options_safety(words, &options->min_safety);
    case OPTION_SHOW_ARGS: options->is_showing_arguments = true; return true;
    case OPTION_JSON:
        options->is_reporting = true;
        options->report_path = words->value;
        return true;
    case 'c':
        complain(words->command, "-c comes behind the name: tenure run NAME -c STRING");
        return false;
    default: abort(); /* the table has an option that nobody reads */
    }
}

bool run_options_safety(const struct options *words, enum tenure_safety *out_safety)
{
    for (int safety = 0; safety <= TENURE_SAFETY_CONSENSUS; safety++) {
        if (strcmp(words->value, tenure_safety_name((enum tenure_safety)safety)) != 0) continue;
        *out_safety = (enum tenure_safety)safety;
        return true;
    }
    complain(
        words->command,
        "--min-safety: '%.60s' is none of volatile, replicated-async, durable-single, quorum, "
        "consensus",
        words->value);
    return false;
}

bool run_options_settle(struct run_options *options)
{
    uint32_t margin_ms = options->ttl_ms / 20;
    if (margin_ms < MARGIN_MS_MIN) margin_ms = MARGIN_MS_MIN;
    if (margin_ms > MARGIN_MS_MAX) margin_ms = MARGIN_MS_MAX;
    options->margin_ms = margin_ms;
    if (options->grace_ms == RUN_GRACE_UNSET) {
        uint32_t fifth_ms = options->ttl_ms / 5;
        options->grace_ms = fifth_ms < GRACE_MS_DEFAULT ? fifth_ms : GRACE_MS_DEFAULT;
    }
    /* A lease is renewed when a third of it is over.  The TERM must not come before there was time
     * to renew, and to try again. */
    if ((uint64_t)options->grace_ms + margin_ms > options->ttl_ms / 2) {
        char grace[DURATION_TEXT_SIZE];
        char ttl[DURATION_TEXT_SIZE];
        complain(
            options->command,
            "--kill-grace %s takes more than half of the ttl of %s: raise --ttl, or lower it",
            duration_format(options->grace_ms, grace),
            duration_format(options->ttl_ms, ttl));
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ the command */

/* `argv` is what comes behind the name; it ends with NULL. */
static bool read_command(struct run_options *options, char **argv)
{
    const char *word = argv[0];
    bool is_shell = word != NULL && (strcmp(word, "-c") == 0 || strcmp(word, "--command") == 0);
    if (is_shell) {
        if (argv[1] == NULL || argv[2] != NULL) {
            complain(
                options->command,
                argv[1] == NULL ? "-c needs a STRING" : "-c takes one STRING: quote it");
            return false;
        }
        static char sh[] = "/bin/sh";
        static char dash_c[] = "-c";
        char *shell = getenv("SHELL");
        options->shell_argv[0] = shell == NULL || shell[0] == '\0' ? sh : shell;
        options->shell_argv[1] = dash_c;
        options->shell_argv[2] = argv[1];
        options->argv = options->shell_argv;
        return true;
    }
    bool is_marked = word != NULL && strcmp(word, "--") == 0;
    if (is_marked) word = *++argv;
    if (word == NULL) {
        complain(options->command, "which command? tenure run NAME -- COMMAND");
        return false;
    }
    if (!is_marked && word[0] == '-') {
        complain(
            options->command,
            "'%.60s' stands behind the name: options come before it, a command behind --",
            word);
        return false;
    }
    options->argv = argv;
    return true;
}

bool run_options_read(
    const struct command *command,
    int argc,
    char **argv,
    struct run_options *out_options,
    int *out_exit_code)
{
    struct options words;
    options_init(&words, command, argc, argv);
    run_options_init(out_options, command);
    *out_exit_code = EX_USAGE;
    int id;
    while ((id = options_next(&words)) > 0) {
        if (!read_option(&words, id, out_options)) return false;
    }
    if (id != OPTIONS_END) {
        *out_exit_code = options_exit_code(id);
        return false;
    }
    if (words.index >= argc) {
        complain(command, "which lock? tenure run NAME -- COMMAND");
        return false;
    }
    if (out_options->is_shared && out_options->slots > 1) {
        complain(command, "-s and --limit exclude each other: shared holds are not counted");
        return false;
    }
    return run_options_names(out_options, argv[words.index]) &&
           read_command(out_options, argv + words.index + 1) && run_options_settle(out_options);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct run_options options;
    int code;
    if (!run_options_read(command, argc, argv, &options, &code)) return code;
    return run_under_lock(&options);
}

const struct command command_run = {
    .name = "run",
    .summary = "run a command under a lock",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
