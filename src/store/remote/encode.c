#include <string.h>

#include "base/decimal.h"
#include "proto/resp_writer.h"
#include "store/remote/lane.h"

#define LIST_PAGE "100"

/* A command in the making. */
struct command {
    struct resp_writer writer;
};

static void add_text(const struct command *command, const char *text)
{
    resp_write_text(&command->writer, text);
}

static void add_number(const struct command *command, uint64_t number)
{
    char digits[DECIMAL_SIZE_MAX];
    size_t size = decimal_format(number, digits);
    resp_write_bulk(&command->writer, (struct bytes){ digits, size });
}

static void begin(const struct command *command, const char *name, uint32_t argument_count)
{
    resp_write_array(&command->writer, argument_count + 1);
    add_text(command, name);
}

/* The digits of a number option: nothing when it is the default. */
static void add_option(const struct command *command, const char *word, uint64_t number)
{
    if (number == 0) return;
    add_text(command, word);
    add_number(command, number);
}

/* ------------------------------------------------------------------ commands */

uint64_t tni_remote_wait_ms(struct mono wait_until)
{
    int64_t now_ns = tni_store_now().ns;
    if (wait_until.ns <= now_ns) return 0;
    uint64_t left_ms = (uint64_t)((wait_until.ns - now_ns) / NS_PER_MS) + 1;
    return left_ms < LIMIT_WAIT_MS_MAX ? left_ms : LIMIT_WAIT_MS_MAX;
}

static void encode_acquire(const struct command *command, const struct store_acquire *acquire)
{
    uint64_t wait = tni_remote_wait_ms(acquire->wait_until);
    bool has_meta = acquire->meta != NULL && acquire->meta[0] != '\0';
    bool has_slots = acquire->slots > 1;
    uint32_t count = 3;
    count += acquire->is_shared ? 1 : 0;
    count += has_slots ? 2 : 0;
    count += wait > 0 ? 2 : 0;
    count += acquire->priority > 0 ? 2 : 0;
    count += acquire->lock_delay_ms > 0 ? 2 : 0;
    count += has_meta ? 2 : 0;
    count += acquire->name_count > 1 ? acquire->name_count : 0;
    begin(command, "LOCK.ACQUIRE", count);
    add_text(command, acquire->names[0]);
    add_text(command, acquire->owner);
    add_number(command, acquire->ttl_ms);
    if (acquire->is_shared) add_text(command, "SHARED");
    if (has_slots) add_option(command, "SLOTS", acquire->slots);
    add_option(command, "WAIT", wait);
    add_option(command, "PRIORITY", acquire->priority);
    add_option(command, "DELAY", acquire->lock_delay_ms);
    if (has_meta) {
        add_text(command, "META");
        add_text(command, acquire->meta);
    }
    if (acquire->name_count > 1) {
        add_text(command, "AND");
        for (uint32_t index = 1; index < acquire->name_count; index++) {
            add_text(command, acquire->names[index]);
        }
    }
}

static void add_claim(const struct command *command, const struct store_claim *claim)
{
    add_text(command, claim->name);
    add_text(command, claim->owner);
    add_number(command, claim->token);
}

static void encode_renew(const struct command *command, const struct store_request *request)
{
    begin(command, "LOCK.RENEW", 4 * request->as.renew.count);
    for (uint32_t index = 0; index < request->as.renew.count; index++) {
        add_claim(command, &request->as.renew.claims[index]);
        add_number(command, request->as.renew.ttl_ms);
    }
}

static void encode_break(const struct command *command, const struct store_request *request)
{
    begin(command, "LOCK.BREAK", request->as.break_hold.grace_ms > 0 ? 5 : 3);
    add_text(command, request->as.break_hold.name);
    add_number(command, request->as.break_hold.token);
    add_text(command, request->as.break_hold.reason);
    add_option(command, "GRACE", request->as.break_hold.grace_ms);
}

static void encode_get(const struct command *command, const char *name)
{
    begin(command, "LOCK.GET", 1);
    add_text(command, name);
}

static void encode_list(const struct command *command, const struct store_op *op)
{
    const char *prefix = op->request.as.list.prefix;
    const char *owner = op->request.as.list.owner;
    bool has_prefix = prefix != NULL && prefix[0] != '\0';
    uint32_t count = 2;
    count += has_prefix ? 2 : 0;
    count += owner != NULL ? 2 : 0;
    count += op->request.as.list.is_waited ? 2 : 0;
    count += op->cursor[0] != '\0' ? 2 : 0;
    begin(command, "LOCK.LIST", count);
    add_text(command, "LIMIT");
    add_text(command, LIST_PAGE);
    if (has_prefix) {
        add_text(command, "PREFIX");
        add_text(command, prefix);
    }
    if (owner != NULL) {
        add_text(command, "OWNER");
        add_text(command, owner);
    }
    if (op->request.as.list.is_waited) {
        add_text(command, "STATE");
        add_text(command, "waited");
    }
    if (op->cursor[0] != '\0') {
        add_text(command, "CURSOR");
        add_text(command, op->cursor);
    }
}

static void encode_history(const struct command *command, const struct store_request *request)
{
    begin(command, "LOCK.HISTORY", request->as.history.count_max > 0 ? 3 : 1);
    add_text(command, request->as.history.name);
    add_option(command, "COUNT", request->as.history.count_max);
}

