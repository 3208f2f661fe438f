/* oracle - what must be true: the ledger of all records (ledger.c), the rules
 * for each step (oracle.c) and for each answer (answers.c), and what a restart
 * must find again (ledger.c). */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "base/buffer.h"
#include "sim/client.h"

struct world;

/* One grant as the records tell it. */
struct grant {
    uint32_t name, owner;
    struct token token;
    enum engine_mode mode;
    uint32_t slot, slots, ttl_ms, lock_delay_ms;
    struct seq seq;
    struct seq ended_seq; /* 0 = lives */
    enum record_kind ended;
    bool is_durable;
    struct seq terms_seq; /* of the last record about its ttl or its end */
    bool is_breaking;
    bool is_given_up; /* its owner has asked to end it */
    uint32_t grace_ms;
    int64_t base_ns; /* receivable time from which its ttl counts */
    int64_t break_base_ns;
};

/* One request in the queues, as the engine has to see it. */
struct wait {
    uint64_t connection, tag;
    uint32_t owner;
    uint32_t names[WORLD_NAME_COUNT_MAX];
    uint32_t name_count;
    uint32_t granted_count; /* in this update */
    bool is_answered;       /* in this update */
    uint64_t number;        /* order of arrival */
    int64_t order_ns;       /* receivable time of arrival minus what the priority is
                               worth */
    int64_t since_ns, arrived_ns;
    uint32_t wait_ms, priority, ttl_ms;
    enum engine_mode mode;
};

/* Where a batch ends, and what the state was there. */
struct cut {
    struct seq last;
    uint64_t hash;
};

struct oracle {
    struct buffer history; /* every record made, in order */
    size_t *offsets;       /* of record number seq - 1 */
    size_t offset_capacity;
    uint64_t last;        /* seq of the last record in it */
    uint64_t last_before; /* and before this step */
    struct cut *cuts;
    uint32_t cut_count, cut_capacity;
    struct grant *grants;
    uint32_t grant_count, grant_capacity;
    uint32_t live_from; /* all grants before have ended */
    struct token token_high;
    struct seq acked;     /* something that depends on it has left the process */
    struct seq submitted; /* handed to the journal */
    struct seq durable;   /* the journal said so */
    bool is_marked;       /* and knows that it was acknowledged */
    bool has_delay[WORLD_NAME_COUNT_MAX];
    int64_t delay_until_ns[WORLD_NAME_COUNT_MAX]; /* receivable time */
    uint64_t name_last[WORLD_NAME_COUNT_MAX];     /* seq of the last record about it */
    struct wait waits[2 * WORLD_REQUEST_COUNT_MAX];
    uint32_t wait_count;
};

void oracle_init(struct world *world);
void oracle_deinit(struct world *world);
/* After each step of the engine.  `request` is the command's, or NULL. */
void oracle_update(
    struct world *world,
    const struct engine_event *event,
    struct request *request,
    const struct engine_update *update,
    uint64_t hash_before);
/* A batch was cut: remember the state. */
void oracle_cut(struct world *world);
/* Timers have run: nothing that is due may be left. */
void oracle_after_timers(struct world *world);
void oracle_durable(struct world *world, struct seq durable);
/* A reply has left the process. */
void oracle_released(struct world *world, struct seq seq);
/* The process is gone: nobody waits any more. */
void oracle_crashed(struct world *world);
/* Recovery is over: compare with what was promised. */
void oracle_recovered(struct world *world);
void oracle_check_window(struct world *world);
void oracle_check_replay(struct world *world);
/* The grant that `owner` has of `name` now; NULL when none. */
struct grant *oracle_grant(struct world *world, uint32_t name, uint32_t owner);
struct grant *oracle_grant_by_token(struct world *world, uint32_t name, struct token token);
/* Batches handed over in recovery, compared with what was written. */
enum tenure_err oracle_batch(struct world *world, struct seq first, struct bytes records);

#endif
