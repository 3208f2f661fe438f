#include "cli/tty.h"

#include <fcntl.h>
#include <unistd.h>

void tty_open(struct tty *tty)
{
    *tty = (struct tty){
        .fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY),
        .self = getpgrp(),
    };
}

void tty_close(struct tty *tty)
{
    if (tty->fd >= 0) (void)close(tty->fd);
    tty->fd = -1;
}

bool tty_is_ours(const struct tty *tty)
{
    return tty->fd >= 0 && tcgetpgrp(tty->fd) == tty->self;
}

bool tty_is_to_lend(const struct tty *tty)
{
    bool is_alone = tty->self == getpid() && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    return is_alone && tty_is_ours(tty);
}

void tty_lend(struct tty *tty, pid_t group)
{
    if (tcsetpgrp(tty->fd, group) == 0) tty->is_lent = true;
}

void tty_take_back(struct tty *tty, pid_t group)
{
    if (tty->is_lent && tcgetpgrp(tty->fd) == group) (void)tcsetpgrp(tty->fd, tty->self);
    tty->is_lent = false;
}
