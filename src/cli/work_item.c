/* work_item - one item: its command from the start to the end, and what is said about it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/connect.h"
#include "cli/work_slot.h"

#define NS_PER_MS            INT64_C(1000000)
#define GRACE_MS_MAX         5000u
#define MARGIN_MS_MIN        10u
#define MARGIN_MS_MAX        250u
#define HEAR_MS              2000 /* for the store to hear it when there is no time */
#define LAPSE_MS             1000 /* what is left of the lease of one that was killed */
#define PROGRESS_INTERVAL_NS (500 * NS_PER_MS) /* so often it is told, at most */

/* ------------------------------------------------------------------ descriptors */

/* The body, to be read from its beginning.  -1: errno says why. */
static int make_body(const struct tenure_item *item)
{
    int fd = memfd_create("tenure-item", MFD_CLOEXEC);
    const char *at = item->body;
    size_t left = item->body_size;
    while (fd >= 0 && left > 0) {
        ssize_t written = write(fd, at, left);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            (void)close(fd);
            return -1;
        }
        at += written;
        left -= (size_t)written;
    }
    if (fd >= 0) (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

/* `fd` under a number of one digit, which every shell can use. */
static int move_to(int fd, int number)
{
    if (number < 0 || dup3(fd, number, O_CLOEXEC) != number) return fd;
    (void)close(fd);
    return number;
}

static bool open_job(struct slot *slot)
{
    struct run *run = slot->run;
    const struct work_options *options = slot->options;
    slot->job.standard_fds[0] = make_body(&slot->item);
    if (slot->job.standard_fds[0] < 0) return false;
    if (!taps_open(&slot->taps, options->has_result)) return false;
    if (pipe2(run->loss_fds, O_CLOEXEC) != 0) return false;
    int *control = &slot->taps.write_fds[TAP_CONTROL];
    run->loss_fds[0] = move_to(run->loss_fds[0], options->loss_number);
    *control = move_to(*control, options->control_number);
    slot->job.control_fd = *control;
    slot->job.standard_fds[1] = slot->taps.write_fds[TAP_RESULT];
    slot->job.standard_fds[2] = slot->taps.write_fds[TAP_ERRORS];
    return true;
}

/* The numbers that are kept stay taken. */
static void vacate(const struct slot *slot, int *fd)
{
    const struct work_options *options = slot->options;
    bool is_kept = *fd == options->loss_number || *fd == options->control_number;
    if (*fd >= 0 && is_kept) (void)dup3(slot->null_fd, *fd, O_CLOEXEC);
    if (*fd >= 0 && !is_kept) (void)close(*fd);
    *fd = -1;
}

static struct slot *slot_of(const struct run *run)
{
    return (struct slot *)(void *)((char *)run->job - offsetof(struct slot, job));
}

static void on_started(struct run *run)
{
    struct slot *slot = slot_of(run);
    vacate(slot, &run->loss_fds[0]);
    vacate(slot, &run->loss_fds[1]);
    vacate(slot, &slot->taps.write_fds[TAP_CONTROL]);
    taps_close_writers(&slot->taps);
    if (slot->job.standard_fds[0] >= 0) (void)close(slot->job.standard_fds[0]);
    slot->job.standard_fds[0] = -1;
}

static unsigned on_fill(struct run *run, struct pollfd *out_fds)
{
    return taps_fill(&slot_of(run)->taps, out_fds);
}

/* ------------------------------------------------------------------ while it runs */

static void on_control(const char *line, void *user)
{
    struct slot *slot = user;
    bool is_known;
    const char *progress = work_read_control(line, &slot->end, slot->reason, &is_known);
    if (!is_known) {
        complain(
            slot->options->command,
            "%s: '%.60s' is none of progress, retry, dead",
            slot->name,
            line);
    }
    if (progress != NULL && progress[0] != '\0') work_make_plain(progress, slot->progress);
}

static void tell_progress(struct slot *slot, int64_t now_ns)
{
    if (slot->progress[0] == '\0' || now_ns < slot->progress_at_ns) return;
    slot->progress_at_ns = now_ns + PROGRESS_INTERVAL_NS;
    /* When it does not arrive, the next one will. */
    (void)!tenure_item_progress_start(slot->hold, slot->progress, NULL, NULL);
    slot->progress[0] = '\0';
}

static void tell_to_stop(struct slot *slot, enum work_end_kind why, int64_t now_ns)
{
    if (slot->was_told) return;
    slot->was_told = true;
    slot->end.kind = why;
    slot->kill_at_ns = now_ns + slot->run_options.grace_ms * NS_PER_MS;
    guardian_tell(&slot->run->guardian, SIGTERM);
    guardian_tell(&slot->run->guardian, SIGCONT);
}

static void on_look(struct run *run)
{
    struct slot *slot = slot_of(run);
    int64_t now_ns = boottime_ns();
    taps_read(&slot->taps, on_control, slot);
    tell_progress(slot, now_ns);
    if (slot_is_cancelled(slot)) tell_to_stop(slot, WORK_CANCELLED, now_ns);
    if (slot->stop == SLOT_FINISHES && now_ns >= slot->stop_at_ns) slot->stop = SLOT_STOPS;
    if (slot->stop >= SLOT_STOPS) tell_to_stop(slot, WORK_STOPPED, now_ns);
    bool is_due = slot->was_told && now_ns >= slot->kill_at_ns;
    if (is_due || slot->stop == SLOT_KILLS) guardian_tell(&run->guardian, GUARDIAN_KILL);
}

static void on_signal(struct run *run, int number)
{
    struct slot *slot = slot_of(run);
    if (number == SIGUSR1 || number == SIGUSR2 || number == SIGWINCH) {
        guardian_tell(&run->guardian, (unsigned char)number);
    } else if (number == SIGTSTP) {
        signals_stop_self(SIGTSTP);
    } else if (signals_is_end(number)) {
        slot_hurry(slot);
    }
}

void slot_hurry(struct slot *slot)
{
    if (slot->stop < SLOT_KILLS) slot->stop++;
    if (slot->stop == SLOT_FINISHES) {
        slot->stop_at_ns = boottime_ns() + slot->options->grace_ms * NS_PER_MS;
    }
}

/* ------------------------------------------------------------------ the run */

/* Grace and margin are parts of what there is: the lease, or the longest run when that is shorter.
 */
static void settle_times(struct slot *slot)
{
    struct run_options *run_options = &slot->run_options;
    uint32_t lease_ms = slot->item.lease_ms;
    uint32_t timeout_ms = slot->item.timeout_ms;
    uint32_t span_ms = timeout_ms > 0 && timeout_ms < lease_ms ? timeout_ms : lease_ms;
    uint32_t margin_ms = span_ms / 20;
    uint32_t grace_ms = slot->options->kill_grace_ms;
    if (margin_ms < MARGIN_MS_MIN) margin_ms = MARGIN_MS_MIN;
    if (margin_ms > MARGIN_MS_MAX) margin_ms = MARGIN_MS_MAX;
    if (grace_ms == RUN_GRACE_UNSET) {
        grace_ms = span_ms / 5 < GRACE_MS_MAX ? span_ms / 5 : GRACE_MS_MAX;
    }
    if (grace_ms > span_ms / 3) grace_ms = span_ms / 3;
    run_options->ttl_ms = lease_ms;
    run_options->grace_ms = grace_ms;
    run_options->margin_ms = margin_ms;
    slot->job.stop_at_ns = TIME_NEVER;
    /* The store calls it failed at the timeout: the command is gone by then, and we say so. */
    if (timeout_ms > 0) {
        int64_t lead_ms = 2 * (int64_t)margin_ms + grace_ms;
        slot->job.stop_at_ns = slot->run->granted_at_ns + (timeout_ms - lead_ms) * NS_PER_MS;
    }
}

/* False: there is no memory, or there are no descriptors. */
static bool prepare(struct slot *slot)
{
    const struct work_options *options = slot->options;
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) return false;
    slot->run = run;
    run_options_init(&slot->run_options, options->command);
    slot->run_options.name_list = slot->name;
    slot->run_options.argv = options->argv;
    run->options = &slot->run_options;
    run->job = &slot->job;
    run->loss_fds[0] = -1;
    run->loss_fds[1] = -1;
    run->tty.fd = -1;
    run->signals = slot->signals;
    run->wake_fd = slot->wake_fd;
    run->client = slot->client;
    run->acquisition.hold = slot->hold;
    run->granted_at_ns = boottime_ns();
    (void)snprintf(run->owner, sizeof(run->owner), "%s", slot->item.worker);
    (void)snprintf(run->url, sizeof(run->url), "%s", slot->url);
    (void)snprintf(run->tokens, sizeof(run->tokens), "%" PRIu64, slot->item.token);
    slot->job = (struct run_job){
        .item = &slot->item,
        .standard_fds = { -1, -1, -1 },
        .control_fd = -1,
        .started = on_started,
        .fill = on_fill,
        .look = on_look,
        .signaled = on_signal,
    };
    slot->end = (struct work_end){ .kind = WORK_EXITED, .last_error = "", .reason = "" };
    slot->was_told = false;
    slot->progress[0] = '\0';
    slot->progress_at_ns = 0;
    settle_times(slot);
    return open_job(slot);
}

