#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/environment.h"
#include "cli/run_state.h"

#define NS_PER_MS   INT64_C(1000000)
#define TICK_MS_MIN 5u
#define TICK_MS_MAX 250u

/* ------------------------------------------------------------------ the lease */

/* Let the guardian know how long the lease is good.  The library renews it without telling, so this
 * is done at every tick; the guardian's knowledge is never newer than ours, which is safe. */
static void publish(struct run *run)
{
    struct tenure_hold_info info;
    int64_t until_ns = 0;
    bool is_at_risk = false;
    if (tenure_hold_info(run->acquisition.hold, &info) == TENURE_OK) {
        if (info.state != TENURE_HOLD_LOST) until_ns = info.valid_until_ns;
        is_at_risk = info.state == TENURE_HOLD_AT_RISK;
        if (info.loss != TENURE_LOSS_NONE) run->report.loss = tenure_loss_name(info.loss);
    }
    int64_t old_ns = atomic_exchange(&run->leash->valid_until_ns, until_ns);
    /* The guardian looks for a later end when the old one has come; it must be told of an earlier
     * one. */
    if (until_ns < old_ns) guardian_tell(&run->guardian, GUARDIAN_LOOK);
    if (is_at_risk && !run->has_been_at_risk) {
        complain(
            run->options->command,
            "%s is at risk: the lease was not renewed in time",
            run->options->name_list);
    }
    run->has_been_at_risk = is_at_risk;
}

static struct timeline_policy policy_of(const struct run_options *options)
{
    enum run_on_lost on_lost = options->on_lost;
    return (struct timeline_policy){
        .grace_ns = options->grace_ms * NS_PER_MS,
        .margin_ns = options->margin_ms * NS_PER_MS,
        .is_telling = on_lost != RUN_LOST_WARN,
        .is_killing = on_lost == RUN_LOST_KILL || on_lost == RUN_LOST_EXEC,
    };
}

/* When the guardian should have killed long ago; TIME_NEVER: the lease kills nothing. */
static int64_t stand_in_at(const struct run *run)
{
    struct timeline_policy policy = policy_of(run->options);
    if (!policy.is_killing || atomic_load(&run->leash->pid) == 0) return TIME_NEVER;
    return atomic_load(&run->leash->valid_until_ns) - policy.margin_ns / 2;
}

/* The guardian is there but does not act (somebody has stopped it, too): do its work, late. */
static void stand_in(struct run *run)
{
    if (atomic_load(&run->leash->gone_at_ns) != 0 || boottime_ns() < stand_in_at(run)) return;
    (void)kill(-atomic_load(&run->leash->pid), SIGKILL);
    run->has_stood_in = true;
}

/* Until the next look: a tick, but never past the time to stand in.  Behind that, soon again: a
 * process may have been born while the KILL was sent. */
static int wait_ms(const struct run *run, uint32_t tick_ms)
{
    int64_t at_ns = stand_in_at(run);
    if (at_ns == TIME_NEVER) return (int)tick_ms;
    int64_t left_ms = (at_ns - boottime_ns() + NS_PER_MS - 1) / NS_PER_MS;
    if (left_ms <= 0) return TICK_MS_MIN;
    return left_ms < (int64_t)tick_ms ? (int)left_ms : (int)tick_ms;
}

/* ------------------------------------------------------------------ jobs */

static void resume(struct run *run, bool is_to_lend)
{
    int pid = atomic_load(&run->leash->pid);
    if (is_to_lend && tty_is_ours(&run->tty)) tty_lend(&run->tty, pid);
    guardian_tell(&run->guardian, SIGCONT);
}

/* The command has been stopped by `number`: stop too, so that the shell sees its job stopped. */
static void follow_stop(struct run *run, int number)
{
    bool is_for_terminal = number == SIGTTIN || number == SIGTTOU;
    /* Without a terminal there is no shell that would continue us. */
    if (run->tty.fd < 0) return;
    if (is_for_terminal && tty_is_ours(&run->tty)) {
        resume(run, true);
        return;
    }
    bool was_lent = run->tty.is_lent;
    tty_take_back(&run->tty, atomic_load(&run->leash->pid));
    signals_stop_self(number == SIGSTOP ? SIGTSTP : number);
    resume(run, was_lent || is_for_terminal);
}

static void mind_stops(struct run *run)
{
    unsigned stops = atomic_load(&run->leash->stops);
    if (stops == run->stops_seen) return;
    run->stops_seen = stops;
    int number = atomic_load(&run->leash->stop_signal);
    if (number != 0) follow_stop(run, number);
}

static void forward(struct run *run, const struct signal_news *news)
{
    if (news->is_from_terminal) run->signal_of_tty = news->number;
    if (news->number == SIGTERM && ++run->term_count > 1) {
        guardian_tell(&run->guardian, GUARDIAN_KILL);
    } else {
        guardian_tell(&run->guardian, (unsigned char)news->number);
    }
}

