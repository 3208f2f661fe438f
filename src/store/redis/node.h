/* node - one Redis server: the connection to it, made again and again, and what is under way there.
 *
 *     resting -> connecting -> greeting -> up -> resting …
 *
 * Calls to a node that is not up fail at once.  The answers come in the order of the calls; each is
 * handed to the work that asked, if that is still about it: works are kept in a pool and never
 * given back before the end, and each use has a number of its own. */
#ifndef TENURE_STORE_REDIS_NODE_H
#define TENURE_STORE_REDIS_NODE_H

#include "quorum/admission.h"
#include "store/link.h"
#include "store/redis/trouble.h"

struct redis;
struct redis_work;

enum redis_flight_kind {
    FLIGHT_WORK,      /* a call of a work */
    FLIGHT_ADMISSION, /* a call of the admission */
    FLIGHT_SCAN,      /* names, for a work */
    FLIGHT_NOTHING,   /* nobody wants the answer */
    FLIGHT_LOAD,      /* of a script */
    FLIGHT_MARK,      /* behind a SUBSCRIBE, which has no answer of its own: this one must come */
};

struct redis_flight {
    enum redis_flight_kind kind;
    bool is_missed;      /* it was told as late */
    uint8_t again_count; /* so often the server had forgotten its scripts */
    struct redis_work *work;
    uint64_t use; /* of the work, when it was sent */
    struct quorum_call call;
    struct mono sent_at;
};

struct redis_flights {
    struct redis_flight *ring;
    uint32_t start;
    uint32_t count;
    uint32_t capacity; /* a power of two, or 0 */
};

/* What a node has said of itself when it was greeted. */
struct redis_self {
    char run_id[QUORUM_RUN_ID_SIZE_MAX + 1];
    char version[24];
    char role[16];
    char policy[24];
    bool is_aof;
    bool is_fsync_always;
    bool is_fsync_known;
    bool is_promoted;
    bool is_cluster;
    uint64_t uptime_ms;
    uint64_t replica_count;
    int64_t clock_offset_ms; /* its wall clock less ours */
};

struct redis_node {
    struct redis *redis;
    uint32_t index;
    struct link_address address;
    uint32_t address_index;
    struct link *link; /* NULL: none is being made */
    bool is_dirty;     /* has output to flush */
    bool is_enabled;   /* its address is known */
    bool is_told_up;   /* the admission knows of this connection */
    bool is_watched;   /* somebody there wants events */
    bool is_twin;      /* another node was the same server when this one was greeted last */
    uint32_t greeting_step;
    uint32_t subscription_count; /* while greeting: pushes that tell of channels */
    struct mono greeted_at;      /* when its clock was asked */
    struct mono up_at;
    struct mono retry_at; /* INT64_MAX: not now */
    struct mono watched_until;
    struct mono sweep_at;
    uint64_t sweep_cursor;
    uint32_t failure_count;
    struct redis_flights flights;
    uint32_t loading_count;              /* scripts that are being loaded again */
    struct redis_self self;              /* as of the last greeting */
    const struct redis_trouble *refusal; /* why it refuses us; NULL: it does not */
    const struct redis_trouble *said; /* the last script ended with this error; NULL: it did not */
    char trouble[240];                /* what went wrong last; empty: nothing since it is up */
};

void tni_redis_node_init(struct redis *redis, struct redis_node *node, uint32_t index);
/* Closes the connection.  What is under way is not told. */
void tni_redis_node_deinit(struct redis_node *node);
/* The address is another one now, or is known at last. */
void tni_redis_node_move(struct redis_node *node, const struct link_address *address);
/* Drop the connection: everything under way has failed, another is made after a pause. */
void tni_redis_node_break(struct redis_node *node, const char *text);
/* Make a connection if it is time, and drop one on which nobody answers. */
void tni_redis_node_on_time(struct redis_node *node, struct mono now);
/* When that is due; INT64_MAX: never. */
struct mono tni_redis_node_deadline(const struct redis_node *node);

static inline bool tni_redis_node_is_up(const struct redis_node *node)
{
    return tni_link_is_up(node->link);
}

/* Send a call, which is what redis->command says.  False: it cannot be sent, and no answer will
 * come. */
MUST_USE bool tni_redis_node_call(
    struct redis_node *node,
    struct redis_work *work, /* NULL: the admission's */
    const struct quorum_call *call,
    struct bytes pass,
    struct mono now);
/* Ask for names of locks: one step of SCAN from `cursor`. */
MUST_USE bool tni_redis_node_scan(
    struct redis_node *node, struct redis_work *work, struct bytes cursor, struct bytes pattern);
/* PUBLISH. */
void tni_redis_node_publish(struct redis_node *node, struct bytes channel, struct bytes message);
/* SUBSCRIBE or UNSUBSCRIBE. */
void tni_redis_node_subscribe(struct redis_node *node, const char *verb, struct bytes channel);

/* ---- greeting.c */

/* The questions to a server that was just reached. */
void tni_redis_greet(struct redis_node *node, struct link *link);
/* An answer to one of them. */
void tni_redis_greeted(struct redis_node *node, struct link *link, struct reply *reply);
/* "127.0.0.1:6379" */
const char *tni_redis_node_name(const struct redis_node *node, char *out_text, size_t size);

#endif
