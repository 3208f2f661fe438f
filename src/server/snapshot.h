/* snapshot - when the journal has grown enough, the engine's state goes to the disk, a piece each
 * turn, so that a restart has little to replay. */
#ifndef TENURE_SERVER_SNAPSHOT_H
#define TENURE_SERVER_SNAPSHOT_H

#include "base/buffer.h"

struct server;

enum snapshot_phase {
    SNAPSHOT_IDLE,
    SNAPSHOT_WRITING,   /* the engine has more */
    SNAPSHOT_FINISHING, /* the disk has not said so yet */
};

struct snapshot {
    enum snapshot_phase phase;
    bool is_last;         /* the chunk is the last one */
    struct buffer chunk;  /* waits to be handed over */
    uint64_t retry_bytes; /* after a failure: not before the journal has grown to this */
};

void snapshot_init(struct server *server);
void snapshot_deinit(struct server *server);
/* Once a second: is one due? */
void snapshot_consider(struct server *server);
/* Once a turn: one piece.  True: there is another one, and room for it. */
bool snapshot_advance(struct server *server);

#endif
