#include "drive.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "process.h"

#define READ_SIZE       131072u
#define EVENT_COUNT_MAX 256
#define WAKE_MS         20
/* A server that answers nothing for so long is taken for dead. */
#define PATIENCE_NS       (30 * NS_PER_S)
#define ERROR_COUNT_MAX   1000u
#define ERROR_EXCERPT_MAX 120u

struct connection {
    int fd;
    bool wants_write;
    struct buffer in;
    struct buffer out;
    struct mode_slot *slots;
    uint32_t *waiting; /* slot numbers in the order of their requests: a ring of `outstanding` */
    uint32_t waiting_first;
    uint32_t waiting_count;
};

enum phase { PHASE_WARMING, PHASE_MEASURING, PHASE_STOPPING };

struct drive {
    const struct drive_options *options;
    struct mode_run *run;
    struct drive_result *result;
    struct connection *connections;
    struct resp_reply *resp;
    enum phase phase;
    int epoll;
    bool is_broken;
    uint64_t waiting_count;    /* requests without an answer, over all connections */
    uint64_t unprepared_count; /* slots that do not run cycles yet */
    int64_t begun_ns;
    int64_t measured_from_ns;
    int64_t answered_ns; /* when the last answer came */
};

static void note_error(struct drive *drive, const char *what, struct bytes got)
{
    struct drive_result *result = drive->result;
    if (result->error_count++ > 0) return;
    char excerpt[ERROR_EXCERPT_MAX + 1];
    size_t size = got.size < ERROR_EXCERPT_MAX ? got.size : ERROR_EXCERPT_MAX;
    for (size_t i = 0; i < size; i++) {
        excerpt[i] = isprint((unsigned char)got.data[i]) ? got.data[i] : ' ';
    }
    excerpt[size] = '\0';
    (void)snprintf(result->first_error, sizeof(result->first_error), "%s: %s", what, excerpt);
}

static void break_off(struct drive *drive, const char *what, const char *detail)
{
    note_error(drive, what, bytes_from_text(detail));
    drive->is_broken = true;
}

static void submit(struct drive *drive, struct connection *connection, uint32_t slot_number)
{
    uint32_t window = drive->options->outstanding;
    ASSERT(connection->waiting_count < window);
    drive->options->mode->compose(drive->run, &connection->slots[slot_number], &connection->out);
    connection->waiting[(connection->waiting_first + connection->waiting_count) % window] =
        slot_number;
    connection->waiting_count++;
    drive->waiting_count++;
}

/* Has the slot something more to ask? */
static bool can_go_on(const struct drive *drive, const struct mode_slot *slot)
{
    if (slot->step > 0 && slot->is_prepared) return true;
    if (drive->phase == PHASE_STOPPING) return false;
    return !drive->options->mode->is_once || slot->turn < slot->turns;
}

static void
proceed(struct drive *drive, struct connection *connection, uint32_t slot_number, int64_t now_ns)
{
    struct mode_slot *slot = &connection->slots[slot_number];
    if (!can_go_on(drive, slot)) return;
    if (slot->step == 0) slot->started_ns = now_ns;
    submit(drive, connection, slot_number);
}

static void proceed_all(struct drive *drive, struct connection *connection, int64_t now_ns)
{
    for (uint32_t i = 0; i < drive->options->outstanding; i++) {
        proceed(drive, connection, i, now_ns);
    }
}

static void complete_cycle(struct drive *drive, struct mode_slot *slot, int64_t now_ns)
{
    slot->turn++;
    if (drive->phase != PHASE_MEASURING || slot->started_ns < drive->measured_from_ns) return;
    drive->result->cycle_count++;
    histogram_record(&drive->result->latency, (uint64_t)(now_ns - slot->started_ns));
}

static void judge(
    struct drive *drive,
    struct connection *connection,
    const struct mode_answer *answer,
    int64_t now_ns)
{
    uint32_t slot_number = connection->waiting[connection->waiting_first];
    struct mode_slot *slot = &connection->slots[slot_number];
    connection->waiting_first = (connection->waiting_first + 1) % drive->options->outstanding;
    connection->waiting_count--;
    drive->waiting_count--;
    bool was_prepared = slot->is_prepared;
    switch (drive->options->mode->judge(drive->run, slot, answer)) {
    case MODE_STEP: break;
    case MODE_CYCLE: complete_cycle(drive, slot, now_ns); break;
    case MODE_WRONG:
        note_error(drive, "unexpected answer", answer->raw);
        slot->step = 0;
        slot->turn++;
        break;
    }
    if (!was_prepared && slot->is_prepared) {
        drive->unprepared_count--;
        slot->step = 0;
    }
    if (!drive->options->is_lockstep) proceed(drive, connection, slot_number, now_ns);
}

