/* report - what happened in a run, as one line of JSON (--json). */
#ifndef TENURE_CLI_REPORT_H
#define TENURE_CLI_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/run.h"

/* How a run went; its words are part of the interface. */
#define RUN_OUTCOME_MAP(X)                                                                         \
    X(DONE, "done")                 /* the command ran to its end under the lock */                \
    X(NOT_OBTAINED, "not_obtained") /* the command was not started */                              \
    X(LOST, "lost")                 /* the lock was lost while the command ran */                  \
    X(MAX_HOLD, "max_hold")         /* it was stopped because it took too long */                  \
    X(NOT_STARTED, "not_started")   /* the command cannot be executed */                           \
    X(INTERRUPTED, "interrupted")   /* a signal ended the wait */                                  \
    X(FAILED, "failed")             /* an error before the start, or inside */

enum run_outcome {
#define X(name, word) RUN_##name,
    RUN_OUTCOME_MAP(X)
#undef X
};

struct report {
    enum run_outcome outcome;
    int exit_code;
    const char *owner;  /* NULL: there is none */
    const char *tokens; /* with commas; NULL: never granted */
    const char *slots;
    int64_t waited_ms;
    int64_t held_ms; /* -1: never */
    int pid;         /* of the command; 0: never started */
    int wait_status; /* as of waitpid(2), when `is_exited` */
    bool is_exited;
    const char *cause; /* why the command was told to stop; NULL: it was not */
    const char *loss;  /* NULL: not lost */
    const char *end;   /* how the hold ended; NULL: unknown */
    const char *error; /* NULL: none */
    /* Its guardian was killed, and so it was killed, too; not part of the line. */
    bool is_unguarded;
};

/* Where the line goes, opened before anything else happens.  False: complained. */
bool report_open(const struct run_options *options, int *out_fd);
/* Write the line, in one piece.  False: complained. */
bool report_write(const struct run_options *options, const struct report *report, int fd);
void report_close(const struct run_options *options, int fd);

#endif
