/* item - one unit of work, and the states it goes through.  Private to src/engine.
 *
 *   engine.works ── queues (by name) ── groups ── ready items in order        who is next
 *        │             ├─ ring of groups whose turn can come                  deficit round robin
 *        │             ├─ a list of items for each state                      lists, peek, purge
 *        │             └─ places of takers, first come first served           who wants one
 *        ├─ items: all, by queue and id                                       makes put idempotent
 *        ├─ uniques: by queue and key ── the item that has it, and one kept back
 *        ├─ takers: requests that wait (for items, or for the end of one), by client
 *        └─ deadlines: items (run_at, expiry, retention), leases, rates, takers
 *
 * States; `item_move` asserts the moves:
 *
 *          ┌──────────────── failed, later ────────────────┐
 *          v                                               │
 *       delayed ──── its time has come ───> ready <──────> taken ───> done
 *          │  ^                              │ ^    failed,  │ │
 *          │  └────────── kicked ────────┐   │ │    lapsed   │ └────> dead ──┐
 *          ├─────────────────────────────┼───┼─┼─────────────┴──> cancelled  │
 *          └─────────────────────────────┼───┘ └────────── kicked ───────────┤
 *                                        └───────────────────────────────────┘
 *
 * What is logged is what happened.  That a delayed item becomes ready is no record: it follows from
 * run_at.  So nothing is written when a million of them do, and a replay leaves them delayed until
 * it is READY and looks at the clock.  That an item is forgotten is a record.
 *
 * Order: inside a group by (order, number).  The order of an item is the moment it can be taken for
 * the first time, in wall microseconds of a clock of the queue that never stands still or runs
 * backwards (so it is the same after a replay), minus `ageing_ms` for each level of priority: one
 * fixed total order, nothing starves.  An item whose worker was lost keeps its place; one that
 * failed goes to the end.  Among groups: deficit round robin (Shreedhar and Varghese, 1995) in
 * which every item costs one: a group whose turn it is gives up to `weight` items and then goes to
 * the end of the ring.  In the ring are exactly the groups that can give one: not paused, something
 * ready, below their limit of running items, and within their rate.  So a take looks at one group
 * only.
 *
 * Rates are kept as a virtual schedule (GCRA): `rate_us` is when the next take would be on time; it
 * is moved by every take, from the time in the record, so that a restart gives nothing away.
 *
 * Leases: as holds, a taken item is `pending` until the take is durable and only then its time
 * runs; extensions are not logged, and after a restart every lease has its full time again.
 *
 * Memory: one block for the item, its id, and a body and headers that are small; one for those that
 * are not (gone when nobody needs them any more), one for what was last said about it, one for a
 * lease, one for a unique key.  What an answer of this step may point at lasts until the next one:
 * it is put on a list of the dead. */
#ifndef TENURE_ENGINE_ITEM_H
#define TENURE_ENGINE_ITEM_H

#include "engine/work.h"

/* How the last lease ended: what a late or repeated answer is told. */
enum item_ending { ITEM_END_NONE, ITEM_END_DONE, ITEM_END_FAILED, ITEM_END_BURIED, ITEM_END_LOST };

/* What was last said: a result, a reason, how far it is.  Or a body and headers that are not small.
 */
struct note {
    struct note *next_dead;
    uint32_t size;
    char text[];
};

/* Body and headers up to this size stand behind the id. */
#define ITEM_PAYLOAD_INSIDE_MAX 256u

/* Millions of them are kept, so the widest come first and the small share a word: with an id of 8
 * bytes and a body of 100 it is a block of 280 at most. */
struct item {
    struct map_node ids; /* `user` is the snapshot that captured it last */
    struct list link;    /* in the list of its state; dead: in no list */
    struct group *group;
    struct lease *lease;   /* taken */
    struct unique *unique; /* NULL unless it has a key or is kept back for one */
    struct note *note;
    uint64_t number;  /* of its put */
    uint64_t entered; /* its state; rises inside a list */
    union {
        int64_t order_us;    /* delayed, ready, taken; before priority */
        int64_t ended_at_us; /* done, dead, cancelled */
    };
    int64_t put_at_us;
    struct token token;        /* of the last take */
    struct item_terms terms;   /* run_at_us is that of the next time */
    struct ordered_node place; /* ready: in group->ready */
    struct ordered_node timer; /* in works.timers: run_at, expiry or the end of its retention */
    unsigned body_size : 24;
    unsigned state : 3;  /* enum item_state */
    unsigned ending : 3; /* enum item_ending */
    bool is_cancelling : 1;
    bool is_kept_back : 1; /* delayed until the other item of its unique key ends */
    unsigned headers_size : 14;
    bool has_payload : 1; /* body and headers are here, and not empty */
    bool is_awaited : 1;  /* somebody waits for its end */
    uint16_t attempts;
    uint16_t lapses;
    uint8_t id_size;
    char id[]; /* then body and headers, if they are small; else where the note is that has them */
};

#define ITEM_BODY_SIZE_BITS    0xffffffu
#define ITEM_HEADERS_SIZE_BITS 0x3fffu
#define ITEM_STATE_BITS        7u

_Static_assert(offsetof(struct item, id) <= 172, "as large as it says");
_Static_assert(LIMIT_BODY_SIZE_MAX <= ITEM_BODY_SIZE_BITS, "body_size has the bits");
_Static_assert(LIMIT_META_SIZE_MAX <= ITEM_HEADERS_SIZE_BITS, "headers_size has the bits");
_Static_assert(ITEM_STATE_COUNT <= ITEM_STATE_BITS, "state has the bits, also for none");
_Static_assert(ITEM_END_LOST <= ITEM_STATE_BITS, "ending has the bits");

