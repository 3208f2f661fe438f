#include "server/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/memory.h"
#include "net/listener.h"
#include "server/store_url.h"

#define FILE_SIZE_MAX ((size_t)1 << 20)
#define WHERE_SIZE    160
#define PATH_SHOWN    60 /* bytes of a path in an error: line and key must fit behind it */
#define ENV_PREFIX    "TENURED_"
#define FILE_VARIABLE BYTES_LITERAL("TENURED_CONFIG")

enum option_type { TYPE_TEXT, TYPE_LIST, TYPE_BOOL, TYPE_NUMBER, TYPE_SIZE, TYPE_LEVEL };

struct option {
    enum option_type type;
    const char *name;
    const char *argument;
    int64_t least; /* of a number; of a text, its size */
    int64_t most;
    const char *fallback;
    const char *help;
    size_t offset; /* of the field in struct config */
};

static const struct option options[] = {
#define X(type, field, name, argument, least, most, fallback, help)                                \
    { TYPE_##type, name, argument, least, most, fallback, help, offsetof(struct config, field) },
    CONFIG_MAP(X)
#undef X
};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static const char *const level_words[] = { "error", "warning", "info", "debug" };

/* What is read later wins. */
enum source { SOURCE_NONE, SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

/* A text that had to be copied. */
struct config_text {
    struct config_text *next;
    size_t size;
    char text[];
};

struct reader {
    struct config *config;
    enum source sources[OPTION_COUNT]; /* where the value of each comes from */
    enum source source;                /* of what is being read */
    char where[WHERE_SIZE];            /* for people: "--spin-us", "file:12: spin-us" */
    struct tenure_error *error;
};

/* ------------------------------------------------------------------ errors */

__attribute__((format(printf, 2, 3))) static enum tenure_err
fail(struct reader *reader, const char *format, ...)
{
    char what[WHERE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    reader->error->code = TENURE_INVALID;
    reader->error->os_errno = 0;
    (void)snprintf(
        reader->error->text, sizeof(reader->error->text), "%.100s: %.130s", reader->where, what);
    return TENURE_INVALID;
}

/* ------------------------------------------------------------------ texts */

/* NULL when there is no memory. */
static char *copy_text(struct config *config, const char *text, size_t size)
{
    struct config_text *copy = memory_take(&memory_heap, sizeof(*copy) + size + 1);
    if (copy == NULL) return NULL;
    copy->next = config->texts;
    copy->size = size;
    memcpy(copy->text, text, size);
    copy->text[size] = '\0';
    config->texts = copy;
    return copy->text;
}

void config_deinit(struct config *config)
{
    while (config->texts != NULL) {
        struct config_text *text = config->texts;
        config->texts = text->next;
        memory_give(&memory_heap, text, sizeof(*text) + text->size + 1);
    }
}

/* ------------------------------------------------------------------ values */

static void *field(struct reader *reader, const struct option *option)
{
    return (char *)reader->config + option->offset;
}

static enum tenure_err
set_text(struct reader *reader, const struct option *option, const char *value)
{
    size_t size = strlen(value);
    if (size < (size_t)option->least || size > (size_t)option->most) {
        return fail(
            reader,
            "must have %" PRId64 " to %" PRId64 " bytes, not %zu",
            option->least,
            option->most,
            size);
    }
    bool is_store = field(reader, option) == (const void *)&reader->config->store;
    if (is_store && reader->source == SOURCE_FLAG && store_url_has_password(value)) {
        return fail(
            reader,
            "its password would be seen by every user here: use --config FILE, or "
            "?password-file=PATH in the URL");
    }
    *(const char **)field(reader, option) = value;
    return TENURE_OK;
}

static enum tenure_err
add_item(struct reader *reader, const struct option *option, const char *item, size_t size)
{
    struct config_list *list = field(reader, option);
    if (size < (size_t)option->least || size > (size_t)option->most) {
        return fail(
            reader,
            "each must have %" PRId64 " to %" PRId64 " bytes, not %zu",
            option->least,
            option->most,
            size);
    }
    if (list->count == CONFIG_LIST_COUNT_MAX) {
        return fail(reader, "may be given at most %u times", CONFIG_LIST_COUNT_MAX);
    }
    char *copy = copy_text(reader->config, item, size);
    if (copy == NULL) return fail(reader, "not enough memory");
    bool is_loopback;
    if (list == &reader->config->listen &&
        listener_is_loopback(copy, &is_loopback, NULL) != TENURE_OK) {
        return fail(
            reader,
            "must be a numeric address and a port, as in 127.0.0.1:7420 or [::1]:7420, not '%.40s'",
            copy);
    }
    list->items[list->count++] = copy;
    return TENURE_OK;
}

/* Items are given one by one or with commas between; "none" is the empty list. */
static enum tenure_err
set_list(struct reader *reader, const struct option *option, const char *value)
{
    struct config_list *list = field(reader, option);
    if (reader->sources[option - options] != reader->source) list->count = 0;
    if (value[0] == '\0' || strcmp(value, "none") == 0) return TENURE_OK;
    for (const char *item = value;;) {
        item += strspn(item, " ");
        size_t size = strcspn(item, ",");
        const char *next = item + size;
        while (size > 0 && item[size - 1] == ' ') {
            size--;
        }
        enum tenure_err err = add_item(reader, option, item, size);
        if (err != TENURE_OK || *next == '\0') return err;
        item = next + 1;
    }
}

static enum tenure_err
set_bool(struct reader *reader, const struct option *option, const char *value)
{
    static const char *const words[] = { "no", "yes", "false", "true", "0", "1" };
    for (size_t index = 0; index < sizeof(words) / sizeof(words[0]); index++) {
        if (strcmp(value, words[index]) == 0) {
            *(bool *)field(reader, option) = index % 2 == 1;
            return TENURE_OK;
        }
    }
    return fail(reader, "must be yes or no, not '%.40s'", value);
}

static unsigned unit_shift(char unit)
{
    switch (unit) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    default: return 0;
    }
}

static bool parse_number(const struct option *option, const char *value, uint64_t *out_number)
{
    struct bytes digits = bytes_from_text(value);
    unsigned shift = 0;
    if (option->type == TYPE_SIZE && digits.size > 0) {
        shift = unit_shift(digits.data[digits.size - 1]);
        if (shift > 0) digits.size--;
    }
    uint64_t number;
    if (!decimal_parse(digits, &number) || number > UINT64_MAX >> shift) return false;
    *out_number = number << shift;
    return true;
}

static enum tenure_err
set_number(struct reader *reader, const struct option *option, const char *value)
{
    uint64_t number;
    if (!parse_number(option, value, &number) || number < (uint64_t)option->least ||
        number > (uint64_t)option->most)
    {
        return fail(
            reader,
            "must be a number from %" PRId64 " to %" PRId64 "%s, not '%.40s'",
            option->least,
            option->most,
            option->type == TYPE_SIZE ? " (K, M or G may follow)" : "",
            value);
    }
    if (option->type == TYPE_SIZE) {
        *(uint64_t *)field(reader, option) = number;
    } else {
        *(uint32_t *)field(reader, option) = (uint32_t)number;
    }
    return TENURE_OK;
}

static enum tenure_err
set_level(struct reader *reader, const struct option *option, const char *value)
{
    for (unsigned level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (strcmp(value, level_words[level]) == 0) {
            *(enum log_level *)field(reader, option) = (enum log_level)level;
            return TENURE_OK;
        }
    }
    return fail(reader, "must be error, warning, info or debug, not '%.40s'", value);
}

/* `value` must live as long as the configuration. */
static enum tenure_err
set_value(struct reader *reader, const struct option *option, const char *value)
{
    enum tenure_err err = TENURE_INTERNAL;
    switch (option->type) {
    case TYPE_TEXT: err = set_text(reader, option, value); break;
    case TYPE_LIST: err = set_list(reader, option, value); break;
    case TYPE_BOOL: err = set_bool(reader, option, value); break;
    case TYPE_NUMBER:
    case TYPE_SIZE: err = set_number(reader, option, value); break;
    case TYPE_LEVEL: err = set_level(reader, option, value); break;
    }
    if (err == TENURE_OK) reader->sources[option - options] = reader->source;
    return err;
}

static enum tenure_err read_defaults(struct reader *reader)
{
    reader->source = SOURCE_DEFAULT;
    for (size_t index = 0; index < OPTION_COUNT; index++) {
        (void)snprintf(reader->where, sizeof(reader->where), "%s", options[index].name);
        enum tenure_err err = set_value(reader, &options[index], options[index].fallback);
        if (err != TENURE_OK) return err;
    }
    return TENURE_OK;
}

/* ------------------------------------------------------------------ the file */

/* Keys are the names of the flags; an underscore may stand for each hyphen. */
static const struct option *find_option(const char *name, size_t size)
{
    for (size_t index = 0; index < OPTION_COUNT; index++) {
        const char *known = options[index].name;
        if (strlen(known) != size) continue;
        size_t same = 0;
        while (same < size &&
               (known[same] == name[same] || (known[same] == '-' && name[same] == '_'))) {
            same++;
        }
        if (same == size) return &options[index];
    }
    return NULL;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        text[--size] = '\0';
    }
    return text;
}

/* "path:12: key"; the key may be left out.  Of a long path the end is the telling part. */
static void set_place(struct reader *reader, const char *path, unsigned line, const char *key)
{
    size_t size = strlen(path);
    bool is_long = size > PATH_SHOWN;
    (void)snprintf(
        reader->where,
        sizeof(reader->where),
        "%s%s:%u%s%.20s",
        is_long ? "..." : "",
        is_long ? path + size - PATH_SHOWN : path,
        line,
        key == NULL ? "" : ": ",
        key == NULL ? "" : key);
}

/* "5 # so much": the comment would become a part of the value, of a path without an error. */
static bool has_comment(const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (isspace((unsigned char)*at) && (at[1] == '#' || at[1] == ';')) return true;
    }
    return false;
}

