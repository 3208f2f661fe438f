#include "cli/work_slot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/connect.h"

#define NS_PER_MS INT64_C(1000000)
#define PAUSE_MS  1000 /* before the store is asked again that did not answer */
#define CANCEL_MS 1000 /* for the store to hear that nobody waits any more */

/* ------------------------------------------------------------------ waiting */

/* Those whose parents left them to us, and who have ended. */
static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static void mind_signals(struct slot *slot)
{
    struct signal_news news;
    while (signals_next(&slot->signals, &news)) {
        if (news.number == SIGTSTP) signals_stop_self(SIGTSTP);
        if (signals_is_end(news.number)) slot_hurry(slot);
    }
}

void slot_await(struct slot *slot, int limit_ms)
{
    struct pollfd fds[] = {
        { .fd = slot->wake_fd, .events = POLLIN },
        { .fd = slot->signals.fd, .events = POLLIN },
        { .fd = slot->child_fd, .events = POLLIN },
    };
    struct signalfd_siginfo info;
    eventfd_t count;
    (void)poll(fds, 3, limit_ms);
    (void)eventfd_read(slot->wake_fd, &count);
    while (read(slot->child_fd, &info, sizeof(info)) > 0) {
    }
    reap();
    mind_signals(slot);
}

/* ------------------------------------------------------------------ taking */

/* Take one item, or be told to end. */
static enum tenure_err take(struct slot *slot)
{
    const struct work_options *options = slot->options;
    struct tenure_take_options terms = {
        .size = sizeof(terms),
        .queues = options->queues,
        .queue_count = options->queue_count,
        .worker = slot->worker,
        .count_max = 1,
        .wait_ms = options->idle_ms == WORK_IDLE_FOREVER ? TENURE_WAIT_FOREVER : options->idle_ms,
        .lease_ms = options->lease_ms,
        .on_at_risk = slot_on_risk,
        .on_held = slot_on_risk,
        .on_lost = slot_on_lost,
        .on_cancel = slot_on_cancel,
        .user = slot,
    };
    struct tenure_op op;
    atomic_store(&slot->is_taken, false);
    enum tenure_err err =
        tenure_take_start(slot->client, &terms, slot_on_taken, slot, &op, &slot->take_error);
    if (err != TENURE_OK) return err;
    while (!atomic_load(&slot->is_taken) && slot->stop == SLOT_GOES_ON) {
        slot_await(slot, -1);
    }
    if (!atomic_load(&slot->is_taken)) tenure_op_cancel(slot->client, op);
    int64_t until_ns = boottime_ns() + CANCEL_MS * NS_PER_MS;
    while (!atomic_load(&slot->is_taken) && boottime_ns() < until_ns) {
        slot_await(slot, CANCEL_MS);
    }
    return atomic_load(&slot->is_taken) ? slot->take_err : TENURE_CANCELED;
}

/* One more?  The crew has its limit together. */
static bool claim_turn(const struct slot *slot)
{
    uint64_t count_max = slot->options->item_count_max;
    uint64_t count = atomic_load(&slot->share->item_count);
    while (count_max == 0 || count < count_max) {
        if (atomic_compare_exchange_weak(&slot->share->item_count, &count, count + 1)) return true;
    }
    return false;
}

static void give_turn_back(const struct slot *slot)
{
    (void)atomic_fetch_sub(&slot->share->item_count, 1);
}

/* ------------------------------------------------------------------ the loop */

/* The store cannot be asked now.  True: go on, behind a pause. */
static bool is_passing(enum tenure_err err)
{
    return err == TENURE_UNAVAILABLE || err == TENURE_UNKNOWN || err == TENURE_NO_SPACE ||
           err == TENURE_TOO_MANY || err == TENURE_DRAINING || err == TENURE_NO_MEMORY;
}

