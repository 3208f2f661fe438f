/* cron-once - the same crontab on several hosts, and each slot of time is one host's.
 *
 *     * * * * * cron-once -p 60 nightly-report /usr/local/bin/report
 *
 * Each host's cron starts it.  The slot (here: the minute) is part of the lock's name, so that the
 * first host to come has the whole slot: the lock is kept while the command runs, and then left
 * behind until the slot is over, however early the command ends and however late another host's
 * cron comes.  At most one host runs the command; when that host dies, nobody repeats its slot.
 *
 *     cron-once [-p SECONDS] [-t TTL_MS] NAME COMMAND [ARGUMENT ...]
 *
 * The lease that is left behind lasts as long as the slot: a store on Redis must allow that
 * (?ttl-max= in its URL).
 *
 * Exit code: the command's; 0 when another host has the slot; 79 when the lock was lost while the
 * command ran, which is killed then.  The command finds the fencing token in TENURE_TOKEN. */
#include <tenure/tenure.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_LOST 79
/* Clocks of hosts differ, and cron takes its time: so long behind its end a slot stays taken. */
#define TOLERANCE_S 30

static int usage(void)
{
    fputs("usage: cron-once [-p SECONDS] [-t TTL_MS] NAME COMMAND [ARGUMENT ...]\n", stderr);
    return 64;
}

/* "nightly-report/1795249870": the name and the second at which the slot begins. */
static void compose_name(char *out_name, size_t size, const char *job, long period_s, time_t now)
{
    snprintf(out_name, size, "%s/%lld", job, (long long)(now - now % period_s));
}

static pid_t start_command(char **argv, uint64_t token)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    char text[32];
    sigset_t none;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)token);
    setenv("TENURE_TOKEN", text, 1);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "cron-once: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Until the command has ended, or the lock has.  The exit code. */
static int await_end(pid_t pid, int child_fd, int loss_fd)
{
    struct pollfd fds[] = { { .fd = child_fd, .events = POLLIN },
                            { .fd = loss_fd, .events = POLLIN } };
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct signalfd_siginfo news;
        poll(fds, 2, -1);
        if (fds[0].revents != 0 && read(child_fd, &news, sizeof(news)) < 0) break;
        if (fds[1].revents == 0) continue;
        fputs("cron-once: the lock is lost: the command is killed\n", stderr);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return EXIT_LOST;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    long period_s = 60;
    long ttl_ms = 15000;
    int letter;
    while ((letter = getopt(argc, argv, "+p:t:")) != -1) {
        if (letter == 'p') period_s = strtol(optarg, NULL, 10);
        if (letter == 't') ttl_ms = strtol(optarg, NULL, 10);
        if (letter == '?') return usage();
    }
    if (argc - optind < 2 || period_s < 1 || period_s > 80000 || ttl_ms < 100) return usage();

    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

    struct tenure_client client;
    struct tenure_error error;
    if (tenure_client_open(NULL, &client, &error) != TENURE_OK) {
        fprintf(stderr, "cron-once: %s\n", error.text);
        return tenure_err_exit_code(error.code);
    }
    char text[256];
    time_t now = time(NULL);
    compose_name(text, sizeof(text), argv[optind], period_s, now);
    const char *name = text;
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
        .ttl_ms = (uint32_t)ttl_ms,
    };
    struct tenure_hold hold;
    struct tenure_obstacle obstacle;
    enum tenure_err err = tenure_lock(client, &options, &hold, &obstacle, &error);
    if (err != TENURE_OK) {
        bool is_held = err == TENURE_HELD;
        fprintf(stderr, "cron-once: %s: %s\n", name, is_held ? obstacle.owner : error.text);
        tenure_client_close(client);
        return is_held ? 0 : tenure_err_exit_code(err);
    }
    int loss_fd;
    if (tenure_hold_fd(hold, &loss_fd) != TENURE_OK) return 71;
    pid_t pid = start_command(argv + optind + 1, tenure_hold_token(hold));
    if (pid < 0) return 71;
    int code = await_end(pid, child_fd, loss_fd);

    /* The slot stays ours until it is over: one long lease that nobody renews. */
    long left_s = (long)(now - now % period_s) + period_s + TOLERANCE_S - (long)time(NULL);
    if (left_s > 0 && tenure_hold_renew(hold, (uint32_t)left_s * 1000, &error) != TENURE_OK) {
        fprintf(stderr, "cron-once: %s\n", error.text);
    }
    tenure_hold_forget(hold);
    tenure_client_close(client);
    return code;
}
