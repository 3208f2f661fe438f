/* holding - a lock that no command runs under: `acquire`, `hold` and `elect`.
 *
 * It is obtained as `tenure run` does it (run_state.h): with a word about who is in the way, with
 * signals, and with the same exit codes. */
#ifndef TENURE_CLI_HOLDING_H
#define TENURE_CLI_HOLDING_H

#include "cli/arguments.h"
#include "cli/out.h"
#include "cli/run_state.h"

enum {
    OPTION_HOLDING_TRY = 260,
    OPTION_HOLDING_TTL,
    OPTION_HOLDING_PRIORITY,
    OPTION_HOLDING_LABEL,
    OPTION_HOLDING_OWNER,
    OPTION_HOLDING_MIN_SAFETY,
};

/* How to wait and for how long to hold. */
#define OPTIONS_WAIT                                                                               \
    { 'n', "nonblock", NULL, "do not wait; also --nb, --try and -w 0" },                           \
        { OPTION_HOLDING_TRY, "try", NULL, NULL }, { OPTION_HOLDING_TRY, "nb", NULL, NULL },       \
        { 'w', "wait", "TIME", "wait for so long at most (default: for ever)" },                   \
        { OPTION_HOLDING_PRIORITY, "priority", "N", "0 to 9; 9 comes first (default 0)" },         \
        { OPTION_HOLDING_TTL, "ttl", "TIME", "how long the lease lasts without renewal (15 s)" },  \
        OPTION_SPEC_MIN_SAFETY(OPTION_HOLDING_MIN_SAFETY),                                         \
    {                                                                                              \
        OPTION_HOLDING_OWNER, "owner", "OWNER", "the identity of the hold (default: a fresh one)"  \
    }
/* What only locks have. */
#define OPTIONS_LOCK                                                                               \
    { 's', "shared", NULL, "together with others that say -s" },                                   \
        { 'L', "limit", "N", "up to N at a time, each in a numbered slot" },                       \
    {                                                                                              \
        OPTION_HOLDING_LABEL, "label", "KEY=VALUE", "shown to those who ask who holds it"          \
    }

struct holding {
    struct run_options options;
    const char *owner; /* NULL: a fresh one */
    struct run *run;   /* while it is open */
};

void holding_init(struct holding *holding, const struct command *command);
/* Is `id` one of OPTIONS_WAIT or OPTIONS_LOCK?  Then it is read; `*out_is_good` is false when its
 * value is bad (complained), and untouched otherwise. */
bool holding_option(struct holding *holding, struct options *options, int id, bool *out_is_good);
/* Settle the options and obtain the lock.  False: complained; `*out_exit_code` says how to end.
 * holding_close() in both cases. */
bool holding_open(struct holding *holding, const struct arguments *arguments, int *out_exit_code);
/* Wait for a signal or the loss, and give the lock back; the exit code. */
int holding_wait(struct holding *holding);
/* The end of everything.  Dies of the signal, if one of the terminal's ended the wait. */
void holding_close(struct holding *holding);

/* As the store has it: 0 is no ttl. */
uint32_t holding_ttl_ms(const struct holding *holding);
/* The members "names", "owner", "tokens", "slots", "ttl_ms" and "url". */
void holding_print_members(const struct holding *holding, struct json *json);
/* Behind holding_wait(): how it ended, as one line of JSON. */
void holding_print_end(const struct holding *holding);

#endif
