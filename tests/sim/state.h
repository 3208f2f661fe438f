/* state - shared state in the simulated world: who changes it, who watches it, and what must be
 * true of it.
 *
 *   state_client.c   what clients ask
 *   state_model.c    what a transaction has to lead to, as plainly as it can be said
 *   state_ledger.c   registers and ranks as the records tell them, and nothing else
 *   state_oracle.c   may this record be there?  is this answer true?
 *   state_watch.c    watchers that lose their connection, and go on behind what they saw last
 *
 * The invariants are K1 … K9 of docs/testing.md. */
#ifndef TESTS_SIM_STATE_H
#define TESTS_SIM_STATE_H

#include "engine/registers.h"

#define STATE_NAME_COUNT      4u
#define STATE_MEMBER_COUNT    4u
#define STATE_LETTER_COUNT    6u
#define STATE_FILL_SIZE_MAX   12000u
#define STATE_HEAD_SIZE       24u
#define STATE_OPERATION_MAX   4u
#define STATE_CONDITION_MAX   2u
#define STATE_GUARD_MAX       2u
#define STATE_MADE_MAX        (STATE_OPERATION_MAX * STATE_MEMBER_COUNT)
#define STATE_WAIT_MAX        256u
#define STATE_WATCH_COUNT     4u
#define STATE_NEWS_MAX        64u
#define STATE_COUNT_MAX_SMALL 8u /* registers and members, where limits are small */

struct world;
struct request;

/* ---------------------------------------------------------------- what is asked */

/* One of a few texts; or a letter, so often. */
struct state_value {
    uint32_t letter;
    uint32_t fill_size;
};

struct state_guard {
    uint32_t lock; /* a name of the world */
    struct token token;
};

struct state_condition {
    enum engine_condition_kind kind;
    uint32_t name;
    uint64_t version;
    struct state_value value;
};

struct state_operation {
    enum engine_operation_kind kind;
    uint32_t name, member;
    struct state_value value;
    uint32_t ttl_ms;
    bool is_bound;
    struct state_guard bond;
    bool is_keeping;
    int64_t by;
    double score;
    unsigned when;
    int64_t first, last;
};

/* What a request wants of shared state. */
struct state_ask {
    bool has_change;
    struct state_guard guards[STATE_GUARD_MAX];
    struct state_condition conditions[STATE_CONDITION_MAX];
    struct state_operation thens[STATE_OPERATION_MAX];
    struct state_operation elses[STATE_OPERATION_MAX];
    uint32_t guard_count, condition_count, then_count, else_count;
    bool has_else;
    uint32_t name; /* of a wait */
    uint64_t version;
};

/* ---------------------------------------------------------------- what there is */

/* A value, without keeping it. */
struct state_text {
    bool is_set;
    uint32_t size;
    uint64_t hash;
    char head[STATE_HEAD_SIZE];
};

struct state_key {
    struct state_text value;
    uint64_t version;     /* 0 = not set */
    uint64_t changed_seq; /* of the last record about the register */
    uint64_t last_seq;    /* or about the rank of this name */
    uint32_t ttl_ms;
    int64_t deadline_ns; /* receivable time */
    bool is_bound;
    struct state_guard bond;
    bool is_member[STATE_MEMBER_COUNT];
    double scores[STATE_MEMBER_COUNT];
};

/* A record about shared state: as it has to be, or as it was; and what was there before. */
struct state_event {
    uint64_t seq;
    enum record_kind kind;
    uint32_t name, member, more;
    enum record_cause cause;
    double score, score_before;
    bool is_new, is_kept, is_bound;
    uint32_t ttl_ms;
    struct state_guard bond;
    struct state_text piece; /* the body of the record */
    struct state_text value, previous;
};

/* What one operation has to be answered with. */
struct state_told {
    bool is_of_rank, was_there, is_changed, is_member;
    uint32_t name;
    uint64_t version;
    struct state_text value;
    int64_t number;
    double score;
};

