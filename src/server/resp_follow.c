#include "server/resp.h"

/* A follower whose client reads slowly is not handed more than this; it goes on where it was when
 * the client has read, or falls out of the window and is told so. */
#define BACKLOG_MAX ((size_t)256 << 10)

struct resp_follow {
    struct follower follower;
    struct resp *resp;
    bool is_paused;
    bool is_slow;      /* its client had to be waited for */
    bool has_previous; /* of events of shared state: tell what was before, too */
    bool is_done;      /* kept only because a callback of it may still be under way */
    char prefix[LIMIT_NAME_SIZE_MAX];
};

static struct resp_follow *follow_of(struct follower *follower)
{
    return CONTAINER_OF(follower, struct resp_follow, follower);
}

static struct resp_follow *follow_create(struct resp *resp, struct bytes prefix)
{
    ASSERT(prefix.size <= LIMIT_NAME_SIZE_MAX);
    if (resp->follow != NULL && resp->follow->is_done) resp_follow_stop(resp);
    ASSERT(resp->follow == NULL);
    struct resp_follow *follow = memory_take(&memory_heap, sizeof(*follow));
    if (follow == NULL) return NULL;
    *follow = (struct resp_follow){ .resp = resp };
    if (prefix.size > 0) memcpy(follow->prefix, prefix.data, prefix.size);
    follow->follower.prefix = (struct bytes){ follow->prefix, prefix.size };
    resp->follow = follow;
    return follow;
}

void resp_follow_stop(struct resp *resp)
{
    struct resp_follow *follow = resp->follow;
    if (follow == NULL) return;
    follower_stop(resp->server->events, &follow->follower);
    memory_give(&memory_heap, follow, sizeof(*follow));
    resp->follow = NULL;
    resp->is_following = false;
}

void resp_follow_drained(struct resp *resp)
{
    struct resp_follow *follow = resp->follow;
    if (follow == NULL || !follow->is_paused) return;
    follow->is_paused = false;
    follower_resume(resp->server->events, &follow->follower);
}

/* ------------------------------------------------------------------ EVENTS.FOLLOW */

static void push_number(struct resp *resp, const char *word, uint64_t number)
{
    (void)resp_speak(resp->session);
    resp_write_push(&resp->out, 2);
    resp_write_text(&resp->out, word);
    resp_write_unsigned(&resp->out, number);
    resp_end_now(resp);
}

/* For all that follow in the same words. */
static void
write_event(struct resp *resp, const struct record *record, bool has_previous, struct buffer *text)
{
    struct record told = *record;
    if (!has_previous) told.has_previous = false;
    resp->out.out = text;
    resp_write_push(&resp->out, 2);
    resp_write_text(&resp->out, "event");
    resp_write_record(resp, &told);
}

static bool deliver_event(struct follower *follower, const struct record *record)
{
    struct resp_follow *follow = follow_of(follower);
    struct resp *resp = follow->resp;
    if (session_backlog(resp->session) > BACKLOG_MAX) {
        follow->is_paused = true;
        follow->is_slow = true;
        session_want_drain(resp->session);
        return false;
    }
    follow->is_slow = false;
    enum events_form form = follow->has_previous ? EVENTS_RESP2_PREVIOUS : EVENTS_RESP2;
    if (resp->out.is_resp3) form = follow->has_previous ? EVENTS_RESP3_PREVIOUS : EVENTS_RESP3;
    struct buffer *text = events_text(resp->server->events, form, record->seq);
    if (text->size == 0) write_event(resp, record, follow->has_previous, text);
    events_copy_text(resp_speak(resp->session)->out.out, text);
    resp_end(resp, record->seq);
    return true;
}

/* The window has moved on: past a client that does not read, or past one that asked for too much.
 */
static void tell_compacted(struct follower *follower, struct seq first)
{
    const struct resp_follow *follow = follow_of(follower);
    struct resp *resp = follow->resp;
    metrics_count_overtaken(&resp->server->metrics, follow->is_slow);
    push_number(resp, follow->is_slow ? "overflow" : "compacted", first.value);
    session_close(resp->session);
}

