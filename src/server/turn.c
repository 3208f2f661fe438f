#include "server/turn.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "server/backend.h"
#include "server/log.h"
#include "server/notify.h"

#define RESUME_ROUND_COUNT 64 /* looks at input that answers have made possible, in one turn */
#define STOP_NS            (5 * NS_PER_S)

/* Looks at sockets in one turn: clients write while others of them are read, and one commit for all
 * costs less than two. */
#define LOOK_COUNT_MAX 8

void turn_die(int exit_code, const char *text)
{
    log_write(LOG_ERROR, "%s", text);
    /* No destructors, no flush: an answer that still lies in a buffer must not leave. */
    _exit(exit_code);
}

/* ------------------------------------------------------------------ the clock */

static struct mono read_mono(void)
{
    struct timespec time = { 0 };
    (void)clock_gettime(CLOCK_BOOTTIME, &time);
    return (struct mono){ time.tv_sec * NS_PER_S + time.tv_nsec };
}

static struct wall read_wall(void)
{
    struct timespec time = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (struct wall){ time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000 };
}

void turn_wake(struct server *server)
{
    struct turn *turn = server->turn;
    if (turn->is_awake) return;
    turn->is_awake = true;
    int64_t away_ns = read_mono().ns - server->now.ns;
    server->now.ns += away_ns;
    server->wall = read_wall();
    turn->heard_at = server->now;
    if (server->backend != NULL) server->backend->wake(server, away_ns);
}

void turn_hear(struct server *server)
{
    server->turn->heard_at = read_mono();
}

/* ------------------------------------------------------------------ what sessions ask for */

void server_submit(struct server *server, struct session *session, struct engine_command *command)
{
    server->backend->submit(server, session, command);
}

void server_ask(struct server *server, struct session *session, const struct query *query)
{
    server->backend->ask(server, session, query);
}

uint64_t server_tag(struct server *server)
{
    return ++server->turn->tag;
}

struct bytes server_owner(struct server *server, char out_text[static 40])
{
    static const char digits[] = "0123456789abcdef";
    struct turn *turn = server->turn;
    if (turn->random_used + 16 > TURN_RANDOM_SIZE) {
        for (size_t size = 0; size < TURN_RANDOM_SIZE;) {
            ssize_t count = getrandom(turn->random + size, TURN_RANDOM_SIZE - size, 0);
            if (count > 0) size += (size_t)count;
        }
        turn->random_used = 0;
    }
    for (size_t index = 0; index < 16; index++) {
        unsigned char byte = turn->random[turn->random_used++];
        out_text[2 * index] = digits[byte >> 4];
        out_text[2 * index + 1] = digits[byte & 15];
    }
    return (struct bytes){ out_text, 32 };
}

/* ------------------------------------------------------------------ the parts of a turn */

/* True when there is still input to look at. */
static bool resume_sessions(struct server *server)
{
    session_reap(server);
    for (unsigned round = 0; round < RESUME_ROUND_COUNT; round++) {
        if (!session_resume_all(server)) return false;
        session_reap(server);
    }
    return session_has_resumable(server);
}

static bool is_spinning(const struct server *server)
{
    int64_t spin_ns = server->config->spin_us * INT64_C(1000);
    return spin_ns != 0 && read_mono().ns - server->turn->idle_since.ns < spin_ns;
}

static void poll_events(struct server *server, bool may_sleep)
{
    if (may_sleep) may_sleep = server->backend->may_sleep(server);
    uv_run_mode mode = may_sleep ? UV_RUN_ONCE : UV_RUN_NOWAIT;
    for (unsigned looks = 0; looks < LOOK_COUNT_MAX; looks++) {
        uint64_t read_count = server->net.read_count;
        (void)uv_run(server->loop, mode);
        if (server->net.read_count == read_count) return;
        mode = UV_RUN_NOWAIT;
    }
}