/* False: end; `*out_code`. */
static bool mind_refusal(struct slot *slot, enum tenure_err err, int *out_code)
{
    const struct command *command = slot->options->command;
    *out_code = EX_OK;
    if (slot->stop != SLOT_GOES_ON || err == TENURE_CANCELED) return false;
    if (err == TENURE_TIMEOUT) {
        if (slot->options->is_once) *out_code = EXIT_NOT_OBTAINED;
        return false;
    }
    /* Only a store says so. */
    if (err == TENURE_NO_SPACE || err == TENURE_TOO_MANY || err == TENURE_DRAINING) {
        slot->is_known = true;
    }
    if (!is_passing(err) || !slot->is_known) {
        *out_code = connect_complain(command, err, &slot->take_error);
        return false;
    }
    if (!slot->is_away) {
        complain(command, "%s; it is asked again until it answers", slot->take_error.text);
    }
    slot->is_away = true;
    slot_await(slot, PAUSE_MS);
    return true;
}

/* True: end; `*out_code`. */
static bool mind_verdict(struct slot *slot, const struct work_verdict *verdict, int *out_code)
{
    slot->fault_count = verdict->is_fault ? slot->fault_count + 1 : 0;
    *out_code = verdict->exit_code;
    if (slot->options->is_once) return true;
    if (slot->fault_count < WORK_FAULT_COUNT_MAX) return false;
    complain(
        slot->options->command,
        "the command could not be executed %u times in a row: ending, so that the items are left "
        "to others",
        slot->fault_count);
    return true;
}

static int work(struct slot *slot)
{
    int code;
    while (slot->stop == SLOT_GOES_ON && claim_turn(slot)) {
        enum tenure_err err = take(slot);
        if (err == TENURE_OK && slot->stop != SLOT_GOES_ON) {
            slot_give_back(slot);
            err = TENURE_CANCELED;
        }
        if (err == TENURE_OK) err = tenure_item_of(slot->hold, &slot->item);
        if (err != TENURE_OK) {
            give_turn_back(slot);
            if (!mind_refusal(slot, err, &code)) return code;
            continue;
        }
        if (slot->is_away) complain(slot->options->command, "the store answers again");
        slot->is_away = false;
        slot->is_known = true;
        struct work_verdict verdict;
        slot_do_item(slot, &verdict);
        if (mind_verdict(slot, &verdict, &code)) return code;
        slot_await(slot, 0);
    }
    return EX_OK;
}

/* ------------------------------------------------------------------ life */

/* -1: errno says why. */
static int watch_children(void)
{
    sigset_t children;
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    if (pthread_sigmask(SIG_BLOCK, &children, NULL) != 0) return -1;
    return signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_and_work(struct slot *slot)
{
    const struct work_options *options = slot->options;
    int code = EX_SOFTWARE;
    /* In this order: the command gets the mask as it was. */
    bool is_open = signals_open(&slot->signals);
    slot->child_fd = watch_children();
    is_open = is_open && slot->child_fd >= 0;
    slot->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    slot->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    is_open = is_open && slot->wake_fd >= 0 && slot->null_fd >= 0;
    if (!is_open) complain(options->command, "cannot start: %s", strerrordesc_np(errno));
    if (is_open && connect_open(options->command, &options->store, &slot->client, &code)) {
        connect_url(&options->store, slot->client, slot->url, sizeof(slot->url));
        code = work(slot);
        tenure_client_close(slot->client);
    }
    reap();
    signals_close(&slot->signals);
    if (slot->child_fd >= 0) (void)close(slot->child_fd);
    if (slot->wake_fd >= 0) (void)close(slot->wake_fd);
    if (slot->null_fd >= 0) (void)close(slot->null_fd);
    return code;
}

int work_slot(const struct work_options *options, struct work_share *share)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    if (slot == NULL) {
        complain(options->command, "not enough memory");
        return EX_SOFTWARE;
    }
    slot->options = options;
    slot->share = share;
    slot->signals.fd = -1;
    owner_compose(slot->worker);
    if (options->worker != NULL) {
        (void)snprintf(slot->worker, sizeof(slot->worker), "%s", options->worker);
    }
    int code = open_and_work(slot);
    free(slot);
    return code;
}
