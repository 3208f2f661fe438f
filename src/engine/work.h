/* work - queues and their groups: found, made, forgotten; whose turn it is.  Private to src/engine.
 * (A `struct queue` is the line of those who wait for a lock.) */
#ifndef TENURE_ENGINE_WORK_H
#define TENURE_ENGINE_WORK_H

#include "base/list.h"
#include "base/map.h"
#include "base/ordered.h"
#include "engine/queues.h"
#include "engine/wait.h"

struct work {
    struct map_node names; /* `user` is the snapshot that captured it last */
    struct list all;       /* in works.all */
    struct list states[ITEM_STATE_COUNT];
    uint32_t counts[ITEM_STATE_COUNT];
    struct list groups;   /* all of them */
    struct group *recent; /* of the last put, or NULL */
    struct list ring;     /* those that can give an item; the first one's turn it is */
    struct list takers;   /* places of those who wait */
    uint32_t taker_count;
    struct ordered_node unserved; /* in works.unserved, by the arrival of the first taker */
    struct list changing;         /* in works.changing, while groups are to be judged anew */
    struct list *unjudged;        /* the next of them, or `groups` */
    uint32_t unjudged_count;
    uint32_t limits_round; /* so many times its limits have changed */
    struct seq last_seq;
    struct group_limits limits; /* of the groups that have none of their own */
    uint32_t group_count;
    uint32_t event_count; /* of its events in the window */
    uint32_t pin_count;   /* somebody is about to use it */
    uint8_t name_size;
    bool is_paused;
    bool has_limits;
    bool has_entry; /* restoring: its items may come later */
    char name[];
};

struct group {
    struct map_node names; /* `user` as above */
    struct work *work;
    struct list all;
    struct list ring;
    struct ordered ready;           /* items; room for all that wait or are taken */
    struct ordered_node rate_timer; /* something is ready, but it is too early */
    uint64_t number;                /* of groups; breaks ties */
    int64_t rate_us;                /* when the next take is on time, wall */
    int64_t rate_ns;                /* the same in engine time */
    struct group_limits limits;
    uint32_t item_count;    /* in any state */
    uint32_t open_count;    /* created, delayed, ready or taken: the room in `ready` */
    uint32_t waiting_count; /* delayed and ready */
    uint32_t running_count;
    uint32_t deficit;
    uint32_t limits_round; /* of the queue, when it was judged */
    uint8_t name_size;
    bool is_paused;
    bool has_limits;
    char name[];
};

struct taker_place {
    struct list link; /* in work->takers */
    struct taker *taker;
    struct work *work;
};

/* A take that waits for items, or somebody who waits for the end of one. */
struct taker {
    struct wait wait;           /* in works.takers */
    struct multimap_node items; /* in works.awaits, if `item` */
    uint64_t arrival;
    int64_t deadline_ns;
    struct ordered_node timer;
    struct item *item; /* whose end is awaited; NULL: it takes */
    uint32_t count_max;
    uint32_t lease_ms;
    uint32_t grace_ms;
    bool is_bound;
    uint8_t worker_size;
    uint32_t place_count;
    enum tenure_err ending; /* told: what the answer is */
    struct taker *next_dead;
    struct taker_place places[]; /* then the worker */
};

struct work_pending_entry {
    struct seq seq;
    struct lease *lease;
};