/* ------------------------------------------------------------------ stopping */

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    turn_wake(server);
    if (server->turn->signal_count++ == 0) {
        log_write(LOG_INFO, "%s: shutting down", number == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

static void begin_stop(struct server *server)
{
    struct turn *turn = server->turn;
    server->is_draining = true;
    notify_send("STOPPING=1");
    for (uint32_t index = 0; index < server->listener_count; index++) {
        listener_close(&server->listeners[index]);
    }
    server->backend->drain(server);
    session_close_all(server);
    turn->stop_at = (struct mono){ server->now.ns + STOP_NS };
}

/* After a signal: waiters are told, answers are flushed, clients are let go; after a while, or a
 * second signal, those who do not take their answers are cut off. */
static void advance_stop(struct server *server)
{
    struct turn *turn = server->turn;
    if (turn->signal_count == 0) return;
    if (!server->is_draining) begin_stop(server);
    bool is_late = turn->signal_count > 1 || server->now.ns >= turn->stop_at.ns;
    if (!server->backend->is_settled(server, is_late)) return;
    if (server->session_count == 0) {
        turn->is_stopped = true;
    } else if (is_late) {
        session_abort_all(server);
    }
}

static void on_second(uv_timer_t *timer)
{
    struct server *server = timer->data;
    turn_wake(server);
    session_tick_all(server);
    server->backend->second(server);
    uint64_t refused = 0;
    for (uint32_t index = 0; index < server->listener_count; index++) {
        refused += server->listeners[index].refused_count;
        server->listeners[index].refused_count = 0;
    }
    server->metrics.connections_refused += refused;
}

/* ------------------------------------------------------------------ the loop */

/* One turn, in this order, which is fixed:
 *
 *   poll      sleep until something happens
 *   input     read all that has arrived, parse it, let the engine decide (callbacks inside the
 *             poll; it looks again while more arrives); while that takes long, the first records
 *             go to an idle committer
 *   timers    only now end what is due: a renewal that has arrived comes before its expiry
 *   resume    look at the input of those whose wait has ended
 *   work      the engine learns how far the disk has come; then the records of this turn go to the
 *             committer as one batch, if it is idle; else they gather with those of the next turn
 *   release   answers and events that the disk has caught up with may leave
 *   write     once for each connection
 *
 * A relay has neither an engine nor a disk: requests go to its store in the input, and the store's
 * answers come in the poll as other input does.
 *
 * True when something is left to do and the loop must not sleep. */
static bool run_turn(struct server *server)
{
    const struct backend *backend = server->backend;
    turn_wake(server);
    bool is_left = backend->run_timers(server);
    if (resume_sessions(server)) is_left = true;
    if (backend->work(server)) is_left = true;
    net_release(&server->net, server->durable);
    events_pump(server->events, server->durable, server->now);
    advance_stop(server);
    net_flush(&server->net);
    if (!list_is_empty(&server->net.ready) || session_has_resumable(server)) is_left = true;
    backend->rest(server);
    server->turn->is_awake = false;
    return is_left;
}

static void observe_turn(struct server *server)
{
    server->metrics.bytes_in = server->net.read_bytes;
    server->metrics.bytes_out = server->net.written_bytes;
    metrics_observe_turn(&server->metrics, read_mono().ns - server->now.ns);
}

int turn_run(struct server *server)
{
    struct turn *turn = server->turn;
    bool is_left = true;
    bool may_sleep = false;
    uint64_t ran_at_ms = 0;
    while (!turn->is_stopped) {
        poll_events(server, may_sleep);
        bool is_busy = turn->is_awake || is_left || events_are_left(server->events) ||
                       server->backend->has_news(server);
        /* Timers that are not the turn's own may have fired: the clock of the loop tells. */
        if (is_busy || may_sleep || uv_now(server->loop) != ran_at_ms) {
            is_left = run_turn(server);
            ran_at_ms = uv_now(server->loop);
        }
        if (is_busy) {
            observe_turn(server);
            turn->idle_since = server->now;
        }
        /* A timer that is due at once would not do for events that are left: it runs before the
         * loop sleeps, and the loop sleeps all the same. */
        may_sleep = !is_left && !events_are_left(server->events) && !is_spinning(server);
        /* Where the committer has to share a processor with the loop, it must get it. */
        if (!may_sleep && !is_busy) (void)sched_yield();
    }
    return 0;
}

/* ------------------------------------------------------------------ life */

static bool init_handles(struct server *server)
{
    struct turn *turn = server->turn;
    static const int numbers[2] = { SIGTERM, SIGINT };
    turn->second.data = server;
    (void)uv_timer_init(server->loop, &turn->second);
    (void)uv_timer_start(&turn->second, on_second, 1000, 1000);
    for (size_t index = 0; index < 2; index++) {
        turn->signals[index].data = server;
        if (uv_signal_init(server->loop, &turn->signals[index]) != 0) return false;
        if (uv_signal_start(&turn->signals[index], on_signal, numbers[index]) != 0) return false;
    }
    return true;
}

enum tenure_err turn_create(struct server *server, struct tenure_error *out_error)
{
    struct turn *turn = memory_take(&memory_heap, sizeof(*turn));
    if (turn != NULL) {
        *turn = (struct turn){ .server = server, .random_used = TURN_RANDOM_SIZE };
        server->turn = turn;
        turn_wake(server);
        turn->is_awake = false;
        if (init_handles(server)) return TENURE_OK;
    }
    *out_error = (struct tenure_error){ .code = TENURE_NO_MEMORY, .text = "not enough memory" };
    return TENURE_NO_MEMORY;
}

/* Closing a signal handle gives the signal its default action back, which is to kill: a second
 * SIGTERM must not turn an orderly end into a violent one at the last moment. */
static void ignore_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void turn_destroy(struct server *server)
{
    struct turn *turn = server->turn;
    if (turn == NULL) return;
    ignore_signals();
    for (size_t index = 0; index < 2; index++) {
        uv_close((uv_handle_t *)&turn->signals[index], NULL);
    }
    uv_close((uv_handle_t *)&turn->second, NULL);
    (void)uv_run(server->loop, UV_RUN_DEFAULT);
    memory_give(&memory_heap, turn, sizeof(*turn));
    server->turn = NULL;
}