/* `key = value`, `[tenured]`, `# comment`, `; comment`, or nothing. */
static enum tenure_err
read_line(struct reader *reader, const char *path, unsigned line_number, char *line)
{
    set_place(reader, path, line_number, NULL);
    line = trim(line);
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';') return TENURE_OK;
    if (line[0] == '[') {
        if (strcmp(line, "[tenured]") == 0) return TENURE_OK;
        return fail(reader, "the only section is [tenured], not %.60s", line);
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) return fail(reader, "expected 'key = value'");
    *equals = '\0';
    const char *key = trim(line);
    const struct option *option = find_option(key, strlen(key));
    if (option == NULL) return fail(reader, "there is no option '%.60s'; see tenured --help", key);
    if (option->type != TYPE_LIST && reader->sources[option - options] == SOURCE_FILE) {
        return fail(reader, "'%.60s' was given before", key);
    }
    set_place(reader, path, line_number, key);
    const char *value = trim(equals + 1);
    if (has_comment(value)) return fail(reader, "a comment needs a line of its own");
    return set_value(reader, option, value);
}

/* The whole file as one terminated text that the configuration owns. */
static enum tenure_err load_file(struct reader *reader, const char *path, char **out_text)
{
    (void)snprintf(reader->where, sizeof(reader->where), "%s", path);
    FILE *file = fopen(path, "re");
    if (file == NULL) return fail(reader, "cannot be read: %s", strerrordesc_np(errno));
    enum tenure_err err = TENURE_OK;
    char *space = memory_take(&memory_heap, FILE_SIZE_MAX);
    size_t size = space == NULL ? 0 : fread(space, 1, FILE_SIZE_MAX, file);
    char *text = NULL;
    if (space == NULL) {
        err = fail(reader, "not enough memory");
    } else if (ferror(file)) {
        err = fail(reader, "cannot be read: %s", strerrordesc_np(errno));
    } else if (size == FILE_SIZE_MAX) {
        err = fail(reader, "is larger than %zu bytes", FILE_SIZE_MAX - 1);
    } else if (memchr(space, '\0', size) != NULL) {
        err = fail(reader, "is not a text file");
    } else if ((text = copy_text(reader->config, space, size)) == NULL) {
        err = fail(reader, "not enough memory");
    }
    memory_give(&memory_heap, space, FILE_SIZE_MAX);
    (void)fclose(file);
    if (err == TENURE_OK) *out_text = text;
    return err;
}