/* All that the engine knows of queues. */
struct works {
    struct map names;
    struct map groups;
    struct map items;
    struct map uniques;
    struct waits takers;
    struct map awaits; /* takers by the item whose end they wait for */
    struct map bound;  /* leases by client */
    struct list all;
    struct work *recent;         /* of the last put, or NULL: most requests are about the same */
    struct ordered timers;       /* items, by `now` (stalls do not move them) */
    struct ordered lease_timers; /* in engine time, and so are the next two */
    struct ordered rate_timers;
    struct ordered taker_timers;
    struct ordered unserved; /* queues with a taker and an item */
    struct list changing;    /* queues whose limits have changed, and not for all groups yet */
    uint32_t looks_left;     /* groups that may still be judged for that in this step */
    struct {
        struct work_pending_entry *entries; /* a ring of `capacity`, a power of two */
        uint64_t head, tail, capacity;
    } pending;
    uint32_t work_count, group_count, item_count, taken_count;
    uint32_t kept_back_count; /* items; each may need a timer when it is freed */
    uint64_t item_bytes;
    int64_t order_us; /* the last order given out */
    uint64_t entered_count, group_number, arrival_count;
    struct item *dead_items; /* freed by the next step */
    struct note *dead_notes;
    struct unique *dead_uniques;
    struct work *dead_works;
    struct group *dead_groups;
    struct taker *dead_takers;
    struct lease *dead_leases;
    struct taker *told; /* of items that ended in this step; answered at its end, in this order */
    struct taker *told_last;
    uint32_t told_count;
};

/* How far a snapshot is with queues; of each its groups and, state by state, its items: the first
 * of each that has not been looked at. */
struct work_cursor {
    struct list *work;
    struct list *group;
    struct list *item;
    unsigned state;
    bool is_in_work; /* the queue itself is done, its groups and items are not */
    uint64_t item_count, captured;
    int64_t order_us;
};

struct engine;

static inline struct bytes work_name(const struct work *work)
{
    return (struct bytes){ work->name, work->name_size };
}

static inline struct bytes group_name(const struct group *group)
{
    return (struct bytes){ group->name, group->name_size };
}

/* Of an id or a unique key of this queue. */
uint32_t work_text_hash(const struct engine *engine, const struct work *work, struct bytes text);

void works_init(struct engine *engine);
/* Forget everything. */
void works_deinit(struct engine *engine);
/* Free what ended in the step before. */
void works_bury(struct engine *engine);

/* NULL when there is none. */
struct work *work_find(const struct engine *engine, struct bytes name);
/* Made if need be; NULL when there is no memory.  One that is not used must be settled. */
MUST_USE struct work *work_obtain(struct engine *engine, struct bytes name);
/* Forget it if nothing speaks for it any more. */
void work_settle(struct engine *engine, struct work *work);

struct group *group_find(const struct engine *engine, const struct work *work, struct bytes name);
MUST_USE struct group *group_obtain(struct engine *engine, struct work *work, struct bytes name);
/* The work too. */
void group_settle(struct engine *engine, struct group *group);
/* What limits it: its own limits or those of the queue. */
const struct group_limits *group_limits(const struct group *group);
/* Into the ring or out of it, as it can give an item now or not.  Call it after any change. */
void group_judge(struct engine *engine, struct group *group);
/* Put it at the end of the ring when it has given enough; its next item leaves. */
void group_give(struct engine *engine, struct group *group);
/* Limits of the whole queue: each group is judged by them anew, some of them now and the others in
 * later steps; any before it gives. */
void work_limits_changed(struct engine *engine, struct work *work);
void work_judge_some(struct engine *engine, struct work *work);
/* All of its groups, now. */
void work_judge_all(struct engine *engine, struct work *work);
/* Is the limit that it was judged by that of its queue? */
bool group_is_stale(const struct group *group);
/* After a restart: the group whose first item stands first begins.  False: no memory. */
MUST_USE bool works_reserve_rings(struct engine *engine, struct ordered *order);
void work_rebuild_ring(struct work *work, struct ordered *order);
/* Has it an item to give?  Not while the group in front is to be judged first, and this step has
 * looked at enough of them: a later one goes on. */
bool work_can_give(const struct work *work);
/* The item that is next, paused or not; NULL when none is ready or every group is at its limit. */
struct item *work_next(const struct work *work);
/* The first item of a state behind the cursor, or the head of the list.  Where the cursor stands is
 * found at once as long as its item is in this state; else by walking from the front, where items
 * leave.  NULL: that takes another step; the cursor's id says how far it has come. */
struct list *work_list_from(
    const struct engine *engine,
    struct work *work,
    enum item_state state,
    struct engine_item_cursor *cursor);
/* There may be an item for a taker: look before the step ends. */
void work_changed(struct engine *engine, struct work *work);

#endif
