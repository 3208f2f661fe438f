/* role-assignment - N roles over M processes: each role is somebody's, none is two processes'.
 *
 * A lock with as many slots as there are roles: the number of the slot that a process is granted is
 * its role.  With more processes than roles the rest wait; when a process ends or dies, its role
 * goes to the first of them.
 *
 *     role-assignment NAME ROLE...
 *
 * All processes must name the same roles in the same order.  For shards, the roles are numbers. */
#include <tenure/tenure.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TTL_MS 2000

/* The work of a role goes on here, until the lock is lost or a signal comes.  True: a signal. */
static bool play(struct tenure_hold hold, const char *role, int signal_fd)
{
    struct pollfd fds[] = { { .fd = signal_fd, .events = POLLIN }, { .events = POLLIN } };
    if (tenure_hold_fd(hold, &fds[1].fd) != TENURE_OK) return true;
    printf("playing %s %llu\n", role, (unsigned long long)tenure_hold_token(hold));
    fflush(stdout);
    poll(fds, 2, -1);
    close(fds[1].fd);
    printf("leaving %s\n", role);
    fflush(stdout);
    struct signalfd_siginfo news;
    return fds[0].revents != 0 && read(signal_fd, &news, sizeof(news)) > 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: role-assignment NAME ROLE...\n", stderr);
        return 64;
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);

    struct tenure_client client;
    struct tenure_error error;
    if (tenure_client_open(NULL, &client, &error) != TENURE_OK) {
        fprintf(stderr, "role-assignment: %s\n", error.text);
        return tenure_err_exit_code(error.code);
    }
    const char *name = argv[1];
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
        .slots = (uint32_t)(argc - 2),
        .ttl_ms = TTL_MS,
        .wait_ms = TENURE_WAIT_FOREVER,
    };
    bool is_ending = false;
    enum tenure_err err = TENURE_OK;
    while (!is_ending && err == TENURE_OK) {
        struct tenure_hold hold;
        struct tenure_hold_name granted;
        /* A signal ends the process here: it has no role yet. */
        err = tenure_lock(client, &options, &hold, NULL, &error);
        if (err != TENURE_OK) break;
        sigprocmask(SIG_BLOCK, &ends, NULL);
        int signal_fd = signalfd(-1, &ends, SFD_CLOEXEC);
        err = tenure_hold_name(hold, 0, &granted);
        if (err == TENURE_OK) is_ending = play(hold, argv[2 + granted.slot], signal_fd);
        (void)!tenure_hold_release(hold, NULL);
        close(signal_fd);
        sigprocmask(SIG_UNBLOCK, &ends, NULL);
    }
    if (err != TENURE_OK) fprintf(stderr, "role-assignment: %s\n", error.text);
    tenure_client_close(client);
    return tenure_err_exit_code(err);
}
