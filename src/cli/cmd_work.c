#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/work.h"

#define LEASE_MS_MIN     100u
#define LEASE_MS_MAX     86400000u
#define GRACE_MS_DEFAULT 30000u
#define WORKER_SIZE_MAX  255u

enum {
    OPTION_ONCE = OPTION_OWN,
    OPTION_DRAIN,
    OPTION_IDLE,
    OPTION_MAX_ITEMS,
    OPTION_LEASE,
    OPTION_GRACE,
    OPTION_KILL_GRACE,
    OPTION_RESULT,
    OPTION_WORKER,
};

static const struct option_spec specs[] = {
    { 'j', "jobs", "N", "so many commands at a time (default 1)" },
    { 'c', "command", "STRING", "$SHELL, else /bin/sh, runs it, and none behind --" },
    { OPTION_ONCE, "once", NULL, "do one item, and exit as its command did" },
    { OPTION_DRAIN, "drain", NULL, "end when there is nothing to take" },
    { OPTION_IDLE, "idle", "TIME", "end when nothing came for so long" },
    { OPTION_MAX_ITEMS, "max-items", "N", "end behind so many items" },
    { OPTION_RESULT,
      "result",
      NULL,
      "standard output is the result of the item\n"
      "(up to 64 KiB), for those who wait for it" },
    { OPTION_LEASE, "lease", "TIME", "not heard of for so long, an item goes elsewhere" },
    { OPTION_GRACE, "grace", "TIME", "told to end, what runs may go on so long (30 s)" },
    { OPTION_KILL_GRACE,
      "kill-grace",
      "TIME",
      "from TERM to KILL (a fifth of the lease, up to\n5 s)" },
    { OPTION_WORKER, "worker", "NAME", "shown to those who look (default: a fresh one)" },
    { 'v', "verbose", NULL, "a line for each item" },
    OPTIONS_STORE,
    { .id = 0 },
};

static const char *const usages[] = {
    "[OPTION …] QUEUE … -- COMMAND [ARGUMENT …]",
    "[OPTION …] -c STRING QUEUE …",
    NULL,
};

static const char *const examples[] = {
    "tenure work videos -- ./encode.sh",
    "items as they come; should this worker die, another one gets its item",
    "tenure work -j 4 urgent videos -- ./encode.sh",
    "four at a time; what is in `urgent` first",
    "tenure work --drain --result -c 'wc -c' texts",
    "until the queue is empty; what the command prints is the result",
    NULL,
};

static const char notes[] =
    "What becomes of the item, by how the command ends:\n"
    "  0             done\n"
    "  75            tried again after its backoff; the attempt does not count\n"
    "  65, 78        dead: trying again is of no use\n"
    "  126, 127      given back, as the item is not at fault; three in a row end the\n"
    "                worker\n"
    "  KILL, 137     if we did not send it: a lapse, as when the worker is lost, and\n"
    "                no failure\n"
    "  other, signal failed: tried again after its backoff, or dead behind its limit;\n"
    "                the last line of standard error is the reason\n"
    "\n"
    "The command finds TENURE_QUEUE, TENURE_ID, TENURE_TOKEN, TENURE_GROUP,\n"
    "TENURE_HEADERS, TENURE_PRIORITY, TENURE_ATTEMPT, TENURE_ATTEMPTS_MAX,\n"
    "TENURE_LAPSES, TENURE_OWNER, TENURE_LEASE_MS, TENURE_URL and TENURE_FD (a\n"
    "descriptor that closes when the lease is lost) in its environment, and may write\n"
    "lines to TENURE_CONTROL_FD: `progress TEXT`, `retry [TIME] [REASON]`, `dead\n"
    "[REASON]`.\n"
    "\n"
    "TERM and INT: take nothing more, let what runs finish; the second time stop it,\n"
    "and wait no longer for the store to hear of an end; the third time kill it.\n"
    "\n"
    "exit codes:\n"
    "  0   told to end, or the queue is empty    77   not allowed\n"
    "  64  usage                                 79   --once: lost\n"
    "  69  no store is available                 124  --once: its time was over\n"
    "  70  internal error                        126  it cannot be executed\n"
    "  75  --once: nothing to take               127  there is no such command\n"
    "  with --once else the command's, or 128 + signal\n";

/* ------------------------------------------------------------------ options */

