/* turn - the loop of the server: the order of things, and the clock.
 *
 * See the comment above turn_run() for the order. */
#ifndef TENURE_SERVER_TURN_H
#define TENURE_SERVER_TURN_H

#include <tenure/error.h>

#include "engine/engine.h"
#include "journal/committer.h"
#include "journal/housekeeper.h"
#include "journal/journal.h"
#include "server/server.h"
#include "server/snapshot.h"

#define TURN_RANDOM_SIZE 4096u

#define TURN_COMMIT_COUNT_MAX 64u

struct turn_commit {
    int64_t ns;
    size_t size;
};

struct turn {
    struct server *server;
    struct journal *journal;
    struct committer *committer;
    struct housekeeper *housekeeper;

    struct buffer pending; /* records that gather for the next commit */
    uint32_t pending_count;
    struct seq pending_first;

    uv_poll_t wake;         /* the committer has news */
    int wake_file;          /* an eventfd: what `wake` polls */
    uv_timer_t alarm;       /* the engine's next deadline, or the guard against stalls */
    uv_timer_t second;      /* things that are looked at once a second */
    uv_signal_t signals[2]; /* SIGTERM and SIGINT */

    bool is_awake;          /* the clock was read in this turn */
    struct mono heard_at;   /* when input was last read, in this turn */
    bool is_guarded;        /* there were deadlines at the end of the last turn */
    bool is_settling;       /* after a stall: no expiry before all input has been looked at */
    struct mono settle_at;  /* … but no longer than until then */
    struct mono idle_since; /* for the spin */
    uint64_t input_count;   /* of net->read_count at the end of the last turn */

    enum committer_state committer_state; /* as last seen */
    struct seq progress_seq;              /* how far the disk was when it last moved */
    struct mono progress_at;              /* when that was, or when there was something to do */
    bool is_outstanding;                  /* something was on its way then */
    enum engine_gate gate;
    bool is_memory_short; /* what is missing while the gate is NO_SPACE: not room, but memory */
    uint32_t signal_count;
    bool is_stopping; /* drained, waiting for clients to take their answers */
    bool is_stopped;
    struct mono stop_at; /* then the rest of them is cut off */

    uv_mutex_t commit_lock; /* of what the committer measures */
    struct turn_commit commits[TURN_COMMIT_COUNT_MAX];
    uint32_t commit_count;

    uint64_t tag;
    uint32_t random_used;
    unsigned char random[TURN_RANDOM_SIZE];
    struct snapshot snapshot;
};

/* Take the open journal (recovered up to `seq`) and start its threads.  The server's loop, net and
 * engine are set up.  TENURE_NO_MEMORY, TENURE_IO: the journal stays the caller's. */
MUST_USE enum tenure_err turn_create(
    struct server *server, struct journal *journal, struct seq seq, struct tenure_error *out_error);

/* Let the engine know that the start is over: every restored hold gets its full ttl from now. */
void turn_ready(struct server *server);

/* Run until a signal has ended it and everything is flushed: 0, or an exit code of sysexits. */
MUST_USE int turn_run(struct server *server);

/* Stop the threads, write the mark, give back the journal and everything else.  Any error: what was
 * not acknowledged, or the mark, is not on the disk. */
MUST_USE enum tenure_err turn_destroy(struct server *server, struct tenure_error *out_error);

/* Something happened in this turn: read the clock, once.  Every callback of the loop begins with
 * it. */
void turn_wake(struct server *server);

/* Input was read: the commands that are in it count from now. */
void turn_hear(struct server *server);

/* Let something happen to the engine, and do what it says must be done.  Not from within an answer
 * of the engine.  `submitter` is who asks, or NULL; true when his request was queued. */
bool turn_step(struct server *server, struct engine_event *event, struct session *submitter);

/* The connection of `client` is gone: its waiters vanish. */
void turn_client_gone(struct server *server, uint64_t client);

/* End the process at once: nothing that is not durable may leave. */
__attribute__((noreturn)) void turn_die(int exit_code, const char *text);

#endif
