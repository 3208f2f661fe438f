/* work_model - queues once more, as plainly as they can be said; model.h is the same for locks.
 *
 * One array of items, searched from end to end.  Only the ring of groups is kept, because whose
 * turn it is is history.  Queues, groups and ids are numbers; time does not stall. */
#ifndef TESTS_MODEL_WORK_MODEL_H
#define TESTS_MODEL_WORK_MODEL_H

#include "engine/engine.h"

#define WM_QUEUE_COUNT 2u
#define WM_GROUP_COUNT 3u
#define WM_KEY_COUNT   2u
#define WM_ITEM_MAX    256u
#define WM_TAKER_MAX   32u
#define WM_OUT_MAX     512u
#define WM_NO_KEY      UINT32_MAX

struct wm_item {
    uint32_t queue, group;
    char id[24];
    uint64_t number, entered, delayed; /* the last one: when it entered that state */
    enum item_state state;
    struct item_terms terms;
    uint32_t key; /* that it has or waits for; WM_NO_KEY */
    bool is_kept_back, is_cancelling;
    int64_t order_us, run_at_us, put_at_us, ended_at_us;
    int64_t timer_ns; /* INT64_MAX: none */
    uint32_t attempts, lapses;
    uint64_t token;
    uint32_t ending; /* record kind that ended its last lease */
    bool is_durable;
    uint64_t taken_seq;
    int64_t deadline_ns, timeout_ns;
    uint32_t lease_ms, grace_ms;
    bool is_bound, is_orphan;
    uint64_t client;
};

struct wm_group {
    bool is_paused, has_limits;
    struct group_limits limits;
    int64_t rate_ns;
    uint32_t deficit;
};

struct wm_queue {
    bool is_paused;
    struct group_limits limits;
    struct wm_group groups[WM_GROUP_COUNT];
    uint32_t ring[WM_GROUP_COUNT], ring_count;
};

struct wm_taker {
    uint64_t client, tag;
    uint32_t queues[WM_QUEUE_COUNT], queue_count; /* 0: it awaits `number` */
    uint64_t number;
    uint32_t count_max, lease_ms, grace_ms;
    bool is_bound;
    int64_t deadline_ns;
};

struct wm_record {
    enum record_kind kind;
    char id[24];
};

struct wm_answer {
    uint64_t client, tag;
    enum tenure_err err; /* of the first item, or of the whole */
    char id[24];         /* "" for none */
    bool is_repeat;
};

struct wm {
    uint32_t ageing_ms, item_count_max;
    struct wm_item items[WM_ITEM_MAX];
    uint32_t item_count;
    struct wm_queue queues[WM_QUEUE_COUNT];
    struct wm_taker takers[WM_TAKER_MAX]; /* in order of arrival */
    uint32_t taker_count;
    int64_t time_ns, wall_us, order_us;
    uint64_t seq, random, token_high, entered;
    bool is_gate_open;
    struct wm_record records[WM_OUT_MAX];
    uint32_t record_count;
    struct wm_answer answers[WM_OUT_MAX];
    uint32_t answer_count;
    bool is_waiting;
};

void wm_init(struct wm *model);
void wm_begin(struct wm *model, int64_t time_ns, int64_t wall_us, uint64_t random);
/* Whoever waits and can be served is served. */
void wm_finish(struct wm *model);

struct wm_put {
    uint32_t queue, group, key;
    const char *id; /* "" = made */
    struct item_terms terms;
};
void wm_put(
    struct wm *model, uint64_t client, uint64_t tag, const struct wm_put *puts, uint32_t count);
void wm_take(struct wm *model, const struct wm_taker *take, uint32_t wait_ms);
struct wm_claim {
    uint32_t queue;
    const char *id;
    uint64_t token;
    uint32_t lease_ms; /* ENGINE_TTL_KEEP */
    bool is_binding;
};
void wm_extend(struct wm *model, uint64_t client, uint64_t tag, const struct wm_claim *claim);
/* ENGINE_DONE, ENGINE_FAIL, ENGINE_BURY. */
void wm_end(struct wm *model, const struct engine_command *command, const struct wm_claim *claim);
void wm_cancel(struct wm *model, uint64_t client, uint64_t tag, uint32_t queue, const char *id);
void wm_kick(struct wm *model, uint64_t client, uint64_t tag, uint32_t queue, const char *id);
void wm_sweep(
    struct wm *model, const struct engine_command *command, uint32_t queue, uint32_t group);
void wm_await(
    struct wm *model, const struct engine_command *command, uint32_t queue, const char *id);
void wm_scope(
    struct wm *model, const struct engine_command *command, uint32_t queue, uint32_t group);
void wm_give_up(struct wm *model, uint64_t client, uint64_t tag);
void wm_timer(struct wm *model);
void wm_gone(struct wm *model, uint64_t client);
void wm_durable(struct wm *model, uint64_t seq);
void wm_gate(struct wm *model, bool is_open);
void wm_restart(struct wm *model);

#endif