/* How it ended, from what the run has noted. */
static void note_end(struct slot *slot)
{
    const struct run *run = slot->run;
    struct work_end *end = &slot->end;
    int status = run->report.wait_status;
    switch (run->report.outcome) {
    case RUN_DONE:
        if (slot->was_told) break; /* it says already why */
        end->kind = WIFEXITED(status) ? WORK_EXITED : WORK_SIGNALED;
        end->number = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
        break;
    case RUN_LOST: end->kind = WORK_LOST; break;
    case RUN_MAX_HOLD: end->kind = WORK_TIMED_OUT; break;
    case RUN_NOT_STARTED:
        end->kind =
            run->report.exit_code == EXIT_NOT_FOUND || run->report.exit_code == EXIT_NOT_EXECUTABLE
                ? WORK_NOT_STARTED
                : WORK_BROKEN;
        end->number = run->report.exit_code;
        break;
    case RUN_NOT_OBTAINED:
    case RUN_INTERRUPTED:
    case RUN_FAILED: end->kind = run->report.is_unguarded ? WORK_UNGUARDED : WORK_BROKEN; break;
    }
    end->last_error = taps_last_error(&slot->taps);
}

/* Done although it was told to stop: it was quicker. */
static void honour_success(struct slot *slot)
{
    const struct run *run = slot->run;
    bool is_done = run->report.outcome == RUN_DONE && run->report.is_exited &&
                   WIFEXITED(run->report.wait_status) && WEXITSTATUS(run->report.wait_status) == 0;
    if (is_done && slot->end.kind == WORK_STOPPED) slot->end.kind = WORK_EXITED;
}

