/* scrub - what the housekeeper finds when it reads the journal's files again, and what is done
 * about it. */
#ifndef TENURE_SERVER_SCRUB_H
#define TENURE_SERVER_SCRUB_H

struct server;

/* Once a second. */
void scrub_consider(struct server *server);

#endif
