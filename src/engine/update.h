/* update - what must be done about an event: records to make durable, and answers that may leave
 * when they are.
 *
 * Storage is the engine's; everything is valid until the next step, but for names in refusals,
 * which may be those of the command itself. */
#ifndef TENURE_ENGINE_UPDATE_H
#define TENURE_ENGINE_UPDATE_H

#include <tenure/error.h>

#include "engine/event.h"

/* How a hold ended. */
enum engine_end {
    ENGINE_END_NONE, /* it did not, or nothing is remembered of it */
    ENGINE_END_RELEASED,
    ENGINE_END_EXPIRED_UNCLAIMED,
    ENGINE_END_EXPIRED_TAKEN, /* and somebody else got in: `successor` */
    ENGINE_END_BROKEN,
};

/* "released", "expired_unclaimed", …; "not_owner" for ENGINE_END_NONE. */
const char *engine_end_word(enum engine_end end);

struct engine_hold_view {
    struct bytes name;
    struct bytes owner;
    struct bytes meta;
    struct token token;
    enum engine_mode mode;
    uint32_t slot;
    uint32_t slots;
    uint32_t ttl_ms;
    uint32_t lock_delay_ms;
    int64_t remaining_ms; /* -1 = until released */
    struct wall acquired_at;
    bool is_breaking; /* an administrator ends it when remaining_ms is over */
};

/* The answer about one name. */
struct engine_result {
    enum tenure_err err;
    struct bytes name;
    struct engine_hold_view hold; /* with TENURE_OK of acquire, renew, break, proclaim, transfer */
    bool is_repeat;               /* acquire: the owner had it already */
    enum engine_end end;          /* release: how it ended; LOST: what became of it */
    struct token successor;       /* with ENGINE_END_EXPIRED_TAKEN; transfer: the new token */
    /* refusals */
    struct engine_hold_view holder; /* HELD, TIMEOUT: one of those in the way; name.size 0 = nobody
                                       (others wait before, or a lock-delay runs) */
    uint32_t position;              /* HELD, TIMEOUT: place in the queue, 1 = next; 0 = very far */
    int64_t retry_after_ms; /* HELD, TIMEOUT: when it can be free at the earliest; -1 unknown */
    int64_t waited_ms;      /* TIMEOUT, and grants after a wait */
};

/* "delayed", …; NULL for a number that is no state. */
const char *item_state_word(unsigned state);

struct engine_item_view {
    struct bytes queue;
    struct bytes id; /* id.size 0: there is no such item */
    struct bytes group;
    enum item_state state;
    struct bytes body; /* gone when it is done or cancelled */
    struct bytes headers;
    struct bytes unique;
    struct bytes note;   /* taken: how far it is; done: the result; else why it is not done */
    struct bytes worker; /* taken */
    struct token token;  /* of the last take; 0 = never taken */
    struct item_terms terms;
    uint32_t attempts; /* that failed */
    uint32_t lapses;
    uint64_t number; /* of its put */
    struct wall put_at;
    struct wall run_at; /* delayed: when it becomes ready */
    struct wall taken_at;
    uint32_t lease_ms;    /* taken */
    int64_t remaining_ms; /* taken: of the lease */
    bool is_cancelling;   /* taken: its worker should stop */
};

/* The answer about one item. */
struct engine_item_result {
    enum tenure_err err;
    bool is_repeat; /* put: it was there already; done, fail, bury: it had been said before */
    const char *detail;
    struct engine_item_view item; /* as it is now; of LOST: what became of it */
};

struct engine_register_view {
    struct bytes name;
    uint64_t version; /* the seq of its last change; 0: it is not set */
    struct bytes value;
    uint32_t ttl_ms;      /* 0: until removed */
    int64_t remaining_ms; /* -1: until removed */
    struct bytes lock;    /* it vanishes with this hold; empty: with none */
    struct token token;
};

/* The answer to one operation on shared state. */
struct engine_change_result {
    struct engine_register_view value; /* of registers: as it is behind the operation */
    bool was_there;                    /* the register was set, the member was in the rank */
    bool is_changed;                   /* the operation changed something */
    int64_t number;                    /* INCREMENT: the new one; RANK_TRIM: so many were removed */
    double score; /* RANK_ADD, RANK_INCREMENT, RANK_GET: as it is now, if `is_member` */
    bool is_member;
    bool is_of_rank;
    uint64_t version; /* of ranks: the seq of the last change of the name; state wait: what to wait
                         on from, also where nothing is set */
};

/* What of a transaction refused it. */
enum engine_change_part {
    CHANGE_PART_NONE, /* nothing in particular: a limit, the disk, a loss */
    CHANGE_PART_GUARD,
    CHANGE_PART_CONDITION,
    CHANGE_PART_THEN, /* an operation */
    CHANGE_PART_ELSE,
    CHANGE_PART_COUNT
};

/* "guard", "if", "then", "else"; NULL for none. */
const char *engine_change_part_word(enum engine_change_part part);

/* The answer to one command.  It may leave only when `seq` is durable. */
struct engine_reply {
    uint64_t client;
    uint64_t tag;
    enum engine_command_kind kind; /* of the command that it answers */
    enum tenure_err err;           /* of the command as a whole */
    struct seq seq;
    const struct engine_result *results; /* acquire: one per name when granted, else one (the name
                                            that refused); renew: one per claim; else one */
    uint32_t result_count;
    const struct engine_item_result *items; /* put, extend: one each; take: one for each item taken;
                                               done, fail, bury, cancel, kick, await: one */
    uint32_t item_count;
    const struct engine_change_result *changes; /* change, done: one for each operation carried out;
                                                   MISMATCH: one, the register as it is;
                                                   state wait: one */
    uint32_t change_count;
    bool is_else; /* change, done: a condition did not hold, and the other branch was taken */
    enum engine_change_part fault_part;  /* change, done that was refused: what refused it … */
    uint32_t fault_index;                /* … which of them … */
    struct bytes fault_name;             /* … and its lock, register or rank, if it is a name */
    uint32_t swept_count;                /* redrive, purge: so many items */
    bool is_swept;                       /* redrive, purge: and there are no more */
    struct engine_sweep_cursor swept_to; /* redrive, purge: else go on from here */
    const char *detail; /* INVALID and the like: what is wrong; static text or NULL */
};

/* What must now be done.  Storage is the engine's. */
struct engine_update {
    struct bytes records; /* encoded, `record_count` of them: append to the journal as one unit */
    uint32_t record_count;
    struct seq first; /* number of the first of them */
    const struct engine_reply *replies;
    uint32_t reply_count;
    bool is_waiting; /* the acquire of this event was queued: its reply comes with a later update */
};

#endif
