#include "server/turn.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/scrub.h"

/* While there are deadlines the loop wakes at least this often; if it was away for much longer, it
 * was stopped, starved or stuck, and could not have received a renewal. */
#define GUARD_NS      (50 * NS_PER_MS)
#define STALL_NS      (100 * NS_PER_MS)
#define SETTLE_NS_MAX NS_PER_S

#define TIMER_BATCH_COUNT  4  /* calls of ENGINE_TIMER in one turn */
#define RESUME_ROUND_COUNT 64 /* looks at input that answers have made possible, in one turn */
#define STOP_NS            (5 * NS_PER_S)

/* Looks at sockets in one turn: clients write while others of them are read, and one commit for all
 * costs less than two. */
#define LOOK_COUNT_MAX 8

/* So many records are worth a commit of their own before the turn is over. */
#define EARLY_COUNT 128

/* A disk that has not finished a commit for so long gets no new grants: their requests would pile
 * up behind it, and who waits for an answer is better told. */
#define SLOW_NS (2 * NS_PER_S)

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

static void report_stall(struct server *server, int64_t stall_ns)
{
    struct turn *turn = server->turn;
    turn->is_settling = true;
    turn->settle_at = (struct mono){ server->now.ns + SETTLE_NS_MAX };
    metrics_observe_stall(&server->metrics, stall_ns);
    log_write(
        LOG_WARNING,
        "could not receive for %" PRId64 " ms; all deadlines move by that",
        stall_ns / NS_PER_MS);
    struct engine_event event = { .kind = ENGINE_STALLED, .stall_ns = stall_ns };
    (void)turn_step(server, &event, NULL);
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
    /* Before any input of this turn is applied: a renewal that waited in the socket counts from the
     * moved time. */
    if (turn->is_guarded && away_ns > STALL_NS) report_stall(server, away_ns - GUARD_NS);
}

void turn_hear(struct server *server)
{
    server->turn->heard_at = read_mono();
}

/* ------------------------------------------------------------------ the engine */

static void gather_records(struct turn *turn, const struct engine_update *update)
{
    if (update->record_count == 0) return;
    if (turn->pending_count == 0) turn->pending_first = update->first;
    buffer_append_bytes(&turn->pending, update->records);
    /* The engine is ahead of what can be written down; nothing of it has left. */
    if (turn->pending.is_failed) turn_die(EX_OSERR, "not enough memory for the journal's batch");
    turn->pending_count += update->record_count;
}

static void offer_pending(struct server *server)
{
    struct turn *turn = server->turn;
    if (turn->pending_count == 0) return;
    struct seq last = { turn->pending_first.value + turn->pending_count - 1 };
    if (!committer_offer(turn->committer, &turn->pending, turn->pending_count, turn->pending_first))
    {
        return;
    }
    turn->pending_count = 0;
    net_offer(&server->net, last);
}

/* A long input begins on its way to the disk while the rest of it is looked at: else a client that
 * keeps many requests under way, the server and the disk would take turns in working. */
static void offer_early(struct server *server)
{
    const struct turn *turn = server->turn;
    if (turn->pending_count < EARLY_COUNT) return;
    bool is_disk_idle = committer_durable(turn->committer).value == server->net.offered.value;
    if (is_disk_idle) offer_pending(server);
}

static void
hand_out(struct server *server, const struct engine_reply *reply, const struct session *submitter)
{
    metrics_observe_reply(&server->metrics, reply);
    struct session *session = session_find(server, reply->client);
    if (session == NULL || session->is_ended) return;
    session->is_waiting = false;
    session->protocol->on_reply(session, reply);
    if (session != submitter) session_resume(session);
}

bool turn_step(struct server *server, struct engine_event *event, struct session *submitter)
{
    struct engine_update update;
    /* A command counts from when it was read: a client counts from before it was sent, and in a
     * long turn that is later than the turn began. */
    event->now = event->kind == ENGINE_COMMAND ? server->turn->heard_at : server->now;
    event->wall = server->wall;
    enum tenure_err err = engine_step(server->engine, event, &update);
    if (err != TENURE_OK) turn_die(EX_OSERR, "not enough memory");
    gather_records(server->turn, &update);
    for (uint32_t index = 0; index < update.reply_count; index++) {
        hand_out(server, &update.replies[index], submitter);
    }
    offer_early(server);
    return update.is_waiting;
}

