#include "client/state.h"

#include <string.h>

#include "base/decimal.h"
#include "client/call.h"

#define FN_FAULT "fn: it is missing"

/* ------------------------------------------------------------------ one register */

/* What one operation came to. */
struct single {
    tenure_register_fn fn; /* NULL: nobody wants the value */
    void *user;
    uint64_t version;
    int64_t number;
};

static void on_single(
    enum tenure_err err,
    const struct tenure_outcome *outcomes,
    uint32_t count,
    bool is_otherwise,
    const struct tenure_error *error,
    void *user)
{
    struct single *single = user;
    (void)err;
    (void)is_otherwise;
    (void)error;
    ASSERT(count == 1);
    const struct tenure_register *value = &outcomes[0].value;
    single->version = value->version;
    struct bytes digits = { value->value, value->value_size };
    if (!decimal_parse_signed(digits, &single->number)) single->number = 0;
    if (single->fn != NULL && value->version > 0) single->fn(value, single->user);
}

enum tenure_err tenure_state_get(
    struct tenure_client handle,
    const struct tenure_get_options *options,
    tenure_register_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct single single = { .fn = fn, .user = user };
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, FN_FAULT);
    if (options == NULL || options->size < sizeof(*options)) {
        return tni_fail(out_error, TENURE_INVALID, SIZE_FAULT);
    }
    struct tenure_operation operation = { .kind = TENURE_OPERATION_GET, .name = options->name };
    struct tenure_transaction transaction = { .size = sizeof(transaction),
                                              .guards = options->guards,
                                              .guard_count = options->guard_count,
                                              .operations = &operation,
                                              .operation_count = 1 };
    enum tenure_err err = tenure_transact(handle, &transaction, on_single, &single, out_error);
    if (err != TENURE_OK || single.version > 0) return err;
    return tni_fail(out_error, TENURE_NOT_FOUND, "the register is not set");
}

/* False: there is no condition. */
static bool
condition_of(const struct tenure_set_options *options, struct tenure_condition *out_condition)
{
    struct tenure_condition condition = { .name = options->name, .version = options->version };
    switch (options->when) {
    case TENURE_SET_ALWAYS: return false;
    case TENURE_SET_IF_ABSENT: condition.kind = TENURE_IF_ABSENT; break;
    case TENURE_SET_IF_PRESENT: condition.kind = TENURE_IF_PRESENT; break;
    case TENURE_SET_IF_VERSION: condition.kind = TENURE_IF_VERSION; break;
    }
    *out_condition = condition;
    return true;
}

/* Of the only condition and the only operation one need not say which of them is meant. */
static void cut_place(struct tenure_error *error)
{
    static const char *const places[] = { " (if 1: ", " (then 1: " };
    for (size_t index = 0; error != NULL && index < sizeof(places) / sizeof(places[0]); index++) {
        char *place = strstr(error->text, places[index]);
        if (place != NULL) *place = '\0';
    }
}

static enum tenure_err change(
    struct tenure_client handle,
    const struct tenure_set_options *options,
    const struct tenure_operation *operation,
    struct single *out_single,
    struct tenure_error *out_error)
{
    if (options == NULL || options->size < sizeof(*options)) {
        return tni_fail(out_error, TENURE_INVALID, SIZE_FAULT);
    }
    if ((unsigned)options->when > TENURE_SET_IF_VERSION) {
        return tni_fail(out_error, TENURE_INVALID, "when: no such condition");
    }
    struct tenure_condition condition;
    struct tenure_operation complete = *operation;
    complete.name = options->name;
    if (operation->kind != TENURE_OPERATION_REMOVE) {
        complete.ttl_ms = options->ttl_ms;
        complete.bond = options->bond;
    }
    struct tenure_transaction transaction = { .size = sizeof(transaction),
                                              .guards = options->guards,
                                              .guard_count = options->guard_count,
                                              .conditions = &condition,
                                              .operations = &complete,
                                              .operation_count = 1 };
    transaction.condition_count = condition_of(options, &condition) ? 1 : 0;
    enum tenure_err err = tenure_transact(handle, &transaction, on_single, out_single, out_error);
    if (err != TENURE_OK) cut_place(out_error);
    return err;
}

static enum tenure_err write_value(
    struct tenure_client handle,
    enum tenure_operation_kind kind,
    const struct tenure_set_options *options,
    uint64_t *out_version,
    struct tenure_error *out_error)
{
    struct single single = { .fn = NULL };
    struct tenure_operation operation = { .kind = kind };
    if (options != NULL && options->size >= sizeof(*options)) {
        operation.value = options->value;
        operation.value_size = options->value_size;
        operation.is_ttl_kept = kind == TENURE_OPERATION_SET && options->is_ttl_kept;
        if (options->value_size > LIMIT_VALUE_SIZE_MAX) {
            return tni_fail(out_error, TENURE_TOO_LARGE, "value: 1048576 bytes at most");
        }
    }
    enum tenure_err err = change(handle, options, &operation, &single, out_error);
    if (err == TENURE_OK && out_version != NULL) *out_version = single.version;
    return err;
}

enum tenure_err tenure_state_set(
    struct tenure_client handle,
    const struct tenure_set_options *options,
    uint64_t *out_version,
    struct tenure_error *out_error)
{
    return write_value(handle, TENURE_OPERATION_SET, options, out_version, out_error);
}