static enum tenure_err read_file(struct reader *reader, const char *path)
{
    reader->source = SOURCE_FILE;
    char *line = NULL;
    enum tenure_err err = load_file(reader, path, &line);
    for (unsigned number = 1; err == TENURE_OK && line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end++ = '\0';
        err = read_line(reader, path, number, line);
        line = end;
    }
    return err;
}

/* ------------------------------------------------------------------ the environment */

/* The option of a variable's name: small letters, hyphens. */
static const struct option *find_variable_option(const char *text, size_t size)
{
    char name[WHERE_SIZE];
    if (size >= sizeof(name)) return NULL;
    for (size_t index = 0; index < size; index++) {
        char byte = text[index];
        name[index] = byte == '_' ? '-' : (char)tolower((unsigned char)byte);
    }
    return find_option(name, size);
}

static enum tenure_err read_variable(struct reader *reader, const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t size = equals == NULL ? 0 : (size_t)(equals - entry);
    if (equals == NULL || bytes_equal((struct bytes){ entry, size }, FILE_VARIABLE)) {
        return TENURE_OK;
    }
    (void)snprintf(reader->where, sizeof(reader->where), "%.*s", (int)size, entry);
    size_t prefix_size = strlen(ENV_PREFIX);
    const struct option *option = find_variable_option(entry + prefix_size, size - prefix_size);
    if (option == NULL) return fail(reader, "there is no such option; see tenured --help");
    return set_value(reader, option, equals + 1);
}

