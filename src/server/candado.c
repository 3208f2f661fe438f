/* candado - Candado's API, as a façade: GET /acquire/{id}, /release/{id}, /heartbeat/{id}.
 *
 * Its clients know two answers, `{"error":"","state":1,"success":true}` of its documentation and
 * `{"error":"","success":true,"data":{"id":"…","state":1}}` of its server; both are in one here.
 * The status is always 200, also for arguments that are wrong.  State 1 is taken, 0 is free.  There
 * are no owners: whoever asks releases, unless `owner` is given, and a lock lives until it is
 * released, unless `ttl_ms` is. */
#include "server/http.h"

/* `error` is "" when what was asked for has happened.  The state is that of the lock now, whatever
 * came of the request. */
static void answer(struct http *http, struct bytes id, const char *error, struct seq seq)
{
    const struct server *server = http_server(http);
    struct engine_lock_view lock = { 0 };
    bool is_taken = engine_inspect(server->engine, id, server->now, &lock) && lock.hold_count > 0;
    uint64_t state = is_taken ? 1 : 0;
    if (seq.value < lock.seq.value) seq = lock.seq;
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "error");
    json_text(&json, bytes_from_text(error));
    json_key(&json, "state");
    json_unsigned(&json, state);
    json_key(&json, "success");
    json_bool(&json, error[0] == '\0');
    json_key(&json, "data");
    json_begin_object(&json);
    json_key(&json, "id");
    json_text(&json, id);
    json_key(&json, "state");
    json_unsigned(&json, state);
    json_end_object(&json);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, seq);
}

void candado_refuse(struct http *http, struct bytes id, const char *error)
{
    answer(http, id, error, (struct seq){ 0 });
}

static void on_reply(struct http *http, const struct engine_reply *reply)
{
    struct bytes id = { "", 0 };
    if (reply->result_count > 0) id = reply->results[0].name;
    const char *error = "";
    if (reply->err == TENURE_HELD) {
        error = "the lock is taken";
    } else if (reply->err != TENURE_OK) {
        error = reply->detail != NULL ? reply->detail : tenure_err_text(reply->err);
    }
    answer(http, id, error, reply->seq);
}

void candado_acquire(struct http *http, struct http_call *call)
{
    struct api_wish wish = { .names = &call->name, .name_count = 1, .ttl_ms = 0 };
    api_submit_acquire(http, call, &wish, on_reply);
}

/* The hold that is meant: the owner's, or whoever's there is. */
static bool find_hold(
    struct http *http,
    const struct http_call *call,
    struct engine_hold_view *out_hold,
    struct seq *out_seq)
{
    const struct server *server = http_server(http);
    struct bytes owner = args_text(&call->args, ARG_OWNER);
    struct engine_lock_view lock;
    (void)engine_inspect(server->engine, call->name, server->now, &lock);
    *out_seq = lock.seq;
    struct engine_hold_view hold;
    const struct hold *cursor = NULL;
    while (engine_next_hold(server->engine, call->name, server->now, &cursor, &hold)) {
        if (owner.size > 0 && !bytes_equal(owner, hold.owner)) continue;
        *out_hold = hold;
        return true;
    }
    return false;
}

/* Nobody holds it, or somebody else does.  That it is free is no failure: a release may be
 * repeated, and a heartbeat has told what it was asked. */
static void answer_not_ours(struct http *http, const struct http_call *call)
{
    const struct server *server = http_server(http);
    struct engine_lock_view lock;
    bool is_taken =
        engine_inspect(server->engine, call->name, server->now, &lock) && lock.hold_count > 0;
    answer(http, call->name, is_taken ? "another owner has the lock" : "", lock.seq);
}

/* The texts of a view are the engine's and may go during the command: the owner is copied. */
static void submit_claim(
    struct http *http,
    const struct http_call *call,
    const struct engine_hold_view *hold,
    enum engine_command_kind kind)
{
    char owner[LIMIT_OWNER_SIZE_MAX];
    memcpy(owner, hold->owner.data, hold->owner.size);
    struct engine_claim claim = {
        .name = call->name,
        .owner = { owner, hold->owner.size },
        .token = hold->token,
        .ttl_ms = (uint32_t)args_number(&call->args, ARG_TTL_MS, ENGINE_TTL_KEEP),
    };
    struct engine_command command = { .kind = kind };
    if (kind == ENGINE_RELEASE) {
        command.as.release = claim;
    } else {
        command.as.renew.claims = &claim;
        command.as.renew.count = 1;
    }
    server_submit(http_server(http), http->session, &command);
}

void candado_release(struct http *http, struct http_call *call)
{
    struct engine_hold_view hold;
    struct seq seq;
    if (!find_hold(http, call, &hold, &seq)) {
        answer_not_ours(http, call);
        return;
    }
    http->on_reply = on_reply;
    submit_claim(http, call, &hold, ENGINE_RELEASE);
}

/* Tells the state; and where there is a ttl, renews it. */
void candado_heartbeat(struct http *http, struct http_call *call)
{
    struct engine_hold_view hold;
    struct seq seq;
    if (!find_hold(http, call, &hold, &seq)) {
        answer_not_ours(http, call);
        return;
    }
    if (hold.ttl_ms == 0 && !args_has(&call->args, ARG_TTL_MS)) {
        answer(http, call->name, "", seq);
        return;
    }
    http->on_reply = on_reply;
    submit_claim(http, call, &hold, ENGINE_RENEW);
}
