/* A transaction in words:
 *
 *     [GUARD lock token]… [IF condition]… THEN operation… [ELSE operation…]
 *
 *     condition   PRESENT name | ABSENT name | VERSION name version | VALUE name value
 *     operation   GET name | SET name value [TTL ms] [BIND lock token] [KEEPTTL] | DEL name |
 *                 INCR name by | APPEND name value | RANKGET rank member |
 *                 RANKADD rank score member | RANKINCR rank by member | RANKREM rank member */
#include "server/resp_state.h"

static bool take_condition(struct resp_args *args, struct change_request *request)
{
    static const struct {
        const char *keyword;
        enum engine_condition_kind kind;
    } words[] = {
        { "PRESENT", CONDITION_PRESENT },
        { "ABSENT", CONDITION_ABSENT },
        { "VERSION", CONDITION_VERSION },
        { "VALUE", CONDITION_VALUE },
    };
    struct engine_condition *condition = change_request_condition(request);
    for (size_t index = 0; index < sizeof words / sizeof *words; index++) {
        if (!resp_take_keyword(args, words[index].keyword)) continue;
        condition->kind = words[index].kind;
        if (!resp_take_plain(args, "name", &condition->name)) return false;
        if (condition->kind == CONDITION_VERSION) {
            return resp_take_version(args, &condition->version);
        }
        return condition->kind != CONDITION_VALUE ||
               resp_take_bytes(args, "value", LIMIT_VALUE_SIZE_MAX, &condition->value);
    }
    return resp_refuse_keyword(args);
}

static bool take_terms(struct resp_args *args, struct engine_operation *operation)
{
    bool is_taken = true;
    while (is_taken) {
        if (!resp_take_terms(args, operation, &is_taken)) return false;
    }
    return true;
}

/* What stands behind the name of the register or rank. */
static bool take_rest(struct resp_args *args, struct engine_operation *operation)
{
    switch (operation->kind) {
    case OPERATION_GET:
    case OPERATION_REMOVE: return true;
    case OPERATION_SET:
    case OPERATION_APPEND:
        return resp_take_bytes(args, "value", LIMIT_VALUE_SIZE_MAX, &operation->value) &&
               take_terms(args, operation);
    case OPERATION_INCREMENT:
        return resp_take_integer(args, "by", &operation->by) && take_terms(args, operation);
    case OPERATION_RANK_ADD:
    case OPERATION_RANK_INCREMENT:
        return resp_take_score(args, &operation->score) &&
               resp_take_member(args, &operation->member);
    case OPERATION_RANK_GET:
    case OPERATION_RANK_REMOVE: return resp_take_member(args, &operation->member);
    case OPERATION_RANK_TRIM:
    case OPERATION_KIND_COUNT: break;
    }
    UNREACHABLE("there is no word for it");
}

static bool take_operation(struct resp_args *args, struct change_request *request, bool is_else)
{
    static const struct {
        const char *keyword;
        enum engine_operation_kind kind;
    } words[] = {
        { "GET", OPERATION_GET },
        { "SET", OPERATION_SET },
        { "DEL", OPERATION_REMOVE },
        { "INCR", OPERATION_INCREMENT },
        { "APPEND", OPERATION_APPEND },
        { "RANKGET", OPERATION_RANK_GET },
        { "RANKADD", OPERATION_RANK_ADD },
        { "RANKINCR", OPERATION_RANK_INCREMENT },
        { "RANKREM", OPERATION_RANK_REMOVE },
    };
    for (size_t index = 0; index < sizeof words / sizeof *words; index++) {
        if (!resp_take_keyword(args, words[index].keyword)) continue;
        struct engine_operation *operation =
            change_request_operation(request, is_else, words[index].kind);
        return resp_take_plain(args, "name", &operation->name) && take_rest(args, operation);
    }
    return resp_refuse_keyword(args);
}

static bool take_premises(struct resp_args *args, struct change_request *request)
{
    for (;;) {
        if (resp_take_keyword(args, "GUARD")) {
            if (!resp_take_guard(args, change_request_guard(request))) return false;
        } else if (resp_take_keyword(args, "IF")) {
            if (!take_condition(args, request)) return false;
        } else if (resp_take_keyword(args, "THEN")) {
            return true;
        } else if (!resp_args_left(args)) {
            resp_refuse(args->resp, TENURE_INVALID, "THEN is missing");
            return false;
        } else {
            return resp_refuse_keyword(args);
        }
    }
}

bool resp_take_transaction(struct resp_args *args, struct change_request *request)
{
    if (!take_premises(args, request)) return false;
    while (resp_args_left(args)) {
        if (!request->change.has_else && resp_take_keyword(args, "ELSE")) {
            request->change.has_else = true;
        } else if (!take_operation(args, request, request->change.has_else)) {
            return false;
        }
    }
    return true;
}
