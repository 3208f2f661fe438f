#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/connect.h"
#include "cli/run_state.h"

#define NS_PER_MS INT64_C(1000000)
/* So long a wait needs no words. */
#define PATIENCE_MS 300
/* After a signal: so long for the store to hear that nobody waits any more. */
#define CANCEL_MS 1000
/* There is nothing to win in telling the end of a hold that is over. */
#define RELEASE_LOST_MS 1000

void drain_wake(const struct run *run)
{
    eventfd_t count;
    (void)eventfd_read(run->wake_fd, &count);
}

void note_failure(struct run *run, enum run_outcome outcome, int exit_code)
{
    run->report.outcome = outcome;
    run->report.exit_code = exit_code;
}

/* ------------------------------------------------------------------ the library's thread */

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct run *run = user;
    struct acquisition *acquisition = &run->acquisition;
    acquisition->err = err;
    acquisition->hold = hold;
    if (obstacle != NULL) acquisition->obstacle = *obstacle;
    if (error != NULL) acquisition->error = *error;
    atomic_store(&acquisition->is_done, true);
    (void)eventfd_write(run->wake_fd, 1);
}

static void on_risk(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    (void)hold;
    (void)remaining_ms;
    struct run *run = user;
    (void)eventfd_write(run->wake_fd, 1);
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    (void)hold;
    (void)loss;
    struct run *run = user;
    (void)eventfd_write(run->wake_fd, 1);
}

static void on_released(enum tenure_err err, const struct tenure_release *release, void *user)
{
    struct run *run = user;
    run->release.err = err;
    run->release.end = release->end;
    atomic_store(&run->release.is_done, true);
    (void)eventfd_write(run->wake_fd, 1);
}

/* ------------------------------------------------------------------ waiting */

static enum tenure_err start(struct run *run, struct tenure_op *out_op)
{
    const struct run_options *options = run->options;
    struct tenure_lock_options lock = {
        .size = sizeof(lock),
        .names = options->names,
        .name_count = options->name_count,
        .owner = run->owner,
        .meta = run->meta,
        .ttl_ms = options->ttl_ms,
        .is_unlimited = options->is_unlimited,
        .wait_ms = options->wait_ms == RUN_WAIT_FOREVER ? TENURE_WAIT_FOREVER : options->wait_ms,
        .mode = options->is_shared ? TENURE_SHARED : TENURE_EXCLUSIVE,
        .slots = options->slots,
        .priority = options->priority,
        .min_safety = options->min_safety,
        .on_at_risk = on_risk,
        .on_held = on_risk,
        .on_lost = on_lost,
        .user = run,
    };
    return tenure_lock_start(run->client, &lock, on_acquired, run, out_op, &run->acquisition.error);
}

