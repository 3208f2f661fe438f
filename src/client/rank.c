#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/call.h"
#include "client/state.h"

#define RANK_FAULT "rank: 1 to 255 bytes of UTF-8 without control characters"
#define RULES                                                                                      \
    (TENURE_RANK_IF_NEW | TENURE_RANK_IF_PRESENT | TENURE_RANK_IF_HIGHER |                         \
     (unsigned)TENURE_RANK_IF_LOWER)

struct rank_call {
    struct call call;
    tenure_member_fn fn; /* NULL: nobody wants members */
    void *user;
    uint32_t count;
    int64_t position;
    double score;
};

static void on_rank(struct store_op *op, const struct store_result *result)
{
    struct rank_call *rank = CONTAINER_OF(op, struct rank_call, call.op);
    if (result->err == TENURE_OK) {
        rank->count = result->as.rank.count;
        rank->position = result->as.rank.position;
        rank->score = result->as.rank.score;
        for (uint32_t index = 0; rank->fn != NULL && index < rank->count; index++) {
            const struct store_member *told = &result->as.rank.members[index];
            struct tenure_member member = { .member = told->member, .score = told->score };
            rank->fn(&member, rank->user);
        }
    }
    tni_call_end(&rank->call, result->err, result->text);
}

static enum tenure_err
ask(struct tenure_client handle,
    const struct store_rank *request,
    struct rank_call *rank,
    struct tenure_error *out_error)
{
    if (!tni_is_plain(request->rank)) return tni_fail(out_error, TENURE_INVALID, RANK_FAULT);
    uint32_t member_count = request->members == NULL ? 0 : request->count;
    for (uint32_t index = 0; index < member_count; index++) {
        if (!tni_is_plain(request->members[index])) {
            return tni_fail(out_error, TENURE_INVALID, MEMBER_FAULT);
        }
    }
    if (!tni_call_begin(&rank->call, handle, out_error)) return rank->call.err;
    rank->call.op.request.verb = STORE_RANK;
    rank->call.op.request.as.rank = *request;
    rank->call.op.done = on_rank;
    return tni_call_run(&rank->call, NULL, out_error);
}

static enum tenure_err ask_count(
    struct tenure_client handle,
    const struct store_rank *request,
    uint32_t *out_count,
    struct tenure_error *out_error)
{
    struct rank_call rank = { .fn = NULL };
    enum tenure_err err = ask(handle, request, &rank, out_error);
    if (err == TENURE_OK && out_count != NULL) *out_count = rank.count;
    return err;
}

/* ------------------------------------------------------------------ change */

static bool is_member_count(uint32_t count)
{
    return count > 0 && count <= LIMIT_OPERATION_COUNT_MAX;
}

enum tenure_err tenure_rank_add(
    struct tenure_client handle,
    const struct tenure_rank_add_options *options,
    uint32_t *out_count,
    struct tenure_error *out_error)
{
    const char *names[LIMIT_OPERATION_COUNT_MAX];
    double scores[LIMIT_OPERATION_COUNT_MAX];
    if (options == NULL || options->size < sizeof(*options)) {
        return tni_fail(out_error, TENURE_INVALID, SIZE_FAULT);
    }
    if (options->members == NULL || !is_member_count(options->member_count)) {
        return tni_fail(out_error, TENURE_INVALID, "members: 1 to 128");
    }
    if ((options->rules & ~RULES) != 0) {
        return tni_fail(out_error, TENURE_INVALID, "rules: no such rule");
    }
    for (uint32_t index = 0; index < options->member_count; index++) {
        names[index] = options->members[index].member;
        scores[index] = options->members[index].score;
        if (!isfinite(scores[index])) {
            return tni_fail(out_error, TENURE_INVALID, "score: a finite number");
        }
    }
    struct store_rank request = {
        .kind = STORE_RANK_ADD,
        .rank = options->rank,
        .members = names,
        .scores = scores,
        .count = options->member_count,
        .is_new_only = (options->rules & TENURE_RANK_IF_NEW) != 0,
        .is_old_only = (options->rules & TENURE_RANK_IF_PRESENT) != 0,
        .is_raise_only = (options->rules & TENURE_RANK_IF_HIGHER) != 0,
        .is_lower_only = (options->rules & TENURE_RANK_IF_LOWER) != 0,
    };
    return ask_count(handle, &request, out_count, out_error);
}

