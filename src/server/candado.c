/* candado - Candado's API, as a façade: GET /acquire/{id}, /release/{id}, /heartbeat/{id}.
 *
 * Its clients know two answers, `{"error":"","state":1,"success":true}` of its documentation and
 * `{"error":"","success":true,"data":{"id":"…","state":1}}` of its server; both are in one here.
 * The status is always 200, also for arguments that are wrong.  State 1 is taken, 0 is free.  There
 * are no owners: whoever asks releases, unless `owner` is given, and a lock lives until it is
 * released, unless `ttl_ms` is. */
#include <stdio.h>

#include "server/http.h"

/* `state` is that of the lock now, whatever came of the request. */
static void
write_answer(struct http *http, struct bytes id, const char *error, bool is_taken, struct seq seq)
{
    uint64_t state = is_taken ? 1 : 0;
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

/* ------------------------------------------------------------------ the state behind an answer */

static bool is_taken(const struct query_answer *answer)
{
    return answer->err == TENURE_OK && answer->locks->is_known &&
           answer->locks->view.hold_count > 0;
}

static void tell_state(struct session *session, const struct query_answer *answer)
{
    struct http *http = session->state;
    struct seq seq = http->candado.seq;
    if (seq.value < answer->seq.value) seq = answer->seq;
    write_answer(http, answer->name, http->candado.error, is_taken(answer), seq);
}

/* `error` is "" when what was asked for has happened. */
static void answer(struct http *http, struct bytes id, const char *error, struct seq seq)
{
    (void)snprintf(http->candado.error, sizeof(http->candado.error), "%s", error);
    http->candado.seq = seq;
    struct query query = { .kind = QUERY_LOCK, .tell = tell_state, .name = id };
    server_ask(http_server(http), http->session, &query);
}

void candado_refuse(struct http *http, struct bytes id, const char *error)
{
    if (id.size > 0) {
        answer(http, id, error, (struct seq){ 0 });
    } else {
        write_answer(http, id, error, false, (struct seq){ 0 });
    }
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

/* ------------------------------------------------------------------ of a hold that there is */

/* The hold that is meant: the owner's, or whoever's there is. */
static bool
find_hold(const struct query_lock *lock, struct bytes owner, struct engine_hold_view *out_hold)
{
    struct engine_hold_view hold;
    struct query_cursor cursor = { 0 };
    while (query_next_hold(lock, &cursor, &hold)) {
        if (owner.size > 0 && !bytes_equal(owner, hold.owner)) continue;
        *out_hold = hold;
        return true;
    }
    return false;
}

/* The texts of a view go during the command: they are copied. */
static void
submit_claim(struct http *http, struct bytes id, const struct engine_hold_view *hold, bool is_end)
{
    char owner[LIMIT_OWNER_SIZE_MAX];
    char name[LIMIT_NAME_SIZE_MAX];
    memcpy(owner, hold->owner.data, hold->owner.size);
    memcpy(name, id.data, id.size);
    struct engine_claim claim = {
        .name = { name, id.size },
        .owner = { owner, hold->owner.size },
        .token = hold->token,
        .ttl_ms = http->candado.ttl_ms,
    };
    struct engine_command command = { .kind = is_end ? ENGINE_RELEASE : ENGINE_RENEW };
    if (is_end) {
        command.as.release = claim;
    } else {
        command.as.renew.claims = &claim;
        command.as.renew.count = 1;
    }
    http->on_reply = on_reply;
    server_submit(http_server(http), http->session, &command);
}

/* Nobody holds it, or somebody else does.  That it is free is no failure: a release may be
 * repeated, and a heartbeat has told what it was asked. */
static void answer_not_ours(struct http *http, const struct query_answer *found)
{
    const char *error = is_taken(found) ? "another owner has the lock" : "";
    if (found->err != TENURE_OK) {
        error = found->detail != NULL ? found->detail : tenure_err_text(found->err);
    }
    write_answer(http, found->name, error, is_taken(found), found->seq);
}

static struct bytes asking_owner(const struct http *http)
{
    return (struct bytes){ http->candado.owner, http->candado.owner_size };
}

static void release_found(struct session *session, const struct query_answer *found)
{
    struct http *http = session->state;
    struct engine_hold_view hold;
    if (is_taken(found) && find_hold(found->locks, asking_owner(http), &hold)) {
        submit_claim(http, found->name, &hold, true);
    } else {
        answer_not_ours(http, found);
    }
}

static void renew_found(struct session *session, const struct query_answer *found)
{
    struct http *http = session->state;
    struct engine_hold_view hold;
    if (!is_taken(found) || !find_hold(found->locks, asking_owner(http), &hold)) {
        answer_not_ours(http, found);
    } else if (hold.ttl_ms == 0 && http->candado.ttl_ms == ENGINE_TTL_KEEP) {
        write_answer(http, found->name, "", true, found->seq);
    } else {
        submit_claim(http, found->name, &hold, false);
    }
}

static void ask_for_hold(struct http *http, const struct http_call *call, query_tell_fn tell)
{
    struct bytes owner = args_text(&call->args, ARG_OWNER);
    memcpy(http->candado.owner, owner.data, owner.size);
    http->candado.owner_size = owner.size;
    http->candado.ttl_ms = (uint32_t)args_number(&call->args, ARG_TTL_MS, ENGINE_TTL_KEEP);
    struct query query = { .kind = QUERY_LOCK, .tell = tell, .name = call->name };
    server_ask(http_server(http), http->session, &query);
}

void candado_release(struct http *http, struct http_call *call)
{
    ask_for_hold(http, call, release_found);
}

/* Tells the state; and where there is a ttl, renews it. */
void candado_heartbeat(struct http *http, struct http_call *call)
{
    ask_for_hold(http, call, renew_found);
}
