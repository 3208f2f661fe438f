/* tenured - a real server, for tests written in C.  TENURED in the environment is the program. */
#ifndef TENURE_TESTS_INTEGRATION_TENURED_H
#define TENURE_TESTS_INTEGRATION_TENURED_H

#include <stdint.h>
#include <sys/types.h>

struct tenured {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char data[64];
    char url[64];
};

/* Make a directory and start; fails the test when that fails. */
void tenured_start(struct tenured *server);
/* Again, with the same directory and port. */
void tenured_restart(struct tenured *server);
/* SIGKILL, and wait. */
void tenured_kill(struct tenured *server);
void tenured_signal(const struct tenured *server, int number);
/* Kill, and remove the directory. */
void tenured_remove(struct tenured *server);

#endif