static void on_score(
    enum tenure_err err,
    const struct tenure_outcome *outcomes,
    uint32_t count,
    bool is_otherwise,
    const struct tenure_error *error,
    void *user)
{
    double *score = user;
    (void)err;
    (void)is_otherwise;
    (void)error;
    ASSERT(count == 1);
    *score = outcomes[0].score;
}

enum tenure_err tenure_rank_incr(
    struct tenure_client handle,
    const char *name,
    const char *member,
    double by,
    double *out_score,
    struct tenure_error *out_error)
{
    double score = 0;
    struct tenure_operation operation = {
        .kind = TENURE_OPERATION_RANK_INCR, .name = name, .member = member, .score = by
    };
    struct tenure_transaction transaction = { .size = sizeof(transaction),
                                              .operations = &operation,
                                              .operation_count = 1 };
    enum tenure_err err = tenure_transact(handle, &transaction, on_score, &score, out_error);
    if (err == TENURE_OK && out_score != NULL) *out_score = score;
    return err;
}

enum tenure_err tenure_rank_remove(
    struct tenure_client handle,
    const char *name,
    const char *const *members,
    uint32_t count,
    uint32_t *out_count,
    struct tenure_error *out_error)
{
    if (members == NULL || !is_member_count(count)) {
        return tni_fail(out_error, TENURE_INVALID, "members: 1 to 128");
    }
    struct store_rank request = {
        .kind = STORE_RANK_REMOVE, .rank = name, .members = members, .count = count
    };
    return ask_count(handle, &request, out_count, out_error);
}

enum tenure_err tenure_rank_trim(
    struct tenure_client handle,
    const char *name,
    int64_t first,
    int64_t last,
    uint32_t *out_count,
    struct tenure_error *out_error)
{
    struct store_rank request = {
        .kind = STORE_RANK_TRIM, .rank = name, .first = first, .last = last
    };
    return ask_count(handle, &request, out_count, out_error);
}

/* ------------------------------------------------------------------ look */

enum tenure_err tenure_rank_score(
    struct tenure_client handle,
    const char *name,
    const char *member,
    double *out_score,
    struct tenure_error *out_error)
{
    struct rank_call rank = { .fn = NULL };
    struct store_rank request = {
        .kind = STORE_RANK_SCORE, .rank = name, .members = &member, .count = 1
    };
    enum tenure_err err = ask(handle, &request, &rank, out_error);
    if (err == TENURE_OK && out_score != NULL) *out_score = rank.score;
    return err;
}

enum tenure_err tenure_rank_position(
    struct tenure_client handle,
    const char *name,
    const char *member,
    bool is_reversed,
    uint64_t *out_position,
    struct tenure_error *out_error)
{
    struct rank_call rank = { .fn = NULL };
    struct store_rank request = { .kind = STORE_RANK_POSITION,
                                  .rank = name,
                                  .members = &member,
                                  .count = 1,
                                  .is_reversed = is_reversed };
    enum tenure_err err = ask(handle, &request, &rank, out_error);
    if (err == TENURE_OK && out_position != NULL) *out_position = (uint64_t)rank.position;
    return err;
}

enum tenure_err tenure_rank_count(
    struct tenure_client handle,
    const char *name,
    uint32_t *out_count,
    struct tenure_error *out_error)
{
    struct store_rank request = { .kind = STORE_RANK_COUNT,
                                  .rank = name,
                                  .least = { .score = -HUGE_VAL },
                                  .most = { .score = HUGE_VAL } };
    return ask_count(handle, &request, out_count, out_error);
}

enum tenure_err tenure_rank_range(
    struct tenure_client handle,
    const struct tenure_range_options *options,
    tenure_member_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct rank_call rank = { .fn = fn, .user = user };
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, "fn: it is missing");
    if (options == NULL || options->size < sizeof(*options)) {
        return tni_fail(out_error, TENURE_INVALID, SIZE_FAULT);
    }
    if (isnan(options->least) || isnan(options->most)) {
        return tni_fail(out_error, TENURE_INVALID, "least, most: numbers");
    }
    if (options->count_max > LIMIT_LIST_COUNT_MAX) {
        return tni_fail(out_error, TENURE_INVALID, "count_max: 1000 at most");
    }
    struct store_rank request = {
        .kind = options->is_by_score ? STORE_RANK_BY_SCORE : STORE_RANK_RANGE,
        .rank = options->rank,
        .count = options->count_max,
        .offset = options->offset,
        .first = options->first,
        .last = options->last,
        .least = { options->least, options->is_least_open },
        .most = { options->most, options->is_most_open },
        .is_reversed = options->is_reversed,
    };
    return ask(handle, &request, &rank, out_error);
}

