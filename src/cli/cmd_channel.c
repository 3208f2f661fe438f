#include <inttypes.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/connect.h"
#include "cli/out.h"
#include "cli/queue.h"
#include "cli/state.h"

enum { OPTION_PATTERN = OPTION_OWN };

/* ------------------------------------------------------------------ publish */

static const struct option_spec publish_specs[] = {
    { 'f', "file", "FILE", "the message is what is in it; - is standard input" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const publish_usages[] = { "[OPTION …] CHANNEL [MESSAGE]", NULL };

static const char *const publish_examples[] = {
    "tenure publish news/sports 'three to one'",
    "tell who listens now, and print how many that are; nobody keeps it",
    NULL,
};

static const char publish_notes[] =
    "Without MESSAGE and -f the message is read from standard input.  What must not\n"
    "be missed is a register (tenure set) or an item of a queue (tenure queue put).\n";

static int publish(const struct arguments *arguments, const void *message, size_t size)
{
    struct tenure_client client;
    struct tenure_error error = { .text = "" };
    uint32_t count = 0;
    int code;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    enum tenure_err err =
        tenure_publish(client, arguments->words[0], message, size, &count, &error);
    tenure_client_close(client);
    if (err != TENURE_OK) return connect_complain(arguments->command, err, &error);
    (void)printf("%" PRIu32 "\n", count);
    return EX_OK;
}

static int run_publish(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    const char *path = NULL;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        path = arguments.options.value;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, 2, "on which channel?", &code)) return code;
    const char *word = arguments.words[1];
    if (word != NULL && path != NULL) {
        complain(command, "the message is given, or --file says where it is");
        return EX_USAGE;
    }
    if (word != NULL) return publish(&arguments, word, strlen(word));
    struct queue_bytes bytes = { .data = NULL };
    if (!queue_read(command, path == NULL ? "-" : path, TENURE_VALUE_SIZE_MAX, &bytes)) {
        return EX_NOINPUT;
    }
    code = publish(&arguments, bytes.data, bytes.size);
    free(bytes.data);
    return code;
}

const struct command command_publish = {
    .name = "publish",
    .summary = "tell who listens to a channel",
    .usages = publish_usages,
    .examples = publish_examples,
    .options = publish_specs,
    .notes = publish_notes,
    .run = run_publish,
};

/* ------------------------------------------------------------------ subscribe */

static const struct option_spec subscribe_specs[] = {
    { OPTION_PATTERN, "pattern", NULL, "all channels that match: * ? [a-z] [^a]" },
    { 'n', "count", "N", "end behind so many messages" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const subscribe_usages[] = { "[--pattern] [-n N] [--json] CHANNEL …", NULL };

static const char *const subscribe_examples[] = {
    "tenure subscribe news/sports",
    "a line for each message, until INT or TERM",
    "tenure subscribe --pattern --json 'news/*'",
    "for programs: which channel, and what",
    NULL,
};

static const char subscribe_notes[] =
    "What is published while nobody listens, or while the connection is lost, is\n"
    "missed.  For changes without a gap see `tenure watch`.\n";

struct listening {
    bool is_json;
    bool is_named; /* there may be several channels */
    uint64_t left; /* 0: any number */
    sem_t ended;
    enum tenure_err err;
};

static bool on_message(const struct tenure_event *event, void *user)
{
    struct listening *listening = user;
    if (listening->is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_string(&json, "channel", event->name);
        json_bytes(&json, "message", event->value, event->value_size);
        json_close(&json, '}');
        json_end();
    } else {
        if (listening->is_named) (void)printf("%s  ", event->name);
        (void)fwrite(event->value, 1, event->value_size, stdout);
        (void)putchar('\n');
        (void)fflush(stdout);
    }
    bool is_last = listening->left == 1;
    if (listening->left > 0) listening->left--;
    return ferror(stdout) == 0 && !is_last;
}

static void on_end(enum tenure_err err, void *user)
{
    struct listening *listening = user;
    listening->err = err;
    (void)sem_post(&listening->ended);
}

/* The first one that ends, ends all. */
static int subscribe(const struct arguments *arguments, bool is_pattern, uint64_t count)
{
    struct tenure_client client;
    struct tenure_error error = { .text = "" };
    int code;
    if (!connect_open(arguments->command, &arguments->store, &client, &code)) return code;
    struct listening listening = { .is_json = arguments->is_json,
                                   .is_named = is_pattern || arguments->word_count > 1,
                                   .left = count };
    (void)sem_init(&listening.ended, 0, 0);
    enum tenure_err err = TENURE_OK;
    for (unsigned i = 0; i < arguments->word_count && err == TENURE_OK; i++) {
        struct tenure_watch watch;
        struct tenure_subscribe_options options = { .size = sizeof(options),
                                                    .channel = arguments->words[i],
                                                    .is_pattern = is_pattern,
                                                    .on_message = on_message,
                                                    .on_end = on_end,
                                                    .user = &listening };
        err = tenure_subscribe(client, &options, &watch, &error);
    }
    if (err == TENURE_OK) {
        while (sem_wait(&listening.ended) != 0) {
            /* again */
        }
        err = listening.err;
    }
    tenure_client_close(client);
    (void)sem_destroy(&listening.ended);
    bool is_over = err == TENURE_OK || err == TENURE_CANCELED;
    return is_over ? EX_OK : connect_complain(arguments->command, err, &error);
}

static int run_subscribe(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    bool is_pattern = false;
    uint64_t count = 0;
    arguments_init(&arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (id == OPTION_PATTERN) is_pattern = true;
        bool is_count = id == 'n';
        if (is_count && !options_number(&arguments.options, 1, UINT32_MAX, &count)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, ARGUMENT_WORDS_MAX, "to which channel?", &code)) {
        return code;
    }
    return subscribe(&arguments, is_pattern, count);
}

const struct command command_subscribe = {
    .name = "subscribe",
    .summary = "listen to channels",
    .usages = subscribe_usages,
    .examples = subscribe_examples,
    .options = subscribe_specs,
    .notes = subscribe_notes,
    .run = run_subscribe,
};