void turn_client_gone(struct server *server, uint64_t client)
{
    struct engine_event event = { .kind = ENGINE_CLIENT_GONE, .client = client };
    (void)turn_step(server, &event, NULL);
}

void turn_ready(struct server *server)
{
    struct engine_event event = { .kind = ENGINE_READY };
    (void)turn_step(server, &event, NULL);
    server->is_ready = true;
}

void server_submit(struct server *server, struct session *session, struct engine_command *command)
{
    command->client = session->id;
    struct engine_event event = { .kind = ENGINE_COMMAND, .command = command };
    if (turn_step(server, &event, session)) session->is_waiting = true;
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

struct journal_status server_journal_status(const struct server *server)
{
    return journal_status(server->turn->journal);
}

/* ------------------------------------------------------------------ the parts of a turn */

static void set_gate(struct server *server, enum engine_gate gate)
{
    struct turn *turn = server->turn;
    if (turn->gate == gate || turn->gate == ENGINE_GATE_DRAINING) return;
    bool was_full = turn->gate == ENGINE_GATE_NO_SPACE;
    bool is_memory = turn->is_memory_short;
    turn->gate = gate;
    server->is_full = gate == ENGINE_GATE_NO_SPACE;
    server->is_disk_slow = gate == ENGINE_GATE_SLOW;
    if (gate == ENGINE_GATE_NO_SPACE) {
        log_write(
            LOG_WARNING,
            is_memory ? "there is no memory to write to the disk: no new grants until there is"
                      : "the disk is full: no new grants until there is room");
    } else if (gate == ENGINE_GATE_SLOW) {
        log_write(
            LOG_WARNING, "the disk has not finished a write for 2 s: no new grants until it does");
    } else if (gate == ENGINE_GATE_OPEN) {
        const char *text = !was_full   ? "the disk takes writes again"
                           : is_memory ? "there is memory again to write to the disk"
                                       : "there is room on the disk again";
        log_write(LOG_INFO, "%s", text);
    }
    struct engine_event event = { .kind = ENGINE_GATE, .gate = gate };
    (void)turn_step(server, &event, NULL);
}

/* True when more is due than one turn takes. */
static bool run_timers(struct server *server)
{
    struct turn *turn = server->turn;
    bool had_input = server->net.read_count != turn->input_count;
    turn->input_count = server->net.read_count;
    bool is_left = server->net.has_more; /* a full read may have left something behind */
    server->net.has_more = false;
    if (engine_deadline(server->engine).ns > server->now.ns) {
        turn->is_settling = false;
        return false;
    }
    if (is_left && !turn->is_settling) {
        turn->is_settling = true;
        turn->settle_at = (struct mono){ server->now.ns + SETTLE_NS_MAX };
    }
    if (turn->is_settling && (had_input || is_left) && server->now.ns < turn->settle_at.ns) {
        return true;
    }
    turn->is_settling = false;
    for (unsigned count = 0; count < TIMER_BATCH_COUNT; count++) {
        struct engine_event event = { .kind = ENGINE_TIMER };
        (void)turn_step(server, &event, NULL);
        if (engine_deadline(server->engine).ns > server->now.ns) return false;
    }
    return true;
}

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

/* Has something been on its way to the disk for too long, with no commit finished meanwhile? */
static bool is_disk_slow(struct server *server)
{
    struct turn *turn = server->turn;
    bool is_idle = server->durable.value == engine_seq(server->engine).value;
    if (is_idle || turn->progress_seq.value != server->durable.value) {
        turn->progress_seq = server->durable;
        turn->progress_at = server->now;
        turn->is_outstanding = !is_idle;
        return false;
    }
    if (!turn->is_outstanding) {
        turn->is_outstanding = true;
        turn->progress_at = server->now;
    }
    return server->now.ns - turn->progress_at.ns > SLOW_NS;
}

/* No room, or no memory: the committer tries again, whichever it is. */
static void note_shortage(struct server *server)
{
    struct turn *turn = server->turn;
    struct tenure_error error = { .code = TENURE_OK };
    committer_error(turn->committer, &error);
    if (turn->gate != ENGINE_GATE_NO_SPACE) {
        turn->is_memory_short = error.code == TENURE_NO_MEMORY;
    }
    set_gate(server, ENGINE_GATE_NO_SPACE);
}

static void check_committer(struct server *server)
{
    struct turn *turn = server->turn;
    turn->committer_state = committer_state(turn->committer);
    switch (turn->committer_state) {
    case COMMITTER_RUNNING:
        if (journal_status(turn->journal).is_space_low) {
            if (turn->gate != ENGINE_GATE_NO_SPACE) turn->is_memory_short = false;
            set_gate(server, ENGINE_GATE_NO_SPACE);
        } else {
            set_gate(server, is_disk_slow(server) ? ENGINE_GATE_SLOW : ENGINE_GATE_OPEN);
        }
        break;
    case COMMITTER_NO_SPACE: note_shortage(server); break;
    case COMMITTER_FAILED: {
        struct tenure_error error;
        committer_error(turn->committer, &error);
        /* What a failed fsync has left on the disk nobody knows; the next start finds out. */
        turn_die(EX_IOERR, error.text);
    }
    }
}

static bool has_news(const struct server *server)
{
    const struct turn *turn = server->turn;
    return committer_durable(turn->committer).value != server->durable.value ||
           committer_state(turn->committer) != turn->committer_state;
}

/* On the committer's thread: the metrics belong to the loop, so it is left for it to fetch. */
static void on_commit(void *user, uint64_t commit_ns, uint32_t record_count, size_t size)
{
    struct turn *turn = user;
    (void)record_count;
    uv_mutex_lock(&turn->commit_lock);
    if (turn->commit_count < TURN_COMMIT_COUNT_MAX) {
        turn->commits[turn->commit_count++] = (struct turn_commit){ (int64_t)commit_ns, size };
    }
    uv_mutex_unlock(&turn->commit_lock);
}

static void fetch_commits(struct server *server)
{
    struct turn *turn = server->turn;
    uv_mutex_lock(&turn->commit_lock);
    for (uint32_t index = 0; index < turn->commit_count; index++) {
        const struct turn_commit *commit = &turn->commits[index];
        metrics_observe_commit(&server->metrics, commit->ns, commit->size);
    }
    turn->commit_count = 0;
    uv_mutex_unlock(&turn->commit_lock);
}

/* News of the disk: holds begin to count, the next batch can go. */
static void take_news(struct server *server)
{
    struct turn *turn = server->turn;
    if (!has_news(server)) return;
    struct seq durable = committer_durable(turn->committer);
    if (durable.value != server->durable.value) {
        server->durable = durable;
        fetch_commits(server);
        struct engine_event event = { .kind = ENGINE_DURABLE, .durable = durable };
        (void)turn_step(server, &event, NULL);
    }
    check_committer(server);
}

/* ------------------------------------------------------------------ sleeping */

static void on_alarm(uv_timer_t *timer)
{
    turn_wake(timer->data);
}

static void on_news(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct server *server = poll->data;
    uint64_t count;
    (void)!read(server->turn->wake_file, &count, sizeof(count)); /* the news is elsewhere */
    turn_wake(server);
}

static void set_alarm(struct server *server)
{
    struct turn *turn = server->turn;
    int64_t deadline_ns = engine_deadline(server->engine).ns;
    turn->is_guarded = deadline_ns != INT64_MAX;
    if (!turn->is_guarded) {
        (void)uv_timer_stop(&turn->alarm);
        return;
    }
    int64_t wait_ns = deadline_ns - server->now.ns;
    if (wait_ns > GUARD_NS) wait_ns = GUARD_NS;
    if (wait_ns < 0) wait_ns = 0;
    uint64_t wait_ms = (uint64_t)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
    (void)uv_timer_start(&turn->alarm, on_alarm, wait_ms, 0);
}

static bool is_spinning(const struct server *server)
{
    int64_t spin_ns = server->config->spin_us * INT64_C(1000);
    return spin_ns != 0 && read_mono().ns - server->turn->idle_since.ns < spin_ns;
}

static void poll_events(struct server *server, bool may_sleep)
{
    struct turn *turn = server->turn;
    if (may_sleep) {
        may_sleep = committer_arm(turn->committer, server->durable, turn->committer_state);
    }
    uv_run_mode mode = may_sleep ? UV_RUN_ONCE : UV_RUN_NOWAIT;
    for (unsigned looks = 0; looks < LOOK_COUNT_MAX; looks++) {
        uint64_t read_count = server->net.read_count;
        (void)uv_run(server->loop, mode);
        if (server->net.read_count == read_count) return;
        mode = UV_RUN_NOWAIT;
    }
}

/* On other threads: the committer's, and the housekeeper's.
 *
 * Not a uv_async_t: where the threads share a processor, the loop takes it from the thread in the
 * middle of uv_async_send, and then spins until that is done, which it cannot be. */
static void on_other_thread(void *user)
{
    struct turn *turn = user;
    const uint64_t one = 1;
    /* It fails when the count is full, and then the loop is awake already. */
    (void)!write(turn->wake_file, &one, sizeof(one));
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
    set_gate(server, ENGINE_GATE_DRAINING);
    session_close_all(server);
    turn->stop_at = (struct mono){ server->now.ns + STOP_NS };
}

static bool is_flushed(const struct server *server)
{
    return server->turn->pending_count == 0 &&
           server->durable.value == engine_seq(server->engine).value;
}

/* After a signal: waiters are told, answers are flushed, clients are let go; after a while, or a
 * second signal, those who do not take their answers are cut off.  Then a full disk is waited for
 * no longer: what could not be written was told to nobody. */
static void advance_stop(struct server *server)
{
    struct turn *turn = server->turn;
    if (turn->signal_count == 0) return;
    if (!server->is_draining) begin_stop(server);
    bool is_late = turn->signal_count > 1 || server->now.ns >= turn->stop_at.ns;
    bool is_stuck = turn->committer_state == COMMITTER_NO_SPACE;
    if (!is_flushed(server) && !(is_late && is_stuck)) return;
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
    check_committer(server);
    scrub_consider(server);
    snapshot_consider(server);
    server->metrics.journal_size = journal_status(server->turn->journal).disk_bytes;
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
 *   durable   the engine learns how far the disk has come
 *   append    the records of this turn go to the committer as one batch, if it is idle; else they
 *             gather with those of the next turn
 *   release   answers and events that the disk has caught up with may leave
 *   write     once for each connection
 *
 * True when something is left to do and the loop must not sleep. */
static bool run_turn(struct server *server)
{
    turn_wake(server);
    bool is_left = run_timers(server);
    if (resume_sessions(server)) is_left = true;
    take_news(server);
    if (snapshot_advance(server)) is_left = true;
    offer_pending(server);
    net_release(&server->net, server->durable);
    events_pump(server->events, server->durable, server->now);
    advance_stop(server);
    net_flush(&server->net);
    if (!list_is_empty(&server->net.ready) || session_has_resumable(server)) is_left = true;
    set_alarm(server);
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
        bool is_busy = turn->is_awake || is_left || has_news(server);
        /* Timers that are not the turn's own may have fired: the clock of the loop tells. */
        if (is_busy || may_sleep || uv_now(server->loop) != ran_at_ms) {
            is_left = run_turn(server);
            ran_at_ms = uv_now(server->loop);
        }
        if (is_busy) {
            observe_turn(server);
            turn->idle_since = server->now;
        }
        may_sleep = !is_left && !is_spinning(server);
        /* Where the committer has to share a processor with the loop, it must get it. */
        if (!may_sleep && !is_busy) (void)sched_yield();
    }
    return 0;
}

/* ------------------------------------------------------------------ life */

static enum tenure_err out_of_memory(struct tenure_error *out_error)
{
    *out_error = (struct tenure_error){ .code = TENURE_NO_MEMORY, .text = "not enough memory" };
    return TENURE_NO_MEMORY;
}

static enum tenure_err out_of_room(const struct turn *turn, struct tenure_error *out_error)
{
    if (turn->is_memory_short) {
        (void)out_of_memory(out_error);
    } else {
        *out_error = (struct tenure_error){
            .code = TENURE_NO_SPACE,
            .text = "the disk is full: what was not answered is not written",
        };
    }
    return out_error->code;
}

static bool init_handles(struct server *server)
{
    struct turn *turn = server->turn;
    static const int numbers[2] = { SIGTERM, SIGINT };
    turn->wake.data = server;
    turn->alarm.data = server;
    turn->second.data = server;
    turn->wake_file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (turn->wake_file < 0) return false;
    if (uv_poll_init(server->loop, &turn->wake, turn->wake_file) != 0) return false;
    (void)uv_poll_start(&turn->wake, UV_READABLE, on_news);
    (void)uv_timer_init(server->loop, &turn->alarm);
    (void)uv_timer_init(server->loop, &turn->second);
    (void)uv_timer_start(&turn->second, on_second, 1000, 1000);
    for (size_t index = 0; index < 2; index++) {
        turn->signals[index].data = server;
        if (uv_signal_init(server->loop, &turn->signals[index]) != 0) return false;
        if (uv_signal_start(&turn->signals[index], on_signal, numbers[index]) != 0) return false;
    }
    return true;
}

static enum tenure_err
start_threads(struct server *server, struct journal *journal, struct tenure_error *out_error)
{
    struct turn *turn = server->turn;
    struct housekeeper_options housekeeping = {
        .queue_size_max = HOUSEKEEPER_QUEUE_SIZE_DEFAULT,
        .scrub_first_ms = server->config->scrub_first_ms,
        .scrub_period_ms = server->config->scrub_hours * INT64_C(3600000),
        .notify = on_other_thread,
        .user = turn,
    };
    enum tenure_err err = housekeeper_start(journal, &housekeeping, &turn->housekeeper, out_error);
    if (err != TENURE_OK) return err;
    struct committer_options committing = {
        .spin_us = server->config->spin_us,
        .mark_idle_ms = COMMITTER_MARK_IDLE_MS_DEFAULT,
        .backlog_size_max = COMMITTER_BACKLOG_SIZE_DEFAULT,
        .housekeeper = turn->housekeeper,
        .notify = on_other_thread,
        .measure = on_commit,
        .user = turn,
    };
    return committer_start(journal, &committing, &turn->committer, out_error);
}

enum tenure_err turn_create(
    struct server *server, struct journal *journal, struct seq seq, struct tenure_error *out_error)
{
    struct turn *turn = memory_take(&memory_heap, sizeof(*turn));
    if (turn == NULL) return out_of_memory(out_error);
    *turn = (struct turn){ .server = server, .random_used = TURN_RANDOM_SIZE };
    buffer_init(&turn->pending, &memory_heap);
    (void)uv_mutex_init(&turn->commit_lock);
    server->turn = turn;
    server->durable = seq;
    net_release(&server->net, seq);
    turn_wake(server);
    turn->is_awake = false;
    if (!init_handles(server)) return out_of_memory(out_error);

    turn->journal = journal;
    snapshot_init(server);
    return start_threads(server, journal, out_error);
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

static void close_handles(struct server *server)
{
    struct turn *turn = server->turn;
    ignore_signals();
    for (size_t index = 0; index < 2; index++) {
        uv_close((uv_handle_t *)&turn->signals[index], NULL);
    }
    uv_close((uv_handle_t *)&turn->second, NULL);
    uv_close((uv_handle_t *)&turn->alarm, NULL);
    uv_close((uv_handle_t *)&turn->wake, NULL);
    (void)uv_run(server->loop, UV_RUN_DEFAULT);
    (void)close(turn->wake_file);
}

enum tenure_err turn_destroy(struct server *server, struct tenure_error *out_error)
{
    struct turn *turn = server->turn;
    if (turn == NULL) return TENURE_OK;
    snapshot_deinit(server);
    offer_pending(server);
    bool is_all_offered = turn->pending_count == 0;
    enum tenure_err err = committer_stop(&turn->committer, out_error);
    if (err == TENURE_OK && !is_all_offered) err = out_of_room(turn, out_error);
    housekeeper_stop(&turn->housekeeper);
    close_handles(server);
    buffer_deinit(&turn->pending);
    uv_mutex_destroy(&turn->commit_lock);
    memory_give(&memory_heap, turn, sizeof(*turn));
    server->turn = NULL;
    return err;
}
