/* singleton-service - a service that must run exactly once, wherever.
 *
 * Start it on as many hosts as you like.  One of them serves; the others wait, without asking again
 * and again: the lock is handed to the first of them as soon as the holder gives it back, and at
 * the latest when the lease of a holder that died is over.
 *
 *     singleton-service NAME [TTL_MS]           (3000: restarted elsewhere within three seconds)
 *
 * SIGTERM ends it: the work stops, then the lock is given back, so that the next one begins. */
#include <tenure/tenure.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The service itself: one step of its work.  What it writes to should get the token too, and refuse
 * a lower one than it has seen: that is right whatever clocks and pauses do. */
static void work(uint64_t token, unsigned step)
{
    printf("working %llu %u\n", (unsigned long long)token, step);
    fflush(stdout);
}

/* Serve while the lock is ours.  True: SIGTERM or SIGINT has come. */
static bool serve(struct tenure_hold hold, int signal_fd)
{
    struct pollfd fds[] = { { .fd = signal_fd, .events = POLLIN }, { .events = POLLIN } };
    if (tenure_hold_fd(hold, &fds[1].fd) != TENURE_OK) return true;
    uint64_t token = tenure_hold_token(hold);
    for (unsigned step = 1; tenure_hold_valid(hold); step++) {
        work(token, step);
        /* Until the next step is due, we are told to end, or the lock is lost. */
        if (poll(fds, 2, 100) > 0) break;
    }
    close(fds[1].fd);
    return fds[0].revents != 0;
}

/* The outcome of an acquire comes on the client's thread; a pipe takes it to ours, which can wait
 * for a signal at the same time. */
struct outcome {
    enum tenure_err err;
    struct tenure_hold hold;
};

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    const int *fd = user;
    struct outcome outcome = { err, hold };
    (void)obstacle;
    (void)error;
    if (write(*fd, &outcome, sizeof(outcome)) != sizeof(outcome)) abort();
}

int main(int argc, char **argv)
{
    int pipe_fds[2];
    sigset_t ends;
    if (argc < 2 || pipe(pipe_fds) != 0) {
        fputs("usage: singleton-service NAME [TTL_MS]\n", stderr);
        return 64;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int signal_fd = signalfd(-1, &ends, SFD_CLOEXEC);

    struct tenure_client client;
    struct tenure_error error;
    if (tenure_client_open(NULL, &client, &error) != TENURE_OK) {
        fprintf(stderr, "singleton-service: %s\n", error.text);
        return tenure_err_exit_code(error.code);
    }
    const char *name = argv[1];
    struct tenure_lock_options options = {
        .size = sizeof(options),
        .names = &name,
        .name_count = 1,
        .ttl_ms = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 3000,
        .wait_ms = TENURE_WAIT_FOREVER,
    };
    bool is_ending = false;
    int code = 0;
    while (!is_ending) {
        struct outcome outcome;
        struct pollfd fds[] = { { .fd = signal_fd, .events = POLLIN },
                                { .fd = pipe_fds[0], .events = POLLIN } };
        if (tenure_lock_start(client, &options, on_acquired, &pipe_fds[1], NULL, &error) !=
            TENURE_OK) {
            fprintf(stderr, "singleton-service: %s\n", error.text);
            code = tenure_err_exit_code(error.code);
            break;
        }
        puts("waiting");
        fflush(stdout);
        poll(fds, 2, -1);
        if (fds[1].revents == 0) break; /* closing the client ends the wait */
        if (read(pipe_fds[0], &outcome, sizeof(outcome)) != sizeof(outcome)) break;
        if (outcome.err == TENURE_OK) {
            is_ending = serve(outcome.hold, signal_fd);
            puts(is_ending ? "stopped" : "lost");
            fflush(stdout);
            /* The work has stopped: give it to the next one, or hear that it has gone already. */
            (void)!tenure_hold_release(outcome.hold, NULL);
        } else if (poll(fds, 1, 1000) > 0) {
            break; /* no server just now: a moment, and again */
        }
    }
    tenure_client_close(client);
    return code;
}
