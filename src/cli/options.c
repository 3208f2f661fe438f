#include "cli/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define DIGITS_MAX 18

void options_init(struct options *options, const struct command *command, int argc, char **argv)
{
    memset(options, 0, sizeof(*options));
    options->command = command;
    options->argc = argc;
    options->argv = argv;
    size_t letter_count = 0;
    size_t long_count = 0;
    /* "+": stop at the first word that is no option.  ":": tell a missing value apart. */
    options->letters[letter_count++] = '+';
    options->letters[letter_count++] = ':';
    for (const struct option_spec *spec = command->options; spec->id != 0; spec++) {
        if (long_count == OPTION_COUNT_MAX) abort();
        int has_argument = no_argument;
        if (spec->argument != NULL) {
            has_argument = spec->argument[0] == '[' ? optional_argument : required_argument;
        }
        struct option *option = &options->longs[long_count++];
        option->name = spec->name;
        option->has_arg = has_argument;
        option->val = spec->id;
        if (spec->id < 256) {
            options->letters[letter_count++] = (char)spec->id;
            if (has_argument == required_argument) options->letters[letter_count++] = ':';
        }
    }
    opterr = 0;
    /* Zero makes glibc start afresh, also after another array of words. */
    optind = 0;
}

static const struct option_spec *find_spec(const struct command *command, int id)
{
    const struct option_spec *spec = command->options;
    while (spec->id != 0 && spec->id != id) {
        spec++;
    }
    return spec->id == 0 ? NULL : spec;
}

static const char *nearest_option(const struct command *command, const char *word)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (const struct option_spec *spec = command->options; spec->id != 0; spec++) {
        unsigned distance = word_distance(word, spec->name);
        if (distance < best_distance) {
            best = spec->name;
            best_distance = distance;
        }
    }
    return best;
}

/* getopt leaves in `optopt` the letter that it does not know, or the id of a long option that was
 * given a value it does not take, or 0 for a long option that it does not know. */
static void complain_unknown(const struct options *options)
{
    const struct command *command = options->command;
    const struct option_spec *spec = optopt == 0 ? NULL : find_spec(command, optopt);
    if (spec != NULL) {
        complain(command, "--%s takes no value: %s", spec->name, options->argv[optind - 1]);
        return;
    }
    if (optopt != 0) {
        complain(command, "unknown option -%c; `tenure help %s` lists them", optopt, command->name);
        return;
    }
    const char *word = options->argv[optind - 1];
    char cut[40];
    (void)snprintf(cut, sizeof(cut), "%s", word + strspn(word, "-"));
    cut[strcspn(cut, "=")] = '\0';
    const char *nearest = nearest_option(command, cut);
    if (nearest != NULL) {
        complain(command, "unknown option --%s; did you mean --%s?", cut, nearest);
    } else {
        complain(command, "unknown option --%s; `tenure help %s` lists them", cut, command->name);
    }
}

int options_next(struct options *options)
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): words are read before there is a second thread
    int id = getopt_long(options->argc, options->argv, options->letters, options->longs, NULL);
    options->value = optarg;
    options->index = optind;
    if (id == -1) return OPTIONS_END;
    if (id == 'h') {
        command_help(options->command, stdout);
        return OPTIONS_HELP;
    }
    if (id == '?') {
        complain_unknown(options);
        return OPTIONS_BAD;
    }
    options->spec = find_spec(options->command, id == ':' ? optopt : id);
    if (id == ':') {
        complain(
            options->command,
            "--%s needs a value: %s",
            options->spec->name,
            options->spec->argument);
        return OPTIONS_BAD;
    }
    return id;
}

int options_exit_code(int id)
{
    return id == OPTIONS_HELP ? EX_OK : EX_USAGE;
}

/* ------------------------------------------------------------------ values */

bool number_parse(const char *text, uint64_t *out_number)
{
    size_t size = strspn(text, "0123456789");
    if (size == 0 || size > DIGITS_MAX || text[size] != '\0') return false;
    *out_number = strtoull(text, NULL, 10);
    return true;
}

