#include "cli/claims.h"

#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

bool claims_option(struct claims *claims, const struct options *options, int id)
{
    if (id == OPTION_CLAIM_OWNER) {
        claims->owner = options->value;
    } else if (id == OPTION_CLAIM_TOKEN) {
        claims->token_list = options->value;
    } else {
        return false;
    }
    return true;
}

static const char *or_environment(const char *given, const char *variable)
{
    const char *value = given != NULL ? given : getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool claims_settle(struct claims *claims, const struct arguments *arguments)
{
    const struct command *command = arguments->command;
    const char *names = or_environment(arguments->words[0], "TENURE_NAME");
    const char *tokens = or_environment(claims->token_list, "TENURE_TOKEN");
    claims->owner = or_environment(claims->owner, "TENURE_OWNER");
    if (names == NULL || tokens == NULL || claims->owner == NULL) {
        complain(
            command,
            "which lease? give NAME, --owner and --token, or have TENURE_NAME, TENURE_OWNER and "
            "TENURE_TOKEN in the environment, as `tenure acquire` leaves them");
        return false;
    }
    struct text name_text;
    struct text token_text;
    text_init(&name_text, claims->name_text, sizeof(claims->name_text));
    text_init(&token_text, claims->token_text, sizeof(claims->token_text));
    text_add(&name_text, names);
    text_add(&token_text, tokens);
    if (name_text.is_cut || token_text.is_cut) {
        complain(command, "the list of names or tokens is too long");
        return false;
    }
    char *name_rest = claims->name_text;
    char *token_rest = claims->token_text;
    while (name_rest != NULL && token_rest != NULL && claims->count < RUN_NAME_COUNT_MAX) {
        struct tenure_claim *claim = &claims->list[claims->count++];
        claim->name = strsep(&name_rest, ",");
        claim->owner = claims->owner;
        const char *token = strsep(&token_rest, ",");
        if (number_parse(token, &claim->token)) continue;
        complain(command, "'%.40s' is no token: it is a whole number", token);
        return false;
    }
    if (name_rest == NULL && token_rest == NULL) return true;
    complain(command, "each name needs one token: '%.100s', '%.100s'", names, tokens);
    return false;
}
