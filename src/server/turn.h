/* turn - the loop of the server: the order of things, and the clock.
 *
 * See the comment above turn_run() for the order. */
#ifndef TENURE_SERVER_TURN_H
#define TENURE_SERVER_TURN_H

#include <tenure/error.h>

#include "engine/engine.h"
#include "journal/journal.h"
#include "server/server.h"

/* Take the open journal (recovered up to `seq`) and start its threads.  The server's loop, net and
 * engine are set up.  TENURE_NO_MEMORY, TENURE_IO: the journal stays the caller's. */
MUST_USE enum tenure_err turn_create(
    struct server *server, struct journal *journal, struct seq seq, struct tenure_error *out_error);

/* Run until a signal has ended it and everything is flushed: 0, or an exit code of sysexits. */
MUST_USE int turn_run(struct server *server);

/* Stop the threads, write the mark, give back the journal and everything else.  TENURE_IO: the mark
 * is not on the disk. */
MUST_USE enum tenure_err turn_destroy(struct server *server, struct tenure_error *out_error);

/* Something happened in this turn: read the clock, once.  Every callback of the loop begins with
 * it. */
void turn_wake(struct server *server);

/* The connection of `client` is gone: its waiters vanish. */
void turn_client_gone(struct server *server, uint64_t client);

#endif
