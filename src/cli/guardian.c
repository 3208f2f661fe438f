#include "cli/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/child.h"

#define NS_PER_S INT64_C(1000000000)
/* How often to look whether the group of a command that has ended is gone: the end of a process
 * that is nobody's child of ours is not told to us. */
#define LOOK_NS (50 * INT64_C(1000000))

/* All of the guardian's own; it allocates nothing. */
struct watch {
    const struct guardian_plan *plan;
    struct leash *leash;
    struct timeline timeline;
    int runner;  /* the socket; -1: the runner is gone */
    int signals; /* signalfd for SIGCHLD */
    int timer;
    int start;     /* where the error of the exec comes from; -1: it has been settled */
    int loss;      /* the end of the pipe that closes on loss; -1: closed */
    pid_t command; /* 0: not yet */
    pid_t hook;    /* 0: none */
    bool is_ordered;
};

int64_t boottime_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

struct leash *leash_create(void)
{
    void *page =
        mmap(NULL, sizeof(struct leash), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

void leash_destroy(struct leash *leash)
{
    if (leash != NULL) (void)munmap(leash, sizeof(*leash));
}

void guardian_tell(const struct guardian *guardian, unsigned char byte)
{
    ssize_t sent = send(guardian->socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
}

/* The runner reads the page when it can; a byte that does not fit is not needed. */
static void poke(const struct watch *watch)
{
    if (watch->runner < 0) return;
    ssize_t sent = send(watch->runner, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
}

/* ------------------------------------------------------------------ killing */

static bool is_group_gone(const struct watch *watch)
{
    return kill(-watch->command, 0) != 0 && errno == ESRCH;
}

/* Signal what has left the group and was left behind by its parents: our own children; 0 only
 * counts them.  Where the kernel does not list children, there is only the group. */
static unsigned signal_strays(const struct watch *watch, int number)
{
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    unsigned count = 0;
    ssize_t size;
    pid_t pid = 0;
    while ((size = read(fd, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < size; i++) {
            bool is_digit = text[i] >= '0' && text[i] <= '9';
            if (is_digit) pid = pid * 10 + (text[i] - '0');
            if (is_digit) continue;
            /* The group has had its signal; a second one would run handlers twice. */
            bool is_stray = pid > 0 && pid != watch->hook && getpgid(pid) != watch->command;
            if (is_stray && number != 0) (void)kill(pid, number);
            count += is_stray;
            pid = 0;
        }
    }
    (void)close(fd);
    return count;
}

/* Is the command being stopped because the lock is lost?  Then all that it has started must go;
 * otherwise a daemon that left the group is not our business. */
static bool is_losing(const struct watch *watch)
{
    enum stop_cause cause = watch->timeline.cause;
    return cause == STOP_LEASE || cause == STOP_RUNNER;
}

/* To the group and, for a loss, to what has left it. */
static void signal_all(const struct watch *watch, int number)
{
    if (watch->command <= 0) return;
    (void)kill(-watch->command, number);
    if (is_losing(watch)) (void)signal_strays(watch, number);
}

static void tell_to_stop(struct watch *watch)
{
    if (is_losing(watch) && watch->plan->lost_hook != NULL) {
        watch->hook = fork();
        if (watch->hook == 0) child_become_hook(watch->plan, watch->command);
        if (watch->hook > 0) return;
        watch->hook = 0;
    }
    signal_all(watch, SIGTERM);
    /* Who is stopped must run to hear it. */
    signal_all(watch, SIGCONT);
}

static void set_timer(const struct watch *watch, int64_t deadline_ns)
{
    struct itimerspec spec = { .it_value = { 0 } };
    if (deadline_ns != TIME_NEVER) {
        /* Zero would disarm it. */
        if (deadline_ns < 1) deadline_ns = 1;
        spec.it_value.tv_sec = deadline_ns / NS_PER_S;
        spec.it_value.tv_nsec = deadline_ns % NS_PER_S;
    }
    (void)timerfd_settime(watch->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* Compare the clocks and do what is due. */
static void mind_the_time(struct watch *watch)
{
    struct timeline_input input = {
        .now_ns = boottime_ns(),
        .valid_until_ns = atomic_load(&watch->leash->valid_until_ns),
        .max_hold_at_ns = watch->plan->max_hold_at_ns,
        .is_runner_gone = watch->runner < 0,
        .is_ordered = watch->is_ordered,
    };
    struct timeline_update update;
    timeline_step(&watch->timeline, &input, &update);
    atomic_store(&watch->leash->cause, watch->timeline.cause);
    if (update.is_over && watch->loss >= 0) {
        (void)close(watch->loss);
        watch->loss = -1;
    }
    if (update.is_telling) tell_to_stop(watch);
    if (update.is_killing) {
        signal_all(watch, SIGKILL);
        atomic_store(&watch->leash->is_killed, true);
    }
    if (update.is_telling || update.is_killing) poke(watch);
    bool is_leader_gone = atomic_load(&watch->leash->is_exited);
    int64_t look_at_ns = is_leader_gone ? input.now_ns + LOOK_NS : TIME_NEVER;
    set_timer(watch, look_at_ns < update.deadline_ns ? look_at_ns : update.deadline_ns);
}

/* ------------------------------------------------------------------ children */

static void note_command(struct watch *watch, int status)
{
    struct leash *leash = watch->leash;
    if (WIFSTOPPED(status)) {
        atomic_store(&leash->stop_signal, WSTOPSIG(status));
        (void)atomic_fetch_add(&leash->stops, 1);
    } else if (WIFCONTINUED(status)) {
        atomic_store(&leash->stop_signal, 0);
    } else {
        atomic_store(&leash->wait_status, status);
        atomic_store(&leash->is_exited, true);
    }
    poke(watch);
}

static void reap(struct watch *watch)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        bool is_end = WIFEXITED(status) || WIFSIGNALED(status);
        if (pid == watch->command) note_command(watch, status);
        if (pid == watch->hook && is_end) watch->hook = 0;
    }
}

/* The pipe of the exec: an errno, or nothing when the command has taken the place. */
static void read_start(struct watch *watch)
{
    if (watch->start < 0) return;
    int error = 0;
    ssize_t size = read(watch->start, &error, sizeof(error));
    if (size < 0) return;
    (void)close(watch->start);
    watch->start = -1;
    if (size == (ssize_t)sizeof(error)) {
        atomic_store(&watch->leash->start_errno, error);
    } else {
        atomic_store(&watch->leash->is_started, true);
    }
    poke(watch);
}

/* Is there nothing left to watch? */
static bool is_finished(const struct watch *watch)
{
    if (!atomic_load(&watch->leash->is_exited)) return false;
    if (watch->plan->is_closing && !watch->timeline.is_told) return true;
    if (!is_group_gone(watch)) return false;
    return !is_losing(watch) || signal_strays(watch, 0) == 0;
}

/* ------------------------------------------------------------------ the runner */

static void read_orders(struct watch *watch)
{
    unsigned char bytes[64];
    ssize_t size = recv(watch->runner, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
        (void)close(watch->runner);
        watch->runner = -1;
        return;
    }
    for (ssize_t i = 0; i < size; i++) {
        if (bytes[i] == GUARDIAN_KILL) {
            watch->is_ordered = true;
        } else if (bytes[i] != GUARDIAN_LOOK) {
            (void)kill(-watch->command, bytes[i]);
        }
    }
}

/* ------------------------------------------------------------------ the process */

__attribute__((noreturn)) static void finish(struct watch *watch)
{
    read_start(watch);
    atomic_store(&watch->leash->gone_at_ns, boottime_ns());
    poke(watch);
    _exit(EXIT_SUCCESS);
}

/* The command cannot be started: leave the reason. */
__attribute__((noreturn)) static void give_up(struct watch *watch, int error)
{
    atomic_store(&watch->leash->start_errno, error);
    finish(watch);
}

/* Close all that was inherited but what is needed: nobody shall wait for the end of a pipe, or of a
 * connection, because of us.  Standard error stays, for the hook. */
static void close_others(const struct watch *watch)
{
    const int kept[] = { watch->runner, watch->signals, watch->timer, watch->start, watch->loss };
    unsigned from = STDERR_FILENO + 1;
    for (;;) {
        unsigned next = ~0u;
        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
            if (kept[i] >= (int)from && (unsigned)kept[i] < next) next = (unsigned)kept[i];
        }
        if (next > from) (void)close_range(from, next - (next != ~0u), 0);
        if (next == ~0u) break;
        from = next + 1;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return;
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    (void)close(null);
}

static void start_command(struct watch *watch)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) give_up(watch, errno);
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid < 0) give_up(watch, errno);
    if (pid == 0) child_become(watch->plan, self, fds[1]);
    /* Both sides do this, so that it is done whoever comes first. */
    (void)setpgid(pid, pid);
    (void)close(fds[1]);
    watch->start = fds[0];
    watch->command = pid;
    atomic_store(&watch->leash->pid, pid);
}

__attribute__((noreturn)) static void guard(const struct guardian_plan *plan, int runner)
{
    struct watch watch = {
        .plan = plan,
        .leash = plan->leash,
        .runner = runner,
        .start = -1,
        .loss = plan->loss_fds[1],
    };
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, "tenure-guard");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t children;
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    watch.signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    watch.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watch.signals < 0 || watch.timer < 0) give_up(&watch, errno);
    timeline_init(&watch.timeline, &plan->policy);
    /* It may have taken long to come here. */
    mind_the_time(&watch);
    if (watch.timeline.is_told) finish(&watch);
    start_command(&watch);
    close_others(&watch);

    for (;;) {
        struct pollfd fds[] = {
            { .fd = watch.runner, .events = POLLIN },
            { .fd = watch.signals, .events = POLLIN },
            { .fd = watch.timer, .events = POLLIN },
            { .fd = watch.start, .events = POLLIN },
        };
        (void)poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
        struct signalfd_siginfo info;
        uint64_t expirations;
        while (read(watch.signals, &info, sizeof(info)) > 0) {
        }
        while (read(watch.timer, &expirations, sizeof(expirations)) > 0) {
        }
        if (fds[0].revents != 0) read_orders(&watch);
        if (fds[3].revents != 0) read_start(&watch);
        reap(&watch);
        if (is_finished(&watch)) finish(&watch);
        mind_the_time(&watch);
    }
}

bool guardian_start(const struct guardian_plan *plan, struct guardian *out_guardian)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return false;
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(sockets[0]);
        guard(plan, sockets[1]);
    }
    int error = errno;
    (void)close(sockets[1]);
    if (pid < 0) {
        (void)close(sockets[0]);
        errno = error;
        return false;
    }
    *out_guardian = (struct guardian){ .pid = pid, .socket = sockets[0], .leash = plan->leash };
    return true;
}
