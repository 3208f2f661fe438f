/* events - followers of the durable changes: SSE streams, RESP push, and long-polls.
 *
 * A follower is at a seq and has a prefix; after each commit it is handed the durable events behind
 * its seq that match, from the engine's window.  Followers are found by prefix, not by asking each:
 * ten thousand that nothing matches cost nothing.  A follower whose client reads too slowly is ended
 * with `overflow`; one that asks for events older than the window with `compacted`.  Nothing is ever
 * skipped in silence. */
#ifndef TENURE_SERVER_EVENTS_H
#define TENURE_SERVER_EVENTS_H

#include "base/list.h"
#include "base/map.h"
#include "engine/engine.h"

struct events;
struct follower;
struct server;

struct follower_ops {
    /* One event, in order.  Return false to stop for now (the client is slow: call
     * follower_resume later, or end the follower). */
    bool (*deliver)(struct follower *follower, const struct record *record);
    /* The follower fell out of the window; it has been removed. */
    void (*compacted)(struct follower *follower, struct seq first);
    /* Nothing was delivered for a while. */
    void (*heartbeat)(struct follower *follower);
};

struct follower {
    const struct follower_ops *ops;
    void *user;
    struct bytes prefix;  /* owned by who registers; "" = all */
    bool is_exact;        /* the prefix is a whole name */
    uint32_t kinds;       /* bit (1 << record_kind); 0 = all */
    struct seq seq;       /* delivered up to here */
    struct list link;     /* private */
    struct list due;      /* private */
    void *bucket;         /* private */
    struct mono last_at;  /* private: of the last delivery or heartbeat */
};

struct events *events_create(struct server *server);
void events_destroy(struct events **events);
/* Start; what is already durable behind follower->seq is delivered in the next pump.  False: no
 * memory.  `since` older than the window calls `compacted` from the next pump. */
bool follower_start(struct events *events, struct follower *follower);
/* Stop; accepts one that is not started. */
void follower_stop(struct events *events, struct follower *follower);
void follower_resume(struct events *events, struct follower *follower);
/* Called once a turn: hand out what has become durable, and heartbeats that are due. */
void events_pump(struct events *events, struct seq durable, struct mono now);
uint64_t events_follower_count(const struct events *events);

#endif
