/* tty - lending the terminal to the command, as a shell does it for a job.
 *
 * A terminal has one foreground group: it gets ^C, and it may read.  The command is a group of its
 * own, so somebody must make it the foreground one: at the start, when the runner has the terminal
 * to itself (it leads the shell's foreground job, and is no part of a pipeline), otherwise when the
 * command asks for it (stops by SIGTTIN or SIGTTOU).  In a pipeline the others would lose it, and
 * in a script the shell would not get ^C; there the runner's group keeps it, and the runner
 * forwards.
 *
 * SIGTTOU is blocked in the runner, so that it may set the foreground group from the background. */
#ifndef TENURE_CLI_TTY_H
#define TENURE_CLI_TTY_H

#include <stdbool.h>
#include <sys/types.h>

struct tty {
    int fd;     /* -1: there is no controlling terminal */
    pid_t self; /* our group */
    bool is_lent;
};

void tty_open(struct tty *tty);
void tty_close(struct tty *tty);
/* Is our group in the foreground? */
bool tty_is_ours(const struct tty *tty);
/* Shall a command have it from the start? */
bool tty_is_to_lend(const struct tty *tty);
/* Make `group` the foreground group. */
void tty_lend(struct tty *tty, pid_t group);
/* Make ours the foreground group again, unless somebody else has taken it from `group`. */
void tty_take_back(struct tty *tty, pid_t group);

#endif
