/* acquire - from a request to a hold; and cleaning up behind a request that was given up. */
#ifndef TENURE_CLIENT_ACQUIRE_H
#define TENURE_CLIENT_ACQUIRE_H

#include "client/hold.h"

enum acquire_state {
    ACQUIRE_ASKING,     /* the store has been asked */
    ACQUIRE_CONFIRMING, /* granted, and being confirmed */
    ACQUIRE_SWEEPING,   /* over for the user; what it may have obtained is given back */
};

/* The outcome on its way to the user. */
struct verdict {
    struct notice notice;
    const struct memory *memory;
    tenure_acquire_fn fn;
    void *user;
    enum tenure_err err;
    struct tenure_hold hold;
    bool has_obstacle;
    struct tenure_obstacle obstacle;
    struct tenure_error error;
};

struct acquire {
    struct task task;
    struct client *client;
    uint64_t id; /* of the operation */
    struct hold *hold;
    struct verdict *verdict; /* NULL: told already */
    bool is_waited_for;      /* by somebody who wants to know at once, on the client's thread */
    struct store_acquire terms;

    /* Under the client's mutex. */
    struct list link; /* in client->acquires */
    bool is_canceled;

    /* The thread's. */
    enum acquire_state state;
    struct store_op op;
    uint32_t sweep_index;
    struct mono sweep_until;
};

/* Nothing is asked yet; who is told is to be set.  The options are checked, the owner is set. */
MUST_USE enum tenure_err tni_acquire_create(
    struct client *client, const struct tenure_lock_options *options, struct acquire **out_acquire);
/* Begin, on the client's thread.  False: the client is closing, and the acquire is gone. */
MUST_USE bool tni_acquire_submit(struct acquire *acquire);
/* By any thread; nothing happens when there is no such operation. */
void tni_acquire_cancel(struct client *client, uint64_t id);

#endif
