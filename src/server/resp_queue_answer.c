#include "server/queue_request.h"
#include "server/resp_queue.h"
#include "server/resp_state.h"

#define WIRE(resp, literal) buffer_append((resp)->out.out, (literal), sizeof(literal) - 1)

/* More than any answer about one item, but for its texts. */
#define ITEM_SIZE_MAX 512u

/* ------------------------------------------------------------------ refusals */

static void write_loss(struct resp *resp, const struct engine_item_view *item)
{
    char text[400];
    size_t size = queue_describe_loss(item, text, sizeof(text));
    const char *word = tenure_err_resp_word(TENURE_LOST);
    resp_write_error(&resp->out, word, (struct bytes){ text, size });
}

static void write_refusal(struct resp *resp, const struct engine_reply *reply)
{
    const struct engine_item_result *result = reply->item_count > 0 ? &reply->items[0] : NULL;
    if (reply->err == TENURE_LOST && result != NULL) {
        write_loss(resp, &result->item);
        return;
    }
    if (reply->fault_part != CHANGE_PART_NONE) {
        resp_write_change_refusal(resp, reply);
        return;
    }
    const char *detail = reply->detail;
    if (detail == NULL && result != NULL) detail = result->detail;
    if (detail == NULL) detail = tenure_err_text(reply->err);
    resp_write_error(&resp->out, tenure_err_resp_word(reply->err), bytes_from_text(detail));
}

/* ------------------------------------------------------------------ answers, kind by kind */

static const struct engine_item_result *first_item(const struct engine_reply *reply)
{
    ASSERT(reply->item_count > 0);
    return &reply->items[0];
}

static void write_put_members(struct resp *resp, const struct engine_item_result *result)
{
    WIRE(resp, "$2\r\nid\r\n");
    resp_write_bulk(&resp->out, result->item.id);
    WIRE(resp, "$5\r\nstate\r\n");
    resp_write_text(&resp->out, item_state_word(result->item.state));
    WIRE(resp, "$6\r\nrepeat\r\n");
    resp_write_unsigned(&resp->out, result->is_repeat ? 1 : 0);
}

static void write_put_of_many(struct resp *resp, const struct engine_item_result *result)
{
    if (result->err == TENURE_OK) {
        resp_write_map(&resp->out, 4);
        WIRE(resp, "$7\r\noutcome\r\n$2\r\nok\r\n");
        write_put_members(resp, result);
        return;
    }
    const char *detail = result->detail != NULL ? result->detail : tenure_err_text(result->err);
    resp_write_map(&resp->out, 2);
    resp_pair_text(resp, "outcome", tenure_err_name(result->err));
    resp_pair_text(resp, "reason", detail);
}

static void write_taken(struct resp *resp, const struct engine_item_view *item)
{
    struct resp_writer *out = &resp->out;
    size_t size = ITEM_SIZE_MAX + item->queue.size + item->id.size + item->body.size +
                  item->headers.size + item->group.size;
    (void)!buffer_reserve(out->out, size);
    resp_write_map(out, 15);
    WIRE(resp, "$5\r\nqueue\r\n");
    resp_write_bulk(out, item->queue);
    WIRE(resp, "$2\r\nid\r\n");
    resp_write_bulk(out, item->id);
    WIRE(resp, "$5\r\ntoken\r\n");
    resp_write_unsigned(out, item->token.value);
    WIRE(resp, "$4\r\nbody\r\n");
    resp_write_bulk(out, item->body);
    WIRE(resp, "$7\r\nheaders\r\n");
    resp_write_bulk(out, item->headers);
    WIRE(resp, "$5\r\ngroup\r\n");
    resp_write_bulk(out, item->group);
    WIRE(resp, "$8\r\npriority\r\n");
    resp_write_unsigned(out, item->terms.priority);
    WIRE(resp, "$8\r\nattempts\r\n");
    resp_write_unsigned(out, item->attempts);
    WIRE(resp, "$12\r\nattempts_max\r\n");
    resp_write_unsigned(out, item->terms.attempts_max);
    WIRE(resp, "$6\r\nlapses\r\n");
    resp_write_unsigned(out, item->lapses);
    WIRE(resp, "$10\r\nlapses_max\r\n");
    resp_write_unsigned(out, item->terms.lapses_max);
    WIRE(resp, "$8\r\nlease_ms\r\n");
    resp_write_unsigned(out, item->lease_ms);
    WIRE(resp, "$12\r\nremaining_ms\r\n");
    resp_write_signed(out, item->remaining_ms);
    WIRE(resp, "$10\r\ntimeout_ms\r\n");
    resp_write_unsigned(out, item->terms.timeout_ms);
    WIRE(resp, "$9\r\nput_at_ms\r\n");
    resp_write_signed(out, item->put_at.us / 1000);
}

