/* cluster - what the files of the Redis store share (redis.h). */
#ifndef TENURE_STORE_REDIS_CLUSTER_H
#define TENURE_STORE_REDIS_CLUSTER_H

#include "base/map.h"
#include "quorum/acquire.h"
#include "quorum/admission.h"
#include "quorum/release.h"
#include "quorum/renewal.h"
#include "store/redis/address.h"
#include "store/redis/node.h"
#include "store/redis/redis.h"

#define REDIS_CHANNEL_SIZE 32u

/* How wrong the rates of clocks may be. */
#define REDIS_CLOCK_ERROR_PPM 10000u
/* Waiters that are named when somebody looks at a lock. */
#define REDIS_WAITER_COUNT_MAX 32u

#define REDIS_EVENT_CHANNEL "tenure:events"  /* what clients tell each other (news.c) */
#define REDIS_BREAK_CHANNEL "tenure:breaks"  /* that an administrator has ended a hold */
#define REDIS_WATCH_CHANNEL "tenure:watched" /* that somebody listens to the events */

/* ------------------------------------------------------------------ works */

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
    struct mono deadline_of_step;
    struct mono give_up_at;    /* the caller must have an answer by then */
    enum tenure_err err_kept;  /* look for an obstacle: of the acquire */
    enum tenure_err owner_err; /* the hold is there, but not this owner's, or not with this token */
    const struct redis_trouble *trouble; /* what a node had against the name */
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

struct redis_sentinel;

struct redis {
    struct store store;
    uv_loop_t *loop;
    const struct memory *memory;
    struct redis_address address;
    struct tls *tls; /* NULL: plain */
    char channel[REDIS_CHANNEL_SIZE];
    char config[QUORUM_CONFIG_SIZE_MAX + 1];
    uint64_t random;
    uint64_t token_known;
    struct mono opened_at;

    uint32_t node_count;
    struct redis_node nodes[QUORUM_NODE_COUNT_MAX];
    struct pace paces[QUORUM_NODE_COUNT_MAX];
    struct quorum_admission admission;
    struct mono admission_at;
    struct redis_sentinel *sentinel; /* NULL: none */
    char fatal[200];                 /* why these nodes cannot be used together; empty: they can */

    struct list works;
    struct list lingering; /* works that only clean up; the oldest first */
    uint32_t lingering_count;
    struct list spare;
    struct list due;
    struct list unready; /* not begun: until enough nodes are there; linked by `due` */
    struct list done;    /* operations that end without an answer */
    struct map owners;
    struct heap timers;
    struct list watches;
    struct mono news_at;  /* when to say again that somebody listens */
    struct buffer values; /* of a reply */
    struct buffer view;   /* of a lock, for people */

    bool is_closed;
    bool is_dirty;
    unsigned open_count; /* handles and links that the loop still knows */
    uv_timer_t timer;
    struct mono armed_at; /* for what the timer is set */
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while something is due: the loop must not sleep */
};

/* ---- redis.c */

uint64_t tni_redis_random(struct redis *redis);
/* A link or a handle is gone. */
void tni_redis_let_go(void *context);
/* There is output. */
void tni_redis_touch(struct redis *redis);
/* The loop must come by again before it sleeps. */
void tni_redis_stay_awake(struct redis *redis);
/* An operation ends with `err`, soon.  It is not behind any work any more. */
void tni_redis_end_soon(
    struct redis *redis, struct store_op *op, enum tenure_err err, const char *text);

/* ---- standing.c */

