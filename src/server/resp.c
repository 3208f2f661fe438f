#include "server/resp.h"

#include <stdio.h>

#include "base/decimal.h"

#define COMMAND_MS_MAX 30000 /* from the first byte of a command to its last */
#define OWED_COUNT_MAX 256u  /* answers of one session that are to come */

_Static_assert(CONNECTION_INPUT_SIZE_MAX >= RESP_COMMAND_SIZE_MAX, "a command has room");

/* ------------------------------------------------------------------ answers */

void resp_end(struct resp *resp, struct seq seq)
{
    session_reply_end(resp->session, seq);
}

void resp_end_now(struct resp *resp)
{
    session_reply_end(resp->session, (struct seq){ 0 });
}

void resp_refuse_word(struct resp *resp, const char *word, const char *text)
{
    resp_write_error(&resp->out, word, bytes_from_text(text));
    resp_end_now(resp);
}

void resp_refuse(struct resp *resp, enum tenure_err err, const char *text)
{
    resp_refuse_word(resp, tenure_err_resp_word(err), text);
}

void resp_accept(struct resp *resp)
{
    resp_write_simple(&resp->out, BYTES_LITERAL("OK"));
    resp_end_now(resp);
}

void resp_text_add_bytes(struct resp_text *text, struct bytes more)
{
    size_t room = sizeof(text->data) - text->size;
    size_t size = more.size < room ? more.size : room;
    if (size > 0) memcpy(text->data + text->size, more.data, size);
    text->size += size;
}

void resp_text_add(struct resp_text *text, const char *more)
{
    resp_text_add_bytes(text, bytes_from_text(more));
}

void resp_text_add_number(struct resp_text *text, int64_t value)
{
    char digits[DECIMAL_SIZE_MAX];
    if (value < 0) resp_text_add(text, "-");
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    resp_text_add_bytes(text, (struct bytes){ digits, decimal_format(magnitude, digits) });
}

void resp_pair_signed(struct resp *resp, const char *key, int64_t value)
{
    resp_write_text(&resp->out, key);
    resp_write_signed(&resp->out, value);
}

void resp_pair_unsigned(struct resp *resp, const char *key, uint64_t value)
{
    resp_write_text(&resp->out, key);
    resp_write_unsigned(&resp->out, value);
}

void resp_pair_bytes(struct resp *resp, const char *key, struct bytes value)
{
    resp_write_text(&resp->out, key);
    resp_write_bulk(&resp->out, value);
}

void resp_pair_text(struct resp *resp, const char *key, const char *value)
{
    resp_pair_bytes(resp, key, bytes_from_text(value));
}

struct bytes resp_mode_word(enum engine_mode mode)
{
    return mode == ENGINE_SHARED ? BYTES_LITERAL("shared") : BYTES_LITERAL("exclusive");
}

/* ------------------------------------------------------------------ commands */

/* "Host:", with or without its value behind it. */
static bool is_http_header(struct bytes name)
{
    static const char header[] = "host:";
    if (name.size < sizeof(header) - 1) return false;
    for (size_t at = 0; at < sizeof(header) - 1; at++) {
        char letter = name.data[at];
        if (letter >= 'A' && letter <= 'Z') letter = (char)(letter - 'A' + 'a');
        if (letter != header[at]) return false;
    }
    return true;
}

static void refuse_unknown(struct resp *resp, struct bytes name)
{
    struct resp_text text = { 0 };
    if (is_http_header(name)) {
        /* HTTP with a method that nobody knows: somebody's client has been led here, and the body
         * that follows the header could hold commands. */
        resp_refuse_word(resp, "ERR", "this is a header of HTTP, behind no method that is known");
        session_close(resp->session);
        return;
    }
    resp_text_add(&text, "unknown command '");
    resp_text_add_bytes(&text, (struct bytes){ name.data, name.size < 128 ? name.size : 128 });
    resp_text_add(&text, "'; COMMAND lists those there are");
    /* Clients tell an unknown command by Redis' own word. */
    resp_write_error(&resp->out, "ERR", resp_text_bytes(&text));
    resp_end_now(resp);
}

static void refuse_arity(struct resp *resp, const struct resp_spec *spec)
{
    struct resp_text text = { 0 };
    resp_text_add(&text, "wrong number of arguments; usage: ");
    resp_text_add(&text, spec->name);
    resp_text_add(&text, spec->syntax[0] == '\0' ? "" : " ");
    resp_text_add(&text, spec->syntax);
    resp_write_error(&resp->out, tenure_err_resp_word(TENURE_INVALID), resp_text_bytes(&text));
    resp_end_now(resp);
}

/* Clients use few commands, and write them in one way. */
static const struct resp_spec *find_spec(struct resp *resp, struct bytes name)
{
    size_t mix = name.size;
    if (name.size > 1) mix += (unsigned char)name.data[name.size - 2];
    const struct resp_spec **recent = &resp->recent[mix % RESP_RECENT_COUNT];
    bool is_it = *recent != NULL && (*recent)->name_size == name.size &&
                 memcmp((*recent)->name, name.data, name.size) == 0;
    if (is_it) return *recent;
    const struct resp_spec *spec = resp_find_spec(name);
    if (spec != NULL) *recent = spec;
    return spec;
}

