/* api_elections - elections over HTTP.
 *
 * An election is a lock with a value: to campaign is to acquire, the leader's hold carries the
 * value in its meta, to resign is to release.  Leaders renew here or as locks. */
#include "server/http.h"

static void
answer_leader(struct http *http, const struct engine_hold_view *hold, int status, struct seq seq)
{
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_leader(&json, hold);
    struct http_answer answer = { .status = status, .etag = hold->token };
    if (status == 201) {
        answer.location = "/v1/elections/";
        answer.location_name = hold->name;
    }
    http_end(http, &answer, seq);
}

static void on_elected(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    const struct engine_result *result = &reply->results[0];
    answer_leader(http, &result->hold, result->is_repeat ? 200 : 201, reply->seq);
}

void api_election_campaign(struct http *http, struct http_call *call)
{
    struct api_wish wish = {
        &call->name, 1, args_text(&call->args, ARG_VALUE), LIMIT_TTL_MS_DEFAULT
    };
    api_submit_acquire(http, call, &wish, on_elected);
}

static void on_changed(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    answer_leader(http, &reply->results[0].hold, 200, reply->seq);
}

static void on_transferred(struct http *http, const struct engine_reply *reply)
{
    if (reply->err != TENURE_OK) {
        api_refuse(http, reply);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    json_begin_object(&json);
    json_key(&json, "outcome");
    json_text(&json, BYTES_LITERAL("transferred"));
    json_key(&json, "name");
    json_text(&json, reply->results[0].name);
    json_key(&json, "successor_token");
    json_unsigned(&json, reply->results[0].successor.value);
    json_end_object(&json);
    http_end(http, &(struct http_answer){ .status = 200 }, reply->seq);
}

/* With `value`: proclaim it.  With `to`: hand over.  With neither: renew. */
void api_election_change(struct http *http, struct http_call *call)
{
    uint32_t wishes = call->args.present & (ARG_BIT(VALUE) | ARG_BIT(TO) | ARG_BIT(TTL_MS));
    if ((wishes & (wishes - 1)) != 0) {
        struct args_error error;
        const char *name = arg_name((enum arg)(31 - __builtin_clz(wishes)));
        (void)args_fail(&error, name, "value, to and ttl_ms exclude each other");
        http_problem_of_args(http, &error);
        return;
    }
    struct engine_claim claim = api_claim(call);
    struct engine_command command = { .kind = ENGINE_RENEW, .as.renew = { &claim, 1 } };
    http->on_reply = on_changed;
    if (args_has(&call->args, ARG_VALUE)) {
        command.kind = ENGINE_PROCLAIM;
        command.as.proclaim.claim = claim;
        command.as.proclaim.value = args_text(&call->args, ARG_VALUE);
    } else if (args_has(&call->args, ARG_TO)) {
        command.kind = ENGINE_TRANSFER;
        command.as.transfer.claim = claim;
        command.as.transfer.to = args_text(&call->args, ARG_TO);
        http->on_reply = on_transferred;
    }
    server_submit(http_server(http), http->session, &command);
}

void api_election_resign(struct http *http, struct http_call *call)
{
    struct engine_command command = { .kind = ENGINE_RELEASE, .as.release = api_claim(call) };
    http->on_reply = api_released;
    server_submit(http_server(http), http->session, &command);
}

/* ------------------------------------------------------------------ observe */

static void answer_election(struct http *http, struct bytes name)
{
    const struct server *server = http_server(http);
    struct engine_lock_view lock;
    struct json_writer json;
    (void)engine_inspect(server->engine, name, server->now, &lock);
    (void)http_begin(http, &json);
    shape_election(&json, server->engine, server->now, &lock);
    http_end(http, &(struct http_answer){ .status = 200 }, lock.seq);
}

/* Of the newest event of this name that is remembered; what nobody remembers is older than all
 * that a client can ask about. */
static struct seq last_change(const struct server *server, struct bytes name)
{
    struct engine_lock_view lock;
    if (engine_inspect(server->engine, name, server->now, &lock)) return lock.seq;
    struct record newest;
    if (engine_history(server->engine, name, &newest, 1) == 1) return newest.seq;
    return (struct seq){ 0 };
}

void api_election_observe(struct http *http, struct http_call *call)
{
    const struct server *server = http_server(http);
    uint32_t wait_ms = (uint32_t)args_number(&call->args, ARG_WAIT_MS, 0);
    struct seq known = engine_seq(server->engine);
    struct seq since = { args_number(&call->args, ARG_SINCE, known.value) };
    /* A number that this server has not reached is of another history: answer what is. */
    bool is_news = last_change(server, call->name).value > since.value || since.value > known.value;
    if (wait_ms == 0 || is_news || server->is_draining) {
        answer_election(http, call->name);
        return;
    }
    if (!watch_name(http, call->name, since, wait_ms, answer_election)) {
        http_problem(http, TENURE_NO_MEMORY, 0, NULL);
    }
}
