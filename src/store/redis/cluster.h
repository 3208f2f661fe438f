/* cluster - what the files of the Redis store share (redis.h). */
#ifndef TENURE_STORE_REDIS_CLUSTER_H
#define TENURE_STORE_REDIS_CLUSTER_H

#include "net/tls.h"
#include "quorum/admission.h"
#include "store/redis/address.h"
#include "store/redis/command.h"
#include "store/redis/node.h"
#include "store/redis/redis.h"
#include "store/redis/work.h"

#define REDIS_CHANNEL_SIZE 32u

#define REDIS_EVENT_CHANNEL "tenure:events"  /* what clients tell each other (news.c) */
#define REDIS_BREAK_CHANNEL "tenure:breaks"  /* that an administrator has ended a hold */
#define REDIS_WATCH_CHANNEL "tenure:watched" /* that somebody listens to the events */

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
    struct mono now; /* when something happened to a work last, on both clocks */
    struct wall wall;

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
    struct list done;    /* operations that end without an answer … */
    struct list ending;  /* … those of them that are being told */
    struct map owners;
    struct heap timers;
    struct list watches;
    struct list telling;          /* those of them that have yet to be told what is being told */
    struct mono news_at;          /* when to say again that somebody listens */
    struct redis_command command; /* what is being sent */
    struct buffer values;         /* of a reply */
    struct buffer view;           /* of a lock, for people */

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
/* What so many nodes say that no majority is left; TENURE_OK: nothing. */
enum tenure_err tni_redis_complaint(const struct redis *redis, char *out_text, size_t size);
/* What is wrong, node by node, for people. */
void tni_redis_explain(const struct redis *redis, char *out_text, size_t size);
/* What the store promises, as far as its nodes have told. */
void tni_redis_judge_safety(struct redis *redis);
const char *tni_redis_standing_word(enum quorum_standing standing);

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
