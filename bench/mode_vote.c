/* The mode that sends a Redis node what libtenure's store on one node sends for every cycle: the
 * same scripts, keys and arguments, and nothing that a library does beside that. */
#include <time.h>

#include "base/decimal.h"
#include "mode.h"
#include "store/redis/scripts/scripts.h"

#define RUN_ID         "0123456789abcdef0123456789abcdef01234567"
#define CONFIG         "0123456789abcdef"
#define CHANNEL        "tenure:wake:0123456789abcdef"
#define TICKET_LIFE_MS 3000u

static void put_count(char head, uint64_t count, struct buffer *out)
{
    char digits[DECIMAL_SIZE_MAX];
    buffer_append_byte(out, head);
    buffer_append(out, digits, decimal_format(count, digits));
    buffer_append(out, "\r\n", 2);
}

static void put_bulk(struct bytes text, struct buffer *out)
{
    put_count('$', text.size, out);
    buffer_append_bytes(out, text);
    buffer_append(out, "\r\n", 2);
}

static void
put_script(const struct quorum_call *call, const struct quorum_texts *texts, struct buffer *out)
{
    struct quorum_command command;
    char key_count[DECIMAL_SIZE_MAX];
    quorum_command_write(call, texts, &command);
    put_count('*', 3 + command.key_count + command.argument_count, out);
    put_bulk(BYTES_LITERAL("EVALSHA"), out);
    put_bulk((struct bytes){ redis_scripts[command.script].sha, 40 }, out);
    put_bulk((struct bytes){ key_count, decimal_format(command.key_count, key_count) }, out);
    for (uint32_t i = 0; i < command.key_count; i++) {
        put_bulk(command.keys[i], out);
    }
    for (uint32_t i = 0; i < command.argument_count; i++) {
        put_bulk(command.arguments[i], out);
    }
}

/* The answer is in `reply`; what it points to is in `storage`. */
static bool
ask(const struct mode_run *run,
    struct buffer *request,
    struct buffer *storage,
    struct resp_reply *reply)
{
    bool is_answered = link_ask_resp(run->address, buffer_bytes(request), storage, reply);
    request->size = 0;
    return is_answered && reply->tokens[0].type != '-';
}

static bool load_scripts(
    const struct mode_run *run,
    struct buffer *request,
    struct buffer *storage,
    struct resp_reply *reply)
{
    for (unsigned script = 0; script < QUORUM_SCRIPT_COUNT; script++) {
        put_count('*', 3, request);
        put_bulk(BYTES_LITERAL("SCRIPT"), request);
        put_bulk(BYTES_LITERAL("LOAD"), request);
        put_bulk(redis_scripts[script].text, request);
        if (!ask(run, request, storage, reply)) return false;
    }
    return true;
}

/* Load the scripts, and let the node vote. */
static bool vote_prepare(struct mode_run *run)
{
    struct buffer request;
    struct buffer storage;
    static struct resp_reply reply;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    run->token_first = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    buffer_init(&request, &memory_heap);
    buffer_init(&storage, &memory_heap);
    const struct quorum_call admit = { .verb = QUORUM_ADMIT };
    const struct quorum_texts texts = {
        .pass = BYTES_LITERAL(""),
        .run_id = BYTES_LITERAL(RUN_ID),
        .config = BYTES_LITERAL(CONFIG),
    };
    bool is_ready = load_scripts(run, &request, &storage, &reply);
    put_script(&admit, &texts, &request);
    is_ready = is_ready && ask(run, &request, &storage, &reply);
    buffer_deinit(&request);
    buffer_deinit(&storage);
    return is_ready;
}

static void vote_compose(struct mode_run *run, struct mode_slot *slot, struct buffer *out)
{
    char name[MODE_NAME_SIZE];
    char owner[MODE_OWNER_SIZE];
    mode_name_write(run, slot, slot->turn, name);
    mode_owner_write(run, slot, slot->turn, owner);
    const struct quorum_call call = {
        .verb = slot->step == 0 ? QUORUM_VOTE : QUORUM_RELEASE,
        .token = run->token_first + slot->turn,
        .ttl_ms = (uint32_t)run->ttl_ms,
        .ticket = QUORUM_TICKET_NONE,
        .life_ms = TICKET_LIFE_MS,
    };
    const struct quorum_texts texts = {
        .name = { name, sizeof(name) },
        .owner = { owner, sizeof(owner) },
        .channel = BYTES_LITERAL(CHANNEL),
        .meta = BYTES_LITERAL(""),
        .pass = BYTES_LITERAL(RUN_ID " " CONFIG),
    };
    put_script(&call, &texts, out);
}

static enum mode_verdict
vote_judge(struct mode_run *run, struct mode_slot *slot, const struct mode_answer *answer)
{
    (void)run;
    const struct resp_token *kind = &answer->resp->tokens[1];
    bool is_first = slot->step == 0;
    int64_t wanted = is_first ? QUORUM_YES : QUORUM_DELETED;
    slot->step = is_first ? 1 : 0;
    if (answer->resp->token_count < 2 || kind->type != ':' || kind->number != wanted) {
        return MODE_WRONG;
    }
    return is_first ? MODE_STEP : MODE_CYCLE;
}

const struct mode mode_redis_vote = {
    .name = "redis-vote",
    .summary = "the scripts of Tenure's store on one node: acquire, then release",
    .prepare = vote_prepare,
    .compose = vote_compose,
    .judge = vote_judge,
    .units = 1,
};
