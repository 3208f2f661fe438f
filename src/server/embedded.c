#include "server/embedded.h"

#include <inttypes.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "server/log.h"
#include "server/schedules.h"
#include "server/scrub.h"
#include "server/server.h"
#include "server/turn.h"

/* While there are deadlines the loop wakes at least this often; if it was away for much longer, it
 * was stopped, starved or stuck, and could not have received a renewal. */
#define GUARD_NS      (50 * NS_PER_MS)
#define STALL_NS      (100 * NS_PER_MS)
#define SETTLE_NS_MAX NS_PER_S

#define TIMER_BATCH_COUNT 4 /* calls of ENGINE_TIMER in one turn */

/* So many records are worth a commit of their own before the turn is over. */
#define EARLY_COUNT 128

/* A disk that has not finished a commit for so long gets no new grants: their requests would pile
 * up behind it, and who waits for an answer is better told. */
#define SLOW_NS (2 * NS_PER_S)

/* The same when so much waits for the disk, however long it has been about it: all of it is one
 * batch, which has a limit (JOURNAL_BATCH_SIZE_MAX).  What goes on nevertheless is small. */
#define BEHIND_SIZE ((size_t)256 << 20)

/* ------------------------------------------------------------------ the engine */

static void gather_records(struct embedded *embedded, const struct engine_update *update)
{
    if (update->record_count == 0) return;
    if (embedded->pending_count == 0) embedded->pending_first = update->first;
    buffer_append_bytes(&embedded->pending, update->records);
    /* The engine is ahead of what can be written down; nothing of it has left. */
    if (embedded->pending.is_failed) {
        turn_die(EX_OSERR, "not enough memory for the journal's batch");
    }
    embedded->pending_count += update->record_count;
}

static bool is_behind(const struct embedded *embedded)
{
    return embedded->pending.size > BEHIND_SIZE;
}

static void offer_pending(struct server *server)
{
    struct embedded *embedded = server->embedded;
    if (embedded->pending_count == 0) return;
    struct seq last = { embedded->pending_first.value + embedded->pending_count - 1 };
    if (!committer_offer(
            embedded->committer,
            &embedded->pending,
            embedded->pending_count,
            embedded->pending_first))
    {
        return;
    }
    embedded->pending_count = 0;
    net_offer(&server->net, last);
}

/* A long input begins on its way to the disk while the rest of it is looked at: else a client that
 * keeps many requests under way, the server and the disk would take turns in working. */
static void offer_early(struct server *server)
{
    const struct embedded *embedded = server->embedded;
    if (embedded->pending_count < EARLY_COUNT) return;
    bool is_disk_idle = committer_durable(embedded->committer).value == server->net.offered.value;
    if (is_disk_idle) offer_pending(server);
}

static void
hand_out(struct server *server, const struct engine_reply *reply, const struct session *submitter)
{
    metrics_observe_reply(&server->metrics, reply);
    if (reply->client == EMBEDDED_SELF) server->embedded->self_err = reply->err;
    struct session *session = session_find(server, reply->client);
    if (session == NULL || session->is_ended) return;
    session->is_waiting = false;
    session->protocol->on_reply(session, reply);
    if (session != submitter) session_resume(session);
}

/* Let something happen to the engine, and do what it says must be done.  Not from within an answer
 * of the engine.  `submitter` is who asks, or NULL; true when his request was queued. */
static bool step(struct server *server, struct engine_event *event, struct session *submitter)
{
    struct engine_update update;
    /* A command counts from when it was read: a client counts from before it was sent, and in a
     * long turn that is later than the turn began. */
    event->now = event->kind == ENGINE_COMMAND ? server->turn->heard_at : server->now;
    event->wall = server->wall;
    event->random = (uint64_t)server->now.ns; /* the engine mixes it */
    enum tenure_err err = engine_step(server->engine, event, &update);
    if (err != TENURE_OK) turn_die(EX_OSERR, "not enough memory");
    gather_records(server->embedded, &update);
    for (uint32_t index = 0; index < update.reply_count; index++) {
        hand_out(server, &update.replies[index], submitter);
    }
    offer_early(server);
    return update.is_waiting;
}

