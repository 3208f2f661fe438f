/* work_snapshot - queues, groups and items as entries of a snapshot; snapshot.h has the rest. */
#ifndef TENURE_ENGINE_WORK_SNAPSHOT_H
#define TENURE_ENGINE_WORK_SNAPSHOT_H

#include "engine/codec.h"
#include "engine/state.h"

/* The entry of each, nothing where there is nothing durable; also what engine_hash is taken of.  A
 * rate is no part of the hash: when it is over is known to the clock only. */
void work_put_queue(struct buffer *out, const struct work *work);
void work_put_group(struct buffer *out, const struct group *group, bool has_rate);
void work_put_item(struct buffer *out, const struct item *item);

/* The cursor stands before the first queue. */
void work_snapshot_begin(struct engine *engine);
/* Go one thing further.  False at the end. */
bool work_snapshot_step(struct engine *engine);

MUST_USE enum tenure_err work_restore_queue(struct engine *engine, struct codec_reader *reader);
MUST_USE enum tenure_err work_restore_group(struct engine *engine, struct codec_reader *reader);
MUST_USE enum tenure_err work_restore_item(struct engine *engine, struct codec_reader *reader);
/* Is everything there that others pointed at? */
MUST_USE enum tenure_err work_restore_end(const struct engine *engine);

#endif
