#include "server/change_request.h"

struct change_request *change_request_begin(void)
{
    static struct change_request request;
    request.change = (struct engine_change){ .guards = request.guards,
                                             .conditions = request.conditions,
                                             .then_operations = request.operations[0],
                                             .else_operations = request.operations[1] };
    request.counts[0] = 0;
    request.counts[1] = 0;
    request.is_overfull = false;
    return &request;
}

/* The number of the next one; at the end the last again. */
static uint32_t next(struct change_request *request, uint32_t *count, uint32_t count_max)
{
    if (*count == count_max) {
        request->is_overfull = true;
        return count_max - 1;
    }
    return (*count)++;
}

struct engine_guard *change_request_guard(struct change_request *request)
{
    uint32_t at = next(request, &request->change.guard_count, LIMIT_GUARD_COUNT_MAX);
    request->guards[at] = (struct engine_guard){ 0 };
    return &request->guards[at];
}

struct engine_condition *change_request_condition(struct change_request *request)
{
    uint32_t at = next(request, &request->change.condition_count, LIMIT_OPERATION_COUNT_MAX);
    request->conditions[at] = (struct engine_condition){ .kind = CONDITION_PRESENT };
    return &request->conditions[at];
}

struct engine_operation *change_request_operation(
    struct change_request *request, bool is_else, enum engine_operation_kind kind)
{
    uint32_t at = next(request, &request->counts[is_else], LIMIT_OPERATION_COUNT_MAX);
    struct engine_operation *operation = &request->operations[is_else][at];
    *operation = (struct engine_operation){ .kind = kind };
    return operation;
}

const struct engine_change *change_request_end(struct change_request *request)
{
    request->change.then_count = request->counts[0];
    request->change.else_count = request->counts[1];
    return request->is_overfull ? NULL : &request->change;
}
