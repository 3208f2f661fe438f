/* run_state - what the parts of a run share: obtain.c, supervise.c, run.c. */
#ifndef TENURE_CLI_RUN_STATE_H
#define TENURE_CLI_RUN_STATE_H

#include <tenure/tenure.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/guardian.h"
#include "cli/meta.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/tty.h"
#include "cli/waiting.h"

#define NUMBERS_SIZE (RUN_NAME_COUNT_MAX * 21u)
#define TIMEOUT_MS   5000u

/* What the library's thread leaves for ours; `is_done` is set last. */
struct acquisition {
    _Atomic bool is_done;
    enum tenure_err err;
    struct tenure_hold hold;
    struct tenure_obstacle obstacle;
    struct tenure_error error;
};

struct release {
    _Atomic bool is_done;
    enum tenure_err err;
    enum tenure_end end;
};

/* What is different when the command does an item of a queue. */
#define RUN_JOB_FDS_MAX 3
struct pollfd;
struct run;
struct run_job {
    const struct tenure_item *item;
    int standard_fds[3]; /* for the command; -1: ours */
    int control_fd;      /* likewise; -1: none */
    int64_t stop_at_ns;  /* it must be over by then; TIME_NEVER */
    /* The command has its descriptors, or will never have them: close them. */
    void (*started)(struct run *run);
    /* What else to wait for; how many, RUN_JOB_FDS_MAX at most. */
    unsigned (*fill)(struct run *run, struct pollfd *out_fds);
    /* Something has happened, or nothing for a while. */
    void (*look)(struct run *run);
    /* A signal came; it is not forwarded. */
    void (*signaled)(struct run *run, int number);
};

struct run {
    const struct run_options *options;
    struct run_job *job; /* NULL: a command under a lock */
    struct signals signals;
    struct tty tty;
    int wake_fd; /* an eventfd: the library's thread has something for ours */
    int report_fd;
    int loss_fds[2]; /* the pipe behind TENURE_FD; -1: none, or handed over */
    struct tenure_client client;
    struct waiting *waiting;
    struct acquisition acquisition;
    struct release release;
    struct leash *leash;
    struct guardian guardian;
    int64_t granted_at_ns;
    int die_of;            /* end by this signal; 0: by an exit code */
    unsigned term_count;   /* of SIGTERM, while the command runs */
    int signal_of_tty;     /* the last one that the terminal has sent to us */
    unsigned stops_seen;   /* of leash->stops */
    bool has_been_at_risk; /* said so */
    bool has_stood_in;     /* killed for a lease that ran out, in the place of the guardian */
    struct report report;
    char owner[OWNER_SIZE];
    char meta[META_SIZE];
    char url[2048];
    char tokens[NUMBERS_SIZE];
    char slots[NUMBERS_SIZE];
};

/* Get the lock.  False: it was not obtained; said so, and in the report. */
bool obtain(struct run *run);
/* Give it back, and wait for the answer as long as that makes sense. */
void give_back(struct run *run);

/* Start the command, wait for its end; the report says how it went.  The lock is held. */
void supervise(struct run *run);

/* Empty the eventfd. */
void drain_wake(const struct run *run);
/* Note an error before the start, in the report. */
void note_failure(struct run *run, enum run_outcome outcome, int exit_code);

#endif
