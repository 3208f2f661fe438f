/* state - what the commands of shared state have in common. */
#ifndef TENURE_CLI_STATE_H
#define TENURE_CLI_STATE_H

#include <tenure/tenure.h>

#include "cli/arguments.h"

#define STATE_EXIT_ABSENT 66 /* as of TENURE_NOT_FOUND */

/* The value of --guard and --bind: LOCK=TOKEN, or nothing, and then TENURE_NAME and TENURE_TOKEN of
 * the environment, as `tenure run` sets them. */
struct state_guard {
    char lock[256];
    uint64_t token;
};
/* Of the option that came last.  False: complained. */
bool state_guard(struct options *options, struct state_guard *out_guard);

struct state_guards {
    struct state_guard kept[TENURE_GUARD_COUNT_MAX];
    struct tenure_guard guards[TENURE_GUARD_COUNT_MAX];
    uint32_t count;
};
bool state_add_guard(struct options *options, struct state_guards *guards);

/* A whole number with a sign; a finite one.  False: complained. */
bool state_integer(const struct command *command, const char *word, int64_t *out_number);
bool state_score(const struct command *command, const char *word, double *out_score);

/* A register, as one line of JSON. */
void state_print_json(const struct tenure_register *value);
/* Bytes for people and scripts: as they are; on a terminal a line break follows. */
void state_print_value(const void *value, size_t size);
/* A score in the fewest digits that mean it. */
#define STATE_SCORE_SIZE 40u
const char *state_score_text(double score, char text[STATE_SCORE_SIZE]);

#endif