static enum tenure_err read_environment(struct reader *reader, char *const *environment)
{
    reader->source = SOURCE_ENVIRONMENT;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, ENV_PREFIX, strlen(ENV_PREFIX)) != 0) continue;
        enum tenure_err err = read_variable(reader, *environment);
        if (err != TENURE_OK) return err;
    }
    return TENURE_OK;
}

/* ------------------------------------------------------------------ the command line */

/* The flags that are not in the table. */
enum flag_kind { FLAG_FILE, FLAG_ACTION, FLAG_ACCEPT_LOSS };

static const struct {
    const char *name;
    const char *argument; /* "" = none */
    enum flag_kind kind;
    enum config_action action;
    const char *help;
} actions[] = {
    { "config", "FILE", FLAG_FILE, CONFIG_SERVE, "read options from a file, see tenured.conf(5)" },
    { "check",
      "DIR",
      FLAG_ACTION,
      CONFIG_CHECK,
      "verify the journal of a stopped server, change nothing" },
    { "dump",
      "DIR",
      FLAG_ACTION,
      CONFIG_DUMP,
      "print the journal of a stopped server as lines of JSON" },
    { "repair",
      "DIR",
      FLAG_ACTION,
      CONFIG_REPAIR,
      "say what of a damaged journal can be kept, change nothing" },
    { "accept-loss",
      "",
      FLAG_ACCEPT_LOSS,
      CONFIG_REPAIR,
      "with --repair: keep that, and set the rest aside" },
    { "version", "", FLAG_ACTION, CONFIG_VERSION, "print the version" },
    { "help", "", FLAG_ACTION, CONFIG_HELP, "print this" },
};
#define ACTION_COUNT (sizeof(actions) / sizeof(actions[0]))

static bool name_is(const char *name, size_t size, const char *known)
{
    return strlen(known) == size && memcmp(name, known, size) == 0;
}

static void set_action(struct config *config, size_t index, const char *value)
{
    switch (actions[index].kind) {
    case FLAG_FILE: config->file = value; break;
    case FLAG_ACCEPT_LOSS: config->is_loss_accepted = true; break;
    case FLAG_ACTION:
        config->action = actions[index].action;
        config->action_path = value;
        break;
    }
}

/* One flag at arguments[0], with its value behind '=' or in arguments[1].  `*out_count` is how many
 * arguments it took. */
static enum tenure_err read_flag(struct reader *reader, char *const *arguments, int *out_count)
{
    const char *flag = arguments[0];
    (void)snprintf(reader->where, sizeof(reader->where), "%s", flag);
    if (strcmp(flag, "-h") == 0) flag = "--help";
    if (strncmp(flag, "--", 2) != 0 || flag[2] == '\0') {
        return fail(reader, "not expected here; see tenured --help");
    }
    const char *name = flag + 2;
    size_t size = strcspn(name, "=");
    const char *value = name[size] == '=' ? name + size + 1 : NULL;
    (void)snprintf(reader->where, sizeof(reader->where), "--%.*s", (int)size, name);

    size_t action = 0;
    while (action < ACTION_COUNT && !name_is(name, size, actions[action].name)) {
        action++;
    }
    const struct option *option = action < ACTION_COUNT ? NULL : find_option(name, size);
    if (action == ACTION_COUNT && option == NULL) {
        return fail(reader, "there is no such option; see tenured --help");
    }
    bool needs_value =
        option != NULL ? option->argument[0] != '\0' : actions[action].argument[0] != '\0';
    int count = 1;
    if (value == NULL && needs_value) {
        value = arguments[1];
        count = 2;
        if (value == NULL) return fail(reader, "a value must follow");
    }
    if (option != NULL) {
        enum tenure_err err = set_value(reader, option, value == NULL ? "yes" : value);
        if (err != TENURE_OK) return err;
    } else if (value != NULL && !needs_value) {
        return fail(reader, "takes no value");
    } else {
        set_action(reader->config, action, value);
    }
    *out_count = count;
    return TENURE_OK;
}

