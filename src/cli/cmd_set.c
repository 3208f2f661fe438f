#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/connect.h"
#include "cli/out.h"
#include "cli/queue.h"
#include "cli/state.h"

enum {
    OPTION_ABSENT = OPTION_OWN,
    OPTION_PRESENT,
    OPTION_TTL,
    OPTION_BIND,
    OPTION_KEEP_TTL,
    OPTION_APPEND,
    OPTION_GUARD,
    OPTION_BY,
    OPTION_VERSION,
};

#define OPTIONS_GUARD                                                                              \
    {                                                                                              \
        OPTION_GUARD, "guard", "[LOCK=TOKEN]", "only while this hold lasts (tenure run)"           \
    }
#define OPTIONS_LIFE                                                                               \
    { OPTION_TTL, "ttl", "TIME", "it vanishes when it was not set again for so long" },            \
    {                                                                                              \
        OPTION_BIND, "bind", "[LOCK=TOKEN]", "it vanishes with this hold; likewise"                \
    }
#define OPTIONS_VALUE                                                                              \
    {                                                                                              \
        'f', "file", "FILE", "the value is what is in it; - is standard input"                     \
    }

static const struct option_spec set_specs[] = {
    OPTIONS_VALUE,
    { OPTION_ABSENT, "if-absent", NULL, "only if it is not set" },
    { OPTION_PRESENT, "if-present", NULL, "only if it is set" },
    { OPTION_APPEND, "append", NULL, "make its value longer by this one" },
    OPTIONS_LIFE,
    { OPTION_KEEP_TTL, "keep-ttl", NULL, "ttl and bond stay as they are; else both end" },
    OPTIONS_GUARD,
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const struct option_spec cas_specs[] = {
    OPTIONS_VALUE,
    OPTIONS_LIFE,
    { OPTION_KEEP_TTL, "keep-ttl", NULL, "ttl and bond stay as they are; else both end" },
    OPTIONS_GUARD,
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const struct option_spec incr_specs[] = {
    { OPTION_BY, "by", "N", "so much; may be negative (default: 1)" },
    OPTIONS_LIFE,
    OPTIONS_GUARD,
    OPTIONS_STORE,
    { .id = 0 },
};

static const struct option_spec del_specs[] = {
    { OPTION_VERSION, "version", "VERSION", "only if this is its version" },
    OPTIONS_GUARD,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const set_usages[] = { "[OPTION …] NAME [VALUE]", NULL };
static const char *const cas_usages[] = { "[OPTION …] NAME VERSION [VALUE]", NULL };
static const char *const incr_usages[] = { "[OPTION …] NAME", NULL };
static const char *const del_usages[] = { "[OPTION …] NAME", NULL };

static const char *const set_examples[] = {
    "tenure set config/colour green",
    "a value, for all who ask; its version is printed",
    "tenure set --if-absent --ttl 10m seen/4711 ''",
    "the first one gets 0, all others for ten minutes 75",
    "tenure run mover -- sh -c 'tenure set --guard done/1 < report.pdf'",
    "refused when the lock was lost in the meantime, whatever this one believes",
    "tenure run web -- sh -c 'tenure set --bind here/$HOSTNAME up; exec ./serve'",
    "vanishes when the hold ends",
    NULL,
};

static const char *const cas_examples[] = {
    "version=$(tenure get --version config/colour)",
    "what is there, to be changed",
    "tenure cas config/colour \"$version\" blue || echo 'somebody was faster'",
    "only if nobody has changed it since; version 0: if it is not set",
    NULL,
};

static const char *const incr_examples[] = {
    "tenure incr visits",
    "prints the number that it is now, which nobody else gets",
    "tenure incr --by=-3 seats",
    "less",
    NULL,
};

static const char *const del_examples[] = {
    "tenure del config/colour",
    "it is not set any more",
    NULL,
};

static const char notes[] =
    "Without VALUE and -f the value is read from standard input: any bytes, up to\n"
    "1 MiB.  Exit codes: 75 the condition does not hold; 79 the hold of --guard or\n"
    "--bind has ended; 66 nobody has ever held that lock.\n";
static const char incr_notes[] =
    "A register that is not set counts as 0.  Exit codes: 64 its value is no number;\n"
    "79 the hold of --guard or --bind has ended.\n";
static const char del_notes[] =
    "Exit codes: 66 it is not set; 75 it has another version; 79 the hold of --guard\n"
    "has ended.\n";

/* ------------------------------------------------------------------ options */

struct setting {
    struct arguments arguments;
    struct tenure_set_options options;
    struct state_guards guards;
    struct state_guard bond;
    const char *path;
    int64_t by;
    bool is_append;
    unsigned least, most; /* words */
};

static bool read_option(struct setting *setting, int id)
{
    struct options *words = &setting->arguments.options;
    struct tenure_set_options *options = &setting->options;
    switch (id) {
    case 'f': setting->path = words->value; return true;
    case OPTION_ABSENT: options->when = TENURE_SET_IF_ABSENT; return true;
    case OPTION_PRESENT: options->when = TENURE_SET_IF_PRESENT; return true;
    case OPTION_APPEND: setting->is_append = true; return true;
    case OPTION_KEEP_TTL: options->is_ttl_kept = true; return true;
    case OPTION_GUARD: return state_add_guard(words, &setting->guards);
    case OPTION_BY: return state_integer(words->command, words->value, &setting->by);
    case OPTION_VERSION:
        options->when = TENURE_SET_IF_VERSION;
        return options_number(words, 1, UINT64_C(1) << 53, &options->version);
    case OPTION_TTL: return options_duration(words, 100, DURATION_MS_MAX, &options->ttl_ms);
    case OPTION_BIND:
        if (!state_guard(words, &setting->bond)) return false;
        options->bond = (struct tenure_guard){ setting->bond.lock, setting->bond.token };
        return true;
    default: abort(); /* the table has an option that nobody reads */
    }
}

/* The options and the words.  False: `*out_code`. */
static bool read_words(
    struct setting *setting, const struct command *command, int argc, char **argv, int *out_code)
{
    struct arguments *arguments = &setting->arguments;
    setting->options.size = sizeof(setting->options);
    arguments_init(arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(arguments)) > 0) {
        *out_code = EX_USAGE;
        if (!read_option(setting, id)) return false;
    }
    const char *missing = "which register?";
    if (!arguments_end(arguments, id, setting->least, setting->most, missing, out_code)) {
        return false;
    }
    setting->options.name = arguments->words[0];
    setting->options.guards = setting->guards.guards;
    setting->options.guard_count = setting->guards.count;
    return true;
}

/* ------------------------------------------------------------------ set, cas */

static int write_value(struct setting *setting, struct tenure_client client)
{
    const struct arguments *arguments = &setting->arguments;
    struct tenure_error error = { .text = "" };
    uint64_t version = 0;
    enum tenure_err err = setting->is_append
                              ? tenure_state_append(client, &setting->options, &version, &error)
                              : tenure_state_set(client, &setting->options, &version, &error);
    if (err != TENURE_OK) return connect_complain(arguments->command, err, &error);
    if (arguments->is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_string(&json, "name", setting->options.name);
        json_number(&json, "version", version);
        json_close(&json, '}');
        json_end();
    } else {
        (void)printf("%" PRIu64 "\n", version);
    }
    return EX_OK;
}

/* `word` NULL: it is read. */
static int set_value(struct setting *setting, const char *word)
{
    const struct command *command = setting->arguments.command;
    struct queue_bytes bytes = { .data = NULL };
    if (word != NULL && setting->path != NULL) {
        complain(command, "the value is given, or --file says where it is");
        return EX_USAGE;
    }
    if (word == NULL) {
        const char *path = setting->path == NULL ? "-" : setting->path;
        if (!queue_read(command, path, TENURE_VALUE_SIZE_MAX, &bytes)) return EX_NOINPUT;
    }
    setting->options.value = word == NULL ? bytes.data : word;
    setting->options.value_size = word == NULL ? bytes.size : strlen(word);
    struct tenure_client client;
    int code;
    if (connect_open(command, &setting->arguments.store, &client, &code)) {
        code = write_value(setting, client);
        tenure_client_close(client);
    }
    free(bytes.data);
    return code;
}

static int run_set(const struct command *command, int argc, char **argv)
{
    struct setting setting = { .by = 1, .least = 1, .most = 2 };
    int code;
    if (!read_words(&setting, command, argc, argv, &code)) return code;
    return set_value(&setting, setting.arguments.words[1]);
}

static int run_cas(const struct command *command, int argc, char **argv)
{
    struct setting setting = { .by = 1, .least = 2, .most = 3 };
    int code;
    if (!read_words(&setting, command, argc, argv, &code)) return code;
    const char *version = setting.arguments.words[1];
    setting.options.when = TENURE_SET_IF_VERSION;
    if (!number_parse(version, &setting.options.version)) {
        complain(command, "'%.40s' is no version: a whole number is, 0 is not set", version);
        return EX_USAGE;
    }
    return set_value(&setting, setting.arguments.words[2]);
}

const struct command command_set = {
    .name = "set",
    .summary = "give a register of shared state a value",
    .usages = set_usages,
    .examples = set_examples,
    .options = set_specs,
    .notes = notes,
    .run = run_set,
};

const struct command command_cas = {
    .name = "cas",
    .summary = "compare and set: the same, if it has this version",
    .usages = cas_usages,
    .examples = cas_examples,
    .options = cas_specs,
    .notes = notes,
    .run = run_cas,
};

/* ------------------------------------------------------------------ incr, del */

static int run_change(const struct command *command, int argc, char **argv)
{
    struct setting setting = { .by = 1, .least = 1, .most = 1 };
    struct tenure_error error = { .text = "" };
    struct tenure_client client;
    int64_t number = 0;
    int code;
    bool is_incr = command == &command_incr;
    if (!read_words(&setting, command, argc, argv, &code)) return code;
    if (!connect_open(command, &setting.arguments.store, &client, &code)) return code;
    enum tenure_err err =
        is_incr ? tenure_state_incr(client, &setting.options, setting.by, &number, &error)
                : tenure_state_remove(client, &setting.options, &error);
    tenure_client_close(client);
    if (err != TENURE_OK) return connect_complain(command, err, &error);
    if (is_incr) (void)printf("%" PRId64 "\n", number);
    return EX_OK;
}

const struct command command_incr = {
    .name = "incr",
    .summary = "add to a number of shared state",
    .usages = incr_usages,
    .examples = incr_examples,
    .options = incr_specs,
    .notes = incr_notes,
    .run = run_change,
};

const struct command command_del = {
    .name = "del",
    .summary = "remove a register of shared state",
    .usages = del_usages,
    .examples = del_examples,
    .options = del_specs,
    .notes = del_notes,
    .run = run_change,
};
