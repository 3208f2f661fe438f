/* mode - what a slot of the load generator says to a server, and which answers it accepts.
 *
 * A slot is one simulated caller: it has at most one request under way and goes through the same
 * steps for ever.  All modes use the same names and owners, of the same size, so that the servers
 * that are compared carry the same load.  Every answer is read and judged; one that is not exactly
 * what a working lock server says to an uncontended caller is an error of the whole run. */
#ifndef TENURE_BENCH_MODE_H
#define TENURE_BENCH_MODE_H

#include "link.h"

#define MODE_RENEW_BATCH  100u
#define MODE_NAME_SIZE    20u
#define MODE_OWNER_SIZE   31u
#define MODE_ITEM_ID_SIZE 24u
/* Nine digits of a name and five of an owner bound these. */
#define MODE_NAME_COUNT_MAX UINT64_C(999999999)
#define MODE_SLOT_COUNT_MAX 99999u

struct mode_slot {
    uint32_t index;
    uint32_t step;  /* within the cycle; 0 begins one */
    uint64_t turn;  /* cycles begun before this one; with `index` it gives name and owner */
    uint64_t turns; /* how many names belong to this slot: name = index + slots * (turn % turns) */
    uint64_t token; /* of the hold, where the server gives one */
    char item[MODE_ITEM_ID_SIZE]; /* the id of the item that was taken */
    uint8_t item_size;
    int64_t started_ns; /* when the cycle's first request was composed */
    bool is_prepared;   /* what must be there before cycles count is there */
};

/* What all slots of one run share. */
struct mode_run {
    const struct link_address *address;
    const char *path; /* of get-http */
    uint64_t name_count;
    uint64_t ttl_ms;
    uint32_t slot_count;
    uint32_t run_id;      /* makes the owners of two runs differ */
    char script_sha[41];  /* redis: of the compare-and-delete script */
    uint64_t token_first; /* redis-vote: of the tokens that are proposed */
    char lease[24];       /* etcd: the one lease of the run */
    uint64_t *tokens;     /* renew: one for each name */
    uint64_t group_count; /* queue-fill: 0 for no groups */
    uint64_t delay_ms;    /* queue-fill: 0 for none */
    int64_t list_length;  /* redis-rpush: as the last answer said */
    uint64_t *items;      /* queues: see mode_item.h */
    uint64_t item_count;
};

enum mode_verdict {
    MODE_STEP,  /* right; the cycle goes on */
    MODE_CYCLE, /* right; the cycle is complete */
    MODE_WRONG, /* not the answer expected */
};

/* The answer in the form that the mode's protocol has; `raw` is all of it. */
struct mode_answer {
    const struct resp_reply *resp;
    const struct http_reply *http;
    struct bytes raw;
};

struct mode {
    const char *name;
    const char *summary;
    bool is_http;
    bool is_bean;     /* beanstalkd's protocol, read into the form of RESP */
    bool is_once;     /* each slot stops after one cycle for each of its names */
    bool is_put_else; /* takes the `--names` items that another run has put */
    /* Blocking set-up before the load; NULL for none.  False when the server refused. */
    bool (*prepare)(struct mode_run *run);
    /* Append the slot's next request. */
    void (*compose)(struct mode_run *run, struct mode_slot *slot, struct buffer *out);
    /* Judge the answer to it and move `slot->step` on. */
    enum mode_verdict (*judge)(
        struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer);
    bool needs_preparing; /* slots begin unprepared; `judge` says when they are */
    uint32_t units;       /* operations in one cycle, for modes where that is not plain */
};

/* NULL when there is no such mode. */
const struct mode *mode_find(const char *name);
/* The n-th mode, or NULL after the last. */
const struct mode *mode_at(size_t index);

void mode_name_write(
    const struct mode_run *run,
    const struct mode_slot *slot,
    uint64_t turn,
    char out_name[static MODE_NAME_SIZE]);
void mode_owner_write(
    const struct mode_run *run,
    const struct mode_slot *slot,
    uint64_t turn,
    char out_owner[static MODE_OWNER_SIZE]);
/* The last `size` decimal digits of `value`. */
void mode_digits_write(char *out_text, size_t size, uint64_t value);

extern const struct mode mode_redis;
extern const struct mode mode_redis_hold;
extern const struct mode mode_redis_vote;
extern const struct mode mode_tenured_resp;
extern const struct mode mode_hold;
extern const struct mode mode_renew;
extern const struct mode mode_tenured_http;
extern const struct mode mode_etcd;
extern const struct mode mode_get_http;
extern const struct mode mode_queue;
extern const struct mode mode_queue_put;
extern const struct mode mode_queue_fill;
extern const struct mode mode_queue_take;
extern const struct mode mode_queue_work;
extern const struct mode mode_bean;
extern const struct mode mode_redis_rpush;
extern const struct mode mode_state_set;
extern const struct mode mode_state_fill;
extern const struct mode mode_redis_set;

#endif
