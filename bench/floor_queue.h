/* floor_queue - the queue of bench-floor: items in a line, each taken once and then done.
 *
 * A command of tenured's form is carried out, its answer written as tenured writes it, and its
 * record appended.  There are no leases, groups, priorities or limits. */
#ifndef TENURE_BENCH_FLOOR_QUEUE_H
#define TENURE_BENCH_FLOOR_QUEUE_H

#include "base/buffer.h"
#include "reply.h"

/* QUEUE.PUT queue body; QUEUE.TAKE queue worker; QUEUE.DONE queue id token.  False when it is none
 * of them. */
MUST_USE bool
floor_queue_apply(const struct resp_reply *command, struct buffer *records, struct buffer *out);

#endif
