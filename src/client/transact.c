#include <tenure/state.h>

#include <math.h>
#include <string.h>

#include "client/call.h"
#include "client/state.h"

#define SIZE_TEXT "values: 1048576 bytes together, with those of conditions"

/* A transaction under way; what it needs lies behind it. */
struct transact {
    struct call call;
    struct notice notice;
    tenure_outcome_fn fn;
    void *user;
    bool is_waited; /* somebody waits */
    struct store_guard *guards;
    struct store_condition *conditions;
    struct store_change *changes; /* and the others behind them */
    struct tenure_outcome *outcomes;
    uint32_t outcome_count;
    bool is_otherwise;
    char *kept; /* a copy of what the outcomes point at; NULL: none */
    size_t kept_size;
    size_t size; /* of this block */
};

/* ------------------------------------------------------------------ checks */

const char *tni_find_guard_fault(const struct tenure_guard *guards, uint32_t count)
{
    if (count > LIMIT_GUARD_COUNT_MAX) return "guards: at most 16";
    if (guards == NULL && count > 0) return "guards: they are missing";
    for (uint32_t index = 0; index < count; index++) {
        if (!tni_is_plain(guards[index].lock) || guards[index].token == 0 ||
            guards[index].token > TOKEN_MAX)
        {
            return "guard: the name of a lock and the token of a hold of it";
        }
    }
    return NULL;
}

static const char *find_condition_fault(const struct tenure_condition *condition)
{
    if ((unsigned)condition->kind > TENURE_IF_VALUE) return "condition: no such kind";
    if (!tni_is_plain(condition->name)) return NAME_FAULT;
    if (condition->version > TOKEN_MAX) return "version: no register has such a one";
    if (condition->value == NULL && condition->value_size > 0) return "value: it is missing";
    return NULL;
}

static const char *find_operation_fault(const struct tenure_operation *operation)
{
    if ((unsigned)operation->kind > TENURE_OPERATION_RANK_REMOVE) return "operation: no such kind";
    if (!tni_is_plain(operation->name)) return NAME_FAULT;
    bool is_rank = operation->kind >= TENURE_OPERATION_RANK_GET;
    if (is_rank && !tni_is_plain(operation->member)) return MEMBER_FAULT;
    if (!isfinite(operation->score)) return "score: a finite number";
    if (operation->value == NULL && operation->value_size > 0) return "value: it is missing";
    bool is_short = operation->ttl_ms > 0 && operation->ttl_ms < LIMIT_TTL_MS_MIN;
    if (is_short || operation->ttl_ms > LIMIT_STATE_TTL_MS_MAX) {
        return "ttl_ms: 100 to 2592000000";
    }
    if (operation->bond.lock == NULL) return NULL;
    return tni_find_guard_fault(&operation->bond, 1);
}

static const char *find_fault(const struct tenure_transaction *transaction)
{
    if (transaction == NULL || transaction->size < sizeof(*transaction)) {
        return "size: it must be sizeof(*transaction)";
    }
    uint32_t most = LIMIT_OPERATION_COUNT_MAX;
    if (transaction->condition_count > most || transaction->operation_count > most ||
        transaction->otherwise_count > most - transaction->operation_count)
    {
        return "at most 128 conditions, and 128 operations";
    }
    bool is_missing = (transaction->conditions == NULL && transaction->condition_count > 0) ||
                      (transaction->otherwise == NULL && transaction->otherwise_count > 0);
    if (transaction->operation_count == 0 || transaction->operations == NULL || is_missing) {
        return "operations: none is there, or what was counted is missing";
    }
    const char *fault = tni_find_guard_fault(transaction->guards, transaction->guard_count);
    for (uint32_t index = 0; index < transaction->condition_count && fault == NULL; index++) {
        fault = find_condition_fault(&transaction->conditions[index]);
    }
    for (uint32_t index = 0; index < transaction->operation_count && fault == NULL; index++) {
        fault = find_operation_fault(&transaction->operations[index]);
    }
    for (uint32_t index = 0; index < transaction->otherwise_count && fault == NULL; index++) {
        fault = find_operation_fault(&transaction->otherwise[index]);
    }
    return fault;
}

