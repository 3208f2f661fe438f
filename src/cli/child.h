/* child - the last steps before the command is executed, in its own process.
 *
 * It was forked from a process with threads: only async-signal-safe calls are allowed. */
#ifndef TENURE_CLI_CHILD_H
#define TENURE_CLI_CHILD_H

#include "cli/guardian.h"

/* Become the command.  What fails is written to `error_fd` as an int (errno). */
__attribute__((noreturn)) void
child_become(const struct guardian_plan *plan, pid_t guardian_pid, int error_fd);

/* Become the hook of --on-lost=exec, with the command's group in TENURE_PID. */
__attribute__((noreturn)) void child_become_hook(const struct guardian_plan *plan, pid_t command);

#endif