/* ------------------------------------------------------------------ what is said */

/* The library asks until the lease is over, which may be hours.  Who was told to end does not wait
 * for so long: what is left of the grace is all there is, and a further signal ends it at once.  A
 * moment there always is, because mostly the answer is as good as there. */
static int64_t hear_by_ns(const struct slot *slot, int64_t asked_at_ns)
{
    int64_t least_ns = asked_at_ns + HEAR_MS * NS_PER_MS;
    if (slot->stop == SLOT_GOES_ON) return TIME_NEVER;
    return slot->stop == SLOT_FINISHES && slot->stop_at_ns > least_ns ? slot->stop_at_ns : least_ns;
}

static enum tenure_err note_trouble(struct slot *slot, enum tenure_err err, const char *text)
{
    (void)snprintf(slot->trouble, sizeof(slot->trouble), "%s", text);
    return err;
}

/* For what was begun to be said, if it was. */
static enum tenure_err hear(struct slot *slot, enum tenure_err begin_err)
{
    enum slot_stop stop_first = slot->stop;
    int64_t asked_at_ns = boottime_ns();
    if (begin_err != TENURE_OK) {
        tenure_hold_forget(slot->hold); /* which is still ours */
        return note_trouble(slot, begin_err, tenure_err_text(begin_err));
    }
    while (!atomic_load(&slot->is_heard)) {
        int64_t now_ns = boottime_ns();
        int64_t by_ns = hear_by_ns(slot, asked_at_ns);
        bool is_urged = slot->stop > stop_first && slot->stop >= SLOT_STOPS;
        if (is_urged || now_ns >= by_ns) {
            return note_trouble(slot, TENURE_UNKNOWN, "the worker was told to end");
        }
        slot_await(slot, by_ns == TIME_NEVER ? -1 : (int)((by_ns - now_ns) / NS_PER_MS) + 1);
    }
    return note_trouble(slot, slot->heard_err, slot->heard_error.text);
}

