#include "cli/command.h"

#include <string.h>

static const struct command *const commands[] = {
#define X(name) &command_##name,
    COMMAND_MAP(X)
#undef X
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

const struct command *command_at(size_t index)
{
    return index < COMMAND_COUNT ? commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    return NULL;
}

const struct command *command_nearest(const char *name)
{
    const struct command *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        unsigned distance = word_distance(name, commands[i]->name);
        /* Two changes make any word of three letters out of any other. */
        if (distance < best_distance && distance < strlen(name)) {
            best = commands[i];
            best_distance = distance;
        }
    }
    return best;
}
