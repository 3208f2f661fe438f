#include "cli/signals.h"

#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int taken[] = { SIGINT,  SIGTERM,  SIGHUP,  SIGQUIT, SIGUSR1,
                             SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT };
/* Blocked, and never read: writing to and setting the terminal from the background is ours to do,
 * and a pipe without reader is an error, not an end. */
static const int held[] = { SIGTTIN, SIGTTOU, SIGPIPE };

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool signals_open(struct signals *signals)
{
    sigset_t read_set;
    (void)sigemptyset(&read_set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (!is_ignored(taken[i])) (void)sigaddset(&read_set, taken[i]);
    }
    sigset_t block_set = read_set;
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        (void)sigaddset(&block_set, held[i]);
    }
    /* An ignored SIGCHLD makes children vanish before anybody can ask how they ended. */
    signals->is_chld_ignored = is_ignored(SIGCHLD);
    (void)signal(SIGCHLD, SIG_DFL);
    signals->fd = signalfd(-1, &read_set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0) return false;
    return pthread_sigmask(SIG_BLOCK, &block_set, &signals->original) == 0;
}

void signals_close(struct signals *signals)
{
    if (signals->fd >= 0) (void)close(signals->fd);
    signals->fd = -1;
}

bool signals_next(const struct signals *signals, struct signal_news *out_news)
{
    struct signalfd_siginfo info;
    if (read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) return false;
    *out_news = (struct signal_news){
        .number = (int)info.ssi_signo,
        .is_from_terminal = info.ssi_code == SI_KERNEL,
    };
    return true;
}

/* Let this thread take `number` with its default action, now. */
static void raise_default(int number)
{
    sigset_t only;
    sigset_t before;
    (void)sigemptyset(&only);
    (void)sigaddset(&only, number);
    (void)raise(number);
    (void)pthread_sigmask(SIG_UNBLOCK, &only, &before);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void signals_stop_self(int number)
{
    raise_default(number);
}

void signals_die(int number)
{
    /* The core, if any, is the command's. */
    struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
    raise_default(number);
}

bool signals_is_end(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT ||
           number == SIGUSR1 || number == SIGUSR2;
}
