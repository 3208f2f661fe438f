/* claims - which leases a command means: from its words, else from the environment that
 * `tenure acquire` and `tenure run` leave. */
#ifndef TENURE_CLI_CLAIMS_H
#define TENURE_CLI_CLAIMS_H

#include <tenure/tenure.h>

#include "cli/arguments.h"
#include "cli/run.h"

enum { OPTION_CLAIM_OWNER = 270, OPTION_CLAIM_TOKEN };

#define OPTIONS_CLAIM                                                                              \
    { OPTION_CLAIM_OWNER, "owner", "OWNER", "whose lease; else $TENURE_OWNER" },                   \
    {                                                                                              \
        OPTION_CLAIM_TOKEN, "token", "TOKEN", "its token; else $TENURE_TOKEN"                      \
    }

struct claims {
    const char *owner;
    const char *token_list; /* with commas, one for each name */
    uint32_t count;
    struct tenure_claim list[RUN_NAME_COUNT_MAX];
    char name_text[RUN_NAMES_SIZE];
    char token_text[RUN_NAME_COUNT_MAX * 21u];
};

/* Is `id` one of OPTIONS_CLAIM?  Then it is read. */
bool claims_option(struct claims *claims, const struct options *options, int id);
/* Put the list together.  False: complained, wrong usage. */
bool claims_settle(struct claims *claims, const struct arguments *arguments);

#endif
