#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "conformance/conformance.h"

int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_ms(unsigned duration_ms)
{
    struct timespec pause = { duration_ms / 1000, (long)(duration_ms % 1000) * 1000000 };
    (void)nanosleep(&pause, NULL);
}

const char *fresh(const char *prefix)
{
    static char texts[64][256];
    static unsigned used;
    uint64_t random;
    CHECK(used < 64);
    CHECK_EQ_INT(getrandom(&random, sizeof(random), 0), sizeof(random));
    char *text = texts[used++];
    (void)snprintf(text, sizeof(texts[0]), "%s/%016llx", prefix, (unsigned long long)random);
    return text;
}

/* ------------------------------------------------------------------ locks */

struct tenure_lock_options plain(const char *const *name, uint32_t ttl_ms, uint32_t wait_ms)
{
    return (struct tenure_lock_options){
        .size = sizeof(struct tenure_lock_options),
        .names = name,
        .name_count = 1,
        .ttl_ms = ttl_ms,
        .wait_ms = wait_ms,
        .is_kept_by_caller = true,
    };
}

struct tenure_hold lock(struct tenure_client client, const struct tenure_lock_options *options)
{
    struct tenure_hold hold = { 0 };
    struct tenure_error error = { 0 };
    enum tenure_err err = tenure_lock(client, options, &hold, NULL, &error);
    if (err != TENURE_OK) {
        FAIL("lock %s: %s: %s", options->names[0], tenure_err_name(err), error.text);
    }
    return hold;
}

enum tenure_err try_lock(struct tenure_client client, const struct tenure_lock_options *options)
{
    struct tenure_hold hold = { 0 };
    enum tenure_err err = tenure_lock(client, options, &hold, NULL, NULL);
    if (err == TENURE_OK) unlock(hold);
    return err;
}

void check_refused(
    struct tenure_client client, const struct tenure_lock_options *options, enum tenure_err err)
{
    struct tenure_hold hold = { 77 };
    struct tenure_error error = { 0 };
    enum tenure_err is = tenure_lock(client, options, &hold, NULL, &error);
    test_note("%s: %s", tenure_err_name(is), error.text);
    CHECK_EQ_TEXT(tenure_err_name(is), tenure_err_name(err));
    CHECK_EQ_INT(error.code, err);
    CHECK(error.text[0] != '\0');
    CHECK_EQ_UINT(hold.id, 77);
}

void unlock(struct tenure_hold hold)
{
    struct tenure_release release = { .end = TENURE_END_UNKNOWN };
    enum tenure_err err = tenure_hold_release(hold, &release);
    test_note("release: %s, %s", tenure_err_name(err), tenure_end_name(release.end));
    CHECK_EQ_INT(err, TENURE_OK);
    CHECK_EQ_INT(release.end, TENURE_END_RELEASED);
    CHECK_EQ_INT(release.overlap_ms, 0);
}

struct claim_texts claim_of(struct tenure_hold hold)
{
    struct tenure_hold_info info;
    struct claim_texts texts;
    CHECK_EQ_INT(tenure_hold_info(hold, &info), TENURE_OK);
    (void)snprintf(texts.owner, sizeof(texts.owner), "%s", info.owner);
    texts.token = tenure_hold_token(hold);
    return texts;
}

/* ------------------------------------------------------------------ what callbacks tell */

static uint64_t order_last;
static pthread_mutex_t order_mutex = PTHREAD_MUTEX_INITIALIZER;

void seen_init(struct seen *seen)
{
    *seen = (struct seen){ .err = TENURE_INTERNAL };
    (void)pthread_mutex_init(&seen->mutex, NULL);
    (void)pthread_cond_init(&seen->changed, NULL);
}

static void on_at_risk(struct tenure_hold hold, int64_t remaining_ms, void *user)
{
    struct seen *seen = user;
    (void)hold;
    (void)remaining_ms;
    (void)pthread_mutex_lock(&seen->mutex);
    seen->risk_count++;
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
}

static void on_lost(struct tenure_hold hold, enum tenure_loss loss, void *user)
{
    struct seen *seen = user;
    (void)pthread_mutex_lock(&seen->mutex);
    seen->lost_count++;
    seen->loss = loss;
    seen->lost_at_ms = now_ms();
    seen->was_valid_when_lost = tenure_hold_valid(hold);
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
}

