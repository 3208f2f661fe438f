#include "server/queue_request.h"
#include "server/resp_queue.h"

/* What a read of this queue depends on: its last change, or that there is none. */
static struct seq seq_of(const struct resp *resp, struct bytes queue)
{
    struct engine_queue_view view;
    (void)engine_queue(resp->server->engine, queue, &view);
    return view.seq;
}

static void answer_null(struct resp *resp, struct seq seq)
{
    resp_write_null(&resp->out);
    resp_end(resp, seq);
}

/* ------------------------------------------------------------------ QUEUE.STAT, QUEUE.PEEK */

static void
tell_item(struct resp *resp, struct bytes queue, struct bytes id, enum resp_item_detail detail)
{
    struct engine_item_view item;
    struct seq seq = seq_of(resp, queue);
    if (!engine_item(resp->server->engine, queue, id, &item)) {
        answer_null(resp, seq);
        return;
    }
    resp_write_item(resp, &item, detail);
    resp_end(resp, seq);
}

static void tell_group(struct resp *resp, struct bytes queue, struct bytes name)
{
    struct engine_group_view group;
    struct seq seq = seq_of(resp, queue);
    if (!engine_group(resp->server->engine, queue, name, &group)) {
        answer_null(resp, seq);
        return;
    }
    resp_write_group(resp, &group);
    resp_end(resp, seq);
}

static void tell_queue(struct resp *resp, struct bytes name)
{
    struct engine_queue_view queue;
    if (!engine_queue(resp->server->engine, name, &queue)) {
        answer_null(resp, queue.seq);
        return;
    }
    resp_write_queue(resp, &queue);
    resp_end(resp, queue.seq);
}

/* The options of a command that only looks. */
struct look {
    const char *keyword;
    enum arg arg;
};

/* False: it was wrong, and that has been answered. */
static bool
take_looks(struct resp_args *args, const struct look *looks, size_t count, struct args *out)
{
    args_init(out);
    while (resp_args_left(args)) {
        size_t index = 0;
        while (index < count && !resp_take_keyword(args, looks[index].keyword)) {
            index++;
        }
        if (index == count) return resp_refuse_keyword(args);
        if (!resp_take_arg(args, looks[index].keyword, looks[index].arg, out)) return false;
    }
    return true;
}

#define TAKE_LOOKS(args, looks, out)                                                               \
    take_looks(args, looks, sizeof(looks) / sizeof((looks)[0]), out)

void resp_run_stat(struct resp *resp, const struct resp_command *command)
{
    static const struct look looks[] = { { "GROUP", ARG_GROUP }, { "ID", ARG_ID } };
    struct resp_args args = { resp, command, 1 };
    struct bytes queue;
    UNINITIALIZED struct args given;
    if (!resp_take_plain(&args, "queue", &queue) || !TAKE_LOOKS(&args, looks, &given)) return;
    bool has_group = args_has(&given, ARG_GROUP);
    bool has_id = args_has(&given, ARG_ID);
    if (has_group && has_id) {
        resp_refuse(resp, TENURE_INVALID, "GROUP and ID exclude each other");
    } else if (has_id) {
        tell_item(resp, queue, given.texts[ARG_ID], RESP_ITEM_WHOLE);
    } else if (has_group) {
        tell_group(resp, queue, given.texts[ARG_GROUP]);
    } else {
        tell_queue(resp, queue);
    }
}

void resp_run_peek(struct resp *resp, const struct resp_command *command)
{
    static const struct look looks[] = { { "ID", ARG_ID }, { "STATE", ARG_ITEM_STATE } };
    struct resp_args args = { resp, command, 1 };
    struct bytes queue;
    UNINITIALIZED struct args given;
    if (!resp_take_plain(&args, "queue", &queue) || !TAKE_LOOKS(&args, looks, &given)) return;
    if (args_has(&given, ARG_ID) && args_has(&given, ARG_ITEM_STATE)) {
        resp_refuse(resp, TENURE_INVALID, "ID and STATE exclude each other");
        return;
    }
    if (args_has(&given, ARG_ID)) {
        tell_item(resp, queue, given.texts[ARG_ID], RESP_ITEM_BODY);
        return;
    }
    struct engine_item_view item;
    struct seq seq = seq_of(resp, queue);
    enum item_state state = (enum item_state)args_number(&given, ARG_ITEM_STATE, ITEM_READY);
    if (!engine_peek(resp->server->engine, queue, state, &item)) {
        answer_null(resp, seq);
        return;
    }
    resp_write_item(resp, &item, RESP_ITEM_BODY);
    resp_end(resp, seq);
}