/* ------------------------------------------------------------------ the block */

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

/* What is copied of operations; `values` is what they have of values. */
static size_t
operations_size(const struct tenure_operation *operations, uint32_t count, uint64_t *values)
{
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++) {
        const struct tenure_operation *operation = &operations[index];
        bool is_too_large = operation->value_size > LIMIT_CHANGE_SIZE_MAX;
        *values += is_too_large ? LIMIT_CHANGE_SIZE_MAX + 1 : operation->value_size;
        if (is_too_large) continue;
        size += text_size(operation->name) + text_size(operation->member) +
                text_size(operation->bond.lock) + operation->value_size;
    }
    return size;
}

/* What is copied; SIZE_MAX: its values are too large. */
static size_t bytes_of(const struct tenure_transaction *transaction)
{
    size_t size = 0;
    uint64_t values = 0;
    for (uint32_t index = 0; index < transaction->guard_count; index++) {
        size += text_size(transaction->guards[index].lock);
    }
    for (uint32_t index = 0; index < transaction->condition_count; index++) {
        const struct tenure_condition *condition = &transaction->conditions[index];
        if (condition->value_size > LIMIT_CHANGE_SIZE_MAX) return SIZE_MAX;
        values += condition->value_size;
        size += text_size(condition->name) + condition->value_size;
    }
    size += operations_size(transaction->operations, transaction->operation_count, &values);
    size += operations_size(transaction->otherwise, transaction->otherwise_count, &values);
    return values > LIMIT_CHANGE_SIZE_MAX ? SIZE_MAX : size;
}

/* A copy at `*at`, which is moved behind it; NULL stays NULL. */
static const char *keep(char **at, const void *bytes, size_t size)
{
    char *copy = *at;
    if (bytes == NULL) return NULL;
    if (size > 0) memcpy(copy, bytes, size);
    *at = copy + size;
    return copy;
}

static const char *keep_text(char **at, const char *text)
{
    return keep(at, text, text_size(text));
}

static struct bytes keep_bytes(char **at, const void *bytes, size_t size)
{
    return (struct bytes){ size == 0 ? "" : keep(at, bytes, size), size };
}

static struct store_guard keep_guard(char **at, const struct tenure_guard *guard)
{
    return (struct store_guard){ keep_text(at, guard->lock), guard->token };
}

static struct store_change keep_operation(char **at, const struct tenure_operation *operation)
{
    return (struct store_change){
        .kind = (enum store_change_kind)operation->kind,
        .name = keep_text(at, operation->name),
        .value = keep_bytes(at, operation->value, operation->value_size),
        .by = operation->by,
        .member = keep_text(at, operation->member),
        .score = operation->score,
        .ttl_ms = operation->ttl_ms,
        .bond = keep_guard(at, &operation->bond),
        .is_ttl_kept = operation->is_ttl_kept,
    };
}

static void fill(struct transact *transact, const struct tenure_transaction *transaction, char *at)
{
    for (uint32_t index = 0; index < transaction->guard_count; index++) {
        transact->guards[index] = keep_guard(&at, &transaction->guards[index]);
    }
    for (uint32_t index = 0; index < transaction->condition_count; index++) {
        const struct tenure_condition *condition = &transaction->conditions[index];
        transact->conditions[index] = (struct store_condition){
            .kind = (enum store_condition_kind)condition->kind,
            .name = keep_text(&at, condition->name),
            .version = condition->version,
            .value = keep_bytes(&at, condition->value, condition->value_size),
        };
    }
    uint32_t count = transaction->operation_count;
    for (uint32_t index = 0; index < count; index++) {
        transact->changes[index] = keep_operation(&at, &transaction->operations[index]);
    }
    for (uint32_t index = 0; index < transaction->otherwise_count; index++) {
        transact->changes[count + index] = keep_operation(&at, &transaction->otherwise[index]);
    }
}