static void send_heartbeat(struct follower *follower)
{
    struct resp *resp = follow_of(follower)->resp;
    if (session_backlog(resp->session) > BACKLOG_MAX) return;
    push_number(resp, "heartbeat", follower->seq.value);
}

static const struct follower_ops follow_ops = {
    .deliver = deliver_event,
    .compacted = tell_compacted,
    .heartbeat = send_heartbeat,
};

static bool take_types(struct resp_args *args, uint64_t *out_kinds)
{
    struct bytes words;
    if (!resp_take_text(args, "TYPES", LIMIT_NAME_SIZE_MAX, &words)) return false;
    if (events_parse_kinds(words, out_kinds)) return true;
    resp_refuse(
        args->resp, TENURE_INVALID, "TYPES must be kinds of events with commas between them");
    return false;
}

/* Why nothing can be told from there on; NULL: it can. */
static const char *find_fault(const struct server *server, uint64_t since)
{
    if (server->event_err != TENURE_OK) return "the store does not tell what changes";
    uint64_t last = server_last_seq(server).value;
    if (server->store != NULL && since != last) {
        return "this server keeps no events: look at the locks, and follow from now on";
    }
    /* Who saw it saw another journal: what has happened since cannot be told. */
    return since > last ? "this journal has not come so far; begin anew" : NULL;
}

void resp_run_follow(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes prefix = { "", 0 };
    /* Not the engine's seq: a crash can take that back, and give the number to another event. */
    uint64_t since = resp->server->durable.value;
    uint64_t kinds = 0;
    bool is_exact = false, has_previous = false;
    if (resp->is_following) {
        resp_refuse(
            resp, TENURE_INVALID, "this connection follows events already; RESET ends that");
        return;
    }
    while (resp_args_left(&args)) {
        if (resp_take_keyword(&args, "PREVIOUS")) {
            has_previous = true;
            continue;
        }
        if (resp_take_keyword(&args, "NAME")) {
            is_exact = true;
            if (!resp_take_plain(&args, "NAME", &prefix)) return;
            continue;
        }
        bool is_taken = resp_take_keyword(&args, "SINCE")
                            ? resp_take_number(&args, "SINCE", 0, TOKEN_MAX, &since)
                        : resp_take_keyword(&args, "PREFIX")
                            ? resp_take_text(&args, "PREFIX", LIMIT_NAME_SIZE_MAX, &prefix)
                        : resp_take_keyword(&args, "TYPES") ? take_types(&args, &kinds)
                                                            : resp_refuse_keyword(&args);
        if (!is_taken) return;
    }
    const char *fault = find_fault(resp->server, since);
    if (fault != NULL) {
        enum tenure_err err = resp->server->event_err;
        resp_refuse(resp, err != TENURE_OK ? err : TENURE_COMPACTED, fault);
        return;
    }
    struct resp_follow *follow = follow_create(resp, prefix);
    if (follow == NULL) {
        resp_refuse(resp, TENURE_NO_MEMORY, tenure_err_text(TENURE_NO_MEMORY));
        return;
    }
    follow->follower.ops = &follow_ops;
    follow->follower.kinds = kinds;
    follow->follower.is_exact = is_exact;
    follow->has_previous = has_previous;
    follow->follower.seq = (struct seq){ since };
    if (!follower_start(resp->server->events, &follow->follower)) {
        resp_follow_stop(resp);
        resp_refuse(resp, TENURE_NO_MEMORY, tenure_err_text(TENURE_NO_MEMORY));
        return;
    }
    resp->is_following = true;
    bool is_relay = resp->server->store != NULL;
    resp_write_array(&resp->out, is_relay ? 3 : 2);
    resp_write_text(&resp->out, "follow");
    resp_write_unsigned(&resp->out, since);
    if (is_relay) resp_write_text(&resp->out, "best-effort");
    resp_end_now(resp);
}

