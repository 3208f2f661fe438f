/* STATE.*: registers. */
#include "server/resp_state.h"

#include "base/decimal.h"
#include "base/real.h"

/* ------------------------------------------------------------------ words */

bool resp_take_guard(struct resp_args *args, struct engine_guard *out_guard)
{
    struct bytes lock;
    struct token token;
    if (!resp_take_plain(args, "lock", &lock) || !resp_take_token(args, &token)) return false;
    *out_guard = (struct engine_guard){ lock, token };
    return true;
}

/* The next word, whatever it is. */
static bool take_word(struct resp_args *args, const char *field, struct bytes *out_word)
{
    return resp_take_bytes(args, field, LIMIT_VALUE_SIZE_MAX, out_word);
}

bool resp_take_score(struct resp_args *args, double *out_score)
{
    struct bytes word;
    if (!take_word(args, "score", &word)) return false;
    if (real_parse(word, out_score)) return true;
    resp_refuse(args->resp, TENURE_INVALID, "score must be a finite decimal number");
    return false;
}

bool resp_take_integer(struct resp_args *args, const char *field, int64_t *out_value)
{
    struct bytes word;
    if (!take_word(args, field, &word)) return false;
    if (decimal_parse_signed(word, out_value)) return true;
    resp_refuse(args->resp, TENURE_INVALID, "a whole number of 64 bits is wanted");
    return false;
}

bool resp_take_version(struct resp_args *args, uint64_t *out_version)
{
    return resp_take_number(args, "version", 0, TOKEN_MAX, out_version);
}

bool resp_take_member(struct resp_args *args, struct bytes *out_member)
{
    return resp_take_plain(args, "member", out_member);
}

bool resp_take_terms(struct resp_args *args, struct engine_operation *operation, bool *out_taken)
{
    uint64_t ttl_ms;
    *out_taken = true;
    if (resp_take_keyword(args, "TTL")) {
        if (!resp_take_number(args, "TTL", LIMIT_TTL_MS_MIN, LIMIT_STATE_TTL_MS_MAX, &ttl_ms)) {
            return false;
        }
        operation->ttl_ms = (uint32_t)ttl_ms;
        return true;
    }
    if (resp_take_keyword(args, "BIND")) return resp_take_guard(args, &operation->bond);
    if (operation->kind == OPERATION_SET && resp_take_keyword(args, "KEEPTTL")) {
        operation->is_keeping = true;
        return true;
    }
    *out_taken = false;
    return true;
}

/* A condition on the one register of a command: NX, XX, VERSION.  `*out_taken` as above. */
static bool take_condition(
    struct resp_args *args, struct change_request *request, struct bytes name, bool *out_taken)
{
    bool is_absent = resp_take_keyword(args, "NX");
    bool is_present = !is_absent && resp_take_keyword(args, "XX");
    bool is_version = !is_absent && !is_present && resp_take_keyword(args, "VERSION");
    *out_taken = is_absent || is_present || is_version;
    if (!*out_taken) return true;
    struct engine_condition *condition = change_request_condition(request);
    condition->name = name;
    condition->kind = is_absent ? CONDITION_ABSENT : CONDITION_PRESENT;
    if (!is_version) return true;
    condition->kind = CONDITION_VERSION;
    return resp_take_version(args, &condition->version);
}

/* Options up to the end: conditions, guards, and of what makes a value its terms. */
static bool take_options(
    struct resp_args *args, struct change_request *request, struct engine_operation *operation)
{
    bool has_terms = operation->kind == OPERATION_SET || operation->kind == OPERATION_APPEND ||
                     operation->kind == OPERATION_INCREMENT;
    while (resp_args_left(args)) {
        bool is_taken = false;
        if (resp_take_keyword(args, "GUARD")) {
            if (!resp_take_guard(args, change_request_guard(request))) return false;
            continue;
        }
        if (!take_condition(args, request, operation->name, &is_taken)) return false;
        if (is_taken) continue;
        if (has_terms && !resp_take_terms(args, operation, &is_taken)) return false;
        if (!is_taken) return resp_refuse_keyword(args);
    }
    return true;
}

/* ------------------------------------------------------------------ asking */

void resp_submit_change(struct resp *resp, struct change_request *request, enum resp_shape shape)
{
    const struct engine_change *change = change_request_end(request);
    if (change == NULL) {
        resp_refuse(resp, TENURE_INVALID, "at most 128 operations, conditions, and 16 guards");
        return;
    }
    struct engine_command command = { .kind = ENGINE_CHANGE,
                                      .tag = server_tag(resp->server) << RESP_SHAPE_BITS | shape,
                                      .as.change = *change };
    server_submit(resp->server, resp->session, &command);
}

/* One operation and its options. */
static void finish_one(
    struct resp_args *args,
    struct change_request *request,
    struct engine_operation *operation,
    enum resp_shape shape)
{
    if (take_options(args, request, operation)) resp_submit_change(args->resp, request, shape);
}

static struct engine_operation *begin_one(
    struct resp_args *args, enum engine_operation_kind kind, struct change_request **out_request)
{
    struct bytes name;
    if (!resp_take_plain(args, "name", &name)) return NULL;
    *out_request = change_request_begin();
    struct engine_operation *operation = change_request_operation(*out_request, false, kind);
    operation->name = name;
    return operation;
}

