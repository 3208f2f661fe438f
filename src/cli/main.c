/* tenure - the command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/command.h"
#include "cli/queue.h"

static void print_overview(FILE *to)
{
    (void)fputs(
        "examples:\n"
        "  tenure run deploy/prod -- ./deploy.sh\n"
        "      run it under a lock: never twice at once, on any number of machines\n"
        "  tenure run -w 30 nightly -c 'backup | upload'\n"
        "      wait for at most 30 seconds; a shell only because -c asks for one\n"
        "  tenure ls\n"
        "      who holds what\n"
        "  tenure queue put videos 'a.mp4'; tenure work videos -- ./encode.sh\n"
        "      items of a queue, each done by one worker, and by another if that dies\n"
        "\n"
        "usage:\n"
        "  tenure COMMAND [OPTIONS] …\n"
        "  tenure help [COMMAND]\n"
        "  tenure --version\n"
        "\n"
        "commands:\n",
        to);
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        (void)fprintf(to, "  %-12s%s\n", command->name, command->summary);
    }
    (void)fputs(
        "\n$TENURE_URL or --url names the store; without it, tenure://127.0.0.1:7420.\n", to);
}

/* `name` may be NULL. */
static int complain_unknown(const char *name)
{
    if (name == NULL) {
        complain(NULL, "which command? `tenure help` lists them");
        return EX_USAGE;
    }
    const struct command *nearest = command_nearest(name);
    if (nearest != NULL) {
        complain(
            NULL, "there is no command '%.60s'; did you mean `tenure %s`?", name, nearest->name);
    } else {
        complain(NULL, "there is no command '%.60s'; `tenure help` lists them", name);
    }
    return EX_USAGE;
}

/* `more` is a command of a command's own; NULL: none is meant. */
static int help(const char *name, const char *more)
{
    if (name == NULL) {
        print_overview(stdout);
        return EX_OK;
    }
    const struct command *command = command_find(name);
    if (command == NULL) return complain_unknown(name);
    if (more != NULL && command == &command_queue) {
        const struct command *found = queue_command_find(more);
        if (found == NULL) complain(command, "there is no command '%.60s'", more);
        if (found == NULL) return EX_USAGE;
        command = found;
    }
    command_help(command, stdout);
    return EX_OK;
}

static int dispatch(int argc, char **argv)
{
    const char *word = argc < 2 ? NULL : argv[1];
    if (word == NULL) {
        print_overview(stderr);
        return EX_USAGE;
    }
    if (strcmp(word, "help") == 0) return help(argv[2], argv[2] == NULL ? NULL : argv[3]);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return help(NULL, NULL);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        (void)printf("tenure %s\n", TENURE_VERSION);
        return EX_OK;
    }
    if (word[0] == '-') {
        complain(NULL, "'%.60s' is no command: options come behind the command", word);
        return EX_USAGE;
    }
    const struct command *command = command_find(word);
    if (command == NULL) return complain_unknown(word);
    return command->run(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int code = dispatch(argc, argv);
    /* Output that did not arrive is no success. */
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        complain(NULL, "cannot write to standard output: %s", strerrordesc_np(errno));
        if (code == EX_OK) code = EX_IOERR;
    }
    return code;
}