struct state_expectation {
    bool is_judged;
    enum tenure_err err;
    bool is_else;
    uint64_t depends; /* the answer may not leave before this is durable */
    struct state_event made[STATE_MADE_MAX];
    uint32_t made_count, made_at;
    struct state_told told[STATE_OPERATION_MAX];
    uint32_t told_count;
};

struct state_wait {
    uint64_t connection, tag, version;
    uint32_t name, wait_ms;
    int64_t since_ns; /* receivable time */
    bool is_ripe;     /* the register has changed in this step */
    bool is_answered; /* in this update */
};

/* On the way to a watcher: an event, or that some are forgotten. */
struct state_news {
    int64_t arrive_ns;
    bool is_compacted;
    struct state_event event;
};

struct state_watch {
    uint32_t client;
    uint32_t filter;
    /* the host */
    bool is_on;
    uint64_t next;
    struct state_news news[STATE_NEWS_MAX];
    uint32_t news_count;
    /* the watcher */
    int64_t subscribe_ns; /* its request arrives */
    uint64_t seen;
    bool is_lost; /* it has to look at the whole state */
    struct state_key mirror[STATE_NAME_COUNT];
    /* a look at the whole state, under way */
    bool is_looking;
    uint64_t look_seq;
    int64_t look_arrive_ns;
    struct state_key look[STATE_NAME_COUNT];
};

struct states {
    struct state_key keys[STATE_NAME_COUNT];
    struct state_event *events;
    uint32_t event_count, event_capacity;
    struct state_wait waits[STATE_WAIT_MAX];
    uint32_t wait_count;
    struct state_expectation expectation; /* of the request of this step */
    struct state_watch watches[STATE_WATCH_COUNT];
    bool is_replaying;
};

/* --- state_client.c */
void state_init(struct world *world);
void state_deinit(struct world *world);
/* Draw one thing that this client does with shared state now. */
void state_act(struct world *world, uint32_t client);
/* A transaction for a request that is something else. */
void state_draw_change(struct world *world, uint32_t client, struct state_ask *ask);
/* Texts are static until the next call. */
const struct engine_change *state_change(const struct state_ask *ask);
void state_command(const struct request *request, struct engine_command *command);

/* --- state_ledger.c */
/* Make true what the record says. */
void state_ledger_apply(struct world *world, const struct record *record);
/* Before a history is read again from its start, and behind it. */
void state_ledger_reset(struct world *world);
void state_ledger_restarted(struct world *world);
/* An event of the window: does it tell what was? */
bool state_is_event_true(struct world *world, const struct record *event);
/* The engine has what the ledger has, in its order. */
void state_compare(struct world *world, bool has_clocks);

/* --- state_oracle.c */
/* A step begins: `is_taken`, with the item of a worker that says that it is done. */
void state_begin_step(struct world *world, const struct request *request, bool is_taken);
/* A record of shared state: may it be there?  Then it is applied. */
void state_record(
    struct world *world, const struct engine_event *event, const struct record *record);
void state_end_step(struct world *world, const struct engine_update *update);
void state_check_own(
    struct world *world, const struct request *request, const struct engine_reply *reply);
/* Of the end of an item that came with a transaction. */
void state_check_change(struct world *world, const struct engine_reply *reply);
void state_check_wait(struct world *world, const struct engine_reply *reply);
void state_wait_add(struct world *world, struct request *request);
void state_wait_remove(struct world *world, uint64_t connection, uint64_t tag);
void state_mark_answered(struct world *world, const struct engine_update *update);
void state_after_timers(struct world *world);
/* Nothing goes on any more. */
void state_check_rest(struct world *world);

/* --- state_watch.c */
/* The host tells its watchers what is durable. */
void state_watch_pump(struct world *world);
/* What has arrived at the watchers. */
void state_watch_turn(struct world *world);
int64_t state_watch_next_ns(const struct world *world);
void state_disconnected(struct world *world, uint32_t client);
/* What they saw may never have been: the disk has lost what was acknowledged. */
void state_watch_forget(struct world *world);

#endif