static void run_command(struct resp *resp, const struct resp_command *command)
{
    (void)resp_speak(resp->session);
    resp->server->metrics.requests[METRICS_RESP]++;
    struct bytes name = resp_argument(command, 0);
    const struct resp_spec *spec = find_spec(resp, name);
    if (spec == NULL) {
        refuse_unknown(resp, name);
        return;
    }
    uint32_t least = (uint32_t)(spec->arity < 0 ? -spec->arity : spec->arity);
    if (command->argument_count < least || (spec->arity > 0 && command->argument_count > least)) {
        refuse_arity(resp, spec);
        return;
    }
    if (resp->is_following && (spec->flags & RESP_FLAG_FOLLOWER) == 0) {
        resp_refuse(
            resp,
            TENURE_INVALID,
            "this connection follows events: only PING, RESET and QUIT are taken");
        return;
    }
    bool is_listening = resp->subscription_count > 0 && !resp->out.is_resp3;
    if (is_listening && (spec->flags & RESP_FLAG_SUBSCRIBER) == 0) {
        resp_refuse_word(
            resp,
            "ERR",
            "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
            "context");
        return;
    }
    if ((spec->flags & RESP_FLAG_EMBEDDED) != 0 && resp->server->engine == NULL) {
        resp_refuse(
            resp,
            TENURE_UNSUPPORTED,
            "the store behind this server has no queues and no shared state");
        return;
    }
    spec->run(resp, command);
}

/* A client that sends and does not read must not make the server keep all its answers. */
static bool is_backlogged(struct resp *resp)
{
    struct session *session = resp->session;
    /* What waits already goes on when its answer comes, and not before. */
    if (session->is_waiting || session_backlog(session) < CONNECTION_BACKLOG_SIZE_MAX) return false;
    resp->is_backlogged = true;
    session->is_waiting = true;
    session_want_drain(session);
    return true;
}

/* Must this command wait for the answers to those before it?  Then it is looked at again. */
static bool must_wait(struct session *session, const struct resp_command *command)
{
    if (session->owed_count == 0 || command->argument_count == 0) return false;
    const struct resp_spec *spec = resp_find_spec(resp_argument(command, 0));
    bool is_alone = spec != NULL && (spec->flags & RESP_FLAG_ALONE) != 0;
    return (is_alone || session->owed_count >= OWED_COUNT_MAX) && session_bar(session);
}

static size_t on_input(struct session *session, struct bytes input)
{
    struct resp *resp = session->state;
    size_t used = 0;
    while (used < input.size && !session->is_waiting && !session->is_closing && !session->is_gone) {
        struct resp_command command;
        size_t size;
        const char *text;
        struct bytes rest = { input.data + used, input.size - used };
        enum proto_parse parse = resp_read_command(&resp->reader, rest, &command, &size, &text);
        if (parse == PARSE_MORE) {
            if (!resp->is_midway) resp->since = session->server->now;
            resp->is_midway = true;
            break;
        }
        resp->is_midway = false;
        if (parse == PARSE_BAD) {
            (void)resp_speak(session);
            resp_refuse_word(resp, "ERR Protocol error:", text);
            session_linger(session);
            session_close(session);
            return input.size;
        }
        if (must_wait(session, &command)) break;
        used += size;
        if (command.argument_count > 0) run_command(resp, &command);
        if (is_backlogged(resp)) break;
    }
    return used;
}

static void on_reply(struct session *session, const struct engine_reply *reply)
{
    resp_answer(resp_speak(session), reply);
}

static void on_drain(struct session *session)
{
    struct resp *resp = session->state;
    if (resp->is_backlogged) {
        resp->is_backlogged = false;
        session->is_waiting = false;
        session_resume(session);
    }
    resp_follow_drained(resp);
}

/* Clients may be silent for as long as they like, but not in the middle of a command. */
static void on_tick(struct session *session)
{
    struct resp *resp = session->state;
    int64_t age_ns = session->server->now.ns - resp->since.ns;
    if (!resp->is_midway || session->is_closing || age_ns <= COMMAND_MS_MAX * NS_PER_MS) return;
    (void)resp_speak(session);
    resp_refuse_word(resp, "ERR Protocol error:", "a command took over 30 s to arrive");
    session_linger(session);
    session_close(session);
}

static void on_stop(struct session *session)
{
    resp_observe_stop(session->state);
}

static bool on_open(struct session *session)
{
    struct resp *resp = memory_take(&memory_heap, sizeof(*resp));
    if (resp == NULL) return false;
    *resp = (struct resp){
        .session = session,
        .server = session->server,
        .out = { .out = session_out(session) },
    };
    list_init(&resp->subscriptions);
    resp_reader_init(&resp->reader, &memory_heap);
    session->state = resp;
    return true;
}

static void on_close(struct session *session)
{
    struct resp *resp = session->state;
    resp_follow_stop(resp);
    resp_channels_stop(resp);
    resp_reader_deinit(&resp->reader);
    memory_give(&memory_heap, resp, sizeof(*resp));
}

const struct session_protocol session_resp = {
    .name = "resp",
    .is_pipelined = true,
    .on_open = on_open,
    .on_input = on_input,
    .on_reply = on_reply,
    .on_drain = on_drain,
    .on_tick = on_tick,
    .on_stop = on_stop,
    .on_close = on_close,
};
