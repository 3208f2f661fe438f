/* signals - taken from a descriptor instead of by handlers.
 *
 * What was ignored when the program was started stays ignored (nohup, the background of a script),
 * and is not forwarded. */
#ifndef TENURE_CLI_SIGNALS_H
#define TENURE_CLI_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

struct signals {
    int fd;            /* readable: signals_next() has something */
    sigset_t original; /* the mask at the start, for the command */
    bool is_chld_ignored;
};

struct signal_news {
    int number;
    bool is_from_terminal; /* the kernel sent it: ^C and the like */
};

/* Block and take them; before the first thread is started, so that all threads block them.  False:
 * errno says why. */
bool signals_open(struct signals *signals);
void signals_close(struct signals *signals);
/* False: there is none. */
bool signals_next(const struct signals *signals, struct signal_news *out_news);

/* Stop this process as `number` would (SIGTSTP, SIGTTIN, SIGTTOU), and return when it is continued,
 * or at once where nobody could continue it (an orphaned group). */
void signals_stop_self(int number);
/* End this process as `number` would. */
void signals_die(int number);

/* Does it end a process that does not handle it? */
bool signals_is_end(int number);

#endif