static enum tenure_err read_flags(struct reader *reader, int argc, char *const *argv)
{
    reader->source = SOURCE_FLAG;
    for (int index = 1; index < argc;) {
        int count = 0;
        enum tenure_err err = read_flag(reader, argv + index, &count);
        if (err != TENURE_OK) return err;
        index += count;
    }
    if (reader->config->is_loss_accepted && reader->config->action != CONFIG_REPAIR) {
        (void)snprintf(reader->where, sizeof(reader->where), "--accept-loss");
        return fail(reader, "goes with --repair DIR only");
    }
    bool is_journal_meant = reader->config->action == CONFIG_CHECK ||
                            reader->config->action == CONFIG_DUMP ||
                            reader->config->action == CONFIG_REPAIR;
    if (is_journal_meant && reader->config->store[0] != '\0') {
        (void)snprintf(reader->where, sizeof(reader->where), "--store");
        return fail(reader, "has no journal: --check, --dump and --repair go without it");
    }
    return TENURE_OK;
}

static const char *find_variable(char *const *environment, const char *name)
{
    size_t size = strlen(name);
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=') {
            return *environment + size + 1;
        }
    }
    return NULL;
}

enum tenure_err config_read(
    int argc,
    char *const *argv,
    char *const *environment,
    struct config *out_config,
    bool *out_is_usage,
    struct tenure_error *out_error)
{
    *out_config = (struct config){ .scrub_first_ms = CONFIG_SCRUB_FIRST_MS };
    *out_is_usage = true;
    struct reader reader = { .config = out_config, .error = out_error };
    /* The command line twice: first to find the file and the action, at last to have the last
     * word. */
    enum tenure_err err = read_defaults(&reader);
    if (err == TENURE_OK) err = read_flags(&reader, argc, argv);
    if (err != TENURE_OK || out_config->action != CONFIG_SERVE) return err;

    *out_is_usage = false;
    memset(reader.sources, 0, sizeof(reader.sources));
    err = read_defaults(&reader);
    if (out_config->file == NULL) out_config->file = find_variable(environment, "TENURED_CONFIG");
    if (err == TENURE_OK && out_config->file != NULL) err = read_file(&reader, out_config->file);
    if (err == TENURE_OK) err = read_environment(&reader, environment);
    if (err == TENURE_OK) err = read_flags(&reader, argc, argv);
    return err;
}

/* ------------------------------------------------------------------ help */

static void help_row(FILE *stream, const char *name, const char *argument, const char *help)
{
    char flag[WHERE_SIZE];
    (void)snprintf(flag, sizeof(flag), "--%s %s", name, argument);
    (void)fprintf(stream, "  %-24s %s", flag, help);
}

void config_help(FILE *stream)
{
    (void)fputs(
        "usage: tenured [options]\n"
        "\n"
        "  tenured --data /var/lib/tenured                    serve on 127.0.0.1:7420\n"
        "  redis-cli -p 7420 lock.acquire deploy/prod me 15000\n"
        "  curl -d '{}' -H 'content-type: application/json' 127.0.0.1:7420/v1/locks/deploy/prod\n"
        "  curl -N 127.0.0.1:7420/v1/events                   watch what happens\n"
        "\n"
        "A durable lock server that speaks HTTP and the Redis protocol on one port.\n"
        "\n",
        stream);
    for (size_t index = 0; index < OPTION_COUNT; index++) {
        const struct option *option = &options[index];
        help_row(stream, option->name, option->argument, option->help);
        if (option->fallback[0] != '\0') (void)fprintf(stream, " [%s]", option->fallback);
        (void)fputc('\n', stream);
    }
    for (size_t index = 0; index < ACTION_COUNT; index++) {
        help_row(stream, actions[index].name, actions[index].argument, actions[index].help);
        (void)fputc('\n', stream);
    }
    (void)fputs(
        "\n"
        "Each option may also be a line 'name = value' of the file, or a variable of the\n"
        "environment (TENURED_SPIN_US for --spin-us).  A flag wins over the environment, and that\n"
        "over the file.  --listen and --host may be given several times.\n"
        "\n"
        "Exit codes: 0 after SIGTERM, 64 wrong usage, 65 damaged data, 66 no such directory,\n"
        "69 address or directory in use, 71 the system refused, 73 cannot create, 74 the disk\n"
        "failed, 77 not allowed, 78 wrong configuration.  See tenured(8).\n",
        stream);
}
