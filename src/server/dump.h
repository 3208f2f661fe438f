/* dump - look at the journal of a stopped server: --check and --dump. */
#ifndef TENURE_SERVER_DUMP_H
#define TENURE_SERVER_DUMP_H

#include "server/config.h"

/* Read everything as a start would, change nothing, and say on standard output what is there.  The
 * result is the exit code: 0, 65 when it is damaged, or another one of sysexits. */
int dump_check(const struct config *config);
/* Print each event that is still remembered as a line of JSON. */
int dump_print(const struct config *config);

#endif
