/* schedules - the clockmaker: takes schedules whose time has come, and puts what they say.
 * engine/schedule.h has the whole picture. */
#ifndef TENURE_SERVER_SCHEDULES_H
#define TENURE_SERVER_SCHEDULES_H

#include "engine/schedule.h"
#include "server/server.h"

/* Once a second.  A run is late by so much at most. */
void schedules_run(struct server *server);

/* The item that stands for a new schedule, up to its first run; it replaces one of the same name.
 * What it points at lasts until the next call.  NULL, or what is wrong. */
MUST_USE const char *
schedules_begin(const struct schedule *schedule, struct wall wall, struct engine_put *out_put);

/* Read anew each time: the database of the system may have been brought up to date.  False: there
 * is no such zone. */
MUST_USE bool schedules_load_zone(struct bytes name, struct zone *out_zone);
/* What is done with missed runs: "skip", "once", "all" or "all:20". */
MUST_USE bool schedules_parse_missed(struct bytes word, struct cron_policy *out_policy);

#endif
