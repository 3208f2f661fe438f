/* queue_take - taking and ending items by hand, for scripts. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/connect.h"
#include "cli/queue.h"
#include "cli/run.h"

#define LEASE_MS_MIN    100u
#define LEASE_MS_MAX    86400000u
#define RESULT_SIZE_MAX 65536u

enum {
    OPTION_WAIT = OPTION_OWN,
    OPTION_LEASE,
    OPTION_WORKER,
    OPTION_BODY,
    OPTION_TOKEN,
    OPTION_RESULT,
    OPTION_REASON,
    OPTION_DELAY,
    OPTION_FREE,
    OPTION_DEAD,
    OPTION_PROGRESS,
};

#define OPTION_SPEC_TOKEN                                                                          \
    {                                                                                              \
        OPTION_TOKEN, "token", "TOKEN", "of the take; else $TENURE_TOKEN"                          \
    }

/* ------------------------------------------------------------------ take */

static const struct option_spec take_specs[] = {
    { 'w', "wait", "TIME", "wait for so long (default: do not wait)" },
    { OPTION_LEASE, "lease", "TIME", "how long it is ours (default: as the item says)" },
    { OPTION_BODY, "body", "FILE", "write the body there; - is standard output" },
    { OPTION_WORKER, "worker", "NAME", "shown to those who look (default: a fresh one)" },
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const take_usages[] = { "[OPTION …] QUEUE …", NULL };

static const char *const take_examples[] = {
    "item=$(tenure queue take --lease 5m --body job.txt jobs) || exit; eval \"$item\"",
    "for a script: TENURE_QUEUE, _ID and _TOKEN say which item is ours",
    "tenure queue take -w 1m --json jobs",
    "for programs: the item and its body as a line of JSON",
    NULL,
};

static const char take_notes[] =
    "Nothing extends the lease: `tenure queue extend` does.  `tenure work` is safer\n"
    "wherever it fits.\n"
    "\n"
    "Exit code 75: nothing came.\n";

struct taking {
    struct arguments arguments;
    struct tenure_take_options terms;
    const char *body_path;
};

static bool read_take_option(struct taking *taking, int id)
{
    struct options *options = &taking->arguments.options;
    switch (id) {
    case 'w': return options_duration(options, 0, LEASE_MS_MAX, &taking->terms.wait_ms);
    case OPTION_LEASE:
        return options_duration(options, LEASE_MS_MIN, LEASE_MS_MAX, &taking->terms.lease_ms);
    case OPTION_BODY: taking->body_path = options->value; return true;
    case OPTION_WORKER: taking->terms.worker = options->value; return true;
    default: abort(); /* the table has an option that nobody reads */
    }
}

/* A word for a POSIX shell. */
static void print_quoted(const char *name, const char *words)
{
    (void)printf("%s='", name);
    for (const char *c = words; *c != '\0'; c++) {
        if (*c == '\'') {
            (void)fputs("'\\''", stdout);
        } else {
            (void)putchar(*c);
        }
    }
    (void)fputs("'\n", stdout);
}

static void print_environment(const struct tenure_item *item)
{
    char token[24];
    (void)snprintf(token, sizeof(token), "%" PRIu64, item->token);
    print_quoted("TENURE_QUEUE", item->queue);
    print_quoted("TENURE_ID", item->id);
    print_quoted("TENURE_TOKEN", token);
    print_quoted("TENURE_GROUP", item->group);
    print_quoted("TENURE_HEADERS", item->headers);
    (void)printf("TENURE_PRIORITY='%" PRIu32 "'\n", item->priority);
    (void)printf("TENURE_ATTEMPT='%" PRIu32 "'\n", item->attempts + 1);
    (void)printf("TENURE_ATTEMPTS_MAX='%" PRIu32 "'\n", item->attempts_max);
    (void)printf("TENURE_LAPSES='%" PRIu32 "'\n", item->lapses);
    (void)printf("TENURE_LEASE_MS='%" PRIu32 "'\n", item->lease_ms);
    (void)fputs(
        "export TENURE_QUEUE TENURE_ID TENURE_TOKEN TENURE_GROUP TENURE_HEADERS TENURE_PRIORITY\n"
        "export TENURE_ATTEMPT TENURE_ATTEMPTS_MAX TENURE_LAPSES TENURE_LEASE_MS\n",
        stdout);
}

/* False: complained. */
static bool write_body(const struct taking *taking, const struct tenure_item *item)
{
    const char *path = taking->body_path;
    FILE *file = fopen(path, "we");
    bool is_written =
        file != NULL && fwrite(item->body, 1, item->body_size, file) == item->body_size;
    int error = errno;
    if (file != NULL && fclose(file) != 0) {
        error = errno;
        is_written = false;
    }
    if (is_written) return true;
    complain(taking->arguments.command, "%.200s: %s", path, strerrordesc_np(error));
    return false;
}

static bool print_item(const struct taking *taking, const struct tenure_item *item)
{
    const char *path = taking->body_path;
    if (path != NULL && strcmp(path, "-") == 0) {
        (void)fwrite(item->body, 1, item->body_size, stdout);
    } else if (path != NULL && !write_body(taking, item)) {
        return false;
    } else if (taking->arguments.is_json) {
        queue_print_item_json(item);
    } else {
        print_environment(item);
    }
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

/* An item that nobody has been told of is given back. */
static int hand_out(const struct taking *taking, struct tenure_hold hold)
{
    struct tenure_item item;
    if (tenure_item_of(hold, &item) == TENURE_OK && print_item(taking, &item)) {
        tenure_hold_forget(hold);
        return EX_OK;
    }
    complain(taking->arguments.command, "cannot write, so it is given back");
    (void)!tenure_hold_release(hold, NULL);
    return EX_IOERR;
}

static int run_take(const struct command *command, int argc, char **argv)
{
    struct taking taking = { .terms = { .size = sizeof(taking.terms), .is_kept_by_caller = true } };
    arguments_init(&taking.arguments, command, argc, argv);
    int id;
    while ((id = arguments_next(&taking.arguments)) > 0) {
        if (!read_take_option(&taking, id)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&taking.arguments, id, 1, 32, "from which queue?", &code)) return code;
    taking.terms.queues = taking.arguments.words;
    taking.terms.queue_count = taking.arguments.word_count;
    struct tenure_client client;
    if (!queue_open(&taking.arguments, &client, &code)) return code;
    struct tenure_hold hold;
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tenure_take(client, &taking.terms, &hold, NULL, &error);
    if (err == TENURE_OK) {
        code = hand_out(&taking, hold);
    } else {
        code = err == TENURE_TIMEOUT ? EXIT_NOT_OBTAINED : connect_complain(command, err, &error);
    }
    if (err == TENURE_TIMEOUT) complain(command, "there was nothing to take");
    tenure_client_close(client);
    return code;
}

const struct command queue_take = {
    .name = "queue take",
    .summary = "take an item and leave it to a script",
    .usages = take_usages,
    .examples = take_examples,
    .options = take_specs,
    .notes = take_notes,
    .run = run_take,
};

/* ------------------------------------------------------------------ done, fail, extend */

static const struct option_spec done_specs[] = {
    { OPTION_RESULT, "result", "FILE", "up to 64 KiB for those who wait; - is input" },
    OPTION_SPEC_TOKEN,
    OPTIONS_STORE,
    { .id = 0 },
};

static const struct option_spec fail_specs[] = {
    { OPTION_REASON, "reason", "TEXT", "why; it is shown to those who look" },
    { OPTION_DELAY, "delay", "TIME", "before it is tried again (default: its backoff)" },
    { OPTION_FREE, "uncounted", NULL, "the attempt does not count" },
    { OPTION_DEAD, "dead", NULL, "trying again is of no use" },
    OPTION_SPEC_TOKEN,
    OPTIONS_STORE,
    { .id = 0 },
};

static const struct option_spec extend_specs[] = {
    { OPTION_LEASE, "lease", "TIME", "for so long from now (default: as it was)" },
    { OPTION_PROGRESS, "progress", "TEXT", "how far it is, for those who look" },
    OPTION_SPEC_TOKEN,
    OPTIONS_JSON,
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const end_usages[] = { "[OPTION …] [QUEUE ID]", NULL };

static const char *const done_examples[] = {
    "tenure queue done",
    "the item of the environment that `tenure queue take` has left",
    "tenure queue done --result out.json --token 1795249870895992 jobs _17",
    "by words, with a result",
    NULL,
};

static const char *const fail_examples[] = {
    "tenure queue fail --reason 'no such file' --dead",
    "nobody shall try again",
    "tenure queue fail --delay 5m --uncounted",
    "later, and as if it had not been tried",
    NULL,
};

static const char *const extend_examples[] = {
    "tenure queue extend --progress '40 %'",
    "keeps the item for another lease, and tells how far it is",
    NULL,
};

static const char end_notes[] = "Exit code 79: the lease was lost; this has changed nothing.\n";
static const char extend_notes[] =
    "Exit codes: 79 the lease was lost; 75 somebody has cancelled the item: stop, and\n"
    "say so with `tenure queue fail`.\n";

struct ending {
    struct arguments arguments;
    const char *token;
    const char *result_path;
    struct tenure_fail_options fail;
    uint32_t lease_ms;
    const char *progress;
};

static bool read_end_option(struct ending *ending, int id)
{
    struct options *options = &ending->arguments.options;
    switch (id) {
    case OPTION_TOKEN: ending->token = options->value; return true;
    case OPTION_RESULT: ending->result_path = options->value; return true;
    case OPTION_REASON: ending->fail.reason = options->value; return true;
    case OPTION_DELAY: return options_duration(options, 0, DURATION_MS_MAX, &ending->fail.delay_ms);
    case OPTION_FREE: ending->fail.is_free = true; return true;
    case OPTION_DEAD: ending->fail.is_dead = true; return true;
    case OPTION_LEASE:
        return options_duration(options, LEASE_MS_MIN, LEASE_MS_MAX, &ending->lease_ms);
    case OPTION_PROGRESS: ending->progress = options->value; return true;
    default: abort(); /* the table has an option that nobody reads */
    }
}

/* False: `*out_code`. */
static bool begin_end(
    struct ending *ending,
    const struct command *command,
    int argc,
    char **argv,
    struct tenure_item_claim *out_claim,
    int *out_code)
{
    *ending = (struct ending){ .fail = { .size = sizeof(ending->fail), .delay_ms = TENURE_NONE } };
    arguments_init(&ending->arguments, command, argc, argv);
    int id;
    *out_code = EX_USAGE;
    while ((id = arguments_next(&ending->arguments)) > 0) {
        if (!read_end_option(ending, id)) return false;
    }
    if (!arguments_end(&ending->arguments, id, 0, 2, "", out_code)) return false;
    *out_code = EX_USAGE;
    if (ending->arguments.word_count == 1) {
        complain(command, "an item has a queue and an id: tenure %s QUEUE ID", command->name);
        return false;
    }
    return queue_claim(&ending->arguments, ending->token, out_claim);
}

static int run_done(const struct command *command, int argc, char **argv)
{
    struct ending ending;
    struct tenure_item_claim claim;
    int code;
    if (!begin_end(&ending, command, argc, argv, &claim, &code)) return code;
    struct queue_bytes result = { .data = NULL };
    const char *path = ending.result_path;
    if (path != NULL && !queue_read(command, path, RESULT_SIZE_MAX, &result)) return EX_NOINPUT;
    struct tenure_client client;
    if (queue_open(&ending.arguments, &client, &code)) {
        struct tenure_error error = { .text = "" };
        enum tenure_err err =
            tenure_item_claim_done(client, &claim, result.data, result.size, &error);
        code = queue_close(&ending.arguments, client, err, &error);
    }
    free(result.data);
    return code;
}

static int run_fail(const struct command *command, int argc, char **argv)
{
    struct ending ending;
    struct tenure_item_claim claim;
    struct tenure_client client;
    int code;
    if (!begin_end(&ending, command, argc, argv, &claim, &code)) return code;
    if (!queue_open(&ending.arguments, &client, &code)) return code;
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tenure_item_claim_fail(client, &claim, &ending.fail, &error);
    return queue_close(&ending.arguments, client, err, &error);
}

static int run_extend(const struct command *command, int argc, char **argv)
{
    struct ending ending;
    struct tenure_item_claim claim;
    struct tenure_client client;
    int code;
    if (!begin_end(&ending, command, argc, argv, &claim, &code)) return code;
    if (!queue_open(&ending.arguments, &client, &code)) return code;
    struct tenure_extension extension = { .remaining_ms = 0 };
    struct tenure_error error = { .text = "" };
    enum tenure_err err = tenure_item_claim_extend(
        client, &claim, ending.lease_ms, ending.progress, &extension, &error);
    code = queue_close(&ending.arguments, client, err, &error);
    if (err != TENURE_OK) return code;
    if (ending.arguments.is_json) {
        struct json json = { .is_inside = false };
        json_open(&json, '{');
        json_span(&json, "remaining_ms", extension.remaining_ms);
        json_bool(&json, "cancelling", extension.is_cancelling);
        json_close(&json, '}');
        json_end();
    }
    if (extension.is_cancelling) complain(command, "somebody has cancelled the item");
    return extension.is_cancelling ? EX_TEMPFAIL : EX_OK;
}

const struct command queue_done = {
    .name = "queue done",
    .summary = "say that a taken item is done",
    .usages = end_usages,
    .examples = done_examples,
    .options = done_specs,
    .notes = end_notes,
    .run = run_done,
};

const struct command queue_fail = {
    .name = "queue fail",
    .summary = "say that it could not be done",
    .usages = end_usages,
    .examples = fail_examples,
    .options = fail_specs,
    .notes = end_notes,
    .run = run_fail,
};

const struct command queue_extend = {
    .name = "queue extend",
    .summary = "keep a taken item for another lease",
    .usages = end_usages,
    .examples = extend_examples,
    .options = extend_specs,
    .notes = extend_notes,
    .run = run_extend,
};
