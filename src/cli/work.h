/* work - `tenure work`: items of queues, each done by a command.
 *
 *     crew                     starts slots, hands signals on; only with more than one job
 *       +- slot (--jobs times) takes an item, runs the command for it, says how it went; again
 *            +- guardian       as of `tenure run`: it starts the command, and stops it in time
 *                 +- command   the body on standard input
 *
 * A slot is a process with a client of its own, and an item is run as `tenure run` runs a command
 * under a lock (run_state.h): the lease of the item is the lease of the lock. */
#ifndef TENURE_CLI_WORK_H
#define TENURE_CLI_WORK_H

#include <tenure/tenure.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/arguments.h"
#include "cli/run.h"

#define WORK_QUEUE_COUNT_MAX 32u
#define WORK_JOB_COUNT_MAX   1024u
#define WORK_REASON_SIZE     256u
/* Behind so many commands in a row that could not be executed a worker ends: a bad deployment must
 * not burn the queue. */
#define WORK_FAULT_COUNT_MAX 3u
#define WORK_IDLE_FOREVER    UINT32_MAX

struct work_options {
    const struct command *command; /* who complains */
    struct store_options store;
    const char *const *queues;
    uint32_t queue_count;
    const char *worker; /* NULL: a fresh one for each slot */
    uint32_t job_count;
    uint64_t item_count_max; /* 0: any number */
    uint32_t idle_ms;        /* end when nothing came for so long */
    uint32_t lease_ms;       /* 0: as each item says */
    uint32_t grace_ms;       /* when it is told to end: what runs may go on for so long */
    uint32_t kill_grace_ms;  /* RUN_GRACE_UNSET: a fifth of the lease */
    bool is_once;
    bool has_result; /* standard output is the result */
    bool is_verbose;
    char *const *argv; /* of the command, ends with NULL */
    char *shell_argv[4];
    int loss_number; /* descriptors of one digit that are kept for the command */
    int control_number;
};

/* What the slots of a crew share. */
struct work_share {
    _Atomic uint64_t item_count; /* so many were begun */
};

/* ------------------------------------------------------------------ the end of a run */

/* How the run of an item went. */
enum work_end_kind {
    WORK_EXITED,
    WORK_SIGNALED,
    WORK_NOT_STARTED, /* `number` is the exit code that shells give: 126, 127 */
    WORK_TIMED_OUT,   /* it was stopped because its time was over */
    WORK_CANCELLED,   /* it was stopped because somebody has cancelled the item */
    WORK_STOPPED,     /* it was stopped because the worker ends */
    WORK_LOST,        /* the lease is over, or nearly */
    WORK_UNGUARDED,   /* its guardian was killed, and so it was killed, too */
    WORK_BROKEN,      /* a fault of ours: memory, descriptors */
};

struct work_end {
    enum work_end_kind kind;
    int number;
    const char *last_error;
    /* What the command has said on its control descriptor; "" and false: nothing. */
    bool has_retry;
    uint32_t retry_ms; /* TENURE_NONE: as the backoff says */
    bool is_dead;
    const char *reason;
};

enum work_word {
    WORK_SAY_DONE,
    WORK_SAY_FAIL,
    WORK_SAY_LAPSE,   /* it counts as if the worker was lost, and the lease shall end soon */
    WORK_SAY_NOTHING, /* the lease is lost */
};

/* What is said about it. */
struct work_verdict {
    enum work_word word;
    bool is_free; /* WORK_SAY_FAIL */
    bool is_dead;
    uint32_t delay_ms;
    bool is_fault; /* the command cannot be executed, or watched: not the item's fault */
    int exit_code; /* of --once, and of a worker that ends for a fault */
    char reason[WORK_REASON_SIZE];
};

void work_judge(const struct work_end *end, struct work_verdict *out_verdict);
/* A line of the control descriptor: "progress TEXT", "retry [TIME] [REASON]", "dead [REASON]".
 * Returns the progress, or NULL; retry and dead are noted in `end`, whose reason points into
 * `reason`.  False in `*out_is_known`: it is none of them. */
const char *work_read_control(
    const char *line, struct work_end *end, char reason[WORK_REASON_SIZE], bool *out_is_known);
/* `text` as a reason: plain, in one line, and not too long. */
void work_make_plain(const char *text, char out_reason[WORK_REASON_SIZE]);

/* ------------------------------------------------------------------ processes */

/* Take and run until there is a reason to end; the exit code. */
int work_slot(const struct work_options *options, struct work_share *share);
/* As many slots as there are jobs, each a process; the exit code. */
int work_crew(const struct work_options *options, struct work_share *share);

#endif
