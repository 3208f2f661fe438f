/* state - what the engine is made of.  Private to src/engine.
 *
 *   engine ── locks (by name) ── holds (by slot)          who has it
 *      │          └─ queue ── lanes of waiting holds      who wants it
 *      ├─ parties: holds of crowded locks by owner        makes acquire idempotent
 *      ├─ waiters: every waiting request by client        dies with the connection
 *      ├─ index: every lock in order of names             lists with a cursor
 *      ├─ three heaps of deadlines                        holds, waits, lock-delays
 *      ├─ works: queues and their items                   item.h has the picture
 *      ├─ keys: registers and ranks                       keys.h has the picture
 *      └─ window: the recent events                       history, streams, repeated answers
 *
 * States of a hold (`hold_move` asserts the moves):
 *
 *     prepared ──> waiting ──> pending ──> live ──> ended
 *         │           │           │                  ^
 *         └───────────┼───────────┼──────────────────┤
 *                     └───────────┴──────────────────┘
 *
 *   prepared  made for a request that is being decided; in no list
 *   waiting   in the lane of a queue; belongs to a waiter
 *   pending   granted, but the grant is not durable: nobody knows of it, so no time runs
 *   live      granted and durable: its ttl runs
 *   ended     unlinked; its memory lasts until the next step, because replies may point at it */
#ifndef TENURE_ENGINE_STATE_H
#define TENURE_ENGINE_STATE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "engine/engine.h"
#include "engine/keys.h"
#include "engine/snapshot_state.h"
#include "engine/window.h"
#include "engine/work.h"

#define LANE_COUNT      (LIMIT_PRIORITY_MAX + 1)
#define INDEX_LEVEL_MAX 12u

enum hold_state {
    HOLD_PREPARED,
    HOLD_WAITING,
    HOLD_PENDING,
    HOLD_LIVE,
    HOLD_ENDED,
    HOLD_STATE_COUNT
};

/* An administrator's break that has begun. */
struct breaking {
    int64_t deadline_ns; /* engine time */
    uint32_t grace_ms;
    uint32_t reason_size;
    char reason[];
};

struct hold {
    struct map_node party; /* in engine->parties, if the lock is crowded */
    struct lock *lock;
    struct list link; /* held: lock->holds, by slot then token; waiting: a lane */
    union {
        struct waiter *waiter;  /* waiting */
        uint64_t pending_index; /* pending: place in engine->pending */
        int64_t deadline_ns;    /* live: when the ttl ends; INT64_MAX with ttl 0 */
        struct hold *next_dead; /* ended */
    } as;
    struct token token;
    struct wall acquired_at;
    struct breaking *breaking; /* NULL unless a break has begun */
    char *meta;                /* NULL when empty */
    struct heap_node timer;    /* live: in hold_timers, at or before the deadline */
    uint32_t ttl_ms;
    uint32_t lock_delay_ms;
    uint16_t slot;
    uint16_t meta_size;
    uint8_t owner_size;
    uint8_t mode;        /* enum engine_mode */
    uint8_t state;       /* enum hold_state */
    bool is_ttl_changed; /* by a renewal since the start: perhaps not durable yet */
    char owner[];
};

struct queue {
    struct lock *lock;
    struct list lanes[LANE_COUNT]; /* waiting holds, one lane a priority, in order of arrival */
    uint32_t count;
    uint32_t delay_ms; /* a lock-delay of this length runs; 0 = none */
    int64_t delay_until_ns;
    struct heap_node delay_timer;
    struct list all;      /* in engine->queues */
    struct list unserved; /* in engine->unserved: something changed, look whether to grant */
};

struct lock {
    struct map_node names; /* in engine->locks; `user` is the snapshot that captured it last */
    struct list holds;
    struct queue *queue;  /* NULL while nobody waits, no delay runs and none was promised */
    struct seq last_seq;  /* of its last change */
    uint32_t event_count; /* of its events in the window */
    uint32_t hold_count;
    uint16_t slots; /* means something while the lock is active */
    uint8_t name_size;
    uint8_t level;
    bool is_crowded;        /* its parties are in the table: there are or were many at once */
    bool is_pinned;         /* a prepared hold points at it: it must not be forgotten */
    struct lock *forward[]; /* level of them, then the name */
};

