/* queue - `tenure queue`: a command with commands of its own, in one table.
 *
 * A new one: 1. its word in QUEUE_MAP, 2. a `const struct command queue_X` in one of queue_*.c,
 * with the name "queue X", 3. docs/man/tenure-queue.1. */
#ifndef TENURE_CLI_QUEUE_H
#define TENURE_CLI_QUEUE_H

#include <tenure/tenure.h>

#include "cli/arguments.h"
#include "cli/out.h"

/* In the order in which `tenure help queue` lists them. */
#define QUEUE_MAP(X)                                                                               \
    X(put)                                                                                         \
    X(take)                                                                                        \
    X(done)                                                                                        \
    X(fail)                                                                                        \
    X(extend)                                                                                      \
    X(wait)                                                                                        \
    X(ls)                                                                                          \
    X(peek)                                                                                        \
    X(stat)                                                                                        \
    X(kick)                                                                                        \
    X(cancel)                                                                                      \
    X(redrive)                                                                                     \
    X(purge)                                                                                       \
    X(pause)                                                                                       \
    X(resume)                                                                                      \
    X(limit)                                                                                       \
    X(schedule)

#define X(name) extern const struct command queue_##name;
QUEUE_MAP(X)
#undef X

/* The table; NULL behind its end. */
const struct command *queue_command_at(size_t index);
/* NULL: there is none of this name ("put"). */
const struct command *queue_command_find(const char *name);

/* ------------------------------------------------------------------ for queue_*.c */

/* A number of 32 bits.  False: complained. */
bool queue_number(struct options *options, uint32_t least, uint32_t most, uint32_t *out_number);
/* The state behind an option, or a word.  False: complained. */
bool queue_state(
    const struct command *command, const char *word, enum tenure_item_state *out_state);
/* Open the client, when arguments_end() was content.  False: complained; `*out_exit_code`. */
bool queue_open(
    const struct arguments *arguments, struct tenure_client *out_client, int *out_exit_code);
/* Close it, and say how it went; the exit code. */
int queue_close(
    const struct arguments *arguments,
    struct tenure_client client,
    enum tenure_err err,
    const struct tenure_error *error);

/* What is to be read: a file, "-" for standard input.  Grows by itself. */
struct queue_bytes {
    char *data; /* NULL: nothing; free() it */
    size_t size;
};
/* At most `size_max` bytes.  False: complained. */
bool queue_read(
    const struct command *command,
    const char *path,
    size_t size_max,
    struct queue_bytes *out_bytes);

/* An item for programs, as one line of JSON: with its body and result where they are there. */
void queue_print_item_json(const struct tenure_item *item);
/* For people, several lines. */
void queue_print_item(const struct tenure_item *item);

/* Wait for the end of an item and print its result; the exit code. */
#define QUEUE_EXIT_NOT_DONE 1 /* dead or cancelled */
int queue_await(
    const struct arguments *arguments,
    struct tenure_client client,
    const struct tenure_await_options *options);

/* The name of a queue and an id: from words, else from the environment of a worker.  False:
 * complained. */
bool queue_claim(
    const struct arguments *arguments, const char *token, struct tenure_item_claim *out_claim);

#endif
