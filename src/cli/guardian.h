/* guardian - a small process between the runner and the command, which stops the command in time.
 *
 * The runner may be stopped (SIGSTOP, ^Z), killed, or stuck; the command must still be gone before
 * the store can grant the lock to somebody else.  So the one who kills is a process of its own: it
 * has one thread, opens no connection, and reads from a page that it shares with the runner how
 * long the lease is good (timeline.h has the rules).
 *
 *   - It is the parent of the command and adopts its orphans (PR_SET_CHILD_SUBREAPER): it learns of
 *     every end, and as long as it has not reaped, the number of the group belongs to nobody else:
 *     the wrong process is never hit.  At a KILL, what has left the group is found among its
 *     children and killed, too.
 *   - It is in a process group of its own, with every signal blocked: neither ^C nor a kill of the
 *     command's or the runner's group reaches it.  It stays in the session, because a command whose
 *     parent is in another session could not be stopped with ^Z (its group would be orphaned).
 *   - The runner dies: nobody renews any more, so the command gets TERM at once, and KILL after the
 *     grace or before the end of the lease.
 *   - The guardian dies: the kernel kills the command (PR_SET_PDEATHSIG), and the runner, which
 *     adopts what is left, kills the group.  The death signal alone would not do: it reaches only
 *     the command itself, not what it has started, comes at once and without TERM, and knows no
 *     lease.
 *   - The command's group is gone: it says so on the page, and ends.
 *
 * What it cannot do: act while it is frozen itself (a cgroup freezer or a suspended machine stops
 * everything at once; at the thaw it kills before anything else can be trusted), or signal
 * processes of another user (a command that runs sudo).  There, the fencing token is what protects.
 */
#ifndef TENURE_CLI_GUARDIAN_H
#define TENURE_CLI_GUARDIAN_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/timeline.h"

/* The page.  One side writes a field, the other reads it. */
struct leash {
    /* The runner's. */
    _Atomic int64_t valid_until_ns; /* CLOCK_BOOTTIME; TIME_NEVER: no end */
    /* The guardian's.  After each change it pokes the runner: a byte on the socket. */
    _Atomic int pid;         /* of the command, and of its group; 0: not yet */
    _Atomic int start_errno; /* the command could not be executed */
    _Atomic bool is_started; /* it could */
    _Atomic int stop_signal; /* that has stopped the command; 0: it runs */
    _Atomic unsigned stops;  /* how often it has been stopped */
    _Atomic bool is_exited;
    _Atomic int wait_status;    /* as of waitpid(2), when it has exited */
    _Atomic int cause;          /* enum stop_cause */
    _Atomic bool is_killed;     /* KILL was sent */
    _Atomic int64_t gone_at_ns; /* when its whole group was gone; 0: it is not */
};

/* Bytes on the socket from the runner: a signal to forward to the group, or one of these. */
#define GUARDIAN_LOOK 0   /* the page has changed */
#define GUARDIAN_KILL 255 /* kill the group now */

/* What the guardian needs to know; all pointers are valid until it has been started. */
struct guardian_plan {
    struct timeline_policy policy;
    int64_t max_hold_at_ns;
    const char *lost_hook; /* in the place of TERM; NULL: none */
    char *const *hook_envp;
    char *hook_pid;  /* where hook_envp has room for a number: that of the command */
    bool is_closing; /* it is over when the command itself has ended */
    char *const *argv;
    char *const *envp;
    const sigset_t *mask; /* the command's */
    bool is_chld_ignored; /* SIGCHLD was when we were started, and is for the command */
    int tty_fd;           /* the terminal to hand over to the command; -1: none */
    pid_t tty_group;      /* from whom */
    int loss_fds[2];      /* the pipe that closes on loss; the command gets its end as the number
                           * that it has here; -1: none */
    int standard_fds[3];  /* what the command gets as these, all above 2; -1: what we have */
    int control_fd;       /* one more that it gets as the number that it has; -1: none */
    struct leash *leash;
};

struct guardian {
    pid_t pid;
    int socket; /* EOF: it has ended */
    struct leash *leash;
};

/* A page for both, zeroed.  NULL: there is no memory. */
struct leash *leash_create(void);
/* When nobody uses it any more; accepts NULL. */
void leash_destroy(struct leash *leash);

/* Fork the guardian, which starts the command.  All signals that the caller handles are blocked.
 * False: errno says why; nothing was started. */
bool guardian_start(const struct guardian_plan *plan, struct guardian *out_guardian);
/* Say something; lost when the guardian is not there. */
void guardian_tell(const struct guardian *guardian, unsigned char byte);

/* CLOCK_BOOTTIME. */
int64_t boottime_ns(void);

#endif
