/* snapshot - when the journal has grown enough, the engine's state goes to the disk, a piece each
 * turn, so that a restart has little to replay.
 *
 * Also when a file of the journal turns out to be damaged: with the second snapshot that was begun
 * since, the journal needs nothing of what was there before. */
#ifndef TENURE_SERVER_SNAPSHOT_H
#define TENURE_SERVER_SNAPSHOT_H

#include "base/buffer.h"
#include "base/types.h"

struct server;

#define SNAPSHOT_FORCED_COUNT 2u

enum snapshot_phase {
    SNAPSHOT_IDLE,
    SNAPSHOT_WRITING,   /* the engine has more */
    SNAPSHOT_FINISHING, /* the disk has not said so yet, or has not heard that it is given up */
};

struct snapshot {
    enum snapshot_phase phase;
    struct seq seq;       /* of the last one begun */
    bool is_last;         /* the chunk is the last one */
    struct buffer chunk;  /* waits to be handed over */
    uint64_t retry_bytes; /* after a failure: not before the journal has grown to this */

    uint32_t forced_count;       /* so many are still to be written because of damage */
    bool is_forced;              /* the one under way is one of them */
    struct mono forced_retry_at; /* after a failure: not before */
};

void snapshot_init(struct server *server);
void snapshot_deinit(struct server *server);
/* Something in the journal's files is damaged: write new ones whatever has grown.  The second needs
 * an event of its own, so it may have to wait for one. */
void snapshot_force(struct server *server);
/* Once a second: is one due? */
void snapshot_consider(struct server *server);
/* Once a turn: one piece.  True: there is another one, and room for it. */
bool snapshot_advance(struct server *server);

#endif
