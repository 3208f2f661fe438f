/* hold - one granted lock, or several granted together, on the client's thread.
 *
 * The keeper decides; here its decisions become requests, timers and callbacks.
 *
 * A hold has two kinds of owners, who count: the public handle, and the thread, once for itself and
 * once for each request under way.  What other threads read stands in its place in the registry, or
 * under the registry's mutex (`picture`). */
#ifndef TENURE_CLIENT_HOLD_H
#define TENURE_CLIENT_HOLD_H

#include <tenure/queue.h>

#include "client/client.h"
#include "client/keeper.h"

struct hold;
struct taken;

/* The confirmation of a grant came, or it did not. */
typedef void (*confirmed_fn)(void *whom, struct hold *hold, bool is_held);

/* One renewal under way. */
struct attempt {
    struct store_op op;
    struct hold *hold;
    struct mono sent_at;
    bool is_used;
};

/* Somebody who waits for a renewal. */
struct ask {
    struct list link;
    struct mono sent_at; /* of the request that will answer it */
    void (*done)(struct ask *ask, enum tenure_err err, const char *text);
};

/* What the user is to be told of its state; under the client's mutex. */
struct hold_news {
    struct notice notice; /* while it is posted it is one of the hold's owners */
    bool is_hushed;       /* the handle is closed by its user */
    bool is_cancelling;   /* the item is */
    bool was_told_cancel;
    uint64_t id;
    enum tenure_hold_state state;
    enum tenure_loss loss;
    enum tenure_hold_state told;
};

struct hold_picture {
    enum tenure_hold_state state;
    enum tenure_loss loss;
    uint32_t ttl_ms;
    bool is_breaking;
};

struct hold {
    struct client *client;
    const struct memory *memory;
    struct hold_slot *slot;      /* NULL: the handle is closed; under the registry's mutex */
    uint32_t reference_count;    /* under the registry's mutex */
    struct hold_picture picture; /* under the registry's mutex */
    int loss_fd;                 /* -1: nobody asked; under the registry's mutex */
    int64_t loss_at_ns;          /* when it becomes readable; INT64_MAX: not by itself */
    struct hold_news news;

    /* Set before anybody else knows it. */
    size_t size; /* of this block */
    const char *owner;
    const char *meta;
    const char *names[LIMIT_NAME_COUNT_MAX];
    struct store_claim claims[LIMIT_NAME_COUNT_MAX];
    uint32_t slots[LIMIT_NAME_COUNT_MAX];
    uint32_t name_count;
    tenure_risk_fn on_at_risk;
    tenure_risk_fn on_held;
    tenure_loss_fn on_lost;
    tenure_cancel_fn on_cancel;
    void *user;
    struct taken *taken; /* an item of a queue; NULL: a lock */
    bool is_passive;
    bool is_sole; /* nobody else can hold the same name */

    _Atomic bool is_handing_over; /* its holder is; what others see of that is no news to him */

    /* From here on the thread's. */
    struct list link; /* in client->holds */
    struct heap_node timer;
    struct keeper keeper;
    struct mono wake_at; /* of the keeper */
    /* As it was while there was a hold; the keeper forgets. */
    struct mono good_until;
    struct mono confirmed_at;
    bool is_handed_out;
    bool is_ended;
    void *whom; /* to tell of the confirmation of the grant, while it is under way */
    confirmed_fn confirmed;
    struct mono confirm_by;
    struct attempt attempts[KEEPER_FLIGHT_COUNT_MAX];
    struct list asks;

    /* The end. */
    struct task end_task;
    struct store_op release;
    struct mono release_deadline;
    struct mono released_at; /* when the user said so */
    uint32_t release_index;
    enum tenure_err release_err;
    struct tenure_release release_told;
    struct notice release_notice;
    bool is_waited_for; /* by somebody who wants to know at once, on the client's thread */
    tenure_release_fn release_fn;
    void *release_user;
};

/* A block with a place in the registry and copies of the texts.  TENURE_NO_MEMORY, TENURE_TOO_MANY.
 */
MUST_USE enum tenure_err tni_hold_create(
    struct client *client, const struct tenure_lock_options *options, struct hold **out_hold);
/* A reference; NULL when the handle is not good.  With `out_client`, one to its client, too. */
struct hold *tni_hold_take(struct tenure_hold handle, struct client **out_client);
/* One owner less.  Not under the registry's mutex. */
void tni_hold_give(struct hold *hold);
/* The handle is no longer good; its owner becomes the caller.  False: it was not good any more.
 * Under the registry's mutex. */
MUST_USE bool tni_hold_close_handle(struct hold *hold);

/* ---- on the thread */

/* Begin to keep what was granted.  True: it can be handed out; false: it is being confirmed, and
 * `confirmed` will be called with `whom`. */
MUST_USE bool tni_hold_begin(
    struct hold *hold,
    const struct store_result *result,
    struct mono confirm_by,
    confirmed_fn confirmed,
    void *whom);
/* It was lost before anybody knew of it: make it ready for another grant.  False: requests about
 * the lost one are under way. */
MUST_USE bool tni_hold_rewind(struct hold *hold);
/* The descriptor that tells the loss, as its user gets it.  Under the registry's mutex. */
MUST_USE enum tenure_err tni_hold_loss_fd(struct hold *hold, int *out_fd);

/* From now on users know it. */
void tni_hold_hand_out(struct hold *hold);
void tni_hold_on_time(struct hold *hold);
/* Something may have happened to it: look. */
void tni_hold_hint(struct hold *hold);
/* Renew now. */
void tni_hold_ask(struct hold *hold, uint32_t ttl_ms, struct ask *ask);
/* Stop keeping it, whatever it is; the thread is one owner less, when nothing is under way. */
void tni_hold_end(struct hold *hold);
/* The same, and release it at the store; `release_fn` may be NULL.  The thread is one owner less
 * when that is over. */
void tni_hold_release(struct hold *hold);
/* Close the handle; NULL: it is not good.  Its owner becomes the caller, and so does a reference to
 * its client. */
struct hold *tni_hold_close(struct tenure_hold handle);
/* Nothing more is told of its state, except what is being told now. */
void tni_hold_hush(struct hold *hold);

/* In the words of the public header. */
enum tenure_end tni_hold_end_of(enum store_end end);

#endif