static bool read_worker(const struct options *words, struct work_options *options)
{
    size_t size = strlen(words->value);
    if (size == 0 || size > WORKER_SIZE_MAX) {
        complain(words->command, "--worker: a name has 1 to %u bytes", WORKER_SIZE_MAX);
        return false;
    }
    options->worker = words->value;
    return true;
}

static bool read_jobs(struct options *words, struct work_options *options)
{
    uint64_t number;
    if (!options_number(words, 1, WORK_JOB_COUNT_MAX, &number)) return false;
    options->job_count = (uint32_t)number;
    return true;
}

static void read_shell(struct work_options *options)
{
    static char sh[] = "/bin/sh";
    static char dash_c[] = "-c";
    char *shell = getenv("SHELL");
    options->shell_argv[0] = shell == NULL || shell[0] == '\0' ? sh : shell;
    options->shell_argv[1] = dash_c;
    options->shell_argv[2] = optarg;
    options->argv = options->shell_argv;
}

static bool read_option(struct options *words, int id, struct work_options *options)
{
    switch (id) {
    case 'j': return read_jobs(words, options);
    case 'c': read_shell(options); return true;
    case 'v': options->is_verbose = true; return true;
    case OPTION_ONCE: options->is_once = true; return true;
    case OPTION_DRAIN: options->idle_ms = 0; return true;
    case OPTION_RESULT: options->has_result = true; return true;
    case OPTION_IDLE: return options_duration(words, 0, LEASE_MS_MAX, &options->idle_ms);
    case OPTION_MAX_ITEMS: return options_number(words, 1, UINT64_MAX, &options->item_count_max);
    case OPTION_LEASE:
        return options_duration(words, LEASE_MS_MIN, LEASE_MS_MAX, &options->lease_ms);
    case OPTION_GRACE: return options_duration(words, 0, DURATION_MS_MAX, &options->grace_ms);
    case OPTION_KILL_GRACE:
        return options_duration(words, 0, LEASE_MS_MAX, &options->kill_grace_ms);
    case OPTION_WORKER: return read_worker(words, options);
    default: abort(); /* the table has an option that nobody reads */
    }
}

static bool settle(struct work_options *options, const struct arguments *arguments)
{
    const struct command *command = options->command;
    bool has_rest = arguments->rest != NULL && arguments->rest[0] != NULL;
    if (has_rest && options->argv != NULL) {
        complain(command, "-c and a command behind -- exclude each other");
        return false;
    }
    if (has_rest) options->argv = arguments->rest;
    if (options->argv == NULL) {
        complain(command, "which command? tenure work QUEUE -- COMMAND");
        return false;
    }
    if (options->is_once && options->job_count > 1) {
        complain(command, "--once does one item: --jobs has no meaning with it");
        return false;
    }
    options->store = arguments->store;
    options->queues = arguments->words;
    options->queue_count = arguments->word_count;
    return true;
}

/* ------------------------------------------------------------------ the start */

/* A number of one digit if there is one free, so that every shell can use it (dash cannot from 10
 * on); it stays taken.  Standard descriptors that are closed are not given away, either. */
static int keep_number(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return fd;
}

static int start(struct work_options *options)
{
    struct work_share *share =
        mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (share == MAP_FAILED) {
        complain(options->command, "not enough memory");
        return EX_SOFTWARE;
    }
    options->loss_number = keep_number();
    options->control_number = keep_number();
    int code = options->job_count > 1 ? work_crew(options, share) : work_slot(options, share);
    (void)munmap(share, sizeof(*share));
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct work_options options = {
        .command = command,
        .job_count = 1,
        .idle_ms = WORK_IDLE_FOREVER,
        .grace_ms = GRACE_MS_DEFAULT,
        .kill_grace_ms = RUN_GRACE_UNSET,
    };
    arguments_init(&arguments, command, argc, argv);
    arguments.has_command = true;
    int id;
    while ((id = arguments_next(&arguments)) > 0) {
        if (!read_option(&arguments.options, id, &options)) return EX_USAGE;
    }
    int code;
    if (!arguments_end(&arguments, id, 1, WORK_QUEUE_COUNT_MAX, "which queue?", &code)) return code;
    return settle(&options, &arguments) ? start(&options) : EX_USAGE;
}

const struct command command_work = {
    .name = "work",
    .summary = "do the items of queues, each with a command",
    .usages = usages,
    .examples = examples,
    .options = specs,
    .notes = notes,
    .run = run,
};