static void encode(const struct command *command, struct store_op *op)
{
    const struct store_request *request = &op->request;
    switch (request->verb) {
    case STORE_ACQUIRE:
        if (op->phase == PHASE_OBSTACLE) {
            encode_get(command, op->name_kept);
        } else {
            encode_acquire(command, &request->as.acquire);
        }
        break;
    case STORE_RENEW: encode_renew(command, request); break;
    case STORE_RELEASE:
        begin(command, "LOCK.RELEASE", 3);
        add_claim(command, &request->as.release);
        break;
    case STORE_BREAK: encode_break(command, request); break;
    case STORE_INSPECT: encode_get(command, request->as.inspect.name); break;
    case STORE_LIST:
        op->phase = PHASE_FIRST; /* a page that was interrupted begins again behind its last lock */
        encode_list(command, op);
        break;
    case STORE_HISTORY: encode_history(command, request); break;
    case STORE_PROCLAIM:
        begin(command, "ELECT.PROCLAIM", 4);
        add_claim(command, &request->as.proclaim.claim);
        add_text(command, request->as.proclaim.value);
        break;
    case STORE_TRANSFER:
        begin(command, "ELECT.TRANSFER", 4);
        add_claim(command, &request->as.transfer.claim);
        add_text(command, request->as.transfer.to);
        break;
    case STORE_INFO: begin(command, "INFO", 0); break;
    case STORE_PUT:
    case STORE_TAKE:
    case STORE_EXTEND:
    case STORE_FINISH:
    case STORE_ITEM:
    case STORE_ITEMS:
    case STORE_QUEUE:
    case STORE_QUEUES:
    case STORE_AWAIT:
    case STORE_ITEM_CANCEL:
    case STORE_ITEM_KICK:
    case STORE_SWEEP:
    case STORE_SCOPE: tni_encode_queue(&command->writer, op); break;
    case STORE_TRANSACT:
    case STORE_REGISTERS:
    case STORE_REGISTER_WAIT:
    case STORE_RANK:
    case STORE_PUBLISH: tni_encode_state(&command->writer, op); break;
    }
}

/* What did not fit into memory was not said. */
static bool commit(struct lane *lane, struct store_op *op, size_t before)
{
    struct buffer *output = &lane->link->output;
    if (!output->is_failed && tni_lane_expect(lane, op)) return true;
    output->size = before;
    output->is_failed = false;
    return false;
}

bool tni_encode(struct lane *lane, struct store_op *op)
{
    struct command command = { { &lane->link->output, true } };
    size_t before = lane->link->output.size;
    encode(&command, op);
    return commit(lane, op, before);
}

bool tni_encode_item(struct lane *lane, struct store_op *op, const char *name)
{
    struct command command = { { &lane->link->output, true } };
    size_t before = lane->link->output.size;
    encode_get(&command, name);
    return commit(lane, op, before);
}

/* Without ids the server cannot know that it is the same put again. */
static bool has_ids(const struct store_puts *puts)
{
    for (uint32_t index = 0; index < puts->count; index++) {
        if (puts->items[index].id == NULL) return false;
    }
    return true;
}

static bool are_looks(const struct store_change *changes, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        enum store_change_kind kind = changes[index].kind;
        if (kind != STORE_CHANGE_GET && kind != STORE_CHANGE_RANK_GET) return false;
    }
    return true;
}

bool tni_is_look(const struct store_op *op)
{
    const unsigned looks = 1u << STORE_INSPECT | 1u << STORE_LIST | 1u << STORE_HISTORY |
                           1u << STORE_INFO | 1u << STORE_ITEM | 1u << STORE_ITEMS |
                           1u << STORE_QUEUE | 1u << STORE_QUEUES | 1u << STORE_AWAIT |
                           1u << STORE_REGISTERS | 1u << STORE_REGISTER_WAIT;
    const struct store_transact *transact = &op->request.as.transact;
    switch ((unsigned)op->request.verb) {
    case STORE_TRANSACT:
        return are_looks(transact->changes, transact->change_count) &&
               are_looks(transact->otherwise, transact->otherwise_count);
    case STORE_RANK: return op->request.as.rank.kind >= STORE_RANK_SCORE;
    default: return (looks >> op->request.verb & 1) != 0;
    }
}

bool tni_is_repeatable(const struct store_op *op)
{
    /* A hold is broken, and handed over, once: the second time it is another one's, or nobody's.  A
     * register that was set again may have been changed by somebody else in between. */
    switch (op->request.verb) {
    case STORE_TRANSACT:
    case STORE_RANK:
    case STORE_PUBLISH: return tni_is_look(op);
    case STORE_REGISTERS:
    case STORE_REGISTER_WAIT:
    case STORE_BREAK:
    case STORE_TRANSFER:
    case STORE_ITEM_CANCEL:
    case STORE_ITEM_KICK: return false;
    case STORE_PUT: return has_ids(&op->request.as.put);
    case STORE_ACQUIRE:
    case STORE_RENEW:
    case STORE_RELEASE:
    case STORE_INSPECT:
    case STORE_LIST:
    case STORE_HISTORY:
    case STORE_PROCLAIM:
    case STORE_INFO:
    case STORE_TAKE: /* what was taken in vain comes back when its lease is over */
    case STORE_EXTEND:
    case STORE_FINISH:
    case STORE_ITEM:
    case STORE_ITEMS:
    case STORE_QUEUE:
    case STORE_QUEUES:
    case STORE_AWAIT:
    case STORE_SWEEP:
    case STORE_SCOPE: break;
    }
    return true;
}