/* NULL: there is no memory. */
static struct transact *
create(const struct memory *memory, const struct tenure_transaction *transaction, size_t bytes)
{
    uint32_t change_count = transaction->operation_count + transaction->otherwise_count;
    size_t size = sizeof(struct transact) + change_count * sizeof(struct tenure_outcome) +
                  change_count * sizeof(struct store_change) +
                  transaction->condition_count * sizeof(struct store_condition) +
                  transaction->guard_count * sizeof(struct store_guard) + bytes;
    struct transact *transact = memory_take(memory, size);
    if (transact == NULL) return NULL;
    *transact = (struct transact){ .size = size };
    transact->outcomes = (struct tenure_outcome *)(void *)(transact + 1);
    transact->changes = (struct store_change *)(void *)(transact->outcomes + change_count);
    transact->conditions = (struct store_condition *)(void *)(transact->changes + change_count);
    transact->guards =
        (struct store_guard *)(void *)(transact->conditions + transaction->condition_count);
    fill(transact, transaction, (char *)(transact->guards + transaction->guard_count));
    return transact;
}

static void destroy(struct transact *transact, const struct memory *memory)
{
    memory_give(memory, transact->kept, transact->kept_size);
    memory_give(memory, transact, transact->size);
}

static void set_request(struct transact *transact, const struct tenure_transaction *transaction)
{
    struct store_request *request = &transact->call.op.request;
    request->verb = STORE_TRANSACT;
    request->as.transact = (struct store_transact){
        .guards = transact->guards,
        .guard_count = transaction->guard_count,
        .conditions = transact->conditions,
        .condition_count = transaction->condition_count,
        .changes = transact->changes,
        .change_count = transaction->operation_count,
        .otherwise = transact->changes + transaction->operation_count,
        .otherwise_count = transaction->otherwise_count,
    };
}

/* ------------------------------------------------------------------ outcomes */

struct tenure_register tni_register_of(const struct store_register *value)
{
    return (struct tenure_register){
        .name = value->name,
        .version = value->version,
        .value = value->value.data,
        .value_size = value->value.size,
        .ttl_ms = value->ttl_ms,
        .remaining_ms = value->remaining_ms,
        .lock = value->lock,
        .token = value->token,
    };
}

static size_t kept_size_of(const struct tenure_register *value)
{
    return strlen(value->name) + 1 + value->value_size + 1 + strlen(value->lock) + 1;
}

/* For a later dispatch.  False: there is no memory. */
static bool keep_outcomes(struct transact *transact)
{
    size_t size = 0;
    for (uint32_t index = 0; index < transact->outcome_count; index++) {
        size += kept_size_of(&transact->outcomes[index].value);
    }
    transact->kept = memory_take(transact->call.client->memory, size);
    if (transact->kept == NULL) return false;
    transact->kept_size = size;
    char *at = transact->kept;
    for (uint32_t index = 0; index < transact->outcome_count; index++) {
        struct tenure_register *value = &transact->outcomes[index].value;
        value->name = keep_text(&at, value->name);
        value->value = keep(&at, value->value, value->value_size);
        *at++ = '\0';
        value->lock = keep_text(&at, value->lock);
    }
    return true;
}

static void on_done(struct store_op *op, const struct store_result *result)
{
    struct transact *transact = CONTAINER_OF(op, struct transact, call.op);
    struct call *call = &transact->call;
    enum tenure_err err = result->err;
    const char *text = result->text;
    uint32_t count = err == TENURE_OK ? result->as.transact.count : 0;
    for (uint32_t index = 0; index < count; index++) {
        const struct store_change_result *one = &result->as.transact.results[index];
        transact->outcomes[index] = (struct tenure_outcome){ .value = tni_register_of(&one->value),
                                                             .is_member = one->is_member,
                                                             .score = one->score };
    }
    transact->outcome_count = count;
    transact->is_otherwise = err == TENURE_OK && result->as.transact.is_otherwise;
    if (transact->is_waited && err == TENURE_OK && transact->fn != NULL) {
        transact->fn(err, transact->outcomes, count, transact->is_otherwise, NULL, transact->user);
    }
    bool is_kept = transact->is_waited || !call->client->is_dispatched;
    if (err == TENURE_OK && !is_kept && !keep_outcomes(transact)) {
        err = TENURE_UNKNOWN;
        text = "it has happened, but there is no memory for the outcome";
    }
    tni_call_end(call, err, text);
}