/* The milliseconds of one unit; 0: there is no such unit. */
static uint64_t unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = { { "", 1000 },   { "ms", 1 },      { "s", 1000 },
                  { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) == 0) return units[i].ms;
    }
    return 0;
}

/* Decimal by hand: strtod() takes hexadecimal, "inf" and the decimal comma of some locales. */
bool duration_parse(const char *text, uint64_t *out_ms)
{
    static const char *const digits = "0123456789";
    size_t whole_size = strspn(text, digits);
    const char *rest = text + whole_size;
    const char *fraction = rest;
    size_t fraction_size = 0;
    if (*rest == '.') {
        fraction = rest + 1;
        fraction_size = strspn(fraction, digits);
        rest = fraction + fraction_size;
    }
    uint64_t unit = unit_ms(rest);
    if (whole_size + fraction_size == 0 || whole_size > 9 || unit == 0) return false;
    uint64_t ms = whole_size == 0 ? 0 : strtoull(text, NULL, 10) * unit;
    uint64_t weight = unit;
    uint64_t tail = 0; /* in 1/1000 ms */
    for (size_t i = 0; i < fraction_size && i < 9; i++) {
        /* unit is at most 86400000, so that nothing overflows */
        weight = i == 0 ? unit * 100 : weight / 10;
        tail += weight * (uint64_t)(fraction[i] - '0');
    }
    /* A short time is not no time. */
    *out_ms = ms + (tail + 999) / 1000;
    return true;
}

bool options_duration(
    struct options *options, uint32_t least_ms, uint32_t most_ms, uint32_t *out_ms)
{
    uint64_t ms;
    if (!duration_parse(options->value, &ms)) {
        complain(
            options->command,
            "--%s: '%.60s' is not a time; write seconds, or 500ms, 1.5s, 2m, 1h",
            options->spec->name,
            options->value);
        return false;
    }
    if (ms < least_ms || ms > most_ms) {
        char least[DURATION_TEXT_SIZE];
        char most[DURATION_TEXT_SIZE];
        complain(
            options->command,
            "--%s: %.60s is out of range; it may be %s to %s",
            options->spec->name,
            options->value,
            duration_format(least_ms, least),
            duration_format(most_ms, most));
        return false;
    }
    *out_ms = (uint32_t)ms;
    return true;
}

bool options_number(struct options *options, uint64_t least, uint64_t most, uint64_t *out_number)
{
    uint64_t number;
    bool is_number = number_parse(options->value, &number);
    if (!is_number || number < least || number > most) {
        complain(
            options->command,
            "--%s: '%.60s' is not a number from %" PRIu64 " to %" PRIu64,
            options->spec->name,
            options->value,
            least,
            most);
        return false;
    }
    *out_number = number;
    return true;
}

const char *duration_format(int64_t ms, char text[DURATION_TEXT_SIZE])
{
    uint64_t left = ms < 0 ? 0 : (uint64_t)ms;
    uint64_t s = left / 1000;
    if (left < 1000) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%" PRIu64 "ms", left);
    } else if (s < 60 && left % 1000 != 0) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 "s", s, left % 1000 / 100);
    } else if (s < 60) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%" PRIu64 "s", s);
    } else if (s < 3600) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    } else if (s < 86400) {
        (void)snprintf(
            text, DURATION_TEXT_SIZE, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    } else {
        (void)snprintf(
            text, DURATION_TEXT_SIZE, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    }
    return text;
}

bool options_store(struct options *options, int id, struct store_options *store, bool *out_is_good)
{
    if (id == OPTION_URL) {
        store->url = options->value;
        return true;
    }
    if (id == OPTION_TIMEOUT) {
        if (!options_duration(options, 1, DURATION_MS_MAX, &store->timeout_ms)) {
            *out_is_good = false;
        }
        return true;
    }
    return false;
}
