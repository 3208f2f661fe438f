/* later - a function that does not wait: a call in a block of its own, and who is told of its end.
 *
 *     struct later *later = tni_later_create(client, fn, user, text);
 *     ... later->call.op.request, or later->call.task.run ...
 *     return tni_later_start(later);
 *
 * It ends by tni_call_end, as other calls do. */
#ifndef TENURE_CLIENT_LATER_H
#define TENURE_CLIENT_LATER_H

#include "client/call.h"
#include "client/hold.h"

struct later {
    struct call call;
    struct notice notice;
    tenure_done_fn fn;
    void *user;
    struct hold *hold;                        /* a reference, or NULL */
    uint64_t hold_id;                         /* its handle */
    void (*before_tell)(struct later *later); /* on the client's thread; NULL: nothing to do */
    struct ask ask;
    uint32_t ttl_ms;
    size_t size;
    char text[]; /* a copy of the caller's, or of his bytes */
};

/* The references to `client` and `hold` are its own from now on; with NULL, there was no memory,
 * and they are given back. */
struct later *tni_later_create(
    struct client *client, struct hold *hold, tenure_done_fn fn, void *user, const char *text);
/* The same with any bytes in the place of the text; a zero is behind them. */
struct later *tni_later_create_with(
    struct client *client, struct hold *hold, tenure_done_fn fn, void *user, struct bytes bytes);
/* One that was not started. */
void tni_later_destroy(struct later *later);
/* TENURE_CANCELED: the client is closing; nobody is told. */
MUST_USE enum tenure_err tni_later_start(struct later *later);

#endif