static void write_extension(struct resp *resp, const struct engine_item_result *result)
{
    const struct engine_item_view *item = &result->item;
    if (result->err == TENURE_OK) {
        resp_write_map(&resp->out, 4);
        WIRE(resp, "$7\r\noutcome\r\n$2\r\nok\r\n$8\r\nlease_ms\r\n");
        resp_write_unsigned(&resp->out, item->lease_ms);
        WIRE(resp, "$12\r\nremaining_ms\r\n");
        resp_write_signed(&resp->out, item->remaining_ms);
        WIRE(resp, "$10\r\ncancelling\r\n");
        resp_write_unsigned(&resp->out, item->is_cancelling ? 1 : 0);
        return;
    }
    bool is_known = item->id.size > 0;
    resp_write_map(&resp->out, 3);
    resp_pair_text(resp, "outcome", tenure_err_name(result->err));
    resp_pair_text(resp, "state", is_known ? item_state_word(item->state) : "");
    resp_pair_unsigned(resp, "token", item->token.value);
}

/* What became of it.  What came of a transaction is told once: who says again that it is done is
 * not told again. */
static void write_end(struct resp *resp, const struct engine_reply *reply)
{
    const struct engine_item_result *result = first_item(reply);
    const struct engine_item_view *item = &result->item;
    bool has_change = (reply->tag & RESP_TAG_CHANGE) != 0 && !result->is_repeat;
    resp_write_map(&resp->out, has_change ? 8 : 6);
    WIRE(resp, "$2\r\nid\r\n");
    resp_write_bulk(&resp->out, item->id);
    WIRE(resp, "$5\r\nstate\r\n");
    resp_write_text(&resp->out, item_state_word(item->state));
    WIRE(resp, "$8\r\nattempts\r\n");
    resp_write_unsigned(&resp->out, item->attempts);
    WIRE(resp, "$6\r\nlapses\r\n");
    resp_write_unsigned(&resp->out, item->lapses);
    WIRE(resp, "$10\r\ncancelling\r\n");
    resp_write_unsigned(&resp->out, item->is_cancelling ? 1 : 0);
    WIRE(resp, "$6\r\nrepeat\r\n");
    resp_write_unsigned(&resp->out, result->is_repeat ? 1 : 0);
    if (!has_change) return;
    resp_pair_unsigned(resp, "held", reply->is_else ? 0 : 1);
    resp_write_text(&resp->out, "results");
    resp_write_results(resp, reply);
}

static void write_swept(struct resp *resp, const struct engine_reply *reply)
{
    char text[LIMIT_CURSOR_SIZE_MAX];
    resp_write_map(&resp->out, 3);
    resp_pair_unsigned(resp, "count", reply->swept_count);
    resp_pair_unsigned(resp, "more", reply->is_swept ? 0 : 1);
    resp_write_text(&resp->out, "cursor");
    if (reply->is_swept) {
        resp_write_null(&resp->out);
    } else {
        resp_write_bulk(&resp->out, (struct bytes){ text, queue_sweep_cursor_format(reply, text) });
    }
}

static void write_items(
    struct resp *resp,
    const struct engine_reply *reply,
    void (*write_one)(struct resp *resp, const struct engine_item_result *result))
{
    resp_write_array(&resp->out, reply->item_count);
    for (uint32_t index = 0; index < reply->item_count; index++) {
        write_one(resp, &reply->items[index]);
    }
}

static void write_take(struct resp *resp, const struct engine_item_result *result)
{
    write_taken(resp, &result->item);
}

static void write_success(struct resp *resp, const struct engine_reply *reply)
{
    bool is_many = (reply->tag & RESP_TAG_MANY) != 0;
    switch (reply->kind) {
    case ENGINE_PUT:
        if (is_many) {
            write_items(resp, reply, write_put_of_many);
        } else {
            resp_write_map(&resp->out, 3);
            write_put_members(resp, first_item(reply));
        }
        return;
    case ENGINE_TAKE: write_items(resp, reply, write_take); return;
    case ENGINE_EXTEND:
        if (is_many) {
            write_items(resp, reply, write_extension);
        } else {
            write_extension(resp, first_item(reply));
        }
        return;
    case ENGINE_DONE:
    case ENGINE_FAIL:
    case ENGINE_BURY:
    case ENGINE_CANCEL_ITEM:
    case ENGINE_KICK: write_end(resp, reply); return;
    case ENGINE_REDRIVE:
    case ENGINE_PURGE: write_swept(resp, reply); return;
    case ENGINE_AWAIT: resp_write_item(resp, &first_item(reply)->item, RESP_ITEM_WHOLE); return;
    case ENGINE_PAUSE:
    case ENGINE_RESUME:
    case ENGINE_LIMIT: resp_write_simple(&resp->out, BYTES_LITERAL("OK")); return;
    case ENGINE_ACQUIRE:
    case ENGINE_CANCEL:
    case ENGINE_RENEW:
    case ENGINE_RELEASE:
    case ENGINE_BREAK:
    case ENGINE_PROCLAIM:
    case ENGINE_TRANSFER:
    case ENGINE_STATE_COMMANDS: break;
    }
    UNREACHABLE("locks and shared state are answered elsewhere");
}