/* The end of the lease is what counts as a lapse; with a long one that would be late.  Heard or
 * not, it comes. */
static void let_lapse(struct slot *slot)
{
    if (slot->item.lease_ms > LAPSE_MS) {
        (void)hear(slot, tenure_hold_renew_start(slot->hold, LAPSE_MS, slot_on_heard, slot));
    }
    tenure_hold_forget(slot->hold);
}

static enum tenure_err say(struct slot *slot, const struct work_verdict *verdict)
{
    atomic_store(&slot->is_heard, false);
    if (verdict->word == WORK_SAY_LAPSE) {
        let_lapse(slot);
        return TENURE_OK;
    }
    if (verdict->word == WORK_SAY_NOTHING) {
        tenure_hold_forget(slot->hold);
        return TENURE_LOST;
    }
    if (verdict->word == WORK_SAY_DONE) {
        const struct taps *taps = &slot->taps;
        return hear(
            slot,
            tenure_item_done_start(
                slot->hold, taps->result, taps->result_size, slot_on_heard, slot));
    }
    struct tenure_fail_options options = {
        .size = sizeof(options),
        .reason = verdict->reason[0] == '\0' ? NULL : verdict->reason,
        .delay_ms = verdict->delay_ms,
        .is_free = verdict->is_free,
        .is_dead = verdict->is_dead,
    };
    return hear(slot, tenure_item_fail_start(slot->hold, &options, slot_on_heard, slot));
}

void slot_give_back(struct slot *slot)
{
    const struct work_verdict verdict = { .word = WORK_SAY_FAIL, .is_free = true };
    (void)say(slot, &verdict);
}

static void report(const struct slot *slot, const struct work_verdict *verdict, enum tenure_err err)
{
    const struct command *command = slot->options->command;
    bool is_lost = verdict->word == WORK_SAY_NOTHING || err == TENURE_LOST;
    if (slot->taps.is_result_cut) {
        complain(command, "%s: the result was cut at %u bytes", slot->name, TAP_RESULT_SIZE_MAX);
    }
    if (err != TENURE_OK && !is_lost) {
        complain(command, "%s: its end was not heard: %s", slot->name, slot->trouble);
    } else if (is_lost && verdict->word != WORK_SAY_NOTHING) {
        complain(command, "%s: lost: what was done does not count", slot->name);
    } else if (verdict->word == WORK_SAY_LAPSE) {
        complain(command, "%s: %s: it counts as a lost worker", slot->name, verdict->reason);
    } else if (verdict->word == WORK_SAY_FAIL) {
        const char *what = verdict->is_dead ? "dead" : "failed";
        complain(command, "%s: %s: %s", slot->name, what, verdict->reason);
    } else if (slot->options->is_verbose && verdict->word == WORK_SAY_DONE) {
        complain(command, "%s: done", slot->name);
    }
}

void slot_do_item(struct slot *slot, struct work_verdict *out_verdict)
{
    (void)snprintf(slot->name, sizeof(slot->name), "%s/%s", slot->item.queue, slot->item.id);
    if (slot->options->is_verbose) complain(slot->options->command, "%s: begun", slot->name);
    slot->taps = (struct taps){ .read_fds = { -1, -1, -1 }, .write_fds = { -1, -1, -1 } };
    if (prepare(slot)) {
        supervise(slot->run);
        taps_read(&slot->taps, on_control, slot);
        note_end(slot);
        honour_success(slot);
    } else {
        complain(slot->options->command, "%s: %s", slot->name, strerrordesc_np(errno));
        if (slot->run != NULL) on_started(slot->run);
        slot->end = (struct work_end){ .kind = WORK_BROKEN, .last_error = "", .reason = "" };
    }
    /* Signals that came at the very end. */
    work_judge(&slot->end, out_verdict);
    enum tenure_err err = say(slot, out_verdict);
    report(slot, out_verdict, err);
    if (err != TENURE_OK) out_verdict->exit_code = tenure_err_exit_code(err);
    taps_close(&slot->taps);
    if (slot->run != NULL) leash_destroy(slot->run->leash);
    free(slot->run);
    slot->run = NULL;
}
