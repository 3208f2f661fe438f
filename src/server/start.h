/* start - from a configuration to a running server, and back. */
#ifndef TENURE_SERVER_START_H
#define TENURE_SERVER_START_H

#include "server/config.h"

/* Serve until a signal ends it.  Failures are told on standard error.  The result is the exit code:
 * 0, or one of sysexits. */
int server_run(const struct config *config);

#endif
