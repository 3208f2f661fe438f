/* meta - what a run tells those who ask who holds the lock: JSON, written and read.
 *
 *     {"cmd":"./deploy.sh","host":"web1","pid":812,"user":"alice","kill_grace_ms":3000,
 *      "labels":{"team":"web"}}
 *
 * Anybody who can look at the lock can read it.  Arguments often hold secrets, so `cmd` is the
 * command's first word only; --show-args asks for all of them. */
#ifndef TENURE_CLI_META_H
#define TENURE_CLI_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/text.h"

#define META_SIZE  4097u
#define OWNER_SIZE 256u

struct meta {
    char *const *argv; /* of the command; NULL: there is none */
    bool is_shell;     /* it is a shell with -c */
    bool is_showing_arguments;
    uint32_t kill_grace_ms;    /* what the command is given to end by itself; 0: it is not said */
    const char *const *labels; /* "key=value" */
    size_t label_count;
};

/* False: it does not fit; the labels are too long. */
bool meta_compose(const struct meta *meta, char out_text[META_SIZE]);
/* What somebody else has written, for a terminal: "make deploy, team=web"; what is not of this form
 * comes as it is.  It may be cut off anywhere. */
void meta_describe(const char *meta, struct text *out_text);

/* The `kill_grace_ms` in what somebody else has written; of a number too large for the type some
 * large number.  False: it is not there. */
bool meta_kill_grace(const char *meta, uint64_t *out_ms);

/* A fresh identity for one hold: "user@host:pid#random". */
void owner_compose(char out_owner[OWNER_SIZE]);

#endif
