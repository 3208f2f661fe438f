/* job - queues in the simulated world: who puts and takes, and what must be true of it.
 *
 *   job_client.c   what clients ask of queues, and what workers believe to have
 *   job_ledger.c   the items as the records tell them, and nothing else
 *   job_oracle.c   may this record be there?  order, turns, limits, leases
 *   job_answers.c  is this answer true?
 *
 * The invariants are J1 … J9 of docs/testing.md. */
#ifndef TESTS_SIM_JOB_H
#define TESTS_SIM_JOB_H

#include "engine/queues.h"

#define JOB_QUEUE_COUNT   2u
#define JOB_GROUP_COUNT   3u
#define JOB_KEY_COUNT     2u
#define JOB_NO_KEY        JOB_KEY_COUNT
#define JOB_ID_SIZE       24u
#define JOB_PUT_COUNT_MAX 3u
#define JOB_COUNT_MAX     120u /* items in the engine */
#define JOB_WAIT_MAX      256u
#define JOB_BELIEF_MAX    128u

struct world;
struct request;

/* One item, from the records. */
struct job {
    uint32_t queue, group, key;
    char id[JOB_ID_SIZE];
    uint64_t number;   /* of its put */
    uint64_t last_seq; /* of the last record about it */
    enum item_state state;
    bool is_ready_for_sure; /* state DELAYED or READY: a take may not pass it */
    bool is_kept_back, has_key, is_cancelling;
    struct item_terms terms;
    int64_t order_us, put_at_us, ended_at_us;
    int64_t ready_ns; /* true time; WORLD_NEVER while it is kept back */
    int64_t timer_ns; /* true time of its expiry, or of being forgotten */
    uint32_t attempts, lapses;
    struct token token;
    enum record_kind ending; /* how the last lease ended; 0 = it did not */
    uint32_t lease_ms;
    uint64_t taken_seq;
    bool is_durable;
    int64_t deadline_ns, timeout_ns; /* receivable time; while it is durable */
    bool is_bound, is_orphan;
    uint64_t connection;
    uint32_t grace_ms;
};

/* What was taken once was taken in time. */
static inline bool job_can_expire(const struct job *job)
{
    return job->terms.expires_at_us > 0 && job->token.value == 0;
}

struct job_group {
    bool is_paused, has_limits;
    struct group_limits limits;
    int64_t rate_us;                  /* the same, wall, while a history is read */
    int64_t rate_ns;                  /* true time: when the next take would be on time */
    bool is_able;                     /* it can give, for sure, and could all the time since … */
    uint32_t passed[JOB_GROUP_COUNT]; /* … these counts of takes by others began */
};

struct job_queue {
    bool is_paused;
    bool is_unsettled; /* new limits may not have reached all groups before the next timers */
    struct group_limits limits;
    struct job_group groups[JOB_GROUP_COUNT];
    uint64_t last_seq;
};

/* A request that waits: for items, or for the end of one. */
struct job_wait {
    uint64_t connection, tag;
    uint64_t number; /* of arrival */
    bool is_await;
    uint64_t awaited; /* the number of that item */
    uint32_t queues[JOB_QUEUE_COUNT], queue_count;
    int64_t since_ns; /* receivable time */
    uint32_t wait_ms;
    uint32_t grace_ms;
    bool is_bound;
    bool is_answered; /* in this update */
};

/* What a worker thinks it has. */
struct job_belief {
    bool is_used, is_working;
    bool is_fixed; /* it has asked for another lease: answers to older requests count no more */
    uint32_t client, queue;
    char id[JOB_ID_SIZE];
    uint64_t number;
    struct token token;
    uint32_t lease_ms;
    bool is_bound;
    int64_t valid_until_ns; /* true time */
    int64_t latest_ns;      /* however often it is extended */
    int64_t next_ns;        /* when it says something */
};

/* Its result left the process: nobody may run it again. */
struct job_effect {
    uint32_t queue;
    uint64_t number;
    struct token token;
};

struct jobs {
    struct job *items;
    uint32_t count, capacity;
    struct job_queue queues[JOB_QUEUE_COUNT];
    int64_t order_us;
    struct job_wait waits[JOB_WAIT_MAX];
    uint32_t wait_count;
    struct job_belief beliefs[JOB_BELIEF_MAX];
    struct job_effect *effects;
    uint32_t effect_count, effect_capacity;
    uint64_t next_id;
    uint64_t replaced_seq; /* of the last item that made room for one with its key */
    uint32_t replaced_key;
    bool is_replaying; /* a history is read again: nothing is judged */
};

