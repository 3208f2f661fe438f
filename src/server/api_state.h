/* api_state - what the handlers of registers, ranks and channels share. */
#ifndef TENURE_SERVER_API_STATE_H
#define TENURE_SERVER_API_STATE_H

#include "engine/registers.h"
#include "server/change_request.h"
#include "server/http.h"

/* False: the answer was no, and that has been told. */
bool api_state_is_done(struct http *http, const struct engine_reply *reply);
/* Room for whatever the request may have in base64.  False: no memory, and that was answered. */
bool api_reserve_bytes(struct http *http, const struct http_call *call);
/* Bytes that came as base64 take their place among the arguments. */
bool api_decode_base64(
    struct http *http,
    struct args *args,
    enum arg plain,
    enum arg encoded,
    struct args_error *out_error);
/* guard_lock and guard_token, if they are there. */
bool api_read_guard(
    const struct args *args, struct change_request *request, struct args_error *out_error);
/* A finite number.  It must be there. */
bool api_read_real(
    const struct args *args, enum arg arg, double *out_value, struct args_error *out_error);
void api_submit_change(struct http *http, struct change_request *request, http_reply_fn on_reply);
/* The member `next` of a list. */
void api_state_put_next(struct json_writer *json, struct bytes next);

#endif
