/* waiting - who is in the way, told to who waits: one line of standard error, written over on a
 * terminal every two seconds and erased at the end; elsewhere a line when something has changed.
 *
 * A thread of its own asks the store, since asking blocks.  Its first question also tells whether
 * there is a store at all: a wait itself has no reason to end when nobody answers. */
#ifndef TENURE_CLI_WAITING_H
#define TENURE_CLI_WAITING_H

#include <tenure/tenure.h>

#include "cli/command.h"
#include "cli/text.h"

#define WAITING_LINE_SIZE 1024u

/* What a line is made of. */
struct waiting_facts {
    const char *name;
    const char *owner; /* NULL: nobody holds it */
    const char *meta;
    int64_t held_for_ms;   /* -1: unknown */
    int64_t lock_delay_ms; /* 0: none runs */
    uint32_t hold_count;
    uint32_t position; /* 0: unknown */
    bool is_silent;    /* the store does not answer any more: nothing is known */
};
void waiting_compose(const struct waiting_facts *facts, struct text *out_line);

struct waiting;
/* Begin to look after `name`, for `owner`, who waits.  `wake_fd`, an eventfd, is written to when
 * there is news.  `is_shown`: ask again and again; otherwise only until the store has answered
 * once. NULL: there are not the means; the wait goes on without words. */
struct waiting_options {
    const struct command *command; /* who speaks */
    struct tenure_client client;
    const char *name;
    const char *owner;
    bool is_shown;
    int wake_fd;
};
struct waiting *waiting_start(const struct waiting_options *options);
/* Print what is new.  `is_terminal`: over the last line, in `columns`. */
void waiting_show(struct waiting *waiting, bool is_terminal, size_t columns);
/* Has the store failed to answer the first question?  Then why. */
bool waiting_is_in_vain(
    struct waiting *waiting, enum tenure_err *out_err, struct tenure_error *out);
/* Ask no more, and erase the line; the thread ends when its question is answered. */
void waiting_stop(struct waiting *waiting, bool is_terminal);
/* Wait for the thread, after the client was closed. */
void waiting_destroy(struct waiting **waiting);

#endif
