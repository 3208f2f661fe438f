#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "server/resp.h"

/* What clients of Redis expect of any server. */

void resp_run_ping(struct resp *resp, const struct resp_command *command)
{
    bool has_text = command->argument_count > 1;
    struct bytes text = has_text ? resp_argument(command, 1) : (struct bytes){ "", 0 };
    if (command->argument_count > 2) {
        resp_refuse(resp, TENURE_INVALID, "PING takes at most one text");
        return;
    }
    bool is_listening = resp->is_following || resp->subscription_count > 0;
    if (is_listening && !resp->out.is_resp3) {
        /* In the form of what else comes on this connection, as Redis does it. */
        resp_write_array(&resp->out, 2);
        resp_write_text(&resp->out, "pong");
        resp_write_bulk(&resp->out, text);
    } else if (has_text) {
        resp_write_bulk(&resp->out, text);
    } else {
        resp_write_simple(&resp->out, BYTES_LITERAL("PONG"));
    }
    resp_end_now(resp);
}

void resp_run_echo(struct resp *resp, const struct resp_command *command)
{
    resp_write_bulk(&resp->out, resp_argument(command, 1));
    resp_end_now(resp);
}

/* False: the name was refused, and that answered. */
static bool set_name(struct resp *resp, struct bytes name)
{
    if (name.size >= RESP_CLIENT_NAME_SIZE || !utf8_is_plain(name) ||
        (name.size > 0 && memchr(name.data, ' ', name.size) != NULL))
    {
        resp_refuse(
            resp,
            TENURE_INVALID,
            "a client's name must have at most 63 bytes, without blanks and control characters");
        return false;
    }
    if (name.size > 0) memcpy(resp->client_name, name.data, name.size);
    resp->client_name[name.size] = '\0';
    return true;
}

static const char *const no_password =
    "this server has no passwords yet; remove the password from the client's settings";

void resp_run_auth(struct resp *resp, const struct resp_command *command)
{
    (void)command;
    resp_refuse_word(resp, "ERR", no_password);
}

static bool take_hello_option(struct resp_args *args)
{
    if (resp_take_keyword(args, "AUTH")) {
        resp_refuse_word(args->resp, "ERR", no_password);
        return false;
    }
    if (resp_take_keyword(args, "SETNAME")) {
        struct bytes name;
        return resp_take_text(args, "SETNAME", RESP_CLIENT_NAME_SIZE, &name) &&
               set_name(args->resp, name);
    }
    return resp_refuse_keyword(args);
}

static void answer_hello(struct resp *resp)
{
    resp_write_map(&resp->out, 8);
    resp_pair_text(resp, "server", "tenured");
    resp_pair_text(resp, "version", TENURE_VERSION);
    resp_pair_signed(resp, "proto", resp->out.is_resp3 ? 3 : 2);
    resp_pair_unsigned(resp, "id", resp->session->id);
    resp_pair_text(resp, "mode", "standalone");
    resp_pair_text(resp, "role", "master");
    resp_pair_text(resp, "safety", server_safety_word(resp->server));
    resp_write_text(&resp->out, "modules");
    resp_write_array(&resp->out, 0);
    resp_end_now(resp);
}

static void tell_hello(struct session *session, const struct query_answer *answer)
{
    (void)answer; /* whatever came, now it is known, or nobody will know it soon */
    answer_hello(resp_speak(session));
}

void resp_run_hello(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    bool is_resp3 = resp->out.is_resp3;
    if (resp_args_left(&args)) {
        struct bytes version = resp_argument(command, args.index++);
        is_resp3 = bytes_equal(version, BYTES_LITERAL("3"));
        if (!is_resp3 && !bytes_equal(version, BYTES_LITERAL("2"))) {
            resp_refuse_word(resp, "NOPROTO", "unsupported protocol version");
            return;
        }
    }
    while (resp_args_left(&args)) {
        if (!take_hello_option(&args)) return;
    }
    resp->out.is_resp3 = is_resp3;
    if (resp->server->store == NULL || resp->server->is_store_known) {
        answer_hello(resp);
        return;
    }
    /* A client keeps for good what it is told here: better late than wrong. */
    struct query query = { .kind = QUERY_INFO, .tell = tell_hello };
    server_ask(resp->server, resp->session, &query);
    (void)session_bar(resp->session);
}

static void answer_client_info(struct resp *resp)
{
    char text[256];
    int64_t age_s = (resp->server->now.ns - resp->session->opened_at.ns) / NS_PER_S;
    int size = snprintf(
        text,
        sizeof(text),
        "id=%" PRIu64 " name=%s age=%" PRId64 " db=0 resp=%d\n",
        resp->session->id,
        resp->client_name,
        age_s,
        resp->out.is_resp3 ? 3 : 2);
    resp_write_bulk(&resp->out, (struct bytes){ text, (size_t)size });
    resp_end_now(resp);
}

void resp_run_client(struct resp *resp, const struct resp_command *command)
{
    struct resp_args args = { resp, command, 1 };
    uint32_t given = command->argument_count - 2;
    if (resp_take_keyword(&args, "SETINFO") || resp_take_keyword(&args, "NO-EVICT") ||
        resp_take_keyword(&args, "NO-TOUCH"))
    {
        resp_accept(resp);
    } else if (resp_take_keyword(&args, "SETNAME") && given == 1) {
        if (set_name(resp, resp_argument(command, 2))) resp_accept(resp);
    } else if (resp_take_keyword(&args, "GETNAME")) {
        resp_write_text(&resp->out, resp->client_name);
        resp_end_now(resp);
    } else if (resp_take_keyword(&args, "ID")) {
        resp_write_unsigned(&resp->out, resp->session->id);
        resp_end_now(resp);
    } else if (resp_take_keyword(&args, "INFO") || resp_take_keyword(&args, "LIST")) {
        answer_client_info(resp);
    } else {
        resp_refuse_word(resp, "ERR", "unknown subcommand of CLIENT, or wrong arguments");
    }
}

void resp_run_select(struct resp *resp, const struct resp_command *command)
{
    if (bytes_equal(resp_argument(command, 1), BYTES_LITERAL("0"))) {
        resp_accept(resp);
    } else {
        resp_refuse_word(resp, "ERR", "there is only database 0");
    }
}

void resp_run_reset(struct resp *resp, const struct resp_command *command)
{
    (void)command;
    resp_follow_stop(resp);
    resp_channels_stop(resp);
    resp->out.is_resp3 = false;
    resp->client_name[0] = '\0';
    resp_write_simple(&resp->out, BYTES_LITERAL("RESET"));
    resp_end_now(resp);
}

void resp_run_quit(struct resp *resp, const struct resp_command *command)
{
    (void)command;
    resp_accept(resp);
    session_close(resp->session);
}
