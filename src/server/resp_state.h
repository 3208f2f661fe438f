/* resp_state - what the files of STATE.* and RANK.* share. */
#ifndef TENURE_SERVER_RESP_STATE_H
#define TENURE_SERVER_RESP_STATE_H

#include "engine/registers.h"
#include "server/change_request.h"
#include "server/resp.h"

/* What the answer to a change looks like: the last bits of its tag. */
enum resp_shape {
    RESP_SHAPE_VERSION, /* the version of the one register */
    RESP_SHAPE_NUMBER,  /* the number it is now */
    RESP_SHAPE_REMOVED, /* 1 or 0 */
    RESP_SHAPE_REGISTER,
    RESP_SHAPE_SCORE,
    RESP_SHAPE_ADDED,   /* how many members are new */
    RESP_SHAPE_CHANGED, /* how many operations changed something */
    RESP_SHAPE_TRIMMED,
    RESP_SHAPE_RESULTS, /* of a transaction */
};
#define RESP_SHAPE_BITS 4u

/* Ask the engine.  Answers by itself when the request is overfull. */
void resp_submit_change(struct resp *resp, struct change_request *request, enum resp_shape shape);

/* Each takes words; false: they were wrong, and that has been answered.
 * GUARD, BIND: a lock and a token. */
bool resp_take_guard(struct resp_args *args, struct engine_guard *out_guard);
bool resp_take_score(struct resp_args *args, double *out_score);
bool resp_take_integer(struct resp_args *args, const char *field, int64_t *out_value);
bool resp_take_version(struct resp_args *args, uint64_t *out_version);
bool resp_take_member(struct resp_args *args, struct bytes *out_member);
/* The next word is an option of a set: TTL, KEEPTTL, BIND; `*out_taken` says whether. */
bool resp_take_terms(struct resp_args *args, struct engine_operation *operation, bool *out_taken);
/* [GUARD …] [IF …] THEN … [ELSE …], up to the end. */
bool resp_take_transaction(struct resp_args *args, struct change_request *request);
/* What a list is asked for, up to the end of the command. */
struct resp_page {
    struct bytes prefix;
    struct bytes after;
    uint32_t limit;
};
bool resp_take_page(struct resp_args *args, struct resp_page *out_page);

void resp_write_register(struct resp *resp, const struct engine_register_view *view);
void resp_write_score(struct resp *resp, double score);
/* The results of a transaction: an array. */
void resp_write_results(struct resp *resp, const struct engine_reply *reply);
/* Why it was refused, and what of it refused it. */
void resp_write_change_refusal(struct resp *resp, const struct engine_reply *reply);
/* Answers of the engine. */
void resp_answer_state(struct resp *resp, const struct engine_reply *reply);
/* What happened to shared state, as a map; with the value before if the record has it. */
void resp_write_key_record(struct resp *resp, const struct record *record);

/* ---- handlers */

void resp_run_state_get(struct resp *resp, const struct resp_command *command);
void resp_run_state_set(struct resp *resp, const struct resp_command *command);
void resp_run_state_cas(struct resp *resp, const struct resp_command *command);
void resp_run_state_incr(struct resp *resp, const struct resp_command *command);
void resp_run_state_append(struct resp *resp, const struct resp_command *command);
void resp_run_state_del(struct resp *resp, const struct resp_command *command);
void resp_run_state_wait(struct resp *resp, const struct resp_command *command);
void resp_run_state_list(struct resp *resp, const struct resp_command *command);
void resp_run_state_txn(struct resp *resp, const struct resp_command *command);
void resp_run_rank_add(struct resp *resp, const struct resp_command *command);
void resp_run_rank_incr(struct resp *resp, const struct resp_command *command);
void resp_run_rank_rem(struct resp *resp, const struct resp_command *command);
void resp_run_rank_trim(struct resp *resp, const struct resp_command *command);
void resp_run_rank_score(struct resp *resp, const struct resp_command *command);
void resp_run_rank_position(struct resp *resp, const struct resp_command *command);
void resp_run_rank_range(struct resp *resp, const struct resp_command *command);
void resp_run_rank_byscore(struct resp *resp, const struct resp_command *command);
void resp_run_rank_count(struct resp *resp, const struct resp_command *command);
void resp_run_rank_list(struct resp *resp, const struct resp_command *command);

#endif