struct lease {
    struct item *item;
    union {
        struct multimap_node clients; /* bound: in works.bound */
        struct lease *next_dead;
    };
    uint64_t client;
    struct ordered_node timer; /* live: in lease_timers, at or before the deadline */
    union {
        uint64_t pending_index;
        int64_t deadline_ns;
    } as;
    int64_t timeout_ns; /* INT64_MAX: none */
    struct wall taken_at;
    uint32_t lease_ms;
    uint32_t grace_ms;
    bool is_live;
    bool is_bound;
    bool is_orphan;        /* was bound, and the connection is gone */
    bool is_lease_changed; /* since the start: perhaps not durable yet */
    uint8_t worker_size;
    char worker[];
};

/* Who has a unique key. */
struct unique {
    struct map_node keys;
    struct work *work;
    struct item *item; /* that has it */
    struct item *next; /* kept back until that one ends; or NULL */
    uint8_t key_size;
    char key[];
};

static inline struct bytes item_id(const struct item *item)
{
    return (struct bytes){ item->id, item->id_size };
}

/* Empty when they are gone. */
struct bytes item_body(const struct item *item);
struct bytes item_headers(const struct item *item);

static inline struct bytes item_note(const struct item *item)
{
    if (item->note == NULL) return (struct bytes){ 0 };
    return (struct bytes){ item->note->text, item->note->size };
}

static inline struct bytes item_unique(const struct item *item)
{
    if (item->unique == NULL) return (struct bytes){ 0 };
    return (struct bytes){ item->unique->key, item->unique->key_size };
}

static inline struct item *item_from_link(struct list *link)
{
    return CONTAINER_OF(link, struct item, link);
}

/* Wall; INT64_MAX for never.  What was taken once, in time, is not called off when it is back. */
static inline int64_t item_expires_at_us(const struct item *item)
{
    bool has_expiry = item->terms.expires_at_us > 0 && item->token.value == 0;
    return has_expiry ? item->terms.expires_at_us : INT64_MAX;
}

/* NULL when there is none. */
struct item *item_find(const struct engine *engine, const struct work *work, struct bytes id);

struct item_wish {
    struct bytes id;
    struct bytes headers;
    struct bytes body;
    struct bytes unique;
    struct item_terms terms;
};

/* A copy of what is wished, in no list and no state yet; its number is for the caller to set.  The
 * room that it needs later to become ready is reserved.  NULL when there is no memory. */
MUST_USE struct item *
item_create(struct engine *engine, struct group *group, const struct item_wish *wish);
/* Room for one more that may become ready.  False when there is no memory. */
MUST_USE bool item_reserve_ready(struct engine *engine, struct group *group);
/* Give back one that was created and not used. */
void item_discard(struct engine *engine, struct item *item);
/* The first state, or another one; asserts that the move is allowed.  Lists, counts and the ring
 * follow; its timer is gone. */
void item_enter(struct engine *engine, struct item *item, enum item_state state);
void item_move(struct engine *engine, struct item *item, enum item_state state);
/* Forget it.  Its memory lasts until the next step; a queue and group that nothing else keeps go
 * too. */
void item_end(struct engine *engine, struct item *item);
void item_free(struct engine *engine, struct item *item);
/* Let its timer run: for run_at, its expiry, or the end of what it is remembered for.  Room must
 * have been reserved.  Nothing while restoring. */
void item_arm(struct engine *engine, struct item *item);
/* Room for so many more timers.  False when there is no memory. */
MUST_USE bool item_reserve_timers(struct engine *engine, uint32_t count);
/* Done or cancelled: when it is forgotten. */
int64_t item_forget_at_us(const struct item *item);
/* Body and headers are needed no more. */
void item_drop_payload(struct engine *engine, struct item *item);

/* A note; `*out_note` is NULL for an empty text.  False when there is no memory. */
MUST_USE bool note_create(struct engine *engine, struct bytes text, struct note **out_note);
/* One that nobody has seen. */
void note_free(struct engine *engine, struct note *note);
/* It lasts until the next step. */
void note_bury(struct engine *engine, struct note *note);
/* Takes the note. */
void item_set_note(struct engine *engine, struct item *item, struct note *note);

/* NULL when nobody has the key. */
struct unique *unique_find(const struct engine *engine, const struct work *work, struct bytes key);

/* The lease of a worker.  NULL when there is no memory. */
MUST_USE struct lease *lease_create(struct engine *engine, struct bytes worker, uint32_t lease_ms);
void lease_free(struct engine *engine, struct lease *lease);
/* When it ends unless extended, in engine time.  Live leases only. */
int64_t lease_deadline(const struct lease *lease);
/* Let it run, from now. */
void lease_arm(struct engine *engine, struct lease *lease);
/* It ends when its client's connection does, after a grace. */
void lease_bind(struct engine *engine, struct lease *lease, uint64_t client);
void lease_unbind(struct engine *engine, struct lease *lease);
/* A lease bound to this client; NULL when there is none. */
struct lease *lease_of_client(const struct engine *engine, uint64_t client);

/* What may be known of it. */
void item_view(
    const struct engine *engine, const struct item *item, struct engine_item_view *out_view);

#endif
