/* api_state - what the handlers of registers, ranks, channels and transactions share. */
#ifndef TENURE_SERVER_API_STATE_H
#define TENURE_SERVER_API_STATE_H

#include "engine/registers.h"
#include "server/api_bytes.h"
#include "server/change_request.h"
#include "server/http.h"

/* False: the answer was no, and that has been told. */
bool api_state_is_done(struct http *http, const struct engine_reply *reply);
/* guard_lock and guard_token, if they are there. */
bool api_read_guard(
    const struct args *args, struct change_request *request, struct args_error *out_error);
/* What an operation needs that changes a register. */
bool api_read_value(
    const struct args *args, struct engine_operation *operation, struct args_error *out_error);
/* A finite number.  It must be there. */
bool api_read_real(
    const struct args *args, enum arg arg, double *out_value, struct args_error *out_error);
void api_submit_change(struct http *http, struct change_request *request, http_reply_fn on_reply);
/* The member `next` of a list. */
void api_state_put_next(struct json_writer *json, struct bytes next);

/* api_change.c: transactions.  The lines of the call, each a guard, a condition or an operation;
 * false: one was wrong, and that was answered.  The lines before them count too. */
bool api_read_change(
    struct http *http,
    struct http_call *call,
    struct change_request *request,
    uint32_t line_count_before);
/* What is said of one with more than there may be. */
#define API_CHANGE_TOO_LONG "at most 128 operations, 128 conditions and 16 guards"
/* Answers why it was refused, and what of it refused it. */
void api_refuse_change(struct http *http, const struct engine_reply *reply);
/* The members `held` and `results` of one that was carried out. */
void api_put_change(struct json_writer *json, const struct engine_reply *reply);

#endif
