#include <sysexits.h>

#include "cli/claims.h"
#include "cli/connect.h"
#include "cli/out.h"

#define TTL_MS_MIN 100u
#define TTL_MS_MAX 86400000u

enum { OPTION_TTL = OPTION_OWN };

static const struct option_spec specs[] = {
    OPTIONS_CLAIM,
    { OPTION_TTL, "ttl", "TIME", "how long from now (default: the ttl that it has)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--owner OWNER] [--token TOKEN] [--ttl TIME] [--json] [NAME]",
    NULL,
};

static const char *const examples[] = {
    "tenure renew",
    "the lease that `tenure acquire` has left in the environment",
    "tenure renew --owner job-17 --token 1795249870895992 --ttl 1h gpu/0",
    "this one, for an hour from now",
    NULL,
};

static const char notes[] =
    "Exit codes: 0 renewed, 77 another owner's, 79 lost: it is over, do not go on.\n";

static void tell(const struct tenure_claim *claim, int64_t remaining_ms, bool is_json)
{
    if (is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_string(&json, "name", claim->name);
        json_number(&json, "token", claim->token);
        json_span(&json, "remaining_ms", remaining_ms);
        json_close(&json, '}');
        json_end();
        return;
    }
    char span[OUT_SPAN_SIZE];
    if (remaining_ms < 0) {
        (void)printf("renewed %s, until released\n", claim->name);
    } else {
        (void)printf("renewed %s, %s left\n", claim->name, out_span(remaining_ms, span));
    }
}

static int renew(const struct arguments *arguments, const struct claims *claims, uint32_t ttl_ms)
{
    struct tenure_client client;
    int code = EX_OK;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    for (uint32_t i = 0; i < claims->count; i++) {
        struct tenure_error error = { .code = TENURE_OK };
        int64_t remaining_ms = 0;
        enum tenure_err err =
            tenure_claim_renew(client, &claims->list[i], ttl_ms, &remaining_ms, &error);
        if (err == TENURE_OK) {
            tell(&claims->list[i], remaining_ms, arguments->is_json);
        } else if (err == TENURE_LOST || err == TENURE_STALE_TOKEN || err == TENURE_NOT_OWNER) {
            complain(arguments->command, "%s is not held: %s", claims->list[i].name, error.text);
            code = tenure_err_exit_code(err);
        } else {
            code = connect_complain(arguments->command, err, &error);
        }
    }
    tenure_client_close(client);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct claims claims = { .owner = NULL };
    uint32_t ttl_ms = 0;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (claims_option(&claims, &arguments.options, id)) continue;
        if (!options_duration(&arguments.options, TTL_MS_MIN, TTL_MS_MAX, &ttl_ms)) {
            return EX_USAGE;
        }
    }
    int code;
    if (!arguments_end(&arguments, id, 0, 1, "", &code)) return code;
    if (!claims_settle(&claims, &arguments)) return EX_USAGE;
    return renew(&arguments, &claims, ttl_ms);
}

const struct command command_renew = {
    .name = "renew",
    .summary = "renew the lease of `tenure acquire`",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