/* ------------------------------------------------------------------ ELECT.OBSERVE */

static void ask_who_leads(struct resp *resp, struct bytes name, query_tell_fn tell)
{
    struct query query = { .kind = QUERY_LOCK, .tell = tell, .name = name };
    server_ask(resp->server, resp->session, &query);
}

/* The wait is over, one way or the other: tell who leads. */
static void finish_observe(struct resp_follow *follow)
{
    struct resp *resp = follow->resp;
    follow->is_done = true;
    follower_stop(resp->server->events, &follow->follower);
    resp->session->is_waiting = false;
    ask_who_leads(resp, follow->follower.prefix, resp_tell_leader);
    session_resume(resp->session);
}

void resp_observe_stop(struct resp *resp)
{
    struct resp_follow *follow = resp->follow;
    if (follow != NULL && !resp->is_following && !follow->is_done) finish_observe(follow);
}

static bool deliver_change(struct follower *follower, const struct record *record)
{
    (void)record;
    finish_observe(follow_of(follower));
    return true;
}

static void skip_compacted(struct follower *follower, struct seq first)
{
    (void)first;
    metrics_count_overtaken(&follow_of(follower)->resp->server->metrics, false);
    finish_observe(follow_of(follower));
}

static void end_observe(struct follower *follower)
{
    finish_observe(follow_of(follower));
}

static const struct follower_ops observe_ops = {
    .deliver = deliver_change,
    .compacted = skip_compacted,
    .timeout = end_observe,
};

static bool start_observe(struct resp *resp, struct bytes name, uint64_t since, uint64_t wait_ms)
{
    struct resp_follow *follow = follow_create(resp, name);
    if (follow == NULL) return false;
    follow->follower.ops = &observe_ops;
    follow->follower.kinds = EVENTS_OF_LOCKS;
    follow->follower.is_exact = true;
    follow->follower.seq = (struct seq){ since };
    follow->follower.until = (struct mono){ resp->server->now.ns + (int64_t)wait_ms * NS_PER_MS };
    if (follower_start(resp->server->events, &follow->follower)) return true;
    resp_follow_stop(resp);
    return false;
}

/* Has anything happened behind what the client knows?  Else it waits for that. */
static void tell_or_wait(struct session *session, const struct query_answer *answer)
{
    struct resp *resp = session->state;
    uint64_t since = resp->observed.since;
    /* A number that this server has not reached is of another history: tell what is. */
    bool is_other = since > server_last_seq(resp->server).value;
    bool is_news = answer->err != TENURE_OK || answer->locks->changed.value > since;
    if (is_other || is_news || resp->server->is_draining) {
        resp_tell_leader(session, answer);
    } else if (start_observe(resp, answer->name, since, resp->observed.wait_ms)) {
        session_wait(session);
    } else {
        resp_refuse(resp_speak(session), TENURE_NO_MEMORY, tenure_err_text(TENURE_NO_MEMORY));
    }
}

void resp_run_observe(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    struct bytes name;
    uint64_t since = server_last_seq(resp->server).value;
    uint64_t wait_ms = 0;
    if (!resp_take_plain(&args, "name", &name)) return;
    while (resp_args_left(&args)) {
        if (resp_take_keyword(&args, "SINCE")) {
            if (!resp_take_number(&args, "SINCE", 0, TOKEN_MAX, &since)) return;
        } else if (resp_take_keyword(&args, "WAIT")) {
            if (!resp_take_number(&args, "WAIT", 0, LIMIT_WAIT_MS_MAX, &wait_ms)) return;
        } else {
            (void)resp_refuse_keyword(&args);
            return;
        }
    }
    resp->observed.since = since;
    resp->observed.wait_ms = (uint32_t)wait_ms;
    ask_who_leads(resp, name, wait_ms == 0 ? resp_tell_leader : tell_or_wait);
    /* What was sent behind it must not be answered before it. */
    if (wait_ms > 0) (void)session_bar(resp->session);
}