/* ------------------------------------------------------------------ QUEUE.LIST */

static void write_items_cursor(struct resp *resp, const struct engine_item_cursor *cursor)
{
    char text[LIMIT_CURSOR_SIZE_MAX];
    resp_pair_bytes(resp, "cursor", (struct bytes){ text, queue_cursor_format(cursor, text) });
}

void resp_run_items(struct resp *resp, const struct resp_command *command)
{
    /* Too large for the stack; there is only one thread. */
    static struct engine_item_view items[LIMIT_LIST_COUNT_MAX];
    static const struct look looks[] = { { "LIMIT", ARG_LIMIT }, { "CURSOR", ARG_CURSOR } };
    struct resp_args args = { resp, command, 1 };
    struct bytes queue;
    struct engine_item_cursor cursor;
    UNINITIALIZED struct args wanted;
    UNINITIALIZED struct args given;
    if (!resp_take_plain(&args, "queue", &queue)) return;
    if (!resp_take_arg(&args, "state", ARG_ITEM_STATE, &wanted)) return;
    if (!TAKE_LOOKS(&args, looks, &given)) return;
    if (!queue_cursor_parse(args_text(&given, ARG_CURSOR), &cursor)) {
        resp_refuse(resp, TENURE_INVALID, "CURSOR must be one that a list has given");
        return;
    }
    enum item_state state = (enum item_state)wanted.numbers[ARG_ITEM_STATE];
    uint32_t limit = (uint32_t)args_number(&given, ARG_LIMIT, 100);
    struct seq seq = seq_of(resp, queue);
    uint32_t count = engine_items(resp->server->engine, queue, state, &cursor, items, limit);
    resp_write_map(&resp->out, 2);
    resp_write_text(&resp->out, "items");
    resp_write_array(&resp->out, count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_item(resp, &items[index], RESP_ITEM_BRIEF);
    }
    if (cursor.entered > 0) {
        write_items_cursor(resp, &cursor);
    } else {
        resp_write_text(&resp->out, "cursor");
        resp_write_null(&resp->out);
    }
    resp_end(resp, seq);
}

/* ------------------------------------------------------------------ QUEUE.QUEUES */

void resp_run_queues(struct resp *resp, const struct resp_command *command)
{
    static struct engine_queue_view queues[LIMIT_LIST_COUNT_MAX];
    static const struct look looks[] = { { "PREFIX", ARG_PREFIX },
                                         { "LIMIT", ARG_LIMIT },
                                         { "CURSOR", ARG_CURSOR } };
    struct resp_args args = { resp, command, 1 };
    struct bytes next;
    uint32_t count;
    UNINITIALIZED struct args given;
    if (!TAKE_LOOKS(&args, looks, &given)) return;
    struct queue_page page = {
        .prefix = args_text(&given, ARG_PREFIX),
        .after = args_text(&given, ARG_CURSOR),
        .count_max = (uint32_t)args_number(&given, ARG_LIMIT, 100),
    };
    if (!queue_list(resp->server->engine, &page, queues, &count, &next)) {
        resp_refuse(resp, TENURE_NOT_FOUND, "the queue of the cursor is no more: begin anew");
        return;
    }
    resp_write_map(&resp->out, 2);
    resp_write_text(&resp->out, "queues");
    resp_write_array(&resp->out, count);
    for (uint32_t index = 0; index < count; index++) {
        resp_write_queue(resp, &queues[index]);
    }
    resp_write_text(&resp->out, "cursor");
    if (next.size == 0) {
        resp_write_null(&resp->out);
    } else {
        resp_write_bulk(&resp->out, next);
    }
    resp_end(resp, engine_seq(resp->server->engine));
}