/* ------------------------------------------------------------------ the gate */

static void set_gate(struct server *server, enum engine_gate gate)
{
    struct embedded *embedded = server->embedded;
    if (embedded->gate == gate || embedded->gate == ENGINE_GATE_DRAINING) return;
    bool was_full = embedded->gate == ENGINE_GATE_NO_SPACE;
    bool is_memory = embedded->is_memory_short;
    embedded->gate = gate;
    server->is_full = gate == ENGINE_GATE_NO_SPACE;
    server->is_disk_slow = gate == ENGINE_GATE_SLOW;
    if (gate == ENGINE_GATE_NO_SPACE) {
        log_write(
            LOG_WARNING,
            is_memory ? "there is no memory to write to the disk: no new grants until there is"
                      : "the disk is full: no new grants until there is room");
    } else if (gate == ENGINE_GATE_SLOW) {
        log_write(
            LOG_WARNING,
            is_behind(embedded)
                ? "too much waits for the disk: no new grants until it has caught up"
                : "the disk has not finished a write for 2 s: no new grants until "
                  "it does");
    } else if (gate == ENGINE_GATE_OPEN) {
        const char *text = !was_full   ? "the disk takes writes again"
                           : is_memory ? "there is memory again to write to the disk"
                                       : "there is room on the disk again";
        log_write(LOG_INFO, "%s", text);
    }
    struct engine_event event = { .kind = ENGINE_GATE, .gate = gate };
    (void)step(server, &event, NULL);
}

/* ------------------------------------------------------------------ requests */

static void submit(struct server *server, struct session *session, struct engine_command *command)
{
    /* One turn may bring in very much, and news of the disk are looked at only between turns. */
    bool is_open = server->embedded->gate == ENGINE_GATE_OPEN;
    if (is_open && is_behind(server->embedded)) set_gate(server, ENGINE_GATE_SLOW);
    command->client = session->id;
    struct engine_event event = { .kind = ENGINE_COMMAND, .command = command };
    if (step(server, &event, session)) session->is_waiting = true;
}

enum tenure_err embedded_command(struct server *server, struct engine_command *command)
{
    command->client = EMBEDDED_SELF;
    struct engine_event event = { .kind = ENGINE_COMMAND, .command = command };
    if (step(server, &event, NULL)) UNREACHABLE("the server does not wait for itself");
    return server->embedded->self_err;
}

static void ask(struct server *server, struct session *session, const struct query *query)
{
    query_answer_from_engine(server, session, query);
}

static void client_gone(struct server *server, struct session *session)
{
    struct engine_event event = { .kind = ENGINE_CLIENT_GONE, .client = session->id };
    (void)step(server, &event, NULL);
}

void embedded_ready(struct server *server)
{
    struct engine_event event = { .kind = ENGINE_READY };
    (void)step(server, &event, NULL);
}

struct journal_status embedded_journal_status(const struct server *server)
{
    return journal_status(server->embedded->journal);
}

/* ------------------------------------------------------------------ the clock */

static void report_stall(struct server *server, int64_t stall_ns)
{
    struct embedded *embedded = server->embedded;
    embedded->is_settling = true;
    embedded->settle_at = (struct mono){ server->now.ns + SETTLE_NS_MAX };
    metrics_observe_stall(&server->metrics, stall_ns);
    log_write(
        LOG_WARNING,
        "could not receive for %" PRId64 " ms; all deadlines move by that",
        stall_ns / NS_PER_MS);
    struct engine_event event = { .kind = ENGINE_STALLED, .stall_ns = stall_ns };
    (void)step(server, &event, NULL);
}

