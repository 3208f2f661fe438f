/* arguments - the words of a command that stands for itself: options and names in any order.
 *
 *     struct arguments arguments;
 *     arguments_init(&arguments, command, argc, argv);
 *     int id;
 *     while ((id = arguments_next(&arguments)) > 0) { … the command's own options … }
 *     int code;
 *     if (!arguments_end(&arguments, id, 1, 1, "which lock?", &code)) return code;
 *
 * What OPTIONS_STORE and OPTIONS_JSON mean is done here. */
#ifndef TENURE_CLI_ARGUMENTS_H
#define TENURE_CLI_ARGUMENTS_H

#include "cli/options.h"

#define ARGUMENT_WORDS_MAX 34u

enum { OPTION_JSON_LINES = 280 };

#define OPTIONS_JSON                                                                               \
    {                                                                                              \
        OPTION_JSON_LINES, "json", NULL, "lines of JSON, for programs"                             \
    }

struct arguments {
    const struct command *command;
    struct options options;
    struct store_options store;
    bool is_json;
    bool has_command; /* set it: what stands behind "--" is a command, no words */
    const char *words[ARGUMENT_WORDS_MAX]; /* NULL behind the last one */
    unsigned word_count;                   /* more than ARGUMENT_WORDS_MAX: so many were given */
    char **rest;                           /* behind "--", ends with NULL; NULL: there is no "--" */
};

void arguments_init(
    struct arguments *arguments, const struct command *command, int argc, char **argv);
/* The next option of the command's own, or OPTIONS_…. */
int arguments_next(struct arguments *arguments);
/* Is all well, and the count of words too?  `id` is what arguments_next() answered last; `question`
 * is asked when there are too few.  False: complained; `*out_exit_code` says how to end. */
bool arguments_end(
    const struct arguments *arguments,
    int id,
    unsigned least,
    unsigned most,
    const char *question,
    int *out_exit_code);

#endif
