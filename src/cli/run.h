/* run - a command under a lock.
 *
 *     tenure run (this process)        obtains the lock, renews it (on the library's thread),
 *        |                             forwards signals, minds the terminal, releases, exits
 *        +- guardian                   starts the command, and stops it in time: guardian.h
 *              +- command              in a process group of its own
 *
 * The runner never stops the command on account of the lease: it publishes how long the lease is
 * good, on a page that it shares with the guardian, and the guardian compares clocks. */
#ifndef TENURE_CLI_RUN_H
#define TENURE_CLI_RUN_H

#include <tenure/client.h>

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"

/* Exit codes beside those of sysexits(3). */
#define EXIT_NOT_OBTAINED   75
#define EXIT_LOST           79
#define EXIT_MAX_HOLD       124 /* as timeout(1) */
#define EXIT_NOT_EXECUTABLE 126 /* as shells and env(1) */
#define EXIT_NOT_FOUND      127

#define RUN_NAME_COUNT_MAX  32u
#define RUN_LABEL_COUNT_MAX 32u
#define RUN_NAMES_SIZE      (RUN_NAME_COUNT_MAX * 256u)
#define RUN_WAIT_FOREVER    UINT32_MAX
#define RUN_GRACE_UNSET     UINT32_MAX

/* What becomes of the command when the lease runs out. */
enum run_on_lost {
    RUN_LOST_KILL, /* TERM, and KILL before the lease is over */
    RUN_LOST_TERM, /* TERM only */
    RUN_LOST_WARN, /* nothing but words */
    RUN_LOST_EXEC, /* a command of the user's in the place of TERM, then KILL */
};

struct run_options {
    const struct command *command; /* who complains */
    struct store_options store;
    const char *names[RUN_NAME_COUNT_MAX];
    uint32_t name_count;
    char name_text[RUN_NAMES_SIZE]; /* what `names` point into */
    const char *name_list;          /* as it was given, with commas */
    bool is_shared;
    uint32_t slots; /* 0: a plain lock */
    uint32_t wait_ms;
    uint32_t priority;
    uint32_t ttl_ms;
    bool is_unlimited; /* no ttl: until released, whoever dies */
    enum tenure_safety min_safety;
    uint32_t max_hold_ms; /* 0: none */
    uint32_t grace_ms;
    uint32_t margin_ms; /* the KILL comes so long before the end of the lease */
    enum run_on_lost on_lost;
    const char *lost_hook; /* RUN_LOST_EXEC */
    int lost_exit_code;
    int conflict_exit_code; /* not obtained; -1: as it is usual */
    bool is_closing;        /* -o */
    bool is_verbose;
    bool is_quiet;
    bool is_showing_arguments;
    const char *labels[RUN_LABEL_COUNT_MAX]; /* "key=value" */
    uint32_t label_count;
    bool is_reporting;       /* --json */
    const char *report_path; /* NULL: standard error; a number: that descriptor */
    const char *value;       /* of an election: the meta as it is; NULL: a run describes itself */
    char *const *argv;       /* of the command, ends with NULL */
    char *shell_argv[4];     /* what argv points to with -c */
};

/* Read the words of a command line.  False: `*out_exit_code` says how to end. */
bool run_options_read(
    const struct command *command,
    int argc,
    char **argv,
    struct run_options *out_options,
    int *out_exit_code);
/* As they are before any word was read. */
void run_options_init(struct run_options *options, const struct command *command);
/* Split `list` at its commas into the names.  False: complained. */
bool run_options_names(struct run_options *options, const char *list);
/* The class behind --min-safety, the option that came last.  False: complained. */
bool run_options_safety(const struct options *words, enum tenure_safety *out_safety);
#define OPTION_SPEC_MIN_SAFETY(id)                                                                 \
    {                                                                                              \
        (id), "min-safety", "CLASS", "fail unless the store promises that: quorum, ..."            \
    }
/* Settle what depends on more than one option: the grace and the margin.  False: complained. */
bool run_options_settle(struct run_options *options);

/* Obtain, run, release; the exit code.  `options` are settled. */
int run_under_lock(const struct run_options *options);

#endif
