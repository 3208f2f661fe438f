#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/connect.h"
#include "cli/event.h"
#include "cli/meta.h"
#include "cli/out.h"

#define SEQ_MAX (UINT64_C(1) << 53)

enum { OPTION_SINCE = OPTION_OWN };

static const struct option_spec specs[] = {
    { OPTION_SINCE, "since", "SEQ", "begin behind this event (default: from now)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[--since SEQ] [--json] [PREFIX]",
    NULL,
};

static const char *const examples[] = {
    "tenure watch deploy/",
    "a line for each grant, release, expiry and break below deploy/",
    "tenure watch --json --since 1",
    "for programs: all that is remembered, then what comes, without a gap",
    NULL,
};

static const char notes[] = "It goes on over lost connections, until INT or TERM.\n"
                            "Exit code 66: events that were asked for are no longer remembered.\n";

struct watching {
    bool is_json;
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
    const struct watching *watching = user;
    if (watching->is_json) {
        event_print_json(event);
    } else {
        print_line(event);
    }
    /* Nobody reads any more. */
    return ferror(stdout) == 0;
}

static void on_end(enum tenure_err err, void *user)
{
    struct watching *watching = user;
    watching->err = err;
    (void)sem_post(&watching->ended);
}

static int watch(const struct arguments *arguments, uint64_t since)
{
    struct tenure_client client;
    int code;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    struct watching watching = { .is_json = arguments->is_json };
    struct tenure_error error = { .code = TENURE_OK };
    struct tenure_watch handle;
    (void)sem_init(&watching.ended, 0, 0);
    struct tenure_watch_options options = {
        .size = sizeof(options),
        .prefix = arguments->words[0],
        .since = since,
        .on_event = on_event,
        .on_end = on_end,
        .user = &watching,
    };
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
            "some events are no longer remembered; look with `tenure ls`, then watch from now");
        return tenure_err_exit_code(err);
    }
    bool is_over = err == TENURE_OK || err == TENURE_CANCELED;
    return is_over ? EX_OK : connect_complain(arguments->command, err, &error);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    uint64_t since = 0;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!options_number(&arguments.options, 1, SEQ_MAX, &since)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 0, 1, "", &code)) return code;
    return watch(&arguments, since);
}

const struct command command_watch = {
    .name = "watch",
    .summary = "follow what happens to locks",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
