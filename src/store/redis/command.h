/* command - EVALSHA, written once for all nodes that are asked the same.
 *
 * Only the pass differs from node to node: it is left out, and put in where the command is sent. */
#ifndef TENURE_STORE_REDIS_COMMAND_H
#define TENURE_STORE_REDIS_COMMAND_H

#include "base/buffer.h"
#include "quorum/wire.h"

struct redis_command {
    struct buffer text; /* failed: there was no memory */
    size_t pass_at;
    bool has_pass;
};

/* Instead of what was written before.  `texts->pass` is not looked at. */
void tni_redis_command_write(
    struct redis_command *command,
    const struct quorum_call *call,
    const struct quorum_texts *texts);
/* Append it to `output`, which fails when there is no memory. */
void tni_redis_command_send(
    const struct redis_command *command, struct bytes pass, struct buffer *output);

#endif
