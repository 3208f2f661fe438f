/* command - what `tenure` can do, in one table.
 *
 * Each subcommand lives in a file of its own, which defines one `const struct command command_X`.
 * From the table come the dispatch, `tenure help`, the completion of shells, and the test that
 * holds the manual pages to the usage.
 *
 * A new command: 1. its file, 2. its word in COMMAND_MAP, 3. meson.build, 4. docs/man/tenure-X.1.
 */
#ifndef TENURE_CLI_COMMAND_H
#define TENURE_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* In the order in which `tenure help` lists them. */
#define COMMAND_MAP(X)                                                                             \
    X(run)                                                                                         \
    X(acquire)                                                                                     \
    X(renew)                                                                                       \
    X(release)                                                                                     \
    X(hold)                                                                                        \
    X(ls)                                                                                          \
    X(show)                                                                                        \
    X(history)                                                                                     \
    X(watch)                                                                                       \
    X(break)                                                                                       \
    X(queue)                                                                                       \
    X(work)                                                                                        \
    X(get)                                                                                         \
    X(set)                                                                                         \
    X(cas)                                                                                         \
    X(incr)                                                                                        \
    X(del)                                                                                         \
    X(rank)                                                                                        \
    X(publish)                                                                                     \
    X(subscribe)                                                                                   \
    X(elect)                                                                                       \
    X(resign)                                                                                      \
    X(transfer)                                                                                    \
    X(server)                                                                                      \
    X(doctor)                                                                                      \
    X(bench)                                                                                       \
    X(completion)

/* One option.  `id` is what options_next() answers: its letter, or a number from 256 on for one
 * that has no letter.  A list of them ends with id 0. */
struct option_spec {
    int id;
    const char *name;     /* the long form, without dashes */
    const char *argument; /* NULL: it takes none; "[FILE]": it may take one, as --name=FILE */
    const char *help;     /* may have line breaks; NULL: a second name, not shown */
};

struct command {
    const char *name;
    const char *summary;         /* "run a command under a lock" */
    const char *const *usages;   /* what follows "tenure NAME "; ends with NULL */
    const char *const *examples; /* "tenure …", "what it does", …; ends with NULL */
    const struct option_spec *options;
    const char *notes; /* below the options; NULL: nothing */
    /* argv[0] is the command's name; the result is the exit code. */
    int (*run)(const struct command *command, int argc, char **argv);
};

#define X(name) extern const struct command command_##name;
COMMAND_MAP(X)
#undef X

/* The table; NULL behind its end. */
const struct command *command_at(size_t index);
/* NULL: there is none of this name. */
const struct command *command_find(const char *name);
/* The one that was probably meant; NULL: nothing is near. */
const struct command *command_nearest(const char *name);

/* Help on one command: examples, usage, options, notes. */
void command_help(const struct command *command, FILE *to);

/* How many letters must be added, taken away, changed or swapped to make `right` of `left`; words
 * of more than 31 bytes are 32 apart. */
unsigned word_distance(const char *left, const char *right);

/* Print "tenure NAME: …" and a line break to standard error.  The text says what is wrong, why, and
 * what to do next.  `command` may be NULL. */
__attribute__((format(printf, 2, 3))) void
complain(const struct command *command, const char *format, ...);

#endif