/* A take that found nothing has found nothing; who awaits an end is told what is. */
static bool is_success(const struct engine_reply *reply)
{
    if (reply->err == TENURE_OK) return true;
    if (reply->err != TENURE_TIMEOUT) return false;
    return reply->kind == ENGINE_TAKE || (reply->kind == ENGINE_AWAIT && reply->item_count > 0);
}

void resp_answer_queue(struct resp *resp, const struct engine_reply *reply)
{
    if (is_success(reply)) {
        write_success(resp, reply);
    } else {
        write_refusal(resp, reply);
    }
    resp_end(resp, reply->seq);
}

/* ------------------------------------------------------------------ items */

/* -1: there is none. */
static int64_t ms_of(int64_t us)
{
    return us == 0 ? -1 : us / 1000;
}

static uint32_t count_state_pairs(const struct engine_item_view *item)
{
    switch (item->state) {
    case ITEM_DELAYED: return 2;
    case ITEM_TAKEN: return 6;
    case ITEM_READY:
    case ITEM_DONE:
    case ITEM_DEAD:
    case ITEM_CANCELLED: return 1;
    case ITEM_STATE_COUNT: break;
    }
    UNREACHABLE("all states are handled");
}

static void write_state_pairs(struct resp *resp, const struct engine_item_view *item)
{
    switch (item->state) {
    case ITEM_DELAYED:
        resp_pair_signed(resp, "run_at_ms", ms_of(item->run_at.us));
        resp_pair_bytes(resp, "reason", item->note);
        return;
    case ITEM_TAKEN:
        resp_pair_bytes(resp, "worker", item->worker);
        resp_pair_signed(resp, "taken_at_ms", item->taken_at.us / 1000);
        resp_pair_unsigned(resp, "lease_ms", item->lease_ms);
        resp_pair_signed(resp, "remaining_ms", item->remaining_ms);
        resp_pair_unsigned(resp, "cancelling", item->is_cancelling ? 1 : 0);
        resp_pair_bytes(resp, "progress", item->note);
        return;
    case ITEM_DONE: resp_pair_unsigned(resp, "result_bytes", item->note.size); return;
    case ITEM_READY:
    case ITEM_DEAD:
    case ITEM_CANCELLED: resp_pair_bytes(resp, "reason", item->note); return;
    case ITEM_STATE_COUNT: break;
    }
    UNREACHABLE("all states are handled");
}

static void write_terms(struct resp *resp, const struct item_terms *terms)
{
    bool is_fixed = terms->backoff == ITEM_BACKOFF_FIXED;
    resp_write_text(&resp->out, "terms");
    resp_write_map(&resp->out, 8);
    resp_pair_unsigned(resp, "lease_ms", terms->lease_ms);
    resp_pair_unsigned(resp, "timeout_ms", terms->timeout_ms);
    resp_pair_unsigned(resp, "retention_ms", terms->retention_ms);
    resp_pair_signed(resp, "expires_at_ms", ms_of(terms->expires_at_us));
    resp_pair_text(resp, "backoff", is_fixed ? "fixed" : "exponential");
    resp_pair_unsigned(resp, "backoff_ms", terms->backoff_ms);
    resp_pair_unsigned(resp, "backoff_ms_max", terms->backoff_ms_max);
    resp_pair_unsigned(resp, "jitter", terms->jitter);
}

