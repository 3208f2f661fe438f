#include <string.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/queue.h"

static const struct option_spec specs[] = {
    { 'h', "help", NULL, "this text" },
    { .id = 0 },
};

static const char *const usages[] = {
    "bash",
    NULL,
};

static const char *const examples[] = {
    "eval \"$(tenure completion bash)\"",
    "commands, options and names, in this shell",
    "tenure completion bash > /etc/bash_completion.d/tenure",
    "in all shells to come",
    NULL,
};

/* Behind the options come names, which the store is asked for; it has a second. */
static const char head[] = "_tenure()\n"
                           "{\n"
                           "    local word=${COMP_WORDS[COMP_CWORD]} name=${COMP_WORDS[1]}\n"
                           "    local commands parts options=\n"
                           "    COMPREPLY=()\n";

static const char middle[] =
    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$commands help\" -- \"$word\")\n"
    "        return\n"
    "    elif [ \"$name\" = help ]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$word\")\n"
    "        return\n"
    "    elif [ \"$name\" = queue ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$parts\" -- \"$word\")\n"
    "        return\n"
    "    fi\n"
    "    [ \"$name\" != queue ] || name=\"queue ${COMP_WORDS[2]}\"\n"
    "    if [ \"$name\" = rank ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W 'add incr del get ls' -- \"$word\")\n"
    "        return\n"
    "    fi\n"
    "    case $name in\n";

static const char tail[] =
    "    esac\n"
    "    if [ \"${word#-}\" != \"$word\" ]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
    "    elif [ \"$name\" = completion ]; then\n"
    "        COMPREPLY=(bash)\n"
    "    else\n"
    "        case $name in\n"
    "            queue* | work) set -- queue ls --timeout 1 ;;\n"
    "            get | set | cas | incr | del) set -- get --timeout 1 --prefix \"$word\" ;;\n"
    "            rank) set -- rank ls --timeout 1 ;;\n"
    "            publish | subscribe) return ;; # nobody keeps a list of channels\n"
    "            *) set -- ls --timeout 1 -- \"$word\" ;;\n"
    "        esac\n"
    "        # Names are a stranger's words: quoted, they are no shell's business.\n"
    "        while IFS= read -r name; do\n"
    "            [[ $name != \"$word\"* ]] || COMPREPLY+=(\"$(printf %q \"$name\")\")\n"
    "        done < <(tenure \"$@\" 2>/dev/null | sed -e 1d -e 's/  .*//')\n"
    "    fi\n"
    "}\n"
    "complete -o default -F _tenure tenure\n";

typedef const struct command *(*command_at_fn)(size_t index);

/* What is behind the last blank of its name: of "queue put", "put". */
static const char *last_word(const struct command *command)
{
    const char *blank = strrchr(command->name, ' ');
    return blank == NULL ? command->name : blank + 1;
}

static void print_names(const char *variable, command_at_fn at)
{
    const struct command *command;
    (void)printf("    %s='", variable);
    for (size_t i = 0; (command = at(i)) != NULL; i++) {
        (void)printf("%s%s", i > 0 ? " " : "", last_word(command));
    }
    (void)fputs("'\n", stdout);
}

static void print_options(command_at_fn at)
{
    const struct command *command;
    for (size_t i = 0; (command = at(i)) != NULL; i++) {
        (void)printf("        '%s') options='", command->name);
        for (const struct option_spec *option = command->options; option->id != 0; option++) {
            (void)printf("%s--%s", option == command->options ? "" : " ", option->name);
        }
        (void)fputs("' ;;\n", stdout);
    }
}

static void print_bash(void)
{
    (void)fputs(head, stdout);
    print_names("commands", command_at);
    print_names("parts", queue_command_at);
    (void)fputs(middle, stdout);
    print_options(command_at);
    print_options(queue_command_at);
    (void)fputs(tail, stdout);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    arguments_init(&arguments, command, argc, argv);
    int id = arguments_next(&arguments);
    int code;
    if (!arguments_end(&arguments, id, 1, 1, "for which shell?", &code)) return code;
    if (strcmp(arguments.words[0], "bash") != 0) {
        complain(command, "'%.40s' is not supported: bash is", arguments.words[0]);
        return EX_USAGE;
    }
    print_bash();
    return EX_OK;
}

const struct command command_completion = {
    .name = "completion",
    .summary = "print what makes a shell complete words",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .run = run,
};
