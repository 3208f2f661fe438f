#include <string.h>
#include <sysexits.h>

#include "cli/claims.h"
#include "cli/connect.h"
#include "cli/out.h"

static const struct option_spec specs[] = {
    OPTIONS_CLAIM,
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--owner OWNER] [--token TOKEN] [--json] [NAME]",
    NULL,
};

static const char *const release_examples[] = {
    "tenure release",
    "the lease that `tenure acquire` has left in the environment",
    "tenure release --owner job-17 --token 1795249870895992 gpu/0",
    "this one",
    NULL,
};

static const char *const resign_examples[] = {
    "tenure resign --owner node-a --token 1795249870895992 scheduler",
    "node-a leads no more; the next candidate is elected",
    NULL,
};

static const char notes[] =
    "The outcome is printed: released, expired_unclaimed, expired_taken, broken,\n"
    "not_owner.\n"
    "Exit codes: 0 released, 77 another owner's, 79 it had ended before.\n";

static int exit_code_of(enum tenure_end end)
{
    switch (end) {
    case TENURE_END_RELEASED: return EX_OK;
    case TENURE_END_EXPIRED_UNCLAIMED:
    case TENURE_END_EXPIRED_TAKEN:
    case TENURE_END_BROKEN: return EXIT_LOST;
    case TENURE_END_NOT_OWNER: return EX_NOPERM;
    case TENURE_END_UNKNOWN: return EX_UNAVAILABLE;
    }
    return EX_SOFTWARE;
}

static void
tell(const struct tenure_claim *claim, const struct tenure_release *release, bool is_json)
{
    enum tenure_end end = release->end;
    uint64_t successor = release->successor;
    if (is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_string(&json, "outcome", tenure_end_name(end));
        json_string(&json, "name", claim->name);
        json_span(&json, "successor_token", successor == 0 ? -1 : (int64_t)successor);
        json_close(&json, '}');
        json_end();
        return;
    }
    (void)printf("%s %s\n", tenure_end_name(end), claim->name);
}

static int release(const struct arguments *arguments, const struct claims *claims)
{
    struct tenure_client client;
    int code = EX_OK;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    for (uint32_t i = 0; i < claims->count; i++) {
        struct tenure_error error = { .code = TENURE_OK };
        struct tenure_release release = { .end = TENURE_END_UNKNOWN };
        enum tenure_err err = tenure_claim_release(client, &claims->list[i], &release, &error);
        if (err != TENURE_OK) {
            code = connect_complain(arguments->command, err, &error);
            continue;
        }
        tell(&claims->list[i], &release, arguments->is_json);
        if (release.end != TENURE_END_RELEASED) code = exit_code_of(release.end);
    }
    tenure_client_close(client);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct claims claims = { .owner = NULL };
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        (void)claims_option(&claims, &arguments.options, id);
    }
    int code;
    if (!arguments_end(&arguments, id, 0, 1, "", &code)) return code;
    if (!claims_settle(&claims, &arguments)) return EX_USAGE;
    return release(&arguments, &claims);
}

const struct command command_release = {
    .name = "release",
    .summary = "give back the lease of `tenure acquire`",
    .usages = usages,
    .examples = release_examples,
    .options = specs,
    .notes = notes,
    .run = run,
};

/* To lead is to hold: the same under the word that elections have for it. */
const struct command command_resign = {
    .name = "resign",
    .summary = "give up a leadership",
    .usages = usages,
    .examples = resign_examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