/* ------------------------------------------------------------------ the public side */

static enum tenure_err find_all_faults(
    const struct tenure_transaction *transaction, size_t *out_bytes, struct tenure_error *out_error)
{
    const char *fault = find_fault(transaction);
    if (fault != NULL) return tni_fail(out_error, TENURE_INVALID, fault);
    *out_bytes = bytes_of(transaction);
    if (*out_bytes != SIZE_MAX) return TENURE_OK;
    return tni_fail(out_error, TENURE_TOO_LARGE, SIZE_TEXT);
}

static void tell(struct client *client, struct notice *notice)
{
    struct transact *transact = CONTAINER_OF(notice, struct transact, notice);
    struct tenure_error error;
    const char *text = transact->call.text[0] == '\0' ? NULL : transact->call.text;
    enum tenure_err err = transact->call.err;
    (void)tni_fail(&error, err, text);
    const struct tenure_outcome *outcomes = err == TENURE_OK ? transact->outcomes : NULL;
    uint32_t count = err == TENURE_OK ? transact->outcome_count : 0;
    if (transact->fn != NULL) {
        transact->fn(err, outcomes, count, transact->is_otherwise, &error, transact->user);
    }
    destroy(transact, client->memory);
    tni_client_give(client);
}

static void finish(struct call *call)
{
    struct transact *transact = CONTAINER_OF(call, struct transact, call);
    (void)tni_notice_post(call->client, &transact->notice);
}

/* A reference to the client, and the block.  NULL: `*out_err`. */
static struct transact *begin(
    struct tenure_client handle,
    const struct tenure_transaction *transaction,
    struct client **out_client,
    enum tenure_err *out_err,
    struct tenure_error *out_error)
{
    size_t bytes = 0;
    *out_err = find_all_faults(transaction, &bytes, out_error);
    if (*out_err != TENURE_OK) return NULL;
    *out_client = tni_client_take(handle);
    if (*out_client == NULL) {
        *out_err = tni_fail(out_error, TENURE_INVALID, "the client is closed");
        return NULL;
    }
    struct transact *transact = create((*out_client)->memory, transaction, bytes);
    if (transact == NULL) {
        tni_client_give(*out_client);
        *out_err = tni_fail(out_error, TENURE_NO_MEMORY, NULL);
    }
    return transact;
}

enum tenure_err tenure_transact_start(
    struct tenure_client handle,
    const struct tenure_transaction *transaction,
    tenure_outcome_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct client *client;
    enum tenure_err err;
    struct transact *transact = begin(handle, transaction, &client, &err, out_error);
    if (transact == NULL) return err;
    transact->call = (struct call){ .client = client, .finish = finish };
    transact->notice.tell = tell;
    transact->fn = fn;
    transact->user = user;
    tni_call_prepare(&transact->call);
    set_request(transact, transaction);
    transact->call.op.done = on_done;
    if (tni_client_submit(client, &transact->call.task)) return TENURE_OK;
    destroy(transact, client->memory);
    tni_client_give(client);
    return tni_fail(out_error, TENURE_CANCELED, NULL);
}

enum tenure_err tenure_transact(
    struct tenure_client handle,
    const struct tenure_transaction *transaction,
    tenure_outcome_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct client *client;
    enum tenure_err err;
    struct transact *transact = begin(handle, transaction, &client, &err, out_error);
    if (transact == NULL) return err;
    const struct memory *memory = client->memory;
    transact->is_waited = true;
    transact->fn = fn;
    transact->user = user;
    if (tni_call_begin_with(&transact->call, client, out_error)) {
        set_request(transact, transaction);
        transact->call.op.done = on_done;
        err = tni_call_run(&transact->call, NULL, out_error);
    } else {
        err = transact->call.err;
    }
    destroy(transact, memory);
    return err;
}
