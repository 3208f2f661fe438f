#include <string.h>
#include <sysexits.h>

#include "cli/queue.h"

static const struct option_spec specs[] = {
    { 'h', "help", NULL, "this text; behind a command, more on that one" },
    { .id = 0 },
};

static const char *const usages[] = {
    "put [OPTION …] QUEUE [BODY]",
    "take [OPTION …] QUEUE …",
    "done [OPTION …] [QUEUE ID]",
    "fail [OPTION …] [QUEUE ID]",
    "extend [OPTION …] [QUEUE ID]",
    "wait [OPTION …] QUEUE ID",
    "ls [OPTION …] [QUEUE]",
    "peek [OPTION …] QUEUE [ID]",
    "stat [OPTION …] QUEUE",
    "kick [OPTION …] QUEUE ID …",
    "cancel [OPTION …] QUEUE ID …",
    "redrive [OPTION …] QUEUE",
    "purge [OPTION …] QUEUE",
    "pause [OPTION …] QUEUE",
    "resume [OPTION …] QUEUE",
    "limit [OPTION …] QUEUE",
    "schedule [OPTION …] [QUEUE NAME LINE [BODY]]",
    NULL,
};

static const char *const examples[] = {
    "tenure queue put videos 'holiday.mp4'",
    "an item for whoever does `tenure work videos -- ./encode.sh`",
    "tenure queue ls",
    "the queues, what waits in them and for how long",
    "tenure queue ls --state dead videos",
    "what has failed too often, and why",
    "tenure queue redrive videos",
    "all of that once more",
    "tenure queue put --help",
    "more on one of them",
    NULL,
};

static const struct command *const commands[] = {
#define X(name) &queue_##name,
    QUEUE_MAP(X)
#undef X
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

const struct command *queue_command_at(size_t index)
{
    return index < COMMAND_COUNT ? commands[index] : NULL;
}

/* Behind "queue ". */
static const char *own_name(const struct command *command)
{
    return command->name + strlen("queue ");
}

const struct command *queue_command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(own_name(commands[i]), name) == 0) return commands[i];
    }
    return NULL;
}

static const struct command *find_nearest(const char *name)
{
    const struct command *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        unsigned distance = word_distance(name, own_name(commands[i]));
        if (distance < best_distance && distance < strlen(name)) {
            best = commands[i];
            best_distance = distance;
        }
    }
    return best;
}

static int run(const struct command *command, int argc, char **argv)
{
    const char *word = argc < 2 ? NULL : argv[1];
    if (word == NULL) {
        command_help(command, stderr);
        return EX_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        command_help(command, stdout);
        return EX_OK;
    }
    const struct command *found = queue_command_find(word);
    if (found != NULL) return found->run(found, argc - 1, argv + 1);
    const struct command *nearest = find_nearest(word);
    if (nearest != NULL) {
        complain(
            command, "there is no command '%.60s'; did you mean `tenure %s`?", word, nearest->name);
    } else {
        complain(command, "there is no command '%.60s'; `tenure help queue` lists them", word);
    }
    return EX_USAGE;
}

const struct command command_queue = {
    .name = "queue",
    .summary = "put, take, look at and administer items of queues",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .run = run,
};