static void
run_write(struct resp *resp, const struct resp_command *command, enum engine_operation_kind kind)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request;
    struct engine_operation *operation = begin_one(&args, kind, &request);
    if (operation == NULL) return;
    if (take_word(&args, "value", &operation->value)) {
        finish_one(&args, request, operation, RESP_SHAPE_VERSION);
    }
}

void resp_run_state_set(struct resp *resp, const struct resp_command *command)
{
    run_write(resp, command, OPERATION_SET);
}

void resp_run_state_append(struct resp *resp, const struct resp_command *command)
{
    run_write(resp, command, OPERATION_APPEND);
}

void resp_run_state_cas(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request;
    struct engine_operation *operation = begin_one(&args, OPERATION_SET, &request);
    if (operation == NULL) return;
    struct engine_condition *condition = change_request_condition(request);
    condition->name = operation->name;
    condition->kind = CONDITION_VERSION;
    if (resp_take_version(&args, &condition->version) &&
        take_word(&args, "value", &operation->value)) {
        finish_one(&args, request, operation, RESP_SHAPE_VERSION);
    }
}

void resp_run_state_incr(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request;
    struct engine_operation *operation = begin_one(&args, OPERATION_INCREMENT, &request);
    if (operation == NULL) return;
    operation->by = 1;
    if (resp_take_keyword(&args, "BY") && !resp_take_integer(&args, "BY", &operation->by)) return;
    finish_one(&args, request, operation, RESP_SHAPE_NUMBER);
}

void resp_run_state_del(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request;
    struct engine_operation *operation = begin_one(&args, OPERATION_REMOVE, &request);
    if (operation != NULL) finish_one(&args, request, operation, RESP_SHAPE_REMOVED);
}

void resp_run_state_txn(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request = change_request_begin();
    if (!resp_take_transaction(&args, request)) return;
    resp_submit_change(resp, request, RESP_SHAPE_RESULTS);
}

/* ------------------------------------------------------------------ looking */

void resp_run_state_get(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct change_request *request;
    if (command->argument_count > 2) {
        /* Under a guard: what is read belongs to who holds it. */
        struct engine_operation *operation = begin_one(&args, OPERATION_GET, &request);
        if (operation != NULL) finish_one(&args, request, operation, RESP_SHAPE_REGISTER);
        return;
    }
    struct engine_register_view view;
    struct seq seq;
    struct bytes name;
    if (!resp_take_plain(&args, "name", &name)) return;
    const struct server *server = resp->server;
    if (engine_register(server->engine, name, server->now, &view, &seq)) {
        resp_write_register(resp, &view);
    } else {
        resp_write_null(&resp->out);
    }
    resp_end(resp, seq);
}

#define LIST_VALUE_SIZE_MAX ((size_t)1 << 20)

bool resp_take_page(struct resp_args *args, struct resp_page *out_page)
{
    struct resp_page page = { .limit = 100 };
    uint64_t limit = page.limit;
    while (resp_args_left(args)) {
        bool is_taken = resp_take_keyword(args, "PREFIX")
                            ? resp_take_text(args, "PREFIX", LIMIT_NAME_SIZE_MAX, &page.prefix)
                        : resp_take_keyword(args, "LIMIT")
                            ? resp_take_number(args, "LIMIT", 1, LIMIT_LIST_COUNT_MAX, &limit)
                        : resp_take_keyword(args, "CURSOR")
                            ? resp_take_text(args, "CURSOR", LIMIT_NAME_SIZE_MAX, &page.after)
                            : resp_refuse_keyword(args);
        if (!is_taken) return false;
    }
    page.limit = (uint32_t)limit;
    *out_page = page;
    return true;
}

void resp_run_state_list(struct resp *resp, const struct resp_command *command)
{
    static struct engine_register_view views[LIMIT_LIST_COUNT_MAX];
    struct resp_args args = { resp, command, 1 };
    struct resp_page page;
    if (!resp_take_page(&args, &page)) return;
    struct engine_register_query query = { .prefix = page.prefix,
                                           .after = page.after,
                                           .count_max = page.limit,
                                           .value_size_max = LIST_VALUE_SIZE_MAX };
    struct bytes next;
    const struct server *server = resp->server;
    uint32_t count = engine_registers(server->engine, &query, server->now, views, &next);
    resp_write_array(&resp->out, 2);
    resp_write_bulk(&resp->out, next.size == 0 ? (struct bytes){ "", 0 } : next);
    resp_write_array(&resp->out, count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_register(resp, &views[index]);
    }
    resp_end(resp, engine_seq(server->engine)); /* it also tells what is not there */
}

void resp_run_state_wait(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct engine_command request = { .kind = ENGINE_STATE_WAIT };
    uint64_t wait_ms;
    if (!resp_take_plain(&args, "name", &request.as.state_wait.name)) return;
    if (!resp_take_version(&args, &request.as.state_wait.version)) return;
    if (!resp_take_number(&args, "wait-ms", 0, LIMIT_WAIT_MS_MAX, &wait_ms)) return;
    request.as.state_wait.wait_ms = (uint32_t)wait_ms;
    request.tag = server_tag(resp->server) << RESP_SHAPE_BITS;
    server_submit(resp->server, resp->session, &request);
}
