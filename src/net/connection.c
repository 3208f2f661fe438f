#include "net/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/connection_private.h"

/* A buffer that one large message has blown up is given back when it is empty. */
#define KEEP_CAPACITY_MAX ((size_t)64 << 10)

#define LINGER_MS 2000

/* ------------------------------------------------- the only places that touch the socket */

/* Bytes read, 0 at the end, or -errno. */
static ssize_t connection_receive(struct connection *connection, char *data, size_t size)
{
    ssize_t count = recv(connection->socket, data, size, 0);
    if (count < 0) return -errno;
    connection->net->read_count++;
    connection->net->read_bytes += (uint64_t)count;
    return count;
}

/* Bytes taken, or -errno. */
static ssize_t connection_send(struct connection *connection, const char *data, size_t size)
{
    ssize_t count = send(connection->socket, data, size, MSG_NOSIGNAL);
    if (count < 0) return -errno;
    connection->net->write_count++;
    connection->net->written_bytes += (uint64_t)count;
    return count;
}

static void connection_end_sending(struct connection *connection)
{
    (void)shutdown(connection->socket, SHUT_WR);
}

/* ------------------------------------------------------------------ the end */

static void handle_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    buffer_deinit(&connection->input);
    buffer_deinit(&connection->output);
    connection->ops->on_closed(connection);
}

static void hang_up(struct connection *connection)
{
    if (connection->is_hung_up) return;
    connection->is_hung_up = true;
    connection->ops->on_hangup(connection);
}

void connection_abort(struct connection *connection)
{
    if (connection->is_closed) return;
    connection->is_closed = true;
    connection->is_closing = true;
    hang_up(connection);
    list_remove(&connection->gated);
    list_remove(&connection->ready);
    /* The descriptor must leave the loop before it is closed. */
    (void)uv_poll_stop(&connection->poll);
    uv_close((uv_handle_t *)&connection->poll, handle_closed);
    (void)close(connection->socket);
    connection->socket = -1;
}

/* Closing a socket with unread input resets it, and a client that is still sending then fails
 * before it reads the answer that tells it what is wrong. */
static void begin_linger(struct connection *connection)
{
    if (connection->linger_until_ms != 0) return;
    connection->linger_until_ms = (int64_t)uv_now(connection->net->loop) + LINGER_MS;
    connection_end_sending(connection);
}

static void close_if_finished(struct connection *connection)
{
    if (!connection->is_closing || connection->is_owing) return;
    if (connection_backlog(connection) > 0) return;
    if (connection->lingers) {
        begin_linger(connection);
    } else {
        connection_abort(connection);
    }
}

/* ------------------------------------------------------------------ what to watch for */

static void on_poll(uv_poll_t *poll, int status, int events);

static size_t input_size(const struct connection *connection)
{
    return connection->input.size - connection->input_start;
}

static bool wants_input(const struct connection *connection)
{
    return !connection->is_hung_up && input_size(connection) < CONNECTION_INPUT_SIZE_MAX &&
           connection_backlog(connection) < CONNECTION_BACKLOG_SIZE_MAX;
}

static void watch(struct connection *connection)
{
    if (connection->is_closed) return;
    int events = 0;
    if (wants_input(connection) || connection->linger_until_ms != 0) {
        events |= UV_READABLE;
    } else if (!connection->is_hung_up) {
        events |= UV_DISCONNECT;
    }
    if (connection->is_blocked) events |= UV_WRITABLE;
    if (events == connection->events) return;
    connection->events = events;
    int failure = events == 0 ? uv_poll_stop(&connection->poll)
                              : uv_poll_start(&connection->poll, events, on_poll);
    if (failure != 0) connection_abort(connection);
}

/* ------------------------------------------------------------------ input */

/* Keep what the owner did not use of bytes that are not in the input buffer yet. */
static void keep_rest(struct connection *connection, struct bytes rest)
{
    if (rest.size == 0 || connection->is_hung_up) return;
    buffer_append_bytes(&connection->input, rest);
    if (connection->input.is_failed) connection_abort(connection);
}

static void forget_input(struct connection *connection)
{
    connection->input_start = 0;
    if (connection->input.capacity > KEEP_CAPACITY_MAX) {
        buffer_deinit(&connection->input);
    } else {
        buffer_reset(&connection->input);
    }
}

static bool takes_input(const struct connection *connection)
{
    return !connection->is_held && !connection->is_hung_up && !connection->is_closing;
}

