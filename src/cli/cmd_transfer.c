#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/meta.h"
#include "cli/out.h"

enum { OPTION_TO = OPTION_OWN, OPTION_OWNER, OPTION_TOKEN };

static const struct option_spec specs[] = {
    { OPTION_TO, "to", "OWNER", "who leads next; `tenure show` lists who waits" },
    { OPTION_OWNER, "owner", "OWNER", "who leads now (default: whoever does)" },
    { OPTION_TOKEN, "token", "TOKEN", "the present leader's (default: the current one)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "--to OWNER [--owner OWNER] [--token TOKEN] [--json] NAME",
    NULL,
};

static const char *const examples[] = {
    "tenure transfer scheduler --to 'node-b'",
    "node-b, which waits, leads at once; the present leader loses",
    NULL,
};

static const char notes[] =
    "Exit codes: 66 nobody leads, or the candidate does not wait; 79 the leader has\n"
    "changed.\n";

struct transfer {
    const char *to;
    char owner[OWNER_SIZE]; /* empty: not known yet */
    uint64_t token;         /* 0: not known yet */
};

static void on_view(const struct tenure_lock_view *view, void *user)
{
    struct transfer *transfer = user;
    for (uint32_t i = 0; i < view->holder_count; i++) {
        const struct tenure_holder *holder = &view->holders[i];
        bool is_owner = transfer->owner[0] == '\0' || strcmp(transfer->owner, holder->owner) == 0;
        bool is_token = transfer->token == 0 || transfer->token == holder->token;
        if (!is_owner || !is_token) continue;
        (void)snprintf(transfer->owner, sizeof(transfer->owner), "%s", holder->owner);
        transfer->token = holder->token;
        return;
    }
}

static void tell(const char *name, const struct transfer *transfer, uint64_t token, bool is_json)
{
    if (is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_string(&json, "name", name);
        json_string(&json, "owner", transfer->to);
        json_number(&json, "token", token);
        json_close(&json, '}');
        json_end();
        return;
    }
    (void)printf("%s leads %s, token %" PRIu64 "\n", transfer->to, name, token);
}

static int
hand_over(const struct arguments *arguments, struct transfer *transfer, struct tenure_client client)
{
    const struct command *command = arguments->command;
    const char *name = arguments->words[0];
    struct tenure_error error = { .code = TENURE_OK };
    enum tenure_err err = TENURE_OK;
    bool is_by_stranger = transfer->owner[0] == '\0' || transfer->token == 0;
    if (is_by_stranger) {
        err = tenure_inspect(client, name, on_view, transfer, &error);
        bool is_unknown = transfer->owner[0] == '\0' || transfer->token == 0;
        if (err == TENURE_NOT_FOUND || (err == TENURE_OK && is_unknown)) {
            complain(command, "%.255s: there is no such leader", name);
            return tenure_err_exit_code(TENURE_NOT_FOUND);
        }
        if (err != TENURE_OK) return connect_complain(command, err, &error);
    }
    struct tenure_claim claim = { name, transfer->owner, transfer->token };
    uint64_t token = 0;
    err = tenure_claim_transfer(client, &claim, transfer->to, &token, &error);
    if (err == TENURE_NOT_FOUND) {
        complain(command, "%.255s does not wait for %.255s", transfer->to, name);
        return tenure_err_exit_code(err);
    }
    if (err != TENURE_OK) return connect_complain(command, err, &error);
    tell(name, transfer, token, arguments->is_json);
    if (is_by_stranger) {
        complain(
            command,
            "the old leader was not asked: until it hears of it, two may act; tokens tell them "
            "apart");
    }
    return EX_OK;
}

static bool read_option(struct transfer *transfer, struct options *options, int id)
{
    switch (id) {
    case OPTION_TO: transfer->to = options->value; return true;
    case OPTION_TOKEN: return options_number(options, 1, UINT64_C(1) << 53, &transfer->token);
    case OPTION_OWNER:
        (void)snprintf(transfer->owner, sizeof(transfer->owner), "%s", options->value);
        return true;
    default: abort(); /* the table has an option that nobody reads */
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct transfer transfer = { .to = NULL };
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!read_option(&transfer, &arguments.options, id)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "which election?", &code)) return code;
    if (transfer.to == NULL) {
        complain(command, "to whom? give --to OWNER; `tenure show NAME` lists who waits");
        return EX_USAGE;
    }
    struct tenure_client client;
    if (!connect_open(command, &arguments.store, &client, &code)) return code;
    code = hand_over(&arguments, &transfer, client);
    tenure_client_close(client);
    return code;
}

const struct command command_transfer = {
    .name = "transfer",
    .summary = "hand a leadership to a candidate",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
