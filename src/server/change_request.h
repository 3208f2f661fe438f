/* change_request - a transaction on shared state in the making: what the protocols have in common.
 *
 * All texts stay borrowed from the request. */
#ifndef TENURE_SERVER_CHANGE_REQUEST_H
#define TENURE_SERVER_CHANGE_REQUEST_H

#include "engine/state_event.h"

struct change_request {
    struct engine_change change; /* points at the rest, once it is finished */
    struct engine_guard guards[LIMIT_GUARD_COUNT_MAX];
    struct engine_condition conditions[LIMIT_OPERATION_COUNT_MAX];
    struct engine_operation operations[2][LIMIT_OPERATION_COUNT_MAX]; /* then, else */
    uint32_t counts[2];
    bool is_overfull; /* more was asked for than there is room for */
};

/* Too large for the stack, and there is only one thread: the one there is, empty. */
struct change_request *change_request_begin(void);
/* The next one of each, cleared; the last one again when there is no room, and is_overfull. */
struct engine_guard *change_request_guard(struct change_request *request);
struct engine_condition *change_request_condition(struct change_request *request);
struct engine_operation *change_request_operation(
    struct change_request *request, bool is_else, enum engine_operation_kind kind);
/* The transaction; NULL: it is overfull. */
const struct engine_change *change_request_end(struct change_request *request);

#endif