static void show_gathered(struct connection *connection)
{
    if (!takes_input(connection) || input_size(connection) == 0) return;
    struct bytes input = { connection->input.data + connection->input_start,
                           input_size(connection) };
    size_t used = connection->ops->on_input(connection, input);
    ASSERT(used <= input.size);
    if (connection->is_closed) return;
    connection->input_start += used;
    if (input_size(connection) == 0) {
        forget_input(connection);
    } else if (input_size(connection) >= CONNECTION_INPUT_SIZE_MAX && takes_input(connection)) {
        /* The owner wants ever more: he has no limit of his own for this. */
        connection_abort(connection);
    }
}

static void take_input(struct connection *connection, struct bytes input)
{
    if (input_size(connection) == 0 && takes_input(connection)) {
        size_t used = connection->ops->on_input(connection, input);
        ASSERT(used <= input.size);
        if (connection->is_closed) return;
        keep_rest(connection, (struct bytes){ input.data + used, input.size - used });
        return;
    }
    if (connection->input_start > 0) {
        buffer_consume(&connection->input, connection->input_start);
        connection->input_start = 0;
    }
    keep_rest(connection, input);
    if (!connection->is_closed) show_gathered(connection);
}

static void handle_end(struct connection *connection)
{
    /* A client that has only ended its side still gets its answers; one that is gone makes the
     * first of them fail. */
    connection->is_closing = true;
    hang_up(connection);
    close_if_finished(connection);
}