static size_t columns_of(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Wait for the library's thread, a signal or `limit_ms`.  The signal; 0: none that ends us. */
static int await(struct run *run, int limit_ms)
{
    struct pollfd fds[] = {
        { .fd = run->wake_fd, .events = POLLIN },
        { .fd = run->signals.fd, .events = POLLIN },
    };
    (void)poll(fds, 2, limit_ms);
    drain_wake(run);
    struct signal_news news;
    while (signals_next(&run->signals, &news)) {
        if (news.number == SIGTSTP) signals_stop_self(SIGTSTP);
        if (!signals_is_end(news.number)) continue;
        if (news.is_from_terminal) run->die_of = news.number;
        return news.number;
    }
    return 0;
}

static bool is_done(struct run *run)
{
    return atomic_load(&run->acquisition.is_done);
}

/* The store has never answered, or a signal came: nobody waits any more. */
static void cancel(struct run *run, struct tenure_op op)
{
    tenure_op_cancel(run->client, op);
    int64_t until_ns = boottime_ns() + CANCEL_MS * NS_PER_MS;
    int64_t left_ns;
    while (!is_done(run) && (left_ns = until_ns - boottime_ns()) > 0) {
        (void)await(run, (int)(left_ns / NS_PER_MS) + 1);
    }
    if (is_done(run) && run->acquisition.err == TENURE_OK) give_back(run);
}

/* Tell who is in the way while it lasts.  The signal that ended the wait, or 0. */
static int wait_for_grant(struct run *run, struct tenure_op op)
{
    const struct run_options *options = run->options;
    bool is_terminal = isatty(STDERR_FILENO);
    bool is_shown = options->is_verbose || (is_terminal && !options->is_quiet);
    int number = 0;
    bool is_in_vain = false;
    int patience_ms = PATIENCE_MS;
    while (!is_done(run) && number == 0 && !is_in_vain) {
        number = await(run, patience_ms);
        if (is_done(run) || number != 0) break;
        if (run->waiting == NULL && patience_ms > 0) {
            struct waiting_options waiting = {
                .command = options->command,
                .client = run->client,
                .name = options->names[0],
                .owner = run->owner,
                .is_shown = is_shown,
                .wake_fd = run->wake_fd,
            };
            run->waiting = waiting_start(&waiting);
            patience_ms = -1;
        }
        if (run->waiting == NULL) continue;
        waiting_show(run->waiting, is_terminal, columns_of(STDERR_FILENO));
        is_in_vain =
            waiting_is_in_vain(run->waiting, &run->acquisition.err, &run->acquisition.error);
    }
    if (run->waiting != NULL) waiting_stop(run->waiting, is_terminal);
    if (number != 0 || (is_in_vain && !is_done(run))) {
        struct tenure_error error = run->acquisition.error;
        cancel(run, op);
        if (is_in_vain) {
            run->acquisition.err = error.code;
            run->acquisition.error = error;
        }
    }
    return number;
}

/* ------------------------------------------------------------------ outcomes */

static void complain_not_obtained(struct run *run)
{
    const struct run_options *options = run->options;
    const struct tenure_obstacle *obstacle = &run->acquisition.obstacle;
    int code = options->is_quiet ? 0 : EXIT_NOT_OBTAINED;
    if (options->conflict_exit_code >= 0) code = options->conflict_exit_code;
    note_failure(run, RUN_NOT_OBTAINED, code);
    run->report.error = tenure_err_name(run->acquisition.err);
    if (options->is_quiet) return;
    char line[WAITING_LINE_SIZE];
    struct text text;
    text_init(&text, line, sizeof(line));
    struct waiting_facts facts = {
        .name = obstacle->name[0] == '\0' ? options->names[0] : obstacle->name,
        .owner = obstacle->owner[0] == '\0' ? NULL : obstacle->owner,
        .meta = obstacle->meta,
        .held_for_ms = obstacle->held_for_ms,
        .hold_count = 1,
    };
    waiting_compose(&facts, &text);
    complain(options->command, "not obtained: %s", line + strlen("waiting for "));
}

/* The lock is ours: leave its numbers where the environment and the report find them. */
static void note_grant(struct run *run)
{
    struct text tokens;
    struct text slots;
    text_init(&tokens, run->tokens, sizeof(run->tokens));
    text_init(&slots, run->slots, sizeof(run->slots));
    for (uint32_t i = 0; i < run->options->name_count; i++) {
        struct tenure_hold_name name;
        if (tenure_hold_name(run->acquisition.hold, i, &name) != TENURE_OK) continue;
        const char *comma = i > 0 ? "," : "";
        text_addf(&tokens, "%s%llu", comma, (unsigned long long)name.token);
        text_addf(&slots, "%s%u", comma, name.slot);
    }
    run->report.tokens = run->tokens;
    run->report.slots = run->slots;
}

bool obtain(struct run *run)
{
    int64_t begun_at_ns = boottime_ns();
    struct tenure_op op = { 0 };
    int number = 0;
    enum tenure_err err = start(run, &op);
    if (err == TENURE_OK) {
        number = wait_for_grant(run, op);
        err = run->acquisition.err;
    }
    run->granted_at_ns = boottime_ns();
    run->report.waited_ms = (run->granted_at_ns - begun_at_ns) / NS_PER_MS;
    if (number != 0) {
        note_failure(run, RUN_INTERRUPTED, 128 + number);
        return false;
    }
    if (err == TENURE_OK) {
        note_grant(run);
        return true;
    }
    if (err == TENURE_HELD || err == TENURE_TIMEOUT) {
        complain_not_obtained(run);
        return false;
    }
    note_failure(
        run, RUN_FAILED, connect_complain(run->options->command, err, &run->acquisition.error));
    run->report.error = tenure_err_name(err);
    return false;
}

void give_back(struct run *run)
{
    enum tenure_err err = tenure_hold_release_start(run->acquisition.hold, on_released, run);
    if (err != TENURE_OK) return;
    uint32_t timeout_ms = run->options->store.timeout_ms;
    if (timeout_ms == 0) timeout_ms = TIMEOUT_MS;
    bool is_lost = run->report.outcome == RUN_LOST;
    if (is_lost && timeout_ms > RELEASE_LOST_MS) timeout_ms = RELEASE_LOST_MS;
    int64_t until_ns = boottime_ns() + timeout_ms * NS_PER_MS;
    int die_of = run->die_of;
    while (!atomic_load(&run->release.is_done)) {
        int64_t left_ms = (until_ns - boottime_ns()) / NS_PER_MS;
        /* Who wants to go is let go: the lease ends by itself. */
        if (left_ms <= 0 || await(run, left_ms < INT_MAX ? (int)left_ms : INT_MAX) != 0) break;
    }
    /* A ^C now hurries us; it does not change how the command has ended. */
    run->die_of = die_of;
    run->report.end = tenure_end_name(TENURE_END_UNKNOWN);
    if (!atomic_load(&run->release.is_done)) return;
    if (run->release.err != TENURE_OK) return;
    run->report.end = tenure_end_name(run->release.end);
}
