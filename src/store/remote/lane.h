/* lane - operations that share one connection, and the making of that connection again and again.
 *
 * Operations that were not sent yet wait in `pending`; those that were stand in the flight, in the
 * order of their answers.  One that is done before its answer comes leaves a gap in the flight,
 * which swallows the answer. */
#ifndef TENURE_STORE_REMOTE_LANE_H
#define TENURE_STORE_REMOTE_LANE_H

#include "base/buffer.h"
#include "store/link.h"
#include "store/remote/remote.h"

enum lane_kind { LANE_MAIN, LANE_KEEP, LANE_WAIT };

struct flight {
    struct store_op **ops; /* NULL: nobody wants the answer */
    uint32_t start;
    uint32_t count;
    uint32_t capacity;
};

struct lane {
    struct remote *remote;
    enum lane_kind kind;
    struct link *link; /* NULL: none is being made */
    struct list lanes; /* in remote->lanes */
    struct list pending;
    struct flight flight;
    struct heap_node timer; /* of the next attempt to connect */
    uint32_t failure_count; /* since it was last up */
    bool is_dirty;          /* has output to flush */
};

struct remote {
    struct store store;
    uv_loop_t *loop;
    const struct memory *memory;
    struct link_address address;
    uint32_t address_index;
    uint64_t random;
    struct list lanes;
    struct list lanes_dead; /* to be freed when nobody is at work with them */
    struct lane main;
    struct lane keep;
    bool is_keeping; /* renewals go to the keep lane */
    bool is_closed;
    bool is_dirty;
    unsigned open_count; /* handles and links that the loop still knows */
    struct heap op_timers;
    struct heap lane_timers;
    uv_timer_t timer;
    uv_prepare_t flusher;
    uv_idle_t idle;
    struct list ready;    /* operations that are done without an answer */
    struct list follows;  /* see follow.h */
    struct buffer items;  /* scratch of the decoder */
    struct buffer others; /* more of it */
    char trouble[240];    /* why there is no connection */
};

/* ---- lanes */

void tni_lane_init(struct remote *remote, struct lane *lane, enum lane_kind kind);
/* Closes the connection.  No operation may be left. */
void tni_lane_deinit(struct lane *lane);
/* Connect, if that is not under way. */
void tni_lane_connect(struct lane *lane);
/* Drop the connection; what is under way goes back to pending, in its order, and another connection
 * is made after a pause. */
void tni_lane_break(struct lane *lane, const char *text);
/* The pause is over. */
void tni_lane_retry(struct lane *lane);
/* Send now, or as soon as there is a connection. */
void tni_lane_add(struct lane *lane, struct store_op *op);
/* Nobody waits for this operation's answers any more. */
void tni_lane_forget(struct lane *lane, const struct store_op *op);
/* One more answer is to come for an operation whose request was just written.  False when there is
 * no memory. */
MUST_USE bool tni_lane_expect(struct lane *lane, struct store_op *op);
/* Output was written. */
void tni_lane_touch(struct lane *lane);

/* ---- the greeting (greeting.c): HELLO, and a tenured must answer */

void tni_greeting_write(struct link *link);
void tni_greeting_judge(struct link *link, struct reply *reply);

/* ---- operations (remote.c) */

/* It is done, with this result, now. */
void tni_remote_finish(struct store_op *op, const struct store_result *result);
/* It is done with `err`, soon. */
void tni_remote_give_up(
    struct remote *remote, struct store_op *op, enum tenure_err err, const char *text);
/* The same: the server has said something that the protocol does not know. */
void tni_remote_finish_bad(struct store_op *op);
/* The same: it was carried out, but there is no memory for what is to be told. */
void tni_remote_finish_untold(struct store_op *op);
/* A take found nothing: it goes on in a lane of its own, where it may wait. */
void tni_remote_wait(struct remote *remote, struct store_op *op);
/* Its request is being written: look after deadline and patience. */
void tni_remote_mark_sent(struct remote *remote, struct store_op *op);
/* Wake up at the earliest deadline. */
void tni_remote_arm(struct remote *remote);
uint64_t tni_remote_random(struct remote *remote);
/* A link of this remote is gone. */
void tni_remote_let_go(void *context);

/* ---- requests and answers */

/* How long the server may let it wait; 0: not at all. */
uint64_t tni_remote_wait_ms(struct mono wait_until);
/* Write the request of the phase that `op` is in and expect its answers.  False when there is no
 * memory; nothing is written then. */
MUST_USE bool tni_encode(struct lane *lane, struct store_op *op);
/* Ask for one lock of a list. */
MUST_USE bool tni_encode_item(struct lane *lane, struct store_op *op, const char *name);
/* Phases of an operation that takes more than one question. */
enum op_phase {
    PHASE_FIRST,
    PHASE_OBSTACLE, /* acquire: refused; who is in the way? */
    PHASE_ITEMS,    /* list: the locks of one page, one by one */
    PHASE_WAIT,     /* take: nothing was there; wait for it */
};
/* Of queues (queue_encode.c, queue_decode.c). */
struct resp_writer;
void tni_encode_queue(const struct resp_writer *writer, const struct store_op *op);
void tni_decode_queue(struct lane *lane, struct store_op *op, struct reply *reply);
/* Of shared state (state_encode.c, state_decode.c). */
void tni_encode_state(const struct resp_writer *writer, const struct store_op *op);
void tni_decode_state(struct lane *lane, struct store_op *op, struct reply *reply);
/* A score is a text. */
double tni_decode_score(struct reply *reply);
/* Nothing is changed by it. */
bool tni_is_look(const struct store_op *op);
/* An operation that may wait at the server for something to happen. */
static inline bool tni_is_wait(const struct store_op *op)
{
    return op->request.verb == STORE_TAKE || op->request.verb == STORE_AWAIT ||
           op->request.verb == STORE_REGISTER_WAIT;
}
/* The outcome of this name; TENURE_INTERNAL: there is none. */
enum tenure_err tni_err_from_name(const char *name);
/* The answer to the first operation in flight. */
void tni_decode(struct lane *lane, struct store_op *op, struct reply *reply);
/* Whether it may be sent again when nobody knows if it was carried out. */
bool tni_is_repeatable(const struct store_op *op);

/* The map of an event; used by watches, too. */
void tni_decode_event(struct reply *reply, struct store_event *out_event);

/* ---- watches (follow.c) */

enum tenure_err tni_follow_start(struct store *store, struct store_watch *watch);
void tni_follow_stop(struct store *store, struct store_watch *watch);
void tni_follow_stop_all(struct remote *remote);

#endif