static void read_some(struct connection *connection)
{
    ssize_t count = connection_receive(connection, connection->net->scratch, NET_SCRATCH_SIZE);
    if (connection->linger_until_ms != 0) {
        /* Nobody wants it. */
        if (count <= 0 && count != -EAGAIN && count != -EINTR) connection_abort(connection);
        return;
    }
    if (count == NET_SCRATCH_SIZE) connection->net->has_more = true;
    if (count > 0) {
        take_input(connection, (struct bytes){ connection->net->scratch, (size_t)count });
    } else if (count == 0) {
        handle_end(connection);
    } else if (count != -EAGAIN && count != -EINTR) {
        connection_abort(connection);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    connection->ops->on_wake(connection);
    if (status < 0) {
        connection_abort(connection);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        connection->is_blocked = false;
        if (connection->output_sent < connection->output_released &&
            list_is_empty(&connection->ready)) {
            list_append(&connection->net->ready, &connection->ready);
        }
    }
    if ((events & UV_READABLE) != 0) {
        read_some(connection);
    } else if ((events & UV_DISCONNECT) != 0) {
        handle_end(connection);
    }
    watch(connection);
}

void connection_hold(struct connection *connection, bool is_held)
{
    connection->is_held = is_held;
}

void connection_resume(struct connection *connection)
{
    if (connection->is_closed) return;
    show_gathered(connection);
    watch(connection);
}

/* ------------------------------------------------------------------ output */

static void release_to(struct connection *connection, size_t end)
{
    connection->output_released = end;
    if (!connection->is_blocked && list_is_empty(&connection->ready)) {
        list_append(&connection->net->ready, &connection->ready);
    }
}

static bool is_durable(const struct net *net, struct seq seq)
{
    return seq.value <= net->durable.value;
}

/* Can what depends on `seq` share the last gate without leaving later than it could? */
static bool is_gate_shared(const struct connection *connection, struct seq seq)
{
    const struct connection_gate *last = &connection->gates[connection->gate_count - 1];
    bool is_same_turn = last->seq.value > connection->net->offered.value;
    return seq.value <= last->seq.value || is_same_turn;
}

void connection_end(struct connection *connection, struct seq seq)
{
    struct net *net = connection->net;
    if (connection->is_closed) return;
    if (connection->output.is_failed) {
        connection_abort(connection);
        return;
    }
    size_t end = connection->output.size;
    if (end == connection->output_ended) return;
    connection->output_ended = end;
    /* A blocked connection is not flushed, so nobody else would look. */
    if (connection_backlog(connection) >= CONNECTION_BACKLOG_SIZE_MAX) watch(connection);
    if (connection->is_closed) return;

    if (connection->gate_count == 0 && is_durable(net, seq)) {
        release_to(connection, end);
        return;
    }
    bool is_full = connection->gate_count == CONNECTION_GATE_COUNT_MAX;
    if (is_full || (connection->gate_count > 0 && is_gate_shared(connection, seq))) {
        struct connection_gate *last = &connection->gates[connection->gate_count - 1];
        last->end = end;
        if (last->seq.value < seq.value) last->seq = seq;
        return;
    }
    connection->gates[connection->gate_count++] = (struct connection_gate){ end, seq };
    if (list_is_empty(&connection->gated)) list_append(&net->gated, &connection->gated);
}

void connection_release(struct connection *connection)
{
    size_t end = connection->output_released;
    uint32_t opened = 0;
    while (opened < connection->gate_count &&
           is_durable(connection->net, connection->gates[opened].seq))
    {
        end = connection->gates[opened++].end;
    }
    if (opened == 0) return;
    connection->gate_count -= opened;
    memmove(
        connection->gates,
        connection->gates + opened,
        connection->gate_count * sizeof(connection->gates[0]));
    if (connection->gate_count == 0) list_remove(&connection->gated);
    release_to(connection, end);
}

/* All offsets count from the start of the buffer: take them along when its front goes. */
static void forget_sent(struct connection *connection)
{
    size_t sent = connection->output_sent;
    if (sent == connection->output.size) {
        if (connection->output.capacity > KEEP_CAPACITY_MAX) {
            buffer_deinit(&connection->output);
        } else {
            buffer_reset(&connection->output);
        }
    } else if (sent >= KEEP_CAPACITY_MAX && sent >= connection->output.size / 2) {
        buffer_consume(&connection->output, sent);
    } else {
        return;
    }
    connection->output_sent = 0;
    connection->output_released -= sent;
    connection->output_ended -= sent;
    for (uint32_t index = 0; index < connection->gate_count; index++) {
        connection->gates[index].end -= sent;
    }
}

void connection_flush(struct connection *connection)
{
    list_remove(&connection->ready);
    if (connection->is_closed) return;
    size_t size = connection->output_released - connection->output_sent;
    if (size > 0) {
        ssize_t count =
            connection_send(connection, connection->output.data + connection->output_sent, size);
        if (count < 0 && count != -EAGAIN && count != -EINTR) {
            connection_abort(connection);
            return;
        }
        if (count > 0) {
            connection->output_sent += (size_t)count;
            connection->stalled_at_ms = 0;
        }
        connection->is_blocked = connection->output_sent < connection->output_released;
        if (connection->is_blocked && connection->stalled_at_ms == 0) {
            connection->stalled_at_ms = (int64_t)uv_now(connection->net->loop) + 1;
        }
        forget_sent(connection);
    }
    if (connection->wants_drain && connection_backlog(connection) == 0 && !connection->is_hung_up) {
        connection->wants_drain = false;
        connection->ops->on_drain(connection);
    }
    close_if_finished(connection);
    watch(connection);
}

void connection_want_drain(struct connection *connection)
{
    connection->wants_drain = true;
    if (!connection->is_closed && !connection->is_blocked && list_is_empty(&connection->ready)) {
        list_append(&connection->net->ready, &connection->ready);
    }
}

/* The last flush sees that it is finished. */
static void flush_soon(struct connection *connection)
{
    if (!connection->is_blocked && list_is_empty(&connection->ready)) {
        list_append(&connection->net->ready, &connection->ready);
    }
}

void connection_close(struct connection *connection)
{
    if (connection->is_closed || connection->is_closing) return;
    connection->is_closing = true;
    hang_up(connection);
    flush_soon(connection);
}

void connection_owe(struct connection *connection, bool is_owing)
{
    connection->is_owing = is_owing;
    if (!is_owing && connection->is_closing && !connection->is_closed) flush_soon(connection);
}

void connection_linger(struct connection *connection)
{
    connection->lingers = true;
}

void connection_check(struct connection *connection)
{
    int64_t now_ms = (int64_t)uv_now(connection->net->loop);
    if (connection->linger_until_ms != 0 && now_ms >= connection->linger_until_ms) {
        connection_abort(connection);
    }
    if (connection->stalled_at_ms != 0 &&
        now_ms - connection->stalled_at_ms > CONNECTION_STALL_MS_MAX) {
        connection_abort(connection);
    }
}

/* ------------------------------------------------------------------ the start */

bool connection_init(
    struct connection *connection, struct net *net, const struct connection_ops *ops, int socket)
{
    *connection = (struct connection){ .ops = ops, .net = net, .socket = socket };
    buffer_init(&connection->input, net->memory);
    buffer_init(&connection->output, net->memory);
    list_init(&connection->gated);
    list_init(&connection->ready);
    if (uv_poll_init(net->loop, &connection->poll, socket) != 0) {
        (void)close(socket);
        return false;
    }
    connection->poll.data = connection;
    watch(connection);
    return true;
}