static void wake(struct server *server, int64_t away_ns)
{
    /* Before any input of this turn is applied: a renewal that waited in the socket counts from the
     * moved time. */
    bool is_stall = server->embedded->is_guarded && away_ns > STALL_NS;
    if (is_stall) report_stall(server, away_ns - GUARD_NS);
}

/* ------------------------------------------------------------------ the parts of a turn */

/* True when more is due than one turn takes. */
static bool run_timers(struct server *server)
{
    struct embedded *embedded = server->embedded;
    bool had_input = server->net.read_count != embedded->input_count;
    embedded->input_count = server->net.read_count;
    bool is_left = server->net.has_more; /* a full read may have left something behind */
    server->net.has_more = false;
    if (engine_deadline(server->engine).ns > server->now.ns) {
        embedded->is_settling = false;
        return false;
    }
    if (is_left && !embedded->is_settling) {
        embedded->is_settling = true;
        embedded->settle_at = (struct mono){ server->now.ns + SETTLE_NS_MAX };
    }
    if (embedded->is_settling && (had_input || is_left) && server->now.ns < embedded->settle_at.ns)
    {
        return true;
    }
    embedded->is_settling = false;
    for (unsigned count = 0; count < TIMER_BATCH_COUNT; count++) {
        struct engine_event event = { .kind = ENGINE_TIMER };
        (void)step(server, &event, NULL);
        if (engine_deadline(server->engine).ns > server->now.ns) return false;
    }
    return true;
}

/* Has something been on its way to the disk for too long, with no commit finished meanwhile? */
static bool is_disk_slow(struct server *server)
{
    struct embedded *embedded = server->embedded;
    bool is_idle = server->durable.value == engine_seq(server->engine).value;
    if (is_idle || embedded->progress_seq.value != server->durable.value) {
        embedded->progress_seq = server->durable;
        embedded->progress_at = server->now;
        embedded->is_outstanding = !is_idle;
        return false;
    }
    if (!embedded->is_outstanding) {
        embedded->is_outstanding = true;
        embedded->progress_at = server->now;
    }
    return server->now.ns - embedded->progress_at.ns > SLOW_NS;
}

/* No room, or no memory: the committer tries again, whichever it is. */
static void note_shortage(struct server *server)
{
    struct embedded *embedded = server->embedded;
    struct tenure_error error = { .code = TENURE_OK };
    committer_error(embedded->committer, &error);
    if (embedded->gate != ENGINE_GATE_NO_SPACE) {
        embedded->is_memory_short = error.code == TENURE_NO_MEMORY;
    }
    set_gate(server, ENGINE_GATE_NO_SPACE);
}

static void check_committer(struct server *server)
{
    struct embedded *embedded = server->embedded;
    embedded->committer_state = committer_state(embedded->committer);
    switch (embedded->committer_state) {
    case COMMITTER_RUNNING:
        if (journal_status(embedded->journal).is_space_low) {
            if (embedded->gate != ENGINE_GATE_NO_SPACE) embedded->is_memory_short = false;
            set_gate(server, ENGINE_GATE_NO_SPACE);
        } else {
            bool is_slow = is_disk_slow(server) || is_behind(embedded);
            set_gate(server, is_slow ? ENGINE_GATE_SLOW : ENGINE_GATE_OPEN);
        }
        break;
    case COMMITTER_NO_SPACE: note_shortage(server); break;
    case COMMITTER_FAILED: {
        struct tenure_error error;
        committer_error(embedded->committer, &error);
        /* What a failed fsync has left on the disk nobody knows; the next start finds out. */
        turn_die(EX_IOERR, error.text);
    }
    }
}

static bool has_news(const struct server *server)
{
    const struct embedded *embedded = server->embedded;
    return committer_durable(embedded->committer).value != server->durable.value ||
           committer_state(embedded->committer) != embedded->committer_state;
}

