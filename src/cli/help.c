#include <stdarg.h>
#include <string.h>

#include "cli/command.h"

#define WORD_SIZE_MAX     31u
#define OPTION_COLUMN_MAX 26u

static unsigned least(unsigned left, unsigned right)
{
    return left < right ? left : right;
}

/* Damerau and Levenshtein's distance, by rows; three of them are enough. */
unsigned word_distance(const char *left, const char *right)
{
    size_t left_size = strlen(left);
    size_t right_size = strlen(right);
    if (left_size > WORD_SIZE_MAX || right_size > WORD_SIZE_MAX) return WORD_SIZE_MAX + 1;
    unsigned rows[3][WORD_SIZE_MAX + 1];
    for (unsigned j = 0; j <= right_size; j++) {
        rows[0][j] = j;
    }
    for (unsigned i = 1; i <= left_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= right_size; j++) {
            unsigned change = above[j - 1] + (left[i - 1] != right[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            bool is_swapped =
                i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if (is_swapped) row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[left_size % 3][right_size];
}

static void print_option(const struct option_spec *option, FILE *to)
{
    char left[80];
    char letter[8] = "    ";
    const char *argument = option->argument == NULL ? "" : option->argument;
    const char *between = argument[0] == '\0' ? "" : " ";
    char optional[40];
    if (argument[0] == '[') {
        (void)snprintf(optional, sizeof(optional), "[=%s", argument + 1);
        argument = optional;
        between = "";
    }
    if (option->id < 256) (void)snprintf(letter, sizeof(letter), "-%c, ", option->id);
    (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name, between, argument);
    const char *help = option->help;
    bool is_long = strlen(left) > OPTION_COLUMN_MAX;
    (void)fprintf(to, is_long ? "  %s\n" : "  %-26s", left);
    bool is_indented = is_long;
    while (help != NULL) {
        const char *end = strchr(help, '\n');
        int size = end == NULL ? (int)strlen(help) : (int)(end - help);
        (void)fprintf(to, "%*s%.*s\n", is_indented ? 30 : 2, "", size, help);
        is_indented = true;
        help = end == NULL ? NULL : end + 1;
    }
}

void command_help(const struct command *command, FILE *to)
{
    (void)fputs("examples:\n", to);
    for (size_t i = 0; command->examples[i] != NULL; i += 2) {
        (void)fprintf(to, "  %s\n", command->examples[i]);
        (void)fprintf(to, "      %s\n", command->examples[i + 1]);
    }
    (void)fputs("\nusage:\n", to);
    for (size_t i = 0; command->usages[i] != NULL; i++) {
        (void)fprintf(to, "  tenure %s %s\n", command->name, command->usages[i]);
    }
    (void)fputs("\noptions:\n", to);
    for (const struct option_spec *option = command->options; option->id != 0; option++) {
        if (option->help != NULL) print_option(option, to);
    }
    if (command->notes != NULL) (void)fprintf(to, "\n%s", command->notes);
}

void complain(const struct command *command, const char *format, ...)
{
    /* In one piece, so that lines of several processes do not mix. */
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    bool has_name = command != NULL;
    (void)fprintf(
        stderr, "tenure%s%s: %s\n", has_name ? " " : "", has_name ? command->name : "", text);
}