static enum reply_state
read_answer(struct drive *drive, struct bytes input, size_t *out_size, struct http_reply *out_http)
{
    enum reply_state state;
    if (drive->options->mode->is_http) {
        state = http_reply_read(input, out_http);
        if (state == REPLY_DONE) *out_size = out_http->size;
    } else {
        state = drive->options->mode->is_bean ? bean_reply_read(input, drive->resp)
                                              : resp_reply_read(input, drive->resp);
        if (state == REPLY_DONE) *out_size = drive->resp->size;
    }
    return state;
}

/* Judge every whole answer that has come, and compose what follows from each. */
static void take_answers(struct drive *drive, struct connection *connection, int64_t now_ns)
{
    struct bytes rest = buffer_bytes(&connection->in);
    struct http_reply http = { .size = 0 };
    while (rest.size > 0 && !drive->is_broken) {
        size_t size = 0;
        enum reply_state state = read_answer(drive, rest, &size, &http);
        if (state == REPLY_MORE) break;
        if (state == REPLY_BAD || connection->waiting_count == 0) {
            note_error(drive, "not an answer", rest);
            drive->is_broken = true;
            break;
        }
        struct mode_answer answer = { .resp = drive->resp,
                                      .http = &http,
                                      .raw = { rest.data, size } };
        judge(drive, connection, &answer, now_ns);
        rest.data += size;
        rest.size -= size;
    }
    buffer_consume(&connection->in, connection->in.size - rest.size);
    if (drive->options->is_lockstep && connection->waiting_count == 0) {
        proceed_all(drive, connection, now_ns);
    }
}

static void watch_writing(struct drive *drive, struct connection *connection, bool wants_write)
{
    if (connection->wants_write == wants_write) return;
    connection->wants_write = wants_write;
    struct epoll_event event = { .events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0),
                                 .data.ptr = connection };
    if (epoll_ctl(drive->epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0) {
        break_off(drive, "epoll_ctl", "failed");
    }
}

static void flush(struct drive *drive, struct connection *connection)
{
    if (connection->out.size > 0) {
        ssize_t sent =
            send(connection->fd, connection->out.data, connection->out.size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            break_off(drive, "send", "the connection is gone");
            return;
        }
        if (sent > 0) buffer_consume(&connection->out, (size_t)sent);
    }
    watch_writing(drive, connection, connection->out.size > 0);
}

static void serve(struct drive *drive, struct connection *connection, uint32_t events)
{
    if ((events & ~(uint32_t)EPOLLOUT) != 0) {
        if (!buffer_reserve(&connection->in, READ_SIZE)) {
            break_off(drive, "memory", "none left");
            return;
        }
        ssize_t got = recv(
            connection->fd, connection->in.data + connection->in.size, READ_SIZE, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            break_off(drive, "receive", "the server closed the connection");
            return;
        }
        if (got > 0) {
            int64_t now_ns = process_now_ns();
            connection->in.size += (size_t)got;
            drive->answered_ns = now_ns;
            take_answers(drive, connection, now_ns);
        }
    }
    flush(drive, connection);
}

static void read_costs(const struct drive *drive, int64_t *out_client_ns, int64_t *out_server_ns)
{
    *out_client_ns = process_cpu_ns(0);
    *out_server_ns =
        drive->options->server_pid > 0 ? process_cpu_ns(drive->options->server_pid) : -1;
}

static void begin_measuring(struct drive *drive, int64_t now_ns)
{
    drive->phase = PHASE_MEASURING;
    drive->measured_from_ns = now_ns;
    read_costs(drive, &drive->result->client_cpu_ns, &drive->result->server_cpu_ns);
}

static void end_measuring(struct drive *drive, int64_t now_ns)
{
    int64_t client_ns;
    int64_t server_ns;
    struct drive_result *result = drive->result;
    read_costs(drive, &client_ns, &server_ns);
    drive->phase = PHASE_STOPPING;
    result->elapsed_ns = now_ns - drive->measured_from_ns;
    result->client_cpu_ns = client_ns - result->client_cpu_ns;
    bool is_known = server_ns >= 0 && result->server_cpu_ns >= 0;
    result->server_cpu_ns = is_known ? server_ns - result->server_cpu_ns : -1;
}

