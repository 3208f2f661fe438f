/* api_queues_read - what queues look like, over HTTP. */
#include "server/http.h"
#include "server/queue_request.h"
#include "server/queue_shapes.h"

static const struct engine *engine_of(const struct http *http)
{
    return http_server(http)->engine;
}

/* What a read of this queue depends on: its last change, or that there is none. */
static struct seq seq_of(const struct http *http, struct bytes queue)
{
    struct engine_queue_view view;
    (void)engine_queue(engine_of(http), queue, &view);
    return view.seq;
}

static void end(struct http *http, struct seq seq)
{
    http_end(http, &(struct http_answer){ .status = 200 }, seq);
}

/* It is not there, as far as is known up to `seq`. */
static void refuse_missing(struct http *http, const char *detail, struct seq seq)
{
    struct json_writer json;
    http_problem_begin(http, &json, TENURE_NOT_FOUND, 0, detail);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 404 }, seq);
}

/* False: they exclude each other, and that was answered. */
static bool are_apart(struct http *http, const struct http_call *call, enum arg one, enum arg other)
{
    if (!args_has(&call->args, one) || !args_has(&call->args, other)) return true;
    struct args_error error;
    (void)args_fail(
        &error, arg_name(other), "%s and %s exclude each other", arg_name(one), arg_name(other));
    http_problem_of_args(http, &error);
    return false;
}

/* ------------------------------------------------------------ stat and peek */

static void
tell_item(struct http *http, const struct http_call *call, enum shape_item_detail detail)
{
    struct engine_item_view item;
    struct seq seq = seq_of(http, call->name);
    if (!engine_item(engine_of(http), call->name, args_text(&call->args, ARG_ID), &item)) {
        refuse_missing(http, "no item of this id is known", seq);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_item(&json, &item, detail);
    end(http, seq);
}

static void tell_group(struct http *http, const struct http_call *call)
{
    struct engine_group_view group;
    struct bytes name = args_text(&call->args, ARG_GROUP);
    struct seq seq = seq_of(http, call->name);
    if (!engine_group(engine_of(http), call->name, name, &group)) {
        refuse_missing(http, "nothing is known of this group", seq);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_group(&json, &group);
    end(http, seq);
}

void api_queue_stat(struct http *http, struct http_call *call)
{
    if (!are_apart(http, call, ARG_GROUP, ARG_ID)) return;
    if (args_has(&call->args, ARG_ID)) {
        tell_item(http, call, SHAPE_ITEM_WHOLE);
        return;
    }
    if (args_has(&call->args, ARG_GROUP)) {
        tell_group(http, call);
        return;
    }
    struct engine_queue_view queue;
    if (!engine_queue(engine_of(http), call->name, &queue)) {
        refuse_missing(http, "nothing is known of this queue", queue.seq);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_queue(&json, &queue);
    end(http, queue.seq);
}

void api_queue_peek(struct http *http, struct http_call *call)
{
    if (!are_apart(http, call, ARG_ID, ARG_ITEM_STATE)) return;
    if (args_has(&call->args, ARG_ID)) {
        tell_item(http, call, SHAPE_ITEM_BODY);
        return;
    }
    struct engine_item_view item;
    struct seq seq = seq_of(http, call->name);
    enum item_state state = (enum item_state)args_number(&call->args, ARG_ITEM_STATE, ITEM_READY);
    if (!engine_peek(engine_of(http), call->name, state, &item)) {
        refuse_missing(http, "no item is in this state", seq);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_item(&json, &item, SHAPE_ITEM_BODY);
    end(http, seq);
}

/* -------------------------------------------------------------------- lists */

#define LIST_COUNT_DEFAULT 100u

static void put_cursor(struct json_writer *json, struct bytes cursor)
{
    json_key(json, "cursor");
    if (cursor.size == 0) {
        json_null_value(json);
    } else {
        json_text(json, cursor);
    }
}

void api_queue_list(struct http *http, struct http_call *call)
{
    /* Too large for the stack; there is only one thread. */
    static struct engine_item_view items[LIMIT_LIST_COUNT_MAX];
    struct engine_item_cursor cursor;
    if (!queue_cursor_parse(args_text(&call->args, ARG_CURSOR), &cursor)) {
        struct args_error error;
        (void)args_fail(&error, "cursor", "cursor must be one that a list has given");
        http_problem_of_args(http, &error);
        return;
    }
    uint32_t limit = (uint32_t)args_number(&call->args, ARG_LIMIT, LIST_COUNT_DEFAULT);
    enum item_state state = (enum item_state)args_number(&call->args, ARG_ITEM_STATE, 0);
    struct seq seq = seq_of(http, call->name);
    uint32_t count = engine_items(engine_of(http), call->name, state, &cursor, items, limit);

    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "items");
    json_begin_array(&json);
    for (uint32_t index = 0; index < count; index++) {
        shape_item(&json, &items[index], SHAPE_ITEM_BRIEF);
    }
    json_end_array(&json);
    char text[LIMIT_CURSOR_SIZE_MAX];
    struct bytes next = { text, cursor.entered == 0 ? 0 : queue_cursor_format(&cursor, text) };
    put_cursor(&json, next);
    json_end_object(&json);
    end(http, seq);
}

void api_queues(struct http *http, struct http_call *call)
{
    static struct engine_queue_view queues[LIMIT_LIST_COUNT_MAX];
    struct queue_page page = {
        .prefix = args_text(&call->args, ARG_PREFIX),
        .after = args_text(&call->args, ARG_CURSOR),
        .count_max = (uint32_t)args_number(&call->args, ARG_LIMIT, LIST_COUNT_DEFAULT),
    };
    struct seq seq = engine_seq(engine_of(http));
    struct bytes next;
    uint32_t count;
    if (!queue_list(engine_of(http), &page, queues, &count, &next)) {
        refuse_missing(http, "the queue of the cursor is no more: begin anew", seq);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "queues");
    json_begin_array(&json);
    for (uint32_t index = 0; index < count; index++) {
        shape_queue(&json, &queues[index]);
    }
    json_end_array(&json);
    put_cursor(&json, next);
    json_end_object(&json);
    end(http, seq);
}
