#include <inttypes.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/event.h"
#include "cli/meta.h"
#include "cli/out.h"

#define SEQ_MAX (UINT64_C(1) << 53)

enum { OPTION_SINCE = OPTION_OWN, OPTION_EXACT, OPTION_TYPES, OPTION_PREVIOUS };

static const struct option_spec specs[] = {
    { OPTION_SINCE, "since", "SEQ", "begin behind this event (default: from now)" },
    { OPTION_EXACT, "exact", NULL, "of the one name, and not of those that begin so" },
    { OPTION_TYPES, "types", "A,B", "only events of these kinds" },
    { OPTION_PREVIOUS, "previous", NULL, "of registers the value before, too (with --json)" },
    { 'n', "count", "N", "end behind so many events" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[OPTION …] [PREFIX]",
    "--exact [OPTION …] NAME",
    NULL,
};

static const char *const examples[] = {
    "tenure watch deploy/",
    "a line for each grant, release, expiry and break below deploy/",
    "tenure watch --json --since 0",
    "for programs: all from the first event on, then what comes, without a gap",
    "tenure watch --types set,unset --previous --json config/",
    "what registers become, and what they were",
    "tenure watch --exact --types ranked,unranked scores",
    "a scoreboard as it changes",
    NULL,
};

static const char notes[] = "It goes on over lost connections, until INT or TERM.\n"
                            "Exit code 66: events that were asked for are no longer remembered.\n";

struct watching {
    bool is_json;
    uint64_t left; /* 0: any number */
    sem_t ended;
    enum tenure_err err;
};

static void print_line(const struct tenure_event *event)
{
    char time[OUT_TIME_SIZE];
    char owner[OUT_OWNER_SIZE];
    char words[META_SIZE];
    char buffer[3 * META_SIZE];
    struct text line;
    event_describe(event, words, sizeof(words));
    text_init(&line, buffer, sizeof(buffer));
    text_addf(&line, "%s  %-10s ", out_time(event->at_us, time), event->kind);
    text_add_visible(&line, event->name);
    if (event->id[0] != '\0') {
        text_add(&line, "  ");
        text_add_visible(&line, event->id);
    }
    if (event->owner != NULL && event->owner[0] != '\0') {
        text_add(&line, "  ");
        text_add_visible(&line, out_owner(event->owner, owner));
    }
    if (event->token != 0) text_addf(&line, "  %" PRIu64, event->token);
    if (words[0] != '\0') text_addf(&line, "  %s", words);
    (void)puts(buffer);
    (void)fflush(stdout);
}

static bool on_event(const struct tenure_event *event, void *user)
{
    struct watching *watching = user;
    if (watching->is_json) {
        event_print_json(event);
    } else {
        print_line(event);
    }
    bool is_last = watching->left == 1;
    if (watching->left > 0) watching->left--;
    /* An error: nobody reads any more. */
    return ferror(stdout) == 0 && !is_last;
}

static void on_end(enum tenure_err err, void *user)
{
    struct watching *watching = user;
    watching->err = err;
    (void)sem_post(&watching->ended);
}

static int
watch(const struct arguments *arguments, const struct tenure_watch_options *wanted, uint64_t count)
{
    struct tenure_watch_options options = *wanted;
    struct tenure_client client;
    int code;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    struct watching watching = { .is_json = arguments->is_json, .left = count };
    struct tenure_error error = { .code = TENURE_OK };
    struct tenure_watch handle;
    (void)sem_init(&watching.ended, 0, 0);
    options.prefix = arguments->words[0];
    options.on_event = on_event;
    options.on_end = on_end;
    options.user = &watching;
    enum tenure_err err = tenure_watch_open(client, &options, &handle, &error);
    if (err == TENURE_OK) {
        while (sem_wait(&watching.ended) != 0) {
            /* again */
        }
        err = watching.err;
    }
    tenure_client_close(client);
    (void)sem_destroy(&watching.ended);
    if (err == TENURE_COMPACTED) {
        complain(
            arguments->command,
            "some events are no longer remembered; look at what there is (`tenure ls`, `tenure get "
            "--prefix`), then watch from now");
        return tenure_err_exit_code(err);
    }
    bool is_over = err == TENURE_OK || err == TENURE_CANCELED;
    return is_over ? EX_OK : connect_complain(arguments->command, err, &error);
}

static bool
read_option(struct options *words, int id, struct tenure_watch_options *options, uint64_t *count)
{
    switch (id) {
    case 'n': return options_number(words, 1, SEQ_MAX, count);
    case OPTION_SINCE:
        options->is_from_start = true; /* where it is 0 */
        return options_number(words, 0, SEQ_MAX, &options->since);
    case OPTION_EXACT: options->is_exact = true; return true;
    case OPTION_TYPES: options->kinds = words->value; return true;
    case OPTION_PREVIOUS: options->has_previous = true; return true;
    default: abort(); /* the table has an option that nobody reads */
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct tenure_watch_options options = { .size = sizeof(options) };
    uint64_t count = 0;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!read_option(&arguments.options, id, &options, &count)) return EX_USAGE;
    }
    int code;
    unsigned least = options.is_exact ? 1 : 0;
    if (!arguments_end(&arguments, id, least, 1, "of which name?", &code)) return code;
    return watch(&arguments, &options, count);
}

const struct command command_watch = {
    .name = "watch",
    .summary = "follow what happens, to locks, queues and shared state",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
