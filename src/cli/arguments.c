#include "cli/arguments.h"

#include <string.h>
#include <sysexits.h>

void arguments_init(
    struct arguments *arguments, const struct command *command, int argc, char **argv)
{
    memset(arguments, 0, sizeof(*arguments));
    arguments->command = command;
    options_init(&arguments->options, command, argc, argv);
}

static void add_word(struct arguments *arguments, const char *word)
{
    if (arguments->word_count < ARGUMENT_WORDS_MAX) {
        arguments->words[arguments->word_count] = word;
    }
    arguments->word_count++;
}

/* getopt has stopped: at a word, behind "--", or at the end.  True: go on behind the word. */
static bool pass_word(struct arguments *arguments, int looked_at)
{
    const struct options *options = &arguments->options;
    bool was_marked = looked_at < options->argc && options->index > looked_at &&
                      strcmp(options->argv[looked_at], "--") == 0;
    if (was_marked) {
        arguments->rest = options->argv + options->index;
        for (char **word = arguments->rest; !arguments->has_command && *word != NULL; word++) {
            add_word(arguments, *word);
        }
        return false;
    }
    if (options->index >= options->argc) return false;
    add_word(arguments, options->argv[options->index]);
    optind = options->index + 1;
    return true;
}

int arguments_next(struct arguments *arguments)
{
    for (;;) {
        int looked_at = optind == 0 ? 1 : optind;
        int id = options_next(&arguments->options);
        if (id == OPTIONS_END) {
            if (pass_word(arguments, looked_at)) continue;
            return OPTIONS_END;
        }
        bool is_good = true;
        if (id == OPTION_JSON_LINES) {
            arguments->is_json = true;
        } else if (!options_store(&arguments->options, id, &arguments->store, &is_good)) {
            return id;
        }
        if (!is_good) return OPTIONS_BAD;
    }
}

bool arguments_end(
    const struct arguments *arguments,
    int id,
    unsigned least,
    unsigned most,
    const char *question,
    int *out_exit_code)
{
    const struct command *command = arguments->command;
    *out_exit_code = EX_USAGE;
    if (id > 0) return false;
    if (id != OPTIONS_END) {
        *out_exit_code = options_exit_code(id);
        return false;
    }
    if (arguments->word_count < least) {
        complain(command, "%s tenure %s %s", question, command->name, command->usages[0]);
        return false;
    }
    if (arguments->word_count > most) {
        complain(
            command,
            "%u words are too many: tenure %s %s",
            arguments->word_count,
            command->name,
            command->usages[0]);
        return false;
    }
    return true;
}