/* On the committer's thread: the metrics belong to the loop, so it is left for it to fetch. */
static void on_commit(void *user, uint64_t commit_ns, uint32_t record_count, size_t size)
{
    struct embedded *embedded = user;
    (void)record_count;
    uv_mutex_lock(&embedded->commit_lock);
    if (embedded->commit_count < EMBEDDED_COMMIT_COUNT_MAX) {
        embedded->commits[embedded->commit_count++] =
            (struct embedded_commit){ (int64_t)commit_ns, size };
    }
    uv_mutex_unlock(&embedded->commit_lock);
}

static void fetch_commits(struct server *server)
{
    struct embedded *embedded = server->embedded;
    uv_mutex_lock(&embedded->commit_lock);
    for (uint32_t index = 0; index < embedded->commit_count; index++) {
        const struct embedded_commit *commit = &embedded->commits[index];
        metrics_observe_commit(&server->metrics, commit->ns, commit->size);
    }
    embedded->commit_count = 0;
    uv_mutex_unlock(&embedded->commit_lock);
}

/* News of the disk: holds begin to count, the next batch can go. */
static void take_news(struct server *server)
{
    struct embedded *embedded = server->embedded;
    if (!has_news(server)) return;
    struct seq durable = committer_durable(embedded->committer);
    if (durable.value != server->durable.value) {
        server->durable = durable;
        fetch_commits(server);
        struct engine_event event = { .kind = ENGINE_DURABLE, .durable = durable };
        (void)step(server, &event, NULL);
    }
    check_committer(server);
}

static bool work(struct server *server)
{
    take_news(server);
    bool is_left = snapshot_advance(server);
    offer_pending(server);
    return is_left;
}

static void second(struct server *server)
{
    check_committer(server);
    schedules_run(server);
    scrub_consider(server);
    snapshot_consider(server);
    server->metrics.journal_size = journal_status(server->embedded->journal).disk_bytes;
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
    (void)!read(server->embedded->news_file, &count, sizeof(count)); /* the news is elsewhere */
    turn_wake(server);
}

static void set_alarm(struct server *server)
{
    struct embedded *embedded = server->embedded;
    int64_t deadline_ns = engine_deadline(server->engine).ns;
    embedded->is_guarded = deadline_ns != INT64_MAX;
    if (!embedded->is_guarded) {
        (void)uv_timer_stop(&embedded->alarm);
        return;
    }
    int64_t wait_ns = deadline_ns - server->now.ns;
    if (wait_ns > GUARD_NS) wait_ns = GUARD_NS;
    if (wait_ns < 0) wait_ns = 0;
    uint64_t wait_ms = (uint64_t)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
    (void)uv_timer_start(&embedded->alarm, on_alarm, wait_ms, 0);
}

static bool may_sleep(struct server *server)
{
    struct embedded *embedded = server->embedded;
    return committer_arm(embedded->committer, server->durable, embedded->committer_state);
}

/* On other threads: the committer's, and the housekeeper's.
 *
 * Not a uv_async_t: where the threads share a processor, the loop takes it from the thread in the
 * middle of uv_async_send, and then spins until that is done, which it cannot be. */
static void on_other_thread(void *user)
{
    struct embedded *embedded = user;
    const uint64_t one = 1;
    /* It fails when the count is full, and then the loop is awake already. */
    (void)!write(embedded->news_file, &one, sizeof(one));
}

/* ------------------------------------------------------------------ stopping */

static void drain(struct server *server)
{
    set_gate(server, ENGINE_GATE_DRAINING);
}

static bool is_flushed(const struct server *server)
{
    return server->embedded->pending_count == 0 &&
           server->durable.value == engine_seq(server->engine).value;
}

/* After a while a full disk is waited for no longer: what could not be written was told to nobody.
 */
static bool is_settled(const struct server *server, bool is_late)
{
    bool is_stuck = server->embedded->committer_state == COMMITTER_NO_SPACE;
    return is_flushed(server) || (is_late && is_stuck);
}

const struct backend backend_embedded = {
    .submit = submit,
    .ask = ask,
    .gone = client_gone,
    .wake = wake,
    .run_timers = run_timers,
    .work = work,
    .rest = set_alarm,
    .has_news = has_news,
    .may_sleep = may_sleep,
    .second = second,
    .drain = drain,
    .is_settled = is_settled,
};

