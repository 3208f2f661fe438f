/* queue_request - what is asked of queues, the same in both protocols: the name of a queue and
 * arguments become a command for the engine, with the defaults that an edge adds. */
#ifndef TENURE_SERVER_QUEUE_REQUEST_H
#define TENURE_SERVER_QUEUE_REQUEST_H

#include "engine/engine.h"
#include "engine/queues.h"
#include "server/args.h"

#define QUEUE_RETENTION_MS_NAMED 60000u /* of an item that was put with an id */
#define QUEUE_BACKOFF_MS         1000u
#define QUEUE_BACKOFF_MS_MAX     3600000u
#define QUEUE_JITTER             20u
#define QUEUE_SWEEP_COUNT        LIMIT_LIST_COUNT_MAX

/* A command and what it points at. */
struct queue_request {
    struct engine_command command;
    struct engine_put put;
    struct engine_work_claim claim;
    struct bytes queues[1 + LIMIT_NAME_COUNT_MAX];
};

/* What `args` ask of this queue; texts stay borrowed.  NULL: the command is complete but for its
 * tag.  Else a text that says what is wrong.  The body of PUT and the result of DONE are those of
 * ARG_BODY and ARG_RESULT. */
MUST_USE const char *queue_request_make(
    struct queue_request *request,
    enum engine_command_kind kind,
    struct bytes queue,
    const struct args *args,
    struct wall wall);
/* One item of a put of many. */
MUST_USE const char *queue_request_put(
    struct engine_put *put, struct bytes queue, const struct args *args, struct wall wall);
/* One lease of an extension of many. */
void queue_request_claim(
    struct engine_work_claim *claim, struct bytes queue, const struct args *args);

/* Where a list of items goes on: "number-id", or nothing for the start. */
MUST_USE bool queue_cursor_parse(struct bytes text, struct engine_item_cursor *out_cursor);
/* Returns the size. */
size_t queue_cursor_format(
    const struct engine_item_cursor *cursor, char out_text[static LIMIT_CURSOR_SIZE_MAX]);

/* Where a sweep goes on: "number-number-number-id", or nothing for the start. */
MUST_USE bool queue_sweep_cursor_parse(struct bytes text, struct engine_sweep_cursor *out_cursor);
/* Returns the size; 0 when the sweep has come to the end. */
size_t queue_sweep_cursor_format(
    const struct engine_reply *reply, char out_text[static LIMIT_CURSOR_SIZE_MAX]);

/* A page of queues, in the order of their making. */
struct queue_page {
    struct bytes prefix;
    struct bytes after; /* the cursor: a name; empty = from the start */
    uint32_t count_max; /* 1 … LIMIT_LIST_COUNT_MAX */
};

/* Looks at a bounded number of queues: `*out_next` is where to go on (it points into the engine),
 * empty at the end.  False when the queue of the cursor is no more: begin anew. */
MUST_USE bool queue_list(
    const struct engine *engine,
    const struct queue_page *page,
    struct engine_queue_view *out_views,
    uint32_t *out_count,
    struct bytes *out_next);

/* The lease of this claim has ended: what became of the item, for people. */
size_t queue_describe_loss(const struct engine_item_view *item, char *out_text, size_t text_size);

#endif