/* The admission has something new to judge by. */
void tni_redis_admission_step(struct redis *redis, struct quorum_admission_event *event);
/* A majority votes. */
bool tni_redis_is_ready(const struct redis *redis);
/* What can be known of the nodes at this time is known. */
bool tni_redis_is_settled(const struct redis *redis);
/* Why no majority is going to vote, however long one waits; TENURE_OK: it may. */
enum tenure_err tni_redis_refusal(const struct redis *redis, char *out_text, size_t size);
/* What is wrong, node by node, for people. */
void tni_redis_explain(const struct redis *redis, char *out_text, size_t size);
/* What the store promises, as far as its nodes have told. */
void tni_redis_judge_safety(struct redis *redis);
const char *tni_redis_standing_word(enum quorum_standing standing);

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
void tni_redis_work_run(struct redis_work *work);
void tni_redis_work_begin(struct redis_work *work);
/* Nobody waits for it any more: it gives back what it may have, or is over at once. */
void tni_redis_work_abandon(struct redis_work *work);
/* Let something happen to the machine behind it. */
void tni_redis_work_step(struct redis_work *work, struct quorum_event *event);
void tni_redis_work_answer(
    struct redis_work *work,
    uint32_t node,
    const struct redis_flight *flight,
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
struct quorum_texts tni_redis_work_texts(const struct redis_work *work, struct bytes pass);
const char *tni_redis_work_name(const struct redis_work *work);
const char *tni_redis_work_owner(const struct redis_work *work);
const char *tni_redis_work_meta(const struct redis_work *work);
/* The operation behind it is done with this result. */
void tni_redis_work_finish(struct redis_work *work, const struct store_result *result);
/* … with an error; `text` NULL: that of the nodes. */
void tni_redis_work_fail(struct redis_work *work, enum tenure_err err, const char *text);

/* ---- hold.c */

void tni_redis_start_acquire(struct redis *redis, struct store_op *op);
void tni_redis_start_renew(struct redis *redis, struct store_op *op);
void tni_redis_start_release(struct redis *redis, struct store_op *op);
void tni_redis_start_break(struct redis *redis, struct store_op *op);
/* Nobody waits for this renewal any more. */
void tni_redis_renewing_abandon(struct redis_renewing *renewing);
/* Enough nodes are there. */
void tni_redis_hold_begin(struct redis_work *work);
/* The machine behind it has come to a result. */
void tni_redis_hold_result(struct redis_work *work, const struct quorum_result *result);
/* One claim of a renewal is settled. */
void tni_redis_renewed(
    struct redis_work *work, const struct store_renewal *renewal, const char *text);

/* ---- look.c */

void tni_redis_start_inspect(struct redis *redis, struct store_op *op);
/* Ask all nodes for the lock of this name, which is the work's own or one of a list. */
void tni_redis_look_begin(struct redis_work *work, struct bytes name);
void tni_redis_look_answer(
    struct redis_work *work,
    const struct quorum_call *call,
    const struct quorum_value *values,
    size_t count);
void tni_redis_look_refused(struct redis_work *work, const struct quorum_call *call);
void tni_redis_look_on_time(struct redis_work *work, struct mono now);
/* Who is in the way of an acquire that was refused with `err`? */
void tni_redis_look_for_obstacle(struct redis_work *work, enum tenure_err err);

/* ---- view.c */

/* What the nodes know together; the texts lie in redis->view.  False: nobody has the lock or waits
 * for it. */
MUST_USE bool
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

/* ---- news.c */

enum tenure_err tni_redis_watch(struct store *store, struct store_watch *watch);
void tni_redis_unwatch(struct store *store, struct store_watch *watch);
void tni_redis_news_tell(
    struct redis_work *work, const char *kind, uint64_t token, const char *reason);
void tni_redis_news_up(struct redis_node *node);
/* A message of another client, or of this one; `is_break`: on the channel of breaks. */
void tni_redis_news_heard(struct redis *redis, const char *message, bool is_break);
/* Tell watches that they have begun, or begun again. */
void tni_redis_news_begin(struct redis *redis);
void tni_redis_unwatch_all(struct redis *redis);
/* Somebody listens on this node. */
void tni_redis_news_wanted(struct redis_node *node);
void tni_redis_news_on_time(struct redis *redis, struct mono now);

/* ---- sentinel.c */

/* NULL: no memory. */
MUST_USE struct redis_sentinel *tni_redis_sentinel_create(struct redis *redis);
void tni_redis_sentinel_destroy(struct redis_sentinel **sentinel);
void tni_redis_sentinel_on_time(struct redis_sentinel *sentinel, struct mono now);
struct mono tni_redis_sentinel_deadline(const struct redis_sentinel *sentinel);
/* What is wrong with the sentinels; empty: nothing. */
const char *tni_redis_sentinel_trouble(const struct redis_sentinel *sentinel);

#endif