void resp_write_item(
    struct resp *resp, const struct engine_item_view *item, enum resp_item_detail detail)
{
    bool is_whole = detail != RESP_ITEM_BRIEF;
    bool has_result = is_whole && item->state == ITEM_DONE;
    uint32_t count = 11 + count_state_pairs(item) + (is_whole ? 5u : 0) + has_result;
    resp_write_map(&resp->out, count + (detail == RESP_ITEM_BODY));
    resp_pair_bytes(resp, "queue", item->queue);
    resp_pair_bytes(resp, "id", item->id);
    resp_pair_text(resp, "state", item_state_word(item->state));
    resp_pair_bytes(resp, "group", item->group);
    resp_pair_unsigned(resp, "priority", item->terms.priority);
    resp_pair_unsigned(resp, "seq", item->number);
    resp_pair_signed(resp, "put_at_ms", item->put_at.us / 1000);
    resp_pair_unsigned(resp, "attempts", item->attempts);
    resp_pair_unsigned(resp, "lapses", item->lapses);
    resp_pair_unsigned(resp, "token", item->token.value);
    resp_pair_unsigned(resp, "body_bytes", item->body.size);
    write_state_pairs(resp, item);
    if (!is_whole) return;
    resp_pair_bytes(resp, "headers", item->headers);
    resp_pair_bytes(resp, "unique", item->unique);
    resp_pair_unsigned(resp, "attempts_max", item->terms.attempts_max);
    resp_pair_unsigned(resp, "lapses_max", item->terms.lapses_max);
    write_terms(resp, &item->terms);
    if (has_result) resp_pair_bytes(resp, "result", item->note);
    if (detail == RESP_ITEM_BODY) resp_pair_bytes(resp, "body", item->body);
}

/* ------------------------------------------------------------------ queues and groups */

static void write_limits(struct resp *resp, const struct group_limits *limits)
{
    resp_write_text(&resp->out, "limits");
    resp_write_map(&resp->out, 6);
    resp_pair_unsigned(resp, "running_max", limits->running_max);
    resp_pair_unsigned(resp, "size_max", limits->size_max);
    resp_pair_unsigned(resp, "rate_count", limits->rate_count);
    resp_pair_unsigned(resp, "rate_ms", limits->rate_ms);
    resp_pair_unsigned(resp, "burst", limits->burst);
    resp_pair_unsigned(resp, "weight", limits->weight);
}

void resp_write_queue(struct resp *resp, const struct engine_queue_view *queue)
{
    resp_write_map(&resp->out, 8);
    resp_pair_bytes(resp, "name", queue->name);
    resp_pair_unsigned(resp, "seq", queue->seq.value);
    resp_pair_unsigned(resp, "paused", queue->is_paused ? 1 : 0);
    resp_write_text(&resp->out, "counts");
    resp_write_map(&resp->out, ITEM_STATE_COUNT);
    for (unsigned state = 0; state < ITEM_STATE_COUNT; state++) {
        resp_pair_unsigned(resp, item_state_word(state), queue->counts[state]);
    }
    resp_pair_unsigned(resp, "group_count", queue->group_count);
    resp_pair_unsigned(resp, "taker_count", queue->taker_count);
    resp_pair_signed(resp, "oldest_ms", queue->oldest_ms);
    write_limits(resp, &queue->limits);
}

void resp_write_group(struct resp *resp, const struct engine_group_view *group)
{
    resp_write_map(&resp->out, 6);
    resp_pair_bytes(resp, "name", group->name);
    resp_pair_unsigned(resp, "waiting", group->waiting_count);
    resp_pair_unsigned(resp, "running", group->running_count);
    resp_pair_unsigned(resp, "paused", group->is_paused ? 1 : 0);
    resp_pair_unsigned(resp, "own_limits", group->has_limits ? 1 : 0);
    write_limits(resp, &group->limits);
}

/* ------------------------------------------------------------------ events */

void resp_write_work_record(struct resp *resp, const struct record *record)
{
    bool is_put = record->kind == RECORD_PUT;
    bool is_scope = record->kind >= RECORD_PAUSED;
    bool has_group = is_put || (is_scope && !record->is_whole);
    bool has_body = is_put || record->kind == RECORD_DONE;
    uint32_t count = 4;
    count += record->id.size > 0;
    count += has_group;
    count += record->owner.size > 0;
    count += record->token.value > 0;
    count += record->ttl_ms > 0;
    count += record->reason.size > 0;
    count += has_body;
    resp_write_map(&resp->out, count);
    resp_pair_unsigned(resp, "seq", record->seq.value);
    resp_pair_text(resp, "kind", record_kind_word(record->kind));
    resp_pair_signed(resp, "at_ms", record->at.us / 1000);
    resp_pair_bytes(resp, "name", record->name);
    if (record->id.size > 0) resp_pair_bytes(resp, "id", record->id);
    if (has_group) resp_pair_bytes(resp, "group", record->group);
    if (record->owner.size > 0) resp_pair_bytes(resp, "worker", record->owner);
    if (record->token.value > 0) resp_pair_unsigned(resp, "token", record->token.value);
    if (record->ttl_ms > 0) resp_pair_unsigned(resp, "lease_ms", record->ttl_ms);
    if (record->reason.size > 0) resp_pair_bytes(resp, "reason", record->reason);
    if (has_body) {
        resp_pair_unsigned(resp, is_put ? "body_bytes" : "result_bytes", record->body.size);
    }
}