/* ------------------------------------------------------------------ life */

static enum tenure_err out_of_memory(struct tenure_error *out_error)
{
    *out_error = (struct tenure_error){ .code = TENURE_NO_MEMORY, .text = "not enough memory" };
    return TENURE_NO_MEMORY;
}

static enum tenure_err out_of_room(const struct embedded *embedded, struct tenure_error *out_error)
{
    if (embedded->is_memory_short) {
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
    struct embedded *embedded = server->embedded;
    embedded->news.data = server;
    embedded->alarm.data = server;
    embedded->news_file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (embedded->news_file < 0) return false;
    if (uv_poll_init(server->loop, &embedded->news, embedded->news_file) != 0) return false;
    (void)uv_poll_start(&embedded->news, UV_READABLE, on_news);
    (void)uv_timer_init(server->loop, &embedded->alarm);
    return true;
}

static enum tenure_err
start_threads(struct server *server, struct journal *journal, struct tenure_error *out_error)
{
    struct embedded *embedded = server->embedded;
    struct housekeeper_options housekeeping = {
        .queue_size_max = HOUSEKEEPER_QUEUE_SIZE_DEFAULT,
        .scrub_first_ms = server->config->scrub_first_ms,
        .scrub_period_ms = server->config->scrub_hours * INT64_C(3600000),
        .notify = on_other_thread,
        .user = embedded,
    };
    enum tenure_err err =
        housekeeper_start(journal, &housekeeping, &embedded->housekeeper, out_error);
    if (err != TENURE_OK) return err;
    struct committer_options committing = {
        .spin_us = server->config->spin_us,
        .mark_idle_ms = COMMITTER_MARK_IDLE_MS_DEFAULT,
        .backlog_size_max = COMMITTER_BACKLOG_SIZE_DEFAULT,
        .housekeeper = embedded->housekeeper,
        .notify = on_other_thread,
        .measure = on_commit,
        .user = embedded,
    };
    return committer_start(journal, &committing, &embedded->committer, out_error);
}

enum tenure_err embedded_create(
    struct server *server, struct journal *journal, struct seq seq, struct tenure_error *out_error)
{
    struct embedded *embedded = memory_take(&memory_heap, sizeof(*embedded));
    if (embedded == NULL) return out_of_memory(out_error);
    *embedded = (struct embedded){ 0 };
    buffer_init(&embedded->pending, &memory_heap);
    (void)uv_mutex_init(&embedded->commit_lock);
    server->embedded = embedded;
    server->backend = &backend_embedded;
    server->durable = seq;
    net_release(&server->net, seq);
    if (!init_handles(server)) return out_of_memory(out_error);

    embedded->journal = journal;
    snapshot_init(server);
    return start_threads(server, journal, out_error);
}

enum tenure_err embedded_close(struct server *server, struct tenure_error *out_error)
{
    struct embedded *embedded = server->embedded;
    if (embedded == NULL) return TENURE_OK;
    snapshot_deinit(server);
    offer_pending(server);
    bool is_all_offered = embedded->pending_count == 0;
    enum tenure_err err = committer_stop(&embedded->committer, out_error);
    if (err == TENURE_OK && !is_all_offered) err = out_of_room(embedded, out_error);
    housekeeper_stop(&embedded->housekeeper);
    uv_close((uv_handle_t *)&embedded->alarm, NULL);
    uv_close((uv_handle_t *)&embedded->news, NULL);
    return err;
}

void embedded_free(struct server *server)
{
    struct embedded *embedded = server->embedded;
    if (embedded == NULL) return;
    (void)close(embedded->news_file);
    buffer_deinit(&embedded->pending);
    uv_mutex_destroy(&embedded->commit_lock);
    memory_give(&memory_heap, embedded, sizeof(*embedded));
    server->embedded = NULL;
}
