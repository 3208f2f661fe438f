/* work_crew - several slots side by side, each a process in a group of its own: ^C comes to the
 * crew alone, which hands signals on one by one. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/guardian.h"
#include "cli/signals.h"
#include "cli/work.h"

#define NS_PER_MS  INT64_C(1000000)
#define RESTART_NS (1000 * NS_PER_MS) /* before a slot that was killed is replaced */

struct place {
    pid_t pid;           /* 0: nobody */
    int64_t start_at_ns; /* TIME_NEVER: it is over */
};

struct crew {
    const struct work_options *options;
    struct work_share *share;
    struct signals signals;
    sigset_t mask; /* as it was at the start */
    int child_fd;
    pid_t self;
    unsigned stop_count; /* signals that were handed on */
    int exit_code;
    struct place *places;
};

static void start_slot(struct crew *crew, struct place *place)
{
    pid_t pid = fork();
    if (pid == 0) {
        /* Whatever becomes of the crew, a slot ends well. */
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)setpgid(0, 0);
        (void)pthread_sigmask(SIG_SETMASK, &crew->mask, NULL);
        if (getppid() != crew->self) _exit(EX_OK);
        signals_close(&crew->signals);
        (void)close(crew->child_fd);
        _exit(work_slot(crew->options, crew->share));
    }
    if (pid < 0) {
        complain(crew->options->command, "cannot start a process: %s", strerrordesc_np(errno));
        place->start_at_ns = boottime_ns() + RESTART_NS;
        return;
    }
    (void)setpgid(pid, pid);
    place->pid = pid;
}

static void tell_slots(const struct crew *crew, int number)
{
    for (uint32_t i = 0; i < crew->options->job_count; i++) {
        if (crew->places[i].pid > 0) (void)kill(crew->places[i].pid, number);
    }
}

static void stop(struct crew *crew)
{
    crew->stop_count++;
    tell_slots(crew, SIGTERM);
}

/* A slot has ended.  One that was killed is replaced; one that cannot work ends the crew. */
static void note_end(struct crew *crew, struct place *place, int status)
{
    place->pid = 0;
    place->start_at_ns = TIME_NEVER;
    if (WIFSIGNALED(status)) {
        complain(crew->options->command, "a slot was killed by signal %d", WTERMSIG(status));
        place->start_at_ns = boottime_ns() + RESTART_NS;
        return;
    }
    int code = WEXITSTATUS(status);
    if (code == EX_OK) return;
    if (crew->exit_code == EX_OK) crew->exit_code = code;
    if (crew->stop_count == 0) stop(crew);
}

static void reap(struct crew *crew)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < crew->options->job_count; i++) {
            if (crew->places[i].pid == pid) note_end(crew, &crew->places[i], status);
        }
    }
}

/* Fill empty places whose time has come.  Until when to wait; false: all is over. */
static bool fill_places(struct crew *crew, int *out_limit_ms)
{
    int64_t now_ns = boottime_ns();
    int64_t next_ns = TIME_NEVER;
    bool is_anybody = false;
    for (uint32_t i = 0; i < crew->options->job_count; i++) {
        struct place *place = &crew->places[i];
        if (crew->stop_count > 0 && place->pid == 0) place->start_at_ns = TIME_NEVER;
        if (place->pid == 0 && place->start_at_ns <= now_ns) start_slot(crew, place);
        if (place->pid == 0 && place->start_at_ns < next_ns) next_ns = place->start_at_ns;
        is_anybody = is_anybody || place->pid > 0;
    }
    *out_limit_ms = next_ns == TIME_NEVER ? -1 : (int)((next_ns - now_ns) / NS_PER_MS) + 1;
    return is_anybody || next_ns != TIME_NEVER;
}

static void mind_signals(struct crew *crew)
{
    struct signal_news news;
    while (signals_next(&crew->signals, &news)) {
        if (news.number == SIGTSTP) {
            /* They go on: what they do has a lease.  Only we are the shell's job. */
            signals_stop_self(SIGTSTP);
        } else if (news.number == SIGUSR1 || news.number == SIGUSR2) {
            tell_slots(crew, news.number);
        } else if (signals_is_end(news.number)) {
            stop(crew);
        }
    }
}

static int lead(struct crew *crew)
{
    int limit_ms;
    while (fill_places(crew, &limit_ms)) {
        struct pollfd fds[] = {
            { .fd = crew->signals.fd, .events = POLLIN },
            { .fd = crew->child_fd, .events = POLLIN },
        };
        struct signalfd_siginfo info;
        (void)poll(fds, 2, limit_ms);
        while (read(crew->child_fd, &info, sizeof(info)) > 0) {
        }
        reap(crew);
        mind_signals(crew);
    }
    return crew->exit_code;
}

int work_crew(const struct work_options *options, struct work_share *share)
{
    struct crew crew = { .options = options, .share = share, .child_fd = -1, .self = getpid() };
    crew.signals.fd = -1;
    crew.places = calloc(options->job_count, sizeof(*crew.places));
    sigset_t children;
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, &children, &crew.mask);
    crew.child_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    int code = EX_SOFTWARE;
    if (crew.places != NULL && crew.child_fd >= 0 && signals_open(&crew.signals)) {
        code = lead(&crew);
    } else {
        complain(options->command, "cannot start: %s", strerrordesc_np(errno));
    }
    signals_close(&crew.signals);
    if (crew.child_fd >= 0) (void)close(crew.child_fd);
    free(crew.places);
    return code;
}
