#include "cli/waiting.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define REFRESH_S 2

struct waiting {
    pthread_t thread;
    struct waiting_options options;
    pthread_mutex_t mutex; /* over what follows */
    pthread_cond_t changed;
    bool is_stopped;
    bool is_new;     /* `line` has not been printed */
    bool is_refused; /* the first question failed; `error` says how */
    struct tenure_error error;
    char line[WAITING_LINE_SIZE]; /* what to print */
    char key[WAITING_LINE_SIZE];  /* the same without the time that passes */
    char printed_key[WAITING_LINE_SIZE];
};

static int64_t wall_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* Leave what is known where waiting_show() finds it. */
static void note(struct waiting *waiting, struct waiting_facts *facts)
{
    (void)pthread_mutex_lock(&waiting->mutex);
    struct text line;
    text_init(&line, waiting->line, sizeof(waiting->line));
    waiting_compose(facts, &line);
    facts->held_for_ms = -1;
    text_init(&line, waiting->key, sizeof(waiting->key));
    waiting_compose(facts, &line);
    waiting->is_new = true;
    (void)pthread_mutex_unlock(&waiting->mutex);
}

/* Called on the library's thread, while ours waits in tenure_inspect(). */
static void look(const struct tenure_lock_view *view, void *user)
{
    struct waiting *waiting = user;
    struct waiting_facts facts = {
        .name = waiting->options.name,
        .held_for_ms = -1,
        .lock_delay_ms = view->lock_delay_ms,
        .hold_count = view->hold_count,
    };
    if (view->holder_count > 0) {
        const struct tenure_holder *holder = &view->holders[0];
        facts.owner = holder->owner;
        facts.meta = holder->meta;
        facts.held_for_ms = (wall_us() - holder->acquired_at_us) / 1000;
        if (facts.held_for_ms < 0) facts.held_for_ms = 0;
        if (holder->acquired_at_us == 0) facts.held_for_ms = -1;
    }
    for (uint32_t i = 0; i < view->waiters_here; i++) {
        if (strcmp(view->waiters[i].owner, waiting->options.owner) == 0) {
            facts.position = view->waiters[i].position;
        }
    }
    note(waiting, &facts);
}

/* Until somebody wants us to stop, or it is time to ask again. */
static bool pause_until_next(struct waiting *waiting)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REFRESH_S;
    (void)pthread_mutex_lock(&waiting->mutex);
    int result = 0;
    while (!waiting->is_stopped && result == 0) {
        result = pthread_cond_timedwait(&waiting->changed, &waiting->mutex, &until);
    }
    bool is_going_on = !waiting->is_stopped;
    (void)pthread_mutex_unlock(&waiting->mutex);
    return is_going_on;
}

static void *run_waiting(void *user)
{
    struct waiting *waiting = user;
    bool is_answered = false;
    do {
        struct tenure_error error = { .code = TENURE_OK };
        enum tenure_err err =
            tenure_inspect(waiting->options.client, waiting->options.name, look, waiting, &error);
        bool is_away = err == TENURE_UNAVAILABLE || err == TENURE_UNKNOWN || err == TENURE_IO;
        (void)pthread_mutex_lock(&waiting->mutex);
        if (is_away && !is_answered) {
            waiting->is_refused = true;
            waiting->error = error;
            waiting->error.code = err;
        }
        (void)pthread_mutex_unlock(&waiting->mutex);
        struct waiting_facts silence = { .name = waiting->options.name, .is_silent = true };
        if (is_away && is_answered) note(waiting, &silence);
        is_answered = is_answered || !is_away;
        (void)eventfd_write(waiting->options.wake_fd, 1);
    } while ((waiting->options.is_shown || !is_answered) && pause_until_next(waiting));
    return NULL;
}

struct waiting *waiting_start(const struct waiting_options *options)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (waiting == NULL) return NULL;
    waiting->options = *options;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&waiting->mutex, NULL);
    (void)pthread_cond_init(&waiting->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (pthread_create(&waiting->thread, NULL, run_waiting, waiting) != 0) {
        (void)pthread_cond_destroy(&waiting->changed);
        (void)pthread_mutex_destroy(&waiting->mutex);
        free(waiting);
        return NULL;
    }
    return waiting;
}

void waiting_show(struct waiting *waiting, bool is_terminal, size_t columns)
{
    (void)pthread_mutex_lock(&waiting->mutex);
    bool is_changed = strcmp(waiting->key, waiting->printed_key) != 0;
    if (waiting->is_new && waiting->options.is_shown && is_terminal) {
        char buffer[WAITING_LINE_SIZE];
        struct text line;
        text_init(&line, buffer, sizeof(buffer));
        text_add(&line, waiting->line);
        text_fit(&line, columns > 1 ? columns - 1 : 1);
        (void)fprintf(stderr, "\r%s\033[K", buffer);
        (void)fflush(stderr);
    } else if (waiting->is_new && waiting->options.is_shown && is_changed) {
        complain(waiting->options.command, "%s", waiting->line);
    }
    if (waiting->is_new) memcpy(waiting->printed_key, waiting->key, sizeof(waiting->key));
    waiting->is_new = false;
    (void)pthread_mutex_unlock(&waiting->mutex);
}

bool waiting_is_in_vain(
    struct waiting *waiting, enum tenure_err *out_err, struct tenure_error *out_error)
{
    (void)pthread_mutex_lock(&waiting->mutex);
    bool is_in_vain = waiting->is_refused;
    if (is_in_vain) {
        *out_err = waiting->error.code;
        *out_error = waiting->error;
    }
    (void)pthread_mutex_unlock(&waiting->mutex);
    return is_in_vain;
}

void waiting_stop(struct waiting *waiting, bool is_terminal)
{
    (void)pthread_mutex_lock(&waiting->mutex);
    waiting->is_stopped = true;
    waiting->is_new = false;
    if (is_terminal && waiting->options.is_shown && waiting->printed_key[0] != '\0') {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
    (void)pthread_cond_signal(&waiting->changed);
    (void)pthread_mutex_unlock(&waiting->mutex);
}

void waiting_destroy(struct waiting **waiting)
{
    if (*waiting == NULL) return;
    (void)pthread_join((*waiting)->thread, NULL);
    (void)pthread_cond_destroy(&(*waiting)->changed);
    (void)pthread_mutex_destroy(&(*waiting)->mutex);
    free(*waiting);
    *waiting = NULL;
}