/* Move from phase to phase as time goes by. */
static void watch_clock(struct drive *drive)
{
    const struct drive_options *options = drive->options;
    int64_t now_ns = process_now_ns();
    if (now_ns - drive->answered_ns > PATIENCE_NS) break_off(drive, "timeout", "no answer came");
    if (drive->result->error_count > ERROR_COUNT_MAX) drive->is_broken = true;
    if (drive->phase == PHASE_WARMING && drive->unprepared_count == 0 &&
        now_ns - drive->begun_ns >= options->warmup_ms * NS_PER_MS)
    {
        begin_measuring(drive, now_ns);
    } else if (
        drive->phase == PHASE_MEASURING &&
        (drive->is_broken || drive->waiting_count == 0 ||
         now_ns - drive->measured_from_ns >= options->run_ms * NS_PER_MS))
    {
        end_measuring(drive, now_ns);
    }
}

static void work(struct drive *drive)
{
    struct epoll_event events[EVENT_COUNT_MAX];
    while (!drive->is_broken && (drive->phase != PHASE_STOPPING || drive->waiting_count > 0)) {
        int count = epoll_wait(drive->epoll, events, EVENT_COUNT_MAX, WAKE_MS);
        if (count < 0 && errno != EINTR) break_off(drive, "epoll_wait", "failed");
        for (int i = 0; i < count && !drive->is_broken; i++) {
            serve(drive, events[i].data.ptr, events[i].events);
        }
        watch_clock(drive);
    }
}

static void *take_zeroed(size_t count, size_t size)
{
    void *block = calloc(count, size);
    ASSERT(block != NULL);
    return block;
}

static void init_slots(struct drive *drive, struct connection *connection, uint32_t index)
{
    const struct drive_options *options = drive->options;
    struct mode_run *run = drive->run;
    connection->slots = take_zeroed(options->outstanding, sizeof(struct mode_slot));
    connection->waiting = take_zeroed(options->outstanding, sizeof(uint32_t));
    for (uint32_t i = 0; i < options->outstanding; i++) {
        struct mode_slot *slot = &connection->slots[i];
        slot->index = index * options->outstanding + i;
        slot->turns = (run->name_count - slot->index + run->slot_count - 1) / run->slot_count;
        slot->is_prepared = !options->mode->needs_preparing;
        if (!slot->is_prepared) drive->unprepared_count++;
    }
}

static bool connect_all(struct drive *drive)
{
    for (uint32_t i = 0; i < drive->options->connection_count; i++) {
        struct connection *connection = &drive->connections[i];
        buffer_init(&connection->in, &memory_heap);
        buffer_init(&connection->out, &memory_heap);
        init_slots(drive, connection, i);
        connection->fd = link_connect(drive->run->address, false);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
        if (connection->fd < 0 ||
            epoll_ctl(drive->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
            break_off(
                drive, "connect", strerror(errno)); // NOLINT(concurrency-mt-unsafe): one thread
            return false;
        }
    }
    return true;
}

static void close_all(struct drive *drive)
{
    for (uint32_t i = 0; i < drive->options->connection_count; i++) {
        struct connection *connection = &drive->connections[i];
        if (connection->fd >= 0) (void)close(connection->fd);
        if (connection->in.memory != NULL) buffer_deinit(&connection->in);
        if (connection->out.memory != NULL) buffer_deinit(&connection->out);
        free(connection->slots);
        free(connection->waiting);
    }
    (void)close(drive->epoll);
    free(drive->connections);
    free(drive->resp);
}

void drive_run(
    const struct drive_options *options, struct mode_run *run, struct drive_result *out_result)
{
    *out_result = (struct drive_result){ .server_cpu_ns = -1 };
    int64_t now_ns = process_now_ns();
    struct drive drive = {
        .options = options,
        .run = run,
        .result = out_result,
        .begun_ns = now_ns,
        .answered_ns = now_ns,
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .connections = take_zeroed(options->connection_count, sizeof(struct connection)),
        .resp = take_zeroed(1, sizeof(struct resp_reply)),
    };
    for (uint32_t i = 0; i < options->connection_count; i++) {
        drive.connections[i].fd = -1;
    }
    if (connect_all(&drive)) {
        watch_clock(&drive);
        for (uint32_t i = 0; i < options->connection_count; i++) {
            proceed_all(&drive, &drive.connections[i], process_now_ns());
            flush(&drive, &drive.connections[i]);
        }
        work(&drive);
        if (drive.phase == PHASE_MEASURING) end_measuring(&drive, process_now_ns());
    }
    close_all(&drive);
}