/* A request that waits, for one name or for many. */
struct waiter {
    struct map_node clients; /* in engine->waiters */
    uint64_t client;
    uint64_t tag;
    uint64_t arrival; /* unique; breaks ties of order_ns */
    int64_t
        order_ns; /* time of arrival minus what its priority is worth: smaller is served first */
    int64_t arrived_ns;
    int64_t deadline_ns;
    struct heap_node timer; /* in wait_timers */
    uint32_t priority;
    uint32_t hold_count;
    struct waiter *next_dead;
    struct hold *holds[]; /* in the order of the request */
};

/* Grants that are not durable yet, in order of seq.  A hold that ended meanwhile leaves NULL. */
struct pending_entry {
    struct seq seq;
    struct hold *hold;
};

struct pending {
    struct pending_entry *entries; /* a ring of `capacity`, a power of two */
    uint64_t head;                 /* absolute number of the first */
    uint64_t tail;                 /* and one past the last */
    uint64_t capacity;
};

/* A reply while the step goes on: results are counted, not pointed at, because the array moves. */
struct output {
    struct buffer records;
    uint32_t record_count;
    struct seq first;
    struct engine_reply *replies;
    size_t reply_count;
    size_t reply_capacity;
    struct engine_result *results;
    size_t result_count;
    size_t result_capacity;
    struct engine_item_result *items;
    size_t item_count;
    size_t item_capacity;
    struct engine_change_result *changes;
    size_t change_count;
    size_t change_capacity;
    size_t item_promised; /* of them so many are still to come, whatever else is reserved */
    struct buffer brief;  /* a record as the window keeps it: without its body */
    bool is_waiting;
};

/* The name index: heads of the levels, and where the last insertion was. */
struct name_index {
    struct lock *heads[INDEX_LEVEL_MAX];
    struct lock *
        *passing[INDEX_LEVEL_MAX]; /* the pointers that pass over the place behind `last` */
    struct lock *last;             /* NULL: `passing` means nothing */
};

struct engine {
    const struct memory *memory;
    struct engine_options options;
    struct map locks;
    struct map parties;
    struct map waiters;
    struct name_index index;
    struct window window;
    struct works works;
    struct keys keys;
    struct heap hold_timers;
    struct heap wait_timers;
    struct heap delay_timers;
    struct pending pending;
    struct list queues;
    uint32_t queue_count;
    struct list unserved;
    int64_t time_ns; /* engine time: now minus stalled_ns, never backwards */
    int64_t stalled_ns;
    struct wall wall;
    uint64_t random; /* of this event */
    struct seq seq;
    struct token token_high;
    uint64_t arrival_count;
    uint32_t held_count; /* pending and live holds */
    enum engine_gate gate;
    bool is_restoring;
    struct output output;
    struct snapshot snapshot;
    struct restore restore;
    struct hold *dead_holds; /* freed by the next step */
    struct lock *dead_locks;
    struct waiter *dead_waiters;
    struct engine_counters counters;
};

static inline struct bytes hold_owner(const struct hold *hold)
{
    return (struct bytes){ hold->owner, hold->owner_size };
}

static inline struct bytes hold_meta(const struct hold *hold)
{
    return (struct bytes){ hold->meta, hold->meta_size };
}

static inline bool hold_is_held(const struct hold *hold)
{
    return hold->state == HOLD_PENDING || hold->state == HOLD_LIVE;
}

static inline struct bytes lock_name(const struct lock *lock)
{
    return (struct bytes){ (const char *)(lock->forward + lock->level), lock->name_size };
}

static inline struct hold *hold_from_link(struct list *link)
{
    return CONTAINER_OF(link, struct hold, link);
}

#endif
