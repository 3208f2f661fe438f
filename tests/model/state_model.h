/* state_model - shared state once more, as plainly as it can be said; model.h is the same for
 * locks.
 *
 * One array of names, each with a register and the scores of a few members, and the list of all
 * events with what was there before them.  Locks are plain: one holder, until it is released. */
#ifndef TESTS_MODEL_STATE_MODEL_H
#define TESTS_MODEL_STATE_MODEL_H

#include "engine/registers.h"

#define SM_NAME_COUNT   5u
#define SM_MEMBER_COUNT 5u
#define SM_LOCK_COUNT   2u
#define SM_VALUE_MAX    64u
#define SM_WAIT_MAX     16u
#define SM_ANSWER_MAX   32u
#define SM_EVENT_MAX    16384u

extern const char *const sm_names[SM_NAME_COUNT];
extern const char *const sm_members[SM_MEMBER_COUNT];
extern const char *const sm_locks[SM_LOCK_COUNT];

struct sm_text {
    bool is_set;
    uint32_t size;
    char bytes[SM_VALUE_MAX];
};

struct sm_key {
    struct sm_text value;
    uint64_t version, last_seq;
    uint32_t ttl_ms;
    int64_t deadline_ns;
    uint64_t token; /* of its bond; 0 = none */
    uint64_t armed; /* seq at which its ttl began: breaks ties */
    bool is_member[SM_MEMBER_COUNT];
    double scores[SM_MEMBER_COUNT];
};

struct sm_event {
    enum record_kind kind;
    uint32_t name, member, more;
    enum record_cause cause;
    double score;
    struct sm_text value, previous;
};

struct sm_wait {
    uint64_t client, tag, version;
    uint32_t name;
    int64_t deadline_ns;
};

struct sm_answer {
    uint64_t client, tag;
    enum tenure_err err;
    bool is_else;
    uint32_t count;
    struct {
        uint64_t version;
        int64_t number;
        bool is_member, is_rank, is_changed;
        double score;
    } results[LIMIT_OPERATION_COUNT_MAX];
};

struct sm {
    struct sm_key keys[SM_NAME_COUNT];
    uint64_t holders[SM_LOCK_COUNT]; /* tokens; 0 = free */
    bool is_lock_known[SM_LOCK_COUNT];
    struct sm_wait waits[SM_WAIT_MAX];
    uint32_t wait_count;
    int64_t time_ns;
    uint64_t seq, window_first;
    uint32_t event_count; /* of seq 1 on; locks leave a hole (kind GRANTED) */
    struct sm_event events[SM_EVENT_MAX];
    uint32_t event_begin; /* of this step */
    struct sm_answer answers[SM_ANSWER_MAX];
    uint32_t answer_count;
    bool is_waiting;
};

void sm_init(struct sm *model);
void sm_begin(struct sm *model, int64_t time_ns, uint64_t window_first);
void sm_change(struct sm *model, uint64_t client, uint64_t tag, const struct engine_change *change);
void sm_wait(struct sm *model, const struct engine_command *command);
void sm_acquired(struct sm *model, uint32_t lock, uint64_t token);
void sm_release(struct sm *model, uint32_t lock);
void sm_timer(struct sm *model);
void sm_gone(struct sm *model, uint64_t client);
void sm_restart(struct sm *model);

#endif
