/* model - the engine once more, as plainly as it can be said.
 *
 * Arrays, searched from end to end; no heaps, no indexes, nothing kept that can be computed.  It is
 * written from the contract (engine.h), not from the code, and runs beside the engine on random
 * commands.  Names and owners are numbers.
 *
 * The one thing it does not decide is which tokens independent grants of one step get: it takes the
 * engine's (model_set_tokens), after the test has seen that they rise. */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "engine/engine.h"

#define MODEL_NAME_COUNT       4u
#define MODEL_HOLD_COUNT_MAX   512u
#define MODEL_WAIT_COUNT_MAX   64u
#define MODEL_ENDING_COUNT_MAX 8192u
#define MODEL_OUT_COUNT_MAX    128u
#define MODEL_FOREVER          INT64_MAX

struct model_terms {
    uint32_t owner;
    enum engine_mode mode;
    uint32_t slots, ttl_ms, lock_delay_ms;
};

struct model_hold {
    struct model_terms terms;
    uint32_t name, slot;
    uint64_t token, number; /* number: of its record, to know when it is durable */
    bool is_live;           /* durable: its ttl runs */
    bool is_breaking;
    uint32_t grace_ms;
    int64_t deadline_ns, break_ns;
};

struct model_wait {
    struct model_terms terms;
    uint64_t client, tag, arrival;
    uint32_t names[MODEL_NAME_COUNT], name_count;
    int64_t order_ns, deadline_ns;
};

/* An end of a hold, or a grant: enough to answer what became of it. */
struct model_event {
    enum record_kind kind;
    uint32_t name, owner, slot;
    enum engine_mode mode;
    uint64_t token;
    bool is_transferred;
};

struct model_record {
    enum record_kind kind;
    uint32_t name, owner, slot, ttl_ms, lock_delay_ms;
    uint64_t token; /* of a grant: index of the hold + 1 until it is set */
};

struct model_result {
    enum tenure_err err;
    enum engine_end end;
    uint64_t token, successor;
    bool is_repeat;
};

struct model_reply {
    uint64_t client, tag;
    enum tenure_err err;
    uint32_t result_count;
    struct model_result results[MODEL_NAME_COUNT];
};

struct model {
    uint32_t hold_count_max, waiter_count_max, ageing_ms;
    struct model_hold holds[MODEL_HOLD_COUNT_MAX];
    uint32_t hold_count;
    struct model_wait waits[MODEL_WAIT_COUNT_MAX];
    uint32_t wait_count;
    uint64_t arrival_count;
    struct model_event events[MODEL_ENDING_COUNT_MAX];
    uint32_t event_count;
    uint32_t delay_ms[MODEL_NAME_COUNT]; /* 0 = none runs */
    int64_t delay_ns[MODEL_NAME_COUNT];
    enum engine_gate gate;
    int64_t time_ns;
    uint64_t number; /* of the last record */
    /* What the last event led to. */
    struct model_record records[MODEL_OUT_COUNT_MAX];
    uint32_t record_count;
    struct model_reply replies[MODEL_OUT_COUNT_MAX];
    uint32_t reply_count;
    bool is_waiting;
};

struct model_acquire {
    uint64_t client, tag;
    uint32_t names[MODEL_NAME_COUNT], name_count;
    struct model_terms terms;
    uint32_t wait_ms, priority;
};

struct model_claim {
    uint32_t name, owner;
    uint64_t token;
    uint32_t ttl_ms;
};

void model_init(struct model *model);
/* Every event begins so. */
void model_begin(struct model *model, int64_t time_ns);
/* … and ends so: whoever can be served is served. */
void model_finish(struct model *model);

void model_acquire(struct model *model, const struct model_acquire *acquire);
void model_cancel(struct model *model, uint64_t client, uint64_t tag);
void model_renew(
    struct model *model, uint64_t client, uint64_t tag, const struct model_claim *claim);
void model_release(
    struct model *model, uint64_t client, uint64_t tag, const struct model_claim *claim);
void model_break(
    struct model *model,
    uint64_t client,
    uint64_t tag,
    const struct model_claim *claim,
    uint32_t grace_ms);
void model_proclaim(
    struct model *model, uint64_t client, uint64_t tag, const struct model_claim *claim);
void model_transfer(
    struct model *model,
    uint64_t client,
    uint64_t tag,
    const struct model_claim *claim,
    uint32_t to);
void model_timer(struct model *model);
void model_gone(struct model *model, uint64_t client);
void model_durable(struct model *model, uint64_t number);
void model_gate(struct model *model, enum engine_gate gate);
/* Stop and start again: nobody waits, everything has its full time from now. */
void model_restart(struct model *model);

/* The grant made by record `index` of this event has this token. */
void model_set_token(struct model *model, uint32_t index, uint64_t token);

#endif
