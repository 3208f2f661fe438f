/* options - the words behind a command: getopt_long(3) driven by a table, and the values.
 *
 *     struct options options;
 *     options_init(&options, command, argc, argv);
 *     int id;
 *     while ((id = options_next(&options)) > 0) {
 *         switch (id) {
 *         case 'w':
 *             if (!options_duration(&options, 0, DURATION_MS_MAX, &wait_ms)) return EX_USAGE;
 *             break;
 *         …
 *         }
 *     }
 *     if (id != OPTIONS_END) return options_exit_code(id);
 *     … options.argv[options.index …] are the words that are no options
 *
 * Options stop at the first word that is none ("+" of getopt), so that those of another command
 * behind it are left alone.  What is wrong is said on standard error by these functions. */
#ifndef TENURE_CLI_OPTIONS_H
#define TENURE_CLI_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/command.h"

#define OPTIONS_END  0
#define OPTIONS_HELP (-1) /* --help: it has been printed */
#define OPTIONS_BAD  (-2) /* it has been complained about */

#define OPTION_COUNT_MAX 48u

struct options {
    const struct command *command;
    int argc;
    char **argv;
    int index;         /* of the first word that is no option, when OPTIONS_END has come */
    const char *value; /* of the option that came last; NULL: it has none */
    const struct option_spec *spec; /* of the option that came last */
    char letters[2 * OPTION_COUNT_MAX + 8];
    struct option longs[OPTION_COUNT_MAX + 1];
};

void options_init(struct options *options, const struct command *command, int argc, char **argv);
/* The next option's id, or OPTIONS_…. */
int options_next(struct options *options);
/* The exit code that OPTIONS_HELP and OPTIONS_BAD mean. */
int options_exit_code(int id);

/* Values of the option that came last.  False: complained; the out parameter is as it was.
 *
 * A duration: a plain number is seconds, as in flock(1); "1.5", "500ms", "90s", "2m", "1h", "1d".
 */
#define DURATION_MS_MAX 0x7fffffffu
bool options_duration(
    struct options *options, uint32_t least_ms, uint32_t most_ms, uint32_t *out_ms);
bool options_number(struct options *options, uint64_t least, uint64_t most, uint64_t *out_number);

/* The same without an option and without a complaint. */
bool duration_parse(const char *text, uint64_t *out_ms);
bool number_parse(const char *text, uint64_t *out_number);
/* "1.5s", "250ms", "2m", "1h30m": for people.  Returns `text`. */
#define DURATION_TEXT_SIZE 32u
const char *duration_format(int64_t ms, char text[DURATION_TEXT_SIZE]);

/* Ids of options without a letter; commands number their own from OPTION_OWN on. */
enum { OPTION_URL = 256, OPTION_TIMEOUT, OPTION_OWN = 300 };

/* What every command that speaks with a store takes. */
#define OPTIONS_STORE                                                                              \
    { OPTION_URL, "url", "URL", "the store; else $TENURE_URL, else port 7420 here" },              \
        { OPTION_TIMEOUT, "timeout", "TIME", "how long the store may take to answer (5 s)" },      \
    {                                                                                              \
        'h', "help", NULL, "this text"                                                             \
    }

struct store_options {
    const char *url;     /* NULL: of the environment */
    uint32_t timeout_ms; /* 0: the library's */
};
/* Is `id` one of OPTIONS_STORE?  Then it is stored.  `out_is_good` is false when its value is bad
 * (complained) and untouched otherwise. */
bool options_store(struct options *options, int id, struct store_options *store, bool *out_is_good);

#endif