/* What a request wants of queues. */
struct job_ask {
    uint32_t put_count;
    struct {
        uint32_t group, key, body_size;
        char id[JOB_ID_SIZE]; /* "" = made */
        struct item_terms terms;
    } puts[JOB_PUT_COUNT_MAX];
    uint32_t queue; /* the only or first one */
    uint32_t queue_count;
    uint32_t group;
    bool is_whole;
    char id[JOB_ID_SIZE];
    struct token token;
    uint32_t count_max, lease_ms, grace_ms, delay_ms;
    bool is_bound, is_binding, is_free, has_progress;
    enum item_state state;
    struct group_limits limits;
};

/* An answer about an item. */
struct job_reply {
    enum tenure_err err;
    uint32_t queue;
    char id[JOB_ID_SIZE]; /* "" = none */
    uint64_t number;
    struct token token;
    enum item_state state;
    uint32_t lease_ms;
    uint32_t timeout_ms;
    int64_t remaining_ms;
    bool is_repeat, is_cancelling;
};

/* --- job_client.c */
void job_init(struct world *world);
void job_deinit(struct world *world);
/* Draw one thing that this client does with queues now. */
void job_act(struct world *world, uint32_t client);
void job_replied(struct world *world, const struct request *request);
/* Workers that have something to say. */
void job_turn(struct world *world);
int64_t job_next_ns(const struct world *world);
void job_disconnected(struct world *world, uint32_t client);
/* In the calm: what is left is taken and done. */
void job_give_back(struct world *world);
/* Nothing is left to do. */
bool job_is_still(const struct world *world);
struct bytes job_queue_name(uint32_t queue);
struct bytes job_group_name(uint32_t group);
/* The command of a request; texts are static until the next call. */
void job_command(const struct request *request, struct engine_command *out_command);

/* --- job_ledger.c */
struct job *job_find(struct world *world, uint32_t queue, struct bytes id);
struct job *job_by_number(struct world *world, uint64_t number);
/* Make true what the record says. */
void job_ledger_apply(struct world *world, const struct record *record);
/* Before a history is read again from its start, and behind it. */
void job_ledger_reset(struct world *world);
void job_ledger_restarted(struct world *world);
uint32_t job_queue_number(struct world *world, struct bytes name);
uint32_t job_group_number(struct world *world, struct bytes name);
const struct group_limits *job_limits(const struct world *world, uint32_t queue, uint32_t group);
uint32_t
job_count(const struct world *world, uint32_t queue, uint32_t group, enum item_state state);
/* When the timer of an item fires, in true time, if it is set now for that wall time. */
int64_t job_timer_ns(const struct world *world, int64_t at_us);

/* --- job_oracle.c */
/* A record of queues: may it be there?  Then it is applied. */
void job_record(
    struct world *world,
    const struct engine_event *event,
    const struct request *request,
    const struct record *record);
/* Time has passed in this event: what is due becomes ready. */
void job_pass(struct world *world);
void job_after_timers(struct world *world);
void job_durable(struct world *world);
/* A lease that is known to its worker begins, or begins anew. */
void job_begin_lease(const struct world *world, struct job *job);
void job_gone(struct world *world, uint64_t connection);
/* Nobody waits although there is something for him. */
void job_check_idle(struct world *world);
/* Which groups can give now, for sure. */
void job_judge(struct world *world);

/* --- job_answers.c */
struct job_before {
    bool is_held; /* the claim of the command is a lease */
    bool was_known;
    enum record_kind ending;
    struct token token;
    bool is_taken;
    uint64_t waiting_first; /* how many waited at its queues */
};
struct job_before job_look_before(struct world *world, const struct request *request);
void job_check_own(
    struct world *world,
    const struct request *request,
    const struct engine_reply *reply,
    const struct job_before *before);
void job_check_wait(struct world *world, const struct engine_reply *reply);
void job_mark_answered(struct world *world, const struct engine_update *update);
void job_wait_add(struct world *world, struct request *request);
void job_wait_remove(struct world *world, uint64_t connection, uint64_t tag);
void job_copy_reply(
    struct world *world, const struct engine_item_result *from, struct job_reply *out);

#endif