/* ------------------------------------------------------------------ all of them */

struct list_call {
    struct call call;
    tenure_rank_fn fn;
    void *user;
    char after[LIMIT_NAME_SIZE_MAX + 1]; /* "": from the first, or to the end */
};

static void on_page(struct store_op *op, const struct store_result *result)
{
    struct list_call *list = CONTAINER_OF(op, struct list_call, call.op);
    enum tenure_err err = result->err;
    const char *text = result->text;
    const char *next = err == TENURE_OK ? result->as.rank.next : "";
    /* What does not go on ends. */
    bool is_on = next[0] == '\0' || strcmp(next, list->after) > 0;
    if (err == TENURE_OK && (!is_on || strlen(next) >= sizeof(list->after))) {
        err = TENURE_INTERNAL;
        text = NULL;
    }
    for (uint32_t index = 0; err == TENURE_OK && index < result->as.rank.count; index++) {
        const struct store_member *rank = &result->as.rank.members[index];
        list->fn(rank->member, (uint32_t)rank->score, list->user);
    }
    (void)snprintf(list->after, sizeof(list->after), "%s", err == TENURE_OK ? next : "");
    tni_call_end(&list->call, err, text);
}

enum tenure_err tenure_rank_list(
    struct tenure_client handle,
    const char *prefix,
    tenure_rank_fn fn,
    void *user,
    struct tenure_error *out_error)
{
    struct list_call list = { .fn = fn };
    char after[sizeof(list.after)] = "";
    if (fn == NULL) return tni_fail(out_error, TENURE_INVALID, "fn: it is missing");
    if (prefix != NULL && !tni_is_text(prefix, LIMIT_NAME_SIZE_MAX)) {
        return tni_fail(out_error, TENURE_INVALID, "prefix: up to 255 bytes of UTF-8");
    }
    enum tenure_err err;
    do {
        if (!tni_call_begin(&list.call, handle, out_error)) return list.call.err;
        list.fn = fn;
        list.user = user;
        list.call.op.request.verb = STORE_RANK;
        list.call.op.request.as.rank =
            (struct store_rank){ .kind = STORE_RANK_LIST, .rank = prefix, .after = after };
        list.call.op.done = on_page;
        err = tni_call_run(&list.call, NULL, out_error);
        memcpy(after, list.after, sizeof(after));
    } while (err == TENURE_OK && after[0] != '\0');
    return err;
}

/* ------------------------------------------------------------------ channels */

struct publish_call {
    struct call call;
    uint32_t count;
};

static void on_published(struct store_op *op, const struct store_result *result)
{
    struct publish_call *publish = CONTAINER_OF(op, struct publish_call, call.op);
    if (result->err == TENURE_OK) publish->count = result->as.listener_count;
    tni_call_end(&publish->call, result->err, result->text);
}

enum tenure_err tenure_publish(
    struct tenure_client handle,
    const char *channel,
    const void *message,
    size_t message_size,
    uint32_t *out_count,
    struct tenure_error *out_error)
{
    struct publish_call publish = { .count = 0 };
    bool is_named = channel != NULL && channel[0] != '\0' && strlen(channel) <= LIMIT_NAME_SIZE_MAX;
    if (!is_named) return tni_fail(out_error, TENURE_INVALID, "channel: 1 to 255 bytes");
    if (message_size > LIMIT_VALUE_SIZE_MAX) {
        return tni_fail(out_error, TENURE_TOO_LARGE, "message: 1048576 bytes at most");
    }
    if (message == NULL && message_size > 0) {
        return tni_fail(out_error, TENURE_INVALID, "message: it is missing");
    }
    if (!tni_call_begin(&publish.call, handle, out_error)) return publish.call.err;
    publish.call.op.request.verb = STORE_PUBLISH;
    publish.call.op.request.as.publish.channel = channel;
    publish.call.op.request.as.publish.message =
        (struct bytes){ message_size == 0 ? "" : message, message_size };
    publish.call.op.done = on_published;
    enum tenure_err err = tni_call_run(&publish.call, NULL, out_error);
    if (err == TENURE_OK && out_count != NULL) *out_count = publish.count;
    return err;
}
