/* repair - what is left of a damaged journal: --repair. */
#ifndef TENURE_SERVER_REPAIR_H
#define TENURE_SERVER_REPAIR_H

#include "server/config.h"

/* Say on standard output what of the journal can be kept and what is lost.  With --accept-loss keep
 * that and set the rest aside.  The result is the exit code: 0 when a start accepts the journal,
 * now or before, 65 when it does not, or another one of sysexits. */
int repair_run(const struct config *config);

#endif