void tell_to(struct tenure_lock_options *options, struct seen *seen)
{
    options->on_at_risk = on_at_risk;
    options->on_lost = on_lost;
    options->user = seen;
}

static void on_acquired(
    enum tenure_err err,
    struct tenure_hold hold,
    const struct tenure_obstacle *obstacle,
    const struct tenure_error *error,
    void *user)
{
    struct seen *seen = user;
    (void)obstacle;
    (void)error;
    (void)pthread_mutex_lock(&order_mutex);
    uint64_t order = ++order_last;
    (void)pthread_mutex_unlock(&order_mutex);
    (void)pthread_mutex_lock(&seen->mutex);
    seen->done_count++;
    seen->err = err;
    seen->hold = hold;
    seen->done_at_ms = now_ms();
    seen->order = order;
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
}

struct tenure_op start_lock(
    struct tenure_client client, const struct tenure_lock_options *options, struct seen *seen)
{
    struct tenure_op op = { 0 };
    struct tenure_error error = { 0 };
    enum tenure_err err = tenure_lock_start(client, options, on_acquired, seen, &op, &error);
    if (err != TENURE_OK) FAIL("start: %s: %s", tenure_err_name(err), error.text);
    return op;
}

void await(struct seen *seen, const unsigned *counter, unsigned least)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 25;
    (void)pthread_mutex_lock(&seen->mutex);
    int failure = 0;
    while (*counter < least && failure == 0) {
        failure = pthread_cond_timedwait(&seen->changed, &seen->mutex, &until);
    }
    (void)pthread_mutex_unlock(&seen->mutex);
    if (failure != 0) FAIL("waited in vain");
}

bool is_reached(struct seen *seen, const unsigned *counter, unsigned least)
{
    (void)pthread_mutex_lock(&seen->mutex);
    bool is = *counter >= least;
    (void)pthread_mutex_unlock(&seen->mutex);
    return is;
}

/* ------------------------------------------------------------------ looking */

static void keep_view(const struct tenure_lock_view *from, void *user)
{
    struct view *view = user;
    view->is_found = true;
    view->hold_count = from->hold_count;
    view->waiter_count = from->waiter_count;
    if (from->holder_count > 0) {
        const struct tenure_holder *holder = &from->holders[0];
        (void)snprintf(view->owner, sizeof(view->owner), "%s", holder->owner);
        (void)snprintf(view->meta, sizeof(view->meta), "%s", holder->meta);
        view->token = holder->token;
        view->ttl_ms = holder->ttl_ms;
        view->remaining_ms = holder->remaining_ms;
        view->votes = holder->votes;
        view->node_count = holder->node_count;
        view->is_breaking = holder->is_breaking;
    }
    for (uint32_t index = 0; index < from->waiters_here && index < 8; index++) {
        (void)snprintf(view->waiters[index], 256, "%s", from->waiters[index].owner);
        view->positions[index] = from->waiters[index].position;
        view->waiters_here++;
    }
}

struct view look(struct tenure_client client, const char *name)
{
    struct view view = { 0 };
    struct tenure_error error = { 0 };
    enum tenure_err err = tenure_inspect(client, name, keep_view, &view, &error);
    if (err != TENURE_OK && err != TENURE_NOT_FOUND) {
        FAIL("inspect %s: %s: %s", name, tenure_err_name(err), error.text);
    }
    CHECK_EQ_INT(view.is_found, err == TENURE_OK);
    return view;
}

void await_waiters(struct tenure_client client, const char *name, uint32_t count)
{
    int64_t end_ms = now_ms() + 20000;
    while (look(client, name).waiter_count != count) {
        if (now_ms() > end_ms) FAIL("never %u waiters", (unsigned)count);
        sleep_ms(2);
    }
    /* One node names it; whoever came after it now could still be told a lower number than others
     * of a majority do.  Places are settled in two round trips. */
    if (kind()->node_count > 0) sleep_ms(40);
}

void await_free(struct tenure_client client, const char *name)
{
    int64_t end_ms = now_ms() + 20000;
    while (look(client, name).hold_count != 0) {
        if (now_ms() > end_ms) FAIL("never free");
        sleep_ms(2);
    }
}
