#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/connect.h"
#include "cli/run_state.h"

/* Standard descriptors that are closed stay closed for the command, but none of ours may come to
 * stand there: it would be written to as if it were a terminal. */
static void occupy_standard_fds(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) (void)close(fd);
}

/* The pipe comes first: its number is one digit, if there is one free, and so every shell can read
 * from it (dash cannot from 10 on). */
static bool open_descriptors(struct run *run)
{
    occupy_standard_fds();
    bool is_open = run->options->is_closing || pipe2(run->loss_fds, O_CLOEXEC) == 0;
    run->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    is_open = is_open && run->wake_fd >= 0 && signals_open(&run->signals);
    if (is_open) return true;
    complain(run->options->command, "cannot open a descriptor: %s", strerrordesc_np(errno));
    return false;
}

static void close_descriptors(struct run *run)
{
    for (int i = 0; i < 2; i++) {
        if (run->loss_fds[i] >= 0) (void)close(run->loss_fds[i]);
    }
    if (run->wake_fd >= 0) (void)close(run->wake_fd);
    signals_close(&run->signals);
    report_close(run->options, run->report_fd);
}

/* Who we are, for the store and those who ask it.  False: complained. */
static bool introduce(struct run *run)
{
    const struct run_options *options = run->options;
    owner_compose(run->owner);
    run->report.owner = run->owner;
    struct meta meta = {
        .argv = options->argv,
        .is_shell = options->argv == options->shell_argv,
        .is_showing_arguments = options->is_showing_arguments,
        .kill_grace_ms = options->grace_ms,
        .labels = options->labels,
        .label_count = options->label_count,
    };
    bool is_fitting;
    if (options->value != NULL) {
        struct text text;
        text_init(&text, run->meta, sizeof(run->meta));
        text_add(&text, options->value);
        is_fitting = !text.is_cut;
    } else {
        is_fitting = meta_compose(&meta, run->meta);
    }
    if (!is_fitting) {
        complain(
            options->command,
            "%s: more than %u bytes in all",
            options->value != NULL ? "the value is too long" : "the labels are too long",
            META_SIZE - 1);
    }
    return is_fitting;
}

static void speak(const struct run *run)
{
    if (!run->options->is_verbose) return;
    complain(
        run->options->command,
        "getting the lock took %lld.%03lld seconds; token %s",
        (long long)run->report.waited_ms / 1000,
        (long long)run->report.waited_ms % 1000,
        run->tokens);
    complain(run->options->command, "executing %s", run->options->argv[0]);
}

/* A command that ended by itself, while the hold had been broken: somebody else was in. */
static void judge_end(struct run *run)
{
    bool is_known = atomic_load(&run->release.is_done) && run->release.err == TENURE_OK;
    if (!is_known || run->report.outcome == RUN_LOST || run->report.pid == 0) return;
    if (run->release.end == TENURE_END_BROKEN) {
        run->report.loss = tenure_loss_name(TENURE_LOSS_BROKEN);
        note_failure(run, RUN_LOST, run->options->lost_exit_code);
        complain(
            run->options->command,
            "lost %s while the command ran (%s): it had ended by itself",
            run->options->name_list,
            run->report.loss);
    }
}

static void obtain_and_run(struct run *run)
{
    int code;
    if (!introduce(run)) {
        note_failure(run, RUN_FAILED, EX_USAGE);
        return;
    }
    if (!connect_open(run->options->command, &run->options->store, &run->client, &code)) {
        note_failure(run, RUN_FAILED, code);
        return;
    }
    connect_url(&run->options->store, run->client, run->url, sizeof(run->url));
    if (obtain(run)) {
        speak(run);
        supervise(run);
        give_back(run);
        judge_end(run);
    }
    tenure_client_close(run->client);
    waiting_destroy(&run->waiting);
}

int run_under_lock(const struct run_options *options)
{
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        complain(options->command, "not enough memory");
        return EX_SOFTWARE;
    }
    run->options = options;
    run->loss_fds[0] = -1;
    run->loss_fds[1] = -1;
    run->wake_fd = -1;
    run->signals.fd = -1;
    run->report_fd = -1;
    run->report.held_ms = -1;
    int code = EX_CANTCREAT;
    if (!open_descriptors(run)) {
        code = EX_SOFTWARE;
    } else if (report_open(options, &run->report_fd)) {
        obtain_and_run(run);
        (void)report_write(options, &run->report, run->report_fd);
        code = run->report.exit_code;
    }
    int die_of = run->die_of;
    close_descriptors(run);
    free(run);
    if (die_of != 0) signals_die(die_of);
    return code;
}
