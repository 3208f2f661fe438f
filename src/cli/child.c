#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/run.h"

static void restore_signals(const struct guardian_plan *plan)
{
    if (plan->is_chld_ignored) (void)signal(SIGCHLD, SIG_IGN);
    (void)pthread_sigmask(SIG_SETMASK, plan->mask, NULL);
}

/* Die with the guardian; see guardian.h. */
static void arm_death_signal(const struct guardian_plan *plan, pid_t guardian_pid)
{
    if (!plan->policy.is_telling) return;
    (void)prctl(PR_SET_PDEATHSIG, plan->policy.is_killing ? SIGKILL : SIGTERM);
    if (getppid() != guardian_pid) _exit(EXIT_LOST);
}

void child_become(const struct guardian_plan *plan, pid_t guardian_pid, int error_fd)
{
    arm_death_signal(plan, guardian_pid);
    (void)setpgid(0, 0);
    /* SIGTTOU is still blocked, so that a process in the background may do this; but not when the
     * shell has taken the terminal back in between. */
    bool is_lent = plan->tty_fd >= 0 && tcgetpgrp(plan->tty_fd) == plan->tty_group;
    if (is_lent) (void)tcsetpgrp(plan->tty_fd, getpid());
    if (plan->loss_fds[0] >= 0) (void)fcntl(plan->loss_fds[0], F_SETFD, 0);
    if (plan->control_fd >= 0) (void)fcntl(plan->control_fd, F_SETFD, 0);
    for (int i = 0; i < 3; i++) {
        if (plan->standard_fds[i] >= 0) (void)dup2(plan->standard_fds[i], i);
    }
    restore_signals(plan);
    (void)execvpe(plan->argv[0], plan->argv, plan->envp);
    int error = errno;
    ssize_t written = write(error_fd, &error, sizeof(error));
    (void)written;
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* By hand: printf is not async-signal-safe. */
static void format_pid(char *to, pid_t pid)
{
    char digits[16];
    size_t count = 0;
    unsigned rest = (unsigned)pid;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    *to = '\0';
}

void child_become_hook(const struct guardian_plan *plan, pid_t command)
{
    (void)setpgid(0, 0);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    restore_signals(plan);
    format_pid(plan->hook_pid, command);
    (void)execle("/bin/sh", "sh", "-c", plan->lost_hook, (char *)NULL, plan->hook_envp);
    _exit(EXIT_NOT_FOUND);
}
