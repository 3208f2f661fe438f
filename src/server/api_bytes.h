/* api_bytes - what handlers share whose requests carry bytes, or an object on each line. */
#ifndef TENURE_SERVER_API_BYTES_H
#define TENURE_SERVER_API_BYTES_H

#include "server/http.h"

/* Room for whatever the request may have in base64.  False: no memory, and that was answered. */
bool api_reserve_bytes(struct http *http, const struct http_call *call);
/* Bytes that came as base64 take their place among the arguments; there must be room. */
bool api_decode_base64(
    struct http *http,
    struct args *args,
    enum arg plain,
    enum arg encoded,
    struct args_error *out_error);

/* The next line of what is left, without its end. */
struct bytes api_take_line(struct bytes *rest);
/* Answer what is wrong with the line of this number, from 1. */
void api_refuse_line(struct http *http, const struct args_error *error, uint32_t number);

#endif