static void mind_signals(struct run *run)
{
    struct signal_news news;
    while (signals_next(&run->signals, &news)) {
        if (run->job != NULL) {
            run->job->signaled(run, news.number);
        } else {
            forward(run, &news);
        }
    }
}

/* ------------------------------------------------------------------ the command */

/* False: the guardian is gone. */
static bool drain_guardian(const struct run *run)
{
    char bytes[64];
    ssize_t size;
    while ((size = recv(run->guardian.socket, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
    }
    return size < 0 && (errno == EAGAIN || errno == EINTR);
}

/* The guardian was killed: stop the command, which is our child now. */
static void finish_for_guardian(struct run *run)
{
    struct leash *leash = run->leash;
    int pid = atomic_load(&leash->pid);
    int status;
    while (pid != 0 && (kill(-pid, SIGKILL) == 0 || errno != ESRCH)) {
        const struct timespec pause = { .tv_nsec = 2 * NS_PER_MS };
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
            if (ended != pid) continue;
            atomic_store(&leash->wait_status, status);
            atomic_store(&leash->is_exited, true);
        }
        (void)nanosleep(&pause, NULL);
    }
    atomic_store(&leash->gone_at_ns, boottime_ns());
    complain(
        run->options->command,
        "internal error: the guardian of the command was killed; the command was killed, too");
    run->report.error = "guardian";
    run->report.is_unguarded = true;
}

/* Until the command and its group are gone. */
static void attend(struct run *run)
{
    uint32_t tick_ms = run->options->ttl_ms / 12;
    if (tick_ms < TICK_MS_MIN) tick_ms = TICK_MS_MIN;
    if (tick_ms > TICK_MS_MAX) tick_ms = TICK_MS_MAX;
    while (atomic_load(&run->leash->gone_at_ns) == 0) {
        struct pollfd fds[3 + RUN_JOB_FDS_MAX] = {
            { .fd = run->guardian.socket, .events = POLLIN },
            { .fd = run->signals.fd, .events = POLLIN },
            { .fd = run->wake_fd, .events = POLLIN },
        };
        nfds_t count = 3;
        if (run->job != NULL) count += run->job->fill(run, fds + count);
        (void)poll(fds, count, wait_ms(run, tick_ms));
        drain_wake(run);
        bool is_guarded = drain_guardian(run);
        if (atomic_load(&run->leash->gone_at_ns) != 0) break;
        if (!is_guarded) {
            finish_for_guardian(run);
            break;
        }
        publish(run);
        stand_in(run);
        if (run->job != NULL) run->job->look(run);
        mind_signals(run);
        mind_stops(run);
    }
}

/* ------------------------------------------------------------------ how it ended */

static void note_not_started(struct run *run, int error)
{
    bool is_found = error != ENOENT && error != ENOTDIR;
    bool is_ours = atomic_load(&run->leash->pid) == 0;
    int code = is_found ? EXIT_NOT_EXECUTABLE : EXIT_NOT_FOUND;
    note_failure(run, RUN_NOT_STARTED, is_ours ? 70 : code);
    complain(run->options->command, "%s: %s", run->options->argv[0], strerrordesc_np(error));
    run->report.error = strerrorname_np(error);
}

static void note_lost(struct run *run)
{
    static const char *const fates[] = {
        [RUN_LOST_KILL] = "it was stopped",
        [RUN_LOST_TERM] = "it was told to stop",
        [RUN_LOST_WARN] = "it was left alone",
        [RUN_LOST_EXEC] = "the hook was called",
    };
    const struct run_options *options = run->options;
    note_failure(run, RUN_LOST, options->lost_exit_code);
    if (run->report.loss == NULL) run->report.loss = tenure_loss_name(TENURE_LOSS_EXPIRED);
    complain(
        options->command,
        "lost %s while the command ran (%s): %s",
        options->name_list,
        run->report.loss,
        fates[options->on_lost]);
}

static void note_ended(struct run *run, bool was_lent)
{
    int status = atomic_load(&run->leash->wait_status);
    if (WIFEXITED(status)) {
        note_failure(run, RUN_DONE, WEXITSTATUS(status));
        return;
    }
    int number = WTERMSIG(status);
    note_failure(run, RUN_DONE, 128 + number);
    /* A shell that runs a script, or a loop, goes on after ^C unless its command died of it. */
    bool is_key = number == SIGINT || number == SIGQUIT;
    if (is_key && (was_lent || run->signal_of_tty == number)) run->die_of = number;
}

static void note_end(struct run *run, bool was_lent)
{
    struct leash *leash = run->leash;
    enum stop_cause cause =
        run->has_stood_in ? STOP_LEASE : (enum stop_cause)atomic_load(&leash->cause);
    int64_t gone_at_ns = atomic_load(&leash->gone_at_ns);
    run->report.pid = atomic_load(&leash->pid);
    run->report.is_exited = atomic_load(&leash->is_exited);
    run->report.wait_status = atomic_load(&leash->wait_status);
    run->report.held_ms = (gone_at_ns - run->granted_at_ns) / NS_PER_MS;
    if (cause != STOP_NONE) run->report.cause = stop_cause_name(cause);
    int error = atomic_load(&leash->start_errno);
    bool is_over = gone_at_ns >= atomic_load(&leash->valid_until_ns);
    if (error != 0) {
        note_not_started(run, error);
    } else if (cause == STOP_LEASE || cause == STOP_RUNNER || is_over) {
        note_lost(run);
    } else if (run->report.is_unguarded) {
        note_failure(run, RUN_FAILED, 70);
    } else if (cause == STOP_MAX_HOLD) {
        note_failure(run, RUN_MAX_HOLD, EXIT_MAX_HOLD);
        const char *what = run->job == NULL ? "--max-hold is over" : run->options->name_list;
        const char *more = run->job == NULL ? "" : "its time is over: ";
        complain(run->options->command, "%s: %sthe command was stopped", what, more);
    } else {
        note_ended(run, was_lent);
    }
}

/* ------------------------------------------------------------------ the start */

static bool start(struct run *run, const struct environment *environment, bool is_lending)
{
    const struct run_options *options = run->options;
    struct guardian_plan plan = {
        .policy = policy_of(options),
        .max_hold_at_ns = options->max_hold_ms == 0
                              ? TIME_NEVER
                              : run->granted_at_ns + options->max_hold_ms * NS_PER_MS,
        .lost_hook = options->lost_hook,
        .hook_envp = environment->hook_entries,
        .hook_pid = environment->hook_pid,
        .is_closing = options->is_closing,
        .argv = options->argv,
        .envp = environment->entries,
        .mask = &run->signals.original,
        .is_chld_ignored = run->signals.is_chld_ignored,
        .tty_fd = is_lending ? run->tty.fd : -1,
        .tty_group = run->tty.self,
        .loss_fds = { run->loss_fds[0], run->loss_fds[1] },
        .standard_fds = { -1, -1, -1 },
        .control_fd = -1,
        .leash = run->leash,
    };
    if (run->job != NULL) {
        memcpy(plan.standard_fds, run->job->standard_fds, sizeof(plan.standard_fds));
        plan.control_fd = run->job->control_fd;
        plan.max_hold_at_ns = run->job->stop_at_ns;
    }
    return guardian_start(&plan, &run->guardian);
}

static void close_pipe(struct run *run)
{
    if (run->job != NULL) {
        run->job->started(run);
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (run->loss_fds[i] >= 0) (void)close(run->loss_fds[i]);
        run->loss_fds[i] = -1;
    }
}

void supervise(struct run *run)
{
    const struct run_options *options = run->options;
    struct environment_facts facts = {
        .names = options->name_list,
        .tokens = run->tokens,
        .slots = run->slots,
        .owner = run->owner,
        .url = run->url,
        .ttl_ms = options->ttl_ms,
        .loss_fd = run->loss_fds[0],
        .item = run->job == NULL ? NULL : run->job->item,
        .control_fd = run->job == NULL ? -1 : run->job->control_fd,
    };
    if (run->job != NULL) {
        facts.names = NULL;
        facts.slots = NULL;
    }
    struct environment environment = { .entries = NULL };
    run->leash = leash_create();
    if (run->leash == NULL || !environment_create(&facts, &environment)) {
        close_pipe(run);
        complain(options->command, "not enough memory");
        note_failure(run, RUN_FAILED, 70);
        return;
    }
    run->guardian.socket = -1;
    /* Orphans come to us should the guardian be killed. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    run->tty.fd = -1;
    if (run->job == NULL) tty_open(&run->tty);
    bool is_lending = run->job == NULL && tty_is_to_lend(&run->tty);
    publish(run);
    bool is_started = start(run, &environment, is_lending);
    int error = errno;
    close_pipe(run);
    environment_destroy(&environment);
    if (is_started) {
        run->tty.is_lent = is_lending;
        attend(run);
        bool was_lent = run->tty.is_lent;
        tty_take_back(&run->tty, atomic_load(&run->leash->pid));
        (void)waitpid(run->guardian.pid, NULL, 0);
        (void)close(run->guardian.socket);
        note_end(run, was_lent);
    } else {
        complain(options->command, "cannot start a process: %s", strerrordesc_np(error));
        note_failure(run, RUN_FAILED, 70);
    }
    tty_close(&run->tty);
}