enum tenure_err tenure_state_append(
    struct tenure_client handle,
    const struct tenure_set_options *options,
    uint64_t *out_version,
    struct tenure_error *out_error)
{
    return write_value(handle, TENURE_OPERATION_APPEND, options, out_version, out_error);
}

enum tenure_err tenure_state_incr(
    struct tenure_client handle,
    const struct tenure_set_options *options,
    int64_t by,
    int64_t *out_number,
    struct tenure_error *out_error)
{
    struct single single = { .fn = NULL };
    struct tenure_operation operation = { .kind = TENURE_OPERATION_INCR, .by = by };
    enum tenure_err err = change(handle, options, &operation, &single, out_error);
    if (err == TENURE_OK && out_number != NULL) *out_number = single.number;
    return err;
}

enum tenure_err tenure_state_remove(
    struct tenure_client handle,
    const struct tenure_set_options *options,
    struct tenure_error *out_error)
{
    struct single single = { .fn = NULL };
    struct tenure_set_options present;
    struct tenure_operation operation = { .kind = TENURE_OPERATION_REMOVE };
    bool is_plain =
        options != NULL && options->size >= sizeof(*options) && options->when == TENURE_SET_ALWAYS;
    if (is_plain) {
        present = *options;
        present.when = TENURE_SET_IF_PRESENT;
        options = &present;
    }
    enum tenure_err err = change(handle, options, &operation, &single, out_error);
    if (err != TENURE_MISMATCH || !is_plain) return err;
    return tni_fail(out_error, TENURE_NOT_FOUND, "the register is not set");
}

/* ------------------------------------------------------------------ wait */

struct wait_call {
    struct call call;
    tenure_register_fn fn;
    void *user;
    uint64_t version;
};

static void on_change(struct store_op *op, const struct store_result *result)
{
    struct wait_call *wait = CONTAINER_OF(op, struct wait_call, call.op);
    /* A time that was over before the server was asked has nothing to show. */
    bool is_told = result->err == TENURE_OK ||
                   (result->err == TENURE_TIMEOUT && result->as.register_wait.value.name != NULL);
    if (is_told) {
        struct tenure_register value = tni_register_of(&result->as.register_wait.value);
        wait->version = result->as.register_wait.version;
        wait->fn(&value, wait->user);
    }
    tni_call_end(&wait->call, result->err, result->text);
}

static struct mono wait_until(uint32_t wait_ms)
{
    if (wait_ms == TENURE_WAIT_FOREVER) return (struct mono){ INT64_MAX };
    return wait_ms == 0 ? (struct mono){ 0 } : tni_deadline(wait_ms);
}

static const char *find_wait_fault(const struct tenure_wait_options *options)
{
    if (options == NULL || options->size < sizeof(*options)) return SIZE_FAULT;
    if (!tni_is_plain(options->name)) return NAME_FAULT;
    return options->version > TOKEN_MAX ? "version: too high" : NULL;
}

enum tenure_err tenure_state_wait(
    struct tenure_client handle,
    const struct tenure_wait_options *options,
    tenure_register_fn fn,
    void *user,
    uint64_t *out_version,
    struct tenure_error *out_error)
{
    struct wait_call wait = { .fn = fn, .user = user };
    const char *fault = fn == NULL ? FN_FAULT : find_wait_fault(options);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    if (!tni_call_begin(&wait.call, handle, out_error)) return wait.call.err;
    wait.version = options->version;
    struct store_request *request = &wait.call.op.request;
    request->verb = STORE_REGISTER_WAIT;
    request->as.register_wait.name = options->name;
    request->as.register_wait.version = options->version;
    request->as.register_wait.wait_until = wait_until(options->wait_ms);
    request->as.register_wait.answer_ns = (int64_t)wait.call.client->timeout_ms * NS_PER_MS;
    wait.call.op.done = on_change;
    enum tenure_err err = tni_call_run(&wait.call, NULL, out_error);
    bool is_told = err == TENURE_OK || err == TENURE_TIMEOUT;
    if (is_told && out_version != NULL) *out_version = wait.version;
    return err;
}

/* ------------------------------------------------------------------ list */

struct list_call {
    struct call call;
    tenure_register_fn fn;
    void *user;
};

static void on_register(struct store_op *op, const struct store_register *told)
{
    struct list_call *list = CONTAINER_OF(op, struct list_call, call.op);
    struct tenure_register value = tni_register_of(told);
    list->fn(&value, list->user);
}

enum tenure_err tenure_state_list(
    struct tenure_client handle,
    const char *prefix,
    tenure_register_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct list_call list = { .fn = fn, .user = user };
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, FN_FAULT);
    if (prefix != NULL && !tni_is_text(prefix, LIMIT_NAME_SIZE_MAX)) {
        return tni_fail(out_error, TENURE_INVALID, "prefix: up to 255 bytes of UTF-8");
    }
    if (!tni_call_begin(&list.call, handle, out_error)) return list.call.err;
    list.call.op.request.verb = STORE_REGISTERS;
    list.call.op.request.as.registers.prefix = prefix;
    list.call.op.told = on_register;
    return tni_call_run(&list.call, NULL, out_error);
}
