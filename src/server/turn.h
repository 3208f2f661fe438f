/* turn - the loop of the server: the order of things, and the clock.
 *
 * See the comment above turn_run() for the order. */
#ifndef TENURE_SERVER_TURN_H
#define TENURE_SERVER_TURN_H

#include <tenure/error.h>

#include "server/server.h"

#define TURN_RANDOM_SIZE 4096u

struct turn {
    struct server *server;
    uv_timer_t second;      /* things that are looked at once a second */
    uv_signal_t signals[2]; /* SIGTERM and SIGINT */

    bool is_awake;          /* the clock was read in this turn */
    struct mono heard_at;   /* when input was last read, in this turn */
    struct mono idle_since; /* for the spin */

    uint32_t signal_count;
    bool is_stopped;
    struct mono stop_at; /* then the rest of the clients is cut off */

    uint64_t tag;
    uint32_t random_used;
    unsigned char random[TURN_RANDOM_SIZE];
};

/* The server's loop is set up.  TENURE_NO_MEMORY. */
MUST_USE enum tenure_err turn_create(struct server *server, struct tenure_error *out_error);

/* Run until a signal has ended it and everything is flushed: 0, or an exit code of sysexits.  The
 * backend is there. */
MUST_USE int turn_run(struct server *server);

/* Run the loop until all its handles are closed, those of the backend too.  Accepts that there is
 * none. */
void turn_destroy(struct server *server);

/* Something happened in this turn: read the clock, once.  Every callback of the loop begins with
 * it. */
void turn_wake(struct server *server);

/* Input was read: the commands that are in it count from now. */
void turn_hear(struct server *server);

/* End the process at once: nothing that is not durable may leave. */
__attribute__((noreturn)) void turn_die(int exit_code, const char *text);

#endif
