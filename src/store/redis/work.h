/* work - one operation on the nodes: what src/quorum, or a look at a lock, needs to be carried on.
 *
 * A work begins as soon as enough nodes are there, is stepped by answers and by time, and lives on
 * until it has nothing to clean up, also when its operation is done.
 *
 *     due -> begun -> (operation done) -> lingering -> given back
 *       \-> unready -^
 *
 * Works come from a pool; `use` tells one use of the memory from the next, so that an answer that
 * comes late is nobody's. */
#ifndef TENURE_STORE_REDIS_WORK_H
#define TENURE_STORE_REDIS_WORK_H

#include "base/map.h"
#include "quorum/acquire.h"
#include "quorum/release.h"
#include "quorum/renewal.h"
#include "store/redis/node.h"

/* How wrong the rates of clocks may be. */
#define REDIS_CLOCK_ERROR_PPM 10000u
/* Waiters that are named when somebody looks at a lock. */
#define REDIS_WAITER_COUNT_MAX 32u

enum redis_work_kind {
    WORK_ACQUIRE,
    WORK_RENEWAL,
    WORK_RELEASE, /* and break */
    WORK_LOOK,
    WORK_LIST,
    WORK_INFO,
};

/* What one node knows of a lock; its texts are copied behind those of the work. */
struct redis_sight {
    bool is_open; /* it has not answered yet */
    bool is_answered;
    struct quorum_sight sight;
    size_t owner_at;
    size_t meta_at;
    size_t waiters_at; /* waiters_here texts, one behind the other */
    uint32_t waiters_here;
    uint64_t tickets[REDIS_WAITER_COUNT_MAX];
};

/* The asking of all nodes what they know of a lock. */
struct redis_look {
    uint32_t open_count;
    uint32_t serial;
    struct mono begun_at;
    struct mono until;
    struct redis_sight sights[QUORUM_NODE_COUNT_MAX];
};

/* What a look is for. */
enum redis_look_purpose {
    LOOK_INSPECT,
    LOOK_OBSTACLE, /* an acquire was refused: who is in the way? */
    LOOK_TTL,      /* a renewal that keeps the ttl as it is */
};

/* The asking of all nodes for the names that they know. */
struct redis_scan {
    uint32_t open_count;
    uint32_t told_count; /* nodes that have told all */
    uint32_t name_count;
    uint32_t name_index;
    struct buffer pattern;
    struct buffer names; /* each terminated, as they came */
    struct buffer order; /* of const char *: the names, sorted, each once */
};

/* The claims of one renewal and what has become of them. */
struct redis_renewing {
    struct redis *redis;
    struct store_op *op; /* NULL: done */
    uint32_t open_count;
    uint32_t count;
    struct store_renewal renewals[];
};

/* One operation: what src/quorum needs to carry it on, also when nobody waits for it any more. */
struct redis_work {
    struct redis *redis;
    enum redis_work_kind kind;
    uint64_t use;             /* counts up when the struct is taken and when it is given back */
    struct list link;         /* in redis->works, ->lingering or ->spare */
    struct list due;          /* in redis->due: to be looked after before the loop sleeps */
    struct heap_node timer;   /* always in redis->timers while it is in use */
    struct map_node by_owner; /* acquire: it is woken by owner */
    struct store_op *op;      /* NULL: nobody waits for it (any more) */
    struct redis_renewing *renewing; /* renewal: instead of `op` */
    uint32_t claim_index;
    enum redis_look_purpose purpose;
    bool is_begun;
    bool is_canceled;
    bool is_mapped;   /* in redis->owners */
    unsigned failing; /* bit n: the call to node n could not be sent … */
    uint32_t failing_serials[QUORUM_NODE_COUNT_MAX]; /* … this one */
    uint32_t ttl_ms;
    uint64_t token;
    struct mono begin_at; /* not before */
    struct mono deadline_of_step;
    struct mono give_up_answered_at; /* acquire: instead, once a majority has answered */
    struct mono give_up_at;          /* the caller must have an answer by then */
    enum tenure_err err_kept;        /* look for an obstacle: of the acquire */
    enum tenure_err owner_err; /* the hold is there, but not this owner's, or not with this token */
    const struct redis_trouble *trouble; /* what a node had against the name … */
    unsigned troubled;                   /* … bit n: node n */
    size_t name_size;
    size_t owner_size;
    size_t meta_size;
    struct buffer texts; /* name, owner, meta, each terminated; then what a look has read */
    union {
        struct quorum_acquire acquire;
        struct quorum_renewal renewal;
        struct quorum_release release;
        struct redis_look look;
    } as;
    struct redis_scan scan; /* list */
};

/* ---- work.c */

/* NULL: no memory.  It begins as soon as enough nodes are there. */
MUST_USE struct redis_work *tni_redis_work_create(
    struct redis *redis,
    enum redis_work_kind kind,
    struct store_op *op,
    const struct store_claim *texts, /* name and owner; NULL members: "" */
    const char *meta);
