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
    enum arg wish = args_any(&call->args, ARG_LIST(ARG_TTL_MS, ARG_VALUE, ARG_TO));
    enum arg last = args_any(&call->args, ARG_LIST(ARG_TO, ARG_VALUE, ARG_TTL_MS));
    if (wish != last) {
        struct args_error error;
        const char *name = arg_name(last);
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

static void tell_election(struct session *session, const struct query_answer *answer)
{
    struct http *http = session->state;
    if (answer->err != TENURE_OK) {
        http_problem(http, answer->err, 0, answer->detail);
        return;
    }
    struct json_writer json;
    (void)http_begin(http, &json);
    shape_election(&json, answer->locks);
    http_end(http, &(struct http_answer){ .status = 200 }, answer->seq);
}

static void answer_election(struct http *http, struct bytes name)
{
    struct query query = { .kind = QUERY_LOCK, .tell = tell_election, .name = name };
    server_ask(http_server(http), http->session, &query);
}

/* Has anything happened behind what the client knows?  Else it waits for that. */
static void tell_or_wait(struct session *session, const struct query_answer *answer)
{
    struct http *http = session->state;
    const struct server *server = session->server;
    struct seq since = http->observed.since;
    /* A number that this server has not reached is of another history: answer what is.  What nobody
     * remembers is older than all that a client can ask about. */
    bool is_other = since.value > server_last_seq(server).value;
    bool is_news = answer->err != TENURE_OK || answer->locks->changed.value > since.value;
    if (is_news || is_other || server->is_draining) {
        tell_election(session, answer);
    } else if (!watch_name(http, answer->name, since, http->observed.wait_ms, answer_election)) {
        http_problem(http, TENURE_NO_MEMORY, 0, NULL);
    }
}

void api_election_observe(struct http *http, struct http_call *call)
{
    const struct server *server = http_server(http);
    http->observed.wait_ms = (uint32_t)args_number(&call->args, ARG_WAIT_MS, 0);
    http->observed.since.value = args_number(&call->args, ARG_SINCE, server_last_seq(server).value);
    struct query query = {
        .kind = QUERY_LOCK,
        .tell = http->observed.wait_ms == 0 ? tell_election : tell_or_wait,
        .name = call->name,
    };
    server_ask(http_server(http), http->session, &query);
}
