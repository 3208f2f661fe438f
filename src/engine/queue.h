/* queue - who waits, in which order, and who is next.
 *
 * The order is a fixed total order over all waiters of all locks: (time of arrival minus what the
 * priority is worth, arrival).  It never changes while they wait, so a waiter is passed only by
 * those of a higher priority that arrive within `ageing_ms` a level: nothing starves.  A request
 * for several names stands in the queue of each; it is granted when it is the first in all of them
 * and all have room.  Because the order is the same everywhere, the first waiter of all is the
 * first in each of its queues, so there is no circular wait. */
#ifndef TENURE_ENGINE_QUEUE_H
#define TENURE_ENGINE_QUEUE_H

#include "engine/state.h"

/* Where a request stands. */
struct queue_order {
    int64_t order_ns;
    uint64_t arrival;
};

/* A request that arrives now would stand here. */
struct queue_order queue_order_now(const struct engine *engine, uint32_t priority);
/* Is somebody before that place in the queue of this lock? */
bool queue_has_before(const struct lock *lock, struct queue_order order);
/* The place in the queue, 1 = next; 0 when the queue is too long to count. */
uint32_t queue_position(const struct lock *lock, struct queue_order order);
/* The first waiting hold; NULL when nobody waits. */
struct hold *queue_first(const struct lock *lock);
/* The first waiting hold behind the last one taken: `cursors` begins as all NULL. */
struct hold *queue_next(const struct lock *lock, struct list *cursors[LANE_COUNT]);

/* A waiter for prepared holds, ready to be queued.  NULL when there is no memory. */
MUST_USE struct waiter *waiter_create(
    struct engine *engine,
    const struct engine_command *command,
    struct hold *const *holds,
    uint32_t hold_count);
/* Give the wait a new client, a new deadline and new terms: the owner asks again.  Its place, and
 * with it its priority, stays.  False when there is no memory; nothing has changed then. */
MUST_USE bool
waiter_rejoin(struct engine *engine, struct waiter *waiter, const struct engine_command *command);
/* Take the waiter out of every queue.  Its holds end too, unless they have been granted. */
void waiter_remove(struct engine *engine, struct waiter *waiter);
/* NULL when there is none. */
struct waiter *waiter_find(const struct engine *engine, uint64_t client, uint64_t tag);
struct waiter *waiter_of_client(const struct engine *engine, uint64_t client);
struct queue_order waiter_order(const struct waiter *waiter);
/* Has it waited as long as it wanted to? */
bool waiter_is_over(const struct engine *engine, const struct waiter *waiter);

/* Something changed at this lock: look at its queue before the step ends. */
void queue_changed(struct engine *engine, struct lock *lock);
/* Grant whatever can be granted at the queues that changed.  When memory runs out the rest stays
 * marked and is tried again by the next step. */
void queue_serve(struct engine *engine);

#endif