/* Give it back: what is still under way for it is nobody's. */
void tni_redis_work_end(struct redis_work *work);
/* Look after it before the loop sleeps. */
void tni_redis_work_due(struct redis_work *work);
void tni_redis_work_run(struct redis_work *work, struct mono now);
/* Nobody waits for it any more: it gives back what it may have, or is over at once. */
void tni_redis_work_abandon(struct redis_work *work);
/* Too few nodes have answered, or too late.  True: there is still time, and the same is done once
 * more, in a moment, when a majority is there; nobody waits for this work any more. */
MUST_USE bool tni_redis_try_again(struct redis_work *work);
/* Let something happen to the machine behind it; `event->now` left 0: this happens now. */
void tni_redis_work_step(struct redis_work *work, struct quorum_event *event);
/* The answer to a call; it arrived at `now`. */
void tni_redis_work_answer(
    struct redis_work *work,
    const struct redis_flight *flight,
    struct mono now,
    const struct quorum_value *values,
    size_t count);
/* The node said no, or (NULL) nothing will come. */
void tni_redis_work_refused(
    struct redis_work *work,
    uint32_t node,
    const struct redis_flight *flight,
    const struct redis_trouble *trouble);
void tni_redis_work_woken(struct redis *redis, uint32_t node, struct bytes message);
void tni_redis_work_on_time(struct redis_work *work, struct mono now);
/* When the machine behind it wants to be looked after. */
void tni_redis_work_set_deadline(struct redis_work *work, struct mono deadline);
/* Those of its calls, but for the pass. */
struct quorum_texts tni_redis_work_texts(const struct redis_work *work);
const char *tni_redis_work_name(const struct redis_work *work);
const char *tni_redis_work_owner(const struct redis_work *work);
const char *tni_redis_work_meta(const struct redis_work *work);
/* The operation behind it is done with this result. */
void tni_redis_work_finish(struct redis_work *work, const struct store_result *result);
/* … with just this outcome; `text` NULL: that of the nodes. */
void tni_redis_work_fail(struct redis_work *work, enum tenure_err err, const char *text);

/* ---- hold.c */

void tni_redis_start_acquire(struct redis *redis, struct store_op *op);
void tni_redis_start_renew(struct redis *redis, struct store_op *op);
void tni_redis_start_proclaim(struct redis *redis, struct store_op *op);
void tni_redis_start_release(struct redis *redis, struct store_op *op);
void tni_redis_start_break(struct redis *redis, struct store_op *op);
/* Names of our own keys are taken.  False: it ends with that. */
MUST_USE bool tni_redis_check_name(struct redis *redis, struct store_op *op, const char *name);
/* Nobody waits for this renewal any more. */
void tni_redis_renewing_abandon(struct redis_renewing *renewing);
/* Enough nodes are there. */
void tni_redis_hold_begin(struct redis_work *work, struct mono now);
/* The machine behind it has come to a result. */
void tni_redis_hold_result(struct redis_work *work, const struct quorum_result *result);
/* One claim of a renewal is settled. */
void tni_redis_renewed(
    struct redis_work *work, const struct store_renewal *renewal, const char *text);

/* ---- look.c */

void tni_redis_start_inspect(struct redis *redis, struct store_op *op);
/* Ask all nodes for the lock of this name, which is the work's own or one of a list. */
void tni_redis_look_begin(struct redis_work *work, struct bytes name);
/* The name that this call asks about; False: nobody waits for its answer any more. */
MUST_USE bool tni_redis_look_name(
    const struct redis_work *work, const struct quorum_call *call, struct bytes *out_name);
void tni_redis_look_answer(
    struct redis_work *work,
    const struct quorum_call *call,
    const struct quorum_value *values,
    size_t count);
void tni_redis_look_refused(struct redis_work *work, const struct quorum_call *call);
void tni_redis_look_on_time(struct redis_work *work, struct mono now);
/* What a look of a list has come to; as tni_redis_view, and the outcome where too few have
 * answered. */
MUST_USE enum tenure_err
tni_redis_look_result(struct redis_work *work, const char *name, struct store_lock_view *out_view);
/* Who is in the way of an acquire that was refused with `err`? */
void tni_redis_look_for_obstacle(struct redis_work *work, enum tenure_err err);

/* ---- view.c */

/* What the nodes know together; the texts lie in redis->view.  TENURE_NOT_FOUND: nobody has the
 * lock or waits for it.  TENURE_NO_MEMORY. */
MUST_USE enum tenure_err
tni_redis_view(struct redis_work *work, const char *name, struct store_lock_view *out_view);

/* ---- list.c */

void tni_redis_start_list(struct redis *redis, struct store_op *op);
void tni_redis_list_begin(struct redis_work *work);
void tni_redis_scan_answer(struct redis_work *work, uint32_t node, struct reply *reply);
void tni_redis_scan_refused(struct redis_work *work);
/* One lock of the list was looked at. */
void tni_redis_list_seen(struct redis_work *work);

/* ---- info.c */

void tni_redis_start_info(struct redis *redis, struct store_op *op);
void tni_redis_info_tell(struct redis_work *work);

#endif
