/* embedded - the engine of this process, and its journal, behind the sessions (backend.h).
 *
 * The order of what it does in a turn is told above turn_run() in turn.c. */
#ifndef TENURE_SERVER_EMBEDDED_H
#define TENURE_SERVER_EMBEDDED_H

#include <tenure/error.h>

#include <uv.h>

#include "engine/engine.h"
#include "journal/committer.h"
#include "journal/housekeeper.h"
#include "journal/journal.h"
#include "server/backend.h"
#include "server/snapshot.h"

#define EMBEDDED_COMMIT_COUNT_MAX 64u

struct embedded_commit {
    int64_t ns;
    size_t size;
};

struct embedded {
    struct journal *journal;
    struct committer *committer;
    struct housekeeper *housekeeper;

    struct buffer pending; /* records that gather for the next commit */
    uint32_t pending_count;
    struct seq pending_first;

    uv_poll_t news;   /* the committer has some */
    int news_file;    /* an eventfd: what `news` polls */
    uv_timer_t alarm; /* the engine's next deadline, or the guard against stalls */

    bool is_guarded;       /* there were deadlines at the end of the last turn */
    bool is_settling;      /* after a stall: no expiry before all input has been looked at */
    struct mono settle_at; /* … but no longer than until then */
    uint64_t input_count;  /* of net->read_count at the end of the last turn */

    enum committer_state committer_state; /* as last seen */
    struct seq progress_seq;              /* how far the disk was when it last moved */
    struct mono progress_at;              /* when that was, or when there was something to do */
    bool is_outstanding;                  /* something was on its way then */
    enum engine_gate gate;
    bool is_memory_short; /* what is missing while the gate is NO_SPACE: not room, but memory */

    uv_mutex_t commit_lock; /* of what the committer measures */
    struct embedded_commit commits[EMBEDDED_COMMIT_COUNT_MAX];
    uint32_t commit_count;

    struct snapshot snapshot;
    enum tenure_err self_err; /* of the last answer to the server itself */
};

/* The server as a client of its own engine. */
#define EMBEDDED_SELF UINT64_MAX

extern const struct backend backend_embedded;

/* Take the open journal (recovered up to `seq`) and start its threads.  The server's loop, net and
 * engine are set up, and so is its turn.  TENURE_NO_MEMORY, TENURE_IO: the journal stays the
 * caller's. */
MUST_USE enum tenure_err embedded_create(
    struct server *server, struct journal *journal, struct seq seq, struct tenure_error *out_error);

/* Let the engine know that the start is over: every restored hold gets its full ttl from now. */
void embedded_ready(struct server *server);

/* The server itself asks for something that is answered at once; returns with what.  Not from
 * within an answer of the engine. */
enum tenure_err embedded_command(struct server *server, struct engine_command *command);

/* Stop the threads and write the mark.  The handles are closed when the loop has run.  Any error:
 * what was not acknowledged, or the mark, is not on the disk.  Accepts that there is none. */
MUST_USE enum tenure_err embedded_close(struct server *server, struct tenure_error *out_error);
/* After that.  The journal is the caller's again. */
void embedded_free(struct server *server);

/* What the journal says of itself. */
struct journal_status embedded_journal_status(const struct server *server);

#endif
